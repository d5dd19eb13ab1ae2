/* SPDX-License-Identifier: Apache-2.0 */
/* The human monitor: commands are rows of tables; most of them name the QMP command they stand for.
 *
 * Any folder of control/ adds commands by a table of its own:
 *
 *     static const HmpCommand commands[] = {
 *         { "stop|s", "", "", "stop emulation", .qmp = "stop" },
 *         { "memsave", "val:l size:z filename:s", "addr size file", "save memory", .qmp = "memsave" },
 *     };
 *     HMP_COMMANDS(commands);
 *
 * All runs on the control thread. */
#ifndef CONTROL_HMP_H
#define CONTROL_HMP_H

#include "core/vm.h"
#include "qapi/command.h"

/* A line being executed. */
typedef struct Hmp {
    Vm *vm;
    QapiSession *session; /* never NULL */
    GString *out;         /* lines end with "\n" */
} Hmp;

typedef struct HmpCommand {
    /* As typed, with synonyms: "cont|c". Names that begin with "info " are items of info. */
    const char *name;
    /* The arguments, in order: NAME:TYPE, followed by ? if it may be missing. Types:
     * s a word or "quoted text"     S the rest of the line     b on or off
     * l an integer expression       i one of 32 bits           z a size in bytes
     * o a size in MiB, or with a suffix                        O key=value,… (implied key: NAME)
     * / a format like /4xb: members count, format, size        -x a flag, true if given */
    const char *args;
    const char *params; /* the arguments as help shows them */
    const char *help;
    /* The QMP command to run; the arguments have its names. */
    const char *qmp;
    /* Prints its result; NULL: as hmp_print_value() does. */
    void (*show)(Hmp *hmp, const Json *result);
    /* Instead of qmp: does the work. */
    bool (*run)(Hmp *hmp, const Json *args, GError **error);
} HmpCommand;

typedef struct HmpTable {
    const HmpCommand *rows;
    size_t count;
} HmpTable;

#define HMP_COMMANDS(table)                                                                       \
    static const HmpTable table##_hmp = { table, G_N_ELEMENTS(table) };                           \
    static const HmpTable *const table##_hmp_entry                                                \
        __attribute__((used, retain, section("myna_hmp"))) = &table##_hmp

void hmp_print(Hmp *hmp, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Any JSON value as indented "name: value" lines; scalars alone on a line, {} as nothing. */
void hmp_print_value(Hmp *hmp, const Json *value);

/* A member of an object: `otherwise`, or "", if it is not there. */
int64_t hmp_number(const Json *object, const char *name, int64_t otherwise);
const char *hmp_text(const Json *object, const char *name);

/* Runs one line and returns what it prints, with lines ending in "\r\n". */
char *hmp_run(Vm *vm, QapiSession *session, const char *line);
/* The CPU that commands look at; NULL and error if there is none. */
Cpu *hmp_cpu(Hmp *hmp, GError **error);

/* The words that may stand at the end of `line` instead of its last one; the caller frees. */
GPtrArray *hmp_complete(const char *line);
/* Calls `each` for all rows, table by table, but for those whose QMP command does not exist. */
void hmp_foreach(void (*each)(const HmpCommand *row, void *data), void *data);

#endif
