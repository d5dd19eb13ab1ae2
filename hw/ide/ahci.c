/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AHCI host adapter: ahci, and ich9-ahci as q35 has it. Spec: Serial ATA AHCI 1.3.1.
 *
 * Registers run on vCPU threads in the device's domain; commands are fetched and run on the machine's loop. What
 * is in flight cannot be called back, so that a port (PxCMD.CR) or the adapter (GHC.HR) ends to run only when
 * storage is done.
 */
#include <string.h>
#include "hw/ide.h"
#include "hw/ide/ata.h"
#include "hw/dma-list.h"
#include "util/log.h"

enum {
    PORTS = 6, SLOTS = 32, STRIDE = 0x80, HEADER = 32, PRD = 16, CFIS = 64, MAX_PRD = 65536,
    GHC_HR = 1, GHC_IE = 2,
    CMD_ST = 1, CMD_SUD = 2, CMD_POD = 4, CMD_CLO = 8, CMD_FRE = 0x10, CMD_FR = 0x4000, CMD_CR = 0x8000,
    CMD_ATAPI = 1 << 24,
    IS_D2H = 1, IS_PIO = 2, IS_SDB = 8, IS_TFE = 1 << 30,
    FIS_H2D = 0x27, FIS_D2H = 0x34, FIS_PIO = 0x5f, FIS_SDB = 0xa1,
    FB_PIO = 0x20, FB_D2H = 0x40, FB_SDB = 0x58,
    SATA_CAP = 0xa8, MSI_CAP = 0x80, IDP_INDEX = 0x10, IDP_DATA = 0x14,
};
#define GHC_AE 0x80000000u
#define NO_DRIVE 0x7f

typedef struct Ahci {
    PciDevice pci;
    IdeBus *bus[PORTS];
    uint32_t ghc, is, idp;
    uint32_t clb[PORTS], clbu[PORTS], fb[PORTS], fbu[PORTS], pis[PORTS], pie[PORTS], cmd[PORTS], tfd[PORTS];
    uint32_t sig[PORTS], sctl[PORTS], serr[PORTS], sact[PORTS], ci[PORTS];
    uint32_t redo[PORTS];       /* slots held back for an error, to run again with the machine */
    uint8_t stalled[PORTS];       /* an error; nothing runs until ST is cleared */
    uint8_t srst[PORTS];         /* software reset asserted */
    uint32_t running[PORTS];    /* slots in flight */
    uint32_t generation[PORTS]; /* of the commands that count */
    bool posted, level;
    unsigned listener;
} Ahci;

typedef struct Command {
    AtaTask t;
    Ahci *s;
    unsigned port, slot;
    uint32_t generation;
    uint64_t header;            /* its address */
    DmaList dma;
} Command;

static IdeDrive *drive(const Ahci *s, unsigned p) { return s->bus[p]->drive[0]; }
static uint64_t list_of(const Ahci *s, unsigned p) { return (uint64_t)s->clbu[p] << 32 | s->clb[p]; }
static uint64_t fis_of(const Ahci *s, unsigned p) { return (uint64_t)s->fbu[p] << 32 | s->fb[p]; }
static bool is_ncq(uint8_t command) { return command == ATA_READ_FPDMA || command == ATA_WRITE_FPDMA; }

/* ---- interrupts ---- */

static void update(Ahci *s)
{
    for (unsigned p = 0; p < PORTS; p++)
        if (s->pis[p] & s->pie[p])
            s->is |= 1u << p;
    bool level = s->ghc & GHC_IE && s->is;
    bool rises = level && !s->level;
    s->level = level;
    if (pci_msi_enabled(&s->pci)) {
        if (rises)
            pci_notify(&s->pci, 0);
    } else {
        pci_intx(&s->pci, level);
    }
}

/* An event while the line is up is a new message all the same. */
static void raise_event(Ahci *s, unsigned p, uint32_t bits)
{
    s->pis[p] |= bits;
    if (s->pis[p] & s->pie[p] && pci_msi_enabled(&s->pci))
        s->level = false;
    update(s);
}

/* ---- frames to the host ---- */

static void send_fis(Ahci *s, unsigned p, unsigned at, const uint8_t *fis, unsigned n)
{
    if (s->cmd[p] & CMD_FRE)
        pci_dma_write(&s->pci, fis_of(s, p) + at, fis, n);
}

