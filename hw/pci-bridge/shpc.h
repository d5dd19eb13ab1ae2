/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Standard Hot-Plug Controller of a bridge to a conventional bus.
 * Spec: PCI Standard Hot-Plug Controller and Subsystem Specification 1.0.
 */
#ifndef HW_PCI_BRIDGE_SHPC_H
#define HW_PCI_BRIDGE_SHPC_H

#include "hw/pci-bridge/bridge.h"

enum { SHPC_SLOTS = PCI_SLOTS - 1, SHPC_WINDOW = 0x100 };

/* Part of its bridge, whose lock it is under and whose table has its saved members. */
typedef struct Shpc {
    PciBridge *bridge;
    PciHotplug ops;
    uint8_t at;                 /* of the capability; 0: the bridge has no controller */
    uint32_t enable;            /* SERR-INT Enable */
    uint32_t slot[SHPC_SLOTS];  /* device 1 and up */
    uint8_t command, target;
    uint16_t status;
} Shpc;

/* (realize) Capability, BAR 0, and the bus's hotplug. */
bool shpc_add(Shpc *s, PciBridge *bridge, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What stands in the slots at a reset is on. */
void shpc_reset(Shpc *s);
/* Pins and presence after a state from outside. */
void shpc_restored(Shpc *s);
/* The working register set. */
uint64_t shpc_read(Shpc *s, uint64_t at, unsigned size);
void shpc_write(Shpc *s, uint64_t at, uint64_t value, unsigned size);
/* The window to it in the capability. */
void shpc_config_reading(Shpc *s, unsigned at, unsigned size);
void shpc_config_wrote(Shpc *s, unsigned at, unsigned size);

#endif
