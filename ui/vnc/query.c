/* SPDX-License-Identifier: Apache-2.0 */
/* What monitors learn of the VNC server, and its passwords. */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "qapi/qapi-commands.h"
#include "qapi/qapi-events.h"
#include "ui/vnc/internal.h"
#include "util/error.h"

enum { SOCKETS_MAX = 4 };

/* ---- names ---- */

bool vnc_name_peer(int fd, bool peer, char **host, char **service, NetworkAddressFamily *family)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    char h[NI_MAXHOST], p[NI_MAXSERV];
    int failed = peer ? getpeername(fd, (struct sockaddr *)&a, &n)
                      : getsockname(fd, (struct sockaddr *)&a, &n);

    *family = NETWORK_ADDRESS_FAMILY_UNKNOWN;
    if (!failed && a.ss_family == AF_UNIX) {
        *family = NETWORK_ADDRESS_FAMILY_UNIX;
        *host = g_strdup("");
        *service = g_strndup(((struct sockaddr_un *)&a)->sun_path,
                             n - offsetof(struct sockaddr_un, sun_path));
        return true;
    }
    if (failed || getnameinfo((struct sockaddr *)&a, n, h, sizeof(h), p, sizeof(p),
                              NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        *host = g_strdup("");
        *service = g_strdup("");
        return false;
    }
    *family = a.ss_family == AF_INET ? NETWORK_ADDRESS_FAMILY_IPV4 : NETWORK_ADDRESS_FAMILY_IPV6;
    *host = g_strdup(h);
    *service = g_strdup(p);
    return true;
}

static VncPrimaryAuth auth_of(const VncServer *s, bool websocket)
{
    return s->tls_creds && !websocket ? VNC_PRIMARY_AUTH_VENCRYPT
           : s->password_on ? VNC_PRIMARY_AUTH_VNC : VNC_PRIMARY_AUTH_NONE;
}

const char *vnc_auth_name(const VncServer *s)
{
    static const char *const names[] = {"vencrypt+tls+none", "vencrypt+tls+vnc", "vencrypt+x509+none",
                                        "vencrypt+x509+vnc"};

    return s->tls_creds ? names[2 * tls_creds_are_x509(s->tls_creds) + s->password_on]
                        : vnc_primary_auth_name(auth_of(s, false));
}

char *vnc_where(Vm *vm)
{
    GPtrArray *servers = vnc_servers(vm);
    g_autofree char *host = NULL, *port = NULL;
    NetworkAddressFamily family;
    bool websocket;
    int fd = -1;

    if (!servers->len ||
        !vnc_server_sockets(g_ptr_array_index(servers, servers->len - 1), &fd, &websocket, 1)) {
        return g_strdup("nowhere");
    }
    vnc_name_peer(fd, false, &host, &port, &family);
    return g_strdup_printf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* ---- events ---- */

void vnc_tell_connected(VncClient *c)
{
    VncBasicInfo basic = {.host = c->info->host, .service = c->info->service,
                          .family = c->info->family, .websocket = c->websocket};

    qapi_event_vnc_connected(c->server->vm, c->server_info, &basic);
}

void vnc_tell_initialized(VncClient *c)
{
    qapi_event_vnc_initialized(c->server->vm, c->server_info, c->info);
}

void vnc_tell_disconnected(VncClient *c)
{
    qapi_event_vnc_disconnected(c->server->vm, c->server_info, c->info);
}

/* ---- queries ---- */

static VncClientInfoList *clients_of(const VncServer *s)
{
    VncClientInfoList *list = vnc_client_info_list_new();

    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *c = g_ptr_array_index(s->clients, i);
        if (!c->gone) {
            vnc_client_info_list_add(list, vnc_client_info_copy(c->info));
        }
    }
    return list;
}

VncInfo *qmp_query_vnc(Vm *vm, GError **error)
{
    GPtrArray *servers = vnc_servers(vm);
    VncInfo *info = g_new0(VncInfo, 1);
    int fds[SOCKETS_MAX];
    bool websockets[SOCKETS_MAX];

    if (servers->len) {
        VncServer *s = g_ptr_array_index(servers, 0);
        info->enabled = true;
        info->clients = clients_of(s);
        info->auth = g_strdup(vnc_auth_name(s));
        if (vnc_server_sockets(s, fds, websockets, SOCKETS_MAX)) {
            vnc_name_peer(fds[0], false, &info->host, &info->service, &info->family);
            info->has_family = true;
        }
    }
    return info;
}

