/* SPDX-License-Identifier: Apache-2.0 */
/* Derived state, reset, the register table, the two architectures. Intel SDM vol. 3A, table 10-1. */
#include <string.h>
#include "target/x86/cpu.h"

/* ---- the mode word ---- */

static bool seg_is_flat(const X86Seg *s, int n)
{
    bool whole = s->lo == 0 && s->rd >= 0xffffffffll && s->wr >= 0xffffffffll;
    if (n == CS)                /* never written through, except by overrides in real mode */
        whole = s->lo == 0 && s->limit == 0xffffffff;
    return whole && (n >= FS || s->base == 0);
}

static uint32_t segment_bits(const X86Cpu *x)
{
    uint32_t m = 0;
    for (int n = 0; n < 6; n++)
        m |= seg_is_flat(&x->seg[n], n) ? (uint32_t)MODE_FLAT << n : 0;
    return m;
}

static uint32_t control_bits(const X86Cpu *x)
{
    return (x->cr0 & CR0_TS ? MODE_TS : 0) | (x->cr0 & CR0_EM ? MODE_EM : 0) |
           (x->cr0 & CR0_MP ? MODE_MP : 0) | (x->cr4 & CR4_OSFXSR ? MODE_OSFXSR : 0) |
           (x->cr4 & CR4_UMIP ? MODE_UMIP : 0) | (x->cr4 & CR4_TSD ? MODE_TSD : 0) |
           (x->cr4 & CR4_FSGSBASE ? MODE_FSGSBASE : 0) | (x->cr4 & CR4_PKE ? MODE_PKE : 0) |
           (~x->mxcsr & 0x1f80 ? MODE_XM : 0) |
           (x->cr4 & CR4_OSXSAVE ? MODE_OSXSAVE | ((x->xcr0 & 6) == 6 ? MODE_AVX : 0) : 0);
}

static unsigned current_cpl(const X86Cpu *x)
{
    if (!x86_protected(x))
        return 0;
    return x86_vm86(x) ? 3 : x->cpu.mode & MODE_CPL;
}

void x86_update_mode(X86Cpu *x)
{
    unsigned cpl = current_cpl(x), iopl = (x->eflags & FLAG_IOPL) >> 12;
    bool pe = x86_protected(x), vm = pe && x86_vm86(x);
    bool wide = x86_long(x) && !vm && x->seg[CS].attr & ATTR_L;
    uint32_t m = cpl | control_bits(x);
    m |= wide ? MODE_CS64 | MODE_FLAT * 63 | MODE_SS32 : segment_bits(x);
    if (!wide && !vm)
        m |= (x->seg[CS].attr & ATTR_DB ? MODE_CS32 : 0) | (x->seg[SS].attr & ATTR_DB ? MODE_SS32 : 0);
    m |= (pe ? MODE_PE : 0) | (vm ? MODE_VM : 0) | (x86_long(x) ? MODE_LMA : 0);
    m |= x->eflags & FLAG_T ? MODE_TF : 0;
    m |= x->shadow ? MODE_SHADOW : 0;
    m |= cpl <= iopl ? MODE_IOPL_OK : 0;
    m |= cpl == 3 && iopl < 3 && x->cr4 & (vm ? CR4_VME : CR4_PVI) ? MODE_VIF : 0;
    m |= cpl == 3 && x->cr0 & CR0_AM && x->eflags & FLAG_AC ? MODE_AC : 0;
    m |= x->in_smm ? MODE_SMM : 0;
    for (unsigned n = 0; n < 4 && x->dr[7] & 0xff; n++) {
        unsigned kind = x->dr[7] >> (16 + 4 * n) & 3;
        if (x->dr[7] >> 2 * n & 3 && (kind == 0 || (kind == 2 && x->cr4 & CR4_DE)))
            m |= MODE_BP;
    }
    x->cpu.mode = m;
    x86_select_regime(x);
    if (G_UNLIKELY(x->held))
        x86_release_held(x);
    if (x->eflags & FLAG_I && !x->shadow && __atomic_load_n(&x->intr, __ATOMIC_SEQ_CST))
        cpu_request(&x->cpu, CPU_REQ_IRQ);
}

