/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket frames and streams; TLS between two wires, without certificates and with keys. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "core/testing.h"
#include "crypto/wire.h"
#include "util/error.h"

static void wires(Wire *w[2])
{
    int fd[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
    w[0] = wire_new(fd[0]);
    w[1] = wire_new(fd[1]);
}

/* Both sides' handshakes; false if one fails. */
static bool shake(Wire *w[2])
{
    int a = 0, b = 0;

    for (unsigned i = 0; i < 100 && (a == 0 || b == 0); i++) {
        a = a == 0 ? wire_shake(w[0], NULL) : a;
        b = b == 0 ? wire_shake(w[1], NULL) : b;
    }
    return a == 1 && b == 1;
}

/* A megabyte from one to the other through full buffers. */
static void transfer(Wire *from, Wire *to)
{
    enum { BYTES = 1 << 20 };
    g_autofree uint8_t *a = g_malloc(BYTES), *b = g_malloc(BYTES);
    size_t sent = 0, got = 0;

    for (size_t i = 0; i < BYTES; i++) {
        a[i] = i * 7 + (i >> 8);
    }
    while (got < BYTES) {
        ssize_t n = sent < BYTES ? wire_send(from, a + sent, BYTES - sent) : 0;
        sent += MAX(n, 0);
        wire_flush(from);
        n = wire_recv(to, b + got, BYTES - got);
        g_assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        got += MAX(n, 0);
    }
    g_assert_cmpmem(a, BYTES, b, BYTES);
}

static void test_websocket(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    static const uint8_t frame[] = {0x82, 0x83, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2, 'c' ^ 3};
    Wire *w[2];
    uint8_t buf[512];

    wires(w);
    wire_start_websocket(w[0]);
    g_assert_cmpint(wire_shake(w[0], NULL), ==, 0);
    g_assert_cmpint(wire_send(w[1], request, sizeof(request) - 1), ==, sizeof(request) - 1);
    g_assert_cmpint(wire_shake(w[0], NULL), ==, 1);
    ssize_t n = wire_recv(w[1], buf, sizeof(buf) - 1);
    g_assert_cmpint(n, >, 0);
    buf[n] = 0;
    g_assert_nonnull(strstr((char *)buf, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));     /* section 1.3's example */
    wire_send(w[1], frame, 5);
    g_assert_cmpint(wire_recv(w[0], buf, sizeof(buf)), ==, -1);
    wire_send(w[1], frame + 5, 4);
    g_assert_cmpint(wire_recv(w[0], buf, 2), ==, 2);
    g_assert_true(wire_has_input(w[0]));
    g_assert_cmpint(wire_recv(w[0], buf + 2, 2), ==, 1);
    g_assert_cmpmem(buf, 3, "abc", 3);
    g_assert_cmpint(wire_send(w[0], "xyz", 3), ==, 3);
    g_assert_cmpint(wire_recv(w[1], buf, sizeof(buf)), ==, 5);
    g_assert_cmpmem(buf, 5, "\x82\x03xyz", 5);
    wire_free(w[0]);
    wire_free(w[1]);
}

static void test_anonymous(void)
{
    TestDevice *t = test_machine();
    g_autoptr(GError) error = NULL;
    Wire *w[2];

    Object *server = object_add_user(t->vm, "tls-creds-anon", "s", (const char *[]){"endpoint", "server", NULL}, &error);
    g_assert_no_error(error);
    Object *client = object_add_user(t->vm, "tls-creds-anon", "c", (const char *[]){NULL}, &error);
    g_assert_no_error(error);
    g_assert_true(tls_creds_find(t->vm, "s", true, NULL) == server);
    g_assert_null(tls_creds_find(t->vm, "s", false, NULL));
    wires(w);
    g_assert_true(wire_start_tls(w[0], server, NULL, NULL, NULL));
    g_assert_true(wire_start_tls(w[1], client, NULL, NULL, NULL));
    g_assert_true(shake(w));
    transfer(w[0], w[1]);
    transfer(w[1], w[0]);
    wire_free(w[0]);
    uint8_t byte;
    g_assert_cmpint(wire_recv(w[1], &byte, 1), ==, 0);
    wire_free(w[1]);
    test_device_free(t);
}

static bool keys_agree(TestDevice *t, const char *user, const char *authz)
{
    g_autofree char *dir = g_dir_make_tmp("myna-psk-XXXXXX", NULL), *path = g_build_filename(dir, "keys.psk", NULL);
    static unsigned count;
    g_autofree char *a = g_strdup_printf("s%u", count), *b = g_strdup_printf("c%u", count++);
    g_autoptr(GError) error = NULL;
    Wire *w[2];

    g_assert_true(g_file_set_contents(path, "alice:0123456789abcdef0123456789abcdef\n"
                                      "bob:00112233445566778899aabbccddeeff\n", -1, NULL));
    Object *server = object_add_user(t->vm, "tls-creds-psk", a,
                                     (const char *[]){"endpoint", "server", "dir", dir, NULL}, &error);
    g_assert_no_error(error);
    Object *client = object_add_user(t->vm, "tls-creds-psk", b,
                                     (const char *[]){"username", user, "dir", dir, NULL}, &error);
    g_assert_no_error(error);
    wires(w);
    g_assert_true(wire_start_tls(w[0], server, NULL, authz, NULL));
    g_assert_true(wire_start_tls(w[1], client, NULL, NULL, NULL));
    bool ok = shake(w);
    if (ok) {
        transfer(w[0], w[1]);
    }
    wire_free(w[0]);
    wire_free(w[1]);
    remove(path);
    remove(dir);
    return ok;
}

static void test_keys(void)
{
    TestDevice *t = test_machine();
    g_autoptr(GError) error = NULL;

    g_assert_true(keys_agree(t, "alice", NULL));
    object_add_user(t->vm, "authz-simple", "bob-only", (const char *[]){"identity", "bob", NULL}, &error);
    g_assert_no_error(error);
    g_assert_true(keys_agree(t, "bob", "bob-only"));
    g_assert_false(authz_allows(t->vm, "bob-only", "alice", &error));
    test_device_free(t);
}

static void test_rules(void)
{
    TestDevice *t = test_machine();
    g_autoptr(GError) error = NULL;
    PropValue rules = {.kind = VALUE_JSON, .s = "[{\"match\": \"CN=a*\", \"policy\": \"deny\", \"format\": "
                       "\"glob\"}, {\"match\": \"CN=b\", \"policy\": \"allow\"}]"};

    Object *o = object_add_user(t->vm, "authz-list", "l", (const char *[]){"policy", "deny", NULL}, &error);
    g_assert_no_error(error);
    g_assert_true(object_set(o, "rules", &rules, &error));
    g_assert_false(authz_allows(t->vm, "l", "CN=ab", NULL));
    g_assert_true(authz_allows(t->vm, "l", "CN=b", NULL));
    g_assert_false(authz_allows(t->vm, "l", "CN=c", NULL));
    g_assert_false(authz_allows(t->vm, "none", "CN=c", NULL));
    test_device_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/websocket", test_websocket);
    g_test_add_func("/wire/anonymous", test_anonymous);
    g_test_add_func("/wire/keys", test_keys);
    g_test_add_func("/wire/rules", test_rules);
    return g_test_run();
}
