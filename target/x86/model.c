/* SPDX-License-Identifier: Apache-2.0 */
/* CPU types and their properties. Models in models.inc, features in features.inc. */
#include <string.h>
#include "core/accel.h"
#include "target/x86/cpu.h"
#include "util/error.h"

struct X86Model {
    const char *name, *desc, *vendor;
    uint32_t family, model, stepping, level, xlevel;
    const char *id, *features;
};

#define INTEL "GenuineIntel"
#define AMD "AuthenticAMD"

/* ---- features ---- */

typedef struct Feature {
    const char *name;
    uint8_t word, bit;
    bool have;
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

static void set_words(uint32_t words[X86_WORDS], const char *list)
{
    for (const char *p = list; *p; ) {
        size_t n = strcspn(p, " ");
        const Feature *f = find_feature(p, n);
        if (f)
            words[f->word] |= 1u << f->bit;
        p += n + strspn(p + n, " ");
    }
}

static void all_we_have(uint32_t words[X86_WORDS])
{
    for (unsigned k = 0; k < G_N_ELEMENTS(features); k++) {
        bool optional = features[k].word == W_KVM || features[k].word == W_80000007_EDX;
        if (features[k].have && !optional)
            words[features[k].word] |= 1u << features[k].bit;
    }
}

static const char *const word_text[X86_WORDS] = {
    "01H:EDX", "01H:ECX", "07H:EBX", "07H:ECX", "07H:EDX", "80000001H:EDX", "80000001H:ECX",
    "80000007H:EDX", "80000008H:EBX", "0DH:EAX", "06H:EAX", "40000001H:EAX",
};

/* Drops what the engine cannot do, telling so once per machine. */
static bool filter(X86Cpu *x, GError **error)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(features); k++) {
        const Feature *f = &features[k];
        if (f->have || !(x->features[f->word] >> f->bit & 1))
            continue;
        x->features[f->word] &= ~(1u << f->bit);
        if (x->prop_enforce)
            return error_set(error, "the accelerator doesn't support requested feature: CPUID.%s.%s [bit %u]",
                             word_text[f->word], f->name, f->bit);
        if (!x->cpu.index && x->prop_check)
            g_printerr("%s: warning: TCG doesn't support requested feature: CPUID.%s.%s [bit %u]\n",
                       x->cpu.vm->argv0 ? x->cpu.vm->argv0 : "myna", word_text[f->word], f->name, f->bit);
    }
    return true;
}

/* Features that stand on others. */
static void settle(X86Cpu *x)
{
    static const struct { int f, needs; } rows[] = {
        {X86_F_avx, X86_F_xsave}, {X86_F_avx2, X86_F_avx}, {X86_F_fma, X86_F_avx},
        {X86_F_f16c, X86_F_avx}, {X86_F_xsaveopt, X86_F_xsave}, {X86_F_xsavec, X86_F_xsave},
        {X86_F_xsaves, X86_F_xsave}, {X86_F_xgetbv1, X86_F_xsave}, {X86_F_pku, X86_F_xsave},
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        if (!x86_has(x, rows[k].needs))
            x->features[rows[k].f >> 5] &= ~(1u << (rows[k].f & 31));
    }
}

/* ---- identity ---- */

static uint32_t version(const X86Cpu *x)
{
    uint32_t family = x->family > 15 ? 15 : x->family, more = x->family > 15 ? x->family - 15 : 0;
    return (x->stepping & 15) | (x->model_no & 15) << 4 | family << 8 | (x->model_no >> 4 & 15) << 16 | more << 20;
}

static unsigned bits_for(unsigned n) { return n <= 1 ? 0 : 32 - __builtin_clz(n - 1); }

/* From the topology: thread, core, die, socket fields, each wide enough. */
static uint32_t default_apic_id(const X86Cpu *x)
{
    const Machine *m = x->cpu.vm->machine;
    if (!m || !m->smp.threads)
        return x->cpu.index;
    CpuTopology t = m->smp;
    unsigned dies = MAX(t.dies, 1), cores = MAX(t.cores, 1) * MAX(t.clusters, 1), threads = t.threads;
    unsigned i = x->cpu.index;
    unsigned thread = i % threads, core = i / threads % cores, die = i / (threads * cores) % dies;
    unsigned socket = i / (threads * cores * dies);
    unsigned tb = bits_for(threads), cb = bits_for(cores), db = bits_for(dies);
    return thread | core << tb | die << (tb + cb) | socket << (tb + cb + db);
}

