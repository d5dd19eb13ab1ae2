/* SPDX-License-Identifier: Apache-2.0 */
/* The human monitor's looks at memory and ports: x, xp, sum, i, o. */
#include <string.h>

#include "control/hmp.h"
#include "control/memory.h"
#include "util/error.h"

typedef struct Dump {
    uint64_t address;
    bool physical;
    unsigned count, size;
    char format;
} Dump;

static unsigned size_of(const Json *args)
{
    const char *size = json_get_text(args, "size");

    switch (size != NULL ? *size : 'w') {
    case 'b':
        return 1;
    case 'h':
        return 2;
    case 'g':
        return 8;
    default:
        return 4;
    }
}

static Dump read_dump(const Json *args, bool physical)
{
    int64_t count = 1, address = 0;
    const char *format = json_get_text(args, "format");

    json_get_int(json_get(args, "count"), &count);
    json_get_int(json_get(args, "addr"), &address);
    Dump d = { address, physical, count, size_of(args), format != NULL ? *format : 'x' };
    if (d.format == 'c') {
        d.size = 1;
    }
    return d;
}

static bool fetch(Hmp *hmp, Cpu *cpu, const Dump *d, uint64_t at, void *buf, unsigned n)
{
    return d->physical ? as_read(hmp->vm->memory, at, buf, n)
                       : control_read_virtual(cpu, at, buf, n);
}

static uint64_t to_number(const uint8_t *bytes, unsigned size, bool big_endian)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value = value << 8 | bytes[big_endian ? i : size - 1 - i];
    }
    return value;
}

static void print_item(Hmp *hmp, const Dump *d, uint64_t value)
{
    static const int octal[] = { 0, 3, 6, 0, 11, 0, 0, 0, 22 };
    static const int decimal[] = { 0, 4, 6, 0, 11, 0, 0, 0, 20 };
    unsigned spare = 64 - d->size * 8;

    switch (d->format) {
    case 'o':
        hmp_print(hmp, " %#*" G_GINT64_MODIFIER "o", octal[d->size] + 1, value);
        break;
    case 'd':
        hmp_print(hmp, " %*" G_GINT64_FORMAT, decimal[d->size],
                  (int64_t)(value << spare) >> spare);
        break;
    case 'u':
        hmp_print(hmp, " %*" G_GUINT64_FORMAT, decimal[d->size], value);
        break;
    case 'c':
        hmp_print(hmp, g_ascii_isprint(value) ? " '%c'" : " '\\x%02x'", (int)value);
        break;
    default:
        hmp_print(hmp, " 0x%0*" G_GINT64_MODIFIER "x", d->size * 2, value);
        break;
    }
}

static void dump_items(Hmp *hmp, Cpu *cpu, Dump *d)
{
    unsigned per_line = d->format == 'c' ? 8 : d->size == 8 ? 2 : d->size == 4 ? 4 : 8;
    bool big_endian = cpu != NULL && cpu->isa->big_endian;

    for (unsigned i = 0; i < d->count; i++) {
        uint8_t bytes[8];
        if (i % per_line == 0) {
            hmp_print(hmp, "%s%016" G_GINT64_MODIFIER "x:", i > 0 ? "\n" : "", d->address);
        }
        if (!fetch(hmp, cpu, d, d->address, bytes, d->size)) {
            hmp_print(hmp, " Cannot access memory");
            break;
        }
        print_item(hmp, d, to_number(bytes, d->size, big_endian));
        d->address += d->size;
    }
    hmp_print(hmp, "\n");
}

