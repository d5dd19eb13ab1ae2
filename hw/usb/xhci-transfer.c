/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xHCI: transfer rings. Spec: xHCI 1.2, 4.9 to 4.12, 6.4.1.
 *
 * A transfer descriptor is looked at as a whole: collected from the ring, carried out in one go if the
 * device has data or room, and taken off the ring then. One that the device answers with NAK stays where
 * it is until usb_ready() or the next doorbell. A round does a bounded number of them; the rest goes on from
 * a timer, so that no doorbell keeps a vCPU for long.
 */
#include "hw/usb/xhci.h"
#include <inttypes.h>
#include <string.h>
#include "util/log.h"

enum { ROUND = 64, ROUND_NS = 50000, CONTEXT = 32 };

/* ---- contexts in memory ---- */

bool xhci_word_read(Xhci *s, uint64_t at, uint32_t *words, unsigned n)
{
    memset(words, 0, 4 * n);
    bool ok = pci_dma_read(&s->pci, at, words, 4 * n);
    for (unsigned i = 0; i < n; i++)
        words[i] = GUINT32_FROM_LE(words[i]);
    return ok;
}

void xhci_word_write(Xhci *s, uint64_t at, const uint32_t *words, unsigned n)
{
    uint32_t le[8];
    for (unsigned i = 0; i < n && i < G_N_ELEMENTS(le); i++)
        le[i] = GUINT32_TO_LE(words[i]);
    pci_dma_write(&s->pci, at, le, 4 * MIN(n, G_N_ELEMENTS(le)));
}

uint64_t xhci_context_at(const Xhci *s, unsigned slot, unsigned dci)
{
    return s->slot[slot].context + CONTEXT * dci;
}

void xhci_ep_set_state(Xhci *s, unsigned slot, unsigned ep, unsigned state)
{
    XhciEp *e = &s->slot[slot].ep[ep];
    uint64_t at = xhci_context_at(s, slot, ep + 1);
    uint32_t w[4];
    e->state = state;
    if (!xhci_word_read(s, at, w, 4))
        return;
    w[0] = (w[0] & ~7u) | state;
    if (!e->streams_log) {
        w[2] = (uint32_t)e->ring.dequeue | (e->ring.cycle & 1);
        w[3] = e->ring.dequeue >> 32;
    }
    xhci_word_write(s, at, w, 4);
}

/* Streams are told by their contexts in memory, which are kept up to date there. */
uint64_t xhci_stream_context(Xhci *s, unsigned slot, unsigned ep, unsigned stream)
{
    XhciEp *e = &s->slot[slot].ep[ep];
    uint32_t w[4];
    if (!stream || stream >= 1u << e->streams_log || !xhci_word_read(s, xhci_context_at(s, slot, ep + 1), w, 4))
        return 0;
    return (((uint64_t)w[3] << 32 | w[2]) & ~15ull) + 16 * stream;
}

UsbDevice *xhci_device(Xhci *s, unsigned slot)
{
    const XhciSlot *sl = &s->slot[slot];
    unsigned n = sl->port - 1u;
    if (!sl->enabled || n >= xhci_max_ports(s))
        return NULL;
    bool super = s->ss_first ? n < s->p3 : n >= s->p2;
    unsigned pair = super ? (s->ss_first ? n : n - s->p2) : s->ss_first ? n - s->p3 : n;
    UsbDevice *u = usb_find_route(&s->port[pair], sl->route);
    UsbDevice *root = s->port[pair].dev;
    return u && root && (root->speed == USB_SUPER) == super ? u : NULL;
}

/* ---- collecting ---- */

static bool is_data(unsigned type) { return type == TRB_NORMAL || type == TRB_DATA || type == TRB_ISOCH; }
static uint32_t trb_bytes(const XhciTrb *t) { return is_data(trb_type(t)) ? t->status & 0x1ffff : 0; }

typedef enum Collected { TD_NONE, TD_WHOLE, TD_BAD } Collected;

