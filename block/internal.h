/* SPDX-License-Identifier: Apache-2.0 */
/* For block drivers (docs/howto-block-driver.md). */
#ifndef BLOCK_INTERNAL_H
#define BLOCK_INTERNAL_H

#include "block/block.h"
#include "block/fiber-lock.h"
#include "util/error.h"

/* What a driver is asked to do; the buffers cover exactly [offset, offset + bytes). */
typedef struct BlockIo {
    uint64_t offset, bytes;
    const struct iovec *iov;
    unsigned n_iov, flags;
} BlockIo;

/*
 * Functions return 0 or a positive errno. Those for I/O run in fibers on the node's loop, or outside of
 * fibers while the node is idle (opening, closing, resizing, checking): then they block the thread.
 */
struct BlockDriver {
    const char *name;
    BlockdevDriver id;
    size_t size;                /* of the driver's struct, which begins with BlockNode */
    bool protocol;              /* reaches storage itself */
    bool filter;                /* shows its child as it is: who uses it uses the child */
    bool (*open)(BlockNode *n, const BlockdevOptions *options, GError **error);
    void (*close)(BlockNode *n);
    int (*read)(BlockNode *n, const BlockIo *io);
    int (*write)(BlockNode *n, const BlockIo *io);
    int (*flush)(BlockNode *n);                         /* NULL: the child's */
    int (*discard)(BlockNode *n, uint64_t offset, uint64_t bytes);
    int (*write_zeroes)(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags);
    /* One whole unit of n->cluster bytes (the last may be shorter), stored compressed. */
    int (*write_compressed)(BlockNode *n, const BlockIo *io);
    void (*plug)(BlockNode *n, bool on);                /* NULL: the child's */
    /* Fills bytes, flags, at, where; NULL: a filter's child, else all is data. */
    int (*map)(BlockNode *n, uint64_t offset, uint64_t bytes, BlockExtent *e);
    bool (*resize)(BlockNode *n, uint64_t size, PreallocMode prealloc, GError **error);
    /* The users' wishes changed (BLOCK_USE_*): take or release locks on the storage. */
    bool (*permit)(BlockNode *n, unsigned uses, unsigned shares, GError **error);
    /* Adds what the driver knows. */
    void (*info)(BlockNode *n, ImageInfo *info);
    /* Whether that is the beginning of such an image. */
    bool (*probe)(const uint8_t *head, size_t n);
    bool (*check)(BlockNode *n, BlockCheck *result, unsigned fix, GError **error);
    bool (*change_backing)(BlockNode *n, const char *name, const char *format, GError **error);
    bool (*create)(Vm *vm, const BlockdevCreateOptions *options, GError **error);
    /* Idle node. */
    bool (*snapshot)(BlockNode *n, BlockSnapshotOp op, const SnapshotInfo *what, GError **error);
    bool (*reopen)(BlockNode *n, const BlockdevOptions *options, GError **error);
};
#define BLOCK_DRIVER(d)                                                                             \
    const BlockDriver *const d##_entry __attribute__((used, retain, section("myna_block_drivers"))) = &d

/* Somebody who uses a node: another node, a device, or a tool by its name. */
typedef struct BlockUser {
    BlockNode *parent;
    Device *device;
    char *who;
    unsigned uses, shares;
    bool own;                   /* the parent closes the child with itself */
} BlockUser;

struct BlockNode {
    const BlockDriver *driver;
    Vm *vm;
    Loop *loop;
    char *name;
    char *filename;
    BlockNode *file;            /* child */
    BlockNode *backing;
    GSList *users;              /* BlockUser * */
    uint64_t size;
    unsigned align;             /* of offsets, lengths and memory that the driver wants; 1: none */
    unsigned cluster;           /* unit of allocation, 0: none to speak of */
    bool read_only, can_discard, discard, no_flush, direct, detect_zeroes, unmap_zeroes, force_share;
    bool opening, for_check;    /* for_check: damage is no reason not to open */
    bool probed;                /* raw by a guess: block 0 must not become an image */
    FiberLock edges;            /* exclusive: a write that is widened to whole units */
    unsigned in_flight;
    uint64_t threshold;
    struct Throttle *throttle;  /* of the drive that has the node */
    BlockFacts facts;
};

/* Counts one of n->facts up: the node's thread does, others look on. */
static inline void block_count(uint64_t *fact, uint64_t by)
{
    __atomic_store_n(fact, *fact + by, __ATOMIC_RELAXED);
}

/* Requests to a child. */
int block_read(BlockNode *n, const BlockIo *io);
int block_write(BlockNode *n, const BlockIo *io);
int block_flush(BlockNode *n);
int block_discard(BlockNode *n, uint64_t offset, uint64_t bytes);
int block_write_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags);
int block_read_buf(BlockNode *n, uint64_t offset, void *buf, uint64_t bytes);
int block_write_buf(BlockNode *n, uint64_t offset, const void *buf, uint64_t bytes);
void block_io_fill(const BlockIo *io, int byte);
bool block_io_is_zero(const BlockIo *io);
void block_io_copy(const BlockIo *io, void *buf, bool to_iov);
/* A part of a request: fills iov (room for io->n_iov pieces) and part. */
void block_io_part(const BlockIo *io, uint64_t skip, uint64_t bytes, struct iovec *iov, BlockIo *part);
/* A buffer that suits O_DIRECT; free(). */
void *block_buffer(uint64_t bytes);

/* ---- the graph ---- */
const BlockDriver *block_driver(BlockdevDriver id);
BlockNode *block_open_for(Vm *vm, const BlockdevOptions *options, bool check, GError **error);
const BlockDriver *block_probe(BlockNode *storage);
/* Opens or finds what an option names, and begins to use it. Inline nodes take over caching and
 * read-only from the parent. */
BlockNode *block_child(BlockNode *parent, const BlockdevRef *ref, unsigned uses, unsigned shares,
                       GError **error);
/* Ends the use; closes the child if it came with the parent. */
void block_unchild(BlockNode *parent, BlockNode *child);
/* n->file and its standard use: a format's storage. */
bool block_open_storage(BlockNode *n, const BlockdevRef *file, GError **error);
/* The image below, by the name that stands in the image. */
BlockNode *block_open_backing(BlockNode *n, const char *name, const char *format, GError **error);
char *block_full_name(const char *base, const char *name);
bool block_attach_shared(BlockNode *n, Device *user, bool write, bool share, Loop *loop, GError **error);
bool block_use(BlockNode *n, BlockUser user, GError **error);
/* After a change among the users of n. */
bool block_settle(BlockNode *n, GError **error);
void block_unuse(BlockNode *n, const BlockUser *user);
BlockUser *block_find_user(const BlockNode *n, const BlockNode *parent, const Device *device, const char *who);

/* Limits. throttle_wait(): in a fiber, as long as they demand. */
typedef struct Throttle Throttle;
void throttle_wait(Throttle *t, Loop *loop, bool write, uint64_t bytes);

#endif
