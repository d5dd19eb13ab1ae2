/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB: devices, ports, packets. Specs: USB 2.0, USB 3.2 (chapter 9).
 *
 * A device type names "usb-device" as .parent, begins its struct with UsbDevice and states what it is in a
 * UsbClass (DeviceType.ext): descriptors as a table, from which standard requests are answered, and a few
 * functions. A controller makes a bus and ports, and gives packets to usb_packet() or whole control
 * transfers to usb_control().
 *
 * No device ever keeps a packet: one for which there is no data or no room answers USB_NAK, as hardware
 * does, and says usb_ready() when trying again is worthwhile. So nothing is in flight when a machine is
 * saved or a cable pulled.
 *
 * Threads: all of a bus runs in its controller's domain; usb_ready() and usb_wakeup() are called with it
 * locked. Ports are made, devices plugged on the control thread.
 */
#ifndef HW_USB_H
#define HW_USB_H

#include "core/vm.h"

typedef struct UsbDevice UsbDevice;
typedef struct UsbPort UsbPort;
typedef struct UsbBus UsbBus;

typedef enum UsbSpeed { USB_LOW, USB_FULL, USB_HIGH, USB_SUPER, USB_SPEEDS } UsbSpeed;
enum {
    USB_IS_LOW = 1 << USB_LOW, USB_IS_FULL = 1 << USB_FULL, USB_IS_HIGH = 1 << USB_HIGH,
    USB_IS_SUPER = 1 << USB_SUPER, USB_IS_1 = USB_IS_LOW | USB_IS_FULL, USB_IS_2 = USB_IS_1 | USB_IS_HIGH,
};

typedef enum UsbStatus {
    USB_OK, USB_NAK, USB_STALL,
    USB_BABBLE,                 /* more data than there is room for */
    USB_GONE,                   /* nobody answers */
} UsbStatus;
typedef enum UsbToken { USB_SETUP, USB_OUT, USB_IN } UsbToken;

typedef struct UsbPacket {
    UsbToken token;
    uint8_t endpoint;           /* 0-15 */
    uint16_t stream;            /* 0: none */
    uint8_t *data;
    uint32_t size;              /* bytes in data, or room there */
    uint32_t done;              /* bytes taken or given */
} UsbPacket;

typedef struct UsbSetup {
    uint8_t type, request;
    uint16_t value, index, length;
} UsbSetup;
enum { USB_TYPE_IN = 0x80, USB_CONTROL_MAX = 4096, USB_NO_LENGTH = -1 };
#define USB_REQUEST(type, request) ((type) << 8 | (request))

/* ---- what a device is ---- */
typedef struct UsbEndpoint {
    uint8_t address;            /* bit 7: IN */
    enum { USB_CONTROL, USB_ISOCHRONOUS, USB_BULK, USB_INTERRUPT } kind;
    uint16_t max_packet;
    uint8_t interval;           /* as in the descriptor */
    uint8_t burst, streams;     /* SuperSpeed companion: bMaxBurst, bmAttributes */
    const uint8_t *extra;       /* descriptors behind it */
    uint8_t n_extra;
} UsbEndpoint;
typedef struct UsbInterface {
    uint8_t number, alternate, class, subclass, protocol;
    uint8_t string;
    const uint8_t *extra;       /* class descriptors, before the endpoints */
    uint8_t n_extra;
    const UsbEndpoint *endpoints;
    uint8_t n_endpoints;
} UsbInterface;
typedef struct UsbConfig {
    uint16_t version;           /* 0x0200 */
    uint8_t class, subclass, protocol;
    uint8_t max_packet0;        /* as in the descriptor: 9 for SuperSpeed's 512 */
    uint8_t string, attributes, power;          /* bmAttributes, bMaxPower */
    const UsbInterface *interfaces;
    uint8_t n_interfaces;       /* rows; alternates have their own */
} UsbConfig;
enum { USB_STRING_MAKER = 1, USB_STRING_PRODUCT, USB_STRING_SERIAL, USB_STRINGS = 16 };
typedef struct UsbInfo {
    uint16_t vendor, product, release;
    const char *strings[USB_STRINGS];           /* by index; the serial number is a prefix */
    uint8_t product_string, serial_string;      /* indices; 0: 2 and 3 */
    const UsbConfig *at[USB_SPEEDS];            /* NULL: not at this speed */
} UsbInfo;

