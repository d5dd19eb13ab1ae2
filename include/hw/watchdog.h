/* SPDX-License-Identifier: Apache-2.0 */
/* Watchdogs that are parts of chip sets. */
#ifndef HW_WATCHDOG_H
#define HW_WATCHDOG_H

#include "core/vm.h"

enum { TCO_WINDOW = 0x20 };

/* The TCO logic of the ICH9: registers in d->mmio, mapped by its owner. `smi` is pulsed at the first timeout,
 * `lock` is high while the guest must not change that this raises SMIs. */
Device *ich9_tco_new(Vm *vm, Pin smi, Pin lock);
/* The strap that forbids it to act at the second timeout. Before the machine starts. */
void ich9_tco_strap(Device *tco, bool no_reboot);
/* General control and status (RCBA + 0x3410), of which the watchdog has one bit. In the device's domain. */
uint32_t ich9_tco_gcs(Device *tco);
void ich9_tco_set_gcs(Device *tco, uint32_t value);

#endif
