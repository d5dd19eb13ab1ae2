/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel of parallel ATA. Specs: ATA8-APT; bus mastering: "Programming Interface for Bus Master IDE
 * Controller" 1.0. Registers run in the controller's domain; tasks run on the machine's loop.
 */
#include <string.h>
#include "hw/ide/channel.h"
#include "util/log.h"

enum {
    PHASE_IDLE, PHASE_RUNNING, PHASE_IN, PHASE_OUT, PHASE_CDB, PHASE_WAITS_DMA, PHASES,
    CTL_NIEN = 2, CTL_SRST = 4, CTL_HOB = 0x80, SLAVE = 0x10,
    BM_START = 1, BM_TO_MEMORY = 8, BM_ACTIVE = 1, BM_ERROR = 2, BM_IRQ = 4, BM_CAPABLE = 0x60,
    REASON_COMMAND = 1, REASON_TO_HOST = 2, IDLE_STATUS = ATA_RDY | ATA_DSC, MAX_PRD = 8192,
};

static unsigned selected(const IdeChannel *c) { return c->s->device & SLAVE ? 1 : 0; }
static IdeDrive *drive(const IdeChannel *c) { return c->bus->drive[selected(c)]; }
static AtaRegs *regs(IdeChannel *c) { return &c->s->regs[selected(c)]; }
static uint32_t get32(const uint8_t *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }
static void put32(uint8_t *p, uint32_t v) { for (unsigned i = 0; i < 4; i++) p[i] = v >> 8 * i; }

static void run(IdeChannel *c);
static void begin_data(IdeChannel *c);

/* ---- interrupts ---- */

static void update(IdeChannel *c) { irq_set(c->line, c->s->irq && !(c->s->control & CTL_NIEN)); }

static void interrupt(IdeChannel *c)
{
    c->s->irq = 1;
    c->s->bm_status |= BM_IRQ;
    update(c);
}

/* ---- registers and tasks ---- */

static void fill_task(IdeChannel *c, uint8_t command)
{
    const AtaRegs *r = regs(c);
    c->s->command = command;
    c->task = (AtaTask){
        .command = command, .device = c->s->device, .feature = r->feature[0] | r->feature[1] << 8,
        .count = r->count[0] | r->count[1] << 8,
        .lba = r->low[0] | r->mid[0] << 8 | r->high[0] << 16 | (uint64_t)r->low[1] << 24 |
               (uint64_t)r->mid[1] << 32 | (uint64_t)r->high[1] << 40,
    };
}

static void take_result(IdeChannel *c)
{
    const AtaTask *t = &c->task;
    AtaRegs *r = regs(c);
    r->status = t->status;
    r->error = t->error;
    r->count[0] = t->count;
    r->count[1] = t->count >> 8;
    r->low[0] = t->lba;
    r->mid[0] = t->lba >> 8;
    r->high[0] = t->lba >> 16;
    r->low[1] = t->lba >> 24;
    r->mid[1] = t->lba >> 32;
    r->high[1] = t->lba >> 40;
    c->s->device = (c->s->device & 0xf0) | (t->device & 15);
}

static void sign(IdeChannel *c, unsigned unit)
{
    IdeDrive *d = c->bus->drive[unit];
    AtaTask t = {0};
    AtaRegs *r = &c->s->regs[unit];
    memset(r, 0, sizeof(*r));
    if (!d)
        return;
    ata_signature(d, &t);
    r->error = 1;
    r->count[0] = t.count;
    r->low[0] = t.lba;
    r->mid[0] = t.lba >> 8;
    r->high[0] = t.lba >> 16;
    r->status = ata_is_cd(d) ? 0 : IDLE_STATUS;
}

static void free_data(IdeChannel *c)
{
    g_clear_pointer(&c->buf, g_free);
    c->size = c->at = c->end = 0;
    dma_list_clear(&c->dma);
}

static void idle(IdeChannel *c)
{
    c->s->phase = PHASE_IDLE;
    free_data(c);
}

static void end_task(IdeChannel *c)
{
    if (c->task.dma)
        c->s->bm_status &= ~BM_ACTIVE;
    take_result(c);
    idle(c);
    interrupt(c);
}

/* ---- data phases of PIO ---- */

static bool is_packet(const IdeChannel *c) { return c->task.command == ATA_PACKET; }

/* The next stretch between two interrupts. */
static void next_block(IdeChannel *c)
{
    AtaRegs *r = regs(c);
    uint32_t n = MIN(c->size - c->at, c->task.block);
    c->end = c->at + n;
    r->status = IDLE_STATUS | ATA_DRQ;
    if (is_packet(c)) {
        r->count[0] = c->s->phase == PHASE_IN ? REASON_TO_HOST : 0;
        r->mid[0] = n;
        r->high[0] = n >> 8;
    }
}

