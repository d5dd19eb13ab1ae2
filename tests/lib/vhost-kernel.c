/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library (LD_PRELOAD) that stands in for the kernel's /dev/vhost-net and /dev/vhost-vsock where the host has
 * none: it answers their ioctls as strictly as the kernel does and serves the rings in a thread. Behind vhost-net is
 * the tap interface that it is given; behind vhost-vsock are echo servers at ports 6000 of the host.
 * Spec: Linux include/uapi/linux/vhost.h; virtio 1.2, 2.7, 5.1, 5.10.
 *
 * A device is a memfd of that name, so that a test can also open one and hand it over by number.
 * VHOST_REFUSE is the number of a ring that no interface can be put behind.
 * VHOST_LOG names a file: a line for each ring that begins or ends, with the number of packets.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_DEVICES = 16, MAX_REGIONS = 64, PACKET = 65550 + 12, MAX_IOV = 1024, ECHO_PORT = 6000,
       CHUNK = 2048 };              /* fits a driver's buffer, whose size one learns too late */
#define BIT(n) (1ull << (n))
#define COMMON (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ANY_LAYOUT) | BIT(VHOST_F_LOG_ALL))

typedef struct Ring {
    unsigned num, polls;
    uint16_t next_avail, next_used;
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    int kick, call, err, tap;   /* tap: -1, nothing behind it */
    unsigned long packets;
} Ring;

typedef struct Stream Stream;
struct Stream {                 /* of a guest's port to ECHO_PORT */
    Stream *next;
    uint32_t port, src_port;
    uint32_t buf_alloc, fwd_cnt;        /* the guest's */
    uint32_t sent, received, from, n;   /* ours: bytes, and those in buf */
    bool ended;                 /* the guest sends no more */
    uint8_t buf[32768];
};

typedef struct Device {
    ino_t ino;
    bool vsock, owned, running, started;
    uint64_t features, cid;
    struct vhost_memory_region region[MAX_REGIONS];
    unsigned n_regions;
    Ring ring[2];
    int wake;
    pthread_mutex_t lock;
    pthread_t thread;
    Stream *streams;
    struct Answer { struct Answer *next; size_t n; uint8_t data[]; } *answers, **last;
} Device;

static Device devices[MAX_DEVICES];
static unsigned n_devices;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void say(const char *format, ...)
{
    const char *path = getenv("VHOST_LOG");
    FILE *f = path ? fopen(path, "a") : NULL;
    va_list args;
    if (!f)
        return;
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    fclose(f);
}

/* ---- rings ---- */

static void *at(Device *d, uint64_t address, uint64_t size)
{
    for (unsigned i = 0; i < d->n_regions; i++) {
        struct vhost_memory_region *r = &d->region[i];
        if (address >= r->guest_phys_addr && size <= r->memory_size &&
            address - r->guest_phys_addr <= r->memory_size - size)
            return (void *)(uintptr_t)(r->userspace_addr + (address - r->guest_phys_addr));
    }
    return NULL;
}

static void ring_error(Ring *r)
{
    uint64_t one = 1;
    say("error\n");
    if (r->err >= 0)
        (void)!write(r->err, &one, 8);
}

static bool waiting(Ring *r)
{
    return r->num && r->avail && __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE) != r->next_avail;
}

/* The next chain: its head, or -1. `in`: the buffers that we write, else those that we read. */
static int take(Device *d, Ring *r, struct iovec *iov, unsigned *n, bool in)
{
    if (!waiting(r))
        return -1;
    uint16_t head = r->avail->ring[r->next_avail % r->num], i = head;
    *n = 0;
    for (unsigned steps = 0; steps < r->num; steps++) {
        struct vring_desc *e = &r->desc[i % r->num];
        void *host = at(d, e->addr, e->len);
        if (i >= r->num || !host || *n == MAX_IOV || !(e->flags & VRING_DESC_F_WRITE) == in) {
            ring_error(r);
            return -1;
        }
        iov[(*n)++] = (struct iovec){host, e->len};
        if (!(e->flags & VRING_DESC_F_NEXT)) {
            r->next_avail++;
            return head;
        }
        i = e->next;
    }
    ring_error(r);
    return -1;
}

