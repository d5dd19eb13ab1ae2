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


def run(myna, width, engine, elf, out, cpu='max'):
    """Console text and exit status of a program."""
    console = os.path.join(out, 'console.txt')
    if os.path.exists(console):
        os.unlink(console)
    status = subprocess.run(
        [myna, 'system', f'riscv{width}', '-M', 'virt', '-accel', f'tcg,engine={engine}', '-cpu', cpu,
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
    results = []

    def result(good, name, text):
        results.append(good)
        print(f'{"ok" if good else "not ok"} {len(results)} {name}')
        if not good:
            print(''.join(f'# {line}\n' for line in text.splitlines()[:40]), end='', flush=True)

    for width in ('64', '32'):
        checks = {name: build(width, name, ['trap.S', 'harness.c', f'{name}.c'], [], out)
                  for name in ('priv', 'ext')}
        fp = build(width, 'fp', ['fp-call.S', 'fp.c'], [], out)
        random = corpus(width, out)
        with open(os.path.join(HERE, f'corpus-{width}.txt')) as f:
            want = f.read()
        hashes = []
        for engine in ('jit', 'interp'):
            for name, elf in checks.items():
                for cpu in ('max', f'rv{width}'):
                    text, status = run(myna, width, engine, elf, out, cpu)
                    result(status == 0 and text.endswith('passed\n'), f'{name} {cpu} rv{width} {engine}', text)
            text, status = run(myna, width, engine, random, out)
            wrong = '\n'.join(f'got {a}, want {b}'
                              for a, b in zip(text.splitlines(), want.splitlines()) if a != b)
            result(status == 0 and text == want, f'corpus rv{width} {engine}', wrong or 'too short')
            text, status = run(myna, width, engine, fp, out)
            hashes.append(text)
            result(status == 0 and text == hashes[0], f'floating point rv{width} {engine}', text)
    print(f'1..{len(results)}')
    return not all(results)


sys.exit(main())
