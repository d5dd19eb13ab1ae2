/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass: allocates registers and emits x86-64 code together. See alloc.h and emit.h. */
#include "accel/jit/x86_64/emit.h"
#include <cpuid.h>


/* ---- the pass ---- */

static void emit_node(Emit *e, IrRef i, const IrNode *n)
{
    switch (n->op) {
    case IR_OP_nop:
    case IR_OP_slot:
        break;
    case IR_OP_insn:
        e->pc_off = n->imm;
        e->insns++;
        break;
    case IR_OP_const:
    case IR_OP_pcrel:
        e->v[i].flags |= V_REMAKE;
        break;
    case IR_OP_get:
        emit_get(e, i, n);
        break;
    case IR_OP_set:
        emit_set(e, i, n);
        break;
    case IR_OP_add:
        emit_add(e, i, n, false);
        break;
    case IR_OP_sub:
        emit_add(e, i, n, true);
        break;
    case IR_OP_and:
        emit_logic(e, i, n, G_AND);
        break;
    case IR_OP_or:
        emit_logic(e, i, n, G_OR);
        break;
    case IR_OP_xor:
        emit_logic(e, i, n, G_XOR);
        break;
    case IR_OP_andn:
        emit_andn(e, i, n);
        break;
    case IR_OP_mul:
        emit_mul(e, i, n);
        break;
    case IR_OP_mulhu:
        emit_wide(e, i, n, G_MUL, true);
        break;
    case IR_OP_mulhs:
        emit_wide(e, i, n, G_IMUL, true);
        break;
    case IR_OP_divu:
        emit_wide(e, i, n, G_DIV, false);
        break;
    case IR_OP_divs:
        emit_wide(e, i, n, G_IDIV, false);
        break;
    case IR_OP_remu:
        emit_wide(e, i, n, G_DIV, true);
        break;
    case IR_OP_rems:
        emit_wide(e, i, n, G_IDIV, true);
        break;
    case IR_OP_shl:
    case IR_OP_shr:
    case IR_OP_sar:
    case IR_OP_rotl:
    case IR_OP_rotr:
        emit_shift(e, i, n);
        break;
    case IR_OP_neg:
    case IR_OP_not:
    case IR_OP_bswap:
        emit_unary(e, i, n);
        break;
    case IR_OP_clz:
    case IR_OP_ctz:
    case IR_OP_popcnt:
        emit_count(e, i, n);
        break;
    case IR_OP_zext:
    case IR_OP_sext:
        emit_extend(e, i, n, n->op == IR_OP_sext, n->aux);
        break;
    case IR_OP_trunc:
        value_def_over(e, i, n->a);
        e->v[i].flags &= ~V_ZX;
        break;
    case IR_OP_deposit:
        emit_deposit(e, i, n);
        break;
    case IR_OP_extract:
    case IR_OP_sextract:
        emit_extract(e, i, n);
        break;
    case IR_OP_setcond:
        emit_setcond(e, i, n);
        break;
    case IR_OP_select:
        emit_select(e, i, n);
        break;
    case IR_OP_load:
        emit_load(e, i, n);
        break;
    case IR_OP_store:
        emit_store(e, i, n);
        break;
    case IR_OP_probe:
        emit_probe(e, i, n);
        break;
    case IR_OP_rmw:
        emit_rmw(e, i, n);
        break;
    case IR_OP_cas:
        emit_cas(e, i, n);
        break;
    case IR_OP_fence:           /* lock or dword [rsp], 0 */
        a32(&e->a, 0x240c83f0);
        a8(&e->a, 0);
        break;
    case IR_OP_call:
        emit_helper(e, i, n);
        break;
    case IR_OP_br:
        emit_br(e, n);
        break;
    case IR_OP_bind:
        emit_bind(e, n);
        break;
    case IR_OP_goto_pc:
        emit_goto_pc(e, n->imm64);
        break;
    case IR_OP_call_pc:
        emit_call_pc(e, n);
        break;
    case IR_OP_goto_ind:
        emit_goto_ind(e, n->a);
        break;
    case IR_OP_call_ind:
        emit_call_ind(e, n);
        break;
    case IR_OP_ret:
        emit_ret(e, n->a);
        break;
    case IR_OP_resync:
        emit_resync(e, n->a);
        break;
    default:
        if (!emit_vector(e, i, n))
            e->fail = true;
    }
}

