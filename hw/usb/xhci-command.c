/* SPDX-License-Identifier: Apache-2.0 */
/* xHCI: the command ring. Spec: xHCI 1.2, 4.6. */
#include "hw/usb/xhci.h"
#include <string.h>
#include "util/log.h"

enum { ROUND = 64, DROP = 0, ADD = 1, CONTEXT = 32, STREAMS_MAX = 7, LINEAR = 0x8000 };

static uint64_t ring_of(const uint32_t *w) { return ((uint64_t)w[3] << 32 | w[2]) & ~15ull; }

/* ---- slots ---- */

static unsigned enable_slot(Xhci *s, unsigned *slot)
{
    unsigned limit = MIN(s->slots_enabled, s->slots);
    for (*slot = 0; *slot < limit; ++*slot)
        if (!s->slot[*slot].enabled) {
            s->slot[*slot] = (XhciSlot){.enabled = 1};
            return CC_SUCCESS;
        }
    *slot = -1u;
    return CC_NO_SLOTS;
}

void xhci_slot_free(Xhci *s, unsigned slot) { s->slot[slot] = (XhciSlot){0}; }

static unsigned disable_slot(Xhci *s, unsigned slot)
{
    UsbDevice *u = xhci_device(s, slot);
    uint32_t zero = 0;
    if (s->slot[slot].context)
        xhci_word_write(s, xhci_context_at(s, slot, 0) + 12, &zero, 1);
    if (u)
        u->address = 0;
    xhci_slot_free(s, slot);
    return CC_SUCCESS;
}

static void set_slot_state(Xhci *s, unsigned slot, unsigned state, unsigned entries)
{
    uint32_t w[4];
    uint64_t at = xhci_context_at(s, slot, 0);
    if (!xhci_word_read(s, at, w, 4))
        return;
    w[3] = (w[3] & 0x07ffff00) | state << 27 | (state >= SLOT_ADDRESSED ? slot + 1 : 0);
    if (entries)
        w[0] = (w[0] & 0x07ffffff) | entries << 27;
    xhci_word_write(s, at, w, 4);
}

/* ---- endpoints ---- */

static void disable_endpoint(Xhci *s, unsigned slot, unsigned ep)
{
    if (s->slot[slot].ep[ep].state == EP_DISABLED)
        return;
    xhci_ep_set_state(s, slot, ep, EP_DISABLED);
    s->slot[slot].ep[ep] = (XhciEp){0};
}

/* The endpoint's context as the driver wants it: checked, copied, running. */
static bool enable_endpoint(Xhci *s, unsigned slot, unsigned ep, uint32_t *w)
{
    XhciEp *e = &s->slot[slot].ep[ep];
    unsigned type = w[1] >> 3 & 7, streams = w[0] >> 10 & 31;
    bool bulk = type == EP_BULK_IN || type == EP_BULK_OUT, in = (ep + 1) & 1;
    if (!type || (ep == 0) != (type == EP_CONTROL) || (ep && in != (type > EP_CONTROL)))
        return false;
    if (streams && (!bulk || !s->streams || streams > STREAMS_MAX || !(w[0] & LINEAR)))
        return false;
    *e = (XhciEp){.ring = {ring_of(w), w[2] & 1}, .state = EP_RUNNING, .type = type,
                  .streams_log = streams ? streams + 1 : 0};
    w[0] = (w[0] & ~7u) | EP_RUNNING;
    xhci_word_write(s, xhci_context_at(s, slot, ep + 1), w, 8);
    return true;
}

static unsigned address_device(Xhci *s, unsigned slot, const XhciTrb *t)
{
    uint64_t in = t->parameter & ~15ull;
    uint32_t control[2], sc[8], ep0[8];
    uint32_t place[2];
    uint64_t dcbaa = ((uint64_t)s->dcbaap_high << 32 | s->dcbaap_low) & ~63ull;
    XhciSlot *sl = &s->slot[slot];
    if (!xhci_word_read(s, in, control, 2) || !xhci_word_read(s, in + CONTEXT, sc, 8) ||
        !xhci_word_read(s, in + 2 * CONTEXT, ep0, 8) || !xhci_word_read(s, dcbaa + 8 * (slot + 1), place, 2))
        return CC_TRB;
    if (control[DROP] || control[ADD] != 3)
        return CC_TRB;
    sl->context = ((uint64_t)place[1] << 32 | place[0]) & ~63ull;
    sl->route = sc[0] & 0xfffff;
    sl->port = sc[1] >> 16;
    UsbDevice *u = xhci_device(s, slot);
    if (!u)
        return CC_TRANSACTION;
    for (unsigned i = 0; i < s->slots; i++)
        if (i != slot && xhci_device(s, i) == u && s->slot[i].addressed)
            return CC_TRB;              /* another slot has this device */
    bool block = t->control & TRB_BLOCK_ADDRESS;
    /* The device hears the request itself; its address is the slot's number. */
    usb_device_reset(u);
    u->address = block ? 0 : slot + 1;
    sl->addressed = 1;
    sc[3] = (block ? SLOT_DEFAULT << 27 : SLOT_ADDRESSED << 27 | (slot + 1));
    xhci_word_write(s, xhci_context_at(s, slot, 0), sc, 8);
    return enable_endpoint(s, slot, 0, ep0) ? CC_SUCCESS : CC_PARAMETER;
}

