/* SPDX-License-Identifier: Apache-2.0 */
/* 440FX PCI and memory controller: host bridge and its function 00.0. Datasheet: Intel 290549. */
#include "hw/pci-host/pc-host.h"

enum {
    PAM0 = 0x59, SMRAM = 0x72, SMRAM_OPEN = 0x40, SMRAM_CLOSED = 0x20, SMRAM_LOCK = 0x10,
    SMRAM_ENABLE = 8, SMRAM_BASE = 2,
};

typedef struct I440fx {
    PciDevice pci;
    PcHost *host;
    Pam pam;
} I440fx;

static void update_pam(PciDevice *p, uint32_t old, uint32_t v)
{
    pam_update(&((I440fx *)p)->pam, p->dev.object.vm, &p->config[PAM0]);
}

static void update_smram(PciDevice *p, uint32_t old, uint32_t v)
{
    if (old & SMRAM_LOCK)
        pci_set8(p, SMRAM, (old & ~SMRAM_CLOSED) | (v & SMRAM_CLOSED));
    v = pci_get8(p, SMRAM);
    if (v & SMRAM_LOCK)
        pci_set8(p, SMRAM, v &= ~SMRAM_OPEN);
    bool enabled = v & SMRAM_ENABLE;
    pam_set_smram(&((I440fx *)p)->pam, enabled && v & SMRAM_OPEN, enabled);
}

#define PAM(n) {.at = PAM0 + n, .width = 1, .name = "PAM" #n, .writable = n ? 0x33 : 0x30, .wrote = update_pam}
static const PciReg regs[] = {
    PAM(0), PAM(1), PAM(2), PAM(3), PAM(4), PAM(5), PAM(6),
    {.at = SMRAM, .width = 1, .name = "SMRAM", .value = SMRAM_BASE,
     .writable = SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | SMRAM_ENABLE, .wrote = update_smram},
};

static void apply(Device *d)
{
    if (!((I440fx *)d)->host)
        return;
    update_pam((PciDevice *)d, 0, 0);
    update_smram((PciDevice *)d, 0, 0);
}

static void reset(Device *d)
{
    pam_reset(&((I440fx *)d)->pam, d->object.vm, &((PciDevice *)d)->config[PAM0]);
    apply(d);
}

static const PciInfo info = {
    .vendor = 0x8086, .device = 0x1237, .class = 0x060000, .revision = 2, .no_hotplug = true,
    PCI_REGS(regs),
};
static const Field fields[] = {HOST(I440fx, host), HOST(I440fx, pam)};
static const DeviceType i440fx = {
    .name = "i440FX", .parent = "pci-device", .desc = "440FX host bridge", .size = sizeof(I440fx),
    .category = DEVICE_BRIDGE, .pci = &info, FIELDS(fields), .reset = reset, .restored = apply,
};
DEVICE_TYPE(i440fx);

static const DeviceType host = {
    .name = "i440FX-pcihost", .parent = "pc-pcihost", .desc = "440FX host bridge",
    .size = sizeof(PcHost), .category = DEVICE_BRIDGE, .fw_name = "pci@i0cf8",
};
DEVICE_TYPE(host);

PciBus *i440fx_host_new(Vm *vm, const PcHostConfig *config)
{
    PcHost *s = pc_host_new(vm, "i440FX-pcihost", "pci.0", false, config);
    I440fx *f = (I440fx *)pci_draft(vm, "i440FX", 0, 0);
    s->root->reserved = 3;
    if (!s->hole64_size)
        s->hole64_size = 2ull << 30;
    pam_init(&f->pam, &s->dev.object, config->system, config->ram, config->pci, config->smm);
    f->host = s;
    pc_host_add(s, &f->pci);
    return s->root;
}