/* A control transfer is up to three descriptors, setup to status, treated as one. */
static Collected collect(Xhci *s, XhciRing r, bool control)
{
    XhciTd *td = &s->td;
    bool last = !control;
    td->n = td->bytes = 0;
    for (;;) {
        if (td->n == XHCI_TD_TRBS)
            return TD_BAD;
        XhciTrb *t = &td->trb[td->n].trb;
        if (!xhci_ring_next(s, &r, t, &td->trb[td->n].at))
            return TD_NONE;
        unsigned type = trb_type(t);
        td->after = r;
        td->bytes += trb_bytes(t);
        td->n++;
        bool first_good = type == TRB_NOOP || (control ? type == TRB_SETUP : is_data(type) || type == TRB_EVENT_DATA);
        if (type == 0 || type > TRB_NOOP || td->bytes > XHCI_TD_BYTES || (td->n == 1 && !first_good) ||
            (td->n > 1 && type == TRB_SETUP))
            return TD_BAD;
        last |= type == TRB_STATUS || (control && td->n == 1 && type == TRB_NOOP);
        if (last && !(t->control & TRB_CHAIN))
            return TD_WHOLE;
    }
}

/* ---- data ---- */

static void gather(Xhci *s, const XhciTd *td, uint8_t *data)
{
    for (unsigned i = 0; i < td->n; i++) {
        const XhciTrb *t = &td->trb[i].trb;
        uint32_t n = trb_bytes(t);
        uint64_t value = GUINT64_TO_LE(t->parameter);
        if (t->control & TRB_IMMEDIATE && n)
            memcpy(data, &value, MIN(n, 8));
        else if (n)
            pci_dma_read(&s->pci, t->parameter, data, n);
        data += n;
    }
}

static void scatter(Xhci *s, const XhciTd *td, const uint8_t *data, uint32_t left)
{
    for (unsigned i = 0; i < td->n && left; i++) {
        const XhciTrb *t = &td->trb[i].trb;
        uint32_t n = MIN(trb_bytes(t), left);
        if (n)
            pci_dma_write(&s->pci, t->parameter, data, n);
        data += n;
        left -= n;
    }
}

/* ---- telling ---- */

static unsigned code_of(UsbStatus status)
{
    static const uint8_t codes[] = {
        [USB_OK] = CC_SUCCESS, [USB_STALL] = CC_STALL, [USB_BABBLE] = CC_BABBLE, [USB_GONE] = CC_TRANSACTION,
    };
    return codes[status];
}

static void transfer_event(Xhci *s, unsigned slot, unsigned ep, const XhciTrb *t, uint64_t at, uint32_t length,
                           unsigned code)
{
    bool data = trb_type(t) == TRB_EVENT_DATA;
    XhciTrb e = {
        .parameter = data ? t->parameter : at, .status = code << 24 | (length & 0xffffff),
        .control = TRB_TRANSFER_EVENT << 10 | (data ? TRB_EVENT_ED : 0) | (ep + 1) << 16 | (slot + 1) << 24,
    };
    unsigned intr = t->status >> 22;
    xhci_event(s, intr < s->intrs ? intr : 0, &e);
}

/* One event for each stage; those of event data TRBs besides. `left`: bytes that were transferred. */
static void report(Xhci *s, unsigned slot, unsigned ep, UsbStatus status, uint32_t left)
{
    const XhciTd *td = &s->td;
    unsigned code = code_of(status);
    bool reported = false, is_short = false;
    uint32_t sum = 0;
    for (unsigned i = 0; i < td->n; i++) {
        const XhciTrb *t = &td->trb[i].trb;
        unsigned type = trb_type(t);
        uint32_t bytes = trb_bytes(t), moved = MIN(bytes, left);
        bool fails = code != CC_SUCCESS && moved == left && (bytes > moved || i == td->n - 1 || !left);
        if (type == TRB_SETUP || type == TRB_DATA || type == TRB_STATUS)
            reported = is_short = false;
        is_short |= moved < bytes && code == CC_SUCCESS;
        left -= moved;
        sum += moved;
        fails &= type != TRB_SETUP || td->n == 1;
        if (fails) {
            transfer_event(s, slot, ep, t, td->trb[i].at, type == TRB_EVENT_DATA ? sum : bytes - moved, code);
            return;
        }
        bool asked = t->control & TRB_IOC || (is_short && moved < bytes && t->control & TRB_SHORT_EVENT);
        if (type == TRB_EVENT_DATA) {
            if (t->control & TRB_IOC)
                transfer_event(s, slot, ep, t, td->trb[i].at, sum, is_short ? CC_SHORT_PACKET : CC_SUCCESS);
            sum = 0;
        } else if (asked && !reported) {
            transfer_event(s, slot, ep, t, td->trb[i].at, bytes - moved, is_short ? CC_SHORT_PACKET : CC_SUCCESS);
            reported = true;
        }
    }
}

