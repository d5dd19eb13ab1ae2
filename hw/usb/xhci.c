/* SPDX-License-Identifier: Apache-2.0 */
/* xHCI: registers, ports, events. Spec: xHCI 1.2, chapters 4 and 5. */
#include "hw/usb/xhci.h"
#include <inttypes.h>
#include <string.h>
#include "util/error.h"
#include "util/log.h"

enum {
    CAPABILITIES = 0x40, PORTS = 0x440, RUNTIME = 0x1000, INTRS = 0x1020, DOORBELLS = 0x2000, WINDOW = 0x3000,
    MSIX_TABLE_AT = 0x3000, MSIX_PBA_AT = 0x3800, BAR_SIZE = 0x4000,
    CMD_SAVE = 0x100, CMD_RESTORE = 0x200, STS_SAVE_ERROR = 0x400,
    /* PORTSC */
    CCS = 1, PED = 2, PR = 0x10, PP = 0x200, CSC = 1 << 17, PEC = 1 << 18, WRC = 1 << 19, PRC = 1 << 21, PLC = 1 << 22,
    LWS = 1 << 16, CHANGES = 0xfe0000, WAKE_BITS = 0x0e00c000, PLS_SHIFT = 5, PLS_MASK = 15 << 5, SPEED_SHIFT = 10,
    SPEED_MASK = 15 << 10, PLS_U0 = 0, PLS_U3 = 3, PLS_RX_DETECT = 5, PLS_POLLING = 7, PLS_RESUME = 15,
    IMAN_IP = 1, IMAN_IE = 2, ERDP_EHB = 8, CRCR_STOP = 2, CRCR_ABORT = 4, CRCR_RUNNING = 8,
};
#define WPR (1u << 31)

static int64_t now(const Xhci *s) { return clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL); }

void xhci_die(Xhci *s, const char *why)
{
    log_guest(s, "%s: the controller stops", why);
    s->usbsts |= STS_HSE | STS_HALTED;
    s->usbcmd &= ~CMD_RUN;
    s->command_running = false;
}

/* ---- rings ---- */

bool xhci_trb_read(Xhci *s, uint64_t at, XhciTrb *t)
{
    if (!pci_dma_read(&s->pci, at, t, sizeof(*t)))
        return false;
    t->parameter = GUINT64_FROM_LE(t->parameter);
    t->status = GUINT32_FROM_LE(t->status);
    t->control = GUINT32_FROM_LE(t->control);
    return true;
}

bool xhci_ring_next(Xhci *s, XhciRing *r, XhciTrb *t, uint64_t *at)
{
    enum { MAX_LINKS = 32 };
    for (unsigned links = 0; links < MAX_LINKS; links++) {
        if (!xhci_trb_read(s, r->dequeue, t) || ((t->control ^ r->cycle) & TRB_CYCLE))
            return false;
        if (trb_type(t) != TRB_LINK) {
            *at = r->dequeue;
            r->dequeue += sizeof(*t);
            return true;
        }
        r->dequeue = t->parameter & ~15ull;
        r->cycle ^= !!(t->control & TRB_TOGGLE);
    }
    log_guest(s, "a ring of links only");
    return false;
}

/* ---- interrupts and events ---- */

static void update_intx(Xhci *s)
{
    bool level = s->intr[0].iman & IMAN_IP && s->intr[0].iman & IMAN_IE && s->usbcmd & CMD_INTE;
    pci_intx(&s->pci, level && !pci_msix_enabled(&s->pci));
}

static void raise_intr(Xhci *s, unsigned n)
{
    XhciIntr *i = &s->intr[n];
    i->dequeue |= ERDP_EHB;
    i->iman |= IMAN_IP;
    s->usbsts |= STS_EINT;
    if (!(i->iman & IMAN_IE) || !(s->usbcmd & CMD_INTE))
        return;
    if (pci_msix_enabled(&s->pci)) {
        i->iman &= ~IMAN_IP;
        pci_notify(&s->pci, n);
    } else {
        update_intx(s);
    }
}

static uint32_t dequeue_index(const XhciIntr *i)
{
    uint64_t at = i->dequeue & ~15ull;
    return at >= i->segment && at < i->segment + 16ull * i->segment_size ? (at - i->segment) / 16 : UINT32_MAX;
}

