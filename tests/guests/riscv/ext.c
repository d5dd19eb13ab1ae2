/* SPDX-License-Identifier: Apache-2.0 */
/* Extensions of the privileged architecture, protection in detail, what is misaligned; self-checking. */
#include "harness.h"

#define ALL_ONES ((reg)-1)

/* menvcfg and stimecmp have halves in RV32. */
static void set_menvcfg(uint64_t v)
{
    csr_write(0x30a, (reg)v);
    if (!RV64)
        __asm__ volatile("csrw 0x31a, %0" ::"r"((reg)(v >> 32)));
}
#define STCE (1ull << 63)
#define ADUE (1ull << 61)
enum { CBIE = 3 << 4, CBCFE = 1 << 6, CBZE = 1 << 7 };

static uint64_t now(void)
{
    return (uint64_t)MTIME[1] << 32 | MTIME[0];
}

static void set_stimecmp(uint64_t v)
{
    if (!RV64) {
        __asm__ volatile("csrw 0x15d, %0" ::"r"(ALL_ONES));
        csr_write(0x14d, (reg)v);
        __asm__ volatile("csrw 0x15d, %0" ::"r"((reg)(v >> 32)));
    } else {
        csr_write(0x14d, (reg)v);
    }
}

/* ---- accessed and dirty bits ---- */

static void accessed_dirty(void)
{
    make_tables(8);
    set_menvcfg(0);
    set_page(0, page[0], V | R | W);
    expect("A clear, load", S, load, WINDOW, 13);
    set_page(0, page[0], V | R | W | A);
    expect("A set, load", S, load, WINDOW, 0);
    expect("D clear, store", S, store, WINDOW, 15);
    check("nothing set them", tables[7][0] & (A | D), A);
    set_page(0, page[0], V | X);
    *(uint16_t *)page[0] = 0x8082;
    expect("A clear, fetch", S, jump, WINDOW, 12);
    set_page(0, page[0], V | R | W | A | D);
    expect("both set", S, store, WINDOW, 0);
    set_menvcfg(ADUE);
    *(uint16_t *)page[0] = 0x8082;
    set_page(0, page[0], V | X);
    expect("fetch sets A", S, jump, WINDOW, 0);
    check("A", tables[7][0] & (A | D), A);
    set_page(0, page[0], V | R);
    expect("refused store", S, store, WINDOW, 15);
    check("sets nothing", tables[7][0] & (A | D), 0);
    csr_write(satp, 0);
}

/* ---- wide address spaces ---- */

/* A leaf at the root covers the physical memory in the highest 1/512 of the address space. */
static void upper_half(unsigned mode)
{
    unsigned levels = mode - 5;
    make_tables(mode);
    *(uint32_t *)page[0] = 0x44444444;
    reg base = -((uint64_t)1 << (12 + 9 * (levels - 1))), pa = (reg)page[0];
    if (levels == 3) {
        tables[0][511] = pte((void *)0x80000000, RWX);
        pa -= 0x80000000;
    } else {
        tables[0][511] = pte(0, RWX);
    }
    __asm__ volatile("sfence.vma");
    check("upper half", run(S, load_word, base + pa), 0x44444444);
    unsigned bits = 12 + 9 * levels;
    expect("sign bit alone", S, load, ((uint64_t)1 << (bits - 1)) + pa, 13);
    if (bits < 57)
        expect("one bit missing", S, load, (base + pa) ^ (uint64_t)1 << bits, 13);
    expect("top bit missing", S, load, (base + pa) ^ (uint64_t)1 << 63, 13);
    tables[0][511] = pte((void *)0x1000, RWX);
    __asm__ volatile("sfence.vma");
    expect("misaligned leaf at the root", S, load, base + pa, 13);
    csr_write(satp, 0);
}

static void satp_modes(void)
{
#if __riscv_xlen == 64
    csr_write(satp, 7ul << 60);
    check("reserved mode of satp is not stored", csr_read(satp), 0);
    csr_write(satp, 9ul << 60);
    check("Sv48 is", csr_read(satp) >> 60, 9);
    csr_write(satp, 11ul << 60 | 1);
    check("a reserved mode changes nothing", csr_read(satp), 9ul << 60);
    csr_write(satp, 0);
#endif
}

