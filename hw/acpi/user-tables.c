/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that a user gives (-acpitable). Spec: ACPI 6.5, 5.2.6 (header of system description tables). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/vm.h"
#include "hw/acpi.h"
#include "qapi/keyval.h"
#include "util/error.h"

enum { HEADER = 36, REVISION_AT = 8, CHECKSUM_AT = 9, TABLE_MAX = 1 << 20 };

/* What options say of the header, and what stands there if neither they nor a file do. */
static const struct HeaderField {
    const char *key;
    uint8_t at, bytes;
    bool number;
    const char *otherwise;
} fields[] = {
    {"sig", 0, 4, false, "OEM0"},
    {"rev", REVISION_AT, 1, true, "1"},
    {"oem_id", 10, 6, false, "BOCHS "},
    {"oem_table_id", 16, 8, false, "BXPC    "},
    {"oem_rev", 24, 4, true, "1"},
    {"asl_compiler_id", 28, 4, false, "BXPC"},
    {"asl_compiler_rev", 32, 4, true, "1"},
};

static void *make(Vm *vm) { return g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref); }
static void drop(void *tables) { g_ptr_array_unref(tables); }

static GPtrArray *tables_of(Vm *vm)
{
    static const char key;
    return vm_data(vm, &key, make, drop);
}

static bool put_number(uint8_t *to, const struct HeaderField *f, const char *text, GError **error)
{
    uint64_t max = (1ull << 8 * f->bytes) - 1;
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 0);
    if (!g_ascii_isdigit(*text) || *end || errno || v > max)
        return error_set(error, "%s is a number up to %" PRIu64 ", not '%s'", f->key, max, text);
    v = GUINT64_TO_LE(v);
    memcpy(to, &v, f->bytes);
    return true;
}

static bool put_field(uint8_t *header, const struct HeaderField *f, const char *text, GError **error)
{
    if (f->number)
        return put_number(header + f->at, f, text, error);
    size_t n = strlen(text);
    if (n > f->bytes || (f->at == 0 && n != f->bytes))
        return error_set(error, "%s has %s%u characters, unlike '%s'", f->key, f->at ? "up to " : "", f->bytes, text);
    memset(header + f->at, f->at == 28 ? 0 : ' ', f->bytes);
    memcpy(header + f->at, text, n);
    return true;
}

/* The files' bytes behind `to`. */
static bool read_files(GByteArray *to, const char *names, GError **error)
{
    g_auto(GStrv) each = g_strsplit(names, ":", -1);
    for (char **name = each; *name; name++) {
        g_autofree char *data = NULL;
        gsize n;
        if (!g_file_get_contents(*name, &data, &n, error))
            return false;
        if (n > TABLE_MAX - to->len)
            return error_set(error, "'%s' makes the table longer than %u bytes", *name, TABLE_MAX);
        g_byte_array_append(to, (uint8_t *)data, n);
    }
    return true;
}

static bool known_keys(const Json *o, GError **error)
{
    for (size_t i = 0; i < json_length(o); i++) {
        const char *key = json_key_at(o, i);
        bool known = !strcmp(key, "file") || !strcmp(key, "data");
        for (unsigned k = 0; k < G_N_ELEMENTS(fields); k++)
            known |= !strcmp(key, fields[k].key);
        if (!known)
            return error_set(error, "Parameter '%s' is unexpected: sig, rev, oem_id, oem_table_id, oem_rev,"
                             " asl_compiler_id, asl_compiler_rev, data and file are known", key);
    }
    return true;
}

bool acpi_add_option(Vm *vm, const char *text, GError **error)
{
    g_autoptr(Json) o = keyval_parse(text, NULL, KEYVAL_LEGACY, error);
    if (!o || !known_keys(o, error))
        return false;
    const char *whole = json_get_text(o, "file"), *body = json_get_text(o, "data");
    if (!whole == !body)
        return error_set(error, "expected either data=FILE (without a header) or file=FILE (with one)");
    g_autoptr(GByteArray) table = g_byte_array_new();
    if (body)
        g_byte_array_set_size(table, HEADER);
    if (!read_files(table, whole ? whole : body, error))
        return false;
    if (table->len < HEADER)
        return error_set(error, "'%s' has no header of %u bytes", whole, HEADER);
    for (unsigned k = 0; k < G_N_ELEMENTS(fields); k++) {
        const char *given = json_get_text(o, fields[k].key);
        if (!given && body)
            given = fields[k].otherwise;
        if (given && !put_field(table->data, &fields[k], given, error))
            return false;
    }
    g_ptr_array_add(tables_of(vm), g_steal_pointer(&table));
    return true;
}

void acpi_user_tables(AcpiTables *t, Vm *vm)
{
    GPtrArray *all = tables_of(vm);
    for (unsigned i = 0; i < all->len; i++) {
        const GByteArray *table = g_ptr_array_index(all, i);
        unsigned start;
        GByteArray *b = acpi_begin(t, "OEM0", 1, &start);
        g_byte_array_append(b, table->data + HEADER, table->len - HEADER);
        memcpy(b->data + start, table->data, 4);
        memcpy(b->data + start + REVISION_AT, table->data + REVISION_AT, 1);
        memcpy(b->data + start + CHECKSUM_AT + 1, table->data + CHECKSUM_AT + 1, HEADER - CHECKSUM_AT - 1);
        acpi_end(t, start, true);
    }
}
