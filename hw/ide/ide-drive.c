/* SPDX-License-Identifier: Apache-2.0 */
/* The devices on an IDE bus: ide-hd and ide-cd, and the bus itself. */
#include "hw/ide.h"
#include "hw/ide/ata.h"
#include "util/error.h"

/* ---- the bus ---- */

static bool plug(Bus *b, Device *d, GError **error)
{
    IdeBus *bus = (IdeBus *)b;
    IdeDrive *s = (IdeDrive *)d;
    if (s->unit == UINT32_MAX)
        s->unit = bus->drive[0] && bus->units > 1 ? 1 : 0;
    if (s->unit >= bus->units)
        return error_set(error, "Can't create IDE unit %u, bus supports only %u units", s->unit, bus->units);
    if (bus->drive[s->unit])
        return error_set(error, "IDE unit %u is in use", s->unit);
    return true;
}

static bool plugged(Bus *b, Device *d, GError **error)
{
    IdeBus *bus = (IdeBus *)b;
    bus->drive[((IdeDrive *)d)->unit] = (IdeDrive *)d;
    bus->bus.full = bus->drive[0] && (bus->units == 1 || bus->drive[1]);
    if (bus->changed)
        bus->changed(bus);
    return true;
}

static void unplug(Bus *b, Device *d)
{
    IdeBus *bus = (IdeBus *)b;
    for (unsigned i = 0; i < bus->units; i++)
        if (bus->drive[i] == (IdeDrive *)d)
            bus->drive[i] = NULL;
    bus->bus.full = false;
}

static unsigned number_of(const Bus *b)
{
    const char *dot = strrchr(b->object.name, '.');
    return dot ? (unsigned)g_ascii_strtoull(dot + 1, NULL, 10) : 0;
}

/* "drive@<bus>/disk@<unit>". */
static char *fw_name(Bus *b, Device *d)
{
    return g_strdup_printf("drive@%x/disk@%x", number_of(b), ((IdeDrive *)d)->unit);
}

static const BusType ide_bus_type = {
    .name = "IDE", .parent = "bus", .size = sizeof(IdeBus), .plug = plug, .plugged = plugged, .unplug = unplug,
    .fw_name = fw_name,
};
OBJECT_TYPE(ide_bus_type);

IdeBus *ide_bus_new(Device *controller, unsigned number, unsigned units, bool sata)
{
    g_autofree char *name = controller->id ? NULL : g_strdup_printf("ide.%u", number);
    IdeBus *bus = (IdeBus *)bus_new(controller, &ide_bus_type, name);
    bus->units = units;
    bus->sata = sata;
    return bus;
}

bool ide_add_drives(PciDevice *controller, unsigned units, GError **error)
{
    Vm *vm = controller->dev.object.vm;
    GPtrArray *buses = controller->dev.buses;
    for (unsigned i = 0; i < buses->len * units; i++) {
        Drive *drive = drive_at(vm, DRIVE_IDE, i / units, i % units, units);
        if (!drive)
            continue;
        Device *d = device_new(vm, drive->cdrom ? "ide-cd" : "ide-hd", error);
        if (!d)
            return false;
        ((IdeDrive *)d)->conf.drive = drive;
        ((IdeDrive *)d)->unit = i % units;
        if (!device_realize(d, buses->pdata[i / units], error))
            return false;
    }
    return true;
}

/* ---- the drives ---- */

static void medium(Device *d, bool in) { scsi_unit_medium(&((IdeDrive *)d)->scsi, in); }
static bool is_locked(Device *d) { return ((IdeDrive *)d)->scsi_state.locked; }
static void eject_request(Device *d, bool force) { scsi_unit_eject_request(&((IdeDrive *)d)->scsi); }
static const DriveOps cd_ops = {
    .removable = true, .medium = medium, .is_locked = is_locked, .eject_request = eject_request,
};
static const DriveOps hd_ops = {.removable = false};

