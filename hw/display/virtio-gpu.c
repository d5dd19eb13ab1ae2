/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio GPU: pictures made by the guest, shown on outputs, without 3D. Spec: virtio 1.2, 5.7.
 *
 * Queues are served on the control loop, where consoles live, so commands need no locks; the
 * configuration space, which vCPUs read, shares only `events` with it.
 */
#include "hw/display/virtio-gpu.h"
#include <string.h>
#include "hw/display/edid.h"
#include "hw/virtio/virtio-pci.h"
#include "util/error.h"
#include "util/log.h"

#define F_EDID (1ull << 1)
#define F_BLOB (1ull << 3)
enum {
    GET_DISPLAY_INFO = 0x100, CREATE_2D, UNREF, SET_SCANOUT, FLUSH, TRANSFER, ATTACH, DETACH,
    GET_CAPSET_INFO, GET_CAPSET, GET_EDID, ASSIGN_UUID, CREATE_BLOB, SET_SCANOUT_BLOB,
    UPDATE_CURSOR = 0x300, MOVE_CURSOR,
    OK_DISPLAY_INFO = 0x1101, OK_EDID = 0x1104,
    FENCE = 1, EVENT_DISPLAY = 1, BLOB_GUEST = 1, EDID_ROOM = 1024, REQUEST_MAX = 256,
};

/* All of a command but its entries of memory. Everything is little-endian. */
typedef struct Header {
    uint32_t type, flags;
    uint64_t fence;
    uint32_t context;
    uint32_t ring;
} Header;
typedef struct Command {
    VirtqElement *e;
    Header h;
    uint32_t word[(REQUEST_MAX - sizeof(Header)) / 4];  /* behind the header, host byte order */
    unsigned n_words;
    GByteArray *reply;          /* behind the header; NULL: none */
} Command;

static uint64_t word64(const Command *c, unsigned i)
{
    return c->word[i] | (uint64_t)c->word[i + 1] << 32;
}

static GpuRect rect_at(const Command *c, unsigned i)
{
    return (GpuRect){c->word[i], c->word[i + 1], c->word[i + 2], c->word[i + 3]};
}

static void reply32(Command *c, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    c->reply = c->reply ? c->reply : g_byte_array_new();
    g_byte_array_append(c->reply, (const uint8_t *)&v, 4);
}

static GpuResource *find(VirtioGpu *g, uint32_t id)
{
    return id ? g_hash_table_lookup(g->resources, GUINT_TO_POINTER(id)) : NULL;
}

/* ---- outputs ---- */

static bool connected(const VirtioGpu *g, unsigned i)
{
    return g->output[i].wish.width && g->output[i].wish.height;
}

static void blank(VirtioGpu *g, unsigned i)
{
    g->scanout[i].resource = 0;
    console_show(g->output[i].console, NULL);
}

static void copy_blob(VirtioGpu *g, unsigned i, const GpuResource *res, uint32_t y, uint32_t height)
{
    const GpuScanout *o = &g->scanout[i];
    Surface *s = console_surface(g->output[i].console);

    for (uint32_t line = y; line < y + height && line < s->height; line++) {
        gpu_blob_line(res, virtio_space(&g->v), o->offset + (uint64_t)line * o->stride, o->format,
                      surface_line(s, line), MIN(s->width, o->rect.width));
    }
}

/* Shows what scanout[i] says, which has been checked. */
static void show(VirtioGpu *g, unsigned i)
{
    GpuScanout *o = &g->scanout[i];
    const GpuResource *res = find(g, o->resource);
    const GpuRect *r = &o->rect;
    Console *c = g->output[i].console;

    g->enabled = true;
    if (!res) {
        blank(g, i);
    } else if (res->pixels) {
        console_show(c, surface_over(res->pixels + (size_t)r->y * res->width + r->x, r->width, r->height,
                                     res->width * 4));
    } else {
        console_show(c, surface_new(r->width, r->height));
        copy_blob(g, i, res, 0, r->height);
    }
}

static bool scanout_fits(const GpuScanout *o, const GpuResource *res)
{
    const GpuRect *r = &o->rect;

    if (r->width < 16 || r->height < 16 || r->width > CONSOLE_MAX_SIZE || r->height > CONSOLE_MAX_SIZE) {
        return false;
    }
    if (res->pixels) {
        return gpu_rect_fits(r, res->width, res->height);
    }
    return gpu_format_known(o->format) && o->stride >= r->width * 4 && o->offset <= res->blob_size &&
           (uint64_t)o->stride * (r->height - 1) + r->width * 4 <= res->blob_size - o->offset;
}

