# SPDX-License-Identifier: Apache-2.0
"""The KVM accelerator, with small programs, firmware and, marked long, Linux."""

import re
import runpy
import shutil
import struct
import subprocess
import time

import pytest

from machine import PATIENCE, SOURCE, Machine, guest_file, linux, passed, program, wait_file
from test_gdb import free_port, gdb

PROGRAMS = SOURCE / 'tests' / 'guests' / 'x86'


def why_not():
    """Why KVM cannot be used here; the emulator's own words."""
    said = subprocess.run([*program('x86_64'), '-M', 'none', '-accel', 'kvm', '-display', 'none', '-S',
                           '-qmp', 'stdio'], input='{"execute":"qmp_capabilities"}{"execute":"quit"}',
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          timeout=30 * PATIENCE)
    return said.stderr.strip().splitlines()[-1] if said.returncode else None


WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f'no KVM: {WHY_NOT}')


@pytest.fixture(scope='module')
def chips(tmp_path_factory):
    """The program that tries interrupt chips and other CPUs."""
    if not shutil.which('gcc'):
        pytest.skip('no compiler')
    elf = tmp_path_factory.mktemp('guests') / 'chips.elf'
    subprocess.run([PROGRAMS / 'build.sh', '32', elf, PROGRAMS / 'chips.c'], check=True)
    return elf


# What the host's kernel can do by itself, even where it only emulates.
KERNEL = 'kvm,emulated-modes=on'


def small(*args, accel=KERNEL, arch='x86_64', **kw):
    return Machine(arch, '-M', 'microvm', '-m', '64', '-accel', accel, '-no-reboot',
                   '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-device', 'virtio-rng-device',
                   *args, accel=False, **kw)


@pytest.mark.parametrize('irqchip', ['off', 'split', 'on'])
@pytest.mark.parametrize('cpus', [1, 3])
def test_interrupt_chips(chips, irqchip, cpus):
    """PIC, IOAPIC, APIC timers, IPIs, starting of CPUs, SMIs, string I/O."""
    with small('-kernel', chips, '-smp', cpus, accel=f'{KERNEL},kernel-irqchip={irqchip}') as m:
        m.wait('passed|failed|unexpected', 60)
        assert m.status() == 1, m.serial.text
        if cpus == 1 and irqchip == 'off':      # else the host's KVM must have such a mode
            assert 'SMI came' in m.serial.text


def firmware_of(elf):
    """An image for -bios that copies the program to where it wants to be and enters it."""
    data = elf.read_bytes()
    entry, = struct.unpack_from('<I', data, 24)
    at, to, size = struct.unpack_from('<II4xI', data, 52 + 4)
    image = bytearray(65536)
    image[:size] = data[at:at + size]
    assert size < 0xff00
    parts = {
        0xff00: b'\xfa\x2e\x66\x0f\x01\x16\xc0\xff'            # cli; lgdtl %cs:0xffc0
                b'\x0f\x20\xc0\x0c\x01\x0f\x22\xc0'            # set CR0.PE
                b'\x66\xea\x40\xff\xff\xff\x08\x00',           # ljmpl $8, $0xffffff40
        0xff40: b'\xb8\x10\0\0\0\x8e\xd8\x8e\xc0\x8e\xd0\xfc'   # mov $16, %eax; to DS, ES, SS; cld
                b'\xbe\0\0\xff\xff\xbf' + struct.pack('<I', to) +   # mov $0xffff0000, %esi; mov $to, %edi
                b'\xb9' + struct.pack('<I', size) + b'\xf3\xa4'      # mov $size, %ecx; rep movsb
                b'\xb8' + struct.pack('<I', entry) + b'\xff\xe0',    # mov $entry, %eax; jmp *%eax
        0xff80: struct.pack('<3Q', 0, 0xcf9b000000ffff, 0xcf93000000ffff),
        0xffc0: struct.pack('<HI', 23, 0xffffff80),
        0xfff0: b'\xea\x00\xff\x00\xf0',
    }
    for where, code in parts.items():
        image[where:where + len(code)] = code
    path = elf.with_suffix('.bios')
    path.write_bytes(image)
    return path


