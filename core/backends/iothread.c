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

/* ---- properties that may change while it runs ---- */

static bool check(const Iothread *t, GError **error)
{
    const int64_t values[] = {t->poll_max_ns, t->poll_grow, t->poll_shrink, t->aio_max_batch,
                              t->pool_min, t->pool_max};

    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
        if (values[i] < 0) {
            return error_set(error, "iothread '%s': values must not be negative", t->object.name);
        }
    }
    if (t->pool_min > 0) {
        return error_set(error, "thread-pool-min: workers are not kept in reserve, only 0 is possible");
    }
    return t->pool_max > 0 || error_set(error, "thread-pool-max must be above 0");
}

static void tune(const Iothread *t)
{
    LoopTuning tuning = {t->poll_max_ns, t->poll_grow, t->poll_shrink, t->aio_max_batch, t->pool_max};

    loop_tune(t->loop, &tuning);
}

static bool accept_change(Object *o, const Field *f, GError **error)
{
    if (!check((Iothread *)o, error)) {
        return false;
    }
    tune((Iothread *)o);
    return true;
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
    PROP(Iothread, aio_max_batch, "aio-max-batch", PROP_I64, .changed = accept_change),
    PROP(Iothread, pool_min, "thread-pool-min", PROP_I64, .changed = accept_change),
    PROP(Iothread, pool_max, "thread-pool-max", PROP_I64, .init = 64, .changed = accept_change),
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

    if (!check(t, error)) {
        return false;
    }
    t->loop = loop_new();
    tune(t);
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

/* No thread of its own, and no busy waiting: the control thread's loop. */
static bool complete_main(Object *o, GError **error)
{
    Iothread *t = (Iothread *)o;

    if (!check(t, error)) {
        return false;
    }
    t->loop = o->vm->loop;
    tune(t);
    return true;
}

static const ObjectType main_loop = {
    .name = "main-loop", .desc = "The control thread's event loop", .size = sizeof(Iothread),
    .user_creatable = true, FIELDS(main_fields), .complete = complete_main,
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
