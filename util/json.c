/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values and their printer (RFC 8259). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "util/json.h"

typedef struct Member {
    char *key;
    Json *value;
} Member;

struct Json {
    gint refs;
    JsonType type;
    union {
        bool boolean;
        int64_t i;
        uint64_t u;
        double number;
        char *text;
        GPtrArray *items;
        struct {
            GArray *members;   /* of Member, in order */
            GHashTable *index; /* key -> position + 1; made for large objects only */
        };
    };
};

enum { INDEX_FROM = 12 };

static Json *new_value(JsonType type)
{
    Json *json = g_new0(Json, 1);

    json->refs = 1;
    json->type = type;
    return json;
}

Json *json_null(void)
{
    return new_value(JSON_NULL);
}

Json *json_bool(bool value)
{
    Json *json = new_value(JSON_BOOL);

    json->boolean = value;
    return json;
}

Json *json_int(int64_t value)
{
    Json *json = new_value(JSON_INT);

    json->i = value;
    return json;
}

Json *json_uint(uint64_t value)
{
    if (value <= INT64_MAX) {
        return json_int(value);
    }
    Json *json = new_value(JSON_UINT);
    json->u = value;
    return json;
}

Json *json_double(double value)
{
    Json *json = new_value(JSON_DOUBLE);

    json->number = value;
    return json;
}

Json *json_string(const char *text)
{
    Json *json = new_value(JSON_STRING);

    json->text = g_strdup(text != NULL ? text : "");
    return json;
}

Json *json_array(void)
{
    Json *json = new_value(JSON_ARRAY);

    json->items = g_ptr_array_new_with_free_func((GDestroyNotify)json_unref);
    return json;
}

static void clear_member(gpointer data)
{
    Member *m = data;

    g_free(m->key);
    json_unref(m->value);
}

Json *json_object(void)
{
    Json *json = new_value(JSON_OBJECT);

    json->members = g_array_new(FALSE, FALSE, sizeof(Member));
    g_array_set_clear_func(json->members, clear_member);
    return json;
}

Json *json_ref(Json *json)
{
    g_atomic_int_inc(&json->refs);
    return json;
}

void json_unref(Json *json)
{
    if (json == NULL || !g_atomic_int_dec_and_test(&json->refs)) {
        return;
    }
    switch (json->type) {
    case JSON_STRING:
        g_free(json->text);
        break;
    case JSON_ARRAY:
        g_ptr_array_unref(json->items);
        break;
    case JSON_OBJECT:
        g_array_unref(json->members);
        g_clear_pointer(&json->index, g_hash_table_unref);
        break;
    default:
        break;
    }
    g_free(json);
}

JsonType json_type(const Json *json)
{
    return json->type;
}

const char *json_type_name(JsonType type)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",      [JSON_BOOL] = "boolean",  [JSON_INT] = "integer",
        [JSON_UINT] = "integer",   [JSON_DOUBLE] = "number", [JSON_STRING] = "string",
        [JSON_ARRAY] = "array",    [JSON_OBJECT] = "object",
    };
    return names[type];
}

bool json_get_bool(const Json *json, bool *value)
{
    if (json == NULL || json->type != JSON_BOOL) {
        return false;
    }
    *value = json->boolean;
    return true;
}

bool json_get_int(const Json *json, int64_t *value)
{
    if (json == NULL || json->type != JSON_INT) {
        return false;
    }
    *value = json->i;
    return true;
}

bool json_get_uint(const Json *json, uint64_t *value)
{
    if (json == NULL || (json->type != JSON_UINT && (json->type != JSON_INT || json->i < 0))) {
        return false;
    }
    *value = json->type == JSON_UINT ? json->u : (uint64_t)json->i;
    return true;
}

bool json_get_double(const Json *json, double *value)
{
    if (json == NULL) {
        return false;
    }
    switch (json->type) {
    case JSON_INT:
        *value = json->i;
        return true;
    case JSON_UINT:
        *value = json->u;
        return true;
    case JSON_DOUBLE:
        *value = json->number;
        return true;
    default:
        return false;
    }
}

const char *json_text(const Json *json)
{
    return json != NULL && json->type == JSON_STRING ? json->text : NULL;
}

size_t json_length(const Json *json)
{
    switch (json != NULL ? json->type : JSON_NULL) {
    case JSON_ARRAY:
        return json->items->len;
    case JSON_OBJECT:
        return json->members->len;
    default:
        return 0;
    }
}

static Member *member(const Json *object, size_t index)
{
    return &g_array_index(object->members, Member, index);
}

Json *json_at(const Json *json, size_t index)
{
    return json->type == JSON_ARRAY ? g_ptr_array_index(json->items, index)
                                    : member(json, index)->value;
}

const char *json_key_at(const Json *object, size_t index)
{
    return member(object, index)->key;
}

/* The position of a member, or -1. */
static long find(const Json *object, const char *key)
{
    if (object->index != NULL) {
        return (long)GPOINTER_TO_SIZE(g_hash_table_lookup(object->index, key)) - 1;
    }
    for (size_t i = 0; i < object->members->len; i++) {
        if (strcmp(member(object, i)->key, key) == 0) {
            return i;
        }
    }
    return -1;
}

Json *json_get(const Json *object, const char *key)
{
    if (object == NULL || object->type != JSON_OBJECT) {
        return NULL;
    }
    long at = find(object, key);
    return at < 0 ? NULL : member(object, at)->value;
}

const char *json_get_text(const Json *object, const char *key)
{
    return json_text(json_get(object, key));
}

