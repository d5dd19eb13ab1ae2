/* SPDX-License-Identifier: Apache-2.0 */
/* The bare machine of testing.h. */
#include "target/x86/testing.h"

X86Test *x86_test_new(const char *isa, const char *model, uint64_t ram)
{
    X86Test *t = g_new0(X86Test, 1);
    GError *error = NULL;
    t->loop = loop_new();
    t->vm = vm_new(t->loop);
    t->ram = mem_ram(&t->vm->root, "ram", ram, NULL, &error);
    g_assert_no_error(error);
    mem_add(t->vm->memory_root, 0, t->ram, 0);
    t->mem = mem_host(t->ram);
    t->x = x86_of(cpu_new(t->vm, isa_find(isa), model, 0, &error));
    g_assert_no_error(error);
    t->unit = ir_unit_new();
    return t;
}

void x86_test_free(X86Test *t)
{
    ir_unit_free(t->unit);
    vm_free(t->vm);
    loop_free(t->loop);
    g_free(t);
}

static void run_unit(X86Test *t, bool single)
{
    Cpu *cpu = &t->x->cpu;
    cpu->can_exit = true;
    if (!sigsetjmp(cpu->exit_env, 0)) {
        ir_unit_reset(t->unit, cpu->pc, cpu->mode);
        t->unit->single = single;
        cpu->page_base = cpu->pc & ~0xfffull;
        cpu->isa->translate(cpu, t->unit);
        ir_optimize(t->unit);
        g_autofree char *bad = ir_verify(t->unit);
        if (bad) {
            g_autoptr(GString) text = g_string_new(NULL);
            ir_print(t->unit, text, cpu->isa->slot_name);
            g_error("%s\n%s", bad, text->str);
        }
        if (g_getenv("MYNA_TEST_IR")) {
            g_autoptr(GString) text = g_string_new(NULL);
            ir_print(t->unit, text, cpu->isa->slot_name);
            g_printerr("%s\n", text->str);
        }
        ir_interpret(t->unit, cpu);
    }
    cpu->can_exit = false;
}

void x86_test_step(X86Test *t) { run_unit(t, true); }

static void take_requests(Cpu *cpu)
{
    cpu->can_exit = true;
    if (!sigsetjmp(cpu->exit_env, 0))
        cpu->isa->interrupt(cpu);
    cpu->can_exit = false;
}

bool x86_test_run(X86Test *t, unsigned units)
{
    Cpu *cpu = &t->x->cpu;
    for (; units; units--) {
        if (__atomic_load_n(&cpu->req, __ATOMIC_SEQ_CST))
            take_requests(cpu);
        if (cpu->halted)
            return true;
        run_unit(t, false);
    }
    return cpu->halted;
}
