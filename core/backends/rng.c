/* SPDX-License-Identifier: Apache-2.0 */
/* rng-builtin and rng-random: random numbers for the guest. */
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/backend.h"
#include "core/vm.h"
#include "util/error.h"

typedef struct Rng {
    Object object;
    char *filename;
    int fd;                     /* -1: the kernel's generator */
    GQueue waiting;             /* RngRequest *; the loop's thread */
    LoopFd *watch;
} Rng;

enum { PIECE = 4096 };

static const Field base_fields[] = {
    HOST(Rng, fd), HOST(Rng, waiting), HOST(Rng, watch),
};
static const Field random_fields[] = {
    PROP(Rng, filename, "filename", PROP_STRING, .init_string = "/dev/urandom",
         .desc = "File or device to read from"),
};

static void init(Object *o)
{
    ((Rng *)o)->fd = -1;
    g_queue_init(&((Rng *)o)->waiting);
}

static bool complete_random(Object *o, GError **error)
{
    Rng *rng = (Rng *)o;

    rng->fd = open(rng->filename, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return rng->fd >= 0 ||
           error_set_errno(error, errno, "cannot open '%s' for random numbers", rng->filename);
}

static void finish(Object *o)
{
    Rng *rng = (Rng *)o;

    loop_fd_free(rng->watch);
    if (rng->fd >= 0) {
        close(rng->fd);
    }
    g_queue_clear(&rng->waiting);
}

static const ObjectType base = {
    .name = "rng-backend", .size = sizeof(Rng), .abstract = true, FIELDS(base_fields),
    .init = init, .finish = finish,
};
OBJECT_TYPE(base);
static const ObjectType builtin = {
    .name = "rng-builtin", .parent = "rng-backend", .desc = "Random numbers of the host's kernel",
    .user_creatable = true,
};
OBJECT_TYPE(builtin);
static const ObjectType from_file = {
    .name = "rng-random", .parent = "rng-backend", .desc = "Random numbers from a file or device",
    .user_creatable = true, FIELDS(random_fields), .complete = complete_random,
};
OBJECT_TYPE(from_file);

static void answer(Rng *rng, const void *data, size_t n)
{
    RngRequest *r = g_queue_pop_head(&rng->waiting);

    r->rng = NULL;
    r->fn(r, data, n);
}

static void readable(int fd, GIOCondition ready, void *data)
{
    Rng *rng = data;
    RngRequest *r = g_queue_peek_head(&rng->waiting);
    char buf[PIECE];

    if (!r) {
        loop_fd_set(rng->watch, 0);
        return;
    }
    ssize_t n = read(fd, buf, MIN(r->n, sizeof(buf)));
    if (n > 0) {
        answer(rng, buf, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        loop_fd_set(rng->watch, 0);     /* the file has ended: no more numbers */
    }
}

static void serve(void *data)
{
    Rng *rng = data;
    char buf[PIECE];

    while (!g_queue_is_empty(&rng->waiting)) {
        RngRequest *r = g_queue_peek_head(&rng->waiting);
        ssize_t n = getrandom(buf, MIN(r->n, sizeof(buf)), 0);
        if (n <= 0) {
            break;
        }
        answer(rng, buf, (size_t)n);
    }
    object_unref(&rng->object);
}

void rng_request(Object *o, RngRequest *r)
{
    Rng *rng = (Rng *)o;

    r->rng = o;
    g_queue_push_tail(&rng->waiting, r);
    if (rng->fd < 0) {
        object_ref(o);
        loop_post(o->vm->loop, serve, rng);
    } else if (!rng->watch) {
        rng->watch = loop_add_fd(o->vm->loop, rng->fd, G_IO_IN, readable, rng);
    } else {
        loop_fd_set(rng->watch, G_IO_IN);
    }
}

void rng_cancel(RngRequest *r)
{
    if (r->rng) {
        g_queue_remove(&((Rng *)r->rng)->waiting, r);
        r->rng = NULL;
    }
}
