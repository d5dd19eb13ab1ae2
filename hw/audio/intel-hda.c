/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's High Definition Audio controllers of the ICH6 and ICH9. Spec: High Definition Audio 1.0a, chapters 3 and 4.
 *
 * Streams move data when their time has come: on a timer at the end of each buffer that asks for an interrupt
 * and in between, and when the guest reads a position.
 */
#include <string.h>
#include "hw/audio/hda.h"
#include "audio/pace.h"
#include "hw/pci.h"
#include "util/error.h"

enum {
    INPUTS = 4, WINDOW = 0x4000, ENTRIES = 256, MIN_TICK_NS = 500000, MAX_STEPS = 2 * ENTRIES,
    GCTL_CRST = 1, INTCTL_CIE = 1 << 30, INTSTS_ANY = 1u << 31,
    CORBCTL_RUN = 2, RIRBCTL_INT = 1, RIRBCTL_RUN = 2, RIRBSTS_INT = 1, RIRBSTS_OVERRUN = 4, POINTER_RESET = 0x8000,
    ICS_BUSY = 1, ICS_VALID = 2,
    CTL_RESET = 1, CTL_RUN = 2, CTL_IOC = 4, CTL_FIFO_INT = 8, CTL_DESC_INT = 0x10,
    STS_IOC = 4, STS_FIFO = 8, STS_DESC = 0x10, STS_READY = 0x20,
};

typedef struct Hda {
    PciDevice pci;
    Bus *link;
    Timer work;
    uint32_t gctl, intctl, ssync, corb_low, corb_high, rirb_low, rirb_high, positions_low, positions_high, response;
    uint16_t wakeen, statests, corb_wp, corb_rp, rirb_wp, rirb_count, command_status;
    uint8_t corb_ctl, corb_sts, rirb_ctl, rirb_sts;
    uint32_t command, answered, told;   /* immediate command; answers since the last interrupt; causes of it */
    int64_t wall_start;
    /* streams, inputs first */
    uint8_t ctl[HDA_STREAMS], tag[HDA_STREAMS], sts[HDA_STREAMS];
    uint32_t lpib[HDA_STREAMS], cbl[HDA_STREAMS], bdpl[HDA_STREAMS], bdpu[HDA_STREAMS];
    uint16_t lvi[HDA_STREAMS], fmt[HDA_STREAMS];
    uint16_t entry[HDA_STREAMS];        /* of the descriptor list, and bytes of it that are done */
    uint32_t entry_at[HDA_STREAMS];
    Pace pace[HDA_STREAMS];
    bool busy;                  /* within streams: positions are as they are */
    /* properties */
    int msi;
    bool old_msi_addr;
} Hda;

static int64_t now(const Hda *s) { return clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL); }
static uint64_t join(uint32_t low, uint32_t high) { return (uint64_t)high << 32 | low; }

/* ---- interrupts ---- */

static uint32_t causes(const Hda *s)
{
    uint32_t v = 0;
    for (unsigned n = 0; n < HDA_STREAMS; n++)
        if (s->sts[n] & s->ctl[n] & (STS_IOC | STS_FIFO | STS_DESC))
            v |= 1u << n;
    if ((s->rirb_sts & RIRBSTS_INT && s->rirb_ctl & RIRBCTL_INT) || s->statests & s->wakeen)
        v |= INTCTL_CIE;
    return v;
}

static uint64_t read_intsts(Device *d)
{
    Hda *s = (Hda *)d;
    uint32_t v = causes(s);
    return v & s->intctl ? v | INTSTS_ANY : v;
}

static void update(Hda *s)
{
    uint32_t wanted = s->intctl & INTSTS_ANY ? causes(s) & s->intctl : 0, fresh = wanted & ~s->told;
    s->told = wanted;
    if (pci_msi_enabled(&s->pci)) {
        pci_intx(&s->pci, false);
        if (fresh)
            pci_notify(&s->pci, 0);
    } else {
        pci_intx(&s->pci, wanted);
    }
}

static void wrote_update(Device *d, uint64_t v) { update((Hda *)d); }

/* ---- commands ---- */

static bool send(Hda *s, uint32_t command, uint32_t *response)
{
    HdaCodec *c = hda_codec_at(s->link, command >> 28);
    *response = 0;
    return c && c->cls->command(c, command & 0xfffffff, response);
}

