/* SPDX-License-Identifier: Apache-2.0 */
/* tls-creds-x509, tls-creds-psk, tls-creds-anon: files in a folder, by the names QEMU's have. */
#include "crypto/creds.h"
#include <string.h>
#include "core/backend.h"
#include "core/device.h"
#include "crypto/tls.h"
#include "util/error.h"

static const char *const endpoints[] = {"client", "server", NULL};

static const TlsCredsType *type_of(const TlsCreds *c) { return (const TlsCredsType *)c->object.type; }
static const char *side(const TlsCreds *c) { return endpoints[c->endpoint]; }

/* A file of the folder; NULL with an error if it must be there and is not. */
static char *find_file(const TlsCreds *c, const char *name, bool needed, GError **error)
{
    g_autofree char *path = g_build_filename(c->dir, name, NULL);

    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        return g_steal_pointer(&path);
    }
    if (needed) {
        error_set(error, "Unable to access credentials %s: No such file or directory", path);
    }
    return NULL;
}

static bool checked(const TlsCreds *c, int code, const char *what, const char *path, GError **error)
{
    return code >= 0 || error_set(error, "%s%s%s: %s", what, path ? " " : "", path ? path : "",
                                  c->lib->gnutls_strerror(code));
}

static bool begin(TlsCreds *c, GError **error)
{
    return (c->lib = gnutls_library(error)) != NULL;
}

/* ---- certificates ---- */

/* What would make every handshake fail is said now. */
static bool check_certificate(const TlsCreds *c, const char *path, bool authority, GError **error)
{
    gnutls_x509_crt_t crt;
    g_autofree char *text = NULL;
    gsize length;
    unsigned is_ca = 0;

    if (!g_file_get_contents(path, &text, &length, error)) {
        return false;
    }
    gnutls_datum_t data = {(unsigned char *)text, length};
    if (!checked(c, c->lib->gnutls_x509_crt_init(&crt), "certificate", path, error)) {
        return false;
    }
    int code = c->lib->gnutls_x509_crt_import(crt, &data, GNUTLS_X509_FMT_PEM);
    time_t now = time(NULL);
    bool ok = checked(c, code, "Unable to import certificate", path, error);
    if (ok && c->lib->gnutls_x509_crt_get_expiration_time(crt) < now) {
        ok = error_set(error, "The certificate %s has expired", path);
    } else if (ok && c->lib->gnutls_x509_crt_get_activation_time(crt) > now) {
        ok = error_set(error, "The certificate %s is not yet active", path);
    } else if (ok && c->lib->gnutls_x509_crt_get_basic_constraints(crt, NULL, &is_ca, NULL) >= 0 &&
               !!is_ca != authority) {
        ok = error_set(error, "The certificate %s basic constraints show %s, but we need %s", path,
                       is_ca ? "a CA" : "no CA", authority ? "a CA" : "a certificate for use");
    }
    c->lib->gnutls_x509_crt_deinit(crt);
    return ok;
}

static bool load_pair(TlsCreds *c, const char *cert, const char *key, GError **error)
{
    g_autofree char *password = NULL;

    if (!cert || !key) {
        return true;
    }
    if (c->passwordid && !(password = secret_get(c->object.vm, c->passwordid, NULL, error))) {
        return false;
    }
    int code = c->lib->gnutls_certificate_set_x509_key_file2(c->handle, cert, key, GNUTLS_X509_FMT_PEM,
                                                             password, 0);
    return checked(c, code, "Cannot load certificate and key", cert, error);
}

static bool load_files(TlsCreds *c, GError **error)
{
    bool server = c->endpoint == TLS_SERVER;
    g_autofree char *cert_name = g_strdup_printf("%s-cert.pem", side(c));
    g_autofree char *key_name = g_strdup_printf("%s-key.pem", side(c));
    g_autofree char *ca = find_file(c, "ca-cert.pem", c->verify_peer || !server, error);
    if (!ca && (c->verify_peer || !server)) {
        return false;
    }
    g_autofree char *crl = find_file(c, "ca-crl.pem", false, NULL);
    g_autofree char *cert = find_file(c, cert_name, server, error);
    g_autofree char *key = cert || !server ? find_file(c, key_name, server, error) : NULL;
    if (server && !key) {
        return false;
    }
    if (c->sanity_check && ((ca && !check_certificate(c, ca, true, error)) ||
                            (cert && !check_certificate(c, cert, false, error)))) {
        return false;
    }
    return (!ca || checked(c, c->lib->gnutls_certificate_set_x509_trust_file(c->handle, ca, GNUTLS_X509_FMT_PEM),
                           "Cannot load CA certificate", ca, error)) &&
           load_pair(c, cert, key, error) &&
           (!crl || checked(c, c->lib->gnutls_certificate_set_x509_crl_file(c->handle, crl, GNUTLS_X509_FMT_PEM),
                            "Cannot load CRL", crl, error));
}

