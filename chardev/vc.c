/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev vc: a text console among the machine's displays. */
#include <string.h>
#include "chardev/internal.h"
#include "chardev/vc.h"

enum { HELD_MAX = 256, CELL_WIDTH = 8, CELL_HEIGHT = 16, SIDE_MAX = 512 };

typedef struct VcChardev {
    Chardev chr;
    const VcScreenType *type;   /* NULL: nothing shows text here */
    unsigned columns, rows;
    void *screen;
    uint8_t held[HELD_MAX];     /* typed, and no room at the front end */
    unsigned n_held;
} VcChardev;

static void deliver(VcChardev *s)
{
    while (s->n_held) {
        unsigned room = MIN(char_room(&s->chr), s->n_held);
        if (!room)
            return;
        char_input(&s->chr, s->held, room);
        memmove(s->held, s->held + room, s->n_held - room);
        s->n_held -= room;
    }
}

static void typed(void *opaque, const uint8_t *bytes, unsigned n)
{
    VcChardev *s = opaque;
    n = MIN(n, HELD_MAX - s->n_held);
    memcpy(s->held + s->n_held, bytes, n);
    s->n_held += n;
    deliver(s);
}

static void look(const ObjectType *t, void *found)
{
    if (!t->abstract && object_type_is_a(t, "vc-screen"))
        *(const VcScreenType **)found = (const VcScreenType *)t;
}

static bool vc_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    VcChardev *s = (VcChardev *)c;
    const ChardevVC *o = options->u.vc->data;
    int64_t columns = o->has_cols ? o->cols : o->has_width ? o->width / CELL_WIDTH : 0;
    int64_t rows = o->has_rows ? o->rows : o->has_height ? o->height / CELL_HEIGHT : 0;
    if (columns < 0 || rows < 0 || columns > SIDE_MAX || rows > SIDE_MAX)
        return error_set(error, "a text console has at most %d columns and rows", SIDE_MAX);
    s->columns = columns;
    s->rows = rows;
    c->filename = g_strdup("vc");
    object_type_foreach(look, &s->type);
    return true;
}

/* The label is known, and a user there, when the first front end comes. */
static void frontends_changed(Chardev *c)
{
    VcChardev *s = (VcChardev *)c;
    VcScreenConfig config = {c->object.name, s->columns, s->rows, typed, s};
    if (s->type && !s->screen && chardev_frontend_open(c)) {
        void *screen = s->type->make(c->object.vm, &config);
        g_mutex_lock(&c->lock);
        s->screen = screen;
        g_mutex_unlock(&c->lock);
    }
    char_set_open(c, true);     /* now a greeting has where to go */
}

static unsigned vc_write(Chardev *c, const uint8_t *buf, unsigned n)
{
    VcChardev *s = (VcChardev *)c;
    if (s->screen)
        s->type->write(s->screen, buf, n);
    return n;
}

static void vc_resume(Chardev *c) { deliver((VcChardev *)c); }

static void vc_close(Chardev *c)
{
    VcChardev *s = (VcChardev *)c;
    if (s->screen)
        s->type->end(s->screen);
    s->screen = NULL;
}

static const ObjectType vc_screen = {.name = "vc-screen", .size = sizeof(Object), .abstract = true};
OBJECT_TYPE(vc_screen);
static const ChardevType vc_chardev_type = {
    .name = "chardev-vc", .parent = "chardev", .size = sizeof(VcChardev), .kind = CHARDEV_BACKEND_KIND_VC,
    .open = vc_open, .write = vc_write, .resume_input = vc_resume, .close = vc_close,
    .frontends_changed = frontends_changed,
};
OBJECT_TYPE(vc_chardev_type);
