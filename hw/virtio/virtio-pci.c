/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio over PCI: the function, its capabilities, modern and legacy registers. Spec: virtio 1.2, 4.1.
 *
 * The function has no domain: registers change the device's state, which may wait for the loop that
 * serves the queues, and so must not hold a lock that this loop could want.
 */
#include <string.h>
#include "hw/virtio/virtio-pci.h"
#include "util/error.h"
#include "util/log.h"

enum {
    VENDOR = 0x1af4, MODERN_ID = 0x1040, NO_VECTOR = 0xffff, UNSET = UINT32_MAX,
    ISR_QUEUE = 1, ISR_CONFIG = 2,
    LEGACY_BAR = 0, MSIX_BAR = 1, MODERN_BAR = 4,       /* unless the class says otherwise */
    COMMON_AT = 0, ISR_AT = 0x1000, DEVICE_AT = 0x2000, NOTIFY_AT = 0x3000, PART = 0x1000,
    COMMON_SIZE = 0x38,
};

static const VirtioPciClass *class_of(const VirtioPci *s) { return device_type(&s->pci.dev)->ext; }
static unsigned modern_bar(const VirtioPci *s) { return class_of(s)->modern_bar ? class_of(s)->modern_bar : MODERN_BAR; }
static unsigned msix_bar(const VirtioPci *s) { return class_of(s)->msix_bar ? class_of(s)->msix_bar : MSIX_BAR; }
static unsigned notify_step(const VirtioPci *s) { return s->page_per_vq ? 0x1000 : 4; }
static unsigned notify_size(const VirtioPci *s) { return s->page_per_vq ? 0x1000 * VIRTIO_MAX_QUEUES : PART; }

/* ---- interrupts: any thread ---- */

static void notify(VirtioPci *s, uint16_t vector, uint8_t why)
{
    if (pci_msix_enabled(&s->pci)) {
        if (vector != NO_VECTOR)
            pci_notify(&s->pci, vector);
        return;
    }
    __atomic_or_fetch(&s->isr, why, __ATOMIC_ACQ_REL);
    pci_intx(&s->pci, true);
}

static void interrupt(void *opaque, uint16_t vector) { notify(opaque, vector, ISR_QUEUE); }

static void config_changed(void *opaque)
{
    notify(opaque, ((VirtioPci *)opaque)->config_vector, ISR_CONFIG);
}

static uint8_t read_isr(VirtioPci *s)
{
    uint8_t isr = __atomic_exchange_n(&s->isr, 0, __ATOMIC_ACQ_REL);
    pci_intx(&s->pci, false);
    return isr;
}

static const VirtioTransport modern_transport = {interrupt, config_changed, false};
static const VirtioTransport legacy_transport = {interrupt, config_changed, true};

/* ---- what both register files do ---- */

static void reset_registers(VirtioPci *s)
{
    s->device_sel = s->driver_sel = s->queue_sel = 0;
    memset(s->driver_features, 0, sizeof(s->driver_features));
    memset(s->area, 0, sizeof(s->area));
    s->config_vector = NO_VECTOR;
    read_isr(s);
}

static void set_status(VirtioPci *s, uint8_t status)
{
    virtio_set_status(s->v, status);
    if (!status)
        reset_registers(s);
}

static uint16_t checked(const VirtioPci *s, uint32_t vector)
{
    return vector < pci_msix_vectors(&s->pci) ? vector : NO_VECTOR;
}

/* ---- modern: the common configuration (4.1.4.3) ---- */

static uint32_t read_features(const VirtioPci *s)
{
    return s->device_sel > 1 ? 0 : virtio_offered(s->v) >> 32 * s->device_sel;
}

static void write_features(VirtioPci *s, uint32_t value)
{
    if (s->driver_sel > 1)
        return;
    s->driver_features[s->driver_sel] = value;
    virtio_set_features(s->v, s->driver_features[0] | (uint64_t)s->driver_features[1] << 32);
}

static uint64_t *area(VirtioPci *s, unsigned at)
{
    return s->queue_sel < VIRTIO_MAX_QUEUES ? &s->area[s->queue_sel][(at - 0x20) / 8] : NULL;
}

