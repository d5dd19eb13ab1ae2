/* SPDX-License-Identifier: Apache-2.0 */
/* The controller: registers, doorbells, queues, interrupts; and namespaces as devices. Spec: NVM Express 1.4, 3-4. */
#include <string.h>
#include "hw/nvme/nvme.h"
#include "util/error.h"
#include "util/log.h"

enum {
    CC_EN = 1, CSTS_RDY = 1, CSTS_FATAL = 2, CSTS_DONE = 2 << 2, DOORBELLS = 0x1000, WINDOW = 0x4000, ENTRY = 64,
    COMPLETION = 16, MAX_ENTRIES = 2048, DO_NOT_RETRY = 0x4000,
};
#define CAPABILITIES (0x7ffull | 1 << 16 | 0xfull << 24 | 1ull << 37 | 4ull << 52)

typedef struct Completion {
    uint16_t cq, sq, cid, status;
    uint32_t result;
} Completion;

/* ---- interrupts ---- */

static void update(Nvme *s)
{
    bool level = false;
    if (pci_msix_enabled(&s->pci))
        return;
    for (unsigned i = 0; i < NVME_QUEUES; i++) {
        const NvmeCq *q = &s->cq[i];
        level |= q->live && q->interrupts && q->head != q->tail && !(s->intm & 1u << (q->vector & 31));
    }
    pci_intx(&s->pci, level);
}

static void interrupt(Nvme *s, const NvmeCq *q)
{
    if (q->interrupts && !pci_notify(&s->pci, q->vector))
        update(s);
}

/* ---- completions ---- */

static bool put_completion(Nvme *s, const Completion *e)
{
    NvmeCq *q = &s->cq[e->cq];
    uint32_t next = (q->tail + 1) % MAX(q->size, 1);
    if (next == q->head)
        return false;
    uint32_t dw[4] = {GUINT32_TO_LE(e->result), 0, GUINT32_TO_LE(s->sq[e->sq].head | (uint32_t)e->sq << 16),
                      GUINT32_TO_LE(e->cid | (uint32_t)(q->phase | e->status << 1) << 16)};
    pci_dma_write(&s->pci, q->base + COMPLETION * q->tail, dw, sizeof(dw));
    q->tail = next;
    if (!next)
        q->phase ^= 1;
    interrupt(s, q);
    return true;
}

void nvme_complete(Nvme *s, uint16_t sq, uint16_t cid, uint16_t status, uint32_t result)
{
    Completion e = {s->sq[sq].cq, sq, cid, status, result};
    trace(complete, "queue %u command %u: 0x%x", sq, cid, status);
    if (!s->sq[sq].live || !s->cq[e.cq].live)
        return;
    if (!g_queue_is_empty(&s->full) || !put_completion(s, &e))
        g_queue_push_tail(&s->full, g_memdup2(&e, sizeof(e)));
}

static void flush_full(Nvme *s)
{
    for (Completion *e; (e = g_queue_peek_head(&s->full)); g_free(g_queue_pop_head(&s->full)))
        if (s->sq[e->sq].live && s->cq[e->cq].live && !put_completion(s, e))
            return;
}

void nvme_free_command(NvmeCommand *c)
{
    dma_list_clear(&c->dma);
    g_free(c->ranges);
    g_free(c);
}

/* ---- submissions, on the loop ---- */

static void execute(Nvme *s, NvmeCommand *c)
{
    uint32_t result = 0;
    trace(command, "queue %u command %u: 0x%02x nsid %u", c->sq, c->cid, c->dw[0] & 0xff, c->dw[1]);
    uint16_t status = c->dw[0] & 0x300 ? NVME_FIELD : c->sq ? nvme_io(s, c) : nvme_admin(s, c, &result);
    if (status && status != NVME_LATER)
        status |= DO_NOT_RETRY;
    if (status != NVME_LATER)
        nvme_complete(s, c->sq, c->cid, status, result);
    if (status != NVME_LATER || !c->sq)
        nvme_free_command(c);
}

static void fetch(Nvme *s, unsigned id)
{
    NvmeSq *q = &s->sq[id];
    for (unsigned n = 0; q->live && q->head != q->tail && g_queue_is_empty(&s->full) && n < MAX_ENTRIES; n++) {
        NvmeCommand *c = g_new0(NvmeCommand, 1);
        if (!pci_dma_read(&s->pci, q->base + ENTRY * q->head, c->dw, ENTRY)) {
            s->csts |= CSTS_FATAL;
            g_free(c);
            return;
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(c->dw); i++)
            c->dw[i] = GUINT32_FROM_LE(c->dw[i]);
        q->head = (q->head + 1) % q->size;
        c->s = s;
        c->sq = id;
        c->cid = c->dw[0] >> 16;
        c->generation = s->generation;
        execute(s, c);
    }
}

