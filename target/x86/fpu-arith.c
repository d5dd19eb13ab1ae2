/* SPDX-License-Identifier: Apache-2.0 */
/* x87 instructions with operands, on the software library. Intel SDM vol. 2 (F*), vol. 1 chapter 8. */
#include "target/x86/fpu.h"

/* Writes ST(n) if the exceptions allow it, collects flags, pops. */
static void finish(Fpu *f, unsigned n, Fp80 v, unsigned pops)
{
    if (fpu_may_store(f, false)) {
        fpu_set(f->x, n, v);
        while (pops--)
            fpu_pop(f->x);
    }
    fpu_commit(f);
}

/* ---- arithmetic and comparisons, by the three bits of modrm.reg ---- */

enum { ADD, MUL, COM, COMP, SUB, SUBR, DIV, DIVR };

static Fp80 compute(unsigned op, Fp80 a, Fp80 b, FpEnv *env)
{
    switch (op) {
    case ADD: return fp80_add(a, b, env);
    case MUL: return fp80_mul(a, b, env);
    case SUB: return fp80_sub(a, b, env);
    case SUBR: return fp80_sub(b, a, env);
    case DIV: return fp80_div(a, b, env);
    default: return fp80_div(b, a, env);
    }
}

static void set_order(Fpu *f, FpOrder order)
{
    static const uint16_t cc[] = {FSW_C0, FSW_C3, 0, FSW_C0 | FSW_C2 | FSW_C3};
    f->x->fsw = (f->x->fsw & ~FSW_CC) | cc[order + 1];
}

/* b: memory or another register; ST(0) on the left. Two empty registers fault but once. */
static void compare(Fpu *f, Fp80 b, bool denormal, bool quiet, unsigned pops)
{
    Fp80 a = fpu_read(f, 0);
    FpOrder order = FP_UNORDERED;
    if (!(f->add & FSW_SF))
        order = quiet ? fp80_compare(a, b, &f->env) : fp80_compare_signalling(a, b, &f->env);
    if (denormal && !(f->env.flags & FP_INVALID))
        f->env.flags |= FP_DENORMAL;
    fpu_commit(f);
    /* The condition is written whatever is unmasked (as seen on AMD's processors). */
    set_order(f, order);
    if (fpu_may_store(f, false)) {
        while (pops--)
            fpu_pop(f->x);
    }
}

static void compare_eflags(X86Cpu *x, unsigned n, bool quiet, bool pop)
{
    static const uint8_t flags[] = {FLAG_C, FLAG_Z, 0, FLAG_C | FLAG_P | FLAG_Z};
    Fpu f = fpu_begin(x);
    f.keep_c1 = true;
    Fp80 b = fpu_read(&f, n), a = fpu_read(&f, 0);
    FpOrder order = FP_UNORDERED;
    if (!(f.add & FSW_SF))
        order = quiet ? fp80_compare(a, b, &f.env) : fp80_compare_signalling(a, b, &f.env);
    fpu_commit(&f);
    x86_set_arith(x, flags[order + 1]);
    if (fpu_may_store(&f, false) && pop)
        fpu_pop(x);
}

/* Operand b against ST(0), result to ST(0). `denormal`: b was one in memory, before it was widened. */
static void with_operand(Fpu *f, unsigned op, Fp80 b, bool denormal)
{
    denormal &= !fp80_is_nan(fpu_get(f->x, 0));
    if (op == COM || op == COMP) {
        compare(f, b, denormal, false, op == COMP);
        return;
    }
    Fp80 a = fpu_read(f, 0);
    Fp80 r = f->add & FSW_SF ? fp80_default_nan(&fp_rules_x87) : compute(op, a, b, &f->env);
    if (denormal && !(f->env.flags & (FP_INVALID | FP_DIVZERO)))
        f->env.flags |= FP_DENORMAL;
    finish(f, 0, r, 0);
}

