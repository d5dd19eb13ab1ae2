/* SPDX-License-Identifier: Apache-2.0 */
/* Fibers on stacks of their own; the switch itself is the host's (x86_64/, generic/). */
#include "util/fiber.h"
#include <glib.h>
#include <sys/mman.h>
#include "util/fiber/checkers.h"
#include "util/fiber/switch.h"

enum { STACK = 256 * 1024, GUARD = 4096, KEEP = 64 };

struct Fiber {
    FiberContext context, caller;
    Fiber *below;               /* who was running when this one was entered */
    void (*fn)(void *data);
    void *data;
    char *stack;
    bool ended;
    Fiber *next;                /* in the free list */
    FiberCheck check;
};

typedef struct FiberThread {
    Fiber *running, *unused;
    unsigned n_unused;
} FiberThread;

static void release(gpointer data);
/* Per thread, not per process: a fiber never leaves its thread. */
static GPrivate this_thread = G_PRIVATE_INIT(release);

static void unmap(Fiber *f)
{
    CHECK_FREE(&f->check);
    munmap(f->stack, STACK + GUARD);
    g_free(f);
}

static void release(gpointer data)
{
    FiberThread *t = data;
    while (t->unused) {
        Fiber *f = t->unused;
        t->unused = f->next;
        unmap(f);
    }
    g_free(t);
}

static FiberThread *thread(void)
{
    FiberThread *t = g_private_get(&this_thread);
    if (!t) {
        t = g_new0(FiberThread, 1);
        g_private_set(&this_thread, t);
    }
    return t;
}

Fiber *fiber_self(void) { return thread()->running; }

static void enter(FiberThread *t, Fiber *f)
{
    f->below = t->running;
    t->running = f;
    CHECK_ENTER(&f->check, f->stack + GUARD, STACK);
    fiber_switch(&f->caller, &f->context);
    CHECK_BACK(&f->check);
    t->running = f->below;
}

static void main_of_fiber(void *data)
{
    Fiber *f = data;
    CHECK_BEGUN(&f->check);
    for (;;) {
        f->fn(f->data);
        f->ended = true;
        fiber_wait();
    }
}

void fiber_wait(void)
{
    Fiber *f = fiber_self();
    CHECK_LEAVE(&f->check);
    fiber_switch(&f->context, &f->caller);
    CHECK_RESUMED(&f->check);
}

static Fiber *get(FiberThread *t)
{
    Fiber *f = t->unused;
    if (f) {
        t->unused = f->next;
        t->n_unused--;
        return f;
    }
    f = g_new0(Fiber, 1);
    f->stack = mmap(NULL, STACK + GUARD, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (f->stack == MAP_FAILED)
        g_error("out of address space for a fiber's stack");
    mprotect(f->stack, GUARD, PROT_NONE);
    CHECK_NEW(&f->check);
    fiber_context_init(&f->context, f->stack + GUARD, STACK, main_of_fiber, f);
    return f;
}

static void put(FiberThread *t, Fiber *f)
{
    if (t->n_unused >= KEEP) {
        unmap(f);
        return;
    }
    f->next = t->unused;
    t->unused = f;
    t->n_unused++;
}

void fiber_start(void (*fn)(void *data), void *data)
{
    FiberThread *t = thread();
    Fiber *f = get(t);
    f->fn = fn;
    f->data = data;
    f->ended = false;
    fiber_resume(f);
}

void fiber_resume(Fiber *f)
{
    FiberThread *t = thread();
    enter(t, f);
    if (f->ended)
        put(t, f);
}
