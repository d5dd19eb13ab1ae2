/* SPDX-License-Identifier: Apache-2.0 */
/* A machine's root: life, run states, requests from any thread, listeners, services. */
#include <pthread.h>
#include <string.h>

#include "core/accel.h"
#include "core/cpu-internal.h"
#include "core/device-internal.h"
#include "core/memory-internal.h"
#include "core/object-internal.h"
#include "core/vm.h"
#include "qapi/qapi-events.h"
#include "util/error.h"
#include "util/rcu.h"

static const char *const state_names[] = {
    [RUN_PRELAUNCH] = "prelaunch", [RUN_RUNNING] = "running", [RUN_PAUSED] = "paused",
    [RUN_SHUTDOWN] = "shutdown", [RUN_GUEST_PANICKED] = "guest-panicked",
    [RUN_INTERNAL_ERROR] = "internal-error", [RUN_IO_ERROR] = "io-error",
    [RUN_WATCHDOG] = "watchdog", [RUN_SUSPENDED] = "suspended", [RUN_DEBUG] = "debug",
    [RUN_INMIGRATE] = "inmigrate", [RUN_POSTMIGRATE] = "postmigrate",
    [RUN_FINISH_MIGRATE] = "finish-migrate", [RUN_SAVE_VM] = "save-vm",
    [RUN_RESTORE_VM] = "restore-vm", [RUN_COLO] = "colo",
};

static const char *const cause_names[] = {
    [CAUSE_NONE] = "none", [CAUSE_HOST_ERROR] = "host-error",
    [CAUSE_HOST_QMP_QUIT] = "host-qmp-quit", [CAUSE_HOST_QMP_RESET] = "host-qmp-system-reset",
    [CAUSE_HOST_SIGNAL] = "host-signal", [CAUSE_HOST_UI] = "host-ui",
    [CAUSE_GUEST_SHUTDOWN] = "guest-shutdown", [CAUSE_GUEST_RESET] = "guest-reset",
    [CAUSE_GUEST_PANIC] = "guest-panic", [CAUSE_SUBSYSTEM_RESET] = "subsystem-reset",
};

const char *run_state_name(RunState state)
{
    return state_names[state];
}

const char *shutdown_cause_name(ShutdownCause cause)
{
    return cause_names[cause];
}

/* ---- listeners ---- */

typedef struct Listener {
    unsigned id;
    VmEvent event;
    void (*fn)(Vm *vm, VmEvent event, ShutdownCause cause, void *data);
    void *data;
} Listener;

typedef struct Service {
    char *kind, *id;
    void *ptr;
} Service;

struct Services {
    GArray *list;               /* Service, in order of addition */
};

/* What other threads asked for; guarded by the lock. */
struct VmRequests {
    pthread_mutex_t lock;
    bool posted;
    bool reset, shutdown, powerdown, panic, crash_loaded, stop, debug, suspend, wakeup;
    WakeReason wake_reason;
    ShutdownCause reset_cause, shutdown_cause;
    int exit_code;
    RunState why;
    Cpu *debug_cpu;
    /* Control thread only. */
    GPtrArray *listeners;
    unsigned next_id;
};

unsigned vm_listen(Vm *vm, VmEvent event,
                   void (*fn)(Vm *vm, VmEvent event, ShutdownCause cause, void *data), void *data)
{
    Listener *l = g_new(Listener, 1);

    *l = (Listener){++vm->requests->next_id, event, fn, data};
    g_ptr_array_add(vm->requests->listeners, l);
    return l->id;
}

void vm_unlisten(Vm *vm, unsigned id)
{
    GPtrArray *all = vm->requests->listeners;

    for (unsigned i = 0; i < all->len; i++) {
        if (((Listener *)all->pdata[i])->id == id) {
            g_ptr_array_remove_index(all, i);
            return;
        }
    }
}

/* Goes by ids, so that a listener may remove any other or itself. */
static void emit(Vm *vm, VmEvent event, ShutdownCause cause)
{
    GPtrArray *all = vm->requests->listeners;
    unsigned done = 0;

    for (unsigned i = 0; i < all->len;) {
        Listener *l = all->pdata[i];
        if (l->id <= done || l->event != event) {
            i++;
            continue;
        }
        done = l->id;
        l->fn(vm, event, cause, l->data);
        for (i = 0; i < all->len && ((Listener *)all->pdata[i])->id <= done;) {
            i++;
        }
    }
}

