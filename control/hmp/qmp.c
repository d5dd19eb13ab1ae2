/* SPDX-License-Identifier: Apache-2.0 */
/* human-monitor-command: the human monitor for programs. */
#include "control/hmp.h"
#include "control/session.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

char *qmp_human_monitor_command(Vm *vm, QapiSession *session, const char *command_line,
                                bool has_cpu_index, int64_t cpu_index, GError **error)
{
    QapiSession one_line = { .cpu_index = has_cpu_index ? cpu_index : -1 };

    if (has_cpu_index && !cpu_at(vm, cpu_index)) {
        error_set(error, "Invalid parameter 'cpu-index': there are %u CPUs", vm->n_cpus);
        return NULL;
    }
    return hmp_run(vm, &one_line, command_line);
}
