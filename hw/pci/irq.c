/* SPDX-License-Identifier: Apache-2.0 */
/* INTx: lines shared by functions, turned by one per slot at each bridge. PCI Local Bus 3.0, 2.2.6. */
#include <inttypes.h>
#include "hw/pci/internal.h"
#include "util/log.h"

void pci_lines_lock(PciBus *root) { g_mutex_lock(&root->host->lock); }
void pci_lines_unlock(PciBus *root) { g_mutex_unlock(&root->host->lock); }
bool pci_line_level(PciBus *root, unsigned line) { return line < 32 && root->host->users[line]; }

/* The root's line that the function's pin ends at. */
static unsigned line_of(const PciDevice *p)
{
    unsigned pin = (p->config[PCI_INTERRUPT_PIN] - 1) & 3, devfn = p->devfn;
    const PciRootConfig *c = &p->bus->root->host->c;
    for (const PciBus *b = p->bus; b->parent; b = b->parent) {
        pin = (pin + (devfn >> 3)) & 3;
        devfn = b->bridge->devfn;
    }
    return c->map_pin ? c->map_pin(c->opaque, devfn, pin) : ((devfn >> 3) + pin) % MAX(c->n_lines, 1);
}

void pci_intx_update(PciDevice *p)
{
    PciRoot *root = p->bus->root->host;
    g_mutex_lock(&root->lock);
    bool level = p->intx && pci_is_awake(p) && !(pci_get16(p, PCI_COMMAND) & PCI_COMMAND_INTX_OFF);
    if (p->intx)
        p->config[PCI_STATUS] |= PCI_STATUS_INTX;
    else
        p->config[PCI_STATUS] &= ~PCI_STATUS_INTX;
    if (level != p->intx_seen) {
        unsigned line = line_of(p);
        p->intx_seen = level;
        if (line < 32) {
            root->users[line] += level ? 1 : -1;
            trace(line, "%s line %u: %u users", p->dev.object.type->name, line, root->users[line]);
            if (root->c.set_line && root->users[line] == level)
                root->c.set_line(root->c.opaque, line, level);
        }
    }
    g_mutex_unlock(&root->lock);
}

void pci_intx(PciDevice *p, bool level)
{
    if (p->bus && __atomic_exchange_n(&p->intx, level, __ATOMIC_ACQ_REL) != level)
        pci_intx_update(p);
}

bool pci_notify(PciDevice *p, unsigned vector)
{
    return pci_msix_send(p, vector) || pci_msi_send(p, vector);
}

void pci_send_message(PciDevice *p, uint64_t address, uint32_t data)
{
    const MsiTarget *t = pci_function_msi(p);
    MsiMessage m = {address, data, pci_dma_requester(p)};
    trace(message, "%s 0x%" PRIx64 " <- 0x%x", p->dev.object.type->name, address, data);
    if (t && pci_is_master(p))
        t->send(t->opaque, &m);
}
