/* SPDX-License-Identifier: Apache-2.0 */
/* Linux bzImage by the 64-bit boot protocol, or the 32-bit one for kernels without it. */
#include "machines/x86/formats.h"
#include <string.h>
#include "util/bytes.h"
#include "util/error.h"

/* Offsets in the setup header and the zero page (boot_params). */
enum {
    ZP_RSDP = 0x070, ZP_E820_COUNT = 0x1e8, ZP_E820 = 0x2d0, ZP_SIZE = 4096,
    HDR = 0x1f1, HDR_SETUP_SECTS = 0x1f1, HDR_BOOT_FLAG = 0x1fe, HDR_JUMP = 0x201,
    HDR_MAGIC = 0x202, HDR_VERSION = 0x206, HDR_LOADER = 0x210, HDR_FLAGS = 0x211,
    HDR_RAMDISK = 0x218, HDR_RAMDISK_SIZE = 0x21c, HDR_CMDLINE = 0x228, HDR_INITRD_MAX = 0x22c,
    HDR_XLOADFLAGS = 0x236, HDR_CMDLINE_MAX = 0x238, HDR_INIT_SIZE = 0x260,
    LOADED_HIGH = 1, XLF_64 = 1, ENTRY_64 = 0x200, LOADER_UNKNOWN = 0xff,
};

static uint32_t get(const uint8_t *p, unsigned at, unsigned n)
{
    uint32_t v = 0;
    memcpy(&v, p + at, n);
    return GUINT32_FROM_LE(v);
}

bool x86_is_bzimage(GBytes *kernel)
{
    size_t n;
    const uint8_t *p = g_bytes_get_data(kernel, &n);
    return n > 0x1000 && get(p, HDR_BOOT_FLAG, 2) == 0xaa55 && !memcmp(p + HDR_MAGIC, "HdrS", 4);
}

/* Identity map of the first 4 GiB with 2 MiB pages. */
static void add_page_tables(Machine *m)
{
    enum { PRESENT_WRITE = 3, LARGE = 0x83, TABLES = 6 };
    g_autofree uint64_t *t = g_new0(uint64_t, TABLES * 512);
    t[0] = GUINT64_TO_LE(BOOT_PAGE_TABLES + 0x1000 + PRESENT_WRITE);
    for (unsigned i = 0; i < 4; i++)
        t[512 + i] = GUINT64_TO_LE(BOOT_PAGE_TABLES + 0x1000 * (2 + i) + PRESENT_WRITE);
    for (uint64_t i = 0; i < 2048; i++)
        t[1024 + i] = GUINT64_TO_LE(i * 0x200000 + LARGE);
    loader_add_copy(m, t, TABLES * 4096, BOOT_PAGE_TABLES);
}

/* Selectors 0x10 code, 0x18 data, 0x20 task, as the protocols ask. */
static void add_gdt(Machine *m, bool long_mode)
{
    uint64_t gdt[6] = {
        0, 0,
        GUINT64_TO_LE(long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull),
        GUINT64_TO_LE(0x00cf93000000ffffull),
        GUINT64_TO_LE(0x00008b0000000067ull), 0,
    };
    loader_add_copy(m, gdt, sizeof(gdt), BOOT_GDT);
}

static void fill_zero_page(uint8_t *zp, const uint8_t *p, const X86BootInfo *info,
                           const InitrdPlace *initrd)
{
    memcpy(zp + HDR, p + HDR, MIN(0x202 + p[HDR_JUMP], ZP_E820) - HDR);
    bytes_store(zp + HDR_LOADER, LOADER_UNKNOWN, 1);
    bytes_store(zp + HDR_RAMDISK, initrd->at, 4);
    bytes_store(zp + HDR_RAMDISK_SIZE, initrd->size, 4);
    bytes_store(zp + HDR_CMDLINE, BOOT_CMDLINE, 4);
    bytes_store(zp + ZP_RSDP, info->rsdp, 8);
    bytes_store(zp + ZP_E820_COUNT, info->n_map, 1);
    for (unsigned i = 0; i < info->n_map; i++) {
        bytes_store(zp + ZP_E820 + 20 * i, info->map[i].base, 8);
        bytes_store(zp + ZP_E820 + 20 * i + 8, info->map[i].length, 8);
        bytes_store(zp + ZP_E820 + 20 * i + 16, info->map[i].type, 4);
    }
}

bool x86_boot_bzimage(Machine *m, GBytes *kernel, const char *cmdline, X86BootInfo *info,
                      GError **error)
{
    size_t size;
    const uint8_t *p = g_bytes_get_data(kernel, &size);
    size_t setup = 512 * ((p[HDR_SETUP_SECTS] ? p[HDR_SETUP_SECTS] : 4) + 1);
    unsigned version = get(p, HDR_VERSION, 2);
    if (version < 0x206 || !(p[HDR_FLAGS] & LOADED_HIGH) || setup >= size)
        return error_set(error, "'%s': boot protocol %u.%02u is too old for a boot without "
                         "firmware; add -bios", m->kernel, version >> 8, version & 0xff);
    size_t max = get(p, HDR_CMDLINE_MAX, 4);
    if (strlen(cmdline) > max)
        return error_set(error, "the kernel takes at most %zu characters of command line, -append "
                         "and what the machine adds have %zu", max, strlen(cmdline));
    uint64_t room = version >= 0x20a ? get(p, HDR_INIT_SIZE, 4) : 0;
    uint64_t end = BOOT_KERNEL + MAX(size - setup, room);
    InitrdPlace initrd;
    if (!x86_place_initrd(m, info, (uint64_t)get(p, HDR_INITRD_MAX, 4) + 1, end, &initrd, error))
        return false;
    g_autoptr(GBytes) body = g_bytes_new_from_bytes(kernel, setup, size - setup);
    loader_add(m, body, BOOT_KERNEL);
    g_autofree uint8_t *zp = g_malloc0(ZP_SIZE);
    fill_zero_page(zp, p, info, &initrd);
    loader_add_copy(m, zp, ZP_SIZE, BOOT_ZERO_PAGE);
    x86_place_cmdline(m, cmdline);
    bool long_mode = version >= 0x20c && get(p, HDR_XLOADFLAGS, 2) & XLF_64 &&
                     x86_cpu_has(m->vm->cpus[0], "lm");
    add_gdt(m, long_mode);
    if (long_mode)
        add_page_tables(m);
    info->entry = (X86Boot){
        .mode = long_mode ? X86_BOOT_LONG64 : X86_BOOT_PROT32,
        .start = BOOT_KERNEL + (long_mode ? ENTRY_64 : 0), .rsi = BOOT_ZERO_PAGE,
        .cr3 = BOOT_PAGE_TABLES, .gdt_base = BOOT_GDT, .gdt_limit = 6 * 8 - 1,
        .cs = 0x10, .ds = 0x18, .tr = 0x20,
    };
    return true;
}
