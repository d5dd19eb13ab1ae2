/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt chips in the kernel, as devices: local APICs, IOAPIC, PIC pair. Their state is the kernel's;
 * it is read when the machine is saved and written when it is restored or reset.
 * Linux Documentation/virt/kvm/api.rst: 4.24 to 4.27, 4.52, 4.57, 7.5, 7.8.
 *
 * Numbers of interrupts (GSIs): 0-23 the IOAPIC's pins, 24-39 the PIC's inputs. Number 0, as nothing is
 * at that pin, is the PIT's where the kernel has it (pit.c). Split, the board's own
 * IOAPICs send messages; a route for each of their entries tells the kernel which vectors it must
 * report the end of.
 */
#include <errno.h>
#include <string.h>

#include "accel/kvm/x86/x86.h"
#include "util/error.h"
#include "util/log.h"

enum { IOAPIC_PINS = 24, PIC_PINS = 16, PIC_GSI = IOAPIC_PINS, CHIP_BYTES = 512, BROADCAST = 255, PIT_INPUT = 2 };
enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, X2APIC_ENABLED = 1 << 10 };

/* ---- the machine's chips ---- */

typedef struct KvmChip {
    Device dev;
    uint8_t state[2][CHIP_BYTES], first[2][CHIP_BYTES];
} KvmChip;

static Kvm *kvm_of_device(const Device *d) { return (Kvm *)d->object.vm->accel; }
static bool is_pic(const Device *d) { return strcmp(d->object.type->name, "kvm-pic") == 0; }

static void pin(Device *d, uint32_t n, bool level)
{
    struct kvm_irq_level l = {.irq = n + (is_pic(d) ? (uint32_t)PIC_GSI : 0), .level = level};

    kvm_ioctl(kvm_of_device(d)->fd, KVM_IRQ_LINE, &l);
}

/* The IOAPIC is one chip, the PIC two. */
static void transfer(Device *d, uint8_t state[2][CHIP_BYTES], bool set)
{
    for (unsigned i = 0; i < (is_pic(d) ? 2 : 1); i++) {
        struct kvm_irqchip chip = {.chip_id = is_pic(d) ? KVM_IRQCHIP_PIC_MASTER + i : KVM_IRQCHIP_IOAPIC};
        memcpy(chip.chip.dummy, state[i], CHIP_BYTES);
        kvm_ioctl(kvm_of_device(d)->fd, set ? KVM_SET_IRQCHIP : KVM_GET_IRQCHIP, &chip);
        memcpy(state[i], chip.chip.dummy, CHIP_BYTES);
    }
}

static bool chip_realize(Device *d, GError **error)
{
    Kvm *k = kvm_of_device(d);
    const AccelType *t = accel_of(d->object.vm);

    if (!t || strcmp(t->accel, "kvm") || k->irqchip != KVM_IRQCHIP_ON) {
        return error_set(error, "%s stands for a chip in the kernel: the machine makes it with"
                         " kernel-irqchip=on", d->object.type->name);
    }
    transfer(d, ((KvmChip *)d)->first, false);
    return true;
}

static void chip_saving(Device *d) { transfer(d, ((KvmChip *)d)->state, false); }
static void chip_restored(Device *d) { transfer(d, ((KvmChip *)d)->state, true); }
static void chip_reset(Device *d) { transfer(d, ((KvmChip *)d)->first, true); }

static const Field chip_fields[] = {SAVED(KvmChip, state), HOST(KvmChip, first)};
static const DeviceType kvm_ioapic = {
    .name = "kvm-ioapic", .desc = "I/O APIC in the kernel", .size = sizeof(KvmChip),
    .fields = chip_fields, .n_fields = G_N_ELEMENTS(chip_fields), .intc_domain = true, .pin = pin,
    .n_pins = IOAPIC_PINS, .realize = chip_realize, .saving = chip_saving, .restored = chip_restored,
    .reset = chip_reset,
};
DEVICE_TYPE(kvm_ioapic);
static const DeviceType kvm_pic = {
    .name = "kvm-pic", .desc = "8259A pair in the kernel", .size = sizeof(KvmChip),
    .fields = chip_fields, .n_fields = G_N_ELEMENTS(chip_fields), .intc_domain = true, .pin = pin,
    .n_pins = PIC_PINS, .realize = chip_realize, .saving = chip_saving, .restored = chip_restored,
    .reset = chip_reset,
};
DEVICE_TYPE(kvm_pic);

