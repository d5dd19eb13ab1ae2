# SPDX-License-Identifier: Apache-2.0
"""Debian's unmodified kernels boot, see all processors, and leave the machine in every way."""

import time

import pytest

from machine import guest_file, linux, passed

LONG = pytest.mark.long
BOOTS = [
    ('cloud', 1), ('cloud', 2), pytest.param('cloud', 4, marks=LONG),
    ('standard', 1), ('standard', 2), ('standard', 4),
    ('i386', 1), pytest.param('i386', 2, marks=LONG),
    ('riscv64', 1), ('riscv64', 2), ('riscv64', 4),
]


@pytest.mark.parametrize('guest, smp', BOOTS)
def test_boot(guest, smp):
    with linux(guest, 'boot,smp', smp=smp) as m:
        m.wait('MYNA-INIT', 120)
        m.wait('^MYNA-BOOT-OK', 60)
        assert m.line(r'MYNA-NPROC (\d+)', 60).group(1) == str(smp)
        passed(m, 'smp')
        m.wait('MYNA-END poweroff')
        assert m.status() == 0


@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
@pytest.mark.parametrize('option', [('-icount', 'shift=1'), ('-accel', 'tcg,icount-shift=2')])
def test_boot_counting_instructions(guest, option):
    """The end of a budget of instructions leaves nothing of a unit half done."""
    with linux(guest, 'boot', *option) as m:
        passed(m, 'boot')
        m.wait('MYNA-END poweroff')
        assert m.status() == 0


def test_boot_pvh_elf():
    """The uncompressed kernel starts through its PVH note, and finds the clock by ACPI."""
    with linux('cloud', kernel=guest_file('cloud-amd64/vmlinux')) as m:
        m.wait('rtc_cmos .*setting system clock', 120)
        passed(m, 'boot')
        assert m.status() == 0


def test_riscv_firmware_of_ones_own():
    with linux('riscv64', 'boot', '-bios', guest_file('opensbi/fw_dynamic.bin')) as m:
        m.wait(r'OpenSBI v\d', 60)
        passed(m, 'boot')
        assert m.status() == 0


@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_no_reboot_ends_at_reset(guest):
    with linux(guest, end='reboot') as m:
        m.wait('MYNA-END reboot', 120)
        assert m.status() == 0


@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_reset_boots_again(guest):
    with linux(guest, end='reboot', reboot=True) as m:
        for _ in range(2):
            m.wait('MYNA-INIT', 120)
            m.wait('MYNA-END reboot')
        m.wait('MYNA-INIT', 120)


@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_time_passes(guest):
    with linux(guest, 'clock') as m:
        m.wait('^MYNA-CLOCK start', 120)
        start = time.monotonic()
        m.wait('^MYNA-CLOCK stop', 30)
        assert 2.5 < time.monotonic() - start < 4.5
        date = int(m.line(r'MYNA-DATE (\d+)', 30).group(1))
        assert abs(date - time.time()) < 10


def test_shell_is_interactive():
    with linux('cloud', 'shell') as m:
        m.wait(r'C-a x ends', 120)
        m.wait('# ', 30)
        m.send('echo $((6 * 7)) $(uname -s)\n')
        m.wait('^42 Linux', 20)
        m.send('exit\n')
        assert m.status() == 0


@LONG
@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_hundred_boots(guest):
    for _ in range(100):
        with linux(guest, 'boot', smp=4) as m:
            passed(m, 'boot')
            assert m.status() == 0
