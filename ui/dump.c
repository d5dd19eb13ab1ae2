/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a console as files: PPM (netpbm's P6) and PNG. */
#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <string.h>

#include "ui/console.h"
#include "util/error.h"

/* A line as bytes: red, green, blue. */
static void line_rgb(const Surface *s, unsigned y, uint8_t *out)
{
    const uint32_t *pixels = surface_line(s, y);

    for (unsigned x = 0; x < s->width; x++) {
        *out++ = pixels[x] >> 16;
        *out++ = pixels[x] >> 8;
        *out++ = pixels[x];
    }
}

static bool write_ppm(const Surface *s, FILE *f)
{
    g_autofree uint8_t *line = g_malloc_n(s->width, 3);

    fprintf(f, "P6\n%u %u\n255\n", s->width, s->height);
    for (unsigned y = 0; y < s->height; y++) {
        line_rgb(s, y, line);
        fwrite(line, 3, s->width, f);
    }
    return !ferror(f);
}

static bool write_png(const Surface *s, FILE *f)
{
    g_autofree uint8_t *picture = g_malloc_n((size_t)s->width * s->height, 3);
    png_image image = {.version = PNG_IMAGE_VERSION, .width = s->width, .height = s->height,
                       .format = PNG_FORMAT_RGB};

    for (unsigned y = 0; y < s->height; y++) {
        line_rgb(s, y, picture + (size_t)y * s->width * 3);
    }
    return png_image_write_to_stdio(&image, f, 0, picture, 0, NULL);
}

bool console_dump(Console *c, const char *filename, bool png, GError **error)
{
    console_invalidate(c);
    console_refresh(c);
    FILE *f = fopen(filename, "wbe");
    if (!f) {
        return error_set(error, "failed to open file '%s': %s", filename, g_strerror(errno));
    }
    bool ok = png ? write_png(console_surface(c), f) : write_ppm(console_surface(c), f);
    int why = errno;
    if (fclose(f) != 0) {
        why = errno;
        ok = false;
    }
    return ok || error_set(error, "could not write the picture to '%s': %s", filename,
                           g_strerror(why));
}
