/* SPDX-License-Identifier: Apache-2.0 */
/* The qtest protocol: a test drives the machine's memory, ports, interrupts and clock by text lines. */
#ifndef CONTROL_QTEST_H
#define CONTROL_QTEST_H

#include "core/vm.h"

/* Serves the protocol on a stream in legacy form ("unix:path", "stdio"); what passes goes to the log file
 * ("none": nowhere; NULL: standard error). Control thread. */
bool qtest_open(Vm *vm, const char *device, const char *log, GError **error);

#endif
