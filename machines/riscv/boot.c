/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How RISC-V boards start. Spec: OpenSBI's documentation of FW_DYNAMIC; Linux
 * Documentation/riscv/boot.rst and boot-image-header.rst.
 */
#include <string.h>
#include "machines/riscv/boot.h"
#include "machines/loader.h"
#include "util/error.h"

enum { MEGA_PAGE = 2 << 20, MEGA_PAGE32 = 4 << 20, EM_RISCV_ = 243 };
#define ALIGN_UP(x, a) (((x) + (a) - 1) / (a) * (a))

/* ---- firmware ---- */

static char *find_opensbi(Machine *m, unsigned xlen, GError **error)
{
    g_autofree char *name = g_strdup_printf("opensbi-riscv%u-generic-fw_dynamic.bin", xlen);
    char *path = loader_find(m->vm, name, NULL);
    if (!path && xlen == 64)
        path = loader_find(m->vm, "fw_dynamic.bin", NULL);
    if (!path && xlen == 32)
        error_set(error, "no OpenSBI for 32-bit harts (%s) in the data folders (-L); name it with "
                  "-bios FILE, or start the kernel without firmware: -bios none", name);
    return path || xlen == 32 ? path : loader_find(m->vm, name, error);
}

/* A file's bytes as they are at base, or an ELF file's segments. *end: past the last byte. */
static bool load_image(Machine *m, const char *path, uint64_t base, uint64_t *entry, uint64_t *end,
                       GError **error)
{
    g_autoptr(GBytes) file = loader_file(m, path, error);
    if (!file)
        return false;
    if (loader_is_elf(file)) {
        LoaderElf elf;
        if (!loader_elf(m, file, path, &elf, error))
            return false;
        if (elf.machine != EM_RISCV_)
            return error_set(error, "'%s' is an ELF file for another machine than RISC-V", path);
        *entry = elf.entry;
        *end = elf.high;
        return true;
    }
    loader_add(m, file, base);
    *entry = base;
    *end = base + g_bytes_get_size(file);
    return true;
}

static bool load_firmware(Machine *m, RiscvBoot *boot, uint64_t *end, GError **error)
{
    *end = boot->ram_base;
    boot->start = boot->ram_base;
    if (m->firmware && strcmp(m->firmware, "none") == 0)
        return true;
    bool dflt = !m->firmware || strcmp(m->firmware, "default") == 0;
    g_autofree char *path = dflt ? find_opensbi(m, boot->xlen, error)
                                 : loader_find(m->vm, m->firmware, error);
    return path && load_image(m, path, boot->ram_base, &boot->start, end, error);
}

/* ---- kernel and initrd ---- */

static bool is_gzip(GBytes *file)
{
    size_t n;
    const uint8_t *p = g_bytes_get_data(file, &n);
    return n > 2 && p[0] == 0x1f && p[1] == 0x8b;
}

static bool load_kernel(Machine *m, RiscvBoot *boot, uint64_t firmware_end, uint64_t *end,
                        GError **error)
{
    uint64_t base = ALIGN_UP(firmware_end, boot->xlen == 64 ? MEGA_PAGE : MEGA_PAGE32);
    g_autoptr(GBytes) file = loader_file(m, m->kernel, error);
    if (!file)
        return false;
    if (is_gzip(file))
        return error_set(error, "'%s' is compressed; unpack it first: zcat %s > Image", m->kernel,
                         m->kernel);
    return load_image(m, m->kernel, base, &boot->kernel_entry, end, error);
}

static bool load_initrd(Machine *m, RiscvBoot *boot, uint64_t kernel_end, GError **error)
{
    g_autoptr(GBytes) file = loader_file(m, m->initrd, error);
    if (!file)
        return false;
    uint64_t at = boot->kernel_entry + MIN(boot->ram_size / 2, 512ull << 20);
    at = MAX(at, ALIGN_UP(kernel_end, 4096));
    uint64_t end = at + g_bytes_get_size(file);
    if (end > boot->ram_base + boot->ram_size)
        return error_set(error, "the initial ramdisk '%s' (%zu MiB) does not fit behind the kernel; "
                         "give the machine more memory (-m)", m->initrd,
                         g_bytes_get_size(file) >> 20);
    loader_add(m, file, at);
    boot->initrd_start = at;
    boot->initrd_end = end;
    return true;
}

bool riscv_boot_load(Machine *m, RiscvBoot *boot, GError **error)
{
    uint64_t firmware_end, kernel_end;
    if (!load_firmware(m, boot, &firmware_end, error))
        return false;
    bool has_firmware = firmware_end != boot->ram_base;
    if (firmware_end > boot->ram_base + boot->ram_size)
        return error_set(error, "the firmware does not fit into memory (-m)");
    if (!m->kernel)
        return true;
    if (!load_kernel(m, boot, firmware_end, &kernel_end, error))
        return false;
    if (!has_firmware)
        boot->start = boot->kernel_entry;
    return !m->initrd || load_initrd(m, boot, kernel_end, error);
}

/* ---- device tree and reset vector ---- */

uint64_t riscv_boot_place_dtb(Machine *m, const RiscvBoot *boot, const void *dtb, size_t size,
                              GError **error)
{
    uint64_t end = boot->ram_base + boot->ram_size;
    uint64_t at = (end - size) / MEGA_PAGE * MEGA_PAGE;
    if (size > boot->ram_size || at < MAX(boot->initrd_end, boot->kernel_entry)) {
        error_set(error, "no room for the device tree behind the kernel and its ramdisk; give the "
                  "machine more memory (-m)");
        return 0;
    }
    loader_add_copy(m, dtb, size, at);
    return at;
}

void riscv_boot_reset_vector(Machine *m, const RiscvBoot *boot, uint64_t rom, uint64_t dtb)
{
    enum { SBI_MAGIC = 0x4942534f, SBI_VERSION = 2, NEXT_S_MODE = 1 };
    bool rv32 = boot->xlen == 32;
    uint32_t code[6] = {
        0x00000297,                             /* auipc t0, 0 */
        0x02828613,                             /* addi a2, t0, 40 */
        0xf1402573,                             /* csrr a0, mhartid */
        rv32 ? 0x0202a583 : 0x0202b583,         /* lw/ld a1, 32(t0) */
        rv32 ? 0x0182a283 : 0x0182b283,         /* lw/ld t0, 24(t0) */
        0x00028067,                             /* jr t0 */
    };
    uint64_t info[6] = {SBI_MAGIC, SBI_VERSION, boot->kernel_entry, NEXT_S_MODE, 0, 0};
    uint8_t image[0x58] = {0};
    for (unsigned i = 0; i < G_N_ELEMENTS(code); i++) {
        uint32_t word = GUINT32_TO_LE(code[i]);
        memcpy(image + 4 * i, &word, 4);
    }
    uint64_t words[2] = {GUINT64_TO_LE(boot->start), GUINT64_TO_LE(dtb)};
    memcpy(image + 0x18, words, sizeof(words));
    unsigned size = boot->xlen / 8;
    for (unsigned i = 0; i < G_N_ELEMENTS(info); i++) {
        uint64_t word = GUINT64_TO_LE(info[i]);
        memcpy(image + 0x28 + size * i, &word, size);
    }
    loader_add_copy(m, image, sizeof(image), rom);
}
