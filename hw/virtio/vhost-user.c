/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front end's half of the vhost-user protocol. Spec: QEMU's docs/interop/vhost-user.rst.
 *
 * Requests with an answer wait for it, for a limited time. A back end that answers late, wrongly or not
 * at all is cut off; the device then waits for another to be connected (the chardev's reconnect=).
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hw/virtio/vhost.h"
#include "util/error.h"
#include "util/log.h"
#include "util/socket.h"

enum {
    GET_FEATURES = 1, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 5, SET_VRING_NUM = 8, SET_VRING_ADDR,
    SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, GET_PROTOCOL_FEATURES = 15,
    SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE, SET_BACKEND_REQ_FD = 21, GET_CONFIG = 24,
    SET_CONFIG, GET_MAX_MEM_SLOTS = 36, ADD_MEM_REG, REM_MEM_REG,
    BACKEND_CONFIG_CHANGE = 2,  /* on the back end's channel */
    VERSION = 1, VERSION_BITS = 3, REPLY = 4, NEED_REPLY = 8,
    MAX_FDS = 8, MAX_PAYLOAD = 4096, TIMEOUT_MS = 10000, CONFIG_HEAD = 12,
};
#define F_PROTOCOL (1ull << 30)
enum { P_MQ = 1 << 0, P_REPLY_ACK = 1 << 3, P_BACKEND_REQ = 1 << 5, P_CONFIG = 1 << 9, P_MEM_SLOTS = 1 << 15 };
enum { PROTOCOL = P_MQ | P_REPLY_ACK | P_BACKEND_REQ | P_CONFIG | P_MEM_SLOTS };

typedef struct __attribute__((packed)) Message {
    uint32_t request, flags, size;
    union {
        uint64_t u64;
        struct { uint32_t index, num; } state;
        struct { uint32_t index, flags; uint64_t desc, used, avail, log; } addr;
        struct __attribute__((packed)) Region { uint64_t at, size, host, offset; } region[MAX_FDS];
        struct { uint32_t offset, size, flags; uint8_t data[256]; } config;
        uint8_t bytes[MAX_PAYLOAD];
    };
} Message;
enum { HEAD = 12 };

static VhostUser *user_of(Vhost *h) { return (VhostUser *)h; }

/* ---- one message ---- */

/* The chardev notices, and says that it is closed. */
static bool cut(VhostUser *u, const char *why)
{
    int fd = char_socket(&u->fe);
    log_write("%s: vhost-user back end: %s\n", u->h.v ? u->h.v->dev.object.type->name : "vhost-user", why);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
    u->connected = false;
    return false;
}

static bool send_all(int sock, const Message *m, const int *fds, unsigned n_fds)
{
    char control[CMSG_SPACE(MAX_FDS * sizeof(int))] = {0};
    size_t done = 0, bytes = HEAD + m->size;
    while (done < bytes) {
        struct iovec iov = {(char *)m + done, bytes - done};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        if (n_fds && !done) {
            msg.msg_control = control;
            msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
            struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
            *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(n_fds * sizeof(int)), .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS};
            memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
        }
        ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL);
        if (n > 0)
            done += (size_t)n;
        else if (errno == EAGAIN ? !socket_wait(sock, POLLOUT, TIMEOUT_MS) : errno != EINTR)
            return false;
    }
    return true;
}

static bool receive_all(int sock, void *to, size_t bytes) { return socket_recv_all(sock, to, bytes, TIMEOUT_MS); }

/* The answer takes the request's place in m; its payload has at least `least` bytes. */
static bool answer(VhostUser *u, Message *m, uint32_t least)
{
    uint32_t request = m->request;
    int sock = char_socket(&u->fe);
    if (sock < 0 || !receive_all(sock, m, HEAD))
        return cut(u, "no answer");
    if (m->request != request || (m->flags & (VERSION_BITS | REPLY)) != (VERSION | REPLY) ||
        m->size > sizeof(m->bytes) || m->size < least)
        return cut(u, "an answer that does not fit its request");
    return receive_all(sock, m->bytes, m->size) || cut(u, "an answer that ends early");
}

