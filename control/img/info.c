/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-img info, check, map, compare. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/img/img.h"
#include "qapi/type.h"

static void close_image(BlockNode *n)
{
    if (n) {
        block_release(n, "tool");
        block_free(n);
    }
}

/* ---- info ---- */

void img_list_snapshots(GString *out, const SnapshotInfoList *list)
{
    g_string_append_printf(out, "%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
    for (size_t i = 0; i < list->count; i++) {
        const SnapshotInfo *s = list->items[i];
        g_autofree char *size = img_size(s->vm_state_size), *icount = s->has_icount
            ? g_strdup_printf("%" PRId64, s->icount) : g_strdup("");
        g_autoptr(GDateTime) t = g_date_time_new_from_unix_local(s->date_sec);
        g_autofree char *date = t ? g_date_time_format(t, "%Y-%m-%d %H:%M:%S") : g_strdup("?");
        g_autofree char *clock = g_strdup_printf("%02d:%02d:%02d.%03d", (int)(s->vm_clock_sec / 3600),
                                                 (int)(s->vm_clock_sec / 60 % 60), (int)(s->vm_clock_sec % 60),
                                                 (int)(s->vm_clock_nsec / 1000000));
        g_string_append_printf(out, "%-9s %-16s %8s%20s%13s%11s\n", s->id, s->name, size, date, clock, icount);
    }
}

void img_print_snapshots(const SnapshotInfoList *list)
{
    g_autoptr(GString) out = g_string_new(NULL);
    img_list_snapshots(out, list);
    printf("Snapshot list:\n%s", out->str);
}

static const char *yes(bool b) { return b ? "true" : "false"; }

static void print_specific(const ImageInfoSpecific *s)
{
    const ImageInfoSpecificQCow2 *q = s->u.qcow2->data;
    printf("Format specific information:\n    compat: %s\n    compression type: %s\n", q->compat,
           qcow2_compression_type_name(q->compression_type));
    if (q->has_lazy_refcounts)
        printf("    lazy refcounts: %s\n", yes(q->lazy_refcounts));
    printf("    refcount bits: %" PRId64 "\n", q->refcount_bits);
    if (q->has_corrupt)
        printf("    corrupt: %s\n    extended l2: %s\n", yes(q->corrupt), yes(q->extended_l2));
}

static void print_info(BlockNode *n, const ImageInfo *i)
{
    g_autofree char *virtual = img_size(i->virtual_size), *disk = img_size(i->actual_size);
    printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRId64 " bytes)\n", i->filename, i->format, virtual,
           i->virtual_size);
    printf("disk size: %s\n", i->has_actual_size ? disk : "unavailable");
    if (i->has_cluster_size)
        printf("cluster_size: %" PRId64 "\n", i->cluster_size);
    if (i->dirty_flag)
        printf("cleanly shut down: no\n");
    if (i->backing_filename) {
        printf("backing file: %s", i->backing_filename);
        if (i->full_backing_filename && strcmp(i->full_backing_filename, i->backing_filename))
            printf(" (actual path: %s)", i->full_backing_filename);
        printf("\n");
        if (i->backing_filename_format)
            printf("backing file format: %s\n", i->backing_filename_format);
    }
    if (i->snapshots && i->snapshots->count)
        img_print_snapshots(i->snapshots);
    if (i->format_specific)
        print_specific(i->format_specific);
    BlockNode *file = block_file(n);
    if (file) {
        g_autoptr(ImageInfo) f = block_image_info(file, false);
        g_autofree char *length = img_size(f->virtual_size), *used = img_size(f->actual_size);
        printf("Child node '/file':\n    filename: %s\n    protocol type: %s\n    file length: %s (%" PRId64 " bytes)\n"
               "    disk size: %s\n", f->filename, f->format, length, f->virtual_size,
               f->has_actual_size ? used : "unavailable");
    }
}

/* With the storage as a child, as newer clients expect. */
static Json *info_json(BlockNode *n, const ImageInfo *i)
{
    Json *all = json_object(), *children = json_array();
    BlockNode *file = block_file(n);
    if (file) {
        g_autoptr(ImageInfo) f = block_image_info(file, false);
        Json *child = json_object();
        json_set_text(child, "name", "file");
        json_set(child, "info", info_json(file, f));
        json_append(children, child);
    }
    json_set(all, "children", children);
    g_autoptr(Json) own = image_info_to_json(i);
    for (size_t k = 0; k < json_length(own); k++)
        json_set(all, json_key_at(own, k), json_ref(json_at(own, k)));
    return all;
}

