/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random units through the interpreter and through the host back end: slots, memory, exits must agree.
 * The guest's memory is one window of pages; its TLB is flushed now and then.
 */
#include <string.h>

#include "accel/jit/internal.h"
#include "core/memory.h"
#include "core/vm.h"
#include "fp/fp.h"
#include "ir/vector.h"
#include "util/loop.h"

enum { SLOTS = 24, WINDOW = 16, PAGE = 4096, VSLOTS = 4 };
#define MEM_VA 0x7fff12340000ull
#define CODE_VA 0x40002000ull

typedef struct FakeCpu {
    Cpu cpu;
    uint64_t slot[SLOTS + 2];   /* the last: of gen_loop_end() */
    uint8_t vslot[VSLOTS][32];
    uint64_t calls;
} FakeCpu;

#define SLOT(n) ((int32_t)(offsetof(FakeCpu, slot) + 8 * (n)))
#define VSLOT(n) ((int32_t)(offsetof(FakeCpu, vslot) + 32 * (n)))

static bool translate_va(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, bool debug, Translation *t)
{
    uint64_t at = va - MEM_VA, page = at / PAGE * 5 % WINDOW;     /* neighbours lie apart */
    *t = (Translation){.pa = page * PAGE + at % PAGE, .page_bits = 12, .load = true, .store = true};
    return at < WINDOW * PAGE;
}

static void raise_fault(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu)
{
    g_error("unexpected fault at %" G_GINT64_MODIFIER "x", va);
}

static const GuestIsa fake_isa = {
    .name = "fake", .page_bits = 12, .slot_bias = offsetof(FakeCpu, slot) + 96,
    .translate_va = translate_va, .raise_fault = raise_fault,
};

typedef struct Gen {
    IrUnit *u;
    GRand *rand;
    IrRef v[IR_MAX_NODES];
    IrRef near;                 /* the last access's base, since the last label; 0 none */
    unsigned n, vec_from;
    bool calls, vectors;
    bool loops;                 /* units that jump to their start some times */
    bool canon;                 /* IR_FP_CANON: flushing is off, FP_DENORMAL is not compared */
} Gen;

static unsigned rnd(Gen *g, unsigned n)
{
    return g_rand_int(g->rand) % n;
}

static int64_t rnd_const(Gen *g)
{
    static const int64_t odd[] = {0, 1, -1, 2, 4, 8, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, -128,
                                  INT64_MIN, INT64_MAX, 0x123456789abcdef};
    return rnd(g, 3) ? (int64_t)odd[rnd(g, G_N_ELEMENTS(odd))]
                     : (int64_t)((uint64_t)g_rand_int(g->rand) << 32 | g_rand_int(g->rand));
}

static IrRef push(Gen *g, IrRef v)
{
    if (v)
        g->v[g->n++] = v;
    return v;
}

static IrRef pick(Gen *g, IrType t)
{
    for (unsigned tries = 0; tries < 8 && g->n; tries++) {
        IrRef v = g->v[rnd(g, 2) ? rnd(g, g->n) : g->n - 1 - rnd(g, MIN(g->n, 4))];
        if (ir_type(g->u, v) == t)
            return v;
    }
    if (t == IR_V128 || t == IR_V256)
        return push(g, ir_get(g->u, t, VSLOT(rnd(g, VSLOTS)), t == IR_V128 ? 16 : 32));
    if (rnd(g, 2))
        return push(g, ir_const(g->u, t, rnd_const(g)));
    return push(g, ir_get(g->u, t, SLOT(rnd(g, SLOTS)), t == IR_I32 ? 4 : 8));
}

static uint64_t mix(Cpu *cpu, uint64_t a, uint32_t b, uint64_t c)
{
    return (a * 0x9e3779b97f4a7c15ull) ^ (c + b);
}

static void bump(Cpu *cpu, uint64_t *slot, uint64_t x)
{
    *slot = *slot * 3 + x;
}

static uint32_t anything(Cpu *cpu, uint64_t x, uint64_t y, uint64_t z, uint32_t w)
{
    FakeCpu *f = (FakeCpu *)cpu;
    f->slot[3] += x ^ f->slot[4];
    f->slot[7] = f->slot[8] + y - z;
    f->calls += w + cpu->pc;
    return (uint32_t)(f->slot[3] >> 7);
}

static uint64_t reads(Cpu *cpu)
{
    const FakeCpu *f = (FakeCpu *)cpu;
    uint64_t sum = 0;
    for (unsigned k = 0; k < SLOTS; k++)
        sum = sum * 31 + f->slot[k];
    return sum;
}

static const IrHelper helpers[] = {
    {"mix", mix, IR_I64, 0},
    {"bump", bump, IR_VOID, IR_H_EFFECT},
    {"anything", anything, IR_I32, IR_H_ANY},
    {"reads", reads, IR_I64, IR_H_READ},
};

