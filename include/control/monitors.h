/* SPDX-License-Identifier: Apache-2.0 */
/* Monitors on chardevs. Control thread. */
#ifndef CONTROL_MONITORS_H
#define CONTROL_MONITORS_H

#include "chardev/chardev.h"
#include "control/cli/config.h"

/* Opens a monitor on the chardev for as long as the machine lives. */
bool monitor_new(Vm *vm, Chardev *chr, MonitorMode mode, GError **error);

#endif
