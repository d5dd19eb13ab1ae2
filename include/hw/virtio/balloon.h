/* SPDX-License-Identifier: Apache-2.0 */
/* The balloon as the monitor sees it. Control thread. */
#ifndef HW_VIRTIO_BALLOON_H
#define HW_VIRTIO_BALLOON_H

#include "core/vm.h"

enum { BALLOON_STATS = 16 };
typedef struct VirtioBalloon VirtioBalloon;

/* The machine's balloon, or NULL. */
VirtioBalloon *balloon_find(Vm *vm);
/* What the guest should keep, in bytes. */
void balloon_set_target(VirtioBalloon *s, uint64_t bytes);
/* What it has now. */
uint64_t balloon_actual(VirtioBalloon *s);

/* Hints of free pages, for who copies the machine and need not copy them. Called on the device's loop. */
typedef struct BalloonHints {
    void (*hint)(void *opaque, void *host, uint64_t bytes);
    void (*done)(void *opaque);         /* the guest knows no more; may be NULL */
    void *opaque;
} BalloonHints;
/* Asks the guest (again, for another round); false: its driver cannot tell. */
bool balloon_hints_start(VirtioBalloon *s, const BalloonHints *listener);
/* No more hints; release: for good, and the guest may use those pages again. */
void balloon_hints_stop(VirtioBalloon *s, bool release);

#endif
