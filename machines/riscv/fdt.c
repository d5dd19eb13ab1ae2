/* SPDX-License-Identifier: Apache-2.0 */
/* Flattened device trees. Spec: Devicetree Specification 0.4. */
#include "machines/riscv/fdt.h"
#include <libfdt.h>
#include <string.h>
#include <sys/random.h>
#include "util/error.h"

enum { TREE_SIZE = 1 << 20 };

struct Fdt {
    void *buf;
};

/* The buffer is far larger than any board's tree; what fails then is a programming error. */
static void done(int result)
{
    if (result)
        g_error("device tree: %s", fdt_strerror(result));
}

Fdt *fdt_begin(void)
{
    Fdt *f = g_new(Fdt, 1);
    f->buf = g_malloc0(TREE_SIZE);
    done(fdt_create(f->buf, TREE_SIZE));
    done(fdt_finish_reservemap(f->buf));
    done(fdt_begin_node(f->buf, ""));
    return f;
}

GByteArray *fdt_finish_tree(Fdt *f)
{
    done(fdt_end_node(f->buf));
    done(fdt_finish(f->buf));
    GByteArray *tree = g_byte_array_new();
    g_byte_array_append(tree, f->buf, fdt_totalsize(f->buf));
    g_free(f->buf);
    g_free(f);
    return tree;
}

void fdt_node(Fdt *f, const char *name) { done(fdt_begin_node(f->buf, name)); }
void fdt_end(Fdt *f) { done(fdt_end_node(f->buf)); }
void fdt_empty(Fdt *f, const char *name) { done(fdt_property(f->buf, name, NULL, 0)); }
void fdt_u32(Fdt *f, const char *name, uint32_t v) { done(fdt_property_u32(f->buf, name, v)); }

void fdt_u32s(Fdt *f, const char *name, const uint32_t *v, unsigned n)
{
    g_autofree fdt32_t *cells = g_new(fdt32_t, n);
    for (unsigned i = 0; i < n; i++) {
        cells[i] = cpu_to_fdt32(v[i]);
    }
    done(fdt_property(f->buf, name, cells, n * sizeof(*cells)));
}

void fdt_u64s(Fdt *f, const char *name, const uint64_t *v, unsigned n)
{
    g_autofree fdt64_t *cells = g_new(fdt64_t, n);
    for (unsigned i = 0; i < n; i++) {
        cells[i] = cpu_to_fdt64(v[i]);
    }
    done(fdt_property(f->buf, name, cells, n * sizeof(*cells)));
}

void fdt_text(Fdt *f, const char *name, const char *text)
{
    done(fdt_property_string(f->buf, name, text));
}

void fdt_texts(Fdt *f, const char *name, const char *const *texts)
{
    g_autoptr(GString) all = g_string_new(NULL);
    for (unsigned i = 0; texts[i]; i++) {
        g_string_append_len(all, texts[i], (gssize)strlen(texts[i]) + 1);
    }
    done(fdt_property(f->buf, name, all->str, (int)all->len));
}

/* ---- chosen ---- */

static int chosen_node(void *tree)
{
    int node = fdt_path_offset(tree, "/chosen");
    return node >= 0 ? node : fdt_add_subnode(tree, 0, "chosen");
}

static int fill_chosen(void *tree, const void *data)
{
    const FdtChosen *c = data;
    int node = chosen_node(tree), result = node < 0 ? node : 0;
    uint8_t seed[32];
    if (!result && c->bootargs && *c->bootargs)
        result = fdt_setprop_string(tree, node, "bootargs", c->bootargs);
    if (!result && c->initrd_end)
        result = fdt_setprop_u64(tree, node, "linux,initrd-start", c->initrd_start);
    if (!result && c->initrd_end)
        result = fdt_setprop_u64(tree, node, "linux,initrd-end", c->initrd_end);
    if (!result && getrandom(seed, sizeof(seed), 0) == sizeof(seed))
        result = fdt_setprop(tree, node, "rng-seed", seed, sizeof(seed));
    return result;
}

static int add_module(void *tree, const void *data)
{
    const FdtModule *m = data;
    const fdt64_t reg[2] = {cpu_to_fdt64(m->addr), cpu_to_fdt64(m->size)};
    g_autofree char *name = g_strdup_printf("module@%" G_GINT64_MODIFIER "x", m->addr);
    int chosen = chosen_node(tree), node = chosen < 0 ? chosen : fdt_add_subnode(tree, chosen, name);
    int result = node < 0 ? node : fdt_setprop(tree, node, "reg", reg, sizeof(reg));
    if (!result)
        result = fdt_setprop_string(tree, node, "compatible", "multiboot,module");
    if (!result)
        result = fdt_appendprop_string(tree, node, "compatible", m->kind);
    if (!result && m->bootargs)
        result = fdt_setprop_string(tree, node, "bootargs", m->bootargs);
    return result;
}

/* Takes the tree apart for a change that needs some room, and packs it again. */
static bool change(GByteArray *tree, size_t room, int (*fn)(void *tree, const void *data), const void *data,
                   const char *name, GError **error)
{
    g_autofree void *buf = g_malloc(room += tree->len);
    int result = fdt_check_full(tree->data, tree->len);
    if (!result)
        result = fdt_open_into(tree->data, buf, (int)room);
    if (!result)
        result = fn(buf, data);
    if (!result)
        result = fdt_pack(buf);
    if (result)
        return error_set(error, "device tree '%s' cannot be used: %s", name ? name : "generated",
                         fdt_strerror(result));
    g_byte_array_set_size(tree, 0);
    g_byte_array_append(tree, buf, fdt_totalsize(buf));
    return true;
}

bool fdt_set_chosen(GByteArray *tree, const FdtChosen *c, const char *name, GError **error)
{
    return change(tree, 8192 + (c->bootargs ? strlen(c->bootargs) : 0), fill_chosen, c, name, error);
}

bool fdt_set_modules(GByteArray *tree, const FdtModule *modules, unsigned n, const char *name, GError **error)
{
    for (const FdtModule *m = modules; m < modules + n; m++)
        if (!change(tree, 1024 + (m->bootargs ? strlen(m->bootargs) : 0), add_module, m, name, error))
            return false;
    return true;
}
