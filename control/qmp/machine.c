/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about the machine, its accelerator, and what machines there are. */
#include <string.h>

#include "core/accel.h"
#include "core/vm.h"
#include "hw/acpi-hotplug.h"
#include "hw/vmgenid.h"
#include "machines/common.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

NameInfo *qmp_query_name(Vm *vm, GError **error)
{
    NameInfo *info = g_new0(NameInfo, 1);

    info->name = g_strdup(vm->name);
    return info;
}

GuidInfo *qmp_query_vm_generation_id(Vm *vm, GError **error)
{
    Device *d = vmgenid_of(vm);

    if (!d) {
        error_set(error, "VM Generation ID device not found");
        return NULL;
    }
    g_autofree char *text = vmgenid_text(d);
    return guid_info_new(text);
}

UuidInfo *qmp_query_uuid(Vm *vm, GError **error)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < sizeof(vm->uuid); i++) {
        g_string_append_printf(s, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                               vm->uuid[i]);
    }
    g_autofree char *text = g_string_free(s, FALSE);
    return uuid_info_new(text);
}

/* ---- accelerators ---- */

static bool accel_usable(const char *name)
{
    const AccelType *t = accel_find(name, NULL);
    g_autofree char *why = t && t->unavailable ? t->unavailable() : NULL;

    return t && !why;
}

static bool accel_used(Vm *vm, const char *name)
{
    const char *now = accel_current(vm);

    return now && strcmp(now, name) == 0;
}

KvmInfo *qmp_query_kvm(Vm *vm, GError **error)
{
    return kvm_info_new(accel_used(vm, "kvm"), accel_usable("kvm"));
}

AcceleratorInfo *qmp_query_accelerators(Vm *vm, GError **error)
{
    AcceleratorList *present = accelerator_list_new();
    Accelerator used = ACCELERATOR_TCG;

    for (Accelerator a = 0; a < ACCELERATOR__COUNT; a++) {
        if (accel_usable(accelerator_name(a))) {
            accelerator_list_add(present, a);
        }
        if (accel_used(vm, accelerator_name(a))) {
            used = a;
        }
    }
    return accelerator_info_new(used, present);
}

bool qmp_x_accel_set(Vm *vm, Accelerator accelerator, GError **error)
{
    const AccelType *t = accel_of(vm);
    const char *to = accelerator_name(accelerator);

    if (t && !t->hand_over && strcmp(t->accel, to) == 0) {
        return true;
    }
    if (!t || !t->hand_over) {
        return error_set(error, "a machine of accelerator %s stays with it; one started with -accel kvm"
                         " can be handed over", t ? t->accel : "none");
    }
    cpus_pause(vm);
    bool ok = t->hand_over(vm->accel, to, error);
    if (vm_is_running(vm)) {
        cpus_resume(vm);
    }
    return ok;
}

HumanReadableText *qmp_x_query_accel(Vm *vm, GError **error)
{
    const AccelType *t = accel_of(vm);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!t || !t->info) {
        error_set(error, "the accelerator keeps no statistics");
        return NULL;
    }
    t->info(vm->accel, text);
    return human_readable_text_new(text->str);
}

/* ---- machines ---- */

static Machine *machine_of(Vm *vm, GError **error)
{
    if (!vm->machine) {
        error_set(error, "there is no machine yet");
    }
    return vm->machine;
}

TargetInfo *qmp_query_target(Vm *vm, GError **error)
{
    SysEmuTarget target = 0;

    if (!machine_of(vm, error)) {
        return NULL;
    }
    if (!sys_emu_target_parse(vm->machine->arch, &target)) {
        error_set(error, "architecture '%s' has no name here", vm->machine->arch);
        return NULL;
    }
    return target_info_new(target);
}

typedef struct MachineSearch {
    const char *arch;
    MachineInfoList *list;
} MachineSearch;

static void add_machine(const ObjectType *t, void *data)
{
    MachineSearch *s = data;
    const MachineType *m = (const MachineType *)t;

    if (t->abstract || !object_type_is_a(t, "machine") || !m->archs ||
        !g_strv_contains(m->archs, s->arch)) {
        return;
    }
    const GuestIsa *isa = isa_find(s->arch);
    MachineInfo *info = g_new0(MachineInfo, 1);
    info->name = g_strdup(m->machine);
    info->alias = g_strdup(m->alias);
    info->has_is_default = info->is_default = m->is_default;
    info->cpu_max = MAX(m->max_cpus, 1);
    info->hotpluggable_cpus = m->cpu_plug != NULL;
    info->deprecated = m->deprecated;
    info->default_cpu_type = m->default_cpu && isa
                                 ? g_strdup_printf("%s-%s", m->default_cpu, isa->cpu_suffix) : NULL;
    info->default_ram_id = g_strdup(m->default_ram_id);
    info->acpi = object_type_field(t, "acpi") != NULL;
    machine_info_list_add(s->list, info);
}

MachineInfoList *qmp_query_machines(Vm *vm, bool has_compat_props, bool compat_props,
                                    GError **error)
{
    if (!machine_of(vm, error)) {
        return NULL;
    }
    if (compat_props) {
        error_set(error, "compat-props is not implemented: no machine here has versions");
        return NULL;
    }
    MachineSearch s = {vm->machine->arch, machine_info_list_new()};
    object_type_foreach(add_machine, &s);
    return s.list;
}

bool qmp_dumpdtb(Vm *vm, const char *filename, GError **error)
{
    GBytes *tree = machine_fdt(vm);

    if (!tree) {
        return error_set(error, "This machine doesn't have an FDT");
    }
    return g_file_set_contents(filename, g_bytes_get_data(tree, NULL), g_bytes_get_size(tree), error);
}

typedef struct OstSearch {
    ACPIOSTInfoList *list;
    bool found;
} OstSearch;

static bool add_slots(Object *o, void *data)
{
    OstSearch *s = data;
    bool cpus = object_is_a(o, "acpi-cpu-hotplug");
    AcpiOst ost;

    if (!cpus && !object_is_a(o, "acpi-memory-hotplug")) {
        return false;
    }
    s->found = true;
    for (unsigned n = 0; (cpus ? acpi_cpu_ost : acpi_memory_ost)((Device *)o, n, &ost); n++) {
        g_autofree char *slot = g_strdup_printf("%u", n);
        ACPIOSTInfo *info = acpiost_info_new(slot, cpus ? ACPI_SLOT_TYPE_CPU : ACPI_SLOT_TYPE_DIMM,
                                             ost.source, ost.status);
        info->device = g_strdup(ost.id);
        acpiost_info_list_add(s->list, info);
    }
    return false;
}

ACPIOSTInfoList *qmp_query_acpi_ospm_status(Vm *vm, GError **error)
{
    OstSearch s = {.list = acpiost_info_list_new()};

    object_walk(&vm->root, add_slots, &s);
    if (!s.found) {
        acpiost_info_list_free(s.list);
        error_set(error, "command is not supported, missing ACPI device");
        return NULL;
    }
    return s.list;
}

CurrentMachineParams *qmp_query_current_machine(Vm *vm, GError **error)
{
    return current_machine_params_new(vm->can_suspend);
}
