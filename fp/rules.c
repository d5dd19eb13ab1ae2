/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each guest family does where IEEE 754 leaves a choice. Specs: Intel SDM 1, 4.8 and 11.5;
 * RISC-V Unprivileged ISA, F; Arm DDI 0487, shared pseudocode FPProcessNaNs; Power ISA 3.1 Book I,
 * 4.3; z/Architecture PoP SA22-7832, 9; MIPS MD00083, 5; SPARC V9, 5.1.7 and Annex B; PA-RISC 2.0,
 * 8; Alpha AHB, 4.7; M68000 PRM, 1.6; SH-4 SM, 6; LoongArch manual 1, 3.1.
 */
#include "fp/fp.h"

#define INDEFINITE .int_nan = { FP_INT_MAX, FP_INT_MIN }, .int_over = { FP_INT_MAX, FP_INT_MIN }, \
                   .int_under = { FP_INT_MAX, FP_INT_MIN }
#define SATURATE(nan_u, nan_s) .int_nan = { nan_u, nan_s }, \
    .int_over = { FP_INT_MAX, FP_INT_MAX }, .int_under = { FP_INT_MIN, FP_INT_MIN }

const FpRules fp_rules_sse = {
    .name = "sse", .nan2 = "ab", .nan3 = "abc", .default_nan_sign = true, .default_nan_frac = 0x80,
    .inf_zero = FP_INFZERO_NAN, .denormal = FP_DENORMAL_USED, INDEFINITE,
};
const FpRules fp_rules_x87 = {
    .name = "x87", .nan2 = "ab", .nan3 = "abc", .nan_by_significand = true,
    .default_nan_sign = true, .default_nan_frac = 0x80,
    .inf_zero = FP_INFZERO_NAN, .denormal = FP_DENORMAL_USED, .wrap = true, INDEFINITE,
};
const FpRules fp_rules_riscv = {
    .name = "riscv", .nan2 = "ab", .nan3 = "abc", .nan_default = true, .default_nan_frac = 0x80,
    SATURATE(FP_INT_MAX, FP_INT_MAX),
};
const FpRules fp_rules_arm = {
    .name = "arm", .nan2 = "ab", .nan3 = "cab", .snan_first = true, .default_nan_frac = 0x80,
    .tiny_before = true, .ftz_silent_inexact = true, .denormal = FP_DENORMAL_FLUSHED,
    SATURATE(FP_INT_ZERO, FP_INT_ZERO),
};
const FpRules fp_rules_ppc = {
    .name = "ppc", .nan2 = "ab", .nan3 = "acb", .default_nan_frac = 0x80,
    .inf_zero = FP_INFZERO_NAN_INVALID, .tiny_before = true, .wrap = true,
    SATURATE(FP_INT_ZERO, FP_INT_MIN),
};
const FpRules fp_rules_s390 = {
    .name = "s390", .nan2 = "ab", .nan3 = "abc", .snan_first = true, .default_nan_frac = 0x80,
    .tiny_before = true, .wrap = true, SATURATE(FP_INT_ZERO, FP_INT_MIN),
};
const FpRules fp_rules_mips = {         /* NAN2008 = 1 */
    .name = "mips", .nan2 = "ab", .nan3 = "cab", .snan_first = true, .default_nan_frac = 0x80,
    SATURATE(FP_INT_ZERO, FP_INT_ZERO),
};
const FpRules fp_rules_mips_legacy = {
    .name = "mips-legacy", .nan2 = "ab", .nan3 = "abc", .snan_first = true, .snan_bit_set = true,
    .snan_to_default = true, .default_nan_frac = 0x7f, .inf_zero = FP_INFZERO_NAN_INVALID,
    .int_nan = { FP_INT_MAX, FP_INT_MAX }, .int_over = { FP_INT_MAX, FP_INT_MAX },
    .int_under = { FP_INT_MAX, FP_INT_MAX },
};
const FpRules fp_rules_sparc = {
    .name = "sparc", .nan2 = "ba", .nan3 = "cba", .snan_first = true, .default_nan_frac = 0xff,
    .inf_zero = FP_INFZERO_NAN_INVALID, .tiny_before = true, SATURATE(FP_INT_MAX, FP_INT_MAX),
};
const FpRules fp_rules_hppa = {
    .name = "hppa", .nan2 = "ab", .nan3 = "abc", .snan_first = true, .snan_bit_set = true,
    .default_nan_frac = 0x40, .inf_zero = FP_INFZERO_NAN, .tiny_before = true, .wrap = true,
    SATURATE(FP_INT_MAX, FP_INT_MAX),
};
const FpRules fp_rules_alpha = {
    .name = "alpha", .nan2 = "ba", .nan3 = "cba", .default_nan_sign = true,
    .default_nan_frac = 0x80, .int_over = { FP_INT_MODULO, FP_INT_MODULO },
    .int_under = { FP_INT_MODULO, FP_INT_MODULO },
};
const FpRules fp_rules_m68k = {
    .name = "m68k", .nan2 = "ab", .nan3 = "abc", .default_nan_frac = 0xff, .tiny_before = true,
    SATURATE(FP_INT_MAX, FP_INT_MAX),
};
const FpRules fp_rules_sh = {
    .name = "sh", .nan2 = "ab", .nan3 = "abc", .snan_first = true, .snan_bit_set = true,
    .snan_to_default = true, .default_nan_frac = 0x7f, .inf_zero = FP_INFZERO_NAN_INVALID,
    SATURATE(FP_INT_MIN, FP_INT_MIN),
};
const FpRules fp_rules_loongarch = {
    .name = "loongarch", .nan2 = "ab", .nan3 = "cab", .snan_first = true,
    .default_nan_frac = 0x80, .inf_zero = FP_INFZERO_NAN_INVALID,
    SATURATE(FP_INT_ZERO, FP_INT_ZERO),
};
