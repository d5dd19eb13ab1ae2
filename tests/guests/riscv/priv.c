/* SPDX-License-Identifier: Apache-2.0 */
/* Privilege levels, traps, interrupts, protection and translation of a RISC-V hart, self-checking. */
#include "harness.h"

/* ---- traps ---- */

static void do_ecall(void) { __asm__ volatile("li a7, 1\n ecall" ::: "a7"); }
static void do_illegal(void) { __asm__ volatile(".4byte 0x0000707b"); }
static void do_ebreak(void) { __asm__ volatile(".option push\n.option norvc\nebreak\n.option pop"); }
static void read_mstatus(void) { csr_read(mstatus); }
static void read_sstatus(void) { csr_read(sstatus); }
static reg read_cycle(void) { return csr_read(cycle); }

static void traps(void)
{
    forget();
    do_ecall();
    check("ecall from M", seen.cause, 11);
    run(S, do_ecall, 0);
    check("ecall from S", seen.cause, 9);
    check("MPP after S", seen.status >> 11 & 3, S);
    run(U, do_ecall, 0);
    check("ecall from U", seen.cause, 8);
    check("MPP after U", seen.status >> 11 & 3, U);
    do_illegal();
    check("illegal", seen.cause, 2);
    check("illegal tval", seen.tval, 0x707b);
    do_ebreak();
    check("ebreak", seen.cause, 3);
    check("ebreak tval", seen.tval, 0);
    forget();
    run(S, read_mstatus, 0);
    check("M CSR from S", seen.cause, 2);
    forget();
    run(U, read_sstatus, 0);
    check("S CSR from U", seen.cause, 2);
    forget();
    __asm__ volatile(".4byte 0xc0001073");      /* csrw cycle, x0 */
    check("write of a read-only CSR", seen.cause, 2);
    forget();
    __asm__ volatile("csrrs zero, mhartid, zero");
    check("csrrs x0 does not write", seen.cause, 0);
    csr_set(mstatus, 3 << 11);
    csr_clear(mstatus, 1 << 11);
    check("MPP 2 is not stored", csr_read(mstatus) >> 11 & 3, M);
    csr_write(mcounteren, 0);
    forget();
    run(S, read_cycle, 0);
    check("cycle without mcounteren", seen.cause, 2);
    csr_write(mcounteren, -1);
    csr_write(scounteren, 0);
    forget();
    run(S, read_cycle, 0);
    check("cycle from S", seen.cause, 0);
    run(U, read_cycle, 0);
    check("cycle without scounteren", seen.cause, 2);
    csr_write(scounteren, -1);
}

static void delegation(void)
{
    csr_write(stvec, trap_s);
    csr_write(medeleg, 1 << 8 | 1 << 2 | 1 << 3);
    skip_lower = 0;
    s_seen.cause = 99;
    run(U, do_illegal, 0);
    check("delegated illegal", s_seen.cause, 2);
    check("delegated stval", s_seen.tval, 0x707b);
    check("SPP", s_seen.status >> 8 & 1, 0);
    run(S, do_ebreak, 0);
    check("delegated ebreak", s_seen.cause, 3);
    check("SPP from S", s_seen.status >> 8 & 1, 1);
    forget();
    do_illegal();
    check("M is not delegated", seen.cause, 2);
    csr_write(medeleg, 0);
}

static void do_sret(void) { __asm__ volatile("sret"); }
static void do_satp(void) { csr_write(satp, 0); }
static void do_sfence(void) { __asm__ volatile("sfence.vma"); }
static void do_wfi(void) { __asm__ volatile("wfi"); }

