/* SPDX-License-Identifier: Apache-2.0 */
/* blkread DEVICE SECONDS: random 4 KiB reads past the page cache, one after the other. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
    void *buffer;
    uint32_t state = 1;
    if (fd < 0 || posix_memalign(&buffer, 4096, 4096)) {
        perror("blkread DEVICE SECONDS");
        return 1;
    }
    off_t pages = lseek(fd, 0, SEEK_END) / 4096;
    long count = 0;
    double start = now(), end = start + atof(argv[2]);
    while (now() < end) {
        for (int i = 0; i < 64; i++, count++) {
            state = state * 1664525u + 1013904223u;
            if (pread(fd, buffer, 4096, (off_t)((state >> 8) % pages) * 4096) != 4096) {
                perror("pread");
                return 1;
            }
        }
    }
    printf("MYNA-IOPS %.0f %ld\n", count / (now() - start), count);
    return 0;
}
