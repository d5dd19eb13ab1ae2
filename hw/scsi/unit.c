/* SPDX-License-Identifier: Apache-2.0 */
/* Logical units: the life of a command, sense data, unit attentions. Specs: SAM-5, SPC-4. */
#include <errno.h>
#include "hw/scsi/internal.h"
#include "util/log.h"

/* ---- endings ---- */

static void fill_sense(uint8_t *sense, ScsiSense s)
{
    memset(sense, 0, SCSI_SENSE);
    sense[0] = 0x70;
    sense[2] = s.key;
    sense[7] = SCSI_SENSE - 8;
    sense[12] = s.asc;
    sense[13] = s.ascq;
}

static void end(ScsiRequest *r)
{
    ScsiUnit *u = r->unit;
    Device *owner = r->owner;
    trace(end, "opcode 0x%02x status 0x%02x sense %x/%02x/%02x, %llu bytes", r->cdb[0], r->status, r->sense[2],
          r->sense[12], r->sense[13], (unsigned long long)r->done);
    g_clear_pointer(&r->part, g_free);
    g_clear_pointer(&r->buf, free);
    if (u)
        u->in_flight--;
    if (r->aborted)
        r->status = SCSI_TASK_ABORTED;
    if (owner)
        device_lock(owner);
    r->complete(r);
    if (owner)
        device_unlock(owner);
}

void scsi_good(ScsiRequest *r)
{
    r->status = SCSI_GOOD;
    end(r);
}

void scsi_fail(ScsiRequest *r, ScsiSense s)
{
    r->status = SCSI_CHECK_CONDITION;
    r->n_sense = SCSI_SENSE;
    fill_sense(r->sense, s);
    if (r->unit) {
        r->unit->state->sense_key = s.key;
        r->unit->state->sense_asc = s.asc;
        r->unit->state->sense_ascq = s.ascq;
    }
    end(r);
}

void scsi_reply(ScsiRequest *r, const void *data, uint64_t bytes)
{
    bytes = MIN(bytes, scsi_length(r->unit, r->cdb));
    r->done = iov_write(r->iov, r->n_iov, 0, data, MIN(bytes, r->room));
    scsi_good(r);
}

uint64_t scsi_fetch(ScsiRequest *r, void *data, uint64_t bytes)
{
    uint64_t n = iov_read(r->iov, r->n_iov, 0, data, MIN(bytes, r->room));
    r->done = n;
    return n;
}

void scsi_put_text(uint8_t *p, unsigned n, const char *text)
{
    memset(p, ' ', n);
    memcpy(p, text, MIN(n, strlen(text)));
}

/* ---- storage ---- */

static ScsiSense sense_of(int error, bool read)
{
    switch (error) {
    case ENOMEDIUM: return SENSE_NO_MEDIUM;
    case EINVAL: return SENSE_LBA;
    case EPERM:
    case EROFS: return SENSE_PROTECTED;
    case ENOSPC: return SENSE(7, 0x27, 7);
    case ENOMEM: return SENSE(4, 0x44, 0);
    default: return read ? SENSE(3, 0x11, 0) : SENSE(3, 0x0c, 0);
    }
}

static void stored(BlockRequest *b, int error)
{
    ScsiRequest *r = (ScsiRequest *)((char *)b - offsetof(ScsiRequest, block));
    bool read = b->op == BLOCK_READ;
    BlockErrorAction action = error ? drive_error(r->unit->drive, read, error) : BLOCK_ERROR_ACTION_IGNORE;
    if (r->aborted) {
        end(r);
    } else if (action == BLOCK_ERROR_ACTION_STOP) {
        r->next = r->unit->held;
        r->unit->held = r;
    } else if (action == BLOCK_ERROR_ACTION_REPORT) {
        r->done = 0;
        scsi_fail(r, sense_of(error, read));
    } else if (r->then) {
        r->then(r);
    } else {
        scsi_good(r);
    }
}

static void submit(ScsiRequest *r)
{
    BlockNode *n = r->unit->drive->node;
    r->block.done = stored;
    if (n)
        block_submit(n, &r->block);
    else
        scsi_fail(r, SENSE_NO_MEDIUM);
}

void scsi_submit(ScsiRequest *r, void (*then)(ScsiRequest *r))
{
    r->then = then;
    submit(r);
}

/* ---- beginnings ---- */

static const ScsiCommand *find_in(const ScsiCommand *list, unsigned n, const ScsiRequest *r, unsigned who)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i].op == r->cdb[0] && list[i].flags & who)
            return &list[i];
    return NULL;
}

static const ScsiCommand *find(const ScsiUnit *u, const ScsiRequest *r)
{
    unsigned who = u->is.cd ? FOR_CD : FOR_DISK;
    const ScsiCommand *c = find_in(scsi_block, scsi_n_block, r, who);
    c = c ? c : find_in(scsi_primary, scsi_n_primary, r, who);
    return c ? c : find_in(scsi_multimedia, scsi_n_multimedia, r, who);
}

bool scsi_has_medium(const ScsiUnit *u) { return u->drive->node && !u->drive->tray_open; }
uint64_t scsi_blocks(const ScsiUnit *u) { return scsi_has_medium(u) ? block_size(u->drive->node) / u->is.logical : 0; }
bool scsi_read_only(const ScsiUnit *u) { return u->is.cd || (u->drive->node && block_read_only(u->drive->node)); }