static uint32_t read_area(VirtioPci *s, unsigned at)
{
    const uint64_t *a = area(s, at);
    return a ? *a >> (at & 4 ? 32 : 0) : 0;
}

static void write_area(VirtioPci *s, unsigned at, uint32_t value)
{
    uint64_t *a = area(s, at);
    if (a)
        *a = at & 4 ? (uint32_t)*a | (uint64_t)value << 32 : (*a & ~0xffffffffull) | value;
}

static void enable_queue(VirtioPci *s)
{
    const uint64_t *a = area(s, 0x20);
    if (!a)
        return;
    virtq_set_addresses(s->v, s->queue_sel, a[0], a[1], a[2]);
    virtq_set_ready(s->v, s->queue_sel, true);
}

static uint32_t read_common(VirtioPci *s, unsigned at)
{
    VirtioDevice *v = s->v;
    switch (at) {
    case 0x00: return s->device_sel;
    case 0x04: return read_features(s);
    case 0x08: return s->driver_sel;
    case 0x0c: return s->driver_sel > 1 ? 0 : s->driver_features[s->driver_sel];
    case 0x10: return s->config_vector;
    case 0x12: return v->n_vqs;
    case 0x14: return v->status;
    case 0x15: return v->generation;
    case 0x16: return s->queue_sel;
    case 0x18: return virtq_get_size(v, s->queue_sel);
    case 0x1a: return virtq_get_vector(v, s->queue_sel);
    case 0x1c: return virtq_get_ready(v, s->queue_sel);
    case 0x1e: return s->queue_sel;
    case 0x20: case 0x24: case 0x28: case 0x2c: case 0x30: case 0x34: return read_area(s, at);
    default: return 0;
    }
}

static void write_common(VirtioPci *s, unsigned at, uint32_t value)
{
    switch (at) {
    case 0x00: s->device_sel = value; break;
    case 0x08: s->driver_sel = value; break;
    case 0x0c: write_features(s, value); break;
    case 0x10: s->config_vector = checked(s, value); break;
    case 0x14: set_status(s, value); break;
    case 0x16: s->queue_sel = value & 0xffff; break;
    case 0x18: virtq_set_size(s->v, s->queue_sel, value & 0xffff); break;
    case 0x1a: virtq_set_vector(s->v, s->queue_sel, checked(s, value)); break;
    case 0x1c:
        if (value & 1)
            enable_queue(s);
        break;
    case 0x20: case 0x24: case 0x28: case 0x2c: case 0x30: case 0x34: write_area(s, at, value); break;
    default: log_guest(s, "write to read-only place 0x%x of the common configuration", at); break;
    }
}

/* ---- modern: the whole BAR ---- */

static uint64_t ones(unsigned size) { return size >= 8 ? UINT64_MAX : (1ull << 8 * size) - 1; }

static uint64_t read_modern(void *opaque, uint64_t at, unsigned size)
{
    VirtioPci *s = opaque;
    if (!s->v)
        return ones(size);
    if (at >= NOTIFY_AT)
        return 0;
    if (at >= DEVICE_AT)
        return virtio_read_config(s->v, at - DEVICE_AT, size);
    return at >= ISR_AT ? at == ISR_AT ? read_isr(s) : 0 : read_common(s, at);
}

static void write_modern(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    VirtioPci *s = opaque;
    if (!s->v)
        return;
    if (at >= NOTIFY_AT)
        virtq_kick(s->v, (at - NOTIFY_AT) / notify_step(s));
    else if (at >= DEVICE_AT)
        virtio_write_config(s->v, at - DEVICE_AT, value, size);
    else if (at < ISR_AT)
        write_common(s, at, value);
}

static const MemOps modern_ops = {
    .read = read_modern, .write = write_modern, .max_access = 4, .no_lock = true,
};

/* ---- legacy ports (4.1.4.8) ---- */

enum {
    L_HOST = 0, L_GUEST = 4, L_PFN = 8, L_SIZE = 12, L_SELECT = 14, L_NOTIFY = 16, L_STATUS = 18,
    L_ISR = 19, L_CONFIG_VECTOR = 20, L_QUEUE_VECTOR = 22, L_CONFIG = 20, L_CONFIG_MSIX = 24,
    LEGACY_ALIGN = 4096,
};

