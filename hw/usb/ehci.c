/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EHCI: high-speed controllers, with UHCI companions for slower devices. Spec: EHCI 1.0.
 *
 * A timer walks the schedules, a frame at a time; a device that has something for the asynchronous one
 * (usb_ready()) has it walked at once. Nothing of a queue is kept between walks but what is in memory.
 */
#include <string.h>
#include "hw/pci.h"
#include "hw/usb.h"
#include "util/error.h"
#include "util/log.h"

enum {
    PORTS = 6, FRAME_NS = 1000000, QUICK_NS = 125000, MAX_HEADS = 256, ROUND_TDS = 128, TD_BYTES = 0x5000,
    CMD_RUN = 1, CMD_RESET = 2, CMD_PERIODIC = 0x10, CMD_ASYNC = 0x20, CMD_DOORBELL = 0x40,
    STS_INT = 1, STS_ERROR = 2, STS_PORT = 4, STS_ROLLOVER = 8, STS_HSE = 0x10, STS_ADVANCE = 0x20,
    STS_HALTED = 0x1000, STS_PERIODIC = 0x4000, STS_ASYNC = 0x8000, STS_CAUSES = 0x3f,
    PORT_CCS = 1, PORT_CSC = 2, PORT_PED = 4, PORT_PEDC = 8, PORT_RESUME = 0x40, PORT_SUSPEND = 0x80,
    PORT_RESET = 0x100, PORT_K = 0x400, PORT_POWER = 0x1000, PORT_OWNER = 0x2000,
    LINK_END = 1, TYPE_QH = 1,
    T_XACT = 8, T_BABBLE = 0x10, T_HALTED = 0x40, T_ACTIVE = 0x80, T_IOC = 0x8000,
    QH_CURRENT = 3, QH_NEXT, QH_ALT, QH_TOKEN, QH_BUFFER, QH_WORDS = 12,
};

typedef struct Ehci {
    PciDevice pci;
    UsbBus *bus;
    UsbPort port[PORTS];
    UsbPort *companion[PORTS];
    Timer work;
    uint32_t usbcmd, usbsts, usbintr, frindex, segment, periodic, async, configflag;
    uint32_t portsc[PORTS];
    bool walking;
} Ehci;

static int64_t now(const Ehci *s) { return clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL); }

static void update_irq(Ehci *s) { pci_intx(&s->pci, s->usbsts & s->usbintr & STS_CAUSES); }

static void cause(Ehci *s, uint32_t bits)
{
    s->usbsts |= bits;
    update_irq(s);
}

static bool read_words(Ehci *s, uint32_t at, uint32_t *w, unsigned n)
{
    memset(w, 0, 4 * n);
    bool ok = pci_dma_read(&s->pci, at, w, 4 * n);
    for (unsigned i = 0; i < n; i++)
        w[i] = GUINT32_FROM_LE(w[i]);
    return ok;
}

static void write_words(Ehci *s, uint32_t at, const uint32_t *w, unsigned n)
{
    uint32_t le[QH_WORDS];
    for (unsigned i = 0; i < n && i < QH_WORDS; i++)
        le[i] = GUINT32_TO_LE(w[i]);
    pci_dma_write(&s->pci, at, le, 4 * MIN(n, QH_WORDS));
}

/* ---- a queue head ---- */

static UsbDevice *find(Ehci *s, uint8_t address)
{
    for (unsigned n = 0; n < PORTS; n++) {
        UsbDevice *u = s->portsc[n] & PORT_PED ? usb_find(&s->port[n], address) : NULL;
        if (u)
            return u;
    }
    return NULL;
}

/* Data of a transfer: from the current page on, over at most five. */
static bool move_data(Ehci *s, const uint32_t *qh, uint8_t *data, uint32_t n, bool to_guest)
{
    unsigned page = qh[QH_TOKEN] >> 12 & 7;
    uint32_t offset = qh[QH_BUFFER] & 0xfff;
    for (; n; page++, offset = 0) {
        if (page > 4)
            return false;
        uint32_t part = MIN(n, 4096 - offset), at = (qh[QH_BUFFER + page] & ~0xfffu) + offset;
        if (!(to_guest ? pci_dma_write(&s->pci, at, data, part) : pci_dma_read(&s->pci, at, data, part)))
            return false;
        data += part;
        n -= part;
    }
    return true;
}

