# SPDX-License-Identifier: Apache-2.0
"""Objects, network back ends, models and log items by name: that they work, or say why they do not."""

import json
import os
import subprocess

import pytest

from machine import Machine, QmpError, linux, passed, program


def refused(arch, *args):
    done = subprocess.run([*program(arch), '-display', 'none', '-S', *args], stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 1
    return done.stderr


def test_error_policy(tmp_path):
    """The device's own policy, as libvirt states it for -blockdev disks."""
    (tmp_path / 'a').write_bytes(bytes(512))
    node = '{"driver":"raw","node-name":"n","file":{"driver":"file","filename":"%s"}}' % (tmp_path / 'a')
    disk = json.dumps({'driver': 'virtio-blk-pci', 'drive': 'n', 'id': 'disk', 'werror': 'stop', 'rerror': 'ignore'})
    with Machine('x86_64', '-M', 'q35', '-S', '-blockdev', node, '-device', disk, qmp=True) as m:
        names = {p['name']: p for p in m.qmp('device-list-properties', typename='virtio-blk-pci')}
        assert names['werror']['type'] == names['rerror']['type'] == 'BlockdevOnError'
        assert m.qmp('qom-get', path='/machine/peripheral/disk', property='werror') == 'stop'
    assert 'rerror=enospc is not possible' in refused(
        'x86_64', '-M', 'q35', '-blockdev', node, '-device', 'virtio-blk-pci,drive=n,rerror=enospc')


def test_shared_memory():
    with Machine('x86_64', '-M', 'q35,memory-backend=ram', '-S', '-m', '64', '-object',
                 'memory-backend-shm,id=ram,size=64M', qmp=True) as m:
        ram, = m.qmp('query-memdev')
        assert ram['share'] and ram['size'] == 64 << 20
    assert 'always shared' in refused('x86_64', '-object', 'memory-backend-shm,id=r,size=1M,share=off')


def test_bridge(tmp_path):
    """The helper is told the bridge and the descriptor; one that gives no interface is an error."""
    helper = tmp_path / 'helper'
    helper.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/said\n')
    helper.chmod(0o755)
    text = refused('x86_64', '-netdev', f'bridge,id=n,br=virbr9,helper={helper}')
    assert 'the bridge helper gave no interface' in text
    assert '--br=virbr9' in (tmp_path / 'said').read_text() and '--fd=' in (tmp_path / 'said').read_text()
    text = subprocess.run([*program('x86_64'), '-netdev', 'help'], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert 'bridge' in text.splitlines()


def test_rules_in_a_file(tmp_path):
    rules = tmp_path / 'rules'
    rules.write_text('{"policy": "deny", "rules": [{"match": "CN=me", "policy": "allow"}]}')
    with Machine('x86_64', '-M', 'none', '-S', '-object', f'authz-list-file,id=a,filename={rules}', qmp=True) as m:
        assert m.qmp('qom-get', path='/objects/a', property='refresh') is True
        for text, why in (('[]', 'no JSON object'), ('{"policy": "maybe"}', 'allow or deny'),
                          ('{"rules": [{"match": "x"}]}', "a rule has 'match' and 'policy'"), ('{', '')):
            rules.write_text(text)
            with pytest.raises(QmpError, match=why):
                m.qmp('object-add', **{'qom-type': 'authz-list-file', 'id': 'b', 'filename': str(rules)})
    assert 'authz-list-file' in refused('x86_64', '-object', 'authz-list-file,id=a,filename=/nonexistent/rules')


def test_riscv_models():
    text = subprocess.run([*program('riscv64'), '-cpu', 'help'], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert {'rv64i', 'rva22s64', 'rva23s64', 'max', 'rv64'} <= set(text.split())
    assert 'extensions V and H' in refused('riscv64', '-M', 'virt', '-cpu', 'rva23s64')
    with Machine('riscv64', '-M', 'virt', '-S', '-cpu', 'rv64i', qmp=True) as m:
        props = m.qmp('query-cpu-model-expansion', type='full', model={'name': 'rv64i'})['model']['props']
        assert not props['m'] and not props['c'] and not props['s']


@pytest.mark.skipif('MYNA_ACCEL' in os.environ, reason='one engine is enough')
def test_riscv_profile_boots():
    with linux('riscv64', 'boot', '-cpu', 'rva22s64') as m:
        passed(m, 'boot')


def test_log_items():
    assert "no indirect form" in refused('x86_64', '-d', 'op_ind')
    assert 'there are no plugins' in refused('x86_64', '-d', 'op_plugin')
