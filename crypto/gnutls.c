/* SPDX-License-Identifier: Apache-2.0 */
/* Loading GnuTLS. */
#include "crypto/gnutls.h"
#include <dlfcn.h>
#include "util/error.h"

#define STRINGS(name) #name,
static const char *const names[] = {GNUTLS_FUNCTIONS(STRINGS) NULL};

const GnuTls *gnutls_library(GError **error)
{
    static GnuTls functions;            /* filled once; what a library is does not change */
    static gsize state;                 /* 1: loaded; 2: failed */

    if (g_once_init_enter(&state)) {
        void *library = dlopen("libgnutls.so.30", RTLD_NOW | RTLD_LOCAL);
        void **to = (void **)&functions;
        bool ok = library != NULL;
        for (unsigned i = 0; ok && names[i]; i++) {
            to[i] = dlsym(library, names[i]);
            ok = to[i] != NULL;
        }
        g_once_init_leave(&state, ok ? 1 : 2);
    }
    if (state != 1) {
        error_set(error, "TLS needs the library libgnutls.so.30 (Debian's package libgnutls30)");
        return NULL;
    }
    return &functions;
}
