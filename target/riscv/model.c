/* SPDX-License-Identifier: Apache-2.0 */
/* CPU models rv64, rv32, their bare forms, profiles and max: properties, reset, registers for debuggers. */
#include <inttypes.h>
#include <string.h>
#include "target/riscv/cpu.h"
#include "util/error.h"
#include "util/log.h"

/* ---- properties ---- */

#define EXT(feature_, desc_)                                                                        \
    PROP(RvCpu, features, #feature_, PROP_BIT, .bit = RV_F_##feature_, .desc = desc_)

static const Field fields[] = {
    EXT(m, "Integer multiplication and division"),
    EXT(a, "Atomic instructions"),
    EXT(f, "Single-precision floating point"),
    EXT(d, "Double-precision floating point"),
    EXT(c, "Compressed instructions"),
    EXT(s, "Supervisor mode"),
    EXT(u, "User mode"),
    EXT(zicsr, "Control and status registers"),
    EXT(zifencei, "Instruction-fetch fence"),
    EXT(zicntr, "Base counters and timers"),
    EXT(zihpm, "Hardware performance counters"),
    EXT(zihintpause, "Pause hint"),
    EXT(zicond, "Conditional zeroing"),
    EXT(zawrs, "Wait on reservation set"),
    EXT(zba, "Address generation"),
    EXT(zbb, "Basic bit manipulation"),
    EXT(zbc, "Carry-less multiplication"),
    EXT(zbs, "Single-bit instructions"),
    EXT(zicbom, "Cache block management"),
    EXT(zicbop, "Cache block prefetch"),
    EXT(zicboz, "Cache block zero"),
    EXT(sstc, "Supervisor timer compare"),
    EXT(svade, "Page fault instead of setting A and D bits"),
    EXT(svadu, "Hardware updating of A and D bits"),
    EXT(svinval, "Fine-grained translation fences"),
    EXT(svnapot, "64 KiB pages"),
    EXT(svpbmt, "Page-based memory types"),
    EXT(sv32, "Translation mode Sv32"),
    EXT(sv39, "Translation mode Sv39"),
    EXT(sv48, "Translation mode Sv48"),
    EXT(sv57, "Translation mode Sv57"),
    PROP(RvCpu, mmu, "mmu", PROP_BOOL, .init = 1, .desc = "Address translation"),
    PROP(RvCpu, pmp, "pmp", PROP_BOOL, .init = 1, .desc = "Physical memory protection"),
    PROP(RvCpu, resetvec, "resetvec", PROP_U64, .init = 0x1000, .desc = "Address of the first instruction"),
    PROP(RvCpu, hartid, "hartid", PROP_U64, .desc = "Number of the hart"),
    SAVED(RvCpu, x), SAVED(RvCpu, f),
    SAVED(RvCpu, res_addr), SAVED(RvCpu, res_value), SAVED(RvCpu, priv), SAVED(RvCpu, frm),
    SAVED(RvCpu, mstatus), SAVED(RvCpu, mie), SAVED(RvCpu, mideleg), SAVED(RvCpu, medeleg),
    SAVED(RvCpu, mtvec), SAVED(RvCpu, mepc), SAVED(RvCpu, mcause), SAVED(RvCpu, mtval),
    SAVED(RvCpu, mscratch), SAVED(RvCpu, menvcfg), SAVED(RvCpu, stvec), SAVED(RvCpu, sepc),
    SAVED(RvCpu, scause), SAVED(RvCpu, stval), SAVED(RvCpu, sscratch), SAVED(RvCpu, satp),
    SAVED(RvCpu, senvcfg), SAVED(RvCpu, stimecmp), SAVED(RvCpu, mcounteren),
    SAVED(RvCpu, scounteren), SAVED(RvCpu, mcountinhibit), SAVED(RvCpu, ip_soft),
    SAVED(RvCpu, ip_pins), SAVED(RvCpu, pmpcfg), SAVED(RvCpu, pmpaddr),
    SAVED(RvCpu, cycle_offset), SAVED(RvCpu, instret_offset),
    TIMER(RvCpu, stimer, rv_stimer_fired), HOST(RvCpu, fault), HOST(RvCpu, time_fn), HOST(RvCpu, time_opaque),
    HOST(RvCpu, time_hz), HOST(RvCpu, pmp_first), HOST(RvCpu, pmp_last),
    HOST(RvCpu, pmp_active), HOST(RvCpu, rv32),
};

#define BIT(name) (1ull << RV_F_##name)
#define BASE                                                                                        \
    (BIT(m) | BIT(a) | BIT(f) | BIT(d) | BIT(c) | BIT(s) | BIT(u) | BIT(zicsr) | BIT(zifencei) |    \
     BIT(zicntr) | BIT(zihpm) | BIT(zihintpause) | BIT(zawrs) | BIT(zba) | BIT(zbb) | BIT(zbc) |    \
     BIT(zbs) | BIT(zicbom) | BIT(zicbop) | BIT(zicboz) | BIT(sstc) | BIT(svadu))
#define MORE (BIT(zicond) | BIT(svinval) | BIT(svnapot) | BIT(svpbmt))
#define SV64 (BIT(sv39) | BIT(sv48) | BIT(sv57))

/* The width comes from the architecture that the CPU is made for: `max` exists in both. */
static void init_rv64(Object *o) { ((RvCpu *)o)->features = BIT(rv64) | BASE | SV64; }
static void init_rv32(Object *o) { ((RvCpu *)o)->features = BIT(rv32) | BASE | BIT(sv32); }
static void init_rv64i(Object *o) { ((RvCpu *)o)->features = BIT(rv64); }
static void init_rv32i(Object *o) { ((RvCpu *)o)->features = BIT(rv32); }

/* RVA22S64 (RISC-V profiles, chapter 4): what is mandatory, without Zfhmin, which is not there. */
static void init_rva22s64(Object *o)
{
    ((RvCpu *)o)->features =
        BIT(rv64) | BIT(m) | BIT(a) | BIT(f) | BIT(d) | BIT(c) | BIT(s) | BIT(u) | BIT(zicsr) | BIT(zifencei) |
        BIT(zicntr) | BIT(zihpm) | BIT(zihintpause) | BIT(zba) | BIT(zbb) | BIT(zbs) | BIT(zicbom) | BIT(zicbop) |
        BIT(zicboz) | BIT(svade) | BIT(svinval) | BIT(svpbmt) | BIT(sv39);
}

static void init_max(Object *o) { ((RvCpu *)o)->features = BASE | MORE | SV64 | BIT(sv32); }

/* Extensions that build on others. */
static const struct {
    uint8_t feature, needs;
} needs[] = {
    {RV_F_f, RV_F_zicsr}, {RV_F_d, RV_F_f}, {RV_F_s, RV_F_u}, {RV_F_zicntr, RV_F_zicsr},
    {RV_F_sstc, RV_F_s}, {RV_F_zawrs, RV_F_a}, {RV_F_svinval, RV_F_s},
};

static bool set_width(RvCpu *rv, GError **error)
{
    rv->rv32 = strcmp(rv->cpu.isa->name, "riscv32") == 0;
    uint64_t mine = rv->rv32 ? BIT(rv32) : BIT(rv64), other = rv->rv32 ? BIT(rv64) : BIT(rv32);
    if (rv->features & other)
        return error_set(error, "CPU %s cannot run %s code", rv->rv32 ? "rv64" : "rv32",
                         rv->cpu.isa->name);
    rv->features = (rv->features | mine) & ~(rv->rv32 ? SV64 : BIT(sv32));
    return true;
}

static bool is_model(const Cpu *cpu, const char *type) { return !strcmp(cpu->dev.object.type->name, type); }

static bool realize(Cpu *cpu, GError **error)
{
    RvCpu *rv = (RvCpu *)cpu;
    if (is_model(cpu, "rva23s64-riscv-cpu"))
        return error_set(error, "CPU rva23s64 needs the extensions V and H, which are not implemented; "
                         "rva22s64 is there");
    if (is_model(cpu, "rva22s64-riscv-cpu") && cpu->index == 0)
        log_write("warning: CPU rva22s64: the extension zfhmin is not there\n");
    if (!set_width(rv, error))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(needs); i++) {
        const char *const *names = rv_isa_table.features;
        if (rv_has(rv, needs[i].feature) && !rv_has(rv, needs[i].needs)) {
            error_set(error, "CPU: extension %s needs %s: add %s=on or set %s=off",
                      names[needs[i].feature], names[needs[i].needs], names[needs[i].needs],
                      names[needs[i].feature]);
            return false;
        }
    }
    return true;
}

