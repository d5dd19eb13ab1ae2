/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, segment registers, far transfers, tasks. Intel SDM vol. 3A, chapters 3, 5, 6, 8. */
#include <inttypes.h>
#include <string.h>
#include "target/x86/cpu.h"
#include "util/log.h"

/* ---- descriptors ---- */

static uint32_t desc_limit(const uint32_t d[2])
{
    uint32_t limit = (d[0] & 0xffff) | (d[1] & 0xf0000);
    return d[1] & 1 << 23 ? limit << 12 | 0xfff : limit;
}

static uint32_t desc_base(const uint32_t d[2])
{
    return d[0] >> 16 | (d[1] & 0xff) << 16 | (d[1] & 0xff000000);
}

static uint16_t desc_attr(const uint32_t d[2]) { return d[1] >> 8 & 0xf0ff; }

/* Type of a system segment, or 16 + type of a code or data segment. */
static unsigned desc_type(const uint32_t d[2]) { return d[1] >> 8 & 31; }

void x86_seg_bounds(X86Seg *s, bool protected_mode)
{
    bool usable = !protected_mode || s->attr & ATTR_P;
    bool code = s->attr & ATTR_CODE;
    s->lo = 0;
    s->rd = s->wr = s->limit;
    if (!protected_mode)
        return;
    if (!usable || !(s->attr & ATTR_S)) {
        s->rd = s->wr = -1;
        return;
    }
    if (!code && s->attr & ATTR_E) {
        s->lo = (int64_t)s->limit + 1;
        s->rd = s->wr = s->attr & ATTR_DB ? 0xffffffff : 0xffff;
    }
    if (code && !(s->attr & ATTR_R))
        s->rd = -1;
    if (code || !(s->attr & ATTR_W))
        s->wr = -1;
}

void x86_cache_from(X86Seg *s, uint16_t sel, const uint32_t d[2])
{
    s->sel = sel;
    s->base = desc_base(d);
    s->limit = desc_limit(d);
    s->attr = desc_attr(d);
}

void x86_load_seg_cache(X86Cpu *x, int seg, uint16_t sel, uint64_t base, uint32_t limit, uint16_t attr)
{
    X86Seg *s = &x->seg[seg];
    s->sel = sel;
    s->base = base;
    s->limit = limit;
    s->attr = attr;
    x86_seg_bounds(s, x86_protected(x) && !x86_vm86(x));
}

/* Address of the descriptor, or false when the selector lies outside its table. */
static bool desc_address(const X86Cpu *x, uint16_t sel, unsigned bytes, uint64_t *at)
{
    uint64_t base = sel & 4 ? x->ldt.base : x->gdt.base;
    uint32_t limit = sel & 4 ? x->ldt.limit : x->gdt.limit;
    if (sel & 4 && !(x->ldt.attr & ATTR_P))
        return false;
    if ((uint32_t)(sel & ~7) + bytes - 1 > limit)
        return false;
    *at = base + (sel & ~7);
    return true;
}

bool x86_fetch_descriptor(X86Cpu *x, uint16_t sel, uint32_t d[2])
{
    uint64_t at, v;
    if (!desc_address(x, sel, 8, &at))
        return false;
    v = cpu_load(&x->cpu, at, IR_M64 | IR_MMU(MMU_SYSTEM));
    d[0] = v;
    d[1] = v >> 32;
    return true;
}

static void need_descriptor(X86Cpu *x, uint16_t sel, uint32_t d[2], int vector)
{
    if (!(sel & ~3) || !x86_fetch_descriptor(x, sel, d))
        x86_raise(x, vector, sel & ~3);
}

static void set_desc_bit(X86Cpu *x, uint16_t sel, uint32_t d[2], uint32_t bit, bool on)
{
    uint64_t at;
    if (!desc_address(x, sel, 8, &at))
        return;
    uint32_t want = on ? d[1] | bit : d[1] & ~bit;
    if (want == d[1])
        return;
    if (on)
        cpu_rmw(&x->cpu, at + 4, IR_RMW_OR, bit, IR_M32 | IR_MMU(MMU_SYSTEM));
    else
        cpu_rmw(&x->cpu, at + 4, IR_RMW_AND, ~bit, IR_M32 | IR_MMU(MMU_SYSTEM));
    d[1] = want;
}

static void set_accessed(X86Cpu *x, uint16_t sel, uint32_t d[2]) { set_desc_bit(x, sel, d, 1 << 8, true); }

/* ---- loading data segments ---- */

void x86_load_seg_real(X86Cpu *x, int seg, uint16_t sel)
{
    X86Seg *s = &x->seg[seg];
    s->sel = sel;
    s->base = sel << 4;
    if (x86_vm86(x)) {
        s->limit = 0xffff;
        s->attr = 0xf3;
    } else if (!(s->attr & ATTR_P) || seg == CS) {
        s->attr = 0x93;         /* limits stay: "unreal" mode */
    }
    x86_seg_bounds(s, false);
}

