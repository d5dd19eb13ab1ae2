/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8042 keyboard controller with a keyboard and a mouse. Spec: IBM PS/2 Hardware Interface Technical
 * Reference, keyboard and auxiliary device controller; keyboard and mouse commands.
 */
#include <string.h>
#include "hw/isa.h"
#include "ui/input.h"
#include "util/log.h"

enum {
    FIFO = 256, SCALE_MAX = 255,
    ST_FULL = 1, ST_SYSTEM = 4, ST_COMMAND = 8, ST_UNLOCKED = 16, ST_AUX = 32,
    CFG_KBD_IRQ = 1, CFG_AUX_IRQ = 2, CFG_SYSTEM = 4, CFG_KBD_OFF = 16, CFG_AUX_OFF = 32,
    CFG_TRANSLATE = 64, OUT_RESET = 1, OUT_A20 = 2, ACK = 0xfa, RESEND = 0xfe,
};

typedef struct Queue {
    uint8_t data[FIFO];
    uint16_t first, count;
} Queue;

typedef struct I8042 {
    Device dev;
    Irq kbd_irq, aux_irq, a20;
    Queue kbd, aux;
    uint8_t config, command, out;       /* command: waits for its parameter */
    uint8_t from_aux, data, full;       /* the output buffer */
    /* keyboard */
    uint8_t kbd_command, leds, kbd_enabled, kbd_set;
    /* mouse */
    uint8_t aux_command, aux_reporting, aux_remote, aux_wrap, resolution, rate, scale, id, knock;
    int32_t dx, dy, dz;
    uint8_t buttons, old_buttons;
    MemRegion *command_io;
    Input *keyboard, *mouse;
} I8042;

/* ---- queues and the output buffer ---- */

static void push(Queue *q, uint8_t v)
{
    if (q->count < FIFO)
        q->data[(q->first + q->count++) % FIFO] = v;
}

static uint8_t pull(Queue *q)
{
    uint8_t v = q->data[q->first];
    q->first = (q->first + 1) % FIFO;
    q->count--;
    return v;
}

/* Set 2 to set 1, as the controller does; the break prefix 0xf0 becomes bit 7 of what follows. */
static uint8_t translate(uint8_t code)
{
    static const uint8_t table[] =
        "\xff\x43\x41\x3f\x3d\x3b\x3c\x58\x64\x44\x42\x40\x3e\x0f\x29\x59"
        "\x65\x38\x2a\x70\x1d\x10\x02\x5a\x66\x71\x2c\x1f\x1e\x11\x03\x5b"
        "\x67\x2e\x2d\x20\x12\x05\x04\x5c\x68\x39\x2f\x21\x14\x13\x06\x5d"
        "\x69\x31\x30\x23\x22\x15\x07\x5e\x6a\x72\x32\x24\x16\x08\x09\x5f"
        "\x6b\x33\x25\x17\x18\x0b\x0a\x60\x6c\x34\x35\x26\x27\x19\x0c\x61"
        "\x6d\x73\x28\x74\x1a\x0d\x62\x6e\x3a\x36\x1c\x1b\x75\x2b\x63\x76"
        "\x55\x56\x77\x78\x79\x7a\x0e\x7b\x7c\x4f\x7d\x4b\x47\x7e\x7f\x6f"
        "\x52\x53\x50\x4c\x4d\x48\x01\x45\x57\x4e\x51\x4a\x37\x49\x46\x54";
    return code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code < 0x80 ? table[code] : code;
}

static void update(I8042 *s)
{
    if (!s->full && s->kbd.count && !(s->config & CFG_KBD_OFF)) {
        uint8_t v = pull(&s->kbd);
        if (s->config & CFG_TRANSLATE) {
            bool release = v == 0xf0 && s->kbd.count;
            v = translate(release ? pull(&s->kbd) : v) | (release ? 0x80 : 0);
        }
        s->data = v;
        s->full = true;
        s->from_aux = false;
    } else if (!s->full && s->aux.count && !(s->config & CFG_AUX_OFF)) {
        s->data = pull(&s->aux);
        s->full = s->from_aux = true;
    }
    irq_set(&s->kbd_irq, s->full && !s->from_aux && s->config & CFG_KBD_IRQ);
    irq_set(&s->aux_irq, s->full && s->from_aux && s->config & CFG_AUX_IRQ);
}

