/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check=on: each unit is interpreted for trial, with its stores held in an overlay, then translated
 * code runs for real, and slots, pc and memory are compared. vCPUs take turns meanwhile.
 *
 * Not compared: units that call helpers with effects that cannot be taken back (IR_H_EFFECT,
 * IR_H_WRITE, IR_H_EXIT), units whose trial meets a fault or I/O, and units during which somebody
 * else (DMA) changed memory that they had read.
 */
#include <inttypes.h>
#include <string.h>

#include "accel/engine.h"
#include "core/vm.h"
#include "util/log.h"

/* Guest state that the unit writes. */
typedef struct Touched {
    int32_t offset;
    uint16_t bytes;
    uint8_t before[32], expected[32];
} Touched;

typedef struct CheckCpu {
    MemOverlay *overlay;
    GArray *touched;            /* Touched */
    bool trial;                 /* running for trial */
    uint64_t pc;                /* where the unit began */
    int64_t budget;
    uint64_t skip_pc;           /* the trial gave up here: run it unchecked next time */
    bool skip;
    uint64_t compared;
} CheckCpu;

static CheckCpu *own(Cpu *cpu)
{
    TcgCpu *t = cpu->engine;

    if (!t->check) {
        t->check = g_new0(CheckCpu, 1);
        t->check->overlay = mem_overlay_new();
        t->check->touched = g_array_new(FALSE, FALSE, sizeof(Touched));
    }
    return t->check;
}

void check_cpu_finish(Cpu *cpu)
{
    CheckCpu *c = ((TcgCpu *)cpu->engine)->check;

    if (c) {
        mem_overlay_free(c->overlay);
        g_array_unref(c->touched);
        g_free(c);
    }
}

void check_info(Cpu *cpu, GString *out)
{
    const CheckCpu *c = ((TcgCpu *)cpu->engine)->check;

    if (c) {
        g_string_append_printf(out, "CPU %u check: %" PRIu64 " units agreed\n", cpu->index, c->compared);
    }
}

/* ---- what a unit writes ---- */

static void touch(CheckCpu *c, int32_t offset, unsigned bytes)
{
    for (unsigned part; bytes; bytes -= part, offset += (int32_t)part) {
        part = MIN(bytes, 32);
        Touched t = {.offset = offset, .bytes = (uint16_t)part};
        g_array_append_val(c->touched, t);
    }
}

/* False: it has effects that cannot be undone. */
static bool collect(CheckCpu *c, const IrUnit *u)
{
    g_array_set_size(c->touched, 0);
    for (unsigned i = 1; i < u->n_nodes; i++) {
        const IrNode *n = &u->nodes[i];
        if (n->op == IR_OP_set || (n->op == IR_OP_slot && n->d & 2)) {
            touch(c, n->imm, n->aux);
        } else if (n->op == IR_OP_call &&
                   u->helpers[n->imm]->effects & (IR_H_EFFECT | IR_H_WRITE | IR_H_EXIT)) {
            return false;
        }
    }
    return true;
}

#define EACH(c, t) for (Touched *t = (Touched *)(c)->touched->data,                                 \
                        *end_ = t + (c)->touched->len; t < end_; t++)

static void save(Cpu *cpu, CheckCpu *c)
{
    c->pc = cpu->pc;
    c->budget = cpu->icount_budget;
    EACH(c, t) {
        memcpy(t->before, (uint8_t *)cpu + t->offset, t->bytes);
    }
}

static void take_back(Cpu *cpu, CheckCpu *c)
{
    EACH(c, t) {
        memcpy(t->expected, (uint8_t *)cpu + t->offset, t->bytes);
    }
    EACH(c, t) {
        memcpy((uint8_t *)cpu + t->offset, t->before, t->bytes);
    }
    cpu->pc = c->pc;
    cpu->icount_budget = c->budget;
}

/* ---- the report ---- */

static void append_slots(Cpu *cpu, CheckCpu *c, GString *out)
{
    EACH(c, t) {
        const uint8_t *now = (uint8_t *)cpu + t->offset;
        if (memcmp(now, t->expected, t->bytes) == 0) {
            continue;
        }
        const char *name = cpu->isa->slot_name ? cpu->isa->slot_name(t->offset) : NULL;
        g_string_append_printf(out, "%s [%d].%u:", name ? name : "slot", t->offset, t->bytes);
        for (unsigned k = t->bytes; k-- > 0;) {
            g_string_append_printf(out, "%s%02x", k == t->bytes - 1u ? " before " : "", t->before[k]);
        }
        for (unsigned k = t->bytes; k-- > 0;) {
            g_string_append_printf(out, "%s%02x", k == t->bytes - 1u ? ", expected " : "", t->expected[k]);
        }
        for (unsigned k = t->bytes; k-- > 0;) {
            g_string_append_printf(out, "%s%02x", k == t->bytes - 1u ? ", found " : "", now[k]);
        }
        g_string_append_c(out, '\n');
    }
}

