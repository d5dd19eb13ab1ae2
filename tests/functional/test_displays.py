# SPDX-License-Identifier: Apache-2.0
"""Displays of this host: text consoles, the terminal, a window without a screen; video cards by name."""

import array
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'lib'))

import rfb
from machine import PATIENCE, Machine, guest_file, program, wait_file
from test_vnc import free_display, picture

pytestmark = pytest.mark.myna


def said(*args):
    return subprocess.run([*program('x86_64'), *args], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL)


def available(name):
    return name in said('-display', 'help').stdout.split()


@pytest.mark.parametrize('card, ident', [('std', '1234:1111'), ('cirrus', '1013:00b8'), ('virtio', '1af4:1050')])
@pytest.mark.parametrize('board', ['pc', 'q35'])
def test_cards(tmp_path, board, card, ident):
    """SeaBIOS shows its words on each card."""
    log = tmp_path / 'log'
    with Machine('x86_64', '-M', board, '-vga', card, '-chardev', f'file,id=debug,path={log}',
                 '-device', 'isa-debugcon,iobase=0x402,chardev=debug', qmp=True, serial=False) as m:
        wait_file(log, 'No bootable device')
        time.sleep(0.3)
        m.qmp('screendump', filename=str(tmp_path / 'a.ppm'))
        width, height, pixels = picture(tmp_path / 'a.ppm')
        assert (width, height) == (720, 400)
        assert len(set(pixels.values())) > 1


def test_default_card():
    """pc and q35 have a card; microvm, and those who add one, have no other."""
    for args, expected in (['-M', 'q35'], 1), (['-M', 'q35', '-device', 'VGA'], 1), (['-M', 'q35', '-vga', 'none'], 0), \
                          (['-M', 'microvm'], 0):
        ask = ''.join(f'{{"execute": "qom-list", "arguments": {{"path": "/machine/{where}"}}}}\n'
                      for where in ('unattached', 'peripheral-anon'))
        result = subprocess.run([*program('x86_64'), *args, '-S', '-display', 'none', '-serial', 'none', '-monitor',
                                 'none', '-qmp', 'stdio'],
                                input='{"execute": "qmp_capabilities"}\n' + ask + '{"execute": "quit"}\n',
                                capture_output=True, text=True, timeout=30)
        assert result.stdout.count('child<VGA>') == expected, result.stdout


def test_mistakes():
    for args, name in (['-vga', 'qxl'], 'qxl'), (['-vga', 'vritio'], 'virtio'), (['-display', 'dbus'], 'dbus'), \
                      (['-display', 'sld'], 'sld'), (['-M', 'microvm', '-vga', 'std'], 'no place'):
        result = said(*args)
        assert result.returncode == 1 and name in result.stderr


def test_monitor_on_vc(tmp_path):
    """The monitor on a text console: seen and typed at by VNC."""
    display = free_display()
    with Machine('x86_64', '-M', 'none', '-monitor', 'vc', '-vnc', f'127.0.0.1:{display}', qmp=True,
                 serial=False) as m:
        m.qmp('query-status')
        client = rfb.Rfb(5900 + display)
        client.update()
        assert (client.width, client.height) == (640, 400)
        before = sum(p != 0 for p in client.pixels.values())
        for c in b'quit\r':
            client.key(0xff0d if c == 13 else c)
        m.process.wait(20)
        assert before > 100             # greeting and prompt
        assert m.process.returncode == 0


