/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that machines share, without interrupts. Spec: Inter-VM Shared Memory device
 * (qemu.org/docs/master/specs/ivshmem-spec.html), revision 1.
 */
#include "core/backend.h"
#include "hw/pci.h"
#include "util/error.h"

enum { WINDOW = 0x100, SHARED = 2 };

typedef struct Ivshmem {
    PciDevice pci;
    Object *memdev;
    bool master, taken;
} Ivshmem;

static bool realize(Device *d, GError **error)
{
    Ivshmem *s = (Ivshmem *)d;
    if (!s->memdev)
        return error_set(error, "You must specify a 'memdev'");
    MemRegion *memory = memory_backend_take(s->memdev, error);
    PciBar bar = {.kind = PCI_BAR_PREF64};
    s->taken = memory;
    if (memory && pci_add_bar(&s->pci, SHARED, &bar, memory, error))
        return true;
    if (memory)
        memory_backend_release(s->memdev);
    return s->taken = false;
}

/* The BAR goes after this, in the same breath. */
static void unrealize(Device *d)
{
    Ivshmem *s = (Ivshmem *)d;
    if (s->taken)
        memory_backend_release(s->memdev);
    s->taken = false;
}

/* Without interrupts nothing can be masked, pend, or ring; the position is that of nobody. */
static const Reg regs[] = {
    REG(0x0, "IntrMask", RO), REG(0x4, "IntrStatus", RO), REG(0x8, "IVPosition", RO), REG(0xc, "Doorbell", WO),
};
static const Field fields[] = {
    PROP(Ivshmem, memdev, "memdev", PROP_LINK, .link_type = "memory-backend", .desc = "The memory"),
    PROP(Ivshmem, master, "master", PROP_BOOL, .desc = "Whether the memory moves with the machine, where it moves"),
    HOST(Ivshmem, taken),
};
static const PciInfo info = {
    .vendor = 0x1af4, .device = 0x1110, .class = 0x050000, .revision = 1,
    .bar = {{.kind = PCI_BAR_MEM32, .window = true}},
};
static const DeviceType ivshmem_plain = {
    .name = "ivshmem-plain", .parent = "pci-device", .desc = "Inter-VM shared memory", .size = sizeof(Ivshmem),
    .window = WINDOW, .min_access = 4, .max_access = 4, REGS(regs), FIELDS(fields), .pluggable = true,
    .hotpluggable = true, .realize = realize, .unrealize = unrealize, .pci = &info,
};
DEVICE_TYPE(ivshmem_plain);
