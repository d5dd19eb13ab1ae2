/* SPDX-License-Identifier: Apache-2.0 */
/* 32-bit protected mode and what can be reached from it, self-checking. */
#include "guest.h"

void test_exceptions(void);
void test_gates(void);
void test_tasks(void);
void test_vm86(void);
void test_paging(void);
void test_debug(void);
void test_real(void);
void test_smm(void);
void test_msr(void);
void test_fpu(void);

int main(void)
{
    test_exceptions();
    test_gates();
    test_tasks();
    test_vm86();
    test_paging();
    test_debug();
    test_real();
    test_fpu();
    test_smm();
    test_msr();
    return 0;
}
