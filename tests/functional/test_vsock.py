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
from test_vhost_user import start

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

    def round_trip(self, data, port=5000, half=True):
        """`half`: our half of the stream ends first, then the other's."""
        client, digest, got = self.connect(port), hashlib.sha256(), 0
        sender = threading.Thread(target=lambda: (client.sendall(data), half and client.shutdown(socket.SHUT_WR)))
        sender.start()
        while (half or got < len(data)) and (block := client.recv(65536)):
            digest.update(block)
            got += len(block)
        sender.join()
        client.close()
        assert got == len(data)
        assert digest.digest() == hashlib.sha256(data).digest()


def linux(image, board, *words, append='', **kw):
    return Machine('x86_64', '-M', board, '-m', 256, '-kernel', guest_file(LINUX['cloud'].kernel), '-initrd', image,
                   '-append', f'console=ttyS0 myna.test=vsock {append}', '-no-reboot', *words, **kw)


def run(folder, image, board, *words):
    host = Host(folder / 'v.sock')
    with linux(image, board, *words) as m:
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
    host.server.close()


def test_both_directions(tmp_path, image):
    run(tmp_path, image, 'microvm', '-device', f'virtio-vsock-device,guest-cid=42,path={tmp_path}/v.sock')
    assert not (tmp_path / 'v.sock').exists()


@pytest.mark.long
def test_on_pci(tmp_path, image):
    run(tmp_path, image, 'q35', '-device', f'virtio-vsock-pci,guest-cid=42,path={tmp_path}/v.sock')


@pytest.mark.skipif(not shutil.which('vhost-device-vsock'), reason='vhost-device-vsock is not installed (a crate)')
def test_daemon(tmp_path, image):
    """A vhost-user back end, which ends a stream as a whole."""
    daemon = start(tmp_path / 's', 'vhost-device-vsock', '--guest-cid', 42, '--socket', tmp_path / 's', '--uds-path',
                   tmp_path / 'v.sock')
    host = Host(tmp_path / 'v.sock')
    try:
        with linux(image, 'q35', '-object', 'memory-backend-memfd,id=m,size=256M,share=on', '-machine', 'memory-backend=m',
                   '-chardev', f'socket,id=c,path={tmp_path}/s', '-device', 'vhost-user-vsock-pci,chardev=c',
                   append='myna.how=whole', qmp=True) as m:
            m.wait('MYNA-VSOCK listening', 60)
            host.round_trip(os.urandom(BIG), half=False)
            m.qmp('stop')
            m.qmp('cont')
            for _ in range(10):
                host.round_trip(os.urandom(20_000), half=False)
            last = host.connect(5000)
            last.sendall(b'quit')
            passed(m, 'vsock', 90)
            last.close()
            assert m.status() == 0
    finally:
        host.server.close()
        daemon.kill()
        daemon.wait()
