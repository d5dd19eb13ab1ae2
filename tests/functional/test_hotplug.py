# SPDX-License-Identifier: Apache-2.0
"""What comes and goes while Linux runs: CPUs, memory, PCI functions, by ACPI."""

import re

import pytest

from machine import QmpError, linux

BOARDS = ['q35', 'pc']
ONCE_AND_OFTEN = [5, pytest.param(200, marks=pytest.mark.long)]


class Shell:
    """Commands for the shell of a guest; each must end with status 0."""

    def __init__(self, machine):
        self.machine, self.number = machine, 0
        machine.wait('Welcome to Linux')
        self('stty -echo')

    def __call__(self, command, timeout=60):
        self.number += 1
        self.machine.send(f'({command}); echo "<"{self.number}" $?>"\n')
        m = self.machine
        start = m.serial.seen
        status = m.wait(rf'<{self.number} (\d+)>', timeout)
        assert status.group(1) == '0', f'{command}: {m.serial.tail(10)}'
        return m.serial.text[start:status.start()]


def shell_on(board, *args, **kw):
    return linux('cloud', 'shell', *args, board=board, qmp=True, **kw)


def no_acpi_errors(m):
    assert not re.search(r'ACPI (BIOS )?Error|ACPI Warning|AE_|BUG:|WARNING:|Call Trace', m.serial.text)


# ---- CPUs ----

def cpus(m):
    return [cpu for cpu in m.qmp('query-cpus-fast')]


@pytest.mark.parametrize('times', ONCE_AND_OFTEN)
@pytest.mark.parametrize('board', BOARDS)
def test_cpu(board, times):
    """A CPU comes, works, and goes."""
    with shell_on(board, smp='1,maxcpus=4') as m:
        sh = Shell(m)
        slots = m.qmp('query-hotpluggable-cpus')
        assert [s['props']['core-id'] for s in slots] == [3, 2, 1, 0]
        assert ['qom-path' in s for s in slots] == [False, False, False, True]
        free = slots[2]
        for i in range(times):
            m.qmp('device_add', driver=free['type'], id='cpu-1', **free['props'])
            assert len(cpus(m)) == 2
            sh('n=0; until [ -e /sys/devices/system/cpu/cpu1/online ] || [ $n = 100 ]; do usleep 50000;'
               ' n=$((n+1)); done; [ "$(cat /sys/devices/system/cpu/cpu1/online)" = 1 ] ||'
               ' echo 1 >/sys/devices/system/cpu/cpu1/online')
            assert 'done 5050' in sh('taskset 2 sh -c \'n=0; s=0; while [ $n -lt 100 ]; do n=$((n+1));'
                                     ' s=$((s+n)); done; echo done $s\'; nproc')
            m.qmp('device_del', id='cpu-1')
            assert m.qmp.event('DEVICE_DELETED')['data']['device'] == 'cpu-1'
            assert len(cpus(m)) == 1
            m.qmp.events.clear()
        assert '1' in sh('nproc')
        no_acpi_errors(m)


def test_cpu_threads_and_models():
    """Places, features of -cpu, refusals, -device; the guest's words on it by ACPI_DEVICE_OST."""
    with shell_on('q35', '-cpu', 'qemu64,-sse3', '-device',
                  'qemu64-x86_64-cpu,socket-id=1,core-id=1,thread-id=0,id=cold',
                  smp='1,sockets=2,cores=2,threads=1') as m:
        assert [c['cpu-index'] for c in cpus(m)] == [0, 3]
        with pytest.raises(QmpError, match='CPU core-id is not set'):
            m.qmp('device_add', driver='qemu64-x86_64-cpu', id='c', **{'socket-id': 1})
        with pytest.raises(QmpError, match='exists'):
            m.qmp('device_add', driver='qemu64-x86_64-cpu', id='c',
                  **{'socket-id': 1, 'core-id': 1, 'thread-id': 0})
        with pytest.raises(QmpError, match='must be in range 0:1'):
            m.qmp('device_add', driver='qemu64-x86_64-cpu', id='c',
                  **{'socket-id': 2, 'core-id': 1, 'thread-id': 0})
        with pytest.raises(QmpError, match="expected cpu type: 'qemu64-x86_64-cpu'"):
            m.qmp('device_add', driver='max-x86_64-cpu', id='c',
                  **{'socket-id': 1, 'core-id': 0, 'thread-id': 0})
        with pytest.raises(QmpError, match='Boot CPU is unpluggable'):
            m.qmp('device_del', id=cpus(m)[0]['qom-path'])
        sh = Shell(m)
        assert '2' in sh('nproc')
        m.qmp('device_add', driver='qemu64-x86_64-cpu', id='new',
              **{'socket-id': 1, 'core-id': 0, 'thread-id': 0})
        assert m.qmp('qom-get', path='/machine/peripheral/new', property='sse3') is False
        info = m.qmp.event('ACPI_DEVICE_OST')['data']['info']
        assert info == {'device': 'new', 'slot': '2', 'slot-type': 'CPU', 'source': 1, 'status': 0}
        sh('for c in /sys/devices/system/cpu/cpu[1-9]; do [ "$(cat $c/online)" = 1 ] || echo 1 >$c/online; done')
        assert '3' in sh('nproc')
        m.qmp('system_reset')
        Shell(m)('[ "$(nproc)" = 3 ]')
        no_acpi_errors(m)
