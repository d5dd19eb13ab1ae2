# SPDX-License-Identifier: Apache-2.0
"""A QMP conversation, as libvirt and people with a socket have it."""

import json
import os
import socket
import subprocess
import time

import pytest

from machine import Machine, Qmp, QmpError, linux, passed, program

MACHINES = [('x86_64', 'microvm'), ('riscv64', 'virt')]


@pytest.fixture(params=MACHINES, ids=[arch for arch, _ in MACHINES])
def idle(request):
    """A machine that has not started to run."""
    arch, board = request.param
    with Machine(arch, '-M', board, '-S', qmp=True) as m:
        yield m


def test_greeting(idle):
    qmp = Qmp(idle.qmp_path, negotiate=False)
    version = qmp.greeting['QMP']['version']
    assert set(version['qemu']) == {'major', 'minor', 'micro'}
    assert isinstance(version['package'], str)
    assert 'oob' in qmp.greeting['QMP']['capabilities']
    answer = qmp.request({'execute': 'query-status'})
    assert answer['error']['class'] == 'CommandNotFound'
    assert qmp.request({'execute': 'qmp_capabilities', 'id': 7}) == {'return': {}, 'id': 7}


def test_status_stop_cont(idle):
    qmp = idle.qmp
    assert qmp('query-status')['status'] == 'prelaunch'
    assert qmp('query-status')['running'] is False
    qmp('cont')
    qmp.event('RESUME')
    assert qmp('query-status')['running'] is True
    qmp('stop')
    qmp.event('STOP')
    assert qmp('query-status')['status'] == 'paused'


def test_quit(idle):
    idle.qmp('quit')
    event = idle.qmp.event('SHUTDOWN')
    assert event['data'] == {'guest': False, 'reason': 'host-qmp-quit'}
    assert set(event['timestamp']) == {'seconds', 'microseconds'}
    assert idle.status() == 0


def test_qom_tree(idle):
    qmp = idle.qmp
    names = {row['name'] for row in qmp('qom-list', path='/machine')}
    assert {'type', 'peripheral', 'peripheral-anon', 'unattached'} <= names
    assert qmp('qom-get', path='/machine', property='type').endswith('-machine')
    types = {row['name'] for row in qmp('qom-list-types', implements='device')}
    assert {'virtio-blk-device', 'virtio-net-device'} <= types


@pytest.mark.parametrize('message, kind', [
    ({'execute': 'no-such-command'}, 'CommandNotFound'),
    ({'execute': 'qom-get', 'arguments': {'path': '/machine'}}, 'GenericError'),
    ({'execute': 'qom-get', 'arguments': {'path': '/nowhere', 'property': 'x'}},
     'DeviceNotFound'),
    ({'execute': 'query-status', 'arguments': {'surplus': 1}}, 'GenericError'),
    ({'arguments': {}}, 'GenericError'),
    ('[1, 2]\n', 'GenericError'),
    ('{"execute": }\n', 'GenericError'),
    ('nonsense\n', 'GenericError'),
])
def test_errors_leave_the_connection_usable(idle, message, kind):
    qmp = idle.qmp
    assert qmp.request(message)['error']['class'] == kind
    # A broken line may bring more than one error; a command with an id is found again behind them.
    qmp.send('{"execute": "query-name", "id": "after"}\n')
    for _ in range(20):
        answer = qmp.receive()
        if answer.get('id') == 'after':
            assert 'return' in answer
            return
    raise AssertionError('no answer after the error')


def test_queries(idle):
    qmp = idle.qmp
    assert qmp('query-version')['qemu']['major'] >= 7
    assert qmp('query-kvm')['enabled'] is False
    commands = {row['name'] for row in qmp('query-commands')}
    assert {'quit', 'stop', 'cont', 'qom-list', 'device_add', 'query-cpus-fast'} <= commands
    machines = {row['name'] for row in qmp('query-machines')}
    assert {'microvm', 'virt'} & machines
    cpus = qmp('query-cpus-fast')
    assert [cpu['cpu-index'] for cpu in cpus] == [0]
    assert cpus[0]['thread-id'] > 0
    schema = qmp('query-qmp-schema')
    assert {'command', 'event', 'object', 'enum'} <= {row['meta-type'] for row in schema}
    assert 'running' in idle.qmp.hmp('info status') or 'paused' in idle.qmp.hmp('info status')


