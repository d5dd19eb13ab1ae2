# SPDX-License-Identifier: Apache-2.0
"""What comes and goes while Linux runs: CPUs, memory, PCI functions, by ACPI."""

import re
import shutil
import struct
import subprocess
import uuid

import pytest

from machine import QmpError, linux, program
from test_pc import secure_flash

BOARDS = ['q35', 'pc']
ONCE_AND_OFTEN = [5, pytest.param(200, marks=pytest.mark.long)]


FUNCTIONS = """. /modules/deps; load() { for w in "$@"; do eval "set_of=\\$deps_$w"; for k in $set_of; do
[ -d "/sys/module/$k" ] || insmod "/modules/$k.ko"; done; done; }
wait_for() { n=0; while [ ! -e "$1" ] && [ $n -lt 100 ]; do usleep 50000; n=$((n+1)); done; [ -e "$1" ]; }"""


class Shell:
    """Commands for the shell of a guest; each must end with status 0."""

    def __init__(self, machine):
        self.machine, self.number = machine, 0
        machine.wait('Welcome to Linux')
        machine.send(f'PS1=; stty -echo; {FUNCTIONS}\n')
        self('true')

    def __call__(self, command, timeout=60):
        self.number += 1
        self.machine.send(f'({command}); echo "<"{self.number}" $?>"\n')
        m = self.machine
        start = m.serial.seen
        status = m.wait(rf'<{self.number} (\d+)>', timeout)
        assert status.group(1) == '0', f'{command}: {m.serial.tail(10)}'
        return m.serial.text[start:status.start()]


def shell_on(board, *args, **kw):
    return linux('cloud', 'shell', *args, board=board, qmp=True, **kw)


def no_acpi_errors(m):
    assert not re.search(r'ACPI (BIOS )?Error|ACPI Warning|AE_|Eject incomplete|BUG:|WARNING:|Call Trace', m.serial.text)


# ---- CPUs ----

def cpus(m):
    return [cpu for cpu in m.qmp('query-cpus-fast')]


@pytest.mark.parametrize('times', ONCE_AND_OFTEN)
@pytest.mark.parametrize('board', BOARDS)
def test_cpu(board, times):
    """A CPU comes, works, and goes."""
    with shell_on(board, smp='1,maxcpus=4') as m:
        sh = Shell(m)
        slots = m.qmp('query-hotpluggable-cpus')
        assert [s['props']['core-id'] for s in slots] == [3, 2, 1, 0]
        assert ['qom-path' in s for s in slots] == [False, False, False, True]
        free = slots[2]
        for i in range(times):
            m.qmp('device_add', driver=free['type'], id='cpu-1', **free['props'])
            assert len(cpus(m)) == 2
            sh('n=0; until [ -e /sys/devices/system/cpu/cpu1/online ] || [ $n = 100 ]; do usleep 50000;'
               ' n=$((n+1)); done; [ "$(cat /sys/devices/system/cpu/cpu1/online)" = 1 ] ||'
               ' echo 1 >/sys/devices/system/cpu/cpu1/online')
            assert 'done 5050' in sh('taskset 2 sh -c \'n=0; s=0; while [ $n -lt 100 ]; do n=$((n+1));'
                                     ' s=$((s+n)); done; echo done $s\'; nproc')
            m.qmp('device_del', id='cpu-1')
            assert m.qmp.event('DEVICE_DELETED')['data']['device'] == 'cpu-1'
            assert len(cpus(m)) == 1
            m.qmp.events.clear()
        assert '1' in sh('nproc')
        no_acpi_errors(m)


