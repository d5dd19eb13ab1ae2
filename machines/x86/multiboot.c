/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot (version 1) kernels, with the initrd option as a comma-separated list of modules. */
#include "machines/x86/formats.h"
#include <string.h>
#include "util/error.h"

enum {
    HEADER_MAGIC = 0x1badb002, BOOT_MAGIC = 0x2badb002, SEARCH = 8192,
    FLAG_ADDRESSES = 1 << 16,
    INFO_MEMORY = 1, INFO_CMDLINE = 4, INFO_MODULES = 8, INFO_MAP = 64, INFO_LOADER = 512,
    INFO_SIZE = 120, PAGE = 4096, MAX_MODULES = 32,
};

static uint32_t get(const uint8_t *p, unsigned at)
{
    uint32_t v;
    memcpy(&v, p + at, 4);
    return GUINT32_FROM_LE(v);
}

static void put(uint8_t *p, unsigned at, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    memcpy(p + at, &v, 4);
}

const uint8_t *x86_multiboot_header(GBytes *kernel)
{
    size_t n;
    const uint8_t *p = g_bytes_get_data(kernel, &n);
    for (size_t at = 0; at + 12 <= MIN(n, SEARCH); at += 4)
        if (get(p, at) == HEADER_MAGIC && get(p, at) + get(p, at + 4) + get(p, at + 8) == 0)
            return p + at;
    return NULL;
}

/* A kernel that states its addresses itself (the "a.out kludge"). */
static bool load_flat(Machine *m, GBytes *kernel, const uint8_t *h, LoaderElf *out, GError **error)
{
    size_t size;
    const uint8_t *p = g_bytes_get_data(kernel, &size);
    if (h + 32 > p + size)
        return error_set(error, "'%s': the multiboot header is cut short", m->kernel);
    uint32_t header = get(h, 12), load = get(h, 16), load_end = get(h, 20), bss_end = get(h, 24);
    uint64_t at = (h - p) - (uint64_t)(header - load);
    uint64_t n = load_end ? load_end - load : size - at;
    if (header < load || at > size || n > size - at)
        return error_set(error, "'%s': the multiboot header's addresses do not fit the file",
                         m->kernel);
    g_autoptr(GBytes) part = g_bytes_new_from_bytes(kernel, at, n);
    loader_add(m, part, load);
    *out = (LoaderElf){.entry = get(h, 28), .low = load, .high = MAX(load + n, bss_end)};
    return true;
}

/* Modules "file args,file args" page-aligned behind the kernel; rows of {start, end, text, 0}. */
static bool add_modules(Machine *m, uint64_t *at, uint64_t limit, uint8_t *rows, unsigned *count,
                        GByteArray *strings, uint64_t strings_at, GError **error)
{
    *count = 0;
    if (!m->initrd)
        return true;
    g_auto(GStrv) list = g_strsplit(m->initrd, ",", -1);
    for (unsigned i = 0; list[i]; i++) {
        if (i == MAX_MODULES)
            return error_set(error, "at most %d multiboot modules", MAX_MODULES);
        g_autofree char *path = g_strdup(list[i]);
        char *space = strchr(path, ' ');
        if (space)
            *space = 0;
        g_autoptr(GBytes) data = loader_file(m, path, error);
        if (!data)
            return false;
        uint64_t n = g_bytes_get_size(data);
        if (*at + n > limit)
            return error_set(error, "multiboot module '%s' does not fit into memory", path);
        loader_add(m, data, *at);
        put(rows, 16 * i, *at);
        put(rows, 16 * i + 4, *at + n);
        put(rows, 16 * i + 8, strings_at + strings->len);
        g_byte_array_append(strings, (const uint8_t *)list[i], strlen(list[i]) + 1);
        *at = (*at + n + PAGE - 1) & ~(uint64_t)(PAGE - 1);
        ++*count;
    }
    return true;
}

bool x86_boot_multiboot(Machine *m, GBytes *kernel, const char *cmdline, X86BootInfo *info,
                        GError **error)
{
    enum { MAP_AT = INFO_SIZE, ROWS_AT = MAP_AT + 24 * 16, STRINGS_AT = ROWS_AT + 16 * MAX_MODULES };
    const uint8_t *h = x86_multiboot_header(kernel);
    LoaderElf k;
    if (!(get(h, 4) & FLAG_ADDRESSES && !loader_is_elf(kernel)
              ? load_flat(m, kernel, h, &k, error)
              : loader_elf(m, kernel, m->kernel, &k, error)))
        return false;
    const uint64_t base = BOOT_START_INFO;
    g_autofree uint8_t *mbi = g_malloc0(STRINGS_AT);
    g_autoptr(GByteArray) strings = g_byte_array_new();
    uint64_t at = (k.high + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    unsigned modules;
    if (!add_modules(m, &at, info->low_end, mbi + ROWS_AT, &modules, strings, base + STRINGS_AT, error))
        return false;
    put(mbi, 0, INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MAP | INFO_LOADER);
    put(mbi, 4, BOOT_EBDA / 1024);
    put(mbi, 8, (info->low_end - 0x100000) / 1024);
    put(mbi, 16, base + STRINGS_AT + strings->len);
    g_autofree char *line = g_strdup_printf("%s %s", m->kernel, cmdline);
    g_byte_array_append(strings, (const uint8_t *)line, strlen(line) + 1);
    put(mbi, 20, modules);
    put(mbi, 24, base + ROWS_AT);
    put(mbi, 44, 24 * info->n_map);
    put(mbi, 48, base + MAP_AT);
    put(mbi, 64, base + STRINGS_AT + strings->len);
    g_byte_array_append(strings, (const uint8_t *)"myna", 5);
    for (unsigned i = 0; i < info->n_map; i++) {
        uint8_t *row = mbi + MAP_AT + 24 * i;
        put(row, 0, 20);
        put(row, 4, info->map[i].base);
        put(row, 8, info->map[i].base >> 32);
        put(row, 12, info->map[i].length);
        put(row, 16, info->map[i].length >> 32);
        put(row, 20, info->map[i].type);
    }
    loader_add_copy(m, mbi, STRINGS_AT, base);
    loader_add_copy(m, strings->data, strings->len, base + STRINGS_AT);
    info->entry = (X86Boot){.mode = X86_BOOT_PROT32, .start = k.entry, .rax = BOOT_MAGIC, .rbx = base};
    return true;
}
