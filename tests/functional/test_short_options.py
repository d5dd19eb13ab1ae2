# SPDX-License-Identifier: Apache-2.0
"""Short options that stand for longer ones, and what firmware is given by them."""

import sys
from pathlib import Path

import pytest

from machine import Machine, wait_file

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest                 # noqa: E402


def tables(*args):
    with Qtest(['-M', 'q35', *args]) as q:
        return q.fw_cfg(*q.fw_cfg_files()['etc/acpi/tables'])


def test_acpi_tables(tmp_path):
    (tmp_path / 'a').write_bytes(b'first ')
    (tmp_path / 'b').write_bytes(b'second')
    blob = tables('-acpitable', f'sig=SLIC,rev=3,oem_id=MYNA,oem_table_id=MYNATEST,oem_rev=7,asl_compiler_id=AB,'
                                f'asl_compiler_rev=9,data={tmp_path}/a:{tmp_path}/b')
    at = blob.index(b'SLIC')
    table = blob[at:at + 48]
    assert table[36:] == b'first second' and int.from_bytes(table[4:8], 'little') == 48 and table[8] == 3
    assert table[10:28] == b'MYNA  MYNATEST\x07\0\0\0' and table[28:36] == b'AB\0\0\x09\0\0\0'
    whole = bytearray(table)
    whole[0:4] = b'OEMX'
    (tmp_path / 'whole').write_bytes(whole)
    assert b'OEMX\x30\0\0\0\x05' in tables('-acpitable', f'file={tmp_path}/whole,rev=5')


@pytest.mark.parametrize('option, why', [
    ('sig=SLIC,rev=300,data=/etc/hostname', 'rev is a number up to 255'),
    ('sig=SLI,data=/etc/hostname', 'sig has 4 characters'),
    ('sg=SLIC,data=/etc/hostname', "Parameter 'sg' is unexpected"),
    ('sig=SLIC', 'data=FILE'), ('file=/dev/null', 'no header'),
])
def test_bad_acpi_tables(option, why):
    with Machine('x86_64', '-M', 'q35', '-acpitable', option, serial=False) as m:
        assert m.status() == 1 and why in m.errors.tail()


def test_option_rom(tmp_path):
    """SeaBIOS runs it; what it says goes to the debug console."""
    rom = bytearray(512)
    rom[:3] = b'\x55\xaa\x01'
    rom[3:] = (b''.join(b'\xb0' + bytes([c]) + b'\xe6\xe9' for c in b'ROM runs') + b'\xcb').ljust(509, b'\0')
    rom[511] = -sum(rom) & 255
    (tmp_path / 'test.rom').write_bytes(rom)
    with Machine('x86_64', '-M', 'q35', '-option-rom', tmp_path / 'test.rom', '-debugcon', f'file:{tmp_path}/out',
                 serial=False):
        wait_file(tmp_path / 'out', 'ROM runs')


def test_memory(tmp_path):
    with Machine('x86_64', '-M', 'q35', '-S', '-m', '64', '-mem-path', tmp_path / 'ram', '-mem-prealloc', qmp=True,
                 serial=False) as m:
        memory, = m.qmp('query-memdev')
        assert memory['size'] == 64 << 20 and memory['prealloc']
        assert (tmp_path / 'ram').stat().st_size == 64 << 20


def test_flash_and_snapshot(tmp_path):
    flash, disk, cd = tmp_path / 'flash', tmp_path / 'disk', tmp_path / 'cd'
    flash.write_bytes(bytes(1 << 20) + b'at the end'.rjust(1 << 20))
    disk.write_bytes(bytes(1 << 20))
    cd.write_bytes(bytes(1 << 20))
    with Machine('x86_64', '-M', 'q35', '-S', '-pflash', flash, '-drive', f'file={disk},format=raw,if=virtio,id=d',
                 '-cdrom', cd, '-snapshot', qmp=True, serial=False) as m:
        assert '0x74 0x68 0x65' in m.qmp.hmp('xp /3xb 0xfffffff9')      # "the", of what the flash holds
        found = {b['device']: b['inserted'] for b in m.qmp('query-block') if 'inserted' in b}
        assert found['d']['backing_file_depth'] == 1 and found['pflash0']['backing_file_depth'] == 1
        assert [b['backing_file_depth'] for b in found.values()].count(0) == 1
        m.qmp.hmp('qemu-io d "write -P 7 0 512"')
        assert m.qmp.hmp('qemu-io d "read -P 7 0 512"')
    assert disk.read_bytes() == bytes(1 << 20)


@pytest.mark.parametrize('option', [['-incoming', 'defer'], ['-loadvm', 'x'], ['-only-migratable'], ['-spice', 'port=1'],
                                    ['-plugin', 'x'], ['-semihosting'], ['-sd', 'x'], ['-compat', 'x']])
def test_not_there(option):
    with Machine('x86_64', '-M', 'q35', *option, serial=False) as m:
        assert m.status() == 1 and option[0] in m.errors.tail()
