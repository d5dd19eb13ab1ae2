/* SPDX-License-Identifier: Apache-2.0 */
/* Toy programs through the run loop, on each engine: memory, paging, self-modifying code, interrupts,
 * debugging, counting, several CPUs. */
#include <string.h>

#include "core/accel.h"
#include "tests/lib/toy.h"
#include "util/log.h"

#define CODE(t, pa, ...)                                                                            \
    do {                                                                                            \
        const uint32_t code[] = {__VA_ARGS__};                                                      \
        toy_write(t, pa, code, G_N_ELEMENTS(code));                                                 \
    } while (0)
#define R(t, n) (toy_cpu(t, 0)->r[n])

typedef struct Config {
    const char *name;
    const char *props[8];
} Config;

static const Config configs[] = {
    {"interp", {"engine", "interp", NULL}},
    {"jit", {"engine", "jit", NULL}},
    {"single", {"engine", "interp", "one-insn-per-tb", "on", NULL}},
    {"counting", {"engine", "interp", "icount-shift", "2", NULL}},
    {"jit-counting", {"engine", "jit", "icount-shift", "2", NULL}},
    {"check", {"engine", "jit", "check", "on", NULL}},
    {"turns", {"engine", "interp", "thread", "single", NULL}},
};

static TestDevice *machine(const void *config, unsigned n)
{
    return toy_machine(n, ((const Config *)config)->props);
}

static void test_loop(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);

    CODE(t, 0, TOY(TOY_LI, 1, 0, 0), TOY(TOY_LI, 2, 0, 10000), TOY(TOY_LI, 3, 0, 0),
         TOY(TOY_ADD, 1, 2, 0), TOY(TOY_ADDI, 2, 2, -1), TOY(TOY_BNE, 2, 3, -2), TOY(TOY_HALT, 0, 0, 0));
    toy_run(t);
    g_assert_cmpuint(R(t, 1), ==, 10000ull * 10001 / 2);
    g_assert_cmphex(t->vm->cpus[0]->pc, ==, 28);
}

static void test_memory(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);

    /* Stores around a page's end, calls, sub-word loads. */
    CODE(t, 0, TOY(TOY_LI, 1, 0, 0x4ffc), TOY(TOY_LI, 2, 0, -2), TOY(TOY_ST64, 2, 1, 0),
         TOY(TOY_LD64, 3, 1, 0), TOY(TOY_LD32, 4, 1, 4), TOY(TOY_LD8, 5, 1, 7),
         TOY(TOY_CALL, 0, 0, 3), TOY(TOY_ADDI, 6, 6, 1), TOY(TOY_HALT, 0, 0, 0),
         TOY(TOY_LI, 6, 0, 41), TOY(TOY_RET, 0, 0, 0));
    toy_run(t);
    g_assert_cmphex(R(t, 3), ==, (uint64_t)-2);
    g_assert_cmphex(R(t, 4), ==, (uint64_t)-1);
    g_assert_cmphex(R(t, 5), ==, 0xff);
    g_assert_cmpuint(R(t, 6), ==, 42);
}

static void test_exceptions(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);

    /* The handler skips the instruction; r7 counts, r8 keeps the cause, r9 the address. */
    CODE(t, TOY_VECTOR, TOY(TOY_ADDI, 7, 7, 1), TOY(TOY_GETEX, 8, 0, 0), TOY(TOY_GETEX, 9, 0, 2),
         TOY(TOY_GETEX, 10, 0, 1), TOY(TOY_ADDI, 10, 10, 4), TOY(TOY_JR, 10, 0, 0));
    CODE(t, 0, TOY(TOY_LI, 1, 0, 1), TOY(TOY_SYS, 0, 0, 5), TOY(TOY_LUI, 1, 0, 0), TOY(TOY_LUI, 1, 0, 0),
         TOY(TOY_LI, 2, 0, 77), TOY(TOY_LD64, 2, 1, 16), TOY(TOY_ADDI, 3, 2, 0), TOY(TOY_HALT, 0, 0, 0));
    toy_run(t);
    g_assert_cmpuint(R(t, 7), ==, 2);
    g_assert_cmpuint(R(t, 8), ==, TOY_CAUSE_LOAD);
    g_assert_cmphex(R(t, 9), ==, (1ull << 32) + 16);
    g_assert_cmpuint(R(t, 3), ==, 77);
}

/* Page table at 0x8000: identity for the first 64 KiB. */
static void identity(TestDevice *t)
{
    for (uint64_t i = 0; i < 16; i++) {
        uint64_t e = i << 12 | TOY_VALID | TOY_WRITE | TOY_EXEC | TOY_GLOBAL;
        as_store(t->vm->memory, 0x8000 + 8 * i, 8, e);
        as_store(t->vm->memory, 0xa000 + 8 * i, 8, e);
    }
}

