/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of pc and q35 that comes and goes: where it stands, and how the guest is told. */
#include "hw/mem.h"
#include "machines/x86/pc.h"
#include "util/error.h"

enum { MEMORY_PORT = 0xa00, NVDIMM_PORT = 0xa18 };
#define GIB (1ull << 30)

uint64_t pc_high_end(const Pc *s)
{
    const MemoryArea *a = memory_area_of(s->m.vm);
    return a ? memory_area_end(a) : (4 * GIB) + s->high_size;
}

/* Room for the modules at the places that their alignment wants. */
void pc_memory_area_new(Pc *s)
{
    const Machine *m = &s->m;
    uint64_t most = m->max_ram_size - m->ram_size, end = 4 * GIB + s->high_size;
    uint64_t base = (end + GIB - 1) / GIB * GIB;
    if (most)
        memory_area_new(m->vm, base, most + m->ram_slots * GIB, most, m->ram_slots);
}

static void plugged(void *opaque, MemoryDevice *m, bool hot)
{
    Pc *s = opaque;
    if (m->kind == MEMORY_NVDIMM)       /* no memory for everyone: the NFIT speaks of it */
        acpi_nvdimm_changed(s->nvdimms, hot);
    else
        acpi_memory_plugged(s->memory_hotplug, m->slot, m->addr, m->size, m->node, hot);
}

static bool unplug_request(void *opaque, MemoryDevice *m, GError **error)
{
    acpi_memory_unplug_request(((Pc *)opaque)->memory_hotplug, m->slot);
    return true;
}

static void gone(void *opaque, MemoryDevice *m)
{
    if (m->kind == MEMORY_DIMM)
        acpi_memory_gone(((Pc *)opaque)->memory_hotplug, m->slot);
}

static void eject(void *opaque, unsigned slot)
{
    MemoryDevice *m = memory_device_in_slot(memory_area_of(((Pc *)opaque)->m.vm), slot);
    if (m && m->kind == MEMORY_DIMM)
        device_unplug(m->dev);
}

static const char *id_of(void *opaque, unsigned slot)
{
    MemoryDevice *m = memory_device_in_slot(memory_area_of(((Pc *)opaque)->m.vm), slot);
    return m ? m->dev->id : NULL;
}

static void raise_nvdimm(void *opaque) { acpi_pm_gpe(((Pc *)opaque)->pm, ACPI_GPE_NVDIMM); }
static void raise_event(void *opaque) { acpi_pm_gpe(((Pc *)opaque)->pm, ACPI_GPE_MEMORY); }

/* What firmware must leave free for it. */
static void tell_firmware(Pc *s, const MemoryArea *a)
{
    uint64_t end = GUINT64_TO_LE((memory_area_end(a) + GIB - 1) / GIB * GIB);
    fw_cfg_add_file(s->fw_cfg, "etc/reserved-memory-end", &end, sizeof(end));
}

void pc_memory_hotplug_new(Pc *s)
{
    Vm *vm = s->m.vm;
    MemoryArea *a = memory_area_of(vm);
    if (!a)
        return;
    tell_firmware(s, a);
    if (!pc_has_acpi(s))
        return;
    AcpiMemorySlots slots = {.n = s->m.ram_slots, .event = {raise_event, s}, .eject = eject, .id = id_of, .opaque = s};
    MemoryHotplug ops = {.plugged = plugged, .unplug_request = unplug_request, .gone = gone, .opaque = s,
                         .nvdimm = s->nvdimm};
    s->memory_hotplug = acpi_memory_hotplug_new(vm, &slots);
    device_place_io(s->memory_hotplug, MEMORY_PORT);
    if (s->nvdimm) {
        s->nvdimms = acpi_nvdimm_new(vm, (AcpiEvent){raise_nvdimm, s});
        device_place_io(s->nvdimms, NVDIMM_PORT);
        static const uint8_t page[4096];
        fw_cfg_add_file(s->fw_cfg, ACPI_NVDIMM_PAGE, page, sizeof(page));
    }
    memory_area_set_hotplug(a, &ops);
}

void pc_memory_aml(const Pc *s, Aml *dsdt)
{
    if (s->memory_hotplug)
        acpi_memory_aml(dsdt, MEMORY_PORT, s->m.ram_slots);
}

void pc_nvdimm_tables(const Pc *s, AcpiTables *t)
{
    acpi_nfit(t, s->m.vm);
    if (s->nvdimms)
        acpi_nvdimm_table(t, NVDIMM_PORT, s->m.ram_slots);
}
