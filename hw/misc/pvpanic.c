/* SPDX-License-Identifier: Apache-2.0 */
/* The paravirtual panic port, on ISA and on PCI: the guest says that it has crashed. */
#include "hw/isa.h"
#include "hw/pci.h"
#include "qapi/qapi-events.h"

enum { PANICKED = 1, CRASH_LOADED = 2, SHUTDOWN = 4 };

typedef struct PvPanic {
    Device dev;
    uint32_t ioport;
    uint8_t events;
} PvPanic;

static void report(Vm *vm, uint64_t value)
{
    if (value & PANICKED)
        vm_request_panic(vm);
    else if (value & SHUTDOWN) {
        qapi_event_guest_pvshutdown(vm);
        vm_request_shutdown(vm, CAUSE_GUEST_SHUTDOWN, 0);
    }
    else if (value & CRASH_LOADED)
        vm_request_crash_loaded(vm);
}

static uint64_t read_events(Device *d) { return ((PvPanic *)d)->events; }
static void write_event(Device *d, uint64_t v) { report(d->object.vm, v & ((PvPanic *)d)->events); }

static bool realize(Device *d, GError **error)
{
    device_place_io(d, ((PvPanic *)d)->ioport);
    return true;
}

static const Reg regs[] = {
    REG(0, "EVENT", RW, .width = 1, .read = read_events, .wrote = write_event),
};
static const Field fields[] = {
    PROP(PvPanic, ioport, "ioport", PROP_U32, .init = 0x505),
    PROP(PvPanic, events, "events", PROP_U8, .init = PANICKED | CRASH_LOADED | SHUTDOWN),
};
static const DeviceType pvpanic = {
    .name = "pvpanic", .desc = "Panic notification port", .size = sizeof(PvPanic),
    .pluggable = true, .bus = "ISA", .window = 1, .max_access = 1, REGS(regs), FIELDS(fields),
    .realize = realize,
};
DEVICE_TYPE(pvpanic);

/* ---- the PCI function ---- */

typedef struct PvPanicPci {
    PciDevice pci;
    uint8_t events;
} PvPanicPci;

static uint64_t read_pci(Device *d) { return ((PvPanicPci *)d)->events; }
static void write_pci(Device *d, uint64_t v) { report(d->object.vm, v & ((PvPanicPci *)d)->events); }

static const Reg pci_regs[] = {
    REG(0, "EVENT", RW, .width = 1, .read = read_pci, .wrote = write_pci),
};
static const Field pci_fields[] = {
    PROP(PvPanicPci, events, "events", PROP_U8, .init = PANICKED | CRASH_LOADED | SHUTDOWN),
};
static const PciInfo info = {
    .vendor = 0x1b36, .device = 0x0011, .class = 0x088000, .revision = 1,
    .bar = {{.kind = PCI_BAR_MEM32, .window = true, .name = "pvpanic"}},
};
static const DeviceType pvpanic_pci = {
    .name = "pvpanic-pci", .parent = "pci-device", .desc = "Panic notification, PCI function",
    .size = sizeof(PvPanicPci), .pluggable = true, .hotpluggable = true, .window = 2, .max_access = 1,
    .regs = pci_regs, .n_regs = G_N_ELEMENTS(pci_regs), .fields = pci_fields,
    .n_fields = G_N_ELEMENTS(pci_fields), .pci = &info,
};
DEVICE_TYPE(pvpanic_pci);