/* ST(n) op ST(0) to ST(n): the encodings of sub and div change places here. */
static void to_register(X86Cpu *x, unsigned op, unsigned n, bool pop)
{
    Fpu f = fpu_begin(x);
    if (op == COM || op == COMP) {
        compare(&f, fpu_read(&f, n), false, false, pop ? 1 : op == COMP);
        return;
    }
    Fp80 a = fpu_read(&f, 0), b = fpu_read(&f, n);
    Fp80 r = f.add & FSW_SF ? fp80_default_nan(&fp_rules_x87) : compute(op, a, b, &f.env);
    finish(&f, n, r, pop);
}

/* ---- loads ---- */

static void push_value(Fpu *f, Fp80 v)
{
    if (!fpu_room(f)) {
        v = fp80_default_nan(&fp_rules_x87);
        f->env.flags = FP_INVALID;  /* nothing is known of the operand then */
    }
    /* A denormal is loaded even if that traps. */
    if (fpu_may_store(f, false) || !(f->env.flags & FP_INVALID))
        fpu_push(f->x, v);
    fpu_commit(f);
}

/* The library flags a denormal operand only when it computes with it; a load to 80 bits is one. */
static Fp80 load_float(Fpu *f, uint64_t at, unsigned bytes)
{
    Cpu *cpu = &f->x->cpu;
    if (bytes == 4)
        return fp32_to_fp80(cpu_load(cpu, at, IR_M32), &f->env);
    if (bytes == 8)
        return fp64_to_fp80(cpu_load(cpu, at, IR_M64), &f->env);
    Fp80 v = {0};
    uint8_t buf[10];
    cpu_load_bytes(cpu, at, buf, 10, MMU_CURRENT);
    memcpy(&v.frac, buf, 8);
    memcpy(&v.se, buf + 8, 2);
    return v;
}

/* The same for an operand of arithmetic, which quiets NaNs by itself. */
static Fp80 load_operand(Fpu *f, uint64_t at, unsigned bytes, bool *denormal)
{
    FpEnv env = {.rules = &fp_rules_x87};
    uint64_t v = cpu_load(&f->x->cpu, at, bytes == 4 ? IR_M32 : IR_M64);
    Fp80 r = bytes == 4 ? fp32_to_fp80(v, &env) : fp64_to_fp80(v, &env);
    *denormal = env.flags & FP_DENORMAL;
    if (env.flags & FP_INVALID)
        r.frac &= ~(1ull << 62);
    return r;
}

static Fp80 load_int(Fpu *f, uint64_t at, unsigned bytes)
{
    uint64_t v = cpu_load(&f->x->cpu, at, __builtin_ctz(bytes));
    unsigned up = 64 - 8 * bytes;
    return fp80_from_i64((int64_t)(v << up) >> up, &f->env);
}

/* ---- stores: memory first, since it may fault ---- */

static void end_store(Fpu *f, bool pop)
{
    if (!f->skip && pop)
        fpu_pop(f->x);
    fpu_commit(f);
}

static void store_float(X86Cpu *x, uint64_t at, unsigned bytes, bool pop)
{
    Fpu f = fpu_begin(x);
    Fp80 v = fpu_read(&f, 0);
    uint64_t r = 0;
    if (bytes == 4)
        r = f.add & FSW_SF ? fp32_default_nan(&fp_rules_x87) : fp80_to_fp32(v, &f.env);
    else if (bytes == 8)
        r = f.add & FSW_SF ? fp64_default_nan(&fp_rules_x87) : fp80_to_fp64(v, &f.env);
    if (fpu_may_store(&f, true)) {
        if (bytes == 10) {
            uint8_t buf[10];
            memcpy(buf, &v.frac, 8);
            memcpy(buf + 8, &v.se, 2);
            cpu_store_bytes(&x->cpu, at, buf, 10, MMU_CURRENT);
        } else {
            cpu_store(&x->cpu, at, r, __builtin_ctz(bytes));
        }
    } else {
        cpu_probe(&x->cpu, at, bytes, MEM_STORE, MMU_CURRENT);
    }
    end_store(&f, pop);
}

