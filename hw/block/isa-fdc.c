/* SPDX-License-Identifier: Apache-2.0 */
/* A PC's floppy controller: registers and commands. Spec: Intel 82078 data sheet. */
#include <string.h>
#include "hw/block/fdc.h"
#include "util/error.h"

enum {
    DOR_SELECT = 3, DOR_RUNS = 4, DOR_DMA = 8, DSR_RESET = 0x80, DSR_RATE = 3, DIR_CHANGED = 0x80,
    MSR_BUSY = 0x10, MSR_NO_DMA = 0x20, MSR_TO_HOST = 0x40, MSR_READY = 0x80, ST3_ALWAYS = 0x28,
    NO_FIFO = 0x20, NO_POLLING = 0x10, VERSION = 0x90, PART = 0x41, WINDOW = 8, MAX_STEPS = 80,
};

/* ---- commands ---- */

static void idle(Fdc *s)
{
    s->phase = FDC_COMMAND;
    s->at = s->n = 0;
}

void fdc_result(Fdc *s, const uint8_t *bytes, unsigned n)
{
    memcpy(s->fifo, bytes, n);
    s->phase = FDC_RESULT;
    s->at = 0;
    s->n = n;
}

static void answer(Fdc *s, uint8_t byte) { fdc_result(s, &byte, 1); }

static void invalid(Fdc *s)
{
    log_guest(s, "no command 0x%02x", s->fifo[0]);
    answer(s, ST0_INVALID);
}

/* A seek has ended: SENSE INTERRUPT STATUS tells. */
static void seeked(Fdc *s, uint8_t status)
{
    unsigned unit = s->fifo[1] & 3;
    s->sense[unit] = ST0_SEEK_END | status | (s->fifo[1] & 7);
    idle(s);
    irq_set(&s->irq, true);
}

static void recalibrate(Fdc *s)
{
    unsigned unit = s->fifo[1] & 3;
    FloppyDrive *f = fdc_drive(s, unit);
    bool far = f && f->cylinder > MAX_STEPS;
    s->fifo[1] &= 3;
    if (f)
        floppy_step_to(f, far ? f->cylinder - MAX_STEPS : 0);
    s->pcn[unit] = 0;
    seeked(s, f && !far ? 0 : ST0_ABNORMAL | ST0_CHECK);
}

static void seek_to(Fdc *s, int cylinder)
{
    unsigned unit = s->fifo[1] & 3;
    FloppyDrive *f = fdc_drive(s, unit);
    int steps = cylinder - s->pcn[unit];
    if (f)
        floppy_step_to(f, MAX(f->cylinder + steps, 0));
    s->pcn[unit] = cylinder;
    seeked(s, 0);
}

static void seek(Fdc *s) { seek_to(s, s->fifo[2]); }

static void relative_seek(Fdc *s)
{
    int now = s->pcn[s->fifo[1] & 3], way = s->fifo[2];
    seek_to(s, CLAMP(s->fifo[0] & 0x40 ? now + way : now - way, 0, 255));
}

static void sense_interrupt(Fdc *s)
{
    irq_set(&s->irq, false);
    for (unsigned i = 0; i < FDC_UNITS; i++) {
        if (!s->sense[i])
            continue;
        uint8_t result[] = {s->sense[i], s->pcn[i]};
        s->sense[i] = 0;
        fdc_result(s, result, sizeof(result));
        return;
    }
    answer(s, ST0_INVALID);
}

static void sense_drive(Fdc *s)
{
    const FloppyDrive *f = fdc_drive(s, s->fifo[1] & 3);
    answer(s, ST3_ALWAYS | (s->fifo[1] & 7) | (f && !f->cylinder ? 0x10 : 0) |
              (f && floppy_is_protected(f) ? 0x40 : 0));
}

static void specify(Fdc *s)
{
    memcpy(s->specify, s->fifo + 1, sizeof(s->specify));
    idle(s);
}

static void configure(Fdc *s)
{
    memcpy(s->config, s->fifo + 2, sizeof(s->config));
    s->config[0] &= 0x7f;
    idle(s);
}

static void perpendicular(Fdc *s)
{
    if (s->fifo[1] & 0x80)
        s->perpendicular = s->fifo[1] & 0x3f;
    else
        s->perpendicular = (s->perpendicular & 0x3c) | (s->fifo[1] & 3);
    idle(s);
}

static void dump_registers(Fdc *s)
{
    uint8_t result[] = {s->pcn[0], s->pcn[1], s->pcn[2], s->pcn[3], s->specify[0], s->specify[1], s->t.last,
                        s->locked << 7 | s->perpendicular, s->config[0], s->config[1]};
    fdc_result(s, result, sizeof(result));
}

static void lock(Fdc *s)
{
    s->locked = s->fifo[0] >> 7;
    answer(s, s->locked << 4);
}