def test_cpu_threads_and_models():
    """Places, features of -cpu, refusals, -device; the guest's words on it by ACPI_DEVICE_OST."""
    with shell_on('q35', '-cpu', 'qemu64,-sse3', '-device',
                  'qemu64-x86_64-cpu,socket-id=1,core-id=1,thread-id=0,id=cold',
                  smp='1,sockets=2,cores=2,threads=1') as m:
        assert [c['cpu-index'] for c in cpus(m)] == [0, 3]
        with pytest.raises(QmpError, match='CPU core-id is not set'):
            m.qmp('device_add', driver='qemu64-x86_64-cpu', id='c', **{'socket-id': 1})
        with pytest.raises(QmpError, match='exists'):
            m.qmp('device_add', driver='qemu64-x86_64-cpu', id='c',
                  **{'socket-id': 1, 'core-id': 1, 'thread-id': 0})
        with pytest.raises(QmpError, match='must be in range 0:1'):
            m.qmp('device_add', driver='qemu64-x86_64-cpu', id='c',
                  **{'socket-id': 2, 'core-id': 1, 'thread-id': 0})
        with pytest.raises(QmpError, match="expected cpu type: 'qemu64-x86_64-cpu'"):
            m.qmp('device_add', driver='max-x86_64-cpu', id='c',
                  **{'socket-id': 1, 'core-id': 0, 'thread-id': 0})
        with pytest.raises(QmpError, match='Boot CPU is unpluggable'):
            m.qmp('device_del', id=cpus(m)[0]['qom-path'])
        sh = Shell(m)
        assert '2' in sh('nproc')
        m.qmp('device_add', driver='qemu64-x86_64-cpu', id='new',
              **{'socket-id': 1, 'core-id': 0, 'thread-id': 0})
        assert m.qmp('qom-get', path='/machine/peripheral/new', property='sse3') is False
        info = m.qmp.event('ACPI_DEVICE_OST')['data']['info']
        assert info == {'device': 'new', 'slot': '2', 'slot-type': 'CPU', 'source': 1, 'status': 0}
        sh('for c in /sys/devices/system/cpu/cpu[1-9]; do [ "$(cat $c/online)" = 1 ] || echo 1 >$c/online; done')
        assert '3' in sh('nproc')
        m.qmp('system_reset')
        Shell(m)('[ "$(nproc)" = 3 ]')
        no_acpi_errors(m)


def test_cpu_by_firmware(tmp_path):
    """OVMF with system management mode learns of CPUs that come, by an SMI, and ejects those that go."""
    flash = secure_flash(tmp_path, 'OVMF_CODE_4M.secboot.fd', 'OVMF_VARS_4M.fd')
    with linux('cloud', 'shell', '-nic', 'none', *flash[4:], board='q35', machine='smm=on', memory=512,
               smp='1,maxcpus=3', qmp=True) as m:
        sh = Shell(m)
        check_table(tmp_path, sh, 'DSDT')
        free = [s for s in m.qmp('query-hotpluggable-cpus') if 'qom-path' not in s]
        for slots in [free, free[:1]]:
            for i, slot in enumerate(slots):
                m.qmp('device_add', driver=slot['type'], id=f'cpu{i}', **slot['props'])
            count = 1 + len(slots)
            sh(f'n=0; until [ $(nproc) = {count} ] || [ $n = 200 ]; do usleep 50000; n=$((n+1));'
               ' for c in /sys/devices/system/cpu/cpu[1-9]/online; do [ -e $c ] && [ "$(cat $c)" = 0 ] && echo 1 >$c; done;'
               f' done; [ $(nproc) = {count} ]')
            for i in range(len(slots)):
                m.qmp('device_del', id=f'cpu{i}')
                assert m.qmp.event('DEVICE_DELETED', 30)['data']['device'] == f'cpu{i}'
                m.qmp.events.clear()
            sh('[ $(nproc) = 1 ]')
        no_acpi_errors(m)


def check_table(folder, sh, table):
    """Intel's compiler has nothing to say against an ACPI table."""
    data = re.sub(r'\s', '', sh(f'xxd -p /sys/firmware/acpi/tables/{table}'))
    (folder / f'{table}.aml').write_bytes(bytes.fromhex(re.search(r'[0-9a-f]{80,}', data).group(0)))
    if not shutil.which('iasl'):
        return
    subprocess.run(['iasl', '-d', folder / f'{table}.aml'], check=True, capture_output=True)
    text = subprocess.run(['iasl', '-tc', folder / f'{table}.dsl'], capture_output=True, text=True).stdout
    assert '0 Errors, 0 Warnings' in text, text


# ---- memory ----

MEMORY = "$(sed -n 's/MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo)"


def wait_memory(sh, condition):
    sh(f'n=0; until [ {MEMORY} {condition} ] || [ $n = 200 ]; do usleep 50000; n=$((n+1)); done;'
       f' [ {MEMORY} {condition} ]')


