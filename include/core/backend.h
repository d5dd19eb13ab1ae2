/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that the user makes (-object, object-add) and what devices and boards do with them. */
#ifndef CORE_BACKEND_H
#define CORE_BACKEND_H

#include "core/memory.h"
#include "util/loop.h"

/* memory-backend-ram, -file, -memfd: the region, which one user takes over (mem_add()); an error if
 * it has one already. Named by the backend's id. Control thread. */
MemRegion *memory_backend_take(Object *backend, GError **error);
void memory_backend_release(Object *backend);
bool memory_backend_taken(Object *backend);
/* host-nodes= as a set of bits (RAM_HOST_NODES); false: no such text. */
bool memory_host_nodes(const char *text, uint64_t *nodes);

/* iothread: its loop, which runs from the object's birth to its end. */
Loop *iothread_loop(Object *iothread);
int iothread_tid(Object *iothread);

/* rng-builtin, rng-random: calls fn on the machine's loop with 1 to n bytes as soon as there are
 * any. On the loop's thread; the request is the caller's and waits once at a time. */
typedef struct RngRequest {
    size_t n;
    void (*fn)(struct RngRequest *r, const void *data, size_t n);
    Object *rng;                /* while it waits */
} RngRequest;
void rng_request(Object *rng, RngRequest *r);
void rng_cancel(RngRequest *r);                     /* fn will not be called; the loop's thread */

/* secret: the bytes, with a zero behind; NULL with an error. The caller frees. */
char *secret_get(Vm *vm, const char *id, size_t *length, GError **error);

#endif
