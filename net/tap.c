/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -netdev tap: an interface of the host's kernel. With vnet_hdr packets carry the virtio header, so
 * that checksums and segmentation are the kernel's. With vhost=on the kernel also moves the packets of a
 * virtio card. Spec: Linux Documentation/networking/tuntap.rst, include/uapi/linux/vhost.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "net/internal.h"
#include "util/fdstore.h"
#include "util/vhost-fd.h"

#define DEFAULT_SCRIPT "/etc/qemu-ifup"
#define DEFAULT_DOWNSCRIPT "/etc/qemu-ifdown"
#define DEFAULT_HELPER "/usr/lib/qemu/qemu-bridge-helper"

enum { MAX_QUEUES = 256 };

typedef struct NetTap {
    Netdev n;
    NetFd *fd;                  /* one a queue */
    bool *detached;             /* the kernel does not use the queue */
    NetKernel *kernel;          /* one a queue; NULL: packets pass here */
    char ifname[IFNAMSIZ];
    char *downscript;
} NetTap;

static NetFd *fd_of(NetClient *c) { return &((NetTap *)netdev_of(c))->fd[c->index]; }
static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    return net_fd_send(fd_of(c), iov, n);
}
static void resume(NetClient *c) { net_fd_resume(fd_of(c)); }

static void set_vnet(NetClient *c, unsigned header, unsigned offloads)
{
    static const struct { unsigned net, tun; } bits[] = {
        {NET_CSUM, TUN_F_CSUM}, {NET_TSO4, TUN_F_TSO4}, {NET_TSO6, TUN_F_TSO6}, {NET_ECN, TUN_F_TSO_ECN},
        {NET_UFO, TUN_F_UFO},
    };
    int fd = fd_of(c)->fd, size = (int)header;
    c->header = header;
    unsigned flags = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++)
        flags |= offloads & bits[i].net ? bits[i].tun : 0;
    if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
        log_write("netdev '%s': header size: %s\n", c->name, g_strerror(errno));
    /* Kernels without UFO refuse it. */
    if (ioctl(fd, TUNSETOFFLOAD, flags) < 0 && ioctl(fd, TUNSETOFFLOAD, flags & ~TUN_F_UFO) < 0)
        log_write("netdev '%s': offloads: %s\n", c->name, g_strerror(errno));
}

/* The kernel spreads packets over attached queues only. */
static void set_used(NetClient *c, bool used)
{
    NetTap *t = (NetTap *)netdev_of(c);
    struct ifreq r = {.ifr_flags = used ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};
    if (!t->n.n_more || t->detached[c->index] == !used)
        return;
    if (ioctl(fd_of(c)->fd, TUNSETQUEUE, &r) < 0)
        log_write("netdev '%s': queue %u: %s\n", c->name, c->index, g_strerror(errno));
    else
        t->detached[c->index] = !used;
}

static int lend(NetClient *c, bool on)
{
    net_fd_lend(fd_of(c), on);
    return fd_of(c)->fd;
}

/* ---- opening ---- */

static int open_tun(NetTap *t, const NetdevTapOptions *o, GError **error)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | (o->queues > 1 ? IFF_MULTI_QUEUE : 0)};
    unsigned features = 0;
    const char *name = *t->ifname ? t->ifname : o->ifname ? o->ifname : "tap%d";
    if (o->ifname && strlen(o->ifname) >= IFNAMSIZ) {
        error_set(error, "ifname=%s is longer than %d characters", o->ifname, IFNAMSIZ - 1);
        return -1;
    }
    g_strlcpy(r.ifr_name, name, IFNAMSIZ);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        error_set_errno(error, errno, "could not open /dev/net/tun");
        return -1;
    }
    bool want = !o->has_vnet_hdr || o->vnet_hdr;
    if (ioctl(fd, TUNGETFEATURES, &features) == 0 && features & IFF_VNET_HDR && want)
        r.ifr_flags |= IFF_VNET_HDR;
    if (ioctl(fd, TUNSETIFF, &r) < 0) {
        error_set_errno(error, errno, "could not configure /dev/net/tun (%s)", r.ifr_name);
        close(fd);
        return -1;
    }
    g_strlcpy(t->ifname, r.ifr_name, IFNAMSIZ);
    return fd;
}

static bool run_script(NetTap *t, const char *script, GError **error)
{
    const char *argv[] = {script, t->ifname, NULL};
    int status;
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, error))
        return false;
    return status == 0 ||
           error_set(error, "network script %s failed with status %d", script, WEXITSTATUS(status));
}

static int receive_fd(int sock, GError **error)
{
    char control[CMSG_SPACE(sizeof(int))], byte;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                         .msg_controllen = sizeof(control)};
    int fd = -1;
    if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) > 0)
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
                memcpy(&fd, CMSG_DATA(c), sizeof(int));
    if (fd < 0)
        error_set(error, "the bridge helper gave no interface");
    return fd;
}