static void fill_fis(uint8_t *f, uint8_t type, const AtaTask *t)
{
    memset(f, 0, 20);
    f[0] = type;
    f[1] = 0x40;
    f[2] = t->status;
    f[3] = t->error;
    f[4] = t->lba;
    f[5] = t->lba >> 8;
    f[6] = t->lba >> 16;
    f[7] = t->device;
    f[8] = t->lba >> 24;
    f[9] = t->lba >> 32;
    f[10] = t->lba >> 40;
    f[12] = t->count;
    f[13] = t->count >> 8;
}

static void send_registers(Ahci *s, unsigned p, const AtaTask *t)
{
    uint8_t f[20];
    fill_fis(f, FIS_D2H, t);
    send_fis(s, p, FB_D2H, f, sizeof(f));
    s->tfd[p] = t->error << 8 | t->status;
    raise_event(s, p, IS_D2H | (t->status & ATA_ERR ? IS_TFE : 0));
}

static void send_pio_setup(Ahci *s, unsigned p, const AtaTask *t)
{
    uint8_t f[20];
    fill_fis(f, FIS_PIO, t);
    f[1] |= t->data == ATA_IN ? 0x20 : 0;
    f[15] = t->status;
    f[16] = t->moved;
    f[17] = t->moved >> 8;
    send_fis(s, p, FB_PIO, f, sizeof(f));
    s->pis[p] |= IS_PIO;
}

static void send_bits(Ahci *s, unsigned p, const AtaTask *t, uint32_t finished)
{
    uint8_t f[8] = {FIS_SDB, 0x40, t->status & 0x77, t->error};
    for (unsigned i = 0; i < 4; i++)
        f[4 + i] = finished >> 8 * i;
    send_fis(s, p, FB_SDB, f, sizeof(f));
    s->tfd[p] = t->error << 8 | (s->tfd[p] & 0x88) | (t->status & 0x77);
    raise_event(s, p, IS_SDB | (t->status & ATA_ERR ? IS_TFE : 0));
}

/* ---- resets ---- */

static void reset_drive(Ahci *s, unsigned p)
{
    IdeDrive *d = drive(s, p);
    AtaTask t = {.status = ATA_RDY | ATA_DSC, .error = 1};
    s->tfd[p] = NO_DRIVE;
    s->sig[p] = UINT32_MAX;
    if (!d)
        return;
    ata_reset(d);
    ata_signature(d, &t);
    s->sig[p] = (uint32_t)t.lba << 8 | t.count;
    s->tfd[p] = t.error << 8 | t.status;
    s->cmd[p] = ata_is_cd(d) ? s->cmd[p] | CMD_ATAPI : s->cmd[p] & ~CMD_ATAPI;
}

static void forget_commands(Ahci *s, unsigned p)
{
    s->generation[p]++;
    s->ci[p] = s->sact[p] = s->redo[p] = 0;
    s->stalled[p] = s->srst[p] = false;
}

static void reset_port(Ahci *s, unsigned p)
{
    forget_commands(s, p);
    s->clb[p] = s->clbu[p] = s->fb[p] = s->fbu[p] = s->pis[p] = s->pie[p] = s->sctl[p] = s->serr[p] = 0;
    s->cmd[p] = CMD_SUD | CMD_POD;
    reset_drive(s, p);
}

static bool busy(const Ahci *s)
{
    for (unsigned p = 0; p < PORTS; p++)
        if (s->running[p])
            return true;
    return false;
}

static void reset_adapter(Ahci *s)
{
    s->ghc = GHC_AE;
    s->is = s->idp = 0;
    for (unsigned p = 0; p < PORTS; p++)
        reset_port(s, p);
    update(s);
}

/* ---- ends of commands, on the loop ---- */

static void run(Ahci *s);

static void settle(Ahci *s, unsigned p)
{
    if (!s->running[p] && !(s->cmd[p] & CMD_ST))
        s->cmd[p] &= ~CMD_CR;
    if (s->ghc & GHC_HR && !busy(s))
        reset_adapter(s);
}

