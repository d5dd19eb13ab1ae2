/* SPDX-License-Identifier: Apache-2.0 */
/* Line editing with Emacs keys and arrows (ECMA-48 sequences); bytes above 127 are taken as is. */
#include <string.h>

#include "control/hmp/line-editor.h"

enum { MAX_LINE = 4096, MAX_HISTORY = 64 };

#define CTRL(c) ((c) & 0x1f)

typedef enum { PLAIN, ESCAPE, SEQUENCE } State;

struct LineEditor {
    const char *prompt;
    void (*write)(void *opaque, const char *data, size_t length);
    GPtrArray *(*complete)(const char *text);
    void *opaque;
    GString *line;
    size_t cursor;
    State state;
    int parameter;      /* of the sequence at hand */
    bool after_return;  /* a line feed that follows is part of it */
    GPtrArray *history; /* oldest first */
    guint at;           /* in the history; its length: the new line */
};

LineEditor *line_editor_new(const char *prompt,
                            void (*write)(void *opaque, const char *data, size_t length),
                            GPtrArray *(*complete)(const char *text), void *opaque)
{
    LineEditor *e = g_new0(LineEditor, 1);

    e->prompt = prompt;
    e->write = write;
    e->complete = complete;
    e->opaque = opaque;
    e->line = g_string_new(NULL);
    e->history = g_ptr_array_new_with_free_func(g_free);
    return e;
}

void line_editor_free(LineEditor *e)
{
    if (e != NULL) {
        g_string_free(e->line, TRUE);
        g_ptr_array_unref(e->history);
        g_free(e);
    }
}

static void put(LineEditor *e, const char *text)
{
    e->write(e->opaque, text, strlen(text));
}

void line_editor_reset(LineEditor *e)
{
    g_string_truncate(e->line, 0);
    e->cursor = 0;
    e->state = PLAIN;
    e->at = e->history->len;
}

void line_editor_show(LineEditor *e)
{
    g_autoptr(GString) out = g_string_new(NULL);

    g_string_append_printf(out, "\r%s%s\033[K", e->prompt, e->line->str);
    if (e->cursor < e->line->len) {
        g_string_append_printf(out, "\033[%zuD", e->line->len - e->cursor);
    }
    put(e, out->str);
}

static void insert(LineEditor *e, const char *text)
{
    size_t length = strlen(text);

    if (e->line->len + length > MAX_LINE) {
        return;
    }
    g_string_insert(e->line, e->cursor, text);
    e->cursor += length;
    if (e->cursor == e->line->len) {
        put(e, text);
    } else {
        line_editor_show(e);
    }
}

static void erase(LineEditor *e, size_t from, size_t to)
{
    g_string_erase(e->line, from, to - from);
    e->cursor = from;
    line_editor_show(e);
}

static void move(LineEditor *e, size_t to)
{
    e->cursor = MIN(to, e->line->len);
    line_editor_show(e);
}

static size_t word_start(const LineEditor *e)
{
    size_t at = e->cursor;

    while (at > 0 && e->line->str[at - 1] == ' ') {
        at--;
    }
    while (at > 0 && e->line->str[at - 1] != ' ') {
        at--;
    }
    return at;
}

static void recall(LineEditor *e, guint at)
{
    if (at > e->history->len) {
        return;
    }
    e->at = at;
    g_string_assign(e->line, at < e->history->len ? g_ptr_array_index(e->history, at) : "");
    move(e, e->line->len);
}

static void remember(LineEditor *e)
{
    guint last = e->history->len;

    if (e->line->len == 0 ||
        (last > 0 && strcmp(g_ptr_array_index(e->history, last - 1), e->line->str) == 0)) {
        return;
    }
    if (last == MAX_HISTORY) {
        g_ptr_array_remove_index(e->history, 0);
    }
    g_ptr_array_add(e->history, g_strdup(e->line->str));
}

static size_t common_prefix(const GPtrArray *words)
{
    const char *first = g_ptr_array_index(words, 0);
    size_t length = strlen(first);

    for (guint i = 1; i < words->len; i++) {
        const char *word = g_ptr_array_index(words, i);
        size_t same = 0;
        while (same < length && word[same] == first[same]) {
            same++;
        }
        length = same;
    }
    return length;
}

