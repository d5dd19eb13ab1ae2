/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target on random inputs for two seconds, or on the files that are named: the unit
 * suite's share of fuzzing, and a way to repeat a finding. */
#include <string.h>
#include <glib.h>

#include "tests/fuzz/fuzz.h"

enum { SECONDS = 2, MAX_WORDS = 24 };

/* Words, now and then with a byte changed. */
static GByteArray *make_input(unsigned n_words)
{
    GByteArray *input = g_byte_array_new();
    guint8 kind = g_test_rand_int_range(0, 256);

    g_byte_array_append(input, &kind, 1);
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
    gint64 end = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC;
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

int main(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] != '-') {
        return run_files(argc - 1, argv + 1);
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fuzz/random", test_random);
    return g_test_run();
}
