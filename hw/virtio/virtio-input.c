/* SPDX-License-Identifier: Apache-2.0 */
/* virtio keyboard, mouse, tablet and touch screen. Spec: virtio 1.2, 5.8; codes: linux/input-event-codes.h. */
#include <string.h>
#include "hw/virtio/virtio.h"
#include "ui/input.h"
#include "util/error.h"

enum {
    QUEUE_SIZE = 64, BATCH = 32, CONFIG_SIZE = 136, BITS = 128,
    CFG_NAME = 1, CFG_SERIAL = 2, CFG_IDS = 3, CFG_PROPERTIES = 0x10, CFG_EVENTS = 0x11, CFG_ABS = 0x12,
    EV_SYN = 0, EV_KEY = 1, EV_REL = 2, EV_ABS = 3, EV_LED = 0x11, EV_REP = 0x14,
    REL_WHEEL = 8, BTN_LEFT = 0x110, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA, BTN_GEAR_DOWN = 0x150, BTN_GEAR_UP,
    BTN_TOUCH = 0x14a, ABS_SLOT = 0x2f, ABS_TOUCH_X = 0x35, ABS_TOUCH_Y, ABS_TRACKING = 0x39, DIRECT = 1,
    BUS_VIRTUAL = 6, VENDOR = 0x0627,
};

typedef struct VirtioInputEvent {
    uint16_t type, code;
    uint32_t value;
} VirtioInputEvent;

typedef struct VirtioInput {
    VirtioDevice v;
    Virtq *events, *status;
    Input *input;
    /* until a sync: they come together or not at all */
    VirtioInputEvent batch[BATCH];
    unsigned n_batch;
    uint8_t select, subselect;
    uint16_t touches;           /* slots of fingers that are down */
    /* properties */
    char *serial, *display;
    uint32_t head;
    bool wheel_axis;
} VirtioInput;

typedef struct VirtioInputClass {
    VirtioClass virtio;
    const InputHandler *handler;
    uint16_t product;
} VirtioInputClass;

static const VirtioInputClass *input_class(const VirtioInput *s) { return (const VirtioInputClass *)s->v.cls; }
static bool has(const VirtioInput *s, unsigned kinds) { return input_class(s)->handler->kinds & kinds; }

static void input_event(void *opaque, const InputItem *item);
static void input_sync_batch(void *opaque);
#define HANDLER(ident, name_, kinds_) \
    static const InputHandler ident = {.name = name_, .kinds = kinds_, .event = input_event, .sync = input_sync_batch}
HANDLER(keyboard, "QEMU Virtio Keyboard", INPUT_KEYS);
HANDLER(mouse, "QEMU Virtio Mouse", INPUT_BUTTONS | INPUT_RELATIVE);
HANDLER(tablet, "QEMU Virtio Tablet", INPUT_BUTTONS | INPUT_ABSOLUTE);
HANDLER(multitouch, "QEMU Virtio MultiTouch", INPUT_TOUCHES);

/* ---- events: control thread, which is the device's loop ---- */

static const uint16_t buttons[INPUT_BUTTON__COUNT] = {
    [INPUT_BUTTON_LEFT] = BTN_LEFT, [INPUT_BUTTON_RIGHT] = BTN_RIGHT, [INPUT_BUTTON_MIDDLE] = BTN_MIDDLE,
    [INPUT_BUTTON_WHEEL_UP] = BTN_GEAR_UP, [INPUT_BUTTON_WHEEL_DOWN] = BTN_GEAR_DOWN,
    [INPUT_BUTTON_SIDE] = BTN_SIDE, [INPUT_BUTTON_EXTRA] = BTN_EXTRA,
};

static void add(VirtioInput *s, uint16_t type, uint16_t code, uint32_t value)
{
    if (s->n_batch < BATCH)
        s->batch[s->n_batch++] = (VirtioInputEvent){GUINT16_TO_LE(type), GUINT16_TO_LE(code), GUINT32_TO_LE(value)};
}

/* Slots as the kernel's protocol B has them; the screen is touched while any finger is down. */
static void touch(VirtioInput *s, const InputItem *item)
{
    uint16_t bit = 1u << item->slot, old = s->touches;
    add(s, EV_ABS, ABS_SLOT, item->slot);
    switch (item->touch) {
    case INPUT_MULTI_TOUCH_TYPE_DATA:
        add(s, EV_ABS, item->axis == INPUT_AXIS_Y ? ABS_TOUCH_Y : ABS_TOUCH_X, item->value);
        return;
    case INPUT_MULTI_TOUCH_TYPE_BEGIN: case INPUT_MULTI_TOUCH_TYPE_UPDATE:
        add(s, EV_ABS, ABS_TRACKING, item->tracking_id);
        s->touches |= bit;
        break;
    default:
        add(s, EV_ABS, ABS_TRACKING, UINT32_MAX);
        s->touches &= ~bit;
        break;
    }
    if (!old != !s->touches)
        add(s, EV_KEY, BTN_TOUCH, s->touches != 0);
}