/* ---- Sstc ---- */

static reg read_stimecmp(void) { return csr_read(0x14d); }
static void arm_soon(void) { set_stimecmp(now() + 2000); }

static void wait_in_s(void)
{
    csr_set(sstatus, 2);
    for (volatile int i = 0; i < 100000000; i++) {
    }
}

static void supervisor_timer(void)
{
    csr_write(mcounteren, ALL_ONES);
    set_menvcfg(0);
    forget();
    run(S, read_stimecmp, 0);
    check("stimecmp without STCE", seen.cause, 2);
    set_menvcfg(STCE);
    forget();
    run(S, read_stimecmp, 0);
    check("stimecmp", seen.cause, 0);
    csr_write(mcounteren, ~(reg)2);
    run(S, read_stimecmp, 0);
    check("stimecmp without TM", seen.cause, 2);
    csr_write(mcounteren, ALL_ONES);
    forget();
    run(U, read_stimecmp, 0);
    check("stimecmp from U", seen.cause, 2);

    set_stimecmp(0);
    check("STIP", csr_read(mip) & 0x20, 0x20);
    csr_clear(mip, 0x20);
    check("STIP is read-only", csr_read(mip) & 0x20, 0x20);
    set_stimecmp(~(uint64_t)0);
    check("STIP gone", csr_read(mip) & 0x20, 0);
    csr_write(stvec, trap_s);
    csr_write(mideleg, 0x20);
    csr_write(mie, 0x20);
    s_seen.cause = 0;
    arm_soon();
    run(S, wait_in_s, 0);
    check("timer interrupt in S", s_seen.cause, TOP_BIT | 5);
    set_stimecmp(~(uint64_t)0);
    csr_write(mie, 0);
    csr_write(mideleg, 0);
    csr_clear(mstatus, 2);
    set_menvcfg(0);
}

/* ---- cache blocks ---- */

/* cbo.inval, clean, flush, zero (a0) */
static void cbo_inval(reg at) { __asm__ volatile("mv a0, %0\n .4byte 0x0005200f" ::"r"(at) : "a0", "memory"); }
static void cbo_clean(reg at) { __asm__ volatile("mv a0, %0\n .4byte 0x0015200f" ::"r"(at) : "a0", "memory"); }
static void cbo_flush(reg at) { __asm__ volatile("mv a0, %0\n .4byte 0x0025200f" ::"r"(at) : "a0", "memory"); }
static void cbo_zero(reg at) { __asm__ volatile("mv a0, %0\n .4byte 0x0045200f" ::"r"(at) : "a0", "memory"); }

static void refused(const char *what, int mode, void (*fn)(reg), reg at, int is)
{
    forget();
    run(mode, fn, at);
    check(what, seen.cause, is ? 2 : 0);
}

