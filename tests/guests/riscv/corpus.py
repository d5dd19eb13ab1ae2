#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a table of random instructions of rv.isa for corpus.c.

usage: corpus.py rv.isa 32|64 COUNT OUT.h
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../../scripts/decode'))
import decode  # noqa: E402

# Control flow and what depends on the machine around the hart have programs of their own.
SKIP = {'jal', 'jalr', 'beq', 'bne', 'blt', 'bge', 'bltu', 'bgeu', 'ecall', 'ebreak', 'mret', 'sret',
        'wfi', 'csrrw', 'csrrs', 'csrrc', 'csrrwi', 'csrrsi', 'csrrci', 'sfence.vma', 'fence.i',
        'sfence.w.inval', 'auipc', 'wrs.nto', 'wrs.sto', 'fence', 'pause'}
# Not known to every emulator that the results are compared with.
YOUNG = {'zicond', 'zawrs', 'zicbom', 'zicboz', 'zicbop', 'svinval', 'zihintpause'}
RESERVED = {1, 3, 4}            # ra, gp, tp belong to the harness
LOADS = ('lb', 'lh', 'lw', 'ld', 'lbu', 'lhu', 'lwu', 'flw', 'fld')
STORES = ('sb', 'sh', 'sw', 'sd', 'fsw', 'fsd')


def pick(isa, line, rng):
    while True:
        raw = (rng.getrandbits(line.width) & ~line.mask) | line.value
        if any(f.extract(raw) in bad for f, bad in line.constraints):
            continue
        if any(f.kind == 'xreg' and f.extract(raw) in RESERVED for f in line.fields):
            continue
        if line.field('rm') and line.field('rm').extract(raw) in (5, 6):
            continue
        if any(o is not line and o.mask & line.mask == line.mask and line.name in o.over and
               raw & o.mask == o.value for o in isa.lines):
            continue
        return raw


def kind(isa, line, raw):
    """Memory operand as 'rs1 imm alignment' for the harness, or -1."""
    name = line.target or line.name
    size = {'b': 1, 'h': 2, 'w': 4, 'd': 8}
    if name in LOADS + STORES:
        base = line.field('rs1')
        rs1 = base.extract(raw) if base else int(line.args['rs1'])
        return rs1, line.field('imm').extract(raw), 1
    if name.startswith(('lr.', 'sc.', 'amo')):
        return line.field('rs1').extract(raw), 0, size[name[-1]]
    return -1, 0, 0


def main():
    isa = decode.Isa(sys.argv[1])
    width, count = sys.argv[2], int(sys.argv[3])
    other = {'32': 'rv64', '64': 'rv32'}[width]
    rng = random.Random(1)
    with open(sys.argv[4], 'w') as out:
        out.write('static const struct insn table[] = {\n')
        for line in isa.lines:
            gates = set().union(*line.gates) if line.gates else set()
            if (line.target or line.name) in SKIP or other in gates or gates & YOUNG:
                continue
            for _ in range(count):
                raw = pick(isa, line, rng)
                rs1, imm, align = kind(isa, line, raw)
                if rs1 == 0:
                    continue
                out.write(f'    {{"{line.name}", {raw:#010x}, {rs1}, {imm}, {align}}},\n')
        out.write('};\n')


main()
