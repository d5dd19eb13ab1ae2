/* SPDX-License-Identifier: Apache-2.0 */
/* Units as text (-d op) and the verifier of the rules in ir.h. */
#include <glib.h>
#include <inttypes.h>

#include "ir/state.h"

static const char *const type_names[] = {"void", "i32", "i64", "v128", "v256"};
static const char *const cond_names[] = {
    "eq", "ne", "lt", "ge", "le", "gt", "ltu", "geu", "leu", "gtu", "tst", "ntst",
};
static const char *const lane_names[] = {"b", "h", "w", "d", "f32", "f64"};
static const char *const rmw_names[] = {
    "add", "and", "or", "xor", "xchg", "min", "max", "minu", "maxu",
};

static void print_slot(const IrNode *n, GString *out, const char *(*slot_name)(int32_t))
{
    const char *name = slot_name ? slot_name(n->imm) : NULL;

    if (name) {
        g_string_append_printf(out, " %s.%u", name, n->aux);
    } else {
        g_string_append_printf(out, " [%d].%u", n->imm, n->aux);
    }
}

static void print_mop(const IrNode *n, GString *out)
{
    static const struct { unsigned bit; const char *name; } flags[] = {
        {IR_MSX, "sx"}, {IR_MBE, "be"}, {IR_MALIGN, "al"}, {IR_MACQ, "acq"}, {IR_MREL, "rel"},
        {IR_MREADW, "w"},
    };

    g_string_append_printf(out, ".m%u", 8 << (n->aux & IR_MSIZE));
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        if (n->aux & flags[i].bit) {
            g_string_append_printf(out, ".%s", flags[i].name);
        }
    }
    if (n->aux & IR_MMU_MASK) {
        g_string_append_printf(out, ".mmu%u", (n->aux & IR_MMU_MASK) >> IR_MMU_SHIFT);
    }
}

static void print_args(const IrNode *n, GString *out)
{
    const IrRef args[] = {n->a, n->b, n->c, n->d};

    for (unsigned i = 0; i < ir_op_info[n->op].args; i++) {
        if (args[i]) {
            g_string_append_printf(out, " %%%u", args[i]);
        }
    }
}

static void print_details(const IrUnit *u, const IrNode *n, GString *out,
                          const char *(*slot_name)(int32_t))
{
    switch (n->op) {
    case IR_OP_insn:
        g_string_append_printf(out, " 0x%" PRIx64, u->page_base + (uint64_t)(int64_t)n->imm);
        break;
    case IR_OP_const: g_string_append_printf(out, " 0x%" PRIx64, (uint64_t)n->imm64); break;
    case IR_OP_pcrel:
    case IR_OP_goto_pc:
    case IR_OP_call_pc:
        g_string_append_printf(out, " pc 0x%" PRIx64, u->page_base + (uint64_t)n->imm64);
        if (n->op == IR_OP_call_pc) {
            g_string_append_printf(out, " ret 0x%" PRIx64, u->page_base + (uint64_t)(int64_t)n->imm);
        }
        break;
    case IR_OP_get:
    case IR_OP_slot: print_slot(n, out, slot_name); break;
    case IR_OP_set:
        print_slot(n, out, slot_name);
        g_string_append(out, n->d == IR_SET_FAULT_ONLY ? " (faults)" : "");
        break;
    case IR_OP_zext:
    case IR_OP_sext: g_string_append_printf(out, " %u", n->aux); break;
    case IR_OP_deposit:
    case IR_OP_extract:
    case IR_OP_sextract: g_string_append_printf(out, " %u+%u", n->aux & 0xff, n->aux >> 8); break;
    case IR_OP_setcond: g_string_append_printf(out, " %s", cond_names[n->aux]); break;
    case IR_OP_load:
    case IR_OP_store: g_string_append_printf(out, " %+d", n->imm); break;
    case IR_OP_probe: g_string_append_printf(out, " %+d %u %s", n->imm, n->aux, n->d & 1 ? "w" : "r"); break;
    case IR_OP_rmw: g_string_append_printf(out, " %s", rmw_names[n->imm]); break;
    case IR_OP_call: g_string_append_printf(out, " %s", u->helpers[n->imm]->name); break;
    case IR_OP_br:
    case IR_OP_bind: g_string_append_printf(out, " L%d", n->imm); break;
    case IR_OP_brcond: g_string_append_printf(out, " %s L%d", cond_names[n->aux], n->imm); break;
    case IR_OP_call_ind:
        g_string_append_printf(out, " ret 0x%" PRIx64, u->page_base + (uint64_t)(int64_t)n->imm);
        break;
    }
    if (n->op >= IR_OP_v_and) {
        g_string_append_printf(out, " %s", n->aux < G_N_ELEMENTS(lane_names) ? lane_names[n->aux] : "?");
        if (n->imm) {
            g_string_append_printf(out, " #%d", n->imm);
        }
    }
}

