/* SPDX-License-Identifier: Apache-2.0 */
/* The chips that every PC-like board wires by hand: PIC pair, PIT, RTC. */
#ifndef HW_PC_CHIPS_H
#define HW_PC_CHIPS_H

#include "core/vm.h"

/* The 8259A pair at 0x20/0xa0 with ELCR at 0x4d0; inputs are i8259_pin(0…15); output to intr. */
Device *i8259_pair_new(Vm *vm, Pin intr);
Pin i8259_pin(Device *pair, unsigned n);
/* Acknowledge cycle: the vector of the highest pending interrupt (spurious: base + 7). Inside the
 * interrupt chips' domain. */
int i8259_ack(Device *pair);
/* A line for each of the two, for people. */
void i8259_describe(Device *pair, GString *out);

/* The 8254 at 0x40; channel 0 drives irq0, unless its input 0, the HPET's, is high. Port 0x61 is the
 * speaker's (pcspk). */
Device *i8254_new(Vm *vm, Pin irq0);
/* The accelerator's instead, which drives interrupt 0 itself and has port 0x61, too (AccelType.pit). */
Device *kvm_pit_new(Vm *vm);
/* Bits 0 and 1 of port 0x61: gate of channel 2, speaker. */
uint8_t i8254_control(Device *pit);
void i8254_set_control(Device *pit, uint8_t control);
bool i8254_output(Device *pit, unsigned channel);
/* Length of the wave that it puts out, in ticks of 1193182 Hz; 0: none. */
uint32_t i8254_period(Device *pit, unsigned channel);
/* Port 0x61 (system control port B); audiodev: what a PROP_AUDIODEV holds, NULL: silent. */
Device *pcspk_new(Vm *vm, Device *pit, void *audiodev);

/* MC146818 RTC with 128 bytes of NVRAM at 0x70; IRQ 8. */
Device *mc146818_new(Vm *vm, Pin irq8);
void mc146818_set(Device *rtc, unsigned at, uint8_t value);
/* Sizes of memory where firmware looks for them (0x15-0x18, 0x30-0x35, 0x5b-0x5d). */
void mc146818_set_memory(Device *rtc, uint64_t low, uint64_t high);

#endif
