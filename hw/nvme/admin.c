/* SPDX-License-Identifier: Apache-2.0 */
/* Admin commands: queues, identification, features, log pages, events. Spec: NVM Express 1.4, 5. */
#include <string.h>
#include "hw/nvme/nvme.h"
#include "hw/pci-regs.h"
#include "util/bytes.h"
#include "util/version.h"

enum {
    DELETE_SQ = 0x00, CREATE_SQ = 0x01, GET_LOG = 0x02, DELETE_CQ = 0x04, CREATE_CQ = 0x05, IDENTIFY = 0x06,
    ABORT = 0x08, SET_FEATURES = 0x09, GET_FEATURES = 0x0a, ASYNC_EVENT = 0x0c,
    CONTIGUOUS = 1, INTERRUPTS = 2, MAX_ENTRIES = 2048, SMALL_LIST = 1024,
    F_ARBITRATION = 1, F_POWER, F_TEMPERATURE = 4, F_RECOVERY, F_CACHE, F_QUEUES, F_COALESCING, F_VECTOR, F_ATOMICITY,
    F_EVENTS, F_TIMESTAMP = 14,
};

static void put_text(uint8_t *p, unsigned n, const char *text)
{
    memset(p, ' ', n);
    memcpy(p, text, MIN(n, strlen(text)));
}

static uint16_t reply(Nvme *s, NvmeCommand *c, const uint8_t *data, uint64_t bytes)
{
    uint16_t status = nvme_map(s, c, bytes, true);
    if (status || !bytes)
        return status;
    iov_write((struct iovec *)c->dma.iov->data, c->dma.iov->len, 0, data, bytes);
    dma_list_written(&c->dma, &s->pci.dev, bytes);
    return NVME_OK;
}

/* ---- queues ---- */

static uint16_t create_cq(Nvme *s, NvmeCommand *c)
{
    uint32_t id = c->dw[10] & 0xffff, size = (c->dw[10] >> 16) + 1, vector = c->dw[11] >> 16;
    uint64_t base = c->dw[6] | (uint64_t)c->dw[7] << 32;
    if (!id || id > s->max_ioqpairs || s->cq[id].live)
        return NVME_BAD_QID;
    if (size < 2 || size > MAX_ENTRIES)
        return NVME_BAD_SIZE;
    if (base % NVME_PAGE || !(c->dw[11] & CONTIGUOUS))
        return NVME_FIELD;
    if (vector >= s->msix_qsize || (!pci_msix_enabled(&s->pci) && vector))
        return NVME_VECTOR;
    s->cq[id] = (NvmeCq){.base = base, .size = size, .vector = vector, .phase = 1,
                         .interrupts = c->dw[11] & INTERRUPTS ? 1 : 0, .live = 1};
    return NVME_OK;
}

static uint16_t create_sq(Nvme *s, NvmeCommand *c)
{
    uint32_t id = c->dw[10] & 0xffff, size = (c->dw[10] >> 16) + 1, cq = c->dw[11] >> 16;
    uint64_t base = c->dw[6] | (uint64_t)c->dw[7] << 32;
    if (!cq || cq > s->max_ioqpairs || !s->cq[cq].live)
        return NVME_BAD_CQ;
    if (!id || id > s->max_ioqpairs || s->sq[id].live)
        return NVME_BAD_QID;
    if (size < 2 || size > MAX_ENTRIES)
        return NVME_BAD_SIZE;
    if (base % NVME_PAGE || !(c->dw[11] & CONTIGUOUS))
        return NVME_FIELD;
    s->sq[id] = (NvmeSq){.base = base, .size = size, .cq = cq, .live = 1};
    return NVME_OK;
}

static uint16_t delete_queue(Nvme *s, NvmeCommand *c, bool cq)
{
    uint32_t id = c->dw[10] & 0xffff;
    if (!id || id > s->max_ioqpairs || !(cq ? s->cq[id].live : s->sq[id].live))
        return NVME_BAD_QID;
    for (unsigned i = 1; cq && i < NVME_QUEUES; i++)
        if (s->sq[i].live && s->sq[i].cq == id)
            return NVME_QUEUE_DELETION;
    if (cq)
        s->cq[id] = (NvmeCq){0};
    else
        s->sq[id] = (NvmeSq){0};
    return NVME_OK;
}

/* ---- identification ---- */

