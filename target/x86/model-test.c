/* SPDX-License-Identifier: Apache-2.0 */
/* Models: versions, aliases, what cannot be had, leaves as a table. */
#include <string.h>
#include "target/x86/testing.h"

static void empty_machine(Loop **loop, Vm **vm)
{
    *loop = loop_new();
    *vm = vm_new(*loop);
}

static void no_machine(Loop *loop, Vm *vm)
{
    vm_free(vm);
    loop_free(loop);
}

static Cpu *make(Vm *vm, const char *spec)
{
    GError *error = NULL;
    Cpu *cpu = cpu_create(vm, &x86_64_isa, spec, 0, &error);
    g_assert_no_error(error);
    return cpu;
}

static void test_versions(void)
{
    Loop *loop;
    Vm *vm;
    empty_machine(&loop, &vm);
    static const struct { const char *model, *feature; bool has; uint32_t stepping; } rows[] = {
        {"Haswell", "rtm", true, 4}, {"Haswell-v1", "rtm", true, 4}, {"Haswell-v2", "rtm", false, 1},
        {"Haswell-noTSX", "rtm", false, 1}, {"Haswell-v3", "rtm", true, 4},
        {"Haswell-v3", "spec-ctrl", true, 4}, {"Haswell-v4", "rtm", false, 1},
        {"Haswell-noTSX-IBRS", "spec-ctrl", true, 1}, {"EPYC-v1", "ibpb", false, 2},
        {"EPYC-IBPB", "ibpb", true, 2}, {"qemu64", "svm", false, 1}, {"Haswell,+svm", "svm", true, 4},
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        Cpu *cpu = make(vm, rows[k].model);
        g_test_message("%s %s", rows[k].model, rows[k].feature);
        g_assert_cmpint(x86_cpu_has(cpu, rows[k].feature), ==, rows[k].has);
        g_assert_cmpuint(x86_of(cpu)->stepping, ==, rows[k].stepping);
        object_unref(&cpu->dev.object);
    }
    no_machine(loop, vm);
}

static void test_facts(void)
{
    Loop *loop;
    Vm *vm;
    empty_machine(&loop, &vm);
    static const struct { const char *model, *alias, *lacks; bool is_static, safe; } rows[] = {
        {"Haswell", "Haswell-v1", "rtm", false, true}, {"Haswell-v1", NULL, "rtm", false, true},
        {"EPYC-IBPB", "EPYC-v2", "sse4a", false, true}, {"base", NULL, NULL, true, true},
        {"max", NULL, NULL, false, false}, {"host", NULL, "kvm", false, false},
        {"qemu64", "qemu64-v1", NULL, false, true},
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        Cpu *cpu = make(vm, rows[k].model);
        CpuModelFacts facts = {0};
        x86_model_facts(cpu, &facts);
        g_assert_cmpstr(facts.alias_of, ==, rows[k].alias);
        g_assert_cmpint(facts.is_static, ==, rows[k].is_static);
        g_assert_cmpint(facts.migration_safe, ==, rows[k].safe);
        bool found = !rows[k].lacks && !facts.unavailable->len;
        for (unsigned n = 0; rows[k].lacks && n < facts.unavailable->len; n++)
            found |= !strcmp(facts.unavailable->pdata[n], rows[k].lacks);
        g_assert_true(found);
        g_free(facts.alias_of);
        g_ptr_array_unref(facts.unavailable);
        object_unref(&cpu->dev.object);
    }
    no_machine(loop, vm);
}

static void test_refusals(void)
{
    Loop *loop;
    Vm *vm;
    empty_machine(&loop, &vm);
    static const struct { const char *spec, *says; } rows[] = {
        {"host", "requires KVM"}, {"qemu64,enforce=on,+vmx", "doesn't support requested features"},
        {"qemu64,legacy-cache=off", "doesn't support legacy-cache=off"},
        {"qemu64,vendor=me", "12 characters"}, {"qemu64,phys-bits=60", "between 32 and 52"},
        {"qemu64,host-phys-bits=on", "host's CPU"},
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        g_autoptr(GError) error = NULL;
        Cpu *cpu = make(vm, rows[k].spec);
        cpu->index = 1;                 /* says nothing of features */
        g_assert_false(x86_realize(cpu, &error));
        g_assert_nonnull(strstr(error->message, rows[k].says));
        object_unref(&cpu->dev.object);
    }
    no_machine(loop, vm);
}

static const X86CpuidEntry *leaf(const X86CpuidEntry *t, unsigned n, uint32_t at, uint32_t index)
{
    for (unsigned k = 0; k < n; k++) {
        if (t[k].leaf == at && t[k].index == index)
            return &t[k];
    }
    return NULL;
}

static void test_table(void)
{
    g_autoptr(X86Test) t = x86_test_new("x86_64", "Haswell-v4,check=off,kvm=off", 1 << 20);
    X86CpuidEntry e[X86_CPUID_ENTRIES];
    unsigned n = x86_cpuid_table(&t->x->cpu, e, X86_CPUID_ENTRIES);
    g_assert_cmpuint(n, <, X86_CPUID_ENTRIES);
    g_assert_cmpuint(leaf(e, n, 0, 0)->regs[0], ==, 0xd);
    g_assert_cmphex(leaf(e, n, 1, 0)->regs[0], ==, 0x306c1);
    g_assert_cmpuint(leaf(e, n, 4, 4)->regs[0], ==, 0);         /* the end of the list */
    g_assert_true(leaf(e, n, 0xd, 2)->indexed);
    g_assert_cmphex(leaf(e, n, 7, 0)->regs[1] & 1 << 5, ==, 1 << 5);
    g_assert_cmphex(leaf(e, n, 0x80000000, 0)->regs[0], ==, 0x80000008);
    g_assert_null(leaf(e, n, 0x80000009, 0));

    X86Caps caps = {0};
    x86_caps_from_cpuid(&caps, e, n);
    caps.words[W_80000001_EDX] |= 1 << 11;      /* SYSCALL, which Intel's hide outside 64-bit mode */
    for (unsigned w = 0; w < X86_WORDS; w++) {
        if (!x86_word_places[w].msr)
            g_assert_cmphex(caps.words[w], ==, x86_cpu_word(&t->x->cpu, w));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/x86/model/versions", test_versions);
    g_test_add_func("/x86/model/facts", test_facts);
    g_test_add_func("/x86/model/refusals", test_refusals);
    g_test_add_func("/x86/model/table", test_table);
    return g_test_run();
}
