/* SPDX-License-Identifier: Apache-2.0 */
/* What the AML of hotplug's register blocks has in common: numbered devices behind registers that a mutex
 * guards. Spec: ACPI 6.5, 5.6.6, 6.3. */
#ifndef HW_ACPI_HOTPLUG_AML_H
#define HW_ACPI_HOTPLUG_AML_H

#include "hw/acpi.h"

typedef struct HotplugAml {
    const char *hid, *uid;      /* of the device with the registers */
    const char *bridge;         /* the scope in which it stands */
    const char *regs, *mutex;   /* its name, that of the mutex in it */
    const char *notify;         /* the method (number, value) that notifies a numbered device */
    const char *child;          /* numbered devices: this and the number in `digits` hexadecimal ones */
    int digits;
} HotplugAml;

/* The device with the registers, its resources and mutex; fields follow, then hotplug_aml_add_regs(). */
Aml *hotplug_aml_regs(const HotplugAml *h, const char *region, uint16_t port, unsigned window);
void hotplug_aml_add_regs(const HotplugAml *h, Aml *dsdt, Aml *regs);
/* A register by its field's name; a store into one at the end of a method. */
Aml *hotplug_aml_reg(const HotplugAml *h, const char *field);
void hotplug_aml_set(const HotplugAml *h, Aml *method, const char *field, Aml *value);
/* A method that holds the mutex from its beginning to its end, where it may return something. */
Aml *hotplug_aml_method(const HotplugAml *h, const char *name, unsigned args);
void hotplug_aml_end(const HotplugAml *h, Aml *to, Aml *method, Aml *result);
/* The method `notify` for devices 0 to n-1: Notify wants a name, not a number. */
void hotplug_aml_add_notify(const HotplugAml *h, Aml *to, unsigned n);
/* If `flag`: notifies device `number` of `what`, and the flag is cleared. */
Aml *hotplug_aml_pass_on(const HotplugAml *h, const char *flag, Aml *number, unsigned what);
/* The caller frees. */
char *hotplug_aml_child(const HotplugAml *h, unsigned n);
/* The method of a general purpose event that calls another. */
void hotplug_aml_add_event(Aml *dsdt, const char *event, const char *method);

#endif
