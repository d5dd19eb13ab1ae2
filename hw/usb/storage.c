/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB mass storage, bulk-only: a stick with a disk of its own, or a bridge to SCSI units (usb-bot). Spec: USB
 * Mass Storage Class, Bulk-Only Transport 1.0.
 */
#include <string.h>
#include "hw/usb/scsi-call.h"
#include "util/error.h"
#include "util/log.h"

enum {
    CBW_BYTES = 31, CSW_BYTES = 13, CBW_SIGNATURE = 0x43425355, CSW_SIGNATURE = 0x53425355,
    GET_MAX_LUN = 0xfe, BULK_RESET = 0xff, LUNS = 16, PASSED = 0, FAILED = 1, PHASE_ERROR = 2,
};
typedef enum BotStage { BOT_COMMAND, BOT_OUT, BOT_RUNNING, BOT_IN, BOT_STATUS, BOT_BROKEN } BotStage;

typedef struct UsbStorage {
    UsbDevice usb;
    ScsiBus *bus;
    UsbScsi *call;              /* from command to status */
    Drive *drive;
    int32_t bootindex;
    bool removable;
    /* the command: what the host said, and how far it is */
    uint8_t stage, lun, in, status, cdb[SCSI_CDB];
    uint32_t tag, length, residue;
    GBytes *transfer;           /* its data, on the way to another machine */
} UsbStorage;

static uint32_t le32(const uint8_t *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }
static void put_le32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = v >> 8 * i;
}

static void forget(UsbStorage *s)
{
    usb_scsi_drop(g_steal_pointer(&s->call));
    s->stage = BOT_COMMAND;
}

static void executed(UsbDevice *u, UsbScsi *c)
{
    UsbStorage *s = (UsbStorage *)u;
    s->status = c->r.status == SCSI_GOOD ? PASSED : FAILED;
    s->residue = s->length - MIN(c->r.done, s->length);
    s->stage = s->in && s->length ? BOT_IN : BOT_STATUS;
    c->at = 0;
    usb_ready(u, 0x81, 0);
}

static void execute(UsbStorage *s)
{
    s->stage = BOT_RUNNING;
    usb_scsi_start(s->call);
}

/* A wrapper that is none breaks the transport until the host resets it: 6.6.1. */
static UsbStatus broken(UsbStorage *s)
{
    s->stage = BOT_BROKEN;
    usb_halt(&s->usb, 0x81);
    usb_halt(&s->usb, 0x02);
    return USB_STALL;
}

static UsbStatus command(UsbStorage *s, UsbPacket *p)
{
    const uint8_t *d = p->data;
    if (p->size != CBW_BYTES || le32(d) != CBW_SIGNATURE || d[13] >= LUNS || d[14] < 1 || d[14] > SCSI_CDB) {
        log_guest(s, "no command wrapper");
        return broken(s);
    }
    p->done = CBW_BYTES;
    s->tag = le32(d + 4);
    s->length = le32(d + 8);
    s->in = d[12] >> 7;
    s->lun = d[13];
    memset(s->cdb, 0, sizeof(s->cdb));
    memcpy(s->cdb, d + 15, d[14]);
    s->residue = s->length;
    s->status = PHASE_ERROR;
    s->call = usb_scsi_new(&s->usb, s->bus, s->cdb, s->lun, executed);
    if (!usb_scsi_room(s->call, s->length)) {
        log_guest(s, "a transfer of %u bytes: at most %d", s->length, USB_SCSI_MAX);
        forget(s);
        return broken(s);
    }
    ScsiDirection direction = scsi_direction(s->cdb);
    bool fits = direction == SCSI_NO_DATA || !s->length || (direction == SCSI_FROM_UNIT) == s->in;
    if (!fits)
        s->stage = s->in ? BOT_IN : BOT_OUT;
    else if (s->length && !s->in)
        s->stage = BOT_OUT;
    else
        execute(s);
    return USB_OK;
}

static UsbStatus data_out(UsbStorage *s, UsbPacket *p)
{
    UsbScsi *c = s->call;
    if (!c || p->size > c->size - c->at)
        return broken(s);
    memcpy(c->data + c->at, p->data, p->size);
    c->at += p->size;
    p->done = p->size;
    if (c->at < c->size)
        return USB_OK;
    if (scsi_direction(s->cdb) == SCSI_FROM_UNIT)
        s->stage = BOT_STATUS;          /* the host's idea of the direction was another */
    else
        execute(s);
    return USB_OK;
}

