/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-img snapshot, and finding a snapshot for others. */
#include <string.h>

#include "control/img/img.h"
#include "qapi/keyval.h"

static bool matches(const SnapshotInfo *s, const char *id, const char *name)
{
    return (!id || !strcmp(s->id, id)) && (!name || !strcmp(s->name, name));
}

static SnapshotInfo *find(BlockNode *n, const char *id, const char *name)
{
    g_autoptr(ImageInfo) i = block_image_info(n, false);
    for (size_t k = 0; i->snapshots && k < i->snapshots->count; k++)
        if (matches(i->snapshots->items[k], id, name)) {
            SnapshotInfo *found = g_new0(SnapshotInfo, 1);
            found->id = g_strdup(i->snapshots->items[k]->id);
            found->name = g_strdup(i->snapshots->items[k]->name);
            return found;
        }
    return NULL;
}

SnapshotInfo *img_find_snapshot(BlockNode *n, const char *text, GError **error)
{
    SnapshotInfo *s;
    if (g_str_has_prefix(text, "snapshot.")) {
        g_autoptr(Json) o = keyval_parse(text, NULL, KEYVAL_LEGACY, error);
        const char *id = o ? json_get_text(o, "snapshot.id") : NULL;
        const char *name = o ? json_get_text(o, "snapshot.name") : NULL;
        if (!o)
            return NULL;
        if (!id && !name) {
            error_set(error, "-l expects snapshot.id= or snapshot.name=, an id or a name");
            return NULL;
        }
        s = find(n, id, name);
    } else {
        s = find(n, text, NULL);
        s = s ? s : find(n, NULL, text);
    }
    if (!s)
        error_set(error, "snapshot not found");
    return s;
}

static void list(BlockNode *n)
{
    g_autoptr(ImageInfo) i = block_image_info(n, false);
    if (i->snapshots && i->snapshots->count)
        img_print_snapshots(i->snapshots);
}

static bool act(Img *m, BlockNode *n, GError **error)
{
    static const char *const verbs[] = {"create", "apply", "delete"};
    BlockSnapshotOp op = m->create ? SNAPSHOT_CREATE : m->apply ? SNAPSHOT_APPLY : SNAPSHOT_DELETE;
    int64_t now = g_get_real_time();
    SnapshotInfo made = {.name = (char *)m->tag, .date_sec = now / G_USEC_PER_SEC,
                         .date_nsec = now % G_USEC_PER_SEC * 1000};
    g_autoptr(SnapshotInfo) found = m->create ? NULL : img_find_snapshot(n, m->tag, error);
    if ((m->create || found) && block_snapshot(n, op, m->create ? &made : found, error))
        return true;
    g_prefix_error(error, "Could not %s snapshot '%s': ", verbs[op], m->tag);
    return false;
}

int img_snapshot(Img *m, GError **error)
{
    if (m->actions > 1) {
        error_set(error, "Cannot mix '-l', '-a', '-c', '-d'");
        return 1;
    }
    if (m->args->len != 1) {
        error_set(error, "Expecting one image file name");
        return 1;
    }
    bool change = m->create || m->apply || m->remove;
    BlockNode *n = img_open(m, m->args->pdata[0], m->format, NULL, change ? "wb" : "b", error);
    if (!n)
        return 1;
    if (change)
        act(m, n, error);
    else
        list(n);
    block_release(n, "tool");
    block_free(n);
    return *error != NULL;
}