/* ---- reset ---- */

static void reset(Cpu *cpu)
{
    RvCpu *rv = (RvCpu *)cpu;
    memset(rv->x, 0, sizeof(rv->x));
    rv->priv = RV_M;
    rv->frm = 0;
    rv->mstatus = rv_has(rv, RV_F_u) ? 0 : RV_MPP;
    rv->mie = rv->mideleg = rv->medeleg = 0;
    rv->mcause = rv->satp = 0;
    rv->mcounteren = rv->scounteren = 0;
    rv->ip_soft = 0;
    rv->senvcfg = 0;
    rv->stimecmp = UINT64_MAX;
    rv->menvcfg = (rv_has(rv, RV_F_svpbmt) ? RV_PBMTE : 0) |
                  (rv_has(rv, RV_F_svadu) && !rv_has(rv, RV_F_svade) ? RV_ADUE : 0);
    rv->res_addr = RV_NO_RESERVATION;
    memset(rv->pmpcfg, 0, sizeof(rv->pmpcfg));
    memset(rv->pmpaddr, 0, sizeof(rv->pmpaddr));
    cpu->pc = rv->resetvec;
    cpu->fp_flags = 0;
    rv_stimer_update(rv);
    rv_pmp_update(rv);
    rv_update_mode(rv);
}