/* All that the host has asked for, zeros behind what the unit gave. */
static UsbStatus data_in(UsbStorage *s, UsbPacket *p)
{
    UsbScsi *c = s->call;
    if (!c)
        return USB_STALL;
    p->done = MIN(p->size, c->size - c->at);
    memcpy(p->data, c->data + c->at, p->done);
    c->at += p->done;
    if (c->at == c->size)
        s->stage = BOT_STATUS;
    return USB_OK;
}

static UsbStatus status(UsbStorage *s, UsbPacket *p)
{
    uint8_t csw[CSW_BYTES] = {0};
    put_le32(csw, CSW_SIGNATURE);
    put_le32(csw + 4, s->tag);
    put_le32(csw + 8, s->residue);
    csw[12] = s->status;
    if (p->size < CSW_BYTES)
        return USB_BABBLE;
    memcpy(p->data, csw, CSW_BYTES);
    p->done = CSW_BYTES;
    forget(s);
    return USB_OK;
}

static UsbStatus transfer(UsbDevice *u, UsbPacket *p)
{
    UsbStorage *s = (UsbStorage *)u;
    if (p->endpoint != (p->token == USB_IN ? 1 : 2))
        return USB_STALL;
    if (p->token == USB_OUT)
        return s->stage == BOT_COMMAND ? command(s, p) : s->stage == BOT_OUT ? data_out(s, p)
               : s->stage == BOT_RUNNING ? USB_NAK : broken(s);
    return s->stage == BOT_IN ? data_in(s, p) : s->stage == BOT_STATUS ? status(s, p)
           : s->stage == BOT_BROKEN ? USB_STALL : USB_NAK;
}

static void bus_reset(UsbDevice *u) { forget((UsbStorage *)u); }
static void reset(Device *d) { forget((UsbStorage *)d); }

/* Until a reset clears it, a broken transport halts again: 5.3.4. */
static void unhalted(UsbDevice *u, uint8_t address)
{
    if (((UsbStorage *)u)->stage == BOT_BROKEN)
        usb_halt(u, address);
}

static unsigned max_lun(const UsbStorage *s)
{
    unsigned most = 0;
    for (unsigned n = 0; n < LUNS; n++)
        most = scsi_bus_find(s->bus, 0, 0, n) ? n : most;
    return most;
}

static int control(UsbDevice *u, const UsbSetup *r, uint8_t *data)
{
    UsbStorage *s = (UsbStorage *)u;
    switch (USB_REQUEST(r->type, r->request)) {
    case USB_REQUEST(0xa1, GET_MAX_LUN): data[0] = max_lun(s); return 1;
    case USB_REQUEST(0x21, BULK_RESET): forget(s); return 0;
    default: return USB_NO_LENGTH;
    }
}

/* ---- state ---- */

static void saving(Device *d)
{
    UsbStorage *s = (UsbStorage *)d;
    if (!s->call)
        return;
    GByteArray *b = g_byte_array_new();
    uint8_t at[4];
    put_le32(at, s->call->at);
    g_byte_array_append(b, at, 4);
    g_byte_array_append(b, s->call->data, s->call->size);
    s->transfer = g_byte_array_free_to_bytes(b);
}

static void restored(Device *d)
{
    UsbStorage *s = (UsbStorage *)d;
    uint8_t stage = MIN(s->stage, BOT_BROKEN);
    size_t n = 0;
    const uint8_t *p = s->transfer ? g_bytes_get_data(s->transfer, &n) : NULL;
    forget(s);
    s->lun %= LUNS;
    s->in &= 1;
    if (stage == BOT_COMMAND || stage == BOT_BROKEN || n < 4 || s->length != n - 4) {
        s->stage = stage == BOT_BROKEN ? BOT_BROKEN : BOT_COMMAND;
        return;
    }
    s->call = usb_scsi_new(&s->usb, s->bus, s->cdb, s->lun, executed);
    if (!usb_scsi_room(s->call, s->length)) {
        forget(s);
        return;
    }
    if (s->length)
        memcpy(s->call->data, p + 4, s->length);
    s->call->at = MIN(le32(p), s->length);
    s->stage = stage;
    if (stage == BOT_RUNNING)
        execute(s);             /* held back for an error there */
}

/* ---- the devices ---- */

static const ScsiAdapter adapter = {.channels = 1, .targets = 1, .luns = LUNS, .max_transfer = USB_SCSI_MAX};
static const ScsiAdapter one = {.channels = 1, .targets = 1, .luns = 1, .max_transfer = USB_SCSI_MAX};

static bool realize(Device *d, GError **error)
{
    UsbStorage *s = (UsbStorage *)d;
    if (!s->drive)
        return error_set(error, "drive property not set");
    s->bus = scsi_bus_new(d, &one, NULL, NULL);
    return scsi_bus_add(s->bus, s->drive, 0, s->bootindex, s->removable, error) != NULL;
}

