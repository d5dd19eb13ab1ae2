/* SPDX-License-Identifier: Apache-2.0 */
/* -drive: the short form that names a file, its caching and what it hangs on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "block/drive-internal.h"
#include "block/internal.h"
#include "block/throttle.h"
#include "qapi/keyval.h"
#include "qapi/type.h"
#include "util/suggest.h"

static const char *const interfaces[] = {"none", "virtio", "ide", "scsi", "floppy", "pflash", "mtd", "sd", NULL};

const char *drive_interface_name(int interface) { return interfaces[interface]; }

/* Disks on one bus of an interface; 0: there are no buses. */
static unsigned units_of(int interface, const DriveBoard *board)
{
    return interface == DRIVE_IDE ? board->ide_units : interface == DRIVE_SCSI ? 7 : 0;
}

/* cache= stands for three switches. */
static const struct { const char *name; bool writeback, direct, no_flush; } caches[] = {
    {"none", true, true, false}, {"off", true, true, false}, {"directsync", false, true, false},
    {"writeback", true, false, false}, {"unsafe", true, false, true}, {"writethrough", false, false, false},
};

/* Old names of the limits. */
static const char *const old_limits[][2] = {
    {"bps", "bps-total"}, {"bps_rd", "bps-read"}, {"bps_wr", "bps-write"}, {"iops", "iops-total"},
    {"iops_rd", "iops-read"}, {"iops_wr", "iops-write"}, {"bps_max", "bps-total-max"},
    {"bps_rd_max", "bps-read-max"}, {"bps_wr_max", "bps-write-max"}, {"iops_max", "iops-total-max"},
    {"iops_rd_max", "iops-read-max"}, {"iops_wr_max", "iops-write-max"}, {"iops_size", "iops-size"},
};

static int index_of(const char *const *list, const char *text)
{
    for (int i = 0; list[i]; i++)
        if (!strcmp(list[i], text))
            return i;
    return -1;
}

static bool bad_value(GError **error, const char *key, const char *value, const char *const *valid)
{
    error_set(error, "%s=%s is not possible", key, value);
    if (valid)
        suggest_append(error, value, valid);
    return false;
}

/* An option and its value, taken out; the caller frees. */
static char *take(Json *o, const char *key)
{
    char *value = g_strdup(json_get_text(o, key));
    json_remove(o, key);
    return value;
}

static bool take_switch(Json *o, const char *key, bool dflt)
{
    g_autofree char *v = take(o, key);
    return v ? !strcmp(v, "on") || !strcmp(v, "yes") || !strcmp(v, "true") : dflt;
}

/* ---- the drive's own ---- */

static bool take_number(Json *o, const char *key, unsigned *value, GError **error)
{
    g_autofree char *text = take(o, key);
    char *end;
    if (!text)
        return true;
    unsigned long v = strtoul(text, &end, 10);
    if (*end || end == text || v > 65535)
        return error_set(error, "%s=%s: a number is needed", key, text);
    *value = v;
    return true;
}

static bool take_place(Vm *vm, Json *o, Drive *d, const DriveBoard *board, GError **error)
{
    g_autofree char *interface = take(o, "if"), *media = take(o, "media");
    d->interface = interface ? index_of(interfaces, interface) : board->interface;
    if (d->interface < 0)
        return bad_value(error, "if", interface, interfaces);
    if (media && strcmp(media, "disk") && strcmp(media, "cdrom"))
        return bad_value(error, "media", media, (const char *const[]){"disk", "cdrom", NULL});
    d->cdrom = media && !strcmp(media, "cdrom");
    unsigned units = units_of(d->interface, board);
    bool by_bus = json_get(o, "bus") || json_get(o, "unit");
    d->index = UINT_MAX;
    if (by_bus && json_get(o, "index"))
        return error_set(error, "index cannot be used with bus and unit");
    if (!take_number(o, "index", &d->index, error) || !take_number(o, "bus", &d->bus, error) ||
        !take_number(o, "unit", &d->unit, error))
        return false;
    if (by_bus)
        d->index = units ? d->bus * units + d->unit : d->unit;
    if (d->interface == DRIVE_NONE)
        d->index = 0;
    for (unsigned i = 0; d->index == UINT_MAX; i++)
        if (!drive_at(vm, d->interface, units ? i / units : 0, units ? i % units : i, units))
            d->index = i;
    d->bus = units ? d->index / units : 0;
    d->unit = units ? d->index % units : d->index;
    if (d->interface != DRIVE_NONE && drive_at(vm, d->interface, d->bus, d->unit, units))
        return error_set(error, "drive with bus=%u, unit=%u (index=%u) exists", d->bus, d->unit, d->index);
    return true;
}

static bool take_policy(Json *o, const char *key, BlockdevOnError *policy, GError **error)
{
    g_autofree char *text = take(o, key);
    int v = text ? qapi_enum_parse(&blockdev_on_error_type, text) : BLOCKDEV_ON_ERROR_AUTO;
    *policy = v;
    return v >= 0 || bad_value(error, key, text, blockdev_on_error_type.values);
}

