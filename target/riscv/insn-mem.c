/* SPDX-License-Identifier: Apache-2.0 */
/* Memory instructions: loads, stores, A, fences, cache blocks. Spec: RISC-V unprivileged manual. */
#include "target/riscv/translate.h"

static void load(IrBuilder *b, unsigned rd, unsigned rs1, int32_t imm, unsigned mop)
{
    IrRef base = address(b, rs1, &imm);
    set(b, rd, ir_load(b, unit(b)->t, base, imm, mop));
}

static void store(IrBuilder *b, unsigned rs2, unsigned rs1, int32_t imm, unsigned mop)
{
    IrRef base = address(b, rs1, &imm);
    ir_store(b, base, imm, get(b, rs2), mop);
}

INSN(lb) { load(b, rd, rs1, imm, IR_M8 | IR_MSX); }
INSN(lh) { load(b, rd, rs1, imm, IR_M16 | IR_MSX); }
INSN(lw) { load(b, rd, rs1, imm, IR_M32 | IR_MSX); }
INSN(ld) { load(b, rd, rs1, imm, IR_M64); }
INSN(lbu) { load(b, rd, rs1, imm, IR_M8); }
INSN(lhu) { load(b, rd, rs1, imm, IR_M16); }
INSN(lwu) { load(b, rd, rs1, imm, IR_M32); }
INSN(sb) { store(b, rs2, rs1, imm, IR_M8); }
INSN(sh) { store(b, rs2, rs1, imm, IR_M16); }
INSN(sw) { store(b, rs2, rs1, imm, IR_M32); }
INSN(sd) { store(b, rs2, rs1, imm, IR_M64); }

/* ---- fences ---- */

INSN(fence) { ir_fence(b); }
INSN(pause) {}
/* Stores to code end in the engine at once; this hart looks anew. */
INSN(fence_i) { rv_end(b); }

/* ---- A ---- */

/* Values of the access's width: I32 or I64. */
static IrRef get_atomic(IrBuilder *b, unsigned r, unsigned size)
{
    return size == IR_M32 ? get_w(b, r) : get(b, r);
}

static void set_atomic(IrBuilder *b, unsigned r, IrRef v, unsigned size)
{
    if (size == IR_M32)
        set_w(b, r, v);
    else
        set(b, r, v);
}

static IrType atomic_type(unsigned size) { return size == IR_M32 ? IR_I32 : IR_I64; }

static void amo(IrBuilder *b, IrRmw how, unsigned rd, unsigned rs1, unsigned rs2, unsigned size)
{
    IrRef base = to_address(b, get(b, rs1));
    IrRef old = ir_rmw(b, atomic_type(size), how, base, get_atomic(b, rs2, size),
                       size | IR_MALIGN | IR_MSC);
    set_atomic(b, rd, old, size);
}

