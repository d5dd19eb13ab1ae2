# SPDX-License-Identifier: Apache-2.0
"""virtio-net over user networking: DHCP, DNS, TCP in both directions, forwards."""

import hashlib
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from machine import linux, passed

LONG = pytest.mark.long


class Giver(threading.Thread):
    """A TCP server that hands `content` to its first client."""

    def __init__(self, content):
        super().__init__(daemon=True)
        self.content = content
        self.server = socket.create_server(('127.0.0.1', 0))
        self.port = self.server.getsockname()[1]
        self.start()

    def run(self):
        client, _ = self.server.accept()
        with client:
            client.sendall(self.content)
        self.server.close()


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


def name_to_look_up():
    """The mirror that this machine installs from: a name its resolver should know."""
    text = subprocess.run(['apt-get', 'indextargets', '--format', '$(SITE)'],
                          stdout=subprocess.PIPE, text=True).stdout
    site = re.search(r'://([^/:\s]+)', text)
    return site.group(1) if site else 'localhost'


def transfer(guest, megabytes, memory, smp=1):
    content = os.urandom(megabytes << 20)
    giver, port = Giver(content), free_port()
    net = ['-netdev', f'user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:5000,'
                      'guestfwd=tcp:10.0.2.100:7-cmd:cat',
           '-device', 'virtio-net-device,netdev=net0']
    append = (f'myna.down={giver.port} myna.up=5000 myna.mb={megabytes} '
              f'myna.dns={name_to_look_up()} myna.echo=10.0.2.100:7')
    with linux(guest, 'net', *net, append=append, memory=memory, smp=smp) as m:
        assert m.line(r'MYNA-IP (\S+)', 120).group(1) == '10.0.2.15'
        passed(m, 'dhcp')
        passed(m, 'dns')
        passed(m, 'guestfwd')
        digest = m.line(r'MYNA-SHA down (\w+)', 60 + 4 * megabytes).group(1)
        assert digest == hashlib.sha256(content).hexdigest(), 'host to guest'
        digest = m.line(r'MYNA-SHA up (\w+)', 60 + 4 * megabytes).group(1)
        m.wait('^MYNA-LISTENING')
        received = receive(port, megabytes << 20)
        assert hashlib.sha256(received).hexdigest() == digest, 'guest to host'
        passed(m, 'upload')
        assert m.status() == 0


def receive(port, size):
    """Everything the forwarded guest port sends; it may start to listen a little later."""
    for _ in range(50):
        received = bytearray()
        with socket.create_connection(('127.0.0.1', port), timeout=60) as client:
            while len(received) < size:
                try:
                    data = client.recv(1 << 20)
                except ConnectionResetError:
                    break
                if not data:
                    break
                received += data
        if received:
            break
        time.sleep(0.2)
    return received


@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_user_network(guest):
    transfer(guest, 8, 512)


@LONG
@pytest.mark.parametrize('guest', ['cloud', 'standard', 'riscv64'])
def test_200_megabytes(guest):
    transfer(guest, 200, 1024, smp=2)


def test_restrict():
    """restrict=on keeps the guest from the host."""
    giver = Giver(b'secret')
    net = ['-netdev', 'user,id=net0,restrict=on', '-device', 'virtio-net-device,netdev=net0']
    with linux('cloud', 'net', *net, append=f'myna.down={giver.port}') as m:
        passed(m, 'dhcp')
        digest = m.line(r'MYNA-SHA down (\w+)', 120).group(1)
        assert digest == hashlib.sha256(b'').hexdigest()
