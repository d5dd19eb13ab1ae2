/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of core/device, and for core's dispatchers. */
#ifndef CORE_DEVICE_INTERNAL_H
#define CORE_DEVICE_INTERNAL_H

#include "core/device.h"

/* ---- what a type and its ancestors add up to; made once per Vm and type ---- */
enum { NO_REG = UINT16_MAX, MAX_CHAIN = 8 };

typedef struct DeviceClass {
    const DeviceType *type;
    const DeviceType *chain[MAX_CHAIN];     /* ancestor first; only types entered as devices */
    unsigned n_chain;
    uint64_t window;
    MemOps ops;
    const Reg **regs;           /* all rows, the ancestor's first */
    unsigned n_regs;
    unsigned granule_bits;      /* log2 of the distance between index entries */
    uint64_t index_size;
    uint16_t *read_index, *write_index;     /* window offset >> granule_bits to row, or NO_REG */
    uint64_t (*read)(Device *, uint64_t at, unsigned size);
    void (*write)(Device *, uint64_t at, uint64_t value, unsigned size);
    void (*pin)(Device *, uint32_t n, bool level);
    bool big_endian, own_domain, intc_domain, no_domain;
    const char *bus;
} DeviceClass;

bool device_state_drop(const Field *f, void *device);   /* state.c: frees a BYTES member */
bool device_boot_index_check(Device *d, GError **error);        /* boot.c: nobody else has it */
const DeviceClass *device_class(Vm *vm, const DeviceType *type);
void device_class_index(DeviceClass *c);        /* regs.c: fills the index */
void device_class_free(void *cls);

/* ---- domains ---- */
typedef enum DomainRank { RANK_DEVICE, RANK_INTC } DomainRank;
typedef enum DomainResult { DOMAIN_ENTERED, DOMAIN_WOULD_NEST, DOMAIN_GONE } DomainResult;

struct Domains *domains_new(void);
void domains_free(struct Domains *d);
struct Domain *domain_new(DomainRank rank);
void domain_free(struct Domain *d);
struct Domain *domain_of_machine(struct Domains *d);
struct Domain *domain_of_intc(struct Domains *d);
/* For a register access that may come from another device's code. */
DomainResult domain_enter(Device *d, bool write);
void domain_leave(Device *d);
void domain_lock(struct Domain *d);
bool domain_trylock(struct Domain *d);
void domain_unlock(struct Domain *d);
/* Whether the thread is in a domain of this rank or further in. */
bool domain_held(DomainRank rank);

/* ---- state.c ---- */
void device_reset_regs(Device *d);

#endif
