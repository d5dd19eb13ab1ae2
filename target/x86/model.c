/* SPDX-License-Identifier: Apache-2.0 */
/* CPU types and their properties. Models in models.inc, features in features.inc. */
#include <string.h>
#include "core/accel.h"
#include "core/numa.h"
#include "target/x86-state.h"
#include "target/x86/cpu.h"
#include "util/error.h"

#define INTEL "GenuineIntel"
#define AMD "AuthenticAMD"
#define HYGON "HygonGenuine"

/* A model's first version. */
typedef struct Base {
    const char *name, *vendor;
    X86Caches caches;
    uint32_t family, model, stepping, level, xlevel;
    const char *id, *features;
} Base;

/* What a later version changes. */
typedef struct Version {
    const Base *base;
    unsigned number;
    int32_t model, stepping;    /* -1: as before */
    const char *id, *changes;   /* id NULL: as before */
} Version;

/* What a type name means. */
struct X86Model {
    const Base *base;
    unsigned version;           /* 0: the machine chooses */
    bool alias;
};

#define MODEL(id_, name_, caches_, vendor_, family_, model_, stepping_, level_, xlevel_, brand_, features_) \
    static const Base base_##id_ = {name_, vendor_, caches_, family_, model_, stepping_, level_,       \
                                    xlevel_, brand_, features_};
#define VERSION(id_, n_, name_, model_, stepping_, brand_, desc_, changes_)
#define ALIAS(id_, n_, own_, name_, desc_)
#include "target/x86/models.inc"

static const Version versions[] = {
#define MODEL(...)
#define VERSION(id_, n_, name_, model_, stepping_, brand_, desc_, changes_)                           \
    {&base_##id_, n_, model_, stepping_, brand_, changes_},
#define ALIAS(id_, n_, own_, name_, desc_)
#include "target/x86/models.inc"
};

/* Without features of their own: what there is. */
static const Base base_max = {"max", AMD, CACHES_LEGACY, 15, 107, 1, 13, 0x8000000a,
                              "QEMU TCG CPU version 2.5+", NULL};
static const Base base_host = {"host", AMD, CACHES_LEGACY, 15, 107, 1, 13, 0x8000000a,
                               "QEMU TCG CPU version 2.5+", NULL};
static const Base base_base = {"base", "", CACHES_LEGACY, 0, 0, 0, 0, 0, "", ""};

/* ---- features ---- */

typedef struct Feature {
    const char *name;
    uint8_t word, bit, have;
} Feature;

static const Feature features[] = {
#define FEATURE(id, name, word, bit, have) {name, word, bit, have},
#include "target/x86/features.inc"
};

static const Feature *find_feature(const char *name, size_t n)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(features); k++) {
        if (strlen(features[k].name) == n && !memcmp(features[k].name, name, n))
            return &features[k];
    }
    return NULL;
}

bool x86_cpu_has(Cpu *cpu, const char *feature)
{
    const Feature *f = find_feature(feature, strlen(feature));
    return f && x86_of(cpu)->features[f->word] >> f->bit & 1;
}

uint32_t x86_cpu_word(Cpu *cpu, X86Word word) { return x86_of(cpu)->features[word]; }

/* "a +b -c" */
static void change_words(uint32_t words[X86_WORDS], const char *list)
{
    for (const char *p = list; *p; ) {
        size_t n = strcspn(p, " ");
        bool sign = *p == '+' || *p == '-';
        const Feature *f = find_feature(p + sign, n - sign);
        if (f && *p == '-')
            words[f->word] &= ~(1u << f->bit);
        else if (f)
            words[f->word] |= 1u << f->bit;
        p += n + strspn(p + n, " ");
    }
}

void x86_engine_words(uint32_t words[X86_WORDS])
{
    memset(words, 0, sizeof(uint32_t) * X86_WORDS);
    for (unsigned k = 0; k < G_N_ELEMENTS(features); k++) {
        if (features[k].have)
            words[features[k].word] |= 1u << features[k].bit;
    }
}

