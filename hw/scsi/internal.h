/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the SCSI core. */
#ifndef HW_SCSI_INTERNAL_H
#define HW_SCSI_INTERNAL_H

#include <string.h>
#include "hw/scsi.h"

enum {
    FOR_DISK = 1, FOR_CD = 2, FOR_ALL = 3,
    NEEDS_MEDIUM = 4,           /* NOT READY without one */
    PASSES_ATTENTION = 8,       /* runs in spite of a pending unit attention */
    KEEPS_SENSE = 16,           /* leaves the sense data of the last command */
};
typedef struct ScsiCommand {
    uint8_t op;
    unsigned flags;
    void (*run)(ScsiRequest *r);
} ScsiCommand;
extern const ScsiCommand scsi_primary[], scsi_block[], scsi_multimedia[];
extern const unsigned scsi_n_primary, scsi_n_block, scsi_n_multimedia;

#define SENSE(k, c, q) ((ScsiSense){k, c, q})
#define SENSE_OPCODE SENSE(5, 0x20, 0)
#define SENSE_LBA SENSE(5, 0x21, 0)
#define SENSE_FIELD SENSE(5, 0x24, 0)
#define SENSE_LUN SENSE(5, 0x25, 0)
#define SENSE_PARAMETER SENSE(5, 0x26, 0)
#define SENSE_PARAMETER_LENGTH SENSE(5, 0x1a, 0)
#define SENSE_PROTECTED SENSE(7, 0x27, 0)
#define SENSE_NO_MEDIUM SENSE(2, 0x3a, 0)
#define SENSE_DATA_PHASE SENSE(0xb, 0x4b, 0)

static inline uint32_t be16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static inline uint32_t be24(const uint8_t *p) { return p[0] << 16 | p[1] << 8 | p[2]; }
static inline uint32_t be32(const uint8_t *p) { return (uint32_t)be16(p) << 16 | be16(p + 2); }
static inline uint64_t be64(const uint8_t *p) { return (uint64_t)be32(p) << 32 | be32(p + 4); }
static inline void put16(uint8_t *p, uint32_t v) { p[0] = v >> 8; p[1] = v; }
static inline void put24(uint8_t *p, uint32_t v) { p[0] = v >> 16; put16(p + 1, v); }
static inline void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }
static inline void put64(uint8_t *p, uint64_t v) { put32(p, v >> 32); put32(p + 4, v); }
/* ASCII, padded with spaces. */
void scsi_put_text(uint8_t *p, unsigned n, const char *text);

/* ---- how a command ends ---- */
void scsi_good(ScsiRequest *r);
void scsi_fail(ScsiRequest *r, ScsiSense s);
/* Data for the initiator, cut to what it asked for. */
void scsi_reply(ScsiRequest *r, const void *data, uint64_t bytes);
/* Parameters from the initiator; fewer if it gave fewer. */
uint64_t scsi_fetch(ScsiRequest *r, void *data, uint64_t bytes);
/* Submits r->block (op, offset, bytes, iov, flags set). then: on success, instead of scsi_good(). */
void scsi_submit(ScsiRequest *r, void (*then)(ScsiRequest *r));

/* ---- units ---- */
bool scsi_has_medium(const ScsiUnit *u);
uint64_t scsi_blocks(const ScsiUnit *u);                /* capacity in logical blocks, 0 without medium */
bool scsi_read_only(const ScsiUnit *u);
/* Address and number of blocks in the CDB of a media command. */
uint64_t scsi_cdb_lba(const uint8_t *cdb);
uint64_t scsi_cdb_blocks(const uint8_t *cdb);
/* Reads or writes blocks by way of r's data buffer. */
void scsi_transfer(ScsiRequest *r, BlockOp op, uint64_t lba, uint64_t blocks, void (*then)(ScsiRequest *r));
void scsi_inquiry(ScsiRequest *r);
void scsi_mode_sense(ScsiRequest *r);
void scsi_mode_select(ScsiRequest *r);
/* The mode page of CD drives; returns its bytes. */
unsigned scsi_cd_capabilities(const ScsiUnit *u, uint8_t *page);
void scsi_bus_report_luns(ScsiRequest *r);
void scsi_begin(ScsiRequest *r, ScsiUnit *u);

/* ---- the bus ---- */
extern const BusType scsi_bus_type;
void scsi_bus_join(ScsiBus *bus, ScsiUnit *u);
void scsi_bus_leave(ScsiBus *bus, ScsiUnit *u);

#endif
