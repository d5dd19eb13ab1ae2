/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of types: constant tables gathered by the linker, indexed once. */
#include <pthread.h>
#include <string.h>

#include "core/object.h"

extern const ObjectType *const __start_myna_types[] __attribute__((weak));
extern const ObjectType *const __stop_myna_types[] __attribute__((weak));
extern const ObjectType *const __start_myna_devices[] __attribute__((weak));
extern const ObjectType *const __stop_myna_devices[] __attribute__((weak));

/* Built at the first look-up and never changed after. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static GHashTable *by_name;         /* name -> const ObjectType * */
static GHashTable *device_types;    /* set of those entered with DEVICE_TYPE */

static void index_types(void)
{
    by_name = g_hash_table_new(g_str_hash, g_str_equal);
    device_types = g_hash_table_new(NULL, NULL);
    for (const ObjectType *const *t = __start_myna_types; t < __stop_myna_types; t++) {
        g_hash_table_insert(by_name, (void *)(*t)->name, (void *)*t);
    }
    for (const ObjectType *const *t = __start_myna_devices; t < __stop_myna_devices; t++) {
        g_hash_table_insert(by_name, (void *)(*t)->name, (void *)*t);
        g_hash_table_add(device_types, (void *)*t);
    }
}

const ObjectType *object_type_find(const char *name)
{
    pthread_once(&once, index_types);
    return g_hash_table_lookup(by_name, name);
}

static int by_type_name(const void *a, const void *b)
{
    return strcmp((*(const ObjectType *const *)a)->name, (*(const ObjectType *const *)b)->name);
}

void object_type_foreach(void (*fn)(const ObjectType *, void *data), void *data)
{
    pthread_once(&once, index_types);
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GHashTableIter i;
    void *type;
    for (g_hash_table_iter_init(&i, by_name); g_hash_table_iter_next(&i, NULL, &type);) {
        g_ptr_array_add(all, type);
    }
    g_ptr_array_sort(all, by_type_name);
    for (unsigned n = 0; n < all->len; n++) {
        fn(all->pdata[n], data);
    }
}

static const char *parent_name(const ObjectType *t)
{
    if (t->parent) {
        return t->parent;
    }
    if (strcmp(t->name, "object") == 0) {
        return NULL;
    }
    if (g_hash_table_contains(device_types, t)) {
        return strcmp(t->name, "device") == 0 ? "object" : "device";
    }
    if (g_str_has_suffix(t->name, "-machine")) {
        return "machine";
    }
    return g_str_has_suffix(t->name, "-accel") ? "accel" : "object";
}

const ObjectType *object_type_parent(const ObjectType *t)
{
    pthread_once(&once, index_types);
    const char *name = parent_name(t);
    return name ? object_type_find(name) : NULL;
}

bool object_type_is_a(const ObjectType *t, const char *ancestor)
{
    for (; t; t = object_type_parent(t)) {
        if (strcmp(t->name, ancestor) == 0) {
            return true;
        }
        for (const char *const *i = t->interfaces; i && *i; i++) {
            if (strcmp(*i, ancestor) == 0) {
                return true;
            }
        }
    }
    return false;
}

const Field *object_type_fields(const ObjectType *t, bool (*fn)(const Field *, void *), void *data)
{
    if (!t) {
        return NULL;
    }
    const Field *found = object_type_fields(object_type_parent(t), fn, data);
    for (unsigned i = 0; !found && i < t->n_fields; i++) {
        if (fn(&t->fields[i], data)) {
            found = &t->fields[i];
        }
    }
    return found;
}

const Field *object_type_field(const ObjectType *t, const char *name)
{
    for (; t; t = object_type_parent(t)) {
        for (unsigned i = 0; i < t->n_fields; i++) {
            const Field *f = &t->fields[i];
            if ((f->kind == FIELD_PROP || f->kind == FIELD_LINK) && strcmp(f->name, name) == 0) {
                return f;
            }
        }
    }
    return NULL;
}