/* ---- run states ---- */

bool vm_is_running(const Vm *vm)
{
    return vm->state == RUN_RUNNING || vm->state == RUN_SUSPENDED;
}

bool vm_needs_reset(const Vm *vm)
{
    return vm->state == RUN_SHUTDOWN || vm->state == RUN_INTERNAL_ERROR ||
           vm->state == RUN_GUEST_PANICKED;
}

static void set_state(Vm *vm, RunState state)
{
    if (vm->state != state) {
        vm->state = state;
        emit(vm, VM_EVENT_STATE, CAUSE_NONE);
    }
}

void vm_start(Vm *vm)
{
    if (vm_is_running(vm)) {
        return;
    }
    vm->debug_cpu = NULL;
    clock_start(vm);
    set_state(vm, vm->asleep ? RUN_SUSPENDED : RUN_RUNNING);
    if (vm->state == RUN_RUNNING) {     /* no listener has stopped it again */
        cpus_resume(vm);
    }
}

void vm_stop(Vm *vm, RunState why)
{
    if (vm_is_running(vm)) {
        if (vm->state == RUN_RUNNING) {
            cpus_pause(vm);
        }
        clock_stop(vm);
        set_state(vm, why);
    }
}

/* All chips as at power-on; CPUs must stand. */
static void reset_hardware(Vm *vm)
{
    device_reset_all(vm);
    if (vm->machine && vm->machine->type_ && vm->machine->type_->cold_reset) {
        vm->machine->type_->cold_reset(vm->machine);
    }
}

void vm_reset(Vm *vm, ShutdownCause cause)
{
    bool ran = vm_is_running(vm), slept = vm->state == RUN_SUSPENDED;

    vm->asleep = false;
    if (!slept) {
        cpus_pause(vm);
    }
    reset_hardware(vm);
    if (slept) {
        set_state(vm, RUN_RUNNING);
    } else if (vm_needs_reset(vm)) {
        set_state(vm, RUN_PAUSED);
    }
    emit(vm, VM_EVENT_RESET, cause);
    if (ran && vm_is_running(vm)) {
        cpus_resume(vm);
    }
}

/* ---- sleep ---- */

static void suspend(Vm *vm)
{
    if (vm->state != RUN_RUNNING) {
        return;
    }
    cpus_pause(vm);
    vm->asleep = true;
    emit(vm, VM_EVENT_SUSPEND, CAUSE_NONE);
    set_state(vm, RUN_SUSPENDED);
}

static void wake_up(Vm *vm, WakeReason reason)
{
    if (vm->state != RUN_SUSPENDED) {
        return;
    }
    vm->asleep = false;
    vm->waking = true;
    reset_hardware(vm);
    vm->waking = false;
    vm->wake_reason = reason;
    set_state(vm, RUN_RUNNING);
    emit(vm, VM_EVENT_WAKEUP, CAUSE_NONE);
    if (vm->state == RUN_RUNNING) {
        cpus_resume(vm);
    }
}

/* ---- requests ---- */

static void shut_down(Vm *vm, ShutdownCause cause, int exit_code)
{
    bool leave = vm->on_shutdown == SHUTDOWN_POWEROFF || cause == CAUSE_HOST_QMP_QUIT ||
                 cause == CAUSE_HOST_SIGNAL;

    vm->shutdown_requested = leave;
    vm->exit_code = exit_code;
    emit(vm, VM_EVENT_SHUTDOWN, cause);
    vm_stop(vm, RUN_SHUTDOWN);
    if (leave) {
        loop_quit(vm->loop);
    }
}

static void panicked(Vm *vm)
{
    if (vm->on_panic == PANIC_NONE) {
        emit(vm, VM_EVENT_PANIC, CAUSE_GUEST_PANIC);
        return;
    }
    emit(vm, VM_EVENT_PANIC, CAUSE_GUEST_PANIC);
    vm_stop(vm, RUN_GUEST_PANICKED);
    if (vm->on_panic != PANIC_PAUSE) {
        shut_down(vm, CAUSE_GUEST_PANIC, vm->on_panic == PANIC_EXIT_FAILURE ? 1 : 0);
    }
}

