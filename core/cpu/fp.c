/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU's floating-point mode and accrued flags as helpers see them. Own thread. */
#include "core/cpu.h"

void cpu_set_fp_mode(Cpu *cpu, uint32_t fp_mode)
{
    cpu->fp_mode = fp_mode;
}

uint32_t cpu_get_fp_flags(Cpu *cpu)
{
    return cpu->fp_flags;
}

void cpu_set_fp_flags(Cpu *cpu, uint32_t flags)
{
    cpu->fp_flags = flags;
}
