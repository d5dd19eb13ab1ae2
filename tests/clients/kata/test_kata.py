# SPDX-License-Identifier: Apache-2.0
"""Kata Containers' govmm, unmodified, drives Myna: its Go tests, one after the other."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from machine import GUESTS, SOURCE, make_initramfs

HERE = Path(__file__).resolve().parent
MODULES = '''virtio_pci virtio_blk virtio_net virtio_rng virtio_console virtio_scsi sd_mod virtiofs
    vmw_vsock_virtio_transport af_packet virtio_balloon'''.split()
GO = shutil.which('go') or '/usr/local/go/bin/go'


@pytest.fixture(scope='module')
def environment(tmp_path_factory):
    if not Path(GO).exists():
        pytest.skip('go is not installed')
    done = subprocess.run([GO, 'mod', 'download'], cwd=HERE, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)
    if done.returncode:
        pytest.skip(f'the module proxy does not give govmm: {done.stdout.strip()}')
    folder = tmp_path_factory.mktemp('kata')
    emulator = folder / 'qemu-system-x86_64'
    emulator.symlink_to(Path(os.environ.get('MYNA') or SOURCE / 'build' / 'myna').absolute())
    make_initramfs(folder / 'initrd', 'cloud', '--modules', ','.join(MODULES))
    return {**os.environ, 'MYNA_QEMU': str(emulator), 'MYNA_INITRD': str(folder / 'initrd'),
            'MYNA_KERNEL': str(GUESTS / 'cloud-amd64' / 'vmlinuz')}


TESTS = re.findall(r'^func (Test\w+)\(', (HERE / 'kata_test.go').read_text(), re.M)


@pytest.mark.long                  # (downloads, where nobody did before)
@pytest.mark.parametrize('name', TESTS)
def test_govmm(environment, name):
    done = subprocess.run([GO, 'test', '-count=1', '-v', '-run', f'^{name}$', './...'], cwd=HERE, text=True,
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, done.stdout
    if '--- SKIP' in done.stdout:
        pytest.skip(done.stdout.strip())
