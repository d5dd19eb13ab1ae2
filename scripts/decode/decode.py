#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a fixed-width .isa file into decoder, disassembler and encoder tables.

usage: decode.py FILE.isa OUT.h OUT.c

The file's language (docs/howto-isa.md has examples):

  prefix rv                      names of everything generated: rv_decode(), RV_I_add, ...
  short 16 1:0 != 3              16-bit instructions are those whose bits 1:0 are not 3
  feature rv32 rv64 m a ...      gates, numbered in order
  exclusive rv32 rv64            never on together: their lines may overlap
  field NAME BITS... [signed] [+N] [*N] KIND
        BITS is HI:LO, or HI:LO=DEST with DEST as manuals print it (12|10:5), or several of them.
        KIND names the printer function <prefix>_print_KIND().
        The part of NAME before a dot is the argument's name: imm.b and imm.j are both `imm`.
  NAME PATTERN "TEMPLATE" [GATE|GATE ...] [FIELD!=N,N ...] [over LINE] [-> LINE arg=value ...]
        PATTERN is the instruction from its highest bit: binary digits and fields. A field in
        several pieces is named once per piece. `.` is a bit that is ignored.
        over: this line is a special case of the lines named. ->: translated as another line.
"""
import re
import sys


class IsaError(Exception):
    pass


class Field:
    def __init__(self, name, words):
        self.name = name
        self.arg = name.split('.')[0]
        self.signed = False
        self.plus = 0
        self.scale = 1
        self.kind = None
        self.pieces = []        # [(lsb, len)] as the pattern names them, highest first
        self.segments = []      # [(lsb, len, to)]
        for w in words:
            if re.fullmatch(r'\d+(:\d+)?(=[\d:|]+)?', w):
                self.piece(w)
            elif w == 'signed':
                self.signed = True
            elif re.fullmatch(r'\+\d+', w):
                self.plus = int(w[1:])
            elif re.fullmatch(r'\*\d+', w):
                self.scale = int(w[1:])
            elif re.fullmatch(r'[a-z_]\w*', w) and self.kind is None:
                self.kind = w
            else:
                raise IsaError(f'field {name}: cannot read "{w}"')
        if not self.pieces or self.kind is None:
            raise IsaError(f'field {name}: needs bits and a kind')
        if any(to is None for _, _, to in self.segments):
            if len(self.segments) > 1:
                raise IsaError(f'field {name}: several pieces need destinations')
            lsb, n, _ = self.segments[0]
            self.segments = [(lsb, n, 0)]
        self.bits = max(to + n for _, n, to in self.segments)
        self.mask = 0
        for lsb, n in self.pieces:
            self.mask |= ((1 << n) - 1) << lsb
        covered = 0
        for _, n, to in self.segments:
            m = ((1 << n) - 1) << to
            if covered & m:
                raise IsaError(f'field {name}: value bits named twice')
            covered |= m
        # Value bits below the lowest segment are zero; holes are not possible elsewhere.
        self.low = min(to for _, _, to in self.segments)

    def piece(self, w):
        src, _, dst = w.partition('=')
        hi, _, lo = src.partition(':')
        hi = int(hi)
        lo = int(lo) if lo else hi
        self.pieces.append((lo, hi - lo + 1))
        if not dst:
            self.segments.append((lo, hi - lo + 1, None))
            return
        at = hi + 1
        for part in dst.split('|'):
            h, _, l = part.partition(':')
            h = int(h)
            l = int(l) if l else h
            n = h - l + 1
            at -= n
            self.segments.append((at, n, l))
        if at != lo:
            raise IsaError(f'field {self.name}: {w} does not fill its bits')

    def extract(self, raw):
        v = 0
        for lsb, n, to in self.segments:
            v |= ((raw >> lsb) & ((1 << n) - 1)) << to
        if self.signed and v >> (self.bits - 1):
            v -= 1 << self.bits
        return v * self.scale + self.plus

    def c_extract(self):
        """C expression of the field's value out of `raw`."""
        if len(self.segments) == 1:
            lsb, n, to = self.segments[0]
            if self.signed:
                e = f'(int32_t)(raw << {32 - lsb - n}) >> {32 - n}'
            else:
                e = f'(raw >> {lsb} & {(1 << n) - 1:#x})'
            if to:
                e = f'({e}) * {1 << to}'
        else:
            parts = []
            for lsb, n, to in self.segments:
                if self.signed and to + n == self.bits:
                    parts.append(f'(uint32_t)((int32_t)(raw << {32 - lsb - n}) >> {32 - n}) << {to}')
                else:
                    parts.append(f'(raw >> {lsb} & {(1 << n) - 1:#x}) << {to}')
            e = '(' + ' | '.join(parts) + ')'
        cast = '(int32_t)' if self.signed else '(uint32_t)'
        if self.scale != 1:
            e = f'{cast}({e}) * {self.scale}'
        if self.plus:
            e = f'{e} + {self.plus}'
        return f'{cast}({e})'