static void cache_blocks(void)
{
    uint8_t *block = page[1] + 128;
    for (int i = 0; i < 4096; i++) {
        page[1][i] = 0xa5;
    }
    cbo_zero((reg)block + 13);
    unsigned zeros = 0;
    for (int i = 0; i < 4096; i++) {
        zeros += !page[1][i];
    }
    check("cbo.zero clears 64 bytes", zeros, 64);
    check("and these", block[0] | block[63], 0);
    cbo_clean((reg)block);
    cbo_flush((reg)block);
    cbo_inval((reg)block);
    check("others change nothing", block[-1] == 0xa5 && !block[0], 1);

    static const struct {
        void (*fn)(reg);
        unsigned bit;
    } kinds[] = {{cbo_inval, CBIE}, {cbo_clean, CBCFE}, {cbo_flush, CBCFE}, {cbo_zero, CBZE}};
    for (unsigned k = 0; k < 4; k++) {
        set_menvcfg(0);
        csr_write(0x10a, 0);
        refused("cbo in S, off", S, kinds[k].fn, (reg)block, 1);
        set_menvcfg(kinds[k].bit);
        refused("cbo in S, on", S, kinds[k].fn, (reg)block, 0);
        refused("cbo in U, off by S", U, kinds[k].fn, (reg)block, 1);
        csr_write(0x10a, kinds[k].bit);
        refused("cbo in U, on", U, kinds[k].fn, (reg)block, 0);
        set_menvcfg(0);
        refused("cbo in U, off by M", U, kinds[k].fn, (reg)block, 1);
    }
    set_menvcfg(CBIE | CBCFE | CBZE);
    make_tables(8);
    set_page(0, page[1], V | R | A | D);
    expect("cbo.zero of a read-only page", S, cbo_zero, WINDOW, 15);
    expect("cbo.clean of a read-only page", S, cbo_clean, WINDOW, 0);
    set_page(0, page[1], V | X | A);
    expect("cbo.flush of an execute-only page", S, cbo_flush, WINDOW, 15);
    expect("cbo.clean of no page", S, cbo_clean, WINDOW + 0x3000, 15);
    csr_write(satp, 0);
    set_menvcfg(0);
}

/* ---- protection ---- */

static uint8_t guarded[8192] __attribute__((aligned(8192)));
static void load_8(reg at)
{
#if __riscv_xlen == 64
    (void)*(volatile uint64_t *)at;
#else
    double v;
    __asm__ volatile("fld %0, 0(%1)" : "=f"(v) : "r"(at));
#endif
}

static void open_all(void)
{
    csr_write(pmpcfg0, 0);
    csr_write(pmpaddr3, ALL_ONES);
    csr_write(pmpcfg0, 0x1f000000);
}

static void protection(void)
{
    reg g = (reg)guarded;
    open_all();
    csr_write(pmpaddr0, (g + 64) >> 2);                     /* NA4 */
    csr_write(pmpcfg0, 0x1f000010);
    expect("NA4", S, load, g + 65, 5);
    expect("NA4 before", S, load, g + 63, 0);
    expect("NA4 behind", S, load, g + 68, 0);
    forget();
    run(S, load_8, g + 64);
    check("half of an access", seen.cause, 5);
    run(S, load_8, g + 56);
    forget();
    run(S, load_8, g + 56);
    check("the one before", seen.cause, 0);

    csr_write(pmpaddr0, g >> 2 | 0xf);                      /* NAPOT 128, read only, over the next */
    csr_write(pmpaddr1, g >> 2 | 0x1ff);                    /* 4 KiB, nothing */
    csr_write(pmpcfg0, 0x1f001819);
    expect("the lower number wins", S, load, g + 127, 0);
    expect("and forbids", S, store, g + 127, 7);
    expect("the next one", S, load, g + 128, 5);

    /* page tables that may not be read */
    make_tables(8);
    set_page(0, page[0], RWX);
    csr_write(pmpaddr0, (reg)tables[7] >> 2 | 0x1ff);
    csr_write(pmpcfg0, 0x1f000018);
    expect("load through a guarded table", S, load, WINDOW, 5);
    expect("store", S, store, WINDOW, 7);
    expect("fetch", S, jump, WINDOW, 1);
    csr_write(pmpcfg0, 0x1f000019);
    expect("table read-only", S, load, WINDOW, 0);
    set_menvcfg(ADUE);
    set_page(0, page[0], V | R | W);
    expect("but A cannot be set", S, load, WINDOW, 5);
    set_menvcfg(0);
    csr_write(satp, 0);
    open_all();

    csr_write(pmpcfg0, 0x1f000000 | 2 << 8);
    check("W without R is not stored", csr_read(pmpcfg0) >> 8 & 0xff, 0);
}

