/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object model: typed objects in one tree per Vm, with properties. What QMP's qom-* shows.
 *
 * A type is a constant table registered through a linker section; there are no constructors and no
 * initialisation order. Properties come from rows (Field) or are added at run time. A parent owns
 * its children. Home: the control thread.
 */
#ifndef CORE_OBJECT_H
#define CORE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

typedef struct Object Object;
typedef struct ObjectType ObjectType;
typedef struct Property Property;
typedef struct PropValue PropValue;
typedef struct Vm Vm;
struct Device;

/* What a row of a type's table says of one member of the object's struct. */
typedef enum FieldKind {
    FIELD_PROP,         /* set by the user; checked; shown in help */
    FIELD_SAVED,        /* guest-visible state: saved, reset to `init` */
    FIELD_LINK,         /* another object */
    FIELD_IRQ,          /* output pin(s) */
    FIELD_TIMER,        /* saved as its deadline */
    FIELD_HOST,         /* rebuilt by restored(); named so that nothing is forgotten */
    FIELD_BUFFER,       /* saved bytes behind a pointer */
    FIELD_BYTES,        /* saved GBytes *, of any length */
    FIELD_REG,          /* implied by a register row */
} FieldKind;

typedef enum PropType {
    PROP_NONE, PROP_BOOL, PROP_U8, PROP_U16, PROP_U32, PROP_U64, PROP_I32, PROP_I64,
    PROP_SIZE,          /* uint64_t; "1G" */
    PROP_STRING,        /* char *, owned */
    PROP_ENUM,          /* int; names in .names */
    PROP_ON_OFF_AUTO,   /* int: 0 auto, 1 on, 2 off */
    PROP_MAC,           /* uint8_t[6] */
    PROP_UUID,          /* uint8_t[16] */
    PROP_LINK,          /* Object *: value is an id or path; .link_type its type */
    PROP_CHARDEV, PROP_NETDEV, PROP_DRIVE, PROP_AUDIODEV,   /* void *: looked up by id through the Vm's services */
    PROP_BIT,           /* uint32_t/uint64_t flag word: .bit */
} PropType;

typedef struct Field {
    const char *name;           /* property name as typed, or the member's name */
    const char *member;         /* C member name */
    uint16_t kind, type;
    uint32_t offset, size, count, stride;
    uint64_t init;              /* default of a property, reset value of saved state */
    const char *init_string;
    const char *desc;
    const char *const *names;   /* PROP_ENUM */
    const char *link_type;
    uint8_t bit;
    bool required;
    bool keep;                  /* SAVED: reset leaves it alone (battery-backed) */
    bool boolean;               /* SAVED: a bool, which must be 0 or 1 whatever a state says */
    void (*fired)(struct Device *);         /* FIELD_TIMER */
    /* Called after a property was set at run time (qom-set); NULL: frozen once realized. */
    bool (*changed)(Object *, const struct Field *, GError **error);
} Field;

struct ObjectType {
    const char *name;
    const char *parent;         /* parent type's name; NULL: "object" ("device" for devices) */
    const char *desc;
    size_t size;
    bool abstract;
    bool user_creatable;        /* -object / object-add */
    const Field *fields;
    unsigned n_fields;
    /* Instances own a child "virtio-backend" of this type, whose properties are also theirs: a device
     * behind a transport. NULL: none. */
    const char *wraps;
    const char *const *interfaces;          /* NULL-terminated names */
    void (*init)(Object *);                 /* after defaults are in place */
    bool (*complete)(Object *, GError **error);     /* -object: all properties set */
    void (*finish)(Object *);               /* release what init/complete acquired */
    bool (*can_delete)(Object *, GError **error);
    void (*removing)(Object *); /* leaves the tree: stop using others (devices unrealize) */
};

struct Object {
    const ObjectType *type;
    Object *parent;
    char *name;                 /* in its parent */
    GHashTable *children;       /* name -> Object *, NULL until used; insertion order in child_list */
    GPtrArray *child_list;
    GPtrArray *dynamic;         /* Property *, added at run time */
    GSList *destroyed;          /* ObjectListener * */
    Vm *vm;
    int refs;                   /* atomic */
    bool complete;              /* properties are set; those without .changed are frozen */
};

/* Embedded in the struct of whoever must know of an object's end. Called once, on the control
 * thread, when the object leaves the tree; the listener is unlinked before. */