/* The overlay's place moves on with the bytes; toggles with the packets. */
static void advance(uint32_t *qh, uint32_t done, uint32_t max_packet, bool setup)
{
    uint32_t token = qh[QH_TOKEN], left = token >> 16 & 0x7fff;
    uint32_t at = (token >> 12 & 7) * 4096 + (qh[QH_BUFFER] & 0xfff) + done;
    uint32_t packets = done ? (done + MAX(max_packet, 1) - 1) / MAX(max_packet, 1) : 1;
    qh[QH_BUFFER] = (qh[QH_BUFFER] & ~0xfffu) | (at & 0xfff);
    token = (token & ~0x7fff7000u) | (left - done) << 16 | MIN(at / 4096, 4) << 12;
    if (packets & 1)
        token ^= 1u << 31;
    qh[QH_TOKEN] = token;
}

typedef enum Outcome { Q_NEXT, Q_WAITS, Q_STOPS } Outcome;

static Outcome fail(Ehci *s, uint32_t *qh, uint32_t bits)
{
    qh[QH_TOKEN] = (qh[QH_TOKEN] & ~(T_ACTIVE | 0xc00u)) | T_HALTED | bits;
    s->usbsts |= STS_ERROR;
    if (qh[QH_TOKEN] & T_IOC)
        s->usbsts |= STS_INT;
    return Q_STOPS;
}

static Outcome transact(Ehci *s, uint32_t *qh)
{
    static const UsbToken tokens[] = {USB_OUT, USB_IN, USB_SETUP, USB_SETUP};
    uint8_t data[TD_BYTES];
    uint32_t token = qh[QH_TOKEN], n = token >> 16 & 0x7fff;
    UsbPacket p = {.token = tokens[token >> 8 & 3], .endpoint = qh[1] >> 8 & 15, .data = data, .size = n};
    UsbDevice *u = find(s, qh[1] & 0x7f);
    if (n > sizeof(data) || (token >> 8 & 3) == 3 || (p.token != USB_IN && !move_data(s, qh, data, n, false)))
        return fail(s, qh, T_XACT);
    switch (u ? usb_packet(u, &p) : USB_GONE) {
    case USB_NAK: return Q_WAITS;
    case USB_STALL: return fail(s, qh, 0);
    case USB_BABBLE: return fail(s, qh, T_BABBLE);
    case USB_GONE: return fail(s, qh, T_XACT);
    default: break;
    }
    p.done = MIN(p.done, n);
    if (p.token == USB_IN)
        move_data(s, qh, data, p.done, true);
    advance(qh, p.done, qh[1] >> 16 & 0x7ff, p.token == USB_SETUP);
    qh[QH_TOKEN] &= ~(uint32_t)T_ACTIVE;
    if (token & T_IOC || (p.token == USB_IN && p.done < n))
        s->usbsts |= STS_INT;
    return Q_NEXT;
}

/* Takes the next descriptor into the overlay; false: there is none. */
static bool fetch(Ehci *s, uint32_t *qh)
{
    bool is_short = qh[QH_TOKEN] >> 16 & 0x7fff && !(qh[QH_ALT] & LINK_END);
    uint32_t next = is_short ? qh[QH_ALT] : qh[QH_NEXT], td[8];
    if (next & LINK_END || !read_words(s, next & ~31u, td, 8) || !(td[2] & T_ACTIVE) || td[2] & T_HALTED)
        return false;
    uint32_t toggle = qh[1] & 0x4000 ? td[2] & 1u << 31 : qh[QH_TOKEN] & 1u << 31;
    qh[QH_CURRENT] = next & ~31u;
    memcpy(&qh[QH_NEXT], td, sizeof(td));
    qh[QH_TOKEN] = (td[2] & ~(1u << 31)) | toggle;
    return true;
}

