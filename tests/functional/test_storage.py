# SPDX-License-Identifier: Apache-2.0
"""Disks and CD drives other than virtio-blk, under Linux: their bytes, hot plug, media."""

import hashlib
import os

import pytest

from machine import Machine, linux, passed
from test_pc import grub_disk     # noqa: F401 (a fixture)

LONG = pytest.mark.long


def image(tmp_path, name, mib):
    path = tmp_path / name
    path.write_bytes(os.urandom(mib << 20))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def drive(name, path, more=''):
    return ['-drive', f'if=none,id={name},format=raw,file={path}{more}']


def seen(m, name, size, model, sha):
    assert m.line(rf'MYNA-DISK {name} (\d+) \S+ {model}', 120).group(1) == str(size)
    assert m.line(rf'MYNA-SHA {name} (\w+)').group(1) == sha


def written(m, path, mib):
    sha = m.line(r'MYNA-WROTE (\w+)').group(1)
    passed(m, 'storage')
    assert hashlib.sha256(path.read_bytes()[:mib << 20]).hexdigest() == sha


@pytest.mark.parametrize('thread', [False, True])
def test_virtio_scsi(tmp_path, thread):
    disk, disk_sha = image(tmp_path, 'disk', 16)
    cd, cd_sha = image(tmp_path, 'cd', 8)
    with linux('standard', 'storage', *(['-object', 'iothread,id=io'] if thread else []),
               '-device', f'virtio-scsi-pci,id=scsi0{",iothread=io" if thread else ""}',
               *drive('d', disk), '-device', 'scsi-hd,drive=d,bus=scsi0.0',
               *drive('c', cd, ',media=cdrom'), '-device', 'scsi-cd,drive=c,bus=scsi0.0',
               append='myna.load=virtio_pci,virtio_scsi myna.write=sda myna.wait=sda,sr0', board='q35') as m:
        seen(m, 'sda', 32768, 'QEMU HARDDISK', disk_sha)
        seen(m, 'sr0', 16384, 'QEMU CD-ROM', cd_sha)
        written(m, disk, 4)


def test_scsi_hotplug(tmp_path):
    disk, _ = image(tmp_path, 'disk', 1)
    other, _ = image(tmp_path, 'other', 2)
    with linux('standard', 'storage', '-device', 'virtio-scsi-pci,id=scsi0',
               *drive('d', disk), '-device', 'scsi-hd,drive=d', board='q35', qmp=True,
               append='myna.load=virtio_pci,virtio_scsi myna.watch=+sdb,-sdb,+sdb') as m:
        for _ in range(2):
            m.line(r'MYNA-WAIT \+sdb', 120)
            m.qmp('blockdev-add', driver='raw', **{'node-name': 'n', 'file': {'driver': 'file', 'filename': str(other)}})
            m.qmp('device_add', driver='scsi-hd', drive='n', id='new', bus='scsi0.0', **{'scsi-id': 0, 'lun': 3})
            m.line(r'MYNA-SAW \+sdb')
            if _:
                break
            m.line(r'MYNA-WAIT -sdb')
            m.qmp('device_del', id='new')
            m.qmp.event('DEVICE_DELETED')
            m.qmp('blockdev-del', **{'node-name': 'n'})
            m.line(r'MYNA-SAW -sdb')
        passed(m, 'storage')


@pytest.mark.parametrize('board, driver', [('q35', 'ahci'), ('pc', 'ata_piix')])
def test_board_drives(tmp_path, board, driver):
    disk, disk_sha = image(tmp_path, 'disk', 16)
    cd, cd_sha = image(tmp_path, 'cd', 8)
    with linux('standard', 'storage', '-drive', f'format=raw,file={disk}', '-cdrom', str(cd), board=board,
               append=f'myna.load={driver} myna.write=sda myna.wait=sda,sr0', qmp=True) as m:
        names = {d['device']: d for d in m.qmp('query-block')}
        assert set(names) == {'ide0-hd0', 'ide2-cd0' if board == 'q35' else 'ide1-cd0'}
        seen(m, 'sda', 32768, 'QEMU HARDDISK', disk_sha)
        seen(m, 'sr0', 16384, 'QEMU DVD-ROM', cd_sha)
        written(m, disk, 4)


def test_nvme(tmp_path):
    disk, sha = image(tmp_path, 'disk', 16)
    other, other_sha = image(tmp_path, 'other', 2)
    with linux('standard', 'storage', *drive('d', disk), '-device', 'nvme,drive=d,serial=MYNA7,id=n0',
               *drive('e', other), '-device', 'nvme-ns,drive=e,bus=n0', board='q35',
               append='myna.load=nvme myna.wait=nvme0n1,nvme0n2 myna.write=nvme0n1') as m:
        seen(m, 'nvme0n1', 32768, 'QEMU NVMe Ctrl', sha)
        seen(m, 'nvme0n2', 4096, 'QEMU NVMe Ctrl', other_sha)
        written(m, disk, 4)


DISK, CD = 'if=none,id=d,format=raw,readonly=on,file=', 'if=none,id=d,format=raw,media=cdrom,file='


@LONG
@pytest.mark.parametrize('board, drive_as, devices', [
    ('q35', 'format=raw,media=cdrom,file=', []), ('pc', 'format=raw,media=cdrom,file=', []),
    ('q35', 'format=raw,snapshot=on,file=', []), ('pc', 'format=raw,snapshot=on,file=', []),
    ('q35', DISK, ['nvme,drive=d,serial=x,bootindex=0']),
    ('q35', DISK, ['virtio-scsi-pci', 'scsi-hd,drive=d,bootindex=0']),
    ('pc', CD, ['virtio-scsi-pci', 'scsi-cd,drive=d,bootindex=0'])])
def test_firmware_boots(grub_disk, board, drive_as, devices):    # noqa: F811
    """SeaBIOS starts GRUB from a drive of each kind, GRUB starts Linux."""
    args = [word for device in devices for word in ('-device', device)]
    with Machine('x86_64', '-M', board, '-m', 512, '-no-reboot', '-drive', f'{drive_as}{grub_disk}', *args) as m:
        passed(m, 'boot')
