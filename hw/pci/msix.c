/* SPDX-License-Identifier: Apache-2.0 */
/* MSI-X: a table of messages in a BAR. PCI Local Bus 3.0, 6.8.2. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "core/cpu.h"
#include "hw/pci/internal.h"
#include "util/error.h"
#include "util/log.h"

enum {
    ENABLE = 0x8000, MASK_ALL = 0x4000, ENTRY = 16, VECTOR_CONTROL = 12,
    CAP_SIZE = 12, MAX_VECTORS = 2048,
};

/* Eventfds that the accelerator turns into messages, of vectors that came from other threads than a CPU's. */
typedef struct Vector {
    int fd, route;              /* -1: none */
    MsiMessage message;         /* what the route delivers */
} Vector;

typedef struct PciVectors {
    const MsiTarget *target;
    Vector v[];
} PciVectors;

unsigned pci_msix_vectors(const PciDevice *p)
{
    return p->msix_pba / ENTRY;         /* what was allocated, whatever config space says */
}

static uint16_t control(const PciDevice *p) { return pci_get16(p, p->msix_at + MSIX_CONTROL); }
bool pci_msix_enabled(const PciDevice *p) { return p->msix_at && control(p) & ENABLE; }

/* ---- entries; irq_lock held ---- */

static uint32_t word(const PciDevice *p, unsigned at)
{
    uint32_t v;
    memcpy(&v, p->msix_table + at, 4);
    return GUINT32_FROM_LE(v);
}

static MsiMessage message(const PciDevice *p, unsigned n)
{
    return (MsiMessage){word(p, n * ENTRY) | (uint64_t)word(p, n * ENTRY + 4) << 32,
                        word(p, n * ENTRY + 8), pci_dma_requester(p)};
}

static bool masked(const PciDevice *p, unsigned n)
{
    return control(p) & MASK_ALL || !(control(p) & ENABLE) || word(p, n * ENTRY + VECTOR_CONTROL) & 1;
}

static bool pending(const PciDevice *p, unsigned n) { return p->msix_table[p->msix_pba + n / 8] >> n % 8 & 1; }

static void set_pending(PciDevice *p, unsigned n, bool on)
{
    uint8_t *byte = &p->msix_table[p->msix_pba + n / 8];
    *byte = (*byte & ~(1 << n % 8)) | on << n % 8;
}

static void entry_changed(PciDevice *p, unsigned n)
{
    if (pending(p, n) && !masked(p, n)) {
        MsiMessage m = message(p, n);
        set_pending(p, n, false);
        pci_send_message(p, m.address, m.data);
    }
}

/* ---- eventfds; irq_lock held ---- */

static void release(PciDevice *p)
{
    PciVectors *all = p->vectors;
    for (unsigned n = 0; all && n < pci_msix_vectors(p); n++) {
        if (all->v[n].route >= 0)
            all->target->route_remove(all->target->opaque, all->v[n].route);
        if (all->v[n].fd >= 0)
            close(all->v[n].fd);
    }
    g_clear_pointer(&p->vectors, g_free);
}

static Vector *vector(PciDevice *p, unsigned n)
{
    if (!p->vectors) {
        unsigned count = pci_msix_vectors(p);
        p->vectors = g_malloc(sizeof(PciVectors) + count * sizeof(Vector));
        p->vectors->target = pci_function_msi(p);
        for (unsigned i = 0; i < count; i++)
            p->vectors->v[i] = (Vector){-1, -1, {0}};
    }
    return &p->vectors->v[n];
}

/* The route follows the table when the vector is next sent: what the guest writes in between costs nothing. */
static bool follow(Vector *v, const MsiTarget *t, const MsiMessage *m)
{
    if (v->fd < 0)
        v->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (v->fd >= 0 && v->route < 0) {
        v->route = t->route_add(t->opaque, m, v->fd);
    } else if (v->route >= 0 && (v->message.address != m->address || v->message.data != m->data ||
                                 v->message.requester != m->requester)) {
        t->route_change(t->opaque, v->route, m);
        t->route_commit(t->opaque);
    }
    v->message = *m;
    return v->route >= 0 && (!t->route_live || t->route_live(t->opaque, v->route));
}

