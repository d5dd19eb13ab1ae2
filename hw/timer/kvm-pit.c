/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8254 that an accelerator brings, as a device: the state is the 8254's (i8254.c) and mostly elsewhere.
 * While the machine stands it is here, and what the accelerator's counts meanwhile does not matter.
 */
#include "core/accel.h"
#include "hw/timer/i8254.h"
#include "util/error.h"

typedef struct KvmPit {
    Pit pit;
    unsigned listener;
    int lost;
} KvmPit;

static void state_changed(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    Pit *s = data;
    bool run = vm_is_running(vm);
    device_lock(&s->dev);
    if (!run)
        i8254_pull(s);
    bool came = run && s->stands;
    s->stands = !run;
    if (came)
        i8254_push(s);
    device_unlock(&s->dev);
}

static bool realize(Device *d, GError **error)
{
    KvmPit *s = (KvmPit *)d;
    const AccelType *accel = accel_of(d->object.vm);
    if (!accel || !accel->pit)
        return error_set(error, "kvm-pit stands for a chip in the kernel: the machine makes it with kernel-irqchip=on");
    if (!accel->pit->make(d->object.vm->accel, s->lost, error))
        return false;
    s->pit.kernel = accel->pit;
    s->listener = vm_listen(d->object.vm, VM_EVENT_STATE, state_changed, s);
    return true;
}

static void unrealize(Device *d)
{
    if (((KvmPit *)d)->pit.kernel)
        vm_unlisten(d->object.vm, ((KvmPit *)d)->listener);
    ((KvmPit *)d)->pit.kernel = NULL;
}

static void saving(Device *d) { i8254_pull((Pit *)d); }

static const char *const policies[] = {"discard", "delay", NULL};
static const Field fields[] = {
    HOST(KvmPit, listener),
    PROP(KvmPit, lost, "lost_tick_policy", PROP_ENUM, .names = policies, .init = PIT_LOST_DELAY,
         .desc = "Ticks that the guest was too late for: delay: they come later; discard: never"),
};
static const DeviceType kvm_pit = {
    .name = "kvm-pit", .parent = "isa-pit", .desc = "8254 interval timer in the kernel", .size = sizeof(KvmPit),
    FIELDS(fields), .realize = realize, .unrealize = unrealize, .saving = saving,
};
DEVICE_TYPE(kvm_pit);

Device *kvm_pit_new(Vm *vm)
{
    Device *d = device_make(vm, "kvm-pit");
    device_place_io(d, 0x40);
    return d;
}
