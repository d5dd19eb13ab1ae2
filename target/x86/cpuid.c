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
    if (!(x->misc_enable & MISC_MONITOR) && !x->caps)
        o[ECX] &= ~(1u << (X86_F_monitor & 31));
    o[EDX] = x->features[W_1_EDX];
    if (logical > 1)
        o[EDX] |= 1u << (X86_F_ht & 31);
}

typedef struct Cache {
    uint8_t type, level;        /* 1 data, 2 instructions, 3 both */
    uint32_t kib, ways;
    uint8_t flags;              /* edx: 1 not flushed by wbinvd of others, 2 inclusive, 4 complex index */
} Cache;
enum { LINE = 64, CACHE_COUNT = 4 };
/* Level 1 data, level 1 code, level 2, level 3. AMD's leaves of old models differ from Intel's. */
static const Cache caches[][CACHE_COUNT] = {
    [CACHES_LEGACY] = {{1, 1, 32, 8, 1}, {2, 1, 32, 8, 1}, {3, 2, 4096, 16, 1}, {3, 3, 16384, 16, 6}},
    [CACHES_EPYC] = {{1, 1, 32, 8, 0}, {2, 1, 64, 4, 0}, {3, 2, 512, 8, 2}, {3, 3, 8192, 16, 6}},
    [CACHES_ROME] = {{1, 1, 32, 8, 0}, {2, 1, 32, 8, 0}, {3, 2, 512, 8, 2}, {3, 3, 16384, 16, 6}},
    [CACHES_MILAN] = {{1, 1, 32, 8, 0}, {2, 1, 32, 8, 0}, {3, 2, 512, 8, 2}, {3, 3, 32768, 16, 6}},
    [CACHES_GENOA] = {{1, 1, 32, 8, 0}, {2, 1, 32, 8, 0}, {3, 2, 1024, 8, 2}, {3, 3, 32768, 16, 6}},
};
static const Cache amd_legacy[CACHE_COUNT] = {
    {1, 1, 64, 2, 0}, {2, 1, 64, 2, 0}, {3, 2, 512, 16, 0}, {3, 3, 16384, 16, 0},
};

static void cache_leaf(const X86Cpu *x, uint32_t sub, Out o)
{
    CpuTopology t = topology(x);
    if (sub >= (x->l3_cache ? 4u : 3u))
        return;
    const Cache *c = &caches[x86_model_caches(x)][sub];
    unsigned sharing = c->level == 3 ? t.threads * t.cores : t.threads;
    o[EAX] = c->type | c->level << 5 | 1 << 8 | ((1u << bits_for(sharing)) - 1) << 14;
    if (intel(x))
        o[EAX] |= ((1u << bits_for(t.cores * t.dies)) - 1) << 26;
    o[EBX] = (LINE - 1) | (c->ways - 1) << 22;
    o[ECX] = c->kib * 1024 / (LINE * c->ways) - 1;
    o[EDX] = c->flags;
}

/* Ways as leaf 80000006 writes them. */
static unsigned ways_code(unsigned ways)
{
    static const uint8_t codes[] = {1, 2, 4, 6, 8, 10, 13, 14};
    return ways <= 128 ? codes[bits_for(ways)] : 15;
}

static void amd_cache_leaf(const X86Cpu *x, uint32_t leaf, Out o)
{
    X86Caches set = x86_model_caches(x);
    const Cache *c = set == CACHES_LEGACY ? amd_legacy : caches[set];
    if (leaf == 0x80000005) {
        o[EAX] = o[EBX] = 0x01ff01ff;
        o[ECX] = c[0].kib << 24 | c[0].ways << 16 | 1 << 8 | LINE;
        o[EDX] = c[1].kib << 24 | c[1].ways << 16 | 1 << 8 | LINE;
        return;
    }
    o[EBX] = 0x42004200;
    o[ECX] = c[2].kib << 16 | ways_code(c[2].ways) << 12 | 1 << 8 | LINE;
    if (x->l3_cache)
        o[EDX] = c[3].kib / 512 << 18 | ways_code(c[3].ways) << 12 | 1 << 8 | LINE;
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
    if (sub == 1) {
        o[EAX] = x->features[W_7_1_EAX];
        o[EDX] = x->features[W_7_1_EDX];
    }
    if (sub)
        return;
    o[EAX] = x->features[W_7_1_EAX] || x->features[W_7_1_EDX];
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
        o[EAX] = x->xlevel;
        vendor(x, o);
        break;
    case 0x80000001:
        o[EAX] = intel(x) ? 0 : x->cpuid_version;
        o[ECX] = x->features[W_80000001_ECX];
        o[EDX] = x->features[W_80000001_EDX];
        if (x->misc_enable & MISC_NX_OFF)
            o[EDX] &= ~(1u << (X86_F_nx & 31));
        if (intel(x) && !x->caps && !x86_code64(x))     /* not there in other modes */
            o[EDX] &= ~(1u << (X86_F_syscall & 31));
        if (!intel(x)) {
            o[EDX] |= x->features[W_1_EDX] & 0x0183f3ff;
            if (t.threads * t.cores * t.dies > 1)
                o[ECX] |= 2;
        }
        break;
    case 0x80000002: case 0x80000003: case 0x80000004:
        text(o, x->model_id, (leaf - 0x80000002) * 16, 16);
        break;
    case 0x80000005: case 0x80000006:
        amd_cache_leaf(x, leaf, o);
        break;
    case 0x80000007:
        o[EBX] = x->features[W_80000007_EBX];
        o[EDX] = x->features[W_80000007_EDX];
        break;
    case 0x80000008:
        leaf_80000008(x, o);
        break;
    case 0x8000000a:
        if (x86_has(x, X86_F_svm)) {
            o[EAX] = 1;
            o[EBX] = 16;
            o[EDX] = x->features[W_8000000A_EDX];
        }
        break;
    case 0x8000001d:
        if (x86_has(x, X86_F_topoext))
            cache_leaf(x, sub, o);
        break;
    case 0x8000001e:
        if (x86_has(x, X86_F_topoext)) {
            o[EAX] = x->apic_id;
            o[EBX] = (t.threads - 1) << 8 | (x->apic_id >> bits_for(t.threads) & 0xff);
            o[ECX] = (t.dies - 1) << 8 | (x->cpu.index / (t.threads * t.cores) % t.dies);
        }
        break;
    case 0x80000021:
        o[EAX] = x->features[W_80000021_EAX];
        break;
    }
}

