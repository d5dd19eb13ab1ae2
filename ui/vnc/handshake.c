/* SPDX-License-Identifier: Apache-2.0 */
/* From a connection to a client that may look (RFC 6143 section 7.1, 7.2). */
#include <nettle/des.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "ui/vnc/internal.h"

enum {
    SECURITY_NONE = 1, SECURITY_VNC = 2, SECURITY_VENCRYPT = 19,
    TLS_NONE = 257, TLS_VNC = 258, X509_NONE = 260, X509_VNC = 261,
};

static unsigned security(const VncClient *c)
{
    return c->server->tls_creds && !c->websocket ? SECURITY_VENCRYPT        /* WebSocket has its own TLS */
           : c->server->password_on ? SECURITY_VNC : SECURITY_NONE;
}

/* The server's word on the attempt; a refusal ends the connection. */
static void result(VncClient *c, const char *refusal)
{
    if (!refusal) {
        put32(c->stream->out, 0);
        c->next = vnc_client_init;
        return;
    }
    put32(c->stream->out, 1);
    if (c->minor >= 8) {
        put32(c->stream->out, strlen(refusal));
        g_byte_array_append(c->stream->out, (const uint8_t *)refusal, strlen(refusal));
    }
    vnc_client_end(c, refusal);
}

/* Section 7.2.2: the password as a key of DES, each byte's bits in opposite order. */
static void encrypt(const char *password, uint8_t block[16])
{
    struct des_ctx des;
    uint8_t key[8] = {0};

    for (unsigned i = 0; i < 8 && password[i]; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            key[i] |= ((password[i] >> bit) & 1) << (7 - bit);
        }
    }
    des_set_key(&des, key);
    des_encrypt(&des, 16, block, block);
}

static size_t response(VncClient *c, const uint8_t *data, size_t n)
{
    VncServer *s = c->server;
    uint8_t expected[16];
    unsigned differ = 0;

    if (n < 16) {
        return 0;
    }
    memcpy(expected, c->challenge, 16);
    encrypt(s->password ? s->password : "", expected);
    for (unsigned i = 0; i < 16; i++) {
        differ |= expected[i] ^ data[i];
    }
    bool expired = s->expires && s->expires <= g_get_real_time() / G_USEC_PER_SEC;
    result(c, differ || !s->password || expired ? "Authentication failed" : NULL);
    return 16;
}

static void start_challenge(VncClient *c)
{
    if (getrandom(c->challenge, 16, 0) != 16) {
        vnc_client_end(c, "no random bytes for a challenge");
        return;
    }
    g_byte_array_append(c->stream->out, c->challenge, 16);
    c->next = response;
}

/* ---- VeNCrypt: the community's rfbproto, 7.2.7 ---- */

static uint32_t sub_type(const VncClient *c)
{
    bool x509 = tls_creds_are_x509(c->server->tls_creds);

    return c->server->password_on ? (x509 ? X509_VNC : TLS_VNC) : x509 ? X509_NONE : TLS_NONE;
}

static void vencrypt_secured(VncClient *c)
{
    if (c->server->password_on) {
        start_challenge(c);
    } else {
        put32(c->stream->out, 0);
        c->next = vnc_client_init;
    }
    vnc_stream_flush(c->stream);
}

static size_t vencrypt_choice(VncClient *c, const uint8_t *data, size_t n)
{
    g_autoptr(GError) error = NULL;

    if (n < 4) {
        return 0;
    }
    if (get32(data) != sub_type(c)) {
        put8(c->stream->out, 0);
        vnc_client_end(c, "that VeNCrypt type was not offered");
        return 4;
    }
    put8(c->stream->out, 1);
    vnc_stream_flush(c->stream);
    c->secured = vencrypt_secured;
    if (!wire_start_tls(c->stream->wire, c->server->tls_creds, NULL, c->server->tls_authz, &error)) {
        vnc_client_end(c, error->message);
    } else {
        vnc_stream_shake(c->stream);
    }
    return 4;
}

static size_t vencrypt_version(VncClient *c, const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    bool known = data[0] == 0 && data[1] == 2;
    put8(c->stream->out, !known);
    if (!known) {
        vnc_client_end(c, "another version of VeNCrypt");
        return 2;
    }
    put8(c->stream->out, 1);
    put32(c->stream->out, sub_type(c));
    c->next = vencrypt_choice;
    return 2;
}

static void start_security(VncClient *c, unsigned type)
{
    if (type == SECURITY_VENCRYPT) {
        put8(c->stream->out, 0);
        put8(c->stream->out, 2);
        c->next = vencrypt_version;
    } else if (type == SECURITY_VNC) {
        start_challenge(c);
    } else if (c->minor >= 8) {
        result(c, NULL);
    } else {
        c->next = vnc_client_init;
    }
}

static size_t choice(VncClient *c, const uint8_t *data, size_t n)
{
    if (data[0] != security(c)) {
        result(c, "That security type was not offered");
    } else {
        start_security(c, data[0]);
    }
    return 1;
}

static size_t version(VncClient *c, const uint8_t *data, size_t n)
{
    unsigned major, minor;
    char text[13] = {0};

    if (n < 12) {
        return 0;
    }
    memcpy(text, data, 12);
    if (sscanf(text, "RFB %03u.%03u\n", &major, &minor) != 2 || major != 3) {
        vnc_client_end(c, "no RFB client, or of another major version");
        return 12;
    }
    c->minor = minor >= 8 ? 8 : minor == 7 ? 7 : 3;
    if (c->minor == 3 && security(c) == SECURITY_VENCRYPT) {
        put32(c->stream->out, 0);
        vnc_client_end(c, "RFB 3.3 cannot choose VeNCrypt");
    } else if (c->minor == 3) {
        put32(c->stream->out, security(c));
        start_security(c, security(c));
    } else {
        put8(c->stream->out, 1);
        put8(c->stream->out, security(c));
        c->next = choice;
    }
    return 12;
}

void vnc_handshake_start(VncClient *c)
{
    g_byte_array_append(c->stream->out, (const uint8_t *)"RFB 003.008\n", 12);
    c->next = version;
    vnc_stream_flush(c->stream);
}
