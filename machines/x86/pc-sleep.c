/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI namespace of sleep states. ACPI 6.5, 7.4.2. */
#include "machines/x86/pc.h"

static void add_state(Aml *dsdt, const char *name, int type)
{
    Aml *e[] = {aml_int(type), aml_int(type), aml_int(0), aml_int(0)};
    if (type >= 0)
        aml_append(dsdt, aml_name(name, aml_package(e, G_N_ELEMENTS(e))));
}

void pc_sleep_aml(Aml *dsdt, const Pc *s)
{
    AcpiSleep sleep = acpi_pm_sleep(s->pm);
    add_state(dsdt, "\\_S3", sleep.s3);
    add_state(dsdt, "\\_S4", sleep.s4);
    add_state(dsdt, "\\_S5", 0);
}