void vm_handle_requests(Vm *vm)
{
    struct VmRequests *r = vm->requests;

    pthread_mutex_lock(&r->lock);
    bool reset = r->reset, shutdown = r->shutdown, powerdown = r->powerdown, panic = r->panic;
    bool stop = r->stop, debug = r->debug, crash_loaded = r->crash_loaded;
    ShutdownCause reset_cause = r->reset_cause, shutdown_cause = r->shutdown_cause;
    RunState why = r->why;
    bool sleep = r->suspend, wakeup = r->wakeup;
    WakeReason wake_reason = r->wake_reason;
    Cpu *debug_cpu = r->debug_cpu;
    int exit_code = r->exit_code;
    r->posted = r->reset = r->shutdown = r->powerdown = r->panic = r->stop = r->debug = false;
    r->crash_loaded = r->suspend = r->wakeup = false;
    pthread_mutex_unlock(&r->lock);

    if (debug && vm_is_running(vm)) {
        vm->debug_cpu = debug_cpu;
        vm_stop(vm, RUN_DEBUG);
    }
    if (panic) {
        panicked(vm);
    }
    if (shutdown) {
        shut_down(vm, shutdown_cause, exit_code);
    } else if (reset) {
        bool by_guest = reset_cause >= CAUSE_GUEST_SHUTDOWN;
        if (vm->on_reboot == REBOOT_SHUTDOWN && by_guest) {
            shut_down(vm, reset_cause, 0);
        } else {
            vm->reset_requested = true;
            vm_reset(vm, reset_cause);
            vm->reset_requested = false;
        }
    }
    if (sleep) {
        suspend(vm);
    }
    if (wakeup) {
        wake_up(vm, wake_reason);
    }
    if (powerdown) {
        emit(vm, VM_EVENT_POWERDOWN, CAUSE_NONE);
    }
    if (crash_loaded) {
        emit(vm, VM_EVENT_CRASH_LOADED, CAUSE_NONE);
    }
    if (stop) {
        vm_stop(vm, why);
    }
}

static void handle(void *vm)
{
    vm_handle_requests(vm);
}

/* Fills in a request with the lock held between the two. */
static struct VmRequests *begin(Vm *vm)
{
    pthread_mutex_lock(&vm->requests->lock);
    return vm->requests;
}

static void end(Vm *vm, bool stand)
{
    struct VmRequests *r = vm->requests;
    bool post = !r->posted;

    r->posted = true;
    pthread_mutex_unlock(&r->lock);
    if (stand) {
        cpu_stop_self();
    }
    if (post) {
        loop_post(vm->loop, handle, vm);
    }
}

void vm_request_reset(Vm *vm, ShutdownCause cause)
{
    struct VmRequests *r = begin(vm);

    r->reset = true;
    r->reset_cause = cause;
    end(vm, true);
}

void vm_request_shutdown(Vm *vm, ShutdownCause cause, int exit_code)
{
    struct VmRequests *r = begin(vm);

    r->shutdown = true;
    r->shutdown_cause = cause;
    r->exit_code = exit_code;
    end(vm, true);
}

void vm_request_powerdown(Vm *vm)
{
    begin(vm)->powerdown = true;
    end(vm, false);
}

void vm_request_panic(Vm *vm)
{
    begin(vm)->panic = true;
    end(vm, vm->on_panic != PANIC_NONE);
}

void vm_request_suspend(Vm *vm)
{
    begin(vm)->suspend = true;
    end(vm, true);
}

void vm_request_wakeup(Vm *vm, WakeReason reason)
{
    if (!(__atomic_load_n(&vm->wakers, __ATOMIC_SEQ_CST) >> reason & 1)) {
        return;
    }
    struct VmRequests *r = begin(vm);

    r->wakeup = true;
    r->wake_reason = reason;
    end(vm, false);
}

void vm_request_crash_loaded(Vm *vm)
{
    begin(vm)->crash_loaded = true;
    end(vm, false);
}

