/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and the target description, both from the architecture's table. */
#include <string.h>
#include "gdbstub/internal.h"

const CpuReg *gdb_reg(const GuestIsa *isa, unsigned number)
{
    for (unsigned i = 0; i < isa->n_regs; i++)
        if (isa->regs[i].gdb >= 0 && (unsigned)isa->regs[i].gdb == number)
            return &isa->regs[i];
    return NULL;
}

unsigned gdb_core_regs(const GuestIsa *isa)
{
    const CpuReg *first = gdb_reg(isa, 0), *r;
    unsigned n = 0;
    while (first && (r = gdb_reg(isa, n)) && !g_strcmp0(r->feature, first->feature))
        n++;
    return n;
}

/* Tables hold numbers in the host's order; some guests want the other one. */
static void to_guest_order(const GuestIsa *isa, uint8_t *buf, unsigned n)
{
    for (unsigned i = 0; isa->big_endian && i < n / 2; i++) {
        uint8_t swap = buf[i];
        buf[i] = buf[n - 1 - i];
        buf[n - 1 - i] = swap;
    }
}

typedef struct Access {
    const CpuReg *reg;
    uint8_t *buf;
    unsigned n;
    bool write;
} Access;

static void access_here(Cpu *cpu, void *data)
{
    Access *a = data;
    if (!a->write) {
        if (a->reg->read)
            a->reg->read(cpu, a->reg, a->buf);
        else
            memcpy(a->buf, (char *)cpu + a->reg->offset, a->n);
        return;
    }
    if (a->reg->write)
        a->reg->write(cpu, a->reg, a->buf);
    else
        memcpy((char *)cpu + a->reg->offset, a->buf, a->n);
    if (cpu->isa->state_restored)
        cpu->isa->state_restored(cpu);
}

static unsigned size_of(const CpuReg *r) { return (r->bits + 7) / 8; }

static bool usable(const CpuReg *r)
{
    return r && size_of(r) <= GDB_REG_MAX && (r->offset >= 0 || (r->read && r->write));
}

bool gdb_reg_read(Cpu *cpu, unsigned number, uint8_t *buf, unsigned *n)
{
    const CpuReg *r = gdb_reg(cpu->isa, number);
    if (!usable(r))
        return false;
    Access a = {r, buf, size_of(r), false};
    memset(buf, 0, GDB_REG_MAX);
    cpu_run_on(cpu, access_here, &a);
    to_guest_order(cpu->isa, buf, a.n);
    *n = a.n;
    return true;
}

bool gdb_reg_write(Cpu *cpu, unsigned number, const uint8_t *buf, unsigned *n)
{
    const CpuReg *r = gdb_reg(cpu->isa, number);
    uint8_t copy[GDB_REG_MAX] = {0};
    if (!usable(r) || *n < size_of(r))
        return false;
    Access a = {r, copy, size_of(r), true};
    memcpy(copy, buf, a.n);
    to_guest_order(cpu->isa, copy, a.n);
    cpu_run_on(cpu, access_here, &a);
    *n = a.n;
    return true;
}

/* ---- target.xml ---- */

/* Types that gdb does not know by itself. */
static const struct {
    const char *name, *xml;
} types[] = {
    {"vec128",
     "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
     "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
     "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
     "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
     "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
     "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
     "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
     "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
     "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
     "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>"},
    {"i386_eflags",
     "<flags id=\"i386_eflags\" size=\"4\">"
     "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
     "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
     "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
     "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
     "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
     "<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
     "<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
     "<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>"
     "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>"},
};

static bool seen_before(const GuestIsa *isa, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (isa->regs[k].gdb >= 0 && !g_strcmp0(isa->regs[k].feature, isa->regs[i].feature))
            return true;
    return false;
}

static void add_types(GString *xml, const GuestIsa *isa, const char *feature)
{
    for (unsigned t = 0; t < G_N_ELEMENTS(types); t++)
        for (unsigned i = 0; i < isa->n_regs; i++)
            if (!g_strcmp0(isa->regs[i].feature, feature) &&
                !g_strcmp0(isa->regs[i].gdb_type, types[t].name)) {
                g_string_append(xml, types[t].xml);
                break;
            }
}

static void add_feature(GString *xml, const GuestIsa *isa, const char *feature)
{
    g_string_append_printf(xml, "<feature name=\"%s\">", feature);
    add_types(xml, isa, feature);
    for (unsigned i = 0; i < isa->n_regs; i++) {
        const CpuReg *r = &isa->regs[i];
        if (r->gdb >= 0 && usable(r) && !g_strcmp0(r->feature, feature))
            g_string_append_printf(xml, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%d\"/>",
                                   r->name, (r->bits + 7u) & ~7u, r->gdb_type ? r->gdb_type : "int",
                                   r->gdb);
    }
    g_string_append(xml, "</feature>");
}

char *gdb_target_xml(const GuestIsa *isa)
{
    GString *xml = g_string_new("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
                                "<target>");
    if (isa->gdb_arch)
        g_string_append_printf(xml, "<architecture>%s</architecture>", isa->gdb_arch);
    for (unsigned i = 0; i < isa->n_regs; i++)
        if (isa->regs[i].gdb >= 0 && isa->regs[i].feature && !seen_before(isa, i))
            add_feature(xml, isa, isa->regs[i].feature);
    g_string_append(xml, "</target>");
    return g_string_free(xml, FALSE);
}
