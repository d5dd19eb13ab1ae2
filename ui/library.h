/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries of displays, loaded when one is started: who does not use them does not pay for them. */
#ifndef UI_LIBRARY_H
#define UI_LIBRARY_H

#include <glib.h>
#include <stdbool.h>

/* A struct of pointers to the functions of LIST(F), each by its own name and prototype. */
#define LIBRARY_MEMBER(name) __typeof__(name) *name;
#define LIBRARY_NAME(name) #name,
/* Fills `functions`, an array of pointers in the order of `names` (ended by NULL). */
bool library_load(const char *file, const char *package, const char *const *names, void *functions,
                  GError **error);

#endif
