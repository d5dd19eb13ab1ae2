# SPDX-License-Identifier: Apache-2.0
"""What boots on a PC and is no Linux, or Linux by other ways: boot sectors, GRUB, iPXE, memtest86+, Mach, CDs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from machine import SOURCE, Machine, guest_file, linux, passed, wait_screen

BOARDS = ['pc', 'q35']


@pytest.fixture(scope='module')
def boot_sector(tmp_path_factory):
    """A disk of 8 MiB that holds tests/guests/x86/boot16.S."""
    if not shutil.which('gcc') or not shutil.which('ld'):
        pytest.skip('gcc is not installed')
    folder = tmp_path_factory.mktemp('boot16')
    subprocess.run(['gcc', '-m16', '-c', '-o', folder / 'boot16.o', SOURCE / 'tests' / 'guests' / 'x86' / 'boot16.S'],
                   check=True)
    subprocess.run(['ld', '-m', 'elf_i386', '-Ttext', '0x7c00', '--oformat', 'binary', '-o', folder / 'boot16',
                    folder / 'boot16.o'], check=True)
    with open(folder / 'boot16', 'r+b') as f:
        f.truncate(8 << 20)
    return folder / 'boot16'


@pytest.mark.parametrize('engine', ['jit', 'interp'])
@pytest.mark.parametrize('board', BOARDS)
def test_boot_sector(boot_sector, board, engine):
    """BIOS services in real mode, then the 80286's protected mode: gates, tasks, limits, rings."""
    with Machine('x86_64', '-M', board, '-m', 16, '-accel', f'tcg,engine={engine}', '-no-reboot', '-drive',
                 f'format=raw,readonly=on,file={boot_sector}', accel=False) as m:
        said = m.wait(r'boot16 .*(passed|!)').group()
    assert re.sub(r'\s', '', said) == 'boot16abcdefABCDEFGHIJKLMNzpassed'


@pytest.mark.parametrize('board, kind, smp', [('pc', 'ia32', 1), ('q35', 'x64', 2)])
def test_memtest(board, kind, smp):
    """memtest86+ comes by -kernel, starts the other CPU, finds the memory's size and no error."""
    with Machine('x86_64', '-M', board, '-m', 32, '-smp', smp, '-vga', 'std',
                 '-kernel', guest_file(f'memtest/memtest86+{kind}.bin'), qmp=True) as m:
        wait_screen(m, 'Press <F1>')    # (it counts milliseconds, which a busy host stretches)
        key(m, 'ret')
        text = wait_screen(m, r'Test #[2-9]', 60)
    assert re.search(r'Memory *: +32MB', text) and 'Errors: 0' in text, text
    assert f'CPU: {smp} Cores' in text


def key(m, *codes):
    m.qmp('send-key', keys=[{'type': 'qcode', 'data': code} for code in codes])


def type_line(m, text):
    for char in text:
        key(m, {' ': 'spc', '/': 'slash', '.': 'dot', '-': 'minus'}.get(char, char))
    key(m, 'ret')


@pytest.mark.parametrize('board, card', [('pc', 'e1000'), ('q35', 'virtio-net-pci'), pytest.param('pc', 'rtl8139', marks=pytest.mark.long)])
def test_ipxe(board, card):
    """iPXE as a kernel drives a card and gets an address."""
    with Machine('x86_64', '-M', board, '-m', 64, '-vga', 'std', '-netdev', 'user,id=net',
                 '-device', f'{card},netdev=net,romfile=', '-kernel', guest_file('ipxe/ipxe.lkrn'), qmp=True) as m:
        wait_screen(m, r'iPXE 1[\s\S]*Press Ctrl-B')
        key(m, 'ctrl', 'b')
        wait_screen(m, 'iPXE>')
        type_line(m, 'dhcp')
        wait_screen(m, r'Configuring \(net0 [0-9a-f:]+\)\.+ ok')
        type_line(m, 'route')
        wait_screen(m, r'net0: 10\.0\.2\.15/255\.255\.255\.0 gw 10\.0\.2\.2')


@pytest.mark.skipif(not Path('/usr/lib/ipxe/qemu').is_dir(), reason='Debian package ipxe-qemu is not there')
def test_ipxe_rom():
    """A card's option ROM is iPXE, too; the BIOS boots by it."""
    with Machine('x86_64', '-M', 'pc', '-m', 64, '-vga', 'std', '-nic', 'user,model=e1000', qmp=True) as m:
        wait_screen(m, r'(?s)Booting from ROM.*iPXE initialising devices\.+ok')
        wait_screen(m, r'Press Ctrl-B')
        key(m, 'ctrl', 'b')
        wait_screen(m, 'iPXE>')


@pytest.mark.parametrize('board, media', [('pc', 'cdrom'), ('q35', 'cdrom'), ('q35', 'hda')])
def test_grub_rescue(board, media):
    """GRUB's rescue CD boots to its menu; its shell knows the drives."""
    image = guest_file('grub/grub-rescue-cdrom.iso')
    drive = {'cdrom': ['-cdrom', image], 'hda': ['-drive', f'format=raw,readonly=on,file={image}']}[media]
    with Machine('x86_64', '-M', board, '-m', 64, '-vga', 'std', *drive, qmp=True) as m:
        wait_screen(m, r'GNU GRUB  version[\s\S]*\*GNU/Linux')
        key(m, 'c')
        wait_screen(m, 'grub>')
        type_line(m, 'ls')
        wait_screen(m, r'grub> ls\s+.*\(%s\)' % {'cdrom': 'cd', 'hda': 'hd0'}[media])


def test_grub_firmware():
    """GRUB in the place of the BIOS."""
    with Machine('x86_64', '-M', 'pc', '-m', 64, '-vga', 'std', '-bios', guest_file('grub-bios/grub.bin'),
                 qmp=True) as m:
        wait_screen(m, r'GNU GRUB  version[\s\S]*\*Search')


MACH = """serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
menuentry mach {
    multiboot /boot/mach console=com0
}
"""


@pytest.mark.parametrize('board', BOARDS)
def test_mach(tmp_path, board):
    """GNU Mach by GRUB's multiboot, up to the missing servers (Debian's archive for amd64 has no Hurd)."""
    if not shutil.which('grub-mkrescue') or not shutil.which('xorriso'):
        pytest.skip('grub-mkrescue (grub-common, grub-pc-bin, xorriso, mtools) is not there')
    boot = tmp_path / 'tree' / 'boot'
    (boot / 'grub').mkdir(parents=True)
    (boot / 'grub' / 'grub.cfg').write_text(MACH)
    shutil.copy(guest_file('gnumach/gnumach-1.8-486.gz'), boot / 'mach')
    subprocess.run(['grub-mkrescue', '-o', tmp_path / 'cd', tmp_path / 'tree'], check=True, capture_output=True)
    with Machine('x86_64', '-M', board, '-m', 64, '-no-reboot', '-cdrom', tmp_path / 'cd') as m:
        m.wait('GNU Mach 1.8')
        m.wait(r'RTC time is 20\d\d-')
        m.wait('No bootstrap code loaded')


@pytest.mark.parametrize('board, smp', [('q35', 2), pytest.param('q35', 1, marks=pytest.mark.long), ('pc', 1),
                                        pytest.param('pc', 2, marks=pytest.mark.long)])
def test_linux_i386(board, smp):
    """Debian's kernel of 32 bits."""
    with linux('i386', 'boot', board=board, smp=smp) as m:
        passed(m, 'boot')
        m.wait('MYNA-END poweroff')
        assert m.status() == 0
