/* SPDX-License-Identifier: Apache-2.0 */
/* Writing flattened device trees, over libfdt. Failures to allocate end the program as GLib's do. */
#ifndef MACHINES_RISCV_FDT_H
#define MACHINES_RISCV_FDT_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct Fdt Fdt;

/* The root node is open after fdt_begin() and closed by fdt_finish_tree(), which frees f. */
Fdt *fdt_begin(void);
GByteArray *fdt_finish_tree(Fdt *f);
void fdt_node(Fdt *f, const char *name);
void fdt_end(Fdt *f);
void fdt_empty(Fdt *f, const char *name);
void fdt_u32(Fdt *f, const char *name, uint32_t v);
void fdt_u32s(Fdt *f, const char *name, const uint32_t *v, unsigned n);
void fdt_u64s(Fdt *f, const char *name, const uint64_t *v, unsigned n);
void fdt_text(Fdt *f, const char *name, const char *text);
void fdt_texts(Fdt *f, const char *name, const char *const *texts);

/* What a kernel finds in /chosen; also for trees that the user gave (name, for the error). */
typedef struct FdtChosen {
    const char *bootargs;
    uint64_t initrd_start, initrd_end;
} FdtChosen;
bool fdt_set_chosen(GByteArray *tree, const FdtChosen *c, const char *name, GError **error);
/* Images for a hypervisor: a node of /chosen each. */
typedef struct FdtModule {
    uint64_t addr, size;
    const char *kind;           /* "multiboot,kernel" */
    const char *bootargs;       /* may be NULL */
} FdtModule;
bool fdt_set_modules(GByteArray *tree, const FdtModule *modules, unsigned n, const char *name, GError **error);

#endif