static void give(Ring *r, int head, size_t length)
{
    struct vring_used_elem *e = &r->used->ring[r->next_used % r->num];
    e->id = (uint32_t)head;
    e->len = (uint32_t)length;
    __atomic_store_n(&r->used->idx, ++r->next_used, __ATOMIC_SEQ_CST);
}

static void interrupt(Ring *r)
{
    uint64_t one = 1;
    if (!(__atomic_load_n(&r->avail->flags, __ATOMIC_SEQ_CST) & VRING_AVAIL_F_NO_INTERRUPT) && r->call >= 0)
        (void)!write(r->call, &one, 8);
}

static size_t copy(struct iovec *iov, unsigned n, void *data, size_t bytes, bool to_iov)
{
    size_t done = 0;
    for (unsigned i = 0; i < n && done < bytes; i++) {
        size_t k = iov[i].iov_len < bytes - done ? iov[i].iov_len : bytes - done;
        memcpy(to_iov ? iov[i].iov_base : (uint8_t *)data + done, to_iov ? (uint8_t *)data + done : iov[i].iov_base, k);
        done += k;
    }
    return done;
}

/* ---- packets ---- */

static size_t header(Device *d)
{
    return d->features & (BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_F_VERSION_1)) ? 12 : 10;
}
static size_t own_header(Device *d) { return d->features & BIT(VHOST_NET_F_VIRTIO_NET_HDR) ? header(d) : 0; }

static void send_packets(Device *d)
{
    static __thread uint8_t packet[PACKET];
    Ring *r = &d->ring[1];
    struct iovec iov[MAX_IOV];
    unsigned n, any = 0;
    int head;
    while (r->tap >= 0 && (head = take(d, r, iov, &n, false)) >= 0) {
        size_t bytes = copy(iov, n, packet, sizeof(packet), false), skip = own_header(d);
        if (bytes > skip && write(r->tap, packet + skip, bytes - skip) < 0)
            say("tap: %s\n", strerror(errno));
        give(r, head, 0);
        r->packets++;
        any++;
    }
    if (any)
        interrupt(r);
}

/* A packet goes into as many buffers as it takes, if the driver can have that. */
static void receive_packets(Device *d)
{
    static __thread uint8_t packet[PACKET];
    Ring *r = &d->ring[0];
    struct iovec iov[MAX_IOV];
    unsigned any = 0;
    while (r->tap >= 0 && waiting(r)) {
        size_t own = own_header(d), done = 0;
        ssize_t bytes = read(r->tap, packet + own, sizeof(packet) - own);
        uint16_t first = r->next_avail, first_used = r->next_used, buffers = 0, *count = NULL;
        if (bytes <= 0)
            break;
        memset(packet, 0, own);
        while (done < own + (size_t)bytes) {
            unsigned n;
            int head = take(d, r, iov, &n, true);
            if (head < 0)
                break;
            size_t k = copy(iov, n, packet + done, own + (size_t)bytes - done, true);
            if (!buffers++ && header(d) == 12 && iov[0].iov_len >= 12)
                count = (uint16_t *)((uint8_t *)iov[0].iov_base + 10);
            r->used->ring[r->next_used++ % r->num] = (struct vring_used_elem){(uint32_t)head, (uint32_t)k};
            done += k;
            if (!(d->features & BIT(VIRTIO_NET_F_MRG_RXBUF)))
                break;
        }
        if (done < own + (size_t)bytes) {       /* no room: it is lost */
            r->next_avail = first;
            r->next_used = first_used;
            break;
        }
        if (count)
            *count = buffers;
        __atomic_store_n(&r->used->idx, r->next_used, __ATOMIC_SEQ_CST);
        r->packets++;
        any++;
    }
    if (any)
        interrupt(r);
}

/* ---- sockets ---- */