/* ---- hypervisor ---- */

/* On the translator QEMU's signature first, as users of it expect; KVM's, for its clock, at the next base
 * that guests look at. */
static void leaf_hypervisor(const X86Cpu *x, uint32_t leaf, Out o)
{
    const char *first = x->caps ? x->kvm ? x->caps->signature : NULL : x->expose_tcg ? "TCGTCGTCGTCG" : NULL;
    bool second = !x->caps && x->features[W_KVM];
    uint32_t base = x->caps ? 0x40000000 : 0x40000100;
    if (leaf == 0x40000000 && first) {
        o[EAX] = 0x40000001;
        memcpy(&o[EBX], first, 12);
    } else if (leaf == 0x40000100 && second) {
        o[EAX] = 0x40000101;
        memcpy(&o[EBX], "KVMKVMKVM\0\0", 12);
    } else if (leaf == base + 1) {
        o[EAX] = x->features[W_KVM];
        o[EDX] = x->features[W_KVM_HINTS];
    }
}

void x86_cpuid(X86Cpu *x, uint32_t leaf, uint32_t sub, uint32_t o[4])
{
    memset(o, 0, sizeof(Out));
    if (leaf >> 16 == 0x4000) {
        leaf_hypervisor(x, leaf, o);
        return;
    }
    if (leaf >> 16 == 0xc000) {
        if (leaf == 0xc0000000 && x->features[W_C0000001_EDX])
            o[EAX] = 0xc0000001;
        else if (leaf == 0xc0000001)
            o[EDX] = x->features[W_C0000001_EDX];
        return;
    }
    if (leaf >> 31) {
        if (leaf <= x->xlevel) {
            leaf_ext(x, leaf, sub, o);
            return;
        }
        leaf = x->level;  /* beyond the last: the last basic leaf */
    }
    if (leaf > x->level)
        leaf = x->level;
    switch (leaf) {
    case 0:
        o[EAX] = x->misc_enable & MISC_LIMIT_CPUID ? MIN(x->level, 2) : x->level;
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
        if (x->leaf_b)
            topology_leaf(x, sub, o);
        break;
    case 0xd:
        xsave_leaf(x, sub, o);
        break;
    }
}

/* ---- the whole table ---- */

typedef struct Table {
    X86Cpu *x;
    X86CpuidEntry *out;
    unsigned n, max;
} Table;

static void add(Table *t, uint32_t leaf, uint32_t sub, bool indexed)
{
    X86CpuidEntry e = {.leaf = leaf, .index = sub, .indexed = indexed};
    x86_cpuid(t->x, leaf, sub, e.regs);
    if (t->n < t->max)
        t->out[t->n] = e;
    t->n++;
}

/* Leaves whose registers depend on ecx: all sub-leaves up to the one that ends them, which is in. */
static void add_leaf(Table *t, uint32_t leaf)
{
    uint32_t o[4];
    bool present = true;
    switch (leaf) {
    case 4: case 0x8000001d:
        for (unsigned sub = 0; present; sub++) {
            add(t, leaf, sub, true);
            x86_cpuid(t->x, leaf, sub, o);
            present = o[EAX] & 31;
        }
        break;
    case 0xb: case 0x1f:
        for (unsigned sub = 0; present; sub++) {
            add(t, leaf, sub, true);
            x86_cpuid(t->x, leaf, sub, o);
            present = o[ECX] >> 8;
        }
        break;
    case 7:
        add(t, leaf, 0, true);
        x86_cpuid(t->x, leaf, 0, o);
        for (unsigned sub = 1; sub <= o[EAX]; sub++)
            add(t, leaf, sub, true);
        break;
    case 0xd:
        for (unsigned sub = 0; sub < 64; sub++) {
            x86_cpuid(t->x, leaf, sub, o);
            if (sub < 2 || o[EAX])
                add(t, leaf, sub, true);
        }
        break;
    default:
        add(t, leaf, 0, false);
    }
}

unsigned x86_cpuid_table(Cpu *cpu, X86CpuidEntry *out, unsigned max)
{
    X86Cpu *x = x86_of(cpu);
    Table t = {x, out, 0, max};
    const uint32_t ranges[][2] = {
        {0, x->level}, {0x40000000, 0x40000001}, {0x80000000, x->xlevel}, {0xc0000000, 0xc0000001},
    };
    for (unsigned r = 0; r < G_N_ELEMENTS(ranges); r++) {
        if ((r == 2 && !x->xlevel) || (r == 3 && !x->features[W_C0000001_EDX]))
            continue;
        for (uint32_t leaf = ranges[r][0]; leaf <= ranges[r][1]; leaf++)
            add_leaf(&t, leaf);
    }
    return t.n;
}
