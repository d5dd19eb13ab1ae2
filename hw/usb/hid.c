/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB keyboard, mouse and tablet. Spec: Device Class Definition for HID 1.11, appendices B and C; HID Usage
 * Tables.
 *
 * What a user does is queued and handed to the host a report at a time. Movements that come while the host
 * does not look are added up; a change of buttons or keys never gets lost that way.
 */
#include <string.h>
#include "hw/usb.h"
#include "ui/input.h"
#include "util/error.h"

enum {
    MOVES = 16, KEYS = 64, HELD = 16, REPORT_KEYS = 6, RELEASED = 0x100, ROLLOVER = 1, MODIFIERS = 0xe0,
    HID_DESCRIPTOR = 0x21, REPORT_DESCRIPTOR = 0x22,
    GET_REPORT = 1, GET_IDLE = 2, GET_PROTOCOL = 3, SET_REPORT = 9, SET_IDLE = 10, SET_PROTOCOL = 11,
};

typedef struct HidMove {
    int32_t x, y, wheel;
    uint32_t buttons;
} HidMove;

typedef struct UsbHid {
    UsbDevice usb;
    Input *input;
    Timer idle_over;
    /* pointers: what is due, oldest first; `now` gathers until a sync */
    HidMove moves[MOVES], now, last;
    uint8_t first_move, n_moves;
    /* keyboards: usages with RELEASED, oldest first */
    uint16_t keys[KEYS];
    uint8_t first_key, n_keys;
    uint8_t modifiers, held[HELD], n_held, leds;
    uint8_t idle, boot_protocol, repeat;
    /* properties */
    uint32_t usb_version;
    char *display;
    uint32_t head;
} UsbHid;

typedef struct HidClass {
    UsbClass usb;
    const InputHandler *handler;
    const uint8_t *report;
    unsigned n_report, bytes;
    bool absolute;
} HidClass;

static const HidClass *hid_class(const UsbHid *s) { return (const HidClass *)s->usb.cls; }
static bool is_keyboard(const UsbHid *s) { return hid_class(s)->handler->kinds & INPUT_KEYS; }

/* ---- events from outside: control thread ---- */

static void wake(UsbHid *s)
{
    usb_wakeup(&s->usb);
    usb_ready(&s->usb, 0x81, 0);
}

static void key_event(void *opaque, const InputItem *item)
{
    UsbHid *s = opaque;
    const KeyCodes *k = key_codes(item->key);
    if (!k || !k->usage)
        return;
    device_lock(&s->usb.dev);
    if (s->n_keys < KEYS) {
        s->keys[(s->first_key + s->n_keys++) % KEYS] = k->usage | (item->down ? 0 : RELEASED);
        wake(s);
    }
    device_unlock(&s->usb.dev);
}

static void pointer_event(void *opaque, const InputItem *item)
{
    static const uint8_t bits[32] = {
        [INPUT_BUTTON_LEFT] = 1, [INPUT_BUTTON_RIGHT] = 2, [INPUT_BUTTON_MIDDLE] = 4,
        [INPUT_BUTTON_SIDE] = 8, [INPUT_BUTTON_EXTRA] = 16,
    };
    UsbHid *s = opaque;
    device_lock(&s->usb.dev);
    int32_t *place = item->axis == INPUT_AXIS_X ? &s->now.x : &s->now.y;
    if (item->kind == INPUT_EVENT_KIND_ABS)
        *place = CLAMP(item->value, 0, INPUT_ABS_MAX);
    else if (item->kind == INPUT_EVENT_KIND_REL)
        *place = CLAMP(*place + item->value, -4096, 4096);
    else if (item->button == INPUT_BUTTON_WHEEL_UP || item->button == INPUT_BUTTON_WHEEL_DOWN)
        s->now.wheel += !item->down ? 0 : item->button == INPUT_BUTTON_WHEEL_UP ? 1 : -1;
    else
        s->now.buttons = item->down ? s->now.buttons | bits[item->button] : s->now.buttons & ~bits[item->button];
    device_unlock(&s->usb.dev);
}

