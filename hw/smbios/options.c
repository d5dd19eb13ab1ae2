/* SPDX-License-Identifier: Apache-2.0 */
/* What the user says of SMBIOS structures (-smbios): a table of types and their keys. */
#include "hw/smbios/options.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util/error.h"

static const struct {
    unsigned type;
    const char *keys[12];
    bool several;               /* each option makes a structure of its own */
} known[] = {
    {0, {"vendor", "version", "date", "release", "uefi"}},
    {1, {"manufacturer", "product", "version", "serial", "uuid", "sku", "family"}},
    {2, {"manufacturer", "product", "version", "serial", "asset", "location"}},
    {3, {"manufacturer", "version", "serial", "asset", "sku"}},
    {4, {"sock_pfx", "manufacturer", "version", "serial", "asset", "part", "max-speed", "current-speed",
         "processor-id", "processor-family"}},
    {8, {"internal_reference", "external_reference", "connector_type", "port_type"}, true},
    {9, {"slot_designation", "slot_type", "slot_data_bus_width", "current_usage", "slot_length", "slot_id",
         "slot_characteristics1", "slot_characteristics2", "pcidev"}, true},
    {11, {"value", "path"}},
    {17, {"loc_pfx", "bank", "manufacturer", "serial", "asset", "part", "speed"}},
    {41, {"designation", "kind", "instance", "pcidev"}, true},
};

/* Numbers and how large they may be; what ends in "speed" has 16 bits, too. */
static const struct { const char *key; uint64_t max; } numbers[] = {
    {"processor-id", UINT64_MAX}, {"processor-family", 0xffff}, {"connector_type", 0xff}, {"port_type", 0xff},
    {"slot_type", 0xff}, {"slot_data_bus_width", 0xff}, {"current_usage", 0xff}, {"slot_length", 0xff},
    {"slot_id", 0xffff}, {"slot_characteristics1", 0xff}, {"slot_characteristics2", 0xff}, {"instance", 0xff},
    {"max-speed", 0xffff}, {"current-speed", 0xffff}, {"speed", 0xffff},
};

/* Onboard devices (type 41), by their numbers from 1 on. */
static const char *const kinds[] = {
    "other", "unknown", "video", "scsi", "ethernet", "tokenring", "sound", "pata", "sata", "sas", NULL,
};
enum { TYPES = 128, HEADER = 4 };

typedef struct Options {
    Json *type[TYPES];          /* objects, those given; the last of two equal keys counts; lists of objects */
    GByteArray *files;          /* whole structures out of files */
    uint16_t n_files, largest;
    bool in_file[256];
} Options;

static void *make(Vm *vm)
{
    Options *o = g_new0(Options, 1);
    o->files = g_byte_array_new();
    return o;
}

static void drop(void *data)
{
    Options *o = data;
    for (unsigned i = 0; i < G_N_ELEMENTS(o->type); i++)
        json_unref(o->type[i]);
    g_byte_array_unref(o->files);
    g_free(o);
}

static Options *options(Vm *vm)
{
    static const char key;
    return vm_data(vm, &key, make, drop);
}

static bool check_number(const char *key, const char *v, uint64_t max, GError **error)
{
    char *end;
    errno = 0;
    uint64_t n = strtoull(v, &end, 0);
    return (g_ascii_isdigit(*v) && !*end && !errno && n <= max) ||
           error_set(error, "%s is a number up to %" PRIu64 ", not '%s'", key, max, v);
}

static bool check_value(const char *key, const char *v, GError **error)
{
    unsigned major, minor;
    char rest;
    if (!strcmp(key, "uuid") && !g_uuid_string_is_valid(v))
        return error_set(error, "Invalid UUID");
    if (!strcmp(key, "release") &&
        (sscanf(v, "%u.%u%c", &major, &minor, &rest) != 2 || major > 254 || minor > 254))
        return error_set(error, "Invalid release: MAJOR.MINOR, each up to 254");
    if (!strcmp(key, "uefi") && strcmp(v, "on") && strcmp(v, "off"))
        return error_set(error, "Parameter 'uefi' expects 'on' or 'off'");
    if (!strcmp(key, "kind") && !g_strv_contains(kinds, v))
        return error_set(error, "invalid parameter value: %s", v);
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (!strcmp(numbers[i].key, key))
            return check_number(key, v, numbers[i].max, error);
    return true;
}

/* A string, or the file that holds it. */
static bool take_string(Json *all, const char *key, const char *v, GError **error)
{
    g_autofree char *text = NULL;
    if (!strcmp(key, "path") && !g_file_get_contents(v, &text, NULL, error))
        return false;
    json_append(all, json_string(text ? text : v));
    return true;
}

/* A list that several options add to. */
static bool take_strings(Json *to, const char *key, Json *value, GError **error)
{
    Json *all = json_get(to, "value");
    if (!all)
        json_set(to, "value", all = json_array());
    if (json_type(value) != JSON_ARRAY)
        return take_string(all, key, json_text(value), error);
    for (size_t n = 0; n < json_length(value); n++)
        if (!take_string(all, key, json_text(json_at(value, n)), error))
            return false;
    return true;
}

