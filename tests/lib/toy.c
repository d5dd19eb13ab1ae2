/* SPDX-License-Identifier: Apache-2.0 */
/* The toy architecture: see toy.h. */
#include <string.h>

#include "core/accel.h"
#include "toy.h"

#define SLOT(m) ((int32_t)offsetof(ToyCpu, m))

static void trap(ToyCpu *t, uint64_t cause, uint64_t badaddr)
{
    t->epc = t->cpu.pc;
    t->cause = cause;
    t->badaddr = badaddr;
    t->irq_on = 0;
    t->cpu.pc = TOY_VECTOR;
}

/* ---- helpers ---- */

static void do_halt(Cpu *cpu)
{
    cpu_halt(cpu);
}

static void do_sys(Cpu *cpu, uint64_t number)
{
    trap((ToyCpu *)cpu, TOY_CAUSE_SYS, number);
    cpu_exit(cpu);
}

static void do_illegal(Cpu *cpu)
{
    trap((ToyCpu *)cpu, TOY_CAUSE_ILLEGAL, 0);
    cpu_exit(cpu);
}

static void select_regime(ToyCpu *t)
{
    softmmu_select(&t->cpu, t->asid | (uint64_t)t->paging << 16);
}

/* paging rA: ptbase = rA, imm = on | asid << 8 */
static void do_paging(Cpu *cpu, uint64_t ptbase, uint64_t imm)
{
    ToyCpu *t = (ToyCpu *)cpu;

    t->ptbase = ptbase;
    t->paging = imm & 1;
    t->asid = imm >> 8 & 0xff;
    select_regime(t);
}

static void do_flush(Cpu *cpu, uint64_t va, uint64_t how)
{
    switch (how) {
    case 0: softmmu_flush(cpu); break;
    case 1: softmmu_flush_nonglobal(cpu, 0xffff, ((ToyCpu *)cpu)->asid); break;
    default: softmmu_flush_page(cpu, va, 0xffff, ((ToyCpu *)cpu)->asid); break;
    }
}

static void do_irq(Cpu *cpu, uint64_t on)
{
    ((ToyCpu *)cpu)->irq_on = (uint8_t)on;
    cpu_request(cpu, CPU_REQ_IRQ);
}

#define HELPER(name, effects) static const IrHelper h_##name = {#name, do_##name, IR_VOID, effects}
HELPER(halt, IR_H_EFFECT);
HELPER(sys, IR_H_ANY | IR_H_EXIT);
HELPER(illegal, IR_H_ANY | IR_H_EXIT);
HELPER(paging, IR_H_STATE);
HELPER(flush, IR_H_EFFECT);
HELPER(irq, IR_H_STATE);

/* ---- translation ---- */

static IrRef get(IrBuilder *b, unsigned r) { return ir_get(b, IR_I64, SLOT(r) + 8 * (int)r, 8); }
static void set(IrBuilder *b, unsigned r, IrRef v) { ir_set(b, SLOT(r) + 8 * (int)r, 8, v); }

