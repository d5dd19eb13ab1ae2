/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables: an AML builder, table blobs with loader commands, and the generic event device.
 * Spec: ACPI 6.5 (chapter 20: AML; 5.2: tables; 5.6.9: generic event device).
 */
#ifndef HW_ACPI_H
#define HW_ACPI_H

#include "hw/fw_cfg.h"

/* ---- AML: a term is a byte string; packages of terms are appended and consumed ---- */

typedef GByteArray Aml;         /* owned by the one it is appended to */

Aml *aml_new(void);
void aml_append(Aml *parent, Aml *child);               /* consumes child */
Aml *aml_int(uint64_t value);
Aml *aml_string(const char *text);
Aml *aml_eisaid(const char *id);                        /* "PNP0501" as its integer */
Aml *aml_path(const char *path);                        /* "\\_SB.GED", "ESEL" */
Aml *aml_name(const char *name, Aml *value);
Aml *aml_buffer(const void *data, unsigned n);
Aml *aml_package(Aml *const *elements, unsigned n);
Aml *aml_device(const char *name);                      /* containers: append terms to them */
Aml *aml_scope(const char *name);
Aml *aml_method(const char *name, unsigned args, bool serialized);
Aml *aml_if(Aml *condition);
Aml *aml_return(Aml *value);
Aml *aml_store(Aml *value, Aml *to);
Aml *aml_and(Aml *a, Aml *b);
Aml *aml_equal(Aml *a, Aml *b);
Aml *aml_local(unsigned n);
Aml *aml_arg(unsigned n);
Aml *aml_notify(const char *path, uint64_t value);
/* OperationRegion; space 0 system memory, 1 I/O. */
Aml *aml_region(const char *name, uint8_t space, uint64_t offset, uint32_t length);
Aml *aml_region_at(const char *name, uint8_t space, Aml *offset, uint32_t length);
/* Field with one unit: access 1, 2, 3 (byte, word, dword); width in bits. */
Aml *aml_field(const char *region, uint8_t access, const char *unit, unsigned bits);
/* Fields of several units in order; name NULL: a gap. `update` 0 preserve, 1 write as ones, 2 as zeros. */
typedef struct AmlUnit { const char *name; unsigned bits; } AmlUnit;
Aml *aml_fields(const char *region, uint8_t access, bool lock, uint8_t update, const AmlUnit *units,
                unsigned n);
Aml *aml_else(void);
Aml *aml_while(Aml *condition);
Aml *aml_or(Aml *a, Aml *b, Aml *to);                   /* to NULL: result only; likewise below */
Aml *aml_add(Aml *a, Aml *b, Aml *to);
Aml *aml_subtract(Aml *a, Aml *b, Aml *to);
Aml *aml_shift_left(Aml *a, Aml *b);
Aml *aml_shift_right(Aml *a, Aml *b);
Aml *aml_not_equal(Aml *a, Aml *b);
Aml *aml_less(Aml *a, Aml *b);
Aml *aml_logical_and(Aml *a, Aml *b);
Aml *aml_logical_or(Aml *a, Aml *b);
Aml *aml_index(Aml *object, Aml *at);
Aml *aml_deref(Aml *reference);
Aml *aml_sizeof(Aml *object);
Aml *aml_increment(Aml *x);
Aml *aml_object_type(Aml *object);
Aml *aml_concatenate(Aml *a, Aml *b);
Aml *aml_mid(Aml *object, Aml *from, Aml *n);         /* part of a buffer or string */
Aml *aml_break(void);
Aml *aml_create_dword_field(Aml *buffer, uint64_t at, const char *name);
Aml *aml_call(const char *method, Aml *const *args, unsigned n);
Aml *aml_notify_object(Aml *object, Aml *value);
Aml *aml_mutex(const char *name, uint8_t level);
Aml *aml_acquire(const char *mutex);                    /* waits for ever */
Aml *aml_release(const char *mutex);
Aml *aml_uuid(const char *uuid);                        /* buffer in the mixed order of ToUUID */
Aml *aml_processor(const char *name, uint8_t id);
/* Resource templates: descriptors appended to a template, which becomes a buffer. */
Aml *aml_resources(void);
void aml_res_memory32(Aml *res, uint32_t base, uint32_t length, bool writable);
void aml_res_io(Aml *res, uint16_t base, uint8_t length);
void aml_res_irq(Aml *res, uint32_t gsi, bool edge);    /* extended interrupt, active high */
void aml_res_irq_legacy(Aml *res, uint8_t irq);
void aml_res_dma(Aml *res, uint8_t channel);             /* of bytes, compatible */
/* Interrupt descriptor, level, active high, shared; several numbers are a choice. */
void aml_res_interrupts(Aml *res, const uint32_t *irqs, unsigned n);
/* Windows of a bridge [first, last]. */
void aml_res_bus(Aml *res, uint16_t first, uint16_t last);
void aml_res_window_io(Aml *res, uint16_t first, uint16_t last);
void aml_res_window32(Aml *res, uint32_t first, uint32_t last, bool cacheable);
void aml_res_window64(Aml *res, uint64_t first, uint64_t last);
Aml *aml_name_resources(const char *name, Aml *res);