static void gen_call(Gen *g)
{
    IrUnit *u = g->u;
    switch (rnd(g, 4)) {
    case 0:
        push(g, ir_call(u, &helpers[0], pick(g, IR_I64), pick(g, IR_I32), pick(g, IR_I64), 0));
        break;
    case 1: {
        IrRef x = pick(g, IR_I64);
        ir_call(u, &helpers[1], ir_slot(u, SLOT(rnd(g, SLOTS)), 8, 3), x, 0, 0);
        break;
    }
    case 2:
        push(g, ir_call(u, &helpers[2], pick(g, IR_I64), pick(g, IR_I64), pick(g, IR_I64), pick(g, IR_I32)));
        break;
    default:
        push(g, ir_call(u, &helpers[3], 0, 0, 0, 0));
    }
}

static IrRef gen_address(Gen *g)
{
    IrRef at = ir_andi(g->u, pick(g, IR_I64), (WINDOW - 1) * PAGE - 1);
    return ir_add(g->u, at, ir_i64(g->u, MEM_VA));
}

static void gen_atomic(Gen *g)
{
    IrUnit *u = g->u;
    IrType t = rnd(g, 2) ? IR_I64 : IR_I32;
    unsigned size = rnd(g, t == IR_I64 ? 4 : 3);
    IrRef base = ir_andi(u, gen_address(g), -(int64_t)(1 << size));
    if (rnd(g, 3) == 0)
        push(g, ir_cas(u, t, base, pick(g, t), pick(g, t), size));
    else if (rnd(g, 3))
        push(g, ir_rmw(u, t, (IrRmw)rnd(g, 9), base, pick(g, t), size));
    else
        ir_rmw(u, t, (IrRmw)rnd(g, 9), base, pick(g, t), size);
}

static void gen_mem(Gen *g)
{
    IrUnit *u = g->u;
    if (rnd(g, 8) == 0) {
        gen_atomic(g);
        return;
    }
    IrType t = rnd(g, 2) ? IR_I64 : IR_I32;
    unsigned size = rnd(g, t == IR_I64 ? 4 : 3);
    unsigned mop = size | (rnd(g, 3) ? 0 : IR_MSX) | (rnd(g, 8) ? 0 : IR_MBE) | (rnd(g, 16) ? 0 : IR_MSC);
    int32_t disp = rnd(g, 2) ? 0 : (int32_t)rnd(g, 2000) - 1000;
    bool again = g->near && rnd(g, 3);
    IrRef base = again ? g->near : gen_address(g);
    if (again)
        disp = rnd(g, 300);
    else if (disp < 0)
        base = ir_addi(u, base, 1024);
    if (!again && disp >= 0 && rnd(g, 4) == 0)       /* what shares its look crosses a page */
        base = ir_addi(u, ir_andi(u, base, -(int64_t)PAGE), PAGE - 100);
    g->near = base;
    if (rnd(g, 2))
        push(g, ir_load(u, t, base, disp, mop));
    else
        ir_store(u, base, disp, pick(g, t), mop & ~IR_MSX);
}

/* Operations of one type, as vector-ops.inc lists them; lanes: a bit for each. */
typedef struct VecOp {
    IrOp op;
    uint8_t lanes, imm_bits;
    bool v128;                  /* only */
} VecOp;

enum { B = 1, H = 2, W = 4, D = 8, FF = 0x30 };

