/* SPDX-License-Identifier: Apache-2.0 */
/* query-qmp-schema: the tables of commands, events and types as QEMU's SchemaInfo.
 *
 * Names of types are no part of the interface, so they are numbers, in order of first use; clients
 * find what they look for by the path command/member/member. All integers are one type. */
#include "qapi/command.h"
#include "qapi/event.h"

typedef struct Walk {
    Json *schema;
    GHashTable *names;  /* QapiType -> char * */
    GHashTable *lists;  /* names of list types */
    GPtrArray *pending; /* of QapiType, named but not yet described */
    unsigned next;
} Walk;

/* Commands and events without arguments have this type. */
static const QapiMember no_members[] = { { NULL } };
static const QapiType empty_type = {
    .name = "q_empty", .kind = QAPI_STRUCT, .members = no_members, .tag = -1,
};

static const QapiType *canonical(const QapiType *type)
{
    switch (type->kind) {
    case QAPI_INT:
    case QAPI_UINT:
    case QAPI_SIZE:
        return &qapi_int_type;
    default:
        return type;
    }
}

static const char *json_type_of(const QapiType *type)
{
    static const char *const names[] = {
        [QAPI_STR] = "string", [QAPI_BOOL] = "boolean", [QAPI_INT] = "int",
        [QAPI_NUMBER] = "number", [QAPI_NULL] = "null", [QAPI_ANY] = "value",
    };
    return (size_t)type->kind < G_N_ELEMENTS(names) ? names[type->kind] : NULL;
}

/* The type's name; a new type is put on the list of those to be described. */
static const char *name_of(Walk *w, const QapiType *type)
{
    type = type != NULL ? canonical(type) : &empty_type;
    char *name = g_hash_table_lookup(w->names, type);
    if (name != NULL) {
        return name;
    }
    if (type->kind == QAPI_LIST) {
        name = g_strdup_printf("[%s]", name_of(w, type->element));
    } else if (json_type_of(type) != NULL) {
        name = g_strdup(type->name);
    } else {
        name = g_strdup_printf("%u", w->next++);
    }
    g_hash_table_insert(w->names, (gpointer)type, name);
    if (type->kind != QAPI_LIST || g_hash_table_add(w->lists, name)) {
        g_ptr_array_add(w->pending, (gpointer)type);    /* lists of all integers are one, too */
    }
    return name;
}

static Json *info(Walk *w, const char *name, const char *meta, const char *const *features)
{
    Json *object = json_object();

    json_set_text(object, "name", name);
    json_set_text(object, "meta-type", meta);
    if (features != NULL) {
        Json *array = json_array();
        for (; *features != NULL; features++) {
            json_append(array, json_string(*features));
        }
        json_set(object, "features", array);
    }
    json_append(w->schema, object);
    return object;
}

static void add_commands(Walk *w)
{
    for (const QapiCommand *c = qapi_commands; c->name != NULL; c++) {
        Json *object = info(w, c->name, "command", c->features);
        json_set_text(object, "arg-type", name_of(w, c->args));
        json_set_text(object, "ret-type", name_of(w, c->returns));
        if (c->flags & QAPI_OOB) {
            json_set(object, "allow-oob", json_bool(true));
        }
    }
}

static void add_events(Walk *w)
{
    for (const QapiEvent *e = qapi_events; e->name != NULL; e++) {
        Json *object = info(w, e->name, "event", e->features);
        json_set_text(object, "arg-type", name_of(w, e->args));
    }
}

static void add_enum(Walk *w, const QapiType *type, const char *name)
{
    Json *object = info(w, name, "enum", type->features);
    Json *members = json_array(), *values = json_array();

    for (const char *const *v = type->values; *v != NULL; v++) {
        Json *member = json_object();
        json_set_text(member, "name", *v);
        json_append(members, member);
        json_append(values, json_string(*v));
    }
    json_set(object, "members", members);
    json_set(object, "values", values);
}

static Json *member_info(Walk *w, const QapiMember *m)
{
    Json *object = json_object();

    json_set_text(object, "name", m->name);
    json_set_text(object, "type", name_of(w, m->type));
    if (m->optional) {
        json_set(object, "default", json_null());
    }
    if (m->features != NULL) {
        Json *features = json_array();
        for (const char *const *f = m->features; *f != NULL; f++) {
            json_append(features, json_string(*f));
        }
        json_set(object, "features", features);
    }
    return object;
}

static const QapiBranch *branch_for(const QapiType *type, int value)
{
    for (const QapiBranch *b = type->branches; b->name != NULL; b++) {
        if (b->value == value) {
            return b;
        }
    }
    return NULL;
}

/* Every value of the tag has a variant; those without members the empty type. */
static Json *variants(Walk *w, const QapiType *type)
{
    const char *const *values = type->members[type->tag].type->values;
    Json *array = json_array();

    for (int i = 0; values[i] != NULL; i++) {
        const QapiBranch *b = branch_for(type, i);
        Json *variant = json_object();
        json_set_text(variant, "case", values[i]);
        json_set_text(variant, "type", name_of(w, b != NULL ? b->type : NULL));
        json_append(array, variant);
    }
    return array;
}

static void add_object(Walk *w, const QapiType *type, const char *name)
{
    Json *object = info(w, name, "object", type->features), *members = json_array();

    for (const QapiMember *m = type->members; m->name != NULL; m++) {
        json_append(members, member_info(w, m));
    }
    json_set(object, "members", members);
    if (type->tag >= 0) {
        json_set_text(object, "tag", type->members[type->tag].name);
        json_set(object, "variants", variants(w, type));
    }
}

static void add_alternate(Walk *w, const QapiType *type, const char *name)
{
    Json *members = json_array();

    for (const QapiBranch *b = type->branches; b->name != NULL; b++) {
        Json *member = json_object();
        json_set_text(member, "type", name_of(w, b->type));
        json_append(members, member);
    }
    json_set(info(w, name, "alternate", type->features), "members", members);
}

static void add_type(Walk *w, const QapiType *type)
{
    const char *name = g_hash_table_lookup(w->names, type);

    switch (type->kind) {
    case QAPI_ENUM:
        add_enum(w, type, name);
        break;
    case QAPI_STRUCT:
        add_object(w, type, name);
        break;
    case QAPI_ALTERNATE:
        add_alternate(w, type, name);
        break;
    case QAPI_LIST:
        json_set_text(info(w, name, "array", NULL), "element-type", name_of(w, type->element));
        break;
    default:
        json_set_text(info(w, name, "builtin", NULL), "json-type", json_type_of(type));
        break;
    }
}

Json *qapi_introspect(void)
{
    Walk w = {
        .schema = json_array(),
        .names = g_hash_table_new_full(NULL, NULL, NULL, g_free),
        .lists = g_hash_table_new(g_str_hash, g_str_equal),
        .pending = g_ptr_array_new(),
    };

    name_of(&w, NULL); /* "0" is the empty object */
    add_commands(&w);
    add_events(&w);
    for (size_t i = 0; i < w.pending->len; i++) {
        add_type(&w, g_ptr_array_index(w.pending, i));
    }
    g_ptr_array_unref(w.pending);
    g_hash_table_unref(w.lists);
    g_hash_table_unref(w.names);
    return w.schema;
}
