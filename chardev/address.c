/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets by address: listening and connecting, for chardevs and network back ends. */
#include "chardev/address.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "util/error.h"

enum { BACKLOG = 1 };

/* ---- unix ---- */

static bool unix_address(const UnixSocketAddress *a, struct sockaddr_un *un, socklen_t *len,
                         GError **error)
{
    size_t n = strlen(a->path), skip = a->abstract ? 1 : 0;
    *un = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n + skip >= sizeof(un->sun_path))
        return error_set(error, "socket path '%s' has %zu characters; at most %zu are possible",
                         a->path, n, sizeof(un->sun_path) - 1);
    memcpy(un->sun_path + skip, a->path, n);
    *len = skip && (!a->has_tight || a->tight) ? offsetof(struct sockaddr_un, sun_path) + 1 + n
                                               : sizeof(*un);
    return true;
}

static int open_socket(int family, int type, GError **error)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        error_set_errno(error, errno, "cannot make a socket");
    return fd;
}

static int unix_listen(const UnixSocketAddress *a, GError **error)
{
    struct sockaddr_un un;
    socklen_t len = 0;
    int fd;
    if (!unix_address(a, &un, &len, error) || (fd = open_socket(AF_UNIX, SOCK_STREAM, error)) < 0)
        return -1;
    if (!a->abstract && unlink(a->path) < 0 && errno != ENOENT) {
        error_set_errno(error, errno, "cannot replace socket '%s'", a->path);
    } else if (bind(fd, (struct sockaddr *)&un, len) < 0 || listen(fd, BACKLOG) < 0) {
        error_set_errno(error, errno, "cannot listen on socket '%s'", a->path);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

static int unix_connect(const UnixSocketAddress *a, GError **error)
{
    struct sockaddr_un un;
    socklen_t len = 0;
    int fd;
    if (!unix_address(a, &un, &len, error) || (fd = open_socket(AF_UNIX, SOCK_STREAM, error)) < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&un, len) == 0)
        return fd;
    error_set_errno(error, errno, "cannot connect to socket '%s'", a->path);
    close(fd);
    return -1;
}

/* ---- inet ---- */

static struct addrinfo *resolve(const InetSocketAddress *a, int type, bool passive, GError **error)
{
    bool v4 = a->has_ipv4 && a->ipv4, v6 = a->has_ipv6 && a->ipv6;
    struct addrinfo hints = {
        .ai_socktype = type, .ai_flags = passive ? AI_PASSIVE : 0,
        .ai_family = v4 && !v6 ? AF_INET : v6 && !v4 ? AF_INET6 : AF_UNSPEC,
    }, *list;
    if (a->has_numeric && a->numeric)
        hints.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    const char *host = a->host && *a->host ? a->host : NULL;
    int err = getaddrinfo(host, a->port, &hints, &list);
    if (err) {
        error_set(error, "address %s:%s: %s", host ? host : "", a->port, gai_strerror(err));
        return NULL;
    }
    return list;
}

static void set_port(struct sockaddr *sa, uint16_t port)
{
    if (sa->sa_family == AF_INET)
        ((struct sockaddr_in *)sa)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
}

static int inet_listen(const InetSocketAddress *a, int type, GError **error)
{
    struct addrinfo *list = resolve(a, type, true, error);
    if (!list)
        return -1;
    unsigned first = strtoul(a->port, NULL, 10), last = a->has_to ? a->to : first;
    int fd = -1, err = 0;
    for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next)
        for (unsigned port = first; port <= last && fd < 0; port++) {
            int one = 1, s = socket(i->ai_family, type | SOCK_CLOEXEC, 0);
            setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
            if (port != first)
                set_port(i->ai_addr, port);
            if (bind(s, i->ai_addr, i->ai_addrlen) == 0 &&
                (type == SOCK_DGRAM || listen(s, BACKLOG) == 0)) {
                fd = s;
                break;
            }
            err = errno;
            close(s);
        }
    freeaddrinfo(list);
    if (fd < 0)
        error_set_errno(error, err, "cannot listen on %s:%s", a->host, a->port);
    return fd;
}

static int inet_connect(const InetSocketAddress *a, int type, GError **error)
{
    struct addrinfo *list = resolve(a, type, false, error);
    if (!list)
        return -1;
    int fd = -1, err = 0;
    for (struct addrinfo *i = list; i; i = i->ai_next) {
        fd = socket(i->ai_family, type | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, i->ai_addr, i->ai_addrlen) == 0)
            break;
        err = errno;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd < 0)
        error_set_errno(error, err, "cannot connect to %s:%s", a->host, a->port);
    return fd;
}

