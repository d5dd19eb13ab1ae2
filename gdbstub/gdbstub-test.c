/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the gdb protocol on a machine of toy CPUs. */
#include <string.h>

#include "gdbstub/internal.h"
#include "tests/lib/toy.h"

typedef struct Talk {
    TestDevice *t;
    GdbSession *s;
    GString *out;
} Talk;

static void keep(void *opaque, const char *data, size_t n)
{
    g_string_append_len(((Talk *)opaque)->out, data, (gssize)n);
}

static char *command(Vm *vm, const char *line) { return g_strdup_printf("did %s", line); }

static Talk *talk_new(unsigned cpus)
{
    static const char *const props[] = {"engine", "interp", NULL};
    Talk *k = g_new0(Talk, 1);
    k->t = toy_machine(cpus, props);
    k->out = g_string_new(NULL);
    k->s = gdb_session_new(k->t->vm, command, keep, k);
    gdb_session_opened(k->s);
    return k;
}

static void talk_free(Talk *k)
{
    gdb_session_free(k->s);
    test_device_free(k->t);
    g_string_free(k->out, TRUE);
    g_free(k);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Talk, talk_free)

static void feed(Talk *k, const char *packet)
{
    g_autoptr(GString) frame = g_string_new(NULL);
    gdb_frame(frame, packet, strlen(packet));
    g_string_truncate(k->out, 0);
    gdb_session_feed(k->s, (const uint8_t *)frame->str, frame->len);
}

/* The answer, taken out of its frame. */
static char *answer(Talk *k)
{
    const char *dollar = strchr(k->out->str, '$');
    const char *hash = dollar ? strrchr(dollar, '#') : NULL;
    return hash ? g_strndup(dollar + 1, (gsize)(hash - dollar - 1)) : g_strdup("(nothing)");
}

static void ask(Talk *k, const char *packet, const char *wanted)
{
    feed(k, packet);
    g_autofree char *got = answer(k);
    g_assert_cmpstr(got, ==, wanted);
}

/* Waits for a stop reply. */
static void stops(Talk *k, const char *wanted)
{
    gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (!strchr(k->out->str, '#') && g_get_monotonic_time() < end)
        loop_step(k->t->loop, false);
    g_autofree char *got = answer(k);
    g_assert_cmpstr(got, ==, wanted);
}

static void frames(void)
{
    g_autoptr(Talk) k = talk_new(1);
    gdb_session_feed(k->s, (const uint8_t *)"junk$qC#00", 10);
    g_assert_cmpstr(k->out->str, ==, "-");
    g_string_truncate(k->out, 0);
    gdb_session_feed(k->s, (const uint8_t *)"+$qC#b4", 7);
    g_assert_cmpstr(k->out->str, ==, "+$QC01#f5");
    g_string_truncate(k->out, 0);
    gdb_session_feed(k->s, (const uint8_t *)"-", 1);
    g_assert_cmpstr(k->out->str, ==, "$QC01#f5");
    g_autofree char *much = g_strnfill(3 * GDB_PACKET, 'm');
    feed(k, much);
    g_assert_cmpstr(k->out->str, ==, "-");
}

static void questions(void)
{
    g_autoptr(Talk) k = talk_new(2);
    ask(k, "qSupported:multiprocess+;swbreak+", "PacketSize=1000;vContSupported+;multiprocess+");
    ask(k, "?", "T05thread:p01.01;");
    ask(k, "vMustReplyEmpty", "");
    ask(k, "vCont?", "vCont;c;C;s;S");
    ask(k, "qfThreadInfo", "mp01.01,p01.02");
    ask(k, "qsThreadInfo", "l");
    ask(k, "Tp1.2", "OK");
    ask(k, "Tp1.3", "E16");
    ask(k, "Hgp1.2", "OK");
    ask(k, "qC", "QCp01.02");
    ask(k, "Hgp1.9", "E16");
    ask(k, "qAttached:1", "1");
    ask(k, "qThreadExtraInfo,p1.1", "435055233020" "5b72756e6e696e675d");
    feed(k, "qRcmd,6162");
    g_assert_cmpstr(k->out->str, ==, "+$O646964206162#c3$OK#9a");
    ask(k, "qqemu.sstep", "0x3");
    ask(k, "Qqemu.PhyMemMode:1", "OK");
    ask(k, "qqemu.PhyMemMode", "1");
}

static void state(void)
{
    g_autoptr(Talk) k = talk_new(1);
    ask(k, "P2=8877665544332211", "OK");
    g_assert_cmphex(toy_cpu(k->t, 0)->r[2], ==, 0x1122334455667788);
    ask(k, "p2", "8877665544332211");
    ask(k, "p99", "E0e");
    ask(k, "P2=11", "E16");
    feed(k, "g");
    g_autofree char *all = answer(k);
    g_assert_cmpuint(strlen(all), ==, 6 * 16);
    ask(k, "G0100000000000000", "OK");
    g_assert_cmphex(toy_cpu(k->t, 0)->r[0], ==, 1);
    ask(k, "M2000,4:deadbeef", "OK");
    ask(k, "m2000,4", "deadbeef");
    ask(k, "X2001,2:}\x03x", "OK");             /* "}\x03" is '#' */
    ask(k, "m2000,4", "de2378ef");
    ask(k, "m2000,801", "E16");
    ask(k, "m2000", "E16");
    ask(k, "mfffffffffffffffff,1", "E16");
    ask(k, "M2000,4:dead", "E16");
    ask(k, "mfffffffffffffff0,4", "E0e");
}

