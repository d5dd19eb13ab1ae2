/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Intel host bridges do below 1 MiB: thirteen segments from 0xc0000 on that show RAM or the bus,
 * for reads and writes apart, and the window 0xa0000-0xbffff. Datasheets 290549 (440FX), 316966 (Q35).
 */
#ifndef HW_PAM_H
#define HW_PAM_H

#include "core/vm.h"

enum { PAM_SEGMENTS = 13, PAM_REGS = 7 };

typedef struct Pam {
    struct { MemRegion *bus, *rom; } segment[PAM_SEGMENTS];
    MemRegion *smram_bus;       /* the bus (video memory) in front of RAM at 0xa0000 */
    uint8_t last[PAM_REGS];     /* as the guest has set them */
    MemRegion *smram;           /* RAM there for system management mode; NULL: there is none */
} Pam;

/* `system` shows RAM from 0 on; `bus` is the PCI memory space; `smm` lies over `system` for CPUs in system
 * management mode, or is NULL. */
void pam_init(Pam *pam, Object *owner, MemRegion *system, MemRegion *ram, MemRegion *bus, MemRegion *smm);
/* The seven registers, each with two segments; the first one's low half is unused. */
void pam_update(Pam *pam, Vm *vm, const uint8_t regs[PAM_REGS]);
/* At a reset, for registers that have been reset: those of a machine that wakes stay, since its firmware
 * goes on from where it lies in RAM. */
void pam_reset(Pam *pam, Vm *vm, uint8_t regs[PAM_REGS]);
/* SMRAM control: RAM at 0xa0000 for everybody (D_OPEN), for system management mode. */
void pam_set_smram(Pam *pam, bool open, bool smm);

#endif
