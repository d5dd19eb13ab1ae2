/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says once it is in (RFC 6143 section 7.3 to 7.5, and the community's extensions). */
#include <string.h>

#include "ui/vnc/internal.h"

enum {
    SET_PIXEL_FORMAT = 0, SET_ENCODINGS = 2, UPDATE_REQUEST = 3, KEY_EVENT = 4, POINTER_EVENT = 5,
    CUT_TEXT = 6, SET_DESKTOP_SIZE = 251, QEMU_MESSAGE = 255,
    RAW = 0, HEXTILE = 5, TIGHT = 7, ZRLE = 16,
    RELATIVE_CENTRE = 0x7fff,   /* what stands for no movement when the pointer is relative */
};

/* ---- entry ---- */

static void put_format(GByteArray *out, const VncFormat *f)
{
    put8(out, f->bits);
    put8(out, f->depth);
    put8(out, f->big_endian);
    put8(out, !f->mapped);
    for (unsigned i = 0; i < 3; i++) {
        put16(out, f->max[i]);
    }
    g_byte_array_append(out, f->shift, 3);
    g_byte_array_append(out, (const uint8_t *)"\0\0\0", 3);
}

/* Who asks to be alone, or comes to somebody who is. */
static bool may_share(VncClient *c)
{
    VncServer *s = c->server;

    if (s->share == VNC_SHARE_IGNORE) {
        return true;
    }
    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *other = g_ptr_array_index(s->clients, i);
        if (other == c || !other->initialized || other->gone) {
            continue;
        }
        if (!c->shared && s->share == VNC_SHARE_ALLOW_EXCLUSIVE) {
            vnc_client_end(other, "another client wants to be alone");
        } else if (!c->shared || !other->shared) {
            return false;
        }
    }
    return true;
}

size_t vnc_client_init(VncClient *c, const uint8_t *data, size_t n)
{
    GByteArray *out = c->stream->out;
    const char *vm_name = c->server->vm->name;
    g_autofree char *name = vm_name ? g_strdup_printf("QEMU (%s)", vm_name) : g_strdup("QEMU");

    c->shared = data[0] != 0;
    if (!may_share(c)) {
        vnc_client_end(c, "the server shares with others");
        return 1;
    }
    c->initialized = true;
    vnc_server_look(c->server);         /* now the picture has its size */
    Console *console = vnc_console(c->server);
    c->width = console ? console_surface(console)->width : 640;
    c->height = console ? console_surface(console)->height : 480;
    c->format = vnc_format_default;
    put16(out, c->width);
    put16(out, c->height);
    put_format(out, &c->format);
    put32(out, strlen(name));
    g_byte_array_append(out, (const uint8_t *)name, strlen(name));
    c->next = vnc_message;
    vnc_tell_initialized(c);
    c->resize = false;
    vnc_dirty_all(c);
    return 1;
}

/* ---- formats and encodings ---- */

/* A map of 3-3-2 bits for clients without true colour. */
static void send_colour_map(VncClient *c)
{
    GByteArray *out = c->stream->out;

    put8(out, 1);
    put8(out, 0);
    put16(out, 0);
    put16(out, 256);
    for (unsigned i = 0; i < 256; i++) {
        put16(out, (i >> 5) * 0xffff / 7);
        put16(out, ((i >> 2) & 7) * 0xffff / 7);
        put16(out, (i & 3) * 0xffff / 3);
    }
}

static void set_pixel_format(VncClient *c, const uint8_t *p)
{
    VncFormat f = {.bits = p[0], .depth = p[1], .big_endian = p[2], .mapped = !p[3]};

    for (unsigned i = 0; i < 3; i++) {
        f.max[i] = get16(p + 4 + 2 * i);
        f.shift[i] = p[10 + i];
        if (f.shift[i] >= f.bits || (f.max[i] & (f.max[i] + 1)) || f.max[i] > 255) {
            f.shift[i] = f.mapped ? 0 : 255;
        }
    }
    bool sizes = f.bits == 8 || (!f.mapped && (f.bits == 16 || f.bits == 32));
    if (!sizes || f.shift[0] == 255 || f.shift[1] == 255 || f.shift[2] == 255) {
        vnc_client_end(c, "impossible pixel format");
        return;
    }
    if (f.mapped) {
        f = (VncFormat){.bits = 8, .depth = 8, .mapped = true, .max = {7, 7, 3}, .shift = {5, 2, 0}};
        send_colour_map(c);
    }
    c->format = f;
    vnc_dirty_all(c);
}