unsigned xhci_event_room(const Xhci *s, unsigned n)
{
    const XhciIntr *i = &s->intr[n];
    uint32_t dequeue = dequeue_index(i);
    return i->segment_size && dequeue != UINT32_MAX ? (dequeue - i->at - 1 + i->segment_size) % i->segment_size : 0;
}

static void put_event(Xhci *s, XhciIntr *i, const XhciTrb *t)
{
    XhciTrb le = {GUINT64_TO_LE(t->parameter), GUINT32_TO_LE(t->status),
                  GUINT32_TO_LE((t->control & ~TRB_CYCLE) | (i->cycle & 1))};
    uint64_t at = i->segment + 16ull * i->at;
    /* The cycle bit last: the driver looks at it from another CPU. */
    pci_dma_write(&s->pci, at, &le, 12);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    pci_dma_write(&s->pci, at + 12, &le.control, 4);
    if (++i->at == i->segment_size) {
        i->at = 0;
        i->cycle ^= 1;
    }
}

void xhci_event(Xhci *s, unsigned n, const XhciTrb *t)
{
    XhciIntr *i = &s->intr[n];
    unsigned room = xhci_event_room(s, n);
    const XhciTrb full = {.status = CC_RING_FULL << 24, .control = TRB_CONTROLLER_EVENT << 10};
    if (room < 1 || !(s->usbcmd & CMD_RUN)) {
        log_guest(s, "event ring %u has no room: an event is lost", n);
        return;
    }
    bool busy = i->dequeue & ERDP_EHB;
    put_event(s, i, room == 1 ? &full : t);
    if (!busy)
        raise_intr(s, n);
}

static void port_event(Xhci *s, unsigned n)
{
    XhciTrb t = {.parameter = (uint64_t)(n + 1) << 24, .status = CC_SUCCESS << 24,
                 .control = TRB_PORT_CHANGE << 10};
    s->usbsts |= STS_PCD;
    if (!(s->usbcmd & CMD_RUN))
        return;
    if (xhci_event_room(s, 0) < 2) {
        s->ports_due |= 1u << n;
        s->intr[0].full = true;
        return;
    }
    s->ports_due &= ~(1u << n);
    xhci_event(s, 0, &t);
}

/* The driver has taken events: what waited for room goes on. */
static void room_again(Xhci *s, XhciIntr *i)
{
    i->full = false;
    for (unsigned n = 0; n < xhci_max_ports(s); n++)
        if (s->ports_due >> n & 1)
            port_event(s, n);
    xhci_run_commands(s);
    xhci_run_due(s);
}

static void work(Device *d)
{
    xhci_run_commands((Xhci *)d);
    xhci_run_due((Xhci *)d);
}

/* ---- ports ---- */

static unsigned number_of(const Xhci *s, const UsbPort *port, bool super)
{
    return port->index + (super ? (s->ss_first ? 0 : s->p2) : s->ss_first ? s->p3 : 0);
}
static bool is_super(const Xhci *s, unsigned n) { return s->ss_first ? n < s->p3 : n >= s->p2; }

static UsbDevice *device_at(Xhci *s, unsigned n)
{
    bool super = is_super(s, n);
    unsigned pair = n - (super ? (s->ss_first ? 0 : s->p2) : s->ss_first ? s->p3 : 0);
    UsbDevice *u = s->port[pair].dev;
    return u && u->attached && (u->speed == USB_SUPER) == super ? u : NULL;
}

static void port_changed(Xhci *s, unsigned n, uint32_t bits)
{
    bool known = (s->portsc[n] & bits) == bits;
    s->portsc[n] |= bits;
    if (!known)
        port_event(s, n);
}

static void set_link(Xhci *s, unsigned n, unsigned state)
{
    s->portsc[n] = (s->portsc[n] & ~PLS_MASK) | state << PLS_SHIFT;
}

/* What a port is after power has come: with a device or without. */
static uint32_t port_state(Xhci *s, unsigned n)
{
    static const uint8_t speeds[] = {[USB_LOW] = 2, [USB_FULL] = 1, [USB_HIGH] = 3, [USB_SUPER] = 4};
    UsbDevice *u = device_at(s, n);
    if (!u)
        return PP | PLS_RX_DETECT << PLS_SHIFT;
    return PP | CCS | speeds[u->speed] << SPEED_SHIFT |
           (u->speed == USB_SUPER ? PED | PLS_U0 << PLS_SHIFT : PLS_POLLING << PLS_SHIFT);
}

