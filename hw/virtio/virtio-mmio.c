/* SPDX-License-Identifier: Apache-2.0 */
/* virtio over memory-mapped registers, version 2 and legacy. Spec: virtio 1.2, 4.2. */
#include "hw/virtio-mmio.h"
#include "hw/virtio/virtio.h"
#include "util/error.h"
#include "util/log.h"

enum {
    MAGIC = 0x000, VERSION = 0x004, DEVICE_ID = 0x008, VENDOR_ID = 0x00c, DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014, DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SEL = 0x024,
    GUEST_PAGE_SIZE = 0x028, QUEUE_SEL = 0x030, QUEUE_SIZE_MAX = 0x034, QUEUE_SIZE = 0x038,
    QUEUE_ALIGN = 0x03c, QUEUE_PFN = 0x040, QUEUE_READY = 0x044, QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060, INTERRUPT_ACK = 0x064, STATUS = 0x070, QUEUE_DESC_LOW = 0x080,
    QUEUE_DESC_HIGH = 0x084, QUEUE_DRIVER_LOW = 0x090, QUEUE_DRIVER_HIGH = 0x094,
    QUEUE_DEVICE_LOW = 0x0a0, QUEUE_DEVICE_HIGH = 0x0a4, SHM_LEN_LOW = 0x0b0,
    SHM_LEN_HIGH = 0x0b4, SHM_BASE_LOW = 0x0b8, SHM_BASE_HIGH = 0x0bc, CONFIG_GENERATION = 0x0fc, CONFIG = 0x100,
    ISR_QUEUE = 1, ISR_CONFIG = 2,
    MAGIC_VALUE = 0x74726976, VENDOR = 0x554d4551,
};

typedef struct VirtioMmio {
    Device dev;
    Irq irq;
    Bus *bus;
    VirtioDevice *v;
    GMutex irq_lock;
    uint32_t isr;
    uint32_t device_sel, driver_sel, queue_sel, page_size, align;
    uint32_t features_low, features_high;       /* the driver's, as written so far */
    bool force_legacy;
} VirtioMmio;

/* ---- interrupts: from any thread ---- */

static void set_isr(VirtioMmio *s, uint32_t set, uint32_t clear)
{
    g_mutex_lock(&s->irq_lock);
    s->isr = (s->isr | set) & ~clear;
    irq_set(&s->irq, s->isr);
    g_mutex_unlock(&s->irq_lock);
}

static void interrupt(void *opaque, uint16_t vector) { set_isr(opaque, ISR_QUEUE, 0); }
static void config_changed(void *opaque) { set_isr(opaque, ISR_CONFIG, 0); }

static const VirtioTransport modern = {interrupt, config_changed, false};
static const VirtioTransport legacy = {interrupt, config_changed, true};

/* ---- legacy queue layout (2.7.2) ---- */

static void set_pfn(VirtioMmio *s, uint32_t pfn)
{
    VirtioDevice *v = s->v;
    if (!pfn) {                 /* the legacy way to reset */
        virtq_set_ready(v, s->queue_sel, false);
        return;
    }
    uint64_t size = virtq_get_size(v, s->queue_sel), align = MAX(s->align, 4);
    uint64_t desc = (uint64_t)pfn * s->page_size, driver = desc + 16 * size;
    uint64_t device = (driver + 6 + 2 * size + align - 1) / align * align;
    virtq_set_addresses(v, s->queue_sel, desc, driver, device);
    virtq_set_ready(v, s->queue_sel, true);
}

static uint32_t legacy_pfn(VirtioMmio *s)
{
    bool ready = virtq_get_ready(s->v, s->queue_sel) && s->page_size;
    return ready ? virtq_get_address(s->v, s->queue_sel, VIRTQ_DESC) / s->page_size : 0;
}

/* ---- registers ---- */

static void reset_selectors(VirtioMmio *s)
{
    s->device_sel = s->driver_sel = s->queue_sel = 0;
    s->features_low = s->features_high = 0;
    set_isr(s, 0, UINT32_MAX);
}

static void write_features(VirtioMmio *s, uint32_t value)
{
    if (s->driver_sel == 0)
        s->features_low = value;
    else if (s->driver_sel == 1 && !s->force_legacy)
        s->features_high = value;
    virtio_set_features(s->v, s->features_low | (uint64_t)s->features_high << 32);
}

static void write_queue(VirtioMmio *s, uint64_t at, uint32_t value)
{
    uint64_t area[3];
    for (int i = 0; i < 3; i++)
        area[i] = virtq_get_address(s->v, s->queue_sel, i);
    uint64_t *half = &area[(at - QUEUE_DESC_LOW) / 16];
    if (at & 4)
        *half = (uint32_t)*half | (uint64_t)value << 32;
    else
        *half = (*half & ~0xffffffffull) | value;
    virtq_set_addresses(s->v, s->queue_sel, area[0], area[1], area[2]);
}

