/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI Express ports: root ports, switches' upstream and downstream ports, and native hotplug in their
 * slots. Spec: PCI Express Base 5.0, sections 6.7 (hotplug), 7.5.3 (the capability).
 */
#include "hw/pci-bridge/bridge.h"
#include "util/error.h"

enum {
    SLTCAP_BUTTON = 1, SLTCAP_POWER = 2, SLTCAP_ATTENTION_LED = 8, SLTCAP_POWER_LED = 0x10,
    SLTCAP_SURPRISE = 0x20, SLTCAP_HOTPLUG = 0x40, SLTCAP_NUMBER_SHIFT = 19, SLOT_MAX = 0x1fff,
    SLTCTL_EVENTS = 0x1f, SLTCTL_COMMAND_IRQ = 0x10, SLTCTL_IRQ = 0x20, SLTCTL_ATTENTION_LED_OFF = 3 << 6,
    SLTCTL_POWER_LED = 3 << 8, SLTCTL_POWER_LED_ON = 1 << 8, SLTCTL_POWER_LED_OFF = 3 << 8,
    SLTCTL_POWER_LED_BLINK = 2 << 8, SLTCTL_POWER_OFF = 1 << 10, SLTCTL_LINK_EVENT = 1 << 12,
    SLTCTL_WRITABLE = 0x17ff,
    SLTSTA_BUTTON = 1, SLTSTA_PRESENCE_CHANGED = 8, SLTSTA_COMMAND_DONE = 0x10, SLTSTA_PRESENT = 0x40,
    SLTSTA_LINK_CHANGED = 0x100, SLTSTA_CLEARS = 0x11f,
    LNKSTA_ACTIVE = 1 << 13, LNKCAP_REPORTS_ACTIVE = 1 << 20, FLAGS_SLOT = 0x100, RTCTL_WRITABLE = 0x1f,
};

typedef struct Port {
    PciBridge bridge;
    PciHotplug hotplug_ops;
    uint32_t control;           /* of the slot, as seen last */
    uint32_t port, chassis, slot;
    bool hotplug;
} Port;

/* What kinds of ports differ in. */
typedef struct PortKind {
    uint8_t express;            /* PCIE_ROOT_PORT, PCIE_UPSTREAM, PCIE_DOWNSTREAM */
    bool slot;
} PortKind;

static const PortKind root_kind = {PCIE_ROOT_PORT, true};
static const PortKind upstream_kind = {PCIE_UPSTREAM, false};
static const PortKind downstream_kind = {PCIE_DOWNSTREAM, true};

static const PortKind *kind_of(const Port *s)
{
    return device_type((const Device *)s)->ext;
}

static PciDevice *pci_of(Port *s)
{
    return &s->bridge.pci;
}

static bool is_occupied(const Port *s)
{
    return s->bridge.below->slot[0] != NULL;
}

/* ---- the slot's registers ---- */

static uint16_t get(Port *s, unsigned reg)
{
    return pci_get16(pci_of(s), pci_of(s)->express_at + reg);
}

static void set(Port *s, unsigned reg, uint16_t value)
{
    pci_set16(pci_of(s), pci_of(s)->express_at + reg, value);
}

/* An enabled event that has happened asks for an interrupt. */
static void notify(Port *s)
{
    uint16_t control = get(s, PCIE_SLTCTL), status = get(s, PCIE_SLTSTA);
    bool wanted = (status & control & SLTCTL_EVENTS) ||
                  (status & SLTSTA_LINK_CHANGED && control & SLTCTL_LINK_EVENT);

    wanted = wanted && control & SLTCTL_IRQ;
    if (!pci_msi_enabled(pci_of(s))) {
        pci_intx(pci_of(s), wanted);
    } else if (wanted) {
        pci_notify(pci_of(s), 0);
    }
}

static void event(Port *s, uint16_t bits)
{
    set(s, PCIE_SLTSTA, get(s, PCIE_SLTSTA) | bits);
    notify(s);
}

static void show_presence(Port *s)
{
    bool present = is_occupied(s);
    uint16_t status = get(s, PCIE_SLTSTA), link = get(s, PCIE_LNKSTA);

    set(s, PCIE_SLTSTA, present ? status | SLTSTA_PRESENT : status & ~SLTSTA_PRESENT);
    set(s, PCIE_LNKSTA, present ? link | LNKSTA_ACTIVE : link & ~LNKSTA_ACTIVE);
}

