/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 images, versions 2 and 3. Spec: docs/interop/qcow2 of QEMU ("The qcow2 format").
 *
 * Order of writes. What is written must be counted before it is referred to, and no longer be referred
 * to before its count falls. Both follow from one rule: tables are changed in memory only and go out in
 * qcow2_write_tables(): first reference counts, then (after a sync) mapping tables as they were when it
 * began. Counts never fall directly: what is let go is put on a list and takes effect after the next
 * such flush, when no request that could have seen it is under way. A crash so leaks clusters at worst.
 *
 * Locks, in this order: `flow` (shared by all requests; exclusive while counts fall), `meta` (whoever
 * allocates or changes tables), `tables` (one flush at a time). Looking up takes none of the last two.
 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H

#include "block/internal.h"

enum {
    HEADER_V2 = 72, HEADER_V3 = 104, HEADER_MINE = 112, MAX_BACKING = 1023, SECTOR = 512,
    MAX_L1_BYTES = 32 << 20, MAX_REFTABLE_BYTES = 8 << 20, MAX_SNAPSHOTS = 65536,
    MAX_SNAPSHOT_BYTES = 64 << 20,
};
/* Places of header fields. */
enum {
    AT_VERSION = 4, AT_BACKING_OFFSET = 8, AT_BACKING_SIZE = 16, AT_CLUSTER_BITS = 20, AT_SIZE = 24,
    AT_CRYPT = 32, AT_L1_SIZE = 36, AT_L1_OFFSET = 40, AT_REFTABLE_OFFSET = 48, AT_REFTABLE_CLUSTERS = 56,
    AT_N_SNAPSHOTS = 60, AT_SNAPSHOTS_OFFSET = 64, AT_INCOMPATIBLE = 72, AT_COMPATIBLE = 80,
    AT_AUTOCLEAR = 88, AT_REFCOUNT_ORDER = 96, AT_HEADER_LENGTH = 100, AT_COMPRESSION = 104,
};
#define QCOW2_MAGIC 0x514649fbu
#define INCOMPAT_DIRTY (1ull << 0)
#define INCOMPAT_CORRUPT (1ull << 1)
#define INCOMPAT_DATA_FILE (1ull << 2)
#define INCOMPAT_COMPRESSION (1ull << 3)
#define INCOMPAT_EXTENDED_L2 (1ull << 4)
#define COMPAT_LAZY (1ull << 0)
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_FEATURES 0x6803f857u
#define EXT_CRYPTO 0x0537be77u
#define EXT_BITMAPS 0x23852875u
#define EXT_DATA_FILE 0x44415441u

#define COPIED (1ull << 63)
#define COMPRESSED (1ull << 62)
#define ZERO 1ull
#define OFFSET_MASK 0x00fffffffffffe00ull

/* Part of a table in memory, in the file's byte order. */
typedef struct Slice {
    uint64_t offset;            /* in the file */
    unsigned pins;
    bool dirty, loading;
    FiberQueue waiting;
    int error;
    struct Slice *newer, *older;
    uint64_t data[];
} Slice;

typedef struct TableCache {
    GHashTable *by_offset;
    Slice *newest, *oldest;
    unsigned n, max, dirty;
} TableCache;

typedef struct Extension {
    uint32_t type, size;
    uint8_t *data;
} Extension;

typedef struct Snapshot {
    uint64_t l1_offset, vm_state, disk_size, clock_ns, icount;
    uint32_t l1_size, date_sec, date_nsec;
    char *id, *name;
    uint8_t *extra;             /* as it stands in the file */
    uint32_t extra_size;
} Snapshot;

/* Guest clusters that are getting their place. */
typedef struct Allocation {
    uint64_t start, end;
    FiberQueue waiting;
} Allocation;

typedef struct Freed {
    uint64_t offset, bytes;     /* of host clusters whose count falls by one */
} Freed;