class Line:
    def __init__(self, name, number):
        self.name = name
        self.c = re.sub(r'\W', '_', name)
        self.number = number
        self.mask = self.value = 0
        self.width = 0
        self.ignored = 0
        self.fields = []
        self.text = ''
        self.gates = []         # conjunction of sets of features
        self.constraints = []   # (field, [values])
        self.over = []
        self.target = None
        self.args = {}

    def field(self, arg):
        for f in self.fields:
            if f.arg == arg:
                return f
        return None


class Isa:
    def __init__(self, path):
        self.prefix = None
        self.short = None
        self.fields = {}
        self.features = []
        self.exclusive = []
        self.lines = []
        self.by_name = {}
        with open(path) as f:
            for number, text in enumerate(f, 1):
                try:
                    self.read(text.strip(), number)
                except IsaError as e:
                    raise IsaError(f'{path}:{number}: {e}') from None
        self.resolve(path)
        self.check(path)

    # ---- reading ----

    def read(self, text, number):
        if not text or text.startswith('#'):
            return
        words = text.split()
        key = words[0]
        if key == 'prefix':
            self.prefix = words[1]
        elif key == 'short':
            hi, lo = map(int, words[2].split(':'))
            self.short = (int(words[1]), ((1 << (hi - lo + 1)) - 1) << lo, int(words[4]) << lo)
        elif key == 'feature':
            for f in words[1:]:
                if f in self.features:
                    raise IsaError(f'feature {f} named twice')
                self.features.append(f)
        elif key == 'exclusive':
            self.exclusive.append(set(words[1:]))
        elif key == 'field':
            if words[1] in self.fields:
                raise IsaError(f'field {words[1]} defined twice')
            self.fields[words[1]] = Field(words[1], words[2:])
        else:
            self.lines.append(self.line(text, number))

    def line(self, text, number):
        m = re.fullmatch(r'(\S+)\s+([^"]*)"([^"]*)"(.*)', text)
        if not m:
            raise IsaError('expected: NAME PATTERN "TEMPLATE" ...')
        line = Line(m[1], number)
        if line.name in self.by_name:
            raise IsaError(f'{line.name} defined twice')
        self.by_name[line.name] = line
        line.text = m[3]
        self.pattern(line, m[2].split())
        self.tail(line, m[4].split())
        for arg in re.findall(r'\{(\w+)\}', line.text):
            if not line.field(arg):
                raise IsaError(f'{line.name}: template names {arg}, the pattern does not')
        return line

    def pattern(self, line, tokens):
        seen = {}
        width = 0
        sized = []
        for t in tokens:
            if re.fullmatch(r'[01.]+', t):
                sized.append((t, len(t)))
                width += len(t)
                continue
            f = self.fields.get(t)
            if f is None:
                raise IsaError(f'{line.name}: no field {t}')
            i = seen.get(t, 0)
            if i >= len(f.pieces):
                raise IsaError(f'{line.name}: field {t} has {len(f.pieces)} pieces')
            seen[t] = i + 1
            sized.append((f, i))
            width += f.pieces[i][1]
        if width not in (16, 32):
            raise IsaError(f'{line.name}: pattern has {width} bits')
        line.width = width
        at = width
        for what, n in sized:
            if isinstance(what, Field):
                lsb, bits = what.pieces[n]
                at -= bits
                if at != lsb:
                    raise IsaError(f'{line.name}: {what.name} stands at {at}, belongs at {lsb}')
                if what not in line.fields:
                    if line.field(what.arg):
                        raise IsaError(f'{line.name}: two fields give argument {what.arg}')
                    line.fields.append(what)
                continue
            at -= n
            for i, c in enumerate(what):
                bit = 1 << (at + n - 1 - i)
                if c == '.':
                    line.ignored |= bit
                else:
                    line.mask |= bit
                    line.value |= bit if c == '1' else 0
        for name, n in seen.items():
            if n != len(self.fields[name].pieces):
                raise IsaError(f'{line.name}: field {name} needs {len(self.fields[name].pieces)} '
                               f'pieces, has {n}')
        if self.short:
            bits, mask, unless = self.short
            is_short = line.width == bits
            if line.mask & mask != mask or ((line.value & mask) != unless) != is_short:
                raise IsaError(f'{line.name}: low bits do not fit its length')

    def tail(self, line, words):
        i = 0
        while i < len(words):
            w = words[i]
            i += 1
            if w == 'over':
                line.over = words[i].split(',')
                i += 1
            elif w == '->':
                line.target = words[i]
                for a in words[i + 1:]:
                    k, _, v = a.partition('=')
                    line.args[k] = v
                return
            elif '!=' in w:
                arg, _, values = w.partition('!=')
                f = line.field(arg)
                if f is None:
                    raise IsaError(f'{line.name}: constraint on unknown {arg}')
                line.constraints.append((f, [int(v, 0) for v in values.split(',')]))
            else:
                alternatives = w.split('|')
                for a in alternatives:
                    if a not in self.features:
                        raise IsaError(f'{line.name}: no feature {a}')
                line.gates.append(set(alternatives))

    def resolve(self, path):
        if not self.prefix:
            raise IsaError(f'{path}: no prefix')
        for line in self.lines:
            where = f'{path}:{line.number}: {line.name}'
            for o in line.over:
                if o not in self.by_name:
                    raise IsaError(f'{where}: over {o}: no such line')
            if line.target is None:
                continue
            target = self.by_name.get(line.target)
            if target is None or target.target:
                raise IsaError(f'{where}: -> {line.target}: no such line of its own')
            for f in target.fields:
                v = line.args.get(f.arg, f.arg)
                if not re.fullmatch(r'-?\d+', v) and not line.field(v):
                    raise IsaError(f'{where}: -> {target.name} needs {f.arg}')
            for k in line.args:
                if not target.field(k):
                    raise IsaError(f'{where}: {target.name} has no argument {k}')

    # ---- overlaps ----

    def apart_by_gate(self, a, b):
        for pair in self.exclusive:
            for x in a.gates:
                for y in b.gates:
                    if len(x) == len(y) == 1 and x != y and x | y <= pair:
                        return True
        return False

    @staticmethod
    def violated(line, mask, value):
        """A constraint of line cannot hold when the bits `mask` are `value`."""
        for f, bad in line.constraints:
            if f.mask & ~mask == 0 and f.extract(value) in bad:
                return True
        return False

    def overlap(self, a, b):
        if a.width != b.width or (a.value ^ b.value) & a.mask & b.mask:
            return False
        if self.apart_by_gate(a, b):
            return False
        mask, value = a.mask | b.mask, a.value | b.value
        return not (self.violated(a, mask, value) or self.violated(b, mask, value))

    def check(self, path):
        for i, a in enumerate(self.lines):
            for b in self.lines[i + 1:]:
                if not self.overlap(a, b):
                    continue
                if b.name in a.over or a.name in b.over:
                    special, general = (a, b) if b.name in a.over else (b, a)
                    if general.mask & ~special.mask or general.name == special.name:
                        raise IsaError(f'{path}:{special.number}: {special.name} is not a special '
                                       f'case of {general.name}')
                    if special.mask == general.mask and not special.gates and \
                            not special.constraints:
                        raise IsaError(f'{path}:{general.number}: {general.name} is unreachable '
                                       f'behind {special.name}')
                    continue
                raise IsaError(f'{path}:{b.number}: {b.name} overlaps {a.name} '
                               f'(line {a.number})')
            for o in a.over:
                if not self.overlap(a, self.by_name[o]):
                    raise IsaError(f'{path}:{a.number}: {a.name} does not overlap {o}')
            if self.violated(a, a.mask, a.value):
                raise IsaError(f'{path}:{a.number}: {a.name} is unreachable: a fixed field '
                               'breaks its constraint')


