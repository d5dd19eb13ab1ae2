# SPDX-License-Identifier: Apache-2.0
"""Python's qemu.qmp (pip install qemu.qmp), unmodified, talks to the monitor."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

client = pytest.importorskip('qemu.qmp', reason='qemu.qmp is not installed (pip install qemu.qmp)')
SOURCE = Path(__file__).resolve().parents[3]


@pytest.fixture
def socket(tmp_path):
    myna = os.environ.get('MYNA') or SOURCE / 'build' / 'myna'
    path = tmp_path / 'qmp'
    emulator = subprocess.Popen([myna, 'system', 'x86_64', '-M', 'q35', '-nodefaults', '-display', 'none', '-S',
                                 '-qmp', f'unix:{path},server=on,wait=off'])
    for _ in range(200):
        if path.exists():
            break
        time.sleep(0.05)
    yield path
    emulator.kill()
    emulator.wait()


def test_conversation(socket):
    async def talk():
        qmp = client.QMPClient('test')
        await qmp.connect(str(socket))
        assert (await qmp.execute('query-status'))['status'] == 'prelaunch'
        with qmp.listener('RESUME') as events:
            await qmp.execute('cont')
            assert (await asyncio.wait_for(events.get(), 10))['event'] == 'RESUME'
        with pytest.raises(client.ExecuteError) as error:
            await qmp.execute('device_del', {'id': 'nobody'})
        assert error.value.error.class_ == 'DeviceNotFound'
        names = [c['name'] for c in await qmp.execute('query-commands')]
        assert 'blockdev-add' in names
        assert len(await qmp.execute('query-qmp-schema')) > 300
        await qmp.disconnect()
        for _ in range(3):                      # one client after the other
            await qmp.connect(str(socket))
            await qmp.execute('query-version')
            await qmp.disconnect()
        await qmp.connect(str(socket))
        with qmp.listener('SHUTDOWN') as events:
            await qmp.execute('quit')
            await asyncio.wait_for(events.get(), 10)
        await qmp.disconnect()
    asyncio.run(talk())