bool x86_cpu_adopt_word(Cpu *cpu, X86Word word, uint32_t bits)
{
    X86Cpu *x = x86_of(cpu);
    if (word == W_1_ECX)
        bits &= ~(1u << (X86_F_osxsave & 31));      /* follow CR4 */
    if (word == W_7_0_ECX)
        bits &= ~(1u << (X86_F_ospke & 31));
    bool changed = x->features[word] != bits;
    x->features[word] = bits;
    return changed;
}

static void supported(const X86Cpu *x, uint32_t words[X86_WORDS])
{
    x86_engine_words(words);
    if (x->caps)
        memcpy(words, x->caps->words, sizeof(uint32_t) * X86_WORDS);
}

/* All that the model max is to have. */
static void everything(X86Cpu *x)
{
    if (x->caps) {
        memcpy(x->features, x->caps->words, sizeof(x->features));
        change_words(x->features, "-invtsc");
        return;
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(features); k++) {
        if (features[k].have == 1)
            x->features[features[k].word] |= 1u << features[k].bit;
    }
}

const X86WordPlace x86_word_places[X86_WORDS] = {
    [W_1_EDX] = {1, 0, 3}, [W_1_ECX] = {1, 0, 2}, [W_7_0_EBX] = {7, 0, 1}, [W_7_0_ECX] = {7, 0, 2},
    [W_7_0_EDX] = {7, 0, 3}, [W_7_1_EAX] = {7, 1, 0}, [W_7_1_EDX] = {7, 1, 3},
    [W_80000001_EDX] = {0x80000001, 0, 3}, [W_80000001_ECX] = {0x80000001, 0, 2},
    [W_80000007_EBX] = {0x80000007, 0, 1}, [W_80000007_EDX] = {0x80000007, 0, 3},
    [W_80000008_EBX] = {0x80000008, 0, 1}, [W_80000021_EAX] = {0x80000021, 0, 0},
    [W_C0000001_EDX] = {0xc0000001, 0, 3}, [W_KVM] = {0x40000001, 0, 0},
    [W_KVM_HINTS] = {0x40000001, 0, 3}, [W_8000000A_EDX] = {0x8000000a, 0, 3},
    [W_D_1_EAX] = {0xd, 1, 0}, [W_6_EAX] = {6, 0, 0}, [W_14_0_ECX] = {0x14, 0, 2},
    [W_ARCH_CAP] = {.msr = 0x10a}, [W_CORE_CAP] = {.msr = 0xcf}, [W_PERF_CAP] = {.msr = 0x345},
};

void x86_caps_from_cpuid(X86Caps *caps, const X86CpuidEntry *table, unsigned n)
{
    for (unsigned w = 0; w < X86_WORDS; w++) {
        const X86WordPlace *p = &x86_word_places[w];
        for (unsigned k = 0; k < n && !p->msr; k++) {
            if (table[k].leaf == p->leaf && table[k].index == p->sub)
                caps->words[w] = table[k].regs[p->reg];
        }
    }
}

static void warn(const X86Cpu *x, const Feature *f)
{
    static const char *const regs[4] = {"EAX", "EBX", "ECX", "EDX"};
    const X86WordPlace *p = &x86_word_places[f->word];
    g_autofree char *at = p->msr ? g_strdup_printf("MSR(%XH)", p->msr)
                                 : g_strdup_printf("CPUID.%02XH:%s", p->leaf, regs[p->reg]);
    g_printerr("%s: warning: %s doesn't support requested feature: %s.%s [bit %u]\n",
               x->cpu.vm->argv0 ? x->cpu.vm->argv0 : "myna", x->caps ? x->caps->who : "TCG", at,
               f->name, f->bit);
}

