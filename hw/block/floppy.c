/* SPDX-License-Identifier: Apache-2.0 */
/* Floppy drives: formats by the sizes of images, and the bus that holds two drives. Spec: Intel 82078 data sheet. */
#include "hw/block/fdc.h"
#include "util/error.h"

enum { R_500, R_300, R_250, R_1000 };

/* The first one that fits is taken. The first of each type is what a medium of unknown size is taken for. */
static const FloppyFormat formats[] = {
    {FLOPPY_144, 80, 2, 18, R_500}, {FLOPPY_144, 80, 2, 20, R_500}, {FLOPPY_144, 80, 2, 21, R_500},
    {FLOPPY_144, 82, 2, 21, R_500}, {FLOPPY_144, 83, 2, 21, R_500}, {FLOPPY_144, 80, 2, 22, R_500},
    {FLOPPY_144, 80, 2, 23, R_500}, {FLOPPY_144, 80, 2, 24, R_500},
    {FLOPPY_288, 80, 2, 36, R_1000}, {FLOPPY_288, 80, 2, 39, R_1000}, {FLOPPY_288, 80, 2, 40, R_1000},
    {FLOPPY_288, 80, 2, 44, R_1000}, {FLOPPY_288, 80, 2, 48, R_1000},
    {FLOPPY_144, 80, 2, 9, R_250}, {FLOPPY_144, 80, 2, 10, R_250}, {FLOPPY_144, 82, 2, 10, R_250},
    {FLOPPY_144, 83, 2, 10, R_250}, {FLOPPY_144, 80, 2, 13, R_250}, {FLOPPY_144, 80, 2, 14, R_250},
    {FLOPPY_120, 80, 2, 15, R_500}, {FLOPPY_120, 82, 2, 18, R_500}, {FLOPPY_120, 83, 2, 18, R_500},
    {FLOPPY_120, 40, 2, 9, R_300}, {FLOPPY_120, 40, 1, 9, R_300}, {FLOPPY_120, 41, 2, 10, R_300},
    {FLOPPY_120, 42, 2, 10, R_300}, {FLOPPY_120, 40, 2, 8, R_300}, {FLOPPY_120, 40, 1, 8, R_300},
    {FLOPPY_144, 80, 1, 9, R_250},
};
static const char *const type_names[] = {"144", "288", "120", "none", "auto", NULL};

FloppyLimits floppy_limits(FloppyType type)
{
    FloppyLimits l = {0};
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        const FloppyFormat *f = &formats[i];
        if (f->type == type)
            l = (FloppyLimits){MAX(l.cylinders, f->cylinders), MAX(l.heads, f->heads), MAX(l.sectors, f->sectors)};
    }
    return l;
}

/* ---- media ---- */

/* Drives of 3.5 inches take each other's media. */
static bool takes(FloppyType drive, FloppyType medium)
{
    return drive == FLOPPY_AUTO || (drive == FLOPPY_120) == (medium == FLOPPY_120);
}

static const FloppyFormat *find_format(uint64_t sectors, FloppyType drive, bool exactly)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        const FloppyFormat *f = &formats[i];
        if (sectors == (uint64_t)f->cylinders * f->heads * f->sectors &&
            (exactly ? f->type == drive : takes(drive, f->type)))
            return f;
    }
    return NULL;
}

static const FloppyFormat *usual_format(FloppyType drive)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++)
        if (formats[i].type == drive)
            return &formats[i];
    return NULL;
}

static uint64_t sectors_of(const FloppyDrive *f)
{
    return f->conf.drive && f->conf.drive->node ? block_size(f->conf.drive->node) / FLOPPY_SECTOR : 0;
}

static void look_at_medium(FloppyDrive *f)
{
    uint64_t n = sectors_of(f);
    const FloppyFormat *found = NULL;
    if (f->conf.drive && f->conf.drive->node && f->type != FLOPPY_NONE) {
        found = find_format(n, f->type, true);
        found = found ? found : find_format(n, f->type, false);
        found = found ? found : usual_format(f->type);
    }
    f->format = found ? *found : (FloppyFormat){0};
}

static void medium(Device *d, bool in)
{
    device_lock(d);
    ((FloppyDrive *)d)->changed = true;
    look_at_medium((FloppyDrive *)d);
    device_unlock(d);
}

static void resized(Device *d) { medium(d, true); }
static const DriveOps ops = {.removable = true, .medium = medium, .resized = resized};

bool floppy_is_protected(const FloppyDrive *f)
{
    const Drive *d = f->conf.drive;
    return !d || !d->node || d->read_only || block_read_only(d->node);
}

