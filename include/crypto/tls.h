/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on connected sockets (RFC 5246, 8446), by GnuTLS, which is loaded when the first credentials are
 * made. Credentials are objects of the user's (-object tls-creds-x509, -anon, -psk).
 *
 * A session belongs to one loop; reading and writing may happen on two threads at once.
 */
#ifndef CRYPTO_TLS_H
#define CRYPTO_TLS_H

#include <sys/types.h>
#include "core/vm.h"

typedef struct TlsSession TlsSession;

/* Credentials by id, made for that side of connections; NULL with an error. Borrowed. */
Object *tls_creds_find(Vm *vm, const char *id, bool server, GError **error);
/* Whether they are certificates (rather than keys known to both, or nothing). */
bool tls_creds_are_x509(Object *creds);

/* A session over fd, which stays the caller's and is non-blocking. hostname: the name that a server's
 * certificate must have; authz: id of the object that says who may enter; both may be NULL. */
TlsSession *tls_session_new(Object *creds, int fd, const char *hostname, const char *authz, GError **error);
void tls_session_free(TlsSession *s);
/* 1: done, and the other side is who it should be; 0: again when tls_events() happen; -1: failed. */
int tls_handshake(TlsSession *s, GError **error);
/* poll()'s events that the handshake waits for. */
short tls_events(const TlsSession *s);
/* As recv() and send() on a non-blocking socket: -1 with EAGAIN, 0 at the end. What send() has taken may
 * still be on its way: tls_flush() is false, with EAGAIN, until it has gone. */
ssize_t tls_recv(TlsSession *s, void *buf, size_t n);
ssize_t tls_send(TlsSession *s, const void *buf, size_t n);
bool tls_flush(TlsSession *s);

/* ---- who may enter: -object authz-simple, authz-list ---- */
/* False with an error: this identity may not, or there is no such object. */
bool authz_allows(Vm *vm, const char *id, const char *identity, GError **error);

#endif
