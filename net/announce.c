/* SPDX-License-Identifier: Apache-2.0 */
/* Announcements of where cards are: RARP requests (RFC 903) for their own addresses, which switches learn from. */
#include <string.h>
#include "net/internal.h"
#include "util/bytes.h"

enum { PACKET = 60, RARP = 0x8035, REQUEST_REVERSE = 3, ETHERNET = 1, IPV4 = 0x0800, ROUNDS_MAX = 1000,
       MS_MAX = 100000, HEADER_MAX = 12 };

typedef struct Announcement {
    Vm *vm;
    Loop *loop;
    unsigned timer;
    GStrv cards;                /* NULL: all */
    int64_t wait, step, max, left;
} Announcement;

/* In the order of the header: to all, from the card; then hardware and protocol with their lengths, what is
 * asked, and both addresses twice. */
static void make_packet(uint8_t p[PACKET], const uint8_t mac[6])
{
    memset(p, 0, PACKET);
    memset(p, 0xff, 6);
    memcpy(p + 6, mac, 6);
    put_be16(p + 12, RARP);
    put_be16(p + 14, ETHERNET);
    put_be16(p + 16, IPV4);
    p[18] = 6;
    p[19] = 4;
    put_be16(p + 20, REQUEST_REVERSE);
    memcpy(p + 22, mac, 6);
    memcpy(p + 32, mac, 6);
}

static void announce_card(NetClient *nic)
{
    static const uint8_t header[HEADER_MAX];
    uint8_t packet[PACKET];
    make_packet(packet, nic->mac);
    struct iovec iov[2] = {{(void *)header, nic->peer ? nic->peer->header : 0}, {packet, PACKET}};
    unsigned skip = iov[0].iov_len == 0;
    if (!nic->link_down && !nic->lead)
        net_send(nic, iov + skip, 2 - skip);
}

static void finish(Announcement *a)
{
    if (a->timer)
        loop_cancel(a->loop, a->timer);
    g_strfreev(a->cards);
    g_free(a);
}

static void *make_list(Vm *vm) { return g_ptr_array_new_with_free_func((GDestroyNotify)finish); }

/* Those under way, which end with the machine. */
static GPtrArray *under_way(Vm *vm)
{
    static const char key;
    return vm_data(vm, &key, make_list, (GDestroyNotify)g_ptr_array_unref);
}

static void announce(void *data)
{
    Announcement *a = data;
    a->timer = 0;
    g_auto(GStrv) names = vm_service_ids(a->vm, "nic");
    for (unsigned i = 0; names && names[i]; i++)
        if (!a->cards || g_strv_contains((const char *const *)a->cards, names[i]))
            announce_card(vm_service_find(a->vm, "nic", names[i]));
    if (--a->left <= 0) {
        g_ptr_array_remove_fast(under_way(a->vm), a);
        return;
    }
    a->timer = loop_after(a->loop, (unsigned)a->wait, announce, a);
    a->wait = MIN(a->wait + a->step, a->max);
}

bool net_announce(Vm *vm, const AnnounceParameters *p, GError **error)
{
    const struct { const char *name; int64_t value, max; } limits[] = {
        {"initial", p->initial, MS_MAX}, {"max", p->max, MS_MAX}, {"rounds", p->rounds, ROUNDS_MAX},
        {"step", p->step, MS_MAX},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++)
        if (limits[i].value < 0 || limits[i].value > limits[i].max)
            return error_set(error, "Parameter '%s' expects 0 to %d", limits[i].name, (int)limits[i].max);
    if (!p->rounds)
        return true;
    Announcement *a = g_new0(Announcement, 1);
    *a = (Announcement){.vm = vm, .loop = vm->loop, .wait = p->initial, .step = p->step, .max = p->max, .left = p->rounds};
    if (p->interfaces) {
        a->cards = g_new0(char *, p->interfaces->count + 1);
        for (size_t i = 0; i < p->interfaces->count; i++)
            a->cards[i] = g_strdup(p->interfaces->items[i]);
    }
    g_ptr_array_add(under_way(vm), a);
    announce(a);
    return true;
}