void floppy_step_to(FloppyDrive *f, unsigned cylinder)
{
    cylinder = MIN(cylinder, FLOPPY_MAX_CYLINDER);
    if (cylinder != f->cylinder && f->format.sectors)
        f->changed = false;
    f->cylinder = cylinder;
}

/* ---- the bus ---- */

static bool plug(Bus *b, Device *d, GError **error)
{
    FloppyBus *bus = (FloppyBus *)b;
    FloppyDrive *f = (FloppyDrive *)d;
    for (unsigned i = 0; f->unit == UINT32_MAX && i <= FLOPPY_DRIVES; i++)
        if (i == FLOPPY_DRIVES || !bus->drive[i])
            f->unit = i;
    if (f->unit >= FLOPPY_DRIVES)
        return error_set(error, "Can't create floppy unit %u, bus supports only %d units", f->unit, FLOPPY_DRIVES);
    return !bus->drive[f->unit] || error_set(error, "Floppy unit %u is in use", f->unit);
}

static bool plugged(Bus *b, Device *d, GError **error)
{
    FloppyDrive *f = (FloppyDrive *)d;
    ((FloppyBus *)b)->drive[f->unit] = f;
    return true;
}

static void unplug(Bus *b, Device *d)
{
    FloppyBus *bus = (FloppyBus *)b;
    for (unsigned i = 0; i < FLOPPY_DRIVES; i++)
        if (bus->drive[i] == (FloppyDrive *)d)
            bus->drive[i] = NULL;
}

static char *fw_name(Bus *b, Device *d) { return g_strdup_printf("floppy@%u", ((FloppyDrive *)d)->unit); }

static const BusType floppy_bus_type = {
    .name = "floppy-bus", .parent = "bus", .size = sizeof(FloppyBus), .plug = plug, .plugged = plugged,
    .unplug = unplug, .fw_name = fw_name,
};
OBJECT_TYPE(floppy_bus_type);

FloppyBus *floppy_bus_new(Device *controller)
{
    return (FloppyBus *)bus_new(controller, &floppy_bus_type, controller->id ? NULL : "floppy-bus.0");
}

/* ---- the drive ---- */

/* The medium says what drive it is, or else what the controller falls back to. */
static void choose_type(FloppyDrive *f)
{
    const FloppyFormat *found = find_format(sectors_of(f), FLOPPY_AUTO, false);
    if (f->type == FLOPPY_AUTO)
        f->type = found ? found->type : ((Fdc *)f->dev.parent_bus->owner)->fallback;
}

static bool realize(Device *d, GError **error)
{
    FloppyDrive *f = (FloppyDrive *)d;
    if (!f->conf.drive) {
        f->conf.drive = drive_new_empty(d->object.vm);
        f->conf.drive->cdrom = false;
    }
    if (!disk_attach(&f->conf, d, FLOPPY_SECTOR, true, &ops, d->object.vm->loop, error))
        return false;
    f->attached = true;
    if (f->conf.logical != FLOPPY_SECTOR || f->conf.physical != FLOPPY_SECTOR)
        return error_set(error, "Physical and logical block size must be 512 for floppy");
    choose_type(f);
    f->changed = true;
    look_at_medium(f);
    return true;
}

static void unrealize(Device *d)
{
    FloppyDrive *f = (FloppyDrive *)d;
    if (f->attached)
        disk_detach(&f->conf, d);
    f->attached = false;
}

static void restored(Device *d)
{
    FloppyDrive *f = (FloppyDrive *)d;
    f->cylinder = MIN(f->cylinder, FLOPPY_MAX_CYLINDER);
    look_at_medium(f);
}

static const Field fields[] = {
    DISK_BLOCK_PROPS(FloppyDrive, conf), HOST(FloppyDrive, conf),
    PROP(FloppyDrive, unit, "unit", PROP_U32, .init = UINT32_MAX),
    PROP(FloppyDrive, type, "drive-type", PROP_ENUM, .names = type_names, .init = FLOPPY_AUTO,
         .link_type = "FdcDriveType", .desc = "FDC drive type, 144/288/120/none/auto"),
    PROP(FloppyDrive, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1, .changed = device_boot_index_changed),
    SAVED(FloppyDrive, cylinder, .keep = true), SAVED(FloppyDrive, changed, .keep = true), HOST(FloppyDrive, format),
    HOST(FloppyDrive, attached),
};
static const DeviceType floppy = {
    .name = "floppy", .desc = "virtual floppy drive", .size = sizeof(FloppyDrive), .category = DEVICE_STORAGE,
    .pluggable = true, .bus = "floppy-bus", FIELDS(fields), .realize = realize, .unrealize = unrealize,
    .restored = restored,
};
DEVICE_TYPE(floppy);