static void merge(HidMove *into, const HidMove *m, bool absolute)
{
    into->x = absolute ? m->x : CLAMP(into->x + m->x, -4096, 4096);
    into->y = absolute ? m->y : CLAMP(into->y + m->y, -4096, 4096);
    into->wheel = CLAMP(into->wheel + m->wheel, -127, 127);
    into->buttons = m->buttons;
}

static void pointer_sync(void *opaque)
{
    UsbHid *s = opaque;
    bool absolute = hid_class(s)->absolute;
    device_lock(&s->usb.dev);
    HidMove *newest = s->n_moves ? &s->moves[(s->first_move + s->n_moves - 1) % MOVES] : NULL;
    if (newest && (newest->buttons == s->now.buttons || s->n_moves == MOVES))
        merge(newest, &s->now, absolute);
    else
        s->moves[(s->first_move + s->n_moves++) % MOVES] = s->now;
    s->now.wheel = 0;
    if (!absolute)
        s->now.x = s->now.y = 0;
    wake(s);
    device_unlock(&s->usb.dev);
}

static const InputHandler keyboard_handler = {.name = "QEMU HID Keyboard", .kinds = INPUT_KEYS, .event = key_event};
static const InputHandler mouse_handler = {
    .name = "QEMU HID Mouse", .kinds = INPUT_BUTTONS | INPUT_RELATIVE, .event = pointer_event, .sync = pointer_sync,
};
static const InputHandler tablet_handler = {
    .name = "QEMU HID Tablet", .kinds = INPUT_BUTTONS | INPUT_ABSOLUTE, .event = pointer_event,
    .sync = pointer_sync,
};

/* ---- reports ---- */

static int32_t take(int32_t *v)
{
    int32_t n = CLAMP(*v, -127, 127);
    *v -= n;
    return n;
}

static unsigned tablet_report(const HidMove *m, int32_t wheel, uint8_t *r)
{
    r[0] = m->buttons & 7;
    r[1] = m->x;
    r[2] = m->x >> 8;
    r[3] = m->y;
    r[4] = m->y >> 8;
    r[5] = wheel;
    return 6;
}

/* The next movement; a long one takes several reports. */
static unsigned pointer_report(UsbHid *s, bool next, uint8_t *r)
{
    HidMove *m = next && s->n_moves ? &s->moves[s->first_move] : NULL;
    HidMove part = s->last;
    part.wheel = 0;
    if (!hid_class(s)->absolute)
        part.x = part.y = 0;
    if (m) {
        part = *m;
        part.wheel = take(&m->wheel);
        if (!hid_class(s)->absolute) {
            part.x = take(&m->x);
            part.y = take(&m->y);
        }
        bool more = m->wheel || (!hid_class(s)->absolute && (m->x || m->y));
        s->first_move = more ? s->first_move : (s->first_move + 1) % MOVES;
        s->n_moves -= !more;
        s->last = part;
    }
    if (hid_class(s)->absolute)
        return tablet_report(&part, part.wheel, r);
    r[0] = part.buttons & 0x1f;
    r[1] = part.x;
    r[2] = part.y;
    r[3] = part.wheel;
    return 4;
}

static void apply_key(UsbHid *s, uint16_t key)
{
    uint8_t usage = key, n = 0;
    if ((usage & 0xf8) == MODIFIERS) {
        uint8_t bit = 1u << (usage & 7);
        s->modifiers = key & RELEASED ? s->modifiers & ~bit : s->modifiers | bit;
        return;
    }
    for (unsigned i = 0; i < s->n_held; i++)
        if (s->held[i] != usage)
            s->held[n++] = s->held[i];
    if (!(key & RELEASED) && n < HELD)
        s->held[n++] = usage;
    s->n_held = n;
}