/* Numbers without meaning for us are skipped; the first kind of pixels that we have counts. */
static void set_encoding(VncClient *c, int32_t e)
{
    static const struct { int32_t number; unsigned feature; } features[] = {
        {-223, FEATURE_RESIZE}, {-239, FEATURE_CURSOR}, {-257, FEATURE_POINTER_TYPE},
        {-258, FEATURE_EXT_KEY}, {-308, FEATURE_RESIZE | FEATURE_RESIZE_EXT},
    };

    if (e == RAW || e == HEXTILE || e == TIGHT || e == ZRLE) {
        c->encoding = c->encoding < 0 ? e : c->encoding;
    } else if (e >= -256 && e <= -247) {
        c->compression = e + 256;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        if (features[i].number == e) {
            c->features |= features[i].feature;
        }
    }
}

static size_t set_encodings(VncClient *c, const uint8_t *data, size_t n)
{
    size_t count = n >= 4 ? get16(data + 2) : 0;

    if (n < 4 || n < 4 + 4 * count) {
        return 0;
    }
    c->encoding = -1;
    c->features = 0;
    for (size_t i = 0; i < count; i++) {
        set_encoding(c, get32(data + 4 + 4 * i));
    }
    c->encoding = MAX(c->encoding, RAW);
    c->cursor_changed = true;
    c->tell_keys = c->features & FEATURE_EXT_KEY;
    c->tell_pointer = true;
    c->resize |= (c->features & FEATURE_RESIZE_EXT) != 0;
    vnc_update(c);
    return 4 + 4 * count;
}

static void update_request(VncClient *c, const uint8_t *p)
{
    c->wants_update = true;
    if (!p[1]) {
        vnc_dirty_all(c);
    }
    vnc_update(c);
}

/* ---- keys ---- */

static bool is_down(const VncClient *c, QKeyCode a, QKeyCode b)
{
    for (unsigned i = 0; i < c->n_pressed; i++) {
        if (c->pressed[i] == a || c->pressed[i] == b) {
            return true;
        }
    }
    return false;
}

static void key(VncClient *c, QKeyCode code, bool down)
{
    unsigned i = 0;

    while (i < c->n_pressed && c->pressed[i] != code) {
        i++;
    }
    if (down && i == c->n_pressed && i < G_N_ELEMENTS(c->pressed)) {
        c->pressed[c->n_pressed++] = code;
    } else if (!down && i < c->n_pressed) {
        c->pressed[i] = c->pressed[--c->n_pressed];
    }
    Console *console = vnc_console(c->server);
    if (!console || !console_is_text(console)) {
        input_key(c->server->vm, vnc_console_id(c->server), code, down);
        input_sync(c->server->vm);
    }
}

/* Ctrl-Alt and a digit show another console; text consoles take characters, others keys. */
static void typed(VncClient *c, QKeyCode code, uint32_t keysym, bool down)
{
    Console *console = vnc_console(c->server);
    bool ctrl = is_down(c, Q_KEY_CODE_CTRL, Q_KEY_CODE_CTRL_R), alt = is_down(c, Q_KEY_CODE_ALT, Q_KEY_CODE_ALT_R);

    if (ctrl && alt && code >= Q_KEY_CODE_1 && code <= Q_KEY_CODE_9) {
        if (down) {
            vnc_client_release_keys(c);
            vnc_switch(c->server, code - Q_KEY_CODE_1);
        }
        return;
    }
    if (console && console_is_text(console) && down && keysym) {
        console_typed(console, keysym, ctrl);
    }
    key(c, code, down);
}

void vnc_client_release_keys(VncClient *c)
{
    while (c->n_pressed) {
        key(c, c->pressed[c->n_pressed - 1], false);
    }
}

static size_t qemu_message(VncClient *c, const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    if (data[1] != 0) {
        vnc_client_end(c, "unknown message of the QEMU extension");
        return 2;
    }
    if (n < 12) {
        return 0;
    }
    QKeyCode code = key_from_number(get32(data + 8) & 0xff);
    if (code == Q_KEY_CODE_UNMAPPED) {
        code = keysyms_find(c->server->keysyms, get32(data + 4));
    }
    typed(c, code, get32(data + 4), get16(data + 2) != 0);
    return 12;
}

