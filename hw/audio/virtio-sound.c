/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio sound device. Spec: virtio 1.2, 5.14. The first half of the streams plays, the others record. Buffers
 * wait in their stream's queue until its clock, which follows virtual time, has come to their end.
 */
#include <string.h>
#include "audio/audio.h"
#include "audio/pace.h"
#include "hw/virtio/virtio.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/log.h"

enum {
    MAX_JACKS = 8, MAX_STREAMS = 10, MAX_CHMAPS = 18, CONTROL_SIZE = 64, EVENT_SIZE = 64, DATA_SIZE = 64,
    /* requests, answers (5.14.6) */
    JACK_INFO = 1, JACK_REMAP = 2, PCM_INFO = 0x100, SET_PARAMS, PREPARE, RELEASE, START, STOP, CHMAP_INFO = 0x200,
    OK = 0x8000, BAD_MSG, NOT_SUPP,
    REQUEST_BYTES = 24, STATUS_BYTES = 4, INFO_BYTES = 32, JACK_BYTES = 24, CHMAP_BYTES = 24,
    /* messages of the data queues: a stream's number before, status and latency behind */
    XFER_BYTES = 4, RESULT_BYTES = 8,
    OUTPUT = 0, INPUT = 1, CHANNELS = 2, FRONT_LEFT = 3, FRONT_RIGHT = 4,
    MIN_TICK_NS = 500000, CHUNK = 16384,
};

typedef enum State { UNSET, PARAMS, PREPARED, RUNNING, STOPPED, STATES } State;

typedef struct Stream {
    Pace pace;
    uint64_t done;              /* bytes of the oldest buffer that have passed */
    uint8_t state, channels, format, rate;
} Stream;

typedef struct VirtioSound {
    VirtioDevice v;
    Virtq *control, *tx, *rx;
    Timer work;
    uint32_t jacks, streams, chmaps;
    AudioBackend *audiodev;
    AudioVoice *voice[MAX_STREAMS];
    GQueue pending[MAX_STREAMS];        /* VirtqElement * */
    Stream stream[MAX_STREAMS];
} VirtioSound;

/* By the numbers of VIRTIO_SND_PCM_FMT and _RATE (5.14.6.6.2). */
static const struct { uint8_t number, format; } formats[] = {
    {3, AUDIO_FORMAT_S8}, {4, AUDIO_FORMAT_U8}, {5, AUDIO_FORMAT_S16}, {6, AUDIO_FORMAT_U16}, {17, AUDIO_FORMAT_S32},
    {18, AUDIO_FORMAT_U32}, {19, AUDIO_FORMAT_F32},
};
static const uint32_t rates[] = {
    5512, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000,
};

static uint32_t load32(const uint8_t *p)
{
    BytesReader r = {p, 4, true};
    return (uint32_t)bytes_get(&r, 4);
}

static int64_t now(const VirtioSound *s) { return clock_ns(s->v.dev.object.vm, CLOCK_K_VIRTUAL); }
static unsigned direction(const VirtioSound *s, unsigned n) { return n < (s->streams + 1) / 2 ? OUTPUT : INPUT; }

static AudioPcm pcm_of(const VirtioSound *s, unsigned n)
{
    const Stream *st = &s->stream[n];
    return (AudioPcm){rates[st->rate], st->channels, formats[st->format].format};
}

/* ---- buffers ---- */

static size_t payload(const VirtioSound *s, unsigned n, const VirtqElement *e)
{
    return direction(s, n) == OUTPUT ? e->out_bytes - XFER_BYTES : e->in_bytes - RESULT_BYTES;
}

/* The result stands behind what was recorded, at the end of the buffer. */
static void give_back(VirtioSound *s, Virtq *vq, VirtqElement *e, unsigned status, uint32_t recorded)
{
    uint8_t result[RESULT_BYTES] = {0};
    bytes_store(result, status, 4);
    iov_write(e->in, e->n_in, e->in_bytes - RESULT_BYTES, result, sizeof(result));
    virtq_push(vq, e, recorded + RESULT_BYTES);
}

static void oldest_done(VirtioSound *s, unsigned n)
{
    VirtqElement *e = g_queue_pop_head(&s->pending[n]);
    bool plays = direction(s, n) == OUTPUT;
    give_back(s, plays ? s->tx : s->rx, e, OK, plays ? 0 : (uint32_t)s->stream[n].done);
    s->stream[n].done = 0;
}

static void give_all_back(VirtioSound *s, unsigned n)
{
    while (!g_queue_is_empty(&s->pending[n]))
        oldest_done(s, n);
    virtq_flush(direction(s, n) == OUTPUT ? s->tx : s->rx);
}