/* Drops what cannot be had. False: enforce=on, and something was wanted in vain. */
static bool filter(X86Cpu *x, GError **error)
{
    uint32_t have[X86_WORDS], any = 0;
    supported(x, have);
    for (unsigned w = 0; w < X86_WORDS; w++) {
        x->unavailable[w] = x->features[w] & ~have[w];
        x->features[w] &= have[w];
        any |= x->unavailable[w];
    }
    if (!any || !(x->prop_check || x->prop_enforce))
        return true;
    for (unsigned k = 0; k < G_N_ELEMENTS(features) && !x->cpu.index; k++) {
        if (x->unavailable[features[k].word] >> features[k].bit & 1)
            warn(x, &features[k]);
    }
    return !x->prop_enforce ||
           error_set(error, "%s doesn't support requested features", x->caps ? "Host" : "TCG");
}

/* Features that stand on others. */
static void settle(X86Cpu *x)
{
    static const struct { int f, needs; } rows[] = {
        {X86_F_avx, X86_F_xsave}, {X86_F_avx2, X86_F_avx}, {X86_F_fma, X86_F_avx},
        {X86_F_f16c, X86_F_avx}, {X86_F_xsaveopt, X86_F_xsave}, {X86_F_xsavec, X86_F_xsave},
        {X86_F_xsaves, X86_F_xsave}, {X86_F_xgetbv1, X86_F_xsave}, {X86_F_pku, X86_F_xsave},
        {X86_F_vaes, X86_F_avx}, {X86_F_vpclmulqdq, X86_F_avx},
    };
    static const struct { X86Word word; int needs; } words[] = {
        {W_8000000A_EDX, X86_F_svm}, {W_ARCH_CAP, X86_F_arch_capabilities},
        {W_CORE_CAP, X86_F_core_capability}, {W_14_0_ECX, X86_F_intel_pt}, {W_PERF_CAP, X86_F_pdcm},
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        if (!x86_has(x, rows[k].needs))
            x->features[rows[k].f >> 5] &= ~(1u << (rows[k].f & 31));
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(words); k++) {
        if (!x86_has(x, words[k].needs))
            x->features[words[k].word] = 0;
    }
    if (!x->kvm)
        x->features[W_KVM] = x->features[W_KVM_HINTS] = 0;
    if (!strcmp(x->cpu.isa->name, "i386") && !x86_has(x, X86_F_lm))
        x->features[W_80000001_ECX] &= ~(1u << (X86_F_lahf_lm & 31));
}

/* ---- identity ---- */

static uint32_t version(const X86Cpu *x)
{
    uint32_t family = x->family > 15 ? 15 : x->family, more = x->family > 15 ? x->family - 15 : 0;
    return (x->stepping & 15) | (x->model_no & 15) << 4 | family << 8 | (x->model_no >> 4 & 15) << 16 | more << 20;
}

static unsigned bits_for(unsigned n) { return n <= 1 ? 0 : 32 - __builtin_clz(n - 1); }

/* From the topology: thread, core, die, socket fields, each wide enough. */
uint32_t x86_apic_id(const CpuTopology *t, unsigned index)
{
    if (!t->threads)
        return index;
    unsigned dies = MAX(t->dies, 1), cores = MAX(t->cores, 1) * MAX(t->clusters, 1);
    unsigned tb = bits_for(t->threads), cb = bits_for(cores), db = bits_for(dies);
    X86Place at = x86_place(t, index);
    return at.thread | at.core << tb | at.die << (tb + cb) | at.socket << (tb + cb + db);
}

X86Place x86_place(const CpuTopology *t, unsigned i)
{
    unsigned threads = MAX(t->threads, 1), cores = MAX(t->cores, 1) * MAX(t->clusters, 1);
    unsigned dies = MAX(t->dies, 1);
    return (X86Place){.thread = i % threads, .core = i / threads % cores, .die = i / (threads * cores) % dies,
                      .socket = i / (threads * cores * dies), .node = -1};
}

X86Place *x86_cpu_place(Cpu *cpu) { return &x86_of(cpu)->place; }

