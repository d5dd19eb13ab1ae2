/* SPDX-License-Identifier: Apache-2.0 */
/* virtio SCSI host adapter: several queues, task management, events of hot plug. Spec: virtio 1.2, 5.6. */
#include <string.h>
#include "core/backend.h"
#include "hw/scsi.h"
#include "hw/virtio/virtio.h"
#include "util/error.h"
#include "util/log.h"

enum {
    CONTROL = 0, EVENTS = 1, REQUESTS = 2,
    CONFIG = 36, SENSE_SIZE = 96, CDB_SIZE = 32, REQUEST_HEAD = 19, RESPONSE_HEAD = 12,
    MAX_TARGET = 255, MAX_LUN = 16383, EVENT_BYTES = 16,
    /* responses */
    RSP_OK = 0, RSP_OVERRUN, RSP_ABORTED, RSP_BAD_TARGET, RSP_SUCCEEDED = 0, RSP_FAILURE = 9, RSP_REJECTED = 11,
    RSP_INCORRECT_LUN = 12,
    /* control requests and task management functions */
    T_TMF = 0, T_AN_QUERY = 1, T_AN_SUBSCRIBE = 2,
    ABORT_TASK = 0, ABORT_TASK_SET, CLEAR_ACA, CLEAR_TASK_SET, NEXUS_RESET, LUN_RESET, QUERY_TASK, QUERY_TASK_SET,
    /* events */
    E_TRANSPORT_RESET = 1, E_PARAM_CHANGE = 3, RESCAN = 1, REMOVED = 2,
};
#define E_MISSED 0x80000000u
#define F_INOUT (1ull << 0)
#define F_HOTPLUG (1ull << 1)
#define F_CHANGE (1ull << 2)

typedef struct VirtioScsi {
    VirtioDevice v;
    ScsiBus *bus;
    Virtq *events;
    GQueue running;             /* Request *, linked by their own nodes */
    uint32_t num_queues, queue_size, max_sectors, cmd_per_lun;
    bool hotplug, param_change, seg_max_adjust;
    uint32_t sense_size, cdb_size;
    bool missed;                /* an event found no buffer */
} VirtioScsi;

typedef struct Request {
    ScsiRequest r;
    VirtioScsi *s;
    Virtq *vq;
    VirtqElement *e;
    struct iovec *iov;
    GList link;
    uint64_t tag;
    unsigned target, lun;
} Request;

/* ---- addresses: one level, LUNs in peripheral or flat form ---- */

static bool parse_lun(const uint8_t *p, unsigned *target, unsigned *lun)
{
    *target = p[1];
    *lun = (p[2] << 8 | p[3]) & 0x3fff;
    return p[0] == 1 && (p[2] >> 6 == 0 || p[2] >> 6 == 1);
}

static void put_lun(uint8_t *p, const ScsiUnit *u)
{
    p[0] = 1;
    p[1] = u->id;
    p[2] = u->lun >= 256 ? 0x40 | u->lun >> 8 : 0;
    p[3] = u->lun;
}

/* ---- commands ---- */

static void finish(Request *q, uint8_t response)
{
    VirtioScsi *s = q->s;
    VirtqElement *e = q->e;
    struct __attribute__((packed)) { uint32_t sense, residual; uint16_t qualifier; uint8_t status, response; } h = {
        GUINT32_TO_LE(MIN(q->r.n_sense, s->sense_size)), GUINT32_TO_LE(q->r.room - q->r.done), 0, q->r.status,
        response};
    uint32_t head = RESPONSE_HEAD + s->sense_size;
    bool wrote = scsi_direction(q->r.cdb) == SCSI_FROM_UNIT;
    g_queue_unlink(&s->running, &q->link);
    g_free(q->iov);
    iov_write(e->in, e->n_in, 0, &h, sizeof(h));
    iov_write(e->in, e->n_in, RESPONSE_HEAD, q->r.sense, MIN(q->r.n_sense, s->sense_size));
    virtq_push(q->vq, e, head + (wrote ? q->r.done : 0));
}

static void done(ScsiRequest *r)
{
    Request *q = (Request *)r;
    Virtq *vq = q->vq;
    finish(q, r->aborted ? RSP_ABORTED : RSP_OK);
    virtq_flush(vq);
}

/* The data part behind the head, on the side that the command's direction says. */
static void find_data(Request *q)
{
    const VirtqElement *e = q->e;
    bool out = scsi_direction(q->r.cdb) == SCSI_TO_UNIT;
    size_t skip = out ? REQUEST_HEAD + q->s->cdb_size : RESPONSE_HEAD + q->s->sense_size;
    size_t bytes = (out ? e->out_bytes : e->in_bytes) - skip;
    unsigned max = out ? e->n_out : e->n_in;
    if (!bytes)
        return;
    q->iov = g_new(struct iovec, max);
    q->r.n_iov = iov_slice(q->iov, max, out ? e->out : e->in, max, skip, bytes);
    q->r.iov = q->iov;
    q->r.room = bytes;
}