static void input_event(void *opaque, const InputItem *item)
{
    VirtioInput *s = opaque;
    const KeyCodes *k;
    bool wheel = item->button == INPUT_BUTTON_WHEEL_UP || item->button == INPUT_BUTTON_WHEEL_DOWN;
    switch (item->kind) {
    case INPUT_EVENT_KIND_KEY:
        k = key_codes(item->key);
        if (k && k->linux_code)
            add(s, EV_KEY, k->linux_code, item->down);
        break;
    case INPUT_EVENT_KIND_BTN:
        if (wheel && s->wheel_axis) {
            if (item->down)
                add(s, EV_REL, REL_WHEEL, item->button == INPUT_BUTTON_WHEEL_UP ? 1 : -1);
        } else if (buttons[item->button]) {
            add(s, EV_KEY, buttons[item->button], item->down);
        }
        break;
    case INPUT_EVENT_KIND_REL: add(s, EV_REL, item->axis == INPUT_AXIS_Y, item->value); break;
    case INPUT_EVENT_KIND_ABS: add(s, EV_ABS, item->axis == INPUT_AXIS_Y, item->value); break;
    case INPUT_EVENT_KIND_MTT: touch(s, item); break;
    default: break;
    }
}

/* All of a batch, or nothing when the driver has too few buffers. */
static void send(VirtioInput *s)
{
    VirtqElement *e[BATCH];
    unsigned n = 0;
    while (n < s->n_batch && (e[n] = virtq_pop(s->events, 0)))
        n++;
    if (n < s->n_batch) {
        while (n)
            virtq_unpop(s->events, e[--n]);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        virtq_push(s->events, e[i], iov_write(e[i]->in, e[i]->n_in, 0, &s->batch[i], sizeof(s->batch[i])));
    virtq_flush(s->events);
}

static void input_sync_batch(void *opaque)
{
    VirtioInput *s = opaque;
    if (!s->n_batch)
        return;
    if (s->n_batch == BATCH)
        s->n_batch--;
    add(s, EV_SYN, 0, 0);
    if (s->v.started)
        send(s);
    s->n_batch = 0;
}

static void serve_events(VirtioDevice *v, Virtq *vq) {}

/* Lights: there is nothing that shows them. */
static void serve_status(VirtioDevice *v, Virtq *vq)
{
    VirtqElement *e;
    while ((e = virtq_pop(vq, 0)))
        virtq_push(vq, e, 0);
    virtq_flush(vq);
}

/* ---- configuration space ---- */

static void set_bit(uint8_t *bits, unsigned n, unsigned *size)
{
    if (n / 8 < BITS) {
        bits[n / 8] |= 1u << n % 8;
        *size = MAX(*size, n / 8 + 1);
    }
}

static unsigned key_bits(const VirtioInput *s, uint8_t *bits)
{
    unsigned size = 0;
    if (has(s, INPUT_KEYS)) {
        for (unsigned i = 0; i < Q_KEY_CODE__COUNT; i++) {
            const KeyCodes *k = key_codes(i);
            if (k && k->linux_code)
                set_bit(bits, k->linux_code, &size);
        }
        return size;
    }
    if (has(s, INPUT_TOUCHES)) {
        set_bit(bits, BTN_TOUCH, &size);
        return size;
    }
    for (unsigned i = 0; i < INPUT_BUTTON__COUNT; i++)
        if (buttons[i])
            set_bit(bits, buttons[i], &size);
    return size;
}

static const uint8_t touch_axes[] = {ABS_SLOT, ABS_TOUCH_X, ABS_TOUCH_Y, ABS_TRACKING};

/* The greatest value of an absolute axis; 0: there is no such. */
static uint32_t axis_max(const VirtioInput *s)
{
    if (!has(s, INPUT_TOUCHES))
        return has(s, INPUT_ABSOLUTE) && s->subselect < 2 ? INPUT_ABS_MAX : 0;
    switch (s->subselect) {
    case ABS_SLOT: return INPUT_SLOTS - 1;
    case ABS_TOUCH_X: case ABS_TOUCH_Y: return INPUT_ABS_MAX;
    case ABS_TRACKING: return 0xffff;
    default: return 0;
    }
}

static unsigned event_bits(const VirtioInput *s, uint8_t *bits)
{
    bool pointer = !has(s, INPUT_KEYS);
    unsigned size = 0;
    switch (s->subselect) {
    case EV_KEY: return key_bits(s, bits);
    case EV_REL:
        if (has(s, INPUT_RELATIVE)) {
            set_bit(bits, 0, &size);
            set_bit(bits, 1, &size);
        }
        if (pointer && s->wheel_axis)
            set_bit(bits, REL_WHEEL, &size);
        return size;
    case EV_ABS:
        for (unsigned i = 0; has(s, INPUT_TOUCHES) && i < G_N_ELEMENTS(touch_axes); i++)
            set_bit(bits, touch_axes[i], &size);
        if (has(s, INPUT_ABSOLUTE)) {
            set_bit(bits, 0, &size);
            set_bit(bits, 1, &size);
        }
        return size;
    case EV_LED: bits[0] = 7; return !pointer;          /* num, caps, scroll lock */
    case EV_REP: bits[0] = 3; return !pointer;
    default: return 0;
    }
}

static unsigned text(uint8_t *out, const char *s)
{
    unsigned n = s ? MIN(strlen(s), BITS) : 0;
    memcpy(out, s ? s : "", n);
    return n;
}

static unsigned value(const VirtioInput *s, uint8_t *out)
{
    const uint16_t ids[] = {GUINT16_TO_LE(BUS_VIRTUAL), GUINT16_TO_LE(VENDOR), GUINT16_TO_LE(input_class(s)->product),
                            GUINT16_TO_LE(1)};
    const uint32_t range[5] = {0, GUINT32_TO_LE(axis_max(s))};
    switch (s->select) {
    case CFG_NAME: return text(out, input_class(s)->handler->name);
    case CFG_SERIAL: return text(out, s->serial);
    case CFG_IDS: memcpy(out, ids, sizeof(ids)); return sizeof(ids);
    case CFG_PROPERTIES: out[0] = has(s, INPUT_TOUCHES) << DIRECT; return out[0] != 0;
    case CFG_EVENTS: {
        unsigned n = event_bits(s, out);
        if (!n)
            memset(out, 0, BITS);
        return n;
    }
    case CFG_ABS:
        if (!range[1])
            return 0;
        memcpy(out, range, sizeof(range));
        return sizeof(range);
    default: return 0;
    }
}

static void get_config(VirtioDevice *v, uint8_t *config)
{
    VirtioInput *s = (VirtioInput *)v;
    memset(config, 0, CONFIG_SIZE);
    config[0] = s->select;
    config[1] = s->subselect;
    config[2] = value(s, config + 8);
}

static void set_config(VirtioDevice *v, const uint8_t *config, unsigned at, unsigned n)
{
    VirtioInput *s = (VirtioInput *)v;
    s->select = config[0];
    s->subselect = config[1];
}

/* ---- life ---- */

static void start(VirtioDevice *v)
{
    VirtioInput *s = (VirtioInput *)v;
    if (s->input)
        input_activate(s->input);
}

static void stop(VirtioDevice *v)
{
    VirtioInput *s = (VirtioInput *)v;
    s->n_batch = s->touches = 0;
    if (s->input)
        input_deactivate(s->input);
}

static bool realize(Device *d, GError **error)
{
    VirtioInput *s = (VirtioInput *)d;
    if (s->head)
        return error_set(error, "%s: head=%u: displays have one head", d->object.type->name, s->head);
    s->events = virtio_add_queue(&s->v, QUEUE_SIZE, serve_events);
    s->status = virtio_add_queue(&s->v, QUEUE_SIZE, serve_status);
    s->input = input_add(d, input_class(s)->handler, s, s->display);
    input_deactivate(s->input);
    return true;
}

static void unrealize(Device *d)
{
    VirtioInput *s = (VirtioInput *)d;
    virtio_stop(&s->v);
    input_remove(g_steal_pointer(&s->input));
}

#define COMMON                                                                                                  \
    HOST(VirtioInput, v), HOST(VirtioInput, events), HOST(VirtioInput, status), HOST(VirtioInput, input),       \
    HOST(VirtioInput, batch), HOST(VirtioInput, n_batch), SAVED(VirtioInput, select),                           \
    SAVED(VirtioInput, subselect), SAVED(VirtioInput, touches), PROP(VirtioInput, serial, "serial", PROP_STRING),                            \
    PROP(VirtioInput, display, "display", PROP_STRING, .desc = "Display device whose input it takes"),          \
    PROP(VirtioInput, head, "head", PROP_U32)
static const Field keyboard_fields[] = {COMMON, HOST(VirtioInput, wheel_axis)};
static const Field pointer_fields[] = {
    COMMON, PROP(VirtioInput, wheel_axis, "wheel-axis", PROP_BOOL, .init = true, .desc = "Wheel as an axis"),
};

#define INPUT_TYPE(ident, name_, desc_, fields_, product_)                                                      \
    static const VirtioInputClass ident##_class = {                                                             \
        {.id = 18, .config_size = CONFIG_SIZE, .get_config = get_config, .set_config = set_config,              \
         .start = start, .stop = stop}, &ident, product_,                                                       \
    };                                                                                                          \
    static const DeviceType ident##_type = {                                                                    \
        .name = name_, .parent = "virtio-device", .desc = desc_, .size = sizeof(VirtioInput),                   \
        .bus = "virtio-bus", .pluggable = true, .category = DEVICE_INPUT, FIELDS(fields_), .realize = realize,  \
        .unrealize = unrealize, .ext = &ident##_class,                                                          \
    };                                                                                                          \
    DEVICE_TYPE(ident##_type)

INPUT_TYPE(keyboard, "virtio-keyboard-device", "virtio keyboard", keyboard_fields, 1);
INPUT_TYPE(mouse, "virtio-mouse-device", "virtio mouse", pointer_fields, 2);
INPUT_TYPE(tablet, "virtio-tablet-device", "virtio tablet", pointer_fields, 3);
INPUT_TYPE(multitouch, "virtio-multitouch-device", "virtio touch screen", keyboard_fields, 3);
