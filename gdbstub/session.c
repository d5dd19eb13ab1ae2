/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One debugger's session: packets to run control, registers, memory and breakpoints.
 *
 * Breakpoints and watchpoints stand in all CPUs. While the machine runs only an interrupt (Ctrl-C)
 * is acted on; other packets wait for nothing and work on the running machine as far as they can.
 */
#include <string.h>
#include "gdbstub/internal.h"
#include "util/error.h"

/* Signals as gdb numbers them. */
enum { SIG_NONE = 0, SIG_INT = 2, SIG_QUIT = 3, SIG_TRAP = 5, SIG_ABRT = 6, SIG_ALRM = 14, SIG_IO = 23,
       SIG_UNKNOWN = 143 };
enum { ANY = 0, ALL = -1 };                     /* thread numbers */
enum { WATCH_MAX = 4096 };

struct GdbSession {
    Vm *vm;
    GdbCommand *command;
    GdbSend *send;
    void *opaque;
    GdbFramer framer;
    GString *reply;             /* being made */
    GString *last;              /* the frame sent last, for a NAK */
    unsigned g, c;              /* CPU that registers and memory mean; that c and s mean, 0: any */
    unsigned listed;            /* qsThreadInfo goes on here */
    bool attached, multiprocess, physical;
    bool waiting;               /* a stop reply is owed */
    unsigned listeners[2];
    char *xml;
};

/* ---- answers ---- */

static void transmit(GdbSession *s)
{
    g_string_truncate(s->last, 0);
    gdb_frame(s->last, s->reply->str, s->reply->len);
    s->send(s->opaque, s->last->str, s->last->len);
}

static void say(GdbSession *s, const char *text)
{
    g_string_assign(s->reply, text);
    transmit(s);
}

static void ok(GdbSession *s) { say(s, "OK"); }
static void fail(GdbSession *s, unsigned number)
{
    g_string_printf(s->reply, "E%02x", number);
    transmit(s);
}

enum { E_ARGUMENT = 22, E_MEMORY = 14 };

/* ---- threads: number i + 1 is CPU i ---- */


static Cpu *current(GdbSession *s)
{
    Cpu *cpu = cpu_at(s->vm, s->g);
    for (unsigned i = 0; !cpu && i < s->vm->n_cpus; i++)
        cpu = s->vm->cpus[i];
    return cpu;
}

static void add_thread(GdbSession *s, unsigned index)
{
    g_string_append_printf(s->reply, s->multiprocess ? "p01.%02x" : "%02x", index + 1);
}

static bool one_number(const char **p, int64_t *number)
{
    uint64_t v;
    if (g_str_has_prefix(*p, "-1")) {
        *p += 2;
        *number = ALL;
        return true;
    }
    if (!gdb_number(p, &v) || v > VM_MAX_CPUS)
        return false;
    *number = (int64_t)v;
    return true;
}

/* "p1.2", "2", "-1", "0", "p1": *thread is ALL, ANY or a number. */
static bool read_thread(const char **p, int64_t *thread)
{
    int64_t process = 1;
    if (**p != 'p')
        return one_number(p, thread);
    ++*p;
    if (!one_number(p, &process) || process > 1)
        return false;
    *thread = ALL;
    if (**p != '.')
        return true;
    ++*p;
    return one_number(p, thread);
}

static bool read_one_thread(GdbSession *s, const char **p, unsigned *index)
{
    int64_t t;
    if (!read_thread(p, &t) || (t > 0 && !cpu_at(s->vm, (unsigned)t - 1)))
        return false;
    Cpu *any = current(s);
    *index = t > 0 ? (unsigned)t - 1 : any ? any->index : 0;
    return true;
}

/* ---- stops ---- */

static unsigned signal_of(RunState state)
{
    switch (state) {
    case RUN_DEBUG: return SIG_TRAP;
    case RUN_PAUSED: return SIG_INT;
    case RUN_SHUTDOWN: return SIG_QUIT;
    case RUN_IO_ERROR: return SIG_IO;
    case RUN_WATCHDOG: return SIG_ALRM;
    case RUN_INTERNAL_ERROR: case RUN_GUEST_PANICKED: return SIG_ABRT;
    case RUN_PRELAUNCH: return SIG_TRAP;
    default: return SIG_UNKNOWN;
    }
}

