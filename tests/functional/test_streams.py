# SPDX-License-Identifier: Apache-2.0
"""Streams to the outside and what they do to the bytes."""

import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest                 # noqa: E402

COM = 0x3f8


def receive(line, count):
    data = b''
    while len(data) < count:
        more = line.recv(count - len(data))
        assert more
        data += more
    return data


def test_telnet(tmp_path):
    path = tmp_path / 'line'
    with Qtest(['-M', 'microvm', '-chardev', f'socket,id=c,path={path},server=on,wait=off,telnet=on',
                '-serial', 'chardev:c']) as q, socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(str(path))
        assert receive(line, 12) == b'\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00'
        q.outb(COM + 3, 3)
        for byte in b'a\xffb':
            q.outb(COM, byte)
        assert receive(line, 4) == b'a\xff\xffb'
        q.outb(COM + 2, 7)
        # An answer to the offer, a list of parameters, a doubled 255.
        line.sendall(b'\xff\xfd\x01x\xff\xfa\x18\x01\xff\xf0y\xff\xffz')
        time.sleep(0.2)
        got = []
        while q.inb(COM + 5) & 1:
            got.append(q.inb(COM))
            time.sleep(0.01)
        assert bytes(got) == b'xy\xffz'
