# SPDX-License-Identifier: Apache-2.0
"""QMP's questions that clients ask of any machine, and announcements of cards."""

import socket

import pytest

from machine import Machine, QmpError


@pytest.fixture(scope='module')
def q35():
    with Machine('x86_64', '-M', 'q35', '-S', '-smp', '1,maxcpus=2', '-m', '128,slots=1,maxmem=1G', qmp=True) as m:
        yield m


def test_absent_hardware(q35):
    for command, why in (('query-gic-capabilities', 'GIC hardware is not available on this target'),
                         ('query-sev-capabilities', 'SEV is not enabled in KVM'),
                         ('query-sgx-capabilities', 'SGX is not enabled in KVM'),
                         ('query-vm-generation-id', 'VM Generation ID device not found')):
        with pytest.raises(QmpError, match=why):
            q35.qmp(command)
    assert q35.qmp('query-replay') == {'mode': 'none', 'icount': 0}
    assert q35.qmp('query-stats', target='vcpu', vcpus=['/machine']) == []
    assert q35.qmp('query-stats-schemas') == []
    assert q35.qmp('rtc-reset-reinjection') == {}
    assert q35.qmp('query-display-options') == {'type': 'none'}


def test_slots(q35):
    slots = [(s['slot-type'], s['slot'], s['source'], s['status']) for s in q35.qmp('query-acpi-ospm-status')]
    assert sorted(slots) == [('CPU', '0', 0, 0), ('CPU', '1', 0, 0), ('DIMM', '0', 0, 0)]
    with Machine('x86_64', '-M', 'none', '-S', qmp=True) as m:
        with pytest.raises(QmpError, match='missing ACPI device'):
            m.qmp('query-acpi-ospm-status')


def test_cpu_models(q35):
    def compare(a, b):
        return q35.qmp('query-cpu-model-comparison', modela=a, modelb=b)
    haswell, ivy = {'name': 'Haswell'}, {'name': 'IvyBridge'}
    assert compare(haswell, haswell) == {'result': 'identical', 'responsible-properties': []}
    assert compare(haswell, ivy)['result'] == 'superset'
    assert 'avx2' in compare(ivy, haswell)['responsible-properties']
    assert compare(ivy, haswell)['result'] == 'subset'
    assert compare({'name': 'Haswell', 'props': {'sse4.2': False}}, ivy)['result'] == 'incompatible'
    base = q35.qmp('query-cpu-model-baseline', modela=haswell, modelb=ivy)['model']
    assert base['name'] == 'base' and base['props']['avx'] and not base['props']['avx2']
    with pytest.raises(QmpError, match="unable to find CPU model 'nope'"):
        compare({'name': 'nope'}, ivy)


def test_list_get(q35):
    machine, cpu = q35.qmp('qom-list-get', paths=['/machine', '/machine/unattached/device[0]'])
    values = {p['name']: p.get('value') for p in cpu['properties']}
    assert values['type'] == 'qemu64-x86_64-cpu' and values['realized'] is True
    assert {'name', 'type'} <= set(machine['properties'][0])
    with pytest.raises(QmpError, match='DeviceNotFound'):
        q35.qmp('qom-list-get', paths=['/nope'])


def test_device_tree(q35, tmp_path):
    with pytest.raises(QmpError, match="doesn't have an FDT"):
        q35.qmp('dumpdtb', filename=str(tmp_path / 'none'))
    with Machine('riscv64', '-M', 'virt', '-S', qmp=True) as m:
        assert m.qmp.hmp(f'dumpdtb {tmp_path}/tree') == ''
    tree = (tmp_path / 'tree').read_bytes()
    assert tree[:4] == b'\xd0\x0d\xfe\xed' and int.from_bytes(tree[4:8], 'big') == len(tree)


def rarp(mac):
    mac = bytes.fromhex(mac.replace(':', ''))
    return b'\xff' * 6 + mac + b'\x80\x35\0\x01\x08\0\x06\x04\0\x03' + mac + bytes(4) + mac + bytes(4 + 18)


def test_announcements(tmp_path):
    """As many as were asked for, of the card that was named only."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / 'here'))
        s.settimeout(30)
        net = f'dgram,id=n,local.type=unix,local.path={tmp_path}/there,remote.type=unix,remote.path={tmp_path}/here'
        with Machine('x86_64', '-M', 'q35', '-S', '-netdev', net, '-device',
                     'virtio-net-pci,netdev=n,id=card,mac=52:54:00:00:00:07', qmp=True) as m:
            m.qmp('announce-self', initial=1, max=2, rounds=3, step=1)
            assert [s.recv(2000) for _ in range(3)] == [rarp('52:54:00:00:00:07')] * 3
            m.qmp('announce-self', initial=1, max=2, rounds=1, step=1, interfaces=['other'])
            m.qmp('announce-self', initial=1, max=2, rounds=1, step=1, interfaces=['card'])
            assert s.recv(2000) == rarp('52:54:00:00:00:07')
            assert m.qmp.hmp('announce_self card') == ''
            assert s.recv(2000) == rarp('52:54:00:00:00:07')
            with pytest.raises(QmpError, match="'rounds'"):
                m.qmp('announce-self', initial=1, max=2, rounds=-1, step=1)
            m.qmp('announce-self', initial=90000, max=90000, rounds=9, step=1)     # under way at the end