static uint32_t set_scanout(VirtioGpu *g, unsigned i, GpuScanout *want)
{
    const GpuResource *res = find(g, want->resource);
    GpuScanout *o = i < g->max_outputs ? &g->scanout[i] : NULL;

    if (!o) {
        return GPU_ERR_SCANOUT;
    }
    if (!want->resource) {
        blank(g, i);
        g->enabled = true;
        return GPU_OK;
    }
    if (!res) {
        return GPU_ERR_RESOURCE;
    }
    if (!scanout_fits(want, res)) {
        return GPU_ERR_PARAMETER;
    }
    o->resource = want->resource;
    o->rect = want->rect;
    o->format = want->format;
    o->stride = want->stride;
    o->offset = want->offset;
    show(g, i);
    return GPU_OK;
}

/* ---- commands ---- */

static uint32_t get_display_info(VirtioGpu *g, Command *c)
{
    uint32_t x = 0;

    for (unsigned i = 0; i < GPU_SCANOUTS; i++) {
        bool on = i < g->max_outputs && connected(g, i);
        reply32(c, on ? x : 0);
        reply32(c, 0);
        reply32(c, on ? g->output[i].wish.width : 0);
        reply32(c, on ? g->output[i].wish.height : 0);
        reply32(c, on);
        reply32(c, 0);
        x += on ? g->output[i].wish.width : 0;
    }
    return OK_DISPLAY_INFO;
}

static uint32_t get_edid(VirtioGpu *g, Command *c)
{
    uint8_t edid[EDID_ROOM] = {0};
    unsigned i = c->word[0];

    if (i >= g->max_outputs) {
        return GPU_ERR_PARAMETER;
    }
    const UiInfo *w = &g->output[i].wish;
    edid_make(&(EdidInfo){w->width ? w->width : g->xres, w->height ? w->height : g->yres,
                          .width_mm = w->width_mm, .height_mm = w->height_mm}, edid);
    reply32(c, EDID_SIZE);
    reply32(c, 0);
    g_byte_array_append(c->reply, edid, EDID_ROOM);
    return OK_EDID;
}

static uint32_t create_2d(VirtioGpu *g, Command *c)
{
    uint32_t id = c->word[0], format = c->word[1], width = c->word[2], height = c->word[3];
    uint64_t bytes = (uint64_t)width * height * 4;

    if (!id || find(g, id)) {
        return GPU_ERR_RESOURCE;
    }
    if (!gpu_format_known(format) || !width || !height || width > CONSOLE_MAX_SIZE ||
        height > CONSOLE_MAX_SIZE) {
        return GPU_ERR_PARAMETER;
    }
    GpuResource *r = bytes <= g->max_hostmem - MIN(g->used, g->max_hostmem)
                   ? gpu_resource_2d(id, format, width, height) : NULL;
    if (!r) {
        return GPU_ERR_MEMORY;
    }
    g->used += bytes;
    g_hash_table_insert(g->resources, GUINT_TO_POINTER(id), r);
    return GPU_OK;
}

static uint32_t unref(VirtioGpu *g, Command *c)
{
    GpuResource *r = find(g, c->word[0]);

    if (!r) {
        return GPU_ERR_RESOURCE;
    }
    for (unsigned i = 0; i < g->max_outputs; i++) {
        if (g->scanout[i].resource == r->id) {
            blank(g, i);
        }
    }
    g->used -= gpu_resource_bytes(r);
    g_hash_table_remove(g->resources, GUINT_TO_POINTER(r->id));
    return GPU_OK;
}

static uint32_t set_scanout_2d(VirtioGpu *g, Command *c)
{
    GpuScanout want = {.rect = rect_at(c, 0), .resource = c->word[5]};
    const GpuResource *res = find(g, want.resource);

    return res && !res->pixels ? GPU_ERR_PARAMETER : set_scanout(g, c->word[4], &want);
}

static uint32_t set_scanout_blob(VirtioGpu *g, Command *c)
{
    GpuScanout want = {.rect = rect_at(c, 0), .resource = c->word[5], .format = c->word[8],
                       .stride = c->word[10], .offset = c->word[14]};
    const GpuResource *res = find(g, want.resource);
    GpuRect *r = &want.rect;

    if (res && res->pixels) {
        return GPU_ERR_PARAMETER;
    }
    if (!want.resource || gpu_rect_fits(r, c->word[6], c->word[7])) {
        want.offset += (uint64_t)r->y * want.stride + (uint64_t)r->x * 4;
        r->x = r->y = 0;
        return set_scanout(g, c->word[4], &want);
    }
    return GPU_ERR_PARAMETER;
}