static void release_if_dead(Emit *e, IrRef v)
{
    Val *val = &e->v[v];
    if (val->last > e->at || val->pend)
        return;
    if (val->reg >= 0)
        reg_release(e, val->reg);
    if (val->cell)
        cell_free(e, v);
}

static void release_args(Emit *e, const IrNode *n)
{
    unsigned args = ir_op_info[n->op].args;
    if (args >= 1 && n->a) {
        if (e->v[n->a].flags & (V_FUSED | V_UNFUSED) && (n->op == IR_OP_select || n->op == IR_OP_brcond)) {
            release_if_dead(e, node_of(e, n->a)->a);
            release_if_dead(e, node_of(e, n->a)->b);
        }
        release_if_dead(e, n->a);
    }
    if (args >= 2 && n->b)
        release_if_dead(e, n->b);
    if (args >= 3 && n->c)
        release_if_dead(e, n->c);
    if (args >= 4 && n->d)
        release_if_dead(e, n->d);
}

static bool is_call(const IrUnit *u, const IrNode *n)
{
    return n->op == IR_OP_call || vector_is_call(n);
}

static void emit_nodes(Emit *e)
{
    const IrUnit *u = e->u;
    for (unsigned i = 1; i < u->n_nodes && !e->fail; i++) {
        const IrNode *n = &u->nodes[i];
        if (!(e->v[i].flags & V_LIVE) && n->op != IR_OP_bind)
            continue;
        if (!e->reachable && n->op != IR_OP_bind)
            continue;
        e->at = i;
        e->lock = 0;
        if (e->facts && (is_call(u, n) || n->op == IR_OP_bind))
            facts_drop(e);
        if (n->op == IR_OP_brcond) {
            unsigned next = emit_brcond(e, i, n);
            if (next != i) {
                release_args(e, n);
                i = next;
                continue;
            }
        } else {
            emit_node(e, i, n);
        }
        release_args(e, n);
        /* A result nobody reads (of a load or call). */
        if (e->v[i].reg >= 0 && !e->v[i].last)
            reg_release(e, e->v[i].reg);
        if (e->a.p - e->start > (1 << 20) || e->c.p - e->cold > COLD_SIZE - 8192)
            e->fail = true;
    }
}

/* Entry: room for the dead mark, then with -icount the budget. There each unit looks for requests, as the
 * interpreter does, so that interrupts come at the same instruction. `leave`: in cold code. */
static void emit_entry(Emit *e, const uint8_t *leave)
{
    op_nops(&e->a, 5);
    if (!e->u->icount)
        return;
    if (!e->once) {
        test_req(e, &e->a);
        cold_jcc(e, CC_NE, leave);
    }
    uint8_t *broke = e->c.p;
    op_mi(&e->c, G_ADD, O_W, RBP, CPU_DISP(e, icount_budget), e->u->n_insns);
    op_rm(&e->c, X_LEA | O_W, RAX, R12, e->u->pc - e->u->page_base);
    op_movi(&e->c, RCX, JIT_LEFT_BUDGET);
    from_cold(e, 0xe9, e->jit->stubs.exit);
    op_mi(&e->a, G_SUB, O_W, RBP, CPU_DISP(e, icount_budget), e->u->n_insns);
    cold_jcc(e, CC_L, broke);
}

