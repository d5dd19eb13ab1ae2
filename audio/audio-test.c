/* SPDX-License-Identifier: Apache-2.0 */
/* Voices into a file: unchanged, converted, mixed. */
#include <math.h>
#include <string.h>
#include <unistd.h>
#include "audio/audio.h"
#include "core/testing.h"

enum { HEADER = 44, FRAMES = 4000 };

typedef struct Sound {
    TestDevice *t;
    char *path;
    AudioBackend *b;
} Sound;

static Sound sound(const char *options)
{
    Sound s = {.t = test_machine()};
    g_autoptr(GError) error = NULL;
    int fd = g_file_open_tmp("sound-XXXXXX", &s.path, &error);
    g_assert_no_error(error);
    close(fd);
    g_autofree char *text = g_strdup_printf("wav,id=a,path=%s%s", s.path, options);
    g_assert_true(audiodev_add_option(s.t->vm, text, &error));
    s.b = audiodev_find(s.t->vm, "a");
    return s;
}

/* Ends it and returns the file. */
static GBytes *end(Sound *s)
{
    char *data;
    gsize n;
    test_device_free(s->t);
    g_assert_true(g_file_get_contents(s->path, &data, &n, NULL));
    unlink(s->path);
    g_free(s->path);
    return g_bytes_new_take(data, n);
}

static const int16_t *samples(GBytes *file, size_t *n)
{
    const uint8_t *p = g_bytes_get_data(file, n);
    g_assert_cmpuint(*n, >=, HEADER);
    uint32_t bytes;
    memcpy(&bytes, p + 40, 4);
    g_assert_cmpuint(GUINT32_FROM_LE(bytes), ==, *n - HEADER);
    *n = (*n - HEADER) / 2;
    return (const int16_t *)(p + HEADER);
}

static int16_t noise(unsigned i) { return (int16_t)(i * 2654435761u >> 13); }

static void test_same(void)
{
    Sound s = sound(",out.frequency=48000");
    AudioVoice *v = audio_voice_new(s.b);
    int16_t in[FRAMES * 2];
    size_t n;
    for (unsigned i = 0; i < FRAMES * 2; i++)
        in[i] = (int16_t)GINT16_TO_LE(noise(i));
    audio_voice_start(v, &(AudioPcm){48000, 2, AUDIO_FORMAT_S16});
    for (unsigned i = 0; i < 4; i++)
        audio_voice_write(v, in + i * FRAMES / 2, FRAMES / 4);
    audio_voice_stop(v);
    audio_voice_free(v);
    g_autoptr(GBytes) file = end(&s);
    const int16_t *out = samples(file, &n);
    g_assert_cmpmem(out, 2 * n, in, sizeof(in));
}

/* A sine at half the rate arrives as the same sine, from one channel on both. */
static void test_rate(void)
{
    Sound s = sound("");
    AudioVoice *v = audio_voice_new(s.b);
    uint8_t in[FRAMES];
    size_t n;
    for (unsigned i = 0; i < FRAMES; i++)
        in[i] = (uint8_t)lround(128 + 100 * sin(i / 50.0));
    audio_voice_start(v, &(AudioPcm){22050, 1, AUDIO_FORMAT_U8});
    audio_voice_write(v, in, FRAMES);
    audio_voice_free(v);
    g_autoptr(GBytes) file = end(&s);
    const int16_t *out = samples(file, &n);
    g_assert_cmpuint(n / 2, >=, 2 * FRAMES - 4);
    g_assert_cmpuint(n / 2, <=, 2 * FRAMES);
    for (unsigned i = 0; i < n / 2; i++) {
        g_assert_cmpint(ABS(GINT16_FROM_LE(out[2 * i]) - 25600 * sin(i / 100.0)), <, 400);
        g_assert_cmpint(out[2 * i], ==, out[2 * i + 1]);
    }
}

/* Two at once add up and are clamped; gains; a third that never plays does not hold them up. */
static void test_mix(void)
{
    Sound s = sound("");
    AudioVoice *a = audio_voice_new(s.b), *b = audio_voice_new(s.b), *c = audio_voice_new(s.b);
    const AudioPcm pcm = {44100, 2, AUDIO_FORMAT_S16};
    const int16_t loud[] = {GINT16_TO_LE(30000), GINT16_TO_LE(-100)}, other[] = {GINT16_TO_LE(20000), GINT16_TO_LE(40)};
    size_t n;
    audio_voice_gain(b, AUDIO_GAIN_ONE, AUDIO_GAIN_ONE / 2);
    audio_voice_start(a, &pcm);
    audio_voice_start(b, &pcm);
    audio_voice_write(a, loud, 1);
    audio_voice_write(b, other, 1);
    audio_voice_write(a, loud, 1);
    audio_voice_free(b);
    audio_voice_free(a);
    audio_voice_free(c);
    g_autoptr(GBytes) file = end(&s);
    const int16_t *out = samples(file, &n);
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpint(GINT16_FROM_LE(out[0]), ==, 32767);
    g_assert_cmpint(GINT16_FROM_LE(out[1]), ==, -80);
    g_assert_cmpint(GINT16_FROM_LE(out[2]), ==, 30000);
}

static void test_chosen(void)
{
    Sound s = sound(",out.fixed-settings=off");
    AudioVoice *v = audio_voice_new(s.b);
    const uint8_t in[] = {1, 2, 3};
    size_t n;
    audio_voice_start(v, &(AudioPcm){8000, 1, AUDIO_FORMAT_U8});
    audio_voice_write(v, in, 3);
    audio_voice_free(v);
    g_autoptr(GBytes) file = end(&s);
    const uint8_t *p = g_bytes_get_data(file, &n);
    g_assert_cmpuint(n, ==, HEADER + 3);
    g_assert_cmpmem(p + 22, 14, ((const uint8_t[]){1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0}), 14);
    g_assert_cmpmem(p + HEADER, 3, in, 3);
}

static void test_wrong(void)
{
    g_autoptr(TestDevice) t = test_machine();
    static const char *const wrong[] = {
        "wav,id=a,path=/nonexistent/x", "none,id=a,out.frequency=1", "none,id=a,out.channels=3", "alsa,id=a",
        "wav,id=a,path=/dev/null,out.format=s8", "none,id=a,in.fixed-settings=off,in.frequency=8000",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(audiodev_add_option(t->vm, wrong[i], &error));
        g_assert_nonnull(error);
    }
    uint8_t silence[4];
    audio_record(NULL, &(AudioPcm){8000, 2, AUDIO_FORMAT_U16}, silence, 1);
    g_assert_cmpmem(silence, 4, "\0\x80\0\x80", 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/audio/same", test_same);
    g_test_add_func("/audio/rate", test_rate);
    g_test_add_func("/audio/mix", test_mix);
    g_test_add_func("/audio/chosen", test_chosen);
    g_test_add_func("/audio/wrong", test_wrong);
    return g_test_run();
}
