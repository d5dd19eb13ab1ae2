/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev null: swallows output, has no input. */
#include "chardev/internal.h"

static bool null_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    c->filename = g_strdup("null");
    c->open = true;
    return true;
}

static const ChardevType chardev_null = {
    .name = "chardev-null", .parent = "chardev", .size = sizeof(Chardev),
    .kind = CHARDEV_BACKEND_KIND_NULL, .open = null_open,
};
OBJECT_TYPE(chardev_null);
