/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of a device as bytes keyed by names: register members, SAVED members, levels of output
 * pins, deadlines of timers. Each entry is the name's length (1 byte), the name, the value's length
 * (4 bytes) and the value; all numbers little-endian. A reader ignores nothing: an unknown name or
 * another size is an error, an absent name leaves the member at its reset value.
 */
#include <string.h>

#include "core/device-internal.h"
#include "core/vm.h"
#include "util/error.h"

typedef struct Entry {
    char name[64];
    void *p;
    uint32_t size;
    FieldKind kind;
    bool boolean;
} Entry;

typedef struct Walk {
    Device *d;
    GArray *entries;
} Walk;

static void add(Walk *w, const char *member, unsigned i, unsigned n, void *p, size_t size,
                FieldKind kind)
{
    Entry e = {.p = p, .size = (uint32_t)size, .kind = kind};

    if (n > 1) {
        g_snprintf(e.name, sizeof(e.name), "%s[%u]", member, i);
    } else {
        g_strlcpy(e.name, member, sizeof(e.name));
    }
    /* Two rows may show one member. */
    for (unsigned k = 0; k < w->entries->len; k++) {
        if (g_array_index(w->entries, Entry, k).p == p) {
            return;
        }
    }
    g_array_append_val(w->entries, e);
}

static bool add_field(const Field *f, void *data)
{
    Walk *w = data;
    char *p = (char *)w->d + f->offset;
    size_t one = f->kind == FIELD_IRQ ? sizeof(Irq) : sizeof(Timer);

    switch (f->kind) {
    case FIELD_SAVED:
        add(w, f->member, 0, 1, p, f->size, f->kind);
        if (f->boolean) {
            Entry *last = &g_array_index(w->entries, Entry, w->entries->len - 1);
            last->boolean = last->p == p;
        }
        break;
    case FIELD_BUFFER:
        if (*(void **)p) {
            add(w, f->member, 0, 1, *(void **)p, *(uint32_t *)((char *)w->d + f->stride), f->kind);
        }
        break;
    case FIELD_BYTES:
        add(w, f->member, 0, 1, p, *(GBytes **)p ? g_bytes_get_size(*(GBytes **)p) : 0, f->kind);
        break;
    case FIELD_IRQ:
    case FIELD_TIMER:
        for (unsigned i = 0; i < f->size / one; i++) {
            add(w, f->member, i, (unsigned)(f->size / one), p + i * one, 8, f->kind);
        }
        break;
    }
    return false;
}

static GArray *entries_of(Device *d)
{
    Walk w = {d, g_array_new(FALSE, FALSE, sizeof(Entry))};

    for (unsigned n = 0; n < d->cls->n_regs; n++) {
        const Reg *r = d->cls->regs[n];
        if (r->size) {
            add(&w, r->member, 0, 1, (char *)d + r->offset, (size_t)r->size * MAX(r->count, 1),
                FIELD_REG);
        }
    }
    object_type_fields(d->object.type, add_field, &w);
    return w.entries;
}

/* Pins and timers are saved as 8 bytes: the level; the deadline. */
static void entry_get(const Entry *e, uint8_t *out)
{
    uint64_t v;

    if (e->kind == FIELD_IRQ) {
        v = ((const Irq *)e->p)->level;
    } else if (e->kind == FIELD_TIMER) {
        v = (uint64_t)((const Timer *)e->p)->deadline;
    } else if (e->kind == FIELD_BYTES) {
        if (e->size) {
            memcpy(out, g_bytes_get_data(*(GBytes **)e->p, NULL), e->size);
        }
        return;
    } else {
        memcpy(out, e->p, e->size);
        return;
    }
    memcpy(out, &v, 8);
}