static bool take(Json *to, unsigned row, const char *key, Json *value, GError **error)
{
    unsigned i = 0;
    while (known[row].keys[i] && strcmp(known[row].keys[i], key))
        i++;
    if (!known[row].keys[i])
        return error_set(error, "Invalid parameter '%s'", key);
    if (known[row].type == 11)
        return take_strings(to, key, value, error);
    if (json_type(value) == JSON_ARRAY)
        value = json_at(value, json_length(value) - 1);
    if (!check_value(key, json_text(value), error))
        return false;
    json_set(to, key, json_ref(value));
    return true;
}

/* One structure with its strings, as it goes into the tables. */
static bool add_file(Options *o, Json *given, GError **error)
{
    const char *path = json_get_text(given, "file");
    g_autofree char *data = NULL;
    gsize n;
    for (size_t i = 0; i < json_length(given); i++)
        if (strcmp(json_key_at(given, i), "file"))
            return error_set(error, "Invalid parameter '%s'", json_key_at(given, i));
    if (!g_file_get_contents(path, &data, &n, NULL))
        return error_set(error, "Cannot read SMBIOS file %s", path);
    if (n < HEADER + 2 || n > UINT16_MAX || (uint8_t)data[1] < HEADER || (uint8_t)data[1] + 2u > n ||
        data[n - 1] || data[n - 2])
        return error_set(error, "SMBIOS file %s: it has to hold one structure that ends with two zero bytes", path);
    uint8_t type = data[0];
    if (type < TYPES && o->type[type])
        return error_set(error, "can't load type %u struct, fields already specified!", type);
    g_byte_array_append(o->files, (const uint8_t *)data, n);
    o->in_file[type] = true;
    o->n_files++;
    o->largest = MAX(o->largest, n);
    return true;
}

static Json *structure_of(Options *o, unsigned row)
{
    unsigned type = known[row].type;
    if (!o->type[type])
        o->type[type] = known[row].several ? json_array() : json_object();
    if (!known[row].several)
        return o->type[type];
    json_append(o->type[type], json_object());
    return json_at(o->type[type], json_length(o->type[type]) - 1);
}

bool smbios_add_option(Vm *vm, const char *text, GError **error)
{
    Options *o = options(vm);
    g_autoptr(Json) given = keyval_parse(text, NULL, KEYVAL_LEGACY, error);
    if (!given)
        return false;
    const char *type = json_get_text(given, "type");
    if (json_get(given, "file"))
        return add_file(o, given, error);
    if (!type)
        return error_set(error, "Must specify type= or file=");
    unsigned row = 0;
    uint64_t n = strtoull(type, NULL, 0);
    while (row < G_N_ELEMENTS(known) && known[row].type != n)
        row++;
    if (row == G_N_ELEMENTS(known))
        return error_set(error, "Don't know how to build fields for SMBIOS type %s", type);
    if (o->in_file[n])
        return error_set(error, "can't process type %u fields, binfile already loaded!", (unsigned)n);
    Json *to = structure_of(o, row);
    for (size_t i = 0; i < json_length(given); i++)
        if (strcmp(json_key_at(given, i), "type") &&
            !take(to, row, json_key_at(given, i), json_at(given, i), error))
            return false;
    return true;
}

bool smbios_given(Vm *vm, unsigned type) { return options(vm)->type[type]; }
bool smbios_in_file(Vm *vm, unsigned type) { return options(vm)->in_file[type]; }
Json *smbios_structures(Vm *vm, unsigned type) { return options(vm)->type[type]; }

const GByteArray *smbios_files(Vm *vm, unsigned *structures, unsigned *largest)
{
    *structures = options(vm)->n_files;
    *largest = options(vm)->largest;
    return options(vm)->files;
}

const char *smbios_text(Vm *vm, unsigned type, const char *key, const char *otherwise)
{
    const char *v = json_get_text(options(vm)->type[type], key);
    return v ? v : otherwise;
}

uint64_t smbios_number_in(const Json *structure, const char *key, uint64_t otherwise)
{
    const char *v = json_get_text(structure, key);
    return v ? strtoull(v, NULL, 0) : otherwise;
}

uint64_t smbios_number(Vm *vm, unsigned type, const char *key, uint64_t otherwise)
{
    return smbios_number_in(options(vm)->type[type], key, otherwise);
}

unsigned smbios_kind(const Json *structure)
{
    const char *v = json_get_text(structure, "kind");
    for (unsigned i = 0; v && kinds[i]; i++)
        if (!strcmp(kinds[i], v))
            return i + 1;
    return 1;
}

Json *smbios_list(Vm *vm, unsigned type, const char *key) { return json_get(options(vm)->type[type], key); }
