/* SPDX-License-Identifier: Apache-2.0 */
/* The default control pipe and the standard requests. Specs: USB 2.0, 8.5.3 and 9.4; USB 3.2, 9.4. */
#include <string.h>
#include "hw/usb/internal.h"

enum {
    /* requests */
    GET_STATUS = 0, CLEAR_FEATURE = 1, SET_FEATURE = 3, SET_ADDRESS = 5, GET_DESCRIPTOR = 6,
    GET_CONFIGURATION = 8, SET_CONFIGURATION = 9, GET_INTERFACE = 10, SET_INTERFACE = 11, SET_SEL = 48,
    SET_ISOCH_DELAY = 49,
    /* features */
    ENDPOINT_HALT = 0, REMOTE_WAKEUP = 1, FUNCTION_SUSPEND = 0, U1_ENABLE = 48, U2_ENABLE = 49,
    SELF_POWERED = 0x40, DEVICE = 0, INTERFACE = 1, ENDPOINT = 2,
};
typedef enum UsbStage { STAGE_IDLE, STAGE_DATA_IN, STAGE_DATA_OUT, STAGE_ACK, STAGE_STALL } UsbStage;

void usb_setup_parse(const uint8_t b[8], UsbSetup *s)
{
    *s = (UsbSetup){b[0], b[1], b[2] | b[3] << 8, b[4] | b[5] << 8, b[6] | b[7] << 8};
}

/* ---- standard requests ---- */

static uint32_t halt_bit(uint8_t address) { return 1u << ((address & 15) + (address & 0x80 ? 16 : 0)); }

static const UsbConfig *config_of(const UsbDevice *u) { return u->cls->info->at[u->speed]; }

static bool has_interface(const UsbDevice *u, unsigned number, unsigned alternate)
{
    const UsbConfig *c = config_of(u);
    for (unsigned n = 0; n < c->n_interfaces; n++)
        if (c->interfaces[n].number == number && c->interfaces[n].alternate == alternate)
            return true;
    return false;
}

static bool has_endpoint(const UsbDevice *u, uint8_t address)
{
    const UsbConfig *c = config_of(u);
    if (!(address & 15))
        return true;
    for (unsigned n = 0; n < c->n_interfaces; n++) {
        const UsbInterface *i = &c->interfaces[n];
        for (unsigned e = 0; e < i->n_endpoints; e++)
            if (i->endpoints[e].address == address)
                return true;
    }
    return false;
}

static int word(uint8_t *data, unsigned v)
{
    data[0] = v;
    data[1] = v >> 8;
    return 2;
}

static int get_status(UsbDevice *u, const UsbSetup *s, uint8_t *data)
{
    switch (s->type & 0x1f) {
    case DEVICE: return word(data, (config_of(u)->attributes & SELF_POWERED ? 1 : 0) | u->remote_wakeup << 1);
    case INTERFACE: return word(data, 0);
    case ENDPOINT:
        return has_endpoint(u, s->index) ? word(data, !!(u->halted & halt_bit(s->index))) : USB_NO_LENGTH;
    default: return USB_NO_LENGTH;
    }
}

static int set_feature(UsbDevice *u, const UsbSetup *s, bool on)
{
    unsigned recipient = s->type & 0x1f;
    if (recipient == DEVICE && s->value == REMOTE_WAKEUP) {
        u->remote_wakeup = on;
    } else if (recipient == ENDPOINT && s->value == ENDPOINT_HALT && has_endpoint(u, s->index)) {
        uint32_t bit = halt_bit(s->index);
        u->halted = on ? u->halted | bit : u->halted & ~bit;
        if (!on && u->cls->unhalted)
            u->cls->unhalted(u, s->index);
    } else if (u->speed != USB_SUPER || !((recipient == DEVICE && (s->value == U1_ENABLE || s->value == U2_ENABLE)) ||
                                          (recipient == INTERFACE && s->value == FUNCTION_SUSPEND))) {
        return USB_NO_LENGTH;
    }
    return 0;
}

static int set_configuration(UsbDevice *u, uint16_t value)
{
    if (value > 1)
        return USB_NO_LENGTH;
    u->configuration = value;
    u->halted = 0;
    memset(u->alternate, 0, sizeof(u->alternate));
    if (u->cls->configured)
        u->cls->configured(u);
    return 0;
}

static int set_interface(UsbDevice *u, const UsbSetup *s)
{
    if (!u->configuration || s->index >= G_N_ELEMENTS(u->alternate) || s->value > 255 ||
        !has_interface(u, s->index, s->value))
        return USB_NO_LENGTH;
    u->alternate[s->index] = s->value;
    u->halted = 0;
    return 0;
}

static int get_interface(const UsbDevice *u, const UsbSetup *s, uint8_t *data)
{
    if (!u->configuration || s->index >= G_N_ELEMENTS(u->alternate) || !has_interface(u, s->index, 0))
        return USB_NO_LENGTH;
    data[0] = u->alternate[s->index];
    return 1;
}

