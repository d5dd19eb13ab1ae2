/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream sockets between a guest and unix sockets of the host; private to hw/virtio. The transport
 * (virtio-vsock.c) moves packets, this part knows connections. Spec: virtio 1.2, 5.10.6; the host's
 * side is Firecracker's: a client says "CONNECT port\n" and is told "OK port\n"; what the guest
 * connects to by port N is the socket PATH_N. Home: the device's loop.
 */
#ifndef HW_VIRTIO_VSOCK_H
#define HW_VIRTIO_VSOCK_H

#include "hw/virtio/virtio.h"

enum { VSOCK_HEADER = 44, VSOCK_HOST = 2, VSOCK_STREAM = 1 };
enum {
    VSOCK_REQUEST = 1, VSOCK_RESPONSE, VSOCK_RST, VSOCK_SHUTDOWN, VSOCK_RW, VSOCK_CREDIT_UPDATE,
    VSOCK_CREDIT_REQUEST,
    VSOCK_NO_RECEIVE = 1, VSOCK_NO_SEND = 2,    /* flags of SHUTDOWN */
};

/* As on the wire, little-endian there; the functions here give and take host order. */
typedef struct __attribute__((packed)) VsockHeader {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, len;
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
} VsockHeader;

typedef struct Vsock Vsock;

/* `ready` is called when a packet waits for the guest. */
Vsock *vsock_new(Loop *loop, const char *path, uint64_t guest_cid, void (*ready)(void *opaque), void *opaque,
                 GError **error);
/* Ends all connections; the listening socket's file is removed. */
void vsock_free(Vsock *s);
/* Lets clients in (or not), which wait in the listening socket's queue otherwise. */
void vsock_listen(Vsock *s, bool on);
/* All connections end without a word to the guest. */
void vsock_reset(Vsock *s);
/* A packet from the guest; `iov` holds its header->len bytes of data. */
void vsock_from_guest(Vsock *s, const VsockHeader *header, const struct iovec *iov, unsigned n);
/* Too much waits for the guest: take no more from it until some of that is gone. */
bool vsock_full(const Vsock *s);
/* Fills a buffer for the guest; returns the bytes of it, 0: nothing waits (any more). */
size_t vsock_to_guest(Vsock *s, const struct iovec *in, unsigned n);
bool vsock_waiting(const Vsock *s);
unsigned vsock_connections(const Vsock *s);

#endif
