# SPDX-License-Identifier: Apache-2.0
"""All ACPI tables, with whatever adds to them: Intel's compiler and Linux have nothing to say against them."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from machine import linux, passed

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest                 # noqa: E402

NUMA = ['-object', 'memory-backend-ram,id=m0,size=128M', '-object', 'memory-backend-ram,id=m1,size=128M',
        '-numa', 'node,nodeid=0,memdev=m0,cpus=0,initiator=0', '-numa', 'node,nodeid=1,memdev=m1,cpus=1,initiator=1',
        '-numa', 'dist,src=0,dst=1,val=20',
        *(word for i in (0, 1) for t in (0, 1) for kind, value in (('latency', 10), ('bandwidth', '1G'))
          for word in ('-numa', f'hmat-lb,initiator={i},target={t},hierarchy=memory,data-type=access-{kind},'
                                f'{kind}={value}')),
        '-numa', 'hmat-cache,node-id=0,size=16K,level=1,associativity=direct,policy=write-back,line=8']
ALL = [*NUMA, '-object', 'memory-backend-ram,id=n0,size=128M', '-device', 'nvdimm,id=nv0,memdev=n0',
       '-device', 'vmgenid', '-parallel', 'null']
MANY = 'nvdimm=on,hmat=on'
SIZES = ['-m', '256,slots=4,maxmem=2G', '-smp', '2,maxcpus=4']
PCI = {
    'q35': ['-device', 'intel-iommu', '-device', 'pxb-pcie,id=expander,bus_nr=0x40,numa_node=1',
            '-device', 'pcie-root-port,id=port,bus=pcie.0,chassis=1'],
    'pc': ['-device', 'pxb,id=expander,bus_nr=0x40,numa_node=1', '-device', 'pci-bridge,chassis_nr=1'],
}
PC_TABLES = {'DSDT', 'FACP', 'APIC', 'SRAT', 'SLIT', 'HMAT', 'NFIT', 'HPET', 'WAET', 'RSDT', 'SSDT-VMGENID',
             'SSDT-NVDIMM'}
BOARDS = {
    'q35': (['-M', f'q35,{MANY}', *SIZES, *ALL, *PCI['q35']], PC_TABLES | {'MCFG', 'DMAR'}),
    'pc': (['-M', f'pc,{MANY}', *SIZES, *ALL, *PCI['pc']], PC_TABLES),
    'microvm': (['-M', 'microvm,acpi=on'], {'DSDT', 'FACP', 'APIC', 'XSDT'}),
    'microvm,pcie=on': (['-M', 'microvm,acpi=on,pcie=on'], {'DSDT', 'FACP', 'APIC', 'MCFG', 'XSDT'}),
}


@pytest.fixture
def tpm(tmp_path):
    """A TPM's arguments, where swtpm is there."""
    if not shutil.which('swtpm'):
        yield []
        return
    process = subprocess.Popen(['swtpm', 'socket', '--tpm2', '--tpmstate', f'dir={tmp_path}', '--ctrl',
                                f'type=unixio,path={tmp_path}/swtpm'])
    for _ in range(500):
        if (tmp_path / 'swtpm').exists():
            break
        time.sleep(0.01)
    yield ['-chardev', f'socket,id=swtpm,path={tmp_path}/swtpm', '-tpmdev', 'emulator,id=tpm0,chardev=swtpm',
           '-device', 'tpm-crb,tpmdev=tpm0']
    process.kill()
    process.wait()


def tables_of(args):
    """{signature: table}, as firmware gets them, with their sums."""
    with Qtest(args) as q:
        blob = q.fw_cfg(*q.fw_cfg_files()['etc/acpi/tables'])
    tables, at = {}, 0
    while at + 8 <= len(blob):
        signature, size = blob[at:at + 4], int.from_bytes(blob[at + 4:at + 8], 'little')
        if signature == bytes(4):
            at += 8
            continue
        assert re.fullmatch(b'[A-Z0-9]{4}', signature) and size >= 36 and at + size <= len(blob)
        table = bytearray(blob[at:at + size])
        if signature != b'FACS':
            table[9] = -(sum(table) - table[9]) & 255
            name = signature.decode()
            if name == 'SSDT':          # there are several, with names of their own
                name += '-' + table[16:24].decode().rstrip('\0')
            assert name not in tables
            tables[name] = table
        at = end = (at + size + 7) & ~7     # where the next one begins
    # SeaBIOS, which reads the directory once, has a place for what the tables are when PCI has its windows.
    assert len(blob) - end >= 8192
    return tables


def check(folder, name, table):
    (folder / f'{name}.aml').write_bytes(table)
    done = subprocess.run(['iasl', '-d', f'{name}.aml'], capture_output=True, text=True, cwd=folder)
    text = (folder / f'{name}.dsl').read_text()
    # NVDIMMs' functions have a UUID that the compiler has no name for.
    assert done.returncode == 0 and not re.search('Invalid|Unknown(?! UUID)|nrecognized', text), text
    # 6035: the id of the generation counter, QEMUVGID, is not as ACPI wants ids; drivers know no other.
    done = subprocess.run(['iasl', '-vw', '6035', '-tc', f'{name}.dsl'], capture_output=True, text=True, cwd=folder)
    assert '0 Errors, 0 Warnings' in done.stdout, f'{name}: {done.stdout}{done.stderr}'


@pytest.mark.parametrize('board', BOARDS)
def test_compiler(tmp_path, tpm, board):
    if not shutil.which('iasl'):
        pytest.skip('iasl (acpica-tools) is not there')
    args, expected = BOARDS[board]
    if tpm and 'microvm' not in board:
        args, expected = [*args, *tpm], expected | {'TPM2'}
    tables = tables_of(args)
    assert set(tables) == expected
    for name, table in tables.items():
        check(tmp_path, name, table)


@pytest.mark.parametrize('board', PCI)
def test_linux(tpm, board):
    """Linux takes all tables without complaints."""
    with linux('cloud', 'boot', *ALL, *PCI[board], *tpm, board=board, machine=MANY, memory='256,slots=4,maxmem=2G',
               smp='2,maxcpus=4') as m:
        passed(m, 'boot')
        assert m.status() == 0
        log = m.serial.text
    assert not re.search(r'ACPI (BIOS )?(Error|Exception|Warning)|ACPI: Unable|AE_|\[Firmware (Bug|Warn)\]', log), log
