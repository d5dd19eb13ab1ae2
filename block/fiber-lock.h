/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks between the fibers of one thread. Nothing else runs between two waits, so these only guard
 * what must not change while a fiber waits. Outside of fibers, where code cannot wait, the node is
 * idle and locks are free.
 */
#ifndef BLOCK_FIBER_LOCK_H
#define BLOCK_FIBER_LOCK_H

#include <stdbool.h>
#include "util/fiber.h"

typedef struct FiberWaiter {
    Fiber *fiber;
    bool exclusive;
    struct FiberWaiter *next;
} FiberWaiter;

/* First come, first served. All zero: ready. */
typedef struct FiberQueue {
    FiberWaiter *first, *last;
} FiberQueue;

void fiber_queue_wait(FiberQueue *q);
/* Lets all of them, or the first, go on. Those who wake may wait again. */
void fiber_queue_wake(FiberQueue *q);

typedef struct FiberLock {
    unsigned shared;            /* holders */
    bool exclusive;
    FiberQueue queue;
} FiberLock;

void fiber_lock(FiberLock *l);
void fiber_unlock(FiberLock *l);
void fiber_lock_shared(FiberLock *l);
void fiber_unlock_shared(FiberLock *l);

#endif