bool x86_realize(Cpu *cpu, GError **error)
{
    X86Cpu *x = x86_of(cpu);
    if (!x->kvm)
        x->features[W_KVM] = 0;
    if (x->pmu || x->host_cache_info)
        return error_set(error, "property %s=on is not implemented", x->pmu ? "pmu" : "host-cache-info");
    if (!filter(x, error))
        return false;
    settle(x);
    if (!strcmp(cpu->isa->name, "i386") && !x86_has(x, X86_F_lm))
        x->features[W_80000001_ECX] &= ~(1u << (X86_F_lahf_lm & 31));
    if (x->vendor && strlen(x->vendor) != 12)
        return error_set(error, "property vendor: '%s' must be 12 characters long", x->vendor);
    x->cpuid_version = version(x);
    x->cpuid_level = x->level_prop ? x->level_prop : x->model->level;
    x->cpuid_xlevel = x->xlevel_prop ? x->xlevel_prop : x->model->xlevel;
    if (x->features[W_7_0_EBX] | x->features[W_7_0_ECX] | x->features[W_7_0_EDX])
        x->cpuid_level = MAX(x->cpuid_level, 7);
    if (x86_has(x, X86_F_xsave))
        x->cpuid_level = MAX(x->cpuid_level, 0xd);
    if (x86_has(x, X86_F_lm))
        x->cpuid_xlevel = MAX(x->cpuid_xlevel, 0x80000008);
    x->phys_bits = x->phys_bits_prop ? x->phys_bits_prop : x86_has(x, X86_F_lm) ? 40
                                     : x86_has(x, X86_F_pae) ? 36 : 32;
    if (x->phys_bits < 32 || x->phys_bits > 52)
        return error_set(error, "phys-bits should be between 32 and 52 (but is %u)", x->phys_bits);
    if (x->apic_id == UINT32_MAX)
        x->apic_id = default_apic_id(x);
    if (!x->tsc_hz)
        x->tsc_hz = 1000000000;
    x->bsp = cpu->index == 0;
    x->apic_base = 0xfee00800 | (x->bsp ? 1 << 8 : 0);
    if (!softmmu_init(cpu))
        return error_set(error, "out of memory for the address-translation caches");
    x86_reset(cpu);
    return true;
}

static void init(Object *o)
{
    X86Cpu *x = (X86Cpu *)o;
    const X86Model *m = ((const DeviceType *)o->type)->ext;
    x->model = m;
    x->vendor = g_strdup(m->vendor);
    x->model_id = g_strdup(m->id);
    x->family = m->family;
    x->model_no = m->model;
    x->stepping = m->stepping;
    x->features[W_1_ECX] |= 1u << (X86_F_hypervisor & 31);
    if (m->features)
        set_words(x->features, m->features);
    else
        all_we_have(x->features);
    set_words(x->features, "kvmclock kvmclock-stable-bit kvm-nopiodelay");
    if (!strcmp(m->name, "max"))
        x->features[W_1_ECX] &= ~(1u << (X86_F_monitor & 31));
}

/* ---- rows ---- */

