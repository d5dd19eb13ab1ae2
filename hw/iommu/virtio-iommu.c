/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio IOMMU device. Spec: virtio 1.2, 5.13. Endpoints are PCI functions, by requester id. Requests
 * come on the device's loop; translations are asked for on any thread and share the map by a lock.
 */
#include <string.h>
#include "hw/iommu/space.h"
#include "hw/virtio/virtio.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/log.h"

enum {
    ATTACH = 1, DETACH, MAP, UNMAP, PROBE,
    OK = 0, IOERR, UNSUPP, DEVERR, INVAL, RANGE, NOENT, FAULT, NOMEM,
    ATTACH_BYPASS = 1, MAP_READ = 1, MAP_WRITE = 2,
    FAULT_DOMAIN = 1, FAULT_MAPPING = 2, FAULT_READ = 1, FAULT_WRITE = 2, FAULT_ADDRESS = 1 << 8, FAULT_SIZE = 24,
    PROBE_RESV = 1, PROBE_RESV_LENGTH = 20, PROBE_SIZE = 512, RESV_MSI = 1,
    TAIL = 4, MAX_REQUEST = 76, BYPASS_AT = 36, PAGE = 4096, QUEUE = 256,
    MAX_FAULTS = 64, MAX_MAPPINGS = 1 << 20,
};
#define F_INPUT_RANGE (1ull << 0)
#define F_DOMAIN_RANGE (1ull << 1)
#define F_MAP_UNMAP (1ull << 2)
#define F_PROBE (1ull << 4)
#define F_BYPASS_CONFIG (1ull << 6)
#define MSI_FIRST 0xfee00000ull
#define MSI_LAST 0xfeefffffull

typedef struct Mapping {
    uint64_t first, last, pa;
    uint32_t flags;
} Mapping;

typedef struct Domain {
    uint32_t id, endpoints;
    bool bypass;
    GTree *mappings;            /* Mapping * to itself */
} Domain;

typedef struct Fault {
    uint8_t reason;
    uint32_t flags, endpoint;
    uint64_t address;
} Fault;

typedef struct VirtioIommu {
    VirtioDevice v;
    Virtq *requests, *events;
    IommuSpaces spaces;
    GRWLock map_lock;           /* of all that follows, for other threads than the loop */
    GHashTable *endpoints;      /* requester id to Domain * */
    GHashTable *domains;        /* number to Domain * */
    uint32_t mappings;          /* in all domains */
    bool bypass, boot_bypass;
    bool x86;                   /* messages are writes to MSI_FIRST and up */
    GMutex fault_lock;
    GQueue faults;              /* Fault * that await a buffer of the driver */
    GBytes *map;                /* domains and endpoints, on the way */
} VirtioIommu;

/* ---- the map ---- */

static int compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    const Mapping *x = a, *y = b;
    return x->last < y->first ? -1 : x->first > y->last;
}

static Mapping *overlapping(const Domain *d, uint64_t first, uint64_t last)
{
    const Mapping key = {first, last, 0, 0};
    return g_tree_lookup(d->mappings, &key);
}

static void domain_free(void *data)
{
    Domain *d = data;
    g_tree_unref(d->mappings);
    g_free(d);
}

static Domain *find_domain(const VirtioIommu *s, uint32_t id)
{
    return g_hash_table_lookup(s->domains, GUINT_TO_POINTER(id));
}

static Domain *get_domain(VirtioIommu *s, uint32_t id, bool bypass)
{
    Domain *d = find_domain(s, id);
    if (!d) {
        d = g_new(Domain, 1);
        *d = (Domain){id, 0, bypass, g_tree_new_full(compare, NULL, g_free, NULL)};
        g_hash_table_insert(s->domains, GUINT_TO_POINTER(id), d);
    }
    return d;
}

static void detach(VirtioIommu *s, uint32_t endpoint)
{
    Domain *d = g_hash_table_lookup(s->endpoints, GUINT_TO_POINTER(endpoint));
    g_hash_table_remove(s->endpoints, GUINT_TO_POINTER(endpoint));
    if (d && --d->endpoints == 0) {
        s->mappings -= g_tree_nnodes(d->mappings);
        g_hash_table_remove(s->domains, GUINT_TO_POINTER(d->id));
    }
}

