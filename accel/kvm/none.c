/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that `-accel kvm` does not know: a type that says so. */
#include "core/accel.h"

static char *unavailable(void)
{
    return g_strdup("this host's architecture is not supported");
}

static const AccelType kvm_accel = {
    .name = "kvm-accel", .parent = "accel", .desc = "The host kernel's virtual machines",
    .size = sizeof(struct Accel), .accel = "kvm", .unavailable = unavailable,
};
OBJECT_TYPE(kvm_accel);