static void pte(TestDevice *t, uint64_t table, unsigned i, uint64_t e)
{
    as_store(t->vm->memory, table + 8 * i, 8, e);
}

static void test_paging(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);

    identity(t);
    /* Two address spaces show different pages at 0x40000; 0x50000 is one large page in both. */
    pte(t, 0x8000, 0x40, 0x20000 | TOY_VALID | TOY_WRITE);
    pte(t, 0xa000, 0x40, 0x21000 | TOY_VALID);
    for (unsigned i = 0; i < 16; i++) {
        pte(t, 0x8000, 0x50 + i, 0x30000 | TOY_VALID | TOY_WRITE | TOY_LARGE);
    }
    CODE(t, TOY_VECTOR, TOY(TOY_GETEX, 8, 0, 0), TOY(TOY_GETEX, 9, 0, 2), TOY(TOY_GETEX, 10, 0, 1),
         TOY(TOY_ADDI, 10, 10, 4), TOY(TOY_JR, 10, 0, 0));
    as_store(t->vm->memory, 0x20000, 8, 0x1111);
    as_store(t->vm->memory, 0x21000, 8, 0x2222);
    CODE(t, 0x200,
         TOY(TOY_LI, 1, 0, 0x4000), TOY(TOY_ADD, 1, 1, 0), TOY(TOY_ADD, 1, 1, 0), TOY(TOY_ADD, 1, 1, 0),
         TOY(TOY_ADD, 1, 1, 0), TOY(TOY_ADDI, 13, 1, 0x7000), TOY(TOY_ADDI, 13, 13, 0x7000),
         TOY(TOY_ADDI, 13, 13, 0x2000),                                 /* r1 0x40000, r13 0x50000 */
         TOY(TOY_LI, 2, 0, 0x4000), TOY(TOY_ADD, 2, 2, 0),              /* 0x8000 */
         TOY(TOY_ADDI, 3, 2, 0x2000),                                   /* 0xa000 */
         TOY(TOY_PAGING, 2, 0, 0x101), TOY(TOY_LD64, 4, 1, 0), TOY(TOY_ST64, 4, 1, 8),
         TOY(TOY_PAGING, 3, 0, 0x201), TOY(TOY_LD64, 5, 1, 0), TOY(TOY_ST64, 5, 1, 8),  /* faults */
         TOY(TOY_PAGING, 2, 0, 0x101), TOY(TOY_LD64, 6, 1, 8),
         TOY(TOY_ST64, 6, 13, 0x1000), TOY(TOY_LD64, 7, 13, 0x1000), TOY(TOY_FLUSH, 13, 0, 2),
         TOY(TOY_LD64, 11, 13, 0x1000), TOY(TOY_PAGING, 2, 0, 0), TOY(TOY_HALT, 0, 0, 0));
    CODE(t, 0, TOY(TOY_JMP, 0, 0, 0x80));
    toy_run(t);
    g_assert_cmphex(R(t, 4), ==, 0x1111);
    g_assert_cmphex(R(t, 5), ==, 0x2222);
    g_assert_cmphex(R(t, 6), ==, 0x1111);
    g_assert_cmpuint(R(t, 8), ==, TOY_CAUSE_STORE);
    g_assert_cmphex(R(t, 9), ==, 0x40008);
    g_assert_cmphex(R(t, 7), ==, 0x1111);
    g_assert_cmphex(R(t, 11), ==, 0x1111);
    uint64_t v;
    g_assert_true(as_load(t->vm->memory, 0x31000, 8, &v));
    g_assert_cmphex(v, ==, 0x1111);
}

/* A flush of one page makes a changed table visible, also within a large page. */
static void test_flush(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);

    identity(t);
    for (unsigned i = 0; i < 16; i++) {
        pte(t, 0x8000, 0x40 + i, 0x20000 | TOY_VALID | TOY_WRITE | TOY_LARGE);
    }
    as_store(t->vm->memory, 0x23000, 8, 5);
    as_store(t->vm->memory, 0x33000, 8, 6);
    as_store(t->vm->memory, 0xc000, 8, 0x30000 | TOY_VALID | TOY_WRITE | TOY_LARGE);
    CODE(t, 0x200,
         TOY(TOY_LI, 1, 0, 4), TOY(TOY_LUI, 1, 0, 0x3000),              /* 0x43000 */
         TOY(TOY_LI, 2, 0, 0), TOY(TOY_LUI, 2, 0, 0x8000), TOY(TOY_LI, 4, 0, 0), TOY(TOY_LUI, 4, 0, 0xc000),
         TOY(TOY_PAGING, 2, 0, 0x101), TOY(TOY_LD64, 5, 1, 0),
         TOY(TOY_LD64, 6, 4, 0), TOY(TOY_ST64, 6, 2, 0x200 + 0x18),     /* entry 0x43 */
         TOY(TOY_LI, 7, 0, 4), TOY(TOY_LUI, 7, 0, 0x8000),              /* elsewhere in the large page */
         TOY(TOY_FLUSH, 7, 0, 2), TOY(TOY_LD64, 8, 1, 0), TOY(TOY_PAGING, 2, 0, 0), TOY(TOY_HALT, 0, 0, 0));
    CODE(t, 0, TOY(TOY_JMP, 0, 0, 0x80));
    toy_run(t);
    g_assert_cmpuint(R(t, 5), ==, 5);
    g_assert_cmpuint(R(t, 8), ==, 6);
}

