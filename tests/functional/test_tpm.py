# SPDX-License-Identifier: Apache-2.0
"""Trusted platform modules: Linux and SeaBIOS with swtpm behind."""

import re
import shutil
import subprocess
import time

import pytest

from machine import Machine, linux, passed


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
