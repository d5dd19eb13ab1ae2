/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices whose queues a vhost-user back end serves: file systems, disks, SCSI hosts, sockets. Spec:
 * virtio 1.2, 5.2, 5.6, 5.10, 5.11.
 *
 *   -chardev socket,id=c,path=/run/virtiofsd.sock -device vhost-user-fs-pci,chardev=c,tag=shared
 */
#include <string.h>
#include "hw/virtio/vhost.h"
#include "util/error.h"

enum { TAG = 36, FS_CONFIG = 40, BLK_CONFIG = 60, SCSI_CONFIG = 36, VSOCK_CONFIG = 8, BLK_QUEUES_AT = 34,
       BLK_WCE_AT = 32 };
#define F_BLK_CONFIG_WCE (1ull << 11)
#define F_BLK_MQ (1ull << 12)
#define F_BLK_OLD_SCSI (1ull << 7)

/* All kinds share one struct; each has rows for the properties that it knows. */
typedef struct VhostUserDevice {
    VirtioDevice v;
    VhostUser u;
    Chardev *chr;
    char *tag;
    uint16_t num_queues, queue_size;
    bool config_wce;
    int32_t bootindex;
    uint32_t max_sectors, cmd_per_lun;
} VhostUserDevice;

static VhostUserDevice *device_of(VirtioDevice *v) { return (VhostUserDevice *)v; }

static void serve(VirtioDevice *v, Virtq *vq) { vhost_serve(&device_of(v)->u.h, vq); }
static void start(VirtioDevice *v) { vhost_user_start(&device_of(v)->u); }
static void stop(VirtioDevice *v) { vhost_user_stop(&device_of(v)->u); }
static void run(VirtioDevice *v, bool running) { vhost_user_run(&device_of(v)->u, running); }
static uint64_t offer(VirtioDevice *v, uint64_t features)
{
    return features | (device_of(v)->u.h.features & VHOST_DEVICE_FEATURES);
}

static bool open_device(VhostUserDevice *s, unsigned queues, unsigned config_size, bool wants_config, GError **error)
{
    const char *type = s->v.dev.object.type->name;
    if (s->queue_size < 2 || s->queue_size > VHOST_MAX_RING || s->queue_size & (s->queue_size - 1))
        return error_set(error, "%s: queue-size must be a power of 2 between 2 and %d", type, VHOST_MAX_RING);
    if (queues < 1 || queues > VIRTIO_MAX_QUEUES)
        return error_set(error, "%s: the number of queues must be between 1 and %d", type, VIRTIO_MAX_QUEUES);
    s->u.chr = s->chr;
    s->u.config_changed = virtio_config_changed;
    if (!vhost_user_open(&s->u, &s->v, config_size, wants_config, error))
        return false;
    if (s->u.max_queues > 1 && queues > s->u.max_queues)
        return error_set(error, "%s: the back end has %u queues, not %u", type, (unsigned)s->u.max_queues, queues);
    for (unsigned i = 0; i < queues; i++)
        vhost_add(&s->u.h, virtio_add_queue(&s->v, s->queue_size, serve), i);
    return true;
}

static void unrealize(Device *d)
{
    VhostUserDevice *s = (VhostUserDevice *)d;
    virtio_stop(&s->v);
    vhost_user_close(&s->u);
}

static bool opened(VhostUserDevice *s, bool ok)
{
    if (!ok)
        vhost_user_close(&s->u);
    return ok;
}

static void back_end_config(VirtioDevice *v, uint8_t *config)
{
    memcpy(config, device_of(v)->u.config, v->cls->config_size);
}

#define COMMON                                                                                      \
    HOST(VhostUserDevice, v), HOST(VhostUserDevice, u),                                             \
    PROP(VhostUserDevice, chr, "chardev", PROP_CHARDEV, .desc = "the socket of the back end")