static const Field fields[] = {
#define FEATURE(id, name_, word, bit_, have)                                                        \
    {.kind = FIELD_PROP, .type = PROP_BIT, .name = name_, .member = "features",                     \
     .offset = offsetof(X86Cpu, features) + 4 * (word), .size = 4, .bit = bit_},
#include "target/x86/features.inc"
    PROP(X86Cpu, vendor, "vendor", PROP_STRING), PROP(X86Cpu, model_id, "model-id", PROP_STRING),
    PROP(X86Cpu, family, "family", PROP_U32), PROP(X86Cpu, model_no, "model", PROP_U32),
    PROP(X86Cpu, stepping, "stepping", PROP_U32), PROP(X86Cpu, level_prop, "level", PROP_U32),
    PROP(X86Cpu, xlevel_prop, "xlevel", PROP_U32), PROP(X86Cpu, phys_bits_prop, "phys-bits", PROP_U32),
    PROP(X86Cpu, apic_id, "apic-id", PROP_U32, .init = UINT32_MAX),
    PROP(X86Cpu, tsc_hz, "tsc-frequency", PROP_U64),
    PROP(X86Cpu, kvm, "kvm", PROP_BOOL, .init = 1),
    PROP(X86Cpu, prop_check, "check", PROP_BOOL, .init = 1),
    PROP(X86Cpu, prop_enforce, "enforce", PROP_BOOL), PROP(X86Cpu, expose_tcg, "tcg-cpuid", PROP_BOOL, .init = 1),
    PROP(X86Cpu, pmu, "pmu", PROP_BOOL), PROP(X86Cpu, migratable, "migratable", PROP_BOOL, .init = 1),
    PROP(X86Cpu, l3_cache, "l3-cache", PROP_BOOL, .init = 1),
    PROP(X86Cpu, host_cache_info, "host-cache-info", PROP_BOOL),
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
    SAVED(X86Cpu, ucode_rev), SAVED(X86Cpu, feature_control), SAVED(X86Cpu, debugctl),
    SAVED(X86Cpu, spec_ctrl), SAVED(X86Cpu, apic_base), SAVED(X86Cpu, tsc_offset),
    SAVED(X86Cpu, tsc_adjust), SAVED(X86Cpu, pdpte), SAVED(X86Cpu, smbase), SAVED(X86Cpu, kvm_clock),
    SAVED(X86Cpu, kvm_wall_clock), SAVED(X86Cpu, in_smm), SAVED(X86Cpu, nmi_masked),
    SAVED(X86Cpu, shadow), SAVED(X86Cpu, wait_sipi), SAVED(X86Cpu, intr), SAVED(X86Cpu, a20),
    SAVED(X86Cpu, sipi_vector), SAVED(X86Cpu, saved_cpl), SAVED(X86Cpu, saved_requests),
    IRQ(X86Cpu, ferr),
    HOST(X86Cpu, a20_mask), HOST(X86Cpu, fault_error), HOST(X86Cpu, fault_vector),
    HOST(X86Cpu, in_delivery), HOST(X86Cpu, delivering), HOST(X86Cpu, event), HOST(X86Cpu, regime),
    HOST(X86Cpu, dr6_pending), HOST(X86Cpu, fp_val), HOST(X86Cpu, watching), HOST(X86Cpu, model), HOST(X86Cpu, cpuid_level),
    HOST(X86Cpu, cpuid_xlevel), HOST(X86Cpu, cpuid_version), HOST(X86Cpu, phys_bits),
    HOST(X86Cpu, bsp), HOST(X86Cpu, monitor_armed), HOST(X86Cpu, irq), HOST(X86Cpu, irq_opaque),
};

/* What the mode word and the request word hold beyond the other members. */
static void saving(Device *d)
{
    X86Cpu *x = (X86Cpu *)d;
    x->saved_cpl = x86_cpl(x);
    x->mxcsr = x86_get_mxcsr(x);
    x->saved_requests = __atomic_load_n(&x->cpu.req, __ATOMIC_SEQ_CST) & X86_REQ_ALL;
}

static const DeviceType x86_cpu = {
    .name = "x86-cpu", .parent = "cpu", .desc = "x86 CPU", .size = sizeof(X86Cpu), .abstract = true,
    .category = DEVICE_CPU, FIELDS(fields), .pin = x86_pin, .n_pins = X86_PINS, .saving = saving,
};
DEVICE_TYPE(x86_cpu);

#define MODEL(id_, name_, text_, vendor_, family_, model_, stepping_, level_, xlevel_, brand_, features_) \
    static const X86Model desc_of_##id_ = {name_, text_, vendor_, family_, model_, stepping_, level_,  \
                                         xlevel_, brand_, features_};                                 \
    static const DeviceType type64_##id_ = {                                                         \
        .name = name_ "-x86_64-cpu", .parent = "x86-cpu", .desc = text_, .size = sizeof(X86Cpu),      \
        .category = DEVICE_CPU, .init = init, .pin = x86_pin, .n_pins = X86_PINS, .saving = saving,   \
        .ext = &desc_of_##id_};                                                                        \
    DEVICE_TYPE(type64_##id_);                                                                       \
    static const DeviceType type32_##id_ = {                                                         \
        .name = name_ "-i386-cpu", .parent = "x86-cpu", .desc = text_, .size = sizeof(X86Cpu),        \
        .category = DEVICE_CPU, .init = init, .pin = x86_pin, .n_pins = X86_PINS, .saving = saving,   \
        .ext = &desc_of_##id_};                                                                        \
    DEVICE_TYPE(type32_##id_);
#include "target/x86/models.inc"
