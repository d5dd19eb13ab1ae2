/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio devices and their queues, split and packed. Spec: OASIS virtio 1.2 (chapters 2, 5).
 *
 * A device type states its id, features and configuration in a VirtioClass (DeviceType.ext) and makes
 * its queues in realize. Queue handlers run on the device's loop (the control loop or -object
 * iothread), never under a device lock; registers are served by the transport on vCPU threads under
 * v->lock. Everything the guest writes is checked when an element is popped; a guest that breaks the
 * rules gets NEEDS_RESET, not more.
 */
#ifndef HW_VIRTIO_VIRTIO_H
#define HW_VIRTIO_VIRTIO_H

#include "core/vm.h"
#include "util/iov.h"

typedef struct VirtioDevice VirtioDevice;
typedef struct Virtq Virtq;

/* Feature bits that the core handles for all devices. */
#define VIRTIO_F_NOTIFY_ON_EMPTY (1ull << 24)
#define VIRTIO_F_ANY_LAYOUT (1ull << 27)
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1ull << 33)
#define VIRTIO_F_RING_PACKED (1ull << 34)
#define VIRTIO_F_IN_ORDER (1ull << 35)
#define VIRTIO_F_RING_RESET (1ull << 40)

enum {
    VIRTIO_ACKNOWLEDGE = 1, VIRTIO_DRIVER = 2, VIRTIO_DRIVER_OK = 4, VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 0x40, VIRTIO_FAILED = 0x80,
    VIRTIO_MAX_QUEUES = 64, VIRTIO_MAX_SIZE = 1024, VIRTQ_MAX_SG = 1024,
};

typedef struct VirtioClass {
    uint16_t id;                /* 5: "device types" */
    uint64_t features;          /* offered besides the core's */
    unsigned config_size;
    /* Adjusts what is offered to properties and back ends. May be NULL. */
    uint64_t (*offer)(VirtioDevice *v, uint64_t features);
    /* Fills / takes the configuration space (little-endian bytes). v->lock held. */
    void (*get_config)(VirtioDevice *v, uint8_t *config);
    void (*set_config)(VirtioDevice *v, const uint8_t *config, unsigned at, unsigned n);
    /* DRIVER_OK: features are final. Device's loop. */
    void (*start)(VirtioDevice *v);
    /* Reset or stop: finish or cancel what is in flight; queues are not touched after return. Loop. */
    void (*stop)(VirtioDevice *v);
    /* The machine runs again, or stands: then finish what is in flight, as nothing may touch memory (what
     * cannot be finished, like a request held back for an error, may stay and is saved). Between the two
     * all queues seem empty; afterwards their handlers run. May be NULL. Loop; only while started. */
    void (*run)(VirtioDevice *v, bool running);
} VirtioClass;

/* What a transport gives; called from any thread. */
typedef struct VirtioTransport {
    void (*interrupt)(void *opaque, uint16_t vector);       /* queue's vector */
    void (*config_changed)(void *opaque);
    bool legacy;                /* no VERSION_1 is offered */
} VirtioTransport;

struct VirtioDevice {
    Device dev;
    const VirtioClass *cls;
    const VirtioTransport *transport;
    void *transport_opaque;
    Loop *loop;                 /* where queues are served */
    GMutex lock;                /* registers below, config */
    uint64_t host_features, features;
    uint8_t status, generation;
    bool started, broken, refused;      /* refused: the driver wants what was not offered */
    bool start_due;             /* restored; begins when the machine runs */
    Virtq *vq;                  /* VIRTIO_MAX_QUEUES at most */
    unsigned n_vqs;
    uint8_t *config;            /* cls->config_size */
    /* properties of all */
    Object *iothread;           /* row of the types that can use one */
    bool indirect_desc, event_idx, packed, in_order, access_platform, any_layout, notify_on_empty;
    unsigned run_listener;
    GBytes *queues;             /* state.c: positions and what is in flight, on the way */
};

#define VIRTIO_FIELDS                                                                               \
    HOST(VirtioDevice, cls), HOST(VirtioDevice, transport), HOST(VirtioDevice, transport_opaque),   \
    HOST(VirtioDevice, loop), HOST(VirtioDevice, lock), HOST(VirtioDevice, host_features),          \
    SAVED(VirtioDevice, features, .keep = true), SAVED(VirtioDevice, status, .keep = true),         \
    SAVED(VirtioDevice, generation, .keep = true), SAVED(VirtioDevice, broken, .keep = true),       \
    SAVED(VirtioDevice, refused, .keep = true), BYTES(VirtioDevice, queues),                        \
    HOST(VirtioDevice, started), HOST(VirtioDevice, start_due), HOST(VirtioDevice, vq),             \
    HOST(VirtioDevice, n_vqs), HOST(VirtioDevice, config), HOST(VirtioDevice, iothread),            \
    PROP(VirtioDevice, indirect_desc, "indirect_desc", PROP_BOOL, .init = true),                    \
    PROP(VirtioDevice, event_idx, "event_idx", PROP_BOOL, .init = true),                            \
    PROP(VirtioDevice, packed, "packed", PROP_BOOL),                                                \
    PROP(VirtioDevice, in_order, "in_order", PROP_BOOL),                                            \
    PROP(VirtioDevice, access_platform, "iommu_platform", PROP_BOOL),                               \
    PROP(VirtioDevice, any_layout, "any_layout", PROP_BOOL, .init = true),                          \
    PROP(VirtioDevice, notify_on_empty, "notify_on_empty", PROP_BOOL, .init = true),                \
    HOST(VirtioDevice, run_listener)

