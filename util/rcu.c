/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-copy-update by epochs (Fraser 2004, section 5.2.3, without the fixed number of epochs).
 *
 * A reader notes the global epoch when it enters. Retiring an item takes the current epoch as the
 * item's and advances the global one: a reader that notes a later epoch has entered after the new
 * structure was published and cannot reach the old one. So an item is free when every reader
 * notes 0 or a later epoch. All the atomics here are sequentially consistent: either the writer
 * sees the reader's note, or the reader sees the new pointer.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "util/rcu.h"

typedef struct Retired {
    struct Retired *next;
    void *data;
    GDestroyNotify fn;
    uint64_t epoch;
} Retired;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static uint64_t epoch = 1;
static RcuReader *readers;
static Retired *oldest, **newest = &oldest;
static unsigned waiting;

__thread RcuReader rcu_self;

static void thread_gone(void *self)
{
    RcuReader *r = self;

    pthread_mutex_lock(&lock);
    for (RcuReader **p = &readers; *p; p = &(*p)->next) {
        if (*p == r) {
            *p = r->next;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

static void make_key(void)
{
    pthread_key_create(&exit_key, thread_gone);
}

static void list_self(void)
{
    pthread_once(&once, make_key);
    pthread_setspecific(exit_key, &rcu_self);
    pthread_mutex_lock(&lock);
    rcu_self.next = readers;
    readers = &rcu_self;
    rcu_self.listed = true;
    pthread_mutex_unlock(&lock);
}

static void note(uint64_t e)
{
    __atomic_store_n(&rcu_self.epoch, e, __ATOMIC_SEQ_CST);
}

void rcu_enter(void)
{
    if (G_UNLIKELY(!rcu_self.listed)) {
        list_self();
    }
    note(__atomic_load_n(&epoch, __ATOMIC_SEQ_CST));
}

void rcu_leave(void)
{
    note(0);
}

void rcu_quiescent(void)
{
    uint64_t now = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST);

    if (rcu_self.depth == 1 && rcu_self.epoch != now) {
        note(now);
    }
}

void rcu_free(void *data, GDestroyNotify fn)
{
    Retired *item = g_new(Retired, 1);

    *item = (Retired){.data = data, .fn = fn};
    pthread_mutex_lock(&lock);
    item->epoch = __atomic_fetch_add(&epoch, 1, __ATOMIC_SEQ_CST);
    *newest = item;
    newest = &item->next;
    __atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lock);
}

/* The earliest epoch that a reader notes. */
static uint64_t earliest(void)
{
    uint64_t min = UINT64_MAX;

    for (RcuReader *r = readers; r; r = r->next) {
        uint64_t e = __atomic_load_n(&r->epoch, __ATOMIC_SEQ_CST);
        if (e && e < min) {
            min = e;
        }
    }
    return min;
}

/* Those that hold up the oldest item are asked to go on, once per epoch. */
static void kick_late(void)
{
    for (RcuReader *r = readers; r; r = r->next) {
        uint64_t e = __atomic_load_n(&r->epoch, __ATOMIC_SEQ_CST);
        if (e && e <= oldest->epoch && r->kick && r->kicked != e) {
            r->kicked = e;
            r->kick(r->kick_data);
        }
    }
}

void rcu_set_kick(void (*fn)(void *data), void *data)
{
    if (!rcu_self.listed) {
        list_self();
    }
    pthread_mutex_lock(&lock);
    rcu_self.kick = fn;
    rcu_self.kick_data = data;
    pthread_mutex_unlock(&lock);
}

void rcu_poll(void)
{
    Retired *due = NULL, **end = &due;

    if (__atomic_load_n(&waiting, __ATOMIC_RELAXED) == 0) {
        return;
    }
    pthread_mutex_lock(&lock);
    uint64_t min = earliest();
    while (oldest && oldest->epoch < min) {
        Retired *item = oldest;
        oldest = item->next;
        item->next = NULL;
        *end = item;
        end = &item->next;
        __atomic_sub_fetch(&waiting, 1, __ATOMIC_RELAXED);
    }
    if (oldest) {
        kick_late();
    } else {
        newest = &oldest;
    }
    pthread_mutex_unlock(&lock);
    while (due) {
        Retired *item = due;
        due = item->next;
        item->fn(item->data);
        g_free(item);
    }
}

void rcu_barrier(void)
{
    unsigned depth = rcu_self.depth;
    unsigned pause_us = 1;

    g_assert(depth <= 1);
    if (depth) {
        rcu_offline();
    }
    for (rcu_poll(); __atomic_load_n(&waiting, __ATOMIC_RELAXED); rcu_poll()) {
        usleep(pause_us);
        pause_us = MIN(pause_us * 2, 1000);
    }
    if (depth) {
        rcu_online();
    }
}