static void traps_of_s(void)
{
    csr_set(mstatus, 1 << 20 | 1 << 22 | 1 << 21);      /* TVM, TSR, TW */
    forget();
    run(S, do_satp, 0);
    check("TVM satp", seen.cause, 2);
    forget();
    run(S, do_sfence, 0);
    check("TVM sfence.vma", seen.cause, 2);
    forget();
    run(S, do_sret, 0);
    check("TSR sret", seen.cause, 2);
    forget();
    run(S, do_wfi, 0);
    check("TW wfi", seen.cause, 2);
    csr_clear(mstatus, 1 << 20 | 1 << 22 | 1 << 21);
    forget();
    run(S, do_sfence, 0);
    check("sfence.vma", seen.cause, 0);
}

/* ---- interrupts ---- */

static void spin(void)
{
    for (volatile int i = 0; i < 200000; i++) {
    }
}

static void interrupts(void)
{
    forget();
    MSIP0 = 1;
    check("MSIP pending", csr_read(mip) & 8, 8);
    csr_set(mie, 8);
    __asm__ volatile("wfi");                    /* wakes though MIE is off */
    check("no interrupt with MIE off", seen.count, 0);
    csr_set(mstatus, 8);
    check("software interrupt", seen.cause, TOP_BIT | 3);
    check("once", seen.count, 1);
    csr_clear(mstatus, 8);
    MSIP0 = 0;
    check("MSIP gone", csr_read(mip) & 8, 0);

    forget();
    csr_write(mtvec, (reg)vectors | 1);
    MTIMECMP[1] = MTIME[1];
    MTIMECMP[0] = MTIME[0] + 1000;
    csr_set(mie, 0x80);
    csr_set(mstatus, 8);
    while (!seen.count) {
        __asm__ volatile("wfi");
    }
    check("timer interrupt", seen.cause, TOP_BIT | 7);
    csr_clear(mstatus, 8);
    MTIMECMP[1] = -1;
    csr_write(mtvec, trap_m);

    csr_write(mideleg, 2);
    csr_set(mie, 2);
    csr_set(mip, 2);
    forget();
    s_seen.cause = 0;
    csr_clear(mstatus, 2);
    run(S, spin, 0);
    check("SIE off", s_seen.cause, 0);
    run(U, spin, 0);
    check("S interrupt in U", s_seen.cause, TOP_BIT | 1);
    csr_set(mstatus, 1 << 5);
    csr_set(mstatus, 2);
    s_seen.cause = 0;
    run(S, spin, 0);
    check("S interrupt in S", s_seen.cause, TOP_BIT | 1);
    csr_clear(mip, 2);
    csr_write(mideleg, 0);
    csr_write(mie, 0);
}

/* ---- protection ---- */

static uint8_t guarded[8192] __attribute__((aligned(8192)));

static void protection(void)
{
    reg g = (reg)guarded;
    *(uint16_t *)guarded = 0x8082;              /* c.jr ra */
    *(uint16_t *)(guarded + 4096) = 0x8082;
    __asm__ volatile("fence.i");
    csr_write(pmpcfg0, 0);
    csr_write(pmpaddr0, g >> 2 | 0x1ff);        /* NAPOT, 4 KiB */
    csr_write(pmpaddr1, -1);
    csr_write(pmpcfg0, 0x1f00 | 0x18);          /* nothing there; all elsewhere */
    expect("PMP load", S, load, g, 5);
    expect("PMP store", U, store, g + 4095, 7);
    expect("PMP fetch", S, jump, g, 1);
    expect("PMP behind", S, load, g + 4096, 0);
    expect("PMP in M", M, load, g, 0);
    csr_write(pmpcfg0, 0x1f00 | 0x19);
    expect("PMP read-only load", S, load, g, 0);
    expect("PMP read-only store", S, store, g, 7);
    csr_write(pmpcfg0, 0x1f00 | 0x1c);
    expect("PMP execute-only fetch", S, jump, g, 0);
    expect("PMP execute-only load", S, load, g, 5);

    csr_write(pmpaddr0, (g + 16) >> 2);
    csr_write(pmpaddr1, (g + 32) >> 2);
    csr_write(pmpaddr2, -1);
    csr_write(pmpcfg0, 0x1f080f);               /* TOR: rwx to g+16, then nothing to g+32 */
    expect("PMP TOR below", S, load, g + 15, 0);
    expect("PMP TOR first", S, load, g + 16, 5);
    expect("PMP TOR last", S, store, g + 31, 7);
    expect("PMP TOR behind", S, load, g + 32, 0);

    /* M through MPRV */
    csr_set(mstatus, 1 << 17);
    csr_clear(mstatus, 3 << 11);
    forget();
    load(g + 20);
    check("MPRV load", seen.cause, 5);
    csr_clear(mstatus, 1 << 17);
    forget();
    load(g + 20);
    check("without MPRV", seen.cause, 0);
    csr_write(pmpcfg0, 0);
    csr_write(pmpaddr0, 0);
    csr_write(pmpaddr1, 0);
    csr_write(pmpaddr2, 0);
    forget();
    run(S, load, g);
    check("PMP without entries", seen.cause, 1);        /* not even the code is there */
    check("its tval", seen.tval, (reg)load);
    all_memory();
}


