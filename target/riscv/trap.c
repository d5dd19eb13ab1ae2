/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions, interrupts and returns from them. Spec: RISC-V privileged manual, 3.1.6-3.1.9, 3.3. */
#include <inttypes.h>
#include "target/riscv/cpu.h"
#include "util/log.h"

/* ---- taking ---- */

static bool delegated(const RvCpu *rv, unsigned cause, bool interrupt)
{
    uint64_t mask = interrupt ? rv->mideleg : rv->medeleg;
    return rv->priv != RV_M && (mask >> cause & 1);
}

static uint64_t vector(uint64_t tvec, unsigned cause, bool interrupt)
{
    uint64_t base = tvec & ~3ull;
    return interrupt && (tvec & 1) ? base + 4 * cause : base;
}

static void enter_s(RvCpu *rv, uint64_t cause, uint64_t tval)
{
    rv->scause = cause;
    rv->sepc = rv->cpu.pc;
    rv->stval = tval;
    uint64_t s = rv->mstatus & ~(RV_SPP | RV_SPIE | RV_SIE);
    s |= rv->priv == RV_S ? RV_SPP : 0;
    s |= rv->mstatus & RV_SIE ? RV_SPIE : 0;
    rv->mstatus = s;
    rv->priv = RV_S;
}

static void enter_m(RvCpu *rv, uint64_t cause, uint64_t tval)
{
    rv->mcause = cause;
    rv->mepc = rv->cpu.pc;
    rv->mtval = tval;
    uint64_t s = rv->mstatus & ~(RV_MPP | RV_MPIE | RV_MIE);
    s |= (uint64_t)rv->priv << RV_MPP_SHIFT;
    s |= rv->mstatus & RV_MIE ? RV_MPIE : 0;
    rv->mstatus = s;
    rv->priv = RV_M;
}

void rv_take_trap(RvCpu *rv, unsigned cause, bool interrupt, uint64_t tval)
{
    uint64_t code = cause | (interrupt ? (rv->rv32 ? 1ull << 31 : 1ull << 63) : 0);
    bool to_s = delegated(rv, cause, interrupt);
    if (log_on(LOG_INT)) {
        log_write("riscv: hart %" PRIu64 ": %s %u at %" PRIx64 ", tval %" PRIx64 ", from %c to %c\n",
                  rv->hartid, interrupt ? "interrupt" : "exception", cause, rv->cpu.pc, tval,
                  "US?M"[rv->priv], to_s ? 'S' : 'M');
    }
    tval &= rv_xmask(rv);
    if (to_s)
        enter_s(rv, code, tval);
    else
        enter_m(rv, code, tval);
    rv->cpu.pc = vector(to_s ? rv->stvec : rv->mtvec, cause, interrupt);
    rv->res_addr = RV_NO_RESERVATION;
    rv_update_mode(rv);
}

void rv_raise(RvCpu *rv, unsigned cause, uint64_t tval)
{
    rv_take_trap(rv, cause, false, tval);
    cpu_exit(&rv->cpu);
}

/* ---- interrupts ---- */

uint32_t rv_pending(const RvCpu *rv)
{
    return rv->ip_soft | __atomic_load_n(&rv->ip_pins, __ATOMIC_SEQ_CST);
}

/* Those that may be taken at the current privilege. */
static uint32_t deliverable(const RvCpu *rv)
{
    uint32_t pending = rv_pending(rv) & rv->mie, ready = 0;
    if (!pending)
        return 0;
    if (rv->priv < RV_M || (rv->mstatus & RV_MIE))
        ready = pending & ~rv->mideleg;
    if (!ready && (rv->priv < RV_S || (rv->priv == RV_S && (rv->mstatus & RV_SIE))))
        ready = pending & rv->mideleg;
    return ready;
}

bool rv_interrupt(Cpu *cpu)
{
    static const uint8_t order[] = {RISCV_PIN_MEI, RISCV_PIN_MSI, RISCV_PIN_MTI,
                                    RISCV_PIN_SEI, RISCV_PIN_SSI, RISCV_PIN_STI};
    RvCpu *rv = (RvCpu *)cpu;
    cpu_unrequest(cpu, CPU_REQ_IRQ);
    uint32_t ready = deliverable(rv);
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        if (ready >> order[i] & 1) {
            rv_take_trap(rv, order[i], true, 0);
            return true;
        }
    }
    return false;
}

/* WFI ends when an interrupt enabled in mie is pending, whether or not it may be taken. */
bool rv_has_work(Cpu *cpu)
{
    RvCpu *rv = (RvCpu *)cpu;
    return rv_pending(rv) & rv->mie;
}

