/* SPDX-License-Identifier: Apache-2.0 */
/* x87: the stack, exceptions, control instructions and the way from translated code to them. Intel
 * SDM vol. 1 chapter 8. */
#include "target/x86/fpu.h"
#include "target/x86/translate.h"

/* ---- the stack ---- */

void fpu_set(X86Cpu *x, unsigned n, Fp80 v)
{
    X86St *s = fpu_st(x, n);
    s->frac = v.frac;
    s->se = v.se;
    x->fempty &= ~(1u << ((x->ftop + n) & 7));
}

void fpu_pop(X86Cpu *x)
{
    x->fempty |= 1u << x->ftop;
    x->ftop = (x->ftop + 1) & 7;
}

void fpu_push(X86Cpu *x, Fp80 v)
{
    x->ftop = (x->ftop - 1) & 7;
    fpu_set(x, 0, v);
}

/* ---- exceptions ---- */

Fpu fpu_begin(X86Cpu *x)
{
    static const uint8_t precisions[4] = {24, 0, 53, 0};
    return (Fpu){.x = x, .env = {.rules = &fp_rules_x87, .round = x->fcw >> 10 & 3,
                                 .x87_precision = precisions[x->fcw >> 8 & 3], .unmasked = ~x->fcw & 0x3f}};
}

static void stack_fault(Fpu *f, bool overflow)
{
    f->env.flags |= FP_INVALID;
    f->add |= FSW_SF | (overflow ? FSW_C1 : 0);
}

Fp80 fpu_read(Fpu *f, unsigned n)
{
    if (!fpu_empty(f->x, n))
        return fpu_get(f->x, n);
    stack_fault(f, false);
    return fp80_default_nan(&fp_rules_x87);
}

bool fpu_room(Fpu *f)
{
    if (fpu_empty(f->x, 7))
        return true;
    stack_fault(f, true);
    return false;
}

bool fpu_may_store(Fpu *f, bool memory)
{
    unsigned forbids = FSW_IE | FSW_DE | FSW_ZE | (memory ? FSW_OE | FSW_UE : 0);
    f->skip = f->env.flags & f->env.unmasked & forbids;
    if (f->skip && memory) {    /* nothing was rounded */
        f->env.flags &= ~FP_INEXACT;
        f->env.detail = 0;
    }
    return !f->skip;
}

void fpu_update_es(X86Cpu *x)
{
    x->fsw &= ~(FSW_ES | FSW_B);
    if (x->fsw & ~x->fcw & 0x3f)
        x->fsw |= FSW_ES | FSW_B;
}

void fpu_commit(Fpu *f)
{
    X86Cpu *x = f->x;
    if (f->add & FSW_SF)        /* nothing was computed */
        f->env.flags = FP_INVALID;
    if (f->env.flags & f->env.unmasked & (FP_INVALID | FP_DENORMAL | FP_DIVZERO)) {
        f->env.flags &= FP_INVALID | FP_DENORMAL | FP_DIVZERO;
        f->env.detail = 0;      /* stopped before the result was rounded */
    }
    uint16_t kept = f->keep_c1 && !(f->add & FSW_SF) ? x->fsw : x->fsw & ~FSW_C1;
    x->fsw = kept | f->env.flags | f->add;
    if (!(f->add & FSW_SF) && f->env.detail & FP_ROUNDED_UP)
        x->fsw |= FSW_C1;
    if (f->env.flags & f->env.unmasked)
        x->fsw |= FSW_ES | FSW_B;
}

void x86_fpu_wait(X86Cpu *x)
{
    if (!(x->fsw & FSW_ES))
        return;
    if (x->cr0 & CR0_NE)
        x86_raise(x, EXC_MF, 0);
    /* FERR# to the interrupt controller; the board answers as if with IGNNE#. */
    irq_set(&x->ferr, true);
}

void fpu_init(X86Cpu *x)
{
    x->fcw = 0x37f;
    x->fsw = 0;
    x->ftop = 0;
    x->fempty = 0xff;
    x->fop = x->fcs = x->fds = 0;
    x->fip = x->fdp = 0;
    irq_set(&x->ferr, false);
}

/* ---- control instructions ---- */

static void control(X86Cpu *x, unsigned opcode, unsigned modrm, uint64_t at, unsigned opsize)
{
    unsigned digit = modrm >> 3 & 7;
    bool mem = modrm < 0xc0;
    switch (opcode << 8 | (mem ? digit : modrm)) {
    case 0x104: fpu_load_env(x, at, opsize); break;
    case 0x106: fpu_store_env(x, at, opsize); break;
    case 0x504: fpu_restore(x, at, opsize); break;
    case 0x506: fpu_save(x, at, opsize); break;
    default: break;             /* fneni, fndisi, fnsetpm do nothing since the 80387 */
    }
}

/* ---- from translated code ---- */

enum { X87_CONTROL = 1, X87_NO_WAIT = 2 };

/* what: modrm | opcode & 7 << 8 | row's argument << 12 | operand size << 16 | segment << 20 */
static void x86_helper_x87(Cpu *cpu, uint64_t what, uint64_t at, uint64_t offset)
{
    X86Cpu *x = x86_of(cpu);
    unsigned modrm = what & 0xff, opcode = what >> 8 & 7, how = what >> 12 & 15;
    if (!(how & X87_NO_WAIT))
        x86_fpu_wait(x);
    if (how & X87_CONTROL) {
        control(x, opcode, modrm, at, what >> 16 & 15);
        return;
    }
    if (modrm < 0xc0)
        fpu_memory_op(x, opcode, modrm >> 3 & 7, at);
    else
        fpu_register_op(x, opcode, modrm);
    x->fip = x86_ip(x);
    x->fcs = x->seg[CS].sel;
    x->fop = opcode << 8 | modrm;
    if (modrm < 0xc0) {
        x->fdp = offset;
        x->fds = x->seg[what >> 20 & 7].sel;
    }
}
HELPER(x87, VOID, IR_H_ANY);

INSN(x87)
{
    X86Insn *i = &x->i;
    IrBuilder *b = x->b;
    if (x->mode & (MODE_EM | MODE_TS)) {
        x_raise(x, EXC_NM, 0);
        return;
    }
    unsigned opsize = i->op66 == (x->code == 2) ? 4 : 2;
    unsigned what = i->modrm | (i->opcode & 7) << 8 | i->row->arg << 12 | opsize << 16;
    IrRef at = 0, offset = 0;
    if (i->has_mem) {
        /* Limits: of the longest form that the row allows. */
        unsigned bytes = x_size(x, 0) ? x_size(x, 0) : (i->opcode & 7) == 1 ? opsize * 7 : opsize * 7 + 80;
        what |= (unsigned)x_segment(x) << 20;
        offset = x_offset(x);
        x_ea(x, bytes, false);
        at = x->ea_disp ? ir_addi(b, x->ea, x->ea_disp) : x->ea;
    }
    x_call(x, &h_x87, ir_i64(b, what), at ? at : ir_i64(b, 0), offset ? offset : ir_i64(b, 0), 0);
    /* fcomi and its kin write flags. */
    if (!i->has_mem && ((i->opcode & 3) == 3) && ((i->modrm >> 3 & 7) == 5 || (i->modrm >> 3 & 7) == 6))
        x_cc_unknown(x);
}
