/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver for tests, as a guest would be: through the registers of virtio-mmio, with split or
 * packed rings, direct or indirect descriptors, plain or translated addresses. Spec: virtio 1.2, 2.7, 2.8.
 *
 *   g_autoptr(VirtioGuest) g = virtio_guest("virtio-rng-device", NULL);
 *   virtio_guest_start(g, features, 1);
 *   uint64_t pa = virtio_guest_room(g, 64);
 *   virtio_guest_offer(g, 0, (GuestBuffer[]){{pa, 64, true}}, 1);
 *   virtio_guest_kick(g, 0);
 *   g_assert_true(virtio_guest_used(g, 0, &used));
 */
#ifndef TESTS_LIB_VIRTIO_GUEST_H
#define TESTS_LIB_VIRTIO_GUEST_H

#include <stdarg.h>
#include "core/testing.h"
#include "hw/virtio/virtio.h"

enum {
    GUEST_QUEUES = 6, GUEST_SIZE = 16, GUEST_STRIDE = 0x10000,
    /* in a queue's stretch of memory */
    GUEST_DESC = 0, GUEST_DRIVER = 0x1000, GUEST_DEVICE = 0x2000, GUEST_TABLES = 0x3000,
    /* descriptor flags */
    GUEST_NEXT = 1, GUEST_WRITE = 2, GUEST_INDIRECT = 4,
    /* registers of virtio-mmio */
    VMMIO_FEATURES = 0x10, VMMIO_FEATURES_SEL = 0x14, VMMIO_DRIVER = 0x20, VMMIO_DRIVER_SEL = 0x24,
    VMMIO_QUEUE_SEL = 0x30, VMMIO_QUEUE_MAX = 0x34, VMMIO_QUEUE_SIZE = 0x38, VMMIO_READY = 0x44,
    VMMIO_NOTIFY = 0x50, VMMIO_ISR = 0x60, VMMIO_ACK = 0x64, VMMIO_STATUS = 0x70, VMMIO_DESC = 0x80,
    VMMIO_DRIVER_AREA = 0x90, VMMIO_DEVICE_AREA = 0xa0, VMMIO_GENERATION = 0xfc, VMMIO_CONFIG = 0x100,
};

typedef struct GuestBuffer {
    uint64_t pa;
    uint32_t len;
    bool write;                 /* the device writes it */
} GuestBuffer;

typedef struct GuestUsed {
    uint32_t id, len;
} GuestUsed;

typedef struct GuestQueue {
    unsigned size;
    uint16_t next, used;        /* positions: packed ones within the ring */
    bool avail_wrap, used_wrap;
    uint16_t free[GUEST_SIZE], n_free;  /* ids (packed) or head descriptors (split: of 4 in a row) */
    uint16_t count[GUEST_SIZE]; /* packed: descriptors of an id */
} GuestQueue;

typedef struct VirtioGuest {
    TestDevice *t;              /* t->dev is the transport */
    Device *card;
    Bus *bus;
    uint64_t features, iova;    /* iova: what is added to addresses given to the device */
    bool indirect;              /* offer tables */
    AddressSpace *dma;          /* the device's, if it has its own; freed with the guest */
    GuestQueue q[GUEST_QUEUES];
    uint64_t room;
} VirtioGuest;

/* A running machine with that device on a modern transport; properties as pairs, ended by NULL. The
 * machine may have been prepared by the caller (t; else NULL): then it becomes the guest's. */
VirtioGuest *virtio_guest_on(TestDevice *t, const char *type, ...) G_GNUC_NULL_TERMINATED;
#define virtio_guest(...) virtio_guest_on(NULL, __VA_ARGS__)
/* The transport alone, to plug devices on. */
VirtioGuest *virtio_guest_bare(TestDevice *t);
VirtioGuest *virtio_guest_legacy(TestDevice *t);
void virtio_guest_plug(VirtioGuest *g, const char *type, va_list *props);
/* Of a device that stands on virtio-mmio already; t becomes the guest's. */
VirtioGuest *virtio_guest_for(TestDevice *t);
void virtio_guest_free(VirtioGuest *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtioGuest, virtio_guest_free)

/* Negotiates (VERSION_1 is added) and starts the first n queues. False: FEATURES_OK stayed clear. */
bool virtio_guest_start(VirtioGuest *g, uint64_t features, unsigned n);
uint32_t virtio_guest_reg(VirtioGuest *g, unsigned at);
void virtio_guest_set(VirtioGuest *g, unsigned at, uint32_t value);
/* Runs the loop until nothing is left to do. */
void virtio_guest_step(VirtioGuest *g);
/* Memory for buffers, zeroed. */
uint64_t virtio_guest_room(VirtioGuest *g, unsigned bytes);
void virtio_guest_poke(VirtioGuest *g, uint64_t pa, const void *data, size_t n);
void virtio_guest_peek(VirtioGuest *g, uint64_t pa, void *data, size_t n);
/* Makes a chain available; returns its id. */
uint16_t virtio_guest_offer(VirtioGuest *g, unsigned q, const GuestBuffer *b, unsigned n);
void virtio_guest_kick(VirtioGuest *g, unsigned q);
/* The next used buffer, if any. */
bool virtio_guest_used(VirtioGuest *g, unsigned q, GuestUsed *used);
/* Interrupt status, acknowledged. */
uint32_t virtio_guest_isr(VirtioGuest *g);
uint64_t virtio_guest_base(unsigned q);
static inline bool virtio_guest_packed(const VirtioGuest *g) { return g->features & VIRTIO_F_RING_PACKED; }
/* Raw descriptor i of a queue's ring, for those who break rules. */
void virtio_guest_descriptor(VirtioGuest *g, unsigned q, unsigned i, uint64_t pa, uint32_t len,
                             uint16_t flags, uint16_t next_or_id);
/* Moves the card's state into another guest's card of the same type, memory and driver included. */
void virtio_guest_move(VirtioGuest *from, VirtioGuest *to);

#endif