static const VecOp vec_ops[] = {
    {IR_OP_v_and, D, 0, false}, {IR_OP_v_or, D, 0, false}, {IR_OP_v_xor, D, 0, false},
    {IR_OP_v_andn, D, 0, false}, {IR_OP_v_add, B | H | W | D, 0, false},
    {IR_OP_v_sub, B | H | W | D, 0, false}, {IR_OP_v_adds, B | H, 0, false},
    {IR_OP_v_subs, B | H, 0, false}, {IR_OP_v_addus, B | H, 0, false},
    {IR_OP_v_subus, B | H, 0, false}, {IR_OP_v_avg, B | H, 0, false},
    {IR_OP_v_mullo, H | W, 0, false}, {IR_OP_v_mulhs, H, 0, false}, {IR_OP_v_mulhu, H, 0, false},
    {IR_OP_v_mulhrs, H, 0, false}, {IR_OP_v_mulu, D, 0, false}, {IR_OP_v_muls, D, 0, false},
    {IR_OP_v_maddwd, W, 0, false}, {IR_OP_v_maddubs, H, 0, false}, {IR_OP_v_sad, D, 0, false},
    {IR_OP_v_cmpeq, B | H | W | D, 0, false}, {IR_OP_v_cmpgt, B | H | W | D, 0, false},
    {IR_OP_v_mins, B | H | W, 0, false}, {IR_OP_v_maxs, B | H | W, 0, false},
    {IR_OP_v_minu, B | H | W, 0, false}, {IR_OP_v_maxu, B | H | W, 0, false},
    {IR_OP_v_abs, B | H | W, 0, false}, {IR_OP_v_sign, B | H | W, 0, false},
    {IR_OP_v_shli, H | W | D, 7, false}, {IR_OP_v_shri, H | W | D, 7, false},
    {IR_OP_v_sari, H | W, 6, false}, {IR_OP_v_shlb, B, 5, false}, {IR_OP_v_shrb, B, 5, false},
    {IR_OP_v_shlv, W | D, 0, false}, {IR_OP_v_shrv, W | D, 0, false}, {IR_OP_v_sarv, W, 0, false},
    {IR_OP_v_packs, H | W, 0, false}, {IR_OP_v_packus, H | W, 0, false},
    {IR_OP_v_unpackl, B | H | W | D, 0, false}, {IR_OP_v_unpackh, B | H | W | D, 0, false},
    {IR_OP_v_shufw, W, 8, false}, {IR_OP_v_shuflh, H, 8, false}, {IR_OP_v_shufhh, H, 8, false},
    {IR_OP_v_shuf2, W | D, 8, false}, {IR_OP_v_pshufb, B, 0, false},
    {IR_OP_v_permil, W | D, 0, false}, {IR_OP_v_alignr, B, 6, false},
    {IR_OP_v_blend, H | W | D, 8, false}, {IR_OP_v_blendv, B | W | D, 0, false},
    {IR_OP_v_phadd, H | W, 0, false}, {IR_OP_v_phsub, H | W, 0, false},
    {IR_OP_v_phadds, H, 0, false}, {IR_OP_v_phsubs, H, 0, false}, {IR_OP_v_movs, W | D, 0, true},
    {IR_OP_v_movz, W | D, 0, true}, {IR_OP_v_minpos, H, 0, true}, {IR_OP_f_add, FF, 0, false},
    {IR_OP_f_sub, FF, 0, false}, {IR_OP_f_mul, FF, 0, false}, {IR_OP_f_div, FF, 0, false},
    {IR_OP_f_min, FF, 0, false}, {IR_OP_f_max, FF, 0, false}, {IR_OP_f_sqrt, FF, 0, false},
    {IR_OP_f_cmp, FF, 5, false}, {IR_OP_f_hadd, FF, 0, false}, {IR_OP_f_hsub, FF, 0, false},
    {IR_OP_f_addsub, FF, 0, false}, {IR_OP_f_round, FF, 4, false}, {IR_OP_f_fmadd, FF, 0, false},
    {IR_OP_f_fmsub, FF, 0, false}, {IR_OP_f_fnmadd, FF, 0, false}, {IR_OP_f_fnmsub, FF, 0, false},
    {IR_OP_f_fmaddsub, FF, 0, false}, {IR_OP_f_fmsubadd, FF, 0, false}, {IR_OP_fs_add, FF, 0, true},
    {IR_OP_fs_sub, FF, 0, true}, {IR_OP_fs_mul, FF, 0, true}, {IR_OP_fs_div, FF, 0, true},
    {IR_OP_fs_min, FF, 0, true}, {IR_OP_fs_max, FF, 0, true}, {IR_OP_fs_sqrt, FF, 0, true},
    {IR_OP_fs_cmp, FF, 5, true}, {IR_OP_fs_round, FF, 4, true}, {IR_OP_fs_fmadd, FF, 0, true},
    {IR_OP_fs_fmsub, FF, 0, true}, {IR_OP_fs_fnmadd, FF, 0, true}, {IR_OP_fs_fnmsub, FF, 0, true},
    {IR_OP_fs_32to64, 1 << IR_F64, 0, true}, {IR_OP_fs_64to32, 1 << IR_F32, 0, true},
};

static IrLane rnd_lane(Gen *g, unsigned lanes)
{
    unsigned lane;
    do
        lane = rnd(g, 6);
    while (!(lanes >> lane & 1));
    return (IrLane)lane;
}

static IrRef vec(Gen *g, IrOp op, IrType t, IrLane lane, int32_t imm, IrRef a, IrRef b)
{
    return push(g, ir_vec(g->u, op, t, lane, imm, a, b, 0));
}

/* IR_FP_CANON where it applies. */
static int32_t gen_canon(Gen *g, unsigned op)
{
    bool may = (op >= IR_OP_fs_add && op <= IR_OP_fs_sqrt) || (op >= IR_OP_fs_fmadd && op <= IR_OP_fs_64to32) ||
               op == IR_OP_fs_to_int || op == IR_OP_fs_to_intt;
    return g->canon && may && rnd(g, 4) ? IR_FP_CANON : 0;
}

