/* SPDX-License-Identifier: Apache-2.0 */
/* Property values: text to value and back, values to members of a struct and back. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/object-internal.h"
#include "core/vm.h"
#include "util/error.h"
#include "util/suggest.h"

static const char *const on_off_auto[] = {"auto", "on", "off", NULL};

static const struct TypeRow {
    const char *name, *wants;
    int64_t min;
    uint64_t max;
} types[] = {
    [PROP_NONE] = {"str", "text"},
    [PROP_BOOL] = {"bool", "'on' or 'off'"},
    [PROP_U8] = {"uint8", "a number from 0 to 255", 0, UINT8_MAX},
    [PROP_U16] = {"uint16", "a number from 0 to 65535", 0, UINT16_MAX},
    [PROP_U32] = {"uint32", "a number from 0 to 4294967295", 0, UINT32_MAX},
    [PROP_U64] = {"uint64", "a number from 0 to 18446744073709551615", 0, UINT64_MAX},
    [PROP_I32] = {"int32", "a number from -2147483648 to 2147483647", INT32_MIN, INT32_MAX},
    [PROP_I64] = {"int64", "a number of 64 bits with a sign", INT64_MIN, INT64_MAX},
    [PROP_SIZE] = {"size", "a size such as 4096, 64K, 512M or 1G", 0, UINT64_MAX},
    [PROP_STRING] = {"str", "text"},
    [PROP_ENUM] = {"str", NULL},
    [PROP_ON_OFF_AUTO] = {"OnOffAuto", NULL},
    [PROP_MAC] = {"str", "an Ethernet address such as 52:54:00:12:34:56"},
    [PROP_UUID] = {"str", "a UUID such as 6ba7b810-9dad-11d1-80b4-00c04fd430c8 or 'auto'"},
    [PROP_LINK] = {"link", "the id or path of an object"},
    [PROP_CHARDEV] = {"str", "the id of a chardev"},
    [PROP_NETDEV] = {"str", "the id of a netdev"},
    [PROP_DRIVE] = {"str", "the node name or id of a drive"},
    [PROP_AUDIODEV] = {"str", "the id of an audiodev"},
    [PROP_BIT] = {"bool", "'on' or 'off'"},
};

void prop_value_clear(PropValue *v)
{
    g_free(v->s);
    *v = (PropValue){0};
}

char *prop_value_text(const PropValue *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        return g_strdup("");
    case VALUE_BOOL:
        return g_strdup(v->b ? "on" : "off");
    case VALUE_INT:
        return g_strdup_printf("%" PRId64, v->i);
    case VALUE_UINT:
        return g_strdup_printf("%" PRIu64, v->u);
    case VALUE_DOUBLE:
        return g_strdup_printf("%.17g", v->d);
    case VALUE_STRING:
    case VALUE_JSON:
        break;
    }
    return g_strdup(v->s);
}

const char *const *field_names(const Field *f)
{
    return f->type == PROP_ON_OFF_AUTO ? on_off_auto : f->type == PROP_ENUM ? f->names : NULL;
}

char *field_type_name(const Field *f)
{
    if (f->kind == FIELD_LINK || f->type == PROP_LINK) {
        return g_strdup_printf("link<%s>", f->link_type ? f->link_type : "object");
    }
    if (f->type == PROP_ENUM && f->link_type) {
        return g_strdup(f->link_type);
    }
    return g_strdup(types[f->type].name);
}

static PropType type_of(const Field *f)
{
    return f->kind == FIELD_LINK ? PROP_LINK : (PropType)f->type;
}

/* ---- text ---- */

bool size_parse(const char *text, uint64_t *value)
{
    static const char suffixes[] = "BKMGTPE";
    char *end;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    uint64_t whole = g_ascii_strtoull(text, &end, text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10);
    if (errno) {
        return false;
    }
    double fraction = 0;
    if (*end == '.') {
        char *after;
        fraction = g_ascii_strtod(end, &after);
        if (after == end + 1) {
            return false;
        }
        end = after;
    }
    const char *s = *end ? strchr(suffixes, g_ascii_toupper(*end)) : suffixes;
    if (!s || (*end && end[1]) || (fraction != 0 && s == suffixes)) {
        return false;
    }
    unsigned shift = 10 * (unsigned)(s - suffixes);
    if (shift && whole >> (64 - shift)) {
        return false;
    }
    *value = (whole << shift) + (uint64_t)(fraction * (double)(1ull << shift));
    return true;
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const yes[] = {"on", "yes", "true", "y", NULL};
    static const char *const no[] = {"off", "no", "false", "n", NULL};

    *value = g_strv_contains(yes, text);
    return *value || g_strv_contains(no, text);
}