/* An answer of the controller itself. */
static void answer(I8042 *s, uint8_t v, bool aux)
{
    s->data = v;
    s->full = true;
    s->from_aux = aux;
    update(s);
}

/* ---- the keyboard ---- */

static void kbd_defaults(I8042 *s)
{
    s->kbd_enabled = true;
    s->kbd_set = 2;
    s->leds = 0;
}

static bool kbd_parameter(I8042 *s, uint8_t v)
{
    uint8_t command = s->kbd_command;
    s->kbd_command = 0;
    switch (command) {
    case 0xed: s->leds = v & 7; break;
    case 0xf0:
        if (v == 0) {
            push(&s->kbd, ACK);
            push(&s->kbd, s->kbd_set);
            return true;
        }
        if (v >= 1 && v <= 3)
            s->kbd_set = v;
        break;
    case 0xf3: break;
    default: return false;
    }
    push(&s->kbd, ACK);
    return true;
}

static void kbd_write(I8042 *s, uint8_t v)
{
    if (s->kbd_command && v < 0xed && kbd_parameter(s, v))
        return;
    s->kbd_command = 0;
    switch (v) {
    case 0xed: case 0xf0: case 0xf3: s->kbd_command = v; push(&s->kbd, ACK); break;
    case 0xee: push(&s->kbd, 0xee); break;
    case 0xf2: push(&s->kbd, ACK); push(&s->kbd, 0xab); push(&s->kbd, 0x83); break;
    case 0xf4: s->kbd_enabled = true; push(&s->kbd, ACK); break;
    case 0xf5: kbd_defaults(s); s->kbd_enabled = false; push(&s->kbd, ACK); break;
    case 0xf6: kbd_defaults(s); push(&s->kbd, ACK); break;
    case 0xff: kbd_defaults(s); s->kbd.count = 0; push(&s->kbd, ACK); push(&s->kbd, 0xaa); break;
    default: push(&s->kbd, v == 0 || v < 0xed ? RESEND : ACK); break;
    }
}

/* Codes come with 0xe0 or 0xe1 in their upper bytes; releases have 0xf0 (set 2) or bit 7 (set 1). */
static void kbd_key(I8042 *s, uint32_t code, bool down, bool set1)
{
    if (code >> 16 == 0xe1) {           /* Pause has a long code of its own, and no release */
        static const uint8_t pause1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
        static const uint8_t pause2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
        const uint8_t *p = set1 ? pause1 : pause2;
        for (unsigned i = 0; down && i < (set1 ? sizeof(pause1) : sizeof(pause2)); i++)
            push(&s->kbd, p[i]);
        return;
    }
    if (code >> 8)
        push(&s->kbd, code >> 8);
    if (!down && !set1)
        push(&s->kbd, 0xf0);
    push(&s->kbd, (code & 0xff) | (!down && set1 ? 0x80 : 0));
}

static void key_event(void *opaque, const InputItem *item)
{
    I8042 *s = opaque;
    const KeyCodes *k = key_codes(item->key);
    if (item->down)
        vm_request_wakeup(s->dev.object.vm, WAKE_OTHER);
    device_lock(&s->dev);
    bool set1 = s->kbd_set == 1;
    uint32_t code = k ? set1 ? k->set1 : k->set2 : 0;
    if (code && s->kbd_enabled && s->kbd.count + 8 < FIFO) {
        kbd_key(s, code, item->down, set1);
        update(s);
    }
    device_unlock(&s->dev);
}

/* ---- the mouse ---- */

