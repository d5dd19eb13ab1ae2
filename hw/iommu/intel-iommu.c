/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel VT-d remapping unit: registers, faults, its place in the machine. Spec: VT-d 3.4, chapter 11.
 *
 * Registers live in the machine's domain. Translations and messages come on any thread: they read the
 * status, the root and the interrupt table's address, which change whole; faults are posted.
 */
#include "core/accel.h"
#include "hw/iommu/intel-iommu.h"
#include "hw/intel-iommu.h"
#include "util/error.h"
#include "util/log.h"

enum {
    AUTO, ON, OFF, MAX_POSTED = 64, MASK_39 = 1 << 1, MASK_48 = 1 << 2,
    EVENT_PENDING = 1 << 30, FRCD_AT = 0x220, IOTLB_AT = 0xf0, BLOCKED = 0xff,
};
#define EVENT_MASKED (1u << 31)
#define BUSY (1ull << 63)
#define FRCD_FAULT (1ull << 63)
#define FRCD_READ (1ull << 62)

bool vtd_word(Vtd *s, uint64_t pa, uint64_t *v)
{
    uint64_t n = 8;
    const uint64_t *host = pa & 7 ? NULL : as_ram(s->dev.object.vm->memory, pa, &n, false);
    if (!host || n < 8)
        return false;
    *v = GUINT64_FROM_LE(__atomic_load_n(host, __ATOMIC_ACQUIRE));
    return true;
}

/* ---- events and faults ---- */

/* The unit's own messages are not remapped. */
static void send(Vtd *s, uint32_t address, uint32_t upper, uint32_t data)
{
    const MsiMessage m = {address | (uint64_t)upper << 32, data, 0};
    if (s->board)
        s->board->send(s->board->opaque, &m);
}

void vtd_event(Vtd *s, uint32_t *control, uint32_t address, uint32_t upper, uint32_t data)
{
    if (*control & EVENT_MASKED)
        *control |= EVENT_PENDING;
    else
        send(s, address, upper, data);
}

static void event_control(Vtd *s, uint32_t *control, uint32_t address, uint32_t upper, uint32_t data)
{
    if (*control & EVENT_PENDING && !(*control & EVENT_MASKED)) {
        *control &= ~EVENT_PENDING;
        send(s, address, upper, data);
    }
}

static void wrote_fectl(Device *d, uint64_t v)
{
    Vtd *s = (Vtd *)d;
    event_control(s, &s->fectl, s->feaddr, s->feuaddr, s->fedata);
}

static void wrote_iectl(Device *d, uint64_t v)
{
    Vtd *s = (Vtd *)d;
    event_control(s, &s->iectl, s->ieaddr, s->ieuaddr, s->iedata);
}

typedef struct Fault {
    uint8_t reason;
    uint16_t requester;
    uint64_t address;
    bool write;
} Fault;

/* One record: while it is full further faults are lost, which one bit tells (11.4.7). */
static void record(Device *d, void *data)
{
    Vtd *s = (Vtd *)d;
    const Fault *f = data;
    __atomic_sub_fetch(&s->posted, 1, __ATOMIC_RELAXED);
    device_lock(d);
    bool told = s->fsts & (VTD_PFO | VTD_PPF | VTD_IQE);
    if (s->frcd_high & FRCD_FAULT) {
        s->fsts |= VTD_PFO;
    } else if (!(s->fsts & VTD_PFO)) {
        s->frcd_low = f->reason >= VTD_F_REQUEST_BITS ? f->address : f->address & ~0xfffull;
        s->frcd_high = FRCD_FAULT | (f->write ? 0 : FRCD_READ) | (uint64_t)f->reason << 32 | f->requester;
        s->fsts |= VTD_PPF;
    }
    if (!told)
        vtd_event(s, &s->fectl, s->feaddr, s->feuaddr, s->fedata);
    device_unlock(d);
}

void vtd_fault(Vtd *s, unsigned reason, uint16_t requester, uint64_t address, bool write)
{
    Fault f = {reason, requester, address, write};
    log_guest(s, "fault 0x%x of %02x:%02x.%x: %s 0x%llx", reason, requester >> 8, requester >> 3 & 31, requester & 7,
              write ? "write to" : "read from", (unsigned long long)address);
    if (__atomic_add_fetch(&s->posted, 1, __ATOMIC_RELAXED) > MAX_POSTED)
        __atomic_sub_fetch(&s->posted, 1, __ATOMIC_RELAXED);
    else
        device_post(&s->dev, record, g_memdup2(&f, sizeof(f)), g_free);
}

static void served(Vtd *s)
{
    if (!(s->fsts & (VTD_PFO | VTD_PPF | VTD_IQE)))
        s->fectl &= ~EVENT_PENDING;
}

