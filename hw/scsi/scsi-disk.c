/* SPDX-License-Identifier: Apache-2.0 */
/* The devices on a SCSI bus: scsi-hd and scsi-cd, and the bus's rules for their addresses. */
#include "hw/disk.h"
#include "hw/scsi/internal.h"
#include "util/error.h"

typedef struct ScsiDisk {
    Device dev;
    DiskConfig conf;
    ScsiUnit unit;
    ScsiState state;
    bool joined;
    unsigned listener;
    /* properties */
    uint32_t channel, id, lun;
    char *vendor, *product, *version, *device_id;
    uint64_t wwn, port_wwn, max_io_size, max_unmap_size;
    uint16_t port_index, rotation_rate;
    bool removable, dpofua;
    int32_t scsi_version, bootindex;
} ScsiDisk;

static bool is_cd(const ScsiDisk *s) { return device_type(&s->dev)->ext != NULL; }

/* ---- what happens to the drive ---- */

static void medium(Device *d, bool in) { scsi_unit_medium(&((ScsiDisk *)d)->unit, in); }
static bool is_locked(Device *d) { return ((ScsiDisk *)d)->state.locked; }
static void eject_request(Device *d, bool force) { scsi_unit_eject_request(&((ScsiDisk *)d)->unit); }
static void resized(Device *d) { scsi_unit_resized(&((ScsiDisk *)d)->unit); }

static const DriveOps fixed_ops = {.resized = resized};
static const DriveOps removable_ops = {
    .removable = true, .resized = resized, .medium = medium, .is_locked = is_locked,
    .eject_request = eject_request,
};

static void machine_runs(void *data)
{
    ScsiUnit *u = data;
    if (vm_is_running(u->dev->object.vm))
        scsi_unit_retry(u);
    else
        scsi_unit_drain(u, false);
}

static void state_changed(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    ScsiDisk *s = data;
    loop_call(s->unit.loop, machine_runs, &s->unit);
}

/* ---- the bus ---- */

static bool is_taken(ScsiBus *bus, const ScsiDisk *s)
{
    for (unsigned i = 0; i < bus->bus.devices->len; i++) {
        const ScsiDisk *other = bus->bus.devices->pdata[i];
        if (other != s && other->channel == s->channel && other->id == s->id && other->lun == s->lun)
            return true;
    }
    return false;
}

/* Without an address: the next target, LUN 0; with the target's: its next LUN. */
static bool choose_address(ScsiBus *bus, ScsiDisk *s, GError **error)
{
    const ScsiAdapter *a = bus->adapter;
    bool any_id = s->id == UINT32_MAX, any_lun = s->lun == UINT32_MAX;
    s->id = any_id ? 0 : s->id;
    s->lun = any_lun ? 0 : s->lun;
    while (any_id && s->id < a->targets && is_taken(bus, s))
        s->id++;
    while (!any_id && any_lun && s->lun < a->luns && is_taken(bus, s))
        s->lun++;
    if ((any_id && s->id >= a->targets) || (any_lun && s->lun >= a->luns))
        return error_set(error, "no free %s", any_id ? "target" : "lun");
    return true;
}

static bool plug(Bus *b, Device *d, GError **error)
{
    ScsiBus *bus = (ScsiBus *)b;
    ScsiDisk *s = (ScsiDisk *)d;
    const ScsiAdapter *a = bus->adapter;
    if (s->channel >= a->channels)
        return error_set(error, "bad scsi channel id: %u", s->channel);
    if (s->id != UINT32_MAX && s->id >= a->targets)
        return error_set(error, "bad scsi device id: %u", s->id);
    if (s->lun != UINT32_MAX && s->lun >= a->luns)
        return error_set(error, "bad scsi device lun: %u", s->lun);
    if (!choose_address(bus, s, error))
        return false;
    return !is_taken(bus, s) || error_set(error, "lun already used by another device");
}

static bool plugged(Bus *b, Device *d, GError **error)
{
    ScsiBus *bus = (ScsiBus *)b;
    if (d->hotplugged && bus->adapter->plugged)
        bus->adapter->plugged(bus, &((ScsiDisk *)d)->unit);
    return true;
}

static char *fw_name(Bus *b, Device *d)
{
    const ScsiDisk *s = (ScsiDisk *)d;
    return g_strdup_printf("channel@%x/disk@%x,%x", s->channel, s->id, s->lun);
}

static void bus_init(Object *o) { ((ScsiBus *)o)->units = g_ptr_array_new(); }
static void bus_finish(Object *o) { g_ptr_array_unref(((ScsiBus *)o)->units); }

const BusType scsi_bus_type = {
    .name = "SCSI", .parent = "bus", .size = sizeof(ScsiBus), .init = bus_init, .finish = bus_finish,
    .plug = plug, .plugged = plugged, .fw_name = fw_name,
};
OBJECT_TYPE(scsi_bus_type);

Device *scsi_bus_add(ScsiBus *bus, Drive *drive, unsigned id, int32_t bootindex, bool removable, GError **error)
{
    Device *d = device_new(bus->bus.object.vm, drive->cdrom ? "scsi-cd" : "scsi-hd", error);
    ScsiDisk *s = (ScsiDisk *)d;
    if (!d)
        return NULL;
    s->conf.drive = drive;
    s->id = id;
    s->bootindex = bootindex;
    s->removable = removable || drive->cdrom;
    return device_realize(d, &bus->bus, error) ? d : NULL;
}

/* ---- the device ---- */