static void aux_defaults(I8042 *s)
{
    s->aux_reporting = s->aux_remote = s->aux_wrap = s->scale = false;
    s->resolution = 2;
    s->rate = 100;
    s->dx = s->dy = s->dz = 0;
}

static int take(int32_t *v, int limit)
{
    int n = CLAMP(*v, -limit, limit);
    *v -= n;
    return n;
}

static void aux_packet(I8042 *s)
{
    int dx = take(&s->dx, SCALE_MAX), dy = take(&s->dy, SCALE_MAX);
    push(&s->aux, (s->buttons & 7) | 8 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0));
    push(&s->aux, dx);
    push(&s->aux, dy);
    if (s->id == 3)
        push(&s->aux, take(&s->dz, 127));
    else if (s->id == 4)
        push(&s->aux, (take(&s->dz, 7) & 15) | (s->buttons & 0x18) << 1);
    s->old_buttons = s->buttons;
}

/* Rates 200, 100, 80 make a wheel appear; 200, 200, 80 then two more buttons. */
static void aux_knock(I8042 *s, uint8_t rate)
{
    s->rate = rate;
    if (rate == 200)
        s->knock = s->knock == 1 ? 2 : 1;
    else if (rate == 100 && s->knock == 1)
        s->knock = 3;
    else if (rate == 80 && s->knock == 3)
        s->id = 3, s->knock = 0;
    else if (rate == 80 && s->knock == 2)
        s->id = s->id == 3 ? 4 : s->id, s->knock = 0;
    else
        s->knock = 0;
}

static void aux_status(I8042 *s)
{
    push(&s->aux, (s->aux_remote ? 0x40 : 0) | (s->aux_reporting ? 0x20 : 0) | (s->scale ? 0x10 : 0) |
                      (s->buttons & 1 ? 4 : 0) | (s->buttons & 4 ? 2 : 0) | (s->buttons & 2 ? 1 : 0));
    push(&s->aux, s->resolution);
    push(&s->aux, s->rate);
}

static void aux_write(I8042 *s, uint8_t v)
{
    if (s->aux_wrap && v != 0xff && v != 0xec) {
        push(&s->aux, v);
        return;
    }
    if (s->aux_command) {
        if (s->aux_command == 0xf3)
            aux_knock(s, v);
        else
            s->resolution = v & 3;
        s->aux_command = 0;
        push(&s->aux, ACK);
        return;
    }
    push(&s->aux, v == 0xff || (v >= 0xe6 && v <= 0xf6) ? ACK : RESEND);
    switch (v) {
    case 0xe6: s->scale = false; break;
    case 0xe7: s->scale = true; break;
    case 0xe8: case 0xf3: s->aux_command = v; break;
    case 0xe9: aux_status(s); break;
    case 0xea: s->aux_remote = false; break;
    case 0xeb: aux_packet(s); break;
    case 0xec: s->aux_wrap = false; break;
    case 0xee: s->aux_wrap = true; break;
    case 0xf0: s->aux_remote = true; break;
    case 0xf2: push(&s->aux, s->id); break;
    case 0xf4: s->aux_reporting = true; break;
    case 0xf5: s->aux_reporting = false; break;
    case 0xf6: aux_defaults(s); break;
    case 0xff:
        aux_defaults(s);
        s->id = s->knock = 0;
        push(&s->aux, 0xaa);
        push(&s->aux, 0);
        break;
    default: break;
    }
}