static void answer(Hda *s, uint32_t response, unsigned cad)
{
    const uint32_t words[] = {GUINT32_TO_LE(response), GUINT32_TO_LE(cad)};
    if (!(s->rirb_ctl & RIRBCTL_RUN))
        return;
    s->rirb_wp = (s->rirb_wp + 1) % ENTRIES;
    pci_dma_write(&s->pci, join(s->rirb_low, s->rirb_high) + 8 * s->rirb_wp, words, sizeof(words));
    s->answered++;
}

/* Until all are done, or as many as the guest wants to hear of at once. */
static void run_commands(Hda *s)
{
    unsigned most = s->rirb_count & 0xff ? s->rirb_count & 0xff : ENTRIES;
    while (s->gctl & GCTL_CRST && s->corb_ctl & CORBCTL_RUN && (s->corb_rp & 0xff) != (s->corb_wp & 0xff) &&
           !(s->corb_rp & POINTER_RESET)) {
        uint32_t command = 0, response;
        if (s->answered >= most) {
            if (s->rirb_ctl & RIRBCTL_INT)
                return;
            s->answered = 0;
        }
        s->corb_rp = (s->corb_rp + 1) % ENTRIES;
        if (!pci_dma_read(&s->pci, join(s->corb_low, s->corb_high) + 4 * s->corb_rp, &command, 4))
            s->corb_sts |= 1;
        command = GUINT32_FROM_LE(command);
        if (send(s, command, &response))
            answer(s, response, command >> 28);
        if (s->answered >= most || ((s->corb_rp & 0xff) == (s->corb_wp & 0xff) && s->answered))
            s->rirb_sts |= RIRBSTS_INT;
    }
    update(s);
}

static void wrote_commands(Device *d, uint64_t v) { run_commands((Hda *)d); }

static void wrote_corbrp(Device *d, uint64_t v)
{
    Hda *s = (Hda *)d;
    s->corb_rp = v & POINTER_RESET;
    run_commands(s);
}

static void wrote_rirbwp(Device *d, uint64_t v)
{
    if (v & POINTER_RESET)
        ((Hda *)d)->rirb_wp = 0;
}

static void wrote_rirbsts(Device *d, uint64_t v)
{
    Hda *s = (Hda *)d;
    if (v & RIRBSTS_INT)
        s->answered = 0;
    update(s);
    run_commands(s);
}

static uint64_t read_ics(Device *d) { return ((Hda *)d)->command_status; }

/* Never seen busy: the answer is there at once. */
static void wrote_ics(Device *d, uint64_t v)
{
    Hda *s = (Hda *)d;
    s->command_status &= ~(v & ICS_VALID);
    if (!(v & ICS_BUSY) || !(s->gctl & GCTL_CRST))
        return;
    if (send(s, s->command, &s->response))
        s->command_status |= ICS_VALID;
}

/* ---- streams ---- */

typedef struct Entry {
    uint64_t at;
    uint32_t bytes;
    bool ioc;
} Entry;

static bool is_output(unsigned n) { return n >= INPUTS; }

static bool read_entry(Hda *s, unsigned n, Entry *e)
{
    uint32_t w[4];
    uint64_t list = join(s->bdpl[n], s->bdpu[n]) & ~127ull;
    if (!pci_dma_read(&s->pci, list + 16 * s->entry[n], w, sizeof(w)))
        return false;
    *e = (Entry){join(GUINT32_FROM_LE(w[0]), GUINT32_FROM_LE(w[1])), GUINT32_FROM_LE(w[2]), GUINT32_FROM_LE(w[3]) & 1};
    return true;
}

static void for_codecs(Hda *s, unsigned n, bool on)
{
    for (unsigned i = 0; i < s->link->devices->len; i++) {
        HdaCodec *c = s->link->devices->pdata[i];
        c->cls->run(c, s->tag[n] >> 4, is_output(n), on);
    }
}

static void play(Hda *s, unsigned n, const uint8_t *data, size_t bytes)
{
    for (unsigned i = 0; i < s->link->devices->len; i++) {
        HdaCodec *c = s->link->devices->pdata[i];
        c->cls->play(c, s->tag[n] >> 4, data, bytes);
    }
}

