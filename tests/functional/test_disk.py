# SPDX-License-Identifier: Apache-2.0
"""virtio-blk: the host's bytes in the guest, and files that survive a power-off."""

import hashlib
import os

import pytest

from machine import linux, passed

LONG = pytest.mark.long


def drive(path, options='', device=''):
    return ['-drive', f'if=none,id=disk,format=raw,file={path}{options}',
            '-device', f'virtio-blk-device,drive=disk{device}']


@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_host_bytes(tmp_path, guest):
    disk = tmp_path / 'disk'
    content = os.urandom(8 << 20)
    disk.write_bytes(content)
    with linux(guest, 'rawdisk', *drive(disk, device=',serial=MYNA0042')) as m:
        assert m.line(r'MYNA-SECTORS (\d+)', 120).group(1) == str(len(content) // 512)
        assert m.line(r'MYNA-SERIAL (\w+)').group(1) == 'MYNA0042'
        assert m.line(r'MYNA-SHA disk (\w+)').group(1) == hashlib.sha256(content).hexdigest()
        passed(m, 'rawdisk')
    assert disk.read_bytes() == content


def write_then_verify(tmp_path, guest, size, options='', device='', smp=1):
    disk = tmp_path / 'disk'
    with open(disk, 'wb') as file:
        file.truncate((size * 5 // 4 + 64) << 20)
    args = drive(disk, options, device)
    with linux(guest, 'disk', *args, smp=smp,
               append=f'myna.phase=write myna.mkfs=1 myna.mb={size}') as m:
        passed(m, 'disk', 60 + 3 * size)
        assert m.status() == 0
    with linux(guest, 'disk', *args, smp=smp, append='myna.phase=verify') as m:
        passed(m, 'disk', 60 + 3 * size)
        assert m.status() == 0


@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_files_persist(tmp_path, guest):
    write_then_verify(tmp_path, guest, 16)


@LONG
@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_500_megabytes_persist(tmp_path, guest):
    write_then_verify(tmp_path, guest, 500)


@LONG
@pytest.mark.parametrize('options', [
    ',cache=none', ',cache=directsync', ',cache=writethrough', ',cache=unsafe',
    ',aio=io_uring', ',aio=native,cache=none', ',aio=threads', ',discard=unmap'])
def test_cache_and_aio_modes(tmp_path, options):
    write_then_verify(tmp_path, 'cloud', 32, options)


@LONG
def test_multi_queue_on_iothread(tmp_path):
    disk = tmp_path / 'disk'
    with open(disk, 'wb') as file:
        file.truncate(128 << 20)
    args = ['-object', 'iothread,id=io0',
            *drive(disk, device=',num-queues=2,iothread=io0')]
    with linux('standard', 'disk', *args, smp=2,
               append='myna.phase=write myna.mkfs=1 myna.mb=48') as m:
        passed(m, 'disk', 240)


def test_read_only(tmp_path):
    disk = tmp_path / 'disk'
    disk.write_bytes(bytes(1 << 20))
    with linux('cloud', 'disk', *drive(disk, ',readonly=on'),
               append='myna.phase=write myna.mkfs=1 myna.mb=1') as m:
        m.wait('^MYNA-FAIL disk', 120)
    assert disk.read_bytes() == bytes(1 << 20)