typedef struct __attribute__((packed)) Packet {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, len;
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
} Packet;
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST, NO_SEND = 2 };

static void answer(Device *d, uint32_t port, uint32_t src_port, Stream *s, uint16_t op, uint32_t flags, const void *data,
                   uint32_t n)
{
    struct Answer *a = calloc(1, sizeof(*a) + sizeof(Packet) + n);
    *(Packet *)a->data = (Packet){2, d->cid, src_port, port, n, 1, op, flags, sizeof(s->buf), s ? s->received - s->n : 0};
    memcpy(a->data + sizeof(Packet), data ? data : "", n);
    a->n = sizeof(Packet) + n;
    if (!d->answers)
        d->last = &d->answers;
    *d->last = a;
    d->last = &a->next;
}

static void tell(Device *d, Stream *s, uint16_t op, const void *data, uint32_t n)
{
    answer(d, s->port, s->src_port, s, op, op == SHUTDOWN ? 3 : 0, data, n);
}

/* Sends back what has come, as far as the guest has room. */
static void echo(Device *d, Stream *s)
{
    while (s->n) {
        uint32_t room = s->buf_alloc - (s->sent - s->fwd_cnt), k = s->n < room ? s->n : room;
        if (k > CHUNK)
            k = CHUNK;
        if (s->from + k > sizeof(s->buf))
            k = sizeof(s->buf) - s->from;
        if (!k)
            return;
        s->n -= k;
        tell(d, s, RW, s->buf + s->from, k);
        s->from = (s->from + k) % sizeof(s->buf);
        s->sent += k;
    }
    if (s->ended) {
        tell(d, s, SHUTDOWN, NULL, 0);
        s->ended = false;
    }
}

static void drop(Device *d, Stream *s)
{
    Stream **at = &d->streams;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    free(s);
}

static void from_guest(Device *d, const Packet *p, const uint8_t *data)
{
    Stream *s = d->streams;
    while (s && (s->port != p->src_port || s->src_port != p->dst_port))
        s = s->next;
    if (!s && p->op == REQUEST && p->dst_cid == 2 && p->dst_port == ECHO_PORT) {
        s = calloc(1, sizeof(*s));
        *s = (Stream){.next = d->streams, .port = p->src_port, .src_port = p->dst_port};
        d->streams = s;
    } else if (!s) {
        if (p->op != RST)
            answer(d, p->src_port, p->dst_port, NULL, RST, 0, NULL, 0);
        return;
    }
    s->buf_alloc = p->buf_alloc;
    s->fwd_cnt = p->fwd_cnt;
    if (p->op == REQUEST)
        tell(d, s, RESPONSE, NULL, 0);
    else if (p->op == CREDIT_REQUEST)
        tell(d, s, CREDIT_UPDATE, NULL, 0);
    else if (p->op == SHUTDOWN && p->flags & NO_SEND)
        s->ended = true;
    for (uint32_t i = 0; p->op == RW && i < p->len && s->n < sizeof(s->buf); i++)
        s->buf[(s->from + s->n++) % sizeof(s->buf)] = data[i], s->received++;
    echo(d, s);
    if (p->op == RST)
        drop(d, s);
}

static void serve_vsock(Device *d)
{
    static __thread uint8_t packet[PACKET];
    struct iovec iov[MAX_IOV];
    Ring *tx = &d->ring[1], *rx = &d->ring[0];
    unsigned n, sent = 0, received = 0;
    int head;
    while ((head = take(d, tx, iov, &n, false)) >= 0) {
        size_t bytes = copy(iov, n, packet, sizeof(packet), false);
        Packet *p = (Packet *)packet;
        if (bytes >= sizeof(*p) && p->len <= bytes - sizeof(*p))
            from_guest(d, p, packet + sizeof(*p));
        give(tx, head, 0);
        tx->packets++;
        sent++;
    }
    while (d->answers && (head = take(d, rx, iov, &n, true)) >= 0) {
        struct Answer *a = d->answers;
        give(rx, head, copy(iov, n, a->data, a->n, true));
        d->answers = a->next;
        free(a);
        rx->packets++;
        received++;
    }
    if (sent)
        interrupt(tx);
    if (received)
        interrupt(rx);
}