static void load_null(X86Cpu *x, int seg, uint16_t sel)
{
    X86Seg *s = &x->seg[seg];
    s->sel = sel;
    s->base = 0;
    s->limit = 0;
    s->attr = seg == SS ? (sel & 3) << ATTR_DPL_SHIFT | 0 : 0;
    x86_seg_bounds(s, true);
}

static void load_stack_seg(X86Cpu *x, uint16_t sel, unsigned cpl, int vector)
{
    uint32_t d[2];
    if (!(sel & ~3)) {
        if (!x86_code64(x) || cpl == 3 || (sel & 3) != cpl)
            x86_raise(x, vector, 0);
        load_null(x, SS, sel);
        return;
    }
    need_descriptor(x, sel, d, vector);
    unsigned type = desc_type(d), dpl = d[1] >> 13 & 3;
    if ((sel & 3) != cpl || (type & 0x1a) != 0x12 || dpl != cpl)
        x86_raise(x, vector, sel & ~3);
    if (!(d[1] & 1 << 15))
        x86_raise(x, EXC_SS, sel & ~3);
    set_accessed(x, sel, d);
    x86_cache_from(&x->seg[SS], sel, d);
    x86_seg_bounds(&x->seg[SS], true);
}

static void load_data_seg(X86Cpu *x, int seg, uint16_t sel, int vector)
{
    uint32_t d[2];
    if (!(sel & ~3)) {
        load_null(x, seg, sel);
        return;
    }
    need_descriptor(x, sel, d, vector);
    unsigned type = desc_type(d), dpl = d[1] >> 13 & 3, cpl = x86_cpl(x);
    bool readable = type & 16 && (!(type & 8) || type & 2);
    bool conforming = (type & 0x1c) == 0x1c;
    if (!readable || (!conforming && (dpl < cpl || dpl < (sel & 3u))))
        x86_raise(x, vector, sel & ~3);
    if (!(d[1] & 1 << 15))
        x86_raise(x, EXC_NP, sel & ~3);
    set_accessed(x, sel, d);
    x86_cache_from(&x->seg[seg], sel, d);
    x86_seg_bounds(&x->seg[seg], true);
}

void x86_load_seg(X86Cpu *x, int seg, uint16_t sel)
{
    if (!x86_protected(x) || x86_vm86(x))
        x86_load_seg_real(x, seg, sel);
    else if (seg == SS)
        load_stack_seg(x, sel, x86_cpl(x), EXC_GP);
    else
        load_data_seg(x, seg, sel, EXC_GP);
    x86_update_mode(x);
}

/* Descriptors of system segments have 16 bytes in long mode: bits 63-32 of the base. */
static uint64_t system_base_high(X86Cpu *x, uint16_t sel)
{
    uint64_t at;
    if (!x86_long(x))
        return 0;
    if (!desc_address(x, sel, 16, &at))
        x86_raise_gp(x, sel & ~3);
    return cpu_load(&x->cpu, at + 8, IR_M32 | IR_MMU(MMU_SYSTEM));
}

void x86_load_ldt(X86Cpu *x, uint16_t sel)
{
    uint32_t d[2];
    if (!(sel & ~3)) {
        x->ldt = (X86Seg){.sel = sel};
        return;
    }
    if (sel & 4)
        x86_raise_gp(x, sel & ~3);
    need_descriptor(x, sel, d, EXC_GP);
    if (desc_type(d) != 2)
        x86_raise_gp(x, sel & ~3);
    if (!(d[1] & 1 << 15))
        x86_raise(x, EXC_NP, sel & ~3);
    uint64_t high = system_base_high(x, sel);
    x86_cache_from(&x->ldt, sel, d);
    x->ldt.base |= high << 32;
}

void x86_load_tr(X86Cpu *x, uint16_t sel)
{
    uint32_t d[2];
    if (!(sel & ~3) || sel & 4)
        x86_raise_gp(x, sel & ~3);
    need_descriptor(x, sel, d, EXC_GP);
    unsigned type = desc_type(d);
    if (type != 9 && (type != 1 || x86_long(x)))
        x86_raise_gp(x, sel & ~3);
    if (!(d[1] & 1 << 15))
        x86_raise(x, EXC_NP, sel & ~3);
    uint64_t high = system_base_high(x, sel);
    set_desc_bit(x, sel, d, 1 << 9, true);
    x86_cache_from(&x->tr, sel, d);
    x->tr.base |= high << 32;
}

/* ---- stacks ---- */

static uint64_t stack_mask(const X86Cpu *x, uint16_t ss_attr)
{
    return x86_code64(x) ? ~0ull : ss_attr & ATTR_DB ? 0xffffffff : 0xffff;
}

X86Stack x86_stack(X86Cpu *x)
{
    bool flat = x86_code64(x);
    return (X86Stack){.x = x, .base = flat ? 0 : x->seg[SS].base, .sp = x->regs[RSP],
                      .mask = stack_mask(x, x->seg[SS].attr), .seg = flat ? NULL : &x->seg[SS],
                      .mmu = MMU_CURRENT, .vector = EXC_SS};
}