void x86_update_fp_mode(X86Cpu *x)
{
    uint32_t m = x->mxcsr >> 13 & 3;
    m |= x->mxcsr & 1 << 15 ? FP_FTZ : 0;
    m |= x->mxcsr & 1 << 6 ? FP_DAZ : 0;
    m |= (~x->mxcsr >> 7 & 0x3f) << FP_UNMASKED_SHIFT;
    cpu_set_fp_mode(&x->cpu, m);
}

void x86_update_watchpoints(X86Cpu *x)
{
    static const uint8_t lengths[4] = {1, 2, 8, 4};
    for (unsigned n = 0; n < 4; n++) {
        unsigned kind = x->dr[7] >> (16 + 4 * n) & 3, len = lengths[x->dr[7] >> (18 + 4 * n) & 3];
        bool on = x->dr[7] >> 2 * n & 3 && (kind == 1 || kind == 3);
        CpuWatch want = {.addr = x->dr[n] & -(uint64_t)len, .len = len, .access = kind == 1 ? 2 : 3,
                         .guest = true};
        if (!on)
            want = (CpuWatch){0};
        CpuWatch *now = &x->watching[n];
        if (now->addr == want.addr && now->len == want.len && now->access == want.access)
            continue;
        if (now->len)
            cpu_watchpoint_del(&x->cpu, *now);
        if (on)
            cpu_watchpoint_add(&x->cpu, want);
        *now = want;
    }
}

/* ---- reset ---- */

static void reset_mtrrs(X86Cpu *x)
{
    memset(x->mtrr, 0, sizeof(x->mtrr));
    memset(x->mtrr_fixed, 0, sizeof(x->mtrr_fixed));
    x->mtrr_def = 0;
}