static void settle_place(X86Cpu *x)
{
    static const CpuTopology flat;
    const Machine *m = x->cpu.vm->machine;
    const CpuTopology *t = m ? &m->smp : &flat;
    if (x->apic_id == UINT32_MAX)
        x->apic_id = x86_apic_id(t, x->cpu.index);
    if (m && x->place.socket < 0)
        x->place = x86_place(t, x->cpu.index);
    if (m && m->numa && x->cpu.index < t->maxcpus)
        x->place.node = m->numa->cpu_node[x->cpu.index];
}

/* Features want the leaves that tell of them. */
static void raise_levels(X86Cpu *x)
{
    x->min_level = MAX(x->min_level, x->model->base->level);
    x->min_xlevel = MAX(x->min_xlevel, x->model->base->xlevel);
    for (unsigned w = 0; w < X86_WORDS && x->auto_level; w++) {
        uint32_t leaf = x->features[w] ? x86_word_places[w].leaf : 0;
        if (leaf >> 16 == 0x8000)
            x->min_xlevel = MAX(x->min_xlevel, leaf);
        else if (!(leaf >> 16))
            x->min_level = MAX(x->min_level, leaf);
    }
    if (x->auto_level && x86_has(x, X86_F_xsave))
        x->min_level = MAX(x->min_level, 0xd);
    if (x->auto_level && x86_has(x, X86_F_lm))
        x->min_xlevel = MAX(x->min_xlevel, 0x80000008);
    x->level = x->level ? x->level : x->min_level;
    x->xlevel = x->xlevel ? x->xlevel : x->min_xlevel;
}

bool x86_expand(Cpu *cpu, GError **error)
{
    X86Cpu *x = x86_of(cpu);
    if (x->model->base == &base_host && !(x->caps && x->caps->vendor[0]))
        return error_set(error, "CPU model 'host' requires KVM");
    if (!x->legacy_cache && x->model->base->caches == CACHES_LEGACY)
        return error_set(error, "CPU model '%s' doesn't support legacy-cache=off", x->model->base->name);
    bool all = x->model->base == &base_max || x->model->base == &base_host;
    uint32_t have[X86_WORDS];
    supported(x, have);
    if (all && !x->migratable)
        x->features[W_80000007_EDX] |= have[W_80000007_EDX];
    settle(x);
    raise_levels(x);
    return true;
}

static bool set_phys_bits(X86Cpu *x, GError **error)
{
    x->phys_bits = x->phys_bits_prop ? x->phys_bits_prop : x86_has(x, X86_F_lm) ? 40
                                     : x86_has(x, X86_F_pae) ? 36 : 32;
    if (x->host_phys_bits && !x->caps)
        return error_set(error, "host-phys-bits=on needs an accelerator that runs on the host's CPU");
    if (x->caps && x->caps->phys_bits && !x->phys_bits_prop &&
        (x->host_phys_bits || x->model->base == &base_host))
        x->phys_bits = x->caps->phys_bits;
    if (x->phys_bits < 32 || x->phys_bits > 52)
        return error_set(error, "phys-bits should be between 32 and 52 (but is %u)", x->phys_bits);
    return true;
}

bool x86_realize(Cpu *cpu, GError **error)
{
    X86Cpu *x = x86_of(cpu);
    if (!x->caps && (x->pmu || x->host_cache_info))
        return error_set(error, "property %s=on is not implemented", x->pmu ? "pmu" : "host-cache-info");
    if (!x86_expand(cpu, error) || !filter(x, error))
        return false;
    settle(x);
    if (x->vendor && *x->vendor && strlen(x->vendor) != 12)
        return error_set(error, "property vendor: '%s' must be 12 characters long", x->vendor);
    x->cpuid_version = version(x);
    if (!set_phys_bits(x, error))
        return false;
    settle_place(x);
    x->tsc_default = !x->tsc_hz;
    if (x->tsc_default)
        x->tsc_hz = 1000000000;
    if (!x->ucode_rev)
        x->ucode_rev = x->vendor && !strcmp(x->vendor, INTEL) ? 0x100000000 : 0x01000065;
    x->bsp = cpu->index == 0;
    x->apic_base = 0xfee00800 | (x->bsp ? 1 << 8 : 0);
    if (!softmmu_init(cpu))
        return error_set(error, "out of memory for the address-translation caches");
    x86_reset(cpu);
    return true;
}

