/* SPDX-License-Identifier: Apache-2.0 */
/* Table blobs, their links, and their delivery: by firmware (table loader) or straight to memory. */
#include "hw/acpi.h"
#include "hw/acpi/aml.h"
#include "util/bytes.h"
#include <string.h>

enum {
    HEADER = 36, CHECKSUM_AT = 9, LENGTH_AT = 4,
    LOADER_ALLOCATE = 1, LOADER_POINTER, LOADER_CHECKSUM, LOADER_WRITE_POINTER,
    ZONE_HIGH = 1, ZONE_FSEG = 2, COMMAND_SIZE = 128, NAME = 56,
    RSDP_SIZE = 36, TABLES_PAD = 4096, TABLES_GROW = 16384,
};
#define TABLES_FILE "etc/acpi/tables"
#define RSDP_FILE "etc/acpi/rsdp"

typedef struct Link {
    bool in_rsdp;               /* where the field is: the RSDP or the tables */
    unsigned at, size, target;
    const char *file;           /* of the target; NULL: the tables */
} Link;

/* A further file that firmware places; with `tell` it says where. */
typedef struct File {
    const char *name, *tell;
    unsigned align, tell_size;
} File;

typedef struct Sum {
    unsigned at, start, length;
    bool in_rsdp;
} Sum;

struct AcpiTables {
    GByteArray *blob, *rsdp;
    GArray *links, *sums, *roots;       /* Link, Sum, unsigned offsets listed in the root table */
    GArray *files;                      /* File */
    char oem[15];
};

AcpiTables *acpi_tables_new(void)
{
    AcpiTables *t = g_new0(AcpiTables, 1);
    t->blob = g_byte_array_new();
    t->rsdp = g_byte_array_new();
    t->links = g_array_new(false, false, sizeof(Link));
    t->sums = g_array_new(false, false, sizeof(Sum));
    t->roots = g_array_new(false, false, sizeof(unsigned));
    t->files = g_array_new(false, false, sizeof(File));
    acpi_set_oem(t, NULL, NULL);
    return t;
}

void acpi_set_oem(AcpiTables *t, const char *id, const char *table_id)
{
    g_snprintf(t->oem, sizeof(t->oem), "%-6.6s%-8.8s", id ? id : "BOCHS ", table_id ? table_id : "BXPC    ");
}

void acpi_tables_free(AcpiTables *t)
{
    if (!t)
        return;
    g_byte_array_unref(t->blob);
    g_byte_array_unref(t->rsdp);
    g_array_unref(t->links);
    g_array_unref(t->sums);
    g_array_unref(t->roots);
    g_array_unref(t->files);
    g_free(t);
}

static void append(GByteArray *a, const void *p, unsigned n) { g_byte_array_append(a, p, n); }

static void add_sum(AcpiTables *t, bool in_rsdp, unsigned at, unsigned start, unsigned length)
{
    Sum s = {at, start, length, in_rsdp};
    g_array_append_val(t->sums, s);
}

static void add_link(AcpiTables *t, bool in_rsdp, unsigned at, unsigned size, unsigned target)
{
    Link l = {in_rsdp, at, size, target, NULL};
    g_array_append_val(t->links, l);
}

void acpi_pointer_to_file(AcpiTables *t, unsigned at, unsigned size, const char *file, unsigned align)
{
    Link l = {false, at, size, 0, file};
    File f = {.name = file, .align = align};
    g_array_append_val(t->links, l);
    g_array_append_val(t->files, f);
}

void acpi_name_of_file(AcpiTables *t, const char *name, const char *file, unsigned align)
{
    aml_byte(t->blob, 0x08);
    aml_name_string(t->blob, name);
    aml_byte(t->blob, 0x0c);
    acpi_pointer_to_file(t, t->blob->len, 4, file, align);
    aml_little(t->blob, 0, 4);
}

void acpi_write_pointer(AcpiTables *t, const char *dest, const char *file, unsigned size)
{
    for (unsigned i = 0; i < t->files->len; i++) {
        File *f = &g_array_index(t->files, File, i);
        if (!strcmp(f->name, file)) {
            f->tell = dest;
            f->tell_size = size;
        }
    }
}