/* The part of an output that a part of its resource covers. */
static void flush_output(VirtioGpu *g, unsigned i, const GpuResource *res, const GpuRect *r)
{
    const GpuRect *shown = &g->scanout[i].rect;
    uint32_t x = MAX(r->x, shown->x), y = MAX(r->y, shown->y);
    uint32_t right = MIN(r->x + r->width, shown->x + shown->width);
    uint32_t bottom = MIN(r->y + r->height, shown->y + shown->height);

    if (!res->pixels) {         /* rectangles of blobs are those of the output */
        x = y = 0;
        right = shown->width;
        bottom = shown->height;
        copy_blob(g, i, res, 0, bottom);
    }
    if (x < right && y < bottom) {
        console_update(g->output[i].console, x - shown->x, y - shown->y, right - x, bottom - y);
    }
}

static uint32_t flush(VirtioGpu *g, Command *c)
{
    GpuRect r = rect_at(c, 0);
    const GpuResource *res = find(g, c->word[4]);

    if (!res) {
        return GPU_ERR_RESOURCE;
    }
    if (res->pixels && !gpu_rect_fits(&r, res->width, res->height)) {
        return GPU_ERR_PARAMETER;
    }
    for (unsigned i = 0; i < g->max_outputs; i++) {
        if (g->scanout[i].resource == res->id) {
            flush_output(g, i, res, &r);
        }
    }
    return GPU_OK;
}

static uint32_t transfer(VirtioGpu *g, Command *c)
{
    GpuRect r = rect_at(c, 0);
    GpuResource *res = find(g, c->word[6]);

    if (!res || !res->n_entries) {
        return GPU_ERR_RESOURCE;
    }
    if (!res->pixels || !gpu_rect_fits(&r, res->width, res->height)) {
        return GPU_ERR_PARAMETER;
    }
    if (!gpu_resource_fetch(res, virtio_space(&g->v), &r, word64(c, 4))) {
        log_guest(g, "resource %u: its memory does not hold the rectangle", res->id);
    }
    return GPU_OK;
}

/* Reads `n` entries that stand behind the command's fixed part. */
static uint32_t read_entries(VirtioGpu *g, Command *c, size_t at, uint32_t n, GpuResource *res)
{
    if (n > GPU_ENTRIES_MAX) {
        return GPU_ERR_PARAMETER;
    }
    g_autofree GpuEntry *entries = g_new(GpuEntry, n ? n : 1);
    for (uint32_t i = 0; i < n; i++) {
        struct { uint64_t pa; uint32_t length, padding; } raw;
        if (iov_read(c->e->out, c->e->n_out, at + i * sizeof(raw), &raw, sizeof(raw)) != sizeof(raw)) {
            return GPU_ERR_UNSPEC;
        }
        entries[i] = (GpuEntry){GUINT64_FROM_LE(raw.pa), GUINT32_FROM_LE(raw.length)};
    }
    res->entries = g_steal_pointer(&entries);
    res->n_entries = n;
    return GPU_OK;
}

static uint32_t attach(VirtioGpu *g, Command *c)
{
    GpuResource *res = find(g, c->word[0]);

    if (!res) {
        return GPU_ERR_RESOURCE;
    }
    return res->entries ? GPU_ERR_UNSPEC
                        : read_entries(g, c, sizeof(Header) + 8, c->word[1], res);
}

static uint32_t detach(VirtioGpu *g, Command *c)
{
    GpuResource *res = find(g, c->word[0]);

    if (!res || !res->entries) {
        return GPU_ERR_RESOURCE;
    }
    g_clear_pointer(&res->entries, g_free);
    res->n_entries = 0;
    return GPU_OK;
}

static uint32_t create_blob(VirtioGpu *g, Command *c)
{
    uint32_t id = c->word[0];
    uint64_t size = word64(c, 6);

    if (!id || find(g, id)) {
        return GPU_ERR_RESOURCE;
    }
    if (c->word[1] != BLOB_GUEST || !size) {
        return GPU_ERR_PARAMETER;
    }
    GpuResource *res = g_new(GpuResource, 1);
    *res = (GpuResource){.id = id, .blob_size = size};
    uint32_t code = read_entries(g, c, sizeof(Header) + 32, c->word[3], res);
    if (code == GPU_OK) {
        g_hash_table_insert(g->resources, GUINT_TO_POINTER(id), res);
    } else {
        gpu_resource_free(res);
    }
    return code;
}

