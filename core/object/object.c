/* SPDX-License-Identifier: Apache-2.0 */
/* Objects: life, the tree, properties by name. */
#include <string.h>

#include "core/absent.h"
#include "core/object-internal.h"
#include "core/vm.h"
#include "util/error.h"
#include "util/rcu.h"
#include "util/suggest.h"

static const ObjectType object_type = {.name = "object", .size = sizeof(Object), .abstract = true};
OBJECT_TYPE(object_type);
static const ObjectType container_type = {.name = "container", .size = sizeof(Object)};
OBJECT_TYPE(container_type);

/* ---- life ---- */

static size_t type_size(const ObjectType *t)
{
    while (t && t->size == 0) {
        t = object_type_parent(t);
    }
    return t ? t->size : sizeof(Object);
}

static bool init_field(const Field *f, void *o)
{
    field_default(o, f);
    return false;
}

static void init_down(Object *o, const ObjectType *t)
{
    if (t) {
        init_down(o, object_type_parent(t));
        if (t->init) {
            t->init(o);
        }
    }
}

/* For the Vm, whose root object is not on the heap. */
void object_init(Object *o, Vm *vm, const ObjectType *type)
{
    o->type = type;
    o->vm = vm;
    o->refs = 1;
    object_type_fields(type, init_field, o);
    init_down(o, type);
}

Object *object_new(Vm *vm, const ObjectType *type)
{
    Object *o = g_malloc0(type_size(type));

    object_init(o, vm, type);
    return o;
}

void object_ref(Object *o)
{
    __atomic_add_fetch(&o->refs, 1, __ATOMIC_RELAXED);
}

static bool free_field(const Field *f, void *o)
{
    field_free(o, f);
    return false;
}

static void property_free(void *data)
{
    Property *p = data;

    if (p->free_data) {
        p->free_data(p->data);
    }
    g_free(p->name);
    g_free(p->type_name);
    g_free(p->desc);
    g_free(p);
}

static void remove_children(Object *o)
{
    while (o->child_list && o->child_list->len) {
        object_remove(o->child_list->pdata[o->child_list->len - 1]);
    }
}

static void notify_destroyed(Object *o)
{
    /* A listener may take others off the list. */
    while (o->destroyed) {
        ObjectListener *l = o->destroyed->data;
        o->destroyed = g_slist_delete_link(o->destroyed, o->destroyed);
        l->fn(l, o);
    }
}

/* Everything but the struct itself. */
void object_finish(Object *o)
{
    remove_children(o);
    notify_destroyed(o);
    for (const ObjectType *t = o->type; t; t = object_type_parent(t)) {
        if (t->finish) {
            t->finish(o);
        }
    }
    object_type_fields(o->type, free_field, o);
    g_clear_pointer(&o->children, g_hash_table_destroy);
    g_clear_pointer(&o->child_list, g_ptr_array_unref);
    g_clear_pointer(&o->dynamic, g_ptr_array_unref);
    g_clear_pointer(&o->name, g_free);
}

void object_unref(Object *o)
{
    if (o && __atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        object_finish(o);
        g_free(o);
    }
}

void object_listen(Object *o, ObjectListener *listener)
{
    o->destroyed = g_slist_append(o->destroyed, listener);
}

void object_unlisten(Object *o, ObjectListener *listener)
{
    o->destroyed = g_slist_remove(o->destroyed, listener);
}

/* ---- the tree ---- */

static char *free_name(Object *parent, const char *name)
{
    if (!g_str_has_suffix(name, "[*]")) {
        return g_strdup(name);
    }
    for (unsigned i = 0;; i++) {
        char *numbered = g_strdup_printf("%.*s[%u]", (int)strlen(name) - 3, name, i);
        if (!g_hash_table_contains(parent->children, numbered)) {
            return numbered;
        }
        g_free(numbered);
    }
}