static ScsiIdentity identity(const ScsiDisk *s, const ScsiBus *bus)
{
    const DiskConfig *c = &s->conf;
    const char *id = drive_public_id(c->drive);
    return (ScsiIdentity){
        .cd = is_cd(s), .vendor = s->vendor ? s->vendor : "QEMU",
        .product = s->product ? s->product : is_cd(s) ? "QEMU CD-ROM" : "QEMU HARDDISK",
        .version = s->version ? s->version : "2.5+", .serial = c->serial,
        .device_id = s->device_id ? s->device_id : c->serial ? c->serial : id,
        .wwn = s->wwn, .port_wwn = s->port_wwn, .port_index = s->port_index, .rotation_rate = s->rotation_rate,
        .removable = s->removable || is_cd(s), .dpofua = s->dpofua, .level = s->scsi_version,
        .logical = c->logical, .physical = c->physical, .min_io = c->min_io, .opt_io = c->opt_io,
        .discard_granularity = c->discard_granularity, .max_io = s->max_io_size, .max_unmap = s->max_unmap_size,
        .max_transfer = bus->adapter->max_transfer,
    };
}

static bool realize(Device *d, GError **error)
{
    ScsiDisk *s = (ScsiDisk *)d;
    ScsiBus *bus = (ScsiBus *)d->parent_bus;
    if (s->scsi_version < 0 || s->scsi_version > 7)
        return error_set(error, "scsi_version must be between 0 and 7");
    const DriveOps *ops = is_cd(s) || s->removable ? &removable_ops : &fixed_ops;
    if (!disk_attach(&s->conf, d, is_cd(s) ? 2048 : 512, !is_cd(s), ops, bus->loop, error))
        return false;
    ScsiIdentity is = identity(s, bus);
    scsi_unit_init(&s->unit, d, s->conf.drive, bus->loop, &is, &s->state);
    s->unit.channel = s->channel;
    s->unit.id = s->id;
    s->unit.lun = s->lun;
    s->listener = vm_listen(d->object.vm, VM_EVENT_STATE, state_changed, s);
    scsi_bus_join(bus, &s->unit);
    s->joined = true;
    return true;
}

static void unrealize(Device *d)
{
    ScsiDisk *s = (ScsiDisk *)d;
    ScsiBus *bus = (ScsiBus *)d->parent_bus;
    if (s->joined) {
        if (bus->adapter->unplugging)
            bus->adapter->unplugging(bus, &s->unit);
        scsi_bus_leave(bus, &s->unit);
        vm_unlisten(d->object.vm, s->listener);
    }
    s->joined = false;
    disk_detach(&s->conf, d);
}

static void reset_on_loop(void *data)
{
    scsi_unit_drain(data, true);
    scsi_unit_reset(data);
}

static void reset(Device *d)
{
    ScsiDisk *s = (ScsiDisk *)d;
    if (s->joined)
        loop_call(s->unit.loop, reset_on_loop, &s->unit);
}

#define FIELDS_OF_BOTH                                                                              \
    DISK_PROPS(ScsiDisk, conf), HOST(ScsiDisk, conf), HOST(ScsiDisk, unit),                         \
    SAVED(ScsiDisk, state, .keep = true), HOST(ScsiDisk, joined), HOST(ScsiDisk, listener),         \
    PROP(ScsiDisk, channel, "channel", PROP_U32),                                                   \
    PROP(ScsiDisk, id, "scsi-id", PROP_U32, .init = UINT32_MAX),                                    \
    PROP(ScsiDisk, lun, "lun", PROP_U32, .init = UINT32_MAX),                                       \
    PROP(ScsiDisk, vendor, "vendor", PROP_STRING), PROP(ScsiDisk, product, "product", PROP_STRING), \
    PROP(ScsiDisk, version, "ver", PROP_STRING), PROP(ScsiDisk, device_id, "device_id", PROP_STRING), \
    PROP(ScsiDisk, wwn, "wwn", PROP_U64), PROP(ScsiDisk, port_wwn, "port_wwn", PROP_U64),           \
    PROP(ScsiDisk, port_index, "port_index", PROP_U16),                                             \
    PROP(ScsiDisk, max_io_size, "max_io_size", PROP_U64, .init = INT32_MAX),                        \
    PROP(ScsiDisk, scsi_version, "scsi_version", PROP_I32, .init = 5),                              \
    PROP(ScsiDisk, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1,                          \
         .changed = device_boot_index_changed)

static const Field hd_fields[] = {
    FIELDS_OF_BOTH,
    PROP(ScsiDisk, max_unmap_size, "max_unmap_size", PROP_U64, .init = 1 << 30),
    PROP(ScsiDisk, rotation_rate, "rotation_rate", PROP_U16), PROP(ScsiDisk, removable, "removable", PROP_BOOL),
    PROP(ScsiDisk, dpofua, "dpofua", PROP_BOOL),
};
static const DeviceType scsi_hd = {
    .name = "scsi-hd", .desc = "virtual SCSI disk", .size = sizeof(ScsiDisk), .bus = "SCSI", .pluggable = true,
    .hotpluggable = true, .no_domain = true, .category = DEVICE_STORAGE, .fields = hd_fields,
    .n_fields = G_N_ELEMENTS(hd_fields), .realize = realize, .unrealize = unrealize, .reset = reset,
};
DEVICE_TYPE(scsi_hd);

static const Field cd_fields[] = {FIELDS_OF_BOTH};
static const DeviceType scsi_cd = {
    .name = "scsi-cd", .desc = "virtual SCSI CD-ROM", .size = sizeof(ScsiDisk), .bus = "SCSI", .pluggable = true,
    .hotpluggable = true, .no_domain = true, .category = DEVICE_STORAGE, .fields = cd_fields,
    .n_fields = G_N_ELEMENTS(cd_fields), .realize = realize, .unrealize = unrealize, .reset = reset,
    .ext = cd_fields,
};
DEVICE_TYPE(scsi_cd);
