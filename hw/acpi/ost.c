/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest says of notifications. Spec: ACPI 6.5, 6.3.5, tables 6.23 and 6.24. */
#include "hw/acpi-hotplug.h"
#include "qapi/qapi-events.h"

enum { EJECT_REQUEST = 3, EJECT_BY_OSPM = 0x103, SUCCESS = 0, IN_PROGRESS = 0x83 };

static void refused(Vm *vm, const char *id, bool cpu, uint32_t status)
{
    g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", id);
    g_autofree char *why = g_strdup_printf("the guest does not let go of the memory: _OST status 0x%x", status);
    if (!cpu)
        qapi_event_mem_unplug_error(vm, id, why);
    qapi_event_device_unplug_guest_error(vm, id, path);
}

void acpi_ost(Vm *vm, const char *id, bool cpu, unsigned slot, uint32_t source, uint32_t status)
{
    g_autofree char *number = g_strdup_printf("%u", slot);
    bool eject = source == EJECT_REQUEST || source == EJECT_BY_OSPM;
    ACPIOSTInfo info = {
        .device = (char *)id, .slot = number, .source = source, .status = status,
        .slot_type = cpu ? ACPI_SLOT_TYPE_CPU : ACPI_SLOT_TYPE_DIMM,
    };
    qapi_event_acpi_device_ost(vm, &info);
    if (eject && status != SUCCESS && status < IN_PROGRESS && id)
        refused(vm, id, cpu, status);
}
