#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure Myna and another emulator in turn, with the same command line, and print the ratios.

Programs run in a Debian kernel with an initramfs of their own; their time is taken by the host's
clock between two lines on the serial line, so that it does not depend on the guest's. Every program
returns a checksum: a number counts only if all emulators (and the host, for amd64) agree on it.
"""

import argparse
import ctypes
import datetime
import json
import math
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / 'tests' / 'functional'))
import machine as harness                                               # noqa: E402

HERE = Path(__file__).resolve().parent
GROUPS = ['integer', 'fp', 'simd', 'memory', 'system', 'two-threads']

# suite: (guest, compiler and flags, file, CPU, groups)
SUITES = {
    'x86_64': ('cloud', ['gcc', '-O2'], 'bench', [], GROUPS),
    'x86_64-v3': ('cloud', ['gcc', '-O2', '-march=x86-64-v3'], 'bench-v3', ['-cpu', 'max'],
                  ['integer', 'fp', 'simd', 'memory']),
    'riscv64': ('riscv64', ['riscv64-linux-gnu-gcc', '-O2'], 'bench', [], GROUPS),
}
SOURCES = ['main.c', 'integer.c', 'fp.c', 'memory.c', 'system.c']


def say(text):
    print(f'bench: {text}', file=sys.stderr, flush=True)


def compile_programs(folder):
    """{suite: path} of the benchmark binaries, and of blkread for each guest."""
    built = {}
    for suite, (_, compiler, name, _, _) in SUITES.items():
        out = folder / suite
        out.mkdir(exist_ok=True)
        flags = ['-std=gnu17', '-static', '-pthread', '-Wall']
        subprocess.run([*compiler, *flags, '-o', out / name,
                        *(HERE / 'guest' / s for s in SOURCES), '-lm'], check=True)
        built[suite] = out / name
        subprocess.run([*compiler, *flags, '-o', out / 'blkread', HERE / 'guest' / 'blkread.c'],
                       check=True)
    return built


def make_initramfs(guest, folder, files):
    out = folder / f'{guest}.cpio'
    subprocess.run([SOURCE / 'scripts' / 'make-initramfs', guest, '--cache', harness.GUESTS, '-o',
                    out, *(word for f in files for word in ('--add', str(f)))], check=True,
                   stdout=subprocess.DEVNULL)
    return out


class Emulator:
    def __init__(self, name, where):
        self.name, self.where = name, where

    def exists(self, arch):
        return Path(harness.program(arch, self.where)[0]).exists()

    def version(self, arch='x86_64'):
        text = subprocess.run([*harness.program(arch, self.where), '-version'],
                              stdout=subprocess.PIPE, text=True, check=True).stdout
        return text.splitlines()[0]


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.myna = Emulator('Myna', args.myna)
        self.peer = Emulator('QEMU', args.peer)
        self.programs = compile_programs(folder)
        self.initramfs = {
            'cloud': make_initramfs('cloud', folder, [
                self.programs['x86_64'], self.programs['x86_64-v3'],
                folder / 'x86_64' / 'blkread']),
            'riscv64': make_initramfs('riscv64', folder, [
                self.programs['riscv64'], folder / 'riscv64' / 'blkread']),
        }
        self.initramfs['standard'] = make_initramfs('standard', folder, [])
        self.results = {}

    def boot(self, emulator, guest, test, *args, append='', smp=1, **kw):
        """A machine that runs a guest script; both emulators get the very same words."""
        row = harness.LINUX[guest]
        line = f'console={row.console} myna.test={test} {append}'
        if row.arch == 'x86_64':
            # QEMU's own calibration is flaky on a busy host; both are told instead.
            line += f' tsc_early_khz={self.args.tsc_khz}'
        return harness.Machine(row.arch, '-M', row.machine, '-m', 512, '-smp', smp, '-kernel',
                               harness.guest_file(row.kernel), '-initrd', self.initramfs[guest],
                               '-append', line, '-no-reboot', *args, where=emulator.where, **kw)

    def both(self, what, measure, repeat=None):
        """{emulator: [values]} of a measurement taken in turn, first one first in every round."""
        values = {'Myna': [], 'QEMU': []}
        for number in range(repeat or self.args.repeat):
            order = [self.myna, self.peer]
            for emulator in order if number % 2 == 0 else reversed(order):
                for attempt in range(3):
                    try:
                        values[emulator.name].append(measure(emulator))
                        break
                    except (AssertionError, OSError) as error:
                        say(f'{what}, {emulator.name}: {str(error).splitlines()[0]}'
                            f'{"; once more" if attempt < 2 else "; given up"}')
        return values

    # --- programs -------------------------------------------------------------------------

    def run_group(self, emulator, suite, group):
        """{program: (seconds, checksum)} of one boot."""
        guest, _, binary, cpu, _ = SUITES[suite]
        found = {}
        with self.boot(emulator, guest, 'bench', *cpu, smp=2 if group == 'two-threads' else 1,
                       append=f'myna.bench={group} myna.binary={binary}') as m:
            m.wait('MYNA-INIT', 60)
            while True:
                mark = m.line(r'MYNA-(BEGIN (\S+)|PASS bench|FAIL bench.*)', 60)
                if not mark.group(2):
                    assert mark.group(1) == 'PASS bench', mark.group(1)
                    return found
                result = m.line(rf'MYNA-RESULT {mark.group(2)} \S+ (\w+)', 180)
                seconds = m.serial.arrival(result.start()) - m.serial.arrival(mark.start())
                found[mark.group(2)] = seconds, result.group(1)

    def native(self, suite):
        guest = SUITES[suite][0]
        if harness.LINUX[guest].arch != platform.machine():
            return {}
        best = {}
        for _ in range(3):
            text = subprocess.run([self.programs[suite], *SUITES[suite][4]], check=True,
                                  stdout=subprocess.PIPE, text=True).stdout
            for line in text.splitlines():
                name, seconds, checksum = line.split()
                if name not in best or float(seconds) < best[name][0]:
                    best[name] = float(seconds), checksum
        return best

    def programs_of(self, suite):
        rows, native = [], self.native(suite)
        for group in SUITES[suite][4]:
            if self.args.group and group not in self.args.group:
                continue
            say(f'{suite}: {group}')
            rounds = self.both(f'{suite} {group}', lambda e: self.run_group(e, suite, group))
            names = []
            for values in (*rounds['Myna'], *rounds['QEMU']):
                names += [n for n in values if n not in names]
            for name in names:
                row = {'group': group, 'name': name}
                sums = set()
                for emulator, values in rounds.items():
                    times = [v[name][0] for v in values if name in v]
                    sums |= {v[name][1] for v in values if name in v}
                    row[emulator] = min(times) if times else None
                if name in native:
                    row['native'] = native[name][0]
                    sums.add(native[name][1])
                row['agree'] = len(sums) == 1
                rows.append(row)
        return rows

    def suite(self, suite, raw):
        """Yields the lines of a suite's section."""
        yield from (f'## Programs, {suite} (`{" ".join(SUITES[suite][1])} -static`)', '')
        raw[suite] = rows = self.programs_of(suite)
        yield from (*table_of_programs(rows), '')

    # --- the machine around them ------------------------------------------------------------

    def boot_time(self, guest):
        def measure(emulator):
            with self.boot(emulator, guest, 'boot') as m:
                return m.serial.arrival(m.wait('MYNA-INIT', 60).start()) - m.started
        return self.both(f'boot of {guest}', measure, self.args.repeat + 2)

    def greeting(self, guest):
        """Process start to the QMP greeting of a machine that waits with -S."""
        row = harness.LINUX[guest]

        def measure(emulator):
            with harness.Machine(row.arch, '-M', row.machine, '-S', qmp=True, serial=False,
                                 where=emulator.where) as m:
                harness.Qmp(m.qmp_path, negotiate=False)
                return time.monotonic() - m.started
        return self.both('greeting', measure, 10)

    def memory(self, guest):
        """Resident MiB beside the guest's RAM, of an idle machine after boot."""
        def measure(emulator):
            with self.boot(emulator, guest, 'idle') as m:
                m.wait('MYNA-IDLE', 60)
                time.sleep(1)
                return resident_beside(m.process.pid, 512 << 20) / 2**20
        return self.both('memory', measure, 2)

    def block(self, guest, pattern='random', factor=1):
        """Requests a second times factor."""
        disk = self.folder / 'disk'
        if not disk.exists():
            with open(disk, 'wb') as file:
                for _ in range(256):
                    file.write(os.urandom(1 << 20))

        def measure(emulator):
            with self.boot(emulator, guest, 'blkread', '-drive',
                           f'if=none,id=d,format=raw,file={disk}', '-device',
                           'virtio-blk-device,drive=d',
                           append=f'myna.seconds=5 myna.pattern={pattern}') as m:
                return float(m.line(r'MYNA-IOPS (\d+) \d+', 90).group(1)) * factor
        return self.both(f'virtio-blk {pattern}', measure)

    def network(self, guest, link, way, megabytes):
        """MiB/s of one TCP connection: link user or tap, way down (to the guest) or up."""
        def measure(emulator):
            with socket.create_server(('10.0.2.2' if link == 'tap' else '127.0.0.1', 0)) as server:
                sink = []
                port = server.getsockname()[1]
                threading.Thread(target=give if way == 'down' else take, daemon=True,
                                 args=(server, megabytes, sink)).start()
                words = f'myna.{way}={port} myna.megabytes={megabytes}'
                netdev = 'user,id=n'
                if link == 'tap':
                    words += ' myna.address=10.0.2.15'
                    netdev = 'tap,id=n,ifname=bench0,script=no,downscript=no'
                with self.boot(emulator, guest, 'netread', '-netdev', netdev, '-device',
                               'virtio-net-device,netdev=n', append=words) as m:
                    begun = m.serial.arrival(m.line('MYNA-BEGIN netread', 90).start())
                    if way == 'down':
                        mark = m.line(r'MYNA-RECEIVED (\d+)', 120)
                        count, end = int(mark.group(1)), m.serial.arrival(mark.start())
                    else:
                        m.line('MYNA-PASS netread', 120)
                        count, end = sink or (0, 0)
                    assert count == megabytes << 20, f'{count} bytes arrived'
                    return megabytes / (end - begun)
        what = f'virtio-net, {link} {way}'
        return in_namespace(self.both, what, measure) if link == 'tap' else self.both(what, measure)

    def machine(self, raw):
        """Yields the lines of the section on machines, row by row."""
        rows = [(f'boot to init, {guest}', guest, self.boot_time, 's', 'less', 3)
                for guest in ('cloud', 'standard', 'riscv64')]
        for board, guest in (('microvm', 'cloud'), ('virt', 'riscv64')):
            rows += [
                (f'process start to QMP greeting, {board}', guest, self.greeting, 's', 'less', 4),
                (f'resident beside guest RAM, {board}', guest, self.memory, 'MiB', 'less', 1),
                (f'virtio-blk 4 KiB random reads, {board}', guest, self.block, '/s', 'more', 0),
                (f'virtio-blk 256 KiB reads in order, {board}', guest,
                 lambda g: self.block(g, 'sequential', 1 / 4), 'MiB/s', 'more', 0),
                (f'virtio-net from the host, user, {board}', guest,
                 lambda g: self.network(g, 'user', 'down', 24), 'MiB/s', 'more', 1),
                (f'virtio-net to the host, user, {board}', guest,
                 lambda g: self.network(g, 'user', 'up', 16), 'MiB/s', 'more', 1),
                (f'virtio-net from the host, tap, {board}', guest,
                 lambda g: self.network(g, 'tap', 'down', 32), 'MiB/s', 'more', 1),
                (f'virtio-net to the host, tap, {board}', guest,
                 lambda g: self.network(g, 'tap', 'up', 24), 'MiB/s', 'more', 1),
            ]
        rows = [row for row in rows if not self.args.row or any(r in row[0] for r in self.args.row)]
        yield from ('## The machine', '', '| | QEMU | Myna | Myna vs QEMU |', '|---|---|---|---|')
        for name, guest, measure, unit, better, digits in rows:
            say(name)
            raw[name] = values = measure(guest)
            yield row_of_machine(name, values, unit, better, digits)
        yield ''


