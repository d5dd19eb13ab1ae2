/* SPDX-License-Identifier: Apache-2.0 */
/* AML encoding. Spec: ACPI 6.5 chapter 20; resource descriptors 6.4. */
#include "hw/acpi/aml.h"
#include <string.h>

void aml_byte(Aml *a, uint8_t v) { g_byte_array_append(a, &v, 1); }

void aml_little(Aml *a, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        aml_byte(a, v >> 8 * i);
}

Aml *aml_new(void) { return g_byte_array_new(); }

/* PkgLength counts itself. */
static void package_length(Aml *a, unsigned content)
{
    unsigned n = content + 1 < 0x40 ? 1 : content + 2 < 0x1000 ? 2 : content + 3 < 0x100000 ? 3 : 4;
    unsigned total = content + n;
    if (n == 1) {
        aml_byte(a, total);
        return;
    }
    aml_byte(a, (n - 1) << 6 | (total & 15));
    for (unsigned i = 0; i < n - 1; i++)
        aml_byte(a, total >> (4 + 8 * i));
}

/*
 * A container under construction begins with a marker: 0xff 'P', the length of the opcode, the
 * opcode. It is resolved when the container is appended to its parent, which knows the size then.
 */
Aml *aml_container(const uint8_t *op, unsigned n)
{
    Aml *a = aml_new();
    aml_byte(a, 0xff);
    aml_byte(a, 'P');
    aml_byte(a, n);
    g_byte_array_append(a, op, n);
    return a;
}

static void resolve(Aml *out, const Aml *a)
{
    if (a->len < 3 || a->data[0] != 0xff || a->data[1] != 'P') {
        g_byte_array_append(out, a->data, a->len);
        return;
    }
    unsigned n = a->data[2], head = 3 + n;
    g_byte_array_append(out, a->data + 3, n);
    package_length(out, a->len - head);
    g_byte_array_append(out, a->data + head, a->len - head);
}

void aml_append(Aml *parent, Aml *child)
{
    resolve(parent, child);
    g_byte_array_unref(child);
}

Aml *aml_int(uint64_t v)
{
    Aml *a = aml_new();
    if (v <= 1) {
        aml_byte(a, v);
        return a;
    }
    unsigned size = v < 0x100 ? 1 : v < 0x10000 ? 2 : v < 0x100000000 ? 4 : 8;
    static const uint8_t prefix[9] = {[1] = 0x0a, [2] = 0x0b, [4] = 0x0c, [8] = 0x0e};
    aml_byte(a, prefix[size]);
    aml_little(a, v, size);
    return a;
}

Aml *aml_string(const char *text)
{
    Aml *a = aml_new();
    aml_byte(a, 0x0d);
    g_byte_array_append(a, (const uint8_t *)text, strlen(text) + 1);
    return a;
}

Aml *aml_eisaid(const char *id)
{
    unsigned hex = strtoul(id + 3, NULL, 16);
    uint32_t v = (id[0] - 0x40) << 26 | (id[1] - 0x40) << 21 | (id[2] - 0x40) << 16 | hex;
    Aml *a = aml_new();
    aml_byte(a, 0x0c);
    aml_little(a, GUINT32_SWAP_LE_BE(v), 4);
    return a;
}

void aml_segment(Aml *a, const char *s, unsigned n)
{
    char seg[4] = {'_', '_', '_', '_'};
    memcpy(seg, s, MIN(n, 4));
    g_byte_array_append(a, (const uint8_t *)seg, 4);
}

void aml_name_string(Aml *a, const char *path)
{
    while (*path == '\\' || *path == '^')
        aml_byte(a, *path++);
    g_auto(GStrv) parts = g_strsplit(path, ".", -1);
    unsigned n = *path ? g_strv_length(parts) : 0;
    if (n == 0)
        aml_byte(a, 0);
    else if (n == 2)
        aml_byte(a, 0x2e);
    else if (n > 2) {
        aml_byte(a, 0x2f);
        aml_byte(a, n);
    }
    for (unsigned i = 0; i < n; i++)
        aml_segment(a, parts[i], strlen(parts[i]));
}

Aml *aml_path(const char *path)
{
    Aml *a = aml_new();
    aml_name_string(a, path);
    return a;
}

Aml *aml_op1(uint8_t op, Aml *x)
{
    Aml *a = aml_new();
    aml_byte(a, op);
    aml_append(a, x);
    return a;
}

Aml *aml_name(const char *name, Aml *value)
{
    Aml *a = aml_new();
    aml_byte(a, 0x08);
    aml_name_string(a, name);
    aml_append(a, value);
    return a;
}

Aml *aml_buffer(const void *data, unsigned n)
{
    static const uint8_t op[] = {0x11};
    Aml *a = aml_container(op, 1);
    aml_append(a, aml_int(n));
    g_byte_array_append(a, data, n);
    return a;
}

Aml *aml_package(Aml *const *elements, unsigned n)
{
    static const uint8_t op[] = {0x12};
    Aml *a = aml_container(op, 1);
    aml_byte(a, n);
    for (unsigned i = 0; i < n; i++)
        aml_append(a, elements[i]);
    return a;
}

