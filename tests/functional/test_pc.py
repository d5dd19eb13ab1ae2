# SPDX-License-Identifier: Apache-2.0
"""q35 and pc: SeaBIOS, OVMF, ACPI, PCI, and Linux on them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from machine import Machine, linux, passed, wait_file

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
    with Machine('x86_64', '-M', board, '-smp', 2,
                 '-chardev', f'file,id=debug,path={log}',
                 '-device', 'isa-debugcon,iobase=0x402,chardev=debug', qmp=True) as m:
        text = wait_file(log, 'No bootable device')
        place, size = re.search(r'parse DSDT at (0x[0-9a-f]+) \(len (\d+)\)', text).groups()
        m.qmp('pmemsave', val=int(place, 16), size=int(size), filename=str(aml))
    subprocess.run(['iasl', '-d', aml], check=True, capture_output=True, cwd=tmp_path)
    result = subprocess.run(['iasl', '-tc', aml.with_suffix('.dsl')], capture_output=True, text=True,
                            cwd=tmp_path)
    assert '0 Errors, 0 Warnings' in result.stdout, result.stdout


OVMF = Path('/usr/share/OVMF')


@pytest.mark.skipif(not OVMF.is_dir(), reason='Debian package ovmf is not there')
def test_ovmf(tmp_path):
    """OVMF runs from flash to its shell, and keeps variables in the second chip."""
    variables = tmp_path / 'vars'
    shutil.copy(OVMF / 'OVMF_VARS_4M.fd', variables)
    flash = ['-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd',
             '-drive', f'if=pflash,unit=1,format=raw,file={variables}']
    with Machine('x86_64', '-M', 'q35', '-m', 256, *flash) as m:
        m.wait('Shell>', 90)
    assert variables.read_bytes() != (OVMF / 'OVMF_VARS_4M.fd').read_bytes()
