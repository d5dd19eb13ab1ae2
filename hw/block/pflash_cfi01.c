/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel flash with the Intel command set, eight bits wide. Specs: JESD68.01 (CFI), Intel 28F320J3.
 *
 * While it reads as an array, the guest reads and runs from it as from any ROM; only writes come here.
 * Any other mode lays an I/O region over it. Changed sectors go to the drive on its loop, one at a time.
 */
#include "hw/pflash.h"
#include <inttypes.h>
#include <string.h>
#include "block/block.h"
#include "block/drive.h"
#include "util/error.h"
#include "util/log.h"

enum {
    BUFFER = 2048, READY = 0x80, ERASE_ERROR = 0x20, PROGRAM_ERROR = 0x10, ARRAY = 0xff, STATUS = 0x70,
    ID = 0x90, QUERY = 0x98, CLEAR = 0x50, PROGRAM = 0x40, PROGRAM_2 = 0x10, ERASE = 0x20, CONFIRM = 0xd0,
    BUFFERED = 0xe8, LOCK = 0x60, MANUFACTURER = 0, DEVICE = 0, BLOCK = 4096, QUERY_SIZE = 0x52,
};

typedef struct PFlash {
    Device dev;
    MemRegion *region, *array, *modes;
    uint8_t command, cycle, status;     /* cycle: how far a command of several writes has come */
    uint8_t buffer[BUFFER];
    uint64_t buffer_at;
    uint32_t buffer_count, buffer_left;
    uint8_t query[QUERY_SIZE];
    uint64_t size;
    BlockNode *node;                    /* NULL or read_only: changes are lost */
    bool read_only, writing;
    unsigned long *dirty;               /* a bit per BLOCK bytes that the drive has not got */
    BlockRequest request;
    struct iovec iov;
    uint8_t *out;
    bool secure;                /* takes commands from system management mode only */
    /* properties */
    Drive *drive;
    uint64_t sector;
    char *name;
} PFlash;

static uint8_t *bytes(PFlash *s) { return mem_host(s->array); }

/* ---- to the drive ---- */

static void write_next(void *data);

static void written(BlockRequest *r, int error)
{
    PFlash *s = (PFlash *)((char *)r - offsetof(PFlash, request));
    if (error)
        log_write("%s: write of flash contents: %s", s->name ? s->name : "pflash", g_strerror(error));
    g_clear_pointer(&s->out, g_free);
    s->writing = false;
    write_next(s);
}

static int64_t first_dirty(const PFlash *s)
{
    for (uint64_t i = 0; i < s->size / BLOCK; i++)
        if (s->dirty[i / 64] >> i % 64 & 1)
            return (int64_t)i;
    return -1;
}

/* On the control loop. */
static void write_next(void *data)
{
    PFlash *s = data;
    device_lock(&s->dev);
    int64_t block = s->writing || !s->node ? -1 : first_dirty(s);
    if (block >= 0) {
        s->dirty[block / 64] &= ~(1ul << block % 64);
        s->out = g_memdup2(bytes(s) + block * BLOCK, BLOCK);
        s->writing = true;
    }
    device_unlock(&s->dev);
    if (block < 0)
        return;
    s->iov = (struct iovec){s->out, BLOCK};
    s->request = (BlockRequest){.op = BLOCK_WRITE, .offset = block * BLOCK, .bytes = BLOCK,
                                .iov = &s->iov, .n_iov = 1, .done = written};
    block_submit(s->node, &s->request);
}

static void changed(PFlash *s, uint64_t at, uint64_t n)
{
    ram_written(s->dev.object.vm, mem_ram_offset(s->array) + at, n);
    if (s->read_only || !s->node)
        return;
    for (uint64_t i = at / BLOCK; i <= (at + n - 1) / BLOCK; i++)
        s->dirty[i / 64] |= 1ul << i % 64;
    loop_post(s->dev.object.vm->loop, write_next, s);
}

/* ---- commands ---- */

static void set_mode(PFlash *s, uint8_t command)
{
    s->command = command;
    s->cycle = 0;
    mem_set_enabled(s->modes, command != ARRAY);
}

static void program(PFlash *s, uint64_t at, uint8_t v)
{
    if (s->read_only) {
        s->status |= PROGRAM_ERROR;
        return;
    }
    bytes(s)[at] &= v;
    changed(s, at, 1);
}

