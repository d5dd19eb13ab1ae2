/* SPDX-License-Identifier: Apache-2.0 */
/* The IDE function of the PIIX3: two channels at their legacy ports. Spec: Intel 290550, 2.3. */
#include "hw/ide.h"
#include "hw/ide/channel.h"

enum { CHANNELS = 2 };

typedef struct Piix3Ide {
    PciDevice pci;
    IdeChannel channel[CHANNELS];
    ChannelState state[CHANNELS];
    Irq irq[CHANNELS];
    GBytes *data0, *data1;
    unsigned listener;
} Piix3Ide;

static uint64_t command_read(void *o, uint64_t at, unsigned size) { return ide_channel_read(o, at, size); }
static void command_write(void *o, uint64_t at, uint64_t v, unsigned size) { ide_channel_write(o, at, v, size); }
static const MemOps command_ops = {command_read, command_write};

static uint64_t control_read(void *o, uint64_t at, unsigned size) { return ide_channel_alternate_status(o); }
static void control_write(void *o, uint64_t at, uint64_t v, unsigned size) { ide_channel_control(o, v); }
static const MemOps control_ops = {control_read, control_write, .min_access = 1, .max_access = 1};

static uint64_t bm_read(void *o, uint64_t at, unsigned size)
{
    return ide_channel_bm_read(&((Piix3Ide *)o)->channel[at >> 3 & 1], at & 7, size);
}

static void bm_write(void *o, uint64_t at, uint64_t v, unsigned size)
{
    ide_channel_bm_write(&((Piix3Ide *)o)->channel[at >> 3 & 1], at & 7, v, size);
}
static const MemOps bm_ops = {bm_read, bm_write, .min_access = 1, .max_access = 4};

static void state_changed(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    Piix3Ide *s = data;
    for (unsigned i = 0; i < CHANNELS; i++) {
        if (vm_is_running(vm))
            ide_channel_resume(&s->channel[i]);
        else
            ide_channel_drain(&s->channel[i]);
    }
}

static bool realize(Device *d, GError **error)
{
    static const uint16_t ports[CHANNELS][2] = {{0x1f0, 0x3f6}, {0x170, 0x376}};
    Piix3Ide *s = (Piix3Ide *)d;
    Vm *vm = d->object.vm;
    for (unsigned i = 0; i < CHANNELS; i++) {
        IdeChannel *c = &s->channel[i];
        ide_channel_init(c, &s->pci, i, &s->irq[i], &s->state[i]);
        mem_transaction_begin(vm);
        mem_add(vm->io_root, ports[i][0], mem_io(&d->object, "ide-command[*]", 8, &command_ops, c, d), 0);
        mem_add(vm->io_root, ports[i][1], mem_io(&d->object, "ide-control[*]", 1, &control_ops, c, d), 0);
        mem_transaction_commit(vm);
    }
    s->listener = vm_listen(vm, VM_EVENT_STATE, state_changed, s);
    return true;
}

static void unrealize(Device *d)
{
    Piix3Ide *s = (Piix3Ide *)d;
    vm_unlisten(d->object.vm, s->listener);
    for (unsigned i = 0; i < CHANNELS; i++)
        ide_channel_finish(&s->channel[i]);
}

static void reset(Device *d)
{
    for (unsigned i = 0; i < CHANNELS; i++)
        ide_channel_reset(&((Piix3Ide *)d)->channel[i]);
}

static void saving(Device *d)
{
    Piix3Ide *s = (Piix3Ide *)d;
    for (unsigned i = 0; i < CHANNELS; i++)
        ide_channel_drain(&s->channel[i]);
    s->data0 = ide_channel_save(&s->channel[0]);
    s->data1 = ide_channel_save(&s->channel[1]);
}

static void restored(Device *d)
{
    Piix3Ide *s = (Piix3Ide *)d;
    ide_channel_load(&s->channel[0], s->data0);
    ide_channel_load(&s->channel[1], s->data1);
}

static const PciReg config[] = {
    {0x40, 2, "IDETIM0", 0x8000, .writable = 0xf3ff}, {0x42, 2, "IDETIM1", 0x8000, .writable = 0xf3ff},
    {0x44, 1, "SIDETIM", 0, .writable = 0xff},
};
static const PciInfo info = {
    .vendor = 0x8086, .device = 0x7010, .class = 0x010180, .no_hotplug = true,
    .bar = {[4] = {.kind = PCI_BAR_IO, .size = 16, .ops = &bm_ops, .name = "piix-bmdma"}}, PCI_REGS(config),
};
static const Field fields[] = {
    HOST(Piix3Ide, channel), SAVED(Piix3Ide, state), IRQ(Piix3Ide, irq), BYTES(Piix3Ide, data0),
    BYTES(Piix3Ide, data1), HOST(Piix3Ide, listener),
};
static const DeviceType piix3_ide = {
    .name = "piix3-ide", .parent = "pci-device", .desc = "PIIX3 IDE controller", .size = sizeof(Piix3Ide),
    .category = DEVICE_STORAGE, FIELDS(fields), .realize = realize, .unrealize = unrealize, .reset = reset,
    .saving = saving, .restored = restored, .pci = &info,
};
DEVICE_TYPE(piix3_ide);

PciDevice *piix3_ide_new(PciBus *root, Pin irq14, Pin irq15)
{
    PciDevice *p = pci_make(root, "piix3-ide", 1, 1);
    irq_connect(&((Piix3Ide *)p)->irq[0], irq14);
    irq_connect(&((Piix3Ide *)p)->irq[1], irq15);
    return p;
}