/* Works on a queue. True: something was done. */
static bool run_head(Ehci *s, uint32_t at, uint32_t *qh, unsigned *budget)
{
    bool any = false;
    while (*budget) {
        if (qh[QH_TOKEN] & T_HALTED)
            break;
        bool fetched = !(qh[QH_TOKEN] & T_ACTIVE);
        if (fetched && !fetch(s, qh))
            break;
        Outcome o = transact(s, qh);
        if (o != Q_WAITS || fetched)
            write_words(s, at + 4 * QH_CURRENT, qh + QH_CURRENT, QH_WORDS - QH_CURRENT);
        if (o == Q_WAITS)
            break;
        write_words(s, qh[QH_CURRENT] + 8, qh + QH_TOKEN, 1);
        any = true;
        --*budget;
        if (o == Q_STOPS)
            break;
    }
    return any;
}

/* ---- schedules ---- */

static void run_periodic(Ehci *s)
{
    static const uint16_t sizes[] = {1024, 512, 256, 1024};
    unsigned entries = sizes[s->usbcmd >> 2 & 3], budget = ROUND_TDS;
    uint32_t link, qh[QH_WORDS];
    if (!read_words(s, (s->periodic & ~0xfffu) + 4 * ((s->frindex >> 3) % entries), &link, 1))
        return;
    for (unsigned n = 0; n < MAX_HEADS && !(link & LINK_END); n++) {
        uint32_t at = link & ~31u;
        bool head = (link >> 1 & 3) == TYPE_QH;
        if (!read_words(s, at, qh, head ? QH_WORDS : 1))
            return;
        link = qh[0];
        if (head)
            run_head(s, at, qh, &budget);
    }
}

/* Once around. Isochronous descriptors are passed by: no device has such endpoints. */
static bool run_async_round(Ehci *s, unsigned *budget)
{
    uint32_t first = s->async & ~31u, at = first, qh[QH_WORDS];
    bool any = false;
    for (unsigned n = 0; n < MAX_HEADS; n++) {
        if (!read_words(s, at, qh, QH_WORDS))
            break;
        uint32_t link = qh[0];
        any |= run_head(s, at, qh, budget);
        at = link & ~31u;
        if (link & LINK_END || at == first)
            break;
    }
    return any;
}

static bool run_async(Ehci *s)
{
    unsigned budget = ROUND_TDS;
    bool any = false;
    if (s->walking || (s->usbcmd & (CMD_RUN | CMD_ASYNC)) != (CMD_RUN | CMD_ASYNC))
        return false;
    s->walking = true;
    while (budget && run_async_round(s, &budget))
        any = true;
    s->walking = false;
    return any;
}

static void work(Device *d)
{
    Ehci *s = (Ehci *)d;
    if (!(s->usbcmd & CMD_RUN))
        return;
    /* The frame's end passed since the last walk: time has 8 microframes in each. */
    uint32_t old = s->frindex;
    s->frindex = (s->frindex + 8) & 0x3fff;
    if ((old ^ s->frindex) & 0x2000)
        s->usbsts |= STS_ROLLOVER;
    if (s->usbcmd & CMD_PERIODIC)
        run_periodic(s);
    run_async(s);
    update_irq(s);
    timer_arm(&s->work, now(s) + FRAME_NS);
}

static void ready(UsbBus *bus, UsbDevice *u, uint8_t address, uint16_t stream)
{
    Ehci *s = (Ehci *)bus->bus.owner;
    if (run_async(s))
        update_irq(s);
}

/* ---- ports ---- */

static UsbDevice *device_at(const Ehci *s, unsigned n)
{
    UsbDevice *u = s->port[n].dev;
    return u && u->attached ? u : NULL;
}

static bool owned_by_companion(const Ehci *s, unsigned n) { return s->portsc[n] & PORT_OWNER && s->companion[n]; }

