/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop: one thread, file descriptors, timers, posted calls. The main loop is one, each
 * -object iothread another. A wrapper of GMainContext, so that GLib-based libraries plug in.
 */
#ifndef UTIL_LOOP_H
#define UTIL_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct Loop Loop;
typedef struct LoopFd LoopFd;

Loop *loop_new(void);
void loop_free(Loop *loop);
GMainContext *loop_context(Loop *loop);
/* Runs until loop_quit(); the calling thread becomes the loop's home. */
void loop_run(Loop *loop);
void loop_quit(Loop *loop);                         /* any thread */
/* One iteration; may_block as in GLib. */
bool loop_step(Loop *loop, bool may_block);
bool loop_is_home(const Loop *loop);
/* The loop whose home is the calling thread, or NULL. */
Loop *loop_current(void);

/* How a loop waits and what its engines may use; 0 means the default. Any thread. */
typedef struct LoopTuning {
    int64_t poll_max_ns;        /* longest busy wait before sleeping; 0: none */
    int64_t poll_grow, poll_shrink;     /* factor of the busy wait's growth (2), divisor when it was in vain (all) */
    int64_t max_batch;          /* requests handed to the kernel at once */
    int64_t max_threads;        /* workers of aio=threads */
} LoopTuning;
void loop_tune(Loop *loop, const LoopTuning *tuning);
LoopTuning loop_tuning(Loop *loop);

/* Something that exists once per loop, made at the first call; home thread only. Freed with the loop. */
void *loop_data(Loop *loop, const void *key, void *(*make)(Loop *loop), GDestroyNotify free);

/* Runs fn on the loop's thread soon. Any thread; order is kept. */
void loop_post(Loop *loop, void (*fn)(void *data), void *data);
/* Runs what was posted so far, nothing else. Home thread. */
void loop_run_posts(Loop *loop);
/* The same as loop_post(), and waits until it has run (directly when called at home). */
void loop_call(Loop *loop, void (*fn)(void *data), void *data);

/* Watches a descriptor; events are G_IO_IN | G_IO_OUT | …; home thread only. */
LoopFd *loop_add_fd(Loop *loop, int fd, GIOCondition events,
                    void (*fn)(int fd, GIOCondition ready, void *data), void *data);
void loop_fd_set(LoopFd *w, GIOCondition events);
void loop_fd_free(LoopFd *w);                       /* NULL is fine; allowed inside its callback */
/* Host-time one-shot: runs fn after ms milliseconds; returns a GSource id for loop_cancel(). */
unsigned loop_after(Loop *loop, unsigned ms, void (*fn)(void *data), void *data);
void loop_cancel(Loop *loop, unsigned id);

#endif