static unsigned keyboard_report(UsbHid *s, bool next, uint8_t *r)
{
    if (next && s->n_keys) {
        apply_key(s, s->keys[s->first_key]);
        s->first_key = (s->first_key + 1) % KEYS;
        s->n_keys--;
    }
    memset(r, 0, 8);
    r[0] = s->modifiers;
    if (s->n_held > REPORT_KEYS)
        memset(r + 2, ROLLOVER, REPORT_KEYS);
    else
        memcpy(r + 2, s->held, s->n_held);
    return 8;
}

static unsigned report(UsbHid *s, bool next, uint8_t *r)
{
    return is_keyboard(s) ? keyboard_report(s, next, r) : pointer_report(s, next, r);
}

/* ---- the bus side ---- */

static void arm_idle(UsbHid *s)
{
    Device *d = &s->usb.dev;
    if (s->idle && s->usb.configuration)
        timer_arm(&s->idle_over, clock_ns(d->object.vm, CLOCK_K_VIRTUAL) + s->idle * 4000000ll);
    else
        timer_cancel(&s->idle_over);
}

static void idle_over(Device *d)
{
    UsbHid *s = (UsbHid *)d;
    s->repeat = true;
    usb_ready(&s->usb, 0x81, 0);
}

static UsbStatus transfer(UsbDevice *u, UsbPacket *p)
{
    UsbHid *s = (UsbHid *)u;
    uint8_t r[8];
    if (p->token != USB_IN || p->endpoint != 1)
        return USB_STALL;
    if (!s->n_keys && !s->n_moves && !s->repeat)
        return USB_NAK;
    unsigned n = report(s, true, r);
    s->repeat = false;
    p->done = MIN(n, p->size);
    memcpy(p->data, r, p->done);
    arm_idle(s);
    return USB_OK;
}

static int control(UsbDevice *u, const UsbSetup *r, uint8_t *data)
{
    UsbHid *s = (UsbHid *)u;
    const HidClass *c = hid_class(s);
    const UsbInterface *i = &u->cls->info->at[u->speed]->interfaces[0];
    switch (USB_REQUEST(r->type, r->request)) {
    case USB_REQUEST(0x81, 6):
        if (r->value >> 8 == REPORT_DESCRIPTOR) {
            memcpy(data, c->report, c->n_report);
            return c->n_report;
        }
        if (r->value >> 8 != HID_DESCRIPTOR)
            return USB_NO_LENGTH;
        memcpy(data, i->extra, i->n_extra);
        return i->n_extra;
    case USB_REQUEST(0xa1, GET_REPORT): return report(s, false, data);
    case USB_REQUEST(0xa1, GET_IDLE): data[0] = s->idle; return 1;
    case USB_REQUEST(0xa1, GET_PROTOCOL): data[0] = !s->boot_protocol; return 1;
    case USB_REQUEST(0x21, SET_REPORT):
        if (!is_keyboard(s) || !r->length)
            return USB_NO_LENGTH;
        s->leds = data[0];
        return 0;
    case USB_REQUEST(0x21, SET_IDLE): s->idle = r->value >> 8; arm_idle(s); return 0;
    case USB_REQUEST(0x21, SET_PROTOCOL): s->boot_protocol = !(r->value & 1); return 0;
    default: return USB_NO_LENGTH;
    }
}

/* A pointer takes part once a driver has come up; until then others (PS/2) get the movements. */
static void choose_input(Device *d, void *unused)
{
    UsbHid *s = (UsbHid *)d;
    if (s->input)
        (s->usb.configuration ? input_activate : input_deactivate)(s->input);
}

static void configured(UsbDevice *u)
{
    UsbHid *s = (UsbHid *)u;
    arm_idle(s);
    if (!is_keyboard(s))
        device_post(&u->dev, choose_input, NULL, NULL);
}