def give(server, megabytes, _):
    """Sends to the first client; one who goes away early is seen by its own side."""
    block = bytes(1 << 20)
    try:
        client, _ = server.accept()
        with client:
            for _ in range(megabytes):
                client.sendall(block)
    except OSError:
        pass


def take(server, megabytes, sink):
    """Appends the number of bytes that the first client sent, and when the last came."""
    count = 0
    try:
        client, _ = server.accept()
        with client:
            while count < megabytes << 20 and (data := client.recv(1 << 20)):
                count += len(data)
        sink += [count, time.monotonic()]
    except OSError:
        pass


def in_namespace(function, *args):
    """Runs it in a thread that has a network of its own, with a tap device bench0."""
    answer = []

    def run():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x40000000):                                    # CLONE_NEWNET
            say(f'no network namespace: {os.strerror(ctypes.get_errno())}')
            answer.append({'Myna': [], 'QEMU': []})
            return
        for line in ('link set lo up', 'tuntap add bench0 mode tap vnet_hdr',
                     'addr add 10.0.2.2/24 dev bench0', 'link set bench0 up'):
            subprocess.run(['ip', *line.split()], check=True)
        answer.append(function(*args))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answer[0]


def resident_beside(pid, ram):
    """Resident bytes of a process without the mapping that holds the guest's RAM."""
    total, size, biggest = 0, 0, 0
    for line in Path(f'/proc/{pid}/smaps').read_text().splitlines():
        key, _, value = line.partition(':')
        if key == 'Size':
            size = int(value.split()[0]) << 10
        elif key == 'Rss':
            rss = int(value.split()[0]) << 10
            total += rss
            if size >= ram:
                biggest = max(biggest, rss)
    return total - biggest