@pytest.mark.parametrize('times', ONCE_AND_OFTEN)
@pytest.mark.parametrize('board', BOARDS)
def test_memory(board, times):
    """A DIMM comes, Linux uses it, and gives it back."""
    with shell_on(board, memory='512,slots=2,maxmem=2G', append='memhp_default_state=online_movable') as m:
        sh = Shell(m)
        base = int(re.search(r'(\d+)\s*$', sh(f'echo {MEMORY}')).group(1))
        for i in range(times):
            m.qmp('object-add', qom_type='memory-backend-ram', id='mem1', size=128 << 20)
            m.qmp('device_add', driver='pc-dimm', id='dimm1', memdev='mem1')
            device, = m.qmp('query-memory-devices')
            assert device['type'] == 'dimm'
            assert device['data'] == {'id': 'dimm1', 'addr': 0x100000000, 'size': 128 << 20, 'slot': 0, 'node': 0,
                                      'memdev': '/objects/mem1', 'hotplugged': True, 'hotpluggable': True}
            assert m.qmp('query-memory-size-summary') == {'base-memory': 512 << 20, 'plugged-memory': 128 << 20}
            wait_memory(sh, f'-gt {base + 100000}')
            m.qmp('device_del', id='dimm1')
            assert m.qmp.event('DEVICE_DELETED')['data']['device'] == 'dimm1'
            m.qmp('object-del', id='mem1')
            assert m.qmp('query-memory-devices') == []
            m.qmp.events.clear()
        wait_memory(sh, f'-lt {base + 1000}')
        no_acpi_errors(m)


def test_memory_kept():
    """Linux has put into a DIMM what cannot move, and says that it stays."""
    with shell_on('q35', memory='512,slots=2,maxmem=2G', append='memhp_default_state=online_kernel') as m:
        sh = Shell(m)
        base = int(re.search(r'(\d+)\s*$', sh(f'echo {MEMORY}')).group(1))
        m.qmp('object-add', qom_type='memory-backend-ram', id='mem1', size=128 << 20)
        m.qmp('device_add', driver='pc-dimm', id='dimm1', memdev='mem1')
        wait_memory(sh, f'-gt {base + 100000}')
        sh('mkdir /tmp/d; n=0; while [ $n -lt 3000 ]; do : >/tmp/d/$n; n=$((n+1)); done')
        m.qmp('device_del', id='dimm1')
        error = m.qmp.event('MEM_UNPLUG_ERROR', 60)['data']
        assert error['device'] == 'dimm1' and 'status 0x' in error['msg']
        data = m.qmp.event('DEVICE_UNPLUG_GUEST_ERROR', 60)['data']
        assert data == {'device': 'dimm1', 'path': '/machine/peripheral/dimm1'}
        device, = m.qmp('query-memory-devices')
        assert device['data']['id'] == 'dimm1'
        sh('true')


def test_memory_refusals():
    with linux('cloud', 'shell', '-S', '-object', 'memory-backend-ram,id=a,size=256M', '-device', 'pc-dimm,memdev=a,id=d1',
               board='q35', memory='256,slots=2,maxmem=640M', qmp=True) as m:
        def add(size, message, **more):
            m.qmp('object-add', qom_type='memory-backend-ram', id='b', size=size << 20)
            with pytest.raises(QmpError, match=message):
                m.qmp('device_add', driver='pc-dimm', id='d2', memdev='b', **more)
            m.qmp('object-del', id='b')
        add(256, 'not enough space')
        add(16, 'slot 0 is busy', slot=0)
        add(16, 'invalid slot number 5', slot=5)
        add(16, "conflicts with memory device id='d1'", addr=0x100000000)
        add(16, 'usable range', addr=0x40000000)
        with pytest.raises(QmpError, match='used already|in use'):
            m.qmp('device_add', driver='pc-dimm', id='d2', memdev='a')
        with pytest.raises(QmpError, match='in use'):
            m.qmp('object-del', id='a')


