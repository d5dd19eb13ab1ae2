/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port 0x61: speaker gate and the PIT's channel 2 as seen by calibration loops. With an audio back end the
 * speaker sounds, as a square wave of channel 2's rate.
 */
#include "audio/audio.h"
#include "audio/pace.h"
#include "hw/pc-chips.h"

enum { PIT_HZ = 1193182, RATE = 44100, LOUDNESS = 8192, ON = 3 };

typedef struct Speaker {
    Device dev;
    Device *pit;
    uint8_t control;            /* bit 0 gate of channel 2, bit 1 speaker data */
    bool refresh;               /* toggles with each read, as the refresh request did */
    AudioBackend *audiodev;
    AudioVoice *voice;
    Timer look;
    Pace pace;
    uint64_t phase;             /* in the wave: PIT ticks * RATE */
} Speaker;

static const AudioPcm pcm = {RATE, 1, AUDIO_FORMAT_S16};

static int64_t now(const Speaker *s) { return clock_ns(s->dev.object.vm, CLOCK_K_VIRTUAL); }
static bool sounds(const Speaker *s) { return s->voice && s->pit && (s->control & ON) == ON; }

/* What is due. Waves that nobody hears are silence. */
static void play(Speaker *s)
{
    uint32_t n = pace_due(&s->pace, RATE, now(s));
    uint64_t length = (uint64_t)i8254_period(s->pit, 2) * RATE;
    int16_t samples[RATE * PACE_MAX_LATE_MS / 1000 + 1];
    for (uint32_t i = 0; i < n; i++) {
        bool silent = length < 2ull * PIT_HZ;
        samples[i] = (int16_t)GINT16_TO_LE(silent ? 0 : s->phase % length < length / 2 ? LOUDNESS : -LOUDNESS);
        s->phase = silent ? 0 : (s->phase + PIT_HZ) % length;
    }
    audio_voice_start(s->voice, &pcm);
    audio_voice_write(s->voice, samples, n);
    pace_pass(&s->pace, RATE, n);
}

static void look(Device *d)
{
    Speaker *s = (Speaker *)d;
    if (!sounds(s))
        return;
    play(s);
    timer_arm(&s->look, now(s) + audio_period_ns(s->audiodev));
}

static uint64_t read_port(Device *d)
{
    Speaker *s = (Speaker *)d;
    s->refresh = !s->refresh;
    s->control = s->pit ? i8254_control(s->pit) : s->control;
    return s->control | s->refresh << 4 | (s->pit && i8254_output(s->pit, 2)) << 5;
}

static void write_port(Device *d, uint64_t value)
{
    Speaker *s = (Speaker *)d;
    bool was = sounds(s);
    if (was)
        play(s);
    s->control = value & ON;
    if (s->pit)
        i8254_set_control(s->pit, s->control);
    if (!was && sounds(s)) {
        s->phase = 0;
        pace_start(&s->pace, now(s));
        look(d);
    } else if (was && !sounds(s)) {
        timer_cancel(&s->look);
        audio_voice_stop(s->voice);
    }
}

static bool realize(Device *d, GError **error)
{
    Speaker *s = (Speaker *)d;
    s->voice = s->audiodev ? audio_voice_new(s->audiodev) : NULL;
    return true;
}

/* (Where the accelerator has the port, only it knows.) */
static void saving(Device *d)
{
    Speaker *s = (Speaker *)d;
    s->control = s->pit ? i8254_control(s->pit) : s->control;
}

static void unrealize(Device *d) { g_clear_pointer(&((Speaker *)d)->voice, audio_voice_free); }

static void reset(Device *d)
{
    if (((Speaker *)d)->voice)
        audio_voice_stop(((Speaker *)d)->voice);
}

static const Reg regs[] = {
    REG(0, "PORTB", RW, .width = 1, .read = read_port, .wrote = write_port),
};
static const Field fields[] = {
    LINK(Speaker, pit), SAVED(Speaker, control), SAVED(Speaker, refresh), HOST(Speaker, voice),
    PROP(Speaker, audiodev, "audiodev", PROP_AUDIODEV, .desc = "Where the sound goes"), TIMER(Speaker, look, look),
    SAVED(Speaker, pace), SAVED(Speaker, phase),
};
static const DeviceType pcspk = {
    .name = "isa-pcspk", .desc = "PC speaker port", .size = sizeof(Speaker), .window = 1, .category = DEVICE_SOUND,
    .max_access = 1, REGS(regs), FIELDS(fields), .realize = realize, .unrealize = unrealize, .saving = saving, .reset = reset,
};
DEVICE_TYPE(pcspk);

Device *pcspk_new(Vm *vm, Device *pit, void *audiodev)
{
    Speaker *s = (Speaker *)device_draft(vm, "isa-pcspk");
    s->pit = pit;
    s->audiodev = audiodev;
    device_start(&s->dev);
    device_place_io(&s->dev, 0x61);
    return &s->dev;
}