static void mouse_event(void *opaque, const InputItem *item)
{
    static const uint8_t bits[32] = {
        [INPUT_BUTTON_LEFT] = 1, [INPUT_BUTTON_RIGHT] = 2, [INPUT_BUTTON_MIDDLE] = 4,
        [INPUT_BUTTON_SIDE] = 8, [INPUT_BUTTON_EXTRA] = 16,
    };
    I8042 *s = opaque;
    device_lock(&s->dev);
    if (item->kind == INPUT_EVENT_KIND_REL) {
        if (item->axis == INPUT_AXIS_X)
            s->dx = CLAMP(s->dx + item->value, -4096, 4096);
        else
            s->dy = CLAMP(s->dy - item->value, -4096, 4096);
    } else if (item->down && item->button == INPUT_BUTTON_WHEEL_UP) {
        s->dz--;
    } else if (item->down && item->button == INPUT_BUTTON_WHEEL_DOWN) {
        s->dz++;
    } else {
        s->buttons = item->down ? s->buttons | bits[item->button] : s->buttons & ~bits[item->button];
    }
    device_unlock(&s->dev);
}

static void mouse_sync(void *opaque)
{
    I8042 *s = opaque;
    device_lock(&s->dev);
    while (s->aux_reporting && !s->aux_remote && s->aux.count + 4 <= FIFO &&
           (s->dx || s->dy || s->dz || s->buttons != s->old_buttons)) {
        aux_packet(s);
        if (s->id < 3)
            s->dz = 0;
    }
    update(s);
    device_unlock(&s->dev);
}

/* ---- the controller ---- */

static void set_output(I8042 *s, uint8_t v)
{
    s->out = v;
    irq_set(&s->a20, v & OUT_A20);
    if (!(v & OUT_RESET))
        vm_request_reset(s->dev.object.vm, CAUSE_GUEST_RESET);
}

static void write_command(I8042 *s, uint8_t v)
{
    s->command = 0;
    switch (v) {
    case 0x20: answer(s, s->config, false); break;
    case 0x60: case 0xd1: case 0xd2: case 0xd3: case 0xd4: s->command = v; break;
    case 0xa7: s->config |= CFG_AUX_OFF; break;
    case 0xa8: s->config &= ~CFG_AUX_OFF; update(s); break;
    case 0xa9: case 0xab: answer(s, 0, false); break;
    case 0xaa: answer(s, 0x55, false); break;
    case 0xad: s->config |= CFG_KBD_OFF; update(s); break;
    case 0xae: s->config &= ~CFG_KBD_OFF; update(s); break;
    case 0xc0: answer(s, 0x80, false); break;
    case 0xd0: answer(s, s->out | (s->full ? s->from_aux ? 0x20 : 0x10 : 0), false); break;
    case 0xdd: set_output(s, s->out & ~OUT_A20); break;
    case 0xdf: set_output(s, s->out | OUT_A20); break;
    default:
        /* 0xf0-0xff pulse the lines whose bit is clear. */
        if (v >= 0xf0 && !(v & 1))
            vm_request_reset(s->dev.object.vm, CAUSE_GUEST_RESET);
        else if (v < 0xf0)
            log_guest(s, "unknown command 0x%02x", v);
        break;
    }
}

static void write_data(I8042 *s, uint8_t v)
{
    uint8_t command = s->command;
    s->command = 0;
    switch (command) {
    case 0x60: s->config = v; break;
    case 0xd1: set_output(s, v); break;
    case 0xd2: answer(s, v, false); return;
    case 0xd3: answer(s, v, true); return;
    case 0xd4: aux_write(s, v); break;
    default: s->config &= ~CFG_KBD_OFF; kbd_write(s, v); break;
    }
    update(s);
}

static uint64_t read_port(Device *d, uint64_t at, unsigned size)
{
    I8042 *s = (I8042 *)d;
    uint8_t v = s->data;
    s->full = false;
    irq_set(&s->kbd_irq, false);        /* each byte has an edge of its own */
    irq_set(&s->aux_irq, false);
    update(s);
    return v;
}

static void write_port(Device *d, uint64_t at, uint64_t v, unsigned size) { write_data((I8042 *)d, v); }

