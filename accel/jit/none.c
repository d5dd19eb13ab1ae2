/* SPDX-License-Identifier: Apache-2.0 */
/* The back end of hosts that have none: everything is interpreted. */
#include "accel/jit/internal.h"

char *jit_host_unavailable(void)
{
    return g_strdup("this host has no code generator");
}

struct Emit *jit_emit_new(Jit *j) { return NULL; }
void jit_emit_free(struct Emit *e) {}
JitUnit *jit_emit(Jit *j, const IrUnit *u, unsigned flags) { return NULL; }
void jit_emit_stubs(Jit *j) {}
void jit_patch(Jit *j, uint32_t at, uint32_t target) {}
void jit_patch_dead(Jit *j, JitUnit *u) {}
void jit_fp_enter(JitCpu *jc) {}
void jit_fp_leave(JitCpu *jc) {}
void jit_dump_code(Jit *j, const JitUnit *u, GString *out) {}
