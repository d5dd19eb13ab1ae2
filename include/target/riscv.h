/* SPDX-License-Identifier: Apache-2.0 */
/* What boards and interrupt chips may know of a RISC-V CPU. */
#ifndef TARGET_RISCV_H
#define TARGET_RISCV_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Cpu Cpu;

/* Input pins of the CPU device: the interrupt numbers of mip. */
enum {
    RISCV_PIN_SSI = 1,
    RISCV_PIN_MSI = 3,
    RISCV_PIN_STI = 5,
    RISCV_PIN_MTI = 7,
    RISCV_PIN_SEI = 9,
    RISCV_PIN_MEI = 11,
};

/* Where the time CSR comes from: fn(opaque) gives mtime, any thread; hz its frequency. Without it
 * reading time is an illegal instruction. Called by the board before the machine runs. */
void riscv_cpu_set_time(Cpu *cpu, uint64_t (*fn)(void *opaque), void *opaque, uint32_t hz);
/* mtime was written: the supervisor timer must be set anew. */
void riscv_cpu_time_changed(Cpu *cpu);
void riscv_cpu_set_hartid(Cpu *cpu, uint64_t hartid);
void riscv_cpu_set_reset_pc(Cpu *cpu, uint64_t pc);

/* For device trees. */
unsigned riscv_cpu_xlen(Cpu *cpu);
/* "rv64imafdc_zicsr_…"; caller frees. */
char *riscv_cpu_isa_string(Cpu *cpu);
/* NULL-terminated, caller frees with g_strfreev(). */
char **riscv_cpu_isa_list(Cpu *cpu);
/* "riscv,sv57" …, "riscv,none". */
const char *riscv_cpu_mmu_type(Cpu *cpu);
/* Whether it has the extension named, e.g. "zicbom". */
bool riscv_cpu_has(Cpu *cpu, const char *extension);

#endif
