/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a human command's arguments by the types that its row gives. */
#include <string.h>

#include "control/hmp/hmp-internal.h"
#include "qapi/keyval.h"
#include "util/error.h"

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* A word, or text in double quotes with \n \r \\ \' \" as escapes. */
static char *read_word(const char **text, GError **error)
{
    GString *word = g_string_new(NULL);
    const char *p = *text;

    if (*p != '"') {
        size_t length = strcspn(p, " \t\r\n");
        g_string_append_len(word, p, length);
        *text = p + length;
        return g_string_free(word, FALSE);
    }
    for (p++; *p != '"'; p++) {
        static const char names[] = "nr\\'\"", plain[] = "\n\r\\'\"";
        const char *name = *p == '\\' && p[1] != '\0' ? strchr(names, p[1]) : NULL;
        if (*p == '\0' || (*p == '\\' && name == NULL)) {
            error_set(error, *p == '\0' ? "unterminated string" : "unsupported escape code: '\\%c'",
                      *p == '\0' ? 0 : p[1]);
            g_string_free(word, TRUE);
            return NULL;
        }
        g_string_append_c(word, name != NULL ? plain[name - names] : *p);
        p += name != NULL;
    }
    *text = p + 1;
    return g_string_free(word, FALSE);
}

static Json *read_size(const char **text, unsigned shift, GError **error)
{
    g_autofree char *word = read_word(text, error);
    uint64_t bytes;

    if (word == NULL) {
        return NULL;
    }
    size_t length = strlen(word);
    bool plain = length > 0 && strspn(word, "0123456789") == length;
    if (!keyval_size(word, &bytes) || (plain && bytes > UINT64_MAX >> shift)) {
        error_set(error, "invalid size '%s'", word);
        return NULL;
    }
    return json_uint(plain ? bytes << shift : bytes);
}

static Json *read_integer(Hmp *hmp, const char **text, bool is_32, GError **error)
{
    int64_t value;

    if (!hmp_expression(hmp, text, &value, error)) {
        return NULL;
    }
    if (is_32 && (value < INT32_MIN || value > UINT32_MAX)) {
        error_set(error, "integer is for 32-bit values");
        return NULL;
    }
    return json_int(value);
}

static Json *read_bool(const char **text, GError **error)
{
    g_autofree char *word = read_word(text, error);

    if (word == NULL) {
        return NULL;
    }
    if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0) {
        error_set(error, "Expected 'on' or 'off'");
        return NULL;
    }
    return json_bool(strcmp(word, "on") == 0);
}

static Json *read_rest(const char **text)
{
    g_autofree char *rest = g_strstrip(g_strdup(*text));

    *text += strlen(*text);
    return json_string(rest);
}

/* "/4xb": count, letter of the format, letter of the size, in any order of the letters. */
static bool read_format(const char **text, Json *args, GError **error)
{
    const char *p = *text;
    char format[2] = "", size[2] = "";

    if (*p++ != '/') {
        return true;
    }
    if (g_ascii_isdigit(*p)) {
        char *end;
        guint64 count = g_ascii_strtoull(p, &end, 10);
        json_set(args, "count", json_int(MIN(count, 1u << 20)));
        p = end;
    }
    for (; *p != '\0' && *p != ' ' && *p != '\t'; p++) {
        if (strchr("oduxcisf", *p) != NULL) {
            format[0] = *p;
        } else if (strchr("bhwgL", *p) != NULL) {
            size[0] = *p;
        } else {
            return error_set(error, "invalid char in format: '%c'", *p);
        }
    }
    if (format[0] != '\0') {
        json_set_text(args, "format", format);
    }
    if (size[0] != '\0') {
        json_set_text(args, "size", size);
    }
    *text = p;
    return true;
}

static bool merge_options(const char **text, const char *implied, Json *args, GError **error)
{
    g_autofree char *word = read_word(text, error);

    if (word == NULL) {
        return false;
    }
    bool is_json;
    g_autoptr(Json) options = keyval_or_json(word, implied, KEYVAL_LEGACY, &is_json, error);
    for (size_t i = 0; options != NULL && i < json_length(options); i++) {
        json_set(args, json_key_at(options, i), json_ref(json_at(options, i)));
    }
    return options != NULL;
}

static bool put(Json *args, const char *name, Json *value)
{
    if (value != NULL) {
        json_set(args, name, value);
    }
    return value != NULL;
}

static bool read_one(Hmp *hmp, const char *name, const char *type, const char **text, Json *args,
                     GError **error)
{
    g_autofree char *word = NULL;

    switch (*type) {
    case 's':
        word = read_word(text, error);
        return word != NULL && put(args, name, json_string(word));
    case 'S':
        return put(args, name, read_rest(text));
    case 'b':
        return put(args, name, read_bool(text, error));
    case 'l':
    case 'i':
        return put(args, name, read_integer(hmp, text, *type == 'i', error));
    case 'o':
    case 'z':
        return put(args, name, read_size(text, *type == 'o' ? 20 : 0, error));
    case 'O':
        return merge_options(text, name, args, error);
    default:
        return error_set(error, "the command's row has no type '%s'", type);
    }
}

/* Takes a flag "-x" off the text if it is next. */
static void read_flag(const char *name, char letter, const char **text, Json *args)
{
    const char *p = *text;

    if (p[0] == '-' && p[1] == letter && (p[2] == '\0' || p[2] == ' ' || p[2] == '\t')) {
        json_set(args, name, json_bool(true));
        *text = p + 2;
    }
}

static bool read_row_argument(Hmp *hmp, const HmpCommand *command, const char *spec,
                              const char **text, Json *args, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(spec, ":", 2);
    const char *name = parts[0], *type = parts[1];

    *text = skip_blanks(*text);
    if (*type == '/') {
        return read_format(text, args, error);
    }
    if (*type == '-') {
        read_flag(name, type[1], text, args);
        return true;
    }
    if (**text == '\0') {
        return g_str_has_suffix(type, "?") ||
               error_set(error, strchr("li", *type) != NULL ? "unexpected end of expression"
                                                            : "%s: %s expected",
                         command->name, name);
    }
    return read_one(hmp, name, type, text, args, error);
}

Json *hmp_read_args(Hmp *hmp, const HmpCommand *command, const char *text, GError **error)
{
    g_autoptr(Json) args = json_object();
    g_auto(GStrv) specs = g_strsplit(command->args, " ", -1);

    for (char **spec = specs; *spec != NULL && **spec != '\0'; spec++) {
        if (!read_row_argument(hmp, command, *spec, &text, args, error)) {
            return NULL;
        }
    }
    if (*skip_blanks(text) != '\0') {
        error_set(error, "%s: extraneous characters at the end of line", command->name);
        return NULL;
    }
    return g_steal_pointer(&args);
}
