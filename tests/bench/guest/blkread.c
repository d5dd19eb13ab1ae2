/* SPDX-License-Identifier: Apache-2.0 */
/* blkread DEVICE SECONDS [random|sequential]: reads past the page cache, one after the other: 4 KiB anywhere,
 * or 256 KiB in order. Says how many a second. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    int fd = argc >= 3 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
    int in_order = argc > 3 && !strcmp(argv[3], "sequential");
    size_t size = in_order ? 256 << 10 : 4096;
    void *buffer;
    uint32_t state = 1;
    if (fd < 0 || posix_memalign(&buffer, 4096, size)) {
        perror("blkread DEVICE SECONDS [random|sequential]");
        return 1;
    }
    off_t pieces = lseek(fd, 0, SEEK_END) / size;
    long count = 0;
    double start = now(), end = start + atof(argv[2]);
    while (now() < end) {
        for (int i = 0; i < 64; i++, count++) {
            state = state * 1664525u + 1013904223u;
            off_t which = (in_order ? (off_t)count : (off_t)(state >> 8)) % pieces;
            if (pread(fd, buffer, size, which * (off_t)size) != (ssize_t)size) {
                perror("pread");
                return 1;
            }
        }
    }
    printf("MYNA-IOPS %.0f %ld\n", count / (now() - start), count);
    return 0;
}
