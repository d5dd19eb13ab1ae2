/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AC '97 controller of the 82801AA with a STAC9700. Specs: Intel 82801AA datasheet (290655), chapter 13; AC '97 2.3.
 *
 * BAR 0 is the codec's mixer, BAR 1 the bus master. Three boxes move samples: PCM in, PCM out, microphone.
 */
#include <math.h>
#include <string.h>
#include "audio/audio.h"
#include "audio/pace.h"
#include "hw/pci.h"

enum {
    PCM_IN, PCM_OUT, MIC, BOXES,
    MIXER = 0x400, MIXER_BYTES = 0x80, BUS_MASTER = 0x100, ENTRIES = 32, MIN_TICK_NS = 500000, MAX_STEPS = 2 * ENTRIES,
    /* mixer registers */
    M_RESET = 0, M_MASTER = 0x02, M_PCM = 0x18, M_SELECT = 0x1a, M_RECORD = 0x1c, M_POWER = 0x26, M_EXTENDED = 0x28,
    M_CONTROL = 0x2a, M_FRONT_RATE = 0x2c, M_SURROUND_RATE = 0x2e, M_LFE_RATE = 0x30, M_IN_RATE = 0x32,
    M_MIC_RATE = 0x34, M_VENDOR1 = 0x7c, M_VENDOR2 = 0x7e, VRA = 1, VRM = 8, MUTE = 0x8000, READY = 0xf,
    /* status, control of a box; a descriptor's flags */
    SR_HALTED = 1, SR_LAST = 2, SR_LVBCI = 4, SR_BCIS = 8, SR_FIFOE = 0x10,
    CR_RUN = 1, CR_RESET = 2, CR_LVBIE = 4, CR_FEIE = 8, CR_IOCE = 0x10, ENTRY_IOC = 1 << 31,
    CNT_COLD = 2, CNT_WARM = 4, STA_READY = 0x100,
};

typedef struct Ac97 {
    PciDevice pci;
    Timer work;
    uint16_t mixer[MIXER_BYTES / 2];
    uint32_t bdbar[BOXES], global_control, global_status;
    uint8_t civ[BOXES], lvi[BOXES], piv[BOXES], cr[BOXES], semaphore;
    uint16_t sr[BOXES], picb[BOXES];
    uint32_t at[BOXES], flags[BOXES];   /* of the buffer at work */
    Pace pace[BOXES];
    AudioBackend *audiodev;
    AudioVoice *voice;
} Ac97;

static int64_t now(const Ac97 *s) { return clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL); }

/* ---- mixer ---- */

static const struct { uint8_t at; uint16_t bits, reset; } mixer_rows[] = {
    {M_MASTER, 0xbf3f, MUTE}, {M_PCM, 0x9f1f, 0x8808}, {M_SELECT, 0x0707, 0}, {M_RECORD, 0x8f0f, 0x8808},
    {M_POWER, 0xff00, READY}, {M_EXTENDED, 0, VRA | VRM | 0x800}, {M_CONTROL, VRA | VRM, VRA | VRM},
    {M_FRONT_RATE, 0xffff, 48000}, {M_SURROUND_RATE, 0xffff, 48000}, {M_LFE_RATE, 0xffff, 48000},
    {M_IN_RATE, 0xffff, 48000}, {M_MIC_RATE, 0xffff, 48000}, {M_VENDOR1, 0, 0x8384}, {M_VENDOR2, 0, 0x7600},
};

static uint16_t setting(const Ac97 *s, unsigned at) { return s->mixer[at / 2]; }

/* Steps of 1.5 dB: attenuation at the master, around +12 dB at the PCM input. */
static uint32_t gain(const Ac97 *s, unsigned shift)
{
    unsigned master = setting(s, M_MASTER) >> shift & 0x3f, pcm = setting(s, M_PCM) >> shift & 0x1f;
    if ((setting(s, M_MASTER) | setting(s, M_PCM)) & MUTE)
        return 0;
    return (uint32_t)lround(AUDIO_GAIN_ONE * pow(10, (12 - 1.5 * (int)(master + pcm)) / 20));
}

static void update_gain(Ac97 *s) { audio_voice_gain(s->voice, gain(s, 8), gain(s, 0)); }

static void reset_mixer(Ac97 *s)
{
    memset(s->mixer, 0, sizeof(s->mixer));
    for (unsigned i = 0; i < G_N_ELEMENTS(mixer_rows); i++)
        s->mixer[mixer_rows[i].at / 2] = mixer_rows[i].reset;
    update_gain(s);
}

