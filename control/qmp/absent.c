/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about what no machine here has: answered as where the host has none of it. */
#include "qapi/qapi-commands.h"
#include "util/error.h"

GICCapabilityList *qmp_query_gic_capabilities(Vm *vm, GError **error)
{
    error_set(error, "GIC hardware is not available on this target");
    return NULL;
}

SevCapability *qmp_query_sev_capabilities(Vm *vm, GError **error)
{
    error_set(error, "SEV is not enabled in KVM");
    return NULL;
}

SgxInfo *qmp_query_sgx_capabilities(Vm *vm, GError **error)
{
    error_set(error, "SGX is not enabled in KVM");
    return NULL;
}

ReplayInfo *qmp_query_replay(Vm *vm, GError **error)
{
    return replay_info_new(REPLAY_MODE_NONE, 0);
}

/* Nobody provides statistics; that is no error. */
StatsResultList *qmp_query_stats(Vm *vm, StatsFilter *filter, GError **error)
{
    return stats_result_list_new();
}

StatsSchemaList *qmp_query_stats_schemas(Vm *vm, bool has_provider, StatsProvider provider, GError **error)
{
    return stats_schema_list_new();
}

/* Ticks are never made up for, so none wait. */
bool qmp_rtc_reset_reinjection(Vm *vm, GError **error)
{
    return true;
}
