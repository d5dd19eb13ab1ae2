/* SPDX-License-Identifier: Apache-2.0 */
/* Files into guest memory. ELF: System V ABI, generic part; PVH note: Xen's x86/HVM direct boot ABI. */
#include "machines/loader.h"
#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include "util/error.h"

enum { MAX_BSS = 1 << 30 };

typedef struct Image {
    GBytes *data;               /* NULL: zeroes */
    uint64_t pa, size;
} Image;

static void image_free(gpointer p)
{
    g_clear_pointer(&((Image *)p)->data, g_bytes_unref);
    g_free(p);
}

/* Of m->files. */
typedef struct LoadedFile {
    GBytes *bytes;
    char *name;
} LoadedFile;

static void file_free(gpointer p)
{
    LoadedFile *f = p;
    g_bytes_unref(f->bytes);
    g_free(f->name);
    g_free(f);
}

static const uint8_t *file_bytes(const Machine *m, unsigned i, size_t *n)
{
    return g_bytes_get_data(((LoadedFile *)g_ptr_array_index(m->files, i))->bytes, n);
}

GBytes *loader_file(Machine *m, const char *path, GError **error)
{
    g_autoptr(GMappedFile) map = g_mapped_file_new(path, false, error);
    if (!map) {
        g_prefix_error(error, "could not load '%s': ", path);
        return NULL;
    }
    if (!m->files)
        m->files = g_ptr_array_new_with_free_func(file_free);
    GBytes *bytes = g_mapped_file_get_bytes(map);
    LoadedFile *f = g_new(LoadedFile, 1);
    *f = (LoadedFile){g_bytes_ref(bytes), g_path_get_basename(path)};
    g_ptr_array_add(m->files, f);
    return bytes;
}

/* What was read stays within the files until the next reset. */
static void forget_pages(Machine *m)
{
    for (unsigned i = 0; m->files && i < m->files->len; i++) {
        size_t n;
        const void *p = file_bytes(m, i, &n);
        if (n)
            madvise((void *)p, n, MADV_DONTNEED);
    }
}

/* ---- where firmware lives ---- */

static const char *const firmware_dirs[] = {
    "/usr/share/seabios", "/usr/share/qemu", "/usr/share/OVMF", "/usr/lib/ipxe/qemu",
    "/usr/lib/riscv64-linux-gnu/opensbi/generic", "/usr/local/share/qemu", NULL,
};
static const struct { const char *name, *package; } packages[] = {
    {"bios", "seabios"}, {"opensbi", "opensbi"}, {"fw_dynamic", "opensbi"}, {"OVMF", "ovmf"},
    {"linuxboot", "qemu-system-data"}, {"pvh", "qemu-system-data"},
};

static char *in_dir(const char *dir, const char *name)
{
    char *path = g_build_filename(dir, name, NULL);
    if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return path;
    g_free(path);
    return NULL;
}

char *loader_find(Vm *vm, const char *name, GError **error)
{
    char *path = NULL;
    if (g_file_test(name, G_FILE_TEST_IS_REGULAR))
        return g_strdup(name);
    if (!strchr(name, '/')) {
        for (unsigned i = 0; !path && vm->data_dirs && i < vm->data_dirs->len; i++)
            path = in_dir(g_ptr_array_index(vm->data_dirs, i), name);
        for (unsigned i = 0; !path && firmware_dirs[i]; i++)
            path = in_dir(firmware_dirs[i], name);
    }
    if (path)
        return path;
    error_set(error, "could not find firmware '%s'", name);
    for (unsigned i = 0; i < G_N_ELEMENTS(packages); i++)
        if (g_str_has_prefix(name, packages[i].name)) {
            error_append(error, "; Debian's package %s has it (apt-get install %s)",
                         packages[i].package, packages[i].package);
            break;
        }
    return NULL;
}

/* ---- images ---- */

static void add_image(Machine *m, Image image)
{
    if (!m->images)
        m->images = g_ptr_array_new_with_free_func(image_free);
    g_ptr_array_add(m->images, g_memdup2(&image, sizeof(image)));
}

void loader_add(Machine *m, GBytes *data, uint64_t pa)
{
    add_image(m, (Image){g_bytes_ref(data), pa, g_bytes_get_size(data)});
}

void loader_add_copy(Machine *m, const void *data, size_t n, uint64_t pa)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, n);
    loader_add(m, bytes, pa);
}

static void write_zeroes(AddressSpace *as, uint64_t pa, uint64_t size)
{
    static const uint8_t zeroes[65536];
    for (uint64_t at = 0; at < size; at += sizeof(zeroes))
        as_write_rom(as, pa + at, zeroes, MIN(sizeof(zeroes), size - at));
}

void loader_reset(Machine *m)
{
    for (unsigned i = 0; m->images && i < m->images->len; i++) {
        const Image *image = g_ptr_array_index(m->images, i);
        if (image->data)
            as_write_rom(m->vm->memory, image->pa, g_bytes_get_data(image->data, NULL), image->size);
        else
            write_zeroes(m->vm->memory, image->pa, image->size);
    }
    forget_pages(m);
}

/* The file that an image is a part of. */
static const char *name_of(Machine *m, const Image *image)
{
    const uint8_t *at = image->data ? g_bytes_get_data(image->data, NULL) : NULL;
    for (unsigned i = 0; at && m->files && i < m->files->len; i++) {
        size_t n;
        const uint8_t *file = file_bytes(m, i, &n);
        if (at >= file && at < file + n)
            return ((LoadedFile *)g_ptr_array_index(m->files, i))->name;
    }
    return NULL;
}