static void record(Hda *s, unsigned n, uint8_t *data, size_t bytes)
{
    memset(data, 0, bytes);
    for (unsigned i = 0; i < s->link->devices->len; i++) {
        HdaCodec *c = s->link->devices->pdata[i];
        if (c->cls->record(c, s->tag[n] >> 4, data, bytes))
            return;
    }
}

/* Moves bytes between data and the buffers of the list; as far as that makes sense. */
static uint32_t move(Hda *s, unsigned n, uint8_t *data, uint32_t bytes)
{
    uint32_t done = 0;
    for (unsigned step = 0; done < bytes && step < MAX_STEPS; step++) {
        Entry e;
        if (!read_entry(s, n, &e)) {
            s->sts[n] |= STS_DESC;
            break;
        }
        uint32_t left = e.bytes > s->entry_at[n] ? e.bytes - s->entry_at[n] : 0;
        uint32_t round = s->cbl[n] > s->lpib[n] ? s->cbl[n] - s->lpib[n] : UINT32_MAX;
        uint32_t part = MIN(MIN(bytes - done, left), round);
        if (is_output(n))
            pci_dma_read(&s->pci, e.at + s->entry_at[n], data + done, part);
        else
            pci_dma_write(&s->pci, e.at + s->entry_at[n], data + done, part);
        done += part;
        s->lpib[n] = part == round ? 0 : s->lpib[n] + part;
        s->entry_at[n] += part;
        if (part == left) {
            s->sts[n] |= e.ioc ? STS_IOC : 0;
            s->entry[n] = s->entry[n] >= (s->lvi[n] & 0xff) ? 0 : s->entry[n] + 1;
            s->entry_at[n] = 0;
        }
    }
    return done;
}

static void tell_position(Hda *s, unsigned n)
{
    uint32_t v = GUINT32_TO_LE(s->lpib[n]);
    if (s->positions_low & 1)
        pci_dma_write(&s->pci, (join(s->positions_low, s->positions_high) & ~127ull) + 8 * n, &v, 4);
}

static bool running(const Hda *s, unsigned n)
{
    return s->gctl & GCTL_CRST && s->ctl[n] & CTL_RUN && !(s->ssync & 1u << n);
}

/* What is due by now. */
static void run_stream(Hda *s, unsigned n)
{
    AudioPcm pcm = hda_format(s->fmt[n]);
    uint32_t frames = pace_due(&s->pace[n], pcm.rate, now(s)), bytes = frames * audio_frame_bytes(&pcm);
    if (!frames)
        return;
    g_autofree uint8_t *data = g_malloc0(bytes);
    if (!is_output(n))
        record(s, n, data, bytes);
    uint32_t done = move(s, n, data, bytes);
    if (is_output(n))
        play(s, n, data, done);
    pace_pass(&s->pace[n], pcm.rate, frames);
    tell_position(s, n);
}

/* The next look: at the end of the buffer, if the guest wants to know, or after a while. */
static int64_t next_look(Hda *s, unsigned n, int64_t period)
{
    AudioPcm pcm = hda_format(s->fmt[n]);
    Entry e;
    int64_t t = now(s), when = t + period;
    if (read_entry(s, n, &e) && e.ioc && e.bytes > s->entry_at[n]) {
        uint32_t bytes = audio_frame_bytes(&pcm);
        uint64_t frames = ((uint64_t)(e.bytes - s->entry_at[n]) + bytes - 1) / bytes;
        if (frames < pcm.rate)
            when = MIN(when, pace_when(&s->pace[n], pcm.rate, frames));
    }
    return MAX(when, t + MIN_TICK_NS);
}

static int64_t shortest_period(const Hda *s)
{
    int64_t period = audio_period_ns(NULL);
    for (unsigned i = 0; i < s->link->devices->len; i++)
        period = MIN(period, ((HdaCodec *)s->link->devices->pdata[i])->period);
    return period;
}

static void run_streams(Hda *s)
{
    int64_t when = INT64_MAX, period = shortest_period(s);
    if (s->busy)
        return;
    s->busy = true;
    for (unsigned n = 0; n < HDA_STREAMS; n++) {
        if (!running(s, n))
            continue;
        run_stream(s, n);
        when = MIN(when, next_look(s, n, period));
    }
    s->busy = false;
    if (when == INT64_MAX)
        timer_cancel(&s->work);
    else
        timer_arm(&s->work, when);
    update(s);
}

