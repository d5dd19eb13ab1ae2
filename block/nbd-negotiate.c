/* SPDX-License-Identifier: Apache-2.0 */
/* What an NBD client and the server agree on before requests. Spec: doc/proto.md of the NBD project. */
#include <string.h>
#include "block/nbd-proto.h"
#include "block/nbd-serving.h"
#include "util/bytes.h"
#include "util/log.h"

enum { MAX_OPTION = 65536, PREFERRED = 4096, EXPORT_NAME_PADDING = 124 };
#define ALLOCATION_NAME "base:allocation"

static uint16_t flags_of(const Client *c, const NbdExport *e)
{
    uint16_t flags = NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_SEND_FUA | NBD_MULTI_CONN;
    flags |= c->structured ? NBD_SEND_DF : 0;
    return e->writable ? flags | NBD_SEND_TRIM | NBD_SEND_ZEROES : flags | NBD_READ_ONLY;
}

static bool answer(Client *c, uint32_t option, uint32_t type, const void *data, uint32_t n)
{
    uint8_t h[20];
    put_be64(h, NBD_REPLY_MAGIC);
    put_be32(h + 8, option);
    put_be32(h + 12, type);
    put_be32(h + 16, n);
    return nbd_write_all(c, h, sizeof(h)) && nbd_write_all(c, data, n);
}

static bool refuse(Client *c, uint32_t option, uint32_t why, const char *text)
{
    return answer(c, option, NBD_REP_ERROR | why, text, (uint32_t)strlen(text));
}