static uint64_t stack_address(X86Stack *s, uint64_t offset, unsigned size, bool write)
{
    offset &= s->mask;
    if (s->seg) {
        int64_t first = offset, last = offset + size - 1;
        if (first < s->seg->lo || last > (write ? s->seg->wr : s->seg->rd))
            x86_raise(s->x, s->vector, s->error);
        return (uint32_t)(s->base + offset);
    }
    if (!x86_canonical(s->x, offset))
        x86_raise(s->x, s->vector, s->error);
    return offset;
}

void x86_stack_push(X86Stack *s, unsigned size, uint64_t v)
{
    uint64_t sp = s->sp - size;
    cpu_store(&s->x->cpu, stack_address(s, sp, size, true), v, __builtin_ctz(size) | IR_MMU(s->mmu));
    s->sp = (s->sp & ~s->mask) | (sp & s->mask);
}

uint64_t x86_stack_pop(X86Stack *s, unsigned size)
{
    uint64_t v = cpu_load(&s->x->cpu, stack_address(s, s->sp, size, false),
                          __builtin_ctz(size) | IR_MMU(s->mmu));
    s->sp = (s->sp & ~s->mask) | ((s->sp + size) & s->mask);
    return v;
}

void x86_stack_commit(X86Stack *s)
{
    uint64_t *sp = &s->x->regs[RSP];
    if (s->mask == 0xffff)
        *sp = (*sp & ~0xffffull) | (s->sp & 0xffff);
    else
        *sp = s->sp & s->mask;
}

/* ---- tasks ---- */

void x86_tss_stack(X86Cpu *x, unsigned cpl, uint16_t *ss, uint64_t *sp)
{
    bool wide = x->tr.attr & 8;
    unsigned at = wide ? 4 + 8 * cpl : 2 + 4 * cpl, size = wide ? 4 : 2;
    if (!(x->tr.attr & ATTR_P) || at + size + 1 > x->tr.limit)
        x86_raise(x, EXC_TS, x->tr.sel & ~3);
    *sp = cpu_load(&x->cpu, x->tr.base + at, (wide ? IR_M32 : IR_M16) | IR_MMU(MMU_SYSTEM));
    *ss = cpu_load(&x->cpu, x->tr.base + at + size, IR_M16 | IR_MMU(MMU_SYSTEM));
}

static uint64_t tss_load(X86Cpu *x, uint64_t base, unsigned at, unsigned mop)
{
    return cpu_load(&x->cpu, base + at, mop | IR_MMU(MMU_SYSTEM));
}

static void tss_store(X86Cpu *x, uint64_t base, unsigned at, uint64_t v, unsigned mop)
{
    cpu_store(&x->cpu, base + at, v, mop | IR_MMU(MMU_SYSTEM));
}

static const uint8_t tss_seg_order[6] = {ES, CS, SS, DS, FS, GS};

static void save_task(X86Cpu *x, uint64_t next_ip, uint32_t eflags)
{
    uint64_t base = x->tr.base;
    if (x->tr.attr & 8) {
        tss_store(x, base, 0x20, next_ip, IR_M32);
        tss_store(x, base, 0x24, eflags, IR_M32);
        for (unsigned n = 0; n < 8; n++)
            tss_store(x, base, 0x28 + 4 * n, x->regs[n], IR_M32);
        for (unsigned n = 0; n < 6; n++)
            tss_store(x, base, 0x48 + 4 * n, x->seg[tss_seg_order[n]].sel, IR_M16);
    } else {
        tss_store(x, base, 0x0e, next_ip, IR_M16);
        tss_store(x, base, 0x10, eflags, IR_M16);
        for (unsigned n = 0; n < 8; n++)
            tss_store(x, base, 0x12 + 2 * n, x->regs[n], IR_M16);
        for (unsigned n = 0; n < 4; n++)
            tss_store(x, base, 0x22 + 2 * n, x->seg[tss_seg_order[n]].sel, IR_M16);
    }
}

typedef struct NewTask {
    uint32_t cr3, ip, flags, regs[8];
    uint16_t seg[6], ldt;
    bool trap;
} NewTask;