static void erase(PFlash *s, uint64_t at)
{
    if (s->read_only) {
        s->status |= ERASE_ERROR;
    } else {
        at &= ~(s->sector - 1);
        memset(bytes(s) + at, 0xff, s->sector);
        changed(s, at, s->sector);
    }
    s->status |= READY;
}

static void first_write(PFlash *s, uint64_t at, uint8_t v)
{
    switch (v) {
    case PROGRAM: case PROGRAM_2: case LOCK: set_mode(s, v); s->cycle = 1; break;
    case ERASE: case BUFFERED: set_mode(s, v); s->cycle = 1; s->status |= READY; break;
    case CLEAR: s->status = 0; set_mode(s, ARRAY); break;
    case STATUS: case ID: case QUERY: set_mode(s, v); break;
    case 0x00: case ARRAY: case 0xf0: set_mode(s, ARRAY); break;
    default:
        log_guest(s, "unknown command 0x%02x", v);
        set_mode(s, ARRAY);
        break;
    }
}

static void flush_buffer(PFlash *s, uint8_t v)
{
    if (v == CONFIRM && !s->read_only) {
        for (unsigned i = 0; i < s->buffer_count; i++)
            bytes(s)[s->buffer_at + i] &= s->buffer[i];
        if (s->buffer_count)
            changed(s, s->buffer_at, s->buffer_count);
    } else {
        s->status |= PROGRAM_ERROR;
    }
    s->status |= READY;
    set_mode(s, STATUS);
}

/* The rest of a buffered write: count, data, confirmation. */
static void buffered_write(PFlash *s, uint64_t at, uint8_t v)
{
    switch (s->cycle) {
    case 1:
        s->buffer_left = s->buffer_count = v + 1u;
        s->buffer_at = UINT64_MAX;
        s->cycle = 2;
        break;
    case 2:
        if (s->buffer_at == UINT64_MAX)
            s->buffer_at = MIN(at, s->size - s->buffer_count);
        if (at - s->buffer_at < s->buffer_count)
            s->buffer[at - s->buffer_at] = v;
        if (--s->buffer_left == 0)
            s->cycle = 3;
        break;
    default: flush_buffer(s, v); break;
    }
}

static void write_flash(void *opaque, uint64_t at, uint64_t value, unsigned size)
{
    PFlash *s = opaque;
    uint8_t v = value;
    if (s->secure && !cpu_is_secure())
        return;
    if (s->cycle == 0) {
        first_write(s, at, v);
        return;
    }
    switch (s->command) {
    case PROGRAM: case PROGRAM_2:
        program(s, at, v);
        s->status |= READY;
        set_mode(s, STATUS);
        break;
    case ERASE:
        if (v == CONFIRM) {
            erase(s, at);
            set_mode(s, STATUS);
        } else {
            set_mode(s, ARRAY);
        }
        break;
    case LOCK: s->status |= READY; set_mode(s, STATUS); break;
    default: buffered_write(s, at, v); break;
    }
}

static uint64_t read_flash(void *opaque, uint64_t at, unsigned size)
{
    PFlash *s = opaque;
    if (s->secure && !cpu_is_secure())
        return bytes(s)[at];
    switch (s->command) {
    case ARRAY: return bytes(s)[at];
    case ID: return (at & 0xff) == 0 ? MANUFACTURER : (at & 0xff) == 1 ? DEVICE : 0;
    case QUERY: return (at & 0xff) < QUERY_SIZE ? s->query[at & 0xff] : 0;
    default: return s->status;
    }
}

static const MemOps ops = {read_flash, write_flash, 1, 1};

/* ---- the device ---- */

static void fill_query(PFlash *s)
{
    static const uint8_t head[] = {
        'Q', 'R', 'Y', 1, 0, 0x31, 0, 0, 0, 0, 0,           /* 0x10: Intel commands, table at 0x31 */
        0x45, 0x55, 0, 0, 7, 7, 10, 0, 4, 4, 4, 0,          /* 0x1b: voltages, times */
    };
    unsigned sectors = s->size / s->sector - 1;
    memcpy(s->query + 0x10, head, sizeof(head));
    s->query[0x27] = (uint8_t)__builtin_ctzll(s->size & (s->size - 1) ? 1ull << (64 - __builtin_clzll(s->size)) : s->size);
    s->query[0x28] = 2;                                     /* 8 or 16 bits wide */
    s->query[0x2a] = 8;                                     /* buffer of 256 bytes */
    s->query[0x2c] = 1;                                     /* one kind of sector */
    s->query[0x2d] = sectors;
    s->query[0x2e] = sectors >> 8;
    s->query[0x2f] = s->sector >> 8;
    s->query[0x30] = s->sector >> 16;
    memcpy(s->query + 0x31, "PRI10", 5);
}

