/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of core/memory. */
#ifndef CORE_MEMORY_INTERNAL_H
#define CORE_MEMORY_INTERNAL_H

#include <pthread.h>

#include "core/memory.h"

enum { PAGE_BITS = 12 };

typedef enum MemKind { MEM_CONTAINER, MEM_IO, MEM_RAM, MEM_ALIAS, MEM_IOMMU } MemKind;

typedef MemEventfd Eventfd;

typedef struct Eventfds {
    unsigned n;
    Eventfd e[];
} Eventfds;

struct MemRegion {
    Object object;
    char *name;
    MemKind kind;
    uint64_t size;
    bool enabled, readonly, coalesced;
    MemRegion *parent;
    uint64_t at;
    int priority;
    GPtrArray *children;        /* highest priority first; later ones before earlier ones */
    unsigned aliases;           /* that show this region */
    /* MEM_IO */
    const MemOps *ops;
    void *opaque;
    Device *dev;
    Eventfds *eventfds;         /* published */
    /* MEM_RAM */
    RamBlock *block;
    /* MEM_ALIAS */
    MemRegion *target;
    uint64_t offset;
    /* MEM_IOMMU */
    MemTranslation (*translate)(void *opaque, uint64_t addr, bool write);
};

struct RamBlock {
    char *id;
    uint8_t *host;
    uint64_t size, ram_offset, page_size;
    uint8_t *map;               /* what to unmap; NULL: not ours */
    uint64_t map_size;
    int fd;
    uint64_t fd_offset;
    bool share, readonly;
    /* A bit per page, made when first needed. DIRTY_CODE: 1 means code. Others: 1 means dirty. */
    unsigned long *bits[DIRTY_CLIENTS];
};

typedef struct BlockTable {
    unsigned n;
    RamBlock *b[];
} BlockTable;

typedef struct FlatRange {
    uint64_t first, last;       /* inclusive */
    MemRegion *region;
    uint64_t offset;            /* of `first` in the region */
    uint8_t *host;              /* of `first`; NULL: I/O */
    uint64_t ram_offset;
    bool readonly;
} FlatRange;

typedef struct FlatView {
    unsigned n;
    FlatRange r[];
} FlatView;

struct AddressSpace {
    Vm *vm;
    MemRegion *root;
    char *name;
    FlatView *view;             /* published */
};

struct RamMap {
    Vm *vm;
    pthread_mutex_t lock;       /* recursive: the memory map's, third in the order of locks */
    unsigned depth;             /* of transactions */
    bool changed;
    bool doorbells;             /* eventfds changed */
    GPtrArray *spaces;
    GArray *watchers;           /* Watcher */
    BlockTable *blocks;         /* published */
    uint64_t next;              /* free RAM number */
    unsigned generation;        /* atomic: grows with each change of a view */
    unsigned tracking;          /* bit per DirtyClient; atomic */
};

struct RamMap *ram_map_new(Vm *vm);
void ram_map_free(struct RamMap *map);
void map_lock(Vm *vm);
void map_unlock(Vm *vm);
void map_changed(Vm *vm);
void map_flush_tlbs(Vm *vm);

FlatView *flat_render(MemRegion *root);
bool flat_equal(const FlatView *a, const FlatView *b);
void flat_free(void *view);
const FlatRange *flat_find(const FlatView *v, uint64_t pa);

RamBlock *ram_block_new(Vm *vm, const char *id, uint64_t size, const RamConfig *cfg, GError **error);
RamBlock *ram_block_wrap(Vm *vm, const char *id, uint64_t size, void *host);
void ram_block_free(Vm *vm, RamBlock *b);
/* The first address behind a region of this size, minus one; a size of 2^64-1 covers everything. */
static inline uint64_t mem_last(const MemRegion *r)
{
    return r->size == UINT64_MAX ? UINT64_MAX : r->size - 1;
}

#endif
