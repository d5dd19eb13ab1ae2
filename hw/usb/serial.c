/* SPDX-License-Identifier: Apache-2.0 */
/* USB serial port: an FTDI FT232BM before a character device. Facts: the driver's protocol (AN232B-04). */
#include <string.h>
#include "chardev/chardev.h"
#include "hw/usb.h"
#include "util/error.h"

enum {
    ROOM = 384, PACKET = 64, HEAD = 2,
    RESET = 0, SET_MODEM = 1, SET_FLOW = 2, SET_BAUD = 3, SET_DATA = 4, GET_MODEM = 5, SET_EVENT = 6, SET_ERROR = 7,
    SET_LATENCY = 9, GET_LATENCY = 10,
    MODEM_CTS = 0x10, MODEM_DSR = 0x20, MODEM_DCD = 0x80, LINE_BREAK = 0x10, LINE_EMPTY = 0x60,
};

typedef struct UsbSerial {
    UsbDevice usb;
    Chardev *chr;
    CharFrontend fe;
    uint8_t fifo[ROOM];
    uint16_t first, count;
    uint32_t out_at;
    uint8_t latency, event_char, error_char, dtr_rts, told_break;
    bool always_plugged;
} UsbSerial;

static uint8_t modem(UsbSerial *s)
{
    return 1 | (char_is_open(&s->fe) || s->always_plugged ? MODEM_CTS | MODEM_DSR | MODEM_DCD : 0);
}

/* ---- the character device: control thread, domain locked ---- */

static unsigned can_read(void *opaque)
{
    UsbSerial *s = opaque;
    return s->usb.configuration ? ROOM - s->count : 0;
}

static void read_input(void *opaque, const uint8_t *buf, unsigned n)
{
    UsbSerial *s = opaque;
    for (unsigned i = 0; i < n && s->count < ROOM; i++)
        s->fifo[(s->first + s->count++) % ROOM] = buf[i];
    usb_ready(&s->usb, 0x81, 0);
}

static void line_event(void *opaque, CharEvent event)
{
    UsbSerial *s = opaque;
    if (event == CHAR_EVENT_BREAK) {
        s->told_break = true;
        usb_ready(&s->usb, 0x81, 0);
    } else if (event == CHAR_EVENT_WRITABLE) {
        usb_ready(&s->usb, 0x02, 0);
    }
}

/* ---- the bus ---- */

/* Each packet begins with modem and line status; a transfer may hold several. */
static UsbStatus read_data(UsbSerial *s, UsbPacket *p)
{
    if (!s->count && !s->told_break)
        return USB_NAK;
    while (p->size - p->done >= HEAD && (s->count || s->told_break)) {
        uint32_t room = MIN(p->size - p->done, PACKET);
        uint8_t *packet = p->data + p->done;
        uint32_t n = MIN(room - HEAD, s->count);
        packet[0] = modem(s);
        packet[1] = LINE_EMPTY | (s->told_break ? LINE_BREAK : 0);
        for (uint32_t i = 0; i < n; i++)
            packet[HEAD + i] = s->fifo[(s->first + i) % ROOM];
        s->first = (s->first + n) % ROOM;
        s->count -= n;
        s->told_break = false;
        p->done += HEAD + n;
        if (HEAD + n < PACKET)
            break;
    }
    char_accept_input(&s->fe);
    return USB_OK;
}

/* What the other side does not take now is asked for again: the same packet, of which out_at bytes are gone. */
static UsbStatus write_data(UsbSerial *s, UsbPacket *p)
{
    s->out_at = s->out_at < p->size ? s->out_at : 0;
    s->out_at += char_write(&s->fe, p->data + s->out_at, p->size - s->out_at);
    if (s->out_at < p->size)
        return USB_NAK;
    s->out_at = 0;
    p->done = p->size;
    return USB_OK;
}

static UsbStatus transfer(UsbDevice *u, UsbPacket *p)
{
    UsbSerial *s = (UsbSerial *)u;
    if (p->token == USB_IN && p->endpoint == 1)
        return read_data(s, p);
    return p->token == USB_OUT && p->endpoint == 2 ? write_data(s, p) : USB_STALL;
}

static void clear(UsbSerial *s)
{
    s->first = s->count = s->out_at = 0;
    s->told_break = false;
}

