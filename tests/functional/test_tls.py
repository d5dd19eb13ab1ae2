# SPDX-License-Identifier: Apache-2.0
"""TLS with certificates of openssl's making: VNC, chardev sockets, NBD; and who is turned away."""

import base64
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'lib'))

import rfb
from machine import Machine, program
from test_vnc import free_display

pytestmark = pytest.mark.skipif(not shutil.which('openssl'), reason='openssl is not there')


def openssl(*args, cwd):
    subprocess.run(['openssl', *map(str, args)], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope='module')
def certs(tmp_path_factory):
    """A folder as -object tls-creds-x509,dir= wants it, and another CA's client in "stranger"."""
    folder = tmp_path_factory.mktemp('certs')
    for who in '.', 'stranger':
        at = folder / who
        at.mkdir(exist_ok=True)
        key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
        openssl('req', '-x509', *key, '-subj', '/CN=Myna test CA', '-days', 2, '-keyout', 'ca-key.pem',
                '-out', 'ca-cert.pem', cwd=at)
        for side in 'server', 'client':
            (at / 'extensions').write_text('subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:false\n')
            openssl('req', *key, '-subj', f'/CN={side}', '-keyout', f'{side}-key.pem', '-out', 'request', cwd=at)
            openssl('x509', '-req', '-in', 'request', '-CA', 'ca-cert.pem', '-CAkey', 'ca-key.pem',
                    '-CAcreateserial', '-days', 2, '-extfile', 'extensions', '-out', f'{side}-cert.pem', cwd=at)
    return folder


def context(folder, trust):
    c = ssl.create_default_context(cafile=trust / 'ca-cert.pem')
    c.load_cert_chain(folder / 'client-cert.pem', folder / 'client-key.pem')
    return c


def creds(folder, side='server', **more):
    return ['-object', f'tls-creds-x509,id=tls,endpoint={side},dir={folder}'
            + ''.join(f',{k}={v}' for k, v in more.items())]


def test_vnc(certs):
    """VeNCrypt: a client of the CA gets the picture, a stranger does not."""
    display = free_display()
    with Machine('x86_64', '-M', 'q35', '-device', 'VGA', *creds(certs),
                 '-vnc', f'127.0.0.1:{display},tls-creds=tls', qmp=True) as m:
        m.qmp('query-status')           # it listens
        with pytest.raises((ssl.SSLError, AssertionError, ConnectionError)):
            rfb.Rfb(5900 + display, tls=context(certs / 'stranger', certs))
        client = rfb.Rfb(5900 + display, tls=context(certs, certs))
        client.update()
        client.update()
        assert len(client.pixels) == client.width * client.height
        server = m.qmp('query-vnc-servers')[0]
        assert (server['auth'], server['vencrypt']) == ('vencrypt', 'x509-none')
        client.close()


def test_authorization(certs):
    """Only who the list names."""
    display = free_display()
    for name, enters in ('client', True), ('somebody', False):
        with Machine('x86_64', '-M', 'none', *creds(certs),
                     '-object', f'authz-simple,id=auth,identity=CN={name}',
                     '-vnc', f'127.0.0.1:{display},tls-creds=tls,tls-authz=auth') as m:
            for _ in range(100):
                with socket.socket() as s:
                    if s.connect_ex(('127.0.0.1', 5900 + display)) == 0:
                        break
                time.sleep(0.05)
            if enters:
                rfb.Rfb(5900 + display, tls=context(certs, certs)).close()
            else:
                with pytest.raises((ssl.SSLError, AssertionError, ConnectionError)):
                    rfb.Rfb(5900 + display, tls=context(certs, certs))
            m.stop()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def hello(s):
    """The monitor's greeting and an answer through a stream."""
    file = s.makefile('rwb')
    assert b'QMP' in file.readline()
    file.write(b'{"execute": "qmp_capabilities"}')
    file.flush()
    assert b'return' in file.readline()


def connect(port):
    for _ in range(200):
        try:
            return socket.create_connection(('127.0.0.1', port), 10)
        except ConnectionError:
            time.sleep(0.05)
    raise AssertionError('nobody listens')


def test_chardev(certs):
    """A monitor behind TLS, and one behind TLS at a server of ours."""
    port = free_port()
    with Machine('x86_64', '-M', 'none', *creds(certs), '-chardev',
                 f'socket,id=mon,host=127.0.0.1,port={port},server=on,wait=off,tls-creds=tls',
                 '-mon', 'chardev=mon,mode=control'):
        with context(certs, certs).wrap_socket(connect(port), server_hostname='localhost') as s:
            hello(s)
    listener = socket.create_server(('127.0.0.1', 0))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certs / 'server-cert.pem', certs / 'server-key.pem')
    server.load_verify_locations(certs / 'ca-cert.pem')
    server.verify_mode = ssl.CERT_REQUIRED
    with Machine('x86_64', '-M', 'none', *creds(certs, 'client'), '-chardev',
                 f'socket,id=mon,host=localhost,port={listener.getsockname()[1]},tls-creds=tls',
                 '-mon', 'chardev=mon,mode=control'):
        listener.settimeout(20)
        with server.wrap_socket(listener.accept()[0], server_side=True) as s:
            hello(s)