static unsigned legacy_config_at(const VirtioPci *s)
{
    return pci_msix_enabled(&s->pci) ? L_CONFIG_MSIX : L_CONFIG;
}

static void set_pfn(VirtioPci *s, uint32_t pfn)
{
    unsigned q = s->queue_sel;
    uint64_t size = virtq_get_size(s->v, q), desc = (uint64_t)pfn * LEGACY_ALIGN, driver = desc + 16 * size;
    if (q >= VIRTIO_MAX_QUEUES)
        return;
    s->area[q][0] = desc;
    if (pfn)
        virtq_set_addresses(s->v, q, desc, driver,
                            (driver + 6 + 2 * size + LEGACY_ALIGN - 1) / LEGACY_ALIGN * LEGACY_ALIGN);
    virtq_set_ready(s->v, q, pfn != 0);
}

/* Drivers of the legacy time forget to make the function a bus master. */
static void legacy_status(VirtioPci *s, uint8_t status)
{
    uint16_t command = pci_get16(&s->pci, PCI_COMMAND);
    if (status & VIRTIO_DRIVER_OK && !(command & PCI_COMMAND_MASTER))
        pci_config_write(&s->pci, PCI_COMMAND, command | PCI_COMMAND_MASTER, 2);
    set_status(s, status);
}

static uint64_t read_legacy(void *opaque, uint64_t at, unsigned size)
{
    VirtioPci *s = opaque;
    VirtioDevice *v = s->v;
    if (!v)
        return ones(size);
    if (at >= legacy_config_at(s))
        return virtio_read_config(v, at - legacy_config_at(s), size);
    switch (at) {
    case L_HOST: return (uint32_t)virtio_offered(v);
    case L_GUEST: return (uint32_t)v->features;
    case L_PFN: return virtq_get_ready(v, s->queue_sel) && s->queue_sel < VIRTIO_MAX_QUEUES
                           ? s->area[s->queue_sel][0] / LEGACY_ALIGN : 0;
    case L_SIZE: return virtq_max_size(v, s->queue_sel);
    case L_SELECT: return s->queue_sel;
    case L_STATUS: return v->status;
    case L_ISR: return read_isr(s);
    case L_CONFIG_VECTOR: return s->config_vector;
    case L_QUEUE_VECTOR: return virtq_get_vector(v, s->queue_sel);
    default: return 0;
    }
}

static void write_legacy(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    VirtioPci *s = opaque;
    VirtioDevice *v = s->v;
    if (!v)
        return;
    if (at >= legacy_config_at(s)) {
        virtio_write_config(v, at - legacy_config_at(s), value, size);
        return;
    }
    switch (at) {
    case L_GUEST: virtio_set_features(v, (uint32_t)value); break;
    case L_PFN: set_pfn(s, value); break;
    case L_SELECT: s->queue_sel = value & 0xffff; break;
    case L_NOTIFY: virtq_kick(v, value & 0xffff); break;
    case L_STATUS: legacy_status(s, value); break;
    case L_CONFIG_VECTOR: s->config_vector = checked(s, value); break;
    case L_QUEUE_VECTOR: virtq_set_vector(v, s->queue_sel, checked(s, value)); break;
    default: log_guest(s, "write to read-only legacy port %u", (unsigned)at); break;
    }
}

static const MemOps legacy_ops = {
    .read = read_legacy, .write = write_legacy, .max_access = 4, .no_lock = true,
};

/* ---- accesses through configuration space (4.1.4.9) ---- */

enum { CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_DATA = 16 };

static bool window_hit(const VirtioPci *s, unsigned at, unsigned size)
{
    return s->cfg_at && at < s->cfg_at + CAP_DATA + 4u && at + size > s->cfg_at + (unsigned)CAP_DATA;
}

