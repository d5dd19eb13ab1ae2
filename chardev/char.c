/* SPDX-License-Identifier: Apache-2.0 */
/* Character devices: between front ends and back ends. */
#include "chardev/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "util/fdstore.h"

static const ChardevType *type_of(const Chardev *c) { return (const ChardevType *)c->object.type; }

/* ---- output ---- */

static void log_output(Chardev *c, const void *buf, unsigned n)
{
    if (c->log_fd >= 0 && n && write(c->log_fd, buf, n) < 0)
        c->log_fd = -1;         /* a full disk must not stop the guest */
}

static unsigned write_now(Chardev *c, const uint8_t *buf, unsigned n)
{
    unsigned done = type_of(c)->write ? type_of(c)->write(c, buf, n) : n;
    log_output(c, buf, done);
    return done;
}

static bool send_backlog(Chardev *c)
{
    if (c->backlog->len) {
        unsigned done = write_now(c, c->backlog->data, c->backlog->len);
        g_byte_array_remove_range(c->backlog, 0, done);
    }
    return c->backlog->len == 0;
}

unsigned char_write(CharFrontend *fe, const void *buf, unsigned n)
{
    Chardev *c = fe->chr;
    if (!c)
        return n;
    g_mutex_lock(&c->lock);
    unsigned done = send_backlog(c) ? write_now(c, buf, n) : 0;
    if (done < n)
        c->wants_writable = true;
    g_mutex_unlock(&c->lock);
    return done;
}

void char_write_all(CharFrontend *fe, const void *buf, unsigned n)
{
    Chardev *c = fe->chr;
    if (!c)
        return;
    g_mutex_lock(&c->lock);
    unsigned done = send_backlog(c) ? write_now(c, buf, n) : 0;
    g_byte_array_append(c->backlog, (const uint8_t *)buf + done, n - done);
    g_mutex_unlock(&c->lock);
}

static void tell(CharFrontend *fe, CharEvent event)
{
    if (!fe->event)
        return;
    if (fe->dev)
        device_lock(fe->dev);
    fe->event(fe->opaque, event);
    if (fe->dev)
        device_unlock(fe->dev);
}

void char_event(Chardev *c, CharEvent event)
{
    for (unsigned i = 0; i < c->n_fe; i++)
        if (c->fe[i] && (event == CHAR_EVENT_WRITABLE || event == CHAR_EVENT_OPENED ||
                         event == CHAR_EVENT_CLOSED || i == c->focus))
            tell(c->fe[i], event);
}

void char_writable(Chardev *c)
{
    g_mutex_lock(&c->lock);
    bool notify = send_backlog(c) && c->wants_writable;
    if (notify)
        c->wants_writable = false;
    g_mutex_unlock(&c->lock);
    if (notify)
        char_event(c, CHAR_EVENT_WRITABLE);
}

void char_set_open(Chardev *c, bool open)
{
    if (c->open == open)
        return;
    c->open = open;
    if (!open) {
        g_mutex_lock(&c->lock);
        g_byte_array_set_size(c->backlog, 0);
        g_mutex_unlock(&c->lock);
    }
    char_event(c, open ? CHAR_EVENT_OPENED : CHAR_EVENT_CLOSED);
    if (!open)
        char_writable(c);       /* nobody listens: writers go on */
}

/* ---- input ---- */

static CharFrontend *focused(Chardev *c) { return c->focus < c->n_fe ? c->fe[c->focus] : NULL; }

unsigned char_room(Chardev *c)
{
    CharFrontend *fe = focused(c);
    unsigned room = 0;
    g_atomic_int_set(&c->input_blocked, 1);
    if (fe && fe->can_read) {
        if (fe->dev)
            device_lock(fe->dev);
        room = fe->can_read(fe->opaque);
        if (fe->dev)
            device_unlock(fe->dev);
    }
    if (room)
        g_atomic_int_set(&c->input_blocked, 0);
    return room;
}

void char_input(Chardev *c, const uint8_t *buf, unsigned n)
{
    CharFrontend *fe = focused(c);
    if (!fe || !fe->read)
        return;
    if (fe->dev)
        device_lock(fe->dev);
    fe->read(fe->opaque, buf, n);
    if (fe->dev)
        device_unlock(fe->dev);
}

static void resume_input(void *data)
{
    Chardev *c = data;
    if (type_of(c)->resume_input)
        type_of(c)->resume_input(c);
    object_unref(&c->object);
}

void char_accept_input(CharFrontend *fe)
{
    Chardev *c = fe->chr;
    if (!c || !g_atomic_int_compare_and_exchange(&c->input_blocked, 1, 0))
        return;
    object_ref(&c->object);
    loop_post(c->loop, resume_input, c);
}

