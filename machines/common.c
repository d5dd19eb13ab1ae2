/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that most boards take. */
#include "core/accel.h"
#include "machines/common.h"
#include <inttypes.h>
#include "core/backend.h"
#include "core/numa.h"
#include "util/error.h"

static MemRegion *take_backend(Machine *m, const char *option, const char *id, GError **error)
{
    Object *backend = object_child(m->vm->objects, id);
    if (!backend || !object_is_a(backend, "memory-backend")) {
        error_set(error, "%s=%s: there is no memory backend of that id; make one with "
                  "-object memory-backend-ram,id=%s,size=…", option, id, id);
        return NULL;
    }
    return memory_backend_take(backend, error);
}

/* One node's memory behind the other's. */
static MemRegion *ram_of_nodes(Machine *m, GError **error)
{
    MemRegion *all = mem_container(&m->object, m->type_->default_ram_id, m->ram_size);
    uint64_t at = 0;
    for (unsigned i = 0; i < m->numa->n; i++) {
        const NumaNode *node = &m->numa->node[i];
        if (!node->size)
            continue;
        MemRegion *part = take_backend(m, "-numa node,memdev", node->memdev, error);
        if (!part)
            return NULL;
        mem_add(all, at, part, 0);
        at += node->size;
    }
    return all;
}

static bool nodes_have_backends(const Machine *m)
{
    for (unsigned i = 0; m->numa && i < m->numa->n; i++)
        if (m->numa->node[i].memdev)
            return true;
    return false;
}

MemRegion *machine_make_ram(Machine *m, GError **error)
{
    const RamConfig plain = {.dump = m->dump_guest_core, .merge = m->mem_merge};
    if (nodes_have_backends(m))
        return ram_of_nodes(m, error);
    if (!m->memory_backend)
        return mem_ram(&m->object, m->type_->default_ram_id, m->ram_size, &plain, error);
    MemRegion *ram = take_backend(m, "-machine memory-backend", m->memory_backend, error);
    if (ram && mem_size(ram) != m->ram_size) {
        error_set(error, "-m gives the machine %" PRIu64 " MiB, but memory backend '%s' has %" PRIu64
                  " MiB", m->ram_size >> 20, m->memory_backend, mem_size(ram) >> 20);
        return NULL;
    }
    return ram;
}

bool machine_make_cpus(Machine *m, GError **error)
{
    Vm *vm = m->vm;
    const GuestIsa *isa = isa_find(m->arch);
    const char *model = m->cpu_model ? m->cpu_model : m->type_->default_cpu;
    if (!isa)
        return error_set(error, "this build has no guest architecture '%s'", m->arch);
    (void)accel_irqchip(vm);    /* an accelerator makes its interrupt chips before CPUs */
    for (unsigned i = 0; i < m->smp.cpus; i++)
        if (!cpu_new(vm, isa, model, i, error))
            return false;
    return true;
}

struct Chardev *machine_serial(Machine *m, unsigned n)
{
    return m->serials && n < m->serials->len ? g_ptr_array_index(m->serials, n) : NULL;
}

bool machine_make_port(Machine *m, const char *type, struct Chardev *chr, Bus *bus, GError **error)
{
    Device *d = device_new(m->vm, type, error);
    return d && (!chr || object_set_string(&d->object, "chardev", ((Object *)chr)->name, error)) &&
           device_realize(d, bus, error);
}

bool machine_set_chardev(Machine *m, Device *d, unsigned n, GError **error)
{
    Object *chr = (Object *)machine_serial(m, n);
    return !chr || object_set_string(&d->object, "chardev", chr->name, error);
}

typedef struct Tree {
    GBytes *bytes;
} Tree;

static void *make_tree(Vm *vm) { return g_new0(Tree, 1); }

static void free_tree(gpointer p)
{
    g_clear_pointer(&((Tree *)p)->bytes, g_bytes_unref);
    g_free(p);
}

static Tree *tree_of(Vm *vm)
{
    static const char key;
    return vm_data(vm, &key, make_tree, free_tree);
}

void machine_keep_fdt(Machine *m, const GByteArray *tree)
{
    g_clear_pointer(&tree_of(m->vm)->bytes, g_bytes_unref);
    tree_of(m->vm)->bytes = g_bytes_new(tree->data, tree->len);
}

GBytes *machine_fdt(Vm *vm) { return tree_of(vm)->bytes; }
