# SPDX-License-Identifier: Apache-2.0
"""IOMMUs: Linux's DMA and interrupts through VT-d, a card's DMA through hand-made tables, ACPI tables."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from machine import linux
from test_hotplug import Shell

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest     # noqa: E402

UNIT, ROOT, BUFFER, BAR = 0xfed90000, 0x10000, 0x20000, 0xe0000000
GCMD, GSTS, RTADDR, FSTS, FRCD = UNIT + 0x18, UNIT + 0x1c, UNIT + 0x20, UNIT + 0x34, UNIT + 0x220


def drives(path, *devices):
    for i, device in enumerate(devices):
        yield from ('-drive', f'if=none,id=d{i},format=raw,readonly=on,file={path}', '-device', f'{device},drive=d{i}')


@pytest.mark.parametrize('words, unit', [('iommu.strict=1', 'caching-mode=on'), ('iommu=pt', 'aw-bits=39')])
def test_linux(tmp_path, words, unit):
    """What disks read is what is on them; interrupts arrive through the remapper."""
    disk = tmp_path / 'disk'
    disk.write_bytes(os.urandom(4 << 20))
    digest = hashlib.sha256(disk.read_bytes()).hexdigest()
    with linux('standard', 'shell', '-cpu', 'max', '-device', f'intel-iommu,{unit}',
               *drives(disk, 'virtio-blk-pci,iommu_platform=on', 'nvme,serial=x', 'ide-hd,bus=ide.1'), board='q35', smp=2,
               append=f'intel_iommu=on {words}') as m:
        sh = Shell(m)
        sh('load virtio_pci virtio_blk nvme ahci sd_mod')
        for name in ('vda', 'nvme0n1', 'sda'):
            assert digest in sh(f'wait_for /dev/{name} && sha256sum /dev/{name}')
        assert 'Enabled IRQ remapping in x2apic mode' in sh('dmesg | grep DMAR')
        assert 'IR-PCI-MSI' in sh('cat /proc/interrupts')
        sh('! dmesg | grep -i "dmar.*fault"')


def plug_edu(q):
    """The card at 00:04.0 as a bus master, its registers at BAR."""
    for at, value in ((0x10, BAR), (0x04, 6)):
        q.outl(0xcf8, 0x80000000 | 4 << 11 | at)
        q.outl(0xcfc, value)


def store(q, target):
    """Lets the card write 8 bytes of its buffer."""
    for at, value in ((0x80, 0x40000), (0x88, target), (0x90, 8), (0x98, 3)):
        q.writeq(BAR + at, value)
    q.clock_step(200_000_000)


def test_vtd_registers():
    with Qtest(['-M', 'q35', '-m', '64', '-device', 'intel-iommu', '-device', 'edu,addr=4']) as q:
        plug_edu(q)
        q.writeq(ROOT, ROOT + 0x1001)
        q.writeq(ROOT + 0x1000 + 0x20 * 16, ROOT + 0x2001)
        q.writeq(ROOT + 0x1008 + 0x20 * 16, 1 << 8 | 1)         # domain 1, 39 bits
        q.writeq(ROOT + 0x2000, ROOT + 0x3003)
        q.writeq(ROOT + 0x3000, ROOT + 0x4003)
        q.writeq(ROOT + 0x4000 + 8 * 5, BUFFER | 3)             # 0x5000 is the buffer
        q.writeq(RTADDR, ROOT)
        q.writel(GCMD, 1 << 30)
        q.writel(GCMD, 1 << 31)
        assert q.readl(GSTS) == 3 << 30
        q.memset(BUFFER, 16, 0x55)
        store(q, 0x5008)
        assert q.read(BUFFER, 16) == b'\x55' * 8 + bytes(8)
        assert q.readl(FSTS) == 0
        store(q, 0x9000)
        assert q.readl(FSTS) == 2
        assert q.readq(FRCD) == 0x9000
        assert q.readq(FRCD + 8) == 1 << 63 | 5 << 32 | 0x20


BYPASS = ['-M', 'q35,default-bus-bypass-iommu=on', '-device', 'pxb-pcie,bus_nr=16,id=p', '-device',
          'pcie-root-port,bus=p,id=r,chassis=1', '-device', 'pxb-pcie,bus_nr=32,id=q,bypass_iommu=on']


@pytest.mark.parametrize('device, signature', [('intel-iommu', b'DMAR'), ('virtio-iommu-pci', b'VIOT')])
def test_bypass(device, signature):
    """Tables name what is left when root buses bypass the IOMMU: one of three, with one port."""
    with Qtest([*BYPASS, '-m', '64', '-device', device]) as q:
        files = q.fw_cfg_files()
        tables = q.fw_cfg(*files['etc/acpi/tables'])
    at = tables.index(signature)
    table = tables[at:at + int.from_bytes(tables[at + 4:at + 8], 'little')]
    if signature == b'DMAR':
        assert len(table) == 48 + 16 + 2 * 8
        assert table[52] == 0                                               # not all functions
        assert table[-8:] == bytes([2, 8, 0, 0, 0, 16, 0, 0])               # a bridge, bus 16
    else:
        assert table[36] == 2
        assert table[64:].hex() == '01001800' '00100000' '00000000' '0010' 'ff1f' '3000' + '00' * 6


@pytest.mark.parametrize('device, table', [('intel-iommu,device-iotlb=on', b'DMAR'), ('virtio-iommu-pci', b'VIOT')])
def test_tables(tmp_path, device, table):
    if not shutil.which('iasl'):
        pytest.skip('iasl (acpica-tools) is not there')
    with Qtest(['-M', 'q35', '-m', '64', '-device', device]) as q:
        files = q.fw_cfg_files()
        tables = q.fw_cfg(*files['etc/acpi/tables'])
    at = tables.index(table)
    aml = bytearray(tables[at:at + int.from_bytes(tables[at + 4:at + 8], 'little')])
    aml[9] = -(sum(aml) - aml[9]) & 255
    (tmp_path / 'table.aml').write_bytes(aml)
    done = subprocess.run(['iasl', '-d', 'table.aml'], capture_output=True, text=True, cwd=tmp_path)
    words = (tmp_path / 'table.dsl').read_text()
    if 'Unknown ACPI table signature' in words:
        pytest.skip('this iasl does not know the table')
    assert done.returncode == 0 and 'Invalid' not in words and 'Unknown' not in words, words
    done = subprocess.run(['iasl', 'table.dsl'], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and '0 Errors, 0 Warnings' in done.stdout, done.stdout + done.stderr
