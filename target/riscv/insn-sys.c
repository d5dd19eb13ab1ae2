/* SPDX-License-Identifier: Apache-2.0 */
/* System instructions: Zicsr, traps and returns, fences of translation. */
#include "target/riscv/translate.h"

static IrRef raw(IrBuilder *b) { return ir_i32(b, unit(b)->raw); }

static void trap(IrBuilder *b, const IrHelper *h)
{
    ir_call(b, h, 0, 0, 0, 0);
    ir_resync(b, ir_pcrel(b, unit(b)->pc));
}

INSN(ecall) { trap(b, &rv_h_ecall); }
INSN(ebreak) { trap(b, &rv_h_ebreak); }
INSN(mret) { ir_resync(b, ir_call(b, &rv_h_mret, raw(b), 0, 0, 0)); }
INSN(sret) { ir_resync(b, ir_call(b, &rv_h_sret, raw(b), 0, 0, 0)); }

INSN(wfi)
{
    ir_call(b, &rv_h_wfi, raw(b), 0, 0, 0);
    rv_end(b);
}

INSN(sfence_vma)
{
    IrRef va = to_address(b, get(b, rs1)), asid = to_address(b, get(b, rs2));
    uint32_t which = (rs1 ? 1 : 0) | (rs2 ? 2 : 0);
    ir_call(b, &rv_h_sfence, va, asid, ir_i32(b, which), raw(b));
    rv_end(b);
}

INSN(sfence_w_inval)
{
    if (unit(b)->priv == RV_U)
        rv_illegal(b);
    else
        rv_end(b);
}

/* ---- Zicsr ---- */

/* A register that is only memory, read or swapped without asking anyone. */
static bool plain(IrBuilder *b, unsigned how, unsigned csr, unsigned rd, IrRef operand)
{
    uint64_t mask;
    int32_t slot = rv_csr_slot(unit(b)->rv, csr, unit(b)->priv, &mask);
    if (slot < 0 || (how != RV_CSR_READ && how != RV_CSR_WRITE))
        return false;
    unsigned bytes = unit(b)->rv32 ? 4 : 8;
    IrRef old = ir_get(b, unit(b)->t, slot, bytes);
    if (how == RV_CSR_WRITE)
        ir_set(b, slot, bytes, ir_andi(b, operand, (int64_t)mask));
    set(b, rd, old);
    return true;
}

/* csrsi and csrci of sstatus.SIE: what kernels do to turn interrupts on and off. It changes no more
 * than this bit, so the unit goes on. */
static bool interrupt_enable(IrBuilder *b, unsigned how, unsigned csr, unsigned rd, uint32_t uimm)
{
    enum { SSTATUS = 0x100 };
    int32_t slot = offsetof(RvCpu, mstatus);
    if (csr != SSTATUS || rd || uimm != RV_SIE || unit(b)->priv < RV_S ||
        !(unit(b)->features >> RV_F_s & 1))
        return false;
    IrRef old = ir_get(b, IR_I32, slot, 4);
    ir_set(b, slot, 4, how == RV_CSR_SET ? ir_or(b, old, ir_i32(b, RV_SIE))
                                         : ir_andi(b, old, ~(int64_t)RV_SIE));
    if (how == RV_CSR_SET)
        ir_call(b, &rv_h_interrupts_enabled, 0, 0, 0, 0);
    return true;
}

static void csr_op(IrBuilder *b, unsigned how, unsigned csr, unsigned rd, IrRef operand)
{
    enum { FFLAGS = 1 };
    if (plain(b, how, csr, rd, operand) || (csr == FFLAGS && rv_fflags_insn(b, how, rd, operand)))
        return;
    IrRef old = ir_call(b, &rv_h_csr, ir_i32(b, csr | how << 16), to_address(b, operand), raw(b), 0);
    set(b, rd, unit(b)->rv32 ? ir_trunc(b, old) : old);
    if (how != RV_CSR_READ)
        rv_end(b);
}

/* csrrs and csrrc do not write when the operand is x0 or 0. */
INSN(csrrw) { csr_op(b, RV_CSR_WRITE, csr, rd, get(b, rs1)); }
INSN(csrrs) { csr_op(b, rs1 ? RV_CSR_SET : RV_CSR_READ, csr, rd, get(b, rs1)); }
INSN(csrrc) { csr_op(b, rs1 ? RV_CSR_CLEAR : RV_CSR_READ, csr, rd, get(b, rs1)); }
INSN(csrrwi) { csr_op(b, RV_CSR_WRITE, csr, rd, xconst(b, uimm)); }

static void csr_bits(IrBuilder *b, unsigned how, unsigned csr, unsigned rd, uint32_t uimm)
{
    if (!interrupt_enable(b, how, csr, rd, uimm))
        csr_op(b, uimm ? how : RV_CSR_READ, csr, rd, xconst(b, uimm));
}

INSN(csrrsi) { csr_bits(b, RV_CSR_SET, csr, rd, uimm); }
INSN(csrrci) { csr_bits(b, RV_CSR_CLEAR, csr, rd, uimm); }
