/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-nbd --list: asks a server what it has. Spec: doc/proto.md of the NBD project. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "block/nbd-proto.h"
#include "chardev/address.h"
#include "control/nbd/nbd.h"
#include "crypto/wire.h"
#include "util/bytes.h"
#include "util/error.h"

enum { TIMEOUT_MS = 10000, MAX_REPLY = 1 << 16, MAX_EXPORTS = 10000 };

typedef struct Reply {
    uint32_t type, n;
    uint8_t data[MAX_REPLY + 1];
} Reply;

static bool wait_for(void *w, bool writing)
{
    struct pollfd p = {wire_fd(w), writing ? POLLOUT : POLLIN, 0};
    return poll(&p, 1, TIMEOUT_MS) > 0;
}

static bool receive(Wire *w, void *to, size_t n)
{
    return wire_recv_all(w, to, n, wait_for, w);
}

static bool send_all(Wire *w, const void *from, size_t n)
{
    return wire_send_all(w, from, n, wait_for, w);
}

static bool option(Wire *w, uint32_t number, const void *data, uint32_t n)
{
    uint8_t h[16];

    put_be64(h, NBD_OPTION_MAGIC);
    put_be32(h + 8, number);
    put_be32(h + 12, n);
    return send_all(w, h, sizeof(h)) && send_all(w, data, n);
}

static bool next_reply(Wire *w, Reply *r)
{
    uint8_t h[20];

    if (!receive(w, h, sizeof(h)) || get_be64(h) != NBD_REPLY_MAGIC) {
        return false;
    }
    r->type = get_be32(h + 12);
    r->n = get_be32(h + 16);
    bool ok = r->n <= MAX_REPLY && receive(w, r->data, r->n);
    r->data[ok ? r->n : 0] = '\0';
    return ok;
}

static bool greet(Wire *w, Object *creds, const char *hostname, GError **error)
{
    uint8_t h[18], flags[4];

    if (!receive(w, h, sizeof(h)) || get_be64(h) != NBD_INIT_MAGIC || get_be64(h + 8) != NBD_OPTION_MAGIC) {
        return error_set(error, "Failed to list: this is no NBD server with named exports");
    }
    put_be32(flags, NBD_FIXED_NEWSTYLE | (get_be16(h + 16) & NBD_NO_ZEROES));
    g_autofree Reply *r = g_new(Reply, 1);
    if (!send_all(w, flags, sizeof(flags))) {
        return error_set(error, "the server closed the connection");
    }
    if (!creds) {
        return true;
    }
    if (!option(w, NBD_OPT_STARTTLS, NULL, 0) || !next_reply(w, r) || r->type != NBD_REP_ACK) {
        return error_set(error, "the NBD server has no TLS");
    }
    return wire_start_tls(w, creds, hostname, NULL, error) && wire_shake_wait(w, TIMEOUT_MS, error);
}

static void print_flags(uint16_t flags)
{
    static const struct { uint16_t bit; const char *name; } names[] = {
        {NBD_READ_ONLY, "readonly"}, {NBD_SEND_FLUSH, "flush"}, {NBD_SEND_FUA, "fua"}, {16, "rotational"},
        {NBD_SEND_TRIM, "trim"}, {NBD_SEND_ZEROES, "zeroes"}, {NBD_SEND_DF, "df"}, {NBD_MULTI_CONN, "multi"},
        {NBD_SEND_RESIZE, "resize"}, {NBD_SEND_CACHE, "cache"}, {NBD_SEND_FAST_ZERO, "fast-zero"},
    };

    printf("  flags: 0x%x (", flags);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (flags & names[i].bit) {
            printf(" %s", names[i].name);
        }
    }
    printf(" )\n");
}

