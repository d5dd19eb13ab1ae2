/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI: logical units (disk and CD), the bus on which they sit, requests. Specs: SAM-5, SPC-4, SBC-3, MMC-6.
 *
 * A host adapter (virtio-scsi, usb-storage, usb-uas …) makes a bus with scsi_bus_new(); `-device scsi-hd` plugs
 * units into it. For each command it fills a ScsiRequest, embedded in its own request struct, with the CDB and
 * the data buffer as a scatter list (guest memory directly, or a buffer of its own), and calls
 * scsi_bus_execute(). complete() is called when the command has ended; status, sense and `done` say how.
 *
 * The data buffer covers the whole command: how many bytes that are, and in which direction, say
 * scsi_length() and scsi_direction() beforehand. An adapter that gets data in pieces collects them first
 * (write) or hands them out afterwards (read); it sets bus->max_transfer, which guests are told and which
 * bounds its buffers.
 *
 * Threads: a bus and its units live on the bus's loop. scsi_execute() and friends run there; adapters whose
 * registers are served on vCPU threads use scsi_post(). complete() runs on the loop, with req->owner's
 * domain locked if there is one.
 */
#ifndef HW_SCSI_H
#define HW_SCSI_H

#include "block/block.h"
#include "core/vm.h"
#include "util/iov.h"

typedef struct ScsiUnit ScsiUnit;
typedef struct ScsiRequest ScsiRequest;
typedef struct ScsiBus ScsiBus;

enum {
    SCSI_GOOD = 0x00, SCSI_CHECK_CONDITION = 0x02, SCSI_BUSY = 0x08, SCSI_TASK_ABORTED = 0x40,
    SCSI_CDB = 16, SCSI_SENSE = 18,
};
typedef enum ScsiDirection { SCSI_NO_DATA, SCSI_FROM_UNIT, SCSI_TO_UNIT } ScsiDirection;

/* Sense key, additional sense code and qualifier. */
typedef struct ScsiSense {
    uint8_t key, asc, ascq;
} ScsiSense;

struct ScsiRequest {
    /* The adapter's, before scsi_execute(): */
    uint8_t cdb[SCSI_CDB];
    const struct iovec *iov;    /* data; alive until complete() */
    unsigned n_iov;
    uint64_t room;              /* bytes in it */
    void (*complete)(ScsiRequest *r);
    Device *owner;              /* lock its domain during complete(); NULL: none */
    /* The result: */
    uint8_t status;
    uint8_t sense[SCSI_SENSE];  /* fixed format, with CHECK CONDITION */
    uint8_t n_sense;
    uint64_t done;              /* bytes that were transferred */
    /* Private: */
    BlockRequest block;
    ScsiUnit *unit;
    ScsiBus *bus;
    unsigned lun, id, channel;
    struct iovec *part;
    void *buf;
    uint64_t at, left;
    void (*then)(ScsiRequest *r);
    bool aborted;
    const struct ScsiCommand *command;
    ScsiRequest *next;
};

/* Of any CDB, whether a unit knows it or not. unit: for block sizes; NULL: 512. */
ScsiDirection scsi_direction(const uint8_t *cdb);
uint64_t scsi_length(const ScsiUnit *unit, const uint8_t *cdb);
unsigned scsi_cdb_bytes(uint8_t opcode);                /* 6, 10, 12, 16; 0: vendor's or variable */

/* ---- units ---- */
/* Guest-visible state; bytes only, so that a device saves it as one SAVED member. */
typedef struct ScsiState {
    uint8_t sense_key, sense_asc, sense_ascq;       /* what REQUEST SENSE tells */
    uint8_t attention_asc, attention_ascq;          /* pending unit attention; 0: none */
    uint8_t write_cache, locked, stopped;
    uint8_t media_event, eject_event;               /* for GET EVENT STATUS NOTIFICATION */
    uint8_t descriptor_sense;
} ScsiState;

/* What a unit is; strings belong to the device. */
typedef struct ScsiIdentity {
    bool cd;                    /* a CD/DVD drive, else a disk */
    bool atapi;                 /* answers as an ATAPI drive: no VPD pages, no REPORT LUNS */
    const char *vendor, *product, *version, *serial, *device_id;
    uint64_t wwn, port_wwn;
    uint16_t port_index, rotation_rate;
    bool removable, dpofua;
    uint8_t level;              /* VERSION of INQUIRY: 5 is SPC-3 */
    uint32_t logical, physical, min_io, opt_io;     /* bytes */
    uint32_t discard_granularity;                   /* bytes */
    uint64_t max_io, max_unmap;                     /* bytes */
    uint64_t max_transfer;      /* the adapter's bound of one command; 0: none */
} ScsiIdentity;