/* ---- routes of the pins ---- */

unsigned kvm_arch_routes(Kvm *k, struct kvm_irq_routing_entry *e)
{
    const X86Kvm *x = k->arch;
    unsigned count = 0;

    for (uint32_t n = x->pit; k->irqchip == KVM_IRQCHIP_ON && n < PIC_GSI + PIC_PINS; n++) {
        bool pic = n >= PIC_GSI;
        uint32_t input = pic ? n - PIC_GSI : n;
        e[count++] = (struct kvm_irq_routing_entry){
            .gsi = n, .type = KVM_IRQ_ROUTING_IRQCHIP,
            .u.irqchip = {.irqchip = !pic ? KVM_IRQCHIP_IOAPIC : input < 8 ? KVM_IRQCHIP_PIC_MASTER
                                                                           : KVM_IRQCHIP_PIC_SLAVE,
                          .pin = pic ? input & 7 : input},
        };
    }
    /* Last, as the kernel tells the PIT of ends of interrupts by what was said last of an input. */
    for (uint32_t chip = 0; chip < 2 && x->pit; chip++) {
        e[count++] = (struct kvm_irq_routing_entry){
            .gsi = 0, .type = KVM_IRQ_ROUTING_IRQCHIP,
            .u.irqchip = {.irqchip = chip ? KVM_IRQCHIP_IOAPIC : KVM_IRQCHIP_PIC_MASTER,
                          .pin = chip ? PIT_INPUT : 0}};
    }
    for (uint32_t n = 0; n < X86_KVM_ENTRIES && k->irqchip == KVM_IRQCHIP_SPLIT; n++) {
        if (x->route[n].used) {
            e[count++] = (struct kvm_irq_routing_entry){
                .gsi = n, .type = KVM_IRQ_ROUTING_MSI,
                .u.msi = {.address_lo = (uint32_t)x->route[n].address,
                          .address_hi = (uint32_t)(x->route[n].address >> 32), .data = x->route[n].data},
            };
        }
    }
    return count;
}

void kvm_arch_route(Accel *a, unsigned n, bool used, uint64_t address, uint32_t data)
{
    Kvm *k = (Kvm *)a;
    X86Kvm *x = k->arch;

    if (k->irqchip != KVM_IRQCHIP_SPLIT || n >= X86_KVM_ENTRIES) {
        return;
    }
    if (x->route[n].used != used || x->route[n].address != address || x->route[n].data != data) {
        x->route[n].used = used;
        x->route[n].address = address;
        x->route[n].data = data;
        kvm_write_routes(k);
    }
}

