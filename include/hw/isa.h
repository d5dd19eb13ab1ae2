/* SPDX-License-Identifier: Apache-2.0 */
/* The ISA bus: port space and sixteen interrupt lines. */
#ifndef HW_ISA_H
#define HW_ISA_H

#include "core/vm.h"

enum { ISA_IRQS = 16, ISA_DMA_CHIPS = 2 };

/* Makes the bridge device and its bus "isa.0"; irqs[n] is where line n leads. */
Bus *isa_bus_new(Vm *vm, const Pin irqs[ISA_IRQS]);
Pin isa_irq(Bus *isa, unsigned n);
/* For firmware: the path of the bridge that it knows the bus behind; taken over. */
void isa_bus_set_path(Bus *isa, char *path);
/* The machine's ISA bus, or NULL. */
Bus *isa_bus_of(Vm *vm);
/* How many devices of the type are on the bus: numbers COM ports and the like. */
unsigned isa_count(Bus *isa, const char *type);

/* ---- DMA: channels 0-3 move bytes, 5-7 words; in the machine's domain ---- */
/* Makes the two controllers at their ports in PCs. */
void isa_dma_new(Bus *isa);
/* Takes a channel. ready (may be NULL): the guest has opened it while the device requests. */
bool isa_dma_attach(Bus *isa, unsigned channel, Device *user, void (*ready)(Device *user), GError **error);
void isa_dma_detach(Bus *isa, unsigned channel, Device *user);
/* The request line. Channels move data without it, too: it tells that the device waits. */
void isa_dma_request(Bus *isa, unsigned channel, bool on);
/* Moves up to `bytes` between buf and the channel's memory; returns how many the channel took: fewer when it is
 * closed or its count has run out (*end). A channel programmed to verify takes them and moves nothing. */
uint32_t isa_dma_move(Bus *isa, unsigned channel, void *buf, uint32_t bytes, bool to_memory, bool *end);

/* Where the bus finds its controllers; NULL: it has none. */
void isa_bus_set_dma(Bus *isa, Device *const chips[ISA_DMA_CHIPS]);
Device *isa_bus_dma(Bus *isa, unsigned chip);

#endif
