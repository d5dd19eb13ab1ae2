/* SPDX-License-Identifier: Apache-2.0 */
/* bench [-b] NAME...|GROUP...|all: runs programs, prints "name seconds checksum" for each. */
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const Bench *const groups[] = {
    bench_integer, bench_fp, bench_simd, bench_memory, bench_system, bench_smp,
};

void *bench_alloc(size_t size)
{
    void *memory = malloc(size);
    if (!memory) {
        perror("malloc");
        exit(1);
    }
    memset(memory, 0, size);
    return memory;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int wanted(const Bench *b, char **names)
{
    for (; *names; names++) {
        if (!strcmp(*names, "all") || !strcmp(*names, b->name) || !strcmp(*names, b->group)) {
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    int marks = argc > 1 && !strcmp(argv[1], "-b");     /* marks for a clock outside the guest */
    char **names = argv + 1 + marks;
    if (!*names) {
        for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
            for (const Bench *b = groups[g]; b->name; b++) {
                printf("%s %s\n", b->name, b->group);
            }
        }
        return 0;
    }
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        for (const Bench *b = groups[g]; b->name; b++) {
            if (!wanted(b, names)) {
                continue;
            }
            if (marks) {
                printf("MYNA-BEGIN %s\n", b->name);
                fflush(stdout);
            }
            double start = now();
            uint64_t sum = b->run();
            double seconds = now() - start;
            printf("%s%s %.4f %016llx\n", marks ? "MYNA-RESULT " : "", b->name, seconds,
                   (unsigned long long)sum);
            fflush(stdout);
        }
    }
    return 0;
}