void x86_reset(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    memset(x->regs, 0, sizeof(x->regs));
    x->regs[RDX] = x->cpuid_version;
    x86_set_arith(x, 0);
    x->eflags = 0;
    x->cr0 = CR0_ET | CR0_NW | CR0_CD;
    x->cr2 = x->cr3 = x->cr4 = x->cr8 = 0;
    x->efer = 0;
    x->xcr0 = 1;
    x->xss = 0;
    x->pkru = 0;
    x->pat = 0x0007040600070406ull;
    memset(x->dr, 0, sizeof(x->dr));
    x->dr[6] = 0xffff0ff0;
    x->dr[7] = 0x400;
    x->star = x->lstar = x->cstar = x->fmask = x->kernel_gs_base = 0;
    x->sysenter_cs = x->sysenter_esp = x->sysenter_eip = 0;
    x->misc_enable = MISC_FAST_STRINGS | (x86_has(x, X86_F_monitor) ? MISC_MONITOR : 0);
    x->feature_control = x->spec_ctrl = x->debugctl = 0;
    x->tsc_aux = 0;
    x->mcg_ctl = ~0ull;
    x->mcg_status = 0;
    for (unsigned n = 0; n < X86_MC_BANKS; n++)
        x->mc[n][0] = ~0ull;
    x->tsc_adjust = 0;
    x->kvm_clock = x->kvm_wall_clock = 0;
    reset_mtrrs(x);
    x->queued.kind = 0;
    x->held = 0;
    x->in_smm = x->nmi_masked = x->smm_nmi = x->shadow = x->in_delivery = x->monitor_armed = false;
    x->smbase = 0x30000;
    x->a20 = true;
    x->cpu.mode = 0;
    for (int n = 0; n < 6; n++)
        x86_load_seg_cache(x, n, 0, 0, 0xffff, n == CS ? 0x9b : 0x93);
    x86_load_seg_cache(x, CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
    x->gdt = x->idt = (X86Table){0, 0xffff};
    x->ldt = (X86Seg){.limit = 0xffff, .attr = 0x82};
    x->tr = (X86Seg){.limit = 0xffff, .attr = 0x8b};
    x->fcw = 0x40;
    x->fsw = 0;
    x->ftop = 0;
    x->fempty = 0;
    memset(x->st, 0, sizeof(x->st));
    memset(x->xmm, 0, sizeof(x->xmm));
    x->fip = x->fdp = 0;
    x->fop = x->fcs = x->fds = 0;
    x->mxcsr = 0x1f80;
    x->cpu.pc = 0xfffffff0;
    x->wait_sipi = !x->bsp;
    x->cpu.halted = x->wait_sipi;
    x->regime = ~0ull;
    x86_select_memory(x);
    x86_update_fp_mode(x);
    cpu_set_fp_flags(cpu, 0);
    x86_update_watchpoints(x);
    x86_update_mode(x);
}

static void state_restored(Cpu *cpu)
{
    X86Cpu *x = x86_of(cpu);
    x->regime = ~0ull;
    x->held = 0;
    cpu->mode = x->saved_cpl;
    cpu_request(cpu, x->saved_requests);
    for (int n = 0; n < 6; n++)
        x86_seg_bounds(&x->seg[n], x86_protected(x) && !x86_vm86(x));
    x86_select_memory(x);
    x86_update_fp_mode(x);
    cpu_set_fp_flags(cpu, x->mxcsr & 0x3f);
    x86_update_watchpoints(x);
    x86_update_mode(x);
}

/* ---- direct boots ---- */

void x86_cpu_boot(Cpu *cpu, const X86Boot *boot)
{
    X86Cpu *x = x86_of(cpu);
    uint16_t cs = boot->cs ? boot->cs : 0x10, ds = boot->ds ? boot->ds : 0x18;
    x->regs[RAX] = boot->rax;
    x->regs[RBX] = boot->rbx;
    x->regs[RSI] = boot->rsi;
    x->regs[RDI] = boot->rdi;
    x->regs[RSP] = boot->rsp;
    x->regs[RBP] = boot->rbp;
    if (boot->mode == X86_BOOT_REAL) {
        x86_load_seg_cache(x, CS, boot->start >> 16, boot->start >> 16 << 4, 0xffff, 0x9b);
        x86_update_mode(x);
        cpu->pc = x86_linear_pc(x, boot->start & 0xffff);
        return;
    }
    bool wide = boot->mode == X86_BOOT_LONG64;
    x->cr0 = CR0_ET | CR0_PE | CR0_NE;
    x->cpu.mode = 0;
    if (wide) {
        x->cr3 = boot->cr3;
        x->cr4 = CR4_PAE;
        x->efer = EFER_LME | EFER_LMA;
        x->cr0 |= CR0_PG;
    }
    for (int n = 0; n < 6; n++)
        x86_load_seg_cache(x, n, n == CS ? cs : ds, 0, 0xffffffff, n == CS ? (wide ? 0xa09b : 0xc09b) : 0xc093);
    x->tr = (X86Seg){.sel = boot->tr ? boot->tr : 0x20, .limit = 0x67, .attr = 0x8b};
    x->gdt = (X86Table){boot->gdt_base, boot->gdt_limit};
    x->idt = (X86Table){0, 0};
    softmmu_flush(cpu);
    x86_update_mode(x);
    cpu->pc = boot->start;
}

/* ---- pins ---- */

static void latch(X86Cpu *x, uint32_t bit, bool level)
{
    if (level)
        cpu_request(&x->cpu, bit);
}

void x86_pin(Device *d, uint32_t n, bool level)
{
    X86Cpu *x = (X86Cpu *)d;
    switch (n) {
    case X86_PIN_INTR:
        __atomic_store_n(&x->intr, level, __ATOMIC_SEQ_CST);
        latch(x, CPU_REQ_IRQ, level);
        return;
    case X86_PIN_NMI:
        latch(x, X86_REQ_NMI, level);
        return;
    case X86_PIN_SMI:
        latch(x, X86_REQ_SMI, level);
        return;
    case X86_PIN_INIT:
        latch(x, X86_REQ_INIT, level);
        return;
    case X86_PIN_RESET:
        latch(x, X86_REQ_RESET, level);
        return;
    case X86_PIN_A20:
        if (__atomic_exchange_n(&x->a20, level, __ATOMIC_SEQ_CST) != level)
            cpu_request(&x->cpu, X86_REQ_A20);
        return;
    }
    if (n >= X86_PIN_SIPI && n < X86_PINS && level) {
        __atomic_store_n(&x->sipi_vector, n - X86_PIN_SIPI, __ATOMIC_SEQ_CST);
        cpu_request(&x->cpu, X86_REQ_SIPI);
    }
}

void x86_cpu_connect(Cpu *cpu, const X86IrqSource *source, void *opaque)
{
    x86_of(cpu)->irq = source;
    x86_of(cpu)->irq_opaque = opaque;
}

void x86_cpu_connect_ferr(Cpu *cpu, Pin to) { irq_connect(&x86_of(cpu)->ferr, to); }
uint32_t x86_cpu_apic_id(Cpu *cpu) { return x86_of(cpu)->apic_id; }
unsigned x86_cpu_phys_bits(Cpu *cpu) { return x86_of(cpu)->phys_bits; }
uint64_t x86_cpu_tsc_hz(Cpu *cpu) { return x86_of(cpu)->tsc_hz; }
uint64_t x86_cpu_tsc(Cpu *cpu) { return x86_tsc(x86_of(cpu)); }
void x86_cpu_set_apic_id(Cpu *cpu, uint32_t id) { x86_of(cpu)->apic_id = id; }

void x86_cpu_set_bsp(Cpu *cpu, bool bsp)
{
    X86Cpu *x = x86_of(cpu);
    x->bsp = bsp;
    x->wait_sipi = x->cpu.halted = !bsp;
}

/* ---- registers for gdb and others ---- */

static void read_flags(Cpu *cpu, const CpuReg *r, void *buf)
{
    uint32_t v = x86_get_eflags(x86_of(cpu));
    memcpy(buf, &v, 4);
}

static void write_flags(Cpu *cpu, const CpuReg *r, const void *buf)
{
    uint32_t v;
    memcpy(&v, buf, 4);
    x86_set_eflags(x86_of(cpu), v);
}

static void read_ip(Cpu *cpu, const CpuReg *r, void *buf)
{
    uint64_t v = x86_ip(x86_of(cpu));
    memcpy(buf, &v, r->bits / 8);
}

static void write_ip(Cpu *cpu, const CpuReg *r, const void *buf)
{
    uint64_t v = 0;
    memcpy(&v, buf, r->bits / 8);
    cpu->pc = x86_linear_pc(x86_of(cpu), v);
}

static int seg_index(const CpuReg *r)
{
    static const char names[6][3] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (int n = 0; n < 6; n++) {
        if (!memcmp(r->name, names[n], 3))
            return n;
    }
    return DS;
}

static void read_seg(Cpu *cpu, const CpuReg *r, void *buf)
{
    uint32_t v = x86_of(cpu)->seg[seg_index(r)].sel;
    memcpy(buf, &v, 4);
}

static void write_seg(Cpu *cpu, const CpuReg *r, const void *buf)
{
    uint32_t v;
    memcpy(&v, buf, 4);
    X86Cpu *x = x86_of(cpu);
    int n = seg_index(r);
    if (!x86_protected(x) || x86_vm86(x)) {
        x86_load_seg_real(x, n, v);
        x86_update_mode(x);
    } else {
        x->seg[n].sel = v;
    }
}

static unsigned st_index(Cpu *cpu, const CpuReg *r) { return (x86_of(cpu)->ftop + r->name[2] - '0') & 7; }

static void read_st(Cpu *cpu, const CpuReg *r, void *buf) { memcpy(buf, &x86_of(cpu)->st[st_index(cpu, r)], 10); }
static void write_st(Cpu *cpu, const CpuReg *r, const void *buf) { memcpy(&x86_of(cpu)->st[st_index(cpu, r)], buf, 10); }

/* fctrl, fstat, ftag, fiseg, fioff, foseg, fooff, fop as gdb numbers them. */
static void read_fpu(Cpu *cpu, const CpuReg *r, void *buf)
{
    X86Cpu *x = x86_of(cpu);
    uint32_t v = 0, tags = 0;
    for (unsigned n = 0; n < 8; n++)
        tags |= (x->fempty >> n & 1 ? 3u : 0) << 2 * n;
    switch (r->name[1] == 'c' ? 0 : r->name[1] == 's' ? 1 : r->name[1] == 't' ? 2 : r->name[1] == 'i' ?
            (r->name[2] == 's' ? 3 : 4) : r->name[2] == 's' ? 5 : r->name[2] == 'o' ? 6 : 7) {
    case 0: v = x->fcw; break;
    case 1: v = x->fsw | x->ftop << 11; break;
    case 2: v = tags; break;
    case 3: v = x->fcs; break;
    case 4: v = x->fip; break;
    case 5: v = x->fds; break;
    case 6: v = x->fdp; break;
    default: v = x->fop; break;
    }
    memcpy(buf, &v, 4);
}

static void write_fpu(Cpu *cpu, const CpuReg *r, const void *buf)
{
    X86Cpu *x = x86_of(cpu);
    uint32_t v;
    memcpy(&v, buf, 4);
    if (r->name[1] == 'c') {
        x->fcw = v;
    } else if (r->name[1] == 's') {
        x->ftop = v >> 11 & 7;
        x->fsw = v & 0xc7ff;
    } else if (r->name[1] == 't') {
        x->fempty = 0;
        for (unsigned n = 0; n < 8; n++)
            x->fempty |= (v >> 2 * n & 3) == 3 ? 1 << n : 0;
    }
}

#define CORE "org.gnu.gdb.i386.core"
#define SSE "org.gnu.gdb.i386.sse"
#define GPR(name, n, g, bits, type) {name, offsetof(X86Cpu, regs) + 8 * (n), bits, g, CPU_REG_INT, type, CORE}
#define SPECIAL(name, g, bits, kind, type, rd, wr) {name, -1, bits, g, kind, type, CORE, rd, wr}
#define SYS(name, g, m) {name, offsetof(X86Cpu, m), 64, g, CPU_REG_SYS, "int64", CORE}
#define SEG(name, g) SPECIAL(name, g, 32, CPU_REG_SEG, "int32", read_seg, write_seg)
#define ST(n, g) SPECIAL("st" #n, (g) + (n), 80, CPU_REG_FLOAT, "i387_ext", read_st, write_st)
#define FPU(name, g) SPECIAL(name, g, 32, CPU_REG_FLOAT, "int", read_fpu, write_fpu)
#define XMM(n, g) {"xmm" #n, offsetof(X86Cpu, xmm) + 32 * (n), 128, (g) + (n), CPU_REG_VECTOR, "vec128", SSE}
#define COMMON(g)                                                                                   \
    SEG("cs", g), SEG("ss", (g) + 1), SEG("ds", (g) + 2), SEG("es", (g) + 3), SEG("fs", (g) + 4),     \
    SEG("gs", (g) + 5), SYS("fs_base", (g) + 6, seg[FS].base), SYS("gs_base", (g) + 7, seg[GS].base), \
    SYS("k_gs_base", (g) + 8, kernel_gs_base), SYS("cr0", (g) + 9, cr0), SYS("cr2", (g) + 10, cr2),   \
    SYS("cr3", (g) + 11, cr3), SYS("cr4", (g) + 12, cr4), SYS("cr8", (g) + 13, cr8),                  \
    SYS("efer", (g) + 14, efer), ST(0, (g) + 15), ST(1, (g) + 15), ST(2, (g) + 15), ST(3, (g) + 15),  \
    ST(4, (g) + 15), ST(5, (g) + 15), ST(6, (g) + 15), ST(7, (g) + 15), FPU("fctrl", (g) + 23),       \
    FPU("fstat", (g) + 24), FPU("ftag", (g) + 25), FPU("fiseg", (g) + 26), FPU("fioff", (g) + 27),    \
    FPU("foseg", (g) + 28), FPU("fooff", (g) + 29), FPU("fop", (g) + 30), XMM(0, (g) + 31),           \
    XMM(1, (g) + 31), XMM(2, (g) + 31), XMM(3, (g) + 31), XMM(4, (g) + 31), XMM(5, (g) + 31),         \
    XMM(6, (g) + 31), XMM(7, (g) + 31)

static const CpuReg regs64[] = {
    GPR("rax", RAX, 0, 64, "int64"), GPR("rbx", RBX, 1, 64, "int64"), GPR("rcx", RCX, 2, 64, "int64"),
    GPR("rdx", RDX, 3, 64, "int64"), GPR("rsi", RSI, 4, 64, "int64"), GPR("rdi", RDI, 5, 64, "int64"),
    GPR("rbp", RBP, 6, 64, "data_ptr"), GPR("rsp", RSP, 7, 64, "data_ptr"), GPR("r8", 8, 8, 64, "int64"),
    GPR("r9", 9, 9, 64, "int64"), GPR("r10", 10, 10, 64, "int64"), GPR("r11", 11, 11, 64, "int64"),
    GPR("r12", 12, 12, 64, "int64"), GPR("r13", 13, 13, 64, "int64"), GPR("r14", 14, 14, 64, "int64"),
    GPR("r15", 15, 15, 64, "int64"),
    SPECIAL("rip", 16, 64, CPU_REG_PC, "code_ptr", read_ip, write_ip),
    SPECIAL("eflags", 17, 32, CPU_REG_FLAGS, "i386_eflags", read_flags, write_flags),
    COMMON(18), XMM(8, 49), XMM(9, 49), XMM(10, 49), XMM(11, 49), XMM(12, 49), XMM(13, 49),
    XMM(14, 49), XMM(15, 49),
    {"mxcsr", offsetof(X86Cpu, mxcsr), 32, 65, CPU_REG_VECTOR, "int", SSE},
};

static const CpuReg regs32[] = {
    GPR("eax", RAX, 0, 32, "int32"), GPR("ecx", RCX, 1, 32, "int32"), GPR("edx", RDX, 2, 32, "int32"),
    GPR("ebx", RBX, 3, 32, "int32"), GPR("esp", RSP, 4, 32, "data_ptr"), GPR("ebp", RBP, 5, 32, "data_ptr"),
    GPR("esi", RSI, 6, 32, "int32"), GPR("edi", RDI, 7, 32, "int32"),
    SPECIAL("eip", 8, 32, CPU_REG_PC, "code_ptr", read_ip, write_ip),
    SPECIAL("eflags", 9, 32, CPU_REG_FLAGS, "i386_eflags", read_flags, write_flags),
    COMMON(10), {"mxcsr", offsetof(X86Cpu, mxcsr), 32, 49, CPU_REG_VECTOR, "int", SSE},
};

/* ---- info registers ---- */

static void dump_seg(GString *out, const char *name, const X86Seg *s, bool wide)
{
    g_string_append_printf(out, "%-3s=%04x %0*" PRIx64 " %08x %04x00\n", name, s->sel, wide ? 16 : 8,
                           s->base, s->limit, s->attr);
}

static void dump_floats(X86Cpu *x, GString *out)
{
    g_string_append_printf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", x->fcw,
                           x->fsw | x->ftop << 11, x->ftop, (uint8_t)~x->fempty, x->mxcsr);
    for (unsigned n = 0; n < 8; n++)
        g_string_append_printf(out, "FPR%u=%016" PRIx64 " %04x%c", n, x->st[n].frac, x->st[n].se, n & 1 ? '\n' : ' ');
}

