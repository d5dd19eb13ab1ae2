/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-physical memory: regions form trees; an address space is a tree rendered flat.
 *
 * The flat view is an immutable snapshot: a change (control thread, inside
 * mem_transaction_begin/commit) publishes a new one; readers on any thread never lock (util/rcu.h).
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "core/object.h"

typedef struct MemRegion MemRegion;
typedef struct AddressSpace AddressSpace;
typedef struct RamBlock RamBlock;
typedef struct Device Device;

/* Access functions of I/O regions; offset relative to the region, size 1, 2, 4 or 8, value in host
 * order. Called under the owner's domain lock. */
typedef struct MemOps {
    uint64_t (*read)(void *opaque, uint64_t at, unsigned size);
    void (*write)(void *opaque, uint64_t at, uint64_t value, unsigned size);
    uint8_t min_access, max_access;     /* what the functions want: others are split or widened */
    bool big_endian;
    bool no_lock;                       /* functions are thread-safe by themselves */
} MemOps;

enum { RAM_HOST_NODES = 128 };
typedef struct RamConfig {
    const char *path;           /* file or hugetlbfs directory; NULL: anonymous */
    int fd;                     /* memfd or passed descriptor, -1 none (0 in a zeroed struct: none too) */
    bool memfd, share, prealloc, readonly, dump, merge;
    bool no_reserve;            /* take no swap space for it in advance */
    bool seal;                  /* a memfd's size is fixed for all who have its descriptor */
    uint64_t page_size;         /* hugepages: 2 MiB, 1 GiB; 0 default */
    uint64_t align, offset;
    unsigned prealloc_threads;
    int policy;                 /* of the host's NUMA nodes: 0 default, 1 preferred, 2 bind, 3 interleave */
    uint64_t host_nodes[RAM_HOST_NODES / 64];   /* that it speaks of; a bit each */
} RamConfig;

MemRegion *mem_container(Object *owner, const char *name, uint64_t size);
MemRegion *mem_io(Object *owner, const char *name, uint64_t size, const MemOps *ops, void *opaque, Device *domain_of);
/* RAM with a block id ("pc.ram"); contents zero. */
MemRegion *mem_ram(Object *owner, const char *name, uint64_t size, const RamConfig *cfg, GError **error);
MemRegion *mem_rom(Object *owner, const char *name, uint64_t size, GError **error);   /* guest cannot write */
/* ROM whose reads are direct and whose writes are `ops`': flash memory in its read mode. */
MemRegion *mem_rom_device(Object *owner, const char *name, uint64_t size, const MemOps *ops, void *opaque,
                          Device *domain_of, GError **error);
bool mem_takes_writes(const MemRegion *r);          /* a region of that kind */
/* RAM over memory that somebody else owns and that outlives the region (a card's video memory, a
 * mapped window of a host device). */
MemRegion *mem_ram_ptr(Object *owner, const char *name, uint64_t size, void *host);
MemRegion *mem_alias(Object *owner, const char *name, MemRegion *target, uint64_t offset, uint64_t size);
/* All translate through fn: an IOMMU. */
typedef struct MemTranslation { uint64_t pa; uint64_t mask; bool read, write; AddressSpace *target; } MemTranslation;
MemRegion *mem_iommu(Object *owner, const char *name, uint64_t size,
                     MemTranslation (*fn)(void *opaque, uint64_t addr, bool write), void *opaque);

void mem_add(MemRegion *parent, uint64_t at, MemRegion *child, int priority);
void mem_remove(MemRegion *child);
void mem_set_enabled(MemRegion *r, bool on);
void mem_set_address(MemRegion *child, uint64_t at);
/* Which part of its target an alias shows, and where that stands in its parent, at once. */
void mem_set_alias(MemRegion *alias, uint64_t at, uint64_t offset, uint64_t size);
void mem_set_readonly(MemRegion *r, bool ro);
bool mem_is_readonly(const MemRegion *r);
/* Stores to the region may be gathered by an accelerator: they arrive later, in order, before anything
 * else of that CPU does. For windows whose stores have no effect that anybody waits for. */
void mem_set_coalesced(MemRegion *io, bool on);
bool mem_is_coalesced(const MemRegion *r);
uint64_t mem_size(const MemRegion *r);
void *mem_host(MemRegion *ram);                     /* host pointer of RAM/ROM */
const char *mem_name(const MemRegion *r);
void mem_transaction_begin(Vm *vm);
void mem_transaction_commit(Vm *vm);

/* Eventfd on a store of a matching value (doorbells): iothreads get kicked without the vCPU. */
void mem_add_eventfd(MemRegion *io, uint64_t at, unsigned size, bool match, uint64_t value, int fd);
void mem_del_eventfd(MemRegion *io, uint64_t at, unsigned size, bool match, uint64_t value, int fd);

typedef struct MemEventfd {
    uint64_t at, value;         /* offset in the region */
    unsigned size;              /* of the access; 0: any */
    bool match;                 /* only stores of `value` */
    int fd;
} MemEventfd;
/* The region's, for accelerators that serve them; mem_on_change() tells of changes. */
void mem_foreach_eventfd(MemRegion *r, void (*fn)(const MemEventfd *e, void *data), void *data);

AddressSpace *address_space_new(Vm *vm, MemRegion *root, const char *name);
void address_space_free(AddressSpace *as);
MemRegion *address_space_root(AddressSpace *as);

