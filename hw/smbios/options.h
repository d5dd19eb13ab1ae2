/* SPDX-License-Identifier: Apache-2.0 */
/* What -smbios says; private to hw/smbios. */
#ifndef HW_SMBIOS_OPTIONS_H
#define HW_SMBIOS_OPTIONS_H

#include "hw/smbios.h"
#include "qapi/keyval.h"

/* Whether a structure of that type (below 128) was asked for; what a key says; its list. */
bool smbios_given(Vm *vm, unsigned type);
const char *smbios_text(Vm *vm, unsigned type, const char *key, const char *otherwise);
uint64_t smbios_number(Vm *vm, unsigned type, const char *key, uint64_t otherwise);
/* Of types with several structures: an array of them, NULL: none; a number in one; its kind= as type 41 counts. */
Json *smbios_structures(Vm *vm, unsigned type);
uint64_t smbios_number_in(const Json *structure, const char *key, uint64_t otherwise);
unsigned smbios_kind(const Json *structure);
/* Whether a file has structures of that type, which are not made then; all files' bytes. */
bool smbios_in_file(Vm *vm, unsigned type);
const GByteArray *smbios_files(Vm *vm, unsigned *structures, unsigned *largest);
Json *smbios_list(Vm *vm, unsigned type, const char *key);

#endif
