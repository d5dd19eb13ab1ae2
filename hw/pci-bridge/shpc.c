/* SPDX-License-Identifier: Apache-2.0 */
/* Standard Hot-Plug Controller. Spec: PCI SHPC and Subsystem 1.0, chapter 4 (registers), 3.2 (commands). */
#include "hw/pci-bridge/shpc.h"
#include "util/error.h"
#include "util/log.h"

enum {
    /* the capability */
    SELECT = 2, PENDING = 3, DATA = 4, CAP_SIZE = 8, CONTROLLER_INTERRUPT = 4,
    /* working registers, by dword */
    R_BASE = 0, R_SLOTS_33 = 1, R_CONFIG = 3, R_BUS = 4, R_COMMAND = 5, R_INTERRUPTS = 6, R_ENABLE = 8, R_SLOT = 9,
    FIRST_DEVICE = 1, NUMBERS_RISE = 1 << 29, HAS_LATCH = 1 << 30, PROG_IF = 1,
    STATUS_LATCH_OPEN = 2, STATUS_INVALID = 4, STATUS_BAD_SPEED = 8,
    MASK_ALL = 1, MASK_COMMAND = 4, ENABLE_WRITABLE = 0xf, COMMAND_DONE = 1 << 16, ENABLE_CLEARS = 3 << 16,
    /* a slot */
    STATE = 3, POWERED = 1, ENABLED = 2, DISABLED = 3, POWER_SHIFT = 2, ATTENTION_SHIFT = 4, ON = 1, BLINK = 2, OFF = 3,
    LATCH_OPEN = 1 << 8, EMPTY = 3 << 10, EVENT_SHIFT = 16, EVENTS = 0x1f, MASK_SHIFT = 24,
    EVENT_PRESENCE = 1 << 16, EVENT_BUTTON = 1 << 18, EVENT_LATCH = 1 << 19,
    SLOT_WRITABLE = 0x7f << 24, SLOT_CLEARS = 0x1f << 16,
    /* commands */
    SLOT_COMMANDS = 0x40, SET_33_MHZ = 0x40, SET_LAST_SPEED = 0x47, POWER_ALL = 0x48, ENABLE_ALL = 0x49,
};
#define HAS_BUTTON (1u << 31)

static Device *device_of(Shpc *s) { return &s->bridge->pci.dev; }
static bool occupied(const Shpc *s, unsigned i) { return s->bridge->below->slot[(i + FIRST_DEVICE) << 3] != NULL; }
static unsigned power(uint32_t slot) { return slot >> POWER_SHIFT & 3; }

/* ---- interrupts ---- */

static uint32_t interrupts(const Shpc *s)
{
    uint32_t bits = s->enable & COMMAND_DONE && !(s->enable & MASK_COMMAND) ? 1 : 0;
    for (unsigned i = 0; i < SHPC_SLOTS; i++)
        if (s->slot[i] >> EVENT_SHIFT & ~(s->slot[i] >> MASK_SHIFT) & EVENTS)
            bits |= 2u << i;
    return bits;
}

static void update(Shpc *s, bool news)
{
    PciDevice *p = &s->bridge->pci;
    bool wanted = interrupts(s) && !(s->enable & MASK_ALL);
    if (!pci_msi_enabled(p))
        pci_intx(p, wanted);
    else if (wanted && news)
        pci_notify(p, 0);
}

static void event(Shpc *s, unsigned i, uint32_t events)
{
    s->slot[i] |= events;
    update(s, true);
}

/* ---- slots ---- */

static void show_presence(Shpc *s, unsigned i)
{
    s->slot[i] &= ~(uint32_t)(EMPTY | LATCH_OPEN);
    s->slot[i] |= occupied(s, i) ? 0 : EMPTY | LATCH_OPEN;
}

typedef struct Ejection {
    Shpc *s;
    unsigned slot;
} Ejection;

/* Control thread. Function 0 goes last. */
static void eject_slot(Shpc *s, unsigned i)
{
    for (unsigned fn = 8; fn-- > 0;) {
        PciDevice *p = s->bridge->below->slot[(i + FIRST_DEVICE) << 3 | fn];
        if (p)
            device_unplug(&p->dev);
    }
    device_lock(device_of(s));
    show_presence(s, i);
    event(s, i, EVENT_PRESENCE | EVENT_LATCH);
    device_unlock(device_of(s));
}

