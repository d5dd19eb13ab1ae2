/* SPDX-License-Identifier: Apache-2.0 */
/* The header and its extensions: reading with all checks, and writing again. */
#include <errno.h>
#include <string.h>
#include "block/qcow2/qcow2.h"

static uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return GUINT32_FROM_BE(v); }
static uint64_t get64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return be64(v); }
static void put32(uint8_t *p, uint32_t v) { v = GUINT32_TO_BE(v); memcpy(p, &v, 4); }
static void put64(uint8_t *p, uint64_t v) { v = be64(v); memcpy(p, &v, 8); }

int qcow2_put32(Qcow2 *s, unsigned at, uint32_t value)
{
    uint8_t b[4];
    put32(b, value);
    int err = block_write_buf(s->node.file, at, b, sizeof(b));
    return err ? err : block_flush(s->node.file);
}

int qcow2_put64(Qcow2 *s, unsigned at, uint64_t value)
{
    uint8_t b[8];
    put64(b, value);
    int err = block_write_buf(s->node.file, at, b, sizeof(b));
    return err ? err : block_flush(s->node.file);
}

int qcow2_put_l1(Qcow2 *s, uint64_t size, uint32_t entries, uint64_t offset)
{
    uint8_t b[AT_REFTABLE_OFFSET - AT_SIZE] = {0};      /* no encryption between them */
    put64(b, size);
    put32(b + AT_L1_SIZE - AT_SIZE, entries);
    put64(b + AT_L1_OFFSET - AT_SIZE, offset);
    int err = block_write_buf(s->node.file, AT_SIZE, b, sizeof(b));
    return err ? err : block_flush(s->node.file);
}

/* ---- reading ---- */

/* Names of features that we do not know may stand in a table within the image. */
static bool unknown_features(uint64_t features, const uint8_t *names, size_t n, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned bit = 0; bit < 64; bit++) {
        const char *name = NULL;
        if (!(features >> bit & 1))
            continue;
        for (size_t i = 0; names && i + 48 <= n && !name; i += 48)
            if (names[i] == 0 && names[i + 1] == bit)
                name = (const char *)names + i + 2;
        if (text->len)
            g_string_append(text, ", ");
        if (name)
            g_string_append_len(text, name, strnlen(name, 46));
        else
            g_string_append_printf(text, "Unknown incompatible feature: %llx", 1ull << bit);
    }
    return error_set(error, "Unsupported qcow2 feature(s): %s", text->str);
}

static bool read_extensions(Qcow2 *s, const uint8_t *head, size_t end, GError **error)
{
    const uint8_t *names = NULL;
    size_t n_names = 0;
    for (size_t at = s->header_length; at + 8 <= end;) {
        Extension e = {.type = get32(head + at), .size = get32(head + at + 4)};
        const uint8_t *data = head + at + 8;
        if (!e.type)
            break;
        if (e.size > end - at - 8)
            return error_set(error, "Header extension too large");
        at += 8 + ((e.size + 7ull) & ~7ull);
        if (e.type == EXT_BACKING_FORMAT) {
            if (e.size > 64)
                return error_set(error, "ERROR: ext_backing_format: len=%u too large", e.size);
            g_free(s->backing_format);
            s->backing_format = g_strndup((const char *)data, e.size);
            continue;
        }
        if (e.type == EXT_FEATURES) {
            names = data;
            n_names = e.size;
            continue;               /* ours is written instead */
        }
        if (e.type == EXT_DATA_FILE)
            s->data_file = g_strndup((const char *)data, e.size);
        e.data = g_memdup2(data, e.size);
        g_array_append_val(s->extensions, e);
    }
    uint64_t known = INCOMPAT_DIRTY | INCOMPAT_CORRUPT | INCOMPAT_COMPRESSION | INCOMPAT_EXTENDED_L2;
    if (s->incompatible & INCOMPAT_DATA_FILE)
        return error_set(error, "Images with an external data file ('%s') are not supported yet",
                         s->data_file ? s->data_file : "");
    return !(s->incompatible & ~known) || unknown_features(s->incompatible & ~known, names, n_names, error);
}

static bool check_table(const Qcow2 *s, const char *what, uint64_t offset, uint64_t bytes, uint64_t most,
                        GError **error)
{
    if (bytes > most)
        return error_set(error, "%s too large", what);
    if (INT64_MAX - bytes < offset || offset & (s->cluster - 1))
        return error_set(error, "%s offset invalid", what);
    return true;
}