int img_info(Img *m, GError **error)
{
    if (m->args->len != 1) {
        error_set(error, "Expecting one image file name");
        return 1;
    }
    g_autoptr(Json) list = json_array();
    g_autofree char *name = g_strdup(m->args->pdata[0]), *format = g_strdup(m->format);
    for (unsigned depth = 0; name; depth++) {
        BlockNode *n = img_open(m, name, format, NULL, "b", error);
        if (!n)
            return 1;
        g_autoptr(ImageInfo) i = block_image_info(n, false);
        if (m->json) {
            json_append(list, info_json(n, i));
        } else {
            if (depth)
                printf("\n");
            print_info(n, i);
        }
        g_free(name);
        g_free(format);
        name = m->chain && i->full_backing_filename && depth < 200 ? g_strdup(i->full_backing_filename) : NULL;
        format = g_strdup(i->backing_filename_format);
        close_image(n);
    }
    if (m->json) {
        g_autofree char *text = json_print(m->chain ? list : json_at(list, 0), true);
        printf("%s\n", text);
    }
    return 0;
}

/* ---- check ---- */

static void print_check(const BlockCheck *r, bool quiet)
{
    if (quiet)
        return;
    if (!r->corruptions && !r->leaks && !r->errors)
        printf("No errors were found on the image.\n");
    if (r->corruptions)
        printf("\n%" PRIu64 " errors were found on the image.\nData may be corrupted, or further writes to the image may "
               "corrupt it.\n", r->corruptions);
    if (r->leaks)
        printf("\n%" PRIu64 " leaked clusters were found on the image.\nThis means waste of disk space, but no harm to "
               "data.\n", r->leaks);
    if (r->errors)
        printf("\n%" PRIu64 " internal errors have occurred during the check.\n", r->errors);
    if (r->total && r->allocated)
        printf("%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
               r->allocated, r->total, r->allocated * 100.0 / r->total, r->fragmented * 100.0 / r->allocated,
               r->compressed * 100.0 / r->allocated);
    if (r->end)
        printf("Image end offset: %" PRIu64 "\n", r->end);
}

static void print_check_json(const char *filename, const char *format, const BlockCheck *r)
{
    g_autoptr(Json) o = json_object();
    const struct { const char *name; uint64_t value; bool always; } rows[] = {
        {"image-end-offset", r->end}, {"total-clusters", r->total}, {"check-errors", r->errors, true},
        {"corruptions", r->corruptions}, {"leaks", r->leaks}, {"corruptions-fixed", r->corruptions_fixed},
        {"leaks-fixed", r->leaks_fixed}, {"allocated-clusters", r->allocated},
        {"fragmented-clusters", r->fragmented}, {"compressed-clusters", r->compressed},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].value || rows[i].always)
            json_set(o, rows[i].name, json_uint(rows[i].value));
    json_set_text(o, "filename", filename);
    json_set_text(o, "format", format);
    g_autofree char *text = json_print(o, true);
    printf("%s\n", text);
}

int img_check(Img *m, GError **error)
{
    if (m->args->len != 1) {
        error_set(error, "Expecting one image file name");
        return 1;
    }
    unsigned fix = !m->repair ? 0 : !strcmp(m->repair, "leaks") ? BLOCK_FIX_LEAKS
                 : !strcmp(m->repair, "all") ? BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS : UINT_MAX;
    if (fix == UINT_MAX) {
        error_set(error, "-r expects leaks or all");
        return 1;
    }
    BlockNode *n = img_open(m, m->args->pdata[0], m->format, m->source_cache, fix ? "wcb" : "cb", error);
    if (!n)
        return 1;
    g_autofree char *format = g_strdup(block_driver_name(n));
    BlockCheck r = {0};
    g_autoptr(GError) why = NULL;
    int status = 0;
    if (!block_check(n, &r, fix, &why)) {
        status = strstr(why->message, "does not support checks") ? 63 : 1;
        g_propagate_error(error, g_steal_pointer(&why));
    } else if (r.leaks_fixed || r.corruptions_fixed) {
        if (!m->quiet && !m->json)
            printf("The following inconsistencies were found and repaired:\n\n    %" PRIu64 " leaked clusters\n"
                   "    %" PRIu64 " corruptions\n\nDouble checking the fixed image now...\n", r.leaks_fixed,
                   r.corruptions_fixed);
        BlockCheck again = {.leaks_fixed = r.leaks_fixed, .corruptions_fixed = r.corruptions_fixed};
        r = again;
        if (!block_check(n, &r, 0, error))
            status = 1;
    }
    close_image(n);
    if (status)
        return status;
    if (m->json)
        print_check_json(m->args->pdata[0], format, &r);
    else
        print_check(&r, m->quiet);
    return r.errors ? 1 : r.corruptions ? 2 : r.leaks ? 3 : 0;
}

/* ---- map ---- */

typedef struct Line {
    uint64_t start;
    BlockExtent e;
} Line;

static void print_line(const Img *m, const Line *l, bool first)
{
    const BlockExtent *e = &l->e;
    bool data = e->flags & EXTENT_DATA, zero = e->flags & EXTENT_ZERO, at = e->flags & EXTENT_AT;
    if (!m->json) {
        if (data && !zero)
            printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", l->start, e->bytes, e->at, block_filename(e->where));
        return;
    }
    printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"depth\": %u, \"present\": %s, \"zero\": %s, "
           "\"data\": %s, \"compressed\": %s", first ? "[" : ",\n", l->start, e->bytes, e->depth,
           yes(e->flags & EXTENT_ALLOCATED), yes(zero), yes(data), yes(e->flags & EXTENT_COMPRESSED));
    if (at)
        printf(", \"offset\": %" PRIu64, e->at);
    printf("}");
}

