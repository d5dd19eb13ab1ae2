/* SPDX-License-Identifier: Apache-2.0 */
/* memsave and pmemsave: guest memory into a file. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "control/memory.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"
#include "util/fdstore.h"

enum { CHUNK = 64 * 1024 };

typedef struct Walk {
    uint64_t va;
    Translation found;
    bool ok;
} Walk;

static void walk(Cpu *cpu, void *data)
{
    Walk *w = data;

    w->ok = cpu->isa->translate_va(cpu, w->va, MEM_LOAD, 0, true, &w->found);
}

bool control_translate(Cpu *cpu, uint64_t va, uint64_t *pa)
{
    Walk w = { .va = va };

    cpu_run_on(cpu, walk, &w);
    if (w.ok) {
        *pa = w.found.pa;
    }
    return w.ok;
}

bool control_read_virtual(Cpu *cpu, uint64_t va, void *buf, uint64_t n)
{
    while (n > 0) {
        uint64_t pa;
        if (!control_translate(cpu, va, &pa)) {
            return false;
        }
        uint64_t page = UINT64_C(1) << cpu->isa->page_bits;
        uint64_t part = MIN(n, page - (va & (page - 1)));
        if (!as_read(cpu->vm->memory, pa, buf, part)) {
            return false;
        }
        va += part;
        buf = (char *)buf + part;
        n -= part;
    }
    return true;
}

static bool write_all(int fd, const char *data, uint64_t n, const char *name, GError **error)
{
    while (n > 0) {
        ssize_t done = write(fd, data, n);
        if (done < 0 && errno != EINTR) {
            return error_set_errno(error, errno, "Could not write to '%s'", name);
        }
        data += MAX(done, 0);
        n -= MAX(done, 0);
    }
    return true;
}

/* Saves `size` bytes from `at` on; `cpu` is NULL for physical memory. */
static bool save(Vm *vm, Cpu *cpu, uint64_t at, uint64_t size, const char *name, GError **error)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    int fd = fd_store_open(vm->fds, name, O_WRONLY | O_CREAT | O_TRUNC, 0666, error);
    bool ok = fd >= 0;

    for (; ok && size > 0; size -= MIN(size, CHUNK)) {
        uint64_t part = MIN(size, CHUNK);
        ok = cpu != NULL ? control_read_virtual(cpu, at, buffer, part)
                         : as_read(vm->memory, at, buffer, part);
        if (!ok) {
            error_set(error, "Invalid addr 0x%016" G_GINT64_MODIFIER "x/size %" G_GUINT64_FORMAT
                             " specified", at, size);
            break;
        }
        ok = write_all(fd, buffer, part, name, error);
        at += part;
    }
    if (fd >= 0 && close(fd) < 0 && ok) {
        ok = error_set_errno(error, errno, "Could not write to '%s'", name);
    }
    return ok;
}

bool qmp_memsave(Vm *vm, uint64_t val, uint64_t size, const char *filename, bool has_cpu_index,
                 int64_t cpu_index, GError **error)
{
    int64_t index = has_cpu_index ? cpu_index : 0;

    if (!cpu_at(vm, index)) {
        return error_set(error, "Invalid parameter 'cpu-index': there are %u CPUs", vm->n_cpus);
    }
    return save(vm, vm->cpus[index], val, size, filename, error);
}

bool qmp_pmemsave(Vm *vm, uint64_t val, uint64_t size, const char *filename, GError **error)
{
    return save(vm, NULL, val, size, filename, error);
}
