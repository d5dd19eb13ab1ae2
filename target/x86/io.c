/* SPDX-License-Identifier: Apache-2.0 */
/* Port I/O and its permission bitmap. Intel SDM vol. 1, chapter 19. */
#include "core/memory.h"
#include "target/x86/cpu.h"

void x86_io_check(X86Cpu *x, uint16_t port, unsigned size)
{
    unsigned iopl = (x->eflags & FLAG_IOPL) >> 12;
    if (!x86_protected(x) || (x86_cpl(x) <= iopl && !x86_vm86(x)))
        return;
    bool wide = x->tr.attr & 8 && x->tr.attr & ATTR_P;
    if (!wide || x->tr.limit < 103)
        x86_raise_gp(x, 0);
    uint32_t map = cpu_load(&x->cpu, x->tr.base + 0x66, IR_M16 | IR_MMU(MMU_SYSTEM));
    uint32_t at = map + port / 8;
    if (at + 1 > x->tr.limit)
        x86_raise_gp(x, 0);
    uint32_t bits = cpu_load(&x->cpu, x->tr.base + at, IR_M16 | IR_MMU(MMU_SYSTEM));
    if (bits >> (port & 7) & ((1u << size) - 1))
        x86_raise_gp(x, 0);
}

/* Breakpoints on ports trap behind the instruction. */
static void check_breakpoints(X86Cpu *x, uint16_t port, unsigned size)
{
    static const uint8_t lengths[4] = {1, 2, 8, 4};
    for (unsigned n = 0; n < 4 && x->dr[7] & 0xff && x->cr4 & CR4_DE; n++) {
        unsigned len = lengths[x->dr[7] >> (18 + 4 * n) & 3];
        uint64_t at = x->dr[n] & -(uint64_t)len;
        bool on = x->dr[7] >> 2 * n & 3 && (x->dr[7] >> (16 + 4 * n) & 3) == 2;
        if (on && port < at + len && at < (uint64_t)port + size) {
            x->dr6_pending |= 1 << n;
            cpu_request(&x->cpu, X86_REQ_TRAP);
        }
    }
}

uint64_t x86_io_in(X86Cpu *x, uint16_t port, unsigned size)
{
    check_breakpoints(x, port, size);
    uint64_t v = ~0ull >> (64 - 8 * size), got = v;
    return x->cpu.io && as_load(x->cpu.io, port, size, &got) ? got : v;
}

void x86_io_out(X86Cpu *x, uint16_t port, uint64_t v, unsigned size)
{
    check_breakpoints(x, port, size);
    if (x->cpu.io)
        as_store(x->cpu.io, port, size, v);
}
