/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks and timers. Armed timers stand in a binary heap per clock; the vm's loop serves them
 * through two timerfds, one on the monotonic clock and one on the wall clock (which the kernel
 * re-evaluates when the clock is set). With -icount the engine serves the virtual heap itself.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "core/cpu-internal.h"
#include "core/device-internal.h"
#include "core/vm.h"

enum { NONE = -1 };

typedef struct Heap {
    Timer **t;
    unsigned n, room;
} Heap;

struct Clocks {
    Vm *vm;
    pthread_mutex_t lock;
    pthread_cond_t done;        /* a timer without a device has run */
    Heap heap[CLOCK_KINDS];
    Timer *running;             /* without a device: cancel waits for it */
    GThread *runner;
    /* Virtual time is host time plus `offset` while it runs, `stopped_at` while not. */
    bool runs;
    int64_t offset, stopped_at;
    /* -icount */
    int64_t (*icount)(Vm *vm, void *opaque);
    void (*deadline_changed)(Vm *vm, void *opaque);
    void *icount_opaque;
    int64_t warp;               /* skipped while all CPUs slept */
    /* Tests own the time. */
    bool owned;
    int64_t own[CLOCK_KINDS];
    /* -rtc */
    ClockKind rtc_clock;
    int64_t rtc_offset;         /* seconds, guest minus rtc_clock */
    int fd[2];                  /* monotonic, wall */
    LoopFd *watch[2];
};

static int64_t host_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int64_t now_locked(struct Clocks *c, ClockKind kind)
{
    if (c->owned) {
        return c->own[kind];
    }
    switch (kind) {
    case CLOCK_K_HOST:
        return host_ns(CLOCK_REALTIME);
    case CLOCK_K_VIRTUAL:
        if (c->icount) {
            return c->icount(c->vm, c->icount_opaque) + c->warp;
        }
        /* fall through */
    case CLOCK_K_VIRTUAL_RT:
        return c->runs ? host_ns(CLOCK_MONOTONIC) + c->offset : c->stopped_at;
    default:
        return host_ns(CLOCK_MONOTONIC);
    }
}

int64_t clock_ns(Vm *vm, ClockKind kind)
{
    struct Clocks *c = vm->clocks;

    if (!c->owned && kind == CLOCK_K_REALTIME) {
        return host_ns(CLOCK_MONOTONIC);
    }
    if (!c->owned && kind == CLOCK_K_HOST) {
        return host_ns(CLOCK_REALTIME);
    }
    /* The usual case needs no lock: the offset changes only while the machine stands still. */
    if (!c->owned && !c->icount && __atomic_load_n(&c->runs, __ATOMIC_ACQUIRE)) {
        return host_ns(CLOCK_MONOTONIC) + __atomic_load_n(&c->offset, __ATOMIC_RELAXED);
    }
    pthread_mutex_lock(&c->lock);
    int64_t now = now_locked(c, kind);
    pthread_mutex_unlock(&c->lock);
    return now;
}

/* ---- heaps ---- */

static void place(Heap *h, unsigned i, Timer *t)
{
    h->t[i] = t;
    t->heap_index = (int)i;
}

