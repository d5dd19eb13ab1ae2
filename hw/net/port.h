/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between a card with registers and its cable. Registers run on vCPUs in the card's domain, the
 * cable on the control loop: a kick from a register makes `work` run there, with the domain's lock,
 * which nic_port_send() lets go while the other end has the frame.
 *
 *   TIMER(Card, port.work, work)     in the card's table is its row.
 */
#ifndef HW_NET_PORT_H
#define HW_NET_PORT_H

#include "core/device.h"
#include "net/net.h"

typedef struct NicPortOps {
    /* A frame without FCS, in the domain. False: no room now; the card kicks when there is. */
    bool (*receive)(Device *d, const uint8_t *frame, size_t n);
    /* The cable was plugged or pulled; in the domain. */
    void (*link_changed)(Device *d);
    RxFilterInfo *(*rx_filter)(NetClient *c);
} NicPortOps;

typedef struct NicPort {
    NetClient nic;
    Timer work;
    Device *dev;
    const NicPortOps *ops;
    bool waits; /* the other end's queue is full: nothing is sent until it resumes */
    uint8_t *linear;            /* NET_MAX_PACKET */
} NicPort;

/* (realize) `mac` is the property, zeros: filled in. */
bool nic_port_attach(NicPort *p, Device *dev, const NicPortOps *ops, Netdev *netdev, uint8_t mac[6],
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
void nic_port_detach(NicPort *p);
/* The card's work function runs soon. In the domain, any thread. */
void nic_port_kick(NicPort *p);
/* From `work`. The registers may be others when it returns. False: p->waits now. */
bool nic_port_send(NicPort *p, const uint8_t *frame, size_t n);
/* From `work`: frames that wait for the card are offered to it again. */
void nic_port_flush(NicPort *p);
bool nic_port_link(const NicPort *p);

#endif
