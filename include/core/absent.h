/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that QEMU knows and Myna does not: whoever types one is told so, and what to take instead. The rows are
 * in core/object/absent.inc; a test checks that none of them is implemented.
 */
#ifndef CORE_ABSENT_H
#define CORE_ABSENT_H

#include "core/object.h"

typedef enum AbsentKind { ABSENT_DEVICE, ABSENT_OBJECT, ABSENT_CHARDEV, ABSENT_NETDEV, ABSENT_KINDS } AbsentKind;

/* Sets the error and returns true if the name is in the table, else leaves everything. Any thread. */
bool absent_error(GError **error, AbsentKind kind, const char *name);
/* All rows of a kind. */
void absent_foreach(AbsentKind kind, void (*fn)(const char *name, void *data), void *data);

#endif
