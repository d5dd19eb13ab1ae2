/* SPDX-License-Identifier: Apache-2.0 */
/* The prefix and modrm walker. Intel SDM vol. 2A chapter 2; rows from x86.isa. */
#include <string.h>
#include "target/x86/cpu.h"
#include "target/x86/decode.h"
#include "target/x86/x86-insns.h"
#include "target/x86/x86-rows.inc"

typedef struct Reader {
    const uint8_t *p;
    unsigned n, at;
    bool short_;
} Reader;

static uint64_t take(Reader *r, unsigned bytes)
{
    uint64_t v = 0;
    if (r->at + bytes > r->n) {
        r->short_ = true;
        r->at = r->n;
        return 0;
    }
    memcpy(&v, r->p + r->at, bytes);
    r->at += bytes;
    return v;
}

static int64_t take_signed(Reader *r, unsigned bytes)
{
    unsigned up = 64 - 8 * bytes;
    return (int64_t)(take(r, bytes) << up) >> up;
}

static bool prefix(X86Insn *i, uint8_t byte)
{
    switch (byte) {
    case 0x26: case 0x2e: case 0x36: case 0x3e:
        i->seg = byte >> 3 & 3;
        return true;
    case 0x64: case 0x65:
        i->seg = FS + (byte & 1);
        return true;
    case 0x66:
        return i->op66 = true;
    case 0x67:
        return i->addr67 = true;
    case 0xf0:
        return i->lock = true;
    case 0xf2:
        i->rep = false;
        return i->repne = true;
    case 0xf3:
        i->repne = false;
        return i->rep = true;
    default:
        return false;
    }
}

/* In 64-bit mode es, cs, ss, ds overrides have no effect. */
static void drop_segment(X86Insn *i, unsigned code)
{
    if (code == 8 && i->seg >= 0 && i->seg < FS)
        i->seg = -1;
}

static const uint8_t pp_f[4] = {0, 0, 1, 2};

static void vex_prefix(X86Insn *i, Reader *r, uint8_t first, unsigned code)
{
    uint8_t b1 = take(r, 1), b2 = b1, map = 1;
    i->vex = true;
    if (first == 0xc4) {
        b2 = take(r, 1);
        map = b1 & 31;
        i->rex = 0x40 | (~b1 >> 5 & 7) | (b2 >> 7 & 1) << 3;
    } else {
        i->rex = 0x40 | (~b1 >> 5 & 4);
    }
    if (code != 8)
        i->rex &= 0x48;
    i->w = first == 0xc4 ? b2 >> 7 : 0;
    i->vvvv = ~b2 >> 3 & (code == 8 ? 15 : 7);
    i->l = b2 >> 2 & 1;
    i->f = pp_f[b2 & 3];
    i->op66 = (b2 & 3) == 1;
    i->space = map >= 1 && map <= 3 ? SPACE_V0F + map - 1 : SPACE_COUNT;
}

static void evex_prefix(X86Insn *i, Reader *r)
{
    uint8_t p0 = take(r, 1), p1 = take(r, 1), p2 = take(r, 1);
    i->evex = true;
    i->rex = 0x40 | (~p0 >> 5 & 7) | (p1 >> 7 & 1) << 3;
    i->w = p1 >> 7;
    i->vvvv = (~p1 >> 3 & 15) | (~p2 & 8) << 1;
    i->l = p2 >> 5 & 3;
    i->evex_z = p2 >> 7;
    i->evex_b = p2 >> 4 & 1;
    i->evex_aaa = p2 & 7;
    i->f = pp_f[p1 & 3];
    i->op66 = (p1 & 3) == 1;
    i->space = (p0 & 7) >= 1 && (p0 & 7) <= 3 && (p1 & 4) ? SPACE_E0F + (p0 & 7) - 1 : SPACE_COUNT;
}

/* c4, c5 and 62 are les, lds and bound in the other modes when they have a memory operand. */
static bool is_vex(const Reader *r, unsigned code, bool vm_or_real)
{
    return code == 8 || (r->at < r->n && r->p[r->at] >= 0xc0);
}