static void test_self_modifying(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);

    /* The loop rewrites the instruction right behind the store, each time with a larger constant. */
    CODE(t, 0, TOY(TOY_LI, 1, 0, 0), TOY(TOY_LUI, 1, 0, 0x300), TOY(TOY_LD32, 2, 1, 0),
         TOY(TOY_LI, 3, 0, 1), TOY(TOY_LUI, 3, 0, 0), TOY(TOY_LI, 5, 0, 0), TOY(TOY_LI, 6, 0, 0), TOY(TOY_LI, 8, 0, 50),
         /* 0x20 */ TOY(TOY_ST32, 2, 1, 0x24 - 0x300), TOY(TOY_LI, 4, 0, 0x7fff), TOY(TOY_ADD, 5, 4, 0),
         TOY(TOY_ADD, 2, 3, 0), TOY(TOY_ADDI, 8, 8, -1), TOY(TOY_BNE, 8, 6, -5), TOY(TOY_HALT, 0, 0, 0));
    CODE(t, 0x300, TOY(TOY_LI, 4, 0, 0));
    toy_run(t);
    g_assert_cmpuint(R(t, 5), ==, 49 * 50 / 2);
}

static void test_interrupts(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);

    CODE(t, TOY_VECTOR, TOY(TOY_ADDI, 7, 7, 1), TOY(TOY_ERET, 0, 0, 0));
    /* irq on; loop until r7 reaches 20 */
    CODE(t, 0, TOY(TOY_LI, 1, 0, 20), TOY(TOY_IRQ, 0, 0, 1), TOY(TOY_BNE, 7, 1, 0), TOY(TOY_HALT, 0, 0, 0));
    ToyCpu *c = toy_cpu(t, 0);
    vm_start(t->vm);
    for (unsigned i = 1; i <= 20; i++) {
        __atomic_store_n(&c->irq_pending, 1, __ATOMIC_SEQ_CST);
        cpu_request(&c->cpu, CPU_REQ_IRQ);
        while (__atomic_load_n(&c->r[7], __ATOMIC_SEQ_CST) < i) {
            g_usleep(20);
        }
    }
    toy_run(t);
    g_assert_cmpuint(R(t, 7), ==, 20);
}

static void test_debug(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);
    ToyCpu *c = toy_cpu(t, 0);

    CODE(t, 0, TOY(TOY_LI, 1, 0, 0x4000), TOY(TOY_LI, 2, 0, 1), TOY(TOY_ADDI, 2, 2, 1),
         TOY(TOY_ST64, 2, 1, 8), TOY(TOY_ADDI, 3, 2, 1), TOY(TOY_HALT, 0, 0, 0));
    cpu_breakpoint_add(&c->cpu, 8);
    vm_start(t->vm);
    while (__atomic_load_n(&c->cpu.state, __ATOMIC_SEQ_CST) != CPU_STOPPED || c->cpu.pc != 8) {
        g_usleep(50);
    }
    vm_stop(t->vm, RUN_DEBUG);
    g_assert_cmphex(c->cpu.pc, ==, 8);
    g_assert_cmpuint(c->r[2], ==, 1);
    cpu_breakpoint_del(&c->cpu, 8);
    cpu_singlestep(&c->cpu, true);
    vm_start(t->vm);
    while (__atomic_load_n(&c->cpu.state, __ATOMIC_SEQ_CST) != CPU_STOPPED || c->cpu.pc == 8) {
        g_usleep(50);
    }
    vm_stop(t->vm, RUN_DEBUG);
    g_assert_cmphex(c->cpu.pc, ==, 12);
    g_assert_cmpuint(c->r[2], ==, 2);
    cpu_singlestep(&c->cpu, false);
    cpu_watchpoint_add(&c->cpu, (CpuWatch){0x4008, 8, 2});
    vm_start(t->vm);
    while (__atomic_load_n(&c->cpu.state, __ATOMIC_SEQ_CST) != CPU_STOPPED || c->cpu.pc == 12) {
        g_usleep(50);
    }
    vm_stop(t->vm, RUN_DEBUG);
    g_assert_cmphex(c->cpu.pc, ==, 16);
    g_assert_nonnull(c->cpu.watch_hit);
    g_assert_cmpuint(c->r[3], ==, 0);
    cpu_watchpoint_del(&c->cpu, (CpuWatch){0x4008, 8, 2});
    toy_run(t);
    g_assert_cmpuint(c->r[3], ==, 3);
}

