/* SPDX-License-Identifier: Apache-2.0 */
/* The balloon as the monitor sees it. Control thread. */
#ifndef HW_VIRTIO_BALLOON_H
#define HW_VIRTIO_BALLOON_H

#include "core/vm.h"

enum { BALLOON_STATS = 16 };
typedef struct VirtioBalloon VirtioBalloon;

/* The machine's balloon, or NULL. */
VirtioBalloon *balloon_find(Vm *vm);
/* What the guest should keep, in bytes. */
void balloon_set_target(VirtioBalloon *s, uint64_t bytes);
/* What it has now. */
uint64_t balloon_actual(VirtioBalloon *s);

#endif