static void wrote_fsts(Device *d, uint64_t v)
{
    served((Vtd *)d);
    vtd_run_queue((Vtd *)d);
}

static void wrote_frcd(Device *d, uint64_t v)
{
    Vtd *s = (Vtd *)d;
    if (!(s->frcd_high & FRCD_FAULT))
        s->fsts &= ~VTD_PPF;
    served(s);
}

static void wrote_ics(Device *d, uint64_t v)
{
    Vtd *s = (Vtd *)d;
    if (!s->ics)
        s->iectl &= ~EVENT_PENDING;
}

/* ---- commands ---- */

static void set_status(Vtd *s, uint32_t status) { __atomic_store_n(&s->status, status, __ATOMIC_RELEASE); }

/* Bits of GCMD that switch something, as far as the unit has it (11.4.4.1). */
static uint32_t switches(const Vtd *s)
{
    return VTD_TRANSLATE | VTD_QUEUE | (s->intremap == ON ? VTD_INTREMAP | VTD_COMPAT : 0);
}

static void start_queue(Vtd *s, bool on)
{
    s->iqh = 0;
    if (on)
        vtd_run_queue(s);
}

static void wrote_gcmd(Device *d, uint64_t v)
{
    Vtd *s = (Vtd *)d;
    uint32_t old = s->status, status = (old & ~switches(s)) | (v & switches(s));
    if (v & VTD_RTP) {
        __atomic_store_n(&s->live_root, s->root, __ATOMIC_RELEASE);
        status |= VTD_RTP;
    }
    if (v & VTD_IRTP && s->intremap == ON) {
        __atomic_store_n(&s->live_irta, s->irta, __ATOMIC_RELEASE);
        status |= VTD_IRTP;
    }
    trace(command, "0x%x: status 0x%x", (uint32_t)v, status);
    set_status(s, status);
    if ((old ^ status) & VTD_QUEUE)
        start_queue(s, status & VTD_QUEUE);
    if ((old ^ status) & VTD_TRANSLATE || v & VTD_RTP)
        vtd_forget(s, -1, 0, UINT64_MAX);
    if ((old ^ status) & VTD_INTREMAP || v & VTD_IRTP)
        vtd_remap_changed(s);
}

static void wrote_tail(Device *d, uint64_t v) { vtd_run_queue((Vtd *)d); }

/* Invalidation by registers: done at once, and with more than was asked for. */
static void wrote_ccmd(Device *d, uint64_t v)
{
    Vtd *s = (Vtd *)d;
    if (!(v & BUSY))
        return;
    vtd_forget(s, -1, 0, UINT64_MAX);
    s->ccmd = (v & ~(BUSY | 3ull << 59)) | (v >> 61 & 3) << 59;
}

static void wrote_iotlb(Device *d, uint64_t v)
{
    Vtd *s = (Vtd *)d;
    if (!(v & BUSY))
        return;
    vtd_forget(s, -1, 0, UINT64_MAX);
    s->iotlb = (v & ~(BUSY | 3ull << 57)) | (v >> 60 & 3) << 57;
}

static uint64_t read_cap(Device *d) { return ((Vtd *)d)->cap; }
static uint64_t read_ecap(Device *d) { return ((Vtd *)d)->ecap; }

