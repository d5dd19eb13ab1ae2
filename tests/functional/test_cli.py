# SPDX-License-Identifier: Apache-2.0
"""The command line: help at each level, and one clear line for each mistake."""

import os
import re
import subprocess
import time

import pytest

from machine import Machine, Qmp, program


def run(*args, arch='x86_64', timeout=30):
    return subprocess.run([*program(arch), *map(str, args)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout)


HELPS = [
    ('x86_64', ['-version'], r'version \d+\.\d+'),
    ('x86_64', ['--version'], r'version \d+\.\d+'),
    ('x86_64', ['-M', 'help'], r'^Supported machines are:'),
    ('x86_64', ['-machine', 'help'], r'^microvm +\S'),
    ('riscv64', ['-M', 'help'], r'^virt +\S'),
    ('x86_64', ['-M', 'microvm,help'], r'^  isa-serial=<bool>'),
    ('x86_64', ['-cpu', 'help'], r'qemu64'),
    ('riscv64', ['-cpu', 'help'], r'rv64'),
    ('x86_64', ['-device', 'help'], r'name "virtio-blk-device"'),
    ('x86_64', ['-device', 'virtio-blk-device,help'], r'^  drive=<str>'),
    ('x86_64', ['-nic', 'model=help'], r'^e1000e$'),
    ('x86_64', ['-device', 'virtio-blk-device,?'], r'^  serial=<str>'),
    ('x86_64', ['-object', 'help'], r'^List of user creatable objects:'),
    ('x86_64', ['-object', 'memory-backend-ram,help'], r'^  size=<'),
    ('x86_64', ['-netdev', 'help'], r'^user$'),
    ('x86_64', ['-chardev', 'help'], r'^Available chardev backend types:'),
    ('x86_64', ['-accel', 'help'], r'^tcg$'),
    ('x86_64', ['-h'], r'-machine'),
]


@pytest.mark.parametrize('arch, args, pattern', HELPS, ids=[' '.join(row[1]) for row in HELPS])
def test_help(arch, args, pattern):
    result = run(*args, arch=arch)
    assert result.returncode == 0, result.stderr
    assert re.search(pattern, result.stdout, re.M), result.stdout[:2000]
    assert result.stderr == ''


@pytest.mark.myna
def test_log_items_help():
    result = run('-d', 'help')
    assert result.returncode == 0
    assert 'in_asm' in result.stdout


# What QEMU 7.2 lets pass.
QEMU_ACCEPTS = [['-smp', '0']]

# arguments, what stderr must name, what Myna must suggest besides
MISTAKES = [
    (['-M', 'mikrovm'], 'mikrovm', 'microvm'),
    (['-M', 'microvm,isa-serail=on'], 'isa-serail', 'isa-serial'),
    (['-M', 'microvm,isa-serial=perhaps'], 'perhaps', None),
    (['-M', 'microvm', '-cpu', 'Nehalen'], 'Nehalen', 'Nehalem'),
    (['-M', 'microvm', '-device', 'virtio-block-device'], 'virtio-block-device',
     'virtio-blk-device'),
    (['-M', 'microvm', '-device', 'virtio-rng-device,max-byte=1'], 'max-byte', 'max-bytes'),
    (['-M', 'microvm', '-device', 'virtio-blk-device,drive=nowhere'], 'nowhere', None),
    (['-M', 'microvm', '-netdev', 'usr,id=n'], 'usr', 'user'),
    (['-M', 'microvm', '-netdev', 'user'], 'id', None),
    (['-M', 'microvm', '-kernel', '/no/such/kernel'], '/no/such/kernel', None),
    (['-M', 'microvm', '-initrd', '/no/such', '-append', 'x'], None, None),
    (['-M', 'microvm', '-m', 'plenty'], 'plenty', None),
    (['-M', 'microvm', '-smp', '0'], '0', None),
    (['-M', 'microvm', '-smp', 'cpus=2,quarks=3'], 'quarks', None),
    (['-M', 'microvm', '-serail', 'stdio'], '-serail', 'serial'),
    (['-M', 'microvm', '-accel', 'tcgg'], 'tcgg', 'tcg'),
    (['-M', 'microvm', '-drive', 'file=/no/such/disk,if=none,format=raw'], '/no/such/disk', None),
    (['-M', 'microvm', '-drive', 'file=/dev/null,if=none,format=rav'], 'rav', 'raw'),
    (['-M', 'microvm', '-chardev', 'socket,id=x'], None, None),
    (['-M', 'microvm', '-global', 'nonsense'], 'nonsense', None),
    (['-M', 'q35', '-global', 'mc146818rtc.bass_year=1'], 'bass_year', None),
    (['-M', 'q35', '-global', 'ICH9-LPC.disable_s3=perhaps'], 'perhaps', None),
    (['-M', 'microvm', '-object', 'rng-radnom,id=r'], 'rng-radnom', 'rng-random'),
]
IDS = [' '.join(row[0]).replace('-M microvm ', '') for row in MISTAKES]


@pytest.mark.parametrize('args, named, suggested', [row for row in MISTAKES
                                                    if row[0][2:] not in QEMU_ACCEPTS])
def test_mistake_ends_with_status_1(args, named, suggested):
    result = run(*args, '-display', 'none', '-nodefaults', '-S')
    assert result.returncode == 1
    assert result.stdout == ''
    assert result.stderr


@pytest.mark.myna
@pytest.mark.parametrize('args, named, suggested', MISTAKES, ids=IDS)
def test_mistake_gets_one_line_with_a_way_out(args, named, suggested):
    result = run(*args, '-display', 'none', '-nodefaults', '-S')
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert named is None or named in result.stderr
    assert suggested is None or suggested in result.stderr.replace(named or '', '', 1)


@pytest.mark.myna
def test_no_default_machine_on_riscv():
    result = run('-display', 'none', '-nodefaults', '-S', arch='riscv64')
    assert result.returncode == 1
    assert 'No machine specified' in result.stderr


def test_nothing_half_done(tmp_path):
    """An error late on the line leaves no pid file and no socket behind."""
    result = run('-M', 'microvm', '-display', 'none', '-nodefaults', '-pidfile', tmp_path / 'pid',
                 '-device', 'no-such-device')
    assert result.returncode == 1
    assert not (tmp_path / 'pid').exists()


def test_daemonize_and_pidfile(tmp_path):
    pid, qmp = tmp_path / 'pid', tmp_path / 'qmp'
    result = run('-M', 'microvm', '-display', 'none', '-nodefaults', '-S', '-daemonize',
                 '-pidfile', pid, '-qmp', f'unix:{qmp},server=on,wait=off')
    assert result.returncode == 0, result.stderr
    number = int(pid.read_text())
    client = Qmp(qmp)
    assert client('query-status')['status'] == 'prelaunch'
    client('quit')
    client.close()
    for _ in range(100):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    assert not pid.exists()


def test_readconfig(tmp_path):
    config = tmp_path / 'machine.cfg'
    config.write_text('[machine]\n  type = "microvm"\n[memory]\n  size = "64M"\n'
                      '[device "rng0"]\n  driver = "virtio-rng-device"\n')
    with Machine('x86_64', '-readconfig', config, '-S', qmp=True) as m:
        assert m.qmp('query-memory-size-summary')['base-memory'] == 64 << 20
        names = {row['name'] for row in m.qmp('qom-list', path='/machine/peripheral')}
        assert 'rng0' in names


def test_device_as_json():
    with Machine('x86_64', '-M', 'microvm', '-S', '-device',
                 '{"driver": "virtio-rng-device", "id": "rng0", "max-bytes": 1024}',
                 qmp=True) as m:
        value = m.qmp('qom-get', path='/machine/peripheral/rng0', property='max-bytes')
        assert value == 1024


def test_set_and_global():
    with Machine('x86_64', '-M', 'microvm', '-S', '-global', 'virtio-rng-device.max-bytes=4096',
                 '-device', 'virtio-rng-device,id=rng0', '-device',
                 'virtio-rng-device,id=rng1', '-set', 'device.rng1.max-bytes=2048',
                 qmp=True) as m:
        for name, expected in (('rng0', 4096), ('rng1', 2048)):
            assert m.qmp('qom-get', path=f'/machine/peripheral/{name}',
                         property='max-bytes') == expected
