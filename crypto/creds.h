/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials, for sessions made of them. */
#ifndef CRYPTO_CREDS_H
#define CRYPTO_CREDS_H

#include "core/object.h"
#include "crypto/gnutls.h"

typedef struct TlsCreds {
    Object object;
    const GnuTls *lib;
    void *handle;               /* GnuTLS' credentials of the type's kind */
    char *dir, *priority, *passwordid, *username;
    int endpoint;
    bool verify_peer, sanity_check;
} TlsCreds;
enum { TLS_CLIENT, TLS_SERVER };

typedef struct TlsCredsType {
    ObjectType;
    gnutls_credentials_type_t kind;
    const char *algorithms;     /* added to the priority, or "" */
} TlsCredsType;

#endif
