/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the CPU reaches configuration space: ports 0xcf8/0xcfc (PCI Local Bus 3.0, 3.2.2.3.2) and ECAM
 * (PCI Express Base 5.0, 7.2.2). The functions' domains are taken for the access, not the bridge's.
 */
#include "hw/pci/internal.h"

enum { ENABLE = 1u << 31, ADDRESS_BITS = 0x80fffffc };

static uint64_t nothing(unsigned size) { return size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1; }

/* Only whole words reach the address register. */
static uint64_t read_address(void *opaque, uint64_t at, unsigned size)
{
    PciPorts *s = opaque;
    if (size == 4)
        return __atomic_load_n(&s->address, __ATOMIC_RELAXED);
    return s->narrow_read ? s->narrow_read(s->narrow_opaque, at, size) : nothing(size);
}

static void write_address(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    PciPorts *s = opaque;
    if (size == 4)
        __atomic_store_n(&s->address, (uint32_t)value & ADDRESS_BITS, __ATOMIC_RELAXED);
    else if (s->narrow_write)
        s->narrow_write(s->narrow_opaque, at, value, size);
}

static PciDevice *selected(PciPorts *s, unsigned *at)
{
    uint32_t a = __atomic_load_n(&s->address, __ATOMIC_RELAXED);
    *at |= a & 0xfc;
    return a & ENABLE ? pci_function(s->root, a >> 16 & 0xff, a >> 8 & 0xff) : NULL;
}

static uint64_t read_data(void *opaque, uint64_t offset, unsigned size)
{
    unsigned at = offset;
    PciDevice *p = selected(opaque, &at);
    return p ? pci_config_read(p, at, size) : nothing(size);
}

static void write_data(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    unsigned at = offset;
    PciDevice *p = selected(opaque, &at);
    if (p)
        pci_config_write(p, at, value, size);
}

static const MemOps address_ops = {
    .read = read_address, .write = write_address, .min_access = 1, .max_access = 4, .no_lock = true,
};
static const MemOps data_ops = {
    .read = read_data, .write = write_data, .max_access = 4, .no_lock = true,
};

void pci_ports_init(PciPorts *s, Object *owner, PciBus *root)
{
    s->root = root;
    s->address_io = mem_io(owner, "pci-conf-idx", 4, &address_ops, s, NULL);
    s->data_io = mem_io(owner, "pci-conf-data", 4, &data_ops, s, NULL);
}

/* ---- ECAM: bus << 20 | devfn << 12 | register ---- */

typedef struct Ecam {
    Object object;
    PciBus *root;
    unsigned first;
} Ecam;
static const ObjectType ecam_type = {.name = "pci-ecam", .size = sizeof(Ecam)};
OBJECT_TYPE(ecam_type);

static PciDevice *at_offset(const Ecam *e, uint64_t at)
{
    return pci_function(e->root, e->first + (at >> 20), at >> 12 & 0xff);
}

static uint64_t read_ecam(void *opaque, uint64_t at, unsigned size)
{
    PciDevice *p = at_offset(opaque, at);
    return p ? pci_config_read(p, at & 0xfff, size) : nothing(size);
}

static void write_ecam(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    PciDevice *p = at_offset(opaque, at);
    if (p)
        pci_config_write(p, at & 0xfff, value, size);
}

static const MemOps ecam_ops = {.read = read_ecam, .write = write_ecam, .max_access = 4, .no_lock = true};

MemRegion *pci_ecam(Object *owner, PciBus *root, unsigned first, unsigned buses)
{
    Ecam *e = (Ecam *)object_new(owner->vm, &ecam_type);
    object_add_child(owner, "ecam[*]", &e->object);
    e->root = root;
    e->first = first;
    return mem_io(owner, "pcie-mmcfg-mmio", (uint64_t)buses << 20, &ecam_ops, e, NULL);
}