def test_two_monitors_and_reconnect():
    with Machine('x86_64', '-M', 'microvm', '-S', qmp=True) as m:
        m.qmp('query-status')
        m.qmp.close()
        again = Qmp(m.qmp_path)
        again('query-status')
        again.close()


def test_out_of_band(idle):
    qmp = Qmp(idle.qmp_path, negotiate=False)
    qmp.request({'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}})
    answer = qmp.request({'exec-oob': 'query-status', 'id': 1})
    assert answer['error']['class'] == 'GenericError'       # does not allow it
    schema = qmp('query-qmp-schema')
    assert any(row.get('allow-oob') for row in schema if row['meta-type'] == 'command')


def test_name_and_uuid():
    uuid = '12345678-1234-5678-9abc-def012345678'
    with Machine('x86_64', '-M', 'microvm', '-S', '-name', 'pluto', '-uuid', uuid, qmp=True) as m:
        assert m.qmp('query-name') == {'name': 'pluto'}
        assert m.qmp('query-uuid') == {'UUID': uuid}


def test_qmp_on_a_given_socket():
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [*program('x86_64'), '-M', 'microvm', '-S', '-display', 'none', '-nodefaults',
         '-chardev', f'socket,id=mon,fd={theirs.fileno()}', '-mon', 'chardev=mon,mode=control'],
        pass_fds=[theirs.fileno()])
    try:
        theirs.close()
        qmp = Qmp(ours)
        assert qmp('query-status')['status'] == 'prelaunch'
        qmp('quit')
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_running_guest_obeys():
    """stop freezes a running guest, cont thaws it, reset restarts it, memory can be saved."""
    with linux('cloud', 'spin', reboot=True, qmp=True) as m:
        m.wait('^MYNA-TICK 3', 120)
        m.qmp('stop')
        m.qmp.event('STOP')
        time.sleep(0.3)
        before = len(m.serial.text)
        time.sleep(1)
        assert len(m.serial.text) == before
        image = m.folder / 'memory'
        m.qmp('pmemsave', val=0, size=1 << 20, filename=str(image))
        assert image.stat().st_size == 1 << 20
        m.qmp('cont')
        m.wait('^MYNA-TICK', 20)
        m.qmp('system_reset')
        m.qmp.event('RESET')
        m.wait('MYNA-INIT', 120)


def test_guest_poweroff_is_an_event():
    with linux('cloud', 'boot', '-no-shutdown', qmp=True) as m:
        m.qmp('query-status')
        passed(m, 'boot')
        event = m.qmp.event('SHUTDOWN', 60)
        assert event['data'] == {'guest': True, 'reason': 'guest-shutdown'}
        assert m.qmp('query-status')['status'] == 'shutdown'
        with pytest.raises(QmpError):
            m.qmp('cont')
        m.qmp('quit')
        assert m.status() == 0


@pytest.mark.myna
def test_out_of_band_while_busy(tmp_path):
    """A pipe without a reader holds the main thread; the other commands go on."""
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    with Machine('x86_64', '-M', 'microvm', '-S', qmp=True) as m:
        qmp = Qmp(m.qmp_path, negotiate=False)
        qmp.request({'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}})
        qmp.send(json.dumps({'execute': 'pmemsave', 'id': 'stuck',
                             'arguments': {'val': 0, 'size': 4096, 'filename': str(pipe)}}))
        time.sleep(0.3)
        assert qmp.request({'exec-oob': 'query-status', 'id': 'oob'})['id'] == 'oob'
        assert len(pipe.read_bytes()) == 4096
        assert qmp.receive()['id'] == 'stuck'


def test_listening_descriptor(tmp_path):
    """-qmp unix:fd=N: a socket that the parent listens on, with a client in its queue already."""
    path = str(tmp_path / 'qmp')
    listener, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    client.connect(path)
    emulator = subprocess.Popen([*program('x86_64'), '-M', 'none', '-nodefaults', '-display', 'none', '-qmp',
                                 f'unix:fd={listener.fileno()},server=on,wait=off'],
                                pass_fds=[listener.fileno()])
    try:
        qmp = Qmp(client)
        assert qmp('query-status')['status'] in ('running', 'prelaunch')
        qmp.close()
        qmp = Qmp(path)                     # and so on for ever
        qmp('quit')
        assert emulator.wait(20) == 0
    finally:
        emulator.kill()
        emulator.wait()