static NewTask load_task(X86Cpu *x, uint64_t base, bool wide)
{
    NewTask t = {0};
    if (wide) {
        t.cr3 = tss_load(x, base, 0x1c, IR_M32);
        t.ip = tss_load(x, base, 0x20, IR_M32);
        t.flags = tss_load(x, base, 0x24, IR_M32);
        for (unsigned n = 0; n < 8; n++)
            t.regs[n] = tss_load(x, base, 0x28 + 4 * n, IR_M32);
        for (unsigned n = 0; n < 6; n++)
            t.seg[n] = tss_load(x, base, 0x48 + 4 * n, IR_M16);
        t.ldt = tss_load(x, base, 0x60, IR_M16);
        t.trap = tss_load(x, base, 0x64, IR_M16) & 1;
    } else {
        t.ip = tss_load(x, base, 0x0e, IR_M16);
        t.flags = tss_load(x, base, 0x10, IR_M16);
        for (unsigned n = 0; n < 8; n++)
            t.regs[n] = tss_load(x, base, 0x12 + 2 * n, IR_M16) | 0xffff0000;
        for (unsigned n = 0; n < 4; n++)
            t.seg[n] = tss_load(x, base, 0x22 + 2 * n, IR_M16);
        t.ldt = tss_load(x, base, 0x2a, IR_M16);
    }
    return t;
}

/* Segment registers of the new task; faults are #TS in its context. */
static void load_task_segments(X86Cpu *x, const NewTask *t)
{
    if (t->flags & FLAG_VM) {
        for (unsigned n = 0; n < 6; n++)
            x86_load_seg_real(x, n, t->seg[n]);
        x86_update_mode(x);
        return;
    }
    uint32_t d[2];
    uint16_t cs = t->seg[CS];
    unsigned cpl = cs & 3;
    need_descriptor(x, cs, d, EXC_TS);
    unsigned type = desc_type(d), dpl = d[1] >> 13 & 3;
    if ((type & 0x18) != 0x18 || (type & 4 ? dpl > cpl : dpl != cpl))
        x86_raise(x, EXC_TS, cs & ~3);
    if (!(d[1] & 1 << 15))
        x86_raise(x, EXC_NP, cs & ~3);
    x86_cache_from(&x->seg[CS], cs, d);
    x86_seg_bounds(&x->seg[CS], true);
    x->cpu.mode = (x->cpu.mode & ~MODE_CPL) | cpl;
    load_stack_seg(x, t->seg[SS], cpl, EXC_TS);
    x86_update_mode(x);
    static const uint8_t data[4] = {ES, DS, FS, GS};
    for (unsigned n = 0; n < 4; n++)
        load_data_seg(x, data[n], t->seg[data[n]], EXC_TS);
}

void x86_task_switch(X86Cpu *x, uint16_t sel, const uint32_t desc[2], int how, uint64_t next_ip)
{
    uint32_t d[2] = {desc[0], desc[1]}, old[2];
    unsigned type = desc_type(d);
    bool wide = type & 8;
    uint32_t need = wide ? 103 : 43, flags = x86_get_eflags(x);
    if (!(d[1] & 1 << 15))
        x86_raise(x, EXC_NP, sel & ~3);
    if (desc_limit(d) < need || sel & 4)
        x86_raise(x, EXC_TS, sel & ~3);
    uint64_t base = desc_base(d);
    uint16_t old_sel = x->tr.sel;
    NewTask t = load_task(x, base, wide);
    if (how != TASK_CALL && x86_fetch_descriptor(x, old_sel, old))
        set_desc_bit(x, old_sel, old, 1 << 9, false);
    if (how == TASK_IRET)
        flags &= ~FLAG_NT;
    save_task(x, next_ip, flags);
    if (how == TASK_CALL) {
        tss_store(x, base, 0, old_sel, IR_M16);
        t.flags |= FLAG_NT;
    }
    if (how != TASK_IRET)
        set_desc_bit(x, sel, d, 1 << 9, true);
    x->cr0 |= CR0_TS;
    d[1] |= 1 << 9;
    x86_cache_from(&x->tr, sel, d);
    if (x->cr0 & CR0_PG && wide)
        x86_write_cr3(x, t.cr3);
    for (unsigned n = 0; n < 8; n++)
        x->regs[n] = t.regs[n];
    uint32_t mask = wide ? 0x3f7fd7 : 0x7fd7;
    for (unsigned n = 0; n < 6; n++) {          /* selectors first: faults report them */
        x->seg[n] = (X86Seg){.sel = t.seg[n], .attr = n == CS || n == SS ? x->seg[n].attr : 0};
        x86_seg_bounds(&x->seg[n], true);
    }
    x->seg[CS].limit = 0xffffffff;
    x->dr[7] &= ~0x155ull;
    x86_update_watchpoints(x);
    x86_set_arith(x, t.flags);
    x->eflags = t.flags & mask & ~(FLAGS_ARITH | FLAG_1);
    x->cpu.pc = t.ip;
    x->ldt = (X86Seg){.sel = t.ldt};
    x86_update_mode(x);
    if (t.ldt & ~3) {
        uint32_t l[2];
        if (t.ldt & 4 || !x86_fetch_descriptor(x, t.ldt, l) || desc_type(l) != 2 || !(l[1] & 1 << 15))
            x86_raise(x, EXC_TS, t.ldt & ~3);
        x86_cache_from(&x->ldt, t.ldt, l);
    }
    load_task_segments(x, &t);
    x86_update_mode(x);
    x->cpu.pc = x86_linear_pc(x, t.ip);
    if (t.trap) {
        x->dr6_pending |= 1 << 15;
        x86_raise(x, EXC_DB, 0);
    }
}