void acpi_pointer(AcpiTables *t, unsigned at, unsigned size, unsigned target)
{
    add_link(t, false, at, size, target);
}

GByteArray *acpi_begin(AcpiTables *t, const char *signature, uint8_t revision, unsigned *start)
{
    while (t->blob->len % 8)
        append(t->blob, "", 1);
    *start = t->blob->len;
    append(t->blob, signature, 4);
    bytes_put(t->blob, 0, 4);          /* length, at the end */
    append(t->blob, &revision, 1);
    bytes_put(t->blob, 0, 1);          /* checksum, by whoever places the table */
    append(t->blob, t->oem, 14);
    bytes_put(t->blob, 1, 4);
    append(t->blob, "BXPC", 4);
    bytes_put(t->blob, 1, 4);
    return t->blob;
}

unsigned acpi_raw(AcpiTables *t, const void *data, unsigned n, unsigned align)
{
    while (t->blob->len % align)
        append(t->blob, "", 1);
    append(t->blob, data, n);
    return t->blob->len - n;
}

void acpi_end(AcpiTables *t, unsigned start, bool listed)
{
    uint32_t length = GUINT32_TO_LE(t->blob->len - start);
    memcpy(t->blob->data + start + LENGTH_AT, &length, 4);
    add_sum(t, false, start + CHECKSUM_AT, start, t->blob->len - start);
    if (listed)
        g_array_append_val(t->roots, start);
}

void acpi_finish(AcpiTables *t, bool xsdt)
{
    unsigned start, width = xsdt ? 8 : 4;
    GByteArray *b = acpi_begin(t, xsdt ? "XSDT" : "RSDT", 1, &start);
    for (unsigned i = 0; i < t->roots->len; i++) {
        acpi_pointer(t, b->len, width, g_array_index(t->roots, unsigned, i));
        bytes_put(b, 0, width);
    }
    acpi_end(t, start, false);

    append(t->rsdp, "RSD PTR ", 8);
    bytes_put(t->rsdp, 0, 1);
    append(t->rsdp, "BOCHS ", 6);
    bytes_put(t->rsdp, xsdt ? 2 : 0, 1);
    if (!xsdt) {
        add_link(t, true, t->rsdp->len, 4, start);
        bytes_put(t->rsdp, 0, 4);
        add_sum(t, true, 8, 0, 20);
        return;
    }
    bytes_put(t->rsdp, 0, 4);
    bytes_put(t->rsdp, RSDP_SIZE, 4);
    add_link(t, true, t->rsdp->len, 8, start);
    bytes_put(t->rsdp, 0, 8);          /* XSDT address */
    bytes_put(t->rsdp, 0, 4);          /* extended checksum, reserved */
    add_sum(t, true, 8, 0, 20);
    add_sum(t, true, 32, 0, RSDP_SIZE);
}

/* ---- by firmware: etc/table-loader ---- */

typedef struct __attribute__((packed)) Command {
    uint32_t type;
    union {
        struct __attribute__((packed)) { char file[NAME]; uint32_t align; uint8_t zone; } allocate;
        struct __attribute__((packed)) { char dest[NAME], src[NAME]; uint32_t at; uint8_t size; } pointer;
        struct __attribute__((packed)) { char file[NAME]; uint32_t at, start, length; } checksum;
        struct __attribute__((packed)) { char dest[NAME], src[NAME]; uint32_t at, from; uint8_t size; } tell;
        uint8_t pad[COMMAND_SIZE - 4];
    };
} Command;
_Static_assert(sizeof(Command) == COMMAND_SIZE, "table-loader commands have 128 bytes");

static const char *file_of(bool in_rsdp) { return in_rsdp ? RSDP_FILE : TABLES_FILE; }

static void allocate(GByteArray *out, const char *file, uint32_t align, uint8_t zone)
{
    Command c = {.type = GUINT32_TO_LE(LOADER_ALLOCATE),
                 .allocate = {.align = GUINT32_TO_LE(align), .zone = zone}};
    g_strlcpy(c.allocate.file, file, NAME);
    append(out, &c, sizeof(c));
}

