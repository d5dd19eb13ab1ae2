# SPDX-License-Identifier: Apache-2.0
"""Linux's DMA through virtio's IOMMU: disks, a card and NVMe behind it, root buses beside it, faults.

Debian's kernels have no driver for it; scripts/make-kernel extra builds one that has.
"""

import hashlib
import os
import re
import socket
import threading

import pytest

from machine import GUESTS, linux, make_initramfs
from test_hotplug import Shell

KERNEL = GUESTS / 'extra' / 'bzImage'
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not KERNEL.exists(), reason=f'{KERNEL} is missing; scripts/make-kernel extra builds it'),
]
UNIT = ('-device', 'virtio-iommu-pci')
GROUPS = ('for d in /sys/bus/pci/devices/*; do [ -e $d/iommu_group ] && '
          'echo "${d##*/} $(cat $d/iommu_group/type)"; done; true')
NO_ERRORS = '! dmesg | grep -iE "viommu.*(error|fault)|I/O error|BUG:|Call Trace|timeout"'


def boot(folder, *args, smp=1, append='', **kw):
    """The kernel has everything built in: the initramfs is without modules."""
    initramfs = make_initramfs(folder / 'initramfs', 'cloud', '--modules', '')
    return linux('cloud', 'shell', *args, '-initrd', initramfs, kernel=KERNEL, smp=smp, qmp=True, append=append, **kw)


def disks(folder, *devices):
    """Disks of 8 MiB, each a device with a drive."""
    for i, device in enumerate(devices):
        path = folder / f'disk{i}'
        path.write_bytes(bytes(8 << 20))
        yield from ('-drive', f'if=none,id=d{i},format=raw,file={path}', '-device', f'{device},drive=d{i}')


def groups(sh):
    return dict(line.split() for line in sh(GROUPS).splitlines() if line.startswith('0000:'))


def write_disk(sh, name, image, megabytes=4):
    """Writes noise; what the guest reads again and the host finds must be the same."""
    said = sh(f'dd if=/dev/urandom of=/tmp/data bs=1048576 count={megabytes} 2>/dev/null && sha256sum </tmp/data '
              f'&& dd if=/tmp/data of=/dev/{name} bs=65536 2>/dev/null && sync && echo 3 >/proc/sys/vm/drop_caches '
              f'&& head -c {megabytes << 20} /dev/{name} | cmp - /tmp/data')
    assert hashlib.sha256(image.read_bytes()[:megabytes << 20]).hexdigest() in said, name


def fetch(sh, megabytes=4):
    """A transfer each way by user networking."""
    content, got = os.urandom(megabytes << 20), bytearray()
    with socket.create_server(('127.0.0.1', 0)) as server:
        def serve():
            for give in (True, False):
                client, _ = server.accept()
                with client:
                    if give:
                        client.sendall(content)
                    else:
                        while chunk := client.recv(1 << 16):
                            got.extend(chunk)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        digest = hashlib.sha256(content).hexdigest()
        assert digest in sh(f'nc 10.0.2.2 {port} </dev/null >/tmp/net; sha256sum </tmp/net')
        sh(f'nc 10.0.2.2 {port} </tmp/net')
        thread.join(60)
    assert got == content


CARD = ('-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n,iommu_platform=on')
BOTH = ('virtio-blk-pci,iommu_platform=on', 'nvme,serial=x')


@pytest.mark.parametrize('board, smp', [('q35', 1), ('q35', 2), ('microvm', 1)])
def test_disks_and_card(tmp_path, board, smp):
    more = {'machine': 'pcie=on,acpi=on'} if board == 'microvm' else {}
    # On a busy host this kernel cannot measure the TSC by microvm's timers alone, and hangs.
    clock = ' tsc_early_khz=1000000' if board == 'microvm' else ''
    with boot(tmp_path, *UNIT, *CARD, *disks(tmp_path, *BOTH), board=board, smp=smp, append=f'iommu.strict=1{clock}', **more) as m:
        sh = Shell(m)
        found = groups(sh)
        assert len(found) >= 3 and set(found.values()) == {'DMA'}, found
        sh('wait_for /dev/vda && wait_for /dev/nvme0n1')
        for name, image in (('vda', 'disk0'), ('nvme0n1', 'disk1')):
            write_disk(sh, name, tmp_path / image)
        fetch(sh)
        sh(NO_ERRORS)


