/* SPDX-License-Identifier: Apache-2.0 */
/* Images by file name: paths, addresses and json:{…}, formats by content, images below images. */
#include <string.h>
#include "block/internal.h"
#include "qapi/keyval.h"
#include "qapi/type.h"
#include "util/suggest.h"

/* ---- names ---- */

static bool has_protocol(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-");
    return n && name[n] == ':';
}

/* A relative name is meant from where the image that tells it lies. */
char *block_full_name(const char *base, const char *name)
{
    const char *slash = strrchr(base, '/');
    if (has_protocol(name) || *name == '/' || !slash || has_protocol(base))
        return g_strdup(name);
    return g_strdup_printf("%.*s%s", (int)(slash - base + 1), base, name);
}

static bool nbd_place(const char *text, Json *o, GError **error)
{
    Json *server = json_object();
    json_set(o, "server", server);
    if (g_str_has_prefix(text, "unix:")) {
        g_auto(GStrv) parts = g_strsplit(text + 5, ":exportname=", 2);
        json_set_text(server, "type", "unix");
        json_set_text(server, "path", parts[0]);
        if (parts[1])
            json_set_text(o, "export", parts[1]);
        return true;
    }
    g_auto(GStrv) parts = g_strsplit(text, ":exportname=", 2);
    char *colon = strrchr(parts[0], ':');
    if (!colon)
        return error_set(error, "nbd:%s: expected HOST:PORT or unix:PATH", text);
    *colon = '\0';
    json_set_text(server, "type", "inet");
    json_set_text(server, "host", parts[0]);
    json_set_text(server, "port", colon + 1);
    if (parts[1])
        json_set_text(o, "export", parts[1]);
    return true;
}

static bool nbd_uri(const char *uri, Json *o, GError **error)
{
    g_autoptr(GUri) u = g_uri_parse(uri, G_URI_FLAGS_NONE, error);
    if (!u)
        return false;
    Json *server = json_object();
    const char *path = g_uri_get_path(u);
    json_set(o, "server", server);
    if (strlen(path) > 1)
        json_set_text(o, "export", path + 1);
    if (!g_str_has_suffix(g_uri_get_scheme(u), "+unix")) {
        g_autofree char *port = g_strdup_printf("%d", g_uri_get_port(u) > 0 ? g_uri_get_port(u) : 10809);
        json_set_text(server, "type", "inet");
        json_set_text(server, "host", g_uri_get_host(u));
        json_set_text(server, "port", port);
        return true;
    }
    g_autoptr(GHashTable) query = g_uri_parse_params(g_uri_get_query(u) ? g_uri_get_query(u) : "", -1, "&",
                                                     G_URI_PARAMS_NONE, error);
    const char *socket = query ? g_hash_table_lookup(query, "socket") : NULL;
    if (!socket)
        return query && error_set(error, "'%s' has no ?socket=PATH", uri);
    json_set_text(server, "type", "unix");
    json_set_text(server, "path", socket);
    return true;
}

/* Options of the storage that a name stands for. */
static Json *storage_options(const char *name, GError **error)
{
    g_autoptr(Json) o = json_object();
    if (g_str_has_prefix(name, "nbd://") || g_str_has_prefix(name, "nbd+")) {
        json_set_text(o, "driver", "nbd");
        return nbd_uri(name, o, error) ? g_steal_pointer(&o) : NULL;
    }
    if (g_str_has_prefix(name, "nbd:")) {
        json_set_text(o, "driver", "nbd");
        return nbd_place(name + 4, o, error) ? g_steal_pointer(&o) : NULL;
    }
    if (g_str_has_prefix(name, "null-co:") || g_str_has_prefix(name, "null-aio:")) {
        g_autofree char *driver = g_strndup(name, strchr(name, ':') - name);
        json_set_text(o, "driver", driver);
        return g_steal_pointer(&o);
    }
    if (g_str_has_prefix(name, "file:")) {
        name += 5;
    } else if (has_protocol(name) && !g_file_test(name, G_FILE_TEST_EXISTS)) {
        g_autofree char *protocol = g_strndup(name, strchr(name, ':') - name);
        error_set(error, "Unknown protocol '%s'", protocol);
        return NULL;
    }
    bool device = g_str_has_prefix(name, "/dev/") && !g_str_has_prefix(name, "/dev/fdset/") &&
                  !g_file_test(name, G_FILE_TEST_IS_REGULAR);
    json_set_text(o, "driver", device ? "host_device" : "file");
    json_set_text(o, "filename", name);
    return g_steal_pointer(&o);
}

