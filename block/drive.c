/* SPDX-License-Identifier: Apache-2.0 */
/* -drive: the short form that names a file, its caching and what it hangs on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/internal.h"
#include "qapi/keyval.h"
#include "qapi/type.h"
#include "util/suggest.h"

static const char *const interfaces[] = {"none", "virtio", "ide", "scsi", "floppy", "pflash", "mtd", "sd", NULL};

/* cache= stands for three switches. */
static const struct { const char *name; bool writeback, direct, no_flush; } caches[] = {
    {"none", true, true, false}, {"off", true, true, false}, {"directsync", false, true, false},
    {"writeback", true, false, false}, {"unsafe", true, false, true}, {"writethrough", false, false, false},
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

static void drive_finish(Object *o)
{
    Drive *d = (Drive *)o;
    if (d->id && vm_service_find(o->vm, "drive", d->id) == d)
        vm_service_remove(o->vm, "drive", d->id);
    g_free(d->id);
    g_free(d->serial);
}

static const ObjectType drive_type = {
    .name = "drive", .parent = "object", .size = sizeof(Drive), .finish = drive_finish,
};
OBJECT_TYPE(drive_type);

/* Options that are understood by nobody end the start. */
static const char *const known[] = {
    "file", "if", "id", "format", "cache", "aio", "readonly", "read-only", "index", "bus", "unit", "media",
    "serial", "discard", "detect-zeroes", "werror", "rerror", "snapshot", "locking", "file.locking",
    "node-name", "cache.direct", "cache.no-flush", "cache.writeback", "force-share", "auto-read-only",
    NULL,
};

static bool check_known(const Json *o, GError **error)
{
    for (size_t i = 0; i < json_length(o); i++)
        if (!g_strv_contains(known, json_key_at(o, i))) {
            error_set(error, "option '%s' is not known or not implemented yet", json_key_at(o, i));
            suggest_append(error, json_key_at(o, i), known);
            return false;
        }
    return true;
}

static bool is_on(const Json *o, const char *key)
{
    const char *v = json_get_text(o, key);
    return v && (!strcmp(v, "on") || !strcmp(v, "yes") || !strcmp(v, "true"));
}

static void copy_text(const Json *from, const char *key, Json *to, const char *as)
{
    if (json_get_text(from, key))
        json_set_text(to, as, json_get_text(from, key));
}

static bool add_cache(const Json *o, Json *node, Drive *d, GError **error)
{
    const char *name = json_get_text(o, "cache");
    Json *cache = json_object();
    d->writeback = json_get(o, "cache.writeback") ? is_on(o, "cache.writeback") : true;
    bool direct = is_on(o, "cache.direct"), no_flush = is_on(o, "cache.no-flush");
    if (name) {
        unsigned i = 0;
        while (i < G_N_ELEMENTS(caches) && strcmp(caches[i].name, name))
            i++;
        if (i == G_N_ELEMENTS(caches)) {
            json_unref(cache);
            return bad_value(error, "cache", name, (const char *const[]){
                "none", "directsync", "writeback", "unsafe", "writethrough", NULL});
        }
        d->writeback = caches[i].writeback;
        direct = caches[i].direct;
        no_flush = caches[i].no_flush;
    }
    json_set_text(cache, "direct", direct ? "on" : "off");
    json_set_text(cache, "no-flush", no_flush ? "on" : "off");
    json_set(node, "cache", cache);
    return true;
}

/* Without format= the content decides; only raw is there, and what looks otherwise is refused. */
static bool check_format(const Json *o, const char *file, GError **error)
{
    const char *format = json_get_text(o, "format");
    static const struct { const char *magic, *name; } others[] = {
        {"QFI\xfb", "qcow2"}, {"KDMV", "vmdk"}, {"conectix", "vpc"}, {"vhdxfile", "vhdx"}, {"LUKS\xba\xbe", "luks"},
    };
    if (format)
        return !strcmp(format, "raw") ||
               error_set(error, "Unknown driver '%s': this build has raw images only", format);
    char head[8] = {0};
    FILE *f = fopen(file, "rb");
    size_t n = f ? fread(head, 1, sizeof(head), f) : 0;
    if (f)
        fclose(f);
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
        if (n >= strlen(others[i].magic) && !memcmp(head, others[i].magic, strlen(others[i].magic)))
            return error_set(error, "'%s' is a %s image, which this build does not read yet (say "
                             "format=raw if its bytes are meant)", file, others[i].name);
    return true;
}

static Json *node_options(const Json *o, Drive *d, const char *file, GError **error)
{
    g_autoptr(Json) storage = json_object(), node = json_object();
    bool read_only = is_on(o, "readonly") || is_on(o, "read-only") || d->cdrom;
    json_set_text(storage, "driver", g_str_has_prefix(file, "/dev/") ? "host_device" : "file");
    json_set_text(storage, "filename", file);
    copy_text(o, "aio", storage, "aio");
    copy_text(o, "locking", storage, "locking");
    copy_text(o, "file.locking", storage, "locking");
    if (!add_cache(o, storage, d, error))
        return NULL;
    for (Json *const *j = (Json *const[]){storage, node, NULL}; *j; j++) {
        json_set_text(*j, "read-only", read_only ? "on" : "off");
        copy_text(o, "force-share", *j, "force-share");
        if (json_get_text(o, "discard"))
            json_set_text(*j, "discard", strcmp(json_get_text(o, "discard"), "on") &&
                                         strcmp(json_get_text(o, "discard"), "unmap") ? "ignore" : "unmap");
    }
    json_set_text(node, "driver", "raw");
    copy_text(o, "node-name", node, "node-name");
    copy_text(o, "detect-zeroes", node, "detect-zeroes");
    json_set(node, "file", json_ref(storage));
    return g_steal_pointer(&node);
}

static bool read_place(const Json *o, Drive *d, int dflt, GError **error)
{
    const char *interface = json_get_text(o, "if"), *media = json_get_text(o, "media");
    d->interface = interface ? index_of(interfaces, interface) : dflt;
    if (d->interface < 0)
        return bad_value(error, "if", interface, interfaces);
    if (media && strcmp(media, "disk") && strcmp(media, "cdrom"))
        return bad_value(error, "media", media, (const char *const[]){"disk", "cdrom", NULL});
    d->cdrom = media && !strcmp(media, "cdrom");
    const char *index = json_get_text(o, "index");
    d->index = index ? strtoul(index, NULL, 10) : 0;
    if (is_on(o, "snapshot"))
        return error_set(error, "snapshot=on is not implemented yet");
    return true;
}

static bool read_policy(const Json *o, const char *key, BlockdevOnError *policy, GError **error)
{
    const char *text = json_get_text(o, key);
    int v = text ? qapi_enum_parse(&blockdev_on_error_type, text) : BLOCKDEV_ON_ERROR_AUTO;
    *policy = v;
    return v >= 0 || bad_value(error, key, text, blockdev_on_error_type.values);
}

static char *new_id(Vm *vm, const Drive *d)
{
    for (unsigned i = d->index;; i++) {
        char *id = g_strdup_printf("%s%u", interfaces[d->interface], i);
        if (!vm_service_find(vm, "drive", id))
            return id;
        g_free(id);
    }
}

static void keep(Vm *vm, Drive *d)
{
    vm_service_add(vm, "drive", d->id, d);
    object_add_child(vm->backends, "drive[*]", &d->object);
}

Drive *drive_add_option(Vm *vm, const char *text, int dflt, GError **error)
{
    g_autoptr(Json) o = keyval_parse(text, "file", KEYVAL_LEGACY, error);
    Drive *d = (Drive *)object_new(vm, &drive_type);
    const char *file;
    if (!o || !check_known(o, error) || !read_place(o, d, dflt, error) ||
        !read_policy(o, "werror", &d->werror, error) || !read_policy(o, "rerror", &d->rerror, error))
        goto failed;
    d->id = json_get_text(o, "id") ? g_strdup(json_get_text(o, "id")) : new_id(vm, d);
    d->serial = g_strdup(json_get_text(o, "serial"));
    if (vm_service_find(vm, "drive", d->id)) {
        error_set(error, "Duplicate ID '%s' for drive", d->id);
        goto failed;
    }
    if ((file = json_get_text(o, "file"))) {
        g_autoptr(Json) node = check_format(o, file, error) ? node_options(o, d, file, error) : NULL;
        g_autoptr(BlockdevOptions) options =
            node ? qapi_from_json(&blockdev_options_type, node, QAPI_KEYVAL, error) : NULL;
        if (!options || !(d->node = block_open(vm, options, error)))
            goto failed;
    }
    keep(vm, d);
    return d;
failed:
    object_unref(&d->object);
    g_prefix_error(error, "-drive %s: ", text);
    return NULL;
}

Drive *drive_find(Vm *vm, const char *name)
{
    Drive *d = vm_service_find(vm, "drive", name);
    BlockNode *n = d ? NULL : block_find(vm, name);
    if (!n)
        return d;
    d = (Drive *)object_new(vm, &drive_type);
    d->id = g_strdup(name);
    d->node = n;
    d->writeback = true;
    d->werror = d->rerror = BLOCKDEV_ON_ERROR_AUTO;
    keep(vm, d);
    return d;
}

Drive *drive_of_interface(Vm *vm, int interface, unsigned n)
{
    g_auto(GStrv) ids = vm_service_ids(vm, "drive");
    for (unsigned i = 0; ids && ids[i]; i++) {
        Drive *d = vm_service_find(vm, "drive", ids[i]);
        if (d->interface == interface && n-- == 0)
            return d;
    }
    return NULL;
}

bool blockdev_add_option(Vm *vm, const char *text, GError **error)
{
    bool is_json;
    g_autoptr(Json) o = keyval_or_json(text, "driver", KEYVAL_PLAIN, &is_json, error);
    g_autoptr(BlockdevOptions) options =
        o ? qapi_from_json(&blockdev_options_type, o, is_json ? QAPI_STRICT : QAPI_KEYVAL, error) : NULL;
    if (options && !options->node_name)
        error_set(error, "'node-name' must be specified for the root node");
    if (!options || !options->node_name || !block_open(vm, options, error)) {
        g_prefix_error(error, "-blockdev %s: ", text);
        return false;
    }
    drive_find(vm, options->node_name);
    return true;
}
