/* SPDX-License-Identifier: Apache-2.0 */
/* Where a PC's firmware comes from: a file at the end of 4 GiB, or flash chips. */
#include "block/drive.h"
#include "hw/pflash.h"
#include "machines/x86/pc.h"
#include "util/error.h"

enum {
    OPTION_ROMS = 0xc0000, OPTION_ROMS_SIZE = 0x20000, LOW_COPY = 128 * 1024, MAX_BIOS = 16 << 20,
    SECTOR = 4096, CHIPS = 2, FLASH_MAX = 8 << 20,
};

/* The last 128 KiB also below 1 MiB, where real mode looks. */
static void map_low(Pc *s, MemRegion *bios, uint64_t size)
{
    uint64_t low = MIN(size, LOW_COPY);
    mem_add(s->pci, 0x100000 - low, mem_alias(&s->m.object, "isa-bios", bios, size - low, low), 2);
}

static bool load_bios(Pc *s, GError **error)
{
    Machine *m = &s->m;
    g_autofree char *path = loader_find(m->vm, m->firmware ? m->firmware : "bios-256k.bin", error);
    g_autoptr(GBytes) bios = path ? loader_file(m, path, error) : NULL;
    if (!bios)
        return false;
    size_t size = g_bytes_get_size(bios);
    if (size == 0 || size > MAX_BIOS || size % 65536)
        return error_set(error, "firmware '%s' has %zu bytes; a BIOS image is a multiple of 64 KiB, "
                         "at most 16 MiB", path, size);
    s->bios = mem_rom(&m->object, "pc.bios", size, error);
    if (!s->bios)
        return false;
    mem_add(s->pci, (1ull << 32) - size, s->bios, 0);
    map_low(s, s->bios, size);
    loader_add(m, bios, (1ull << 32) - size);
    return true;
}

/* ---- flash ---- */

static bool find_chip(Pc *s, unsigned n, Drive **drive, GError **error)
{
    const char *name = n ? s->pflash1 : s->pflash0;
    *drive = drive_at(s->m.vm, DRIVE_PFLASH, 0, n, CHIPS);
    if (name && *drive)
        return error_set(error, "-machine pflash%u= and -drive if=pflash,unit=%u both name a flash chip", n, n);
    if (name && !(*drive = drive_find(s->m.vm, name)))
        return error_set(error, "-machine pflash%u=%s: there is no drive or node of that name", n, name);
    return true;
}

/* Chip 0 ends at 4 GiB, chip 1 below it. */
static bool add_flash(Pc *s, Drive *const drive[CHIPS], GError **error)
{
    uint64_t end = 1ull << 32;
    for (unsigned n = 0; n < CHIPS && drive[n]; n++) {
        g_autofree char *name = g_strdup_printf("system.flash%u", n);
        Device *chip = pflash_new(s->m.vm, name, drive[n], SECTOR, error);
        if (!chip)
            return false;
        end -= pflash_size(chip);
        if (end < (1ull << 32) - FLASH_MAX)
            return error_set(error, "combined size of system firmware exceeds 8 MiB");
        mem_add(s->m.vm->memory_root, end, pflash_region(chip), 0);
        if (n == 0)
            map_low(s, pflash_region(chip), pflash_size(chip));
    }
    return true;
}

bool pc_firmware(Pc *s, GError **error)
{
    Drive *drive[CHIPS];
    MemRegion *roms = mem_rom(&s->m.object, "pc.rom", OPTION_ROMS_SIZE, error);
    if (!roms || !find_chip(s, 0, &drive[0], error) || !find_chip(s, 1, &drive[1], error))
        return false;
    mem_add(s->pci, OPTION_ROMS, roms, 1);
    if (drive[1] && !drive[0])
        return error_set(error, "pflash1 requires pflash0");
    if (drive[0] && s->m.firmware)
        return error_set(error, "-bios and flash chips exclude each other");
    return drive[0] ? add_flash(s, drive, error) : load_bios(s, error);
}
