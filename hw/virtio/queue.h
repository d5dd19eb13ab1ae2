/* SPDX-License-Identifier: Apache-2.0 */
/* A queue's inside; private to hw/virtio. */
#ifndef HW_VIRTIO_QUEUE_H
#define HW_VIRTIO_QUEUE_H

#include "hw/virtio/virtio.h"

/* Guest-visible and saved. */
typedef struct VirtqState {
    uint64_t desc, driver, device;      /* addresses: split avail/used, packed event areas */
    uint32_t size;
    uint16_t vector;
    bool ready;
    uint16_t last_avail, used_idx;      /* packed: ring positions */
    bool avail_wrap, used_wrap;
} VirtqState;

/* A buffer that was in flight when the state was saved. */
typedef struct SavedChain {
    uint16_t id, ndescs;
    uint32_t n_out, n_in;
    struct { uint64_t pa; uint32_t len; } sg[];
} SavedChain;

struct Virtq {
    VirtqState s;
    VirtioDevice *v;
    unsigned index, max_size, default_size;
    void (*handler)(VirtioDevice *, Virtq *);
    int kick_fd;
    LoopFd *watch;
    /* Rings in host memory while the device runs. */
    uint8_t *desc_host, *driver_host, *device_host;
    uint64_t written_at, written_bytes; /* in the machine's RAM numbering: the area that the device writes */
    unsigned map_generation;            /* of the memory map when they were looked up */
    uint16_t signalled_used;            /* used index at the last interrupt */
    bool signalled_valid, pushed;
    uint16_t held_at, held_flags;       /* packed: first of what was pushed, not shown yet */
    uint32_t in_use;                    /* popped and not pushed back */
    bool in_turn;                       /* the handler runs, for a kick */
    unsigned turn;                      /* how many it may still take before others get theirs */
    VirtqElement *first, *last;         /* those */
    GQueue again;                       /* SavedChain * */
};

/* Maps the rings; false (and NEEDS_RESET) if they are not in RAM. */
bool virtq_map(Virtq *vq);
/* A pointer to that guest memory if it lies in one piece of RAM here; NULL: not. */
void *virtq_memory(Virtq *vq, uint64_t pa, uint64_t bytes, bool write);
/* Addresses, positions and all to their values after reset; nothing is in flight. */
void virtq_clear(Virtq *vq);

/* state.c: all queues as bytes and back; false: those bytes are not ours. */
GBytes *virtq_save_all(VirtioDevice *v);
bool virtq_load_all(VirtioDevice *v, GBytes *state);

/* Runs the handler for a turn. */
void virtq_serve(Virtq *vq);
/* What was pushed becomes visible, without an interrupt. */
void virtq_publish(Virtq *vq);

/* One layout's operations; split.c and packed.c. */
typedef struct VirtqLayout {
    uint64_t (*desc_bytes)(unsigned size);
    uint64_t (*driver_bytes)(unsigned size);
    uint64_t (*device_bytes)(unsigned size);
    bool (*empty)(Virtq *vq);
    VirtqElement *(*pop)(Virtq *vq, size_t extra);
    void (*unpop)(Virtq *vq, const VirtqElement *e);
    void (*push)(Virtq *vq, const VirtqElement *e, uint32_t written);
    /* Shows the driver what was pushed, all at once: a packet in several buffers is one thing. */
    void (*publish)(Virtq *vq);
    bool (*wants_interrupt)(Virtq *vq);
    void (*want_kicks)(Virtq *vq, bool on);
} VirtqLayout;
extern const VirtqLayout virtq_split, virtq_packed;

/* Collects a chain into an element. */
typedef struct Chain {
    struct iovec sg[VIRTQ_MAX_SG];
    uint64_t pa[VIRTQ_MAX_SG];
    unsigned n_out, n_in;               /* out entries first */
    size_t out_bytes, in_bytes;
} Chain;
/* Adds a guest buffer; false (reported) if it breaks a rule. */
bool chain_add(Virtq *vq, Chain *c, uint64_t pa, uint32_t len, bool device_writes);
VirtqElement *chain_element(const Chain *c, uint16_t id, uint16_t ndescs, size_t extra);

#endif