/* A high-speed device behaves as a full-speed one at a companion. */
static void give_companion(Ehci *s, unsigned n)
{
    UsbDevice *u = s->port[n].dev;
    if (u->speed == USB_HIGH && u->speeds & USB_IS_FULL)
        u->speed = USB_FULL;
    s->companion[n]->dev = u;
    s->companion[n]->ops->attach(s->companion[n]);
}

static void take_companion(Ehci *s, unsigned n)
{
    UsbDevice *u = s->port[n].dev;
    s->companion[n]->ops->detach(s->companion[n]);
    s->companion[n]->dev = NULL;
    if (u->speeds & USB_IS_HIGH)
        u->speed = USB_HIGH;
}

static void connect(Ehci *s, unsigned n)
{
    s->portsc[n] |= PORT_CCS | PORT_CSC | (s->port[n].dev->speed == USB_LOW ? PORT_K : 0);
    cause(s, STS_PORT);
}

static void disconnect(Ehci *s, unsigned n)
{
    s->portsc[n] = (s->portsc[n] & ~(PORT_CCS | PORT_PED | PORT_SUSPEND | PORT_RESUME | PORT_K)) | PORT_CSC |
                   (s->portsc[n] & PORT_PED ? PORT_PEDC : 0);
    cause(s, STS_PORT);
}

static void attach(UsbPort *port)
{
    Ehci *s = port->opaque;
    if (owned_by_companion(s, port->index))
        give_companion(s, port->index);
    else
        connect(s, port->index);
}

static void detach(UsbPort *port)
{
    Ehci *s = port->opaque;
    unsigned n = port->index;
    if (owned_by_companion(s, n)) {
        take_companion(s, n);
        s->portsc[n] &= ~(s->configflag & 1 ? PORT_OWNER : 0);  /* the next device comes here first: 4.2.2 */
    } else {
        disconnect(s, n);
    }
}

static void wakeup(UsbPort *port)
{
    Ehci *s = port->opaque;
    unsigned n = port->index;
    if (owned_by_companion(s, n)) {
        s->companion[n]->ops->wakeup(s->companion[n]);
    } else if (s->portsc[n] & PORT_SUSPEND) {
        s->portsc[n] |= PORT_RESUME;
        cause(s, STS_PORT);
    }
}

static const UsbPortOps port_ops = {attach, detach, wakeup};

static void set_owner(Ehci *s, unsigned n, bool companion)
{
    bool was = s->portsc[n] & PORT_OWNER;
    UsbDevice *u = device_at(s, n);
    if (was == companion)
        return;
    if (u && was && s->companion[n])
        take_companion(s, n);
    else if (u && !was)
        disconnect(s, n);
    s->portsc[n] = companion ? s->portsc[n] | PORT_OWNER : s->portsc[n] & ~PORT_OWNER;
    if (u && companion && s->companion[n])
        give_companion(s, n);
    else if (u && !companion)
        connect(s, n);
}

static uint64_t read_portsc(Device *d, unsigned n) { return ((Ehci *)d)->portsc[n]; }

static void reset_port(Ehci *s, unsigned n, bool on)
{
    UsbDevice *u = device_at(s, n);
    s->portsc[n] = on ? (s->portsc[n] & ~PORT_PED) | PORT_RESET : s->portsc[n] & ~PORT_RESET;
    if (on || !u)
        return;
    usb_device_reset(u);
    s->portsc[n] &= ~PORT_CSC;
    if (u->speed == USB_HIGH)
        s->portsc[n] |= PORT_PED;       /* others stay disabled: theirs is a companion */
}

static void write_portsc(Device *d, unsigned n, uint64_t v)
{
    enum { STORED = 0x7fc000 };         /* indicators, test, wake-up */
    Ehci *s = (Ehci *)d;
    set_owner(s, n, v & PORT_OWNER);
    s->portsc[n] &= ~(v & (PORT_CSC | PORT_PEDC));
    s->portsc[n] = (s->portsc[n] & ~STORED) | (v & STORED);
    if (s->portsc[n] & PORT_OWNER)
        return;
    if (!(v & PORT_PED))
        s->portsc[n] &= ~PORT_PED;
    if (!!(v & PORT_RESET) != !!(s->portsc[n] & PORT_RESET))
        reset_port(s, n, v & PORT_RESET);
    if (v & PORT_SUSPEND && s->portsc[n] & PORT_PED)
        s->portsc[n] |= PORT_SUSPEND;
    if (v & PORT_RESUME && s->portsc[n] & PORT_SUSPEND)
        s->portsc[n] |= PORT_RESUME;
    else if (!(v & PORT_RESUME) && s->portsc[n] & PORT_RESUME)
        s->portsc[n] &= ~(PORT_RESUME | PORT_SUSPEND);
}