/* Last of all: these entries stay until reset. */
static void locks(void)
{
    reg g = (reg)guarded;
    csr_write(pmpaddr0, (g + 4096) >> 2);
    csr_write(pmpaddr1, (g + 4096 + 64) >> 2);
    csr_write(pmpcfg0, 0x1f008900);                         /* entry 1: TOR, read only, locked */
    expect("locked, load in M", M, load, g + 4096, 0);
    expect("locked, store in M", M, store, g + 4096, 7);
    csr_write(pmpcfg0, 0x1f000000);
    check("locked configuration", csr_read(pmpcfg0) >> 8 & 0xff, 0x89);
    csr_write(pmpaddr1, 0);
    check("locked address", csr_read(pmpaddr1), (g + 4096 + 64) >> 2);
    csr_write(pmpaddr0, 0);
    check("its lower bound", csr_read(pmpaddr0), (g + 4096) >> 2);
    expect("store behind it", M, store, g + 4096 + 64, 0);
}

/* ---- misaligned ---- */

static uint64_t bytes_at(const uint8_t *at, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        v |= (uint64_t)at[i] << 8 * i;
    }
    return v;
}

static void misaligned(void)
{
    static uint8_t room[8192] __attribute__((aligned(4096)));
    unsigned bad = 0;
    for (unsigned i = 0; i < sizeof(room); i++) {
        room[i] = i * 37 + 11;
    }
    for (unsigned at = 4096 - 16; at < 4096 + 8; at++) {
        uint8_t *p = room + at;
        bad += *(volatile uint16_t *)p != (uint16_t)bytes_at(p, 2);
        bad += *(volatile uint32_t *)p != (uint32_t)bytes_at(p, 4);
        bad += *(volatile uint64_t *)p != bytes_at(p, 8);
        double d;
        __asm__ volatile("fld %0, 0(%1)\n fsd %0, 0(%2)" : "=&f"(d) : "r"(p), "r"(room) : "memory");
        bad += *(uint64_t *)room != bytes_at(p, 8);
        *(volatile uint32_t *)p = 0x87654321;
        bad += bytes_at(p, 4) != 0x87654321;
    }
    check("misaligned loads and stores", bad, 0);

    forget();
    __asm__ volatile("sc.w zero, zero, (%0)" ::"r"((reg)room + 2) : "memory");
    check("misaligned sc", seen.cause, 6);
    check("its address", seen.tval, (reg)room + 2);
    for (unsigned off = 1; off < 4; off++) {
        forget();
        reg old = 1;
        __asm__ volatile("amoswap.w %0, %0, (%1)" : "+r"(old) : "r"((reg)room + off) : "memory");
        check("misaligned amoswap.w", seen.cause, 6);
    }
#if __riscv_xlen == 64
    for (unsigned off = 1; off < 8; off++) {
        forget();
        __asm__ volatile("amomaxu.d zero, zero, (%0)" ::"r"((reg)room + off) : "memory");
        check("misaligned amomaxu.d", seen.cause, 6);
        forget();
        __asm__ volatile("lr.d zero, (%0)" ::"r"((reg)room + off) : "memory");
        check("misaligned lr.d", seen.cause, 4);
    }
#endif
    /* in a page that cannot be written, alignment is looked at first or the page: either may be */
    make_tables(8);
    set_page(0, page[0], V | R | A | D);
    forget();
    __asm__ volatile("csrs mstatus, %0\n csrc mstatus, %1" ::"r"(1 << 17 | 1 << 11), "r"(2 << 11));
    __asm__ volatile("amoadd.w zero, zero, (%0)" ::"r"(WINDOW) : "memory");
    __asm__ volatile("csrc mstatus, %0" ::"r"(1 << 17));
    check("amo of a read-only page", seen.cause, 15);
    csr_write(satp, 0);
}

/* ---- floating-point state ---- */