static const Reg regs[] = {
    REG(0x00, "VER", RO, .value = 0x10),
    REG(0x08, "CAP", RO, .width = 8, .read = read_cap),
    REG(0x10, "ECAP", RO, .width = 8, .read = read_ecap),
    REG(0x18, "GCMD", WO, .wrote = wrote_gcmd),
    REG(0x1c, "GSTS", RO, IN(Vtd, status)),
    REG(0x20, "RTADDR", RW, .width = 8, IN(Vtd, root), .bits = ~0x3ffull),
    REG(0x28, "CCMD", RW, .width = 8, IN(Vtd, ccmd), .bits = 0xe0000003ffffffffull, .wrote = wrote_ccmd),
    REG(0x34, "FSTS", W1C, IN(Vtd, fsts), .bits = VTD_PFO | VTD_IQE, .wrote = wrote_fsts),
    REG(0x38, "FECTL", RW, IN(Vtd, fectl), .bits = EVENT_MASKED, .reset = EVENT_MASKED, .wrote = wrote_fectl),
    REG(0x3c, "FEDATA", RW, IN(Vtd, fedata)),
    REG(0x40, "FEADDR", RW, IN(Vtd, feaddr), .bits = ~3u),
    REG(0x44, "FEUADDR", RW, IN(Vtd, feuaddr)),
    REG(0x80, "IQH", RO, .width = 8, IN(Vtd, iqh)),
    REG(0x88, "IQT", RW, .width = 8, IN(Vtd, iqt), .bits = 0x7fff0, .wrote = wrote_tail),
    REG(0x90, "IQA", RW, .width = 8, IN(Vtd, iqa), .bits = ~0x7f8ull),
    REG(0x9c, "ICS", W1C, IN(Vtd, ics), .bits = 1, .wrote = wrote_ics),
    REG(0xa0, "IECTL", RW, IN(Vtd, iectl), .bits = EVENT_MASKED, .reset = EVENT_MASKED, .wrote = wrote_iectl),
    REG(0xa4, "IEDATA", RW, IN(Vtd, iedata)),
    REG(0xa8, "IEADDR", RW, IN(Vtd, ieaddr), .bits = ~3u),
    REG(0xac, "IEUADDR", RW, IN(Vtd, ieuaddr)),
    REG(0xb8, "IRTA", RW, .width = 8, IN(Vtd, irta), .bits = ~0x7f0ull),
    REG(IOTLB_AT, "IVA", RW, .width = 8, IN(Vtd, iva), .bits = ~0xf80ull),
    REG(IOTLB_AT + 8, "IOTLB", RW, .width = 8, IN(Vtd, iotlb), .bits = 0xb003ffff00000000ull, .wrote = wrote_iotlb),
    REG(FRCD_AT, "FRCD_LOW", RO, .width = 8, IN(Vtd, frcd_low)),
    REG(FRCD_AT + 8, "FRCD_HIGH", W1C, .width = 8, IN(Vtd, frcd_high), .bits = FRCD_FAULT, .wrote = wrote_frcd),
};

/* ---- in the machine ---- */

static void write_message(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    const VtdSpace *space = opaque;
    const MsiMessage m = {VTD_MESSAGES + at, value, pci_dma_requester(space->space.function)};
    if (size == 4)
        vtd_send(space->space.all->owner, &m);
}

static const MemOps message_ops = {.write = write_message, .min_access = 1, .max_access = 4, .no_lock = true};

static void made(IommuSpace *base)
{
    VtdSpace *space = (VtdSpace *)base;
    Device *d = base->all->owner;
    space->messages = mem_io(&d->object, "vtd-messages", VTD_MESSAGES_SIZE, &message_ops, space, NULL);
    space->message_space = address_space_new(d->object.vm, space->messages, "vtd-messages");
}

static void gone(IommuSpace *base)
{
    VtdSpace *space = (VtdSpace *)base;
    address_space_free(space->message_space);
    object_remove((Object *)space->messages);
}

static bool remap_for_ioapic(void *opaque, MsiMessage *m, bool quiet)
{
    m->requester = INTEL_IOMMU_IOAPIC_SOURCE;
    return vtd_remap(opaque, m, quiet);
}

static bool is_bus(Object *o, void *unused) { return object_is_a(o, "apic-bus"); }

static bool choose(Vtd *s, GError **error)
{
    bool kernel = accel_irqchip(s->dev.object.vm) == ACCEL_IRQCHIP_FULL;
    if (s->intremap == AUTO)
        s->intremap = kernel ? OFF : ON;
    if (s->intremap == ON && kernel)
        return error_set(error, "Intel Interrupt Remapping cannot work with kernel-irqchip=on, please use 'split|off'.");
    if (s->eim == ON && s->intremap != ON)
        return error_set(error, "eim=on cannot be selected without intremap=on");
    if (s->eim == AUTO)
        s->eim = s->intremap;
    if (s->aw_bits != 39 && s->aw_bits != 48)
        return error_set(error, "Supported values for aw-bits are: 39, 48");
    return true;
}

static void set_capabilities(Vtd *s)
{
    uint64_t widths = MASK_39 | (s->aw_bits == 48 ? MASK_48 : 0);
    s->cap = 6 | (s->caching ? 1 << 7 : 0) | widths << 8 | (uint64_t)(s->aw_bits - 1) << 16 |
             (uint64_t)(FRCD_AT / 16) << 24 | 3ull << 34 | 1ull << 39 | 18ull << 48 | (s->drain ? 3ull << 54 : 0);
    s->ecap = 1 | 1 << 1 | (s->device_iotlb ? 1 << 2 : 0) | (s->intremap == ON ? 1 << 3 : 0) |
              (s->eim == ON ? 1 << 4 : 0) | (s->pass_through ? 1 << 6 : 0) | (s->snoop ? 1 << 7 : 0) |
              IOTLB_AT / 16 << 8 | 15 << 20;
}

