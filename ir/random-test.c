/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random units: while one is built, a model carries out each operation on concrete values. The unit
 * interpreted as built, and again after the backward pass, must leave the state that the model has.
 * This holds folding, sharing, forwarding of overlapping slots and dead-set removal to their meaning.
 */
#include <glib.h>
#include <string.h>

#include "core/cpu.h"
#include "ir/eval.h"

enum { STATE = 64, VALUES = 400 };

typedef struct FakeCpu {
    Cpu cpu;
    uint8_t state[STATE];
} FakeCpu;
#define AT(n) ((int32_t)(offsetof(FakeCpu, state) + (n)))

typedef struct Known {
    IrRef ref;
    uint64_t v;                 /* zero-extended from its type */
} Known;

typedef struct Gen {
    GRand *rand;
    IrUnit *u;
    Known v[VALUES];
    unsigned n;
    uint8_t model[STATE];
    bool live;                  /* the model goes this way */
} Gen;

static unsigned rnd(Gen *g, unsigned n) { return g_rand_int(g->rand) % n; }

static uint64_t odd_value(Gen *g)
{
    static const uint64_t odd[] = {0, 1, 2, 7, 8, 31, 32, 63, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff,
                                   0x80000000, 0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX};
    return rnd(g, 2) ? odd[rnd(g, G_N_ELEMENTS(odd))]
                     : (uint64_t)g_rand_int(g->rand) << 32 | g_rand_int(g->rand);
}

static void keep(Gen *g, IrRef ref, uint64_t v)
{
    uint64_t c = v & ir_ones(ir_width(ir_type(g->u, ref)));

    if (g->n < VALUES) {
        g->v[g->n++] = (Known){ref, c};
    }
}

static Known pick(Gen *g, IrType t)
{
    for (unsigned tries = 0; tries < 6 && g->n; tries++) {
        Known k = g->v[rnd(g, g->n)];
        if (ir_type(g->u, k.ref) == t) {
            return k;
        }
    }
    uint64_t v = odd_value(g) & ir_ones(ir_width(t));
    return (Known){ir_const(g->u, t, (int64_t)v), v};
}

static const struct { IrOp op; IrRef (*fn)(IrBuilder *, IrRef, IrRef); } binaries[] = {
#define B(name) {IR_OP_##name, ir_##name},
    B(add) B(sub) B(mul) B(mulhu) B(mulhs) B(divu) B(remu) B(and) B(or) B(xor) B(andn) B(shl) B(shr)
    B(sar) B(rotl) B(rotr)
};
static const struct { IrOp op; IrRef (*fn)(IrBuilder *, IrRef); } unaries[] = {
#define U(name) {IR_OP_##name, ir_##name},
    U(neg) U(not) U(bswap) U(clz) U(ctz) U(popcnt)
};

static void one_binary(Gen *g, IrType t)
{
    unsigned k = rnd(g, G_N_ELEMENTS(binaries));
    Known x = pick(g, t), y = pick(g, t);

    if ((binaries[k].op == IR_OP_divu || binaries[k].op == IR_OP_remu) && !y.v) {
        return;
    }
    keep(g, binaries[k].fn(g->u, x.ref, y.ref), ir_eval_binary(binaries[k].op, ir_width(t), x.v, y.v));
}

static void one_field(Gen *g, IrType t)
{
    Known x = pick(g, t), y = pick(g, t);
    unsigned w = ir_width(t), lsb = rnd(g, w), len = 1 + rnd(g, w - lsb), aux = lsb | len << 8;

    switch (rnd(g, 3)) {
    case 0: keep(g, ir_extract(g->u, x.ref, lsb, len), ir_eval_extract(aux, x.v)); break;
    case 1:
        keep(g, ir_sextract(g->u, x.ref, lsb, len), (uint64_t)ir_sign(ir_eval_extract(aux, x.v), len));
        break;
    default: keep(g, ir_deposit(g->u, x.ref, y.ref, lsb, len), ir_eval_deposit(aux, x.v, y.v));
    }
}

static void one_extension(Gen *g)
{
    Known x = pick(g, rnd(g, 2) ? IR_I32 : IR_I64);
    IrType t = rnd(g, 2) ? IR_I32 : IR_I64;
    unsigned bits = 8u << rnd(g, 3);

    switch (rnd(g, 3)) {
    case 0: keep(g, ir_zext(g->u, t, x.ref, bits), x.v & ir_ones(bits)); break;
    case 1: keep(g, ir_sext(g->u, t, x.ref, bits), (uint64_t)ir_sign(x.v, bits)); break;
    default: keep(g, ir_trunc(g->u, x.ref), x.v);
    }
}

