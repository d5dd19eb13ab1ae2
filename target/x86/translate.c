/* SPDX-License-Identifier: Apache-2.0 */
/* Units of x86 code: the walk over instructions, operands, lazily evaluated flags, exits. */
#include <string.h>
#include "target/x86/translate.h"

/* ---- helpers used here ---- */

static void x86_helper_raise(Cpu *cpu, uint64_t vector, uint64_t error)
{
    x86_raise(x86_of(cpu), vector, error);
}
HELPER(raise, VOID, IR_H_ANY | IR_H_EXIT);

static void x86_helper_raise_at(Cpu *cpu, uint64_t pc, uint64_t vector)
{
    cpu->pc = pc;
    x86_raise(x86_of(cpu), vector, 0);
}
HELPER(raise_at, VOID, IR_H_ANY | IR_H_EXIT);

static void x86_helper_end_shadow(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    x->shadow = false;
    x86_update_mode(x);         /* asks for interrupts that wait */
}
HELPER(end_shadow, VOID, IR_H_STATE);

/* The step trap behind an instruction that began with TF set; `after`: if it is still set. */
static void x86_helper_trap_step(Cpu *cpu, uint64_t pc, uint64_t after)
{
    X86Cpu *x = x86_of(cpu);
    cpu->pc = pc;
    x->shadow = false;
    x86_update_mode(x);
    if (!after || x->eflags & FLAG_T) {
        x->dr6_pending |= 1 << 14;
        x86_deliver(x, EXC_DB, 0, EVENT_TRAP, x86_ip(x));
    }
    cpu_exit(cpu);
}
HELPER(trap_step, VOID, IR_H_ANY | IR_H_EXIT);

static void x86_helper_check_bp(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    if (x->eflags & FLAG_R) {
        x->eflags &= ~FLAG_R;
        return;
    }
    uint32_t hit = 0;
    for (unsigned i = 0; i < 4; i++) {
        bool on = x->dr[7] >> (2 * i) & 3, exec = !(x->dr[7] >> (16 + 4 * i) & 3);
        if (on && exec && x->dr[i] == cpu->pc)
            hit |= 1 << i;
    }
    if (hit) {
        x->dr6_pending |= hit;
        x86_raise(x, EXC_DB, 0);
    }
}
HELPER(check_bp, VOID, IR_H_ANY);

/* ---- sizes ---- */

IrRef x_zx(X86Xlate *x, IrRef v, unsigned size)
{
    return size >= 4 ? v : ir_zext(x->b, IR_I32, v, size * 8);
}

IrRef x_sx(X86Xlate *x, IrRef v, unsigned size)
{
    return size >= 4 ? v : ir_sext(x->b, IR_I32, v, size * 8);
}

IrRef x_zx64(X86Xlate *x, IrRef v, unsigned size)
{
    return size == 8 ? v : ir_zext(x->b, IR_I64, v, size * 8);
}

IrRef x_sx64(X86Xlate *x, IrRef v, unsigned size)
{
    return size == 8 ? v : ir_sext(x->b, IR_I64, v, size * 8);
}

IrRef x_low(X86Xlate *x, IrRef v, unsigned size)
{
    bool wide = ir_type(x->b, v) == IR_I64;
    if (size == 8)
        return wide ? v : ir_zext(x->b, IR_I64, v, 32);
    return wide ? ir_trunc(x->b, v) : v;
}

static void cold(X86Xlate *x, unsigned label, int vector, uint64_t pc)
{
    if (x->n_cold == X86_MAX_COLD) {
        x->b->overflow = true;          /* to be translated again, one by one */
        return;
    }
    x->cold[x->n_cold++] = (X86Cold){label, vector, pc};
}

/* Where the instruction raises this exception; all its checks share the place. */
static unsigned raise_label(X86Xlate *x, int vector)
{
    for (unsigned k = x->n_cold; k-- > 0 && x->cold[k].pc == x->pc;)
        if (x->cold[k].vector == vector)
            return x->cold[k].label;
    unsigned label = ir_label(x->b);
    cold(x, label, vector, x->pc);
    return label;
}

/* ---- registers ---- */

