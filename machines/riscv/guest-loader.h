/* SPDX-License-Identifier: Apache-2.0 */
/* -device guest-loader: what a hypervisor is to start, in memory and in the device tree. */
#ifndef MACHINES_RISCV_GUEST_LOADER_H
#define MACHINES_RISCV_GUEST_LOADER_H

#include "core/vm.h"

/* Adds a node to /chosen for each loader of the machine. The user's tree is named in errors. */
bool guest_loaders_describe(Vm *vm, GByteArray *tree, const char *name, GError **error);

#endif