static void bus_reset(UsbDevice *u)
{
    UsbHid *s = (UsbHid *)u;
    s->first_move = s->n_moves = s->first_key = s->n_keys = s->n_held = s->modifiers = 0;
    s->idle = s->boot_protocol = s->repeat = 0;
    timer_cancel(&s->idle_over);
}

static void restored(Device *d)
{
    UsbHid *s = (UsbHid *)d;
    s->first_move %= MOVES;
    s->n_moves = MIN(s->n_moves, MOVES);
    s->first_key %= KEYS;
    s->n_keys = MIN(s->n_keys, KEYS);
    s->n_held = MIN(s->n_held, HELD);
    if (s->input && s->usb.configuration)
        input_activate(s->input);
}

static bool realize(Device *d, GError **error)
{
    UsbHid *s = (UsbHid *)d;
    if (s->usb_version != 1 && s->usb_version != 2)
        return error_set(error, "Unsupported usb version %u for usb hid device", s->usb_version);
    if (s->head)
        return error_set(error, "%s: head=%u: displays have one head", d->object.type->name, s->head);
    if (s->usb_version == 1)
        s->usb.speeds &= ~USB_IS_HIGH;
    s->input = input_add(d, hid_class(s)->handler, s, s->display);
    if (!is_keyboard(s))
        input_deactivate(s->input);
    return true;
}

static void unrealize(Device *d)
{
    UsbHid *s = (UsbHid *)d;
    input_remove(g_steal_pointer(&s->input));
}

/* ---- what they are ---- */

static const uint8_t keyboard_descriptor[] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,                         /* generic desktop, keyboard: */
    0x75, 0x01, 0x95, 0x08, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, /* 8 bits: modifiers */
    0x15, 0x00, 0x25, 0x01, 0x81, 0x02,
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01,                         /* a byte of nothing */
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02,    /* 5 lights */
    0x95, 0x01, 0x75, 0x03, 0x91, 0x01,
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0xff, 0x05, 0x07, 0x19, 0x00, 0x29, 0xff, 0x81, 0x00, 0xc0,
};
static const uint8_t mouse_descriptor[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* generic desktop, mouse, pointer: */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02,
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,                         /* 5 buttons, 3 bits of nothing */
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38,             /* x, y, wheel: bytes */
    0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x03, 0x81, 0x06, 0xc0, 0xc0,
};
static const uint8_t tablet_descriptor[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* generic desktop, mouse, pointer: */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x03, 0x15, 0x00, 0x25, 0x01, 0x95, 0x03, 0x75, 0x01, 0x81, 0x02,
    0x95, 0x01, 0x75, 0x05, 0x81, 0x01,                         /* 3 buttons, 5 bits of nothing */
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31,                         /* x, y: 0 to 0x7fff */
    0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02,
    0x05, 0x01, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, 0x95, 0x01, 0x81, 0x06,
    0xc0, 0xc0,
};

static const Field fields[] = {
    HOST(UsbHid, input), TIMER(UsbHid, idle_over, idle_over), SAVED(UsbHid, moves), SAVED(UsbHid, now),
    SAVED(UsbHid, last), SAVED(UsbHid, first_move), SAVED(UsbHid, n_moves), SAVED(UsbHid, keys),
    SAVED(UsbHid, first_key), SAVED(UsbHid, n_keys), SAVED(UsbHid, modifiers), SAVED(UsbHid, held),
    SAVED(UsbHid, n_held), SAVED(UsbHid, leds), SAVED(UsbHid, idle), SAVED(UsbHid, boot_protocol),
    SAVED(UsbHid, repeat),
    PROP(UsbHid, usb_version, "usb_version", PROP_U32, .init = 2, .desc = "1: full speed only"),
    PROP(UsbHid, display, "display", PROP_STRING, .desc = "Display device whose input it takes"),
    PROP(UsbHid, head, "head", PROP_U32),
};