static int request(UsbDevice *u, const UsbSetup *s, uint8_t *data)
{
    bool in = s->type & USB_TYPE_IN;
    if (!(s->type & 0x60)) {
        switch (USB_REQUEST(in ? USB_TYPE_IN : 0, s->request)) {
        case USB_REQUEST(0x80, GET_STATUS): return get_status(u, s, data);
        case USB_REQUEST(0, CLEAR_FEATURE): return set_feature(u, s, false);
        case USB_REQUEST(0, SET_FEATURE): return set_feature(u, s, true);
        case USB_REQUEST(0, SET_ADDRESS): u->address = s->value & 0x7f; return 0;
        case USB_REQUEST(0x80, GET_DESCRIPTOR):
            if ((s->type & 0x1f) == DEVICE)
                return usb_descriptor(u, s->value, data);
            break;
        case USB_REQUEST(0x80, GET_CONFIGURATION): data[0] = u->configuration; return 1;
        case USB_REQUEST(0, SET_CONFIGURATION): return set_configuration(u, s->value);
        case USB_REQUEST(0x80, GET_INTERFACE): return get_interface(u, s, data);
        case USB_REQUEST(0, SET_INTERFACE): return set_interface(u, s);
        case USB_REQUEST(0, SET_SEL): case USB_REQUEST(0, SET_ISOCH_DELAY):
            return u->speed == USB_SUPER ? 0 : USB_NO_LENGTH;
        default: break;
        }
    }
    return u->cls->control ? u->cls->control(u, s, data) : USB_NO_LENGTH;
}

int usb_control(UsbDevice *u, const UsbSetup *s, uint8_t *data)
{
    if (s->length > USB_CONTROL_MAX && !(s->type & USB_TYPE_IN))
        return USB_NO_LENGTH;
    int n = request(u, s, data);
    return n > s->length ? s->length : n;
}

/* ---- the pipe, packet by packet ---- */

static UsbStatus setup_stage(UsbDevice *u, UsbPacket *p)
{
    UsbControl *c = &u->control;
    UsbSetup s;
    c->stage = STAGE_STALL;
    if (p->size != sizeof(c->setup))
        return USB_STALL;
    memcpy(c->setup, p->data, sizeof(c->setup));
    p->done = sizeof(c->setup);
    usb_setup_parse(c->setup, &s);
    c->at = 0;
    if (s.type & USB_TYPE_IN) {
        int n = usb_control(u, &s, c->data);
        c->length = MAX(n, 0);
        c->stage = n < 0 ? STAGE_STALL : STAGE_DATA_IN;
    } else if (s.length <= USB_CONTROL_MAX) {
        c->length = s.length;
        c->stage = s.length ? STAGE_DATA_OUT : STAGE_ACK;
    }
    return USB_OK;
}

static UsbStatus in_stage(UsbDevice *u, UsbPacket *p)
{
    UsbControl *c = &u->control;
    if (c->stage == STAGE_DATA_IN) {
        p->done = MIN(p->size, (uint32_t)(c->length - c->at));
        memcpy(p->data, c->data + c->at, p->done);
        c->at += p->done;
        return USB_OK;
    }
    UsbSetup s;
    bool due = c->stage == STAGE_ACK || (c->stage == STAGE_DATA_OUT && c->at == c->length);
    usb_setup_parse(c->setup, &s);
    c->stage = STAGE_STALL;
    if (!due || usb_control(u, &s, c->data) < 0)
        return USB_STALL;
    c->stage = STAGE_IDLE;
    return USB_OK;
}

static UsbStatus out_stage(UsbDevice *u, UsbPacket *p)
{
    UsbControl *c = &u->control;
    if (c->stage == STAGE_DATA_IN) {
        c->stage = STAGE_IDLE;
        p->done = p->size;
        return USB_OK;
    }
    if (c->stage != STAGE_DATA_OUT || p->size > (uint32_t)(c->length - c->at)) {
        c->stage = STAGE_STALL;
        return USB_STALL;
    }
    memcpy(c->data + c->at, p->data, p->size);
    c->at += p->size;
    p->done = p->size;
    return USB_OK;
}

UsbStatus usb_packet(UsbDevice *u, UsbPacket *p)
{
    p->done = 0;
    if (!u->dev.realized || !u->attached)
        return USB_GONE;
    if (!p->endpoint)
        return p->token == USB_SETUP ? setup_stage(u, p) : p->token == USB_IN ? in_stage(u, p) : out_stage(u, p);
    if (p->token == USB_SETUP || !u->configuration || !u->cls->transfer ||
        u->halted & halt_bit(p->endpoint | (p->token == USB_IN ? 0x80 : 0)))
        return USB_STALL;
    return u->cls->transfer(u, p);
}

void usb_halt(UsbDevice *u, uint8_t address) { u->halted |= halt_bit(address); }
