/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendering a tree of regions flat. The tree is walked in order of priority; each leaf takes the
 * parts of its window that no earlier leaf has taken. Positions are computed in 128 bits with sign,
 * since an alias may begin before its target's window.
 */
#include <string.h>

#include "core/memory-internal.h"

typedef __int128 Wide;

static FlatRange *at(GArray *a, unsigned i)
{
    return &g_array_index(a, FlatRange, i);
}

static void emit(GArray *out, unsigned where, MemRegion *r, Wide base, uint64_t first,
                 uint64_t last, bool readonly)
{
    FlatRange range = {
        .first = first,
        .last = last,
        .region = r,
        .offset = (uint64_t)((Wide)first - base),
        .readonly = readonly || r->readonly,
    };

    if (r->kind == MEM_RAM) {
        range.host = r->block->host + range.offset;
        range.ram_offset = r->block->ram_offset + range.offset;
    }
    g_array_insert_val(out, where, range);
}

/* Fills the gaps of [first, last]; the array stays sorted. */
static void add_leaf(GArray *out, MemRegion *r, Wide base, uint64_t first, uint64_t last, bool ro)
{
    unsigned i = 0;

    while (i < out->len && at(out, i)->last < first) {
        i++;
    }
    for (;;) {
        if (i == out->len || at(out, i)->first > last) {
            emit(out, i, r, base, first, last, ro);
            return;
        }
        if (at(out, i)->first > first) {
            emit(out, i, r, base, first, at(out, i)->first - 1, ro);
            i++;
        }
        if (at(out, i)->last >= last) {
            return;
        }
        first = at(out, i)->last + 1;
        i++;
    }
}

static void render(GArray *out, MemRegion *r, Wide base, Wide first, Wide last, bool ro)
{
    if (!r->enabled) {
        return;
    }
    first = MAX(first, base);
    last = MIN(last, base + mem_last(r));
    if (first > last) {
        return;
    }
    ro |= r->readonly;
    if (r->kind == MEM_ALIAS) {
        render(out, r->target, base - r->offset, first, last, ro);
        return;
    }
    for (unsigned i = 0; r->children && i < r->children->len; i++) {
        MemRegion *child = r->children->pdata[i];
        render(out, child, base + child->at, first, last, ro);
    }
    if (r->kind != MEM_CONTAINER) {
        add_leaf(out, r, base, (uint64_t)first, (uint64_t)last, ro);
    }
}

static bool continues(const FlatRange *a, const FlatRange *b)
{
    return a->region == b->region && a->last + 1 == b->first && a->readonly == b->readonly &&
           a->offset + (b->first - a->first) == b->offset;
}

FlatView *flat_render(MemRegion *root)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(FlatRange));
    unsigned n = 0;

    render(all, root, 0, 0, UINT64_MAX, false);
    for (unsigned i = 0; i < all->len; i++) {
        if (n && continues(at(all, n - 1), at(all, i))) {
            at(all, n - 1)->last = at(all, i)->last;
        } else {
            *at(all, n++) = *at(all, i);
        }
    }
    FlatView *v = g_malloc(sizeof(*v) + n * sizeof(FlatRange));
    v->n = n;
    if (n) {
        memcpy(v->r, all->data, n * sizeof(FlatRange));
    }
    for (unsigned i = 0; i < n; i++) {
        object_ref(&v->r[i].region->object);
    }
    return v;
}

bool flat_equal(const FlatView *a, const FlatView *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (unsigned i = 0; i < a->n; i++) {
        const FlatRange *x = &a->r[i], *y = &b->r[i];
        if (x->first != y->first || x->last != y->last || x->region != y->region ||
            x->offset != y->offset || x->readonly != y->readonly) {
            return false;
        }
    }
    return true;
}

void flat_free(void *data)
{
    FlatView *v = data;

    for (unsigned i = 0; i < v->n; i++) {
        object_unref(&v->r[i].region->object);
    }
    g_free(v);
}

const FlatRange *flat_find(const FlatView *v, uint64_t pa)
{
    unsigned low = 0, high = v->n;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (v->r[mid].last < pa) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < v->n && v->r[low].first <= pa ? &v->r[low] : NULL;
}
