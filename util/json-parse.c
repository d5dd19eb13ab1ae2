/* SPDX-License-Identifier: Apache-2.0 */
/* A push parser for streams of JSON values (RFC 8259 with 'single quotes').
 *
 * Two machines: the scanner cuts bytes into tokens, the builder puts tokens into a stack of open
 * containers. A wrong token does not end a value: the builder remembers the first error, counts
 * braces and brackets on and reports once they balance, so that one bad request costs one error
 * and the next request is understood. A byte that cannot begin any token reports at once, forgets
 * the value and skips to a place where a value may begin. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/error.h"
#include "util/json.h"

enum {
    MAX_DEPTH = 1024,
    MAX_TOKENS = 2 << 20,
    MAX_BYTES = 64 << 20,
};

typedef enum { SCAN_START, SCAN_WORD, SCAN_STRING, SCAN_ESCAPE, SCAN_RECOVERY } Scan;

/* What an open container waits for. */
typedef enum {
    FIRST_ITEM,   /* a value or ']' */
    ITEM,         /* a value */
    AFTER_ITEM,   /* ',' or ']' */
    FIRST_KEY,    /* a string or '}' */
    KEY,          /* a string */
    COLON,        /* ':' */
    MEMBER_VALUE, /* a value */
    AFTER_MEMBER, /* ',' or '}' */
} Expect;

typedef struct Frame {
    Json *container;
    char *key;
    Expect expect;
} Frame;

struct JsonParser {
    JsonReady *ready;
    void *opaque;
    bool paused;

    Scan scan;
    char quote;
    GString *token;

    GArray *stack; /* of Frame */
    Json *root;
    GError *error;           /* the first error in the value at hand */
    int braces, brackets;    /* open ones, errors or not */
    unsigned tokens;
    size_t bytes;
};

static void clear_frame(gpointer data)
{
    g_free(((Frame *)data)->key);
}

JsonParser *json_parser_new(JsonReady *ready, void *opaque)
{
    JsonParser *p = g_new0(JsonParser, 1);

    p->ready = ready;
    p->opaque = opaque;
    p->token = g_string_new(NULL);
    p->stack = g_array_new(FALSE, FALSE, sizeof(Frame));
    g_array_set_clear_func(p->stack, clear_frame);
    return p;
}

/* Forgets the value at hand, not the scanner's state. */
static void forget(JsonParser *p)
{
    g_array_set_size(p->stack, 0);
    g_clear_pointer(&p->root, json_unref);
    g_clear_error(&p->error);
    p->braces = p->brackets = 0;
    p->tokens = 0;
    p->bytes = 0;
}

void json_parser_reset(JsonParser *p)
{
    forget(p);
    p->scan = SCAN_START;
    g_string_truncate(p->token, 0);
}

void json_parser_free(JsonParser *p)
{
    if (p != NULL) {
        forget(p);
        g_array_unref(p->stack);
        g_string_free(p->token, TRUE);
        g_free(p);
    }
}

void json_parser_pause(JsonParser *p)
{
    p->paused = true;
}

static void G_GNUC_PRINTF(2, 3) fail(JsonParser *p, const char *format, ...)
{
    if (p->error == NULL) {
        va_list ap;
        va_start(ap, format);
        p->error = g_error_new_valist(MYNA_ERROR, MYNA_ERROR_GENERIC, format, ap);
        va_end(ap);
    }
}

/* Hands over the value or its error. */
static void deliver(JsonParser *p)
{
    g_autoptr(GError) error = g_steal_pointer(&p->error);
    Json *value = g_steal_pointer(&p->root);

    forget(p);
    if (error != NULL) {
        json_unref(value);
        value = NULL;
    }
    p->ready(p->opaque, value, error);
}

static Frame *top(JsonParser *p)
{
    return p->stack->len == 0 ? NULL : &g_array_index(p->stack, Frame, p->stack->len - 1);
}

