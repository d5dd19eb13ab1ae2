/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audio back ends (-audiodev), found by id as service "audiodev", and the voices of sound cards.
 *
 * A card owns the time: on its timer, each audio_period_ns() or so, it writes as many frames as its rate
 * asks for since the last time. Back ends convert to their own form and mix what several voices say; the
 * same form arrives unchanged, bit for bit. Making and freeing: control thread; the rest: any thread.
 */
#ifndef AUDIO_AUDIO_H
#define AUDIO_AUDIO_H

#include "core/vm.h"
#include "qapi/qapi-types-audio.h"

typedef struct AudioBackend AudioBackend;
typedef struct AudioVoice AudioVoice;

enum { AUDIO_MAX_RATE = 192000, AUDIO_MAX_CHANNELS = 16, AUDIO_GAIN_ONE = 65536 };

/* How frames look: interleaved, little-endian. */
typedef struct AudioPcm {
    uint32_t rate;              /* Hz, at most AUDIO_MAX_RATE */
    uint8_t channels;           /* 1 to AUDIO_MAX_CHANNELS: left, right, others */
    AudioFormat sample;
} AudioPcm;
static inline unsigned audio_sample_bytes(AudioFormat f)
{
    return f <= AUDIO_FORMAT_S8 ? 1 : f <= AUDIO_FORMAT_S16 ? 2 : 4;
}
static inline unsigned audio_frame_bytes(const AudioPcm *p) { return p->channels * audio_sample_bytes(p->sample); }

/* "driver,id=…" or JSON. The machine owns it. */
bool audiodev_add_option(Vm *vm, const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* By id, NULL: none. Borrowed. */
AudioBackend *audiodev_find(Vm *vm, const char *id);
/* Time between a card's writes. b NULL: that of a back end without a wish. */
int64_t audio_period_ns(const AudioBackend *b);

/* Something that plays. b NULL: silently. */
AudioVoice *audio_voice_new(AudioBackend *b);
void audio_voice_free(AudioVoice *v);                   /* NULL is fine */
/* Sound of that form follows, until it stops or starts again in another. */
void audio_voice_start(AudioVoice *v, const AudioPcm *pcm);
void audio_voice_stop(AudioVoice *v);
/* Parts of AUDIO_GAIN_ONE; 0: silent. */
void audio_voice_gain(AudioVoice *v, uint32_t left, uint32_t right);
void audio_voice_write(AudioVoice *v, const void *frames, size_t n_frames);
/* What was recorded: n frames. */
void audio_record(AudioBackend *b, const AudioPcm *pcm, void *frames, size_t n_frames);

#endif