static void attach(VirtioIommu *s, Domain *d, uint32_t endpoint)
{
    g_hash_table_insert(s->endpoints, GUINT_TO_POINTER(endpoint), d);
    d->endpoints++;
}

static void forget_all(VirtioIommu *s)
{
    g_rw_lock_writer_lock(&s->map_lock);
    g_hash_table_remove_all(s->endpoints);
    g_hash_table_remove_all(s->domains);
    s->mappings = 0;
    g_rw_lock_writer_unlock(&s->map_lock);
    mem_remapped(s->v.dev.object.vm);
}

/* ---- translation: any thread ---- */

static void report(VirtioIommu *s, uint8_t reason, uint32_t endpoint, uint64_t addr, bool write)
{
    log_guest(s, "endpoint %x may not %s 0x%llx", endpoint, write ? "write to" : "read from", (unsigned long long)addr);
    g_mutex_lock(&s->fault_lock);
    bool room = g_queue_get_length(&s->faults) < MAX_FAULTS;
    if (room) {
        Fault *f = g_new(Fault, 1);
        *f = (Fault){reason, (write ? FAULT_WRITE : FAULT_READ) | FAULT_ADDRESS, endpoint, addr};
        g_queue_push_tail(&s->faults, f);
    }
    g_mutex_unlock(&s->fault_lock);
    if (room)
        virtq_schedule(s->events);
}

/* Endpoints that nobody has attached: the driver says, if it knows of the question (5.13.4.2). */
static bool bypasses(const VirtioIommu *s)
{
    bool driven = __atomic_load_n(&s->v.status, __ATOMIC_RELAXED) & VIRTIO_DRIVER_OK;
    return (!driven || virtio_has(&s->v, F_BYPASS_CONFIG)) && __atomic_load_n(&s->bypass, __ATOMIC_RELAXED);
}

/* The largest block of a power of two around the address that lies within the mapping and moves as one. */
static uint64_t block_mask(const Mapping *m, uint64_t addr)
{
    uint64_t mask = PAGE - 1, delta = m->pa - m->first;
    for (uint64_t wider = mask << 1 | 1; wider < 1ull << 32; wider = wider << 1 | 1) {
        if (delta & wider || (addr & ~wider) < m->first || (addr | wider) > m->last)
            break;
        mask = wider;
    }
    return mask;
}

static MemTranslation translate(IommuSpace *space, uint64_t addr, bool write)
{
    VirtioIommu *s = (VirtioIommu *)space->all->owner;
    AddressSpace *memory = s->v.dev.object.vm->memory;
    uint32_t endpoint = pci_dma_requester(space->function);
    MemTranslation t = {0};
    uint8_t reason = FAULT_DOMAIN;
    if (s->x86 && addr >= MSI_FIRST && addr <= MSI_LAST)
        return (MemTranslation){addr & ~0xfffull, 0xfff, true, true, memory};
    g_rw_lock_reader_lock(&s->map_lock);
    const Domain *d = g_hash_table_lookup(s->endpoints, GUINT_TO_POINTER(endpoint));
    if (d ? d->bypass : bypasses(s)) {
        t = iommu_identity(memory, addr);
        reason = 0;
    } else if (d) {
        const Mapping *m = overlapping(d, addr, addr);
        reason = m && m->flags & (write ? MAP_WRITE : MAP_READ) ? 0 : FAULT_MAPPING;
        if (m)
            t = (MemTranslation){m->pa + (addr - m->first), block_mask(m, addr), m->flags & MAP_READ,
                                 m->flags & MAP_WRITE, memory};
    }
    g_rw_lock_reader_unlock(&s->map_lock);
    if (reason)
        report(s, reason, endpoint, addr, write);
    return t;
}

/* The device itself sees memory: who would translate for the translator? */
static bool behind(Device *owner, PciDevice *p) { return owner->object.parent != &p->dev.object; }