def built(tmp_path_factory, name):
    if not shutil.which('gcc'):
        pytest.skip('no compiler')
    elf = tmp_path_factory.mktemp('guests') / f'{name}.elf'
    subprocess.run([PROGRAMS / 'build.sh', '32', elf, PROGRAMS / f'{name}.c'], check=True)
    return elf


@pytest.fixture(scope='module')
def messages(tmp_path_factory):
    """The program that tries MSI-X, plain and remapped."""
    return built(tmp_path_factory, 'msi')


def routes(m):
    """Routes for eventfds: now, at most; messages sent without one."""
    text = m.qmp('x-query-accel')['human-readable-text']
    found = re.search(r'(\d+) routes with eventfds \(at most (\d+)\).* (\d+) sent without', text)
    return [int(n) for n in found.groups()] if found else None


@pytest.mark.parametrize('irqchip', ['off', 'split', 'on'])
def test_messages(messages, irqchip):
    """MSI-X of a device that another thread serves goes by eventfd; masks, changes."""
    with Machine('x86_64', '-M', 'microvm,pcie=on,isa-serial=on', '-m', 64, '-kernel', messages, '-accel',
                 f'{KERNEL},kernel-irqchip={irqchip}', '-device', 'virtio-rng-pci,addr=3',
                 '-no-shutdown', accel=False, qmp=True) as m:
        m.wait('passed|failed|unexpected', 60)
        assert 'passed' in m.serial.text, m.serial.text
        if irqchip == 'off':
            return                              # no routes there
        now, most, sent = routes(m)
        assert now == 0                         # the program has switched MSI-X off
        assert most == 1
        assert sent < 10                        # unmasked by a CPU's store


def test_remapped_messages(messages):
    """The same through VT-d, and the IOAPIC's."""
    with Machine('x86_64', '-M', 'q35', '-m', 64, '-bios', firmware_of(messages), '-accel',
                 f'{KERNEL},kernel-irqchip=split', '-device', 'intel-iommu', '-device', 'virtio-rng-pci,addr=3',
                 '-no-shutdown', accel=False, qmp=True) as m:
        m.wait('passed|failed|unexpected', 100)
        assert 'passed' in m.serial.text, m.serial.text
        assert 'AT remapping' in m.serial.text
        assert routes(m)[:2] == [0, 1]


@pytest.mark.parametrize('irqchip', ['off', 'split', 'on'])
def test_cpus_come_and_go(tmp_path_factory, irqchip):
    """A CPU comes 20 times, works, and goes again, halted or running; the kernel's CPU is used again."""
    image = firmware_of(built(tmp_path_factory, 'plug'))
    with Machine('x86_64', '-M', 'q35', '-m', 64, '-smp', '1,maxcpus=2', '-bios', image, '-accel',
                 f'{KERNEL},kernel-irqchip={irqchip}', '-no-shutdown', accel=False, qmp=True) as m:
        m.wait('AT start', 60)
        free = m.qmp('query-hotpluggable-cpus')[0]
        assert 'qom-path' not in free
        for _ in range(20):
            m.qmp('device_add', driver=free['type'], id='cpu', **free['props'])
            m.wait('UP', 30)
            m.qmp('device_del', id='cpu')
            assert m.qmp.event('DEVICE_DELETED')['data']['device'] == 'cpu'
            m.qmp.events.clear()
        m.wait('passed|failed|unexpected', 60)
        assert 'passed' in m.serial.text, m.serial.text


