/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ATA drives as a controller uses them. A controller fills an AtaTask from the registers (or the FIS) that the
 * guest wrote, asks ata_plan() what data the command moves, and when it has a buffer for all of it calls
 * ata_run(). done() says that the command has ended; the task holds the registers that the guest may read then.
 *
 * ata_plan() is called under the controller's domain, any thread; ata_run() on the machine's loop, and done()
 * there too, without locks.
 */
#ifndef HW_IDE_ATA_H
#define HW_IDE_ATA_H

#include "block/block.h"
#include "hw/disk.h"
#include "hw/scsi.h"

enum {
    ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_DSC = 0x10, ATA_DF = 0x20, ATA_RDY = 0x40, ATA_BSY = 0x80,   /* status */
    ATA_ABRT = 0x04, ATA_IDNF = 0x10, ATA_UNC = 0x40,                                                 /* error */
    ATA_SECTOR = 512, ATA_MAX_BYTES = 65536 * 512, ATA_PACKET_BYTES = 12,
    ATA_PACKET = 0xa0, ATA_DEVICE_RESET = 0x08, ATA_DIAGNOSTIC = 0x90, ATA_READ_FPDMA = 0x60, ATA_WRITE_FPDMA = 0x61,
};
typedef struct IdeDrive IdeDrive;
typedef struct AtaTask AtaTask;

struct AtaTask {
    /* The registers, before and after. */
    uint8_t command, device, status, error;
    uint16_t feature, count;
    uint64_t lba;
    uint8_t cdb[SCSI_CDB];      /* PACKET */
    /* By ata_plan(): */
    enum { ATA_NO_DATA, ATA_IN, ATA_OUT, ATA_WANTS_CDB } data;
    bool dma;
    uint64_t bytes;
    unsigned block;             /* bytes between two interrupts in PIO */
    /* The controller's: */
    const struct iovec *iov;
    unsigned n_iov;
    void (*done)(AtaTask *t);
    void *opaque;
    uint64_t moved;             /* bytes that were transferred */
    bool held;                  /* ended without an end: to be run again when the machine runs (werror=stop) */
    /* Private: */
    IdeDrive *drive;
    BlockRequest r;
    ScsiRequest scsi;
    uint8_t *ranges;
    unsigned range;
};

/* Guest-visible, bytes only. */
typedef struct AtaState {
    uint8_t multiple, write_cache, dma_mode, udma_mode;
} AtaState;

struct IdeDrive {
    Device dev;
    DiskConfig conf;
    AtaState state;
    ScsiUnit scsi;              /* CD drives */
    ScsiState scsi_state;
    uint32_t unit;
    char *model, *version;
    uint64_t wwn;
    uint16_t rotation_rate;
    int32_t bootindex;
    bool attached;
};

typedef struct IdeBus {
    Bus bus;
    unsigned units;             /* 1 or 2 */
    bool sata;
    IdeDrive *drive[2];
    void (*changed)(struct IdeBus *bus);        /* a drive came; may be NULL */
} IdeBus;
IdeBus *ide_bus_new(Device *controller, unsigned number, unsigned units, bool sata);

bool ata_is_cd(const IdeDrive *d);
/* False: the command failed at once; status and error say why. After a CDB has arrived: again. */
bool ata_plan(IdeDrive *d, AtaTask *t);
void ata_run(IdeDrive *d, AtaTask *t);
/* Power-on values and what DEVICE RESET restores. */
void ata_reset(IdeDrive *d);
/* The signature that tells disks from packet devices, in count and lba. */
void ata_signature(const IdeDrive *d, AtaTask *t);
/* Waits for what is in flight. The machine's loop. */
void ata_drain(IdeDrive *d);
unsigned ata_identify(const IdeDrive *d, bool packet, uint16_t *words);

#endif
