/* SPDX-License-Identifier: Apache-2.0 */
/* aio=threads: blocking calls on a pool of worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <unistd.h>
#include "block/aio.h"
#include "util/fiber.h"

enum { MAX_THREADS = 16 };      /* where the loop has no limit of its own */

typedef struct Job {
    const AioRequest *r;
    int64_t result;
    Loop *loop;
    Fiber *fiber;
} Job;

int64_t aio_blocking(const AioRequest *r)
{
    int64_t n;
    do {
        switch (r->op) {
        case AIO_READ: n = preadv(r->fd, r->iov, r->n_iov, r->offset); break;
        case AIO_WRITE: n = pwritev(r->fd, r->iov, r->n_iov, r->offset); break;
        case AIO_SYNC: n = fdatasync(r->fd); break;
        case AIO_PUNCH:
            n = fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, r->offset, r->bytes);
            break;
        default: n = fallocate(r->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, r->offset, r->bytes); break;
        }
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static void back_home(void *data) { fiber_resume(((Job *)data)->fiber); }

static void work(gpointer data, gpointer unused)
{
    Job *job = data;
    job->result = aio_blocking(job->r);
    loop_post(job->loop, back_home, job);
}

static void *make_pool(Loop *loop) { return g_thread_pool_new(work, NULL, MAX_THREADS, false, NULL); }
static void free_pool(gpointer pool) { g_thread_pool_free(pool, false, true); }

static int64_t run(Loop *loop, const AioRequest *r)
{
    Job job = {.r = r, .loop = loop, .fiber = fiber_self()};
    GThreadPool *pool = loop_data(loop, &aio_threads, make_pool, free_pool);
    int64_t max = loop_tuning(loop).max_threads;
    if (max && max != g_thread_pool_get_max_threads(pool))
        g_thread_pool_set_max_threads(pool, MIN(max, INT_MAX), NULL);
    g_thread_pool_push(pool, &job, NULL);
    fiber_wait();
    return job.result;
}

static bool usable(void) { return true; }

const AioEngine aio_threads = {.name = "threads", .usable = usable, .run = run};