IrRef x_reg(X86Xlate *x, unsigned n, unsigned size)
{
    if (size == 1 && n >= 4 && n < 8 && !x->i.rex)
        return ir_get(x->b, IR_I32, SLOT(regs) + 8 * (n - 4) + 1, 1);
    return ir_get(x->b, x_type(size), SLOT(regs) + 8 * n, size);
}

IrRef x_reg_full(X86Xlate *x, unsigned n) { return ir_get(x->b, IR_I64, SLOT(regs) + 8 * n, 8); }

void x_set_reg(X86Xlate *x, unsigned n, unsigned size, IrRef v)
{
    if (size == 1 && n >= 4 && n < 8 && !x->i.rex)
        ir_set(x->b, SLOT(regs) + 8 * (n - 4) + 1, 1, v);
    else if (size == 4)
        ir_set(x->b, SLOT(regs) + 8 * n, 8, ir_zext(x->b, IR_I64, v, 32));
    else
        ir_set(x->b, SLOT(regs) + 8 * n, size, v);
}

void x_set_addr_reg(X86Xlate *x, unsigned n, unsigned addrsize, IrRef v)
{
    if (addrsize == 2)
        ir_set(x->b, SLOT(regs) + 8 * n, 2, ir_trunc(x->b, v));
    else
        ir_set(x->b, SLOT(regs) + 8 * n, 8, addrsize == 4 ? ir_zext(x->b, IR_I64, v, 32) : v);
}

/* ---- memory ---- */

/* Everything of the address but a displacement that may be left to the access. */
static IrRef offset_parts(X86Xlate *x, int32_t *left)
{
    X86Insn *i = &x->i;
    IrBuilder *b = x->b;
    IrRef v = 0;
    *left = 0;
    if (i->rip_relative) {
        v = ir_pcrel(b, x->next + i->disp);
        return i->addrsize == 8 ? v : ir_zext(b, IR_I64, v, 32);
    }
    if (i->index >= 0)
        v = ir_shli(b, x_reg_full(x, i->index), i->scale);
    if (i->base >= 0)
        v = v ? ir_add(b, x_reg_full(x, i->base), v) : x_reg_full(x, i->base);
    if (!v)
        return ir_i64(b, i->addrsize == 8 ? i->disp : i->addrsize == 4 ? (uint32_t)i->disp
                                                                      : (uint16_t)i->disp);
    if (i->addrsize == 8) {
        *left = i->disp;
        return v;
    }
    if (i->disp)
        v = ir_addi(b, v, i->disp);
    return ir_zext(b, IR_I64, v, i->addrsize * 8);
}

IrRef x_offset(X86Xlate *x)
{
    int32_t left;
    IrRef v = offset_parts(x, &left);
    return left ? ir_addi(x->b, v, left) : v;
}

int x_segment(X86Xlate *x)
{
    if (x->i.seg >= 0)
        return x->i.seg;
    return x->i.base == RSP || x->i.base == RBP ? SS : DS;
}

IrRef x_linear(X86Xlate *x, int seg, IrRef offset, unsigned addrsize, unsigned bytes, bool write)
{
    IrBuilder *b = x->b;
    if (x->code == 8) {
        if (seg < FS)
            return offset;
        return ir_add(b, ir_get(b, IR_I64, SLOT(seg) + seg * sizeof(X86Seg) + offsetof(X86Seg, base), 8),
                      offset);
    }
    bool flat = x->mode & MODE_FLAT << seg;
    if (flat && seg < FS)
        return offset;
    int32_t slot = SLOT(seg) + seg * sizeof(X86Seg);
    if (!flat) {
        /* Compares as signed 64-bit numbers; offsets are at most 32 bits. */
        IrRef last = bytes > 1 ? ir_addi(b, offset, bytes - 1) : offset;
        IrRef hi = ir_get(b, IR_I64, slot + (write ? offsetof(X86Seg, wr) : offsetof(X86Seg, rd)), 8);
        IrRef lo = ir_get(b, IR_I64, slot + offsetof(X86Seg, lo), 8);
        int vector = seg == SS ? EXC_SS : EXC_GP;
        x_raise_if(x, IR_GT, last, hi, vector);
        x_raise_if(x, IR_LT, offset, lo, vector);
    }
    IrRef base = ir_get(b, IR_I64, slot + offsetof(X86Seg, base), 8);
    return ir_zext(b, IR_I64, ir_add(b, base, offset), 32);
}

