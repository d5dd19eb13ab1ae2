/* SPDX-License-Identifier: Apache-2.0 */
/* iothread: a thread with an event loop; main-loop: the properties of the control thread's. */
#include <pthread.h>
#include <unistd.h>

#include "core/backend.h"
#include "core/vm.h"
#include "util/error.h"

typedef struct Iothread {
    Object object;
    Loop *loop;
    GThread *thread;
    int tid;
    pthread_mutex_t lock;
    pthread_cond_t started;
    int64_t poll_max_ns, poll_grow, poll_shrink, aio_max_batch, pool_min, pool_max;
} Iothread;

typedef struct MainLoop {
    Object object;
    int64_t aio_max_batch, pool_min, pool_max;
} MainLoop;

static bool accept_change(Object *o, const Field *f, GError **error)
{
    return *(int64_t *)((char *)o + f->offset) >= 0 ||
           error_set(error, "property '%s' must not be negative", f->name);
}

static const Field iothread_fields[] = {
    PROP(Iothread, poll_max_ns, "poll-max-ns", PROP_I64, .init = 32768, .changed = accept_change,
         .desc = "Longest time of polling in nanoseconds"),
    PROP(Iothread, poll_grow, "poll-grow", PROP_I64, .changed = accept_change),
    PROP(Iothread, poll_shrink, "poll-shrink", PROP_I64, .changed = accept_change),
    PROP(Iothread, aio_max_batch, "aio-max-batch", PROP_I64, .changed = accept_change),
    PROP(Iothread, pool_min, "thread-pool-min", PROP_I64, .changed = accept_change),
    PROP(Iothread, pool_max, "thread-pool-max", PROP_I64, .init = 64, .changed = accept_change),
    HOST(Iothread, loop), HOST(Iothread, thread), HOST(Iothread, tid), HOST(Iothread, lock),
    HOST(Iothread, started),
};
static const Field main_fields[] = {
    PROP(MainLoop, aio_max_batch, "aio-max-batch", PROP_I64, .changed = accept_change),
    PROP(MainLoop, pool_min, "thread-pool-min", PROP_I64, .changed = accept_change),
    PROP(MainLoop, pool_max, "thread-pool-max", PROP_I64, .init = 64, .changed = accept_change),
};

static void *run(void *data)
{
    Iothread *t = data;

    loop_step(t->loop, false);          /* becomes the loop's home */
    pthread_mutex_lock(&t->lock);
    t->tid = (int)gettid();
    pthread_cond_signal(&t->started);
    pthread_mutex_unlock(&t->lock);
    loop_run(t->loop);
    return NULL;
}

static bool complete(Object *o, GError **error)
{
    Iothread *t = (Iothread *)o;
    g_autofree char *name = g_strdup_printf("IO %s", o->name);

    t->loop = loop_new();
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->started, NULL);
    t->thread = g_thread_new(name, run, t);
    pthread_mutex_lock(&t->lock);
    while (!t->tid) {
        pthread_cond_wait(&t->started, &t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return true;
}

static void finish(Object *o)
{
    Iothread *t = (Iothread *)o;

    if (t->thread) {
        loop_quit(t->loop);
        g_thread_join(t->thread);
        loop_free(t->loop);
        pthread_mutex_destroy(&t->lock);
        pthread_cond_destroy(&t->started);
    }
}

static const ObjectType iothread = {
    .name = "iothread", .desc = "A thread for devices and disks", .size = sizeof(Iothread),
    .user_creatable = true, FIELDS(iothread_fields), .complete = complete, .finish = finish,
};
OBJECT_TYPE(iothread);
static const ObjectType main_loop = {
    .name = "main-loop", .desc = "The control thread's event loop", .size = sizeof(MainLoop),
    .user_creatable = true, FIELDS(main_fields),
};
OBJECT_TYPE(main_loop);

Loop *iothread_loop(Object *o)
{
    return ((Iothread *)o)->loop;
}

int iothread_tid(Object *o)
{
    return ((Iothread *)o)->tid;
}