static void state_restored(Cpu *cpu)
{
    RvCpu *rv = (RvCpu *)cpu;
    rv_pmp_update(rv);
    rv_update_mode(rv);
    rv_stimer_update(rv);
    cpu_request(cpu, CPU_REQ_IRQ);
}

static void pin(Device *dev, uint32_t n, bool level)
{
    RvCpu *rv = (RvCpu *)dev;
    uint32_t bit = 1u << n & RV_INTERRUPTS;
    if (level) {
        __atomic_or_fetch(&rv->ip_pins, bit, __ATOMIC_SEQ_CST);
        cpu_request(&rv->cpu, CPU_REQ_IRQ);
    } else {
        __atomic_and_fetch(&rv->ip_pins, ~bit, __ATOMIC_SEQ_CST);
    }
}

/* ---- for boards ---- */

void riscv_cpu_set_time(Cpu *cpu, uint64_t (*fn)(void *), void *opaque, uint32_t hz)
{
    RvCpu *rv = (RvCpu *)cpu;
    rv->time_fn = fn;
    rv->time_opaque = opaque;
    rv->time_hz = hz;
}

static void time_changed(Cpu *cpu, void *unused) { rv_stimer_update((RvCpu *)cpu); }
void riscv_cpu_time_changed(Cpu *cpu) { cpu_post(cpu, time_changed, NULL); }
void riscv_cpu_set_hartid(Cpu *cpu, uint64_t hartid) { ((RvCpu *)cpu)->hartid = hartid; }

void riscv_cpu_set_reset_pc(Cpu *cpu, uint64_t pc)
{
    ((RvCpu *)cpu)->resetvec = pc;
    cpu->pc = pc;
}

unsigned riscv_cpu_xlen(Cpu *cpu) { return ((RvCpu *)cpu)->rv32 ? 32 : 64; }

/* In the canonical order: single letters, then z by category letter, then s. */
static const uint8_t single[] = {RV_F_m, RV_F_a, RV_F_f, RV_F_d, RV_F_c};
static const uint8_t multi[] = {
    RV_F_zicbom, RV_F_zicbop, RV_F_zicboz, RV_F_zicntr, RV_F_zicond, RV_F_zicsr, RV_F_zifencei,
    RV_F_zihintpause, RV_F_zihpm, RV_F_zawrs, RV_F_zba, RV_F_zbb, RV_F_zbc, RV_F_zbs, RV_F_sstc,
    RV_F_svade, RV_F_svadu, RV_F_svinval, RV_F_svnapot, RV_F_svpbmt,
};