bool kvm_arch_make_chips(Kvm *k, GError **error)
{
    const Machine *m = k->accel.vm->machine;

    /* Destinations of 32 bits, in messages and states alike. */
    if (m && m->smp.maxcpus >= BROADCAST && kvm_check(k, KVM_CAP_X2APIC_API)) {
        kvm_enable(k->fd, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
                                              KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
    }
    if (k->irqchip == KVM_IRQCHIP_SPLIT) {
        kvm_messages_start(k, X86_KVM_ENTRIES);
        return kvm_enable(k->fd, KVM_CAP_SPLIT_IRQCHIP, X86_KVM_ENTRIES) ||
               error_set_errno(error, errno, "kernel-irqchip=split");
    }
    if (kvm_ioctl(k->fd, KVM_CREATE_IRQCHIP, 0) < 0) {
        return error_set_errno(error, errno, "kernel-irqchip=on");
    }
    kvm_messages_start(k, PIC_GSI + PIC_PINS);
    return kvm_write_routes(k) || error_set_errno(error, errno, "interrupt routes");
}

/* ---- local APICs ---- */

typedef struct KvmApic {
    Device dev;
    KvmCpu *c;
    struct kvm_lapic_state regs, first;
} KvmApic;

static void apic_saving(Device *d) { kvm_ioctl(((KvmApic *)d)->c->fd, KVM_GET_LAPIC, &((KvmApic *)d)->regs); }
static void apic_restored(Device *d) { kvm_ioctl(((KvmApic *)d)->c->fd, KVM_SET_LAPIC, &((KvmApic *)d)->regs); }

/* The registers' layout depends on the mode that the base register holds. */
static void set_base(KvmCpu *c, uint64_t base)
{
    struct kvm_sregs regs = {0};

    if (kvm_ioctl(c->fd, KVM_GET_SREGS, &regs) == 0 && regs.apic_base != base) {
        regs.apic_base = base;
        kvm_ioctl(c->fd, KVM_SET_SREGS, &regs);
    }
}

static void apic_reset(Device *d)
{
    KvmApic *s = (KvmApic *)d;
    X86KvmCpu *x = x86_kvm_cpu(s->c);

    x->apic_base = x->first_base;
    x->cr8 = 0;
    set_base(s->c, x->first_base);
    kvm_ioctl(s->c->fd, KVM_SET_LAPIC, &s->first);
}

/* The next CPU with this number finds it as new. */
static void apic_unrealize(Device *d)
{
    KvmApic *s = (KvmApic *)d;

    set_base(s->c, x86_kvm_cpu(s->c)->first_base);
    kvm_ioctl(s->c->fd, KVM_SET_LAPIC, &s->first);
}

static bool apic_realize(Device *d, GError **error)
{
    return ((KvmApic *)d)->c || error_set(error, "a local APIC is made with its CPU");
}

static const Field apic_fields[] = {
    HOST(KvmApic, c), SAVED(KvmApic, regs), HOST(KvmApic, first),
};
static const DeviceType kvm_apic = {
    .name = "kvm-apic", .desc = "Local APIC in the kernel", .size = sizeof(KvmApic),
    .fields = apic_fields, .n_fields = G_N_ELEMENTS(apic_fields), .intc_domain = true,
    .realize = apic_realize, .unrealize = apic_unrealize, .saving = apic_saving, .restored = apic_restored, .reset = apic_reset,
};
DEVICE_TYPE(kvm_apic);

/* ---- the CPU's side, for the engine ---- */

/* Split, the PIC is the board's and its interrupts come through us. */
static int ack(void *opaque)
{
    Accel *a = &((KvmCpu *)opaque)->kvm->accel;

    return a->board.pic_ack ? a->board.pic_ack(a->board.opaque) : -1;
}

static uint8_t get_tpr(void *opaque) { return (uint8_t)(x86_kvm_cpu(opaque)->cr8 << 4); }
static void set_tpr(void *opaque, uint8_t tpr) { x86_kvm_cpu(opaque)->cr8 = tpr >> 4; }

static bool msr_read(void *opaque, uint32_t msr, uint64_t *value)
{
    if (msr == MSR_APIC_BASE) {
        *value = x86_kvm_cpu(opaque)->apic_base;
        return true;
    }
    return x86_kvm_cpu(opaque)->apic_base & X2APIC_ENABLED && x86_kvm_read_msr(opaque, msr, value);
}

static bool msr_write(void *opaque, uint32_t msr, uint64_t value)
{
    if (msr == MSR_APIC_BASE) {
        x86_kvm_cpu(opaque)->apic_base = value;
        return true;
    }
    return x86_kvm_cpu(opaque)->apic_base & X2APIC_ENABLED && x86_kvm_write_msr(opaque, msr, value);
}

static void set_deadline(void *opaque, uint64_t value, int64_t when)
{
    x86_kvm_write_msr(opaque, MSR_TSC_DEADLINE, value);
}

static uint64_t get_deadline(void *opaque)
{
    uint64_t v = 0;

    return x86_kvm_read_msr(opaque, MSR_TSC_DEADLINE, &v) ? v : 0;
}

static const X86IrqSource source = {
    .ack = ack, .get_tpr = get_tpr, .set_tpr = set_tpr, .msr_read = msr_read, .msr_write = msr_write,
    .set_tsc_deadline = set_deadline, .get_tsc_deadline = get_deadline, .never_halts = true,
};

bool x86_kvm_make_apic(KvmCpu *c)
{
    X86KvmCpu *x = x86_kvm_cpu(c);
    KvmApic *s = (KvmApic *)device_draft(c->cpu->vm, "kvm-apic");

    s->c = c;
    kvm_ioctl(c->fd, KVM_GET_LAPIC, &s->first);
    x->first_base = x->apic_base = 0xfee00800 | (c->cpu->index ? 0 : 1 << 8);
    x->apic = &s->dev;
    device_start(&s->dev);
    x86_cpu_connect(c->cpu, &source, c);
    return true;
}