static void opcode(X86Insn *i, Reader *r, unsigned code)
{
    uint8_t byte = take(r, 1);
    while (!r->short_ && prefix(i, byte))
        byte = take(r, 1);
    drop_segment(i, code);
    if (code == 8) {
        /* A REX prefix counts only right before the opcode. */
        while (!r->short_ && (byte & 0xf0) == 0x40) {
            i->rex = byte;
            byte = take(r, 1);
            if (prefix(i, byte)) {
                i->rex = 0;
                do
                    byte = take(r, 1);
                while (!r->short_ && prefix(i, byte));
                drop_segment(i, code);
            }
        }
        i->w = i->rex >> 3 & 1;
    }
    i->f = i->rep ? 1 : i->repne ? 2 : 0;
    i->space = SPACE_1B;
    if ((byte == 0xc4 || byte == 0xc5 || byte == 0x62) && r->at >= r->n && code != 8) {
        r->short_ = true;
    } else if ((byte == 0xc4 || byte == 0xc5 || byte == 0x62) && is_vex(r, code, false)) {
        bool bad = i->rex || i->f || i->op66 || i->lock;
        if (byte == 0x62)
            evex_prefix(i, r);
        else
            vex_prefix(i, r, byte, code);
        if (bad)
            i->space = SPACE_COUNT;
        byte = take(r, 1);
    } else if (byte == 0x0f) {
        byte = take(r, 1);
        i->space = SPACE_0F;
        if (byte == 0x38 || byte == 0x3a) {
            i->space = byte == 0x38 ? SPACE_0F38 : SPACE_0F3A;
            byte = take(r, 1);
        }
    }
    i->opcode = byte;
}