void nvme_run(Nvme *s)
{
    if (!(s->csts & CSTS_RDY) || !(s->cc & CC_EN) || s->csts & CSTS_FATAL || !vm_is_running(s->pci.dev.object.vm))
        return;
    flush_full(s);
    for (NvmeCommand *c; (c = g_queue_pop_head(&s->held));)
        execute(s, c);
    for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
        if (s->ns[i])
            block_plug(s->ns[i]->conf->drive->node);
    for (unsigned i = 0; i < NVME_QUEUES; i++)
        fetch(s, i);
    for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
        if (s->ns[i])
            block_unplug(s->ns[i]->conf->drive->node);
}

static void run_posted(Device *d, void *unused)
{
    Nvme *s = (Nvme *)d;
    device_lock(d);
    s->posted = false;
    nvme_run(s);
    device_unlock(d);
}

static void post(Nvme *s)
{
    if (s->posted)
        return;
    s->posted = true;
    device_post(&s->pci.dev, run_posted, NULL, NULL);
}

/* ---- enabling and disabling ---- */

static void forget(Nvme *s)
{
    s->generation++;
    g_queue_clear_full(&s->full, g_free);
    g_queue_clear_full(&s->held, (GDestroyNotify)nvme_free_command);
    memset(s->sq, 0, sizeof(s->sq));
    memset(s->cq, 0, sizeof(s->cq));
    s->n_events = 0;
    update(s);
}

/* The controller is disabled when storage is done with what was in flight. */
void nvme_settle(Nvme *s)
{
    if (!(s->cc & CC_EN) && !s->in_flight)
        s->csts &= ~(CSTS_RDY | CSTS_FATAL);
}

static bool configuration_is_fine(const Nvme *s)
{
    uint64_t page = NVME_PAGE << (s->cc >> 7 & 15);
    return (s->cc >> 7 & 15) <= 4 && !(s->asq % page) && !(s->acq % page) && (s->aqa & 0xfff) && (s->aqa >> 16 & 0xfff) &&
           !(s->cc >> 4 & 7);
}

static void enable(Nvme *s)
{
    if (!configuration_is_fine(s)) {
        log_guest(s, "it is enabled with CC 0x%x, AQA 0x%x", s->cc, s->aqa);
        s->csts |= CSTS_FATAL;
        return;
    }
    s->sq[0] = (NvmeSq){.base = s->asq, .size = (s->aqa & 0xfff) + 1, .live = 1};
    s->cq[0] = (NvmeCq){.base = s->acq, .size = (s->aqa >> 16 & 0xfff) + 1, .phase = 1, .interrupts = 1, .live = 1};
    s->csts = CSTS_RDY;
}

/* ---- registers ---- */

static void wrote_cc(Device *d, uint64_t v)
{
    Nvme *s = (Nvme *)d;
    uint32_t old = s->cc;
    s->cc = v;
    if (v & CC_EN && !(old & CC_EN)) {
        enable(s);
    } else if (old & CC_EN && !(v & CC_EN)) {
        forget(s);
        nvme_settle(s);
    }
    s->csts = v >> 14 & 3 ? s->csts | CSTS_DONE : s->csts & ~CSTS_DONE;
}

static uint64_t read_cc(Device *d) { return ((Nvme *)d)->cc; }
static uint64_t capabilities(Device *d) { return CAPABILITIES; }
static uint64_t read_mask(Device *d) { return ((Nvme *)d)->intm; }

static void set_mask(Device *d, uint64_t v)
{
    ((Nvme *)d)->intm |= v;
    update((Nvme *)d);
}

static void clear_mask(Device *d, uint64_t v)
{
    ((Nvme *)d)->intm &= ~v;
    update((Nvme *)d);
}

static uint64_t doorbell_read(Device *d, uint64_t at, unsigned size) { return 0; }

