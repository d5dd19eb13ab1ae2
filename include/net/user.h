/* SPDX-License-Identifier: Apache-2.0 */
/* -netdev user while it runs: forwarded ports and connections. Control loop. */
#ifndef NET_USER_H
#define NET_USER_H

#include "core/vm.h"

/* A rule as hostfwd= has it, of netdev `id` (NULL: the first one of that type). */
bool net_user_forward(Vm *vm, const char *id, const char *rule, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* "[tcp|udp]:[HOST]:PORT": that port is let go. */
bool net_user_unforward(Vm *vm, const char *id, const char *rule, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A table of each network's connections; the caller frees. */
char *net_user_connections(Vm *vm);

#endif