/* Rates that are not variable are 48 kHz. */
static bool is_fixed(const Ac97 *s, unsigned at)
{
    return (at >= M_FRONT_RATE && at <= M_IN_RATE && !(setting(s, M_CONTROL) & VRA)) ||
           (at == M_MIC_RATE && !(setting(s, M_CONTROL) & VRM));
}

static void fix_rates(Ac97 *s)
{
    for (unsigned at = M_FRONT_RATE; at <= M_MIC_RATE; at += 2)
        if (is_fixed(s, at))
            s->mixer[at / 2] = 48000;
}

static void run_boxes(Ac97 *s);

static void write_setting(Ac97 *s, unsigned at, uint16_t v)
{
    if (at == M_RESET)
        reset_mixer(s);
    for (unsigned i = 0; i < G_N_ELEMENTS(mixer_rows); i++) {
        uint16_t bits = mixer_rows[i].bits;
        if (mixer_rows[i].at == at && !is_fixed(s, at))
            s->mixer[at / 2] = (s->mixer[at / 2] & ~bits) | (v & bits);
    }
    fix_rates(s);
    update_gain(s);
}

static uint64_t read_mixer(Device *d, uint64_t at, unsigned size)
{
    Ac97 *s = (Ac97 *)d;
    uint64_t v = 0;
    if (at >= MIXER)
        return UINT64_MAX >> (64 - 8 * size);
    for (unsigned i = 0; i < size && at + i < MIXER_BYTES; i++)
        v |= (uint64_t)(uint8_t)(s->mixer[(at + i) / 2] >> 8 * ((at + i) & 1)) << 8 * i;
    s->semaphore = 0;
    return v;
}

static void write_mixer(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    Ac97 *s = (Ac97 *)d;
    if (at >= MIXER_BYTES)
        return;
    run_boxes(s);               /* up to now with the old settings */
    for (unsigned i = 0; i + 1 < size && at + i < MIXER_BYTES; i += 2)
        write_setting(s, (at + i) & ~1ull, v >> 8 * i);
    s->semaphore = 0;
}

/* ---- boxes ---- */

static AudioPcm pcm_of(const Ac97 *s, unsigned n)
{
    static const uint8_t rates[] = {M_IN_RATE, M_FRONT_RATE, M_MIC_RATE};
    uint16_t rate = setting(s, rates[n]);
    return (AudioPcm){rate ? rate : 48000, n == MIC ? 1 : 2, AUDIO_FORMAT_S16};
}

static bool moves(const Ac97 *s, unsigned n) { return s->cr[n] & CR_RUN && !(s->sr[n] & SR_HALTED); }

static bool wants_interrupt(const Ac97 *s, unsigned n)
{
    return (s->sr[n] & SR_LVBCI && s->cr[n] & CR_LVBIE) || (s->sr[n] & SR_BCIS && s->cr[n] & CR_IOCE) ||
           (s->sr[n] & SR_FIFOE && s->cr[n] & CR_FEIE);
}

static void update(Ac97 *s)
{
    s->global_status = STA_READY;
    for (unsigned n = 0; n < BOXES; n++)
        s->global_status |= wants_interrupt(s, n) ? 0x20u << n : 0;
    pci_intx(&s->pci, s->global_status != STA_READY);
}

/* The next buffer becomes the one at work. */
static void advance(Ac97 *s, unsigned n)
{
    uint32_t w[2] = {0};
    s->civ[n] = s->piv[n];
    s->piv[n] = (s->piv[n] + 1) % ENTRIES;
    pci_dma_read(&s->pci, s->bdbar[n] + 8 * s->civ[n], w, sizeof(w));
    s->at[n] = GUINT32_FROM_LE(w[0]) & ~3u;
    s->flags[n] = GUINT32_FROM_LE(w[1]) & ~0xffffu;
    s->picb[n] = GUINT32_FROM_LE(w[1]);
}

/* From where it stands in a buffer, or with the next one. */
static void begin(Ac97 *s, unsigned n)
{
    if (s->sr[n] & SR_LAST || !s->picb[n])
        advance(s, n);
    s->sr[n] &= ~(SR_HALTED | SR_LAST);
    pace_start(&s->pace[n], now(s));
}

static void buffer_done(Ac97 *s, unsigned n)
{
    if (s->flags[n] & ENTRY_IOC)
        s->sr[n] |= SR_BCIS;
    if (s->civ[n] == s->lvi[n]) {
        s->sr[n] |= SR_LVBCI | SR_LAST | SR_HALTED;
    } else {
        advance(s, n);
    }
}

