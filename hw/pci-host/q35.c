/* SPDX-License-Identifier: Apache-2.0 */
/* Q35 memory controller hub: host bridge and its function 00.0. Datasheet: Intel 316966. */
#include "hw/pam.h"
#include "hw/pci-host/pc-host.h"

enum {
    PCIEXBAR = 0x60, PAM0 = 0x90, SMRAM = 0x9d, ESMRAMC = 0x9e, EXT_TSEG = 0x50,
    XBAR_ENABLE = 1, XBAR_LENGTH = 6, SMRAM_OPEN = 0x40, SMRAM_CLOSED = 0x20, SMRAM_LOCK = 0x10,
    SMRAM_ENABLE = 8, SMRAM_BASE = 2,
};

typedef struct Mch {
    PciDevice pci;
    PcHost *host;
    Pam pam;
    MemRegion *ecam[3];         /* 256, 128, 64 buses */
    uint64_t ecam_at;
} Mch;

/* ---- registers ---- */

static void update_pam(PciDevice *p, uint32_t old, uint32_t v)
{
    pam_update(&((Mch *)p)->pam, p->dev.object.vm, &p->config[PAM0]);
}

static void update_ecam(PciDevice *p, uint32_t old, uint32_t v)
{
    Mch *s = (Mch *)p;
    uint64_t xbar = pci_get32(p, PCIEXBAR) | (uint64_t)pci_get32(p, PCIEXBAR + 4) << 32;
    unsigned length = (xbar & XBAR_LENGTH) >> 1;
    s->ecam_at = 0;
    mem_transaction_begin(p->dev.object.vm);
    for (unsigned i = 0; i < 3; i++) {
        mem_remove(s->ecam[i]);
        if (i == length && xbar & XBAR_ENABLE) {
            s->ecam_at = xbar & 0xfffffff000000ull & ~(mem_size(s->ecam[i]) - 1);
            mem_add(s->host->c.system, s->ecam_at, s->ecam[i], 1);
        }
    }
    mem_transaction_commit(p->dev.object.vm);
}

/* Once locked the register stays as it is, but that D_OPEN goes. */
static void update_smram(PciDevice *p, uint32_t old, uint32_t v)
{
    Mch *s = (Mch *)p;
    if (old & SMRAM_LOCK)
        pci_set8(p, SMRAM, old);
    v = pci_get8(p, SMRAM);
    if (v & SMRAM_LOCK)
        pci_set8(p, SMRAM, v &= ~SMRAM_OPEN);
    pam_open_smram(&s->pam, (v & (SMRAM_OPEN | SMRAM_ENABLE)) == (SMRAM_OPEN | SMRAM_ENABLE));
}

#define PAM(n) {.at = PAM0 + n, .width = 1, .name = "PAM" #n, .writable = n ? 0x33 : 0x30, .wrote = update_pam}
static const PciReg regs[] = {
    {.at = EXT_TSEG, .width = 2, .name = "EXTTSEG", .value = 64},
    {.at = PCIEXBAR, .width = 4, .name = "PCIEXBAR", .value = 0xb0000000, .writable = 0xfc000007,
     .wrote = update_ecam},
    {.at = PCIEXBAR + 4, .width = 4, .name = "PCIEXBARU", .writable = 0xf, .wrote = update_ecam},
    PAM(0), PAM(1), PAM(2), PAM(3), PAM(4), PAM(5), PAM(6),
    {.at = SMRAM, .width = 1, .name = "SMRAM", .value = SMRAM_BASE,
     .writable = SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | SMRAM_ENABLE, .wrote = update_smram},
    {.at = ESMRAMC, .width = 1, .name = "ESMRAMC", .value = 0x38, .writable = 0x87},
};

static void apply(Device *d)
{
    PciDevice *p = (PciDevice *)d;
    if (!((Mch *)d)->host)
        return;
    update_pam(p, 0, 0);
    update_ecam(p, 0, 0);
    update_smram(p, 0, 0);
}

static const PciInfo info = {
    .vendor = 0x8086, .device = 0x29c0, .class = 0x060000, .no_hotplug = true, PCI_REGS(regs),
};
static const Field mch_fields[] = {
    HOST(Mch, host), HOST(Mch, pam), HOST(Mch, ecam), HOST(Mch, ecam_at),
};
static const DeviceType mch = {
    .name = "mch", .parent = "pci-device", .desc = "Q35 memory controller hub", .size = sizeof(Mch),
    .category = DEVICE_BRIDGE, .pci = &info, FIELDS(mch_fields), .reset = apply, .restored = apply,
};
DEVICE_TYPE(mch);

/* ---- the bridge ---- */

uint64_t q35_ecam(PciBus *root) { return ((Mch *)((PcHost *)root->bus.owner)->function)->ecam_at; }

static const DeviceType q35_host = {
    .name = "q35-pcihost", .parent = "pc-pcihost", .desc = "Q35 host bridge", .size = sizeof(PcHost),
    .category = DEVICE_BRIDGE, .fw_name = "pci@i0cf8",
};
DEVICE_TYPE(q35_host);

PciBus *q35_host_new(Vm *vm, const PcHostConfig *config)
{
    PcHost *s = pc_host_new(vm, "q35-pcihost", "pcie.0", true, config);
    Mch *m = (Mch *)pci_draft(vm, "mch", 0, 0);
    s->root->reserved = 1u | 1u << 31;
    if (!s->hole64_size)
        s->hole64_size = 32ull << 30;
    for (unsigned i = 0; i < 3; i++)
        m->ecam[i] = pci_ecam(&s->dev.object, s->root, 0, 256 >> i);
    pam_init(&m->pam, &s->dev.object, config->system, config->ram, config->pci);
    m->host = s;
    pc_host_add(s, &m->pci);
    return s->root;
}
