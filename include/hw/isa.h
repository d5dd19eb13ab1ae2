/* SPDX-License-Identifier: Apache-2.0 */
/* The ISA bus: port space and sixteen interrupt lines. */
#ifndef HW_ISA_H
#define HW_ISA_H

#include "core/vm.h"

enum { ISA_IRQS = 16 };

/* Makes the bridge device and its bus "isa.0"; irqs[n] is where line n leads. */
Bus *isa_bus_new(Vm *vm, const Pin irqs[ISA_IRQS]);
Pin isa_irq(Bus *isa, unsigned n);
/* The machine's ISA bus, or NULL. */
Bus *isa_bus_of(Vm *vm);
/* How many devices of the type are on the bus: numbers COM ports and the like. */
unsigned isa_count(Bus *isa, const char *type);

#endif
