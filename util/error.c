/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: the QMP error classes (QMP specification, "Responses") as codes of one GError domain. */
#include <string.h>

#include "util/error.h"

GQuark myna_error_quark(void)
{
    return g_quark_from_static_string("myna-error");
}

const char *myna_error_class(const GError *error)
{
    static const char *const names[] = {
        [MYNA_ERROR_GENERIC] = "GenericError",
        [MYNA_ERROR_COMMAND_NOT_FOUND] = "CommandNotFound",
        [MYNA_ERROR_DEVICE_NOT_ACTIVE] = "DeviceNotActive",
        [MYNA_ERROR_DEVICE_NOT_FOUND] = "DeviceNotFound",
        [MYNA_ERROR_KVM_MISSING_CAP] = "KVMMissingCap",
    };
    bool known = error->domain == MYNA_ERROR && (unsigned)error->code < G_N_ELEMENTS(names);

    return names[known ? error->code : MYNA_ERROR_GENERIC];
}

static bool G_GNUC_PRINTF(3, 0) set(GError **error, MynaError code, const char *format, va_list ap)
{
    if (error != NULL) {
        g_propagate_error(error, g_error_new_valist(MYNA_ERROR, code, format, ap));
    }
    return false;
}

bool error_set(GError **error, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    set(error, MYNA_ERROR_GENERIC, format, ap);
    va_end(ap);
    return false;
}

bool error_set_class(GError **error, MynaError code, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    set(error, code, format, ap);
    va_end(ap);
    return false;
}

bool error_set_errno(GError **error, int errnum, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    set(error, MYNA_ERROR_GENERIC, format, ap);
    va_end(ap);
    error_append(error, ": %s", g_strerror(errnum));
    return false;
}

void error_append(GError **error, const char *format, ...)
{
    if (error == NULL || *error == NULL) {
        return;
    }
    va_list ap;
    va_start(ap, format);
    g_autofree char *more = g_strdup_vprintf(format, ap);
    va_end(ap);
    char *whole = g_strconcat((*error)->message, more, NULL);
    g_free((*error)->message);
    (*error)->message = whole;
}
