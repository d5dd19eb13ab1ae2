# SPDX-License-Identifier: Apache-2.0
"""What comes and goes in a Linux guest that is busy with a disk, the network and its CPUs. Sticks: test_usb.py."""

import re
import socket
import threading

import pytest

from machine import linux
from test_hotplug import MEMORY, Shell, no_acpi_errors, wait_memory

LONG = pytest.param(200, marks=pytest.mark.long)


class Sink:
    """Takes what guests send to a port of the host, `most` bytes of each stream."""

    def __init__(self, most):
        self.bytes, self.most = 0, most
        self.server = socket.create_server(('127.0.0.1', 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.take, args=(peer,), daemon=True).start()

    def take(self, peer):
        end = self.bytes + self.most
        with peer:
            try:
                while self.bytes < end and (data := peer.recv(1 << 16)):
                    self.bytes += len(data)
            except OSError:
                pass            # the card went in the middle


class Busy:
    """A guest with a disk that is read, a stream that leads out, and a loop that never ends."""

    def __init__(self, folder, *args, memory=512, smp='2', append=''):
        self.sink, self.endless = Sink(2_000_000), Sink(1 << 60)
        disk = folder / 'busy'
        disk.write_bytes(bytes(32 << 20))
        self.m = linux('cloud', 'shell', '-blockdev', f'file,node-name=busy,filename={disk},read-only=on', '-device',
                       'virtio-blk-pci,drive=busy', '-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,romfile=',
                       *args, board='q35', qmp=True, memory=memory, smp=smp, append=append)

    def start(self):
        self.sh = sh = Shell(self.m)
        sh('load virtio_pci virtio_blk virtio_net af_packet; wait_for /sys/class/net/eth0; ip link set eth0 up;'
           ' ip addr add 10.0.2.15/24 dev eth0 2>/dev/null; true')
        sh('while :; do dd if=/dev/vda of=/tmp/copy bs=64k count=128 2>/dev/null && echo >>/tmp/copies; done &')
        sh(f'while :; do head -c 2000000 /dev/zero | nc 10.0.2.2 {self.sink.port}; usleep 20000; done >/dev/null 2>&1 &')
        sh('(while :; do :; done) & usleep 300000')
        return sh

    def check(self, rounds):
        """All of it went on, and Linux has nothing to complain of."""
        assert int(re.search(r'(\d+)\s*$', self.sh('wc -l </tmp/copies')).group(1)) > rounds // 4
        assert self.sink.bytes > rounds * 20000
        no_acpi_errors(self.m)
        bad = re.search(r'(Hardware error|soft lockup|blocked for more|rcu.*stall).*', self.m.serial.text)
        assert not bad, bad.group(0)

    def gone(self, name):
        while self.m.qmp.event('DEVICE_DELETED', 60)['data'].get('device') != name:
            pass
        self.m.qmp.events.clear()


def plug_disk(b, spare, **where):
    b.m.qmp('blockdev-add', driver='file', node_name='d', filename=str(spare), read_only=True)
    b.m.qmp('device_add', driver='virtio-blk-pci', id='disk', drive='d', **where)


def use_disk(b):
    b.sh('n=0; until head -c 70000 /dev/vdb 2>/dev/null | grep -q plugged || [ $n = 200 ]; do usleep 50000; n=$((n+1));'
         ' done; [ $n -lt 200 ]; (while dd if=/dev/vdb of=/dev/null bs=64k; do :; done) >/dev/null 2>&1 &')


def end_disk(b):
    b.m.qmp('blockdev-del', node_name='d')
    b.sh('n=0; while [ -e /dev/vdb ] && [ $n -lt 200 ]; do usleep 50000; n=$((n+1)); done; [ ! -e /dev/vdb ]')


def plug_nic(b, **where):
    b.m.qmp('netdev_add', type='user', id='n', net='10.0.3.0/24')
    b.m.qmp('device_add', driver='virtio-net-pci', id='net', netdev='n', romfile='', **where)


def use_nic(b):
    # Its folder is there a moment before the card.
    b.sh('n=0; until ip link set eth1 up 2>/dev/null || [ $n = 200 ]; do usleep 50000; n=$((n+1)); done;'
         ' ip addr add 10.0.3.15/24 dev eth1 && ping -c 1 -W 10 10.0.3.2 && '
         f'(nc 10.0.3.2 {b.endless.port} </dev/zero >/dev/null 2>&1 &)')


def end_nic(b):
    b.m.qmp('netdev_del', id='n')
    b.sh('[ ! -e /sys/class/net/eth1 ]; killall nc; true')


PORTS = ['-device', 'pcie-root-port,id=p,chassis=1', '-device', 'pcie-root-port,id=p2,chassis=2']
NATIVE = ['-global', 'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off']


@pytest.fixture
def spare(tmp_path):
    path = tmp_path / 'spare'
    path.write_bytes(b'plugged' * 100000)
    return path


@pytest.mark.parametrize('rounds', [LONG])
def test_disk(tmp_path, spare, rounds):
    """By ACPI; it is read while it goes."""
    b = Busy(tmp_path, *PORTS)
    with b.m as m:
        b.start()
        for _ in range(rounds):
            plug_disk(b, spare, bus='p')
            use_disk(b)
            m.qmp('device_del', id='disk')
            b.gone('disk')
            end_disk(b)
        b.check(rounds)


@pytest.mark.parametrize('rounds', [LONG])
def test_nic(tmp_path, rounds):
    """By ACPI; it sends while it goes."""
    b = Busy(tmp_path, *PORTS)
    with b.m as m:
        b.start()
        for _ in range(rounds):
            plug_nic(b, bus='p')
            use_nic(b)
            m.qmp('device_del', id='net')
            b.gone('net')
            end_nic(b)
        b.check(rounds)


@pytest.mark.parametrize('rounds', [1, LONG])
def test_native(tmp_path, spare, rounds):
    """A disk and a card at once, by the ports' own registers; each takes the button's five seconds."""
    b = Busy(tmp_path, *PORTS, *NATIVE)
    with b.m as m:
        b.start()
        for _ in range(rounds):
            plug_disk(b, spare, bus='p')
            plug_nic(b, bus='p2')
            use_disk(b)
            use_nic(b)
            m.qmp('device_del', id='disk')
            m.qmp('device_del', id='net')
            left = {'disk', 'net'}
            while left:
                left.discard(m.qmp.event('DEVICE_DELETED', 60)['data'].get('device'))
            m.qmp.events.clear()
            end_disk(b)
            end_nic(b)
        b.check(rounds)


@pytest.mark.parametrize('rounds', [2, LONG])
def test_cpu(tmp_path, rounds):
    b = Busy(tmp_path, smp='2,maxcpus=3')
    with b.m as m:
        sh = b.start()
        free = next(s for s in m.qmp('query-hotpluggable-cpus') if 'qom-path' not in s)
        cpu = '/sys/devices/system/cpu/cpu2/online'
        for _ in range(rounds):
            m.qmp('device_add', driver=free['type'], id='cpu', **free['props'])
            sh(f'wait_for {cpu}; [ "$(cat {cpu})" = 1 ] || echo 1 >{cpu}')
            sh('(while :; do :; done) & taskset -p 4 $! >/dev/null; usleep 100000')
            m.qmp('device_del', id='cpu')
            b.gone('cpu')
            sh('[ "$(nproc)" = 2 ]')
        b.check(rounds)


@pytest.mark.parametrize('rounds', [LONG])
def test_dimm(tmp_path, rounds):
    """Pages move out of it while they are written."""
    b = Busy(tmp_path, memory='512,slots=2,maxmem=2G', append='memhp_default_state=online_movable')
    with b.m as m:
        sh = b.start()
        base = int(re.search(r'(\d+)\s*$', sh(f'echo {MEMORY}')).group(1))
        for _ in range(rounds):
            m.qmp('object-add', qom_type='memory-backend-ram', id='mem1', size=128 << 20)
            m.qmp('device_add', driver='pc-dimm', id='dimm', memdev='mem1')
            wait_memory(sh, f'-gt {base + 100000}')
            sh('head -c 20000000 /dev/zero >/tmp/more; usleep 50000')
            m.qmp('device_del', id='dimm')
            b.gone('dimm')
            m.qmp('object-del', id='mem1')
            wait_memory(sh, f'-lt {base + 1000}')
        b.check(rounds)