static bool take_limits(Json *o, Drive *d, GError **error)
{
    ThrottleLimits l = {0};
    g_autofree char *group = take(o, "throttling.group");
    for (unsigned i = 0; i < G_N_ELEMENTS(old_limits); i++) {
        g_autofree char *value = take(o, old_limits[i][0]), *key = g_strconcat("throttling.", old_limits[i][1], NULL);
        if (value)
            json_set_text(o, key, value);
    }
    if (!throttle_take_options(o, "throttling.", &l, error))
        return false;
    if (group && (d->throttle = throttle_group(d->object.vm, group)))
        return !throttle_is_on(&l) || throttle_set(d->throttle, &l, error);
    if (group)
        return error_set(error, "there is no throttle group '%s'; make it with -object throttle-group", group);
    d->throttle = throttle_new();
    if (!throttle_set(d->throttle, &l, error))
        return false;
    if (!throttle_is_on(&l))
        drive_set_throttle(d, NULL);
    return true;
}

static char *new_id(Vm *vm, const Drive *d, const DriveBoard *board)
{
    const char *kind = d->cdrom ? "cd" : "hd";
    bool buses = units_of(d->interface, board);
    for (unsigned i = d->index;; i++) {
        char *id = buses ? g_strdup_printf("%s%u-%s%u", interfaces[d->interface], d->bus, kind, d->unit)
                         : g_strdup_printf("%s%u", interfaces[d->interface], i);
        if (buses || !vm_service_find(vm, "drive", id))
            return id;
        g_free(id);
    }
}

/* ---- the nodes' ---- */

static bool take_cache(Json *o, Json *node, Drive *d, GError **error)
{
    g_autofree char *name = take(o, "cache");
    bool writeback = true, direct = false, no_flush = false;
    if (name) {
        unsigned i = 0;
        while (i < G_N_ELEMENTS(caches) && strcmp(caches[i].name, name))
            i++;
        if (i == G_N_ELEMENTS(caches))
            return bad_value(error, "cache", name, (const char *const[]){
                "none", "directsync", "writeback", "unsafe", "writethrough", NULL});
        writeback = caches[i].writeback;
        direct = caches[i].direct;
        no_flush = caches[i].no_flush;
    }
    d->writeback = take_switch(o, "cache.writeback", writeback);
    Json *cache = json_object();
    json_set_text(cache, "direct", take_switch(o, "cache.direct", direct) ? "on" : "off");
    json_set_text(cache, "no-flush", take_switch(o, "cache.no-flush", no_flush) ? "on" : "off");
    json_set(node, "cache", cache);
    return true;
}

/* "file.locking=off" and "backing.file.filename=x" become members of members. */
static void nest(Json *to, const char *key, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);
    for (unsigned i = 0; parts[i]; i++) {
        if (!parts[i + 1]) {
            json_set_text(to, parts[i], value);
            return;
        }
        Json *next = json_get(to, parts[i]);
        if (!next || json_type(next) != JSON_OBJECT) {
            next = json_object();
            json_set(to, parts[i], next);
        }
        to = next;
    }
}

static void rename_value(Json *node, Json *o, const char *key, const char *as)
{
    g_autofree char *v = take(o, key);
    if (v)
        nest(node, as, v);
}

/* What is left belongs to the nodes. */
static bool take_node_options(Json *o, Json *node, Drive *d, GError **error)
{
    g_autofree char *discard = take(o, "discard");
    if (!take_cache(o, node, d, error))
        return false;
    rename_value(node, o, "aio", "file.aio");
    rename_value(node, o, "locking", "file.locking");
    if (discard)
        json_set_text(node, "discard", !strcmp(discard, "on") || !strcmp(discard, "unmap") ? "unmap" : "ignore");
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < json_length(o); i++)
        g_ptr_array_add(keys, g_strdup(json_key_at(o, i)));
    for (unsigned i = 0; i < keys->len; i++)
        rename_value(node, o, keys->pdata[i], keys->pdata[i]);
    return true;
}

/* snapshot=on: writes go to a file that is gone when we are. */
static BlockNode *open_snapshot(Vm *vm, BlockNode *base, const char *node_name, GError **error)
{
    const char *dir = g_getenv("TMPDIR");
    g_autofree char *path = g_build_filename(dir ? dir : "/var/tmp", "vl.XXXXXX", NULL);
    int fd = g_mkstemp(path);
    if (fd < 0) {
        error_set_errno(error, errno, "Could not make a temporary file '%s'", path);
        return NULL;
    }
    close(fd);
    BlockdevOptionsFile storage = {.filename = path};
    BlockdevOptions file = {.driver = BLOCKDEV_DRIVER_FILE, .u.file = &storage};
    BlockdevRef ref = {.kind = BLOCKDEV_REF_DEFINITION, .u.definition = &file};
    BlockdevCreateOptionsQcow2 qcow2 = {.file = &ref, .size = (block_size(base) + 511) & ~511ull};
    BlockdevCreateOptions create = {.driver = BLOCKDEV_DRIVER_QCOW2, .u.qcow2 = &qcow2};
    BlockdevRefOrNull backing = {.kind = BLOCKDEV_REF_OR_NULL_REFERENCE, .u.reference = base->name};
    BlockdevOptionsQcow2 overlay = {.file = &ref, .backing = &backing};
    BlockdevCacheOptions cache = {.has_no_flush = true, .no_flush = true};
    BlockdevOptions options = {.driver = BLOCKDEV_DRIVER_QCOW2, .u.qcow2 = &overlay, .cache = &cache,
                               .node_name = (char *)node_name};
    BlockNode *n = block_create(vm, &create, error) ? block_open(vm, &options, error) : NULL;
    unlink(path);
    if (n)
        block_find_user(base, n, NULL, NULL)->own = true;
    return n;
}

