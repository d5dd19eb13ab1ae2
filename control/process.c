/* SPDX-License-Identifier: Apache-2.0 */
/* -overcommit, -sandbox, -chroot, -runas, -run-with: what concerns the process, not the machine. */
#include "control/process.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "qapi/keyval.h"
#include "util/error.h"

/* ---- before ---- */

static bool lock_memory(const char *how, GError **error)
{
    int flags = MCL_CURRENT | MCL_FUTURE;
    if (!how || !strcmp(how, "off"))
        return true;
    if (!strcmp(how, "on-fault"))
        flags |= MCL_ONFAULT;
    else if (strcmp(how, "on"))
        return error_set(error, "-overcommit mem-lock=%s: expected on, off or on-fault", how);
    return mlockall(flags) == 0 ||
           error_set_errno(error, errno, "-overcommit mem-lock=%s: cannot lock memory (the limit on locked "
                           "memory, ulimit -l, must be above the machine's)", how);
}

static bool overcommit(const Json *o, GError **error)
{
    static const char *const known[] = {"mem-lock", "cpu-pm", NULL};
    if (!o)
        return true;
    if (!config_check_keys(o, known, error)) {
        g_prefix_error(error, "-overcommit: ");
        return false;
    }
    if (!g_strcmp0(json_get_text(o, "cpu-pm"), "on"))
        return error_set(error, "-overcommit cpu-pm=on: not implemented yet");
    return lock_memory(json_get_text(o, "mem-lock"), error);
}

static const char *user_of(const Config *c)
{
    const char *user = c->run_with ? json_get_text(c->run_with, "user") : NULL;
    return user ? user : c->runas;
}

static bool check_run_with(const Json *o, GError **error)
{
    static const char *const known[] = {"async-teardown", "chroot", "user", NULL};
    if (!o)
        return true;
    if (!config_check_keys(o, known, error)) {
        g_prefix_error(error, "-run-with: ");
        return false;
    }
    return g_strcmp0(json_get_text(o, "async-teardown"), "on") ||
           error_set(error, "-run-with async-teardown=on: not implemented yet");
}

bool process_prepare(const Config *c, GError **error)
{
    if (!check_run_with(c->run_with, error) || !overcommit(c->overcommit, error))
        return false;
    if (c->sandbox && !sandbox_apply(c->sandbox, user_of(c), error)) {
        g_prefix_error(error, "-sandbox: ");
        return false;
    }
    return true;
}

/* ---- after ---- */

static bool enter_root(const char *path, GError **error)
{
    return !path || (chroot(path) == 0 && chdir("/") == 0) ||
           error_set_errno(error, errno, "cannot make '%s' the root", path);
}

/* "name", or "uid:gid". */
static bool find_user(const char *text, struct passwd *who, GError **error)
{
    char *end;
    unsigned long uid = strtoul(text, &end, 10);
    if (*end == ':' && end != text) {
        char *last;
        unsigned long gid = strtoul(end + 1, &last, 10);
        if (*last || last == end + 1)
            return error_set(error, "'%s' is not UID:GID", text);
        *who = (struct passwd){.pw_uid = uid, .pw_gid = gid};
        return true;
    }
    const struct passwd *found = getpwnam(text);
    if (!found)
        return error_set(error, "there is no user '%s'", text);
    *who = *found;
    return true;
}

static bool become(const struct passwd *who, GError **error)
{
    if (setgid(who->pw_gid) < 0 ||
        (who->pw_name ? initgroups(who->pw_name, who->pw_gid) : setgroups(1, &who->pw_gid)) < 0 ||
        setuid(who->pw_uid) < 0)
        return error_set_errno(error, errno, "cannot become user %u, group %u", (unsigned)who->pw_uid,
                               (unsigned)who->pw_gid);
    /* There must be no way back. */
    return who->pw_uid == 0 || setuid(0) < 0 || error_set(error, "dropping privileges failed");
}

bool process_settle(const Config *c, GError **error)
{
    const char *user = user_of(c), *root = c->run_with ? json_get_text(c->run_with, "chroot") : NULL;
    struct passwd who;
    if (user && !find_user(user, &who, error))
        return false;
    return enter_root(root ? root : c->chroot, error) && (!user || become(&who, error));
}
