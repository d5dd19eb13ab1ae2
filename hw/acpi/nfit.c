/* SPDX-License-Identifier: Apache-2.0 */
/* NVDIMMs for the guest: the NFIT. Spec: ACPI 6.5, 5.2.25. */
#include <string.h>
#include "hw/acpi-hotplug.h"
#include "hw/mem.h"
#include "util/bytes.h"

enum {
    SPA_TYPE = 0, SPA_SIZE = 56, MAP_TYPE = 1, MAP_SIZE = 48, CONTROL_TYPE = 4, CONTROL_SIZE = 80,
    SPA_NODE_VALID = 2, NOT_ARMED = 1 << 3, FORMAT_BYTES = 0x0301, WRITE_BACK = 0x8008,
};

/* Byte-addressable persistent memory: 66F0D379-B4F3-4074-AC43-0D3318B78CDB, as in memory. */
static const uint8_t persistent[16] = {0x79, 0xd3, 0xf0, 0x66, 0xf3, 0xb4, 0x74, 0x40,
                                       0xac, 0x43, 0x0d, 0x33, 0x18, 0xb7, 0x8c, 0xdb};

static void put_range(GByteArray *b, const MemoryDevice *m, unsigned index)
{
    bytes_put(b, SPA_TYPE, 2);
    bytes_put(b, SPA_SIZE, 2);
    bytes_put(b, index, 2);
    bytes_put(b, 2 | SPA_NODE_VALID, 2);      /* control region needed on hot add; the domain is valid */
    bytes_put(b, 0, 4);
    bytes_put(b, m->node, 4);
    g_byte_array_append(b, persistent, sizeof(persistent));
    bytes_put(b, m->addr, 8);
    bytes_put(b, m->size, 8);
    bytes_put(b, WRITE_BACK, 8);
}

static void put_map(GByteArray *b, const MemoryDevice *m, unsigned range, unsigned control)
{
    bytes_put(b, MAP_TYPE, 2);
    bytes_put(b, MAP_SIZE, 2);
    bytes_put(b, ACPI_NVDIMM_HANDLE(m->slot), 4);
    bytes_put(b, 0, 4);                       /* physical and region id */
    bytes_put(b, range, 2);
    bytes_put(b, control, 2);
    bytes_put(b, m->size, 8);
    bytes_put(b, 0, 8);
    bytes_put(b, 0, 8);
    bytes_put(b, 0, 2);                       /* not interleaved: one way */
    bytes_put(b, 1, 2);
    bytes_put(b, nvdimm_is_unarmed(m) ? NOT_ARMED : 0, 2);
    bytes_put(b, 0, 2);
}

static void put_control(GByteArray *b, const MemoryDevice *m, unsigned index)
{
    bytes_put(b, CONTROL_TYPE, 2);
    bytes_put(b, CONTROL_SIZE, 2);
    bytes_put(b, index, 2);
    bytes_put(b, 0x8086, 2);
    bytes_put(b, 1, 2);
    bytes_put(b, 1, 2);
    bytes_put(b, 0x8086, 2);
    bytes_put(b, 1, 2);
    bytes_put(b, 1, 2);
    bytes_put(b, 0, 6);
    bytes_put(b, 0x123456 + m->slot, 4);      /* serial number */
    bytes_put(b, FORMAT_BYTES, 2);
    for (unsigned i = 0; i < 50 / 2; i++)
        bytes_put(b, 0, 2);                   /* no block windows */
}

static void put_device(MemoryDevice *m, void *data)
{
    GByteArray *b = data;
    if (m->kind != MEMORY_NVDIMM)
        return;
    unsigned range = (m->slot + 1) << 1, control = range + 1;
    put_range(b, m, range);
    put_map(b, m, range, control);
    put_control(b, m, control);
}

GByteArray *acpi_nfit_structures(Vm *vm)
{
    GByteArray *b = g_byte_array_new();
    memory_device_foreach(vm, put_device, b);
    return b;
}

void acpi_nfit(AcpiTables *t, Vm *vm)
{
    g_autoptr(GByteArray) s = acpi_nfit_structures(vm);
    unsigned start;
    if (!s->len)
        return;
    GByteArray *b = acpi_begin(t, "NFIT", 1, &start);
    bytes_put(b, 0, 4);
    g_byte_array_append(b, s->data, s->len);
    acpi_end(t, start, true);
}
