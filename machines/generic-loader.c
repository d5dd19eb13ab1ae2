/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -device loader: a file or a number into memory, and where a CPU begins. Both at each reset, like everything
 * that machines/loader.c puts there.
 */
#include "core/device.h"
#include "core/cpu.h"
#include "machines/loader.h"
#include "util/bytes.h"
#include "util/error.h"

enum { NO_CPU = UINT32_MAX };

typedef struct GenericLoader {
    Device dev;
    uint64_t addr, data, entry;
    uint32_t cpu_num;
    uint8_t data_len;
    bool data_be, force_raw;
    char *file;
} GenericLoader;

static bool add_number(GenericLoader *s, Machine *m, GError **error)
{
    uint8_t bytes[8];
    if (s->data_len < 1 || s->data_len > sizeof(bytes))
        return error_set(error, "loader: data-len=%u: expected 1 to %zu bytes", s->data_len, sizeof(bytes));
    if (s->data_len < 8 && s->data >> 8 * s->data_len)
        return error_set(error, "loader: data=0x%llx does not fit into data-len=%u bytes",
                         (unsigned long long)s->data, s->data_len);
    for (unsigned i = 0; i < s->data_len; i++)
        bytes[s->data_be ? s->data_len - 1 - i : i] = (uint8_t)(s->data >> 8 * i);
    loader_add_copy(m, bytes, s->data_len, s->addr);
    return true;
}

static bool add_file(GenericLoader *s, Machine *m, GError **error)
{
    LoaderElf elf;
    g_autoptr(GBytes) file = loader_file(m, s->file, error);
    if (!file)
        return false;
    if (s->force_raw || !loader_is_elf(file)) {
        loader_add(m, file, s->addr);
    } else {
        if (!loader_elf(m, file, s->file, &elf, error))
            return false;
        s->entry = elf.entry;
    }
    return true;
}

static bool check(const GenericLoader *s, GError **error)
{
    const Vm *vm = s->dev.object.vm;
    bool number = s->data || s->data_len;
    if (!vm->machine || !vm->memory)
        return error_set(error, "loader: there is no machine to load into");
    if (s->file && number)
        return error_set(error, "loader: file= and data= are two loaders");
    if (!s->file && s->force_raw)
        return error_set(error, "loader: force-raw=on says how to read file=, which is missing");
    if (number && s->cpu_num != NO_CPU)
        return error_set(error, "loader: cpu-num= goes with file= or addr= alone, not with data=");
    if (!s->file && !number && s->cpu_num == NO_CPU)
        return error_set(error, "loader: file=, data= with data-len=, or cpu-num= is needed");
    if (s->cpu_num != NO_CPU && s->cpu_num >= vm->n_cpus)
        return error_set(error, "loader: cpu-num=%u: the machine has %u CPUs", s->cpu_num, vm->n_cpus);
    return true;
}

static bool realize(Device *d, GError **error)
{
    GenericLoader *s = (GenericLoader *)d;
    Machine *m = d->object.vm->machine;
    if (!check(s, error))
        return false;
    s->entry = s->addr;
    if (s->file)
        return add_file(s, m, error);
    return s->data || s->data_len ? add_number(s, m, error) : true;
}

/* CPUs have taken their own values in the first phase. */
static void reset_exit(Device *d)
{
    const GenericLoader *s = (GenericLoader *)d;
    if (s->cpu_num < d->object.vm->n_cpus)
        d->object.vm->cpus[s->cpu_num]->pc = s->entry;
}

static const Field fields[] = {
    PROP(GenericLoader, addr, "addr", PROP_U64, .desc = "where it goes"),
    PROP(GenericLoader, data, "data", PROP_U64, .desc = "a number to store"),
    PROP(GenericLoader, data_len, "data-len", PROP_U8, .desc = "its bytes"),
    PROP(GenericLoader, data_be, "data-be", PROP_BOOL, .desc = "big-endian"),
    PROP(GenericLoader, file, "file", PROP_STRING, .desc = "an ELF file, or bytes"),
    PROP(GenericLoader, force_raw, "force-raw", PROP_BOOL, .desc = "bytes, whatever they look like"),
    PROP(GenericLoader, cpu_num, "cpu-num", PROP_U32, .init = NO_CPU, .desc = "the CPU that begins there"),
    HOST(GenericLoader, entry),
};
static const DeviceType generic_loader = {
    .name = "loader", .desc = "Generic Loader", .size = sizeof(GenericLoader), .category = DEVICE_MISC,
    .pluggable = true, FIELDS(fields), .realize = realize, .reset_exit = reset_exit,
};
DEVICE_TYPE(generic_loader);
