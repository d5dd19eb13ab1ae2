/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues that another program (or the kernel) serves; private to hw/virtio.
 *
 * The back end never sees the driver's rings. Each queue is relayed: what the driver offers is checked
 * and taken as for any device of ours (virtq_pop) and offered again in a split ring of our own, which
 * lies in memory that is shared with the back end; addresses in it number the machine's RAM. So the
 * driver's ring layout, IOMMUs, migration and dirty tracking (of translated code, too) are nobody's
 * affair but the core's, a back end that dies loses nothing (what it had not finished is offered again
 * to the next), and nothing that a back end writes can do harm outside the buffers it was given.
 * Home: the device's loop, which is the control loop.
 */
#ifndef HW_VIRTIO_VHOST_H
#define HW_VIRTIO_VHOST_H

#include "hw/virtio/virtio.h"

enum { VHOST_MAX_REGIONS = 32, VHOST_MAX_RING = 1024 };

/* Bits of what devices have in common. */
#define VHOST_DEVICE_FEATURES 0xffffffull       /* numbers below 24 belong to the device type, */
#define VHOST_MORE_FEATURES (~0ull << 50)       /* as do those from 50 on */

typedef struct Vhost Vhost;
typedef struct VhostQueue VhostQueue;

/* A piece of memory that the back end is given. */
typedef struct VhostRegion {
    uint64_t at, size;          /* in the numbering that rings use */
    uint8_t *host;
    int fd;
    uint64_t fd_offset;
} VhostRegion;

typedef struct VhostOps {
    bool (*set_features)(Vhost *h, uint64_t features);
    /* All of h->region. Also while rings run, when memory was plugged. */
    bool (*set_memory)(Vhost *h);
    bool (*start_ring)(Vhost *h, VhostQueue *q);
    /* Returns when the back end touches the ring no more. */
    bool (*stop_ring)(Vhost *h, VhostQueue *q);
    /* The device begins (all rings are started) or ends. May be NULL. */
    bool (*set_running)(Vhost *h, bool on);
} VhostOps;

struct VhostQueue {
    Vhost *h;
    Virtq *vq;
    unsigned index, size;       /* the back end's number of the queue; descriptors */
    int kick, call;
    LoopFd *watch;
    uint8_t *desc, *avail, *used;
    uint16_t avail_idx, used_idx, free, n_free;
    uint16_t *next;             /* by descriptor: of a chain or of the free ones */
    VirtqElement **element;     /* by head */
    uint64_t *order;            /* by head: when it was offered */
    uint64_t offered;
    bool off, disabled;         /* the driver has not got it; it stands by */
};

struct Vhost {
    VirtioDevice *v;
    const VhostOps *ops;
    uint64_t features;          /* of the back end */
    VhostRegion region[VHOST_MAX_REGIONS];      /* ascending; the last one: rings */
    unsigned n_regions, generation;
    bool keeps_version;         /* the back end must know whether the driver is a modern one */
    bool need_fd;               /* only memory with a descriptor can be given */
    bool started, running;      /* the driver wants it; the back end is at work */
    VhostQueue *queue;
    unsigned n_queues;
    int memfd;
    uint8_t *rings;
};

void vhost_init(Vhost *h, VirtioDevice *v, const VhostOps *ops, bool need_fd);
void vhost_finish(Vhost *h);
/* Whether the machine's memory can be given to another process at all. */
bool vhost_memory_is_shared(Vm *vm, GError **error);
/* In realize; `index` is the back end's number. Its handler is to call vhost_serve(). */
VhostQueue *vhost_add(Vhost *h, Virtq *vq, unsigned index);
/* Starts what the driver has made ready; false: the back end failed. */
bool vhost_start(Vhost *h);
/* Stops all rings. Buffers that were not finished stay taken (again: they are offered anew by the next
 * vhost_start()); `drop`: they go back to the driver. `dead`: there is no back end to ask. */
void vhost_stop(Vhost *h, bool drop, bool dead);
/* The driver's buffers go to the back end. */
void vhost_serve(Vhost *h, Virtq *vq);
/* Answers that have come; used by tests of broken back ends, too. */
bool vhost_collect(VhostQueue *q);
/* Addresses for the back end: in its numbering, and of this process. */
uint64_t vhost_at(const Vhost *h, const void *host, uint64_t size);

/* ---- the host's kernel: /dev/vhost-net, /dev/vhost-vsock ---- */

/* Home: as Vhost. A device of the kernel has two rings; a card with several pairs of queues has one for each. */
typedef struct VhostKernel {
    Vhost h;
    const int *fd;              /* by pair; owned (vhost_fd_own) and closed by who opened them */
    uint64_t own_features;      /* set whatever the driver says */
    int err;                    /* eventfd: the kernel met something that it cannot use */
    LoopFd *err_watch;
} VhostKernel;

bool vhost_kernel_init(VhostKernel *k, VirtioDevice *v, const VhostOps *ops, const int *fd, uint64_t features,
                       GError **error);
void vhost_kernel_finish(VhostKernel *k);
/* For VhostOps. */
bool vhost_kernel_features(Vhost *h, uint64_t features);
bool vhost_kernel_memory(Vhost *h);
bool vhost_kernel_start(Vhost *h, VhostQueue *q);
bool vhost_kernel_stop(Vhost *h, VhostQueue *q);
/* The device behind a queue, and the queue's number there. */
static inline VhostKernel *vhost_kernel_of(Vhost *h) { return (VhostKernel *)h; }
static inline int vhost_kernel_fd(Vhost *h, const VhostQueue *q) { return vhost_kernel_of(h)->fd[q->index / 2]; }
static inline unsigned vhost_kernel_ring(const VhostQueue *q) { return q->index % 2; }
/* Reports a failed step; returns `ok`. */
bool vhost_kernel_did(Vhost *h, bool ok, GError **error);

/* ---- vhost-user: messages over a socket ---- */

#include "chardev/chardev.h"

typedef struct VhostUser {
    Vhost h;
    Chardev *chr;
    CharFrontend fe;
    bool connected, wants_config;
    uint64_t protocol;          /* features of the protocol in use */
    uint64_t max_queues, max_slots;
    unsigned config_size;
    uint8_t config[256];        /* as the back end said */
    int channel;                /* our end of the back end's own channel, -1: none */
    LoopFd *channel_watch;
    VhostRegion told[VHOST_MAX_REGIONS];        /* regions it knows */
    unsigned n_told;
    void (*config_changed)(VirtioDevice *v);
    void (*line_changed)(VirtioDevice *v);      /* the back end came or went; may be NULL */
} VhostUser;

/* Connects to the back end behind `chr` and negotiates; afterwards h.features and config hold. */
bool vhost_user_open(VhostUser *u, VirtioDevice *v, unsigned config_size, bool wants_config, GError **error);
void vhost_user_close(VhostUser *u);
/* Of VirtioClass: start, stop, run. */
void vhost_user_start(VhostUser *u);
void vhost_user_stop(VhostUser *u);
void vhost_user_run(VhostUser *u, bool running);
/* A queue that stands by is served no more, or again. */
void vhost_user_enable(VhostUser *u, VhostQueue *q, bool on);
/* Passes a change of the configuration space on. */
void vhost_user_set_config(VhostUser *u, unsigned at, const uint8_t *data, unsigned n);

#endif