static void address16(X86Insn *i, Reader *r)
{
    static const int8_t bases[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const int8_t indexes[8] = {RSI, RDI, RSI, RDI, -1, -1, -1, -1};
    unsigned rm = i->modrm & 7;
    i->base = bases[rm];
    i->index = indexes[rm];
    if (i->mod == 0 && rm == 6) {
        i->base = -1;
        i->disp = take_signed(r, 2);
    } else if (i->mod) {
        i->disp = take_signed(r, i->mod);
    }
}

static void address32(X86Insn *i, Reader *r, unsigned code)
{
    unsigned rm = i->modrm & 7;
    i->base = i->rm;
    if (rm == 4) {
        uint8_t sib = take(r, 1);
        i->scale = sib >> 6;
        i->index = (sib >> 3 & 7) | (i->rex & 2) << 2;
        i->vsib = i->index;
        if (i->index == RSP)
            i->index = -1;
        i->base = (sib & 7) | (i->rex & 1) << 3;
        if ((sib & 7) == RBP && i->mod == 0) {
            i->base = -1;
            i->disp = take_signed(r, 4);
        }
    } else if (rm == RBP && i->mod == 0) {
        i->base = -1;
        i->disp = take_signed(r, 4);
        i->rip_relative = code == 8;
    }
    if (i->mod == 1)
        i->disp = take_signed(r, 1);
    else if (i->mod == 2)
        i->disp = take_signed(r, 4);
}

static void modrm(X86Insn *i, Reader *r, unsigned code)
{
    i->has_modrm = true;
    i->modrm = take(r, 1);
    i->mod = i->modrm >> 6;
    i->reg = (i->modrm >> 3 & 7) | (i->rex & 4) << 1;
    i->rm = (i->modrm & 7) | (i->rex & 1) << 3;
    i->base = i->index = i->vsib = -1;
    i->has_mem = i->mod != 3;
    if (!i->has_mem)
        return;
    if (i->addrsize == 2)
        address16(i, r);
    else
        address32(i, r, code);
}

static const X86Row *find_row(const X86Insn *i, unsigned code)
{
    unsigned key = i->f << KEY_F | i->op66 << KEY_66 | i->w << KEY_W | i->l << KEY_L |
                   (i->mod == 3) << KEY_MOD3 | (i->modrm >> 3 & 7) << KEY_REG |
                   (i->modrm & 7) << KEY_RM | (code == 8) << KEY_M64;
    unsigned at = opcodes[i->space][i->opcode].at, n = opcodes[i->space][i->opcode].n;
    for (unsigned k = 0; k < n; k++) {
        const X86Row *row = &x86_rows[runs[at + k]];
        if ((key & row->mask) == row->match)
            return row;
    }
    return NULL;
}

static bool uses_vvvv(const X86Row *row)
{
    for (unsigned k = 0; k < row->n_ops; k++) {
        if (row->op[k].method == OP_H || row->op[k].method == OP_B)
            return true;
    }
    return row->flags & ROW_VEXV;
}

static bool legal(const X86Insn *i)
{
    if (i->lock && (!(i->row->flags & ROW_LOCK) || !i->has_mem))
        return false;
    return !i->vex || !i->vvvv || uses_vvvv(i->row);
}

static void immediate(X86Insn *i, Reader *r, unsigned method, unsigned size)
{
    int64_t *to = &i->imm;
    switch (method) {
    case OP_I:
    case OP_J:
        *to = take_signed(r, size == SZ_B ? 1 : size == SZ_W ? 2 : size == SZ_V ? i->opsize
                                                                 : i->opsize == 2 ? 2 : 4);
        break;
    case OP_O:
        *to = i->addrsize == 8 ? (int64_t)take(r, 8) : (int64_t)take(r, i->addrsize);
        break;
    case OP_A:
        i->imm = take(r, i->opsize);
        i->imm2 = take(r, 2);
        break;
    case OP_L:
        i->imm2 = take(r, 1);
        break;
    }
}

static void immediates(X86Insn *i, Reader *r)
{
    bool have = false;
    for (unsigned k = 0; k < i->row->n_ops; k++) {
        unsigned method = i->row->op[k].method;
        if (method != OP_I && method != OP_J && method != OP_O && method != OP_A && method != OP_L)
            continue;
        int64_t first = i->imm;
        immediate(i, r, method, i->row->op[k].size);
        if (have) {             /* enter: two immediates */
            if (method != OP_L)
                i->imm2 = i->imm;
            i->imm = first;
        }
        have = true;
    }
}

static void operand_size(X86Insn *i, unsigned code)
{
    const X86Row *row = i->row;
    if (code == 8) {
        i->opsize = i->w || (row->flags & ROW_F64) ? 8 : i->op66 && !i->vex ? 2
                                                     : row->flags & ROW_D64 ? 8 : 4;
    } else {
        i->opsize = i->op66 && !i->vex ? 6 - code : code;
        if (i->vex && i->opsize == 2)
            i->opsize = 4;
    }
}

bool x86_decode(X86Insn *i, const uint8_t *bytes, unsigned n, unsigned code)
{
    Reader r = {.p = bytes, .n = MIN(n, 15)};
    memset(i, 0, sizeof(*i));
    i->seg = -1;
    opcode(i, &r, code);
    if (r.short_)
        return false;
    i->addrsize = i->addr67 ? (code == 8 ? 4 : 6 - code) : code;
    if (i->space == SPACE_COUNT || !opcodes[i->space][i->opcode].n)
        return true;
    if (opcodes[i->space][i->opcode].modrm)
        modrm(i, &r, code);
    else
        i->mod = 3;
    if (r.short_)
        return false;
    i->row = find_row(i, code);
    if (!i->row)
        return true;
    if (i->vex && code != 8 && !(i->row->mask & 1 << KEY_W))
        i->w = 0;               /* names a register size that is not there */
    operand_size(i, code);
    immediates(i, &r);
    if (r.short_)
        return false;
    i->len = r.at;
    if (!legal(i))
        i->row = NULL;
    return true;
}

unsigned x86_op_bytes(const X86Insn *i, unsigned k)
{
    switch (i->row->op[k].size) {
    case SZ_B: return 1;
    case SZ_W: return 2;
    case SZ_D: return 4;
    case SZ_Q: return 8;
    case SZ_DQ: return 16;
    case SZ_QQ: return 32;
    case SZ_V: return i->opsize;
    case SZ_Y: return i->vex ? (i->w ? 8 : 4) : i->opsize == 8 ? 8 : 4;
    case SZ_Z: return i->opsize == 2 ? 2 : 4;
    case SZ_A: return i->opsize * 2;
    case SZ_P: return i->opsize + 2;
    case SZ_S: return 10;
    case SZ_X: case SZ_N: return 16 << i->l;
    case SZ_H: return 8 << i->l;
    case SZ_H2: return 4 << i->l;
    case SZ_H4: return 2 << i->l;
    case SZ_T: return 10;
    default: return 0;
    }
}

/* ---- random encodings ---- */

static uint32_t rnd(const X86Encode *e) { return e->random(e->state); }

static unsigned put_modrm(const X86Row *row, const X86Encode *e, uint8_t *out)
{
    uint8_t m = rnd(e);
    bool mem = e->mem >= 0 ? e->mem != 0 : (rnd(e) & 1) != 0;
    if (row->mask >> KEY_MOD3 & 1)
        mem = !(row->match >> KEY_MOD3 & 1);
    if (row->mask >> KEY_REG & 7)
        m = (m & 0xc7) | (row->match >> KEY_REG & 7) << 3;
    if (row->mask >> KEY_RM & 7)
        m = (m & 0xf8) | (row->match >> KEY_RM & 7);
    if (!mem) {
        out[0] = m | 0xc0;
        return 1;
    }
    /* [rbp + disp8]: the caller points rbp at scratch memory. */
    out[0] = (m & 0x38) | 0x45;
    out[1] = rnd(e) & 0x7f;
    return 2;
}

unsigned x86_encode_random(const X86Row *row, const X86Encode *e, uint8_t out[16])
{
    unsigned n = 0, rex = 0, f = row->match >> KEY_F & 3;
    bool w = (row->mask >> KEY_W & 1 ? row->match >> KEY_W & 1u : rnd(e) & 1) != 0;
    bool p66 = row->mask >> KEY_66 & 1 ? row->match >> KEY_66 & 1 : !(rnd(e) & 3);
    bool vex = row->space >= SPACE_V0F;
    if (row->space >= SPACE_E0F || (row->mask >> KEY_M64 & 1 && (row->match >> KEY_M64 & 1) != (e->code == 8)))
        return 0;
    if (e->code != 8)
        w = vex && w;
    uint8_t reg_ext = e->code == 8 ? rnd(e) & 5 : 0;
    if (!vex) {
        if (e->lock && (row->flags & ROW_LOCK))
            out[n++] = 0xf0;
        if (p66)
            out[n++] = 0x66;
        if (f)
            out[n++] = f == 1 ? 0xf3 : 0xf2;
        if (e->code == 8 && (w || rnd(e) & 1)) {
            out[n++] = 0x40 | w << 3 | (row->mask >> KEY_RM & 7 ? 0 : reg_ext);
            rex = n;
        }
        if (row->space != SPACE_1B)
            out[n++] = 0x0f;
        if (row->space >= SPACE_0F38)
            out[n++] = row->space == SPACE_0F38 ? 0x38 : 0x3a;
    } else {
        unsigned l = row->mask >> KEY_L & 3 ? row->match >> KEY_L & 3u : rnd(e) & 1;
        unsigned pp = f == 1 ? 2 : f == 2 ? 3 : row->match >> KEY_66 & 1;
        unsigned v = uses_vvvv(row) ? rnd(e) & (e->code == 8 ? 15 : 7) : 0;
        out[n++] = 0xc4;
        out[n++] = (~reg_ext & 7) << 5 | (row->space - SPACE_V0F + 1);
        out[n++] = w << 7 | (~v & 15) << 3 | l << 2 | pp;
    }
    out[n++] = row->opcode + (row->plus_r ? rnd(e) & 7 : 0);
    unsigned at = n;
    if (row->modrm) {
        n += put_modrm(row, e, out + n);
        if (n - at == 2) {      /* memory form: base is rbp, not r13; no rex.x */
            if (vex)
                out[at - 3] |= 0x60;
            else if (rex)
                out[rex - 1] &= ~3;
        }
    }
    /* Immediates: random bytes; the decoder knows how many. */
    uint8_t trial[16];
    memcpy(trial, out, n);
    for (unsigned k = n; k < 15; k++)
        trial[k] = rnd(e) >> 7;
    X86Insn i;
    if (!x86_decode(&i, trial, 15, e->code) || i.row != row)
        return 0;
    memcpy(out, trial, 15);
    return i.len;
}
