# SPDX-License-Identifier: Apache-2.0
"""gdb-multiarch debugs both guests' kernels through the gdb stub."""

import re
import socket
import subprocess

import pytest

from machine import PATIENCE, guest_file, linux, passed
from symbols import kernel_symbols, write_elf

ARCHITECTURE = {'cloud': ('x86_64', 'i386:x86-64', '$rip', '$rsp'),
                'riscv64': ('riscv64', 'riscv:rv64', '$pc', '$sp')}


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


def gdb(symbols, port, commands, architecture, timeout=150):
    """Runs gdb's commands against the stub and returns all it said."""
    words = ['set pagination off', 'set confirm off', 'set width 0',
             f'set architecture {architecture}', 'set tcp connect-timeout 20',
             f'target remote 127.0.0.1:{port}', *commands]
    argv = ['gdb-multiarch', '-nx', '-batch']
    for word in words:
        argv += ['-ex', word]
    result = subprocess.run([*argv, str(symbols)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                            timeout=timeout * PATIENCE)
    return result.stdout


@pytest.mark.parametrize('guest', ARCHITECTURE)
def test_debug_a_kernel(tmp_path, guest):
    """Breakpoint at a symbol, backtrace, registers, step, watchpoint, memory, detach."""
    arch, architecture, pc, sp = ARCHITECTURE[guest]
    table = kernel_symbols(guest)
    symbols, port = write_elf(tmp_path / 'symbols', arch, table), free_port()
    # Unpacked: until the first breakpoint is hit everything is interpreted.
    kernel = guest_file('cloud-amd64/vmlinux') if guest == 'cloud' else None
    with linux(guest, 'boot', '-S', '-gdb', f'tcp:127.0.0.1:{port}', append='nokaslr', smp=2,
               kernel=kernel) as m:
        said = gdb(symbols, port, [
            'hbreak kernel_init',
            'continue',
            'echo AT-BREAK\\n', 'backtrace 2',
            f'printf "PC=%lx SP=%lx\\n", {pc}, {sp}',
            'delete',
            'stepi', f'printf "STEPPED=%lx\\n", {pc}',
            'info threads',
            'break ksys_write',
            'continue',
            'echo AT-SECOND\\n', 'backtrace 1', 'delete',
            'watch *(long *)&jiffies_64',
            'continue',
            'echo AT-WATCH\\n', 'delete',
            'x/2xg &jiffies_64',
            'detach',
        ], architecture)
        try:
            assert re.search(r'AT-BREAK\n#0 .*\bkernel_init\b', said)
            at = int(re.search(r'PC=(\w+)', said).group(1), 16)
            assert at == table['kernel_init']
            stepped = int(re.search(r'STEPPED=(\w+)', said).group(1), 16)
            assert 0 < stepped - at < 16
            assert len(re.findall(r'^[* ] +\d+ +Thread', said, re.M)) == 2
            assert re.search(r'AT-SECOND\n#0 .*\bksys_write\b', said)
            assert re.search(r'atchpoint \d+: .*jiffies_64', said)
            old = re.search(r'Old value = (\d+)', said)
            new = re.search(r'New value = (\d+)', said)
            assert int(new.group(1)) > int(old.group(1))
            assert re.search(r'Detaching from|detached', said)
        except (AssertionError, AttributeError) as error:
            raise AssertionError(f'{error}\ngdb said:\n{said}') from error
        passed(m, 'boot', 120)                # it runs on undisturbed
        assert m.status() == 0


def test_gdb_on_a_frozen_machine():
    """-s with -S: registers at reset; memory can be written and read back."""
    port = free_port()
    with linux('cloud', 'boot', '-S', '-gdb', f'tcp:127.0.0.1:{port}'):
        said = gdb('', port, ['info registers rip', 'set {int}0x10000 = 0x12345678',
                              'x/1xw 0x10000', 'kill'], 'i386:x86-64')
        # The reset vector, or the kernel's entry where the machine needs no firmware to boot one.
        assert re.search(r'rip\s+0x(fff0|100200)\b', said), said
        assert re.search(r'0x10000:\s+0x12345678', said), said
