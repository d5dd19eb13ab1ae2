/* SPDX-License-Identifier: Apache-2.0 */
/* Conversion between described C values and JSON or command-line values; freeing; copying. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qapi/keyval.h"
#include "qapi/type.h"
#include "util/error.h"
#include "util/suggest.h"

#define BUILTIN(name_, kind_, size_)                                                              \
    const QapiType qapi_##name_##_type = { .name = #name_, .kind = kind_, .size = size_, .tag = -1 }

BUILTIN(str, QAPI_STR, sizeof(char *));
BUILTIN(bool, QAPI_BOOL, sizeof(bool));
BUILTIN(int, QAPI_INT, 8);
BUILTIN(number, QAPI_NUMBER, sizeof(double));
BUILTIN(size, QAPI_SIZE, 8);
BUILTIN(null, QAPI_NULL, sizeof(uint8_t));
BUILTIN(any, QAPI_ANY, sizeof(Json *));
BUILTIN(int8, QAPI_INT, 1);
BUILTIN(int16, QAPI_INT, 2);
BUILTIN(int32, QAPI_INT, 4);
BUILTIN(int64, QAPI_INT, 8);
BUILTIN(uint8, QAPI_UINT, 1);
BUILTIN(uint16, QAPI_UINT, 2);
BUILTIN(uint32, QAPI_UINT, 4);
BUILTIN(uint64, QAPI_UINT, 8);

#define BUILTIN_LIST(prefix, element_)                                                            \
    const QapiType prefix##_type = { .name = #prefix, .kind = QAPI_LIST, .tag = -1,               \
                                     .size = sizeof(QapiList), .element = &qapi_##element_##_type }
BUILTIN_LIST(str_list, str);
BUILTIN_LIST(any_list, any);
BUILTIN_LIST(bool_list, bool);
BUILTIN_LIST(int_list, int);
BUILTIN_LIST(number_list, number);
BUILTIN_LIST(size_list, size);
BUILTIN_LIST(uint8_list, uint8);
BUILTIN_LIST(uint16_list, uint16);
BUILTIN_LIST(uint32_list, uint32);
BUILTIN_LIST(uint64_list, uint64);

/* Where the reader is: "backend.data.addr", "opts[1]" (in command lines "opts.1"). */
typedef struct Path {
    const struct Path *up;
    const char *name;
    size_t index;
} Path;

static void path_to(GString *text, const Path *path, QapiInput mode)
{
    if (path == NULL) {
        return;
    }
    path_to(text, path->up, mode);
    if (path->name == NULL) {
        g_string_append_printf(text, mode == QAPI_STRICT ? "[%zu]" : ".%zu", path->index);
    } else {
        g_string_append_printf(text, "%s%s", text->len > 0 ? "." : "", path->name);
    }
}

static char *path_text(const Path *path, QapiInput mode)
{
    GString *text = g_string_new(NULL);

    path_to(text, path, mode);
    return g_string_free(text, FALSE);
}

typedef struct Reader {
    QapiInput mode;
    GError **error;
} Reader;

static bool read_value(Reader *r, const QapiType *type, const Json *json, const Path *path,
                       void *slot);

static const char *expected(const QapiType *type)
{
    switch (type->kind) {
    case QAPI_BOOL:
        return "boolean";
    case QAPI_INT:
    case QAPI_UINT:
    case QAPI_SIZE:
        return "integer";
    case QAPI_NUMBER:
        return "number";
    case QAPI_STRUCT:
        return "object";
    case QAPI_LIST:
        return "array";
    case QAPI_NULL:
        return "null";
    default:
        return "string";
    }
}

static bool wrong_type(Reader *r, const QapiType *type, const Path *path)
{
    g_autofree char *where = path_text(path, r->mode);

    return error_set(r->error, "Invalid parameter type for '%s', expected: %s",
                     path != NULL ? where : "arguments", expected(type));
}

static bool wrong_value(Reader *r, const Path *path, const char *expects)
{
    g_autofree char *where = path_text(path, r->mode);

    return error_set(r->error, "Parameter '%s' expects %s", where, expects);
}