static void fp_state(void)
{
    csr_clear(mstatus, 3 << 13);
    forget();
    __asm__ volatile("fadd.d fa0, fa0, fa0");
    check("FS off, fadd", seen.cause, 2);
    forget();
    csr_read(fflags);
    check("FS off, fflags", seen.cause, 2);
    csr_set(mstatus, 1 << 13);
    forget();
    __asm__ volatile("csrw fcsr, zero\n fmv.x.w t0, fa0" ::: "t0");
    csr_clear(mstatus, 2 << 13);
    csr_set(mstatus, 1 << 13);
    __asm__ volatile("fmv.x.w t0, fa0" ::: "t0");
    check("reading leaves FS", csr_read(mstatus) >> 13 & 3, 1);
    __asm__ volatile("fmv.w.x fa0, zero");
    check("writing makes it dirty", csr_read(mstatus) >> 13 & 3, 3);
    check("SD", csr_read(mstatus) & TOP_BIT, TOP_BIT);
    /* What a unit has computed is there when a later access of it traps. */
    uint64_t held = 0, low = 0;
    forget();
    __asm__ volatile("fcvt.d.w fa0, %2\n fcvt.d.w fa1, %2\n fadd.d fa0, fa0, fa1\n fcvt.s.w fa1, %2\n"
                     "lw zero, 0(%3)\n fsd fa0, 0(%0)\n fsd fa1, 0(%1)"
                     ::"r"(&held), "r"(&low), "r"(3l), "r"(0x60000000l) : "fa0", "fa1", "memory");
    check("a load trapped", seen.cause, 5);
    check("a double before it", held >> 32, 0x40180000);
    check("a single before it", low == 0xffffffff40400000, 1);

    csr_clear(mstatus, 2 << 13);
    __asm__ volatile("csrw fflags, zero");
    check("so do flags", csr_read(mstatus) >> 13 & 3, 3);

    forget();
    csr_write(frm, 5);
    __asm__ volatile("fadd.d fa0, fa0, fa0");           /* dynamic */
    check("invalid frm", seen.cause, 2);
    forget();
    __asm__ volatile("fadd.d fa0, fa0, fa0, rne\n fsgnj.d fa0, fa0, fa0\n feq.d t0, fa0, fa0" ::: "t0");
    check("which others do not mind", seen.cause, 0);
    csr_write(fcsr, 0);

    reg flags, old;
    __asm__ volatile("fcvt.d.w fa0, %1\n fcvt.d.w fa1, zero\n fdiv.d fa2, fa0, fa1\n csrr %0, fflags"
                     : "=r"(flags) : "r"(1l) : "fa0", "fa1", "fa2");
    check("division by zero", flags, 8);
    __asm__ volatile("fdiv.d fa2, fa1, fa1\n csrrw %0, fflags, %2\n feq.d t0, fa2, fa2\n csrr %1, fflags"
                     : "=&r"(old), "=&r"(flags) : "r"(3l) : "t0", "fa2");
    check("flags gather", old, 0x18);
    check("flags are replaced, quiet comparison", flags, 3);
    __asm__ volatile("csrr %0, fflags\n flt.d t0, fa2, fa2\n csrr %1, fflags\n csrw fflags, %0\n csrr %0, fcsr"
                     : "=&r"(old), "=&r"(flags)::"t0");
    check("comparison signals", flags, 0x13);
    check("saved and restored", old, 3);
    __asm__ volatile("csrrsi %0, fflags, 4\n csrrci %1, fflags, 1" : "=&r"(old), "=&r"(flags));
    check("csrrsi fflags", flags, 7);
    check("csrrci fflags", csr_read(fflags), 6);
    csr_write(fcsr, 0);
}

/* ---- a return from a trap ---- */

static void returns(void)
{
    csr_set(mstatus, 1 << 17);
    run(S, load, (reg)page);
    check("mret to S clears MPRV", csr_read(mstatus) >> 17 & 1, 0);
    csr_write(mepc, 3);
    check("mepc bit 0", csr_read(mepc), 2);
    csr_write(0x105, ALL_ONES);
    check("stvec mode", csr_read(stvec) & 2, 0);
}

int main(void)
{
    begin();
    accessed_dirty();
    if (RV64) {
        satp_modes();
        upper_half(8);
        upper_half(9);
        upper_half(10);
    }
    supervisor_timer();
    cache_blocks();
    protection();
    misaligned();
    fp_state();
    returns();
    locks();
    return verdict();
}