static bool parse_number(const char *text, PropValue *v)
{
    char *end;

    errno = 0;
    if (*text == '-') {
        *v = (PropValue){.kind = VALUE_INT, .i = g_ascii_strtoll(text, &end, 0)};
    } else {
        *v = (PropValue){.kind = VALUE_UINT, .u = g_ascii_strtoull(text, &end, 0)};
    }
    return errno == 0 && end != text && *end == '\0' && !g_ascii_isspace(*text);
}

/* Text from the command line becomes the kind of value that the type stores. */
static bool parse_text(PropType type, const char *text, PropValue *v)
{
    switch (type) {
    case PROP_BOOL:
    case PROP_BIT:
        v->kind = VALUE_BOOL;
        return parse_bool(text, &v->b);
    case PROP_U8:
    case PROP_U16:
    case PROP_U32:
    case PROP_U64:
    case PROP_I32:
    case PROP_I64:
        return parse_number(text, v);
    case PROP_SIZE:
        v->kind = VALUE_UINT;
        return size_parse(text, &v->u);
    default:
        *v = (PropValue){.kind = VALUE_STRING, .s = g_strdup(text)};
        return true;
    }
}

/* ---- members ---- */

static uint64_t load(const void *p, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, p, MIN(size, sizeof(v)));
    return v;
}

static void store(void *p, unsigned size, uint64_t v)
{
    memcpy(p, &v, MIN(size, sizeof(v)));
}

static bool wrong(Object *o, const Field *f, const PropValue *v, GError **error)
{
    g_autofree char *text = prop_value_text(v);
    const char *const *names = field_names(f);

    if (names) {
        g_autofree char *all = g_strjoinv(", ", (char **)names);
        error_set(error, "property '%s.%s' takes one of %s, not '%s'", o->type->name, f->name, all,
                  text);
        suggest_append(error, text, names);
        return false;
    }
    return error_set(error, "property '%s.%s' takes %s, not '%s'", o->type->name, f->name,
                     types[type_of(f)].wants, text);
}

static bool set_number(Object *o, const Field *f, void *p, const PropValue *v, GError **error)
{
    const struct TypeRow *t = &types[f->type];
    bool ok;

    if (v->kind == VALUE_INT) {
        ok = v->i >= 0 ? (uint64_t)v->i <= t->max : v->i >= t->min;
        store(p, f->size, ok ? (uint64_t)v->i : load(p, f->size));
    } else {
        ok = v->kind == VALUE_UINT && v->u <= t->max;
        store(p, f->size, ok ? v->u : load(p, f->size));
    }
    return ok || wrong(o, f, v, error);
}

static bool set_name(Object *o, const Field *f, void *p, const PropValue *v, GError **error)
{
    const char *const *names = field_names(f);

    for (unsigned i = 0; v->kind == VALUE_STRING && names && names[i]; i++) {
        if (strcmp(names[i], v->s) == 0) {
            store(p, f->size, i);
            return true;
        }
    }
    if (v->kind == VALUE_BOOL && f->type == PROP_ON_OFF_AUTO) {
        store(p, f->size, v->b ? 1 : 2);
        return true;
    }
    return wrong(o, f, v, error);
}

