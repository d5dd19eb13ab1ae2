/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-img: options, images, and the choice of the command. Texts are those that scripts read. */
#include <getopt.h>
#include <math.h>
#include <string.h>

#include "control/img/img.h"
#include "control/tools.h"
#include "qapi/keyval.h"
#include "qapi/qapi-types-block.h"
#include "qapi/type.h"
#include "util/fdstore.h"
#include "util/version.h"

static const struct { const char *name, *options; ImgCommand *run; } commands[] = {
    {"check", "f:r:T:qU", img_check},
    {"commit", "f:t:b:r:dpq", img_commit},
    {"compare", "f:F:T:psqU", img_compare},
    {"convert", "f:O:B:F:cnl:o:S:pqt:T:m:Wr:U", img_convert},
    {"create", "f:o:b:F:uq", img_create},
    {"info", "f:U", img_info},
    {"map", "f:s:l:U", img_map},
    {"measure", "f:O:o:s:l:U", img_measure},
    {"rebase", "f:t:T:b:F:upq", img_rebase},
    {"resize", "f:q", img_resize},
    {"snapshot", "f:la:c:d:qU", img_snapshot},
};

/* ---- for the commands ---- */

char *img_size(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned i = 0;
    frexp(bytes / (1000.0 / 1024.0), (int *)&i);
    i = bytes ? (i - 1) / 10 : 0;
    return g_strdup_printf("%0.3g %s", (double)bytes / (1ull << (i * 10)), units[i]);
}

bool img_number(const char *text, uint64_t *value, GError **error)
{
    return keyval_size(text, value) || error_set(error, "Invalid image size specified. You may use k, M, G, T, P or E "
                                                 "suffixes for kilobytes, megabytes, gigabytes, terabytes, petabytes "
                                                 "and exabytes.");
}

Json *img_options(Img *m, GError **error)
{
    g_autoptr(Json) all = json_object();
    for (unsigned i = 0; i < m->options->len; i++) {
        g_autoptr(Json) o = keyval_parse(m->options->pdata[i], NULL, KEYVAL_LEGACY, error);
        if (!o)
            return NULL;
        for (size_t k = 0; k < json_length(o); k++)
            json_set(all, json_key_at(o, k), json_ref(json_at(o, k)));
    }
    return g_steal_pointer(&all);
}

static bool set_cache(Json *o, const char *mode, bool *writethrough, GError **error)
{
    Json *cache;
    bool direct = !g_strcmp0(mode, "none") || !g_strcmp0(mode, "off") || !g_strcmp0(mode, "directsync");
    bool unsafe = !g_strcmp0(mode, "unsafe");
    if (mode && !direct && !unsafe && strcmp(mode, "writeback") && strcmp(mode, "writethrough"))
        return error_set(error, "Invalid cache option: %s", mode);
    json_set(o, "cache", cache = json_object());
    json_set_text(cache, "direct", direct ? "on" : "off");
    json_set_text(cache, "no-flush", unsafe ? "on" : "off");
    return true;
}

BlockNode *img_open(Img *m, const char *filename, const char *format, const char *cache, const char *flags,
                    GError **error)
{
    g_autoptr(Json) o = json_object();
    bool write = strchr(flags, 'w'), unused;
    if (!set_cache(o, cache, &unused, error))
        return NULL;
    json_set_text(o, "discard", "unmap");
    if (m->share)
        json_set_text(o, "force-share", "on");
    BlockNode *n;
    if (m->image_opts) {
        g_autoptr(Json) given = keyval_parse(filename, NULL, KEYVAL_PLAIN, error);
        if (!given)
            return NULL;
        if (!json_get(given, "driver"))
            json_set_text(given, "driver", "raw");
        json_set_text(given, "read-only", write ? "off" : "on");
        if (m->share)
            json_set_text(given, "force-share", "on");
        g_autoptr(BlockdevOptions) options = qapi_from_json(&blockdev_options_type, given, QAPI_KEYVAL, error);
        n = options ? block_open(m->vm, options, error) : NULL;
    } else {
        BlockOpen w = {.filename = filename, .format = format, .options = o, .read_only = !write,
                       .no_backing = strchr(flags, 'b'), .check = strchr(flags, 'c')};
        n = block_open_file(m->vm, &w, error);
    }
    if (n && !block_take(n, "tool", BLOCK_USE_READ | (write ? BLOCK_USE_WRITE | BLOCK_USE_RESIZE : 0),
                         m->share ? BLOCK_USE_ALL : BLOCK_USE_READ, error)) {
        block_free(n);
        n = NULL;
    }
    if (!n)
        g_prefix_error(error, "Could not open '%s': ", filename);
    return n;
}

int img_extent(BlockNode *n, uint64_t offset, uint64_t bytes, BlockExtent *e)
{
    return block_map(n, NULL, offset, bytes, e);
}

void img_progress(Img *m, uint64_t done, uint64_t all)
{
    if (m->progress) {
        printf("    (%3.2f/100%%)\r", all ? 100.0 * done / all : 100.0);
        fflush(stdout);
    }
}

/* ---- options ---- */

enum { OUTPUT = 256, CHAIN, IMAGE_OPTS, TARGET_OPTS, OBJECT, SHRINK, SIZE, PREALLOC, SALVAGE, START, LENGTH, SHARE, HELP };
static const struct option long_options[] = {
    {"output", required_argument, NULL, OUTPUT}, {"backing-chain", no_argument, NULL, CHAIN},
    {"image-opts", no_argument, NULL, IMAGE_OPTS}, {"object", required_argument, NULL, OBJECT},
    {"shrink", no_argument, NULL, SHRINK}, {"size", required_argument, NULL, SIZE},
    {"preallocation", required_argument, NULL, PREALLOC}, {"salvage", no_argument, NULL, SALVAGE},
    {"start-offset", required_argument, NULL, START}, {"max-length", required_argument, NULL, LENGTH},
    {"force-share", no_argument, NULL, SHARE}, {"help", no_argument, NULL, HELP}, {0},
};

