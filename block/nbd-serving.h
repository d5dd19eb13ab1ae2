/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the NBD server share. */
#ifndef BLOCK_NBD_SERVING_H
#define BLOCK_NBD_SERVING_H

#include "block/fiber-lock.h"
#include "block/nbd-server.h"
#include "crypto/wire.h"

enum { NBD_ALLOCATION = 1 };    /* the number of base:allocation, of our choice */

typedef struct Client Client;

struct NbdExport {
    NbdServer *server;
    BlockNode *node;
    char *id, *name, *description, *user;
    bool writable, writethrough;
    uint64_t offset, size;
};

struct NbdServer {
    Object object;
    Vm *vm;
    int listener;
    LoopFd *watch;
    Object *creds;
    char *authz;
    unsigned max_connections;
    void (*idle)(void *opaque);
    void *opaque;
    GPtrArray *exports, *clients;
};

struct Client {
    NbdServer *server;
    Wire *wire;
    LoopFd *watch;
    Fiber *reader, *writer;     /* what waits for the socket */
    FiberLock sending;
    FiberQueue room;            /* the reader, until requests are done */
    NbdExport *export;
    unsigned in_flight, timer;
    bool secure, no_zeroes, structured, closing;
    char *meta;                 /* the export whose allocation it may ask for */
    bool has_meta;
};

/* In the client's fibers: all or false, when the connection ends. */
bool nbd_read_all(Client *c, void *to, size_t n);
bool nbd_write_all(Client *c, const void *from, size_t n);
bool nbd_skip(Client *c, uint64_t n);
void nbd_wait_for(Client *c, bool writing);
/* Until the client has chosen an export; false: it ends. */
bool nbd_negotiate(Client *c);
uint64_t nbd_export_size(const NbdExport *e);

#endif
