# SPDX-License-Identifier: Apache-2.0
"""The kernel's vhost-net and vhost-vsock, by a library that stands in for them (tests/lib/vhost-kernel.c): Linux
guests ping and transfer over a tap interface in a network namespace, and stream through sockets."""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from machine import GUESTS, LINUX, SOURCE, Machine, guest_file, make_initramfs, passed, script_image, wait_file

DOWN = bytes(range(251)) * 8000
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x400454ca, 2, 0x1000, 0x4000, 0x100
NET = '''load virtio_pci virtio_mmio virtio_net
mkdir -p /tmp && mount -t tmpfs tmp /tmp
carrier() { until [ "$(cat /sys/class/net/eth0/carrier)" = $1 ]; do usleep 20000; done; }
round() {
    wait_for /sys/class/net/eth0 && ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up
    ping -c 2 -i 0.2 10.9.0.1 >/dev/null && ping -c 2 -i 0.2 -s 1400 10.9.0.1 >/dev/null || failed vhostnet "$1: no answer"
    set -- $1 $(nc 10.9.0.1 7001 </dev/null | sha256sum)
    [ "$2" = "$myna_sha" ] || failed vhostnet "$1: other bytes"
    nc 10.9.0.1 7002 </bin/busybox >/dev/null
    echo "MYNA-ROUND $1"
}
round first
[ -z "$myna_more" ] && passed vhostnet && return
carrier 0; echo MYNA-DOWN; carrier 1
round up
while [ -e /sys/class/net/eth0 ]; do usleep 20000; done
echo MYNA-UNPLUGGED
round plugged
passed vhostnet
read -r line
'''

pytestmark = [pytest.mark.myna,
              pytest.mark.skipif(not shutil.which('gcc'), reason='gcc is not installed'),
              pytest.mark.skipif(os.getuid() or not os.path.exists('/dev/net/tun') or not shutil.which('ip'),
                                 reason='needs root, /dev/net/tun and ip')]


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp('lib') / 'vhost-kernel.so'
    subprocess.run(['gcc', '-shared', '-fPIC', '-O2', '-o', path, SOURCE / 'tests' / 'lib' / 'vhost-kernel.c',
                    '-lpthread'], check=True)
    return path


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    return script_image(tmp_path_factory.mktemp('image'), 'cloud', 'virtio_pci,virtio_mmio,virtio_net', 'vhostnet', NET)


@contextlib.contextmanager
def namespace():
    """This thread, and what it starts, in a network namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
    assert libc.unshare(0x40000000) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        libc.setns(home, 0)
        os.close(home)


class Host:
    """The host's end of the cable: tap interface `tapk` with an address and two servers."""

    def __init__(self, queues):
        for line in (f'tuntap add tapk mode tap {"multi_queue" if queues > 1 else ""}', 'addr add 10.9.0.1/24 dev tapk',
                     'link set tapk up'):
            subprocess.run(['ip', *line.split()], check=True)
        self.received = []
        for port, serve in ((7001, self.give), (7002, self.take)):
            server = socket.create_server(('10.9.0.1', port))
            threading.Thread(target=serve, args=(server,), daemon=True).start()

    @staticmethod
    def give(server):
        while True:
            client, _ = server.accept()
            with client:
                client.sendall(DOWN)

    def take(self, server):
        while True:
            client, _ = server.accept()
            digest = hashlib.sha256()
            with client:
                while data := client.recv(65536):
                    digest.update(data)
                self.received.append(digest.hexdigest())


def ends(path):
    """Packets of each time that a ring served, by ring."""
    words = [line.split() for line in path.read_text().splitlines()]
    return [(int(w[1]), int(w[2])) for w in words if w[0] == 'end']


def begins(path):
    return sum(line.startswith('begin') for line in path.read_text().splitlines())


@contextlib.contextmanager
def guest(monkeypatch, library, image, log, device, netdev, *words, more=''):
    log.touch()
    monkeypatch.setenv('VHOST_LOG', str(log))
    monkeypatch.setenv('LD_PRELOAD', str(library))
    sha = hashlib.sha256(DOWN).hexdigest()
    m = Machine('x86_64', '-M', 'q35', '-m', 256, '-smp', 2, '-kernel', guest_file(LINUX['cloud'].kernel), '-initrd', image,
                '-append', f'console=ttyS0 quiet myna.test=vhostnet myna.sha={sha} {more}', *words, '-netdev', netdev,
                '-device', f'{device},netdev=n,id=nic', qmp=True)
    monkeypatch.delenv('LD_PRELOAD')
    with m:
        yield m