static void start(Request *q)
{
    VirtioScsi *s = q->s;
    uint8_t h[REQUEST_HEAD + SCSI_CDB];
    q->link.data = q;
    g_queue_push_tail_link(&s->running, &q->link);
    iov_read(q->e->out, q->e->n_out, 0, h, REQUEST_HEAD + MIN(s->cdb_size, SCSI_CDB));
    memcpy(q->r.cdb, h + REQUEST_HEAD, MIN(s->cdb_size, SCSI_CDB));
    memcpy(&q->tag, h + 8, 8);
    find_data(q);
    bool valid = parse_lun(h, &q->target, &q->lun);
    ScsiUnit *u = valid ? scsi_bus_find(s->bus, 0, q->target, q->lun) : NULL;
    if (u && scsi_direction(q->r.cdb) == SCSI_TO_UNIT && scsi_length(u, q->r.cdb) > q->r.room)
        finish(q, RSP_OVERRUN);
    else if (!valid || !scsi_bus_execute(s->bus, 0, q->target, q->lun, &q->r))
        finish(q, RSP_BAD_TARGET);
}

static void serve(VirtioDevice *v, Virtq *vq)
{
    VirtioScsi *s = (VirtioScsi *)v;
    VirtqElement *e;
    do {
        virtq_want_kicks(vq, false);
        while ((e = virtq_pop(vq, sizeof(Request)))) {
            if (e->out_bytes < REQUEST_HEAD + s->cdb_size || e->in_bytes < RESPONSE_HEAD + s->sense_size) {
                virtio_error(v, "request without room for its head");
                virtq_unpop(vq, e);
                break;
            }
            Request *q = virtq_extra(e);
            *q = (Request){.r.complete = done, .s = s, .vq = vq, .e = e};
            start(q);
        }
        virtq_want_kicks(vq, true);
    } while (!virtq_empty(vq));
    virtq_flush(vq);
}

/* ---- task management ---- */

/* Marks what matches as aborted, and waits: storage does not let go of a request earlier. */
static bool abort_running(VirtioScsi *s, unsigned target, unsigned lun, const uint64_t *tag, bool whole_target,
                          bool query)
{
    bool found = false;
    GList *next;
    for (GList *l = s->running.head; l; l = next) {
        Request *q = l->data;
        next = l->next;
        if (q->target != target || (!whole_target && q->lun != lun) || (tag && q->tag != *tag))
            continue;
        found = true;
        if (!query)
            scsi_cancel(&q->r);
    }
    return found;
}

static void reset_units(VirtioScsi *s, unsigned target, unsigned lun, bool whole_target)
{
    for (unsigned i = 0; i < s->bus->units->len; i++) {
        ScsiUnit *u = s->bus->units->pdata[i];
        if (u->id != target || (!whole_target && u->lun != lun))
            continue;
        scsi_unit_drain(u, true);
        scsi_unit_reset(u);
    }
}

static uint8_t manage(VirtioScsi *s, uint32_t function, unsigned target, unsigned lun, uint64_t tag)
{
    ScsiUnit *u = scsi_bus_find(s->bus, 0, target, lun);
    bool of_tag = function == ABORT_TASK || function == QUERY_TASK;
    bool query = function == QUERY_TASK || function == QUERY_TASK_SET;
    if (function == NEXUS_RESET) {
        abort_running(s, target, lun, NULL, true, false);
        reset_units(s, target, lun, true);
        return RSP_SUCCEEDED;
    }
    if (!scsi_bus_has_target(s->bus, 0, target))
        return RSP_BAD_TARGET;
    if (!u)
        return RSP_INCORRECT_LUN;
    if (function > QUERY_TASK_SET || function == CLEAR_ACA)
        return RSP_REJECTED;
    bool found = abort_running(s, target, lun, of_tag ? &tag : NULL, false, query);
    if (function == LUN_RESET)
        reset_units(s, target, lun, false);
    else if (!query)
        scsi_unit_drain(u, false);
    return query && found ? 10 /* function succeeded, there are such tasks */ : RSP_SUCCEEDED;
}