/* The base type "virtio-device": .bus "virtio-bus". A device type names it as .parent and sets .ext.
 * realize of the type runs after the base's and adds queues. */

/* One buffer from the driver; in: device writes, out: device reads. Freed by virtq_push/unpop. */
typedef struct VirtqElement {
    uint16_t id, ndescs;
    unsigned n_out, n_in;
    struct iovec *out, *in;     /* host pointers into guest RAM */
    size_t out_bytes, in_bytes;
    /* The core's: */
    struct VirtqElement *prev, *next;   /* in flight, the oldest first */
    uint64_t *pa;               /* guest address of each entry of sg */
    uint32_t written;
    bool done;                  /* waits for older ones (in order) */
    bool again;                 /* was in flight when the state was saved */
    struct iovec sg[];
} VirtqElement;

/* In realize. handler runs on v->loop after a kick and when the device starts. */
Virtq *virtio_add_queue(VirtioDevice *v, unsigned size, void (*handler)(VirtioDevice *v, Virtq *vq));
unsigned virtq_index(const Virtq *vq);
bool virtq_ready(Virtq *vq);
/* The next buffer, or NULL. Loop. `extra` bytes are allocated before the element for the device's own
 * request struct: the return value points to the element, virtq_extra() to them.
 * After a migration what was in flight comes again first, in the order in which it was taken. */
VirtqElement *virtq_pop(Virtq *vq, size_t extra);
void *virtq_extra(VirtqElement *e);
/* Gives it back with `written` bytes in its `in` part; batched until virtq_flush(). */
void virtq_push(Virtq *vq, VirtqElement *e, uint32_t written);
/* Interrupts the driver if it wants to hear of what was pushed. Loop. */
void virtq_flush(Virtq *vq);
/* Takes back the last pop (not enough room). */
void virtq_unpop(Virtq *vq, VirtqElement *e);
bool virtq_empty(Virtq *vq);
/* Asks the driver (not) to kick; after enabling check virtq_empty() again. */
void virtq_want_kicks(Virtq *vq, bool on);
/* Runs the handler soon. Any thread. */
void virtq_schedule(Virtq *vq);
/* Something the guest must not do: logs, sets NEEDS_RESET. */
void virtio_error(VirtioDevice *v, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void virtio_config_changed(VirtioDevice *v);
/* Where queues and buffers live. */
static inline AddressSpace *virtio_space(const VirtioDevice *v)
{
    AddressSpace *as = __atomic_load_n(&v->dev.dma, __ATOMIC_ACQUIRE);
    return as ? as : v->dev.object.vm->memory;
}
static inline bool virtio_has(const VirtioDevice *v, uint64_t feature) { return v->features & feature; }

/* Stops serving queues; a type's unrealize calls it before it lets go of its back end. */
void virtio_stop(VirtioDevice *v);

/* ---- for transports ---- */
void virtio_attach(VirtioDevice *v, const VirtioTransport *t, void *opaque);
void virtio_set_status(VirtioDevice *v, uint8_t status);        /* 0 resets */
uint64_t virtio_offered(VirtioDevice *v);
/* Driver's selection; unknown bits are dropped. */
void virtio_set_features(VirtioDevice *v, uint64_t features);
uint64_t virtio_read_config(VirtioDevice *v, unsigned at, unsigned size);
void virtio_write_config(VirtioDevice *v, unsigned at, uint64_t value, unsigned size);
/* Queue registers. Addresses and size may be set while the queue is not ready. */
unsigned virtq_max_size(VirtioDevice *v, unsigned q);
unsigned virtq_get_size(VirtioDevice *v, unsigned q);
void virtq_set_size(VirtioDevice *v, unsigned q, unsigned size);
void virtq_set_addresses(VirtioDevice *v, unsigned q, uint64_t desc, uint64_t driver, uint64_t device);
enum { VIRTQ_DESC, VIRTQ_DRIVER, VIRTQ_DEVICE };
uint64_t virtq_get_address(VirtioDevice *v, unsigned q, int area);
void virtq_set_ready(VirtioDevice *v, unsigned q, bool ready);
bool virtq_get_ready(VirtioDevice *v, unsigned q);
void virtq_set_vector(VirtioDevice *v, unsigned q, uint16_t vector);
uint16_t virtq_get_vector(VirtioDevice *v, unsigned q);
int virtq_kick_fd(VirtioDevice *v, unsigned q);                 /* a doorbell for mem_add_eventfd() */
/* DMA became possible or impossible: goes on or stops serving, if the driver has started the device. */
void virtio_set_dma(VirtioDevice *v, AddressSpace *as);
void virtq_kick(VirtioDevice *v, unsigned q);                   /* any thread */

#endif