/* ---- options ---- */

static void merge(Json *to, const Json *from)
{
    for (size_t i = 0; i < json_length(from); i++)
        if (strcmp(json_key_at(from, i), "file") || json_type(json_at(from, i)) != JSON_OBJECT)
            json_set(to, json_key_at(from, i), json_ref(json_at(from, i)));
}

static void set_default(Json *o, const char *key, const char *value)
{
    if (value && !json_get(o, key))
        json_set_text(o, key, value);
}

/* The storage takes over from the format's options what it does not say itself. */
static void pass_down(const Json *format, Json *storage, bool read_only)
{
    const Json *cache = json_get(format, "cache");
    if (cache && !json_get(storage, "cache"))
        json_set(storage, "cache", json_ref((Json *)cache));
    set_default(storage, "read-only", read_only ? "on" : "off");
    if (!read_only)
        set_default(storage, "auto-read-only", json_get_text(format, "auto-read-only"));
    set_default(storage, "force-share", json_get_text(format, "force-share"));
    set_default(storage, "discard", "unmap");
}

static BlockNode *open_json(Vm *vm, const Json *o, QapiInput mode, bool check, GError **error)
{
    g_autoptr(BlockdevOptions) options = qapi_from_json(&blockdev_options_type, o, mode, error);
    return options ? block_open_for(vm, options, check, error) : NULL;
}

/* json:{…} holds what blockdev-add takes, with strings instead of other scalars allowed; a driver
 * that is missing is raw over what the file says. */
static BlockNode *open_pseudo_json(Vm *vm, const BlockOpen *w, GError **error)
{
    g_autoptr(Json) text = json_parse(w->filename + 5, error);
    if (!text || json_type(text) != JSON_OBJECT) {
        if (text)
            error_set(error, "Invalid JSON options: an object is needed");
        g_prefix_error(error, "Could not parse the JSON options: ");
        return NULL;
    }
    g_autoptr(Json) o = json_shallow_copy(text);
    if (!json_get(o, "driver"))
        json_set_text(o, "driver", w->format ? w->format : "raw");
    if (w->read_only && !json_get(o, "read-only"))
        json_set(o, "read-only", json_bool(true));
    g_autoptr(GError) strict = NULL;
    BlockNode *n = open_json(vm, o, QAPI_STRICT, w->check, &strict);
    if (!n)
        g_propagate_error(error, g_steal_pointer(&strict));
    return n;
}

static void warn_guess(const char *filename)
{
    g_printerr("WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
               "         Automatically detecting the format is dangerous for raw images, write operations "
               "on block 0 will be restricted.\n"
               "         Specify the 'raw' format explicitly to remove the restrictions.\n", filename);
}

