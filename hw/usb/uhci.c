/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UHCI: full- and low-speed controllers of the PIIX and ICH9 chips, alone or as companions of an EHCI.
 * Spec: Intel UHCI Design Guide 1.1.
 *
 * Each millisecond the schedule of a frame is walked. Its end is a link without a target; rings (bandwidth
 * reclamation) end when a whole round brought nothing, or with the frame's share of bytes and steps.
 */
#include <string.h>
#include "hw/pci.h"
#include "hw/usb.h"
#include "util/error.h"
#include "util/log.h"

enum {
    PORTS = 2, FRAME_NS = 1000000, FRAME_BYTES = 16384, FRAME_STEPS = 512, SEEN = 64, MAX_LATE = 8,
    CMD_RUN = 1, CMD_HCRESET = 2, CMD_GRESET = 4, CMD_EGSM = 8, CMD_FGR = 0x10,
    STS_INT = 1, STS_ERROR = 2, STS_RESUME = 4, STS_HSE = 8, STS_HALTED = 0x20,
    INTR_ERROR = 1, INTR_RESUME = 2, INTR_IOC = 4, INTR_SHORT = 8, WHY_IOC = 1, WHY_SHORT = 2,
    PORT_CCS = 1, PORT_CSC = 2, PORT_PE = 4, PORT_PEC = 8, PORT_RESUME = 0x40, PORT_ONE = 0x80, PORT_LOW = 0x100,
    PORT_RESET = 0x200, PORT_SUSPEND = 0x1000,
    LINK_END = 1, LINK_QH = 2, LINK_DEPTH = 4,
    TD_CRC = 1 << 18, TD_NAK = 1 << 19, TD_BABBLE = 1 << 20, TD_STALLED = 1 << 22, TD_ACTIVE = 1 << 23,
    TD_IOC = 1 << 24, TD_ISO = 1 << 25, TD_SPD = 1 << 29, TD_ERRORS = 0x7e0000,
    PID_SETUP = 0x2d, PID_IN = 0x69, PID_OUT = 0xe1,
};

typedef struct Uhci {
    PciDevice pci;
    UsbBus *bus;                /* its own; NULL: a companion */
    UsbPort port[PORTS];
    Timer frame;
    uint16_t usbcmd, usbsts, usbintr, frnum;
    uint32_t flbase;
    uint8_t sofmod;
    uint16_t portsc[PORTS];
    uint8_t why;                /* WHY_*: of STS_INT */
    /* properties */
    char *masterbus;
    uint32_t firstport;
} Uhci;

typedef struct Td {
    uint32_t link, control, token, buffer;
} Td;

static int64_t now(const Uhci *s) { return clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL); }

static void update_irq(Uhci *s)
{
    bool level = (s->why & WHY_IOC && s->usbintr & INTR_IOC) || (s->why & WHY_SHORT && s->usbintr & INTR_SHORT) ||
                 (s->usbsts & STS_ERROR && s->usbintr & INTR_ERROR) ||
                 (s->usbsts & STS_RESUME && s->usbintr & INTR_RESUME) || s->usbsts & STS_HSE;
    pci_intx(&s->pci, level);
}

static bool read_words(Uhci *s, uint32_t at, uint32_t *w, unsigned n)
{
    memset(w, 0, 4 * n);
    bool ok = pci_dma_read(&s->pci, at, w, 4 * n);
    for (unsigned i = 0; i < n; i++)
        w[i] = GUINT32_FROM_LE(w[i]);
    return ok;
}

static void write_word(Uhci *s, uint32_t at, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    pci_dma_write(&s->pci, at, &v, 4);
}

/* ---- transfers ---- */

static UsbDevice *find(Uhci *s, uint8_t address)
{
    for (unsigned n = 0; n < PORTS; n++) {
        UsbDevice *u = s->portsc[n] & PORT_PE && s->port[n].dev ? usb_find(&s->port[n], address) : NULL;
        if (u)
            return u;
    }
    return NULL;
}

typedef enum Outcome { TD_NEXT, TD_STAYS, TD_STOPS } Outcome;

static Outcome failed(Uhci *s, Td *td, uint32_t bits)
{
    td->control = (td->control & ~TD_ACTIVE & ~0x18000000) | bits;
    s->usbsts |= STS_ERROR;
    if (td->control & TD_IOC)
        s->why |= WHY_IOC;
    return TD_STOPS;
}

