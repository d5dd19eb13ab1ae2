/* SPDX-License-Identifier: Apache-2.0 */
/* GnuTLS, loaded when it is needed: programs without TLS do not pay for its start. */
#ifndef CRYPTO_GNUTLS_H
#define CRYPTO_GNUTLS_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <glib.h>

#define GNUTLS_FUNCTIONS(F)                                                                         \
    F(gnutls_strerror) F(gnutls_init) F(gnutls_deinit) F(gnutls_credentials_set)                    \
    F(gnutls_set_default_priority) F(gnutls_priority_set_direct) F(gnutls_transport_set_int2)       \
    F(gnutls_handshake) F(gnutls_record_get_direction) F(gnutls_record_recv)                        \
    F(gnutls_record_send) F(gnutls_record_check_pending) F(gnutls_bye)                              \
    F(gnutls_server_name_set) F(gnutls_certificate_server_set_request)                              \
    F(gnutls_certificate_type_get) F(gnutls_certificate_get_peers)                                  \
    F(gnutls_certificate_verify_peers2) F(gnutls_certificate_verification_status_print)             \
    F(gnutls_certificate_allocate_credentials) F(gnutls_certificate_free_credentials)               \
    F(gnutls_certificate_set_x509_trust_file) F(gnutls_certificate_set_x509_crl_file)               \
    F(gnutls_certificate_set_x509_key_file2) F(gnutls_certificate_set_known_dh_params)              \
    F(gnutls_anon_allocate_server_credentials) F(gnutls_anon_free_server_credentials)               \
    F(gnutls_anon_set_server_known_dh_params) F(gnutls_anon_allocate_client_credentials)            \
    F(gnutls_anon_free_client_credentials) F(gnutls_psk_allocate_server_credentials)                \
    F(gnutls_psk_free_server_credentials) F(gnutls_psk_set_server_credentials_file)                 \
    F(gnutls_psk_set_server_known_dh_params) F(gnutls_psk_allocate_client_credentials)              \
    F(gnutls_psk_free_client_credentials) F(gnutls_psk_set_client_credentials)                      \
    F(gnutls_psk_server_get_username) F(gnutls_x509_crt_init) F(gnutls_x509_crt_deinit)             \
    F(gnutls_x509_crt_import) F(gnutls_x509_crt_check_hostname) F(gnutls_x509_crt_get_dn)           \
    F(gnutls_x509_crt_get_expiration_time) F(gnutls_x509_crt_get_activation_time)                   \
    F(gnutls_x509_crt_get_basic_constraints)

typedef struct GnuTls {
#define F(name) __typeof__(name) *name;
    GNUTLS_FUNCTIONS(F)
#undef F
} GnuTls;

/* The library's functions, as long as the process lives; NULL with an error if it is not there. */
const GnuTls *gnutls_library(GError **error);

#endif
