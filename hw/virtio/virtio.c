/* SPDX-License-Identifier: Apache-2.0 */
/* The base of all virtio devices: status, features, configuration, queues. Spec: virtio 1.2, 2-3. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "core/backend.h"
#include "hw/virtio/queue.h"
#include "util/error.h"
#include "util/log.h"

/* ---- features ---- */

static uint64_t core_features(const VirtioDevice *v)
{
    bool modern = !v->transport || !v->transport->legacy;
    return (v->indirect_desc ? VIRTIO_F_INDIRECT_DESC : 0) | (v->event_idx ? VIRTIO_F_EVENT_IDX : 0) |
           (!modern ? (v->any_layout ? VIRTIO_F_ANY_LAYOUT : 0) |
                          (v->notify_on_empty ? VIRTIO_F_NOTIFY_ON_EMPTY : 0)
                    : VIRTIO_F_VERSION_1 | (v->packed ? VIRTIO_F_RING_PACKED : 0) |
                          (v->in_order ? VIRTIO_F_IN_ORDER : 0) |
                          (v->access_platform ? VIRTIO_F_ACCESS_PLATFORM : 0));
}

uint64_t virtio_offered(VirtioDevice *v) { return v->host_features | core_features(v); }

void virtio_set_features(VirtioDevice *v, uint64_t features)
{
    g_mutex_lock(&v->lock);
    if (!(v->status & VIRTIO_DRIVER_OK)) {
        v->refused = features & ~virtio_offered(v);
        v->features = features & virtio_offered(v);
    }
    g_mutex_unlock(&v->lock);
}

void virtio_error(VirtioDevice *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    log_guest(v, "%s", text);
    v->broken = true;
    if (v->features & VIRTIO_F_VERSION_1) {
        __atomic_or_fetch(&v->status, VIRTIO_NEEDS_RESET, __ATOMIC_SEQ_CST);
        virtio_config_changed(v);
    }
}

/* ---- starting and stopping, on the device's loop ---- */

static void kicked(int fd, GIOCondition ready, void *data)
{
    Virtq *vq = data;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0 || !virtq_ready(vq) || !vm_is_running(vq->v->dev.object.vm))
        return;
    trace(kick, "%s queue %u", vq->v->dev.object.type->name, vq->index);
    virtq_serve(vq);
}

static void start_on_loop(void *data)
{
    VirtioDevice *v = data;
    if (v->started)
        return;
    v->started = true;
    v->start_due = false;
    if (v->cls->start)
        v->cls->start(v);
    for (unsigned i = 0; i < v->n_vqs; i++) {
        Virtq *vq = &v->vq[i];
        if (!vq->s.ready || !virtq_map(vq))
            continue;
        vq->watch = loop_add_fd(v->loop, vq->kick_fd, G_IO_IN, kicked, vq);
        virtq_schedule(vq);     /* what was made available before */
    }
}

static void stop_on_loop(void *data)
{
    VirtioDevice *v = data;
    if (!v->started)
        return;
    if (v->cls->stop)
        v->cls->stop(v);
    for (unsigned i = 0; i < v->n_vqs; i++) {
        loop_fd_free(v->vq[i].watch);
        v->vq[i].watch = NULL;
        virtq_publish(&v->vq[i]);
        v->vq[i].desc_host = v->vq[i].driver_host = v->vq[i].device_host = NULL;
    }
    v->started = false;
}

/* While the machine stands nothing happens; what was missed is looked for afterwards. */
static void run_on_loop(void *data)
{
    VirtioDevice *v = data;
    bool running = vm_is_running(v->dev.object.vm);
    if (running && v->start_due)
        start_on_loop(v);
    if (!v->started)
        return;
    if (v->cls->run)
        v->cls->run(v, running);
    for (unsigned i = 0; running && i < v->n_vqs; i++)
        if (v->vq[i].watch)
            virtq_schedule(&v->vq[i]);
}

static void state_changed(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    VirtioDevice *v = data;
    loop_call(v->loop, run_on_loop, v);
}

static void settle_on_loop(void *data)
{
    VirtioDevice *v = data;
    if (v->started && v->cls->run)
        v->cls->run(v, false);
    for (unsigned i = 0; i < v->n_vqs; i++)
        virtq_publish(&v->vq[i]);
}

static void start(VirtioDevice *v) { loop_call(v->loop, start_on_loop, v); }
void virtio_stop(VirtioDevice *v) { loop_call(v->loop, stop_on_loop, v); }