/* ---- tables ---- */

typedef struct AcpiTables AcpiTables;
AcpiTables *acpi_tables_new(void);
void acpi_tables_free(AcpiTables *t);
/* Begins a table in the blob "etc/acpi/tables"; returns its byte array and start offset. */
GByteArray *acpi_begin(AcpiTables *t, const char *signature, uint8_t revision, unsigned *start);
/* Bytes that are not a table with a header (FACS), at a multiple of `align`; returns their offset. */
unsigned acpi_raw(AcpiTables *t, const void *data, unsigned n, unsigned align);
/* OEM id (6) and table id (8) of all tables; NULL: BOCHS, BXPC. Before the first table. */
void acpi_set_oem(AcpiTables *t, const char *id, const char *table_id);
/* Ends it: length and checksum, an entry in the root table. dsdt: not listed there. */
void acpi_end(AcpiTables *t, unsigned start, bool listed);
/* A pointer field of `size` bytes at `at` to offset `target` of the tables' blob. */
void acpi_pointer(AcpiTables *t, unsigned at, unsigned size, unsigned target);
/* The same to a further fw_cfg file, which firmware puts into memory of its own (at a multiple of `align`). Names
 * are static. Machines without firmware have no such files. */
void acpi_pointer_to_file(AcpiTables *t, unsigned at, unsigned size, const char *file, unsigned align);
/* In AML: a Name of the address (32 bits) at which firmware has put `file`. */
void acpi_name_of_file(AcpiTables *t, const char *name, const char *file, unsigned align);
/* Firmware writes where it has put `file`, which was named before, into the first `size` bytes of `dest`. */
void acpi_write_pointer(AcpiTables *t, const char *dest, const char *file, unsigned size);
/* -acpitable: a table of the user's own. Before the machine is built; its board puts it in with
 * acpi_user_tables(). */
bool acpi_add_option(Vm *vm, const char *text, GError **error);
void acpi_user_tables(AcpiTables *t, Vm *vm);
/* Root tables (XSDT and RSDP revision 2, or RSDT and RSDP 0), then delivery. */
void acpi_finish(AcpiTables *t, bool xsdt);
/* As fw_cfg files for firmware: etc/acpi/tables, etc/acpi/rsdp, etc/table-loader. */
void acpi_to_fw_cfg(AcpiTables *t, FwCfg *fw_cfg);
/* Straight into memory at base, RSDP first, for boots without firmware. Returns bytes used. */
uint64_t acpi_to_memory(AcpiTables *t, AddressSpace *as, uint64_t base);

/* ---- tables that several machines have ---- */
typedef struct AcpiMadt {
    uint32_t lapic_base;
    const uint32_t *apic_ids;   /* of present CPUs */
    const bool *absent;         /* of each CPU: may come later; NULL: all are there */
    unsigned cpus, ioapics;
    struct { uint32_t base, gsi; uint8_t id; } ioapic[2];
    bool pc_overrides;          /* IRQ0→GSI2 and level SCI-style lines as on PCs */
} AcpiMadt;
void acpi_madt(AcpiTables *t, const AcpiMadt *m);
/* The entry of one local APIC, as it is in the table. */
void acpi_madt_cpu(GByteArray *b, unsigned uid, uint32_t apic_id, bool enabled);
typedef struct AcpiReducedFadt {
    uint64_t sleep_control, sleep_status, reset;
    uint8_t reset_value;
    uint32_t extra_flags;
} AcpiReducedFadt;
/* With the fixed hardware of PCs. */
typedef struct AcpiFadt {
    uint8_t revision;           /* 1: 116 bytes, 3: 244 with reset register */
    uint16_t sci;
    uint32_t smi_port;
    uint8_t acpi_on, acpi_off;
    uint32_t pm_base, gpe_base;
    uint8_t gpe_length;
    uint32_t flags;
    uint16_t boot_flags;
    uint16_t reset_port;        /* 0: none */
    uint8_t reset_value;
} AcpiFadt;
void acpi_fadt(AcpiTables *t, const AcpiFadt *f, unsigned facs, unsigned dsdt);
unsigned acpi_facs(AcpiTables *t);
void acpi_hpet(AcpiTables *t, uint64_t base, uint32_t id);
void acpi_mcfg(AcpiTables *t, uint64_t base, uint8_t first_bus, uint8_t last_bus);
void acpi_waet(AcpiTables *t, uint32_t flags);
void acpi_fadt_reduced(AcpiTables *t, const AcpiReducedFadt *f, unsigned dsdt);

/* ---- the generic event device: selector at base, registers at regs ---- */
enum { GED_MEMORY = 1, GED_POWER_BUTTON = 2 };
Device *ged_new(Vm *vm, uint64_t selector, uint64_t regs, Pin irq);
void ged_aml(Aml *sb, uint64_t selector, uint32_t gsi);

#endif