static void attach(UsbPort *port)
{
    Xhci *s = port->opaque;
    unsigned n = number_of(s, port, port->dev->speed == USB_SUPER);
    s->portsc[n] = (s->portsc[n] & (CHANGES | WAKE_BITS)) | port_state(s, n);
    port_changed(s, n, CSC);
}

static void detach(UsbPort *port)
{
    Xhci *s = port->opaque;
    unsigned n = number_of(s, port, port->dev->speed == USB_SUPER);
    s->portsc[n] = (s->portsc[n] & (CHANGES | WAKE_BITS)) | PP | PLS_RX_DETECT << PLS_SHIFT;
    port_changed(s, n, CSC);
}

static void wakeup(UsbPort *port)
{
    Xhci *s = port->opaque;
    unsigned n = number_of(s, port, port->dev->speed == USB_SUPER);
    if ((s->portsc[n] & PLS_MASK) >> PLS_SHIFT != PLS_U3)
        return;
    set_link(s, n, PLS_RESUME);
    port_changed(s, n, PLC);
}

static const UsbPortOps port_ops = {attach, detach, wakeup};

static void reset_port(Xhci *s, unsigned n, bool warm)
{
    UsbDevice *u = device_at(s, n);
    if (!u)
        return;
    usb_device_reset(u);
    s->portsc[n] |= PED;
    set_link(s, n, PLS_U0);
    port_changed(s, n, PRC | (warm ? WRC : 0));
}

static void write_link(Xhci *s, unsigned n, unsigned wanted)
{
    unsigned old = (s->portsc[n] & PLS_MASK) >> PLS_SHIFT;
    if (wanted == PLS_U3 && old < PLS_U3) {
        set_link(s, n, PLS_U3);
    } else if (wanted == PLS_RESUME && old == PLS_U3) {
        set_link(s, n, PLS_RESUME);
    } else if (wanted == PLS_U0 && (old <= PLS_U3 || old == PLS_RESUME) && old != PLS_U0) {
        set_link(s, n, PLS_U0);
        port_changed(s, n, PLC);
    } else if (wanted != old) {
        log_guest(s, "port %u: link state %u does not follow %u", n + 1, wanted, old);
    }
}

static uint64_t read_portsc(Device *d, unsigned n)
{
    return n < xhci_max_ports((Xhci *)d) ? ((Xhci *)d)->portsc[n] : 0;
}

static void write_portsc(Device *d, unsigned n, uint64_t v)
{
    Xhci *s = (Xhci *)d;
    if (n >= xhci_max_ports(s))
        return;
    s->portsc[n] &= ~(v & CHANGES);
    s->portsc[n] = (s->portsc[n] & ~WAKE_BITS) | (v & WAKE_BITS);
    if (v & PR || (v & WPR && is_super(s, n))) {
        reset_port(s, n, v & WPR && is_super(s, n));
        return;
    }
    if (v & PED)
        s->portsc[n] &= ~PED;
    if (v & LWS && s->portsc[n] & CCS)
        write_link(s, n, (v & PLS_MASK) >> PLS_SHIFT);
}

/* ---- operational registers ---- */

static void reset_controller(Xhci *s, bool devices)
{
    s->usbcmd = s->dnctrl = s->slots_enabled = s->crcr_low = s->crcr_high = s->dcbaap_low = s->dcbaap_high = 0;
    s->usbsts = STS_HALTED;
    s->commands = (XhciRing){0};
    s->command_running = false;
    s->ports_due = 0;
    memset(s->intr, 0, sizeof(s->intr));
    memset(s->slot, 0, sizeof(s->slot));
    timer_cancel(&s->work);
    for (unsigned n = 0; n < xhci_max_ports(s); n++) {
        UsbDevice *u = device_at(s, n);
        if (u && devices)
            usb_device_reset(u);
        s->portsc[n] = port_state(s, n) | (u ? CSC : 0);
    }
    update_intx(s);
}