/* ---- far transfers ---- */

static void set_cs_real(X86Cpu *x, uint16_t sel, uint64_t ip)
{
    x86_load_seg_real(x, CS, sel);
    x86_update_mode(x);
    x->cpu.pc = x86_linear_pc(x, ip);
}

void x86_set_cs(X86Cpu *x, uint16_t sel, uint32_t d[2], unsigned cpl, uint64_t ip)
{
    set_accessed(x, sel, d);
    x86_cache_from(&x->seg[CS], (sel & ~3) | cpl, d);
    x86_seg_bounds(&x->seg[CS], true);
    x->cpu.mode = (x->cpu.mode & ~MODE_CPL) | cpl;
    x86_update_mode(x);
    x->cpu.pc = x86_linear_pc(x, ip);
}

static bool is_code(const uint32_t d[2]) { return (desc_type(d) & 0x18) == 0x18; }
static bool is_conforming(const uint32_t d[2]) { return d[1] & 1 << 10; }
static unsigned dpl_of(const uint32_t d[2]) { return d[1] >> 13 & 3; }
static bool is_present(const uint32_t d[2]) { return d[1] & 1 << 15; }

/* A code segment of 64-bit mode has L and not D. */
static void check_long_code(X86Cpu *x, uint16_t sel, const uint32_t d[2], int vector)
{
    if (x86_long(x) && d[1] & 1 << 21 && d[1] & 1 << 22)
        x86_raise(x, vector, sel & ~3);
}

static void check_ip(X86Cpu *x, const uint32_t d[2], uint64_t ip, bool wide_code)
{
    if (wide_code ? !x86_canonical(x, ip) : ip > desc_limit(d))
        x86_raise_gp(x, 0);
}

static bool goes_long(const X86Cpu *x, const uint32_t d[2]) { return x86_long(x) && d[1] & 1 << 21; }

static void check_direct(X86Cpu *x, uint16_t sel, const uint32_t d[2])
{
    unsigned cpl = x86_cpl(x), dpl = dpl_of(d);
    check_long_code(x, sel, d, EXC_GP);
    if (is_conforming(d) ? dpl > cpl : dpl != cpl || (sel & 3u) > cpl)
        x86_raise_gp(x, sel & ~3);
    if (!is_present(d))
        x86_raise(x, EXC_NP, sel & ~3);
}

typedef struct Gate {
    uint16_t sel;
    uint64_t ip;
    unsigned params, size;      /* bytes of an operand */
} Gate;

static Gate read_gate(X86Cpu *x, uint16_t sel, const uint32_t d[2])
{
    unsigned type = desc_type(d), cpl = x86_cpl(x);
    if (dpl_of(d) < cpl || dpl_of(d) < (sel & 3u))
        x86_raise_gp(x, sel & ~3);
    if (!is_present(d))
        x86_raise(x, EXC_NP, sel & ~3);
    Gate g = {.sel = d[0] >> 16, .ip = (d[0] & 0xffff) | (d[1] & 0xffff0000), .params = d[1] & 31,
              .size = type & 8 ? 4 : 2};
    if (g.size == 2)
        g.ip &= 0xffff;
    if (x86_long(x)) {
        uint64_t at;
        if (type != 12 || !desc_address(x, sel, 16, &at))
            x86_raise_gp(x, sel & ~3);
        uint64_t high = cpu_load(&x->cpu, at + 8, IR_M64 | IR_MMU(MMU_SYSTEM));
        if (high >> 40 & 31)
            x86_raise_gp(x, sel & ~3);
        g.ip |= high << 32;
        g.size = 8;
        g.params = 0;
    }
    return g;
}

/* The code segment behind a gate. */
static void gate_target(X86Cpu *x, const Gate *g, uint32_t d[2])
{
    need_descriptor(x, g->sel, d, EXC_GP);
    if (!is_code(d) || dpl_of(d) > x86_cpl(x) ||
        (x86_long(x) && (!(d[1] & 1 << 21) || d[1] & 1 << 22)))
        x86_raise_gp(x, g->sel & ~3);
    if (!is_present(d))
        x86_raise(x, EXC_NP, g->sel & ~3);
}

static bool is_tss(unsigned type) { return type == 1 || type == 9; }

static void to_task(X86Cpu *x, uint16_t sel, uint32_t d[2], int how, uint64_t next_ip)
{
    unsigned type = desc_type(d);
    if (x86_long(x))
        x86_raise_gp(x, sel & ~3);
    if (dpl_of(d) < x86_cpl(x) || dpl_of(d) < (sel & 3u))
        x86_raise_gp(x, sel & ~3);
    if (type == 5) {
        if (!is_present(d))
            x86_raise(x, EXC_NP, sel & ~3);
        sel = d[0] >> 16;
        if (sel & 4)
            x86_raise_gp(x, sel & ~3);
        need_descriptor(x, sel, d, EXC_GP);
        if (!is_tss(desc_type(d)))
            x86_raise_gp(x, sel & ~3);
    }
    x86_task_switch(x, sel, d, how, next_ip);
}

