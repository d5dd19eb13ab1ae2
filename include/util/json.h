/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values, printer and streaming parser (RFC 8259 with QEMU's 'single quotes').
 *
 * Why not a library: jansson and json-glib keep integers in 64 signed bits, so sizes and addresses
 * above 2^63 do not survive, and neither reads a stream in arbitrary chunks nor 'single quotes'.
 *
 * A Json is counted by reference and may be shared between threads once it is no longer changed.
 * Objects keep the order in which their members were added. */
#ifndef UTIL_JSON_H
#define UTIL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct Json Json;

typedef enum {
    JSON_NULL,
    JSON_BOOL,
    JSON_INT,  /* fits int64_t */
    JSON_UINT, /* above INT64_MAX */
    JSON_DOUBLE,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
} JsonType;

/* Constructors; the caller owns the result. Strings are UTF-8 and copied. */
Json *json_null(void);
Json *json_bool(bool value);
Json *json_int(int64_t value);
Json *json_uint(uint64_t value);
Json *json_double(double value);
Json *json_string(const char *text);
Json *json_array(void);
Json *json_object(void);
Json *json_ref(Json *json);
void json_unref(Json *json);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Json, json_unref)

JsonType json_type(const Json *json);
/* "string", "integer", …: for messages. */
const char *json_type_name(JsonType type);

/* Readers return false and leave `value` untouched if the value has another type or range. */
bool json_get_bool(const Json *json, bool *value);
bool json_get_int(const Json *json, int64_t *value);
bool json_get_uint(const Json *json, uint64_t *value);
bool json_get_double(const Json *json, double *value);
/* The text of a string, else NULL; lives as long as the value. */
const char *json_text(const Json *json);

/* The number of elements or members; 0 for scalars and for NULL. */
size_t json_length(const Json *json);
/* Element or member value number `index`; borrowed. */
Json *json_at(const Json *json, size_t index);
/* The name of member number `index` of an object; borrowed. */
const char *json_key_at(const Json *object, size_t index);
/* Member by name, or NULL; borrowed. A NULL object has no members. */
Json *json_get(const Json *object, const char *key);
/* Text of a string member, or NULL; borrowed. */
const char *json_get_text(const Json *object, const char *key);

/* Both take over `value`. json_set() replaces a member of the same name in its place. */
void json_append(Json *array, Json *value);
void json_set(Json *object, const char *key, Json *value);
static inline void json_set_text(Json *object, const char *key, const char *text)
{
    json_set(object, key, json_string(text));
}
bool json_remove(Json *object, const char *key);

/* A copy whose own members may be changed; the members themselves are shared. */
Json *json_shallow_copy(const Json *json);
bool json_equal(const Json *a, const Json *b);

/* The text, with a blank after ':' and ','; `pretty`: a line per member, indented by four. */
char *json_print(const Json *json, bool pretty);
void json_print_to(GString *text, const Json *json, bool pretty);

/* Parses one value that fills the text. NULL and error if it is none. */
Json *json_parse(const char *text, GError **error);

/* A parser of a stream of values, fed in pieces of any size; a value is complete when its braces
 * balance (a bare scalar: at the next separator), no line ends are needed. `ready` gets each value
 * (which it owns) or the error of a bad one (value NULL; the error is the parser's). After a bad
 * character the parser goes on at the next brace, bracket, comma, colon, control character or byte
 * 0xFE/0xFF. Limits: depth 1024, 2 Mi tokens, 64 MiB in one value. One thread at a time. */
typedef struct JsonParser JsonParser;
typedef void JsonReady(void *opaque, Json *value, const GError *error);

JsonParser *json_parser_new(JsonReady *ready, void *opaque);
void json_parser_free(JsonParser *parser);
/* Consumes the bytes and returns how many: all, unless `ready` called json_parser_pause(). */
size_t json_parser_feed(JsonParser *parser, const char *data, size_t length);
/* To be called from `ready`: stop consuming behind the value at hand. */
void json_parser_pause(JsonParser *parser);
/* The stream has ended: completes a trailing scalar, reports a truncated value. */
void json_parser_end(JsonParser *parser);
/* Forgets a half-read value, for a new client. */
void json_parser_reset(JsonParser *parser);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonParser, json_parser_free)

#endif