/* ---- carrying out ---- */

static UsbStatus do_control(Xhci *s, UsbDevice *u, uint32_t *done)
{
    const XhciTd *td = &s->td;
    uint8_t bytes[8], data[USB_CONTROL_MAX];
    UsbSetup setup;
    uint64_t le = GUINT64_TO_LE(td->trb[0].trb.parameter);
    memcpy(bytes, &le, 8);
    usb_setup_parse(bytes, &setup);
    if (!u->attached)
        return USB_GONE;
    if (setup.type & USB_TYPE_IN) {
        int n = usb_control(u, &setup, data);
        *done = MIN((uint32_t)MAX(n, 0), td->bytes);
        scatter(s, td, data, *done);
        return n < 0 ? USB_STALL : USB_OK;
    }
    if (setup.length > sizeof(data) || td->bytes < setup.length || td->bytes > sizeof(data))
        return USB_STALL;
    gather(s, td, data);
    *done = td->bytes;
    /* Addresses are the controller's business. */
    if (setup.type == 0 && setup.request == 5)
        return USB_STALL;
    return usb_control(u, &setup, data) < 0 ? USB_STALL : USB_OK;
}

static UsbStatus do_transfer(Xhci *s, UsbDevice *u, unsigned ep, unsigned stream, uint32_t *done)
{
    const XhciTd *td = &s->td;
    g_autofree uint8_t *data = g_malloc(MAX(td->bytes, 1));
    UsbPacket p = {.token = (ep + 1) & 1 ? USB_IN : USB_OUT, .endpoint = (ep + 1) / 2, .stream = stream,
                   .data = data, .size = td->bytes};
    if (p.token == USB_OUT)
        gather(s, td, data);
    UsbStatus status = usb_packet(u, &p);
    *done = MIN(p.done, td->bytes);
    if (p.token == USB_IN)
        scatter(s, td, data, *done);
    return status;
}

static UsbStatus carry_out(Xhci *s, unsigned slot, unsigned ep, unsigned stream, uint32_t *done)
{
    UsbDevice *u = xhci_device(s, slot);
    *done = 0;
    if (trb_type(&s->td.trb[0].trb) == TRB_NOOP || trb_type(&s->td.trb[0].trb) == TRB_EVENT_DATA)
        return USB_OK;
    if (!u)
        return USB_GONE;
    return ep == 0 ? do_control(s, u, done) : do_transfer(s, u, ep, stream, done);
}

/* A ring until it is empty or the device has enough. False: there is more to do, later. */
static bool run_ring(Xhci *s, unsigned slot, unsigned ep, unsigned stream, XhciRing *r)
{
    XhciEp *e = &s->slot[slot].ep[ep];
    for (unsigned n = 0; n < ROUND && e->state == EP_RUNNING; n++) {
        Collected what = collect(s, *r, ep == 0);
        if (what == TD_NONE)
            return true;
        unsigned intr = s->td.trb[s->td.n - 1].trb.status >> 22;
        intr = intr < s->intrs ? intr : 0;
        if (xhci_event_room(s, intr) < 3) {
            s->intr[intr].full = true;
            e->due = true;              /* goes on when the driver has taken some */
            return true;
        }
        if (what == TD_BAD) {
            transfer_event(s, slot, ep, &s->td.trb[0].trb, s->td.trb[0].at, 0, CC_TRB);
            xhci_ep_set_state(s, slot, ep, EP_ERROR);
            return true;
        }
        uint32_t done;
        UsbStatus status = carry_out(s, slot, ep, stream, &done);
        if (status == USB_NAK)
            return true;
        bool halts = status != USB_OK;
        if (!halts)
            *r = s->td.after;
        report(s, slot, ep, status, done);
        if (halts)
            xhci_ep_set_state(s, slot, ep, EP_HALTED);
    }
    return e->state != EP_RUNNING;
}

