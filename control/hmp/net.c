/* SPDX-License-Identifier: Apache-2.0 */
/* The human monitor's commands and items about networks and who looks at the screen. */
#include <string.h>

#include "control/hmp.h"
#include "net/net.h"
#include "net/user.h"
#include "util/error.h"

/* "[netdev_id] rule". */
static const char *rule_of(const Json *args, const char **id)
{
    const char *first = json_get_text(args, "first"), *second = json_get_text(args, "second");

    *id = second ? first : NULL;
    return second ? second : first;
}

static bool run_hostfwd_add(Hmp *hmp, const Json *args, GError **error)
{
    const char *id, *rule = rule_of(args, &id);

    return net_user_forward(hmp->vm, id, rule, error);
}

static bool run_hostfwd_remove(Hmp *hmp, const Json *args, GError **error)
{
    const char *id, *rule = rule_of(args, &id);
    g_autoptr(GError) failed = NULL;

    if (net_user_unforward(hmp->vm, id, rule, &failed)) {
        hmp_print(hmp, "host forwarding rule for %s removed\n", rule);
    } else if (g_error_matches(failed, MYNA_ERROR, MYNA_ERROR_DEVICE_NOT_FOUND)) {
        hmp_print(hmp, "%s\n", failed->message);
    } else {
        g_propagate_error(error, g_steal_pointer(&failed));
        return false;
    }
    return true;
}

static bool run_usernet(Hmp *hmp, const Json *args, GError **error)
{
    g_autofree char *text = net_user_connections(hmp->vm);

    hmp_print(hmp, "%s", text);
    return true;
}

/* As often as the defaults of migration say. */
static bool run_announce(Hmp *hmp, const Json *args, GError **error)
{
    const char *cards = json_get_text(args, "interfaces");
    AnnounceParameters p = {.initial = 50, .max = 550, .rounds = 5, .step = 100};
    g_autoptr(StrList) list = cards ? str_list_new() : NULL;
    g_auto(GStrv) names = g_strsplit(cards ? cards : "", ",", -1);

    for (char **name = names; cards && *name; name++) {
        str_list_add(list, g_strdup(*name));
    }
    p.interfaces = list;
    return net_announce(hmp->vm, &p, error);
}

/* ---- VNC ---- */

static void show_auth(Hmp *hmp, const Json *o, const char *indent)
{
    hmp_print(hmp, "%sAuth: %s (Sub: %s)\n", indent, hmp_text(o, "auth"),
              json_get(o, "vencrypt") ? hmp_text(o, "vencrypt") : "none");
}

static void show_end(Hmp *hmp, const Json *o, const char *what)
{
    bool websocket = false;

    json_get_bool(json_get(o, "websocket"), &websocket);
    hmp_print(hmp, "  %s: %s:%s (%s%s)\n", what, hmp_text(o, "host"), hmp_text(o, "service"), hmp_text(o, "family"),
              websocket ? " (Websocket)" : "");
}

static void show_vnc(Hmp *hmp, const Json *list)
{
    if (json_length(list) == 0) {
        hmp_print(hmp, "None\n");
    }
    for (size_t i = 0; i < json_length(list); i++) {
        const Json *v = json_at(list, i), *servers = json_get(v, "server"), *clients = json_get(v, "clients");
        hmp_print(hmp, "%s:\n", hmp_text(v, "id"));
        for (size_t k = 0; k < json_length(servers); k++) {
            show_end(hmp, json_at(servers, k), "Server");
            show_auth(hmp, json_at(servers, k), "    ");
        }
        for (size_t k = 0; k < json_length(clients); k++) {
            const Json *c = json_at(clients, k);
            show_end(hmp, c, "Client");
            hmp_print(hmp, "    x509_dname: %s\n    sasl_username: %s\n",
                      json_get(c, "x509_dname") ? hmp_text(c, "x509_dname") : "none",
                      json_get(c, "sasl_username") ? hmp_text(c, "sasl_username") : "none");
        }
        if (json_length(servers) == 0) {
            show_auth(hmp, v, "  ");
        }
        if (json_get(v, "display")) {
            hmp_print(hmp, "  Display: %s\n", hmp_text(v, "display"));
        }
    }
}

static const HmpCommand commands[] = {
    { "hostfwd_add", "first:s second:s?",
      "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
      "redirect TCP or UDP connections from host to guest (requires -net user)", .run = run_hostfwd_add },
    { "hostfwd_remove", "first:s second:s?", "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
      "remove host-to-guest TCP or UDP redirection", .run = run_hostfwd_remove },
    { "set_password", "protocol:s password:s connected:s?", "protocol password [action-if-connected]",
      "set spice/vnc password", .qmp = "set_password" },
    { "expire_password", "protocol:s time:s", "protocol time", "set spice/vnc password expire-time",
      .qmp = "expire_password" },
    { "announce_self", "interfaces:s? id:s?", "[interfaces] [id]", "Trigger GARP/RARP announcements",
      .run = run_announce },
    { "info usernet", "", "", "show user network stack connection states", .run = run_usernet },
    { "info vnc", "", "", "show the vnc server status", .qmp = "query-vnc-servers", .show = show_vnc },
};
HMP_COMMANDS(commands);
