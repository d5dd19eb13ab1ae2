# SPDX-License-Identifier: Apache-2.0
"""Memory that two machines and the host share."""

import shutil
import subprocess

import pytest

from machine import SOURCE, QmpError, linux
from test_hotplug import Shell, no_acpi_errors

SIZE = 1 << 20


@pytest.fixture(scope='module')
def tool(tmp_path_factory):
    if not shutil.which('gcc'):
        pytest.skip('gcc is not installed')
    path = tmp_path_factory.mktemp('ivshmem') / 'mapfile'
    subprocess.run(['gcc', '-static', '-O2', '-s', '-o', path, SOURCE / 'tests' / 'guests' / 'linux' / 'mapfile.c'],
                   check=True)
    with open(path, 'ab') as f:         # a whole number of sectors
        f.write(bytes(-path.stat().st_size % 512))
    return path


def boot(board, memory, tool):
    return linux('cloud', 'shell', '-object', f'memory-backend-file,id=shared,mem-path={memory},size={SIZE},share=on',
                 '-device', 'ivshmem-plain,id=i,memdev=shared,addr=4', '-blockdev',
                 f'file,node-name=tool,filename={tool},read-only=on', '-device', 'virtio-blk-pci,drive=tool',
                 board=board, qmp=True)


FUNCTION = '/sys/bus/pci/devices/0000:00:04.0'


def get_ready(m):
    sh = Shell(m)
    sh('load virtio_pci virtio_blk; n=0; until [ -b /dev/vda ] || [ $n = 100 ]; do usleep 50000; n=$((n+1)); done;'
       f' cat /dev/vda >/tmp/mapfile; chmod +x /tmp/mapfile; echo 1 >{FUNCTION}/enable')
    assert '0x1af4 0x1110 0x050000 0x01' in sh(f'cd {FUNCTION}; echo $(cat vendor device class revision)')
    assert '0x0' in sh(f'/tmp/mapfile {FUNCTION}/resource0 8 %')
    return sh


def test_two_machines(tmp_path, tool):
    memory = tmp_path / 'memory'
    memory.write_bytes(bytes(SIZE))
    with boot('q35', memory, tool) as one, boot('pc', memory, tool) as two:
        first, second = get_ready(one), get_ready(two)
        first(f'/tmp/mapfile {FUNCTION}/resource2 0x1000 "from the first"')
        assert 'from the first' in second(f'/tmp/mapfile {FUNCTION}/resource2 0x1000')
        assert memory.read_bytes()[0x1000:].startswith(b'from the first\0')
        second(f'/tmp/mapfile {FUNCTION}/resource2 {SIZE - 16} "from the other"')
        assert 'from the other' in first(f'/tmp/mapfile {FUNCTION}/resource2 {SIZE - 16}')
        with pytest.raises(QmpError, match='in use'):
            two.qmp('object-del', id='shared')
        two.qmp('device_del', id='i')
        assert two.qmp.event('DEVICE_DELETED')['data']['device'] == 'i'
        two.qmp('device_add', driver='ivshmem-plain', id='j', memdev='shared', addr='4')
        second(f'wait_for {FUNCTION}/resource2; echo 1 >{FUNCTION}/enable')
        assert 'from the first' in second(f'/tmp/mapfile {FUNCTION}/resource2 0x1000')
        with pytest.raises(QmpError, match="'memdev'"):
            two.qmp('device_add', driver='ivshmem-plain')
        no_acpi_errors(one)
        no_acpi_errors(two)