static const MemOps *window(VirtioPci *s, uint32_t *offset, unsigned *size)
{
    PciDevice *p = &s->pci;
    uint8_t bar = pci_get8(p, s->cfg_at + CAP_BAR);
    *offset = pci_get32(p, s->cfg_at + CAP_OFFSET);
    *size = pci_get32(p, s->cfg_at + CAP_LENGTH);
    if (bar == modern_bar(s))
        *offset -= class_of(s)->modern_at;
    MemRegion *r = bar == modern_bar(s) ? s->modern
                   : bar == LEGACY_BAR && s->with_legacy ? pci_bar_region(p, LEGACY_BAR) : NULL;
    if ((*size != 1 && *size != 2 && *size != 4) || *offset % *size || !r ||
        *offset + (uint64_t)*size > mem_size(r))
        return NULL;
    return r == s->modern ? &modern_ops : &legacy_ops;
}

void virtio_pci_config_reading(PciDevice *p, unsigned at, unsigned size)
{
    VirtioPci *s = (VirtioPci *)p;
    uint32_t offset;
    unsigned n;
    const MemOps *ops = window_hit(s, at, size) ? window(s, &offset, &n) : NULL;
    if (ops)
        pci_set32(p, s->cfg_at + CAP_DATA, ops->read(s, offset, n));
}

void virtio_pci_config_wrote(PciDevice *p, unsigned at, unsigned size)
{
    VirtioPci *s = (VirtioPci *)p;
    uint32_t offset;
    unsigned n;
    const MemOps *ops = window_hit(s, at, size) ? window(s, &offset, &n) : NULL;
    if (ops)
        ops->write(s, offset, pci_get32(p, s->cfg_at + CAP_DATA) & ones(n), n);
}

/* Devices that are not part of the platform's DMA (6.1) see memory as the CPUs do, whatever stands between. */
static AddressSpace *device_space(const VirtioPci *s)
{
    return s->v->access_platform || !pci_is_master(&s->pci) ? s->pci.dev.dma : NULL;
}

void virtio_pci_enabled_changed(PciDevice *p)
{
    VirtioPci *s = (VirtioPci *)p;
    if (s->v && s->v->dev.realized)
        virtio_set_dma(s->v, device_space(s));
}

/* ---- set-up ---- */

static bool plugged(Bus *bus, Device *d, GError **error)
{
    VirtioPci *s = (VirtioPci *)bus->owner;
    virtio_attach((VirtioDevice *)d, s->with_modern ? &modern_transport : &legacy_transport, s);
    return true;
}

static void unplug(Bus *bus, Device *d) { ((VirtioPci *)bus->owner)->v = NULL; }

static const BusType virtio_pci_bus = {
    .name = "virtio-pci-bus", .parent = "virtio-bus", .size = sizeof(Bus), .max_devices = 1,
    .plugged = plugged, .unplug = unplug,
};
OBJECT_TYPE(virtio_pci_bus);

/* The device comes first, so that properties can be passed on. */
static void init(Object *o)
{
    VirtioPci *s = (VirtioPci *)o;
    g_autoptr(GError) error = NULL;
    s->v = o->type->wraps ? (VirtioDevice *)device_new(o->vm, o->type->wraps, &error) : NULL;
    if (s->v)
        object_add_child(o, "virtio-backend", &s->v->dev.object);
    else
        s->fault = g_strdup(error ? error->message : "no device");
}

static void finish(Object *o) { g_free(((VirtioPci *)o)->fault); }

/* 5.1-5.5, 5.13: the ids of before 1.0; 0 for the younger. */
static uint16_t legacy_id(uint16_t virtio_id)
{
    static const uint16_t ids[] = {[1] = 0x1000, [2] = 0x1001, [3] = 0x1003, [4] = 0x1005,
                                   [5] = 0x1002, [8] = 0x1004, [9] = 0x1009};
    return virtio_id < G_N_ELEMENTS(ids) ? ids[virtio_id] : 0;
}