typedef struct Qcow2 {
    BlockNode node;
    unsigned version, cluster_bits, l2_bits, refcount_order, entry_words, subclusters, sub_bits;
    unsigned compression;       /* 0 zlib, 1 zstd */
    uint32_t header_length;
    uint64_t cluster;
    uint64_t incompatible, compatible, autoclear;
    char *backing_name, *backing_format, *data_file;
    GArray *extensions;         /* Extension: those that only need to be kept */
    uint64_t l1_offset, *l1;    /* the entries in the host's order */
    uint32_t l1_size;
    uint8_t *l1_dirty;          /* per sector */
    unsigned n_l1_dirty;
    uint64_t reftable_offset, *reftable;
    uint32_t reftable_clusters, reftable_size;
    uint64_t snapshots_offset, snapshots_bytes;
    uint32_t n_snapshots;
    Snapshot *snapshots;
    unsigned slice_bytes;
    TableCache l2, blocks;      /* mapping tables; reference counts */
    FiberLock flow, meta, tables;
    GPtrArray *allocations;
    GArray *freed;              /* Freed, until the next flush */
    uint64_t first_free;        /* no cluster before it is free */
    uint64_t pack_at;           /* where the next compressed cluster goes; 0: nowhere yet */
    uint64_t unpacked_at;       /* entry of the compressed cluster in `unpacked`; 0: none */
    uint8_t *unpacked;
    bool discard_down, no_checks, damaged;
    bool discard_snapshots;     /* what snapshots let go is discarded below */
    bool snapshot_view;         /* l1 is a snapshot's: read only */
    bool all_zero;              /* what nobody uses in the file is zeroes: it was just made */
} Qcow2;

static inline uint64_t be64(uint64_t v) { return GUINT64_FROM_BE(v); }
static inline uint64_t clusters_of(const Qcow2 *s, uint64_t bytes) { return (bytes + s->cluster - 1) >> s->cluster_bits; }
static inline uint64_t l2_entries(const Qcow2 *s) { return 1ull << s->l2_bits; }
static inline uint64_t l2_reach(const Qcow2 *s) { return s->cluster << s->l2_bits; }
static inline uint64_t counts_per_block(const Qcow2 *s) { return s->cluster * 8 >> s->refcount_order; }

/* cache.c. A slice stays while it is pinned. */
void cache_init(TableCache *c, uint64_t bytes, unsigned slice_bytes);
void cache_finish(TableCache *c);
int cache_get(Qcow2 *s, TableCache *c, uint64_t offset, Slice **slice);
/* Without reading it: for tables that are new. */
Slice *cache_fresh(Qcow2 *s, TableCache *c, uint64_t offset);
void cache_put(Slice *slice);
void cache_dirty(TableCache *c, Slice *slice);
void cache_forget(Qcow2 *s, TableCache *c, uint64_t offset, uint64_t bytes);
/* Writes changed tables; sync: and waits until they and all data are safe. */
int qcow2_write_tables(Qcow2 *s, bool sync);

/* refcount.c; meta is held. */
int refcount_get(Qcow2 *s, uint64_t cluster, uint64_t *count);
int refcount_add(Qcow2 *s, uint64_t cluster, int delta);
/* Sets a count outright, for repairs. */
int refcount_set(Qcow2 *s, uint64_t cluster, uint64_t count);
uint64_t refcount_max(const Qcow2 *s);
/* Contiguous clusters, counted once; takes fewer than wanted if *n allows (at least 1). */
int qcow2_alloc(Qcow2 *s, uint64_t *n, bool exactly, uint64_t *offset);
/* Room for compressed data, perhaps in clusters that are shared. */
int qcow2_alloc_bytes(Qcow2 *s, uint64_t bytes, uint64_t *offset);
/* Later, see above. */
void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t bytes);
/* At once: what referred to it is safely gone from the file. */
int qcow2_let_go(Qcow2 *s, uint64_t offset, uint64_t bytes);
/* Flushes, then lets counts fall. No lock is held. */
int qcow2_settle(Qcow2 *s);
uint64_t block_count_get(const Qcow2 *s, const void *block, uint64_t index);
void block_count_set(const Qcow2 *s, void *block, uint64_t index, uint64_t value);

