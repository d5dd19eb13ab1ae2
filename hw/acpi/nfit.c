/* SPDX-License-Identifier: Apache-2.0 */
/* NVDIMMs for the guest: the NFIT, and their devices. Spec: ACPI 6.5, 5.2.25, 9.20. */
#include <string.h>
#include "hw/acpi-hotplug.h"
#include "hw/acpi/aml.h"
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

static unsigned handle(const MemoryDevice *m) { return m->slot + 1; }

static void put_map(GByteArray *b, const MemoryDevice *m, unsigned range, unsigned control)
{
    bytes_put(b, MAP_TYPE, 2);
    bytes_put(b, MAP_SIZE, 2);
    bytes_put(b, handle(m), 4);
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

static GByteArray *structures(Vm *vm)
{
    GByteArray *b = g_byte_array_new();
    memory_device_foreach(vm, put_device, b);
    return b;
}

void acpi_nfit(AcpiTables *t, Vm *vm)
{
    g_autoptr(GByteArray) s = structures(vm);
    unsigned start;
    if (!s->len)
        return;
    GByteArray *b = acpi_begin(t, "NFIT", 1, &start);
    bytes_put(b, 0, 4);
    g_byte_array_append(b, s->data, s->len);
    acpi_end(t, start, true);
}

/* ---- what came later: _FIT reads the structures byte by byte through one register ---- */

enum { ASK_SIZE = UINT32_MAX };

typedef struct NvdimmBlock {
    Device dev;
    AcpiEvent event;
    GByteArray *fit;
    uint32_t at;
} NvdimmBlock;

static uint64_t read_block(Device *d, uint64_t at, unsigned size)
{
    const NvdimmBlock *s = (const NvdimmBlock *)d;
    if (s->at == ASK_SIZE)
        return s->fit->len;
    return s->at < s->fit->len ? s->fit->data[s->at] : 0;
}

static void write_block(Device *d, uint64_t at, uint64_t v, unsigned size) { ((NvdimmBlock *)d)->at = v; }

static void init(Object *o) { ((NvdimmBlock *)o)->fit = g_byte_array_new(); }
static void finish(Object *o) { g_byte_array_unref(((NvdimmBlock *)o)->fit); }

static const Field fields[] = {HOST(NvdimmBlock, event), HOST(NvdimmBlock, fit), SAVED(NvdimmBlock, at)};
static const DeviceType type = {
    .name = "acpi-nvdimm", .desc = "ACPI description of NVDIMMs", .size = sizeof(NvdimmBlock),
    .window = ACPI_NVDIMM_WINDOW, .min_access = 4, .max_access = 4, FIELDS(fields), .init = init, .finish = finish,
    .read = read_block, .write = write_block,
};
DEVICE_TYPE(type);

Device *acpi_nvdimm_new(Vm *vm, AcpiEvent event)
{
    NvdimmBlock *s = (NvdimmBlock *)device_draft(vm, "acpi-nvdimm");
    s->event = event;
    device_start(&s->dev);
    return &s->dev;
}

void acpi_nvdimm_changed(Device *d, bool tell)
{
    NvdimmBlock *s = (NvdimmBlock *)d;
    g_autoptr(GByteArray) fit = structures(d->object.vm);
    device_lock(d);
    GByteArray *old = s->fit;
    s->fit = g_steal_pointer(&fit);
    device_unlock(d);
    g_byte_array_unref(old);
    if (tell)
        s->event.raise(s->event.opaque);
}

static Aml *buffer_of(Aml *size)
{
    static const uint8_t op[] = {0x11};
    Aml *a = aml_container(op, 1);
    aml_append(a, size);
    return a;
}

static void add_fit(Aml *root, uint16_t port)
{
    Aml *m = aml_method("_FIT", 0, true), *loop = aml_while(aml_less(aml_local(2), aml_local(0)));
    aml_append(root, aml_region("NFIT", 1, port, ACPI_NVDIMM_WINDOW));
    aml_append(root, aml_field("NFIT", 3, "NREG", 32));
    aml_append(m, aml_store(aml_int(ASK_SIZE), aml_path("NREG")));
    aml_append(m, aml_store(aml_path("NREG"), aml_local(0)));
    aml_append(m, aml_store(buffer_of(aml_local(0)), aml_local(1)));
    aml_append(m, aml_store(aml_int(0), aml_local(2)));
    aml_append(loop, aml_store(aml_local(2), aml_path("NREG")));
    aml_append(loop, aml_store(aml_path("NREG"), aml_index(aml_local(1), aml_local(2))));
    aml_append(loop, aml_increment(aml_local(2)));
    aml_append(m, loop);
    aml_append(m, aml_return(aml_local(1)));
    aml_append(root, m);
}

void acpi_nvdimm_aml(Aml *dsdt, uint16_t port, unsigned slots)
{
    Aml *sb = aml_scope("\\_SB"), *root = aml_device("NVDR"), *gpe = aml_scope("\\_GPE");
    Aml *event = aml_method("_E04", 0, false);
    aml_append(root, aml_name("_HID", aml_string("ACPI0012")));
    add_fit(root, port);
    for (unsigned i = 0; i < MIN(slots, ACPI_MEMORY_SLOTS); i++) {
        g_autofree char *name = g_strdup_printf("NV%02X", i);
        Aml *d = aml_device(name);
        aml_append(d, aml_name("_ADR", aml_int(i + 1)));        /* the handle in the NFIT */
        aml_append(root, d);
    }
    aml_append(sb, root);
    aml_append(dsdt, sb);
    aml_append(event, aml_notify("\\_SB.NVDR", 0x80));
    aml_append(gpe, event);
    aml_append(dsdt, gpe);
}