static VncVencryptSubAuth sub_auth_of(const VncServer *s)
{
    bool x509 = s->tls_creds && tls_creds_are_x509(s->tls_creds);

    return s->password_on ? (x509 ? VNC_VENCRYPT_SUB_AUTH_X509_VNC : VNC_VENCRYPT_SUB_AUTH_TLS_VNC)
                          : x509 ? VNC_VENCRYPT_SUB_AUTH_X509_NONE : VNC_VENCRYPT_SUB_AUTH_TLS_NONE;
}

static VncInfo2 *describe(const VncServer *s)
{
    VncInfo2 *info = g_new0(VncInfo2, 1);
    int fds[SOCKETS_MAX];
    bool websockets[SOCKETS_MAX];
    unsigned n = vnc_server_sockets(s, fds, websockets, SOCKETS_MAX);

    info->id = g_strdup(s->id);
    info->server = vnc_server_info2_list_new();
    info->clients = clients_of(s);
    info->auth = auth_of(s, false);
    info->has_vencrypt = s->tls_creds != NULL;
    info->vencrypt = sub_auth_of(s);
    info->display = g_strdup(s->device);
    for (unsigned i = 0; i < n; i++) {
        VncServerInfo2 *where = g_new0(VncServerInfo2, 1);
        vnc_name_peer(fds[i], false, &where->host, &where->service, &where->family);
        where->websocket = websockets[i];
        where->auth = auth_of(s, websockets[i]);
        where->has_vencrypt = where->auth == VNC_PRIMARY_AUTH_VENCRYPT;
        where->vencrypt = sub_auth_of(s);
        vnc_server_info2_list_add(info->server, where);
    }
    return info;
}

VncInfo2List *qmp_query_vnc_servers(Vm *vm, GError **error)
{
    VncInfo2List *list = vnc_info2_list_new();
    GPtrArray *servers = vnc_servers(vm);

    for (unsigned i = 0; i < servers->len; i++) {
        vnc_info2_list_add(list, describe(g_ptr_array_index(servers, i)));
    }
    return list;
}

/* ---- passwords ---- */

static VncServer *server_find(Vm *vm, const char *id, GError **error)
{
    GPtrArray *servers = vnc_servers(vm);

    for (unsigned i = 0; i < servers->len; i++) {
        VncServer *s = g_ptr_array_index(servers, i);
        if (!id || strcmp(s->id, id) == 0) {
            return s;
        }
    }
    error_set_class(error, MYNA_ERROR_DEVICE_NOT_ACTIVE, "%s", id ? "there is no such VNC server"
                    : "No VNC server is running (-vnc starts one)");
    return NULL;
}

static bool set_password(Vm *vm, const char *id, const char *password, GError **error)
{
    VncServer *s = server_find(vm, id, error);

    if (!s) {
        return false;
    }
    if (!s->password_on) {
        return error_set(error, "VNC password auth is disabled: the server was started without "
                         "password=on");
    }
    g_free(s->password);
    s->password = *password ? g_strdup(password) : NULL;
    return true;
}

bool qmp_change_vnc_password(Vm *vm, const char *password, GError **error)
{
    return set_password(vm, NULL, password, error);
}

bool qmp_set_password(Vm *vm, DisplayProtocol protocol, const char *password, bool has_connected,
                      SetPasswordAction connected, const char *display, GError **error)
{
    if (protocol != DISPLAY_PROTOCOL_VNC) {
        return error_set_class(error, MYNA_ERROR_DEVICE_NOT_ACTIVE, "there is no SPICE server");
    }
    if (has_connected && connected != SET_PASSWORD_ACTION_KEEP) {
        return error_set(error, "parameter 'connected' can only be 'keep' with VNC");
    }
    return set_password(vm, display, password, error);
}

bool qmp_expire_password(Vm *vm, DisplayProtocol protocol, const char *time, const char *display,
                         GError **error)
{
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;
    char *end = NULL;
    int64_t when = g_ascii_strtoll(*time == '+' ? time + 1 : time, &end, 10);
    bool number = end && *end == 0 && end != time;

    if (protocol != DISPLAY_PROTOCOL_VNC) {
        return error_set_class(error, MYNA_ERROR_DEVICE_NOT_ACTIVE, "there is no SPICE server");
    }
    if (!number && strcmp(time, "now") != 0 && strcmp(time, "never") != 0) {
        return error_set(error, "time '%s': expected now, never, +SECONDS or seconds since 1970", time);
    }
    VncServer *s = server_find(vm, display, error);
    if (!s) {
        return false;
    }
    s->expires = strcmp(time, "now") == 0 ? -1 : !number ? 0 : *time == '+' ? now + when : MAX(when, 1);
    return true;
}