static void dump(Cpu *cpu, unsigned parts, GString *out)
{
    X86Cpu *x = x86_of(cpu);
    static const char names[16][4] = {"RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP",
                                      "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    static const uint8_t order[8] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP};
    static const char segs[6][4] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    bool wide = x86_long(x);
    uint32_t f = x86_get_eflags(x);
    for (unsigned n = 0; n < (wide ? 16 : 8); n++) {
        uint64_t v = x->regs[n < 8 ? order[n] : n];
        char sep = n % 4 == 3 ? '\n' : ' ';
        if (wide)
            g_string_append_printf(out, "%s=%016" PRIx64 "%c", names[n], v, sep);
        else
            g_string_append_printf(out, "E%s=%08x%c", names[n] + 1, (uint32_t)v, sep);
    }
    g_string_append_printf(out, wide ? "RIP=%016" PRIx64 : "EIP=%08" PRIx64, x86_ip(x));
    g_string_append_printf(out, " %sFL=%08x [%c%c%c%c%c%c%c] CPL=%u II=%d A20=%d SMM=%d HLT=%d\n",
                           wide ? "R" : "E", f, f & FLAG_D ? 'D' : '-', f & FLAG_O ? 'O' : '-',
                           f & FLAG_S ? 'S' : '-', f & FLAG_Z ? 'Z' : '-', f & FLAG_A ? 'A' : '-',
                           f & FLAG_P ? 'P' : '-', f & FLAG_C ? 'C' : '-', x86_cpl(x), x->shadow,
                           x->a20, x->in_smm, cpu->halted);
    for (unsigned n = 0; n < 6; n++)
        dump_seg(out, segs[n], &x->seg[n], wide);
    dump_seg(out, "LDT", &x->ldt, wide);
    dump_seg(out, "TR", &x->tr, wide);
    g_string_append_printf(out, "GDT=     %0*" PRIx64 " %08x\n", wide ? 16 : 8, x->gdt.base, x->gdt.limit);
    g_string_append_printf(out, "IDT=     %0*" PRIx64 " %08x\n", wide ? 16 : 8, x->idt.base, x->idt.limit);
    g_string_append_printf(out, "CR0=%08x CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08x\n", (uint32_t)x->cr0,
                           wide ? 16 : 8, x->cr2, wide ? 16 : 8, x->cr3, (uint32_t)x->cr4);
    for (unsigned n = 0; n < 8; n++) {
        if (n != 4 && n != 5)
            g_string_append_printf(out, "DR%u=%0*" PRIx64 "%c", n, wide ? 16 : 8, x->dr[n], n == 3 || n == 7 ? '\n' : ' ');
    }
    g_string_append_printf(out, "EFER=%016" PRIx64 "\n", x->efer);
    if (parts & CPU_DUMP_FLOATS)
        dump_floats(x, out);
    for (unsigned n = 0; n < (wide ? 16 : 8) && parts & CPU_DUMP_VECTORS; n++)
        g_string_append_printf(out, "XMM%02u=%016" PRIx64 "%016" PRIx64 "%c", n, x->xmm[n].d[1],
                               x->xmm[n].d[0], n & 1 ? '\n' : ' ');
}

static const char *slot_name(int32_t offset)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    static const struct { int32_t at; const char *name; } others[] = {
        {offsetof(X86Cpu, cc_op), "cc_op"}, {offsetof(X86Cpu, cc_a), "cc_a"},
        {offsetof(X86Cpu, cc_b), "cc_b"}, {offsetof(X86Cpu, cc_c), "cc_c"},
        {offsetof(X86Cpu, eflags), "eflags"}, {offsetof(X86Cpu, seg[FS].base), "fs_base"},
        {offsetof(X86Cpu, seg[GS].base), "gs_base"}, {offsetof(X86Cpu, mxcsr), "mxcsr"},
    };
    int32_t at = offset - (int32_t)offsetof(X86Cpu, regs);
    if (at >= 0 && at < 128)
        return names[at / 8];
    for (unsigned n = 0; n < G_N_ELEMENTS(others); n++) {
        if (others[n].at == offset)
            return others[n].name;
    }
    return NULL;
}

