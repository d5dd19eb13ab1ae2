/* SPDX-License-Identifier: Apache-2.0 */
/* Ties a machine to its event hub. */
#include "core/vm.h"
#include "qapi/event.h"

QapiHub *vm_qapi_hub(Vm *vm)
{
    return vm->qapi;
}
