/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives: what a device's drive= names. A drive holds a node (or no medium), error policies and
 * limits; -drive makes one, -blockdev's nodes get one when a device asks, and devices with removable
 * media make an empty one for themselves.
 *
 * Home: the control thread; drive_error() and drive_node() may be called on the node's loop.
 */
#ifndef BLOCK_DRIVE_H
#define BLOCK_DRIVE_H

#include "block/block.h"

typedef struct Drive Drive;

/* What a device does when its drive changes; members may be NULL. Control thread, while no request is
 * in flight. */
typedef struct DriveOps {
    bool removable;
    /* The medium's size changed. */
    void (*resized)(Device *d);
    /* A medium is in now, or gone (drive->node is NULL). */
    void (*medium)(Device *d, bool in);
    bool (*is_locked)(Device *d);
    /* Asks the guest to let go of the medium (eject button). */
    void (*eject_request)(Device *d, bool force);
} DriveOps;

struct Drive {
    Object object;
    char *id, *serial;
    BlockNode *node;            /* NULL: no medium */
    int interface;              /* DRIVE_* */
    unsigned index, bus, unit;  /* index UINT_MAX: bus and unit were given */
    bool cdrom, writeback, in_use, has_place, read_only, owns_node;
    bool tray_open;             /* removable media: devices set it with drive_move_tray() */
    BlockdevOnError werror, rerror;
    BlockDeviceIoStatus io_status;
    Device *device;
    const DriveOps *ops;
    bool share_rw;
    bool want_write;
    Loop *loop;
    struct Throttle *throttle;  /* NULL: no limits */
};
enum { DRIVE_NONE, DRIVE_VIRTIO, DRIVE_IDE, DRIVE_SCSI, DRIVE_FLOPPY, DRIVE_PFLASH, DRIVE_MTD, DRIVE_SD };
/* What -drive without if= means on a board, and how many drives its IDE buses take. */
typedef struct DriveBoard {
    int interface;
    unsigned ide_units;
    bool snapshot;              /* of drives that say nothing of it and can be written to (-snapshot) */
} DriveBoard;
Drive *drive_add_option(Vm *vm, const char *text, const DriveBoard *board, GError **error);
/* "ide", "scsi" …, as in if=. */
const char *drive_interface_name(int interface);
/* What a device's drive= names: a drive's id, or a node's name (then a Drive is made for it). */
Drive *drive_find(Vm *vm, const char *id_or_node);
/* The n-th drive of an interface, or NULL: boards wire them. */
Drive *drive_of_interface(Vm *vm, int interface, unsigned n);
/* The drive with that bus and unit of an interface (-drive index=, bus=, unit=), or NULL. units: per bus. */
Drive *drive_at(Vm *vm, int interface, unsigned bus, unsigned unit, unsigned units);
/* An empty drive for a device with removable media that was given none; the device's own. */
Drive *drive_new_empty(Vm *vm);
/* -blockdev: options in keyval or JSON form. */
bool blockdev_add_option(Vm *vm, const char *text, GError **error);

/* A device takes the drive. write: it means to write; the medium, if any, must allow it. */
typedef struct DriveUse {
    const DriveOps *ops;        /* NULL: fixed medium, nothing to tell */
    bool write, share_rw;
    Loop *loop;                 /* NULL: the control loop */
} DriveUse;
bool drive_attach(Drive *d, Device *device, const DriveUse *use, GError **error);
/* Gives it back; no request may be in flight. */
void drive_detach(Drive *d);
/* A request failed: what the policy says, told to monitors; STOP also asks for the machine to stop, and
 * the request is to be kept and tried again when it runs. The node's loop. */
BlockErrorAction drive_error(Drive *d, bool read, int error);
/* Guest or monitor moved the tray: sets tray_open, sends DEVICE_TRAY_MOVED. */
void drive_move_tray(Drive *d, bool open);
/* The device's id or path, as monitors name it. The caller frees. */
char *drive_device_name(const Drive *d);
/* What monitors call it: its id, or "" if it has none of its own. */
const char *drive_public_id(const Drive *d);
/* Limits of its own (taken over), or none. */
void drive_set_throttle(Drive *d, struct Throttle *t);
/* By id of drive or device, QOM path, or node name, as block commands name it. */
Drive *drive_find_any(Vm *vm, const char *device, const char *id, GError **error);
/* Change of medium; errors in QEMU's words. */
bool drive_open_tray(Drive *d, bool force, GError **error);
bool drive_close_tray(Drive *d, GError **error);
bool drive_remove_medium(Drive *d, GError **error);
bool drive_insert_medium(Drive *d, BlockNode *n, GError **error);

#endif
