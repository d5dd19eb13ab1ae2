/* SPDX-License-Identifier: Apache-2.0 */
/* The host kernel's vhost, step by step (vhost-fd.h). */
#include <errno.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/ioctl.h>
#include "util/error.h"
#include "util/vhost-fd.h"

static bool call(int fd, unsigned long request, const void *argument, const char *what, GError **error)
{
    int result;
    while ((result = ioctl(fd, request, argument)) < 0 && errno == EINTR)
        ;
    return result >= 0 || error_set_errno(error, errno, "vhost: %s", what);
}

bool vhost_fd_own(int fd, uint64_t *features, GError **error)
{
    uint64_t can = 0;
    if (!call(fd, VHOST_GET_FEATURES, &can, "the descriptor is no vhost device", error) ||
        !call(fd, VHOST_SET_OWNER, NULL, "the device has an owner already", error))
        return false;
    *features = can;
    return true;
}

bool vhost_fd_set_features(int fd, uint64_t features, GError **error)
{
    return call(fd, VHOST_SET_FEATURES, &features, "features", error);
}

bool vhost_fd_set_memory(int fd, const VhostFdRegion *region, unsigned n, GError **error)
{
    g_autofree struct vhost_memory *m = g_malloc0(sizeof(*m) + n * sizeof(m->regions[0]));
    m->nregions = n;
    for (unsigned i = 0; i < n; i++)
        m->regions[i] = (struct vhost_memory_region){.guest_phys_addr = region[i].at, .memory_size = region[i].size,
                                                     .userspace_addr = region[i].host};
    return call(fd, VHOST_SET_MEM_TABLE, m, "memory", error);
}

bool vhost_fd_start_ring(int fd, const VhostFdRing *r, GError **error)
{
    struct vhost_vring_state num = {r->index, r->size}, base = {r->index, 0};
    struct vhost_vring_addr addr = {.index = r->index, .desc_user_addr = (uintptr_t)r->desc,
                                    .used_user_addr = (uintptr_t)r->used, .avail_user_addr = (uintptr_t)r->avail};
    struct vhost_vring_file kick = {r->index, r->kick}, called = {r->index, r->call}, err = {r->index, r->err};
    return call(fd, VHOST_SET_VRING_NUM, &num, "size of a ring", error) &&
           call(fd, VHOST_SET_VRING_BASE, &base, "position in a ring", error) &&
           call(fd, VHOST_SET_VRING_ADDR, &addr, "addresses of a ring", error) &&
           call(fd, VHOST_SET_VRING_CALL, &called, "a ring's interrupt", error) &&
           call(fd, VHOST_SET_VRING_ERR, &err, "a ring's errors", error) &&
           call(fd, VHOST_SET_VRING_KICK, &kick, "a ring's doorbell", error);
}

bool vhost_fd_stop_ring(int fd, unsigned index, GError **error)
{
    struct vhost_vring_state base = {index, 0};
    return call(fd, VHOST_GET_VRING_BASE, &base, "stopping a ring", error);
}

bool vhost_fd_poll(int fd, unsigned index, unsigned us, GError **error)
{
    struct vhost_vring_state s = {index, us};
    return call(fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &s, "poll-us", error);
}

bool vhost_fd_net_backend(int fd, unsigned index, int tap, GError **error)
{
    struct vhost_vring_file f = {index, tap};
    return call(fd, VHOST_NET_SET_BACKEND, &f, "the interface behind a ring", error);
}

bool vhost_fd_vsock_cid(int fd, uint64_t cid, GError **error)
{
    return call(fd, VHOST_VSOCK_SET_GUEST_CID, &cid, "the guest's address", error);
}

bool vhost_fd_vsock_run(int fd, bool on, GError **error)
{
    int value = on;
    return call(fd, VHOST_VSOCK_SET_RUNNING, &value, on ? "starting the device" : "stopping the device", error);
}
