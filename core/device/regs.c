/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tables: dispatch of accesses by one index, whatever size they have.
 *
 * A class holds, per granule of its window, the row that answers reads and the one that answers
 * writes (two rows may share an address: one RO, one WO). An access of the register's own size goes
 * straight to it; a narrower one is put into or cut out of the whole; a wider one goes piecewise.
 */
#include <inttypes.h>
#include <string.h>

#include "core/device-internal.h"
#include "util/log.h"

static unsigned width_of(const Reg *r)
{
    return r->width ? r->width : 4;
}

static unsigned count_of(const Reg *r)
{
    return r->count ? r->count : 1;
}

static uint32_t stride_of(const Reg *r)
{
    return r->stride ? r->stride : width_of(r);
}

/* ---- the index ---- */

static bool answers(const Reg *r, bool write)
{
    return write ? r->kind != RO && r->kind != RC : r->kind != WO;
}

static void put(DeviceClass *c, unsigned n, bool write, bool proper)
{
    const Reg *r = c->regs[n];
    uint16_t *index = write ? c->write_index : c->read_index;

    for (unsigned e = 0; e < count_of(r); e++) {
        uint64_t first = (r->at + (uint64_t)e * stride_of(r)) >> c->granule_bits;
        uint64_t n_granules = MAX(width_of(r) >> c->granule_bits, 1);
        for (uint64_t i = first; i < first + n_granules && i < c->index_size; i++) {
            if (proper || index[i] == NO_REG) {
                index[i] = (uint16_t)n;
            }
        }
    }
}

void device_class_index(DeviceClass *c)
{
    uint64_t bits = 8, end = 0;

    if (c->n_regs == 0) {
        return;
    }
    for (unsigned n = 0; n < c->n_regs; n++) {
        const Reg *r = c->regs[n];
        bits |= r->at | width_of(r) | (count_of(r) > 1 ? stride_of(r) : 0);
        end = MAX(end, r->at + (uint64_t)(count_of(r) - 1) * stride_of(r) + width_of(r));
    }
    c->granule_bits = (unsigned)__builtin_ctzll(bits);
    c->index_size = end >> c->granule_bits;
    c->read_index = g_new(uint16_t, c->index_size);
    c->write_index = g_new(uint16_t, c->index_size);
    memset(c->read_index, 0xff, c->index_size * sizeof(uint16_t));
    memset(c->write_index, 0xff, c->index_size * sizeof(uint16_t));
    /* A row that does not answer the access stands in for it (to be logged) if no other does. */
    for (unsigned proper = 0; proper < 2; proper++) {
        for (unsigned n = c->n_regs; n-- > 0;) {
            for (unsigned write = 0; write < 2; write++) {
                if (answers(c->regs[n], write) == proper) {
                    put(c, n, write, proper);
                }
            }
        }
    }
}

static const Reg *reg_at(const DeviceClass *c, uint64_t at, bool write)
{
    uint64_t i = at >> c->granule_bits;
    uint16_t n = i < c->index_size ? (write ? c->write_index : c->read_index)[i] : NO_REG;

    return n == NO_REG ? NULL : c->regs[n];
}

const Reg *device_reg_at(Device *d, uint64_t at, bool write, unsigned *element)
{
    const Reg *r = reg_at(d->cls, at, write);

    if (r && element) {
        *element = (unsigned)((at - r->at) / stride_of(r));
    }
    return r;
}

const Reg *device_reg_find(Device *d, const char *name)
{
    for (unsigned n = 0; n < d->cls->n_regs; n++) {
        if (strcmp(d->cls->regs[n]->name, name) == 0) {
            return d->cls->regs[n];
        }
    }
    return NULL;
}

/* ---- whole registers ---- */

static uint64_t mask_of(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
}

static uint64_t member(Device *d, const Reg *r, unsigned e)
{
    const char *p = (const char *)d + r->offset + (size_t)e * r->size;

    switch (r->size) {
    case 1: return *(const uint8_t *)p;
    case 2: return *(const uint16_t *)p;
    case 4: return *(const uint32_t *)p;
    default: return *(const uint64_t *)p;
    }
}

static void set_member(Device *d, const Reg *r, unsigned e, uint64_t v)
{
    char *p = (char *)d + r->offset + (size_t)e * r->size;

    switch (r->size) {
    case 1: *(uint8_t *)p = (uint8_t)v; break;
    case 2: *(uint16_t *)p = (uint16_t)v; break;
    case 4: *(uint32_t *)p = (uint32_t)v; break;
    default: *(uint64_t *)p = v; break;
    }
}

/* What a read gives, without the effect of reading. */
static uint64_t value_of(Device *d, const Reg *r, unsigned e)
{
    if (r->read_at) {
        return r->read_at(d, e);
    }
    if (r->read) {
        return r->read(d);
    }
    return r->size ? member(d, r, e) : r->value;
}