static void report(Tcg *tcg, Cpu *cpu, const IrUnit *u, const char *what)
{
    g_autoptr(GString) out = g_string_new(NULL);

    g_string_append_printf(out, "check: CPU %u, unit at 0x%" PRIx64 ": translated code differs from"
                           " the interpreter, after %" PRIu64 " units that agreed\n%s",
                           cpu->index, u->pc, own(cpu)->compared, what);
    append_slots(cpu, own(cpu), out);
    cpu_print_code(cpu, u->pc, u->size, out);
    ir_print(u, out, cpu->isa->slot_name);
    if (tcg->type->dump) {
        tcg->type->dump(tcg->main, cpu, u->pc, out);
    }
    log_write("%s", out->str);
    tcg->check = false;
    vm_request_shutdown(cpu->vm, CAUSE_HOST_ERROR, 1);
}

/* ---- running ---- */

static bool slots_differ(Cpu *cpu, CheckCpu *c)
{
    EACH(c, t) {
        if (memcmp((uint8_t *)cpu + t->offset, t->expected, t->bytes)) {
            return true;
        }
    }
    return false;
}

static bool as_before(Cpu *cpu, CheckCpu *c)
{
    EACH(c, t) {
        if (memcmp((uint8_t *)cpu + t->offset, t->before, t->bytes)) {
            return false;
        }
    }
    return true;
}

static void compare(Tcg *tcg, Cpu *cpu, const IrUnit *u, uint64_t pc)
{
    CheckCpu *c = own(cpu);
    g_autoptr(GString) what = g_string_new(NULL);
    bool memory = mem_overlay_differs(c->overlay, what);

    if (cpu->pc != pc) {
        g_string_append_printf(what, "pc: expected 0x%" PRIx64 ", found 0x%" PRIx64 "\n", pc, cpu->pc);
    }
    if (memory || cpu->pc != pc || slots_differ(cpu, c)) {
        if (!mem_overlay_raced(c->overlay)) {
            report(tcg, cpu, u, what->str);
        }
        return;
    }
    c->compared++;
}

EngineResult check_run(Tcg *tcg, Cpu *cpu)
{
    CheckCpu *c = own(cpu);
    bool chosen = ((TcgCpu *)cpu->engine)->units++ % MAX(tcg->every, 1) == 0;
    bool skip = c->skip && c->skip_pc == cpu->pc;

    c->skip = false;
    if (__atomic_load_n(&cpu->req, __ATOMIC_RELAXED)) {
        return ENGINE_REQUEST;
    }
    const IrUnit *u = chosen && !skip ? interp_unit(tcg->interp, cpu) : NULL;
    if (!u || (u->icount && cpu->icount_budget < IR_MAX_INSNS) || !collect(c, u)) {
        return tcg->type->run(tcg->main, cpu, true);
    }
    save(cpu, c);
    cpu->page_base = cpu->pc & ~0xfffull;
    mem_overlay_begin(cpu, c->overlay);
    c->trial = true;
    ir_interpret(u, cpu);
    c->trial = false;
    mem_overlay_end(cpu);
    uint64_t pc = cpu->pc;
    take_back(cpu, c);
    EngineResult r = tcg->type->run(tcg->main, cpu, true);
    /* A request from another thread may have kept the engine from starting. */
    bool not_run = __atomic_load_n(&cpu->req, __ATOMIC_SEQ_CST) && cpu->pc == c->pc && as_before(cpu, c);
    if (r == ENGINE_REQUEST && !not_run) {
        compare(tcg, cpu, u, pc);
    }
    return r;
}

bool check_unwound(Tcg *tcg, Cpu *cpu)
{
    CheckCpu *c = own(cpu);

    if (!c->trial) {
        return false;
    }
    c->trial = false;
    mem_overlay_end(cpu);
    take_back(cpu, c);
    cpu->watch_hit = NULL;      /* met again when it is real, then with the right pc */
    c->skip = true;
    c->skip_pc = cpu->pc;
    return true;
}
