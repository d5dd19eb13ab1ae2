/* SPDX-License-Identifier: Apache-2.0 */
/* TLS sessions: handshake, who is there, records. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include "crypto/creds.h"
#include "crypto/tls.h"
#include "util/error.h"

struct TlsSession {
    const GnuTls *lib;
    TlsCreds *creds;            /* a reference */
    gnutls_session_t session;
    char *hostname, *authz;
    size_t sending;             /* bytes that GnuTLS has taken and not sent yet */
    bool shaken;
};

static const TlsCredsType *type_of(const TlsSession *s) { return (const TlsCredsType *)s->creds->object.type; }
static bool is_server(const TlsSession *s) { return s->creds->endpoint == TLS_SERVER; }

static bool failed(const TlsSession *s, const char *what, int code, GError **error)
{
    return error_set(error, "%s: %s", what, s->lib->gnutls_strerror(code));
}

static bool prepare(TlsSession *s, int fd, GError **error)
{
    const GnuTls *lib = s->lib;
    unsigned flags = (is_server(s) ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;
    g_autofree char *priority = g_strconcat(s->creds->priority ? s->creds->priority : "NORMAL",
                                            type_of(s)->algorithms, NULL);
    int code = lib->gnutls_init(&s->session, flags);

    if (code < 0) {
        return failed(s, "Cannot begin a TLS session", code, error);
    }
    code = lib->gnutls_priority_set_direct(s->session, priority, NULL);
    if (code < 0) {
        return failed(s, "Unable to set TLS session priority", code, error);
    }
    code = lib->gnutls_credentials_set(s->session, type_of(s)->kind, s->creds->handle);
    if (code < 0) {
        return failed(s, "Cannot set session credentials", code, error);
    }
    if (is_server(s) && type_of(s)->kind == GNUTLS_CRD_CERTIFICATE) {
        lib->gnutls_certificate_server_set_request(s->session, s->creds->verify_peer ? GNUTLS_CERT_REQUEST
                                                                                     : GNUTLS_CERT_IGNORE);
    }
    if (!is_server(s) && s->hostname) {
        lib->gnutls_server_name_set(s->session, GNUTLS_NAME_DNS, s->hostname, strlen(s->hostname));
    }
    lib->gnutls_transport_set_int2(s->session, fd, fd);
    return true;
}

TlsSession *tls_session_new(Object *creds, int fd, const char *hostname, const char *authz, GError **error)
{
    TlsSession *s = g_new0(TlsSession, 1);

    *s = (TlsSession){.creds = (TlsCreds *)creds, .lib = ((TlsCreds *)creds)->lib,
                      .hostname = g_strdup(hostname), .authz = g_strdup(authz)};
    object_ref(creds);
    if (!prepare(s, fd, error)) {
        g_clear_pointer(&s, tls_session_free);
    }
    return s;
}

void tls_session_free(TlsSession *s)
{
    if (!s) {
        return;
    }
    if (s->session) {
        if (s->shaken) {
            s->lib->gnutls_bye(s->session, GNUTLS_SHUT_WR);
        }
        s->lib->gnutls_deinit(s->session);
    }
    object_unref(&s->creds->object);
    g_free(s->hostname);
    g_free(s->authz);
    g_free(s);
}

/* ---- who is there ---- */

static bool check_chain(TlsSession *s, GError **error)
{
    unsigned status = 0;
    int code = s->lib->gnutls_certificate_verify_peers2(s->session, &status);

    if (code < 0) {
        return failed(s, "Certificate does not match the CA", code, error);
    }
    if (status) {
        gnutls_datum_t text = {0};
        s->lib->gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
        error_set(error, "The certificate is not accepted: %.*s", (int)text.size, text.data);
        free(text.data);
        return false;
    }
    return true;
}

static bool check_owner(TlsSession *s, GError **error)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = s->lib->gnutls_certificate_get_peers(s->session, &n);
    gnutls_x509_crt_t crt;
    char dn[1024] = "";
    size_t size = sizeof(dn);

    if (!chain || !n || s->lib->gnutls_x509_crt_init(&crt) < 0) {
        return error_set(error, "No certificate peers");
    }
    bool ok = s->lib->gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) >= 0 &&
              s->lib->gnutls_x509_crt_get_dn(crt, dn, &size) >= 0;
    if (!ok) {
        error_set(error, "The certificate cannot be read");
    } else if (!is_server(s) && s->hostname && !s->lib->gnutls_x509_crt_check_hostname(crt, s->hostname)) {
        ok = error_set(error, "Certificate does not match the hostname %s", s->hostname);
    }
    s->lib->gnutls_x509_crt_deinit(crt);
    return ok && (!s->authz || authz_allows(s->creds->object.vm, s->authz, dn, error));
}

static bool check_peer(TlsSession *s, GError **error)
{
    if (type_of(s)->kind == GNUTLS_CRD_PSK && s->authz) {
        const char *name = s->lib->gnutls_psk_server_get_username(s->session);
        return authz_allows(s->creds->object.vm, s->authz, name ? name : "", error);
    }
    if (type_of(s)->kind != GNUTLS_CRD_CERTIFICATE) {
        return !s->authz || error_set(error, "nobody is known by anonymous credentials");
    }
    if (!s->creds->verify_peer && is_server(s)) {
        return !s->authz || error_set(error, "tls-authz needs verify-peer=on");
    }
    return !s->creds->verify_peer || (check_chain(s, error) && check_owner(s, error));
}

int tls_handshake(TlsSession *s, GError **error)
{
    int code = s->lib->gnutls_handshake(s->session);

    if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED) {
        return 0;
    }
    if (code < 0) {
        failed(s, "TLS handshake failed", code, error);
        return -1;
    }
    s->shaken = check_peer(s, error);
    return s->shaken ? 1 : -1;
}

short tls_events(const TlsSession *s)
{
    return s->lib->gnutls_record_get_direction(s->session) ? POLLOUT : POLLIN;
}

/* ---- records ---- */

static ssize_t fail(int code)
{
    errno = code == GNUTLS_E_AGAIN ? EAGAIN : code == GNUTLS_E_INTERRUPTED ? EINTR
            : code == GNUTLS_E_PREMATURE_TERMINATION ? ECONNABORTED : EIO;
    return -1;
}

ssize_t tls_recv(TlsSession *s, void *buf, size_t n)
{
    ssize_t k = s->lib->gnutls_record_recv(s->session, buf, n);

    return k >= 0 ? k : k == GNUTLS_E_PREMATURE_TERMINATION ? 0 : fail(k);
}

bool tls_flush(TlsSession *s)
{
    while (s->sending) {
        ssize_t k = s->lib->gnutls_record_send(s->session, NULL, 0);
        if (k <= 0) {
            fail(k ? k : GNUTLS_E_AGAIN);
            return false;
        }
        s->sending -= MIN((size_t)k, s->sending);
    }
    return true;
}

/* GnuTLS keeps what it could not send, so that it counts as sent; the next call begins with it. */
ssize_t tls_send(TlsSession *s, const void *buf, size_t n)
{
    enum { RECORD = 16384 };

    if (!tls_flush(s)) {
        return -1;
    }
    n = MIN(n, RECORD);
    ssize_t k = s->lib->gnutls_record_send(s->session, buf, n);
    if (k == GNUTLS_E_AGAIN || k == GNUTLS_E_INTERRUPTED) {
        s->sending = n;
        return n;
    }
    return k >= 0 ? k : fail(k);
}
