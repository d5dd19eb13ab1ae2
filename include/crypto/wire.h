/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connected stream socket as its users see it, with TLS and WebSocket (RFC 6455, server's side) between
 * where that is asked for. Non-blocking. One thread reads and shakes hands, one may write; the users of a
 * wire see to it that writes do not overlap.
 */
#ifndef CRYPTO_WIRE_H
#define CRYPTO_WIRE_H

#include <sys/uio.h>
#include "crypto/tls.h"

typedef struct Wire Wire;

/* Takes over fd and makes it non-blocking. */
Wire *wire_new(int fd);
/* Closes it. */
void wire_free(Wire *w);
int wire_fd(const Wire *w);
/* From now on TLS; see tls_session_new(). wire_shake() follows. */
bool wire_start_tls(Wire *w, Object *creds, const char *hostname, const char *authz, GError **error);
/* From now on WebSocket, behind TLS if both are. wire_shake() follows. */
void wire_start_websocket(Wire *w);
bool wire_is_plain(const Wire *w);
/* Does what can be done of the handshakes. 1: all done; 0: again when wire_events(); -1: failed. */
int wire_shake(Wire *w, GError **error);
short wire_events(const Wire *w);
/* The same, waiting; false if it fails or takes longer. */
bool wire_shake_wait(Wire *w, int timeout_ms, GError **error);

/* As recvmsg() and sendmsg(): -1 with errno, EAGAIN: not now; 0: the end. */
ssize_t wire_recv(Wire *w, void *buf, size_t n);
ssize_t wire_recvv(Wire *w, const struct iovec *iov, unsigned n);
ssize_t wire_send(Wire *w, const void *buf, size_t n);
ssize_t wire_sendv(Wire *w, const struct iovec *iov, unsigned n);
/* What was taken by send is with the kernel; false: try again when writable (EAGAIN), or broken. */
bool wire_flush(Wire *w);
/* All of n bytes, or false. Whenever the socket is not ready `wait` waits for that: with poll() on a thread that
 * may block, else as a fiber; false from it ends the transfer. */
typedef bool WireWait(void *opaque, bool writing);
bool wire_recv_all(Wire *w, void *to, size_t n, WireWait *wait, void *opaque);
/* Flushed, too. */
bool wire_send_all(Wire *w, const void *from, size_t n, WireWait *wait, void *opaque);
/* Bytes have been received that wire_recv() can give without the socket becoming readable. */
bool wire_has_input(const Wire *w);

/* ---- WebSocket frames ---- */
enum { WEBSOCKET_BINARY = 2, WEBSOCKET_MOST = 1 << 20 };
/* Handshake: bytes consumed of the request, 0: more needed, -1: no WebSocket. */
gssize websocket_accept(const uint8_t *data, size_t n, GByteArray *reply);
/* One frame at data: bytes consumed, 0: more needed, -1: broken. Payload is appended to `out`, answers
 * to pings to `reply`; *close: the other side ends. */
gssize websocket_frame(const uint8_t *data, size_t n, GByteArray *out, GByteArray *reply, bool *close);
void websocket_wrap(GByteArray *wire, unsigned opcode, const uint8_t *data, size_t n);

#endif
