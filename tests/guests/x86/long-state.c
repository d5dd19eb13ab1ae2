/* SPDX-License-Identifier: Apache-2.0 */
/* XSAVE. */
#include "guest.h"
void test_long_state(void) { }
