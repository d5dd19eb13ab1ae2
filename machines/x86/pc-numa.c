/* SPDX-License-Identifier: Apache-2.0 */
/* NUMA nodes for the guest of pc and q35: SRAT, SLIT, HMAT. Spec: ACPI 6.5, 5.2.16, 5.2.17, 5.2.28. */
#include <string.h>
#include "core/numa.h"
#include "hw/mem.h"
#include "machines/x86/pc.h"
#include "util/bytes.h"

enum {
    ENABLED = 1, HOTPLUG = 2, NON_VOLATILE = 4, LOW_END = 640 << 10, LOW_AGAIN = 1 << 20,
    HMAT_NODE = 0, HMAT_LOCALITY = 1, HMAT_CACHE = 2, HMAT_NODE_SIZE = 40, LOCALITY_HEAD = 32, CACHE_SIZE = 32,
    HAS_INITIATOR = 1, LATENCIES = 3,
};
#define GIB (1ull << 30)

/* ---- SRAT ---- */

static void put_cpu(GByteArray *b, uint32_t id, uint32_t node)
{
    bool wide = id > 254;
    bytes_put(b, wide ? 2 : 0, 1);
    bytes_put(b, wide ? 24 : 16, 1);
    if (wide) {
        bytes_put(b, 0, 2);
        bytes_put(b, node, 4);
        bytes_put(b, id, 4);
        bytes_put(b, ENABLED, 4);
        bytes_put(b, 0, 8);
        return;
    }
    bytes_put(b, node, 1);
    bytes_put(b, id, 1);
    bytes_put(b, ENABLED, 4);
    bytes_put(b, 0, 1);
    bytes_put(b, node >> 8, 3);
    bytes_put(b, 0, 4);
}

static void put_memory(GByteArray *b, uint64_t base, uint64_t size, uint32_t node, uint32_t flags)
{
    bytes_put(b, 1, 1);
    bytes_put(b, 40, 1);
    bytes_put(b, node, 4);
    bytes_put(b, 0, 2);
    bytes_put(b, base, 8);
    bytes_put(b, size, 8);
    bytes_put(b, 0, 4);
    bytes_put(b, flags, 4);
    bytes_put(b, 0, 8);
}

/* RAM from offset `at` on as it stands in the address space: cut at 640 KiB and at the hole below 4 GiB. */
static void put_ram(GByteArray *b, const Pc *s, uint64_t at, uint64_t size, uint32_t node)
{
    const struct { uint64_t first, end, base; } parts[] = {
        {0, LOW_END, 0}, {LOW_AGAIN, s->low_size, LOW_AGAIN}, {s->low_size, UINT64_MAX, 4 * GIB},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        uint64_t from = MAX(at, parts[i].first), to = MIN(at + size, parts[i].end);
        if (from < to)
            put_memory(b, parts[i].base + from - parts[i].first, to - from, node, ENABLED);
    }
}

static void put_nvdimm(MemoryDevice *m, void *b)
{
    if (m->kind == MEMORY_NVDIMM)
        put_memory(b, m->addr, m->size, m->node, ENABLED | NON_VOLATILE);
}

static void make_srat(const Pc *s, AcpiTables *t)
{
    const Numa *numa = s->m.numa;
    const MemoryArea *a = memory_area_of(s->m.vm);
    unsigned start;
    uint64_t at = 0;
    GByteArray *b = acpi_begin(t, "SRAT", 1, &start);
    bytes_put(b, 1, 4);
    bytes_put(b, 0, 8);
    for (unsigned i = 0; i < s->irq.n; i++)
        put_cpu(b, s->irq.apic_ids[i], numa->cpu_node[i]);
    for (unsigned i = 0; i < numa->n; i++) {
        put_ram(b, s, at, numa->node[i].size, i);
        at += numa->node[i].size;
    }
    memory_device_foreach(s->m.vm, put_nvdimm, b);
    if (a)
        put_memory(b, memory_area_base(a), memory_area_end(a) - memory_area_base(a), numa->n - 1, ENABLED | HOTPLUG);
    acpi_end(t, start, true);
}

/* ---- SLIT ---- */

static void make_slit(const Pc *s, AcpiTables *t)
{
    const Numa *numa = s->m.numa;
    unsigned start;
    GByteArray *b = acpi_begin(t, "SLIT", 1, &start);
    bytes_put(b, numa->n, 8);
    for (unsigned i = 0; i < numa->n; i++)
        for (unsigned k = 0; k < numa->n; k++)
            bytes_put(b, numa->node[i].distance[k], 1);
    acpi_end(t, start, true);
}

/* ---- HMAT ---- */

static void put_node(GByteArray *b, const Numa *numa, unsigned n)
{
    int who = numa->node[n].initiator;
    bytes_put(b, HMAT_NODE, 2);
    bytes_put(b, 0, 2);
    bytes_put(b, HMAT_NODE_SIZE, 4);
    bytes_put(b, who >= 0 ? HAS_INITIATOR : 0, 2);
    bytes_put(b, 0, 2);
    bytes_put(b, who >= 0 ? who : 0, 4);
    bytes_put(b, n, 4);
    bytes_put(b, 0, 4);
    bytes_put(b, 0, 8);
    bytes_put(b, 0, 8);
}

