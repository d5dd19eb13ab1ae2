/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB Attached SCSI. Spec: INCITS 471-2010 (UAS).
 *
 * Pipes: command (OUT 1), status (IN 2), data-in (IN 3), data-out (OUT 4). At SuperSpeed the last three have
 * streams, numbered by tags; else the device says with a ready unit whose data it wants to move.
 */
#include <string.h>
#include "hw/usb/scsi-call.h"
#include "util/log.h"

enum {
    COMMAND_PIPE = 1, STATUS_PIPE = 2, IN_PIPE = 3, OUT_PIPE = 4, STREAMS_LOG = 4, MAX_CALLS = 64, LUNS = 256,
    IU_COMMAND = 1, IU_SENSE = 3, IU_RESPONSE = 4, IU_TASK = 5, IU_READ_READY = 6, IU_WRITE_READY = 7,
    ABORT_TASK = 1, ABORT_TASK_SET = 2, LUN_RESET = 8, NEXUS_RESET = 0x10,
    RESPONSE_COMPLETE = 0, RESPONSE_NOT_SUPPORTED = 4, RESPONSE_BAD_LUN = 9, RESPONSE_TAG = 10, NO_RESPONSE = 0xff,
};
typedef enum UasStage { UAS_OUT, UAS_RUNNING, UAS_IN, UAS_STATUS } UasStage;

typedef struct Uas {
    UsbDevice usb;
    ScsiBus *bus;
    GPtrArray *calls;           /* UsbScsi *, oldest first */
    /* one answer of task management waits here */
    uint8_t response;
    uint16_t response_tag;
    GBytes *commands;           /* calls, on the way to another machine */
} Uas;

static bool streams(const Uas *s) { return s->usb.speed == USB_SUPER; }
static uint16_t be16(const uint8_t *p) { return p[0] << 8 | p[1]; }

static UsbScsi *find(Uas *s, uint16_t tag)
{
    for (unsigned i = 0; i < s->calls->len; i++)
        if (((UsbScsi *)s->calls->pdata[i])->tag == tag)
            return s->calls->pdata[i];
    return NULL;
}

static void drop(Uas *s, UsbScsi *c)
{
    g_ptr_array_remove(s->calls, c);
    usb_scsi_drop(c);
}

static void forget(Uas *s)
{
    while (s->calls && s->calls->len)
        drop(s, s->calls->pdata[s->calls->len - 1]);
    s->response = NO_RESPONSE;
}

/* ---- commands ---- */

static void status_ready(Uas *s, uint16_t tag) { usb_ready(&s->usb, 0x80 | STATUS_PIPE, streams(s) ? tag : 0); }

static void enter(Uas *s, UsbScsi *c, UasStage stage)
{
    c->stage = stage;
    if (stage == UAS_STATUS) {
        status_ready(s, c->tag);
        return;
    }
    c->ready_due = !streams(s);
    if (c->ready_due)
        status_ready(s, c->tag);
    else
        usb_ready(&s->usb, stage == UAS_IN ? 0x80 | IN_PIPE : OUT_PIPE, c->tag);
}

static void executed(UsbDevice *u, UsbScsi *c)
{
    bool in = scsi_direction(c->r.cdb) == SCSI_FROM_UNIT && c->r.done;
    c->size = in ? MIN(c->size, c->r.done) : c->size;
    c->at = 0;
    enter((Uas *)u, c, in ? UAS_IN : UAS_STATUS);
}

/* Lengths follow from the unit's blocks, and units are the control loop's: there a command begins. */
static void begin(void *data)
{
    UsbScsi *c = data;
    Uas *s = (Uas *)c->u;
    Device *d = &s->usb.dev;
    object_ref(&d->object);
    device_lock(d);
    c->running = false;
    if (c->dropped) {
        usb_scsi_drop(c);
    } else {
        ScsiDirection direction = scsi_direction(c->r.cdb);
        uint64_t n = direction == SCSI_NO_DATA ? 0 : scsi_length(scsi_bus_find(s->bus, 0, 0, c->lun), c->r.cdb);
        /* Too much for one command: the unit refuses it by its own limit. */
        usb_scsi_room(c, MIN(n, USB_SCSI_MAX));
        if (direction == SCSI_TO_UNIT && c->size) {
            enter(s, c, UAS_OUT);
        } else {
            c->stage = UAS_RUNNING;
            usb_scsi_start(c);
        }
    }
    device_unlock(d);
    object_unref(&d->object);
}

