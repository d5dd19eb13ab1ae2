/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-img convert, rebase, commit: data from one image to another. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/img/img.h"
#include "qapi/type.h"

enum { CHUNK = 1 << 20, WORKERS = 8, GRAIN = 4096 };

/* A copy that several fibers do together. */
typedef struct Copy {
    Img *m;
    BlockNode *from, *base, *to;    /* base: what from there down comes from stays there; may be NULL */
    uint64_t offset, end;
    uint64_t shift;             /* of the target against the source */
    uint64_t sparse;            /* shortest run of zeroes that is left out; 0: none is */
    bool zeroed;                /* the target reads as zeroes */
    bool only_allocated;        /* leave out what no layer has */
    FiberLock lock;
    int error;
    unsigned running;
} Copy;

static uint64_t zero_run(const char *p, uint64_t n, uint64_t grain)
{
    uint64_t i = 0;
    while (i < n && !p[i] && !memcmp(p + i, p + i + (i + 1 < n), MIN(grain, n - i) - 1))
        i += MIN(grain, n - i);
    return MIN(i, n);
}

static int put_zeroes(Copy *c, uint64_t at, uint64_t bytes)
{
    return c->zeroed || !bytes ? 0 : block_write_zeroes(c->to, at + c->shift, bytes, BLOCK_MAY_UNMAP);
}

static int put_data(Copy *c, uint64_t at, char *p, uint64_t n)
{
    if (c->m->compress) {
        bool zero = n && zero_run(p, n, n) == n;
        return zero ? put_zeroes(c, at, n) : block_write_compressed(c->to, at + c->shift, p, n);
    }
    for (uint64_t done = 0; done < n;) {
        uint64_t zeroes = c->sparse ? zero_run(p + done, n - done, GRAIN) : 0, data = 0;
        if (zeroes && (zeroes >= c->sparse || done + zeroes == n)) {
            int err = put_zeroes(c, at + done, zeroes);
            if (err)
                return err;
            done += zeroes;
            continue;
        }
        data = zeroes;
        while (done + data < n) {
            uint64_t z = c->sparse ? zero_run(p + done + data, n - done - data, GRAIN) : 0;
            if (z >= MAX(c->sparse, GRAIN))
                break;
            data += MAX(z, MIN(GRAIN, n - done - data));
        }
        int err = block_write_buf(c->to, at + c->shift + done, p + done, data);
        if (err)
            return err;
        done += data;
    }
    return 0;
}

/* The next piece of work: what it is, and where. */
static int next_piece(Copy *c, uint64_t *at, BlockExtent *e)
{
    uint64_t most = c->m->compress ? block_cluster(c->to) : CHUNK;
    fiber_lock(&c->lock);
    int err = c->error;
    *at = c->offset;
    if (!err && *at < c->end) {
        err = block_map(c->from, c->base, *at, c->end - *at, e);
        if (!err && c->m->compress) {
            e->bytes = MIN(most, c->end - *at);         /* always whole clusters */
            e->flags &= ~EXTENT_ZERO;
        } else if (!err && !(e->flags & EXTENT_ZERO) && e->flags) {
            e->bytes = MIN(e->bytes, most);
        }
        c->offset += err ? 0 : e->bytes;
        img_progress(c->m, c->offset, c->end);
    }
    fiber_unlock(&c->lock);
    return err;
}

static void work(void *data)
{
    Copy *c = data;
    char *buf = block_buffer(MAX(CHUNK, 2 << 20));
    int err = buf ? 0 : ENOMEM;
    while (!err) {
        uint64_t at;
        BlockExtent e;
        err = next_piece(c, &at, &e);
        if (err || at >= c->end)
            break;
        if (c->only_allocated && !(e.flags & EXTENT_ALLOCATED))
            continue;
        if (e.flags & EXTENT_ZERO) {
            err = put_zeroes(c, at, e.bytes);
            continue;
        }
        err = block_read_buf(c->from, at, buf, e.bytes);
        if (err && c->m->salvage) {
            g_printerr("%s: warning: error while reading offset %" PRIu64 ": %s\n", c->m->name, at, g_strerror(err));
            memset(buf, 0, e.bytes);
            err = 0;
        }
        err = err ? err : put_data(c, at, buf, e.bytes);
    }
    c->error = c->error ? c->error : err;
    c->running--;
    free(buf);
}

