/* SPDX-License-Identifier: Apache-2.0 */
/* The human monitor's commands and items about the machine that QMP has no words for. */
#include <string.h>

#include "control/hmp.h"
#include "control/memory.h"
#include "control/session.h"
#include "core/accel.h"
#include "machines/loader.h"
#include "util/error.h"
#include "util/rcu.h"

/* ---- what firmware boots from ---- */

static bool run_boot_set(Hmp *hmp, const Json *args, GError **error)
{
    const char *order = json_get_text(args, "bootdevice");
    Vm *vm = hmp->vm;

    if (!vm->machine || !vm->machine->type_->boot_letters) {
        return error_set(error, "no function defined to set boot device list for this architecture");
    }
    for (const char *p = order; *p; p++) {
        if (*p < 'a' || *p > 'p') {
            return error_set(error, "Invalid boot device '%c'", *p);
        }
        if (strchr(p + 1, *p)) {
            return error_set(error, "Boot device '%c' was given twice", *p);
        }
    }
    g_free(vm->boot.order);
    vm->boot.order = g_strdup(order);
    g_clear_pointer(&vm->boot.once, g_free);
    hmp_print(hmp, "boot device list now set to %s\n", order);
    return true;
}

/* ---- addresses ---- */

static bool run_gva2gpa(Hmp *hmp, const Json *args, GError **error)
{
    Cpu *cpu = hmp_cpu(hmp, error);
    uint64_t pa;

    if (!cpu) {
        return false;
    }
    if (control_translate(cpu, hmp_number(args, "addr", 0), &pa)) {
        hmp_print(hmp, "gpa: %#" G_GINT64_MODIFIER "x\n", pa);
    } else {
        hmp_print(hmp, "Unmapped\n");
    }
    return true;
}

static bool run_gpa2hva(Hmp *hmp, const Json *args, GError **error)
{
    uint64_t pa = hmp_number(args, "addr", 0);
    MemSection s = as_find(hmp->vm->memory, pa);

    if (!s.region) {
        return error_set(error, "No memory is mapped at address 0x%" G_GINT64_MODIFIER "x", pa);
    }
    if (!s.host) {
        return error_set(error, "Memory at address 0x%" G_GINT64_MODIFIER "x is not RAM", pa);
    }
    hmp_print(hmp, "Host virtual address for 0x%" G_GINT64_MODIFIER "x (%s) is %p\n", pa,
              mem_name(s.region), s.host);
    return true;
}

/* ---- the engine ---- */

static bool run_one_insn(Hmp *hmp, const Json *args, GError **error)
{
    const char *option = json_get_text(args, "option");
    bool off = g_strcmp0(option, "off") == 0;

    if (option && !off && strcmp(option, "on") != 0) {
        return error_set(error, "unexpected option %s", option);
    }
    if (!hmp->vm->accel || !object_is_a(&hmp->vm->accel->object, "tcg-accel")) {
        return error_set(error, "This setting is only available with TCG");
    }
    return object_set_string(&hmp->vm->accel->object, "one-insn-per-tb", off ? "off" : "on", error);
}

static bool run_history(Hmp *hmp, const Json *args, GError **error)
{
    const GPtrArray *lines = hmp->session->history;

    for (guint i = 0; lines && i < lines->len; i++) {
        hmp_print(hmp, "%u: '%s'\n", i, (const char *)g_ptr_array_index(lines, i));
    }
    return true;
}

/* ---- firmware, kernels ---- */

static void show_rom(const char *name, uint64_t pa, uint64_t size, void *data)
{
    Hmp *hmp = data;
    MemSection s = as_find(hmp->vm->memory, pa);

    hmp_print(hmp, "addr=%016" G_GINT64_MODIFIER "x size=0x%06" G_GINT64_MODIFIER "x mem=%s name=\"%s\"\n", pa,
              size, s.region && s.readonly ? "rom" : "ram", name ? name : "phdr");
}

static void show_rom_section(uint64_t pa, const MemSection *s, void *data)
{
    if (s->region && s->host && s->readonly) {
        show_rom(mem_name(s->region), pa, s->left, data);
    }
}

static bool run_roms(Hmp *hmp, const Json *args, GError **error)
{
    if (hmp->vm->machine) {
        loader_foreach(hmp->vm->machine, show_rom, hmp);
    }
    rcu_read_lock();
    as_foreach(hmp->vm->memory, show_rom_section, hmp);
    rcu_read_unlock();
    return true;
}

/* ---- what is not there; scripts that ask are told so ---- */

static bool run_replay(Hmp *hmp, const Json *args, GError **error)
{
    hmp_print(hmp, "Record/replay is not active\n");
    return true;
}

static bool run_block_jobs(Hmp *hmp, const Json *args, GError **error)
{
    hmp_print(hmp, "No active jobs\n");
    return true;
}

static bool no_migration(Hmp *hmp, const Json *args, GError **error)
{
    return error_set(error, "migration and snapshots of machines are not implemented");
}

static bool no_dump(Hmp *hmp, const Json *args, GError **error)
{
    return error_set(error, "dumps of guest memory are not implemented; pmemsave writes plain memory");
}

static bool no_commit(Hmp *hmp, const Json *args, GError **error)
{
    return error_set(error, "commit of a running machine's disks is not implemented; qemu-img commit does it "
                     "when the machine has ended");
}

static const HmpCommand commands[] = {
    { "boot_set", "bootdevice:s", "bootdevice", "define new values for the boot device list",
      .run = run_boot_set },
    { "gva2gpa", "addr:l", "addr",
      "print the guest physical address corresponding to a guest virtual address", .run = run_gva2gpa },
    { "gpa2hva", "addr:l", "addr",
      "print the host virtual address corresponding to a guest physical address", .run = run_gpa2hva },
    { "one-insn-per-tb|singlestep", "option:s?", "[on|off]",
      "run emulation with one guest instruction per translation block", .run = run_one_insn },
    { "commit", "device:s", "device|all",
      "commit changes to the disk images (if -snapshot is used) or backing files", .run = no_commit },
    { "dumpdtb", "filename:s", "filename", "dump the FDT in dtb format to 'filename'", .qmp = "dumpdtb" },
    { "savevm", "name:s?", "tag", "save a VM snapshot", .run = no_migration },
    { "loadvm", "name:s", "tag", "restore a VM snapshot from its tag", .run = no_migration },
    { "delvm", "name:s", "tag", "delete a VM snapshot from its tag", .run = no_migration },
    { "migrate", "detach:-d resume:-r uri:s", "[-d] [-r] uri",
      "migrate to URI (using -d to not wait for completion)", .run = no_migration },
    { "migrate_cancel", "", "", "cancel the current VM migration", .run = no_migration },
    { "migrate_incoming", "uri:s", "uri", "Continue an incoming migration from an -incoming defer",
      .run = no_migration },
    { "migrate_set_parameter", "parameter:s value:s", "parameter value",
      "Set the parameter for migration", .run = no_migration },
    { "migrate_set_capability", "capability:s state:b", "capability state",
      "Enable/Disable the usage of a capability for migration", .run = no_migration },
    { "dump-guest-memory", "rest:S", "[-p] [-d] filename [begin length]",
      "dump guest memory into file 'filename'", .run = no_dump },
    { "info history", "", "", "show the command line history", .run = run_history },
    { "info roms", "", "", "show roms", .run = run_roms },
    { "info replay", "", "", "show record/replay information", .run = run_replay },
    { "info block-jobs", "", "", "show progress of ongoing block device operations",
      .run = run_block_jobs },
};
HMP_COMMANDS(commands);