static void store_int(X86Cpu *x, uint64_t at, unsigned bytes, bool truncate, bool pop)
{
    Fpu f = fpu_begin(x);
    FpIntType type = {.bits = bytes * 8, .is_signed = true};
    Fp80 v = fpu_read(&f, 0);
    uint64_t r = 1ull << (bytes * 8 - 1);
    if (!(f.add & FSW_SF))
        r = (uint64_t)fp80_to_int(v, type, truncate ? FP_ROUND_ZERO : (FpRound)f.env.round, 0, &f.env);
    if (fpu_may_store(&f, true))
        cpu_store(&x->cpu, at, r, __builtin_ctz(bytes));
    end_store(&f, pop);
}

static void load_bcd(X86Cpu *x, uint64_t at)
{
    uint8_t d[10];
    int64_t v = 0;
    Fpu f = fpu_begin(x);
    cpu_load_bytes(&x->cpu, at, d, 10, MMU_CURRENT);
    for (int n = 8; n >= 0; n--)
        v = v * 100 + (d[n] >> 4) * 10 + (d[n] & 15);
    Fp80 r = fp80_from_i64(v, &f.env);
    if (d[9] & 0x80)
        r.se |= 0x8000;
    push_value(&f, r);
}

static void store_bcd(X86Cpu *x, uint64_t at)
{
    static const uint8_t indefinite[10] = {[7] = 0xc0, [8] = 0xff, [9] = 0xff};
    const int64_t limit = 999999999999999999;
    Fpu f = fpu_begin(x);
    Fp80 v = fpu_read(&f, 0);
    uint8_t d[10];
    FpEnv try = f.env;
    int64_t i = fp80_to_i64(v, f.env.round, &try);
    if (f.add & FSW_SF || try.flags & FP_INVALID || i > limit || i < -limit) {
        f.env.flags |= FP_INVALID;
        memcpy(d, indefinite, 10);
    } else {
        uint64_t m = i < 0 ? -(uint64_t)i : (uint64_t)i;
        f.env = try;
        for (unsigned n = 0; n < 9; n++, m /= 100)
            d[n] = m % 10 | m / 10 % 10 << 4;
        d[9] = v.se >> 8 & 0x80;
    }
    if (fpu_may_store(&f, true))
        cpu_store_bytes(&x->cpu, at, d, 10, MMU_CURRENT);
    end_store(&f, true);
}

/* fld of 80 bits raises nothing but stack faults. */
static void load(X86Cpu *x, uint64_t at, unsigned bytes)
{
    Fpu f = fpu_begin(x);
    push_value(&f, load_float(&f, at, bytes));
}

static void load_integer(X86Cpu *x, uint64_t at, unsigned bytes)
{
    Fpu f = fpu_begin(x);
    push_value(&f, load_int(&f, at, bytes));
}

/* d9, dd: floats of 32, 64 bits; db, df: integers and what else fits */
static void loads_and_stores(X86Cpu *x, unsigned opcode, unsigned digit, uint64_t at)
{
    bool real = opcode == 1 || opcode == 5;
    unsigned bytes = opcode == 1 || opcode == 3 ? 4 : opcode == 5 ? 8 : 2;
    switch (digit) {
    case 0:
        if (real)
            load(x, at, bytes);
        else
            load_integer(x, at, bytes);
        break;
    case 1:
        store_int(x, at, bytes, true, true);
        break;
    case 2: case 3:
        if (real)
            store_float(x, at, bytes, digit == 3);
        else
            store_int(x, at, bytes, false, digit == 3);
        break;
    case 4:
        load_bcd(x, at);
        break;
    case 5:
        if (opcode == 3)
            load(x, at, 10);
        else
            load_integer(x, at, 8);
        break;
    case 6:
        store_bcd(x, at);
        break;
    default:
        if (opcode == 3)
            store_float(x, at, 10, true);
        else
            store_int(x, at, 8, false, true);
    }
}

void fpu_memory_op(X86Cpu *x, unsigned opcode, unsigned digit, uint64_t at)
{
    if (opcode & 1) {
        loads_and_stores(x, opcode, digit, at);
        return;
    }
    Fpu f = fpu_begin(x);
    bool denormal = false;
    Fp80 b = opcode == 0   ? load_operand(&f, at, 4, &denormal)
             : opcode == 4 ? load_operand(&f, at, 8, &denormal)
             : opcode == 2 ? load_int(&f, at, 4)
                           : load_int(&f, at, 2);
    with_operand(&f, digit, b, denormal);
}

