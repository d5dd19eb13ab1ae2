/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-img create, resize, measure. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block/qcow2/qcow2.h"
#include "control/img/img.h"
#include "qapi/type.h"

static const char *const qcow2_known[] = {"backing_file", "backing_fmt", "cluster_size", "compat", "compression_type",
                                          "extended_l2", "lazy_refcounts", "preallocation", "refcount_bits", "size", NULL};
static const char *const raw_known[] = {"size", "preallocation", NULL};

static const char *text_of(const Json *o, const char *key, const char *dflt)
{
    const char *t = json_get_text(o, key);
    return t ? t : dflt;
}

static bool is_on(const Json *o, const char *key)
{
    return !strcmp(text_of(o, key, "off"), "on");
}

static void say_qcow2(const char *filename, const Json *o, uint64_t cluster, uint64_t size)
{
    printf("Formatting '%s', fmt=qcow2 cluster_size=%" PRIu64 " extended_l2=%s", filename, cluster,
           text_of(o, "extended_l2", "off"));
    if (json_get(o, "preallocation"))
        printf(" preallocation=%s", text_of(o, "preallocation", "off"));
    printf(" compression_type=%s size=%" PRIu64, text_of(o, "compression_type", "zlib"), size);
    if (json_get(o, "compat"))
        printf(" compat=%s", text_of(o, "compat", ""));
    if (json_get(o, "backing_file"))
        printf(" backing_file=%s", text_of(o, "backing_file", ""));
    if (json_get(o, "backing_fmt"))
        printf(" backing_fmt=%s", text_of(o, "backing_fmt", ""));
    printf(" lazy_refcounts=%s refcount_bits=%s\n", text_of(o, "lazy_refcounts", "off"), text_of(o, "refcount_bits", "16"));
}

static bool make_file(Img *m, const char *filename, uint64_t size, PreallocMode prealloc, GError **error)
{
    BlockdevCreateOptionsFile f = {.filename = (char *)filename, .size = size, .has_preallocation = true,
                                   .preallocation = prealloc};
    BlockdevCreateOptions c = {.driver = BLOCKDEV_DRIVER_FILE, .u.file = &f};
    struct stat st;
    const char *path = g_str_has_prefix(filename, "file:") ? filename + 5 : filename;
    if (stat(path, &st) == 0 && S_ISBLK(st.st_mode))
        return true;            /* it is there */
    return block_create(m->vm, &c, error);
}

static bool parse_qcow2(const Json *o, BlockdevCreateOptionsQcow2 *q, GError **error)
{
    const char *compat = text_of(o, "compat", "1.1");
    uint64_t cluster = 65536;
    if (json_get(o, "cluster_size") && !img_number(text_of(o, "cluster_size", ""), &cluster, error))
        return false;
    q->has_cluster_size = true;
    q->cluster_size = cluster;
    q->has_version = true;
    q->version = !strcmp(compat, "0.10") || !strcmp(compat, "v2") ? BLOCKDEV_QCOW2_VERSION_V2 : BLOCKDEV_QCOW2_VERSION_V3;
    if (q->version == BLOCKDEV_QCOW2_VERSION_V3 && strcmp(compat, "1.1") && strcmp(compat, "v3"))
        return error_set(error, "Invalid parameter '%s'", compat);
    q->has_refcount_bits = true;
    q->refcount_bits = strtoll(text_of(o, "refcount_bits", "16"), NULL, 10);
    q->has_extended_l2 = q->has_lazy_refcounts = q->has_preallocation = q->has_compression_type = true;
    q->extended_l2 = is_on(o, "extended_l2");
    q->lazy_refcounts = is_on(o, "lazy_refcounts");
    q->preallocation = PREALLOC_MODE_OFF;
    if (!prealloc_mode_parse(text_of(o, "preallocation", "off"), &q->preallocation))
        return error_set(error, "Invalid parameter '%s'", text_of(o, "preallocation", ""));
    if (!qcow2_compression_type_parse(text_of(o, "compression_type", "zlib"), &q->compression_type))
        return error_set(error, "Invalid parameter '%s'", text_of(o, "compression_type", ""));
    q->backing_file = (char *)json_get_text(o, "backing_file");
    q->has_backing_fmt = json_get(o, "backing_fmt");
    if (q->has_backing_fmt && !blockdev_driver_parse(text_of(o, "backing_fmt", ""), &q->backing_fmt))
        return error_set(error, "Unknown backing file format '%s'", text_of(o, "backing_fmt", ""));
    return true;
}