static void doorbell(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    Nvme *s = (Nvme *)d;
    unsigned id = (at - DOORBELLS) / 8;
    if (at < DOORBELLS || at & 3 || id >= NVME_QUEUES || size != 4) {
        log_guest(d, "write of 0x%x to 0x%x", (unsigned)value, (unsigned)at);
    } else if (at & 4) {
        if (!s->cq[id].live || value >= s->cq[id].size) {
            log_guest(d, "head %u of completion queue %u", (unsigned)value, id);
            return;
        }
        s->cq[id].head = value;
        update(s);
        if (!g_queue_is_empty(&s->full))
            post(s);
    } else if (!s->sq[id].live || value >= s->sq[id].size) {
        log_guest(d, "tail %u of submission queue %u", (unsigned)value, id);
    } else {
        s->sq[id].tail = value;
        post(s);
    }
}

static const Reg regs[] = {
    REG(0x00, "CAP", RO, .width = 8, .read = capabilities), REG(0x08, "VS", RO, .value = 0x10400),
    REG(0x0c, "INTMS", RW, .read = read_mask, .wrote = set_mask),
    REG(0x10, "INTMC", RW, .read = read_mask, .wrote = clear_mask),
    REG(0x14, "CC", RW, .read = read_cc, .wrote = wrote_cc, .bits = 0x00fffff1), REG(0x1c, "CSTS", RO, IN(Nvme, csts)),
    REG(0x24, "AQA", RW, IN(Nvme, aqa), .bits = 0x0fff0fff),
    REG(0x28, "ASQ", RW, IN(Nvme, asq), .width = 8, .bits = ~0xfffull),
    REG(0x30, "ACQ", RW, IN(Nvme, acq), .width = 8, .bits = ~0xfffull),
    REG(0x38, "CMBLOC", RO, .value = 0), REG(0x3c, "CMBSZ", RO, .value = 0),
};

/* ---- namespaces ---- */

typedef struct NvmeNs {
    Device dev;
    DiskConfig conf;
    NvmeNamespace ns;
    uint32_t nsid;
    uint64_t eui64;
    int32_t bootindex;
    uint8_t uuid[16];
} NvmeNs;

static Nvme *controller_of(Device *d)
{
    return object_is_a(&d->object, "nvme") ? (Nvme *)d : (Nvme *)d->parent_bus->owner;
}

static void resized(Device *d)
{
    Nvme *s = controller_of(d);
    device_lock(&s->pci.dev);
    nvme_namespace_changed(s);
    device_unlock(&s->pci.dev);
}
static const DriveOps drive_ops = {.resized = resized};

bool nvme_add_namespace(Nvme *s, NvmeNamespace *ns, uint32_t *nsid, GError **error)
{
    for (uint32_t i = 1; !*nsid && i <= NVME_NAMESPACES; i++)
        if (!s->ns[i])
            *nsid = i;
    if (!*nsid || *nsid > NVME_NAMESPACES)
        return error_set(error, "invalid namespace id (must be between 0 and %d)", NVME_NAMESPACES);
    if (s->ns[*nsid])
        return error_set(error, "namespace id '%u' already allocated", *nsid);
    s->ns[*nsid] = ns;
    return true;
}

static void random_uuid(uint8_t *p)
{
    for (unsigned i = 0; i < 16; i++)
        p[i] = g_random_int();
    p[6] = (p[6] & 0x0f) | 0x40;
    p[8] = (p[8] & 0x3f) | 0x80;
}

static bool open_namespace(Nvme *s, NvmeNamespace *ns, Device *d, DiskConfig *conf, uint32_t *nsid, GError **error)
{
    if (!disk_attach(conf, d, 512, true, &drive_ops, d->object.vm->loop, error))
        return false;
    ns->dev = d;
    ns->conf = conf;
    s->features[6] = conf->drive->writeback;
    return nvme_add_namespace(s, ns, nsid, error);
}

static void drop_namespace(Nvme *s, NvmeNamespace *ns)
{
    for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
        if (s->ns[i] == ns)
            s->ns[i] = NULL;
}

static bool ns_realize(Device *d, GError **error)
{
    NvmeNs *n = (NvmeNs *)d;
    Nvme *s = controller_of(d);
    bool given = false;
    for (unsigned i = 0; i < 16; i++)
        given |= n->uuid[i];
    if (!given)
        random_uuid(n->uuid);
    memcpy(n->ns.uuid, n->uuid, 16);
    n->ns.eui64 = n->eui64;
    return open_namespace(s, &n->ns, d, &n->conf, &n->nsid, error);
}

static void ns_unrealize(Device *d)
{
    NvmeNs *n = (NvmeNs *)d;
    if (n->conf.drive && n->conf.drive->node)
        block_drain(n->conf.drive->node);
    drop_namespace(controller_of(d), &n->ns);
    disk_detach(&n->conf, d);
}

