/* SPDX-License-Identifier: Apache-2.0 */
/* 32-bit protected mode and what can be reached from it, self-checking. */
#include "guest.h"

void test_exceptions(void);
void test_gates(void);
void test_tasks(void);

int main(void)
{
    test_exceptions();
    test_gates();
    test_tasks();
    return 0;
}