static void gone(IommuSpace *space)
{
    VirtioIommu *s = (VirtioIommu *)space->all->owner;
    g_rw_lock_writer_lock(&s->map_lock);
    detach(s, pci_dma_requester(space->function));
    g_rw_lock_writer_unlock(&s->map_lock);
}

/* ---- requests (5.13.6) ---- */

typedef struct Search {
    uint32_t endpoint;
    bool found;
} Search;

static void look(IommuSpace *space, void *data)
{
    Search *q = data;
    q->found |= pci_dma_requester(space->function) == q->endpoint || pci_requester(space->function) == q->endpoint;
}

static bool is_endpoint(VirtioIommu *s, uint32_t endpoint)
{
    Search q = {endpoint, false};
    iommu_spaces_foreach(&s->spaces, look, &q);
    return q.found;
}

static unsigned do_attach(VirtioIommu *s, BytesReader *r)
{
    uint32_t id = bytes_get(r, 4), endpoint = bytes_get(r, 4), flags = bytes_get(r, 4);
    bool bypass = flags & ATTACH_BYPASS;
    if (!r->ok || flags & ~ATTACH_BYPASS || (bypass && !virtio_has(&s->v, F_BYPASS_CONFIG)))
        return INVAL;
    if (!is_endpoint(s, endpoint))
        return NOENT;
    const Domain *present = find_domain(s, id);
    if (present && present->bypass != bypass)
        return INVAL;
    if (g_hash_table_lookup(s->endpoints, GUINT_TO_POINTER(endpoint)) == present && present)
        return OK;
    detach(s, endpoint);
    attach(s, get_domain(s, id, bypass), endpoint);
    return OK;
}

static unsigned do_detach(VirtioIommu *s, BytesReader *r)
{
    uint32_t id = bytes_get(r, 4), endpoint = bytes_get(r, 4);
    const Domain *d = find_domain(s, id);
    if (!r->ok)
        return INVAL;
    if (!d || !is_endpoint(s, endpoint))
        return NOENT;
    if (g_hash_table_lookup(s->endpoints, GUINT_TO_POINTER(endpoint)) != d)
        return INVAL;
    detach(s, endpoint);
    return OK;
}

static unsigned do_map(VirtioIommu *s, BytesReader *r)
{
    uint32_t id = bytes_get(r, 4);
    uint64_t first = bytes_get(r, 8), last = bytes_get(r, 8), pa = bytes_get(r, 8);
    uint32_t flags = bytes_get(r, 4);
    Domain *d = find_domain(s, id);
    if (!r->ok || flags & ~(MAP_READ | MAP_WRITE) || first > last)
        return INVAL;
    if (!d)
        return NOENT;
    if (first % PAGE || pa % PAGE || (last + 1) % PAGE)
        return RANGE;
    if (d->bypass || overlapping(d, first, last) || (s->x86 && first <= MSI_LAST && last >= MSI_FIRST))
        return INVAL;
    if (s->mappings >= MAX_MAPPINGS)
        return NOMEM;
    Mapping *m = g_new(Mapping, 1);
    *m = (Mapping){first, last, pa, flags};
    g_tree_insert(d->mappings, m, m);
    s->mappings++;
    return OK;
}

/* Mappings go whole or not at all. */
static unsigned do_unmap(VirtioIommu *s, BytesReader *r)
{
    uint32_t id = bytes_get(r, 4);
    uint64_t first = bytes_get(r, 8), last = bytes_get(r, 8);
    Domain *d = find_domain(s, id);
    if (!r->ok || first > last)
        return INVAL;
    if (!d)
        return NOENT;
    const Mapping *at_first = overlapping(d, first, first), *at_last = overlapping(d, last, last);
    if (d->bypass)
        return INVAL;
    if ((at_first && at_first->first < first) || (at_last && at_last->last > last))
        return RANGE;
    for (Mapping *m; (m = overlapping(d, first, last)); s->mappings--)
        g_tree_remove(d->mappings, m);
    return OK;
}

