# SPDX-License-Identifier: Apache-2.0
"""Network cards with registers under Linux's own drivers: DHCP, TCP both ways with checksums."""

import hashlib
import os

import pytest

from machine import linux, passed
from test_net import Giver, free_port, receive

CARDS = [('e1000', 'e1000', 'pc'), ('e1000e', 'e1000e', 'q35'), ('rtl8139', '8139cp', 'pc')]


@pytest.mark.parametrize('card, module, board', CARDS)
def test_card(card, module, board):
    megabytes, content = 8, os.urandom(8 << 20)
    giver, port = Giver(content), free_port()
    with linux('standard', 'net', '-netdev', f'user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:5000',
               '-device', f'{card},netdev=net0,mac=52:54:00:11:22:33', board=board,
               append=f'myna.nic={module} myna.down={giver.port} myna.up=5000 myna.mb={megabytes}') as m:
        passed(m, 'dhcp')
        digest = m.line(r'MYNA-SHA down (\w+)', 90).group(1)
        assert digest == hashlib.sha256(content).hexdigest(), 'host to guest'
        digest = m.line(r'MYNA-SHA up (\w+)', 90).group(1)
        m.wait('^MYNA-LISTENING')
        assert hashlib.sha256(receive(port, megabytes << 20)).hexdigest() == digest, 'guest to host'
        passed(m, 'upload')
        assert m.status() == 0
        assert 'NETDEV WATCHDOG' not in m.serial.text
