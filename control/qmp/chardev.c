/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on character devices. */
#include <string.h>

#include "chardev/chardev.h"
#include "core/vm.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

ChardevInfoList *qmp_query_chardev(Vm *vm, GError **error)
{
    ChardevInfoList *list = chardev_info_list_new();
    g_auto(GStrv) ids = vm_service_ids(vm, "chardev");

    for (char **id = ids; *id; id++) {
        Chardev *c = chardev_find(vm, *id);
        const char *name = chardev_filename(c);
        chardev_info_list_add(list, chardev_info_new(*id, name ? name : "",
                                                     chardev_frontend_open(c)));
    }
    return list;
}

static void add_backend(const ObjectType *t, void *list)
{
    if (!t->abstract && g_str_has_prefix(t->name, "chardev-") && object_type_is_a(t, "chardev")) {
        chardev_backend_info_list_add(list, chardev_backend_info_new(t->name + strlen("chardev-")));
    }
}

ChardevBackendInfoList *qmp_query_chardev_backends(Vm *vm, GError **error)
{
    ChardevBackendInfoList *list = chardev_backend_info_list_new();

    object_type_foreach(add_backend, list);
    return list;
}

static ChardevReturn *made(Chardev *c)
{
    if (!c) {
        return NULL;
    }
    ChardevReturn *r = g_new0(ChardevReturn, 1);
    r->pty = g_strdup(chardev_pty(c));
    return r;
}

ChardevReturn *qmp_chardev_add(Vm *vm, const char *id, ChardevBackend *backend, GError **error)
{
    return made(chardev_new(vm, id, backend, error));
}

ChardevReturn *qmp_chardev_change(Vm *vm, const char *id, ChardevBackend *backend, GError **error)
{
    return made(chardev_change(vm, id, backend, error));
}

bool qmp_chardev_remove(Vm *vm, const char *id, GError **error)
{
    return chardev_delete(vm, id, error);
}

/* ---- ring buffers ---- */

enum { READ_MAX = 1 << 24 };

static Chardev *find(Vm *vm, const char *id, GError **error)
{
    Chardev *c = chardev_find(vm, id);

    if (!c) {
        error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    }
    return c;
}

char *qmp_ringbuf_read(Vm *vm, const char *device, int64_t size, bool has_format,
                       DataFormat format, GError **error)
{
    Chardev *c = find(vm, device, error);

    if (!c) {
        return NULL;
    }
    if (size <= 0) {
        error_set(error, "Parameter 'size' expects a number above 0");
        return NULL;
    }
    unsigned n = MIN(size, READ_MAX);
    g_autofree uint8_t *data = g_malloc(n);
    if (!chardev_ringbuf_read(c, data, &n)) {
        error_set(error, "'%s' is not a ringbuf device", device);
        return NULL;
    }
    /* Bytes that are no UTF-8 become the replacement character. */
    return has_format && format == DATA_FORMAT_BASE64 ? g_base64_encode(data, n)
                                                      : g_utf8_make_valid((char *)data, n);
}

bool qmp_ringbuf_write(Vm *vm, const char *device, const char *data, bool has_format,
                       DataFormat format, GError **error)
{
    Chardev *c = find(vm, device, error);
    gsize n = strlen(data);
    g_autofree uint8_t *decoded = has_format && format == DATA_FORMAT_BASE64
                                      ? g_base64_decode(data, &n) : NULL;

    return c && (chardev_ringbuf_write(c, decoded ? decoded : (const uint8_t *)data, n) ||
                 error_set(error, "'%s' is not a ringbuf device", device));
}