def test_nvdimm(tmp_path):
    """A file as persistent memory, for reading."""
    image = tmp_path / 'image'
    image.write_bytes(b'persistent memory'.ljust(16 << 20, b'\0'))
    with linux('cloud', 'shell', '-object',
               f'memory-backend-file,id=mem0,mem-path={image},size=16M,readonly=on', '-device',
               'nvdimm,id=nv0,memdev=mem0,unarmed=on', board='q35', machine='nvdimm=on',
               memory='256,slots=2,maxmem=1G', qmp=True) as m:
        assert m.qmp('query-memory-devices')[0]['type'] == 'nvdimm'
        sh = Shell(m)
        check_table(tmp_path, sh, 'NFIT')
        if 'yes' in sh('[ -z "$deps_nfit" ] || echo yes'):      # else the guests were fetched without it
            sh('load nd_pmem nfit; wait_for /dev/pmem0 && head -c 100 /dev/pmem0 | grep -q "persistent memory"')
            sh('! echo x >/dev/pmem0')
            more = tmp_path / 'more'
            more.write_bytes(b'plugged'.ljust(16 << 20, b'\0'))
            m.qmp('object-add', qom_type='memory-backend-file', id='mem1', mem_path=str(more), size=16 << 20, share=True)
            m.qmp('device_add', driver='nvdimm', id='nv1', memdev='mem1')
            sh('wait_for /dev/pmem1 && head -c 100 /dev/pmem1 | grep -q plugged')
            sh('echo written by the guest | dd of=/dev/pmem1 bs=4096 seek=1 conv=fsync 2>&1')
            assert b'written by the guest' in more.read_bytes()
        no_acpi_errors(m)


NAMESPACE = '12345678-1234-1234-1234-123456789abc'


def empty_labels():
    """What `ndctl init-labels` writes: UEFI's two index blocks, and room for 510 labels of 256 bytes."""
    def index(n):
        head = b'NAMESPACE_INDEX\0' + struct.pack('<3xBIQQQQIHH', 1, n + 1, n * 256, 256, (1 - n) * 256, 512, 510, 1, 2)
        free = b'\xff' * 63 + b'\x3f'
        low = high = 0
        for word, in struct.iter_unpack('<I', (head + bytes(8) + free).ljust(256, b'\0')):
            low = (low + word) & 0xffffffff
            high = (high + low) & 0xffffffff
        return (head + struct.pack('<II', low, high) + free).ljust(256, b'\0')
    return (index(0) + index(1)).ljust(128 << 10, b'\0')


def labelled(image, **kw):
    return linux('cloud', 'shell', '-object', f'memory-backend-file,id=mem0,mem-path={image},size=32M,share=on', '-device',
                 'nvdimm,id=nv0,memdev=mem0,label-size=128k', board='q35', machine='nvdimm=on',
                 memory='256,slots=2,maxmem=1G', qmp=True, **kw)


def test_nvdimm_labels(tmp_path):
    """Linux makes a namespace, and finds it again after a restart; the labels are no memory of the guest's."""
    image = tmp_path / 'image'
    image.write_bytes(bytes((32 << 20) - (128 << 10)) + empty_labels())
    bus = '/sys/bus/nd/devices'
    with labelled(image) as m:
        assert m.qmp('query-memory-devices')[0]['data']['size'] == (32 << 20) - (128 << 10)
        sh = Shell(m)
        check_table(tmp_path, sh, 'SSDT')
        if 'yes' not in sh('[ -z "$deps_nfit" ] || echo yes'):
            pytest.skip('the guests were fetched without nfit')
        sh(f'load nd_pmem nfit; wait_for {bus}/region0/namespace_seed')
        sh(f'cd {bus}; s=$(cat region0/namespace_seed); echo {NAMESPACE} >$s/uuid; echo 16777216 >$s/size;'
           ' echo 512 >$s/sector_size; echo $s >/sys/bus/nd/drivers/nd_pmem/bind; wait_for /dev/pmem0')
        sh('echo hello | dd of=/dev/pmem0 bs=4096 conv=fsync,sync')
        no_acpi_errors(m)
    assert uuid.UUID(NAMESPACE).bytes in image.read_bytes()[-(128 << 10):]
    with labelled(image) as m:
        sh = Shell(m)
        sh('load nd_pmem nfit; wait_for /dev/pmem0')
        assert NAMESPACE in sh(f'cat {bus}/namespace0.*/uuid')
        assert '32768' in sh('cat /sys/block/pmem0/size')
        assert 'hello' in sh('head -c 5 /dev/pmem0')
        no_acpi_errors(m)