bool riscv_cpu_has(Cpu *cpu, const char *extension)
{
    for (unsigned i = 0; i < RV_FEATURES; i++) {
        if (strcmp(rv_isa_table.features[i], extension) == 0)
            return rv_has((RvCpu *)cpu, i);
    }
    return false;
}

char *riscv_cpu_isa_string(Cpu *cpu)
{
    const RvCpu *rv = (const RvCpu *)cpu;
    GString *s = g_string_new(rv->rv32 ? "rv32i" : "rv64i");
    for (unsigned i = 0; i < G_N_ELEMENTS(single); i++) {
        if (rv_has(rv, single[i]))
            g_string_append(s, rv_isa_table.features[single[i]]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(multi); i++) {
        if (rv_has(rv, multi[i]))
            g_string_append_printf(s, "_%s", rv_isa_table.features[multi[i]]);
    }
    return g_string_free(s, FALSE);
}

char **riscv_cpu_isa_list(Cpu *cpu)
{
    const RvCpu *rv = (const RvCpu *)cpu;
    GPtrArray *list = g_ptr_array_new();
    g_ptr_array_add(list, g_strdup("i"));
    for (unsigned i = 0; i < G_N_ELEMENTS(single); i++) {
        if (rv_has(rv, single[i]))
            g_ptr_array_add(list, g_strdup(rv_isa_table.features[single[i]]));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(multi); i++) {
        if (rv_has(rv, multi[i]))
            g_ptr_array_add(list, g_strdup(rv_isa_table.features[multi[i]]));
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}

/* ---- registers for gdb, info registers, migration ---- */

static void csr_read(Cpu *cpu, const CpuReg *r, void *buf)
{
    uint64_t v = 0;
    rv_csr_peek((RvCpu *)cpu, r->gdb - 128, &v);
    memcpy(buf, &v, r->bits / 8);
}

static void csr_write(Cpu *cpu, const CpuReg *r, const void *buf)
{
    uint64_t v = 0;
    memcpy(&v, buf, r->bits / 8);
    rv_csr_poke((RvCpu *)cpu, r->gdb - 128, v);
}

static void priv_write(Cpu *cpu, const CpuReg *r, const void *buf)
{
    RvCpu *rv = (RvCpu *)cpu;
    uint8_t v = *(const uint8_t *)buf & 3;
    rv->priv = v == 2 ? RV_M : v;
    rv_update_mode(rv);
}

static void priv_read(Cpu *cpu, const CpuReg *r, void *buf) { *(uint8_t *)buf = ((RvCpu *)cpu)->priv; }

#define CPU_FEATURE "org.gnu.gdb.riscv.cpu"
#define FPU_FEATURE "org.gnu.gdb.riscv.fpu"
#define CSR_FEATURE "org.gnu.gdb.riscv.csr"
#define VIRTUAL_FEATURE "org.gnu.gdb.riscv.virtual"

#define X(n, name_, type_)                                                                          \
    {name_, offsetof(RvCpu, x) + 8 * n, XLEN, n, CPU_REG_INT, type_, CPU_FEATURE}
#define F(n, name_)                                                                                 \
    {name_, offsetof(RvCpu, f) + 8 * n, 64, 33 + n, CPU_REG_FLOAT, "ieee_double", FPU_FEATURE}
#define X_REGS                                                                                      \
    X(0, "zero", "int"), X(1, "ra", "code_ptr"), X(2, "sp", "data_ptr"), X(3, "gp", "data_ptr"),    \
    X(4, "tp", "data_ptr"), X(5, "t0", "int"), X(6, "t1", "int"), X(7, "t2", "int"),                \
    X(8, "fp", "data_ptr"), X(9, "s1", "int"), X(10, "a0", "int"), X(11, "a1", "int"),              \
    X(12, "a2", "int"), X(13, "a3", "int"), X(14, "a4", "int"), X(15, "a5", "int"),                 \
    X(16, "a6", "int"), X(17, "a7", "int"), X(18, "s2", "int"), X(19, "s3", "int"),                 \
    X(20, "s4", "int"), X(21, "s5", "int"), X(22, "s6", "int"), X(23, "s7", "int"),                 \
    X(24, "s8", "int"), X(25, "s9", "int"), X(26, "s10", "int"), X(27, "s11", "int"),               \
    X(28, "t3", "int"), X(29, "t4", "int"), X(30, "t5", "int"), X(31, "t6", "int"),                 \
    {"pc", offsetof(Cpu, pc), XLEN, 32, CPU_REG_PC, "code_ptr", CPU_FEATURE}
#define F_REGS                                                                                      \
    F(0, "ft0"), F(1, "ft1"), F(2, "ft2"), F(3, "ft3"), F(4, "ft4"), F(5, "ft5"), F(6, "ft6"),      \
    F(7, "ft7"), F(8, "fs0"), F(9, "fs1"), F(10, "fa0"), F(11, "fa1"), F(12, "fa2"),                \
    F(13, "fa3"), F(14, "fa4"), F(15, "fa5"), F(16, "fa6"), F(17, "fa7"), F(18, "fs2"),             \
    F(19, "fs3"), F(20, "fs4"), F(21, "fs5"), F(22, "fs6"), F(23, "fs7"), F(24, "fs8"),             \
    F(25, "fs9"), F(26, "fs10"), F(27, "fs11"), F(28, "ft8"), F(29, "ft9"), F(30, "ft10"),          \
    F(31, "ft11")
/* CSRs have their number + 128 at gdb, from the same table as the instructions. */
#define PLAIN(n, name_, feature_, member, mask_)                                                    \
    {#name_, -1, XLEN, 128 + n, CPU_REG_SYS, "int", CSR_FEATURE, csr_read, csr_write},
#define FUNC(n, name_, feature_, check_, read_, write_)                                             \
    {#name_, -1, XLEN, 128 + n, CPU_REG_SYS, "int", CSR_FEATURE, csr_read, csr_write},
#define RANGE(n, m, name_, base_, feature_, check_, read_, write_)
#define PRIV_REG                                                                                    \
    {"priv", -1, 8, 128 + 4096, CPU_REG_SYS, "uint8", VIRTUAL_FEATURE, priv_read, priv_write}

#define XLEN 64
static const CpuReg regs64[] = {
    X_REGS, F_REGS,
#include "target/riscv/csr.inc"
    PRIV_REG,
};
#undef XLEN
#define XLEN 32
static const CpuReg regs32[] = {
    X_REGS, F_REGS,
#include "target/riscv/csr.inc"
    PRIV_REG,
};
#undef XLEN
#undef PLAIN
#undef FUNC
#undef RANGE

/* ---- text ---- */

static unsigned disassemble(Cpu *cpu, const uint8_t *bytes, unsigned n, uint64_t pc, GString *out)
{
    const RvCpu *rv = (const RvCpu *)cpu;
    if (n < 2)
        return 0;
    uint32_t raw = bytes[0] | bytes[1] << 8;
    unsigned len = (raw & 3) == 3 ? 4 : 2;
    if (len > n)
        return 0;
    if (len == 4)
        raw |= (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    unsigned line = rv_decode(raw, &rv->features);
    if (!line)
        return 0;
    isa_print(&rv_isa_table, line, raw, pc, out);
    return len;
}

static void dump(Cpu *cpu, unsigned parts, GString *out)
{
    RvCpu *rv = (RvCpu *)cpu;
    static const uint16_t shown[] = {0x300, 0x344, 0x304, 0x303, 0x302, 0x305, 0x105, 0x341,
                                     0x141, 0x342, 0x142, 0x343, 0x143, 0x340, 0x140, 0x180};
    int width = rv->rv32 ? 8 : 16;
    g_string_append_printf(out, " %-8s %0*" PRIx64 "\n", "pc", width, cpu->pc);
    g_string_append_printf(out, " %-8s %d\n", "priv", rv->priv);
    for (unsigned i = 0; i < G_N_ELEMENTS(shown); i++) {
        uint64_t v;
        if (!rv_csr_peek(rv, shown[i], &v))
            continue;
        g_autoptr(GString) name = g_string_new(NULL);
        rv_csr_print(name, shown[i]);
        g_string_append_printf(out, " %-8s %0*" PRIx64 "\n", name->str, width, v);
    }
    for (unsigned i = 0; i < 32; i++) {
        g_autofree char *name = g_strdup_printf("x%u/%s", i, rv_x_names[i]);
        g_string_append_printf(out, " %-8s %0*" PRIx64 "%s", name, width, rv->x[i],
                               i % 4 == 3 ? "\n" : "");
    }
    for (unsigned i = 0; i < 32 && parts & CPU_DUMP_FLOATS; i++) {
        g_autofree char *name = g_strdup_printf("f%u/%s", i, rv_f_names[i]);
        g_string_append_printf(out, " %-8s %016" PRIx64 "%s", name, rv->f[i],
                               i % 4 == 3 ? "\n" : "");
    }
}

static const char *slot_name(int32_t offset)
{
    int32_t x = offset - (int32_t)offsetof(RvCpu, x), f = offset - (int32_t)offsetof(RvCpu, f);
    if (x >= 0 && x < 256)
        return rv_x_names[x / 8];
    if (f >= 0 && f < 256)
        return rv_f_names[f / 8];
    return NULL;
}

/* ---- the architectures ---- */

#define RISCV_ISA                                                                                   \
    .cpu_suffix = "riscv-cpu", .page_bits = 12, .key_asid_mask = 0xffff,                            \
    .slot_bias = offsetof(RvCpu, x) + 128,                                                          \
    .slot_name = slot_name, .translate = rv_translate, .translate_va = rv_translate_va,             \
    .raise_fault = rv_raise_fault, .raise_bus_error = rv_raise_bus_error,                           \
    .raise_unaligned = rv_raise_unaligned, .interrupt = rv_interrupt, .has_work = rv_has_work,      \
    .realize = realize, .reset = reset, .state_restored = state_restored,                           \
    .disassemble = disassemble, .dump = dump

static const GuestIsa riscv64_isa = {
    .name = "riscv64", RISCV_ISA, .gdb_arch = "riscv:rv64",
    .regs = regs64, .n_regs = G_N_ELEMENTS(regs64),
};
static const GuestIsa riscv32_isa = {
    .name = "riscv32", RISCV_ISA, .gdb_arch = "riscv:rv32",
    .regs = regs32, .n_regs = G_N_ELEMENTS(regs32),
};
ISA(riscv64_isa);
ISA(riscv32_isa);

/* ---- the models ---- */

static const DeviceType riscv_cpu = {
    .name = "riscv-cpu", .parent = "cpu", .desc = "RISC-V hart", .size = sizeof(RvCpu),
    .abstract = true, .category = DEVICE_CPU, FIELDS(fields),
};
DEVICE_TYPE(riscv_cpu);

#define MODEL(id, name_, desc_, init_)                                                              \
    static const DeviceType id = {                                                                  \
        .name = name_ "-riscv-cpu", .parent = "riscv-cpu", .desc = desc_, .size = sizeof(RvCpu),    \
        .category = DEVICE_CPU, .init = init_, .pin = pin, .n_pins = 16,                            \
    };                                                                                              \
    DEVICE_TYPE(id)
MODEL(rv64, "rv64", "RV64GC hart", init_rv64);
MODEL(rv32, "rv32", "RV32GC hart", init_rv32);
MODEL(rv64i, "rv64i", "RV64I hart, bare", init_rv64i);
MODEL(rv32i, "rv32i", "RV32I hart, bare", init_rv32i);
MODEL(rva22s64, "rva22s64", "hart of the profile RVA22S64 but for Zfhmin", init_rva22s64);
MODEL(rva23s64, "rva23s64", "hart of the profile RVA23S64; not implemented", init_rva22s64);
MODEL(max, "max", "RISC-V hart with everything there is", init_max);
