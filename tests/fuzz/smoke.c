/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target on random inputs for a second, or on the files that are named: the unit
 * suite's share of fuzzing, and a way to repeat a finding. */
#include <string.h>
#include <glib.h>

#include "tests/fuzz/fuzz.h"

enum { MILLISECONDS = 1000, MAX_WORDS = 24, MAX_BYTES = 400 };

/* Words, now and then with a byte changed. */
static GByteArray *make_input(unsigned n_words)
{
    GByteArray *input = g_byte_array_new();
    guint8 kind = g_test_rand_int_range(0, 256);

    g_byte_array_append(input, &kind, 1);
    for (int i = n_words ? 0 : g_test_rand_int_range(1, MAX_BYTES); i > 0; i--) {
        guint8 byte = g_test_rand_bit() ? 1 << g_test_rand_int_range(0, 8) : g_test_rand_int_range(0, 256);
        g_byte_array_append(input, &byte, 1);
    }
    if (!n_words) {
        return input;
    }
    for (int i = g_test_rand_int_range(1, MAX_WORDS); i > 0; i--) {
        const char *word = fuzz_words[g_test_rand_int_range(0, n_words)];
        g_byte_array_append(input, (const guint8 *)word, strlen(word));
    }
    if (g_test_rand_bit()) {
        input->data[g_test_rand_int_range(0, input->len)] = g_test_rand_int_range(0, 256);
    }
    return input;
}

static void test_random(void)
{
    gint64 end = g_get_monotonic_time() + MILLISECONDS * 1000;
    unsigned n_words = g_strv_length((char **)fuzz_words), count = 0;

    for (; g_get_monotonic_time() < end; count++) {
        g_autoptr(GByteArray) input = make_input(n_words);
        LLVMFuzzerTestOneInput(input->data, input->len);
    }
    g_test_message("%u inputs", count);
}

static int run_files(int count, char **names)
{
    for (int i = 0; i < count; i++) {
        g_autofree char *data = NULL;
        gsize size;
        g_autoptr(GError) error = NULL;
        if (!g_file_get_contents(names[i], &data, &size, &error)) {
            g_printerr("%s\n", error->message);
            return 1;
        }
        LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    }
    return 0;
}

/* The words as a dictionary for libFuzzer. */
static int print_words(void)
{
    for (unsigned i = 0; fuzz_words[i]; i++) {
        g_print("\"");
        for (const char *c = fuzz_words[i]; *c; c++) {
            g_print(g_ascii_isalnum(*c) ? "%c" : "\\x%02x", *c & 0xff);
        }
        g_print("\"\n");
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--words") == 0) {
        return print_words();
    }
    if (argc > 1 && argv[1][0] != '-') {
        return run_files(argc - 1, argv + 1);
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fuzz/random", test_random);
    return g_test_run();
}