def test_nvdimm_refusals(tmp_path):
    (tmp_path / 'image').write_bytes(bytes(1 << 20))
    for device, more, message in [
            ('label-size=64k', '', 'is required at least 0x20000'), ('label-size=1M', '', 'is too small to contain'),
            ('label-size=128k', ',readonly=on', "'unarmed' property must be 'on'")]:
        result = subprocess.run(
            [*program('x86_64'), '-M', 'q35,nvdimm=on', '-m', '256,slots=2,maxmem=1G', '-display', 'none', '-S', '-object',
             f'memory-backend-file,id=a,mem-path={tmp_path}/image,size=1M{more}', '-device', f'nvdimm,memdev=a,{device}'],
            capture_output=True, text=True, timeout=20)
        assert result.returncode and message in result.stderr


# ---- NUMA ----

TABLES = ['SRAT', 'SLIT', 'HMAT']


@pytest.mark.parametrize('board', BOARDS)
def test_numa(tmp_path, board):
    """Nodes with CPUs and memory; Linux shows them, Intel's compiler has nothing to say."""
    with linux('cloud', 'shell',
               '-object', 'memory-backend-ram,id=m0,size=256M', '-object', 'memory-backend-memfd,id=m1,size=512M',
               '-numa', 'node,nodeid=0,cpus=0-1,memdev=m0', '-numa', 'node,nodeid=1,memdev=m1,initiator=0',
               '-numa', 'cpu,node-id=1,socket-id=1', '-numa', 'dist,src=0,dst=1,val=25',
               '-numa', 'hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-latency,latency=5',
               '-numa', 'hmat-lb,initiator=0,target=1,hierarchy=memory,data-type=access-bandwidth,bandwidth=100M',
               '-numa', 'hmat-cache,node-id=0,size=10K,level=1,associativity=direct,policy=write-back,line=8',
               board=board, machine='hmat=on', memory=768, smp='4,sockets=2', qmp=True) as m:
        assert m.qmp.hmp('info numa').splitlines() == [
            '2 nodes', 'node 0 cpus: 0 1', 'node 0 size: 256 MB', 'node 0 plugged: 0 MB',
            'node 1 cpus: 2 3', 'node 1 size: 512 MB', 'node 1 plugged: 0 MB']
        assert [c['props']['node-id'] for c in m.qmp('query-cpus-fast')] == [0, 0, 1, 1]
        sh = Shell(m)
        where = '/sys/devices/system/node'
        assert '0-1' in sh(f'cat {where}/node0/cpulist')
        assert '10 25' in sh(f'cat {where}/node0/distance')
        size = int(re.search(r'MemTotal: +(\d+)', sh(f'cat {where}/node1/meminfo')).group(1))
        assert 400_000 < size < 524_288
        for table in TABLES:
            check_table(tmp_path, sh, table)
        no_acpi_errors(m)


# ---- PCI ----


# The node is there a moment before the disk can be opened.
READ_DISK = ('n=0; until head -c 70000 /dev/vda 2>/dev/null | grep -q plugged || [ $n = 100 ]; do usleep 50000;'
             ' n=$((n+1)); done; [ $n -lt 100 ]')
PCI_PLACES = {
    'pc': ('pc', [], {}),
    'pc-bridge': ('pc', ['-device', 'pci-bridge,id=b,chassis_nr=1'], {'bus': 'b', 'addr': '4'}),
    'q35-port': ('q35', ['-device', 'pcie-root-port,id=p,chassis=1'], {'bus': 'p'}),
    'q35-port-native': ('q35', ['-device', 'pcie-root-port,id=p,chassis=1', '-global',
                                'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'], {'bus': 'p'}),
    'microvm-port-native': ('microvm,pcie=on', ['-device', 'pcie-root-port,id=p,chassis=1'], {'bus': 'p'}),
    'q35-bridge': ('q35', ['-device', 'pci-bridge,bus=pcie.0,id=b,chassis_nr=1,shpc=off,addr=2,io-reserve=4k,'
                           'mem-reserve=1m,pref64-reserve=1m'], {'bus': 'b', 'addr': '3'}),
}