static bool read_version(Qcow2 *s, const uint8_t *h, size_t n, GError **error)
{
    if (n < HEADER_V2 || get32(h) != QCOW2_MAGIC)
        return error_set(error, "Image is not in qcow2 format");
    s->version = get32(h + AT_VERSION);
    if (s->version < 2 || s->version > 3)
        return error_set(error, "Unsupported qcow2 version %u", s->version);
    s->cluster_bits = get32(h + AT_CLUSTER_BITS);
    if (s->cluster_bits < 9 || s->cluster_bits > 21)
        return error_set(error, "Unsupported cluster size: 2^%u", s->cluster_bits);
    s->cluster = 1ull << s->cluster_bits;
    s->header_length = HEADER_V2;
    s->refcount_order = 4;
    if (s->version == 2)
        return true;
    if (n < HEADER_V3)
        return error_set(error, "qcow2 header too short");
    s->incompatible = get64(h + AT_INCOMPATIBLE);
    s->compatible = get64(h + AT_COMPATIBLE);
    s->autoclear = get64(h + AT_AUTOCLEAR);
    s->refcount_order = get32(h + AT_REFCOUNT_ORDER);
    s->header_length = get32(h + AT_HEADER_LENGTH);
    if (s->header_length < HEADER_V3)
        return error_set(error, "qcow2 header too short");
    if (s->header_length > s->cluster || s->header_length > n)
        return error_set(error, "qcow2 header exceeds cluster size");
    if (s->refcount_order > 6)
        return error_set(error, "Reference count entry width too large; may not exceed 64 bits");
    return true;
}

static bool read_rest(Qcow2 *s, const uint8_t *h, GError **error)
{
    BlockNode *n = &s->node;
    uint64_t l1_needed;
    s->compression = s->header_length > AT_COMPRESSION ? h[AT_COMPRESSION] : 0;
    if (!!(s->incompatible & INCOMPAT_COMPRESSION) != (s->compression != 0))
        return error_set(error, "qcow2: Compression type incompatible feature bit must %s",
                         s->compression ? "be set" : "not be set");
    if (s->compression > 1)
        return error_set(error, "qcow2: unknown compression type: %u", s->compression);
    bool extended = s->incompatible & INCOMPAT_EXTENDED_L2;
    if (extended && s->cluster_bits < 14)
        return error_set(error, "Extended L2 entries need clusters of 16 KiB or more");
    s->entry_words = extended ? 2 : 1;
    s->subclusters = extended ? 32 : 1;
    s->sub_bits = s->cluster_bits - (extended ? 5 : 0);
    s->l2_bits = s->cluster_bits - (extended ? 4 : 3);
    n->size = get64(h + AT_SIZE);
    s->l1_size = get32(h + AT_L1_SIZE);
    s->l1_offset = get64(h + AT_L1_OFFSET);
    s->reftable_offset = get64(h + AT_REFTABLE_OFFSET);
    s->reftable_clusters = get32(h + AT_REFTABLE_CLUSTERS);
    s->n_snapshots = get32(h + AT_N_SNAPSHOTS);
    s->snapshots_offset = get64(h + AT_SNAPSHOTS_OFFSET);
    uint32_t crypt = get32(h + AT_CRYPT);
    if (crypt)
        return error_set(error, crypt == 1 ? "Use of AES-CBC encrypted qcow2 images is no longer supported in system emulators"
                                : crypt == 2 ? "LUKS-encrypted qcow2 images are not supported yet"
                                             : "Unsupported encryption method %u", crypt);
    if (n->size > INT64_MAX)
        return error_set(error, "Image size is too large");
    if (!check_table(s, "Reference count table", s->reftable_offset, (uint64_t)s->reftable_clusters << s->cluster_bits,
                     MAX_REFTABLE_BYTES, error) ||
        !check_table(s, "Snapshot table", s->snapshots_offset, s->n_snapshots, MAX_SNAPSHOTS, error) ||
        !check_table(s, "Active L1 table", s->l1_offset, (uint64_t)s->l1_size * 8, MAX_L1_BYTES, error))
        return false;
    if (!s->reftable_clusters)
        return error_set(error, "Image does not contain a reference count table");
    l1_needed = n->size / l2_reach(s) + (n->size % l2_reach(s) != 0);
    if (s->l1_size < l1_needed)
        return error_set(error, "L1 table is too small");
    return true;
}

static bool read_table(Qcow2 *s, uint64_t offset, uint64_t *table, size_t n, const char *what, GError **error)
{
    int err = n ? block_read_buf(s->node.file, offset, table, n * 8) : 0;
    for (size_t i = 0; i < n; i++)
        table[i] = be64(table[i]);
    return !err || error_set_errno(error, err, "Could not read %s", what);
}

