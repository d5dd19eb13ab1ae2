# SPDX-License-Identifier: Apache-2.0
"""q35 and pc: SeaBIOS, ACPI, PCI, and Linux on them."""

import re

import pytest

from machine import Machine, linux, passed, wait_file

BOARDS = ['q35', 'pc']


@pytest.mark.parametrize('board', BOARDS)
def test_seabios(tmp_path, board):
    """SeaBIOS finds the devices, places them, and looks for something to boot."""
    log = tmp_path / 'log'
    with Machine('x86_64', '-M', board, '-nodefaults', '-device', 'edu,addr=4',
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
