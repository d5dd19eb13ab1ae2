/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: functions that can wait without holding up their thread. A fiber belongs to the thread that
 * started it and is resumed only there.
 */
#ifndef UTIL_FIBER_H
#define UTIL_FIBER_H

#include <stdbool.h>

typedef struct Fiber Fiber;

/* Runs fn(data) until it waits or ends. Stacks are kept for the next one. */
void fiber_start(void (*fn)(void *data), void *data);
/* Inside a fiber: goes back to whoever started or resumed it, until fiber_resume(). */
void fiber_wait(void);
void fiber_resume(Fiber *f);
/* The running fiber, NULL outside of any. */
Fiber *fiber_self(void);

#endif
