/* SPDX-License-Identifier: Apache-2.0 */
/* virtio console device with several ports (virtconsole, virtserialport). Spec: virtio 1.2, 5.3. */
#include <string.h>
#include "chardev/chardev.h"
#include "hw/virtio/virtio.h"
#include "qapi/qapi-events.h"
#include "util/error.h"
#include "util/log.h"

enum {
    MAX_PORTS = 31, CONTROL_IN = 2, CONTROL_OUT = 3,
    PORT_DEVICE_READY = 0, PORT_ADD, PORT_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE, PORT_OPEN, PORT_NAME,
    QUEUE_SIZE = 128, CHUNK = 4096,
};
#define F_MULTIPORT (1ull << 1)

typedef struct SerialBus SerialBus;
typedef struct Port Port;

typedef struct VirtioSerial {
    VirtioDevice v;
    Virtq *control_in, *control_out;
    Virtq *in[MAX_PORTS], *out[MAX_PORTS];
    Port *ports[MAX_PORTS];
    uint32_t max_ports;
    Bus *bus;
    GQueue *messages;           /* GBytes *: control messages the driver has no buffer for yet */
    GBytes *unsent;             /* those, on the way to another machine */
} VirtioSerial;

struct Port {
    Device dev;
    Chardev *chr;
    CharFrontend fe;
    char *name;
    uint32_t nr;
    VirtioSerial *serial;
    VirtqElement *pending;      /* output that the chardev did not take whole */
    uint64_t pending_at;        /* in the oldest buffer of the queue */
    bool guest_open, host_open;
    bool told_open;             /* what the driver knows of host_open */
};

static bool is_console(const Port *p) { return object_is_a((Object *)p, "virtconsole"); }

/* ---- control queue ---- */

static void flush_messages(VirtioSerial *s)
{
    while (!g_queue_is_empty(s->messages)) {
        VirtqElement *e = virtq_pop(s->control_in, 0);
        if (!e)
            break;
        g_autoptr(GBytes) m = g_queue_pop_head(s->messages);
        size_t n;
        const void *data = g_bytes_get_data(m, &n);
        virtq_push(s->control_in, e, iov_write(e->in, e->n_in, 0, data, n));
    }
    virtq_flush(s->control_in);
}

static void send_control(VirtioSerial *s, uint32_t port, uint16_t event, uint16_t value, const char *text)
{
    struct __attribute__((packed)) { uint32_t id; uint16_t event, value; } m = {
        GUINT32_TO_LE(port), GUINT16_TO_LE(event), GUINT16_TO_LE(value)};
    GByteArray *b = g_byte_array_new();
    if (!virtio_has(&s->v, F_MULTIPORT) || !s->v.started) {
        g_byte_array_unref(b);
        return;
    }
    g_byte_array_append(b, (uint8_t *)&m, sizeof(m));
    if (text)
        g_byte_array_append(b, (const uint8_t *)text, strlen(text) + 1);
    g_queue_push_tail(s->messages, g_byte_array_free_to_bytes(b));
    flush_messages(s);
}

static void tell_open(Port *p)
{
    p->told_open = p->host_open || !p->chr;
    send_control(p->serial, p->nr, PORT_OPEN, p->told_open, NULL);
}

static void announce(Port *p)
{
    VirtioSerial *s = p->serial;
    if (is_console(p))
        send_control(s, p->nr, CONSOLE_PORT, 1, NULL);
    if (p->name)
        send_control(s, p->nr, PORT_NAME, 1, p->name);
    if (p->host_open || !p->chr)
        tell_open(p);
}

