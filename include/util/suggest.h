/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean …": the valid names that are nearest to a misspelt one. */
#ifndef UTIL_SUGGEST_H
#define UTIL_SUGGEST_H

#include <glib.h>

/* The names most like `given`, best first, at most three, ready to be shown: "'stdio' or 'file'".
 * NULL when none is near. `names` ends with NULL. The caller frees the result. Any thread. */
char *suggest_nearest(const char *given, const char *const *names);

/* Appends "; did you mean 'stdio'?" to an error that is set, if any name is near. */
void suggest_append(GError **error, const char *given, const char *const *names);

#endif
