/* SPDX-License-Identifier: Apache-2.0 */
/* virtio block device: several queues, flush, discard, write zeroes. Spec: virtio 1.2, 5.2. */
#include <errno.h>
#include <string.h>
#include "hw/disk.h"
#include "block/block.h"
#include "core/backend.h"
#include "hw/virtio/virtio.h"
#include "qapi/qapi-events.h"
#include "util/error.h"
#include "util/log.h"

enum {
    T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13,
    S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, SECTOR = 512, ID_BYTES = 20, MAX_SECTORS = 0x3fffff,
    HEADER = 16, RANGE = 16, FLAG_UNMAP = 1, CONFIG = 60,
};
#define F_SEG_MAX (1ull << 2)
#define F_GEOMETRY (1ull << 4)
#define F_RO (1ull << 5)
#define F_BLK_SIZE (1ull << 6)
#define F_FLUSH (1ull << 9)
#define F_TOPOLOGY (1ull << 10)
#define F_CONFIG_WCE (1ull << 11)
#define F_MQ (1ull << 12)
#define F_DISCARD (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

typedef struct VirtioBlk {
    VirtioDevice v;
    Drive *drive;
    char *serial;
    uint16_t num_queues, queue_size;
    uint32_t logical, physical, discard_granularity;
    bool config_wce, discard, write_zeroes, share_rw, seg_max_adjust;
    int write_cache;            /* OnOffAuto */
    int rerror, werror;         /* BlockdevOnError; auto: what -drive says */
    bool wce;                   /* the guest's choice, where it has one */
    GQueue *stopped;            /* Request *: wait for the machine to run again (werror=stop) */
    int32_t bootindex;
} VirtioBlk;

typedef struct Request {
    BlockRequest r;
    VirtioBlk *s;
    Virtq *vq;
    VirtqElement *e;
    struct iovec *iov;          /* data without header and status */
    uint32_t written;           /* bytes in the driver's buffer besides the status */
} Request;

static BlockNode *node(VirtioBlk *s) { return s->drive->node; }

/* ---- ending ---- */

static void complete(Request *q, uint8_t status)
{
    VirtqElement *e = q->e;
    Virtq *vq = q->vq;
    g_free(q->iov);
    iov_write(e->in, e->n_in, e->in_bytes - 1, &status, 1);
    virtq_push(vq, e, (status == S_OK ? q->written : 0) + 1);
}

static void submit(Request *q) { block_submit(node(q->s), &q->r); }

/* After an error with policy stop: the machine stands, and the request is tried again on cont. */
static bool hold_back(Request *q, int error)
{
    if (drive_error(q->s->drive, q->r.op == BLOCK_READ, error) != BLOCK_ERROR_ACTION_STOP)
        return false;
    g_queue_push_tail(q->s->stopped, q);
    return true;
}

static bool ignored(const Request *q)
{
    return (q->r.op == BLOCK_READ ? q->s->drive->rerror : q->s->drive->werror) == BLOCKDEV_ON_ERROR_IGNORE;
}

static void done(BlockRequest *r, int error)
{
    Request *q = (Request *)r;
    Virtq *vq = q->vq;
    if (error && hold_back(q, error))
        return;
    if (error)
        log_write("%s: %s\n", block_name(node(q->s)), g_strerror(error));
    complete(q, error && !ignored(q) ? S_IOERR : S_OK);
    virtq_flush(vq);
}

/* ---- beginning ---- */

static bool start_rw(Request *q, uint64_t sector, bool write)
{
    const VirtqElement *e = q->e;
    size_t bytes = write ? e->out_bytes - HEADER : e->in_bytes - 1;
    unsigned max = e->n_in + e->n_out;
    if (bytes % SECTOR || sector > block_size(node(q->s)) / SECTOR)
        return false;
    q->iov = g_new(struct iovec, max);
    q->r.n_iov = write ? iov_slice(q->iov, max, e->out, e->n_out, HEADER, bytes)
                       : iov_slice(q->iov, max, e->in, e->n_in, 0, bytes);
    q->r.op = write ? BLOCK_WRITE : BLOCK_READ;
    q->r.flags = write && !q->s->wce ? BLOCK_FUA : 0;
    q->r.offset = sector * SECTOR;
    q->r.bytes = bytes;
    q->r.iov = q->iov;
    q->written = write ? 0 : bytes;
    submit(q);
    return true;
}

