/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask of migration before they use it. There is none yet. */
#include "core/vm.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

MigrationInfo *qmp_query_migrate(Vm *vm, GError **error)
{
    return g_new0(MigrationInfo, 1);
}

/* Whether MIGRATION events are wanted: the one capability that needs no migration. */
typedef struct Capabilities {
    bool events;
} Capabilities;

static const char capabilities_key;

static void *make_capabilities(Vm *vm)
{
    return g_new0(Capabilities, 1);
}

static Capabilities *capabilities_of(Vm *vm)
{
    return vm_data(vm, &capabilities_key, make_capabilities, g_free);
}

MigrationCapabilityStatusList *qmp_query_migrate_capabilities(Vm *vm, GError **error)
{
    MigrationCapabilityStatusList *list = migration_capability_status_list_new();

    migration_capability_status_list_add(
        list, migration_capability_status_new(MIGRATION_CAPABILITY_EVENTS,
                                              capabilities_of(vm)->events));
    return list;
}

bool qmp_migrate_set_capabilities(Vm *vm, MigrationCapabilityStatusList *capabilities, GError **error)
{
    Capabilities new = *capabilities_of(vm);

    for (size_t i = 0; i < capabilities->count; i++) {
        const MigrationCapabilityStatus *c = capabilities->items[i];
        if (c->capability == MIGRATION_CAPABILITY_EVENTS) {
            new.events = c->state;
        } else if (c->state) {
            return error_set(error, "migration capability '%s' is not available: migration is not "
                             "implemented", migration_capability_name(c->capability));
        }
    }
    *capabilities_of(vm) = new;
    return true;
}