static uint64_t read_reg(Device *d, uint64_t at, unsigned size)
{
    VirtioMmio *s = (VirtioMmio *)d;
    VirtioDevice *v = s->v;
    if (at >= CONFIG)
        return v ? virtio_read_config(v, at - CONFIG, size) : 0;
    if (size != 4) {
        log_guest(d, "read of %u bytes at 0x%x; registers have 4", size, (unsigned)at);
        return 0;
    }
    switch (at) {
    case MAGIC: return MAGIC_VALUE;
    case VERSION: return s->force_legacy ? 1 : 2;
    case DEVICE_ID: return v ? v->cls->id : 0;
    case VENDOR_ID: return VENDOR;
    default: break;
    }
    if (!v)
        return 0;
    switch (at) {
    case DEVICE_FEATURES: return s->device_sel > 1 ? 0 : (uint32_t)(virtio_offered(v) >> 32 * s->device_sel);
    case QUEUE_SIZE_MAX: return virtq_max_size(v, s->queue_sel);
    case QUEUE_PFN: return legacy_pfn(s);
    case QUEUE_READY: return virtq_get_ready(v, s->queue_sel);
    case INTERRUPT_STATUS: return s->isr;
    case STATUS: return v->status;
    case CONFIG_GENERATION: return v->generation;
    case SHM_LEN_LOW: case SHM_LEN_HIGH: case SHM_BASE_LOW: case SHM_BASE_HIGH:
        return UINT32_MAX;      /* there is no such region */
    default:
        log_guest(d, "read of unknown register 0x%x", (unsigned)at);
        return 0;
    }
}

static void write_legacy(VirtioMmio *s, uint64_t at, uint32_t value)
{
    switch (at) {
    case GUEST_PAGE_SIZE: s->page_size = value; break;
    case QUEUE_ALIGN: s->align = value & (value - 1) ? 4096 : value; break;
    case QUEUE_PFN: set_pfn(s, value); break;
    default: log_guest(s, "write to unknown register 0x%x", (unsigned)at); break;
    }
}

static void write_modern(VirtioMmio *s, uint64_t at, uint32_t value)
{
    switch (at) {
    case QUEUE_READY: virtq_set_ready(s->v, s->queue_sel, value & 1); break;
    case QUEUE_DESC_LOW: case QUEUE_DESC_HIGH: case QUEUE_DRIVER_LOW: case QUEUE_DRIVER_HIGH:
    case QUEUE_DEVICE_LOW: case QUEUE_DEVICE_HIGH:
        write_queue(s, at, value);
        break;
    default: log_guest(s, "write to unknown register 0x%x", (unsigned)at); break;
    }
}

static void write_reg(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    VirtioMmio *s = (VirtioMmio *)d;
    VirtioDevice *v = s->v;
    if (!v)
        return;
    if (at >= CONFIG) {
        virtio_write_config(v, at - CONFIG, value, size);
        return;
    }
    if (size != 4) {
        log_guest(d, "write of %u bytes at 0x%x; registers have 4", size, (unsigned)at);
        return;
    }
    switch (at) {
    case QUEUE_NOTIFY: virtq_kick(v, value & 0xffff); break;
    case DEVICE_FEATURES_SEL: s->device_sel = value; break;
    case DRIVER_FEATURES: write_features(s, value); break;
    case DRIVER_FEATURES_SEL: s->driver_sel = value; break;
    case QUEUE_SEL: s->queue_sel = value; break;
    case QUEUE_SIZE: virtq_set_size(v, s->queue_sel, value); break;
    case INTERRUPT_ACK: set_isr(s, 0, value); break;
    case STATUS:
        virtio_set_status(v, value);
        if ((uint8_t)value == 0)
            reset_selectors(s);
        break;
    default: (s->force_legacy ? write_legacy : write_modern)(s, at, value); break;
    }
}

/* ---- the device and its bus ---- */

static bool plugged(Bus *bus, Device *d, GError **error)
{
    VirtioMmio *s = (VirtioMmio *)bus->owner;
    s->v = (VirtioDevice *)d;
    d->dma = s->dev.dma;
    virtio_attach(s->v, s->force_legacy ? &legacy : &modern, s);
    return true;
}

static void unplug(Bus *bus, Device *d) { ((VirtioMmio *)bus->owner)->v = NULL; }

static const BusType mmio_bus = {
    .name = "virtio-mmio-bus", .parent = "virtio-bus", .size = sizeof(Bus), .max_devices = 1,
    .plugged = plugged, .unplug = unplug,
};
OBJECT_TYPE(mmio_bus);

static void init(Object *o) { g_mutex_init(&((VirtioMmio *)o)->irq_lock); }
static void finish(Object *o) { g_mutex_clear(&((VirtioMmio *)o)->irq_lock); }
static void reset(Device *d) { reset_selectors((VirtioMmio *)d); }

static const Field fields[] = {
    IRQ(VirtioMmio, irq), HOST(VirtioMmio, bus), HOST(VirtioMmio, v), HOST(VirtioMmio, irq_lock),
    SAVED(VirtioMmio, isr), SAVED(VirtioMmio, device_sel), SAVED(VirtioMmio, driver_sel),
    SAVED(VirtioMmio, queue_sel), SAVED(VirtioMmio, page_size), SAVED(VirtioMmio, align, .init = 4096),
    SAVED(VirtioMmio, features_low), SAVED(VirtioMmio, features_high),
    PROP(VirtioMmio, force_legacy, "force-legacy", PROP_BOOL, .init = true),
};
static const DeviceType virtio_mmio = {
    .name = "virtio-mmio", .desc = "virtio transport, memory-mapped", .size = sizeof(VirtioMmio),
    .window = VIRTIO_MMIO_SIZE, .max_access = 8, .no_domain = true, FIELDS(fields), .init = init,
    .finish = finish, .reset = reset, .read = read_reg, .write = write_reg, .dt = "virtio,mmio",
    .fw_name = "virtio-mmio",
};
DEVICE_TYPE(virtio_mmio);

Bus *virtio_mmio_new(Vm *vm, uint64_t base, Pin irq)
{
    VirtioMmio *s = (VirtioMmio *)device_make(vm, "virtio-mmio");
    irq_connect(&s->irq, irq);
    device_place(&s->dev, base);
    s->bus = bus_new(&s->dev, &mmio_bus, "virtio-mmio-bus.[*]");
    return s->bus;
}
