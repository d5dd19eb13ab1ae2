/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doorbells: stores that the kernel turns into events, without an exit. Linux
 * Documentation/virt/kvm/api.rst, 4.59. Made anew with each change of the map, which are rare.
 */
#include <errno.h>
#include <inttypes.h>
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

static void section(uint64_t pa, const MemSection *s, void *data)
{
    Found *f = data;

    if (s->region && !s->host) {
        f->base = pa;
        f->offset = s->offset;
        f->left = s->left;
        mem_foreach_eventfd(s->region, found, f);
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
    k->any_length = kvm_check(k, KVM_CAP_IOEVENTFD_ANY_LENGTH);
}

void kvm_doorbells_finish(Kvm *k)
{
    if (k->doorbells) {
        take_away(k);
        g_array_unref(k->doorbells);
    }
}
