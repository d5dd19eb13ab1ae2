/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "core/absent.h"
#include "util/error.h"

typedef struct Row {
    uint8_t kind;
    const char *name, *instead;
} Row;

static const Row rows[] = {
#define ABSENT(kind, name, instead) {ABSENT_##kind, name, instead},
#include "core/object/absent.inc"
#undef ABSENT
};

static const char *const kinds[ABSENT_KINDS] = {
    [ABSENT_DEVICE] = "a device", [ABSENT_OBJECT] = "an object type", [ABSENT_CHARDEV] = "a chardev backend",
    [ABSENT_NETDEV] = "a netdev backend",
};

bool absent_error(GError **error, AbsentKind kind, const char *name)
{
    for (const Row *r = rows; r < rows + G_N_ELEMENTS(rows); r++) {
        if (r->kind == kind && !strcmp(r->name, name)) {
            error_set(error, "'%s' is %s of QEMU that Myna does not have yet; %s", name, kinds[kind], r->instead);
            return true;
        }
    }
    return false;
}

void absent_foreach(AbsentKind kind, void (*fn)(const char *name, void *data), void *data)
{
    for (const Row *r = rows; r < rows + G_N_ELEMENTS(rows); r++)
        if (r->kind == kind)
            fn(r->name, data);
}
