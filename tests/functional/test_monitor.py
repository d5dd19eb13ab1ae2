# SPDX-License-Identifier: Apache-2.0
"""The human monitor's commands and items, in the shapes that scripts read."""

import re
import subprocess
import time

import pytest

from machine import Machine, linux, program


@pytest.fixture(scope='module')
def q35(tmp_path_factory):
    folder = tmp_path_factory.mktemp('q35')
    (folder / 'a.img').write_bytes(b'\7' * 1024)
    with Machine('x86_64', '-M', 'q35', '-S', '-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n,id=card',
                 '-drive', f'if=none,id=d,format=raw,file={folder}/a.img', '-device', 'virtio-blk-pci,drive=d',
                 '-device', 'qemu-xhci', '-device', 'usb-tablet', qmp=True) as m:
        m.folder = folder
        yield m


def hmp(m, line):
    return m.qmp.hmp(line).replace('\r\n', '\n')


def test_qtree(q35):
    text = hmp(q35, 'info qtree')
    assert text.startswith('bus: main-system-bus\n  type System\n  dev: ')
    card = re.search(r'^( *)dev: virtio-net-pci, id "card"\n(.*?)\n\1dev: ', text, re.M | re.S)
    assert card and re.search(r'^ *vectors = \d+ \(0x[0-9a-f]+\)$', card[2], re.M)
    assert re.search(r'bus: virtio-bus\n *type virtio-pci-bus\n *dev: virtio-net-device, id ""', card[2])
    assert re.search(r'^ *netdev = "n"$', card[2], re.M)
    assert re.search(r'bus: usb-bus.0\n *type usb-bus\n *dev: usb-tablet, id ""', text)


def test_qdm(q35):
    lines = hmp(q35, 'info qdm').splitlines()
    assert lines[0] == 'Controller/Bridge/Hub devices:'
    assert 'name "mch", bus PCI, desc "Q35 memory controller hub", no-user' in lines
    assert any(line.startswith('name "virtio-blk-pci", bus PCI, alias "virtio-blk"') for line in lines)
    assert '' in lines and 'Network devices:' in lines


