/* SPDX-License-Identifier: Apache-2.0 */
/* -vnc: options, listening, clients' lives. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audio/audio.h"
#include "chardev/address.h"
#include "core/backend.h"
#include "qapi/keyval.h"
#include "ui/vnc/internal.h"
#include "util/error.h"
#include "util/log.h"

enum { FIRST_PORT = 5900, FIRST_WEBSOCKET = 5700, CLIENTS_DEFAULT = 32 };

typedef struct Listening {
    VncServer *server;
    int fd;
    LoopFd *watch;
    bool websocket;
} Listening;

static const char servers_key;

/* ---- clients ---- */

static void client_free(gpointer data)
{
    VncClient *c = data;

    vnc_client_release_keys(c);
    vnc_stream_free(c->stream);
    vnc_deflate_end(&c->zrle);
    for (unsigned i = 0; i < G_N_ELEMENTS(c->tight); i++) {
        vnc_deflate_end(&c->tight[i]);
    }
    vnc_client_info_free(c->info);
    vnc_server_info_free(c->server_info);
    g_free(c->dirty);
    g_free(c);
}

static void client_remove(void *data)
{
    VncClient *c = data;
    VncServer *s = c->server;

    vnc_tell_disconnected(c);
    g_ptr_array_remove(s->clients, c);
    vnc_server_look(s);
}

static void closed(void *opaque)
{
    VncClient *c = opaque;

    c->gone = true;
    loop_post(c->server->vm->loop, client_remove, c);
}

void vnc_client_end(VncClient *c, const char *why)
{
    if (!c->gone) {
        trace(vnc_end, "%s:%s: %s", c->info->host, c->info->service, why);
        c->gone = true;
        vnc_stream_end(c->stream);
    }
}

static void received(void *opaque)
{
    VncClient *c = opaque;
    GByteArray *in = c->stream->in;
    size_t done = 0, taken = 1;

    while (!c->gone && taken && done < in->len) {
        taken = c->next(c, in->data + done, in->len - done);
        done += taken;
    }
    g_byte_array_remove_range(in, 0, MIN(done, in->len));
    if (!c->gone && in->len > VNC_INPUT_MAX) {
        vnc_client_end(c, "a message without end");
    }
    vnc_stream_flush(c->stream);
}

static void drained(void *opaque)
{
    vnc_update(opaque);
}

static void secured(void *opaque)
{
    VncClient *c = opaque;

    c->secured(c);
}

static const VncStreamOps stream_ops = {received, drained, secured, closed};

/* WebSocket clients bring TLS of their own (wss). */
static void start_websocket(VncClient *c, Wire *wire)
{
    VncServer *s = c->server;
    g_autoptr(GError) error = NULL;

    c->secured = vnc_handshake_start;
    if (s->tls_creds && !wire_start_tls(wire, s->tls_creds, NULL, s->tls_authz, &error)) {
        vnc_client_end(c, error->message);
        return;
    }
    wire_start_websocket(wire);
    vnc_stream_shake(c->stream);
}

void vnc_client_new(VncServer *s, int fd, bool websocket)
{
    VncClient *c = g_new0(VncClient, 1);
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    *c = (VncClient){.server = s, .websocket = websocket, .compression = 2,
                     .info = g_new0(VncClientInfo, 1), .server_info = g_new0(VncServerInfo, 1)};
    c->info->websocket = c->server_info->websocket = websocket;
    c->server_info->auth = g_strdup(vnc_auth_name(s));
    vnc_name_peer(fd, true, &c->info->host, &c->info->service, &c->info->family);
    vnc_name_peer(fd, false, &c->server_info->host, &c->server_info->service,
                  &c->server_info->family);
    Wire *wire = wire_new(fd);
    c->stream = vnc_stream_new(s->vm->loop, wire, &stream_ops, c);
    g_ptr_array_add(s->clients, c);
    vnc_tell_connected(c);
    if (websocket) {
        start_websocket(c, wire);
    } else {
        vnc_handshake_start(c);
    }
}