void x_ea(X86Xlate *x, unsigned bytes, bool write)
{
    if (x->ea_done)
        return;
    int32_t left;
    IrRef offset = offset_parts(x, &left);
    int seg = x_segment(x);
    x->ea_done = true;
    x->ea_disp = left;
    x->ea = x_linear(x, seg, offset, x->i.addrsize, bytes, write);
}

IrRef x_load_at(X86Xlate *x, IrRef linear, int32_t disp, unsigned size)
{
    x_cc_flush(x);
    return ir_load(x->b, x_type(size), linear, disp, x_mop(x, size));
}

void x_store_at(X86Xlate *x, IrRef linear, int32_t disp, unsigned size, IrRef v)
{
    x_cc_flush(x);
    ir_store(x->b, linear, disp, v, x_mop(x, size));
}

IrRef x_load(X86Xlate *x, unsigned size)
{
    x_ea(x, size, false);
    return x_load_at(x, x->ea, x->ea_disp, size);
}

IrRef x_load_rw(X86Xlate *x, unsigned size)
{
    x_ea(x, size, true);
    x_cc_flush(x);
    return ir_load(x->b, x_type(size), x->ea, x->ea_disp, x_mop(x, size) | IR_MREADW);
}

void x_store(X86Xlate *x, unsigned size, IrRef v)
{
    x_ea(x, size, true);
    x_store_at(x, x->ea, x->ea_disp, size, v);
}

/* ---- operands ---- */

/* The register that operand k names, or -1. */
static int operand_reg(const X86Insn *i, unsigned k)
{
    switch (i->row->op[k].method) {
    case OP_AL: case OP_rAX: case OP_EAX:
        return RAX;
    case OP_CL:
        return RCX;
    case OP_DX:
        return RDX;
    case OP_E: case OP_M:
        return i->has_mem ? -1 : i->rm;
    case OP_R:
        return i->rm;
    case OP_G:
        return i->reg;
    case OP_B:
        return i->vvvv;
    case OP_Z:
        return (i->opcode & 7) | (i->rex & 1) << 3;
    default:
        return -1;
    }
}

/* mov between rAX and an address in the instruction */
static IrRef direct_address(X86Xlate *x, unsigned size, bool write)
{
    int seg = x->i.seg >= 0 ? x->i.seg : DS;
    return x_linear(x, seg, ir_i64(x->b, x->i.imm), x->i.addrsize, size, write);
}

static IrRef get_operand(X86Xlate *x, unsigned k, bool rw)
{
    X86Insn *i = &x->i;
    unsigned size = x_size(x, k);
    int reg = operand_reg(i, k);
    if (reg >= 0)
        return x_reg(x, reg, size);
    switch (i->row->op[k].method) {
    case OP_ONE:
        return ir_i32(x->b, 1);
    case OP_E: case OP_M:
        return rw ? x_load_rw(x, size) : x_load(x, size);
    case OP_I:
        /* Narrow immediates extend to the size of the first operand. */
        return x_const(x, MAX(size, i->row->n_ops > 1 ? x_size(x, 0) : i->opsize), i->imm);
    case OP_O:
        return x_load_at(x, direct_address(x, size, false), 0, size);
    default:
        return 0;
    }
}

IrRef x_get(X86Xlate *x, unsigned k) { return get_operand(x, k, false); }
IrRef x_get_rw(X86Xlate *x, unsigned k) { return get_operand(x, k, true); }

void x_set(X86Xlate *x, unsigned k, IrRef v)
{
    X86Insn *i = &x->i;
    unsigned size = x_size(x, k);
    int reg = operand_reg(i, k);
    unsigned method = i->row->op[k].method;
    if (reg >= 0) {
        x_set_reg(x, reg, size, v);
    } else if (method == OP_O) {
        x_store_at(x, direct_address(x, size, true), 0, size, v);
    } else {
        x_store(x, size, v);
    }
}

