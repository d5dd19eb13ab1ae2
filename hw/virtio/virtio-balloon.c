/* SPDX-License-Identifier: Apache-2.0 */
/* virtio memory balloon: inflate, deflate, statistics, free pages. Spec: virtio 1.2, 5.5. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "core/backend.h"
#include "hw/virtio/balloon.h"
#include "hw/virtio/virtio.h"
#include "qapi/qapi-events.h"
#include "util/error.h"

enum { PAGE_SHIFT = 12, PAGE = 1 << PAGE_SHIFT, FRAMES = 256, STAT_SIZE = 10,
       CONFIG = 16, HINT_STOP = 0, HINT_DONE = 1 };
#define HINT_FIRST 0x80000000u          /* numbers of questions begin here */
#define F_STATS_VQ (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_HINTS (1ull << 3)
#define F_POISON (1ull << 4)
#define F_REPORTING (1ull << 5)

struct VirtioBalloon {
    VirtioDevice v;
    Virtq *inflate, *deflate, *stats, *hints, *reporting;
    uint32_t num_pages, actual; /* wanted; what the guest says it gave */
    bool deflate_on_oom, free_page_reporting, free_page_hint, page_poison;
    uint32_t hint_command, last_hint, poison;   /* as the driver reads them; the last question */
    bool hinting;               /* the driver answers the last question */
    BalloonHints listener;
    VirtqElement *stats_element;        /* held until the next question */
    uint64_t values[BALLOON_STATS];
    int64_t last_update, poll_seconds;
    unsigned poll;
};

/* ---- pages ---- */

/* Shared memory is given back in its file, which all who map it see; other memory here. */
static void discard(void *host, size_t n)
{
    if (madvise(host, n, MADV_REMOVE) < 0)
        madvise(host, n, MADV_DONTNEED);
}

static void give_back(VirtioBalloon *s, uint32_t frame, bool inflate)
{
    uint64_t n = PAGE, pa = (uint64_t)frame << PAGE_SHIFT;
    void *host = as_ram(virtio_space(&s->v), pa, &n, true);
    if (!host || n < PAGE) {
        log_guest(s, "balloon page 0x%x is not in memory", frame);
        return;
    }
    if (inflate)
        discard(host, PAGE);
    else
        madvise(host, PAGE, MADV_WILLNEED);
}

static void serve_pages(VirtioDevice *v, Virtq *vq)
{
    VirtioBalloon *s = (VirtioBalloon *)v;
    VirtqElement *e;
    while ((e = virtq_pop(vq, 0))) {
        uint32_t frames[FRAMES];
        for (size_t at = 0, n; (n = iov_read(e->out, e->n_out, at, frames, sizeof(frames)) / 4); at += 4 * n)
            for (size_t i = 0; i < n; i++)
                give_back(s, GUINT32_FROM_LE(frames[i]), vq == s->inflate);
        virtq_push(vq, e, 0);
    }
    virtq_flush(vq);
}

/* Free pages that the guest does not want back soon: they read as zero when it uses them again. */
static void serve_reports(VirtioDevice *v, Virtq *vq)
{
    VirtqElement *e;
    uintptr_t host_page = (uintptr_t)sysconf(_SC_PAGESIZE);
    while ((e = virtq_pop(vq, 0))) {
        for (unsigned i = 0; i < e->n_in; i++) {
            uintptr_t from = (uintptr_t)e->in[i].iov_base, to = from + e->in[i].iov_len;
            from = (from + host_page - 1) / host_page * host_page;
            to = to / host_page * host_page;
            if (from < to)
                discard((void *)from, to - from);
        }
        virtq_push(vq, e, (uint32_t)MIN(e->in_bytes, UINT32_MAX));
    }
    virtq_flush(vq);
}

/* ---- hints: free pages that a copy of the machine can do without ---- */

static void command(VirtioBalloon *s, uint32_t value)
{
    s->hint_command = value;
    virtio_config_changed(&s->v);
}

static void hints_ended(VirtioBalloon *s)
{
    bool was = s->hinting;
    s->hinting = false;
    if (was && s->listener.done)
        s->listener.done(s->listener.opaque);
}