/* ---- register forms ---- */

static void constant(X86Cpu *x, unsigned n)
{
    /* The exact values and, by bits of `up`, where rounding up or to nearest gives one more. */
    static const struct { uint64_t frac; uint16_t se; bool nearest_up, inexact; } c[] = {
        {0x8000000000000000, 0x3fff, false, false}, {0xd49a784bcd1b8afe, 0x4000, false, true},
        {0xb8aa3b295c17f0bb, 0x3fff, true, true}, {0xc90fdaa22168c234, 0x4000, true, true},
        {0x9a209a84fbcff798, 0x3ffd, true, true}, {0xb17217f7d1cf79ab, 0x3ffe, true, true}, {0, 0, false, false},
    };
    unsigned rc = x->fcw >> 10 & 3;
    bool up = c[n].inexact && (rc == FP_ROUND_UP || (rc == FP_ROUND_NEAREST_EVEN && c[n].nearest_up));
    Fpu f = fpu_begin(x);
    push_value(&f, (Fp80){.frac = c[n].frac + up, .se = c[n].se});
}

static void examine(X86Cpu *x)
{
    static const uint16_t cc[] = {
        [FP_CLASS_ZERO] = FSW_C3, [FP_CLASS_DENORMAL] = FSW_C3 | FSW_C2, [FP_CLASS_NORMAL] = FSW_C2,
        [FP_CLASS_INF] = FSW_C2 | FSW_C0, [FP_CLASS_QNAN] = FSW_C0, [FP_CLASS_SNAN] = FSW_C0,
        [FP_CLASS_UNSUPPORTED] = 0,
    };
    Fp80 v = fpu_get(x, 0);
    uint16_t bits = fpu_empty(x, 0) ? FSW_C3 | FSW_C0 : cc[fp80_classify(v, &fp_rules_x87)];
    x->fsw = (x->fsw & ~FSW_CC) | bits | (v.se & 0x8000 ? FSW_C1 : 0);
}

static void remainder_step(X86Cpu *x, bool nearest)
{
    Fpu f = fpu_begin(x);
    Fp80 a = fpu_read(&f, 0), b = fpu_read(&f, 1);
    uint8_t q = 0;
    bool partial = false;
    bool fault = f.add & FSW_SF;
    Fp80 r = fault ? fp80_default_nan(&fp_rules_x87) : fp80_prem(a, b, nearest, &q, &partial, &f.env);
    finish(&f, 0, r, 0);
    if (f.skip)
        return;
    fault |= f.env.flags & FP_INVALID;
    x->fsw &= ~(fault ? FSW_C2 : FSW_CC);
    if (partial)
        x->fsw |= FSW_C2;
    else if (!fault)
        x->fsw |= (q & 4 ? FSW_C0 : 0) | (q & 2 ? FSW_C3 : 0) | (q & 1 ? FSW_C1 : 0);
}

static void extract(X86Cpu *x)
{
    Fpu f = fpu_begin(x);
    Fp80 a = fpu_read(&f, 0), exponent, nan = fp80_default_nan(&fp_rules_x87);
    if (!(f.add & FSW_SF) && !fpu_room(&f))
        a = nan;
    Fp80 significand = f.add & FSW_SF ? (exponent = nan) : fp80_xtract(a, &exponent, &f.env);
    if (fpu_may_store(&f, false)) {
        fpu_set(x, 0, exponent);
        fpu_push(x, significand);
    }
    fpu_commit(&f);
}

/* Functions of ST(0), and of ST(0) and ST(1) that pop. */
static void unary(X86Cpu *x, Fp80 (*fn)(Fp80, FpEnv *))
{
    Fpu f = fpu_begin(x);
    Fp80 a = fpu_read(&f, 0);
    finish(&f, 0, f.add & FSW_SF ? a : fn(a, &f.env), 0);
}

