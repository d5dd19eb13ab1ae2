/* SPDX-License-Identifier: Apache-2.0 */
/* Units of RISC-V code: fetch, decode, and jumps. Spec: RISC-V unprivileged manual, 1.5, 2.5. */
#include <string.h>
#include "target/riscv/translate.h"

/* A loop is the whole unit: COPIES of its body stand in it if they have at most LOOP_INSNS in all. */
enum { PAGE = 4096, UNIT_INSNS = 64, MAX_LABELS = IR_MAX_LABELS - 8, COPIES = 4, LOOP_INSNS = 48,
       NEAR = 256, LOOK_AHEAD = 4 };

void rv_illegal(IrBuilder *b)
{
    ir_call(b, &rv_h_illegal, ir_i32(b, unit(b)->raw), 0, 0, 0);
    ir_resync(b, ir_pcrel(b, unit(b)->pc));
}

void rv_end(IrBuilder *b) { ir_resync(b, ir_pcrel(b, unit(b)->next)); }

/* ---- fetch ---- */

/* The page's code from the unit's start; further on it comes from the fetch functions. */
typedef struct RvWindow {
    uint64_t start;
    unsigned n;
    uint8_t bytes[4 * UNIT_INSNS];
} RvWindow;

static uint16_t fetch16(Cpu *cpu, IrBuilder *b, const RvWindow *w, uint64_t pc)
{
    uint64_t at = pc - w->start;
    if (at + 2 <= w->n) {
        uint16_t v;
        memcpy(&v, w->bytes + at, 2);
        return GUINT16_FROM_LE(v);
    }
    return isa_fetch16(cpu, b, pc);
}

/* ---- jumps ---- */

static uint64_t target(IrBuilder *b, int32_t imm)
{
    uint64_t pc = unit(b)->pc + imm;
    return unit(b)->rv32 ? (uint32_t)pc : pc;
}

static bool aligned(IrBuilder *b, uint64_t pc)
{
    return !(pc & 2) || unit(b)->features >> RV_F_c & 1;
}

static void jump_misaligned(IrBuilder *b, uint64_t to)
{
    ir_call(b, &rv_h_misaligned, ir_pcrel(b, to), 0, 0, 0);
    ir_resync(b, ir_pcrel(b, unit(b)->pc));
}

static bool is_link(unsigned r) { return r == 1 || r == 5; }

static IrRef next_pc(IrBuilder *b)
{
    IrRef next = ir_pcrel(b, unit(b)->next);
    return unit(b)->rv32 ? ir_trunc(b, next) : next;
}

INSN(auipc)
{
    IrRef v = ir_pcrel(b, unit(b)->pc + imm);
    set(b, rd, unit(b)->rv32 ? ir_trunc(b, v) : v);
}

static void goto_target(IrBuilder *b, uint64_t to)
{
    if (aligned(b, to))
        ir_goto_pc(b, to);
    else
        jump_misaligned(b, to);
}

/* ---- where the unit goes on instead of ending ---- */

/* Back to where it starts: the loop's body stands in the unit once more. */
static bool goes_round(IrBuilder *b, uint64_t to)
{
    RvUnit *u = unit(b);
    unsigned copies = u->rounds + 2;
    if (to != b->pc || b->single || copies > COPIES || (u->n + 1) / (u->rounds + 1) * copies > LOOP_INSNS)
        return false;
    u->rounds++;
    u->go = to;
    return u->jumps = true;
}

/* A jump a little ahead. */
static bool goes_ahead(IrBuilder *b, uint64_t to)
{
    RvUnit *u = unit(b);
    if (b->single || to <= u->pc || to - u->pc > NEAR || (to ^ b->pc) >= PAGE)
        return false;
    u->go = to;
    return u->jumps = true;
}

/* Whether the code there soon jumps to where the unit starts: the unit is a loop then, and its body
 * goes on there. */
static bool leads_back(IrBuilder *b, uint64_t at)
{
    const RvWindow *w = unit(b)->window;
    for (unsigned k = 0; k < LOOK_AHEAD; k++) {
        uint32_t raw = 0;
        uint64_t offset = at - w->start;
        if (offset + 4 > w->n)
            return false;
        memcpy(&raw, w->bytes + offset, 4);
        raw = GUINT32_FROM_LE(raw);
        raw = (raw & 3) == 3 ? raw : (uint16_t)raw;
        unsigned line = rv_decode(raw, &unit(b)->features);
        switch (line) {
        case RV_I_jal: case RV_I_c_j:
        case RV_I_beq: case RV_I_bne: case RV_I_blt: case RV_I_bge: case RV_I_bltu: case RV_I_bgeu:
        case RV_I_c_beqz: case RV_I_c_bnez:
            return at + isa_field_value(&rv_isa_table, line, 0, raw) == b->pc;
        case RV_I_NONE: case RV_I_jalr: case RV_I_c_jal: case RV_I_c_jr: case RV_I_c_jalr:
        case RV_I_ecall: case RV_I_ebreak:
            return false;
        }
        at += rv_isa_table.rows[line].bytes;
    }
    return false;
}