static void work(Device *d) { run_streams((Hda *)d); }

static void reset_stream(Hda *s, unsigned n)
{
    s->sts[n] = 0;
    s->lpib[n] = s->cbl[n] = s->bdpl[n] = s->bdpu[n] = s->entry_at[n] = 0;
    s->lvi[n] = s->fmt[n] = s->entry[n] = 0;
    s->tag[n] = 0;
}

static uint64_t read_ctl(Device *d, unsigned n) { return ((Hda *)d)->ctl[n]; }

static void write_ctl(Device *d, unsigned n, uint64_t v)
{
    Hda *s = (Hda *)d;
    run_streams(s);             /* up to now */
    uint8_t old = s->ctl[n];
    if (v & CTL_RESET && !(old & CTL_RESET))
        reset_stream(s, n);
    s->ctl[n] = v & CTL_RESET ? v & ~CTL_RUN : v;
    if ((old ^ s->ctl[n]) & CTL_RUN) {
        pace_start(&s->pace[n], now(s));
        for_codecs(s, n, s->ctl[n] & CTL_RUN);
    }
    run_streams(s);
}

static uint64_t read_sts(Device *d, unsigned n)
{
    Hda *s = (Hda *)d;
    return s->sts[n] | (s->ctl[n] & CTL_RESET ? 0 : STS_READY);
}

static void write_sts(Device *d, unsigned n, uint64_t v)
{
    Hda *s = (Hda *)d;
    s->sts[n] &= ~v;
    update(s);
}

static uint64_t read_lpib(Device *d, unsigned n)
{
    Hda *s = (Hda *)d;
    if (running(s, n))
        run_streams(s);
    return s->lpib[n];
}

static void wrote_ssync(Device *d, uint64_t v)
{
    Hda *s = (Hda *)d;
    for (unsigned n = 0; n < HDA_STREAMS; n++)
        if (s->ctl[n] & CTL_RUN)
            pace_start(&s->pace[n], now(s));
    run_streams(s);
}

/* ---- the controller ---- */

static uint64_t read_walclk(Device *d)
{
    Hda *s = (Hda *)d;
    return (uint32_t)(((uint64_t)now(s) - (uint64_t)s->wall_start) * 3 / 125);    /* 24 MHz */
}

static void reset_link(Hda *s)
{
    for (unsigned n = 0; n < HDA_STREAMS; n++) {
        if (s->ctl[n] & CTL_RUN)
            for_codecs(s, n, false);
        s->ctl[n] = 0;
        reset_stream(s, n);
    }
    s->intctl = s->ssync = s->corb_low = s->corb_high = s->rirb_low = s->rirb_high = 0;
    s->positions_low = s->positions_high = s->response = s->command = s->answered = 0;
    s->wakeen = s->statests = s->corb_wp = s->corb_rp = s->rirb_wp = s->rirb_count = s->command_status = 0;
    s->corb_ctl = s->corb_sts = s->rirb_ctl = s->rirb_sts = 0;
    run_streams(s);
}

static void write_gctl(Device *d, uint64_t v)
{
    Hda *s = (Hda *)d;
    bool was = s->gctl & GCTL_CRST;
    s->gctl = v & 0x103;
    if (was && !(v & GCTL_CRST)) {
        reset_link(s);
        for (unsigned i = 0; i < s->link->devices->len; i++)
            device_reset(s->link->devices->pdata[i]);
    }
    if (!was && v & GCTL_CRST) {
        s->wall_start = now(s);
        for (unsigned i = 0; i < s->link->devices->len; i++)
            s->statests |= 1u << ((HdaCodec *)s->link->devices->pdata[i])->cad;
        update(s);
    }
}

static uint64_t read_gctl(Device *d) { return ((Hda *)d)->gctl; }
static uint64_t read_rirbwp(Device *d) { return ((Hda *)d)->rirb_wp; }

