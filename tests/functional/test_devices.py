# SPDX-License-Identifier: Apache-2.0
"""The virtio devices that a guest finds, and what comes out of them."""

import pytest

from machine import linux, passed

# device: (arguments, virtio device number)
DEVICES = {
    'virtio-rng-device': (['-device', 'virtio-rng-device'], 4),
    'virtio-balloon-device': (['-device', 'virtio-balloon-device'], 5),
    'virtio-serial-device': (['-device', 'virtio-serial-device', '-chardev',
                              'file,id=console,path={folder}/console', '-device',
                              'virtconsole,chardev=console'], 3),
    'virtio-net-device': (['-netdev', 'user,id=net', '-device', 'virtio-net-device,netdev=net'],
                          1),
}


@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_virtio_devices(tmp_path, guest):
    args = [word.format(folder=tmp_path) for row, _ in DEVICES.values() for word in row]
    with linux(guest, 'devices', *args) as m:
        passed(m, 'rng')
        passed(m, 'devices')
        found = {int(line.split()[2], 16): line.split()[3]
                 for line in m.serial.text.splitlines()
                 if line.startswith('MYNA-VIRTIO') and len(line.split()) == 4}
        assert sorted(found) == sorted(number for _, number in DEVICES.values())
        assert 'none' not in found.values(), found
        assert m.status() == 0
    assert 'MYNA-HELLO from hvc0' in (tmp_path / 'console').read_text()


def test_force_legacy_virtio_mmio():
    """The legacy register layout still works (-global virtio-mmio.force-legacy=)."""
    for legacy in ('on', 'off'):
        with linux('cloud', 'devices', '-global', f'virtio-mmio.force-legacy={legacy}',
                   '-device', 'virtio-rng-device') as m:
            passed(m, 'rng')