void x_branch(X86Xlate *x, X86Cond c, uint64_t linear)
{
    unsigned label = ir_label(x->b);
    x_cc_flush(x);
    ir_brcond(x->b, c.cc, c.a, c.b, label);
    cold(x, label, COLD_JUMP, linear);
}

IrRef x_rmw(X86Xlate *x, IrRmw op, IrRef v)
{
    unsigned size = x_size(x, 0);
    x_ea(x, size, true);
    x_cc_flush(x);
    IrRef at = x->ea_disp ? ir_addi(x->b, x->ea, x->ea_disp) : x->ea;
    return ir_rmw(x->b, x_type(size), op, at, v, x_mop(x, size));
}

void x_cas_retry(X86Xlate *x, unsigned size, IrRef old, IrRef new_value)
{
    IrRef at = x->ea_disp ? ir_addi(x->b, x->ea, x->ea_disp) : x->ea;
    IrRef seen = ir_cas(x->b, x_type(size), at, old, new_value, x_mop(x, size));
    unsigned again = ir_label(x->b);
    ir_brcond(x->b, IR_NE, seen, old, again);
    cold(x, again, COLD_RETRY, x->pc);
}

/* ---- stack ---- */

unsigned x_stack_size(const X86Xlate *x)
{
    return x->code == 8 ? 8 : x->mode & MODE_SS32 ? 4 : 2;
}

IrRef x_sp(X86Xlate *x)
{
    unsigned n = x_stack_size(x);
    return ir_get(x->b, IR_I64, SLOT(regs[RSP]), n);
}

void x_set_sp(X86Xlate *x, IrRef v) { x_set_addr_reg(x, RSP, x_stack_size(x), v); }

static IrRef stack_clean(X86Xlate *x, IrRef v)
{
    unsigned n = x_stack_size(x);
    return n == 8 ? v : ir_zext(x->b, IR_I64, v, n * 8);
}

void x_push(X86Xlate *x, unsigned size, IrRef v)
{
    IrRef sp = stack_clean(x, ir_addi(x->b, x_sp(x), -(int)size));
    x_store_at(x, x_linear(x, SS, sp, x_stack_size(x), size, true), 0, size, v);
    x_set_sp(x, sp);
}

IrRef x_stack_load(X86Xlate *x, int32_t at, unsigned size)
{
    IrRef sp = x_sp(x);
    if (at)
        sp = stack_clean(x, ir_addi(x->b, sp, at));
    return x_load_at(x, x_linear(x, SS, sp, x_stack_size(x), size, false), 0, size);
}

void x_add_sp(X86Xlate *x, int32_t n) { x_set_sp(x, ir_addi(x->b, x_sp(x), n)); }

/* ---- calls and exits ---- */

IrRef x_call(X86Xlate *x, const IrHelper *h, IrRef a0, IrRef a1, IrRef a2, IrRef a3)
{
    if (h->effects)
        x_cc_flush(x);
    return ir_call(x->b, h, a0, a1, a2, a3);
}

static void end_path(X86Xlate *x) { x->done = true; }

void x_raise(X86Xlate *x, int vector, uint32_t error)
{
    x_call(x, &h_raise, ir_i64(x->b, vector), ir_i64(x->b, error), 0, 0);
    ir_resync(x->b, ir_pcrel(x->b, x->pc));
    end_path(x);
}

void x_raise_if(X86Xlate *x, IrCond cc, IrRef a, IrRef b, int vector)
{
    x_cc_flush(x);
    ir_brcond(x->b, cc, a, b, raise_label(x, vector));
}

static bool special_exit(const X86Xlate *x) { return x->mode & (MODE_TF | MODE_SHADOW); }

static void leave_special(X86Xlate *x, IrRef linear)
{
    if (x->mode & MODE_TF) {
        x_call(x, &h_trap_step, linear, ir_i64(x->b, x->tf_after), 0, 0);
    } else {
        x_call(x, &h_end_shadow, 0, 0, 0, 0);
    }
    ir_resync(x->b, linear);
}

static void leave(X86Xlate *x, uint64_t linear)
{
    if (special_exit(x))
        leave_special(x, ir_pcrel(x->b, linear));
    else
        ir_goto_pc(x->b, linear);
}