void virtq_schedule(Virtq *vq)
{
    uint64_t one = 1;
    if (write(vq->kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_write("virtio: eventfd: %s\n", g_strerror(errno));
}

void virtq_kick(VirtioDevice *v, unsigned q)
{
    if (q < v->n_vqs)
        virtq_schedule(&v->vq[q]);
    else
        log_guest(v, "kick of queue %u; there are %u", q, v->n_vqs);
}

/* ---- status ---- */

static void reset_registers(VirtioDevice *v)
{
    v->features = 0;
    v->status = 0;
    v->broken = v->refused = v->start_due = false;
    for (unsigned i = 0; i < v->n_vqs; i++)
        virtq_clear(&v->vq[i]);
}

/* A driver that asks for what was not offered, or drops VERSION_1 or ACCESS_PLATFORM on a modern
 * transport, is told so by FEATURES_OK staying clear (3.1.1, 6.1, 6.2). */
static bool features_are_fine(const VirtioDevice *v)
{
    uint64_t needed = VIRTIO_F_VERSION_1 | (v->access_platform ? VIRTIO_F_ACCESS_PLATFORM : 0);
    return !v->refused && (v->transport->legacy || (v->features & needed) == needed);
}

/* Called without v->lock: the loop may want it. */
void virtio_set_status(VirtioDevice *v, uint8_t status)
{
    uint8_t old = v->status;
    if (status == 0) {
        virtio_stop(v);
        g_mutex_lock(&v->lock);
        reset_registers(v);
        g_mutex_unlock(&v->lock);
        return;
    }
    g_mutex_lock(&v->lock);
    if (status & ~old & VIRTIO_FEATURES_OK && !features_are_fine(v))
        status &= ~VIRTIO_FEATURES_OK;
    v->status = status | (old & VIRTIO_NEEDS_RESET);
    g_mutex_unlock(&v->lock);
    trace(status, "%s 0x%x features 0x%llx", v->dev.object.type->name, status,
          (unsigned long long)v->features);
    if (status & ~old & VIRTIO_DRIVER_OK)
        start(v);
}

/* ---- configuration ---- */

static void refresh_config(VirtioDevice *v)
{
    if (v->cls->get_config)
        v->cls->get_config(v, v->config);
}

uint64_t virtio_read_config(VirtioDevice *v, unsigned at, unsigned size)
{
    uint64_t value = 0;
    if (at + size > v->cls->config_size)
        return size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
    g_mutex_lock(&v->lock);
    refresh_config(v);
    memcpy(&value, v->config + at, size);
    g_mutex_unlock(&v->lock);
    return GUINT64_FROM_LE(value);
}

void virtio_write_config(VirtioDevice *v, unsigned at, uint64_t value, unsigned size)
{
    if (at + size > v->cls->config_size || !v->cls->set_config)
        return;
    g_mutex_lock(&v->lock);
    refresh_config(v);
    value = GUINT64_TO_LE(value);
    memcpy(v->config + at, &value, size);
    v->cls->set_config(v, v->config, at, size);
    g_mutex_unlock(&v->lock);
}

void virtio_config_changed(VirtioDevice *v)
{
    v->generation++;
    if (v->transport && v->status & VIRTIO_DRIVER_OK)
        v->transport->config_changed(v->transport_opaque);
}

/* ---- queue registers ---- */

static Virtq *queue(VirtioDevice *v, unsigned q) { return q < v->n_vqs ? &v->vq[q] : NULL; }

unsigned virtq_max_size(VirtioDevice *v, unsigned q) { return q < v->n_vqs ? v->vq[q].max_size : 0; }
unsigned virtq_get_size(VirtioDevice *v, unsigned q) { return q < v->n_vqs ? v->vq[q].s.size : 0; }
bool virtq_get_ready(VirtioDevice *v, unsigned q) { return q < v->n_vqs && v->vq[q].s.ready; }

void virtq_set_size(VirtioDevice *v, unsigned q, unsigned size)
{
    Virtq *vq = queue(v, q);
    bool packed = v->features & VIRTIO_F_RING_PACKED;
    if (!vq || vq->s.ready || size == 0 || size > vq->max_size || (!packed && size & (size - 1)))
        log_guest(v, "queue %u: size %u is not possible now", q, size);
    else
        vq->s.size = size;
}

void virtq_set_addresses(VirtioDevice *v, unsigned q, uint64_t desc, uint64_t driver, uint64_t device)
{
    Virtq *vq = queue(v, q);
    if (!vq || vq->desc_host) {
        log_guest(v, "queue %u: addresses cannot change now", q);
        return;
    }
    vq->s.desc = desc;
    vq->s.driver = driver;
    vq->s.device = device;
}

uint64_t virtq_get_address(VirtioDevice *v, unsigned q, int area)
{
    const Virtq *vq = queue(v, q);
    return !vq ? 0 : area == VIRTQ_DESC ? vq->s.desc : area == VIRTQ_DRIVER ? vq->s.driver : vq->s.device;
}

typedef struct QueueChange {
    Virtq *vq;
    bool ready;
} QueueChange;

/* A queue that comes or goes while the device runs. */
static void change_queue(void *data)
{
    QueueChange *c = data;
    Virtq *vq = c->vq;
    vq->s.ready = c->ready;
    if (!vq->v->started)
        return;
    if (!c->ready && vq->watch && vq->v->cls->run)
        vq->v->cls->run(vq->v, false);
    if (c->ready && !vq->desc_host && virtq_map(vq)) {
        vq->signalled_valid = false;
        vq->watch = loop_add_fd(vq->v->loop, vq->kick_fd, G_IO_IN, kicked, vq);
        virtq_schedule(vq);
    } else if (!c->ready && vq->watch) {
        loop_fd_free(vq->watch);
        vq->watch = NULL;
        vq->desc_host = NULL;
    }
}

void virtq_set_ready(VirtioDevice *v, unsigned q, bool ready)
{
    Virtq *vq = queue(v, q);
    QueueChange c = {vq, ready};
    if (vq)
        loop_call(v->loop, change_queue, &c);
}

void virtq_set_vector(VirtioDevice *v, unsigned q, uint16_t vector)
{
    if (q < v->n_vqs)
        v->vq[q].s.vector = vector;
}

uint16_t virtq_get_vector(VirtioDevice *v, unsigned q) { return q < v->n_vqs ? v->vq[q].s.vector : 0xffff; }
int virtq_kick_fd(VirtioDevice *v, unsigned q) { return q < v->n_vqs ? v->vq[q].kick_fd : -1; }

void virtio_set_dma(VirtioDevice *v, AddressSpace *as)
{
    /* Queues look their memory up anew at their next use. */
    if (__atomic_exchange_n(&v->dev.dma, as, __ATOMIC_ACQ_REL) != as)
        mem_remapped(v->dev.object.vm);
}

/* ---- the device ---- */

Virtq *virtio_add_queue(VirtioDevice *v, unsigned size, void (*handler)(VirtioDevice *, Virtq *))
{
    Virtq *vq = &v->vq[v->n_vqs];
    *vq = (Virtq){.v = v, .index = v->n_vqs++, .max_size = VIRTIO_MAX_SIZE, .default_size = size,
                  .handler = handler, .kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    vq->max_size = MAX(size, 1);
    virtq_clear(vq);
    return vq;
}

void virtio_attach(VirtioDevice *v, const VirtioTransport *t, void *opaque)
{
    v->transport = t;
    v->transport_opaque = opaque;
    v->host_features = v->cls->offer ? v->cls->offer(v, v->cls->features) : v->cls->features;
}

static void init(Object *o)
{
    VirtioDevice *v = (VirtioDevice *)o;
    v->cls = device_type(&v->dev)->ext;
    g_mutex_init(&v->lock);
    v->vq = g_new0(Virtq, VIRTIO_MAX_QUEUES);
    v->config = g_malloc0(MAX(v->cls->config_size, 8));
}

static bool realize(Device *d, GError **error)
{
    VirtioDevice *v = (VirtioDevice *)d;
    v->loop = v->iothread ? iothread_loop(v->iothread) : d->object.vm->loop;
    v->run_listener = vm_listen(d->object.vm, VM_EVENT_STATE, state_changed, v);
    return true;
}

static void unrealize(Device *d)
{
    VirtioDevice *v = (VirtioDevice *)d;
    if (v->loop)
        virtio_stop(v);
    vm_unlisten(d->object.vm, v->run_listener);
    for (unsigned i = 0; i < v->n_vqs; i++) {
        virtq_clear(&v->vq[i]);
        close(v->vq[i].kick_fd);
    }
    v->n_vqs = 0;
}

static void finish(Object *o)
{
    VirtioDevice *v = (VirtioDevice *)o;
    g_free(v->vq);
    g_free(v->config);
    g_mutex_clear(&v->lock);
}

static void reset(Device *d)
{
    VirtioDevice *v = (VirtioDevice *)d;
    if (v->loop)
        virtio_stop(v);
    reset_registers(v);
}

static void saving(Device *d)
{
    VirtioDevice *v = (VirtioDevice *)d;
    loop_call(v->loop, settle_on_loop, v);
    g_clear_pointer(&v->queues, g_bytes_unref);
    v->queues = virtq_save_all(v);
}

/* The queues begin when the machine runs: memory may still be on its way. */
static void restored(Device *d)
{
    VirtioDevice *v = (VirtioDevice *)d;
    virtio_stop(v);
    if (!virtq_load_all(v, v->queues) || v->features & ~virtio_offered(v)) {
        virtio_error(v, "the state of the queues does not fit this device");
        return;
    }
    v->start_due = v->status & VIRTIO_DRIVER_OK;
    if (v->start_due && vm_is_running(d->object.vm))
        start(v);
}

static const Field fields[] = {VIRTIO_FIELDS};
static const DeviceType virtio_device = {
    .name = "virtio-device", .size = sizeof(VirtioDevice), .abstract = true, .bus = "virtio-bus",
    .no_domain = true, FIELDS(fields), .init = init, .finish = finish, .realize = realize,
    .unrealize = unrealize, .reset = reset, .saving = saving, .restored = restored,
};
DEVICE_TYPE(virtio_device);

static const BusType virtio_bus = {.name = "virtio-bus", .parent = "bus", .size = sizeof(Bus),
                                   .abstract = true};
OBJECT_TYPE(virtio_bus);
