/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS structures. Spec: DMTF DSP0134 3.6; types by their chapter 7 numbers. */
#include "hw/smbios.h"
#include "hw/pci.h"
#include "hw/smbios/options.h"
#include "util/bytes.h"
#include "util/error.h"
#include <stdio.h>
#include <string.h>

enum {
    BIOS = 0, SYSTEM = 1, BOARD = 2, CHASSIS = 3, PROCESSOR = 4, PORT = 8, SLOT = 9, OEM_STRINGS = 11,
    MEMORY_ARRAY = 16, MEMORY_DEVICE = 17, MAPPED_ADDRESS = 19, BOOT = 32, ONBOARD = 41, END = 127,
    H_SYSTEM = 0x100, H_BOARD = 0x200, H_CHASSIS = 0x300, H_CPU = 0x400, H_PORT = 0x800, H_SLOT = 0x900,
    H_OEM = 0xe00, H_ARRAY = 0x1000, H_DIMM = 0x1100, H_MAP = 0x1300, H_BOOT = 0x2000, H_ONBOARD = 0x2900,
    H_END = 0x7f00, FAMILY_2 = 0xfe, ANCHOR_2 = 31, ANCHOR_3 = 24,
};
#define DIMM_MAX (16ull << 30)

typedef struct Table {
    GByteArray *out;
    unsigned structures, largest, start;
    GPtrArray *strings;
    Vm *vm;                     /* whose -smbios options count */
} Table;

static void byte(Table *t, uint8_t v) { g_byte_array_append(t->out, &v, 1); }

static void number(Table *t, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        byte(t, v >> 8 * i);
}

static void zeros(Table *t, unsigned n) { number(t, 0, n); }

static void begin(Table *t, uint8_t type, uint16_t handle)
{
    t->start = t->out->len;
    g_ptr_array_set_size(t->strings, 0);
    byte(t, type);
    byte(t, 0);                 /* length of the formatted part, at the end */
    number(t, handle, 2);
}

/* A string's number; 0 for none. */
static void text(Table *t, const char *s)
{
    if (s && *s)
        g_ptr_array_add(t->strings, (void *)s);
    byte(t, s && *s ? t->strings->len : 0);
}

/* What the user says, or `otherwise`. */
static void said(Table *t, unsigned type, const char *key, const char *otherwise)
{
    text(t, smbios_text(t->vm, type, key, otherwise));
}

static void end(Table *t)
{
    t->out->data[t->start + 1] = t->out->len - t->start;
    for (unsigned i = 0; i < t->strings->len; i++) {
        const char *s = g_ptr_array_index(t->strings, i);
        g_byte_array_append(t->out, (const uint8_t *)s, strlen(s) + 1);
    }
    zeros(t, t->strings->len ? 1 : 2);
    t->structures++;
    t->largest = MAX(t->largest, t->out->len - t->start);
}

static void add_bios(Table *t)
{
    bool given = smbios_given(t->vm, BIOS);
    bool uefi = !given || !strcmp(smbios_text(t->vm, BIOS, "uefi", "off"), "on");
    unsigned major = 0, minor = 0;
    sscanf(smbios_text(t->vm, BIOS, "release", "0.0"), "%u.%u", &major, &minor);
    begin(t, BIOS, 0);
    said(t, BIOS, "vendor", given ? NULL : "Myna");
    said(t, BIOS, "version", given ? NULL : "1");
    number(t, 0xe800, 2);
    said(t, BIOS, "date", given ? NULL : "02/06/2015");
    byte(t, 0);
    number(t, 8, 8);            /* characteristics are not known … */
    byte(t, 0);
    byte(t, 0x14 | (uefi ? 8 : 0));     /* … but a virtual machine, UEFI */
    byte(t, major);
    byte(t, minor);
    number(t, 0xffff, 2);
    end(t);
}

/* Text that has been checked, to bytes. */
static bool uuid_parse(const char *s, uint8_t bytes[16])
{
    unsigned n = 0;
    memset(bytes, 0, 16);
    for (; *s && n < 32; s++)
        if (g_ascii_isxdigit(*s)) {
            bytes[n / 2] = bytes[n / 2] << 4 | g_ascii_xdigit_value(*s);
            n++;
        }
    return n == 32;
}

static void add_system(Table *t, const SmbiosConfig *c, const uint8_t uuid[16])
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    const char *own = smbios_text(t->vm, SYSTEM, "uuid", NULL);
    uint8_t bytes[16];
    if (own && uuid_parse(own, bytes))
        uuid = bytes;
    begin(t, SYSTEM, H_SYSTEM);
    said(t, SYSTEM, "manufacturer", c->manufacturer);
    said(t, SYSTEM, "product", c->product);
    said(t, SYSTEM, "version", c->version);
    said(t, SYSTEM, "serial", c->serial);
    for (unsigned i = 0; i < 16; i++)
        byte(t, uuid[order[i]]);
    byte(t, 6);                 /* woken by the power switch */
    said(t, SYSTEM, "sku", c->sku);
    said(t, SYSTEM, "family", c->family);
    end(t);
}

