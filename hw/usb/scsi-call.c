/* SPDX-License-Identifier: Apache-2.0 */
/* SCSI commands of USB devices: memory, life, giving up. Units live on the control loop. */
#include <string.h>
#include "hw/usb/scsi-call.h"

static void call_free(UsbScsi *c)
{
    object_unref(&c->bus->bus.object);
    object_unref(&c->u->dev.object);
    g_free(c->data);
    g_free(c);
}

UsbScsi *usb_scsi_new(UsbDevice *u, ScsiBus *bus, const uint8_t *cdb, unsigned lun,
                      void (*done)(UsbDevice *u, UsbScsi *c))
{
    UsbScsi *c = g_new0(UsbScsi, 1);
    memcpy(c->r.cdb, cdb, SCSI_CDB);
    c->u = u;
    c->bus = bus;
    c->lun = lun;
    c->done = done;
    object_ref(&u->dev.object);
    object_ref(&bus->bus.object);
    return c;
}

bool usb_scsi_room(UsbScsi *c, uint64_t bytes)
{
    if (bytes > USB_SCSI_MAX)
        return false;
    c->size = bytes;
    c->data = bytes ? g_malloc0(bytes) : NULL;
    return true;
}

static void complete(ScsiRequest *r)
{
    UsbScsi *c = (UsbScsi *)r;
    c->running = false;
    if (c->dropped)
        call_free(c);
    else
        c->done(c->u, c);
}

void usb_scsi_start(UsbScsi *c)
{
    c->iov = (struct iovec){c->data, c->size};
    c->r.iov = &c->iov;
    c->r.n_iov = c->size ? 1 : 0;
    c->r.room = c->size;
    c->r.complete = complete;
    c->r.owner = &c->u->dev;
    c->running = true;
    scsi_bus_post(c->bus, 0, 0, c->lun, &c->r);
}

void usb_scsi_drop(UsbScsi *c)
{
    if (c && c->running)
        c->dropped = true;      /* complete() frees it */
    else if (c)
        call_free(c);
}
