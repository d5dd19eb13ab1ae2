/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host kernel's vhost: what one says to /dev/vhost-net and /dev/vhost-vsock. Spec: Linux
 * include/uapi/linux/vhost.h, which cannot stand beside virtio headers of our own. All functions may be
 * called on any thread; errors name the step that failed.
 */
#ifndef UTIL_VHOST_FD_H
#define UTIL_VHOST_FD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* (VHOST_NET_F_VIRTIO_NET_HDR) The kernel adds and removes the packets' headers itself. */
#define VHOST_FD_NET_HEADER (1ull << 27)

/* A piece of this process's memory, by the numbers that descriptors in rings use. */
typedef struct VhostFdRegion {
    uint64_t at, size, host;
} VhostFdRegion;

/* A ring in this process's memory, from its beginning; eventfds. */
typedef struct VhostFdRing {
    unsigned index, size;
    const void *desc, *avail, *used;
    int kick, call, err;
} VhostFdRing;

/* Makes the open device ours and asks what it can; an error if `fd` is no vhost device, or another's. */
bool vhost_fd_own(int fd, uint64_t *features, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vhost_fd_set_features(int fd, uint64_t features, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Replaces all memory, also while rings run. */
bool vhost_fd_set_memory(int fd, const VhostFdRegion *region, unsigned n, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vhost_fd_start_ring(int fd, const VhostFdRing *ring, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* (VHOST_GET_VRING_BASE) */
bool vhost_fd_stop_ring(int fd, unsigned index, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* How long the kernel looks for packets before it sleeps, in microseconds. */
bool vhost_fd_poll(int fd, unsigned index, unsigned us, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The tap interface behind a ring; -1: none. Returns when the ring is touched no more. */
bool vhost_fd_net_backend(int fd, unsigned index, int tap, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vhost_fd_vsock_cid(int fd, uint64_t cid, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vhost_fd_vsock_run(int fd, bool on, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