/* map.c */
typedef enum RunKind { RUN_UNALLOCATED, RUN_ZERO, RUN_DATA, RUN_COMPRESSED } RunKind;
typedef struct Run {
    RunKind kind;
    uint64_t bytes;
    uint64_t host;              /* where it is in the file; ZERO: its place or 0; COMPRESSED: the entry */
    bool copied;                /* counted once: may be overwritten */
} Run;
int qcow2_lookup(Qcow2 *s, uint64_t offset, uint64_t bytes, Run *run);
/* The slice with the entry of a guest offset, for changing; makes the table. meta is held. */
int qcow2_entry_slice(Qcow2 *s, uint64_t offset, Slice **slice, unsigned *index);
/* Clusters of a compressed entry. */
void qcow2_compressed_range(const Qcow2 *s, uint64_t entry, uint64_t *offset, uint64_t *bytes);
void qcow2_free_entry(Qcow2 *s, uint64_t entry);
int qcow2_damaged(Qcow2 *s, uint64_t offset, const char *what);
bool qcow2_overlaps(const Qcow2 *s, uint64_t offset, uint64_t bytes);
/* Cluster's state as an L2 entry and bitmap. */
typedef struct Entry {
    uint64_t word, bitmap;
} Entry;
Entry entry_get(const Qcow2 *s, const Slice *slice, unsigned index);
void entry_set(Qcow2 *s, Slice *slice, unsigned index, Entry e);
#define ALL_ALLOCATED 0x00000000ffffffffull
#define ALL_ZERO 0xffffffff00000000ull

/* io.c */
int qcow2_read(BlockNode *n, const BlockIo *io);
int qcow2_write(BlockNode *n, const BlockIo *io);
int qcow2_flush(BlockNode *n);
int qcow2_discard(BlockNode *n, uint64_t offset, uint64_t bytes);
int qcow2_write_zeroes(BlockNode *n, uint64_t offset, uint64_t bytes, unsigned flags);
int qcow2_write_compressed(BlockNode *n, const BlockIo *io);
int qcow2_map(BlockNode *n, uint64_t offset, uint64_t bytes, BlockExtent *e);
/* Before the first change of anything; EIO for a corrupt image. */
int qcow2_begin_writing(Qcow2 *s);
/* Gives all guest clusters of the range a place. */
int qcow2_preallocate(Qcow2 *s, uint64_t from, uint64_t to);

/* compress.c */
int qcow2_unpack(Qcow2 *s, uint64_t entry, uint8_t *out);
/* Returns the packed size, 0 if that saves nothing. */
size_t qcow2_pack(Qcow2 *s, const uint8_t *in, uint8_t *out, size_t room);

/* header.c */
bool qcow2_read_header(Qcow2 *s, GError **error);
/* The whole first cluster again. */
int qcow2_write_header(Qcow2 *s);
int qcow2_put32(Qcow2 *s, unsigned at, uint32_t value);
int qcow2_put64(Qcow2 *s, unsigned at, uint64_t value);
/* A size with the top table that covers it, at once. */
int qcow2_put_l1(Qcow2 *s, uint64_t size, uint32_t entries, uint64_t offset);
uint8_t *qcow2_make_header(const Qcow2 *s);

/* snapshot-table.c */
bool qcow2_read_snapshots(Qcow2 *s, GError **error);
void qcow2_free_snapshot(Snapshot *t);
void qcow2_free_snapshots(Qcow2 *s);
void qcow2_list_snapshots(Qcow2 *s, ImageInfo *info);
/* Writes the table elsewhere and makes it the image's; then the list is the image's, whatever is returned.
 * *used: the file may lead to that table; if not, nothing has changed. */
int qcow2_write_snapshots(Qcow2 *s, Snapshot *list, uint32_t n, bool *used);

/* snapshot.c */
bool qcow2_snapshot(BlockNode *n, BlockSnapshotOp op, const SnapshotInfo *what, GError **error);

/* resize.c */
bool qcow2_resize(BlockNode *n, uint64_t size, PreallocMode prealloc, GError **error);

/* create.c */
bool qcow2_create(Vm *vm, const BlockdevCreateOptions *options, GError **error);
/* Sizes of an image: all metadata for that many bytes. */
uint64_t qcow2_metadata_bytes(uint64_t size, uint64_t cluster, unsigned refcount_order, bool extended);

/* check.c */
bool qcow2_check(BlockNode *n, BlockCheck *result, unsigned fix, GError **error);
/* An image that was not closed: counts are set right before it is written to. */
bool qcow2_repair(Qcow2 *s, GError **error);

#endif