static void eject(Device *d, void *data)
{
    const Ejection *e = data;
    eject_slot(e->s, e->slot);
}

static bool is_off(uint32_t slot) { return (slot & STATE) == DISABLED && power(slot) == OFF; }

/* Fields that are 0 stay as they are; false: the latch is open. */
static bool operate(Shpc *s, unsigned i, unsigned state, unsigned power_led, unsigned attention_led)
{
    uint32_t old = s->slot[i], v = old;
    if (state && state != DISABLED && old & LATCH_OPEN)
        return false;
    if (state == POWERED && (old & STATE) == ENABLED)
        state = 0;              /* it has to be disabled first */
    if (state)
        v = (v & ~(uint32_t)STATE) | state;
    if (power_led)
        v = (v & ~(3u << POWER_SHIFT)) | power_led << POWER_SHIFT;
    if (attention_led)
        v = (v & ~(3u << ATTENTION_SHIFT)) | attention_led << ATTENTION_SHIFT;
    s->slot[i] = v;
    if (is_off(v) && !is_off(old) && occupied(s, i)) {
        Ejection *e = g_new(Ejection, 1);
        *e = (Ejection){s, i};
        device_post(device_of(s), eject, e, g_free);
    }
    return true;
}

static uint16_t operate_all(Shpc *s, unsigned state)
{
    for (unsigned i = 0; i < SHPC_SLOTS; i++)
        if ((s->slot[i] & STATE) == ENABLED)
            return STATUS_INVALID;
    for (unsigned i = 0; i < SHPC_SLOTS; i++)
        operate(s, i, state, ON, 0);    /* open latches: those stay off */
    return 0;
}

static uint16_t run_command(Shpc *s)
{
    unsigned code = s->command, slot = s->target & 0x1f;
    if (code < SLOT_COMMANDS) {
        if (!slot || slot > SHPC_SLOTS)
            return STATUS_INVALID;
        return operate(s, slot - 1, code & STATE, code >> POWER_SHIFT & 3, code >> ATTENTION_SHIFT & 3) ? 0
               : STATUS_LATCH_OPEN;
    }
    if (code <= SET_LAST_SPEED)
        return code == SET_33_MHZ ? 0 : STATUS_BAD_SPEED;
    return code == POWER_ALL ? operate_all(s, POWERED) : code == ENABLE_ALL ? operate_all(s, ENABLED) : STATUS_INVALID;
}

/* ---- registers ---- */

static uint32_t get(const Shpc *s, unsigned n)
{
    switch (n) {
    case R_SLOTS_33: return SHPC_SLOTS;
    case R_CONFIG: return SHPC_SLOTS | FIRST_DEVICE << 8 | FIRST_DEVICE << 16 | NUMBERS_RISE | HAS_LATCH | HAS_BUTTON;
    case R_BUS: return (uint32_t)PROG_IF << 24;
    case R_COMMAND: return s->command | s->target << 8 | (uint32_t)s->status << 16;
    case R_INTERRUPTS: return interrupts(s);
    case R_ENABLE: return s->enable;
    }
    return n >= R_SLOT && n < R_SLOT + SHPC_SLOTS ? s->slot[n - R_SLOT] : 0;
}

static void change(uint32_t *reg, uint32_t value, uint32_t bytes, uint32_t writable, uint32_t clears)
{
    *reg = (*reg & ~(writable & bytes)) | (value & writable & bytes);
    *reg &= ~(value & clears & bytes);
}

/* `bytes` has ones where the access writes. */
static void put(Shpc *s, unsigned n, uint32_t value, uint32_t bytes)
{
    if (n == R_COMMAND) {
        if (bytes & 0xff00)
            s->target = value >> 8 & 0x1f;
        if (bytes & 0xff) {
            s->command = (uint8_t)value;
            s->status = run_command(s);
            s->enable |= COMMAND_DONE;
            trace(command, "code 0x%02x slot %u: status 0x%x", s->command, s->target, s->status);
            update(s, true);
        }
    } else if (n == R_ENABLE) {
        change(&s->enable, value, bytes, ENABLE_WRITABLE, ENABLE_CLEARS);
        update(s, true);
    } else if (n >= R_SLOT && n < R_SLOT + SHPC_SLOTS) {
        change(&s->slot[n - R_SLOT], value, bytes, SLOT_WRITABLE, SLOT_CLEARS);
        update(s, true);
    }
}

