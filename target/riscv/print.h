/* SPDX-License-Identifier: Apache-2.0 */
/* Names of RISC-V registers. */
#ifndef RISCV_PRINT_H
#define RISCV_PRINT_H

#include <glib.h>

extern const char *const rv_x_names[32], *const rv_f_names[32];
/* Appends the name of the CSR, or its number if there is none. */
void rv_csr_print(GString *out, unsigned number);

#endif
