/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging (-d items, -D file) and tracing. The one place with process-wide mutable state.
 * A trace stands where it happens: trace(alarm, "in %u ticks", ticks). Its point is named
 * <file>_<name> (pl031_alarm), found through a linker section, enabled by pattern
 * (-trace 'pl031_*', -d trace:…, trace-event-set-state), and costs one predicted branch when off.
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef enum LogItem {
    LOG_IN_ASM, LOG_OP, LOG_OP_OPT, LOG_OUT_ASM, LOG_INT, LOG_EXEC, LOG_CPU, LOG_FPU, LOG_MMU,
    LOG_PCALL, LOG_CPU_RESET, LOG_UNIMP, LOG_GUEST_ERRORS, LOG_PAGE, LOG_NOCHAIN, LOG_PLUGIN,
    LOG_STRACE, LOG_TID, LOG_VPU, LOG_INVALID_MEM,
    LOG_ITEMS,
} LogItem;

extern uint32_t log_mask;
static inline bool log_on(LogItem item) { return G_UNLIKELY(__atomic_load_n(&log_mask, __ATOMIC_RELAXED) & (1u << item)); }
/* Writes to the log (stderr or -D), whole lines at a time. Any thread. */
void log_write(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* -d "int,exec,trace:foo*"; false with an error naming the nearest item. */
bool log_set_items(const char *items, GError **error);
bool log_set_file(const char *path, GError **error);
/* -dfilter "0x1000+0x100,0x8000..0x8fff,0x9000-0x10": in_asm, op, out_asm, exec and cpu then speak of
 * guest code there alone. "" : of all. Before anything logs. */
bool log_set_ranges(const char *ranges, GError **error);
bool log_in_range(uint64_t address);
char *log_help(void);

typedef struct TracePoint {
    const char *file, *name;
    bool on;
} TracePoint;

/* The section holds pointers: the compiler may align structs further apart than their size. */
#define trace(ident, fmt, ...)                                                                      \
    do {                                                                                            \
        static TracePoint ident##_point = {.file = __FILE_NAME__, .name = #ident};                  \
        static TracePoint *const ident##_entry                                                      \
            __attribute__((used, retain, section("myna_traces"))) = &ident##_point;                 \
        if (G_UNLIKELY(__atomic_load_n(&ident##_point.on, __ATOMIC_RELAXED)))                                                          \
            trace_write(&ident##_point, fmt, ##__VA_ARGS__);                                        \
    } while (0)
void trace_write(const TracePoint *point, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Enables or disables by glob pattern; returns how many matched. */
unsigned trace_set(const char *pattern, bool on);
void trace_foreach(void (*fn)(const TracePoint *point, const char *full_name, void *data), void *data);

#endif
