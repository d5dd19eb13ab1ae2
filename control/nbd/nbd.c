/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-nbd: one image for NBD clients. Options and texts are those that scripts know. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib-unix.h>

#include "block/nbd-server.h"
#include "chardev/address.h"
#include "control/img/img.h"
#include "control/nbd/nbd.h"
#include "control/tools.h"
#include "control/device-add.h"
#include "crypto/tls.h"
#include "util/error.h"
#include "util/fdstore.h"
#include "util/version.h"

typedef struct Program {
    Img m;
    const char *port, *bind, *path, *name, *description, *offset, *snapshot, *pid_file;
    const char *tls_creds, *tls_authz, *tls_hostname;
    GPtrArray *objects;
    unsigned shared;
    bool read_only, persistent, list, fork, stop;
    int ready;                  /* --fork: tells the parent; -1 */
} Program;

/* ---- options ---- */

enum { IMAGE_OPTS = 256, OBJECT, TLS_CREDS, TLS_AUTHZ, TLS_HOSTNAME, FORK, PID_FILE, CACHE, AIO, DISCARD, ZEROES };
static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {"bind", required_argument, NULL, 'b'},
    {"port", required_argument, NULL, 'p'}, {"socket", required_argument, NULL, 'k'},
    {"offset", required_argument, NULL, 'o'}, {"read-only", no_argument, NULL, 'r'},
    {"connect", required_argument, NULL, 'c'}, {"disconnect", no_argument, NULL, 'd'}, {"list", no_argument, NULL, 'L'},
    {"snapshot", no_argument, NULL, 's'}, {"load-snapshot", required_argument, NULL, 'l'},
    {"nocache", no_argument, NULL, 'n'}, {"cache", required_argument, NULL, CACHE},
    {"aio", required_argument, NULL, AIO},
    {"discard", required_argument, NULL, DISCARD}, {"detect-zeroes", required_argument, NULL, ZEROES},
    {"shared", required_argument, NULL, 'e'}, {"format", required_argument, NULL, 'f'},
    {"persistent", no_argument, NULL, 't'}, {"verbose", no_argument, NULL, 'v'},
    {"export-name", required_argument, NULL, 'x'}, {"description", required_argument, NULL, 'D'},
    {"image-opts", no_argument, NULL, IMAGE_OPTS}, {"object", required_argument, NULL, OBJECT},
    {"tls-creds", required_argument, NULL, TLS_CREDS}, {"tls-authz", required_argument, NULL, TLS_AUTHZ},
    {"tls-hostname", required_argument, NULL, TLS_HOSTNAME}, {"fork", no_argument, NULL, FORK},
    {"pid-file", required_argument, NULL, PID_FILE}, {"allocation-depth", no_argument, NULL, 'A'},
    {"bitmap", required_argument, NULL, 'B'}, {"trace", required_argument, NULL, 'T'}, {0},
};

static void help(void)
{
    printf("Usage: qemu-nbd [OPTIONS] FILE\n  or:  qemu-nbd -L [OPTIONS]\nQEMU Disk Network Block Device Utility\n\n"
           "  -h, --help  -V, --version  -v, --verbose\n"
           "  -p, --port=PORT            port to listen on (default `10809')\n"
           "  -b, --bind=IFACE           interface to bind to (default `0.0.0.0')\n"
           "  -k, --socket=PATH          path to the unix socket\n"
           "  -e, --shared=NUM           device can be shared by NUM clients (default '1'), 0: any number\n"
           "  -t, --persistent           don't exit on the last connection\n"
           "  -x, --export-name=NAME     expose export by name (default is empty string)\n"
           "  -D, --description=TEXT     export a human-readable description\n"
           "  -o, --offset=OFFSET        offset into the image\n"
           "  -f, --format=FORMAT        set image format (raw, qcow2, ...)\n"
           "  -r, --read-only            export read-only\n"
           "  -l, --load-snapshot=SNAPSHOT   load an internal snapshot inside FILE\n"
           "  -n, --nocache  --cache=MODE  --image-opts\n"
           "  --tls-creds=ID  --tls-authz=ID  --tls-hostname=NAME  --object=TYPE,id=ID,...\n"
           "  --fork                     go to the background when ready\n"
           "  --pid-file=PATH            store the server's process ID there\n"
           "  -L, --list                 list exports available from a server\n");
}

static bool kernel_device(const char *what, const char *device, GError **error)
{
    struct stat st;
    if (stat(device, &st) < 0)
        return error_set(error, "%s: %s: %s; kernel devices need the module nbd, and a server needs none: "
                         "clients connect to its port or socket", what, device, g_strerror(errno));
    return error_set(error, "%s: connecting kernel devices is not implemented; nbd-client does it with a server of "
                     "ours", what);
}