/* ---- plugging and unplugging ---- */

static bool plugged(void *opaque, PciDevice *p, GError **error)
{
    Port *s = opaque;

    if ((p->devfn & 7) == 0) {  /* function 0 comes last */
        device_lock(&pci_of(s)->dev);
        show_presence(s);
        event(s, SLTSTA_PRESENCE_CHANGED | SLTSTA_LINK_CHANGED);
        device_unlock(&pci_of(s)->dev);
    }
    return true;
}

/* Control thread: the guest has cut the power. */
static void eject(Device *d, void *unused)
{
    Port *s = (Port *)d;

    for (unsigned fn = 8; fn-- > 0;) {
        PciDevice *p = s->bridge.below->slot[fn];
        if (p) {
            device_unplug(&p->dev);
        }
    }
    device_lock(&pci_of(s)->dev);
    show_presence(s);
    event(s, SLTSTA_PRESENCE_CHANGED | SLTSTA_LINK_CHANGED);
    device_unlock(&pci_of(s)->dev);
}

/* The attention button; a guest that does not run, or has switched the slot off, is not asked. */
static bool unplug_request(void *opaque, PciDevice *p, GError **error)
{
    Port *s = opaque;
    uint16_t control = get(s, PCIE_SLTCTL);

    if ((control & SLTCTL_POWER_LED) == SLTCTL_POWER_LED_BLINK) {
        return error_set(error, "Hot-unplug failed: guest is busy (power indicator blinking)");
    }
    if (control & SLTCTL_POWER_OFF) {
        eject(&pci_of(s)->dev, NULL);
        return true;
    }
    device_lock(&pci_of(s)->dev);
    event(s, SLTSTA_BUTTON);
    device_unlock(&pci_of(s)->dev);
    return true;
}

static void wrote_control(Port *s)
{
    enum { OFF = SLTCTL_POWER_OFF | SLTCTL_POWER_LED_OFF };
    uint16_t now = get(s, PCIE_SLTCTL), before = s->control;

    s->control = now;
    if (is_occupied(s) && (now & (SLTCTL_POWER_OFF | SLTCTL_POWER_LED)) == OFF &&
        (before & (SLTCTL_POWER_OFF | SLTCTL_POWER_LED)) != OFF) {
        device_post(&pci_of(s)->dev, eject, NULL, NULL);
    }
    event(s, SLTSTA_COMMAND_DONE);
}

static void config_wrote(PciDevice *p, unsigned at, unsigned size)
{
    Port *s = (Port *)p;
    unsigned control = p->express_at + PCIE_SLTCTL;

    bridge_config_wrote(p, at, size);
    if (!kind_of(s)->slot) {
        return;
    }
    if (at < control + 2 && control < at + size) {
        wrote_control(s);
    } else {
        notify(s);              /* status bits may have been cleared */
    }
}

/* ---- life ---- */

static void add_slot(Port *s)
{
    PciDevice *p = pci_of(s);
    unsigned at = p->express_at;
    bool native = s->hotplug && !s->bridge.below->root->bridge_hotplug;
    uint32_t features = native ? SLTCAP_BUTTON | SLTCAP_POWER | SLTCAP_ATTENTION_LED |
                                         SLTCAP_POWER_LED | SLTCAP_SURPRISE | SLTCAP_HOTPLUG : 0;

    pci_init16(p, at + PCIE_FLAGS, pci_get16(p, at + PCIE_FLAGS) | FLAGS_SLOT, 0, 0);
    pci_init32(p, at + PCIE_LNKCAP, pci_get32(p, at + PCIE_LNKCAP) | LNKCAP_REPORTS_ACTIVE, 0, 0);
    pci_init32(p, at + PCIE_SLTCAP, features | s->slot << SLTCAP_NUMBER_SHIFT, 0, 0);
    pci_init16(p, at + PCIE_SLTCTL, SLTCTL_ATTENTION_LED_OFF, SLTCTL_WRITABLE, 0);
    pci_init16(p, at + PCIE_SLTSTA, 0, 0, SLTSTA_CLEARS);
    s->hotplug_ops = (PciHotplug){plugged, unplug_request, s};
    if (native) {
        s->bridge.below->hotplug = &s->hotplug_ops;
    } else if (!s->hotplug) {
        s->bridge.below->hotplug = NULL;
    }
}