/* False: the unit has ended. */
static bool insn(IrBuilder *b, uint64_t pc, uint32_t raw)
{
    unsigned x = raw >> 8 & 15, y = raw >> 12 & 15;
    int imm = (int16_t)(raw >> 16);
    uint64_t next = pc + 4, target = pc + 4 * (int64_t)imm;

    switch ((ToyOp)(raw & 0xff)) {
    case TOY_HALT: ir_call(b, &h_halt, 0, 0, 0, 0); ir_resync(b, ir_pcrel(b, next)); return false;
    case TOY_LI: set(b, x, ir_i64(b, imm)); return true;
    case TOY_LUI: set(b, x, ir_addi(b, ir_shli(b, get(b, x), 16), (uint16_t)imm)); return true;
    case TOY_ADD: set(b, x, ir_add(b, get(b, x), get(b, y))); return true;
    case TOY_ADDI: set(b, x, ir_addi(b, get(b, y), imm)); return true;
    case TOY_SUB: set(b, x, ir_sub(b, get(b, x), get(b, y))); return true;
    case TOY_MUL: set(b, x, ir_mul(b, get(b, x), get(b, y))); return true;
    case TOY_XOR: set(b, x, ir_xor(b, get(b, x), get(b, y))); return true;
    case TOY_LD8: set(b, x, ir_load(b, IR_I64, get(b, y), imm, IR_M8)); return true;
    case TOY_LD32: set(b, x, ir_load(b, IR_I64, get(b, y), imm, IR_M32 | IR_MSX)); return true;
    case TOY_LD64: set(b, x, ir_load(b, IR_I64, get(b, y), imm, IR_M64)); return true;
    case TOY_ST8: ir_store(b, get(b, y), imm, get(b, x), IR_M8); return true;
    case TOY_ST32: ir_store(b, get(b, y), imm, get(b, x), IR_M32); return true;
    case TOY_ST64: ir_store(b, get(b, y), imm, get(b, x), IR_M64); return true;
    case TOY_BEQ:
    case TOY_BNE: {
        unsigned label = ir_label(b);
        ir_brcond(b, (raw & 0xff) == TOY_BEQ ? IR_NE : IR_EQ, get(b, x), get(b, y), label);
        ir_goto_pc(b, target);
        ir_bind(b, label);
        ir_goto_pc(b, next);
        return false;
    }
    case TOY_JMP: ir_goto_pc(b, target); return false;
    case TOY_CALL: set(b, TOY_LINK, ir_pcrel(b, next)); ir_call_pc(b, target, next); return false;
    case TOY_RET: ir_ret(b, get(b, TOY_LINK)); return false;
    case TOY_JR: ir_goto_ind(b, get(b, x)); return false;
    case TOY_SYS: ir_call(b, &h_sys, ir_i64(b, imm), 0, 0, 0); ir_resync(b, ir_pcrel(b, next)); return false;
    case TOY_ERET:
        ir_set(b, SLOT(irq_on), 1, ir_i32(b, 1));
        ir_call(b, &h_irq, ir_i64(b, 1), 0, 0, 0);
        ir_resync(b, ir_get(b, IR_I64, SLOT(epc), 8));
        return false;
    case TOY_PAGING:
        ir_call(b, &h_paging, get(b, x), ir_i64(b, (uint16_t)imm), 0, 0);
        ir_resync(b, ir_pcrel(b, next));
        return false;
    case TOY_FLUSH: ir_call(b, &h_flush, get(b, x), ir_i64(b, imm), 0, 0); ir_resync(b, ir_pcrel(b, next)); return false;
    case TOY_AMOADD: set(b, x, ir_rmw(b, IR_I64, IR_RMW_ADD, get(b, y), get(b, x), IR_M64)); return true;
    case TOY_IRQ: ir_call(b, &h_irq, ir_i64(b, imm), 0, 0, 0); ir_resync(b, ir_pcrel(b, next)); return false;
    case TOY_GETEX:
        set(b, x, ir_get(b, IR_I64, imm == 0 ? SLOT(cause) : imm == 1 ? SLOT(epc) : SLOT(badaddr), 8));
        return true;
    case TOY_NOP: return true;
    }
    ir_call(b, &h_illegal, 0, 0, 0, 0);
    ir_resync(b, ir_pcrel(b, next));
    return false;
}

static void translate(Cpu *cpu, IrBuilder *b)
{
    uint64_t pc = b->pc, end = (b->pc & ~0xfffull) + 4096;
    bool more = true;

    while (more) {
        uint32_t raw = isa_fetch32(cpu, b, pc);
        ir_insn(b, pc);
        more = insn(b, pc, raw);
        pc += 4;
        if (more && (b->single || pc >= end || ir_unit_full(b))) {
            ir_goto_pc(b, pc);
            more = false;
        }
    }
    b->size = (uint32_t)(pc - b->pc);
}

/* ---- MMU ---- */

static bool translate_va(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu, bool debug, Translation *out)
{
    ToyCpu *t = (ToyCpu *)cpu;
    uint64_t index = va >> 12 & 1023, e;

    t->fault_cause = access == MEM_LOAD ? TOY_CAUSE_LOAD : access == MEM_STORE ? TOY_CAUSE_STORE : TOY_CAUSE_FETCH;
    if (!t->paging || mmu == 1) {
        *out = (Translation){.pa = va, .page_bits = 32, .load = true, .store = true, .fetch = true};
        return va >> 32 == 0;
    }
    t->walks += !debug;
    if (va >> 22 || !cpu_phys_load(cpu, t->ptbase + 8 * index, IR_M64, &e)) {
        return false;
    }
    unsigned bits = e & TOY_LARGE ? 16 : 12;
    bool ok = e & TOY_VALID && (access != MEM_STORE || e & TOY_WRITE) && (access != MEM_FETCH || e & TOY_EXEC);
    *out = (Translation){.pa = (e >> bits << bits) | (va & ((1ull << bits) - 1)), .page_bits = bits,
                         .load = true, .store = e & TOY_WRITE, .fetch = e & TOY_EXEC,
                         .global = e & TOY_GLOBAL};
    return ok;
}