def test_help_names_buses():
    text = subprocess.run([*program('x86_64'), '-device', 'help'], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert re.search(r'^name "e1000", bus PCI', text, re.M)
    assert re.search(r'^name "usb-tablet", bus usb-bus', text, re.M)
    assert 'no-user' not in text


def test_addresses(q35):
    assert hmp(q35, 'gva2gpa 0xfffffff0') == 'gpa: 0xfffffff0\n'
    assert re.fullmatch(r'Host virtual address for 0x1000 \(pc\.ram\) is 0x[0-9a-f]+\n', hmp(q35, 'gpa2hva 0x1000'))
    assert hmp(q35, 'gpa2hva 0xfee00000') == 'Error: Memory at address 0xfee00000 is not RAM\n'
    assert hmp(q35, 'gpa2hva 0xffffffff0000') == 'Error: No memory is mapped at address 0xffffffff0000\n'


def test_roms(q35):
    assert re.search(r'^addr=00000000fffc0000 size=0x040000 mem=rom name="bios', hmp(q35, 'info roms'), re.M)


def test_forwarding(q35):
    assert hmp(q35, 'hostfwd_add tcp:127.0.0.1:0-:22') == ''
    assert re.search(r'^Hub -1 \(n\):\n.*\n  TCP\[HOST_FORWARD\] .* 10\.0\.2\.15    22 ', hmp(q35, 'info usernet'))
    port = re.search(r'HOST_FORWARD\] +\d+ +127\.0\.0\.1 +(\d+)', hmp(q35, 'info usernet'))[1]
    assert hmp(q35, f'hostfwd_remove n tcp:127.0.0.1:{port}') == \
        f'host forwarding rule for tcp:127.0.0.1:{port} removed\n'
    assert 'HOST_FORWARD' not in hmp(q35, 'info usernet')
    assert hmp(q35, 'hostfwd_remove tcp::9') == 'host forwarding rule for tcp::9 not found\n'
    assert hmp(q35, 'hostfwd_add other tcp::0-:22') == "Error: unrecognized netdev id 'other'\n"


def test_drives(q35):
    assert hmp(q35, f'drive_add 0 if=none,id=more,format=raw,file={q35.folder}/a.img,readonly=on,file.locking=off') == \
        'OK\n'
    assert re.search(r'^more \(#block\d+\): .*a\.img \(raw, read-only\)$', hmp(q35, 'info block'), re.M)
    assert hmp(q35, 'drive_del more') == ''
    assert 'more' not in hmp(q35, 'info block')
    assert hmp(q35, 'drive_del more') == "Error: Device 'more' not found\n"
    assert 'in use' in hmp(q35, 'drive_del d')


def test_qemu_io(q35):
    assert hmp(q35, 'qemu-io d length') == '1 KiB\n'
    assert hmp(q35, 'qemu-io d "read -P 7 0 512"').startswith('read 512/512 bytes at offset 0\n')
    assert 'Pattern verification failed' in hmp(q35, 'qemu-io d "read -P 8 0 512"')
    assert hmp(q35, 'qemu-io d "write -P 8 512 512"').startswith('wrote 512/512 bytes at offset 512\n')
    assert (q35.folder / 'a.img').read_bytes() == b'\7' * 512 + b'\10' * 512
    assert hmp(q35, 'qemu-io nope length') == "Error: Cannot find device='nope' nor node-name='nope'\n"


def test_small_items(q35):
    assert hmp(q35, 'info snapshots') == 'There is no snapshot available.\n'
    assert hmp(q35, 'info vnc') == 'None\n'
    assert hmp(q35, 'info replay') == 'Record/replay is not active\n'
    assert hmp(q35, 'info block-jobs') == 'No active jobs\n'
    assert hmp(q35, 'info history') == ''
    assert hmp(q35, 'boot_set dc') == 'boot device list now set to dc\n'
    assert hmp(q35, 'boot_set dd') == "Error: Boot device 'd' was given twice\n"
    assert 'not implemented' in hmp(q35, 'savevm x')
    assert 'not implemented' in hmp(q35, 'dump-guest-memory -p x')


def test_single_instructions(q35):
    """Singly and in units; the firmware goes on in either case."""
    for switch in 'on', 'off':
        assert hmp(q35, f'one-insn-per-tb {switch}') == ''
        q35.qmp('cont')
        start, end = hmp(q35, 'info registers'), time.monotonic() + 30
        while hmp(q35, 'info registers') == start:
            assert time.monotonic() < end
        q35.qmp('stop')
    assert hmp(q35, 'singlestep maybe') == 'Error: unexpected option maybe\n'


def test_interrupt_chips(q35):
    lines = hmp(q35, 'info pic').splitlines()
    assert lines[0] == 'ioapic0: ver=0x20 id=0x00 sel=0x00'
    assert lines[1] == '  pin 0  0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical'
    assert lines[25:27] == ['  IRR      (none)', '  Remote IRR (none)']
    assert lines[27].startswith('pic1: irr=00 imr=')
    text = hmp(q35, 'info lapic')
    assert text.startswith('dumping local APIC state for CPU 0 \n\nLVT0\t 0x')
    assert 'ISR\t (none)\nIRR\t (none)\n' in text
    assert hmp(q35, 'info lapic 0') == text
    assert hmp(q35, 'info lapic 77') == 'Error: there is no APIC with id 77\n'


@pytest.mark.parametrize('guest', ['cloud', 'riscv64'])
def test_page_tables(guest):
    """What info mem and info tlb say of Linux's tables is what the CPU's own walk finds."""
    with Machine('riscv64' if guest == 'riscv64' else 'x86_64', '-M', 'virt' if guest == 'riscv64' else 'q35', '-S',
                 qmp=True) as m:
        assert hmp(m, 'info mem') == ('No translation or protection\n' if guest == 'riscv64' else 'PG disabled\n')
    with linux(guest, 'shell', qmp=True) as m:
        m.wait('MYNA|Run /init|built-in shell', 120)
        m.qmp('stop')
        lines = hmp(m, 'info mem').splitlines()
        if guest == 'riscv64':
            assert lines[0].split() == ['vaddr', 'paddr', 'size', 'attr']
            pages = [(line.split()[0], line.split()[1]) for line in lines[2:]]
        else:
            assert all(re.fullmatch(r'[0-9a-f]{16}-[0-9a-f]{16} [0-9a-f]{16} [u-]r[w-]', line) for line in lines)
            pages = [line.split()[:2] for line in hmp(m, 'info tlb').splitlines()]
        assert len(pages) > 10
        for va, pa in pages[:5] + pages[-5:]:
            found = hmp(m, f'gva2gpa 0x{va.rstrip(":")}')
            assert int(re.fullmatch(r'gpa: (\w+)\n', found)[1], 16) == int(pa, 16)