static unsigned do_probe(VirtioIommu *s, BytesReader *r, VirtqElement *e)
{
    uint8_t properties[PROBE_SIZE] = {0};
    uint32_t endpoint = bytes_get(r, 4);
    if (!r->ok || e->in_bytes < PROBE_SIZE + TAIL)
        return INVAL;
    if (!is_endpoint(s, endpoint))
        return NOENT;
    if (s->x86) {
        bytes_store(properties, PROBE_RESV, 2);
        bytes_store(properties + 2, PROBE_RESV_LENGTH, 2);
        bytes_store(properties + 4, RESV_MSI, 4);
        bytes_store(properties + 8, MSI_FIRST, 8);
        bytes_store(properties + 16, MSI_LAST, 8);
    }
    iov_write(e->in, e->n_in, 0, properties, sizeof(properties));
    return OK;
}

static unsigned answer(VirtioIommu *s, BytesReader *r, VirtqElement *e)
{
    static unsigned (*const change[])(VirtioIommu *, BytesReader *) = {
        [ATTACH] = do_attach, [DETACH] = do_detach, [MAP] = do_map, [UNMAP] = do_unmap,
    };
    unsigned type = bytes_get(r, 4) & 0xff;
    if (type == PROBE)
        return do_probe(s, r, e);
    if (type >= G_N_ELEMENTS(change) || !change[type])
        return UNSUPP;
    g_rw_lock_writer_lock(&s->map_lock);
    unsigned status = change[type](s, r);
    g_rw_lock_writer_unlock(&s->map_lock);
    if (type != MAP)
        mem_remapped(s->v.dev.object.vm);
    return status;
}

static void serve_requests(VirtioDevice *v, Virtq *vq)
{
    VirtqElement *e;
    while ((e = virtq_pop(vq, 0))) {
        uint8_t q[MAX_REQUEST] = {0}, tail[TAIL] = {0};
        size_t n = iov_read(e->out, e->n_out, 0, q, sizeof(q));
        BytesReader r = {q, n, true};
        if (n < TAIL || e->in_bytes < TAIL) {
            virtio_error(v, "a request of %zu bytes with room for %zu", e->out_bytes, e->in_bytes);
            virtq_unpop(vq, e);
            return;
        }
        tail[0] = answer((VirtioIommu *)v, &r, e);
        trace(request, "type %u: status %u", q[0], tail[0]);
        size_t at = q[0] == PROBE ? MIN(e->in_bytes - TAIL, PROBE_SIZE) : 0;
        iov_write(e->in, e->n_in, at, tail, sizeof(tail));
        virtq_push(vq, e, at + TAIL);
    }
    virtq_flush(vq);
}

/* ---- faults ---- */

static Fault *next_fault(VirtioIommu *s)
{
    g_mutex_lock(&s->fault_lock);
    Fault *f = g_queue_pop_head(&s->faults);
    g_mutex_unlock(&s->fault_lock);
    return f;
}

/* Without a buffer the fault is lost: the driver had its chance, and older ones would not be news. */
static void serve_events(VirtioDevice *v, Virtq *vq)
{
    VirtioIommu *s = (VirtioIommu *)v;
    for (Fault *f; (f = next_fault(s)); g_free(f)) {
        uint8_t b[FAULT_SIZE] = {f->reason};
        VirtqElement *e = virtq_pop(vq, 0);
        if (!e)
            continue;
        bytes_store(b + 4, f->flags, 4);
        bytes_store(b + 8, f->endpoint, 4);
        bytes_store(b + 16, f->address, 8);
        virtq_push(vq, e, iov_write(e->in, e->n_in, 0, b, sizeof(b)));
    }
    virtq_flush(vq);
}

/* ---- configuration ---- */

static void get_config(VirtioDevice *v, uint8_t *c)
{
    bytes_store(c, ~(uint64_t)(PAGE - 1), 8);           /* any size from a page on */
    bytes_store(c + 8, 0, 8);
    bytes_store(c + 16, UINT64_MAX, 8);
    bytes_store(c + 24, 0, 4);
    bytes_store(c + 28, UINT32_MAX, 4);
    bytes_store(c + 32, PROBE_SIZE, 4);
    bytes_store(c + BYPASS_AT, ((VirtioIommu *)v)->bypass, 4);
}