static uint32_t control(VirtioScsi *s, VirtqElement *e)
{
    struct __attribute__((packed)) { uint32_t type, subtype; uint8_t lun[8]; uint64_t tag; } m = {0};
    unsigned target, lun;
    uint8_t answer[5] = {0};
    size_t n = iov_read(e->out, e->n_out, 0, &m, sizeof(m));
    uint32_t type = GUINT32_FROM_LE(m.type);
    if (type == T_TMF && n == sizeof(m)) {
        bool valid = parse_lun(m.lun, &target, &lun);
        answer[0] = valid ? manage(s, GUINT32_FROM_LE(m.subtype), target, lun, m.tag) : RSP_INCORRECT_LUN;
        return iov_write(e->in, e->n_in, 0, answer, 1);
    }
    if (type == T_AN_QUERY || type == T_AN_SUBSCRIBE)   /* no asynchronous notifications */
        return iov_write(e->in, e->n_in, 0, answer, sizeof(answer));
    log_guest(s, "control request of type %u, %zu bytes", type, n);
    answer[0] = RSP_FAILURE;
    return iov_write(e->in, e->n_in, 0, answer, 1);
}

static void serve_control(VirtioDevice *v, Virtq *vq)
{
    VirtqElement *e;
    while ((e = virtq_pop(vq, 0)))
        virtq_push(vq, e, control((VirtioScsi *)v, e));
    virtq_flush(vq);
}

/* ---- events ---- */

typedef struct Event {
    VirtioScsi *s;
    const ScsiUnit *unit;
    uint32_t event, reason;
} Event;

static void send_event(void *data)
{
    const Event *ev = data;
    VirtioScsi *s = ev->s;
    uint8_t lun[8] = {0};
    if (!s->v.started || !vm_is_running(s->v.dev.object.vm))
        return;
    VirtqElement *e = virtq_pop(s->events, 0);
    if (!e || e->in_bytes < EVENT_BYTES) {
        s->missed = true;
        if (e)
            virtq_push(s->events, e, 0);
        return;
    }
    if (ev->unit)
        put_lun(lun, ev->unit);
    uint32_t event = GUINT32_TO_LE(ev->event | (s->missed ? E_MISSED : 0)), reason = GUINT32_TO_LE(ev->reason);
    s->missed = false;
    iov_write(e->in, e->n_in, 0, &event, 4);
    iov_write(e->in, e->n_in, 4, lun, 8);
    iov_write(e->in, e->n_in, 12, &reason, 4);
    virtq_push(s->events, e, EVENT_BYTES);
    virtq_flush(s->events);
}

static void serve_events(VirtioDevice *v, Virtq *vq)
{
    Event ev = {.s = (VirtioScsi *)v};
    if (ev.s->missed && !virtq_empty(vq))
        send_event(&ev);
}

static VirtioScsi *owner(ScsiBus *bus) { return (VirtioScsi *)bus->bus.owner; }

static void plugged(ScsiBus *bus, ScsiUnit *u)
{
    Event ev = {owner(bus), u, E_TRANSPORT_RESET, RESCAN};
    if (virtio_has(&ev.s->v, F_HOTPLUG))
        loop_call(bus->loop, send_event, &ev);
}

static void unplugging(ScsiBus *bus, ScsiUnit *u)
{
    Event ev = {owner(bus), u, E_TRANSPORT_RESET, REMOVED};
    if (virtio_has(&ev.s->v, F_HOTPLUG))
        loop_call(bus->loop, send_event, &ev);
}

static void changed(ScsiBus *bus, ScsiUnit *u, uint8_t asc, uint8_t ascq)
{
    Event ev = {owner(bus), u, E_PARAM_CHANGE, asc | ascq << 8};
    if (virtio_has(&ev.s->v, F_CHANGE) && !u->is.cd)
        loop_call(bus->loop, send_event, &ev);
}

/* ---- the device ---- */

static uint64_t offer(VirtioDevice *v, uint64_t f)
{
    const VirtioScsi *s = (VirtioScsi *)v;
    return f | (s->hotplug ? F_HOTPLUG : 0) | (s->param_change ? F_CHANGE : 0);
}

static void get_config(VirtioDevice *v, uint8_t *config)
{
    const VirtioScsi *s = (VirtioScsi *)v;
    struct __attribute__((packed)) {
        uint32_t queues, seg_max, max_sectors, per_lun, event, sense, cdb;
        uint16_t max_channel, max_target;
        uint32_t max_lun;
    } c = {
        GUINT32_TO_LE(s->num_queues), GUINT32_TO_LE(s->seg_max_adjust ? s->queue_size - 2 : 126),
        GUINT32_TO_LE(s->max_sectors), GUINT32_TO_LE(s->cmd_per_lun), GUINT32_TO_LE(EVENT_BYTES),
        GUINT32_TO_LE(s->sense_size), GUINT32_TO_LE(s->cdb_size), 0, GUINT16_TO_LE(MAX_TARGET),
        GUINT32_TO_LE(MAX_LUN),
    };
    _Static_assert(sizeof(c) == CONFIG, "5.6.4");
    memcpy(config, &c, sizeof(c));
}