static unsigned lun_of(const uint8_t *p) { return p[0] & 0x40 ? (p[0] & 0x3f) << 8 | p[1] : p[1]; }

static void respond(Uas *s, uint16_t tag, uint8_t response)
{
    s->response = response;
    s->response_tag = tag;
    status_ready(s, tag);
}

static void command(Uas *s, const uint8_t *d, unsigned n)
{
    uint16_t tag = be16(d + 2);
    if (n < 32 || s->calls->len >= MAX_CALLS || find(s, tag)) {
        respond(s, tag, RESPONSE_TAG);
        return;
    }
    UsbScsi *c = usb_scsi_new(&s->usb, s->bus, d + 16, lun_of(d + 8), executed);
    c->tag = tag;
    c->stage = UAS_RUNNING;
    c->running = true;
    g_ptr_array_add(s->calls, c);
    loop_post(s->bus->loop, begin, c);
}

static void task(Uas *s, const uint8_t *d, unsigned n)
{
    uint16_t tag = be16(d + 2);
    unsigned lun = n >= 16 ? lun_of(d + 8) : LUNS;
    UsbScsi *c = find(s, n >= 8 ? be16(d + 6) : 0);
    if (n < 16) {
        respond(s, tag, RESPONSE_NOT_SUPPORTED);
        return;
    }
    switch (d[4]) {
    case ABORT_TASK:
        if (c)
            drop(s, c);
        break;
    case ABORT_TASK_SET: case LUN_RESET: case NEXUS_RESET:
        for (unsigned i = s->calls->len; i-- > 0;) {
            c = s->calls->pdata[i];
            if (d[4] == NEXUS_RESET || c->lun == lun)
                drop(s, c);
        }
        break;
    default:
        respond(s, tag, RESPONSE_NOT_SUPPORTED);
        return;
    }
    respond(s, tag, RESPONSE_COMPLETE);
}

/* ---- pipes ---- */

static UsbStatus command_pipe(Uas *s, UsbPacket *p)
{
    p->done = p->size;
    if (p->size < 8)
        return USB_STALL;
    if (p->data[0] == IU_COMMAND)
        command(s, p->data, p->size);
    else if (p->data[0] == IU_TASK)
        task(s, p->data, p->size);
    else
        log_guest(s, "an information unit of kind %u", p->data[0]);
    return USB_OK;
}

static UsbStatus give(UsbPacket *p, const uint8_t *iu, unsigned n)
{
    p->done = MIN(n, p->size);
    memcpy(p->data, iu, p->done);
    return USB_OK;
}

static UsbStatus give_sense(Uas *s, UsbScsi *c, UsbPacket *p)
{
    uint8_t iu[16 + SCSI_SENSE] = {IU_SENSE, 0, c->tag >> 8, (uint8_t)c->tag};
    unsigned n = MIN(c->r.n_sense, SCSI_SENSE);
    iu[6] = c->r.status;
    iu[15] = n;
    memcpy(iu + 16, c->r.sense, n);
    drop(s, c);
    return give(p, iu, 16 + n);
}

static UsbStatus status_pipe(Uas *s, UsbPacket *p)
{
    if (s->response != NO_RESPONSE && (!streams(s) || p->stream == s->response_tag)) {
        const uint8_t iu[8] = {IU_RESPONSE, 0, s->response_tag >> 8, (uint8_t)s->response_tag, 0, 0, 0, s->response};
        s->response = NO_RESPONSE;
        return give(p, iu, sizeof(iu));
    }
    for (unsigned i = 0; i < s->calls->len; i++) {
        UsbScsi *c = s->calls->pdata[i];
        if (streams(s) && c->tag != p->stream)
            continue;
        if (c->ready_due) {
            const uint8_t iu[4] = {c->stage == UAS_IN ? IU_READ_READY : IU_WRITE_READY, 0, c->tag >> 8,
                                   (uint8_t)c->tag};
            c->ready_due = false;
            return give(p, iu, sizeof(iu));
        }
        if (c->stage == UAS_STATUS)
            return give_sense(s, c, p);
    }
    return USB_NAK;
}