static void control(VirtioSerial *s, uint32_t nr, uint16_t event, uint16_t value)
{
    trace(control, "port %u event %u value %u", nr, event, value);
    if (event == PORT_DEVICE_READY) {
        for (unsigned i = 0; value && i < s->max_ports; i++)
            if (s->ports[i])
                send_control(s, i, PORT_ADD, 1, NULL);
        return;
    }
    Port *p = nr < MAX_PORTS ? s->ports[nr] : NULL;
    if (!p) {
        log_guest(s, "control message for port %u, which does not exist", nr);
    } else if (event == PORT_READY && value) {
        announce(p);
    } else if (event == PORT_OPEN) {
        bool changed = p->guest_open != !!value;
        p->guest_open = value;
        if (changed && p->dev.id && !is_console(p))
            qapi_event_vserport_change(p->dev.object.vm, p->dev.id, value);
        if (value)
            char_accept_input(&p->fe);
    }
}

static void serve_control_out(VirtioDevice *v, Virtq *vq)
{
    VirtioSerial *s = (VirtioSerial *)v;
    VirtqElement *e;
    while ((e = virtq_pop(vq, 0))) {
        struct __attribute__((packed)) { uint32_t id; uint16_t event, value; } m;
        if (iov_read(e->out, e->n_out, 0, &m, sizeof(m)) == sizeof(m))
            control(s, GUINT32_FROM_LE(m.id), GUINT16_FROM_LE(m.event), GUINT16_FROM_LE(m.value));
        virtq_push(vq, e, 0);
    }
    virtq_flush(vq);
}

static void serve_control_in(VirtioDevice *v, Virtq *vq) { flush_messages((VirtioSerial *)v); }

/* ---- data: guest to host ---- */

static Port *port_of_queue(VirtioSerial *s, const Virtq *vq)
{
    unsigned q = virtq_index(vq), nr = q < 2 ? 0 : q / 2 - 1;
    return s->ports[nr];
}

/* Sends what is left of an element; false when the chardev is full. */
static bool send_element(Port *p, VirtqElement *e, uint64_t *at)
{
    uint8_t buf[CHUNK];
    size_t n;
    while ((n = iov_read(e->out, e->n_out, *at, buf, sizeof(buf)))) {
        unsigned done = p->host_open || !p->chr ? char_write(&p->fe, buf, n) : n;
        *at += done;
        if (done < n)
            return false;
    }
    return true;
}

static void serve_out(VirtioDevice *v, Virtq *vq)
{
    Port *p = port_of_queue((VirtioSerial *)v, vq);
    for (;;) {
        VirtqElement *e = p && p->pending ? p->pending : virtq_pop(vq, 0);
        if (!e)
            break;
        if (p && !send_element(p, e, &p->pending_at)) {
            p->pending = e;
            break;
        }
        if (p) {
            p->pending = NULL;
            p->pending_at = 0;
        }
        virtq_push(vq, e, 0);
    }
    virtq_flush(vq);
}

/* ---- data: host to guest ---- */

static unsigned can_read(void *opaque)
{
    Port *p = opaque;
    VirtioSerial *s = p->serial;
    bool open = p->guest_open || !virtio_has(&s->v, F_MULTIPORT) || is_console(p);
    return s->v.started && open && !virtq_empty(s->in[p->nr]) ? CHUNK : 0;
}

static void read_input(void *opaque, const uint8_t *buf, unsigned n)
{
    Port *p = opaque;
    Virtq *vq = p->serial->in[p->nr];
    VirtqElement *e;
    while (n && (e = virtq_pop(vq, 0))) {
        size_t k = iov_write(e->in, e->n_in, 0, buf, n);
        virtq_push(vq, e, k);
        buf += k;
        n -= k;
    }
    virtq_flush(vq);
}

static void serve_in(VirtioDevice *v, Virtq *vq)
{
    Port *p = port_of_queue((VirtioSerial *)v, vq);
    if (p)
        char_accept_input(&p->fe);
}

static void line_event(void *opaque, CharEvent event)
{
    Port *p = opaque;
    if (event == CHAR_EVENT_WRITABLE && p->pending && p->serial->v.started) {
        serve_out(&p->serial->v, p->serial->out[p->nr]);
    } else if (event == CHAR_EVENT_OPENED || event == CHAR_EVENT_CLOSED) {
        p->host_open = event == CHAR_EVENT_OPENED;
        tell_open(p);
    }
}

