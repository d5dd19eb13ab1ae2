/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden host code: what the translator makes of typical guest instructions, as text, so that a change
 * for the worse shows in a diff. tests/golden/ARCH.txt holds a paragraph per case: a line
 * `name: guest bytes`, the guest code after `<`, then the hot host code. What depends on where things
 * happen to lie is masked: slots by name, `@` for addresses. MYNA_GOLDEN_UPDATE=1 writes the files anew.
 */
#include <stdlib.h>
#include <string.h>

#include "accel/jit/internal.h"
#include "core/memory.h"
#include "core/vm.h"
#include "target/x86/cpu.h"
#include "util/loop.h"

enum { RAM = 1 << 16, AT = 0x1000 };

typedef struct Guest {
    Loop *loop;
    Vm *vm;
    Cpu *cpu;
    Jit *jit;
    IrUnit *ir;
    uint8_t *mem;
} Guest;

static Guest *guest_new(const char *isa)
{
    Guest *g = g_new0(Guest, 1);
    GError *error = NULL;
    g->loop = loop_new();
    g->vm = vm_new(g->loop);
    MemRegion *ram = mem_ram(&g->vm->root, "ram", RAM, NULL, &error);
    g_assert_no_error(error);
    mem_add(g->vm->memory_root, 0, ram, 0);
    g->mem = mem_host(ram);
    g->cpu = cpu_new(g->vm, isa_find(isa), "max", 0, &error);
    g_assert_no_error(error);
    g_assert_true(softmmu_init(g->cpu));
    g->jit = jit_new(g->vm, g->cpu->isa, NULL, &error);
    g_assert_no_error(error);
    g->ir = ir_unit_new();
    g->cpu->isa->state_restored(g->cpu);
    return g;
}

static void guest_free(Guest *g)
{
    ir_unit_free(g->ir);
    jit_free(g->jit);
    softmmu_finish(g->cpu);
    vm_free(g->vm);
    loop_free(g->loop);
    g_free(g);
}

static unsigned disassemble(Guest *g, const uint8_t *bytes, unsigned n, uint64_t pc, GString *out)
{
    unsigned len = g->cpu->isa->disassemble(g->cpu, bytes, n, pc, out);
    g_assert_cmpuint(len, >, 0);
    return len;
}

/* ---- masking ---- */

static gboolean slot(const GMatchInfo *m, GString *out, void *opaque)
{
    const Guest *g = opaque;
    g_autofree char *sign = g_match_info_fetch(m, 1), *digits = g_match_info_fetch(m, 2);
    int64_t d = (int64_t)g_ascii_strtoull(digits, NULL, 16);
    int32_t offset = (int32_t)(*sign == '-' ? -d : d) + g->cpu->isa->slot_bias;
    const char *name = g->cpu->isa->slot_name(offset);
    if (name)
        g_string_append_printf(out, "[cpu.%s]", name);
    else if (offset == offsetof(Cpu, req))
        g_string_append(out, "[cpu.req]");
    else
        g_string_append(out, "[cpu]");
    return false;
}

static char *mask(Guest *guest, const char *line)
{
    static const char *const addresses[] = {"^(j\\w+|call) .*", "(movabs \\w+, ).*"};
    g_autoptr(GRegex) slots = g_regex_new("\\[rbp ?([+-]) ?(?:0x)?([0-9a-f]+)\\]", 0, 0, NULL);
    char *s = g_regex_replace_eval(slots, line, -1, 0, 0, slot, guest, NULL);
    for (unsigned k = 0; k < G_N_ELEMENTS(addresses); k++) {
        g_autoptr(GRegex) r = g_regex_new(addresses[k], 0, 0, NULL);
        g_autofree char *old = s;
        s = g_regex_replace(r, old, -1, 0, k ? "\\1@" : "\\1 @", 0, NULL);
    }
    return s;
}

/* ---- one case ---- */

