/* SPDX-License-Identifier: Apache-2.0 */
/* Back ends' insides. */
#ifndef AUDIO_INTERNAL_H
#define AUDIO_INTERNAL_H

#include <stdio.h>
#include "audio/audio.h"

typedef struct AudioDriver {
    bool (*open)(AudioBackend *b, GError **error);
    void (*close)(AudioBackend *b);
    /* Frames in b->pcm's form; b->lock held. NULL: nobody wants them. */
    void (*write)(AudioBackend *b, const void *data, size_t bytes);
    void (*idle)(AudioBackend *b);      /* the last voice stopped; may be NULL */
} AudioDriver;

struct AudioBackend {
    Audiodev *options;
    const AudioDriver *driver;
    GMutex lock;                /* the rest */
    AudioPcm pcm;
    bool fixed, chosen;         /* pcm never changes; sound in its form was written */
    GPtrArray *voices;
    FILE *file;                 /* wav */
    uint64_t written;
    bool failed;
};

extern const AudioDriver audio_wav;
/* Mixing and conversion, without clocks: audio/mixer.c. */
static inline const AudiodevPerDirectionOptions *audio_out_options(const Audiodev *a)
{
    return a->driver == AUDIODEV_DRIVER_WAV ? a->u.wav->out : a->u.none->out;
}

#endif