#define SD_ROW(at_, name_, kind_, ...) REG(0x80 + (at_), name_, kind_, .stride = 0x20, __VA_ARGS__)
static const Reg regs[] = {
    REG(0x00, "GCAP", RO, .width = 2, .value = 0x4401),
    REG(0x03, "VMAJ", RO, .width = 1, .value = 1),
    REG(0x02, "VMIN", RO, .width = 1),
    REG(0x04, "OUTPAY", RO, .width = 2, .value = 0x3c),
    REG(0x06, "INPAY", RO, .width = 2, .value = 0x1d),
    REG(0x08, "GCTL", RW, .read = read_gctl, .wrote = write_gctl),
    REG(0x0c, "WAKEEN", RW, .width = 2, IN(Hda, wakeen), .bits = 0x7fff, .wrote = wrote_update),
    REG(0x0e, "STATESTS", W1C, .width = 2, IN(Hda, statests), .bits = 0x7fff, .wrote = wrote_update),
    REG(0x10, "GSTS", RO, .width = 2),
    REG(0x18, "OUTSTRMPAY", RO, .width = 2),
    REG(0x1a, "INSTRMPAY", RO, .width = 2),
    REG(0x20, "INTCTL", RW, IN(Hda, intctl), .bits = 0xc00000ff, .wrote = wrote_update),
    REG(0x24, "INTSTS", RO, .read = read_intsts),
    REG(0x30, "WALCLK", RO, .read = read_walclk),
    REG(0x34, "SSYNC", RW, IN(Hda, ssync), .bits = 0xff, .wrote = wrote_ssync),
    REG(0x40, "CORBLBASE", RW, IN(Hda, corb_low), .bits = 0xffffff80),
    REG(0x44, "CORBUBASE", RW, IN(Hda, corb_high)),
    REG(0x48, "CORBWP", RW, .width = 2, IN(Hda, corb_wp), .bits = 0xff, .wrote = wrote_commands),
    REG(0x4a, "CORBRP", RW, .width = 2, IN(Hda, corb_rp), .bits = POINTER_RESET, .wrote = wrote_corbrp),
    REG(0x4c, "CORBCTL", RW, .width = 1, IN(Hda, corb_ctl), .bits = 3, .wrote = wrote_commands),
    REG(0x4d, "CORBSTS", W1C, .width = 1, IN(Hda, corb_sts), .bits = 1),
    REG(0x4e, "CORBSIZE", RW, .width = 1, .value = 0x42),
    REG(0x50, "RIRBLBASE", RW, IN(Hda, rirb_low), .bits = 0xffffff80),
    REG(0x54, "RIRBUBASE", RW, IN(Hda, rirb_high)),
    REG(0x58, "RIRBWP", RW, .width = 2, .read = read_rirbwp, .wrote = wrote_rirbwp),
    REG(0x5a, "RINTCNT", RW, .width = 2, IN(Hda, rirb_count), .bits = 0xff),
    REG(0x5c, "RIRBCTL", RW, .width = 1, IN(Hda, rirb_ctl), .bits = 7, .wrote = wrote_commands),
    REG(0x5d, "RIRBSTS", W1C, .width = 1, IN(Hda, rirb_sts), .bits = 5, .wrote = wrote_rirbsts),
    REG(0x5e, "RIRBSIZE", RW, .width = 1, .value = 0x42),
    REG(0x60, "ICOI", RW, IN(Hda, command)),
    REG(0x64, "ICII", RO, IN(Hda, response)),
    REG(0x68, "ICIS", RW, .width = 2, .bits = ICS_BUSY | ICS_VALID, .read = read_ics, .wrote = wrote_ics),
    REG(0x70, "DPLBASE", RW, IN(Hda, positions_low), .bits = 0xffffff81),
    REG(0x74, "DPUBASE", RW, IN(Hda, positions_high)),
    SD_ROW(0x00, "SDCTL", RW, .count = HDA_STREAMS, .width = 1, .bits = 0x1f, .read_at = read_ctl, .wrote_at = write_ctl),
    SD_ROW(0x01, "SDCTL1", RW, .count = HDA_STREAMS, .width = 1),
    SD_ROW(0x02, "SDCTL2", RW, .width = 1, IN_ARRAY(Hda, tag)),
    SD_ROW(0x03, "SDSTS", W1C, .count = HDA_STREAMS, .width = 1, .bits = 0x1c, .read_at = read_sts, .wrote_at = write_sts),
    SD_ROW(0x04, "SDLPIB", RO, .count = HDA_STREAMS, .read_at = read_lpib),
    SD_ROW(0x08, "SDCBL", RW, IN_ARRAY(Hda, cbl)),
    SD_ROW(0x0c, "SDLVI", RW, .width = 2, IN_ARRAY(Hda, lvi), .bits = 0xff),
    SD_ROW(0x10, "SDFIFOS", RO, .count = HDA_STREAMS, .width = 2, .value = 0x100),
    SD_ROW(0x12, "SDFMT", RW, .width = 2, IN_ARRAY(Hda, fmt), .bits = 0x7fff),
    SD_ROW(0x18, "SDBDPL", RW, IN_ARRAY(Hda, bdpl), .bits = 0xffffff80),
    SD_ROW(0x1c, "SDBDPU", RW, IN_ARRAY(Hda, bdpu)),
    REG(0x2030, "WALCLKA", RO, .read = read_walclk),
    REG(0x2084, "SDLPIBA", RO, .count = HDA_STREAMS, .stride = 0x20, .read_at = read_lpib),
};