static void syntax(JsonParser *p, Expect expect)
{
    static const char *const texts[] = {
        [FIRST_ITEM] = "expecting value",
        [ITEM] = "expecting value",
        [AFTER_ITEM] = "expected separator in list",
        [FIRST_KEY] = "key is not a string in object",
        [KEY] = "expecting value",
        [COLON] = "missing : in object pair",
        [MEMBER_VALUE] = "expecting value",
        [AFTER_MEMBER] = "expected separator in dict",
    };
    fail(p, "JSON parse error, %s", texts[expect]);
}

/* Puts a value where the innermost container waits for one. Takes it over. */
static bool place(JsonParser *p, Json *value)
{
    Frame *f = top(p);

    if (f == NULL) {
        p->root = value;
        return true;
    }
    switch (f->expect) {
    case FIRST_ITEM:
    case ITEM:
        json_append(f->container, value);
        f->expect = AFTER_ITEM;
        return true;
    case MEMBER_VALUE:
        json_set(f->container, f->key, value);
        g_clear_pointer(&f->key, g_free);
        f->expect = AFTER_MEMBER;
        return true;
    default:
        syntax(p, f->expect);
        json_unref(value);
        return false;
    }
}

static void open_container(JsonParser *p, bool object)
{
    Json *container = object ? json_object() : json_array();
    Frame f = { container, NULL, object ? FIRST_KEY : FIRST_ITEM };

    if (place(p, container)) {
        g_array_append_val(p->stack, f);
    }
}

static void close_container(JsonParser *p, bool object)
{
    Frame *f = top(p);

    if (f != NULL && (object ? f->expect == FIRST_KEY || f->expect == AFTER_MEMBER
                             : f->expect == FIRST_ITEM || f->expect == AFTER_ITEM)) {
        g_array_set_size(p->stack, p->stack->len - 1);
        return;
    }
    syntax(p, f != NULL ? f->expect : ITEM);
}

static void put_string(JsonParser *p, const char *text)
{
    Frame *f = top(p);

    if (f == NULL || (f->expect != FIRST_KEY && f->expect != KEY)) {
        place(p, json_string(text));
    } else if (json_get(f->container, text) != NULL) {
        fail(p, "JSON parse error, duplicate key '%s'", text);
    } else {
        f->key = g_strdup(text);
        f->expect = COLON;
    }
}

static void put_separator(JsonParser *p, char c)
{
    Frame *f = top(p);

    if (f != NULL && c == ':' && f->expect == COLON) {
        f->expect = MEMBER_VALUE;
    } else if (f != NULL && c == ',' && f->expect == AFTER_ITEM) {
        f->expect = ITEM;
    } else if (f != NULL && c == ',' && f->expect == AFTER_MEMBER) {
        f->expect = KEY;
    } else {
        syntax(p, f != NULL ? f->expect : ITEM);
    }
}

/* Reports what is wrong, forgets the value and looks for a place to go on. */
static void give_up(JsonParser *p)
{
    deliver(p);
    g_string_truncate(p->token, 0);
    p->scan = SCAN_RECOVERY;
}

/* To be called after each token: counts it, delivers a finished value. */
static void finish_token(JsonParser *p, size_t bytes)
{
    p->tokens++;
    p->bytes += bytes;
    if (p->braces < 0 || p->brackets < 0) {
        deliver(p);
    } else if (p->braces == 0 && p->brackets == 0) {
        deliver(p);
    } else if (p->braces + p->brackets > MAX_DEPTH) {
        fail(p, "JSON nesting depth limit exceeded");
        give_up(p);
    } else if (p->tokens > MAX_TOKENS) {
        fail(p, "JSON token count limit exceeded");
        give_up(p);
    }
}

static void structural(JsonParser *p, char c)
{
    bool object = c == '{' || c == '}';

    switch (c) {
    case '{':
    case '[':
        *(object ? &p->braces : &p->brackets) += 1;
        if (p->error == NULL) {
            open_container(p, object);
        }
        break;
    case '}':
    case ']':
        *(object ? &p->braces : &p->brackets) -= 1;
        if (p->error == NULL) {
            close_container(p, object);
        }
        break;
    default:
        if (p->error == NULL) {
            put_separator(p, c);
        }
        break;
    }
    finish_token(p, 1);
}