static bool list(Client *c)
{
    for (unsigned i = 0; i < c->server->exports->len; i++) {
        const NbdExport *e = c->server->exports->pdata[i];
        uint32_t n = (uint32_t)strlen(e->name), more = e->description ? (uint32_t)strlen(e->description) : 0;
        g_autofree uint8_t *data = g_malloc(4 + n + more + 1);
        put_be32(data, n);
        memcpy(data + 4, e->name, n);
        memcpy(data + 4 + n, e->description ? e->description : "", more);
        if (!answer(c, NBD_OPT_LIST, NBD_REP_SERVER, data, 4 + n + more))
            return false;
    }
    return answer(c, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
}

static bool tell_text(Client *c, uint32_t option, uint16_t kind, const char *text)
{
    size_t n = strlen(text);
    g_autofree uint8_t *data = g_malloc(2 + n);
    put_be16(data, kind);
    memcpy(data + 2, text, n);
    return answer(c, option, NBD_REP_INFO, data, (uint32_t)(2 + n));
}

/* What was asked for, and always the size and flags. */
static bool tell(Client *c, uint32_t option, const NbdExport *e, const uint8_t *wanted, unsigned n)
{
    uint8_t sizes[14], facts[12];
    put_be16(sizes, NBD_INFO_BLOCK_SIZE);
    put_be32(sizes + 2, 1);
    put_be32(sizes + 6, PREFERRED);
    put_be32(sizes + 10, NBD_MAX_REQUEST);
    for (unsigned i = 0; i < n; i++) {
        uint16_t kind = get_be16(wanted + 2 * i);
        bool ok = kind == NBD_INFO_NAME ? tell_text(c, option, kind, e->name)
                : kind == NBD_INFO_DESCRIPTION && e->description ? tell_text(c, option, kind, e->description)
                : kind == NBD_INFO_BLOCK_SIZE ? answer(c, option, NBD_REP_INFO, sizes, sizeof(sizes)) : true;
        if (!ok)
            return false;
    }
    put_be16(facts, NBD_INFO_EXPORT);
    put_be64(facts + 2, nbd_export_size(e));
    put_be16(facts + 10, flags_of(c, e));
    return answer(c, option, NBD_REP_INFO, facts, sizeof(facts)) && answer(c, option, NBD_REP_ACK, NULL, 0);
}

static void choose(Client *c, const char *name)
{
    c->export = nbd_export_find(c->server, name);
    c->has_meta = c->meta && !strcmp(c->meta, name);
}

/* INFO and GO: a name, and what to tell of it. */
static bool info(Client *c, uint32_t option, const uint8_t *data, uint32_t n)
{
    uint32_t n_name = n >= 6 ? get_be32(data) : UINT32_MAX;
    if (n_name > n - 6)
        return refuse(c, option, NBD_ERR_INVALID, "name longer than the option");
    unsigned wanted = get_be16(data + 4 + n_name);
    if (n - 6 - n_name != 2 * wanted)
        return refuse(c, option, NBD_ERR_INVALID, "list of another length than the option");
    g_autofree char *name = g_strndup((const char *)data + 4, n_name);
    NbdExport *e = nbd_export_find(c->server, name);
    if (!e) {
        g_autofree char *text = g_strdup_printf("export '%s' not present", name);
        return refuse(c, option, NBD_ERR_UNKNOWN, text);
    }
    if (!tell(c, option, e, data + 6 + n_name, wanted))
        return false;
    /* It may have been removed while we wrote. */
    if (option == NBD_OPT_GO)
        choose(c, name);
    return option != NBD_OPT_GO || c->export;
}

/* Contexts of metadata: of which there is one. A query that ends with ':' lists what begins so. */
static bool meta(Client *c, uint32_t option, const uint8_t *data, uint32_t n)
{
    bool set = option == NBD_OPT_SET_META, match = false;
    uint32_t n_name = n >= 8 ? get_be32(data) : UINT32_MAX;
    if (!c->structured || n_name > n - 8)
        return refuse(c, option, NBD_ERR_INVALID, "needs structured replies, a name and queries");
    g_autofree char *name = g_strndup((const char *)data + 4, n_name);
    uint32_t queries = get_be32(data + 4 + n_name), at = 8 + n_name;
    if (!nbd_export_find(c->server, name))
        return refuse(c, option, NBD_ERR_UNKNOWN, "export not present");
    match = !queries && !set;
    for (uint32_t i = 0; i < queries; i++) {
        uint32_t length = n - at >= 4 ? get_be32(data + at) : UINT32_MAX;
        if (n - at < 4 || length > n - at - 4)
            return refuse(c, option, NBD_ERR_INVALID, "queries longer than the option");
        const char *query = (const char *)data + at + 4;
        match |= length == strlen(ALLOCATION_NAME) && !memcmp(query, ALLOCATION_NAME, length);
        match |= !set && length == 5 && !memcmp(query, ALLOCATION_NAME, length);
        at += 4 + length;
    }
    if (at != n)
        return refuse(c, option, NBD_ERR_INVALID, "option longer than its queries");
    if (set) {
        g_clear_pointer(&c->meta, g_free);
        c->meta = match ? g_steal_pointer(&name) : NULL;
    }
    uint8_t found[4 + sizeof(ALLOCATION_NAME) - 1];
    put_be32(found, set ? NBD_ALLOCATION : 0);
    memcpy(found + 4, ALLOCATION_NAME, sizeof(found) - 4);
    return (!match || answer(c, option, NBD_REP_META, found, sizeof(found))) && answer(c, option, NBD_REP_ACK, NULL, 0);
}

static bool by_name(Client *c, const uint8_t *data, uint32_t n)
{
    uint8_t facts[10 + EXPORT_NAME_PADDING] = {0};
    g_autofree char *name = g_strndup((const char *)data, n);
    choose(c, name);
    if (!c->export)
        return false;           /* there is no way to say it */
    put_be64(facts, nbd_export_size(c->export));
    put_be16(facts + 8, flags_of(c, c->export));
    return nbd_write_all(c, facts, c->no_zeroes ? 10 : sizeof(facts));
}

static bool start_tls(Client *c)
{
    g_autoptr(GError) error = NULL;
    if (!answer(c, NBD_OPT_STARTTLS, NBD_REP_ACK, NULL, 0) ||
        !wire_start_tls(c->wire, c->server->creds, NULL, c->server->authz, &error))
        return false;
    for (int done; (done = wire_shake(c->wire, &error)) <= 0;) {
        if (done < 0 || c->closing) {
            log_write("NBD: a client's TLS: %s\n", error ? error->message : "ended");
            return false;
        }
        nbd_wait_for(c, wire_events(c->wire) & G_IO_OUT);
    }
    c->secure = true;
    return true;
}

static bool run_option(Client *c, uint32_t option, const uint8_t *data, uint32_t n)
{
    bool need_tls = c->server->creds && !c->secure;
    if (option == NBD_OPT_ABORT)
        return answer(c, option, NBD_REP_ACK, NULL, 0) && false;
    if (need_tls && option == NBD_OPT_EXPORT_NAME)
        return false;
    if (need_tls && option != NBD_OPT_STARTTLS)
        return refuse(c, option, NBD_ERR_TLS_REQD, "Option needs TLS");
    switch (option) {
    case NBD_OPT_EXPORT_NAME: return by_name(c, data, n);
    case NBD_OPT_LIST: return n ? refuse(c, option, NBD_ERR_INVALID, "LIST has no data") : list(c);
    case NBD_OPT_INFO: case NBD_OPT_GO: return info(c, option, data, n);
    case NBD_OPT_STARTTLS:
        if (n)
            return refuse(c, option, NBD_ERR_INVALID, "STARTTLS has no data");
        if (!c->server->creds || c->secure)
            return refuse(c, option, c->secure ? NBD_ERR_INVALID : NBD_ERR_POLICY, "TLS is not configured, or in use");
        return start_tls(c);
    case NBD_OPT_STRUCTURED:
        if (n)
            return refuse(c, option, NBD_ERR_INVALID, "STRUCTURED_REPLY has no data");
        c->structured = true;
        return answer(c, option, NBD_REP_ACK, NULL, 0);
    case NBD_OPT_LIST_META: case NBD_OPT_SET_META: return meta(c, option, data, n);
    default: return refuse(c, option, NBD_ERR_UNSUP, "Unsupported option");
    }
}

bool nbd_negotiate(Client *c)
{
    uint8_t hello[18], flags[4];
    put_be64(hello, NBD_INIT_MAGIC);
    put_be64(hello + 8, NBD_OPTION_MAGIC);
    put_be16(hello + 16, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
    if (!nbd_write_all(c, hello, sizeof(hello)) || !nbd_read_all(c, flags, sizeof(flags)))
        return false;
    uint32_t theirs = get_be32(flags);
    if (!(theirs & NBD_FIXED_NEWSTYLE) || theirs & ~(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES))
        return false;
    c->no_zeroes = theirs & NBD_NO_ZEROES;
    g_autofree uint8_t *data = g_malloc(MAX_OPTION);
    while (!c->export) {
        uint8_t h[16];
        if (!nbd_read_all(c, h, sizeof(h)) || get_be64(h) != NBD_OPTION_MAGIC)
            return false;
        uint32_t option = get_be32(h + 8), n = get_be32(h + 12);
        bool fits = n <= MAX_OPTION;
        if (fits ? !nbd_read_all(c, data, n) || !run_option(c, option, data, n)
                 : !nbd_skip(c, n) || !refuse(c, option, NBD_ERR_TOO_BIG, "option too long"))
            return false;
    }
    return true;
}
