/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: what a debugger sends, as raw bytes and as packets with a good checksum. */
#include "fuzz.h"
#include "gdbstub/gdbstub.h"
#include "tests/lib/toy.h"

static void ignore(void *opaque, const char *data, size_t n) {}
static char *echo(Vm *vm, const char *line) { return g_strdup(line); }

/* Each line is a packet. */
static void feed_packets(GdbSession *s, const uint8_t *data, size_t size)
{
    g_autoptr(GString) frame = g_string_new("$");
    uint8_t sum = 0;

    for (size_t i = 0; i <= size; i++) {
        if (i < size && data[i] != '\n') {
            g_string_append_c(frame, (char)data[i]);
            sum += data[i];
            continue;
        }
        g_string_append_printf(frame, "#%02x", sum);
        gdb_session_feed(s, (const uint8_t *)frame->str, frame->len);
        g_string_assign(frame, "$");
        sum = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const props[] = {"engine", "interp", NULL};

    if (size < 1) {
        return 0;
    }
    TestDevice *t = toy_machine(2, props);
    GdbSession *s = gdb_session_new(t->vm, echo, ignore, NULL);
    gdb_session_opened(s);
    if (*data & 1) {
        gdb_session_feed(s, data + 1, size - 1);
    } else {
        feed_packets(s, data + 1, size - 1);
    }
    vm_stop(t->vm, RUN_PAUSED);
    loop_run_posts(t->loop);
    gdb_session_free(s);
    test_device_free(t);
    return 0;
}

const char *const fuzz_words[] = {
    "\n", "$", "#", "00", "+", "-", "\003", "}", "?", "g", "G", "p", "P", "m", "M", "X", "c", "s", "C05",
    "S05", "D", "k", "H", "Hg", "Hc", "T", "Z0", "Z2", "z1", "z4", ",", ":", ";", "=", "vCont", "vCont?",
    "vKill", "qSupported", "multiprocess+", "qXfer:features:read:", "target.xml:", "qC", "qAttached",
    "qfThreadInfo", "qsThreadInfo", "qThreadExtraInfo,", "qRcmd,", "qqemu.sstep", "Qqemu.sstep=0x",
    "Qqemu.PhyMemMode:1", "p1.1", "p1.-1", "-1", "0", "1", "1000", "800", "ffffffffffffffff",
    "10000000000000000", "deadbeef", NULL,
};