static unsigned parse(const char *text, uint8_t *bytes, unsigned max)
{
    unsigned n = 0;
    for (char *end; n < max; text = end) {
        unsigned long v = strtoul(text, &end, 16);
        if (end == text)
            break;
        bytes[n++] = (uint8_t)v;
    }
    return n;
}

static void one(Guest *g, Guest *host, const char *name, const char *bytes, uint32_t mode, GString *out)
{
    uint8_t *code = g->mem + AT;
    memset(g->mem, 0, RAM);
    unsigned n = parse(bytes, code, 64), insns = 0;
    g_string_append_printf(out, "%s:%s\n", name, bytes);
    for (unsigned at = 0; at < n; insns++) {
        g_autoptr(GString) line = g_string_new(NULL);
        at += disassemble(g, code + at, n - at, AT + at, line);
        g_string_append_printf(out, "< %s\n", line->str);
    }
    ir_unit_reset(g->ir, AT, mode);
    g->ir->max_insns = insns;
    g->cpu->isa->translate(g->cpu, g->ir);
    ir_optimize(g->ir);
    JitUnit *u = jit_emit(g->jit, g->ir, 0);
    g_assert_nonnull(u);
    for (uint32_t at = u->code + 5; at < u->dead_stub;) {
        g_autoptr(GString) line = g_string_new(NULL);
        at += disassemble(host, jit_rx(g->jit, at), u->dead_stub - at, at, line);
        g_autofree char *text = mask(g, line->str);
        g_string_append_printf(out, "  %s\n", text);
    }
}

static void check(const char *isa, uint32_t mode)
{
    g_autofree char *path = g_strdup_printf("%s/golden/%s.txt", GOLDEN, isa), *text = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    Guest *g = guest_new(isa), *host = guest_new("x86_64");
    host->cpu->mode = MODE_PE | MODE_CS64 | MODE_LMA;
    if (mode)
        g->cpu->mode = mode;
    for (char **l = lines; *l; l++) {
        char *colon = strchr(*l, ':');
        if (**l == '#' || (!**l && l[1])) {
            g_string_append_printf(out, "%s\n", *l);
        } else if (colon && **l != ' ' && **l != '<') {
            *colon = 0;
            one(g, host, *l, colon + 1, g->cpu->mode, out);
        }
    }
    if (g_getenv("MYNA_GOLDEN_UPDATE")) {
        g_assert_true(g_file_set_contents(path, out->str, -1, NULL));
    } else if (strcmp(out->str, text) != 0) {
        g_auto(GStrv) now = g_strsplit(out->str, "\n", -1);
        const char *in = "";
        for (unsigned k = 0; now[k] && lines[k]; k++) {
            in = strchr(now[k], ':') && now[k][0] != ' ' ? now[k] : in;
            if (!g_str_has_prefix(now[k], lines[k]))
                g_error("%s: in \"%s\" line %u is \"%s\", was \"%s\"; if that is meant: "
                        "MYNA_GOLDEN_UPDATE=1 and look at the diff", path, in, k + 1, now[k], lines[k]);
        }
        g_error("%s: lines were added or lost; MYNA_GOLDEN_UPDATE=1 and look at the diff", path);
    }
    guest_free(host);
    guest_free(g);
}

static void x86(void)
{
    check("x86_64", MODE_PE | MODE_CS64 | MODE_SS32 | MODE_FLAT * 63 | MODE_LMA | MODE_OSFXSR | MODE_IOPL_OK |
                    MODE_MP);
}

static void riscv(void) { check("riscv64", 0); }

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *why = jit_unavailable();
    __builtin_cpu_init();
    /* The code depends on what the host has; these are held for hosts like most. */
    if (why || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) {
        g_test_message("the host lacks what the golden code uses");
        return g_test_run();
    }
    g_test_add_func("/jit/golden/x86_64", x86);
    g_test_add_func("/jit/golden/riscv64", riscv);
    return g_test_run();
}