static uint32_t move(Ac97 *s, unsigned n, uint8_t *data, uint32_t bytes)
{
    uint32_t done = 0;
    for (unsigned step = 0; done < bytes && moves(s, n) && step < MAX_STEPS; step++) {
        uint32_t part = MIN(bytes - done, 2u * s->picb[n]);
        if (n == PCM_OUT)
            pci_dma_read(&s->pci, s->at[n], data + done, part);
        else
            pci_dma_write(&s->pci, s->at[n], data + done, part);
        done += part;
        s->at[n] += part;
        s->picb[n] -= part / 2;
        if (!s->picb[n])
            buffer_done(s, n);
    }
    return done;
}

static void run_box(Ac97 *s, unsigned n)
{
    AudioPcm pcm = pcm_of(s, n);
    uint32_t frames = pace_due(&s->pace[n], pcm.rate, now(s)), frame = audio_frame_bytes(&pcm);
    if (!frames)
        return;
    g_autofree uint8_t *data = g_malloc0(frames * frame);
    if (n != PCM_OUT)
        audio_record(s->audiodev, &pcm, data, frames);
    uint32_t done = move(s, n, data, frames * frame);
    if (n == PCM_OUT) {
        audio_voice_start(s->voice, &pcm);
        audio_voice_write(s->voice, data, done / frame);
    }
    pace_pass(&s->pace[n], pcm.rate, frames);
}

static int64_t next_look(const Ac97 *s, unsigned n)
{
    AudioPcm pcm = pcm_of(s, n);
    int64_t when = now(s) + audio_period_ns(s->audiodev);
    if (s->flags[n] & ENTRY_IOC || s->civ[n] == s->lvi[n])
        when = MIN(when, pace_when(&s->pace[n], pcm.rate, (s->picb[n] + pcm.channels - 1) / pcm.channels));
    return MAX(when, now(s) + MIN_TICK_NS);
}

static void run_boxes(Ac97 *s)
{
    int64_t when = INT64_MAX;
    for (unsigned n = 0; n < BOXES; n++) {
        if (moves(s, n))
            run_box(s, n);
        if (moves(s, n))
            when = MIN(when, next_look(s, n));
    }
    if (!moves(s, PCM_OUT))
        audio_voice_stop(s->voice);
    if (when == INT64_MAX)
        timer_cancel(&s->work);
    else
        timer_arm(&s->work, when);
    update(s);
}

static void work(Device *d) { run_boxes((Ac97 *)d); }

static void reset_box(Ac97 *s, unsigned n)
{
    s->bdbar[n] = s->at[n] = s->flags[n] = 0;
    s->civ[n] = s->lvi[n] = s->piv[n] = 0;
    s->picb[n] = 0;
    s->sr[n] = SR_HALTED;
    s->cr[n] &= CR_LVBIE | CR_FEIE | CR_IOCE;
}

/* ---- bus master registers ---- */

static uint64_t read_civ(Device *d, unsigned n) { run_boxes((Ac97 *)d); return ((Ac97 *)d)->civ[n]; }
static uint64_t read_sr(Device *d, unsigned n) { run_boxes((Ac97 *)d); return ((Ac97 *)d)->sr[n]; }
static uint64_t read_picb(Device *d, unsigned n) { run_boxes((Ac97 *)d); return ((Ac97 *)d)->picb[n]; }
static uint64_t read_cr(Device *d, unsigned n) { return ((Ac97 *)d)->cr[n]; }

static void write_sr(Device *d, unsigned n, uint64_t v)
{
    ((Ac97 *)d)->sr[n] &= ~v;
    update((Ac97 *)d);
}

/* More buffers: a box that ran out of them goes on. */
static void wrote_lvi(Device *d, unsigned n, uint64_t v)
{
    Ac97 *s = (Ac97 *)d;
    if (s->cr[n] & CR_RUN && s->sr[n] & SR_HALTED)
        begin(s, n);
    run_boxes(s);
}

static void write_cr(Device *d, unsigned n, uint64_t v)
{
    Ac97 *s = (Ac97 *)d;
    run_boxes(s);               /* up to now */
    bool was = s->cr[n] & CR_RUN;
    if (v & CR_RESET) {
        reset_box(s, n);
    } else {
        s->cr[n] = v;
        if (!was && v & CR_RUN)
            begin(s, n);
        else if (was && !(v & CR_RUN))
            s->sr[n] |= SR_HALTED;
    }
    run_boxes(s);
}

static void wrote_global(Device *d, uint64_t v)
{
    Ac97 *s = (Ac97 *)d;
    if (!(v & CNT_COLD))        /* codec in reset */
        reset_mixer(s);
    s->global_control &= ~CNT_WARM;
}

static uint64_t read_semaphore(Device *d)
{
    Ac97 *s = (Ac97 *)d;
    uint8_t was = s->semaphore;
    s->semaphore = 1;
    return was;
}

