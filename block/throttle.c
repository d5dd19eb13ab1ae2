/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of bytes and requests per second.
 *
 * Each limit is a bucket that leaks `avg` units a second. A request pours its units in at once and
 * sleeps until the level is back at what the bucket holds: so requests go in order, and several users
 * of one set of limits share them evenly. Without a burst a bucket holds a tenth of a second; with one,
 * `max` units a second for `length` seconds, and a second bucket keeps the rate below `max`.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "block/internal.h"
#include "block/throttle.h"

typedef struct Bucket {
    double level, burst;
    int64_t seen;               /* ns */
} Bucket;

struct Throttle {
    int refs;                   /* atomic */
    pthread_mutex_t lock;
    ThrottleLimits limits;
    Bucket buckets[THROTTLE_KINDS];
};

Throttle *throttle_new(void)
{
    Throttle *t = g_new0(Throttle, 1);
    t->refs = 1;
    pthread_mutex_init(&t->lock, NULL);
    for (unsigned i = 0; i < THROTTLE_KINDS; i++)
        t->limits.length[i] = 1;
    return t;
}

Throttle *throttle_ref(Throttle *t)
{
    __atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
    return t;
}

void throttle_unref(Throttle *t)
{
    if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL))
        return;
    pthread_mutex_destroy(&t->lock);
    g_free(t);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Pours units in; returns for how many ns the one who did has to wait. */
static int64_t pour(Throttle *t, ThrottleKind k, double units, int64_t now)
{
    double avg = t->limits.avg[k], max = t->limits.max[k], length = t->limits.length[k];
    Bucket *b = &t->buckets[k];
    if (!avg)
        return 0;
    double seconds = (now - b->seen) / 1e9, holds = max ? max * length : avg / 10;
    b->seen = now;
    b->level = MAX(0, b->level - seconds * avg) + units;
    double wait = MAX(0, b->level - holds) / avg;
    if (max) {
        b->burst = MAX(0, b->burst - seconds * max) + units;
        wait = MAX(wait, MAX(0, b->burst - max / 10) / max);
    }
    return wait * 1e9;
}

static void wake(void *fiber) { fiber_resume(fiber); }

void throttle_wait(Throttle *t, Loop *loop, bool write, uint64_t bytes)
{
    pthread_mutex_lock(&t->lock);
    int64_t now = now_ns(), wait = 0;
    double ops = t->limits.iops_size ? MAX(1, (double)bytes / t->limits.iops_size) : 1;
    const double units[] = {bytes, write ? 0 : bytes, write ? bytes : 0, ops, write ? 0 : ops, write ? ops : 0};
    for (unsigned k = 0; k < THROTTLE_KINDS; k++)
        if (units[k])
            wait = MAX(wait, pour(t, k, units[k], now));
    pthread_mutex_unlock(&t->lock);
    if (wait > 500000 && fiber_self()) {
        loop_after(loop, (wait + 500000) / 1000000, wake, fiber_self());
        fiber_wait();
    }
}

bool throttle_is_on(const ThrottleLimits *l)
{
    for (unsigned k = 0; k < THROTTLE_KINDS; k++)
        if (l->avg[k])
            return true;
    return false;
}

static bool check(const ThrottleLimits *l, GError **error)
{
    const uint64_t most = 1000000000000000;
    for (unsigned base = BPS; base <= IOPS; base += 3) {
        if (l->avg[base] && (l->avg[base + 1] || l->avg[base + 2]))
            return error_set(error, "bps/iops/max total values and read/write values cannot be used at the same time");
        if (l->max[base] && (l->max[base + 1] || l->max[base + 2]))
            return error_set(error, "bps/iops/max total values and read/write values cannot be used at the same time");
    }
    for (unsigned k = 0; k < THROTTLE_KINDS; k++) {
        if (l->avg[k] > most || l->max[k] > most)
            return error_set(error, "bps/iops/max values must be within [0, %llu]", (unsigned long long)most);
        if (!l->length[k])
            return error_set(error, "the burst length cannot be 0");
        if (l->length[k] > 1 && !l->max[k])
            return error_set(error, "burst length set without burst rate");
        if (l->max[k] && !l->avg[k])
            return error_set(error, "bps_max/iops_max require corresponding bps/iops values");
        if (l->max[k] && l->max[k] < l->avg[k])
            return error_set(error, "bps_max/iops_max cannot be lower than bps/iops");
    }
    if (l->iops_size && !l->avg[IOPS] && !l->avg[IOPS_RD] && !l->avg[IOPS_WR])
        return error_set(error, "iops size requires an iops value to be set");
    return true;
}

bool throttle_set(Throttle *t, const ThrottleLimits *limits, GError **error)
{
    ThrottleLimits l = *limits;
    for (unsigned k = 0; k < THROTTLE_KINDS; k++)
        l.length[k] = l.length[k] ? l.length[k] : 1;
    if (!check(&l, error))
        return false;
    pthread_mutex_lock(&t->lock);
    t->limits = l;
    memset(t->buckets, 0, sizeof(t->buckets));
    pthread_mutex_unlock(&t->lock);
    return true;
}

ThrottleLimits throttle_get(Throttle *t)
{
    pthread_mutex_lock(&t->lock);
    ThrottleLimits l = t->limits;
    pthread_mutex_unlock(&t->lock);
    return l;
}

