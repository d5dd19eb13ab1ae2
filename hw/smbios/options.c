/* SPDX-License-Identifier: Apache-2.0 */
/* What the user says of SMBIOS structures (-smbios): a table of types and their keys. */
#include "hw/smbios/options.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util/error.h"

static const struct {
    unsigned type;
    const char *keys[10];
} known[] = {
    {0, {"vendor", "version", "date", "release", "uefi"}},
    {1, {"manufacturer", "product", "version", "serial", "uuid", "sku", "family"}},
    {2, {"manufacturer", "product", "version", "serial", "asset", "location"}},
    {3, {"manufacturer", "version", "serial", "asset", "sku"}},
    {4, {"sock_pfx", "manufacturer", "version", "serial", "asset", "part", "max-speed", "current-speed"}},
    {11, {"value"}},
    {17, {"loc_pfx", "bank", "manufacturer", "serial", "asset", "part", "speed"}},
};

typedef struct Options {
    Json *type[32];             /* objects, those given; the last of two equal keys counts */
} Options;

static void *make(Vm *vm) { return g_new0(Options, 1); }

static void drop(void *data)
{
    Options *o = data;
    for (unsigned i = 0; i < G_N_ELEMENTS(o->type); i++)
        json_unref(o->type[i]);
    g_free(o);
}

static Options *options(Vm *vm)
{
    static const char key;
    return vm_data(vm, &key, make, drop);
}

static bool check_number(const char *key, const char *v, GError **error)
{
    char *end;
    unsigned long n = strtoul(v, &end, 0);
    return (*v && !*end && n <= 0xffff) || error_set(error, "%s is a number up to 65535, not '%s'", key, v);
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
    return !g_str_has_suffix(key, "speed") || check_number(key, v, error);
}

static bool take(Json *to, unsigned row, const char *key, Json *value, GError **error)
{
    unsigned i = 0;
    while (known[row].keys[i] && strcmp(known[row].keys[i], key))
        i++;
    if (!known[row].keys[i])
        return error_set(error, "Invalid parameter '%s'", key);
    if (known[row].type == 11) {        /* a list that several options add to */
        Json *all = json_get(to, key);
        if (!all)
            json_set(to, key, all = json_array());
        for (size_t n = 0; json_type(value) == JSON_ARRAY && n < json_length(value); n++)
            json_append(all, json_ref(json_at(value, n)));
        if (json_type(value) != JSON_ARRAY)
            json_append(all, json_ref(value));
        return true;
    }
    if (json_type(value) == JSON_ARRAY)
        value = json_at(value, json_length(value) - 1);
    if (!check_value(key, json_text(value), error))
        return false;
    json_set(to, key, json_ref(value));
    return true;
}

bool smbios_add_option(Vm *vm, const char *text, GError **error)
{
    Options *o = options(vm);
    g_autoptr(Json) given = keyval_parse(text, NULL, KEYVAL_LEGACY, error);
    if (!given)
        return false;
    const char *type = json_get_text(given, "type");
    if (json_get(given, "file"))
        return error_set(error, "file= is not implemented yet");
    if (!type)
        return error_set(error, "Must specify type= or file=");
    unsigned row = 0, n = strtoul(type, NULL, 0);
    while (row < G_N_ELEMENTS(known) && known[row].type != n)
        row++;
    if (row == G_N_ELEMENTS(known))
        return error_set(error, "Don't know how to build fields for SMBIOS type %s", type);
    if (!o->type[n])
        o->type[n] = json_object();
    for (size_t i = 0; i < json_length(given); i++)
        if (strcmp(json_key_at(given, i), "type") &&
            !take(o->type[n], row, json_key_at(given, i), json_at(given, i), error))
            return false;
    return true;
}

bool smbios_given(Vm *vm, unsigned type) { return options(vm)->type[type]; }

const char *smbios_text(Vm *vm, unsigned type, const char *key, const char *otherwise)
{
    const char *v = json_get_text(options(vm)->type[type], key);
    return v ? v : otherwise;
}

unsigned smbios_number(Vm *vm, unsigned type, const char *key, unsigned otherwise)
{
    const char *v = json_get_text(options(vm)->type[type], key);
    return v ? strtoul(v, NULL, 0) : otherwise;
}

Json *smbios_list(Vm *vm, unsigned type, const char *key) { return json_get(options(vm)->type[type], key); }
