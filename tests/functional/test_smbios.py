# SPDX-License-Identifier: Apache-2.0
"""What -smbios makes, decoded as DMTF's DSP0134 says."""

import sys
from pathlib import Path

import pytest

from machine import Machine, linux, passed

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest                 # noqa: E402


def decode(blob):
    """[(type, handle, formatted part behind the header, strings)]"""
    found, at = [], 0
    while at < len(blob):
        kind, size, handle = blob[at], blob[at + 1], int.from_bytes(blob[at + 2:at + 4], 'little')
        end = blob.index(b'\0\0', at + size)
        strings = blob[at + size:end].split(b'\0') if end > at + size else []
        found.append((kind, handle, blob[at + 4:at + size], [s.decode() for s in strings]))
        at = end + 2
    assert at == len(blob) and found[-1][0] == 127
    assert len({handle for _, handle, _, _ in found}) == len(found)
    return found


def tables(*args, board='q35'):
    with Qtest(['-M', board, '-m', '128', *args]) as q:
        files = q.fw_cfg_files()
        return q.fw_cfg(*files['etc/smbios/smbios-anchor']), q.fw_cfg(*files['etc/smbios/smbios-tables'])


def options(*texts):
    return [word for text in texts for word in ('-smbios', text)]


def of_type(found, kind):
    return [(part, strings) for k, _, part, strings in found if k == kind]


@pytest.mark.parametrize('board', ['q35', 'pc'])
def test_without_options(board):
    anchor, blob = tables('-smp', '2,sockets=2', board=board)
    found = decode(blob)
    assert [kind for kind, _, _, _ in found] == [1, 3, 4, 4, 16, 17, 19, 32, 127]
    assert anchor[:4] == b'_SM_' and len(anchor) == 31 and sum(anchor) & 255 == 0 and sum(anchor[16:]) & 255 == 0
    assert int.from_bytes(anchor[22:24], 'little') == len(blob)
    assert int.from_bytes(anchor[28:30], 'little') == len(found)
    assert of_type(found, 1)[0][1][0] == 'QEMU'


def test_all_types():
    _, blob = tables('-uuid', '01020304-0506-0708-090a-0b0c0d0e0f10', '-device', 'virtio-rng-pci,id=r0,addr=5', *options(
        'type=0,vendor=V,version=1.0,date=01/01/2026,release=3.4,uefi=on',
        'type=1,manufacturer=M1,product=P,version=v,serial=S,sku=K,family=F',
        'type=2,manufacturer=M2,product=P2,version=v2,serial=S2,asset=A2,location=L2',
        'type=3,manufacturer=M3,version=v3,serial=S3,asset=A3,sku=K3',
        'type=4,sock_pfx=SOCK,manufacturer=M4,version=v4,serial=S4,asset=A4,part=P4,max-speed=5000,'
        'current-speed=4000,processor-id=0x1122334455667788,processor-family=0x105',
        'type=8,internal_reference=IN,external_reference=OUT,connector_type=0x12,port_type=0x10',
        'type=8,internal_reference=SECOND',
        'type=9,slot_designation=SLOT,slot_type=0xaa,slot_data_bus_width=0xd,current_usage=4,slot_length=3,slot_id=0x1234,'
        'slot_characteristics1=4,slot_characteristics2=1,pcidev=r0',
        'type=11,value=one,value=two', 'type=11,value=three',
        'type=17,loc_pfx=RAM,bank=B,manufacturer=M17,serial=S17,asset=A17,part=P17,speed=3200',
        'type=41,designation=NIC,kind=ethernet,instance=2,pcidev=r0', 'type=41,designation=none'))
    found = decode(blob)
    assert [kind for kind, _, _, _ in found] == [0, 1, 2, 3, 4, 8, 8, 9, 11, 16, 17, 19, 32, 41, 41, 127]
    part, strings = of_type(found, 0)[0]
    assert strings == ['V', '1.0', '01/01/2026'] and (part[16], part[17]) == (3, 4) and part[15] & 8
    part, strings = of_type(found, 1)[0]
    assert strings == ['M1', 'P', 'v', 'S', 'K', 'F']
    assert part[4:20].hex() == '0403020106050807090a0b0c0d0e0f10'
    assert of_type(found, 2)[0][1] == ['M2', 'P2', 'v2', 'S2', 'A2', 'L2']
    assert of_type(found, 3)[0][1] == ['M3', 'v3', 'S3', 'A3', 'K3']
    part, strings = of_type(found, 4)[0]
    assert strings == ['SOCK 0', 'M4', 'v4', 'S4', 'A4', 'P4']
    assert part[4:12] == bytes.fromhex('8877665544332211') and part[2] == 0xfe
    assert [int.from_bytes(part[at:at + 2], 'little') for at in (16, 18, 0x28 - 4)] == [5000, 4000, 0x105]
    assert of_type(found, 8) == [(bytes([1, 0, 2, 0x12, 0x10]), ['IN', 'OUT']), (bytes([1, 0, 0, 0, 0]), ['SECOND'])]
    assert of_type(found, 9) == [(bytes([1, 0xaa, 0xd, 4, 3, 0x34, 0x12, 4, 1, 0, 0, 0, 5 << 3]), ['SLOT'])]
    assert of_type(found, 11) == [(bytes([3]), ['one', 'two', 'three'])]
    part, strings = of_type(found, 17)[0]
    assert strings == ['RAM 0', 'B', 'M17', 'S17', 'A17', 'P17'] and int.from_bytes(part[17:19], 'little') == 3200
    assert of_type(found, 41) == [(bytes([1, 0x85, 2, 0, 0, 0, 5 << 3]), ['NIC']),
                                  (bytes([1, 0x81, 1, 0xff, 0xff, 0xff, 0xff]), ['none'])]


