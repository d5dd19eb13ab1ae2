/* SPDX-License-Identifier: Apache-2.0 */
/* Consoles: pictures on their way from display devices to viewers. */
#include <string.h>

#include "ui/console.h"

#include "core/vm.h"
#include "ui/display.h"
#include "util/error.h"

struct Console {
    Vm *vm;
    Device *dev;                /* NULL: a text console */
    char *label;
    unsigned head, slot;        /* slot: in the list */
    const ConsoleOps *ops;
    void *opaque;
    Surface *surface;
    Cursor *cursor;
    int cursor_x, cursor_y;
    bool cursor_shown;
    GPtrArray *listeners;       /* ConsoleListener *; NULL where one left during an emission */
    unsigned emitting;
    unsigned timer;             /* loop_after() id while somebody looks */
};

/* ---- surfaces ---- */

Surface *surface_over(void *pixels, unsigned width, unsigned height, unsigned stride)
{
    Surface *s = g_new0(Surface, 1);

    *s = (Surface){width, height, stride, pixels, false};
    return s;
}

Surface *surface_new(unsigned width, unsigned height)
{
    Surface *s = surface_over(g_malloc0_n((size_t)width * height, 4), width, height, width * 4);

    s->owned = true;
    return s;
}

void surface_free(Surface *s)
{
    if (s && s->owned) {
        g_free(s->pixels);
    }
    g_free(s);
}

/* ---- the list of consoles ---- */

static const char consoles_key;

static void *consoles_make(Vm *vm)
{
    return g_ptr_array_new();
}

static GPtrArray *consoles(Vm *vm)
{
    return vm_data(vm, &consoles_key, consoles_make, (GDestroyNotify)g_ptr_array_unref);
}

static Console *enlist(Vm *vm, Device *dev, unsigned head, const ConsoleOps *ops, void *opaque)
{
    Console *c = g_new0(Console, 1);
    GPtrArray *all = consoles(vm);

    *c = (Console){.vm = vm, .dev = dev, .head = head, .ops = ops, .opaque = opaque,
                   .surface = surface_new(640, 480), .listeners = g_ptr_array_new()};
    while (c->slot < all->len && all->pdata[c->slot]) {
        c->slot++;
    }
    if (c->slot == all->len) {
        g_ptr_array_add(all, c);
    } else {
        all->pdata[c->slot] = c;
    }
    return c;
}

Console *console_new(Device *dev, unsigned head, const ConsoleOps *ops, void *opaque)
{
    return enlist(dev->object.vm, dev, head, ops, opaque);
}

Console *console_new_text(Vm *vm, const char *label, const ConsoleOps *ops, void *opaque)
{
    Console *c = enlist(vm, NULL, 0, ops, opaque);

    c->label = g_strdup(label);
    return c;
}

Console *console_at(Vm *vm, unsigned index)
{
    GPtrArray *all = consoles(vm);

    for (unsigned i = 0; i < 2 * all->len; i++) {       /* pictures, then texts */
        Console *c = g_ptr_array_index(all, i % all->len);
        if (c && !c->dev == (i >= all->len) && index-- == 0) {
            return c;
        }
    }
    return NULL;
}

/* Whether the user's name for a device, an id or a path, means this one. */
static bool is_device(Device *dev, const char *name)
{
    g_autofree char *path = object_path(&dev->object);

    return strcmp(name, dev->id ? dev->id : "") == 0 || strcmp(name, path) == 0;
}

Console *console_find(Vm *vm, const char *device, unsigned head, GError **error)
{
    GPtrArray *all = consoles(vm);
    Console *first = NULL;

    for (unsigned i = 0; i < all->len; i++) {
        Console *c = g_ptr_array_index(all, i);
        if (!c || !c->dev || (device && !is_device(c->dev, device)) || (first && c->dev != first->dev)) {
            continue;
        }
        first = first ? first : c;
        if (c->head == head) {
            return c;
        }
    }
    if (!first && !device && console_at(vm, 0)) {
        return console_at(vm, 0);
    }
    if (first) {
        error_set(error, "the display device has no head %u", head);
    } else if (device) {
        error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND,
                        "Device '%s' not found, or it shows nothing", device);
    } else {
        error_set(error, "There is no console to take a picture of: the machine has no display "
                  "device (-vga or -device adds one)");
    }
    return NULL;
}

Surface *console_surface(Console *c)
{
    return c->surface;
}

Device *console_device(const Console *c)
{
    return c->dev;
}

bool console_is_text(const Console *c)
{
    return !c->dev;
}

const char *console_label(const Console *c)
{
    return c->label ? c->label : c->dev->id ? c->dev->id : c->dev->object.type->name;
}

unsigned console_head(const Console *c)
{
    return c->head;
}

