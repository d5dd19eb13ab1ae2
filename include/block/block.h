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

/* What query-block and query-blockstats tell. The node below this one, or NULL. */
BlockNode *block_file(const BlockNode *n);
typedef struct BlockFacts {
    uint64_t ops[BLOCK_OPS], bytes[BLOCK_OPS], failed[BLOCK_OPS];
    bool direct, no_flush, detect_zeroes, unmap_zeroes;
} BlockFacts;
BlockFacts block_facts(const BlockNode *n);

/* ---- making ---- */
BlockNode *block_open(Vm *vm, const BlockdevOptions *options, GError **error);
bool block_close(Vm *vm, const char *node_name, GError **error);
BlockNode *block_find(Vm *vm, const char *node_name);
/* All nodes, in order of creation. */
void block_foreach(Vm *vm, void (*fn)(BlockNode *n, void *data), void *data);
/* A device takes the node for itself (error if taken, or read-only and write is wanted) and moves the
 * tree to a loop. */
bool block_attach(BlockNode *n, Device *user, bool write, Loop *loop, GError **error);
void block_detach(BlockNode *n);
Device *block_user(const BlockNode *n);

/* -drive: a node under the drive's id and, for if=virtio, the device. */
typedef struct Drive {
    Object object;
    char *id, *serial;
    BlockNode *node;            /* NULL: no medium */
    int interface;              /* DRIVE_* */
    unsigned index, bus, unit;
    bool cdrom, writeback, in_use;
    BlockdevOnError werror, rerror;
} Drive;
enum { DRIVE_NONE, DRIVE_VIRTIO, DRIVE_IDE, DRIVE_SCSI, DRIVE_FLOPPY, DRIVE_PFLASH, DRIVE_MTD, DRIVE_SD };
Drive *drive_add_option(Vm *vm, const char *text, int default_interface, GError **error);
/* What a device's drive= names: a drive's id, or a node's name (then a Drive is made for it). */
Drive *drive_find(Vm *vm, const char *id_or_node);
/* The n-th drive of an interface, or NULL: boards wire them. */
Drive *drive_of_interface(Vm *vm, int interface, unsigned n);
/* -blockdev: options in keyval or JSON form. */
bool blockdev_add_option(Vm *vm, const char *text, GError **error);

#endif
