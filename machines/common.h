/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that most boards take. */
#ifndef MACHINES_COMMON_H
#define MACHINES_COMMON_H

#include "core/vm.h"

/* The machine's RAM: the memory-backend given, or anonymous memory under the default id. */
MemRegion *machine_make_ram(Machine *m, GError **error);
/* vm->cpus by m->smp and m->cpu_model (or the type's default). */
bool machine_make_cpus(Machine *m, GError **error);
/* The chardev for the n-th -serial, NULL for none. */
struct Chardev *machine_serial(Machine *m, unsigned n);
/* Attaches the n-th -serial's chardev to a device with a "chardev" property, before realize. */
bool machine_set_chardev(Machine *m, Device *d, unsigned n, GError **error);

/* The device tree that the guest is given, kept for who asks; NULL: this machine has none. */
void machine_keep_fdt(Machine *m, const GByteArray *tree);
GBytes *machine_fdt(Vm *vm);

/* A device with a "chardev" property on a bus, with that chardev (may be NULL). */
bool machine_make_port(Machine *m, const char *type, struct Chardev *chr, Bus *bus, GError **error);

#endif