static void set_config(VirtioDevice *v, const uint8_t *c, unsigned at, unsigned n)
{
    VirtioIommu *s = (VirtioIommu *)v;
    if (at > BYPASS_AT || at + n <= BYPASS_AT || !virtio_has(v, F_BYPASS_CONFIG) || c[BYPASS_AT] > 1) {
        log_guest(v, "write to read-only configuration at %u", at);
        return;
    }
    __atomic_store_n(&s->bypass, c[BYPASS_AT], __ATOMIC_RELAXED);
    mem_remapped(v->dev.object.vm);
}

/* ---- life ---- */

/* A driver's reset takes its domains; what passes without one is left as it was told (5.13.4.2). */
static void stop(VirtioDevice *v) { forget_all((VirtioIommu *)v); }

static void reset(Device *d)
{
    VirtioIommu *s = (VirtioIommu *)d;
    s->bypass = s->boot_bypass;
    forget_all(s);
}

static void init(Object *o)
{
    VirtioIommu *s = (VirtioIommu *)o;
    g_rw_lock_init(&s->map_lock);
    g_mutex_init(&s->fault_lock);
    g_queue_init(&s->faults);
    s->endpoints = g_hash_table_new(NULL, NULL);
    s->domains = g_hash_table_new_full(NULL, NULL, NULL, domain_free);
}

static void finish(Object *o)
{
    VirtioIommu *s = (VirtioIommu *)o;
    g_hash_table_unref(s->endpoints);
    g_hash_table_unref(s->domains);
    g_queue_clear_full(&s->faults, g_free);
    g_rw_lock_clear(&s->map_lock);
    g_mutex_clear(&s->fault_lock);
}

static bool realize(Device *d, GError **error)
{
    VirtioIommu *s = (VirtioIommu *)d;
    const Machine *m = d->object.vm->machine;
    PciBus *root = pci_bus_of(d->object.vm);
    if (d->hotplugged)
        return error_set(error, "virtio-iommu: an IOMMU cannot be plugged into a running machine");
    s->x86 = m && (!g_strcmp0(m->arch, "x86_64") || !g_strcmp0(m->arch, "i386"));
    s->requests = virtio_add_queue(&s->v, QUEUE, serve_requests);
    s->events = virtio_add_queue(&s->v, QUEUE, serve_events);
    s->spaces.size = sizeof(IommuSpace);
    s->spaces.translate = translate;
    s->spaces.gone = gone;
    s->spaces.behind = behind;
    return !root || iommu_spaces_open(&s->spaces, d, root, NULL, error);
}

static void unrealize(Device *d)
{
    virtio_stop((VirtioDevice *)d);
    iommu_spaces_close(&((VirtioIommu *)d)->spaces);
}

/* ---- state: domains with their mappings, endpoints with their domains ---- */

static gboolean put_mapping(gpointer key, gpointer value, gpointer to)
{
    const Mapping *m = key;
    bytes_put(to, m->first, 8);
    bytes_put(to, m->last, 8);
    bytes_put(to, m->pa, 8);
    bytes_put(to, m->flags, 4);
    return false;
}

static void saving(Device *d)
{
    VirtioIommu *s = (VirtioIommu *)d;
    GByteArray *b = g_byte_array_new();
    GHashTableIter i;
    gpointer key, value;
    g_rw_lock_reader_lock(&s->map_lock);
    bytes_put(b, g_hash_table_size(s->domains), 4);
    for (g_hash_table_iter_init(&i, s->domains); g_hash_table_iter_next(&i, NULL, &value);) {
        const Domain *domain = value;
        bytes_put(b, domain->id, 4);
        bytes_put(b, domain->bypass, 4);
        bytes_put(b, g_tree_nnodes(domain->mappings), 4);
        g_tree_foreach(domain->mappings, put_mapping, b);
    }
    bytes_put(b, g_hash_table_size(s->endpoints), 4);
    for (g_hash_table_iter_init(&i, s->endpoints); g_hash_table_iter_next(&i, &key, &value);) {
        bytes_put(b, GPOINTER_TO_UINT(key), 4);
        bytes_put(b, ((const Domain *)value)->id, 4);
    }
    g_rw_lock_reader_unlock(&s->map_lock);
    g_clear_pointer(&s->map, g_bytes_unref);
    s->map = g_byte_array_free_to_bytes(b);
}