static void entry_set(const Entry *e, const uint8_t *in, uint32_t size)
{
    uint64_t v = 0;

    if (e->kind == FIELD_IRQ) {
        memcpy(&v, in, 8);
        ((Irq *)e->p)->level = v != 0;
    } else if (e->kind == FIELD_TIMER) {
        memcpy(&v, in, 8);
        if ((int64_t)v == INT64_MAX) {
            timer_cancel(e->p);
        } else {
            timer_arm(e->p, (int64_t)v);
        }
    } else if (e->kind == FIELD_BYTES) {
        g_clear_pointer((GBytes **)e->p, g_bytes_unref);
        *(GBytes **)e->p = size ? g_bytes_new(in, size) : NULL;
    } else if (e->boolean) {
        for (uint32_t i = 0; i < e->size; i++) {
            ((bool *)e->p)[i] = in[i] != 0;
        }
    } else {
        memcpy(e->p, in, e->size);
    }
}

bool device_state_drop(const Field *f, void *device)
{
    if (f->kind == FIELD_BYTES) {
        g_clear_pointer((GBytes **)((char *)device + f->offset), g_bytes_unref);
    }
    return false;
}

void device_state_save(Device *d, GByteArray *out)
{
    device_lock(d);
    for (unsigned i = d->cls->n_chain; i-- > 0;) {
        if (d->cls->chain[i]->saving) {
            d->cls->chain[i]->saving(d);
        }
    }
    g_autoptr(GArray) entries = entries_of(d);
    for (unsigned i = 0; i < entries->len; i++) {
        const Entry *e = &g_array_index(entries, Entry, i);
        uint8_t name = (uint8_t)strlen(e->name);
        uint32_t size = GUINT32_TO_LE(e->size);
        g_autofree uint8_t *value = g_malloc(MAX(e->size, 8));
        entry_get(e, value);
        g_byte_array_append(out, &name, 1);
        g_byte_array_append(out, (const uint8_t *)e->name, name);
        g_byte_array_append(out, (const uint8_t *)&size, 4);
        g_byte_array_append(out, value, e->size);
    }
    object_type_fields(d->object.type, device_state_drop, d);
    device_unlock(d);
}

GBytes *device_save(Device *d)
{
    GByteArray *out = g_byte_array_new();

    device_state_save(d, out);
    return g_byte_array_free_to_bytes(out);
}

static const Entry *entry_named(GArray *entries, const char *name, unsigned n)
{
    for (unsigned i = 0; i < entries->len; i++) {
        const Entry *e = &g_array_index(entries, Entry, i);
        if (strlen(e->name) == n && memcmp(e->name, name, n) == 0) {
            return e;
        }
    }
    return NULL;
}

/* Checks all (apply false), then puts it in place, so that a bad state changes nothing. */
static bool read_state(Device *d, GArray *entries, const uint8_t *p, size_t left, bool apply,
                       GError **error)
{
    const char *type = d->object.type->name;

    while (left) {
        unsigned n = *p;
        uint32_t size;
        if (left < 1 + n + 4) {
            return error_set(error, "state of %s is cut off", type);
        }
        const char *name = (const char *)p + 1;
        memcpy(&size, p + 1 + n, 4);
        size = GUINT32_FROM_LE(size);
        p += 1 + n + 4;
        left -= 1 + n + 4;
        const Entry *e = entry_named(entries, name, n);
        if (!e) {
            return error_set(error, "state of %s has '%.*s', which this version does not know",
                             type, (int)n, name);
        }
        if ((size != e->size && e->kind != FIELD_BYTES) || left < size) {
            return error_set(error, "state of %s: '%s' has %u bytes instead of %u", type, e->name,
                             size, e->size);
        }
        if (apply) {
            entry_set(e, p, size);
        }
        p += size;
        left -= size;
    }
    return true;
}

bool device_load(Device *d, GBytes *state, GError **error)
{
    size_t n;
    const uint8_t *p = g_bytes_get_data(state, &n);

    device_lock(d);
    g_autoptr(GArray) entries = entries_of(d);
    bool ok = read_state(d, entries, p, n, false, error) &&
              read_state(d, entries, p, n, true, error);
    for (unsigned i = 0; ok && i < d->cls->n_chain; i++) {
        if (d->cls->chain[i]->restored) {
            d->cls->chain[i]->restored(d);
        }
    }
    object_type_fields(d->object.type, device_state_drop, d);
    device_unlock(d);
    return ok;
}