static void sift_up(Heap *h, unsigned i, Timer *t)
{
    while (i && h->t[(i - 1) / 2]->deadline > t->deadline) {
        place(h, i, h->t[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(h, i, t);
}

static void sift_down(Heap *h, unsigned i, Timer *t)
{
    for (unsigned child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && h->t[child + 1]->deadline < h->t[child]->deadline) {
            child++;
        }
        if (h->t[child]->deadline >= t->deadline) {
            break;
        }
        place(h, i, h->t[child]);
    }
    place(h, i, t);
}

static void heap_add(Heap *h, Timer *t)
{
    if (h->n == h->room) {
        h->room = MAX(16, 2 * h->room);
        h->t = g_renew(Timer *, h->t, h->room);
    }
    sift_up(h, h->n++, t);
}

static void heap_remove(Heap *h, Timer *t)
{
    unsigned i = (unsigned)t->heap_index;
    Timer *last = h->t[--h->n];

    t->heap_index = NONE;
    if (last != t) {
        if (i && h->t[(i - 1) / 2]->deadline > last->deadline) {
            sift_up(h, i, last);
        } else {
            sift_down(h, i, last);
        }
    }
}

/* ---- when to wake up ---- */

/* Whether the loop serves this clock now. */
static bool served(struct Clocks *c, ClockKind kind)
{
    if (c->owned) {
        return false;
    }
    return (kind != CLOCK_K_VIRTUAL && kind != CLOCK_K_VIRTUAL_RT) ||
           (c->runs && !(kind == CLOCK_K_VIRTUAL && c->icount));
}

static void on_timerfd(int fd, GIOCondition ready, void *data);

static void set_timerfd(struct Clocks *c, unsigned which, int64_t at)
{
    struct itimerspec spec = {{0, 0}, {0, 0}};

    if (c->fd[which] < 0) {
        if (at == INT64_MAX) {
            return;
        }
        c->fd[which] = timerfd_create(which ? CLOCK_REALTIME : CLOCK_MONOTONIC,
                                      TFD_CLOEXEC | TFD_NONBLOCK);
        c->watch[which] = loop_add_fd(c->vm->loop, c->fd[which], G_IO_IN, on_timerfd, c);
    }
    if (at != INT64_MAX) {
        at = MAX(at, 1);
        spec.it_value.tv_sec = at / 1000000000;
        spec.it_value.tv_nsec = at % 1000000000;
    }
    timerfd_settime(c->fd[which], TFD_TIMER_ABSTIME, &spec, NULL);
}

/* Programs the timerfd that serves this clock; the lock is held. */
static void rearm(struct Clocks *c, ClockKind kind)
{
    int64_t at = INT64_MAX;

    if (kind == CLOCK_K_HOST) {
        if (served(c, kind) && c->heap[kind].n) {
            at = c->heap[kind].t[0]->deadline;
        }
        set_timerfd(c, 1, at);
        return;
    }
    for (ClockKind k = 0; k < CLOCK_KINDS; k++) {
        if (k != CLOCK_K_HOST && served(c, k) && c->heap[k].n) {
            int64_t deadline = c->heap[k].t[0]->deadline;
            if (k != CLOCK_K_REALTIME && __builtin_sub_overflow(deadline, c->offset, &deadline)) {
                deadline = INT64_MAX - 1;
            }
            at = MIN(at, deadline);
        }
    }
    set_timerfd(c, 0, at);
}

static void changed(struct Clocks *c, ClockKind kind)
{
    if (!c->owned && !(kind == CLOCK_K_VIRTUAL && c->icount)) {
        rearm(c, kind);
    }
}

/* ---- timers ---- */

void timer_init(Timer *t, Vm *vm, ClockKind kind, void (*fn)(void *), void *opaque, Device *dev)
{
    *t = (Timer){.vm = vm, .fn = fn, .opaque = opaque, .dev = dev, .deadline = INT64_MAX,
                 .kind = (uint8_t)kind, .heap_index = NONE};
}

void timer_arm(Timer *t, int64_t deadline)
{
    struct Clocks *c = t->vm->clocks;
    Heap *h = &c->heap[t->kind];

    pthread_mutex_lock(&c->lock);
    if (t->heap_index != NONE) {
        heap_remove(h, t);
    }
    t->deadline = deadline == INT64_MAX ? INT64_MAX - 1 : deadline;
    heap_add(h, t);
    bool first = t->heap_index == 0;
    if (first) {
        changed(c, t->kind);
    }
    void (*tell)(Vm *, void *) = first && t->kind == CLOCK_K_VIRTUAL ? c->deadline_changed : NULL;
    pthread_mutex_unlock(&c->lock);
    if (tell) {
        tell(t->vm, c->icount_opaque);
    }
}

void timer_cancel(Timer *t)
{
    struct Clocks *c = t->vm ? t->vm->clocks : NULL;

    if (!c) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    if (t->heap_index != NONE) {
        bool first = t->heap_index == 0;
        heap_remove(&c->heap[t->kind], t);
        if (first) {
            changed(c, t->kind);
        }
    }
    t->deadline = INT64_MAX;
    while (c->running == t && c->runner != g_thread_self()) {
        pthread_cond_wait(&c->done, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

bool timer_armed(const Timer *t)
{
    return t->deadline != INT64_MAX;
}

static Timer *due(struct Clocks *c, ClockKind kind)
{
    Heap *h = &c->heap[kind];

    return h->n && h->t[0]->deadline <= now_locked(c, kind) ? h->t[0] : NULL;
}

static void take(struct Clocks *c, Timer *t)
{
    heap_remove(&c->heap[t->kind], t);
    t->deadline = INT64_MAX;
}

/* Fires one due timer. The lock is held on entry and exit, not while the timer runs. */
static void fire(struct Clocks *c, ClockKind kind, Timer *t)
{
    if (!t->dev) {
        take(c, t);
        c->running = t;
        c->runner = g_thread_self();
        void (*fn)(void *) = t->fn;
        void *opaque = t->opaque;
        pthread_mutex_unlock(&c->lock);
        fn(opaque);
        pthread_mutex_lock(&c->lock);
        c->running = NULL;
        pthread_cond_broadcast(&c->done);
        return;
    }
    /* The domain comes before the lock of the clocks, so look again with both: it may have been
     * cancelled meanwhile. A pointer that is still at the top is a living timer. */
    Device *d = t->dev;
    object_ref(&d->object);
    pthread_mutex_unlock(&c->lock);
    device_lock(d);
    pthread_mutex_lock(&c->lock);
    bool still = due(c, kind) == t && t->dev == d;
    if (still) {
        take(c, t);
    }
    pthread_mutex_unlock(&c->lock);
    if (still) {
        t->fn(t->opaque);
    }
    device_unlock(d);
    object_unref(&d->object);
    pthread_mutex_lock(&c->lock);
}

bool clock_run(Vm *vm, ClockKind kind)
{
    struct Clocks *c = vm->clocks;
    bool fired = false;

    pthread_mutex_lock(&c->lock);
    for (Timer *t; (t = due(c, kind)) != NULL;) {
        fire(c, kind, t);
        fired = true;
    }
    pthread_mutex_unlock(&c->lock);
    return fired;
}

static void on_timerfd(int fd, GIOCondition ready, void *data)
{
    struct Clocks *c = data;
    uint64_t ticks;

    /* ECANCELED and EAGAIN need nothing: the heaps say what is due. */
    if (read(fd, &ticks, sizeof(ticks)) < 0 && errno == EBADF) {
        return;
    }
    for (ClockKind kind = 0; kind < CLOCK_KINDS; kind++) {
        pthread_mutex_lock(&c->lock);
        bool mine = served(c, kind) && (kind == CLOCK_K_HOST) == (fd == c->fd[1]);
        pthread_mutex_unlock(&c->lock);
        if (mine) {
            clock_run(c->vm, kind);
        }
    }
    pthread_mutex_lock(&c->lock);
    rearm(c, fd == c->fd[1] ? CLOCK_K_HOST : CLOCK_K_REALTIME);
    pthread_mutex_unlock(&c->lock);
}

int64_t clock_deadline(Vm *vm, ClockKind kind)
{
    struct Clocks *c = vm->clocks;

    pthread_mutex_lock(&c->lock);
    int64_t at = c->heap[kind].n ? c->heap[kind].t[0]->deadline : INT64_MAX;
    pthread_mutex_unlock(&c->lock);
    return at;
}

/* ---- running and standing still ---- */

void clock_stop(Vm *vm)
{
    struct Clocks *c = vm->clocks;

    pthread_mutex_lock(&c->lock);
    if (c->runs) {
        c->stopped_at = host_ns(CLOCK_MONOTONIC) + c->offset;
        __atomic_store_n(&c->runs, false, __ATOMIC_RELEASE);
        rearm(c, CLOCK_K_VIRTUAL);
    }
    pthread_mutex_unlock(&c->lock);
}

void clock_start(Vm *vm)
{
    struct Clocks *c = vm->clocks;

    pthread_mutex_lock(&c->lock);
    if (!c->runs) {
        __atomic_store_n(&c->offset, c->stopped_at - host_ns(CLOCK_MONOTONIC), __ATOMIC_RELAXED);
        __atomic_store_n(&c->runs, true, __ATOMIC_RELEASE);
        rearm(c, CLOCK_K_VIRTUAL);
    }
    pthread_mutex_unlock(&c->lock);
}

void clock_set_virtual(Vm *vm, int64_t ns)
{
    struct Clocks *c = vm->clocks;

    pthread_mutex_lock(&c->lock);
    if (c->owned) {
        c->own[CLOCK_K_VIRTUAL] = c->own[CLOCK_K_VIRTUAL_RT] = ns;
    }
    c->stopped_at = ns;
    if (c->runs) {
        __atomic_store_n(&c->offset, ns - host_ns(CLOCK_MONOTONIC), __ATOMIC_RELAXED);
    }
    rearm(c, CLOCK_K_VIRTUAL);
    pthread_mutex_unlock(&c->lock);
}

/* ---- -icount ---- */

void clock_icount(Vm *vm, int64_t (*now)(Vm *vm, void *opaque),
                  void (*deadline_changed)(Vm *vm, void *opaque), void *opaque)
{
    struct Clocks *c = vm->clocks;

    pthread_mutex_lock(&c->lock);
    c->icount = now;
    c->deadline_changed = deadline_changed;
    c->icount_opaque = opaque;
    pthread_mutex_unlock(&c->lock);
}

bool clock_counts(Vm *vm)
{
    return vm->clocks->icount;
}

bool clock_warp(Vm *vm)
{
    struct Clocks *c = vm->clocks;
    bool warped = false;

    pthread_mutex_lock(&c->lock);
    if (c->icount && c->heap[CLOCK_K_VIRTUAL].n) {
        int64_t ahead = c->heap[CLOCK_K_VIRTUAL].t[0]->deadline - now_locked(c, CLOCK_K_VIRTUAL);
        if (ahead > 0) {
            c->warp += ahead;
        }
        warped = true;
    }
    pthread_mutex_unlock(&c->lock);
    return warped;
}

/* ---- tests ---- */

void clock_own(Vm *vm)
{
    struct Clocks *c = vm->clocks;

    pthread_mutex_lock(&c->lock);
    c->owned = true;
    for (ClockKind kind = 0; kind < CLOCK_KINDS; kind++) {
        c->own[kind] = 0;
    }
    pthread_mutex_unlock(&c->lock);
}

/* The earliest deadline of all clocks as a distance from now. */
static int64_t distance(struct Clocks *c)
{
    int64_t min = INT64_MAX;

    for (ClockKind kind = 0; kind < CLOCK_KINDS; kind++) {
        if (c->heap[kind].n) {
            min = MIN(min, MAX(c->heap[kind].t[0]->deadline - c->own[kind], 0));
        }
    }
    return min;
}

void clock_step(Vm *vm, int64_t ns)
{
    struct Clocks *c = vm->clocks;

    for (;;) {
        pthread_mutex_lock(&c->lock);
        int64_t step = MIN(distance(c), ns);
        for (ClockKind kind = 0; kind < CLOCK_KINDS; kind++) {
            c->own[kind] += step;
        }
        pthread_mutex_unlock(&c->lock);
        bool fired = false;
        for (ClockKind kind = 0; kind < CLOCK_KINDS; kind++) {
            fired |= clock_run(vm, kind);
        }
        ns -= step;
        if (ns == 0 && !fired) {
            return;
        }
    }
}

/* ---- the guest's wall clock ---- */

void clock_set_rtc(Vm *vm, ClockKind kind, int64_t base_seconds)
{
    struct Clocks *c = vm->clocks;

    c->rtc_clock = kind;
    c->rtc_offset = base_seconds - clock_ns(vm, kind) / 1000000000;
}

int64_t wall_clock_ns(Vm *vm)
{
    struct Clocks *c = vm->clocks;

    return clock_ns(vm, c->rtc_clock) + c->rtc_offset * 1000000000ll;
}

int64_t wall_clock(Device *d)
{
    return wall_clock_ns(d->object.vm) / 1000000000;
}

void timer_at(Timer *t, int64_t seconds)
{
    struct Clocks *c = t->vm->clocks;
    int64_t ns;

    timer_cancel(t);
    t->kind = (uint8_t)c->rtc_clock;
    if (__builtin_sub_overflow(seconds, c->rtc_offset, &seconds) ||
        __builtin_mul_overflow(seconds, 1000000000ll, &ns)) {
        return;                 /* in hundreds of years: never */
    }
    timer_arm(t, ns);
}

/* ---- life ---- */

struct Clocks *clocks_new(Vm *vm)
{
    struct Clocks *c = g_new0(struct Clocks, 1);

    c->vm = vm;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->done, NULL);
    c->fd[0] = c->fd[1] = -1;
    c->rtc_clock = CLOCK_K_HOST;
    return c;
}

void clocks_free(struct Clocks *c)
{
    for (unsigned i = 0; i < 2; i++) {
        loop_fd_free(c->watch[i]);
        if (c->fd[i] >= 0) {
            close(c->fd[i]);
        }
    }
    for (ClockKind kind = 0; kind < CLOCK_KINDS; kind++) {
        g_free(c->heap[kind].t);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->done);
    g_free(c);
}