static unsigned deconfigure(Xhci *s, unsigned slot)
{
    for (unsigned ep = 1; ep < XHCI_EPS; ep++)
        disable_endpoint(s, slot, ep);
    set_slot_state(s, slot, SLOT_ADDRESSED, 1);
    return CC_SUCCESS;
}

static unsigned configure_endpoint(Xhci *s, unsigned slot, const XhciTrb *t)
{
    uint64_t in = t->parameter & ~15ull;
    uint32_t control[2], sc[4];
    if (t->control & TRB_DECONFIGURE)
        return deconfigure(s, slot);
    if (!xhci_word_read(s, in, control, 2) || !xhci_word_read(s, in + CONTEXT, sc, 4))
        return CC_TRB;
    if (control[DROP] & 3 || !(control[ADD] & 1) || control[ADD] & 2)
        return CC_TRB;
    for (unsigned ep = 1; ep < XHCI_EPS; ep++) {
        uint32_t bit = 2u << ep, w[8];
        if (control[DROP] & bit)
            disable_endpoint(s, slot, ep);
        if (!(control[ADD] & bit))
            continue;
        disable_endpoint(s, slot, ep);
        if (!xhci_word_read(s, in + CONTEXT * (ep + 2), w, 8) || !enable_endpoint(s, slot, ep, w))
            return CC_PARAMETER;
    }
    set_slot_state(s, slot, SLOT_CONFIGURED, sc[0] >> 27);
    return CC_SUCCESS;
}

static unsigned evaluate_context(Xhci *s, unsigned slot, const XhciTrb *t)
{
    uint64_t in = t->parameter & ~15ull;
    uint32_t control[2], from[4], to[4];
    if (!xhci_word_read(s, in, control, 2) || control[DROP] || control[ADD] & ~3u)
        return CC_TRB;
    if (control[ADD] & 1) {             /* exit latency, interrupter */
        if (!xhci_word_read(s, in + CONTEXT, from, 4) || !xhci_word_read(s, xhci_context_at(s, slot, 0), to, 4))
            return CC_TRB;
        to[1] = (to[1] & ~0xffffu) | (from[1] & 0xffff);
        to[2] = (to[2] & ~0xffc00000u) | (from[2] & 0xffc00000);
        xhci_word_write(s, xhci_context_at(s, slot, 0), to, 4);
    }
    if (control[ADD] & 2) {             /* packet size of endpoint 0 */
        if (!xhci_word_read(s, in + 2 * CONTEXT, from, 4) || !xhci_word_read(s, xhci_context_at(s, slot, 1), to, 4))
            return CC_TRB;
        to[1] = (to[1] & 0xffff) | (from[1] & 0xffff0000);
        xhci_word_write(s, xhci_context_at(s, slot, 1), to, 4);
    }
    return CC_SUCCESS;
}

static unsigned reset_device(Xhci *s, unsigned slot)
{
    for (unsigned ep = 1; ep < XHCI_EPS; ep++)
        disable_endpoint(s, slot, ep);
    UsbDevice *u = xhci_device(s, slot);
    if (u)
        usb_device_reset(u);
    set_slot_state(s, slot, SLOT_DEFAULT, 1);
    return CC_SUCCESS;
}

static unsigned reset_endpoint(Xhci *s, unsigned slot, unsigned ep)
{
    if (s->slot[slot].ep[ep].state != EP_HALTED)
        return CC_CONTEXT_STATE;
    xhci_ep_set_state(s, slot, ep, EP_STOPPED);
    return CC_SUCCESS;
}

static unsigned stop_endpoint(Xhci *s, unsigned slot, unsigned ep)
{
    if (s->slot[slot].ep[ep].state != EP_RUNNING)
        return CC_CONTEXT_STATE;
    xhci_ep_set_state(s, slot, ep, EP_STOPPED);
    return CC_SUCCESS;
}

