# SPDX-License-Identifier: Apache-2.0
"""Floppy drives: the controller by its registers, and guests that boot from one."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest     # noqa: E402
from machine import Qmp, linux, passed      # noqa: E402

SECTOR, BUFFER = 512, 0x20000

# An NBD server whose disk fails behind a limit until a file "good" is there.
FAILING_NBD = '''
import os, socket, struct, sys
path, limit, size, image = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
s = socket.socket(socket.AF_UNIX)
s.bind(path)
s.listen(1)
c, _ = s.accept()
def get(n):
    data = b""
    while len(data) < n:
        more = c.recv(n - len(data))
        if not more:
            sys.exit()
        data += more
    return data
c.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
get(4)
while True:
    _, option, n = struct.unpack(">QII", get(16))
    get(n)
    if option == 1:
        break
    c.sendall(struct.pack(">QIII", 0x3e889045565a9, option, 0x80000001, 0))     # not known here
c.sendall(struct.pack(">QH", size, 1))
with open(image, "r+b", 0) as f:
    while True:
        _, kind, handle, at, n = struct.unpack(">IIQQI", get(28))
        data = get(n) if kind & 0xffff == 1 else b""
        f.seek(at)
        fails = kind & 0xffff in (0, 1) and at + n > limit and not os.path.exists(os.path.dirname(path) + "/good")
        if data and not fails:
            f.write(data)
        c.sendall(struct.pack(">IIQ", 0x67446698, 5 if fails else 0, handle))
        if kind & 0xffff == 0 and not fails:
            c.sendall(f.read(n))
'''


class Fdc:
    """A driver: commands with results, the DMA channel."""

    def __init__(self, q):
        self.q = q

    def out(self, *values):
        for v in values:
            for _ in range(400):
                if self.q.inb(0x3f4) & 0xc0 == 0x80:
                    break
                time.sleep(0.005)
            self.q.outb(0x3f5, v)

    def result(self):
        found = []
        for _ in range(400):
            status = self.q.inb(0x3f4)
            if status & 0xc0 == 0xc0:
                found.append(self.q.inb(0x3f5))
            elif found or status & 0xd0 == 0x80:
                return found
            else:
                time.sleep(0.005)
        raise AssertionError(f'busy: {status:#x}')

    def do(self, *values):
        self.out(*values)
        return self.result()

    def reset(self, drive=0, rate=0):
        self.q.outb(0x3f2, 0)
        self.q.outb(0x3f2, 0x1c << drive & 0xf0 | 0x0c | drive)
        self.q.outb(0x3f7, rate)
        assert [self.do(8)[0] for _ in range(4)] == [0xc0, 0xc1, 0xc2, 0xc3]
        self.out(3, 0xaf, 2)

    def seek(self, cylinder, drive=0):
        self.out(0x0f, drive, cylinder)
        assert self.do(8) == [0x20 | drive, cylinder]

    def dma(self, to_memory, n, address=BUFFER):
        for port, value in ((10, 6), (12, 0), (11, 0x46 if to_memory else 0x4a), (4, address & 255),
                            (4, address >> 8 & 255), (5, n - 1 & 255), (5, n - 1 >> 8), (0x81, address >> 16), (10, 2)):
            self.q.outb(port, value)

    def read(self, c, h, r, n=1, last=18, drive=0, command=0xe6):
        self.dma(True, n * SECTOR)
        status = self.do(command, drive | h << 2, c, h, r, 2, last, 0x1b, 0xff)
        return status, self.q.read(BUFFER, n * SECTOR)

    def write(self, c, h, r, data, last=18, drive=0):
        self.q.write(BUFFER, data)
        self.dma(False, len(data))
        return self.do(0xc5, drive | h << 2, c, h, r, 2, last, 0x1b, 0xff)


def image(folder, name, sectors):
    data = os.urandom(sectors * SECTOR)
    (folder / name).write_bytes(data)
    return data


def start(path, *more, machine='pc'):
    return Qtest(['-M', machine, '-drive', f'if=floppy,format=raw,file={path}', *more])


def test_registers(tmp_path):
    image(tmp_path, 'a', 2880)
    with start(tmp_path / 'a') as q:
        fdc = Fdc(q)
        fdc.reset()
        assert fdc.do(0x10) == [0x90]
        assert fdc.do(0x1f) == [0x80] and fdc.do(8) == [0x80]
        fdc.out(0x13, 0, 0x57, 5)
        fdc.out(0x12, 0x84)
        fdc.seek(3)
        assert fdc.do(0x0e) == [3, 0, 0, 0, 0xaf, 2, 0, 4, 0x57, 5]
        assert fdc.do(0x94) == [0x10]                   # LOCK: what follows keeps the configuration
        q.outb(0x3f4, 0x80)
        assert [fdc.do(8)[0] for _ in range(4)] == [0xc0, 0xc1, 0xc2, 0xc3]
        assert fdc.do(0x0e)[8:] == [0x57, 5]
        assert fdc.do(0x14) == [0]
        fdc.out(7, 0)
        assert fdc.do(8) == [0x20, 0]
        assert fdc.do(4, 0)[0] & 0x13 == 0x10           # at track 0
        q.outb(0x3f2, 8)
        assert q.inb(0x3f4) == 0
        q.outb(0x70, 0x10)
        assert q.inb(0x71) == 0x40


def test_transfers(tmp_path):
    content = bytearray(image(tmp_path, 'a', 2880))
    with start(tmp_path / 'a') as q:
        fdc = Fdc(q)
        fdc.reset()
        assert q.inb(0x3f7) & 0x80                      # nobody has looked since the medium came
        fdc.seek(2)
        assert not q.inb(0x3f7) & 0x80

        def at(c, h, r, n=1):
            first = (c * 2 + h) * 18 + r - 1
            return slice(first * SECTOR, (first + n) * SECTOR)
        status, data = fdc.read(2, 0, 1)
        assert status == [0, 0, 0, 2, 0, 2, 2] and data == content[at(2, 0, 1)]
        status, data = fdc.read(2, 0, 17, 4)            # on the other side
        assert status[:3] == [4, 0, 0] and status[3:] == [2, 1, 3, 2] and data == content[at(2, 0, 17, 4)]
        status, data = fdc.read(2, 1, 18)
        assert status[3:] == [3, 0, 1, 2] and data == content[at(2, 1, 18)]
        status, _ = fdc.read(2, 0, 18, 2, command=0x46)  # a side is all that it may read
        assert status[0] & 0xc0 == 0x40 and status[1] == 0x80
        new = os.urandom(3 * SECTOR)
        assert fdc.write(2, 0, 5, new)[:3] == [0, 0, 0]
        content[at(2, 0, 5, 3)] = new
        assert fdc.read(2, 0, 5, 3)[1] == new
        # Formatting a track: IDs by DMA, sectors full of a byte.
        fdc.seek(79)
        q.write(BUFFER, b''.join(bytes([79, 1, r, 2]) for r in range(1, 19)))
        fdc.dma(False, 72)
        assert fdc.do(0x4d, 4, 2, 18, 0x1b, 0xf6)[:3] == [4, 0, 0]
        content[at(79, 1, 1, 18)] = b'\xf6' * 18 * SECTOR
        assert fdc.read(79, 1, 1, 18)[1] == content[at(79, 1, 1, 18)]
    assert (tmp_path / 'a').read_bytes() == content


class TestOurs:
    """Where others are less strict than the chip."""

    def test_errors(self, tmp_path):
        image(tmp_path, 'a', 2880)
        image(tmp_path, 'b', 2880)
        with start(tmp_path / 'a', '-drive', f'if=floppy,index=1,format=raw,readonly=on,file={tmp_path}/b') as q:
            fdc = Fdc(q)
            fdc.reset()
            assert fdc.read(1, 0, 1)[0][:3] == [0x40, 4, 0x10]          # wrong cylinder
            assert fdc.read(0, 0, 19)[0][:3] == [0x40, 4, 0]
            assert fdc.read(0, 0, 0)[0][:3] == [0x40, 4, 0]
            q.outb(0x3f7, 2)
            assert fdc.read(0, 0, 1)[0][:3] == [0x40, 1, 0]             # nothing to hear at that rate
            q.outb(0x3f7, 0)
            assert fdc.write(0, 0, 1, bytes(512), drive=1)[:3] == [0x41, 2, 0]
            assert fdc.do(4, 1) == [0x79]
            assert fdc.read(0, 0, 1, drive=2)[0][:2] == [0x42, 1]
            q.outb(0x70, 0x14)
            assert q.inb(0x71) & 0xc1 == 0x41

    def test_verify_scan_pio(self, tmp_path):
        content = image(tmp_path, 'a', 2880)
        with start(tmp_path / 'a') as q:
            fdc = Fdc(q)
            fdc.reset()
            assert fdc.do(0x56, 0, 0, 0, 1, 2, 18, 0x1b, 0xff) == [0, 0, 0, 1, 0, 1, 2]
            assert fdc.do(0xd6, 0x80, 0, 0, 17, 2, 18, 0x1b, 3) == [4, 0, 0, 0, 1, 2, 2]
            q.write(BUFFER, bytes(512) + content[512:1024])
            fdc.dma(False, 1024)
            assert fdc.do(0x51, 0, 0, 0, 1, 2, 18, 0x1b, 1)[:3] == [0, 0, 8]        # found, second try
            assert fdc.do(0x4a, 4)[:5] == [4, 0, 0, 0, 1]
            fdc.out(3, 0xaf, 3)                                         # no DMA
            fdc.out(0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff)
            data = bytearray()
            while len(data) < 512:
                if q.inb(0x3f4) == 0xf0:
                    data.append(q.inb(0x3f5))
            assert data == content[17 * 512:18 * 512]
            assert fdc.result()[:3] == [0x40, 0x80, 0]

    @pytest.mark.parametrize('sectors, rate, last, cmos', [
        (320, 1, 8, 0x20), (360, 1, 9, 0x20), (640, 1, 8, 0x20), (720, 1, 9, 0x20), (1440, 2, 9, 0x40),
        (2400, 0, 15, 0x20), (2880, 0, 18, 0x40), (3360, 0, 21, 0x40), (5760, 3, 36, 0x50)])
    def test_formats(self, tmp_path, sectors, rate, last, cmos):
        content = image(tmp_path, 'a', sectors)
        with start(tmp_path / 'a', machine='q35') as q:
            fdc = Fdc(q)
            fdc.reset(rate=rate)
            q.outb(0x70, 0x10)
            assert q.inb(0x71) == cmos
            status, data = fdc.read(0, 0, last, last=last)
            assert status[0] & 0xc0 == 0 and not status[1] and data == content[(last - 1) * 512:last * 512]


# Prints FLOPPY BOOTS at COM1; INT 13h reads nine sectors at 1/1/10 and writes them to 70/0/1; prints COPIED or BAD;
# ends the machine by isa-debug-exit.
SECTORS_OF_BOOT = bytes.fromhex(
    '31c08ed88ec08ed0bc007088165e7cbe5f7ce83d00b80902bb0080b90a01b6018a165e7ccd13721bb80903bb0080b90146b6008a165e7c'
    'cd137208be6e7ce81100eb06be777ce80900ba0105b001eef4ebf7ac84c07406baf803eeebf5c300464c4f50505920424f4f54530d0a00'
    '434f504945440d0a004241440d0a').ljust(510, b'\0') + b'\x55\xaa'


@pytest.fixture
def bootable(tmp_path):
    content = SECTORS_OF_BOOT + os.urandom(2879 * SECTOR)
    (tmp_path / 'a').write_bytes(content)
    return tmp_path / 'a'


def run(*args):
    binary = os.environ.get('MYNA', 'build/myna')
    return subprocess.run([binary, 'system', 'x86_64', '-nodefaults', '-display', 'none', '-serial', 'stdio', '-device',
                           'isa-debug-exit', *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                          check=False)


@pytest.mark.parametrize('how', [
    ['-M', 'pc', '-boot', 'a', '-fda', '{}'],
    ['-M', 'q35', '-boot', 'a', '-drive', 'if=floppy,file={}'],
    ['-M', 'pc', '-blockdev', 'raw,node-name=f,file.driver=file,file.filename={}', '-device',
     'floppy,drive=f,bootindex=0', '-device', 'ide-hd,drive=d,bootindex=1', '-blockdev',
     'null-co,node-name=d,size=1M,read-zeroes=on'],
    ['-M', 'q35', '-fda', '{}', '-global', 'isa-fdc.bootindexA=0', '-global', 'isa-fdc.fdtypeA=288']],
    ids=['pc', 'q35', 'bootindex', 'bootindexA'])
def test_boot(bootable, how):
    content = bootable.read_bytes()
    done = run(*[word.format(bootable) for word in how])
    assert done.returncode == 3 and b'COPIED' in done.stdout, done
    after = bootable.read_bytes()
    assert after[70 * 36 * SECTOR:(70 * 36 + 9) * SECTOR] == content[63 * SECTOR:72 * SECTOR]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.long
def test_linux(tmp_path):
    image(tmp_path, 'a', 2880)
    image(tmp_path, 'b', 1440)
    with linux('standard', 'floppy', '-drive', f'if=floppy,format=raw,file={tmp_path}/a', board='pc', qmp=True) as m:
        m.line(r'\[.*\] FDC 0 is a S82078B', 60)
        assert m.line(r'MYNA-SHA (\w+) (\d+)').groups() == (digest(tmp_path / 'a'), '2880')
        m.line('MYNA-CHANGE', 60)
        assert (tmp_path / 'a').read_bytes()[1080:1082] == b'\x53\xef'          # an ext2's
        m.qmp('blockdev-change-medium', device='floppy0', filename=str(tmp_path / 'b'), format='raw')
        assert m.line(r'MYNA-SHA (\w+) (\d+)', 60).groups() == (digest(tmp_path / 'b'), '1440')
        passed(m, 'floppy')


def test_media(tmp_path):
    """The change line, and a machine without a medium."""
    image(tmp_path, 'a', 2880)
    content = image(tmp_path, 'b', 2880)
    with Qtest(['-M', 'pc', '-device', 'floppy,id=f,drive-type=144', '-qmp', f'unix:{tmp_path}/qmp,server=on,wait=off']) as q:
        qmp = Qmp(tmp_path / 'qmp')
        fdc = Fdc(q)
        fdc.reset()
        assert fdc.read(0, 0, 1)[0][:2] == [0x40, 1]
        fdc.seek(3)
        assert q.inb(0x3f7) & 0x80
        for name in 'ab':
            qmp('blockdev-change-medium', id='f', filename=str(tmp_path / name), format='raw')
            assert q.inb(0x3f7) & 0x80
            fdc.seek(1)
            assert not q.inb(0x3f7) & 0x80
            fdc.out(7, 0)
            assert fdc.do(8) == [0x20, 0]
        assert fdc.read(0, 0, 1)[1] == content[:SECTOR]
        qmp('eject', id='f')
        assert q.inb(0x3f7) & 0x80 and fdc.read(0, 0, 1)[0][:2] == [0x40, 1]
        qmp.close()


def test_error_stops(tmp_path):
    """werror=stop: the machine stands, and a sector that could not be written is written when it goes on."""
    small = tmp_path / 'small'
    image(tmp_path, 'small', 2880)
    limit = 100 * SECTOR
    nbd = subprocess.Popen([sys.executable, '-c', FAILING_NBD, tmp_path / 'nbd', str(limit), str(2880 * SECTOR), small])
    try:
        while not (tmp_path / 'nbd').exists():
            time.sleep(0.01)
        with Qtest(['-M', 'pc', '-drive', f'if=floppy,format=raw,werror=stop,rerror=report,file=nbd:unix:{tmp_path}/nbd',
                    '-qmp', f'unix:{tmp_path}/qmp,server=on,wait=off']) as q:
            qmp = Qmp(tmp_path / 'qmp')
            fdc = Fdc(q)
            fdc.reset()
            fdc.seek(5)
            assert fdc.read(5, 0, 1)[0][:3] == [0x40, 0x20, 0x20]
            q.write(BUFFER, bytes(SECTOR))
            fdc.dma(False, SECTOR)
            fdc.out(0xc5, 0, 5, 0, 1, 2, 18, 0x1b, 0xff)
            assert qmp.event('BLOCK_IO_ERROR')['data']['action'] == 'report'    # of the read
            assert qmp.event('BLOCK_IO_ERROR')['data']['action'] == 'stop'
            qmp.event('STOP')
            assert q.inb(0x3f4) == 0x10
            (tmp_path / 'good').touch()
            qmp('cont')
            assert fdc.result()[:3] == [0, 0, 0]
            assert small.read_bytes()[180 * SECTOR:181 * SECTOR] == bytes(SECTOR)
            qmp.close()
    finally:
        nbd.kill()
        nbd.wait()
