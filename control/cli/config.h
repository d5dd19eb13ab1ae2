/* SPDX-License-Identifier: Apache-2.0 */
/* What a command line says, before anything of it is done. */
#ifndef CONTROL_CLI_CONFIG_H
#define CONTROL_CLI_CONFIG_H

#include "core/vm.h"
#include "util/json.h"

typedef enum MonitorMode { MONITOR_HMP, MONITOR_QMP, MONITOR_QMP_PRETTY } MonitorMode;
typedef struct MonitorOption {
    MonitorMode mode;
    char *text;                 /* legacy device text, or a chardev's id */
    bool is_chardev;
} MonitorOption;

typedef struct Config {
    const char *argv0;          /* basename: the prefix of messages */
    const char *arch;
    char *machine;              /* type as typed, NULL: none given */
    Json *machine_props, *smp, *memory, *boot, *overcommit, *sandbox, *run_with;
    char *cpu;
    GPtrArray *accels;          /* char *: "tcg,thread=multi" */
    /* char *, in order */
    GPtrArray *objects, *devices, *chardevs, *serials, *parallels, *drives, *blockdevs, *netdevs, *nics,
        *nets, *fw_cfgs, *smbios, *sets, *vncs, *audiodevs, *numas, *debugcons, *option_roms, *acpi_tables;
    GPtrArray *monitors;        /* MonitorOption * */
    GPtrArray *globals;         /* char *: "driver.property=value" */
    GPtrArray *data_dirs, *add_fds;
    char *kernel, *initrd, *append, *dtb, *bios, *mem_path;
    char *name, *process_name, *uuid, *rtc, *icount, *kernel_irqchip, *gdb, *qtest,
        *qtest_log, *chroot, *runas, *display, *vga, *layout, *pidfile;
    char *action_reboot, *action_shutdown, *action_panic, *action_watchdog;
    bool debug_threads, nographic, full_screen, nodefaults, stopped, daemonize, preconfig, timestamps, guest_name,
        mem_prealloc, snapshot;
} Config;

typedef enum ParseResult { PARSE_OK, PARSE_DONE, PARSE_ERROR } ParseResult;

/* Reads argv[1…]; PARSE_DONE after help or version was printed. Touches nothing but `c` and the log. */
ParseResult config_parse(Config *c, int argc, char **argv, GError **error);
void config_clear(Config *c);
/* Builds the machine; on failure nothing is left behind. The machine does not run yet. */
Vm *config_build(Config *c, GError **error);
/* Frees the machine and all that config_build() made for it. */
void config_destroy(Vm *vm);
/* Prints an error as all are: "qemu-system-x86_64: …". */
void config_report(const Config *c, const GError *error);

/* display.c: names of -vga and -display; the card; who looks at it. */
bool config_check_vga(const char *name, GError **error);
bool config_check_display(const char *text, GError **error);
bool config_make_video(Vm *vm, const Config *c, GError **error);
bool config_make_displays(Vm *vm, Config *c, GError **error);

/* nic.c: cards of -nic, and the machine's own when nothing is said of networks. */
bool config_make_nics(Vm *vm, const Config *c, GError **error);

/* time.c: -rtc; -icount's shift (the caller frees). */
bool config_rtc(Vm *vm, const char *text, GError **error);
char *config_icount(const char *text, GError **error);
/* numa.c: -numa, in order; after -smp and -m, with the objects in place. */
bool config_numa(Machine *m, const GPtrArray *texts, GError **error);
/* False, with an error that names it, if an object has a member that is not `known`. */
bool config_check_keys(const Json *o, const char *const *known, GError **error);

/* help.c: prints and returns true when text asks for help ("help", "?", "X,help"). */
bool help_machine(const Config *c, const char *text, GError **error);
bool help_cpu(const Config *c, const char *text);
bool help_accel(const char *text);
/* The text of "-device help"; on_board: boards' own chips, too. */
void help_list_devices(GString *out, const char *arch, bool on_board);
bool help_device(const Config *c, const char *text, GError **error);
bool help_object(const char *text, GError **error);
bool help_chardev(const char *text);
bool help_netdev(const char *text);
bool help_tpmdev(const char *text);
bool help_nic(const Config *c, const char *text);
bool help_audiodev(const char *text);
bool help_display(const char *text);
bool help_vga(const Config *c, const char *text);
bool is_help(const char *text);
void help_options(const Config *c);
void help_version(void);

#endif
