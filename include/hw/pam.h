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
} Pam;

/* `system` shows RAM from 0 on; `bus` is the PCI memory space. */
void pam_init(Pam *pam, Object *owner, MemRegion *system, MemRegion *ram, MemRegion *bus);
/* The seven registers, each with two segments; the first one's low half is unused. */
void pam_update(Pam *pam, Vm *vm, const uint8_t regs[PAM_REGS]);
/* SMRAM control: RAM at 0xa0000 for everybody (D_OPEN). */
void pam_open_smram(Pam *pam, bool open);

#endif