/* always_snapshot: unless it says otherwise or is only read. */
static bool open_node(Drive *d, Json *o, const char *file, bool always_snapshot, GError **error)
{
    Vm *vm = d->object.vm;
    g_autoptr(Json) node = json_object();
    g_autofree char *format = take(o, "format"), *driver = take(o, "driver");
    bool readonly = take_switch(o, "readonly", false);
    d->read_only = take_switch(o, "read-only", readonly) || readonly || d->cdrom;
    bool snapshot = take_switch(o, "snapshot", always_snapshot && !d->read_only), cor = take_switch(o, "copy-on-read", false);
    g_autofree char *node_name = snapshot || cor ? take(o, "node-name") : NULL;
    if (format && driver)
        return error_set(error, "Cannot specify both 'driver' and 'format'");
    if (!take_node_options(o, node, d, error))
        return false;
    if (cor && (d->read_only || snapshot))
        return error_set(error, "copy-on-read needs a drive that can be written to");
    if (file) {
        BlockOpen w = {.filename = file, .format = format ? format : driver, .options = node,
                       .read_only = d->read_only || snapshot};
        d->node = block_open_file(vm, &w, error);
    } else {
        if (!format && !driver)
            return error_set(error, "file= or driver= is needed with options of a node");
        json_set_text(node, "driver", format ? format : driver);
        json_set_text(node, "read-only", d->read_only || snapshot ? "on" : "off");
        g_autoptr(BlockdevOptions) options = qapi_from_json(&blockdev_options_type, node, QAPI_KEYVAL, error);
        d->node = options ? block_open(vm, options, error) : NULL;
    }
    if (!d->node)
        return false;
    d->owns_node = true;
    if (snapshot) {
        BlockNode *overlay = open_snapshot(vm, d->node, node_name, error);
        if (!overlay)
            block_free(d->node);
        d->node = overlay;
    } else if (cor) {
        BlockdevRef ref = {.kind = BLOCKDEV_REF_REFERENCE, .u.reference = d->node->name};
        BlockdevOptionsFilter filter = {.file = &ref};
        BlockdevOptions options = {.driver = BLOCKDEV_DRIVER_COPY_ON_READ, .u.copy_on_read = &filter,
                                   .node_name = node_name};
        BlockNode *below = d->node;
        d->node = block_open(vm, &options, error);
        if (d->node)
            block_find_user(below, d->node, NULL, NULL)->own = true;
        else
            block_free(below);
    }
    return d->node != NULL;
}

static bool read_drive(Drive *d, Json *o, const DriveBoard *board, GError **error)
{
    Vm *vm = d->object.vm;
    if (!take_place(vm, o, d, board, error) || !take_policy(o, "werror", &d->werror, error) ||
        !take_policy(o, "rerror", &d->rerror, error) || !take_limits(o, d, error))
        return false;
    g_free(d->id);
    d->id = take(o, "id");
    d->id = d->id ? d->id : new_id(vm, d, board);
    d->serial = take(o, "serial");
    if (vm_service_find(vm, "drive", d->id))
        return error_set(error, "Duplicate ID '%s' for drive", d->id);
    if (block_find(vm, d->id))
        return error_set(error, "Device name '%s' conflicts with an existing node name", d->id);
    g_autofree char *file = take(o, "file");
    bool is_ref = file && block_find(vm, file) && json_get(o, "driver");
    if (is_ref)
        json_set_text(o, "file", file);
    /* A driver that needs no file, or a CD drive without a medium. */
    bool node = (file && *file) || json_get(o, "driver") || json_get(o, "file.driver") || json_get(o, "file.filename");
    if (!node)
        return d->cdrom || d->interface == DRIVE_FLOPPY || d->interface == DRIVE_SD || d->interface == DRIVE_NONE ||
               error_set(error, "a file is needed");
    if (json_get(o, "format") && json_get(o, "file.driver") && !file)
        file = NULL;
    return open_node(d, o, is_ref || !file || !*file ? NULL : file, board->snapshot && !is_ref, error);
}

Drive *drive_add_option(Vm *vm, const char *text, const DriveBoard *board, GError **error)
{
    g_autoptr(Json) o = keyval_parse(text, "file", KEYVAL_LEGACY, error);
    Drive *d = drive_new(vm, NULL);
    if (o && read_drive(d, o, board, error)) {
        drive_keep(d);
        return d;
    }
    object_unref(&d->object);
    g_prefix_error(error, "-drive %s: ", text);
    return NULL;
}
