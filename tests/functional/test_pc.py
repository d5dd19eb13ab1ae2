# SPDX-License-Identifier: Apache-2.0
"""q35 and pc: SeaBIOS, OVMF, ACPI, PCI, and Linux on them."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from machine import Machine, guest_file, initramfs, linux, passed, program, wait_file

BOARDS = ['q35', 'pc']


@pytest.mark.parametrize('board', BOARDS)
def test_seabios(tmp_path, board):
    """SeaBIOS finds the devices, places them, and looks for something to boot."""
    log = tmp_path / 'log'
    with Machine('x86_64', '-M', board, '-device', 'edu,addr=4',
                 '-chardev', f'file,id=debug,path={log}',
                 '-device', 'isa-debugcon,iobase=0x402,chardev=debug'):
        text = wait_file(log, 'No bootable device')
    assert 'PCI: init bdf=00:04.0 id=1234:11e8' in text
    assert 'ACPI: parse DSDT' in text
    assert 'PS2 keyboard initialized' in text


@pytest.mark.parametrize('board', BOARDS + ['pc-q35-7.2'])
def test_linux(board):
    """The kernel comes by the option ROM, uses ACPI and PCI without complaints, and switches off."""
    with linux('cloud', 'boot', '-device', 'virtio-rng-pci', '-device', 'edu', board=board, smp=2) as m:
        passed(m, 'boot')
        m.wait('MYNA-END poweroff')
        assert m.status() == 0
        log = m.serial.text
    assert not re.search(r'ACPI (BIOS )?Error|ACPI Warning|AE_', log)


@pytest.mark.parametrize('board', BOARDS)
def test_dsdt(tmp_path, board):
    """Intel's compiler finds nothing to say against the namespace that firmware has placed."""
    if not shutil.which('iasl'):
        pytest.skip('iasl (acpica-tools) is not there')
    log, aml = tmp_path / 'log', tmp_path / 'dsdt.aml'
    with Machine('x86_64', '-M', f'{board},nvdimm=on', '-smp', '2,maxcpus=4', '-m', '256,slots=4,maxmem=1G',
                 '-chardev', f'file,id=debug,path={log}',
                 '-device', 'isa-debugcon,iobase=0x402,chardev=debug', qmp=True) as m:
        text = wait_file(log, 'No bootable device')
        place, size = re.search(r'parse DSDT at (0x[0-9a-f]+) \(len (\d+)\)', text).groups()
        m.qmp('pmemsave', val=int(place, 16), size=int(size), filename=str(aml))
    subprocess.run(['iasl', '-d', aml], check=True, capture_output=True, cwd=tmp_path)
    result = subprocess.run(['iasl', '-tc', aml.with_suffix('.dsl')], capture_output=True, text=True,
                            cwd=tmp_path)
    assert '0 Errors, 0 Warnings' in result.stdout, result.stdout


@pytest.mark.parametrize('board, legacy', [('q35', 'auto'), ('q35', 'on'), ('pc', 'off')])
def test_virtio_pci(tmp_path, board, legacy):
    """A disk and a card as PCI functions: modern and transitional, with MSI-X."""
    disk, content = tmp_path / 'disk', os.urandom(4 << 20)
    disk.write_bytes(content)
    with linux('cloud', 'rawdisk,net', '-drive', f'if=none,id=disk,format=raw,file={disk}',
               '-device', f'virtio-blk-pci,drive=disk,serial=MYNA0042,disable-legacy={legacy}',
               '-netdev', 'user,id=net',
               '-device', f'virtio-net-pci,netdev=net,disable-legacy={legacy}', board=board) as m:
        assert m.line(r'MYNA-SHA disk (\w+)').group(1) == hashlib.sha256(content).hexdigest()
        passed(m, 'rawdisk')
        passed(m, 'dhcp')
        m.wait('MYNA-END poweroff')
        assert m.status() == 0


