/* SPDX-License-Identifier: Apache-2.0 */
/* Q35 memory controller hub: host bridge and its function 00.0. Datasheet: Intel 316966. */
#include "hw/pam.h"
#include "hw/pci-host/pc-host.h"
#include "hw/pci-host/smram.h"
#include "util/error.h"

enum {
    PCIEXBAR = 0x60, PAM0 = 0x90, SMRAM = 0x9d, ESMRAMC = 0x9e, EXT_TSEG = 0x50,
    XBAR_ENABLE = 1, XBAR_LENGTH = 6, SMRAM_OPEN = 0x40, SMRAM_CLOSED = 0x20, SMRAM_LOCK = 0x10,
    SMRAM_ENABLE = 8, SMRAM_BASE = 2, HIGH_SMRAM = 0x80, TSEG_SIZE = 6, TSEG_ENABLE = 1, TSEG_EXTENDED = 3,
    SMBASE = 0x9c, SMBASE_OFFERED = 1, SMBASE_LOCKED = 2, TSEG_MIB = 64, TSEG_MIB_MAX = 0xfff,
};

typedef struct Mch {
    PciDevice pci;
    PcHost *host;
    Pam pam;
    MemRegion *ecam[3];         /* 256, 128, 64 buses */
    uint64_t ecam_at;
    Smram smram;
    uint16_t tseg_mib;
    bool smbase_smram;
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

/* ---- SMRAM ---- */

static uint64_t tseg_size(const Mch *s, uint8_t control)
{
    static const uint8_t mib[4] = {1, 2, 8};
    unsigned size = (control & TSEG_SIZE) >> 1;
    if (!(control & TSEG_ENABLE))
        return 0;
    return (uint64_t)(size == TSEG_EXTENDED ? s->tseg_mib : mib[size]) << 20;
}

static void apply_smram(PciDevice *p)
{
    Mch *s = (Mch *)p;
    uint8_t v = pci_get8(p, SMRAM), extended = pci_get8(p, ESMRAMC);
    bool enabled = v & SMRAM_ENABLE, open = enabled && v & SMRAM_OPEN, high = extended & HIGH_SMRAM;
    SmramState state = {
        .enabled = enabled, .open = open, .high = high, .tseg = tseg_size(s, extended),
        .start_locked = pci_get8(p, SMBASE) == SMBASE_LOCKED,
    };
    mem_transaction_begin(p->dev.object.vm);
    pam_set_smram(&s->pam, open && !high, enabled && !high);
    if (s->host->c.smm)
        smram_set(&s->smram, &state);
    mem_transaction_commit(p->dev.object.vm);
}

/* Once locked the registers stay as they are, but for D_CLS; D_OPEN goes. */
static void wrote_smram(PciDevice *p, uint32_t old, uint32_t v)
{
    if (old & SMRAM_LOCK)
        v = (old & ~SMRAM_CLOSED) | (v & SMRAM_CLOSED);
    pci_set8(p, SMRAM, v & SMRAM_LOCK ? v & ~SMRAM_OPEN : v);
    apply_smram(p);
}

static void wrote_extended(PciDevice *p, uint32_t old, uint32_t v)
{
    if (pci_get8(p, SMRAM) & SMRAM_LOCK)
        pci_set8(p, ESMRAMC, old);
    apply_smram(p);
}

/* The virtual platform's own: ones ask for the size of the extended TSEG. */
static void wrote_tseg_size(PciDevice *p, uint32_t old, uint32_t v)
{
    if (v == 0xffff)
        pci_set16(p, EXT_TSEG, ((Mch *)p)->tseg_mib);
}

/* Likewise: ones ask whether RAM at 0x30000 can be kept for SMM; then 2 locks it until reset. */
static void wrote_smbase(PciDevice *p, uint32_t old, uint32_t v)
{
    bool on = ((Mch *)p)->smbase_smram;
    if (on && old == 0 && v == 0xff)
        v = SMBASE_OFFERED;
    else if (old != SMBASE_OFFERED || v != SMBASE_LOCKED)
        v = old;
    pci_set8(p, SMBASE, v);
    apply_smram(p);
}

#define PAM(n) {.at = PAM0 + n, .width = 1, .name = "PAM" #n, .writable = n ? 0x33 : 0x30, .wrote = update_pam}
static const PciReg regs[] = {
    {.at = EXT_TSEG, .width = 2, .name = "EXTTSEG", .writable = 0xffff, .wrote = wrote_tseg_size},
    {.at = PCIEXBAR, .width = 4, .name = "PCIEXBAR", .value = 0xb0000000, .writable = 0xfc000007,
     .wrote = update_ecam},
    {.at = PCIEXBAR + 4, .width = 4, .name = "PCIEXBARU", .writable = 0xf, .wrote = update_ecam},
    PAM(0), PAM(1), PAM(2), PAM(3), PAM(4), PAM(5), PAM(6),
    /* Where things stand below 4 GiB, as firmware notes it down; RAM is where the board has put it. */
    {.at = 0x52, .width = 2, .name = "GGC", .writable = 0x03f2},
    {.at = 0xa0, .width = 2, .name = "TOM", .writable = 0x03ff},
    {.at = 0xa2, .width = 2, .name = "TOUUD", .writable = 0xffff},
    {.at = 0xa4, .width = 4, .name = "GBSM", .writable = 0xfff00000},
    {.at = 0xa8, .width = 4, .name = "BGSM", .writable = 0xfff00000},
    {.at = 0xac, .width = 4, .name = "TSEGMB", .writable = 0xfff00000},
    {.at = 0xb0, .width = 2, .name = "TOLUD", .writable = 0xfff0},
    {.at = SMBASE, .width = 1, .name = "SMBASE", .writable = 0xff, .wrote = wrote_smbase},
    {.at = SMRAM, .width = 1, .name = "SMRAM", .value = SMRAM_BASE,
     .writable = SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | SMRAM_ENABLE, .wrote = wrote_smram},
    {.at = ESMRAMC, .width = 1, .name = "ESMRAMC", .value = 0x38, .writable = 0x87, .wrote = wrote_extended},
};

static void apply(Device *d)
{
    PciDevice *p = (PciDevice *)d;
    if (!((Mch *)d)->host)
        return;
    update_pam(p, 0, 0);
    update_ecam(p, 0, 0);
    apply_smram(p);
}

static void mch_reset(Device *d)
{
    PciDevice *p = (PciDevice *)d;
    pci_set16(p, EXT_TSEG, ((Mch *)d)->tseg_mib);
    pam_reset(&((Mch *)d)->pam, d->object.vm, &p->config[PAM0]);
    apply(d);
}

static bool mch_realize(Device *d, GError **error)
{
    unsigned mib = ((Mch *)d)->tseg_mib;
    return mib <= TSEG_MIB_MAX ||
           error_set(error, "extended-tseg-mbytes is at most %u, not %u", TSEG_MIB_MAX, mib);
}

static const PciInfo info = {
    .vendor = 0x8086, .device = 0x29c0, .class = 0x060000, .no_hotplug = true, PCI_REGS(regs),
};
static const Field mch_fields[] = {
    HOST(Mch, host), HOST(Mch, pam), HOST(Mch, ecam), HOST(Mch, ecam_at), HOST(Mch, smram),
    PROP(Mch, tseg_mib, "extended-tseg-mbytes", PROP_U16, .init = TSEG_MIB,
         .desc = "Size of the extended TSEG in MiB"),
    PROP(Mch, smbase_smram, "smbase-smram", PROP_BOOL, .init = true,
         .desc = "RAM at 0x30000 can become SMRAM"),
};
static const DeviceType mch = {
    .name = "mch", .parent = "pci-device", .desc = "Q35 memory controller hub", .size = sizeof(Mch),
    .category = DEVICE_BRIDGE, .pci = &info, FIELDS(mch_fields), .realize = mch_realize, .reset = mch_reset, .restored = apply,
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
    pam_init(&m->pam, &s->dev.object, config->system, config->ram, config->pci, config->smm);
    if (config->smm)
        smram_init(&m->smram, &s->dev.object, config);
    m->host = s;
    pc_host_add(s, &m->pci);
    return s->root;
}
