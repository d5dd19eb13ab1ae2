/* SPDX-License-Identifier: Apache-2.0 */
/* Where libslirp is not: there is no -netdev user. */
#include "net/user.h"
#include "util/error.h"

static bool absent(GError **error) { return error_set(error, "user mode network stack not in use"); }

bool net_user_forward(Vm *vm, const char *id, const char *rule, GError **error) { return absent(error); }
bool net_user_unforward(Vm *vm, const char *id, const char *rule, GError **error) { return absent(error); }
char *net_user_connections(Vm *vm) { return g_strdup(""); }
