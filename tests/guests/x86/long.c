/* SPDX-License-Identifier: Apache-2.0 */
/* Long mode and what can be reached from it, self-checking. */
#include "guest.h"

void test_long_traps(void);
void test_long_calls(void);
void test_long_memory(void);
void test_long_state(void);
void test_debug(void);

int main(void)
{
    test_long_traps();
    test_long_calls();
    test_debug();
    test_long_memory();
    test_long_state();
    return 0;
}