static uint64_t read_status(void *opaque, uint64_t at, unsigned size)
{
    I8042 *s = opaque;
    return (s->full ? ST_FULL : 0) | (s->config & CFG_SYSTEM ? ST_SYSTEM : 0) | ST_COMMAND | ST_UNLOCKED |
           (s->full && s->from_aux ? ST_AUX : 0);
}
static void write_status(void *opaque, uint64_t at, uint64_t v, unsigned size) { write_command(opaque, v); }
static const MemOps status_ops = {read_status, write_status, 1, 1};

/* ---- the device ---- */

static void reset(Device *d)
{
    I8042 *s = (I8042 *)d;
    s->config = CFG_KBD_IRQ | CFG_AUX_IRQ;
    s->out = OUT_RESET | OUT_A20;
    kbd_defaults(s);
    aux_defaults(s);
    update(s);
}

static void reset_exit(Device *d) { irq_set(&((I8042 *)d)->a20, true); }

static const InputHandler keyboard = {.name = "QEMU PS/2 Keyboard", .kinds = INPUT_KEYS, .event = key_event};
static const InputHandler mouse = {
    .name = "QEMU PS/2 Mouse", .kinds = INPUT_BUTTONS | INPUT_RELATIVE, .event = mouse_event,
    .sync = mouse_sync,
};

static bool realize(Device *d, GError **error)
{
    I8042 *s = (I8042 *)d;
    Bus *isa = d->parent_bus;
    irq_connect(&s->kbd_irq, isa_irq(isa, 1));
    irq_connect(&s->aux_irq, isa_irq(isa, 12));
    device_place_io(d, 0x60);
    s->command_io = mem_io(&d->object, "i8042-cmd", 1, &status_ops, s, d);
    mem_add(d->object.vm->io_root, 0x64, s->command_io, 0);
    s->keyboard = input_add(d, &keyboard, s, NULL);
    s->mouse = input_add(d, &mouse, s, NULL);
    return true;
}

static void unrealize(Device *d)
{
    I8042 *s = (I8042 *)d;
    input_remove(s->keyboard);
    input_remove(s->mouse);
    s->keyboard = s->mouse = NULL;
}

static void restored(Device *d) { update((I8042 *)d); }

static const Field fields[] = {
    IRQ(I8042, kbd_irq), IRQ(I8042, aux_irq), IRQ(I8042, a20), SAVED(I8042, kbd), SAVED(I8042, aux),
    SAVED(I8042, config), SAVED(I8042, command), SAVED(I8042, out), SAVED(I8042, from_aux),
    SAVED(I8042, data), SAVED(I8042, full), SAVED(I8042, kbd_command), SAVED(I8042, leds),
    SAVED(I8042, kbd_enabled), SAVED(I8042, kbd_set), SAVED(I8042, aux_command),
    SAVED(I8042, aux_reporting), SAVED(I8042, aux_remote), SAVED(I8042, aux_wrap),
    SAVED(I8042, resolution), SAVED(I8042, rate), SAVED(I8042, scale), SAVED(I8042, id),
    SAVED(I8042, knock), SAVED(I8042, dx), SAVED(I8042, dy), SAVED(I8042, dz), SAVED(I8042, buttons),
    SAVED(I8042, old_buttons), HOST(I8042, command_io), HOST(I8042, keyboard), HOST(I8042, mouse),
};
static const DeviceType i8042 = {
    .name = "i8042", .desc = "PS/2 keyboard controller with keyboard and mouse", .size = sizeof(I8042),
    .category = DEVICE_INPUT, .bus = "ISA", .window = 1, .max_access = 1, FIELDS(fields),
    .read = read_port, .write = write_port, .realize = realize, .unrealize = unrealize, .reset = reset,
    .reset_exit = reset_exit, .restored = restored,
};
DEVICE_TYPE(i8042);

Device *i8042_new(Bus *isa, Pin a20)
{
    I8042 *s = (I8042 *)device_draft(isa->object.vm, "i8042");
    g_autoptr(GError) error = NULL;
    irq_connect(&s->a20, a20);
    if (!device_realize(&s->dev, isa, &error))
        g_error("i8042: %s", error->message);
    return &s->dev;
}