static void wrote_usbcmd(Device *d, uint64_t v)
{
    Xhci *s = (Xhci *)d;
    if (v & CMD_RESET) {
        reset_controller(s, true);
        return;
    }
    if (v & CMD_SAVE)
        s->usbsts &= ~STS_SAVE_ERROR;
    if (v & CMD_RESTORE)                /* nothing was kept: the driver starts anew */
        s->usbsts |= STS_SAVE_ERROR;
    s->usbcmd = v & (CMD_RUN | CMD_INTE | CMD_HSEE | CMD_EWE);
    if (v & CMD_RUN && s->usbsts & STS_HALTED)
        s->started = now(s);
    s->usbsts = v & CMD_RUN ? s->usbsts & ~STS_HALTED : s->usbsts | STS_HALTED;
    if (!(v & CMD_RUN))
        s->command_running = false;
    update_intx(s);
    xhci_run_due(s);
}

static void wrote_usbsts(Device *d, uint64_t v) { update_intx((Xhci *)d); }

static uint64_t read_crcr(Device *d) { return ((Xhci *)d)->command_running ? CRCR_RUNNING : 0; }

static void wrote_crcr(Device *d, uint64_t v)
{
    Xhci *s = (Xhci *)d;
    if (s->command_running) {
        if (!(s->crcr_low & (CRCR_STOP | CRCR_ABORT)))
            return;
        XhciTrb e = {.parameter = s->commands.dequeue, .status = CC_COMMAND_STOPPED << 24,
                     .control = TRB_COMMAND_COMPLETION << 10};
        s->command_running = false;
        s->crcr_low = 0;
        xhci_event(s, 0, &e);
        return;
    }
    s->commands.dequeue = ((uint64_t)s->crcr_high << 32 | s->crcr_low) & ~63ull;
    s->commands.cycle = s->crcr_low & 1;
}

/* ---- capability registers ---- */

static uint64_t hcsparams1(Device *d)
{
    const Xhci *s = (const Xhci *)d;
    return xhci_max_ports(s) << 24 | s->intrs << 8 | s->slots;
}
/* 64-bit addresses, streams in linear arrays of up to 256 without second levels, capabilities at 0x20. */
static uint64_t hccparams1(Device *d) { return 0x00080081 | (((const Xhci *)d)->streams ? 0x7000 : 0); }
static uint64_t usb2_ports(Device *d)
{
    const Xhci *s = (const Xhci *)d;
    return s->p2 << 8 | (s->ss_first ? s->p3 + 1 : 1);
}
static uint64_t usb3_ports(Device *d)
{
    const Xhci *s = (const Xhci *)d;
    return s->p3 << 8 | (s->ss_first ? 1 : s->p2 + 1);
}

/* ---- interrupters ---- */

static void read_segment(Xhci *s, XhciIntr *i)
{
    enum { LEAST = 16, MOST = 4096 };
    uint32_t w[3];
    i->at = 0;
    i->cycle = 1;
    i->segment_size = 0;
    if (!i->table_size)
        return;
    if (i->table_size > 1) {
        xhci_die(s, "more than one event ring segment");
        return;
    }
    if (!xhci_word_read(s, i->table & ~63ull, w, 3) || (w[2] & 0xffff) < LEAST || (w[2] & 0xffff) > MOST) {
        xhci_die(s, "an event ring segment of no good size");
        return;
    }
    i->segment = ((uint64_t)w[1] << 32 | w[0]) & ~63ull;
    i->segment_size = w[2] & 0xffff;
}

static void wrote_erdp(Xhci *s, unsigned n, bool low, uint32_t v)
{
    XhciIntr *i = &s->intr[n];
    if (low) {
        bool busy = i->dequeue & ERDP_EHB && !(v & ERDP_EHB);
        i->dequeue = (i->dequeue & ~0xffffffffull) | (v & ~8u) | (busy ? ERDP_EHB : 0);
        if (v & ERDP_EHB && i->segment_size && dequeue_index(i) != UINT32_MAX && dequeue_index(i) != i->at)
            raise_intr(s, n);
    } else {
        i->dequeue = (uint32_t)i->dequeue | (uint64_t)v << 32;
    }
    if (i->full)
        room_again(s, i);
}

enum { R_IMAN, R_IMOD, R_ERSTSZ, R_ERSTBA_LOW, R_ERSTBA_HIGH, R_ERDP_LOW, R_ERDP_HIGH };

