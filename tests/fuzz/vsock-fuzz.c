/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for virtio sockets: packets of a hostile guest, mostly of connections that exist, mixed
 * with clients of the host that connect, send, half close and vanish.
 */
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "hw/virtio/vsock.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_OPS = 200, CLIENTS = 4, CID = 3, ROOM = 600 };

typedef struct Rig {
    Loop *loop;
    Vsock *s;
    char *folder, *path;
    int listener, clients[CLIENTS];
    uint32_t seen_port;         /* of the last packet to the guest */
} Rig;

static void wake(void *opaque) {}

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    return a;
}

static void settle(Rig *r)
{
    for (unsigned i = 0; i < 16 && loop_step(r->loop, false); i++) {
    }
}

static void from_guest(Rig *r, FuzzInput *in)
{
    static const uint32_t ports[] = {1, 2, 80, 81};
    unsigned kind = (unsigned)fuzz_int(in, 1);
    uint8_t data[ROOM] = {0};
    VsockHeader h = {
        kind & 0x80 ? fuzz_int(in, 8) : CID, VSOCK_HOST, ports[kind & 3],
        kind & 0x40 ? r->seen_port : ports[kind >> 2 & 3], (uint32_t)(fuzz_int(in, 2) % ROOM),
        kind == 0x7f ? 2 : VSOCK_STREAM, (uint16_t)(fuzz_int(in, 1) % 9), (uint32_t)fuzz_int(in, 1),
        (uint32_t)fuzz_int(in, 2) * 7, (uint32_t)fuzz_int(in, 1)};
    struct iovec iov = {data, h.len};
    vsock_from_guest(r->s, &h, &iov, h.len ? 1 : 0);
}

static void to_guest(Rig *r, FuzzInput *in)
{
    uint8_t buf[ROOM];
    unsigned n = VSOCK_HEADER + 1 + (unsigned)fuzz_int(in, 1);
    struct iovec iov[2] = {{buf, 20}, {buf + 20, n - 20}};
    if (vsock_to_guest(r->s, iov, 2)) {
        VsockHeader h;
        memcpy(&h, buf, sizeof(h));
        r->seen_port = h.src_port;
    }
}

static void host(Rig *r, FuzzInput *in)
{
    unsigned what = (unsigned)fuzz_int(in, 1), i = what >> 4 & 3;
    int *fd = &r->clients[i];
    char text[ROOM];
    struct sockaddr_un a = address(r->path);
    if (*fd < 0 && what & 8) {
        *fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } else if (*fd < 0) {
        *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(*fd, (struct sockaddr *)&a, sizeof(a));
        int n = g_snprintf(text, sizeof(text), what & 4 ? "CONNECT %u\n" : "CONN %u", what & 3);
        send(*fd, text, (size_t)n, MSG_NOSIGNAL);
    } else if ((what & 7) == 0) {
        close(*fd);
        *fd = -1;
    } else if ((what & 7) == 1) {
        shutdown(*fd, what & 8 ? SHUT_RD : SHUT_WR);
    } else if (what & 1) {
        fuzz_bytes(in, text, 16);
        send(*fd, text, 16 + (what & 0xc0) * 2, MSG_NOSIGNAL);
    } else {
        (void)!recv(*fd, text, sizeof(text), 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = {data, size};
    Rig r = {.loop = loop_new(), .folder = g_dir_make_tmp("myna-fuzz-XXXXXX", NULL),
             .clients = {-1, -1, -1, -1}};
    r.path = g_build_filename(r.folder, "v", NULL);
    g_autofree char *port = g_strconcat(r.path, "_80", NULL);
    struct sockaddr_un a = address(port);
    r.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(r.listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(r.listener, 8) < 0)
        g_assert_not_reached();
    r.s = vsock_new(r.loop, r.path, CID, wake, &r, NULL);
    vsock_listen(r.s, true);
    for (unsigned n = 0; in.left && n < MAX_OPS; n++) {
        unsigned op = (unsigned)fuzz_int(&in, 1);
        switch (op & 7) {
        case 0: case 1: case 2: from_guest(&r, &in); break;
        case 3: case 4: to_guest(&r, &in); break;
        case 5: case 6: host(&r, &in); break;
        default: settle(&r); break;
        }
        if (op == 0xff)
            vsock_reset(r.s);
    }
    settle(&r);
    vsock_free(r.s);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (r.clients[i] >= 0)
            close(r.clients[i]);
    close(r.listener);
    g_unlink(port);
    g_rmdir(r.folder);
    g_free(r.path);
    g_free(r.folder);
    loop_free(r.loop);
    return 0;
}

const char *const fuzz_words[] = { NULL };