static void dump_code(Hmp *hmp, Cpu *cpu, Dump *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        uint8_t bytes[16] = { 0 };
        unsigned n = sizeof(bytes);
        g_autoptr(GString) text = g_string_new(NULL);
        while (n > 0 && !fetch(hmp, cpu, d, d->address, bytes, n)) {
            n--; /* the next page may be missing */
        }
        unsigned used = n > 0 ? cpu->isa->disassemble(cpu, bytes, n, d->address, text) : 0;
        hmp_print(hmp, "0x%08" G_GINT64_MODIFIER "x:  ", d->address);
        if (used == 0) {
            hmp_print(hmp, n == 0 ? "unable to read memory\n" : "unknown instruction\n");
            return;
        }
        for (unsigned b = 0; b < used; b++) {
            hmp_print(hmp, "%02x ", bytes[b]);
        }
        hmp_print(hmp, "%*s %s\n", used < 8 ? (int)(8 - used) * 3 : 0, "", text->str);
        d->address += used;
    }
}

static bool dump(Hmp *hmp, const Json *args, bool physical, GError **error)
{
    Dump d = read_dump(args, physical);
    bool needs_cpu = !physical || d.format == 'i';
    Cpu *cpu = hmp_cpu(hmp, needs_cpu ? error : NULL);

    if (needs_cpu && cpu == NULL) {
        return false;
    }
    if (d.format == 'i' && cpu->isa->disassemble == NULL) {
        return error_set(error, "there is no disassembler for %s", cpu->isa->name);
    }
    (d.format == 'i' ? dump_code : dump_items)(hmp, cpu, &d);
    return true;
}

static bool run_x(Hmp *hmp, const Json *args, GError **error)
{
    return dump(hmp, args, false, error);
}

static bool run_xp(Hmp *hmp, const Json *args, GError **error)
{
    return dump(hmp, args, true, error);
}

/* The BSD checksum. */
static bool run_sum(Hmp *hmp, const Json *args, GError **error)
{
    int64_t start = 0, size = 0;
    uint16_t sum = 0;

    json_get_int(json_get(args, "start"), &start);
    json_get_int(json_get(args, "size"), &size);
    for (int64_t at = start; at < start + size; at++) {
        uint8_t byte;
        if (!as_read(hmp->vm->memory, at, &byte, 1)) {
            return error_set(error, "there is no memory at 0x%" G_GINT64_MODIFIER "x", at);
        }
        sum = (uint16_t)(sum >> 1 | sum << 15) + byte;
    }
    hmp_print(hmp, "%05d\n", sum);
    return true;
}

static bool run_in(Hmp *hmp, const Json *args, GError **error)
{
    int64_t port = 0;
    uint64_t value;
    unsigned size = MIN(size_of(args), 4);

    json_get_int(json_get(args, "addr"), &port);
    port &= 0xffff;
    if (!as_load(hmp->vm->io, port, size, &value)) {
        return error_set(error, "there is no port 0x%04x", (unsigned)port);
    }
    hmp_print(hmp, "port%c[0x%04x] = 0x%0*" G_GINT64_MODIFIER "x\n", "xbwxl"[size], (unsigned)port,
              size * 2, value);
    return true;
}

static bool run_out(Hmp *hmp, const Json *args, GError **error)
{
    int64_t port = 0, value = 0;

    json_get_int(json_get(args, "addr"), &port);
    json_get_int(json_get(args, "val"), &value);
    return as_store(hmp->vm->io, port & 0xffff, MIN(size_of(args), 4), value) ||
           error_set(error, "there is no port 0x%04x", (unsigned)port & 0xffff);
}

static const HmpCommand commands[] = {
    { "x", "fmt:/ addr:l", "/fmt addr", "virtual memory dump starting at 'addr'", .run = run_x },
    { "xp", "fmt:/ addr:l", "/fmt addr", "physical memory dump starting at 'addr'",
      .run = run_xp },
    { "sum", "start:l size:i", "addr size", "compute the checksum of a memory region",
      .run = run_sum },
    { "i", "fmt:/ addr:i", "/fmt addr", "I/O port read", .run = run_in },
    { "o", "fmt:/ addr:i val:i", "/fmt addr value", "I/O port write", .run = run_out },
};
HMP_COMMANDS(commands);