static bool say(VhostUser *u, Message *m, uint32_t request, uint32_t size, const int *fds, unsigned n_fds)
{
    int sock = char_socket(&u->fe);
    m->request = request;
    m->flags = VERSION | (m->flags & NEED_REPLY);
    m->size = size;
    return u->connected && sock >= 0 && (send_all(sock, m, fds, n_fds) || cut(u, "it does not listen"));
}

static bool ask(VhostUser *u, Message *m, uint32_t request, uint32_t size, uint32_t least)
{
    return say(u, m, request, size, NULL, 0) && answer(u, m, least);
}

static bool get_u64(VhostUser *u, uint32_t request, uint64_t *value)
{
    Message m = {0};
    if (!ask(u, &m, request, 0, 8))
        return false;
    *value = m.u64;
    return true;
}

/* Waits until it was done, where the back end can say so. */
static bool acknowledged(VhostUser *u, Message *m, uint32_t request, uint32_t size, const int *fds,
                         unsigned n_fds)
{
    bool ack = u->protocol & P_REPLY_ACK;
    m->flags = ack ? NEED_REPLY : 0;
    if (!say(u, m, request, size, fds, n_fds) || (ack && !answer(u, m, 8)))
        return false;
    return !ack || !m->u64 || cut(u, "it refused a request");
}

/* ---- what vhost.c asks for ---- */

static bool set_u64(VhostUser *u, uint32_t request, uint64_t value)
{
    Message m = {.u64 = value};
    return say(u, &m, request, 8, NULL, 0);
}

static bool set_features(Vhost *h, uint64_t features)
{
    return set_u64(user_of(h), SET_FEATURES, features | (h->features & F_PROTOCOL));
}

static bool one_region(VhostUser *u, uint32_t request, const VhostRegion *r)
{
    Message m = {0};
    struct __attribute__((packed)) { uint64_t padding; struct Region r; } body = {
        0, {r->at, r->size, (uint64_t)(uintptr_t)r->host, r->fd_offset}};
    memcpy(m.bytes, &body, sizeof(body));
    return acknowledged(u, &m, request, sizeof(body), &r->fd, request == ADD_MEM_REG);
}

static bool knows(const VhostRegion *list, unsigned n, const VhostRegion *r)
{
    for (unsigned i = 0; i < n; i++)
        if (!memcmp(&list[i], r, sizeof(*r)))
            return true;
    return false;
}

/* Region by region, so that what runs is not disturbed. */
static bool update_regions(VhostUser *u)
{
    Vhost *h = &u->h;
    for (unsigned i = 0; i < u->n_told; i++)
        if (!knows(h->region, h->n_regions, &u->told[i]) && !one_region(u, REM_MEM_REG, &u->told[i]))
            return false;
    for (unsigned i = 0; i < h->n_regions; i++)
        if (!knows(u->told, u->n_told, &h->region[i]) && !one_region(u, ADD_MEM_REG, &h->region[i]))
            return false;
    return true;
}

static bool send_table(VhostUser *u)
{
    Vhost *h = &u->h;
    Message m = {0};
    int fds[MAX_FDS];
    struct __attribute__((packed)) { uint32_t n, padding; struct Region r[MAX_FDS]; } table = {h->n_regions};
    for (unsigned i = 0; i < h->n_regions; i++) {
        const VhostRegion *r = &h->region[i];
        table.r[i] = (struct Region){r->at, r->size, (uint64_t)(uintptr_t)r->host, r->fd_offset};
        fds[i] = r->fd;
    }
    uint32_t size = 8 + h->n_regions * sizeof(struct Region);
    memcpy(m.bytes, &table, size);
    return acknowledged(u, &m, SET_MEM_TABLE, size, fds, h->n_regions);
}

static bool set_memory(Vhost *h)
{
    VhostUser *u = user_of(h);
    unsigned limit = u->protocol & P_MEM_SLOTS ? MIN(u->max_slots, VHOST_MAX_REGIONS) : MAX_FDS;
    if (h->n_regions > limit)
        return cut(u, "it cannot map as many pieces of memory as there are");
    bool ok = u->protocol & P_MEM_SLOTS ? update_regions(u) : send_table(u);
    u->n_told = ok ? h->n_regions : 0;
    memcpy(u->told, h->region, sizeof(u->told));
    return ok;
}

