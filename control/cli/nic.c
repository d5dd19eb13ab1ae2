/* SPDX-License-Identifier: Apache-2.0 */
/* Network cards that the command line names by model, or not at all. */
#include <string.h>
#include "control/cli/config.h"
#include "control/device-add.h"
#include "core/device.h"
#include "net/net.h"
#include "util/error.h"

/* What "virtio" means here. */
static const char *virtio_model(const MachineType *m) { return m->default_nic ? "virtio-net-pci" : "virtio-net-device"; }

/* -nic: a back end and the card. */
static bool add_nic(Vm *vm, const char *text, GError **error)
{
    const MachineType *m = vm->machine->type_;
    g_autoptr(GError) failed = NULL;
    g_autoptr(Json) o = nic_add_option(vm, text, &failed);
    if (failed) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return false;
    }
    const char *driver = o ? json_get_text(o, "driver") : NULL;
    if (o && !driver)
        json_set_text(o, "driver", m->default_nic ? m->default_nic : virtio_model(m));
    else if (o && !strcmp(driver, "virtio"))
        json_set_text(o, "driver", virtio_model(m));
    return !o || device_add(vm, o, error);
}

static bool says_nothing(const Config *c)
{
    return !c->nodefaults && !(c->nics && c->nics->len) && !(c->nets && c->nets->len) &&
           !(c->netdevs && c->netdevs->len);
}

bool config_make_nics(Vm *vm, const Config *c, GError **error)
{
    bool user = vm->machine->type_->default_nic && object_type_find("netdev-user");
    if (says_nothing(c))
        return !user || add_nic(vm, "user", error);
    for (unsigned i = 0; c->nics && i < c->nics->len; i++)
        if (!add_nic(vm, g_ptr_array_index(c->nics, i), error))
            return false;
    return true;
}