static void binary_pop(X86Cpu *x, Fp80 (*fn)(Fp80, Fp80, FpEnv *))
{
    Fpu f = fpu_begin(x);
    Fp80 a = fpu_read(&f, 0), b = fpu_read(&f, 1), nan = fp80_default_nan(&fp_rules_x87);
    finish(&f, 1, f.add & FSW_SF ? nan : fn(a, b, &f.env), 1);
}

static Fp80 round_int(Fp80 a, FpEnv *env) { return fp80_round_to_int(a, env->round, true, env); }

static void scale(X86Cpu *x)
{
    Fpu f = fpu_begin(x);
    Fp80 a = fpu_read(&f, 0), b = fpu_read(&f, 1);
    finish(&f, 0, f.add & FSW_SF ? fp80_default_nan(&fp_rules_x87) : fp80_scale(a, b, &f.env), 0);
}

/* C2 says that the operand is too large; nothing else happens then. */
static void sine(X86Cpu *x, bool (*fn)(Fp80, Fp80 *, FpEnv *))
{
    Fpu f = fpu_begin(x);
    Fp80 a = fpu_read(&f, 0), r = a;
    bool done = f.add & FSW_SF || fn(a, &r, &f.env);
    finish(&f, 0, r, 0);
    x->fsw = (x->fsw & ~FSW_C2) | (done ? 0 : FSW_C2);
}

/* Two results: fsincos and fptan. */
static void sine_pair(X86Cpu *x, bool (*fn)(Fp80, Fp80 *, Fp80 *, FpEnv *))
{
    Fpu f = fpu_begin(x);
    Fp80 a = fpu_read(&f, 0), r = a, pushed = a;
    if (!(f.add & FSW_SF) && !fpu_room(&f))
        r = pushed = fp80_default_nan(&fp_rules_x87);
    bool done = f.add & FSW_SF || fn(a, &r, &pushed, &f.env);
    if (fpu_may_store(&f, false) && done) {
        fpu_set(x, 0, r);
        fpu_push(x, pushed);
    }
    fpu_commit(&f);
    x->fsw = (x->fsw & ~FSW_C2) | (done ? 0 : FSW_C2);
}

static void move_top(X86Cpu *x, int by)
{
    x->ftop = (x->ftop + by) & 7;
    x->fsw &= ~FSW_C1;
}

static void change_sign(X86Cpu *x, bool negate)
{
    Fpu f = fpu_begin(x);
    Fp80 v = fpu_read(&f, 0);
    if (!(f.add & FSW_SF))
        v.se = negate ? v.se ^ 0x8000 : v.se & 0x7fff;
    finish(&f, 0, v, 0);
}

static void test_zero(X86Cpu *x)
{
    Fpu f = fpu_begin(x);
    compare(&f, (Fp80){0}, false, false, 0);
}

static void d9_e0(X86Cpu *x, unsigned modrm)
{
    switch (modrm) {
    case 0xe0: change_sign(x, true); break;
    case 0xe1: change_sign(x, false); break;
    case 0xe4: test_zero(x); break;
    case 0xe5: examine(x); break;
    case 0xe8 ... 0xee: constant(x, modrm - 0xe8); break;
    case 0xf0: unary(x, fp80_f2xm1); break;
    case 0xf1: binary_pop(x, fp80_yl2x); break;
    case 0xf2: sine_pair(x, fp80_tan); break;
    case 0xf3: binary_pop(x, fp80_patan); break;
    case 0xf4: extract(x); break;
    case 0xf5: remainder_step(x, true); break;
    case 0xf6: move_top(x, -1); break;
    case 0xf7: move_top(x, 1); break;
    case 0xf8: remainder_step(x, false); break;
    case 0xf9: binary_pop(x, fp80_yl2xp1); break;
    case 0xfa: unary(x, fp80_sqrt); break;
    case 0xfb: {
        /* The library gives (sine, cosine): ST(1) and ST(0). */
        sine_pair(x, fp80_sincos);
        break;
    }
    case 0xfc: unary(x, round_int); break;
    case 0xfd: scale(x); break;
    case 0xfe: sine(x, fp80_sin); break;
    case 0xff: sine(x, fp80_cos); break;
    }
}