/* ---- translation ---- */

static void translation(unsigned mode)
{
    csr_write(satp, 0);
    make_tables(mode);
    *(uint32_t *)page[0] = 0x11111111;
    *(uint32_t *)page[1] = 0x22222222;
    *(uint16_t *)(page[0] + 8) = 0x8082;
    set_page(0, page[0], RWX);
    set_page(1, page[1], RWX | USER);
    check("4 KiB page", run(S, load_word, WINDOW), 0x11111111);
    check("M is not translated", *(uint32_t *)page[0], 0x11111111);
    set_page(0, page[1], RWX);
    check("remapped", run(S, load_word, WINDOW), 0x22222222);
    set_page(0, page[0], RWX);
    expect("unmapped load", S, load, WINDOW + 0x2000, 13);
    expect("unmapped store", S, store, WINDOW + 0x2000, 15);
    expect("unmapped fetch", S, jump, WINDOW + 0x2000, 12);
    expect("user page from S", S, load, WINDOW + 0x1000, 13);
    csr_set(mstatus, 1 << 18);
    expect("user page with SUM", S, load, WINDOW + 0x1000, 0);
    expect("user page fetch with SUM", S, jump, WINDOW + 0x1000, 12);
    csr_clear(mstatus, 1 << 18);
    set_page(2, page[2], V | R | A | D);
    expect("read-only load", S, load, WINDOW + 0x2000, 0);
    expect("read-only store", S, store, WINDOW + 0x2000, 15);
    expect("read-only fetch", S, jump, WINDOW + 0x2000, 12);
    set_page(2, page[0], V | X | A | D);
    expect("execute-only fetch", S, jump, WINDOW + 0x2008, 0);
    expect("execute-only load", S, load, WINDOW + 0x2008, 13);
    csr_set(mstatus, 1 << 19);
    expect("execute-only load with MXR", S, load, WINDOW + 0x2008, 0);
    csr_clear(mstatus, 1 << 19);
    set_page(2, page[2], V | W | A | D);
    expect("write without read", S, store, WINDOW + 0x2000, 15);

    reg large = WINDOW + (RV64 ? 0x200000 : 0x400000);
    check("large page", run(S, load_word, large),
          *(uint32_t *)(RV64 ? 0x80200000 : 0x80400000));
    expect("misaligned large page", S, load, WINDOW + (RV64 ? 0x400000 : 0x800000), 13);
    if (RV64)
        expect("not canonical", S, load, (reg)((uint64_t)1 << 57) | WINDOW, 13);

    /* across two pages that are not neighbours in memory */
    *(uint16_t *)(page[3] + 4094) = 0x5678;
    *(uint16_t *)page[1] = 0x1234;
    set_page(3, page[3], RWX);
    set_page(4, page[1], RWX);
    check("load across pages", run(S, load_word, WINDOW + 0x3ffe), 0x12345678);
    set_page(4, page[1], 0);
    forget();
    run(S, load_word, WINDOW + 0x3ffe);
    check("fault of the second half", seen.cause, 13);
    check("its address", seen.tval, WINDOW + 0x4000);
    /* an instruction across two pages, of which the second is missing */
    *(uint16_t *)(page[3] + 4094) = 0x0013;
    __asm__ volatile("fence.i");
    forget();
    run(S, jump, WINDOW + 0x3ffe);
    check("fetch of the second half", seen.cause, 12);
    check("its tval", seen.tval, WINDOW + 0x4000);
    check("its epc", seen.epc, WINDOW + 0x3ffe);

    /* accessed and dirty */
    if (RV64)
        csr_write(0x30a, csr_read(0x30a) | (reg)((uint64_t)1 << 61));
    set_page(2, page[2], V | R | W);
    run(S, load, WINDOW + 0x2000);
    check("A is set", tables[7][2] & (A | D), A);
    run(S, store, WINDOW + 0x2000);
    check("D is set", tables[7][2] & (A | D), A | D);

    /* MPRV */
    csr_set(mstatus, 1 << 17 | 1 << 11);
    csr_clear(mstatus, 2 << 11);
    reg v = load_word(WINDOW);
    csr_clear(mstatus, 1 << 17);
    check("MPRV translates", v, 0x11111111);
    csr_write(satp, 0);
}