/* The helper has the rights; it sends the interface through a socket. */
static int run_helper(const NetdevTapOptions *o, GError **error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) {
        error_set_errno(error, errno, "socketpair");
        return -1;
    }
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    g_autofree char *command = g_strdup_printf("%s --use-vnet --fd=%d --br=%s",
        o->helper ? o->helper : DEFAULT_HELPER, pair[1], o->br ? o->br : "br0");
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    bool ok = g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL, NULL, NULL,
                            error);
    close(pair[1]);
    int fd = ok ? receive_fd(pair[0], error) : -1;
    close(pair[0]);
    return fd;
}

/* Whether the kernel is to move the packets. */
static bool wants_vhost(const NetdevTapOptions *o)
{
    return o->has_vhost ? o->vhost : o->vhostfd || o->vhostfds || (o->has_vhostforce && o->vhostforce);
}

static bool refuse(const NetdevTapOptions *o, GError **error)
{
    bool more = o->ifname || o->script || o->downscript || o->helper || o->has_vnet_hdr || o->has_queues;
    if ((o->vhostfd || o->vhostfds) && !wants_vhost(o))
        return error_set(error, "vhostfd(s)= is not valid without vhost");
    if (o->fd && (more || o->fds || o->vhostfds))
        return error_set(
            error,
            "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, fds=, and vhostfds= "
            "are invalid with fd=");
    if (o->fds && (more || o->vhostfd))
        return error_set(error, "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, and vhostfd= "
                         "are invalid with fds=");
    if (o->helper && (o->ifname || o->script || o->downscript || o->has_vnet_hdr || o->has_queues || o->vhostfds))
        return error_set(error, "ifname=, script=, downscript=, vnet_hdr=, queues= and vhostfds= are invalid "
                         "with helper=");
    if (!o->fds && o->vhostfds)
        return error_set(error, "vhostfds= is invalid if fds= wasn't specified");
    if (o->has_queues && o->queues > 1 && o->vhostfd)
        return error_set(error, "vhostfd= is one descriptor for %u queues; give fds= and vhostfds=", o->queues);
    if (o->has_queues && (o->queues < 1 || o->queues > MAX_QUEUES))
        return error_set(error, "queues=%u: 1 to %d work", o->queues, MAX_QUEUES);
    return true;
}

/* Takes over the descriptor of a queue, whether it succeeds or not. */
static bool keep(NetTap *t, unsigned queue, int fd, const NetdevTapOptions *o, GError **error)
{
    struct ifreq r = {0};
    NetClient *c = netdev_queue(&t->n, queue);
    if (ioctl(fd, TUNGETIFF, &r) < 0) {
        error_set_errno(error, errno, "the descriptor is no tap interface");
        close(fd);
        return false;
    }
    g_strlcpy(t->ifname, r.ifr_name, IFNAMSIZ);
    int sndbuf = o->has_sndbuf && o->sndbuf ? (int)MIN(o->sndbuf, INT32_MAX) : INT32_MAX;
    if (ioctl(fd, TUNSETSNDBUF, &sndbuf) < 0 && o->has_sndbuf) {
        error_set_errno(error, errno, "sndbuf");
        close(fd);
        return false;
    }
    c->vnet_hdr = r.ifr_flags & IFF_VNET_HDR;
    t->fd[queue].plain = true;
    net_fd_start(&t->fd[queue], c, fd);
    if (c->vnet_hdr)
        set_vnet(c, 10, 0);
    return queue == 0 || c->vnet_hdr == t->n.client.vnet_hdr ||
           error_set(error, "vnet_hdr of queue %u differs from that of the first", queue);
}

/* Descriptors of queues by number or name; NULL: opened here. */
static char **given_fds(const NetdevTapOptions *o)
{
    if (o->fds)
        return g_strsplit_set(o->fds, ":,", -1);
    char *one[] = {o->fd, NULL};
    return o->fd ? g_strdupv(one) : NULL;
}

static bool open_queues(NetTap *t, const NetdevTapOptions *o, char **fds, GError **error)
{
    unsigned queues = fds ? g_strv_length(fds) : o->has_queues ? o->queues : 1;
    bool own = !fds && !o->helper && !o->br;
    if (queues > MAX_QUEUES)
        return error_set(error, "fds= names %u descriptors; up to %d work", queues, MAX_QUEUES);
    netdev_set_queues(&t->n, queues);
    t->fd = g_new0(NetFd, queues);
    t->detached = g_new0(bool, queues);
    for (unsigned i = 0; i < queues; i++)
        t->fd[i].fd = -1;
    for (unsigned i = 0; i < queues; i++) {
        int fd = fds ? fd_store_take(t->n.client.vm->fds, fds[i], error)
                 : own ? open_tun(t, o, error) : run_helper(o, error);
        if (fd < 0 || !keep(t, i, fd, o, error))
            return false;
    }
    return true;
}

/* ---- vhost ---- */

static int open_vhost(NetTap *t, const char *given, GError **error)
{
    int fd = given ? fd_store_take(t->n.client.vm->fds, given, error) : open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
    if (fd < 0 && !given)
        error_set_errno(error, errno, "vhost=on: /dev/vhost-net ('modprobe vhost_net' as root makes it; vhost=off does "
                        "the same without the kernel)");
    return fd;
}

