# SPDX-License-Identifier: Apache-2.0
"""Debian's userland from a disk image, with its own init: compilers, languages, databases."""

import subprocess

import pytest

from machine import GUESTS, SOURCE, linux, passed

pytestmark = pytest.mark.long
ARCH = {'cloud': 'amd64', 'riscv64': 'riscv64'}
CHECKS = ['init', 'gcc', 'perl', 'python', 'openssl', 'sqlite', 'files']


@pytest.fixture(scope='session', params=ARCH)
def image(request, tmp_path_factory):
    """A copy of the guest's disk image, made first if there is none (needs root)."""
    arch = ARCH[request.param]
    master = GUESTS / f'disk-{arch}.img'
    if not master.exists():
        subprocess.run([SOURCE / 'scripts' / 'make-disk', arch, '-o', master], check=True)
    copy = tmp_path_factory.mktemp('disk') / 'disk'
    subprocess.run(['cp', '--sparse=always', master, copy], check=True)
    yield request.param, copy
    copy.unlink()


def boot(guest, disk, checks, append=''):
    """Boots the userland, which runs the checks and powers off."""
    return linux(guest, 'root', '-drive', f'if=none,id=d,format=raw,file={disk}', '-device',
                 'virtio-blk-device,drive=d', '-netdev', 'user,id=n', '-device',
                 'virtio-net-device,netdev=n', memory=1536, smp=2,
                 append=f'{append} myna.user={",".join(checks)} '
                        'systemd.mask=serial-getty@ttyS0.service')


def test_userland(image):
    guest, disk = image
    with boot(guest, disk, CHECKS, 'myna.phase=write myna.mb=500') as m:
        m.wait('MYNA-RUN init', 600)
        for check in CHECKS:
            passed(m, check, 1200)
        assert m.status(300) == 0
    with boot(guest, disk, ['files'], 'myna.phase=verify') as m:
        passed(m, 'files', 900)
        assert m.status(300) == 0
