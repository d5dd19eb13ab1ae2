/* SPDX-License-Identifier: Apache-2.0 */
/* query-command-line-options: the options' parameters, read off the syntax that help shows. */
#include <string.h>

#include "core/vm.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

static const struct {
    const char *name, *syntax;
} options[] = {
#define OPT(name, arg, action, help) {name, arg},
#define ABSENT(name, arg, why)
#include "control/cli/options.inc"
#undef ABSENT
#undef OPT
};

/* What follows "name=" in the syntax says the type. */
static CommandLineParameterType type_of(const char *value)
{
    value += strspn(value, "[<");
    if (g_str_has_prefix(value, "on|off"))
        return COMMAND_LINE_PARAMETER_TYPE_BOOLEAN;
    if (g_str_has_prefix(value, "size") || g_str_has_prefix(value, "megs"))
        return COMMAND_LINE_PARAMETER_TYPE_SIZE;
    bool letter = strchr("nmsdct", *value) && *value && strchr("],", value[1]);
    return letter ? COMMAND_LINE_PARAMETER_TYPE_NUMBER : COMMAND_LINE_PARAMETER_TYPE_STRING;
}

static CommandLineParameterInfo *parameter(const char *name, CommandLineParameterType type,
                                           const char *help)
{
    CommandLineParameterInfo *p = g_new0(CommandLineParameterInfo, 1);

    p->name = g_strdup(name);
    p->type = type;
    p->help = g_strdup(help);
    return p;
}

/* Names are words before '=' or "]=" or "[=". */
static void add_syntax(CommandLineParameterInfoList *list, const char *syntax)
{
    g_autoptr(GRegex) words = g_regex_new("(?:^|[\\[,])([a-z][a-z0-9_-]*)\\]?(?:\\[)?=", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    for (g_regex_match(words, syntax, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL)) {
        g_autofree char *name = g_match_info_fetch(match, 1);
        int end;
        g_match_info_fetch_pos(match, 0, NULL, &end);
        command_line_parameter_info_list_add(list, parameter(name, type_of(syntax + end), NULL));
    }
}

/* ---- -machine: all properties of all machines ---- */

typedef struct Union {
    GHashTable *seen;
    CommandLineParameterInfoList *list;
} Union;

static void add_property(const char *name, const char *type, const char *desc, const char *dflt,
                         void *data)
{
    Union *u = data;
    CommandLineParameterType kind =
        strcmp(type, "bool") == 0          ? COMMAND_LINE_PARAMETER_TYPE_BOOLEAN
        : strcmp(type, "size") == 0        ? COMMAND_LINE_PARAMETER_TYPE_SIZE
        : g_str_has_prefix(type, "uint") || g_str_has_prefix(type, "int")
                                           ? COMMAND_LINE_PARAMETER_TYPE_NUMBER
                                           : COMMAND_LINE_PARAMETER_TYPE_STRING;
    if (g_hash_table_add(u->seen, g_strdup(name)))
        command_line_parameter_info_list_add(u->list, parameter(name, kind, desc));
}

static void add_machine(const ObjectType *t, void *data)
{
    if (!t->abstract && object_type_is_a(t, "machine"))
        object_properties(t, NULL, add_property, data);
}

static void add_machines(CommandLineParameterInfoList *list)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Union u = {seen, list};

    add_property("type", "str", "emulated machine", NULL, &u);
    add_property("accel", "str", "accelerators, separated by colons", NULL, &u);
    add_property("kernel-irqchip", "str", "interrupt chips in the kernel: on, split, off (kvm)", NULL, &u);
    object_type_foreach(add_machine, &u);
}

/* ---- the command ---- */

static CommandLineParameterInfoList *parameters_of(unsigned i)
{
    CommandLineParameterInfoList *list = command_line_parameter_info_list_new();

    if (strcmp(options[i].name, "machine") == 0)
        add_machines(list);
    else
        add_syntax(list, options[i].syntax);
    return list;
}

/* Names under which QEMU's groups go where they are not the option's. */
static const char *group_name(const char *name)
{
    static const char *const names[][2] = {{"smp", "smp-opts"}, {"m", "memory"}, {"boot", "boot-opts"}};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(name, names[i][0]) == 0)
            return names[i][1];
    return name;
}

/* Options of a bare word have no parameters, nor have short forms. */
static bool has_parameters(unsigned i)
{
    static const char *const open[] = {"device", "object", "global", "netdev", NULL};

    return options[i].syntax && strcmp(options[i].name, "M") != 0 &&
           (strchr(options[i].syntax, '=') || g_strv_contains(open, options[i].name));
}

CommandLineOptionInfoList *qmp_query_command_line_options(Vm *vm, const char *option, GError **error)
{
    CommandLineOptionInfoList *list = command_line_option_info_list_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        const char *name = group_name(options[i].name);
        if (has_parameters(i) && (!option || strcmp(option, name) == 0))
            command_line_option_info_list_add(list,
                                              command_line_option_info_new(name, parameters_of(i)));
    }
    if (option && list->count == 0) {
        command_line_option_info_list_free(list);
        error_set(error, "Invalid option name '%s'", option);
        return NULL;
    }
    return list;
}