uint64_t shpc_read(Shpc *s, uint64_t at, unsigned size)
{
    uint32_t v = s->at ? get(s, at / 4) >> at % 4 * 8 : 0;
    return size < 4 ? v & ((1u << size * 8) - 1) : v;
}

void shpc_write(Shpc *s, uint64_t at, uint64_t value, unsigned size)
{
    unsigned shift = at % 4 * 8;
    uint32_t bytes = (size < 4 ? (1u << size * 8) - 1 : UINT32_MAX) << shift;
    if (s->at)
        put(s, at / 4, (uint32_t)value << shift, bytes);
}

static bool touches(unsigned at, unsigned size, unsigned first, unsigned bytes)
{
    return at < first + bytes && first < at + size;
}

void shpc_config_reading(Shpc *s, unsigned at, unsigned size)
{
    if (!s->at || !touches(at, size, s->at, CAP_SIZE))
        return;
    PciDevice *p = &s->bridge->pci;
    pci_set8(p, s->at + PENDING, interrupts(s) ? CONTROLLER_INTERRUPT : 0);
    pci_set32(p, s->at + DATA, get(s, pci_get8(p, s->at + SELECT)));
}

void shpc_config_wrote(Shpc *s, unsigned at, unsigned size)
{
    if (!s->at || !touches(at, size, s->at + DATA, 4))
        return;
    PciDevice *p = &s->bridge->pci;
    unsigned data = s->at + DATA, first = MAX(at, data), end = MIN(at + size, data + 4);
    uint32_t bytes = 0;
    for (unsigned i = first; i < end; i++)
        bytes |= 0xffu << (i - data) * 8;
    put(s, pci_get8(p, s->at + SELECT), pci_get32(p, data), bytes);
}

/* ---- the bus's side; control thread ---- */

static unsigned index_of(const PciDevice *p) { return (p->devfn >> 3) - FIRST_DEVICE; }

/* Someone puts the card in, closes the latch, and pushes the button. */
static bool plugged(void *opaque, PciDevice *p, GError **error)
{
    Shpc *s = opaque;
    if (p->devfn & 7)           /* function 0 comes last */
        return true;
    device_lock(device_of(s));
    show_presence(s, index_of(p));
    event(s, index_of(p), EVENT_PRESENCE | EVENT_LATCH | EVENT_BUTTON);
    device_unlock(device_of(s));
    return true;
}

static bool unplug_request(void *opaque, PciDevice *p, GError **error)
{
    Shpc *s = opaque;
    unsigned i = index_of(p);
    if (power(s->slot[i]) == BLINK)
        return error_set(error, "Hot-unplug failed: guest is busy (power indicator blinking)");
    if (is_off(s->slot[i])) {
        eject_slot(s, i);
        return true;
    }
    device_lock(device_of(s));
    event(s, i, EVENT_BUTTON);
    device_unlock(device_of(s));
    return true;
}

/* ---- life ---- */

bool shpc_add(Shpc *s, PciBridge *bridge, GError **error)
{
    PciDevice *p = &bridge->pci;
    PciBar bar = {.kind = PCI_BAR_MEM64, .window = true};
    s->bridge = bridge;
    s->at = pci_add_capability(p, PCI_CAP_SHPC, CAP_SIZE, 0, error);
    if (!s->at || !pci_add_bar(p, 0, &bar, NULL, error))
        return false;
    pci_init8(p, s->at + SELECT, 0, 0xff, 0);
    pci_init32(p, s->at + DATA, 0, UINT32_MAX, 0);
    s->ops = (PciHotplug){plugged, unplug_request, s};
    bridge->below->hotplug = &s->ops;
    return true;
}

void shpc_reset(Shpc *s)
{
    for (unsigned i = 0; s->at && i < SHPC_SLOTS; i++) {
        uint32_t on = ENABLED | ON << POWER_SHIFT, off = DISABLED | OFF << POWER_SHIFT;
        s->slot[i] = SLOT_WRITABLE | OFF << ATTENTION_SHIFT | (occupied(s, i) ? on : off);
        show_presence(s, i);
    }
    if (s->at)
        s->enable = ENABLE_WRITABLE;
}

void shpc_restored(Shpc *s)
{
    for (unsigned i = 0; s->at && i < SHPC_SLOTS; i++)
        show_presence(s, i);
    if (s->at)
        update(s, false);
}