static void add_board(Table *t, const SmbiosConfig *c)
{
    begin(t, BOARD, H_BOARD);
    said(t, BOARD, "manufacturer", c->manufacturer);
    said(t, BOARD, "product", c->product);
    said(t, BOARD, "version", c->version);
    said(t, BOARD, "serial", NULL);
    said(t, BOARD, "asset", NULL);
    byte(t, 1);                 /* a hosting board */
    said(t, BOARD, "location", NULL);
    number(t, H_CHASSIS, 2);
    byte(t, 10);                /* a mother board */
    byte(t, 0);
    end(t);
}

static void add_oem_strings(Table *t)
{
    Json *all = smbios_list(t->vm, OEM_STRINGS, "value");
    begin(t, OEM_STRINGS, H_OEM);
    byte(t, MIN(json_length(all), 255));
    for (size_t i = 0; i < MIN(json_length(all), 255); i++) {
        const char *s = json_text(json_at(all, i));
        g_ptr_array_add(t->strings, (void *)(*s ? s : " "));    /* an empty one would end the list */
    }
    end(t);
}

static void add_chassis(Table *t, const SmbiosConfig *c)
{
    begin(t, CHASSIS, H_CHASSIS);
    said(t, CHASSIS, "manufacturer", c->manufacturer);
    byte(t, 1);                 /* other */
    said(t, CHASSIS, "version", c->version);
    said(t, CHASSIS, "serial", NULL);
    said(t, CHASSIS, "asset", NULL);
    number(t, 0x02030303, 4);   /* states: safe; security unknown */
    zeros(t, 8);
    said(t, CHASSIS, "sku", NULL);
    end(t);
}

static void add_processor(Table *t, const SmbiosConfig *c, unsigned n)
{
    g_autofree char *socket = g_strdup_printf("%s %u", smbios_text(t->vm, PROCESSOR, "sock_pfx", "CPU"), n);
    uint64_t family = smbios_number(t->vm, PROCESSOR, "processor-family", 1);
    begin(t, PROCESSOR, H_CPU + n);
    text(t, socket);
    byte(t, 3);                 /* a central processor */
    byte(t, MIN(family, FAMILY_2));
    said(t, PROCESSOR, "manufacturer", c->manufacturer);
    number(t, smbios_number(t->vm, PROCESSOR, "processor-id", 0), 8);
    said(t, PROCESSOR, "version", c->cpu_version ? c->cpu_version : c->version);
    byte(t, 0);
    number(t, 0, 2);
    number(t, smbios_number(t->vm, PROCESSOR, "max-speed", 2000), 2);
    number(t, smbios_number(t->vm, PROCESSOR, "current-speed", 2000), 2);
    byte(t, 0x41);              /* socket populated, enabled */
    byte(t, 1);
    number(t, 0xffff, 2);       /* no cache structures */
    number(t, 0xffff, 2);
    number(t, 0xffff, 2);
    said(t, PROCESSOR, "serial", NULL);
    said(t, PROCESSOR, "asset", NULL);
    said(t, PROCESSOR, "part", NULL);
    byte(t, MIN(c->cores, 255));
    byte(t, MIN(c->cores, 255));
    byte(t, MIN(c->cores * c->threads, 255));
    number(t, 2, 2);
    number(t, family, 2);
    number(t, c->cores, 2);
    number(t, c->cores, 2);
    number(t, c->cores * c->threads, 2);
    end(t);
}

static void add_memory_array(Table *t, const SmbiosConfig *c, unsigned dimms)
{
    bool small = c->ram_size < 1ull << 41;
    begin(t, MEMORY_ARRAY, H_ARRAY);
    byte(t, 1);
    byte(t, 3);                 /* system memory */
    byte(t, 6);                 /* multi-bit correction */
    number(t, small ? c->ram_size >> 10 : 0x80000000, 4);
    number(t, 0xfffe, 2);
    number(t, dimms, 2);
    number(t, small ? 0 : c->ram_size, 8);
    end(t);
}

