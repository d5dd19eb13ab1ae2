# SPDX-License-Identifier: Apache-2.0
"""Disk images: what one of Myna and Debian's qemu-img makes, the other reads; NBD; qcow2 in a guest."""

import json
import os
import random
import shutil
import subprocess
import time

import pytest

from machine import SOURCE, Machine, linux, passed

pytestmark = [pytest.mark.myna,
              pytest.mark.skipif(not shutil.which('qemu-img'), reason='needs qemu-utils')]


def myna():
    return os.environ.get('MYNA') or str(SOURCE / 'build' / 'myna')


TOOLS = {'myna': {'img': lambda: [myna(), 'img'], 'io': lambda: [myna(), 'io']},
         'qemu': {'img': lambda: ['qemu-img'], 'io': lambda: ['qemu-io']}}
PAIRS = [('myna', 'qemu'), ('qemu', 'myna')]


def tool(who, kind, *args, status=0):
    done = subprocess.run([*TOOLS[who][kind](), *map(str, args)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def image_bytes(size=6 << 20):
    """Random data with holes of all sizes."""
    data, rng = bytearray(size), random.Random(7)
    for _ in range(20):
        start, length = rng.randrange(size), rng.choice([512, 4096, 70000, 300000])
        data[start:start + length] = rng.randbytes(min(length, size - start))
    return bytes(data)


OPTIONS = ['', 'compat=0.10', 'cluster_size=512', 'cluster_size=2M', 'refcount_bits=1', 'refcount_bits=64',
           'extended_l2=on', 'lazy_refcounts=on', 'preallocation=metadata', 'preallocation=full']


@pytest.mark.parametrize('options', OPTIONS)
@pytest.mark.parametrize('maker, reader', PAIRS)
def test_converted_image_is_read_by_the_other(tmp_path, maker, reader, options):
    raw, image, back = (tmp_path / n for n in ('raw', 'image', 'back'))
    raw.write_bytes(image_bytes())
    more = ['-o', options] if options else []
    tool(maker, 'img', 'convert', '-f', 'raw', '-O', 'qcow2', *more, raw, image)
    tool(reader, 'img', 'check', '-f', 'qcow2', image)
    tool(reader, 'img', 'convert', '-f', 'qcow2', '-O', 'raw', image, back)
    assert back.read_bytes() == raw.read_bytes()
    tool(reader, 'img', 'compare', '-f', 'raw', '-F', 'qcow2', raw, image)


@pytest.mark.parametrize('kind', ['zlib', 'zstd'])
@pytest.mark.parametrize('maker, reader', PAIRS)
def test_compressed(tmp_path, maker, reader, kind):
    raw, image, back = (tmp_path / n for n in ('raw', 'image', 'back'))
    raw.write_bytes((b'some text that packs well. ' * 4000)[:65536] * 40)
    tool(maker, 'img', 'convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', f'compression_type={kind}', raw, image)
    assert image.stat().st_size < raw.stat().st_size / 2
    tool(reader, 'img', 'check', image)
    tool(reader, 'io', '-f', 'qcow2', '-c', 'write -P 9 100k 30k', image)
    tool(maker, 'img', 'check', image)
    tool(maker, 'img', 'convert', '-f', 'qcow2', '-O', 'raw', image, back)
    expected = bytearray(raw.read_bytes())
    expected[100 << 10:130 << 10] = b'\t' * (30 << 10)
    assert back.read_bytes() == bytes(expected)


@pytest.mark.parametrize('maker, reader', PAIRS)
def test_backing_chain(tmp_path, maker, reader):
    raw, mid, top, back = (tmp_path / n for n in ('raw', 'mid', 'top', 'back'))
    raw.write_bytes(image_bytes())
    tool(maker, 'img', 'create', '-q', '-f', 'qcow2', '-b', 'raw', '-F', 'raw', mid)
    tool(reader, 'img', 'create', '-q', '-f', 'qcow2', '-b', 'mid', '-F', 'qcow2', top, '8M')
    tool(maker, 'io', '-f', 'qcow2', '-c', 'write -P 1 1M 100k', mid)
    tool(reader, 'io', '-f', 'qcow2', '-c', 'write -P 2 1060k 10k', '-c', 'write -z 2M 1M', top)
    expected = bytearray(raw.read_bytes() + bytes(2 << 20))
    expected[1 << 20:(1 << 20) + 102400] = b'\1' * 102400
    expected[1060 << 10:1070 << 10] = b'\2' * 10240
    expected[2 << 20:3 << 20] = bytes(1 << 20)
    for who in (maker, reader):
        tool(who, 'img', 'convert', '-f', 'qcow2', '-O', 'raw', top, back)
        assert back.read_bytes() == bytes(expected)
    chain = json.loads(tool('myna', 'img', 'info', '--backing-chain', '--output=json', top))
    assert [c['format'] for c in chain] == ['qcow2', 'qcow2', 'raw']
    tool(maker, 'img', 'commit', top)
    tool(reader, 'img', 'convert', '-f', 'qcow2', '-O', 'raw', mid, back)
    assert back.read_bytes() == bytes(expected)


def facts(text):
    """What both tell, without what depends on the moment."""
    o = json.loads(text)
    for key in ('children', 'actual-size'):
        o.pop(key, None)
    return o


def test_same_answers(tmp_path):
    image = tmp_path / 'image'
    tool('qemu', 'img', 'create', '-q', '-f', 'qcow2', image, '100M')
    tool('qemu', 'io', '-f', 'qcow2', '-c', 'write 1M 3M', '-c', 'write -z 50M 1M', image)
    tool('qemu', 'img', 'snapshot', '-c', 'before', image)
    tool('qemu', 'io', '-f', 'qcow2', '-c', 'write 2M 1M', image)
    for command in (['info', '--output=json'], ['check', '--output=json']):
        assert facts(tool('myna', 'img', *command, image)) == facts(tool('qemu', 'img', *command, image))
    ours, theirs = (json.loads(tool(w, 'img', 'map', '--output=json', image)) for w in ('myna', 'qemu'))
    for line in ours + theirs:
        line.pop('compressed', None)
    assert ours == theirs
    for command in (['snapshot', '-l'], ['check'], ['map']):
        assert tool('myna', 'img', *command, image) == tool('qemu', 'img', *command, image)
    for size in ('1G', '5T', '12345k'):
        for options in ('', 'cluster_size=4k', 'extended_l2=on', 'refcount_bits=64'):
            command = ['measure', '-O', 'qcow2', '--size', size, *(['-o', options] if options else [])]
            assert tool('myna', 'img', *command) == tool('qemu', 'img', *command)
    # Writes into a cluster that a snapshot has, too.
    tool('myna', 'io', '-f', 'qcow2', '-c', 'write -P 5 1M 8k', image)
    tool('qemu', 'img', 'check', image)
    tool('qemu', 'img', 'snapshot', '-a', 'before', image)
    tool('myna', 'io', '-f', 'qcow2', '-c', 'read -P 0xcd 1M 3M', image)


def contents(who, image, tmp_path, snapshot=None):
    raw = tmp_path / 'raw'
    tool(who, 'img', 'convert', *(['-l', snapshot] if snapshot else []), '-f', 'qcow2', '-O', 'raw', image, raw)
    return raw.read_bytes()


@pytest.mark.parametrize('options', ['', 'compat=0.10', 'cluster_size=512', 'extended_l2=on', 'refcount_bits=64'])
@pytest.mark.parametrize('maker, reader', PAIRS)
def test_internal_snapshots(tmp_path, maker, reader, options):
    image, kept = tmp_path / 'image', {}
    tool(maker, 'img', 'create', '-q', '-f', 'qcow2', *(['-o', options] if options else []), image, '4M')
    for i, (one, other) in enumerate([(maker, reader), (reader, maker), (maker, maker)]):
        tool(one, 'io', '-f', 'qcow2', '-c', f'write -P {i + 1} {i * 200 + 3}k 500k', image)
        tool(other, 'img', 'snapshot', '-c', f's{i}', image)
        kept[f's{i}'] = contents('qemu', image, tmp_path)
        tool('qemu', 'img', 'check', image)
        tool('myna', 'img', 'check', image)
    tool('myna', 'io', '-f', 'qcow2', '-c', 'write -P 9 0 2M', '-c', 'discard 3M 64k', image)
    for who in (maker, reader):
        for name, number in (('s0', '1'), ('s2', '3')):
            assert contents(who, image, tmp_path, name) == kept[name]
            assert contents(who, image, tmp_path, f'snapshot.id={number}') == kept[name]
    listed = [tool(w, 'img', 'snapshot', '-l', image) for w in ('myna', 'qemu')]
    assert listed[0] == listed[1] and 's2' in listed[0]
    tool(reader, 'img', 'snapshot', '-a', 's1', image)
    assert contents(maker, image, tmp_path) == kept['s1']
    tool(maker, 'img', 'snapshot', '-d', 's1', image)
    tool(reader, 'img', 'snapshot', '-d', 's2', image)
    tool('qemu', 'img', 'check', image)
    assert contents(maker, image, tmp_path) == kept['s1']
    tool(maker, 'img', 'snapshot', '-a', 's0', image)
    assert contents(reader, image, tmp_path) == kept['s0']
    tool(maker, 'img', 'snapshot', '-d', 's0', image)
    tool('qemu', 'img', 'check', image)
    assert tool('myna', 'img', 'snapshot', '-l', image) == ''
    tool('myna', 'img', 'snapshot', '-a', 's0', image, status=1)


def test_snapshot_by_qmp(tmp_path):
    image = tmp_path / 'image'
    tool('myna', 'img', 'create', '-q', '-f', 'qcow2', image, '4M')
    with Machine('x86_64', '-M', 'pc', '-S', '-drive',
                 f'if=none,id=d,format=qcow2,file={image},node-name=n', qmp=True) as m:
        m.qmp('blockdev-snapshot-internal-sync', device='d', name='a')
        m.qmp('blockdev-snapshot-internal-sync', device='n', name='b')
        gone = m.qmp('blockdev-snapshot-delete-internal-sync', device='d', name='a')
        assert gone['id'] == '1' and gone['name'] == 'a'
        disk = next(d for d in m.qmp('query-block') if d['device'] == 'd')
        assert [s['name'] for s in disk['inserted']['image']['snapshots']] == ['b']
    tool('qemu', 'img', 'check', image)
    assert ' b ' in tool('qemu', 'img', 'snapshot', '-l', image)


def test_repairs(tmp_path):
    image = tmp_path / 'image'
    tool('myna', 'img', 'create', '-q', '-f', 'qcow2', image, '10M')
    tool('myna', 'io', '-f', 'qcow2', '-c', 'write 0 1M', image)
    data = bytearray(image.read_bytes())
    data[0x20000 + 2 * 6:0x20000 + 2 * 8] = b'\0\2\0\0'     # one counted twice, one not at all
    image.write_bytes(bytes(data))
    tool('myna', 'img', 'check', image, status=2)
    tool('myna', 'img', 'check', '-r', 'all', image)
    tool('qemu', 'img', 'check', image)


def test_nbd(tmp_path):
    raw, back, sock = (tmp_path / n for n in ('raw', 'back', 'sock'))
    raw.write_bytes(image_bytes())
    server = subprocess.Popen(['qemu-nbd', '-f', 'raw', '-k', sock, '-x', 'disk', '-t', '-e', '4', raw])
    try:
        for _ in range(100):
            if sock.exists():
                break
            time.sleep(.05)
        uri = f'nbd+unix:///disk?socket={sock}'
        tool('myna', 'img', 'convert', '-f', 'raw', '-O', 'raw', uri, back)
        assert back.read_bytes() == raw.read_bytes()
        tool('myna', 'io', '-f', 'raw', '-c', 'write -P 3 1M 2M', '-c', 'write -z 4M 1M', '-c', 'flush',
             '-c', 'read -P 3 1M 2M', '-c', 'discard 5M 64k', uri)
        tool('myna', 'io', '-f', 'raw', '-c', 'length', f'nbd:unix:{sock}:exportname=none', status=1)
    finally:
        server.terminate()
        server.wait()
    assert raw.read_bytes()[1 << 20:3 << 20] == b'\3' * (2 << 20)
    assert raw.read_bytes()[4 << 20:5 << 20] == bytes(1 << 20)


@pytest.mark.long
def test_snapshots_while_a_guest_writes(tmp_path):
    """On an I/O thread; what the guest wrote is whole, and so is the image after each of many."""
    image = tmp_path / 'image'
    tool('qemu', 'img', 'create', '-q', '-f', 'qcow2', image, '96M')
    args = ['-drive', f'if=none,id=disk,file={image},discard=unmap', '-object', 'iothread,id=t', '-device',
            'virtio-blk-pci,drive=disk,iothread=t']
    made = 0
    with linux('cloud', 'disk', *args, append='myna.phase=write myna.mkfs=1 myna.mb=32', board='q35', qmp=True) as m:
        m.wait('MYNA-INIT', 60)
        while m.process.poll() is None and 'MYNA-PASS' not in m.serial.text and made < 200:
            m.qmp('blockdev-snapshot-internal-sync', device='disk', name=f's{made}')
            made += 1
            if made > 3:
                m.qmp('blockdev-snapshot-delete-internal-sync', device='disk', name=f's{made - 4}')
            time.sleep(0.05)
        passed(m, 'disk', 120)
        assert m.status() == 0
    assert made > 3
    tool('qemu', 'img', 'check', image)
    tool('myna', 'img', 'check', image)
    for number in range(made - 3, made):
        tool('qemu', 'img', 'snapshot', '-d', f's{number}', image)
    tool('qemu', 'img', 'check', image)
    with linux('cloud', 'disk', *args, append='myna.phase=verify', board='q35') as m:
        passed(m, 'disk', 120)
        assert m.status() == 0


def test_guest_on_qcow2(tmp_path):
    base, top = tmp_path / 'base', tmp_path / 'top'
    tool('qemu', 'img', 'create', '-q', '-f', 'qcow2', base, '96M')
    tool('qemu', 'img', 'create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'qcow2', top)
    args = ['-drive', f'if=none,id=disk,file={top},discard=unmap', '-device', 'virtio-blk-device,drive=disk']
    for append in ('myna.phase=write myna.mkfs=1 myna.mb=16', 'myna.phase=verify'):
        with linux('cloud', 'disk', *args, append=append) as m:
            passed(m, 'disk', 120)
            assert m.status() == 0
        tool('qemu', 'img', 'check', top)