/* r1 counts up for ever, the count is stored at 0x2000. */
static void program(Talk *k)
{
    const uint32_t code[] = {TOY(TOY_LI, 1, 0, 0), TOY(TOY_LI, 2, 0, 0x2000), TOY(TOY_ADDI, 1, 1, 1),
                             TOY(TOY_ST64, 1, 2, 0), TOY(TOY_JMP, 0, 0, -2)};
    toy_write(k->t, 0, code, G_N_ELEMENTS(code));
}

static void running(void)
{
    g_autoptr(Talk) k = talk_new(1);
    Cpu *cpu = k->t->vm->cpus[0];
    program(k);
    ask(k, "Z0,8,4", "OK");
    feed(k, "c");
    stops(k, "T05thread:01;");
    g_assert_cmphex(cpu->pc, ==, 8);
    ask(k, "z0,8,4", "OK");
    feed(k, "vCont;s:1");
    stops(k, "T05thread:01;");
    g_assert_cmphex(cpu->pc, ==, 12);
    ask(k, "Z2,2000,8", "OK");
    feed(k, "vCont;c");
    stops(k, "T05thread:01;watch:2000;");
    ask(k, "z2,2000,8", "OK");
    feed(k, "c");
    g_assert_true(vm_is_running(k->t->vm));
    gdb_session_feed(k->s, (const uint8_t *)"\x03", 1);
    stops(k, "T02thread:01;");
    ask(k, "Z0,8,4", "OK");
    ask(k, "D;1", "OK");                        /* it runs on undisturbed */
    g_assert_true(vm_is_running(k->t->vm));
    g_assert_cmpuint(cpu->breakpoints->len, ==, 0);
    vm_stop(k->t->vm, RUN_PAUSED);
}

/* Only the CPU that is named goes on. */
static void one_of_two(void)
{
    g_autoptr(Talk) k = talk_new(2);
    program(k);
    feed(k, "vCont;s:2");
    stops(k, "T05thread:02;");
    g_assert_cmphex(k->t->vm->cpus[0]->pc, ==, 0);
    g_assert_cmphex(k->t->vm->cpus[1]->pc, ==, 4);
    ask(k, "vCont;x", "E16");
    ask(k, "vCont;s:9", "E16");
    ask(k, "vCont", "E16");
}

/* Whatever comes in, nothing breaks. */
static void garbage(void)
{
    static const char *const pieces[] = {"p", "P", "m", "M", "X", "G", "g", "Z", "z", "H", "T", "q", "v",
        "vCont", "qXfer:features:read:", "target.xml:", ",", ":", ";", "=", "-1", "p1.", "0", "1", "ff",
        "ffffffffffffffff", "c", "s", "qRcmd,", "qThreadExtraInfo,", "}", "?", "g1", "2000"};
    g_autoptr(Talk) k = talk_new(1);
    g_autoptr(GRand) r = g_rand_new_with_seed(7);
    program(k);
    for (unsigned i = 0; i < 20000; i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (int n = g_rand_int_range(r, 1, 7); n > 0; n--)
            g_string_append(text, pieces[g_rand_int_range(r, 0, G_N_ELEMENTS(pieces))]);
        feed(k, text->str);
        vm_stop(k->t->vm, RUN_PAUSED);
        if (i % 64 == 0)
            loop_run_posts(k->t->loop);
    }
}

static void description(void)
{
    g_autofree char *xml = gdb_target_xml(isa_find("x86_64"));
    g_autofree char *riscv = gdb_target_xml(isa_find("riscv64"));
    g_assert_nonnull(strstr(xml, "<architecture>i386:x86-64</architecture>"
                                 "<feature name=\"org.gnu.gdb.i386.core\"><flags id=\"i386_eflags\""));
    g_assert_nonnull(strstr(xml, "<reg name=\"rip\" bitsize=\"64\" type=\"code_ptr\" regnum=\"16\"/>"));
    g_assert_nonnull(strstr(riscv, "<reg name=\"pc\" bitsize=\"64\" type=\"code_ptr\" regnum=\"32\"/>"));
    g_assert_cmpuint(gdb_core_regs(isa_find("riscv64")), ==, 33);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gdb/frames", frames);
    g_test_add_func("/gdb/questions", questions);
    g_test_add_func("/gdb/state", state);
    g_test_add_func("/gdb/running", running);
    g_test_add_func("/gdb/one-of-two", one_of_two);
    g_test_add_func("/gdb/garbage", garbage);
    g_test_add_func("/gdb/description", description);
    return g_test_run();
}