static void add_dimm(Table *t, const SmbiosConfig *c, unsigned n, uint64_t size)
{
    g_autofree char *name = g_strdup_printf("%s %u", smbios_text(t->vm, MEMORY_DEVICE, "loc_pfx", "DIMM"), n);
    unsigned speed = smbios_number(t->vm, MEMORY_DEVICE, "speed", 0);
    begin(t, MEMORY_DEVICE, H_DIMM + n);
    number(t, H_ARRAY, 2);
    number(t, 0xfffe, 2);
    number(t, 0xffff, 2);
    number(t, 0xffff, 2);
    number(t, MIN(size >> 20, 0x7fff), 2);
    byte(t, 9);                 /* DIMM */
    byte(t, 0);
    text(t, name);
    said(t, MEMORY_DEVICE, "bank", NULL);
    byte(t, 7);                 /* RAM */
    number(t, 2, 2);
    number(t, speed, 2);
    said(t, MEMORY_DEVICE, "manufacturer", c->manufacturer);
    said(t, MEMORY_DEVICE, "serial", NULL);
    said(t, MEMORY_DEVICE, "asset", NULL);
    said(t, MEMORY_DEVICE, "part", NULL);
    byte(t, 0);
    number(t, size >> 20 >= 0x7fff ? size >> 20 : 0, 4);
    number(t, speed, 2);
    zeros(t, 6);
    end(t);
}

static void add_range(Table *t, unsigned n, uint64_t base, uint64_t size)
{
    uint64_t last = base + size - 1;
    bool small = last >> 10 < UINT32_MAX;
    begin(t, MAPPED_ADDRESS, H_MAP + n);
    number(t, small ? base >> 10 : UINT32_MAX, 4);
    number(t, small ? last >> 10 : UINT32_MAX, 4);
    number(t, H_ARRAY, 2);
    byte(t, 1);
    number(t, small ? 0 : base, 8);
    number(t, small ? 0 : last, 8);
    end(t);
}

/* ---- what only options make ---- */

static void add_port(Table *t, const Json *o, unsigned n)
{
    begin(t, PORT, H_PORT + n);
    text(t, json_get_text(o, "internal_reference"));
    byte(t, 0);                 /* no connector inside */
    text(t, json_get_text(o, "external_reference"));
    byte(t, smbios_number_in(o, "connector_type", 0));
    byte(t, smbios_number_in(o, "port_type", 0));
    end(t);
}

/* Segment, bus, function of pcidev=. Buses behind bridges get their numbers from firmware, later. */
static bool add_place(Table *t, const SmbiosConfig *c, const Json *o, unsigned type, GError **error)
{
    const char *id = json_get_text(o, "pcidev");
    Object *d = id ? object_resolve(t->vm, id, "pci-device", NULL) : NULL;
    if (id && !d)
        return error_set(error, "-smbios type=%u: no PCI device '%s'", type, id);
    if (d && ((PciDevice *)d)->bus != c->root)
        return error_set(error, "-smbios type=%u: PCI device '%s' is not on the root bus", type, id);
    number(t, d ? 0 : 0xffff, 2);
    byte(t, d ? 0 : 0xff);
    byte(t, d ? ((PciDevice *)d)->devfn : 0xff);
    return true;
}

static bool add_slot(Table *t, const SmbiosConfig *c, const Json *o, unsigned n, GError **error)
{
    begin(t, SLOT, H_SLOT + n);
    text(t, json_get_text(o, "slot_designation"));
    byte(t, smbios_number_in(o, "slot_type", 0));
    byte(t, smbios_number_in(o, "slot_data_bus_width", 0));
    byte(t, smbios_number_in(o, "current_usage", 0));
    byte(t, smbios_number_in(o, "slot_length", 0));
    number(t, smbios_number_in(o, "slot_id", 0), 2);
    byte(t, smbios_number_in(o, "slot_characteristics1", 0));
    byte(t, smbios_number_in(o, "slot_characteristics2", 0));
    bool ok = add_place(t, c, o, SLOT, error);
    end(t);
    return ok;
}

static bool add_onboard(Table *t, const SmbiosConfig *c, const Json *o, unsigned n, GError **error)
{
    enum { ENABLED = 0x80 };
    begin(t, ONBOARD, H_ONBOARD + n);
    text(t, json_get_text(o, "designation"));
    byte(t, smbios_kind(o) | ENABLED);
    byte(t, smbios_number_in(o, "instance", 1));
    bool ok = add_place(t, c, o, ONBOARD, error);
    end(t);
    return ok;
}

static bool add_slots(Table *t, const SmbiosConfig *c, GError **error)
{
    Json *ports = smbios_structures(t->vm, PORT), *slots = smbios_structures(t->vm, SLOT);
    for (unsigned i = 0; ports && i < json_length(ports); i++)
        add_port(t, json_at(ports, i), i);
    for (unsigned i = 0; slots && i < json_length(slots); i++)
        if (!add_slot(t, c, json_at(slots, i), i, error))
            return false;
    return true;
}

