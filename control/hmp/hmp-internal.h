/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the human monitor. */
#ifndef CONTROL_HMP_INTERNAL_H
#define CONTROL_HMP_INTERNAL_H

#include "control/hmp.h"

/* Evaluates an integer expression (C's operators without shifts and comparisons, $register) up to
 * where it ends, and moves *text there. */
bool hmp_expression(Hmp *hmp, const char **text, int64_t *value, GError **error);
/* Reads a command's arguments into an object. */
Json *hmp_read_args(Hmp *hmp, const HmpCommand *command, const char *text, GError **error);
/* The row that a line begins with, and where its arguments begin; NULL: unknown. */
const HmpCommand *hmp_find(const char *line, const char **rest);
/* Whether `name` is among the names "a|b". */
bool hmp_is_named(const char *names, const char *name, size_t length);

#endif
