/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instruction tables made by scripts/decode/decode.py from a guest's .isa file, and what can be
 * done with any of them: print, encode, draw random instructions. Constant data, any thread.
 */
#ifndef TARGET_DECODE_H
#define TARGET_DECODE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

enum { ISA_MAX_FIELDS = 8, ISA_MAX_SEGMENTS = 8, ISA_MAX_GATES = 3, ISA_MAX_ALTERNATIVES = 4 };

/* A field's value: the segments' bits at their places, sign-extended, * scale + plus. */
typedef struct IsaField {
    const char *name;
    uint8_t n_segments, bits;
    bool is_signed;
    int8_t plus;
    int16_t scale;
    void (*print)(GString *out, int32_t value, uint64_t pc);
    struct {
        uint8_t lsb, len, to;
    } segments[ISA_MAX_SEGMENTS];
} IsaField;

/* The field (index in the table) must not have this value. */
typedef struct IsaConstraint {
    uint8_t field;
    int32_t value;
} IsaConstraint;

typedef struct IsaRow {
    const char *name;
    const char *text;           /* disassembly, {field} for fields */
    uint32_t mask, value;       /* fixed bits */
    uint8_t bytes;
    uint8_t n_fields;
    uint8_t fields[ISA_MAX_FIELDS];
    uint8_t n_constraints;
    const IsaConstraint *constraints;
    /* All gates must be open; one is when any of its features {…, -1} is on. Unused: all zero. */
    int16_t gates[ISA_MAX_GATES][ISA_MAX_ALTERNATIVES + 1];
} IsaRow;

typedef struct IsaTable {
    const IsaRow *rows;         /* rows[0] is unused: decode() returns 0 for no instruction */
    unsigned n_rows;
    const IsaField *fields;
    const char *const *features;
    unsigned n_features, feature_words;
    unsigned (*decode)(uint32_t raw, const uint64_t *features);
} IsaTable;

static inline bool isa_has(const uint64_t *features, unsigned n)
{
    return features[n / 64] >> n % 64 & 1;
}
static inline void isa_set(uint64_t *features, unsigned n, bool on)
{
    uint64_t bit = 1ull << n % 64;
    features[n / 64] = on ? features[n / 64] | bit : features[n / 64] & ~bit;
}

bool isa_gates_open(const IsaTable *t, unsigned row, const uint64_t *features);
/* The value of the row's field i (of row->n_fields) in raw. */
int32_t isa_field_value(const IsaTable *t, unsigned row, unsigned i, uint32_t raw);
/* Encodes the fields' values (in the row's order); false if one does not fit or is forbidden. */
bool isa_encode(const IsaTable *t, unsigned row, const int32_t *values, uint32_t *raw);
/* A random instance of the row; the ignored bits are random, too. */
uint32_t isa_random(const IsaTable *t, unsigned row, GRand *rand);
void isa_print(const IsaTable *t, unsigned row, uint32_t raw, uint64_t pc, GString *out);
/* Encode, decode and print `rounds` random instances of each row with only the row's own features
 * on and no special case in the way; NULL or a message (caller frees). */
char *isa_check(const IsaTable *t, unsigned rounds, uint32_t seed);

#endif
