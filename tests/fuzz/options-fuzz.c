/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for command lines and -readconfig files: a word a line, or a file's text. What parses
 * is built as far as it goes with -machine none or a board, and freed again.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/cli/config.h"
#include "tests/fuzz/fuzz.h"

/* Options that would touch the world outside. */
static bool is_harmless(const char *text)
{
    static const char *const no[] = {"/", "-D", "[D", "trace", "file", "pidfile", "fd", "exec", "tap",
                                     "daemon", "unix", "tcp", "udp", "vhost", "path", "prealloc",
                                     "hugetlb", "stdio", "pty", "socket", "gdb", "mon", "serial",
                                     "kvm", "-d", "[d", "readconfig", "chardev", "user", "passt", "..", NULL};
    for (unsigned i = 0; no[i]; i++) {
        if (strcasestr(text, no[i])) {
            return false;
        }
    }
    return true;
}

static void run(int argc, char **argv)
{
    Config c = {.argv0 = "fuzz", .arch = "x86_64"};
    g_autoptr(GError) error = NULL;

    if (config_parse(&c, argc, argv, &error) == PARSE_OK && c.machine_props && c.nodefaults) {
        Vm *vm = config_build(&c, &error);
        if (vm) {
            config_destroy(vm);
        }
    }
    config_clear(&c);
}

static void run_file(const char *text)
{
    int fd = memfd_create("fuzz", 0);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    char *argv[] = {"fuzz", "-nodefaults", "-machine", "none", "-readconfig", path, NULL};

    g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize)strlen(text));
    run(6, argv);
    close(fd);
}

static void run_words(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, "\n", 64);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    static char *const head[] = {"fuzz", "-nodefaults", "-machine", "none"};

    for (unsigned i = 0; i < G_N_ELEMENTS(head); i++) {
        g_ptr_array_add(argv, head[i]);
    }
    for (unsigned i = 0; words[i]; i++) {
        g_ptr_array_add(argv, words[i]);
    }
    int argc = (int)argv->len;
    g_ptr_array_add(argv, NULL);
    run(argc, (char **)argv->pdata);
}

static void no_print(const char *text) {}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
    if (!is_harmless(text)) {
        return 0;
    }
    GPrintFunc out = g_set_print_handler(no_print), err = g_set_printerr_handler(no_print);
    (*data & 1 ? run_file : run_words)(text);
    g_set_print_handler(out);
    g_set_printerr_handler(err);
    return 0;
}

const char *const fuzz_words[] = {
    "\n", "[", "]", "\"", " = ", "=", ",", ",,", ".", ":", "on", "off", "help", "?", "id=", "type=", "{", "}",
    "-m\n", "-smp\n", "-cpu\n", "-accel\n", "tcg", "-machine\n", "none", "microvm", "-device\n",
    "-object\n", "-netdev\n", "hubport,id=a,hubid=1", "-drive\n", "-blockdev\n", "-global\n", "-set\n",
    "-rtc\n", "-icount\n", "-name\n", "-uuid\n", "-action\n", "-msg\n", "-boot\n", "-fw_cfg\n",
    "-nic\n", "-net\n", "-append\n", "-overcommit\n", "-display\n", "-vga\n", "[machine]\n", "[memory]\n",
    "[device \"d\"]\n", "[object \"o\"]\n", "driver = \"", "qom-type = \"", "size = \"1M\"\n", "\"\n",
    "secret", "rng-builtin", "iothread", "memory-backend-ram", "virtio-rng-device", "null-co",
    "thread=single", "cpus=2", "maxcpus=", "sockets=1", "cores=2", "512", "1G", "-1", "0x10",
    "18446744073709551616", "shift=auto", "base=utc", "a.b.c=d", "if=none,id=d,driver=null-co", NULL,
};