/* ---- making one ---- */

static const X86Caps *caps_of(Vm *vm)
{
    const AccelType *type = vm && vm->accel ? (const AccelType *)vm->accel->object.type : NULL;
    return type && type->cpu_caps ? type->cpu_caps(vm->accel, &x86_64_isa) : NULL;
}

static unsigned latest(const Base *base)
{
    unsigned n = 1;
    for (unsigned k = 0; k < G_N_ELEMENTS(versions); k++) {
        if (versions[k].base == base)
            n = MAX(n, versions[k].number);
    }
    return n;
}

static unsigned version_of(const X86Model *m, Vm *vm)
{
    bool want_latest = vm && vm->machine && vm->machine->type_->latest_cpus;
    return m->version ? m->version : want_latest ? latest(m->base) : 1;
}

static void set_text(char **to, const char *text)
{
    g_free(*to);
    *to = g_strdup(text);
}

static void apply_version(X86Cpu *x, const Version *v)
{
    x->model_no = v->model < 0 ? x->model_no : (uint32_t)v->model;
    x->stepping = v->stepping < 0 ? x->stepping : (uint32_t)v->stepping;
    if (v->id)
        set_text(&x->model_id, v->id);
    change_words(x->features, v->changes);
}

static void be_the_host(X86Cpu *x)
{
    const X86Caps *c = x->caps;
    set_text(&x->vendor, c->vendor);
    set_text(&x->model_id, c->model_id);
    x->family = c->family;
    x->model_no = c->model;
    x->stepping = c->stepping;
    x->level = c->level;
    x->xlevel = c->xlevel;
}

static bool get_unavailable(Object *o, Property *p, PropValue *out, GError **error)
{
    X86Cpu *x = (X86Cpu *)o;
    GString *s = g_string_new("[");
    for (unsigned k = 0; k < G_N_ELEMENTS(features); k++) {
        if (x->unavailable[features[k].word] >> features[k].bit & 1)
            g_string_append_printf(s, "%s\"%s\"", s->len > 1 ? ", " : "", features[k].name);
    }
    g_string_append_c(s, ']');
    *out = (PropValue){.kind = VALUE_JSON, .s = g_string_free(s, FALSE)};
    return true;
}

/* Second names of features. */
static const struct { const char *name, *of; } feature_aliases[] = {
    {"sse3", "pni"}, {"sse4-1", "sse4.1"}, {"sse4-2", "sse4.2"}, {"pclmuldq", "pclmulqdq"},
    {"xd", "nx"}, {"i64", "lm"}, {"ffxsr", "fxsr-opt"},
};

static bool get_alias(Object *o, Property *p, PropValue *out, GError **error)
{
    return object_get(o, p->data, out, error);
}

static bool set_alias(Object *o, Property *p, const PropValue *in, GError **error)
{
    return object_set(o, p->data, in, error);
}

static void add_properties(Object *o)
{
    object_add_property(o, &(Property){.name = "unavailable-features", .type_name = "strList",
                                       .get = get_unavailable});
    for (unsigned k = 0; k < G_N_ELEMENTS(feature_aliases); k++)
        object_add_property(o, &(Property){.name = (char *)feature_aliases[k].name, .type_name = "bool",
                                           .get = get_alias, .set = set_alias,
                                           .data = (void *)feature_aliases[k].of});
}

