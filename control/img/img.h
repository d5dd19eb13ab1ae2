/* SPDX-License-Identifier: Apache-2.0 */
/* qemu-img: what its commands share. They run in fibers of one loop, so that code may wait for images. */
#ifndef CONTROL_IMG_IMG_H
#define CONTROL_IMG_IMG_H

#include <stdio.h>

#include "block/block.h"
#include "block/internal.h"

typedef struct Img {
    Vm *vm;
    const char *name;           /* of the program */
    /* Options that several commands have; see img.c. */
    const char *format, *out_format, *cache, *source_cache, *backing, *backing_format, *snapshot, *sparse;
    GPtrArray *options;         /* -o */
    GPtrArray *args;            /* what is no option */
    bool json, quiet, progress, share, image_opts, chain, compress, no_create, unsafe, strict, shrink, salvage;
    bool list, create, apply, remove;
    unsigned actions;           /* how many of these */
    const char *tag, *repair, *size, *object, *workers, *prealloc, *start, *length;
} Img;

typedef int ImgCommand(Img *m, GError **error);
ImgCommand img_create, img_info, img_check, img_convert, img_map, img_compare, img_resize, img_snapshot, img_measure,
    img_rebase, img_commit;

/* flags: 'w' for writing, 'b' without images below, 'c' to be checked. The caller frees it. */
BlockNode *img_open(Img *m, const char *filename, const char *format, const char *cache, const char *flags,
                    GError **error);
/* Makes an image as create does; options is -o's object or NULL. Prints "Formatting" unless quiet. */
bool img_make(Img *m, const char *filename, const char *format, const Json *options, uint64_t size, bool has_size,
              bool quiet, GError **error);
/* -o a=b,c=d given several times. */
Json *img_options(Img *m, GError **error);
bool img_number(const char *text, uint64_t *value, GError **error);
/* Next stretch that is stored alike, the layers of host files included. */
int img_extent(BlockNode *n, uint64_t offset, uint64_t bytes, BlockExtent *e);
/* The table of snapshots, with its heading. */
void img_list_snapshots(GString *out, const SnapshotInfoList *list);
void img_print_snapshots(const SnapshotInfoList *list);
/* The snapshot that an option names: snapshot.id=…,snapshot.name=…, an id or a name. NULL: none is. The
 * caller frees. */
SnapshotInfo *img_find_snapshot(BlockNode *n, const char *text, GError **error);
/* "1.5 GiB". */
char *img_size(uint64_t bytes);
void img_progress(Img *m, uint64_t done, uint64_t all);

#endif
