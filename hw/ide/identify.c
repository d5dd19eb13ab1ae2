/* SPDX-License-Identifier: Apache-2.0 */
/* What drives say of themselves. Spec: ATA8-ACS 7.16, 7.17. */
#include <string.h>
#include "hw/ide/ata.h"

enum { WORDS = 256, LBA28 = 0x0fffffff, QUEUE = 32 };

static void put_text(uint16_t *w, unsigned words, const char *text)
{
    size_t n = strlen(text);
    for (unsigned i = 0; i < words; i++)
        w[i] = (2 * i < n ? text[2 * i] : ' ') << 8 | (2 * i + 1 < n ? text[2 * i + 1] : ' ');
}

static void common(const IdeDrive *d, uint16_t *w)
{
    put_text(w + 10, 10, d->conf.serial);
    put_text(w + 23, 4, d->version);
    put_text(w + 27, 20, d->model);
    w[48] = 1;
    w[53] = 7;                  /* words 54-58, 64-70, 88 are valid */
    w[62] = 7;
    w[63] = 7 | d->state.dma_mode << 8;
    w[64] = 3;                  /* PIO 3 and 4 */
    w[65] = w[66] = w[67] = w[68] = 120;
    w[88] = 0x3f | d->state.udma_mode << 8;
    w[93] = 1 | 1 << 14 | 0x2000;
}

static void packet_device(const IdeDrive *d, uint16_t *w)
{
    w[0] = 0x85c0;              /* ATAPI, CD, removable, 12-byte packets */
    w[49] = 1 << 9 | 1 << 8;
    w[71] = w[72] = 30;
    w[80] = 0x1e;
}

static void disk(const IdeDrive *d, uint16_t *w)
{
    uint64_t sectors = d->conf.drive->node ? block_size(d->conf.drive->node) / ATA_SECTOR : 0;
    DiskGeometry g = disk_geometry(sectors);
    uint32_t chs = g.cylinders * g.heads * g.sectors, small = MIN(sectors, LBA28);
    bool sata = ((IdeBus *)d->dev.parent_bus)->sata;
    w[0] = 0x40;
    w[1] = w[54] = g.cylinders;
    w[3] = w[55] = g.heads;
    w[4] = g.sectors * ATA_SECTOR;
    w[5] = ATA_SECTOR;
    w[6] = w[56] = g.sectors;
    w[20] = 3;
    w[21] = 512;
    w[22] = 4;
    w[47] = 0x8000 | 16;
    w[49] = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 8;
    w[51] = w[52] = 0x200;
    w[57] = chs;
    w[58] = chs >> 16;
    w[59] = d->state.multiple ? 0x100 | d->state.multiple : 0;
    w[60] = small;
    w[61] = small >> 16;
    if (sata) {
        w[75] = QUEUE - 1;
        w[76] = 1 << 8 | 1 << 2 | 1 << 1;
    }
    w[80] = 0xf0;
    w[81] = 0x16;
    w[82] = 1 << 14 | 1 << 5;
    w[83] = 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10;
    w[84] = w[87] = 1 << 14 | 1 << 6 | (d->wwn ? 1 << 8 : 0);
    w[85] = 1 << 14 | (d->state.write_cache ? 1 << 5 : 0);
    w[86] = 1 << 13 | 1 << 12 | 1 << 10;
    for (unsigned i = 0; i < 4; i++)
        w[100 + i] = sectors >> 16 * i;
    if (d->conf.physical > ATA_SECTOR)
        w[106] = 0x6000 | __builtin_ctz(d->conf.physical / ATA_SECTOR);
    for (unsigned i = 0; d->wwn && i < 4; i++)
        w[108 + i] = d->wwn >> 16 * (3 - i);
    if (d->conf.discard_granularity) {
        w[105] = 1;             /* blocks of ranges to trim */
        w[169] = 1;
    }
    w[217] = d->rotation_rate;
}

unsigned ata_identify(const IdeDrive *d, bool packet, uint16_t *w)
{
    memset(w, 0, WORDS * 2);
    common(d, w);
    if (packet)
        packet_device(d, w);
    else
        disk(d, w);
    for (unsigned i = 0; i < WORDS; i++)
        w[i] = GUINT16_TO_LE(w[i]);
    return WORDS * 2;
}