static void version(Fdc *s) { answer(s, VERSION); }
static void part_id(Fdc *s) { answer(s, PART); }
static void powerdown_mode(Fdc *s) { answer(s, s->fifo[1]); }
static void option(Fdc *s) { idle(s); }
static void read_data(Fdc *s) { fdc_transfer(s, FDC_READ); }
static void write_data(Fdc *s) { fdc_transfer(s, FDC_WRITE); }
static void format(Fdc *s) { fdc_transfer(s, FDC_FORMAT); }
static void verify(Fdc *s) { fdc_transfer(s, FDC_VERIFY); }
static void scan(Fdc *s) { fdc_transfer(s, FDC_SCAN); }

static const struct Command {
    uint8_t mask, code, parameters;
    void (*run)(Fdc *s);
} commands[] = {
    {0x1f, 0x06, 8, read_data}, {0x1f, 0x0c, 8, read_data}, {0x9f, 0x02, 8, read_data},
    {0x3f, 0x05, 8, write_data}, {0x3f, 0x09, 8, write_data}, {0x1f, 0x16, 8, verify},
    {0x1f, 0x11, 8, scan}, {0x1f, 0x19, 8, scan}, {0x1f, 0x1d, 8, scan},
    {0xbf, 0x0d, 5, format}, {0xbf, 0x0a, 1, fdc_read_id}, {0xff, 0x07, 1, recalibrate}, {0xff, 0x0f, 2, seek},
    {0xbf, 0x8f, 2, relative_seek}, {0xff, 0x08, 0, sense_interrupt}, {0xff, 0x04, 1, sense_drive},
    {0xff, 0x03, 2, specify}, {0xff, 0x13, 3, configure}, {0xff, 0x12, 1, perpendicular},
    {0xff, 0x0e, 0, dump_registers}, {0x7f, 0x14, 0, lock}, {0xff, 0x10, 0, version}, {0xff, 0x18, 0, part_id},
    {0xff, 0x17, 1, powerdown_mode}, {0xff, 0x33, 1, option},
};

static const struct Command *find_command(uint8_t code)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
        if ((code & commands[i].mask) == commands[i].code)
            return &commands[i];
    return NULL;
}

static void command_byte(Fdc *s, uint8_t v)
{
    s->fifo[s->n++] = v;
    const struct Command *c = find_command(s->fifo[0]);
    if (!c)
        invalid(s);
    else if (s->n == c->parameters + 1u)
        c->run(s);
}

/* ---- registers ---- */

static void stop(Fdc *s)
{
    fdc_cancel(s);
    idle(s);
    memset(s->sense, 0, sizeof(s->sense));
    memset(s->pcn, 0, sizeof(s->pcn));
    irq_set(&s->irq, false);
    if (!s->locked) {
        s->config[0] = NO_FIFO;
        s->config[1] = 0;
    }
    s->perpendicular = s->locked ? s->perpendicular & 0x3c : 0;
}

/* Out of reset: it asks all drives whether they are ready. */
static void begin(Fdc *s)
{
    for (unsigned i = 0; i < FDC_UNITS; i++)
        s->sense[i] = ST0_READY_CHANGED | i;
    irq_set(&s->irq, !(s->config[0] & NO_POLLING));
}

static uint64_t read_srb(Device *d)
{
    const Fdc *s = (const Fdc *)d;
    return 0xc0 | (s->dor & 1) << 5 | (s->dor >> 4 & 3);
}

static void write_dor(Device *d, uint64_t v)
{
    Fdc *s = (Fdc *)d;
    uint8_t old = s->dor;
    s->dor = v;
    if (!(v & DOR_RUNS))
        stop(s);
    else if (!(old & DOR_RUNS))
        begin(s);
}

static uint64_t read_dor(Device *d) { return ((Fdc *)d)->dor; }

static uint64_t read_msr(Device *d)
{
    static const uint8_t by_phase[FDC_PHASES] = {
        [FDC_COMMAND] = MSR_READY, [FDC_DISK] = MSR_BUSY, [FDC_DMA] = MSR_BUSY,
        [FDC_PIO] = MSR_READY | MSR_NO_DMA | MSR_BUSY, [FDC_RESULT] = MSR_READY | MSR_TO_HOST | MSR_BUSY,
    };
    const Fdc *s = (const Fdc *)d;
    if (!(s->dor & DOR_RUNS))
        return 0;
    return by_phase[s->phase] | (s->phase == FDC_COMMAND && s->n ? MSR_BUSY : 0) |
           (s->phase == FDC_PIO && s->t.kind == FDC_READ ? MSR_TO_HOST : 0);
}

static void write_dsr(Device *d, uint64_t v)
{
    Fdc *s = (Fdc *)d;
    s->rate = v & DSR_RATE;
    if (v & DSR_RESET) {
        stop(s);
        if (s->dor & DOR_RUNS)
            begin(s);
    }
}

