/* SPDX-License-Identifier: Apache-2.0 */
/*
 * info mem and info tlb: the page tables of the current CPU, read from guest memory. Guests may make tables without
 * end (a table that is its own entry), so a walk stops after so many entries.
 * Intel SDM vol. 3A, chapter 4; RISC-V privileged manual, 4.3-4.6.
 */
#include <string.h>

#include "control/hmp/hmp-internal.h"
#include "util/error.h"

enum { ENTRIES_MAX = 1 << 22, LINES_MAX = 1 << 16, PAGE_BITS = 12 };
enum { X86_P = 1, X86_W = 2, X86_U = 4, X86_PS = 128 };
enum { RV_V = 1, RV_R = 2, RV_W = 4, RV_X = 8, RV_U = 16, RV_G = 32, RV_A = 64, RV_D = 128 };
#define X86_NX (1ull << 63)
#define X86_ADDRESS 0x000ffffffffff000ull

typedef struct Walk Walk;
struct Walk {
    Hmp *hmp;
    bool riscv;
    unsigned levels, bits, entry_bytes;     /* of an index */
    bool big_pages;             /* x86: PS counts in the lower levels */
    uint64_t root, sign;        /* bit from which addresses are extended; 0: not */
    unsigned entries, lines;
    void (*page)(Walk *w, uint64_t va, uint64_t pa, unsigned page_bits, uint64_t entry, uint64_t rights);
    /* info mem: the range that grows. */
    uint64_t start, end, pa, attributes;
    bool open;
};

static bool full(const Walk *w) { return w->entries >= ENTRIES_MAX || w->lines >= LINES_MAX; }

static uint64_t canonical(const Walk *w, uint64_t va)
{
    return w->sign && va & w->sign ? va | ~(w->sign * 2 - 1) : va;
}

/* level: 1 is the one of pages. */
static bool is_leaf(const Walk *w, unsigned level, uint64_t e)
{
    if (w->riscv)
        return e & (RV_R | RV_W | RV_X);
    return level == 1 || (level <= 3 && !(w->levels == 3 && level == 3) && w->big_pages && e & X86_PS);
}