/* ---- telling viewers ---- */

/* Runs `tell` for each viewer; any of them may leave meanwhile. */
#define EMIT(c, callback, ...)                                                                    \
    do {                                                                                          \
        (c)->emitting++;                                                                          \
        for (unsigned i_ = 0; i_ < (c)->listeners->len; i_++) {                                   \
            ConsoleListener *l_ = g_ptr_array_index((c)->listeners, i_);                          \
            if (l_ && l_->callback) {                                                             \
                l_->callback(l_, __VA_ARGS__);                                                    \
            }                                                                                     \
        }                                                                                         \
        emitted(c);                                                                               \
    } while (0)

static void emitted(Console *c)
{
    if (--c->emitting == 0) {
        while (g_ptr_array_remove(c->listeners, NULL)) {
        }
    }
}

void console_show(Console *c, Surface *s)
{
    Surface *old = c->surface;

    c->surface = s ? s : surface_new(640, 480);
    EMIT(c, resized, c->surface);
    surface_free(old);
}

void console_update(Console *c, unsigned x, unsigned y, unsigned width, unsigned height)
{
    if (x >= c->surface->width || y >= c->surface->height) {
        return;
    }
    width = MIN(width, c->surface->width - x);
    height = MIN(height, c->surface->height - y);
    if (width && height) {
        EMIT(c, updated, x, y, width, height);
    }
}

void console_cursor(Console *c, Cursor *cursor)
{
    g_free(c->cursor);
    c->cursor = cursor;
    EMIT(c, cursor, cursor);
}

void console_cursor_at(Console *c, int x, int y, bool visible)
{
    c->cursor_x = x;
    c->cursor_y = y;
    c->cursor_shown = visible;
    EMIT(c, cursor_at, x, y, visible);
}

const Cursor *console_cursor_get(Console *c, int *x, int *y)
{
    *x = c->cursor_x;
    *y = c->cursor_y;
    return c->cursor_shown ? c->cursor : NULL;
}

/* ---- viewers ---- */

void console_refresh(Console *c)
{
    if (c->ops->refresh) {
        c->ops->refresh(c->opaque);
    }
}

void console_invalidate(Console *c)
{
    if (c->ops->invalidate) {
        c->ops->invalidate(c->opaque);
    }
}

static void tick(void *data)
{
    Console *c = data;

    c->timer = loop_after(c->vm->loop, CONSOLE_REFRESH_MS, tick, c);
    console_refresh(c);
}

void console_listen(Console *c, ConsoleListener *l)
{
    l->console = c;
    g_ptr_array_add(c->listeners, l);
    if (!c->timer) {
        c->timer = loop_after(c->vm->loop, CONSOLE_REFRESH_MS, tick, c);
    }
    console_invalidate(c);
    console_refresh(c);
    if (l->resized) {
        l->resized(l, c->surface);
    }
}

void console_unlisten(ConsoleListener *l)
{
    Console *c = l->console;
    guint i;

    if (!c) {
        return;
    }
    l->console = NULL;
    if (g_ptr_array_find(c->listeners, l, &i)) {
        c->listeners->pdata[i] = NULL;
    }
    c->emitting++;
    emitted(c);
    bool watched = false;
    for (i = 0; i < c->listeners->len; i++) {
        watched |= g_ptr_array_index(c->listeners, i) != NULL;
    }
    if (!watched && c->timer) {
        loop_cancel(c->vm->loop, c->timer);
        c->timer = 0;
    }
}

void console_ui_info(Console *c, const UiInfo *info)
{
    if (c->ops->ui_info) {
        c->ops->ui_info(c->opaque, info);
    }
}

void console_typed(Console *c, uint32_t keysym, bool ctrl)
{
    if (c->ops->typed) {
        c->ops->typed(c->opaque, keysym, ctrl);
    }
}

bool console_text(Console *c, uint16_t *cells, unsigned *columns, unsigned *rows)
{
    return c->ops->text && c->ops->text(c->opaque, cells, columns, rows);
}

void console_free(Console *c)
{
    if (!c) {
        return;
    }
    for (unsigned i = 0; i < c->listeners->len; i++) {
        ConsoleListener *l = g_ptr_array_index(c->listeners, i);
        if (l) {
            console_unlisten(l);
            if (l->gone) {
                l->gone(l);
            }
            i = -1;             /* the list has changed */
        }
    }
    consoles(c->vm)->pdata[c->slot] = NULL;
    g_ptr_array_unref(c->listeners);
    surface_free(c->surface);
    g_free(c->cursor);
    g_free(c->label);
    g_free(c);
}

static const ObjectType display_type = {.name = "display", .desc = "Looks at consoles", .size = sizeof(Object),
                                        .abstract = true};
OBJECT_TYPE(display_type);