TAP = 'tap,id=n,ifname=tapk,script=no,downscript=no,vhost=on'


@pytest.mark.parametrize('device,netdev,queues', [
    ('virtio-net-pci', '', 1),
    ('virtio-net-pci,mq=on,vectors=6', ',queues=2', 2),
    pytest.param('virtio-net-pci,disable-modern=on,disable-legacy=off', ',vhostforce=on', 1, marks=pytest.mark.long),
    pytest.param('virtio-net-pci,disable-modern=on,disable-legacy=off,mrg_rxbuf=off', ',vnet_hdr=off', 1,
                 marks=pytest.mark.long),
    pytest.param('virtio-net-pci,packed=on', ',vnet_hdr=off,poll-us=50', 1, marks=pytest.mark.long),
])
def test_network(tmp_path, monkeypatch, library, image, device, netdev, queues):
    """Transfers in both directions; the machine is reset, and does it again."""
    log = tmp_path / 'log'
    with namespace():
        host = Host(queues)
        with guest(monkeypatch, library, image, log, device, TAP + netdev) as m:
            m.line('MYNA-ROUND first', 90)
            m.qmp('stop')
            before = ends(log)
            assert sum(n for ring, n in before if ring == 0) > 100 < sum(n for ring, n in before if ring == 1)
            started = begins(log)
            assert started == len(before) >= 2
            m.qmp('cont')
            assert begins(log) == 2 * started
            m.qmp('system_reset')
            m.line('MYNA-ROUND first', 90)
            passed(m, 'vhostnet')
            assert begins(log) == 3 * started
            if 'poll-us' in netdev:
                assert 'poll 1 50' in log.read_text()
            assert 'warning' not in m.errors.text
    busybox = hashlib.sha256((GUESTS / 'busybox-amd64').read_bytes()).hexdigest()
    assert host.received == [busybox, busybox]
    assert 'error' not in log.read_text()


@pytest.mark.parametrize('ring', ['0', '1'])
def test_kernel_that_refuses(tmp_path, monkeypatch, library, image, ring):
    """The kernel takes no interface, or only for one direction: packets are moved here."""
    log = tmp_path / 'log'
    monkeypatch.setenv('VHOST_REFUSE', ring)
    with namespace():
        host = Host(1)
        with guest(monkeypatch, library, image, log, 'virtio-net-pci', TAP) as m:
            passed(m, 'vhostnet', 90)
            assert 'Myna moves its packets itself' in m.errors.text
    assert begins(log) == len(ends(log)) == int(ring)
    assert len(host.received) == 1


