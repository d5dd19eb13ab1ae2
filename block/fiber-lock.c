/* SPDX-License-Identifier: Apache-2.0 */
/* Locks between fibers: see the header. */
#include "block/fiber-lock.h"
#include <glib.h>

static void append(FiberQueue *q, FiberWaiter *w)
{
    w->next = NULL;
    if (q->last)
        q->last->next = w;
    else
        q->first = w;
    q->last = w;
}

static FiberWaiter *take(FiberQueue *q)
{
    FiberWaiter *w = q->first;
    if (w) {
        q->first = w->next;
        q->last = q->first ? q->last : NULL;
    }
    return w;
}

void fiber_queue_wait(FiberQueue *q)
{
    FiberWaiter w = {.fiber = fiber_self()};
    if (!w.fiber)
        return;
    append(q, &w);
    fiber_wait();
}

void fiber_queue_wake(FiberQueue *q)
{
    FiberQueue all = *q;
    *q = (FiberQueue){0};
    for (FiberWaiter *w; (w = take(&all));)
        fiber_resume(w->fiber);
}

static bool free_for(const FiberLock *l, bool exclusive)
{
    return !l->exclusive && !(exclusive && l->shared);
}

static void hold(FiberLock *l, bool exclusive)
{
    l->exclusive = exclusive;
    l->shared += !exclusive;
}

/* The lock is handed over before its next holder wakes, so nobody overtakes. */
static void hand_over(FiberLock *l)
{
    FiberQueue ready = {0};
    while (l->queue.first && free_for(l, l->queue.first->exclusive)) {
        FiberWaiter *w = take(&l->queue);
        hold(l, w->exclusive);
        append(&ready, w);
    }
    for (FiberWaiter *w; (w = take(&ready));)
        fiber_resume(w->fiber);
}

static void lock(FiberLock *l, bool exclusive)
{
    FiberWaiter w = {.fiber = fiber_self(), .exclusive = exclusive};
    if (!w.fiber || (!l->queue.first && free_for(l, exclusive))) {
        hold(l, exclusive);
        return;
    }
    append(&l->queue, &w);
    fiber_wait();
}

void fiber_lock(FiberLock *l) { lock(l, true); }
void fiber_lock_shared(FiberLock *l) { lock(l, false); }

void fiber_unlock(FiberLock *l)
{
    l->exclusive = false;
    if (l->queue.first)
        hand_over(l);
}

void fiber_unlock_shared(FiberLock *l)
{
    l->shared--;
    if (l->queue.first)
        hand_over(l);
}