def test_files(tmp_path):
    """A structure of one's own takes the place of ours; strings come out of files."""
    chassis = bytes([3, 9, 0, 0x77, 1, 1, 0, 0, 0]) + b'Myna\0\0'
    (tmp_path / 'chassis').write_bytes(chassis)
    (tmp_path / 'text').write_text('out of a file')
    anchor, blob = tables(*options(f'file={tmp_path}/chassis', f'type=11,path={tmp_path}/text'))
    found = decode(blob)
    assert blob.startswith(chassis)
    assert [kind for kind, _, _, _ in found] == [3, 1, 4, 11, 16, 17, 19, 32, 127]
    assert int.from_bytes(anchor[28:30], 'little') == len(found)
    assert of_type(found, 11)[0][1] == ['out of a file']


def test_entry_points(tmp_path):
    anchor, blob = tables(board='q35,smbios-entry-point-type=64')
    assert anchor[:5] == b'_SM3_' and len(anchor) == 24 and sum(anchor) & 255 == 0
    assert int.from_bytes(anchor[12:16], 'little') == len(blob)
    assert tables(board='q35,smbios-entry-point-type=32')[0][:4] == b'_SM_'
    (tmp_path / 'long').write_text('x' * 60000)
    large = options(f'type=11,path={tmp_path}/long', f'type=11,path={tmp_path}/long')
    anchor, blob = tables(*large)               # auto: what there is room in
    assert anchor[:5] == b'_SM3_' and len(blob) > 120000
    decode(blob)
    with Machine('x86_64', '-M', 'pc,smbios-entry-point-type=32', *large) as m:
        assert m.status() == 1 and 'use smbios-entry-point-type=64' in m.errors.text


@pytest.mark.parametrize('text, error', [
    ('type=8,foo=1', "Invalid parameter 'foo'"), ('type=8,port_type=300', 'up to 255'),
    ('type=41,kind=foo', 'invalid parameter value: foo'), ('type=41,pcidev=nobody', "no PCI device 'nobody'"),
    ('type=5', "Don't know how to build fields"), ('file=/nonexistent', 'Cannot read SMBIOS file'),
    ('file=/dev/null', 'one structure'), ('file=/dev/null,type=1', "Invalid parameter 'type'"),
    ('type=4,processor-id=zz', 'processor-id is a number'), ('vendor=x', 'Must specify type= or file=')])
def test_errors(text, error):
    with Machine('x86_64', '-M', 'pc', '-smbios', text) as m:
        assert m.status() == 1
        assert error in m.errors.text


def test_linux():
    """SeaBIOS hands on the tables, Linux believes them."""
    with linux('cloud', 'boot', *options('type=1,manufacturer=Nest,product=Egg'), board='q35') as m:
        m.wait(r'SMBIOS 2\.8 present')
        m.wait(r'DMI: Nest Egg')
        passed(m, 'boot')