/* Moves frames of the oldest buffer; false: it has none left. */
static bool move(VirtioSound *s, unsigned n, uint32_t *frames)
{
    Stream *st = &s->stream[n];
    AudioPcm pcm = pcm_of(s, n);
    uint8_t data[CHUNK];
    const VirtqElement *e = g_queue_peek_head((GQueue *)&s->pending[n]);
    uint32_t frame = audio_frame_bytes(&pcm);
    size_t left = payload(s, n, e) - MIN(st->done, payload(s, n, e));
    uint32_t part = (uint32_t)MIN(MIN(left, sizeof(data)) / frame, *frames);
    if (!part)
        return false;
    if (direction(s, n) == OUTPUT) {
        iov_read(e->out, e->n_out, XFER_BYTES + st->done, data, part * frame);
        audio_voice_write(s->voice[n], data, part);
    } else {
        audio_record(s->audiodev, &pcm, data, part);
        iov_write(e->in, e->n_in, st->done, data, part * frame);
    }
    st->done += part * frame;
    *frames -= part;
    return left >= (part + 1) * (size_t)frame;
}

static void run_stream(VirtioSound *s, unsigned n)
{
    Stream *st = &s->stream[n];
    AudioPcm pcm = pcm_of(s, n);
    uint32_t due = pace_due(&st->pace, pcm.rate, now(s)), left = due;
    if (direction(s, n) == OUTPUT)
        audio_voice_start(s->voice[n], &pcm);
    while (left && !g_queue_is_empty(&s->pending[n]))
        if (!move(s, n, &left))
            oldest_done(s, n);
    pace_pass(&st->pace, pcm.rate, due - left);
    if (g_queue_is_empty(&s->pending[n]))       /* whoever comes late does not catch up */
        pace_start(&st->pace, now(s));
    virtq_flush(direction(s, n) == OUTPUT ? s->tx : s->rx);
}

static int64_t next_look(const VirtioSound *s, unsigned n)
{
    AudioPcm pcm = pcm_of(s, n);
    const VirtqElement *e = g_queue_peek_head((GQueue *)&s->pending[n]);
    int64_t when = now(s) + audio_period_ns(s->audiodev);
    if (e) {
        size_t bytes = payload(s, n, e) - MIN(s->stream[n].done, payload(s, n, e));
        when = MIN(when, pace_when(&s->stream[n].pace, pcm.rate, (uint32_t)(bytes / audio_frame_bytes(&pcm))));
    }
    return MAX(when, now(s) + MIN_TICK_NS);
}

static void run_streams(VirtioSound *s)
{
    int64_t when = INT64_MAX;
    for (unsigned n = 0; n < s->streams; n++) {
        if (s->stream[n].state != RUNNING)
            continue;
        run_stream(s, n);
        when = MIN(when, next_look(s, n));
    }
    if (when == INT64_MAX)
        timer_cancel(&s->work);
    else
        timer_arm(&s->work, when);
}

/* Timers fire within the device's domain; the queues belong to the loop. */
static void work(Device *d) { virtq_schedule(((VirtioSound *)d)->tx); }

static void serve_data(VirtioDevice *v, Virtq *vq)
{
    VirtioSound *s = (VirtioSound *)v;
    unsigned wanted = vq == s->tx ? OUTPUT : INPUT;
    for (VirtqElement *e; (e = virtq_pop(vq, 0));) {
        uint8_t xfer[XFER_BYTES] = {0};
        if (e->out_bytes < XFER_BYTES || e->in_bytes < RESULT_BYTES) {
            virtio_error(v, "a buffer of %zu bytes with room for %zu", e->out_bytes, e->in_bytes);
            virtq_unpop(vq, e);
            return;
        }
        iov_read(e->out, e->n_out, 0, xfer, sizeof(xfer));
        uint32_t n = load32(xfer);
        if (n >= s->streams || direction(s, n) != wanted || s->stream[n].state < PARAMS)
            give_back(s, vq, e, BAD_MSG, 0);
        else
            g_queue_push_tail(&s->pending[n], e);
    }
    virtq_flush(vq);
    run_streams(s);
}

/* ---- control requests ---- */