/* One transaction. td->control is what is to be written back. */
static Outcome transact(Uhci *s, Td *td, unsigned *bytes)
{
    uint8_t data[2048];
    uint32_t room = ((td->token >> 21) + 1) & 0x7ff;
    uint8_t pid = td->token;
    UsbPacket p = {.token = pid == PID_IN ? USB_IN : pid == PID_SETUP ? USB_SETUP : USB_OUT,
                   .endpoint = td->token >> 15 & 15, .data = data, .size = room};
    UsbDevice *u = find(s, td->token >> 8 & 0x7f);
    if (pid != PID_IN && pid != PID_OUT && pid != PID_SETUP) {
        s->usbsts |= STS_HSE;
        s->usbcmd &= ~CMD_RUN;
        return TD_STOPS;
    }
    td->control &= ~(uint32_t)TD_ERRORS;
    if (p.token != USB_IN)
        pci_dma_read(&s->pci, td->buffer, data, room);
    UsbStatus status = u ? usb_packet(u, &p) : USB_GONE;
    *bytes += 16 + p.done;
    switch (status) {
    case USB_NAK: td->control |= TD_NAK; return td->control & TD_ISO ? TD_NEXT : TD_STAYS;
    case USB_STALL: return failed(s, td, TD_STALLED);
    case USB_BABBLE: return failed(s, td, TD_STALLED | TD_BABBLE);
    case USB_GONE: return failed(s, td, TD_STALLED | TD_CRC);
    default: break;
    }
    if (p.token == USB_IN)
        pci_dma_write(&s->pci, td->buffer, data, p.done);
    td->control = (td->control & ~TD_ACTIVE & ~0x7ffu) | ((p.done - 1) & 0x7ff);
    if (td->control & TD_IOC)
        s->why |= WHY_IOC;
    if (p.token == USB_IN && p.done < room && td->control & TD_SPD) {
        s->why |= WHY_SHORT;
        return TD_STOPS;        /* the driver decides how its queue goes on */
    }
    return TD_NEXT;
}

static Outcome run_td(Uhci *s, uint32_t at, uint32_t *link, unsigned *bytes)
{
    Td td;
    if (!read_words(s, at, (uint32_t *)&td, 4)) {
        *link = LINK_END;
        return TD_STOPS;
    }
    *link = td.link;
    if (!(td.control & TD_ACTIVE))
        return TD_STOPS;
    uint32_t old = td.control;
    Outcome o = transact(s, &td, bytes);
    if (td.control != old)
        write_word(s, at + 4, td.control);
    return o;
}

/* The queue's first descriptors, as long as depth goes first. True: something was done. */
static bool run_queue(Uhci *s, uint32_t qh, uint32_t element, unsigned *steps, unsigned *bytes)
{
    bool any = false;
    while (!(element & (LINK_END | LINK_QH)) && *steps < FRAME_STEPS && *bytes < FRAME_BYTES) {
        uint32_t link;
        ++*steps;
        if (run_td(s, element & ~15u, &link, bytes) != TD_NEXT)
            return any;
        any = true;
        write_word(s, qh + 4, link);
        element = link;
        if (!(link & LINK_DEPTH))
            return true;
    }
    return any;
}

static void run_frame(Uhci *s)
{
    uint32_t seen[SEEN], link[2], n_seen = 0;
    unsigned steps = 0, bytes = 0;
    if (!read_words(s, (s->flbase & ~0xfffu) + 4 * (s->frnum & 0x3ff), link, 1))
        return;
    while (!(link[0] & LINK_END) && steps++ < FRAME_STEPS && bytes < FRAME_BYTES && s->usbcmd & CMD_RUN) {
        uint32_t at = link[0] & ~15u;
        if (!(link[0] & LINK_QH)) {
            run_td(s, at, &link[0], &bytes);
            continue;
        }
        for (unsigned i = 0; i < n_seen; i++)
            if (seen[i] == at)
                return;         /* a round in which nothing happened */
        if (n_seen < SEEN)
            seen[n_seen++] = at;
        if (!read_words(s, at, link, 2))
            return;
        if (run_queue(s, at, link[1], &steps, &bytes))
            n_seen = 0;
    }
}

static void frame(Device *d)
{
    Uhci *s = (Uhci *)d;
    int64_t due = s->frame.deadline, t = now(s);
    if (!(s->usbcmd & CMD_RUN))
        return;
    run_frame(s);
    s->frnum = (s->frnum + 1) & 0x7ff;
    if (s->why)
        s->usbsts |= STS_INT;
    update_irq(s);
    due = due == INT64_MAX || t - due > MAX_LATE * FRAME_NS ? t : due;
    if (s->usbcmd & CMD_RUN)
        timer_arm(&s->frame, due + FRAME_NS);
    else
        s->usbsts |= STS_HALTED;
}