static bool realize(Device *d, GError **error);

/* Another port that says it is the same slot of the same chassis. */
static bool is_twin(Object *o, void *data)
{
    const Port *s = data, *other = (const Port *)o;

    return o != &((Device *)data)->object && object_is_a(o, "pci-bridge-base") &&
           ((Device *)o)->realized && device_type((Device *)o)->realize == realize &&
           kind_of(other)->slot && other->chassis == s->chassis && other->slot == s->slot;
}

static bool realize(Device *d, GError **error)
{
    Port *s = (Port *)d;
    PciDevice *p = pci_of(s);
    const PortKind *kind = kind_of(s);

    if (s->slot > SLOT_MAX) {
        return error_set(error, "slot=%u: expected 0 to %u", s->slot, SLOT_MAX);
    }
    if (kind->slot && s->chassis && object_walk(&d->object.vm->root, is_twin, s)) {
        return error_set(error, "chassis=%u,slot=%u: another port has them", s->chassis, s->slot);
    }
    if (!pcie_add_express(p, kind->express, s->port, 0, error)) {
        return false;
    }
    if (kind->express == PCIE_ROOT_PORT) {
        pci_init16(p, p->express_at + PCIE_RTCTL, 0, RTCTL_WRITABLE, 0);
    }
    pcie_add_aer(p, 0x100);
    s->bridge.below = pci_bridge_bus_new(p, NULL, true, s->bridge.memory, s->bridge.io);
    s->bridge.below->one_slot = kind->slot;
    if (kind->slot) {
        add_slot(s);
    } else {
        s->bridge.below->hotplug = NULL;        /* a switch's inside */
    }
    return true;
}

/* What is in the slot from the beginning is on. */
static void reset_hold(Device *d)
{
    Port *s = (Port *)d;

    if (kind_of(s)->slot) {
        uint16_t power = is_occupied(s) ? SLTCTL_POWER_LED_ON
                                        : SLTCTL_POWER_LED_OFF | SLTCTL_POWER_OFF;
        set(s, PCIE_SLTCTL, SLTCTL_ATTENTION_LED_OFF | power);
        s->control = get(s, PCIE_SLTCTL);
        show_presence(s);
        notify(s);
    }
}

static const Field fields[] = {
    HOST(Port, hotplug_ops), SAVED(Port, control),
    PROP(Port, port, "port", PROP_U32, .desc = "Number of the link"),
    PROP(Port, chassis, "chassis", PROP_U32, .desc = "Number of the chassis the slot is in"),
    PROP(Port, slot, "slot", PROP_U32, .desc = "Number of the slot in its chassis"),
    PROP(Port, hotplug, "hotplug", PROP_BOOL, .init = 1, .desc = "Devices may come and go"),
};

#define PORT(variable, name_, desc_, vendor_, device_, revision_, kind_)                          \
    static const PciInfo variable##_info = {                                                      \
        .vendor = vendor_, .device = device_, .class = 0x060400, .revision = revision_, .pin = 1, \
        .bridge = true, .express = PCIE_ALWAYS, .no_hotplug = true, .pm = true,                 \
        .msi = {.vectors = 1}, .config_wrote = config_wrote,                                      \
    };                                                                                            \
    static const DeviceType variable = {                                                          \
        .name = name_, .parent = "pci-bridge-base", .desc = desc_, .size = sizeof(Port),          \
        .category = DEVICE_BRIDGE, .pluggable = true, FIELDS(fields), .realize = realize,         \
        .reset_hold = reset_hold, .pci = &variable##_info, .ext = &kind_,                         \
    };                                                                                            \
    DEVICE_TYPE(variable)
PORT(root_port, "pcie-root-port", "PCI Express Root Port", 0x1b36, 0x000c, 0, root_kind);
PORT(ioh3420, "ioh3420", "Intel IOH device id 3420 PCIE Root Port", 0x8086, 0x3420, 2, root_kind);
PORT(upstream, "x3130-upstream", "TI X3130 Upstream Port of PCI Express Switch", 0x104c, 0x8232, 2,
     upstream_kind);
PORT(downstream, "xio3130-downstream", "TI X3130 Downstream Port of PCI Express Switch", 0x104c, 0x8233,
     1, downstream_kind);
