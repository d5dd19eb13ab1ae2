/* SPDX-License-Identifier: Apache-2.0 */
/* x87's environment in memory: fnstenv, fldenv, fnsave, frstor. Intel SDM vol. 1 section 8.1.10. */
#include "target/x86/fpu.h"

static unsigned tag_of(const X86St *s)
{
    unsigned exp = s->se & 0x7fff;
    if (!exp && !s->frac)
        return 1;
    return exp == 0 || exp == 0x7fff || !(s->frac >> 63) ? 2 : 0;
}

uint16_t fpu_full_tags(X86Cpu *x)
{
    unsigned tags = 0;
    for (unsigned n = 0; n < 8; n++)
        tags |= (x->fempty >> n & 1 ? 3 : tag_of(&x->st[n])) << 2 * n;
    return tags;
}

/* Seven fields; real and virtual-8086 mode have linear addresses and the opcode spread over them. */
static void pack_env(X86Cpu *x, uint32_t f[7])
{
    bool real = !x86_protected(x) || x86_vm86(x);
    f[0] = x->fcw;
    f[1] = x->fsw | x->ftop << 11;
    f[2] = fpu_full_tags(x);
    if (real) {
        uint32_t ip = (x->fcs << 4) + x->fip, dp = (x->fds << 4) + x->fdp;
        f[3] = ip & 0xffff;
        f[4] = ip >> 16 << 12 | x->fop;
        f[5] = dp & 0xffff;
        f[6] = dp >> 16 << 12;
    } else {
        f[3] = x->fip;
        f[4] = x->fcs | (uint32_t)x->fop << 16;
        f[5] = x->fdp;
        f[6] = x->fds;
    }
}

static unsigned put_env(X86Cpu *x, uint64_t at, unsigned opsize)
{
    uint32_t f[7];
    uint16_t h[7];
    pack_env(x, f);
    for (unsigned n = 0; n < 7; n++) {
        h[n] = f[n];
        /* Unused halves read as ones. */
        f[n] |= n < 3 || (n == 6 && x86_protected(x) && !x86_vm86(x)) ? 0xffff0000 : 0;
    }
    if (opsize == 2)
        cpu_store_bytes(&x->cpu, at, h, sizeof(h), MMU_CURRENT);
    else
        cpu_store_bytes(&x->cpu, at, f, sizeof(f), MMU_CURRENT);
    return 7 * opsize;
}

void fpu_store_env(X86Cpu *x, uint64_t at, unsigned opsize)
{
    put_env(x, at, opsize);
    x->fcw |= 0x3f;
    fpu_update_es(x);
}

static void take_env(X86Cpu *x, const uint8_t *p, unsigned opsize)
{
    uint32_t f[7];
    bool real = !x86_protected(x) || x86_vm86(x);
    for (unsigned n = 0; n < 7; n++) {
        uint16_t h;
        memcpy(&h, p + 2 * n, 2);
        if (opsize == 2)
            f[n] = h;
        else
            memcpy(&f[n], p + 4 * n, 4);
    }
    x->fcw = (f[0] & 0x1f3f) | 0x40;
    x->fsw = f[1] & ~0x3800u & 0xffff;
    x->ftop = f[1] >> 11 & 7;
    x->fempty = 0;
    for (unsigned n = 0; n < 8; n++)
        x->fempty |= (f[2] >> 2 * n & 3) == 3 ? 1 << n : 0;
    if (real) {
        x->fcs = x->fds = 0;
        x->fip = (f[3] & 0xffff) | f[4] >> 12 << 16;
        x->fop = f[4] & 0x7ff;
        x->fdp = (f[5] & 0xffff) | f[6] >> 12 << 16;
    } else {
        x->fip = f[3];
        x->fcs = f[4];
        x->fop = opsize == 2 ? 0 : f[4] >> 16 & 0x7ff;
        x->fdp = f[5];
        x->fds = f[6];
    }
    fpu_update_es(x);
}

void fpu_load_env(X86Cpu *x, uint64_t at, unsigned opsize)
{
    uint8_t buf[28];
    cpu_load_bytes(&x->cpu, at, buf, 7 * opsize, MMU_CURRENT);
    take_env(x, buf, opsize);
}

void fpu_save(X86Cpu *x, uint64_t at, unsigned opsize)
{
    uint8_t regs[80];
    for (unsigned n = 0; n < 8; n++)
        memcpy(regs + 10 * n, fpu_st(x, n), 10);
    cpu_probe(&x->cpu, at, 7 * opsize + 80, MEM_STORE, MMU_CURRENT);
    unsigned n = put_env(x, at, opsize);
    cpu_store_bytes(&x->cpu, at + n, regs, sizeof(regs), MMU_CURRENT);
    fpu_init(x);
}

void fpu_restore(X86Cpu *x, uint64_t at, unsigned opsize)
{
    uint8_t buf[28 + 80];
    unsigned env = 7 * opsize;
    cpu_load_bytes(&x->cpu, at, buf, env + 80, MMU_CURRENT);
    take_env(x, buf, opsize);
    for (unsigned n = 0; n < 8; n++)
        memcpy(fpu_st(x, n), buf + env + 10 * n, 10);
}
