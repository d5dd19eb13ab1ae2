/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many frames are due: a stream's clock. It follows virtual time without drift; when the host comes late,
 * sound is late, too, but nothing is left out.
 */
#ifndef AUDIO_PACE_H
#define AUDIO_PACE_H

#include <stdint.h>
#include <glib.h>

/* Saved as it is. */
typedef struct Pace {
    int64_t origin;             /* virtual ns: of the second that runs */
    uint64_t done;              /* frames of it that have passed */
} Pace;

enum { PACE_MAX_LATE_MS = 50 };
#define PACE_SECOND 1000000000ll

static inline void pace_start(Pace *p, int64_t now) { *p = (Pace){now, 0}; }

/* rate > 0 */
static inline uint32_t pace_due(Pace *p, uint32_t rate, int64_t now)
{
    int64_t late;
    uint32_t most = rate * PACE_MAX_LATE_MS / 1000 + 1;

    if (p->done > rate || __builtin_sub_overflow(now, p->origin, &late) || late < 0 || late > 100 * PACE_SECOND)
        pace_start(p, now);
    uint64_t total = (uint64_t)(now - p->origin) * rate / PACE_SECOND, due = total > p->done ? total - p->done : 0;
    if (due > most) {
        p->origin += (int64_t)((due - most) * PACE_SECOND / rate);
        due = most;
    }
    return due;
}

static inline void pace_pass(Pace *p, uint32_t rate, uint32_t frames)
{
    p->done += frames;
    for (; p->done >= rate; p->done -= rate)
        p->origin += PACE_SECOND;
}

/* When so many frames more will be due. */
static inline int64_t pace_when(const Pace *p, uint32_t rate, uint32_t frames)
{
    return p->origin + (int64_t)(((p->done + frames) * PACE_SECOND + rate - 1) / rate);
}

#endif