static void store(void *slot, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        *(uint8_t *)slot = value;
        break;
    case 2:
        *(uint16_t *)slot = value;
        break;
    case 4:
        *(uint32_t *)slot = value;
        break;
    default:
        *(uint64_t *)slot = value;
    }
}

static uint64_t load(const void *slot, unsigned size, bool is_signed)
{
    switch (size) {
    case 1:
        return is_signed ? (uint64_t)*(int8_t *)slot : *(uint8_t *)slot;
    case 2:
        return is_signed ? (uint64_t)*(int16_t *)slot : *(uint16_t *)slot;
    case 4:
        return is_signed ? (uint64_t)*(int32_t *)slot : *(uint32_t *)slot;
    default:
        return *(uint64_t *)slot;
    }
}

static bool out_of_range(Reader *r, const QapiType *type, const Path *path)
{
    unsigned bits = type->size * 8;
    g_autofree char *expects =
        type->kind == QAPI_INT
            ? g_strdup_printf("an integer from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                              INT64_MIN >> (64 - bits), INT64_MAX >> (64 - bits))
            : g_strdup_printf("an integer from 0 to %" G_GUINT64_FORMAT, UINT64_MAX >> (64 - bits));

    return wrong_value(r, path, expects);
}

static bool store_int(Reader *r, const QapiType *type, int64_t value, const Path *path, void *slot)
{
    unsigned spare = 64 - type->size * 8;

    if (value < INT64_MIN >> spare || value > INT64_MAX >> spare) {
        return out_of_range(r, type, path);
    }
    store(slot, type->size, value);
    return true;
}

static bool store_uint(Reader *r, const QapiType *type, uint64_t value, const Path *path,
                       void *slot)
{
    if (value > UINT64_MAX >> (64 - type->size * 8)) {
        return out_of_range(r, type, path);
    }
    store(slot, type->size, value);
    return true;
}

static bool read_strict_scalar(Reader *r, const QapiType *type, const Json *json, const Path *path,
                               void *slot)
{
    int64_t i;
    uint64_t u;

    switch (type->kind) {
    case QAPI_STR:
        if (json_text(json) != NULL) {
            *(char **)slot = g_strdup(json_text(json));
            return true;
        }
        break;
    case QAPI_BOOL:
        if (json_get_bool(json, slot)) {
            return true;
        }
        break;
    case QAPI_INT:
        if (json_get_int(json, &i)) {
            return store_int(r, type, i, path, slot);
        }
        break;
    case QAPI_UINT:
    case QAPI_SIZE:
        if (json_get_uint(json, &u)) {
            return store_uint(r, type, u, path, slot);
        }
        if (json_get_int(json, &i)) { /* a negative one: clients send -1 for all bits */
            return type->size == 8 ? store_uint(r, type, (uint64_t)i, path, slot)
                                   : out_of_range(r, type, path);
        }
        break;
    case QAPI_NUMBER:
        if (json_get_double(json, slot)) {
            return true;
        }
        break;
    default:
        if (json_type(json) == JSON_NULL) {
            return true;
        }
        break;
    }
    return wrong_type(r, type, path);
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const words[] = { "off", "on", "no", "yes", "false", "true", "n", "y" };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i & 1;
            return true;
        }
    }
    return false;
}

static bool parse_uint(const char *text, uint64_t *value)
{
    char *end;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    *value = g_ascii_strtoull(text, &end, 0);
    return *end == '\0' && errno == 0;
}

static bool parse_int(const char *text, int64_t *value)
{
    char *end;

    if (!g_ascii_isdigit(text[*text == '-'])) {
        return false;
    }
    errno = 0;
    *value = g_ascii_strtoll(text, &end, 0);
    return *end == '\0' && errno == 0;
}

static bool parse_number(const char *text, double *value)
{
    char *end;

    errno = 0;
    *value = g_ascii_strtod(text, &end);
    return end != text && *end == '\0' && errno == 0;
}