static void tell(GByteArray *out, const File *f)
{
    Command c = {.type = GUINT32_TO_LE(LOADER_WRITE_POINTER), .tell = {.size = f->tell_size}};
    g_strlcpy(c.tell.dest, f->tell, NAME);
    g_strlcpy(c.tell.src, f->name, NAME);
    append(out, &c, sizeof(c));
}

void acpi_to_fw_cfg(AcpiTables *t, FwCfg *fw_cfg)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    allocate(out, RSDP_FILE, 16, ZONE_FSEG);
    for (unsigned i = 0; i < t->files->len; i++)
        allocate(out, g_array_index(t->files, File, i).name, g_array_index(t->files, File, i).align, ZONE_HIGH);
    allocate(out, TABLES_FILE, 64, ZONE_HIGH);
    for (unsigned i = 0; i < t->links->len; i++) {
        const Link *l = &g_array_index(t->links, Link, i);
        bytes_store((l->in_rsdp ? t->rsdp : t->blob)->data + l->at, l->target, l->size);
        Command c = {.type = GUINT32_TO_LE(LOADER_POINTER),
                     .pointer = {.at = GUINT32_TO_LE(l->at), .size = l->size}};
        g_strlcpy(c.pointer.dest, file_of(l->in_rsdp), NAME);
        g_strlcpy(c.pointer.src, l->file ? l->file : TABLES_FILE, NAME);
        append(out, &c, sizeof(c));
    }
    for (unsigned i = 0; i < t->sums->len; i++) {
        const Sum *s = &g_array_index(t->sums, Sum, i);
        Command c = {.type = GUINT32_TO_LE(LOADER_CHECKSUM),
                     .checksum = {.at = GUINT32_TO_LE(s->at), .start = GUINT32_TO_LE(s->start),
                                  .length = GUINT32_TO_LE(s->length)}};
        g_strlcpy(c.checksum.file, file_of(s->in_rsdp), NAME);
        append(out, &c, sizeof(c));
    }
    for (unsigned i = 0; i < t->files->len; i++)
        if (g_array_index(t->files, File, i).tell)
            tell(out, &g_array_index(t->files, File, i));
    /* Firmware reads the directory once, but the tables grow when it has placed PCI's windows. */
    size_t size = (t->blob->len + TABLES_GROW) / TABLES_PAD * TABLES_PAD;
    g_autofree uint8_t *padded = g_malloc0(size);
    memcpy(padded, t->blob->data, t->blob->len);
    fw_cfg_add_file(fw_cfg, TABLES_FILE, padded, size);
    fw_cfg_add_file(fw_cfg, RSDP_FILE, t->rsdp->data, t->rsdp->len);
    fw_cfg_add_file(fw_cfg, "etc/table-loader", out->data, out->len);
}

/* ---- straight to memory ---- */

static void checksum(uint8_t *p, unsigned at, unsigned start, unsigned length)
{
    uint8_t sum = 0;
    p[at] = 0;
    for (unsigned i = 0; i < length; i++)
        sum += p[start + i];
    p[at] = -sum;
}

uint64_t acpi_to_memory(AcpiTables *t, AddressSpace *as, uint64_t base)
{
    uint64_t tables = base + 64;
    g_autoptr(GByteArray) rsdp = g_byte_array_new(), blob = g_byte_array_new();
    append(rsdp, t->rsdp->data, t->rsdp->len);
    append(blob, t->blob->data, t->blob->len);
    for (unsigned i = 0; i < t->links->len; i++) {
        const Link *l = &g_array_index(t->links, Link, i);
        if (l->file)
            continue;
        bytes_store((l->in_rsdp ? rsdp : blob)->data + l->at, tables + l->target, l->size);
    }
    for (unsigned i = 0; i < t->sums->len; i++) {
        const Sum *s = &g_array_index(t->sums, Sum, i);
        checksum((s->in_rsdp ? rsdp : blob)->data, s->at, s->start, s->length);
    }
    as_write_rom(as, base, rsdp->data, rsdp->len);
    as_write_rom(as, tables, blob->data, blob->len);
    return 64 + blob->len;
}

/* ---- tables of several machines ---- */

static void madt_override(GByteArray *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    bytes_put(b, 2, 1);
    bytes_put(b, 10, 1);
    bytes_put(b, 0, 1);
    bytes_put(b, irq, 1);
    bytes_put(b, gsi, 4);
    bytes_put(b, flags, 2);
}

