/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that most boards take. */
#include "core/accel.h"
#include "machines/common.h"
#include <inttypes.h>
#include "core/backend.h"
#include "util/error.h"

MemRegion *machine_make_ram(Machine *m, GError **error)
{
    const RamConfig plain = {.dump = m->dump_guest_core, .merge = m->mem_merge};
    if (!m->memory_backend)
        return mem_ram(&m->object, m->type_->default_ram_id, m->ram_size, &plain, error);
    Object *backend = object_child(m->vm->objects, m->memory_backend);
    if (!backend || !object_is_a(backend, "memory-backend")) {
        error_set(error, "-machine memory-backend=%s: there is no memory backend of that id; make "
                  "one with -object memory-backend-ram,id=%s,size=…", m->memory_backend,
                  m->memory_backend);
        return NULL;
    }
    MemRegion *ram = memory_backend_take(backend, error);
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

bool machine_set_chardev(Machine *m, Device *d, unsigned n, GError **error)
{
    Object *chr = (Object *)machine_serial(m, n);
    return !chr || object_set_string(&d->object, "chardev", chr->name, error);
}