/* ---- options ---- */

static const char *const kinds[THROTTLE_KINDS] = {"bps-total", "bps-read", "bps-write", "iops-total", "iops-read", "iops-write"};

static bool take(Json *o, const char *prefix, const char *kind, const char *end, uint64_t *value, GError **error)
{
    g_autofree char *key = g_strconcat(prefix, kind, end, NULL);
    const char *text = json_get_text(o, key);
    char *rest;
    if (!text)
        return true;
    errno = 0;
    *value = strtoull(text, &rest, 10);
    if (errno || rest == text || *rest || *text == '-')
        return error_set(error, "Parameter '%s' expects a number", key);
    json_remove(o, key);
    return true;
}

bool throttle_take_options(Json *o, const char *prefix, ThrottleLimits *l, GError **error)
{
    for (unsigned k = 0; k < THROTTLE_KINDS; k++)
        if (!take(o, prefix, kinds[k], "", &l->avg[k], error) || !take(o, prefix, kinds[k], "-max", &l->max[k], error) ||
            !take(o, prefix, kinds[k], "-max-length", &l->length[k], error))
            return false;
    return take(o, prefix, "iops-size", "", &l->iops_size, error);
}

/* ---- -object throttle-group ---- */

typedef struct ThrottleGroup {
    Object object;
    Throttle *throttle;
    ThrottleLimits given;
} ThrottleGroup;

static bool apply(Object *o, const Field *f, GError **error)
{
    ThrottleGroup *g = (ThrottleGroup *)o;
    return !g->throttle || throttle_set(g->throttle, &g->given, error);
}

static bool group_complete(Object *o, GError **error)
{
    ThrottleGroup *g = (ThrottleGroup *)o;
    g->throttle = throttle_new();
    return throttle_set(g->throttle, &g->given, error);
}

static void group_finish(Object *o)
{
    if (((ThrottleGroup *)o)->throttle)
        throttle_unref(((ThrottleGroup *)o)->throttle);
}

#define ROWS(k, name)                                                                               \
    PROP(ThrottleGroup, given.avg[k], "x-" name, PROP_U64, .changed = apply),                       \
    PROP(ThrottleGroup, given.max[k], "x-" name "-max", PROP_U64, .changed = apply),                \
    PROP(ThrottleGroup, given.length[k], "x-" name "-max-length", PROP_U64, .changed = apply)
static const Field fields[] = {
    HOST(ThrottleGroup, throttle), ROWS(BPS, "bps-total"), ROWS(BPS_RD, "bps-read"), ROWS(BPS_WR, "bps-write"),
    ROWS(IOPS, "iops-total"), ROWS(IOPS_RD, "iops-read"), ROWS(IOPS_WR, "iops-write"),
    PROP(ThrottleGroup, given.iops_size, "x-iops-size", PROP_U64, .changed = apply),
};
static const ObjectType group_type = {
    .name = "throttle-group", .desc = "limits shared by disks", .size = sizeof(ThrottleGroup),
    .user_creatable = true, FIELDS(fields), .complete = group_complete, .finish = group_finish,
};
OBJECT_TYPE(group_type);

Throttle *throttle_group(Vm *vm, const char *id)
{
    Object *o = object_child(vm->objects, id);
    return o && object_is_a(o, "throttle-group") ? throttle_ref(((ThrottleGroup *)o)->throttle) : NULL;
}

/* ---- the filter ---- */

typedef struct Filter {
    BlockNode node;
    Throttle *limits;
} Filter;

static bool filter_open(BlockNode *n, const BlockdevOptions *o, GError **error)
{
    const BlockdevOptionsThrottle *t = o->u.throttle;
    ((Filter *)n)->limits = throttle_group(n->vm, t->throttle_group);
    if (!((Filter *)n)->limits)
        return error_set(error, "there is no throttle group '%s'", t->throttle_group);
    if (!block_open_storage(n, t->file, error)) {
        throttle_unref(((Filter *)n)->limits);
        return false;
    }
    n->size = n->file->size;
    n->read_only |= n->file->read_only;
    return true;
}

static void filter_close(BlockNode *n) { throttle_unref(((Filter *)n)->limits); }

static int filter_read(BlockNode *n, const BlockIo *io)
{
    throttle_wait(((Filter *)n)->limits, n->loop, false, io->bytes);
    return block_read(n->file, io);
}

static int filter_write(BlockNode *n, const BlockIo *io)
{
    throttle_wait(((Filter *)n)->limits, n->loop, true, io->bytes);
    return block_write(n->file, io);
}

static int filter_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags)
{
    throttle_wait(((Filter *)n)->limits, n->loop, true, bytes);
    return block_write_zeroes(n->file, offset, bytes, flags);
}

static int filter_discard(BlockNode *n, uint64_t offset, uint64_t bytes)
{
    throttle_wait(((Filter *)n)->limits, n->loop, true, bytes);
    return block_discard(n->file, offset, bytes);
}

static const BlockDriver throttle = {
    .name = "throttle", .id = BLOCKDEV_DRIVER_THROTTLE, .size = sizeof(Filter), .filter = true,
    .open = filter_open, .close = filter_close, .read = filter_read, .write = filter_write,
    .write_zeroes = filter_zeroes, .discard = filter_discard,
};
BLOCK_DRIVER(throttle);
