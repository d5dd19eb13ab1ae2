/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failover pairs: a card (primary) that the guest does not see until the driver of its virtio card (standby)
 * has said that it knows of such pairs. Spec: virtio 1.2, 5.1.3 (VIRTIO_NET_F_STANDBY). Control thread.
 */
#ifndef NET_FAILOVER_H
#define NET_FAILOVER_H

#include "core/vm.h"

/* The standby's half, the service "failover-standby" by the card's id; embedded in it. */
typedef struct FailoverStandby {
    bool agreed;                /* the guest's driver knows of pairs */
    void *hidden;               /* the primary that waits, whoever hides it says in what form; NULL: none */
    void (*show)(Vm *vm, void *hidden);         /* takes it over */
    GDestroyNotify drop;
} FailoverStandby;

#define FAILOVER_STANDBY "failover-standby"

#endif
