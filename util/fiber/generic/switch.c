/* SPDX-License-Identifier: Apache-2.0 */
/* Fibers by ucontext, for hosts without a switch of their own. */
#include "util/fiber/switch.h"
#include <glib.h>
#include <stdint.h>

static void entry(unsigned fn_low, unsigned fn_high, unsigned data_low, unsigned data_high)
{
    void (*fn)(void *) = (void (*)(void *))(uintptr_t)(fn_low | (uint64_t)fn_high << 32);
    fn((void *)(uintptr_t)(data_low | (uint64_t)data_high << 32));
}

void fiber_context_init(FiberContext *c, void *stack, size_t size, void (*fn)(void *), void *data)
{
    uint64_t f = (uintptr_t)fn, d = (uintptr_t)data;
    c->uc = g_new0(ucontext_t, 1);
    getcontext(c->uc);
    c->uc->uc_stack.ss_sp = stack;
    c->uc->uc_stack.ss_size = size;
    makecontext(c->uc, (void (*)(void))entry, 4, (unsigned)f, (unsigned)(f >> 32), (unsigned)d,
                (unsigned)(d >> 32));
}

void fiber_switch(FiberContext *from, FiberContext *to)
{
    if (!from->uc)
        from->uc = g_new0(ucontext_t, 1);
    swapcontext(from->uc, to->uc);
}