void json_append(Json *array, Json *value)
{
    g_ptr_array_add(array->items, value);
}

static void index_members(Json *object)
{
    g_clear_pointer(&object->index, g_hash_table_unref);
    if (object->members->len < INDEX_FROM) {
        return;
    }
    object->index = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < object->members->len; i++) {
        g_hash_table_insert(object->index, member(object, i)->key, GSIZE_TO_POINTER(i + 1));
    }
}

void json_set(Json *object, const char *key, Json *value)
{
    long at = find(object, key);

    if (at >= 0) {
        json_unref(member(object, at)->value);
        member(object, at)->value = value;
        return;
    }
    Member m = { g_strdup(key), value };
    g_array_append_val(object->members, m);
    if (object->index != NULL) {
        g_hash_table_insert(object->index, m.key, GSIZE_TO_POINTER(object->members->len));
    } else if (object->members->len >= INDEX_FROM) {
        index_members(object);
    }
}

bool json_remove(Json *object, const char *key)
{
    long at = find(object, key);

    if (at < 0) {
        return false;
    }
    g_array_remove_index(object->members, at);
    index_members(object);
    return true;
}

Json *json_shallow_copy(const Json *json)
{
    if (json->type != JSON_ARRAY && json->type != JSON_OBJECT) {
        return json_ref((Json *)json);
    }
    Json *copy = json->type == JSON_ARRAY ? json_array() : json_object();
    for (size_t i = 0; i < json_length(json); i++) {
        Json *value = json_ref(json_at(json, i));
        if (json->type == JSON_ARRAY) {
            json_append(copy, value);
        } else {
            json_set(copy, json_key_at(json, i), value);
        }
    }
    return copy;
}

static bool equal_members(const Json *a, const Json *b)
{
    if (json_length(a) != json_length(b)) {
        return false;
    }
    for (size_t i = 0; i < json_length(a); i++) {
        const Json *other = a->type == JSON_ARRAY ? json_at(b, i) : json_get(b, json_key_at(a, i));
        if (other == NULL || !json_equal(json_at(a, i), other)) {
            return false;
        }
    }
    return true;
}

bool json_equal(const Json *a, const Json *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->boolean == b->boolean;
    case JSON_INT:
    case JSON_UINT:
        return a->u == b->u;
    case JSON_DOUBLE:
        return a->number == b->number;
    case JSON_STRING:
        return strcmp(a->text, b->text) == 0;
    default:
        return equal_members(a, b);
    }
}

/* Output is pure ASCII, so that it survives any locale: the rest becomes \uXXXX pairs. */
static void print_string(GString *out, const char *text)
{
    static const char plain[] = "\"\\\b\f\n\r\t", named[] = "\"\\bfnrt";

    g_string_append_c(out, '"');
    for (const char *p = text, *next; *p != '\0'; p = next) {
        const char *escape = strchr(plain, *p);
        gunichar c = g_utf8_get_char_validated(p, -1);
        next = (gint32)c < 0 ? p + 1 : g_utf8_next_char(p);
        if (escape != NULL) {
            g_string_append_c(out, '\\');
            g_string_append_c(out, named[escape - plain]);
        } else if (c >= 0x20 && c < 0x7f) {
            g_string_append_c(out, c);
        } else if ((gint32)c < 0) { /* not UTF-8: one replacement character a byte */
            g_string_append(out, "\\uFFFD");
        } else if (c < 0x10000) {
            g_string_append_printf(out, "\\u%04X", c);
        } else {
            g_string_append_printf(out, "\\u%04X\\u%04X", 0xd800 + ((c - 0x10000) >> 10),
                                   0xdc00 + (c & 0x3ff));
        }
    }
    g_string_append_c(out, '"');
}

static void print_double(GString *out, double value)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(value)) { /* JSON has no word for these */
        g_string_append(out, "null");
        return;
    }
    g_string_append(out, g_ascii_formatd(buffer, sizeof(buffer), "%.17g", value));
}

static void new_line(GString *out, bool pretty, unsigned depth)
{
    if (pretty) {
        g_string_append_printf(out, "\n%*s", (int)depth * 4, "");
    }
}

static void print_value(GString *out, const Json *json, bool pretty, unsigned depth)
{
    bool object = json->type == JSON_OBJECT;

    switch (json->type) {
    case JSON_NULL:
        g_string_append(out, "null");
        return;
    case JSON_BOOL:
        g_string_append(out, json->boolean ? "true" : "false");
        return;
    case JSON_INT:
        g_string_append_printf(out, "%" PRId64, json->i);
        return;
    case JSON_UINT:
        g_string_append_printf(out, "%" PRIu64, json->u);
        return;
    case JSON_DOUBLE:
        print_double(out, json->number);
        return;
    case JSON_STRING:
        print_string(out, json->text);
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    g_string_append_c(out, object ? '{' : '[');
    for (size_t i = 0; i < json_length(json); i++) {
        g_string_append(out, i == 0 ? "" : pretty ? "," : ", ");
        new_line(out, pretty, depth + 1);
        if (object) {
            print_string(out, json_key_at(json, i));
            g_string_append(out, ": ");
        }
        print_value(out, json_at(json, i), pretty, depth + 1);
    }
    new_line(out, pretty, depth);
    g_string_append_c(out, object ? '}' : ']');
}

void json_print_to(GString *text, const Json *json, bool pretty)
{
    print_value(text, json, pretty, 0);
}

char *json_print(const Json *json, bool pretty)
{
    GString *text = g_string_new(NULL);

    json_print_to(text, json, pretty);
    return g_string_free(text, FALSE);
}
