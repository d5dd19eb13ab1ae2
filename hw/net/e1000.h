/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's gigabit Ethernet controllers: what 82540EM (e1000) and 82574L (e1000e) have in common.
 *
 * Specs: PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453,
 * "SDM" here); 82574 GbE Controller Family Datasheet (317694, "82574").
 */
#ifndef HW_NET_E1000_H
#define HW_NET_E1000_H

#include "hw/net/microwire.h"
#include "hw/net/port.h"
#include "hw/pci.h"

enum {
    E1000_QUEUES = 2,
    E1000_NVM_WORDS = MICROWIRE_WORDS,
    E1000_STATS = 76,
    E1000_RA = 16,
    E1000_VECTORS = 5,
    E1000_KEPT = 10
};

/* Interrupt causes (SDM 13.4.17; those of single queues: 82574, 10.2.4.1). */
enum {
    ICR_TXDW = 1 << 0, ICR_TXQE = 1 << 1, ICR_LSC = 1 << 2, ICR_RXDMT0 = 1 << 4, ICR_RXO = 1 << 6,
    ICR_RXT0 = 1 << 7, ICR_MDAC = 1 << 9, ICR_ACK = 1 << 17, ICR_RXQ0 = 1 << 20, ICR_RXQ1 = 1 << 21,
    ICR_TXQ0 = 1 << 22, ICR_TXQ1 = 1 << 23, ICR_OTHER = 1 << 24,
};
#define ICR_ASSERTED (1u << 31)
/* Statistics: element of `stats` (SDM 13.7), at 0x4000 + 4 * element. */
enum {
    STAT_CRCERRS = 0,
    STAT_MPC = 4,
    STAT_PRC64 = 0x17,
    STAT_GPRC = 0x1d,
    STAT_BPRC,
    STAT_MPRC,
    STAT_GPTC,
    STAT_GORCL = 0x22,
    STAT_GORCH,
    STAT_GOTCL,
    STAT_GOTCH,
    STAT_RNBC = 0x28,
    STAT_RUC,
    STAT_RFC,
    STAT_ROC,
    STAT_TORL = 0x30,
    STAT_TORH,
    STAT_TOTL,
    STAT_TOTH,
    STAT_TPR,
    STAT_TPT,
    STAT_PTC64,
    STAT_MPTC = 0x3c,
    STAT_BPTC,
    STAT_TSCTC,
    STAT_TSCTFC,
};
enum {
    RCTL_EN = 2,
    RCTL_UPE = 8,
    RCTL_MPE = 0x10,
    RCTL_LPE = 0x20,
    RCTL_BAM = 0x8000,
    RCTL_VFE = 0x40000,
    RCTL_BSEX = 0x2000000,
    RCTL_SECRC = 0x4000000
};
enum { TCTL_EN = 2, TCTL_PSP = 8, STATUS_FD = 1, STATUS_LU = 2, CTRL_SLU = 0x40, CTRL_RST = 1 << 26,
       CTRL_VME = 1 << 30 };

typedef struct E1000 {
    PciDevice pci;
    NicPort port;
    Netdev *netdev;
    uint8_t mac[6];             /* property */
    int32_t bootindex;
    bool mitigation, is_82574;
    Timer negotiated, unmuted;  /* link comes up; interrupts may be raised again (ITR) */
    /* General. */
    uint32_t ctrl, ctrl_ext, status, eecd, eerd, mdic, ledctl, pba, fcal, fcah, fct, vet, fcttv,
        fcrtl, fcrth, wuc, wufc, manc, io_at;
    uint32_t kept[E1000_KEPT];  /* 82574: kept for the driver, without effect */
    uint64_t time;              /* 82574's SYSTIM as of `time_at`, virtual ns */
    int64_t time_at;
    uint32_t timinca;
    /* Interrupts. */
    uint32_t icr, ims, itr, iam, eiac, ivar, eitr[E1000_VECTORS];
    bool muted;                 /* within the interval of ITR */
    /* Rings. */
    uint32_t rctl, tctl, rxcsum, rfctl, psrctl, mrqc;
    uint32_t rdbal[E1000_QUEUES], rdbah[E1000_QUEUES], rdlen[E1000_QUEUES], rdh[E1000_QUEUES],
        rdt[E1000_QUEUES], rxdctl[E1000_QUEUES], tdbal[E1000_QUEUES], tdbah[E1000_QUEUES],
        tdlen[E1000_QUEUES], tdh[E1000_QUEUES], tdt[E1000_QUEUES], txdctl[E1000_QUEUES];
    uint32_t rdtr, radv, tidv, tadv, tipg, ait, tarc[E1000_QUEUES];
    uint8_t context[E1000_QUEUES][2][16];   /* last context descriptors: offload, segmentation */
    /* Filters. */
    uint32_t mta[128], ra[2 * E1000_RA], vfta[128], reta[32], rssrk[10], stats[E1000_STATS];
    /* Around the MAC. */
    uint16_t phy[32], nvm[E1000_NVM_WORDS];
    Microwire wire;
    uint8_t *frame;             /* to send: NET_MAX_PACKET */
} E1000;

static inline E1000 *e1000_of(Device *d) { return (E1000 *)d; }

/* Behind a BAR of I/O ports. */
extern const MemOps e1000_io_ops;
/* Causes happen: ICR and what follows. */
void e1000_cause(E1000 *s, uint32_t causes);
void e1000_stat(E1000 *s, unsigned stat, uint64_t n);      /* counters stick at the top */
/* The counters of one direction: by size from `sizes` on, all and good ones, groups, bytes of good and all. */
typedef struct E1000Counters {
    uint8_t sizes, all, good, group, broadcast, good_bytes, all_bytes;
} E1000Counters;
extern const E1000Counters e1000_sent, e1000_received;
void e1000_count(E1000 *s, const E1000Counters *c, const uint8_t *frame, size_t n);   /* n: without FCS */
void e1000_stat_bytes(E1000 *s, unsigned low, uint64_t n);  /* a pair of 64 bits */

/* e1000-tx.c: sends from all queues; from the port's work. */
void e1000_transmit(E1000 *s);
/* e1000-rx.c */
bool e1000_receive(Device *d, const uint8_t *frame, size_t n);

/* e1000-phy.c: PHY, EEPROM, link. */
void e1000_phy_reset(E1000 *s);
void e1000_nvm_fill(E1000 *s);
void e1000_link_update(E1000 *s);
void e1000_negotiated(Device *d);
void e1000_wrote_mdic(Device *d, uint64_t v);
void e1000_wrote_eerd(Device *d, uint64_t v);
void e1000_wrote_eecd(Device *d, uint64_t v);
uint64_t e1000_read_eecd(Device *d);

#endif