static bool continues(const Line *a, const BlockExtent *b)
{
    return a->e.flags == b->flags && a->e.depth == b->depth && a->e.where == b->where &&
           (!(b->flags & EXTENT_AT) || a->e.at + a->e.bytes == b->at);
}

int img_map(Img *m, GError **error)
{
    if (m->args->len != 1) {
        error_set(error, "Expecting one image file name");
        return 1;
    }
    uint64_t start = 0, length = UINT64_MAX;
    if ((m->start && !img_number(m->start, &start, error)) || (m->length && !img_number(m->length, &length, error)))
        return 1;
    BlockNode *n = img_open(m, m->args->pdata[0], m->format, NULL, "", error);
    if (!n)
        return 1;
    uint64_t end = start > block_size(n) ? start : start + MIN(length, block_size(n) - start);
    Line line = {0};
    bool first = true;
    if (!m->json)
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    for (uint64_t at = start; at < end;) {
        BlockExtent e;
        int err = img_extent(n, at, end - at, &e);
        if (err) {
            error_set_errno(error, err, "Failed to read image metadata");
            break;
        }
        if (line.e.bytes && continues(&line, &e)) {
            line.e.bytes += e.bytes;
        } else {
            if (line.e.bytes) {
                print_line(m, &line, first);
                first = false;
            }
            line = (Line){at, e};
        }
        at += e.bytes;
    }
    if (line.e.bytes)
        print_line(m, &line, first);
    if (m->json)
        printf(line.e.bytes ? "]\n" : "[]\n");
    close_image(n);
    return *error != NULL;
}

/* ---- compare ---- */

enum { CHUNK = 2 << 20 };

/* First byte that differs, or UINT64_MAX. */
static int find_difference(Img *m, BlockNode *a, BlockNode *b, uint64_t size, uint64_t *where)
{
    g_autofree char *x = g_malloc(CHUNK), *y = g_malloc(CHUNK);
    *where = UINT64_MAX;
    for (uint64_t at = 0; at < size;) {
        BlockExtent e, f;
        uint64_t n = MIN(size - at, CHUNK);
        int err = img_extent(a, at, size - at, &e);
        err = err ? err : img_extent(b, at, size - at, &f);
        if (err)
            return err;
        if (e.flags & f.flags & EXTENT_ZERO) {
            at += MIN(e.bytes, f.bytes);
            continue;
        }
        err = block_read_buf(a, at, x, n);
        err = err ? err : block_read_buf(b, at, y, n);
        if (err)
            return err;
        if (memcmp(x, y, n)) {
            uint64_t i = 0;
            while (x[i] == y[i])
                i++;
            *where = (at + i) & ~511ull;
            return 0;
        }
        at += n;
        img_progress(m, at, size);
    }
    return 0;
}

/* What the longer one has behind the end of the other must be zeroes. */
static int find_nonzero(BlockNode *n, uint64_t from, uint64_t *where)
{
    g_autofree char *x = g_malloc(CHUNK);
    for (uint64_t at = from; at < block_size(n);) {
        BlockExtent e;
        int err = img_extent(n, at, block_size(n) - at, &e);
        uint64_t bytes = MIN(e.bytes, CHUNK);
        if (!err && !(e.flags & EXTENT_ZERO) && !(err = block_read_buf(n, at, x, bytes)))
            for (uint64_t i = 0; i < bytes; i++)
                if (x[i]) {
                    *where = (at + i) & ~511ull;
                    return 0;
                }
        if (err)
            return err;
        at += bytes;
    }
    return 0;
}

int img_compare(Img *m, GError **error)
{
    if (m->args->len != 2) {
        error_set(error, "Expecting two image file names");
        return 2;
    }
    BlockNode *a = img_open(m, m->args->pdata[0], m->format, m->source_cache, "", error);
    BlockNode *b = a ? img_open(m, m->args->pdata[1], m->out_format, m->source_cache, "", error) : NULL;
    int status = 2;
    if (b) {
        uint64_t where, size = MIN(block_size(a), block_size(b));
        bool sizes = block_size(a) != block_size(b);
        int err = find_difference(m, a, b, size, &where);
        if (!err && where == UINT64_MAX && sizes && !m->strict)
            err = find_nonzero(block_size(a) > size ? a : b, size, &where);
        if (err) {
            error_set_errno(error, err, "Error while reading the images");
            status = 4;
        } else if (sizes && m->strict) {
            if (!m->quiet)
                printf("Strict mode: Image size mismatch!\n");
            status = 1;
        } else {
            if (sizes && !m->quiet)
                printf("Warning: Image size mismatch!\n");
            status = where != UINT64_MAX;
            if (!m->quiet && status)
                printf("Content mismatch at offset %" PRIu64 "!\n", where);
            else if (!m->quiet)
                printf("Images are identical.\n");
        }
    }
    close_image(a);
    close_image(b);
    return status;
}
