/* SPDX-License-Identifier: Apache-2.0 */
/* Reading guest memory for people and files. Control thread. */
#ifndef CONTROL_MEMORY_H
#define CONTROL_MEMORY_H

#include "core/vm.h"

/* Reads as the CPU sees memory, without side effects on its page tables; false: not mapped. */
bool control_read_virtual(Cpu *cpu, uint64_t va, void *buf, uint64_t n);

/* Where an address is in physical memory, as the CPU sees it now; false: nowhere. */
bool control_translate(Cpu *cpu, uint64_t va, uint64_t *pa);

#endif