void x_goto(X86Xlate *x, uint64_t linear)
{
    x_cc_flush(x);
    leave(x, linear);
    end_path(x);
}

void x_goto_ind(X86Xlate *x, IrRef linear)
{
    x_cc_flush(x);
    if (special_exit(x))
        leave_special(x, linear);
    else
        ir_goto_ind(x->b, linear);
    end_path(x);
}

void x_resync(X86Xlate *x, IrRef linear)
{
    x_cc_flush(x);
    if (special_exit(x))
        leave_special(x, linear);
    else
        ir_resync(x->b, linear);
    end_path(x);
}

void x_resync_next(X86Xlate *x) { x_resync(x, ir_pcrel(x->b, x->next)); }

static bool cs_flat(const X86Xlate *x) { return x->code == 8 || x->mode & MODE_FLAT << CS; }

IrRef x_next_ip(X86Xlate *x)
{
    IrRef next = ir_pcrel(x->b, x->next);
    if (cs_flat(x))
        return next;
    return ir_sub(x->b, next, ir_get(x->b, IR_I64, SLOT(seg[CS].base), 8));
}

IrRef x_here(X86Xlate *x) { return ir_pcrel(x->b, x->pc); }

bool x_rel_is_const(const X86Xlate *x) { return cs_flat(x) && x->i.opsize != 2; }

uint64_t x_rel_linear(const X86Xlate *x, int64_t rel)
{
    return x->code == 8 ? x->next + rel : (uint32_t)(x->next + rel);
}

IrRef x_target(X86Xlate *x, IrRef ip)
{
    IrBuilder *b = x->b;
    unsigned size = x->i.opsize;
    if (x->code == 8)
        return size == 2 ? ir_zext(b, IR_I64, ip, 16) : ip;
    ip = ir_zext(b, IR_I64, ip, size * 8);
    if (cs_flat(x))
        return ip;
    x_raise_if(x, IR_GTU, ip, ir_get(b, IR_I64, SLOT(seg[CS].limit), 4), EXC_GP);
    return ir_zext(b, IR_I64, ir_add(b, ip, ir_get(b, IR_I64, SLOT(seg[CS].base), 8)), 32);
}

void x_jump_rel(X86Xlate *x, int64_t rel)
{
    if (x_rel_is_const(x))
        x_goto(x, x_rel_linear(x, rel));
    else
        x_goto_ind(x, x_target(x, ir_addi(x->b, x_next_ip(x), rel)));
}

/* ---- the unit ---- */

/* The instruction must lie within its segment. `room` is what lies there behind the unit's start. */
static void check_limit(X86Xlate *x)
{
    IrBuilder *b = x->b;
    if (cs_flat(x))
        return;
    if (!x->room) {
        IrRef ip = ir_sub(b, ir_pcrel(b, b->pc), ir_get(b, IR_I64, SLOT(seg[CS].base), 8));
        x->room = ir_sub(b, ir_get(b, IR_I64, SLOT(seg[CS].limit), 4), ir_zext(b, IR_I64, ip, 32));
    }
    x_raise_if(x, IR_LT, x->room, ir_i64(b, (int64_t)(uint32_t)(x->pc - b->pc) + x->i.len - 1), EXC_GP);
}

/* Beyond the limit nothing is fetched: the instruction there is not missing, but forbidden. */
static bool beyond_limit(const X86Xlate *x, uint64_t at)
{
    const X86Seg *cs = &x->cpu->seg[CS];
    return !cs_flat(x) && (uint32_t)(at - cs->base) > cs->limit;
}