/* A number begins or ends an answer: only what comes between the last question's and STOP counts. */
static void take_number(VirtioBalloon *s, const VirtqElement *e)
{
    uint32_t id = 0;
    iov_read(e->out, e->n_out, 0, &id, sizeof(id));
    id = GUINT32_FROM_LE(id);
    if (id == s->hint_command && id >= HINT_FIRST)
        s->hinting = true;
    else if (id == HINT_STOP)
        hints_ended(s);
}

static void serve_hints(VirtioDevice *v, Virtq *vq)
{
    VirtioBalloon *s = (VirtioBalloon *)v;
    VirtqElement *e;
    while ((e = virtq_pop(vq, 0))) {
        if (e->n_out)
            take_number(s, e);
        for (unsigned i = 0; i < e->n_in && s->hinting && s->hint_command >= HINT_FIRST && s->listener.hint; i++)
            s->listener.hint(s->listener.opaque, e->in[i].iov_base, e->in[i].iov_len);
        virtq_push(vq, e, 0);
    }
    virtq_flush(vq);
}

static void start_hints(void *data)
{
    VirtioBalloon *s = data;
    s->hinting = false;
    s->last_hint = s->last_hint < HINT_FIRST || s->last_hint == UINT32_MAX ? HINT_FIRST : s->last_hint + 1;
    command(s, s->last_hint);
}

bool balloon_hints_start(VirtioBalloon *s, const BalloonHints *listener)
{
    if (!s->v.started || !virtio_has(&s->v, F_HINTS))
        return false;
    s->listener = *listener;
    loop_call(s->v.loop, start_hints, s);
    return true;
}

static void pause_hints(void *data)
{
    VirtioBalloon *s = data;
    s->hinting = false;
    command(s, HINT_STOP);
}

static void end_hints(void *data)
{
    VirtioBalloon *s = data;
    s->hinting = false;
    s->listener = (BalloonHints){0};
    command(s, HINT_DONE);
}

void balloon_hints_stop(VirtioBalloon *s, bool release) { loop_call(s->v.loop, release ? end_hints : pause_hints, s); }

/* ---- statistics: the driver's buffer is kept and returned to ask for fresh numbers ---- */

static void serve_stats(VirtioDevice *v, Virtq *vq)
{
    VirtioBalloon *s = (VirtioBalloon *)v;
    VirtqElement *e = virtq_pop(vq, 0);
    if (!e)
        return;
    if (s->stats_element)
        virtq_push(vq, s->stats_element, 0);
    s->stats_element = e;
    uint8_t stat[STAT_SIZE];
    for (size_t at = 0; iov_read(e->out, e->n_out, at, stat, STAT_SIZE) == STAT_SIZE; at += STAT_SIZE) {
        uint16_t tag;
        uint64_t value;
        memcpy(&tag, stat, 2);
        memcpy(&value, stat + 2, 8);
        tag = GUINT16_FROM_LE(tag);
        if (tag < BALLOON_STATS)
            s->values[tag] = GUINT64_FROM_LE(value);
    }
    s->last_update = g_get_real_time() / G_USEC_PER_SEC;
}

static void ask(void *data)
{
    VirtioBalloon *s = data;
    s->poll = s->poll_seconds ? loop_after(s->v.loop, s->poll_seconds * 1000, ask, s) : 0;
    if (!s->stats_element || !vm_is_running(s->v.dev.object.vm))
        return;
    virtq_push(s->stats, g_steal_pointer(&s->stats_element), 0);
    virtq_flush(s->stats);
}

/* What libvirt reads: counters by name, those that never came all ones. */
typedef struct StatsCopy {
    VirtioBalloon *s;
    uint64_t values[BALLOON_STATS];
    int64_t last_update;
} StatsCopy;

static void copy_stats(void *data)
{
    StatsCopy *c = data;
    memcpy(c->values, c->s->values, sizeof(c->values));
    c->last_update = c->s->last_update;
}

