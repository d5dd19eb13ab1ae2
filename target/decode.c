/* SPDX-License-Identifier: Apache-2.0 */
/* Printing, encoding and drawing instructions from the tables of scripts/decode/decode.py. */
#include <string.h>
#include "target/decode.h"

static bool gate_used(const int16_t *gate)
{
    return gate[0] != 0 || gate[1] != 0;
}

bool isa_gates_open(const IsaTable *t, unsigned row, const uint64_t *features)
{
    for (unsigned g = 0; g < ISA_MAX_GATES; g++) {
        const int16_t *gate = t->rows[row].gates[g];
        bool open = !gate_used(gate);
        for (unsigned i = 0; !open && gate[i] >= 0; i++) {
            open = isa_has(features, gate[i]);
        }
        if (!open)
            return false;
    }
    return true;
}

static int32_t extract(const IsaField *f, uint32_t raw)
{
    uint32_t v = 0;
    for (unsigned s = 0; s < f->n_segments; s++) {
        uint32_t bits = raw >> f->segments[s].lsb & ((1ull << f->segments[s].len) - 1);
        v |= bits << f->segments[s].to;
    }
    if (f->is_signed && f->bits < 32) {
        unsigned up = 32 - f->bits;
        v = (uint32_t)((int32_t)(v << up) >> up);
    }
    return (int32_t)v * f->scale + f->plus;
}

static const IsaField *field_of(const IsaTable *t, unsigned row, unsigned i)
{
    return &t->fields[t->rows[row].fields[i]];
}

int32_t isa_field_value(const IsaTable *t, unsigned row, unsigned i, uint32_t raw)
{
    return extract(field_of(t, row, i), raw);
}

/* Puts the value's bits into *raw; false if reading them back would give something else. */
static bool insert(const IsaField *f, int32_t value, uint32_t *raw)
{
    int32_t v = value - f->plus;
    if (v % f->scale)
        return false;
    v /= f->scale;
    for (unsigned s = 0; s < f->n_segments; s++) {
        uint32_t mask = (1ull << f->segments[s].len) - 1;
        *raw &= ~(mask << f->segments[s].lsb);
        *raw |= ((uint32_t)v >> f->segments[s].to & mask) << f->segments[s].lsb;
    }
    return extract(f, *raw) == value;
}

static bool constraints_hold(const IsaTable *t, unsigned row, uint32_t raw)
{
    const IsaRow *r = &t->rows[row];
    for (unsigned i = 0; i < r->n_constraints; i++) {
        if (extract(&t->fields[r->constraints[i].field], raw) == r->constraints[i].value)
            return false;
    }
    return true;
}

bool isa_encode(const IsaTable *t, unsigned row, const int32_t *values, uint32_t *raw)
{
    *raw = t->rows[row].value;
    for (unsigned i = 0; i < t->rows[row].n_fields; i++) {
        if (!insert(field_of(t, row, i), values[i], raw))
            return false;
    }
    return constraints_hold(t, row, *raw);
}

uint32_t isa_random(const IsaTable *t, unsigned row, GRand *rand)
{
    const IsaRow *r = &t->rows[row];
    uint32_t width = r->bytes == 2 ? 0xffff : UINT32_MAX, raw;
    do {
        raw = ((g_rand_int(rand) & ~r->mask) | r->value) & width;
    } while (!constraints_hold(t, row, raw));
    return raw;
}

static void print_named(const IsaTable *t, unsigned row, const char *name, unsigned n,
                        uint32_t raw, uint64_t pc, GString *out)
{
    for (unsigned i = 0; i < t->rows[row].n_fields; i++) {
        const IsaField *f = field_of(t, row, i);
        if (strlen(f->name) == n && memcmp(f->name, name, n) == 0)
            f->print(out, extract(f, raw), pc);
    }
}

void isa_print(const IsaTable *t, unsigned row, uint32_t raw, uint64_t pc, GString *out)
{
    const char *p = t->rows[row].text;
    while (*p) {
        unsigned n = strcspn(p, "{");
        g_string_append_len(out, p, n);
        p += n;
        if (*p == '{') {
            n = strcspn(++p, "}");
            print_named(t, row, p, n, raw, pc, out);
            p += n + 1;
        }
    }
}

/* ---- self-check ---- */

static void features_of(const IsaTable *t, unsigned row, uint64_t *features, GRand *rand)
{
    memset(features, 0, t->feature_words * sizeof(*features));
    for (unsigned g = 0; g < ISA_MAX_GATES; g++) {
        const int16_t *gate = t->rows[row].gates[g];
        unsigned n = 0;
        while (gate_used(gate) && gate[n] >= 0) {
            n++;
        }
        if (n)
            isa_set(features, gate[g_rand_int_range(rand, 0, n)], true);
    }
}

static char *check_one(const IsaTable *t, unsigned row, uint32_t raw, const uint64_t *features)
{
    const IsaRow *r = &t->rows[row];
    int32_t values[ISA_MAX_FIELDS];
    for (unsigned i = 0; i < r->n_fields; i++) {
        values[i] = isa_field_value(t, row, i, raw);
    }
    uint32_t again;
    if (!isa_encode(t, row, values, &again) || ((again ^ raw) & r->mask))
        return g_strdup_printf("%s: %08x does not encode again", r->name, raw);
    for (unsigned i = 0; i < r->n_fields; i++) {
        if (isa_field_value(t, row, i, again) != values[i])
            return g_strdup_printf("%s: field %u of %08x changes", r->name, i, raw);
    }
    unsigned found = t->decode(raw, features);
    /* A special case (more fixed bits) may stand over the line. */
    bool special = found && (t->rows[found].mask & r->mask) == r->mask;
    if (found != row && !special)
        return g_strdup_printf("%s: %08x decodes as %s", r->name, raw,
                               found ? t->rows[found].name : "nothing");
    g_autoptr(GString) text = g_string_new(NULL);
    isa_print(t, row, raw, 0x1000, text);
    if (text->len == 0 || strpbrk(text->str, "{}"))
        return g_strdup_printf("%s: prints as \"%s\"", r->name, text->str);
    return NULL;
}

char *isa_check(const IsaTable *t, unsigned rounds, uint32_t seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autofree uint64_t *features = g_new0(uint64_t, t->feature_words);
    for (unsigned row = 1; row < t->n_rows; row++) {
        unsigned reached = 0;
        for (unsigned i = 0; i < rounds; i++) {
            features_of(t, row, features, rand);
            uint32_t raw = isa_random(t, row, rand);
            char *error = check_one(t, row, raw, features);
            if (error)
                return error;
            reached += t->decode(raw, features) == row;
        }
        if (rounds && !reached)
            return g_strdup_printf("%s: never decoded", t->rows[row].name);
        memset(features, 0, t->feature_words * sizeof(*features));
        if (!isa_gates_open(t, row, features) && t->decode(isa_random(t, row, rand), features) == row)
            return g_strdup_printf("%s: decodes with its features off", t->rows[row].name);
    }
    return NULL;
}