/* n hexadecimal bytes, with separators anywhere between bytes. */
static bool hex_bytes(const char *text, unsigned n, uint8_t *out)
{
    for (unsigned i = 0; i < n; i++) {
        if (i && (*text == ':' || *text == '-')) {
            text++;
        }
        int high = g_ascii_xdigit_value(text[0]);
        int low = high < 0 ? -1 : g_ascii_xdigit_value(text[1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return *text == '\0';
}

static bool set_bytes(Object *o, const Field *f, void *p, const PropValue *v, GError **error)
{
    uint8_t bytes[16];
    unsigned n = f->type == PROP_MAC ? 6 : 16;
    const char *text = v->kind == VALUE_STRING ? v->s : "";
    g_autofree char *random = NULL;

    if (f->type == PROP_UUID && strcmp(text, "auto") == 0) {
        text = random = g_uuid_string_random();
    }
    if (!hex_bytes(text, n, bytes)) {
        return wrong(o, f, v, error);
    }
    memcpy(p, bytes, n);
    return true;
}

static bool set_link(Object *o, const Field *f, void *p, const PropValue *v, GError **error)
{
    bool ambiguous = false;
    Object *target = NULL;

    if (v->kind != VALUE_STRING) {
        return wrong(o, f, v, error);
    }
    if (*v->s) {
        target = object_resolve(o->vm, v->s, f->link_type, &ambiguous);
        if (!target) {
            Object *other = ambiguous ? NULL : object_resolve(o->vm, v->s, NULL, NULL);
            if (other) {
                return error_set(error, "property '%s.%s' takes a %s, but '%s' is a %s",
                                 o->type->name, f->name, f->link_type, v->s, other->type->name);
            }
            return error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND,
                                   ambiguous ? "property '%s.%s': several objects are named '%s'"
                                             : "property '%s.%s': there is no object '%s'",
                                   o->type->name, f->name, v->s);
        }
    }
    *(Object **)p = target;
    return true;
}

static const char *service_kind(PropType type)
{
    return type == PROP_CHARDEV ? "chardev" : type == PROP_NETDEV ? "netdev" : type == PROP_DRIVE ? "drive"
                                                                                                  : "audiodev";
}

static bool set_service(Object *o, const Field *f, void *p, const PropValue *v, GError **error)
{
    const char *kind = service_kind(f->type);
    void *service = NULL;

    if (v->kind != VALUE_STRING) {
        return wrong(o, f, v, error);
    }
    if (*v->s) {
        service = vm_service_find(o->vm, kind, v->s);
        if (!service) {
            g_auto(GStrv) ids = vm_service_ids(o->vm, kind);
            error_set(error, "property '%s.%s' can't find value '%s': there is no such %s",
                      o->type->name, f->name, v->s, kind);
            suggest_append(error, v->s, (const char *const *)ids);
            return false;
        }
    }
    *(void **)p = service;
    return true;
}

static bool set_member(Object *o, const Field *f, const PropValue *v, GError **error)
{
    void *p = (char *)o + f->offset;

    switch (type_of(f)) {
    case PROP_BOOL:
        if (v->kind != VALUE_BOOL) {
            return wrong(o, f, v, error);
        }
        store(p, f->size, v->b);
        return true;
    case PROP_BIT:
        if (v->kind != VALUE_BOOL) {
            return wrong(o, f, v, error);
        }
        store(p, f->size, (load(p, f->size) & ~(1ull << f->bit)) | (uint64_t)v->b << f->bit);
        return true;
    case PROP_U8:
    case PROP_U16:
    case PROP_U32:
    case PROP_U64:
    case PROP_I32:
    case PROP_I64:
    case PROP_SIZE:
        return set_number(o, f, p, v, error);
    case PROP_ENUM:
    case PROP_ON_OFF_AUTO:
        return set_name(o, f, p, v, error);
    case PROP_MAC:
    case PROP_UUID:
        return set_bytes(o, f, p, v, error);
    case PROP_LINK:
        return set_link(o, f, p, v, error);
    case PROP_CHARDEV:
    case PROP_NETDEV:
    case PROP_DRIVE:
    case PROP_AUDIODEV:
        return set_service(o, f, p, v, error);
    case PROP_NONE:
    case PROP_STRING:
        break;
    }
    if (v->kind != VALUE_STRING && v->kind != VALUE_NULL) {
        return wrong(o, f, v, error);
    }
    *(char **)p = g_strdup(v->s);       /* the old text belongs to field_set() */
    return true;
}

bool field_set(Object *o, const Field *f, const PropValue *v, GError **error)
{
    char *p = (char *)o + f->offset;
    char old[16];
    unsigned n = MIN(f->size, sizeof(old));
    bool text = type_of(f) == PROP_STRING || type_of(f) == PROP_NONE;
    PropValue parsed = {0};

    if (o->complete && !f->changed) {
        return error_set(error, "property '%s.%s' cannot be changed any more", o->type->name,
                         f->name);
    }
    /* Text is what the command line has, and a client may send "64M", too. */
    if (v->kind == VALUE_STRING) {
        if (!parse_text(type_of(f), v->s, &parsed)) {
            return wrong(o, f, v, error);
        }
        v = &parsed;
    }
    memcpy(old, p, n);
    bool ok = set_member(o, f, v, error);
    prop_value_clear(&parsed);
    if (ok && o->complete && !f->changed(o, f, error)) {
        if (text) {
            g_free(*(char **)p);
        }
        memcpy(p, old, n);
        return false;
    }
    if (ok && text) {
        g_free(*(char **)old);
    }
    return ok;
}

static void get_bytes(const Field *f, const uint8_t *b, PropValue *out)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < f->size; i++) {
        const char *between = f->type == PROP_MAC ? ":" : i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        g_string_append_printf(s, "%s%02x", i ? between : "", b[i]);
    }
    *out = (PropValue){.kind = VALUE_STRING, .s = g_string_free(s, FALSE)};
}