static int copy(Copy *c)
{
    uint64_t n = c->m->workers ? strtoul(c->m->workers, NULL, 10) : WORKERS;
    n = CLAMP(n, 1, 16);
    c->running = n;
    for (unsigned i = 0; i < n; i++)
        fiber_start(work, c);
    while (c->running)
        loop_step(c->m->vm->loop, true);
    return c->error;
}

static void close_image(BlockNode *n)
{
    if (n) {
        block_release(n, "tool");
        block_free(n);
    }
}

/* ---- convert ---- */

typedef struct Sources {
    GPtrArray *nodes;
    uint64_t size;
} Sources;

static bool show_snapshot(Img *m, BlockNode *n, GError **error)
{
    if (m->args->len > 2)
        return error_set(error, "No support for concatenating multiple snapshot");
    g_autoptr(SnapshotInfo) which = img_find_snapshot(n, m->snapshot, error);
    if (which && block_snapshot(n, SNAPSHOT_SHOW, which, error))
        return true;
    g_prefix_error(error, "Failed to load snapshot: ");
    return false;
}

static bool open_sources(Img *m, Sources *s, GError **error)
{
    for (unsigned i = 0; i + 1 < m->args->len; i++) {
        BlockNode *n = img_open(m, m->args->pdata[i], m->format, m->source_cache, "", error);
        if (!n)
            return false;
        g_ptr_array_add(s->nodes, n);
        if (m->snapshot && !show_snapshot(m, n, error))
            return false;
        s->size += block_size(n);
    }
    return true;
}

static BlockNode *make_target(Img *m, const char *filename, const char *format, uint64_t size, bool *zeroed, GError **error)
{
    g_autoptr(Json) o = img_options(m, error);
    if (!o)
        return NULL;
    if (m->backing)
        json_set_text(o, "backing_file", m->backing);
    if (m->backing_format)
        json_set_text(o, "backing_fmt", m->backing_format);
    bool backing = json_get(o, "backing_file");
    if (!m->no_create && !img_make(m, filename, format, o, size, true, true, error)) {
        g_prefix_error(error, "%s: error while converting %s: ", filename, format);
        return NULL;
    }
    BlockNode *n = img_open(m, filename, format, m->cache ? m->cache : "unsafe", "w", error);
    if (n) {
        bool fresh = !m->no_create && !backing;
        BlockNode *storage = block_file(n) ? block_file(n) : n;
        *zeroed = fresh && !strcmp(block_driver_name(strcmp(format, "raw") ? n : storage), strcmp(format, "raw") ? format : "file");
    }
    return n;
}

int img_convert(Img *m, GError **error)
{
    if (m->args->len < 2) {
        error_set(error, "Must specify image file name");
        return 1;
    }
    const char *filename = m->args->pdata[m->args->len - 1], *format = m->out_format ? m->out_format : "raw";
    Sources s = {.nodes = g_ptr_array_new()};
    bool zeroed = false;
    uint64_t sparse = GRAIN;
    BlockNode *to = NULL;
    if ((!m->sparse || img_number(m->sparse, &sparse, error)) && open_sources(m, &s, error))
        to = make_target(m, filename, format, s.size, &zeroed, error);
    if (to && m->compress && !to->driver->write_compressed) {
        error_set(error, "Compression not supported for this file format");
        close_image(to);
        to = NULL;
    }
    if (to && block_size(to) < s.size) {
        error_set(error, "The target is smaller than the source");
        close_image(to);
        to = NULL;
    }
    int err = 0;
    uint64_t shift = 0;
    for (unsigned i = 0; to && !err && i < s.nodes->len; i++) {
        BlockNode *from = s.nodes->pdata[i];
        Copy c = {.m = m, .from = from, .to = to, .end = block_size(from), .shift = shift, .sparse = sparse, .zeroed = zeroed};
        err = copy(&c);
        shift += block_size(from);
    }
    if (to && !err)
        err = block_sync(to, BLOCK_FLUSH, 0, NULL, 0);
    if (err)
        error_set_errno(error, err, "error while converting %s", format);
    if (m->progress && to)
        printf("    (100.00/100%%)\n");
    close_image(to);
    for (unsigned i = 0; i < s.nodes->len; i++)
        close_image(s.nodes->pdata[i]);
    g_ptr_array_unref(s.nodes);
    return *error != NULL;
}