/* `first`: the product's string; the configuration's and the serial number's follow at fixed distances.
 * `bytes` of the endpoint; its intervals at full and high speed. */
#define HID(ident, name_, desc_, product_, serial_, first_, subclass_, protocol_, release_, bytes_, full_,     \
            high_, absolute_)                                                                                   \
    static const uint8_t ident##_hid[] = {9, HID_DESCRIPTOR, release_, 0, 1, REPORT_DESCRIPTOR,                 \
                                          sizeof(ident##_descriptor), 0};                                       \
    static const UsbEndpoint ident##_endpoint[] = {                                                             \
        {.address = 0x81, .kind = USB_INTERRUPT, .max_packet = bytes_, .interval = full_},                      \
        {.address = 0x81, .kind = USB_INTERRUPT, .max_packet = bytes_, .interval = high_},                      \
    };                                                                                                          \
    static const UsbInterface ident##_interface[] = {                                                           \
        {.class = 3, .subclass = subclass_, .protocol = protocol_, .extra = ident##_hid,                        \
         .n_extra = sizeof(ident##_hid), .endpoints = &ident##_endpoint[0], .n_endpoints = 1},                  \
        {.class = 3, .subclass = subclass_, .protocol = protocol_, .extra = ident##_hid,                        \
         .n_extra = sizeof(ident##_hid), .endpoints = &ident##_endpoint[1], .n_endpoints = 1},                  \
    };                                                                                                          \
    static const UsbConfig ident##_config[] = {                                                                 \
        {.version = 0x0200, .max_packet0 = 8, .string = first_ + 4, .attributes = 0xa0, .power = 50,               \
         .interfaces = &ident##_interface[0], .n_interfaces = 1},                                               \
        {.version = 0x0200, .max_packet0 = 64, .string = first_ + 4, .attributes = 0xa0, .power = 50,              \
         .interfaces = &ident##_interface[1], .n_interfaces = 1},                                               \
    };                                                                                                          \
    static const UsbInfo ident##_info = {                                                                       \
        .vendor = 0x0627, .product = 0x0001,                                                                    \
        .strings = {NULL, "QEMU", [first_] = product_, [first_ + 4] = desc_, [first_ + 7] = serial_},           \
        .product_string = first_, .serial_string = first_ + 7,                                                  \
        .at = {[USB_FULL] = &ident##_config[0], [USB_HIGH] = &ident##_config[1]},                               \
    };                                                                                                          \
    static const HidClass ident##_class = {                                                                     \
        {.info = &ident##_info, .control = control, .transfer = transfer, .bus_reset = bus_reset,               \
         .configured = configured}, &ident##_handler, ident##_descriptor, sizeof(ident##_descriptor), bytes_,   \
        absolute_,                                                                                              \
    };                                                                                                          \
    static const DeviceType ident##_type = {                                                                    \
        .name = name_, .parent = "usb-device", .desc = product_, .size = sizeof(UsbHid),                        \
        .category = DEVICE_INPUT, .pluggable = true, .hotpluggable = true, FIELDS(fields), .realize = realize,  \
        .unrealize = unrealize, .restored = restored, .ext = &ident##_class,                                    \
    };                                                                                                          \
    DEVICE_TYPE(ident##_type)

#define LE_111 0x11, 0x01
#define LE_001 0x01, 0x00
/* HID's release is 1.11 for keyboards and 0.01 for pointers, as guests know them. */
HID(keyboard, "usb-kbd", "HID Keyboard", "QEMU USB Keyboard", "68284", 4, 1, 1, LE_111, 8, 10, 7, false);
HID(mouse, "usb-mouse", "HID Mouse", "QEMU USB Mouse", "89126", 2, 1, 2, LE_001, 4, 10, 7, false);
HID(tablet, "usb-tablet", "HID Tablet", "QEMU USB Tablet", "28754", 3, 0, 0, LE_001, 8, 10, 4, true);
