/* SPDX-License-Identifier: Apache-2.0 */
/* The list of audio back ends. */
#include "audio/internal.h"

#include "qapi/keyval.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

enum { PERIOD_US = 10000, MIN_PERIOD_US = 500, MAX_PERIOD_US = 1000000 };

static const char audiodevs_key;
static const AudioDriver silent;
static const AudioDriver *const drivers[] = {
    [AUDIODEV_DRIVER_NONE] = &silent, [AUDIODEV_DRIVER_WAV] = &audio_wav,
};

static void free_one(gpointer data)
{
    AudioBackend *b = data;

    if (b->driver->close) {
        b->driver->close(b);
    }
    g_mutex_clear(&b->lock);
    g_ptr_array_unref(b->voices);
    audiodev_free(b->options);
    g_free(b);
}

static void *make_list(Vm *vm)
{
    return g_ptr_array_new_with_free_func(free_one);
}

static GPtrArray *audiodevs(Vm *vm)
{
    return vm_data(vm, &audiodevs_key, make_list, (GDestroyNotify)g_ptr_array_unref);
}

AudioBackend *audiodev_find(Vm *vm, const char *id)
{
    return vm_service_find(vm, "audiodev", id);
}

int64_t audio_period_ns(const AudioBackend *b)
{
    return 1000ll * (b && b->options->has_timer_period ? b->options->timer_period : PERIOD_US);
}

static bool check_direction(const AudiodevPerDirectionOptions *o, GError **error)
{
    if (!o) {
        return true;
    }
    if (o->has_fixed_settings && !o->fixed_settings && (o->has_frequency || o->has_channels || o->has_format)) {
        return error_set(error, "frequency, channels and format mean nothing with fixed-settings=off");
    }
    if (o->has_frequency && (o->frequency < 1000 || o->frequency > AUDIO_MAX_RATE)) {
        return error_set(error, "frequency=%u is not between 1000 and %u", o->frequency, AUDIO_MAX_RATE);
    }
    if (o->has_channels && (o->channels < 1 || o->channels > 2)) {
        return error_set(error, "channels=%u is neither 1 nor 2", o->channels);
    }
    return true;
}

static bool check(const Audiodev *a, GError **error)
{
    const AudiodevPerDirectionOptions *in = a->driver == AUDIODEV_DRIVER_WAV ? a->u.wav->in : a->u.none->in;

    if (a->has_timer_period && (a->timer_period < MIN_PERIOD_US || a->timer_period > MAX_PERIOD_US)) {
        return error_set(error, "timer-period=%u is not between %u and %u", a->timer_period, MIN_PERIOD_US,
                         MAX_PERIOD_US);
    }
    return check_direction(in, error) && check_direction(audio_out_options(a), error);
}

static AudioBackend *backend_new(Audiodev *options)
{
    const AudiodevPerDirectionOptions *o = audio_out_options(options);
    AudioBackend *b = g_new0(AudioBackend, 1);

    b->options = options;
    b->driver = drivers[options->driver];
    b->fixed = !o || !o->has_fixed_settings || o->fixed_settings;
    b->pcm = (AudioPcm){
        .rate = o && o->has_frequency ? o->frequency : 44100,
        .channels = o && o->has_channels ? o->channels : 2,
        .sample = o && o->has_format ? o->format : AUDIO_FORMAT_S16,
    };
    b->voices = g_ptr_array_new();
    g_mutex_init(&b->lock);
    return b;
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
    if (!check(a, error)) {
        return false;
    }
    AudioBackend *b = backend_new(g_steal_pointer(&a));
    if (b->driver->open && !b->driver->open(b, error)) {
        free_one(b);
        return false;
    }
    vm_service_add(vm, "audiodev", b->options->id, b);
    g_ptr_array_add(audiodevs(vm), b);
    return true;
}

AudiodevList *qmp_query_audiodevs(Vm *vm, GError **error)
{
    AudiodevList *list = audiodev_list_new();
    GPtrArray *all = audiodevs(vm);

    for (unsigned i = 0; i < all->len; i++) {
        audiodev_list_add(list, audiodev_copy(((AudioBackend *)g_ptr_array_index(all, i))->options));
    }
    return list;
}