static void controller(const Nvme *s, uint8_t *d)
{
    bytes_store(d, pci_get16(&s->pci, PCI_VENDOR_ID), 2);
    bytes_store(d + 2, pci_get16(&s->pci, PCI_SUBVENDOR), 2);
    put_text(d + 4, 20, s->conf.serial);
    put_text(d + 24, 40, "QEMU NVMe Ctrl");
    put_text(d + 64, 8, QEMU_VERSION);
    d[72] = 6;                  /* arbitration burst */
    d[74] = 0x54;
    d[73] = 0x00;
    d[75] = 0x52;
    d[77] = s->mdts;
    bytes_store(d + 80, 0x10400, 4);
    bytes_store(d + 92, 1 << 8, 4);     /* tells of changed namespaces */
    bytes_store(d + 96, 1 << 15, 4);
    d[111] = 1;                 /* an I/O controller */
    d[258] = 3;
    d[259] = s->aerl;
    d[260] = 3;                 /* one firmware slot, read only */
    d[261] = 4;                 /* log pages of any length */
    bytes_store(d + 266, 0x157, 2);
    bytes_store(d + 268, 0x175, 2);
    d[512] = 0x66;
    d[513] = 0x44;
    bytes_store(d + 516, NVME_NAMESPACES, 4);
    bytes_store(d + 520, 1 << 2 | 1 << 3, 2);   /* dataset management, write zeroes */
    d[525] = 7;                 /* a write cache; flush of all namespaces */
    bytes_store(d + 536, 1, 4);         /* SGLs */
    g_snprintf((char *)d + 768, 256, "nqn.2019-08.org.qemu:%s", s->conf.serial);
    bytes_store(d + 2048, 0x9c4, 2);    /* power state 0: 25 W */
    bytes_store(d + 2052, 0x10, 4);
    bytes_store(d + 2056, 0x4, 4);
}

static void describe(const NvmeNamespace *ns, uint8_t *d)
{
    uint64_t blocks = block_size(ns->conf->drive->node) / ns->conf->logical;
    bytes_store(d, blocks, 8);
    bytes_store(d + 8, blocks, 8);
    bytes_store(d + 16, blocks, 8);
    d[24] = 1 << 4;             /* the fields about good sizes are valid */
    d[33] = 1 | 1 << 3;         /* deallocated blocks read as zeroes; write zeroes deallocates */
    bytes_store(d + 64, MAX(ns->conf->discard_granularity / ns->conf->logical, 1) - 1, 2);
    bytes_store(d + 66, MAX(ns->conf->discard_granularity / ns->conf->logical, 1) - 1, 2);
    bytes_store(d + 120, GUINT64_SWAP_LE_BE(ns->eui64), 8);
    d[130] = __builtin_ctzll(ns->conf->logical);
    d[99] = block_read_only(ns->conf->drive->node);
}

static void list_namespaces(const Nvme *s, uint32_t above, uint8_t *d)
{
    unsigned n = 0;
    for (uint32_t i = 1; i <= NVME_NAMESPACES && n < SMALL_LIST; i++)
        if (i > above && s->ns[i])
            bytes_store(d + 4 * n++, i, 4);
}

static void identifiers(const NvmeNamespace *ns, uint8_t *d)
{
    if (ns->eui64) {
        d[0] = 1;
        d[1] = 8;
        bytes_store(d + 4, GUINT64_SWAP_LE_BE(ns->eui64), 8);
        d += 12;
    }
    d[0] = 3;
    d[1] = 16;
    memcpy(d + 4, ns->uuid, 16);
}

static uint16_t identify(Nvme *s, NvmeCommand *c)
{
    uint8_t d[NVME_PAGE] = {0};
    uint32_t nsid = c->dw[1];
    const NvmeNamespace *ns = nsid && nsid <= NVME_NAMESPACES ? s->ns[nsid] : NULL;
    bool valid = nsid && nsid <= NVME_NAMESPACES;
    switch (c->dw[10] & 0xff) {
    case 0:
        if (!valid && nsid != UINT32_MAX)
            return NVME_NSID;
        if (ns)
            describe(ns, d);
        break;
    case 1: controller(s, d); break;
    case 2:
        if (nsid >= UINT32_MAX - 1)
            return NVME_NSID;
        list_namespaces(s, nsid, d);
        break;
    case 3:
        if (!valid)
            return NVME_NSID;
        if (!ns)
            return NVME_FIELD;
        identifiers(ns, d);
        break;
    default: return NVME_FIELD;
    }
    return reply(s, c, d, sizeof(d));
}

/* ---- log pages ---- */

