/* SPDX-License-Identifier: Apache-2.0 */
/* Sound into a file. Format: RIFF, "Multimedia Programming Interface and Data Specifications 1.0". */
#include <errno.h>
#include <string.h>

#include "audio/internal.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/log.h"

enum { HEADER = 44, PCM = 1, FLOAT = 3 };

/* What the header says is true whenever nobody plays. */
static void write_header(AudioBackend *b)
{
    uint8_t h[HEADER] = "RIFF....WAVEfmt ";
    unsigned frame = audio_frame_bytes(&b->pcm);
    uint32_t bytes = (uint32_t)MIN(b->written, UINT32_MAX - HEADER);

    bytes_store(h + 4, HEADER - 8 + bytes, 4);
    bytes_store(h + 16, 16, 4);
    bytes_store(h + 20, b->pcm.sample == AUDIO_FORMAT_F32 ? FLOAT : PCM, 2);
    bytes_store(h + 22, b->pcm.channels, 2);
    bytes_store(h + 24, b->pcm.rate, 4);
    bytes_store(h + 28, b->pcm.rate * frame, 4);
    bytes_store(h + 32, frame, 2);
    bytes_store(h + 34, 8 * audio_sample_bytes(b->pcm.sample), 2);
    memcpy(h + 36, "data", 4);
    bytes_store(h + 40, bytes, 4);
    if (fseek(b->file, 0, SEEK_SET) || fwrite(h, HEADER, 1, b->file) != 1 || fflush(b->file) ||
        fseek(b->file, 0, SEEK_END)) {
        b->failed = true;
    }
}

static bool open_file(AudioBackend *b, GError **error)
{
    const char *path = b->options->u.wav->path ? b->options->u.wav->path : "qemu.wav";

    if (b->pcm.sample != AUDIO_FORMAT_U8 && b->pcm.sample != AUDIO_FORMAT_S16 &&
        b->pcm.sample != AUDIO_FORMAT_S32 && b->pcm.sample != AUDIO_FORMAT_F32) {
        return error_set(error, "out.format=%s: WAVE files hold u8, s16, s32 or f32",
                         audio_format_type.values[b->pcm.sample]);
    }
    b->file = fopen(path, "wb+e");
    if (!b->file) {
        return error_set(error, "cannot write '%s': %s", path, g_strerror(errno));
    }
    write_header(b);
    return true;
}

static void close_file(AudioBackend *b)
{
    if (b->file) {
        write_header(b);
        fclose(b->file);
    }
}

static void write_frames(AudioBackend *b, const void *data, size_t bytes)
{
    if (b->failed || fwrite(data, 1, bytes, b->file) != bytes) {
        if (!b->failed) {
            log_write("audiodev %s: cannot write: %s\n", b->options->id, g_strerror(errno));
        }
        b->failed = true;
        return;
    }
    b->written += bytes;
}

const AudioDriver audio_wav = {
    .open = open_file, .close = close_file, .write = write_frames, .idle = write_header,
};
