/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID leaves. Intel SDM vol. 2A CPUID; AMD APM vol. 3 appendix E; hypervisor leaves as QEMU's. */
#include <string.h>
#include "target/x86/cpu.h"

typedef uint32_t Out[4];
enum { EAX, EBX, ECX, EDX };

static void text(uint32_t *out, const char *s, unsigned at, unsigned n)
{
    char buf[64] = {0};
    g_strlcpy(buf, s ? s : "", sizeof(buf));
    memcpy(out, buf + at, n);
}

static void vendor(const X86Cpu *x, Out o)
{
    char v[13] = {0};
    g_strlcpy(v, x->vendor ? x->vendor : "", sizeof(v));
    memcpy(&o[EBX], v, 4);
    memcpy(&o[EDX], v + 4, 4);
    memcpy(&o[ECX], v + 8, 4);
}

static bool intel(const X86Cpu *x) { return x->vendor && !strcmp(x->vendor, "GenuineIntel"); }

static CpuTopology topology(const X86Cpu *x)
{
    const Machine *m = x->cpu.vm->machine;
    CpuTopology t = m ? m->smp : (CpuTopology){0};
    t.threads = MAX(t.threads, 1);
    t.cores = MAX(t.cores, 1) * MAX(t.clusters, 1);
    t.dies = MAX(t.dies, 1);
    return t;
}

static unsigned bits_for(unsigned n) { return n <= 1 ? 0 : 32 - __builtin_clz(n - 1); }

static void leaf_1(const X86Cpu *x, Out o)
{
    CpuTopology t = topology(x);
    unsigned logical = t.threads * t.cores * t.dies;
    o[EAX] = x->cpuid_version;
    o[EBX] = (x->apic_id & 0xff) << 24 | 8 << 8 | (logical > 1 ? MIN(logical, 255) << 16 : 0);
    o[ECX] = x->features[W_1_ECX] | (x->cr4 & CR4_OSXSAVE ? 1u << (X86_F_osxsave & 31) : 0);
    o[EDX] = x->features[W_1_EDX];
    if (logical > 1)
        o[EDX] |= 1u << (X86_F_ht & 31);
}

typedef struct Cache { uint8_t type, level; uint32_t sets, ways, line; } Cache;
static const Cache caches[] = {{1, 1, 64, 8, 64}, {2, 1, 64, 8, 64}, {3, 2, 4096, 16, 64}, {3, 3, 16384, 16, 64}};

static void cache_leaf(const X86Cpu *x, uint32_t sub, Out o)
{
    CpuTopology t = topology(x);
    if (sub >= G_N_ELEMENTS(caches) - !x->l3_cache)
        return;
    const Cache *c = &caches[sub];
    unsigned sharing = c->level == 3 ? t.threads * t.cores : t.threads;
    o[EAX] = c->type | c->level << 5 | 1 << 8 | ((1u << bits_for(sharing)) - 1) << 14;
    if (intel(x))
        o[EAX] |= ((1u << bits_for(t.cores * t.dies)) - 1) << 26;
    o[EBX] = (c->line - 1) | (c->ways - 1) << 22;
    o[ECX] = c->sets - 1;
    o[EDX] = c->level == 3 ? 6 : 1;
}

static void topology_leaf(const X86Cpu *x, uint32_t sub, Out o)
{
    CpuTopology t = topology(x);
    unsigned tb = bits_for(t.threads), cb = bits_for(t.cores), db = bits_for(t.dies);
    o[ECX] = sub & 0xff;
    o[EDX] = x->apic_id;
    if (sub == 0) {
        o[EAX] = tb;
        o[EBX] = t.threads;
        o[ECX] |= 1 << 8;
    } else if (sub == 1) {
        o[EAX] = tb + cb + db;
        o[EBX] = t.threads * t.cores * t.dies;
        o[ECX] |= 2 << 8;
    }
}

static void leaf_7(const X86Cpu *x, uint32_t sub, Out o)
{
    if (sub)
        return;
    o[EBX] = x->features[W_7_0_EBX];
    o[ECX] = x->features[W_7_0_ECX] | (x->cr4 & CR4_PKE ? 1u << (X86_F_ospke & 31) : 0);
    o[EDX] = x->features[W_7_0_EDX];
}

/* ---- XSAVE ---- */

uint64_t x86_xcr0_allowed(const X86Cpu *x)
{
    return 3 | (x86_has(x, X86_F_avx) ? 4 : 0) | (x86_has(x, X86_F_pku) ? 1 << 9 : 0);
}

uint32_t x86_xsave_size(uint64_t mask, bool compacted)
{
    uint32_t size = 576;
    if (mask & 4)
        size = 832;
    if (mask & 1 << 9)
        size = compacted ? size + 8 : 2696;
    return size;
}

uint64_t x86_xinuse(const X86Cpu *x)
{
    uint64_t used = 1;
    for (unsigned n = 0; n < 16; n++) {
        used |= x->xmm[n].d[0] | x->xmm[n].d[1] ? 2 : 0;
        used |= x->xmm[n].d[2] | x->xmm[n].d[3] ? 4 : 0;
    }
    return used | (x->mxcsr != 0x1f80 ? 2 : 0) | (x->pkru ? 1 << 9 : 0);
}

