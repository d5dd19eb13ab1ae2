/* SPDX-License-Identifier: Apache-2.0 */
/* DMA controllers of PCs. Specs: Intel 8237A data sheet; IBM PC AT technical reference (page registers). */
#include <string.h>
#include "hw/isa.h"
#include "util/error.h"

enum {
    CHANNELS = 4, PAGES = 8, REGISTERS = 16, WIDE_WINDOW = 32, WINDOW = WIDE_WINDOW + PAGES, CASCADE = 4,
    COMMAND = 8, REQUEST, SINGLE_MASK, MODE, CLEAR_POINTER, MASTER_CLEAR, CLEAR_MASK, ALL_MASK,
    STATUS = COMMAND, TEMPORARY = MASTER_CLEAR,
    CMD_OFF = 4,
    MODE_TYPE = 0x0c, TYPE_TO_MEMORY = 0x04, TYPE_FROM_MEMORY = 0x08, MODE_AUTO = 0x10, MODE_DOWN = 0x20,
    MODE_CASCADE = 0xc0,
};

typedef struct DmaUser {
    void (*ready)(Device *user);
    Device *user;
} DmaUser;

typedef struct I8257 {
    Device dev;
    uint32_t shift;             /* 1: counts words */
    uint16_t base_address[CHANNELS], base_count[CHANNELS], address[CHANNELS], count[CHANNELS];
    uint8_t mode[CHANNELS], page[PAGES];
    uint8_t command, mask, ended, requests, soft_requests;      /* a bit for each channel */
    bool high_byte;             /* the next access to an address or count is to its upper half */
    DmaUser user[CHANNELS];
} I8257;

/* Page registers in the order of the ports: the others are only memory. */
static const uint8_t page_of[CHANNELS] = {7, 3, 1, 2};

static bool is_open(const I8257 *s, unsigned ch)
{
    return !(s->command & CMD_OFF) && !(s->mask >> ch & 1) && (s->mode[ch] & MODE_CASCADE) != MODE_CASCADE;
}

/* Devices that wait may go on. */
static void offer(I8257 *s)
{
    for (unsigned ch = 0; ch < CHANNELS; ch++)
        if (is_open(s, ch) && s->requests >> ch & 1 && s->user[ch].ready)
            s->user[ch].ready(s->user[ch].user);
}

/* ---- moving ---- */

static void count_out(I8257 *s, unsigned ch)
{
    s->ended |= 1 << ch;
    s->soft_requests &= ~(1 << ch);
    if (s->mode[ch] & MODE_AUTO) {
        s->address[ch] = s->base_address[ch];
        s->count[ch] = s->base_count[ch];
    } else {
        s->mask |= 1 << ch;
    }
}

static uint32_t place(const I8257 *s, unsigned ch)
{
    uint32_t page = s->page[page_of[ch]];
    return s->shift ? (page & 0xfe) << 16 | (uint32_t)s->address[ch] << 1 : page << 16 | s->address[ch];
}

/* A stretch without a wrap of the address, in units; downwards it is one unit. */
static uint32_t move_stretch(I8257 *s, unsigned ch, uint8_t *buf, uint32_t units, bool to_memory)
{
    bool down = s->mode[ch] & MODE_DOWN;
    uint32_t n = MIN(units, s->count[ch] + 1u);
    n = down ? 1 : MIN(n, 0x10000u - s->address[ch]);
    uint8_t type = s->mode[ch] & MODE_TYPE;
    if (type == TYPE_TO_MEMORY && to_memory)
        dma_write(&s->dev, place(s, ch), buf, n << s->shift);
    else if (type == TYPE_FROM_MEMORY && !to_memory)
        dma_read(&s->dev, place(s, ch), buf, n << s->shift);
    else if (type)              /* else it verifies: counts, and moves nothing */
        log_guest(s, "channel %u is programmed for the other direction", ch);
    s->address[ch] += down ? -n : n;
    s->count[ch] -= n;          /* to 0xffff: that was all */
    return n;
}

static uint32_t move(I8257 *s, unsigned ch, uint8_t *buf, uint32_t bytes, bool to_memory, bool *end)
{
    uint32_t units = bytes >> s->shift, done = 0;
    *end = false;
    while (done < units && !*end && is_open(s, ch)) {
        uint32_t left = s->count[ch] + 1u;
        uint32_t n = move_stretch(s, ch, buf + (done << s->shift), units - done, to_memory);
        done += n;
        *end = n == left;
        if (*end)
            count_out(s, ch);
    }
    return done << s->shift;
}

/* ---- registers ---- */

static uint8_t half_of(I8257 *s, uint16_t v)
{
    s->high_byte = !s->high_byte;
    return s->high_byte ? v : v >> 8;
}

static void set_half(I8257 *s, uint16_t *base, uint16_t *now, uint8_t v)
{
    *base = s->high_byte ? (*base & 0x00ff) | v << 8 : (*base & 0xff00) | v;
    *now = *base;
    s->high_byte = !s->high_byte;
}

static uint64_t read_port(Device *d, uint64_t at, unsigned size)
{
    I8257 *s = (I8257 *)d;
    unsigned reg = at >> s->shift, ch = reg >> 1 & 3;
    if (at >= WIDE_WINDOW)
        return s->page[at - WIDE_WINDOW];
    if (reg < COMMAND)
        return half_of(s, reg & 1 ? s->count[ch] : s->address[ch]);
    if (reg == STATUS) {
        uint8_t v = s->ended | (s->requests | s->soft_requests) << 4;
        s->ended = 0;
        return v;
    }
    return reg == ALL_MASK ? s->mask | 0xf0 : 0;
}

