# SPDX-License-Identifier: Apache-2.0
"""Sound cards: what Linux plays is in the file, sample by sample."""

import re
import shutil
import struct
import subprocess
import sys

import pytest

from machine import GUESTS, SOURCE, Machine, guest_file, make_initramfs, passed

sys.path.insert(0, str(SOURCE / 'tests' / 'lib'))
from qtest import Qtest     # noqa: E402

MODULES = 'snd_hda_intel,snd_hda_codec_generic,snd_intel8x0'
FRAMES = 24000
HDA = 'Master_Playback_Switch:1,Master_Playback_Volume:74'
AC97 = ('Master_Playback_Switch:1,Master_Playback_Volume:63,PCM_Playback_Switch:1,PCM_Playback_Volume:23')
CARDS = {
    'ich6-duplex': ('pc', 44100, HDA, ['-device', 'intel-hda', '-device', 'hda-duplex,audiodev=a']),
    'ich9-output': ('q35', 48000, HDA, ['-device', 'ich9-intel-hda', '-device', 'hda-output,audiodev=a']),
    'ich9-micro': ('q35', 96000, HDA,
                   ['-device', 'ich9-intel-hda,msi=off', '-device', 'hda-micro,audiodev=a']),
    'ac97': ('pc', 48000, AC97, ['-device', 'AC97,audiodev=a']),
    'ac97-rate': ('q35', 22050, AC97, ['-device', 'ac97,audiodev=a']),
}


@pytest.fixture(scope='module')
def initrd(tmp_path_factory):
    if not shutil.which('gcc'):
        pytest.skip('gcc is not installed')
    if not (GUESTS / 'amd64' / 'modules' / 'snd_hda_intel.ko').exists():
        pytest.skip('the kernel lacks sound modules: run scripts/fetch-guests standard')
    folder = tmp_path_factory.mktemp('sound')
    subprocess.run(['gcc', '-static', '-O2', '-o', folder / 'sound',
                    SOURCE / 'tests' / 'guests' / 'linux' / 'sound.c'], check=True)
    return make_initramfs(folder / 'initrd', 'standard', '--modules', MODULES, '--add', folder / 'sound')


def pattern(frames):
    return b''.join(struct.pack('<H', ((i + 1) * 2654435761 & 0xffffffff) >> 13 & 0xffff) for i in range(2 * frames))


@pytest.mark.parametrize('card', [
    'ich6-duplex', 'ac97', *(pytest.param(c, marks=pytest.mark.long) for c in CARDS if c not in ('ich6-duplex', 'ac97'))])
def test_linux(tmp_path, initrd, card):
    board, rate, controls, devices = CARDS[card]
    record = '' if 'output' in card else 'myna.record=1'
    with Machine('x86_64', '-M', board, '-m', 512, '-no-reboot', '-kernel', guest_file('amd64/vmlinuz'), '-initrd',
                 initrd, '-append', f'console=ttyS0 quiet myna.test=sound myna.rate={rate} myna.frames={FRAMES} '
                 f'myna.controls={controls} {record}', '-audiodev',
                 f'wav,id=a,path={tmp_path}/wav,out.frequency={rate}', *devices) as m:
        passed(m, 'sound')
        assert not record or re.search(rf'MYNA-SOUND recorded {FRAMES}, 0 loud', m.serial.text)
    data = (tmp_path / 'wav').read_bytes()
    assert struct.unpack_from('<4sI4s4sIHHIIHH4sI', data) == (
        b'RIFF', len(data) - 8, b'WAVE', b'fmt ', 16, 1, 2, rate, 4 * rate, 4, 16, b'data', len(data) - 44)
    played = pattern(FRAMES)
    at = data.find(played)
    assert at >= 44, 'the pattern is not in the file'
    assert not data[44:at].strip(b'\0') and not data[at + len(played):].strip(b'\0')


@pytest.mark.long
@pytest.mark.skipif(not (GUESTS / 'extra' / 'bzImage').exists() or not shutil.which('gcc'),
                    reason='extra/bzImage (scripts/make-kernel extra) or gcc is missing')
@pytest.mark.parametrize('rate', [48000, 44100])
def test_virtio(tmp_path, rate):
    """Debian's kernels have no driver for virtio's card."""
    subprocess.run(['gcc', '-static', '-O2', '-o', tmp_path / 'sound', SOURCE / 'tests' / 'guests' / 'linux' / 'sound.c'],
                   check=True)
    initrd = make_initramfs(tmp_path / 'initrd', 'cloud', '--modules', '', '--add', tmp_path / 'sound')
    with Machine('x86_64', '-M', 'q35', '-m', 512, '-no-reboot', '-kernel', GUESTS / 'extra' / 'bzImage', '-initrd', initrd,
                 '-append', f'console=ttyS0 quiet myna.test=sound myna.rate={rate} myna.frames={FRAMES} myna.record=1',
                 '-audiodev', f'wav,id=a,path={tmp_path}/wav,out.frequency={rate}',
                 '-device', 'virtio-sound-pci,audiodev=a') as m:
        passed(m, 'sound')
        assert re.search(rf'MYNA-SOUND recorded {FRAMES}, 0 loud', m.serial.text)
    data = (tmp_path / 'wav').read_bytes()
    assert pattern(FRAMES) in data[44:], 'the pattern is not in the file'


def test_speaker(tmp_path):
    """The PC speaker puts out a square wave of channel 2's rate: 1 kHz for 100 ms."""
    with Qtest(['-M', 'pc,pcspk-audiodev=a', '-audiodev', f'wav,id=a,path={tmp_path}/wav,out.channels=1']) as q:
        q.outb(0x43, 0xb6)
        q.outb(0x42, 1193 & 255)
        q.outb(0x42, 1193 >> 8)
        q.outb(0x61, q.inb(0x61) | 3)
        q.clock_step(100000000)
        q.outb(0x61, q.inb(0x61) & ~3)
        data = (tmp_path / 'wav').read_bytes()
    samples = struct.unpack(f'<{(len(data) - 44) // 2}h', data[44:])
    assert len(samples) == 4410 and set(samples) == {8192, -8192}
    edges = [i for i in range(1, len(samples)) if samples[i] > samples[i - 1]]
    assert len(edges) in (99, 100) and all(b - a in (44, 45) for a, b in zip(edges, edges[1:]))
