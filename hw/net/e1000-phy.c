/* SPDX-License-Identifier: Apache-2.0 */
/* Around the MAC: PHY behind MDIC, EEPROM behind EERD and the microwire pins, the link. Specs:
 * SDM 5.6, 13.4.3-13.4.7, 13.5; 82574, 10.2.2; IEEE 802.3, 22.2.4. */
#include "core/vm.h"
#include "hw/net/e1000.h"

enum {
    BMCR = 0,
    BMSR,
    PHYID1,
    PHYID2,
    ANAR,
    ANLPAR,
    GBCR = 9,
    GBSR,
    ESTATUS = 15,
    M88_CONTROL,
    M88_STATUS,
    M88_IE,
    M88_INT,
    M88_EXT_CONTROL,
    PAGE = 22,
    BMCR_RESET = 0x8000,
    BMCR_AN = 0x1000,
    BMCR_RESTART = 0x0200,
    BMSR_DONE = 0x20,
    BMSR_LINK = 4,
    M88_LINK = 0x400,
    PHY_ADDRESS = 1,
};
enum { MDIC_WRITE = 1, MDIC_READ = 2 };
#define MDIC_READY (1u << 28)
#define MDIC_IRQ (1u << 29)
#define MDIC_ERROR (1u << 30)
#define NEGOTIATION_NS (100 * 1000000ll)

static const struct { uint8_t reg; uint16_t value, writable; } phy_rows[] = {
    {BMCR, 0x1140, 0x7d40}, {BMSR, 0x7949, 0}, {PHYID1, 0x0141, 0}, {PHYID2, 0x0c20, 0},
    {ANAR, 0x0de1, 0xffff}, {ANLPAR, 0xc1e1, 0}, {6, 0x000f, 0}, {GBCR, 0x0e00, 0xff00},
    {GBSR, 0x3c00, 0}, {ESTATUS, 0x3000, 0}, {M88_CONTROL, 0x0360, 0xffff}, {M88_STATUS, 0xa800, 0},
    {M88_IE, 0, 0xffff}, {M88_EXT_CONTROL, 0x0d60, 0xffff}, {PAGE, 0, 0x00ff},
};

/* ---- the link ---- */

void e1000_link_update(E1000 *s)
{
    bool done = !(s->phy[BMCR] & BMCR_AN) || s->phy[BMSR] & BMSR_DONE,
         up = nic_port_link(&s->port) && done;
    s->phy[BMSR] = (uint16_t)((s->phy[BMSR] & ~BMSR_LINK) | (up ? BMSR_LINK : 0));
    s->phy[M88_STATUS] = (uint16_t)((s->phy[M88_STATUS] & ~M88_LINK) | (up ? M88_LINK : 0));
    uint32_t was = s->status & STATUS_LU;
    s->status = (s->status & ~(uint32_t)STATUS_LU) | (up ? STATUS_LU : 0);
    if (was != (s->status & STATUS_LU))
        e1000_cause(s, ICR_LSC);
}

static void negotiate(E1000 *s)
{
    s->phy[BMSR] &= (uint16_t)~BMSR_DONE;
    e1000_link_update(s);
    timer_arm(&s->negotiated, clock_ns(s->pci.dev.object.vm, CLOCK_K_VIRTUAL) + NEGOTIATION_NS);
}

void e1000_negotiated(Device *d)
{
    E1000 *s = e1000_of(d);
    s->phy[BMSR] |= BMSR_DONE;
    e1000_link_update(s);
}

/* ---- the PHY ---- */

void e1000_phy_reset(E1000 *s)
{
    memset(s->phy, 0, sizeof(s->phy));
    for (unsigned i = 0; i < G_N_ELEMENTS(phy_rows); i++)
        s->phy[phy_rows[i].reg] = phy_rows[i].value;
    if (s->is_82574)
        s->phy[PHYID2] = 0x0cb1;
    s->phy[BMSR] |= BMSR_DONE;
}

static void write_control(E1000 *s, uint16_t v)
{
    if (v & BMCR_RESET) {
        e1000_phy_reset(s);
        negotiate(s);
    } else if (v & BMCR_RESTART) {
        negotiate(s);
    }
}