void acpi_madt_cpu(GByteArray *b, unsigned uid, uint32_t apic_id, bool enabled)
{
    bool wide = apic_id > 254;
    bytes_put(b, wide ? 9 : 0, 1);
    bytes_put(b, wide ? 16 : 8, 1);
    if (wide) {
        bytes_put(b, 0, 2);
        bytes_put(b, apic_id, 4);
        bytes_put(b, enabled, 4);
        bytes_put(b, uid, 4);
    } else {
        bytes_put(b, uid, 1);
        bytes_put(b, apic_id, 1);
        bytes_put(b, enabled, 4);
    }
}

/* 5.2.12 */
void acpi_madt(AcpiTables *t, const AcpiMadt *m)
{
    unsigned start;
    GByteArray *b = acpi_begin(t, "APIC", 3, &start);
    bytes_put(b, m->lapic_base, 4);
    bytes_put(b, 1, 4);                /* PC-AT: has a PIC pair */
    for (unsigned i = 0; i < m->cpus; i++)
        acpi_madt_cpu(b, i, m->apic_ids[i], !m->absent || !m->absent[i]);
    for (unsigned i = 0; i < m->ioapics; i++) {
        bytes_put(b, 1, 1);
        bytes_put(b, 12, 1);
        bytes_put(b, m->ioapic[i].id, 1);
        bytes_put(b, 0, 1);
        bytes_put(b, m->ioapic[i].base, 4);
        bytes_put(b, m->ioapic[i].gsi, 4);
    }
    madt_override(b, 0, 2, 0);
    if (m->pc_overrides)
        for (const uint8_t *irq = (const uint8_t[]){5, 9, 10, 11, 0}; *irq; irq++)
            madt_override(b, *irq, *irq, 0xd);
    bytes_put(b, 4, 1);                /* NMI on LINT1 of all */
    bytes_put(b, 6, 1);
    bytes_put(b, 0xff, 1);
    bytes_put(b, 0, 2);
    bytes_put(b, 1, 1);
    acpi_end(t, start, true);
}

/* ---- full machines ---- */

/* 5.2.10; firmware wants a multiple of 64. */
unsigned acpi_facs(AcpiTables *t)
{
    static const uint8_t facs[64] = {'F', 'A', 'C', 'S', 64};
    return acpi_raw(t, facs, sizeof(facs), 64);
}

/* 5.2.3.2 */
static void put_address(GByteArray *b, unsigned at, uint8_t space, uint8_t bits, uint64_t address)
{
    bytes_store(b->data + at, space, 1);
    bytes_store(b->data + at + 1, bits, 1);
    bytes_store(b->data + at + 4, address, 8);
}

enum { SPACE_IO = 1 };

static void fadt_extended(GByteArray *b, unsigned start, const AcpiFadt *f)
{
    put_address(b, start + 116, SPACE_IO, 8, f->reset_port);
    bytes_store(b->data + start + 128, f->reset_value, 1);
    put_address(b, start + 148, SPACE_IO, 32, f->pm_base);
    put_address(b, start + 172, SPACE_IO, 16, f->pm_base + 4);
    put_address(b, start + 208, SPACE_IO, 32, f->pm_base + 8);
    put_address(b, start + 220, SPACE_IO, f->gpe_length * 8, f->gpe_base);
}