static bool set_state(VhostUser *u, uint32_t request, unsigned index, unsigned num)
{
    Message m = {.state = {index, num}};
    return say(u, &m, request, 8, NULL, 0);
}

static bool start_ring(Vhost *h, VhostQueue *q)
{
    VhostUser *u = user_of(h);
    Message addr = {.addr = {.index = q->index, .desc = (uintptr_t)q->desc, .used = (uintptr_t)q->used,
                             .avail = (uintptr_t)q->avail}};
    Message fd = {.u64 = q->index}, fd2 = fd;
    return set_state(u, SET_VRING_NUM, q->index, q->size) && set_state(u, SET_VRING_BASE, q->index, 0) &&
           say(u, &addr, SET_VRING_ADDR, sizeof(addr.addr), NULL, 0) &&
           say(u, &fd2, SET_VRING_CALL, 8, &q->call, 1) && say(u, &fd, SET_VRING_KICK, 8, &q->kick, 1) &&
           (!(h->features & F_PROTOCOL) || set_state(u, SET_VRING_ENABLE, q->index, !q->disabled));
}

void vhost_user_enable(VhostUser *u, VhostQueue *q, bool on)
{
    bool change = q->disabled == on;
    q->disabled = !on;
    if (change && q->watch && u->h.features & F_PROTOCOL)
        set_state(u, SET_VRING_ENABLE, q->index, on);
}

static bool stop_ring(Vhost *h, VhostQueue *q)
{
    VhostUser *u = user_of(h);
    Message m = {.state = {q->index, 0}};
    if (h->features & F_PROTOCOL && !set_state(u, SET_VRING_ENABLE, q->index, 0))
        return false;
    return ask(u, &m, GET_VRING_BASE, 8, 8);
}

static const VhostOps ops = {
    .set_features = set_features, .set_memory = set_memory, .start_ring = start_ring, .stop_ring = stop_ring,
};

/* ---- configuration and the back end's own channel ---- */

static bool get_config(VhostUser *u)
{
    Message m = {.config = {.size = u->config_size}};
    if (!ask(u, &m, GET_CONFIG, CONFIG_HEAD + u->config_size, CONFIG_HEAD + u->config_size))
        return false;
    memcpy(u->config, m.config.data, u->config_size);
    return true;
}

void vhost_user_set_config(VhostUser *u, unsigned at, const uint8_t *data, unsigned n)
{
    Message m = {.config = {.offset = at, .size = n}};
    if (!(u->protocol & P_CONFIG) || n > sizeof(m.config.data))
        return;
    memcpy(m.config.data, data, n);
    say(u, &m, SET_CONFIG, CONFIG_HEAD + n, NULL, 0);
}

static void close_channel(VhostUser *u)
{
    g_clear_pointer(&u->channel_watch, loop_fd_free);
    if (u->channel >= 0)
        close(u->channel);
    u->channel = -1;
}

/* A request of the back end; its descriptors are not wanted for any that we know. */
static void channel_event(int fd, GIOCondition ready, void *data)
{
    VhostUser *u = data;
    Message m;
    if (!receive_all(fd, &m, HEAD) || (m.flags & VERSION_BITS) != VERSION || m.size > sizeof(m.bytes) ||
        !receive_all(fd, m.bytes, m.size)) {
        close_channel(u);
        return;
    }
    bool known = m.request == BACKEND_CONFIG_CHANGE && u->wants_config;
    if (m.flags & NEED_REPLY) {
        Message r = {.request = m.request, .flags = VERSION | REPLY, .size = 8, .u64 = !known};
        send_all(fd, &r, NULL, 0);
    }
    if (known && get_config(u) && u->config_changed)
        u->config_changed(u->h.v);
}

static bool open_channel(VhostUser *u)
{
    int pair[2];
    Message m = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return false;
    u->channel = pair[0];
    u->channel_watch = loop_add_fd(u->h.v->loop, u->channel, G_IO_IN, channel_event, u);
    bool ok = acknowledged(u, &m, SET_BACKEND_REQ_FD, 0, &pair[1], 1);
    close(pair[1]);
    return ok;
}

/* ---- connecting ---- */

