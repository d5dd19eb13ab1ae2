/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line's ways to name a chardev. -serial's short forms are rewritten to -chardev's flat
 * form, text to text; the flat form is folded into the schema's nested one.
 */
#include <stdio.h>
#include <string.h>
#include "chardev/internal.h"
#include "core/absent.h"
#include "qapi/keyval.h"
#include "qapi/type.h"

/* ---- short forms to flat ---- */

/* "host:port,opt,…" → "host=host,port=port,opt,…"; IPv6 hosts stand in brackets. */
static char *host_port(const char *text, const char *host_key, const char *port_key)
{
    const char *comma = strchrnul(text, ',');
    g_autofree char *address = g_strndup(text, comma - text);
    char *host = address, *colon = strrchr(address, ':');
    if (!colon)
        return g_strdup_printf("%s=,%s=%s%s", host_key, port_key, address, comma);
    *colon = 0;
    if (host[0] == '[' && colon[-1] == ']') {
        colon[-1] = 0;
        host++;
    }
    return g_strdup_printf("%s=%s,%s=%s%s", host_key, host, port_key, colon + 1, comma);
}

/* "remote[@local]" of udp: */
static char *udp_addresses(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "@", 2);
    g_autofree char *remote = host_port(parts[0], "host", "port");
    g_autofree char *local = parts[1] ? host_port(parts[1], "localaddr", "localport") : NULL;
    return g_strdup_printf("udp,%s%s%s", remote, local ? "," : "", local ? local : "");
}

static const struct { const char *prefix, *flat; } rewrites[] = {
    {"unix:fd=", "socket,fd="}, {"unix:path=", "socket,path="}, {"unix:", "socket,path="},
    {"file:", "file,path="}, {"pipe:", "pipe,path="},
    {"COM", "serial,path=COM"}, {"/dev/", "serial,path=/dev/"},
};

static char *to_flat(const char *text)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rewrites); i++)
        if (g_str_has_prefix(text, rewrites[i].prefix))
            return g_strconcat(rewrites[i].flat, text + strlen(rewrites[i].prefix), NULL);
    if (g_str_has_prefix(text, "tcp:")) {
        g_autofree char *rest = host_port(text + 4, "host", "port");
        return g_strconcat("socket,", rest, NULL);
    }
    if (g_str_has_prefix(text, "telnet:")) {
        g_autofree char *rest = host_port(text + 7, "host", "port");
        return g_strconcat("socket,telnet=on,", rest, NULL);
    }
    if (g_str_has_prefix(text, "udp:"))
        return udp_addresses(text + 4);
    return g_strdup(text);
}

/* "vc", "vc:800x600" in pixels, "vc:80Cx24C" in characters */
static char *vc_size(const char *text)
{
    unsigned width, height;
    char c = 0;
    if (sscanf(text, "vc:%uCx%u%c", &width, &height, &c) == 3 && c == 'C')
        return g_strdup_printf("vc,cols=%u,rows=%u", width, height);
    if (sscanf(text, "vc:%ux%u", &width, &height) == 2)
        return g_strdup_printf("vc,width=%u,height=%u", width, height);
    return g_strdup(text);
}

/* On the command line streams connect out unless "server" is said; in QMP it is the other way. */
static void default_client(Json *flat)
{
    if (!g_strcmp0(json_get_text(flat, "backend"), "socket") && !json_get(flat, "server"))
        json_set_text(flat, "server", "off");
}

/* ---- flat to nested ---- */

static void move(Json *from, const char *key, Json *to, const char *new_key)
{
    Json *v = json_get(from, key);
    if (!v)
        return;
    json_set(to, new_key, json_ref(v));
    json_remove(from, key);
}

static Json *wrap(const char *type, Json *data)
{
    Json *o = json_object();
    json_set_text(o, "type", type);
    json_set(o, "data", data);
    return o;
}

/* Takes the address members out of `flat`. */
static Json *fold_address(Json *flat, const char *host, const char *port)
{
    Json *data = json_object();
    if (json_get(flat, "path")) {
        for (const char *const *k = (const char *const[]){"path", "abstract", "tight", NULL}; *k; k++)
            move(flat, *k, data, *k);
        return wrap("unix", data);
    }
    if (json_get(flat, "fd")) {
        move(flat, "fd", data, "str");
        return wrap("fd", data);
    }
    move(flat, host, data, "host");
    move(flat, port, data, "port");
    if (!json_get(data, "host"))
        json_set_text(data, "host", "");
    for (const char *const *k = (const char *const[]){"to", "ipv4", "ipv6", "keep-alive", NULL}; *k; k++)
        move(flat, *k, data, *k);
    return wrap("inet", data);
}