static uint64_t address(const Walk *w, unsigned page_bits, uint64_t e)
{
    if (w->riscv)
        return (w->entry_bytes == 4 ? e >> 10 : e >> 10 & ((1ull << 44) - 1)) << PAGE_BITS;
    if (w->entry_bytes == 4 && page_bits > PAGE_BITS)
        return (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
    return e & X86_ADDRESS & ~((1ull << page_bits) - 1);
}

static void table(Walk *w, uint64_t at, unsigned level, unsigned first_bits, uint64_t va, uint64_t rights)
{
    unsigned page_bits = PAGE_BITS + w->bits * (level - 1);

    for (unsigned i = 0; i < 1u << first_bits && !full(w); i++) {
        uint64_t e = 0, here = va | (uint64_t)i << page_bits;
        w->entries++;
        if (!as_load(w->hmp->vm->memory, at + (uint64_t)i * w->entry_bytes, w->entry_bytes, &e) || !(e & 1))
            continue;
        /* The entries of PAE's top say nothing of rights. */
        bool plain = w->riscv || (w->levels == 3 && level == 3);
        uint64_t mine = w->riscv ? e : plain ? rights : rights & (e | X86_P);
        if (is_leaf(w, level, e))
            w->page(w, canonical(w, here), address(w, page_bits, e), page_bits, e, mine);
        else if (level > 1)
            table(w, address(w, PAGE_BITS, e), level - 1, w->bits, here, mine);
    }
}

/* ---- what is printed ---- */

static void tlb_line(Walk *w, uint64_t va, uint64_t pa, unsigned page_bits, uint64_t e, uint64_t rights)
{
    static const struct { unsigned bit; char letter; } flags[] = {
        {63, 'X'}, {8, 'G'}, {7, 'P'}, {6, 'D'}, {5, 'A'}, {4, 'C'}, {3, 'T'}, {2, 'U'}, {1, 'W'},
    };
    char text[G_N_ELEMENTS(flags) + 1] = "";

    /* Bit 7 of a page of 4 KiB is no size. */
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
        text[i] = e >> flags[i].bit & 1 && (flags[i].bit != 7 || page_bits > PAGE_BITS) ? flags[i].letter : '-';
    hmp_print(w->hmp, "%016" G_GINT64_MODIFIER "x: %016" G_GINT64_MODIFIER "x %s\n", va, pa, text);
    w->lines++;
}

static void print_range(Walk *w)
{
    static const char letters[] = "rwxugad";
    char text[sizeof(letters)];

    if (!w->open)
        return;
    w->lines++;
    w->open = false;
    if (!w->riscv) {
        hmp_print(w->hmp, "%016" G_GINT64_MODIFIER "x-%016" G_GINT64_MODIFIER "x %016" G_GINT64_MODIFIER "x %cr%c\n",
                  w->start, w->end, w->end - w->start, w->attributes & X86_U ? 'u' : '-',
                  w->attributes & X86_W ? 'w' : '-');
        return;
    }
    for (unsigned i = 0; i < sizeof(letters) - 1; i++)
        text[i] = w->attributes >> (i + 1) & 1 ? letters[i] : '-';
    text[sizeof(letters) - 1] = 0;
    hmp_print(w->hmp, w->entry_bytes == 4 ? "%08" G_GINT64_MODIFIER "x %016" G_GINT64_MODIFIER "x %08"
                                            G_GINT64_MODIFIER "x %s\n"
                                          : "%016" G_GINT64_MODIFIER "x %016" G_GINT64_MODIFIER "x %016"
                                            G_GINT64_MODIFIER "x %s\n",
              w->start, w->pa, w->end - w->start, text);
}

/* Pages that follow each other with equal rights are one range; on RISC-V their memory follows, too. */
static void range_page(Walk *w, uint64_t va, uint64_t pa, unsigned page_bits, uint64_t e, uint64_t rights)
{
    uint64_t attributes = w->riscv ? e & 0xfe : rights & (X86_U | X86_W);

    if (!w->open || va != w->end || attributes != w->attributes || (w->riscv && pa != w->pa + (va - w->start))) {
        print_range(w);
        w->start = va;
        w->pa = pa;
        w->attributes = attributes;
        w->open = true;
    }
    w->end = va + (1ull << page_bits);
}

/* ---- the CPU's tables ---- */

static uint64_t reg(Hmp *hmp, const char *name)
{
    g_autofree char *text = g_strdup_printf("$%s", name);
    const char *p = text;
    int64_t value = 0;

    return hmp_expression(hmp, &p, &value, NULL) ? (uint64_t)value : 0;
}

static bool x86_scheme(Walk *w)
{
    enum { PG = 1u << 31, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5, CR4_LA57 = 1 << 12, EFER_LMA = 1 << 10 };
    uint64_t cr3 = reg(w->hmp, "cr3"), cr4 = reg(w->hmp, "cr4");

    if (!(reg(w->hmp, "cr0") & PG))
        return false;
    w->bits = 9;
    w->entry_bytes = 8;
    w->big_pages = true;
    w->root = cr3 & X86_ADDRESS;
    if (reg(w->hmp, "efer") & EFER_LMA) {
        w->levels = cr4 & CR4_LA57 ? 5 : 4;
        w->sign = cr4 & CR4_LA57 ? 1ull << 56 : 1ull << 47;
    } else if (cr4 & CR4_PAE) {
        w->levels = 3;
        w->root = cr3 & 0xffffffe0;
    } else {
        w->levels = 2;
        w->bits = 10;
        w->entry_bytes = 4;
        w->big_pages = cr4 & CR4_PSE;
    }
    return true;
}

static bool riscv_scheme(Walk *w, bool wide)
{
    uint64_t satp = reg(w->hmp, "satp");

    w->riscv = true;
    w->bits = wide ? 9 : 10;
    w->entry_bytes = wide ? 8 : 4;
    w->levels = wide ? (satp >> 60) - 8 + 3 : 2;
    w->root = (wide ? satp & ((1ull << 44) - 1) : satp & 0x3fffff) << PAGE_BITS;
    w->sign = wide ? 1ull << (PAGE_BITS + w->levels * w->bits - 1) : 0;
    return wide ? satp >> 60 >= 8 && satp >> 60 <= 10 : satp >> 31 & 1;
}

static bool show(Hmp *hmp, bool ranges, GError **error)
{
    Cpu *cpu = hmp_cpu(hmp, error);
    Walk w = {.hmp = hmp, .page = ranges ? range_page : tlb_line};

    if (!cpu)
        return false;
    bool riscv = g_str_has_prefix(cpu->isa->name, "riscv"), wide = !strcmp(cpu->isa->name, "riscv64");
    if (riscv && !ranges)
        return error_set(error, "there is no list of the TLB for %s; 'info mem' shows its page tables", cpu->isa->name);
    if (!(riscv ? riscv_scheme(&w, wide) : x86_scheme(&w))) {
        hmp_print(hmp, riscv ? "No translation or protection\n" : "PG disabled\n");
        return true;
    }
    if (riscv) {
        int width = wide ? 16 : 8;
        hmp_print(hmp, "%-*s paddr            %-*s attr\n%.*s ---------------- %.*s -------\n", width, "vaddr", width,
                  "size", width, "----------------", width, "----------------");
    }
    /* The table of PAE's top has four entries. */
    unsigned first = !riscv && w.levels == 3 ? 2 : w.bits;
    table(&w, w.root, w.levels, first, 0, ~0ull);
    print_range(&w);
    if (full(&w))
        hmp_print(hmp, "(and more)\n");
    return true;
}

static bool run_mem(Hmp *hmp, const Json *args, GError **error) { return show(hmp, true, error); }
static bool run_tlb(Hmp *hmp, const Json *args, GError **error) { return show(hmp, false, error); }

static const HmpCommand items[] = {
    { "info mem", "", "", "show the active virtual memory mappings", .run = run_mem },
    { "info tlb", "", "", "show virtual to physical memory mappings", .run = run_tlb },
};
HMP_COMMANDS(items);