/* ---- front ends ---- */

bool char_attach(CharFrontend *fe, Chardev *c, GError **error)
{
    fe->chr = c;
    if (!c)
        return true;
    unsigned max = type_of(c)->max_frontends ? type_of(c)->max_frontends : 1, slot = 0;
    while (slot < c->n_fe && c->fe[slot])
        slot++;
    if (slot >= max) {
        fe->chr = NULL;
        return error_set(error, "chardev '%s' is in use already", c->object.name);
    }
    c->fe[slot] = fe;
    c->n_fe = MAX(c->n_fe, slot + 1);
    if (max > 1)
        c->focus = slot;
    if (c->open)
        tell(fe, CHAR_EVENT_OPENED);
    if (type_of(c)->frontends_changed)
        type_of(c)->frontends_changed(c);
    char_accept_input(fe);
    return true;
}

void char_detach(CharFrontend *fe)
{
    Chardev *c = fe->chr;
    if (!c)
        return;
    for (unsigned i = 0; i < c->n_fe; i++)
        if (c->fe[i] == fe)
            c->fe[i] = NULL;
    fe->chr = NULL;
    if (type_of(c)->frontends_changed)
        type_of(c)->frontends_changed(c);
}

bool char_is_open(CharFrontend *fe) { return fe->chr && fe->chr->open; }

int char_socket(CharFrontend *fe)
{
    return fe->chr && type_of(fe->chr)->socket ? type_of(fe->chr)->socket(fe->chr) : -1;
}

unsigned char_take_fds(CharFrontend *fe, int *fds, unsigned max)
{
    return fe->chr && type_of(fe->chr)->take_fds ? type_of(fe->chr)->take_fds(fe->chr, fds, max) : 0;
}

bool chardev_frontend_open(const Chardev *c)
{
    for (unsigned i = 0; i < c->n_fe; i++)
        if (c->fe[i])
            return true;
    return false;
}

const char *chardev_filename(const Chardev *c) { return c->filename; }
const char *chardev_pty(const Chardev *c) { return c->pty_name; }

/* ---- making and deleting ---- */

static void init(Object *o)
{
    Chardev *c = (Chardev *)o;
    g_mutex_init(&c->lock);
    c->backlog = g_byte_array_new();
    c->log_fd = -1;
    c->input_blocked = 1;
}

static void finish(Object *o)
{
    Chardev *c = (Chardev *)o;
    if (type_of(c)->close)
        type_of(c)->close(c);
    for (unsigned i = 0; i < c->n_fe; i++)
        if (c->fe[i])
            c->fe[i]->chr = NULL;
    if (c->log_fd >= 0)
        close(c->log_fd);
    g_byte_array_unref(c->backlog);
    g_mutex_clear(&c->lock);
    g_free(c->filename);
    g_free(c->pty_name);
}

/* ---- where it lives ---- */

static void take_off(void *data) { type_of(data)->watch(data, false); }
static void put_on(void *data) { type_of(data)->watch(data, true); }

bool chardev_move(Chardev *c, Loop *loop)
{
    if (c->loop == loop)
        return true;
    if (!type_of(c)->watch)
        return false;
    loop_call(c->loop, take_off, c);    /* after all that was posted there */
    c->loop = loop;
    loop_call(loop, put_on, c);
    return true;
}

Loop *chardev_loop(const Chardev *c) { return c->loop; }

static void removing(Object *o) { chardev_move((Chardev *)o, o->vm->loop); }

static const ObjectType chardev = {
    .name = "chardev", .size = sizeof(Chardev), .abstract = true, .init = init, .finish = finish,
    .removing = removing,
};
OBJECT_TYPE(chardev);

/* All options begin with the common ones, whatever the kind. */
static const ChardevCommon *common(const ChardevBackend *o)
{
    switch (o->type) {
    case CHARDEV_BACKEND_KIND_FILE: return (const ChardevCommon *)o->u.file->data;
    case CHARDEV_BACKEND_KIND_PIPE: return (const ChardevCommon *)o->u.pipe->data;
    case CHARDEV_BACKEND_KIND_SOCKET: return (const ChardevCommon *)o->u.socket->data;
    case CHARDEV_BACKEND_KIND_UDP: return (const ChardevCommon *)o->u.udp->data;
    case CHARDEV_BACKEND_KIND_PTY: return (const ChardevCommon *)o->u.pty->data;
    case CHARDEV_BACKEND_KIND_MUX: return (const ChardevCommon *)o->u.mux->data;
    case CHARDEV_BACKEND_KIND_STDIO: return (const ChardevCommon *)o->u.stdio->data;
    case CHARDEV_BACKEND_KIND_VC: return (const ChardevCommon *)o->u.vc->data;
    case CHARDEV_BACKEND_KIND_RINGBUF:
    case CHARDEV_BACKEND_KIND_MEMORY: return (const ChardevCommon *)o->u.ringbuf->data;
    default: return o->u.null->data;
    }
}

