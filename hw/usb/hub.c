/* SPDX-License-Identifier: Apache-2.0 */
/* A full-speed hub of up to eight ports. Spec: USB 2.0, chapter 11. */
#include "hw/usb.h"
#include "util/error.h"

enum {
    PORTS = 8,
    /* status, and in `change` what of it changed */
    CONNECTION = 1, ENABLE = 2, SUSPEND = 4, RESET = 0x10, POWER = 0x100, LOW_SPEED = 0x200,
    /* feature selectors */
    F_ENABLE = 1, F_SUSPEND = 2, F_RESET = 4, F_POWER = 8, F_C_CONNECTION = 16, F_C_RESET = 20,
    GET_STATUS = 0, CLEAR_FEATURE = 1, SET_FEATURE = 3, GET_DESCRIPTOR = 6, HUB_DESCRIPTOR = 0x29,
};

typedef struct HubPort {
    uint16_t status, change;
} HubPort;

typedef struct UsbHub {
    UsbDevice usb;
    UsbPort port[PORTS];
    HubPort state[PORTS];
    uint32_t n_ports;
} UsbHub;

static void changed(UsbHub *s)
{
    usb_wakeup(&s->usb);
    usb_ready(&s->usb, 0x81, 0);
}

/* ---- the ports' other side ---- */

static void attach(UsbPort *port)
{
    UsbHub *s = port->opaque;
    HubPort *p = &s->state[port->index];
    p->status = (p->status & POWER) | CONNECTION | (port->dev->speed == USB_LOW ? LOW_SPEED : 0);
    p->change |= CONNECTION;
    changed(s);
}

static void detach(UsbPort *port)
{
    UsbHub *s = port->opaque;
    HubPort *p = &s->state[port->index];
    p->change |= CONNECTION | (p->status & ENABLE);
    p->status &= POWER;
    changed(s);
}

static void wakeup(UsbPort *port)
{
    UsbHub *s = port->opaque;
    HubPort *p = &s->state[port->index];
    if (p->status & SUSPEND) {
        p->status &= ~SUSPEND;
        p->change |= SUSPEND;
        changed(s);
    }
}

static const UsbPortOps port_ops = {attach, detach, wakeup};

/* ---- requests ---- */

static void set_port_feature(UsbHub *s, unsigned n, unsigned feature)
{
    HubPort *p = &s->state[n];
    UsbDevice *u = s->port[n].dev;
    switch (feature) {
    case F_SUSPEND: p->status |= p->status & ENABLE ? SUSPEND : 0; break;
    case F_POWER: p->status |= POWER; break;
    case F_RESET:
        if (!u || !u->attached)
            break;
        usb_device_reset(u);
        p->status = (p->status & ~SUSPEND) | ENABLE;
        p->change |= RESET;
        changed(s);
        break;
    default: break;
    }
}

static void clear_port_feature(UsbHub *s, unsigned n, unsigned feature)
{
    HubPort *p = &s->state[n];
    switch (feature) {
    case F_ENABLE: p->status &= ~ENABLE; break;
    case F_SUSPEND:
        if (p->status & SUSPEND) {
            p->status &= ~SUSPEND;
            p->change |= SUSPEND;
            changed(s);
        }
        break;
    case F_POWER: p->status &= ~(POWER | ENABLE | SUSPEND); break;
    default: p->change &= ~(1u << (feature - F_C_CONNECTION)); break;
    }
}

static int hub_descriptor(const UsbHub *s, uint8_t *data)
{
    /* Power switching per port, compound: no; 2 ms to good power; no removable information. */
    const uint8_t d[] = {11, HUB_DESCRIPTOR, (uint8_t)s->n_ports, 0x0a, 0, 1, 0, 0, 0, 0xff, 0xff};
    for (unsigned i = 0; i < sizeof(d); i++)
        data[i] = d[i];
    return sizeof(d);
}

static int port_status(const HubPort *p, uint8_t *data)
{
    data[0] = p->status;
    data[1] = p->status >> 8;
    data[2] = p->change;
    data[3] = p->change >> 8;
    return 4;
}

static bool known_feature(unsigned f)
{
    return f == F_ENABLE || f == F_SUSPEND || f == F_RESET || f == F_POWER || (f >= F_C_CONNECTION && f <= F_C_RESET);
}

