/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -netdev user: a virtual network with DHCP, DNS and TFTP whose connections leave through the host's
 * sockets, by libslirp. It polls through a GSource of the loop; nothing needs rights on the host.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libslirp.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "chardev/chardev.h"
#include "net/internal.h"
#include "net/user.h"
#include "util/bytes.h"

typedef struct Forward Forward;

typedef struct NetUser {
    Netdev n;
    Slirp *slirp;
    GSource *source;
    GPtrArray *polls;           /* GPollFD *, added to the source */
    unsigned n_polls;           /* used in this round */
    int64_t deadline;           /* of this round, monotonic us; INT64_MAX: none */
    bool neighbour_told;        /* an address that packets wait for may be known now */
    GPtrArray *forwards;        /* Forward *: guestfwd to character devices */
    struct in_addr net, mask, host, dhcp, dns;
    uint8_t *linear;
} NetUser;

struct Forward {
    NetUser *u;
    CharFrontend fe;
    struct in_addr server;
    int port;
};

/* ---- polling ---- */

typedef struct SlirpSource {
    GSource source;
    NetUser *u;
} SlirpSource;

static GIOCondition to_glib(int events)
{
    return (events & SLIRP_POLL_IN ? G_IO_IN : 0) | (events & SLIRP_POLL_OUT ? G_IO_OUT : 0) |
           (events & SLIRP_POLL_PRI ? G_IO_PRI : 0) | (events & SLIRP_POLL_ERR ? G_IO_ERR : 0) |
           (events & SLIRP_POLL_HUP ? G_IO_HUP : 0);
}

/* GLib sorts by descriptor, so that an entry may change its events but not its descriptor. */
static int add_poll(int fd, int events, void *opaque)
{
    NetUser *u = opaque;
    unsigned i = u->n_polls++;
    GPollFD *p = i < u->polls->len ? g_ptr_array_index(u->polls, i) : NULL;
    if (!p || p->fd != fd) {
        if (p)
            g_source_remove_poll(u->source, p);
        else
            g_ptr_array_add(u->polls, p = g_new0(GPollFD, 1));
        p->fd = fd;
        p->events = to_glib(events);
        g_source_add_poll(u->source, p);
    }
    p->events = to_glib(events);
    p->revents = 0;
    return (int)i;
}

static int get_revents(int i, void *opaque)
{
    NetUser *u = opaque;
    gushort r = ((GPollFD *)g_ptr_array_index(u->polls, i))->revents;
    return (r & G_IO_IN ? SLIRP_POLL_IN : 0) | (r & G_IO_OUT ? SLIRP_POLL_OUT : 0) |
           (r & G_IO_PRI ? SLIRP_POLL_PRI : 0) | (r & G_IO_ERR ? SLIRP_POLL_ERR : 0) |
           (r & G_IO_HUP ? SLIRP_POLL_HUP : 0);
}

static gboolean prepare(GSource *source, gint *timeout)
{
    NetUser *u = ((SlirpSource *)source)->u;
    uint32_t ms = UINT32_MAX;
    u->n_polls = 0;
    slirp_pollfds_fill(u->slirp, &ms, add_poll, u);
    while (u->polls->len > u->n_polls) {
        GPollFD *p = g_ptr_array_index(u->polls, u->polls->len - 1);
        g_source_remove_poll(source, p);
        g_free(p);
        g_ptr_array_set_size(u->polls, u->polls->len - 1);
    }
    if (u->neighbour_told)
        ms = 0;
    *timeout = ms == UINT32_MAX ? -1 : (gint)MIN(ms, 1000000u);
    u->deadline = ms == UINT32_MAX ? INT64_MAX : g_get_monotonic_time() + (int64_t)*timeout * 1000;
    return FALSE;
}

static gboolean check(GSource *source)
{
    NetUser *u = ((SlirpSource *)source)->u;
    for (unsigned i = 0; i < u->n_polls; i++)
        if (((GPollFD *)g_ptr_array_index(u->polls, i))->revents)
            return TRUE;
    return u->deadline != INT64_MAX && g_get_monotonic_time() >= u->deadline;
}

static gboolean dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    NetUser *u = ((SlirpSource *)source)->u;
    u->neighbour_told = false;
    slirp_pollfds_poll(u->slirp, 0, get_revents, u);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.prepare = prepare, .check = check, .dispatch = dispatch};