/* ---- the device ---- */

static void get_config(VirtioDevice *v, uint8_t *config)
{
    uint32_t ports = GUINT32_TO_LE(((VirtioSerial *)v)->max_ports);
    memset(config, 0, 4);       /* columns, rows */
    memcpy(config + 4, &ports, 4);
}

static void stop(VirtioDevice *v)
{
    VirtioSerial *s = (VirtioSerial *)v;
    for (unsigned i = 0; i < MAX_PORTS; i++) {
        Port *p = s->ports[i];
        if (!p)
            continue;
        p->guest_open = p->told_open = false;
        p->pending_at = 0;
        if (p->pending)
            virtq_push(s->out[i], g_steal_pointer(&p->pending), 0);
    }
    g_queue_clear_full(s->messages, (GDestroyNotify)g_bytes_unref);
}

/* The stream may be connected otherwise than where the machine came from. */
static void run(VirtioDevice *v, bool running)
{
    VirtioSerial *s = (VirtioSerial *)v;
    for (unsigned i = 0; running && i < MAX_PORTS; i++) {
        Port *p = s->ports[i];
        if (p && p->guest_open && p->told_open != (p->host_open || !p->chr))
            tell_open(p);
    }
}

static void saving(Device *d)
{
    GByteArray *b = g_byte_array_new();
    for (GList *l = ((VirtioSerial *)d)->messages->head; l; l = l->next) {
        size_t n;
        const void *data = g_bytes_get_data(l->data, &n);
        uint32_t length = GUINT32_TO_LE((uint32_t)n);
        g_byte_array_append(b, (const uint8_t *)&length, sizeof(length));
        g_byte_array_append(b, data, n);
    }
    ((VirtioSerial *)d)->unsent = g_byte_array_free_to_bytes(b);
}

static void restored(Device *d)
{
    VirtioSerial *s = (VirtioSerial *)d;
    size_t n = 0;
    const uint8_t *p = s->unsent ? g_bytes_get_data(s->unsent, &n) : NULL;
    g_queue_clear_full(s->messages, (GDestroyNotify)g_bytes_unref);
    for (uint32_t length; n > sizeof(length); p += length, n -= length) {
        memcpy(&length, p, sizeof(length));
        p += sizeof(length);
        n -= sizeof(length);
        length = MIN(GUINT32_FROM_LE(length), n);
        g_queue_push_tail(s->messages, g_bytes_new(p, length));
    }
}

/* ---- ports and their bus ---- */

static bool plug_port(Bus *bus, Device *d, GError **error)
{
    VirtioSerial *s = (VirtioSerial *)bus->owner;
    Port *p = (Port *)d;
    if (p->nr == UINT32_MAX) {
        /* Port 0 is the console's for drivers without multiport. */
        p->nr = is_console(p) ? 0 : 1;
        while (p->nr < s->max_ports && s->ports[p->nr])
            p->nr++;
    }
    if (p->nr >= s->max_ports)
        return error_set(error, "virtio-serial: port %u is out of range, there are %u (max_ports)",
                         p->nr, s->max_ports);
    if (s->ports[p->nr])
        return error_set(error, "virtio-serial: port %u is taken", p->nr);
    p->serial = s;
    s->ports[p->nr] = p;
    return true;
}

static void unplug_port(Bus *bus, Device *d)
{
    Port *p = (Port *)d;
    VirtioSerial *s = p->serial;
    send_control(s, p->nr, PORT_REMOVE, 1, NULL);
    if (p->pending) {
        virtq_push(s->out[p->nr], g_steal_pointer(&p->pending), 0);
        virtq_flush(s->out[p->nr]);
    }
    s->ports[p->nr] = NULL;
}

static const BusType serial_bus = {
    .name = "virtio-serial-bus", .parent = "bus", .size = sizeof(Bus), .plug = plug_port,
    .unplug = unplug_port,
};
OBJECT_TYPE(serial_bus);