struct ScsiUnit {
    Device *dev;                /* what the drive belongs to */
    Drive *drive;
    Loop *loop;
    ScsiIdentity is;
    ScsiState *state;
    ScsiBus *bus;               /* NULL: alone (ATAPI) */
    unsigned channel, id, lun;
    unsigned in_flight;
    ScsiRequest *held;          /* wait for the machine to run again (werror=stop) */
    uint64_t known_size;        /* capacity that the guest was told */
};
/* Takes the drive (already attached by the device) and begins. */
void scsi_unit_init(ScsiUnit *u, Device *dev, Drive *drive, Loop *loop, const ScsiIdentity *is, ScsiState *state);
/* Power-on state. */
void scsi_unit_reset(ScsiUnit *u);
/* Waits until nothing is in flight; abort: also gives up what is held back, and what runs ends as aborted.
 * The unit's loop. */
void scsi_unit_drain(ScsiUnit *u, bool abort);
/* The machine runs again: what was held back is tried again. Loop. */
void scsi_unit_retry(ScsiUnit *u);
/* A unit attention for the next command. Loop. */
void scsi_unit_attention(ScsiUnit *u, uint8_t asc, uint8_t ascq);
/* For the device's DriveOps. Control thread. */
void scsi_unit_medium(ScsiUnit *u, bool in);
void scsi_unit_eject_request(ScsiUnit *u);
void scsi_unit_resized(ScsiUnit *u);

/* ---- commands ---- */
/* On the unit's loop; complete() may be called inside. */
void scsi_execute(ScsiUnit *u, ScsiRequest *r);
/* From any thread, under any lock: on the loop soon. */
void scsi_post(ScsiUnit *u, ScsiRequest *r);
/* Gives up: it ends with TASK ABORTED, at once if it was held back for an error, else when the storage is done
 * with it. Loop. */
void scsi_cancel(ScsiRequest *r);
/* By address. False: there is no such target (nothing is called). An address without a unit on a target with
 * others answers as SPC-4 wants. Loop. */
bool scsi_bus_execute(ScsiBus *bus, unsigned channel, unsigned id, unsigned lun, ScsiRequest *r);
/* The same from any thread; a target that does not exist ends with CHECK CONDITION there. */
void scsi_bus_post(ScsiBus *bus, unsigned channel, unsigned id, unsigned lun, ScsiRequest *r);

/* ---- the bus: type "SCSI" ---- */
typedef struct ScsiAdapter {
    unsigned channels, targets, luns;               /* how many there may be */
    uint64_t max_transfer;                          /* bytes of a command; 0: any */
    /* A unit came or goes while the guest runs; may be NULL. Control thread. */
    void (*plugged)(ScsiBus *bus, ScsiUnit *u);
    void (*unplugging)(ScsiBus *bus, ScsiUnit *u);
    /* Unit attentions became due (capacity, medium); may be NULL. Any thread. */
    void (*changed)(ScsiBus *bus, ScsiUnit *u, uint8_t asc, uint8_t ascq);
} ScsiAdapter;
struct ScsiBus {
    Bus bus;
    const ScsiAdapter *adapter;
    Loop *loop;
    GPtrArray *units;           /* ScsiUnit *; changed on the loop */
};
/* (realize) name NULL: "<owner's id>.<n>", or "scsi.<n>". loop NULL: the machine's. */
ScsiBus *scsi_bus_new(Device *owner, const ScsiAdapter *adapter, Loop *loop, const char *name);
ScsiUnit *scsi_bus_find(ScsiBus *bus, unsigned channel, unsigned id, unsigned lun);
/* Whether any unit answers there. */
bool scsi_bus_has_target(ScsiBus *bus, unsigned channel, unsigned id);
/* Plugs "scsi-hd" or "scsi-cd" for a drive: usb-storage's own disk, -drive if=scsi. NULL with an error. */
Device *scsi_bus_add(ScsiBus *bus, Drive *drive, unsigned id, int32_t bootindex, bool removable, GError **error);
/* scsi_unit_drain() of all units. They follow the machine's stopping and running by themselves. Loop. */
void scsi_bus_drain(ScsiBus *bus, bool abort);

#endif