@pytest.mark.parametrize('irqchip', ['split', 'on'])
def test_interval_timer(irqchip):
    """The 8254's registers, wherever it is, as others see them; ticks that were lost."""
    with small('-S', '-global', 'kvm-pit.lost_tick_policy=discard', '-bios',
               guest_file('seabios/bios-microvm.bin'), accel=f'{KERNEL},kernel-irqchip={irqchip}', qmp=True) as m:
        for port, value in ((0x43, 0xb6), (0x42, 0x34), (0x42, 0x12), (0x61, 3), (0x43, 0xe8)):
            m.qmp.hmp(f'o/b {port:#x} {value:#x}')
        assert int(m.qmp.hmp('i/b 0x42').split('=')[-1], 16) & 0x3f == 0x36
        assert int(m.qmp.hmp('i/b 0x61').split('=')[-1], 16) & 3 == 3
        for command in ('cont', 'stop', 'cont', 'stop'):
            m.qmp(command)
        m.qmp('system_reset')
    with small('-global', 'kvm-pit.lost_tick_policy=slew', accel=f'{KERNEL},kernel-irqchip=on') as m:
        assert m.status() == 1
        assert 'lost_tick_policy' in m.errors.text


def test_protected_mode(tmp_path):
    """Exceptions, gates, tasks, virtual-8086 mode, paging, real mode: the engine's own program."""
    rows = runpy.run_path(str(PROGRAMS / 'run.py'))['PROGRAMS']
    width, sources, _ = rows['prot']
    elf = tmp_path / 'prot.elf'
    subprocess.run([PROGRAMS / 'build.sh', width, elf, *(PROGRAMS / s for s in sources)], check=True)
    with small('-kernel', elf, '-cpu', 'max', accel='kvm') as m:
        m.wait('passed|failed|unexpected', 60)
        assert m.status() == 1, m.serial.text


def test_tcg_agrees(chips):
    with small('-kernel', chips, '-smp', 2, accel='tcg') as m:
        m.wait('passed|failed|unexpected', 60)
        assert m.status() == 1, m.serial.text


def test_seabios(tmp_path):
    """Firmware from the reset vector to its last words."""
    log = tmp_path / 'log'
    with Machine('x86_64', '-M', 'microvm', '-accel', KERNEL, '-bios',
                 guest_file('seabios/bios-microvm.bin'), '-chardev', f'file,id=debug,path={log}',
                 '-device', 'isa-debugcon,iobase=0x402,chardev=debug', accel=False):
        text = wait_file(log, 'No bootable device')
        assert text.startswith('SeaBIOS (version ')


def test_lists():
    """The first accelerator of a list that works; -enable-kvm; the machine's property."""
    for words in (['-accel', 'kvm', '-accel', 'tcg'], ['-M', 'none,accel=kvm:tcg'], ['-enable-kvm']):
        machine = [] if '-M' in words else ['-M', 'none']
        with Machine('x86_64', *machine, *words, '-S', accel=False, serial=False, qmp=True) as m:
            assert m.qmp('query-kvm') == {'enabled': True, 'present': True}
            assert m.qmp('query-accelerators')['enabled'] == 'kvm'


def test_other_guests_fall_back():
    """KVM cannot run RISC-V here: a list goes on, a lone -accel kvm says so."""
    with Machine('riscv64', '-M', 'none,accel=kvm:tcg', '-S', accel=False, serial=False, qmp=True) as m:
        assert m.qmp('query-accelerators')['enabled'] == 'tcg'
    with Machine('riscv64', '-M', 'none', '-accel', 'kvm', accel=False, serial=False) as m:
        assert m.status() == 1
        assert 'runs no riscv64 guests' in m.errors.text


CHECKSUM = bytes([
    0x66, 0xb9]) + struct.pack('<I', 10_000_000) + bytes([      # mov $N, %ecx
        0x66, 0xb8, 1, 0, 0, 0,                                 # mov $1, %eax
        0x66, 0x31, 0xdb,                                       # xor %ebx, %ebx
        0x66, 0xc1, 0xc0, 5,                                    # 1: rol $5, %eax
        0x66, 0x01, 0xc8,                                       # add %ecx, %eax
        0x66, 0x31, 0xc3,                                       # xor %eax, %ebx
        0x66, 0x49, 0x75, 0xf2,                                 # dec %ecx; jnz 1b
        0xb9, 8, 0, 0xba, 0xf8, 3,                              # mov $8, %cx; mov $0x3f8, %dx
        0x66, 0xc1, 0xc3, 4, 0x88, 0xd8, 0x24, 15, 4, 0x41, 0xee, 0xe2, 0xf3,   # print as A..P
        0xb0, 10, 0xee, 0xf4])


