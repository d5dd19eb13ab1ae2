# SPDX-License-Identifier: Apache-2.0
"""Firmware and bare-metal programs: what runs before, or without, an operating system."""

import re
import struct

import pytest

from machine import Machine, guest_file, wait_file


def test_seabios_on_microvm(tmp_path):
    """SeaBIOS tells its version, and how far it came, on the debug port 0x402."""
    log = tmp_path / 'log'
    with Machine('x86_64', '-M', 'microvm', '-bios', guest_file('seabios/bios-microvm.bin'),
                 '-chardev', f'file,id=debug,path={log}',
                 '-device', 'isa-debugcon,iobase=0x402,chardev=debug') as m:
        text = wait_file(log, 'No bootable device')
        assert m.process.poll() is None
    assert text.startswith('SeaBIOS (version '), text[:200]
    assert re.search(r'RamSize: 0x08000000|len 0x0000000008000000 \[RAM\]', text)


def bios_image(code):
    """A 64 KiB x86 firmware image: the reset vector jumps to `code` at F000:0000."""
    image = bytearray(b'\xf4' * 65536)
    image[:len(code)] = code
    image[0xfff0:0xfff5] = b'\xea\x00\x00\x00\xf0'      # ljmp $0xf000, $0
    return bytes(image)


def out_text(text, port):
    code = bytes([0xba]) + struct.pack('<H', port)      # mov $port, %dx
    for char in text.encode():
        code += bytes([0xb0, char, 0xee])               # mov $char, %al; out %al, (%dx)
    return code


@pytest.mark.parametrize('value', [0, 0x21])
def test_reset_vector_and_debug_exit(tmp_path, value):
    """Real mode from the reset vector; isa-debug-exit gives (value << 1) | 1 as exit status."""
    path = tmp_path / 'bios'
    path.write_bytes(bios_image(out_text('reset vector\n', 0x3f8) +
                                bytes([0xba, 0xf4, 0x00, 0xb0, value, 0xee, 0xf4])))
    with Machine('x86_64', '-M', 'microvm', '-bios', path,
                 '-device', 'isa-debug-exit,iobase=0xf4,iosize=4') as m:
        m.wait('^reset vector', 20)
        assert m.status() == value << 1 | 1


def rv_li(register, value):
    """lui and addiw that load a 32-bit value."""
    low = (value & 0xfff) - (value & 0x800) * 2
    high = (value - low) & 0xfffff000
    return struct.pack('<II', high | register << 7 | 0x37,
                       (low & 0xfff) << 20 | register << 15 | register << 7 | 0x1b)


def rv_program(text, code):
    """Machine code that prints on the UART and stores `code` to the test finisher."""
    program = rv_li(5, 0x10000000)                                      # t0: UART
    for char in text.encode():
        program += rv_li(6, char) + struct.pack('<I', 6 << 20 | 5 << 15 | 0x23)  # sb t1, 0(t0)
    program += rv_li(5, 0x100000) + rv_li(6, code)
    return program + struct.pack('<II', 6 << 20 | 5 << 15 | 2 << 12 | 0x23,      # sw t1, 0(t0)
                                 0x6f)                                   # 1: j 1b


@pytest.mark.parametrize('code, status', [(0x5555, 0), (0x00073333, 7)])
def test_riscv_finisher(tmp_path, code, status):
    """-bios FILE runs in machine mode at 0x80000000; the finisher gives the exit status."""
    path = tmp_path / 'program'
    path.write_bytes(rv_program('machine mode\n', code))
    with Machine('riscv64', '-M', 'virt', '-bios', path) as m:
        m.wait('^machine mode', 20)
        assert m.status() == status


def test_riscv_bios_none_runs_the_kernel(tmp_path):
    """-bios none -kernel ELF starts at the entry point without firmware."""
    code = rv_program('no firmware\n', 0x5555)
    header = struct.pack('<4sBBB9xHHIQQQIHHHHHH', b'\x7fELF', 2, 1, 1, 2, 243, 1, 0x80000000,
                         64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack('<IIQQQQQQ', 1, 7, 120, 0x80000000, 0x80000000, len(code), len(code), 8)
    path = tmp_path / 'kernel'
    path.write_bytes(header + segment + code)
    with Machine('riscv64', '-M', 'virt', '-bios', 'none', '-kernel', path) as m:
        m.wait('^no firmware', 20)
        assert m.status() == 0