static void log_far(const X86Cpu *x, const char *what, uint16_t sel, uint64_t ip)
{
    if (log_on(LOG_PCALL))
        log_write("x86 cpu %u: %s %04x:%" PRIx64 " from %04x:%" PRIx64 " cpl %u\n", x->cpu.index, what, sel, ip,
                  x->seg[CS].sel, x86_ip(x), x86_cpl(x));
}

void x86_far_jump(X86Cpu *x, uint16_t sel, uint64_t ip, unsigned size, uint64_t next_ip)
{
    uint32_t d[2];
    log_far(x, "far jump to", sel, ip);
    if (!x86_protected(x) || x86_vm86(x)) {
        if (ip > x->seg[CS].limit)
            x86_raise_gp(x, 0);
        set_cs_real(x, sel, ip);
        return;
    }
    need_descriptor(x, sel, d, EXC_GP);
    if (is_code(d)) {
        check_direct(x, sel, d);
        check_ip(x, d, ip, goes_long(x, d));
        x86_set_cs(x, sel, d, x86_cpl(x), ip);
        return;
    }
    unsigned type = desc_type(d);
    if (type == 12 || (type == 4 && !x86_long(x))) {
        Gate g = read_gate(x, sel, d);
        gate_target(x, &g, d);
        if (!is_conforming(d) && dpl_of(d) != x86_cpl(x))
            x86_raise_gp(x, g.sel & ~3);
        check_ip(x, d, g.ip, goes_long(x, d));
        x86_set_cs(x, g.sel, d, x86_cpl(x), g.ip);
    } else if (is_tss(type) || type == 5) {
        to_task(x, sel, d, TASK_JMP, next_ip);
    } else {
        x86_raise_gp(x, sel & ~3);
    }
}

static void push_return(X86Cpu *x, unsigned size, uint64_t next_ip)
{
    X86Stack s = x86_stack(x);
    x86_stack_push(&s, size, x->seg[CS].sel);
    x86_stack_push(&s, size, next_ip);
    x86_stack_commit(&s);
}

/* The stack of an inner ring, checked; fills the segment to load and its stack. */
X86Stack x86_inner_stack(X86Cpu *x, unsigned cpl, X86Seg *seg)
{
    uint16_t ss;
    uint64_t sp;
    uint32_t d[2];
    if (x86_long(x)) {
        if (4 + 8 * cpl + 7 > x->tr.limit)
            x86_raise(x, EXC_TS, x->tr.sel & ~3);
        sp = cpu_load(&x->cpu, x->tr.base + 4 + 8 * cpl, IR_M64 | IR_MMU(MMU_SYSTEM));
        *seg = (X86Seg){.sel = cpl, .attr = cpl << ATTR_DPL_SHIFT};
        x86_seg_bounds(seg, true);
        return (X86Stack){.x = x, .sp = sp, .mask = ~0ull, .mmu = MMU_SYSTEM, .vector = EXC_SS};
    }
    x86_tss_stack(x, cpl, &ss, &sp);
    if (!(ss & ~3))
        x86_raise(x, EXC_TS, ss & ~3);
    need_descriptor(x, ss, d, EXC_TS);
    if ((ss & 3u) != cpl || dpl_of(d) != cpl || (desc_type(d) & 0x1a) != 0x12)
        x86_raise(x, EXC_TS, ss & ~3);
    if (!is_present(d))
        x86_raise(x, EXC_SS, ss & ~3);
    x86_cache_from(seg, ss, d);
    x86_seg_bounds(seg, true);
    return (X86Stack){.x = x, .base = seg->base, .sp = sp, .mask = seg->attr & ATTR_DB ? 0xffffffff : 0xffff,
                      .seg = seg, .mmu = MMU_SYSTEM, .vector = EXC_SS, .error = ss & ~3};
}

static void call_inner(X86Cpu *x, const Gate *g, uint32_t d[2], uint64_t next_ip)
{
    unsigned cpl = dpl_of(d);
    X86Seg ss;
    X86Stack old = x86_stack(x), new_stack = x86_inner_stack(x, cpl, &ss);
    uint64_t params[32];
    for (unsigned n = 0; n < g->params; n++)
        params[n] = x86_stack_pop(&old, g->size);
    x86_stack_push(&new_stack, g->size, x->seg[SS].sel);
    x86_stack_push(&new_stack, g->size, x->regs[RSP]);
    for (unsigned n = g->params; n-- > 0; )
        x86_stack_push(&new_stack, g->size, params[n]);
    x86_stack_push(&new_stack, g->size, x->seg[CS].sel);
    x86_stack_push(&new_stack, g->size, next_ip);
    check_ip(x, d, g->ip, goes_long(x, d));
    x86_set_cs(x, g->sel, d, cpl, g->ip);
    x->seg[SS] = ss;
    x86_stack_commit(&new_stack);
    x86_update_mode(x);
}