static uint64_t read_intr(Device *d, unsigned n, unsigned what)
{
    const XhciIntr *i = &((Xhci *)d)->intr[n];
    const uint32_t values[] = {i->iman, i->imod, i->table_size, (uint32_t)i->table, i->table >> 32,
                               (uint32_t)i->dequeue, i->dequeue >> 32};
    return n < ((Xhci *)d)->intrs ? values[what] : 0;
}

static void write_intr(Device *d, unsigned n, unsigned what, uint32_t v)
{
    Xhci *s = (Xhci *)d;
    XhciIntr *i = &s->intr[n];
    if (n >= s->intrs)
        return;
    switch (what) {
    case R_IMAN:
        i->iman = (i->iman & ~(v & IMAN_IP) & IMAN_IP) | (v & IMAN_IE);
        if (i->iman == (IMAN_IP | IMAN_IE) && pci_msix_enabled(&s->pci))
            raise_intr(s, n);
        update_intx(s);
        break;
    case R_IMOD: i->imod = v; break;
    case R_ERSTSZ: i->table_size = v & 0xffff; break;
    case R_ERSTBA_LOW: i->table = (i->table & ~0xffffffffull) | (v & ~63u); break;
    case R_ERSTBA_HIGH:
        i->table = (uint32_t)i->table | (uint64_t)v << 32;
        read_segment(s, i);
        break;
    default: wrote_erdp(s, n, what == R_ERDP_LOW, v); break;
    }
}

#define INTR(name, what)                                                                            \
    static uint64_t read_##name(Device *d, unsigned n) { return read_intr(d, n, what); }            \
    static void write_##name(Device *d, unsigned n, uint64_t v) { write_intr(d, n, what, v); }
