# SPDX-License-Identifier: Apache-2.0
"""All kinds of threads at work at once: two CPUs, an I/O loop, QMP, VNC, a network disk.

Run by itself it is a test like others; its purpose is the ThreadSanitizer build (scripts/test --sanitize).
"""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'lib'))

import rfb
from machine import linux, passed
from test_vnc import free_display


def watch(machine, display, done, failures):
    """QMP and VNC traffic until it is done."""
    try:
        client = rfb.Rfb(5900 + display, rfb.ZRLE)
        while not done.wait(0.05):
            for command in ('query-status', 'query-cpus-fast', 'query-block', 'query-blockstats', 'query-chardev'):
                machine.qmp(command)
            machine.qmp.hmp('info registers')
            machine.qmp('qom-list', path='/machine/unattached')
            client.update()
        client.close()
    except Exception as error:          # pylint: disable=broad-except
        failures.append(error)


@pytest.fixture(name='network_disk')
def fixture_network_disk(tmp_path):
    if not shutil.which('qemu-nbd'):
        pytest.skip('no qemu-nbd')
    raw, sock = tmp_path / 'raw', tmp_path / 'sock'
    raw.write_bytes(bytes(4 << 20))
    server = subprocess.Popen(['qemu-nbd', '-f', 'raw', '-k', sock, '-x', 'disk', '-t', raw])
    while not sock.exists():
        assert server.poll() is None
    yield f'nbd+unix:///disk?socket={sock}'
    server.terminate()
    server.wait()


def test_all_at_once(tmp_path, network_disk):
    disk, display = tmp_path / 'disk', free_display()
    with open(disk, 'wb') as file:
        file.truncate(64 << 20)
    with linux('cloud', 'disk,smp', '-object', 'iothread,id=io0',
               '-drive', f'if=none,id=disk,format=raw,file={disk}',
               '-device', 'virtio-blk-pci,drive=disk,iothread=io0,num-queues=2',
               '-drive', f'if=none,id=far,format=raw,file={network_disk}', '-device', 'virtio-blk-pci,drive=far',
               '-device', 'VGA', '-vnc', f'127.0.0.1:{display}', '-device', 'virtio-rng-pci',
               append='myna.phase=write myna.mkfs=1 myna.mb=8', board='q35', smp=2, qmp=True) as m:
        done, failures = threading.Event(), []
        m.qmp('query-status')
        traffic = threading.Thread(target=watch, args=(m, display, done, failures))
        traffic.start()
        try:
            passed(m, 'disk', 120)
        finally:
            done.set()
            traffic.join()
        assert not failures, failures
        passed(m, 'smp')
        assert m.status() == 0