void x86_far_call(X86Cpu *x, uint16_t sel, uint64_t ip, unsigned size, uint64_t next_ip)
{
    uint32_t d[2];
    log_far(x, "far call to", sel, ip);
    if (!x86_protected(x) || x86_vm86(x)) {
        if (ip > x->seg[CS].limit)
            x86_raise_gp(x, 0);
        push_return(x, size, next_ip);
        set_cs_real(x, sel, ip);
        return;
    }
    need_descriptor(x, sel, d, EXC_GP);
    if (is_code(d)) {
        check_direct(x, sel, d);
        check_ip(x, d, ip, goes_long(x, d));
        push_return(x, size, next_ip);
        x86_set_cs(x, sel, d, x86_cpl(x), ip);
        return;
    }
    unsigned type = desc_type(d);
    if (type == 12 || (type == 4 && !x86_long(x))) {
        Gate g = read_gate(x, sel, d);
        gate_target(x, &g, d);
        if (!is_conforming(d) && dpl_of(d) < x86_cpl(x)) {
            call_inner(x, &g, d, next_ip);
        } else {
            check_ip(x, d, g.ip, goes_long(x, d));
            push_return(x, g.size, next_ip);
            x86_set_cs(x, g.sel, d, x86_cpl(x), g.ip);
        }
    } else if (is_tss(type) || type == 5) {
        to_task(x, sel, d, TASK_CALL, next_ip);
    } else {
        x86_raise_gp(x, sel & ~3);
    }
}

/* Data segments that an outer ring may not use are emptied. */
static void drop_inner_data(X86Cpu *x, unsigned cpl)
{
    static const uint8_t data[4] = {ES, DS, FS, GS};
    for (unsigned n = 0; n < 4; n++) {
        X86Seg *s = &x->seg[data[n]];
        bool conforming = (s->attr & 0x1c) == 0x1c;
        if (s->attr & ATTR_P && !conforming && ATTR_DPL(s->attr) < cpl) {
            /* In 64-bit mode the bases of fs and gs survive a null selector. */
            uint64_t base = s->base;
            load_null(x, data[n], 0);
            if (x86_long(x) && data[n] >= FS)
                s->base = base;
        }
    }
}

/* Pops cs:ip already done; returns to it, to an outer ring if rpl says so. */
static void return_to(X86Cpu *x, X86Stack *s, uint16_t sel, uint64_t ip, unsigned size, unsigned drop,
                      bool always_stack)
{
    uint32_t d[2];
    unsigned rpl = sel & 3, cpl = x86_cpl(x);
    need_descriptor(x, sel, d, EXC_GP);
    check_long_code(x, sel, d, EXC_GP);
    if (!is_code(d) || rpl < cpl || (is_conforming(d) ? dpl_of(d) > rpl : dpl_of(d) != rpl))
        x86_raise_gp(x, sel & ~3);
    if (!is_present(d))
        x86_raise(x, EXC_NP, sel & ~3);
    s->sp = (s->sp & ~s->mask) | ((s->sp + drop) & s->mask);
    if (rpl == cpl && !always_stack) {
        check_ip(x, d, ip, goes_long(x, d));
        x86_stack_commit(s);
        x86_set_cs(x, sel, d, cpl, ip);
        return;
    }
    uint64_t sp = x86_stack_pop(s, size);
    uint16_t ss = x86_stack_pop(s, size);
    X86Seg seg;
    if (!(ss & ~3)) {
        if (!goes_long(x, d) || rpl == 3 || (ss & 3u) != rpl)
            x86_raise_gp(x, 0);
        seg = (X86Seg){.sel = ss, .attr = rpl << ATTR_DPL_SHIFT};
    } else {
        uint32_t sd[2];
        need_descriptor(x, ss, sd, EXC_GP);
        if ((ss & 3u) != rpl || (desc_type(sd) & 0x1a) != 0x12 || dpl_of(sd) != rpl)
            x86_raise_gp(x, ss & ~3);
        if (!is_present(sd))
            x86_raise(x, EXC_SS, ss & ~3);
        set_accessed(x, ss, sd);
        x86_cache_from(&seg, ss, sd);
    }
    check_ip(x, d, ip, goes_long(x, d));
    x86_seg_bounds(&seg, true);
    x->seg[SS] = seg;
    x86_set_cs(x, sel, d, rpl, ip);
    uint64_t mask = stack_mask(x, seg.attr);
    sp += drop;
    x->regs[RSP] = mask == 0xffff ? (x->regs[RSP] & ~0xffffull) | (sp & 0xffff) : sp & mask;
    if (rpl != cpl)
        drop_inner_data(x, rpl);
    x86_update_mode(x);
}

