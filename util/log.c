/* SPDX-License-Identifier: Apache-2.0 */
/* Log items and trace points: the one place with process-wide mutable state. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/error.h"
#include "util/log.h"
#include "util/suggest.h"

uint32_t log_mask;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *log_file;
static GArray *log_ranges;      /* of Range; NULL: everything */

typedef struct Range {
    uint64_t first, last;
} Range;

static const struct LogName {
    const char *name, *help;
    const char *absent;         /* why there is nothing to log */
} items[LOG_ITEMS] = {
    [LOG_IN_ASM] = {"in_asm", "guest instructions of each translated unit"},
    [LOG_OP] = {"op", "intermediate code of each unit"},
    [LOG_OP_OPT] = {"op_opt", "intermediate code after optimisation"},
    [LOG_OUT_ASM] = {"out_asm", "generated host instructions"},
    [LOG_INT] = {"int", "interrupts and exceptions"},
    [LOG_EXEC] = {"exec", "each unit that is entered"},
    [LOG_CPU] = {"cpu", "CPU registers before each unit"},
    [LOG_FPU] = {"fpu", "floating-point registers with 'cpu'"},
    [LOG_MMU] = {"mmu", "address translations and their faults"},
    [LOG_PCALL] = {"pcall", "protected-mode far calls, returns and exceptions (x86)"},
    [LOG_CPU_RESET] = {"cpu_reset", "CPU state before each reset"},
    [LOG_UNIMP] = {"unimp", "functions of devices that are not implemented"},
    [LOG_GUEST_ERRORS] = {"guest_errors", "what the guest does wrong, such as bad registers"},
    [LOG_PAGE] = {"page", "pages of user programs", "there are no user programs, only machines"},
    [LOG_NOCHAIN] = {"nochain", "do not link units, so that 'exec' shows each one"},
    [LOG_PLUGIN] = {"plugin", "output of plugins", "there are no plugins"},
    [LOG_STRACE] = {"strace", "system calls of user programs", "there are no user programs, only machines"},
    [LOG_TID] = {"tid", "the thread's number in front of each line"},
    [LOG_VPU] = {"vpu", "vector registers with 'cpu'"},
    [LOG_INVALID_MEM] = {"invalid_mem", "accesses to physical addresses where nothing is"},
};

/* What another translator would show. */
static const struct LogName elsewhere[] = {
    {"op_ind", NULL, "the intermediate code has no indirect form; 'op' and 'op_opt' show what there is"},
    {"op_plugin", NULL, "there are no plugins"},
};

/* The section is empty in a program without trace points. */
extern TracePoint *const __start_myna_traces[] __attribute__((weak));
extern TracePoint *const __stop_myna_traces[] __attribute__((weak));

static void put_line(GString *line)
{
    if (line->len == 0 || line->str[line->len - 1] != '\n') {
        g_string_append_c(line, '\n');
    }
    pthread_mutex_lock(&lock);
    FILE *f = log_file ? log_file : stderr;
    fwrite(line->str, 1, line->len, f);
    fflush(f);
    pthread_mutex_unlock(&lock);
}

static GString *new_line(void)
{
    GString *line = g_string_new(NULL);

    if (log_on(LOG_TID)) {
        g_string_append_printf(line, "[%d] ", (int)gettid());
    }
    return line;
}

void log_write(const char *fmt, ...)
{
    GString *line = new_line();
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(line, fmt, ap);
    va_end(ap);
    put_line(line);
    g_string_free(line, TRUE);
}

static bool set_item(const char *name, uint32_t *mask, GError **error)
{
    const char *names[LOG_ITEMS + 4];
    unsigned n = 0;

    if (strcmp(name, "all") == 0) {
        *mask |= (1u << LOG_ITEMS) - 1;
        *mask &= ~(1u << LOG_NOCHAIN);
        return true;
    }
    if (strcmp(name, "none") == 0) {
        *mask = 0;
        return true;
    }
    for (unsigned i = 0; i < LOG_ITEMS; i++) {
        if (strcmp(name, items[i].name) == 0) {
            if (items[i].absent) {
                return error_set(error, "log item '%s': %s", name, items[i].absent);
            }
            *mask |= 1u << i;
            return true;
        }
        names[n++] = items[i].name;
    }
    for (unsigned i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        if (strcmp(name, elsewhere[i].name) == 0) {
            return error_set(error, "log item '%s': %s", name, elsewhere[i].absent);
        }
    }
    names[n++] = "all";
    names[n++] = "none";
    names[n++] = "trace:PATTERN";
    names[n] = NULL;
    error_set(error, "'%s' is not a log item", name);
    suggest_append(error, name, names);
    return false;
}

