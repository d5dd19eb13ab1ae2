# SPDX-License-Identifier: Apache-2.0
"""Memories on SMBus, written and read by Linux, which reads SMBIOS, too."""

import re

import pytest

from machine import GUESTS, linux, make_initramfs
from test_hotplug import Shell, no_acpi_errors

MODULES = 'i2c_i801,i2c_piix4,at24'


@pytest.fixture(scope='module')
def modules(tmp_path_factory):
    """An initramfs with the drivers."""
    if not (GUESTS / 'amd64' / 'modules' / 'i2c_piix4.ko').exists():
        pytest.skip('the kernel lacks modules: run scripts/fetch-guests standard')
    return make_initramfs(tmp_path_factory.mktemp('smbus') / 'initramfs', 'standard', '--modules', MODULES)


@pytest.mark.parametrize('board, driver', [('q35', 'i2c_i801'), ('pc', 'i2c_piix4')])
def test_linux(modules, board, driver):
    with linux('standard', 'shell', '-initrd', modules, '-smbios', 'type=1,product=Bird,serial=S-1',
               '-smbios', 'type=41,designation=First,kind=ethernet,instance=3,pcidev=net',
               '-device', 'e1000,id=net,addr=7', board=board, qmp=True) as m:
        sh = Shell(m)
        sh(f'load {driver} at24; cd /sys/bus/i2c/devices; wait_for i2c-0; echo 24c02 0x51 >i2c-0/new_device;'
           ' wait_for 0-0051/eeprom')
        eeprom = '/sys/bus/i2c/devices/0-0051/eeprom'
        assert re.search(r'^256\b', sh(f'wc -c <{eeprom}'), re.M)
        sh(f'printf Myna >{eeprom}')
        assert '4d796e61' in sh(f'xxd -p -l 4 {eeprom}')
        words = sh('cat /sys/class/dmi/id/product_name /sys/class/dmi/id/product_serial;'
                   ' cat /sys/bus/pci/devices/0000:00:07.0/label /sys/bus/pci/devices/0000:00:07.0/index')
        assert re.search(r'Bird\s+S-1\s+First\s+3\s', words), words
        no_acpi_errors(m)
