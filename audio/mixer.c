/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Voices: what cards write is brought into the back end's form and mixed.
 *
 * A voice's samples become 32-bit stereo frames at the back end's rate, in a queue. The back end takes as many
 * as all voices that play have: they go by the same clock, so none waits for long. One that does not keep up
 * is silent from QUEUE frames on. Sums are clamped.
 */
#include <math.h>
#include <string.h>

#include "audio/internal.h"
#include "util/bytes.h"

enum { QUEUE_MS = 500, STEREO = 2, ROUND = 1024 };

struct AudioVoice {
    AudioBackend *backend;
    AudioPcm pcm;
    bool playing;
    uint32_t gain[STEREO];
    uint64_t phase;             /* 32.32: of the next frame out, from `before` on */
    int32_t before[STEREO];     /* the last frame in */
    bool begun;
    GArray *queue;              /* int32_t, two a frame */
};

/* ---- samples ---- */

static int32_t load(const uint8_t *p, AudioFormat f)
{
    uint32_t v = 0;
    float x;

    memcpy(&v, p, audio_sample_bytes(f));
    v = GUINT32_FROM_LE(v);
    switch (f) {
    case AUDIO_FORMAT_U8: return (int32_t)((v ^ 0x80) << 24);
    case AUDIO_FORMAT_S8: return (int32_t)(v << 24);
    case AUDIO_FORMAT_U16: return (int32_t)((v ^ 0x8000) << 16);
    case AUDIO_FORMAT_S16: return (int32_t)(v << 16);
    case AUDIO_FORMAT_U32: return (int32_t)(v ^ 0x80000000);
    case AUDIO_FORMAT_S32: return (int32_t)v;
    default: break;
    }
    memcpy(&x, &v, sizeof(x));
    return x >= 1 ? INT32_MAX : x >= -1 ? (int32_t)((double)x * 2147483647.0) : isnan(x) ? 0 : INT32_MIN;
}

static void store(uint8_t *p, int32_t s, AudioFormat f)
{
    uint32_t v = (uint32_t)s;
    float x;

    switch (f) {
    case AUDIO_FORMAT_U8: v = v >> 24 ^ 0x80; break;
    case AUDIO_FORMAT_S8: v >>= 24; break;
    case AUDIO_FORMAT_U16: v = v >> 16 ^ 0x8000; break;
    case AUDIO_FORMAT_S16: v >>= 16; break;
    case AUDIO_FORMAT_U32: v ^= 0x80000000; break;
    case AUDIO_FORMAT_S32: break;
    default:
        x = (float)(s / 2147483648.0);
        memcpy(&v, &x, sizeof(v));
        break;
    }
    bytes_store(p, v, audio_sample_bytes(f));
}

