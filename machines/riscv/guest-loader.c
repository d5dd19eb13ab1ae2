/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel and the ramdisk that a hypervisor, the machine's own -kernel, is to start. It finds them by nodes
 * of /chosen (Multiboot on Arm, "multiboot,module").
 */
#include <string.h>
#include "core/device.h"
#include "machines/loader.h"
#include "machines/riscv/fdt.h"
#include "machines/riscv/guest-loader.h"
#include "util/error.h"

typedef struct GuestLoader {
    Device dev;
    uint64_t addr, size;
    char *kernel, *initrd, *bootargs;
} GuestLoader;

static bool realize(Device *d, GError **error)
{
    GuestLoader *s = (GuestLoader *)d;
    Machine *m = d->object.vm->machine;
    if (!m || !m->arch || !g_str_has_prefix(m->arch, "riscv"))
        return error_set(error, "guest-loader: this machine has no device tree to tell of a guest");
    if (!s->kernel == !s->initrd)
        return error_set(error, "guest-loader: either kernel= or initrd= is needed, one a loader");
    if (s->bootargs && !s->kernel)
        return error_set(error, "guest-loader: bootargs= is for kernel=");
    g_autoptr(GBytes) file = loader_file(m, s->kernel ? s->kernel : s->initrd, error);
    if (!file)
        return false;
    s->size = g_bytes_get_size(file);
    loader_add(m, file, s->addr);
    return true;
}

static const Field fields[] = {
    PROP(GuestLoader, addr, "addr", PROP_U64, .desc = "where it goes"),
    PROP(GuestLoader, kernel, "kernel", PROP_STRING, .desc = "a file, as it is"),
    PROP(GuestLoader, initrd, "initrd", PROP_STRING, .desc = "a file, as it is"),
    PROP(GuestLoader, bootargs, "bootargs", PROP_STRING, .desc = "the kernel's command line"),
    HOST(GuestLoader, size),
};
static const DeviceType guest_loader = {
    .name = "guest-loader", .desc = "Guest Loader", .size = sizeof(GuestLoader), .category = DEVICE_MISC,
    .pluggable = true, FIELDS(fields), .realize = realize,
};
DEVICE_TYPE(guest_loader);

static bool collect(Object *o, void *modules)
{
    const GuestLoader *s = (GuestLoader *)o;
    if (!object_is_a(o, "guest-loader"))
        return false;
    const FdtModule m = {s->addr, s->size, s->kernel ? "multiboot,kernel" : "multiboot,ramdisk", s->bootargs};
    g_array_append_val((GArray *)modules, m);
    return false;
}

bool guest_loaders_describe(Vm *vm, GByteArray *tree, const char *name, GError **error)
{
    g_autoptr(GArray) modules = g_array_new(FALSE, FALSE, sizeof(FdtModule));
    object_walk(&vm->root, collect, modules);
    return !modules->len || fdt_set_modules(tree, (const FdtModule *)modules->data, modules->len, name, error);
}
