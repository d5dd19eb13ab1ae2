/* SPDX-License-Identifier: Apache-2.0 */
/* The one error domain of Myna: a GError whose code is the error class a QMP client sees. */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

#include <stdbool.h>

#include <glib.h>

#define MYNA_ERROR (myna_error_quark())

/* The classes that QMP clients tell apart; everything that needs no special reaction is GENERIC. */
typedef enum {
    MYNA_ERROR_GENERIC,
    MYNA_ERROR_COMMAND_NOT_FOUND,
    MYNA_ERROR_DEVICE_NOT_ACTIVE,
    MYNA_ERROR_DEVICE_NOT_FOUND,
    MYNA_ERROR_KVM_MISSING_CAP,
} MynaError;

GQuark myna_error_quark(void);

/* The QMP name of the error's class ("DeviceNotFound"). Errors of foreign domains, such as those
 * of GLib's file functions, are "GenericError". The text is static. */
const char *myna_error_class(const GError *error);

/* Sets a GENERIC error. Say what went wrong, where, and what would be right; no final full stop,
 * no newline. Does nothing when `error` is NULL. Returns false, so that a function may end with
 * `return error_set(error, …);`. Any thread. */
bool error_set(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The same with a class of its own. */
bool error_set_class(GError **error, MynaError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same followed by ": " and the text of the positive errno value `errnum`. */
bool error_set_errno(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Appends text to an error that is already set (g_prefix_error()'s counterpart). */
void error_append(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