static char *fw_name(Bus *b, Device *d) { return g_strdup_printf("namespace@%x,0", ((NvmeNs *)d)->nsid); }
static const BusType nvme_bus = {.name = "nvme-bus", .parent = "bus", .size = sizeof(Bus), .fw_name = fw_name};
OBJECT_TYPE(nvme_bus);

static const Field ns_fields[] = {
    DISK_PROPS(NvmeNs, conf), HOST(NvmeNs, conf), HOST(NvmeNs, ns),
    PROP(NvmeNs, nsid, "nsid", PROP_U32), PROP(NvmeNs, eui64, "eui64", PROP_U64),
    PROP(NvmeNs, uuid, "uuid", PROP_UUID),
    PROP(NvmeNs, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1, .changed = device_boot_index_changed),
};
static const DeviceType nvme_ns = {
    .name = "nvme-ns", .desc = "Virtual NVMe namespace", .size = sizeof(NvmeNs), .bus = "nvme-bus",
    .pluggable = true, .category = DEVICE_STORAGE, .fields = ns_fields, .n_fields = G_N_ELEMENTS(ns_fields),
    .realize = ns_realize, .unrealize = ns_unrealize,
};
DEVICE_TYPE(nvme_ns);

/* ---- the controller's life ---- */

static void drain(Nvme *s)
{
    for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
        if (s->ns[i] && s->ns[i]->conf->drive->node)
            block_drain(s->ns[i]->conf->drive->node);
}

static void state_changed(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    if (vm_is_running(vm))
        post(data);
    else
        drain(data);
}

static bool check(const Nvme *s, GError **error)
{
    if (!s->conf.serial)
        return error_set(error, "serial property not set");
    if (s->max_ioqpairs < 1 || s->max_ioqpairs >= NVME_QUEUES)
        return error_set(error, "max_ioqpairs must be between 1 and %d", NVME_QUEUES - 1);
    if (s->msix_qsize < 1 || s->msix_qsize > 2048)
        return error_set(error, "msix_qsize must be between 1 and 2048");
    if (s->aerl >= NVME_EVENTS)
        return error_set(error, "aerl must be below %d", NVME_EVENTS);
    return s->mdts <= 16 || error_set(error, "mdts must be at most 16");
}

static bool realize(Device *d, GError **error)
{
    Nvme *s = (Nvme *)d;
    const PciMsix msix = {.vectors = s->msix_qsize, .bar = 4};
    if (!check(s, error) || !pci_add_msix(&s->pci, &msix, error))
        return false;
    if (s->use_intel_id) {
        pci_init16(&s->pci, PCI_VENDOR_ID, 0x8086, 0, 0);
        pci_init16(&s->pci, PCI_DEVICE_ID, 0x5845, 0, 0);
    }
    s->bus = bus_new(d, &nvme_bus, NULL);
    s->features[4] = 0x157;
    s->features[6] = 1;
    s->nsid = 0;
    random_uuid(s->first.uuid);
    if (s->conf.drive && !open_namespace(s, &s->first, d, &s->conf, &s->nsid, error))
        return false;
    s->listener = vm_listen(d->object.vm, VM_EVENT_STATE, state_changed, s);
    return true;
}

static void unrealize(Device *d)
{
    Nvme *s = (Nvme *)d;
    drain(s);
    forget(s);
    vm_unlisten(d->object.vm, s->listener);
    drop_namespace(s, &s->first);
    disk_detach(&s->conf, d);
}

static void reset(Device *d)
{
    Nvme *s = (Nvme *)d;
    s->cc = s->csts = s->intm = 0;
    drain(s);
    forget(s);
    s->csts = 0;
    s->changed = 0;
}

/* Completions without room, then commands held back: each entry has a mark before it. */
static void saving(Device *d)
{
    Nvme *s = (Nvme *)d;
    GByteArray *b = g_byte_array_new();
    drain(s);
    for (GList *l = s->full.head; l; l = l->next) {
        g_byte_array_append(b, (const uint8_t *)"F", 1);
        g_byte_array_append(b, l->data, sizeof(Completion));
    }
    for (GList *l = s->held.head; l; l = l->next) {
        const NvmeCommand *c = l->data;
        g_byte_array_append(b, (const uint8_t *)"H", 1);
        g_byte_array_append(b, (const uint8_t *)&c->sq, 2);
        g_byte_array_append(b, (const uint8_t *)c->dw, ENTRY);
    }
    s->waiting = g_byte_array_free_to_bytes(b);
}

