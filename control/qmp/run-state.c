/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that run and stop the machine, and say what follows its events. */
#include "core/vm.h"
#include "qapi/event.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

StatusInfo *qmp_query_status(Vm *vm, GError **error)
{
    return status_info_new(vm->state == RUN_RUNNING, false, (VmRunState)vm->state);
}

bool qmp_stop(Vm *vm, GError **error)
{
    vm_stop(vm, RUN_PAUSED);
    return true;
}

bool qmp_cont(Vm *vm, GError **error)
{
    if (vm_needs_reset(vm)) {
        return error_set(error, "Resetting the Virtual Machine is required (it is %s)",
                         run_state_name(vm->state));
    }
    vm_start(vm);
    return true;
}

bool qmp_quit(Vm *vm, GError **error)
{
    vm_request_shutdown(vm, CAUSE_HOST_QMP_QUIT, 0);
    vm_handle_requests(vm);     /* the event goes out before the answer */
    return true;
}

bool qmp_system_reset(Vm *vm, GError **error)
{
    vm_request_reset(vm, CAUSE_HOST_QMP_RESET);
    return true;
}

bool qmp_system_powerdown(Vm *vm, GError **error)
{
    vm_request_powerdown(vm);
    return true;
}

bool qmp_system_wakeup(Vm *vm, GError **error)
{
    if (!vm->can_suspend)
        return error_set(error, "wake-up from suspend is not supported by this guest");
    if (vm->state != RUN_SUSPENDED)
        return error_set(error, "Unable to wake up: guest is not in suspended state");
    vm_request_wakeup(vm, WAKE_OTHER);
    return true;
}

bool qmp_inject_nmi(Vm *vm, GError **error)
{
    bool any = false;

    for (unsigned i = 0; i < vm->n_cpus; i++) {
        Cpu *cpu = vm->cpus[i];
        if (cpu && cpu->isa->nmi) {
            cpu->isa->nmi(cpu);
            any = true;
        }
    }
    return any || error_set(error, "machine does not provide NMIs");
}

bool qmp_set_action(Vm *vm, bool has_reboot, RebootAction reboot, bool has_shutdown,
                    ShutdownAction shutdown, bool has_panic, PanicAction panic, bool has_watchdog,
                    WatchdogAction watchdog, GError **error)
{
    static const int panics[] = {
        [PANIC_ACTION_PAUSE] = PANIC_PAUSE, [PANIC_ACTION_SHUTDOWN] = PANIC_SHUTDOWN,
        [PANIC_ACTION_EXIT_FAILURE] = PANIC_EXIT_FAILURE, [PANIC_ACTION_NONE] = PANIC_NONE,
    };

    if (has_reboot) {
        vm->on_reboot = reboot == REBOOT_ACTION_SHUTDOWN ? REBOOT_SHUTDOWN : REBOOT_RESET;
    }
    if (has_shutdown) {
        vm->on_shutdown = shutdown == SHUTDOWN_ACTION_PAUSE ? SHUTDOWN_PAUSE : SHUTDOWN_POWEROFF;
    }
    if (has_panic) {
        vm->on_panic = panics[panic];
    }
    if (has_watchdog) {
        __atomic_store_n(&vm->on_watchdog, watchdog, __ATOMIC_RELAXED);
    }
    return true;
}

bool qmp_watchdog_set_action(Vm *vm, WatchdogAction action, GError **error)
{
    return qmp_set_action(vm, false, 0, false, 0, false, 0, true, action, error);
}

bool qmp_x_exit_preconfig(Vm *vm, GError **error)
{
    if (!vm->qapi || !qapi_hub_preconfig(vm->qapi)) {
        return error_set(error, "The command is permitted only before machine initialization");
    }
    qapi_hub_set_preconfig(vm->qapi, false);
    loop_quit(vm->loop);        /* whoever builds the machine waits in the loop */
    return true;
}