static void accept_client(int fd, GIOCondition ready, void *data)
{
    Listening *l = data;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    if (client >= 0 && l->server->clients->len >= l->server->most_clients) {
        close(client);
    } else if (client >= 0) {
        vnc_client_new(l->server, client, l->websocket);
    }
}

/* ---- the console ---- */

Console *vnc_console(VncServer *s)
{
    return s->listener.console ? s->listener.console
           : s->chosen && console_at(s->vm, s->chosen - 1) ? console_at(s->vm, s->chosen - 1)
                                                            : console_find(s->vm, s->device, s->head, NULL);
}

const char *vnc_console_id(VncServer *s)
{
    Console *c = vnc_console(s);

    return c && console_device(c) ? console_device(c)->id : NULL;
}

static VncServer *of(ConsoleListener *l)
{
    return (VncServer *)((char *)l - offsetof(VncServer, listener));
}

static void resized(ConsoleListener *l, Surface *surface)
{
    vnc_server_resized(of(l));
}

static void updated(ConsoleListener *l, unsigned x, unsigned y, unsigned width, unsigned height)
{
    vnc_dirty_mark(of(l), x, y, width, height);
}

static void cursor_changed(ConsoleListener *l, const Cursor *cursor)
{
    VncServer *s = of(l);

    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *c = g_ptr_array_index(s->clients, i);
        c->cursor_changed = true;
        vnc_update(c);
    }
}

static void console_gone(ConsoleListener *l)
{
    VncServer *s = of(l);

    s->looking = false;
    vnc_server_resized(s);
}

void vnc_server_look(VncServer *s)
{
    bool wanted = false;

    for (unsigned i = 0; i < s->clients->len; i++) {
        wanted |= ((VncClient *)g_ptr_array_index(s->clients, i))->initialized;
    }
    Console *console = vnc_console(s);
    if (wanted && !s->looking && console) {
        s->looking = true;
        console_listen(console, &s->listener);
    } else if (!wanted && s->looking) {
        s->looking = false;
        console_unlisten(&s->listener);
        vnc_server_resized(s);
    }
}

void vnc_switch(VncServer *s, unsigned index)
{
    if (!console_at(s->vm, index)) {
        return;
    }
    if (s->looking) {
        console_unlisten(&s->listener);
    }
    s->looking = false;
    s->chosen = index + 1;
    vnc_server_look(s);
}

/* ---- life ---- */

static void listening_free(gpointer data)
{
    Listening *l = data;

    loop_fd_free(l->watch);
    close(l->fd);
    g_free(l);
}

static void server_free(gpointer data)
{
    VncServer *s = data;

    g_ptr_array_unref(s->listening);
    if (s->looking) {
        console_unlisten(&s->listener);
    }
    s->looking = false;
    if (s->timer) {
        loop_cancel(s->vm->loop, s->timer);
    }
    g_ptr_array_unref(s->clients);
    surface_free(s->shadow);
    keysyms_free(s->keysyms);
    g_free(s->marked);
    g_free(s->id);
    g_free(s->device);
    g_free(s->password);
    g_free(s->tls_authz);
    if (s->tls_creds) {
        object_unref(s->tls_creds);
    }
    g_free(s);
}

static void *servers_make(Vm *vm)
{
    return g_ptr_array_new_with_free_func(server_free);
}

GPtrArray *vnc_servers(Vm *vm)
{
    return vm_data(vm, &servers_key, servers_make, (GDestroyNotify)g_ptr_array_unref);
}

/* ---- options ---- */

static bool listen_on(VncServer *s, const SocketAddress *address, bool websocket, GError **error)
{
    int fd = address_listen(address, error);

    if (fd < 0) {
        return false;
    }
    Listening *l = g_new(Listening, 1);
    *l = (Listening){s, fd, NULL, websocket};
    l->watch = loop_add_fd(s->vm->loop, fd, G_IO_IN, accept_client, l);
    g_ptr_array_add(s->listening, l);
    return true;
}

