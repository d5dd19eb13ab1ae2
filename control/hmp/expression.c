/* SPDX-License-Identifier: Apache-2.0 */
/* Integer expressions of the human monitor, by recursive descent. */
#include <errno.h>
#include <string.h>

#include "control/hmp/hmp-internal.h"
#include "util/error.h"

typedef struct Reader {
    Hmp *hmp;
    const char *p;
    unsigned depth;
    GError **error;
} Reader;

enum { MAX_DEPTH = 64 };

static bool sum(Reader *r, int64_t *value);

static char peek(Reader *r)
{
    while (*r->p == ' ' || *r->p == '\t') {
        r->p++;
    }
    return *r->p;
}

static bool read_number(Reader *r, int64_t *value)
{
    char *end;

    errno = 0;
    *value = (int64_t)g_ascii_strtoull(r->p, &end, 0);
    if (errno == ERANGE) {
        return error_set(r->error, "number too large");
    }
    if (end == r->p) {
        return error_set(r->error, "invalid char '%c' in expression", *r->p);
    }
    r->p = end;
    return true;
}

static bool read_register(Reader *r, int64_t *value)
{
    size_t length = strspn(++r->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_.");
    g_autofree char *name = g_strndup(r->p, length);
    Cpu *cpu = hmp_cpu(r->hmp, r->error);

    if (cpu == NULL) {
        return false;
    }
    for (unsigned i = 0; i < cpu->isa->n_regs; i++) {
        const CpuReg *reg = &cpu->isa->regs[i];
        if (g_ascii_strcasecmp(reg->name, name) == 0 && reg->bits <= 64) {
            uint64_t bits = 0;
            if (reg->read != NULL) {
                reg->read(cpu, reg, &bits);
            } else {
                memcpy(&bits, (const char *)cpu + reg->offset, (reg->bits + 7) / 8);
            }
            *value = bits;
            r->p += length;
            return true;
        }
    }
    return error_set(r->error, "unknown register");
}

static bool read_character(Reader *r, int64_t *value)
{
    r->p++;
    if (*r->p == '\0' || r->p[1] != '\'') {
        return error_set(r->error, "missing terminating \' character");
    }
    *value = (guchar)*r->p;
    r->p += 2;
    return true;
}

static bool primary(Reader *r, int64_t *value)
{
    char c = peek(r);

    switch (c) {
    case '\0':
        return error_set(r->error, "unexpected end of expression");
    case '(':
        r->p++;
        if (++r->depth > MAX_DEPTH) {
            return error_set(r->error, "the expression is nested too deeply");
        }
        if (!sum(r, value)) {
            return false;
        }
        r->depth--;
        if (peek(r) != ')') {
            return error_set(r->error, "')' expected");
        }
        r->p++;
        return true;
    case '+':
    case '-':
    case '~':
        r->p++;
        if (++r->depth > MAX_DEPTH) {
            return error_set(r->error, "the expression is nested too deeply");
        }
        if (!primary(r, value)) {
            return false;
        }
        r->depth--;
        *value = c == '-' ? (int64_t)(0 - (uint64_t)*value) : c == '~' ? ~*value : *value;
        return true;
    case '$':
        return read_register(r, value);
    case '\'':
        return read_character(r, value);
    default:
        return read_number(r, value);
    }
}

static bool apply(Reader *r, char op, int64_t *value, int64_t right)
{
    uint64_t a = *value, b = right;

    switch (op) {
    case '+':
        *value = a + b;
        return true;
    case '-':
        *value = a - b;
        return true;
    case '*':
        *value = a * b;
        return true;
    case '&':
        *value = a & b;
        return true;
    case '|':
        *value = a | b;
        return true;
    case '^':
        *value = a ^ b;
        return true;
    default:
        if (b == 0) {
            return error_set(r->error, "division by zero");
        }
        *value = op == '/' ? a / b : a % b;
        return true;
    }
}

/* A chain of operands with the operators in `ops` between them. */
static bool chain(Reader *r, const char *ops, bool (*operand)(Reader *, int64_t *), int64_t *value)
{
    int64_t right;

    if (!operand(r, value)) {
        return false;
    }
    for (char op = peek(r); op != '\0' && strchr(ops, op) != NULL; op = peek(r)) {
        r->p++;
        if (!operand(r, &right) || !apply(r, op, value, right)) {
            return false;
        }
    }
    return true;
}

static bool product(Reader *r, int64_t *value)
{
    return chain(r, "*/%", primary, value);
}

static bool bitwise(Reader *r, int64_t *value)
{
    return chain(r, "&|^", product, value);
}

static bool sum(Reader *r, int64_t *value)
{
    return chain(r, "+-", bitwise, value);
}

bool hmp_expression(Hmp *hmp, const char **text, int64_t *value, GError **error)
{
    Reader reader = { hmp, *text, 0, error };

    if (!sum(&reader, value)) {
        return false;
    }
    peek(&reader);
    *text = reader.p;
    return true;
}
