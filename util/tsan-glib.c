/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GLib's mutexes as ThreadSanitizer has to see them: GLib itself is not built with it, and its mutexes
 * are futexes. Only in builds with -Db_sanitize=thread; these definitions stand before the library's.
 */
#include <dlfcn.h>
#include <glib.h>
#include <sanitizer/tsan_interface.h>

#define REAL(f) ((__typeof__(&f))dlsym(RTLD_NEXT, #f))

void g_mutex_lock(GMutex *m)
{
    REAL(g_mutex_lock)(m);
    __tsan_acquire(m);
}

gboolean g_mutex_trylock(GMutex *m)
{
    gboolean got = REAL(g_mutex_trylock)(m);

    if (got) {
        __tsan_acquire(m);
    }
    return got;
}

void g_mutex_unlock(GMutex *m)
{
    __tsan_release(m);
    REAL(g_mutex_unlock)(m);
}

void g_cond_wait(GCond *c, GMutex *m)
{
    __tsan_release(m);
    REAL(g_cond_wait)(c, m);
    __tsan_acquire(m);
}

gboolean g_cond_wait_until(GCond *c, GMutex *m, gint64 end)
{
    __tsan_release(m);
    gboolean signalled = REAL(g_cond_wait_until)(c, m, end);
    __tsan_acquire(m);
    return signalled;
}
