/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -netdev passt: a program that connects the guest by sockets of the host. It is started here with one end of a
 * socket pair, over which packets go as with -netdev stream or, with vhost-user=on, vhost-user; it ends when the
 * other end is closed. Spec: passt(1).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "chardev/chardev.h"
#include "net/internal.h"

typedef struct NetPasst {
    Netdev n;
    NetStream *stream;
    char *chardev;              /* (vhost-user) its id */
} NetPasst;

/* ---- its command line ---- */

typedef NetDevPasstOptions Options;
typedef struct Text { size_t at; const char *option; } Text;
typedef struct Switch { size_t has, at; const char *on, *off; } Switch;
#define TEXT(member, option) {offsetof(Options, member), option}
#define SWITCH(member, on, off) {offsetof(Options, has_##member), offsetof(Options, member), on, off}

static const Text texts[] = {
    TEXT(address, "--address"), TEXT(netmask, "--netmask"), TEXT(mac, "--mac-addr"), TEXT(gateway, "--gateway"),
    TEXT(interface, "--interface"), TEXT(outbound, "--outbound"), TEXT(outbound_if4, "--outbound-if4"),
    TEXT(outbound_if6, "--outbound-if6"), TEXT(dns, "--dns"), TEXT(fqdn, "--fqdn"),
    TEXT(map_host_loopback, "--map-host-loopback"), TEXT(map_guest_addr, "--map-guest-addr"),
    TEXT(dns_forward, "--dns-forward"), TEXT(dns_host, "--dns-host"),
};
static const Switch switches[] = {
    SWITCH(dhcp_dns, "--dhcp-dns", "--no-dhcp-dns"), SWITCH(dhcp_search, "--dhcp-search", "--no-dhcp-search"),
    SWITCH(tcp, NULL, "--no-tcp"), SWITCH(udp, NULL, "--no-udp"), SWITCH(icmp, NULL, "--no-icmp"),
    SWITCH(dhcp, NULL, "--no-dhcp"), SWITCH(ndp, NULL, "--no-ndp"), SWITCH(dhcpv6, NULL, "--no-dhcpv6"),
    SWITCH(ra, NULL, "--no-ra"), SWITCH(freebind, "--freebind", NULL), SWITCH(ipv4, NULL, "--ipv6-only"),
    SWITCH(ipv6, NULL, "--ipv4-only"),
};

static void add(GPtrArray *argv, const char *option, const char *value)
{
    if (option)
        g_ptr_array_add(argv, g_strdup(option));
    if (value)
        g_ptr_array_add(argv, g_strdup(value));
}

static void add_list(GPtrArray *argv, const char *option, const StringList *list)
{
    for (size_t i = 0; list && i < list->count; i++)
        add(argv, option, list->items[i]->str);
}

static void add_number(GPtrArray *argv, const char *option, int64_t value)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
    add(argv, option, text);
}

static GPtrArray *command_line(const Options *o, int fd)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    const char *base = (const char *)o;
    add(argv, o->path ? o->path : "passt", NULL);
    add_number(argv, "--fd", fd);
    if (!o->has_quiet || o->quiet)
        add(argv, "--quiet", NULL);
    if (o->has_vhost_user && o->vhost_user)
        add(argv, "--vhost-user", NULL);
    if (o->has_mtu)
        add_number(argv, "--mtu", o->mtu);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        const char *value = *(char *const *)(base + texts[i].at);
        if (value)
            add(argv, texts[i].option, value);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(switches); i++)
        if (*(const bool *)(base + switches[i].has))
            add(argv, *(const bool *)(base + switches[i].at) ? switches[i].on : switches[i].off, NULL);
    add_list(argv, "--search", o->search);
    add_list(argv, "--tcp-ports", o->tcp_ports);
    add_list(argv, "--udp-ports", o->udp_ports);
    add_list(argv, NULL, o->param);
    g_ptr_array_add(argv, NULL);
    return argv;
}