static void init(Object *o)
{
    X86Cpu *x = (X86Cpu *)o;
    const X86Model *m = ((const DeviceType *)o->type)->ext;
    const Base *base = m->base;
    x->model = m;
    x->caps = caps_of(o->vm);
    x->vendor = g_strdup(base->vendor);
    x->model_id = g_strdup(base->id);
    x->family = base->family;
    x->model_no = base->model;
    x->stepping = base->stepping;
    x->legacy_cache = base->caches == CACHES_LEGACY;
    if (base->features)
        change_words(x->features, base->features);
    else
        everything(x);
    unsigned n = version_of(m, o->vm);
    for (unsigned k = 0; k < G_N_ELEMENTS(versions); k++) {
        if (versions[k].base == base && versions[k].number <= n)
            apply_version(x, &versions[k]);
    }
    if (base != &base_base) {
        change_words(x->features, "hypervisor");
        if (!x->caps)
            change_words(x->features, "kvmclock kvmclock-stable-bit kvm-nopiodelay");
    }
    if (base->features && *base->features && x->caps && x->caps->defaults)
        change_words(x->features, x->caps->defaults);
    else if (base->features && !x->caps)
        change_words(x->features, "-svm");      /* named models have it, but nobody asked */
    if (!base->features && x->caps && x->caps->vendor[0])
        be_the_host(x);
    else if (!base->features)
        change_words(x->features, "-monitor");
    add_properties(o);
}

/* ---- what is told of models ---- */

void x86_model_facts(Cpu *cpu, CpuModelFacts *facts)
{
    X86Cpu *x = x86_of(cpu);
    const X86Model *m = x->model;
    uint32_t have[X86_WORDS];
    facts->is_static = m->base == &base_base;
    facts->migration_safe = m->base != &base_max && m->base != &base_host;
    facts->unavailable = g_ptr_array_new_with_free_func(g_free);
    if ((m->alias || !m->version) && m->base->features && *m->base->features)
        facts->alias_of = g_strdup_printf("%s-v%u", m->base->name, version_of(m, cpu->vm));
    if (!x86_expand(cpu, NULL)) {
        g_ptr_array_add(facts->unavailable, g_strdup("kvm"));
        return;
    }
    supported(x, have);
    for (unsigned k = 0; k < G_N_ELEMENTS(features); k++) {
        if ((x->features[features[k].word] & ~have[features[k].word]) >> features[k].bit & 1)
            g_ptr_array_add(facts->unavailable, g_strdup(features[k].name));
    }
}

X86Caches x86_model_caches(const X86Cpu *x)
{
    return x->legacy_cache ? CACHES_LEGACY : x->model->base->caches;
}

/* ---- rows ---- */

#define FLAG(name_, word, bit_)                                                                     \
    {.kind = FIELD_PROP, .type = PROP_BIT, .name = name_, .member = "features",                     \
     .offset = offsetof(X86Cpu, features) + 4 * (word), .size = 4, .bit = bit_},