static void block_moved(IdeChannel *c)
{
    bool in = c->s->phase == PHASE_IN;
    if (c->at < c->size) {
        next_block(c);
        interrupt(c);
    } else if (in && is_packet(c)) {
        end_task(c);
    } else if (in) {
        take_result(c);
        idle(c);
    } else {
        c->iov = (struct iovec){c->buf, c->size};
        c->task.iov = &c->iov;
        c->task.n_iov = 1;
        run(c);
    }
}

static uint64_t read_data(IdeChannel *c, unsigned size)
{
    uint32_t v = 0;
    if (c->s->phase != PHASE_IN)
        return 0;
    uint32_t n = MIN(size, c->end - c->at);
    memcpy(&v, c->buf + c->at, n);
    c->at += n;
    if (c->at >= c->end)
        block_moved(c);
    return GUINT32_FROM_LE(v);
}

static void packet_arrived(IdeChannel *c)
{
    AtaTask *t = &c->task;
    memcpy(t->cdb, c->s->cdb, sizeof(t->cdb));
    t->data = ATA_WANTS_CDB;
    ata_plan(drive(c), t);
    begin_data(c);
}

static void write_data(IdeChannel *c, uint32_t value, unsigned size)
{
    uint32_t v = GUINT32_TO_LE(value);
    uint8_t *to = c->s->phase == PHASE_CDB ? c->s->cdb : c->buf;
    if (c->s->phase != PHASE_OUT && c->s->phase != PHASE_CDB)
        return;
    uint32_t n = MIN(size, c->end - c->at);
    memcpy(to + c->at, &v, n);
    c->at += n;
    if (c->at < c->end)
        return;
    if (c->s->phase == PHASE_CDB)
        packet_arrived(c);
    else
        block_moved(c);
}

/* ---- bus master ---- */

static bool read_prds(IdeChannel *c)
{
    bool to_guest = c->task.data == ATA_IN;
    uint32_t table = get32(c->s->prd);
    for (unsigned i = 0; i < MAX_PRD && c->dma.bytes < c->task.bytes; i++) {
        uint32_t e[2];
        if (!pci_dma_read(c->owner, table + 8 * i, e, sizeof(e)))
            return false;
        uint32_t flags = GUINT32_FROM_LE(e[1]), n = flags & 0xfffe;
        n = MIN(n ? n : 65536, c->task.bytes - c->dma.bytes);
        if (!dma_list_add(&c->dma, &c->owner->dev, GUINT32_FROM_LE(e[0]), n, to_guest))
            return false;
        if (flags >> 31)
            break;
    }
    return c->dma.bytes == c->task.bytes || (is_packet(c) && c->dma.bytes);
}

static void start_dma(IdeChannel *c)
{
    if (!read_prds(c)) {
        log_guest(&c->owner->dev, "no memory for %" G_GUINT64_FORMAT " bytes in the table at 0x%x", c->task.bytes,
                  get32(c->s->prd));
        c->s->bm_status |= BM_ERROR;
        c->task.status = IDLE_STATUS | ATA_ERR;
        c->task.error = ATA_ABRT;
        end_task(c);
        return;
    }
    c->task.bytes = c->dma.bytes;
    c->task.iov = (struct iovec *)c->dma.iov->data;
    c->task.n_iov = c->dma.iov->len;
    run(c);
}

/* ---- running a task ---- */

static void begin_data(IdeChannel *c)
{
    AtaTask *t = &c->task;
    AtaRegs *r = regs(c);
    free_data(c);
    if (t->data == ATA_WANTS_CDB) {
        c->s->phase = PHASE_CDB;
        c->end = ATA_PACKET_BYTES;
        r->count[0] = REASON_COMMAND;
        r->status = IDLE_STATUS | ATA_DRQ;
        if (c->task.feature & 0x20)
            interrupt(c);
    } else if (t->data == ATA_NO_DATA) {
        t->dma = false;
        run(c);
    } else if (t->dma) {
        c->s->phase = PHASE_WAITS_DMA;
        r->status = IDLE_STATUS | ATA_DRQ;
        if (c->s->bm_status & BM_ACTIVE)
            start_dma(c);
    } else {
        c->size = t->bytes;
        c->buf = g_malloc0(MAX(c->size, 4));
        c->iov = (struct iovec){c->buf, c->size};
        t->iov = &c->iov;
        t->n_iov = 1;
        if (t->data == ATA_IN) {
            run(c);
        } else {
            c->s->phase = PHASE_OUT;
            next_block(c);
        }
    }
}

