/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message-signalled interrupts: a write of `data` to `address` by a device. Who takes the writes (local
 * APICs, an interrupt remapper, an ITS, the kernel) is an MsiTarget that the board gives to whatever
 * sends messages.
 */
#ifndef CORE_MSI_H
#define CORE_MSI_H

#include <stdbool.h>
#include <stdint.h>

typedef struct MsiMessage {
    uint64_t address;
    uint32_t data;
    uint16_t requester;         /* PCI: bus << 8 | slot << 3 | function */
} MsiMessage;

typedef struct MsiTarget {
    /* Delivers. Any thread; takes no device domain but the interrupt chips'. */
    void (*send)(void *opaque, const MsiMessage *m);
    /* Lets the accelerator deliver `m` whenever eventfd `fd` is signalled, without a thread of ours.
     * Returns a handle, or -1 when it cannot. NULL: never can. A signal that is pending at this moment
     * is delivered. Any thread, as all of these; they take no device domain. */
    int (*route_add)(void *opaque, const MsiMessage *m, int fd);
    /* Changes take effect with route_commit() at the latest. */
    void (*route_change)(void *opaque, int handle, const MsiMessage *m);
    void (*route_commit)(void *opaque);
    void (*route_remove)(void *opaque, int handle);
    /* False: signals are lost for now, as the message is blocked on its way; send() tells so. NULL: never. */
    bool (*route_live)(void *opaque, int handle);
    void *opaque;
} MsiTarget;

#endif
