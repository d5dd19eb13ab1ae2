/* SPDX-License-Identifier: Apache-2.0 */
/* A bare x86 machine for unit tests: RAM, one CPU, run on the IR interpreter unit by unit. */
#ifndef TARGET_X86_TESTING_H
#define TARGET_X86_TESTING_H

#include "core/vm.h"
#include "target/x86/cpu.h"

typedef struct X86Test {
    Loop *loop;
    Vm *vm;
    MemRegion *ram;
    uint8_t *mem;               /* host address of RAM at 0 */
    X86Cpu *x;
    IrUnit *unit;
    bool halted;
} X86Test;

X86Test *x86_test_new(const char *isa, const char *model, uint64_t ram);
void x86_test_free(X86Test *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X86Test, x86_test_free)
/* Runs units until hlt or `units` are done; false when they are used up. */
bool x86_test_run(X86Test *t, unsigned units);
/* One instruction. */
void x86_test_step(X86Test *t);

#endif
