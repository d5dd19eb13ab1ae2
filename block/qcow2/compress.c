/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed clusters: raw deflate (RFC 1951) with a window of 4 KiB, or zstd (RFC 8878) frames. */
#include <errno.h>
#include <zlib.h>
#include <zstd.h>
#include "block/qcow2/qcow2.h"

enum { WINDOW_BITS = 12, MEM_LEVEL = 9 };

static int inflate_cluster(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out)
{
    z_stream z = {.next_in = (uint8_t *)in, .avail_in = n_in, .next_out = out, .avail_out = n_out};
    if (inflateInit2(&z, -WINDOW_BITS) != Z_OK)
        return ENOMEM;
    int r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    /* The data may be padded, the cluster must be full. */
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && !z.avail_out ? 0 : EIO;
}

static int unzstd_cluster(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out)
{
    ZSTD_DStream *d = ZSTD_createDStream();
    ZSTD_inBuffer from = {in, n_in, 0};
    ZSTD_outBuffer to = {out, n_out, 0};
    int err = d ? 0 : ENOMEM;
    while (!err && to.pos < n_out) {
        size_t before = to.pos, taken = from.pos, r = ZSTD_decompressStream(d, &to, &from);
        if (ZSTD_isError(r) || (to.pos == before && from.pos == taken))
            err = EIO;
    }
    ZSTD_freeDStream(d);
    return err;
}

int qcow2_unpack(Qcow2 *s, uint64_t entry, uint8_t *out)
{
    uint64_t offset, bytes;
    qcow2_compressed_range(s, entry, &offset, &bytes);
    g_autofree uint8_t *in = g_malloc(bytes);
    int err = block_read_buf(s->node.file, offset, in, bytes);
    if (err)
        return err;
    return s->compression == 1 ? unzstd_cluster(in, bytes, out, s->cluster)
                               : inflate_cluster(in, bytes, out, s->cluster);
}

size_t qcow2_pack(Qcow2 *s, const uint8_t *in, uint8_t *out, size_t room)
{
    if (s->compression == 1) {
        size_t n = ZSTD_compress(out, room, in, s->cluster, ZSTD_CLEVEL_DEFAULT);
        return ZSTD_isError(n) || n >= s->cluster ? 0 : n;
    }
    z_stream z = {.next_in = (uint8_t *)in, .avail_in = s->cluster, .next_out = out, .avail_out = room};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    int r = deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return r == Z_STREAM_END && z.total_out < s->cluster ? z.total_out : 0;
}
