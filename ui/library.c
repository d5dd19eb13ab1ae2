/* SPDX-License-Identifier: Apache-2.0 */
/* Loading libraries. */
#include "ui/library.h"
#include <dlfcn.h>
#include "util/error.h"

bool library_load(const char *file, const char *package, const char *const *names, void *functions,
                  GError **error)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    void **to = functions;

    if (!library) {
        return error_set(error, "the library %s is missing (Debian's package %s)", file, package);
    }
    for (unsigned i = 0; names[i]; i++) {
        to[i] = dlsym(library, names[i]);
        if (!to[i]) {
            return error_set(error, "the library %s has no %s", file, names[i]);
        }
    }
    return true;
}