void object_add_child(Object *parent, const char *name, Object *child)
{
    g_assert(!child->parent);
    if (!parent->children) {
        parent->children = g_hash_table_new(g_str_hash, g_str_equal);
        parent->child_list = g_ptr_array_new();
    }
    child->name = free_name(parent, name);
    if (g_hash_table_contains(parent->children, child->name)) {
        g_error("object '%s' has a child '%s' already", parent->type->name, child->name);
    }
    child->parent = parent;
    g_hash_table_insert(parent->children, child->name, child);
    g_ptr_array_add(parent->child_list, child);
}

static void unref_now(void *o)
{
    object_unref(o);
}

static void unref_home(void *o)
{
    loop_post(((Object *)o)->vm->loop, unref_now, o);
}

/* vCPUs may be inside a device or region that they found before it went. */
static void unref_after_readers(Object *o)
{
    if (!o->vm->freeing && (object_is_a(o, "device") || object_is_a(o, "memory-region"))) {
        rcu_free(o, unref_home);
    } else {
        object_unref(o);
    }
}

void object_remove(Object *o)
{
    Object *parent = o->parent;

    if (!parent) {
        return;
    }
    for (const ObjectType *t = o->type; t; t = object_type_parent(t)) {
        if (t->removing) {
            t->removing(o);
        }
    }
    remove_children(o);
    notify_destroyed(o);
    g_hash_table_remove(parent->children, o->name);
    g_ptr_array_remove(parent->child_list, o);
    o->parent = NULL;
    g_clear_pointer(&o->name, g_free);
    unref_after_readers(o);
}

Object *object_child(Object *parent, const char *name)
{
    return parent->children ? g_hash_table_lookup(parent->children, name) : NULL;
}

Object *object_walk(Object *top, bool (*fn)(Object *o, void *data), void *data)
{
    if (fn(top, data)) {
        return top;
    }
    for (unsigned i = 0; top->child_list && i < top->child_list->len; i++) {
        Object *found = object_walk(top->child_list->pdata[i], fn, data);
        if (found) {
            return found;
        }
    }
    return NULL;
}

char *object_path(Object *o)
{
    GString *path = g_string_new(NULL);

    for (; o->parent; o = o->parent) {
        g_string_prepend(path, o->name);
        g_string_prepend_c(path, '/');
    }
    if (path->len == 0) {
        g_string_append_c(path, '/');
    }
    return g_string_free(path, FALSE);
}

bool object_is_a(Object *o, const char *type)
{
    return object_type_is_a(o->type, type);
}

/* Follows child names, and links where a part names one. */
static Object *descend(Object *o, char **parts)
{
    for (; o && *parts; parts++) {
        if (!**parts) {
            continue;
        }
        Object *child = object_child(o, *parts);
        const Field *f = child ? NULL : object_type_field(o->type, *parts);
        if (f && (f->kind == FIELD_LINK || f->type == PROP_LINK)) {
            child = *(Object **)((char *)o + f->offset);
        }
        o = child;
    }
    return o;
}

typedef struct Search {
    char **parts;
    const char *type;
    Object *found;
    bool several;
} Search;

static bool match_partial(Object *o, void *data)
{
    Search *s = data;
    Object *hit = o->parent || o->children ? descend(o, s->parts) : NULL;

    if (hit && hit != o && (!s->type || object_is_a(hit, s->type)) && hit != s->found) {
        s->several |= s->found != NULL;
        s->found = hit;
    }
    return false;
}

Object *object_resolve(Vm *vm, const char *path, const char *type, bool *ambiguous)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    Object *o;

    if (ambiguous) {
        *ambiguous = false;
    }
    if (*path == '/') {
        o = descend(&vm->root, parts);
        return o && (!type || object_is_a(o, type)) ? o : NULL;
    }
    if (!*path) {
        return NULL;
    }
    /* An id of the user's comes before other objects that happen to have the name. */
    Object *homes[] = {vm->objects, vm->peripheral, vm->chardevs};
    for (unsigned i = 0; i < G_N_ELEMENTS(homes); i++) {
        o = homes[i] ? descend(homes[i], parts) : NULL;
        if (o && (!type || object_is_a(o, type))) {
            return o;
        }
    }
    Search s = {.parts = parts, .type = type};
    object_walk(&vm->root, match_partial, &s);
    if (s.several) {
        if (ambiguous) {
            *ambiguous = true;
        }
        return NULL;
    }
    return s.found;
}