# --- the table ---------------------------------------------------------------------------------

def geomean(values):
    values = [v for v in values if v and v > 0]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def number(value, digits=3):
    return '–' if value is None else f'{value:.{digits}f}'


def ratio(value):
    return '–' if value is None else f'{value:.2f}x'


def faster(row):
    return row['QEMU'] / row['Myna'] if row.get('QEMU') and row.get('Myna') else None


def slower(row):
    return row['Myna'] / row['native'] if row.get('native') and row.get('Myna') else None


def table_of_programs(rows):
    native = any('native' in row for row in rows)
    head = ['program', *(['native s'] if native else []), 'QEMU s', 'Myna s', 'Myna vs QEMU',
            *(['Myna vs native'] if native else [])]
    lines = [f'| {" | ".join(head)} |', '|' + '---|' * len(head)]
    for group in dict.fromkeys(row['group'] for row in rows):
        part = [row for row in rows if row['group'] == group]
        for row in part:
            cells = [row['name'] + ('' if row['agree'] else ' **checksums differ**')]
            cells += [number(row.get('native'), 4)] if native else []
            cells += [number(row['QEMU']), number(row['Myna']), ratio(faster(row))]
            if native:
                cells += [f'{slower(row):.1f}x slower' if slower(row) else '–']
            lines.append(f'| {" | ".join(cells)} |')
        cells = [f'**{group}, geometric mean**', *([''] if native else []), '', '',
                 f'**{ratio(geomean([faster(row) for row in part]))}**']
        if native:
            mean = geomean([slower(row) for row in part])
            cells.append(f'**{mean:.1f}x slower**' if mean else '–')
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def row_of_machine(name, values, unit, better, digits=3):
    """A row whose ratio is above 1 where Myna is better."""
    median = {key: statistics.median(v) if v else None for key, v in values.items()}
    share = None
    if median['Myna'] and median['QEMU']:
        share = median['QEMU'] / median['Myna']
        share = 1 / share if better == 'more' else share
    return (f'| {name} | {number(median["QEMU"], digits)} {unit} | '
            f'{number(median["Myna"], digits)} {unit} | {ratio(share)} |')