static void apply_fixes(Emit *e, uint8_t *cold_final)
{
    for (unsigned k = 0; k < e->n_to_cold; k++)
        asm_fix32(e->start + e->to_cold[k].at, cold_final + e->to_cold[k].target);
    for (unsigned k = 0; k < e->n_from_cold; k++)
        asm_fix32(cold_final + e->from_cold[k].at, jit_rw(e->jit, e->from_cold[k].target));
}

static JitUnit *make_unit(Emit *e, JitChunk *chunk, size_t cold, uint32_t dead, unsigned flags)
{
    Jit *j = e->jit;
    const IrUnit *u = e->u;
    uint32_t code = e->start - j->cache.rw, cold_at = code + (e->a.p - e->start);
    size_t size = sizeof(JitUnit) + e->n_exits * sizeof(JitExit);
    JitUnit *unit = (JitUnit *)chunk->meta;
    memset(unit, 0, size);
    *unit = (JitUnit){.mode = u->mode, .code = code, .code_size = cold_at + cold - code,
                      .dead_stub = cold_at + dead, .at = u->pc - u->page_base, .size = u->size,
                      .n_insns = u->n_insns, .n_exits = e->n_exits,
                      .flags = flags};
    for (unsigned k = 0; k < e->n_exits; k++) {
        JitExit *x = &unit->exits[k];
        *x = e->exits[k];
        x->from = unit;
        x->stub += cold_at;
        x->at += x->at_cold ? cold_at : 0;
        x->bridge += x->bridge ? cold_at : 0;
        x->bridged = NULL;
        uint32_t id = (uint8_t *)x - j->cache.meta;
        memcpy(jit_rw(j, x->stub) + 1, &id, 4);
    }
    memcpy(unit->loops, e->loops, e->n_loops * sizeof *e->loops);
    chunk->meta += size;
    if (u->icount) {
        unit->marks = (uint16_t *)chunk->meta;
        for (unsigned k = 0; k < u->n_insns; k++)
            unit->marks[k] = u->insns[k].pc;
        chunk->meta += u->n_insns * 2;
    }
    chunk->meta = (uint8_t *)(((uintptr_t)chunk->meta + 15) & ~(uintptr_t)15);
    return unit;
}

JitUnit *jit_emit(Jit *j, const IrUnit *u, unsigned flags)
{
    Emit *e = j->emit;
    e->once = flags & JIT_UNIT_ONCE;
    e->probe = e->once ? j->stubs.leave : j->stubs.probe;
    e->link = e->once ? j->stubs.leave : j->stubs.link;
    for (unsigned i = 1; i < u->n_nodes && !j->fp_used; i++)
        if (vector_uses_fp(&u->nodes[i]))
            jit_fp_begin(j);
    for (unsigned k = 0; k < u->n_helpers; k++)
        flags |= u->helpers[k]->effects & IR_H_FP ? JIT_UNIT_SEES_FP : 0;
    jit_liveness(u, &e->live, is_call);
    size_t room = u->n_nodes * 64 + e->live.n_mem * 500 + e->live.n_exits * 400 + 4096;
    size_t meta = sizeof(JitUnit) + JIT_MAX_EXITS * sizeof(JitExit) + IR_MAX_INSNS * 2 + 64 +
                  e->live.n_calls * sizeof(IrNode);
    JitChunk *chunk = jit_cache_room(j, room, meta);
    if (!chunk)
        return NULL;
    chunk->code = (uint8_t *)(((uintptr_t)chunk->code + 15) & ~(uintptr_t)15);
    e->u = u;
    e->chunk = chunk;
    e->v = e->live.v;
    e->start = e->a.p = chunk->code;
    e->start_rx = j->cache.rx + (e->start - j->cache.rw);
    e->c.p = e->cold;
    e->free = GPRS | VECS;
    e->facts = 0;
    for (unsigned k = 0; k < e->live.n_shares; k++)
        e->v[JIT_SHARE_REF + k] = (Val){.reg = -1, .flags = V_REMAKE, .last = e->live.shares[k].last};
    memset(e->in, 0, sizeof e->in);
    e->lock = e->n_pend = e->n_homed = e->next_call = e->insns = 0;
    e->cells[0] = e->cells[1] = 0;
    e->n_to_cold = e->n_from_cold = e->n_exits = e->n_snaps = 0;
    e->at = 0;
    e->pc_off = u->pc - u->page_base;
    e->reachable = true;
    e->fail = false;
    memset(e->labels, 0, u->n_labels * sizeof *e->labels);

    uint32_t dead = e->c.p - e->cold;
    op_rm(&e->c, X_LEA | O_W, RAX, R12, e->pc_off);
    op_rr(&e->c, X_XOR, RCX, RCX);
    from_cold(e, 0xe9, j->stubs.exit);
    emit_entry(e, e->cold + dead);
    loop_begin(e);
    emit_nodes(e);
    if (e->fail || e->reachable)
        return NULL;
    size_t cold = e->c.p - e->cold;
    while ((e->a.p - e->start) & 3)
        a8(&e->a, 0xcc);        /* displacements in cold code are patched too */
    if (e->a.p + cold > chunk->code_end)
        return NULL;
    memcpy(e->a.p, e->cold, cold);
    apply_fixes(e, e->a.p);
    chunk->code = e->a.p + cold;
    return make_unit(e, chunk, cold, dead, flags);
}