GRUB = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
menuentry linux {
    linux /boot/vmlinuz console=ttyS0 myna.test=boot myna.end=poweroff
    initrd /boot/initrd
}
"""


@pytest.fixture(scope='module')
def grub_disk(tmp_path_factory):
    """A disk with GRUB for BIOS and UEFI, and Linux."""
    if not shutil.which('grub-mkrescue') or not shutil.which('xorriso'):
        pytest.skip('grub-mkrescue (grub-common, grub-pc-bin, grub-efi-amd64-bin, xorriso, mtools) is not there')
    folder = tmp_path_factory.mktemp('grub')
    boot = folder / 'tree' / 'boot'
    (boot / 'grub').mkdir(parents=True)
    (boot / 'grub' / 'grub.cfg').write_text(GRUB)
    shutil.copy(guest_file('cloud-amd64/vmlinuz'), boot / 'vmlinuz')
    shutil.copy(initramfs('cloud'), boot / 'initrd')
    subprocess.run(['grub-mkrescue', '-o', folder / 'disk', folder / 'tree'], check=True,
                   capture_output=True)
    return folder / 'disk'


OVMF = Path('/usr/share/OVMF')


@pytest.mark.parametrize('board', ['q35', 'pc cd', 'q35 OVMF', 'pc OVMF cd', *(pytest.param(b, marks=pytest.mark.long) for b in
                                   ['pc', 'q35 cd', 'q35 OVMF cd', 'q35 usb', 'q35 OVMF usb'])])
def test_grub(tmp_path, grub_disk, board):
    """Firmware starts GRUB from a virtio disk, a CD or a USB stick, GRUB starts Linux."""
    args = ['-M', board.split()[0], '-m', 512, '-no-reboot',
            '-drive', f'if=none,id=disk,format=raw,readonly=on,file={grub_disk}',
            *(['-device', 'qemu-xhci', '-device', 'usb-storage,drive=disk,bootindex=0'] if 'usb' in board else
              ['-device', 'ide-cd,drive=disk'] if 'cd' in board.split() else
              ['-device', 'virtio-blk-pci,drive=disk,bootindex=0'])]
    if 'OVMF' in board:
        if not OVMF.is_dir():
            pytest.skip('Debian package ovmf is not there')
        shutil.copy(OVMF / 'OVMF_VARS_4M.fd', tmp_path / 'vars')
        args += ['-nic', 'none', '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd',
                 '-drive', f'if=pflash,unit=1,format=raw,file={tmp_path}/vars']
    with Machine('x86_64', *args) as m:
        passed(m, 'boot')
        m.wait('MYNA-END poweroff')
        assert m.status() == 0


@pytest.mark.skipif(not OVMF.is_dir(), reason='Debian package ovmf is not there')
def test_ovmf(tmp_path):
    """OVMF runs from flash to its shell, and keeps variables in the second chip."""
    variables = tmp_path / 'vars'
    shutil.copy(OVMF / 'OVMF_VARS_4M.fd', variables)
    flash = ['-nic', 'none', '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd',
             '-drive', f'if=pflash,unit=1,format=raw,file={variables}']
    with Machine('x86_64', '-M', 'q35', '-m', 256, *flash) as m:
        m.wait('Shell>', 90)
    assert variables.read_bytes() != (OVMF / 'OVMF_VARS_4M.fd').read_bytes()


@pytest.mark.parametrize('board, wake', [('q35', 'qmp'), ('pc', 'rtc'), ('pc', 'key'), ('q35', 'button')])
def test_suspend(board, wake):
    """Linux sleeps with its memory powered; the monitor, the clock, a key or the button wakes it."""
    with linux('cloud', 'suspend', board=board, append=f'myna.wake={wake}', qmp=True) as m:
        m.qmp('query-status')               # hears events from here on
        assert 'mem' in m.line(r'MYNA-STATES (.*)').group(1).split()
        m.qmp.event('SUSPEND')
        if wake != 'rtc':
            status = m.qmp('query-status')
            assert status['status'] == 'suspended' and not status['running']
        if wake == 'qmp':
            assert m.qmp('query-current-machine')['wakeup-suspend-support']
            m.qmp('system_wakeup')
        elif wake == 'key':
            m.qmp('send-key', keys=[{'type': 'qcode', 'data': 'spc'}])
        elif wake == 'button':
            m.qmp('system_powerdown')
        m.qmp.event('WAKEUP')
        passed(m, 'suspend')
        m.wait('MYNA-END poweroff')
        assert m.status() == 0


def secure_flash(tmp_path, code, template):
    """Flash chips that only system management mode may write, and a fresh store of variables."""
    if not (OVMF / code).exists():
        pytest.skip('Debian package ovmf is not there')
    shutil.copy(OVMF / template, tmp_path / 'vars')
    return ['-M', 'q35,smm=on', '-m', 256, '-global', 'driver=cfi.pflash01,property=secure,value=on',
            '-global', 'ICH9-LPC.disable_s3=1',
            '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={OVMF}/{code}',
            '-drive', f'if=pflash,unit=1,format=raw,file={tmp_path}/vars']


@pytest.mark.parametrize('smp', [1, 2])
def test_secure_boot(tmp_path, smp):
    """OVMF keeps its variables by SMIs, on all CPUs; with Microsoft's keys the shell may not run."""
    args = secure_flash(tmp_path, 'OVMF_CODE_4M.secboot.fd', 'OVMF_VARS_4M.ms.fd')
    before = (tmp_path / 'vars').read_bytes()
    with Machine('x86_64', *args, '-smp', smp) as m:
        m.wait('failed to start .* Security Violation', 90)
    assert (tmp_path / 'vars').read_bytes() != before


@pytest.mark.long
def test_secure_firmware_shell(tmp_path):
    """The same firmware without keys starts its shell."""
    args = secure_flash(tmp_path, 'OVMF_CODE_4M.secboot.fd', 'OVMF_VARS_4M.fd')
    with Machine('x86_64', *args) as m:
        m.wait('UEFI Interactive Shell', 90)


def test_smbios(tmp_path):
    """What -smbios says reaches the tables that firmware is given; a wrong word is named."""
    with Machine('x86_64', '-M', 'q35', '-S', '-smbios', 'type=1,product=Widget,serial=S1,uuid='
                 '00112233-4455-6677-8899-aabbccddeeff', '-smbios', 'type=2,asset=A2',
                 '-smbios', 'type=11,value=one,value=two', '-smbios', 'type=0,vendor=V,release=4.2') as m:
        assert m.process.poll() is None
    for wrong, message in [('type=1,foo=bar', "Invalid parameter 'foo'"), ('type=99', 'SMBIOS type 99'),
                           ('serial=1', 'Must specify type'), ('type=1,uuid=zz', 'Invalid UUID')]:
        result = subprocess.run([*program('x86_64'), '-M', 'q35', '-smbios', wrong], capture_output=True, text=True)
        assert result.returncode and message in result.stderr