static bool set_option(Program *p, int c, char *value, GError **error)
{
    switch (c) {
    case 'p': p->port = value; break;
    case 'b': p->bind = value; break;
    case 'k': p->path = value; break;
    case 'x': p->name = value; break;
    case 'D': p->description = value; break;
    case 'o': p->offset = value; break;
    case 'f': p->m.format = value; break;
    case 'l': p->snapshot = value; p->read_only = true; break;
    case 'r': p->read_only = true; break;
    case 't': p->persistent = true; break;
    case 'L': p->list = true; break;
    case 'v': break;            /* what there is to say is said anyway */
    case 'n': p->m.cache = "none"; break;
    case CACHE: p->m.cache = value; break;
    case 'e':
        p->shared = (unsigned)strtoul(value, NULL, 10);
        if (!g_ascii_isdigit(*value))
            return error_set(error, "Invalid shared device number '%s'", value);
        break;
    case IMAGE_OPTS: p->m.image_opts = true; break;
    case OBJECT: g_ptr_array_add(p->objects, value); break;
    case TLS_CREDS: p->tls_creds = value; break;
    case TLS_AUTHZ: p->tls_authz = value; break;
    case TLS_HOSTNAME: p->tls_hostname = value; break;
    case FORK: p->fork = true; break;
    case PID_FILE: p->pid_file = value; break;
    case DISCARD:
        if (strcmp(value, "unmap") && strcmp(value, "on"))
            return error_set(error, "--discard=%s: discards are always passed on", value);
        break;
    case 'c': return kernel_device("-c", value, error);
    case 'd': return kernel_device("-d", optind < 1 ? "" : "/dev/nbd0", error);
    case 's': return error_set(error, "--snapshot is not implemented; use an overlay made by qemu-img create -b");
    case 'A': case 'B': return error_set(error, "-%c: clients cannot ask for metadata yet", c);
    case 'T': return error_set(error, "--trace is not implemented here");
    case AIO: case ZEROES: return error_set(error, "--aio and --detect-zeroes: use --image-opts with these options");
    default: return error_set(error, "Try `qemu-nbd --help' for more information.");
    }
    return true;
}

/* ---- serving ---- */

static SocketAddress *address_of(const Program *p)
{
    SocketAddress *a = g_new0(SocketAddress, 1);
    if (p->path) {
        a->type = SOCKET_ADDRESS_TYPE_UNIX;
        a->u.unix_ = g_new0(UnixSocketAddress, 1);
        a->u.unix_->path = g_strdup(p->path);
    } else {
        a->type = SOCKET_ADDRESS_TYPE_INET;
        a->u.inet = g_new0(InetSocketAddress, 1);
        a->u.inet->host = g_strdup(p->bind ? p->bind : p->list ? "localhost" : "0.0.0.0");
        a->u.inet->port = g_strdup(p->port ? p->port : "10809");
    }
    return a;
}

static void idle(void *opaque)
{
    Program *p = opaque;
    p->stop = p->stop || !p->persistent;
}

static gboolean terminated(gpointer data)
{
    ((Program *)data)->stop = true;
    return G_SOURCE_CONTINUE;
}

static BlockNode *open_image(Program *p, NbdExportOptions *o, GError **error)
{
    const char *filename = p->m.args->pdata[0];
    BlockNode *n = img_open(&p->m, filename, p->m.format, p->m.cache, p->read_only ? "" : "w", error);
    if (!n)
        return NULL;
    block_release(n, "tool");
    g_autoptr(SnapshotInfo) snapshot = p->snapshot ? img_find_snapshot(n, p->snapshot, error) : NULL;
    bool ok = !p->snapshot || (snapshot && block_snapshot(n, SNAPSHOT_SHOW, snapshot, error));
    ok = ok && (!p->offset || img_number(p->offset, &o->offset, error));
    if (ok && o->offset >= MAX(block_size(n), 1))
        ok = error_set(error, "Offset (%" G_GUINT64_FORMAT ") has to be smaller than the image size (%" G_GUINT64_FORMAT
                       ")", o->offset, block_size(n));
    if (ok)
        return n;
    block_free(n);
    return NULL;
}

static bool write_pid(const Program *p, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    return !p->pid_file || g_file_set_contents(p->pid_file, text, -1, error);
}

static void run_loop(Program *p)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    Loop *loop = p->m.vm->loop;
    GSource *sources[G_N_ELEMENTS(signals)];
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        sources[i] = g_unix_signal_source_new(signals[i]);
        g_source_set_callback(sources[i], terminated, p, NULL);
        g_source_attach(sources[i], loop_context(loop));
    }
    while (!p->stop)
        loop_step(loop, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        g_source_destroy(sources[i]);
        g_source_unref(sources[i]);
    }
}