/* Two CPUs add to one counter. */
static void test_smp(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 2);

    CODE(t, 0, TOY(TOY_LI, 1, 0, 0x4000), TOY(TOY_LI, 3, 0, 0), TOY(TOY_LI, 8, 0, 20000),
         TOY(TOY_LI, 2, 0, 1), TOY(TOY_AMOADD, 2, 1, 0), TOY(TOY_ADDI, 8, 8, -1), TOY(TOY_BNE, 8, 3, -3),
         TOY(TOY_HALT, 0, 0, 0));
    toy_run(t);
    uint64_t v;
    g_assert_true(as_load(t->vm->memory, 0x4000, 8, &v));
    g_assert_cmpuint(v, ==, 40000);
}

/* Counted exactly, whichever engine. */
static void test_count(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);

    if (!strstr(((const Config *)config)->name, "counting")) {
        return;
    }
    CODE(t, 0, TOY(TOY_LI, 2, 0, 1000), TOY(TOY_LI, 3, 0, 0), TOY(TOY_ADDI, 2, 2, -1), TOY(TOY_BNE, 2, 3, -1),
         TOY(TOY_HALT, 0, 0, 0));
    toy_run(t);
    g_assert_cmpuint(t->vm->cpus[0]->insn_count, ==, 2 + 2000 + 1);
}

static void test_speed(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);
    unsigned rounds = g_test_quick() ? 1 : 300;

    CODE(t, 0, TOY(TOY_LI, 9, 0, rounds), TOY(TOY_LI, 3, 0, 0), TOY(TOY_LI, 1, 0, 0x4000),
         TOY(TOY_LI, 2, 0, 30000), TOY(TOY_LD64, 4, 1, 0), TOY(TOY_ADD, 4, 2, 0), TOY(TOY_ST64, 4, 1, 0),
         TOY(TOY_XOR, 5, 4, 0), TOY(TOY_ADDI, 2, 2, -1), TOY(TOY_BNE, 2, 3, -5), TOY(TOY_ADDI, 9, 9, -1),
         TOY(TOY_BNE, 9, 3, -8), TOY(TOY_HALT, 0, 0, 0));
    int64_t start = g_get_monotonic_time();
    toy_run(t);
    double s = (double)(g_get_monotonic_time() - start) / 1e6;
    g_test_message("%.1f million instructions/s", 30000.0 * 6 * rounds / s / 1e6);
    g_autoptr(GString) text = g_string_new(NULL);
    ((const AccelType *)t->vm->accel->object.type)->info(t->vm->accel, text);
    g_assert_nonnull(strstr(text->str, "engine"));
}

/* The check did compare, and nothing differed. */
static void test_checked(const void *config)
{
    g_autoptr(TestDevice) t = machine(config, 1);

    if (strcmp(((const Config *)config)->name, "check")) {
        return;
    }
    CODE(t, 0, TOY(TOY_LI, 2, 0, 100), TOY(TOY_LI, 1, 0, 0x4000), TOY(TOY_ST64, 2, 1, 0), TOY(TOY_LD64, 4, 1, 0),
         TOY(TOY_ADDI, 2, 2, -1), TOY(TOY_BNE, 2, 3, -3), TOY(TOY_HALT, 0, 0, 0));
    toy_run(t);
    g_assert_cmpuint(R(t, 4), ==, 1);
    g_autoptr(GString) text = g_string_new(NULL);
    ((const AccelType *)t->vm->accel->object.type)->info(t->vm->accel, text);
    g_assert_nonnull(strstr(text->str, "check: 100 units agreed"));
}

static const struct { const char *name; void (*fn)(const void *); } tests[] = {
    {"loop", test_loop}, {"memory", test_memory}, {"exceptions", test_exceptions},
    {"paging", test_paging}, {"flush", test_flush}, {"self-modifying", test_self_modifying},
    {"interrupts", test_interrupts}, {"debug", test_debug}, {"smp", test_smp}, {"count", test_count},
    {"checked", test_checked}, {"speed", test_speed},
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned c = 0; c < G_N_ELEMENTS(configs); c++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *path = g_strdup_printf("/tcg/%s/%s", configs[c].name, tests[i].name);
            g_test_add_data_func(path, &configs[c], tests[i].fn);
        }
    }
    return g_test_run();
}