static const Field fields[] = {
#define FEATURE(id, name, word, bit, have) FLAG(name, word, bit)
#include "target/x86/features.inc"
    PROP(X86Cpu, vendor, "vendor", PROP_STRING), PROP(X86Cpu, model_id, "model-id", PROP_STRING),
    PROP(X86Cpu, family, "family", PROP_U32), PROP(X86Cpu, model_no, "model", PROP_U32),
    PROP(X86Cpu, stepping, "stepping", PROP_U32), PROP(X86Cpu, level, "level", PROP_U32),
    PROP(X86Cpu, xlevel, "xlevel", PROP_U32), PROP(X86Cpu, min_level, "min-level", PROP_U32),
    PROP(X86Cpu, min_xlevel, "min-xlevel", PROP_U32), PROP(X86Cpu, phys_bits_prop, "phys-bits", PROP_U32),
    PROP(X86Cpu, host_phys_bits, "host-phys-bits", PROP_BOOL),
    PROP(X86Cpu, apic_id, "apic-id", PROP_U32, .init = UINT32_MAX),
    PROP(X86Cpu, place.socket, "socket-id", PROP_I32, .init = (uint64_t)-1),
    PROP(X86Cpu, place.die, "die-id", PROP_I32, .init = (uint64_t)-1),
    PROP(X86Cpu, place.core, "core-id", PROP_I32, .init = (uint64_t)-1),
    PROP(X86Cpu, place.node, "node-id", PROP_I32, .init = (uint64_t)-1),
    PROP(X86Cpu, place.thread, "thread-id", PROP_I32, .init = (uint64_t)-1),
    PROP(X86Cpu, tsc_hz, "tsc-frequency", PROP_U64),
    PROP(X86Cpu, kvm, "kvm", PROP_BOOL, .init = 1),
    PROP(X86Cpu, prop_check, "check", PROP_BOOL, .init = 1),
    PROP(X86Cpu, prop_enforce, "enforce", PROP_BOOL), PROP(X86Cpu, expose_tcg, "tcg-cpuid", PROP_BOOL, .init = 1),
    PROP(X86Cpu, pmu, "pmu", PROP_BOOL), PROP(X86Cpu, migratable, "migratable", PROP_BOOL, .init = 1),
    PROP(X86Cpu, l3_cache, "l3-cache", PROP_BOOL, .init = 1),
    PROP(X86Cpu, legacy_cache, "legacy-cache", PROP_BOOL),
    PROP(X86Cpu, auto_level, "full-cpuid-auto-level", PROP_BOOL, .init = 1),
    PROP(X86Cpu, leaf_b, "cpuid-0xb", PROP_BOOL, .init = 1),
    PROP(X86Cpu, host_cache_info, "host-cache-info", PROP_BOOL),
    PROP(X86Cpu, ucode_rev, "ucode-rev", PROP_U64),
    SAVED(X86Cpu, regs), SAVED(X86Cpu, cc_a), SAVED(X86Cpu, cc_b), SAVED(X86Cpu, cc_c),
    SAVED(X86Cpu, cc_op), SAVED(X86Cpu, eflags), SAVED(X86Cpu, seg), SAVED(X86Cpu, ldt),
    SAVED(X86Cpu, tr), SAVED(X86Cpu, gdt), SAVED(X86Cpu, idt), SAVED(X86Cpu, xmm), SAVED(X86Cpu, mxcsr),
    SAVED(X86Cpu, st), SAVED(X86Cpu, fcw), SAVED(X86Cpu, fsw), SAVED(X86Cpu, ftop),
    SAVED(X86Cpu, fempty), SAVED(X86Cpu, fop), SAVED(X86Cpu, fcs), SAVED(X86Cpu, fds),
    SAVED(X86Cpu, fip), SAVED(X86Cpu, fdp), SAVED(X86Cpu, cr0), SAVED(X86Cpu, cr2), SAVED(X86Cpu, cr3),
    SAVED(X86Cpu, cr4), SAVED(X86Cpu, cr8), SAVED(X86Cpu, dr), SAVED(X86Cpu, efer), SAVED(X86Cpu, star),
    SAVED(X86Cpu, lstar), SAVED(X86Cpu, cstar), SAVED(X86Cpu, fmask), SAVED(X86Cpu, kernel_gs_base),
    SAVED(X86Cpu, sysenter_cs), SAVED(X86Cpu, sysenter_esp), SAVED(X86Cpu, sysenter_eip),
    SAVED(X86Cpu, xcr0), SAVED(X86Cpu, xss), SAVED(X86Cpu, pkru), SAVED(X86Cpu, tsc_aux),
    SAVED(X86Cpu, pat), SAVED(X86Cpu, mtrr_def), SAVED(X86Cpu, mtrr_fixed), SAVED(X86Cpu, mtrr),
    SAVED(X86Cpu, mcg_status), SAVED(X86Cpu, mcg_ctl), SAVED(X86Cpu, mc), SAVED(X86Cpu, misc_enable),
    SAVED(X86Cpu, feature_control), SAVED(X86Cpu, debugctl),
    SAVED(X86Cpu, spec_ctrl), SAVED(X86Cpu, apic_base), SAVED(X86Cpu, tsc_offset),
    SAVED(X86Cpu, tsc_adjust), SAVED(X86Cpu, pdpte), SAVED(X86Cpu, smbase), SAVED(X86Cpu, kvm_clock),
    SAVED(X86Cpu, kvm_wall_clock), SAVED(X86Cpu, in_smm), SAVED(X86Cpu, nmi_masked),
    SAVED(X86Cpu, smm_nmi), HOST(X86Cpu, held), SAVED(X86Cpu, queued),
    SAVED(X86Cpu, shadow), SAVED(X86Cpu, wait_sipi), SAVED(X86Cpu, intr), SAVED(X86Cpu, a20),
    SAVED(X86Cpu, sipi_vector), SAVED(X86Cpu, saved_cpl), SAVED(X86Cpu, saved_requests),
    SAVED(X86Cpu, queued), IRQ(X86Cpu, ferr), HOST(X86Cpu, tsc_default),
    HOST(X86Cpu, a20_mask), HOST(X86Cpu, smm_memory), HOST(X86Cpu, fault_error), HOST(X86Cpu, fault_vector),
    HOST(X86Cpu, in_delivery), HOST(X86Cpu, delivering), HOST(X86Cpu, event), HOST(X86Cpu, regime),
    HOST(X86Cpu, dr6_pending), HOST(X86Cpu, fp_val), HOST(X86Cpu, watching), HOST(X86Cpu, model), HOST(X86Cpu, caps), HOST(X86Cpu, tsc_default),
    HOST(X86Cpu, unavailable), HOST(X86Cpu, cpuid_version), HOST(X86Cpu, phys_bits),
    HOST(X86Cpu, bsp), HOST(X86Cpu, monitor_armed), HOST(X86Cpu, irq), HOST(X86Cpu, irq_opaque),
};