static bool take_drive(PFlash *s, GError **error)
{
    BlockNode *n = s->drive ? s->drive->node : NULL;
    s->size = n ? block_size(n) : 0;
    s->read_only = !n || block_read_only(n);
    if (!n || s->size == 0 || s->size % s->sector || s->size % BLOCK)
        return error_set(error, "flash '%s' needs a drive whose size is a multiple of %" PRIu64 " bytes, "
                         "not %" PRIu64, s->name ? s->name : "pflash", s->sector, s->size);
    DriveUse use = {.write = !s->read_only};
    if (!drive_attach(s->drive, &s->dev, &use, error))
        return false;
    s->node = n;
    return true;
}

static bool realize(Device *d, GError **error)
{
    PFlash *s = (PFlash *)d;
    const char *name = s->name ? s->name : "pflash";
    if (s->sector < BLOCK || s->sector & (s->sector - 1))
        return error_set(error, "sector-length must be a power of 2, at least 4096");
    if (!take_drive(s, error))
        return false;
    s->dirty = g_new0(unsigned long, s->size / BLOCK / 64 + 1);
    s->region = mem_container(&d->object, name, s->size);
    s->array = mem_rom_device(&d->object, name, s->size, &ops, s, d, error);
    if (!s->array)
        return false;
    int failed = block_sync(s->node, BLOCK_READ, 0, bytes(s), s->size);
    if (failed)
        return error_set_errno(error, failed, "could not read flash contents of '%s'", name);
    s->modes = mem_io(&d->object, "pflash-modes", s->size, &ops, s, d);
    mem_set_enabled(s->modes, false);
    mem_add(s->region, 0, s->array, 0);
    mem_add(s->region, 0, s->modes, 1);
    fill_query(s);
    return true;
}

/* What is on its way arrives before the drive goes. */
static void unrealize(Device *d)
{
    PFlash *s = (PFlash *)d;
    if (!s->node)
        return;
    while (s->writing || first_dirty(s) >= 0) {
        if (!s->writing)
            write_next(s);
        if (s->writing)
            block_drain(s->node);
    }
    s->node = NULL;
    drive_detach(s->drive);
}

static void finish(Object *o) { g_free(((PFlash *)o)->dirty); }
static void reset(Device *d) { set_mode((PFlash *)d, ARRAY); }

static void restored(Device *d)
{
    PFlash *s = (PFlash *)d;
    mem_set_enabled(s->modes, s->command != ARRAY);
}

static const Field fields[] = {
    HOST(PFlash, region), HOST(PFlash, array), HOST(PFlash, modes),
    SAVED(PFlash, command, .init = ARRAY), SAVED(PFlash, cycle), SAVED(PFlash, status),
    SAVED(PFlash, buffer), SAVED(PFlash, buffer_at), SAVED(PFlash, buffer_count),
    SAVED(PFlash, buffer_left), HOST(PFlash, query), HOST(PFlash, size), HOST(PFlash, node),
    HOST(PFlash, read_only), HOST(PFlash, writing), HOST(PFlash, dirty), HOST(PFlash, request),
    HOST(PFlash, iov), HOST(PFlash, out), PROP(PFlash, drive, "drive", PROP_DRIVE),
    PROP(PFlash, sector, "sector-length", PROP_U64, .init = BLOCK), PROP(PFlash, name, "name", PROP_STRING),
    PROP(PFlash, secure, "secure", PROP_BOOL, .desc = "Only system management mode may change it"),
};
static const DeviceType pflash = {
    .name = "cfi.pflash01", .desc = "Parallel flash, Intel commands", .size = sizeof(PFlash),
    .category = DEVICE_STORAGE, FIELDS(fields), .realize = realize, .unrealize = unrealize,
    .finish = finish, .reset = reset, .restored = restored,
};
DEVICE_TYPE(pflash);

Device *pflash_new(Vm *vm, const char *name, Drive *drive, uint64_t sector, GError **error)
{
    PFlash *s = (PFlash *)device_draft(vm, "cfi.pflash01");
    s->drive = drive;
    s->sector = sector;
    s->name = g_strdup(name);
    return device_realize(&s->dev, NULL, error) ? &s->dev : NULL;
}

MemRegion *pflash_region(Device *d) { return ((PFlash *)d)->region; }
uint64_t pflash_size(Device *d) { return ((PFlash *)d)->size; }
