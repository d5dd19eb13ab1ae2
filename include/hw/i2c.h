/* SPDX-License-Identifier: Apache-2.0 */
/* The I2C bus and its devices; the SMBus host controllers of Intel's south bridges. I2C: NXP UM10204. */
#ifndef HW_I2C_H
#define HW_I2C_H

#include "core/vm.h"

/* A device type names "i2c-device" as .parent, begins its struct with I2cDevice and points .ext at this.
 * Functions run in the domain of the bus's master. */
typedef struct I2cOps {
    bool (*start)(Device *d, bool read);        /* false: not acknowledged; NULL: always */
    bool (*send)(Device *d, uint8_t byte);      /* to the device; false: not acknowledged */
    uint8_t (*recv)(Device *d);                 /* from the device */
    void (*stop)(Device *d);                    /* may be NULL */
} I2cOps;

typedef struct I2cDevice {
    Device dev;
    uint8_t address;            /* property: 7 bits */
} I2cDevice;

typedef struct I2cBus {
    Bus bus;
    Device *current;            /* addressed by the last start; NULL: nobody answered */
} I2cBus;

I2cBus *i2c_bus_new(Device *master, const char *name);
/* A (repeated) start; false: no device acknowledges. */
bool i2c_start(I2cBus *bus, uint8_t address, bool read);
bool i2c_send(I2cBus *bus, uint8_t byte);
uint8_t i2c_recv(I2cBus *bus);                  /* 0xff if nobody drives the bus */
void i2c_stop(I2cBus *bus);
/* A restored master goes on with a device that was addressed before. */
void i2c_resume(I2cBus *bus, uint8_t address);

/* ---- SMBus ---- */
/* "ich9-smbus-block" or "piix4-smbus-block": registers in d->mmio, with a bus "i2c". */
Device *smbus_block_new(Vm *vm, const char *type, Pin irq);
I2cBus *smbus_block_bus(Device *block);
/* I2C_EN of the ICH9's configuration: devices that know nothing of SMBus. */
void smbus_block_plain(Device *block, bool plain);
/* Eight empty memories (256 bytes) at 0x50-0x57, where modules describe themselves. */
void smbus_eeproms_new(I2cBus *bus);

#endif
