#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the bare-metal x86 programs and runs them on the translator, on the interpreter and with
both compared. Prints TAP.

usage: run.py MYNA BUILD-DIR
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# name: width, sources, models
PROGRAMS = {
    'prot': ('32', ['prot.c', 'except.c', 'gates.c', 'tasks.c', 'vm86.c', 'paging.c', 'debug.c', 'real.c', 'real.S', 'smm.c', 'fpu.c', 'msr.c'], ['max', 'Nehalem']),
    'long': ('64', ['long.c', 'long-traps.c', 'long-calls.c', 'long-memory.c', 'long-state.c', 'debug.c'],
             ['max', 'Nehalem']),
}
# Run with instructions counted: what it says must be the same on each engine.
COUNTED = 'count.c'
SHIFTS = [0, 3]
ENGINES = {'translator': 'engine=jit', 'interpreter': 'engine=interp', 'both': 'check=on'}


def build(name, out):
    width, sources, _ = PROGRAMS[name]
    elf = os.path.join(out, f'{name}.elf')
    subprocess.run([os.path.join(HERE, 'build.sh'), width, elf, *(os.path.join(HERE, s) for s in sources)],
                   check=True)
    return elf


def run(myna, engine, model, elf, out):
    """Console text and exit status of a program."""
    console = os.path.join(out, 'console.txt')
    if os.path.exists(console):
        os.unlink(console)
    status = subprocess.run(
        [myna, 'system', 'x86_64', '-M', 'microvm', '-accel', f'tcg,{engine}', '-cpu', model, '-m', '64',
         '-nodefaults', '-display', 'none', '-serial', f'file:{console}', '-no-reboot',
         '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-kernel', elf],
        stdin=subprocess.DEVNULL, timeout=200).returncode
    with open(console, errors='replace') as f:
        return f.read(), status


def main():
    myna, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    if not shutil.which(os.environ.get('X86_CC', 'gcc')) or \
            subprocess.run([os.environ.get('X86_CC', 'gcc'), '-m32', '-E', '-x', 'c', os.devnull],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        print('1..0 # SKIP no compiler for x86')
        return 0
    counted = [f'counting, shift {shift}' for shift in SHIFTS]
    rows = [(name, model, engine) for name in PROGRAMS for model in PROGRAMS[name][2] for engine in ENGINES]
    print(f'1..{len(rows) + len(counted)}')
    failed, built = 0, {}
    for n, (name, model, engine) in enumerate(rows, 1):
        built.setdefault(name, None)
        built[name] = built[name] or build(name, out)
        text, status = run(myna, ENGINES[engine], model, built[name], out)
        good = status == 1 and text.endswith('passed\n')
        failed += not good
        print(f'{"ok" if good else "not ok"} {n} {name} {model} {engine}')
        if not good:
            print(f'# status {status}')
            print(''.join(f'# {line}\n' for line in text.splitlines()), end='')
    elf = os.path.join(out, 'count.elf')
    subprocess.run([os.path.join(HERE, 'build.sh'), '32', elf, os.path.join(HERE, COUNTED)], check=True)
    for n, (what, shift) in enumerate(zip(counted, SHIFTS), len(rows) + 1):
        texts = {run(myna, f'engine={engine},icount-shift={shift}', 'max', elf, out)
                 for engine in ('jit', 'interp')}
        good = len(texts) == 1 and all(text.endswith('passed\n') and status == 1 for text, status in texts)
        failed += not good
        print(f'{"ok" if good else "not ok"} {n} {what}')
        if not good:
            print(''.join(f'# {status} {line}\n' for text, status in texts for line in text.splitlines()), end='')
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