/* ---- ports ---- */

static void resume(Uhci *s)
{
    if (s->usbcmd & CMD_EGSM) {
        s->usbsts |= STS_RESUME;
        update_irq(s);
    }
}

static void attach(UsbPort *port)
{
    Uhci *s = port->opaque;
    s->portsc[port->index] = PORT_ONE | PORT_CCS | PORT_CSC | (port->dev->speed == USB_LOW ? PORT_LOW : 0);
    resume(s);
}

static void detach(UsbPort *port)
{
    Uhci *s = port->opaque;
    uint16_t *p = &s->portsc[port->index];
    *p = PORT_ONE | PORT_CSC | (*p & PORT_PE ? PORT_PEC : 0);
    resume(s);
}

static void wakeup(UsbPort *port)
{
    Uhci *s = port->opaque;
    uint16_t *p = &s->portsc[port->index];
    if (*p & PORT_SUSPEND && !(*p & PORT_RESUME)) {
        *p |= PORT_RESUME;
        s->usbsts |= STS_RESUME;
        update_irq(s);
    }
}

static const UsbPortOps port_ops = {attach, detach, wakeup};

static UsbDevice *device_at(const Uhci *s, unsigned n)
{
    UsbDevice *u = s->port[n].dev;
    return u && u->attached ? u : NULL;
}

static void write_portsc(Device *d, unsigned n, uint64_t v)
{
    enum { STORED = PORT_PE | PORT_RESUME | PORT_RESET | PORT_SUSPEND };
    Uhci *s = (Uhci *)d;
    uint16_t old = s->portsc[n];
    UsbDevice *u = device_at(s, n);
    if (v & PORT_RESET && !(old & PORT_RESET) && u)
        usb_device_reset(u);
    uint16_t p = (old & ~(STORED | (v & (PORT_CSC | PORT_PEC)))) | (v & STORED);
    if (!u)
        p &= ~(PORT_PE | PORT_SUSPEND | PORT_RESUME);
    if (old & PORT_RESUME && !(v & PORT_RESUME))
        p &= ~PORT_SUSPEND;
    s->portsc[n] = p | PORT_ONE;
}

static uint64_t read_portsc(Device *d, unsigned n) { return ((Uhci *)d)->portsc[n]; }

/* ---- registers ---- */

static void reset_ports(Uhci *s, bool devices)
{
    for (unsigned n = 0; n < PORTS; n++) {
        UsbDevice *u = device_at(s, n);
        if (u && devices)
            usb_device_reset(u);
        s->portsc[n] = PORT_ONE | (u ? PORT_CCS | PORT_CSC | (u->speed == USB_LOW ? PORT_LOW : 0) : 0);
    }
}

static void reset_controller(Uhci *s)
{
    s->usbcmd = s->usbintr = s->frnum = s->why = 0;
    s->usbsts = STS_HALTED;
    s->flbase = 0;
    s->sofmod = 64;
    timer_cancel(&s->frame);
    reset_ports(s, false);
    update_irq(s);
}

static void wrote_usbcmd(Device *d, uint64_t v)
{
    Uhci *s = (Uhci *)d;
    if (v & CMD_HCRESET) {
        reset_controller(s);
        return;
    }
    if (v & CMD_GRESET)
        reset_ports(s, true);
    s->usbsts = v & CMD_RUN ? s->usbsts & ~STS_HALTED : s->usbsts | STS_HALTED;
    if (v & CMD_RUN && !timer_armed(&s->frame))
        timer_arm(&s->frame, now(s) + FRAME_NS);
    else if (!(v & CMD_RUN))
        timer_cancel(&s->frame);
}

static void wrote_usbsts(Device *d, uint64_t v)
{
    Uhci *s = (Uhci *)d;
    if (v & STS_INT)
        s->why = 0;
    update_irq(s);
}
static void wrote_usbintr(Device *d, uint64_t v) { update_irq((Uhci *)d); }

