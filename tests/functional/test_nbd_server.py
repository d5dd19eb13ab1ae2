# SPDX-License-Identifier: Apache-2.0
"""Disks served by NBD: by qemu-nbd's command line and by QMP, to Debian's tools and to our own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from machine import SOURCE, Machine, QmpError

pytestmark = [pytest.mark.myna,
              pytest.mark.skipif(not shutil.which('qemu-img'), reason='needs qemu-utils')]
MYNA = os.environ.get('MYNA') or str(SOURCE / 'build' / 'myna')


def run(*args, status=0):
    done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextlib.contextmanager
def serve(sock, *args):
    server = subprocess.Popen([MYNA, 'nbd', '-k', sock, *map(str, args)], stderr=subprocess.PIPE)
    try:
        for _ in range(200):
            if sock.exists() or server.poll() is not None:
                break
            time.sleep(0.02)
        yield server
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / 'raw'
    path.write_bytes(os.urandom(1 << 20) + bytes(1 << 20))
    return path


@pytest.mark.parametrize('client', [['qemu-io'], [MYNA, 'io']])
def test_requests(tmp_path, raw, client):
    sock = tmp_path / 's'
    with serve(sock, '-f', 'raw', '-t', '-e', '0', '-x', 'disk', raw):
        uri = f'nbd+unix:///disk?socket={sock}'
        run(*client, '-f', 'raw', '-c', 'write -P 7 64k 100k', '-c', 'write -P 8 1000 3', '-c', 'write -z 256k 64k',
            '-c', 'discard 512k 64k', '-c', 'write -f -P 9 2097151 1', '-c', 'flush', '-c', 'read -P 7 64k 100k',
            '-c', 'read -P 0 256k 64k', uri)
        assert raw.read_bytes()[65536:65536 + 102400] == bytes([7]) * 102400
        assert raw.read_bytes()[1000:1003] == b'\x08' * 3 and raw.read_bytes()[-1] == 9
        run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', raw, uri)
        run(MYNA, 'img', 'compare', '-U', '-f', 'raw', '-F', 'raw', raw, uri)
        back = tmp_path / 'back'
        run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', uri, back)
        assert back.read_bytes() == raw.read_bytes()
        assert 'not present' in run(MYNA, 'io', '-f', 'raw', '-c', 'length', f'nbd+unix:///none?socket={sock}',
                                    status=1)


def test_read_only_part_and_end(tmp_path, raw):
    sock, disk = tmp_path / 's', tmp_path / 'disk'
    with serve(sock, '-f', 'raw', '-r', '-o', '512k', raw) as server:
        run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', f'nbd+unix://?socket={sock}', disk)
        assert disk.read_bytes() == raw.read_bytes()[512 << 10:]
        assert server.wait(10) == 0                             # the last client went
        assert not sock.exists()
    with serve(sock, '-f', 'raw', '-r', '-t', raw) as server:
        run('qemu-io', '-f', 'raw', '-c', 'write 0 1k', f'nbd+unix://?socket={sock}', status=1)
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


def test_list_is_the_same(tmp_path, raw):
    sock = tmp_path / 's'
    with serve(sock, '-f', 'raw', '-t', '-x', 'one', '-D', 'some words', raw):
        ours = run(MYNA, 'nbd', '--list', '-k', sock)
        assert ours == run('qemu-nbd', '--list', '-k', sock)
        assert "export: 'one'" in ours and 'description: some words' in ours and 'size:  2097152' in ours
    assert 'qemu-nbd: ' in run(MYNA, 'nbd', '--list', '-k', sock, status=1)


def test_holes_are_told(tmp_path):
    image, sock = tmp_path / 'image', tmp_path / 's'
    run(MYNA, 'img', 'create', '-q', '-f', 'qcow2', image, '8M')
    run(MYNA, 'io', '-f', 'qcow2', '-c', 'write 1M 1M', '-c', 'write -z 4M 64k', image)
    with serve(sock, '-f', 'qcow2', '-r', '-t', '-o', '512k', image):
        uri = f'nbd+unix://?socket={sock}'
        mapped = json.loads(run('qemu-img', 'map', '--output=json', '-f', 'raw', uri))
        assert [(e['start'] >> 10, e['length'] >> 10, e['data'], e['zero']) for e in mapped] == [
            (0, 512, False, True), (512, 1024, True, False), (1536, 6144, False, True)]
        small = tmp_path / 'small'
        run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', uri, small)
        assert small.stat().st_size < 2 << 20
        if shutil.which('nbdinfo'):
            assert 'base:allocation' in run('nbdinfo', uri)
            assert 'hole,zero' in run('nbdinfo', '--map', uri)


def test_snapshot_and_fork(tmp_path):
    image, sock, pid = tmp_path / 'image', tmp_path / 's', tmp_path / 'pid'
    run(MYNA, 'img', 'create', '-q', '-f', 'qcow2', image, '1M')
    run(MYNA, 'io', '-f', 'qcow2', '-c', 'write -P 1 0 1M', image)
    run(MYNA, 'img', 'snapshot', '-c', 'old', image)
    run(MYNA, 'io', '-f', 'qcow2', '-c', 'write -P 2 0 1M', image)
    run(MYNA, 'nbd', '--fork', '--pid-file', pid, '-t', '-f', 'qcow2', '-l', 'old', '-k', sock, image)
    try:
        run('qemu-io', '-r', '-f', 'raw', '-c', 'read -P 1 0 1M', f'nbd+unix://?socket={sock}')
    finally:
        os.kill(int(pid.read_text()), signal.SIGTERM)


def test_refusals(tmp_path, raw):
    assert 'clients connect' in run(MYNA, 'nbd', '-c', '/dev/no-such-nbd', raw, status=1)
    assert 'Invalid number of arguments' in run(MYNA, 'nbd', status=1)
    assert 'No such file' in run(MYNA, 'nbd', '-k', tmp_path / 's', tmp_path / 'none', status=1)


def test_odd_clients(tmp_path, raw):
    """Requests that must fail, options nobody knows, and ends in the middle; the server goes on."""
    sock = tmp_path / 's'

    def connect():
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(sock))
        assert s.recv(18, socket.MSG_WAITALL)[:8] == b'NBDMAGIC'
        s.sendall(struct.pack('>I', 3))
        return s

    def option(s, number, data=b'', length=None):
        s.sendall(b'IHAVEOPT' + struct.pack('>II', number, len(data) if length is None else length) + data)

    def reply(s):
        _, number, kind, n = struct.unpack('>QIII', s.recv(20, socket.MSG_WAITALL))
        return number, kind, s.recv(n, socket.MSG_WAITALL) if n else b''

    def request(s, kind, offset, length, flags=0, data=b''):
        s.sendall(struct.pack('>IHHQQI', 0x25609513, flags, kind, 42, offset, length) + data)
        magic, error, handle = struct.unpack('>IIQ', s.recv(16, socket.MSG_WAITALL))
        assert (magic, handle) == (0x67446698, 42)
        return error
    with serve(sock, '-f', 'raw', '-t', '-e', '0', raw):
        s = connect()
        option(s, 77, b'abc')
        assert reply(s)[1] == 0x80000001
        option(s, 7, struct.pack('>IH', 99, 0))
        assert reply(s)[1] == 0x80000003
        option(s, 5)
        assert reply(s)[1] == 0x80000002
        option(s, 10, struct.pack('>II', 0, 0))                 # before structured replies
        assert reply(s)[1] == 0x80000003
        option(s, 1)
        assert len(s.recv(10, socket.MSG_WAITALL)) == 10
        assert request(s, 0, 2 << 20, 1) == 22
        assert request(s, 1, (2 << 20) - 1, 2, data=b'ab') == 28
        assert request(s, 0, 0, 1 << 30) == 22
        assert request(s, 99, 0, 0) == 22
        assert request(s, 0, 0, 0, flags=0x8000) == 22
        s.sendall(struct.pack('>IHHQQI', 0x25609513, 0, 1, 1, 0, 4096) + b'half')
        s.close()
        s = connect()
        option(s, 8)
        assert reply(s)[1] == 1
        option(s, 10, struct.pack('>III', 0, 1, 99) + b'base')
        assert reply(s)[1] == 0x80000003
        option(s, 10, struct.pack('>III', 0, 1, 15) + b'base:allocation')
        assert reply(s)[1:] == (4, b'\0\0\0\1base:allocation') and reply(s)[1] == 1
        option(s, 7, struct.pack('>IH', 0, 0))
        assert reply(s)[1] == 3 and reply(s)[1] == 1
        s.sendall(struct.pack('>IHHQQI', 0x25609513, 0, 7, 42, 3 << 20, 1))
        assert struct.unpack('>IHHQIIH', s.recv(26, socket.MSG_WAITALL)) == (0x668e33ef, 1, 0x8001, 42, 6, 22, 0)
        s.sendall(struct.pack('>IHHQQI', 0x25609513, 8, 7, 42, 0, 1 << 20))
        assert struct.unpack('>IHHQIII', s.recv(28, socket.MSG_WAITALL))[:6] == (0x668e33ef, 1, 5, 42, 12, 1)
        s.close()
        s = connect()
        option(s, 7, b'', 1 << 20)
        s.close()
        run('qemu-io', '-f', 'raw', '-c', 'read 0 1M', f'nbd+unix://?socket={sock}')


def test_by_qmp(tmp_path, raw):
    sock = tmp_path / 's'
    address = {'type': 'unix', 'data': {'path': str(sock)}}
    with Machine('x86_64', '-M', 'q35', '-S', '-blockdev', f'file,node-name=n,filename={raw}', '-object',
                 'iothread,id=t', '-device', 'virtio-blk-pci,drive=n,iothread=t,share-rw=on', qmp=True) as m:
        with pytest.raises(QmpError, match='not running'):
            m.qmp('block-export-add', type='nbd', id='e', node_name='n')
        m.qmp('nbd-server-start', addr=address)
        with pytest.raises(QmpError, match='already running'):
            m.qmp('nbd-server-start', addr=address)
        m.qmp('block-export-add', type='nbd', id='e', node_name='n', name='disk', writable=True)
        m.qmp('nbd-server-add', device='n', name='second')
        assert [(e['id'], e['node-name']) for e in m.qmp('query-block-exports')] == [('e', 'n'), ('second', 'n')]
        run('qemu-io', '-f', 'raw', '-c', 'write -P 5 0 1M', '-c', 'read -P 5 0 1M',
            f'nbd+unix:///disk?socket={sock}')
        run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', '-U', raw, f'nbd+unix:///second?socket={sock}')
        reader = subprocess.Popen(['qemu-io', '-r', '-f', 'raw', f'nbd+unix:///disk?socket={sock}'],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    m.qmp('block-export-del', id='e')
                except QmpError as error:
                    assert 'still in use' in str(error)
                    break
                m.qmp('block-export-add', type='nbd', id='e', node_name='n', name='disk', writable=True)
                time.sleep(0.05)
            m.qmp('block-export-del', id='e', mode='hard')
            assert m.qmp.event('BLOCK_EXPORT_DELETED')
        finally:
            reader.kill()
            reader.wait()
        m.qmp('nbd-server-stop')
        assert m.qmp('query-block-exports') == []
        m.qmp('nbd-server-start', addr={'type': 'inet', 'data': {'host': '127.0.0.1', 'port': '0'}})
        m.qmp('block-export-add', type='nbd', id='e', node_name='n')
        m.qmp('quit')                                           # with the server running
        assert m.status() == 0