/* ---- the thread ---- */

static void *work(void *opaque)
{
    Device *d = opaque;
    for (;;) {
        pthread_mutex_lock(&d->lock);
        if (d->vsock && d->running)
            serve_vsock(d);
        if (!d->vsock) {
            send_packets(d);
            receive_packets(d);
        }
        bool room = !d->vsock && d->ring[0].tap >= 0 && waiting(&d->ring[0]);
        struct pollfd p[] = {{d->wake, POLLIN, 0}, {d->ring[0].kick, POLLIN, 0}, {d->ring[1].kick, POLLIN, 0},
                             {room ? d->ring[0].tap : -1, POLLIN, 0}};
        pthread_mutex_unlock(&d->lock);
        poll(p, 4, -1);
        for (unsigned i = 0; i < 3; i++) {
            uint64_t count;
            if (p[i].revents & POLLIN)
                (void)!read(p[i].fd, &count, 8);
        }
    }
    return NULL;
}

static void wake(Device *d)
{
    uint64_t one = 1;
    (void)!write(d->wake, &one, 8);
}

/* ---- requests ---- */

static bool active(Device *d, unsigned i) { return d->vsock ? d->running : d->ring[i].tap >= 0; }

static int keep(int *slot, int fd)
{
    if (*slot >= 0)
        close(*slot);
    *slot = fd < 0 ? -1 : dup(fd);
    return 0;
}

static int set_tap(Device *d, unsigned i, int fd)
{
    Ring *r = &d->ring[i];
    struct ifreq ifr = {0};
    int size = 0;
    const char *refuse = getenv("VHOST_REFUSE");
    if (fd >= 0 && refuse && (unsigned)atoi(refuse) == i)
        return EBADF;
    if (!r->num || !r->desc || r->kick < 0)
        return EFAULT;
    if (fd >= 0 && syscall(SYS_ioctl, fd, TUNGETIFF, &ifr) < 0)
        return ENOTSOCK;
    syscall(SYS_ioctl, fd, TUNGETVNETHDRSZ, &size);
    if (fd >= 0 && (size_t)(ifr.ifr_flags & IFF_VNET_HDR ? size : 0) + own_header(d) != header(d)) {
        say("the interface's header has %d bytes, the driver's %zu\n", size, header(d));
        return EINVAL;
    }
    if (fd >= 0 || r->tap >= 0)
        say("%s %u %lu\n", fd < 0 ? "end" : "begin", i, r->packets);
    keep(&r->tap, fd);
    return 0;
}

static int ring_request(Device *d, unsigned long request, void *argument)
{
    unsigned i = *(unsigned *)argument;
    struct vhost_vring_state *state = argument;
    struct vhost_vring_addr *addr = argument;
    struct vhost_vring_file *file = argument;
    if (i > 1)
        return ENOBUFS;
    Ring *r = &d->ring[i];
    switch (request) {
    case VHOST_SET_VRING_NUM:
        if (active(d, i))
            return EBUSY;
        if (!state->num || state->num > 0xffff || state->num & (state->num - 1))
            return EINVAL;
        r->num = state->num;
        return 0;
    case VHOST_SET_VRING_BASE:
        if (active(d, i))
            return EBUSY;
        r->next_avail = (uint16_t)state->num;
        return 0;
    case VHOST_GET_VRING_BASE:
        state->num = r->next_avail;
        return 0;
    case VHOST_SET_VRING_ADDR:
        if (addr->flags & ~1u)
            return EOPNOTSUPP;
        if (addr->avail_user_addr & 1 || addr->used_user_addr & 3)
            return EINVAL;
        r->desc = (void *)(uintptr_t)addr->desc_user_addr;
        r->avail = (void *)(uintptr_t)addr->avail_user_addr;
        r->used = (void *)(uintptr_t)addr->used_user_addr;
        r->next_used = r->used->idx;
        return 0;
    case VHOST_SET_VRING_KICK: return keep(&r->kick, file->fd);
    case VHOST_SET_VRING_CALL: return keep(&r->call, file->fd);
    case VHOST_SET_VRING_ERR: return keep(&r->err, file->fd);
    case VHOST_SET_VRING_BUSYLOOP_TIMEOUT:
        say("poll %u %u\n", i, state->num);
        return 0;
    case VHOST_NET_SET_BACKEND: return d->vsock ? ENOTTY : set_tap(d, i, file->fd);
    default: return ENOTTY;
    }
}

