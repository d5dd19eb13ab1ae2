/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors from a device's table. Specs: USB 2.0 and USB 3.2, 9.6. */
#include <string.h>
#include "hw/usb/internal.h"

enum { DEVICE = 1, CONFIG, STRING, INTERFACE, ENDPOINT, QUALIFIER, OTHER_SPEED, BOS = 15, CAPABILITY = 16,
       COMPANION = 48, LANGUAGE = 0x0409 };

/* A descriptor in the making; what does not fit is lost. */
typedef struct Out {
    uint8_t *data;
    unsigned n;
} Out;

static void put(Out *o, const void *bytes, unsigned n)
{
    n = MIN(n, USB_CONTROL_MAX - o->n);
    if (n)
        memcpy(o->data + o->n, bytes, n);
    o->n += n;
}
#define PUT(o, ...) put(o, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define LE16(v) (uint8_t)(v), (uint8_t)((v) >> 8)

static void put_device(Out *o, const UsbDevice *u, const UsbConfig *c)
{
    const UsbInfo *i = u->cls->info;
    PUT(o, 18, DEVICE, LE16(c->version), c->class, c->subclass, c->protocol, c->max_packet0, LE16(i->vendor),
        LE16(i->product), LE16(i->release), USB_STRING_MAKER, usb_product_string(i), usb_serial_string(i), 1);
}

static void put_endpoint(Out *o, const UsbEndpoint *e, bool super)
{
    PUT(o, 7, ENDPOINT, e->address, e->kind, LE16(e->max_packet), e->interval);
    if (super)
        PUT(o, 6, COMPANION, e->burst, e->streams, LE16(e->kind == USB_INTERRUPT ? e->max_packet : 0));
    put(o, e->extra, e->n_extra);
}

static void put_config(Out *o, const UsbConfig *c, uint8_t type, bool super)
{
    unsigned start = o->n, highest = 0;
    for (unsigned n = 0; n < c->n_interfaces; n++)
        highest = MAX(highest, c->interfaces[n].number + 1u);
    PUT(o, 9, type, 0, 0, highest, 1, c->string, c->attributes, c->power);
    for (unsigned n = 0; n < c->n_interfaces; n++) {
        const UsbInterface *i = &c->interfaces[n];
        PUT(o, 9, INTERFACE, i->number, i->alternate, i->n_endpoints, i->class, i->subclass, i->protocol,
            i->string);
        put(o, i->extra, i->n_extra);
        for (unsigned e = 0; e < i->n_endpoints; e++)
            put_endpoint(o, &i->endpoints[e], super);
    }
    o->data[start + 2] = o->n - start;
    o->data[start + 3] = (o->n - start) >> 8;
}

static void put_qualifier(Out *o, const UsbConfig *c)
{
    PUT(o, 10, QUALIFIER, LE16(c->version), c->class, c->subclass, c->protocol, c->max_packet0, 1, 0);
}

/* What USB 3 wants to know: USB 2.0 extension (LPM is not there), SuperSpeed capability. */
static void put_bos(Out *o, const UsbDevice *u)
{
    unsigned speeds = (u->cls->info->at[USB_FULL] ? 2 : 0) | (u->cls->info->at[USB_HIGH] ? 4 : 0) |
                      (u->cls->info->at[USB_SUPER] ? 8 : 0);
    PUT(o, 5, BOS, LE16(5 + 7 + 10), 2, 7, CAPABILITY, 2, 0, 0, 0, 0);
    PUT(o, 10, CAPABILITY, 3, 0, LE16(speeds), speeds & 2 ? 1 : speeds & 4 ? 2 : 3, 10, LE16(32));
}

/* The serial number tells where the device is, so that several of a kind differ. */
static char *string_of(const UsbDevice *u, unsigned n)
{
    const char *s = n < USB_STRINGS ? u->cls->info->strings[n] : NULL;
    if (n != usb_serial_string(u->cls->info))
        return g_strdup(s);
    if (u->serial || !s)
        return g_strdup(u->serial);
    return usb_default_serial(u, s);
}

static bool put_string(Out *o, const UsbDevice *u, unsigned n)
{
    if (n == 0) {
        PUT(o, 4, STRING, LE16(LANGUAGE));
        return true;
    }
    g_autofree char *s = string_of(u, n);
    if (!s)
        return false;
    glong units = 0;
    g_autofree gunichar2 *wide = g_utf8_to_utf16(s, -1, NULL, &units, NULL);
    units = wide ? MIN(units, 126) : 0;
    PUT(o, 2 + 2 * units, STRING);
    for (glong i = 0; i < units; i++)
        PUT(o, LE16(wide[i]));
    return true;
}

/* The configuration at the other of full and high speed. */
static const UsbConfig *other(const UsbDevice *u)
{
    return u->cls->info->at[u->speed == USB_HIGH ? USB_FULL : USB_HIGH];
}

int usb_descriptor(const UsbDevice *u, uint16_t value, uint8_t *data)
{
    const UsbConfig *c = u->cls->info->at[u->speed];
    bool two = (u->speed == USB_FULL || u->speed == USB_HIGH) && other(u) && u->speeds & USB_IS_HIGH;
    Out o = {data, 0};
    bool ok = true;
    switch (value >> 8) {
    case DEVICE: put_device(&o, u, c); break;
    case CONFIG: put_config(&o, c, CONFIG, u->speed == USB_SUPER); break;
    case STRING: ok = put_string(&o, u, value & 0xff); break;
    case QUALIFIER:
        if ((ok = two))
            put_qualifier(&o, other(u));
        break;
    case OTHER_SPEED:
        if ((ok = two))
            put_config(&o, other(u), OTHER_SPEED, false);
        break;
    case BOS:
        if ((ok = u->cls->info->at[USB_SUPER] != NULL))
            put_bos(&o, u);
        break;
    default: ok = false; break;
    }
    return ok ? (int)o.n : USB_NO_LENGTH;
}