/* One range per request, as max_discard_seg says. */
static bool start_range(Request *q, bool zeroes)
{
    struct { uint64_t sector; uint32_t count, flags; } range;
    if (q->e->out_bytes != HEADER + RANGE ||
        iov_read(q->e->out, q->e->n_out, HEADER, &range, RANGE) != RANGE)
        return false;
    uint64_t sector = GUINT64_FROM_LE(range.sector);
    uint32_t count = GUINT32_FROM_LE(range.count), flags = GUINT32_FROM_LE(range.flags);
    if (count > MAX_SECTORS || flags & ~(zeroes ? FLAG_UNMAP : 0) ||
        sector > block_size(node(q->s)) / SECTOR)
        return false;
    q->r.op = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD;
    q->r.flags = flags & FLAG_UNMAP ? BLOCK_MAY_UNMAP : 0;
    q->r.offset = sector * SECTOR;
    q->r.bytes = (uint64_t)count * SECTOR;
    submit(q);
    return true;
}

static void get_id(Request *q)
{
    char id[ID_BYTES + 1] = {0};
    const char *serial = q->s->serial ? q->s->serial : q->s->drive->serial;
    g_strlcpy(id, serial ? serial : "", sizeof(id));
    q->written = iov_write(q->e->in, q->e->n_in, 0, id, MIN(q->e->in_bytes - 1, ID_BYTES));
    complete(q, S_OK);
}

static bool start(Request *q)
{
    struct { uint32_t type, reserved; uint64_t sector; } h;
    iov_read(q->e->out, q->e->n_out, 0, &h, HEADER);
    uint64_t sector = GUINT64_FROM_LE(h.sector);
    bool read_only = block_read_only(node(q->s));
    switch (GUINT32_FROM_LE(h.type)) {
    case T_IN: return start_rw(q, sector, false);
    case T_OUT: return !read_only && start_rw(q, sector, true);
    case T_FLUSH:
        q->r.op = BLOCK_FLUSH;
        submit(q);
        return true;
    case T_GET_ID:
        get_id(q);
        return true;
    case T_DISCARD:
    case T_WRITE_ZEROES: {
        bool zeroes = GUINT32_FROM_LE(h.type) == T_WRITE_ZEROES;
        if (virtio_has(&q->s->v, zeroes ? F_WRITE_ZEROES : F_DISCARD))
            return !read_only && start_range(q, zeroes);
        break;
    }
    default:
        break;
    }
    complete(q, S_UNSUPP);
    return true;
}

static void serve(VirtioDevice *v, Virtq *vq)
{
    VirtioBlk *s = (VirtioBlk *)v;
    VirtqElement *e;
    block_plug(node(s));
    do {
        virtq_want_kicks(vq, false);
        while ((e = virtq_pop(vq, sizeof(Request)))) {
            if (e->out_bytes < HEADER || e->in_bytes < 1) {
                virtio_error(v, "request without room for header and status");
                virtq_unpop(vq, e);
                break;
            }
            Request *q = virtq_extra(e);
            *q = (Request){.r.done = done, .s = s, .vq = vq, .e = e};
            if (!start(q))
                complete(q, S_IOERR);
        }
        virtq_want_kicks(vq, true);
    } while (!virtq_empty(vq));
    block_unplug(node(s));
    virtq_flush(vq);
}

/* ---- life ---- */

static void retry_stopped(VirtioBlk *s)
{
    g_autoptr(GQueue) list = s->stopped;
    s->stopped = g_queue_new();
    for (Request *q; (q = g_queue_pop_head(list));)
        submit(q);
}

