/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as KVM's memory slots, made from the flat view; dirty logs of them.
 * Linux Documentation/virt/kvm/api.rst: 4.35, 4.8, 8.29.
 *
 * A change of the map takes away slots that differ and adds the new ones. While a slot is away a vCPU's
 * access exits as MMIO, which finds the RAM through the map: nothing is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "accel/kvm/kvm.h"
#include "util/log.h"

typedef struct KvmSlot {
    uint32_t id;
    uint64_t pa, size, ram_offset;
    uint8_t *host;
    bool readonly, seen;
    bool used;                  /* a free row else */
} KvmSlot;

enum { PAGE = 4096 };
#define SPARE_PA 0xfeffb000ull  /* below the firmware, where PCs have nothing */

static KvmSlot *slot_at(Kvm *k, unsigned i) { return &g_array_index(k->slots, KvmSlot, i); }

static bool set_slot(Kvm *k, const KvmSlot *s, uint64_t size)
{
    struct kvm_userspace_memory_region r = {
        .slot = s->id, .guest_phys_addr = s->pa, .memory_size = size,
        .userspace_addr = (uintptr_t)s->host,
        .flags = (s->readonly ? KVM_MEM_READONLY : 0u) |
                 (k->logging && !s->readonly ? KVM_MEM_LOG_DIRTY_PAGES : 0u),
    };

    trace(slot, "%u at 0x%" PRIx64 " size 0x%" PRIx64 " flags %x", s->id, s->pa, size, r.flags);
    if (kvm_ioctl(k->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0) {
        g_printerr("kvm: memory at 0x%" PRIx64 ": %s\n", s->pa, g_strerror(errno));
        return false;
    }
    return true;
}

/* ---- from the map ---- */

typedef struct Wanted {
    Kvm *k;
    GArray *new;                /* KvmSlot */
} Wanted;

static void want(uint64_t pa, const MemSection *m, void *data)
{
    Wanted *w = data;
    uint64_t skip = -pa & (PAGE - 1);

    if (!m->host || m->left < skip + PAGE) {
        return;
    }
    KvmSlot s = {
        .pa = pa + skip, .size = (m->left - skip) & ~(uint64_t)(PAGE - 1), .host = m->host + skip,
        .ram_offset = m->ram_offset + skip, .readonly = m->readonly, .used = true,
    };
    if ((uintptr_t)s.host & (PAGE - 1)) {
        return;                 /* accesses go the way of I/O */
    }
    for (unsigned i = 0; i < w->k->slots->len; i++) {
        KvmSlot *old = slot_at(w->k, i);
        if (old->used && old->pa == s.pa && old->size == s.size && old->host == s.host &&
            old->readonly == s.readonly) {
            old->seen = true;
            return;
        }
    }
    g_array_append_val(w->new, s);
}

static void collect(Kvm *k);

static void add(Kvm *k, KvmSlot s)
{
    for (s.id = 0; s.id < k->slots->len && slot_at(k, s.id)->used; s.id++) {
    }
    if (s.id >= k->max_slots - 1) {
        g_printerr("kvm: the kernel has no slot left for memory at 0x%" PRIx64 "\n", s.pa);
        return;
    }
    if (s.id == k->slots->len) {
        g_array_append_val(k->slots, s);
    } else {
        *slot_at(k, s.id) = s;
    }
    set_slot(k, &s, s.size);
}

static void memory_changed(Vm *vm, void *data)
{
    Kvm *k = data;
    g_autoptr(GArray) new = g_array_new(FALSE, TRUE, sizeof(KvmSlot));
    Wanted w = {k, new};

    if (vm->freeing) {
        return;                 /* the accelerator may be gone */
    }
    pthread_mutex_lock(&k->lock);
    for (unsigned i = 0; i < k->slots->len; i++) {
        slot_at(k, i)->seen = false;
    }
    as_foreach(vm->memory, want, &w);
    if (k->logging) {
        collect(k);
    }
    for (unsigned i = 0; i < k->slots->len; i++) {
        KvmSlot *s = slot_at(k, i);
        if (s->used && !s->seen) {
            set_slot(k, s, 0);
            s->used = false;
        }
    }
    for (unsigned i = 0; i < new->len; i++) {
        add(k, g_array_index(new, KvmSlot, i));
    }
    kvm_doorbells_changed(k);
    pthread_mutex_unlock(&k->lock);
}

/* ---- dirty logs ---- */

void kvm_log(Kvm *k, bool on)
{
    pthread_mutex_lock(&k->lock);
    if (k->logging != on) {
        k->logging = on;
        for (unsigned i = 0; i < k->slots->len; i++) {
            KvmSlot *s = slot_at(k, i);
            if (s->used && !s->readonly) {
                set_slot(k, s, s->size);
            }
        }
    }
    pthread_mutex_unlock(&k->lock);
}

static void collect_slot(Kvm *k, const KvmSlot *s)
{
    size_t bytes = (s->size / PAGE + 63) / 64 * 8;

    if (bytes > k->bitmap_bytes) {
        g_free(k->bitmap);
        k->bitmap = g_malloc(bytes);
        k->bitmap_bytes = bytes;
    }
    struct kvm_dirty_log log = {.slot = s->id, .dirty_bitmap = k->bitmap};
    if (kvm_ioctl(k->fd, KVM_GET_DIRTY_LOG, &log) < 0) {
        return;
    }
    for (size_t i = 0; i < bytes / 8; i++) {
        for (uint64_t bits = k->bitmap[i]; bits; bits &= bits - 1) {
            uint64_t page = i * 64 + (unsigned)__builtin_ctzll(bits);
            ram_written(k->accel.vm, s->ram_offset + page * PAGE, PAGE);
        }
    }
}

/* Takes a vCPU's entries; the kernel protects their pages anew afterwards. */
static bool collect_ring(Kvm *k, KvmCpu *c)
{
    bool any = false;

    for (;; c->ring_next++) {
        struct kvm_dirty_gfn *e = &c->ring[c->ring_next & (k->ring_size - 1)];
        if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY) {
            return any;
        }
        if (e->slot < k->slots->len && slot_at(k, e->slot)->used &&
            e->offset < slot_at(k, e->slot)->size / PAGE) {
            ram_written(k->accel.vm, slot_at(k, e->slot)->ram_offset + e->offset * PAGE, PAGE);
        }
        __atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        any = true;
    }
}