/* clang's __builtin_cpu_supports() does not know it. */
static bool has_lzcnt(void)
{
    unsigned a, b, c = 0, d;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && c & bit_LZCNT;
}

static unsigned host_features(void)
{
    unsigned f = 0;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("bmi2"))
        f |= HOST_BMI2;
    if (__builtin_cpu_supports("bmi"))
        f |= HOST_BMI1;
    if (has_lzcnt() && __builtin_cpu_supports("bmi"))
        f |= HOST_LZCNT;
    if (__builtin_cpu_supports("avx2"))
        f |= HOST_AVX2;
    if (__builtin_cpu_supports("fma"))
        f |= HOST_FMA;
    return f;
}

struct Emit *jit_emit_new(Jit *j)
{
    Emit *e = g_new0(Emit, 1);
    e->jit = j;
    e->cold = g_malloc(COLD_SIZE);
    e->host = host_features();
    e->bias = j->isa->slot_bias;
    return e;
}

void jit_emit_free(struct Emit *e)
{
    if (e)
        g_free(e->cold);
    g_free(e);
}

char *jit_host_unavailable(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("popcnt") ? NULL : g_strdup("the host CPU is older than x86-64-v2");
}

void jit_patch(Jit *j, uint32_t at, uint32_t target)
{
    int32_t d = target - (at + 4);
    __atomic_store_n((int32_t *)jit_rw(j, at), d, __ATOMIC_RELEASE);
}

/* jmp rel32 over the five-byte nop: one aligned eight-byte store. */
void jit_patch_dead(Jit *j, JitUnit *u)
{
    uint64_t *at = (uint64_t *)jit_rw(j, u->code), word;
    memcpy(&word, at, 8);
    int32_t d = u->dead_stub - (u->code + 5);
    word = (word & ~0xffffffffffull) | 0xe9 | (uint64_t)(uint32_t)d << 8;
    __atomic_store_n(at, word, __ATOMIC_RELEASE);
    for (unsigned k = 0; k < JIT_MAX_LOOPS && u->loops[k]; k++)
        jit_patch(j, u->loops[k], u->loops[k] + 4);     /* does not jump: what follows leaves */
}

void jit_dump_code(Jit *j, const JitUnit *u, GString *out)
{
    for (unsigned k = 0; k < u->code_size; k++)
        g_string_append_printf(out, "%02x%s", *jit_rx(j, u->code + k), k % 32 == 31 ? "\n" : "");
    g_string_append_c(out, '\n');
}