/* ---- what libslirp calls ---- */

static ssize_t to_guest(const void *buf, size_t n, void *opaque)
{
    struct iovec iov = {(void *)buf, n};
    net_send(&((NetUser *)opaque)->n.client, &iov, 1);
    return n;
}

static void guest_error(const char *msg, void *opaque)
{
    log_write("netdev '%s': %s\n", ((NetUser *)opaque)->n.client.name, msg);
}

static int64_t now_ns(void *opaque) { return clock_ns(((NetUser *)opaque)->n.client.vm, CLOCK_K_REALTIME); }

typedef struct SlirpTimer {
    NetUser *u;
    SlirpTimerCb fn;
    void *opaque;
    unsigned id;
} SlirpTimer;

static void *timer_new(SlirpTimerCb fn, void *cb_opaque, void *opaque)
{
    SlirpTimer *t = g_new0(SlirpTimer, 1);
    *t = (SlirpTimer){opaque, fn, cb_opaque, 0};
    return t;
}

static void timer_fired(void *data)
{
    SlirpTimer *t = data;
    t->id = 0;
    t->fn(t->opaque);
}

static void timer_stop(SlirpTimer *t)
{
    if (t->id)
        loop_cancel(net_loop(&t->u->n.client), t->id);
    t->id = 0;
}

static void timer_free(void *timer, void *opaque)
{
    timer_stop(timer);
    g_free(timer);
}

static void timer_mod(void *timer, int64_t at_ms, void *opaque)
{
    SlirpTimer *t = timer;
    timer_stop(t);
    int64_t in = at_ms - now_ns(opaque) / 1000000;
    t->id = loop_after(net_loop(&t->u->n.client), (unsigned)CLAMP(in, 0, INT_MAX), timer_fired, t);
}

static void ignore_fd(int fd, void *opaque) {}
static void wake(void *opaque)
{
    g_main_context_wakeup(loop_context(net_loop(&((NetUser *)opaque)->n.client)));
}

static const SlirpCb callbacks = {
    .send_packet = to_guest, .guest_error = guest_error, .clock_get_ns = now_ns, .timer_new = timer_new,
    .timer_free = timer_free, .timer_mod = timer_mod, .register_poll_fd = ignore_fd,
    .unregister_poll_fd = ignore_fd, .notify = wake,
};

/* ARP, or ICMPv6 (RFC 4861). Packets for neighbours whose address was not known go out in the source's next
 * dispatch only, which nothing else may cause for a long time. */
static bool tells_neighbour(const uint8_t *data, size_t bytes)
{
    enum { TYPE = 12, ARP = 0x0806, IPV6 = 0x86dd, NEXT_HEADER = 20, ICMPV6 = 58 };
    unsigned type = bytes > NEXT_HEADER ? get_be16(data + TYPE) : 0;
    return type == ARP || (type == IPV6 && data[NEXT_HEADER] == ICMPV6);
}

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    NetUser *u = (NetUser *)netdev_of(c);
    const uint8_t *data;
    size_t bytes = net_linear(iov, n, &data, u->linear);
    if (bytes)
        slirp_input(u->slirp, data, (int)bytes);
    u->neighbour_told |= tells_neighbour(data, bytes);
    return true;
}

/* ---- addresses ---- */

static bool read_address(const char *text, const char *what, struct in_addr *a, GError **error)
{
    return !text || inet_pton(AF_INET, text, a) == 1 ||
           error_set(error, "%s=%s is not an IPv4 address", what, text);
}

/* "10.0.2.0/24", "10.0.2.0/255.255.255.0" or an address whose class says the mask. */
static bool read_net(NetUser *u, const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    char *end = NULL;
    if (!read_address(parts[0], "net", &u->net, error))
        return false;
    uint32_t net = ntohl(u->net.s_addr);
    unsigned bits = !(net & 1u << 31) ? 8 : (net & 3u << 30) == 2u << 30 ? 16 : 24;
    if (parts[1] && strchr(parts[1], '.')) {
        if (!read_address(parts[1], "net", &u->mask, error))
            return false;
    } else {
        if (parts[1]) {
            unsigned long v = strtoul(parts[1], &end, 10);
            if (*end || end == parts[1] || v < 4 || v > 30)
                return error_set(error, "net=%s: the mask has 4 to 30 bits", text);
            bits = v;
        }
        u->mask.s_addr = htonl(~0u << (32 - bits));
    }
    uint32_t mask = ntohl(u->mask.s_addr);
    if (~mask & (~mask + 1) || ~mask < 3)
        return error_set(error, "net=%s: such a mask is not possible", text);
    u->net.s_addr &= u->mask.s_addr;
    return true;
}