typedef struct UsbClass {
    const UsbInfo *info;
    /* Requests that the core does not answer: class, vendor, descriptors of interfaces. Returns the bytes in
     * data (or 0), USB_NO_LENGTH: stall. May be NULL. */
    int (*control)(UsbDevice *u, const UsbSetup *s, uint8_t *data);
    /* Endpoints other than 0 of a configured device. */
    UsbStatus (*transfer)(UsbDevice *u, UsbPacket *p);
    void (*bus_reset)(UsbDevice *u);
    void (*configured)(UsbDevice *u);           /* u->configuration has a new value */
    void (*unhalted)(UsbDevice *u, uint8_t address);    /* the host cleared an endpoint's halt */
    UsbPort *(*port)(UsbDevice *u, unsigned n); /* hubs: port n, from 1; NULL: has none */
} UsbClass;

typedef struct UsbControl {
    uint8_t setup[8];
    uint8_t stage;              /* UsbStage */
    uint16_t at, length;
    uint8_t data[USB_CONTROL_MAX];
} UsbControl;

struct UsbDevice {
    Device dev;
    const UsbClass *cls;
    UsbPort *port;              /* where it is plugged in */
    char *port_path, *serial;   /* properties */
    UsbSpeed speed;
    unsigned speeds;            /* USB_IS_*; a type's realize may take some away */
    bool attached;
    uint8_t address, configuration, remote_wakeup;
    uint8_t alternate[4];
    uint32_t halted;            /* OUT endpoints, IN endpoints << 16 */
    UsbControl control;
};

/* ---- for device code; domain locked ---- */
/* An endpoint (bit 7: IN) that answered USB_NAK has something now. */
void usb_ready(UsbDevice *u, uint8_t address, uint16_t stream);
void usb_halt(UsbDevice *u, uint8_t address);
/* Something happened that should wake a sleeping host, if that has allowed it. */
void usb_wakeup(UsbDevice *u);
static inline UsbBus *usb_bus_of(UsbDevice *u) { return (UsbBus *)u->dev.parent_bus; }

/* ---- ports and buses, for controllers and hubs ---- */
typedef struct UsbPortOps {
    void (*attach)(UsbPort *port);              /* port->dev is there */
    void (*detach)(UsbPort *port);              /* it leaves */
    void (*wakeup)(UsbPort *port);              /* it signals resume; may be NULL */
} UsbPortOps;
struct UsbPort {
    const UsbPortOps *ops;
    void *opaque;
    UsbBus *bus;
    UsbDevice *dev;             /* attached, or about to be */
    unsigned index;             /* the controller's */
    unsigned speeds;            /* USB_IS_* */
    char path[16];              /* "1.2" */
};
typedef struct UsbBusOps {
    /* See usb_ready(); may be NULL for controllers that look again by themselves. */
    void (*ready)(UsbBus *bus, UsbDevice *u, uint8_t address, uint16_t stream);
    /* A companion takes ports first … first + n - 1 over from the bus; NULL: no companions here. */
    bool (*companion)(UsbBus *bus, UsbPort *ports, unsigned n, unsigned first, GError **error);
} UsbBusOps;
struct UsbBus {
    Bus bus;
    const UsbBusOps *ops;
    unsigned number;
    GPtrArray *ports;           /* UsbPort *, hubs' too */
};
/* (realize) Type "usb-bus"; named "<owner's id>.0" or "usb-bus.N". */
UsbBus *usb_bus_new(Device *owner, const UsbBusOps *ops);
/* The port is the caller's; `above`: the hub's port, NULL for a root port. number from 1. */
void usb_port_add(UsbBus *bus, UsbPort *port, UsbPort *above, unsigned number);
void usb_port_remove(UsbPort *port);
/* Bus reset: the device forgets its address. */
void usb_device_reset(UsbDevice *u);
/* The device with this address at or below a port; NULL: none. */
UsbDevice *usb_find(UsbPort *port, uint8_t address);
/* Along a route string of xHCI: a nibble for each hub's port. */
UsbDevice *usb_find_route(UsbPort *root, uint32_t route);

/* One transaction (or several of one kind in a row). p->done says how many bytes. */
UsbStatus usb_packet(UsbDevice *u, UsbPacket *p);
/* A whole control transfer; returns bytes or USB_NO_LENGTH (stall). data has room for USB_CONTROL_MAX. */
int usb_control(UsbDevice *u, const UsbSetup *setup, uint8_t *data);
void usb_setup_parse(const uint8_t bytes[8], UsbSetup *s);

/* ---- for others ---- */
/* "Device 0.1, Port 1, Speed 480 Mb/s, Product …" for each device. */
void usb_info(Vm *vm, GString *out);
const char *usb_product(const UsbDevice *u);
/* -usbdevice: "tablet", "mouse", "keyboard", "braille" …; NULL: no such. */
const char *usb_legacy_type(const char *name);

/* ---- rows for types on "usb-device" are the base's ---- */
#endif
