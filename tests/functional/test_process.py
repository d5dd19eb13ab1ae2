# SPDX-License-Identifier: Apache-2.0
"""What the command line asks of the process: sandbox, users, roots, descriptors, locked memory."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from machine import program

pytestmark = pytest.mark.myna
LIBVIRT = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason='needs root')


def start(*args, **more):
    return subprocess.Popen([*program('x86_64'), '-M', 'microvm', '-display', 'none', '-nodefaults',
                             *args], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def refused(*args):
    with start('-S', *args) as p:
        assert p.wait(20) == 1
        return p.stdout.read()


class Running:
    """A machine that is up: its pidfile is there."""

    def __init__(self, tmp_path, *args, **more):
        self.pidfile = tmp_path / 'pid'
        self.process = start('-pidfile', str(self.pidfile), *args, **more)

    def __enter__(self):
        for _ in range(200):
            if self.pidfile.exists() or self.process.poll() is not None:
                break
            time.sleep(0.05)
        assert self.process.poll() is None, self.process.stdout.read()
        time.sleep(0.2)
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.communicate()

    def status(self, key):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as f:
            return next(line.split()[1:] for line in f if line.startswith(key + ':'))

    def filters(self):
        """Seccomp modes of all threads."""
        modes = set()
        for thread in os.listdir(f'/proc/{self.process.pid}/task'):
            with open(f'/proc/{self.process.pid}/task/{thread}/status', encoding='ascii') as f:
                modes |= {line.split()[1] for line in f if line.startswith('Seccomp:')}
        return modes


def test_sandbox_holds(tmp_path):
    with Running(tmp_path, '-sandbox', LIBVIRT, '-smp', '2', '-object', 'iothread,id=io') as m:
        assert m.filters() == {'2'}
        assert m.status('NoNewPrivs') == ['1']


def test_sandbox_forbids_children():
    said = refused('-sandbox', LIBVIRT, '-netdev', 'tap,id=n,helper=/bin/true')
    assert 'not permitted' in said


def test_sandbox_words():
    assert 'expected allow, children or deny' in refused('-sandbox', 'on,elevateprivileges=perhaps')
    assert "invalid parameter 'spam'" in refused('-sandbox', 'on,spam=deny')
    assert 'say children' in refused('-sandbox', LIBVIRT, '-runas', '1:1')


@ROOT
def test_user_and_root(tmp_path):
    root = tmp_path / 'root'
    root.mkdir()
    with Running(tmp_path, '-runas', '65534:65534', '-run-with', f'chroot={root}') as m:
        assert m.status('Uid') == ['65534'] * 4
        assert m.status('Gid') == ['65534'] * 4
        assert os.readlink(f'/proc/{m.process.pid}/root') == str(root)
    assert 'no user' in refused('-runas', 'nobody-of-that-name')


@ROOT
def test_locked_memory(tmp_path):
    if b'__asan_init' in Path(program('x86_64')[0]).read_bytes():
        pytest.skip('AddressSanitizer makes mlockall() do nothing')
    with Running(tmp_path, '-overcommit', 'mem-lock=on', '-m', '64') as m:
        assert int(m.status('VmLck')[0]) >= 64 << 10
    assert 'not implemented' in refused('-overcommit', 'cpu-pm=on')


def test_descriptor_sets(tmp_path):
    log = tmp_path / 'log'
    with open(log, 'a', encoding='ascii') as f:
        options = ['-add-fd', f'fd={f.fileno()},set=7,opaque=serial0-source',
                   '-chardev', 'file,id=c,path=/dev/fdset/7,append=on', '-device', 'isa-debugcon,chardev=c',
                   '-chardev', f'file,id=d,path={tmp_path / "other"},logfile=/dev/fdset/7,logappend=on']
        with Running(tmp_path, *options, pass_fds=[f.fileno()]) as m:
            links = [os.readlink(f'/proc/{m.process.pid}/fd/{n}') for n in os.listdir(f'/proc/{m.process.pid}/fd')]
            assert links.count(str(log)) == 3       # the set's, the stream's, the log's
    assert 'fd=FD and set=SET' in refused('-add-fd', 'fd=7')
    assert 'standard I/O' in refused('-add-fd', 'fd=1,set=1')
    assert 'Bad file descriptor' in refused('-add-fd', 'fd=999,set=1')


def test_thread_names(tmp_path):
    with Running(tmp_path, '-name', 'guest=x,debug-threads=on', '-smp', '2') as m:
        names = {open(f'/proc/{m.process.pid}/task/{t}/comm', encoding='ascii').read().strip()
                 for t in os.listdir(f'/proc/{m.process.pid}/task')}
        assert any(n.startswith('CPU 1/') for n in names)