static struct in_addr in_net(const NetUser *u, uint32_t n)
{
    return (struct in_addr){u->net.s_addr | (htonl(n) & ~u->mask.s_addr)};
}

static bool inside(const NetUser *u, struct in_addr a) { return (a.s_addr & u->mask.s_addr) == u->net.s_addr; }

static bool read_addresses(NetUser *u, const NetdevUserOptions *o, GError **error)
{
    const char *net = o->net ? o->net : o->ip ? o->ip : "10.0.2.0/24";
    if (!read_net(u, net, error))
        return false;
    u->host = in_net(u, 2);
    u->dhcp = in_net(u, 15);
    u->dns = in_net(u, 3);
    if (!read_address(o->host, "host", &u->host, error) ||
        !read_address(o->dhcpstart, "dhcpstart", &u->dhcp, error) ||
        !read_address(o->dns, "dns", &u->dns, error))
        return false;
    if (!inside(u, u->host) || !inside(u, u->dhcp) || !inside(u, u->dns))
        return error_set(error, "host, dhcpstart and dns must be in the network %s", net);
    if (u->host.s_addr == u->dns.s_addr)
        return error_set(error, "host and dns must differ");
    return true;
}

/* ---- hostfwd, guestfwd ---- */

/* Takes "HOST:PORT" up to `end` off *text. The caller frees *host. */
static bool split_endpoint(const char **text, char end, char **host, int *port)
{
    const char *stop = strchr(*text, end);
    g_autofree char *part = stop ? g_strndup(*text, stop - *text) : g_strdup(*text);
    char *colon = strrchr(part, ':'), *rest;
    if ((end && !stop) || !colon)
        return false;
    *colon = 0;
    unsigned long v = strtoul(colon + 1, &rest, 10);
    if (*rest || rest == colon + 1 || v > 65535)
        return false;
    *port = (int)v;
    *host = g_strdup(part);
    *text = stop ? stop + 1 : *text + strlen(*text);
    return true;
}

/* An empty host leaves *a alone. */
static bool take_endpoint(const char **text, char end, struct in_addr *a, int *port)
{
    g_autofree char *host = NULL;
    return split_endpoint(text, end, &host, port) && (!*host || inet_pton(AF_INET, host, a) == 1);
}

/* "[ADDRESS]:PORT"; no address means any. */
static bool take_endpoint6(const char **text, char end, struct sockaddr_in6 *a)
{
    g_autofree char *host = NULL;
    int port;
    *a = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    if (!split_endpoint(text, end, &host, &port))
        return false;
    a->sin6_port = htons(port);
    size_t n = strlen(host);
    if (!n)
        return true;
    if (n < 3 || *host != '[' || host[n - 1] != ']')
        return false;
    host[n - 1] = 0;
    return inet_pton(AF_INET6, host + 1, &a->sin6_addr) == 1;
}

static bool take_protocol(const char **text, bool *udp)
{
    const char *colon = strchr(*text, ':');
    if (!colon)
        return false;
    size_t n = colon - *text;
    *udp = n == 3 && !strncmp(*text, "udp", 3);
    if (n && !*udp && !(n == 3 && !strncmp(*text, "tcp", 3)))
        return false;
    *text = colon + 1;
    return true;
}

