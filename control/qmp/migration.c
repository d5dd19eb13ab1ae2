/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask of migration before they use it. There is none yet: nothing is offered. */
#include "qapi/qapi-commands.h"
#include "util/error.h"

MigrationInfo *qmp_query_migrate(Vm *vm, GError **error)
{
    return g_new0(MigrationInfo, 1);
}

MigrationCapabilityStatusList *qmp_query_migrate_capabilities(Vm *vm, GError **error)
{
    return migration_capability_status_list_new();
}

bool qmp_migrate_set_capabilities(Vm *vm, MigrationCapabilityStatusList *capabilities, GError **error)
{
    for (size_t i = 0; i < capabilities->count; i++) {
        const MigrationCapabilityStatus *c = capabilities->items[i];
        if (c->state) {
            return error_set(error, "migration capability '%s' is not available: migration is not "
                             "implemented", migration_capability_name(c->capability));
        }
    }
    return true;
}