static void report(Command *c)
{
    Ahci *s = c->s;
    unsigned p = c->port;
    uint32_t bit = 1u << c->slot, count = GUINT32_TO_LE((uint32_t)c->t.moved);
    bool error = c->t.status & ATA_ERR;
    pci_dma_write(&s->pci, c->header + 4, &count, sizeof(count));
    s->stalled[p] |= error;
    if (is_ncq(c->t.command)) {
        if (!error)
            s->sact[p] &= ~bit;
        send_bits(s, p, &c->t, error ? 0 : bit);
        return;
    }
    if (!error)
        s->ci[p] &= ~bit;
    if (c->t.data != ATA_NO_DATA && !c->t.dma && !error)
        send_pio_setup(s, p, &c->t);
    send_registers(s, p, &c->t);
}

static void done(AtaTask *t)
{
    Command *c = t->opaque;
    Ahci *s = c->s;
    device_lock(&s->pci.dev);
    if (t->data == ATA_IN)
        dma_list_written(&c->dma, &s->pci.dev, t->moved);
    s->running[c->port] &= ~(1u << c->slot);
    if (c->generation == s->generation[c->port]) {
        if (t->held)
            s->redo[c->port] |= 1u << c->slot;
        else
            report(c);
    }
    settle(s, c->port);
    run(s);
    device_unlock(&s->pci.dev);
    dma_list_clear(&c->dma);
    g_free(c);
}

/* ---- beginnings, on the loop ---- */

static bool read_table(Command *c, uint64_t table, unsigned entries)
{
    bool to_guest = c->t.data == ATA_IN;
    for (unsigned i = 0; i < entries && c->dma.bytes < c->t.bytes; i++) {
        struct { uint64_t at; uint32_t reserved, count; } e;
        if (!pci_dma_read(&c->s->pci, table + PRD * i, &e, sizeof(e)))
            return false;
        uint64_t n = (GUINT32_FROM_LE(e.count) & 0x3fffff) + 1;
        if (!dma_list_add(&c->dma, &c->s->pci.dev, GUINT64_FROM_LE(e.at), MIN(n, c->t.bytes - c->dma.bytes), to_guest))
            return false;
    }
    return true;
}

static void refuse(Command *c)
{
    c->t.status = ATA_RDY | ATA_DSC | ATA_ERR;
    c->t.error = ATA_ABRT;
    c->t.data = ATA_NO_DATA;
    report(c);
    dma_list_clear(&c->dma);
    g_free(c);
}

static void start_command(Command *c, const uint8_t *fis, uint64_t table, unsigned entries)
{
    Ahci *s = c->s;
    AtaTask *t = &c->t;
    IdeDrive *d = drive(s, c->port);
    t->command = fis[2];
    t->feature = fis[3] | fis[11] << 8;
    t->lba = fis[4] | fis[5] << 8 | fis[6] << 16 | (uint64_t)fis[8] << 24 | (uint64_t)fis[9] << 32 |
             (uint64_t)fis[10] << 40;
    t->device = fis[7];
    t->count = fis[12] | fis[13] << 8;
    t->done = done;
    t->opaque = c;
    if (is_ncq(t->command) && t->count >> 3 != c->slot) {
        refuse(c);
        return;
    }
    bool ok = ata_plan(d, t);
    if (ok && t->data == ATA_WANTS_CDB) {
        pci_dma_read(&s->pci, table + CFIS, t->cdb, SCSI_CDB);
        ok = ata_plan(d, t);
    }
    if (!ok || (t->data != ATA_NO_DATA && !read_table(c, table + STRIDE, entries)) ||
        (c->dma.bytes < t->bytes && t->command != ATA_PACKET)) {
        if (ok)
            log_guest(s, "port %u: command 0x%02x without memory for its data", c->port, t->command);
        refuse(c);
        return;
    }
    t->bytes = t->data != ATA_NO_DATA ? c->dma.bytes : 0;
    t->iov = c->dma.iov ? (struct iovec *)c->dma.iov->data : NULL;
    t->n_iov = c->dma.iov ? c->dma.iov->len : 0;
    s->running[c->port] |= 1u << c->slot;
    if (is_ncq(t->command))
        s->ci[c->port] &= ~(1u << c->slot);
    else
        s->tfd[c->port] |= ATA_BSY;
    ata_run(d, t);
}

/* Software reset: a control FIS with SRST, then one without. */
static void control(Ahci *s, unsigned p, unsigned slot, const uint8_t *fis)
{
    bool srst = fis[15] & 4, ends = s->srst[p] && !srst;
    s->srst[p] = srst;
    s->ci[p] &= ~(1u << slot);
    if (!ends || !drive(s, p))
        return;
    AtaTask t = {.status = ATA_RDY | ATA_DSC, .error = 1};
    ata_reset(drive(s, p));
    ata_signature(drive(s, p), &t);
    send_registers(s, p, &t);
}