void x86_far_ret(X86Cpu *x, unsigned size, unsigned drop)
{
    X86Stack s = x86_stack(x);
    uint64_t ip = x86_stack_pop(&s, size);
    uint16_t sel = x86_stack_pop(&s, size);
    log_far(x, "far return to", sel, ip);
    if (!x86_protected(x) || x86_vm86(x)) {
        if (ip > x->seg[CS].limit)
            x86_raise_gp(x, 0);
        s.sp = (s.sp & ~s.mask) | ((s.sp + drop) & s.mask);
        x86_stack_commit(&s);
        set_cs_real(x, sel, ip);
        return;
    }
    return_to(x, &s, sel, ip, size, drop, false);
}

/* ---- iret ---- */

static uint32_t iret_flags(const X86Cpu *x, unsigned size, unsigned cpl)
{
    uint32_t mask = FLAGS_ARITH | FLAG_T | FLAG_D | FLAG_NT | FLAG_R | FLAG_AC | FLAG_ID;
    if (cpl == 0)
        mask |= FLAG_IOPL | FLAG_VIF | FLAG_VIP;
    if (cpl <= (x->eflags & FLAG_IOPL) >> 12)
        mask |= FLAG_I;
    return size == 2 ? mask & 0xffff : mask;
}

static void apply_flags(X86Cpu *x, uint32_t v, uint32_t mask)
{
    x86_set_eflags(x, (x86_get_eflags(x) & ~mask) | (v & mask));
}

static void iret_to_vm86(X86Cpu *x, X86Stack *s, uint16_t cs, uint64_t ip, uint32_t flags)
{
    uint64_t sp = x86_stack_pop(s, 4);
    uint16_t seg[6];
    static const uint8_t order[5] = {SS, ES, DS, FS, GS};
    for (unsigned n = 0; n < 5; n++)
        seg[order[n]] = x86_stack_pop(s, 4);
    seg[CS] = cs;
    x86_set_arith(x, flags);
    x->eflags = flags & 0x3f7fff & ~(FLAGS_ARITH | FLAG_1);
    for (unsigned n = 0; n < 6; n++)
        x86_load_seg_real(x, n, seg[n]);
    x->regs[RSP] = sp;
    x86_update_mode(x);
    x->cpu.pc = x86_linear_pc(x, ip & 0xffff);
}

static void iret_real(X86Cpu *x, unsigned size)
{
    bool shared = x86_vm86(x) && (x->eflags & FLAG_IOPL) != FLAG_IOPL;
    if (shared && (size != 2 || !(x->cr4 & CR4_VME)))
        x86_raise_gp(x, 0);
    X86Stack s = x86_stack(x);
    uint64_t ip = x86_stack_pop(&s, size);
    uint16_t sel = x86_stack_pop(&s, size);
    uint32_t flags = x86_stack_pop(&s, size), mask = size == 2 ? 0x7fff : 0x257fff;
    if (ip > x->seg[CS].limit || (shared && (flags & FLAG_T || (flags & FLAG_I && x->eflags & FLAG_VIP))))
        x86_raise_gp(x, 0);
    if (x86_vm86(x))
        mask &= ~FLAG_IOPL;
    if (shared) {
        mask = (mask & ~FLAG_I) | FLAG_VIF;
        flags = (flags & 0xffff) | (flags & FLAG_I) << 10;
    }
    x86_stack_commit(&s);
    set_cs_real(x, sel, ip);
    apply_flags(x, flags, mask & ~FLAG_1);
    x->cpu.pc = x86_linear_pc(x, ip);
}

void x86_iret(X86Cpu *x, unsigned size, uint64_t next_ip)
{
    x->nmi_masked = false;
    if (!x86_protected(x) || x86_vm86(x)) {
        iret_real(x, size);
        return;
    }
    if (x->eflags & FLAG_NT) {
        uint32_t d[2];
        if (x86_long(x))
            x86_raise_gp(x, 0);
        uint16_t sel = cpu_load(&x->cpu, x->tr.base, IR_M16 | IR_MMU(MMU_SYSTEM));
        if (sel & 4 || !x86_fetch_descriptor(x, sel, d) || (desc_type(d) != 11 && desc_type(d) != 3))
            x86_raise(x, EXC_TS, sel & ~3);
        x86_task_switch(x, sel, d, TASK_IRET, next_ip);
        return;
    }
    X86Stack s = x86_stack(x);
    uint64_t ip = x86_stack_pop(&s, size);
    uint16_t sel = x86_stack_pop(&s, size);
    log_far(x, "iret to", sel, ip);
    uint32_t flags = x86_stack_pop(&s, size);
    unsigned cpl = x86_cpl(x);
    if (flags & FLAG_VM && cpl == 0 && size == 4 && !x86_long(x)) {
        iret_to_vm86(x, &s, sel, ip, flags);
        return;
    }
    uint32_t mask = iret_flags(x, size, cpl);
    return_to(x, &s, sel, ip, size, 0, x86_code64(x));
    apply_flags(x, flags, mask);
}
