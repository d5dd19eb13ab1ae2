/* SPDX-License-Identifier: Apache-2.0 */
/* The generation ID of a machine. */
#ifndef HW_VMGENID_H
#define HW_VMGENID_H

#include "hw/acpi.h"

/* The machine's device, NULL: it has none; its number as text (the caller frees). */
Device *vmgenid_of(Vm *vm);
char *vmgenid_text(Device *vmgenid);
/* The SSDT, if there is a device. */
void vmgenid_table(AcpiTables *t, Vm *vm);

#endif