bool qcow2_read_header(Qcow2 *s, GError **error)
{
    BlockNode *file = s->node.file;
    uint8_t small[HEADER_V3] = {0};
    int err = block_read_buf(file, 0, small, sizeof(small));
    if (err)
        return error_set_errno(error, err, "Could not read qcow2 header");
    if (!read_version(s, small, MAX(MIN(file->size, s->cluster ? s->cluster : UINT64_MAX), HEADER_V3), error))
        return false;
    g_autofree uint8_t *head = g_malloc0(s->cluster);
    if ((err = block_read_buf(file, 0, head, s->cluster)))
        return error_set_errno(error, err, "Could not read qcow2 header");
    uint64_t name_at = get64(head + AT_BACKING_OFFSET);
    uint32_t name_size = get32(head + AT_BACKING_SIZE);
    if (name_at > s->cluster || (name_at && name_at < s->header_length))
        return error_set(error, "Invalid backing file offset");
    if (!read_extensions(s, head, name_at ? name_at : s->cluster, error) || !read_rest(s, head, error))
        return false;
    if (name_at) {
        if (name_size > MIN(MAX_BACKING, s->cluster - name_at))
            return error_set(error, "Backing file name too long");
        s->backing_name = g_strndup((const char *)head + name_at, name_size);
    }
    s->l1 = g_try_malloc0(((size_t)s->l1_size + 64) * 8);
    s->l1_dirty = g_malloc0(s->l1_size / 64 + 1);
    s->reftable_size = ((uint64_t)s->reftable_clusters << s->cluster_bits) / 8;
    s->reftable = g_try_malloc_n(s->reftable_size, 8);
    if (!s->l1 || !s->reftable)
        return error_set(error, "Could not allocate the image's tables");
    return read_table(s, s->l1_offset, s->l1, s->l1_size, "L1 table", error) &&
           read_table(s, s->reftable_offset, s->reftable, s->reftable_size, "refcount table", error);
}

/* ---- writing ---- */

static const struct { uint8_t kind, bit; const char *name; } feature_names[] = {
    {0, 0, "dirty bit"}, {0, 1, "corrupt bit"}, {0, 2, "external data file"}, {0, 3, "compression type"},
    {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"}, {2, 0, "bitmaps"}, {2, 1, "raw external data"},
};

static uint8_t *add_extension(uint8_t *p, const uint8_t *end, uint32_t type, const void *data, uint32_t size)
{
    uint32_t padded = (size + 7) & ~7u;
    if (!p || (size_t)(end - p) < 8 + padded)
        return NULL;
    put32(p, type);
    put32(p + 4, size);
    if (size)
        memcpy(p + 8, data, size);
    return p + 8 + padded;
}

/* The first cluster as the struct says; NULL if it does not fit. */
uint8_t *qcow2_make_header(const Qcow2 *s)
{
    g_autofree uint8_t *h = g_malloc0(s->cluster);
    unsigned length = s->version < 3 ? HEADER_V2 : HEADER_MINE;
    size_t name = s->backing_name ? strlen(s->backing_name) : 0;
    put32(h, QCOW2_MAGIC);
    put32(h + AT_VERSION, s->version);
    put32(h + AT_CLUSTER_BITS, s->cluster_bits);
    put64(h + AT_SIZE, s->node.size);
    put32(h + AT_L1_SIZE, s->l1_size);
    put64(h + AT_L1_OFFSET, s->l1_offset);
    put64(h + AT_REFTABLE_OFFSET, s->reftable_offset);
    put32(h + AT_REFTABLE_CLUSTERS, s->reftable_clusters);
    put32(h + AT_N_SNAPSHOTS, s->n_snapshots);
    put64(h + AT_SNAPSHOTS_OFFSET, s->snapshots_offset);
    if (s->version >= 3) {
        put64(h + AT_INCOMPATIBLE, s->incompatible);
        put64(h + AT_COMPATIBLE, s->compatible);
        put64(h + AT_AUTOCLEAR, s->autoclear);
        put32(h + AT_REFCOUNT_ORDER, s->refcount_order);
        put32(h + AT_HEADER_LENGTH, length);
        h[AT_COMPRESSION] = s->compression;
    }
    uint8_t *p = h + length, *end = h + s->cluster;
    if (s->backing_format)
        p = add_extension(p, end, EXT_BACKING_FORMAT, s->backing_format, strlen(s->backing_format));
    for (unsigned i = 0; s->extensions && i < s->extensions->len; i++) {
        const Extension *e = &g_array_index(s->extensions, Extension, i);
        p = add_extension(p, end, e->type, e->data, e->size);
    }
    if (s->version >= 3 && s->cluster >= 1024) {
        uint8_t names[G_N_ELEMENTS(feature_names)][48] = {0};
        for (unsigned i = 0; i < G_N_ELEMENTS(feature_names); i++) {
            names[i][0] = feature_names[i].kind;
            names[i][1] = feature_names[i].bit;
            memcpy(names[i] + 2, feature_names[i].name, strlen(feature_names[i].name));
        }
        p = add_extension(p, end, EXT_FEATURES, names, sizeof(names));
    }
    p = add_extension(p, end, 0, NULL, 0);
    if (!p || (size_t)(end - p) < name)
        return NULL;
    if (name) {
        put64(h + AT_BACKING_OFFSET, p - h);
        put32(h + AT_BACKING_SIZE, name);
        memcpy(p, s->backing_name, name);
    }
    return g_steal_pointer(&h);
}

int qcow2_write_header(Qcow2 *s)
{
    g_autofree uint8_t *h = qcow2_make_header(s);
    if (!h)
        return ENOSPC;
    int err = block_write_buf(s->node.file, 0, h, s->cluster);
    return err ? err : block_flush(s->node.file);
}