#define BOX_ROW(at_, name_, kind_, ...) REG(MIXER + (at_), name_, kind_, .stride = 0x10, __VA_ARGS__)
static const Reg regs[] = {
    BOX_ROW(0x0, "BDBAR", RW, IN_ARRAY(Ac97, bdbar), .bits = 0xfffffff8),
    BOX_ROW(0x4, "CIV", RO, .count = BOXES, .width = 1, .read_at = read_civ),
    BOX_ROW(0x5, "LVI", RW, .width = 1, IN_ARRAY(Ac97, lvi), .bits = 0x1f, .wrote_at = wrote_lvi),
    BOX_ROW(0x6, "SR", W1C, .count = BOXES, .width = 2, .bits = 0x1c, .read_at = read_sr, .wrote_at = write_sr),
    BOX_ROW(0x8, "PICB", RO, .count = BOXES, .width = 2, .read_at = read_picb),
    BOX_ROW(0xa, "PIV", RO, .width = 1, IN_ARRAY(Ac97, piv)),
    BOX_ROW(0xb, "CR", RW, .count = BOXES, .width = 1, .bits = 0x1f, .read_at = read_cr, .wrote_at = write_cr),
    REG(MIXER + 0x2c, "GLOB_CNT", RW, IN(Ac97, global_control), .bits = 0x3f, .wrote = wrote_global),
    REG(MIXER + 0x30, "GLOB_STA", RO, IN(Ac97, global_status), .reset = STA_READY),
    REG(MIXER + 0x34, "CAS", RO, .width = 1, .read = read_semaphore),
};

/* ---- the device ---- */

static bool realize(Device *d, GError **error)
{
    Ac97 *s = (Ac97 *)d;
    MemRegion *mixer = mem_alias(&d->object, "ac97-nam", d->mmio, 0, MIXER);
    MemRegion *master = mem_alias(&d->object, "ac97-nabm", d->mmio, MIXER, BUS_MASTER);
    mem_add(pci_bar_region(&s->pci, 0), 0, mixer, 0);
    mem_add(pci_bar_region(&s->pci, 1), 0, master, 0);
    s->voice = audio_voice_new(s->audiodev);
    return true;
}

static void unrealize(Device *d) { g_clear_pointer(&((Ac97 *)d)->voice, audio_voice_free); }

static void reset(Device *d)
{
    Ac97 *s = (Ac97 *)d;
    for (unsigned n = 0; n < BOXES; n++) {
        s->cr[n] = 0;
        reset_box(s, n);
    }
    s->global_control = 0;
    s->semaphore = 0;
    reset_mixer(s);
    run_boxes(s);
}

static void restored(Device *d)
{
    Ac97 *s = (Ac97 *)d;
    s->semaphore &= 1;
    for (unsigned n = 0; n < BOXES; n++) {
        s->civ[n] %= ENTRIES;
        s->piv[n] %= ENTRIES;
        s->lvi[n] %= ENTRIES;
        s->cr[n] &= 0x1d;
        s->sr[n] &= 0x1f;
    }
    update_gain(s);
    update(s);
}

static const Field fields[] = {
    TIMER(Ac97, work, work), SAVED(Ac97, mixer), SAVED(Ac97, civ), SAVED(Ac97, cr), SAVED(Ac97, sr),
    SAVED(Ac97, picb), SAVED(Ac97, semaphore), SAVED(Ac97, at), SAVED(Ac97, flags), SAVED(Ac97, pace),
    PROP(Ac97, audiodev, "audiodev", PROP_AUDIODEV, .desc = "Where the sound goes"), HOST(Ac97, voice),
};
static const PciInfo info = {
    .vendor = 0x8086, .device = 0x2415, .class = 0x040100, .revision = 1, .pin = 1,
    .bar = {{.kind = PCI_BAR_IO, .size = MIXER}, {.kind = PCI_BAR_IO, .size = BUS_MASTER}},
};
static const char *const aliases[] = {"ac97", NULL};
static const DeviceType ac97 = {
    .name = "AC97", .parent = "pci-device", .aliases = aliases, .desc = "Intel 82801AA AC97 Audio",
    .size = sizeof(Ac97), .category = DEVICE_SOUND, .pluggable = true, .hotpluggable = true,
    .window = MIXER + BUS_MASTER, .max_access = 4, REGS(regs), .read = read_mixer, .write = write_mixer,
    FIELDS(fields), .realize = realize, .unrealize = unrealize, .reset = reset, .restored = restored, .pci = &info,
};
DEVICE_TYPE(ac97);
