# SPDX-License-Identifier: Apache-2.0
"""Virtio sockets: streams between a Linux guest and unix sockets, in both directions."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from machine import LINUX, SOURCE, Machine, guest_file, make_initramfs, passed

BIG = 10_000_000


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    """An initramfs with the guest's half of the test."""
    if not shutil.which('gcc'):
        pytest.skip('gcc is not installed')
    folder = tmp_path_factory.mktemp('vsock')
    subprocess.run(['gcc', '-static', '-O2', '-o', folder / 'vsock',
                    SOURCE / 'tests' / 'guests' / 'linux' / 'vsock.c'], check=True)
    return make_initramfs(folder / 'image', 'cloud', '--modules', 'virtio_mmio,virtio_pci,vmw_vsock_virtio_transport',
                          '--add', folder / 'vsock')


class Host:
    """The host's side: an echo server at PATH_PORT, and connections to the guest at PATH."""

    def __init__(self, path):
        self.path = path
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(f'{path}_6000')
        self.server.listen(128)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(client,), daemon=True).start()

    @staticmethod
    def echo(client):
        with client:
            while data := client.recv(65536):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def connect(self, port):
        """Firecracker's handshake; None: refused."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(str(self.path))
        client.sendall(f'CONNECT {port}\n'.encode())
        answer = b''
        while not answer.endswith(b'\n'):
            byte = client.recv(1)
            if not byte:
                client.close()
                return None
            answer += byte
        assert re.fullmatch(rb'OK \d+\n', answer)
        return client

    def round_trip(self, data, port=5000):
        client, digest, got = self.connect(port), hashlib.sha256(), 0
        sender = threading.Thread(target=lambda: (client.sendall(data),
                                                  client.shutdown(socket.SHUT_WR)))
        sender.start()
        while block := client.recv(65536):
            digest.update(block)
            got += len(block)
        sender.join()
        client.close()
        assert got == len(data)
        assert digest.digest() == hashlib.sha256(data).digest()


def run(folder, image, board, device):
    path = folder / 'v.sock'
    host = Host(path)
    with Machine('x86_64', '-M', board, '-m', 256, '-kernel', guest_file(LINUX['cloud'].kernel),
                 '-initrd', image, '-append', 'console=ttyS0 myna.test=vsock', '-no-reboot',
                 '-device', f'{device},guest-cid=42,path={path}') as m:
        m.wait('MYNA-VSOCK listening', 60)
        assert host.connect(5001) is None           # nobody listens there
        host.round_trip(os.urandom(BIG))
        clients = [threading.Thread(target=host.round_trip, args=(os.urandom(20_000),))
                   for _ in range(40)]
        for c in clients:
            c.start()
        for c in clients:
            c.join()
        abandoned = host.connect(5000)              # closed with data under way
        abandoned.sendall(bytes(100_000))
        abandoned.close()
        host.connect(5000).sendall(b'quit')
        passed(m, 'vsock', 90)
        assert m.status() == 0
    assert not path.exists()
    host.server.close()


def test_both_directions(tmp_path, image):
    run(tmp_path, image, 'microvm', 'virtio-vsock-device')


@pytest.mark.long
def test_on_pci(tmp_path, image):
    run(tmp_path, image, 'q35', 'virtio-vsock-pci')