static unsigned set_dequeue(Xhci *s, unsigned slot, unsigned ep, const XhciTrb *t)
{
    XhciEp *e = &s->slot[slot].ep[ep];
    unsigned stream = t->status >> 16;
    if (e->state != EP_STOPPED && e->state != EP_ERROR)
        return CC_CONTEXT_STATE;
    if (e->streams_log) {
        uint64_t at = xhci_stream_context(s, slot, ep, stream);
        if (!at)
            return CC_STREAM_ID;
        xhci_word_write(s, at, (uint32_t[]){(uint32_t)t->parameter, t->parameter >> 32}, 2);
    } else {
        e->ring = (XhciRing){t->parameter & ~15ull, t->parameter & 1};
    }
    xhci_ep_set_state(s, slot, ep, EP_STOPPED);
    return CC_SUCCESS;
}

/* All of it is there for everyone. */
static unsigned get_bandwidth(Xhci *s, const XhciTrb *t)
{
    uint8_t share[1 + 2 * XHCI_PORTS];
    memset(share, 80, sizeof(share));
    share[0] = 0;
    return pci_dma_write(&s->pci, t->parameter & ~15ull, share, 1 + xhci_max_ports(s)) ? CC_SUCCESS : CC_TRB;
}

/* ---- dispatch ---- */

enum { NEEDS_SLOT = 1, NEEDS_ADDRESS = 2, NEEDS_EP = 4 };

static unsigned needs(unsigned type)
{
    switch (type) {
    case TRB_DISABLE_SLOT: case TRB_ADDRESS_DEVICE: return NEEDS_SLOT;
    case TRB_CONFIGURE_ENDPOINT: case TRB_EVALUATE_CONTEXT: case TRB_RESET_DEVICE: return NEEDS_SLOT | NEEDS_ADDRESS;
    case TRB_RESET_ENDPOINT: case TRB_STOP_ENDPOINT: case TRB_SET_DEQUEUE:
        return NEEDS_SLOT | NEEDS_ADDRESS | NEEDS_EP;
    default: return 0;
    }
}

static unsigned execute(Xhci *s, const XhciTrb *t, unsigned *slot)
{
    unsigned type = trb_type(t), need = needs(type), ep = (t->control >> 16 & 31) - 1u;
    *slot = (t->control >> 24) - 1u;
    if (need & NEEDS_SLOT && (*slot >= s->slots || !s->slot[*slot].enabled))
        return CC_SLOT_NOT_ENABLED;
    if (need & NEEDS_ADDRESS && !s->slot[*slot].addressed)
        return CC_CONTEXT_STATE;
    if (need & NEEDS_EP && (ep >= XHCI_EPS || s->slot[*slot].ep[ep].state == EP_DISABLED))
        return ep >= XHCI_EPS ? CC_TRB : CC_ENDPOINT_NOT_ENABLED;
    switch (type) {
    case TRB_ENABLE_SLOT: return enable_slot(s, slot);
    case TRB_DISABLE_SLOT: return disable_slot(s, *slot);
    case TRB_ADDRESS_DEVICE: return address_device(s, *slot, t);
    case TRB_CONFIGURE_ENDPOINT: return configure_endpoint(s, *slot, t);
    case TRB_EVALUATE_CONTEXT: return evaluate_context(s, *slot, t);
    case TRB_RESET_ENDPOINT: return reset_endpoint(s, *slot, ep);
    case TRB_STOP_ENDPOINT: return stop_endpoint(s, *slot, ep);
    case TRB_SET_DEQUEUE: return set_dequeue(s, *slot, ep, t);
    case TRB_RESET_DEVICE: return reset_device(s, *slot);
    case TRB_GET_BANDWIDTH: return get_bandwidth(s, t);
    case TRB_COMMAND_NOOP: return CC_SUCCESS;
    case TRB_NEC_FIRMWARE: return s->nec ? CC_SUCCESS : CC_TRB;
    default:
        log_guest(s, "command %u is not known", type);
        return CC_TRB;
    }
}

void xhci_run_commands(Xhci *s)
{
    enum { NEC_REVISION = 0x3025 };
    for (unsigned n = 0; s->command_running && s->usbcmd & CMD_RUN; n++) {
        XhciTrb t;
        XhciRing r = s->commands;
        uint64_t at;
        unsigned slot = 0;
        if (!xhci_ring_next(s, &r, &t, &at))
            return;
        if (xhci_event_room(s, 0) < 2 || n == ROUND) {
            s->intr[0].full = true;
            if (n == ROUND)
                timer_arm(&s->work, clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL) + 50000);
            return;
        }
        s->commands = r;
        unsigned code = execute(s, &t, &slot);
        bool nec = trb_type(&t) == TRB_NEC_FIRMWARE && code == CC_SUCCESS;
        XhciTrb e = {.parameter = at, .status = code << 24 | (nec ? NEC_REVISION : 0),
                     .control = (nec ? TRB_NEC_COMPLETION : TRB_COMMAND_COMPLETION) << 10 | (slot + 1) << 24};
        xhci_event(s, 0, &e);
    }
}
