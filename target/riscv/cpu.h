/* SPDX-License-Identifier: Apache-2.0 */
/* A RISC-V hart's state. Spec: The RISC-V Instruction Set Manual, Volume II (privileged). */
#ifndef RISCV_CPU_H
#define RISCV_CPU_H

#include "core/cpu.h"
#include "core/vm.h"
#include "target/riscv.h"
#include "target/riscv/print.h"
#include "target/riscv/rv-isa.h"

enum { RV_PMP_ENTRIES = 16, RV_CACHE_BLOCK = 64 };
typedef enum RvPriv { RV_U = 0, RV_S = 1, RV_M = 3 } RvPriv;

/* Causes; interrupts have the top bit in mcause besides. */
enum {
    RV_X_FETCH_MISALIGNED = 0,
    RV_X_FETCH_ACCESS = 1,
    RV_X_ILLEGAL = 2,
    RV_X_BREAKPOINT = 3,
    RV_X_LOAD_MISALIGNED = 4,
    RV_X_LOAD_ACCESS = 5,
    RV_X_STORE_MISALIGNED = 6,
    RV_X_STORE_ACCESS = 7,
    RV_X_ECALL_U = 8,           /* + privilege */
    RV_X_FETCH_PAGE = 12,
    RV_X_LOAD_PAGE = 13,
    RV_X_STORE_PAGE = 15,
};

/* mstatus */
#define RV_SIE (1ull << 1)
#define RV_MIE (1ull << 3)
#define RV_SPIE (1ull << 5)
#define RV_MPIE (1ull << 7)
#define RV_SPP (1ull << 8)
#define RV_MPP_SHIFT 11
#define RV_MPP (3ull << RV_MPP_SHIFT)
#define RV_FS_SHIFT 13
#define RV_FS (3ull << RV_FS_SHIFT)
#define RV_MPRV (1ull << 17)
#define RV_SUM (1ull << 18)
#define RV_MXR (1ull << 19)
#define RV_TVM (1ull << 20)
#define RV_TW (1ull << 21)
#define RV_TSR (1ull << 22)
#define RV_UXL64 (2ull << 32)
#define RV_SXL64 (2ull << 34)

/* mip, mie */
#define RV_SSIP (1u << RISCV_PIN_SSI)
#define RV_MSIP (1u << RISCV_PIN_MSI)
#define RV_STIP (1u << RISCV_PIN_STI)
#define RV_MTIP (1u << RISCV_PIN_MTI)
#define RV_SEIP (1u << RISCV_PIN_SEI)
#define RV_MEIP (1u << RISCV_PIN_MEI)
#define RV_S_INTERRUPTS (RV_SSIP | RV_STIP | RV_SEIP)
#define RV_INTERRUPTS (RV_S_INTERRUPTS | RV_MSIP | RV_MTIP | RV_MEIP)

/* menvcfg, senvcfg */
#define RV_FIOM (1ull << 0)
#define RV_CBIE (3ull << 4)
#define RV_CBCFE (1ull << 6)
#define RV_CBZE (1ull << 7)
#define RV_ADUE (1ull << 61)
#define RV_PBMTE (1ull << 62)
#define RV_STCE (1ull << 63)

/* The mode word: what translation depends on. */
enum {
    RV_MODE_PRIV = 3,
    RV_MODE_FS_ON = 1 << 2,         /* mstatus.FS is not Off */
    RV_MODE_FS_DIRTY = 1 << 3,
    RV_MODE_FRM_SHIFT = 4,
    RV_MODE_FRM = 7 << RV_MODE_FRM_SHIFT,
};