static void master_clear(I8257 *s)
{
    s->command = s->ended = s->soft_requests = 0;
    s->high_byte = false;
    s->mask = 15;
}

static uint8_t with_bit(uint8_t bits, uint8_t v)
{
    return v & 4 ? bits | 1 << (v & 3) : bits & ~(1 << (v & 3));
}

static void control(I8257 *s, unsigned reg, uint8_t v)
{
    switch (reg) {
    case COMMAND:
        s->command = v;
        if (v & 1)
            log_guest(s, "transfers between memories: boards wire no such");
        break;
    case REQUEST: s->soft_requests = with_bit(s->soft_requests, v); break;
    case SINGLE_MASK: s->mask = with_bit(s->mask, v); break;
    case MODE: s->mode[v & 3] = v & 0xfc; break;
    case CLEAR_POINTER: s->high_byte = false; break;
    case MASTER_CLEAR: master_clear(s); break;
    case CLEAR_MASK: s->mask = 0; break;
    default: s->mask = v & 15;
    }
    offer(s);
}

static void write_port(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    I8257 *s = (I8257 *)d;
    unsigned reg = at >> s->shift, ch = reg >> 1 & 3;
    if (at >= WIDE_WINDOW)
        s->page[at - WIDE_WINDOW] = v;
    else if (reg >= REGISTERS)
        log_guest(s, "no register at 0x%x", (unsigned)at);
    else if (reg >= COMMAND)
        control(s, reg, v);
    else if (reg & 1)
        set_half(s, &s->base_count[ch], &s->count[ch], v);
    else
        set_half(s, &s->base_address[ch], &s->address[ch], v);
}

/* ---- life ---- */

static bool realize(Device *d, GError **error)
{
    return ((I8257 *)d)->shift <= 1 || error_set(error, "dshift: 0 (bytes) or 1 (words)");
}

static void reset(Device *d) { master_clear((I8257 *)d); }

static void restored(Device *d)
{
    I8257 *s = (I8257 *)d;
    s->mask &= 15;
    s->ended &= 15;
    s->requests &= 15;
    s->soft_requests &= 15;
}

static const Field fields[] = {
    PROP(I8257, shift, "dshift", PROP_U32, .desc = "1: channels move words"), SAVED(I8257, base_address),
    SAVED(I8257, base_count), SAVED(I8257, address), SAVED(I8257, count), SAVED(I8257, mode), SAVED(I8257, page),
    SAVED(I8257, command), SAVED(I8257, mask), SAVED(I8257, ended), SAVED(I8257, requests),
    SAVED(I8257, soft_requests), SAVED(I8257, high_byte), HOST(I8257, user),
};
static const DeviceType i8257 = {
    .name = "i8257", .desc = "DMA controller", .size = sizeof(I8257), .window = WINDOW, .max_access = 1,
    FIELDS(fields), .read = read_port, .write = write_port, .realize = realize, .reset = reset, .restored = restored,
};
DEVICE_TYPE(i8257);

/* ---- for boards and devices ---- */

static void show(Device *d, const char *name, uint64_t port, uint64_t from, uint64_t n)
{
    mem_add(d->object.vm->io_root, port, mem_alias(&d->object, name, d->mmio, from, n), -1);
}

void isa_dma_new(Bus *isa)
{
    static const struct { uint16_t base, page; } at[ISA_DMA_CHIPS] = {{0, 0x80}, {0xc0, 0x88}};
    Device *chips[ISA_DMA_CHIPS];
    for (unsigned n = 0; n < ISA_DMA_CHIPS; n++) {
        Device *d = chips[n] = device_draft(isa->object.vm, "i8257");
        ((I8257 *)d)->shift = n;
        device_start(d);
        show(d, "dma-cont", at[n].base, 0, REGISTERS << n);
        show(d, "dma-page", at[n].page, WIDE_WINDOW, PAGES);
    }
    isa_bus_set_dma(isa, chips);
}

static I8257 *chip(Bus *isa, unsigned channel)
{
    return channel < 2 * CHANNELS && channel != CASCADE ? (I8257 *)isa_bus_dma(isa, channel / CHANNELS) : NULL;
}

bool isa_dma_attach(Bus *isa, unsigned channel, Device *user, void (*ready)(Device *user), GError **error)
{
    I8257 *s = chip(isa, channel);
    if (!s)
        return error_set(error, "there is no DMA channel %u", channel);
    if (s->user[channel % CHANNELS].user)
        return error_set(error, "DMA channel %u is in use", channel);
    s->user[channel % CHANNELS] = (DmaUser){ready, user};
    return true;
}

void isa_dma_detach(Bus *isa, unsigned channel, Device *user)
{
    I8257 *s = chip(isa, channel);
    if (s && s->user[channel % CHANNELS].user == user)
        s->user[channel % CHANNELS] = (DmaUser){0};
}

void isa_dma_request(Bus *isa, unsigned channel, bool on)
{
    I8257 *s = chip(isa, channel);
    if (s)
        s->requests = with_bit(s->requests, channel % CHANNELS | (on ? 4 : 0));
}

uint32_t isa_dma_move(Bus *isa, unsigned channel, void *buf, uint32_t bytes, bool to_memory, bool *end)
{
    I8257 *s = chip(isa, channel);
    *end = false;
    return s ? move(s, channel % CHANNELS, buf, bytes, to_memory, end) : 0;
}