static void smart(const Nvme *s, uint8_t *d)
{
    uint64_t ops[2] = {0}, bytes[2] = {0};
    for (unsigned i = 1; i <= NVME_NAMESPACES; i++) {
        if (!s->ns[i])
            continue;
        BlockFacts f = block_facts(s->ns[i]->conf->drive->node);
        for (unsigned k = 0; k < 2; k++) {
            ops[k] += f.ops[k ? BLOCK_WRITE : BLOCK_READ];
            bytes[k] += f.bytes[k ? BLOCK_WRITE : BLOCK_READ];
        }
    }
    bytes_store(d + 1, 0x143, 2);       /* kelvins */
    d[3] = 100;                 /* spare blocks, percent */
    bytes_store(d + 32, (bytes[0] / 512 + 999) / 1000, 8);
    bytes_store(d + 48, (bytes[1] / 512 + 999) / 1000, 8);
    bytes_store(d + 64, ops[0], 8);
    bytes_store(d + 80, ops[1], 8);
    bytes_store(d + 128, clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL) / 3600000000000ll, 8);
}

static uint16_t get_log(Nvme *s, NvmeCommand *c)
{
    uint8_t d[NVME_PAGE] = {0};
    uint64_t n = ((uint64_t)(c->dw[10] >> 16 | (c->dw[11] & 0xffff) << 16) + 1) * 4;
    uint64_t at = c->dw[12] | (uint64_t)c->dw[13] << 32, size = 512;
    switch (c->dw[10] & 0xff) {
    case 1: size = 64; break;
    case 2: smart(s, d); break;
    case 3:
        d[0] = 1;
        put_text(d + 8, 8, QEMU_VERSION);
        break;
    case 4:
        size = NVME_PAGE;
        if (s->changed)
            bytes_store(d, UINT32_MAX, 4);
        s->changed = 0;
        break;
    default: return NVME_LOG;
    }
    if (at >= size)
        return NVME_FIELD;
    return reply(s, c, d + at, MIN(n, size - at));
}

/* ---- features ---- */

static bool known_feature(unsigned f) { return (f >= F_ARBITRATION && f <= F_POWER) || (f >= F_TEMPERATURE && f <= F_EVENTS); }

static uint16_t features(Nvme *s, NvmeCommand *c, bool set, uint32_t *result)
{
    static const uint32_t defaults[16] = {[F_TEMPERATURE] = 0x157, [F_CACHE] = 1};
    unsigned f = c->dw[10] & 0xff, select = c->dw[10] >> 8 & 7;
    uint32_t queues = (s->max_ioqpairs - 1) * 0x10001;
    if (!known_feature(f))
        return NVME_FIELD;
    if (!set) {
        *result = select == 3 ? (f == F_QUEUES || f == F_ATOMICITY ? 0 : 4) : f == F_QUEUES ? queues
                  : select == 1 ? defaults[f] : s->features[f];
        return NVME_OK;
    }
    if (f == F_QUEUES) {
        if ((c->dw[11] & 0xffff) == 0xffff || c->dw[11] >> 16 == 0xffff)
            return NVME_FIELD;
        *result = queues;
        return NVME_OK;
    }
    s->features[f] = f == F_CACHE ? c->dw[11] & 1 : c->dw[11];
    return NVME_OK;
}

/* ---- events ---- */

static void report_change(Nvme *s)
{
    if (!s->changed || !s->n_events || !(s->features[F_EVENTS] & 1 << 8))
        return;
    uint16_t cid = s->event_cid[--s->n_events];
    nvme_complete(s, 0, cid, NVME_OK, 2 | 0 << 8 | 4 << 16);    /* a notice: namespaces changed, log page 4 */
}

void nvme_namespace_changed(Nvme *s)
{
    s->changed = 1;
    report_change(s);
}

static uint16_t async_event(Nvme *s, NvmeCommand *c)
{
    if (s->n_events > s->aerl || s->n_events >= NVME_EVENTS)
        return NVME_EVENT_LIMIT;
    s->event_cid[s->n_events++] = c->cid;
    report_change(s);
    return NVME_LATER;
}

uint16_t nvme_admin(Nvme *s, NvmeCommand *c, uint32_t *result)
{
    switch (c->dw[0] & 0xff) {
    case DELETE_SQ: return delete_queue(s, c, false);
    case CREATE_SQ: return create_sq(s, c);
    case GET_LOG: return get_log(s, c);
    case DELETE_CQ: return delete_queue(s, c, true);
    case CREATE_CQ: return create_cq(s, c);
    case IDENTIFY: return identify(s, c);
    case ABORT:
        *result = 1;            /* it was not aborted: storage does not let go of requests */
        return NVME_OK;
    case SET_FEATURES: return features(s, c, true, result);
    case GET_FEATURES: return features(s, c, false, result);
    case ASYNC_EVENT: return async_event(s, c);
    default: return NVME_OPCODE;
    }
}