static void run(VirtioDevice *v, bool running)
{
    VirtioBlk *s = (VirtioBlk *)v;
    if (running)
        retry_stopped(s);
    else
        block_drain(node(s));
}

static void stop(VirtioDevice *v)
{
    VirtioBlk *s = (VirtioBlk *)v;
    block_drain(node(s));
    for (Request *q; (q = g_queue_pop_head(s->stopped));)
        complete(q, S_IOERR);
}

static uint64_t offer(VirtioDevice *v, uint64_t f)
{
    VirtioBlk *s = (VirtioBlk *)v;
    f |= F_SEG_MAX | F_GEOMETRY | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY;
    f |= (block_read_only(node(s)) ? F_RO : 0) | (s->num_queues > 1 ? F_MQ : 0) |
         (s->config_wce ? F_CONFIG_WCE : 0);
    if (!block_read_only(node(s)))
        f |= (s->discard ? F_DISCARD : 0) | (s->write_zeroes ? F_WRITE_ZEROES : 0);
    return f;
}

static void put(uint8_t *config, unsigned at, uint64_t value, unsigned n)
{
    value = GUINT64_TO_LE(value);
    memcpy(config + at, &value, n);
}

static void get_config(VirtioDevice *v, uint8_t *c)
{
    VirtioBlk *s = (VirtioBlk *)v;
    uint64_t sectors = block_size(node(s)) / SECTOR;
    memset(c, 0, CONFIG);
    put(c, 0, sectors, 8);
    put(c, 12, (s->seg_max_adjust ? s->queue_size : 128) - 2, 4);       /* seg_max */
    put(c, 16, MIN(sectors / (16 * 63), 16383), 2);     /* geometry: cylinders, heads, sectors */
    put(c, 18, 16, 1);
    put(c, 19, 63, 1);
    put(c, 20, s->logical, 4);
    put(c, 24, __builtin_ctz(s->physical / s->logical), 1);
    put(c, 26, 1, 2);
    put(c, 32, s->wce, 1);
    put(c, 34, s->num_queues, 2);
    put(c, 36, MAX_SECTORS, 4);
    put(c, 40, 1, 4);
    put(c, 44, MAX(s->discard_granularity, s->logical) / SECTOR, 4);
    put(c, 48, MAX_SECTORS, 4);
    put(c, 52, 1, 4);
    put(c, 56, 1, 1);
}

static void set_config(VirtioDevice *v, const uint8_t *c, unsigned at, unsigned n)
{
    if (at == 32 && ((VirtioBlk *)v)->config_wce)
        ((VirtioBlk *)v)->wce = c[32];
}

static bool check(VirtioBlk *s, GError **error)
{
    if (!s->drive)
        return error_set(error, "drive property not set");
    if (!s->drive->node)
        return error_set(error, "Device needs media, but drive is empty");
    if (s->num_queues < 1 || s->num_queues > VIRTIO_MAX_QUEUES)
        return error_set(error, "num-queues must be between 1 and %d", VIRTIO_MAX_QUEUES);
    if (s->queue_size < 4 || s->queue_size > VIRTIO_MAX_SIZE || s->queue_size & (s->queue_size - 1))
        return error_set(error, "invalid queue-size property (%u), must be a power of 2 (max %d)",
                         s->queue_size, VIRTIO_MAX_SIZE);
    if (s->logical < SECTOR || s->logical & (s->logical - 1) || s->physical < s->logical ||
        s->physical & (s->physical - 1))
        return error_set(error, "block sizes are powers of two from 512 on, the logical not above the "
                         "physical");
    return true;
}

static void resized(Device *d) { virtio_config_changed((VirtioDevice *)d); }
static const DriveOps drive_ops = {.resized = resized};

