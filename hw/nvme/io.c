/* SPDX-License-Identifier: Apache-2.0 */
/* Commands for data, and where it lies in the guest. Spec: NVM Express 1.4, 4.3-4.4, 6. */
#include <errno.h>
#include <string.h>
#include "hw/nvme/nvme.h"

enum {
    FLUSH = 0x00, WRITE = 0x01, READ = 0x02, WRITE_ZEROES = 0x08, DATASET = 0x09, DEALLOCATE = 4, RANGE = 16,
    SGL_DATA = 0, SGL_SEGMENT = 2, SGL_LAST = 3, MAX_SEGMENTS = 256, MAX_DESCRIPTORS = 4096,
};
#define FUA (1u << 30)
#define DEAC (1u << 25)

/* ---- data pointers ---- */

static uint16_t add(NvmeCommand *c, uint64_t pa, uint64_t n)
{
    return dma_list_add(&c->dma, &c->s->pci.dev, pa, n, c->to_guest) ? NVME_OK : NVME_TRANSFER;
}

static uint16_t map_prps(Nvme *s, NvmeCommand *c, uint64_t prp1, uint64_t prp2, uint64_t bytes)
{
    uint64_t page = NVME_PAGE << (s->cc >> 7 & 15), n = MIN(bytes, page - prp1 % page);
    uint16_t status = add(c, prp1, n);
    bytes -= n;
    if (status || !bytes)
        return status;
    if (bytes <= page)
        return prp2 % page ? NVME_FIELD : add(c, prp2, bytes);
    while (bytes) {             /* a page of the list; its last entry leads on if more follow */
        uint64_t room = (page - prp2 % page) / 8, entry;
        for (uint64_t i = 0; i < room && bytes; i++) {
            if (!pci_dma_read(&s->pci, prp2 + 8 * i, &entry, 8))
                return NVME_TRANSFER;
            entry = GUINT64_FROM_LE(entry);
            if (i == room - 1 && bytes > page) {
                prp2 = entry;
                break;
            }
            n = MIN(bytes, page);
            if (entry % page)
                return NVME_FIELD;
            if ((status = add(c, entry, n)))
                return status;
            bytes -= n;
        }
    }
    return NVME_OK;
}

typedef struct Descriptor {
    uint64_t at;
    uint32_t bytes;
    uint8_t reserved[3], type;
} Descriptor;

static uint16_t map_sgl(Nvme *s, NvmeCommand *c, Descriptor d, uint64_t bytes)
{
    for (unsigned hop = 0; bytes && hop < MAX_SEGMENTS; hop++) {
        uint64_t at = GUINT64_FROM_LE(d.at), n = GUINT32_FROM_LE(d.bytes);
        unsigned kind = d.type >> 4;
        if (kind == SGL_DATA)
            return n < bytes ? NVME_FIELD : add(c, at, bytes);
        if ((kind != SGL_SEGMENT && kind != SGL_LAST) || n % sizeof(d) || n / sizeof(d) > MAX_DESCRIPTORS || !n)
            return NVME_SGL;
        for (uint64_t i = 0; i < n && bytes; i += sizeof(d)) {
            if (!pci_dma_read(&s->pci, at + i, &d, sizeof(d)))
                return NVME_TRANSFER;
            if (d.type >> 4 != SGL_DATA)
                break;
            uint64_t part = MIN(bytes, GUINT32_FROM_LE(d.bytes));
            uint16_t status = add(c, GUINT64_FROM_LE(d.at), part);
            if (status)
                return status;
            bytes -= part;
        }
        if (bytes && d.type >> 4 == SGL_DATA)
            return NVME_FIELD;
    }
    return bytes ? NVME_SGL : NVME_OK;
}

uint16_t nvme_map(Nvme *s, NvmeCommand *c, uint64_t bytes, bool to_guest)
{
    uint64_t first = c->dw[6] | (uint64_t)c->dw[7] << 32, second = c->dw[8] | (uint64_t)c->dw[9] << 32;
    Descriptor d = {GUINT64_TO_LE(first), GUINT32_TO_LE(c->dw[8]), {0}, c->dw[9] >> 24};
    c->to_guest = to_guest;
    if (!bytes)
        return NVME_OK;
    return c->dw[0] >> 14 & 3 ? map_sgl(s, c, d, bytes) : map_prps(s, c, first, second, bytes);
}

/* ---- storage ---- */

static void next_range(NvmeCommand *c);

static uint16_t status_of(const NvmeCommand *c, int error)
{
    return error == EPERM ? NVME_READ_ONLY : error == ENOSPC ? 0x81 : c->to_guest ? NVME_FAULT_READ : NVME_FAULT_WRITE;
}

static void stored(BlockRequest *r, int error)
{
    NvmeCommand *c = (NvmeCommand *)r;
    Nvme *s = c->s;
    bool read = r->op == BLOCK_READ, valid = c->generation == s->generation;
    BlockErrorAction action = error && valid ? drive_error(c->ns->conf->drive, read, error)
                                             : BLOCK_ERROR_ACTION_IGNORE;
    device_lock(&s->pci.dev);
    if (read)
        dma_list_written(&c->dma, &s->pci.dev, r->bytes);
    if (valid && action == BLOCK_ERROR_ACTION_STOP) {
        s->in_flight--;
        g_queue_push_tail(&s->held, c);
    } else if (valid && action != BLOCK_ERROR_ACTION_REPORT && c->range < c->n_ranges) {
        s->in_flight--;
        next_range(c);
    } else {
        s->in_flight--;
        if (valid)
            nvme_complete(s, c->sq, c->cid, action == BLOCK_ERROR_ACTION_REPORT ? status_of(c, error) : NVME_OK, 0);
        nvme_free_command(c);
    }
    nvme_settle(s);
    device_unlock(&s->pci.dev);
}

