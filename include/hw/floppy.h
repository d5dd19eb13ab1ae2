/* SPDX-License-Identifier: Apache-2.0 */
/* Floppy controllers as boards see them. */
#ifndef HW_FLOPPY_H
#define HW_FLOPPY_H

#include "hw/acpi.h"

enum { FLOPPY_DRIVES = 2 };
typedef enum FloppyType { FLOPPY_144, FLOPPY_288, FLOPPY_120, FLOPPY_NONE, FLOPPY_AUTO } FloppyType;

/* The ISA bus's controller; NULL: there is none. */
Device *isa_fdc_of(Bus *isa);
/* Makes one, with the drives of -drive if=floppy. always: also when there are none. */
bool isa_fdc_add(Bus *isa, bool always, GError **error);
/* What is connected as drive `unit`; FLOPPY_NONE: nothing. */
FloppyType isa_fdc_drive_type(Device *fdc, unsigned unit);
uint8_t floppy_cmos_type(FloppyType type);
/* Adds the controller, if there is one, with its drives. */
void isa_fdc_aml(Bus *isa, Aml *to);

#endif