void vm_request_stop(Vm *vm, RunState why)
{
    struct VmRequests *r = begin(vm);

    r->stop = true;
    r->why = why;
    end(vm, true);
}

void vm_watchdog_fired(Vm *vm)
{
    WatchdogAction action = __atomic_load_n(&vm->on_watchdog, __ATOMIC_RELAXED);

    qapi_event_watchdog(vm, action);
    switch (action) {
    case WATCHDOG_ACTION_RESET:
        vm_request_reset(vm, CAUSE_GUEST_RESET);
        break;
    case WATCHDOG_ACTION_SHUTDOWN:
        vm_request_powerdown(vm);
        break;
    case WATCHDOG_ACTION_POWEROFF:
        vm_request_shutdown(vm, CAUSE_GUEST_SHUTDOWN, 0);
        break;
    case WATCHDOG_ACTION_PAUSE:
        vm_request_stop(vm, RUN_WATCHDOG);
        break;
    case WATCHDOG_ACTION_INJECT_NMI:
        if (vm->n_cpus && vm->cpus[0]->isa->nmi) {
            vm->cpus[0]->isa->nmi(vm->cpus[0]);
        }
        break;
    case WATCHDOG_ACTION_DEBUG:
        g_printerr("%s: watchdog timer fired\n", vm->argv0 ? vm->argv0 : "myna");
        break;
    default:
        break;
    }
}

void vm_request_debug(Vm *vm, Cpu *cpu)
{
    struct VmRequests *r = begin(vm);

    if (!r->debug) {
        r->debug = true;
        r->debug_cpu = cpu;
    }
    end(vm, false);
}

/* ---- services ---- */

static Service *service_at(Vm *vm, unsigned i)
{
    return &g_array_index(vm->services->list, Service, i);
}

static Service *find_service(Vm *vm, const char *kind, const char *id)
{
    for (unsigned i = 0; i < vm->services->list->len; i++) {
        Service *s = service_at(vm, i);
        if (strcmp(s->id, id) == 0 && strcmp(s->kind, kind) == 0) {
            return s;
        }
    }
    return NULL;
}

void vm_service_add(Vm *vm, const char *kind, const char *id, void *ptr)
{
    Service s = {g_strdup(kind), g_strdup(id), ptr};

    g_array_append_val(vm->services->list, s);
}

void *vm_service_find(Vm *vm, const char *kind, const char *id)
{
    Service *s = find_service(vm, kind, id);

    return s ? s->ptr : NULL;
}

static void service_clear(void *data)
{
    Service *s = data;

    g_free(s->kind);
    g_free(s->id);
}

void vm_service_remove(Vm *vm, const char *kind, const char *id)
{
    Service *s = find_service(vm, kind, id);

    if (s) {
        g_array_remove_index(vm->services->list, (unsigned)(s - service_at(vm, 0)));
    }
}

char **vm_service_ids(Vm *vm, const char *kind)
{
    GPtrArray *ids = g_ptr_array_new();

    for (unsigned i = 0; i < vm->services->list->len; i++) {
        if (strcmp(service_at(vm, i)->kind, kind) == 0) {
            g_ptr_array_add(ids, g_strdup(service_at(vm, i)->id));
        }
    }
    g_ptr_array_add(ids, NULL);
    return (char **)g_ptr_array_free(ids, FALSE);
}

const char *vm_service_id(Vm *vm, const char *kind, void *ptr)
{
    for (unsigned i = 0; ptr && i < vm->services->list->len; i++) {
        if (service_at(vm, i)->ptr == ptr && strcmp(service_at(vm, i)->kind, kind) == 0) {
            return service_at(vm, i)->id;
        }
    }
    return NULL;
}

/* ---- life ---- */

static const ObjectType root_type = {.name = "root", .size = sizeof(Object), .abstract = true};
OBJECT_TYPE(root_type);

static Object *container(Vm *vm, Object *parent, const char *name)
{
    Object *o = object_new(vm, object_type_find("container"));

    object_add_child(parent, name, o);
    return o;
}

