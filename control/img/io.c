/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-io: single requests to an image, for tests. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/img/img.h"
#include "control/tools.h"
#include "util/fdstore.h"
#include "util/version.h"

typedef struct Io {
    BlockNode *n;
    GString *out;
    bool failed, quit;
} Io;

static void G_GNUC_PRINTF(2, 3) say(Io *io, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_string_append_vprintf(io->out, format, ap);
    va_end(ap);
}

typedef struct Args {
    bool quiet, zero, unmap, fua, verify;
    int pattern;
    GPtrArray *rest;            /* without options */
} Args;

static bool read_args(Io *io, char **words, Args *a)
{
    *a = (Args){.pattern = 0xcd, .rest = g_ptr_array_new()};
    for (unsigned i = 1; words[i]; i++) {
        const char *w = words[i];
        if (!strcmp(w, "-P") && words[i + 1]) {
            a->pattern = strtol(words[++i], NULL, 0) & 0xff;
            a->verify = true;
        } else if (*w == '-' && strspn(w + 1, "qzufnCv") == strlen(w + 1) && w[1]) {
            a->quiet |= strchr(w, 'q') != NULL;
            a->zero |= strchr(w, 'z') != NULL;
            a->unmap |= strchr(w, 'u') != NULL;
            a->fua |= strchr(w, 'f') != NULL;
        } else if (*w == '-' && !g_ascii_isdigit(w[1])) {
            say(io, "%s: invalid option -- '%s'\n", words[0], w + 1);
            return false;
        } else {
            g_ptr_array_add(a->rest, words[i]);
        }
    }
    return true;
}

typedef struct Pending {
    BlockRequest r;
    int error;
    bool done;
} Pending;

static void request_done(BlockRequest *r, int error)
{
    ((Pending *)r)->error = error;
    __atomic_store_n(&((Pending *)r)->done, true, __ATOMIC_RELEASE);
}

typedef struct Submission {
    BlockNode *n;
    Pending *p;
} Submission;

static void submit_there(void *data)
{
    Submission *s = data;
    block_submit(s->n, &s->p->r);
}

/* The node of a running machine may live on an I/O thread; then this thread only waits. */
static void submit(BlockNode *n, Pending *p)
{
    Submission s = {n, p};
    bool here = loop_is_home(block_loop(n));
    block_call(n, submit_there, &s);
    while (!__atomic_load_n(&p->done, __ATOMIC_ACQUIRE)) {
        if (here)
            loop_step(block_loop(n), true);
        else
            g_usleep(100);
    }
}

static void report(Io *io, const char *verb, uint64_t offset, uint64_t bytes, int64_t us)
{
    g_autofree char *size = img_size(bytes);
    double seconds = MAX(us, 1) / 1e6;
    g_autofree char *rate = img_size(bytes / seconds);
    say(io, "%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n%s, 1 ops; %05.2f sec (%s/sec and %.4f ops/sec)\n", verb,
           bytes, bytes, offset, size, seconds, rate, 1 / seconds);
}

static bool transfer(Io *io, BlockOp op, const char *verb, const Args *a, bool want_range)
{
    uint64_t offset = 0, bytes = 0;
    if (want_range && (a->rest->len != 2 || !img_number(a->rest->pdata[0], &offset, NULL) ||
                       !img_number(a->rest->pdata[1], &bytes, NULL))) {
        say(io, "bad argument count %u to %s, expected an offset and a length\n", a->rest->len, verb);
        return false;
    }
    char *buf = want_range && (op == BLOCK_READ || op == BLOCK_WRITE) ? block_buffer(bytes) : NULL;
    if (op == BLOCK_WRITE && buf)
        memset(buf, a->pattern, bytes);
    struct iovec iov = {buf, bytes};
    Pending p = {.r = {.op = op, .flags = (a->fua ? BLOCK_FUA : 0) | (a->unmap ? BLOCK_MAY_UNMAP : 0), .offset = offset,
                       .bytes = bytes, .iov = &iov, .n_iov = buf ? 1 : 0, .done = request_done}};
    int64_t start = g_get_monotonic_time();
    submit(io->n, &p);
    bool ok = !p.error;
    if (p.error)
        say(io, "%s failed: %s\n", op == BLOCK_READ ? "read" : op == BLOCK_FLUSH ? "flush" : op == BLOCK_DISCARD ? "discard" : "write",
               g_strerror(p.error));
    for (uint64_t i = 0; ok && op == BLOCK_READ && a->verify && i < bytes; i++)
        if ((uint8_t)buf[i] != a->pattern) {
            say(io, "Pattern verification failed at offset %" PRIu64 ", %" PRIu64 " bytes\n", offset, bytes);
            ok = false;
        }
    if (!p.error && !a->quiet && want_range)
        report(io, op == BLOCK_READ ? "read" : op == BLOCK_DISCARD ? "discard" : "wrote", offset, bytes, g_get_monotonic_time() - start);
    free(buf);
    return ok;
}

static bool print_map(Io *io)
{
    for (uint64_t at = 0; at < block_size(io->n);) {
        BlockExtent e;
        int err = block_map(io->n, io->n->backing, at, block_size(io->n) - at, &e);
        if (err) {
            say(io, "Failed to query allocation status: %s\n", g_strerror(err));
            return false;
        }
        g_autofree char *size = img_size(e.bytes), *start = img_size(at);
        say(io, "%s (0x%" PRIx64 ") bytes %s at offset %s (0x%" PRIx64 ")\n", size, e.bytes,
               e.flags & EXTENT_ALLOCATED ? "    allocated" : "not allocated", start, at);
        at += e.bytes;
    }
    return true;
}