/* Operations between types. */
static void gen_vec_convert(Gen *g)
{
    static const IrOp compares[] = {IR_OP_fs_comi, IR_OP_fs_ucomi};
    static const IrOp to_int[] = {IR_OP_fs_to_int, IR_OP_fs_to_intt};
    static const IrOp to_ints[] = {IR_OP_f_to_i32, IR_OP_f_to_i32t};
    IrType t = rnd(g, 2) ? IR_V128 : IR_V256;
    unsigned wide = t == IR_V256, lane = rnd(g, 4);
    IrLane fp = rnd_lane(g, FF);
    switch (rnd(g, 20)) {
    case 18:
        if (!g->canon)              /* what FP_DENORMAL is, is open */
            break;
        IrRef flags = ir_vec(g->u, IR_OP_f_flags, IR_I32, IR_D, 0, 0, 0, 0);
        push(g, ir_andi(g->u, flags, ~FP_DENORMAL));
        if (rnd(g, 2))
            ir_vec(g->u, IR_OP_f_setflags, IR_VOID, IR_D, 0, ir_andi(g->u, pick(g, IR_I32), 0x3f), 0, 0);
        break;
    case 0: vec(g, IR_OP_v_zext128, IR_V256, IR_D, 0, pick(g, IR_V128), 0); break;
    case 1: vec(g, rnd(g, 2) ? IR_OP_v_low128 : IR_OP_v_high128, IR_V128, IR_D, 0, pick(g, IR_V256), 0); break;
    case 2: vec(g, IR_OP_v_insert128, IR_V256, IR_D, rnd(g, 2), pick(g, IR_V256), pick(g, IR_V128)); break;
    case 3: vec(g, IR_OP_v_perm128, IR_V256, IR_D, rnd(g, 256), pick(g, IR_V256), pick(g, IR_V256)); break;
    case 4: vec(g, IR_OP_v_permq, IR_V256, IR_D, rnd(g, 256), pick(g, IR_V256), 0); break;
    case 5: vec(g, IR_OP_v_permw, IR_V256, IR_W, 0, pick(g, IR_V256), pick(g, IR_V256)); break;
    case 6: vec(g, IR_OP_v_splat, t, (IrLane)lane, 0, pick(g, IR_V128), 0); break;
    case 7: vec(g, IR_OP_v_splat128, IR_V256, IR_D, 0, pick(g, IR_V128), 0); break;
    case 8: lane = rnd(g, 3);
        vec(g, rnd(g, 2) ? IR_OP_v_sxt : IR_OP_v_zxt, t, (IrLane)lane, (int32_t)(lane + 1 + rnd(g, 3 - lane)),
            pick(g, IR_V128), 0);
        break;
    case 9: vec(g, IR_OP_v_from32, IR_V128, IR_D, 0, pick(g, IR_I32), 0); break;
    case 10: vec(g, IR_OP_v_from64, IR_V128, IR_D, 0, pick(g, IR_I64), 0); break;
    case 11: vec(g, IR_OP_v_extract, lane == IR_D ? IR_I64 : IR_I32, (IrLane)lane, (int32_t)rnd(g, 16 >> lane),
                 pick(g, IR_V128), 0);
        break;
    case 12: vec(g, IR_OP_v_insert, IR_V128, (IrLane)lane, (int32_t)rnd(g, 16 >> lane), pick(g, IR_V128),
                 pick(g, lane == IR_D ? IR_I64 : IR_I32));
        break;
    case 13: vec(g, IR_OP_v_movmsk, IR_I32, rnd_lane(g, B | W | D), (int32_t)wide, pick(g, t), 0); break;
    case 14: vec(g, IR_OP_v_test, IR_I32, rnd_lane(g, B | W | D), (int32_t)wide, pick(g, t), pick(g, t)); break;
    case 15: vec(g, compares[rnd(g, 2)], IR_I32, fp, 0, pick(g, IR_V128), pick(g, IR_V128)); break;
    case 16: vec(g, to_int[rnd(g, 2)], rnd(g, 2) ? IR_I32 : IR_I64, fp, gen_canon(g, IR_OP_fs_to_int),
                 pick(g, IR_V128), 0);
        break;
    case 17:
        if (rnd(g, 2))
            vec(g, IR_OP_fs_from_i32, IR_V128, fp, 0, pick(g, IR_V128), pick(g, IR_I32));
        else
            vec(g, IR_OP_fs_from_i64, IR_V128, fp, 0, pick(g, IR_V128), pick(g, IR_I64));
        break;
    default:
        switch (rnd(g, 5)) {
        case 0: vec(g, IR_OP_f_32to64, t, IR_F64, 2 << wide, pick(g, IR_V128), 0); break;
        case 1: vec(g, IR_OP_f_64to32, IR_V128, IR_F32, 2 << wide, pick(g, t), 0); break;
        case 2: vec(g, IR_OP_f_from_i32, t, fp, (fp == IR_F32 ? 4 : 2) << wide, pick(g, fp == IR_F32 ? t : IR_V128), 0);
            break;
        case 3: vec(g, to_ints[rnd(g, 2)], t, IR_F32, 4 << wide, pick(g, t), 0); break;
        default: vec(g, to_ints[rnd(g, 2)], IR_V128, IR_F64, 2 << wide, pick(g, t), 0);
        }
    }
}

