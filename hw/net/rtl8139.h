/* SPDX-License-Identifier: Apache-2.0 */
/* Realtek RTL8139C+. Spec: Realtek RTL8139C(L)+ data sheet, rev. 1.6 ("5.x" are its sections). */
#ifndef HW_NET_RTL8139_H
#define HW_NET_RTL8139_H

#include "hw/net/microwire.h"
#include "hw/net/port.h"
#include "hw/pci.h"

enum { RTL_SLOTS = 4 };
/* ISR and IMR (5.6). */
enum {
    RTL_ROK = 1,
    RTL_RER = 2,
    RTL_TOK = 4,
    RTL_TER = 8,
    RTL_RXOVW = 0x10,
    RTL_LINK = 0x20,
    RTL_TDU = 0x80,
    RTL_SW = 0x100,
    RTL_TIMEOUT = 0x4000
};
enum { RTL_CR_BUFE = 1, RTL_CR_TE = 4, RTL_CR_RE = 8, RTL_CR_RST = 0x10 };
enum { RTL_CP_TX = 1, RTL_CP_RX = 2, RTL_CP_SUM = 0x20, RTL_CP_VLAN = 0x40 };
enum { RTL_TSD_SIZE = 0x1fff, RTL_TSD_OWN = 0x2000, RTL_TSD_TUN = 0x4000, RTL_TSD_TOK = 0x8000 };
enum { RTL_LOOPBACK = 3 << 17 };

typedef struct Rtl8139 {
    PciDevice pci;
    NicPort port;
    Netdev *netdev;
    uint8_t mac[6];             /* property */
    int32_t bootindex;
    Timer compare;              /* TCTR reaches TimerInt */
    uint8_t idr[6], mar[8], cr, pins, cfg[6], poll, etthr;
    uint16_t capr, cbr, imr, isr, mulint, cpcr, mii[6], cscr;
    uint32_t tsd[RTL_SLOTS], tsad[RTL_SLOTS], rbstart, tcr, rcr, timer_int, mpc, rdsar[2],
        tally_at[2];
    int64_t timer_from;         /* virtual ns when TCTR was 0 */
    uint32_t slot;              /* the next to send from */
    uint32_t cp_tx, cp_rx;      /* next descriptors of the C+ rings */
    uint64_t tx_ok, rx_ok, rx_broadcast;
    uint32_t rx_multicast, missed;
    uint16_t nvm[MICROWIRE_WORDS];
    Microwire wire;
    uint8_t *frame;             /* to send: NET_MAX_PACKET */
} Rtl8139;
static inline Rtl8139 *rtl_of(Device *d) { return (Rtl8139 *)d; }

void rtl_cause(Rtl8139 *s, unsigned causes);
/* rtl8139-ring.c: from the port. */
void rtl_transmit(Rtl8139 *s);
bool rtl_receive(Device *d, const uint8_t *frame, size_t n);
/* No packet waits in the ring of the old receiver. */
bool rtl_empty(const Rtl8139 *s);

#endif