bool img_make(Img *m, const char *filename, const char *format, const Json *o, uint64_t size, bool has_size, bool quiet,
              GError **error)
{
    bool qcow2 = !strcmp(format, "qcow2");
    if (!qcow2 && strcmp(format, "raw") && strcmp(format, "file"))
        return error_set(error, "Unknown file format '%s'", format);
    for (size_t i = 0; i < json_length(o); i++)
        if (!g_strv_contains(qcow2 ? qcow2_known : raw_known, json_key_at(o, i)))
            return error_set(error, "Invalid parameter '%s'", json_key_at(o, i));
    if (json_get(o, "size") && !has_size) {
        if (!img_number(text_of(o, "size", ""), &size, error))
            return false;
        has_size = true;
    }
    const char *backing = json_get_text(o, "backing_file");
    if (backing && !json_get(o, "backing_fmt") && !m->unsafe)
        return error_set(error, "Backing file specified without backing format");
    if (backing && (!has_size || !m->unsafe)) {
        g_autofree char *full = block_full_name(filename, backing);
        BlockNode *n = img_open(m, full, text_of(o, "backing_fmt", NULL), NULL, "", error);
        if (!n)
            return false;
        size = has_size ? size : block_size(n);
        has_size = true;
        block_release(n, "tool");
        block_free(n);
    }
    if (!has_size)
        return error_set(error, "Image creation needs a size parameter");
    if (!qcow2) {
        PreallocMode mode = PREALLOC_MODE_OFF;
        if (!prealloc_mode_parse(text_of(o, "preallocation", "off"), &mode))
            return error_set(error, "Invalid parameter '%s'", text_of(o, "preallocation", ""));
        if (!quiet)
            printf("Formatting '%s', fmt=%s size=%" PRIu64 "%s%s\n", filename, format, size,
                   json_get(o, "preallocation") ? " preallocation=" : "", text_of(o, "preallocation", ""));
        return make_file(m, filename, size, mode, error);
    }
    BlockdevCreateOptionsQcow2 q = {.size = (size + 511) & ~511ull};
    if (!parse_qcow2(o, &q, error))
        return false;
    if (!quiet)
        say_qcow2(filename, o, q.cluster_size, size);
    fflush(stdout);
    BlockdevOptionsFile storage = {.filename = (char *)filename};
    BlockdevOptions file = {.driver = BLOCKDEV_DRIVER_FILE, .u.file = &storage};
    BlockdevRef ref = {.kind = BLOCKDEV_REF_DEFINITION, .u.definition = &file};
    q.file = &ref;
    BlockdevCreateOptions c = {.driver = BLOCKDEV_DRIVER_QCOW2, .u.qcow2 = &q};
    return make_file(m, filename, 0, PREALLOC_MODE_OFF, error) && block_create(m->vm, &c, error);
}

int img_create(Img *m, GError **error)
{
    g_autoptr(Json) o = img_options(m, error);
    uint64_t size = 0;
    if (!o)
        return 1;
    if (m->args->len < 1 || m->args->len > 2) {
        error_set(error, m->args->len ? "Unexpected argument: %s" : "Expecting image file name",
                  m->args->len ? (char *)m->args->pdata[2] : "");
        return 1;
    }
    const char *filename = m->args->pdata[0];
    if (m->args->len > 1 && !img_number(m->args->pdata[1], &size, error))
        return 1;
    if (m->backing)
        json_set_text(o, "backing_file", m->backing);
    if (m->backing_format)
        json_set_text(o, "backing_fmt", m->backing_format);
    if (img_make(m, filename, m->format ? m->format : "raw", o, size, m->args->len > 1, m->quiet, error))
        return 0;
    g_prefix_error(error, "%s: ", filename);
    return 1;
}