static bool bot_realize(Device *d, GError **error)
{
    ((UsbStorage *)d)->bus = scsi_bus_new(d, &adapter, NULL, NULL);
    return true;
}

static void unrealize(Device *d) { forget((UsbStorage *)d); }

static const UsbEndpoint full_endpoints[] = {
    {.address = 0x81, .kind = USB_BULK, .max_packet = 64}, {.address = 0x02, .kind = USB_BULK, .max_packet = 64},
};
static const UsbEndpoint high_endpoints[] = {
    {.address = 0x81, .kind = USB_BULK, .max_packet = 512}, {.address = 0x02, .kind = USB_BULK, .max_packet = 512},
};
static const UsbEndpoint super_endpoints[] = {
    {.address = 0x81, .kind = USB_BULK, .max_packet = 1024, .burst = 15},
    {.address = 0x02, .kind = USB_BULK, .max_packet = 1024, .burst = 15},
};
#define INTERFACE(e) {.class = 8, .subclass = 6, .protocol = 0x50, .endpoints = e, .n_endpoints = G_N_ELEMENTS(e)}
static const UsbInterface interfaces[] = {INTERFACE(full_endpoints), INTERFACE(high_endpoints),
                                          INTERFACE(super_endpoints)};
static const UsbConfig full = {.version = 0x0200, .max_packet0 = 8, .string = 4, .attributes = 0xc0,
                               .interfaces = &interfaces[0], .n_interfaces = 1};
static const UsbConfig high = {.version = 0x0200, .max_packet0 = 64, .string = 5, .attributes = 0xc0,
                               .interfaces = &interfaces[1], .n_interfaces = 1};
static const UsbConfig super = {.version = 0x0300, .max_packet0 = 9, .string = 6, .attributes = 0xc0,
                                .interfaces = &interfaces[2], .n_interfaces = 1};
static const UsbInfo storage_info = {
    .vendor = 0x46f4, .product = 0x0001,
    .strings = {NULL, "QEMU", "QEMU USB HARDDRIVE", "1", "Full speed config (usb 1.1)",
                "High speed config (usb 2.0)", "Super speed config (usb 3.0)"},
    .at = {[USB_FULL] = &full, [USB_HIGH] = &high, [USB_SUPER] = &super},
};
static const UsbClass storage_class = {
    .info = &storage_info, .control = control, .transfer = transfer, .bus_reset = bus_reset, .unhalted = unhalted,
};
#define STATE                                                                                               \
    HOST(UsbStorage, bus), HOST(UsbStorage, call), SAVED(UsbStorage, stage), SAVED(UsbStorage, lun),        \
    SAVED(UsbStorage, in), SAVED(UsbStorage, status), SAVED(UsbStorage, cdb), SAVED(UsbStorage, tag),       \
    SAVED(UsbStorage, length), SAVED(UsbStorage, residue), BYTES(UsbStorage, transfer)
static const Field fields[] = {
    STATE,
    PROP(UsbStorage, drive, "drive", PROP_DRIVE, .desc = "The disk in it"),
    PROP(UsbStorage, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1, .changed = device_boot_index_changed),
    PROP(UsbStorage, removable, "removable", PROP_BOOL, .desc = "Says that its medium can be removed"),
};
static const Field bot_fields[] = {
    STATE, HOST(UsbStorage, drive), HOST(UsbStorage, bootindex), HOST(UsbStorage, removable),
};
static const DeviceType usb_storage = {
    .name = "usb-storage", .parent = "usb-device", .desc = "USB stick", .size = sizeof(UsbStorage),
    .category = DEVICE_STORAGE, .fw_name = "storage", .pluggable = true, .hotpluggable = true, FIELDS(fields),
    .realize = realize, .unrealize = unrealize, .reset = reset, .saving = saving, .restored = restored,
    .ext = &storage_class,
};
DEVICE_TYPE(usb_storage);
static const DeviceType usb_bot = {
    .name = "usb-bot", .parent = "usb-device", .desc = "SCSI units behind USB bulk-only transport",
    .size = sizeof(UsbStorage), .category = DEVICE_STORAGE, .fw_name = "storage", .pluggable = true,
    .hotpluggable = true, .fields = bot_fields, .n_fields = G_N_ELEMENTS(bot_fields), .realize = bot_realize,
    .unrealize = unrealize, .reset = reset, .saving = saving, .restored = restored, .ext = &storage_class,
};
DEVICE_TYPE(usb_bot);
