/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and running human commands. */
#include <string.h>

#include "control/hmp/hmp-internal.h"
#include "control/session.h"
#include "util/error.h"
#include "util/suggest.h"

extern const HmpTable *const __start_myna_hmp[] __attribute__((weak));
extern const HmpTable *const __stop_myna_hmp[] __attribute__((weak));

void hmp_foreach(void (*each)(const HmpCommand *row, void *data), void *data)
{
    for (const HmpTable *const *t = __start_myna_hmp; t < __stop_myna_hmp; t++) {
        for (size_t i = 0; i < (*t)->count; i++) {
            const HmpCommand *row = &(*t)->rows[i];
            if (row->qmp == NULL || qapi_command_find(row->qmp) != NULL) {
                each(row, data);
            }
        }
    }
}

int64_t hmp_number(const Json *object, const char *name, int64_t otherwise)
{
    json_get_int(json_get(object, name), &otherwise);
    return otherwise;
}

const char *hmp_text(const Json *object, const char *name)
{
    const char *value = json_get_text(object, name);

    return value ? value : "";
}

void hmp_print(Hmp *hmp, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_string_append_vprintf(hmp->out, format, ap);
    va_end(ap);
}

bool hmp_is_named(const char *names, const char *name, size_t length)
{
    for (const char *p = names; p != NULL; p = strchr(p, '|')) {
        p += *p == '|';
        if (strcspn(p, "|") == length && strncmp(p, name, length) == 0) {
            return true;
        }
    }
    return false;
}

typedef struct Search {
    const char *name;
    size_t length;
    bool info;
    const HmpCommand *found;
} Search;

static void match(const HmpCommand *row, void *data)
{
    Search *s = data;
    bool info = strncmp(row->name, "info ", 5) == 0;

    if (info == s->info && hmp_is_named(row->name + (info ? 5 : 0), s->name, s->length)) {
        s->found = row;
    }
}

/* Where the word at `p` ends; a format (/4xb) is no part of it. */
static size_t word_length(const char *p)
{
    return strcspn(p, " \t\r\n/");
}

const HmpCommand *hmp_find(const char *line, const char **rest)
{
    const char *p = line + strspn(line, " \t");
    Search s = { .name = p, .length = word_length(p) };

    if (s.length == 4 && strncmp(p, "info", 4) == 0) {
        const char *item = p + 4 + strspn(p + 4, " \t");
        Search in = { .name = item, .length = word_length(item), .info = true };
        if (in.length > 0) {
            hmp_foreach(match, &in);
            *rest = item + in.length;
            return in.found;
        }
    }
    hmp_foreach(match, &s);
    *rest = p + s.length;
    return s.found;
}

Cpu *hmp_cpu(Hmp *hmp, GError **error)
{
    int64_t index = MAX(hmp->session->cpu_index, 0);

    Cpu *cpu = cpu_at(hmp->vm, index);

    if (!cpu) {
        error_set(error, "No CPU available");
    }
    return cpu;
}

/* Options of the command line are text; a command with typed arguments wants them typed. */
static Json *typed(const QapiCommand *command, const Json *args, GError **error)
{
    if ((command->flags & QAPI_RAW) || command->args == NULL) {
        return json_ref((Json *)args);
    }
    void *value = qapi_from_json(command->args, args, QAPI_KEYVAL, error);
    Json *result = value != NULL ? qapi_to_json(command->args, value) : NULL;
    qapi_free(command->args, value);
    return result;
}

static bool run_qmp(Hmp *hmp, const HmpCommand *row, const Json *args, GError **error)
{
    const QapiCommand *command = qapi_command_find(row->qmp);
    g_autoptr(Json) given = typed(command, args, error);
    if (given == NULL) {
        return false;
    }
    g_autoptr(Json) result = qapi_command_run(command, hmp->vm, hmp->session, given, error);
    if (result == NULL) {
        return false;
    }
    if (row->show != NULL) {
        row->show(hmp, result);
    } else if (command->returns != NULL) {
        hmp_print_value(hmp, result);
    }
    return true;
}

static void collect_name(const HmpCommand *row, void *data)
{
    g_ptr_array_add(data, (char *)row->name);
}

static void unknown(Hmp *hmp, const char *line)
{
    g_autofree char *name = g_strstrip(g_strdup(line));
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    hmp_foreach(collect_name, names);
    g_ptr_array_add(names, NULL);
    g_autofree char *nearest = suggest_nearest(name, (const char *const *)names->pdata);
    hmp_print(hmp, "unknown command: '%s'\n", name);
    if (nearest != NULL) {
        hmp_print(hmp, "did you mean %s?\n", nearest);
    }
}

static void run_line(Hmp *hmp, const char *line)
{
    g_autoptr(GError) error = NULL;
    const char *rest;

    line += strspn(line, " \t\r\n");
    if (*line == '\0' || *line == '#') {
        return;
    }
    const HmpCommand *row = hmp_find(line, &rest);
    if (row == NULL) {
        unknown(hmp, line);
        return;
    }
    g_autoptr(Json) args = hmp_read_args(hmp, row, rest, &error);
    if (args == NULL) {
        hmp_print(hmp, "%s\nTry \"help %.*s\" for more information\n", error->message,
                  (int)strcspn(row->name, "|"), row->name);
    } else if (!(row->qmp != NULL ? run_qmp(hmp, row, args, &error)
                                  : row->run(hmp, args, &error))) {
        hmp_print(hmp, "Error: %s\n", error->message);
    }
}

char *hmp_run(Vm *vm, QapiSession *session, const char *line)
{
    QapiSession nobody = { .cpu_index = -1 };
    Hmp hmp = { vm, session != NULL ? session : &nobody, g_string_new(NULL) };

    run_line(&hmp, line);
    g_auto(GStrv) lines = g_strsplit(hmp.out->str, "\n", -1);
    g_string_free(hmp.out, TRUE);
    return g_strjoinv("\r\n", lines);
}

typedef struct Completion {
    const char *word;
    bool info;
    GPtrArray *found;
} Completion;

static void complete_row(const HmpCommand *row, void *data)
{
    Completion *c = data;
    bool info = strncmp(row->name, "info ", 5) == 0;

    if (info != c->info) {
        return;
    }
    g_auto(GStrv) names = g_strsplit(row->name + (info ? 5 : 0), "|", -1);
    for (char **name = names; *name != NULL; name++) {
        if (g_str_has_prefix(*name, c->word)) {
            g_ptr_array_add(c->found, g_strdup(*name));
        }
    }
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *hmp_complete(const char *line)
{
    Completion c = { .word = line + strspn(line, " \t"),
                     .found = g_ptr_array_new_with_free_func(g_free) };
    const char *blank = strpbrk(c.word, " \t");

    if (blank != NULL) {
        size_t length = blank - c.word;
        c.info = length == 4 && strncmp(c.word, "info", 4) == 0;
        bool help = (length == 4 && strncmp(c.word, "help", 4) == 0) ||
                    (length == 1 && *c.word == '?');
        c.word = blank + strspn(blank, " \t");
        if ((!c.info && !help) || strpbrk(c.word, " \t") != NULL) {
            return c.found;
        }
    }
    hmp_foreach(complete_row, &c);
    g_ptr_array_sort(c.found, by_name);
    return c.found;
}