static void gen_vec_op(Gen *g, IrType t)
{
    if (rnd(g, 3) == 0) {
        gen_vec_convert(g);
        return;
    }
    const VecOp *o = &vec_ops[rnd(g, G_N_ELEMENTS(vec_ops))];
    unsigned args = ir_op_info[o->op].args;
    if (o->v128)
        t = IR_V128;
    IrRef a = pick(g, t), b = args > 1 ? pick(g, t) : 0, c = args > 2 ? pick(g, t) : 0;
    int32_t imm = (int32_t)rnd(g, 1u << o->imm_bits) | gen_canon(g, o->op);
    push(g, ir_vec(g->u, o->op, t, rnd_lane(g, o->lanes), imm, a, b, c));
}

static void gen_vec(Gen *g)
{
    IrType t = rnd(g, 2) ? IR_V128 : IR_V256;
    unsigned bytes = t == IR_V128 ? 16 : 32;
    switch (rnd(g, 5)) {
    case 0:
        if (rnd(g, 3) == 0)
            t = IR_V128, bytes = 4 << rnd(g, 2);
        push(g, ir_get(g->u, t, VSLOT(rnd(g, VSLOTS)), bytes));
        break;
    case 1:
        if (rnd(g, 3) == 0)
            t = IR_V128, bytes = 4 << rnd(g, 2);
        if (t == IR_V256 && rnd(g, 2))              /* as VEX.128 does */
            ir_set(g->u, VSLOT(rnd(g, VSLOTS)), 32, ir_v_zext128(g->u, pick(g, IR_V128)));
        else
            ir_set(g->u, VSLOT(rnd(g, VSLOTS)), bytes, pick(g, t));
        break;
    case 2: {
        int32_t disp = rnd(g, 200);
        IrRef base = g->near && rnd(g, 2) ? g->near : gen_address(g);
        unsigned mop = t == IR_V128 ? IR_M128 : IR_M256;
        if (rnd(g, 2))
            push(g, ir_load(g->u, t, base, disp, mop));
        else
            ir_store(g->u, base, disp, pick(g, t), mop);
        break;
    }
    default:
        gen_vec_op(g, t);
    }
}

static void gen_int(Gen *g)
{
    typedef IrRef (*Binary)(IrBuilder *, IrRef, IrRef);
    typedef IrRef (*Unary)(IrBuilder *, IrRef);
    static const Binary binary[] = {ir_add, ir_sub, ir_mul, ir_mulhu, ir_mulhs, ir_and, ir_or, ir_xor, ir_andn,
                                    ir_shl, ir_shr, ir_sar, ir_rotl, ir_rotr, ir_add, ir_sub, ir_and, ir_add};
    static const Unary unary[] = {ir_neg, ir_not, ir_bswap, ir_clz, ir_ctz, ir_popcnt};
    static const Binary divides[] = {ir_divu, ir_remu, ir_divs, ir_rems};
    IrUnit *u = g->u;
    IrType t = rnd(g, 2) ? IR_I64 : IR_I32, o = t == IR_I64 ? IR_I32 : IR_I64;
    unsigned width = t == IR_I64 ? 64 : 32, lsb, len;
    switch (rnd(g, 16)) {
    default:
        push(g, binary[rnd(g, G_N_ELEMENTS(binary))](u, pick(g, t), pick(g, t)));
        break;
    case 0:
        push(g, unary[rnd(g, G_N_ELEMENTS(unary))](u, pick(g, t)));
        break;
    case 1: {                   /* positive by construction: no overflow, no zero */
        IrRef y = ir_addi(u, ir_andi(u, pick(g, t), 0xffff), 3);
        push(g, divides[rnd(g, 4)](u, pick(g, t), y));
        break;
    }
    case 2: {
        static const unsigned bits[] = {8, 16, 32};
        unsigned k = bits[rnd(g, t == IR_I32 ? 2 : 3)];
        IrRef x = pick(g, rnd(g, 2) || k == 32 ? IR_I32 : t);
        push(g, rnd(g, 2) ? ir_zext(u, t, x, k) : ir_sext(u, t, x, k));
        break;
    }
    case 3:
        push(g, ir_trunc(u, pick(g, IR_I64)));
        break;
    case 4:
        lsb = rnd(g, width), len = 1 + rnd(g, width - lsb);
        push(g, ir_deposit(u, pick(g, t), pick(g, t), lsb, len));
        break;
    case 5:
        lsb = rnd(g, 2) ? 8 * rnd(g, width / 8) : rnd(g, width), len = rnd(g, 2) ? 8 : 1 + rnd(g, width - lsb);
        push(g, (rnd(g, 2) ? ir_extract : ir_sextract)(u, pick(g, t), lsb, len));
        break;
    case 6:
        push(g, ir_setcond(u, t, (IrCond)rnd(g, 12), pick(g, o), pick(g, o)));
        break;
    case 7: {
        IrRef c = ir_setcond(u, IR_I32, (IrCond)rnd(g, 12), pick(g, o), pick(g, o));
        push(g, ir_select(u, rnd(g, 4) ? c : pick(g, o), pick(g, t), pick(g, t)));
        break;
    }
    case 8:
        push(g, ir_pcrel(u, CODE_VA + rnd(g, 65536)));
        break;
    }
}