void rv_check_interrupts(RvCpu *rv)
{
    if (deliverable(rv))
        cpu_request(&rv->cpu, CPU_REQ_IRQ);
}

/* ---- instructions ---- */

static void illegal(Cpu *cpu, uint32_t raw) { rv_raise((RvCpu *)cpu, RV_X_ILLEGAL, raw); }
const IrHelper rv_h_illegal = {"illegal", illegal, IR_VOID, IR_H_ANY | IR_H_EXIT};

static void misaligned(Cpu *cpu, uint64_t target)
{
    rv_raise((RvCpu *)cpu, RV_X_FETCH_MISALIGNED, target);
}
const IrHelper rv_h_misaligned = {"misaligned", misaligned, IR_VOID, IR_H_ANY | IR_H_EXIT};

static void ecall(Cpu *cpu)
{
    RvCpu *rv = (RvCpu *)cpu;
    rv_raise(rv, RV_X_ECALL_U + rv->priv, 0);
}
const IrHelper rv_h_ecall = {"ecall", ecall, IR_VOID, IR_H_ANY | IR_H_EXIT};

static void ebreak(Cpu *cpu) { rv_raise((RvCpu *)cpu, RV_X_BREAKPOINT, 0); }
const IrHelper rv_h_ebreak = {"ebreak", ebreak, IR_VOID, IR_H_ANY | IR_H_EXIT};

static void leave_to(RvCpu *rv, unsigned priv)
{
    rv->priv = priv;
    if (priv != RV_M)
        rv->mstatus &= ~RV_MPRV;
    rv->res_addr = RV_NO_RESERVATION;
    rv_update_mode(rv);
    rv_check_interrupts(rv);
}

static uint64_t mret(Cpu *cpu, uint32_t raw)
{
    RvCpu *rv = (RvCpu *)cpu;
    if (rv->priv < RV_M)
        rv_raise(rv, RV_X_ILLEGAL, raw);
    unsigned to = (rv->mstatus & RV_MPP) >> RV_MPP_SHIFT;
    uint64_t s = rv->mstatus & ~(RV_MIE | RV_MPIE | RV_MPP);
    s |= rv->mstatus & RV_MPIE ? RV_MIE : 0;
    s |= RV_MPIE | (rv_has(rv, RV_F_u) ? 0 : RV_MPP);
    rv->mstatus = s;
    leave_to(rv, to);
    return rv->mepc;
}
const IrHelper rv_h_mret = {"mret", mret, IR_I64, IR_H_ANY};

static uint64_t sret(Cpu *cpu, uint32_t raw)
{
    RvCpu *rv = (RvCpu *)cpu;
    if (rv->priv < RV_S || (rv->priv == RV_S && (rv->mstatus & RV_TSR)))
        rv_raise(rv, RV_X_ILLEGAL, raw);
    unsigned to = rv->mstatus & RV_SPP ? RV_S : RV_U;
    uint64_t s = rv->mstatus & ~(RV_SIE | RV_SPIE | RV_SPP);
    s |= rv->mstatus & RV_SPIE ? RV_SIE : 0;
    rv->mstatus = s | RV_SPIE;
    leave_to(rv, to);
    return rv->sepc;
}
const IrHelper rv_h_sret = {"sret", sret, IR_I64, IR_H_ANY};

static void wfi(Cpu *cpu, uint32_t raw)
{
    RvCpu *rv = (RvCpu *)cpu;
    /* User mode may not wait where there is a supervisor; TW limits both. */
    bool limited = (rv->priv == RV_U && rv_has(rv, RV_F_s)) ||
                   (rv->priv < RV_M && (rv->mstatus & RV_TW));
    if (limited)
        rv_raise(rv, RV_X_ILLEGAL, raw);
    if (!rv_has_work(cpu))
        cpu_halt(cpu);
}
const IrHelper rv_h_wfi = {"wfi", wfi, IR_VOID, IR_H_ANY};

/* which: bit 0 va given, bit 1 asid given. */
static void sfence(Cpu *cpu, uint64_t va, uint64_t asid, uint32_t which, uint32_t raw)
{
    RvCpu *rv = (RvCpu *)cpu;
    if (rv->priv < RV_S || (rv->priv == RV_S && (rv->mstatus & RV_TVM)))
        rv_raise(rv, RV_X_ILLEGAL, raw);
    uint64_t mask = which & 2 ? 0xffff : 0;
    asid &= mask;
    if (which & 1)
        softmmu_flush_page(cpu, va, mask, asid);
    else if (which & 2)
        softmmu_flush_nonglobal(cpu, mask, asid);
    else
        softmmu_flush(cpu);
}
const IrHelper rv_h_sfence = {"sfence", sfence, IR_VOID, IR_H_ANY};