#define X86_ISA                                                                                     \
    .page_bits = 12, .slot_bias = offsetof(X86Cpu, regs) + 120, .slot_name = slot_name,             \
    .translate = x86_translate, .translate_va = x86_translate_va, .raise_fault = x86_raise_fault,   \
    .key_asid_mask = 0xfff0,    /* the PCID in x86_select_regime()'s keys */                        \
    .raise_unaligned = x86_raise_unaligned,     /* and no bus errors: nobody there reads as ones */  \
    .interrupt = x86_interrupt, .has_work = x86_has_work, .debug_exception = x86_debug_exception,   \
    .realize = x86_realize, .expand = x86_expand, .model_facts = x86_model_facts,                   \
    .reset = x86_reset, .state_restored = state_restored,                                           \
    .disassemble = x86_disassemble, .dump = dump, .nmi = nmi

static void nmi(Cpu *cpu)
{
    x86_pin(&cpu->dev, X86_PIN_NMI, true);
    x86_pin(&cpu->dev, X86_PIN_NMI, false);
}

const GuestIsa x86_64_isa = {
    .name = "x86_64", .cpu_suffix = "x86_64-cpu", X86_ISA, .gdb_arch = "i386:x86-64",
    .regs = regs64, .n_regs = G_N_ELEMENTS(regs64),
};
const GuestIsa i386_isa = {
    .name = "i386", .cpu_suffix = "i386-cpu", X86_ISA, .gdb_arch = "i386",
    .regs = regs32, .n_regs = G_N_ELEMENTS(regs32),
};
ISA(x86_64_isa);
ISA(i386_isa);