# ---- output ----

HEAD = '/* Generated by scripts/decode/decode.py from {source}. */\n'


class Writer:
    def __init__(self, isa, source):
        self.isa = isa
        self.source = source
        self.p = isa.prefix
        self.P = isa.prefix.upper()

    def header(self):
        isa, p, P = self.isa, self.p, self.P
        o = [HEAD.format(source=self.source), f'#ifndef {P}_ISA_H\n#define {P}_ISA_H\n\n',
             '#include "ir/ir.h"\n#include "target/decode.h"\n\n']
        o.append('enum {\n')
        for f in isa.features:
            o.append(f'    {P}_F_{f},\n')
        o.append(f'    {P}_FEATURES,\n}};\n\n')
        o.append(f'enum {{\n    {P}_I_NONE,\n')
        for l in isa.lines:
            o.append(f'    {P}_I_{l.c},\n')
        o.append(f'    {P}_INSNS,\n}};\n\n')
        o.append(f'extern const IsaTable {p}_isa_table;\n')
        o.append(f'/* The line that raw is, {P}_I_NONE if none or its feature is off. */\n')
        o.append(f'unsigned {p}_decode(uint32_t raw, const uint64_t *features);\n')
        o.append('/* Calls the line\'s INSN() function with its fields. */\n')
        o.append(f'void {p}_emit(IrBuilder *b, unsigned line, uint32_t raw);\n\n')
        o.append('/* Printers of field kinds, written by hand. */\n')
        for k in sorted({f.kind for f in isa.fields.values()}):
            o.append(f'void {p}_print_{k}(GString *out, int32_t value, uint64_t pc);\n')
        o.append(f'\n#define INSN(name) void {p}_##name({P}_ARGS_##name)\n')
        for l in isa.lines:
            if l.target:
                continue
            args = ''.join(f', {"int32_t" if f.signed else "uint32_t"} {f.arg}' for f in l.fields)
            o.append(f'#define {P}_ARGS_{l.c} IrBuilder *b{args}\n')
        for l in isa.lines:
            if not l.target:
                o.append(f'INSN({l.c});\n')
        o.append('\n#endif\n')
        return ''.join(o)

    def source_file(self, header_name):
        isa, p, P = self.isa, self.p, self.P
        o = [HEAD.format(source=self.source), f'#include "{header_name}"\n\n']
        index = {}
        o.append('static const IsaField fields[] = {\n')
        for i, f in enumerate(isa.fields.values()):
            index[f] = i
            segs = ', '.join(f'{{{a}, {n}, {to}}}' for a, n, to in f.segments)
            o.append(f'    {{"{f.arg}", {len(f.segments)}, {f.bits}, {str(f.signed).lower()}, '
                     f'{f.plus}, {f.scale}, {p}_print_{f.kind}, {{{segs}}}}},\n')
        o.append('};\n\n')
        for l in isa.lines:
            if l.constraints:
                o.append(f'static const IsaConstraint constraints_{l.c}[] = {{\n')
                for f, bad in l.constraints:
                    for v in bad:
                        o.append(f'    {{{index[f]}, {v}}},\n')
                o.append('};\n')
        o.append('\nstatic const IsaRow rows[] = {\n    {0},\n')
        words = (len(isa.features) + 63) // 64
        for l in isa.lines:
            fl = ', '.join(str(index[f]) for f in l.fields)
            o.append(f'    {{"{l.name}", "{l.text}", {l.mask:#010x}, {l.value:#010x}, '
                     f'{l.width // 8}, {len(l.fields)}, {{{fl}}}')
            n = sum(len(bad) for _, bad in l.constraints)
            o.append(f', {n}, constraints_{l.c}' if n else ', 0, NULL')
            if l.gates:
                gs = ', '.join('{' + ', '.join(str(isa.features.index(x)) for x in sorted(g)) +
                               ', -1}' for g in l.gates)
                o.append(f', {{{gs}}}')
            o.append('},\n')
        o.append('};\n\n')
        names = ', '.join(f'"{f}"' for f in isa.features)
        o.append(f'static const char *const features_[] = {{{names}}};\n\n')
        o.append(f'const IsaTable {p}_isa_table = {{\n    .rows = rows, .n_rows = {P}_INSNS,\n'
                 f'    .fields = fields, .features = features_, .n_features = {P}_FEATURES,\n'
                 f'    .feature_words = {words}, .decode = {p}_decode,\n}};\n\n')
        widths = sorted({l.width for l in isa.lines})
        for w in widths:
            o.append(f'static unsigned decode{w}(uint32_t raw, const uint64_t *f)\n{{\n')
            o.extend(self.tree([l for l in isa.lines if l.width == w], 0, 1))
            o.append('    return 0;\n}\n\n')
        o.append(f'unsigned {p}_decode(uint32_t raw, const uint64_t *f)\n{{\n')
        if isa.short:
            bits, mask, unless = isa.short
            o.append(f'    return (raw & {mask:#x}) != {unless:#x} ? decode{bits}(raw & '
                     f'{(1 << bits) - 1:#x}, f) : decode32(raw, f);\n')
        else:
            o.append(f'    return decode{widths[0]}(raw, f);\n')
        o.append('}\n\n')
        o.append(f'void {p}_emit(IrBuilder *b, unsigned line, uint32_t raw)\n{{\n'
                 '    switch (line) {\n')
        for l in isa.lines:
            o.append(f'    case {P}_I_{l.c}:\n        {self.call(l)};\n        break;\n')
        o.append('    }\n}\n')
        return ''.join(o)

    def call(self, l):
        t = self.isa.by_name[l.target] if l.target else l
        args = ['b']
        for f in t.fields:
            v = l.args.get(f.arg, f.arg)
            args.append(v if re.fullmatch(r'-?\d+', v) else l.field(v).c_extract())
        return f'{self.p}_{t.c}({", ".join(args)})'

    def condition(self, l, done):
        c = []
        rest = l.mask & ~done
        if rest:
            c.append(f'(raw & {rest:#x}) == {l.value & rest:#x}')
        for f, bad in l.constraints:
            for v in bad:
                c.append(f'{f.c_extract()} != {v}')
        for g in l.gates:
            bits = {}
            for x in g:
                n = self.isa.features.index(x)
                bits[n // 64] = bits.get(n // 64, 0) | 1 << n % 64
            c.append('(' + ' || '.join(f'(f[{w}] & {m:#x}ull)' for w, m in bits.items()) + ')')
        return ' && '.join(c)

    def tree(self, lines, done, depth):
        """C statements that return the line's number, or fall through."""
        pad = '    ' * depth
        if not lines:
            return
        common = ~done & 0xffffffff
        for l in lines:
            common &= l.mask
        if common and len(lines) > 1:
            groups = {}
            for l in lines:
                groups.setdefault(l.value & common, []).append(l)
            yield f'{pad}switch (raw & {common:#x}) {{\n'
            for v in sorted(groups):
                yield f'{pad}case {v:#x}:\n'
                yield from self.tree(groups[v], done | common, depth + 1)
                yield f'{pad}    break;\n'
            yield f'{pad}}}\n'
            return
        best = self.best_bit(lines, done)
        if len(lines) > 4 and best is not None:
            for v in (0, 1):
                yield f'{pad}if ({"" if v else "!"}(raw & {1 << best:#x})) {{\n'
                yield from self.tree([l for l in lines if not l.mask >> best & 1 or
                                      l.value >> best & 1 == v], done | 1 << best, depth + 1)
                yield f'{pad}}}\n'
            return
        # Special cases first.
        order = sorted(lines, key=lambda l: (-bin(l.mask).count('1'), not l.over))
        for l in order:
            c = self.condition(l, done)
            if c:
                yield f'{pad}if ({c})\n{pad}    return {self.P}_I_{l.c};\n'
            else:
                yield f'{pad}return {self.P}_I_{l.c};\n'
                break

    @staticmethod
    def best_bit(lines, done):
        best, score = None, 0
        for bit in range(32):
            if done >> bit & 1:
                continue
            ones = sum(1 for l in lines if l.mask >> bit & 1 and l.value >> bit & 1)
            zeros = sum(1 for l in lines if l.mask >> bit & 1 and not l.value >> bit & 1)
            if min(ones, zeros) and ones + zeros > score:
                best, score = bit, ones + zeros
        return best


def main():
    path, header, source = sys.argv[1:4]
    try:
        isa = Isa(path)
    except IsaError as e:
        sys.exit(str(e))
    w = Writer(isa, path.rsplit('/', 1)[-1])
    with open(header, 'w') as f:
        f.write(w.header())
    with open(source, 'w') as f:
        f.write(w.source_file(header.rsplit('/', 1)[-1]))


if __name__ == '__main__':
    main()