#define VHOST_USER_TYPE(ident, name_, desc_, category_, realize_, class_, fields_)                  \
    static const DeviceType ident = {                                                               \
        .name = name_, .parent = "virtio-device", .desc = desc_, .size = sizeof(VhostUserDevice),   \
        .bus = "virtio-bus", .pluggable = true, .category = category_, FIELDS(fields_),             \
        .realize = realize_, .unrealize = unrealize, .ext = &class_,                                \
    };                                                                                              \
    DEVICE_TYPE(ident)

/* ---- file systems ---- */

static void fs_config(VirtioDevice *v, uint8_t *config)
{
    VhostUserDevice *s = device_of(v);
    uint32_t n = GUINT32_TO_LE(s->num_queues);
    memset(config, 0, FS_CONFIG);
    memcpy(config, s->tag, strlen(s->tag));
    memcpy(config + TAG, &n, sizeof(n));
}

static bool fs_realize(Device *d, GError **error)
{
    VhostUserDevice *s = (VhostUserDevice *)d;
    if (!s->tag || !*s->tag || strlen(s->tag) > TAG)
        return error_set(error, "vhost-user-fs: tag= must have 1 to %d bytes", TAG);
    return opened(s, open_device(s, 1u + s->num_queues, 0, false, error));
}

static const VirtioClass fs_class = {
    .id = 26, .config_size = FS_CONFIG, .offer = offer, .get_config = fs_config, .start = start, .stop = stop,
    .run = run,
};
static const Field fs_fields[] = {
    COMMON, PROP(VhostUserDevice, tag, "tag", PROP_STRING, .desc = "the name that the guest mounts"),
    PROP(VhostUserDevice, num_queues, "num-request-queues", PROP_U16, .init = 1),
    PROP(VhostUserDevice, queue_size, "queue-size", PROP_U16, .init = 128),
    PROP(VhostUserDevice, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1),
    HOST(VhostUserDevice, config_wce), HOST(VhostUserDevice, max_sectors), HOST(VhostUserDevice, cmd_per_lun),
};
VHOST_USER_TYPE(vhost_user_fs, "vhost-user-fs-device", "a file system that a daemon of the host shares",
                DEVICE_STORAGE, fs_realize, fs_class, fs_fields);

/* ---- disks ---- */

static uint64_t blk_offer(VirtioDevice *v, uint64_t features)
{
    VhostUserDevice *s = device_of(v);
    features = offer(v, features) & ~F_BLK_OLD_SCSI;
    if (!s->config_wce)
        features &= ~F_BLK_CONFIG_WCE;
    return s->num_queues > 1 ? features | F_BLK_MQ : features & ~F_BLK_MQ;
}

static void blk_config(VirtioDevice *v, uint8_t *config)
{
    uint16_t n = GUINT16_TO_LE(device_of(v)->num_queues);
    back_end_config(v, config);
    memcpy(config + BLK_QUEUES_AT, &n, sizeof(n));
}

/* The only thing in it that a driver may change is the cache's mode. */
static void blk_set_config(VirtioDevice *v, const uint8_t *config, unsigned at, unsigned n)
{
    VhostUserDevice *s = device_of(v);
    if (at > BLK_WCE_AT || at + n <= BLK_WCE_AT || !virtio_has(v, F_BLK_CONFIG_WCE) ||
        s->u.config[BLK_WCE_AT] == config[BLK_WCE_AT])
        return;
    s->u.config[BLK_WCE_AT] = config[BLK_WCE_AT];
    vhost_user_set_config(&s->u, BLK_WCE_AT, config + BLK_WCE_AT, 1);
}

static bool blk_realize(Device *d, GError **error)
{
    VhostUserDevice *s = (VhostUserDevice *)d;
    return opened(s, open_device(s, s->num_queues, BLK_CONFIG, true, error));
}

