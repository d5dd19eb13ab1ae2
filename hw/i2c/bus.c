/* SPDX-License-Identifier: Apache-2.0 */
/* The I2C bus: which device a start addresses, and bytes to and from it. NXP UM10204, 3.1. */
#include "hw/i2c.h"
#include "util/error.h"

static const BusType i2c_bus_type = {
    .name = "i2c-bus", .parent = "bus", .desc = "I2C bus", .size = sizeof(I2cBus),
};
OBJECT_TYPE(i2c_bus_type);

enum { ADDRESS_MAX = 0x7f };

static const I2cOps *ops_of(Device *d) { return device_type(d)->ext; }

static bool realize(Device *d, GError **error)
{
    unsigned address = ((I2cDevice *)d)->address;
    return address <= ADDRESS_MAX || error_set(error, "I2C address 0x%x has more than seven bits", address);
}

static const Field fields[] = {
    PROP(I2cDevice, address, "address", PROP_U8, .desc = "Address on the bus, seven bits"),
};
static const DeviceType i2c_device = {
    .name = "i2c-device", .desc = "I2C device", .size = sizeof(I2cDevice), .abstract = true,
    .bus = "i2c-bus", FIELDS(fields), .realize = realize,
};
DEVICE_TYPE(i2c_device);

I2cBus *i2c_bus_new(Device *master, const char *name)
{
    return (I2cBus *)bus_new(master, &i2c_bus_type, name);
}

static Device *find(I2cBus *b, uint8_t address)
{
    for (unsigned i = 0; i < b->bus.devices->len; i++) {
        I2cDevice *d = g_ptr_array_index(b->bus.devices, i);
        if (d->address == address)
            return &d->dev;
    }
    return NULL;
}

bool i2c_start(I2cBus *b, uint8_t address, bool read)
{
    Device *d = find(b, address);
    b->current = d && (!ops_of(d)->start || ops_of(d)->start(d, read)) ? d : NULL;
    return b->current;
}

bool i2c_send(I2cBus *b, uint8_t byte) { return b->current && ops_of(b->current)->send(b->current, byte); }
uint8_t i2c_recv(I2cBus *b) { return b->current ? ops_of(b->current)->recv(b->current) : 0xff; }

void i2c_stop(I2cBus *b)
{
    if (b->current && ops_of(b->current)->stop)
        ops_of(b->current)->stop(b->current);
    b->current = NULL;
}

void i2c_resume(I2cBus *b, uint8_t address) { b->current = find(b, address); }