bool log_set_items(const char *text, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    uint32_t mask = 0;

    for (char **w = words; *w; w++) {
        if (g_str_has_prefix(*w, "trace:")) {
            trace_set(*w + strlen("trace:"), true);
        } else if (**w && !set_item(*w, &mask, error)) {
            return false;
        }
    }
    __atomic_store_n(&log_mask, mask, __ATOMIC_RELAXED);
    return true;
}

bool log_set_file(const char *path, GError **error)
{
    FILE *f = NULL;

    if (path) {
        g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
        g_auto(GStrv) parts = g_strsplit(path, "%d", -1);
        g_autofree char *name = g_strjoinv(pid, parts);
        f = fopen(name, "w");
        if (!f) {
            return error_set_errno(error, errno, "cannot open log file '%s'", name);
        }
    }
    pthread_mutex_lock(&lock);
    if (log_file) {
        fclose(log_file);
    }
    log_file = f;
    pthread_mutex_unlock(&lock);
    return true;
}

/* FIRST+LENGTH, END-LENGTH or FIRST..LAST. */
static bool parse_range(const char *text, Range *r)
{
    const char *at;
    uint64_t a, b;

    if (!*text || *text == '-' || *text == '+') {
        return false;
    }
    a = g_ascii_strtoull(text, (char **)&at, 0);
    bool two_dots = g_str_has_prefix(at, "..");
    char how = *at;
    at += two_dots ? 2 : how != 0;
    if (!g_ascii_isdigit(*at)) {
        return false;
    }
    b = g_ascii_strtoull(at, (char **)&at, 0);
    if (*at) {
        return false;
    }
    if (two_dots) {
        *r = (Range){a, b};
        return a <= b;
    }
    if (how == '+') {
        *r = (Range){a, a + b - 1};
        return b && a + b - 1 >= a;
    }
    *r = (Range){a - b + 1, a};
    return how == '-' && b && b - 1 <= a;
}

bool log_set_ranges(const char *text, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(Range));

    for (char **w = words; *w; w++) {
        Range r;
        if (!parse_range(*w, &r)) {
            return error_set(error, "'%s' is not a range of addresses: FIRST..LAST, FIRST+LENGTH or"
                             " LAST-LENGTH, as in 0x1000..0x1fff,0x8000+0x100", *w);
        }
        g_array_append_val(ranges, r);
    }
    g_clear_pointer(&log_ranges, g_array_unref);
    log_ranges = ranges->len ? g_steal_pointer(&ranges) : NULL;
    return true;
}

bool log_in_range(uint64_t address)
{
    for (unsigned i = 0; log_ranges && i < log_ranges->len; i++) {
        const Range *r = &g_array_index(log_ranges, Range, i);
        if (address >= r->first && address <= r->last) {
            return true;
        }
    }
    return !log_ranges;
}

char *log_help(void)
{
    GString *out = g_string_new("Log items (comma separated):\n");

    for (unsigned i = 0; i < LOG_ITEMS; i++) {
        if (!items[i].absent) {
            g_string_append_printf(out, "%-15s %s\n", items[i].name, items[i].help);
        }
    }
    g_string_append_printf(out, "%-15s %s\n", "trace:PATTERN", "trace points by name, with * and ?");
    return g_string_free(out, FALSE);
}

/* "pl031.c" and "alarm" make "pl031_alarm". */
static char *full_name(const TracePoint *p)
{
    const char *dot = strrchr(p->file, '.');
    int n = dot ? (int)(dot - p->file) : (int)strlen(p->file);
    char *name = g_strdup_printf("%.*s_%s", n, p->file, p->name);

    return g_strdelimit(name, "-", '_');
}

void trace_write(const TracePoint *point, const char *fmt, ...)
{
    g_autofree char *name = full_name(point);
    GString *line = new_line();
    int64_t now = g_get_real_time();
    va_list ap;

    g_string_append_printf(line, "%" PRId64 ".%06d:%s ", now / G_USEC_PER_SEC,
                           (int)(now % G_USEC_PER_SEC), name);
    va_start(ap, fmt);
    g_string_append_vprintf(line, fmt, ap);
    va_end(ap);
    put_line(line);
    g_string_free(line, TRUE);
}

unsigned trace_set(const char *pattern, bool on)
{
    unsigned n = 0;

    for (TracePoint *const *p = __start_myna_traces; p < __stop_myna_traces; p++) {
        g_autofree char *name = full_name(*p);
        if (g_pattern_match_simple(pattern, name)) {
            __atomic_store_n(&(*p)->on, on, __ATOMIC_RELAXED);
            n++;
        }
    }
    return n;
}

void trace_foreach(void (*fn)(const TracePoint *point, const char *name, void *data), void *data)
{
    for (TracePoint *const *p = __start_myna_traces; p < __stop_myna_traces; p++) {
        g_autofree char *name = full_name(*p);
        fn(*p, name, data);
    }
}
