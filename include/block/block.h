/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block nodes: trees of drivers over storage. Everything below block_submit() runs in fibers on the
 * tree's loop and reads as blocking code; nothing above does.
 *
 * Home: a tree belongs to one loop (the control loop until a device moves it). Nodes are made and
 * deleted on the control thread.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <sys/uio.h>
#include "core/vm.h"
#include "qapi/qapi-types-block.h"

typedef struct BlockNode BlockNode;
typedef struct BlockDriver BlockDriver;

typedef enum BlockOp { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES, BLOCK_OPS } BlockOp;
enum { BLOCK_FUA = 1, BLOCK_MAY_UNMAP = 2 };

/* A request; the caller's, alive until done(). Offsets and lengths in bytes, any alignment. */
typedef struct BlockRequest {
    BlockOp op;
    unsigned flags;
    uint64_t offset, bytes;
    const struct iovec *iov;    /* read, write */
    unsigned n_iov;
    /* On the node's loop; error is 0 or a positive errno. May be called inside block_submit(). */
    void (*done)(struct BlockRequest *r, int error);
    BlockNode *node;            /* private */
    int64_t started;            /* private */
} BlockRequest;

/* Node's loop. Checks bounds and permission. */
void block_submit(BlockNode *n, BlockRequest *r);
/* Between these requests may be held back and handed over together. Node's loop; nestable. */
void block_plug(BlockNode *n);
void block_unplug(BlockNode *n);
/* Waits for all requests in flight, running the loop. Node's loop. */
void block_drain(BlockNode *n);
/* For code that has a thread to wait with (tools, start-up); not on a busy loop. */
int block_sync(BlockNode *n, BlockOp op, uint64_t offset, void *buf, uint64_t bytes);

uint64_t block_size(const BlockNode *n);                /* bytes */
bool block_read_only(const BlockNode *n);
bool block_can_discard(const BlockNode *n);
const char *block_name(const BlockNode *n);
const char *block_driver_name(const BlockNode *n);
const char *block_filename(const BlockNode *n);         /* "" without a file */
Loop *block_loop(const BlockNode *n);

/* What query-block and query-blockstats tell. The nodes below this one, or NULL. */
BlockNode *block_file(const BlockNode *n);
BlockNode *block_backing(const BlockNode *n);
typedef struct BlockFacts {
    uint64_t ops[BLOCK_OPS], bytes[BLOCK_OPS], failed[BLOCK_OPS];
    int64_t ns[BLOCK_OPS];      /* time spent */
    int64_t last_ns;            /* end of the last request, monotonic; 0: none yet */
    uint64_t highest;           /* end of the furthest write */
    uint64_t discards, discards_failed, discarded;      /* of files: what the host was asked */
    bool direct, no_flush, detect_zeroes, unmap_zeroes;
} BlockFacts;
BlockFacts block_facts(const BlockNode *n);
/* What qemu-img info tells of one image; deep: with the images below. The caller frees. */
ImageInfo *block_image_info(BlockNode *n, bool deep);

/* How a range of a disk is stored. */
typedef enum BlockExtentFlags {
    EXTENT_ALLOCATED = 1,       /* this image says what is there, none below */
    EXTENT_ZERO = 2,            /* reads as zeroes */
    EXTENT_DATA = 4,            /* takes space */
    EXTENT_COMPRESSED = 8,
    EXTENT_AT = 16,             /* `at` is valid */
} BlockExtentFlags;
typedef struct BlockExtent {
    uint64_t bytes;             /* from the offset asked for; at least 1 */
    uint64_t at;                /* offset in the storage of `where` */
    unsigned flags, depth;      /* depth: number of images above */
    BlockNode *where;
} BlockExtent;
/* Looks the beginning of a range up, through images below. Idle node, its loop's thread, or a fiber.
 * base: stop above this image; NULL: go to the bottom. */
int block_map(BlockNode *n, BlockNode *base, uint64_t offset, uint64_t bytes, BlockExtent *e);

/* ---- making ----
 * These wait for the storage; the control thread. */
