/* SPDX-License-Identifier: Apache-2.0 */
/* A debugger's session on a character device. */
#include "gdbstub/gdbstub.h"

/* Hangs in the tree, so that it ends with the machine. */
typedef struct GdbServer {
    Object object;
    CharFrontend fe;
    GdbSession *session;
} GdbServer;

static void send(void *opaque, const char *data, size_t n)
{
    char_write_all(&((GdbServer *)opaque)->fe, data, (unsigned)n);
}

static unsigned room(void *opaque) { return 4096; }

static void input(void *opaque, const uint8_t *buf, unsigned n)
{
    gdb_session_feed(((GdbServer *)opaque)->session, buf, n);
}

static void event(void *opaque, CharEvent event)
{
    GdbSession *s = ((GdbServer *)opaque)->session;
    if (event == CHAR_EVENT_OPENED)
        gdb_session_opened(s);
    else if (event == CHAR_EVENT_CLOSED)
        gdb_session_closed(s);
}

static void removing(Object *o)
{
    GdbServer *g = (GdbServer *)o;
    char_detach(&g->fe);
    g_clear_pointer(&g->session, gdb_session_free);
}

static const ObjectType server_type = {
    .name = "gdbserver", .desc = "Serves debuggers", .size = sizeof(GdbServer), .removing = removing,
};
OBJECT_TYPE(server_type);

void gdb_server_stop(Vm *vm)
{
    Object *old = object_child(vm->backends, "gdbserver");
    if (old)
        object_remove(old);
}

bool gdb_server_start(Vm *vm, Chardev *chr, GdbCommand *command, GError **error)
{
    gdb_server_stop(vm);
    GdbServer *g = (GdbServer *)object_new(vm, &server_type);
    g->session = gdb_session_new(vm, command, send, g);
    g->fe = (CharFrontend){.can_read = room, .read = input, .event = event, .opaque = g};
    object_add_child(vm->backends, "gdbserver", &g->object);
    if (char_attach(&g->fe, chr, error))
        return true;
    object_remove(&g->object);
    return false;
}