/* The unit in which all values of a table are whole, and below the 16-bit limit. */
static uint64_t base_unit(const NumaLocality *const *l, unsigned n, bool latency)
{
    uint64_t unit = latency ? 1000 : 1 << 20, least = latency ? 1 : 1 << 20, most = 0;
    for (unsigned i = 0; i < n; i++)
        most = MAX(most, latency ? l[i]->value * 1000 : l[i]->value);
    while (most / unit >= UINT16_MAX)
        unit *= latency ? 10 : 2;
    return unit / least;
}

static void put_locality(GByteArray *b, const Numa *numa, unsigned hierarchy, unsigned type)
{
    bool latency = type < LATENCIES;
    const NumaLocality *of[NUMA_NODES * 4];
    unsigned n = 0, initiators[NUMA_NODES], from = 0;
    for (unsigned i = 0; i < numa->localities->len && n < G_N_ELEMENTS(of); i++) {
        const NumaLocality *l = &g_array_index(numa->localities, NumaLocality, i);
        if (l->hierarchy == hierarchy && l->type == type)
            of[n++] = l;
    }
    if (!n)
        return;
    for (unsigned i = 0; i < numa->n; i++)
        if (numa->node[i].has_cpu)
            initiators[from++] = i;
    uint64_t unit = base_unit(of, n, latency);
    bytes_put(b, HMAT_LOCALITY, 2);
    bytes_put(b, 0, 2);
    bytes_put(b, LOCALITY_HEAD + 4 * from + 4 * numa->n + 2 * from * numa->n, 4);
    bytes_put(b, hierarchy, 1);
    bytes_put(b, type, 1);
    bytes_put(b, 0, 2);
    bytes_put(b, from, 4);
    bytes_put(b, numa->n, 4);
    bytes_put(b, 0, 4);
    bytes_put(b, unit, 8);
    for (unsigned i = 0; i < from; i++)
        bytes_put(b, initiators[i], 4);
    for (unsigned i = 0; i < numa->n; i++)
        bytes_put(b, i, 4);
    for (unsigned i = 0; i < from; i++)
        for (unsigned k = 0; k < numa->n; k++) {
            uint64_t v = 0;
            for (unsigned j = 0; j < n; j++)
                if (of[j]->initiator == initiators[i] && of[j]->target == k)
                    v = latency ? of[j]->value * 1000 / unit : (of[j]->value >> 20) / unit;
            bytes_put(b, v, 2);
        }
}

static void put_cache(GByteArray *b, const Numa *numa, const NumaCache *c)
{
    unsigned levels = 0;
    for (unsigned i = 0; i < numa->caches->len; i++)
        levels += g_array_index(numa->caches, NumaCache, i).node == c->node;
    bytes_put(b, HMAT_CACHE, 2);
    bytes_put(b, 0, 2);
    bytes_put(b, CACHE_SIZE, 4);
    bytes_put(b, c->node, 4);
    bytes_put(b, 0, 4);
    bytes_put(b, c->size, 8);
    bytes_put(b, levels | c->level << 4 | c->associativity << 8 | c->policy << 12 | (uint32_t)c->line << 16, 4);
    bytes_put(b, 0, 2);
    bytes_put(b, 0, 2);                       /* no SMBIOS handles */
}

static void make_hmat(const Pc *s, AcpiTables *t)
{
    const Numa *numa = s->m.numa;
    unsigned start;
    GByteArray *b = acpi_begin(t, "HMAT", 2, &start);
    bytes_put(b, 0, 4);
    for (unsigned i = 0; i < numa->n; i++)
        put_node(b, numa, i);
    for (unsigned hierarchy = 0; hierarchy < 4; hierarchy++)
        for (unsigned type = 0; type < 2 * LATENCIES; type++)
            put_locality(b, numa, hierarchy, type);
    for (unsigned i = 0; i < numa->caches->len; i++)
        put_cache(b, numa, &g_array_index(numa->caches, NumaCache, i));
    acpi_end(t, start, true);
}

void pc_numa_tables(const Pc *s, AcpiTables *t)
{
    const Numa *numa = s->m.numa;
    if (!numa)
        return;
    make_srat(s, t);
    if (numa->has_distances)
        make_slit(s, t);
    if (s->hmat)
        make_hmat(s, t);
}

/* Nodes, the node of each APIC id, the size of each node. */
void pc_numa_fw_cfg(Pc *s)
{
    const Numa *numa = s->m.numa;
    uint32_t ids = 0;
    for (unsigned i = 0; i < s->irq.n; i++)
        ids = MAX(ids, s->irq.apic_ids[i] + 1);
    g_autofree uint64_t *v = g_new0(uint64_t, 1 + ids + (numa ? numa->n : 0));
    if (!numa)
        return;
    v[0] = GUINT64_TO_LE(numa->n);
    for (unsigned i = 0; i < s->irq.n; i++)
        v[1 + s->irq.apic_ids[i]] = GUINT64_TO_LE(numa->cpu_node[i]);
    for (unsigned i = 0; i < numa->n; i++)
        v[1 + ids + i] = GUINT64_TO_LE(numa->node[i].size);
    fw_cfg_add(s->fw_cfg, FW_CFG_NUMA, v, 8 * (1 + ids + numa->n));
}

const uint32_t *pc_cpu_nodes(const Pc *s, uint32_t nodes[X86_MAX_CPUS])
{
    if (!s->m.numa)
        return NULL;
    for (unsigned i = 0; i < s->irq.n; i++)
        nodes[i] = s->m.numa->cpu_node[i];
    return nodes;
}
