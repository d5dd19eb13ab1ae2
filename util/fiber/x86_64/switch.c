/* SPDX-License-Identifier: Apache-2.0 */
/* Fibers on x86-64: callee-saved registers on the stack. System V ABI, 3.2.1. */
#include "util/fiber/switch.h"
#include <stdint.h>

void fiber_entry(void);

__asm__(".text\n"
        ".globl fiber_switch\n"
        ".hidden fiber_switch\n"
        ".type fiber_switch, @function\n"
        "fiber_switch:\n"
        "   push %rbp\n   push %rbx\n   push %r12\n   push %r13\n   push %r14\n   push %r15\n"
        "   mov %rsp, (%rdi)\n"
        "   mov (%rsi), %rsp\n"
        "   pop %r15\n   pop %r14\n   pop %r13\n   pop %r12\n   pop %rbx\n   pop %rbp\n"
        "   ret\n"
        ".size fiber_switch, .-fiber_switch\n"
        ".globl fiber_entry\n"
        ".hidden fiber_entry\n"
        "fiber_entry:\n"
        "   mov %r12, %rdi\n"
        "   call *%rbx\n"
        "   ud2\n");

void fiber_context_init(FiberContext *c, void *stack, size_t size, void (*fn)(void *), void *data)
{
    /* As if fiber_switch() had been called from fiber_entry: r15, r14, r13, r12, rbx, rbp, return. */
    uintptr_t *sp = (uintptr_t *)((uintptr_t)((char *)stack + size) & ~(uintptr_t)15) - 9;
    sp[3] = (uintptr_t)data;
    sp[4] = (uintptr_t)fn;
    sp[5] = 0;
    sp[6] = (uintptr_t)fiber_entry;
    c->sp = sp;
}