static uint64_t read_fifo(Device *d)
{
    Fdc *s = (Fdc *)d;
    if (s->phase == FDC_PIO && s->t.kind == FDC_READ)
        return fdc_data_read(s);
    if (s->phase != FDC_RESULT)
        return 0;
    uint8_t v = s->fifo[s->at++];
    irq_set(&s->irq, false);
    if (s->at >= s->n)
        idle(s);
    return v;
}

static void write_fifo(Device *d, uint64_t v)
{
    Fdc *s = (Fdc *)d;
    if (!(s->dor & DOR_RUNS))
        log_guest(s, "a command while it is held in reset");
    else if (s->phase == FDC_PIO && s->t.kind != FDC_READ)
        fdc_data_write(s, v);
    else if (s->phase == FDC_COMMAND)
        command_byte(s, v);
    else
        log_guest(s, "nobody waits for byte 0x%02x", (unsigned)v);
}

static uint64_t read_dir(Device *d)
{
    const Fdc *s = (const Fdc *)d;
    const FloppyDrive *f = fdc_drive(s, s->dor & DOR_SELECT);
    return f && f->changed ? DIR_CHANGED : 0;
}

static void write_ccr(Device *d, uint64_t v) { ((Fdc *)d)->rate = v & DSR_RATE; }

/* ---- life ---- */

static void state_changed(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    Fdc *s = data;
    if (!vm_is_running(vm)) {
        fdc_drain(s);
        return;
    }
    device_lock(&s->dev);
    fdc_resume(s);
    device_unlock(&s->dev);
}

static bool realize(Device *d, GError **error)
{
    Fdc *s = (Fdc *)d;
    MemRegion *io = d->object.vm->io_root;
    if (s->iobase > 0xfff8 || s->irq_line >= ISA_IRQS)
        return error_set(error, "isa-fdc: iobase must be below 0x10000 and irq below %d", ISA_IRQS);
    if (s->fallback == FLOPPY_AUTO || s->fallback == FLOPPY_NONE)
        return error_set(error, "isa-fdc: fallback must be the type of a drive: 144, 288 or 120");
    if (!isa_dma_attach(d->parent_bus, s->dma, d, fdc_dma_ready, error))
        return false;
    s->bus = floppy_bus_new(d);
    irq_connect(&s->irq, isa_irq(d->parent_bus, s->irq_line));
    /* The first port and the last but one belong to others. */
    mem_add(io, s->iobase + 1, mem_alias(&d->object, "fdc[*]", d->mmio, 1, 5), 0);
    mem_add(io, s->iobase + 7, mem_alias(&d->object, "fdc[*]", d->mmio, 7, 1), 0);
    s->listener = vm_listen(d->object.vm, VM_EVENT_STATE, state_changed, s);
    return true;
}

static void unrealize(Device *d)
{
    Fdc *s = (Fdc *)d;
    isa_dma_detach(d->parent_bus, s->dma, d);
    if (s->listener)
        vm_unlisten(d->object.vm, s->listener);
    s->listener = 0;
}

static void reset(Device *d)
{
    Fdc *s = (Fdc *)d;
    s->locked = 0;
    stop(s);
    s->dor = DOR_RUNS | DOR_DMA;
    s->rate = 0;
}

static void saving(Device *d) { fdc_drain((Fdc *)d); }

static void restored(Device *d)
{
    Fdc *s = (Fdc *)d;
    s->rate &= DSR_RATE;
    s->locked &= 1;
    s->config[0] &= 0x7f;
    s->perpendicular &= 0x3f;
    s->phase = s->phase < FDC_PHASES ? s->phase : FDC_COMMAND;
    s->n = MIN(s->n, FDC_FIFO);
    s->at = MIN(s->at, s->n);
    fdc_transfer_restored(s);
    const struct Command *c = s->n ? find_command(s->fifo[0]) : NULL;
    bool command_fits = !s->n || (c && s->n <= c->parameters), result_fits = s->at < s->n;
    if ((s->phase == FDC_COMMAND && !command_fits) || (s->phase == FDC_RESULT && !result_fits))
        idle(s);
}

/* The drive that stands there, or will. */
static bool boot_changed(Object *o, const Field *f, GError **error)
{
    Fdc *s = (Fdc *)o;
    unsigned unit = f->offset != offsetof(Fdc, boot);
    FloppyDrive *drive = s->bus ? s->bus->drive[unit] : NULL;
    PropValue v = {.kind = VALUE_INT, .i = s->boot[unit]};
    return !drive || object_set(&drive->dev.object, "bootindex", &v, error);
}