Aml *aml_device(const char *name)
{
    static const uint8_t op[] = {0x5b, 0x82};
    Aml *a = aml_container(op, 2);
    aml_name_string(a, name);
    return a;
}

Aml *aml_scope(const char *name)
{
    static const uint8_t op[] = {0x10};
    Aml *a = aml_container(op, 1);
    aml_name_string(a, name);
    return a;
}

Aml *aml_method(const char *name, unsigned args, bool serialized)
{
    static const uint8_t op[] = {0x14};
    Aml *a = aml_container(op, 1);
    aml_name_string(a, name);
    aml_byte(a, args | (serialized ? 8 : 0));
    return a;
}

Aml *aml_if(Aml *condition)
{
    static const uint8_t op[] = {0xa0};
    Aml *a = aml_container(op, 1);
    aml_append(a, condition);
    return a;
}

Aml *aml_return(Aml *value) { return aml_op1(0xa4, value); }

Aml *aml_store(Aml *value, Aml *to)
{
    Aml *a = aml_op1(0x70, value);
    aml_append(a, to);
    return a;
}

Aml *aml_and(Aml *x, Aml *y)
{
    Aml *a = aml_op1(0x7b, x);
    aml_append(a, y);
    aml_byte(a, 0);                 /* no target */
    return a;
}

Aml *aml_equal(Aml *x, Aml *y)
{
    Aml *a = aml_op1(0x93, x);
    aml_append(a, y);
    return a;
}

Aml *aml_local(unsigned n)
{
    Aml *a = aml_new();
    aml_byte(a, 0x60 + n);
    return a;
}

Aml *aml_arg(unsigned n)
{
    Aml *a = aml_new();
    aml_byte(a, 0x68 + n);
    return a;
}

Aml *aml_notify(const char *path, uint64_t value)
{
    Aml *a = aml_op1(0x86, aml_path(path));
    aml_append(a, aml_int(value));
    return a;
}

Aml *aml_region(const char *name, uint8_t space, uint64_t offset, uint32_t length)
{
    return aml_region_at(name, space, aml_int(offset), length);
}

Aml *aml_region_at(const char *name, uint8_t space, Aml *offset, uint32_t length)
{
    Aml *a = aml_new();
    aml_byte(a, 0x5b);
    aml_byte(a, 0x80);
    aml_name_string(a, name);
    aml_byte(a, space);
    aml_append(a, offset);
    aml_append(a, aml_int(length));
    return a;
}

/* A unit's width is encoded like a package length, but counts only itself. */
void aml_field_width(Aml *a, unsigned bits)
{
    if (bits < 0x40) {
        aml_byte(a, bits);
    } else {
        unsigned more = bits < 0x1000 ? 1 : 2;
        aml_byte(a, more << 6 | (bits & 15));
        aml_little(a, bits >> 4, more);
    }
}

Aml *aml_field(const char *region, uint8_t access, const char *unit, unsigned bits)
{
    static const uint8_t op[] = {0x5b, 0x81};
    Aml *a = aml_container(op, 2);
    aml_name_string(a, region);
    aml_byte(a, access);
    aml_segment(a, unit, strlen(unit));
    aml_field_width(a, bits);
    return a;
}

/* ---- resource descriptors (6.4) ---- */

Aml *aml_resources(void) { return aml_new(); }

void aml_res_memory32(Aml *r, uint32_t base, uint32_t length, bool writable)
{
    aml_byte(r, 0x86);              /* 32-bit fixed memory */
    aml_little(r, 9, 2);
    aml_byte(r, writable);
    aml_little(r, base, 4);
    aml_little(r, length, 4);
}

void aml_res_io(Aml *r, uint16_t base, uint8_t length)
{
    aml_byte(r, 0x47);              /* I/O port, 16-bit decode */
    aml_byte(r, 1);
    aml_little(r, base, 2);
    aml_little(r, base, 2);
    aml_byte(r, 1);
    aml_byte(r, length);
}

void aml_res_irq(Aml *r, uint32_t gsi, bool edge)
{
    aml_byte(r, 0x89);              /* extended interrupt: consumer, active high, exclusive */
    aml_little(r, 6, 2);
    aml_byte(r, 1 | (edge ? 2 : 0));
    aml_byte(r, 1);
    aml_little(r, gsi, 4);
}

void aml_res_dma(Aml *res, uint8_t channel)
{
    const uint8_t d[] = {0x2a, 1u << (channel & 7), 0};
    g_byte_array_append(res, d, sizeof(d));
}

void aml_res_irq_legacy(Aml *r, uint8_t irq)
{
    aml_byte(r, 0x22);              /* IRQ, edge, active high */
    aml_little(r, 1u << irq, 2);
}

Aml *aml_name_resources(const char *name, Aml *res)
{
    aml_byte(res, 0x79);            /* end tag without checksum */
    aml_byte(res, 0);
    Aml *a = aml_name(name, aml_buffer(res->data, res->len));
    g_byte_array_unref(res);
    return a;
}