static bool join(Vtd *s, GError **error)
{
    Vm *vm = s->dev.object.vm;
    PciBus *root = pci_bus_of(vm);
    if (!vm->machine && !root)          /* a test of the registers */
        return true;
    if (vm->machine && (!root || !object_is_a(&root->bus.owner->object, "q35-pcihost")))
        return error_set(error, "intel-iommu is a part of the q35 machine; this one is not (-machine q35)");
    s->board = pci_msi_target(root);
    vtd_routes_init(s);
    s->spaces.size = sizeof(VtdSpace);
    s->spaces.translate = vtd_translate;
    s->spaces.made = made;
    s->spaces.gone = gone;
    if (!iommu_spaces_open(&s->spaces, &s->dev, root, s->intremap == ON ? &s->target : NULL, error))
        return false;
    Object *bus = s->intremap == ON ? object_walk(&vm->root, is_bus, NULL) : NULL;
    s->apics = (ApicBus *)bus;
    if (bus)
        apic_bus_set_remap(s->apics, remap_for_ioapic, s);
    device_place(&s->dev, INTEL_IOMMU_BASE);
    return true;
}

static bool realize(Device *d, GError **error)
{
    Vtd *s = (Vtd *)d;
    if (!choose(s, error))
        return false;
    set_capabilities(s);
    return join(s, error);
}

static void unrealize(Device *d)
{
    Vtd *s = (Vtd *)d;
    iommu_spaces_close(&s->spaces);
    if (s->apics && !d->object.vm->freeing)
        apic_bus_set_remap(s->apics, NULL, NULL);
    s->apics = NULL;
    g_clear_pointer(&s->routes, g_array_unref);
}

static void reset(Device *d)
{
    Vtd *s = (Vtd *)d;
    s->live_root = s->live_irta = 0;
    vtd_forget(s, -1, 0, UINT64_MAX);
}

static void restored(Device *d)
{
    Vtd *s = (Vtd *)d;
    set_status(s, s->status & (switches(s) | VTD_RTP | VTD_IRTP));
    s->fsts &= VTD_PFO | VTD_PPF | VTD_IQE;
    s->iqh &= ~(uint64_t)0xf;
    vtd_forget(s, -1, 0, UINT64_MAX);
    vtd_remap_changed(s);
}

static const Field fields[] = {
    HOST(Vtd, spaces), HOST(Vtd, apics), HOST(Vtd, board), HOST(Vtd, target), HOST(Vtd, cap), HOST(Vtd, ecap),
    SAVED(Vtd, live_root), SAVED(Vtd, live_irta), HOST(Vtd, posted), HOST(Vtd, routes), HOST(Vtd, routes_lock),
    PROP(Vtd, intremap, "intremap", PROP_ON_OFF_AUTO, .desc = "Remaps interrupts; auto: where the kernel's chips allow it"),
    PROP(Vtd, eim, "eim", PROP_ON_OFF_AUTO, .desc = "Interrupts have 32-bit destinations (x2APIC); auto: with intremap"),
    PROP(Vtd, caching, "caching-mode", PROP_BOOL, .desc = "The guest invalidates what was not present, too"),
    PROP(Vtd, device_iotlb, "device-iotlb", PROP_BOOL, .desc = "Functions may keep translations themselves"),
    PROP(Vtd, pass_through, "pt", PROP_BOOL, .init = true, .desc = "Contexts may let all pass"),
    PROP(Vtd, snoop, "snoop-control", PROP_BOOL, .desc = "Pages may force coherent accesses"),
    PROP(Vtd, drain, "dma-drain", PROP_BOOL, .init = true, .desc = "Invalidations can drain reads and writes"),
    PROP(Vtd, aw_bits, "aw-bits", PROP_U8, .init = 48, .desc = "Bits of DMA addresses: 39 or 48"),
};
static const DeviceType intel_iommu = {
    .name = "intel-iommu", .desc = "Intel IOMMU (VT-d) DMA Remapping device", .size = sizeof(Vtd), .pluggable = true,
    .category = DEVICE_MISC, .window = 0x1000, .min_access = 4, .max_access = 8, REGS(regs), FIELDS(fields),
    .realize = realize, .unrealize = unrealize, .reset = reset, .restored = restored,
};
DEVICE_TYPE(intel_iommu);

static bool is_iommu(Object *o, void *unused) { return object_is_a(o, "intel-iommu"); }

bool intel_iommu_info(Vm *vm, IntelIommuInfo *info)
{
    const Vtd *s = (Vtd *)object_walk(&vm->root, is_iommu, NULL);
    if (s)
        *info = (IntelIommuInfo){s->aw_bits, s->intremap == ON, s->device_iotlb};
    return s;
}
