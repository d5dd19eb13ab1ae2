/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -netdev tap: an interface of the host's kernel. With vnet_hdr packets carry the virtio header, so
 * that checksums and segmentation are the kernel's. Spec: Linux Documentation/networking/tuntap.rst.
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

#define DEFAULT_SCRIPT "/etc/qemu-ifup"
#define DEFAULT_DOWNSCRIPT "/etc/qemu-ifdown"
#define DEFAULT_HELPER "/usr/lib/qemu/qemu-bridge-helper"

typedef struct NetTap {
    Netdev n;
    NetFd fd;
    char ifname[IFNAMSIZ];
    char *downscript;
} NetTap;

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    return net_fd_send(&((NetTap *)netdev_of(c))->fd, iov, n);
}

static void resume(NetClient *c) { net_fd_resume(&((NetTap *)netdev_of(c))->fd); }

static void set_vnet(NetClient *c, unsigned header, unsigned offloads)
{
    static const struct { unsigned net, tun; } bits[] = {
        {NET_CSUM, TUN_F_CSUM}, {NET_TSO4, TUN_F_TSO4}, {NET_TSO6, TUN_F_TSO6}, {NET_ECN, TUN_F_TSO_ECN},
        {NET_UFO, TUN_F_UFO},
    };
    int fd = ((NetTap *)netdev_of(c))->fd.fd, size = (int)header;
    unsigned flags = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++)
        flags |= offloads & bits[i].net ? bits[i].tun : 0;
    if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
        log_write("netdev '%s': header size: %s\n", c->name, g_strerror(errno));
    /* Kernels without UFO refuse it. */
    if (ioctl(fd, TUNSETOFFLOAD, flags) < 0 && ioctl(fd, TUNSETOFFLOAD, flags & ~TUN_F_UFO) < 0)
        log_write("netdev '%s': offloads: %s\n", c->name, g_strerror(errno));
}

/* ---- opening ---- */

static int open_tun(NetTap *t, const NetdevTapOptions *o, GError **error)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    unsigned features = 0;
    if (o->ifname && strlen(o->ifname) >= IFNAMSIZ) {
        error_set(error, "ifname=%s is longer than %d characters", o->ifname, IFNAMSIZ - 1);
        return -1;
    }
    g_strlcpy(r.ifr_name, o->ifname ? o->ifname : "tap%d", IFNAMSIZ);
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

static bool refuse(const NetdevTapOptions *o, GError **error)
{
    const char *what = o->fds || (o->has_queues && o->queues > 1) ? "queues= and fds= are"
                     : (o->has_vhost && o->vhost) || o->vhostfd || o->vhostfds || (o->has_vhostforce && o->vhostforce)
                         ? "vhost is" : NULL;
    if (what)
        return error_set(error, "%s not implemented yet", what);
    if (o->fd && (o->ifname || o->script || o->downscript || o->helper || o->has_vnet_hdr))
        return error_set(error, "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, and vhostfds= "
                         "are invalid with fd=");
    if (o->helper && (o->ifname || o->script || o->downscript || o->has_vnet_hdr))
        return error_set(error, "ifname=, script=, downscript= and vnet_hdr= are invalid with helper=");
    return true;
}

static bool keep(NetTap *t, int fd, const NetdevTapOptions *o, GError **error)
{
    struct ifreq r = {0};
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
    t->n.client.vnet_hdr = r.ifr_flags & IFF_VNET_HDR;
    t->fd.plain = true;
    net_fd_start(&t->fd, &t->n.client, fd);
    if (t->n.client.vnet_hdr)
        set_vnet(&t->n.client, 10, 0);
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
    if (!refuse(o, error))
        return false;
    bool own = !o->fd && !o->helper && !o->br;
    int fd = o->fd ? fd_store_take(n->client.vm->fds, o->fd, error)
             : own ? open_tun(t, o, error) : run_helper(o, error);
    if (fd < 0 || !keep(t, fd, o, error))
        return false;
    const char *script = own ? script_of(o->script, DEFAULT_SCRIPT) : NULL;
    if (script && !run_script(t, script, error))
        return false;
    t->downscript = own ? g_strdup(script_of(o->downscript, DEFAULT_DOWNSCRIPT)) : NULL;
    n->client.info = o->fd ? g_strdup_printf("fd=%d", fd)
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
    net_fd_stop(&t->fd);
    g_free(t->downscript);
}

static const NetdevType netdev_tap = {
    .name = "netdev-tap", .parent = "netdev", .desc = "an interface of the host",
    .size = sizeof(NetTap), .kind = NET_CLIENT_DRIVER_TAP,
    .ops = {.receive = receive, .resume = resume, .set_vnet = set_vnet}, .open = open_tap,
    .close = close_tap,
};
OBJECT_TYPE(netdev_tap);
