/* SPDX-License-Identifier: Apache-2.0 */
/* The SCSI bus: addresses, and what answers where no unit is. Specs: SAM-5, SPC-4. */
#include "hw/scsi/internal.h"
#include "util/error.h"

/* ---- finding ---- */

ScsiUnit *scsi_bus_find(ScsiBus *bus, unsigned channel, unsigned id, unsigned lun)
{
    for (unsigned i = 0; i < bus->units->len; i++) {
        ScsiUnit *u = bus->units->pdata[i];
        if (u->channel == channel && u->id == id && u->lun == lun)
            return u;
    }
    return NULL;
}

bool scsi_bus_has_target(ScsiBus *bus, unsigned channel, unsigned id)
{
    for (unsigned i = 0; i < bus->units->len; i++) {
        const ScsiUnit *u = bus->units->pdata[i];
        if (u->channel == channel && u->id == id)
            return true;
    }
    return false;
}

/* ---- REPORT LUNS ---- */

static int by_number(gconstpointer a, gconstpointer b)
{
    return (int)*(const unsigned *)a - (int)*(const unsigned *)b;
}

/* Up to 255 in the peripheral form, above in the flat one. */
static void put_lun(uint8_t *p, unsigned lun)
{
    memset(p, 0, 8);
    put16(p, lun < 256 ? lun : 0x4000 | lun);
}

void scsi_bus_report_luns(ScsiRequest *r)
{
    ScsiBus *bus = r->bus;
    g_autoptr(GArray) luns = g_array_new(FALSE, FALSE, sizeof(unsigned));
    unsigned zero = 0;
    if (be32(r->cdb + 6) < 16 || r->cdb[2] > 2) {
        scsi_fail(r, SENSE_FIELD);
        return;
    }
    if (r->cdb[2] != 1) {       /* 1: well-known units only, which there are not */
        g_array_append_val(luns, zero);         /* LUN 0 always answers */
        for (unsigned i = 0; i < bus->units->len; i++) {
            const ScsiUnit *u = bus->units->pdata[i];
            if (u->channel == r->channel && u->id == r->id && u->lun)
                g_array_append_val(luns, u->lun);
        }
    }
    g_array_sort(luns, by_number);
    g_autofree uint8_t *d = g_malloc0(8 + 8 * luns->len);
    put32(d, 8 * luns->len);
    for (unsigned i = 0; i < luns->len; i++)
        put_lun(d + 8 + 8 * i, g_array_index(luns, unsigned, i));
    scsi_reply(r, d, 8 + 8 * luns->len);
}

/* ---- a number without a unit on a target that has others ---- */

static void answer_absent(ScsiRequest *r)
{
    uint8_t d[36] = {r->lun ? 0x7f : 0x3f, 0, 5, 0x12, 31};
    uint8_t sense[SCSI_SENSE] = {0x70, 0, 5, 0, 0, 0, 0, SCSI_SENSE - 8, 0, 0, 0, 0, 0x25};
    scsi_begin(r, NULL);
    switch (r->cdb[0]) {
    case 0x03:
        scsi_reply(r, sense, sizeof(sense));
        break;
    case 0x12:
        if (r->cdb[1] & 3 || r->cdb[2]) {
            scsi_fail(r, SENSE_FIELD);
            break;
        }
        scsi_put_text(d + 8, 8, "QEMU");
        scsi_put_text(d + 16, 16, "QEMU TARGET");
        scsi_reply(r, d, sizeof(d));
        break;
    case 0xa0:
        scsi_bus_report_luns(r);
        break;
    default:
        scsi_fail(r, SENSE_LUN);
    }
}

/* ---- commands ---- */

static void address(ScsiRequest *r, ScsiBus *bus, unsigned channel, unsigned id, unsigned lun)
{
    r->bus = bus;
    r->channel = channel;
    r->id = id;
    r->lun = lun;
}

bool scsi_bus_execute(ScsiBus *bus, unsigned channel, unsigned id, unsigned lun, ScsiRequest *r)
{
    address(r, bus, channel, id, lun);
    ScsiUnit *u = scsi_bus_find(bus, channel, id, lun);
    if (u)
        scsi_execute(u, r);
    else if (scsi_bus_has_target(bus, channel, id))
        answer_absent(r);
    else
        return false;
    return true;
}

static void run_posted(void *data)
{
    ScsiRequest *r = data;
    if (!scsi_bus_execute(r->bus, r->channel, r->id, r->lun, r)) {
        scsi_begin(r, NULL);
        scsi_fail(r, SENSE_LUN);
    }
}

void scsi_bus_post(ScsiBus *bus, unsigned channel, unsigned id, unsigned lun, ScsiRequest *r)
{
    address(r, bus, channel, id, lun);
    loop_post(bus->loop, run_posted, r);
}

/* ---- coming and going ---- */

typedef struct Change {
    ScsiBus *bus;
    ScsiUnit *unit;
} Change;

static void add_unit(void *data)
{
    const Change *c = data;
    g_ptr_array_add(c->bus->units, c->unit);
}

static void remove_unit(void *data)
{
    const Change *c = data;
    scsi_unit_drain(c->unit, true);
    g_ptr_array_remove(c->bus->units, c->unit);
}

void scsi_bus_join(ScsiBus *bus, ScsiUnit *u)
{
    Change c = {bus, u};
    u->bus = bus;
    loop_call(bus->loop, add_unit, &c);
}

void scsi_bus_leave(ScsiBus *bus, ScsiUnit *u)
{
    Change c = {bus, u};
    loop_call(bus->loop, remove_unit, &c);
}

void scsi_bus_drain(ScsiBus *bus, bool abort)
{
    for (unsigned i = 0; i < bus->units->len; i++)
        scsi_unit_drain(bus->units->pdata[i], abort);
}

ScsiBus *scsi_bus_new(Device *owner, const ScsiAdapter *adapter, Loop *loop, const char *name)
{
    ScsiBus *bus = (ScsiBus *)bus_new(owner, &scsi_bus_type, name);
    bus->adapter = adapter;
    bus->loop = loop ? loop : owner->object.vm->loop;
    return bus;
}
