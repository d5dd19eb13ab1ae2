/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -sandbox: system calls that an emulator needs never are denied to it for good, by a seccomp filter of
 * all its threads. Groups as QEMU's manual describes them.
 */
#include "control/process.h"
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include "util/error.h"

typedef struct Call {
    const char *name;
    const struct scmp_arg_cmp *only;    /* NULL: whatever its arguments are */
} Call;

/* A thread is a clone like any other; what is no thread is a child. */
static const struct scmp_arg_cmp not_a_thread = {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0};

static const Call always[] = {
    {"reboot"}, {"swapon"}, {"swapoff"}, {"syslog"}, {"mount"}, {"umount"}, {"umount2"}, {"kexec_load"},
    {"kexec_file_load"}, {"afs_syscall"}, {"break"}, {"ftime"}, {"getpmsg"}, {"gtty"}, {"lock"}, {"mpx"},
    {"prof"}, {"profil"}, {"putpmsg"}, {"security"}, {"stty"}, {"tuxcall"}, {"ulimit"}, {"vserver"},
    {"init_module"}, {"finit_module"}, {"delete_module"}, {"acct"}, {"pivot_root"}, {"settimeofday"},
    {"clock_settime"}, {"adjtimex"}, {NULL},
};
static const Call obsolete[] = {
    {"readdir"}, {"_sysctl"}, {"bdflush"}, {"create_module"}, {"get_kernel_syms"}, {"query_module"},
    {"sgetmask"}, {"ssetmask"}, {"sysfs"}, {"uselib"}, {"ustat"}, {NULL},
};
static const Call privileges[] = {
    {"setuid"}, {"setgid"}, {"setpgid"}, {"setsid"}, {"setreuid"}, {"setregid"}, {"setresuid"},
    {"setresgid"}, {"setfsuid"}, {"setfsgid"}, {"setgroups"}, {NULL},
};
/* clone3's arguments are in memory, where no filter looks: ENOSYS makes libraries use clone. */
static const Call spawning[] = {
    {"fork"}, {"vfork"}, {"execve"}, {"execveat"}, {"clone", &not_a_thread}, {NULL},
};
static const Call resources[] = {
    {"setpriority"}, {"sched_setparam"}, {"sched_setscheduler"}, {"sched_setattr"}, {"sched_setaffinity"},
    {"ioprio_set"}, {NULL},
};

/* "deny" is the default only of what nobody misses. */
static const struct {
    const char *key;
    const Call *calls;
    bool denied_unless;         /* without the key */
    bool children;              /* knows that word */
    uint32_t action;
} groups[] = {
    {NULL, always, true, false, SCMP_ACT_KILL_PROCESS},
    {"obsolete", obsolete, true, false, SCMP_ACT_KILL_PROCESS},
    {"elevateprivileges", privileges, false, true, SCMP_ACT_KILL_PROCESS},
    {"spawn", spawning, false, false, SCMP_ACT_ERRNO(EPERM)},
    {"resourcecontrol", resources, false, false, SCMP_ACT_ERRNO(EPERM)},
};

static bool deny(scmp_filter_ctx filter, const Call *calls, uint32_t action, GError **error)
{
    for (; calls->name; calls++) {
        int number = seccomp_syscall_resolve_name(calls->name);
        int failed = number == __NR_SCMP_ERROR ? 0
                     : seccomp_rule_add_array(filter, action, number, calls->only ? 1 : 0, calls->only);
        if (failed && failed != -EDOM)
            return error_set_errno(error, -failed, "cannot deny system call %s", calls->name);
    }
    return true;
}

/* Whether a group is to be denied; -1 with an error. *children: privileges are to be lost by children. */
static int wanted(const Json *o, unsigned group, bool *children, GError **error)
{
    const char *value = groups[group].key ? json_get_text(o, groups[group].key) : NULL;
    if (!value)
        return groups[group].denied_unless;
    if (groups[group].children && !strcmp(value, "children"))
        return !(*children = true);
    if (strcmp(value, "allow") && strcmp(value, "deny")) {
        error_set(error, "%s=%s: expected allow%s or deny", groups[group].key, value,
                  groups[group].children ? ", children" : "");
        return -1;
    }
    return !strcmp(value, "deny");
}

static bool fill(scmp_filter_ctx filter, const Json *o, bool user, GError **error)
{
    bool children = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++) {
        int yes = wanted(o, i, &children, error);
        if (yes < 0 || (yes && !deny(filter, groups[i].calls, groups[i].action, error)))
            return false;
        if (yes && user && groups[i].calls == privileges)
            return error_set(error, "elevateprivileges=deny would forbid -runas; say children");
        if (yes && groups[i].calls == spawning &&
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0)
            return error_set(error, "cannot deny system call clone3");
    }
    if (children && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set_errno(error, errno, "cannot give up new privileges");
    return true;
}

bool sandbox_apply(const Json *o, bool user, GError **error)
{
    static const char *const known[] = {"enable", "obsolete", "elevateprivileges", "spawn",
                                        "resourcecontrol", NULL};
    const char *enable = json_get_text(o, "enable");
    if (!config_check_keys(o, known, error))
        return false;
    if (!enable || (strcmp(enable, "on") && strcmp(enable, "off")))
        return error_set(error, "expected on or off");
    if (!strcmp(enable, "off"))
        return true;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return error_set(error, "cannot make a filter of system calls");
    bool ok = fill(filter, o, user, error);
    int failed = ok ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) : 0;
    if (ok && !failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return ok && (!failed || error_set_errno(error, -failed, "cannot install the filter of system calls"));
}