static bool run_stream(Xhci *s, unsigned slot, unsigned ep, unsigned stream)
{
    uint64_t at = xhci_stream_context(s, slot, ep, stream);
    uint32_t w[2];
    if (!at || !xhci_word_read(s, at, w, 2)) {
        log_guest(s, "slot %u endpoint %u has no stream %u", slot + 1, ep + 1, stream);
        return true;
    }
    XhciRing r = {((uint64_t)w[1] << 32 | w[0]) & ~15ull, w[0] & 1}, old = r;
    if ((w[0] >> 1 & 7) != 1 || !r.dequeue)     /* a primary transfer ring */
        return true;
    bool done = run_ring(s, slot, ep, stream, &r);
    if (r.dequeue != old.dequeue) {
        w[0] = (uint32_t)r.dequeue | (w[0] & 0xe) | (r.cycle & 1);
        w[1] = r.dequeue >> 32;
        xhci_word_write(s, at, w, 2);
    }
    return done;
}

static void run(Xhci *s, unsigned slot, unsigned ep, unsigned stream)
{
    XhciEp *e = &s->slot[slot].ep[ep];
    bool done = true;
    e->due = false;
    if (e->state != EP_RUNNING || !(s->usbcmd & CMD_RUN))
        return;
    if (!e->streams_log)
        done = run_ring(s, slot, ep, 0, &e->ring);
    else if (stream)
        done = run_stream(s, slot, ep, stream);
    else
        for (unsigned i = 1; i < 1u << e->streams_log; i++)
            done &= run_stream(s, slot, ep, i);
    if (!done) {
        e->due = true;
        if (!timer_armed(&s->work))
            timer_arm(&s->work, clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL) + ROUND_NS);
    }
}

/* Endpoints that became ready in the meantime: once more around, not for ever. */
void xhci_run_due(Xhci *s)
{
    if (s->busy)
        return;
    s->busy = true;
    for (unsigned slot = 0; slot < s->slots; slot++)
        for (unsigned ep = 0; s->slot[slot].enabled && ep < XHCI_EPS; ep++)
            if (s->slot[slot].ep[ep].due)
                run(s, slot, ep, 0);
    s->busy = false;
}

static void run_now(Xhci *s, unsigned slot, unsigned ep, unsigned stream)
{
    if (s->busy) {
        s->slot[slot].ep[ep].due = true;
        if (!timer_armed(&s->work))
            timer_arm(&s->work, clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL));
        return;
    }
    s->busy = true;
    run(s, slot, ep, stream);
    s->busy = false;
}

void xhci_doorbell(Xhci *s, unsigned slot, unsigned dci, unsigned stream)
{
    XhciEp *e = dci >= 1 && dci <= XHCI_EPS ? &s->slot[slot].ep[dci - 1] : NULL;
    if (!s->slot[slot].enabled || !e || e->state == EP_DISABLED || (stream && stream >= 1u << e->streams_log)) {
        log_guest(s, "doorbell for slot %u, endpoint %u, stream %u, which is not there", slot + 1, dci, stream);
        return;
    }
    if (e->state == EP_STOPPED)
        xhci_ep_set_state(s, slot, dci - 1, EP_RUNNING);
    run_now(s, slot, dci - 1, stream);
}

void xhci_ready(UsbBus *bus, UsbDevice *u, uint8_t address, uint16_t stream)
{
    Xhci *s = (Xhci *)bus->bus.owner;
    unsigned ep = (address & 15) * 2 + !!(address & 0x80) - 1;
    if (!(s->usbcmd & CMD_RUN) || ep >= XHCI_EPS)
        return;
    for (unsigned slot = 0; slot < s->slots; slot++)
        if (s->slot[slot].enabled && s->slot[slot].ep[ep].state == EP_RUNNING && xhci_device(s, slot) == u)
            run_now(s, slot, ep, stream < 1u << s->slot[slot].ep[ep].streams_log ? stream : 0);
}