/* ---- pointers ---- */

static void show_cursor(VirtioGpu *g, unsigned i)
{
    const GpuScanout *o = &g->scanout[i];
    const GpuResource *res = find(g, o->cursor);
    Console *c = g->output[i].console;
    Cursor *cursor = NULL;

    if (res && (res->pixels ? res->width == GPU_CURSOR && res->height == GPU_CURSOR
                            : res->blob_size >= GPU_CURSOR * GPU_CURSOR * 4)) {
        size_t bytes = GPU_CURSOR * GPU_CURSOR * 4;
        cursor = g_malloc0(sizeof(Cursor) + bytes);
        *cursor = (Cursor){GPU_CURSOR, GPU_CURSOR, o->hot_x, o->hot_y};
        if (res->pixels) {
            memcpy(cursor->pixels, res->pixels, bytes);
        } else {
            gpu_blob_line(res, virtio_space(&g->v), 0, 1, cursor->pixels, GPU_CURSOR * GPU_CURSOR);
        }
    }
    console_cursor(c, cursor);
    console_cursor_at(c, o->cursor_x, o->cursor_y, cursor != NULL);
}

static uint32_t cursor_command(VirtioGpu *g, Command *c)
{
    unsigned i = c->word[0];

    if (i >= g->max_outputs) {
        return GPU_ERR_SCANOUT;
    }
    GpuScanout *o = &g->scanout[i];
    o->cursor_x = c->word[1];
    o->cursor_y = c->word[2];
    if (c->h.type == MOVE_CURSOR) {
        console_cursor_at(g->output[i].console, o->cursor_x, o->cursor_y, o->cursor != 0);
        return GPU_OK;
    }
    o->cursor = c->word[4];
    o->hot_x = MIN(c->word[5], GPU_CURSOR - 1u);
    o->hot_y = MIN(c->word[6], GPU_CURSOR - 1u);
    show_cursor(g, i);
    return GPU_OK;
}

/* ---- queues ---- */

static const struct {
    uint32_t type;
    uint8_t words;              /* that it must have behind the header */
    bool blob;                  /* needs that feature */
    uint32_t (*run)(VirtioGpu *g, Command *c);
} commands[] = {
    {GET_DISPLAY_INFO, 0, false, get_display_info}, {GET_EDID, 2, false, get_edid},
    {CREATE_2D, 4, false, create_2d}, {UNREF, 2, false, unref}, {SET_SCANOUT, 6, false, set_scanout_2d},
    {FLUSH, 6, false, flush}, {TRANSFER, 8, false, transfer}, {ATTACH, 2, false, attach},
    {DETACH, 2, false, detach}, {CREATE_BLOB, 8, true, create_blob},
    {SET_SCANOUT_BLOB, 18, true, set_scanout_blob},
};

static uint32_t run_control(VirtioGpu *g, Command *c)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].type == c->h.type && c->n_words >= commands[i].words &&
            (!commands[i].blob || virtio_has(&g->v, F_BLOB))) {
            return commands[i].run(g, c);
        }
    }
    log_guest(g, "command 0x%x does not exist, or is too short", c->h.type);
    return GPU_ERR_UNSPEC;
}

static uint32_t run_cursor(VirtioGpu *g, Command *c)
{
    bool known = c->h.type == UPDATE_CURSOR || c->h.type == MOVE_CURSOR;

    return known && c->n_words >= 8 ? cursor_command(g, c) : GPU_ERR_UNSPEC;
}

static uint32_t answer(Command *c, uint32_t code)
{
    const VirtqElement *e = c->e;
    bool fenced = c->h.flags & FENCE;
    Header h = {GUINT32_TO_LE(code), GUINT32_TO_LE(fenced ? FENCE : 0),
                fenced ? GUINT64_TO_LE(c->h.fence) : 0, fenced ? GUINT32_TO_LE(c->h.context) : 0, 0};
    size_t n = iov_write(e->in, e->n_in, 0, &h, sizeof(h));

    if (c->reply) {
        n += iov_write(e->in, e->n_in, sizeof(h), c->reply->data, c->reply->len);
        g_byte_array_unref(c->reply);
    }
    return n;
}

