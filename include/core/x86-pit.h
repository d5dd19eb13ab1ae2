/* SPDX-License-Identifier: Apache-2.0 */
/* State of an 8254 and port 0x61, as its device saves it and as an accelerator that brings one gives and
 * takes it. Spec: Intel 8254 data sheet. */
#ifndef CORE_X86_PIT_H
#define CORE_X86_PIT_H

#include "core/object.h"

struct Accel;

typedef struct PitChannel {
    uint32_t count;             /* reload value, 1 … 0x10000 */
    uint16_t latched;
    uint8_t latch_left;         /* bytes of the latched count still to be read */
    uint8_t status;
    bool status_latched : 1, write_high : 1, read_high : 1, gate : 1, bcd : 1, loaded : 1;
    uint8_t write_low, rw, mode;
    int64_t start;              /* virtual time of the last load or trigger */
    int64_t periods;            /* that have begun, as channel 0's output has shown */
} PitChannel;

typedef struct PitState {
    PitChannel ch[3];
    bool replaced : 1;          /* the HPET has taken the interrupt */
    bool speaker : 1;           /* bit 1 of port 0x61; its bit 0 is the gate of channel 2 */
} PitState;

/* Whether ticks that the guest was too late for are made up for. */
enum { PIT_LOST_DISCARD, PIT_LOST_DELAY };

/* The accelerator's 8254 at 0x40 to 0x43, with port 0x61. Control thread, or a CPU's of its machine. */
typedef struct AccelPit {
    bool (*make)(struct Accel *a, int lost, GError **error);
    void (*get)(struct Accel *a, PitState *s);
    void (*set)(struct Accel *a, const PitState *s);
} AccelPit;

#endif
