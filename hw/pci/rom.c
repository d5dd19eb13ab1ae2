/* SPDX-License-Identifier: Apache-2.0 */
/* Option ROMs. PCI Local Bus 3.0, 6.3. */
#include <string.h>
#include "hw/pci/internal.h"
#include "util/error.h"

static const char *const dirs[] = {"/usr/lib/ipxe/qemu", "/usr/share/seabios", "/usr/share/qemu",
                                   "/usr/share/vgabios", "/usr/local/share/qemu", NULL};

static char *find_rom(Vm *vm, const char *name)
{
    if (strchr(name, '/') || g_file_test(name, G_FILE_TEST_IS_REGULAR))
        return g_strdup(name);
    for (unsigned i = 0; vm->data_dirs && i < vm->data_dirs->len; i++) {
        g_autofree char *path = g_build_filename(g_ptr_array_index(vm->data_dirs, i), name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
            return g_steal_pointer(&path);
    }
    for (unsigned i = 0; dirs[i]; i++) {
        g_autofree char *path = g_build_filename(dirs[i], name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
            return g_steal_pointer(&path);
    }
    return NULL;
}

bool pci_add_rom(PciDevice *p, GError **error)
{
    const char *name = p->romfile ? p->romfile : p->info->rom;
    g_autofree char *contents = NULL;
    gsize length;
    if (!name || !*name)
        return true;
    g_autofree char *path = find_rom(p->dev.object.vm, name);
    if (!path)          /* without the package with the type's ROM the card just has none */
        return !p->romfile || error_set(error, "failed to find romfile \"%s\"", name);
    if (!g_file_get_contents(path, &contents, &length, error))
        return false;
    if (length == 0 || length > 1 << 24)
        return error_set(error, "romfile \"%s\" has %" G_GSIZE_FORMAT " bytes; 1 to 16 MiB work", path,
                         length);
    if (!p->rombar)
        return true;
    uint64_t size = 2048;
    while (size < length)
        size <<= 1;
    if (p->romsize != UINT32_MAX) {
        if (p->romsize & (p->romsize - 1) || p->romsize < length)
            return error_set(error, "romsize=%u: must be a power of 2 that holds the %" G_GSIZE_FORMAT
                             " bytes of \"%s\"", p->romsize, length, path);
        size = MAX(p->romsize, 2048);
    }
    g_autofree char *block = g_strdup_printf("%s.rom", p->dev.id ? p->dev.id : p->dev.object.name);
    MemRegion *rom = mem_rom(&p->dev.object, block, size, error);
    if (!rom)
        return false;
    memset(mem_host(rom), 0xff, size);
    memcpy(mem_host(rom), contents, length);
    PciBar bar = {.kind = PCI_BAR_MEM32, .size = size};
    return pci_add_bar(p, PCI_ROM_BAR, &bar, rom, error);
}