static bool realize(Device *d, GError **error)
{
    Hda *s = (Hda *)d;
    enum { OFF = 2 };
    if (s->msi != OFF && !pci_add_msi(&s->pci, &(PciMsi){.vectors = 1, .at = s->old_msi_addr ? 0x50 : 0x60}, error))
        return false;
    s->link = hda_bus_new(d);
    return true;
}

static void reset(Device *d)
{
    Hda *s = (Hda *)d;
    s->gctl = 0;
    reset_link(s);
}

static void restored(Device *d)
{
    Hda *s = (Hda *)d;
    s->gctl &= 0x103;
    s->corb_rp &= POINTER_RESET | 0xff;
    s->rirb_wp &= 0xff;
    s->command_status &= ICS_VALID;
    for (unsigned n = 0; n < HDA_STREAMS; n++) {
        s->ctl[n] &= 0x1f;
        s->sts[n] &= STS_IOC | STS_FIFO | STS_DESC;
        s->entry[n] &= 0xff;
        for_codecs(s, n, running(s, n));
    }
}

static const Field fields[] = {
    HOST(Hda, link), TIMER(Hda, work, work), SAVED(Hda, gctl), SAVED(Hda, command_status), SAVED(Hda, rirb_wp), SAVED(Hda, answered),
    SAVED(Hda, told), SAVED(Hda, wall_start), SAVED(Hda, ctl), SAVED(Hda, sts), SAVED(Hda, lpib), SAVED(Hda, entry),
    SAVED(Hda, entry_at), SAVED(Hda, pace), HOST(Hda, busy),
    PROP(Hda, msi, "msi", PROP_ON_OFF_AUTO, .desc = "Message signalled interrupts"),
    PROP(Hda, old_msi_addr, "old_msi_addr", PROP_BOOL, .desc = "Their capability at 0x50"),
};
static const PciReg config[] = {{.at = 0x40, .width = 1, .name = "HDCTL", .value = 1}};

#define HDA(ident, name_, device_, revision_, desc_)                                                                \
    static const PciInfo ident##_info = {                                                                           \
        .vendor = 0x8086, .device = device_, .class = 0x040300, .revision = revision_, .pin = 1,                    \
        .bar = {{.kind = PCI_BAR_MEM32, .window = true}}, PCI_REGS(config),                                         \
    };                                                                                                              \
    static const DeviceType ident = {                                                                               \
        .name = name_, .parent = "pci-device", .desc = desc_, .size = sizeof(Hda), .category = DEVICE_SOUND,        \
        .pluggable = true, .hotpluggable = true, .window = WINDOW, .max_access = 4, REGS(regs), FIELDS(fields),     \
        .realize = realize, .reset = reset, .restored = restored, .pci = &ident##_info,                             \
    };                                                                                                              \
    DEVICE_TYPE(ident)

HDA(ich6, "intel-hda", 0x2668, 1, "Intel HD Audio controller (ICH6)");
HDA(ich9, "ich9-intel-hda", 0x293e, 3, "Intel HD Audio controller (ICH9)");