static void serve(VirtioDevice *v, Virtq *vq)
{
    VirtioGpu *g = (VirtioGpu *)v;
    VirtqElement *e;

    while ((e = virtq_pop(vq, 0))) {
        Command c = {.e = e};
        size_t n = iov_read(e->out, e->n_out, 0, &c.h, sizeof(c.h));
        uint32_t code = GPU_ERR_UNSPEC;
        if (n == sizeof(c.h)) {
            c.h = (Header){GUINT32_FROM_LE(c.h.type), GUINT32_FROM_LE(c.h.flags),
                           GUINT64_FROM_LE(c.h.fence), GUINT32_FROM_LE(c.h.context), 0};
            c.n_words = iov_read(e->out, e->n_out, sizeof(c.h), c.word, sizeof(c.word)) / 4;
            for (unsigned i = 0; i < c.n_words; i++) {
                c.word[i] = GUINT32_FROM_LE(c.word[i]);
            }
            code = vq == g->cursor ? run_cursor(g, &c) : run_control(g, &c);
        }
        trace(command, "0x%x: 0x%x", c.h.type, code);
        virtq_push(vq, e, answer(&c, code));
    }
    virtq_flush(vq);
}

/* ---- consoles ---- */

static bool before_shows(const GpuOutput *o)
{
    return o->index == 0 && o->gpu->before.ops && !o->gpu->enabled;
}

static void refresh(void *opaque)
{
    GpuOutput *o = opaque;

    if (before_shows(o)) {
        o->gpu->before.ops->refresh(o->gpu->before.opaque);
    }
}

static void invalidate(void *opaque)
{
    GpuOutput *o = opaque;

    if (before_shows(o)) {
        o->gpu->before.ops->invalidate(o->gpu->before.opaque);
    }
}

static bool text(void *opaque, uint16_t *cells, unsigned *columns, unsigned *rows)
{
    GpuOutput *o = opaque;

    return before_shows(o) && o->gpu->before.ops->text(o->gpu->before.opaque, cells, columns, rows);
}

static void ui_info(void *opaque, const UiInfo *info)
{
    GpuOutput *o = opaque;
    VirtioGpu *g = o->gpu;

    if (!memcmp(&o->wish, info, sizeof(*info))) {
        return;
    }
    o->wish = *info;
    o->wish.width = MIN(info->width, CONSOLE_MAX_SIZE);
    o->wish.height = MIN(info->height, CONSOLE_MAX_SIZE);
    __atomic_or_fetch(&g->events, EVENT_DISPLAY, __ATOMIC_ACQ_REL);
    virtio_config_changed(&g->v);
}

static const ConsoleOps ops = {.refresh = refresh, .invalidate = invalidate, .ui_info = ui_info,
                               .text = text};

/* ---- configuration ---- */

static void get_config(VirtioDevice *v, uint8_t *config)
{
    VirtioGpu *g = (VirtioGpu *)v;
    uint32_t words[4] = {GUINT32_TO_LE(__atomic_load_n(&g->events, __ATOMIC_ACQUIRE)), 0,
                         GUINT32_TO_LE(g->max_outputs), 0};

    memcpy(config, words, sizeof(words));
}

static void set_config(VirtioDevice *v, const uint8_t *config, unsigned at, unsigned n)
{
    uint32_t clear;

    memcpy(&clear, config + 4, 4);
    __atomic_and_fetch(&((VirtioGpu *)v)->events, ~GUINT32_FROM_LE(clear), __ATOMIC_ACQ_REL);
}

static uint64_t offer(VirtioDevice *v, uint64_t features)
{
    VirtioGpu *g = (VirtioGpu *)v;

    return features | (g->has_edid ? F_EDID : 0) | (g->blob ? F_BLOB : 0);
}

/* ---- life ---- */

static void forget(VirtioGpu *g)
{
    for (unsigned i = 0; i < g->max_outputs && g->output[i].console; i++) {
        if (g->scanout[i].resource) {
            blank(g, i);
        }
        if (g->scanout[i].cursor) {
            console_cursor(g->output[i].console, NULL);
        }
    }
    memset(g->scanout, 0, sizeof(g->scanout));
    g_hash_table_remove_all(g->resources);
    g->used = 0;
    if (g->before.ops && g->enabled) {
        g->before.again(g->before.opaque);
    }
    g->enabled = false;
}

