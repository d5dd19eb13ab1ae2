/* SPDX-License-Identifier: Apache-2.0 */
/* One line of input on a terminal, with the usual keys. */
#ifndef CONTROL_HMP_LINE_EDITOR_H
#define CONTROL_HMP_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <glib.h>

typedef struct LineEditor LineEditor;

/* `write` sends to the terminal; `complete` returns the words that may stand at the end of a text
 * instead of its last word (owned strings). */
LineEditor *line_editor_new(const char *prompt,
                            void (*write)(void *opaque, const char *data, size_t length),
                            GPtrArray *(*complete)(const char *text), void *opaque);
void line_editor_free(LineEditor *editor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LineEditor, line_editor_free)

/* Forgets the line; shows the prompt and the line. */
void line_editor_reset(LineEditor *editor);
void line_editor_show(LineEditor *editor);
/* Takes one byte. Returns the line when Enter completes it (the caller frees it), else NULL. */
char *line_editor_key(LineEditor *editor, char key);

/* The lines that were entered (char *), oldest first. */
const GPtrArray *line_editor_history(const LineEditor *editor);

#endif