static bool get_stats(Object *o, Property *p, PropValue *out, GError **error)
{
    static const char *const names[BALLOON_STATS] = {
        "swap-in", "swap-out", "major-faults", "minor-faults", "free-memory", "total-memory", "available-memory",
        "disk-caches", "htlb-pgalloc", "htlb-pgfail", "oom-kills", "alloc-stalls", "async-scans",
        "direct-scans", "async-reclaims", "direct-reclaims"};
    StatsCopy c = {.s = (VirtioBalloon *)o};
    if (c.s->v.loop)
        loop_call(c.s->v.loop, copy_stats, &c);
    else
        copy_stats(&c);
    g_autoptr(GString) text = g_string_new("{\"stats\": {");
    for (unsigned i = 0; i < BALLOON_STATS; i++)
        g_string_append_printf(text, "%s\"stat-%s\": %" G_GUINT64_FORMAT, i ? ", " : "", names[i], c.values[i]);
    g_string_append_printf(text, "}, \"last-update\": %" G_GINT64_FORMAT "}", c.last_update);
    *out = (PropValue){.kind = VALUE_JSON, .s = g_strdup(text->str)};
    return true;
}

static void forget_stats(VirtioBalloon *s)
{
    memset(s->values, 0xff, sizeof(s->values));
    s->last_update = 0;
}

static void init(Object *o)
{
    Property p = {.name = "guest-stats", .type_name = "guest statistics", .get = get_stats,
                  .desc = "what the guest said of its memory"};
    object_add_property(o, &p);
    forget_stats((VirtioBalloon *)o);
}

static void begin_polling(void *data)
{
    VirtioBalloon *s = data;
    if (!s->poll && s->poll_seconds > 0)
        s->poll = loop_after(s->v.loop, s->poll_seconds * 1000, ask, s);
}

static void end_polling(void *data)
{
    VirtioBalloon *s = data;
    if (s->poll)
        loop_cancel(s->v.loop, s->poll);
    s->poll = 0;
}

static bool set_polling(Object *o, const Field *f, GError **error)
{
    VirtioBalloon *s = (VirtioBalloon *)o;
    if (s->v.loop)
        loop_call(s->v.loop, begin_polling, s);
    return s->poll_seconds >= 0 || error_set(error, "the interval is a number of seconds");
}

/* ---- configuration ---- */

static void get_config(VirtioDevice *v, uint8_t *config)
{
    VirtioBalloon *s = (VirtioBalloon *)v;
    uint32_t words[] = {GUINT32_TO_LE(s->num_pages), GUINT32_TO_LE(s->actual), GUINT32_TO_LE(s->hint_command),
                        GUINT32_TO_LE(s->poison)};
    memcpy(config, words, sizeof(words));
}

static uint64_t ram_pages(VirtioBalloon *s) { return s->v.dev.object.vm->machine->ram_size >> PAGE_SHIFT; }

static void set_config(VirtioDevice *v, const uint8_t *config, unsigned at, unsigned n)
{
    VirtioBalloon *s = (VirtioBalloon *)v;
    uint32_t actual, poison;
    memcpy(&actual, config + 4, 4);
    memcpy(&poison, config + 12, 4);
    if (virtio_has(v, F_POISON))
        s->poison = GUINT32_FROM_LE(poison);
    if (s->actual == GUINT32_FROM_LE(actual))
        return;
    s->actual = GUINT32_FROM_LE(actual);
    qapi_event_balloon_change(v->dev.object.vm, balloon_actual(s));
}

void balloon_set_target(VirtioBalloon *s, uint64_t bytes)
{
    uint64_t pages = ram_pages(s), want = bytes >> PAGE_SHIFT;
    s->num_pages = want < pages ? pages - want : 0;
    virtio_config_changed(&s->v);
}

uint64_t balloon_actual(VirtioBalloon *s) { return (ram_pages(s) - s->actual) << PAGE_SHIFT; }

VirtioBalloon *balloon_find(Vm *vm)
{
    return vm_service_find(vm, "balloon", "balloon");
}

