/* SPDX-License-Identifier: Apache-2.0 */
/* Programmable attributes of the segments below 1 MiB. Datasheet: Intel 440FX, 290549, 3.2.18. */
#include "hw/pam.h"
#include <string.h>

enum { READ = 1, WRITE = 2, SMRAM = 0xa0000, SMRAM_SIZE = 0x20000, BIOS = 0xf0000 };

static uint32_t base(unsigned n) { return n ? 0xc0000 + 0x4000 * (n - 1) : BIOS; }
static uint32_t size(unsigned n) { return n ? 0x4000 : 0x10000; }

void pam_init(Pam *pam, Object *owner, MemRegion *system, MemRegion *ram, MemRegion *bus, MemRegion *smm)
{
    for (unsigned n = 0; n < PAM_SEGMENTS; n++) {
        pam->segment[n].bus = mem_alias(owner, "pam-pci", bus, base(n), size(n));
        pam->segment[n].rom = mem_alias(owner, "pam-rom", ram, base(n), size(n));
        mem_set_readonly(pam->segment[n].rom, true);
        mem_set_enabled(pam->segment[n].rom, false);
        mem_add(system, base(n), pam->segment[n].bus, 1);
        mem_add(system, base(n), pam->segment[n].rom, 1);
    }
    pam->smram_bus = mem_alias(owner, "smram-region", bus, SMRAM, SMRAM_SIZE);
    mem_add(system, SMRAM, pam->smram_bus, 1);
    if (smm) {
        pam->smram = mem_alias(owner, "smram-low", ram, SMRAM, SMRAM_SIZE);
        mem_set_enabled(pam->smram, false);
        mem_add(smm, SMRAM, pam->smram, 0);
    }
}

void pam_reset(Pam *pam, Vm *vm, uint8_t regs[PAM_REGS])
{
    if (vm->waking)
        memcpy(regs, pam->last, PAM_REGS);
}

void pam_update(Pam *pam, Vm *vm, const uint8_t regs[PAM_REGS])
{
    memcpy(pam->last, regs, PAM_REGS);
    mem_transaction_begin(vm);
    for (unsigned n = 0; n < PAM_SEGMENTS; n++) {
        /* Register 0 has the BIOS segment in its upper half; the others two segments each. */
        unsigned bits = n ? regs[(n + 1) / 2] >> (n & 1 ? 0 : 4) : regs[0] >> 4;
        mem_set_enabled(pam->segment[n].bus, !(bits & READ));
        mem_set_enabled(pam->segment[n].rom, (bits & (READ | WRITE)) == READ);
    }
    mem_transaction_commit(vm);
}

void pam_set_smram(Pam *pam, bool open, bool smm)
{
    mem_set_enabled(pam->smram_bus, !open);
    if (pam->smram)
        mem_set_enabled(pam->smram, smm);
}