static unsigned set_params(VirtioSound *s, unsigned n, BytesReader *r)
{
    Stream *st = &s->stream[n];
    bytes_get(r, 4);            /* sizes of the driver's buffer and its period: as they come */
    bytes_get(r, 4);
    uint32_t features = bytes_get(r, 4);
    uint8_t channels = bytes_get(r, 1), format = bytes_get(r, 1), rate = bytes_get(r, 1);
    unsigned i = 0;
    while (i < G_N_ELEMENTS(formats) && formats[i].number != format)
        i++;
    if (!r->ok || st->state == RUNNING || st->state == STOPPED)
        return BAD_MSG;
    if (features || channels < 1 || channels > CHANNELS || i == G_N_ELEMENTS(formats) || rate >= G_N_ELEMENTS(rates))
        return NOT_SUPP;
    give_all_back(s, n);
    *st = (Stream){.state = PARAMS, .channels = channels, .format = i, .rate = rate};
    return OK;
}

/* From which states a request leads on, and where to (5.14.6.6.1). */
static const struct { uint8_t from, to; } steps[] = {
    [PREPARE - SET_PARAMS] = {1 << PARAMS | 1 << PREPARED, PREPARED},
    [RELEASE - SET_PARAMS] = {1 << PREPARED | 1 << STOPPED, PARAMS},
    [START - SET_PARAMS] = {1 << PREPARED | 1 << STOPPED, RUNNING},
    [STOP - SET_PARAMS] = {1 << RUNNING, STOPPED},
};

static unsigned control_stream(VirtioSound *s, unsigned code, BytesReader *r)
{
    uint32_t n = bytes_get(r, 4);
    if (!r->ok || n >= s->streams)
        return BAD_MSG;
    if (code == SET_PARAMS)
        return set_params(s, n, r);
    if (!(steps[code - SET_PARAMS].from & 1 << s->stream[n].state))
        return BAD_MSG;
    if (code == STOP)
        run_stream(s, n);       /* up to now */
    s->stream[n].state = steps[code - SET_PARAMS].to;
    if (code == START)
        pace_start(&s->stream[n].pace, now(s));
    else
        audio_voice_stop(s->voice[n]);
    if (code == RELEASE)
        give_all_back(s, n);
    run_streams(s);
    return OK;
}

static void pcm_info(const VirtioSound *s, unsigned n, uint8_t *b)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++)
        all |= 1ull << formats[i].number;
    bytes_store(b + 8, all, 8);
    bytes_store(b + 16, (1u << G_N_ELEMENTS(rates)) - 1, 8);
    b[24] = direction(s, n);
    b[25] = 1;
    b[26] = CHANNELS;
}

static void jack_info(const VirtioSound *s, unsigned n, uint8_t *b) { b[16] = 1; /* something is in it */ }

static void chmap_info(const VirtioSound *s, unsigned n, uint8_t *b)
{
    b[4] = n & 1 ? INPUT : OUTPUT;
    b[5] = CHANNELS;
    b[6] = FRONT_LEFT;
    b[7] = FRONT_RIGHT;
}

/* Answers begin behind the status; an older driver may want shorter ones. */
static unsigned query(VirtioSound *s, unsigned code, BytesReader *r, VirtqElement *e, size_t *written)
{
    static void (*const fill[])(const VirtioSound *s, unsigned n, uint8_t *b) = {jack_info, pcm_info, chmap_info};
    const uint32_t bytes[] = {JACK_BYTES, INFO_BYTES, CHMAP_BYTES}, number[] = {s->jacks, s->streams, s->chmaps};
    unsigned kind = code >> 8;
    uint32_t first = bytes_get(r, 4), count = bytes_get(r, 4), size = bytes_get(r, 4);
    if (!r->ok || first > number[kind] || count > number[kind] - first || !size ||
        (uint64_t)count * size > e->in_bytes - STATUS_BYTES)
        return BAD_MSG;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t b[INFO_BYTES] = {0};
        fill[kind](s, first + i, b);
        iov_write(e->in, e->n_in, STATUS_BYTES + (size_t)i * size, b, MIN(size, bytes[kind]));
    }
    *written += (size_t)count * size;
    return OK;
}

static unsigned answer(VirtioSound *s, BytesReader *r, VirtqElement *e, size_t *written)
{
    unsigned code = bytes_get(r, 4);
    switch (code) {
    case JACK_INFO: case PCM_INFO: case CHMAP_INFO: return query(s, code, r, e, written);
    case SET_PARAMS: case PREPARE: case RELEASE: case START: case STOP: return control_stream(s, code, r);
    default: return NOT_SUPP;
    }
}

