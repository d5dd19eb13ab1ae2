# SPDX-License-Identifier: Apache-2.0
"""Small devices: loaders, serial cards, the IB700 watchdog."""

import socket
import struct
import sys
import time

import pytest

from machine import SOURCE, Machine, linux
from test_hotplug import Shell

sys.path.insert(0, str(SOURCE / 'tests' / 'lib'))
from qtest import Qtest     # noqa: E402


# ---- loader ----

@pytest.mark.parametrize('arch, board, base', [('x86_64', 'q35', 0), ('x86_64', 'microvm', 0),
                                               ('riscv64', 'virt', 0x80000000)])
def test_loader_memory(tmp_path, arch, board, base):
    """Numbers in both orders and a file are in memory."""
    (tmp_path / 'file').write_bytes(b'\x7fELF, but not really')
    args = ['-M', board, '-m', '64', '-device', f'loader,addr={base + 0x1000:#x},data=0x1234567,data-len=8',
            '-device', f'loader,addr={base + 0x2000:#x},data=0x1234567,data-len=4,data-be=on',
            '-device', f'loader,addr={base + 0x3001:#x},file={tmp_path}/file,force-raw=on']
    if arch == 'riscv64':
        args += ['-bios', 'none']
    with Qtest(args, arch=arch) as q:
        assert q.readq(base + 0x1000) == 0x1234567
        assert q.read(base + 0x2000, 5) == bytes.fromhex('0123456700')
        assert q.read(base + 0x3001, 20) == b'\x7fELF, but not really'


def test_loader_again(tmp_path):
    """A reset writes it again."""
    with Machine('x86_64', '-M', 'q35', '-m', 64, '-S', '-device', 'loader,addr=0x1000,data=0x1234567,data-len=4',
                 qmp=True, serial=False) as m:
        def word():
            m.qmp('pmemsave', val=0x1000, size=4, filename=str(tmp_path / 'memory'))
            return struct.unpack('<I', (tmp_path / 'memory').read_bytes())[0]
        assert word() == 0x1234567
        m.qmp('system_reset')
        m.qmp.event('RESET')
        assert word() == 0x1234567


@pytest.mark.parametrize('options', ['file={},addr=0x80001000,force-raw=on', 'file={},addr=0x80001000'])
def test_loader_cpu(tmp_path, options):
    """cpu-num= begins in the file, which tells the test finisher to end the machine."""
    code = (0x001002b7, 0x00005337, 0x55530313, 0x0062a023, 0x0000006f)
    (tmp_path / 'code').write_bytes(struct.pack('<5I', *code))
    with Machine('riscv64', '-M', 'virt', '-m', 64, '-bios', 'none', '-device',
                 f'loader,{options.format(tmp_path / "code")},cpu-num=0') as m:
        assert m.status() == 0


@pytest.mark.parametrize('options, words', [
    ('addr=0', 'file=, data= with data-len=, or cpu-num= is needed'),
    ('addr=0,data=1', 'data-len=0'), ('addr=0,data=1,data-len=9', 'expected 1 to 8'),
    ('addr=0,data=0x100,data-len=1', 'does not fit'), ('addr=0,cpu-num=7', 'the machine has 1 CPUs'),
    ('addr=0,file=/nowhere', "could not load '/nowhere'"), ('addr=0,file=x,data=1,data-len=1', 'two loaders'),
])
@pytest.mark.myna
def test_loader_errors(options, words):
    with Machine('x86_64', '-M', 'q35', '-device', f'loader,{options}', '-S') as m:
        assert m.status() == 1
        assert words in m.errors.text