def host_words():
    model = next((line.partition(':')[2].strip() for line in
                  Path('/proc/cpuinfo').read_text().splitlines() if line.startswith('model name')),
                 platform.machine())
    return f'{model}, {os.cpu_count()} processors'


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--myna', default=SOURCE / 'build' / 'myna',
                        help='the program measured (a myna binary, or a folder of qemu-system-*)')
    parser.add_argument('--peer', default='/usr/bin', help='the same for the other emulator')
    parser.add_argument('--suite', action='append', choices=[*SUITES, 'machine'],
                        help='only these (default: all)')
    parser.add_argument('--group', action='append', choices=GROUPS, help='only these programs')
    parser.add_argument('--row', action='append', help='only these rows of the machine')
    parser.add_argument('--repeat', type=int, default=3, help='rounds; the best one counts')
    parser.add_argument('--tsc-khz', type=int, default=2000000, help=argparse.SUPPRESS)
    parser.add_argument('--json', type=Path, help='write the raw numbers here')
    parser.add_argument('-o', '--output', type=Path, help='write the page here (default: stdout)')
    args = parser.parse_args()
    suites = args.suite or ['machine', *SUITES]

    with tempfile.TemporaryDirectory(prefix='myna-bench-') as folder:
        bench = Bench(args, Path(folder))
        lines = ['# Performance', '',
                 'Myna against another emulator with the same command line, measured in turn in '
                 'one run.', 'A ratio above 1 means that Myna is better.', '',
                 f'- Command: `tests/bench/run.py {" ".join(sys.argv[1:])}`'.rstrip(),
                 f'- Date: {datetime.date.today()}', f'- Host: {host_words()}',
                 f'- Myna: {bench.myna.version()}', f'- Peer: {bench.peer.version()}', '']
        raw = {}
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            for suite in suites:
                for line in bench.machine(raw) if suite == 'machine' else bench.suite(suite, raw):
                    lines.append(line)
        except KeyboardInterrupt:
            lines += ['', 'The run was interrupted here.', '']
        text = '\n'.join(lines)
        if args.json:
            args.json.write_text(json.dumps(raw, indent=1) + '\n')
        if args.output:
            args.output.write_text(text)
        else:
            print(text)


if __name__ == '__main__':
    main()
