#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What decode.py must refuse, and what it must not. Prints TAP."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import decode  # noqa: E402

HEAD = '''
prefix t
feature one two a
exclusive one two
field rd 11:7 reg
field rs 19:15 reg
field imm 31:20 signed dec
field split 31:25=11:5 11:7=4:0 signed dec
'''
ADD = 'add imm rs 000 rd 0010011 "add {rd}"\n'

# name, lines, part of the error (None: accepted)
CASES = [
    ('plain', ADD, None),
    ('overlap', ADD + 'x 000000000000 rs 000 rd 0010011 "x"', 'overlaps add'),
    ('special case', ADD + 'x 000000000000 rs 000 rd 0010011 "x" over add', None),
    ('not special', ADD + 'x imm 00000 000 00000 0010011 "x" over add\n'
     'y imm 00000 000 ..... 0010011 "y" over add\n', 'overlaps x'),
    ('unreachable', ADD + 'x imm rs 000 rd 0010011 "x" over add', 'unreachable behind x'),
    ('apart by constraint', 'x imm rs 000 rd 0010011 "x" rd!=2\n'
     'y imm rs 000 00010 0010011 "y"', None),
    ('apart by gates', 'x imm rs 000 rd 0010011 "x" one\ny imm rs 000 rd 0010011 "y" two', None),
    ('not apart by gates', 'x imm rs 000 rd 0010011 "x" one\ny imm rs 000 rd 0010011 "y" a',
     'overlaps x'),
    ('twice', ADD + ADD, 'defined twice'),
    ('width', 'x imm rs 000 rd 001001 "x"', 'pattern has 31 bits'),
    ('place', 'x rs imm 000 rd 0010011 "x"', 'belongs at'),
    ('pieces', 'x split rs rs 000 00000 0010011 "x"', 'pieces'),
    ('two pieces', 'x split 00000 rs 000 split 0010011 "x {split}"', None),
    ('no field', 'x imm rs 000 ra 0010011 "x"', 'no field ra'),
    ('no gate', 'x imm rs 000 rd 0010011 "x" z', 'no feature z'),
    ('template', 'x imm rs 000 rd 0010011 "x {ra}"', 'template names ra'),
    ('alias', ADD + 'x imm 00001 001 rd 0010011 "x" -> add rs=rd', None),
    ('alias lacks', ADD + 'x imm 00001 001 rd 0010011 "x" -> add', 'needs rs'),
    ('alias has too much', ADD + 'x imm rs 001 rd 0010011 "x" -> add ro=1', 'no argument ro'),
]


def attempt(lines):
    with tempfile.NamedTemporaryFile('w', suffix='.isa') as f:
        f.write(HEAD + lines)
        f.flush()
        try:
            isa = decode.Isa(f.name)
            w = decode.Writer(isa, 't.isa')
            w.header()
            w.source_file('t.h')
            return None
        except decode.IsaError as e:
            return str(e)


def main():
    failed = 0
    print(f'1..{len(CASES)}')
    for i, (name, lines, want) in enumerate(CASES, 1):
        error = attempt(lines)
        good = error is None if want is None else error is not None and want in error
        failed += not good
        print(f'{"ok" if good else "not ok"} {i} {name}' + ('' if good else f' # got: {error}'))
    return failed != 0


sys.exit(main())
