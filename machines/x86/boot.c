/* SPDX-License-Identifier: Apache-2.0 */
/* Direct boots: what all formats share, and the choice among them. */
#include "machines/x86/boot.h"
#include <inttypes.h>
#include <string.h>
#include "machines/x86/formats.h"
#include "util/error.h"

void x86_boot_map(X86BootInfo *info, uint64_t low_end, uint64_t high_size)
{
    info->low_end = low_end;
    info->map[0] = (E820){0, BOOT_EBDA, 1};
    info->map[1] = (E820){BOOT_EBDA, 0x100000 - BOOT_EBDA, 2};
    info->map[2] = (E820){0x100000, low_end - 0x100000, 1};
    info->map[3] = (E820){1ull << 32, high_size, 1};
    info->n_map = high_size ? 4 : 3;
}

bool x86_place_initrd(Machine *m, X86BootInfo *info, uint64_t limit, uint64_t floor,
                      InitrdPlace *place, GError **error)
{
    *place = (InitrdPlace){0};
    if (!m->initrd)
        return true;
    g_autoptr(GBytes) data = loader_file(m, m->initrd, error);
    if (!data)
        return false;
    uint64_t size = g_bytes_get_size(data), top = MIN(info->low_end, limit);
    if (size + floor > top)
        return error_set(error, "initrd '%s' (%" PRIu64 " MiB) does not fit into memory beside the "
                         "kernel; give the machine more memory (-m)", m->initrd, size >> 20);
    *place = (InitrdPlace){(top - size) & ~0xfffull, size};
    loader_add(m, data, place->at);
    return true;
}

void x86_place_cmdline(Machine *m, const char *cmdline)
{
    loader_add_copy(m, cmdline, strlen(cmdline) + 1, BOOT_CMDLINE);
}

/*
 * What stands at f000:fff0 when there is no firmware: kernels that reboot "by BIOS" jump there, as
 * Linux does on hardware-reduced ACPI. An empty IDT and a breakpoint shut the processor down, which
 * resets the machine.
 */
static void add_reset_stub(Machine *m)
{
    static const uint8_t stub[16] = {
        0x2e, 0x0f, 0x01, 0x1e, 0xfa, 0xff,     /* lidt cs:[fffa] */
        0xcc,                                   /* int3 */
        [10] = 0,                               /* fffa: limit and base 0 */
    };
    loader_add_copy(m, stub, sizeof(stub), 0xffff0);
}

bool x86_boot_kernel(Machine *m, const char *cmdline, X86BootInfo *info, GError **error)
{
    g_autoptr(GBytes) kernel = loader_file(m, m->kernel, error);
    if (!kernel)
        return false;
    bool ok;
    if (x86_is_bzimage(kernel))
        ok = x86_boot_bzimage(m, kernel, cmdline, info, error);
    else if (x86_multiboot_header(kernel))
        ok = x86_boot_multiboot(m, kernel, cmdline, info, error);
    else if (loader_is_elf(kernel))
        ok = x86_boot_pvh(m, kernel, cmdline, info, error);
    else
        return error_set(error, "'%s' is not a kernel for x86: expected a bzImage, an ELF file with "
                         "a PVH note or a multiboot header", m->kernel);
    add_reset_stub(m);
    info->direct = ok;
    return ok;
}

/* ---- with firmware ---- */

static bool add_rom(Machine *m, FwCfg *fw_cfg, const char *name, GError **error)
{
    g_autofree char *path = loader_find(m->vm, name, error);
    g_autoptr(GBytes) rom = path ? loader_file(m, path, error) : NULL;
    if (!rom)
        return false;
    g_autofree char *file = g_strconcat("genroms/", name, NULL);
    g_autofree char *order = g_strconcat("/rom@genroms/", name, NULL);
    size_t n;
    const void *data = g_bytes_get_data(rom, &n);
    fw_cfg_add_file(fw_cfg, file, data, n);
    fw_cfg_boot_first(fw_cfg, order);
    return true;
}

static void put32(uint8_t *p, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    memcpy(p, &v, 4);
}

