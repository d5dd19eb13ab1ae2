#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nanoseconds of translating an instruction and of the rounds of small loops, of Myna and another
emulator in turn: tests/bench/jit-micro.py [--myna PROGRAM] [--peer FOLDER] [--repeat N]

A guest without an operating system (guest/micro.c) says on the serial line when it begins and ends;
what counts is the processor time of the emulator between, so a busy host does little harm.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build(folder):
    out = folder / 'micro'
    subprocess.run(['gcc', '-O2', '-std=gnu17', '-Wall', '-Wno-unused-parameter', '-ffreestanding',
                    '-fno-pic', '-no-pie', '-nostdlib', '-static', '-mno-sse', '-mno-red-zone',
                    '-fno-stack-protector', '-Wl,-Ttext-segment=0x200000,--build-id=none,-estart', '-o', out,
                    HERE / 'guest' / 'micro.S', HERE / 'guest' / 'micro.c'], check=True)
    return out


def seconds(pid):
    """Processor time of all threads."""
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/schedstat') as file:
            total += int(file.read().split()[0])
    return total / 1e9


def measure(command, kernel):
    """{name: (ns of one, unit, sum)}"""
    command = [*command, '-M', 'microvm', '-accel', 'tcg', '-m', '64', '-nodefaults', '-display', 'none',
               '-no-reboot', '-serial', 'stdio', '-kernel', kernel]
    rows = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as p:
        for line in p.stdout:
            word = line.split()
            if word[:1] == ['BEGIN']:
                start, count, unit = seconds(p.pid), int(word[2]), ' '.join(word[3:])
            elif word[:1] == ['END']:
                rows[word[1]] = (seconds(p.pid) - start) / count * 1e9, unit, word[2]
            elif word[:1] == ['DONE']:
                break
        p.kill()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--myna', default=str(HERE.parents[1] / 'build' / 'myna'))
    parser.add_argument('--peer', default='/usr/bin', help='folder of qemu-system-x86_64')
    parser.add_argument('--repeat', type=int, default=2, help='rounds; the best one counts')
    args = parser.parse_args()
    commands = {'Myna': [args.myna, 'system', 'x86_64']}
    peer = Path(args.peer) / 'qemu-system-x86_64'
    if peer.exists():
        commands['QEMU'] = [str(peer)]
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        kernel = build(Path(folder))
        for _ in range(args.repeat):
            for emulator, command in commands.items():
                for name, row in measure(command, kernel).items():
                    old = best.setdefault(name, {}).get(emulator)
                    best[name][emulator] = min(old or row, row)
    wrong = False
    print('| loop | of one | QEMU ns | Myna ns | Myna vs QEMU |\n|---|---|---|---|---|')
    for name, row in best.items():
        mine, other = row.get('Myna'), row.get('QEMU')
        if not mine:
            continue
        differ = other and mine[2] != other[2]
        wrong |= bool(differ)
        ratio = 'results differ' if differ else f'{other[0] / mine[0]:.2f}x' if other else ''
        print(f'| {name} | {mine[1]} | {f"{other[0]:.2f}" if other else ""} | {mine[0]:.2f} | {ratio} |')
    return wrong


if __name__ == '__main__':
    sys.exit(main())