static void phy_write(E1000 *s, unsigned reg, uint16_t v)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(phy_rows); i++) {
        if (phy_rows[i].reg != reg)
            continue;
        uint16_t bits = phy_rows[i].writable;
        s->phy[reg] = (uint16_t)((s->phy[reg] & ~bits) | (v & bits));
    }
    if (reg == BMCR)
        write_control(s, v);
}

void e1000_wrote_mdic(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    unsigned reg = v >> 16 & 31, op = v >> 26 & 3;
    bool other_page = s->is_82574 && s->phy[PAGE] && reg != PAGE;
    s->mdic = (uint32_t)v & ~MDIC_ERROR;
    if ((v >> 21 & 31) != PHY_ADDRESS || (op != MDIC_READ && op != MDIC_WRITE))
        s->mdic |= MDIC_ERROR;
    else if (op == MDIC_WRITE && !other_page)
        phy_write(s, reg, (uint16_t)v);
    else if (op == MDIC_READ)
        s->mdic = (s->mdic & 0xffff0000) | (other_page ? 0 : s->phy[reg]);
    s->mdic |= MDIC_READY;
    if (v & MDIC_IRQ)
        e1000_cause(s, ICR_MDAC);
}

/* ---- the EEPROM ---- */

enum {
    NVM_SUBSYSTEM = 11,
    NVM_SUBVENDOR,
    NVM_DEVICE,
    NVM_VENDOR,
    NVM_ICW2,
    NVM_SUM = 63,
    NVM_ICW1 = 10
};

void e1000_nvm_fill(E1000 *s)
{
    memset(s->nvm, 0xff, sizeof(s->nvm));
    for (unsigned i = 0; i < 3; i++)
        s->nvm[i] = (uint16_t)(s->mac[2 * i] | s->mac[2 * i + 1] << 8);
    s->nvm[3] = 0;
    s->nvm[NVM_ICW1] = 0x4403;
    s->nvm[NVM_SUBSYSTEM] = pci_get16(&s->pci, 0x2e);
    s->nvm[NVM_SUBVENDOR] = pci_get16(&s->pci, 0x2c);
    s->nvm[NVM_DEVICE] = s->pci.info->device;
    s->nvm[NVM_VENDOR] = s->pci.info->vendor;
    s->nvm[NVM_ICW2] = 0x3040;      /* flow control in both directions */
    uint16_t sum = 0xbaba;
    for (unsigned i = 0; i < NVM_SUM; i++)
        sum = (uint16_t)(sum - s->nvm[i]);
    s->nvm[NVM_SUM] = sum;
}

void e1000_wrote_eerd(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    unsigned shift = s->is_82574 ? 2 : 8, done = s->is_82574 ? 1 : 4;
    unsigned at = (v & 0xffff) >> shift;
    if (v & 1)
        s->eerd = (uint32_t)(v & 0xffff) | 1u << done |
                  (uint32_t)(at < E1000_NVM_WORDS ? s->nvm[at] : 0xffff) << 16;
}

/* The pins of the serial EEPROM. */
enum { EE_SK = 1, EE_CS = 2, EE_DI = 4, EE_DO = 8, EE_REQ = 0x40, EE_GNT = 0x80, EE_PRES = 0x100,
       EE_AUTO_RD = 0x200 };

void e1000_wrote_eecd(Device *d, uint64_t v)
{
    E1000 *s = e1000_of(d);
    s->eecd = (uint32_t)v & (EE_SK | EE_CS | EE_DI | EE_REQ);
    microwire_pins(&s->wire, v & EE_CS, v & EE_SK, v & EE_DI);
}

uint64_t e1000_read_eecd(Device *d)
{
    E1000 *s = e1000_of(d);
    uint32_t v = s->eecd | EE_PRES | (s->eecd & EE_REQ ? EE_GNT : 0);
    if (s->is_82574)
        return v | EE_AUTO_RD;
    return v | (microwire_out(&s->wire, s->nvm) ? EE_DO : 0);
}