/* The option ROM puts the pieces in place as a real-mode loader would. */
bool x86_boot_fw_cfg(Machine *m, FwCfg *fw_cfg, const char *cmdline, uint64_t low_end,
                     bool option_rom, GError **error)
{
    enum { SETUP_AT = 0x10000, TOP_RESERVE = 0x29000, HEAP_END = 0xfe00 };
    g_autoptr(GBytes) kernel = loader_file(m, m->kernel, error);
    if (!kernel)
        return false;
    if (!x86_is_bzimage(kernel))
        return error_set(error, "'%s' is not a bzImage; other kernels boot without -bios", m->kernel);
    size_t size, setup_size;
    const uint8_t *p = g_bytes_get_data(kernel, &size);
    setup_size = 512 * ((p[0x1f1] ? p[0x1f1] : 4) + 1);
    g_autofree uint8_t *setup = g_memdup2(p, MIN(setup_size, size));
    setup[0x210] = 0xb0;
    setup[0x211] |= 0x80;
    setup[0x224] = HEAP_END & 0xff;
    setup[0x225] = HEAP_END >> 8;
    put32(setup + 0x228, BOOT_CMDLINE);
    if (m->initrd) {
        g_autoptr(GBytes) initrd = loader_file(m, m->initrd, error);
        if (!initrd)
            return false;
        size_t n;
        const void *data = g_bytes_get_data(initrd, &n);
        uint32_t at = (low_end - TOP_RESERVE - n) & ~0xfffull;
        put32(setup + 0x218, at);
        put32(setup + 0x21c, n);
        fw_cfg_add_u32(fw_cfg, FW_CFG_INITRD_ADDR, at);
        fw_cfg_add_u32(fw_cfg, FW_CFG_INITRD_SIZE, n);
        fw_cfg_add(fw_cfg, FW_CFG_INITRD_DATA, data, n);
    }
    fw_cfg_add_u32(fw_cfg, FW_CFG_KERNEL_ADDR, BOOT_KERNEL);
    fw_cfg_add_u32(fw_cfg, FW_CFG_KERNEL_SIZE, size - setup_size);
    fw_cfg_add(fw_cfg, FW_CFG_KERNEL_DATA, p + setup_size, size - setup_size);
    fw_cfg_add_u32(fw_cfg, FW_CFG_CMDLINE_ADDR, BOOT_CMDLINE);
    fw_cfg_add_u32(fw_cfg, FW_CFG_CMDLINE_SIZE, strlen(cmdline) + 1);
    fw_cfg_add_string(fw_cfg, FW_CFG_CMDLINE_DATA, cmdline);
    fw_cfg_add_u32(fw_cfg, FW_CFG_SETUP_ADDR, SETUP_AT);
    fw_cfg_add_u32(fw_cfg, FW_CFG_SETUP_SIZE, setup_size);
    fw_cfg_add(fw_cfg, FW_CFG_SETUP_DATA, setup, setup_size);
    return !option_rom || add_rom(m, fw_cfg, "linuxboot_dma.bin", error);
}

bool x86_load_bios(Machine *m, const char *dflt, GError **error)
{
    enum { LOW_COPY = 128 * 1024, MAX_BIOS = 16 << 20 };
    g_autofree char *path = loader_find(m->vm, m->firmware ? m->firmware : dflt, error);
    g_autoptr(GBytes) bios = path ? loader_file(m, path, error) : NULL;
    if (!bios)
        return false;
    size_t size = g_bytes_get_size(bios);
    if (size == 0 || size > MAX_BIOS || size % 65536)
        return error_set(error, "firmware '%s' has %zu bytes; a BIOS image is a multiple of 64 KiB, "
                         "at most 16 MiB", path, size);
    /* Writable: there is no chip set with a register that would unlock the shadow. */
    MemRegion *rom = mem_ram(&m->object, "pc.bios", size, NULL, error);
    if (!rom)
        return false;
    loader_add(m, bios, (1ull << 32) - size);
    uint64_t low = MIN(size, LOW_COPY);
    mem_add(m->vm->memory_root, (1ull << 32) - size, rom, 0);
    mem_add(m->vm->memory_root, 0x100000 - low,
            mem_alias(&m->object, "isa-bios", rom, size - low, low), 1);
    return true;
}
