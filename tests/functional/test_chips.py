# SPDX-License-Identifier: Apache-2.0
"""Each chip by the registers of its data sheet, through the qtest protocol; the same lines run against
QEMU (MYNA=/usr/bin), where a chip's behaviour is in doubt."""

import socket
import struct
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest                 # noqa: E402

PC = ['-M', 'microvm']
VIRT = ['-M', 'virt', '-bios', 'none']

# PC16550D
COM = 0x3f8
RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR, MCR, LSR, MSR, SCR = 3, 4, 5, 6, 7


@pytest.fixture
def serial(tmp_path):
    """The first serial port and the outside's end of its line."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / 'line'))
    listener.listen(1)
    with Qtest([*PC, '-serial', f'unix:{tmp_path / "line"}']) as q:
        line = listener.accept()[0]
        line.settimeout(5)
        yield q, line
        line.close()
    listener.close()


def until(condition):
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.01)
    return False


class TestSerial16550A:
    def test_divisor_and_scratch(self, serial):
        q, _ = serial
        q.outb(COM + LCR, 0x83)
        q.outb(COM + DLL, 0x0c)
        q.outb(COM + DLM, 0x01)
        assert (q.inb(COM + DLL), q.inb(COM + DLM)) == (0x0c, 0x01)
        q.outb(COM + LCR, 0x03)
        q.outb(COM + SCR, 0xa5)
        assert (q.inb(COM + SCR), q.inb(COM + LCR)) == (0xa5, 0x03)
        assert q.inb(COM + LSR) == 0x60         # THR and transmitter empty

    def test_transmit(self, serial):
        q, line = serial
        q.outb(COM + LCR, 0x03)
        for byte in b'hello':
            q.outb(COM + THR, byte)
        got = b''
        while len(got) < 5:
            got += line.recv(16)
        assert got == b'hello'

    def test_receive_and_interrupts(self, serial):
        q, line = serial
        q.outb(COM + LCR, 0x03)
        q.outb(COM + FCR, 0x07)                 # FIFOs on, empty; trigger at one byte
        q.outb(COM + MCR, 0x08)                 # OUT2 lets interrupts out
        q.outb(COM + IER, 0x01)
        assert q.inb(COM + IIR) == 0xc1         # none, FIFOs on
        line.send(b'xy')
        assert until(lambda: q.inb(COM + LSR) & 1)
        assert q.inb(COM + IIR) & 0x0f == 0x04  # received data
        assert q.inb(COM + RBR) == ord('x')
        assert until(lambda: q.inb(COM + LSR) & 1)
        assert q.inb(COM + RBR) == ord('y')
        assert q.inb(COM + IIR) & 0x0f == 0x01
        q.outb(COM + IER, 0x02)
        assert q.inb(COM + IIR) & 0x0f == 0x02  # THR empty; reading it acknowledges
        assert q.inb(COM + IIR) & 0x0f == 0x01

    def test_loop_back(self, serial):
        q, _ = serial
        q.outb(COM + LCR, 0x03)
        q.outb(COM + MCR, 0x10 | 0x02 | 0x08)   # loop, RTS, OUT2
        assert q.inb(COM + MSR) & 0xf0 == 0x90  # CTS and DCD by the loop
        q.outb(COM + THR, 0x5c)
        q.clock_step(10000000)
        assert until(lambda: q.inb(COM + LSR) & 1)
        assert q.inb(COM + RBR) == 0x5c


class TestPic8259:
    def start(self, q):
        for base, vector, cascade in ((0x20, 0x20, 4), (0xa0, 0x28, 2)):
            q.outb(base, 0x11)                  # ICW1: edge, cascade, ICW4
            q.outb(base + 1, vector)
            q.outb(base + 1, cascade)
            q.outb(base + 1, 0x01)              # 8086 mode
            q.outb(base + 1, 0xff)              # OCW1

    def test_masks(self):
        with Qtest(PC) as q:
            self.start(q)
            assert (q.inb(0x21), q.inb(0xa1)) == (0xff, 0xff)
            q.outb(0x21, 0xfb)
            assert q.inb(0x21) == 0xfb

    def test_requests(self):
        with Qtest(PC) as q:
            self.start(q)
            q.outb(0x43, 0x34)
            q.outb(0x40, 100)
            q.outb(0x40, 0)
            q.clock_step(1000000)
            q.outb(0x20, 0x0a)                  # OCW3: read IRR
            assert q.inb(0x20) & 1              # the timer's edge
            q.outb(0x20, 0x0b)                  # ISR
            assert q.inb(0x20) == 0


class TestPit8254:
    def test_counts_down(self):
        with Qtest(PC) as q:
            q.outb(0x43, 0x34)                  # counter 0, low and high, mode 2
            q.outb(0x40, 0x00)
            q.outb(0x40, 0x10)                  # 4096
            q.clock_step(1000000)               # a millisecond: 1193 ticks
            q.outb(0x43, 0x00)                  # latch
            value = q.inb(0x40) | q.inb(0x40) << 8
            assert abs(value - (4096 - 1193)) <= 2

    def test_read_back(self):
        with Qtest(PC) as q:
            q.outb(0x43, 0x38)                  # counter 0, mode 4
            q.outb(0x40, 0xff)
            q.outb(0x40, 0xff)
            q.outb(0x43, 0xe2)                  # status of counter 0
            assert q.inb(0x40) & 0x3f == 0x38

    def test_one_shot(self):
        with Qtest(PC) as q:
            q.irq_intercept_in('ioapic')
            q.outb(0x43, 0x30)                  # mode 0: high at the end
            q.outb(0x40, 0x64)
            q.outb(0x40, 0)
            assert 2 not in q.irqs
            q.clock_step(200000)
            q.inb(0x40)
            assert 2 in q.irqs


class TestRtcMc146818:
    def read(self, q, at):
        q.outb(0x70, at)
        return q.inb(0x71)

    def write(self, q, at, value):
        q.outb(0x70, at)
        q.outb(0x71, value)

    def test_nvram_and_status(self):
        with Qtest([*PC, '-rtc', 'base=2006-06-17T16:01:21']) as q:
            assert self.read(q, 0x0d) == 0x80   # RAM and time are valid
            self.write(q, 0x40, 0x77)
            assert self.read(q, 0x40) == 0x77

    def test_time(self):
        with Qtest([*PC, '-rtc', 'base=2006-06-17T16:01:21,clock=vm']) as q:
            self.write(q, 0x0b, 0x06)           # 24 hours, binary
            assert [self.read(q, r) for r in (9, 8, 7, 4, 2)] == [6, 6, 17, 16, 1]
            before = self.read(q, 0)
            q.clock_step(2 * 10**9)
            assert (self.read(q, 0) - before) % 60 == 2
            self.write(q, 0x0b, 0x02)           # BCD
            assert self.read(q, 7) == 0x17

    def test_periodic(self):
        with Qtest(PC) as q:
            q.irq_intercept_in('ioapic')
            self.write(q, 0x0a, 0x2f)           # 2 Hz
            self.write(q, 0x0b, 0x42)
            self.read(q, 0x0c)
            q.clock_step(600 * 10**6)
            assert self.read(q, 0x0c) & 0xc0 == 0xc0
            assert ('raise', 8) in q.edges
            assert self.read(q, 0x0c) == 0      # reading clears


class TestI8042:
    def test_edges(self):
        """Each byte of an answer interrupts: a driver reads one per interrupt."""
        with Qtest(['-M', 'pc']) as q:
            q.irq_intercept_in('ioapic')
            q.outb(0x60, 0xf2)                  # identify
            assert [q.inb(0x60) for _ in range(3)] == [0xfa, 0xab, 0x83]
            assert not q.inb(0x64) & 1
            assert [e for e in q.edges if e[1] == 1] == [('raise', 1), ('lower', 1)] * 3
            q.outb(0x64, 0xd4)                  # to the mouse
            q.outb(0x60, 0xf2)
            assert [q.inb(0x60), q.inb(0x60)] == [0xfa, 0]
            assert [e for e in q.edges if e[1] == 12] == [('raise', 12), ('lower', 12)] * 2


class TestIoApic:
    BASE = 0xfec00000

    def test_registers(self):
        with Qtest(PC) as q:
            def read(index):
                q.writel(self.BASE, index)
                return q.readl(self.BASE + 0x10)

            def write(index, value):
                q.writel(self.BASE, index)
                q.writel(self.BASE + 0x10, value)

            assert read(1) >> 16 & 0xff == 23   # 24 entries
            assert read(0x10) & 1 << 16         # masked after reset
            write(0x10 + 2 * 4, 0x00010030 | 1 << 15)
            write(0x11 + 2 * 4, 0x03000000)
            assert read(0x10 + 2 * 4) == 0x00018030
            assert read(0x11 + 2 * 4) == 0x03000000
            write(0x10 + 2 * 4, 1 << 12 | 1 << 14 | 0x30)       # status bits are read-only
            assert read(0x10 + 2 * 4) == 0x30
            write(0, 0x0f000000)
            assert read(0) >> 24 & 15 == 15


class TestFwCfg:
    def test_ports(self):
        with Qtest([*PC, '-fw_cfg', 'name=opt/test,string=abcdef', '-smp', '2']) as q:
            assert q.fw_cfg(0, 4) == b'QEMU'
            assert q.fw_cfg(1, 4) == b'\3\0\0\0'
            assert q.fw_cfg(5, 2) == b'\2\0'    # CPUs
            assert q.fw_cfg(0x3fff, 4) == bytes(4)
            key, size = q.fw_cfg_files()['opt/test']
            assert q.fw_cfg(key, size) == b'abcdef'

    def test_dma(self):
        with Qtest([*PC, '-fw_cfg', 'name=opt/test,string=abcdef']) as q:
            assert q.inl(0x514) == int.from_bytes(b'QEMU', 'little')
            key, size = q.fw_cfg_files()['opt/test']
            control = key << 16 | 8 | 2         # select, read
            q.write(0x1000, control.to_bytes(4, 'big') + size.to_bytes(4, 'big') + (0x2000).to_bytes(8, 'big'))
            q.outl(0x514, 0)
            q.outl(0x518, int.from_bytes((0x1000).to_bytes(4, 'big'), 'little'))
            assert q.read(0x2000, size) == b'abcdef'
            assert q.readl(0x1000) == 0


class TestNvdimm:
    """Calls of the NVDIMM DSM interface: in a page whose address goes to a port."""

    def machine(self, tmp_path, more=''):
        (tmp_path / 'image').write_bytes(bytes(1 << 20))
        return Qtest(['-M', 'q35,nvdimm=on', '-m', '256,slots=2,maxmem=1G', '-object',
                      f'memory-backend-file,id=m,mem-path={tmp_path}/image,size=1M,share=on{more}',
                      '-device', f'nvdimm,memdev=m,label-size=128k,unarmed={"on" if more else "off"}'])

    def call(self, q, handle, function, *args, data=b'', revision=1):
        """The answer, without its length."""
        q.write(0x100000, struct.pack(f'<{3 + len(args)}I', handle, revision, function, *args) + data)
        q.outl(0xa18, 0x100000)
        return q.read(0x100004, q.readl(0x100000) - 4)

    def words(self, *call, **more):
        return struct.unpack_from('<I', self.call(*call, **more))[0]

    def test_labels(self, tmp_path):
        with self.machine(tmp_path) as q:
            assert self.call(q, 1, 0) == struct.pack('<I', 0x71)
            assert struct.unpack('<III', self.call(q, 1, 4)) == (0, 128 << 10, 4076)
            assert self.call(q, 1, 6, 0x1fffc, 4, data=b'last') == bytes(4)
            assert self.call(q, 1, 5, 0x1fff8, 8) == bytes(8) + b'last'
            assert len(self.call(q, 1, 5, 0, 4076)) == 4 + 4076
            for offset, count in [(0, 4077), (0x1fffd, 4), (0x20001, 0), (0xffffffff, 1), (0, 0xffffffff)]:
                assert self.words(q, 1, 5, offset, count) == 3 == self.words(q, 1, 6, offset, count)
            assert [self.words(q, 1, 3), self.words(q, 1, 99), self.words(q, 1, 4, revision=2)] == [1, 1, 1]
            assert [self.words(q, 2, 4), self.words(q, 0xffff, 4), self.words(q, 0, 1)] == [2, 2, 1]
            assert [self.words(q, handle, 0) for handle in (0, 2, 0x10000)] == [0, 0, 0]
            q.outl(0xa18, 0xfffffff0)       # no memory
        assert (tmp_path / 'image').read_bytes().endswith(b'last')

    def test_read_only(self, tmp_path):
        with self.machine(tmp_path, ',readonly=on') as q:
            assert self.words(q, 1, 0) == 0x31
            assert self.words(q, 1, 6, 0, 4, data=b'last') == 1

    def test_description(self, tmp_path):
        with self.machine(tmp_path) as q:
            fit = self.call(q, 0x10000, 1, 0)[4:]
            assert len(fit) == 56 + 48 + 80 and fit[:4] == struct.pack('<HH', 0, 56)
            assert self.call(q, 0x10000, 1, 100)[4:] == fit[100:]
            assert self.call(q, 0x10000, 1, len(fit)) == bytes(4)
            assert self.words(q, 0x10000, 1, len(fit) + 1) == 3


class TestIch9SmiFeatures:
    """What firmware can ask of SMIs: a file it writes by DMA, and one that says whether it got all of that."""

    def ask(self, q, features):
        files = q.fw_cfg_files()
        q.writeq(0x2000, features)
        q.write(0x1000, ((files['etc/smi/requested-features'][0] << 16 | 0x18).to_bytes(4, 'big') +
                         (8).to_bytes(4, 'big') + (0x2000).to_bytes(8, 'big')))
        q.outl(0x514, 0)
        q.outl(0x518, int.from_bytes((0x1000).to_bytes(4, 'big'), 'little'))
        return q.fw_cfg(files['etc/smi/features-ok'][0], 1)[0]

    def test_negotiation(self):
        with Qtest(['-M', 'q35,smm=on']) as q:
            assert q.fw_cfg(q.fw_cfg_files()['etc/smi/supported-features'][0], 8)[0] == 7
            # Not offered; CPUs without broadcast; going without coming.
            assert [self.ask(q, n) for n in (8, 2, 6, 5)] == [0, 0, 0, 0]
            assert self.ask(q, 7) == 1
            assert self.ask(q, 8) == 1          # it is settled

    @pytest.mark.parametrize('board, features', [('5.2', 3), ('4.2', 1)])
    def test_older(self, board, features):
        with Qtest(['-M', f'pc-q35-{board},smm=on']) as q:
            assert q.fw_cfg(q.fw_cfg_files()['etc/smi/supported-features'][0], 8)[0] == features
            assert [self.ask(q, 7), self.ask(q, features)] == [0, 1]


class TestSmallDevices:
    def test_debugcon(self, tmp_path):
        out = tmp_path / 'out'
        with Qtest([*PC, '-chardev', f'file,id=c,path={out}', '-device', 'isa-debugcon,chardev=c']) as q:
            assert q.inb(0xe9) == 0xe9
            for byte in b'boot':
                q.outb(0xe9, byte)
            assert out.read_bytes() == b'boot'

    def test_debug_exit(self):
        with Qtest([*PC, '-device', 'isa-debug-exit']) as q:
            q.socket.sendall(b'outb 0x501 0x10\n')
            assert q.process.wait(10) == 0x21

    def test_pvpanic(self):
        with Qtest([*PC, '-device', 'pvpanic', '-action', 'panic=exit-failure']) as q:
            assert q.inb(0x505) & 3 == 3
            q.socket.sendall(b'outb 0x505 0x1\n')
            assert q.process.wait(10) == 1

    def test_ged_sleep(self):
        with Qtest(PC) as q:
            assert q.readl(0xfea00000) == 0     # no event
            q.socket.sendall(b'writeb 0xfea00200 0x34\n')       # S5, SLP_EN
            assert q.process.wait(10) == 0


class TestRiscv:
    PLIC, CLINT, RTC, FINISHER = 0xc000000, 0x2000000, 0x101000, 0x100000

    def test_plic(self):
        with Qtest(VIRT, arch='riscv64') as q:
            q.writel(self.PLIC + 4 * 10, 7)                     # priority of the serial port
            assert q.readl(self.PLIC + 4 * 10) == 7
            q.writel(self.PLIC + 0x2000, 1 << 10)               # enabled for context 0
            q.writel(self.PLIC + 0x200000, 0)                   # threshold
            q.writeb(0x10000000 + MCR, 0x08)
            q.writeb(0x10000000 + IER, 0x02)                    # THR empty: an interrupt at once
            assert q.readl(self.PLIC + 0x1000) & 1 << 10        # pending
            assert q.readl(self.PLIC + 0x200004) == 10          # claim
            assert q.readl(self.PLIC + 0x1000) & 1 << 10 == 0
            q.writel(self.PLIC + 0x200004, 10)                  # complete
            q.writel(self.PLIC + 0x200000, 7)                   # threshold bars it
            assert q.readl(self.PLIC + 0x200004) == 0

    def test_clint(self):
        with Qtest([*VIRT, '-smp', '2'], arch='riscv64') as q:
            q.writel(self.CLINT + 4, 1)                         # msip of hart 1
            assert (q.readl(self.CLINT), q.readl(self.CLINT + 4)) == (0, 1)
            q.writel(self.CLINT + 4, 0xfffffffe)
            assert q.readl(self.CLINT + 4) == 0
            q.writeq(self.CLINT + 0x4008, 0x123456789)          # mtimecmp of hart 1
            assert q.readq(self.CLINT + 0x4008) == 0x123456789
            before = q.readq(self.CLINT + 0xbff8)
            q.clock_step(1000)
            assert q.readq(self.CLINT + 0xbff8) - before == 10

    def test_goldfish_rtc(self):
        with Qtest([*VIRT, '-rtc', 'base=2006-06-17T16:01:21,clock=vm'], arch='riscv64') as q:
            now = q.readl(self.RTC) | q.readl(self.RTC + 4) << 32       # low first latches high
            assert now // 10**9 == 1150560081
            q.clock_step(5 * 10**9)
            later = q.readl(self.RTC) | q.readl(self.RTC + 4) << 32
            assert later - now == 5 * 10**9
            alarm = later + 10**9
            q.writel(self.RTC + 0x10, 1)                        # IRQ_ENABLED
            q.writel(self.RTC + 0x0c, alarm >> 32)
            q.writel(self.RTC + 0x08, alarm & 0xffffffff)
            assert q.readl(self.RTC + 0x18) == 1                # armed
            q.clock_step(2 * 10**9)
            assert q.readl(self.RTC + 0x18) == 0

    def test_finisher(self):
        with Qtest(VIRT, arch='riscv64') as q:
            q.socket.sendall(b'writel 0x100000 0x73333\n')      # FAIL, code 7
            assert q.process.wait(10) == 7
        with Qtest(VIRT, arch='riscv64') as q:
            q.socket.sendall(b'writel 0x100000 0x5555\n')       # PASS
            assert q.process.wait(10) == 0


class TestVirtioMmio:
    def test_slot(self):
        base = 0xfeb02e00
        with Qtest([*PC, '-global', 'virtio-mmio.force-legacy=off', '-device', 'virtio-rng-device']) as q:
            assert q.readl(base) == 0x74726976
            assert (q.readl(base + 4), q.readl(base + 8)) == (2, 4)
            q.writel(base + 0x70, 1)
            assert q.readl(base + 0x70) == 1
            q.writel(base + 0x14, 1)            # the upper features: VERSION_1
            assert q.readl(base + 0x10) & 1
            q.writel(base + 0x70, 0)
            assert q.readl(base + 0x70) == 0