static void one_choice(Gen *g, IrType t)
{
    Known x = pick(g, t), y = pick(g, t), c = pick(g, rnd(g, 2) ? IR_I32 : IR_I64);
    IrType to = rnd(g, 2) ? IR_I32 : IR_I64;
    IrCond cc = rnd(g, 12);

    if (rnd(g, 2)) {
        keep(g, ir_setcond(g->u, to, cc, x.ref, y.ref), ir_eval_cond(cc, ir_width(t), x.v, y.v));
    } else {
        keep(g, ir_select(g->u, c.ref, x.ref, y.ref), c.v ? x.v : y.v);
    }
}

static void one_slot(Gen *g)
{
    unsigned log = rnd(g, 4), bytes = 1u << log;
    unsigned at = rnd(g, STATE / bytes) * bytes;
    IrType t = log == 3 || rnd(g, 2) ? IR_I64 : IR_I32;

    if (rnd(g, 2)) {
        uint64_t v = 0;
        memcpy(&v, g->model + at, bytes);
        if (!g->live) {
            return;             /* the model does not know what it would be here */
        }
        keep(g, ir_get(g->u, t, AT(at), bytes), v);
        return;
    }
    Known x = pick(g, t);
    ir_set(g->u, AT(at), bytes, x.ref);
    if (g->live) {
        memcpy(g->model + at, &x.v, bytes);
    }
}

static void one(Gen *g)
{
    IrType t = rnd(g, 2) ? IR_I32 : IR_I64;
    Known x;

    switch (rnd(g, 8)) {
    case 0: one_binary(g, t); break;
    case 1: one_field(g, t); break;
    case 2: one_extension(g); break;
    case 3: one_choice(g, t); break;
    case 4:
        x = pick(g, t);
        unsigned k = rnd(g, G_N_ELEMENTS(unaries));
        keep(g, unaries[k].fn(g->u, x.ref), ir_eval_unary(unaries[k].op, ir_width(t), x.v));
        break;
    default: one_slot(g);
    }
}

/* A piece of code that a branch may skip; what is made inside is not used behind. */
static void one_branch(Gen *g)
{
    IrType t = rnd(g, 2) ? IR_I32 : IR_I64;
    Known x = pick(g, t), y = pick(g, t);
    IrCond cc = rnd(g, 12);
    unsigned label = ir_label(g->u), before = g->n;
    bool was = g->live;

    ir_brcond(g->u, cc, x.ref, y.ref, label);
    g->live = was && !ir_eval_cond(cc, ir_width(t), x.v, y.v);
    for (unsigned i = rnd(g, 12); i > 0; i--) {
        one(g);
    }
    ir_bind(g->u, label);
    g->n = before;
    g->live = was;
}

static void check(Gen *g, const uint8_t *initial, const char *when)
{
    g_autofree FakeCpu *f = g_new0(FakeCpu, 1);
    g_autofree char *why = ir_verify(g->u);

    g_assert_cmpstr(why, ==, NULL);
    memcpy(f->state, initial, STATE);
    f->cpu.page_base = g->u->page_base;
    ir_interpret(g->u, &f->cpu);
    if (memcmp(f->state, g->model, STATE)) {
        g_autoptr(GString) text = g_string_new(NULL);
        ir_print(g->u, text, NULL);
        g_test_message("%s\n%s", when, text->str);
    }
    g_assert_cmpmem(f->state, STATE, g->model, STATE);
}

static void test_random(void)
{
    unsigned rounds = g_test_quick() ? 3000 : 300000;
    IrUnit *u = ir_unit_new();

    for (unsigned r = 0; r < rounds; r++) {
        Gen g = {.u = u, .live = true, .rand = g_rand_new_with_seed((guint32)g_test_rand_int())};
        uint8_t initial[STATE];
        for (unsigned i = 0; i < STATE; i++) {
            initial[i] = (uint8_t)rnd(&g, 256);
        }
        memcpy(g.model, initial, STATE);
        ir_unit_reset(u, 0x1000, 0);
        ir_insn(u, 0x1000);
        for (unsigned i = 10 + rnd(&g, 60); i > 0; i--) {
            if (rnd(&g, 10) == 0 && u->n_labels < 30) {
                one_branch(&g);
            } else {
                one(&g);
            }
        }
        ir_goto_pc(u, 0x1004);
        check(&g, initial, "as built");
        ir_optimize(u);
        check(&g, initial, "after the backward pass");
        g_rand_free(g.rand);
    }
    ir_unit_free(u);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ir/random", test_random);
    return g_test_run();
}
