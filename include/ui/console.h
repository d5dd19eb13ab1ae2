/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consoles: what a display device shows, and who looks at it (VNC, windows, screendump).
 *
 * A picture is always 32 bits a pixel, x8r8g8b8 in host byte order; a device converts its own
 * formats, or lends its memory where that has this form already. Home of everything here: the
 * control thread. Register handlers only note that something changed; .refresh, called while
 * somebody looks, brings the picture up to date and says which part changed.
 */
#ifndef UI_CONSOLE_H
#define UI_CONSOLE_H

#include "core/device.h"

typedef struct Console Console;
typedef struct ConsoleListener ConsoleListener;

enum { CONSOLE_MAX_SIZE = 16384, CONSOLE_REFRESH_MS = 30 };

typedef struct Surface {
    unsigned width, height;     /* pixels, 1 to CONSOLE_MAX_SIZE */
    unsigned stride;            /* bytes from one line to the next, a multiple of 4 */
    uint32_t *pixels;
    bool owned;                 /* pixels are freed with the surface */
} Surface;
/* A black one with memory of its own. */
Surface *surface_new(unsigned width, unsigned height);
/* Over memory of the device's, which must stay until another surface is shown. */
Surface *surface_over(void *pixels, unsigned width, unsigned height, unsigned stride);
void surface_free(Surface *s);
static inline uint32_t *surface_line(const Surface *s, unsigned y)
{
    return (uint32_t *)((uint8_t *)s->pixels + (size_t)y * s->stride);
}

typedef struct Cursor {
    unsigned width, height, hot_x, hot_y;
    uint32_t pixels[];          /* a8r8g8b8, not premultiplied */
} Cursor;

/* What a viewer would like to have: the size of its window. 0: unknown. */
typedef struct UiInfo {
    unsigned width, height, width_mm, height_mm;
} UiInfo;

/* The device's side. All may be NULL; opaque is what console_new() was given. */
typedef struct ConsoleOps {
    void (*refresh)(void *opaque);      /* show what changed since; take the device's lock */
    void (*invalidate)(void *opaque);   /* forget what was shown: the next refresh shows all */
    void (*ui_info)(void *opaque, const UiInfo *info);
    /* Text screens for displays without pixels: fills cells (character | attribute << 8, as in VGA
     * memory) up to *columns x *rows, sets both; false if it shows graphics. */
    bool (*text)(void *opaque, uint16_t *cells, unsigned *columns, unsigned *rows);
    /* Text consoles: an X keysym was typed, with Ctrl or without. */
    void (*typed)(void *opaque, uint32_t keysym, bool ctrl);
} ConsoleOps;

/* A console of `dev` (its output `head`), the next in order; owned by the Vm. */
Console *console_new(Device *dev, unsigned head, const ConsoleOps *ops, void *opaque);
/* A console that no device owns: the text of a chardev of that name. */
Console *console_new_text(Vm *vm, const char *label, const ConsoleOps *ops, void *opaque);
void console_free(Console *c);
/* Shows another surface; the console owns it and frees the old one. NULL: a blank one of 640x480. */
void console_show(Console *c, Surface *s);
/* A part changed; clipped to the surface. */
void console_update(Console *c, unsigned x, unsigned y, unsigned width, unsigned height);
/* NULL: the guest draws its pointer itself, or none. Takes over the cursor. */
void console_cursor(Console *c, Cursor *cursor);
void console_cursor_at(Console *c, int x, int y, bool visible);
Surface *console_surface(Console *c);           /* borrowed, never NULL */
const Cursor *console_cursor_get(Console *c, int *x, int *y);   /* NULL: none, or hidden */
Device *console_device(const Console *c);       /* NULL: a text console */
bool console_is_text(const Console *c);
/* What a viewer calls it: the device's id, or the chardev's. */
const char *console_label(const Console *c);
unsigned console_head(const Console *c);

/* By order, those of devices before text consoles; NULL: there is none. */
Console *console_at(Vm *vm, unsigned index);
/* By display device (its id or path) and head; device NULL: the first device's, or the first console of
 * all if there is no display device. */
Console *console_find(Vm *vm, const char *device, unsigned head, GError **error);

/* The viewer's side; embed it. Callbacks may be NULL; none comes while the viewer is called. */
struct ConsoleListener {
    void (*resized)(ConsoleListener *l, Surface *s);    /* another surface: everything changed */
    void (*updated)(ConsoleListener *l, unsigned x, unsigned y, unsigned width, unsigned height);
    void (*cursor)(ConsoleListener *l, const Cursor *cursor);
    void (*cursor_at)(ConsoleListener *l, int x, int y, bool visible);
    void (*gone)(ConsoleListener *l);                   /* the console ends; unlistened already */
    Console *console;
};
/* Calls .resized at once. While anybody listens the device is refreshed every CONSOLE_REFRESH_MS. */
void console_listen(Console *c, ConsoleListener *l);
void console_unlisten(ConsoleListener *l);
/* Brings the picture up to date now. */
void console_refresh(Console *c);
void console_invalidate(Console *c);
void console_ui_info(Console *c, const UiInfo *info);
/* A key was pressed in a viewer of a text console; others ignore it. */
void console_typed(Console *c, uint32_t keysym, bool ctrl);
bool console_text(Console *c, uint16_t *cells, unsigned *columns, unsigned *rows);

/* Writes the picture into a file. PNG needs libpng at build time. */
bool console_dump(Console *c, const char *filename, bool png, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

#endif
