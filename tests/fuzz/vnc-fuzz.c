/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what a VNC client sends, from its first byte or after a good handshake, by itself or as
 * WebSocket frames (masked with zeroes) of the pieces that the input has; and WebSocket's handshake.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "core/testing.h"
#include "fuzz.h"
#include "ui/vnc/internal.h"

enum { WIDTH = 61, HEIGHT = 47, STEPS = 12 };
enum { GREETED = 1, WEB = 2, WEB_FRAMES = 4, PASSWORD = 8 };

static const DeviceType screen = {.name = "fuzz-screen", .desc = "shows a gradient", .size = sizeof(Device)};
DEVICE_TYPE(screen);

static const char upgrade[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Protocol: binary\r\n\r\n";
static const char hello[] = "RFB 003.008\n\1\1";

static void paint(Console *c)
{
    Surface *s = surface_new(WIDTH, HEIGHT);

    for (unsigned y = 0; y < HEIGHT; y++) {
        for (unsigned x = 0; x < WIDTH; x++) {
            surface_line(s, y)[x] = x < 20 ? 0x123456 : (y * 7) << 16 | x << 9 | (x * y & 0xff);
        }
    }
    console_show(c, s);
}

static void frame(GByteArray *out, const void *data, size_t n)
{
    uint8_t head[8] = {0x82, 0x80 | 126, (uint8_t)(n >> 8), (uint8_t)n};

    g_byte_array_append(out, head, 8);
    g_byte_array_append(out, data, n);
}

static GByteArray *wire(const uint8_t *data, size_t size)
{
    GByteArray *out = g_byte_array_new();
    uint8_t how = *data++;
    bool frames = how & WEB && how & WEB_FRAMES;

    size--;
    if (frames) {
        g_byte_array_append(out, (const uint8_t *)upgrade, sizeof(upgrade) - 1);
    }
    if (how & GREETED && frames) {
        frame(out, hello, sizeof(hello) - 1);
    } else if (how & GREETED) {
        g_byte_array_append(out, (const uint8_t *)hello, sizeof(hello) - 1);
    }
    for (size_t n; size && frames; data += n, size -= n) {
        n = MIN(size, 1 + (size_t)*data % 90);
        frame(out, data, n);
    }
    g_byte_array_append(out, data, size);
    return out;
}

static void steps(Loop *loop, int fd)
{
    char drop[4096];

    for (unsigned i = 0; i < STEPS; i++) {
        while (loop_step(loop, false)) {
        }
        while (recv(fd, drop, sizeof(drop), MSG_DONTWAIT) > 0) {
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];

    if (size < 2 || size > 1 << 14 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return 0;
    }
    TestDevice *t = test_machine();
    g_autofree char *path = g_strdup_printf("%s/myna-fuzz-%d", g_get_tmp_dir(), getpid());
    g_autofree char *text = g_strdup_printf("unix:%s%s", path, *data & PASSWORD ? ",password=on" : "");
    g_autoptr(GError) error = NULL;
    static const ConsoleOps ops = {0};
    Console *c = console_new(device_make(t->vm, "fuzz-screen"), 0, &ops, NULL);

    paint(c);
    if (!vnc_add(t->vm, text, NULL, &error)) {
        g_error("%s: %s", text, error->message);
    }
    VncServer *s = vnc_servers(t->vm)->pdata[0];
    if (*data & PASSWORD) {
        s->password = g_strdup("secret");
    }
    vnc_client_new(s, pair[0], *data & WEB);
    g_autoptr(GByteArray) all = wire(data, size);
    if (send(pair[1], all->data, all->len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        steps(t->loop, pair[1]);
        console_update(c, 3, 3, 30, 30);
        vnc_server_compare(s);
        paint(c);
        steps(t->loop, pair[1]);
    }
    close(pair[1]);
    steps(t->loop, -1);
    console_free(c);
    test_device_free(t);
    unlink(path);
    return 0;
}

const char *const fuzz_words[] = {NULL};