static void reset_both(IdeChannel *c)
{
    c->reset_due = false;
    idle(c);
    for (unsigned i = 0; i < 2; i++) {
        if (c->bus->drive[i])
            ata_reset(c->bus->drive[i]);
        sign(c, i);
    }
    c->s->device &= ~SLAVE;
}

static void done(AtaTask *t)
{
    IdeChannel *c = t->opaque;
    device_lock(&c->owner->dev);
    c->running = false;
    if (t->data == ATA_IN && t->dma)
        dma_list_written(&c->dma, &c->owner->dev, t->moved);
    if (c->stale) {
        c->stale = false;
        idle(c);
        if (c->reset_due)
            reset_both(c);
    } else if (t->held) {
        c->held = true;
    } else if (t->data == ATA_IN && !t->dma && !(t->status & ATA_ERR) && t->moved) {
        c->s->phase = PHASE_IN;
        c->size = t->moved;
        c->at = 0;
        next_block(c);
        interrupt(c);
    } else {
        end_task(c);
    }
    device_unlock(&c->owner->dev);
}

static void run_on_loop(void *data)
{
    IdeChannel *c = data;
    Device *d = &c->owner->dev;
    device_lock(d);
    IdeDrive *target = d->realized ? drive(c) : NULL;
    if (!target || c->stale || !vm_is_running(d->object.vm)) {
        c->running = false;
        c->held = target && !c->stale;
        c->stale = false;
        if (c->reset_due)
            reset_both(c);
        target = NULL;
    }
    device_unlock(d);
    if (target)
        ata_run(target, &c->task);
    object_unref(&d->object);
}

static void run(IdeChannel *c)
{
    c->s->phase = PHASE_RUNNING;
    regs(c)->status = ATA_BSY | ATA_RDY;
    c->task.done = done;
    c->task.opaque = c;
    c->running = true;
    object_ref(&c->owner->dev.object);
    loop_post(c->owner->dev.object.vm->loop, run_on_loop, c);
}

static void diagnose(IdeChannel *c)
{
    for (unsigned i = 0; i < 2; i++)
        sign(c, i);
    c->s->device &= ~SLAVE;
    interrupt(c);
}

static void command(IdeChannel *c, uint8_t value)
{
    AtaRegs *r = regs(c);
    IdeDrive *d = drive(c);
    trace(command, "unit %u: 0x%02x", selected(c), value);
    if (value == ATA_DIAGNOSTIC && !c->running && (c->bus->drive[0] || c->bus->drive[1])) {
        idle(c);
        diagnose(c);
        return;
    }
    if (d && value == ATA_DEVICE_RESET && ata_is_cd(d)) {
        c->stale |= c->running;
        if (!c->running)
            idle(c);
        ata_reset(d);
        sign(c, selected(c));
        return;
    }
    if (!d || c->running || r->status & ATA_BSY)
        return;
    c->s->irq = 0;
    update(c);
    fill_task(c, value);
    if (ata_plan(d, &c->task))
        begin_data(c);
    else
        end_task(c);
}

/* ---- the command block ---- */

uint8_t ide_channel_alternate_status(IdeChannel *c)
{
    return !drive(c) ? 0 : c->s->control & CTL_SRST || c->reset_due ? ATA_BSY : regs(c)->status;
}

uint64_t ide_channel_read(IdeChannel *c, unsigned at, unsigned size)
{
    const AtaRegs *r = regs(c);
    unsigned old = c->s->control & CTL_HOB ? 1 : 0;
    if (!c->bus->drive[0] && !c->bus->drive[1])
        return at == 7 ? 0 : 0xff;
    if (!drive(c) && at != 6)
        return 0;
    switch (at) {
    case 0: return read_data(c, size);
    case 1: return old ? r->feature[1] : r->error;
    case 2: return r->count[old];
    case 3: return r->low[old];
    case 4: return r->mid[old];
    case 5: return r->high[old];
    case 6: return c->s->device | 0xa0;
    default:
        c->s->irq = 0;
        update(c);
        return ide_channel_alternate_status(c);
    }
}

/* Both drives see what is written. */
static void store(IdeChannel *c, size_t offset, uint8_t value)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *p = (uint8_t *)&c->s->regs[i] + offset;
        p[1] = p[0];
        p[0] = value;
    }
}