static bool open_log(Chardev *c, const ChardevCommon *o, GError **error)
{
    if (!o->logfile)
        return true;
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (o->logappend ? O_APPEND : O_TRUNC);
    c->log_fd = fd_store_open(c->object.vm->fds, o->logfile, flags, 0666, error);
    return c->log_fd >= 0;
}

typedef struct Search {
    ChardevBackendKind kind;
    const ObjectType *found;
} Search;

static void match_kind(const ObjectType *t, void *data)
{
    Search *s = data;
    if (!t->abstract && !g_strcmp0(t->parent, "chardev") && ((const ChardevType *)t)->kind == s->kind)
        s->found = t;
}

Chardev *chardev_find(Vm *vm, const char *id) { return vm_service_find(vm, "chardev", id); }

/* Opens a back end that stands nowhere yet. */
static Chardev *open_backend(Vm *vm, const char *id, const ChardevBackend *options, GError **error)
{
    Search s = {.kind = options->type == CHARDEV_BACKEND_KIND_MEMORY ? CHARDEV_BACKEND_KIND_RINGBUF
                                                                     : options->type};
    object_type_foreach(match_kind, &s);
    if (!s.found) {
        error_set(error, "chardev '%s': this build has no such back end", id);
        return NULL;
    }
    Chardev *c = (Chardev *)object_new(vm, s.found);
    c->loop = vm->loop;
    if (!open_log(c, common(options), error) || !type_of(c)->open(c, options, error)) {
        g_prefix_error(error, "chardev '%s': ", id);
        object_unref(&c->object);
        return NULL;
    }
    return c;
}

static Chardev *enlist(Vm *vm, const char *id, Chardev *c)
{
    object_add_child(vm->chardevs, id, &c->object);
    vm_service_add(vm, "chardev", id, c);
    return c;
}

Chardev *chardev_new(Vm *vm, const char *id, const ChardevBackend *options, GError **error)
{
    if (chardev_find(vm, id)) {
        error_set(error, "there is a chardev '%s' already", id);
        return NULL;
    }
    Chardev *c = open_backend(vm, id, options, error);
    return c ? enlist(vm, id, c) : NULL;
}

/* Moves a user over; one that is a device may be writing from a vCPU's thread. */
static void move_frontend(CharFrontend *fe, Chardev *to)
{
    Device *d = fe->dev;
    if (d)
        device_lock(d);
    fe->chr = to;
    if (d)
        device_unlock(d);
}

Chardev *chardev_change(Vm *vm, const char *id, const ChardevBackend *options, GError **error)
{
    Chardev *old = chardev_find(vm, id), *c;
    if (!old) {
        error_set(error, "there is no chardev '%s'", id);
        return NULL;
    }
    if (type_of(old)->max_frontends > 1 || options->type == CHARDEV_BACKEND_KIND_MUX) {
        error_set(error, "chardev '%s': what several users share cannot be changed", id);
        return NULL;
    }
    if (old->loop != vm->loop) {
        error_set(error, "chardev '%s': a monitor on a thread of its own cannot be changed", id);
        return NULL;
    }
    if (!(c = open_backend(vm, id, options, error)))
        return NULL;
    CharFrontend *fe = old->n_fe ? old->fe[0] : NULL;
    if (fe) {
        old->fe[0] = NULL;
        c->fe[0] = fe;
        c->n_fe = 1;
        move_frontend(fe, c);
        if (old->open && !c->open)
            tell(fe, CHAR_EVENT_CLOSED);
        else if (c->open && !old->open)
            tell(fe, CHAR_EVENT_OPENED);
        if (type_of(c)->frontends_changed)
            type_of(c)->frontends_changed(c);
    }
    vm_service_remove(vm, "chardev", id);
    object_remove(&old->object);
    enlist(vm, id, c);
    if (fe)
        char_accept_input(fe);
    return c;
}

const char *chardev_id(const Chardev *c) { return c->object.name; }

bool chardev_delete(Vm *vm, const char *id, GError **error)
{
    Chardev *c = chardev_find(vm, id);
    if (!c)
        return error_set(error, "there is no chardev '%s'", id);
    if (chardev_frontend_open(c))
        return error_set(error, "chardev '%s' is in use", id);
    vm_service_remove(vm, "chardev", id);
    object_remove(&c->object);
    return true;
}