/* ---- registers ---- */

static uint64_t read_usbsts(Device *d)
{
    const Ehci *s = (const Ehci *)d;
    uint32_t v = s->usbsts & STS_CAUSES;
    if (!(s->usbcmd & CMD_RUN))
        return v | STS_HALTED;
    return v | (s->usbcmd & CMD_PERIODIC ? STS_PERIODIC : 0) | (s->usbcmd & CMD_ASYNC ? STS_ASYNC : 0);
}

static void reset_controller(Ehci *s)
{
    s->usbcmd = 0x80000;
    s->usbsts = s->usbintr = s->frindex = s->segment = s->periodic = s->async = 0;
    timer_cancel(&s->work);
    s->configflag = 0;
    for (unsigned n = 0; n < PORTS; n++) {
        if (device_at(s, n) && !(s->portsc[n] & PORT_OWNER))
            disconnect(s, n);
        bool was = s->portsc[n] & PORT_OWNER;
        s->portsc[n] = PORT_POWER | PORT_OWNER;
        if (device_at(s, n) && s->companion[n] && !was)
            give_companion(s, n);
    }
    s->usbsts = 0;
    update_irq(s);
}

static void wrote_usbcmd(Device *d, uint64_t v)
{
    Ehci *s = (Ehci *)d;
    if (v & CMD_RESET) {
        reset_controller(s);
        return;
    }
    if (v & CMD_DOORBELL) {             /* nothing of a queue is kept here */
        s->usbcmd &= ~CMD_DOORBELL;
        cause(s, STS_ADVANCE);
    }
    if (v & CMD_RUN && !timer_armed(&s->work))
        timer_arm(&s->work, now(s) + (v & CMD_ASYNC ? QUICK_NS : FRAME_NS));
    else if (!(v & CMD_RUN))
        timer_cancel(&s->work);
}

static void wrote_usbsts(Device *d, uint64_t v) { update_irq((Ehci *)d); }
static void wrote_usbintr(Device *d, uint64_t v) { update_irq((Ehci *)d); }

static void wrote_configflag(Device *d, uint64_t v)
{
    for (unsigned n = 0; n < PORTS; n++)
        set_owner((Ehci *)d, n, !(v & 1));
}

static uint64_t hcsparams(Device *d)
{
    const Ehci *s = (const Ehci *)d;
    unsigned companions = 0;
    for (unsigned n = 0; n < PORTS; n += 2)
        companions += s->companion[n] != NULL;
    return PORTS | (companions ? 2 << 8 : 0) | companions << 12;
}

static const Reg regs[] = {
    REG(0x00, "CAPLENGTH", RO, .value = 0x01000020),
    REG(0x04, "HCSPARAMS", RO, .read = hcsparams),
    REG(0x08, "HCCPARAMS", RO, .value = 0x82),
    REG(0x20, "USBCMD", RW, IN(Ehci, usbcmd), .bits = 0xff007f, .reset = 0x80000, .wrote = wrote_usbcmd),
    REG(0x24, "USBSTS", W1C, IN(Ehci, usbsts), .bits = STS_CAUSES, .read = read_usbsts, .wrote = wrote_usbsts),
    REG(0x28, "USBINTR", RW, IN(Ehci, usbintr), .bits = STS_CAUSES, .wrote = wrote_usbintr),
    REG(0x2c, "FRINDEX", RW, IN(Ehci, frindex), .bits = 0x3fff),
    REG(0x30, "CTRLDSSEGMENT", RW, IN(Ehci, segment)),
    REG(0x34, "PERIODICLISTBASE", RW, IN(Ehci, periodic), .bits = 0xfffff000),
    REG(0x38, "ASYNCLISTADDR", RW, IN(Ehci, async), .bits = 0xffffffe0),
    REG(0x60, "CONFIGFLAG", RW, IN(Ehci, configflag), .bits = 1, .wrote = wrote_configflag),
    REG(0x64, "PORTSC", RW, .count = PORTS, .read_at = read_portsc, .wrote_at = write_portsc),
};