static void serve_control(VirtioDevice *v, Virtq *vq)
{
    for (VirtqElement *e; (e = virtq_pop(vq, 0));) {
        uint8_t q[REQUEST_BYTES] = {0}, status[STATUS_BYTES];
        BytesReader r = {q, iov_read(e->out, e->n_out, 0, q, sizeof(q)), true};
        size_t written = STATUS_BYTES;
        if (e->in_bytes < STATUS_BYTES || r.left < STATUS_BYTES) {
            virtio_error(v, "a request of %zu bytes with room for %zu", e->out_bytes, e->in_bytes);
            virtq_unpop(vq, e);
            return;
        }
        unsigned result = answer((VirtioSound *)v, &r, e, &written);
        trace(request, "0x%x: 0x%x", load32(q), result);
        bytes_store(status, result, sizeof(status));
        iov_write(e->in, e->n_in, 0, status, sizeof(status));
        virtq_push(vq, e, (uint32_t)written);
    }
    virtq_flush(vq);
}

/* Nothing happens to jacks, and periods are told by their buffers: events never come. */
static void serve_events(VirtioDevice *v, Virtq *vq) { }

/* ---- life ---- */

static void get_config(VirtioDevice *v, uint8_t *c)
{
    const VirtioSound *s = (VirtioSound *)v;
    bytes_store(c, s->jacks, 4);
    bytes_store(c + 4, s->streams, 4);
    bytes_store(c + 8, s->chmaps, 4);
}

static void stop(VirtioDevice *v)
{
    VirtioSound *s = (VirtioSound *)v;
    timer_cancel(&s->work);
    for (unsigned n = 0; n < s->streams; n++) {
        while (!g_queue_is_empty(&s->pending[n]))
            virtq_push(direction(s, n) == OUTPUT ? s->tx : s->rx, g_queue_pop_head(&s->pending[n]), 0);
        audio_voice_stop(s->voice[n]);
        s->stream[n] = (Stream){0};
    }
}

static bool realize(Device *d, GError **error)
{
    VirtioSound *s = (VirtioSound *)d;
    if (s->streams < 1 || s->streams > MAX_STREAMS || s->jacks > MAX_JACKS || s->chmaps > MAX_CHMAPS)
        return error_set(error, "virtio-sound: expected streams from 1 to %d, jacks to %d, chmaps to %d", MAX_STREAMS,
                         MAX_JACKS, MAX_CHMAPS);
    s->control = virtio_add_queue(&s->v, CONTROL_SIZE, serve_control);
    virtio_add_queue(&s->v, EVENT_SIZE, serve_events);
    s->tx = virtio_add_queue(&s->v, DATA_SIZE, serve_data);
    s->rx = virtio_add_queue(&s->v, DATA_SIZE, serve_data);
    for (unsigned n = 0; n < s->streams; n++) {
        g_queue_init(&s->pending[n]);
        s->voice[n] = audio_voice_new(s->audiodev);
    }
    return true;
}

static void unrealize(Device *d)
{
    VirtioSound *s = (VirtioSound *)d;
    virtio_stop(&s->v);
    for (unsigned n = 0; n < s->streams; n++)
        g_clear_pointer(&s->voice[n], audio_voice_free);
}

static void restored(Device *d)
{
    VirtioSound *s = (VirtioSound *)d;
    for (Stream *st = s->stream; st < s->stream + MAX_STREAMS; st++) {
        if (st->state >= STATES || st->channels < 1 || st->channels > CHANNELS || st->format >= G_N_ELEMENTS(formats) ||
            st->rate >= G_N_ELEMENTS(rates))
            *st = (Stream){0};
    }
}

static const VirtioClass cls = {.id = 25, .config_size = 12, .get_config = get_config, .stop = stop};
static const Field fields[] = {
    HOST(VirtioSound, v), HOST(VirtioSound, control), HOST(VirtioSound, tx), HOST(VirtioSound, rx),
    TIMER(VirtioSound, work, work), HOST(VirtioSound, voice), HOST(VirtioSound, pending),
    SAVED(VirtioSound, stream, .keep = true),
    PROP(VirtioSound, audiodev, "audiodev", PROP_AUDIODEV, .desc = "Where the sound goes"),
    PROP(VirtioSound, jacks, "jacks", PROP_U32),
    PROP(VirtioSound, streams, "streams", PROP_U32, .init = 2),
    PROP(VirtioSound, chmaps, "chmaps", PROP_U32),
};
static const DeviceType virtio_sound = {
    .name = "virtio-sound-device", .parent = "virtio-device", .desc = "virtio sound card", .size = sizeof(VirtioSound),
    .bus = "virtio-bus", .category = DEVICE_SOUND, .pluggable = true, FIELDS(fields), .realize = realize,
    .unrealize = unrealize, .restored = restored, .ext = &cls,
};
DEVICE_TYPE(virtio_sound);