void ide_channel_write(IdeChannel *c, unsigned at, uint64_t value, unsigned size)
{
    if (at && at != 7) {
        c->s->control &= ~CTL_HOB;
        if (regs(c)->status & (ATA_BSY | ATA_DRQ) && at != 6)
            return;
    }
    switch (at) {
    case 0: write_data(c, value, size); break;
    case 1: store(c, offsetof(AtaRegs, feature), value); break;
    case 2: store(c, offsetof(AtaRegs, count), value); break;
    case 3: store(c, offsetof(AtaRegs, low), value); break;
    case 4: store(c, offsetof(AtaRegs, mid), value); break;
    case 5: store(c, offsetof(AtaRegs, high), value); break;
    case 6:
        if (c->s->phase == PHASE_IDLE)
            c->s->device = value;
        break;
    default: command(c, value);
    }
}

void ide_channel_control(IdeChannel *c, uint8_t value)
{
    bool ends = c->s->control & CTL_SRST && !(value & CTL_SRST);
    c->s->control = value;
    if (ends && c->running) {
        c->stale = true;
        c->reset_due = true;
    } else if (ends) {
        c->held = false;
        reset_both(c);
    }
    update(c);
}

/* ---- bus master registers ---- */

uint64_t ide_channel_bm_read(IdeChannel *c, unsigned at, unsigned size)
{
    const ChannelState *s = c->s;
    return at == 0 ? s->bm_command : at == 2 ? s->bm_status : at == 4 && size == 4 ? get32(s->prd)
           : at >= 4 ? s->prd[at - 4] : 0;
}

static void bm_command(IdeChannel *c, uint8_t value)
{
    bool was = c->s->bm_command & BM_START;
    c->s->bm_command = value & (BM_START | BM_TO_MEMORY);
    if (!was && value & BM_START) {
        c->s->bm_status |= BM_ACTIVE;
        if (c->s->phase == PHASE_WAITS_DMA)
            start_dma(c);
    } else if (was && !(value & BM_START)) {
        c->s->bm_status &= ~BM_ACTIVE;
    }
}

void ide_channel_bm_write(IdeChannel *c, unsigned at, uint64_t value, unsigned size)
{
    ChannelState *s = c->s;
    if (at == 0)
        bm_command(c, value);
    if (at == 2)
        s->bm_status = (value & BM_CAPABLE) | (s->bm_status & BM_ACTIVE) |
                       (s->bm_status & ~value & (BM_ERROR | BM_IRQ));
    for (unsigned i = 0; at >= 4 && i < size && at + i < 8; i++)
        s->prd[at - 4 + i] = (value >> 8 * i) & (at + i == 4 ? 0xfc : 0xff);
}

/* ---- life ---- */

void ide_channel_init(IdeChannel *c, PciDevice *owner, unsigned number, Irq *line, ChannelState *state)
{
    *c = (IdeChannel){.owner = owner, .line = line, .s = state};
    c->bus = ide_bus_new(&owner->dev, number, 2, false);
}

void ide_channel_finish(IdeChannel *c) { free_data(c); }

void ide_channel_drain(IdeChannel *c)
{
    for (unsigned i = 0; i < 2; i++)
        if (c->bus && c->bus->drive[i])
            ata_drain(c->bus->drive[i]);
}

void ide_channel_reset(IdeChannel *c)
{
    c->stale |= c->running;
    ide_channel_drain(c);
    memset(c->s, 0, sizeof(*c->s));
    c->held = false;
    reset_both(c);
    update(c);
}

void ide_channel_resume(IdeChannel *c)
{
    if (c->held) {
        c->held = false;
        run(c);
    }
}

GBytes *ide_channel_save(IdeChannel *c)
{
    put32(c->s->at, c->at);
    put32(c->s->end, c->end);
    return c->buf ? g_bytes_new(c->buf, c->size) : NULL;
}

/* The task follows from the registers; what was running runs again. */
void ide_channel_load(IdeChannel *c, GBytes *data)
{
    ChannelState *s = c->s;
    AtaRegs *r = regs(c);
    size_t n = 0;
    const void *bytes = data ? g_bytes_get_data(data, &n) : NULL;
    free_data(c);
    fill_task(c, s->command);
    if (n && n <= ATA_MAX_BYTES) {
        c->buf = g_memdup2(bytes, n);
        c->size = n;
        c->end = MIN(get32(s->end), n);
        c->at = MIN(get32(s->at), c->end);
    }
    bool fits = (s->phase == PHASE_IN || s->phase == PHASE_OUT) && c->buf && drive(c);
    if (fits)
        c->task.block = MAX(c->end - c->at, ATA_SECTOR);
    if (s->phase != PHASE_IDLE && !fits) {      /* the driver will see a failure and begin anew */
        s->phase = PHASE_IDLE;
        r->status = drive(c) ? IDLE_STATUS | ATA_ERR : 0;
        r->error = ATA_ABRT;
        free_data(c);
    }
    update(c);
}
