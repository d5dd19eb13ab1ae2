/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qtest protocol, as QEMU's test harnesses speak it: a command a line, answered by "OK …" or
 * "FAIL …"; intercepted interrupt lines report "IRQ raise N" and "IRQ lower N" in between.
 */
#include "control/qtest.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "chardev/chardev.h"
#include "core/accel.h"
#include "util/error.h"

enum { MAX_TRANSFER = 64 << 20, MAX_LINES = 4096 };

typedef struct Qtest {
    Object object;
    CharFrontend fe;
    GString *line;              /* what has come of the next command */
    FILE *log;                  /* NULL: none */
    int64_t opened_us;
    Device *spy;                /* where intercepted lines lead */
} Qtest;

/* ---- answers and the log ---- */

static void note(Qtest *q, char direction, const char *text)
{
    if (!q->log)
        return;
    double seconds = (g_get_monotonic_time() - q->opened_us) / 1e6;
    fprintf(q->log, "[%c +%.6f] %s\n", direction, seconds, text);
    fflush(q->log);
}

static void say(Qtest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void say(Qtest *q, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    note(q, 'S', text);
    char_write_all(&q->fe, text, strlen(text));
    char_write_all(&q->fe, "\n", 1);
}

/* ---- interrupts ---- */

typedef struct Spy {
    Device dev;
    Qtest *qtest;
} Spy;

static void spied(Device *d, uint32_t n, bool level)
{
    if (((Spy *)d)->qtest)
        say(((Spy *)d)->qtest, "IRQ %s %u", level ? "raise" : "lower", n);
}

static const Field spy_fields[] = {HOST(Spy, qtest)};
static const DeviceType spy_type = {
    .name = "qtest-interrupts", .desc = "Intercepted interrupt lines", .size = sizeof(Spy),
    .no_domain = true, FIELDS(spy_fields), .pin = spied, .n_pins = MAX_LINES,
};
DEVICE_TYPE(spy_type);

static Pin spy_pin(Qtest *q, uint32_t n)
{
    if (!q->spy) {
        q->spy = device_make(q->object.vm, "qtest-interrupts");
        ((Spy *)q->spy)->qtest = q;
    }
    return device_pin(q->spy, n);
}

typedef struct Rewire {
    Qtest *qtest;
    Device *from, *to;          /* one is NULL: lines that leave `from`, or that lead to `to` */
    Device *here;
    unsigned next;
} Rewire;

static bool rewire_row(const Field *f, void *data)
{
    Rewire *r = data;
    for (unsigned i = 0; f->kind == FIELD_IRQ && i < f->size / sizeof(Irq); i++) {
        Irq *irq = (Irq *)((char *)r->here + f->offset) + i;
        if (r->from)
            irq->to = spy_pin(r->qtest, r->next++);
        else if (irq->to.dev == r->to)
            irq->to = spy_pin(r->qtest, irq->to.n);
    }
    return false;
}

static bool rewire(Object *o, void *data)
{
    Rewire *r = data;
    r->here = (Device *)o;
    if (object_is_a(o, "device") && r->here != r->qtest->spy && (!r->from || r->from == r->here))
        object_type_fields(o->type, rewire_row, r);
    return false;
}

/* By path, by the last part of one, or by a type that is there once. */
typedef struct Search {
    const char *type;
    Object *found;
} Search;

static bool of_type(Object *o, void *data)
{
    Search *s = data;
    if (object_is_a(o, "device") && !strcmp(o->type->name, s->type))
        s->found = o;
    return s->found;
}

static Device *find_device(Qtest *q, const char *path)
{
    Object *o = object_resolve(q->object.vm, path, "device", NULL);
    Search s = {path, o};
    if (!o)
        object_walk(&q->object.vm->root, of_type, &s);
    return s.found && object_is_a(s.found, "device") ? (Device *)s.found : NULL;
}

static void intercept(Qtest *q, char **a, bool outputs)
{
    Device *d = find_device(q, a[1]);
    if (!d) {
        say(q, "FAIL Unknown device");
        return;
    }
    Rewire r = {.qtest = q, .from = outputs ? d : NULL, .to = outputs ? NULL : d};
    object_walk(&q->object.vm->root, rewire, &r);
    say(q, "OK");
}

/* ---- commands ---- */

/* Words are already there in the number that the table demands; false: a number is wrong. */
typedef struct Call {
    Qtest *q;
    char **a;
    uint64_t n[4];              /* words as numbers, where they are */
    unsigned size;              /* from the name's last letter */
} Call;

static void in_port(Call *c)
{
    uint64_t v = 0;
    as_load(c->q->object.vm->io, c->n[1], c->size, &v);
    say(c->q, "OK 0x%04" PRIx64, v);
}

static void out_port(Call *c)
{
    as_store(c->q->object.vm->io, c->n[1], c->size, c->n[2]);
    say(c->q, "OK");
}

static void load(Call *c)
{
    uint64_t v = 0;
    as_load(c->q->object.vm->memory, c->n[1], c->size, &v);
    say(c->q, "OK 0x%016" PRIx64, v);
}

static void store(Call *c)
{
    as_store(c->q->object.vm->memory, c->n[1], c->size, c->n[2]);
    say(c->q, "OK");
}

static void *buffer(Call *c, uint64_t n)
{
    void *p = n && n <= MAX_TRANSFER ? g_malloc0(n) : NULL;
    if (!p)
        say(c->q, "FAIL %" PRIu64 " bytes are not possible", n);
    return p;
}

static void read_hex(Call *c)
{
    g_autofree uint8_t *data = buffer(c, c->n[2]);
    if (!data)
        return;
    as_read(c->q->object.vm->memory, c->n[1], data, c->n[2]);
    GString *text = g_string_new(NULL);
    for (uint64_t i = 0; i < c->n[2]; i++)
        g_string_append_printf(text, "%02x", data[i]);
    say(c->q, "OK 0x%s", text->str);
    g_string_free(text, TRUE);
}

/* As in QEMU, digits that are missing are zeros. */
static void write_hex(Call *c)
{
    g_autofree uint8_t *data = buffer(c, c->n[2]);
    if (!data)
        return;
    const char *digits = c->a[3] + 2;
    if (strncmp(c->a[3], "0x", 2)) {
        say(c->q, "FAIL data begin with 0x");
        return;
    }
    for (uint64_t i = 0; i < c->n[2] && digits[0] && digits[1]; i++, digits += 2)
        data[i] = g_ascii_xdigit_value(digits[0]) << 4 | g_ascii_xdigit_value(digits[1]);
    as_write(c->q->object.vm->memory, c->n[1], data, c->n[2]);
    say(c->q, "OK");
}

static void read_base64(Call *c)
{
    g_autofree uint8_t *data = buffer(c, c->n[2]);
    if (!data)
        return;
    as_read(c->q->object.vm->memory, c->n[1], data, c->n[2]);
    g_autofree char *text = g_base64_encode(data, c->n[2]);
    say(c->q, "OK %s", text);
}

static void write_base64(Call *c)
{
    gsize n = 0;
    g_autofree uint8_t *data = g_base64_decode(c->a[3], &n);
    as_write(c->q->object.vm->memory, c->n[1], data, MIN(n, c->n[2]));
    say(c->q, "OK");
}

static void fill(Call *c)
{
    g_autofree uint8_t *data = buffer(c, c->n[2]);
    if (!data)
        return;
    memset(data, c->n[3], c->n[2]);
    as_write(c->q->object.vm->memory, c->n[1], data, c->n[2]);
    say(c->q, "OK");
}

static void endianness(Call *c) { say(c->q, "OK little"); }
static void intercept_in(Call *c) { intercept(c->q, c->a, false); }
static void intercept_out(Call *c) { intercept(c->q, c->a, true); }

/* set_irq_in PATH NAME NUMBER LEVEL */
static void set_irq_in(Call *c)
{
    Device *d = find_device(c->q, c->a[1]);
    if (!d) {
        say(c->q, "FAIL Unknown device");
        return;
    }
    uint32_t n = strtoul(c->a[3], NULL, 0);
    bool level = strtoul(c->a[4], NULL, 0);
    Irq line = {.to = device_pin(d, n), .level = !level};
    irq_set(&line, level);
    say(c->q, "OK");
}

static bool own_clock(Call *c)
{
    Accel *a = c->q->object.vm->accel;
    bool own = a && object_is_a(&a->object, "qtest-accel");
    if (!own)
        say(c->q, "FAIL the clock is the machine's own without -accel qtest");
    return own;
}

static void clock_by(Call *c, int64_t ns)
{
    Vm *vm = c->q->object.vm;
    clock_step(vm, MAX(ns, 0));
    loop_run_posts(vm->loop);
    say(c->q, "OK %" PRIi64, clock_ns(vm, CLOCK_K_VIRTUAL));
}

static void clock_step_by(Call *c)
{
    Vm *vm = c->q->object.vm;
    if (!own_clock(c))
        return;
    int64_t now = clock_ns(vm, CLOCK_K_VIRTUAL), next = clock_deadline(vm, CLOCK_K_VIRTUAL);
    clock_by(c, c->a[1] ? (int64_t)c->n[1] : next == INT64_MAX ? 0 : next - now);
}

static void clock_set_to(Call *c)
{
    if (own_clock(c))
        clock_by(c, (int64_t)c->n[1] - clock_ns(c->q->object.vm, CLOCK_K_VIRTUAL));
}

static const struct {
    const char *name;           /* '*' stands for the letters of sizes */
    const char *letters;
    unsigned min, max;          /* words after the name */
    void (*run)(Call *c);
} commands[] = {
    {"in*", "bwl", 1, 1, in_port}, {"out*", "bwl", 2, 2, out_port},
    {"read*", "bwlq", 1, 1, load}, {"write*", "bwlq", 2, 2, store},
    {"read", "", 2, 2, read_hex}, {"write", "", 3, 3, write_hex},
    {"b64read", "", 2, 2, read_base64}, {"b64write", "", 3, 3, write_base64},
    {"memset", "", 3, 3, fill}, {"endianness", "", 0, 0, endianness},
    {"irq_intercept_in", "", 1, 1, intercept_in}, {"irq_intercept_out", "", 1, 1, intercept_out},
    {"set_irq_in", "", 4, 4, set_irq_in},
    {"clock_step", "", 0, 1, clock_step_by}, {"clock_set", "", 1, 1, clock_set_to},
};

/* The size that the name's last letter means; 0: another name; 1 for names without sizes. */
static unsigned match(unsigned i, const char *name)
{
    size_t n = strcspn(commands[i].name, "*");
    if (!*commands[i].letters)
        return !strcmp(name, commands[i].name);
    const char *letter = !strncmp(name, commands[i].name, n) && name[n] && !name[n + 1]
                             ? strchr(commands[i].letters, name[n]) : NULL;
    return letter ? 1u << (letter - commands[i].letters) : 0;
}

static void run_line(Qtest *q, const char *line)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_auto(GStrv) split = g_strsplit_set(line, " \t\r", -1);
    for (char **w = split; *w; w++)
        if (**w)
            g_ptr_array_add(words, *w);
    unsigned n = words->len;
    for (unsigned i = 0; i < 5; i++)
        g_ptr_array_add(words, NULL);
    note(q, 'R', line);
    if (!n)
        return;
    Call c = {.q = q, .a = (char **)words->pdata};
    for (unsigned i = 1; i < n && i < G_N_ELEMENTS(c.n); i++)
        c.n[i] = g_ascii_strtoull(c.a[i], NULL, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        c.size = match(i, c.a[0]);
        if (!c.size)
            continue;
        if (n - 1 < commands[i].min || n - 1 > commands[i].max)
            say(q, "FAIL %s: wrong number of arguments", c.a[0]);
        else
            commands[i].run(&c);
        return;
    }
    say(q, "FAIL Unknown command '%s'", c.a[0]);
}