static bool is_number(const char *s)
{
    s += *s == '-';
    if (*s == '0') {
        s++;
    } else if (g_ascii_isdigit(*s)) {
        s += strspn(s, "0123456789");
    } else {
        return false;
    }
    if (*s == '.') {
        s++;
        if (!g_ascii_isdigit(*s)) {
            return false;
        }
        s += strspn(s, "0123456789");
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        if (!g_ascii_isdigit(*s)) {
            return false;
        }
        s += strspn(s, "0123456789");
    }
    return *s == '\0';
}

static Json *number(const char *text)
{
    char *end;

    errno = 0;
    int64_t i = g_ascii_strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0) {
        return json_int(i);
    }
    errno = 0;
    uint64_t u = *text == '-' ? 0 : g_ascii_strtoull(text, &end, 10);
    if (*text != '-' && *end == '\0' && errno == 0) {
        return json_uint(u);
    }
    return json_double(g_ascii_strtod(text, NULL));
}

static Json *keyword(const char *text)
{
    return strcmp(text, "true") == 0    ? json_bool(true)
           : strcmp(text, "false") == 0 ? json_bool(false)
           : strcmp(text, "null") == 0  ? json_null()
                                        : NULL;
}

/* Ends a token of letters and digits. False if the scanner now recovers. */
static bool end_word(JsonParser *p)
{
    const char *text = p->token->str;
    Json *value = NULL;

    p->scan = SCAN_START;
    if (g_ascii_islower(*text) && text[strspn(text, "abcdefghijklmnopqrstuvwxyz")] == '\0') {
        value = keyword(text);
        if (value == NULL) {
            fail(p, "JSON parse error, invalid keyword '%s'", text);
        }
    } else if (is_number(text)) {
        value = number(text);
    } else {
        fail(p, "JSON parse error, stray '%s'", text);
        give_up(p);
        return false;
    }
    if (value != NULL && p->error == NULL) {
        place(p, value);
    } else {
        json_unref(value);
    }
    size_t bytes = p->token->len;
    g_string_truncate(p->token, 0);
    finish_token(p, bytes);
    return true;
}

static bool hex4(const char *s, gunichar *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        if (!g_ascii_isxdigit(s[i])) {
            return false;
        }
        *value = *value << 4 | g_ascii_xdigit_value(s[i]);
    }
    return true;
}

