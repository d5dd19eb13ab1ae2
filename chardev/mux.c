/* SPDX-License-Identifier: Apache-2.0 */
/* -chardev mux: several front ends on one stream; C-a chooses who gets the input. */
#include "chardev/internal.h"
#include <string.h>
#include <time.h>

enum { ESCAPE = 1, INPUT_BUFFER = 32 };

typedef struct MuxChardev {
    Chardev chr;
    CharFrontend below;         /* towards the shared chardev */
    bool escaped, timestamps, at_line_start;
    int64_t start_us;
    uint8_t held[INPUT_BUFFER]; /* input that the focused front end has no room for */
    unsigned n_held;
} MuxChardev;

static void say(MuxChardev *m, const char *text) { char_write_all(&m->below, text, strlen(text)); }

static void help(MuxChardev *m)
{
    say(m, "\r\nC-a h    print this help\r\nC-a x    exit emulator\r\n"
           "C-a t    toggle console timestamps\r\nC-a b    send break (magic sysrq)\r\n"
           "C-a c    switch between console and monitor\r\nC-a C-a  sends C-a\r\n");
}

static void switch_focus(MuxChardev *m)
{
    Chardev *c = &m->chr;
    char_event(c, CHAR_EVENT_FOCUS_OUT);
    for (unsigned i = 0; i < c->n_fe; i++) {
        c->focus = (c->focus + 1) % c->n_fe;
        if (c->fe[c->focus])
            break;
    }
    char_event(c, CHAR_EVENT_FOCUS_IN);
}

/* Returns whether the byte is to be delivered. */
static bool command(MuxChardev *m, uint8_t byte)
{
    if (!m->escaped) {
        m->escaped = byte == ESCAPE;
        return !m->escaped;
    }
    m->escaped = false;
    switch (byte) {
    case ESCAPE:
        return true;
    case 'h': case '?':
        help(m);
        break;
    case 'x':
        say(m, "Myna: Terminated\r\n");
        vm_request_shutdown(m->chr.object.vm, CAUSE_HOST_UI, 0);
        break;
    case 't':
        m->timestamps = !m->timestamps;
        m->start_us = g_get_monotonic_time();
        m->at_line_start = false;
        break;
    case 'b':
        char_event(&m->chr, CHAR_EVENT_BREAK);
        break;
    case 'c':
        switch_focus(m);
        break;
    default:
        break;
    }
    return false;
}

static void deliver_held(MuxChardev *m)
{
    while (m->n_held) {
        unsigned room = MIN(char_room(&m->chr), m->n_held);
        if (!room)
            return;
        char_input(&m->chr, m->held, room);
        memmove(m->held, m->held + room, m->n_held - room);
        m->n_held -= room;
    }
}

static unsigned below_can_read(void *opaque) { return INPUT_BUFFER - ((MuxChardev *)opaque)->n_held; }

static void below_read(void *opaque, const uint8_t *buf, unsigned n)
{
    MuxChardev *m = opaque;
    for (unsigned i = 0; i < n; i++) {
        if (!command(m, buf[i]))
            continue;
        m->held[m->n_held++] = buf[i];
        deliver_held(m);
    }
}

static void below_event(void *opaque, CharEvent event)
{
    MuxChardev *m = opaque;
    if (event == CHAR_EVENT_OPENED || event == CHAR_EVENT_CLOSED)
        char_set_open(&m->chr, event == CHAR_EVENT_OPENED);
    else if (event == CHAR_EVENT_WRITABLE)
        char_writable(&m->chr);
    else
        char_event(&m->chr, event);
}

static bool mux_open(Chardev *c, const ChardevBackend *options, GError **error)
{
    MuxChardev *m = (MuxChardev *)c;
    const char *id = options->u.mux->data->chardev;
    Chardev *below = chardev_find(c->object.vm, id);
    if (!below)
        return error_set(error, "there is no chardev '%s' to share", id);
    m->below = (CharFrontend){.can_read = below_can_read, .read = below_read, .event = below_event,
                              .opaque = m};
    c->filename = g_strdup("mux");
    return char_attach(&m->below, below, error);
}

/* With timestamps each line begins with the time since they were turned on. */
static unsigned mux_write(Chardev *c, const uint8_t *buf, unsigned n)
{
    MuxChardev *m = (MuxChardev *)c;
    if (!m->timestamps)
        return char_write(&m->below, buf, n);
    for (unsigned i = 0; i < n; i++) {
        if (m->at_line_start) {
            int64_t ms = (g_get_monotonic_time() - m->start_us) / 1000;
            g_autofree char *stamp = g_strdup_printf("[%02d:%02d:%02d.%03d] ",
                (int)(ms / 3600000), (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
            say(m, stamp);
        }
        m->at_line_start = buf[i] == '\n';
        char_write_all(&m->below, buf + i, 1);
    }
    return n;
}

static void mux_resume(Chardev *c)
{
    MuxChardev *m = (MuxChardev *)c;
    deliver_held(m);
    char_accept_input(&m->below);
}

static void mux_close(Chardev *c) { char_detach(&((MuxChardev *)c)->below); }

static const ChardevType mux_chardev_type = {
    .name = "chardev-mux", .parent = "chardev", .size = sizeof(MuxChardev),
    .kind = CHARDEV_BACKEND_KIND_MUX, .max_frontends = CHAR_MAX_FRONTENDS, .open = mux_open,
    .write = mux_write, .resume_input = mux_resume, .close = mux_close,
};
OBJECT_TYPE(mux_chardev_type);