#define AMO(name, how)                                                                              \
    INSN(name##_w) { amo(b, how, rd, rs1, rs2, IR_M32); }                                           \
    INSN(name##_d) { amo(b, how, rd, rs1, rs2, IR_M64); }
AMO(amoswap, IR_RMW_XCHG)
AMO(amoadd, IR_RMW_ADD)
AMO(amoxor, IR_RMW_XOR)
AMO(amoand, IR_RMW_AND)
AMO(amoor, IR_RMW_OR)
AMO(amomin, IR_RMW_MIN)
AMO(amomax, IR_RMW_MAX)
AMO(amominu, IR_RMW_MINU)
AMO(amomaxu, IR_RMW_MAXU)

enum { RES_ADDR = offsetof(RvCpu, res_addr), RES_VALUE = offsetof(RvCpu, res_value) };

static void load_reserved(IrBuilder *b, unsigned rd, unsigned rs1, unsigned size)
{
    IrType t = atomic_type(size);
    IrRef base = to_address(b, get(b, rs1));
    IrRef v = ir_load(b, t, base, 0, size | IR_MALIGN | IR_MACQ);
    ir_set(b, RES_ADDR, 8, base);
    ir_set(b, RES_VALUE, size == IR_M32 ? 4 : 8, v);
    set_atomic(b, rd, v, size);
}

static void sc_misaligned(Cpu *cpu, uint64_t va)
{
    rv_raise((RvCpu *)cpu, RV_X_STORE_MISALIGNED, va);
}
static const IrHelper h_sc_misaligned = {"sc_misaligned", sc_misaligned, IR_VOID, IR_H_ANY};

/*
 * The reservation is an address and the value seen there: the store succeeds if the address is the
 * reserved one and memory still holds the value. A value that came back in between goes unnoticed,
 * which no code that works on memory can tell.
 */
static void store_conditional(IrBuilder *b, unsigned rd, unsigned rs1, unsigned rs2, unsigned size)
{
    IrType t = atomic_type(size);
    IrRef base = to_address(b, get(b, rs1)), v = get_atomic(b, rs2, size);
    IrRef reserved = ir_get(b, IR_I64, RES_ADDR, 8);
    IrRef expected = ir_get(b, t, RES_VALUE, size == IR_M32 ? 4 : 8);
    unsigned fail = ir_label(b), done = ir_label(b);
    ir_brcond(b, IR_NE, base, reserved, fail);
    IrRef old = ir_cas(b, t, base, expected, v, size | IR_MALIGN | IR_MSC);
    ir_set(b, RES_ADDR, 8, ir_i64(b, RV_NO_RESERVATION));
    set(b, rd, ir_setcond(b, unit(b)->t, IR_NE, old, expected));
    ir_br(b, done);
    ir_bind(b, fail);
    unsigned aligned = ir_label(b);
    ir_brcond(b, IR_NTST, base, ir_i64(b, IR_MBYTES(size) - 1), aligned);
    ir_call(b, &h_sc_misaligned, base, 0, 0, 0);
    ir_bind(b, aligned);
    ir_set(b, RES_ADDR, 8, ir_i64(b, RV_NO_RESERVATION));
    set(b, rd, xconst(b, 1));
    ir_bind(b, done);
}

INSN(lr_w) { load_reserved(b, rd, rs1, IR_M32); }
INSN(lr_d) { load_reserved(b, rd, rs1, IR_M64); }
INSN(sc_w) { store_conditional(b, rd, rs1, rs2, IR_M32); }
INSN(sc_d) { store_conditional(b, rd, rs1, rs2, IR_M64); }

/* Waiting for another hart's store may end at any time. */
INSN(wrs_nto) { rv_end(b); }
INSN(wrs_sto) { rv_end(b); }

/* ---- cache blocks: there are no caches, so only permission counts ---- */

/* The bit of menvcfg and senvcfg that allows the operation below M and S level. */
static void cbo_check(Cpu *cpu, uint64_t bit, uint32_t raw)
{
    RvCpu *rv = (RvCpu *)cpu;
    bool ok = rv->priv == RV_M || (rv->menvcfg & bit);
    if (rv->priv == RV_U && rv_has(rv, RV_F_s))
        ok = ok && (rv->senvcfg & bit);
    if (!ok)
        rv_raise(rv, RV_X_ILLEGAL, raw);
}
static const IrHelper h_cbo_check = {"cbo_check", cbo_check, IR_VOID, IR_H_ANY};

static IrRef block(IrBuilder *b, unsigned rs1, uint64_t permission)
{
    if (unit(b)->priv != RV_M)
        ir_call(b, &h_cbo_check, ir_i64(b, permission), ir_i32(b, unit(b)->raw), 0, 0);
    return to_address(b, ir_andi(b, get(b, rs1), -RV_CACHE_BLOCK));
}

/* A block that may be read or written may be managed; faults are those of stores. */
static void cbo_access(Cpu *cpu, uint64_t va)
{
    Translation t;
    if (!rv_translate_va(cpu, va, MEM_LOAD, 0, false, &t))
        cpu_probe(cpu, va, 1, MEM_STORE, 0);
}
static const IrHelper h_cbo_access = {"cbo_access", cbo_access, IR_VOID, IR_H_ANY};

static void cbo(IrBuilder *b, unsigned rs1, uint64_t permission)
{
    ir_call(b, &h_cbo_access, block(b, rs1, permission), 0, 0, 0);
}

INSN(cbo_inval) { cbo(b, rs1, RV_CBIE); }
INSN(cbo_clean) { cbo(b, rs1, RV_CBCFE); }
INSN(cbo_flush) { cbo(b, rs1, RV_CBCFE); }

INSN(cbo_zero)
{
    IrRef base = block(b, rs1, RV_CBZE), zero = ir_i64(b, 0);
    ir_probe(b, base, 0, RV_CACHE_BLOCK, true, 0);
    for (int i = 0; i < RV_CACHE_BLOCK; i += 8) {
        ir_store(b, base, i, zero, IR_M64);
    }
}

INSN(prefetch_i) {}
INSN(prefetch_r) {}
INSN(prefetch_w) {}