static const char *const type_names[] = {"144", "288", "120", "none", "auto", NULL};
#define TYPE_PROPS(T, m, name_, dflt)                                                                        \
    PROP(T, m, name_, PROP_ENUM, .names = type_names, .init = dflt, .link_type = "FdcDriveType",    \
         .desc = "FDC drive type, 144/288/120/none/auto")
#define BOOT_PROPS(T, m, name_) PROP(T, m, name_, PROP_I32, .init = (uint64_t)-1, .changed = boot_changed)

static const Reg regs[] = {
    REG(1, "SRB", RO, .width = 1, .read = read_srb),
    REG(2, "DOR", RW, .width = 1, .read = read_dor, .wrote = write_dor),
    REG(3, "TDR", RW, .width = 1, IN(Fdc, tape), .bits = 7),
    REG(4, "MSR_DSR", RW, .width = 1, .read = read_msr, .wrote = write_dsr),
    REG(5, "FIFO", RW, .width = 1, .read = read_fifo, .wrote = write_fifo),
    REG(7, "DIR_CCR", RW, .width = 1, .read = read_dir, .wrote = write_ccr),
};
static const Field fields[] = {
    IRQ(Fdc, irq), HOST(Fdc, bus), PROP(Fdc, iobase, "iobase", PROP_U32, .init = 0x3f0),
    PROP(Fdc, irq_line, "irq", PROP_U32, .init = 6), PROP(Fdc, dma, "dma", PROP_U32, .init = 2),
    TYPE_PROPS(Fdc, types[0], "fdtypeA", FLOPPY_AUTO), TYPE_PROPS(Fdc, types[1], "fdtypeB", FLOPPY_AUTO),
    TYPE_PROPS(Fdc, fallback, "fallback", FLOPPY_288), BOOT_PROPS(Fdc, boot[0], "bootindexA"), BOOT_PROPS(Fdc, boot[1], "bootindexB"),
    PROP(Fdc, check_rate, "check_media_rate", PROP_BOOL, .init = true,
         .desc = "Media of other data rates than the guest sets cannot be read"),
    SAVED(Fdc, dor), SAVED(Fdc, rate), SAVED(Fdc, phase), SAVED(Fdc, fifo), SAVED(Fdc, at), SAVED(Fdc, n),
    SAVED(Fdc, sense), SAVED(Fdc, pcn), SAVED(Fdc, specify), SAVED(Fdc, config), SAVED(Fdc, perpendicular),
    SAVED(Fdc, locked), SAVED(Fdc, last_id), SAVED(Fdc, t), HOST(Fdc, r), HOST(Fdc, iov), HOST(Fdc, bounce),
    HOST(Fdc, running), HOST(Fdc, stale), HOST(Fdc, listener),
};
static const DeviceType isa_fdc = {
    .name = "isa-fdc", .desc = "Floppy controller", .size = sizeof(Fdc), .category = DEVICE_STORAGE, .pluggable = true,
    .bus = "ISA", .window = WINDOW, .max_access = 1, REGS(regs), FIELDS(fields), .fw_name = "fdc",
    .realize = realize, .unrealize = unrealize, .reset = reset, .saving = saving, .restored = restored,
};
DEVICE_TYPE(isa_fdc);

/* ---- for boards ---- */

Device *isa_fdc_of(Bus *isa)
{
    for (unsigned i = 0; i < isa->devices->len; i++)
        if (object_is_a(g_ptr_array_index(isa->devices, i), "isa-fdc"))
            return g_ptr_array_index(isa->devices, i);
    return NULL;
}

static bool add_drive(Fdc *s, unsigned unit, Drive *drive, GError **error)
{
    Device *d = device_new(s->dev.object.vm, "floppy", error);
    FloppyDrive *f = (FloppyDrive *)d;
    if (!d)
        return false;
    f->conf.drive = drive;
    f->unit = unit;
    f->type = s->types[unit];
    f->bootindex = s->boot[unit];
    return device_realize(d, &s->bus->bus, error);
}

bool isa_fdc_add(Bus *isa, bool always, GError **error)
{
    Vm *vm = isa->object.vm;
    Drive *drive[FLOPPY_DRIVES];
    for (unsigned i = 0; i < FLOPPY_DRIVES; i++) {
        drive[i] = drive_at(vm, DRIVE_FLOPPY, 0, i, FLOPPY_DRIVES);
        always |= drive[i] != NULL;
    }
    if (!always)
        return true;
    Device *d = device_new(vm, "isa-fdc", error);
    if (!d || !device_realize(d, isa, error))
        return false;
    for (unsigned i = 0; i < FLOPPY_DRIVES; i++)
        if (drive[i] && !add_drive((Fdc *)d, i, drive[i], error))
            return false;
    return true;
}

FloppyType isa_fdc_drive_type(Device *fdc, unsigned unit)
{
    const FloppyDrive *f = fdc_drive((Fdc *)fdc, unit);
    return f ? (FloppyType)f->type : FLOPPY_NONE;
}