static int set_memory(Device *d, struct vhost_memory *m)
{
    if (m->padding)
        return EOPNOTSUPP;
    if (m->nregions > MAX_REGIONS)
        return E2BIG;
    memcpy(d->region, m->regions, m->nregions * sizeof(m->regions[0]));
    d->n_regions = m->nregions;
    return 0;
}

static int handle(Device *d, unsigned long request, void *argument)
{
    uint64_t features = d->vsock ? COMMON : COMMON | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VHOST_NET_F_VIRTIO_NET_HDR);
    switch (request) {
    case VHOST_GET_FEATURES:
        *(uint64_t *)argument = features;
        return 0;
    case VHOST_SET_OWNER:
        if (d->owned)
            return EBUSY;
        d->owned = true;
        return -pthread_create(&d->thread, NULL, work, d);
    case VHOST_SET_FEATURES:
        if (*(uint64_t *)argument & ~features)
            return EOPNOTSUPP;
        d->features = *(uint64_t *)argument;
        return 0;
    case VHOST_VSOCK_SET_GUEST_CID:
        d->cid = *(uint64_t *)argument;
        return d->vsock ? 0 : ENOTTY;
    }
    if (!d->owned)
        return EPERM;
    if (request == VHOST_SET_MEM_TABLE)
        return set_memory(d, argument);
    if (request == VHOST_VSOCK_SET_RUNNING && d->vsock) {
        d->running = *(int *)argument;
        say("%s vsock %lu\n", d->running ? "begin" : "end", d->ring[1].packets);
        return 0;
    }
    return ring_request(d, request, argument);
}

static Device *device_of(int fd)
{
    char link[64], name[64] = "";
    struct stat st;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, name, sizeof(name) - 1) < 0 || strncmp(name, "/memfd:vhost-", 13) || fstat(fd, &st) < 0)
        return NULL;
    pthread_mutex_lock(&lock);
    Device *d = NULL;
    for (unsigned i = 0; i < n_devices && !d; i++)
        d = devices[i].ino == st.st_ino ? &devices[i] : NULL;
    if (!d && n_devices < MAX_DEVICES) {
        d = &devices[n_devices++];
        *d = (Device){.ino = st.st_ino, .vsock = strstr(name, "vsock"), .wake = eventfd(0, 0),
                      .lock = PTHREAD_MUTEX_INITIALIZER};
        for (unsigned i = 0; i < 2; i++)
            d->ring[i] = (Ring){.kick = -1, .call = -1, .err = -1, .tap = -1};
    }
    pthread_mutex_unlock(&lock);
    return d;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    Device *d = (request >> 8 & 0xff) == VHOST_VIRTIO ? device_of(fd) : NULL;
    if (!d)
        return (int)syscall(SYS_ioctl, fd, request, argument);
    pthread_mutex_lock(&d->lock);
    int error = handle(d, request, argument);
    pthread_mutex_unlock(&d->lock);
    wake(d);
    errno = error;
    return error ? -1 : 0;
}

static int open_any(const char *path, int flags, int mode)
{
    if (!strcmp(path, "/dev/vhost-net") || !strcmp(path, "/dev/vhost-vsock"))
        return (int)syscall(SYS_memfd_create, path + 5, MFD_CLOEXEC);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = va_arg(args, int);
    va_end(args);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = va_arg(args, int);
    va_end(args);
    return open_any(path, flags | O_LARGEFILE, mode);
}
