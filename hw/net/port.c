/* SPDX-License-Identifier: Apache-2.0 */
/* Cards with registers on their cables: see port.h. */
#include "hw/net/port.h"
#include "core/vm.h"
#include "util/log.h"

static NicPort *port_of(NetClient *c) { return (NicPort *)((char *)c - offsetof(NicPort, nic)); }

static bool receive(NetClient *c, const struct iovec *iov, unsigned n)
{
    NicPort *p = port_of(c);
    const uint8_t *frame;
    size_t bytes = net_linear(iov, n, &frame, p->linear);
    device_lock(p->dev);
    bool running = vm_is_running(c->vm);
    bool taken = running && (bytes < 14 || p->ops->receive(p->dev, frame, bytes));
    if (!running)
        nic_port_kick(p);       /* virtual time goes on when the machine does */
    device_unlock(p->dev);
    return taken;
}

static void resume(NetClient *c)
{
    NicPort *p = port_of(c);
    device_lock(p->dev);
    p->waits = false;
    nic_port_kick(p);
    device_unlock(p->dev);
}

static void link_changed(NetClient *c)
{
    NicPort *p = port_of(c);
    device_lock(p->dev);
    if (p->dev->realized)
        p->ops->link_changed(p->dev);
    device_unlock(p->dev);
}

static RxFilterInfo *rx_filter(NetClient *c)
{
    NicPort *p = port_of(c);
    device_lock(p->dev);
    RxFilterInfo *info = p->ops->rx_filter(c);
    device_unlock(p->dev);
    return info;
}

static const NetClientOps ops_plain = {
    .receive = receive, .resume = resume, .link_changed = link_changed};
static const NetClientOps ops_filter = {
    .receive = receive, .resume = resume, .link_changed = link_changed, .rx_filter = rx_filter};

bool nic_port_attach(NicPort *p, Device *dev, const NicPortOps *ops, Netdev *netdev, uint8_t mac[6],
                     GError **error)
{
    p->dev = dev;
    p->ops = ops;
    if (!nic_attach(&p->nic, dev, ops->rx_filter ? &ops_filter : &ops_plain, netdev, mac, error))
        return false;
    p->linear = g_malloc(NET_MAX_PACKET);
    if (!netdev)
        log_write("warning: nic %s has no peer\n", p->nic.name);
    return true;
}

void nic_port_detach(NicPort *p)
{
    nic_detach(&p->nic);
    g_clear_pointer(&p->linear, g_free);
}

void nic_port_kick(NicPort *p)
{
    if (!timer_armed(&p->work))
        timer_arm(&p->work, clock_ns(p->dev->object.vm, CLOCK_K_VIRTUAL));
}

bool nic_port_send(NicPort *p, const uint8_t *frame, size_t n)
{
    struct iovec iov = {(void *)frame, n};
    device_unlock(p->dev);
    bool taken = net_send(&p->nic, &iov, 1);
    device_lock(p->dev);
    if (!taken)
        p->waits = true;
    return taken;
}

void nic_port_flush(NicPort *p)
{
    device_unlock(p->dev);
    net_flush(&p->nic);
    device_lock(p->dev);
}

bool nic_port_link(const NicPort *p)
{
    return !p->nic.link_down && (!p->nic.peer || !p->nic.peer->link_down);
}