static bool add_onboards(Table *t, const SmbiosConfig *c, GError **error)
{
    Json *all = smbios_structures(t->vm, ONBOARD);
    for (unsigned i = 0; all && i < json_length(all); i++)
        if (!add_onboard(t, c, json_at(all, i), i, error))
            return false;
    return true;
}

static void add_files(Table *t)
{
    unsigned structures, largest;
    const GByteArray *files = smbios_files(t->vm, &structures, &largest);
    g_byte_array_append(t->out, files->data, files->len);
    t->structures += structures;
    t->largest = MAX(t->largest, largest);
}

/* ---- all ---- */

static void add_memory(Table *t, const SmbiosConfig *c)
{
    unsigned dimms = (c->ram_size + DIMM_MAX - 1) / DIMM_MAX;
    if (!smbios_in_file(t->vm, MEMORY_ARRAY))
        add_memory_array(t, c, dimms);
    for (unsigned i = 0; i < dimms && !smbios_in_file(t->vm, MEMORY_DEVICE); i++)
        add_dimm(t, c, i, MIN(DIMM_MAX, c->ram_size - i * DIMM_MAX));
    for (unsigned i = 0; i < G_N_ELEMENTS(c->ram) && !smbios_in_file(t->vm, MAPPED_ADDRESS); i++)
        if (c->ram[i].size)
            add_range(t, i, c->ram[i].base, c->ram[i].size);
}

static bool add_all(Table *t, const SmbiosConfig *c, GError **error)
{
    Vm *vm = t->vm;
    add_files(t);
    if ((c->uefi && !smbios_in_file(vm, BIOS)) || smbios_given(vm, BIOS))
        add_bios(t);
    if (!smbios_in_file(vm, SYSTEM))
        add_system(t, c, vm->uuid);
    if (smbios_given(vm, BOARD))
        add_board(t, c);
    if (!smbios_in_file(vm, CHASSIS))
        add_chassis(t, c);
    for (unsigned i = 0; i < c->sockets && !smbios_in_file(vm, PROCESSOR); i++)
        add_processor(t, c, i);
    if (!add_slots(t, c, error))
        return false;
    if (smbios_given(vm, OEM_STRINGS))
        add_oem_strings(t);
    add_memory(t, c);
    if (!smbios_in_file(vm, BOOT)) {
        begin(t, BOOT, H_BOOT);
        zeros(t, 7);
        end(t);
    }
    if (!add_onboards(t, c, error))
        return false;
    begin(t, END, H_END);
    end(t);
    return true;
}

static uint8_t checksum(const uint8_t *p, unsigned n)
{
    uint8_t sum = 0;
    while (n--)
        sum += *p++;
    return -sum;
}

/* Firmware puts in where it has placed the structures, and corrects the sums. */
static void add_anchor(FwCfg *fw_cfg, const Table *t, bool wide)
{
    uint8_t a[ANCHOR_2] = {0};
    if (wide) {
        memcpy(a, "_SM3_", 5);
        a[6] = ANCHOR_3;
        a[7] = 3;
        a[10] = 1;
        bytes_store(a + 12, t->out->len, 4);
        a[5] = checksum(a, ANCHOR_3);
    } else {
        memcpy(a, "_SM_", 4);
        a[5] = ANCHOR_2;
        a[6] = 2;
        a[7] = 8;
        bytes_store(a + 8, t->largest, 2);
        memcpy(a + 16, "_DMI_", 5);
        bytes_store(a + 22, t->out->len, 2);
        bytes_store(a + 28, t->structures, 2);
        a[30] = 0x28;
        a[21] = checksum(a + 16, 15);
        a[4] = checksum(a, ANCHOR_2);
    }
    fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-anchor", a, wide ? ANCHOR_3 : ANCHOR_2);
}

bool smbios_to_fw_cfg(Vm *vm, const SmbiosConfig *c, SmbiosEntry entry, FwCfg *fw_cfg, GError **error)
{
    Table t = {.out = g_byte_array_new(), .strings = g_ptr_array_new(), .vm = vm};
    bool ok = add_all(&t, c, error), large = t.out->len > UINT16_MAX;
    if (ok && large && entry == SMBIOS_32)
        ok = error_set(error, "SMBIOS 2.1 table length %u exceeds %u: use smbios-entry-point-type=64", t.out->len,
                       UINT16_MAX);
    if (ok) {
        fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-tables", t.out->data, t.out->len);
        add_anchor(fw_cfg, &t, entry == SMBIOS_64 || (large && entry == SMBIOS_AUTO));
    }
    g_byte_array_unref(t.out);
    g_ptr_array_unref(t.strings);
    return ok;
}
