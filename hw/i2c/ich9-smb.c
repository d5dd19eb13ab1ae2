/* SPDX-License-Identifier: Apache-2.0 */
/* The SMBus function of the ICH9, 00:1f.3. Datasheet: Intel 316972, chapter 20. */
#include "hw/i2c.h"
#include "hw/pc-pci.h"

enum { HOSTC = 0x40, HOST_ENABLE = 1, I2C_ENABLE = 4, BAR = 4, WINDOW = 0x40 };

typedef struct Smb {
    PciDevice pci;
    Device *block;
    bool shown;                 /* the registers stand in the BAR */
} Smb;

static void update(PciDevice *p, uint32_t old, uint32_t v)
{
    Smb *s = (Smb *)p;
    bool on = pci_get8(p, HOSTC) & HOST_ENABLE;
    if (!s->block)
        return;
    smbus_block_plain(s->block, pci_get8(p, HOSTC) & I2C_ENABLE);
    if (on == s->shown)
        return;
    if (on)
        mem_add(pci_bar_region(p, BAR), 0, s->block->mmio, 0);
    else
        mem_remove(s->block->mmio);
    s->shown = on;
}

static void apply(Device *d) { update((PciDevice *)d, 0, 0); }
static void interrupt(Device *d, uint32_t n, bool level) { pci_intx((PciDevice *)d, level); }

static const PciReg regs[] = {
    {.at = HOSTC, .width = 1, .name = "HOSTC", .writable = HOST_ENABLE | I2C_ENABLE, .wrote = update},
};
static const PciInfo info = {
    .vendor = 0x8086, .device = 0x2930, .class = 0x0c0500, .revision = 2, .pin = 2, .no_hotplug = true,
    .bar = {[BAR] = {.kind = PCI_BAR_IO, .size = WINDOW}}, PCI_REGS(regs),
};
static const Field fields[] = {HOST(Smb, block), HOST(Smb, shown)};
static const DeviceType smb = {
    .name = "ICH9-SMB", .parent = "pci-device", .desc = "ICH9 SMBUS Bridge", .size = sizeof(Smb),
    .category = DEVICE_BRIDGE, .pci = &info, FIELDS(fields), .pin = interrupt, .n_pins = 1, .reset = apply,
    .restored = apply,
};
DEVICE_TYPE(smb);

void ich9_smb_new(PciBus *root)
{
    Vm *vm = root->bus.object.vm;
    Smb *s = (Smb *)pci_make(root, "ICH9-SMB", 31, 3);
    s->block = smbus_block_new(vm, "ich9-smbus-block", device_pin(&s->pci.dev, 0));
    smbus_eeproms_new(smbus_block_bus(s->block));
}
