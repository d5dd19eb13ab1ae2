# SPDX-License-Identifier: Apache-2.0
"""Disk controllers by their registers, without a CPU running."""

import os
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest     # noqa: E402


def until(read, mask, value):
    for _ in range(400):
        if read() & mask == value:
            return
        time.sleep(0.005)
    raise AssertionError(f'{read():#x} & {mask:#x} is not {value:#x}')


def config(q, slot, function, at, value=None):
    q.outl(0xcf8, 0x80000000 | slot << 11 | function << 8 | at)
    if value is None:
        return q.inl(0xcfc)
    return q.outl(0xcfc, value)


def text(words):
    return b''.join(w.to_bytes(2, 'big') for w in words).decode().strip()


def test_piix3_ide(tmp_path):
    content = os.urandom(64 << 10)
    (tmp_path / 'disk').write_bytes(content)
    with Qtest(['-M', 'pc', '-drive', f'format=raw,file={tmp_path}/disk', '-device', 'ide-cd,bus=ide.1']) as q:
        assert config(q, 1, 1, 0) == 0x70108086
        q.outb(0x1f6, 0xa0)
        q.outb(0x1f7, 0xec)                             # IDENTIFY DEVICE
        until(lambda: q.inb(0x1f7), 0x88, 0x08)
        words = [q.inw(0x1f0) for _ in range(256)]
        assert text(words[27:47]) == 'QEMU HARDDISK' and text(words[10:20]) == 'QM00001'
        assert words[60] | words[61] << 16 == 128
        assert q.inb(0x1f7) & 0x88 == 0
        for at, value in ((2, 1), (3, 5), (4, 0), (5, 0), (6, 0xe0)):   # one sector at 5
            q.outb(0x1f0 + at, value)
        q.outb(0x1f7, 0x20)
        until(lambda: q.inb(0x1f7), 0x88, 0x08)
        assert b''.join(q.inw(0x1f0).to_bytes(2, 'little') for _ in range(256)) == content[5 * 512:6 * 512]
        # The same by bus master DMA.
        config(q, 1, 1, 0x20, 0xc001)
        config(q, 1, 1, 0x04, 5)
        q.write(0x1000, struct.pack('<IHH', 0x2000, 1024, 0x8000))
        q.outl(0xc004, 0x1000)
        for at, value in ((2, 2), (3, 5), (4, 0), (5, 0), (6, 0xe0)):
            q.outb(0x1f0 + at, value)
        q.outb(0x1f7, 0xc8)
        q.outb(0xc000, 9)
        until(lambda: q.inb(0xc002), 5, 4)
        assert q.read(0x2000, 1024) == content[5 * 512:7 * 512]
        # A packet device shows its signature, and says that it has no medium.
        q.outb(0x376, 4)
        q.outb(0x376, 0)
        assert (q.inb(0x174), q.inb(0x175)) == (0x14, 0xeb)
        q.outb(0x177, 0xa0)
        until(lambda: q.inb(0x177), 0x88, 0x08)
        for word in (0, 0, 0, 0, 0, 0):                 # TEST UNIT READY
            q.outw(0x170, word)
        until(lambda: q.inb(0x177), 0x81, 0x01)
        assert q.inb(0x171) >> 4 == 2                   # NOT READY
        q.outb(0x1f7, 0xff)                             # no such command
        assert q.inb(0x1f7) & 1 and q.inb(0x1f1) == 4


def test_ahci(tmp_path):
    content = os.urandom(64 << 10)
    (tmp_path / 'disk').write_bytes(content)
    with Qtest(['-M', 'q35', '-drive', f'format=raw,file={tmp_path}/disk']) as q:
        base, port = 0xe0000000, 0xe0000100
        assert config(q, 31, 2, 0) == 0x29228086 and config(q, 31, 2, 8) >> 8 == 0x010601
        config(q, 31, 2, 0x24, base)
        config(q, 31, 2, 0x04, 6)
        assert q.readl(base) == 0xc0141f05 and q.readl(base + 12) == 0x3f
        assert q.readl(port + 0x28) == 0x113
        assert q.readl(port + 0x180 + 0x28) == 0        # nothing in port 3
        q.writel(port, 0x10000)                         # command list
        q.writel(port + 8, 0x11000)                     # received FISes
        q.writel(port + 0x18, 0x11)
        assert q.readl(port + 0x24) == 0x101
        q.write(0x10000, struct.pack('<IIQ', 5 | 1 << 16, 0, 0x12000))
        q.write(0x12000, bytes([0x27, 0x80, 0x25, 0, 3, 0, 0, 0x40, 0, 0, 0, 0, 4, 0]))      # 4 sectors at 3
        q.write(0x12080, struct.pack('<QII', 0x20000, 0, 2047))
        q.writel(port + 0x38, 1)
        until(lambda: q.readl(port + 0x38), 1, 0)
        assert q.read(0x20000, 2048) == content[3 * 512:7 * 512]
        assert q.readl(port + 0x10) & 1 and q.readl(0x10004) == 2048 and q.readl(0x11040) & 0xff == 0x34


