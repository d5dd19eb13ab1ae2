/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of the schema's types, and what works on any described value.
 *
 * scripts/qapi-gen.py emits a C type and a QapiType for each type of qapi/ *.json; conversion from
 * and to JSON, freeing, copying, introspection and the human monitor's printer all read QapiType.
 *
 * In C: str is char *, any is Json *, integers, bool, number and enums are stored by value; structs,
 * unions, alternates and lists are pointers. An absent optional member is NULL, or has_x is false
 * where x is stored by value. Values own what they point to. */
#ifndef QAPI_TYPE_H
#define QAPI_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "util/json.h"

typedef struct QapiType QapiType;

typedef enum {
    QAPI_STR,
    QAPI_BOOL,
    QAPI_INT,    /* signed, QapiType.size bytes */
    QAPI_UINT,   /* unsigned, QapiType.size bytes */
    QAPI_SIZE,   /* uint64_t; in command lines with a suffix k, M, G, T, P, E */
    QAPI_NUMBER, /* double */
    QAPI_NULL,   /* only as branch of an alternate */
    QAPI_ANY,
    QAPI_ENUM,
    QAPI_STRUCT, /* also unions */
    QAPI_ALTERNATE,
    QAPI_LIST,
} QapiKind;

typedef struct QapiMember {
    const char *name;     /* as in JSON */
    const QapiType *type;
    uint32_t offset;      /* in the C struct */
    int32_t has;          /* offset of has_x, or -1 */
    bool optional;
    const char *const *features; /* NULL, or ends with NULL */
} QapiMember;

/* A branch of a union (value: of the tag) or of an alternate (value: of the kind member). */
typedef struct QapiBranch {
    const char *name;
    int value;
    const QapiType *type; /* NULL: no members */
} QapiBranch;

struct QapiType {
    const char *name;
    QapiKind kind;
    uint32_t size;                  /* of the C type itself, not of the pointer to it */
    const QapiMember *members;      /* struct, union: ends with a NULL name */
    const QapiBranch *branches;     /* union, alternate: ends with a NULL name */
    int32_t tag;                    /* union: index of the tag in members, else -1 */
    uint32_t u;                     /* union, alternate: offset of the pointer to the branch */
    const char *const *values;      /* enum: ends with NULL */
    const QapiType *element;        /* list */
    const char *const *features;    /* NULL, or ends with NULL */
};

/* How JSON is read. */
typedef enum {
    QAPI_STRICT, /* types must match */
    QAPI_KEYVAL, /* scalars are strings of a command line, see keyval.h */
} QapiInput;

/* Reads a struct, union, alternate or list; NULL and an error that names the member otherwise. */
void *qapi_from_json(const QapiType *type, const Json *json, QapiInput mode, GError **error);
/* The JSON of a value; `value` points to the struct, or to the scalar. */
Json *qapi_to_json(const QapiType *type, const void *value);
/* Frees a struct, union, alternate or list with all it owns; NULL is fine. */
void qapi_free(const QapiType *type, void *value);
/* Frees what a struct in memory of the caller's own owns. */
void qapi_clear(const QapiType *type, void *value);
void *qapi_copy(const QapiType *type, const void *value);

/* The number of `text` among an enum's values, or -1. */
int qapi_enum_parse(const QapiType *type, const char *text);

/* True if values of the type are stored by value. */
static inline bool qapi_by_value(const QapiType *type)
{
    return (type->kind >= QAPI_BOOL && type->kind <= QAPI_NUMBER) || type->kind == QAPI_ENUM;
}

extern const QapiType qapi_str_type, qapi_bool_type, qapi_int_type, qapi_number_type,
    qapi_size_type, qapi_null_type, qapi_any_type, qapi_int8_type, qapi_int16_type,
    qapi_int32_type, qapi_int64_type, qapi_uint8_type, qapi_uint16_type, qapi_uint32_type,
    qapi_uint64_type;

/* What every generated list type is; `items` has the C type of the element. */
typedef struct QapiList {
    void *items;
    size_t count;
} QapiList;

/* Makes room for one more item of `size` bytes, zeroed, and returns its place. A list of pointers
 * is always followed by a NULL. */
void *qapi_list_grow(void *list, size_t size);

#define QAPI_POINTER_API(Type, prefix)                                                            \
    extern const QapiType prefix##_type;                                                          \
    static inline void prefix##_free(Type *value)                                                 \
    {                                                                                             \
        qapi_free(&prefix##_type, value);                                                         \
    }                                                                                             \
    static inline Type *prefix##_copy(const Type *value)                                          \
    {                                                                                             \
        return qapi_copy(&prefix##_type, value);                                                  \
    }                                                                                             \
    static inline Json *prefix##_to_json(const Type *value)                                       \
    {                                                                                             \
        return qapi_to_json(&prefix##_type, value);                                               \
    }                                                                                             \
    static inline Type *prefix##_from_json(const Json *json, GError **error)                      \
    {                                                                                             \
        return qapi_from_json(&prefix##_type, json, QAPI_STRICT, error);                          \
    }                                                                                             \
    static inline Type *prefix##_from_keyval(const Json *json, GError **error)                    \
    {                                                                                             \
        return qapi_from_json(&prefix##_type, json, QAPI_KEYVAL, error);                          \
    }                                                                                             \
    G_DEFINE_AUTOPTR_CLEANUP_FUNC(Type, prefix##_free)

/* `Elem` as it is stored: `char *`, `UuidInfo *`, `int64_t`. add() takes over pointers. */
#define QAPI_LIST_API(Type, prefix, Elem)                                                         \
    typedef struct Type {                                                                         \
        Elem *items;                                                                              \
        size_t count;                                                                             \
    } Type;                                                                                       \
    static inline Type *prefix##_new(void)                                                        \
    {                                                                                             \
        return g_new0(Type, 1);                                                                   \
    }                                                                                             \
    static inline void prefix##_add(Type *list, Elem item)                                        \
    {                                                                                             \
        *(Elem *)qapi_list_grow(list, sizeof(Elem)) = item;                                       \
    }                                                                                             \
    QAPI_POINTER_API(Type, prefix)

#define QAPI_ENUM_API(Type, prefix)                                                               \
    extern const QapiType prefix##_type;                                                          \
    static inline const char *prefix##_name(Type value)                                           \
    {                                                                                             \
        return prefix##_type.values[value];                                                       \
    }                                                                                             \
    static inline bool prefix##_parse(const char *text, Type *value)                              \
    {                                                                                             \
        int number = qapi_enum_parse(&prefix##_type, text);                                       \
        *value = number < 0 ? *value : (Type)number;                                              \
        return number >= 0;                                                                       \
    }

QAPI_LIST_API(StrList, str_list, char *)
QAPI_LIST_API(AnyList, any_list, Json *)
QAPI_LIST_API(BoolList, bool_list, bool)
QAPI_LIST_API(IntList, int_list, int64_t)
QAPI_LIST_API(NumberList, number_list, double)
QAPI_LIST_API(SizeList, size_list, uint64_t)
QAPI_LIST_API(Uint8List, uint8_list, uint8_t)
QAPI_LIST_API(Uint16List, uint16_list, uint16_t)
QAPI_LIST_API(Uint32List, uint32_list, uint32_t)
QAPI_LIST_API(Uint64List, uint64_list, uint64_t)

#endif
