/* SPDX-License-Identifier: Apache-2.0 */
/* Command descriptor blocks: lengths, directions, addresses. Specs: SPC-4, SBC-3, MMC-6. */
#include "hw/scsi/internal.h"

/* Where the number of bytes (or blocks) that a command transfers stands. */
typedef struct Shape {
    uint8_t op, at, bytes;
    enum { TO_HOST, TO_DEVICE } way;
    enum { BYTES, BLOCKS, ONE_BLOCK, COMPARED, FIXED } unit;   /* FIXED: `bytes` itself */
} Shape;

static const Shape shapes[] = {
    {0x03, 4, 1, TO_HOST, BYTES},       /* REQUEST SENSE */
    {0x08, 4, 1, TO_HOST, BLOCKS},      /* READ(6) */
    {0x0a, 4, 1, TO_DEVICE, BLOCKS},    /* WRITE(6) */
    {0x12, 3, 2, TO_HOST, BYTES},       /* INQUIRY */
    {0x15, 4, 1, TO_DEVICE, BYTES},     /* MODE SELECT(6) */
    {0x1a, 4, 1, TO_HOST, BYTES},       /* MODE SENSE(6) */
    {0x1c, 3, 2, TO_HOST, BYTES},       /* RECEIVE DIAGNOSTIC RESULTS */
    {0x1d, 3, 2, TO_DEVICE, BYTES},     /* SEND DIAGNOSTIC */
    {0x23, 7, 2, TO_HOST, BYTES},       /* READ FORMAT CAPACITIES */
    {0x25, 0, 8, TO_HOST, FIXED},       /* READ CAPACITY(10) */
    {0x28, 7, 2, TO_HOST, BLOCKS},      /* READ(10) */
    {0x2a, 7, 2, TO_DEVICE, BLOCKS},    /* WRITE(10) */
    {0x2e, 7, 2, TO_DEVICE, BLOCKS},    /* WRITE AND VERIFY(10) */
    {0x2f, 7, 2, TO_DEVICE, COMPARED},  /* VERIFY(10) */
    {0x3b, 6, 3, TO_DEVICE, BYTES},     /* WRITE BUFFER */
    {0x3c, 6, 3, TO_HOST, BYTES},       /* READ BUFFER */
    {0x41, 0, 0, TO_DEVICE, ONE_BLOCK}, /* WRITE SAME(10) */
    {0x42, 7, 2, TO_DEVICE, BYTES},     /* UNMAP; READ SUB-CHANNEL for CDs */
    {0x43, 7, 2, TO_HOST, BYTES},       /* READ TOC/PMA/ATIP */
    {0x46, 7, 2, TO_HOST, BYTES},       /* GET CONFIGURATION */
    {0x4a, 7, 2, TO_HOST, BYTES},       /* GET EVENT STATUS NOTIFICATION */
    {0x4c, 7, 2, TO_DEVICE, BYTES},     /* LOG SELECT */
    {0x4d, 7, 2, TO_HOST, BYTES},       /* LOG SENSE */
    {0x51, 7, 2, TO_HOST, BYTES},       /* READ DISC INFORMATION */
    {0x52, 7, 2, TO_HOST, BYTES},       /* READ TRACK INFORMATION */
    {0x55, 7, 2, TO_DEVICE, BYTES},     /* MODE SELECT(10) */
    {0x5a, 7, 2, TO_HOST, BYTES},       /* MODE SENSE(10) */
    {0x5c, 7, 2, TO_HOST, BYTES},       /* READ BUFFER CAPACITY */
    {0x5e, 7, 2, TO_HOST, BYTES},       /* PERSISTENT RESERVE IN */
    {0x5f, 5, 4, TO_DEVICE, BYTES},     /* PERSISTENT RESERVE OUT */
    {0x88, 10, 4, TO_HOST, BLOCKS},     /* READ(16) */
    {0x8a, 10, 4, TO_DEVICE, BLOCKS},   /* WRITE(16) */
    {0x8e, 10, 4, TO_DEVICE, BLOCKS},   /* WRITE AND VERIFY(16) */
    {0x8f, 10, 4, TO_DEVICE, COMPARED}, /* VERIFY(16) */
    {0x93, 0, 0, TO_DEVICE, ONE_BLOCK}, /* WRITE SAME(16) */
    {0x9e, 10, 4, TO_HOST, BYTES},      /* SERVICE ACTION IN(16) */
    {0xa0, 6, 4, TO_HOST, BYTES},       /* REPORT LUNS */
    {0xa3, 6, 4, TO_HOST, BYTES},       /* MAINTENANCE IN */
    {0xa8, 6, 4, TO_HOST, BLOCKS},      /* READ(12) */
    {0xaa, 6, 4, TO_DEVICE, BLOCKS},    /* WRITE(12) */
    {0xac, 8, 2, TO_HOST, BYTES},       /* GET PERFORMANCE */
    {0xad, 8, 2, TO_HOST, BYTES},       /* READ DVD STRUCTURE */
    {0xae, 6, 4, TO_DEVICE, BLOCKS},    /* WRITE AND VERIFY(12) */
    {0xaf, 6, 4, TO_DEVICE, COMPARED},  /* VERIFY(12) */
    {0xbd, 8, 2, TO_HOST, BYTES},       /* MECHANISM STATUS */
    {0xbe, 6, 3, TO_HOST, BLOCKS},      /* READ CD */
};

