/* SPDX-License-Identifier: Apache-2.0 */
/* From X keysyms back to keys, by a keyboard layout of the host's xkb-data. */
#include <xkbcommon/xkbcommon.h>

#include "ui/vnc/internal.h"
#include "util/error.h"
#include "util/log.h"

enum { EVDEV_OFFSET = 8 };      /* X numbers keys eight above Linux */

struct Keysyms {
    GHashTable *keys;           /* keysym -> QKeyCode; NULL: the default layout, not needed so far */
};

/* The names of -k that are not those of xkb: layout, variant. */
static const struct { const char *name, *layout, *variant; } names[] = {
    {"en-us", "us"}, {"en-gb", "gb"}, {"ar", "ara"}, {"bepo", "fr", "bepo"}, {"da", "dk"},
    {"de-ch", "ch", "de"}, {"et", "ee"}, {"fr-be", "be"}, {"fr-ca", "ca"}, {"fr-ch", "ch", "fr"},
    {"ja", "jp"}, {"nl-be", "be"}, {"pt-br", "br"}, {"sl", "si"}, {"sv", "se"},
};

typedef struct Fill {
    Keysyms *k;
    xkb_level_index_t level;
} Fill;

/* What needs fewer modifiers, or came first, stays. */
static void add(struct xkb_keymap *map, xkb_keycode_t code, void *data)
{
    Fill *f = data;
    const xkb_keysym_t *syms;
    QKeyCode key = code >= EVDEV_OFFSET ? key_from_linux(code - EVDEV_OFFSET) : Q_KEY_CODE_UNMAPPED;
    int n = xkb_keymap_key_get_syms_by_level(map, code, 0, f->level, &syms);

    for (int i = 0; i < n && key != Q_KEY_CODE_UNMAPPED; i++) {
        gpointer sym = GUINT_TO_POINTER(syms[i]);
        if (!g_hash_table_contains(f->k->keys, sym)) {
            g_hash_table_insert(f->k->keys, sym, GUINT_TO_POINTER(key));
        }
    }
}

static struct xkb_keymap *load(struct xkb_context *context, const char *layout)
{
    struct xkb_rule_names rules = {.rules = "evdev", .model = "pc105", .layout = layout};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_strcmp0(layout, names[i].name) == 0) {
            rules.layout = names[i].layout;
            rules.variant = names[i].variant;
        }
    }
    return xkb_keymap_new_from_names(context, &rules, XKB_KEYMAP_COMPILE_NO_FLAGS);
}

static bool fill(Keysyms *k, const char *layout, GError **error)
{
    struct xkb_context *context = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    struct xkb_keymap *map = NULL;

    if (context) {
        xkb_context_set_log_level(context, XKB_LOG_LEVEL_CRITICAL);
        map = load(context, layout);
    }
    k->keys = g_hash_table_new(NULL, NULL);
    for (Fill f = {k, 0}; map && f.level < 4; f.level++) {
        xkb_keymap_key_for_each(map, add, &f);
    }
    bool ok = map || error_set(error, "there is no keyboard layout '%s' (-k); the package xkb-data "
                               "brings them", layout);
    xkb_keymap_unref(map);
    xkb_context_unref(context);
    return ok;
}

Keysyms *keysyms_new(const char *layout, GError **error)
{
    Keysyms *k = g_new0(Keysyms, 1);

    if (layout && !fill(k, layout, error)) {
        g_clear_pointer(&k, keysyms_free);
    }
    return k;
}

void keysyms_free(Keysyms *k)
{
    if (k) {
        g_clear_pointer(&k->keys, g_hash_table_unref);
        g_free(k);
    }
}

QKeyCode keysyms_find(Keysyms *k, uint32_t keysym)
{
    if (!k->keys) {
        g_autoptr(GError) error = NULL;
        if (!fill(k, "en-us", &error)) {
            log_write("%s\n", error->message);
        }
    }
    return GPOINTER_TO_UINT(g_hash_table_lookup(k->keys, GUINT_TO_POINTER(keysym)));
}
