/* SPDX-License-Identifier: Apache-2.0 */
/* From what core tells its listeners to QMP events. Devices send theirs themselves. */
#include "control/events.h"
#include "qapi/qapi-events.h"

/* Hangs in the tree, so that it ends with the machine. */
typedef struct Events {
    Object object;
    bool running;               /* as told last */
} Events;

static bool by_guest(ShutdownCause cause) { return cause >= CAUSE_GUEST_SHUTDOWN; }

static void on_state(Vm *vm, Events *e)
{
    bool running = vm_is_running(vm);

    if (running && !e->running)
        qapi_event_resume(vm);
    else if (!running && e->running && !vm->shutdown_requested) /* else SHUTDOWN has said it */
        qapi_event_stop(vm);
    e->running = running;
}

static void on_panic(Vm *vm)
{
    bool pause = vm->on_panic == PANIC_PAUSE ||
                 (vm->on_panic == PANIC_SHUTDOWN && vm->on_shutdown == SHUTDOWN_PAUSE);
    qapi_event_guest_panicked(vm, pause                        ? GUEST_PANIC_ACTION_PAUSE
                                  : vm->on_panic == PANIC_NONE ? GUEST_PANIC_ACTION_RUN
                                                               : GUEST_PANIC_ACTION_POWEROFF, NULL);
}

static void tell(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    switch (event) {
    case VM_EVENT_STATE:
        on_state(vm, data);
        break;
    case VM_EVENT_RESET:
        if (cause != CAUSE_NONE && cause != CAUSE_SUBSYSTEM_RESET)
            qapi_event_reset(vm, by_guest(cause), (ShutdownReason)cause);
        break;
    case VM_EVENT_SHUTDOWN:
        qapi_event_shutdown(vm, by_guest(cause), (ShutdownReason)cause);
        break;
    case VM_EVENT_POWERDOWN:
        qapi_event_powerdown(vm);
        break;
    case VM_EVENT_PANIC:
        on_panic(vm);
        break;
    case VM_EVENT_CRASH_LOADED:
        qapi_event_guest_crashloaded(vm, GUEST_PANIC_ACTION_RUN, NULL);
        break;
    case VM_EVENT_WAKEUP:
        qapi_event_wakeup(vm);
        break;
    case VM_EVENT_SUSPEND:
        qapi_event_suspend(vm);
        break;
    }
}

static const ObjectType events_type = {
    .name = "events", .desc = "Tells monitors what the machine does", .size = sizeof(Events),
};
OBJECT_TYPE(events_type);

void events_start(Vm *vm)
{
    static const VmEvent all[] = {VM_EVENT_STATE, VM_EVENT_RESET, VM_EVENT_POWERDOWN,
                                  VM_EVENT_SHUTDOWN, VM_EVENT_PANIC, VM_EVENT_WAKEUP,
                                  VM_EVENT_CRASH_LOADED, VM_EVENT_SUSPEND};
    Events *e = (Events *)object_new(vm, &events_type);

    e->running = vm_is_running(vm);
    object_add_child(vm->backends, "events", &e->object);
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        vm_listen(vm, all[i], tell, e);
}