/* [tcp|udp]:[[HOST]]:PORT-[GUEST]:PORT with IPv6 addresses in brackets. */
static bool add_hostfwd6(NetUser *u, const char *text, GError **error)
{
    struct sockaddr_in6 host, guest;
    bool udp;
    const char *p = text;
    if (!take_protocol(&p, &udp) || !take_endpoint6(&p, '-', &host) || !take_endpoint6(&p, 0, &guest) ||
        !guest.sin6_port || IN6_IS_ADDR_UNSPECIFIED(&guest.sin6_addr))
        return error_set(error, "invalid host forwarding rule '%s'; expected "
                         "[tcp|udp]:[[HOST]]:PORT-[GUEST]:PORT with IPv6 addresses in brackets", text);
    int flags = (udp ? SLIRP_HOSTFWD_UDP : 0) | SLIRP_HOSTFWD_V6ONLY;
    if (slirp_add_hostxfwd(u->slirp, (struct sockaddr *)&host, sizeof(host), (struct sockaddr *)&guest,
                           sizeof(guest), flags) < 0)
        return error_set_errno(error, errno, "could not set up host forwarding rule '%s'", text);
    return true;
}

static bool add_hostfwd(NetUser *u, const char *text, GError **error)
{
    if (strchr(text, '['))
        return add_hostfwd6(u, text, error);
    struct in_addr host = {INADDR_ANY}, guest = {INADDR_ANY};
    int host_port, guest_port;
    bool udp;
    const char *p = text;
    if (!take_protocol(&p, &udp) || !take_endpoint(&p, '-', &host, &host_port) ||
        !take_endpoint(&p, 0, &guest, &guest_port) || !guest_port)
        return error_set(error, "invalid host forwarding rule '%s'; expected "
                         "[tcp|udp]:[HOST]:PORT-[GUEST]:PORT", text);
    if (slirp_add_hostfwd(u->slirp, udp, host, host_port, guest, guest_port) < 0)
        return error_set_errno(error, errno, "could not set up host forwarding rule '%s'", text);
    return true;
}

static ssize_t forward_write(const void *buf, size_t n, void *opaque)
{
    char_write_all(&((Forward *)opaque)->fe, buf, (unsigned)n);
    return (ssize_t)n;
}

static unsigned forward_can_read(void *opaque)
{
    Forward *f = opaque;
    return (unsigned)MIN(slirp_socket_can_recv(f->u->slirp, f->server, f->port), 65536u);
}

static void forward_read(void *opaque, const uint8_t *buf, unsigned n)
{
    Forward *f = opaque;
    slirp_socket_recv(f->u->slirp, f->server, f->port, buf, (int)n);
}

static void forward_free(gpointer p)
{
    Forward *f = p;
    char_detach(&f->fe);
    g_free(f);
}

static bool forward_to_chardev(NetUser *u, struct in_addr server, int port, const char *target,
                               GError **error)
{
    Vm *vm = u->n.client.vm;
    g_autofree char *id = g_strdup_printf("guestfwd.%s.%d", u->n.client.name, port);
    g_autoptr(GError) failed = NULL;
    Chardev *chr = chardev_from_legacy(vm, id, target, NULL, &failed);
    if (failed) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return false;
    }
    Forward *f = g_new0(Forward, 1);
    *f = (Forward){.u = u, .server = server, .port = port};
    f->fe = (CharFrontend){.can_read = forward_can_read, .read = forward_read, .opaque = f};
    g_ptr_array_add(u->forwards, f);
    if (slirp_add_guestfwd(u->slirp, forward_write, f, &f->server, port) < 0)
        return error_set(error, "the address is not possible in this network");
    return char_attach(&f->fe, chr, error);
}

static bool add_guestfwd(NetUser *u, const char *text, GError **error)
{
    struct in_addr server = {0};
    int port;
    bool udp;
    const char *p = text;
    if (!take_protocol(&p, &udp) || udp || !take_endpoint(&p, '-', &server, &port) || !port || !*p)
        return error_set(error, "invalid guest forwarding rule '%s'; expected "
                         "tcp:SERVER:PORT-CHARDEV or tcp:SERVER:PORT-cmd:COMMAND", text);
    bool ok = g_str_has_prefix(p, "cmd:")
                  ? slirp_add_exec(u->slirp, p + 4, &server, port) == 0 ||
                        error_set(error, "the address is not possible in this network")
                  : forward_to_chardev(u, server, port, p, error);
    if (!ok)
        g_prefix_error(error, "guest forwarding rule '%s': ", text);
    return ok;
}

