/* SPDX-License-Identifier: Apache-2.0 */
/* Prints any value that a QMP command returns, as indented lines. */
#include <string.h>

#include "control/hmp.h"

static void print_value(Hmp *hmp, const Json *value, unsigned depth);

static bool is_scalar(const Json *value)
{
    return json_type(value) != JSON_ARRAY && json_type(value) != JSON_OBJECT;
}

static void print_scalar(Hmp *hmp, const Json *value)
{
    if (json_text(value) != NULL) {
        g_string_append(hmp->out, json_text(value));
    } else {
        json_print_to(hmp->out, value, false);
    }
}

static bool all_scalars(const Json *array)
{
    for (size_t i = 0; i < json_length(array); i++) {
        if (!is_scalar(json_at(array, i))) {
            return false;
        }
    }
    return true;
}

/* What follows "name:": a scalar or a list of them on the same line, else lines below. */
static void print_member(Hmp *hmp, const Json *value, unsigned depth)
{
    if (is_scalar(value)) {
        hmp_print(hmp, " ");
        print_scalar(hmp, value);
        hmp_print(hmp, "\n");
    } else if (json_type(value) == JSON_ARRAY && all_scalars(value)) {
        for (size_t i = 0; i < json_length(value); i++) {
            hmp_print(hmp, " ");
            print_scalar(hmp, json_at(value, i));
        }
        hmp_print(hmp, "\n");
    } else {
        hmp_print(hmp, "\n");
        print_value(hmp, value, depth + 1);
    }
}

static void print_object(Hmp *hmp, const Json *object, unsigned depth)
{
    for (size_t i = 0; i < json_length(object); i++) {
        hmp_print(hmp, "%*s%s:", (int)depth * 2, "", json_key_at(object, i));
        print_member(hmp, json_at(object, i), depth);
    }
}

static void print_array(Hmp *hmp, const Json *array, unsigned depth)
{
    for (size_t i = 0; i < json_length(array); i++) {
        const Json *item = json_at(array, i);
        if (i > 0 && !is_scalar(item)) {
            hmp_print(hmp, "\n");
        }
        print_value(hmp, item, depth);
    }
}

static void print_value(Hmp *hmp, const Json *value, unsigned depth)
{
    if (json_type(value) == JSON_OBJECT) {
        print_object(hmp, value, depth);
    } else if (json_type(value) == JSON_ARRAY) {
        print_array(hmp, value, depth);
    } else {
        hmp_print(hmp, "%*s", (int)depth * 2, "");
        print_scalar(hmp, value);
        hmp_print(hmp, "\n");
    }
}

void hmp_print_value(Hmp *hmp, const Json *value)
{
    print_value(hmp, value, 0);
}
