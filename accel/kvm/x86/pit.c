/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8254 in the kernel, with port 0x61. Linux Documentation/virt/kvm/api.rst, 4.71 and 4.72,
 * KVM_REINJECT_CONTROL. Its channel 0 drives interrupt 0, which the routes lead to the PIC's input 0 and
 * the IOAPIC's input 2.
 */
#include <errno.h>
#include <time.h>

#include "accel/kvm/x86/x86.h"
#include "core/x86-pit.h"
#include "util/error.h"

/* The kernel's kvm_pit_channel_state: what remains of a latched count; which byte is next. */
enum { NONE, ONE_LOW, ONE_HIGH, BOTH, SECOND, NO_MODE = 0xff, FULL = 0x10000, WORD = 3, FIRST_MODE = 3 };

static bool make(Accel *a, int lost, GError **error)
{
    Kvm *k = (Kvm *)a;
    struct kvm_pit_config config = {.flags = KVM_PIT_SPEAKER_DUMMY};
    struct kvm_reinject_control again = {.pit_reinject = lost == PIT_LOST_DELAY};

    if (k->irqchip != KVM_IRQCHIP_ON) {
        return error_set(error, "kvm-pit stands for a chip in the kernel: the machine makes it with"
                         " kernel-irqchip=on");
    }
    if (kvm_ioctl(k->fd, KVM_CREATE_PIT2, &config) < 0) {
        return error_set_errno(error, errno, "the kernel makes no 8254");
    }
    if (kvm_ioctl(k->fd, KVM_REINJECT_CONTROL, &again) < 0 && lost != PIT_LOST_DELAY) {
        return error_set_errno(error, errno, "lost_tick_policy=discard");
    }
    ((X86Kvm *)k->arch)->pit = true;
    return kvm_write_routes(k) || error_set_errno(error, errno, "interrupt routes");
}

static int64_t host_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* What the kernel has before the guest programs a channel. */
static bool is_new(const PitChannel *c)
{
    return !c->loaded && c->mode == FIRST_MODE && c->count == FULL;
}

static void get(Accel *a, PitState *s)
{
    struct kvm_pit_state2 p = {0};
    int64_t now = clock_ns(a->vm, CLOCK_K_VIRTUAL), host = host_now();

    if (kvm_ioctl(((Kvm *)a)->fd, KVM_GET_PIT2, &p) < 0) {
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        const struct kvm_pit_channel_state *c = &p.channels[i];
        bool loaded = c->mode != NO_MODE;
        /* (Channel 0 runs by a timer whose start the kernel keeps for itself.) */
        int64_t age = i && c->count_load_time ? host - c->count_load_time : 0;
        s->ch[i] = (PitChannel){
            .count = c->count ? c->count : FULL, .latched = c->latched_count, .status = c->status,
            .latch_left = c->count_latched == BOTH ? 2 : c->count_latched != NONE,
            .status_latched = c->status_latched, .write_high = c->write_state == SECOND,
            .read_high = c->read_state == SECOND, .gate = c->gate, .bcd = c->bcd, .loaded = loaded,
            .write_low = c->write_latch, .rw = c->rw_mode ? c->rw_mode : WORD,
            .mode = loaded ? c->mode : FIRST_MODE, .start = MAX(now - age, 0),
        };
    }
    s->replaced = p.flags & KVM_PIT_FLAGS_HPET_LEGACY;
    s->speaker = p.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
}

static void set(Accel *a, const PitState *s)
{
    struct kvm_pit_state2 p = {.flags = (s->replaced ? KVM_PIT_FLAGS_HPET_LEGACY : 0) |
                                        (s->speaker ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0)};
    int64_t now = clock_ns(a->vm, CLOCK_K_VIRTUAL), host = host_now();

    for (unsigned i = 0; i < 3; i++) {
        const PitChannel *c = &s->ch[i];
        bool word = c->rw == WORD;
        p.channels[i] = (struct kvm_pit_channel_state){
            .count = c->count, .latched_count = c->latched, .status = c->status,
            .count_latched = !c->latch_left ? NONE : !word ? c->rw : c->latch_left == 2 ? BOTH : SECOND,
            .status_latched = c->status_latched, .rw_mode = c->rw, .bcd = c->bcd, .gate = c->gate,
            .read_state = !word ? c->rw : c->read_high ? SECOND : BOTH,
            .write_state = !word ? c->rw : c->write_high ? SECOND : BOTH, .write_latch = c->write_low,
            .mode = is_new(c) ? NO_MODE : c->mode, .count_load_time = host - (now - c->start),
        };
    }
    kvm_ioctl(((Kvm *)a)->fd, KVM_SET_PIT2, &p);
}

const AccelPit kvm_arch_pit = {.make = make, .get = get, .set = set};