BlockNode *block_open(Vm *vm, const BlockdevOptions *options, GError **error);
/* By file name: a path, nbd:…, json:{…}. format NULL: what the content says. options: members of
 * BlockdevOptions for the format's node, {"file": {…}} for the storage; may be NULL. */
typedef struct BlockOpen {
    const char *filename, *format;
    const Json *options;
    bool read_only, no_backing;
    bool quiet;                 /* no warning when raw was guessed */
    bool check;                 /* to be checked: damage is no reason not to open it */
} BlockOpen;
BlockNode *block_open_file(Vm *vm, const BlockOpen *what, GError **error);
bool block_close(Vm *vm, const char *node_name, GError **error);
/* For those who opened it themselves. */
void block_free(BlockNode *n);
/* New size in bytes. Waits for requests in flight. */
bool block_resize(BlockNode *n, uint64_t size, PreallocMode prealloc, GError **error);
/* Looks for errors in an image's tables; fix: bits BLOCK_FIX_*. False: it could not be checked. */
enum { BLOCK_FIX_LEAKS = 1, BLOCK_FIX_ERRORS = 2 };
typedef struct BlockCheck {
    uint64_t corruptions, leaks, errors, corruptions_fixed, leaks_fixed;
    uint64_t end, total, allocated, fragmented, compressed;     /* bytes; clusters */
    bool has_clusters;
} BlockCheck;
bool block_check(BlockNode *n, BlockCheck *result, unsigned fix, GError **error);
/* One unit of the format's cluster size, stored compressed; ENOTSUP: the format has no such. */
int block_write_compressed(BlockNode *n, uint64_t offset, void *buf, uint64_t bytes);
unsigned block_cluster(const BlockNode *n);             /* unit of allocation, 0: none */
/* Another image below, by name ("" or NULL: none), in the image and in the graph. */
bool block_change_backing(BlockNode *n, const char *name, const char *format, GError **error);
/* Snapshots within an image; ImageInfo lists them. what: for making one a name and what it tells of the
 * machine, else its id, its name, or both. SHOW: the node, read only, has the snapshot's content. */
typedef enum BlockSnapshotOp { SNAPSHOT_CREATE, SNAPSHOT_APPLY, SNAPSHOT_DELETE, SNAPSHOT_SHOW } BlockSnapshotOp;
BlockNode *block_with_snapshots(BlockNode *n);          /* n or a node below; NULL: the format has no such */
bool block_snapshot(BlockNode *n, BlockSnapshotOp op, const SnapshotInfo *what, GError **error);
/* Makes an image: blockdev-create. */
bool block_create(Vm *vm, const BlockdevCreateOptions *options, GError **error);
/* Changes options of a node that exists: blockdev-reopen. */
bool block_reopen(Vm *vm, const BlockdevOptions *options, GError **error);
BlockNode *block_find(Vm *vm, const char *node_name);
/* All nodes, in order of creation. */
void block_foreach(Vm *vm, void (*fn)(BlockNode *n, void *data), void *data);
/* A device takes the node for itself (error if taken, or read-only and write is wanted) and moves the
 * tree to a loop. */
bool block_attach(BlockNode *n, Device *user, bool write, Loop *loop, GError **error);
void block_detach(BlockNode *n);
/* For tools, jobs and exports: uses and shares are made of BLOCK_USE_*. Ends with block_release(). */
enum { BLOCK_USE_READ = 1, BLOCK_USE_WRITE = 2, BLOCK_USE_RESIZE = 4, BLOCK_USE_ALL = 7 };
bool block_take(BlockNode *n, const char *who, unsigned uses, unsigned shares, GError **error);
void block_release(BlockNode *n, const char *who);
Device *block_user(const BlockNode *n);
bool block_is_used(const BlockNode *n);
/* Sends BLOCK_WRITE_THRESHOLD once when it is written to beyond that offset; 0: not. */
void block_set_threshold(BlockNode *n, uint64_t offset);
uint64_t block_threshold(const BlockNode *n);

/* Runs fn on the node's loop, outside of requests, and waits until it has run. Control thread. */
void block_call(BlockNode *n, void (*fn)(void *data), void *data);

#include "block/drive.h"

#endif
