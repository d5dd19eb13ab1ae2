/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of disks by NBD. It and its connections live on the control loop; requests go to each node's own.
 * Home: the control thread.
 */
#ifndef BLOCK_NBD_SERVER_H
#define BLOCK_NBD_SERVER_H

#include "block/block.h"

typedef struct NbdServer NbdServer;
typedef struct NbdExport NbdExport;

typedef struct NbdServerOptions {
    int listener;               /* a listening socket, taken over in any case */
    Object *creds;              /* for TLS; NULL: none. Borrowed */
    const char *authz;          /* who may enter; NULL: all */
    unsigned max_connections;   /* 0: no limit */
    void (*idle)(void *opaque); /* the last of the clients that had an export went; may be NULL */
    void *opaque;
} NbdServerOptions;
/* A machine has one at most. */
NbdServer *nbd_server_new(Vm *vm, const NbdServerOptions *options);
NbdServer *nbd_server_find(Vm *vm);
/* Ends all connections; waits for what is in flight. */
void nbd_server_free(NbdServer *s);

typedef struct NbdExportOptions {
    const char *id;             /* as an export of the machine, whose end is an event; NULL: none */
    const char *name, *description;     /* description may be NULL */
    bool writable;
    bool writethrough;          /* each write is on the disk before it is answered */
    uint64_t offset, size;      /* of a part; size 0: to the end */
} NbdExportOptions;
/* Uses the node; error if the server has that name already or the node cannot be used so. */
NbdExport *nbd_export_new(NbdServer *s, BlockNode *n, const NbdExportOptions *o, GError **error);
/* Ends its connections and the use of the node; waits. */
void nbd_export_free(NbdExport *e);
bool nbd_export_is_used(const NbdExport *e);
NbdExport *nbd_export_find(NbdServer *s, const char *name);
NbdExport *nbd_export_at(NbdServer *s, unsigned i);         /* NULL: no more */
const char *nbd_export_id(const NbdExport *e);
BlockNode *nbd_export_node(const NbdExport *e);

#endif