void ir_print(const IrUnit *u, GString *out, const char *(*slot_name)(int32_t offset))
{
    g_string_append_printf(out, "unit 0x%" PRIx64 " mode 0x%x, %u bytes, %u instructions\n",
                           u->pc, u->mode, u->size, u->n_insns);
    for (unsigned i = 1; i < u->n_nodes; i++) {
        const IrNode *n = &u->nodes[i];
        if (n->op == IR_OP_nop) {
            continue;
        }
        bool value = n->type && !(ir_op_info[n->op].flags & IR_EXIT) && n->op != IR_OP_set &&
                     n->op != IR_OP_store;
        if (value) {
            g_string_append_printf(out, "%6s%u = ", "%", i);
        } else {
            g_string_append(out, n->op == IR_OP_insn ? "-- " : "        ");
        }
        g_string_append(out, ir_op_info[n->op].name);
        if (n->type) {
            g_string_append_printf(out, ".%s", type_names[n->type]);
        }
        if (n->op == IR_OP_load || n->op == IR_OP_store || n->op == IR_OP_rmw || n->op == IR_OP_cas) {
            print_mop(n, out);
        }
        print_details(u, n, out, slot_name);
        print_args(n, out);
        g_string_append_c(out, '\n');
    }
}

/* ---- the verifier ---- */

typedef struct Verify {
    const IrUnit *u;
    bool *usable;               /* by node: defined on every path to here */
    unsigned first[IR_MAX_LABELS];
    bool bound[IR_MAX_LABELS];
    bool open;                  /* control reaches this point */
} Verify;

/* Types of a node's arguments: 'i' any one integer type shared by all marked so, 's' the result's. */
static const char *check_types(const IrUnit *u, const IrNode *n)
{
    unsigned args = ir_op_info[n->op].args;
    IrType a = args > 0 ? u->nodes[n->a].type : IR_VOID;
    IrType b = args > 1 ? u->nodes[n->b].type : IR_VOID;
    IrType c = args > 2 ? u->nodes[n->c].type : IR_VOID;

    switch (n->op) {
    case IR_OP_setcond:
    case IR_OP_brcond:
        return a == b && ir_is_int(a) ? NULL : "compares different types";
    case IR_OP_select:
        return ir_is_int(a) && b == c && b == n->type ? NULL : "selects between different types";
    case IR_OP_zext:
    case IR_OP_sext:
        return ir_is_int(a) && n->aux && n->aux <= 32 ? NULL : "extends what it cannot";
    case IR_OP_trunc: return a == IR_I64 ? NULL : "truncates what is not I64";
    case IR_OP_load:
    case IR_OP_store:
    case IR_OP_probe:
    case IR_OP_rmw:
    case IR_OP_cas: return a == IR_I64 ? NULL : "has an address that is not I64";
    case IR_OP_goto_ind:
    case IR_OP_call_ind:
    case IR_OP_ret:
    case IR_OP_resync: return a == IR_I64 ? NULL : "has a pc that is not I64";
    }
    if (n->op >= IR_OP_add && n->op <= IR_OP_sextract) {
        bool two = ir_op_info[n->op].args == 2;
        return a == n->type && (!two || b == n->type) && ir_is_int(a) ? NULL : "mixes types";
    }
    return NULL;
}

static const char *check_labels(Verify *v, unsigned i, const IrNode *n)
{
    if (n->op != IR_OP_br && n->op != IR_OP_brcond && n->op != IR_OP_bind) {
        return NULL;
    }
    if ((unsigned)n->imm >= v->u->n_labels) {
        return "names no label";
    }
    if (v->bound[n->imm]) {
        return n->op == IR_OP_bind ? "binds a label twice" : "branches backward";
    }
    if (n->op == IR_OP_bind) {
        v->bound[n->imm] = true;
        for (unsigned k = v->first[n->imm]; v->first[n->imm] && k < i; k++) {
            v->usable[k] = false;
        }
        v->open |= v->first[n->imm] != 0;
    } else if (!v->first[n->imm]) {
        v->first[n->imm] = i;
    }
    return NULL;
}

static const char *check_node(Verify *v, unsigned i, const IrNode *n)
{
    const IrRef args[] = {n->a, n->b, n->c, n->d};

    if (n->op >= IR_OP_COUNT) {
        return "is no operation";
    }
    for (unsigned k = 0; k < ir_op_info[n->op].args; k++) {
        if (args[k] >= i) {
            return "uses what comes later";
        }
        if (n->op == IR_OP_call && !args[k]) {
            continue;
        }
        if (!args[k] || v->u->nodes[args[k]].op == IR_OP_nop) {
            return "uses no value";
        }
        if (!v->usable[args[k]]) {
            return "uses a value that is not defined on every path";
        }
    }
    if (n->op == IR_OP_call && (unsigned)n->imm >= v->u->n_helpers) {
        return "calls no helper";
    }
    const char *why = check_types(v->u, n);
    return why ? why : check_labels(v, i, n);
}

char *ir_verify(const IrUnit *u)
{
    g_autofree bool *usable = g_new0(bool, u->n_nodes + 1);
    Verify v = {.u = u, .usable = usable, .open = true};

    if (u->overflow) {
        return g_strdup("the unit has more nodes, labels, helpers or instructions than fit");
    }
    for (unsigned i = 1; i < u->n_nodes; i++) {
        const IrNode *n = &u->nodes[i];
        const char *why = check_node(&v, i, n);
        if (why) {
            return g_strdup_printf("node %u (%s) %s", i, n->op < IR_OP_COUNT ? ir_op_info[n->op].name : "?", why);
        }
        usable[i] = n->type != IR_VOID && n->op != IR_OP_set && n->op != IR_OP_store;
        if (n->op == IR_OP_br || ir_op_info[n->op].flags & IR_EXIT) {
            v.open = false;
        }
    }
    for (unsigned l = 0; l < u->n_labels; l++) {
        if (v.first[l] && !v.bound[l]) {
            return g_strdup_printf("label %u is never bound", l);
        }
    }
    return v.open ? g_strdup("the unit does not end in an exit") : NULL;
}