/* 5.2.9 */
void acpi_fadt(AcpiTables *t, const AcpiFadt *f, unsigned facs, unsigned dsdt)
{
    unsigned start, size = f->revision >= 3 ? 244 : 116;
    GByteArray *b = acpi_begin(t, "FACP", f->revision, &start);
    g_byte_array_set_size(b, start + size);
    memset(b->data + start + HEADER, 0, size - HEADER);
    acpi_pointer(t, start + 36, 4, facs);
    acpi_pointer(t, start + 40, 4, dsdt);
    bytes_store(b->data + start + 44, f->revision >= 3 ? 0 : 1, 1);
    bytes_store(b->data + start + 46, f->sci, 2);
    bytes_store(b->data + start + 48, f->smi_port, 4);
    bytes_store(b->data + start + 52, f->acpi_on, 1);
    bytes_store(b->data + start + 53, f->acpi_off, 1);
    bytes_store(b->data + start + 56, f->pm_base, 4);
    bytes_store(b->data + start + 64, f->pm_base + 4, 4);
    bytes_store(b->data + start + 76, f->pm_base + 8, 4);
    bytes_store(b->data + start + 80, f->gpe_base, 4);
    bytes_store(b->data + start + 88, 4, 1);           /* lengths: PM1 event, control, timer, GPE0 */
    bytes_store(b->data + start + 89, 2, 1);
    bytes_store(b->data + start + 91, 4, 1);
    bytes_store(b->data + start + 92, f->gpe_length, 1);
    bytes_store(b->data + start + 96, 0xfff, 2);       /* no C2, no C3 */
    bytes_store(b->data + start + 98, 0xfff, 2);
    bytes_store(b->data + start + 108, 0x32, 1);       /* century byte of the clock */
    bytes_store(b->data + start + 109, f->boot_flags, 2);
    bytes_store(b->data + start + 112, f->flags, 4);
    if (f->revision >= 3) {
        acpi_pointer(t, start + 140, 8, dsdt);
        fadt_extended(b, start, f);
    }
    acpi_end(t, start, true);
}

/* IA-PC HPET 1.0a, 3.2.4 */
void acpi_hpet(AcpiTables *t, uint64_t base, uint32_t id)
{
    unsigned start;
    GByteArray *b = acpi_begin(t, "HPET", 1, &start);
    bytes_put(b, id, 4);
    bytes_put(b, 0, 4);                /* address: memory, no width */
    bytes_put(b, base, 8);
    bytes_put(b, 0, 4);                /* number, minimum tick, protection */
    acpi_end(t, start, true);
}

/* PCI Firmware 3.2, 4.1.2 */
void acpi_mcfg(AcpiTables *t, uint64_t base, uint8_t first_bus, uint8_t last_bus)
{
    unsigned start;
    GByteArray *b = acpi_begin(t, "MCFG", 1, &start);
    bytes_put(b, 0, 8);
    bytes_put(b, base, 8);
    bytes_put(b, 0, 2);
    bytes_put(b, first_bus, 1);
    bytes_put(b, last_bus, 1);
    bytes_put(b, 0, 4);
    acpi_end(t, start, true);
}

/* Windows ACPI Emulated Devices Table */
void acpi_waet(AcpiTables *t, uint32_t flags)
{
    unsigned start;
    GByteArray *b = acpi_begin(t, "WAET", 1, &start);
    bytes_put(b, flags, 4);
    acpi_end(t, start, true);
}

/* Generic address structure (5.2.3.2): one byte in system memory. */
static void put_gas(GByteArray *b, unsigned at, uint64_t address)
{
    uint8_t gas[12] = {0, 8, 0, 1};
    address = GUINT64_TO_LE(address);
    memcpy(gas + 4, &address, 8);
    memcpy(b->data + at, gas, 12);
}

/* 5.2.9, hardware-reduced */
void acpi_fadt_reduced(AcpiTables *t, const AcpiReducedFadt *f, unsigned dsdt)
{
    enum { SIZE = 268, FLAGS = 112, RESET = 116, RESET_VALUE = 128, X_DSDT = 140,
           SLEEP_CONTROL = 244, SLEEP_STATUS = 256,
           FLAG_RESET = 1 << 10, FLAG_REDUCED = 1 << 20 };
    unsigned start;
    GByteArray *b = acpi_begin(t, "FACP", 5, &start);
    g_byte_array_set_size(b, start + SIZE);
    memset(b->data + start + HEADER, 0, SIZE - HEADER);
    uint32_t flags = GUINT32_TO_LE(FLAG_RESET | FLAG_REDUCED | f->extra_flags);
    memcpy(b->data + start + FLAGS, &flags, 4);
    put_gas(b, start + RESET, f->reset);
    b->data[start + RESET_VALUE] = f->reset_value;
    put_gas(b, start + SLEEP_CONTROL, f->sleep_control);
    put_gas(b, start + SLEEP_STATUS, f->sleep_status);
    acpi_pointer(t, start + X_DSDT, 8, dsdt);
    acpi_end(t, start, true);
}