static void gen_slots(Gen *g)
{
    unsigned bytes = 1u << rnd(g, 4), at = rnd(g, 3) ? 0 : bytes * rnd(g, 8 / bytes);
    int32_t off = SLOT(rnd(g, SLOTS)) + at;
    if (rnd(g, 3) == 0)
        push(g, ir_get(g->u, bytes == 8 || rnd(g, 2) ? IR_I64 : IR_I32, off, bytes));
    else
        ir_set(g->u, off, bytes, pick(g, bytes == 8 || rnd(g, 2) ? IR_I64 : IR_I32));
}

static void gen_block(Gen *g, unsigned depth, unsigned nodes, uint64_t *pc);

static void gen_branch(Gen *g, unsigned depth, uint64_t *pc)
{
    IrType t = rnd(g, 2) ? IR_I64 : IR_I32;
    unsigned label = ir_label(g->u);
    if (rnd(g, 3) == 0) {       /* a way out at the side: what is near stays so */
        ir_brcond(g->u, (IrCond)rnd(g, 12), pick(g, t), pick(g, t), label);
        ir_goto_pc(g->u, CODE_VA + rnd(g, 8192));
        ir_bind(g->u, label);
        return;
    }
    bool twice = rnd(g, 3) == 0, leave = rnd(g, 3) == 0;
    unsigned keep = g->n;
    ir_brcond(g->u, (IrCond)rnd(g, 12), pick(g, t), pick(g, t), label);
    keep = MAX(keep, g->n - 0);
    gen_block(g, depth + 1, 1 + rnd(g, 12), pc);
    if (twice) {
        ir_brcond(g->u, (IrCond)rnd(g, 12), pick(g, t), pick(g, t), label);
        gen_block(g, depth + 1, 1 + rnd(g, 8), pc);
    }
    if (leave)
        ir_goto_pc(g->u, CODE_VA + rnd(g, 8192));
    else if (rnd(g, 2))
        ir_br(g->u, label);
    ir_bind(g->u, label);
    g->n = keep;
    g->near = 0;
}

static void gen_block(Gen *g, unsigned depth, unsigned nodes, uint64_t *pc)
{
    for (unsigned k = 0; k < nodes; k++) {
        unsigned what = rnd(g, 20);
        if (what == 0 && depth == 0)
            ir_insn(g->u, *pc += 4);
        else if (what < 4)
            gen_mem(g);
        else if (what < 9)
            gen_slots(g);
        else if (what == 9 && depth < 3)
            gen_branch(g, depth, pc);
        else if (what == 10 && g->calls)
            gen_call(g);
        else if (what < 13 && g->vectors)
            gen_vec(g);
        else
            gen_int(g);
    }
}

/* The counter's slot is set by nobody else. */
static void gen_loop_end(Gen *g)
{
    IrUnit *u = g->u;
    unsigned label = ir_label(u);
    IrRef n = ir_addi(u, ir_get(u, IR_I64, SLOT(SLOTS + 1), 8), 1);
    ir_set(u, SLOT(SLOTS + 1), 8, n);
    bool taken = rnd(g, 2);
    ir_brcond(u, taken ? IR_TST : IR_NTST, n, ir_i64(u, 7), label);
    ir_goto_pc(u, taken ? CODE_VA + 200 : CODE_VA + 64);
    ir_bind(u, label);
    ir_goto_pc(u, taken ? CODE_VA + 64 : CODE_VA + 200);
}

static void gen_unit(Gen *g, unsigned size)
{
    uint64_t pc = CODE_VA + 64;
    ir_unit_reset(g->u, pc, 0);
    g->u->page_base = CODE_VA;
    ir_insn(g->u, pc);
    g->n = g->near = 0;
    gen_block(g, 0, 2 + rnd(g, size), &pc);
    if (g->loops) {
        gen_loop_end(g);
        g->u->size = 64;
        return;
    }
    switch (rnd(g, 7)) {
    case 5:
        ir_call_pc(g->u, CODE_VA + rnd(g, 8192), pc + 4);
        break;
    case 6:
        ir_call_ind(g->u, pick(g, IR_I64), pc + 4);
        break;
    case 0:
        ir_resync(g->u, pick(g, IR_I64));
        break;
    case 1:
        ir_goto_ind(g->u, pick(g, IR_I64));
        break;
    case 2: {
        unsigned label = ir_label(g->u);
        ir_brcond(g->u, (IrCond)rnd(g, 12), pick(g, IR_I64), pick(g, IR_I64), label);
        ir_goto_pc(g->u, pc + 4);
        ir_bind(g->u, label);
        ir_goto_pc(g->u, CODE_VA + 64);
        break;
    }
    case 3:
        ir_ret(g->u, pick(g, IR_I64));
        break;
    default:
        ir_goto_pc(g->u, CODE_VA + rnd(g, 8192));
    }
    g->u->size = 64;
}