/* ---- rebase, commit ---- */

/* What the new image below lacks or has otherwise is written on top first. */
static int keep_content(Img *m, BlockNode *top, BlockNode *below)
{
    g_autofree char *x = g_malloc(CHUNK), *y = g_malloc(CHUNK);
    uint64_t size = block_size(top);
    for (uint64_t at = 0; at < size;) {
        BlockExtent e;
        int err = block_map(top, block_backing(top), at, size - at, &e);
        if (err)
            return err;
        uint64_t n = e.flags & EXTENT_ALLOCATED ? e.bytes : MIN(e.bytes, CHUNK);
        if (!(e.flags & EXTENT_ALLOCATED)) {
            uint64_t there = below && at < block_size(below) ? MIN(n, block_size(below) - at) : 0;
            memset(y, 0, n);
            err = block_read_buf(top, at, x, n);
            err = err || !there ? err : block_read_buf(below, at, y, there);
            if (!err && memcmp(x, y, n))
                err = block_write_buf(top, at, x, n);
            if (err)
                return err;
        }
        at += n;
        img_progress(m, at, size);
    }
    return 0;
}

int img_rebase(Img *m, GError **error)
{
    if (m->args->len != 1 || !m->backing) {
        error_set(error, m->backing ? "Expecting one image file name" : "Must specify backing file (-b) or use simple rebase mode (-u)");
        return 1;
    }
    BlockNode *top = img_open(m, m->args->pdata[0], m->format, m->cache, m->unsafe ? "wb" : "w", error), *below = NULL;
    if (!top)
        return 1;
    if (!m->unsafe && *m->backing) {
        g_autofree char *full = block_full_name(m->args->pdata[0], m->backing);
        below = img_open(m, full, m->backing_format, m->source_cache, "", error);
    }
    if (!*error && !m->unsafe) {
        int err = keep_content(m, top, below);
        if (err)
            error_set_errno(error, err, "error while rebasing");
    }
    if (!*error && *m->backing && !m->backing_format && !m->unsafe)
        error_set(error, "backing format must be specified (-F)");
    if (!*error)
        block_change_backing(top, m->backing, m->backing_format, error);
    close_image(below);
    close_image(top);
    return *error != NULL;
}

int img_commit(Img *m, GError **error)
{
    if (m->args->len != 1) {
        error_set(error, "Expecting one image file name");
        return 1;
    }
    if (m->backing) {
        error_set(error, "-b: committing further down is not implemented yet");
        return 1;
    }
    g_autofree char *name = NULL, *format = NULL;
    BlockNode *top = img_open(m, m->args->pdata[0], m->format, NULL, "b", error);
    if (!top)
        return 1;
    g_autoptr(ImageInfo) i = block_image_info(top, false);
    name = g_strdup(i->full_backing_filename);
    format = g_strdup(i->backing_filename_format);
    if (!name)
        error_set(error, "Image does not have a backing file");
    BlockNode *base = name ? img_open(m, name, format, m->cache, "w", error) : NULL;
    if (base && block_size(base) < block_size(top)) {
        block_release(base, "tool");
        block_resize(base, block_size(top), PREALLOC_MODE_OFF, error);
        block_take(base, "tool", BLOCK_USE_ALL, BLOCK_USE_READ, *error ? NULL : error);
    }
    if (base && !*error) {
        Copy c = {.m = m, .from = top, .to = base, .end = block_size(top), .only_allocated = true};
        int err = copy(&c);
        err = err ? err : block_sync(base, BLOCK_FLUSH, 0, NULL, 0);
        if (err)
            error_set_errno(error, err, "Failed to commit");
    }
    close_image(base);
    close_image(top);
    if (base && !*error && !m->unsafe) {
        top = img_open(m, m->args->pdata[0], m->format, m->cache, "wb", error);
        int err = top ? block_sync(top, BLOCK_DISCARD, 0, NULL, block_size(top)) : 0;
        if (err)
            error_set_errno(error, err, "Could not empty %s", (char *)m->args->pdata[0]);
        close_image(top);
    }
    if (!*error && !m->quiet)
        printf("Image committed.\n");
    return *error != NULL;
}