int img_resize(Img *m, GError **error)
{
    if (m->args->len != 2) {
        error_set(error, "Expecting image file name and size");
        return 1;
    }
    const char *text = m->args->pdata[1];
    uint64_t number, size;
    PreallocMode mode = PREALLOC_MODE_OFF;
    bool plus = *text == '+', minus = *text == '-';
    if (m->prealloc && !prealloc_mode_parse(m->prealloc, &mode)) {
        error_set(error, "Invalid preallocation mode '%s'", m->prealloc);
        return 1;
    }
    if (!img_number(text + (plus || minus), &number, error))
        return 1;
    BlockNode *n = img_open(m, m->args->pdata[0], m->format, m->cache, "w", error);
    if (!n)
        return 1;
    uint64_t old = block_size(n);
    size = plus ? old + number : minus ? old - MIN(old, number) : number;
    bool ok = true;
    if (size < old && !m->shrink) {
        g_printerr("%s: warning: Shrinking an image will delete all data beyond the shrunken image's end. Before "
                   "performing such an operation, make sure there is no important data there.\n", m->name);
        ok = error_set(error, "Use the --shrink option to perform a shrink operation.");
    }
    block_release(n, "tool");
    ok = ok && block_resize(n, size, mode, error);
    block_free(n);
    if (ok && !m->quiet)
        printf("Image resized.\n");
    return ok ? 0 : 1;
}

int img_measure(Img *m, GError **error)
{
    g_autoptr(Json) o = img_options(m, error);
    const char *format = m->out_format ? m->out_format : "raw";
    uint64_t size = 0, data = 0, cluster = 65536;
    if (!o || (m->size && !img_number(m->size, &size, error)) ||
        (json_get(o, "cluster_size") && !img_number(text_of(o, "cluster_size", ""), &cluster, error)))
        return 1;
    if (!m->size == !m->args->len) {
        error_set(error, "Either --size N or one filename must be specified.");
        return 1;
    }
    bool qcow2 = !strcmp(format, "qcow2");
    if (!qcow2 && strcmp(format, "raw")) {
        error_set(error, "Unknown file format '%s'", format);
        return 1;
    }
    if (m->args->len) {
        BlockNode *n = img_open(m, m->args->pdata[0], m->format, NULL, "", error);
        if (!n)
            return 1;
        size = block_size(n);
        uint64_t last = UINT64_MAX;
        for (uint64_t at = 0; at < size;) {
            BlockExtent e;
            if (img_extent(n, at, size - at, &e))
                break;
            if (!(e.flags & EXTENT_ZERO)) {
                uint64_t first = at / cluster, end = (at + e.bytes + cluster - 1) / cluster;
                data += end - first - (first == last);
                last = end - 1;
            }
            at += e.bytes;
        }
        block_release(n, "tool");
        block_free(n);
    }
    uint64_t required = size, full = size;
    if (qcow2) {
        unsigned order = __builtin_ctzll(MAX(1, strtoull(text_of(o, "refcount_bits", "16"), NULL, 10)));
        uint64_t meta = qcow2_metadata_bytes(size, cluster, order, is_on(o, "extended_l2"));
        full = meta + (size + cluster - 1) / cluster * cluster;
        required = json_get(o, "preallocation") && strcmp(text_of(o, "preallocation", "off"), "off") &&
                   strcmp(text_of(o, "preallocation", "off"), "metadata") ? full : meta + data * cluster;
    }
    if (m->json)
        printf("{\n    \"required\": %" PRIu64 ",\n    \"fully-allocated\": %" PRIu64 "\n}\n", required, full);
    else
        printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", required, full);
    return 0;
}
