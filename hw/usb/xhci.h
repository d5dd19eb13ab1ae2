/* SPDX-License-Identifier: Apache-2.0 */
/* xHCI's parts: registers and events (xhci.c), commands, transfers. Spec: xHCI 1.2. */
#ifndef HW_USB_XHCI_H
#define HW_USB_XHCI_H

#include "hw/pci.h"
#include "hw/usb.h"

enum {
    XHCI_SLOTS = 64, XHCI_INTRS = 16, XHCI_PORTS = 15, XHCI_EPS = 31,
    XHCI_TD_TRBS = 4096, XHCI_TD_BYTES = 16 << 20,
    /* TRB types: 6.4.6 */
    TRB_NORMAL = 1, TRB_SETUP, TRB_DATA, TRB_STATUS, TRB_ISOCH, TRB_LINK, TRB_EVENT_DATA, TRB_NOOP,
    TRB_ENABLE_SLOT, TRB_DISABLE_SLOT, TRB_ADDRESS_DEVICE, TRB_CONFIGURE_ENDPOINT, TRB_EVALUATE_CONTEXT,
    TRB_RESET_ENDPOINT, TRB_STOP_ENDPOINT, TRB_SET_DEQUEUE, TRB_RESET_DEVICE, TRB_GET_BANDWIDTH = 21,
    TRB_COMMAND_NOOP = 23, TRB_TRANSFER_EVENT = 32, TRB_COMMAND_COMPLETION, TRB_PORT_CHANGE,
    TRB_CONTROLLER_EVENT = 37, TRB_NEC_COMPLETION = 48, TRB_NEC_FIRMWARE = 49,
    /* TRB control bits */
    TRB_CYCLE = 1, TRB_TOGGLE = 2, TRB_SHORT_EVENT = 4, TRB_CHAIN = 0x10, TRB_IOC = 0x20, TRB_IMMEDIATE = 0x40,
    TRB_EVENT_ED = 4, TRB_BLOCK_ADDRESS = 0x200, TRB_DECONFIGURE = 0x200, TRB_IN = 0x10000,
    /* completion codes: 6.4.5 */
    CC_SUCCESS = 1, CC_BABBLE = 3, CC_TRANSACTION = 4, CC_TRB = 5, CC_STALL = 6, CC_NO_SLOTS = 9,
    CC_SLOT_NOT_ENABLED = 11, CC_ENDPOINT_NOT_ENABLED = 12, CC_SHORT_PACKET = 13, CC_PARAMETER = 17,
    CC_CONTEXT_STATE = 19, CC_RING_FULL = 21, CC_COMMAND_STOPPED = 24, CC_STREAM_ID = 34,
    /* endpoint states, types: 6.2.3 */
    EP_DISABLED = 0, EP_RUNNING, EP_HALTED, EP_STOPPED, EP_ERROR,
    EP_ISOCH_OUT = 1, EP_BULK_OUT, EP_INTERRUPT_OUT, EP_CONTROL, EP_ISOCH_IN, EP_BULK_IN, EP_INTERRUPT_IN,
    /* slot states: 6.2.2 */
    SLOT_ENABLED = 0, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED,
    /* USBCMD, USBSTS */
    CMD_RUN = 1, CMD_RESET = 2, CMD_INTE = 4, CMD_HSEE = 8, CMD_EWE = 0x400,
    STS_HALTED = 1, STS_HSE = 4, STS_EINT = 8, STS_PCD = 0x10,
};

typedef struct XhciTrb {
    uint64_t parameter;
    uint32_t status, control;
} XhciTrb;

typedef struct XhciRing {
    uint64_t dequeue;
    uint8_t cycle;
} XhciRing;

/* State of guests' making: plain data, saved as it is. */
typedef struct XhciEp {
    XhciRing ring;              /* without streams */
    uint8_t state, type, streams_log;   /* 2^streams_log primary streams; 0: none */
    uint8_t due;                /* to be looked at again */
} XhciEp;
typedef struct XhciSlot {
    uint64_t context;           /* output device context */
    uint32_t route;
    uint8_t enabled, addressed, port;
    XhciEp ep[XHCI_EPS];        /* by device context index - 1 */
} XhciSlot;
typedef struct XhciIntr {
    uint64_t table, dequeue;    /* ERSTBA, ERDP */
    uint64_t segment;           /* of the one segment */
    uint32_t iman, imod, table_size, segment_size, at;
    uint8_t cycle, full;
} XhciIntr;

/* A transfer descriptor on its way. */
typedef struct XhciTd {
    unsigned n;
    uint32_t bytes;
    XhciRing after;             /* the ring behind it */
    struct { XhciTrb trb; uint64_t at; } *trb;
} XhciTd;

typedef struct Xhci {
    PciDevice pci;
    UsbBus *bus;
    UsbPort port[XHCI_PORTS];   /* one for each pair of a USB 2 and a SuperSpeed port */
    Timer work;
    /* operational registers */
    uint32_t usbcmd, usbsts, dnctrl, slots_enabled, crcr_low, crcr_high, dcbaap_low, dcbaap_high;
    uint32_t portsc[2 * XHCI_PORTS];    /* SuperSpeed ports first */
    uint32_t ports_due;         /* change events that found no room */
    int64_t started;            /* of the microframe counter */
    XhciRing commands;
    uint8_t command_running;
    XhciIntr intr[XHCI_INTRS];
    XhciSlot slot[XHCI_SLOTS];
    bool busy;                  /* in transfers: what becomes ready waits */
    XhciTd td;
    /* properties */
    uint32_t p2, p3, slots, intrs;
    bool streams, ss_first, nec;
    int msix;
} Xhci;

static inline unsigned xhci_max_ports(const Xhci *s) { return s->p2 + s->p3; }

/* ---- rings and events ---- */
bool xhci_trb_read(Xhci *s, uint64_t at, XhciTrb *t);
static inline unsigned trb_type(const XhciTrb *t) { return t->control >> 10 & 63; }
/* The next TRB that is not a link; false: the ring is empty (or no good). */
bool xhci_ring_next(Xhci *s, XhciRing *r, XhciTrb *t, uint64_t *at);
/* Free places for events. */
unsigned xhci_event_room(const Xhci *s, unsigned intr);
void xhci_event(Xhci *s, unsigned intr, const XhciTrb *t);
/* Something that only a broken driver brings about: HSE, halted. */
void xhci_die(Xhci *s, const char *why);

/* ---- transfers ---- */
UsbDevice *xhci_device(Xhci *s, unsigned slot);
void xhci_doorbell(Xhci *s, unsigned slot, unsigned ep, unsigned stream);
void xhci_ready(UsbBus *bus, UsbDevice *u, uint8_t address, uint16_t stream);
void xhci_run_due(Xhci *s);
void xhci_ep_set_state(Xhci *s, unsigned slot, unsigned ep, unsigned state);
uint64_t xhci_context_at(const Xhci *s, unsigned slot, unsigned dci);   /* 0: the slot's own */
bool xhci_word_read(Xhci *s, uint64_t at, uint32_t *words, unsigned n);
void xhci_word_write(Xhci *s, uint64_t at, const uint32_t *words, unsigned n);
/* Address of a stream's context; 0: there is no such. */
uint64_t xhci_stream_context(Xhci *s, unsigned slot, unsigned ep, unsigned stream);

/* ---- commands ---- */
void xhci_run_commands(Xhci *s);
void xhci_slot_free(Xhci *s, unsigned slot);

#endif
