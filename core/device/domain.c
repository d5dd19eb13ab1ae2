/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domains: the locks of devices. A domain is a recursive lock; a thread may enter domains in the
 * order device, interrupt chip only (then the memory map's lock and a CPU's may follow), and be in
 * one device domain at a time, which debug builds assert.
 *
 * The two ways in which one device reaches another both respect this. A pin that leads to a device
 * of another domain of the same rank is set directly if that lock is free and else posted in order.
 * DMA that lands on registers is posted (writes) or refused (reads); see mem_io_write().
 */
#include <pthread.h>

#include "core/device-internal.h"
#include "core/vm.h"

struct Domain {
    pthread_mutex_t lock;
    GThread *owner;             /* atomic */
    unsigned depth;
    DomainRank rank;
};

struct Domains {
    struct Domain *machine, *intc;
};

enum { MAX_HELD = 8, MAX_NEST = 4 };

/* The thread's domains, outermost first, and the devices whose code it runs. */
static __thread struct {
    struct Domain *held[MAX_HELD];
    unsigned n;
    Device *inside[MAX_NEST];
    unsigned n_inside;
} self;

struct Domain *domain_new(DomainRank rank)
{
    struct Domain *d = g_new0(struct Domain, 1);

    pthread_mutex_init(&d->lock, NULL);
    d->rank = rank;
    return d;
}

void domain_free(struct Domain *d)
{
    pthread_mutex_destroy(&d->lock);
    g_free(d);
}

struct Domains *domains_new(void)
{
    struct Domains *d = g_new0(struct Domains, 1);

    d->machine = domain_new(RANK_DEVICE);
    d->intc = domain_new(RANK_INTC);
    return d;
}

void domains_free(struct Domains *d)
{
    domain_free(d->machine);
    domain_free(d->intc);
    g_free(d);
}

struct Domain *domain_of_machine(struct Domains *d)
{
    return d->machine;
}

struct Domain *domain_of_intc(struct Domains *d)
{
    return d->intc;
}

static bool owned(const struct Domain *d)
{
    return __atomic_load_n(&d->owner, __ATOMIC_RELAXED) == g_thread_self();
}

static void entered(struct Domain *d)
{
    __atomic_store_n(&d->owner, g_thread_self(), __ATOMIC_RELAXED);
    d->depth = 1;
    g_assert(self.n < MAX_HELD);
    self.held[self.n++] = d;
}

bool domain_held(DomainRank rank)
{
    return self.n && self.held[self.n - 1]->rank >= rank;
}

void domain_lock(struct Domain *d)
{
    if (owned(d)) {
        d->depth++;
        return;
    }
#ifndef NDEBUG
    g_assert(!domain_held(d->rank));
#endif
    pthread_mutex_lock(&d->lock);
    entered(d);
}

bool domain_trylock(struct Domain *d)
{
    if (owned(d)) {
        d->depth++;
        return true;
    }
    if (pthread_mutex_trylock(&d->lock) != 0) {
        return false;
    }
    entered(d);
    return true;
}

void domain_unlock(struct Domain *d)
{
    if (--d->depth) {
        return;
    }
    for (unsigned i = self.n; i-- > 0;) {
        if (self.held[i] == d) {
            self.n--;
            for (; i < self.n; i++) {
                self.held[i] = self.held[i + 1];
            }
            break;
        }
    }
    __atomic_store_n(&d->owner, NULL, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&d->lock);
}

void device_lock(Device *d)
{
    if (d->domain) {
        domain_lock(d->domain);
    }
}

void device_unlock(Device *d)
{
    if (d->domain) {
        domain_unlock(d->domain);
    }
}

/* A device's code may use its own registers (through a window of its own, say) at any time. */
static bool may_enter(Device *d, bool write)
{
    if (self.n == 0 || self.held[self.n - 1]->rank < d->domain->rank) {
        return true;
    }
    if (!owned(d->domain)) {
        return false;
    }
    return self.n_inside == 0 || self.inside[self.n_inside - 1] == d ||
           (!write && self.n_inside < MAX_NEST);
}

DomainResult domain_enter(Device *d, bool write)
{
    if (!d->domain) {
        return d->realized ? DOMAIN_ENTERED : DOMAIN_GONE;
    }
    if (self.n_inside == MAX_NEST || !may_enter(d, write)) {
        return DOMAIN_WOULD_NEST;
    }
    domain_lock(d->domain);
    if (!d->realized) {
        domain_unlock(d->domain);
        return DOMAIN_GONE;
    }
    self.inside[self.n_inside++] = d;
    return DOMAIN_ENTERED;
}

void domain_leave(Device *d)
{
    if (d->domain) {
        self.n_inside--;
        domain_unlock(d->domain);
    }
}

bool device_enter(Device *d, bool write)
{
    return domain_enter(d, write) == DOMAIN_ENTERED;
}

void device_leave(Device *d)
{
    domain_leave(d);
}

/* ---- pins ---- */

static void deliver(Pin to, bool level)
{
    const DeviceClass *c = to.dev->cls;

    if (c->pin) {
        c->pin(to.dev, to.n, level);
    }
}

typedef struct PostedPin {
    Pin to;
    bool level;
} PostedPin;

static void run_posted(void *data)
{
    PostedPin *p = data;

    device_lock(p->to.dev);
    if (p->to.dev->realized) {
        deliver(p->to, p->level);
    }
    device_unlock(p->to.dev);
    object_unref(&p->to.dev->object);
    g_free(p);
}

static void post_pin(Pin to, bool level)
{
    PostedPin *p = g_new(PostedPin, 1);

    object_ref(&to.dev->object);
    *p = (PostedPin){to, level};
    loop_post(to.dev->object.vm->loop, run_posted, p);
}

static void send(Pin to, bool level)
{
    struct Domain *d = to.dev ? to.dev->domain : NULL;

    if (!to.dev) {
        return;
    }
    if (!d) {
        deliver(to, level);
    } else if (owned(d) || !domain_held(d->rank)) {
        domain_lock(d);
        deliver(to, level);
        domain_unlock(d);
    } else if (domain_trylock(d)) {
        deliver(to, level);
        domain_unlock(d);
    } else {
        post_pin(to, level);
    }
}

void irq_set(Irq *irq, bool level)
{
    if (irq->level != level) {
        irq->level = level;
        send(irq->to, level);
    }
}

void irq_connect(Irq *irq, Pin to)
{
    irq->to = to;
    if (irq->level) {
        send(to, true);
    }
}
