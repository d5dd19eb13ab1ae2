/* SPDX-License-Identifier: Apache-2.0 */
/* The command line's "key=value,…" syntax, read into a JSON tree whose scalars are strings. */
#include <string.h>

#include "qapi/keyval.h"
#include "util/error.h"

/* Cuts the next element off the text: up to a single comma, two commas becoming one. */
static char *next_element(const char **text)
{
    GString *element = g_string_new(NULL);
    const char *p = *text;

    while (*p != '\0' && (*p != ',' || p[1] == ',')) {
        p += *p == ',';
        g_string_append_c(element, *p++);
    }
    *text = p + (*p == ',');
    return g_string_free(element, FALSE);
}

static bool valid_part(const char *part)
{
    size_t index = strspn(part, "0123456789");

    if (index > 0) {
        return part[index] == '\0' && index < 10;
    }
    return *part != '\0' &&
           part[strspn(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:")] ==
               '\0';
}

static bool put_path(Json *root, const char *key, const char *value, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);
    Json *object = root;

    for (char **part = parts; *part != NULL; part++) {
        if (!valid_part(*part)) {
            return error_set(error, "Invalid parameter '%s'", key);
        }
        Json *old = json_get(object, *part);
        bool leaf = part[1] == NULL;
        if (old != NULL && leaf != (json_type(old) != JSON_OBJECT)) {
            return error_set(error, "Parameters '%s' and '%s.*' exclude each other", key,
                             leaf ? key : *part);
        }
        if (leaf) {
            json_set(object, *part, json_string(value));
        } else if (old == NULL) {
            old = json_object();
            json_set(object, *part, old);
        }
        object = old;
    }
    return true;
}

/* A repeated key collects its values in an array. */
static void put_legacy(Json *root, const char *key, const char *value)
{
    Json *old = json_get(root, key);

    if (old == NULL) {
        json_set(root, key, json_string(value));
    } else if (json_type(old) == JSON_ARRAY) {
        json_append(old, json_string(value));
    } else {
        Json *array = json_array();
        json_append(array, json_ref(old));
        json_append(array, json_string(value));
        json_set(root, key, array);
    }
}

static bool put(Json *root, const char *key, const char *value, KeyvalFlags flags, GError **error)
{
    if (strcmp(key, "?") == 0) {
        key = "help";
    }
    if (flags & KEYVAL_LEGACY) {
        put_legacy(root, key, value);
        return true;
    }
    return put_path(root, key, value, error);
}

/* An element without '='. */
static bool put_bare(Json *root, const char *key, KeyvalFlags flags, GError **error)
{
    if ((flags & KEYVAL_LEGACY) && strncmp(key, "no", 2) == 0 && key[2] != '\0') {
        return put(root, key + 2, "off", flags, error);
    }
    return put(root, key, "on", flags, error);
}

static bool is_index(const char *key, size_t *index)
{
    *index = g_ascii_strtoull(key, NULL, 10);
    return g_ascii_isdigit(*key);
}

/* Turns objects whose members are all numbers into arrays; takes over `json`, may return NULL. */
static Json *make_lists(Json *json, const char *name, GError **error)
{
    size_t count = json_length(json), numbered = 0, index;

    if (json_type(json) != JSON_OBJECT) {
        return json;
    }
    g_autoptr(Json) object = json;
    g_autoptr(Json) result = json_object();
    g_autofree Json **items = g_new0(Json *, count + 1);
    for (size_t i = 0; i < count; i++) {
        const char *key = json_key_at(object, i);
        Json *value = make_lists(json_ref(json_at(object, i)), key, error);
        if (value == NULL) {
            return NULL;
        }
        json_set(result, key, value);
        if (is_index(key, &index)) {
            numbered++;
            if (index < count) {
                items[index] = value;
            }
        }
    }
    if (numbered == 0) {
        return g_steal_pointer(&result);
    }
    g_autoptr(Json) array = json_array();
    for (size_t i = 0; i < count; i++) {
        if (numbered < count || items[i] == NULL || *name == '\0') {
            error_set(error, "Parameter '%s%s%zu' is missing in the list '%s'", name,
                      *name == '\0' ? "" : ".", i, name);
            return NULL;
        }
        json_append(array, json_ref(items[i]));
    }
    return g_steal_pointer(&array);
}

Json *keyval_parse(const char *text, const char *implied, KeyvalFlags flags, GError **error)
{
    g_autoptr(Json) root = json_object();

    while (*text != '\0') {
        /* Only '=' in the element's key part counts, and keys have no commas. */
        size_t key_length = strcspn(text, "=,");
        g_autofree char *element = next_element(&text);
        bool bare = key_length >= strlen(element) || element[key_length] != '=';
        bool ok;
        if (bare && implied != NULL && strcmp(element, "help") != 0 && strcmp(element, "?") != 0) {
            ok = put(root, implied, element, flags, error);
        } else if (bare) {
            ok = *element != '\0' ? put_bare(root, element, flags, error)
                                  : error_set(error, "Expected a parameter before ','");
        } else {
            element[key_length] = '\0';
            ok = *element != '\0' ? put(root, element, element + key_length + 1, flags, error)
                                  : error_set(error, "Expected a parameter name before '='");
        }
        if (!ok) {
            return NULL;
        }
        implied = NULL;
    }
    return make_lists(g_steal_pointer(&root), "", error);
}

Json *keyval_or_json(const char *text, const char *implied, KeyvalFlags flags, bool *is_json,
                     GError **error)
{
    const char *start = text + strspn(text, " \t\r\n");

    *is_json = *start == '{';
    return *is_json ? json_parse(start, error) : keyval_parse(text, implied, flags, error);
}
