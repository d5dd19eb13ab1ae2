/* SPDX-License-Identifier: Apache-2.0 */
/* AVX and AVX2 instructions of their own: permutations, masked moves, gathers. Intel SDM vol. 2C. */
#include "target/x86/simd.h"

INSN(vzero)
{
    if (!x_simd_ok(x))
        return;
    IrBuilder *b = x->b;
    IrRef zero = ir_v_zero(b, IR_V128), zero2 = ir_v_zero(b, IR_V256);
    for (unsigned n = 0; n < (x->code == 8 ? 16 : 8); n++) {
        if (x->i.l)
            ir_set(b, x_xmm_slot(n), 32, zero2);
        else
            ir_set(b, x_xmm_slot(n) + 16, 16, zero);
    }
}

INSN(vpermilpd)
{
    if (!x_simd_ok(x))
        return;
    IrRef v = x_vget(x, 1);
    x_vset(x, 0, ir_v_shuf2(x->b, x_vtype(x_size(x, 0)), IR_D, v, v, x->i.imm & 15));
}

/* The index comes first. */
INSN(vpermd)
{
    if (!x_simd_ok(x))
        return;
    IrRef index = x_vget(x, 1), v = x_vget(x, 2);
    x_vset(x, 0, ir_vec(x->b, IR_OP_v_permw, IR_V256, IR_W, 0, v, index, 0));
}

INSN(vextract128)
{
    if (!x_simd_ok(x))
        return;
    IrRef v = x_vget(x, 1);
    x_vset(x, 0, x->i.imm & 1 ? ir_v_high128(x->b, v) : ir_v_low128(x->b, v));
}

/* ---- masked moves: no fault where the mask is off ---- */

/* what: element size | vector bytes << 8 | store << 16 */
static void x86_helper_vmaskmov(Cpu *cpu, const X86Vec *mask, X86Vec *v, uint64_t at, uint64_t what)
{
    unsigned size = what & 0xff, bytes = what >> 8 & 0xff;
    bool store = what >> 16;
    X86Vec r = {0};
    for (unsigned k = 0; k < bytes; k += size) {
        if (!(mask->b[k + size - 1] & 0x80))
            continue;
        if (store)
            cpu_probe(cpu, at + k, size, MEM_STORE, MMU_CURRENT);
        else
            cpu_load_bytes(cpu, at + k, &r.b[k], size, MMU_CURRENT);
    }
    for (unsigned k = 0; store && k < bytes; k += size) {
        if (mask->b[k + size - 1] & 0x80)
            cpu_store_bytes(cpu, at + k, &v->b[k], size, MMU_CURRENT);
    }
    if (!store)
        *v = r;
}
HELPER(vmaskmov, VOID, IR_H_ANY);

INSN(vmaskmov)
{
    if (!x_simd_ok(x))
        return;
    IrBuilder *b = x->b;
    unsigned bytes = x_size(x, 1);
    bool store = x_is_mem(x, 0);
    ir_set(b, SLOT(fp_val[0]), bytes, x_vget(x, 1));
    if (store)
        ir_set(b, SLOT(fp_val[1]), bytes, x_vget(x, 2));
    x_ea(x, bytes, store);
    IrRef at = x->ea_disp ? ir_addi(b, x->ea, x->ea_disp) : x->ea;
    x_call(x, &h_vmaskmov, ir_slot(b, SLOT(fp_val[0]), bytes, 1),
           ir_slot(b, SLOT(fp_val[1]), 32, store ? 1 : 2), at,
           ir_i64(b, x->i.row->arg | bytes << 8 | (unsigned)store << 16));
    if (!store)
        x_vset(x, 0, ir_get(b, x_vtype(bytes), SLOT(fp_val[1]), bytes));
}

/* ---- gathers ---- */

/*
 * Elements are done in order; each clears its mask and sets the destination at once, so that a fault
 * in the middle leaves what is done. what: destination | mask << 4 | index << 8 | scale << 12 |
 * wide data << 14 | wide index << 15 | vector length << 16 | address bytes << 17.
 */
static void x86_helper_vgather(Cpu *cpu, uint64_t base, uint64_t what, uint64_t seg_base)
{
    X86Cpu *x = x86_of(cpu);
    X86Vec *dst = &x->xmm[what & 15], *mask = &x->xmm[what >> 4 & 15], *index = &x->xmm[what >> 8 & 15];
    bool wide = what >> 14 & 1, wide_index = what >> 15 & 1;
    unsigned size = wide ? 8 : 4, bytes = 16u << (what >> 16 & 1), addrsize = what >> 17 & 15;
    unsigned n = bytes / MAX(size, wide_index ? 8u : 4u);
    for (unsigned k = 0; k < n; k++) {
        /* The mask is widened first, so that a restart sees whole elements. */
        bool on = wide ? mask->d[k] >> 63 : mask->w[k] >> 31;
        if (wide)
            mask->d[k] = on ? UINT64_MAX : 0;
        else
            mask->w[k] = on ? UINT32_MAX : 0;
    }
    for (unsigned k = 0; k < n; k++) {
        if (!(wide ? mask->d[k] : mask->w[k]))
            continue;
        int64_t i = wide_index ? (int64_t)index->d[k] : (int32_t)index->w[k];
        uint64_t offset = base + ((uint64_t)i << (what >> 12 & 3));
        if (addrsize == 4)
            offset = (uint32_t)offset;
        uint64_t at = seg_base + offset;
        uint64_t v = cpu_load(cpu, x86_code64(x) ? at : (uint32_t)at, wide ? IR_M64 : IR_M32);
        if (wide) {
            dst->d[k] = v;
            mask->d[k] = 0;
        } else {
            dst->w[k] = (uint32_t)v;
            mask->w[k] = 0;
        }
    }
    /* All of the mask is zero at the end, and what lies above the elements of the result. */
    memset(mask, 0, sizeof(*mask));
    memset(&dst->b[n * size], 0, 32 - n * size);
}
HELPER(vgather, VOID, IR_H_ANY);

INSN(vgather)
{
    if (!x_simd_ok(x))
        return;
    X86Insn *i = &x->i;
    IrBuilder *b = x->b;
    bool same = i->reg == i->vvvv || i->reg == i->vsib || i->vvvv == i->vsib;
    if (i->vsib < 0 || same || i->addrsize == 2) {
        x_raise(x, EXC_UD, 0);
        return;
    }
    /* Base and displacement; the indexes are the helper's. */
    unsigned index = (unsigned)i->vsib;
    i->index = -1;
    int seg = x_segment(x);
    IrRef base = x_offset(x);
    IrRef seg_base = x->code == 8 && seg < FS ? ir_i64(b, 0)
                     : ir_get(b, IR_I64, SLOT(seg) + seg * sizeof(X86Seg) + offsetof(X86Seg, base), 8);
    unsigned what = i->reg | i->vvvv << 4 | index << 8 | i->scale << 12 | (i->row->arg & 1) << 14 |
                    (i->row->arg >> 1) << 15 | i->l << 16 | i->addrsize << 17;
    x_call(x, &h_vgather, base, ir_i64(b, what), seg_base, 0);
}