def open_tap():
    tap = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack('16sH22x', b'tapk', IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    return tap


def hand_over(m, name, fd):
    socket.send_fds(m.qmp.socket, [json.dumps({'execute': 'getfd', 'arguments': {'fdname': name}}).encode()], [fd])
    assert m.qmp.receive() == {'return': {}}
    os.close(fd)


def test_cable_and_plugs(tmp_path, monkeypatch, library, image):
    """The cable is pulled and put in; the card is unplugged and one with given descriptors plugged; the netdev goes
    while the card is at work."""
    log = tmp_path / 'log'
    with namespace():
        host = Host(1)
        with guest(monkeypatch, library, image, log, 'virtio-net-pci,bus=port', TAP, '-device',
                   'pcie-root-port,id=port,slot=1', more='myna.more=1') as m:
            m.line('MYNA-ROUND first', 90)
            m.qmp('set_link', name='nic', up=False)
            m.line('MYNA-DOWN', 60)
            assert begins(log) == len(ends(log)) == 2
            m.qmp('set_link', name='nic', up=True)
            m.line('MYNA-ROUND up', 90)
            assert begins(log) == 4
            m.qmp('device_del', id='nic')
            assert m.qmp.event('DEVICE_DELETED')['data'].get('device') == 'nic'
            m.line('MYNA-UNPLUGGED', 60)
            assert len(ends(log)) == 4
            m.qmp('netdev_del', id='n')
            hand_over(m, 'fd0', open_tap())
            hand_over(m, 'vhostfd0', os.memfd_create('vhost-net'))
            m.qmp('netdev_add', type='tap', id='network-0', fds='fd0', vhost=True, vhostfds='vhostfd0')
            m.qmp('device_add', driver='virtio-net-pci', id='nic', netdev='network-0', bus='port', mq='on')
            passed(m, 'vhostnet')
            assert begins(log) == 6
            m.qmp('netdev_del', id='network-0')
            assert len(ends(log)) == 6
    assert len(host.received) == 3 and len(set(host.received)) == 1
    assert 'error' not in log.read_text()


VSOCK = '''load virtio_pci vmw_vsock_virtio_transport
echo MYNA-WAITING
until ls /sys/bus/virtio/drivers/vmw_vsock_virtio_transport/virtio* >/dev/null 2>&1; do usleep 50000; done
vsock connect 2 6000 && echo MYNA-ROUND || failed vhostvsock "connect: $?"
sleep 1
vsock connect 2 6000 && passed vhostvsock || failed vhostvsock "connect: $?"
[ -n "$myna_more" ] && read -r line
'''


@pytest.mark.parametrize('plugged', [False, True])
def test_sockets(tmp_path, monkeypatch, library, plugged):
    """Many streams to the host and back; the machine stands in between. The device is there from the start, or is
    plugged with a given descriptor, and unplugged."""
    (tmp_path / 'overlay' / 'tests').mkdir(parents=True)
    (tmp_path / 'overlay' / 'tests' / 'vhostvsock').write_text(VSOCK)
    subprocess.run(['gcc', '-static', '-O2', '-o', tmp_path / 'vsock',
                    SOURCE / 'tests' / 'guests' / 'linux' / 'vsock.c'], check=True)
    image = make_initramfs(tmp_path / 'image', 'cloud', '--modules', 'virtio_pci,vmw_vsock_virtio_transport', '--add',
                           tmp_path / 'vsock', '--overlay', tmp_path / 'overlay')
    log = tmp_path / 'log'
    monkeypatch.setenv('VHOST_LOG', str(log))
    monkeypatch.setenv('LD_PRELOAD', str(library))
    device = ['-device', 'pcie-root-port,id=port,slot=1'] if plugged else ['-device', 'vhost-vsock-pci,guest-cid=42']
    with Machine('x86_64', '-M', 'q35', '-m', 256, '-kernel', guest_file(LINUX['cloud'].kernel), '-initrd', image,
                 '-append', 'console=ttyS0 quiet myna.test=vhostvsock ' + ('myna.more=1' if plugged else ''), '-no-reboot', *device, qmp=True) as m:
        monkeypatch.delenv('LD_PRELOAD')
        if plugged:
            m.line('MYNA-WAITING', 60)
            hand_over(m, 'vhostfd', os.memfd_create('vhost-vsock'))
            m.qmp('device_add', driver='vhost-vsock-pci', id='vsock', guest_cid='42', vhostfd='vhostfd', bus='port')
        m.line('MYNA-ROUND', 90)
        m.qmp('stop')
        m.qmp('cont')
        passed(m, 'vhostvsock', 90)
        if plugged:
            m.qmp('device_del', id='vsock')
            assert m.qmp.event('DEVICE_DELETED')['data'].get('device') == 'vsock'
            m.send('\n')
        assert m.status() == 0
    assert begins(log) == 2
    assert 'error' not in wait_file(log, 'end vsock')


@pytest.mark.skipif(os.path.exists('/dev/vhost-net'), reason='the host has vhost-net')
def test_without_it(tmp_path):
    """A warning, or with vhostforce=on an error, both saying what mends it; and what makes no sense."""
    with namespace():
        with Machine('x86_64', '-M', 'q35', '-m', 64, '-netdev', TAP, '-device', 'virtio-net-pci,netdev=n', qmp=True) as m:
            assert m.qmp('query-status')['running']
            assert 'warning: ' in m.errors.text and 'modprobe vhost_net' in m.errors.text
        for words, message in [
                (',vhostforce=on', 'modprobe vhost_net'),
                (',vhostfds=9', "invalid if fds= wasn't specified"),
                (',vhost=off,vhostfd=9', 'not valid without vhost')]:
            with Machine('x86_64', '-M', 'q35', '-m', 64, '-netdev', TAP + words) as m:
                assert m.status() == 1
                assert message in m.errors.text
