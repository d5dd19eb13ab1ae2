/* SPDX-License-Identifier: Apache-2.0 */
/* Shared inside hw/intc: the APIC bus. */
#ifndef HW_INTC_APIC_H
#define HW_INTC_APIC_H

#include "hw/apic.h"

typedef struct Apic Apic;

struct ApicBus {
    Device dev;
    GPtrArray *apics;           /* Apic * by CPU index */
    GPtrArray *ioapics;         /* Device * */
    int (*pic_ack)(Device *pic);
    Device *pic;
    bool lint0;                 /* level of the PIC's output */
    bool remote;                /* local APICs are the accelerator's */
    Irq intr;                   /* remote: the PIC's output, to the first CPU */
    bool (*remap)(void *opaque, MsiMessage *m, bool quiet);     /* of IOAPICs' messages; NULL: as they are */
    void *remap_opaque;
    uint32_t lowest_next;       /* round robin of lowest-priority delivery */
};

void apic_accept(Apic *a, const ApicMessage *m);
bool apic_matches(const Apic *a, uint32_t dest, bool logical);
bool apic_software_enabled(const Apic *a);
void apic_pic_changed(Apic *a);
/* A level-triggered vector was acknowledged. */
void ioapic_eoi(Device *ioapic, uint8_t vector);
/* What its entries send has changed: APICs elsewhere are told. */
void ioapic_tell(Device *ioapic);
/* Remote: entry n of an IOAPIC changed. */
void apic_bus_route(ApicBus *bus, Device *ioapic, unsigned n, bool used, uint64_t address, uint32_t data);
/* The calling vCPU's APIC, NULL on other threads. */
Apic *apic_here(ApicBus *bus);
uint64_t apic_read_register(Apic *a, unsigned index);
void apic_write_register(Apic *a, unsigned index, uint64_t value);
bool apic_xapic_mode(const Apic *a);

#endif
