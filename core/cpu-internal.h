/* SPDX-License-Identifier: Apache-2.0 */
/* Between core/cpu, core/vm and core/clock. */
#ifndef CORE_CPU_INTERNAL_H
#define CORE_CPU_INTERNAL_H

#include "core/cpu.h"

struct RunControl *run_control_new(void);
void run_control_free(struct RunControl *r);
/* Makes the thread, standing. */
void cpu_thread_start(Cpu *cpu);
/* Ends and joins it. Not from a vCPU's thread. */
void cpu_thread_end(Cpu *cpu);
/* The calling vCPU (if it is one) will stand as soon as it is out of its unit. */
void cpu_stop_self(void);

/* -d cpu_reset: the registers before a reset. Own thread. */
void cpu_log_reset(Cpu *cpu);

/* core/clock: whether virtual time counts instructions (-icount). */
bool clock_counts(Vm *vm);

#endif