/* ---- the pointer ---- */

static void move_relative(VncClient *c, unsigned x, unsigned y)
{
    Vm *vm = c->server->vm;
    const char *id = vnc_console_id(c->server);
    bool told = c->features & FEATURE_POINTER_TYPE;
    int from_x = told ? RELATIVE_CENTRE : c->pointed ? (int)c->pointer_x : (int)x;
    int from_y = told ? RELATIVE_CENTRE : c->pointed ? (int)c->pointer_y : (int)y;

    input_move(vm, id, INPUT_AXIS_X, (int)x - from_x);
    input_move(vm, id, INPUT_AXIS_Y, (int)y - from_y);
}

static void pointer_event(VncClient *c, const uint8_t *p)
{
    static const InputButton buttons[] = {
        INPUT_BUTTON_LEFT, INPUT_BUTTON_MIDDLE, INPUT_BUTTON_RIGHT, INPUT_BUTTON_WHEEL_UP,
        INPUT_BUTTON_WHEEL_DOWN, INPUT_BUTTON_WHEEL_LEFT, INPUT_BUTTON_WHEEL_RIGHT,
    };
    Vm *vm = c->server->vm;
    const char *id = vnc_console_id(c->server);
    unsigned x = get16(p + 2), y = get16(p + 4);

    for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++) {
        if ((c->buttons ^ p[1]) & (1u << i)) {
            input_button(vm, id, buttons[i], (p[1] >> i) & 1);
        }
    }
    c->buttons = p[1];
    if (input_is_absolute(vm, id)) {
        input_place(vm, id, INPUT_AXIS_X, x, c->width);
        input_place(vm, id, INPUT_AXIS_Y, y, c->height);
    } else {
        move_relative(c, x, y);
    }
    c->pointer_x = x;
    c->pointer_y = y;
    c->pointed = true;
    input_sync(vm);
}

/* ---- others ---- */

static size_t cut_text(VncClient *c, const uint8_t *data, size_t n)
{
    if (n < 8) {
        return 0;
    }
    int32_t length = get32(data + 4);   /* negative: the extended form, of that many bytes */
    size_t bytes = length < 0 ? -(int64_t)length : length;
    if (bytes > VNC_INPUT_MAX - 8) {
        vnc_client_end(c, "clipboard text too long");
        return n;
    }
    return n < 8 + bytes ? 0 : 8 + bytes;       /* the guest has no clipboard */
}

static size_t set_desktop_size(VncClient *c, const uint8_t *data, size_t n)
{
    enum { BY_THIS_CLIENT = 1, FORWARDED = 4 };
    size_t length = n >= 8 ? 8 + 16 * data[6] : 8;
    Console *console = vnc_console(c->server);

    if (n < length) {
        return 0;
    }
    UiInfo wish = {.width = get16(data + 2), .height = get16(data + 4)};
    if (console && wish.width && wish.height) {
        console_ui_info(console, &wish);
    }
    c->resize = true;
    c->resize_reason = BY_THIS_CLIENT;
    c->resize_status = FORWARDED;
    vnc_update(c);
    return length;
}

size_t vnc_message(VncClient *c, const uint8_t *data, size_t n)
{
    switch (data[0]) {
    case SET_PIXEL_FORMAT:
        if (n >= 20) {
            set_pixel_format(c, data + 4);
        }
        return n >= 20 ? 20 : 0;
    case SET_ENCODINGS:
        return set_encodings(c, data, n);
    case UPDATE_REQUEST:
        if (n >= 10) {
            update_request(c, data);
        }
        return n >= 10 ? 10 : 0;
    case KEY_EVENT:
        if (n >= 8) {
            typed(c, keysyms_find(c->server->keysyms, get32(data + 4)), get32(data + 4), data[1]);
        }
        return n >= 8 ? 8 : 0;
    case POINTER_EVENT:
        if (n >= 6) {
            pointer_event(c, data);
        }
        return n >= 6 ? 6 : 0;
    case CUT_TEXT:
        return cut_text(c, data, n);
    case SET_DESKTOP_SIZE:
        return set_desktop_size(c, data, n);
    case QEMU_MESSAGE:
        return qemu_message(c, data, n);
    default:
        vnc_client_end(c, "unknown message");
        return n;
    }
}