static void start_slot(Ahci *s, unsigned p, unsigned slot)
{
    uint32_t h[4];
    uint8_t fis[CFIS];
    uint64_t header = list_of(s, p) + HEADER * slot;
    bool ok = pci_dma_read(&s->pci, header, h, sizeof(h));
    uint64_t table = (uint64_t)GUINT32_FROM_LE(h[3]) << 32 | (GUINT32_FROM_LE(h[2]) & ~0x7fu);
    if (!ok || !pci_dma_read(&s->pci, table, fis, sizeof(fis)) || fis[0] != FIS_H2D) {
        log_guest(s, "port %u: no command in slot %u", p, slot);
        s->ci[p] &= ~(1u << slot);
        return;
    }
    trace(command, "port %u slot %u: 0x%02x", p, slot, fis[2]);
    if (!(fis[1] & 0x80)) {
        control(s, p, slot, fis);
        return;
    }
    Command *c = g_new0(Command, 1);
    *c = (Command){.s = s, .port = p, .slot = slot, .header = header, .generation = s->generation[p]};
    start_command(c, fis, table, GUINT32_FROM_LE(h[0]) >> 16);
}

/* Queued commands run beside each other, others alone. */
static bool may_start(Ahci *s, unsigned p, unsigned slot)
{
    return !s->running[p] || (s->sact[p] & 1u << slot && !(s->running[p] & ~s->sact[p]));
}

static void run_port(Ahci *s, unsigned p)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        uint32_t bit = 1u << slot;
        if (!(s->cmd[p] & CMD_ST) || s->stalled[p] || !drive(s, p))
            return;
        if (s->redo[p] & bit && may_start(s, p, slot)) {
            s->redo[p] &= ~bit;
            start_slot(s, p, slot);
        } else if (s->ci[p] & bit && !((s->running[p] | s->redo[p]) & bit) && may_start(s, p, slot)) {
            start_slot(s, p, slot);
        }
    }
}

static void run(Ahci *s)
{
    if (vm_is_running(s->pci.dev.object.vm) && !(s->ghc & GHC_HR))
        for (unsigned p = 0; p < PORTS; p++)
            run_port(s, p);
}

static void run_posted(Device *d, void *unused)
{
    Ahci *s = (Ahci *)d;
    device_lock(d);
    s->posted = false;
    run(s);
    device_unlock(d);
}

static void post(Ahci *s)
{
    if (s->posted)
        return;
    s->posted = true;
    device_post(&s->pci.dev, run_posted, NULL, NULL);
}

/* ---- registers ---- */

static void wrote_ghc(Device *d, uint64_t v)
{
    Ahci *s = (Ahci *)d;
    s->ghc |= GHC_AE;
    for (unsigned p = 0; v & GHC_HR && p < PORTS; p++)
        forget_commands(s, p);
    if (v & GHC_HR && !busy(s))
        reset_adapter(s);
    update(s);
}

static void changed(Device *d, uint64_t v) { update((Ahci *)d); }
static void port_changed(Device *d, unsigned p, uint64_t v) { update((Ahci *)d); }

static uint64_t read_cmd(Device *d, unsigned p) { return ((Ahci *)d)->cmd[p]; }

static void wrote_cmd(Device *d, unsigned p, uint64_t v)
{
    enum { WRITABLE = CMD_ST | CMD_SUD | CMD_POD | CMD_FRE };
    Ahci *s = (Ahci *)d;
    uint32_t old = s->cmd[p], now = (old & ~WRITABLE) | (v & WRITABLE);
    if (v & CMD_CLO)
        s->tfd[p] &= ~(ATA_BSY | ATA_DRQ);
    now = now & CMD_FRE ? now | CMD_FR : now & ~CMD_FR;
    if (now & CMD_ST)
        now |= CMD_CR;
    s->cmd[p] = now;
    if (old & CMD_ST && !(now & CMD_ST)) {
        forget_commands(s, p);
        settle(s, p);
    }
}

