/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine does, told to monitors. Control thread. */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include "core/vm.h"

/* From now on run states, resets and the like become QMP events, as long as the machine lives. */
void events_start(Vm *vm);

#endif