static void xsave_leaf(const X86Cpu *x, uint32_t sub, Out o)
{
    if (!x86_has(x, X86_F_xsave))
        return;
    uint64_t allowed = x86_xcr0_allowed(x);
    switch (sub) {
    case 0:
        o[EAX] = allowed;
        o[EBX] = x86_xsave_size(x->xcr0, false);
        o[ECX] = x86_xsave_size(allowed, false);
        break;
    case 1:
        o[EAX] = x->features[W_D_1_EAX];
        o[EBX] = x86_xsave_size(x->xcr0 | x->xss, true);
        break;
    case 2:
        if (allowed & 4) {
            o[EAX] = 256;
            o[EBX] = 576;
        }
        break;
    case 9:
        if (allowed & 1 << 9) {
            o[EAX] = 8;
            o[EBX] = 2688;
        }
        break;
    }
}

/* ---- extended ---- */

static void leaf_80000008(const X86Cpu *x, Out o)
{
    CpuTopology t = topology(x);
    unsigned logical = t.threads * t.cores * t.dies;
    o[EAX] = x->phys_bits;
    if (x86_has(x, X86_F_lm))
        o[EAX] |= (x86_has(x, X86_F_la57) ? 57 : 48) << 8;
    o[EBX] = x->features[W_80000008_EBX];
    if (logical > 1)
        o[ECX] = bits_for(logical) << 12 | (logical - 1);
}

static void leaf_ext(const X86Cpu *x, uint32_t leaf, uint32_t sub, Out o)
{
    CpuTopology t = topology(x);
    switch (leaf) {
    case 0x80000000:
        o[EAX] = x->cpuid_xlevel;
        vendor(x, o);
        break;
    case 0x80000001:
        o[EAX] = intel(x) ? 0 : x->cpuid_version;
        o[ECX] = x->features[W_80000001_ECX];
        o[EDX] = x->features[W_80000001_EDX];
        if (!intel(x)) {
            o[EDX] |= x->features[W_1_EDX] & 0x0183f3ff;
            if (t.threads * t.cores * t.dies > 1)
                o[ECX] |= 2;
        }
        break;
    case 0x80000002: case 0x80000003: case 0x80000004:
        text(o, x->model_id, (leaf - 0x80000002) * 16, 16);
        break;
    case 0x80000005:
        o[EAX] = 0x01ff01ff;
        o[EBX] = 0x01ff01ff;
        o[ECX] = o[EDX] = 32 << 24 | 8 << 16 | 1 << 8 | 64;
        break;
    case 0x80000006:
        o[EBX] = 0x42004200;
        o[ECX] = 4096 << 16 | 8 << 12 | 1 << 8 | 64;
        if (x->l3_cache)
            o[EDX] = 32 << 18 | 8 << 12 | 1 << 8 | 64;
        break;
    case 0x80000007:
        o[EDX] = x->features[W_80000007_EDX];
        break;
    case 0x80000008:
        leaf_80000008(x, o);
        break;
    case 0x8000001d:
        if (x86_has(x, X86_F_topoext))
            cache_leaf(x, sub, o);
        break;
    }
}

/* ---- hypervisor ---- */



/* QEMU's signature first, as users of it expect; KVM's, for its clock, at the next base that guests
 * look at. */
static void leaf_hypervisor(const X86Cpu *x, uint32_t leaf, Out o)
{
    bool kvm = x->features[W_KVM];
    switch (leaf) {
    case 0x40000000:
        if (!x->expose_tcg)
            break;
        o[EAX] = 0x40000001;
        memcpy(&o[EBX], "TCGTCGTCGTCG", 12);
        break;
    case 0x40000100:
        if (!kvm)
            break;
        o[EAX] = 0x40000101;
        memcpy(&o[EBX], "KVMKVMKVM\0\0", 12);
        break;
    case 0x40000101:
        o[EAX] = x->features[W_KVM];
        break;
    }
}

void x86_cpuid(X86Cpu *x, uint32_t leaf, uint32_t sub, uint32_t o[4])
{
    memset(o, 0, sizeof(Out));
    if (leaf >> 16 == 0x4000) {
        leaf_hypervisor(x, leaf, o);
        return;
    }
    if (leaf >> 31) {
        if (leaf <= x->cpuid_xlevel) {
            leaf_ext(x, leaf, sub, o);
            return;
        }
        leaf = x->cpuid_level;  /* beyond the last: the last basic leaf */
    }
    if (leaf > x->cpuid_level)
        leaf = x->cpuid_level;
    switch (leaf) {
    case 0:
        o[EAX] = x->cpuid_level;
        vendor(x, o);
        break;
    case 1:
        leaf_1(x, o);
        break;
    case 2:
        o[EAX] = 1;
        o[EDX] = 0x2c307d;
        break;
    case 4:
        if (intel(x))
            cache_leaf(x, sub, o);
        break;
    case 5:
        if (x86_has(x, X86_F_monitor)) {
            o[EAX] = o[EBX] = 64;
            o[ECX] = 3;
        }
        break;
    case 6:
        o[EAX] = x->features[W_6_EAX];
        break;
    case 7:
        leaf_7(x, sub, o);
        break;
    case 0xb:
        topology_leaf(x, sub, o);
        break;
    case 0xd:
        xsave_leaf(x, sub, o);
        break;
    }
}