/* Bytes of the next instruction; ahead only as far as the page goes, unless it crosses. */
static bool fetch(X86Xlate *x, bool first)
{
    unsigned have = 0;
    if (x->pc >= x->buf_pc && x->pc < x->buf_pc + x->buf_n)
        have = x->buf_pc + x->buf_n - x->pc;
    unsigned left = 4096 - (x->pc & 4095);
    if (have < 15 && have < left) {
        memset(x->buf, 0, sizeof(x->buf));
        x->buf_pc = x->pc;
        x->buf_n = isa_fetch(&x->cpu->cpu, x->b, x->pc, x->buf, MIN(sizeof(x->buf), left));
        have = x->buf_n;
        if (!have)
            isa_fetch8(&x->cpu->cpu, x->b, x->pc);
    }
    const uint8_t *p = x->buf + (x->pc - x->buf_pc);
    if (x86_decode(&x->i, p, have, x->code))
        return true;
    if (!first)
        return false;           /* the rest is on the next page: a unit of its own */
    uint8_t bytes[16] = {0};
    memcpy(bytes, p, MIN(have, 15));
    while (have < 15) {
        uint64_t at = x->code == 8 ? x->pc + have : (uint32_t)(x->pc + have);
        if (beyond_limit(x, at))
            x86_raise_gp(x->cpu, 0);
        bytes[have++] = isa_fetch8(&x->cpu->cpu, x->b, at);
        if (x86_decode(&x->i, bytes, have, x->code))
            return true;
    }
    x->i.row = NULL;            /* longer than 15 bytes */
    x->i.len = 16;
    return true;
}

static bool allowed(X86Xlate *x)
{
    const X86Row *row = x->i.row;
    if (!row || (row->feature >= 0 && !x86_has(x->cpu, row->feature))) {
        x_raise(x, x->i.len > 15 ? EXC_GP : EXC_UD, 0);
        return false;
    }
    if (x->i.vex && (!(x->mode & MODE_PE) || x->mode & MODE_VM)) {
        x_raise(x, EXC_UD, 0);
        return false;
    }
    if (row->flags & ROW_PRIV && x->mode & MODE_CPL) {
        x_raise(x, EXC_GP, 0);
        return false;
    }
    return true;
}

static void one(X86Xlate *x)
{
    x->next = x->code == 8 ? x->pc + x->i.len : (uint32_t)(x->pc + x->i.len);
    x->ea_done = false;
    ir_insn(x->b, x->pc);
    check_limit(x);
    if (x->mode & MODE_BP)
        x_call(x, &h_check_bp, 0, 0, 0, 0);
    if (allowed(x))
        x->i.row->fn(x);
}

static void write_cold(X86Xlate *x)
{
    for (unsigned k = 0; k < x->n_cold; k++) {
        X86Cold *c = &x->cold[k];
        ir_bind(x->b, c->label);
        IrRef pc = ir_pcrel(x->b, c->pc);
        if (c->vector < 0) {
            /* A retry is not yet a step. */
            if (special_exit(x) && c->vector == COLD_JUMP)
                leave_special(x, pc);
            else
                ir_goto_pc(x->b, c->pc);
        } else {
            ir_call(x->b, &h_raise_at, pc, ir_i64(x->b, c->vector), 0, 0);
            ir_resync(x->b, pc);
        }
    }
}

void x86_translate(Cpu *cpu, IrBuilder *b)
{
    X86Xlate x = {
        .cpu = x86_of(cpu), .b = b, .pc = b->pc, .lowest = b->pc, .end = b->pc, .mode = b->mode,
        .code = b->mode & MODE_CS64 ? 8 : b->mode & MODE_CS32 ? 4 : 2, .cc_op = CC_UNKNOWN,
    };
    bool single = b->single || x.mode & (MODE_TF | MODE_SHADOW | MODE_BP);
    uint64_t page = b->pc & ~0xfffull;
    if (beyond_limit(&x, b->pc))
        x86_raise_gp(x.cpu, 0);
    for (bool first = true; !x.done; first = false) {
        bool stop = !first && (single || ir_unit_full(b) || x.n_cold > X86_MAX_COLD - 12 ||
                               b->n_labels > IR_MAX_LABELS - 16 || (x.pc & ~0xfffull) != page);
        if (stop || !fetch(&x, first)) {
            x_goto(&x, x.pc);
            break;
        }
        one(&x);
        x.end = MAX(x.end, x.pc + MAX(x.i.len, 1));
        x.pc = x.next;
        if (single && !x.done) {
            x_goto(&x, x.pc);
        }
    }
    write_cold(&x);
    b->size = x.end - b->pc;
}