/* ---- the device ---- */

static bool companion(UsbBus *bus, UsbPort *ports, unsigned n, unsigned first, GError **error)
{
    Ehci *s = (Ehci *)bus->bus.owner;
    if (first + n > PORTS || first > PORTS)
        return error_set(error, "firstport must be between 0 and %u", PORTS - n);
    for (unsigned i = 0; i < n; i++)
        if (s->companion[first + i] || s->port[first + i].dev)
            return error_set(error, "firstport %u: port %u has a companion or a device already", first, first + i);
    for (unsigned i = 0; i < n; i++) {
        s->companion[first + i] = &ports[i];
        s->port[first + i].speeds |= USB_IS_1;
        ports[i].bus = bus;
    }
    return true;
}

static const UsbBusOps bus_ops = {.ready = ready, .companion = companion};

static bool realize(Device *d, GError **error)
{
    Ehci *s = (Ehci *)d;
    s->bus = usb_bus_new(d, &bus_ops);
    for (unsigned n = 0; n < PORTS; n++) {
        s->port[n] = (UsbPort){.ops = &port_ops, .opaque = s, .index = n, .speeds = USB_IS_HIGH};
        usb_port_add(s->bus, &s->port[n], NULL, n + 1);
    }
    return true;
}

static void reset(Device *d)
{
    Ehci *s = (Ehci *)d;
    for (unsigned n = 0; n < PORTS; n++)
        s->portsc[n] = PORT_POWER;
    reset_controller(s);
}

static void restored(Device *d)
{
    Ehci *s = (Ehci *)d;
    s->usbsts &= STS_CAUSES;
    s->usbcmd &= 0xff007f & ~CMD_DOORBELL & ~CMD_RESET;
    s->frindex &= 0x3fff;
    update_irq(s);
}

static const PciReg config_regs[] = {
    {.at = 0x60, .width = 1, .name = "SBRN", .value = 0x20},
    {.at = 0x61, .width = 1, .name = "FLADJ", .value = 0x20, .writable = 0x3f},
};
static const Field fields[] = {
    HOST(Ehci, bus), HOST(Ehci, port), HOST(Ehci, companion), TIMER(Ehci, work, work), SAVED(Ehci, portsc),
    HOST(Ehci, walking),
};

#define EHCI(ident, name_, device_, revision_)                                                                  \
    static const PciInfo ident##_info = {                                                                       \
        .vendor = 0x8086, .device = device_, .class = 0x0c0320, .revision = revision_, .pin = 4,                \
        .no_hotplug = true, .bar = {{.kind = PCI_BAR_MEM32, .window = true}}, PCI_REGS(config_regs),            \
    };                                                                                                          \
    static const DeviceType ident = {                                                                           \
        .name = name_, .parent = "pci-device", .desc = "EHCI controller", .size = sizeof(Ehci),                 \
        .category = DEVICE_USB, .fw_name = "usb", .pluggable = true, .window = 0x1000, .max_access = 4,         \
        REGS(regs), FIELDS(fields), .realize = realize, .reset = reset, .restored = restored,                   \
        .pci = &ident##_info,                                                                                   \
    };                                                                                                          \
    DEVICE_TYPE(ident)

EHCI(usb_ehci, "usb-ehci", 0x24cd, 0x10);
EHCI(ich9_ehci1, "ich9-usb-ehci1", 0x293a, 3);
EHCI(ich9_ehci2, "ich9-usb-ehci2", 0x293c, 3);
