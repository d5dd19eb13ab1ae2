/* SPDX-License-Identifier: Apache-2.0 */
/* What -smbios says; private to hw/smbios. */
#ifndef HW_SMBIOS_OPTIONS_H
#define HW_SMBIOS_OPTIONS_H

#include "hw/smbios.h"
#include "qapi/keyval.h"

/* Whether a structure of that type (below 32) was asked for; what a key says; its list. */
bool smbios_given(Vm *vm, unsigned type);
const char *smbios_text(Vm *vm, unsigned type, const char *key, const char *otherwise);
unsigned smbios_number(Vm *vm, unsigned type, const char *key, unsigned otherwise);
Json *smbios_list(Vm *vm, unsigned type, const char *key);

#endif
