/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the remote protocol: $data#checksum, escapes, acknowledgements; hexadecimal. */
#include <string.h>
#include "gdbstub/internal.h"

static GdbInput begin(GdbFramer *f, uint8_t byte)
{
    switch (byte) {
    case '$':
        f->state = GDB_BODY;
        f->n = 0;
        f->sum = 0;
        f->bad = false;
        return GDB_NOTHING;
    case '+':
        return GDB_ACK;
    case '-':
        return GDB_NAK;
    case 3:
        return GDB_INTERRUPT;
    default:
        return GDB_NOTHING;
    }
}

static void keep(GdbFramer *f, uint8_t byte)
{
    if (f->n < GDB_PACKET)
        f->data[f->n++] = byte;
    else
        f->bad = true;
}

static GdbInput end(GdbFramer *f)
{
    f->state = GDB_IDLE;
    f->data[f->n] = 0;
    return f->bad || f->sum != f->want ? GDB_PACKET_BAD : GDB_PACKET_GOOD;
}

GdbInput gdb_framer_byte(GdbFramer *f, uint8_t byte)
{
    int digit = g_ascii_xdigit_value(byte);
    switch (f->state) {
    case GDB_IDLE:
        return begin(f, byte);
    case GDB_BODY:
        if (byte == '$')                /* the one before was cut off */
            return begin(f, byte);
        if (byte == '#') {
            f->state = GDB_SUM1;
            return GDB_NOTHING;
        }
        f->sum += byte;
        if (byte == '}')
            f->state = GDB_ESCAPE;
        else
            keep(f, byte);
        return GDB_NOTHING;
    case GDB_ESCAPE:
        f->sum += byte;
        f->state = GDB_BODY;
        keep(f, byte ^ 0x20);
        return GDB_NOTHING;
    case GDB_SUM1:
        f->bad |= digit < 0;
        f->want = (uint8_t)((unsigned)digit << 4);
        f->state = GDB_SUM2;
        return GDB_NOTHING;
    default:
        f->bad |= digit < 0;
        f->want |= digit & 15;
        return end(f);
    }
}

void gdb_frame(GString *out, const char *data, size_t n)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (uint8_t)data[i];
    g_string_append_c(out, '$');
    g_string_append_len(out, data, (gssize)n);
    g_string_append_printf(out, "#%02x", sum);
}

void gdb_escape(GString *out, const char *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (data[i] && strchr("#$}*", data[i])) {
            g_string_append_c(out, '}');
            g_string_append_c(out, data[i] ^ 0x20);
        } else {
            g_string_append_c(out, data[i]);
        }
    }
}

void gdb_to_hex(GString *out, const void *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "%02x", ((const uint8_t *)data)[i]);
}

int gdb_from_hex(const char *text, uint8_t *data, size_t max)
{
    size_t n = 0;
    for (; text[0]; text += 2, n++) {
        int high = g_ascii_xdigit_value(text[0]), low = high < 0 ? -1 : g_ascii_xdigit_value(text[1]);
        if (low < 0 || n == max)
            return -1;
        data[n] = (uint8_t)(high << 4 | low);
    }
    return (int)n;
}

bool gdb_number(const char **p, uint64_t *value)
{
    uint64_t v = 0;
    const char *s = *p;
    for (int digit; (digit = g_ascii_xdigit_value(*s)) >= 0; s++) {
        if (v >> 60)
            return false;
        v = v << 4 | (unsigned)digit;
    }
    if (s == *p)
        return false;
    *p = s;
    *value = v;
    return true;
}