static void send_stop(GdbSession *s, unsigned signal)
{
    static const char *const names[] = {"watch", "rwatch", "watch", "awatch"};
    Cpu *cpu = current(s);
    g_string_printf(s->reply, "T%02xthread:", signal);
    add_thread(s, cpu ? cpu->index : 0);
    g_string_append_c(s->reply, ';');
    if (signal == SIG_TRAP && cpu && cpu->watch_hit)
        g_string_append_printf(s->reply, "%s:%" G_GINT64_MODIFIER "x;", names[cpu->watch_hit->access & 3],
                               cpu->watch_hit->addr);
    transmit(s);
}

static void stand(GdbSession *s)
{
    for (unsigned i = 0; i < s->vm->n_cpus; i++)
        if (s->vm->cpus[i]) {
            cpu_singlestep(s->vm->cpus[i], false);
            s->vm->cpus[i]->hold = false;
        }
}

static void on_state(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    GdbSession *s = data;
    if (vm_is_running(vm) || !s->waiting)
        return;
    stand(s);
    s->waiting = false;
    if (vm->state == RUN_DEBUG && vm->debug_cpu)
        s->g = s->c = vm->debug_cpu->index;
    send_stop(s, signal_of(vm->state));
}

static void on_shutdown(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    GdbSession *s = data;
    if (!s->attached || !vm->shutdown_requested)
        return;                         /* it stays, with -no-shutdown */
    s->waiting = false;
    g_string_printf(s->reply, s->multiprocess ? "W%02x;process:1" : "W%02x", vm->exit_code & 0xff);
    transmit(s);
}

/* ---- running ---- */

static void go(GdbSession *s)
{
    s->waiting = true;
    if (vm_needs_reset(s->vm)) {
        s->waiting = false;
        stand(s);
        send_stop(s, signal_of(s->vm->state));
        return;
    }
    vm_start(s->vm);
}

static void clear_breakpoints(GdbSession *s)
{
    for (unsigned i = 0; i < s->vm->n_cpus; i++)
        if (s->vm->cpus[i])
            cpu_debug_clear(s->vm->cpus[i]);
}

/* c [addr], s [addr], C sig[;addr], S sig[;addr]; signals mean nothing to a machine. */
static void run(GdbSession *s, const char *arg, bool step, bool has_signal)
{
    uint64_t value;
    Cpu *cpu = s->c ? cpu_at(s->vm, s->c) : current(s);
    if (has_signal && !gdb_number(&arg, &value))
        return fail(s, E_ARGUMENT);
    if (has_signal && *arg == ';')
        arg++;
    if (gdb_number(&arg, &value) && cpu)
        cpu->pc = value;
    if (step && cpu)
        cpu_singlestep(cpu, true);
    go(s);
}

/* vCont;action[:thread]… : the first that fits a CPU is its own; without one it stands still. */
static bool plan(GdbSession *s, const char *p, char *actions)
{
    while (*p == ';') {
        char action = *++p;
        int64_t thread = ALL;
        uint64_t signal;
        if (!action || !strchr("cCsS", action))
            return false;
        p++;
        if ((action == 'C' || action == 'S') && !gdb_number(&p, &signal))
            return false;
        if (*p == ':' && (p++, !read_thread(&p, &thread)))
            return false;
        if (thread == ANY)
            thread = current(s) ? current(s)->index + 1 : 1;
        for (unsigned i = 0; i < s->vm->n_cpus; i++)
            if (!actions[i] && (thread == ALL || thread == (int64_t)i + 1))
                actions[i] = g_ascii_tolower(action);
    }
    return !*p;
}