static void load_domain(VirtioIommu *s, BytesReader *r)
{
    uint32_t id = bytes_get(r, 4), bypass = bytes_get(r, 4), n = bytes_get(r, 4);
    Domain *d = r->ok ? get_domain(s, id, bypass & 1) : NULL;
    for (; r->ok && n; n--) {
        uint64_t first = bytes_get(r, 8), last = bytes_get(r, 8), pa = bytes_get(r, 8);
        uint32_t flags = bytes_get(r, 4);
        r->ok = r->ok && first <= last && first % PAGE == 0 && (last + 1) % PAGE == 0 && pa % PAGE == 0 &&
                s->mappings < MAX_MAPPINGS && !overlapping(d, first, last);
        if (!r->ok)
            return;
        Mapping *m = g_new(Mapping, 1);
        *m = (Mapping){first, last, pa, flags & (MAP_READ | MAP_WRITE)};
        g_tree_insert(d->mappings, m, m);
        s->mappings++;
    }
}

static void load_endpoint(VirtioIommu *s, BytesReader *r)
{
    uint32_t endpoint = bytes_get(r, 4), id = bytes_get(r, 4);
    Domain *d = r->ok ? find_domain(s, id) : NULL;
    if (d && !g_hash_table_lookup(s->endpoints, GUINT_TO_POINTER(endpoint)))
        attach(s, d, endpoint);
}

/* Domains without endpoints are none. */
static gboolean is_empty(gpointer key, gpointer value, gpointer data)
{
    Domain *d = value;
    if (d->endpoints)
        return false;
    ((VirtioIommu *)data)->mappings -= g_tree_nnodes(d->mappings);
    return true;
}

static void restored(Device *d)
{
    VirtioIommu *s = (VirtioIommu *)d;
    BytesReader r = {.ok = true};
    if (s->map)
        r.p = g_bytes_get_data(s->map, &r.left);
    forget_all(s);
    g_rw_lock_writer_lock(&s->map_lock);
    for (uint32_t n = bytes_get(&r, 4); r.ok && n; n--)
        load_domain(s, &r);
    for (uint32_t n = bytes_get(&r, 4); r.ok && n; n--)
        load_endpoint(s, &r);
    g_hash_table_foreach_remove(s->domains, is_empty, s);
    g_rw_lock_writer_unlock(&s->map_lock);
}

static const VirtioClass cls = {
    .id = 23, .config_size = 40, .get_config = get_config, .set_config = set_config, .stop = stop,
    .features = F_INPUT_RANGE | F_DOMAIN_RANGE | F_MAP_UNMAP | F_PROBE | F_BYPASS_CONFIG,
};
static const Field fields[] = {
    HOST(VirtioIommu, v), HOST(VirtioIommu, requests), HOST(VirtioIommu, events), HOST(VirtioIommu, spaces),
    HOST(VirtioIommu, map_lock), HOST(VirtioIommu, endpoints), HOST(VirtioIommu, domains),
    HOST(VirtioIommu, mappings), HOST(VirtioIommu, x86), HOST(VirtioIommu, fault_lock), HOST(VirtioIommu, faults),
    SAVED(VirtioIommu, bypass, .keep = true), BYTES(VirtioIommu, map),
    PROP(VirtioIommu, boot_bypass, "boot-bypass", PROP_BOOL, .init = true,
         .desc = "DMA passes untranslated until a driver attaches the function"),
};
static const DeviceType virtio_iommu = {
    .name = "virtio-iommu-device", .parent = "virtio-device", .desc = "virtio IOMMU", .size = sizeof(VirtioIommu),
    .bus = "virtio-bus", .category = DEVICE_MISC, FIELDS(fields), .init = init, .finish = finish,
    .realize = realize, .unrealize = unrealize, .reset = reset, .saving = saving, .restored = restored, .ext = &cls,
};
DEVICE_TYPE(virtio_iommu);
