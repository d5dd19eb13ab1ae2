/* SPDX-License-Identifier: Apache-2.0 */
/* A channel of parallel ATA: command block registers of two drives, PIO, bus master DMA. */
#ifndef HW_IDE_CHANNEL_H
#define HW_IDE_CHANNEL_H

#include "hw/ide/ata.h"
#include "hw/dma-list.h"
#include "hw/pci.h"

/* [0]: as written last, [1]: as written before that (48-bit commands). */
typedef struct AtaRegs {
    uint8_t error, status, feature[2], count[2], low[2], mid[2], high[2];
} AtaRegs;

/* Saved as it is. */
typedef struct ChannelState {
    AtaRegs regs[2];
    uint8_t device, control, phase, command;
    uint8_t irq;                /* the drive's wish, before nIEN */
    uint8_t bm_command, bm_status;
    uint8_t cdb[SCSI_CDB];
    uint8_t prd[4];             /* address of the table, little-endian */
    uint8_t at[4], end[4];      /* positions in the buffer */
} ChannelState;

typedef struct IdeChannel {
    PciDevice *owner;
    IdeBus *bus;
    Irq *line;
    ChannelState *s;
    AtaTask task;
    uint8_t *buf;               /* data of PIO */
    uint32_t size, at, end;
    struct iovec iov;
    DmaList dma;
    bool running;               /* the task is with the drive */
    bool stale;                 /* and its result does not count any more */
    bool held, reset_due;
} IdeChannel;

void ide_channel_init(IdeChannel *c, PciDevice *owner, unsigned number, Irq *line, ChannelState *state);
void ide_channel_finish(IdeChannel *c);
/* Offset 0-7 in the command block; ide_channel_control: the control block's register. */
uint64_t ide_channel_read(IdeChannel *c, unsigned at, unsigned size);
void ide_channel_write(IdeChannel *c, unsigned at, uint64_t value, unsigned size);
uint8_t ide_channel_alternate_status(IdeChannel *c);
void ide_channel_control(IdeChannel *c, uint8_t value);
/* Bus master registers, offset 0-7. */
uint64_t ide_channel_bm_read(IdeChannel *c, unsigned at, unsigned size);
void ide_channel_bm_write(IdeChannel *c, unsigned at, uint64_t value, unsigned size);
void ide_channel_reset(IdeChannel *c);
/* The machine runs again. Main loop. */
void ide_channel_resume(IdeChannel *c);
void ide_channel_drain(IdeChannel *c);
/* What of the data phase is in memory, to and from bytes. */
GBytes *ide_channel_save(IdeChannel *c);
void ide_channel_load(IdeChannel *c, GBytes *data);

#endif
