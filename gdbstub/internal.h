/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the gdb stub share. */
#ifndef GDBSTUB_INTERNAL_H
#define GDBSTUB_INTERNAL_H

#include "gdbstub/gdbstub.h"

enum { GDB_PACKET = 4096, GDB_REG_MAX = 64 };     /* most bytes of a packet, of a register */

/* ---- packet.c: frames and hexadecimal ---- */

typedef enum GdbInput {
    GDB_NOTHING, GDB_ACK, GDB_NAK, GDB_INTERRUPT,
    GDB_PACKET_GOOD,            /* framer->data holds it */
    GDB_PACKET_BAD,             /* checksum wrong, or too long */
} GdbInput;

typedef struct GdbFramer {
    enum { GDB_IDLE, GDB_BODY, GDB_ESCAPE, GDB_SUM1, GDB_SUM2 } state;
    uint8_t sum, want;
    bool bad;
    unsigned n;
    char data[GDB_PACKET + 1];  /* unescaped; a zero stands behind */
} GdbFramer;

GdbInput gdb_framer_byte(GdbFramer *f, uint8_t byte);
/* "$…#xx"; the text must hold no bytes to be escaped. */
void gdb_frame(GString *out, const char *data, size_t n);
/* Appends data with '}' escapes. */
void gdb_escape(GString *out, const char *data, size_t n);
void gdb_to_hex(GString *out, const void *data, size_t n);
/* Pairs of digits to at most `max` bytes; how many, or -1 if malformed or more. */
int gdb_from_hex(const char *text, uint8_t *data, size_t max);
/* Reads a hexadecimal number at *p and moves on; false: there is none, or it is above 64 bits. */
bool gdb_number(const char **p, uint64_t *value);

/* ---- registers.c ---- */

const CpuReg *gdb_reg(const GuestIsa *isa, unsigned number);
/* How many numbers, from 0 on, g and G carry: those of the first feature. */
unsigned gdb_core_regs(const GuestIsa *isa);
/* A register's bytes in the guest's order; false: no such register. On the control thread. */
bool gdb_reg_read(Cpu *cpu, unsigned number, uint8_t *buf, unsigned *n);
/* Takes exactly *n bytes as gdb_reg_read() gives them; *n becomes how many were used, if fewer are
 * there it fails. */
bool gdb_reg_write(Cpu *cpu, unsigned number, const uint8_t *buf, unsigned *n);
/* target.xml */
char *gdb_target_xml(const GuestIsa *isa);

#endif
