#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns target/x86/*.isa into tables: usage x86.py OUT.inc OUT.h IN.isa...

OUT.inc has the rows and, per opcode space, the run of candidate rows of each opcode byte.
OUT.h declares the translation functions, so a row without its function does not link.
It refuses unknown operands, rows that an earlier row hides, and opcodes whose rows disagree
about having a modrm byte.
"""
import re
import sys

SPACES = ['1b', '0f', '0f38', '0f3a', 'v0f', 'v0f38', 'v0f3a', 'e0f', 'e0f38', 'e0f3a']
METHODS = 'EGRMZBSCDIJOAXYVWUHLPQNK'
FIXED = {'AL', 'CL', 'DX', 'AX', 'rAX', 'eAX', '1', 'ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'ST0', 'STi',
         'XMM0'}
SIZES = {'': 'NONE', 'b': 'B', 'w': 'W', 'd': 'D', 'q': 'Q', 'dq': 'DQ', 'qq': 'QQ', 'v': 'V',
         'y': 'Y', 'z': 'Z', 'p': 'P', 's': 'S', 'a': 'A', 'x': 'X', 'ps': 'X', 'pd': 'X',
         'ss': 'D', 'sd': 'Q', 't': 'T', 'h': 'H', 'pi': 'Q', 'si': 'D', 'n': 'N', 'd4': 'H2',
         'd8': 'H4'}
# Key bits, as in decode.h.
F, P66, W, L, MOD3, REG, RM, M64 = 0, 2, 3, 4, 6, 7, 10, 13
FLAGS = {'c': 0x1, 'p': 0x4, 'a': 0x10, 'z': 0x40, 's': 0x80, 'o': 0x800}


def fail(where, message):
    sys.exit(f'{where}: {message}')


def expand(path):
    """Lines with %each blocks unrolled; '{70+i}', '{00+8i}', $name and $i are replaced."""
    block, out = None, []
    for number, line in enumerate(open(path), 1):
        line = line.split('#')[0].rstrip()
        where = f'{path}:{number}'
        if line.startswith('%each'):
            name, values = re.match(r'%each (\w+): (.*)', line).groups()
            block = (name, values.split(), [])
        elif line.startswith('%end'):
            name, values, lines = block
            for w, text in lines:
                for i, value in enumerate(values):
                    t = re.sub(r'\{(\w+)\+(\d*)i\}',
                               lambda m: '%02x' % (int(m[1], 16) + int(m[2] or 1) * i), text)
                    t = t.replace('${%s}' % name, value).replace('$' + name, value)
                    t = t.replace('$i', str(i))
                    t = re.sub(r'(\w+)!(\w+)', lambda m: '' if m[2] == value else m[1], t)
                    out.append((w, t))
            block = None
        elif block:
            if line.strip():
                block[2].append((where, line))
        elif line.strip():
            out.append((where, line))
    return out


# Features of starred rows (see simd.isa): what makes an MMX, an SSE and a VEX form.
MMX = {'mmx': 'mmx', 'mmxext': 'sse', 'mmx2': 'sse2', 'mmx3': 'ssse3'}
SSE = ['sse', 'sse2', 'pni', 'ssse3', 'sse4_1', 'sse4_2', 'aes', 'pclmulqdq']
VEX = {'avx': [('', 'avx')], 'avxs': [('', 'avx')], 'avx128': [('.128', 'avx')],
       'avx2': [('.128', 'avx'), ('.256', 'avx2')]}


def forms(where, text):
    """The rows that a line stands for."""
    parts = [p.strip() for p in text.split('|')]
    if len(parts) != 3 or not parts[1].startswith('*'):
        return [(where, text)]
    head, encoding, attrs = parts[0], parts[1][1:].split(), parts[2].split()
    name, _, ops = head.partition(' ')
    ops = [o.strip() for o in ops.split(',')]
    rest = [a for a in attrs if a not in MMX and a not in SSE and a not in VEX]
    if any(a.startswith('ir=') for a in rest) and not any(a.startswith('fn=') for a in rest):
        rest.append('fn=v')
    if not any(a.startswith('fn=') for a in rest):
        rest.append('fn=' + name)
    plain = [o for o in ops if o[0] != 'H']
    join = lambda n, o, e, f: (where, f"{n} {', '.join(o)} | {e} | {' '.join(rest + [f])}")
    out = []
    for a in attrs:
        if a in MMX:
            mm = {'V': 'P', 'W': 'Q', 'U': 'N'}
            out.append(join(name, [mm[o[0]] + 'q' if o[0] in mm else o for o in plain],
                            ' '.join(['np'] + encoding[1:]), MMX[a]))
        elif a in SSE:
            out.append(join(name, plain, ' '.join(encoding), a))
    space = '0f'
    at = 2
    if encoding[2] in ('38', '3a'):
        space, at = '0f' + encoding[2], 3
    for a in attrs:
        for length, feature in VEX.get(a, []):
            e = ' '.join([f'vex{length}.{encoding[0]}.{space}'] + encoding[at:])
            out.append(join('v' + name, ops, e, feature))
    return out


class Row:
    def __init__(self, where, text):
        self.where = where
        parts = [p.strip() for p in text.split('|')]
        if len(parts) != 3:
            fail(where, 'want "mnemonic operands | encoding | attributes"')
        head, encoding, attrs = parts
        name, _, ops = head.partition(' ')
        self.name = name
        self.ops = [o.strip() for o in ops.split(',') if o.strip()]
        self.mask = self.match = 0
        self.modrm = False
        self.plus_r = False
        self.full = None
        self.feature = 'none'
        self.flags = []
        self.fn, self.arg = name, 0
        self.undef = 0
        self.ir, self.lane = 'nop', 'b'
        self.parse_encoding(encoding.split())
        self.parse_attrs(attrs.split())
        for o in self.ops:
            self.parse_operand(o)

    def bits(self, shift, width, value):
        m = ((1 << width) - 1) << shift
        if self.mask & m and (self.match & m) != value << shift:
            fail(self.where, 'contradicting constraints')
        self.mask |= m
        self.match |= value << shift

    def prefix(self, p):
        if p in ('np', '66'):
            self.bits(F, 2, 0)
            self.bits(P66, 1, p == '66')
        else:
            self.bits(F, 2, {'nf': 0, 'f3': 1, 'f2': 2}[p])

    def parse_encoding(self, tokens):
        ishex = lambda t: re.fullmatch(r'[0-9a-f]{2}', t)
        space = ''
        if tokens[0].startswith(('vex.', 'evex.')):
            fields = tokens.pop(0).split('.')
            space = 'v' if fields[0] == 'vex' else 'e'
            for f in fields[1:]:
                if f in ('128', '256', '512', 'lz'):
                    self.bits(L, 2, {'128': 0, 'lz': 0, '256': 1, '512': 2}[f])
                elif f in ('np', '66', 'f3', 'f2'):
                    self.bits(F, 2, {'f3': 1, 'f2': 2}.get(f, 0))
                    if f in ('np', '66'):
                        self.bits(P66, 1, f == '66')
                elif f in ('w0', 'w1'):
                    self.bits(W, 1, f == 'w1')
                elif f in ('0f', '0f38', '0f3a'):
                    space += f
                elif f not in ('lig', 'wig', 'x'):
                    fail(self.where, f'unknown field {f}')
        else:
            if tokens[0] in ('np', 'nf') or (tokens[0] in ('66', 'f3', 'f2') and len(tokens) > 1
                                             and re.match(r'[0-9a-f]{2}', tokens[1])):
                self.prefix(tokens.pop(0))
            space = '1b'
            if tokens[0] == '0f':
                tokens.pop(0)
                space = '0f'
                if tokens[0] in ('38', '3a'):
                    space += tokens.pop(0)
        self.space = SPACES.index(space)
        m = re.fullmatch(r'([0-9a-f]{2})(\+r)?', tokens.pop(0))
        self.opcode, self.plus_r = int(m[1], 16), bool(m[2])
        for t in tokens:
            if t == '/r':
                self.modrm = True
            elif re.fullmatch(r'/[0-7]', t):
                self.modrm = True
                self.bits(REG, 3, int(t[1]))
            elif ishex(t):
                self.modrm = True
                self.full = int(t, 16)
                self.bits(MOD3, 1, 1)
                self.bits(REG, 3, self.full >> 3 & 7)
                self.bits(RM, 3, self.full & 7)
            elif re.fullmatch(r'[0-9a-f]{2}\+i', t):
                self.modrm = True
                self.bits(MOD3, 1, 1)
                self.bits(REG, 3, int(t[:2], 16) >> 3 & 7)
            elif t in 'mr':
                self.bits(MOD3, 1, t == 'r')
            elif t in ('w0', 'w1'):
                self.bits(W, 1, t == 'w1')
            else:
                fail(self.where, f'unknown encoding {t}')

    def parse_attrs(self, attrs):
        for a in attrs:
            if a.startswith('fn='):
                self.fn, _, arg = a[3:].partition(':')
                self.arg = int(arg or '0', 0)
            elif a.startswith('undef='):
                self.undef = sum(FLAGS[c] for c in a[6:])
            elif a in ('lock', 'd64', 'f64', 'priv', 'sys', 'vexv', 'fp', 'exc'):
                self.flags.append(a.upper())
            elif a.startswith('ir='):
                self.ir, self.lane = a[3:].split('.')
            elif a in ('i64', 'o64'):
                self.bits(M64, 1, a == 'o64')
            elif a == 'native':
                pass
            else:
                self.feature = a

    def parse_operand(self, o):
        if o in FIXED:
            return
        if o[0] not in METHODS or o[1:] not in SIZES:
            fail(self.where, f'unknown operand {o}')
        if o[0] == 'M':
            self.bits(MOD3, 1, 0)
        elif o[0] in 'RUN':
            self.bits(MOD3, 1, 1)

    def operand(self, o):
        if o in FIXED:
            size = {'AL': 'B', 'CL': 'B', 'DX': 'W', 'AX': 'W', 'rAX': 'V', 'eAX': 'Z', '1': 'B'}.get(o, 'W')
            return f'{{OP_{o.upper() if o != "rAX" else "rAX"}, SZ_{size}}}'.replace('OP_1,', 'OP_ONE,')
        return f'{{OP_{o[0]}, SZ_{SIZES[o[1:]]}}}'

    def text(self):
        ops = ', '.join(self.operand(o) for o in self.ops)
        flags = ' | '.join('ROW_' + f for f in self.flags) or '0'
        return (f'    {{"{self.name}", x86_insn_{self.fn}, {{{ops}}}, 0x{self.mask:x}, '
                f'0x{self.match:x}, {self.space}, 0x{self.opcode:02x}, {self.arg}, '
                f'{len(self.ops)}, {int(self.modrm)}, {int(self.plus_r)}, {flags}, '
                f'0x{self.undef:x}, X86_F_{self.feature}, IR_OP_{self.ir}, IR_{self.lane.upper()}}},')


def main():
    out_inc, out_h = sys.argv[1:3]
    rows = [Row(*f) for source in sys.argv[3:] for line in expand(source) for f in forms(*line)]
    by_opcode = {}
    for r in rows:
        for k in range(8 if r.plus_r else 1):
            by_opcode.setdefault((r.space, r.opcode + k), []).append(r)
    for (space, opcode), group in by_opcode.items():
        if len({r.modrm for r in group}) > 1:
            fail(group[-1].where, f'rows of {SPACES[space]} {opcode:02x} disagree about modrm')
        for i, r in enumerate(group):
            for q in group[:i]:
                if not q.mask & ~r.mask and not (q.match ^ r.match) & q.mask:
                    fail(r.where, f'hidden by the row at {q.where}')
    index = {id(r): i for i, r in enumerate(rows)}
    runs, at = [], {}
    for key in sorted(by_opcode):
        at[key] = (len(runs), len(by_opcode[key]))
        runs += [index[id(r)] for r in by_opcode[key]]
    with open(out_inc, 'w') as f:
        f.write(f'/* Generated by scripts/decode/x86.py from *.isa. */\n')
        f.write('const X86Row x86_rows[] = {\n' + '\n'.join(r.text() for r in rows) + '\n};\n')
        f.write(f'const unsigned x86_n_rows = {len(rows)};\n')
        f.write('static const uint16_t runs[] = {\n')
        for i in range(0, len(runs), 16):
            f.write('    ' + ', '.join(map(str, runs[i:i + 16])) + ',\n')
        f.write('};\n')
        f.write(f'static const struct {{ uint16_t at; uint8_t n, modrm; }} opcodes[{len(SPACES)}][256] = {{\n')
        for key, (start, n) in at.items():
            f.write(f'    [{key[0]}][0x{key[1]:02x}] = {{{start}, {n}, {int(by_opcode[key][0].modrm)}}},\n')
        f.write('};\n')
    with open(out_h, 'w') as f:
        f.write('/* Generated by scripts/decode/x86.py from *.isa. */\n')
        for fn in sorted({r.fn for r in rows}):
            f.write(f'void x86_insn_{fn}(X86Xlate *x);\n')


main()