static void load_register(X86Cpu *x, unsigned n)
{
    Fpu f = fpu_begin(x);
    Fp80 v = fpu_read(&f, n);
    if (f.add & FSW_SF) {
        /* An empty source is an underflow even when there is no room. */
        if (fpu_may_store(&f, false))
            fpu_push(x, v);
        fpu_commit(&f);
        return;
    }
    push_value(&f, v);
}

static void exchange(X86Cpu *x, unsigned n)
{
    Fpu f = fpu_begin(x);
    Fp80 a = fpu_read(&f, 0), b = fpu_read(&f, n);
    if (fpu_may_store(&f, false)) {
        fpu_set(x, 0, b);
        fpu_set(x, n, a);
    }
    fpu_commit(&f);
}

static void store_register(X86Cpu *x, unsigned n, bool pop)
{
    Fpu f = fpu_begin(x);
    finish(&f, n, fpu_read(&f, 0), pop);
}

static void move_if(X86Cpu *x, unsigned n, unsigned which, bool negate)
{
    static const uint8_t masks[] = {FLAG_C, FLAG_Z, FLAG_C | FLAG_Z, FLAG_P};
    Fpu f = fpu_begin(x);
    f.keep_c1 = true;
    bool yes = !!(x86_arith_flags(x) & masks[which]) != negate;
    Fp80 b = fpu_read(&f, n);
    fpu_read(&f, 0);
    if (f.add & FSW_SF)
        b = fp80_default_nan(&fp_rules_x87);
    if (fpu_may_store(&f, false) && (yes || f.add & FSW_SF))
        fpu_set(x, 0, b);
    fpu_commit(&f);
}

/* This alias of fstp does not mind an empty register. */
static void pop_quietly(X86Cpu *x)
{
    fpu_pop(x);
    x->fsw &= ~FSW_C1;
}

static void free_register(X86Cpu *x, unsigned n)
{
    x->fempty |= 1u << ((x->ftop + n) & 7);
    x->fsw &= ~FSW_C1;
}

static void compare_register(X86Cpu *x, unsigned n, bool quiet, unsigned pops)
{
    Fpu f = fpu_begin(x);
    compare(&f, fpu_read(&f, n), false, quiet, pops);
}

void fpu_register_op(X86Cpu *x, unsigned opcode, unsigned modrm)
{
    unsigned op = modrm >> 3 & 7, n = modrm & 7;
    switch (opcode) {
    case 0: {
        Fpu f = fpu_begin(x);
        with_operand(&f, op, fpu_read(&f, n), false);
        break;
    }
    case 1:
        if (op == 0)
            load_register(x, n);
        else if (op == 1)
            exchange(x, n);
        else if (op == 3 && fpu_empty(x, 0))
            pop_quietly(x);
        else if (op == 3)
            store_register(x, n, true);
        else if (op >= 4)
            d9_e0(x, modrm);
        break;
    case 2:
        if (op < 4)
            move_if(x, n, op, false);
        else
            compare_register(x, 1, true, 2);
        break;
    case 3:
        if (op < 4)
            move_if(x, n, op, true);
        else
            compare_eflags(x, n, op == 5, false);
        break;
    case 4:
        to_register(x, op, n, false);
        break;
    case 5:
        if (op == 0)
            free_register(x, n);
        else if (op == 1)
            exchange(x, n);
        else if (op < 4)
            store_register(x, n, op == 3);
        else
            compare_register(x, n, true, op == 5);
        break;
    case 6:
        if (op == 3)
            compare_register(x, 1, false, 2);
        else
            to_register(x, op, n, true);
        break;
    default:
        if (op == 0) {
            free_register(x, n);
            fpu_pop(x);
        } else if (op == 1) {
            exchange(x, n);
        } else if (op < 4) {
            store_register(x, n, true);
        } else {
            compare_eflags(x, n, op == 5, true);
        }
    }
}