typedef struct Bed {
    Loop *loop;
    Vm *vm;
    FakeCpu f;
    uint8_t *memory;
    Jit *jit;
} Bed;

static void run_jit(Bed *b, const JitUnit *u)
{
    Cpu *cpu = &b->f.cpu;
    if (b->jit->fp_used)
        jit_fp_enter(cpu->jit);
    b->jit->stubs.enter((uint8_t *)cpu + fake_isa.slot_bias, jit_rx(b->jit, u->code));
    if (cpu->jit->fp_host)
        jit_fp_leave(cpu->jit);
}

static void print_unit(const IrUnit *u, Bed *b, const JitUnit *ju)
{
    g_autoptr(GString) s = g_string_new(NULL);
    ir_print(u, s, NULL);
    if (ju)
        jit_dump_code(b->jit, ju, s);
    g_printerr("%s\n", s->str);
}

static bool same(Bed *b, const FakeCpu *want, const uint8_t *want_memory, bool canon)
{
    bool ok = true;
    for (unsigned k = 0; k < SLOTS; k++) {
        if (b->f.slot[k] != want->slot[k]) {
            g_printerr("slot %u (offset %d): %016" G_GINT64_MODIFIER "x instead of %016" G_GINT64_MODIFIER "x\n", k,
                       SLOT(k), b->f.slot[k], want->slot[k]);
            ok = false;
        }
    }
    for (unsigned k = 0; k < WINDOW * PAGE; k++) {
        if (b->memory[k] != want_memory[k]) {
            g_printerr("memory %x: %02x instead of %02x\n", k, b->memory[k], want_memory[k]);
            ok = false;
            break;
        }
    }
    if (memcmp(b->f.vslot, want->vslot, sizeof want->vslot)) {
        g_printerr("vector slots differ\n");
        ok = false;
    }
    if ((b->f.cpu.fp_flags ^ want->cpu.fp_flags) & ~(canon ? FP_DENORMAL : 0)) {
        g_printerr("fp flags %x instead of %x\n", b->f.cpu.fp_flags, want->cpu.fp_flags);
        ok = false;
    }
    if (b->f.cpu.pc != want->cpu.pc || b->f.calls != want->calls) {
        g_printerr("pc %" G_GINT64_MODIFIER "x instead of %" G_GINT64_MODIFIER "x\n", b->f.cpu.pc, want->cpu.pc);
        ok = false;
    }
    return ok;
}

static void start_state(Bed *b, GRand *r)
{
    static const uint64_t odd[] = {0, 1, UINT64_MAX, 0x80000000, INT64_MAX, 1ull << 63, 0xffffffff};
    for (unsigned k = 0; k < SLOTS; k++)
        b->f.slot[k] = g_rand_int(r) % 3 ? (uint64_t)g_rand_int(r) << 32 | g_rand_int(r)
                                         : odd[g_rand_int(r) % G_N_ELEMENTS(odd)];
    static const uint32_t floats[] = {0, 0x80000000, 0x3ff00000, 0x3f800000, 0x7ff00000, 0x7fc00000, 0x7fa00000,
                                      0x7ff40000, 0xfff80000, 1, 0x00100000, 0x00800000, 0x40490fdb, 0xc1e00000};
    for (unsigned k = 0; k < sizeof b->f.vslot / 4; k++)
        ((uint32_t *)b->f.vslot)[k] = g_rand_int(r) % 3 ? g_rand_int(r) : floats[g_rand_int(r) % G_N_ELEMENTS(floats)];
    b->f.cpu.fp_mode = g_rand_int(r) % 32 & ~4u;
    b->f.cpu.fp_flags = 0;
    b->f.calls = 0;
    b->f.cpu.pc = 0x111;
    b->f.cpu.page_base = CODE_VA;
}

static Bed *bed_new(const JitOptions *opt)
{
    Bed *b = g_new0(Bed, 1);
    g_autoptr(GError) error = NULL;
    b->loop = loop_new();
    b->vm = vm_new(b->loop);
    MemRegion *ram = mem_ram(b->vm->unattached, "ram", WINDOW * PAGE, &(RamConfig){.fd = -1}, &error);
    g_assert_no_error(error);
    mem_add(b->vm->memory_root, 0, ram, 0);
    b->memory = mem_host(ram);
    b->f.cpu.isa = &fake_isa;
    b->f.cpu.vm = b->vm;
    b->f.cpu.memory = b->vm->memory;
    g_assert_true(softmmu_init(&b->f.cpu));
    b->jit = jit_new(b->vm, &fake_isa, opt, &error);
    g_assert_no_error(error);
    jit_cpu_init(b->jit, &b->f.cpu);
    return b;
}

static void bed_free(Bed *b)
{
    jit_cpu_finish(&b->f.cpu);
    jit_free(b->jit);
    softmmu_finish(&b->f.cpu);
    vm_free(b->vm);
    loop_free(b->loop);
    g_free(b);
}