static bool negotiate(VhostUser *u)
{
    Message m = {0};
    uint64_t features, protocol = 0;
    u->protocol = 0;
    u->n_told = 0;
    u->max_queues = 1;
    if (!get_u64(u, GET_FEATURES, &features) || !say(u, &m, SET_OWNER, 0, NULL, 0))
        return false;
    if (features & F_PROTOCOL) {
        if (!get_u64(u, GET_PROTOCOL_FEATURES, &protocol))
            return false;
        protocol &= PROTOCOL & ~(u->wants_config ? 0u : (unsigned)P_CONFIG);
        if (!set_u64(u, SET_PROTOCOL_FEATURES, protocol))
            return false;
        u->protocol = protocol;
    }
    u->h.features = features;
    if ((protocol & P_MQ && !get_u64(u, GET_QUEUE_NUM, &u->max_queues)) ||
        (protocol & P_MEM_SLOTS && !get_u64(u, GET_MAX_MEM_SLOTS, &u->max_slots)) ||
        (protocol & P_BACKEND_REQ && protocol & P_CONFIG && !open_channel(u)))
        return false;
    if (u->wants_config && !(protocol & P_CONFIG))
        return cut(u, "it has no configuration space to offer");
    return !u->wants_config || get_config(u);
}

static unsigned can_read(void *opaque) { return 1; }

/* Nothing comes unasked. */
static void unexpected(void *opaque, const uint8_t *buf, unsigned n) { cut(opaque, "an answer to no question"); }

static void line_event(void *opaque, CharEvent event)
{
    VhostUser *u = opaque;
    uint64_t before = u->h.features;
    if (event == CHAR_EVENT_CLOSED) {
        if (u->connected)
            log_write("%s: the vhost-user back end is gone\n", u->h.v->dev.object.type->name);
        u->connected = false;
        close_channel(u);
        vhost_stop(&u->h, false, true);
        if (u->line_changed)
            u->line_changed(u->h.v);
    } else if (event == CHAR_EVENT_OPENED && !u->connected) {
        u->connected = true;
        if (!negotiate(u)) {
            u->connected = false;
            return;
        }
        if (u->h.v->features & before & ~u->h.features & VHOST_DEVICE_FEATURES)
            cut(u, "it lacks what the one before it offered to the driver");
        else if (u->h.started && vm_is_running(u->h.v->dev.object.vm))
            vhost_start(&u->h);
        if (u->line_changed)
            u->line_changed(u->h.v);
    }
}

bool vhost_user_open(VhostUser *u, VirtioDevice *v, unsigned config_size, bool wants_config, GError **error)
{
    if (!u->chr)
        return error_set(error, "%s: chardev= is needed: the socket of the back end", v->dev.object.type->name);
    if (!vhost_memory_is_shared(v->dev.object.vm, error))
        return false;
    vhost_init(&u->h, v, &ops, true);
    u->channel = -1;
    u->config_size = config_size;
    u->wants_config = wants_config;
    u->fe = (CharFrontend){.can_read = can_read, .read = unexpected, .event = line_event, .opaque = u};
    if (!char_attach(&u->fe, u->chr, error))
        return false;
    if (!u->connected && char_is_open(&u->fe))
        line_event(u, CHAR_EVENT_OPENED);
    return u->connected || error_set(error, "%s: there is no back end behind chardev '%s', or it does not "
                                     "speak vhost-user", v->dev.object.type->name, u->chr ? chardev_filename(u->chr) : "");
}

void vhost_user_close(VhostUser *u)
{
    if (!u->h.v)
        return;
    vhost_stop(&u->h, true, !u->connected);
    u->connected = false;
    char_detach(&u->fe);
    close_channel(u);
    vhost_finish(&u->h);
}

void vhost_user_start(VhostUser *u)
{
    u->h.started = true;
    if (u->connected && vm_is_running(u->h.v->dev.object.vm))
        vhost_start(&u->h);
}

void vhost_user_stop(VhostUser *u) { vhost_stop(&u->h, true, !u->connected); }

void vhost_user_run(VhostUser *u, bool running)
{
    if (running)
        vhost_user_start(u);
    else
        vhost_stop(&u->h, false, !u->connected);
}