static uint64_t reg_read(Device *d, const Reg *r, unsigned e)
{
    if (G_UNLIKELY(r->kind == WO)) {
        return 0;
    }
    uint64_t v = value_of(d, r, e);
    if (r->kind == RC && r->size) {
        set_member(d, r, e, 0);
    }
    if (r->kind == RC && r->wrote) {
        r->wrote(d, 0);
    }
    return v;
}

static void reg_write(Device *d, const Reg *r, unsigned e, uint64_t v)
{
    uint64_t bits = (r->bits ? r->bits : UINT64_MAX) & mask_of(width_of(r));

    if (G_UNLIKELY(r->kind == RO || r->kind == RC)) {
        log_guest(d, "write of 0x%" PRIx64 " to read-only register %s", v, r->name);
        return;
    }
    if (r->size) {
        uint64_t old = member(d, r, e), new = v & bits;
        switch (r->kind) {
        case RW: new |= old & ~bits; v = new; break;
        case W1C: new = old & ~new; break;
        case W1S: new |= old; break;
        default: v = new; break;
        }
        set_member(d, r, e, new);
    } else {
        v &= bits;
    }
    if (r->wrote_at) {
        r->wrote_at(d, e, v);
    } else if (r->wrote) {
        r->wrote(d, v);
    }
}

/* ---- accesses ---- */

static void trace_access(Device *d, const Reg *r, unsigned e, uint64_t v, bool write)
{
    if (count_of(r) > 1) {
        trace(reg, "%s %s[%u] %s 0x%" PRIx64, d->object.type->name, r->name, e,
              write ? "<-" : "->", v);
    } else {
        trace(reg, "%s %s %s 0x%" PRIx64, d->object.type->name, r->name, write ? "<-" : "->", v);
    }
}

static uint64_t no_row_read(Device *d, uint64_t at, unsigned size)
{
    if (d->cls->read) {
        return d->cls->read(d, at, size);
    }
    log_guest(d, "read of %u bytes at 0x%" PRIx64 ", where no register is", size, at);
    return 0;
}

static void no_row_write(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    if (d->cls->write) {
        d->cls->write(d, at, v, size);
        return;
    }
    log_guest(d, "write of 0x%" PRIx64 " (%u bytes) to 0x%" PRIx64 ", where no register is", v, size,
              at);
}

/* Where an access narrower than its register lies in it, in bits. */
static unsigned shift_of(Device *d, unsigned skip, unsigned size, unsigned width)
{
    return 8 * (d->cls->big_endian ? width - size - skip : skip);
}

uint64_t device_mmio_read(Device *d, uint64_t at, unsigned size)
{
    const Reg *r = reg_at(d->cls, at, false);

    if (!r) {
        return no_row_read(d, at, size);
    }
    unsigned width = width_of(r);
    uint64_t within = at - r->at;
    unsigned e = within < width ? 0 : (unsigned)(within / stride_of(r));
    unsigned skip = (unsigned)(within - (uint64_t)e * stride_of(r));
    if (G_LIKELY(size <= width - skip)) {
        uint64_t v = reg_read(d, r, e) & mask_of(width);
        v = v >> shift_of(d, skip, size, width) & mask_of(size);
        trace_access(d, r, e, v, false);
        return v;
    }
    unsigned part = width - skip;
    uint64_t low = device_mmio_read(d, at, part);
    uint64_t high = device_mmio_read(d, at + part, size - part);
    return d->cls->big_endian ? low << 8 * (size - part) | high : high << 8 * part | low;
}

void device_mmio_write(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    const Reg *r = reg_at(d->cls, at, true);

    if (!r) {
        no_row_write(d, at, v, size);
        return;
    }
    unsigned width = width_of(r);
    uint64_t within = at - r->at;
    unsigned e = within < width ? 0 : (unsigned)(within / stride_of(r));
    unsigned skip = (unsigned)(within - (uint64_t)e * stride_of(r));
    if (G_UNLIKELY(size > width - skip)) {
        unsigned part = width - skip;
        bool be = d->cls->big_endian;
        device_mmio_write(d, at, be ? v >> 8 * (size - part) : v & mask_of(part), part);
        device_mmio_write(d, at + part, be ? v & mask_of(size - part) : v >> 8 * part, size - part);
        return;
    }
    v &= mask_of(size);
    if (G_UNLIKELY(size < width)) {
        unsigned shift = shift_of(d, skip, size, width);
        uint64_t rest = r->kind == RW ? value_of(d, r, e) : 0;
        v = (rest & ~(mask_of(size) << shift)) | v << shift;
    }
    trace_access(d, r, e, v, true);
    reg_write(d, r, e, v);
}

/* ---- reset ---- */

void device_reset_regs(Device *d)
{
    const DeviceClass *c = d->cls;

    for (unsigned n = 0; n < c->n_regs; n++) {
        const Reg *r = c->regs[n];
        for (unsigned e = 0; r->size && e < count_of(r); e++) {
            set_member(d, r, e, r->reset);
        }
    }
}
