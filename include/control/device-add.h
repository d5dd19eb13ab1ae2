/* SPDX-License-Identifier: Apache-2.0 */
/* -device and device_add: from options to a running device. Control thread. */
#ifndef CONTROL_DEVICE_ADD_H
#define CONTROL_DEVICE_ADD_H

#include "core/vm.h"
#include "util/json.h"

/* A card with failover_pair_id= may stay hidden for now (net/failover.h).
 * options: {"driver": …, "id": …, "bus": …, property: value, …}; scalars may be strings. */
bool device_add(Vm *vm, const Json *options, GError **error);
/* The same while the machine may run: only types that can be plugged then. */
bool device_hotplug(Vm *vm, const Json *options, GError **error);
/* "virtio-blk-device,drive=d0" or JSON text. */
bool device_add_option(Vm *vm, const char *text, GError **error);
/* -object: the same as object-add, from "memory-backend-ram,id=m0,…" or JSON text. */
bool user_object_add_option(Vm *vm, const char *text, GError **error);
/* Sets properties from JSON scalars; `skip` is a NULL-terminated list of names to leave out. */
bool object_set_json(Object *o, const Json *options, const char *const *skip, GError **error);

#endif