@pytest.mark.parametrize('times', [2, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize('place', PCI_PLACES)
def test_pci(tmp_path, place, times):
    """A disk and a network card come, are used, and go."""
    board, args, where = PCI_PLACES[place]
    disk = tmp_path / 'disk'
    disk.write_bytes(b'plugged' * 100000)
    slow = 8 if 'native' in place else 1        # the guest waits for the attention button
    with shell_on(board, *args) as m:
        sh = Shell(m)
        sh('load virtio_pci virtio_blk virtio_net af_packet')
        for i in range(max(times // slow, 1)):
            m.qmp('blockdev-add', driver='file', node_name='d', filename=str(disk), read_only=True)
            m.qmp('device_add', driver='virtio-blk-pci', id='disk', drive='d', **where)
            sh(READ_DISK, 30)
            m.qmp('device_del', id='disk')
            assert m.qmp.event('DEVICE_DELETED', 30)['data']['device'] == 'disk'
            m.qmp('blockdev-del', node_name='d')
            sh('[ ! -e /dev/vda ]')
            m.qmp('netdev_add', type='user', id='n')
            m.qmp('device_add', driver='virtio-net-pci', id='net', netdev='n', romfile='', acpi_index=7, **where)
            sh('wait_for /sys/class/net/eth0 && ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 &&'
               ' ping -c 1 -W 5 10.0.2.2', 30)
            if 'native' not in place:
                assert '7' in sh('cat /sys/class/net/eth0/device/../acpi_index')
            m.qmp('device_del', id='net')
            assert m.qmp.event('DEVICE_DELETED', 30)['data']['device'] == 'net'
            m.qmp('netdev_del', id='n')
            m.qmp.events.clear()
        no_acpi_errors(m)


SHPC = {
    'pc': ('pc', ['-device', 'pci-bridge,id=b,chassis_nr=1,shpc=on']),
    'pc-alone': ('pc', ['-global', 'PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off', '-device',
                        'pci-bridge,id=b,chassis_nr=1,shpc=on']),
    'q35': ('q35', ['-device', 'pcie-root-port,id=p,chassis=1', '-device', 'pcie-pci-bridge,id=b,bus=p,shpc=on']),
}


@pytest.mark.parametrize('place', ['pc', 'q35', pytest.param('pc-alone', marks=pytest.mark.long)])
def test_shpc(place):
    """By the bridge's own controller; each time the button takes its five seconds."""
    board, args = SHPC[place]
    with linux('standard', 'shell', *args, board=board, qmp=True, append='shpchp.shpchp_debug=1') as m:
        sh = Shell(m)
        sh('load virtio_pci virtio_net af_packet; [ -d /sys/bus/pci/drivers/shpchp/0000:* ]; ls /sys/bus/pci/slots')
        for _ in range(2):
            m.qmp('netdev_add', type='user', id='n')
            m.qmp('device_add', driver='virtio-net-pci', id='net', netdev='n', romfile='', bus='b', addr='4')
            sh('n=0; until [ -e /sys/class/net/eth0 ] || [ $n = 300 ]; do usleep 50000; n=$((n+1)); done;'
               ' ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 && ping -c 2 10.0.2.2')
            m.qmp('device_del', id='net')
            assert m.qmp.event('DEVICE_DELETED', 60)['data']['device'] == 'net'
            m.qmp('netdev_del', id='n')
            m.qmp.events.clear()
            sh('[ ! -e /sys/class/net/eth0 ]')
        no_acpi_errors(m)


@pytest.mark.parametrize('board', BOARDS)
def test_expander(tmp_path, board):
    """A second root bus, with devices that work, near its NUMA node."""
    args = (['-device', 'pxb-pcie,id=x,bus=pcie.0,bus_nr=32,numa_node=1', '-device', 'pcie-root-port,id=p,bus=x,chassis=5']
            if board == 'q35' else ['-device', 'pxb,id=p,bus=pci.0,bus_nr=32,numa_node=1'])
    disk = tmp_path / 'disk'
    disk.write_bytes(b'plugged' * 100000)
    with shell_on(board, '-numa', 'node,cpus=0,mem=256M', '-numa', 'node,cpus=1,mem=256M', *args,
                  '-device', 'virtio-rng-pci,bus=p,id=rng', smp='2,sockets=2') as m:
        sh = Shell(m)
        sh('load virtio_pci virtio_blk virtio_rng; [ -d /sys/devices/pci0000:20 ]')
        assert sh('head -c 16 /dev/hwrng | wc -c').strip().endswith('16')
        assert sh('cat /sys/devices/pci0000:20/*/*/numa_node').split()[-1] == '1'
        m.qmp('device_del', id='rng')
        assert m.qmp.event('DEVICE_DELETED', 30)
        m.qmp('blockdev-add', driver='file', node_name='d', filename=str(disk), read_only=True)
        m.qmp('device_add', driver='virtio-blk-pci', id='disk', drive='d', bus='p', addr='0' if board == 'q35' else '3')
        sh(READ_DISK, 30)
        buses = m.qmp('query-pci')
        assert [b['bus'] for b in buses] == [0, 32]
        bridge, = buses[1]['devices']
        assert bridge['pci_bridge']['devices'][0]['qdev_id'] == 'disk'
        no_acpi_errors(m)


# ---- virtio memory ----

def shmem_kib(m):
    """What the emulator has of its shared memory, the guest's virtio memory among it."""
    status = open(f'/proc/{m.process.pid}/status').read()
    return int(re.search(r'RssShmem:\s+(\d+)', status).group(1))


@pytest.mark.parametrize('board', BOARDS)
def test_virtio_mem(board):
    """The guest takes what is asked for, and gives it back."""
    with linux('cloud', 'shell', '-object', 'memory-backend-memfd,id=vm0,size=1G', '-device',
               'virtio-mem-pci,id=vmem0,memdev=vm0,requested-size=0,prealloc=on', board=board, memory='512,maxmem=2G',
               append='memhp_default_state=online_movable', qmp=True) as m:
        def data():
            device, = m.qmp('query-memory-devices')
            assert device['type'] == 'virtio-mem'
            return device['data']

        def resize(size):
            m.qmp('qom-set', path='vmem0', property='requested-size', value=size << 20)
            while m.qmp.event('MEMORY_DEVICE_SIZE_CHANGE', 30)['data']['size'] != size << 20:
                pass
            assert data()['size'] == size << 20
        assert data() == {'id': 'vmem0', 'memaddr': 0x100000000, 'requested-size': 0, 'size': 0, 'max-size': 1 << 30,
                          'block-size': 2 << 20, 'node': 0, 'memdev': '/objects/vm0'}
        with pytest.raises(QmpError, match='multiples of'):
            m.qmp('qom-set', path='vmem0', property='requested-size', value=1 << 20)
        sh = Shell(m)
        if 'yes' not in sh('[ -z "$deps_virtio_mem" ] || echo yes'):
            pytest.skip('the guests were fetched without virtio_mem')
        sh('load virtio_pci virtio_mem')
        base = int(re.search(r'(\d+)\s*$', sh(f'echo {MEMORY}')).group(1))
        resize(512)
        wait_memory(sh, f'-gt {base + 450000}')
        assert shmem_kib(m) > 500 << 10
        with pytest.raises(QmpError, match='still plugged'):
            m.qmp('device_del', id='vmem0')
        resize(128)
        assert shmem_kib(m) < 300 << 10
        resize(0)
        wait_memory(sh, f'-lt {base + 1000}')


def test_virtio_pmem(tmp_path):
    """A file as persistent memory; what the guest flushes is in it."""
    image = tmp_path / 'image'
    image.write_bytes(b'persistent memory'.ljust(16 << 20, b'\0'))
    with linux('cloud', 'shell', '-object', f'memory-backend-file,id=mem0,mem-path={image},size=16M,share=on',
               '-device', 'virtio-pmem-pci,memdev=mem0,id=nv0', board='q35', memory='256,maxmem=1G', qmp=True) as m:
        assert m.qmp('query-memory-devices')[0]['data']['size'] == 16 << 20
        sh = Shell(m)
        if 'yes' not in sh('[ -z "$deps_virtio_pmem" ] || echo yes'):
            pytest.skip('the guests were fetched without virtio_pmem')
        sh('load virtio_pci virtio_pmem nd_pmem; wait_for /dev/pmem0 && head -c 100 /dev/pmem0 | grep -q persistent')
        sh('echo written by the guest | dd of=/dev/pmem0 bs=4096 seek=1 conv=fsync 2>&1')
    assert b'written by the guest' in image.read_bytes()
