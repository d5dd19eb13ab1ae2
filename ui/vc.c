/* SPDX-License-Identifier: Apache-2.0 */
/* The text consoles of -chardev vc. Bytes come from any thread and are drawn on the control loop; pixels
 * are made only while somebody looks. */
#include <string.h>
#include "chardev/vc.h"
#include "ui/console.h"
#include "ui/text.h"

enum { COLUMNS = 80, ROWS = 25, CELL_WIDTH = 8, CELL_HEIGHT = 16, PENDING_MAX = 1 << 20 };

typedef struct VcScreen {
    Vm *vm;
    Console *console;
    Terminal terminal;
    GMutex lock;
    GByteArray *pending;        /* written, not drawn; under lock */
    bool posted, ended;
    uint16_t *shown;            /* cells as drawn last; NULL: none */
    unsigned cursor;            /* the cell with the cursor, as drawn last */
    void (*typed)(void *opaque, const uint8_t *bytes, unsigned n);
    void *opaque;
} VcScreen;

/* ---- drawing ---- */

static void draw_cell(Surface *s, unsigned x, unsigned y, uint16_t cell, bool cursor)
{
    const uint8_t *glyph = terminal_glyph(cell);
    uint32_t front = terminal_colour(cell >> 8), back = terminal_colour(cell >> 12 & 7);

    for (unsigned line = 0; line < CELL_HEIGHT; line++) {
        uint32_t *p = surface_line(s, y * CELL_HEIGHT + line) + x * CELL_WIDTH;
        uint8_t bits = cursor && line >= CELL_HEIGHT - 2 ? 0xff : glyph[line];
        for (unsigned i = 0; i < CELL_WIDTH; i++) {
            p[i] = bits >> (CELL_WIDTH - 1 - i) & 1 ? front : back;
        }
    }
}

static void refresh(void *opaque)
{
    VcScreen *v = opaque;
    const Terminal *t = &v->terminal;
    unsigned n = t->columns * t->rows, cursor = t->y * t->columns + t->x;

    if (!v->shown) {
        v->shown = g_new(uint16_t, n);
        memset(v->shown, 0xff, n * sizeof(*v->shown));
        console_show(v->console, surface_new(t->columns * CELL_WIDTH, t->rows * CELL_HEIGHT));
    }
    Surface *s = console_surface(v->console);
    for (unsigned i = 0; i < n; i++) {
        bool moved = cursor != v->cursor && (i == cursor || i == v->cursor);
        if (v->shown[i] != t->cells[i] || moved) {
            unsigned x = i % t->columns, y = i / t->columns;
            draw_cell(s, x, y, t->cells[i], i == cursor);
            console_update(v->console, x * CELL_WIDTH, y * CELL_HEIGHT, CELL_WIDTH, CELL_HEIGHT);
        }
        v->shown[i] = t->cells[i];
    }
    v->cursor = cursor;
}

static void invalidate(void *opaque)
{
    g_clear_pointer(&((VcScreen *)opaque)->shown, g_free);
}

static bool text(void *opaque, uint16_t *cells, unsigned *columns, unsigned *rows)
{
    const Terminal *t = &((VcScreen *)opaque)->terminal;

    *columns = MIN(*columns, t->columns);
    *rows = MIN(*rows, t->rows);
    for (unsigned i = 0; i < *columns * *rows; i++) {
        cells[i] = t->cells[i / *columns * t->columns + i % *columns];
    }
    return true;
}

static void typed(void *opaque, uint32_t keysym, bool ctrl)
{
    VcScreen *v = opaque;
    uint8_t bytes[8];
    unsigned n = terminal_key(keysym, ctrl, bytes);

    if (n) {
        v->typed(v->opaque, bytes, n);
    }
}

static const ConsoleOps ops = {.refresh = refresh, .invalidate = invalidate, .text = text, .typed = typed};

/* ---- bytes ---- */

static void release(VcScreen *v)
{
    g_byte_array_unref(v->pending);
    g_mutex_clear(&v->lock);
    g_free(v);
}

static void digest(void *data)
{
    VcScreen *v = data;

    g_mutex_lock(&v->lock);
    g_autoptr(GByteArray) bytes = g_steal_pointer(&v->pending);
    v->pending = g_byte_array_new();
    v->posted = false;
    g_mutex_unlock(&v->lock);
    if (v->ended) {
        release(v);
        return;
    }
    for (unsigned i = 0; i < bytes->len; i++) {
        terminal_put(&v->terminal, bytes->data[i]);
    }
    GByteArray *answers = v->terminal.answers;
    if (answers->len) {
        v->typed(v->opaque, answers->data, answers->len);
        g_byte_array_set_size(answers, 0);
    }
}

static void vc_write(void *screen, const uint8_t *bytes, unsigned n)
{
    VcScreen *v = screen;

    g_mutex_lock(&v->lock);
    if (v->pending->len < PENDING_MAX) {        /* nobody reads a megabyte between two looks */
        g_byte_array_append(v->pending, bytes, n);
    }
    bool post = !v->posted;
    v->posted = true;
    g_mutex_unlock(&v->lock);
    if (post) {
        loop_post(v->vm->loop, digest, v);
    }
}

static void *vc_make(Vm *vm, const VcScreenConfig *c)
{
    VcScreen *v = g_new0(VcScreen, 1);

    *v = (VcScreen){.vm = vm, .typed = c->typed, .opaque = c->opaque, .pending = g_byte_array_new()};
    g_mutex_init(&v->lock);
    terminal_init(&v->terminal, c->columns ? c->columns : COLUMNS, c->rows ? c->rows : ROWS);
    v->console = console_new_text(vm, c->label, &ops, v);
    return v;
}

static void vc_end(void *screen)
{
    VcScreen *v = screen;

    console_free(v->console);
    terminal_clear(&v->terminal);
    g_free(v->shown);
    v->ended = true;
    if (!v->posted) {
        release(v);             /* else digest() does, as its post cannot be taken back */
    }
}

static const VcScreenType screen = {
    .name = "vc-screen-console", .parent = "vc-screen", .size = sizeof(Object), .make = vc_make,
    .write = vc_write, .end = vc_end,
};
OBJECT_TYPE(screen);