static bool describe(Wire *w, const char *name, Reply *r)
{
    uint32_t n = (uint32_t)strlen(name);
    g_autofree uint8_t *ask = g_malloc(4 + n + 4);

    put_be32(ask, n);
    memcpy(ask + 4, name, n);
    put_be16(ask + 4 + n, 1);
    put_be16(ask + 6 + n, NBD_INFO_BLOCK_SIZE);
    if (!option(w, NBD_OPT_INFO, ask, 8 + n)) {
        return false;
    }
    uint32_t sizes[3] = {0};
    r->type = 0;
    while (next_reply(w, r) && r->type == NBD_REP_INFO) {
        uint16_t kind = r->n >= 2 ? get_be16(r->data) : UINT16_MAX;
        if (kind == NBD_INFO_EXPORT && r->n >= 12) {
            printf("  size:  %" PRIu64 "\n", get_be64(r->data + 2));
            print_flags(get_be16(r->data + 10));
        }
        for (unsigned i = 0; i < 3 && kind == NBD_INFO_BLOCK_SIZE && r->n >= 14; i++) {
            sizes[i] = get_be32(r->data + 2 + 4 * i);
        }
    }
    if (sizes[0]) {
        printf("  min block: %u\n  opt block: %u\n  max block: %u\n", sizes[0], sizes[1], sizes[2]);
    }
    return r->type == NBD_REP_ACK || r->type & NBD_REP_ERROR;
}

/* What a server tells of its metadata, once it may answer in a structured way. */
static bool print_contexts(Wire *w, const char *name, Reply *r)
{
    uint32_t n = (uint32_t)strlen(name);
    g_autofree uint8_t *ask = g_malloc(8 + n);
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned count = 0;

    put_be32(ask, n);
    memcpy(ask + 4, name, n);
    put_be32(ask + 4 + n, 0);
    if (!option(w, NBD_OPT_LIST_META, ask, 8 + n)) {
        return false;
    }
    for (r->type = 0; next_reply(w, r) && r->type == NBD_REP_META && r->n >= 4; count++) {
        g_string_append_printf(text, "   %s\n", (char *)r->data + 4);
    }
    if (count) {
        printf("  available meta contexts: %u\n%s", count, text->str);
    }
    return r->type == NBD_REP_ACK || r->type & NBD_REP_ERROR;
}

static bool list_all(Wire *w, GError **error)
{
    g_autofree Reply *r = g_new(Reply, 1);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

    if (!option(w, NBD_OPT_LIST, NULL, 0)) {
        return error_set(error, "the server closed the connection");
    }
    while (next_reply(w, r) && r->type == NBD_REP_SERVER && names->len < MAX_EXPORTS) {
        uint32_t n = r->n >= 4 ? get_be32(r->data) : UINT32_MAX;
        if (n > r->n - 4) {
            return error_set(error, "the server's list makes no sense");
        }
        g_ptr_array_add(names, g_strndup((char *)r->data + 4, n));
        g_ptr_array_add(words, g_strndup((char *)r->data + 4 + n, r->n - 4 - n));
    }
    if (r->type != NBD_REP_ACK) {
        return error_set(error, "the server does not list its exports: %s",
                         r->type & NBD_REP_ERROR ? (char *)r->data : "");
    }
    bool structured = option(w, NBD_OPT_STRUCTURED, NULL, 0) && next_reply(w, r) && r->type == NBD_REP_ACK;
    printf("exports available: %u\n", names->len);
    for (unsigned i = 0; i < names->len; i++) {
        const char *text = words->pdata[i];
        printf(" export: '%s'\n", (char *)names->pdata[i]);
        if (*text) {
            printf("  description: %s\n", text);
        }
        if (!describe(w, names->pdata[i], r) || (structured && !print_contexts(w, names->pdata[i], r))) {
            return error_set(error, "the server closed the connection");
        }
    }
    option(w, NBD_OPT_ABORT, NULL, 0);
    return true;
}

bool nbd_list(const SocketAddress *address, Object *creds, const char *hostname, GError **error)
{
    int fd = address_connect(address, error);
    Wire *w = fd >= 0 ? wire_new(fd) : NULL;
    bool ok = w && greet(w, creds, hostname, error) && list_all(w, error);

    wire_free(w);
    return ok;
}