static void v_cont(GdbSession *s, const char *p)
{
    g_autofree char *actions = g_malloc0(s->vm->n_cpus + 1);
    bool any = false;
    if (!plan(s, p, actions))
        return fail(s, E_ARGUMENT);
    for (unsigned i = 0; i < s->vm->n_cpus; i++)
        any |= actions[i] != 0;
    if (!any)
        return fail(s, E_ARGUMENT);
    for (unsigned i = 0; i < s->vm->n_cpus; i++)
        if (s->vm->cpus[i]) {
            cpu_singlestep(s->vm->cpus[i], actions[i] == 's');
            s->vm->cpus[i]->hold = !actions[i];
        }
    go(s);
}

static void detach(GdbSession *s)
{
    clear_breakpoints(s);
    stand(s);
    s->waiting = false;
    ok(s);
    if (!vm_needs_reset(s->vm))
        vm_start(s->vm);
}

static void kill_machine(GdbSession *s)
{
    s->attached = false;
    vm_request_shutdown(s->vm, CAUSE_HOST_SIGNAL, 0);
}

/* ---- registers and memory ---- */

static void read_registers(GdbSession *s)
{
    Cpu *cpu = current(s);
    uint8_t buf[GDB_REG_MAX];
    unsigned n, count = cpu ? gdb_core_regs(cpu->isa) : 0;
    g_string_truncate(s->reply, 0);
    for (unsigned i = 0; i < count && s->reply->len < GDB_PACKET - 2 * GDB_REG_MAX; i++)
        if (gdb_reg_read(cpu, i, buf, &n))
            gdb_to_hex(s->reply, buf, n);
    transmit(s);
}

static void write_registers(GdbSession *s, const char *hex)
{
    uint8_t data[GDB_PACKET / 2];
    Cpu *cpu = current(s);
    int total = gdb_from_hex(hex, data, sizeof(data)), at = 0;
    if (total < 0 || !cpu)
        return fail(s, E_ARGUMENT);
    for (unsigned i = 0, n; i < gdb_core_regs(cpu->isa); i++, at += (int)n) {
        n = (unsigned)(total - at);
        if (!gdb_reg_write(cpu, i, data + at, &n))
            break;
    }
    ok(s);
}

static void read_register(GdbSession *s, const char *p)
{
    uint64_t number;
    uint8_t buf[GDB_REG_MAX];
    unsigned n;
    Cpu *cpu = current(s);
    if (!gdb_number(&p, &number) || *p || !cpu || number > UINT16_MAX ||
        !gdb_reg_read(cpu, (unsigned)number, buf, &n))
        return fail(s, E_MEMORY);
    g_string_truncate(s->reply, 0);
    gdb_to_hex(s->reply, buf, n);
    transmit(s);
}

static void write_register(GdbSession *s, const char *p)
{
    uint64_t number;
    uint8_t buf[GDB_REG_MAX];
    Cpu *cpu = current(s);
    if (!gdb_number(&p, &number) || *p != '=' || !cpu || number > UINT16_MAX)
        return fail(s, E_ARGUMENT);
    int have = gdb_from_hex(p + 1, buf, sizeof(buf));
    unsigned n = have < 0 ? 0 : (unsigned)have;
    if (!gdb_reg_write(cpu, (unsigned)number, buf, &n))
        return fail(s, E_ARGUMENT);
    ok(s);
}

static bool access_memory(GdbSession *s, uint64_t at, void *buf, unsigned n, bool write)
{
    Cpu *cpu = current(s);
    if (!cpu)
        return false;
    if (!s->physical)
        return cpu_debug_access(cpu, at, buf, n, write);
    return write ? as_write_rom(cpu->memory, at, buf, n) : as_read(cpu->memory, at, buf, n);
}

/* "addr,length" */
static bool read_range(const char **p, uint64_t *at, uint64_t *n)
{
    if (!gdb_number(p, at) || **p != ',')
        return false;
    ++*p;
    return gdb_number(p, n);
}

static void read_memory(GdbSession *s, const char *p)
{
    uint64_t at, n;
    uint8_t buf[GDB_PACKET / 2];
    if (!read_range(&p, &at, &n) || *p || n > sizeof(buf))
        return fail(s, E_ARGUMENT);
    if (!access_memory(s, at, buf, (unsigned)n, false))
        return fail(s, E_MEMORY);
    g_string_truncate(s->reply, 0);
    gdb_to_hex(s->reply, buf, n);
    transmit(s);
}