static bool complete_x509(Object *o, GError **error)
{
    TlsCreds *c = (TlsCreds *)o;

    if (!c->dir) {
        return error_set(error, "Missing 'dir' property value");
    }
    if (!begin(c, error)) {
        return false;
    }
    int code = c->lib->gnutls_certificate_allocate_credentials((gnutls_certificate_credentials_t *)&c->handle);
    if (!checked(c, code, "credentials", NULL, error) || !load_files(c, error)) {
        return false;
    }
    c->lib->gnutls_certificate_set_known_dh_params(c->handle, GNUTLS_SEC_PARAM_MEDIUM);
    return true;
}

static void finish_x509(Object *o)
{
    TlsCreds *c = (TlsCreds *)o;

    if (c->handle) {
        c->lib->gnutls_certificate_free_credentials(c->handle);
    }
}

/* ---- nobody is known ---- */

static bool complete_anon(Object *o, GError **error)
{
    TlsCreds *c = (TlsCreds *)o;

    if (!begin(c, error)) {
        return false;
    }
    if (c->endpoint == TLS_CLIENT) {
        return checked(c, c->lib->gnutls_anon_allocate_client_credentials((gnutls_anon_client_credentials_t *)&c->handle),
                       "credentials", NULL, error);
    }
    if (!checked(c, c->lib->gnutls_anon_allocate_server_credentials((gnutls_anon_server_credentials_t *)&c->handle),
                 "credentials", NULL, error)) {
        return false;
    }
    c->lib->gnutls_anon_set_server_known_dh_params(c->handle, GNUTLS_SEC_PARAM_MEDIUM);
    return true;
}

static void finish_anon(Object *o)
{
    TlsCreds *c = (TlsCreds *)o;

    if (c->handle && c->endpoint == TLS_CLIENT) {
        c->lib->gnutls_anon_free_client_credentials(c->handle);
    } else if (c->handle) {
        c->lib->gnutls_anon_free_server_credentials(c->handle);
    }
}

/* ---- keys known to both ---- */

/* The hexadecimal key behind "user:" in the file; the caller frees. */
static char *find_key(const char *path, const char *user, GError **error)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, error)) {
        return NULL;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        size_t n = strlen(user);
        if (!strncmp(*l, user, n) && (*l)[n] == ':') {
            return g_strchomp(g_strdup(*l + n + 1));
        }
    }
    error_set(error, "Username %s not found in %s", user, path);
    return NULL;
}

static bool complete_psk(Object *o, GError **error)
{
    TlsCreds *c = (TlsCreds *)o;

    if (!c->dir) {
        return error_set(error, "Missing 'dir' property value");
    }
    if (c->endpoint == TLS_SERVER && c->username) {
        return error_set(error, "username should not be set when endpoint=server");
    }
    g_autofree char *path = find_file(c, "keys.psk", true, error);
    if (!path || !begin(c, error)) {
        return false;
    }
    if (c->endpoint == TLS_SERVER) {
        if (!checked(c, c->lib->gnutls_psk_allocate_server_credentials((gnutls_psk_server_credentials_t *)&c->handle),
                     "credentials", NULL, error) ||
            !checked(c, c->lib->gnutls_psk_set_server_credentials_file(c->handle, path), "Cannot set PSK server credentials", path,
                     error)) {
            return false;
        }
        c->lib->gnutls_psk_set_server_known_dh_params(c->handle, GNUTLS_SEC_PARAM_MEDIUM);
        return true;
    }
    const char *user = c->username ? c->username : "qemu";
    g_autofree char *key = find_key(path, user, error);
    gnutls_datum_t hex = {(unsigned char *)key, key ? strlen(key) : 0};
    return key && checked(c, c->lib->gnutls_psk_allocate_client_credentials((gnutls_psk_client_credentials_t *)&c->handle),
                          "credentials", NULL, error) &&
           checked(c, c->lib->gnutls_psk_set_client_credentials(c->handle, user, &hex, GNUTLS_PSK_KEY_HEX),
                   "Cannot set PSK client credentials", path, error);
}

