/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt messages that the kernel delivers: at once (KVM_SIGNAL_MSI), or whenever an eventfd is
 * signalled (KVM_IRQFD with a route). Linux Documentation/virt/kvm/api.rst, 4.52, 4.70, 4.75.
 *
 * The kernel takes the whole table of routes with each change, which is dear. So a route that goes stays
 * in it until something else is written, and changed ones wait for commit().
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "accel/kvm/kvm.h"
#include "util/log.h"

#define WINDOW 0xfee00000ull
#define WINDOW_BITS 0xffffffff000fffffull      /* of an address, besides the window's own */

typedef struct Route {
    int fd;                     /* -1: free */
    uint64_t address;
    uint32_t data;
} Route;

struct KvmMessages {
    pthread_mutex_t lock;
    GArray *routes;             /* Route; the interrupt's number is `first` and the index */
    unsigned first, limit, used, most;
    bool dirty;
    uint64_t commits, sent;     /* sent: atomic */
    MsiTarget target;
};

/* A message to elsewhere interrupts nobody, and the kernel would refuse the table for it. */
static bool deliverable(const Route *r)
{
    return r->fd >= 0 && (r->address & ~WINDOW_BITS) == WINDOW && !(r->address >> 32 & 0xff);
}

/* With the lock. */
static bool write_table(Kvm *k)
{
    KvmMessages *m = k->messages;
    unsigned all = KVM_ARCH_ROUTES + m->routes->len;
    g_autofree struct kvm_irq_routing *t = g_malloc0(sizeof(*t) + all * sizeof(t->entries[0]));

    t->nr = kvm_arch_routes(k, t->entries);
    for (unsigned i = 0; i < m->routes->len; i++) {
        const Route *r = &g_array_index(m->routes, Route, i);
        if (deliverable(r)) {
            t->entries[t->nr++] = (struct kvm_irq_routing_entry){
                .gsi = m->first + i, .type = KVM_IRQ_ROUTING_MSI,
                .u.msi = {.address_lo = (uint32_t)r->address, .address_hi = (uint32_t)(r->address >> 32),
                          .data = r->data},
            };
        }
    }
    m->dirty = false;
    m->commits++;
    trace(routes, "%u routes, %u of them with eventfds", t->nr, m->used);
    return kvm_ioctl(k->fd, KVM_SET_GSI_ROUTING, t) == 0;
}

bool kvm_write_routes(Kvm *k)
{
    pthread_mutex_lock(&k->messages->lock);
    bool ok = write_table(k);
    pthread_mutex_unlock(&k->messages->lock);
    return ok;
}

/* ---- what senders use ---- */

void kvm_msi(Accel *a, uint64_t address, uint32_t data)
{
    Kvm *k = (Kvm *)a;
    struct kvm_msi m = {.address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32),
                        .data = data};

    __atomic_add_fetch(&k->messages->sent, 1, __ATOMIC_RELAXED);
    kvm_ioctl(k->fd, KVM_SIGNAL_MSI, &m);
}

static void send(void *opaque, const MsiMessage *m) { kvm_msi(opaque, m->address, m->data); }

static bool irqfd(Kvm *k, unsigned n, int fd, bool on)
{
    struct kvm_irqfd f = {.fd = (uint32_t)fd, .gsi = k->messages->first + n,
                          .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN};

    return kvm_ioctl(k->fd, KVM_IRQFD, &f) == 0;
}

/* Index of a free route; -1: there is none. */
static int find_free(KvmMessages *m)
{
    if (m->used < m->routes->len) {
        for (unsigned i = 0; i < m->routes->len; i++) {
            if (g_array_index(m->routes, Route, i).fd < 0) {
                return (int)i;
            }
        }
    }
    if (m->first + m->routes->len >= m->limit) {
        return -1;
    }
    g_array_append_val(m->routes, (Route){.fd = -1});
    return (int)m->routes->len - 1;
}

static int route_add(void *opaque, const MsiMessage *message, int fd)
{
    Kvm *k = opaque;
    KvmMessages *m = k->messages;

    pthread_mutex_lock(&m->lock);
    int n = find_free(m);
    if (n >= 0) {
        Route *r = &g_array_index(m->routes, Route, n);
        *r = (Route){fd, message->address, message->data};
        if (!deliverable(r) || !write_table(k) || !irqfd(k, (unsigned)n, fd, true)) {
            r->fd = -1;
            n = -1;
        }
    }
    if (n >= 0) {
        m->used++;
        m->most = MAX(m->most, m->used);
        trace(route_add, "%u: 0x%" PRIx64 " <- 0x%x", m->first + (unsigned)n, message->address,
              message->data);
    }
    pthread_mutex_unlock(&m->lock);
    return n;
}

static void route_change(void *opaque, int handle, const MsiMessage *message)
{
    KvmMessages *m = ((Kvm *)opaque)->messages;

    pthread_mutex_lock(&m->lock);
    Route *r = &g_array_index(m->routes, Route, handle);
    if (r->address != message->address || r->data != message->data) {
        r->address = message->address;
        r->data = message->data;
        m->dirty = true;
    }
    pthread_mutex_unlock(&m->lock);
}

static void route_commit(void *opaque)
{
    Kvm *k = opaque;

    pthread_mutex_lock(&k->messages->lock);
    if (k->messages->dirty) {
        write_table(k);
    }
    pthread_mutex_unlock(&k->messages->lock);
}

static void route_remove(void *opaque, int handle)
{
    Kvm *k = opaque;
    KvmMessages *m = k->messages;

    pthread_mutex_lock(&m->lock);
    Route *r = &g_array_index(m->routes, Route, handle);
    irqfd(k, (unsigned)handle, r->fd, false);
    r->fd = -1;
    m->used--;
    pthread_mutex_unlock(&m->lock);
}

const MsiTarget *kvm_messages(Accel *a) { return &((Kvm *)a)->messages->target; }

/* ---- life ---- */

void kvm_messages_start(Kvm *k, unsigned first)
{
    KvmMessages *m = k->messages = g_new0(KvmMessages, 1);

    pthread_mutex_init(&m->lock, NULL);
    m->routes = g_array_new(FALSE, FALSE, sizeof(Route));
    m->first = first;
    m->limit = (unsigned)kvm_check(k, KVM_CAP_IRQ_ROUTING);
    m->target = (MsiTarget){.send = send, .opaque = k};
    if (m->limit > first && kvm_check(k, KVM_CAP_IRQFD)) {
        m->target.route_add = route_add;
        m->target.route_change = route_change;
        m->target.route_commit = route_commit;
        m->target.route_remove = route_remove;
    }
}

void kvm_messages_finish(Kvm *k)
{
    if (k->messages) {
        pthread_mutex_destroy(&k->messages->lock);
        g_array_unref(k->messages->routes);
        g_clear_pointer(&k->messages, g_free);
    }
}

void kvm_messages_info(Kvm *k, GString *out)
{
    KvmMessages *m = k->messages;

    if (!m) {
        return;
    }
    pthread_mutex_lock(&m->lock);
    g_string_append_printf(out, "messages: %u routes with eventfds (at most %u), table written %" PRIu64
                           " times, %" PRIu64 " sent without a route\n", m->used, m->most, m->commits,
                           __atomic_load_n(&m->sent, __ATOMIC_RELAXED));
    pthread_mutex_unlock(&m->lock);
}