@pytest.mark.parametrize('words, kind', [('iommu.passthrough=1', 'identity'), ('iommu.strict=0', 'DMA-FQ')])
def test_modes(tmp_path, words, kind):
    with boot(tmp_path, *UNIT, *disks(tmp_path, *BOTH), board='q35', append=words) as m:
        sh = Shell(m)
        assert set(groups(sh).values()) <= {kind, 'DMA'}
        write_disk(sh, 'vda', tmp_path / 'disk0')
        write_disk(sh, 'nvme0n1', tmp_path / 'disk1')
        sh(NO_ERRORS)


def test_bypass(tmp_path):
    """Functions of the root bus and of one expander bypass the IOMMU, those of the other do not."""
    bridges = ('-device', 'pxb-pcie,id=in,bus_nr=16', '-device', 'pcie-root-port,bus=in,id=inner,chassis=1',
               '-device', 'pxb-pcie,id=out,bus_nr=32,bypass_iommu=on', '-device',
               'pcie-root-port,bus=out,id=outer,chassis=2')
    rows = disks(tmp_path, 'virtio-blk-pci,iommu_platform=on,bus=inner,serial=disk0',
                 'virtio-blk-pci,iommu_platform=on,bus=outer,serial=disk1', 'nvme,serial=x')
    with boot(tmp_path, *UNIT, *bridges, *rows, board='q35', machine='default-bus-bypass-iommu=on', smp=2) as m:
        sh = Shell(m)
        found = groups(sh)
        assert found and {name[5:7] for name in found} <= {'10', '11'}, found
        for name in ('vda', 'vdb'):
            write_disk(sh, name, tmp_path / re.search(r'disk\d', sh(f'cat /sys/block/{name}/serial'))[0])
        write_disk(sh, 'nvme0n1', tmp_path / 'disk2')
        sh(NO_ERRORS)


def test_plug(tmp_path):
    """A disk comes into a port behind the IOMMU, works, goes, ten times."""
    image = tmp_path / 'disk0'
    image.write_bytes(bytes(8 << 20))
    with boot(tmp_path, *UNIT, '-device', 'pcie-root-port,id=port,chassis=1', '-blockdev',
              f'driver=raw,node-name=n,file.driver=file,file.filename={image}', board='q35', smp=2) as m:
        sh = Shell(m)
        before = groups(sh)
        for _ in range(10):
            assert m.qmp.hmp('device_add virtio-blk-pci,id=new,bus=port,drive=n,iommu_platform=on') == ''
            sh('wait_for /dev/vda')
            assert len(groups(sh)) == len(before) + 1
            write_disk(sh, 'vda', image)
            m.qmp('device_del', id='new')
            assert m.qmp.event('DEVICE_DELETED')['data']['device'] == 'new'
            m.qmp.events.clear()
            sh('n=0; while [ -e /dev/vda ] && [ $n -lt 100 ]; do usleep 50000; n=$((n+1)); done; [ ! -e /dev/vda ]')
            assert groups(sh) == before
        sh(NO_ERRORS)


def test_fault(tmp_path):
    """A card that no driver has attached stores into memory: the IOMMU's driver says so."""
    with boot(tmp_path, *UNIT[:1], UNIT[1] + ',boot-bypass=off', '-device', 'edu,addr=7', board='q35') as m:
        sh = Shell(m)
        sh('cd /sys/bus/pci/devices/0000:00:07.0 && echo 1 >enable && '
           "printf '\\006\\000' | dd of=config bs=1 seek=4 conv=notrunc 2>/dev/null")
        said = sh('sed -n "1p" /sys/bus/pci/devices/0000:00:07.0/resource')
        bar = int(re.search(r'0x\w+', said)[0], 16)
        for at, value in ((0x80, 0x40000), (0x88, 0x1234000), (0x90, 8), (0x98, 3)):
            sh(f'busybox devmem {bar + at} 32 {value}')
        said = sh('n=0; until dmesg | grep -q "fault from EP" || [ $n = 100 ]; do usleep 50000; n=$((n+1)); done; '
                  'dmesg | grep "fault from EP"')
        assert 'domain fault from EP 56 at 0x1234000 [W' in said, said
