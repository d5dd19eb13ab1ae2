/* SPDX-License-Identifier: Apache-2.0 */
/* A serial memory of 256 bytes, as on memory modules. Spec: JESD21-C 4.1.3, 24C02. */
#include "hw/i2c.h"

enum { BYTES = 256 };

typedef struct Eeprom {
    I2cDevice i2c;
    uint8_t data[BYTES];
    uint8_t at;
    bool addressed;             /* the first byte of a write has come: the offset */
} Eeprom;

static bool start(Device *d, bool read)
{
    ((Eeprom *)d)->addressed = read;
    return true;
}

static bool send(Device *d, uint8_t byte)
{
    Eeprom *s = (Eeprom *)d;
    if (s->addressed)
        s->data[s->at++] = byte;
    else
        s->at = byte;
    s->addressed = true;
    return true;
}

static uint8_t recv(Device *d)
{
    Eeprom *s = (Eeprom *)d;
    return s->data[s->at++];
}

static const I2cOps ops = {.start = start, .send = send, .recv = recv};
static const Field fields[] = {
    SAVED(Eeprom, data, .keep = true), SAVED(Eeprom, at), SAVED(Eeprom, addressed),
};
static const DeviceType eeprom = {
    .name = "smbus-eeprom", .parent = "i2c-device", .desc = "Serial memory of 256 bytes",
    .size = sizeof(Eeprom), .ext = &ops, FIELDS(fields),
};
DEVICE_TYPE(eeprom);

void smbus_eeproms_new(I2cBus *bus)
{
    for (unsigned i = 0; i < 8; i++) {
        I2cDevice *d = (I2cDevice *)device_draft(bus->bus.object.vm, "smbus-eeprom");
        g_autoptr(GError) error = NULL;
        d->address = 0x50 + i;
        if (!device_realize(&d->dev, &bus->bus, &error))
            g_error("smbus-eeprom: %s", error->message);
    }
}