static bool realize(Device *d, GError **error)
{
    VirtioBlk *s = (VirtioBlk *)d;
    if (s->num_queues == UINT16_MAX)
        s->num_queues = MAX(d->object.vm->n_cpus, 1);
    if (s->v.iothread)
        s->v.loop = iothread_loop(s->v.iothread);
    if (!check(s, error))
        return false;
    if (s->rerror == BLOCKDEV_ON_ERROR_ENOSPC)
        return error_set(error, "rerror=enospc is not possible");
    DriveUse use = {.ops = &drive_ops, .write = !block_read_only(node(s)), .share_rw = s->share_rw,
                    .loop = s->v.loop};
    if (!drive_attach(s->drive, d, &use, error))
        return false;
    if (s->rerror != BLOCKDEV_ON_ERROR_AUTO)
        s->drive->rerror = s->rerror;
    if (s->werror != BLOCKDEV_ON_ERROR_AUTO)
        s->drive->werror = s->werror;
    s->wce = s->write_cache == 0 ? s->drive->writeback : s->write_cache == 1;
    s->stopped = g_queue_new();
    for (unsigned i = 0; i < s->num_queues; i++)
        virtio_add_queue(&s->v, s->queue_size, serve);
    return true;
}

static void unrealize(Device *d)
{
    VirtioBlk *s = (VirtioBlk *)d;
    if (s->drive && s->drive->device == d) {
        virtio_stop(&s->v);
        drive_detach(s->drive);
    }
    g_clear_pointer(&s->stopped, g_queue_free);
}

static const VirtioClass cls = {
    .id = 2, .config_size = CONFIG, .offer = offer, .get_config = get_config, .set_config = set_config,
    .stop = stop, .run = run,
};
static const Field fields[] = {
    HOST(VirtioBlk, v), PROP(VirtioBlk, drive, "drive", PROP_DRIVE),
    PROP(VirtioBlk, v.iothread, "iothread", PROP_LINK, .link_type = "iothread"),
    PROP(VirtioBlk, serial, "serial", PROP_STRING),
    PROP(VirtioBlk, num_queues, "num-queues", PROP_U16, .init = UINT16_MAX),
    PROP(VirtioBlk, queue_size, "queue-size", PROP_U16, .init = 256),
    PROP(VirtioBlk, logical, "logical_block_size", PROP_U32, .init = 512),
    PROP(VirtioBlk, physical, "physical_block_size", PROP_U32, .init = 512),
    PROP(VirtioBlk, discard_granularity, "discard_granularity", PROP_U32, .init = 512),
    PROP(VirtioBlk, config_wce, "config-wce", PROP_BOOL, .init = true),
    PROP(VirtioBlk, discard, "discard", PROP_BOOL, .init = true),
    PROP(VirtioBlk, write_zeroes, "write-zeroes", PROP_BOOL, .init = true),
    PROP(VirtioBlk, share_rw, "share-rw", PROP_BOOL),
    PROP(VirtioBlk, seg_max_adjust, "seg-max-adjust", PROP_BOOL, .init = true),
    PROP(VirtioBlk, write_cache, "write-cache", PROP_ON_OFF_AUTO),
    PROP(VirtioBlk, rerror, "rerror", PROP_ENUM, .names = disk_error_names, .init = BLOCKDEV_ON_ERROR_AUTO,
         .link_type = "BlockdevOnError"),
    PROP(VirtioBlk, werror, "werror", PROP_ENUM, .names = disk_error_names, .init = BLOCKDEV_ON_ERROR_AUTO,
         .link_type = "BlockdevOnError"),
    PROP(VirtioBlk, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1,
         .changed = device_boot_index_changed),
    SAVED(VirtioBlk, wce, .init = 1, .keep = true), HOST(VirtioBlk, stopped),
};
static const DeviceType virtio_blk = {
    .name = "virtio-blk-device", .parent = "virtio-device", .desc = "virtio disk",
    .size = sizeof(VirtioBlk), .bus = "virtio-bus", .pluggable = true, .category = DEVICE_STORAGE,
    FIELDS(fields), .realize = realize, .unrealize = unrealize, .ext = &cls,
    .fw_suffix = "/disk@0,0",
};
DEVICE_TYPE(virtio_blk);