static SocketAddress *inet_address(const char *host, const char *port, unsigned base, unsigned to,
                                   GError **error)
{
    char *end;
    unsigned long number = strtoul(port, &end, 10);

    if (!*port || *end || number + base > 65535 || to + base > 65535) {
        error_set(error, "'%s' is no display number from 0 to %u", port, 65535 - base);
        return NULL;
    }
    InetSocketAddress *inet = g_new0(InetSocketAddress, 1);
    inet->host = g_strndup(host, strlen(host));
    inet->port = g_strdup_printf("%lu", number + base);
    inet->has_to = to != 0;
    inet->to = to + base;
    SocketAddress *a = g_new0(SocketAddress, 1);
    a->type = SOCKET_ADDRESS_TYPE_INET;
    a->u.inet = inet;
    return a;
}

static SocketAddress *unix_address(const char *path)
{
    SocketAddress *a = g_new0(SocketAddress, 1);

    a->type = SOCKET_ADDRESS_TYPE_UNIX;
    a->u.unix_ = g_new0(UnixSocketAddress, 1);
    a->u.unix_->path = g_strdup(path);
    return a;
}

/* "host:display", "[::1]:display", ":display" */
static bool listen_main(VncServer *s, const char *where, const Json *o, GError **error)
{
    const char *to = json_get_text(o, "to"), *colon = strrchr(where, ':');
    g_autoptr(SocketAddress) a = NULL;

    if (g_str_has_prefix(where, "unix:")) {
        a = unix_address(where + 5);
    } else if (!colon) {
        return error_set(error, "'%s': expected HOST:DISPLAY, unix:PATH or none", where);
    } else {
        bool brackets = where[0] == '[' && colon > where && colon[-1] == ']';
        g_autofree char *host = brackets ? g_strndup(where + 1, colon - where - 2)
                                         : g_strndup(where, colon - where);
        a = inet_address(host, colon + 1, FIRST_PORT, to ? strtoul(to, NULL, 10) : 0, error);
    }
    return a && listen_on(s, a, false, error);
}

/* websocket=on: the display's number above 5700; =PORT or =HOST:PORT. */
static bool listen_websocket(VncServer *s, const char *where, const char *text, GError **error)
{
    const char *colon = strrchr(where, ':');
    g_autoptr(SocketAddress) a = NULL;

    if (!text || strcmp(text, "off") == 0) {
        return true;
    }
    if (g_str_has_prefix(where, "unix:")) {
        return error_set(error, "websocket= goes with a display on a network address");
    }
    const char *own = strrchr(text, ':');
    g_autofree char *host = own ? g_strndup(text, own - text) : g_strndup(where, colon - where);
    if (strcmp(text, "on") == 0) {
        a = inet_address(host, colon + 1, FIRST_WEBSOCKET, 0, error);
    } else {
        a = inet_address(host, own ? own + 1 : text, 0, 0, error);
    }
    return a && listen_on(s, a, true, error);
}

static bool read_switch(const Json *o, const char *key, bool *value, GError **error)
{
    const char *text = json_get_text(o, key);

    *value = text && strcmp(text, "on") == 0;
    return !text || *value || strcmp(text, "off") == 0 ||
           error_set(error, "%s=%s: expected on or off", key, text);
}

static bool read_tls(VncServer *s, const Json *o, GError **error)
{
    const char *creds = json_get_text(o, "tls-creds");

    s->tls_authz = g_strdup(json_get_text(o, "tls-authz"));
    if (!creds) {
        return !s->tls_authz || error_set(error, "tls-authz= goes with tls-creds=");
    }
    s->tls_creds = tls_creds_find(s->vm, creds, true, error);
    if (s->tls_creds) {
        object_ref(s->tls_creds);
    }
    return s->tls_creds != NULL;
}