void loader_foreach(Machine *m, void (*fn)(const char *name, uint64_t pa, uint64_t size, void *data), void *data)
{
    for (unsigned i = 0; m->images && i < m->images->len; i++) {
        const Image *image = g_ptr_array_index(m->images, i);
        fn(name_of(m, image), image->pa, image->size, data);
    }
}

/* ---- ELF ---- */

/* Fields of both classes and byte orders, read through one accessor. */
typedef struct Elf {
    const uint8_t *p;
    size_t size;
    bool is64, big;
} Elf;

static uint64_t field(const Elf *e, size_t at, unsigned n)
{
    uint64_t v = 0;
    if (at > e->size || n > e->size - at)
        return 0;
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)e->p[at + i] << 8 * (e->big ? n - 1 - i : i);
    return v;
}

#define ELF_FIELD(e, at, part, name)                                                                \
    ((e)->is64 ? field(e, (at) + offsetof(Elf64_##part, name), sizeof(((Elf64_##part *)0)->name))    \
               : field(e, (at) + offsetof(Elf32_##part, name), sizeof(((Elf32_##part *)0)->name)))

bool loader_is_elf(GBytes *file)
{
    size_t n;
    const void *p = g_bytes_get_data(file, &n);
    return n >= sizeof(Elf64_Ehdr) && !memcmp(p, ELFMAG, SELFMAG);
}

/* Looks for the note (owner "Xen", type 18) that gives the 32-bit entry. */
static void find_pvh_note(const Elf *e, uint64_t at, uint64_t size, LoaderElf *out)
{
    for (uint64_t p = at; p + 12 <= at + size && p + 12 <= e->size;) {
        uint64_t name = field(e, p, 4), desc = field(e, p + 4, 4), type = field(e, p + 8, 4);
        uint64_t data = p + 12 + ((name + 3) & ~3ull);
        if (name == 4 && type == 18 && p + 16 <= e->size && !memcmp(e->p + p + 12, "Xen", 4))
            out->pvh_entry = field(e, data, desc == 8 ? 8 : 4);
        p = data + ((desc + 3) & ~3ull);
    }
}

static bool load_segment(Machine *m, const Elf *e, GBytes *file, size_t ph, const char *name,
                         LoaderElf *out, GError **error)
{
    uint64_t offset = ELF_FIELD(e, ph, Phdr, p_offset), filesz = ELF_FIELD(e, ph, Phdr, p_filesz);
    uint64_t paddr = ELF_FIELD(e, ph, Phdr, p_paddr), memsz = ELF_FIELD(e, ph, Phdr, p_memsz);
    if (offset > e->size || filesz > e->size - offset || filesz > memsz ||
        paddr + memsz < paddr)
        return error_set(error, "'%s' is a damaged ELF file: a segment lies outside of it", name);
    if (memsz == 0)
        return true;
    if (filesz) {
        g_autoptr(GBytes) part = g_bytes_new_from_bytes(file, offset, filesz);
        loader_add(m, part, paddr);
    }
    if (memsz - filesz > MAX_BSS)
        return error_set(error, "'%s' is a damaged ELF file: a segment of more than 1 GiB", name);
    if (memsz > filesz)
        add_image(m, (Image){NULL, paddr + filesz, memsz - filesz});
    out->low = MIN(out->low, paddr);
    out->high = MAX(out->high, paddr + memsz);
    return true;
}

/* Entry points are virtual; the segment that holds one tells its physical address. */
static uint64_t entry_to_physical(const Elf *e, size_t ph, uint64_t entry)
{
    uint64_t va = ELF_FIELD(e, ph, Phdr, p_vaddr), n = ELF_FIELD(e, ph, Phdr, p_memsz);
    return entry - va < n ? entry - va + ELF_FIELD(e, ph, Phdr, p_paddr) : entry;
}

bool loader_elf(Machine *m, GBytes *file, const char *name, LoaderElf *out, GError **error)
{
    Elf e = {.p = g_bytes_get_data(file, &e.size)};
    e.is64 = e.p[EI_CLASS] == ELFCLASS64;
    e.big = e.p[EI_DATA] == ELFDATA2MSB;
    uint64_t entry = ELF_FIELD(&e, 0, Ehdr, e_entry), phoff = ELF_FIELD(&e, 0, Ehdr, e_phoff);
    unsigned count = ELF_FIELD(&e, 0, Ehdr, e_phnum), step = ELF_FIELD(&e, 0, Ehdr, e_phentsize);
    *out = (LoaderElf){.entry = entry, .low = UINT64_MAX, .is64 = e.is64, .big_endian = e.big,
                       .machine = ELF_FIELD(&e, 0, Ehdr, e_machine)};
    for (unsigned i = 0; i < count; i++) {
        size_t ph = phoff + (uint64_t)i * step;
        switch (ELF_FIELD(&e, ph, Phdr, p_type)) {
        case PT_LOAD:
            if (!load_segment(m, &e, file, ph, name, out, error))
                return false;
            if (out->entry == entry)
                out->entry = entry_to_physical(&e, ph, entry);
            break;
        case PT_NOTE:
            find_pvh_note(&e, ELF_FIELD(&e, ph, Phdr, p_offset), ELF_FIELD(&e, ph, Phdr, p_filesz),
                          out);
            break;
        default:
            break;
        }
    }
    if (out->low == UINT64_MAX)
        return error_set(error, "'%s' is an ELF file without anything to load", name);
    return true;
}