/* Whose data is to move: by stream, else the one that was told to be ready. */
static UsbScsi *moving(Uas *s, const UsbPacket *p, UasStage stage)
{
    for (unsigned i = 0; i < s->calls->len; i++) {
        UsbScsi *c = s->calls->pdata[i];
        if (c->stage == stage && !c->ready_due && (!streams(s) || c->tag == p->stream))
            return c;
    }
    return NULL;
}

static UsbStatus in_pipe(Uas *s, UsbPacket *p)
{
    UsbScsi *c = moving(s, p, UAS_IN);
    if (!c)
        return USB_NAK;
    give(p, c->data + c->at, c->size - c->at);
    c->at += p->done;
    if (c->at == c->size)
        enter(s, c, UAS_STATUS);
    return USB_OK;
}

static UsbStatus out_pipe(Uas *s, UsbPacket *p)
{
    UsbScsi *c = moving(s, p, UAS_OUT);
    if (!c)
        return USB_NAK;
    p->done = MIN(p->size, c->size - c->at);
    memcpy(c->data + c->at, p->data, p->done);
    c->at += p->done;
    if (c->at == c->size) {
        c->stage = UAS_RUNNING;
        usb_scsi_start(c);
    }
    return USB_OK;
}

static UsbStatus transfer(UsbDevice *u, UsbPacket *p)
{
    Uas *s = (Uas *)u;
    switch (p->endpoint | (p->token == USB_IN ? 0x80 : 0)) {
    case COMMAND_PIPE: return command_pipe(s, p);
    case 0x80 | STATUS_PIPE: return status_pipe(s, p);
    case 0x80 | IN_PIPE: return in_pipe(s, p);
    case OUT_PIPE: return out_pipe(s, p);
    default: return USB_STALL;
    }
}

/* ---- state ---- */

/* A call as it is saved; little-endian, its data behind it. */
typedef struct __attribute__((packed)) SavedCall {
    uint16_t tag, lun;
    uint8_t stage, ready_due, status, n_sense, cdb[SCSI_CDB], sense[SCSI_SENSE];
    uint32_t size, at;
} SavedCall;

static void saving(Device *d)
{
    Uas *s = (Uas *)d;
    GByteArray *b = g_byte_array_new();
    for (unsigned i = 0; i < s->calls->len; i++) {
        const UsbScsi *c = s->calls->pdata[i];
        SavedCall saved = {GUINT16_TO_LE(c->tag), GUINT16_TO_LE((uint16_t)c->lun), c->stage, c->ready_due, c->r.status,
                           c->r.n_sense, {0}, {0}, GUINT32_TO_LE(c->size), GUINT32_TO_LE(c->at)};
        memcpy(saved.cdb, c->r.cdb, SCSI_CDB);
        memcpy(saved.sense, c->r.sense, SCSI_SENSE);
        g_byte_array_append(b, (const uint8_t *)&saved, sizeof(saved));
        g_byte_array_append(b, c->data, c->size);
    }
    s->commands = g_byte_array_free_to_bytes(b);
}

static void restore_call(Uas *s, const SavedCall *saved, const uint8_t *data, uint32_t size)
{
    UsbScsi *c = usb_scsi_new(&s->usb, s->bus, saved->cdb, GUINT16_FROM_LE(saved->lun), executed);
    usb_scsi_room(c, size);
    if (size)
        memcpy(c->data, data, size);
    c->tag = GUINT16_FROM_LE(saved->tag);
    c->stage = MIN(saved->stage, UAS_STATUS);
    c->ready_due = saved->ready_due & 1;
    c->r.status = saved->status;
    c->r.n_sense = MIN(saved->n_sense, SCSI_SENSE);
    memcpy(c->r.sense, saved->sense, SCSI_SENSE);
    c->at = MIN(GUINT32_FROM_LE(saved->at), size);
    g_ptr_array_add(s->calls, c);
    if (c->stage == UAS_RUNNING)
        usb_scsi_start(c);
}