static bool set_option(Img *m, const char *command, int c, char *value, GError **error)
{
    bool snapshot = !strcmp(command, "snapshot"), map = !strcmp(command, "map");
    m->actions += snapshot && c < OUTPUT && strchr("lacd", c);
    switch (c) {
    case 'f': m->format = value; break;
    case 'F': *(!strcmp(command, "compare") ? &m->out_format : &m->backing_format) = value; break;
    case 'O': m->out_format = value; break;
    case 'o': g_ptr_array_add(m->options, value); break;
    case 'b': case 'B': m->backing = value; break;
    case 't': m->cache = value; break;
    case 'T': m->source_cache = value; break;
    case 'r':
        if (strcmp(command, "check"))
            return error_set(error, "-r: rate limits are not implemented");
        m->repair = value;
        break;
    case 'q': m->quiet = true; break;
    case 'p': m->progress = true; break;
    case 'U': case SHARE: m->share = true; break;
    case 'u': m->unsafe = true; break;
    case 's': *(map ? &m->start : &m->snapshot) = value; m->strict = true; break;
    case 'S': m->sparse = value; break;
    case 'l': *(map ? &m->length : &m->snapshot) = value; m->list = snapshot; break;
    case 'n': m->no_create = true; break;
    case 'm': m->workers = value; break;
    case 'W': break;            /* writes are in no order anyway */
    case 'd': case 'a':
        if (!snapshot) {
            m->unsafe = true;   /* commit: leave the top as it is */
            break;
        }
        m->tag = value;
        *(c == 'd' ? &m->remove : &m->apply) = true;
        break;
    case 'c':
        m->tag = value;
        *(snapshot ? &m->create : &m->compress) = true;
        break;
    case OUTPUT:
        if (strcmp(value, "json") && strcmp(value, "human"))
            return error_set(error, "--output must be used with human or json as argument.");
        m->json = !strcmp(value, "json");
        break;
    case CHAIN: m->chain = true; break;
    case IMAGE_OPTS: m->image_opts = true; break;
    case OBJECT: return error_set(error, "--object is not implemented for images yet");
    case SHRINK: m->shrink = true; break;
    case SIZE: m->size = value; break;
    case PREALLOC: m->prealloc = value; break;
    case SALVAGE: m->salvage = true; break;
    case START: m->start = value; break;
    case LENGTH: m->length = value; break;
    case HELP: return error_set(error, "see qemu-img's manual; options of this command: -%s", command);
    default: return error_set(error, "Try 'qemu-img --help' for more information");
    }
    return true;
}

typedef struct Running {
    Img *m;
    ImgCommand *run;
    int status;
    GError *error;
    bool done;
} Running;

static void run_command(void *data)
{
    Running *r = data;
    r->status = r->run(r->m, &r->error);
    r->done = true;
}

static int run(Img *m, ImgCommand *command)
{
    Loop *loop = loop_new();
    Running r = {.m = m, .run = command};
    m->vm = vm_new(loop);
    FdStore *fds = m->vm->fds = fd_store_new();
    run_command(&r);
    if (r.error) {
        fflush(stdout);
        g_printerr("%s: %s\n", m->name, r.error->message);
        r.status = r.status ? r.status : 1;
        g_error_free(r.error);
    }
    vm_free(m->vm);
    fd_store_free(fds);
    loop_free(loop);
    return r.status;
}

static int help(void)
{
    printf("qemu-img version %s\nusage: qemu-img [standard options] command [command options]\nCommands:", MYNA_VERSION);
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
        printf(" %s", commands[i].name);
    printf("\n\nSupported formats:");
    for (unsigned i = 0; blockdev_driver_type.values[i]; i++)
        printf(" %s", blockdev_driver_type.values[i]);
    printf("\n");
    return 0;
}

int img_main(int argc, char **argv)
{
    Img m = {.name = "qemu-img", .options = g_ptr_array_new(), .args = g_ptr_array_new()};
    if (argc > 1 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))) {
        printf("qemu-img version %s (Myna)\n", MYNA_VERSION);
        return 0;
    }
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return help();
    unsigned i = 0;
    while (argc > 1 && i < G_N_ELEMENTS(commands) && strcmp(commands[i].name, argv[1]))
        i++;
    if (argc < 2 || i == G_N_ELEMENTS(commands)) {
        if (argc < 2)
            g_printerr("qemu-img: Not enough arguments\n");
        else
            g_printerr("qemu-img: Command not found: %s\n", argv[1]);
        g_printerr("Try 'qemu-img --help' for more information\n");
        return 1;
    }
    optind = 1;
    g_autoptr(GError) error = NULL;
    for (int c; !error && (c = getopt_long(argc - 1, argv + 1, commands[i].options, long_options, NULL)) >= 0;)
        if (!set_option(&m, commands[i].name, c, optarg, &error)) {
            g_printerr("qemu-img: %s\n", error->message);
            return 1;
        }
    for (int k = optind; k < argc - 1; k++)
        g_ptr_array_add(m.args, argv[k + 1]);
    int status = run(&m, commands[i].run);
    g_ptr_array_unref(m.options);
    g_ptr_array_unref(m.args);
    return status;
}