static int control(UsbDevice *u, const UsbSetup *r, uint8_t *data)
{
    UsbHub *s = (UsbHub *)u;
    unsigned n = (r->index & 0xff) - 1;
    switch (USB_REQUEST(r->type, r->request)) {
    case USB_REQUEST(0xa0, GET_DESCRIPTOR):
        return r->value >> 8 == HUB_DESCRIPTOR ? hub_descriptor(s, data) : USB_NO_LENGTH;
    case USB_REQUEST(0xa0, GET_STATUS): return port_status(&(HubPort){0, 0}, data);
    case USB_REQUEST(0x20, CLEAR_FEATURE): case USB_REQUEST(0x20, SET_FEATURE):
        return r->value <= 1 ? 0 : USB_NO_LENGTH;       /* local power, over-current: there are none */
    default: break;
    }
    if (n >= s->n_ports)
        return USB_NO_LENGTH;
    switch (USB_REQUEST(r->type, r->request)) {
    case USB_REQUEST(0xa3, GET_STATUS): return port_status(&s->state[n], data);
    case USB_REQUEST(0x23, SET_FEATURE): case USB_REQUEST(0x23, CLEAR_FEATURE):
        if (!known_feature(r->value))
            return USB_NO_LENGTH;
        (r->request == SET_FEATURE ? set_port_feature : clear_port_feature)(s, n, r->value);
        return 0;
    default: return USB_NO_LENGTH;
    }
}

/* A bit for each port with changes; bit 0 is the hub's own. */
static UsbStatus transfer(UsbDevice *u, UsbPacket *p)
{
    UsbHub *s = (UsbHub *)u;
    unsigned bits = 0;
    if (p->token != USB_IN || p->endpoint != 1)
        return USB_STALL;
    for (unsigned n = 0; n < s->n_ports; n++)
        bits |= s->state[n].change ? 2u << n : 0;
    if (!bits)
        return USB_NAK;
    for (p->done = 0; p->done < MIN(p->size, (s->n_ports + 8) / 8); p->done++)
        p->data[p->done] = bits >> 8 * p->done;
    return USB_OK;
}

static void forget(UsbHub *s)
{
    for (unsigned n = 0; n < PORTS; n++) {
        UsbDevice *u = s->port[n].dev;
        bool there = u && u->attached;
        s->state[n] = (HubPort){POWER | (there ? CONNECTION | (u->speed == USB_LOW ? LOW_SPEED : 0) : 0),
                                there ? CONNECTION : 0};
    }
}

static void bus_reset(UsbDevice *u) { forget((UsbHub *)u); }
static void reset(Device *d) { forget((UsbHub *)d); }

static UsbPort *port_of(UsbDevice *u, unsigned n)
{
    UsbHub *s = (UsbHub *)u;
    return n >= 1 && n <= s->n_ports ? &s->port[n - 1] : NULL;
}

static bool realize(Device *d, GError **error)
{
    enum { LEVELS = 5 };
    UsbHub *s = (UsbHub *)d;
    unsigned level = 0;
    if (s->n_ports < 1 || s->n_ports > PORTS)
        return error_set(error, "num_ports (%u) out of range (1..%d)", s->n_ports, PORTS);
    for (const char *c = s->usb.port->path; *c; c++)
        level += *c == '.';
    if (level >= LEVELS)
        return error_set(error, "usb hub chain too deep");
    for (unsigned n = 0; n < s->n_ports; n++) {
        s->port[n] = (UsbPort){.ops = &port_ops, .opaque = s, .index = n, .speeds = USB_IS_1};
        usb_port_add(usb_bus_of(&s->usb), &s->port[n], s->usb.port, n + 1);
    }
    return true;
}

static const UsbEndpoint endpoints[] = {{.address = 0x81, .kind = USB_INTERRUPT, .max_packet = 2, .interval = 0xff}};
static const UsbInterface interfaces[] = {{.class = 9, .endpoints = endpoints, .n_endpoints = 1}};
static const UsbConfig full = {
    .version = 0x0110, .class = 9, .max_packet0 = 8, .attributes = 0xe0, .interfaces = interfaces, .n_interfaces = 1,
};
static const UsbInfo hub_info = {
    .vendor = 0x0409, .product = 0x55aa, .release = 0x0101, .strings = {NULL, "QEMU", "QEMU USB Hub", "314159"},
    .at = {[USB_FULL] = &full},
};
static const UsbClass hub_class = {
    .info = &hub_info, .control = control, .transfer = transfer, .bus_reset = bus_reset, .port = port_of,
};
static const Field fields[] = {
    HOST(UsbHub, port), SAVED(UsbHub, state), PROP(UsbHub, n_ports, "ports", PROP_U32, .init = PORTS),
};
static const DeviceType usb_hub = {
    .name = "usb-hub", .parent = "usb-device", .desc = "USB hub", .size = sizeof(UsbHub), .category = DEVICE_BRIDGE,
    .fw_name = "hub", .pluggable = true, .hotpluggable = true, FIELDS(fields), .realize = realize, .reset = reset,
    .ext = &hub_class,
};
DEVICE_TYPE(usb_hub);
