/* SPDX-License-Identifier: Apache-2.0 */
/* The list of audio back ends. */
#include "audio/audio.h"

#include "qapi/keyval.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

static const char audiodevs_key;

static void free_one(gpointer a)
{
    audiodev_free(a);
}

static void *make_list(Vm *vm)
{
    return g_ptr_array_new_with_free_func(free_one);
}

static GPtrArray *audiodevs(Vm *vm)
{
    return vm_data(vm, &audiodevs_key, make_list, (GDestroyNotify)g_ptr_array_unref);
}

const Audiodev *audiodev_find(Vm *vm, const char *id)
{
    return vm_service_find(vm, "audiodev", id);
}

bool audiodev_add_option(Vm *vm, const char *text, GError **error)
{
    bool is_json;
    g_autoptr(Json) o = keyval_or_json(text, "driver", KEYVAL_PLAIN, &is_json, error);
    g_autoptr(Audiodev) a = !o ? NULL : is_json ? audiodev_from_json(o, error)
                                                : audiodev_from_keyval(o, error);

    if (!a) {
        return false;
    }
    if (audiodev_find(vm, a->id)) {
        return error_set(error, "there is an audio back end '%s' already", a->id);
    }
    vm_service_add(vm, "audiodev", a->id, a);
    g_ptr_array_add(audiodevs(vm), g_steal_pointer(&a));
    return true;
}

AudiodevList *qmp_query_audiodevs(Vm *vm, GError **error)
{
    AudiodevList *list = audiodev_list_new();
    GPtrArray *all = audiodevs(vm);

    for (unsigned i = 0; i < all->len; i++) {
        audiodev_list_add(list, audiodev_copy(g_ptr_array_index(all, i)));
    }
    return list;
}