static void tell_parent(Program *p)
{
    char ok = 0;
    if (p->ready < 0)
        return;
    FILE *null = fopen("/dev/null", "r+");
    for (int i = 0; null && i < 3; i++)
        dup2(fileno(null), i);
    if (write(p->ready, &ok, 1) < 0)
        p->stop = true;
    close(p->ready);
    p->ready = -1;
}

static bool serve(Program *p, GError **error)
{
    NbdExportOptions o = {.name = p->name ? p->name : "", .description = p->description, .writable = !p->read_only,
                          .writethrough = !g_strcmp0(p->m.cache, "writethrough") ||
                                          !g_strcmp0(p->m.cache, "directsync")};
    NbdServerOptions server = {.max_connections = p->shared, .authz = p->tls_authz, .idle = idle, .opaque = p};
    if (p->tls_creds && !(server.creds = tls_creds_find(p->m.vm, p->tls_creds, true, error)))
        return false;
    BlockNode *n = open_image(p, &o, error);
    if (!n)
        return false;
    g_autoptr(SocketAddress) address = address_of(p);
    server.listener = address_listen(address, error);
    NbdServer *s = server.listener >= 0 ? nbd_server_new(p->m.vm, &server) : NULL;
    bool ok = s && nbd_export_new(s, n, &o, error) && write_pid(p, error);
    if (ok) {
        tell_parent(p);
        run_loop(p);
    }
    if (s)
        nbd_server_free(s);
    if (s && p->path)
        unlink(p->path);
    block_free(n);
    return ok;
}

/* The parent waits until clients can connect. */
static bool go_to_background(Program *p, int *status)
{
    int fds[2];
    pid_t pid = pipe(fds) < 0 ? -1 : fork();
    if (pid < 0) {
        g_printerr("qemu-nbd: Failed to fork: %s\n", g_strerror(errno));
        return true;
    }
    if (pid == 0) {
        setsid();
        close(fds[0]);
        p->ready = fds[1];
        return false;
    }
    char byte = 1;
    close(fds[1]);
    *status = read(fds[0], &byte, 1) == 1 && !byte ? 0 : 1;
    return true;
}

static bool make_objects(Program *p, GError **error)
{
    for (unsigned i = 0; i < p->objects->len; i++)
        if (!user_object_add_option(p->m.vm, p->objects->pdata[i], error))
            return false;
    return true;
}

static bool run(Program *p, GError **error)
{
    if (!make_objects(p, error))
        return false;
    if (!p->list)
        return serve(p, error);
    g_autoptr(SocketAddress) address = address_of(p);
    Object *creds = p->tls_creds ? tls_creds_find(p->m.vm, p->tls_creds, false, error) : NULL;
    if (p->tls_creds && !creds)
        return false;
    const char *host = p->tls_hostname ? p->tls_hostname : p->path ? NULL : p->bind ? p->bind : "localhost";
    return nbd_list(address, creds, host, error);
}

static int start(Program *p)
{
    g_autoptr(GError) error = NULL;
    int status = 1;
    if (p->fork && !p->list && go_to_background(p, &status))
        return status;
    Loop *loop = loop_new();
    p->m.vm = vm_new(loop);
    FdStore *fds = p->m.vm->fds = fd_store_new();
    bool ok = run(p, &error);
    if (!ok)
        g_printerr("qemu-nbd: %s\n", error->message);
    vm_free(p->m.vm);
    fd_store_free(fds);
    loop_free(loop);
    return !ok;
}

int nbd_main(int argc, char **argv)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new(), objects = g_ptr_array_new();
    Program p = {.m = {.name = "qemu-nbd", .args = args}, .objects = objects, .shared = 1, .ready = -1};
    g_autoptr(GError) error = NULL;
    for (int c; (c = getopt_long(argc, argv, "hVb:o:p:rsnc:dvk:e:f:tl:x:D:AB:T:L", long_options, NULL)) >= 0;) {
        if (c == 'h') {
            help();
            return 0;
        }
        if (c == 'V') {
            printf("qemu-nbd %s (Myna)\n", MYNA_VERSION);
            return 0;
        }
        if (!set_option(&p, c, optarg, &error)) {
            g_printerr("qemu-nbd: %s\n", error->message);
            return 1;
        }
    }
    for (int i = optind; i < argc; i++)
        g_ptr_array_add(args, argv[i]);
    if (args->len != !p.list || (p.path && (p.port || p.bind))) {
        g_printerr("qemu-nbd: %s\nTry `qemu-nbd --help' for more information.\n",
                   args->len != !p.list ? "Invalid number of arguments" : "--socket goes without --port and --bind");
        return 1;
    }
    return start(&p);
}
