/* SPDX-License-Identifier: Apache-2.0 */
/* -rtc and -icount: where the guest's clocks begin and what they follow. */
#include <string.h>

#include "control/cli/config.h"
#include "qapi/keyval.h"
#include "util/error.h"
#include "util/suggest.h"

bool config_check_keys(const Json *o, const char *const *known, GError **error)
{
    for (size_t i = 0; i < json_length(o); i++)
        if (!g_strv_contains(known, json_key_at(o, i))) {
            error_set(error, "invalid parameter '%s'", json_key_at(o, i));
            suggest_append(error, json_key_at(o, i), known);
            return false;
        }
    return true;
}

/* ---- -rtc ---- */

/* "utc", "localtime", "2006-06-16", "2006-06-16T16:01:21" to seconds. */
static bool read_base(const char *text, int64_t *seconds, GError **error)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    *seconds = g_date_time_to_unix(now);
    if (!text || !strcmp(text, "utc"))
        return true;
    if (!strcmp(text, "localtime")) {
        *seconds += g_date_time_get_utc_offset(now) / G_TIME_SPAN_SECOND;
        return true;
    }
    g_autofree char *full = strchr(text, 'T') ? g_strdup(text) : g_strconcat(text, "T00:00:00", NULL);
    g_autoptr(GDateTime) given = g_date_time_new_from_iso8601(full, utc);
    if (!given)
        return error_set(error, "invalid datetime format '%s': expected utc, localtime, "
                         "2006-06-17T16:01:21 or 2006-06-17", text);
    *seconds = g_date_time_to_unix(given);
    return true;
}

bool config_rtc(Vm *vm, const char *text, GError **error)
{
    static const char *const known[] = {"base", "clock", "driftfix", NULL};
    static const struct { const char *name; ClockKind kind; } clocks[] = {
        {"host", CLOCK_K_HOST}, {"rt", CLOCK_K_REALTIME}, {"vm", CLOCK_K_VIRTUAL},
    };
    g_autoptr(Json) o = keyval_parse(text, NULL, KEYVAL_PLAIN, error);
    int64_t base;
    unsigned k = 0;
    if (!o || !config_check_keys(o, known, error) ||
        !read_base(json_get_text(o, "base"), &base, error))
        return false;
    const char *clock = json_get_text(o, "clock"), *fix = json_get_text(o, "driftfix");
    while (clock && k < G_N_ELEMENTS(clocks) && strcmp(clocks[k].name, clock))
        k++;
    if (k == G_N_ELEMENTS(clocks))
        return error_set(error, "invalid clock '%s': expected host, rt or vm", clock);
    if (fix && strcmp(fix, "none") && strcmp(fix, "slew"))
        return error_set(error, "invalid driftfix '%s': expected none or slew", fix);
    if (fix && !strcmp(fix, "slew"))
        g_printerr("%s: warning: -rtc driftfix=slew: ticks that the guest misses are not repeated\n",
                   vm->argv0);
    clock_set_rtc(vm, clocks[k].kind, base);
    return true;
}

/* ---- -icount ---- */

static bool is_on(const Json *o, const char *key) { return !g_strcmp0(json_get_text(o, key), "on"); }

char *config_icount(const char *text, GError **error)
{
    static const char *const known[] = {"shift", "align", "sleep", "rr", "rrfile", "rrsnapshot", NULL};
    g_autoptr(Json) o = keyval_parse(text, "shift", KEYVAL_PLAIN, error);
    if (!o || !config_check_keys(o, known, error))
        return NULL;
    const char *shift = json_get_text(o, "shift");
    const char *wrong = json_get(o, "rr") || json_get(o, "rrfile") || json_get(o, "rrsnapshot")
                            ? "rr: record and replay is not implemented"
                        : is_on(o, "align") ? "align=on is not implemented"
                        : is_on(o, "sleep") ? "sleep=on is not implemented: idle time is skipped"
                        : !shift            ? "shift=N is missing"
                        : !strcmp(shift, "auto") ? "shift=auto is not implemented; give a number"
                                                 : NULL;
    if (wrong) {
        error_set(error, "%s", wrong);
        return NULL;
    }
    return g_strdup(shift);
}