static void name_drive(IdeDrive *s)
{
    IdeBus *bus = (IdeBus *)s->dev.parent_bus;
    s->model = s->model ? s->model : g_strdup(ata_is_cd(s) ? "QEMU DVD-ROM" : "QEMU HARDDISK");
    s->version = s->version ? s->version : g_strdup("2.5+");
    if (!s->conf.serial)
        s->conf.serial = g_strdup_printf("QM%05u", number_of(&bus->bus) * bus->units + s->unit + 1);
}

static bool realize(Device *d, GError **error)
{
    IdeDrive *s = (IdeDrive *)d;
    bool cd = ata_is_cd(s);
    Loop *loop = d->object.vm->loop;
    if (!disk_attach(&s->conf, d, 512, !cd, cd ? &cd_ops : &hd_ops, loop, error))
        return false;
    s->attached = true;
    if (s->conf.logical != ATA_SECTOR)
        return error_set(error, "logical_block_size must be 512 for IDE");
    name_drive(s);
    s->state.write_cache = s->conf.drive->writeback;
    if (cd) {
        ScsiIdentity is = {.cd = true, .atapi = true, .vendor = "QEMU", .product = s->model, .version = s->version,
                           .serial = s->conf.serial, .removable = true, .logical = 2048, .physical = 2048,
                           .max_transfer = ATA_MAX_BYTES};
        scsi_unit_init(&s->scsi, d, s->conf.drive, loop, &is, &s->scsi_state);
    }
    return true;
}

static void unrealize(Device *d)
{
    IdeDrive *s = (IdeDrive *)d;
    if (s->attached)
        disk_detach(&s->conf, d);
    s->attached = false;
}

static void reset(Device *d)
{
    ata_drain((IdeDrive *)d);
    ata_reset((IdeDrive *)d);
}

static void restored(Device *d)
{
    AtaState *s = &((IdeDrive *)d)->state;
    s->multiple = s->multiple > 16 || s->multiple & (s->multiple - 1) ? 16 : s->multiple;
}

#define FIELDS_OF_BOTH                                                                              \
    DISK_PROPS(IdeDrive, conf), HOST(IdeDrive, conf), SAVED(IdeDrive, state, .keep = true),         \
    HOST(IdeDrive, scsi), SAVED(IdeDrive, scsi_state, .keep = true), HOST(IdeDrive, attached),      \
    PROP(IdeDrive, unit, "unit", PROP_U32, .init = UINT32_MAX),                                     \
    PROP(IdeDrive, model, "model", PROP_STRING), PROP(IdeDrive, version, "ver", PROP_STRING),       \
    PROP(IdeDrive, wwn, "wwn", PROP_U64),                                                           \
    PROP(IdeDrive, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1,                          \
         .changed = device_boot_index_changed)

static const Field hd_fields[] = {FIELDS_OF_BOTH, PROP(IdeDrive, rotation_rate, "rotation_rate", PROP_U16)};
static const DeviceType ide_hd = {
    .name = "ide-hd", .desc = "virtual IDE disk", .size = sizeof(IdeDrive), .bus = "IDE", .pluggable = true,
    .category = DEVICE_STORAGE, .fields = hd_fields, .n_fields = G_N_ELEMENTS(hd_fields), .realize = realize,
    .unrealize = unrealize, .reset = reset, .restored = restored,
};
DEVICE_TYPE(ide_hd);

static const Field cd_fields[] = {FIELDS_OF_BOTH};
static const DeviceType ide_cd = {
    .name = "ide-cd", .desc = "virtual IDE CD-ROM", .size = sizeof(IdeDrive), .bus = "IDE", .pluggable = true,
    .category = DEVICE_STORAGE, .fields = cd_fields, .n_fields = G_N_ELEMENTS(cd_fields), .realize = realize,
    .unrealize = unrealize, .reset = reset, .restored = restored, .ext = cd_fields,
};
DEVICE_TYPE(ide_cd);
