/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's half of the sound test, by the kernel's PCM and control calls. Spec: sound/asound.h.
 *
 *   sound set NAME VALUE             a mixer control, all its channels
 *   sound play RATE FRAMES           16-bit stereo of a pattern that the host knows
 *   sound record RATE FRAMES         how many of the bytes that come are not zero
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>
#include <sound/asound.h>

enum { CHANNELS = 2, PERIOD = 4096 };

static int die(const char *what)
{
    fprintf(stderr, "sound: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_or_die(const char *path)
{
    int fd = open(path, O_RDWR);
    return fd < 0 ? die(path) : fd;
}

static void set_control(const char *name, long value)
{
    int fd = open_or_die("/dev/snd/controlC0");
    struct snd_ctl_elem_info info = {.id.iface = SNDRV_CTL_ELEM_IFACE_MIXER};
    struct snd_ctl_elem_value v = {0};
    strncpy((char *)info.id.name, name, sizeof(info.id.name) - 1);
    if (ioctl(fd, SNDRV_CTL_IOCTL_ELEM_INFO, &info) < 0)
        die(name);
    v.id = info.id;
    for (unsigned i = 0; i < info.count; i++)
        v.value.integer.value[i] = value;
    if (ioctl(fd, SNDRV_CTL_IOCTL_ELEM_WRITE, &v) < 0)
        die(name);
    printf("MYNA-SOUND %s = %ld of %ld\n", name, value, info.value.integer.max);
}

static void choose(struct snd_pcm_hw_params *p, unsigned mask, unsigned bit)
{
    struct snd_mask *m = &p->masks[mask - SNDRV_PCM_HW_PARAM_FIRST_MASK];
    memset(m, 0, sizeof(*m));
    m->bits[bit / 32] = 1u << bit % 32;
}

static void range(struct snd_pcm_hw_params *p, unsigned what, unsigned min, unsigned max)
{
    p->intervals[what - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL] = (struct snd_interval){.min = min, .max = max};
}

static void configure(int fd, unsigned rate)
{
    struct snd_pcm_hw_params p = {.rmask = UINT_MAX};
    struct snd_pcm_sw_params w = {.period_step = 1, .avail_min = PERIOD, .stop_threshold = LONG_MAX};
    memset(p.masks, 0xff, sizeof(p.masks));
    for (unsigned i = SNDRV_PCM_HW_PARAM_FIRST_INTERVAL; i <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL; i++)
        range(&p, i, 0, UINT_MAX);
    choose(&p, SNDRV_PCM_HW_PARAM_ACCESS, SNDRV_PCM_ACCESS_RW_INTERLEAVED);
    choose(&p, SNDRV_PCM_HW_PARAM_FORMAT, SNDRV_PCM_FORMAT_S16_LE);
    range(&p, SNDRV_PCM_HW_PARAM_CHANNELS, CHANNELS, CHANNELS);
    range(&p, SNDRV_PCM_HW_PARAM_RATE, rate, rate);
    range(&p, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, PERIOD, PERIOD);
    if (ioctl(fd, SNDRV_PCM_IOCTL_HW_PARAMS, &p) < 0)
        die("hw_params");
    unsigned buffer = p.intervals[SNDRV_PCM_HW_PARAM_BUFFER_SIZE - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL].min;
    w.start_threshold = buffer;
    w.stop_threshold = buffer;
    w.boundary = buffer;
    if (ioctl(fd, SNDRV_PCM_IOCTL_SW_PARAMS, &w) < 0)
        die("sw_params");
    w.silence_size = w.boundary;        /* behind the end there is silence */
    if (ioctl(fd, SNDRV_PCM_IOCTL_SW_PARAMS, &w) < 0 || ioctl(fd, SNDRV_PCM_IOCTL_PREPARE) < 0)
        die("prepare");
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void play(unsigned rate, unsigned frames)
{
    int fd = open_or_die("/dev/snd/pcmC0D0p");
    int16_t *data = malloc(frames * CHANNELS * sizeof(*data));
    for (unsigned i = 0; i < frames * CHANNELS; i++)
        data[i] = (int16_t)((i + 1) * 2654435761u >> 13);
    configure(fd, rate);
    double start = seconds();
    for (unsigned at = 0; at < frames;) {
        struct snd_xferi x = {.buf = data + at * CHANNELS, .frames = frames - at};
        if (ioctl(fd, SNDRV_PCM_IOCTL_WRITEI_FRAMES, &x) < 0)
            die("write");
        at += x.result;
    }
    if (ioctl(fd, SNDRV_PCM_IOCTL_DRAIN) < 0)
        die("drain");
    printf("MYNA-SOUND played %u in %.2f s\n", frames, seconds() - start);
}

static void record(unsigned rate, unsigned frames)
{
    int fd = open_or_die("/dev/snd/pcmC0D0c");
    int16_t *data = malloc(frames * CHANNELS * sizeof(*data));
    unsigned loud = 0;
    memset(data, 0x55, frames * CHANNELS * sizeof(*data));
    configure(fd, rate);
    if (ioctl(fd, SNDRV_PCM_IOCTL_START) < 0)
        die("start");
    for (unsigned at = 0; at < frames;) {
        struct snd_xferi x = {.buf = data + at * CHANNELS, .frames = frames - at};
        if (ioctl(fd, SNDRV_PCM_IOCTL_READI_FRAMES, &x) < 0)
            die("read");
        at += x.result;
    }
    for (unsigned i = 0; i < frames * CHANNELS; i++)
        loud += data[i] != 0;
    printf("MYNA-SOUND recorded %u, %u loud\n", frames, loud);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    if (strcmp(argv[1], "set") == 0)
        set_control(argv[2], atol(argv[3]));
    else if (strcmp(argv[1], "play") == 0)
        play(atoi(argv[2]), atoi(argv[3]));
    else
        record(atoi(argv[2]), atoi(argv[3]));
    return 0;
}
