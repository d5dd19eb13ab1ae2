/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog of Intel's 6300ESB hub. Datasheet: Intel 300641, chapter 15. Two stages count down, one after the
 * other; registers other than the status want two keys before each write.
 */
#include "hw/pci.h"

enum {
    CONFIG = 0x60, OUTPUT_OFF = 0x20, FAST = 4, LOCK_REG = 0x68, LOCK = 1, ENABLE = 2, FREE_RUN = 4,
    PRELOAD_1 = 0, PRELOAD_2 = 4, STATUS = 8, RELOAD = 0xc, PRELOAD_BITS = 0xfffff,
    DO_RELOAD = 0x100, TIMED_OUT = 0x200, KEY_1 = 0x80, KEY_2 = 0x86, WINDOW = 16,
    SLOW_SHIFT = 15, FAST_SHIFT = 5, CLOCK_NS = 30,
    STAGE_MIN_NS = 100000,      /* however short the guest wants it: a stage is an event here */
};

typedef struct Esb {
    PciDevice pci;
    Timer timer;
    uint32_t preload[2];
    uint8_t keys;               /* that have come: 2 let the next write pass */
    bool second;                /* the second stage counts */
    bool timed_out;             /* since the guest has last cleared it */
} Esb;

static void start(Esb *s, bool second)
{
    PciDevice *p = &s->pci;
    int64_t ns = (int64_t)s->preload[second] * CLOCK_NS << (pci_get16(p, CONFIG) & FAST ? FAST_SHIFT : SLOW_SHIFT);
    s->second = second;
    if (pci_get8(p, LOCK_REG) & ENABLE)
        timer_arm(&s->timer, clock_ns(p->dev.object.vm, CLOCK_K_VIRTUAL) + MAX(ns, STAGE_MIN_NS));
    else
        timer_cancel(&s->timer);
}

static void fired(Device *d)
{
    Esb *s = (Esb *)d;
    if (!s->second) {
        start(s, true);
        return;
    }
    if (!(pci_get16(&s->pci, CONFIG) & OUTPUT_OFF)) {
        s->timed_out = true;
        vm_watchdog_fired(d->object.vm);
    }
    if (pci_get8(&s->pci, LOCK_REG) & FREE_RUN)
        start(s, false);
}

/* ---- registers ---- */

static void write_lock(PciDevice *p, uint32_t old, uint32_t v)
{
    if (old & LOCK)
        pci_set8(p, LOCK_REG, old);
    else if ((v ^ old) & ENABLE)
        start((Esb *)p, false);
}

static uint64_t read_reg(Device *d, uint64_t at, unsigned size)
{
    uint64_t v = (at & ~3) == RELOAD && ((Esb *)d)->timed_out ? TIMED_OUT : 0;
    return v >> 8 * (at & 3);
}

static void write_reload(Esb *s, uint64_t v)
{
    if (v & TIMED_OUT)
        s->timed_out = false;
    if (v & DO_RELOAD)
        start(s, false);
}

static void write_reg(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    Esb *s = (Esb *)d;
    if (at == RELOAD && v == KEY_1) {
        s->keys = 1;
    } else if (at == RELOAD && v == KEY_2 && s->keys == 1) {
        s->keys = 2;
    } else if (s->keys == 2) {
        s->keys = 0;
        if (at == PRELOAD_1 || at == PRELOAD_2)
            s->preload[at / 4] = v & PRELOAD_BITS;
        else if ((at & ~3) == RELOAD)
            write_reload(s, v << 8 * (at & 3));
    }
}

/* ---- the device ---- */

static void reset(Device *d) { ((Esb *)d)->preload[0] = ((Esb *)d)->preload[1] = PRELOAD_BITS; }

static void restored(Device *d)
{
    Esb *s = (Esb *)d;
    s->keys = MIN(s->keys, 2);
    s->preload[0] &= PRELOAD_BITS;
    s->preload[1] &= PRELOAD_BITS;
}

static const PciReg config[] = {
    {.at = CONFIG, .width = 2, .name = "WDT_CONFIG", .writable = 0x27},
    {.at = LOCK_REG, .width = 1, .name = "WDT_LOCK", .writable = LOCK | ENABLE | FREE_RUN, .wrote = write_lock},
};
static const PciInfo info = {
    .vendor = 0x8086, .device = 0x25ab, .class = 0x088000,
    .bar = {{.kind = PCI_BAR_MEM32, .window = true}}, PCI_REGS(config),
};
static const Field fields[] = {
    TIMER(Esb, timer, fired), SAVED(Esb, preload), SAVED(Esb, keys), SAVED(Esb, second),
    SAVED(Esb, timed_out, .keep = true),
};
static const DeviceType esb = {
    .name = "i6300esb", .parent = "pci-device", .desc = "Intel 6300ESB", .size = sizeof(Esb),
    .category = DEVICE_WATCHDOG, .pluggable = true, .hotpluggable = true, .window = WINDOW, .max_access = 4,
    .pci = &info, FIELDS(fields), .read = read_reg, .write = write_reg, .reset = reset, .restored = restored,
};
DEVICE_TYPE(esb);
