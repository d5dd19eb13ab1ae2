/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-copy-update: readers of a published, immutable structure never lock; a writer publishes a
 * new one and the old one is freed when no reader can still hold it.
 *
 * Every thread may read between rcu_read_lock() and rcu_read_unlock() (nesting is fine and costs
 * an increment). vCPU threads and loops are readers from their start: they call rcu_quiescent()
 * where they hold nothing (each turn of the loop) and are offline while they wait. A reader that
 * never does either only delays frees, it breaks nothing.
 *
 * Process-wide, since threads are. Nothing else lives here than the list of readers and what waits
 * to be freed.
 */
#ifndef UTIL_RCU_H
#define UTIL_RCU_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct RcuReader {
    uint64_t epoch;             /* 0: holds nothing; atomic */
    unsigned depth;
    void (*kick)(void *data);   /* guarded by the list's lock */
    void *kick_data;
    uint64_t kicked;
    struct RcuReader *next;
    bool listed;
} RcuReader;

extern __thread RcuReader rcu_self;
void rcu_enter(void);
void rcu_leave(void);

static inline void rcu_read_lock(void)
{
    if (rcu_self.depth++ == 0) {
        rcu_enter();
    }
}
static inline void rcu_read_unlock(void)
{
    if (--rcu_self.depth == 0) {
        rcu_leave();
    }
}
/* A standing reader holds nothing at this moment. Does nothing within nested locks. */
void rcu_quiescent(void);
/* How others make the calling thread, a standing reader that may run for long, call rcu_quiescent()
 * soon: fn runs on any thread, at most once per wait. NULL before the thread ends. */
void rcu_set_kick(void (*fn)(void *data), void *data);
/* Around a wait of a standing reader: what it held is void afterwards. */
static inline void rcu_offline(void) { rcu_read_unlock(); }
static inline void rcu_online(void) { rcu_read_lock(); }

/* Publishes and reads a pointer. */
#define rcu_set(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define rcu_get(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)

/* Frees `data` with fn once all present readers are gone; some time later, on some loop's thread
 * or within rcu_barrier(). Any thread. */
void rcu_free(void *data, GDestroyNotify fn);
/* Frees what is due. Loops call it. */
void rcu_poll(void);
/* Waits until all present readers are gone and all is freed. The caller must hold nothing; a
 * standing reader is quiescent here. */
void rcu_barrier(void);

#endif