void scsi_begin(ScsiRequest *r, ScsiUnit *u)
{
    r->unit = u;
    r->status = SCSI_GOOD;
    r->n_sense = 0;
    r->done = 0;
    r->part = NULL;
    r->buf = NULL;
    r->aborted = false;
    r->next = NULL;
    memset(r->sense, 0, sizeof(r->sense));
    memset(&r->block, 0, sizeof(r->block));
    if (u)
        u->in_flight++;
}

void scsi_execute(ScsiUnit *u, ScsiRequest *r)
{
    scsi_begin(r, u);
    const ScsiCommand *c = r->command = find(u, r);
    ScsiState *s = u->state;
    if (s->attention_asc && !(c && c->flags & PASSES_ATTENTION)) {
        ScsiSense sense = {6, s->attention_asc, s->attention_ascq};
        s->attention_asc = s->attention_ascq = 0;
        scsi_fail(r, sense);
        return;
    }
    if (!(c && c->flags & KEEPS_SENSE))
        s->sense_key = s->sense_asc = s->sense_ascq = 0;
    if (!c)
        scsi_fail(r, SENSE_OPCODE);
    else if (c->flags & NEEDS_MEDIUM && !scsi_has_medium(u))
        scsi_fail(r, SENSE(2, 0x3a, !u->is.cd ? 0 : u->drive->tray_open ? 2 : 1));
    else if (c->flags & NEEDS_MEDIUM && s->stopped)
        scsi_fail(r, SENSE(2, 4, 2));           /* START UNIT is needed */
    else
        c->run(r);
}

static void run_posted(void *data)
{
    ScsiRequest *r = data;
    scsi_execute(r->unit, r);
}

void scsi_post(ScsiUnit *u, ScsiRequest *r)
{
    r->unit = u;
    loop_post(u->loop, run_posted, r);
}

void scsi_cancel(ScsiRequest *r)
{
    r->aborted = true;
    for (ScsiRequest **p = &r->unit->held; *p; p = &(*p)->next) {
        if (*p == r) {
            *p = r->next;
            end(r);
            return;
        }
    }
}

/* ---- life ---- */

void scsi_unit_init(ScsiUnit *u, Device *dev, Drive *drive, Loop *loop, const ScsiIdentity *is, ScsiState *state)
{
    *u = (ScsiUnit){.dev = dev, .drive = drive, .loop = loop, .is = *is, .state = state};
    state->write_cache = drive->writeback;
    u->known_size = scsi_blocks(u);
}

void scsi_unit_reset(ScsiUnit *u)
{
    uint8_t cache = u->state->write_cache;
    memset(u->state, 0, sizeof(*u->state));
    u->state->write_cache = cache;
    u->state->attention_asc = u->is.atapi ? 0 : 0x29;   /* power on, reset, or bus device reset */
}

void scsi_unit_drain(ScsiUnit *u, bool abort)
{
    if (u->drive->node)
        block_drain(u->drive->node);
    while (abort && u->held) {
        ScsiRequest *r = u->held;
        u->held = r->next;
        r->aborted = true;
        end(r);
    }
}

void scsi_unit_retry(ScsiUnit *u)
{
    ScsiRequest *list = NULL;
    while (u->held) {           /* they were pushed at the head: the oldest first again */
        ScsiRequest *r = u->held;
        u->held = r->next;
        r->next = list;
        list = r;
    }
    for (ScsiRequest *r; (r = list);) {
        list = r->next;
        r->next = NULL;
        submit(r);
    }
}

void scsi_unit_attention(ScsiUnit *u, uint8_t asc, uint8_t ascq)
{
    /* A reset says more than a new medium, and that more than another capacity. */
    if (u->state->attention_asc != 0x29) {
        u->state->attention_asc = asc;
        u->state->attention_ascq = ascq;
    }
    if (u->bus && u->bus->adapter->changed)
        u->bus->adapter->changed(u->bus, u, asc, ascq);
}

/* ---- what happens to the drive, on the control thread ---- */

typedef struct Happening {
    ScsiUnit *u;
    enum { MEDIUM_IN, MEDIUM_OUT, EJECT, RESIZED } what;
} Happening;

static void happen(void *data)
{
    const Happening *h = data;
    ScsiUnit *u = h->u;
    switch (h->what) {
    case MEDIUM_IN:
        u->state->media_event = 2;              /* new media */
        u->state->stopped = 0;
        u->known_size = scsi_blocks(u);
        scsi_unit_attention(u, 0x28, 0);        /* medium may have changed */
        break;
    case MEDIUM_OUT:
        u->state->media_event = 3;              /* media removal */
        u->state->eject_event = 0;
        u->state->locked = 0;
        break;
    case EJECT:
        u->state->eject_event = 1;
        break;
    case RESIZED:
        u->known_size = scsi_blocks(u);
        scsi_unit_attention(u, 0x2a, 9);        /* capacity data has changed */
        break;
    }
}

static void tell(ScsiUnit *u, int what)
{
    Happening h = {u, what};
    loop_call(u->loop, happen, &h);
}

void scsi_unit_medium(ScsiUnit *u, bool in) { tell(u, in ? MEDIUM_IN : MEDIUM_OUT); }
void scsi_unit_eject_request(ScsiUnit *u) { tell(u, EJECT); }
void scsi_unit_resized(ScsiUnit *u) { tell(u, RESIZED); }
