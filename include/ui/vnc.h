/* SPDX-License-Identifier: Apache-2.0 */
/* The VNC server: -vnc and its commands. Control thread. */
#ifndef UI_VNC_H
#define UI_VNC_H

#include "core/vm.h"

/* -vnc "host:display,option=…", "unix:path,…" or "none". `layout`: -k, NULL: en-us. The server ends
 * with the machine. */
bool vnc_add(Vm *vm, const char *text, const char *layout, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Where the newest server listens: "127.0.0.1:5900"; the caller frees. */
char *vnc_where(Vm *vm);

#endif
