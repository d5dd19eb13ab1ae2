/* SPDX-License-Identifier: Apache-2.0 */
/* Changing stacks: one pair of functions per host. */
#ifndef UTIL_FIBER_SWITCH_H
#define UTIL_FIBER_SWITCH_H

#include <stddef.h>
#include <ucontext.h>

typedef struct FiberContext {
    void *sp;                   /* x86_64 */
    ucontext_t *uc;             /* generic */
} FiberContext;

/* Prepares a context that will call fn(data), which must not return. */
void fiber_context_init(FiberContext *c, void *stack, size_t size, void (*fn)(void *), void *data);
/* Saves the running context and continues the other. */
void fiber_switch(FiberContext *from, FiberContext *to);

#endif