static bool choose_mode(VirtioPci *s, GError **error)
{
    const VirtioPciClass *c = class_of(s);
    enum { AUTO, ON, OFF };
    bool behind_port = s->pci.bus->express && s->pci.bus->parent;
    bool has_legacy = legacy_id(s->v->cls->id);
    s->with_modern = true;
    if (c->kind == VIRTIO_PCI_FORCED)
        return true;
    if (c->kind != VIRTIO_PCI_AUTO && (s->disable_legacy != AUTO || s->disable_modern))
        return error_set(error, "%s: disable-legacy and disable-modern are for the type without "
                         "-transitional or -non-transitional", s->pci.dev.object.type->name);
    s->with_modern = !s->disable_modern;
    s->with_legacy = c->kind == VIRTIO_PCI_TRANSITIONAL ||
                     (c->kind == VIRTIO_PCI_AUTO && has_legacy &&
                      (s->disable_legacy == AUTO ? !behind_port : s->disable_legacy == OFF));
    if (!s->with_modern && !has_legacy)
        return error_set(error, "%s is modern-only, use disable-modern=off",
                         s->pci.dev.object.type->name);
    if (!s->with_modern && !s->with_legacy)
        return error_set(error, "device cannot work as neither modern nor legacy mode is enabled; set "
                         "either disable-modern or disable-legacy to off");
    return true;
}

static void set_identity(VirtioPci *s)
{
    const VirtioPciClass *c = class_of(s);
    PciDevice *p = &s->pci;
    uint16_t id = s->v->cls->id;
    pci_init16(p, PCI_DEVICE_ID, s->with_legacy ? legacy_id(id) : MODERN_ID + id, 0, 0);
    pci_init8(p, PCI_REVISION, !s->with_legacy, 0, 0);
    pci_init16(p, PCI_SUBVENDOR, VENDOR, 0, 0);
    if (s->with_legacy)
        pci_init16(p, PCI_SUBSYSTEM, id, 0, 0);
    pci_init8(p, PCI_CLASS, c->class, 0, 0);
    pci_init16(p, PCI_CLASS + 1, c->class >> 8, 0, 0);
}

typedef struct Part {
    uint8_t type;
    uint32_t at, size;
    unsigned bytes;             /* of the capability */
} Part;

static uint8_t add_part(VirtioPci *s, const Part *part, GError **error)
{
    PciDevice *p = &s->pci;
    uint8_t at = pci_add_capability(p, PCI_CAP_VENDOR, part->bytes, 0, error);
    if (at) {
        pci_init8(p, at + 2, part->bytes, 0, 0);
        pci_init8(p, at + 3, part->type, 0, 0);
        pci_init8(p, at + CAP_BAR, part->size ? modern_bar(s) : 0, 0, 0);
        pci_init32(p, at + CAP_OFFSET, part->size ? part->at + class_of(s)->modern_at : 0, 0, 0);
        pci_init32(p, at + CAP_LENGTH, part->size, 0, 0);
    }
    return at;
}

static bool add_modern(VirtioPci *s, GError **error)
{
    enum { COMMON = 1, NOTIFY, ISR, DEVICE, PCI_CFG };
    PciDevice *p = &s->pci;
    const Part parts[] = {
        {COMMON, COMMON_AT, PART, 16}, {ISR, ISR_AT, PART, 16}, {DEVICE, DEVICE_AT, PART, 16},
    };
    const Part notify_part = {NOTIFY, NOTIFY_AT, notify_size(s), 20}, cfg = {PCI_CFG, 0, 0, 20};
    const PciBar bar = {.kind = PCI_BAR_PREF64, .name = "virtio-pci",
                        .size = class_of(s)->modern_at + NOTIFY_AT + notify_size(s)};
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
        if (!add_part(s, &parts[i], error))
            return false;
    uint8_t at = add_part(s, &notify_part, error);
    s->cfg_at = at ? add_part(s, &cfg, error) : 0;
    if (!s->cfg_at || !pci_add_bar(p, modern_bar(s), &bar, NULL, error))
        return false;
    s->modern = mem_io(&p->dev.object, "virtio-pci-modern", NOTIFY_AT + notify_size(s), &modern_ops, s, &p->dev);
    mem_add(pci_bar_region(p, modern_bar(s)), class_of(s)->modern_at, s->modern, 0);
    pci_init32(p, at + 16, notify_step(s), 0, 0);
    pci_init8(p, s->cfg_at + CAP_BAR, 0, 0xff, 0);
    pci_init32(p, s->cfg_at + CAP_OFFSET, 0, UINT32_MAX, 0);
    pci_init32(p, s->cfg_at + CAP_LENGTH, 0, UINT32_MAX, 0);
    pci_init32(p, s->cfg_at + CAP_DATA, 0, UINT32_MAX, 0);
    return true;
}

