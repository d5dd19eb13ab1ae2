/* SPDX-License-Identifier: Apache-2.0 */
/* -machine none: no board at all. Clients start it to ask what this program can do. */
#include "core/vm.h"

static bool build(Machine *m, GError **error)
{
    return true;
}

static const char *const archs[] = { "x86_64", "i386", "riscv64", "riscv32", NULL };

static const MachineType none = {
    .name = "none-machine", .parent = "machine", .desc = "empty machine", .size = sizeof(Machine),
    .machine = "none", .archs = archs, .max_cpus = 1, .build = build,
};
OBJECT_TYPE(none);
