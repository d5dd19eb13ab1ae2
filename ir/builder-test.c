/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the builder, the backward pass, the printer and the verifier. */
#include <glib.h>
#include <string.h>

#include "ir/ir.h"
#include "ir/vector.h"

static IrUnit *fresh(void)
{
    IrUnit *u = ir_unit_new();

    ir_unit_reset(u, 0x10000040, 0);
    ir_insn(u, 0x10000040);
    return u;
}

static unsigned count(const IrUnit *u, IrOp op)
{
    unsigned n = 0;

    for (unsigned i = 1; i < u->n_nodes; i++) {
        n += u->nodes[i].op == op;
    }
    return n;
}

static void check_const(IrUnit *u, IrRef v, int64_t expected)
{
    int64_t c = 0;

    g_assert_true(ir_is_const(u, v, &c));
    g_assert_cmphex(c, ==, expected);
}

/* Ends, verifies, optimises, verifies again, frees. */
static void finish(IrUnit *u)
{
    if (!u->ended) {
        ir_goto_pc(u, u->pc + 4);
    }
    g_autofree char *before = ir_verify(u);
    g_assert_cmpstr(before, ==, NULL);
    ir_optimize(u);
    g_autofree char *after = ir_verify(u);
    g_assert_cmpstr(after, ==, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    ir_print(u, text, NULL);
    g_assert_cmpuint(text->len, >, 20);
    ir_unit_free(u);
}

static void test_fold(void)
{
    IrUnit *u = fresh();
    IrRef x = ir_get(u, IR_I64, 1000, 8), w = ir_get(u, IR_I32, 2000, 4);

    check_const(u, ir_add(u, ir_i64(u, 5), ir_i64(u, -7)), -2);
    check_const(u, ir_add(u, ir_i32(u, INT32_MAX), ir_i32(u, 1)), INT32_MIN);
    check_const(u, ir_mulhu(u, ir_i64(u, -1), ir_i64(u, -1)), -2);
    check_const(u, ir_mulhs(u, ir_i32(u, -1), ir_i32(u, 5)), -1);
    check_const(u, ir_xor(u, x, x), 0);
    check_const(u, ir_clz(u, ir_i32(u, 1)), 31);
    check_const(u, ir_ctz(u, ir_i64(u, 0)), 64);
    check_const(u, ir_setcond(u, IR_I32, IR_LTU, x, ir_i64(u, 0)), 0);
    check_const(u, ir_sext(u, IR_I64, ir_i32(u, 0x80), 8), -128);
    check_const(u, ir_rotr(u, ir_i32(u, 1), ir_i32(u, 1)), INT32_MIN);
    g_assert_cmpuint(ir_addi(u, ir_addi(u, x, 5), -5), ==, x);
    g_assert_cmpuint(ir_sub(u, x, ir_i64(u, 3)), ==, ir_addi(u, x, -3));
    g_assert_cmpuint(ir_trunc(u, ir_zext(u, IR_I64, w, 32)), ==, w);
    g_assert_cmpuint(ir_trunc(u, ir_sext(u, IR_I64, w, 32)), ==, w);
    g_assert_cmpuint(ir_zext(u, IR_I32, ir_zext(u, IR_I32, w, 8), 16), ==, ir_zext(u, IR_I32, w, 8));
    g_assert_cmpuint(ir_andi(u, w, 0xff), ==, ir_zext(u, IR_I32, w, 8));
    g_assert_cmpuint(ir_not(u, ir_not(u, x)), ==, x);
    g_assert_cmpuint(ir_select(u, ir_i32(u, 1), x, ir_i64(u, 0)), ==, x);
    g_assert_cmpuint(ir_addi(u, ir_pcrel(u, 0x10000044), 4), ==, ir_pcrel(u, 0x10000048));
    g_assert_cmpuint(ir_mul(u, x, ir_i64(u, 8)), ==, ir_shli(u, x, 3));

    /* shifts that make up a rotation, of words in wider registers, too */
    IrRef up = ir_shli(u, w, 5), down = ir_shri(u, w, 27);
    g_assert_cmpint(u->nodes[ir_or(u, up, down)].op, ==, IR_OP_rotr);
    IrRef wide = ir_xor(u, ir_zext(u, IR_I64, down, 32), ir_sext(u, IR_I64, up, 32));
    g_assert_cmpint(u->nodes[wide].op, ==, IR_OP_sext);
    g_assert_cmpint(u->nodes[u->nodes[wide].a].op, ==, IR_OP_rotr);
    g_assert_cmpint(u->nodes[ir_or(u, up, ir_shri(u, w, 26))].op, ==, IR_OP_or);
    finish(u);
}

static void test_sharing(void)
{
    IrUnit *u = fresh();
    IrRef x = ir_get(u, IR_I64, 0, 8), y = ir_get(u, IR_I64, 8, 8);
    IrRef sum = ir_add(u, x, y);

    g_assert_cmpuint(ir_add(u, y, x), ==, sum);
    g_assert_cmpuint(ir_sub(u, y, x), !=, ir_sub(u, x, y));
    ir_set(u, 16, 8, sum);
    finish(u);
}

static void test_slots(void)
{
    IrUnit *u = fresh();
    IrRef rax = ir_get(u, IR_I64, 64, 8), v = ir_get(u, IR_I32, 128, 4);

    g_assert_cmpuint(ir_get(u, IR_I64, 64, 8), ==, rax);
    g_assert_cmpuint(ir_get(u, IR_I32, 64, 4), ==, ir_trunc(u, rax));
    unsigned gets = count(u, IR_OP_get);
    ir_set(u, 65, 1, v);                                /* ah */
    g_assert_cmpuint(ir_get(u, IR_I32, 65, 1), ==, ir_zext(u, IR_I32, v, 8));
    g_assert_cmpuint(ir_get(u, IR_I32, 64, 1), ==, ir_zext(u, IR_I32, rax, 8));
    IrRef merged = ir_get(u, IR_I64, 64, 8);
    g_assert_cmpint(u->nodes[merged].op, ==, IR_OP_deposit);
    g_assert_cmpuint(count(u, IR_OP_get), ==, gets);
    /* The same value again is no set; another is. */
    unsigned sets = count(u, IR_OP_set);
    ir_set(u, 64, 8, merged);
    g_assert_cmpuint(count(u, IR_OP_set), ==, sets);
    ir_set(u, 64, 8, rax);
    g_assert_cmpuint(count(u, IR_OP_set), ==, sets + 1);
    /* Wider than what is known: a real get. */
    ir_set(u, 200, 4, v);
    ir_get(u, IR_I64, 200, 8);
    g_assert_cmpuint(count(u, IR_OP_get), ==, gets + 1);
    finish(u);
}

static void nothing(void) {}

static void test_calls(void)
{
    static const IrHelper all = {"all", nothing, IR_VOID, IR_H_ANY};
    static const IrHelper fill = {"fill", nothing, IR_VOID, IR_H_FAULT};
    static const IrHelper calc = {"calc", nothing, IR_I64, 0};
    IrUnit *u = fresh();
    IrRef x = ir_get(u, IR_I64, 0, 8), y = ir_get(u, IR_I64, 8, 8);

    ir_call(u, &fill, ir_slot(u, 0, 8, 2), 0, 0, 0);
    g_assert_cmpuint(ir_get(u, IR_I64, 8, 8), ==, y);
    g_assert_cmpuint(ir_get(u, IR_I64, 0, 8), !=, x);
    g_assert_cmpuint(ir_call(u, &calc, x, 0, 0, 0), ==, ir_call(u, &calc, x, 0, 0, 0));
    ir_call(u, &all, 0, 0, 0, 0);
    g_assert_cmpuint(ir_get(u, IR_I64, 8, 8), !=, y);
    ir_goto_pc(u, u->pc);
    ir_optimize(u);
    unsigned calls = count(u, IR_OP_call);
    g_assert_cmpuint(calls, ==, 2);                     /* calc is not used */
    finish(u);
}

static void test_vectors(void)
{
    IrUnit *u = fresh();
    IrRef x = ir_get(u, IR_V128, 512, 16);

    g_assert_cmpuint(ir_get(u, IR_V128, 512, 16), ==, x);
    ir_set(u, 520, 8, ir_i64(u, 1));
    IrRef y = ir_get(u, IR_V128, 512, 16);
    g_assert_cmpuint(y, !=, x);
    IrRef sum = ir_v_add(u, IR_V128, IR_W, x, y);
    g_assert_cmpuint(ir_v_add(u, IR_V128, IR_W, y, x), ==, sum);
    g_assert_cmpuint(ir_v_add(u, IR_V128, IR_B, y, x), !=, sum);
    ir_set(u, 512, 16, sum);
    g_assert_cmpuint(ir_get(u, IR_V128, 512, 16), ==, sum);
    finish(u);
}

static void test_labels(void)
{
    IrUnit *u = fresh();
    IrRef x = ir_get(u, IR_I64, 0, 8), y = ir_get(u, IR_I64, 8, 8);
    IrRef sum = ir_add(u, x, y);
    unsigned skip = ir_label(u);

    ir_brcond(u, IR_LT, x, y, skip);
    IrRef inner = ir_sub(u, x, y);
    ir_set(u, 8, 8, inner);
    ir_bind(u, skip);
    g_assert_cmpuint(ir_add(u, x, y), ==, sum);
    g_assert_cmpuint(ir_sub(u, x, y), !=, inner);
    g_assert_cmpuint(ir_get(u, IR_I64, 0, 8), ==, x);
    IrRef again = ir_get(u, IR_I64, 8, 8);
    g_assert_cmpuint(again, !=, y);
    g_assert_cmpuint(again, !=, inner);
    /* What was only made on one path is not for the other. */
    ir_set(u, 16, 8, inner);
    ir_goto_pc(u, u->pc);
    g_autofree char *why = ir_verify(u);
    g_assert_nonnull(why);
    ir_unit_free(u);
}

static void test_branches(void)
{
    IrUnit *u = fresh();
    unsigned never = ir_label(u), always = ir_label(u);
    IrRef x = ir_get(u, IR_I64, 0, 8);

    ir_brcond(u, IR_NE, x, x, never);
    g_assert_cmpuint(count(u, IR_OP_brcond), ==, 0);
    ir_brcond(u, IR_NE, ir_setcond(u, IR_I32, IR_GT, x, ir_i64(u, 3)), ir_i32(u, 0), always);
    g_assert_cmpuint(u->nodes[u->n_nodes - 1].aux, ==, IR_GT);
    ir_goto_pc(u, u->pc);
    ir_bind(u, never);
    ir_set(u, 64, 8, x);
    ir_goto_pc(u, u->pc);
    ir_bind(u, always);
    ir_goto_pc(u, u->pc + 8);
    ir_optimize(u);
    g_assert_cmpuint(count(u, IR_OP_set), ==, 0);
    g_assert_cmpuint(count(u, IR_OP_goto_pc), ==, 2);
    finish(u);
}

static void test_dead_sets(void)
{
    static const IrHelper look = {"look", nothing, IR_VOID, IR_H_READ | IR_H_EFFECT};
    IrUnit *u = fresh();
    IrRef x = ir_get(u, IR_I64, 0, 8), y = ir_get(u, IR_I64, 8, 8);

    ir_set(u, 64, 8, x);                                /* 0: dead */
    ir_set(u, 68, 2, ir_trunc(u, y));                   /* 1: dead */
    ir_set(u, 64, 8, y);                                /* 2: seen by the fault only */
    ir_load(u, IR_I64, x, 0, IR_M64);
    ir_set(u, 64, 8, x);                                /* 3: seen by the helper */
    ir_call(u, &look, 0, 0, 0, 0);
    ir_set(u, 64, 8, y);                                /* 4: leaves */
    ir_goto_pc(u, u->pc);
    ir_optimize(u);
    g_assert_cmpuint(count(u, IR_OP_set), ==, 3);
    unsigned marked = 0;
    for (unsigned i = 1; i < u->n_nodes; i++) {
        marked += u->nodes[i].op == IR_OP_set && u->nodes[i].d == IR_SET_FAULT_ONLY;
    }
    g_assert_cmpuint(marked, ==, 1);
    finish(u);
}

static void test_dead_sets_by_branch(void)
{
    IrUnit *u = fresh();
    unsigned l = ir_label(u), done = ir_label(u);
    IrRef x = ir_get(u, IR_I64, 0, 8);

    ir_set(u, 64, 8, x);                                /* dead: both paths write */
    ir_set(u, 72, 8, x);                                /* one path does not */
    ir_brcond(u, IR_EQ, x, ir_i64(u, 1), l);
    ir_set(u, 64, 8, ir_i64(u, 1));
    ir_set(u, 72, 8, ir_i64(u, 1));
    ir_br(u, done);
    ir_bind(u, l);
    ir_set(u, 64, 8, ir_i64(u, 2));
    ir_bind(u, done);
    ir_goto_pc(u, u->pc);
    ir_optimize(u);
    g_assert_cmpuint(count(u, IR_OP_set), ==, 4);
    finish(u);
}

static void test_overflow(void)
{
    IrUnit *u = fresh();

    for (unsigned i = 0; i < 2 * IR_MAX_NODES; i++) {
        ir_set(u, (int32_t)(i % 1000) * 8, 8, ir_i64(u, i));
    }
    g_assert_true(ir_unit_full(u));
    g_assert_true(u->overflow);
    g_autofree char *why = ir_verify(u);
    g_assert_nonnull(why);
    ir_unit_free(u);
}

/* A typical unit: how long a node takes through builder and backward pass. */
static void test_speed(void)
{
    IrUnit *u = ir_unit_new();
    unsigned nodes = 0, rounds = g_test_quick() ? 2000 : 200000;
    int64_t start = g_get_monotonic_time();

    for (unsigned r = 0; r < rounds; r++) {
        ir_unit_reset(u, 0x1000, 0);
        for (unsigned i = 0; i < 16; i++) {
            ir_insn(u, 0x1000 + 4 * i);
            IrRef a = ir_get(u, IR_I64, 8 * (int)(i * 7 % 16), 8);
            IrRef v = ir_load(u, IR_I64, ir_addi(u, a, 16), 8, IR_M64);
            ir_set(u, 8 * (int)(i * 5 % 16), 8, ir_add(u, a, ir_shli(u, v, 2)));
        }
        ir_goto_pc(u, 0x1040);
        ir_optimize(u);
        nodes += u->n_nodes;
    }
    g_test_message("%.1f ns per node", (double)(g_get_monotonic_time() - start) * 1000 / nodes);
    ir_unit_free(u);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ir/fold", test_fold);
    g_test_add_func("/ir/sharing", test_sharing);
    g_test_add_func("/ir/slots", test_slots);
    g_test_add_func("/ir/calls", test_calls);
    g_test_add_func("/ir/vectors", test_vectors);
    g_test_add_func("/ir/labels", test_labels);
    g_test_add_func("/ir/branches", test_branches);
    g_test_add_func("/ir/dead-sets", test_dead_sets);
    g_test_add_func("/ir/dead-sets-by-branch", test_dead_sets_by_branch);
    g_test_add_func("/ir/overflow", test_overflow);
    g_test_add_func("/ir/speed", test_speed);
    return g_test_run();
}