/* M addr,length:hex and X addr,length:bytes (`end` is behind the last one). */
static void write_memory(GdbSession *s, const char *p, const char *end, bool binary)
{
    uint64_t at, n;
    uint8_t buf[GDB_PACKET];
    if (!read_range(&p, &at, &n) || *p++ != ':' || n > sizeof(buf))
        return fail(s, E_ARGUMENT);
    int64_t have = binary ? end - p : gdb_from_hex(p, buf, sizeof(buf));
    if (have != (int64_t)n)
        return fail(s, E_ARGUMENT);
    if (binary)
        memcpy(buf, p, n);
    if (n && !access_memory(s, at, buf, (unsigned)n, true))
        return fail(s, E_MEMORY);
    ok(s);
}

/* ---- breakpoints ---- */

static bool set_point(Cpu *cpu, unsigned kind, CpuWatch w, bool insert)
{
    if (kind <= 1) {
        if (insert)
            cpu_breakpoint_add(cpu, w.addr);
        else
            cpu_breakpoint_del(cpu, w.addr);
    } else {
        /* Set twice it stands once. */
        cpu_watchpoint_del(cpu, w);
        if (insert)
            cpu_watchpoint_add(cpu, w);
    }
    return true;
}

/* Z0 to Z4 addr,kind: software and hardware breakpoint, write, read, access watchpoint. */
static void point(GdbSession *s, const char *p, bool insert)
{
    static const uint8_t access[] = {0, 0, 2, 1, 3};
    unsigned kind = (unsigned)(*p - '0');
    uint64_t at, n;
    if (kind > 4)
        return say(s, "");
    p++;
    if (*p++ != ',' || !read_range(&p, &at, &n) || (kind > 1 && (n == 0 || n > WATCH_MAX)))
        return fail(s, E_ARGUMENT);
    for (unsigned i = 0; i < s->vm->n_cpus; i++)
        if (s->vm->cpus[i])
            set_point(s->vm->cpus[i], kind, (CpuWatch){at, n, access[kind]}, insert);
    ok(s);
}

/* ---- queries ---- */

static void list_threads(GdbSession *s, const char *unused)
{
    g_string_assign(s->reply, "m");
    for (; s->listed < s->vm->n_cpus && s->reply->len < GDB_PACKET - 32; s->listed++)
        if (s->vm->cpus[s->listed]) {
            if (s->reply->len > 1)
                g_string_append_c(s->reply, ',');
            add_thread(s, s->listed);
        }
    if (s->reply->len == 1)
        g_string_assign(s->reply, "l");
    transmit(s);
}

static void q_first_threads(GdbSession *s, const char *p)
{
    s->listed = 0;
    list_threads(s, p);
}

static void q_thread_info(GdbSession *s, const char *p)
{
    unsigned index;
    Cpu *cpu = read_one_thread(s, &p, &index) ? cpu_at(s->vm, index) : NULL;
    if (!cpu)
        return fail(s, E_ARGUMENT);
    g_autofree char *text = g_strdup_printf("CPU#%u [%s]", index,
        __atomic_load_n(&cpu->halted, __ATOMIC_RELAXED) ? "halted " : "running");
    g_string_truncate(s->reply, 0);
    gdb_to_hex(s->reply, text, strlen(text));
    transmit(s);
}

static void q_supported(GdbSession *s, const char *p)
{
    s->multiprocess = strstr(p, "multiprocess+") != NULL;
    g_string_printf(s->reply, "PacketSize=%x;vContSupported+;multiprocess+", GDB_PACKET);
    Cpu *cpu = current(s);
    if (cpu && gdb_core_regs(cpu->isa) && gdb_reg(cpu->isa, 0)->feature)
        g_string_append(s->reply, ";qXfer:features:read+");
    transmit(s);
}