/* ---- properties by name ---- */

void object_add_property(Object *o, Property *p)
{
    if (!o->dynamic) {
        o->dynamic = g_ptr_array_new_with_free_func(property_free);
    }
    Property *copy = g_memdup2(p, sizeof(*p));
    copy->name = g_strdup(p->name);
    copy->type_name = g_strdup(p->type_name);
    copy->desc = g_strdup(p->desc);
    g_ptr_array_add(o->dynamic, copy);
}

static Property *find_dynamic(Object *o, const char *name)
{
    for (unsigned i = 0; o->dynamic && i < o->dynamic->len; i++) {
        Property *p = o->dynamic->pdata[i];
        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
    return NULL;
}

static void collect_name(const char *name, const char *type, const char *desc, const char *dflt,
                         void *data)
{
    g_ptr_array_add(data, g_strdup(name));
}

static bool not_found(Object *o, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    object_properties(o->type, o, collect_name, names);
    g_ptr_array_add(names, NULL);
    error_set(error, "Property '%s.%s' not found", o->type->name, name);
    suggest_append(error, name, (const char *const *)names->pdata);
    return false;
}

/* The object that has the property, if it is not o itself. */
static Object *wrapped(Object *o, const char *name)
{
    Object *inner = o->type->wraps ? object_child(o, "virtio-backend") : NULL;

    return inner && (object_type_field(inner->type, name) || find_dynamic(inner, name)) ? inner : NULL;
}

bool object_set(Object *o, const char *name, const PropValue *v, GError **error)
{
    const Field *f = object_type_field(o->type, name);
    Property *p = f ? NULL : find_dynamic(o, name);
    Object *inner = f || p ? NULL : wrapped(o, name);

    if (f) {
        return field_set(o, f, v, error);
    }
    if (inner) {
        return object_set(inner, name, v, error);
    }
    if (!p) {
        return not_found(o, name, error);
    }
    if (!p->set) {
        return error_set(error, "property '%s.%s' cannot be set", o->type->name, name);
    }
    return p->set(o, p, v, error);
}

bool object_set_string(Object *o, const char *name, const char *value, GError **error)
{
    PropValue v = {.kind = VALUE_STRING, .s = (char *)value};

    return object_set(o, name, &v, error);
}

bool object_get(Object *o, const char *name, PropValue *out, GError **error)
{
    const Field *f = object_type_field(o->type, name);
    Property *p = f ? NULL : find_dynamic(o, name);

    if (f) {
        return field_get(o, f, out, error);
    }
    if (p && p->get) {
        return p->get(o, p, out, error);
    }
    if (p) {
        return error_set(error, "property '%s.%s' cannot be read", o->type->name, name);
    }
    if (strcmp(name, "type") == 0) {
        *out = (PropValue){.kind = VALUE_STRING, .s = g_strdup(o->type->name)};
        return true;
    }
    if (wrapped(o, name)) {
        return object_get(wrapped(o, name), name, out, error);
    }
    Object *child = object_child(o, name);
    if (child) {
        *out = (PropValue){.kind = VALUE_STRING, .s = object_path(child)};
        return true;
    }
    return not_found(o, name, error);
}

typedef struct Enumerate {
    void (*fn)(const char *, const char *, const char *, const char *, void *);
    void *data;
} Enumerate;

static bool enumerate_field(const Field *f, void *data)
{
    Enumerate *e = data;

    if (f->kind == FIELD_PROP || f->kind == FIELD_LINK) {
        g_autofree char *type = field_type_name(f);
        g_autofree char *dflt = f->required ? NULL : field_default_text(f);
        e->fn(f->name, type, f->desc, dflt, e->data);
    }
    return false;
}

void object_properties(const ObjectType *t, Object *o,
                       void (*fn)(const char *name, const char *type, const char *desc,
                                  const char *dflt, void *data), void *data)
{
    Enumerate e = {fn, data};

    object_type_fields(t, enumerate_field, &e);
    if (t->wraps) {
        object_properties(object_type_find(t->wraps), o ? object_child(o, "virtio-backend") : NULL, fn,
                          data);
    }
    for (unsigned i = 0; o && o->dynamic && i < o->dynamic->len; i++) {
        Property *p = o->dynamic->pdata[i];
        fn(p->name, p->type_name, p->desc, NULL, data);
    }
}

/* ---- completion, -object ---- */

static bool is_missing(const Field *f, void *data)
{
    Object *o = data;
    char zero[16] = {0};

    return f->required && memcmp((char *)o + f->offset, zero, MIN(f->size, sizeof(zero))) == 0;
}

bool object_complete(Object *o, GError **error)
{
    const Field *missing = object_type_fields(o->type, is_missing, o);

    if (missing) {
        return error_set(error, "%s: property '%s' is required%s%s", o->type->name, missing->name,
                         missing->desc ? ": " : "", missing->desc ? missing->desc : "");
    }
    const ObjectType *t = o->type;
    while (t && !t->complete) {
        t = object_type_parent(t);
    }
    if (t && !t->complete(o, error)) {
        return false;
    }
    o->complete = true;
    return true;
}

typedef struct UserSearch {
    Object *target, *self;
} UserSearch;

static bool links_to(const Field *f, void *data)
{
    UserSearch *s = data;

    return (f->kind == FIELD_LINK || (f->kind == FIELD_PROP && f->type == PROP_LINK)) &&
           *(Object **)((char *)s->self + f->offset) == s->target;
}

static bool uses(Object *o, void *data)
{
    UserSearch s = {.target = data, .self = o};

    return o != data && object_type_fields(o->type, links_to, &s);
}

Object *object_user(Object *o)
{
    return object_walk(&o->vm->root, uses, o);
}

static void collect_creatable(const ObjectType *t, void *names)
{
    if (t->user_creatable && !t->abstract) {
        g_ptr_array_add(names, (void *)t->name);
    }
}

static bool id_ok(const char *id)
{
    if (!g_ascii_isalpha(*id)) {
        return false;
    }
    for (; *id; id++) {
        if (!g_ascii_isalnum(*id) && !strchr("-._", *id)) {
            return false;
        }
    }
    return true;
}

Object *object_add_user(Vm *vm, const char *type_name, const char *id, const char *const *props,
                        GError **error)
{
    const ObjectType *type = object_type_find(type_name);

    if (!type || !type->user_creatable || type->abstract) {
        if (absent_error(error, ABSENT_OBJECT, type_name)) {
            return NULL;
        }
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        object_type_foreach(collect_creatable, names);
        g_ptr_array_add(names, NULL);
        error_set(error, type ? "object type '%s' is not for -object or object-add"
                              : "invalid object type: %s", type_name);
        suggest_append(error, type_name, (const char *const *)names->pdata);
        return NULL;
    }
    if (!id || !id_ok(id)) {
        error_set(error, id ? "'%s' is not a valid id: letters, digits, '-', '.' and '_', "
                              "beginning with a letter" : "an object needs an id", id);
        return NULL;
    }
    if (object_child(vm->objects, id)) {
        error_set(error, "there is an object with id '%s' already", id);
        return NULL;
    }
    Object *o = object_new(vm, type);
    /* In the tree before its properties are set, so that they may add children. */
    object_add_child(vm->objects, id, o);
    for (; props && *props; props += 2) {
        if (!object_set_string(o, props[0], props[1], error)) {
            object_remove(o);
            return NULL;
        }
    }
    if (!object_complete(o, error)) {
        object_remove(o);
        return NULL;
    }
    return o;
}

bool object_del_user(Vm *vm, const char *id, GError **error)
{
    Object *o = object_child(vm->objects, id);

    if (!o) {
        return error_set(error, "object '%s' not found", id);
    }
    Object *user = object_user(o);
    if (user) {
        g_autofree char *path = object_path(user);
        return error_set(error, "object '%s' is in use by %s, can not be deleted", id, path);
    }
    for (const ObjectType *t = o->type; t; t = object_type_parent(t)) {
        if (t->can_delete) {
            if (!t->can_delete(o, error)) {
                return false;
            }
            break;
        }
    }
    object_remove(o);
    return true;
}
