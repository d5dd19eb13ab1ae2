/* SPDX-License-Identifier: Apache-2.0 */
/* aio=io_uring. Completions arrive by an eventfd in the loop; submissions go out when unplugged. */
#include <errno.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block/aio.h"
#include "util/fiber.h"

enum { ENTRIES = 256 };

typedef struct Ring {
    struct io_uring ring;
    Loop *loop;
    int event;
    LoopFd *watch;
    unsigned plugged, pending;
    bool ok;
} Ring;

typedef struct Wait {
    Fiber *fiber;
    int64_t result;
} Wait;

static void submit(Ring *u)
{
    while (u->pending) {
        int n = io_uring_submit(&u->ring);
        if (n == -EINTR || n == -EAGAIN)
            continue;
        u->pending -= n > 0 ? MIN((unsigned)n, u->pending) : u->pending;
    }
}

static void reap(Ring *u)
{
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        Wait *w = io_uring_cqe_get_data(cqe);
        w->result = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        fiber_resume(w->fiber);
    }
}

static void completed(int fd, GIOCondition ready, void *data)
{
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    Ring *u = data;
    u->plugged++;               /* what the resumed submit goes out together */
    reap(u);
    if (--u->plugged == 0)
        submit(u);
}

static void *make(Loop *loop)
{
    Ring *u = g_new0(Ring, 1);
    u->loop = loop;
    if (io_uring_queue_init(ENTRIES, &u->ring, 0) < 0)
        return u;
    u->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    u->ok = io_uring_register_eventfd(&u->ring, u->event) == 0;
    u->watch = loop_add_fd(loop, u->event, G_IO_IN, completed, u);
    return u;
}

static void free_ring(gpointer data)
{
    Ring *u = data;
    loop_fd_free(u->watch);
    if (u->ok) {
        io_uring_queue_exit(&u->ring);
        close(u->event);
    }
    g_free(u);
}

static Ring *ring(Loop *loop) { return loop_data(loop, &aio_uring, make, free_ring); }

static struct io_uring_sqe *entry(Ring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (!sqe) {
        submit(u);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

static void prepare(struct io_uring_sqe *sqe, const AioRequest *r)
{
    switch (r->op) {
    case AIO_READ: io_uring_prep_readv(sqe, r->fd, r->iov, r->n_iov, r->offset); break;
    case AIO_WRITE: io_uring_prep_writev(sqe, r->fd, r->iov, r->n_iov, r->offset); break;
    case AIO_SYNC: io_uring_prep_fsync(sqe, r->fd, IORING_FSYNC_DATASYNC); break;
    case AIO_PUNCH:
        io_uring_prep_fallocate(sqe, r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, r->offset, r->bytes);
        break;
    default:
        io_uring_prep_fallocate(sqe, r->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, r->offset, r->bytes);
        break;
    }
}

static int64_t run(Loop *loop, const AioRequest *r)
{
    Ring *u = ring(loop);
    Wait w = {.fiber = fiber_self()};
    struct io_uring_sqe *sqe = u->ok ? entry(u) : NULL;
    if (!sqe)
        return aio_threads.run(loop, r);
    prepare(sqe, r);
    io_uring_sqe_set_data(sqe, &w);
    u->pending++;
    int64_t max = loop_tuning(loop).max_batch;
    if (!u->plugged || (max && u->pending >= max))
        submit(u);
    fiber_wait();
    return w.result;
}

static void plug(Loop *loop, bool on)
{
    Ring *u = ring(loop);
    if (on)
        u->plugged++;
    else if (--u->plugged == 0 && u->ok)
        submit(u);
}

static bool usable(void)
{
    struct io_uring ring;
    if (io_uring_queue_init(2, &ring, 0) < 0)
        return false;
    io_uring_queue_exit(&ring);
    return true;
}

const AioEngine aio_uring = {.name = "io_uring", .usable = usable, .run = run, .plug = plug};
