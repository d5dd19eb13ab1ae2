/* SPDX-License-Identifier: Apache-2.0 */
/* Nearest names by Damerau-Levenshtein distance (restricted form), blind to case and to `_`/`-`. */
#include <string.h>

#include "util/error.h"
#include "util/suggest.h"

enum { LONGEST = 64, SHOWN = 3 };

static char fold(char c)
{
    return c == '_' ? '-' : g_ascii_tolower(c);
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    return MIN(a, MIN(b, c));
}

/* The number of insertions, deletions, replacements and swaps of neighbours between both. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
    unsigned rows[3][LONGEST + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= m; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            unsigned differs = fold(a[i - 1]) != fold(b[j - 1]);
            row[j] = least(last[j] + 1, row[j - 1] + 1, last[j - 1] + differs);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1])) {
                row[j] = MIN(row[j], before[j - 2] + 1);
            }
        }
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[m];
}

/* A cost below 100 is worth showing: few edits for the length, or one begins with the other. */
static unsigned cost(const char *given, const char *name)
{
    size_t n = strlen(given), m = strlen(name), shorter = MIN(n, m);

    if (n == 0 || n > LONGEST || m > LONGEST) {
        return 100;
    }
    unsigned edits = distance(given, n, name, m);
    if (edits <= MAX(n, m) / 3 || (edits == 1 && n > 1)) {
        return edits;
    }
    if (shorter >= 3 && g_ascii_strncasecmp(given, name, shorter) == 0) {
        return 50 + MIN(edits, 49u);
    }
    return 100;
}

char *suggest_nearest(const char *given, const char *const *names)
{
    const char *best[SHOWN] = { NULL };
    unsigned costs[SHOWN];

    for (; *names != NULL; names++) {
        const char *name = *names;
        unsigned c = cost(given, name);
        for (int i = 0; i < SHOWN && c < 100; i++) {
            if (best[i] == NULL || c < costs[i]) {
                const char *pushed = best[i];
                unsigned pushed_cost = pushed != NULL ? costs[i] : 100;
                best[i] = name;
                costs[i] = c;
                name = pushed;
                c = pushed_cost;
            }
        }
    }
    if (best[0] == NULL) {
        return NULL;
    }
    GString *text = g_string_new(NULL);
    for (int i = 0; i < SHOWN && best[i] != NULL && costs[i] == costs[0]; i++) {
        g_string_append_printf(text, "%s'%s'", i == 0 ? "" : " or ", best[i]);
    }
    return g_string_free(text, FALSE);
}

void suggest_append(GError **error, const char *given, const char *const *names)
{
    g_autofree char *nearest = suggest_nearest(given, names);

    if (nearest != NULL) {
        error_append(error, "; did you mean %s?", nearest);
    }
}