typedef struct RvCpu {
    Cpu cpu;
    uint64_t x[32];             /* RV32: the low halves, zero above */
    uint64_t f[32];             /* singles are NaN-boxed */
    uint64_t res_addr, res_value;       /* reservation; RV_NO_RESERVATION */
    uint8_t priv;
    uint8_t frm;
    uint64_t features;          /* RV_F_* */

    uint64_t mstatus, mie, mideleg, medeleg, mtvec, mepc, mcause, mtval, mscratch, menvcfg;
    uint64_t stvec, sepc, scause, stval, sscratch, satp, senvcfg, stimecmp;
    uint32_t mcounteren, scounteren, mcountinhibit;
    uint32_t ip_soft;           /* bits of mip that software wrote */
    uint32_t ip_pins;           /* what devices drive; atomic */
    uint8_t pmpcfg[RV_PMP_ENTRIES];
    uint64_t pmpaddr[RV_PMP_ENTRIES];
    int64_t cycle_offset, instret_offset;

    /* Found by a page walk, for raise_fault. */
    uint32_t fault;

    Timer stimer;
    uint64_t (*time_fn)(void *);
    void *time_opaque;
    uint32_t time_hz;

    /* Derived from pmpcfg and pmpaddr: first and last byte. */
    uint64_t pmp_first[RV_PMP_ENTRIES], pmp_last[RV_PMP_ENTRIES];
    unsigned pmp_active;        /* one past the last entry that matches anything */

    uint64_t hartid, resetvec;
    bool mmu, pmp;
    bool rv32;
} RvCpu;

#define RV_NO_RESERVATION UINT64_MAX

static inline bool rv_has(const RvCpu *rv, unsigned feature)
{
    return rv->features >> feature & 1;
}

/* XLEN-dependent views */
static inline uint64_t rv_xmask(const RvCpu *rv) { return rv->rv32 ? UINT32_MAX : UINT64_MAX; }

/* cpu.mode and the translation regime follow priv, mstatus, satp, frm. */
void rv_update_mode(RvCpu *rv);

/* trap.c. rv_raise leaves the unit; cpu.pc is the instruction's. */
G_NORETURN void rv_raise(RvCpu *rv, unsigned cause, uint64_t tval);
void rv_take_trap(RvCpu *rv, unsigned cause, bool interrupt, uint64_t tval);
uint32_t rv_pending(const RvCpu *rv);
bool rv_interrupt(Cpu *cpu);
bool rv_has_work(Cpu *cpu);
/* Asks for a look at the interrupts if one may be pending. Own thread. */
void rv_check_interrupts(RvCpu *rv);
extern const IrHelper rv_h_mret, rv_h_sret, rv_h_ecall, rv_h_ebreak, rv_h_illegal, rv_h_misaligned,
    rv_h_wfi, rv_h_sfence;

/* mmu.c */
bool rv_translate_va(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, bool debug,
                     Translation *t);
void rv_raise_fault(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu);
void rv_raise_bus_error(Cpu *cpu, uint64_t va, uint64_t pa, MemAccess access);
void rv_raise_unaligned(Cpu *cpu, uint64_t va, MemAccess access);
void rv_pmp_update(RvCpu *rv);
bool rv_satp_mode_valid(const RvCpu *rv, unsigned mode);
unsigned rv_satp_mode(const RvCpu *rv);
uint64_t rv_asid(const RvCpu *rv);

/* csr.c. Access from inside an instruction: `how` says which bits are written. */
enum { RV_CSR_READ, RV_CSR_WRITE, RV_CSR_SET, RV_CSR_CLEAR };
extern const IrHelper rv_h_csr, rv_h_interrupts_enabled;
/* The slot of a CSR that is nothing but memory and may be used by `priv` without a check at run
 * time, and the bits that a write keeps; -1 for others. */
int32_t rv_csr_slot(const RvCpu *rv, unsigned number, unsigned priv, uint64_t *mask);
/* From outside (debugger): no permission checks. False: no such CSR. */
bool rv_csr_peek(RvCpu *rv, unsigned number, uint64_t *value);
bool rv_csr_poke(RvCpu *rv, unsigned number, uint64_t value);
uint64_t rv_time(const RvCpu *rv);
void rv_stimer_update(RvCpu *rv);
void rv_stimer_fired(Device *dev);
uint32_t rv_fflags(RvCpu *rv);

/* insn-fp.c: the FpRound in which the engine computes under this frm. */
unsigned rv_engine_round(unsigned frm);

/* translate.c */
void rv_translate(Cpu *cpu, IrBuilder *b);

#endif
