/* SPDX-License-Identifier: Apache-2.0 */
/* A SCSI command on its way from a USB device to a unit and back, for both of USB's transports. */
#ifndef HW_USB_SCSI_CALL_H
#define HW_USB_SCSI_CALL_H

#include "hw/scsi.h"
#include "hw/usb.h"

enum { USB_SCSI_MAX = 16 << 20 };       /* bytes of one command's data */

typedef struct UsbScsi {
    ScsiRequest r;
    UsbDevice *u;
    ScsiBus *bus;
    /* Domain locked, on the loop; not called for one that was given up. */
    void (*done)(UsbDevice *u, struct UsbScsi *c);
    uint8_t *data;              /* size bytes */
    uint32_t size, at;          /* at: how much of it has passed over the bus */
    unsigned lun;
    bool running, dropped;
    struct iovec iov;
    /* the transport's */
    uint16_t tag;
    uint8_t stage, ready_due;
} UsbScsi;

/* cdb has 16 bytes. Domain locked. */
UsbScsi *usb_scsi_new(UsbDevice *u, ScsiBus *bus, const uint8_t *cdb, unsigned lun,
                      void (*done)(UsbDevice *u, UsbScsi *c));
/* Memory for the data; false: too much. */
bool usb_scsi_room(UsbScsi *c, uint64_t bytes);
void usb_scsi_start(UsbScsi *c);
/* Finished or not, nobody wants it any more. NULL is fine. */
void usb_scsi_drop(UsbScsi *c);

#endif