static void complete(LineEditor *e)
{
    g_autofree char *text = g_strndup(e->line->str, e->cursor);
    const char *blank = strrchr(text, ' ');
    size_t typed = strlen(blank != NULL ? blank + 1 : text);
    g_autoptr(GPtrArray) words = e->complete(text);

    if (words->len == 0) {
        return;
    }
    g_autofree char *common = g_strndup(g_ptr_array_index(words, 0), common_prefix(words));
    if (words->len == 1 || strlen(common) > typed) {
        insert(e, common + typed);
        if (words->len == 1) {
            insert(e, " ");
        }
        return;
    }
    for (guint i = 0; i < words->len; i++) {
        put(e, "\r\n");
        put(e, g_ptr_array_index(words, i));
    }
    put(e, "\r\n");
    line_editor_show(e);
}

static char *enter(LineEditor *e)
{
    char *line = g_strdup(e->line->str);

    put(e, "\r\n");
    remember(e);
    line_editor_reset(e);
    return line;
}

static void sequence_key(LineEditor *e, char key)
{
    switch (key) {
    case 'A':
        recall(e, e->at > 0 ? e->at - 1 : 0);
        break;
    case 'B':
        recall(e, e->at + 1);
        break;
    case 'C':
        move(e, e->cursor + 1);
        break;
    case 'D':
        move(e, e->cursor > 0 ? e->cursor - 1 : 0);
        break;
    case 'H':
        move(e, 0);
        break;
    case 'F':
        move(e, e->line->len);
        break;
    case '~':
        if (e->parameter == 3 && e->cursor < e->line->len) {
            erase(e, e->cursor, e->cursor + 1);
        } else if (e->parameter == 1 || e->parameter == 7) {
            move(e, 0);
        } else if (e->parameter == 4 || e->parameter == 8) {
            move(e, e->line->len);
        }
        break;
    default:
        break;
    }
}

static void control_key(LineEditor *e, char key)
{
    switch (key) {
    case CTRL('A'):
        move(e, 0);
        break;
    case CTRL('E'):
        move(e, e->line->len);
        break;
    case CTRL('B'):
        sequence_key(e, 'D');
        break;
    case CTRL('F'):
        sequence_key(e, 'C');
        break;
    case CTRL('P'):
        sequence_key(e, 'A');
        break;
    case CTRL('N'):
        sequence_key(e, 'B');
        break;
    case CTRL('H'):
    case 127:
        if (e->cursor > 0) {
            erase(e, e->cursor - 1, e->cursor);
        }
        break;
    case CTRL('D'):
        if (e->cursor < e->line->len) {
            erase(e, e->cursor, e->cursor + 1);
        }
        break;
    case CTRL('K'):
        erase(e, e->cursor, e->line->len);
        break;
    case CTRL('U'):
        erase(e, 0, e->cursor);
        break;
    case CTRL('W'):
        erase(e, word_start(e), e->cursor);
        break;
    case CTRL('L'):
        put(e, "\033[H\033[2J");
        line_editor_show(e);
        break;
    case '\t':
        complete(e);
        break;
    default:
        break;
    }
}

/* Bytes of an escape sequence; true if the byte was one. */
static bool escape_byte(LineEditor *e, char key)
{
    if (e->state == PLAIN) {
        e->state = key == '\033' ? ESCAPE : PLAIN;
        return e->state == ESCAPE;
    }
    if (e->state == ESCAPE) {
        e->parameter = 0;
        e->state = key == '[' || key == 'O' ? SEQUENCE : PLAIN;
        return true;
    }
    if (g_ascii_isdigit(key)) {
        e->parameter = MIN(e->parameter * 10 + key - '0', 999);
    } else if (key != ';') {
        e->state = PLAIN;
        sequence_key(e, key);
    }
    return true;
}

char *line_editor_key(LineEditor *e, char key)
{
    bool second_half = key == '\n' && e->after_return;
    char text[2] = { key, '\0' };

    e->after_return = key == '\r';
    if (second_half || escape_byte(e, key)) {
        return NULL;
    }
    if (key == '\r' || key == '\n') {
        return enter(e);
    }
    if ((guchar)key < 0x20 || key == 127) {
        control_key(e, key);
    } else {
        insert(e, text);
    }
    return NULL;
}

const GPtrArray *line_editor_history(const LineEditor *e)
{
    return e->history;
}
