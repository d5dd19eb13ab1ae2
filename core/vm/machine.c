/* SPDX-License-Identifier: Apache-2.0 */
/* Machines: the base type with the properties that all have, and the registry by name. */
#include <string.h>

#include "core/numa.h"
#include "core/vm.h"
#include "util/error.h"
#include "util/suggest.h"

static void machine_finish(Object *o)
{
    Machine *m = (Machine *)o;

    g_clear_pointer(&m->serials, g_ptr_array_unref);
    g_clear_pointer(&m->images, g_ptr_array_unref);
    g_clear_pointer(&m->files, g_ptr_array_unref);
    g_clear_pointer(&m->parallels, g_ptr_array_unref);
    g_clear_pointer(&m->cpu_model, g_free);
    g_clear_pointer(&m->numa, numa_free);
}

static const Field fields[] = {
    PROP(Machine, firmware, "firmware", PROP_STRING, .desc = "Firmware image"),
    PROP(Machine, kernel, "kernel", PROP_STRING, .desc = "Linux kernel image file"),
    PROP(Machine, initrd, "initrd", PROP_STRING, .desc = "Linux initial ramdisk file"),
    PROP(Machine, append, "append", PROP_STRING, .desc = "Linux kernel command line"),
    PROP(Machine, dtb, "dtb", PROP_STRING, .desc = "Linux kernel device tree file"),
    PROP(Machine, dumpdtb, "dumpdtb", PROP_STRING, .desc = "Dump current dtb to a file and quit"),
    PROP(Machine, memory_backend, "memory-backend", PROP_STRING,
         .desc = "Set RAM backend: the id of a memory-backend object"),
    PROP(Machine, dump_guest_core, "dump-guest-core", PROP_BOOL, .init = 1,
         .desc = "Include guest memory in a core dump"),
    PROP(Machine, mem_merge, "mem-merge", PROP_BOOL, .init = 1,
         .desc = "Enable/disable memory merge support"),
    PROP(Machine, graphics, "graphics", PROP_BOOL, .init = 1, .desc = "Set on/off to enable/disable graphics emulation"),
    PROP(Machine, usb, "usb", PROP_BOOL, .desc = "Set on/off to enable/disable usb"),
};

static const ObjectType machine_base = {
    .name = "machine", .desc = "Any machine", .size = sizeof(Machine), .abstract = true,
    .finish = machine_finish, FIELDS(fields),
};
OBJECT_TYPE(machine_base);

typedef struct MachineSearch {
    const char *arch, *name;
    const MachineType *found;
    GPtrArray *names;
} MachineSearch;

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static void see_type(const ObjectType *t, void *data)
{
    MachineSearch *s = data;

    if (t->abstract || !object_type_is_a(t, "machine")) {
        return;
    }
    const MachineType *m = (const MachineType *)t;
    if (s->arch && !(m->archs && g_strv_contains(m->archs, s->arch))) {
        return;
    }
    g_ptr_array_add(s->names, (void *)m->machine);
    if (m->alias) {
        g_ptr_array_add(s->names, (void *)m->alias);
    }
    if (s->name ? same(m->machine, s->name) || same(m->alias, s->name) : m->is_default) {
        s->found = m;
    }
}

const MachineType *machine_find_error(const char *arch, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    MachineSearch s = {.arch = arch, .name = name, .names = names};

    object_type_foreach(see_type, &s);
    if (!s.found) {
        g_ptr_array_add(names, NULL);
        if (name) {
            error_set(error, "unsupported machine type: \"%s\"", name);
            suggest_append(error, name, (const char *const *)names->pdata);
        } else {
            error_set(error, "No machine specified, and there is no default");
        }
    }
    return s.found;
}

const MachineType *machine_find(const char *arch, const char *name)
{
    return machine_find_error(arch, name, NULL);
}

bool machine_truth(const Machine *m, const char *property)
{
    PropValue v = {0};
    bool yes = object_type_field(m->object.type, property) && object_get((Object *)m, property, &v, NULL) &&
               v.kind == VALUE_BOOL && v.b;

    prop_value_clear(&v);
    return yes;
}

/* The containers and regions that devices made so far stand in move over. */
static void adopt(Object *from, Object *to)
{
    while (from->child_list && from->child_list->len) {
        Object *child = from->child_list->pdata[0];
        g_autofree char *name = g_strdup(child->name);
        g_hash_table_remove(from->children, child->name);
        g_ptr_array_remove_index(from->child_list, 0);
        child->parent = NULL;
        g_clear_pointer(&child->name, g_free);
        object_add_child(to, name, child);
    }
}

Machine *machine_new(Vm *vm, const MachineType *type, const char *arch)
{
    Machine *m = (Machine *)object_new(vm, (const ObjectType *)type);
    Object *stand_in = object_child(&vm->root, "machine");

    g_assert(!vm->machine);
    m->vm = vm;
    m->type_ = type;
    m->arch = arch;
    m->serials = g_ptr_array_new();
    m->parallels = g_ptr_array_new();
    device_compat(vm, type->compat);
    adopt(stand_in, &m->object);
    object_remove(stand_in);
    object_add_child(&vm->root, "machine", &m->object);
    vm->machine = m;
    return m;
}