enum { CALLS = 1, VECTORS = 2, CANON = 4, LOOPS = 8 };

static void random_units(unsigned count, unsigned size, unsigned what, const JitOptions *opt)
{
    Bed *b = bed_new(opt);
    Gen *g = g_new0(Gen, 1);
    FakeCpu *want = g_new(FakeCpu, 1);
    g_autofree uint8_t *before = g_malloc(WINDOW * PAGE), *after = g_malloc(WINDOW * PAGE);
    uint64_t insns = 0, bytes = 0, refused = 0;
    unsigned first = g_getenv("SEED") ? atoi(g_getenv("SEED")) : 1;
    g->u = ir_unit_new();
    g->calls = what & CALLS;
    g->vectors = what & VECTORS;
    g->canon = what & CANON;
    g->loops = what & LOOPS;
    for (unsigned n = first; n < first + count; n++) {
        g->rand = g_rand_new_with_seed(n);
        gen_unit(g, size);
        ir_optimize(g->u);
        start_state(b, g->rand);
        if (g->canon)
            b->f.cpu.fp_mode &= FP_ROUND_MASK;
        for (unsigned k = 0; k < WINDOW * PAGE; k += 4)
            *(uint32_t *)(b->memory + k) = k * 2654435761u;
        memcpy(before, b->memory, WINDOW * PAGE);
        FakeCpu start = b->f;
        if (n % 3 == 0)
            softmmu_flush(&b->f.cpu);
        unsigned rounds = 0;
        do {
            ir_interpret(g->u, &b->f.cpu);
        } while (g->loops && b->f.cpu.pc == CODE_VA + 64 && ++rounds < 20);
        if (rounds == 20) {             /* another of its exits leads to the start, and always */
            g_rand_free(g->rand);
            continue;
        }
        *want = b->f;
        memcpy(after, b->memory, WINDOW * PAGE);
        memcpy(b->f.slot, start.slot, sizeof start.slot);
        memcpy(b->f.vslot, start.vslot, sizeof start.vslot);
        b->f.calls = 0;
        b->f.cpu.fp_flags = 0;
        b->f.cpu.pc = 0x111;
        b->f.cpu.page_base = CODE_VA;
        memcpy(b->memory, before, WINDOW * PAGE);
        JitUnit *u = jit_emit(b->jit, g->u, n % 8 ? 0 : JIT_UNIT_ONCE);
        if (!u) {
            refused++;
            g_rand_free(g->rand);
            continue;
        }
        if (n % 2 == 0)
            softmmu_flush(&b->f.cpu);
        if (g_getenv("SHOW"))
            print_unit(g->u, b, u);
        b->f.cpu.req = !g->loops;       /* once, if it jumps to its start by chance */
        do {
            run_jit(b, u);
        } while (g->loops && b->f.cpu.pc == CODE_VA + 64);
        b->f.cpu.req = 0;
        if (!same(b, want, after, g->canon)) {
            print_unit(g->u, b, u);
            g_error("seed %u differs", n);
        }
        insns += g->u->n_nodes;
        bytes += u->code_size;
        g_rand_free(g->rand);
    }
    g_test_message("%.1f host bytes per node, %u refused", (double)bytes / insns, (unsigned)refused);
    g_assert_cmpuint(refused, <, count / 10);
    ir_unit_free(g->u);
    g_free(g);
    g_free(want);
    bed_free(b);
}

static unsigned scale(unsigned n)
{
    return g_getenv("COUNT") ? (unsigned)atoi(g_getenv("COUNT")) : g_test_quick() ? n : n * 20;
}

static void test_small(void)
{
    random_units(scale(3000), 8, 0, NULL);
}

static void test_large(void)
{
    random_units(scale(1000), 150, 0, NULL);
}

static void test_calls(void)
{
    random_units(scale(1500), 60, CALLS, NULL);
}

static void test_vectors(void)
{
    random_units(scale(1500), 80, CALLS | VECTORS, NULL);
}

static void test_canon(void)
{
    random_units(scale(1500), 80, CALLS | VECTORS | CANON, NULL);
}

static void test_loops(void)
{
    random_units(scale(3000), 20, VECTORS | LOOPS, NULL);
    random_units(scale(500), 20, CALLS | LOOPS, &(JitOptions){.force_miss = 3});
}

static void test_misses(void)
{
    random_units(scale(500), 80, CALLS | VECTORS, &(JitOptions){.force_miss = 2, .chunk_size = 1 << 20, .cache_size = 3 << 20});
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/jit/random/small", test_small);
    g_test_add_func("/jit/random/large", test_large);
    g_test_add_func("/jit/random/calls", test_calls);
    g_test_add_func("/jit/random/vectors", test_vectors);
    g_test_add_func("/jit/random/canon", test_canon);
    g_test_add_func("/jit/random/loops", test_loops);
    g_test_add_func("/jit/random/misses", test_misses);
    return g_test_run();
}