static const VirtioClass blk_class = {
    .id = 2, .config_size = BLK_CONFIG, .offer = blk_offer, .get_config = blk_config,
    .set_config = blk_set_config, .start = start, .stop = stop, .run = run,
};
static const Field blk_fields[] = {
    COMMON, PROP(VhostUserDevice, num_queues, "num-queues", PROP_U16, .init = 1),
    PROP(VhostUserDevice, queue_size, "queue-size", PROP_U16, .init = 128),
    PROP(VhostUserDevice, config_wce, "config-wce", PROP_BOOL, .init = true),
    PROP(VhostUserDevice, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1),
    HOST(VhostUserDevice, tag), HOST(VhostUserDevice, max_sectors), HOST(VhostUserDevice, cmd_per_lun),
};
VHOST_USER_TYPE(vhost_user_blk, "vhost-user-blk-device", "a disk that a daemon of the host serves",
                DEVICE_STORAGE, blk_realize, blk_class, blk_fields);

/* ---- SCSI hosts ---- */

static void scsi_config(VirtioDevice *v, uint8_t *config)
{
    VhostUserDevice *s = device_of(v);
    const uint32_t words[] = {s->num_queues, s->queue_size - 2u, s->max_sectors, s->cmd_per_lun, 16, 96, 32};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        uint32_t w = GUINT32_TO_LE(words[i]);
        memcpy(config + 4 * i, &w, sizeof(w));
    }
    const uint16_t targets[] = {GUINT16_TO_LE(0), GUINT16_TO_LE(255)};
    const uint32_t luns = GUINT32_TO_LE(16383);
    memcpy(config + 28, targets, 4);
    memcpy(config + 32, &luns, 4);
}

static bool scsi_realize(Device *d, GError **error)
{
    VhostUserDevice *s = (VhostUserDevice *)d;
    return opened(s, open_device(s, 2u + s->num_queues, 0, false, error));
}

static const VirtioClass scsi_class = {
    .id = 8, .config_size = SCSI_CONFIG, .offer = offer, .get_config = scsi_config, .start = start,
    .stop = stop, .run = run,
};
static const Field scsi_fields[] = {
    COMMON, PROP(VhostUserDevice, num_queues, "num_queues", PROP_U16, .init = 1),
    PROP(VhostUserDevice, queue_size, "virtqueue_size", PROP_U16, .init = 128),
    PROP(VhostUserDevice, max_sectors, "max_sectors", PROP_U32, .init = 0xffff),
    PROP(VhostUserDevice, cmd_per_lun, "cmd_per_lun", PROP_U32, .init = 128),
    PROP(VhostUserDevice, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1),
    HOST(VhostUserDevice, tag), HOST(VhostUserDevice, config_wce),
};
VHOST_USER_TYPE(vhost_user_scsi, "vhost-user-scsi-device", "a SCSI host that a daemon serves",
                DEVICE_STORAGE, scsi_realize, scsi_class, scsi_fields);

/* ---- sockets ---- */

static bool vsock_realize(Device *d, GError **error)
{
    VhostUserDevice *s = (VhostUserDevice *)d;
    s->queue_size = 128;
    return opened(s, open_device(s, 3, VSOCK_CONFIG, true, error));
}

static const VirtioClass vsock_class = {
    .id = 19, .config_size = VSOCK_CONFIG, .offer = offer, .get_config = back_end_config, .start = start,
    .stop = stop, .run = run,
};
static const Field vsock_fields[] = {
    COMMON, HOST(VhostUserDevice, tag), HOST(VhostUserDevice, num_queues), HOST(VhostUserDevice, queue_size),
    HOST(VhostUserDevice, config_wce), HOST(VhostUserDevice, bootindex), HOST(VhostUserDevice, max_sectors),
    HOST(VhostUserDevice, cmd_per_lun),
};
VHOST_USER_TYPE(vhost_user_vsock, "vhost-user-vsock-device", "sockets that a daemon of the host serves",
                DEVICE_MISC, vsock_realize, vsock_class, vsock_fields);