static void q_xfer(GdbSession *s, const char *p)
{
    static const char name[] = "target.xml:";
    Cpu *cpu = current(s);
    uint64_t at, n;
    if (!g_str_has_prefix(p, name) || !cpu)
        return fail(s, 0);
    p += sizeof(name) - 1;
    if (!read_range(&p, &at, &n) || *p)
        return fail(s, E_ARGUMENT);
    if (!s->xml)
        s->xml = gdb_target_xml(cpu->isa);
    size_t length = strlen(s->xml), from = MIN(at, length);
    /* Escapes may double it. */
    size_t part = MIN(MIN(n, length - from), (GDB_PACKET - 8) / 2);
    g_string_assign(s->reply, from + part < length ? "m" : "l");
    gdb_escape(s->reply, s->xml + from, part);
    transmit(s);
}

static void q_current(GdbSession *s, const char *p)
{
    g_string_assign(s->reply, "QC");
    add_thread(s, current(s) ? current(s)->index : 0);
    transmit(s);
}

static void q_attached(GdbSession *s, const char *p) { say(s, "1"); }

/* monitor COMMAND: its output in O packets, then OK. */
static void q_rcmd(GdbSession *s, const char *p)
{
    enum { PART = (GDB_PACKET - 8) / 2 };
    char line[GDB_PACKET / 2 + 1];
    int n = gdb_from_hex(p, (uint8_t *)line, sizeof(line) - 1);
    if (n < 0 || !s->command)
        return fail(s, n < 0 ? E_ARGUMENT : 1);
    line[n] = 0;
    g_autofree char *said = s->command(s->vm, line);
    for (size_t at = 0, length = said ? strlen(said) : 0; at < length; at += PART) {
        g_string_assign(s->reply, "O");
        gdb_to_hex(s->reply, said + at, MIN(length - at, PART));
        transmit(s);
    }
    ok(s);
}

static void q_step_bits(GdbSession *s, const char *p) { say(s, "ENABLE=1,NOIRQ=2,NOTIMER=4"); }
/* Steps take no interrupts, and timers go on: there is no other way. */
static void q_step(GdbSession *s, const char *p) { say(s, "0x3"); }

static void q_set_step(GdbSession *s, const char *p)
{
    uint64_t bits;
    p += g_str_has_prefix(p, "0x") ? 2 : 0;
    if (!gdb_number(&p, &bits) || bits != 3)
        return fail(s, E_ARGUMENT);
    ok(s);
}

static void q_physical(GdbSession *s, const char *p) { say(s, s->physical ? "1" : "0"); }

static void q_set_physical(GdbSession *s, const char *p)
{
    if (strcmp(p, "0") && strcmp(p, "1"))
        return fail(s, E_ARGUMENT);
    s->physical = *p == '1';
    ok(s);
}

static void q_own(GdbSession *s, const char *p) { say(s, "sstepbits;sstep;PhyMemMode"); }

static void v_ask(GdbSession *s, const char *p) { say(s, "vCont;c;C;s;S"); }

static void v_kill(GdbSession *s, const char *p)
{
    ok(s);
    kill_machine(s);
}

/* What begins with these; longer names first. */
static const struct {
    const char *prefix;
    void (*fn)(GdbSession *s, const char *rest);
} words[] = {
    {"vCont?", v_ask}, {"vCont", v_cont}, {"vKill", v_kill},
    {"qSupported", q_supported}, {"qXfer:features:read:", q_xfer}, {"qfThreadInfo", q_first_threads},
    {"qsThreadInfo", list_threads}, {"qThreadExtraInfo,", q_thread_info}, {"qAttached", q_attached},
    {"qRcmd,", q_rcmd}, {"qqemu.sstepbits", q_step_bits}, {"qqemu.sstep", q_step},
    {"Qqemu.sstep=", q_set_step}, {"qqemu.PhyMemMode", q_physical},
    {"Qqemu.PhyMemMode:", q_set_physical}, {"qqemu.Supported", q_own}, {"qC", q_current},
};

