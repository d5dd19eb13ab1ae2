/* SPDX-License-Identifier: Apache-2.0 */
/* Disassembler in Intel syntax, from the rows of x86.isa. */
#include <string.h>
#include "target/x86/cpu.h"
#include "target/x86/decode.h"

static const char *reg_name(unsigned n, unsigned size, bool rex)
{
    static const char *const r8[2][8] = {{"al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"},
                                         {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"}};
    static const char *const low[3][8] = {{"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"},
                                          {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"},
                                          {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"}};
    static const char *const high[4][8] = {
        {"r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"},
        {"r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w"},
        {"r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"},
        {"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}};
    unsigned k = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
    if (n >= 8)
        return high[k][n & 7];
    return k ? low[k - 1][n] : r8[rex][n];
}

static const char seg_names[6][3] = {"es", "cs", "ss", "ds", "fs", "gs"};

static void memory(GString *out, const X86Insn *i, unsigned bytes, uint64_t next)
{
    static const char *const sizes[] = {"byte", "word", "dword", "qword", "xmmword", "ymmword"};
    const char *plus = "";
    if (bytes && !(bytes & (bytes - 1)) && bytes <= 32)
        g_string_append_printf(out, "%s ptr ", sizes[__builtin_ctz(bytes)]);
    else if (bytes == 10)
        g_string_append(out, "tbyte ptr ");
    if (i->seg >= 0)
        g_string_append_printf(out, "%s:", seg_names[i->seg]);
    g_string_append_c(out, '[');
    if (i->rip_relative) {
        g_string_append_printf(out, "rip%+" PRId64 "]  # 0x%" PRIx64, i->disp, next + i->disp);
        return;
    }
    if (i->base >= 0) {
        g_string_append(out, reg_name(i->base, i->addrsize, true));
        plus = "+";
    }
    if (i->index >= 0) {
        g_string_append_printf(out, "%s%s*%u", plus, reg_name(i->index, i->addrsize, true), 1u << i->scale);
        plus = "+";
    }
    if (!*plus)
        g_string_append_printf(out, "0x%" PRIx64, i->addrsize == 8 ? (uint64_t)i->disp : i->addrsize == 4
                               ? (uint64_t)(uint32_t)i->disp : (uint64_t)(uint16_t)i->disp);
    else if (i->disp)
        g_string_append_printf(out, "%s0x%" PRIx64, i->disp < 0 ? "-" : "+", i->disp < 0 ? -i->disp : i->disp);
    g_string_append_c(out, ']');
}

static void vector(GString *out, unsigned n, unsigned bytes)
{
    g_string_append_printf(out, "%cmm%u", bytes == 32 ? 'y' : 'x', n);
}

static void hex(GString *out, int64_t v)
{
    g_string_append_printf(out, v < 0 ? "-0x%" PRIx64 : "0x%" PRIx64, v < 0 ? -v : v);
}

static void operand(GString *out, const X86Insn *i, unsigned k, uint64_t pc)
{
    static const char *const fixed[] = {"", "al", "cl", "dx", "ax", "", "", "1", "es", "cs", "ss", "ds", "fs",
                                        "gs", "st", "", "xmm0"};
    unsigned m = i->row->op[k].method, bytes = x86_op_bytes(i, k);
    bool rex = i->rex;
    switch (m) {
    case OP_rAX: case OP_EAX:
        g_string_append(out, reg_name(RAX, bytes, rex));
        break;
    case OP_STI:
        g_string_append_printf(out, "st(%u)", i->modrm & 7);
        break;
    case OP_E: case OP_M: case OP_R:
        if (i->has_mem)
            memory(out, i, i->row->op[k].size == SZ_NONE ? 0 : bytes, pc + i->len);
        else
            g_string_append(out, reg_name(i->rm, bytes, rex));
        break;
    case OP_G:
        g_string_append(out, reg_name(i->reg, bytes, rex));
        break;
    case OP_B:
        g_string_append(out, reg_name(i->vvvv, bytes, true));
        break;
    case OP_Z:
        g_string_append(out, reg_name((i->opcode & 7) | (i->rex & 1) << 3, bytes, rex));
        break;
    case OP_S:
        g_string_append(out, (i->reg & 7) < 6 ? seg_names[i->reg & 7] : "?");
        break;
    case OP_C: case OP_D:
        g_string_append_printf(out, "%cr%u", m == OP_C ? 'c' : 'd', i->reg);
        break;
    case OP_I:
        hex(out, k && i->row->op[k - 1].method == OP_I ? i->imm2 : i->imm);
        break;
    case OP_J:
        g_string_append_printf(out, "0x%" PRIx64, pc + i->len + i->imm);
        break;
    case OP_O:
        if (i->seg >= 0)
            g_string_append_printf(out, "%s:", seg_names[i->seg]);
        g_string_append_printf(out, "[0x%" PRIx64 "]", (uint64_t)i->imm);
        break;
    case OP_A:
        g_string_append_printf(out, "0x%x:0x%" PRIx64, (uint16_t)i->imm2, (uint64_t)i->imm);
        break;
    case OP_V:
        vector(out, i->reg, bytes);
        break;
    case OP_H:
        vector(out, i->vvvv, bytes);
        break;
    case OP_L:
        vector(out, i->imm2 >> 4 & 15, bytes);
        break;
    case OP_W: case OP_U:
        if (i->has_mem)
            memory(out, i, bytes, pc + i->len);
        else
            vector(out, i->rm, bytes);
        break;
    case OP_P:
        g_string_append_printf(out, "mm%u", i->reg & 7);
        break;
    case OP_Q: case OP_N:
        if (i->has_mem)
            memory(out, i, bytes, pc + i->len);
        else
            g_string_append_printf(out, "mm%u", i->rm & 7);
        break;
    default:
        g_string_append(out, m < G_N_ELEMENTS(fixed) ? fixed[m] : "?");
        break;
    }
}

static const char *mnemonic(const X86Insn *i, char buf[16])
{
    static const char suffix[9] = {[2] = 'w', [4] = 'd', [8] = 'q'};
    const char *name = i->row->name;
    static const char *const strings[] = {"movs", "cmps", "stos", "lods", "scas", "ins", "outs"};
    if (i->space == SPACE_1B && i->opcode == 0x90 && !(i->rex & 1))
        return i->rep ? "pause" : "nop";
    if (i->space == SPACE_1B && i->opcode == 0x98)
        return i->opsize == 8 ? "cdqe" : i->opsize == 4 ? "cwde" : "cbw";
    if (i->space == SPACE_1B && i->opcode == 0x99)
        return i->opsize == 8 ? "cqo" : i->opsize == 4 ? "cdq" : "cwd";
    for (unsigned k = 0; k < G_N_ELEMENTS(strings); k++) {
        if (!strcmp(name, strings[k])) {
            g_snprintf(buf, 16, "%s%c", name, suffix[i->opsize]);
            return buf;
        }
    }
    if (!strcmp(name, "iret") && i->opsize != 2) {
        g_snprintf(buf, 16, "iret%c", suffix[i->opsize]);
        return buf;
    }
    return name;
}

static bool is_string(const X86Insn *i)
{
    return i->space == SPACE_1B && ((i->opcode >= 0x6c && i->opcode <= 0x6f) ||
                                    (i->opcode >= 0xa4 && i->opcode <= 0xaf && (i->opcode & ~1) != 0xa8));
}

unsigned x86_disassemble(Cpu *cpu, const uint8_t *bytes, unsigned n, uint64_t pc, GString *out)
{
    X86Insn i;
    char buf[16];
    uint32_t mode = cpu->mode;
    unsigned code = mode & MODE_CS64 ? 8 : mode & MODE_CS32 ? 4 : 2;
    if (!x86_decode(&i, bytes, n, code) || !i.row || !i.len) {
        g_string_append(out, "(bad)");
        return n ? 1 : 0;
    }
    if (i.lock)
        g_string_append(out, "lock ");
    if (is_string(&i) && (i.rep || i.repne))
        g_string_append(out, i.rep ? "rep " : "repne ");
    g_string_append(out, mnemonic(&i, buf));
    for (unsigned k = 0; k < i.row->n_ops; k++) {
        g_string_append(out, k ? ", " : " ");
        operand(out, &i, k, pc);
    }
    return i.len;
}
