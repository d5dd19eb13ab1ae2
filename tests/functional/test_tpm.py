# SPDX-License-Identifier: Apache-2.0
"""Trusted platform modules: Linux and SeaBIOS with swtpm behind."""

import re
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from machine import Machine, linux, passed

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest     # noqa: E402

OVMF = Path('/usr/share/OVMF')


@pytest.fixture
def swtpm(tmp_path):
    """Starts swtpm processes; gives the arguments that lead to them."""
    if not shutil.which('swtpm'):
        pytest.skip('swtpm is not there')
    running = []

    def start(model, version=2):
        folder = tmp_path / f'tpm{len(running)}'
        folder.mkdir()
        running.append(subprocess.Popen(['swtpm', 'socket', '--ctrl', f'type=unixio,path={folder}/control',
                                         '--tpmstate', f'dir={folder}', *(['--tpm2'] if version == 2 else [])]))
        for _ in range(500):
            if (folder / 'control').exists():
                break
            time.sleep(0.01)
        return ['-chardev', f'socket,id=chrtpm,path={folder}/control', '-tpmdev', 'emulator,id=tpm0,chardev=chrtpm',
                '-device', f'{model},tpmdev=tpm0']

    yield start, running
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize('board, model', [('q35', 'tpm-tis'), ('pc', 'tpm-crb')])
def test_linux(swtpm, board, model):
    start, running = swtpm
    with linux('cloud', 'tpm', *start(model), board=board, qmp=True) as m:
        assert m.qmp('query-tpm') == [{'id': 'tpm0', 'model': model,
                                       'options': {'type': 'emulator', 'data': {'chardev': 'chrtpm'}}}]
        assert m.qmp.hmp('info tpm').replace('\r', '') == \
            f'TPM device:\n tpm0: model={model}\n  \\ tpm0: type=emulator,chardev=chrtpm\n'
        assert m.line(r'MYNA-TPM (\d)', timeout=90).group(1) == '2'
        pcr = m.line(r'MYNA-PCR ([0-9A-F]+)').group(1)
        assert len(pcr) == 64 and int(pcr, 16)              # SeaBIOS has measured into it
        random = m.line(r'MYNA-RANDOM ([0-9a-f]+)').group(1)
        assert re.fullmatch('80010000001c000000000010[0-9a-f]{32}', random)
        assert int(random[24:], 16)
        passed(m, 'tpm')
        assert m.status() == 0
        assert not re.search(r'ACPI (BIOS )?Error|ACPI Warning|AE_', m.serial.text)
    assert running[0].wait(10) == 0


def test_tpm_1_2(swtpm):
    start, _ = swtpm
    with linux('cloud', 'tpm', *start('tpm-tis', 1), board='q35') as m:
        assert m.line(r'MYNA-TPM (\d)', timeout=90).group(1) == '1'
        assert len(m.line(r'MYNA-PCR ([0-9A-F ]+)').group(1).split()) == 20
        passed(m, 'tpm')
        assert m.status() == 0


@pytest.mark.skipif(not (OVMF / 'OVMF_CODE_4M.fd').exists(), reason=f'no OVMF in {OVMF}')
@pytest.mark.long
@pytest.mark.parametrize('board, model', [('q35', 'tpm-crb'), ('pc', 'tpm-tis')])
def test_physical_presence(swtpm, tmp_path, board, model):
    """Linux asks that the TPM be cleared; OVMF asks the one before the machine, does it, and Linux hears of it."""
    start, _ = swtpm
    shutil.copy(OVMF / 'OVMF_VARS_4M.fd', tmp_path / 'vars')
    with linux('cloud', 'presence', *start(model), '-drive',
               f'if=pflash,unit=0,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd', '-drive',
               f'if=pflash,unit=1,format=raw,file={tmp_path}/vars', board=board, reboot=True, qmp=True) as m:
        assert m.line(r'MYNA-PPI (\S+)', timeout=90).group(1) == '1.3'
        m.line(r'MYNA-ASKED 5')
        m.wait('Press F12', timeout=90)
        m.qmp('send-key', keys=[{'type': 'qcode', 'data': 'f12'}])
        assert 'Success' in m.line(r'MYNA-DONE 5 (.*)', timeout=90).group(1)
        passed(m, 'presence')
        assert m.status() == 0
        assert not re.search(r'ACPI (BIOS )?Error|ACPI Warning|AE_', m.serial.text)


def test_presence_memory(swtpm):
    start, _ = swtpm
    with Qtest(['-M', 'q35', *start('tpm-crb')]) as q:
        key, size = q.fw_cfg_files()['etc/tpm/config']
        assert q.fw_cfg(key, size) == struct.pack('<IBB', 0xfed45000, 2, 1)
        q.writeb(0xfed4515a, 0)
        q.writeb(0xfed45003, 7)
        q.write(0x100000, b'kept')
        q.outb(0xcf9, 6)
        time.sleep(0.1)
        assert q.readb(0xfed45003) == 7 and q.read(0x100000, 4) == b'kept'
        q.writeb(0xfed4515a, 1)
        q.outb(0xcf9, 6)
        for _ in range(200):
            time.sleep(0.01)
            if q.read(0x100000, 4) == bytes(4):
                break
        assert q.read(0x100000, 4) == bytes(4) and q.readb(0xfed45003) == 7
    with Qtest(['-M', 'q35', *start('tpm-tis'), '-global', 'tpm-tis.ppi=off']) as q:
        assert 'etc/tpm/config' not in q.fw_cfg_files()
        q.writeb(0xfed45000, 7)
        assert q.readb(0xfed45000) != 7


def test_errors(swtpm, tmp_path):
    start, _ = swtpm
    for args, error in [
            (['-tpmdev', 'passthrough,id=t'], 'cannot be handed through'),
            (['-tpmdev', 'emulator,id=t'], "parameter 'chardev' is missing"),
            (['-device', 'tpm-tis'], "'tpmdev' property is required"),
            (['-chardev', 'null,id=c', '-tpmdev', 'emulator,id=t,chardev=c'], 'connected to swtpm'),
            (start('tpm-crb', 1), 'use tpm-tis'),
            ([*start('tpm-tis'), '-device', 'tpm-crb,tpmdev=tpm0'], 'at most one TPM')]:
        with Machine('x86_64', '-M', 'q35', *args) as m:
            assert m.status() == 1
            assert error in m.errors.text