def bios_of(code):
    image = bytearray(b'\xf4' * 65536)
    image[:len(code)] = code
    image[0xfff0:0xfff5] = b'\xea\x00\x00\x00\xf0'
    return bytes(image)


def checksum(rounds):
    a, b = 1, 0
    for n in range(rounds, 0, -1):
        a = ((a << 5 | a >> 27) + n) & 0xffffffff
        b ^= a
    return ''.join(chr(ord('A') + (b >> s & 15)) for s in range(28, -4, -4))


def test_hand_over(tmp_path):
    """A program computes while QMP changes the accelerator; the result is right."""
    path = tmp_path / 'bios'
    path.write_bytes(bios_of(CHECKSUM))
    with Machine('x86_64', '-M', 'microvm', '-accel', f'{KERNEL},kernel-irqchip=off', '-bios', path,
                 accel=False, qmp=True) as m:
        changes = 0
        while '\n' not in m.serial.text:
            to = ('tcg', 'kvm')[changes & 1]
            m.qmp('x-accel-set', accelerator=to)
            assert m.qmp('query-accelerators')['enabled'] == to
            changes += 1
            time.sleep((0.003, 0.05)[changes & 1 == 0])
            assert changes < 2000
        assert m.wait(r'^([A-P]{8})\r?\n').group(1) == checksum(10_000_000)
        assert changes >= 4
        assert 'hand-overs' in m.qmp('x-query-accel')['human-readable-text']


def test_debugger(tmp_path, chips):
    """gdb: hardware and software breakpoints, more than the CPU has, steps, watchpoints, threads."""
    port = free_port()
    with small('-kernel', chips, '-S', '-gdb', f'tcp:127.0.0.1:{port}', arch='i386') as m:
        said = gdb(chips, port, [
            'hbreak main', 'continue', 'echo AT-MAIN\\n', 'backtrace 1',
            'stepi', 'stepi', 'printf "IN=%d\\n", $eip >= (int)main && $eip < (int)main + 64',
            'delete', 'break test_pic', 'continue', 'echo AT-PIC\\n', 'backtrace 1', 'delete',
            'break finish', 'break test_ioapic', 'break test_level', 'break test_apic_timer',
            'break test_ipi', 'break check', 'continue', 'echo AT-MANY\\n', 'backtrace 1', 'delete',
            'watch *(int *)&checks', 'continue', 'echo AT-WATCH\\n', 'delete',
            'info registers eip', 'detach'], 'i386')
        for pattern in (r'AT-MAIN\n#0 .*\bmain\b', r'IN=1', r'AT-PIC\n#0 .*test_pic', r'AT-MANY\n#0 ',
                        r'atchpoint \d+: .*checks', r'eip +0x1'):
            assert re.search(pattern, said), f'{pattern}\n{said}'
        m.wait('passed|failed|unexpected', 60)
        assert m.status() == 1, m.serial.text


def test_cpus_and_registers(chips):
    """query-cpus-fast has the threads; info registers and info kvm tell of a machine that stands."""
    with small('-kernel', chips, '-smp', '2', '-S', qmp=True) as m:
        threads = [cpu['thread-id'] for cpu in m.qmp('query-cpus-fast')]
        assert len(set(threads)) == 2 and all(threads)
        assert re.search(r'EIP=001', m.qmp.hmp('info registers'))
        m.qmp('cont')
        m.wait('AT timer', 60)
        assert 'kvm support: enabled' in m.qmp.hmp('info kvm')
        assert m.status() == 1


@pytest.mark.long
def test_linux():
    """An unmodified Debian kernel reaches userspace, whatever the host's KVM can emulate."""
    with linux('cloud', 'boot', '-accel', 'kvm', kernel=guest_file('cloud-amd64/vmlinux'),
               accel=False) as m:
        passed(m, 'boot', 900)
        assert m.status(60) == 0
