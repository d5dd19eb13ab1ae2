/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket protocol (RFC 6455), server's side, with whole frames of binary data. */
#include <string.h>

#include "crypto/wire.h"

enum { OP_CONTINUE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10,
       REQUEST_MAX = 8192 };

/* A header's value, NULL if it is missing; names are compared without case. The caller frees. */
static char *header(char **lines, const char *name)
{
    size_t n = strlen(name);

    for (; *lines; lines++) {
        if (g_ascii_strncasecmp(*lines, name, n) == 0 && (*lines)[n] == ':') {
            return g_strstrip(g_strdup(*lines + n + 1));
        }
    }
    return NULL;
}

/* Section 4.2.2, point 5.4. */
static char *accept_key(const char *key)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    uint8_t digest[20];
    gsize n = sizeof(digest);

    g_checksum_update(sum, (const guchar *)key, strlen(key));
    g_checksum_update(sum, (const guchar *)"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    g_checksum_get_digest(sum, digest, &n);
    return g_base64_encode(digest, n);
}

gssize websocket_accept(const uint8_t *data, size_t n, GByteArray *reply)
{
    const char *end = g_strstr_len((const char *)data, n, "\r\n\r\n");

    if (!end) {
        return n > REQUEST_MAX ? -1 : 0;
    }
    gssize length = end + 4 - (const char *)data;
    g_autofree char *text = g_strndup((const char *)data, length);
    g_auto(GStrv) lines = g_strsplit(text, "\r\n", 64);
    g_autofree char *key = header(lines, "Sec-WebSocket-Key");
    g_autofree char *upgrade = header(lines, "Upgrade");
    g_autofree char *protocol = header(lines, "Sec-WebSocket-Protocol");
    if (!g_str_has_prefix(text, "GET ") || !key || !upgrade ||
        g_ascii_strcasecmp(upgrade, "websocket") != 0) {
        return -1;
    }
    g_autofree char *accept = accept_key(key);
    g_autofree char *answer = g_strdup_printf(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n%s\r\n", accept,
        protocol && strstr(protocol, "binary") ? "Sec-WebSocket-Protocol: binary\r\n" : "");
    g_byte_array_append(reply, (const uint8_t *)answer, strlen(answer));
    return length;
}

gssize websocket_frame(const uint8_t *data, size_t n, GByteArray *out, GByteArray *reply, bool *close)
{
    if (n < 2) {
        return 0;
    }
    unsigned opcode = data[0] & 15;
    uint64_t length = data[1] & 127;
    size_t head = length < 126 ? 2 : length == 126 ? 4 : 10;
    if (!(data[1] & 0x80)) {
        return -1;              /* section 5.1: a client masks */
    }
    if (n < head + 4) {
        return 0;
    }
    if (head == 4) {
        length = data[2] << 8 | data[3];
    } else if (head == 10) {
        length = 0;
        for (unsigned i = 2; i < 10; i++) {
            length = length << 8 | data[i];
        }
    }
    if (length > WEBSOCKET_MOST || (opcode >= 8 && length > 125)) {
        return -1;
    }
    if (n < head + 4 + length) {
        return 0;
    }
    g_autofree uint8_t *payload = g_memdup2(data + head + 4, MAX(length, 1));
    for (size_t i = 0; i < length; i++) {
        payload[i] = data[head + 4 + i] ^ data[head + (i & 3)];
    }
    if (opcode == OP_CLOSE) {
        *close = true;
        websocket_wrap(reply, OP_CLOSE, payload, length);
    } else if (opcode == OP_PING) {
        websocket_wrap(reply, OP_PONG, payload, length);
    } else if (opcode == OP_CONTINUE || opcode == OP_BINARY) {
        g_byte_array_append(out, payload, length);
    } else if (opcode != OP_PONG) {
        return -1;              /* no text */
    }
    return head + 4 + length;
}

void websocket_wrap(GByteArray *wire, unsigned opcode, const uint8_t *data, size_t n)
{
    uint8_t head[10] = {0x80 | opcode, n < 126 ? n : n < 65536 ? 126 : 127};
    unsigned size = n < 126 ? 0 : n < 65536 ? 2 : 8;

    for (unsigned i = 0; i < size; i++) {
        head[2 + i] = (uint64_t)n >> 8 * (size - 1 - i);
    }
    g_byte_array_append(wire, head, 2 + size);
    g_byte_array_append(wire, data, n);
}
