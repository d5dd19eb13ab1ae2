/* SPDX-License-Identifier: Apache-2.0 */
/* The command line's ways to name a network: -netdev and -nic. */
#include <string.h>
#include "core/absent.h"
#include "net/internal.h"
#include "qapi/keyval.h"
#include "qapi/type.h"
#include "util/suggest.h"

/* Options that may be repeated; each value is an object with one member. */
static const char *const lists[] = {"hostfwd", "guestfwd", "dnssearch", "search", "tcp-ports", "udp-ports",
                                    "param", NULL};
/* Those of a -nic that belong to its card. */
static const char *const card_options[] = {"model", "mac", "addr", "vectors", "netdev", NULL};

static Json *wrap_text(Json *v)
{
    Json *o = json_object();
    json_set(o, "str", json_ref(v));
    return o;
}

static void fold_lists(Json *o)
{
    for (const char *const *k = lists; *k; k++) {
        Json *v = json_get(o, *k), *list = v ? json_array() : NULL;
        if (!v)
            continue;
        if (json_type(v) == JSON_ARRAY)
            for (size_t i = 0; i < json_length(v); i++)
                json_append(list, wrap_text(json_at(v, i)));
        else
            json_append(list, wrap_text(v));
        json_set(o, *k, list);
    }
}

/* "search.0.str=a" */
static bool has_list(const Json *o)
{
    bool found = false;
    for (const char *const *k = lists; *k; k++)
        found |= json_get(o, *k) && json_type(json_get(o, *k)) == JSON_ARRAY;
    return found;
}

/* Addresses are written with dots (addr.type=inet); forwards with repeated keys, or with dots. */
static Json *parse(const char *text, bool *is_json, GError **error)
{
    g_autoptr(Json) o = keyval_or_json(text, "type", KEYVAL_PLAIN, is_json, error);
    if (!o || *is_json || json_get(o, "addr") || json_get(o, "local") || json_get(o, "remote") ||
        has_list(o))
        return g_steal_pointer(&o);
    Json *legacy = keyval_parse(text, "type", KEYVAL_LEGACY, error);
    if (legacy)
        fold_lists(legacy);
    return legacy;
}

static Netdev *make(Vm *vm, const Json *o, bool is_json, GError **error)
{
    const char *type = json_get_text(o, "type");
    NetClientDriver kind;
    if (!json_get_text(o, "id")) {
        error_set(error, "Parameter 'id' is missing");
        return NULL;
    }
    if (!type || !net_client_driver_parse(type, &kind)) {
        if (type && absent_error(error, ABSENT_NETDEV, type))
            return NULL;
        error_set(error, type ? "Parameter 'type' does not accept value '%s'"
                              : "Parameter 'type' is missing%s", type ? type : "");
        if (type)
            suggest_append(error, type, net_client_driver_type.values);
        return NULL;
    }
    g_autoptr(NetdevOptions) options =
        qapi_from_json(&netdev_options_type, o, is_json ? QAPI_STRICT : QAPI_KEYVAL, error);
    return options ? netdev_new(vm, options, error) : NULL;
}

Netdev *netdev_add_option(Vm *vm, const char *text, GError **error)
{
    bool is_json;
    g_autoptr(Json) o = parse(text, &is_json, error);
    Netdev *n = o ? make(vm, o, is_json, error) : NULL;
    if (!n)
        g_prefix_error(error, "-netdev %s: ", text);
    return n;
}

/* "#net000" and so on, which no user can type. */
static char *inner_id(Vm *vm)
{
    for (unsigned i = 0;; i++) {
        char *id = g_strdup_printf("#net%03u", i);
        if (!netdev_find(vm, id))
            return id;
        g_free(id);
    }
}

static Json *take_card(Json *o)
{
    Json *card = json_object();
    for (const char *const *k = card_options; *k; k++) {
        if (!json_get(o, *k))
            continue;
        json_set(card, !strcmp(*k, "model") ? "driver" : *k, json_ref(json_get(o, *k)));
        json_remove(o, *k);
    }
    return card;
}

/* What follows the type after a comma, whether the user named it or not. */
static bool make_nic(Vm *vm, Json *o, Json *card, bool is_json, GError **error)
{
    g_autofree char *id = g_strdup(json_get_text(o, "id"));
    if (id)
        json_set_text(card, "id", id);
    g_autofree char *net = inner_id(vm);
    json_set_text(o, "id", net);
    json_set_text(card, "netdev", net);
    return make(vm, o, is_json, error);
}

Json *nic_add_option(Vm *vm, const char *text, GError **error)
{
    bool is_json;
    g_autoptr(Json) o = parse(text, &is_json, error);
    if (!o)
        return NULL;
    g_autoptr(Json) card = take_card(o);
    const char *type = json_get_text(o, "type");
    if (!g_strcmp0(type, "none"))
        return NULL;
    if (!type && json_get(card, "netdev"))
        return g_steal_pointer(&card);
    if (make_nic(vm, o, card, is_json, error))
        return g_steal_pointer(&card);
    g_prefix_error(error, "-nic %s: ", text);
    return NULL;
}
