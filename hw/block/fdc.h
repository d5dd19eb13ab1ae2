/* SPDX-License-Identifier: Apache-2.0 */
/* Floppy drives, and the controller's state as its parts share it. Spec: Intel 82078 data sheet. */
#ifndef HW_BLOCK_FDC_H
#define HW_BLOCK_FDC_H

#include "hw/disk.h"
#include "hw/floppy.h"
#include "hw/isa.h"

enum { FLOPPY_SECTOR = 512, FLOPPY_MAX_CYLINDER = 85 };

typedef struct FloppyFormat {
    uint8_t type;               /* FloppyType of the drive */
    uint8_t cylinders, heads, sectors;
    uint8_t rate;               /* code in CCR: 500, 300, 250, 1000 kbit/s */
} FloppyFormat;

typedef struct FloppyDrive {
    Device dev;
    DiskConfig conf;
    uint32_t unit;
    int type;                   /* FloppyType; auto until realize */
    int32_t bootindex;
    uint8_t cylinder;           /* where the heads stand */
    bool changed;               /* the change line: until a step with a medium in */
    FloppyFormat format;        /* of the medium; no sectors: there is none */
    bool attached;
} FloppyDrive;

typedef struct FloppyBus {
    Bus bus;
    FloppyDrive *drive[FLOPPY_DRIVES];
} FloppyBus;
FloppyBus *floppy_bus_new(Device *controller);
/* The largest numbers that a drive of the type knows. */
typedef struct FloppyLimits { uint8_t cylinders, heads, sectors; } FloppyLimits;
FloppyLimits floppy_limits(FloppyType type);
/* Moves the heads. */
void floppy_step_to(FloppyDrive *f, unsigned cylinder);
bool floppy_is_protected(const FloppyDrive *f);

/* ---- the controller ---- */
enum {
    ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_READY_CHANGED = 0xc0, ST0_SEEK_END = 0x20, ST0_CHECK = 0x10,
    ST1_MISSING_MARK = 0x01, ST1_PROTECTED = 0x02, ST1_NO_DATA = 0x04, ST1_DATA_ERROR = 0x20, ST1_END = 0x80,
    ST2_NOT_SATISFIED = 0x04, ST2_SCAN_HIT = 0x08, ST2_WRONG_CYLINDER = 0x10, ST2_DATA_ERROR = 0x20,
    ST2_CONTROL_MARK = 0x40,
    FDC_FIFO = 16, FDC_ID_BYTES = 4, FDC_UNITS = 4,
};
typedef enum FdcPhase { FDC_COMMAND, FDC_DISK, FDC_DMA, FDC_PIO, FDC_RESULT, FDC_PHASES } FdcPhase;
typedef enum FdcKind { FDC_READ, FDC_WRITE, FDC_FORMAT, FDC_VERIFY, FDC_SCAN, FDC_KINDS } FdcKind;

/* A command that moves data, a sector at a time: all of it may be saved between two steps. */
typedef struct FdcTransfer {
    uint8_t kind, scan;         /* scan: the command */
    uint8_t unit, head;         /* of the drive */
    uint8_t id[FDC_ID_BYTES];   /* cylinder, head, sector, size code */
    uint8_t last, fill, left;   /* EOT; of a format; sectors to go (0: to the end) */
    uint8_t step;
    bool both_sides, skip, deleted, differs, ended;     /* ended: the DMA's count has run out */
    uint8_t status[3];
    uint16_t at, size;          /* in the buffer */
    uint8_t buffer[FLOPPY_SECTOR];
} FdcTransfer;

typedef struct Fdc {
    Device dev;
    Irq irq;
    FloppyBus *bus;
    uint32_t iobase, irq_line, dma;
    int types[FLOPPY_DRIVES], fallback;
    int32_t boot[FLOPPY_DRIVES];
    uint8_t dor, tape, rate;
    uint8_t phase, fifo[FDC_FIFO], at, n;       /* n: bytes of the command or its result */
    uint8_t sense[FDC_UNITS], pcn[FDC_UNITS];   /* ST0 for SENSE INTERRUPT STATUS; 0: none */
    uint8_t specify[2], config[2], perpendicular, locked, last_id;
    bool check_rate;
    FdcTransfer t;
    /* The request at the disk. */
    BlockRequest r;
    struct iovec iov;
    uint8_t bounce[FLOPPY_SECTOR];
    bool running, stale;
    unsigned listener;
} Fdc;

static inline FloppyDrive *fdc_drive(const Fdc *s, unsigned unit)
{
    return unit < FLOPPY_DRIVES ? s->bus->drive[unit] : NULL;
}
/* Goes to the result phase with the bytes given. */
void fdc_result(Fdc *s, const uint8_t *bytes, unsigned n);

/* ---- transfers (fdc-transfer.c) ---- */
/* Begins what the command in the FIFO asks for. */
void fdc_transfer(Fdc *s, FdcKind kind);
void fdc_read_id(Fdc *s);
uint8_t fdc_data_read(Fdc *s);
void fdc_data_write(Fdc *s, uint8_t v);
/* The DMA channel was opened. */
void fdc_dma_ready(Device *d);
void fdc_cancel(Fdc *s);
void fdc_resume(Fdc *s);
void fdc_drain(Fdc *s);
void fdc_transfer_restored(Fdc *s);

#endif
