/* SPDX-License-Identifier: Apache-2.0 */
/* The floppy controller and its drives in the ACPI namespace. Spec: ACPI 6.5, 9.9 (_FDE, _FDI). */
#include "hw/acpi.h"
#include "hw/block/fdc.h"

/* The drive's type as PCs' CMOS memory names it. */
uint8_t floppy_cmos_type(FloppyType type)
{
    static const uint8_t codes[] = {[FLOPPY_144] = 4, [FLOPPY_288] = 5, [FLOPPY_120] = 2, [FLOPPY_NONE] = 0};
    return type < G_N_ELEMENTS(codes) ? codes[type] : 0;
}

static Aml *drive_info(FloppyType type, unsigned unit)
{
    enum { PARAMETERS = 11 };
    /* What INT 13h's diskette parameter table holds. */
    static const uint8_t table[PARAMETERS] = {0xaf, 0x02, 0x25, 0x02, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08};
    FloppyLimits l = floppy_limits(type);
    Aml *e[5 + PARAMETERS] = {aml_int(unit), aml_int(floppy_cmos_type(type)), aml_int(l.cylinders - 1),
                              aml_int(l.sectors), aml_int(l.heads - 1)};
    for (unsigned i = 0; i < PARAMETERS; i++)
        e[5 + i] = aml_int(table[i]);
    return aml_package(e, G_N_ELEMENTS(e));
}

static void add_drive(Aml *fdc, FloppyType type, unsigned unit)
{
    g_autofree char *name = g_strdup_printf("FLP%c", 'A' + unit);
    Aml *d = aml_device(name);
    aml_append(d, aml_name("_ADR", aml_int(unit)));
    aml_append(d, aml_name("_FDI", drive_info(type, unit)));
    aml_append(fdc, d);
}

void isa_fdc_aml(Bus *isa, Aml *to)
{
    enum { OTHER_UNITS = 4, NO_TAPE = 2 };
    const Fdc *s = (const Fdc *)isa_fdc_of(isa);
    uint32_t present[5] = {[OTHER_UNITS] = GUINT32_TO_LE(NO_TAPE)};
    if (!s)
        return;
    Aml *fdc = aml_device("FDC0"), *r = aml_resources();
    aml_append(fdc, aml_name("_HID", aml_eisaid("PNP0700")));
    aml_res_io(r, s->iobase + 2, 4);
    aml_res_io(r, s->iobase + 7, 1);
    aml_res_irq_legacy(r, s->irq_line);
    aml_res_dma(r, s->dma);
    aml_append(fdc, aml_name_resources("_CRS", r));
    for (unsigned i = 0; i < FLOPPY_DRIVES; i++) {
        const FloppyDrive *f = fdc_drive(s, i);
        if (!f || f->type == FLOPPY_NONE)
            continue;
        present[i] = GUINT32_TO_LE(1);
        add_drive(fdc, f->type, i);
    }
    aml_append(fdc, aml_name("_FDE", aml_buffer(present, sizeof(present))));
    aml_append(to, fdc);
}
