# SPDX-License-Identifier: Apache-2.0
"""Screens: a VNC client and screendump see the same picture of SeaBIOS; keys arrive."""

import os
import re
import socket
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'lib'))

import rfb
from machine import Machine, wait_file


def free_display():
    """A display number whose port nobody has."""
    for display in range(40 + os.getpid() % 1000, 5000):
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', 5900 + display)) != 0:
                return display
    raise AssertionError('no free port')


def picture(path):
    """Width, height and pixels of a PPM file."""
    data = path.read_bytes()
    width, height, rest = re.match(rb'P6\n(\d+) (\d+)\n255\n()', data, re.S).groups()
    width, height, data = int(width), int(height), data[-3 * int(width) * int(height):]
    return width, height, {(i % width, i // width): data[3 * i] << 16 | data[3 * i + 1] << 8 | data[3 * i + 2]
                           for i in range(width * height)}


@pytest.mark.parametrize('encoding', [rfb.RAW, rfb.HEXTILE, rfb.ZRLE, rfb.TIGHT])
def test_picture(tmp_path, encoding):
    log, display = tmp_path / 'log', free_display()
    with Machine('x86_64', '-M', 'q35', '-device', 'VGA', '-vnc', f'127.0.0.1:{display}',
                 '-chardev', f'file,id=debug,path={log}',
                 '-device', 'isa-debugcon,iobase=0x402,chardev=debug', qmp=True) as m:
        wait_file(log, 'No bootable device')
        time.sleep(0.3)                 # its last words are on the screen after those in the log
        m.qmp('stop')
        client = rfb.Rfb(5900 + display, encoding)
        client.update()
        client.update()
        m.qmp('screendump', filename=str(tmp_path / 'a.ppm'))
        width, height, pixels = picture(tmp_path / 'a.ppm')
        assert (client.width, client.height) == (width, height) == (720, 400)
        assert client.pixels == pixels
        assert len(set(pixels.values())) > 1
        clients = m.qmp('query-vnc')['clients']
        assert len(clients) == 1
        client.close()


def test_refusals(tmp_path):
    """A wrong password is told so; a display that cannot be had ends the start."""
    display = free_display()
    with Machine('x86_64', '-M', 'none', '-vnc', f'127.0.0.1:{display},password=on', qmp=True) as m:
        m.qmp('set_password', protocol='vnc', password='secret')
        with socket.create_connection(('127.0.0.1', 5900 + display), 10) as s:
            file = s.makefile('rb')
            assert file.read(12) == b'RFB 003.008\n'
            s.sendall(b'RFB 003.008\n')
            assert file.read(2) == b'\x01\x02'
            s.sendall(b'\x02')
            assert len(file.read(16)) == 16
            s.sendall(bytes(16))
            assert file.read(4) == b'\0\0\0\x01'