static void raise_fault(Cpu *cpu, uint64_t va, MemAccess access, unsigned mmu)
{
    trap((ToyCpu *)cpu, ((ToyCpu *)cpu)->fault_cause, va);
}

static void raise_bus_error(Cpu *cpu, uint64_t va, uint64_t pa, MemAccess access)
{
    trap((ToyCpu *)cpu, access == MEM_STORE ? TOY_CAUSE_STORE : TOY_CAUSE_LOAD, va);
}

static void raise_unaligned(Cpu *cpu, uint64_t va, MemAccess access)
{
    trap((ToyCpu *)cpu, TOY_CAUSE_ALIGN, va);
}

static bool has_work(Cpu *cpu)
{
    return __atomic_load_n(&((ToyCpu *)cpu)->irq_pending, __ATOMIC_SEQ_CST);
}

static bool interrupt(Cpu *cpu)
{
    ToyCpu *t = (ToyCpu *)cpu;

    cpu_unrequest(cpu, CPU_REQ_IRQ);
    if (!t->irq_on || !__atomic_exchange_n(&t->irq_pending, 0, __ATOMIC_SEQ_CST)) {
        return false;
    }
    trap(t, TOY_CAUSE_IRQ, 0);
    return true;
}

static void reset(Cpu *cpu)
{
    cpu->pc = 0;
    cpu->mode = 0;
    select_regime((ToyCpu *)cpu);
}

static const CpuReg regs[] = {
    {"r0", SLOT(r[0]), 64, 0}, {"r1", SLOT(r[1]), 64, 1}, {"r2", SLOT(r[2]), 64, 2},
    {"r3", SLOT(r[3]), 64, 3}, {"r4", SLOT(r[4]), 64, 4}, {"r5", SLOT(r[5]), 64, 5},
};

static const GuestIsa toy_isa = {
    .name = "toy", .cpu_suffix = "toy-cpu", .page_bits = 12, .key_asid_mask = 0xffff,
    .slot_bias = SLOT(r[8]), .translate = translate, .translate_va = translate_va,
    .raise_fault = raise_fault, .raise_bus_error = raise_bus_error,
    .raise_unaligned = raise_unaligned, .interrupt = interrupt, .has_work = has_work, .reset = reset,
    .regs = regs, .n_regs = G_N_ELEMENTS(regs),
};
ISA(toy_isa);

static const DeviceType toy_type = {
    .name = "base-toy-cpu", .parent = "cpu", .size = sizeof(ToyCpu), .category = DEVICE_CPU,
};
DEVICE_TYPE(toy_type);

/* ---- machines ---- */

TestDevice *toy_machine(unsigned n, const char *const *props)
{
    TestDevice *t = test_machine();
    g_autoptr(GError) error = NULL;

    accel_start(t->vm, accel_find("tcg", &error), props, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < n; i++) {
        cpu_new(t->vm, isa_find("toy"), "base", i, &error);
        g_assert_no_error(error);
    }
    return t;
}

void toy_write(TestDevice *t, uint64_t pa, const uint32_t *code, unsigned n)
{
    g_assert_true(as_write(t->vm->memory, pa, code, n * 4));
}

void toy_run(TestDevice *t)
{
    vm_start(t->vm);
    for (unsigned i = 0; i < t->vm->n_cpus; i++) {
        Cpu *cpu = t->vm->cpus[i];
        while (!(__atomic_load_n(&cpu->halted, __ATOMIC_SEQ_CST) &&
                 __atomic_load_n(&cpu->state, __ATOMIC_SEQ_CST) == CPU_HALTED)) {
            g_usleep(50);
        }
    }
    vm_stop(t->vm, RUN_PAUSED);
}
