/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for the guests' decoders, disassemblers and translators: bytes are printed as
 * instructions, translated, optimised, verified and run for a while by the interpreter.
 * The first byte chooses the guest and its mode.
 */
#include "core/testing.h"
#include "core/softmmu.h"
#include "ir/ir.h"
#include "target/x86.h"
#include "tests/fuzz/fuzz.h"

enum { CODE = 0x8000, TABLES = 0x1000, UNITS = 24, MAX_CODE = 256, LARGE = 0x83, HLT = 0xf4 };

typedef struct Guest {
    const char *isa;
    X86BootMode mode;
} Guest;
static const Guest guests[] = {
    {"x86_64", X86_BOOT_LONG64}, {"x86_64", X86_BOOT_PROT32}, {"i386", X86_BOOT_REAL},
    {"riscv64"}, {"riscv32"},
};

/* One page of 2 MiB that is where it is. */
static void map_identity(TestDevice *t)
{
    as_store(t->vm->memory, TABLES, 8, (TABLES + 0x1000) | 3);
    as_store(t->vm->memory, TABLES + 0x1000, 8, (TABLES + 0x2000) | 3);
    as_store(t->vm->memory, TABLES + 0x2000, 8, LARGE);
}

static void start(TestDevice *t, Cpu *cpu, const Guest *g, FuzzInput *in)
{
    if (g_str_has_prefix(g->isa, "riscv")) {
        cpu->pc = CODE;
        return;
    }
    map_identity(t);
    X86Boot boot = {.mode = g->mode, .start = g->mode == X86_BOOT_REAL ? CODE << 12 : CODE,
                    .cr3 = TABLES, .rsp = 0x7000};
    boot.rax = fuzz_int(in, 4);
    boot.rbx = fuzz_int(in, 2);
    boot.rsi = fuzz_int(in, 2);
    boot.rdi = fuzz_int(in, 2);
    x86_cpu_boot(cpu, &boot);
}

static void print(Cpu *cpu, const uint8_t *code, unsigned n)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned at = 0; at < n;) {
        unsigned used = cpu->isa->disassemble(cpu, code + at, n - at, CODE + at, text);
        at += MAX(used, 1);
    }
}

static void translate(Cpu *cpu, IrUnit *unit, bool single)
{
    ir_unit_reset(unit, cpu->pc, cpu->mode);
    unit->single = single;
    cpu->page_base = cpu->pc & ~0xfffull;
    cpu->isa->translate(cpu, unit);
}

static void run_unit(Cpu *cpu, IrUnit *unit)
{
    cpu->can_exit = true;
    if (!sigsetjmp(cpu->exit_env, 0)) {
        if (__atomic_load_n(&cpu->req, __ATOMIC_SEQ_CST)) {
            cpu->isa->interrupt(cpu);
        }
        translate(cpu, unit, false);
        if (unit->overflow) {   /* as engines do with what does not fit */
            translate(cpu, unit, true);
            g_assert_false(unit->overflow);
        }
        ir_optimize(unit);
        g_autofree char *bad = ir_verify(unit);
        if (bad) {
            g_error("%s", bad);
        }
        ir_interpret(unit, cpu);
    }
    cpu->can_exit = false;
}

/* Machines are kept from input to input: making one takes longer than running it. */
static Cpu *fresh_cpu(const Guest *g, TestDevice **t)
{
    static TestDevice *kept[G_N_ELEMENTS(guests)];
    unsigned i = (unsigned)(g - guests);

    if (!kept[i]) {
        const char *model = strcmp(g->isa, "riscv32") ? "max" : "rv32";
        g_autoptr(GError) error = NULL;
        kept[i] = test_machine();
        Cpu *cpu = cpu_new(kept[i]->vm, isa_find(g->isa), model, 0, &error);
        g_assert_no_error(error);
        g_assert_true(softmmu_init(cpu));
    }
    *t = kept[i];
    static const uint8_t nothing[TEST_RAM];
    as_write((*t)->vm->memory, 0, nothing, sizeof(nothing));
    Cpu *cpu = (*t)->vm->cpus[0];
    device_reset(&cpu->dev);
    softmmu_flush(cpu);
    return cpu;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static IrUnit *unit;
    FuzzInput in = {data, size};
    const Guest *g = &guests[fuzz_int(&in, 1) % G_N_ELEMENTS(guests)];
    TestDevice *t;
    Cpu *cpu = fresh_cpu(g, &t);
    uint8_t code[MAX_CODE];

    unit = unit ? unit : ir_unit_new();
    start(t, cpu, g, &in);
    unsigned n = (unsigned)fuzz_bytes(&in, code, sizeof(code));
    memset(code + n, HLT, sizeof(code) - n);
    g_assert_true(as_write(t->vm->memory, CODE, code, sizeof(code)));
    print(cpu, code, n);
    for (unsigned i = 0; i < UNITS && !cpu->halted; i++) {
        run_unit(cpu, unit);
    }
    return 0;
}

const char *const fuzz_words[] = { NULL };