bool field_get(Object *o, const Field *f, PropValue *out, GError **error)
{
    char *p = (char *)o + f->offset;
    uint64_t n = load(p, f->size);

    switch (type_of(f)) {
    case PROP_BOOL:
        *out = (PropValue){.kind = VALUE_BOOL, .b = (n & 0xff) != 0};
        break;
    case PROP_BIT:
        *out = (PropValue){.kind = VALUE_BOOL, .b = n >> f->bit & 1};
        break;
    case PROP_U8:
    case PROP_U16:
    case PROP_U32:
    case PROP_U64:
    case PROP_SIZE:
        *out = (PropValue){.kind = VALUE_UINT, .u = n};
        break;
    case PROP_I32:
        *out = (PropValue){.kind = VALUE_INT, .i = (int32_t)n};
        break;
    case PROP_I64:
        *out = (PropValue){.kind = VALUE_INT, .i = (int64_t)n};
        break;
    case PROP_ENUM:
    case PROP_ON_OFF_AUTO:
        *out = (PropValue){.kind = VALUE_STRING, .s = g_strdup(field_names(f)[(int)n])};
        break;
    case PROP_MAC:
    case PROP_UUID:
        get_bytes(f, (uint8_t *)p, out);
        break;
    case PROP_LINK: {
        Object *target = *(Object **)p;
        *out = (PropValue){.kind = VALUE_STRING, .s = target ? object_path(target) : g_strdup("")};
        break;
    }
    case PROP_CHARDEV:
    case PROP_NETDEV:
    case PROP_DRIVE:
    case PROP_AUDIODEV: {
        const char *id = vm_service_id(o->vm, service_kind(f->type), *(void **)p);
        *out = (PropValue){.kind = VALUE_STRING, .s = g_strdup(id ? id : "")};
        break;
    }
    case PROP_NONE:
    case PROP_STRING:
        *out = (PropValue){.kind = VALUE_STRING, .s = g_strdup(*(char **)p ? *(char **)p : "")};
        break;
    }
    return true;
}

void field_default(Object *o, const Field *f)
{
    char *p = (char *)o + f->offset;

    if (f->kind == FIELD_PROP && f->init_string) {
        PropValue v = {.kind = VALUE_STRING, .s = (char *)f->init_string};
        g_autoptr(GError) error = NULL;
        if (!field_set(o, f, &v, &error)) {
            g_error("default of %s.%s: %s", o->type->name, f->name, error->message);
        }
    } else if (f->kind == FIELD_PROP && f->type == PROP_BIT) {
        store(p, f->size, (load(p, f->size) & ~(1ull << f->bit)) | (f->init & 1) << f->bit);
    } else if ((f->kind == FIELD_PROP || f->kind == FIELD_SAVED) && f->size <= 8) {
        store(p, f->size, f->init);
    }
}

void field_free(Object *o, const Field *f)
{
    if (f->kind == FIELD_PROP && (f->type == PROP_STRING || f->type == PROP_NONE)) {
        g_clear_pointer((char **)((char *)o + f->offset), g_free);
    }
}

/* The default as help shows it, NULL for none. */
char *field_default_text(const Field *f)
{
    if (f->init_string) {
        return g_strdup(f->init_string);
    }
    switch (type_of(f)) {
    case PROP_BOOL:
    case PROP_BIT:
        return g_strdup(f->init ? "true" : "false");
    case PROP_U8:
    case PROP_U16:
    case PROP_U32:
    case PROP_U64:
    case PROP_SIZE:
        return g_strdup_printf("%" PRIu64, f->init);
    case PROP_I32:
    case PROP_I64:
        return g_strdup_printf("%" PRId64, (int64_t)f->init);
    case PROP_ENUM:
    case PROP_ON_OFF_AUTO:
        return g_strdup(field_names(f)[f->init]);
    default:
        return NULL;
    }
}
