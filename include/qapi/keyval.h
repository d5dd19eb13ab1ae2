/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's command-line syntax for option values: key=value,key.member=value,key.0=item. */
#ifndef QAPI_KEYVAL_H
#define QAPI_KEYVAL_H

#include "util/json.h"

typedef enum {
    /* The first element without '=' is the value of `implied` ("socket,path=x"). Elsewhere a bare
     * `key` means key=on, and `nokey` in a KEYVAL_LEGACY string key=off. */
    KEYVAL_PLAIN = 0,
    /* As the old options had it: dots are part of names, and a repeated key makes a list. */
    KEYVAL_LEGACY = 1 << 0,
} KeyvalFlags;

/* Parses "a=b,c.d=e,list.0=x" into an object whose scalars are strings; two commas stand for one
 * in a value, a dot opens an object, numbered members make an array, the last of two equal keys
 * counts. Keys without '=' are "on". `implied` may be NULL. A member "help" or "?" stands in the
 * object as "help": "on". NULL and error if the text is malformed. */
Json *keyval_parse(const char *text, const char *implied, KeyvalFlags flags, GError **error);

/* The same, or, if the text begins with '{', JSON. *is_json says which, so that the value can be
 * read with QAPI_STRICT or QAPI_KEYVAL. */
Json *keyval_or_json(const char *text, const char *implied, KeyvalFlags flags, bool *is_json,
                     GError **error);

/* Takes "1.5G", "0x1000", "64k" and so on as bytes. */
bool keyval_size(const char *text, uint64_t *bytes);

#endif
