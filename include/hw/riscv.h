/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt controllers and timers of RISC-V boards; made, connected and placed by the board. */
#ifndef HW_RISCV_H
#define HW_RISCV_H

#include "core/device.h"

/* SiFive PLIC: contexts in the order of the device tree's interrupts-extended. Inputs are
 * device_pin(plic, 1 … sources). */
Device *sifive_plic_new(Vm *vm, uint64_t base, unsigned sources, unsigned contexts);
void sifive_plic_connect(Device *plic, unsigned context, Pin to);

/* ACLINT: machine timer (mtimecmp at base, mtime at base + mtime_at) and software interrupts. */
Device *riscv_aclint_mtimer_new(Vm *vm, uint64_t base, uint64_t mtime_at, unsigned harts,
                                uint32_t hz);
void riscv_aclint_mtimer_connect(Device *mtimer, unsigned hart, Pin to);
/* mtime; opaque is the mtimer. Any thread. */
uint64_t riscv_aclint_time(void *mtimer);
/* Called after mtime was written, under the device's lock. */
void riscv_aclint_on_time_change(Device *mtimer, void (*fn)(void *opaque), void *opaque);
/* supervisor: SSWI, whose registers read as zero and set an edge. */
Device *riscv_aclint_swi_new(Vm *vm, uint64_t base, unsigned harts, bool supervisor);
void riscv_aclint_swi_connect(Device *swi, unsigned hart, Pin to);

#endif