static int32_t clamp(int64_t v)
{
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

/* ---- a voice's queue ---- */

static void append(AudioVoice *v, const int32_t frame[STEREO])
{
    g_array_append_vals(v->queue, frame, STEREO);
}

/* Between two frames those of the other rate, in straight lines. */
static void resample(AudioVoice *v, const int32_t frame[STEREO])
{
    uint64_t step = ((uint64_t)v->pcm.rate << 32) / v->backend->pcm.rate;

    if (v->pcm.rate == v->backend->pcm.rate) {
        append(v, frame);
        return;
    }
    for (; v->begun && v->phase < 1ull << 32; v->phase += step) {
        int32_t between[STEREO];
        for (unsigned c = 0; c < STEREO; c++) {
            int64_t way = (int64_t)frame[c] - v->before[c];
            between[c] = (int32_t)(v->before[c] + way * (int64_t)(v->phase >> 16) / 65536);
        }
        append(v, between);
    }
    v->phase -= v->begun ? 1ull << 32 : 0;
    v->begun = true;
    memcpy(v->before, frame, sizeof(v->before));
}

static void take(AudioVoice *v, const uint8_t *p, size_t n_frames)
{
    unsigned bytes = audio_sample_bytes(v->pcm.sample), right = v->pcm.channels > 1 ? bytes : 0;

    for (; n_frames; n_frames--, p += audio_frame_bytes(&v->pcm)) {
        const int32_t in[STEREO] = {load(p, v->pcm.sample), load(p + right, v->pcm.sample)};
        int32_t frame[STEREO];
        for (unsigned c = 0; c < STEREO; c++) {
            frame[c] = v->gain[c] == AUDIO_GAIN_ONE ? in[c] : clamp((int64_t)in[c] * v->gain[c] / AUDIO_GAIN_ONE);
        }
        resample(v, frame);
    }
}

static size_t queued(const AudioVoice *v) { return v->queue->len / STEREO; }

/* ---- the mixture ---- */

static void mix_round(AudioBackend *b, size_t n)
{
    int64_t sum[ROUND * STEREO] = {0};
    uint8_t out[ROUND * STEREO * 4];
    unsigned bytes = audio_sample_bytes(b->pcm.sample);
    uint8_t *p = out;

    for (unsigned i = 0; i < b->voices->len; i++) {
        AudioVoice *v = b->voices->pdata[i];
        size_t has = MIN(queued(v), n) * STEREO;
        for (size_t k = 0; k < has; k++) {
            sum[k] += g_array_index(v->queue, int32_t, k);
        }
        if (has) {
            g_array_remove_range(v->queue, 0, (guint)has);
        }
    }
    for (size_t k = 0; k < n; k++) {
        int64_t left = sum[2 * k], right = sum[2 * k + 1];
        if (b->pcm.channels == 1) {
            left = (left + right) / 2;
        }
        store(p, clamp(left), b->pcm.sample);
        p += bytes;
        if (b->pcm.channels > 1) {
            store(p, clamp(right), b->pcm.sample);
            p += bytes;
        }
    }
    if (b->driver->write) {
        b->driver->write(b, out, (size_t)(p - out));
    }
}

/* How many frames can be written now. */
static size_t ready(const AudioBackend *b)
{
    size_t least = SIZE_MAX, most = 0, limit = (size_t)b->pcm.rate * QUEUE_MS / 1000;

    for (unsigned i = 0; i < b->voices->len; i++) {
        const AudioVoice *v = b->voices->pdata[i];
        most = MAX(most, queued(v));
        if (v->playing) {
            least = MIN(least, queued(v));
        }
    }
    return MAX(MIN(least, most), most > limit ? most - limit : 0);
}

static void mix(AudioBackend *b)
{
    for (size_t left = ready(b); left;) {
        size_t n = MIN(left, ROUND);
        mix_round(b, n);
        left -= n;
    }
}

static bool anyone_plays(const AudioBackend *b)
{
    for (unsigned i = 0; i < b->voices->len; i++) {
        if (((AudioVoice *)b->voices->pdata[i])->playing) {
            return true;
        }
    }
    return false;
}

static void stop(AudioVoice *v)
{
    AudioBackend *b = v->backend;

    if (!v->playing) {
        return;
    }
    v->playing = false;
    mix(b);
    if (!anyone_plays(b) && b->driver->idle) {
        b->driver->idle(b);
    }
}

/* ---- for cards ---- */

AudioVoice *audio_voice_new(AudioBackend *b)
{
    AudioVoice *v = g_new0(AudioVoice, 1);

    v->backend = b;
    v->gain[0] = v->gain[1] = AUDIO_GAIN_ONE;
    v->queue = g_array_new(FALSE, FALSE, sizeof(int32_t));
    if (b) {
        g_mutex_lock(&b->lock);
        g_ptr_array_add(b->voices, v);
        g_mutex_unlock(&b->lock);
    }
    return v;
}

void audio_voice_free(AudioVoice *v)
{
    if (!v) {
        return;
    }
    audio_voice_stop(v);
    if (v->backend) {
        g_mutex_lock(&v->backend->lock);
        g_ptr_array_remove(v->backend->voices, v);
        g_mutex_unlock(&v->backend->lock);
    }
    g_array_unref(v->queue);
    g_free(v);
}

/* Of the forms of a sample those that files have. */
static const AudioFormat usual[] = {
    [AUDIO_FORMAT_U8] = AUDIO_FORMAT_U8, [AUDIO_FORMAT_S8] = AUDIO_FORMAT_U8, [AUDIO_FORMAT_U16] = AUDIO_FORMAT_S16,
    [AUDIO_FORMAT_S16] = AUDIO_FORMAT_S16, [AUDIO_FORMAT_U32] = AUDIO_FORMAT_S32,
    [AUDIO_FORMAT_S32] = AUDIO_FORMAT_S32, [AUDIO_FORMAT_F32] = AUDIO_FORMAT_F32,
};

void audio_voice_start(AudioVoice *v, const AudioPcm *pcm)
{
    AudioBackend *b = v->backend;

    if (!b) {
        return;
    }
    g_mutex_lock(&b->lock);
    if (!b->fixed && !b->chosen) {
        b->pcm = (AudioPcm){pcm->rate, MIN(pcm->channels, STEREO), usual[pcm->sample]};
        b->chosen = true;
    }
    if (!v->playing || v->pcm.rate != pcm->rate) {
        v->phase = 0;
        v->begun = false;
    }
    v->pcm = *pcm;
    v->playing = true;
    g_mutex_unlock(&b->lock);
}

void audio_voice_stop(AudioVoice *v)
{
    if (v->backend) {
        g_mutex_lock(&v->backend->lock);
        stop(v);
        g_mutex_unlock(&v->backend->lock);
    }
}

void audio_voice_gain(AudioVoice *v, uint32_t left, uint32_t right)
{
    if (v->backend) {
        g_mutex_lock(&v->backend->lock);
        v->gain[0] = MIN(left, 16u * AUDIO_GAIN_ONE);
        v->gain[1] = MIN(right, 16u * AUDIO_GAIN_ONE);
        g_mutex_unlock(&v->backend->lock);
    }
}

void audio_voice_write(AudioVoice *v, const void *frames, size_t n_frames)
{
    AudioBackend *b = v->backend;

    if (!b || !b->driver->write) {
        return;
    }
    g_mutex_lock(&b->lock);
    if (v->playing) {
        take(v, frames, n_frames);
        mix(b);
    }
    g_mutex_unlock(&b->lock);
}

void audio_record(AudioBackend *b, const AudioPcm *pcm, void *frames, size_t n_frames)
{
    unsigned bytes = audio_sample_bytes(pcm->sample);

    for (size_t i = 0; i < n_frames * pcm->channels; i++) {
        store((uint8_t *)frames + i * bytes, 0, pcm->sample);
    }
}