static const Reg regs[] = {
    REG(0x00, "USBCMD", RW, .width = 2, IN(Uhci, usbcmd), .bits = 0xff, .wrote = wrote_usbcmd),
    REG(0x02, "USBSTS", W1C, .width = 2, IN(Uhci, usbsts), .bits = 0x1f, .reset = STS_HALTED, .wrote = wrote_usbsts),
    REG(0x04, "USBINTR", RW, .width = 2, IN(Uhci, usbintr), .bits = 0xf, .wrote = wrote_usbintr),
    REG(0x06, "FRNUM", RW, .width = 2, IN(Uhci, frnum), .bits = 0x7ff),
    REG(0x08, "FLBASEADD", RW, IN(Uhci, flbase), .bits = 0xfffff000),
    REG(0x0c, "SOFMOD", RW, .width = 1, IN(Uhci, sofmod), .bits = 0x7f, .reset = 64),
    REG(0x10, "PORTSC", RW, .width = 2, .count = PORTS, .read_at = read_portsc, .wrote_at = write_portsc),
};

/* ---- the device ---- */

static const UsbBusOps bus_ops = {0};

static bool join_master(Uhci *s, GError **error)
{
    UsbBus *bus = (UsbBus *)bus_find(s->pci.dev.object.vm, s->masterbus, "usb-bus");
    if (!bus)
        return error_set(error, "USB bus '%s' not found", s->masterbus);
    if (!bus->ops->companion)
        return error_set(error, "Can't use USB bus '%s' as masterbus, as it doesn't support companion controllers",
                         s->masterbus);
    return bus->ops->companion(bus, s->port, PORTS, s->firstport, error);
}

static bool realize(Device *d, GError **error)
{
    Uhci *s = (Uhci *)d;
    for (unsigned n = 0; n < PORTS; n++)
        s->port[n] = (UsbPort){.ops = &port_ops, .opaque = s, .index = n, .speeds = USB_IS_1};
    if (s->masterbus)
        return join_master(s, error);
    s->bus = usb_bus_new(d, &bus_ops);
    for (unsigned n = 0; n < PORTS; n++)
        usb_port_add(s->bus, &s->port[n], NULL, n + 1);
    return true;
}

static void reset(Device *d) { reset_controller((Uhci *)d); }
static void restored(Device *d)
{
    Uhci *s = (Uhci *)d;
    s->frnum &= 0x7ff;
    update_irq(s);
}

static const PciReg config_regs[] = {
    {.at = 0x60, .width = 1, .name = "SBRN", .value = 0x10},
    {.at = 0xc0, .width = 2, .name = "LEGSUP", .value = 0x2000, .writable = 0x20bf, .clears = 0x8f00},
};
static const Field fields[] = {
    HOST(Uhci, bus), HOST(Uhci, port), TIMER(Uhci, frame, frame), SAVED(Uhci, portsc), SAVED(Uhci, why),
    PROP(Uhci, masterbus, "masterbus", PROP_STRING, .desc = "EHCI bus whose companion it is"),
    PROP(Uhci, firstport, "firstport", PROP_U32, .desc = "Its first port there, from 0"),
};

#define UHCI(ident, name_, device_, revision_, pin_)                                                            \
    static const PciInfo ident##_info = {                                                                       \
        .vendor = 0x8086, .device = device_, .class = 0x0c0300, .revision = revision_, .pin = pin_,             \
        .no_hotplug = true, .bar = {[4] = {.kind = PCI_BAR_IO, .window = true}}, PCI_REGS(config_regs),         \
    };                                                                                                          \
    static const DeviceType ident = {                                                                           \
        .name = name_, .parent = "pci-device", .desc = "UHCI controller", .size = sizeof(Uhci),                 \
        .category = DEVICE_USB, .fw_name = "usb", .pluggable = true, .window = 32, .max_access = 4, REGS(regs), \
        FIELDS(fields), .realize = realize, .reset = reset, .restored = restored, .pci = &ident##_info,         \
    };                                                                                                          \
    DEVICE_TYPE(ident)

UHCI(piix3, "piix3-usb-uhci", 0x7020, 1, 4);
UHCI(piix4, "piix4-usb-uhci", 0x7112, 1, 4);
UHCI(ich9_1, "ich9-usb-uhci1", 0x2934, 3, 1);
UHCI(ich9_2, "ich9-usb-uhci2", 0x2935, 3, 2);
UHCI(ich9_3, "ich9-usb-uhci3", 0x2936, 3, 3);
UHCI(ich9_4, "ich9-usb-uhci4", 0x2937, 3, 1);
UHCI(ich9_5, "ich9-usb-uhci5", 0x2938, 3, 2);
UHCI(ich9_6, "ich9-usb-uhci6", 0x2939, 3, 3);