static uint16_t submit(NvmeCommand *c)
{
    BlockNode *n = c->ns->conf->drive->node;
    c->r.done = stored;
    c->s->in_flight++;
    block_submit(n, &c->r);
    return NVME_LATER;
}

static bool range_is_fine(const NvmeCommand *c, uint64_t lba, uint64_t n)
{
    uint64_t total = block_size(c->ns->conf->drive->node) / c->ns->conf->logical;
    return lba <= total && n <= total - lba;
}

static uint16_t read_write(Nvme *s, NvmeCommand *c, BlockOp op)
{
    uint64_t lba = c->dw[10] | (uint64_t)c->dw[11] << 32, n = (c->dw[12] & 0xffff) + 1;
    const DiskConfig *conf = c->ns->conf;
    uint64_t bytes = n * conf->logical;
    bool through = op != BLOCK_READ && (c->dw[12] & FUA || !s->features[6]);
    if (op != BLOCK_WRITE_ZEROES && s->mdts && bytes > (uint64_t)NVME_PAGE << s->mdts)
        return NVME_FIELD;
    if (!range_is_fine(c, lba, n))
        return NVME_LBA;
    if (op != BLOCK_READ && block_read_only(conf->drive->node))
        return NVME_READ_ONLY;
    uint16_t status = op == BLOCK_WRITE_ZEROES ? NVME_OK : nvme_map(s, c, bytes, op == BLOCK_READ);
    if (status)
        return status;
    unsigned flags = (through ? BLOCK_FUA : 0) | (op == BLOCK_WRITE_ZEROES && c->dw[12] & DEAC ? BLOCK_MAY_UNMAP : 0);
    c->r = (BlockRequest){.op = op, .flags = flags, .offset = lba * conf->logical, .bytes = bytes,
                          .iov = c->dma.iov ? (struct iovec *)c->dma.iov->data : NULL,
                          .n_iov = c->dma.iov ? c->dma.iov->len : 0};
    return submit(c);
}

/* ---- dataset management: ranges to deallocate ---- */

static void get_range(const NvmeCommand *c, unsigned i, uint64_t *lba, uint32_t *n)
{
    memcpy(n, c->ranges + RANGE * i + 4, 4);
    memcpy(lba, c->ranges + RANGE * i + 8, 8);
    *n = GUINT32_FROM_LE(*n);
    *lba = GUINT64_FROM_LE(*lba);
}

static void next_range(NvmeCommand *c)
{
    uint64_t lba;
    uint32_t n;
    get_range(c, c->range++, &lba, &n);
    c->r = (BlockRequest){.op = BLOCK_DISCARD, .offset = lba * c->ns->conf->logical,
                          .bytes = n * c->ns->conf->logical};
    submit(c);
}

static uint16_t dataset(Nvme *s, NvmeCommand *c)
{
    uint64_t lba;
    uint32_t n;
    if (!(c->dw[11] & DEALLOCATE))
        return NVME_OK;
    if (block_read_only(c->ns->conf->drive->node))
        return NVME_READ_ONLY;
    c->n_ranges = (c->dw[10] & 0xff) + 1;
    uint16_t status = nvme_map(s, c, c->n_ranges * RANGE, false);
    if (status)
        return status;
    c->ranges = g_malloc0(c->n_ranges * RANGE);
    iov_read((struct iovec *)c->dma.iov->data, c->dma.iov->len, 0, c->ranges, c->n_ranges * RANGE);
    for (unsigned i = 0; i < c->n_ranges; i++) {
        get_range(c, i, &lba, &n);
        if (!range_is_fine(c, lba, n))
            return NVME_LBA;
    }
    next_range(c);
    return NVME_LATER;
}

/* A flush of all namespaces flushes the first: most controllers have no other. */
static NvmeNamespace *find(Nvme *s, uint32_t nsid, bool any)
{
    for (unsigned i = 1; any && nsid == UINT32_MAX && i <= NVME_NAMESPACES; i++)
        if (s->ns[i])
            return s->ns[i];
    return nsid && nsid <= NVME_NAMESPACES ? s->ns[nsid] : NULL;
}

uint16_t nvme_io(Nvme *s, NvmeCommand *c)
{
    uint8_t opcode = c->dw[0];
    c->ns = find(s, c->dw[1], opcode == FLUSH);
    if (!c->ns)
        return c->dw[1] && c->dw[1] <= NVME_NAMESPACES ? NVME_FIELD : NVME_NSID;
    switch (opcode) {
    case FLUSH:
        c->r = (BlockRequest){.op = BLOCK_FLUSH};
        return submit(c);
    case WRITE: return read_write(s, c, BLOCK_WRITE);
    case READ: return read_write(s, c, BLOCK_READ);
    case WRITE_ZEROES: return read_write(s, c, BLOCK_WRITE_ZEROES);
    case DATASET: return dataset(s, c);
    default: return NVME_OPCODE;
    }
}
