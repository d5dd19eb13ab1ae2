/* SPDX-License-Identifier: Apache-2.0 */
/* What the translators of system instructions share. */
#ifndef TARGET_X86_SYSTEM_H
#define TARGET_X86_SYSTEM_H

#include "target/x86/translate.h"

static inline IrRef num(X86Xlate *x, int64_t v) { return ir_i64(x->b, v); }
/* Bytes of a control register. */
static inline unsigned word(const X86Xlate *x) { return x->code == 8 ? 8 : 4; }

/* For helpers: operand size | instruction length << 8. */
static inline IrRef info(X86Xlate *x) { return num(x, x->i.opsize | x->i.len << 8); }
/* The ip after the instruction. */
static inline uint64_t after(X86Cpu *x, uint64_t info)
{
    uint64_t ip = x86_ip(x) + (info >> 8 & 15);
    return x86_code64(x) ? ip : (uint32_t)ip;
}

/* False, and #UD: there are no descriptors in this mode. */
bool x_protected_only(X86Xlate *x);
/* False, and #GP: CR4.UMIP hides this from users. */
bool x_umip_ok(X86Xlate *x);
/* Calls a helper that returns the new linear pc, and goes there. */
void x_transfer(X86Xlate *x, const IrHelper *h, IrRef arg);

#endif