/* What the mode word and the request word hold beyond the other members. */
static void saving(Device *d)
{
    X86Cpu *x = (X86Cpu *)d;
    x->saved_cpl = x86_cpl(x);
    x->mxcsr = x86_get_mxcsr(x);
    x->saved_requests = (__atomic_load_n(&x->cpu.req, __ATOMIC_SEQ_CST) | x->held) & X86_REQ_ALL;
}

static const DeviceType x86_cpu = {
    .name = "x86-cpu", .parent = "cpu", .desc = "x86 CPU", .size = sizeof(X86Cpu), .abstract = true,
    .category = DEVICE_CPU, FIELDS(fields), .pin = x86_pin, .n_pins = X86_PINS, .saving = saving,
};
DEVICE_TYPE(x86_cpu);

#define TYPE(id_, name_, desc_, isa_)                                                              \
    static const DeviceType type_##isa_##_##id_ = {                                                  \
        .name = name_ "-" #isa_ "-cpu", .parent = "x86-cpu", .desc = desc_, .size = sizeof(X86Cpu),   \
        .category = DEVICE_CPU, .init = init, .pin = x86_pin, .n_pins = X86_PINS, .saving = saving,   \
        .pluggable = true, .hotpluggable = true, .ext = &model_##id_};                                                                          \
    DEVICE_TYPE(type_##isa_##_##id_);
#define TYPES(id_, name_, desc_, base_, version_, alias_)                                           \
    static const X86Model model_##id_ = {&base_, version_, alias_};                                  \
    TYPE(id_, name_, desc_, x86_64) TYPE(id_, name_, desc_, i386)
#define MODEL(id_, name_, caches_, vendor_, family_, model_, stepping_, level_, xlevel_, brand_, features_) \
    TYPES(id_, name_, "(alias configured by machine type)", base_##id_, 0, false)                    \
    TYPES(id_##_v1, name_ "-v1", brand_, base_##id_, 1, false)
#define VERSION(id_, n_, name_, model_, stepping_, brand_, desc_, changes_)                           \
    TYPES(id_##_v##n_, name_, desc_, base_##id_, n_, false)
#define ALIAS(id_, n_, own_, name_, desc_) TYPES(own_, name_, desc_, base_##id_, n_, true)
#include "target/x86/models.inc"
TYPES(max, "max", "Enables all features supported by the accelerator in the current host", base_max, 1, false)
TYPES(host, "host", "processor with all supported host features", base_host, 1, false)
TYPES(base, "base", "base CPU model type with no features enabled", base_base, 1, false)
