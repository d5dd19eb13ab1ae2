/* SPDX-License-Identifier: Apache-2.0 */
/* For block drivers (docs/howto-block-driver.md). */
#ifndef BLOCK_INTERNAL_H
#define BLOCK_INTERNAL_H

#include "block/block.h"
#include "util/error.h"
#include "util/fiber.h"

/* What a driver is asked to do; the buffers cover exactly [offset, offset + bytes). */
typedef struct BlockIo {
    uint64_t offset, bytes;
    const struct iovec *iov;
    unsigned n_iov, flags;
} BlockIo;

/* Functions return 0 or a positive errno. Those for I/O run in fibers on the node's loop. */
struct BlockDriver {
    const char *name;
    BlockdevDriver id;
    size_t size;                /* of the driver's struct, which begins with BlockNode */
    bool protocol;              /* reaches storage itself */
    bool (*open)(BlockNode *n, const BlockdevOptions *options, GError **error);
    void (*close)(BlockNode *n);
    int (*read)(BlockNode *n, const BlockIo *io);
    int (*write)(BlockNode *n, const BlockIo *io);
    int (*flush)(BlockNode *n);                         /* NULL: the child's */
    int (*discard)(BlockNode *n, uint64_t offset, uint64_t bytes);
    int (*write_zeroes)(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags);
    void (*plug)(BlockNode *n, bool on);                /* NULL: the child's */
};
#define BLOCK_DRIVER(d)                                                                             \
    const BlockDriver *const d##_entry __attribute__((used, retain, section("myna_block_drivers"))) = &d

struct BlockNode {
    const BlockDriver *driver;
    Vm *vm;
    Loop *loop;
    char *name;
    char *filename;
    BlockNode *file;            /* child */
    bool own_file;              /* made inline, closed with this node */
    uint64_t size;
    unsigned align;             /* of offsets, lengths and memory that the driver wants; 1: none */
    bool read_only, can_discard, discard, no_flush, direct, detect_zeroes, unmap_zeroes;
    Device *user;
    BlockNode *parent;
    unsigned in_flight;
    uint64_t ops[BLOCK_OPS], bytes[BLOCK_OPS], failed[BLOCK_OPS];
};

/* Inside fibers: requests to a child. */
int block_read(BlockNode *n, const BlockIo *io);
int block_write(BlockNode *n, const BlockIo *io);
int block_flush(BlockNode *n);
int block_discard(BlockNode *n, uint64_t offset, uint64_t bytes);
int block_write_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags);
void block_io_fill(const BlockIo *io, int byte);

#endif
