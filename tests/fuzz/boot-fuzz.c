/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for what -kernel, -initrd, -bios and -dtb read: bzImage, ELF with PVH note, multiboot,
 * RISC-V images, device trees. The first byte chooses the format, whose magic numbers are put in
 * place so that the parsers do not stop at the first look.
 */
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/testing.h"
#include "hw/fw_cfg.h"
#include "machines/riscv/boot.h"
#include "machines/riscv/fdt.h"
#include "machines/x86/formats.h"
#include "tests/fuzz/fuzz.h"
#include "util/log.h"

enum { LOW = 64 << 20 };

/* A file that exists in memory only; its path. */
static char *file_of(const void *data, size_t n, int *fd)
{
    *fd = memfd_create("fuzz", 0);
    g_assert_cmpint(write(*fd, data, n), ==, (gssize)n);
    return g_strdup_printf("/proc/self/fd/%d", *fd);
}

static void put(uint8_t *p, size_t size, size_t at, uint32_t v, unsigned n)
{
    if (at + n <= size) {
        v = GUINT32_TO_LE(v);
        memcpy(p + at, &v, n);
    }
}

static void make_bzimage(uint8_t *p, size_t n)
{
    put(p, n, 0x1fe, 0xaa55, 2);
    put(p, n, 0x202, 0x53726448, 4);
}

/* The program headers follow the file header, few enough to be fast. */
static void make_elf(uint8_t *p, size_t n)
{
    put(p, n, 0, 0x464c457f, 4);
    bool is64 = n > 4 && p[EI_CLASS] == ELFCLASS64;
    put(p, n, is64 ? 0x20 : 0x1c, is64 ? 64 : 52, 4);
    put(p, n, is64 ? 0x36 : 0x2a, is64 ? 56 : 32, 2);
    put(p, n, is64 ? 0x38 : 0x2c, 4, 2);
}

static void make_multiboot(uint8_t *p, size_t n)
{
    size_t at = n > 8 ? p[7] * 4u : 0;
    uint32_t magic = 0x1badb002, flags = n > 8 ? p[5] << 16 | (p[6] & 7) : 0;
    put(p, n, at, magic, 4);
    put(p, n, at + 4, flags, 4);
    put(p, n, at + 8, 0u - magic - flags, 4);
}

static void make_tree(uint8_t *p, size_t n)
{
    put(p, n, 0, 0xedfe0dd0, 4);
    put(p, n, 4, GUINT32_SWAP_LE_BE((uint32_t)n), 4);
    put(p, n, 20, 0x11000000, 4);
    put(p, n, 24, 0x10000000, 4);
}

static void boot_x86(Machine *m, bool firmware)
{
    g_autoptr(GError) error = NULL;
    X86BootInfo info = {0};

    x86_boot_map(&info, LOW, 0);
    if (firmware) {
        x86_boot_fw_cfg(m, fw_cfg_new_io(m), "console=ttyS0", LOW, false, &error);
    } else {
        x86_boot_kernel(m, "console=ttyS0", &info, &error);
    }
}

static void boot_riscv(Machine *m, unsigned xlen)
{
    g_autoptr(GError) error = NULL;
    RiscvBoot boot = {.ram_base = 0, .ram_size = TEST_RAM, .xlen = xlen};

    if (riscv_boot_load(m, &boot, &error)) {
        riscv_boot_reset_vector(m, &boot, 0x1000, 0);
    }
}

static void read_tree(const uint8_t *p, size_t n)
{
    g_autoptr(GByteArray) tree = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    FdtChosen chosen = {"console=hvc0", 0x1000, 0x2000};

    g_byte_array_append(tree, p, (unsigned)n);
    fdt_set_chosen(tree, &chosen, "fuzz", &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    unsigned kind = *data;
    size_t n = size - 1 + (kind & 0x80 ? 0x1000 : 0);
    g_autofree uint8_t *image = g_malloc0(n);
    g_autoptr(TestDevice) t = test_machine();
    Machine *m = machine_new(t->vm, machine_find("x86_64", "none"), "x86_64");
    int fd, initrd_fd = -1;

    memcpy(image, data + 1, size - 1);
    switch (kind & 7) {
    case 0: case 1: make_bzimage(image, n); break;
    case 2: case 3: make_elf(image, n); break;
    case 4: make_multiboot(image, n); break;
    case 5: make_tree(image, n); break;
    default: break;
    }
    m->kernel = file_of(image, n, &fd);
    m->firmware = g_strdup(kind & 0x10 ? m->kernel : "none");
    if (kind & 0x20) {
        m->initrd = file_of(image, n / 2, &initrd_fd);
    }
    if ((kind & 7) == 5) {
        read_tree(image, n);
    } else if (kind & 0x40) {
        boot_riscv(m, kind & 8 ? 32 : 64);
    } else {
        boot_x86(m, (kind & 7) < 2 && kind & 8);
    }
    loader_reset(m);
    close(fd);
    if (initrd_fd >= 0) {
        close(initrd_fd);
    }
    return 0;
}

const char *const fuzz_words[] = { NULL };
