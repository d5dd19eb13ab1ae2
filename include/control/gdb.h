/* SPDX-License-Identifier: Apache-2.0 */
/* -gdb, -s and the human monitor's gdbserver. Control thread. */
#ifndef CONTROL_GDB_H
#define CONTROL_GDB_H

#include "core/vm.h"

/* "tcp::1234", "unix:PATH", "stdio", "chardev:ID"; "none" ends what is there. */
bool gdb_open(Vm *vm, const char *device, GError **error);

#endif
