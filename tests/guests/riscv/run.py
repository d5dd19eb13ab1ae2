#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the bare-metal RISC-V programs and runs them on both engines. Prints TAP.

usage: run.py MYNA BUILD-DIR           run the tests
       run.py MYNA BUILD-DIR --record  write corpus-32.txt and corpus-64.txt anew

The expected results of the corpus were compared with another emulator's; the difference, ctzw, was
settled by the manual.
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ISA = os.path.join(HERE, '../../../target/riscv/rv.isa')


def build(width, name, sources, flags, out):
    elf = os.path.join(out, f'{name}{width}.elf')
    paths = [os.path.join(HERE, s) for s in sources]
    subprocess.run([os.path.join(HERE, 'build.sh'), width, elf, *paths, *flags], check=True)
    return elf


def run(myna, width, engine, elf, out):
    """Console text and exit status of a program."""
    console = os.path.join(out, 'console.txt')
    if os.path.exists(console):
        os.unlink(console)
    status = subprocess.run(
        [myna, 'system', f'riscv{width}', '-M', 'virt', '-accel', f'tcg,engine={engine}', '-cpu', 'max',
         '-smp', '1', '-m', '64', '-bios', 'none', '-kernel', elf, '-display', 'none', '-monitor', 'none',
         '-serial', f'file:{console}'],
        stdin=subprocess.DEVNULL, timeout=200).returncode
    with open(console) as f:
        return f.read(), status


def corpus(width, out):
    table = os.path.join(out, f'table{width}')
    os.makedirs(table, exist_ok=True)
    subprocess.run([sys.executable, os.path.join(HERE, 'corpus.py'), ISA, width, '12',
                    os.path.join(table, 'corpus-table.h')], check=True)
    return build(width, 'corpus', ['corpus-run.S', 'corpus.c'], [f'-I{table}'], out)


def main():
    myna, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    if not shutil.which(os.environ.get('RISCV_CC', 'riscv64-linux-gnu-gcc')):
        print('1..0 # SKIP no RISC-V compiler (apt-get install gcc-riscv64-linux-gnu)')
        return 0
    if '--record' in sys.argv:
        for width in ('64', '32'):
            text, _ = run(myna, width, 'interp', corpus(width, out), out)
            with open(os.path.join(HERE, f'corpus-{width}.txt'), 'w') as f:
                f.write(text)
        return 0
    failed = n = 0
    print('1..8')
    for width in ('64', '32'):
        priv = build(width, 'priv', ['trap.S', 'harness.c', 'priv.c'], [], out)
        with open(os.path.join(HERE, f'corpus-{width}.txt')) as f:
            want = f.read()
        random = corpus(width, out)
        for engine in ('jit', 'interp'):
            text, status = run(myna, width, engine, priv, out)
            n += 1
            good = status == 0 and text.endswith('passed\n')
            failed += not good
            print(f'{"ok" if good else "not ok"} {n} privilege rv{width} {engine}')
            if not good:
                print(''.join(f'# {line}\n' for line in text.splitlines()), end='')
            text, status = run(myna, width, engine, random, out)
            n += 1
            good = status == 0 and text == want
            failed += not good
            print(f'{"ok" if good else "not ok"} {n} corpus rv{width} {engine}')
            for a, b in zip(text.splitlines(), want.splitlines()):
                if a != b:
                    print(f'# got {a}, want {b}')
    return failed != 0


sys.exit(main())