@pytest.mark.skipif('not available("curses")')
def test_curses():
    """SeaBIOS' words on a terminal, Escape and 2: the monitor, which ends the machine."""
    child, fd = pty.fork()
    if child == 0:
        os.environ.update(TERM='xterm', LC_ALL='C.UTF-8', LINES='30', COLUMNS='100')
        argv = [*program('x86_64'), '-M', 'pc', '-nodefaults', '-vga', 'std', '-display', 'curses', '-monitor', 'vc']
        os.execv(argv[0], argv)
    screen = b''

    def wait(pattern, seconds=40):
        nonlocal screen
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([fd], [], [], 0.2)[0]:
                try:
                    screen += os.read(fd, 65536)
                except OSError:
                    break
            if re.search(pattern, screen):
                return
        raise AssertionError(screen[-2000:])
    wait(rb'SeaBIOS')
    os.write(fd, b'\x1b2')
    wait(rb'\(qemu\)')
    os.write(fd, b'quit\r')
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if select.select([fd], [], [], 0.2)[0] and not os.read(fd, 65536):
                break
        except OSError:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif('not available("sdl")')
def test_sdl(tmp_path):
    """A window without a screen: the machine runs, and its loop goes on."""
    env = {**os.environ, 'SDL_VIDEODRIVER': 'dummy'}
    result = subprocess.run([*program('x86_64'), '-M', 'pc', '-nodefaults', '-vga', 'std', '-display', 'sdl', '-serial',
                             'none', '-monitor', 'stdio'], input='info status\nquit\n', capture_output=True,
                            text=True, timeout=30, env=env)
    assert result.returncode == 0 and 'running' in result.stdout, result.stderr


@pytest.fixture
def screen(tmp_path):
    """An X server without a screen: its name, and a function that counts the pixels of a colour on it."""
    if not shutil.which('Xvfb') or not shutil.which('xdotool'):
        pytest.skip('Xvfb and xdotool (Debian packages xvfb, xdotool) are not there')
    end, number = os.pipe()
    server = subprocess.Popen(['Xvfb', '-displayfd', str(number), '-screen', '0', '1024x768x24', '-nolisten', 'tcp',
                               '-fbdir', tmp_path], pass_fds=[number], stderr=subprocess.DEVNULL)
    os.close(number)

    def count(colour):
        data = (tmp_path / 'Xvfb_screen0').read_bytes()         # as xwd writes it
        start = struct.unpack_from('>I', data)[0] + 12 * struct.unpack_from('>I', data, 76)[0]
        pixels = array.array('I', data[start:start + 4 * 1024 * 768])
        return sum(pixel & 0xffffff == colour for pixel in pixels)
    with os.fdopen(end) as told:
        yield ':' + told.readline().strip(), count
    server.kill()
    server.wait()


@pytest.mark.parametrize('window', ['gtk', 'sdl'])
def test_window(screen, window):
    """A window on a screen: the guest's picture is in it, and keys reach the guest."""
    if not available(window):
        pytest.skip(f'no {window} in this build')
    display, count = screen
    env = {**os.environ, 'DISPLAY': display, 'GDK_BACKEND': 'x11', 'SDL_VIDEODRIVER': 'x11', 'NO_AT_BRIDGE': '1'}
    emulator = subprocess.Popen([*program('x86_64'), '-M', 'pc', '-m', '32', '-nodefaults', '-vga', 'std', '-display',
                                 window, '-name', 'seen', '-kernel', guest_file('memtest/memtest86+x64.bin')],
                                env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def windows():
        return subprocess.run(['xdotool', 'search', '--name', 'Myna .seen'], env=env, capture_output=True, text=True,
                              timeout=30).stdout.split()

    def until(condition, seconds=30):
        end = time.monotonic() + seconds * PATIENCE
        while not condition():
            assert emulator.poll() is None, emulator.stderr.read()
            assert time.monotonic() < end, [hex(c) + f': {count(c)}' for c in (0, 0xaa, 0xaaaaaa)]
            time.sleep(0.2)
    try:
        until(lambda: windows() and count(0xaa) > 200000)       # memtest's blue
        subprocess.run(['xdotool', 'windowfocus', windows()[-1], 'key', 'F1'], env=env, check=True, timeout=30)
        until(lambda: count(0xaa) < 200000)                     # its settings cover much of it
        subprocess.run(['xdotool', 'key', 'F10'], env=env, check=True, timeout=30)
        until(lambda: count(0xaa) > 200000)
    finally:
        emulator.kill()
        emulator.wait()