static void restored(Device *d)
{
    Uas *s = (Uas *)d;
    uint8_t response = s->response;
    size_t n = 0;
    const uint8_t *p = s->commands ? g_bytes_get_data(s->commands, &n) : NULL;
    forget(s);
    s->response = response;
    for (SavedCall saved; n >= sizeof(saved) && s->calls->len < MAX_CALLS;) {
        memcpy(&saved, p, sizeof(saved));
        p += sizeof(saved);
        n -= sizeof(saved);
        uint32_t size = GUINT32_FROM_LE(saved.size);
        if (size > n || size > USB_SCSI_MAX)
            return;
        restore_call(s, &saved, p, size);
        p += size;
        n -= size;
    }
}

/* ---- the device ---- */

static const ScsiAdapter adapter = {.channels = 1, .targets = 1, .luns = LUNS, .max_transfer = USB_SCSI_MAX};

static bool realize(Device *d, GError **error)
{
    Uas *s = (Uas *)d;
    s->calls = g_ptr_array_new();
    s->bus = scsi_bus_new(d, &adapter, NULL, NULL);
    return true;
}

static void unrealize(Device *d)
{
    forget((Uas *)d);
    g_clear_pointer(&((Uas *)d)->calls, g_ptr_array_unref);
}

static void bus_reset(UsbDevice *u) { forget((Uas *)u); }
static void reset(Device *d) { forget((Uas *)d); }

/* Pipe usage descriptors: which endpoint is which pipe. */
static const uint8_t usage[4][4] = {{4, 0x24, 1}, {4, 0x24, 2}, {4, 0x24, 3}, {4, 0x24, 4}};
#define PIPE(address_, n, max, ...) \
    {.address = address_, .kind = USB_BULK, .max_packet = max, .extra = usage[n], .n_extra = 4, __VA_ARGS__}
static const UsbEndpoint high_endpoints[] = {
    PIPE(0x01, 0, 512), PIPE(0x82, 1, 512), PIPE(0x83, 2, 512), PIPE(0x04, 3, 512),
};
static const UsbEndpoint super_endpoints[] = {
    PIPE(0x01, 0, 1024, .burst = 15), PIPE(0x82, 1, 1024, .burst = 15, .streams = STREAMS_LOG),
    PIPE(0x83, 2, 1024, .burst = 15, .streams = STREAMS_LOG), PIPE(0x04, 3, 1024, .burst = 15, .streams = STREAMS_LOG),
};
static const UsbInterface interfaces[] = {
    {.class = 8, .subclass = 6, .protocol = 0x62, .endpoints = high_endpoints, .n_endpoints = 4},
    {.class = 8, .subclass = 6, .protocol = 0x62, .endpoints = super_endpoints, .n_endpoints = 4},
};
static const UsbConfig high = {.version = 0x0200, .max_packet0 = 64, .string = 4, .attributes = 0xc0,
                               .interfaces = &interfaces[0], .n_interfaces = 1};
static const UsbConfig super = {.version = 0x0300, .max_packet0 = 9, .string = 5, .attributes = 0xc0,
                                .interfaces = &interfaces[1], .n_interfaces = 1};
static const UsbInfo uas_info = {
    .vendor = 0x46f4, .product = 0x0003,
    .strings = {NULL, "QEMU", "USB Attached SCSI HBA", "27842", "High speed config (usb 2.0)",
                "Super speed config (usb 3.0)"},
    .at = {[USB_HIGH] = &high, [USB_SUPER] = &super},
};
static const UsbClass uas_class = {.info = &uas_info, .transfer = transfer, .bus_reset = bus_reset};
static const Field fields[] = {
    HOST(Uas, bus), HOST(Uas, calls), SAVED(Uas, response, .init = NO_RESPONSE), SAVED(Uas, response_tag),
    BYTES(Uas, commands),
};
static const DeviceType usb_uas = {
    .name = "usb-uas", .parent = "usb-device", .desc = "USB Attached SCSI", .size = sizeof(Uas),
    .category = DEVICE_STORAGE, .fw_name = "storage", .pluggable = true, .hotpluggable = true, FIELDS(fields),
    .realize = realize, .unrealize = unrealize, .reset = reset, .saving = saving, .restored = restored,
    .ext = &uas_class,
};
DEVICE_TYPE(usb_uas);
