# SPDX-License-Identifier: Apache-2.0
"""Symbol files for gdb. Debian's kernels are stripped and their debug packages huge, but a guest
knows its own symbols (/proc/kallsyms): the harness asks it for some and writes an ELF file."""

import json
import struct

from machine import GUESTS, LINUX, linux

MACHINE = {'x86_64': 62, 'riscv64': 243}
WANTED = ['kernel_init', 'do_sys_openat2', 'do_group_exit', 'ksys_write', 'jiffies_64', 'jiffies',
          '_text', '_stext', '_etext', 'system_state', 'vfs_write', 'schedule', 'sysfs_kf_read',
          'rest_init', 'ret_from_fork', 'ret_from_fork_asm', 'ret_from_exception', 'run_init_process']


def kernel_symbols(guest):
    """{name: address} of a guest kernel run with nokaslr; remembered per kernel package."""
    folder = GUESTS / LINUX[guest].kernel.partition('/')[0]
    cache = folder / 'symbols.json'
    if cache.exists():
        known = json.loads(cache.read_text())
        if known['wanted'] == WANTED:
            return known['symbols']
    found = {}
    with linux(guest, 'symbols', append=f'nokaslr myna.symbols={",".join(WANTED)}') as m:
        m.wait('^MYNA-END', 180)
        for line in m.serial.text.splitlines():
            if line.startswith('MYNA-SYMBOL'):
                _, address, name = line.split()
                found[name] = int(address, 16)
    assert '_text' in found or '_stext' in found, found
    cache.write_text(json.dumps({'wanted': WANTED, 'symbols': found}))
    return found


def write_elf(path, arch, symbols):
    """An ELF executable without code: one .text section, and a symbol table."""
    text = symbols.get('_stext', symbols.get('_text'))
    end = symbols.get('_etext', text + (16 << 20))
    names, table = b'\0', bytes(24)
    for name, address in sorted(symbols.items(), key=lambda item: item[1]):
        inside = text <= address < end
        info = 1 << 4 | (2 if inside else 1)            # global function or object
        size = 0 if inside else 8
        table += struct.pack('<IBBHQQ', len(names), info, 0, 1 if inside else 0xfff1, address, size)
        names += name.encode() + b'\0'
    section_names = b'\0.text\0.symtab\0.strtab\0.shstrtab\0'
    at = 64
    offsets = []
    for blob in (table, names, section_names):
        offsets.append(at)
        at += len(blob) + (-len(blob) % 8)
    header = struct.pack('<4sBBB9xHHIQQQIHHHHHH', b'\x7fELF', 2, 1, 1, 2, MACHINE[arch], 1, text,
                         0, at, 0, 64, 56, 0, 64, 5, 4)

    def section(name, kind, flags=0, address=0, offset=0, size=0, link=0, info=0, entry=0):
        return struct.pack('<IIQQQQIIQQ', section_names.index(name), kind, flags, address, offset,
                           size, link, info, 8, entry)

    blob = header
    for part in (table, names, section_names):
        blob += part + bytes(-len(part) % 8)
    blob += section(b'\0', 0)
    blob += section(b'.text\0', 8, 6, text, 64, end - text)         # NOBITS, alloc + exec
    blob += section(b'.symtab\0', 2, 0, 0, offsets[0], len(table), 3, 1, 24)
    blob += section(b'.strtab\0', 3, 0, 0, offsets[1], len(names))
    blob += section(b'.shstrtab\0', 3, 0, 0, offsets[2], len(section_names))
    path.write_bytes(blob)
    return path
