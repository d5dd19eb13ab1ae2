/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks and timers. Times are nanoseconds.
 *  REALTIME    host monotonic time, runs always
 *  VIRTUAL     stops with the machine; counts instructions with -icount; guest devices use it
 *  HOST        wall clock (may jump)
 *  VIRTUAL_RT  virtual time that does not warp under -icount
 * Tests own VIRTUAL and HOST through vm->clock.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Device Device;
typedef struct Vm Vm;
typedef enum ClockKind { CLOCK_K_REALTIME, CLOCK_K_VIRTUAL, CLOCK_K_HOST, CLOCK_K_VIRTUAL_RT, CLOCK_KINDS } ClockKind;

int64_t clock_ns(Vm *vm, ClockKind kind);           /* any thread */

/* One-shot timer; embedded in its owner. Fires on the machine's main loop (or, with -icount, on the
 * vCPU thread at the exact instruction), under the owner's domain lock if it belongs to a device. */
typedef struct Timer {
    Vm *vm;
    void (*fn)(void *opaque);
    void *opaque;
    Device *dev;                /* lock its domain while firing; NULL: none */
    int64_t deadline;           /* ns, INT64_MAX: not armed */
    uint8_t kind;
    int heap_index;             /* owned by the timer queue */
} Timer;
void timer_init(Timer *t, Vm *vm, ClockKind kind, void (*fn)(void *), void *opaque, Device *dev);
void timer_arm(Timer *t, int64_t deadline_ns);      /* any thread; moves it if armed */
void timer_cancel(Timer *t);                        /* after return it will not start to fire */
bool timer_armed(const Timer *t);

/* For devices whose unit is the second, as wall clocks: the guest's RTC base (-rtc). */
int64_t wall_clock(Device *d);                      /* seconds since the epoch as the guest should see */
void timer_at(Timer *t, int64_t wall_seconds);      /* TIMER() rows are on the HOST clock then */
void clock_stop(Vm *vm);                            /* virtual time stands still */
void clock_start(Vm *vm);
/* Sets virtual time: a restored snapshot. While stopped. */
void clock_set_virtual(Vm *vm, int64_t ns);

/* -rtc base=,clock=: the guest's wall clock shows base_seconds now and follows `kind`. */
void clock_set_rtc(Vm *vm, ClockKind kind, int64_t base_seconds);
int64_t wall_clock_ns(Vm *vm);

/* ---- for engines with -icount ---- */
/* Virtual time is now() plus what was warped; the loop no longer serves virtual timers: the engine
 * calls clock_run() at their deadlines on the vCPU's thread. deadline_changed (may be NULL, any
 * thread) says that clock_deadline() moved forward, so that a running vCPU's budget must shrink. */
void clock_icount(Vm *vm, int64_t (*now)(Vm *vm, void *opaque),
                  void (*deadline_changed)(Vm *vm, void *opaque), void *opaque);
/* The next deadline, INT64_MAX: none. Any thread. */
int64_t clock_deadline(Vm *vm, ClockKind kind);
/* Fires what is due; true if anything was. In no domain. */
bool clock_run(Vm *vm, ClockKind kind);
/* All vCPUs sleep: skips virtual time to the next deadline; false if there is none. */
bool clock_warp(Vm *vm);

/* ---- for tests ---- */
/* All clocks stand at 0 and move by clock_step() only, which fires timers at their exact times. */
void clock_own(Vm *vm);
void clock_step(Vm *vm, int64_t ns);

struct Clocks *clocks_new(Vm *vm);
void clocks_free(struct Clocks *c);

#endif
