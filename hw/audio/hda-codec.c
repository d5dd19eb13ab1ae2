/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HDA codecs: a converter and a jack for playback, the same for recording. Spec: High Definition Audio 1.0a,
 * chapter 7. Identities and widgets are those that guests know from QEMU.
 */
#include <math.h>
#include "hw/audio/hda.h"

enum {
    ROOT = 0, GROUP, DAC, OUT_PIN, ADC, IN_PIN,
    /* parameters */
    P_VENDOR = 0, P_SUBSYSTEM, P_REVISION, P_NODES = 4, P_FUNCTION, P_GROUP_CAPS = 8, P_WIDGET, P_PCM, P_STREAM, P_PIN,
    P_AMP_IN, P_CONNECTIONS, P_AMP_OUT = 0x12,
    /* verbs with 8 bits of payload, with 16 bits */
    GET_PARAMETER = 0xf00, GET_CONNECTION = 0xf02, GET_POWER = 0xf05, SET_POWER = 0x705, GET_STREAM = 0xf06,
    SET_STREAM = 0x706, GET_PIN = 0xf07, SET_PIN = 0x707, GET_CONFIG = 0xf1c, GET_SUBSYSTEM = 0xf20,
    SET_FORMAT = 2, GET_FORMAT = 0xa, SET_AMP = 3, GET_AMP = 0xb,
    MUTE = 0x80, UNITY = 0x4a, AMP_OUT = 0x8000, AMP_LEFT = 0x2000, AMP_RIGHT = 0x1000, AMP_IN = 0x4000,
    PCM_16 = 0x201fc, AMP_CAPS = 0x80034a4a, REVISION = 0x100101,
};

/* What a type is. */
typedef struct Model {
    HdaCodecClass;
    uint16_t id;                /* 1af4:ID0, or ID1 without a mixer */
    bool input;
    uint32_t out_config, in_config;
} Model;

typedef struct HdaAudio {
    HdaCodec hda;
    AudioBackend *audiodev;
    AudioVoice *voice;
    bool mixer;
    /* the playing side, the recording side */
    uint16_t format[2];
    uint8_t stream[2], pin[2], left[2], right[2];
    uint8_t power;
} HdaAudio;

static const Model *model_of(const HdaAudio *s) { return (const Model *)s->hda.cls; }
static uint32_t id_of(const HdaAudio *s) { return 0x1af40000u | model_of(s)->id << 4 | (s->mixer ? 2 : 1); }
static unsigned n_nodes(const HdaAudio *s) { return model_of(s)->input ? IN_PIN + 1 : OUT_PIN + 1; }
static bool is_converter(unsigned node) { return node == DAC || node == ADC; }
static bool is_pin(unsigned node) { return node == OUT_PIN || node == IN_PIN; }
static unsigned side(unsigned node) { return node >= ADC; }

/* ---- commands ---- */

static uint32_t widget(const HdaAudio *s, unsigned node)
{
    switch (node) {
    case DAC: return s->mixer ? 0x1d : 0x11;
    case OUT_PIN: return 0x400101;
    case ADC: return s->mixer ? 0x10011b : 0x100111;
    case IN_PIN: return 0x400001;
    default: return 0;
    }
}

static uint32_t parameter(const HdaAudio *s, unsigned node, unsigned n)
{
    bool group = node == GROUP, converter = is_converter(node);
    switch (n) {
    case P_VENDOR: return node == ROOT ? id_of(s) : 0;
    case P_SUBSYSTEM: return node <= GROUP ? id_of(s) : 0;
    case P_REVISION: return node == ROOT ? REVISION : 0;
    case P_NODES: return node == ROOT ? GROUP << 16 | 1 : group ? DAC << 16 | (n_nodes(s) - DAC) : 0;
    case P_FUNCTION: return group;
    case P_GROUP_CAPS: return group ? 0x808 : 0;
    case P_WIDGET: return widget(s, node);
    case P_PCM: return group || converter ? PCM_16 : 0;
    case P_STREAM: return group || converter;
    case P_PIN: return node == OUT_PIN ? 0x10 : node == IN_PIN ? 0x20 : 0;
    case P_AMP_IN: return node == ADC && s->mixer ? AMP_CAPS : 0;
    case P_AMP_OUT: return node == DAC && s->mixer ? AMP_CAPS : 0;
    case P_CONNECTIONS: return node == OUT_PIN || node == ADC;
    default: return 0;
    }
}

static uint32_t gain(uint8_t amp)
{
    return amp & MUTE ? 0 : (uint32_t)lround(AUDIO_GAIN_ONE * pow(10, ((int)MIN(amp, UNITY) - UNITY) / 20.0));
}

static void update_gain(HdaAudio *s)
{
    audio_voice_gain(s->voice, s->mixer ? gain(s->left[0]) : AUDIO_GAIN_ONE,
                     s->mixer ? gain(s->right[0]) : AUDIO_GAIN_ONE);
}

static void set_amp(HdaAudio *s, unsigned node, uint32_t v)
{
    if (!is_converter(node) || !(v & (node == DAC ? AMP_OUT : AMP_IN)))
        return;
    if (v & AMP_LEFT)
        s->left[side(node)] = v & 0xff;
    if (v & AMP_RIGHT)
        s->right[side(node)] = v & 0xff;
    update_gain(s);
}

static uint32_t wide_verb(HdaAudio *s, unsigned node, unsigned verb, uint32_t v)
{
    if (!is_converter(node))
        return 0;
    switch (verb) {
    case SET_FORMAT: s->format[side(node)] = v & 0x7fff; return 0;
    case GET_FORMAT: return s->format[side(node)];
    case SET_AMP: set_amp(s, node, v); return 0;
    case GET_AMP: return !(v & AMP_OUT) == (node == DAC) ? 0 : v & AMP_LEFT ? s->left[side(node)] : s->right[side(node)];
    default: return 0;
    }
}