def test_websocket():
    """A monitor behind WebSocket."""
    port = free_port()
    with Machine('x86_64', '-M', 'none', '-chardev',
                 f'socket,id=mon,host=127.0.0.1,port={port},server=on,wait=off,websocket=on',
                 '-mon', 'chardev=mon,mode=control'):
        with connect(port) as s:
            key = base64.b64encode(os.urandom(16)).decode()
            s.sendall(f'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                      f'Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n'.encode())
            file = s.makefile('rb')
            assert b'101' in file.readline()
            while file.readline() != b'\r\n':
                pass

            def frame():
                head = file.read(2)
                n = head[1] if head[1] < 126 else int.from_bytes(file.read(2), 'big')
                return file.read(n)
            assert b'QMP' in frame()
            text = b'{"execute": "qmp_capabilities"}'
            s.sendall(bytes([0x82, 0x80 | len(text), 0, 0, 0, 0]) + text)
            assert b'return' in frame()


@pytest.mark.skipif(not shutil.which('qemu-nbd'), reason='qemu-nbd is not there')
@pytest.mark.parametrize('who', ['qemu', 'myna'])
def test_nbd(certs, tmp_path, who):
    """Blocks through TLS from Debian's server and ours; a wrong name is refused, and who comes without."""
    disk, port = tmp_path / 'disk', free_port()
    content = os.urandom(1 << 20)
    disk.write_bytes(content)
    command = ['qemu-nbd'] if who == 'qemu' else [program('x86_64')[0], 'nbd']
    server = subprocess.Popen([*command, '-f', 'raw', '-p', str(port), '-b', '127.0.0.1', '-x', 'disk', '-t',
                               '-e', '4', '--object', f'tls-creds-x509,id=t,endpoint=server,dir={certs}',
                               '--tls-creds', 't', disk])
    try:
        connect(port).close()
        listed = subprocess.run(['qemu-nbd', '--list', '-b', '127.0.0.1', '-p', str(port)], capture_output=True,
                                text=True, timeout=30)
        assert listed.returncode == 1
        listed = subprocess.run([program('x86_64')[0], 'nbd', '--list', '-b', '127.0.0.1', '-p', str(port), '--object',
                                 f'tls-creds-x509,id=t,endpoint=client,dir={certs}', '--tls-creds', 't',
                                 '--tls-hostname', 'localhost'], capture_output=True, text=True, timeout=30)
        assert "export: 'disk'" in listed.stdout, listed.stderr
        node = f'driver=nbd,server.type=inet,server.host=127.0.0.1,server.port={port},export=disk,tls-creds=tls'
        with Machine('x86_64', '-M', 'none', *creds(certs, 'client'), '-blockdev', f'{node},node-name=n,'
                     'tls-hostname=localhost', qmp=True) as m:
            size = [n for n in m.qmp('query-named-block-nodes') if n['node-name'] == 'n'][0]
            assert size['image']['virtual-size'] == 1 << 20
            m.qmp('blockdev-add', driver='raw', **{'node-name': 'r', 'file': 'n'})
        said = subprocess.run([*program('x86_64'), '-M', 'none', '-display', 'none', '-nodefaults',
                               *creds(certs, 'client'), '-blockdev',
                               f'{node},node-name=n,tls-hostname=elsewhere'], capture_output=True, text=True,
                              timeout=30)
        assert said.returncode == 1 and 'hostname elsewhere' in said.stderr
        said = subprocess.run([program('x86_64')[0], 'io', '--object',
                               f'tls-creds-x509,id=tls,endpoint=client,dir={certs}', '-c', 'read -v 0 16', '--image-opts',
                               f'{node},tls-hostname=localhost'], capture_output=True, text=True, timeout=30)
        if said.returncode == 0:        # the tool knows objects
            assert content[:4].hex(' ') in said.stdout
    finally:
        server.kill()
        server.wait()


MISTAKES = [
    (['-object', 'tls-creds-x509,id=t,dir=/nonexistent'], 'ca-cert.pem'),
    (['-object', 'tls-creds-x509,id=t'], "'dir'"),
    (['-object', 'tls-creds-psk,id=t,endpoint=server,dir=/nonexistent'], 'keys.psk'),
    (['-object', 'tls-creds-anon,id=t,endpoint=client', '-vnc', '127.0.0.1:4999,tls-creds=t'], 'server endpoint'),
    (['-vnc', '127.0.0.1:4999,tls-creds=none'], "'none'"),
]


@pytest.mark.parametrize('args, names', MISTAKES)
def test_mistakes(args, names):
    said = subprocess.run([*program('x86_64'), '-M', 'none', '-display', 'none', '-nodefaults', *args],
                          capture_output=True, text=True, timeout=30)
    assert said.returncode == 1 and names in said.stderr, said.stderr
