/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter: runs a unit node by node. It is the oracle of every other engine, so it is
 * written for clarity: each operation means what eval.h says, memory is core/softmmu.h's business.
 *
 * Helpers are called with four uint64_t arguments whatever they take, which is sound where integer
 * arguments travel in registers of 64 bits (x86-64, aarch64, riscv64, ppc64, s390x, loongarch64).
 */
#include <glib.h>
#include <string.h>

#include "core/cpu.h"
#include "ir/eval.h"
#include "ir/interp/value.h"

typedef uint64_t (*Call)(Cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
typedef void (*CallVoid)(Cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

static uint64_t slot_get(const Cpu *cpu, const IrNode *n)
{
    const uint8_t *at = (const uint8_t *)cpu + n->imm;

    switch (n->aux) {
    case 1: return *at;
    case 2: return *(const uint16_t *)at;
    case 4: return *(const uint32_t *)at;
    default: return *(const uint64_t *)at;
    }
}

static void slot_set(Cpu *cpu, const IrNode *n, uint64_t v)
{
    uint8_t *at = (uint8_t *)cpu + n->imm;

    switch (n->aux) {
    case 1: *at = (uint8_t)v; break;
    case 2: *(uint16_t *)at = (uint16_t)v; break;
    case 4: *(uint32_t *)at = (uint32_t)v; break;
    default: *(uint64_t *)at = v; break;
    }
}

static uint64_t load(Cpu *cpu, const IrNode *n, uint64_t va)
{
    uint64_t v = cpu_load(cpu, va, n->aux);

    return n->type == IR_I32 ? (uint32_t)v : v;
}

static void call(const IrUnit *u, Cpu *cpu, const IrNode *n, const IrVal *val, IrVal *out)
{
    const IrHelper *h = u->helpers[n->imm];
    uint64_t a = val[n->a].i, b = val[n->b].i, c = val[n->c].i, d = val[n->d].i;

    if (h->ret == IR_VOID) {
        ((CallVoid)h->fn)(cpu, a, b, c, d);
    } else {
        uint64_t r = ((Call)h->fn)(cpu, a, b, c, d);
        out->i = h->ret == IR_I32 ? (uint32_t)r : r;
    }
}

static unsigned mmu_of(const IrNode *n) { return (n->aux & IR_MMU_MASK) >> IR_MMU_SHIFT; }

/* Accesses narrower than the vector fill its low bytes; the rest is zero. */
static void load_vector(Cpu *cpu, const IrNode *n, uint64_t va, IrVal *out)
{
    IrVal v = {0};

    cpu_check_aligned(cpu, va, MEM_LOAD, n->aux);
    cpu_load_bytes(cpu, va, &v, IR_MBYTES(n->aux), mmu_of(n));
    *out = v;
}

/* The node that binds a label; they lie ahead. */
static unsigned bind_of(const IrUnit *u, unsigned at, int32_t label)
{
    do {
        at++;
    } while (u->nodes[at].op != IR_OP_bind || u->nodes[at].imm != label);
    return at;
}

/* False: the budget is used up before the instruction. */
static bool count(Cpu *cpu)
{
    if (cpu->icount_budget <= 0) {
        return false;
    }
    cpu->icount_budget--;
    return true;
}

#define A val[n->a].i
#define B val[n->b].i
#define C val[n->c].i
#define W ir_width(u->nodes[n->a].type)
#define R val[i].i
#define BINARY(name)                                                                                \
    case IR_OP_##name:                                                                              \
        R = n->type == IR_I32 ? ir_eval_binary(IR_OP_##name, 32, A, B)                              \
                              : ir_eval_binary(IR_OP_##name, 64, A, B);                             \
        break;
#define UNARY(name)                                                                                 \
    case IR_OP_##name:                                                                              \
        R = n->type == IR_I32 ? ir_eval_unary(IR_OP_##name, 32, A)                                  \
                              : ir_eval_unary(IR_OP_##name, 64, A);                                 \
        break;
#define LEAVE(target, kind)                                                                         \
    do {                                                                                            \
        cpu->pc = (target);                                                                         \
        return kind;                                                                                \
    } while (0)

IrExitKind ir_interpret(const IrUnit *u, Cpu *cpu)
{
    IrVal val[u->n_nodes];
    const uint64_t base = cpu->page_base;

    val[0].i = 0;
    for (unsigned i = 1;; i++) {
        const IrNode *n = &u->nodes[i];
        switch ((IrOp)n->op) {
        case IR_OP_nop: break;
        case IR_OP_insn:
            cpu->pc = base + (uint64_t)(int64_t)n->imm;
            if (u->icount && !count(cpu)) {
                return IR_EXIT_RESYNC;
            }
            break;
        case IR_OP_const: R = n->type == IR_I32 ? (uint32_t)n->imm64 : (uint64_t)n->imm64; break;
        case IR_OP_pcrel: R = base + (uint64_t)n->imm64; break;
        case IR_OP_get:
            if (n->aux > 8) {
                memcpy(&val[i], (uint8_t *)cpu + n->imm, n->aux);
            } else if (n->type >= IR_V128) {
                val[i] = (IrVal){.d = {slot_get(cpu, n)}};
            } else {
                R = slot_get(cpu, n);
            }
            break;
        case IR_OP_set:
            if (n->aux == 32 && n->type == IR_V128) {
                memcpy((uint8_t *)cpu + n->imm, &val[n->a], 16);
                memset((uint8_t *)cpu + n->imm + 16, 0, 16);
            } else if (n->aux > 8) {
                memcpy((uint8_t *)cpu + n->imm, &val[n->a], n->aux);
            } else {
                slot_set(cpu, n, A);
            }
            break;
        case IR_OP_slot: R = (uintptr_t)cpu + (uint64_t)(int64_t)n->imm; break;
        BINARY(add) BINARY(sub) BINARY(mul) BINARY(mulhu) BINARY(mulhs)
        BINARY(divu) BINARY(divs) BINARY(remu) BINARY(rems)
        BINARY(and) BINARY(or) BINARY(xor) BINARY(andn)
        BINARY(shl) BINARY(shr) BINARY(sar) BINARY(rotl) BINARY(rotr)
        UNARY(neg) UNARY(not) UNARY(bswap) UNARY(clz) UNARY(ctz) UNARY(popcnt)
        case IR_OP_zext: R = A & ir_ones(n->aux); break;
        case IR_OP_sext: R = (uint64_t)ir_sign(A, n->aux) & ir_ones(ir_width(n->type)); break;
        case IR_OP_trunc: R = (uint32_t)A; break;
        case IR_OP_deposit: R = ir_eval_deposit(n->aux, A, B); break;
        case IR_OP_extract: R = ir_eval_extract(n->aux, A); break;
        case IR_OP_sextract:
            R = (uint64_t)ir_sign(ir_eval_extract(n->aux, A), n->aux >> 8) & ir_ones(ir_width(n->type));
            break;
        case IR_OP_setcond: R = ir_eval_cond(n->aux, W, A, B); break;
        case IR_OP_select: val[i] = A ? val[n->b] : val[n->c]; break;
        case IR_OP_load:
            if (n->type >= IR_V128) {
                load_vector(cpu, n, A + (uint64_t)(int64_t)n->imm, &val[i]);
            } else {
                R = load(cpu, n, A + (uint64_t)(int64_t)n->imm);
            }
            break;
        case IR_OP_store:
            if (n->type >= IR_V128) {
                cpu_check_aligned(cpu, A + (uint64_t)(int64_t)n->imm, MEM_STORE, n->aux);
                cpu_store_bytes(cpu, A + (uint64_t)(int64_t)n->imm, &val[n->b], IR_MBYTES(n->aux), mmu_of(n));
            } else {
                cpu_store(cpu, A + (uint64_t)(int64_t)n->imm, B, n->aux);
            }
            break;
        case IR_OP_probe:
            cpu_probe(cpu, A + (uint64_t)(int64_t)n->imm, n->aux, n->d & 1 ? MEM_STORE : MEM_LOAD,
                      n->d >> 1);
            break;
        case IR_OP_rmw: {
            uint64_t v = cpu_rmw(cpu, A, (unsigned)n->imm, B, n->aux);
            R = n->type == IR_I32 ? (uint32_t)v : v;
            break;
        }
        case IR_OP_cas: {
            uint64_t v = cpu_cas(cpu, A, B, C, n->aux);
            R = n->type == IR_I32 ? (uint32_t)v : v;
            break;
        }
        case IR_OP_fence: __atomic_thread_fence(__ATOMIC_SEQ_CST); break;
        case IR_OP_call: call(u, cpu, n, val, &val[i]); break;
        case IR_OP_br: i = bind_of(u, i, n->imm); break;
        case IR_OP_brcond:
            if (ir_eval_cond(n->aux, W, A, B)) {
                i = bind_of(u, i, n->imm);
            }
            break;
        case IR_OP_bind: break;
        case IR_OP_goto_pc: LEAVE(base + (uint64_t)n->imm64, IR_EXIT_GOTO);
        case IR_OP_goto_ind: LEAVE(A, IR_EXIT_IND);
        case IR_OP_call_pc: LEAVE(base + (uint64_t)n->imm64, IR_EXIT_CALL);
        case IR_OP_call_ind: LEAVE(A, IR_EXIT_CALL);
        case IR_OP_ret: LEAVE(A, IR_EXIT_RET);
        case IR_OP_resync: LEAVE(A, IR_EXIT_RESYNC);
        case IR_OP_COUNT: return IR_EXIT_RESYNC;
        default: ir_interpret_vector(cpu, n, val, &val[i]); break;
        }
    }
}