static void close_kernel(NetTap *t)
{
    for (unsigned i = 0; t->kernel && i <= t->n.n_more; i++) {
        netdev_queue(&t->n, i)->kernel = NULL;
        if (t->kernel[i].fd >= 0)
            close(t->kernel[i].fd);
    }
    g_clear_pointer(&t->kernel, g_free);
}

static bool open_kernel(NetTap *t, const NetdevTapOptions *o, GError **error)
{
    g_auto(GStrv) fds = o->vhostfds ? g_strsplit_set(o->vhostfds, ":,", -1) : NULL;
    unsigned queues = t->n.n_more + 1;
    if (fds && g_strv_length(fds) != queues)
        return error_set(error, "vhostfds= names %u descriptors for the %u of fds=", g_strv_length(fds), queues);
    t->kernel = g_new0(NetKernel, queues);
    for (unsigned i = 0; i < queues; i++)
        t->kernel[i] = (NetKernel){.fd = -1, .poll_us = o->has_poll_us ? o->poll_us : 0};
    for (unsigned i = 0; i < queues; i++) {
        NetKernel *k = &t->kernel[i];
        k->fd = open_vhost(t, fds ? fds[i] : o->vhostfd, error);
        if (k->fd < 0 || !vhost_fd_own(k->fd, &k->features, error))
            return false;
        netdev_queue(&t->n, i)->kernel = k;
    }
    return true;
}

/* Without the kernel's help it works as well, but slower: only vhostforce=on insists. */
static bool use_kernel(NetTap *t, const NetdevTapOptions *o, GError **error)
{
    g_autoptr(GError) why = NULL;
    if (!wants_vhost(o) || open_kernel(t, o, &why))
        return true;
    close_kernel(t);
    if (o->has_vhostforce && o->vhostforce) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    log_write("warning: netdev '%s': %s; Myna moves its packets itself\n", t->n.client.name, why->message);
    return true;
}

static const char *script_of(const char *given, const char *dflt)
{
    if (!given)
        return access(dflt, X_OK) == 0 ? dflt : NULL;
    return *given && strcmp(given, "no") ? given : NULL;
}

static bool open_tap(Netdev *n, const NetdevOptions *options, GError **error)
{
    NetTap *t = (NetTap *)n;
    const NetdevTapOptions *o = options->u.tap;
    g_auto(GStrv) fds = given_fds(o);
    bool own = !fds && !o->helper && !o->br;
    if (!refuse(o, error) || !open_queues(t, o, fds, error) || !use_kernel(t, o, error))
        return false;
    const char *script = own ? script_of(o->script, DEFAULT_SCRIPT) : NULL;
    if (script && !run_script(t, script, error))
        return false;
    t->downscript = own ? g_strdup(script_of(o->downscript, DEFAULT_DOWNSCRIPT)) : NULL;
    n->client.info = fds ? g_strdup_printf("fd=%d", t->fd[0].fd)
                         : g_strdup_printf("ifname=%s,script=%s,downscript=%s", t->ifname,
                                           script ? script : "no", t->downscript ? t->downscript : "no");
    return true;
}

static void close_tap(Netdev *n)
{
    NetTap *t = (NetTap *)n;
    g_autoptr(GError) error = NULL;
    if (t->downscript && !run_script(t, t->downscript, &error))
        log_write("netdev '%s': %s\n", n->client.name, error->message);
    close_kernel(t);
    for (unsigned i = 0; t->fd && i <= n->n_more; i++)
        net_fd_stop(&t->fd[i]);
    g_free(t->fd);
    g_free(t->detached);
    g_free(t->downscript);
}

static const NetdevType netdev_tap = {
    .name = "netdev-tap",
    .parent = "netdev",
    .desc = "an interface of the host",
    .size = sizeof(NetTap),
    .kind = NET_CLIENT_DRIVER_TAP,
    .ops = {.receive = receive, .resume = resume, .set_vnet = set_vnet, .set_used = set_used, .lend = lend},
    .open = open_tap,
    .close = close_tap,
};
OBJECT_TYPE(netdev_tap);

/* ---- bridge: the same by a helper ---- */

static bool open_bridge(Netdev *n, const NetdevOptions *options, GError **error)
{
    const NetdevBridgeOptions *o = options->u.bridge;
    NetTap *t = (NetTap *)n;
    const NetdevTapOptions tap = {.br = o->br ? o->br : "br0", .helper = o->helper ? o->helper : DEFAULT_HELPER};
    if (!open_queues(t, &tap, NULL, error))
        return false;
    n->client.info = g_strdup_printf("helper=%s,br=%s", tap.helper, tap.br);
    return true;
}

static const NetdevType netdev_bridge = {
    .name = "netdev-bridge", .parent = "netdev", .desc = "an interface on a bridge of the host",
    .size = sizeof(NetTap), .kind = NET_CLIENT_DRIVER_BRIDGE,
    .ops = {.receive = receive, .resume = resume, .set_vnet = set_vnet, .set_used = set_used, .lend = lend},
    .open = open_bridge, .close = close_tap,
};
OBJECT_TYPE(netdev_bridge);