def test_nvme(tmp_path):
    content = os.urandom(64 << 10)
    (tmp_path / 'disk').write_bytes(content)
    with Qtest(['-M', 'q35', '-drive', f'if=none,id=n,format=raw,file={tmp_path}/disk',
                '-device', 'nvme,drive=n,serial=S7,addr=4.0']) as q:
        base = 0xe0000000
        assert config(q, 4, 0, 0) == 0x00101b36 and config(q, 4, 0, 8) == 0x01080202
        config(q, 4, 0, 0x10, base)
        config(q, 4, 0, 0x04, 6)
        assert q.readq(base) & 0xffff == 0x7ff and q.readl(base + 8) == 0x10400
        q.writel(base + 0x24, 0x00070007)
        q.writeq(base + 0x28, 0x10000)
        q.writeq(base + 0x30, 0x11000)
        q.writel(base + 0x14, 0x00460001)
        assert q.readl(base + 0x1c) == 1
        tails = {0: 0, 1: 0}

        def command(queue, at, done, opcode, nsid=0, prp=0, dwords=(), cid=7):
            entry = struct.pack('<IIQQQQ', opcode | cid << 16, nsid, 0, 0, prp, 0)
            q.write(at + 64 * tails[queue], entry + struct.pack('<6I', *(list(dwords) + [0] * 6)[:6]))
            slot, tails[queue] = tails[queue], tails[queue] + 1
            q.writel(base + 0x1000 + 8 * queue, tails[queue])
            until(lambda: q.readl(done + 16 * slot + 12), 0x1ffff, 0x10000 | cid)
            return q.readl(done + 16 * slot + 12) >> 17

        assert command(0, 0x10000, 0x11000, 6, prp=0x20000, dwords=[1]) == 0
        about = q.read(0x20000, 64)
        assert about[4:24].decode().strip() == 'S7' and about[24:64].decode().strip() == 'QEMU NVMe Ctrl'
        assert command(0, 0x10000, 0x11000, 5, prp=0x13000, dwords=[7 << 16 | 1, 1]) == 0
        assert command(0, 0x10000, 0x11000, 1, prp=0x12000, dwords=[7 << 16 | 1, 1 << 16 | 1]) == 0
        assert command(1, 0x12000, 0x13000, 2, nsid=1, prp=0x21000, dwords=[2, 0, 3]) == 0
        assert q.read(0x21000, 2048) == content[1024:3072]
        assert command(1, 0x12000, 0x13000, 2, nsid=1, prp=0x21000, dwords=[1000, 0, 3]) == 0x4080
        assert command(0, 0x10000, 0x11000, 0x7f) == 0x4001


def test_boot_order(tmp_path):
    (tmp_path / 'disk').write_bytes(bytes(1 << 20))
    args = ['-M', 'q35', '-device', 'virtio-scsi-pci,addr=3.0,id=s']
    for n, device in enumerate(['scsi-hd,bus=s.0,scsi-id=1,lun=2', 'ide-hd,bus=ide.1', 'nvme,serial=x,addr=4.0']):
        args += ['-drive', f'if=none,id=d{n},format=raw,readonly=on,file={tmp_path}/disk', '-device',
                 f'{device},drive=d{n},bootindex={n}'] if n != 1 else [
                 '-drive', f'if=none,id=d{n},format=raw,snapshot=on,file={tmp_path}/disk', '-device',
                 f'{device},drive=d{n},bootindex={n}']
    with Qtest(args) as q:
        key, size = q.fw_cfg_files()['bootorder']
        assert q.fw_cfg(key, size).decode().rstrip('\0').split('\n') == [
            '/pci@i0cf8/scsi@3/channel@0/disk@1,2', '/pci@i0cf8/pci8086,2922@1f,2/drive@1/disk@0',
            '/pci@i0cf8/pci1b36,0010@4/namespace@1,0']