/* Any length and alignment; false when part of it is not backed (reads give 0/ff there as the bus
 * does). as_load/as_store: one access of size 1-8, host order. */
bool as_read(AddressSpace *as, uint64_t pa, void *buf, uint64_t n);
bool as_write(AddressSpace *as, uint64_t pa, const void *buf, uint64_t n);
bool as_load(AddressSpace *as, uint64_t pa, unsigned size, uint64_t *value);
bool as_store(AddressSpace *as, uint64_t pa, unsigned size, uint64_t value);
/* Writes into ROM, too: loaders, debugger. */
bool as_write_rom(AddressSpace *as, uint64_t pa, const void *buf, uint64_t n);
/* Direct pointer to RAM at pa; *n in: wanted, out: contiguous bytes. NULL when not RAM. After
 * writing through it call as_dirty(). Valid while the caller is within rcu_read (vCPUs and loops
 * always are) or holds as_map()'s reference. */
void *as_ram(AddressSpace *as, uint64_t pa, uint64_t *n, bool write);
void as_dirty(AddressSpace *as, uint64_t pa, uint64_t n);
/* The same for a host pointer into RAM, for those who mapped long ago. */
void mem_host_dirty(Vm *vm, const void *host, uint64_t n);

/* For the software MMU: what stands at pa. */
typedef struct MemSection {
    MemRegion *region;          /* NULL: nothing there */
    uint64_t offset;            /* in the region */
    uint64_t left;              /* bytes to the end of the section */
    uint8_t *host;              /* RAM or ROM: host pointer; NULL: I/O */
    uint64_t ram_offset;        /* of host in the machine's RAM numbering, for dirty/code tracking */
    bool readonly;
} MemSection;
MemSection as_find(AddressSpace *as, uint64_t pa);
/* All sections in the order of their addresses, with `left` their whole lengths (0: 2^64). In an RCU
 * section; fn must not change the map. */
void as_foreach(AddressSpace *as, void (*fn)(uint64_t pa, const MemSection *s, void *data), void *data);
/* One I/O access. Takes the domain's lock. From inside device code: a write to another device's
 * registers in a domain that is not further in is posted to the machine's loop (DMA must not
 * nest); such a read works within the same domain only and else gives all ones. */
uint64_t mem_io_read(MemRegion *r, uint64_t at, unsigned size);
void mem_io_write(MemRegion *r, uint64_t at, uint64_t value, unsigned size);

/* Dirty tracking per client on the machine's RAM numbering (4 KiB pages). */
typedef enum DirtyClient { DIRTY_VGA, DIRTY_CODE, DIRTY_MIGRATION, DIRTY_CLIENTS } DirtyClient;
void dirty_set(Vm *vm, uint64_t ram_offset, uint64_t n);
bool dirty_test(Vm *vm, DirtyClient c, uint64_t ram_offset);
/* Copies and clears the bits of [ram_offset, +n); tlbs are flushed for stores. */
bool dirty_fetch_clear(Vm *vm, DirtyClient c, uint64_t ram_offset, uint64_t n, unsigned long *bits);
void dirty_track(Vm *vm, DirtyClient c, bool on);
/* True if any client still wants to hear about stores to the page (the TLB makes it slow). */
bool dirty_wanted(Vm *vm, uint64_t ram_offset);
/* Pages that hold translated code: a bit of DIRTY_CODE is "dirty" while the page holds none, so
 * dirty_wanted() is true for code pages, and writes by as_write(), as_dirty() and as_store() reach the
 * accelerator's code_written(). dirty_set() leaves the mark alone. Any thread. */
void dirty_code_mark(Vm *vm, uint64_t ram_offset, bool has_code);
/* What as_dirty() does, by RAM number: DMA or a debugger wrote. */
void ram_written(Vm *vm, uint64_t ram_offset, uint64_t n);
/* ram_offset to host and block. */
RamBlock *ram_block_of(Vm *vm, uint64_t ram_offset, uint8_t **host);
/* All blocks, in the order of their numbers. Control thread. */
typedef struct RamInfo {
    const char *id;
    uint8_t *host;
    uint64_t ram_offset, size, page_size;
    int fd;                     /* -1: anonymous */
    uint64_t fd_offset;
    bool share, readonly;
} RamInfo;
void ram_foreach(Vm *vm, void (*fn)(const RamInfo *block, void *data), void *data);
/* Gives pages of RAM back to the host: they read as zeros. False: the host does not take them. */
bool mem_discard(Vm *vm, const MemRegion *ram, uint64_t at, uint64_t n);
/* Everything that was stored is in the file behind it. Blocks. */
bool mem_sync(const MemRegion *ram);
uint64_t mem_ram_offset(const MemRegion *ram);      /* its first byte in the machine's numbering */
bool mem_is_ram(const MemRegion *r);
bool mem_is_mapped(const MemRegion *r);             /* has a parent */
uint64_t mem_address(const MemRegion *r);           /* in its parent */
/* Called after each change of an address space of the machine, on the thread that made it. */
void mem_on_change(Vm *vm, void (*fn)(Vm *vm, void *data), void *data);
/* Grows with each change of an address space, and when an IOMMU calls mem_remapped(): who keeps pointers
 * from as_ram() looks them up again then. Any thread. */
unsigned mem_generation(Vm *vm);
void mem_remapped(Vm *vm);
void mem_info_mtree(Vm *vm, GString *out, bool flat);

#endif
