/* SPDX-License-Identifier: Apache-2.0 */
/* The one binary: the link's name or the first argument chooses what it is. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib-unix.h>
#include "control/cli/config.h"
#include "control/process.h"
#include "control/tools.h"
#include "util/error.h"

void config_report(const Config *c, const GError *error)
{
    g_autofree char *stamp = NULL;
    if (c->timestamps) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        stamp = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ ");
    }
    bool named = c->guest_name && c->name;
    g_printerr("%s%s%s%s: %s\n", stamp ? stamp : "", named ? c->name : "", named ? " " : "", c->argv0,
               error->message);
}

static gboolean terminated(gpointer vm)
{
    vm_request_shutdown(vm, CAUSE_HOST_SIGNAL, 0);
    return G_SOURCE_CONTINUE;
}

static bool write_pidfile(const char *path, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (!ok)
        error_set_errno(error, errno, "cannot write pid file '%s'", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Not what stood there before us: a device, a pipe. */
static void remove_pidfile(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        unlink(path);
}

/* The parent waits until the machine is ready, so that scripts may go on at once. */
static bool go_to_background(int *ready_fd, GError **error)
{
    int fds[2];
    if (pipe(fds) < 0)
        return error_set_errno(error, errno, "cannot make a pipe");
    pid_t pid = fork();
    if (pid < 0)
        return error_set_errno(error, errno, "cannot fork");
    if (pid > 0) {
        char status = 1;
        close(fds[1]);
        if (read(fds[0], &status, 1) != 1)
            status = 1;
        _exit(status);
    }
    close(fds[0]);
    setsid();
    *ready_fd = fds[1];
    return true;
}

static void tell_parent(int fd, char status)
{
    if (fd < 0)
        return;
    if (status == 0) {
        FILE *null = fopen("/dev/null", "r+");
        for (int i = 0; null && i < 3; i++)
            dup2(fileno(null), i);
        if (chdir("/") < 0)
            g_printerr("cannot change to /: %s\n", g_strerror(errno));
    }
    if (write(fd, &status, 1) < 0)
        g_printerr("the starting process has gone\n");
    close(fd);
}

static int run(Vm *vm, Config *c)
{
    if (vm->shutdown_requested)         /* quit before there was a machine */
        return vm->exit_code;
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    GSource *sources[G_N_ELEMENTS(signals)];
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        sources[i] = g_unix_signal_source_new(signals[i]);
        g_source_set_callback(sources[i], terminated, vm, NULL);
        g_source_attach(sources[i], loop_context(vm->loop));
    }
    if (!c->stopped)
        vm_start(vm);
    loop_run(vm->loop);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        g_source_destroy(sources[i]);
        g_source_unref(sources[i]);
    }
    return vm->exit_code;
}

/* -machine dumpdtb=FILE: the machine has written its tree; that was all. */
static int tree_dumped(const Machine *m, GError **error)
{
    if (!g_file_test(m->dumpdtb, G_FILE_TEST_IS_REGULAR)) {
        error_set(error, "machine %s has no device tree to dump", m->type_->machine);
        return 1;
    }
    g_printerr("info: dtb dumped to %s. Exiting.\n", m->dumpdtb);
    return 0;
}

static int run_system(const char *argv0, const char *arch, int argc, char **argv)
{
    Config c = {.argv0 = argv0, .arch = arch};
    g_autoptr(GError) error = NULL;
    int ready_fd = -1, status = 1;
    Vm *vm = NULL;
    ParseResult parsed = config_parse(&c, argc, argv, &error);
    if (parsed == PARSE_DONE)
        status = 0;
    else if (parsed == PARSE_OK && (!c.daemonize || go_to_background(&ready_fd, &error)) &&
             process_prepare(&c, &error) && (vm = config_build(&c, &error)) &&
             (!c.pidfile || write_pidfile(c.pidfile, &error)) && process_settle(&c, &error)) {
        tell_parent(ready_fd, 0);
        status = vm->machine->dumpdtb ? tree_dumped(vm->machine, &error) : run(vm, &c);
    }
    if (error) {
        config_report(&c, error);
        tell_parent(ready_fd, 1);
    }
    if (vm && c.pidfile)
        remove_pidfile(c.pidfile);
    if (vm)
        config_destroy(vm);
    config_clear(&c);
    return status;
}

static const struct { const char *name, *word; int (*main)(int, char **); } tools[] = {
    {"qemu-img", "img", img_main}, {"qemu-io", "io", io_main}, {"qemu-nbd", "nbd", nbd_main},
};

static int usage(const char *name)
{
    g_printerr("usage: %s system ARCH [options]   (ARCH: x86_64, i386, riscv64, riscv32)\n"
               "       %s img|io|nbd …   (tools for disk images)\n"
               "Links named qemu-system-ARCH, qemu-img, qemu-io, qemu-nbd do the same; -help lists the options.\n", name, name);
    return 1;
}

int main(int argc, char **argv)
{
    static const char prefix[] = "qemu-system-";
    const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    signal(SIGPIPE, SIG_IGN);
    if (g_str_has_prefix(name, prefix))
        return run_system(name, name + strlen(prefix), argc, argv);
    if (argc >= 3 && !strcmp(argv[1], "system")) {
        g_autofree char *as = g_strconcat(prefix, argv[2], NULL);
        return run_system(as, argv[2], argc - 2, argv + 2);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(tools); i++) {
        if (!strcmp(name, tools[i].name))
            return tools[i].main(argc, argv);
        if (argc > 1 && !strcmp(argv[1], tools[i].word))
            return tools[i].main(argc - 1, argv + 1);
    }
    return usage(name);
}
