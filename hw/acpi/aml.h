/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of AML encoding, between the files of hw/acpi. */
#ifndef HW_ACPI_AML_H
#define HW_ACPI_AML_H

#include "hw/acpi.h"

void aml_byte(Aml *a, uint8_t v);
void aml_little(Aml *a, uint64_t v, unsigned n);
/* A term whose length is put in when it is appended: opcode bytes, then what follows the length. */
Aml *aml_container(const uint8_t *op, unsigned n);
void aml_segment(Aml *a, const char *s, unsigned n);
void aml_name_string(Aml *a, const char *path);
void aml_field_width(Aml *a, unsigned bits);
Aml *aml_op1(uint8_t op, Aml *x);

#endif