/* Decodes \uXXXX, or a pair of them, behind `s`; returns the characters used, 0 if wrong. */
static size_t unicode_escape(const char *s, GString *out)
{
    gunichar c, low;

    if (!hex4(s, &c) || c == 0 || (c >= 0xdc00 && c < 0xe000)) {
        return 0;
    }
    if (c < 0xd800 || c >= 0xe000) {
        g_string_append_unichar(out, c);
        return 4;
    }
    if (s[4] != '\\' || s[5] != 'u' || !hex4(s + 6, &low) || low < 0xdc00 || low >= 0xe000) {
        return 0;
    }
    g_string_append_unichar(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
    return 10;
}

/* Takes the escapes out of a string's text; false if one is wrong. */
static bool unescape(const char *s, GString *out)
{
    static const char named[] = "\"'\\/bfnrt", plain[] = "\"'\\/\b\f\n\r\t";

    while (*s != '\0') {
        if (*s != '\\') {
            g_string_append_c(out, *s++);
            continue;
        }
        const char *name = s[1] != '\0' ? strchr(named, s[1]) : NULL;
        if (name != NULL) {
            g_string_append_c(out, plain[name - named]);
            s += 2;
        } else {
            size_t used = s[1] == 'u' ? unicode_escape(s + 2, out) : 0;
            if (used == 0) {
                return false;
            }
            s += 2 + used;
        }
    }
    return true;
}

static void end_string(JsonParser *p)
{
    g_autoptr(GString) text = g_string_sized_new(p->token->len);
    size_t bytes = p->token->len + 2;

    p->scan = SCAN_START;
    if (!unescape(p->token->str, text)) {
        fail(p, "JSON parse error, invalid escape sequence in string");
    } else if (!g_utf8_validate(text->str, text->len, NULL)) {
        fail(p, "JSON parse error, invalid UTF-8 sequence in string");
    } else if (p->error == NULL) {
        put_string(p, text->str);
    }
    g_string_truncate(p->token, 0);
    finish_token(p, bytes);
}

static void stray(JsonParser *p, char c)
{
    g_autofree char *quoted = NULL;

    g_string_append_c(p->token, c);
    quoted = g_utf8_make_valid(p->token->str, MIN(p->token->len, 64));
    fail(p, "JSON parse error, stray '%s'", quoted);
    give_up(p);
}

static bool is_word(char c)
{
    return g_ascii_isalnum(c) || c == '-' || c == '+' || c == '.' || c == '_';
}

static bool is_structural(char c)
{
    return c != '\0' && strchr("{}[],:", c) != NULL;
}

static void grow(JsonParser *p, char c)
{
    g_string_append_c(p->token, c);
    if (p->bytes + p->token->len > MAX_BYTES) {
        fail(p, "JSON token size limit exceeded");
        give_up(p);
    }
}

static void scan_start(JsonParser *p, char c)
{
    if (is_structural(c)) {
        structural(p, c);
    } else if (c == '"' || c == '\'') {
        p->scan = SCAN_STRING;
        p->quote = c;
    } else if (is_word(c)) {
        p->scan = SCAN_WORD;
        grow(p, c);
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
        stray(p, c);
    }
}

static bool ends_recovery(char c)
{
    return is_structural(c) || ((guchar)c < 0x20 && c != '\t') || (guchar)c >= 0xfe;
}

/* Consumes one byte; false if the byte has to be looked at again. */
static bool step(JsonParser *p, char c)
{
    switch (p->scan) {
    case SCAN_START:
        scan_start(p, c);
        return true;
    case SCAN_WORD:
        if (is_word(c)) {
            grow(p, c);
            return true;
        }
        end_word(p);
        return false;
    case SCAN_STRING:
        if (c == p->quote) {
            end_string(p);
        } else if ((guchar)c < 0x20 || (guchar)c >= 0xfe) {
            stray(p, c);
            return !ends_recovery(c); /* a line end within a string is a place to go on */
        } else {
            p->scan = c == '\\' ? SCAN_ESCAPE : SCAN_STRING;
            grow(p, c);
        }
        return true;
    case SCAN_ESCAPE:
        p->scan = SCAN_STRING;
        if ((guchar)c < 0x20 || (guchar)c >= 0xfe) {
            return false;
        }
        grow(p, c);
        return true;
    case SCAN_RECOVERY:
        if (!ends_recovery(c)) {
            return true;
        }
        p->scan = SCAN_START;
        return !is_structural(c);
    }
    return true;
}

size_t json_parser_feed(JsonParser *p, const char *data, size_t length)
{
    size_t i = 0;

    p->paused = false;
    while (i < length && !p->paused) {
        i += step(p, data[i]);
    }
    return i;
}

void json_parser_end(JsonParser *p)
{
    if (p->scan == SCAN_WORD) {
        end_word(p);
    }
    if (p->scan == SCAN_STRING || p->scan == SCAN_ESCAPE || p->stack->len > 0 ||
        p->error != NULL) {
        fail(p, "JSON parse error, the text ends too early");
        deliver(p);
    }
    json_parser_reset(p);
}

typedef struct Whole {
    Json *value;
    GError *error;
    unsigned count;
} Whole;

static void keep(void *opaque, Json *value, const GError *error)
{
    Whole *w = opaque;

    if (w->count++ == 0) {
        w->value = value;
        w->error = error != NULL ? g_error_copy(error) : NULL;
    } else {
        json_unref(value);
    }
}

Json *json_parse(const char *text, GError **error)
{
    Whole whole = { NULL, NULL, 0 };
    g_autoptr(JsonParser) parser = json_parser_new(keep, &whole);

    json_parser_feed(parser, text, strlen(text));
    json_parser_end(parser);
    g_autoptr(Json) value = whole.value;
    if (whole.error != NULL) {
        g_propagate_error(error, whole.error);
        return NULL;
    }
    if (whole.count != 1) {
        error_set(error, whole.count == 0 ? "JSON parse error, expecting value"
                                          : "JSON parse error, text follows the value");
        return NULL;
    }
    return g_steal_pointer(&value);
}