static bool add_forwards(NetUser *u, const NetdevUserOptions *o, GError **error)
{
    for (size_t i = 0; o->hostfwd && i < o->hostfwd->count; i++)
        if (!add_hostfwd(u, o->hostfwd->items[i]->str, error))
            return false;
    for (size_t i = 0; o->guestfwd && i < o->guestfwd->count; i++)
        if (!add_guestfwd(u, o->guestfwd->items[i]->str, error))
            return false;
    return true;
}

/* ---- rules while it runs ---- */

static NetUser *find_user(Vm *vm, const char *id, GError **error)
{
    g_auto(GStrv) ids = vm_service_ids(vm, "netdev");
    for (unsigned i = 0; ids && ids[i]; i++) {
        Netdev *n = netdev_find(vm, ids[i]);
        if (object_is_a(&n->object, "netdev-user") && (!id || !strcmp(id, ids[i])))
            return (NetUser *)n;
    }
    if (!id)
        error_set(error, "user mode network stack not in use");
    else
        error_set(error, netdev_find(vm, id) ? "netdev '%s' is not of type user" : "unrecognized netdev id '%s'", id);
    return NULL;
}

bool net_user_forward(Vm *vm, const char *id, const char *rule, GError **error)
{
    NetUser *u = find_user(vm, id, error);
    return u && add_hostfwd(u, rule, error);
}

bool net_user_unforward(Vm *vm, const char *id, const char *rule, GError **error)
{
    NetUser *u = find_user(vm, id, error);
    struct in_addr host = {INADDR_ANY};
    struct sockaddr_in6 host6;
    int port, gone = -1;
    bool udp, wide = strchr(rule, '[') != NULL;
    const char *p = rule;
    if (!u)
        return false;
    if (!take_protocol(&p, &udp) || !(wide ? take_endpoint6(&p, 0, &host6) : take_endpoint(&p, 0, &host, &port)))
        return error_set(error, "invalid format; expected [tcp|udp]:[HOST]:PORT");
    if (wide)
        gone = slirp_remove_hostxfwd(u->slirp, (struct sockaddr *)&host6, sizeof(host6),
                                     (udp ? SLIRP_HOSTFWD_UDP : 0) | SLIRP_HOSTFWD_V6ONLY);
    else
        gone = slirp_remove_hostfwd(u->slirp, udp, host, port);
    return gone == 0 || error_set_class(error, MYNA_ERROR_DEVICE_NOT_FOUND, "host forwarding rule for %s not found", rule);
}

char *net_user_connections(Vm *vm)
{
    GString *out = g_string_new(NULL);
    g_auto(GStrv) ids = vm_service_ids(vm, "netdev");
    for (unsigned i = 0; ids && ids[i]; i++) {
        Netdev *n = netdev_find(vm, ids[i]);
        if (!object_is_a(&n->object, "netdev-user"))
            continue;
        char *text = slirp_connection_info(((NetUser *)n)->slirp);
        g_string_append_printf(out, "Hub -1 (%s):\n%s", ids[i], text);
        free(text);
    }
    return g_string_free(out, FALSE);
}

/* ---- opening ---- */

static bool read_ipv6(SlirpConfig *c, const NetdevUserOptions *o, GError **error)
{
    const char *prefix = o->ipv6_prefix ? o->ipv6_prefix : "fec0::";
    if (o->has_ipv6_prefixlen && (o->ipv6_prefixlen < 0 || o->ipv6_prefixlen > 126))
        return error_set(error, "ipv6-prefixlen must be between 0 and 126");
    c->vprefix_len = o->has_ipv6_prefixlen ? o->ipv6_prefixlen : 64;
    if (inet_pton(AF_INET6, prefix, &c->vprefix_addr6) != 1)
        return error_set(error, "ipv6-prefix=%s is not an IPv6 address", prefix);
    c->vhost6 = c->vnameserver6 = c->vprefix_addr6;
    c->vhost6.s6_addr[15] |= 2;
    c->vnameserver6.s6_addr[15] |= 3;
    if (o->ipv6_host && inet_pton(AF_INET6, o->ipv6_host, &c->vhost6) != 1)
        return error_set(error, "ipv6-host=%s is not an IPv6 address", o->ipv6_host);
    if (o->ipv6_dns && inet_pton(AF_INET6, o->ipv6_dns, &c->vnameserver6) != 1)
        return error_set(error, "ipv6-dns=%s is not an IPv6 address", o->ipv6_dns);
    return true;
}