static void word(GdbSession *s, const char *p)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_str_has_prefix(p, words[i].prefix))
            return words[i].fn(s, p + strlen(words[i].prefix));
    say(s, "");                         /* not supported */
}

static void choose_thread(GdbSession *s, const char *p)
{
    char what = *p;
    unsigned index;
    if ((what != 'g' && what != 'c') || (p++, !read_one_thread(s, &p, &index)))
        return fail(s, E_ARGUMENT);
    *(what == 'g' ? &s->g : &s->c) = index;
    ok(s);
}

static void thread_alive(GdbSession *s, const char *p)
{
    int64_t t;
    if (!read_thread(&p, &t) || t < 1 || !cpu_at(s->vm, (unsigned)t - 1))
        return fail(s, E_ARGUMENT);
    ok(s);
}

static void packet(GdbSession *s, const char *p, const char *end)
{
    switch (*p) {
    case '?':
        vm_stop(s->vm, RUN_PAUSED);
        clear_breakpoints(s);
        return send_stop(s, SIG_TRAP);
    case 'c': case 's': case 'C': case 'S':
        return run(s, p + 1, *p == 's' || *p == 'S', *p == 'C' || *p == 'S');
    case 'g': return read_registers(s);
    case 'G': return write_registers(s, p + 1);
    case 'p': return read_register(s, p + 1);
    case 'P': return write_register(s, p + 1);
    case 'm': return read_memory(s, p + 1);
    case 'M': return write_memory(s, p + 1, end, false);
    case 'X': return write_memory(s, p + 1, end, true);
    case 'Z': return point(s, p + 1, true);
    case 'z': return point(s, p + 1, false);
    case 'H': return choose_thread(s, p + 1);
    case 'T': return thread_alive(s, p + 1);
    case 'D': return detach(s);
    case 'k': return kill_machine(s);
    case 'q': case 'Q': case 'v': return word(s, p);
    default: return say(s, "");
    }
}

/* ---- the session ---- */

void gdb_session_feed(GdbSession *s, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        switch (gdb_framer_byte(&s->framer, data[i])) {
        case GDB_PACKET_GOOD:
            s->send(s->opaque, "+", 1);
            packet(s, s->framer.data, s->framer.data + s->framer.n);
            break;
        case GDB_PACKET_BAD:
            s->send(s->opaque, "-", 1);
            break;
        case GDB_NAK:
            if (s->last->len)
                s->send(s->opaque, s->last->str, s->last->len);
            break;
        case GDB_INTERRUPT:
            vm_stop(s->vm, RUN_PAUSED);
            break;
        default:
            break;
        }
    }
}

GdbSession *gdb_session_new(Vm *vm, GdbCommand *command, GdbSend *send, void *opaque)
{
    GdbSession *s = g_new0(GdbSession, 1);
    *s = (GdbSession){.vm = vm, .command = command, .send = send, .opaque = opaque,
                      .reply = g_string_new(NULL), .last = g_string_new(NULL)};
    s->listeners[0] = vm_listen(vm, VM_EVENT_STATE, on_state, s);
    s->listeners[1] = vm_listen(vm, VM_EVENT_SHUTDOWN, on_shutdown, s);
    return s;
}

void gdb_session_opened(GdbSession *s)
{
    s->framer.state = GDB_IDLE;
    s->attached = true;
    s->multiprocess = s->physical = s->waiting = false;
    s->g = s->c = 0;
    g_string_truncate(s->last, 0);
    vm_stop(s->vm, RUN_PAUSED);
}

void gdb_session_closed(GdbSession *s)
{
    s->attached = s->waiting = false;
    if (s->vm->freeing)
        return;
    clear_breakpoints(s);
    stand(s);
}

void gdb_session_free(GdbSession *s)
{
    if (!s)
        return;
    if (s->attached)
        gdb_session_closed(s);
    vm_unlisten(s->vm, s->listeners[0]);
    vm_unlisten(s->vm, s->listeners[1]);
    g_string_free(s->reply, TRUE);
    g_string_free(s->last, TRUE);
    g_free(s->xml);
    g_free(s);
}