/* ---- vsock and passed descriptors ---- */

static int vsock(const VsockSocketAddress *a, bool server, GError **error)
{
    struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = strtoul(a->cid, NULL, 0),
                             .svm_port = strtoul(a->port, NULL, 0)};
    int fd = open_socket(AF_VSOCK, SOCK_STREAM, error);
    if (fd < 0)
        return -1;
    if ((server ? bind(fd, (struct sockaddr *)&vm, sizeof(vm)) || listen(fd, BACKLOG)
                : connect(fd, (struct sockaddr *)&vm, sizeof(vm))) == 0)
        return fd;
    error_set_errno(error, errno, "vsock %s:%s", a->cid, a->port);
    close(fd);
    return -1;
}

static int passed(const FdSocketAddress *a, GError **error)
{
    char *end;
    long fd = strtol(a->str, &end, 10);
    if (*end || end == a->str) {
        error_set(error, "'%s' is not the number of an open descriptor", a->str);
        return -1;
    }
    if (fcntl(fd, F_GETFD) < 0) {
        error_set_errno(error, errno, "descriptor %ld", fd);
        return -1;
    }
    return fd;
}

int address_listen(const SocketAddress *a, GError **error)
{
    switch (a->type) {
    case SOCKET_ADDRESS_TYPE_UNIX: return unix_listen(a->u.unix_, error);
    case SOCKET_ADDRESS_TYPE_INET: return inet_listen(a->u.inet, SOCK_STREAM, error);
    case SOCKET_ADDRESS_TYPE_VSOCK: return vsock(a->u.vsock, true, error);
    default: return passed(a->u.fd, error);
    }
}

int address_connect(const SocketAddress *a, GError **error)
{
    switch (a->type) {
    case SOCKET_ADDRESS_TYPE_UNIX: return unix_connect(a->u.unix_, error);
    case SOCKET_ADDRESS_TYPE_INET: return inet_connect(a->u.inet, SOCK_STREAM, error);
    case SOCKET_ADDRESS_TYPE_VSOCK: return vsock(a->u.vsock, false, error);
    default: return passed(a->u.fd, error);
    }
}

int address_datagram(const SocketAddress *remote, const SocketAddress *local, GError **error)
{
    if (remote->type != SOCKET_ADDRESS_TYPE_INET ||
        (local && local->type != SOCKET_ADDRESS_TYPE_INET)) {
        error_set(error, "datagrams need Internet addresses");
        return -1;
    }
    if (!local)
        return inet_connect(remote->u.inet, SOCK_DGRAM, error);
    int fd = inet_listen(local->u.inet, SOCK_DGRAM, error);
    struct addrinfo *list = fd < 0 ? NULL : resolve(remote->u.inet, SOCK_DGRAM, false, error);
    if (list && connect(fd, list->ai_addr, list->ai_addrlen) < 0) {
        error_set_errno(error, errno, "cannot connect to %s:%s", remote->u.inet->host,
                        remote->u.inet->port);
        freeaddrinfo(list);
        list = NULL;
    } else if (list) {
        freeaddrinfo(list);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

SocketAddress *address_from_legacy(const SocketAddressLegacy *a)
{
    SocketAddress *b = g_new0(SocketAddress, 1);
    b->type = a->type;
    switch (a->type) {
    case SOCKET_ADDRESS_TYPE_UNIX: b->u.unix_ = unix_socket_address_copy(a->u.unix_->data); break;
    case SOCKET_ADDRESS_TYPE_INET: b->u.inet = inet_socket_address_copy(a->u.inet->data); break;
    case SOCKET_ADDRESS_TYPE_VSOCK: b->u.vsock = vsock_socket_address_copy(a->u.vsock->data); break;
    default: b->u.fd = fd_socket_address_copy(a->u.fd->data); break;
    }
    return b;
}

/* "unix:PATH", "HOST:PORT", "fd:N" as QEMU shows them. */
char *address_text(const SocketAddress *a)
{
    switch (a->type) {
    case SOCKET_ADDRESS_TYPE_UNIX: return g_strdup_printf("unix:%s", a->u.unix_->path);
    case SOCKET_ADDRESS_TYPE_INET:
        return g_strdup_printf("tcp:%s:%s", a->u.inet->host, a->u.inet->port);
    case SOCKET_ADDRESS_TYPE_VSOCK:
        return g_strdup_printf("vsock:%s:%s", a->u.vsock->cid, a->u.vsock->port);
    default: return g_strdup_printf("fd:%s", a->u.fd->str);
    }
}
