# SPDX-License-Identifier: Apache-2.0
"""passt, a network without rights: as a vhost-user back end and as what -netdev passt starts."""

import hashlib
import os
import shutil
import subprocess

import pytest

from machine import GUESTS, LINUX, Machine, guest_file, linux, passed, script_image
from test_net import Giver, free_port, receive
from test_vhost_user import shared, start

# As tests/guest/net, but the guest does not end its half of a stream first: passt 2025-05 then ends the stream
# before all has come.
SCRIPT = '''load virtio_pci virtio_net af_packet
mount -t tmpfs -o size=90% tmp /tmp
wait_for /sys/class/net/eth0
udhcpc -i eth0 -s /etc/udhcpc.script -n -q -t 5 -T 2 || failed passt "no lease"
echo "MYNA-IP $(ip -4 -o addr show dev eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/')"
sleep 3 | nc 10.0.2.2 "$myna_down" >/tmp/down
set -- $(sha256sum </tmp/down)
echo "MYNA-SHA down $1"
echo MYNA-LISTENING
nc -l -p 5000 </tmp/down >/dev/null
passed passt
'''

pytestmark = [pytest.mark.myna, pytest.mark.long]


@pytest.fixture(scope='module')
def passt(tmp_path_factory):
    """passt, the host's or that of a newer Debian with its C library (scripts/fetch-guests)."""
    own = shutil.which('passt')
    if own and 'vhost-user' in subprocess.run([own, '--help'], capture_output=True, text=True).stdout:
        return own
    program, libc = GUESTS / 'passt' / 'passt', GUESTS / 'passt-libc'
    if not program.exists() or not libc.exists():
        pytest.skip('there is no passt that speaks vhost-user; run scripts/fetch-guests')
    path = tmp_path_factory.mktemp('passt') / 'passt'
    path.write_text(f'#!/bin/sh\nexec {libc}/ld-linux-x86-64.so.2 --library-path {libc} {program} "$@"\n')
    path.chmod(0o755)
    return path


ADDRESSES = ['--address', '10.0.2.15', '--netmask', '255.255.255.0', '--gateway', '10.0.2.2', '--ipv4-only']


def same(words):
    """The same as options of -netdev passt."""
    return ','.join(f'{k[2:]}={v}' for k, v in zip(words[:6:2], words[1:6:2])) + ',ipv6=off'


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    return script_image(tmp_path_factory.mktemp('image'), 'cloud', 'virtio_pci,virtio_net,af_packet', 'passt', SCRIPT)


def transfer(image, words, up, megabytes=8):
    """DHCP, and TCP in both directions, each begun by the other side."""
    content = os.urandom(megabytes << 20)
    giver = Giver(content)
    with Machine('x86_64', '-M', 'q35', *shared(512), '-kernel', guest_file(LINUX['cloud'].kernel), '-initrd',
                 image, '-append', f'console=ttyS0 quiet myna.test=passt myna.down={giver.port}', '-no-reboot', *words) as m:
        assert m.line(r'MYNA-IP (\S+)', 120).group(1) == '10.0.2.15'
        assert m.line(r'MYNA-SHA down (\w+)', 90).group(1) == hashlib.sha256(content).hexdigest()
        m.wait('^MYNA-LISTENING')
        assert receive(up, megabytes << 20) == content
        passed(m, 'passt')
        assert m.status() == 0


def test_vhost_user(tmp_path, image, passt):
    sock, up = tmp_path / 's', free_port()
    daemon = start(sock, passt, '--foreground', '--vhost-user', '--socket', sock, '--runas', '0', *ADDRESSES,
                   '--tcp-ports', f'127.0.0.1/{up}:5000')
    try:
        transfer(image, ['-chardev', f'socket,id=c,path={sock}', '-netdev', 'vhost-user,id=n,chardev=c', '-device',
                  'virtio-net-pci,netdev=n'], up)
    finally:
        daemon.kill()
        daemon.wait()


@pytest.mark.parametrize('more', ['', ',vhost-user=on'])
def test_started_by_us(image, passt, more):
    up = free_port()
    before = running(passt)
    transfer(image, ['-netdev', f'passt,id=n,path={passt},{same(ADDRESSES)},tcp-ports=127.0.0.1/{up}:5000{more}', '-device',
              'virtio-net-pci,netdev=n'], up)
    for _ in range(100):
        if running(passt) == before:
            return
        subprocess.run(['sleep', '0.1'], check=True)
    raise AssertionError('passt outlives the machine')


def running(passt):
    """Process numbers of passt."""
    lines = subprocess.run(['ps', '-eo', 'pid,args'], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[0] for line in lines if 'passt' in line and '--fd' in line and 'ps -eo' not in line}


def test_refusals(passt):
    for words, message in [('mtu=70000', '0 to 65535 work'), ('path=/nonexistent', '/nonexistent'),
                           (f'path={passt},address=no.address', 'did not start'),
                           ('ipv4=off,ipv6=off', 'leave nothing')]:
        with linux('cloud', 'boot', '-netdev', f'passt,id=n,{words}') as m:
            assert m.status() == 1
            assert message in m.errors.text