typedef struct ObjectListener {
    void (*fn)(struct ObjectListener *listener, Object *gone);
} ObjectListener;
void object_listen(Object *o, ObjectListener *listener);
void object_unlisten(Object *o, ObjectListener *listener);

/* A type's entry in the registry. A type without .parent descends from "object"; entered with
 * DEVICE_TYPE from "device"; named *-machine from "machine", *-accel from "accel".
 * Along the line of parents: init runs from the ancestor down, finish and removing from the type up,
 * complete and can_delete are the nearest one's; rows add up. */
#define OBJECT_TYPE(t)                                                                              \
    static const ObjectType *const t##_type_entry                                                          \
        __attribute__((used, retain, section("myna_types"))) = (const ObjectType *)&t

const ObjectType *object_type_find(const char *name);
void object_type_foreach(void (*fn)(const ObjectType *, void *data), void *data);
const ObjectType *object_type_parent(const ObjectType *t);      /* NULL for "object" */
bool object_type_is_a(const ObjectType *t, const char *ancestor_or_interface);
/* Rows of the type and its ancestors, the ancestor's first; stops and returns it when fn does. */
const Field *object_type_fields(const ObjectType *t, bool (*fn)(const Field *f, void *data), void *data);
const Field *object_type_field(const ObjectType *t, const char *property);
/* "bool", "uint32", "size", "OnOffAuto", "link<T>" …; the caller frees. */
char *field_type_name(const Field *f);

Object *object_new(Vm *vm, const ObjectType *type);             /* refs 1, no parent */
void object_ref(Object *o);
void object_unref(Object *o);
/* The parent takes the caller's reference. name may end in "[*]" for the next free number. */
void object_add_child(Object *parent, const char *name, Object *child);
void object_remove(Object *o);                                  /* from its parent; drops its reference */
Object *object_child(Object *parent, const char *name);
/* Depth first, parents before children; stops when fn returns true, and returns that object. */
Object *object_walk(Object *top, bool (*fn)(Object *o, void *data), void *data);
char *object_path(Object *o);                                   /* "/machine/unattached/device[3]" */
Object *object_resolve(Vm *vm, const char *path, const char *type, bool *ambiguous);
bool object_is_a(Object *o, const char *type);

/* Run-time properties (memory regions' sizes, links, aliases …). Strings are copied. Structured
 * values travel as JSON text. */
struct Property {
    char *name, *type_name, *desc;
    bool (*get)(Object *, Property *, PropValue *out, GError **error);
    bool (*set)(Object *, Property *, const PropValue *in, GError **error);
    void *data;
    GDestroyNotify free_data;
};
typedef enum PropValueKind { VALUE_NULL, VALUE_BOOL, VALUE_INT, VALUE_UINT, VALUE_DOUBLE, VALUE_STRING, VALUE_JSON } PropValueKind;
struct PropValue {
    PropValueKind kind;
    bool b;
    int64_t i;
    uint64_t u;
    double d;
    char *s;                    /* VALUE_STRING, or JSON text for VALUE_JSON; owned */
};
void prop_value_clear(PropValue *v);
void object_add_property(Object *o, Property *p);
/* Any property, by name: rows of the type and its parents, or run-time ones. Strings from the
 * command line are converted by the property's type; errors name the value and what is right. */
bool object_set(Object *o, const char *name, const PropValue *v, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool object_set_string(Object *o, const char *name, const char *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool object_get(Object *o, const char *name, PropValue *out, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Enumerates (name, type name, description, default text or NULL). */
void object_properties(const ObjectType *t, Object *o_or_null,
                       void (*fn)(const char *name, const char *type, const char *desc,
                                  const char *dflt, void *data), void *data);
/* Checks required properties and runs .complete. */
bool object_complete(Object *o, GError **error);
/* What the value means to a person: "on", "64", text. The caller frees. */
char *prop_value_text(const PropValue *v);
/* An object that links to o (link property), or NULL; o may not be deleted then. Borrowed. */
Object *object_user(Object *o);
/* -object / object-add: makes a user-creatable object under /objects. `props` holds pairs of name
 * and text. Borrowed result, NULL with an error. */
Object *object_add_user(Vm *vm, const char *type, const char *id, const char *const *props,
                        GError **error);
bool object_del_user(Vm *vm, const char *id, GError **error);

/* Reads a size: digits, fraction, suffix B K M G T P E (powers of 1024). */
bool size_parse(const char *text, uint64_t *value);

#endif