/* ---- life ---- */

/* (In the child.) */
static void keep_open(gpointer fd) { fcntl(GPOINTER_TO_INT(fd), F_SETFD, 0); }

/* It goes into the background when it is ready, so its first status says whether it is. Returns our end. */
static int start(const Options *o, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *said = NULL;
    int pair[2], status;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        error_set_errno(error, errno, "socketpair");
        return -1;
    }
    g_autoptr(GPtrArray) argv = command_line(o, pair[1]);
    bool ran = g_spawn_sync(NULL, (char **)argv->pdata, NULL,
                            G_SPAWN_SEARCH_PATH | G_SPAWN_LEAVE_DESCRIPTORS_OPEN | G_SPAWN_STDOUT_TO_DEV_NULL, keep_open,
                            GINT_TO_POINTER(pair[1]), NULL, &said, &status, &why);
    close(pair[1]);
    if (ran && status == 0)
        return pair[0];
    close(pair[0]);
    if (!ran)
        error_set(error, "%s (passt is a package of its own; path= names another program)", why->message);
    else
        error_set(error, "%s did not start: %s", (char *)argv->pdata[0], g_strstrip(said));
    return -1;
}

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    NetStream *s = ((NetPasst *)netdev_of(c))->stream;
    return !s || net_stream_send(s, iov, n);
}

static void resume(NetClient *c)
{
    if (((NetPasst *)netdev_of(c))->stream)
        net_stream_resume(((NetPasst *)netdev_of(c))->stream);
}

static bool lend_queues(NetPasst *p, int fd, GError **error)
{
    const char *id = p->n.client.name;
    p->chardev = g_strdup_printf("passt.%s", *id == '#' ? id + 1 : id);
    g_autofree char *option = g_strdup_printf("socket,id=%s,fd=%d", p->chardev, fd);
    p->n.client.outside = chardev_from_option(p->n.client.vm, option, error);
    if (!p->n.client.outside)
        g_clear_pointer(&p->chardev, g_free);
    return p->n.client.outside;
}

static bool open_passt(Netdev *n, const NetdevOptions *options, GError **error)
{
    NetPasst *p = (NetPasst *)n;
    const Options *o = options->u.passt;
    if (o->has_mtu && (o->mtu < 0 || o->mtu > UINT16_MAX))
        return error_set(error, "mtu=%" G_GINT64_FORMAT ": 0 to %d work", o->mtu, UINT16_MAX);
    if (o->has_ipv4 && !o->ipv4 && o->has_ipv6 && !o->ipv6)
        return error_set(error, "ipv4=off and ipv6=off leave nothing");
    int fd = start(o, error);
    if (fd < 0)
        return false;
    if (o->has_vhost_user && o->vhost_user && !lend_queues(p, fd, error))
        return false;
    if (!p->chardev)
        p->stream = net_stream_new_fd(&n->client, fd);
    g_free(n->client.info);
    n->client.info = g_strdup_printf("%s,%s", o->path ? o->path : "passt", p->chardev ? "vhost-user" : "stream-connected");
    return true;
}

static void close_passt(Netdev *n)
{
    NetPasst *p = (NetPasst *)n;
    g_autoptr(GError) error = NULL;
    n->client.outside = NULL;
    g_clear_pointer(&p->stream, net_stream_free);
    if (p->chardev && !chardev_delete(n->client.vm, p->chardev, &error))
        log_write("netdev '%s': %s\n", n->client.name, error->message);
    g_clear_pointer(&p->chardev, g_free);
}

static const NetdevType netdev_passt = {
    .name = "netdev-passt", .parent = "netdev", .desc = "a program that connects by sockets of the host",
    .size = sizeof(NetPasst), .kind = NET_CLIENT_DRIVER_PASST, .ops = {.receive = receive, .resume = resume},
    .open = open_passt, .close = close_passt,
};
OBJECT_TYPE(netdev_passt);