static void set_config(VirtioDevice *v, const uint8_t *config, unsigned at, unsigned n)
{
    VirtioScsi *s = (VirtioScsi *)v;
    uint32_t sense, cdb;
    memcpy(&sense, config + 20, 4);
    memcpy(&cdb, config + 24, 4);
    sense = GUINT32_FROM_LE(sense);
    cdb = GUINT32_FROM_LE(cdb);
    if (sense > 65535 || cdb > 256 || v->status & VIRTIO_DRIVER_OK) {
        log_guest(v, "sense size %u, CDB size %u are not possible now", sense, cdb);
        return;
    }
    s->sense_size = sense;
    s->cdb_size = cdb;
}

static void stop(VirtioDevice *v) { scsi_bus_drain(((VirtioScsi *)v)->bus, true); }

static void run(VirtioDevice *v, bool running)
{
    if (!running)
        scsi_bus_drain(((VirtioScsi *)v)->bus, false);
}

static const ScsiAdapter adapter = {
    .channels = 1, .targets = MAX_TARGET + 1, .luns = MAX_LUN + 1, .plugged = plugged, .unplugging = unplugging,
    .changed = changed,
};

static bool realize(Device *d, GError **error)
{
    VirtioScsi *s = (VirtioScsi *)d;
    if (s->num_queues == UINT32_MAX)
        s->num_queues = CLAMP(d->object.vm->n_cpus, 1, VIRTIO_MAX_QUEUES - REQUESTS);
    if (s->num_queues < 1 || s->num_queues > VIRTIO_MAX_QUEUES - REQUESTS)
        return error_set(error, "Invalid number of queues (= %u), must be a positive integer less than %d.",
                         s->num_queues, VIRTIO_MAX_QUEUES - REQUESTS);
    if (s->queue_size <= 2 || s->queue_size > VIRTIO_MAX_SIZE || s->queue_size & (s->queue_size - 1))
        return error_set(error, "invalid virtqueue_size property (= %u), must be a power of 2 above 2 (max %d)",
                         s->queue_size, VIRTIO_MAX_SIZE);
    virtio_add_queue(&s->v, s->queue_size, serve_control);
    s->events = virtio_add_queue(&s->v, s->queue_size, serve_events);
    for (unsigned i = 0; i < s->num_queues; i++)
        virtio_add_queue(&s->v, s->queue_size, serve);
    s->bus = scsi_bus_new(d, &adapter, s->v.loop, NULL);
    return true;
}

static void unrealize(Device *d) { virtio_stop((VirtioDevice *)d); }

static void reset(Device *d)
{
    VirtioScsi *s = (VirtioScsi *)d;
    s->sense_size = SENSE_SIZE;
    s->cdb_size = CDB_SIZE;
    s->missed = false;
}

static void restored(Device *d)
{
    VirtioScsi *s = (VirtioScsi *)d;
    s->sense_size = MIN(s->sense_size, 65535);
    s->cdb_size = MIN(s->cdb_size, 256);
}

static const VirtioClass cls = {
    .id = 8, .features = F_INOUT, .config_size = CONFIG, .offer = offer, .get_config = get_config,
    .set_config = set_config, .stop = stop, .run = run,
};
static const Field fields[] = {
    HOST(VirtioScsi, v), HOST(VirtioScsi, bus), HOST(VirtioScsi, events), HOST(VirtioScsi, running),
    PROP(VirtioScsi, v.iothread, "iothread", PROP_LINK, .link_type = "iothread"),
    PROP(VirtioScsi, num_queues, "num_queues", PROP_U32, .init = UINT32_MAX),
    PROP(VirtioScsi, queue_size, "virtqueue_size", PROP_U32, .init = 256),
    PROP(VirtioScsi, max_sectors, "max_sectors", PROP_U32, .init = 0xffff),
    PROP(VirtioScsi, cmd_per_lun, "cmd_per_lun", PROP_U32, .init = 128),
    PROP(VirtioScsi, hotplug, "hotplug", PROP_BOOL, .init = true),
    PROP(VirtioScsi, param_change, "param_change", PROP_BOOL, .init = true),
    PROP(VirtioScsi, seg_max_adjust, "seg_max_adjust", PROP_BOOL, .init = true),
    SAVED(VirtioScsi, sense_size, .init = SENSE_SIZE), SAVED(VirtioScsi, cdb_size, .init = CDB_SIZE),
    SAVED(VirtioScsi, missed),
};
static const DeviceType virtio_scsi = {
    .name = "virtio-scsi-device", .parent = "virtio-device", .desc = "virtio SCSI host adapter",
    .size = sizeof(VirtioScsi), .bus = "virtio-bus", .pluggable = true, .category = DEVICE_STORAGE,
    FIELDS(fields), .realize = realize, .unrealize = unrealize, .reset = reset, .restored = restored, .ext = &cls,
};
DEVICE_TYPE(virtio_scsi);
