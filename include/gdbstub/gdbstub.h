/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The remote end of gdb's serial protocol ("Debugging with gdb", appendix Remote Protocol): a
 * process with a thread for each vCPU. Control thread.
 */
#ifndef GDBSTUB_GDBSTUB_H
#define GDBSTUB_GDBSTUB_H

#include "chardev/chardev.h"
#include "core/vm.h"

/* "monitor LINE": runs a human command and returns what it prints. The caller frees. */
typedef char *GdbCommand(Vm *vm, const char *line);

/* Serves debuggers on the chardev as long as the machine lives, or until gdb_server_stop(). A
 * debugger that comes stops the machine. One server a machine; a new one takes the old one's place. */
bool gdb_server_start(Vm *vm, Chardev *chr, GdbCommand *command, GError **error);
void gdb_server_stop(Vm *vm);

/* The protocol without the stream, for tests and fuzzers: bytes in by feed(), answers out by send(). */
typedef struct GdbSession GdbSession;
typedef void GdbSend(void *opaque, const char *data, size_t n);
GdbSession *gdb_session_new(Vm *vm, GdbCommand *command, GdbSend *send, void *opaque);
/* Takes back what the debugger set (breakpoints …); the machine stays as it is. */
void gdb_session_free(GdbSession *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GdbSession, gdb_session_free)
/* A debugger came, or went without a word. */
void gdb_session_opened(GdbSession *s);
void gdb_session_closed(GdbSession *s);
void gdb_session_feed(GdbSession *s, const uint8_t *data, size_t n);

#endif