/* The format's node over a storage node, which it will close. */
static BlockNode *open_format(Vm *vm, const BlockOpen *w, BlockNode *storage, GError **error)
{
    g_autoptr(Json) o = json_object();
    const BlockDriver *probed = w->format ? NULL : block_probe(storage);
    if (!w->format && !probed) {
        error_set(error, "Could not read image for determining its format");
        return NULL;
    }
    merge(o, w->options);
    json_set_text(o, "driver", probed ? probed->name : w->format);
    json_set_text(o, "file", storage->name);
    json_set_text(o, "read-only", w->read_only || storage->read_only ? "on" : "off");
    json_remove(o, "auto-read-only");
    if (w->no_backing && g_strcmp0(json_get_text(o, "driver"), "qcow2") == 0)
        json_set(o, "backing", json_null());
    BlockdevDriver id;
    if (!blockdev_driver_parse(json_get_text(o, "driver"), &id) || block_driver(id)->protocol) {
        error_set(error, "Unknown driver '%s'", json_get_text(o, "driver"));
        suggest_append(error, json_get_text(o, "driver"), blockdev_driver_type.values);
        return NULL;
    }
    BlockNode *n = open_json(vm, o, QAPI_KEYVAL, w->check, error);
    if (!n)
        return NULL;
    block_find_user(storage, n, NULL, NULL)->own = true;
    n->probed = probed && !strcmp(probed->name, "raw");
    if (n->probed && !w->quiet && !w->read_only)
        warn_guess(w->filename);
    return n;
}

BlockNode *block_open_file(Vm *vm, const BlockOpen *w, GError **error)
{
    g_autoptr(GError) why = NULL;
    BlockNode *n = NULL;
    if (g_str_has_prefix(w->filename, "json:"))
        return open_pseudo_json(vm, w, error);
    g_autoptr(Json) storage = storage_options(w->filename, &why);
    if (storage) {
        merge(storage, json_get(w->options, "file"));
        pass_down(w->options, storage, w->read_only);
        BlockNode *s = open_json(vm, storage, QAPI_KEYVAL, false, &why);
        n = s ? open_format(vm, w, s, &why) : NULL;
        if (s && !n && block_find(vm, s->name) == s)
            block_free(s);
    }
    if (!n) {
        if (!g_str_has_prefix(why->message, "Could not open '"))
            g_prefix_error(&why, "Could not open '%s': ", w->filename);
        g_propagate_error(error, g_steal_pointer(&why));
    }
    return n;
}

enum { MAX_CHAIN = 200 };

/* An image that is being opened waits for those below. */
static void count_opening(BlockNode *n, void *count) { *(unsigned *)count += n->opening; }

BlockNode *block_open_backing(BlockNode *n, const char *name, const char *format, GError **error)
{
    g_autofree char *full = block_full_name(n->file && n->file->filename ? n->file->filename : "", name);
    g_autoptr(Json) o = json_object(), cache = json_object();
    json_set_text(cache, "direct", n->direct ? "on" : "off");
    json_set_text(cache, "no-flush", n->no_flush ? "on" : "off");
    json_set(o, "cache", json_ref(cache));
    if (n->force_share)
        json_set_text(o, "force-share", "on");
    unsigned chain = 0;
    block_foreach(n->vm, count_opening, &chain);
    if (chain > MAX_CHAIN) {
        error_set(error, "'%s': the chain of backing files is too long, or a circle", full);
        return NULL;
    }
    BlockOpen w = {.filename = full, .format = format, .options = o, .read_only = true, .quiet = true};
    BlockNode *below = block_open_file(n->vm, &w, error);
    if (!below) {
        g_prefix_error(error, "Could not open backing file: ");
        return NULL;
    }
    if (!block_use(below, (BlockUser){.parent = n, .uses = BLOCK_USE_READ,
                                      .shares = n->force_share ? BLOCK_USE_ALL : BLOCK_USE_READ, .own = true},
                   error)) {
        block_free(below);
        return NULL;
    }
    return below;
}

/* ---- facts ---- */

ImageInfo *block_image_info(BlockNode *n, bool deep)
{
    ImageInfo *i = g_new0(ImageInfo, 1);
    i->filename = g_strdup(block_filename(n));
    i->format = g_strdup(n->driver->name);
    i->virtual_size = n->size;
    for (BlockNode *k = n; k; k = k->file)
        if (k->driver->info)
            k->driver->info(k, i);
    if (deep && n->backing)
        i->backing_image = block_image_info(n->backing, true);
    return i;
}
