/* SPDX-License-Identifier: Apache-2.0 */
/* AML terms for whole control methods and bridge windows. Spec: ACPI 6.5, chapter 20; 6.4.3.5. */
#include "hw/acpi/aml.h"
#include <stdlib.h>
#include <string.h>

static Aml *op2(uint8_t op, Aml *x, Aml *y)
{
    Aml *a = aml_op1(op, x);
    aml_append(a, y);
    return a;
}

/* With a target; NullName if there is none. */
static Aml *op3(uint8_t op, Aml *x, Aml *y, Aml *to)
{
    Aml *a = op2(op, x, y);
    if (to)
        aml_append(a, to);
    else
        aml_byte(a, 0);
    return a;
}

Aml *aml_or(Aml *x, Aml *y, Aml *to) { return op3(0x7d, x, y, to); }
Aml *aml_add(Aml *x, Aml *y, Aml *to) { return op3(0x72, x, y, to); }
Aml *aml_subtract(Aml *x, Aml *y, Aml *to) { return op3(0x74, x, y, to); }
Aml *aml_shift_left(Aml *x, Aml *y) { return op3(0x79, x, y, NULL); }
Aml *aml_shift_right(Aml *x, Aml *y) { return op3(0x7a, x, y, NULL); }
Aml *aml_index(Aml *object, Aml *at) { return op3(0x88, object, at, NULL); }
Aml *aml_concatenate(Aml *x, Aml *y) { return op3(0x73, x, y, NULL); }
Aml *aml_less(Aml *x, Aml *y) { return op2(0x95, x, y); }
Aml *aml_logical_and(Aml *x, Aml *y) { return op2(0x90, x, y); }
Aml *aml_logical_or(Aml *x, Aml *y) { return op2(0x91, x, y); }
Aml *aml_not_equal(Aml *x, Aml *y) { return aml_op1(0x92, aml_equal(x, y)); }
Aml *aml_deref(Aml *reference) { return aml_op1(0x83, reference); }
Aml *aml_object_type(Aml *object) { return aml_op1(0x8e, object); }
Aml *aml_sizeof(Aml *object) { return aml_op1(0x87, object); }
Aml *aml_increment(Aml *x) { return aml_op1(0x75, x); }
Aml *aml_notify_object(Aml *object, Aml *value) { return op2(0x86, object, value); }

Aml *aml_mid(Aml *object, Aml *from, Aml *n)
{
    Aml *a = op2(0x9e, object, from);
    aml_append(a, n);
    aml_byte(a, 0);
    return a;
}

Aml *aml_break(void)
{
    Aml *a = aml_new();
    aml_byte(a, 0xa5);
    return a;
}

Aml *aml_else(void)
{
    static const uint8_t op[] = {0xa1};
    return aml_container(op, 1);
}

Aml *aml_while(Aml *condition)
{
    static const uint8_t op[] = {0xa2};
    Aml *a = aml_container(op, 1);
    aml_append(a, condition);
    return a;
}

Aml *aml_create_dword_field(Aml *buffer, uint64_t at, const char *name)
{
    Aml *a = op2(0x8a, buffer, aml_int(at));
    aml_name_string(a, name);
    return a;
}

Aml *aml_call(const char *method, Aml *const *args, unsigned n)
{
    Aml *a = aml_path(method);
    for (unsigned i = 0; i < n; i++)
        aml_append(a, args[i]);
    return a;
}

static Aml *extended(uint8_t op, const char *name)
{
    Aml *a = aml_new();
    aml_byte(a, 0x5b);
    aml_byte(a, op);
    aml_name_string(a, name);
    return a;
}

Aml *aml_mutex(const char *name, uint8_t level)
{
    Aml *a = extended(0x01, name);
    aml_byte(a, level);
    return a;
}

Aml *aml_acquire(const char *mutex)
{
    Aml *a = extended(0x23, mutex);
    aml_little(a, 0xffff, 2);
    return a;
}

Aml *aml_release(const char *mutex) { return extended(0x27, mutex); }

Aml *aml_processor(const char *name, uint8_t id)
{
    static const uint8_t op[] = {0x5b, 0x83};
    Aml *a = aml_container(op, 2);
    aml_name_string(a, name);
    aml_byte(a, id);
    aml_little(a, 0, 5);                /* no P_BLK */
    return a;
}

/* The first three groups are little-endian. */
Aml *aml_uuid(const char *uuid)
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t bytes[16], out[16];
    for (unsigned i = 0; i < 16; uuid++)
        if (g_ascii_isxdigit(*uuid)) {
            bytes[i++] = g_ascii_xdigit_value(uuid[0]) << 4 | g_ascii_xdigit_value(uuid[1]);
            uuid++;
        }
    for (unsigned i = 0; i < 16; i++)
        out[i] = bytes[order[i]];
    return aml_buffer(out, sizeof(out));
}

Aml *aml_fields(const char *region, uint8_t access, bool lock, uint8_t update, const AmlUnit *units,
                unsigned n)
{
    static const uint8_t op[] = {0x5b, 0x81};
    Aml *a = aml_container(op, 2);
    aml_name_string(a, region);
    aml_byte(a, access | lock << 4 | update << 5);
    for (unsigned i = 0; i < n; i++) {
        if (units[i].name)
            aml_segment(a, units[i].name, strlen(units[i].name));
        else
            aml_byte(a, 0);
        aml_field_width(a, units[i].bits);
    }
    return a;
}

/* ---- resources ---- */

void aml_res_interrupts(Aml *r, const uint32_t *irqs, unsigned n)
{
    aml_byte(r, 0x89);
    aml_little(r, 2 + 4 * n, 2);
    aml_byte(r, 0x09);                  /* consumer, level, active high, shared */
    aml_byte(r, n);
    for (unsigned i = 0; i < n; i++)
        aml_little(r, irqs[i], 4);
}

/* Address space descriptors: fixed limits, positive decode, produced for what lies behind. */
static void window(Aml *r, uint8_t tag, unsigned width, uint8_t type, uint8_t flags, uint64_t first,
                   uint64_t last)
{
    aml_byte(r, tag);
    aml_little(r, 3 + 5 * width, 2);
    aml_byte(r, type);
    aml_byte(r, 0x0c);
    aml_byte(r, flags);
    aml_little(r, 0, width);
    aml_little(r, first, width);
    aml_little(r, last, width);
    aml_little(r, 0, width);
    aml_little(r, last - first + 1, width);
}

void aml_res_bus(Aml *r, uint16_t first, uint16_t last) { window(r, 0x88, 2, 2, 0, first, last); }
void aml_res_window_io(Aml *r, uint16_t first, uint16_t last) { window(r, 0x88, 2, 1, 3, first, last); }

void aml_res_window32(Aml *r, uint32_t first, uint32_t last, bool cacheable)
{
    window(r, 0x87, 4, 0, cacheable ? 3 : 1, first, last);
}

void aml_res_window64(Aml *r, uint64_t first, uint64_t last) { window(r, 0x8a, 8, 0, 3, first, last); }