/* ---- the stream ---- */

static unsigned room(void *opaque) { return 65536; }

static void feed(void *opaque, const uint8_t *buf, unsigned n)
{
    Qtest *q = opaque;
    g_string_append_len(q->line, (const char *)buf, n);
    for (char *end; (end = memchr(q->line->str, '\n', q->line->len));) {
        g_autofree char *line = g_strndup(q->line->str, end - q->line->str);
        g_string_erase(q->line, 0, end - q->line->str + 1);
        run_line(q, line);
    }
}

static void event(void *opaque, CharEvent event)
{
    Qtest *q = opaque;
    if (event == CHAR_EVENT_OPENED) {
        q->opened_us = g_get_monotonic_time();
        note(q, 'I', "OPENED");
    } else if (event == CHAR_EVENT_CLOSED) {
        g_string_truncate(q->line, 0);
        note(q, 'I', "CLOSED");
    }
}

static void removing(Object *o)
{
    Qtest *q = (Qtest *)o;
    char_detach(&q->fe);
    if (q->spy)
        ((Spy *)q->spy)->qtest = NULL;
    q->spy = NULL;
}

static void finish(Object *o)
{
    Qtest *q = (Qtest *)o;
    g_string_free(q->line, TRUE);
    if (q->log && q->log != stderr)
        fclose(q->log);
}

static void init(Object *o) { ((Qtest *)o)->line = g_string_new(NULL); }

static const ObjectType qtest_type = {
    .name = "qtest-on-chardev", .size = sizeof(Qtest), .init = init, .removing = removing, .finish = finish,
};
OBJECT_TYPE(qtest_type);

bool qtest_open(Vm *vm, const char *device, const char *log, GError **error)
{
    g_autoptr(GError) failed = NULL;
    Chardev *chr = chardev_from_legacy(vm, "qtest", device, NULL, &failed);
    if (failed) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return false;
    }
    Qtest *q = (Qtest *)object_new(vm, &qtest_type);
    object_add_child(vm->backends, "qtest", &q->object);
    q->log = !log ? stderr : strcmp(log, "none") ? fopen(log, "w") : NULL;
    if (log && strcmp(log, "none") && !q->log)
        return error_set_errno(error, errno, "-qtest-log %s", log);
    q->opened_us = g_get_monotonic_time();
    q->fe = (CharFrontend){.can_read = room, .read = feed, .event = event, .opaque = q};
    return char_attach(&q->fe, chr, error);
}
