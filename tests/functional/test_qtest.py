# SPDX-License-Identifier: Apache-2.0
"""Chips and the qtest protocol, without a CPU running."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest, QtestError     # noqa: E402


def test_memory():
    with Qtest(['-M', 'microvm']) as q:
        assert q.endianness() == 'little'
        q.writel(0x1000, 0x11223344)
        assert q.read(0x1000, 4) == b'\x44\x33\x22\x11'
        assert (q.readb(0x1001), q.readw(0x1002), q.readq(0x1000)) == (0x33, 0x1122, 0x11223344)
        q.write(0x2000, b'some bytes')
        assert q.b64read(0x2000, 10) == b'some bytes'
        q.b64write(0x2005, b'words')
        assert q.read(0x2000, 10) == b'some words'
        q.memset(0x2000, 4, 0x2e)
        assert q.read(0x2000, 6) == b'....'+ b' w'
        with pytest.raises(QtestError):
            q.command('sing')


def test_clock_and_interrupts():
    with Qtest(['-M', 'microvm']) as q:
        q.irq_intercept_in('ioapic')
        assert q.clock_step(1000) == 1000
        q.outb(0x43, 0x34)                      # counter 0, mode 2: 1193 ticks, a millisecond
        q.outb(0x40, 1193 & 255)
        q.outb(0x40, 1193 >> 8)
        q.clock_step(5000000)
        assert sum(e == ('raise', 2) for e in q.edges) in (5, 6)   # one by the mode
        assert q.clock_set(20000000) == 20000000


def test_boot_order(tmp_path):
    for name in 'ab':
        (tmp_path / name).write_bytes(bytes(4096))
    drives = [w for name, index in (('a', 7), ('b', 3)) for w in (
        '-drive', f'if=none,id={name},format=raw,file={tmp_path / name}',
        '-device', f'virtio-blk-device,drive={name},bootindex={index}')]
    with Qtest(['-M', 'microvm', '-boot', 'strict=on,menu=on', *drives]) as q:
        key, size = q.fw_cfg_files()['bootorder']
        lines = q.fw_cfg(key, size).decode().rstrip('\0').split('\n')
        assert lines == ['/virtio-mmio@00000000feb02c00/disk@0,0',
                         '/virtio-mmio@00000000feb02e00/disk@0,0', 'HALT']
        assert q.fw_cfg(0x0e, 2) == b'\1\0'


def test_riscv():
    with Qtest(['-M', 'virt', '-bios', 'none'], arch='riscv64') as q:
        assert q.readl(0x10001000) == 0x74726976            # virtio-mmio's magic
        before = q.readq(0x0200bff8)
        q.clock_step(1000000)
        assert q.readq(0x0200bff8) - before == 10000        # mtime at 10 MHz