/* False: not for a CPU's thread, which has the message sent at once, nor without an accelerator's help. */
static bool signal_vector(PciDevice *p, unsigned n, const MsiMessage *m)
{
    const MsiTarget *t = pci_function_msi(p);
    uint64_t one = 1;
    if (!t || !t->route_add || cpu_current() || !pci_is_master(p))
        return false;
    Vector *v = vector(p, n);
    if (!follow(v, t, m))
        return false;
    trace(signal_vector, "%s vector %u by eventfd, route %d", p->dev.object.type->name, n, v->route);
    return write(v->fd, &one, sizeof(one)) == sizeof(one);
}

bool pci_msix_send(PciDevice *p, unsigned n)
{
    if (!pci_msix_enabled(p))
        return false;
    if (n >= pci_msix_vectors(p))
        return true;
    g_mutex_lock(&p->irq_lock);
    if (masked(p, n)) {
        set_pending(p, n, true);
    } else {
        MsiMessage m = message(p, n);
        if (!signal_vector(p, n, &m))
            pci_send_message(p, m.address, m.data);
    }
    g_mutex_unlock(&p->irq_lock);
    return true;
}

void pci_msix_update(PciDevice *p)
{
    g_mutex_lock(&p->irq_lock);
    if (!pci_msix_enabled(p))
        release(p);
    for (unsigned n = 0; n < pci_msix_vectors(p); n++)
        entry_changed(p, n);
    g_mutex_unlock(&p->irq_lock);
}

/* ---- the table and the pending bits, as the guest sees them ---- */

static uint64_t read_table(void *opaque, uint64_t at, unsigned size)
{
    PciDevice *p = opaque;
    uint64_t v = 0;
    g_mutex_lock(&p->irq_lock);
    memcpy(&v, p->msix_table + at, size);
    g_mutex_unlock(&p->irq_lock);
    return GUINT64_FROM_LE(v);
}

static void write_table(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    PciDevice *p = opaque;
    value = GUINT64_TO_LE(value);
    g_mutex_lock(&p->irq_lock);
    memcpy(p->msix_table + at, &value, size);
    entry_changed(p, at / ENTRY);
    g_mutex_unlock(&p->irq_lock);
}

static uint64_t read_pba(void *opaque, uint64_t at, unsigned size)
{
    return read_table(opaque, ((PciDevice *)opaque)->msix_pba + at, size);
}

static const MemOps table_ops = {.read = read_table, .write = write_table, .min_access = 4, .no_lock = true};
static const MemOps pba_ops = {.read = read_pba, .no_lock = true};

/* ---- set-up ---- */

bool pci_add_msix(PciDevice *p, const PciMsix *msix, GError **error)
{
    unsigned table = msix->vectors * ENTRY, pba = (msix->vectors + 63) / 64 * 8;
    uint32_t table_at = msix->table, pba_at = msix->pba;
    if (msix->vectors == 0 || msix->vectors > MAX_VECTORS)
        return error_set(error, "%u MSI-X vectors are not possible: 1 to 2048", msix->vectors);
    if (!p->bar[msix->bar].size) {
        /* A BAR for both: the table in the lower half, at least a page together. */
        uint64_t half = 2048;
        while (half < table)
            half <<= 1;
        PciBar bar = {.kind = PCI_BAR_MEM32, .size = 2 * half, .name = "msix"};
        table_at = 0;
        pba_at = half;
        if (!pci_add_bar(p, msix->bar, &bar, NULL, error))
            return false;
    }
    unsigned at = pci_add_capability(p, PCI_CAP_MSIX, CAP_SIZE, msix->at, error);
    if (!at)
        return false;
    p->msix_at = at;
    pci_init16(p, at + MSIX_CONTROL, msix->vectors - 1, ENABLE | MASK_ALL, 0);
    pci_init32(p, at + MSIX_TABLE, table_at | msix->bar, 0, 0);
    pci_init32(p, at + MSIX_PBA, pba_at | msix->bar, 0, 0);
    p->msix_pba = table;
    p->msix_bytes = table + pba;
    p->msix_table = g_malloc0(p->msix_bytes);
    Object *o = &p->dev.object;
    MemRegion *bar = pci_bar_region(p, msix->bar);
    mem_add(bar, table_at, mem_io(o, "msix-table", table, &table_ops, p, &p->dev), 1);
    mem_add(bar, pba_at, mem_io(o, "msix-pba", pba, &pba_ops, p, &p->dev), 1);
    return true;
}

void pci_vectors_free(PciDevice *p)
{
    g_mutex_lock(&p->irq_lock);
    release(p);
    g_mutex_unlock(&p->irq_lock);
}