INSN(jal)
{
    uint64_t to = target(b, imm);
    if (!aligned(b, to)) {
        jump_misaligned(b, to);
        return;
    }
    set(b, rd, next_pc(b));
    if (is_link(rd))
        ir_call_pc(b, to, unit(b)->next);
    else if (!goes_round(b, to) && !goes_ahead(b, to))
        ir_goto_pc(b, to);
}

INSN(jalr)
{
    IrRef to = ir_andi(b, ir_addi(b, get(b, rs1), imm), -2);
    to = to_address(b, to);
    if (!(unit(b)->features >> RV_F_c & 1)) {
        unsigned ok = ir_label(b);
        ir_brcond(b, IR_NTST, to, ir_i64(b, 2), ok);
        ir_call(b, &rv_h_misaligned, to, 0, 0, 0);
        ir_resync(b, ir_pcrel(b, unit(b)->pc));
        ir_bind(b, ok);
    }
    set(b, rd, next_pc(b));
    if (is_link(rd))
        ir_call_ind(b, to, unit(b)->next);
    else if (is_link(rs1))
        ir_ret(b, to);
    else
        ir_goto_ind(b, to);
}

/* A forward branch is left by the side and the unit runs on; a backward one probably closes a loop
 * and ends it, or goes round. */
static void branch(IrBuilder *b, IrCond cc, IrCond inverse, unsigned rs1, unsigned rs2, int32_t imm)
{
    uint64_t to = target(b, imm);
    unsigned label = ir_label(b);
    bool to_loop = imm > 0 && leads_back(b, to) && goes_ahead(b, to);
    if (imm > 0 && !to_loop && b->n_labels < MAX_LABELS) {
        ir_brcond(b, inverse, get(b, rs1), get(b, rs2), label);
        goto_target(b, to);
        ir_bind(b, label);
        return;
    }
    ir_brcond(b, cc, get(b, rs1), get(b, rs2), label);
    ir_goto_pc(b, unit(b)->next);
    ir_bind(b, label);
    if (!to_loop && !goes_round(b, to))
        goto_target(b, to);
}

INSN(beq) { branch(b, IR_EQ, IR_NE, rs1, rs2, imm); }
INSN(bne) { branch(b, IR_NE, IR_EQ, rs1, rs2, imm); }
INSN(blt) { branch(b, IR_LT, IR_GE, rs1, rs2, imm); }
INSN(bge) { branch(b, IR_GE, IR_LT, rs1, rs2, imm); }
INSN(bltu) { branch(b, IR_LTU, IR_GEU, rs1, rs2, imm); }
INSN(bgeu) { branch(b, IR_GEU, IR_LTU, rs1, rs2, imm); }

/* ---- the unit ---- */

static void begin(RvCpu *rv, IrBuilder *b, RvUnit *u)
{
    *u = (RvUnit){
        .rv = rv, .features = rv->features, .rv32 = rv->rv32,
        .t = rv->rv32 ? IR_I32 : IR_I64,
        .priv = b->mode & RV_MODE_PRIV,
        .frm = (b->mode & RV_MODE_FRM) >> RV_MODE_FRM_SHIFT,
        .fs_on = b->mode & RV_MODE_FS_ON, .fs_dirty = b->mode & RV_MODE_FS_DIRTY,
    };
    b->priv = u;
}

/* Translates the instruction at pc; its length, or 0 if it has to begin a unit of its own because
 * its second half lies on the next page, where the fetch may fault. */
static unsigned one(Cpu *cpu, IrBuilder *b, RvUnit *u, const RvWindow *w, uint64_t pc, bool first)
{
    uint32_t raw = fetch16(cpu, b, w, pc);
    unsigned len = (raw & 3) == 3 ? 4 : 2;
    if (len == 4) {
        if ((pc & (PAGE - 1)) == PAGE - 2 && !first)
            return 0;
        raw |= (uint32_t)fetch16(cpu, b, w, pc + 2) << 16;
    }
    u->pc = pc;
    u->next = pc + len;
    u->raw = raw;
    ir_insn(b, pc);
    unsigned line = rv_decode(raw, &u->features);
    if (line)
        rv_emit(b, line, raw);
    else
        rv_illegal(b);
    return len;
}

void rv_translate(Cpu *cpu, IrBuilder *b)
{
    RvUnit u;
    RvWindow w = {.start = b->pc};
    begin((RvCpu *)cpu, b, &u);
    u.window = &w;
    unsigned in_page = PAGE - (b->pc & (PAGE - 1));
    w.n = isa_fetch(cpu, b, b->pc, w.bytes, MIN(in_page, sizeof(w.bytes)));
    uint64_t pc = b->pc, end = pc, page_end = b->pc + in_page;
    for (; !b->ended; u.n++) {
        unsigned len = 0;
        bool go_on = u.n < (b->single ? 1 : UNIT_INSNS) && pc < page_end && !ir_unit_full(b) &&
                     b->n_labels < MAX_LABELS;
        if (go_on)
            len = one(cpu, b, &u, &w, pc, u.n == 0);
        pc += len;
        end = MAX(end, pc);
        if (b->ended)
            break;
        if (u.jumps)
            pc = u.go;
        u.jumps = false;
        if (u.resync)
            rv_end(b);
        else if (!len)
            ir_goto_pc(b, u.rv32 ? (uint32_t)pc : pc);
    }
    b->size = end - b->pc;
}