static const Shape *shape_of(uint8_t op)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++)
        if (shapes[i].op == op)
            return &shapes[i];
    return NULL;
}

unsigned scsi_cdb_bytes(uint8_t opcode)
{
    static const uint8_t by_group[8] = {6, 10, 10, 0, 16, 12, 0, 0};
    return by_group[opcode >> 5];
}

static uint64_t number(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    while (bytes--)
        v = v << 8 | *p++;
    return v;
}

uint64_t scsi_cdb_lba(const uint8_t *cdb)
{
    switch (scsi_cdb_bytes(cdb[0])) {
    case 6: return be24(cdb + 1) & 0x1fffff;
    case 16: return be64(cdb + 2);
    default: return be32(cdb + 2);
    }
}

uint64_t scsi_cdb_blocks(const uint8_t *cdb)
{
    const Shape *s = shape_of(cdb[0]);
    switch (scsi_cdb_bytes(cdb[0])) {
    case 6: return cdb[4] ? cdb[4] : 256;
    case 16: return be32(cdb + 10);
    case 12: return s ? number(cdb + s->at, s->bytes) : be32(cdb + 6);
    default: return s && s->bytes ? number(cdb + s->at, s->bytes) : be16(cdb + 7);
    }
}

/* BYTCHK: the data to compare with comes along; NDOB: it does not. */
static uint64_t blocks_sent(const Shape *s, const uint8_t *cdb)
{
    switch (s->unit) {
    case ONE_BLOCK: return cdb[0] == 0x93 && cdb[1] & 1 ? 0 : 1;
    case COMPARED: return cdb[1] & 2 ? scsi_cdb_blocks(cdb) : 0;
    default: return scsi_cdb_blocks(cdb);
    }
}

/* READ CD chooses parts of sectors; the user data is what we have. */
static unsigned read_cd_bytes(const uint8_t *cdb)
{
    return (cdb[9] & 0xf8) == 0x10 ? 2048 : 0;
}

uint64_t scsi_length(const ScsiUnit *unit, const uint8_t *cdb)
{
    const Shape *s = shape_of(cdb[0]);
    if (!s)
        return 0;
    if (s->unit == BYTES)
        return number(cdb + s->at, s->bytes);
    if (s->unit == FIXED)
        return s->bytes;
    return blocks_sent(s, cdb) * (cdb[0] == 0xbe ? read_cd_bytes(cdb) : unit ? unit->is.logical : 512);
}

ScsiDirection scsi_direction(const uint8_t *cdb)
{
    const Shape *s = shape_of(cdb[0]);
    if (!s || ((s->unit == ONE_BLOCK || s->unit == COMPARED) && !blocks_sent(s, cdb)))
        return SCSI_NO_DATA;
    return s->way == TO_HOST ? SCSI_FROM_UNIT : SCSI_TO_UNIT;
}
