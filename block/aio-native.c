/* SPDX-License-Identifier: Apache-2.0 */
/* aio=native: Linux AIO through libaio. Needs O_DIRECT files; other requests go to threads. */
#include <errno.h>
#include <libaio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block/aio.h"
#include "util/fiber.h"

enum { DEPTH = 256, BATCH = 64 };

typedef struct Native {
    io_context_t ctx;
    int event;
    LoopFd *watch;
    unsigned plugged, n;
    struct iocb *queue[BATCH];
} Native;

typedef struct Wait {
    struct iocb cb;
    Fiber *fiber;
    int64_t result;
} Wait;

static void submit(Native *a)
{
    unsigned done = 0;
    while (done < a->n) {
        int k = io_submit(a->ctx, a->n - done, a->queue + done);
        if (k > 0) {
            done += k;
        } else if (k == -EAGAIN) {
            usleep(50);         /* the kernel's queue is full: it drains without our help */
        } else if (k != -EINTR) {
            Wait *w = (Wait *)a->queue[done++];
            w->result = k;
            fiber_resume(w->fiber);
        }
    }
    a->n = 0;
}

static void completed(int fd, GIOCondition ready, void *data)
{
    Native *a = data;
    uint64_t count;
    struct io_event events[BATCH];
    struct timespec none = {0};
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    a->plugged++;
    for (int n; (n = io_getevents(a->ctx, 0, BATCH, events, &none)) > 0;)
        for (int i = 0; i < n; i++) {
            Wait *w = (Wait *)events[i].obj;
            w->result = (int64_t)events[i].res;
            fiber_resume(w->fiber);
        }
    if (--a->plugged == 0)
        submit(a);
}

static void *make(Loop *loop)
{
    Native *a = g_new0(Native, 1);
    if (io_setup(DEPTH, &a->ctx) < 0)
        return a;
    a->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->watch = loop_add_fd(loop, a->event, G_IO_IN, completed, a);
    return a;
}

static void free_native(gpointer data)
{
    Native *a = data;
    loop_fd_free(a->watch);
    if (a->ctx) {
        io_destroy(a->ctx);
        close(a->event);
    }
    g_free(a);
}

static Native *native(Loop *loop) { return loop_data(loop, &aio_native, make, free_native); }

static unsigned batch(Loop *loop)
{
    int64_t max = loop_tuning(loop).max_batch;
    return max ? MIN(max, BATCH) : BATCH;
}

static int64_t run(Loop *loop, const AioRequest *r)
{
    Native *a = native(loop);
    Wait w = {.fiber = fiber_self()};
    if (!a->ctx || (r->op != AIO_READ && r->op != AIO_WRITE))
        return aio_threads.run(loop, r);
    if (r->op == AIO_READ)
        io_prep_preadv(&w.cb, r->fd, r->iov, r->n_iov, r->offset);
    else
        io_prep_pwritev(&w.cb, r->fd, r->iov, r->n_iov, r->offset);
    io_set_eventfd(&w.cb, a->event);
    if (a->n >= batch(loop))
        submit(a);
    a->queue[a->n++] = &w.cb;
    if (!a->plugged) {
        /* Submitting may fail at once and resume us, so be seen waiting first. */
        struct iocb *cb = &w.cb;
        a->n = 0;
        int k = io_submit(a->ctx, 1, &cb);
        if (k != 1)
            return k < 0 && k != -EAGAIN ? k : aio_threads.run(loop, r);
    }
    fiber_wait();
    return w.result;
}

static void plug(Loop *loop, bool on)
{
    Native *a = native(loop);
    if (on)
        a->plugged++;
    else if (--a->plugged == 0)
        submit(a);
}

static bool usable(void) { return true; }

const AioEngine aio_native = {.name = "native", .usable = usable, .run = run, .plug = plug};
