# SPDX-License-Identifier: Apache-2.0
"""The chips of q35 and pc by the registers of their data sheets, through the qtest protocol."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest                 # noqa: E402

CF8, CFC = 0xcf8, 0xcfc


def cfg(slot, function, register):
    return 1 << 31 | slot << 11 | function << 8 | register


def read_cfg(q, slot, function, register):
    q.outl(CF8, cfg(slot, function, register))
    return q.inl(CFC)


def write_cfg(q, slot, function, register, value):
    q.outl(CF8, cfg(slot, function, register))
    q.outl(CFC, value)


@pytest.fixture(params=['q35', 'pc'])
def board(request):
    with Qtest(['-M', request.param]) as q:
        q.board = request.param
        yield q


@pytest.fixture
def pm(board):
    """With the PM block at 0x600, as firmware puts it."""
    if board.board == 'q35':
        write_cfg(board, 0x1f, 0, 0x40, 0x600)
        write_cfg(board, 0x1f, 0, 0x44, 0x80)
    else:
        write_cfg(board, 1, 3, 0x40, 0x600)
        write_cfg(board, 1, 3, 0x80, 1)
    return board


def test_host_and_south_bridge(board):
    q = board
    ids = {'q35': (0x29c08086, 0x1f, 0x29188086), 'pc': (0x12378086, 1, 0x70008086)}[q.board]
    assert read_cfg(q, 0, 0, 0) == ids[0]
    assert read_cfg(q, ids[1], 0, 0) == ids[2]
    assert read_cfg(q, ids[1], 0, 0x60) & 0xffffffff == 0x80808080     # all links are off
    assert read_cfg(q, 9, 0, 0) == 0xffffffff


def test_ecam():
    with Qtest(['-M', 'q35']) as q:
        assert q.readl(0xb0000000) != 0x29c08086
        write_cfg(q, 0, 0, 0x64, 0)
        write_cfg(q, 0, 0, 0x60, 0xb0000001)
        assert q.readl(0xb0000000) == 0x29c08086
        assert q.readl(0xb0000000 + (0x1f << 15)) == 0x29188086


def test_shadow_ram(board):
    q = board
    pam = 0x90 if q.board == 'q35' else 0x58            # the word with PAM0 (and PAM0-2 or PAM0-3)
    shift = 0 if q.board == 'q35' else 8
    rom = q.readl(0xffff0)
    old = read_cfg(q, 0, 0, pam)
    write_cfg(q, 0, 0, pam, old | 0x30 << shift)        # RAM for reads and writes
    q.writel(0xf1234, 0x55aa1234)
    assert q.readl(0xf1234) == 0x55aa1234
    write_cfg(q, 0, 0, pam, (old & ~(0x30 << shift)) | 0x10 << shift)
    q.writel(0xf1234, 0)                                # read-only now
    assert q.readl(0xf1234) == 0x55aa1234
    write_cfg(q, 0, 0, pam, old & ~(0x30 << shift))
    assert q.readl(0xffff0) == rom


def test_pm_timer_and_sci(pm):
    q = pm
    start = q.inl(0x608)
    q.clock_step(1000000000)
    assert (q.inl(0x608) - start) % (1 << 24) in range(3579540, 3579550)
    assert q.inw(0x604) & 1 == 0
    q.outb(0xb2, 2 if q.board == 'q35' else 0xf1)       # ACPI on
    assert q.inw(0x604) & 1 == 1
    q.outw(0x602, 0x0001)                               # timer overflow raises the SCI
    q.clock_step(3000000000)
    assert q.inw(0x600) & 1 == 1
    q.outw(0x600, 0x0001)
    assert q.inw(0x600) & 1 == 0


def test_hpet(board):
    q = board
    base = 0xfed00000
    assert q.readl(base) == 0x8086a201
    assert q.readl(base + 4) == 10000000
    q.writel(base + 0x10, 1)
    start = q.readl(base + 0xf0)
    q.clock_step(1000000)
    assert q.readl(base + 0xf0) - start == 100000
    q.writel(base + 0x100, 0x0006)                      # level, enabled, no route bits
    q.writel(base + 0x108, q.readl(base + 0xf0) + 1000)
    q.clock_step(20000)
    assert q.readl(base + 0x20) & 1 == 1
    q.writel(base + 0x20, 1)
    assert q.readl(base + 0x20) & 1 == 0


def test_i8042(board):
    q = board
    q.outb(0x64, 0xaa)                                  # self test
    assert q.inb(0x64) & 1 == 1
    assert q.inb(0x60) == 0x55
    q.outb(0x64, 0x60)
    q.outb(0x60, 0x00)                                  # no interrupts, no translation
    q.outb(0x60, 0xff)                                  # reset the keyboard
    assert [q.inb(0x60), q.inb(0x60)] == [0xfa, 0xaa]
    q.outb(0x60, 0xf2)
    assert [q.inb(0x60) for _ in range(3)] == [0xfa, 0xab, 0x83]
    q.outb(0x64, 0xd4)
    q.outb(0x60, 0xf2)                                  # the mouse says what it is
    assert q.inb(0x64) & 0x21 == 0x21
    assert [q.inb(0x60), q.inb(0x60)] == [0xfa, 0]


def test_a20(board):
    q = board
    q.outb(0x92, 2)
    assert q.inb(0x92) == 2
    q.outb(0x64, 0xd0)
    assert q.inb(0x60) & 3 == 3