static void stop(VirtioDevice *v)
{
    forget((VirtioGpu *)v);
}

static void init(Object *o)
{
    ((VirtioGpu *)o)->resources = g_hash_table_new_full(NULL, NULL, NULL, gpu_resource_free);
}

static void finish(Object *o)
{
    g_hash_table_unref(((VirtioGpu *)o)->resources);
}

static bool realize(Device *d, GError **error)
{
    VirtioGpu *g = (VirtioGpu *)d;

    if (g->max_outputs < 1 || g->max_outputs > GPU_SCANOUTS) {
        return error_set(error, "max_outputs=%u: expected 1 to %u", g->max_outputs, GPU_SCANOUTS);
    }
    g->control = virtio_add_queue(&g->v, 64, serve);
    g->cursor = virtio_add_queue(&g->v, 16, serve);
    for (unsigned i = 0; i < g->max_outputs; i++) {
        g->output[i] = (GpuOutput){.gpu = g, .index = i};
        g->output[i].console = console_new(d, i, &ops, &g->output[i]);
    }
    g->output[0].wish = (UiInfo){.width = g->xres, .height = g->yres};
    return true;
}

static void unrealize(Device *d)
{
    VirtioGpu *g = (VirtioGpu *)d;

    virtio_stop(&g->v);
    g->before.ops = NULL;
    forget(g);
    for (unsigned i = 0; i < g->max_outputs; i++) {
        console_free(g->output[i].console);
        g->output[i].console = NULL;
    }
}

static void saving(Device *d)
{
    VirtioGpu *g = (VirtioGpu *)d;

    g_clear_pointer(&g->pictures, g_bytes_unref);
    g->pictures = gpu_save_state(g);
}

static void restored(Device *d)
{
    VirtioGpu *g = (VirtioGpu *)d;

    forget(g);
    if (!gpu_load_state(g, g->pictures)) {
        forget(g);
        virtio_error(&g->v, "the state of the pictures does not fit this device");
        return;
    }
    for (unsigned i = 0; g->enabled && i < g->max_outputs; i++) {
        GpuScanout *o = &g->scanout[i];
        const GpuResource *res = find(g, o->resource);
        o->resource = res && scanout_fits(o, res) ? o->resource : 0;
        o->hot_x = MIN(o->hot_x, GPU_CURSOR - 1u);
        o->hot_y = MIN(o->hot_y, GPU_CURSOR - 1u);
        show(g, i);
        show_cursor(g, i);
    }
}

static const VirtioClass cls = {
    .id = 16, .config_size = 16, .offer = offer, .get_config = get_config, .set_config = set_config,
    .stop = stop,
};
static const Field fields[] = {
    HOST(VirtioGpu, v), HOST(VirtioGpu, control), HOST(VirtioGpu, cursor), HOST(VirtioGpu, resources),
    HOST(VirtioGpu, used), HOST(VirtioGpu, scanout), HOST(VirtioGpu, output), HOST(VirtioGpu, enabled),
    SAVED(VirtioGpu, events), BYTES(VirtioGpu, pictures),
    HOST(VirtioGpu, before),
    PROP(VirtioGpu, max_outputs, "max_outputs", PROP_U32, .init = 1, .desc = "Outputs, 1 to 16"),
    PROP(VirtioGpu, xres, "xres", PROP_U32, .init = 1280, .desc = "Preferred width"),
    PROP(VirtioGpu, yres, "yres", PROP_U32, .init = 800, .desc = "Preferred height"),
    PROP(VirtioGpu, max_hostmem, "max_hostmem", PROP_SIZE, .init = 256 << 20,
         .desc = "Most memory for pictures"),
    PROP(VirtioGpu, has_edid, "edid", PROP_BOOL, .init = true, .desc = "The monitor tells what it can"),
    PROP(VirtioGpu, blob, "blob", PROP_BOOL, .desc = "Pictures may lie in guest memory"),
};
static const DeviceType virtio_gpu = {
    .name = "virtio-gpu-device", .parent = "virtio-device", .desc = "virtio GPU without 3D",
    .size = sizeof(VirtioGpu), .bus = "virtio-bus", .pluggable = true, .category = DEVICE_DISPLAY,
    FIELDS(fields), .init = init, .finish = finish, .realize = realize, .unrealize = unrealize,
    .saving = saving, .restored = restored, .ext = &cls,
};
DEVICE_TYPE(virtio_gpu);