static uint64_t read_ssts(Device *d, unsigned p)
{
    const Ahci *s = (Ahci *)d;
    return drive(s, p) && (s->sctl[p] & 15) == 0 ? 0x113 : 0;
}

static void wrote_sctl(Device *d, unsigned p, uint64_t v)
{
    Ahci *s = (Ahci *)d;
    uint32_t old = s->sctl[p];
    s->sctl[p] = v;
    if ((old & 15) == 1 && !(v & 15)) {         /* COMRESET ends */
        forget_commands(s, p);
        reset_drive(s, p);
        s->serr[p] |= drive(s, p) ? 1 << 26 : 0;
    } else if ((v & 15) == 1) {
        s->tfd[p] = NO_DRIVE;
    }
}

static uint64_t read_sctl(Device *d, unsigned p) { return ((Ahci *)d)->sctl[p]; }

static void wrote_sact(Device *d, unsigned p, uint64_t v)
{
    Ahci *s = (Ahci *)d;
    if (!(s->cmd[p] & CMD_ST))
        s->sact[p] = 0;
}

static void wrote_ci(Device *d, unsigned p, uint64_t v)
{
    Ahci *s = (Ahci *)d;
    if (s->cmd[p] & CMD_ST)
        post(s);
    else
        s->ci[p] = 0;
}

#define PORT_OF(at, name, kind, ...) REG(0x100 + at, name, kind, .count = PORTS, .stride = STRIDE, __VA_ARGS__)
static const Reg regs[] = {
    REG(0x00, "CAP", RO, .value = 0xc0141f00 | (PORTS - 1)),
    REG(0x04, "GHC", RW, IN(Ahci, ghc), .bits = GHC_HR | GHC_IE, .reset = GHC_AE, .wrote = wrote_ghc),
    REG(0x08, "IS", W1C, IN(Ahci, is), .wrote = changed), REG(0x0c, "PI", RO, .value = (1 << PORTS) - 1),
    REG(0x10, "VS", RO, .value = 0x10000), REG(0x14, "CCC_CTL", RO, .value = 0), REG(0x18, "CCC_PORTS", RO, .value = 0),
    REG(0x1c, "EM_LOC", RO, .value = 0), REG(0x20, "EM_CTL", RO, .value = 0), REG(0x24, "CAP2", RO, .value = 0),
    REG(0x100, "PxCLB", RW, IN_ARRAY(Ahci, clb), .stride = STRIDE, .bits = 0xfffffc00),
    REG(0x104, "PxCLBU", RW, IN_ARRAY(Ahci, clbu), .stride = STRIDE),
    REG(0x108, "PxFB", RW, IN_ARRAY(Ahci, fb), .stride = STRIDE, .bits = 0xffffff00),
    REG(0x10c, "PxFBU", RW, IN_ARRAY(Ahci, fbu), .stride = STRIDE),
    REG(0x110, "PxIS", W1C, IN_ARRAY(Ahci, pis), .stride = STRIDE, .wrote_at = port_changed),
    REG(0x114, "PxIE", RW, IN_ARRAY(Ahci, pie), .stride = STRIDE, .bits = 0xfdc000ff, .wrote_at = port_changed),
    PORT_OF(0x18, "PxCMD", RW, .read_at = read_cmd, .wrote_at = wrote_cmd),
    REG(0x120, "PxTFD", RO, IN_ARRAY(Ahci, tfd), .stride = STRIDE, .reset = NO_DRIVE),
    REG(0x124, "PxSIG", RO, IN_ARRAY(Ahci, sig), .stride = STRIDE, .reset = UINT32_MAX),
    PORT_OF(0x28, "PxSSTS", RO, .read_at = read_ssts),
    PORT_OF(0x2c, "PxSCTL", RW, .read_at = read_sctl, .wrote_at = wrote_sctl),
    REG(0x130, "PxSERR", W1C, IN_ARRAY(Ahci, serr), .stride = STRIDE),
    REG(0x134, "PxSACT", W1S, IN_ARRAY(Ahci, sact), .stride = STRIDE, .wrote_at = wrote_sact),
    REG(0x138, "PxCI", W1S, IN_ARRAY(Ahci, ci), .stride = STRIDE, .wrote_at = wrote_ci),
};

/* ---- the same by index and data ports ---- */

static uint64_t idp_read(void *opaque, uint64_t at, unsigned size)
{
    Ahci *s = opaque;
    return at == IDP_INDEX ? s->idp : at == IDP_DATA ? device_mmio_read(&s->pci.dev, s->idp, 4) : 0;
}

