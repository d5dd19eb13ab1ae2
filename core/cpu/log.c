/* SPDX-License-Identifier: Apache-2.0 */
/* What the log says of a CPU and the code it runs. */
#include <inttypes.h>

#include "core/cpu-internal.h"
#include "util/log.h"

static void log_registers(Cpu *cpu, const char *title)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (cpu->isa && cpu->isa->dump) {
        cpu->isa->dump(cpu, (log_on(LOG_FPU) ? CPU_DUMP_FLOATS : 0) | (log_on(LOG_VPU) ? CPU_DUMP_VECTORS : 0),
                       out);
        log_write("%s (CPU %u)\n%s", title, cpu->index, out->str);
    }
}

bool cpu_logs_entries(void) { return log_on(LOG_EXEC) || log_on(LOG_CPU); }

void cpu_log_entry(Cpu *cpu)
{
    if (G_LIKELY(!cpu_logs_entries()) || !log_in_range(cpu->pc)) {
        return;
    }
    if (log_on(LOG_EXEC)) {
        log_write("Trace %u: [%016" PRIx64 "/%08x]\n", cpu->index, cpu->pc, cpu->mode);
    }
    if (log_on(LOG_CPU)) {
        log_registers(cpu, "CPU Registers");
    }
}

void cpu_log_reset(Cpu *cpu)
{
    if (log_on(LOG_CPU_RESET)) {
        log_registers(cpu, "CPU Reset");
    }
}

void cpu_print_code(Cpu *cpu, uint64_t pc, unsigned size, GString *out)
{
    g_autofree uint8_t *bytes = g_malloc(size + 1);

    if (!cpu_debug_access(cpu, pc, bytes, size, false)) {
        return;
    }
    for (unsigned at = 0, n; at < size; at += n) {
        g_autoptr(GString) text = g_string_new(NULL);
        n = cpu->isa->disassemble ? cpu->isa->disassemble(cpu, bytes + at, size - at, pc + at, text) : 0;
        if (!n) {
            n = size - at;
            for (unsigned k = 0; k < n; k++) {
                g_string_append_printf(text, "%02x ", bytes[at + k]);
            }
        }
        g_string_append_printf(out, "0x%08" PRIx64 ":  %s\n", pc + at, text->str);
    }
}

void cpu_log_code(Cpu *cpu, uint64_t pc, unsigned size)
{
    if (log_on(LOG_IN_ASM) && log_in_range(pc)) {
        g_autoptr(GString) out = g_string_new("IN:\n");
        cpu_print_code(cpu, pc, size, out);
        log_write("%s", out->str);
    }
}