static bool read_options(VncServer *s, const Json *o, GError **error)
{
    static const char *const absent[] = {"reverse", "sasl", "sasl-authz", "lossy", "power-control"};
    const char *secret = json_get_text(o, "password-secret"), *share = json_get_text(o, "share");
    const char *audio = json_get_text(o, "audiodev"), *most = json_get_text(o, "connections"), *head = json_get_text(o, "head");

    for (unsigned i = 0; i < G_N_ELEMENTS(absent); i++) {
        const char *text = json_get_text(o, absent[i]);
        if (text && strcmp(text, "off") != 0) {
            return error_set(error, "%s=%s: the VNC server does not have this yet", absent[i], text);
        }
    }
    /* Its sound would be sent along; what there is plays to nobody, so there is none to send. */
    if (audio && !audiodev_find(s->vm, audio)) {
        return error_set(error, "audiodev=%s: there is no such audio back end (-audiodev)", audio);
    }
    if (!read_switch(o, "password", &s->password_on, error) || !read_tls(s, o, error)) {
        return false;
    }
    if (secret) {
        s->password = secret_get(s->vm, secret, NULL, error);
        s->password_on = true;
        if (!s->password) {
            return false;
        }
    }
    if (share && !vnc_share_parse(share, &s->share)) {
        return error_set(error, "share=%s: expected allow-exclusive, force-shared or ignore", share);
    }
    s->most_clients = most ? strtoul(most, NULL, 10) : CLIENTS_DEFAULT;
    s->head = head ? strtoul(head, NULL, 10) : 0;
    s->device = g_strdup(json_get_text(o, "display"));
    return true;
}

static bool known_options(const Json *o, GError **error)
{
    static const char *const names[] = {
        "vnc", "id", "to", "reverse", "websocket", "password", "password-secret", "tls-creds",
        "tls-authz", "sasl", "sasl-authz", "lossy", "non-adaptive", "share", "display", "head",
        "connections", "key-delay-ms", "power-control", "audiodev",
    };

    for (size_t i = 0; i < json_length(o); i++) {
        const char *name = json_key_at(o, i);
        unsigned k = 0;
        while (k < G_N_ELEMENTS(names) && strcmp(names[k], name) != 0) {
            k++;
        }
        if (k == G_N_ELEMENTS(names)) {
            return error_set(error, "Invalid parameter '%s'", name);
        }
    }
    return true;
}

bool vnc_add(Vm *vm, const char *text, const char *layout, GError **error)
{
    g_autoptr(Json) o = keyval_parse(text, "vnc", KEYVAL_LEGACY, error);
    const char *where = o ? json_get_text(o, "vnc") : NULL, *id = o ? json_get_text(o, "id") : NULL;

    if (!o || !known_options(o, error)) {
        return false;
    }
    if (!where || strcmp(where, "none") == 0) {
        return where || error_set(error, "expected HOST:DISPLAY, unix:PATH or none");
    }
    VncServer *s = g_new0(VncServer, 1);
    /* No .cursor_at: a client draws the pointer where its own is. */
    *s = (VncServer){.listener = {.resized = resized, .updated = updated, .cursor = cursor_changed,
                                  .gone = console_gone},
                     .vm = vm, .id = g_strdup(id ? id : "default"),
                     .listening = g_ptr_array_new_with_free_func(listening_free),
                     .clients = g_ptr_array_new_with_free_func(client_free)};
    s->keysyms = keysyms_new(layout, error);
    if (!s->keysyms || !read_options(s, o, error) || !listen_main(s, where, o, error) ||
        !listen_websocket(s, where, json_get_text(o, "websocket"), error)) {
        server_free(s);
        return false;
    }
    g_ptr_array_add(vnc_servers(vm), s);
    return true;
}

/* For query.c: where the server listens. */
unsigned vnc_server_sockets(const VncServer *s, int *fds, bool *websockets, unsigned most)
{
    unsigned n = MIN(s->listening->len, most);

    for (unsigned i = 0; i < n; i++) {
        Listening *l = g_ptr_array_index(s->listening, i);
        fds[i] = l->fd;
        websockets[i] = l->websocket;
    }
    return n;
}
