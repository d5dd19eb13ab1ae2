/* SPDX-License-Identifier: Apache-2.0 */
/* Prints RISC-V operands. Spec: RISC-V Assembly Programmer's Manual; ABI names of the psABI. */
#include <inttypes.h>
#include "target/riscv/rv-isa.h"
#include "target/riscv/print.h"

const char *const rv_x_names[32] = {
    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};
const char *const rv_f_names[32] = {
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6",  "ft7",  "fs0",  "fs1", "fa0",
    "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7",  "fs2",  "fs3",  "fs4", "fs5",
    "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};

void rv_print_xreg(GString *out, int32_t v, uint64_t pc) { g_string_append(out, rv_x_names[v & 31]); }
void rv_print_freg(GString *out, int32_t v, uint64_t pc) { g_string_append(out, rv_f_names[v & 31]); }
void rv_print_dec(GString *out, int32_t v, uint64_t pc) { g_string_append_printf(out, "%d", v); }
void rv_print_hex(GString *out, int32_t v, uint64_t pc) { g_string_append_printf(out, "0x%x", v); }

void rv_print_upper(GString *out, int32_t v, uint64_t pc)
{
    g_string_append_printf(out, "0x%x", (uint32_t)v >> 12 & 0xfffff);
}

void rv_print_target(GString *out, int32_t v, uint64_t pc)
{
    g_string_append_printf(out, "0x%" PRIx64, pc + v);
}

void rv_print_rm(GString *out, int32_t v, uint64_t pc)
{
    static const char *const names[8] = {",rne", ",rtz", ",rdn", ",rup", ",rmm", ",?5", ",?6", ""};
    g_string_append(out, names[v & 7]);
}

void rv_print_aqrl(GString *out, int32_t v, uint64_t pc)
{
    static const char *const names[4] = {"", ".rl", ".aq", ".aqrl"};
    g_string_append(out, names[v & 3]);
}

void rv_print_fence(GString *out, int32_t v, uint64_t pc)
{
    static const char letters[4] = "iorw";
    for (int i = 0; i < 4; i++) {
        if (v & 8 >> i)
            g_string_append_c(out, letters[i]);
    }
    if (!(v & 15))
        g_string_append(out, "unknown");
}

void rv_print_csr(GString *out, int32_t v, uint64_t pc) { rv_csr_print(out, v); }
