# SPDX-License-Identifier: Apache-2.0
"""The small chips of q35 and pc in use by Linux."""

import struct

import pytest

from machine import GUESTS, Machine, guest_file, make_initramfs, passed

MODULES = 'i2c_i801,at24,parport_pc,lp,lpc_ich,iTCO_wdt'
GUID = '324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87'


@pytest.fixture(scope='module')
def initramfs(tmp_path_factory):
    if not (GUESTS / 'amd64' / 'modules' / 'i2c_i801.ko').exists():
        pytest.skip('the kernel lacks modules: run scripts/fetch-guests standard')
    return make_initramfs(tmp_path_factory.mktemp('platform') / 'initramfs.cpio', 'standard', '--modules', MODULES)


@pytest.mark.parametrize('board', ['q35', 'pc'])
def test_linux(tmp_path, initramfs, board):
    q35, paper = board == 'q35', tmp_path / 'paper'
    append = 'console=ttyS0 quiet myna.test=platform' + (' myna.watchdog=3' if q35 else '')
    with Machine('x86_64', '-M', board, '-m', 256, '-kernel', guest_file('amd64/vmlinuz'), '-initrd', initramfs,
                 '-append', append, '-parallel', f'file:{paper}', '-device', 'vmgenid,guid=auto,id=generation',
                 '-action', 'watchdog=poweroff', qmp=True) as m:
        if q35:
            assert [m.line(r'MYNA-EEPROM (0x..) (\d+)', timeout=90).groups() for _ in range(2)] == \
                [('0x50', '256'), ('0x57', '256')]
            passed(m, 'smbus')
        passed(m, 'parport')
        m.line('MYNA-VMGENID')
        old = m.qmp('query-vm-generation-id')['guid']
        m.qmp('qom-set', path='generation', property='guid', value=GUID)
        assert m.qmp('query-vm-generation-id')['guid'] == GUID != old
        passed(m, 'vmgenid')
        if q35:
            assert m.line(r'MYNA-WATCHDOG (\w+)').group(1) == 'iTCO_wdt'
            assert m.qmp.event('WATCHDOG', timeout=40)['data'] == {'action': 'poweroff'}
        else:
            passed(m, 'platform')
        assert m.status() == 0
        assert 'EEPROM 0x60' not in m.serial.text           # nobody is there
    assert paper.read_text() == 'hello, printer\n'


def test_crash_notes(tmp_path):
    """The guest says where its crash notes are; pvpanic tells that they are wanted, and they are there."""
    initrd = make_initramfs(tmp_path / 'image', 'cloud', '--modules', 'qemu_fw_cfg,pvpanic,pvpanic-mmio')
    with Machine('x86_64', '-M', 'q35', '-m', 256, '-kernel', guest_file('cloud-amd64/vmlinuz'), '-initrd', initrd,
                 '-append', 'console=ttyS0 quiet myna.test=crashnote', '-device', 'vmcoreinfo', '-device', 'pvpanic',
                 '-action', 'panic=pause', qmp=True) as m:
        assert m.qmp('query-status')['running']
        note = bytes.fromhex(m.line(r'MYNA-NOTE ([0-9a-f]+)', timeout=60).group(1))
        _, given, size, address = struct.unpack('<HHIQ', note)
        assert given == 1 and 256 < size < 8192 and address < 256 << 20
        release = m.line(r'MYNA-RELEASE (\S+)').group(1)
        assert m.qmp.event('GUEST_PANICKED', timeout=30)['data']['action'] == 'pause'
        assert m.qmp('query-status')['status'] == 'guest-panicked'
        m.qmp('pmemsave', val=address, size=size, filename=str(tmp_path / 'note'))
        name_size, size, _ = struct.unpack('<III', (tmp_path / 'note').read_bytes()[:12])
        text = (tmp_path / 'note').read_bytes()[12:]
        assert text[:name_size] == b'VMCOREINFO\0'
        assert f'OSRELEASE={release}\n'.encode() in text
