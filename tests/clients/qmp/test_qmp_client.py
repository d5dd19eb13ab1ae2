# SPDX-License-Identifier: Apache-2.0
"""Python's qemu.qmp, unmodified, talks to the monitor."""

import asyncio
import contextlib
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

RELEASE = 'qemu.qmp==0.0.6'
SOURCE = Path(__file__).resolve().parents[3]


@pytest.fixture(scope='module')
def client(tmp_path_factory):
    """The library, from pip where it is not installed."""
    try:
        return importlib.import_module('qemu.qmp')
    except ImportError:
        folder = str(tmp_path_factory.mktemp('qmp'))
    done = subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--target', folder, RELEASE], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        pytest.skip(f'qemu.qmp is not installed, nor does pip do it: {done.stdout.strip()}')
    sys.path.append(folder)
    importlib.invalidate_caches()
    return importlib.import_module('qemu.qmp')


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


@pytest.mark.long                  # (a download)
def test_conversation(socket, client):
    async def talk():
        qmp = client.QMPClient('test')
        await qmp.connect(str(socket))
        assert (await qmp.execute('query-status'))['status'] == 'prelaunch'
        with qmp.listener('RESUME') as events:
            await qmp.execute('cont')
            assert (await asyncio.wait_for(events.get(), 10))['event'] == 'RESUME'
        with pytest.raises(client.ExecuteError) as error:
            await qmp.execute('device_del', {'id': 'nobody'})
        assert error.value.error_class == 'DeviceNotFound'
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
        with contextlib.suppress(EOFError):             # (the other side may have gone first)
            await qmp.disconnect()
    asyncio.run(talk())
