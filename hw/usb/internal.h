/* SPDX-License-Identifier: Apache-2.0 */
/* What the USB core's files share. */
#ifndef HW_USB_INTERNAL_H
#define HW_USB_INTERNAL_H

#include "hw/usb.h"

static inline uint8_t usb_product_string(const UsbInfo *i)
{
    return i->product_string ? i->product_string : USB_STRING_PRODUCT;
}
static inline uint8_t usb_serial_string(const UsbInfo *i)
{
    return i->serial_string ? i->serial_string : USB_STRING_SERIAL;
}

/* GET_DESCRIPTOR with this wValue; bytes in data or USB_NO_LENGTH. */
int usb_descriptor(const UsbDevice *u, uint16_t value, uint8_t *data);
/* "28754-0000:00:04.0-1": prefix, the controller's PCI function, port. */
char *usb_default_serial(const UsbDevice *u, const char *prefix);

#endif
