/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts by eventfd through the remapping table: the accelerator gets what becomes of the message, anew
 * when the guest says that it has changed entries. Spec: VT-d 3.4, 5.1.5, 6.5.2.7.
 *
 * A blocked message has no route behind; its sender asks vtd_route_live() and sends it the long way, which
 * records the fault.
 */
#include "hw/iommu/intel-iommu.h"

typedef struct Route {
    MsiMessage message;         /* as the function sends it */
    int fd, inner;              /* fd -1: free; inner: the board's handle, -1: blocked */
} Route;

/* With the lock, as the rest. */
static void resolve(Vtd *s, Route *r)
{
    const MsiTarget *b = s->board;
    MsiMessage m = r->message;
    bool passes = vtd_remap(s, &m, true);
    if (!passes && r->inner >= 0) {
        b->route_remove(b->opaque, r->inner);
        r->inner = -1;
    } else if (passes && r->inner >= 0) {
        b->route_change(b->opaque, r->inner, &m);
    } else if (passes) {
        r->inner = b->route_add(b->opaque, &m, r->fd);
    }
}

static Route *route(Vtd *s, int handle) { return &g_array_index(s->routes, Route, handle); }

static int find_free(Vtd *s)
{
    for (unsigned i = 0; i < s->routes->len; i++)
        if (route(s, i)->fd < 0)
            return i;
    g_array_append_val(s->routes, (Route){.fd = -1});
    return s->routes->len - 1;
}

static int add(void *opaque, const MsiMessage *m, int fd)
{
    Vtd *s = opaque;
    g_mutex_lock(&s->routes_lock);
    int n = find_free(s);
    Route *r = route(s, n);
    *r = (Route){*m, fd, -1};
    resolve(s, r);
    if (r->inner < 0) {
        r->fd = -1;
        n = -1;
    }
    g_mutex_unlock(&s->routes_lock);
    return n;
}

static void change(void *opaque, int handle, const MsiMessage *m)
{
    Vtd *s = opaque;
    g_mutex_lock(&s->routes_lock);
    route(s, handle)->message = *m;
    resolve(s, route(s, handle));
    g_mutex_unlock(&s->routes_lock);
}

static void commit(void *opaque)
{
    const MsiTarget *b = ((Vtd *)opaque)->board;
    b->route_commit(b->opaque);
}

static void drop(void *opaque, int handle)
{
    Vtd *s = opaque;
    g_mutex_lock(&s->routes_lock);
    Route *r = route(s, handle);
    if (r->inner >= 0)
        s->board->route_remove(s->board->opaque, r->inner);
    *r = (Route){.fd = -1, .inner = -1};
    g_mutex_unlock(&s->routes_lock);
}

static bool live(void *opaque, int handle)
{
    Vtd *s = opaque;
    g_mutex_lock(&s->routes_lock);
    bool is = route(s, handle)->inner >= 0;
    g_mutex_unlock(&s->routes_lock);
    return is;
}

void vtd_routes_init(Vtd *s)
{
    s->target = (MsiTarget){.send = vtd_send, .opaque = s};
    if (!s->board || !s->board->route_add)
        return;
    s->routes = g_array_new(FALSE, FALSE, sizeof(Route));
    s->target.route_add = add;
    s->target.route_change = change;
    s->target.route_commit = commit;
    s->target.route_remove = drop;
    s->target.route_live = live;
}

void vtd_remap_changed(Vtd *s)
{
    if (s->apics)
        apic_bus_remap_changed(s->apics);
    if (!s->routes)
        return;
    g_mutex_lock(&s->routes_lock);
    for (unsigned i = 0; i < s->routes->len; i++)
        if (route(s, i)->fd >= 0)
            resolve(s, route(s, i));
    g_mutex_unlock(&s->routes_lock);
    commit(s);
}