static void collect(Kvm *k)
{
    bool any = false;

    if (!k->ring_size) {
        for (unsigned i = 0; i < k->slots->len; i++) {
            const KvmSlot *s = slot_at(k, i);
            if (s->used && !s->readonly) {
                collect_slot(k, s);
            }
        }
        return;
    }
    for (unsigned i = 0; i < k->accel.vm->n_cpus; i++) {
        if (k->cpus[i] && k->cpus[i]->ring) {
            any |= collect_ring(k, k->cpus[i]);
        }
    }
    if (any) {
        kvm_ioctl(k->fd, KVM_RESET_DIRTY_RINGS, 0);
    }
}

void kvm_log_collect(Kvm *k)
{
    pthread_mutex_lock(&k->lock);
    if (k->logging) {
        collect(k);
    }
    pthread_mutex_unlock(&k->lock);
}

/*
 * Without second-level translation in hardware the kernel keeps its own copies of the guest's page
 * tables and learns of changes by protecting them from the guest, not from us. Taking a slot away makes
 * it drop all copies.
 */
void kvm_forget_shadows(Kvm *k)
{
    if (!k->shadow_paging) {
        return;
    }
    KvmSlot dummy = {.id = k->max_slots - 1, .pa = SPARE_PA, .host = k->spare_page, .readonly = true};
    pthread_mutex_lock(&k->lock);
    set_slot(k, &dummy, PAGE);
    set_slot(k, &dummy, 0);
    pthread_mutex_unlock(&k->lock);
}

void kvm_slots_start(Kvm *k)
{
    k->slots = g_array_new(FALSE, TRUE, sizeof(KvmSlot));
    k->spare_page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    kvm_doorbells_start(k);
    mem_on_change(k->accel.vm, memory_changed, k);
    memory_changed(k->accel.vm, k);
}

void kvm_slots_finish(Kvm *k)
{
    kvm_doorbells_finish(k);
    if (k->slots) {
        g_array_unref(k->slots);
    }
    g_free(k->bitmap);
    if (k->spare_page) {
        munmap(k->spare_page, PAGE);
    }
}