static void load_waiting(Nvme *s)
{
    size_t n = 0;
    const uint8_t *p = s->waiting ? g_bytes_get_data(s->waiting, &n) : NULL;
    while (n) {
        size_t entry = 1 + (*p == 'F' ? sizeof(Completion) : 2 + ENTRY);
        if (n < entry)
            return;
        if (*p == 'F') {
            Completion *e = g_memdup2(p + 1, sizeof(Completion));
            e->cq = MIN(e->cq, NVME_QUEUES - 1);
            e->sq = MIN(e->sq, NVME_QUEUES - 1);
            g_queue_push_tail(&s->full, e);
        } else {
            NvmeCommand *c = g_new0(NvmeCommand, 1);
            c->s = s;
            c->generation = s->generation;
            memcpy(&c->sq, p + 1, 2);
            c->sq = MIN(c->sq, NVME_QUEUES - 1);
            memcpy(c->dw, p + 3, ENTRY);
            c->cid = c->dw[0] >> 16;
            g_queue_push_tail(&s->held, c);
        }
        p += entry;
        n -= entry;
    }
}

static void restored(Device *d)
{
    Nvme *s = (Nvme *)d;
    for (unsigned i = 0; i < NVME_QUEUES; i++) {
        NvmeSq *q = &s->sq[i];
        NvmeCq *c = &s->cq[i];
        if (q->size < 1 || q->size > 4096 || q->head >= q->size || q->tail >= q->size || q->cq >= NVME_QUEUES)
            *q = (NvmeSq){0};
        if (c->size < 1 || c->size > 4096 || c->head >= c->size || c->tail >= c->size)
            *c = (NvmeCq){0};
        c->phase &= 1;
    }
    s->n_events = MIN(s->n_events, NVME_EVENTS);
    g_queue_clear_full(&s->full, g_free);
    g_queue_clear_full(&s->held, (GDestroyNotify)nvme_free_command);
    load_waiting(s);
    nvme_settle(s);
    update(s);
    post(s);
}

static const PciInfo info = {
    .vendor = 0x1b36, .device = 0x0010, .class = 0x010802, .revision = 2, .pin = 1,
    .bar = {[0] = {.kind = PCI_BAR_MEM64, .window = true, .name = "nvme"}}, .express = PCIE_ON_EXPRESS, .pm = true,
};
static const Field fields[] = {
    DISK_PROPS(Nvme, conf), HOST(Nvme, conf), HOST(Nvme, first), HOST(Nvme, ns), HOST(Nvme, bus),
    SAVED(Nvme, intm), SAVED(Nvme, cc), SAVED(Nvme, sq, .keep = true), SAVED(Nvme, cq, .keep = true),
    SAVED(Nvme, features, .keep = true), SAVED(Nvme, event_cid), SAVED(Nvme, n_events), SAVED(Nvme, changed),
    HOST(Nvme, full), HOST(Nvme, held), BYTES(Nvme, waiting), HOST(Nvme, in_flight), HOST(Nvme, generation),
    HOST(Nvme, posted), HOST(Nvme, listener), HOST(Nvme, nsid),
    PROP(Nvme, max_ioqpairs, "max_ioqpairs", PROP_U32, .init = 64),
    PROP(Nvme, msix_qsize, "msix_qsize", PROP_U16, .init = 65), PROP(Nvme, mdts, "mdts", PROP_U8, .init = 7),
    PROP(Nvme, aerl, "aerl", PROP_U8, .init = 3), PROP(Nvme, use_intel_id, "use-intel-id", PROP_BOOL),
    PROP(Nvme, bootindex, "bootindex", PROP_I32, .init = (uint64_t)-1, .changed = device_boot_index_changed),
};
static const DeviceType nvme = {
    .name = "nvme", .parent = "pci-device", .desc = "Non-Volatile Memory Express", .size = sizeof(Nvme),
    .pluggable = true, .hotpluggable = true, .category = DEVICE_STORAGE, .window = WINDOW, REGS(regs),
    FIELDS(fields), .read = doorbell_read, .write = doorbell, .realize = realize, .unrealize = unrealize,
    .reset = reset, .saving = saving, .restored = restored, .pci = &info, .fw_suffix = "/namespace@1,0",
};
DEVICE_TYPE(nvme);