static void idp_write(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    Ahci *s = opaque;
    if (at == IDP_INDEX)
        s->idp = value & 0xffc;
    else if (at == IDP_DATA)
        device_mmio_write(&s->pci.dev, s->idp, value, 4);
}

/* ---- life ---- */

static void state_changed(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    Ahci *s = data;
    for (unsigned p = 0; p < PORTS && !vm_is_running(vm); p++)
        if (drive(s, p))
            ata_drain(drive(s, p));
    if (vm_is_running(vm))
        post(s);
}

static void drive_came(IdeBus *bus)
{
    Ahci *s = (Ahci *)bus->bus.owner;
    for (unsigned p = 0; p < PORTS; p++)
        if (s->bus[p] == bus)
            reset_drive(s, p);
}

static bool realize(Device *d, GError **error)
{
    Ahci *s = (Ahci *)d;
    uint8_t cap = pci_add_capability(&s->pci, 0x12, 8, SATA_CAP, error);
    if (!cap)
        return false;
    pci_init16(&s->pci, cap + 2, 0x10, 0, 0);
    pci_init32(&s->pci, cap + 4, 8 | IDP_INDEX / 4 << 4, 0, 0);
    pci_init8(&s->pci, 0x90, 1 << 6, 0, 0);     /* address map: AHCI mode */
    for (unsigned p = 0; p < PORTS; p++) {
        s->bus[p] = ide_bus_new(d, p, 1, true);
        s->bus[p]->changed = drive_came;
    }
    s->listener = vm_listen(d->object.vm, VM_EVENT_STATE, state_changed, s);
    return true;
}

static void unrealize(Device *d) { vm_unlisten(d->object.vm, ((Ahci *)d)->listener); }

static void drain(Ahci *s)
{
    for (unsigned p = 0; p < PORTS; p++)
        if (s->bus[p] && drive(s, p))
            ata_drain(drive(s, p));
}

static void reset(Device *d)
{
    Ahci *s = (Ahci *)d;
    for (unsigned p = 0; p < PORTS; p++)
        forget_commands(s, p);
    drain(s);
    reset_adapter(s);
}

static void saving(Device *d) { drain((Ahci *)d); }

static void restored(Device *d)
{
    Ahci *s = (Ahci *)d;
    s->ghc |= GHC_AE;
    if (s->ghc & GHC_HR)
        reset_adapter(s);
    for (unsigned p = 0; p < PORTS; p++)
        settle(s, p);
    update(s);
    post(s);
}

static const MemOps idp_ops = {idp_read, idp_write, .min_access = 4, .max_access = 4};
static const PciInfo info = {
    .vendor = 0x8086, .device = 0x2922, .class = 0x010601, .revision = 2, .pin = 1,
    .bar = {[4] = {.kind = PCI_BAR_IO, .size = 32, .ops = &idp_ops, .name = "ahci-idp"},
            [5] = {.kind = PCI_BAR_MEM32, .window = true, .name = "ahci"}},
    .msi = {.vectors = 1, .at = MSI_CAP},
};
static const Field fields[] = {
    HOST(Ahci, bus), SAVED(Ahci, idp), SAVED(Ahci, cmd), SAVED(Ahci, sctl), SAVED(Ahci, redo),
    SAVED(Ahci, stalled), SAVED(Ahci, srst),
    HOST(Ahci, running), HOST(Ahci, generation), HOST(Ahci, posted), HOST(Ahci, level), HOST(Ahci, listener),
};
static const char *const aliases[] = {"ahci", NULL};
static const DeviceType ich9_ahci = {
    .name = "ich9-ahci", .parent = "pci-device", .desc = "Intel ICH9 AHCI controller", .aliases = aliases,
    .size = sizeof(Ahci), .pluggable = true, .category = DEVICE_STORAGE, .window = 0x1000, .min_access = 4,
    .max_access = 4, REGS(regs), FIELDS(fields), .realize = realize, .unrealize = unrealize, .reset = reset,
    .saving = saving, .restored = restored, .pci = &info,
};
DEVICE_TYPE(ich9_ahci);

PciDevice *ich9_ahci_new(PciBus *root) { return pci_make(root, "ich9-ahci", 0x1f, 2); }