INTR(iman, R_IMAN)
INTR(imod, R_IMOD)
INTR(erstsz, R_ERSTSZ)
INTR(erstba_low, R_ERSTBA_LOW)
INTR(erstba_high, R_ERSTBA_HIGH)
INTR(erdp_low, R_ERDP_LOW)
INTR(erdp_high, R_ERDP_HIGH)
#define INTR_REG(at, label, name)                                                                   \
    REG(INTRS + at, label, RW, .count = XHCI_INTRS, .stride = 32, .read_at = read_##name, .wrote_at = write_##name)

static uint64_t mfindex(Device *d)
{
    const Xhci *s = (const Xhci *)d;
    return s->usbcmd & CMD_RUN ? (now(s) - s->started) / 125000 & 0x3fff : 0;
}

static void doorbell(Device *d, unsigned n, uint64_t v)
{
    Xhci *s = (Xhci *)d;
    if (!(s->usbcmd & CMD_RUN) || n > s->slots) {
        log_guest(s, "doorbell %u of a controller that stands", n);
    } else if (n == 0) {
        if ((v & 0xff) == 0) {
            s->command_running = true;
            xhci_run_commands(s);
        }
    } else {
        xhci_doorbell(s, n - 1, v & 0xff, v >> 16 & 0xffff);
    }
}

static const Reg regs[] = {
    REG(0x00, "CAPLENGTH", RO, .value = 0x0100 << 16 | CAPABILITIES),
    REG(0x04, "HCSPARAMS1", RO, .read = hcsparams1),
    REG(0x08, "HCSPARAMS2", RO, .value = 0x0f),
    REG(0x0c, "HCSPARAMS3", RO, .value = 0),
    REG(0x10, "HCCPARAMS1", RO, .read = hccparams1),
    REG(0x14, "DBOFF", RO, .value = DOORBELLS),
    REG(0x18, "RTSOFF", RO, .value = RUNTIME),
    REG(0x1c, "HCCPARAMS2", RO, .value = 0),
    REG(0x20, "USB2_PROTOCOL", RO, .value = 0x02000402),
    REG(0x24, "USB2_NAME", RO, .value = 0x20425355),
    REG(0x28, "USB2_PORTS", RO, .read = usb2_ports),
    REG(0x2c, "USB2_SLOT_TYPE", RO, .value = 0),
    REG(0x30, "USB3_PROTOCOL", RO, .value = 0x03000002),
    REG(0x34, "USB3_NAME", RO, .value = 0x20425355),
    REG(0x38, "USB3_PORTS", RO, .read = usb3_ports),
    REG(0x3c, "USB3_SLOT_TYPE", RO, .value = 0),
    REG(0x40, "USBCMD", RW, IN(Xhci, usbcmd), .bits = 0xf0f, .wrote = wrote_usbcmd),
    REG(0x44, "USBSTS", W1C, IN(Xhci, usbsts), .bits = 0x41c, .reset = STS_HALTED, .wrote = wrote_usbsts),
    REG(0x48, "PAGESIZE", RO, .value = 1),
    REG(0x54, "DNCTRL", RW, IN(Xhci, dnctrl), .bits = 0xffff),
    REG(0x58, "CRCR_LOW", RW, IN(Xhci, crcr_low), .bits = 0xffffffc7, .read = read_crcr, .wrote = wrote_crcr),
    REG(0x5c, "CRCR_HIGH", RW, IN(Xhci, crcr_high), .wrote = wrote_crcr),
    REG(0x70, "DCBAAP_LOW", RW, IN(Xhci, dcbaap_low), .bits = 0xffffffc0),
    REG(0x74, "DCBAAP_HIGH", RW, IN(Xhci, dcbaap_high)),
    REG(0x78, "CONFIG", RW, IN(Xhci, slots_enabled), .bits = 0xff),
    REG(PORTS, "PORTSC", RW, .count = 2 * XHCI_PORTS, .stride = 16, .read_at = read_portsc, .wrote_at = write_portsc),
    REG(RUNTIME, "MFINDEX", RO, .read = mfindex),
    INTR_REG(0x00, "IMAN", iman), INTR_REG(0x04, "IMOD", imod), INTR_REG(0x08, "ERSTSZ", erstsz),
    INTR_REG(0x10, "ERSTBA_LOW", erstba_low), INTR_REG(0x14, "ERSTBA_HIGH", erstba_high),
    INTR_REG(0x18, "ERDP_LOW", erdp_low), INTR_REG(0x1c, "ERDP_HIGH", erdp_high),
    REG(DOORBELLS, "DOORBELL", WO, .count = XHCI_SLOTS + 1, .wrote_at = doorbell),
};

/* ---- the device ---- */

static const UsbBusOps bus_ops = {.ready = xhci_ready};

static bool check(const Xhci *s, GError **error)
{
    const char *name = s->pci.dev.object.type->name;
    if (s->p2 < 1 || s->p2 > XHCI_PORTS || s->p3 < 1 || s->p3 > XHCI_PORTS)
        return error_set(error, "%s: p2 and p3 must be between 1 and %d", name, XHCI_PORTS);
    if (s->slots < 1 || s->slots > XHCI_SLOTS)
        return error_set(error, "%s: slots must be between 1 and %d", name, XHCI_SLOTS);
    if (s->intrs < 1 || s->intrs > XHCI_INTRS)
        return error_set(error, "%s: intrs must be between 1 and %d", name, XHCI_INTRS);
    return true;
}

static bool realize(Device *d, GError **error)
{
    Xhci *s = (Xhci *)d;
    const PciMsix msix = {.vectors = s->intrs, .bar = 0, .table = MSIX_TABLE_AT, .pba = MSIX_PBA_AT};
    if (!check(s, error))
        return false;
    mem_add(pci_bar_region(&s->pci, 0), 0, d->mmio, 0);
    if (s->msix != 2 && !pci_add_msix(&s->pci, &msix, error))
        return false;
    s->td.trb = g_malloc(sizeof(*s->td.trb) * XHCI_TD_TRBS);
    s->bus = usb_bus_new(d, &bus_ops);
    for (unsigned i = 0; i < MAX(s->p2, s->p3); i++) {
        s->port[i] = (UsbPort){.ops = &port_ops, .opaque = s, .index = i,
                               .speeds = (i < s->p2 ? USB_IS_2 : 0) | (i < s->p3 ? USB_IS_SUPER : 0)};
        usb_port_add(s->bus, &s->port[i], NULL, i + 1);
    }
    return true;
}

static void unrealize(Device *d) { g_clear_pointer(&((Xhci *)d)->td.trb, g_free); }
static void reset(Device *d) { reset_controller((Xhci *)d, false); }

/* The rest may be what it wants: it is used with care. */
static void clamp_slot(XhciSlot *sl)
{
    sl->enabled &= 1;
    sl->addressed &= 1;
    for (unsigned ep = 0; ep < XHCI_EPS; ep++) {
        XhciEp *e = &sl->ep[ep];
        e->state = e->state > EP_ERROR ? EP_DISABLED : e->state;
        e->streams_log = MIN(e->streams_log, 8);
        e->ring.dequeue &= ~15ull;
        e->ring.cycle &= 1;
        e->due = e->state == EP_RUNNING;        /* what the device had to say is said again */
    }
}

static void restored(Device *d)
{
    Xhci *s = (Xhci *)d;
    s->command_running &= 1;
    s->commands.cycle &= 1;
    for (unsigned n = 0; n < XHCI_SLOTS; n++)
        clamp_slot(&s->slot[n]);
    for (unsigned n = 0; n < XHCI_INTRS; n++) {
        XhciIntr *i = &s->intr[n];
        i->segment_size = MIN(i->segment_size, 4096);
        i->at = i->segment_size ? i->at % i->segment_size : 0;
        i->segment &= ~63ull;
        i->cycle &= 1;
    }
    update_intx(s);
    if (s->usbcmd & CMD_RUN)
        timer_arm(&s->work, now(s));
}

static const PciReg config_regs[] = {
    {.at = 0x0c, .width = 1, .name = "CACHE_LINE_SIZE", .value = 0x10, .writable = 0xff},
    {.at = 0x60, .width = 1, .name = "SBRN", .value = 0x30},
};
static const Field fields[] = {
    HOST(Xhci, bus), HOST(Xhci, port), TIMER(Xhci, work, work), SAVED(Xhci, portsc), SAVED(Xhci, ports_due),
    SAVED(Xhci, started), SAVED(Xhci, commands), SAVED(Xhci, command_running), SAVED(Xhci, intr), SAVED(Xhci, slot),
    HOST(Xhci, busy), HOST(Xhci, td),
    PROP(Xhci, p2, "p2", PROP_U32, .init = 4, .desc = "Number of USB 2 ports"),
    PROP(Xhci, p3, "p3", PROP_U32, .init = 4, .desc = "Number of SuperSpeed ports"),
    PROP(Xhci, slots, "slots", PROP_U32, .init = XHCI_SLOTS), PROP(Xhci, intrs, "intrs", PROP_U32, .init = XHCI_INTRS),
    PROP(Xhci, streams, "streams", PROP_BOOL, .init = true), HOST(Xhci, ss_first), HOST(Xhci, nec),
    PROP(Xhci, msix, "msix", PROP_ON_OFF_AUTO),
};
static void init(Object *o) { ((Xhci *)o)->ss_first = true; }

static void nec_init(Object *o) { ((Xhci *)o)->nec = true; }

#define XHCI_TYPE(ident, name_, desc_, vendor_, device_, revision_, init_)                                          \
    static const PciInfo ident##_info = {                                                                           \
        .vendor = vendor_, .device = device_, .class = 0x0c0330, .revision = revision_, .pin = 1,                   \
        .bar = {{.kind = PCI_BAR_MEM64, .size = BAR_SIZE, .name = "xhci"}}, .express = PCIE_ON_EXPRESS,             \
        PCI_REGS(config_regs),                                                                                      \
    };                                                                                                              \
    static const DeviceType ident = {                                                                               \
        .name = name_, .parent = "pci-device", .desc = desc_, .size = sizeof(Xhci), .category = DEVICE_USB,         \
        .pluggable = true, .hotpluggable = true, .fw_name = "usb", .window = WINDOW, .max_access = 8, REGS(regs),   \
        FIELDS(fields), .init = init_, .realize = realize, .unrealize = unrealize, .reset = reset,                  \
        .restored = restored, .pci = &ident##_info,                                                                 \
    };                                                                                                              \
    DEVICE_TYPE(ident)

XHCI_TYPE(qemu_xhci, "qemu-xhci", "xHCI controller", 0x1b36, 0x000d, 1, init);
XHCI_TYPE(nec_xhci, "nec-usb-xhci", "NEC xHCI controller", 0x1033, 0x0194, 3, nec_init);