static void finish_psk(Object *o)
{
    TlsCreds *c = (TlsCreds *)o;

    if (c->handle && c->endpoint == TLS_CLIENT) {
        c->lib->gnutls_psk_free_client_credentials(c->handle);
    } else if (c->handle) {
        c->lib->gnutls_psk_free_server_credentials(c->handle);
    }
}

/* ---- types ---- */

static const Field fields[] = {
    HOST(TlsCreds, lib), HOST(TlsCreds, handle),
    PROP(TlsCreds, dir, "dir", PROP_STRING, .desc = "Folder with the files"),
    PROP(TlsCreds, endpoint, "endpoint", PROP_ENUM, .names = endpoints,
         .link_type = "QCryptoTLSCredsEndpoint", .desc = "Side of connections they are for"),
    PROP(TlsCreds, verify_peer, "verify-peer", PROP_BOOL, .init = true,
         .desc = "The other side must show a certificate of the CA"),
    PROP(TlsCreds, priority, "priority", PROP_STRING, .desc = "GnuTLS' priority string"),
};
static const Field x509_fields[] = {
    PROP(TlsCreds, sanity_check, "sanity-check", PROP_BOOL, .init = true,
         .desc = "Look at the certificates in advance"),
    PROP(TlsCreds, passwordid, "passwordid", PROP_STRING, .desc = "Secret that opens the key"),
};
static const Field psk_fields[] = {
    PROP(TlsCreds, username, "username", PROP_STRING, .desc = "Client's name"),
};
static const ObjectType base = {
    .name = "tls-creds", .size = sizeof(TlsCreds), .abstract = true, FIELDS(fields),
};
OBJECT_TYPE(base);
static const TlsCredsType x509 = {
    .name = "tls-creds-x509", .parent = "tls-creds", .desc = "TLS credentials: certificates",
    .size = sizeof(TlsCreds), .user_creatable = true, FIELDS(x509_fields), .complete = complete_x509,
    .finish = finish_x509, .kind = GNUTLS_CRD_CERTIFICATE, .algorithms = "",
};
OBJECT_TYPE(x509);
static const TlsCredsType anon = {
    .name = "tls-creds-anon", .parent = "tls-creds", .desc = "TLS credentials: nobody is known",
    .size = sizeof(TlsCreds), .user_creatable = true, .complete = complete_anon, .finish = finish_anon,
    .kind = GNUTLS_CRD_ANON, .algorithms = ":+ANON-ECDH:+ANON-DH",
};
OBJECT_TYPE(anon);
static const TlsCredsType psk = {
    .name = "tls-creds-psk", .parent = "tls-creds", .desc = "TLS credentials: keys known to both sides",
    .size = sizeof(TlsCreds), .user_creatable = true, FIELDS(psk_fields), .complete = complete_psk,
    .finish = finish_psk, .kind = GNUTLS_CRD_PSK, .algorithms = ":+ECDHE-PSK:+DHE-PSK:+PSK",
};
OBJECT_TYPE(psk);

Object *tls_creds_find(Vm *vm, const char *id, bool server, GError **error)
{
    Object *o = object_child(vm->objects, id);

    if (!o) {
        error_set(error, "No TLS credentials with id '%s'", id);
    } else if (!object_is_a(o, "tls-creds")) {
        error_set(error, "Object with id '%s' is not TLS credentials", id);
    } else if (((TlsCreds *)o)->endpoint != (server ? TLS_SERVER : TLS_CLIENT)) {
        error_set(error, "Expected TLS credentials for a %s endpoint", endpoints[server]);
    } else {
        return o;
    }
    return NULL;
}

bool tls_creds_are_x509(Object *creds)
{
    return type_of((TlsCreds *)creds)->kind == GNUTLS_CRD_CERTIFICATE;
}