static void fold(Json *flat, const char *backend)
{
    if (!strcmp(backend, "socket")) {
        json_set(flat, "addr", fold_address(flat, "host", "port"));
        move(flat, "delay", flat, "nodelay");
    } else if (!strcmp(backend, "udp")) {
        if (json_get(flat, "localport"))
            json_set(flat, "local", fold_address(flat, "localaddr", "localport"));
        json_set(flat, "remote", fold_address(flat, "host", "port"));
    } else if (!strcmp(backend, "file")) {
        move(flat, "path", flat, "out");
        move(flat, "input-path", flat, "in");
    } else if (!strcmp(backend, "pipe")) {
        move(flat, "path", flat, "device");
    }
}

static ChardevBackend *parse_flat(const char *text, char **id, bool *mux, GError **error)
{
    g_autoptr(Json) flat = keyval_parse(text, "backend", KEYVAL_PLAIN, error);
    if (!flat)
        return NULL;
    g_autofree char *backend = g_strdup(json_get_text(flat, "backend"));
    if (!backend) {
        error_set(error, "-chardev %s: the kind of back end is missing (try -chardev help)", text);
        return NULL;
    }
    if (absent_error(error, ABSENT_CHARDEV, backend))
        return NULL;
    default_client(flat);
    if (id)
        *id = g_strdup(json_get_text(flat, "id"));
    const char *m = json_get_text(flat, "mux");
    *mux = m && (!strcmp(m, "on") || !strcmp(m, "yes"));
    for (const char *const *k = (const char *const[]){"backend", "id", "mux", NULL}; *k; k++)
        json_remove(flat, *k);
    fold(flat, backend);
    g_autoptr(Json) nested = json_object();
    json_set_text(nested, "type", backend);
    json_set(nested, "data", json_ref(flat));
    return qapi_from_json(&chardev_backend_type, nested, QAPI_KEYVAL, error);
}

/* ---- making ---- */

static Chardev *share(Vm *vm, const char *id, const char *below, GError **error)
{
    ChardevMux o = {.chardev = (char *)below};
    ChardevMuxWrapper w = {.data = &o};
    ChardevBackend b = {.type = CHARDEV_BACKEND_KIND_MUX, .u.mux = &w};
    return chardev_new(vm, id, &b, error);
}

/* With mux the real device hides behind the name "<id>-base". */
static Chardev *make(Vm *vm, const char *id, const ChardevBackend *b, bool mux, GError **error)
{
    if (!mux)
        return chardev_new(vm, id, b, error);
    g_autofree char *base = g_strconcat(id, "-base", NULL);
    return chardev_new(vm, base, b, error) ? share(vm, id, base, error) : NULL;
}

Chardev *chardev_from_option(Vm *vm, const char *text, GError **error)
{
    g_autofree char *id = NULL;
    bool mux;
    g_autoptr(ChardevBackend) b = parse_flat(text, &id, &mux, error);
    if (!b) {
        g_prefix_error(error, "-chardev %s: ", text);
        return NULL;
    }
    if (!id) {
        error_set(error, "-chardev %s: an id is needed (id=NAME)", text);
        return NULL;
    }
    return make(vm, id, b, mux, error);
}

Chardev *chardev_from_legacy(Vm *vm, const char *id, const char *text, bool *mux_monitor,
                             GError **error)
{
    bool mon = g_str_has_prefix(text, "mon:"), mux;
    if (mon)
        text += 4;
    if (mux_monitor)
        *mux_monitor = mon;
    if (!strcmp(text, "none"))
        return NULL;
    if (g_str_has_prefix(text, "chardev:")) {
        Chardev *c = chardev_find(vm, text + 8);
        if (!c)
            error_set(error, "there is no chardev '%s'", text + 8);
        return c;
    }
    g_autofree char *flat = g_str_has_prefix(text, "vc") ? vc_size(text) : to_flat(text);
    /* A terminal shared with a monitor has C-a x to end the machine; C-c is the guest's. */
    if (mon && !strcmp(flat, "stdio")) {
        g_free(flat);
        flat = g_strdup("stdio,signal=off");
    }
    g_autoptr(ChardevBackend) b = parse_flat(flat, NULL, &mux, error);
    return b ? make(vm, id, b, mux || mon, error) : NULL;
}