def test_guest_loader(tmp_path):
    (tmp_path / 'kernel').write_bytes(b'the kernel')
    (tmp_path / 'initrd').write_bytes(b'the ramdisk')
    dtb = tmp_path / 'dtb'
    rows = ['-device', f'guest-loader,addr=0x84000000,kernel={tmp_path}/kernel,bootargs=console=hvc0',
            '-device', f'guest-loader,addr=0x85000000,initrd={tmp_path}/initrd']
    with Qtest(['-M', 'virt', '-m', '128', '-bios', 'none', *rows], arch='riscv64') as q:
        assert q.read(0x84000000, 10) == b'the kernel'
        assert q.read(0x85000000, 11) == b'the ramdisk'
    with Machine('riscv64', '-M', f'virt,dumpdtb={dtb}', '-m', 128, '-bios', 'none', *rows) as m:
        assert m.status() == 0
    tree = dtb.read_bytes()
    for piece in (b'module@84000000\0', b'module@85000000\0', b'multiboot,module\0multiboot,kernel\0', b'console=hvc0\0',
                  b'multiboot,module\0multiboot,ramdisk\0', struct.pack('>2Q', 0x84000000, 10),
                  struct.pack('>2Q', 0x85000000, 11)):
        assert piece in tree, piece


@pytest.mark.myna
def test_guest_loader_needs_a_tree():
    with Machine('x86_64', '-M', 'q35', '-device', 'guest-loader,addr=0,kernel=x', '-S') as m:
        assert m.status() == 1
        assert 'no device tree' in m.errors.text


# ---- serial cards ----

@pytest.mark.parametrize('card, ports', [('pci-serial', 1), ('pci-serial-2x', 2), ('pci-serial-4x', 4)])
def test_serial_card(tmp_path, card, ports):
    """Linux finds the card's ports; each writes to its chardev, and the first reads from it."""
    args, names = [], ['chardev'] if ports == 1 else [f'chardev{n + 1}' for n in range(ports)]
    for n, name in enumerate(names):
        args += ['-chardev', f'socket,id=c{n},path={tmp_path}/c{n},server=on,wait=off']
    wired = ','.join(f'{name}=c{n}' for n, name in enumerate(names))
    with linux('cloud', 'shell', *args, '-device', f'{card},addr=5,{wired}', board='q35',
               append='8250.nr_uarts=8') as m:
        sh = Shell(m)
        clients = [socket.socket(socket.AF_UNIX) for _ in names]
        for n, client in enumerate(clients):
            client.connect(f'{tmp_path}/c{n}')
            client.settimeout(30)
        said = sh('for t in /sys/class/tty/ttyS*; do case $(readlink -f $t/device) in *:00:05.0*) echo "is ${t##*/}";; esac; '
                  'done')
        ttys = sorted((line.split()[1] for line in said.splitlines() if line.startswith('is ')), key=lambda t: int(t[4:]))
        assert len(ttys) == ports
        for n, tty in enumerate(ttys):
            sh(f'stty -F /dev/{tty} raw -echo 115200; echo "from port {n}" >/dev/{tty}')
            got = b''
            while not got.endswith(b'\n'):
                got += clients[n].recv(100)
            assert got == b'from port %d\n' % n
        sh(f': >/tmp/got; cat </dev/{ttys[0]} >/tmp/got &')
        for _ in range(100):
            clients[0].sendall(b'over\n')
            if 'over' in sh('cat /tmp/got'):
                break
            time.sleep(0.05)
        else:
            raise AssertionError('nothing arrived')


# ---- ib700 ----

@pytest.mark.parametrize('board', ['q35', 'pc'])
def test_ib700(board):
    with Machine('x86_64', '-M', board, '-device', 'ib700', '-action', 'watchdog=pause', '-accel', 'qtest', '-qtest',
                 'stdio', '-m', 64, accel=False, serial=False, qmp=True) as m:
        m.qmp('query-status')
        m.send('outb 0x443 0x0e\nclock_step 1900000000\noutb 0x441 0\nclock_step 60000000000\n')
        m.send('outb 0x443 0x0e\nclock_step 2000000000\n')
        assert m.qmp.event('WATCHDOG')['data']['action'] == 'pause'
        assert [e['event'] for e in m.qmp.events].count('WATCHDOG') == 0
