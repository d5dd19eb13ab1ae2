/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line asks of the process itself: memory locked, rights given up, system calls denied. */
#ifndef CONTROL_PROCESS_H
#define CONTROL_PROCESS_H

#include "control/cli/config.h"

/* Before the machine is built: -overcommit, -sandbox. */
bool process_prepare(const Config *c, GError **error);
/* When all files are open: -chroot, -runas, -run-with. */
bool process_settle(const Config *c, GError **error);

/* sandbox.c: -sandbox on,… ; user: whether the user is to change later (then set*id may not be denied). */
bool sandbox_apply(const Json *o, bool user, GError **error);

#endif