static bool run_line(Io *io, const char *line)
{
    g_auto(GStrv) words = NULL;
    Args a;
    if (!g_shell_parse_argv(line, NULL, &words, NULL))
        return true;            /* nothing there */
    const char *w = words[0];
    if (!read_args(io, words, &a))
        return false;
    g_autoptr(GPtrArray) rest = a.rest;
    static const struct { const char *name, *alias; BlockOp op; bool range; } rows[] = {
        {"read", "r", BLOCK_READ, true}, {"write", "w", BLOCK_WRITE, true}, {"readv", "rv", BLOCK_READ, true},
        {"writev", "wv", BLOCK_WRITE, true}, {"aio_read", "ar", BLOCK_READ, true}, {"aio_write", "aw", BLOCK_WRITE, true},
        {"discard", "d", BLOCK_DISCARD, true}, {"flush", "f", BLOCK_FLUSH, false}, {"aio_flush", NULL, BLOCK_FLUSH, false},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(w, rows[i].name) || !g_strcmp0(w, rows[i].alias))
            return transfer(io, a.zero && rows[i].op == BLOCK_WRITE ? BLOCK_WRITE_ZEROES : rows[i].op, w, &a, rows[i].range);
    if (!strcmp(w, "quit") || !strcmp(w, "q")) {
        io->quit = true;
        return true;
    }
    if (!strcmp(w, "length") || !strcmp(w, "l")) {
        g_autofree char *size = img_size(block_size(io->n));
        say(io, "%s\n", size);
        return true;
    }
    if (!strcmp(w, "map"))
        return print_map(io);
    if (!strcmp(w, "info") || !strcmp(w, "i")) {
        say(io, "format name: %s\n", block_driver_name(io->n));
        return true;
    }
    if (!strcmp(w, "sleep") && rest->len) {
        usleep(strtoul(rest->pdata[0], NULL, 10) * 1000);
        return true;
    }
    if (!strcmp(w, "truncate") && rest->len) {
        uint64_t size;
        g_autoptr(GError) error = NULL;
        bool ok = img_number(rest->pdata[0], &size, &error) && block_resize(io->n, size, PREALLOC_MODE_OFF, &error);
        if (!ok)
            say(io, "%s\n", error->message);
        return ok;
    }
    say(io, "command \"%s\" not found\n", w);
    return false;
}

bool io_run(BlockNode *n, const char *line, GString *out)
{
    Io io = {.n = n, .out = out};
    return run_line(&io, line);
}

/* A line of the tool; what it says goes out at once. */
static void run_and_print(Io *io, const char *line)
{
    io->failed |= !run_line(io, line);
    fputs(io->out->str, stdout);
    fflush(stdout);
    g_string_truncate(io->out, 0);
}

static void run_input(Io *io)
{
    char *line = NULL;
    size_t room = 0;
    while (!io->quit && getline(&line, &room, stdin) >= 0)
        run_and_print(io, g_strstrip(line));
    free(line);
}

int io_main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"format", required_argument, NULL, 'f'}, {"cmd", required_argument, NULL, 'c'}, {"read-only", no_argument, NULL, 'r'},
        {"snapshot", no_argument, NULL, 's'}, {"cache", required_argument, NULL, 't'}, {"force-share", no_argument, NULL, 'U'},
        {"image-opts", no_argument, NULL, 'I'}, {"version", no_argument, NULL, 'V'}, {"discard", required_argument, NULL, 'd'},
        {"nocache", no_argument, NULL, 'n'}, {0},
    };
    Img m = {.name = "qemu-io"};
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    bool read_only = false;
    for (int c; (c = getopt_long(argc, argv, "f:c:rst:Ud:nV", longs, NULL)) >= 0;)
        switch (c) {
        case 'f': m.format = optarg; break;
        case 'c': g_ptr_array_add(lines, optarg); break;
        case 'r': read_only = true; break;
        case 't': m.cache = optarg; break;
        case 'n': m.cache = "none"; break;
        case 'U': m.share = true; break;
        case 'I': m.image_opts = true; break;
        case 'd': break;        /* discards are passed on */
        case 'V': printf("qemu-io version %s (Myna)\n", MYNA_VERSION); return 0;
        case 's': g_printerr("qemu-io: --snapshot is not implemented\n"); return 1;
        default: return 1;
        }
    Loop *loop = loop_new();
    g_autoptr(GError) error = NULL;
    m.vm = vm_new(loop);
    FdStore *fds = m.vm->fds = fd_store_new();
    g_autoptr(GString) out = g_string_new(NULL);
    Io io = {.out = out, .failed = optind >= argc};
    if (io.failed)
        g_printerr("qemu-io: a file name is needed\n");
    else if (!(io.n = img_open(&m, argv[optind], m.format, m.cache, read_only ? "" : "w", &error))) {
        g_printerr("qemu-io: can't open%s%s: %s\n", m.image_opts ? "" : " device ", m.image_opts ? "" : argv[optind],
                   error->message);
        io.failed = true;
    }
    for (unsigned i = 0; io.n && i < lines->len && !io.quit; i++)
        run_and_print(&io, lines->pdata[i]);
    if (io.n && !lines->len)
        run_input(&io);
    if (io.n) {
        block_release(io.n, "tool");
        block_free(io.n);
    }
    vm_free(m.vm);
    fd_store_free(fds);
    loop_free(loop);
    return io.failed;
}