static uint32_t verb(HdaAudio *s, unsigned node, unsigned verb, uint8_t v)
{
    unsigned i = side(node);
    switch (verb) {
    case GET_PARAMETER: return parameter(s, node, v);
    case GET_CONNECTION: return v ? 0 : node == OUT_PIN ? DAC : node == ADC ? IN_PIN : 0;
    case GET_POWER: return s->power << 4 | s->power;
    case SET_POWER: s->power = v & 15; return 0;
    case GET_STREAM: return is_converter(node) ? s->stream[i] : 0;
    case SET_STREAM:
        if (is_converter(node))
            s->stream[i] = v;
        return 0;
    case GET_PIN: return is_pin(node) ? s->pin[i] : 0;
    case SET_PIN:
        if (is_pin(node))
            s->pin[i] = v;
        return 0;
    case GET_CONFIG: return node == OUT_PIN ? model_of(s)->out_config : node == IN_PIN ? model_of(s)->in_config : 0;
    case GET_SUBSYSTEM: return id_of(s);
    default: return 0;
    }
}

static bool command(HdaCodec *c, uint32_t command, uint32_t *response)
{
    HdaAudio *s = (HdaAudio *)c;
    unsigned node = command >> 20 & 0x7f, wide = command >> 16 & 15;
    if (node >= n_nodes(s))
        *response = 0;
    else if (wide == 7 || wide == 15)
        *response = verb(s, node, command >> 8 & 0xfff, command);
    else
        *response = wide_verb(s, node, wide, command & 0xffff);
    return true;
}

/* ---- streams ---- */

static bool has(const HdaAudio *s, unsigned node, unsigned tag)
{
    return node < n_nodes(s) && tag && s->stream[side(node)] >> 4 == tag;
}

static void run(HdaCodec *c, unsigned tag, bool output, bool on)
{
    HdaAudio *s = (HdaAudio *)c;
    AudioPcm pcm = hda_format(s->format[0]);
    if (!output || !has(s, DAC, tag))
        return;
    if (on)
        audio_voice_start(s->voice, &pcm);
    else
        audio_voice_stop(s->voice);
}

static bool play(HdaCodec *c, unsigned tag, const uint8_t *data, size_t n)
{
    HdaAudio *s = (HdaAudio *)c;
    AudioPcm pcm = hda_format(s->format[0]);
    if (!has(s, DAC, tag))
        return false;
    audio_voice_start(s->voice, &pcm);      /* drivers may choose the converter after the stream */
    audio_voice_write(s->voice, data, n / audio_frame_bytes(&pcm));
    return true;
}

static bool record(HdaCodec *c, unsigned tag, uint8_t *data, size_t n)
{
    HdaAudio *s = (HdaAudio *)c;
    AudioPcm pcm = hda_format(s->format[1]);
    if (!has(s, ADC, tag))
        return false;
    audio_record(s->audiodev, &pcm, data, n / audio_frame_bytes(&pcm));
    return true;
}

/* ---- the device ---- */

static bool realize(Device *d, GError **error)
{
    HdaAudio *s = (HdaAudio *)d;
    s->voice = audio_voice_new(s->audiodev);
    s->hda.period = audio_period_ns(s->audiodev);
    return true;
}

static void unrealize(Device *d) { g_clear_pointer(&((HdaAudio *)d)->voice, audio_voice_free); }

static void reset(Device *d)
{
    HdaAudio *s = (HdaAudio *)d;
    audio_voice_stop(s->voice);
    for (unsigned i = 0; i < 2; i++)
        s->left[i] = s->right[i] = UNITY;
    s->pin[0] = 0x40;
    s->pin[1] = 0x20;
    update_gain(s);
}

static void restored(Device *d) { update_gain((HdaAudio *)d); }

static const Field fields[] = {
    PROP(HdaAudio, audiodev, "audiodev", PROP_AUDIODEV, .desc = "Where the sound goes"), HOST(HdaAudio, voice),
    PROP(HdaAudio, mixer, "mixer", PROP_BOOL, .init = 1, .desc = "Volume and mute in the codec"),
    SAVED(HdaAudio, format), SAVED(HdaAudio, stream), SAVED(HdaAudio, pin), SAVED(HdaAudio, left),
    SAVED(HdaAudio, right), SAVED(HdaAudio, power),
};

#define CODEC(ident, name_, id_, input_, out_, in_, desc_)                                                          \
    static const Model ident##_model = {                                                                            \
        .command = command, .run = run, .play = play, .record = record, .id = id_, .input = input_,                 \
        .out_config = out_, .in_config = in_,                                                                       \
    };                                                                                                              \
    static const DeviceType ident = {                                                                               \
        .name = name_, .parent = "hda-codec", .desc = desc_, .size = sizeof(HdaAudio), .category = DEVICE_SOUND,    \
        .pluggable = true, FIELDS(fields), .realize = realize, .unrealize = unrealize, .reset = reset,              \
        .restored = restored, .ext = &ident##_model,                                                                \
    };                                                                                                              \
    DEVICE_TYPE(ident)

CODEC(output, "hda-output", 1, false, 0x004010, 0, "HDA codec, line out");
CODEC(duplex, "hda-duplex", 2, true, 0x004010, 0x805020, "HDA codec, line out and in");
CODEC(micro, "hda-micro", 3, true, 0x104010, 0xa05020, "HDA codec, loudspeaker and microphone");