bool keyval_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "bkmgtpe";
    char *end;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
    errno = 0;
    uint64_t whole = g_ascii_strtoull(text, &end, hex ? 16 : 10);
    if (errno != 0) {
        return false;
    }
    double fraction = 0;
    if (*end == '.' && !hex) {
        char *dot = end;
        g_autofree char *digits = NULL;
        end += 1 + strspn(end + 1, "0123456789");
        digits = g_strndup(dot, end - dot);
        fraction = g_ascii_strtod(digits, NULL);
    }
    unsigned shift = 0;
    if (*end != '\0') {
        const char *unit = strchr(units, g_ascii_tolower(*end));
        if (unit == NULL || end[1] != '\0' || (hex && *unit == 'b')) {
            return false;
        }
        shift = 10 * (unit - units);
    }
    if ((fraction != 0 && shift == 0) || (shift > 0 && whole > UINT64_MAX >> shift)) {
        return false;
    }
    *bytes = (whole << shift) + (uint64_t)(fraction * (double)(UINT64_C(1) << shift));
    return true;
}

static bool read_text_scalar(Reader *r, const QapiType *type, const char *text, const Path *path,
                             void *slot)
{
    int64_t i;
    uint64_t u;

    switch (type->kind) {
    case QAPI_STR:
        *(char **)slot = g_strdup(text);
        return true;
    case QAPI_BOOL:
        return parse_bool(text, slot) || wrong_value(r, path, "'on' or 'off'");
    case QAPI_INT:
        return parse_int(text, &i) ? store_int(r, type, i, path, slot)
                                   : wrong_value(r, path, "an integer");
    case QAPI_UINT:
        return parse_uint(text, &u) ? store_uint(r, type, u, path, slot)
                                    : wrong_value(r, path, "an integer not below 0");
    case QAPI_SIZE:
        return keyval_size(text, slot) ||
               wrong_value(r, path, "a size in bytes, or with one of the suffixes k, M, G, T, P, E");
    case QAPI_NUMBER:
        return parse_number(text, slot) || wrong_value(r, path, "a number");
    default:
        return wrong_type(r, type, path);
    }
}

/* A repeated key of a legacy option is an array; for a scalar the last one counts. */
static const Json *last_of(const Reader *r, const Json *json)
{
    while (r->mode == QAPI_KEYVAL && json_type(json) == JSON_ARRAY && json_length(json) > 0) {
        json = json_at(json, json_length(json) - 1);
    }
    return json;
}

static bool read_scalar(Reader *r, const QapiType *type, const Json *json, const Path *path,
                        void *slot)
{
    json = last_of(r, json);
    return r->mode == QAPI_KEYVAL && json_text(json) != NULL
               ? read_text_scalar(r, type, json_text(json), path, slot)
               : read_strict_scalar(r, type, json, path, slot);
}