/* Two address spaces that are told apart by ASID only; a global page is in both. */
static void address_spaces(void)
{
    make_tables(8);
    reg shift = RV64 ? 44 : 22, one = csr_read(satp) | (reg)1 << shift, two = csr_read(satp) | (reg)2 << shift;
    set_page(0, page[0], RWX);
    csr_write(satp, one);
    __asm__ volatile("sfence.vma");
    check("ASID 1", run(S, load_word, WINDOW), 0x11111111);
    csr_write(satp, two);
    tables[7][0] = pte(page[2], RWX);
    *(uint32_t *)page[2] = 0x33333333;
    __asm__ volatile("sfence.vma zero, %0" ::"r"(2l));
    check("ASID 2", run(S, load_word, WINDOW), 0x33333333);
    csr_write(satp, one);
    __asm__ volatile("sfence.vma %0, %1" ::"r"(WINDOW), "r"(1l));
    check("ASID 1 after its fence", run(S, load_word, WINDOW), 0x33333333);
    csr_write(satp, 0);
}

/* ---- reservations ---- */

static long lr_sc(volatile uint32_t *at, volatile uint32_t *to)
{
    long v, fail;
    __asm__ volatile("lr.w %0, (%2)\n sc.w %1, %4, (%3)"
                     : "=&r"(v), "=&r"(fail)
                     : "r"(at), "r"(to), "r"(7l)
                     : "memory");
    return fail;
}

static void reservations(void)
{
    static volatile uint32_t cell[32];
    check("sc after lr", lr_sc(cell, cell), 0);
    check("sc elsewhere", lr_sc(cell, cell + 16), 1);
    long fail;
    __asm__ volatile("sc.w %0, zero, (%1)" : "=r"(fail) : "r"(cell) : "memory");
    check("sc without lr", fail, 1);
    forget();
    __asm__ volatile("lr.w zero, (%0)" ::"r"((reg)cell + 2) : "memory");
    check("misaligned lr", seen.cause, 4);
    forget();
    __asm__ volatile("amoadd.w zero, zero, (%0)" ::"r"((reg)cell + 1) : "memory");
    check("misaligned amo", seen.cause, 6);
}

int main(void)
{
    begin();
    traps();
    delegation();
    traps_of_s();
    interrupts();
    protection();
    translation(8);
    if (RV64) {
        translation(9);
        translation(10);
    }
    address_spaces();
    reservations();
    return verdict();
}
