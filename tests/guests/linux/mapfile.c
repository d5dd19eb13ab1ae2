/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that a file of sysfs or /dev leads to, for guests whose busybox has no devmem.
 *
 *   mapfile PATH OFFSET              the text there, to its zero
 *   mapfile PATH OFFSET TEXT         puts it there
 *   mapfile PATH OFFSET %            the 32-bit number there
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    struct stat st;
    int fd = argc < 3 ? -1 : open(argv[1], O_RDWR);
    if (fd < 0 || fstat(fd, &st))
        return perror("mapfile"), 1;
    size_t size = st.st_size;
    volatile char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return perror("mmap"), 1;
    p += strtoul(argv[2], NULL, 0);
    if (argc == 3) {
        while (*p)
            putchar(*p++);
        putchar('\n');
    } else if (!strcmp(argv[3], "%")) {
        printf("0x%x\n", *(volatile uint32_t *)p);
    } else {
        for (size_t i = 0; i <= strlen(argv[3]); i++)
            p[i] = argv[3][i];
    }
    return 0;
}