int qapi_enum_parse(const QapiType *type, const char *text)
{
    for (int i = 0; type->values[i] != NULL; i++) {
        if (strcmp(type->values[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

static bool read_enum(Reader *r, const QapiType *type, const Json *json, const Path *path,
                      void *slot)
{
    const char *text = json_text(last_of(r, json));

    if (text == NULL) {
        return wrong_type(r, type, path);
    }
    int value = qapi_enum_parse(type, text);
    if (value < 0) {
        g_autofree char *where = path_text(path, r->mode);
        error_set(r->error, "Parameter '%s' does not accept value '%s'", where, text);
        suggest_append(r->error, text, type->values);
        return false;
    }
    *(int *)slot = value;
    return true;
}

static const QapiBranch *branch_of(const QapiType *type, const void *value)
{
    if (type->branches == NULL) {
        return NULL;
    }
    int tag = *(const int *)((const char *)value +
                             (type->tag < 0 ? 0 : type->members[type->tag].offset));
    for (const QapiBranch *b = type->branches; b->name != NULL; b++) {
        if (b->value == tag) {
            return b;
        }
    }
    return NULL;
}

static const QapiMember *find_member(const QapiType *type, const void *value, const char *name)
{
    for (const QapiMember *m = type->members; m->name != NULL; m++) {
        if (strcmp(m->name, name) == 0) {
            return m;
        }
    }
    const QapiBranch *b = branch_of(type, value);
    return b != NULL && b->type != NULL
               ? find_member(b->type, *(void **)((char *)value + type->u), name)
               : NULL;
}

static void collect_names(const QapiType *type, const void *value, GPtrArray *names)
{
    for (const QapiMember *m = type->members; m->name != NULL; m++) {
        g_ptr_array_add(names, (char *)m->name);
    }
    const QapiBranch *b = branch_of(type, value);
    if (b != NULL && b->type != NULL) {
        collect_names(b->type, *(void **)((char *)value + type->u), names);
    }
}

static bool check_unexpected(Reader *r, const QapiType *type, const Json *json, const Path *path,
                             const void *value)
{
    for (size_t i = 0; i < json_length(json); i++) {
        const char *key = json_key_at(json, i);
        if (find_member(type, value, key) == NULL) {
            g_autoptr(GPtrArray) names = g_ptr_array_new();
            Path at = { path, key, 0 };
            g_autofree char *where = path_text(&at, r->mode);
            error_set(r->error, "Parameter '%s' is unexpected", where);
            collect_names(type, value, names);
            g_ptr_array_add(names, NULL);
            suggest_append(r->error, key, (const char *const *)names->pdata);
            return false;
        }
    }
    return true;
}

static bool read_member(Reader *r, const QapiMember *m, const Json *object, const Path *path,
                        char *value)
{
    const Json *json = json_get(object, m->name);
    Path at = { path, m->name, 0 };

    if (json == NULL) {
        g_autofree char *where = m->optional ? NULL : path_text(&at, r->mode);
        return m->optional || error_set(r->error, "Parameter '%s' is missing", where);
    }
    if (!read_value(r, m->type, json, &at, value + m->offset)) {
        return false;
    }
    if (m->has >= 0) {
        *(bool *)(value + m->has) = true;
    }
    return true;
}

/* Reads the members of a struct, and of the union's branch out of the same object. */
static bool read_members(Reader *r, const QapiType *type, const Json *json, const Path *path,
                         char *value)
{
    for (const QapiMember *m = type->members; m->name != NULL; m++) {
        if (!read_member(r, m, json, path, value)) {
            return false;
        }
    }
    const QapiBranch *b = branch_of(type, value);
    if (b == NULL || b->type == NULL) {
        return true;
    }
    void **branch = (void **)(value + type->u);
    *branch = g_malloc0(b->type->size);
    return read_members(r, b->type, json, path, *branch);
}

/* "hostfwd=tcp::22-:22" stands for an object with the one member `str`. */
static bool read_wrapped_text(Reader *r, const QapiType *type, const Json *json, const Path *path,
                              char *value)
{
    const QapiMember *m = type->members;

    if (m->name == NULL || m[1].name != NULL || m->type->kind != QAPI_STR) {
        return wrong_type(r, type, path);
    }
    return read_value(r, m->type, json, path, value + m->offset);
}

static bool read_struct(Reader *r, const QapiType *type, const Json *json, const Path *path,
                        void **slot)
{
    void *value = g_malloc0(type->size);
    bool ok;

    if (json_type(json) == JSON_OBJECT) {
        ok = read_members(r, type, json, path, value) &&
             check_unexpected(r, type, json, path, value);
    } else if (r->mode == QAPI_KEYVAL && json_text(json) != NULL) {
        ok = read_wrapped_text(r, type, json, path, value);
    } else {
        ok = wrong_type(r, type, path);
    }
    if (!ok) {
        qapi_free(type, value);
        return false;
    }
    *slot = value;
    return true;
}

void *qapi_list_grow(void *list, size_t size)
{
    QapiList *l = list;

    if ((l->count & (l->count + 1)) == 0) { /* room for 1, 3, 7, … items and a final zero */
        l->items = g_realloc_n(l->items, 2 * (l->count + 1), size);
    }
    memset((char *)l->items + l->count * size, 0, 2 * size);
    return (char *)l->items + l->count++ * size;
}

static size_t item_size(const QapiType *element)
{
    return qapi_by_value(element) ? element->size : sizeof(void *);
}

static bool read_list(Reader *r, const QapiType *type, const Json *json, const Path *path,
                      void **slot)
{
    bool array = json_type(json) == JSON_ARRAY;
    size_t count = array ? json_length(json) : 1;

    if (!array && r->mode == QAPI_STRICT) {
        return wrong_type(r, type, path);
    }
    QapiList *list = g_new0(QapiList, 1);
    for (size_t i = 0; i < count; i++) {
        Path at = { path, NULL, i };
        if (!read_value(r, type->element, array ? json_at(json, i) : json, array ? &at : path,
                        qapi_list_grow(list, item_size(type->element)))) {
            qapi_free(type, list);
            return false;
        }
    }
    *slot = list;
    return true;
}

/* Whether a branch of an alternate can be read from such a value. */
static bool branch_accepts(const Reader *r, const QapiType *type, const Json *json)
{
    const char *text = json_text(json);
    bool words = r->mode == QAPI_KEYVAL && text != NULL, b;
    double number;

    switch (type->kind) {
    case QAPI_BOOL:
        return words ? parse_bool(text, &b) : json_type(json) == JSON_BOOL;
    case QAPI_INT:
    case QAPI_UINT:
    case QAPI_SIZE:
    case QAPI_NUMBER:
        return words ? parse_number(text, &number) : json_get_double(json, &number);
    case QAPI_ENUM:
        return text != NULL && (r->mode == QAPI_STRICT || qapi_enum_parse(type, text) >= 0);
    case QAPI_STR:
        return text != NULL;
    case QAPI_NULL:
        return json_type(json) == JSON_NULL;
    case QAPI_LIST:
        return json_type(json) == JSON_ARRAY;
    default:
        return json_type(json) == JSON_OBJECT;
    }
}

static bool read_alternate(Reader *r, const QapiType *type, const Json *json, const Path *path,
                           void **slot)
{
    const QapiBranch *chosen = NULL;

    for (const QapiBranch *b = type->branches; b->name != NULL; b++) {
        /* A plain string is the last resort: "on" is rather a bool or a word of an enum. */
        if ((chosen == NULL || chosen->type->kind == QAPI_STR) && branch_accepts(r, b->type, json)) {
            chosen = b;
        }
    }
    if (chosen == NULL) {
        return wrong_type(r, type->branches[0].type, path);
    }
    char *value = g_malloc0(type->size);
    *(int *)value = chosen->value;
    if (!read_value(r, chosen->type, json, path, value + type->u)) {
        qapi_free(type, value);
        return false;
    }
    *slot = value;
    return true;
}

static bool read_value(Reader *r, const QapiType *type, const Json *json, const Path *path,
                       void *slot)
{
    switch (type->kind) {
    case QAPI_ENUM:
        return read_enum(r, type, json, path, slot);
    case QAPI_ANY:
        *(Json **)slot = json_ref((Json *)json);
        return true;
    case QAPI_STRUCT:
        return read_struct(r, type, json, path, slot);
    case QAPI_LIST:
        return read_list(r, type, json, path, slot);
    case QAPI_ALTERNATE:
        return read_alternate(r, type, json, path, slot);
    default:
        return read_scalar(r, type, json, path, slot);
    }
}

void *qapi_from_json(const QapiType *type, const Json *json, QapiInput mode, GError **error)
{
    Reader reader = { mode, error };
    void *value = NULL;

    return read_value(&reader, type, json, NULL, &value) ? value : NULL;
}

static Json *write_slot(const QapiType *type, const void *slot)
{
    return qapi_to_json(type, qapi_by_value(type) || type->kind == QAPI_STR ||
                                      type->kind == QAPI_ANY || type->kind == QAPI_NULL
                                  ? slot
                                  : *(void *const *)slot);
}

static void write_members(const QapiType *type, const char *value, Json *object)
{
    for (const QapiMember *m = type->members; m->name != NULL; m++) {
        const void *slot = value + m->offset;
        bool present = !m->optional ? true
                       : m->has >= 0 ? *(const bool *)(value + m->has)
                                     : *(void *const *)slot != NULL;
        if (present) {
            json_set(object, m->name, write_slot(m->type, slot));
        }
    }
    const QapiBranch *b = branch_of(type, value);
    const void *branch = b != NULL ? *(void *const *)(value + type->u) : NULL;
    if (branch != NULL && b->type != NULL) {
        write_members(b->type, branch, object);
    }
}

static Json *write_list(const QapiType *type, const QapiList *list)
{
    Json *array = json_array();

    for (size_t i = 0; list != NULL && i < list->count; i++) {
        json_append(array, write_slot(type->element,
                                      (char *)list->items + i * item_size(type->element)));
    }
    return array;
}

static Json *write_struct(const QapiType *type, const void *value)
{
    Json *object = json_object();

    if (value != NULL) {
        write_members(type, value, object);
    }
    return object;
}

Json *qapi_to_json(const QapiType *type, const void *value)
{
    switch (type->kind) {
    case QAPI_STR:
        return json_string(*(char *const *)value);
    case QAPI_BOOL:
        return json_bool(*(const bool *)value);
    case QAPI_INT:
        return json_int(load(value, type->size, true));
    case QAPI_UINT:
    case QAPI_SIZE:
        return json_uint(load(value, type->size, false));
    case QAPI_NUMBER:
        return json_double(*(const double *)value);
    case QAPI_ANY:
        return *(Json *const *)value != NULL ? json_ref(*(Json *const *)value) : json_null();
    case QAPI_ENUM:
        return json_string(type->values[*(const int *)value]);
    case QAPI_STRUCT:
        return write_struct(type, value);
    case QAPI_LIST:
        return write_list(type, value);
    case QAPI_ALTERNATE: {
        const QapiBranch *b = value != NULL ? branch_of(type, value) : NULL;
        return b != NULL ? write_slot(b->type, (const char *)value + type->u) : json_null();
    }
    case QAPI_NULL:
        break;
    }
    return json_null();
}

static void clear_slot(const QapiType *type, void *slot)
{
    if (qapi_by_value(type) || type->kind == QAPI_NULL) {
        return;
    }
    if (type->kind == QAPI_STR) {
        g_free(*(char **)slot);
    } else if (type->kind == QAPI_ANY) {
        json_unref(*(Json **)slot);
    } else {
        qapi_free(type, *(void **)slot);
    }
}

void qapi_clear(const QapiType *type, void *value)
{
    const QapiBranch *b = branch_of(type, value);

    if (b != NULL && b->type != NULL) {
        void *slot = (char *)value + type->u;
        if (type->kind == QAPI_ALTERNATE) {
            clear_slot(b->type, slot);
        } else {
            qapi_free(b->type, *(void **)slot);
        }
    }
    if (type->kind == QAPI_STRUCT) {
        for (const QapiMember *m = type->members; m->name != NULL; m++) {
            clear_slot(m->type, (char *)value + m->offset);
        }
    } else if (type->kind == QAPI_LIST) {
        QapiList *list = value;
        for (size_t i = 0; i < list->count; i++) {
            clear_slot(type->element, (char *)list->items + i * item_size(type->element));
        }
        g_free(list->items);
    }
}

void qapi_free(const QapiType *type, void *value)
{
    if (value != NULL) {
        qapi_clear(type, value);
        g_free(value);
    }
}

void *qapi_copy(const QapiType *type, const void *value)
{
    if (value == NULL) {
        return NULL;
    }
    g_autoptr(Json) json = qapi_to_json(type, value);
    return qapi_from_json(type, json, QAPI_STRICT, NULL);
}