static int control(UsbDevice *u, const UsbSetup *r, uint8_t *data)
{
    UsbSerial *s = (UsbSerial *)u;
    switch (USB_REQUEST(r->type, r->request)) {
    case USB_REQUEST(0x40, RESET):
        if (r->value != 2)              /* 2: what is to be sent */
            clear(s);
        return 0;
    case USB_REQUEST(0x40, SET_MODEM):
        s->dtr_rts = (s->dtr_rts & ~(r->value >> 8)) | (r->value & r->value >> 8);
        return 0;
    case USB_REQUEST(0x40, SET_FLOW): case USB_REQUEST(0x40, SET_BAUD): case USB_REQUEST(0x40, SET_DATA):
        return 0;                       /* a stream has no speed */
    case USB_REQUEST(0xc0, GET_MODEM): data[0] = modem(s); data[1] = LINE_EMPTY; return 2;
    case USB_REQUEST(0x40, SET_EVENT): s->event_char = r->value; return 0;
    case USB_REQUEST(0x40, SET_ERROR): s->error_char = r->value; return 0;
    case USB_REQUEST(0x40, SET_LATENCY): s->latency = r->value; return 0;
    case USB_REQUEST(0xc0, GET_LATENCY): data[0] = s->latency; return 1;
    default: return USB_NO_LENGTH;
    }
}

static void bus_reset(UsbDevice *u) { clear((UsbSerial *)u); }
static void configured(UsbDevice *u) { char_accept_input(&((UsbSerial *)u)->fe); }

static void restored(Device *d)
{
    UsbSerial *s = (UsbSerial *)d;
    s->first %= ROOM;
    s->count = MIN(s->count, ROOM);
}

static bool realize(Device *d, GError **error)
{
    UsbSerial *s = (UsbSerial *)d;
    if (!s->chr)
        return error_set(error, "Property chardev is required");
    s->fe = (CharFrontend){.dev = d, .can_read = can_read, .read = read_input, .event = line_event, .opaque = s};
    return char_attach(&s->fe, s->chr, error);
}

static void unrealize(Device *d) { char_detach(&((UsbSerial *)d)->fe); }

static const UsbEndpoint endpoints[] = {
    {.address = 0x81, .kind = USB_BULK, .max_packet = PACKET},
    {.address = 0x02, .kind = USB_BULK, .max_packet = PACKET},
};
static const UsbInterface interfaces[] = {
    {.class = 0xff, .subclass = 0xff, .protocol = 0xff, .endpoints = endpoints, .n_endpoints = 2},
};
static const UsbConfig full = {.version = 0x0200, .max_packet0 = 8, .attributes = 0x80, .power = 50,
                               .interfaces = interfaces, .n_interfaces = 1};
static const UsbInfo info = {
    .vendor = 0x0403, .product = 0x6001, .release = 0x0400, .strings = {NULL, "QEMU", "QEMU USB SERIAL", "1"},
    .at = {[USB_FULL] = &full},
};
static const UsbClass cls = {
    .info = &info, .control = control, .transfer = transfer, .bus_reset = bus_reset, .configured = configured,
};
static const Field fields[] = {
    PROP(UsbSerial, chr, "chardev", PROP_CHARDEV), HOST(UsbSerial, fe), SAVED(UsbSerial, fifo),
    SAVED(UsbSerial, first), SAVED(UsbSerial, count), SAVED(UsbSerial, out_at), SAVED(UsbSerial, latency, .init = 16), SAVED(UsbSerial, event_char),
    SAVED(UsbSerial, error_char), SAVED(UsbSerial, dtr_rts), SAVED(UsbSerial, told_break),
    PROP(UsbSerial, always_plugged, "always-plugged", PROP_BOOL, .desc = "Says that a peer is there"),
};
static const DeviceType usb_serial = {
    .name = "usb-serial", .parent = "usb-device", .desc = "USB serial port", .size = sizeof(UsbSerial),
    .category = DEVICE_INPUT, .pluggable = true, .hotpluggable = true, FIELDS(fields), .realize = realize,
    .unrealize = unrealize, .restored = restored, .ext = &cls,
};
DEVICE_TYPE(usb_serial);