static bool realize(Device *d, GError **error)
{
    VirtioSerial *s = (VirtioSerial *)d;
    if (s->max_ports < 1 || s->max_ports > MAX_PORTS)
        return error_set(error, "max_ports must be between 1 and %d", MAX_PORTS);
    s->messages = g_queue_new();
    for (unsigned i = 0; i < s->max_ports; i++) {
        s->in[i] = virtio_add_queue(&s->v, QUEUE_SIZE, serve_in);
        s->out[i] = virtio_add_queue(&s->v, QUEUE_SIZE, serve_out);
        if (i == 0) {
            s->control_in = virtio_add_queue(&s->v, 32, serve_control_in);
            s->control_out = virtio_add_queue(&s->v, 32, serve_control_out);
        }
    }
    s->bus = bus_new(d, &serial_bus, NULL);
    return true;
}

static void unrealize(Device *d)
{
    VirtioSerial *s = (VirtioSerial *)d;
    virtio_stop(&s->v);
    g_queue_free_full(g_steal_pointer(&s->messages), (GDestroyNotify)g_bytes_unref);
}

static const VirtioClass cls = {
    .id = 3, .features = F_MULTIPORT, .config_size = 12, .get_config = get_config, .stop = stop,
    .run = run,
};
static const Field fields[] = {
    HOST(VirtioSerial, v), HOST(VirtioSerial, control_in), HOST(VirtioSerial, control_out),
    HOST(VirtioSerial, in), HOST(VirtioSerial, out), HOST(VirtioSerial, ports),
    PROP(VirtioSerial, max_ports, "max_ports", PROP_U32, .init = MAX_PORTS),
    HOST(VirtioSerial, bus), HOST(VirtioSerial, messages), BYTES(VirtioSerial, unsent),
};
static const DeviceType virtio_serial = {
    .name = "virtio-serial-device", .parent = "virtio-device", .desc = "virtio serial bus",
    .size = sizeof(VirtioSerial), .bus = "virtio-bus", .pluggable = true, .category = DEVICE_INPUT,
    FIELDS(fields), .realize = realize, .unrealize = unrealize, .saving = saving, .restored = restored,
    .ext = &cls,
};
DEVICE_TYPE(virtio_serial);

static bool port_realize(Device *d, GError **error)
{
    Port *p = (Port *)d;
    p->fe = (CharFrontend){.can_read = can_read, .read = read_input, .event = line_event, .opaque = p};
    return char_attach(&p->fe, p->chr, error);
}

static void port_unrealize(Device *d) { char_detach(&((Port *)d)->fe); }

static const Field port_fields[] = {
    PROP(Port, chr, "chardev", PROP_CHARDEV), HOST(Port, fe),
    PROP(Port, name, "name", PROP_STRING), PROP(Port, nr, "nr", PROP_U32, .init = UINT32_MAX),
    HOST(Port, serial), HOST(Port, pending), SAVED(Port, pending_at, .keep = true),
    SAVED(Port, guest_open, .keep = true), SAVED(Port, told_open, .keep = true), HOST(Port, host_open),
};
static const DeviceType virtserialport = {
    .name = "virtserialport", .desc = "port of a virtio serial bus", .size = sizeof(Port),
    .bus = "virtio-serial-bus", .pluggable = true, .hotpluggable = true, .category = DEVICE_INPUT,
    .fields = port_fields, .n_fields = G_N_ELEMENTS(port_fields), .no_domain = true,
    .realize = port_realize, .unrealize = port_unrealize,
};
DEVICE_TYPE(virtserialport);
static const DeviceType virtconsole = {
    .name = "virtconsole", .desc = "console on a virtio serial bus", .size = sizeof(Port),
    .bus = "virtio-serial-bus", .pluggable = true, .hotpluggable = true, .category = DEVICE_INPUT,
    .fields = port_fields, .n_fields = G_N_ELEMENTS(port_fields), .no_domain = true,
    .realize = port_realize, .unrealize = port_unrealize,
};
DEVICE_TYPE(virtconsole);