static bool add_legacy(VirtioPci *s, GError **error)
{
    const PciBar bar = {.kind = PCI_BAR_IO, .size = L_CONFIG_MSIX + s->v->cls->config_size,
                        .name = "virtio-pci", .ops = &legacy_ops};
    return pci_add_bar(&s->pci, LEGACY_BAR, &bar, NULL, error);
}

/* Kicks go to the loop that serves the queue without passing through here. */
static void doorbells(VirtioPci *s, void (*fn)(MemRegion *, uint64_t, unsigned, bool, uint64_t, int))
{
    for (unsigned q = 0; s->ioeventfd && q < s->v->n_vqs; q++) {
        int fd = virtq_kick_fd(s->v, q);
        if (s->modern)
            fn(s->modern, NOTIFY_AT + q * notify_step(s), 0, false, 0, fd);
        if (s->with_legacy && pci_bar_region(&s->pci, LEGACY_BAR))
            fn(pci_bar_region(&s->pci, LEGACY_BAR), L_NOTIFY, 2, true, q, fd);
    }
}

static bool add_vectors(VirtioPci *s, GError **error)
{
    unsigned n = s->vectors == UNSET ? s->v->n_vqs + 1 : s->vectors;
    const PciMsix msix = {.vectors = n, .bar = msix_bar(s)};
    return n == 0 || pci_add_msix(&s->pci, &msix, error);
}

static bool realize(Device *d, GError **error)
{
    VirtioPci *s = (VirtioPci *)d;
    if (s->fault)
        return error_set(error, "%s", s->fault);
    if (!choose_mode(s, error))
        return false;
    s->bus = bus_new(d, &virtio_pci_bus, "virtio-bus");
    s->v->dev.id = g_strdup(d->id);
    s->v->dev.hotplugged = d->hotplugged;
    s->v->dev.dma = device_space(s);
    if (!device_realize(&s->v->dev, s->bus, error))
        return false;
    set_identity(s);
    bool ok = (!s->with_legacy || add_legacy(s, error)) && add_vectors(s, error) &&
              (!s->with_modern || add_modern(s, error));
    if (ok)
        doorbells(s, mem_add_eventfd);
    return ok;
}

static void reset(Device *d) { reset_registers((VirtioPci *)d); }

static const Field fields[] = {
    HOST(VirtioPci, v), HOST(VirtioPci, bus), HOST(VirtioPci, fault), SAVED(VirtioPci, isr),
    SAVED(VirtioPci, config_vector, .init = NO_VECTOR), SAVED(VirtioPci, device_sel),
    SAVED(VirtioPci, driver_sel), SAVED(VirtioPci, queue_sel), SAVED(VirtioPci, driver_features),
    SAVED(VirtioPci, area), HOST(VirtioPci, modern), HOST(VirtioPci, cfg_at),
    HOST(VirtioPci, with_legacy), HOST(VirtioPci, with_modern),
    PROP(VirtioPci, disable_legacy, "disable-legacy", PROP_ON_OFF_AUTO,
         .desc = "No legacy ports; auto: behind Express ports"),
    PROP(VirtioPci, disable_modern, "disable-modern", PROP_BOOL, .desc = "Legacy ports only"),
    PROP(VirtioPci, vectors, "vectors", PROP_U32, .init = UNSET,
         .desc = "MSI-X vectors; one per queue and one for changes unless given; 0: no MSI-X"),
    PROP(VirtioPci, ioeventfd, "ioeventfd", PROP_BOOL, .init = true,
         .desc = "Kicks go to the serving thread directly"),
    PROP(VirtioPci, page_per_vq, "page-per-vq", PROP_BOOL, .desc = "Doorbells of queues a page apart"),
};
static const PciInfo info = {VIRTIO_PCI_INFO};
static const DeviceType virtio_pci = {
    .name = "virtio-pci", .parent = "pci-device", .desc = "virtio transport, PCI function",
    .size = sizeof(VirtioPci), .abstract = true, .no_domain = true, FIELDS(fields), .init = init,
    .finish = finish, .realize = realize, .reset = reset, .pci = &info,
};
DEVICE_TYPE(virtio_pci);