Vm *vm_new(Loop *loop)
{
    Vm *vm = g_new0(Vm, 1);

    vm->loop = loop;
    vm->run = run_control_new();
    vm->clocks = clocks_new(vm);
    vm->domains = domains_new();
    vm->ram = ram_map_new(vm);
    vm->device_classes = g_hash_table_new_full(NULL, NULL, NULL, device_class_free);
    vm->services = g_new0(struct Services, 1);
    vm->services->list = g_array_new(FALSE, FALSE, sizeof(Service));
    g_array_set_clear_func(vm->services->list, service_clear);
    vm->requests = g_new0(struct VmRequests, 1);
    vm->requests->listeners = g_ptr_array_new_with_free_func(g_free);
    pthread_mutex_init(&vm->requests->lock, NULL);

    object_init(&vm->root, vm, &root_type);
    /* Stands for the machine until machine_new() takes its place. */
    Object *machine = container(vm, &vm->root, "machine");
    vm->peripheral = container(vm, machine, "peripheral");
    vm->peripheral_anon = container(vm, machine, "peripheral-anon");
    vm->unattached = container(vm, machine, "unattached");
    vm->objects = container(vm, &vm->root, "objects");
    vm->chardevs = container(vm, &vm->root, "chardevs");
    vm->backends = container(vm, &vm->root, "backend");

    vm->memory_root = mem_container(vm->unattached, "system", UINT64_MAX);
    vm->io_root = mem_container(vm->unattached, "io", 65536);
    vm->memory = address_space_new(vm, vm->memory_root, "memory");
    vm->io = address_space_new(vm, vm->io_root, "I/O");
    return vm;
}

static void settle(Vm *vm)
{
    /* Freeing may post, posts may free. */
    for (unsigned i = 0; i < 3; i++) {
        rcu_barrier();
        loop_run_posts(vm->loop);
    }
}

/* Threads first, then what they ran on, then what that used. */
/* ---- folders' own data ---- */

typedef struct VmDatum {
    void *value;
    GDestroyNotify free;
} VmDatum;

static void vm_datum_free(gpointer data)
{
    VmDatum *d = data;

    d->free(d->value);
    g_free(d);
}

void *vm_data(Vm *vm, const void *key, void *(*make)(Vm *vm), GDestroyNotify free)
{
    if (!vm->data) {
        vm->data = g_hash_table_new_full(NULL, NULL, NULL, vm_datum_free);
    }
    VmDatum *d = g_hash_table_lookup(vm->data, key);
    if (!d) {
        d = g_new(VmDatum, 1);
        *d = (VmDatum){make(vm), free};
        g_hash_table_insert(vm->data, (gpointer)key, d);
    }
    return d->value;
}

void vm_free(Vm *vm)
{
    if (!vm) {
        return;
    }
    g_assert(loop_is_home(vm->loop));
    cpus_pause(vm);
    for (unsigned i = vm->n_cpus; i-- > 0;) {
        if (i < vm->n_cpus && vm->cpus[i]) {
            object_remove(&vm->cpus[i]->dev.object);
        }
    }
    settle(vm);
    vm->freeing = true;
    if (vm->memory) {
        address_space_free(g_steal_pointer(&vm->memory));
        address_space_free(g_steal_pointer(&vm->io));
    }
    object_remove(object_child(&vm->root, "machine"));
    if (vm->accel) {
        object_unref(&vm->accel->object);
    }
    vm->accel = NULL;
    settle(vm);
    object_finish(&vm->root);
    settle(vm);
    g_clear_pointer(&vm->data, g_hash_table_destroy);
    run_control_free(vm->run);
    clocks_free(vm->clocks);
    domains_free(vm->domains);
    ram_map_free(vm->ram);
    g_hash_table_destroy(vm->device_classes);
    g_array_unref(vm->services->list);
    g_free(vm->services);
    g_ptr_array_unref(vm->requests->listeners);
    pthread_mutex_destroy(&vm->requests->lock);
    g_free(vm->requests);
    g_clear_pointer(&vm->globals, g_ptr_array_unref);
    g_clear_pointer(&vm->fw_cfg_user, g_hash_table_unref);
    g_free(vm->cpus);
    g_free(vm->name);
    g_free(vm->boot.order);
    g_free(vm->boot.once);
    g_free(vm->boot.splash);
    rcu_barrier();
    g_free(vm);
}
