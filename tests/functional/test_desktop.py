# SPDX-License-Identifier: Apache-2.0
"""A desktop: Xorg with a window manager, a clock and a terminal, seen by VNC on two cards. The disk is
scripts/make-desktop's."""

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'lib'))

import rfb
from machine import GUESTS, Machine
from test_vnc import free_display

DISK = GUESTS / 'desktop-amd64.img'
BACKGROUND = 0x2e5a88


@pytest.mark.long
@pytest.mark.skipif(not DISK.exists(), reason='scripts/make-desktop has not been run')
@pytest.mark.parametrize('card', ['VGA', 'virtio-vga'])
def test_desktop(card):
    display = free_display()
    with Machine('x86_64', '-M', 'q35', '-m', 768, '-device', card, '-vnc', f'127.0.0.1:{display}',
                 '-kernel', f'{DISK}.vmlinuz', '-initrd', f'{DISK}.initrd',
                 '-append', 'root=/dev/vda rw console=ttyS0 quiet',
                 '-drive', f'if=none,id=d,format=raw,file={DISK},snapshot=on',
                 '-device', 'virtio-blk-pci,drive=d', qmp=True) as m:
        m.wait('MYNA-PASS desktop', 600)
        time.sleep(2)
        m.qmp('stop')
        client = rfb.Rfb(5900 + display, rfb.ZRLE)
        client.update()
        client.update()
        colours = Counter(client.pixels.values())
        assert (client.width, client.height) == (1280, 800)
        assert colours[BACKGROUND] > 300000             # the desktop
        assert colours[0xffffff] > 50000                # the terminal and the clock
        client.close()
