/* SPDX-License-Identifier: Apache-2.0 */
/* _OSC of PCI host bridges. Spec: PCI Firmware 3.2, 4.5. */
#include "hw/acpi-pci.h"

/* Express: what the system may control: native hotplug, power management, errors, the capability. */
void acpi_pci_osc(Aml *bridge, bool native_hotplug)
{
    enum { HOTPLUG = 1, GRANTED = 0x1f, UNRECOGNIZED = 4, BAD_REVISION = 8, MASKED = 16 };
    Aml *m = aml_method("_OSC", 4, false);
    aml_append(m, aml_create_dword_field(aml_arg(3), 0, "CDW1"));
    Aml *ours = aml_if(aml_equal(aml_arg(0), aml_uuid("33DB4D5B-1FF7-401C-9657-7441C03DD766")));
    aml_append(ours, aml_create_dword_field(aml_arg(3), 8, "CDW3"));
    aml_append(ours, aml_store(aml_and(aml_path("CDW3"), aml_int(native_hotplug ? GRANTED : GRANTED & ~HOTPLUG)), aml_local(0)));
    Aml *revision = aml_if(aml_not_equal(aml_arg(1), aml_int(1)));
    aml_append(revision, aml_or(aml_path("CDW1"), aml_int(BAD_REVISION), aml_path("CDW1")));
    aml_append(ours, revision);
    Aml *changed = aml_if(aml_not_equal(aml_path("CDW3"), aml_local(0)));
    aml_append(changed, aml_or(aml_path("CDW1"), aml_int(MASKED), aml_path("CDW1")));
    aml_append(ours, changed);
    aml_append(ours, aml_store(aml_local(0), aml_path("CDW3")));
    aml_append(m, ours);
    Aml *other = aml_else();
    aml_append(other, aml_or(aml_path("CDW1"), aml_int(UNRECOGNIZED), aml_path("CDW1")));
    aml_append(m, other);
    aml_append(m, aml_return(aml_arg(3)));
    aml_append(bridge, m);
}
