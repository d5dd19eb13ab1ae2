/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores without an exit each: doorbells, which the kernel turns into events, and windows whose stores it
 * gathers in a ring. Linux Documentation/virt/kvm/api.rst, 4.59, 4.116 and 5 (coalesced MMIO). Made anew
 * with each change of the map, which are rare.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "accel/kvm/kvm.h"
#include "util/log.h"

typedef struct Doorbell {
    struct kvm_ioeventfd e;     /* fd: a duplicate of ours, by which it is taken away */
} Doorbell;

typedef struct Found {
    Kvm *k;
    GArray *all;
    uint64_t base, offset, left;
    bool io;
} Found;

static void found(const MemEventfd *m, void *data)
{
    Found *f = data;
    uint64_t end = f->offset + f->left;

    if (m->at < f->offset || (f->left && m->at >= end) || (m->size == 0 && !f->k->any_length)) {
        return;                 /* not in this section; such stores exit and ring it then */
    }
    Doorbell d = {.e = {.datamatch = m->value, .addr = f->base + (m->at - f->offset), .len = m->size,
                        .fd = dup(m->fd),
                        .flags = (m->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
                                 (f->io ? KVM_IOEVENTFD_FLAG_PIO : 0u)}};
    if (d.e.fd >= 0 && kvm_ioctl(f->k->fd, KVM_IOEVENTFD, &d.e) == 0) {
        trace(doorbell, "%s 0x%" PRIx64 " size %u", f->io ? "port" : "memory", (uint64_t)d.e.addr,
              d.e.len);
        g_array_append_val(f->all, d);
    } else if (d.e.fd >= 0) {
        close(d.e.fd);
    }
}

/* ---- gathered stores ---- */

static void gather(Found *f, uint64_t size)
{
    struct kvm_coalesced_mmio_zone z = {.addr = f->base, .size = (uint32_t)MIN(size, 1u << 31), .pio = f->io};

    if (f->k->ring_page && (!f->io || f->k->gather_ports) &&
        kvm_ioctl(f->k->fd, KVM_REGISTER_COALESCED_MMIO, &z) == 0) {
        trace(gather, "%s 0x%" PRIx64 " size 0x%x", f->io ? "ports" : "memory", (uint64_t)z.addr, z.size);
        g_array_append_val(f->k->zones, z);
    }
}

/* One ring for the machine; whoever comes second leaves it to the first, who may need what the second
 * holds. */
void kvm_gathered(Kvm *k)
{
    Vm *vm = k->accel.vm;

    if (!k->zones || !k->zones->len || !k->cpus[0] || pthread_mutex_trylock(&k->gather_lock)) {
        return;
    }
    struct kvm_coalesced_mmio_ring *ring =
        (void *)((uint8_t *)k->cpus[0]->run + k->ring_page * (size_t)getpagesize());
    unsigned most = ((unsigned)getpagesize() - sizeof(*ring)) / sizeof(ring->coalesced_mmio[0]);
    while (ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) && ring->first < most) {
        const struct kvm_coalesced_mmio *e = &ring->coalesced_mmio[ring->first];
        uint64_t v = 0;
        unsigned n = MIN(e->len, 8);
        memcpy(&v, e->data, n);
        as_store(e->pio ? vm->io : vm->memory, e->phys_addr, n, v);
        __atomic_store_n(&ring->first, (ring->first + 1) % most, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&k->gather_lock);
}

static void section(uint64_t pa, const MemSection *s, void *data)
{
    Found *f = data;

    if (s->region && !s->host) {
        f->base = pa;
        f->offset = s->offset;
        f->left = s->left;
        mem_foreach_eventfd(s->region, found, f);
        if (mem_is_coalesced(s->region)) {
            gather(f, s->left);
        }
    }
}

static void take_away(Kvm *k)
{
    for (unsigned i = 0; i < k->doorbells->len; i++) {
        Doorbell *d = &g_array_index(k->doorbells, Doorbell, i);
        d->e.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
        kvm_ioctl(k->fd, KVM_IOEVENTFD, &d->e);
        close(d->e.fd);
    }
    g_array_set_size(k->doorbells, 0);
    for (unsigned i = 0; i < k->zones->len; i++) {
        kvm_ioctl(k->fd, KVM_UNREGISTER_COALESCED_MMIO,
                  &g_array_index(k->zones, struct kvm_coalesced_mmio_zone, i));
    }
    g_array_set_size(k->zones, 0);
}

void kvm_doorbells_changed(Kvm *k)
{
    Vm *vm = k->accel.vm;
    Found f = {.k = k, .all = k->doorbells};

    take_away(k);
    as_foreach(vm->memory, section, &f);
    f.io = true;
    as_foreach(vm->io, section, &f);
}

void kvm_doorbells_start(Kvm *k)
{
    k->doorbells = g_array_new(FALSE, FALSE, sizeof(Doorbell));
    k->zones = g_array_new(FALSE, FALSE, sizeof(struct kvm_coalesced_mmio_zone));
    k->ring_page = (unsigned)kvm_check(k, KVM_CAP_COALESCED_MMIO);
    k->gather_ports = kvm_check(k, KVM_CAP_COALESCED_PIO);
    k->any_length = kvm_check(k, KVM_CAP_IOEVENTFD_ANY_LENGTH);
}

void kvm_doorbells_finish(Kvm *k)
{
    if (k->doorbells) {
        take_away(k);
        g_array_unref(k->doorbells);
        g_array_unref(k->zones);
    }
}