static uint64_t offer(VirtioDevice *v, uint64_t features)
{
    VirtioBalloon *s = (VirtioBalloon *)v;
    return features | (s->deflate_on_oom ? F_DEFLATE_ON_OOM : 0) | (s->free_page_reporting ? F_REPORTING : 0) |
           (s->free_page_hint ? F_HINTS : 0) |
           (s->page_poison && (s->free_page_reporting || s->free_page_hint) ? F_POISON : 0);
}

static void stop(VirtioDevice *v)
{
    VirtioBalloon *s = (VirtioBalloon *)v;
    if (s->stats_element)
        virtq_unpop(s->stats, g_steal_pointer(&s->stats_element));
    s->actual = s->poison = 0;
    s->hinting = false;
    s->hint_command = HINT_STOP;
    forget_stats(s);
}

static bool realize(Device *d, GError **error)
{
    VirtioBalloon *s = (VirtioBalloon *)d;
    if (balloon_find(d->object.vm))
        return error_set(error, "Only one balloon device is supported");
    vm_service_add(d->object.vm, "balloon", "balloon", s);
    if (s->v.iothread)
        s->v.loop = iothread_loop(s->v.iothread);
    s->inflate = virtio_add_queue(&s->v, 128, serve_pages);
    s->deflate = virtio_add_queue(&s->v, 128, serve_pages);
    s->stats = virtio_add_queue(&s->v, 128, serve_stats);
    if (s->free_page_hint)
        s->hints = virtio_add_queue(&s->v, 128, serve_hints);
    if (s->free_page_reporting)
        s->reporting = virtio_add_queue(&s->v, 32, serve_reports);
    return true;
}

static void unrealize(Device *d)
{
    VirtioBalloon *s = (VirtioBalloon *)d;
    loop_call(s->v.loop, end_polling, s);
    vm_service_remove(d->object.vm, "balloon", "balloon");
}

/* Who asked for hints is not there any more: the driver gets its pages back. */
static void restored(Device *d)
{
    VirtioBalloon *s = (VirtioBalloon *)d;
    if (s->hint_command >= HINT_FIRST)
        s->hint_command = HINT_DONE;
}

static const VirtioClass cls = {
    .id = 5, .features = F_STATS_VQ, .config_size = CONFIG, .offer = offer, .get_config = get_config,
    .set_config = set_config, .stop = stop,
};
static const Field fields[] = {
    HOST(VirtioBalloon, v), HOST(VirtioBalloon, inflate), HOST(VirtioBalloon, deflate),
    HOST(VirtioBalloon, stats), HOST(VirtioBalloon, hints), HOST(VirtioBalloon, reporting),
    SAVED(VirtioBalloon, num_pages, .keep = true),
    SAVED(VirtioBalloon, actual),
    PROP(VirtioBalloon, deflate_on_oom, "deflate-on-oom", PROP_BOOL),
    PROP(VirtioBalloon, free_page_reporting, "free-page-reporting", PROP_BOOL),
    PROP(VirtioBalloon, free_page_hint, "free-page-hint", PROP_BOOL),
    PROP(VirtioBalloon, page_poison, "page-poison", PROP_BOOL, .init = true),
    PROP(VirtioBalloon, v.iothread, "iothread", PROP_LINK, .link_type = "iothread"),
    SAVED(VirtioBalloon, hint_command), SAVED(VirtioBalloon, last_hint, .keep = true), SAVED(VirtioBalloon, poison),
    HOST(VirtioBalloon, hinting), HOST(VirtioBalloon, listener),
    HOST(VirtioBalloon, stats_element), HOST(VirtioBalloon, values), HOST(VirtioBalloon, last_update),
    PROP(VirtioBalloon, poll_seconds, "guest-stats-polling-interval", PROP_I64, .changed = set_polling),
    HOST(VirtioBalloon, poll),
};
static const DeviceType virtio_balloon = {
    .name = "virtio-balloon-device", .parent = "virtio-device", .desc = "virtio memory balloon",
    .size = sizeof(VirtioBalloon), .bus = "virtio-bus", .pluggable = true, .category = DEVICE_MISC,
    FIELDS(fields), .init = init, .realize = realize, .unrealize = unrealize, .restored = restored,
    .ext = &cls,
};
DEVICE_TYPE(virtio_balloon);