/* Each switch said alone turns the other one off, unless that is said, too. */
static bool choose_versions(SlirpConfig *c, const NetdevUserOptions *o, GError **error)
{
    c->in_enabled = o->has_ipv4 ? o->ipv4 : !(o->has_ipv6 && o->ipv6);
    c->in6_enabled = o->has_ipv6 ? o->ipv6 : !(o->has_ipv4 && o->ipv4);
    if (!c->in_enabled && !c->in6_enabled)
        return error_set(error, "IPv4 and IPv6 are both off");
    return true;
}

static bool check_texts(const NetdevUserOptions *o, GError **error)
{
    if (o->smb || o->smbserver)
        return error_set(error, "smb: sharing folders is not implemented");
    if (o->bootfile && strlen(o->bootfile) > 127)
        return error_set(error, "bootfile is longer than 127 characters");
    if (o->domainname && strlen(o->domainname) > 255)
        return error_set(error, "domainname is longer than 255 characters");
    if (o->tftp_server_name && strlen(o->tftp_server_name) > 255)
        return error_set(error, "tftp-server-name is longer than 255 characters");
    return !o->hostname || strlen(o->hostname) < 256 ||
           error_set(error, "hostname is longer than 255 characters");
}

static bool open_user(Netdev *n, const NetdevOptions *options, GError **error)
{
    NetUser *u = (NetUser *)n;
    const NetdevUserOptions *o = options->u.user;
    SlirpConfig c = {.version = 3, .restricted = o->has_restrict_ && o->restrict_};
    if (!check_texts(o, error) || !choose_versions(&c, o, error) || !read_addresses(u, o, error) ||
        !read_ipv6(&c, o, error))
        return false;
    g_autoptr(GPtrArray) search = g_ptr_array_new();
    for (size_t i = 0; o->dnssearch && i < o->dnssearch->count; i++)
        g_ptr_array_add(search, o->dnssearch->items[i]->str);
    g_ptr_array_add(search, NULL);
    c.vnetwork = u->net;
    c.vnetmask = u->mask;
    c.vhost = u->host;
    c.vdhcp_start = u->dhcp;
    c.vnameserver = u->dns;
    c.vhostname = o->hostname;
    c.tftp_path = o->tftp;
    c.tftp_server_name = o->tftp_server_name;
    c.bootfile = o->bootfile;
    c.vdomainname = o->domainname;
    c.vdnssearch = o->dnssearch ? (const char **)search->pdata : NULL;
    u->linear = g_malloc(NET_MAX_PACKET);
    u->polls = g_ptr_array_new();
    u->forwards = g_ptr_array_new_with_free_func(forward_free);
    u->slirp = slirp_new(&c, &callbacks, u);
    if (!u->slirp)
        return error_set(error, "libslirp refuses this configuration");
    char net[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &u->net, net, sizeof(net));
    n->client.info = g_strdup_printf("net=%s,restrict=%s", net, c.restricted ? "on" : "off");
    if (!add_forwards(u, o, error))
        return false;
    u->source = g_source_new(&source_funcs, sizeof(SlirpSource));
    ((SlirpSource *)u->source)->u = u;
    g_source_attach(u->source, loop_context(net_loop(&n->client)));
    return true;
}

static void close_user(Netdev *n)
{
    NetUser *u = (NetUser *)n;
    if (u->source) {
        g_source_destroy(u->source);
        g_source_unref(u->source);
    }
    g_clear_pointer(&u->forwards, g_ptr_array_unref);
    if (u->slirp)
        slirp_cleanup(u->slirp);
    for (unsigned i = 0; u->polls && i < u->polls->len; i++)
        g_free(g_ptr_array_index(u->polls, i));
    g_clear_pointer(&u->polls, g_ptr_array_unref);
    g_free(u->linear);
}

static const NetdevType netdev_user = {
    .name = "netdev-user", .parent = "netdev", .desc = "address translation in user space",
    .size = sizeof(NetUser), .kind = NET_CLIENT_DRIVER_USER, .ops = {.receive = receive},
    .open = open_user, .close = close_user,
};
OBJECT_TYPE(netdev_user);
