# SPDX-License-Identifier: Apache-2.0
"""Every virtio device on PCI by its registers: identity, modern and legacy transport. No CPU runs. Virtio 1.2, 4.1."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / 'lib'))
from qtest import Qtest     # noqa: E402

# name: (device id, transitional PCI id or None, words before, properties)
DEVICES = {
    'virtio-net': (1, 0x1000, [], ''),
    'virtio-blk': (2, 0x1001, ['-drive', 'if=none,id=d,driver=null-co,size=1M'], ',drive=d'),
    'virtio-serial': (3, 0x1003, [], ''),
    'virtio-rng': (4, 0x1005, [], ''),
    'virtio-balloon': (5, 0x1002, [], ''),
    'virtio-scsi': (8, 0x1004, [], ''),
    'virtio-9p': (9, 0x1009, ['-fsdev', 'local,id=f,path=/tmp,security_model=none'], ',fsdev=f,mount_tag=t'),
    'virtio-gpu': (16, None, [], ''),
    'virtio-keyboard': (18, None, [], ''),
    'virtio-mouse': (18, None, [], ''),
    'virtio-tablet': (18, None, [], ''),
    'virtio-mem': (24, None, ['-object', 'memory-backend-ram,id=m,size=16M', '-m', '64M,maxmem=128M'], ',memdev=m'),
    'virtio-pmem': (27, None, ['-object', 'memory-backend-ram,id=m,size=16M', '-m', '64M,maxmem=128M'], ',memdev=m'),
}
SLOT, BAR, PORTS = 5, 0xe0000000, 0xc000
COMMON, NOTIFY, ISR, DEVICE = 1, 2, 3, 4
FEATURE_SELECT, FEATURES, OFFERED_SELECT, OFFERED = 8, 12, 0, 4
QUEUES, STATUS, GENERATION, SELECT, SIZE, ENABLE = 18, 20, 21, 22, 24, 28


class Card:
    """A function behind the configuration ports."""

    def __init__(self, q):
        self.q = q

    def get(self, at, size=4):
        self.q.outl(0xcf8, 0x80000000 | SLOT << 11 | at & ~3)
        return getattr(self.q, {1: 'inb', 2: 'inw', 4: 'inl'}[size])(0xcfc + at % 4)

    def put(self, at, value):
        self.q.outl(0xcf8, 0x80000000 | SLOT << 11 | at)
        self.q.outl(0xcfc, value)

    def structures(self):
        """{type: (BAR, offset, length)} of the vendor capabilities."""
        found, at = {}, self.get(0x34, 1)
        while at:
            if self.get(at, 1) == 9:
                found.setdefault(self.get(at + 3, 1), (self.get(at + 4, 1), self.get(at + 8), self.get(at + 12)))
            at = self.get(at + 1, 1)
        return found


def check_modern(q, card):
    """The handshake of 3.1.1 and what a queue shows, then a reset."""
    where = card.structures()
    assert set(where) >= {COMMON, NOTIFY, ISR}
    bar = where[COMMON][0]
    assert all(w[0] == bar for t, w in where.items() if t in (COMMON, NOTIFY, ISR, DEVICE)), where
    card.put(0x10 + 4 * bar, BAR)
    if card.get(0x10 + 4 * bar) & 6 == 4:
        card.put(0x14 + 4 * bar, 0)
    card.put(4, 6)
    common = BAR + where[COMMON][1]
    q.writel(common + OFFERED_SELECT, 1)
    assert q.readl(common + OFFERED) & 1                # VIRTIO_F_VERSION_1
    for status in (0, 1, 3):
        q.writeb(common + STATUS, status)
        assert q.readb(common + STATUS) == status
    q.writel(common + FEATURE_SELECT, 1)
    q.writel(common + FEATURES, 1)
    q.writeb(common + STATUS, 11)
    assert q.readb(common + STATUS) == 11
    assert q.readw(common + QUEUES) > 0
    q.writew(common + SELECT, 0)
    size = q.readw(common + SIZE)
    assert size and size & (size - 1) == 0
    q.writew(common + SELECT, 0xfff0)                   # a queue that is not there
    assert q.readw(common + SIZE) == 0 and q.readw(common + ENABLE) == 0
    q.writeb(common + STATUS, 0)
    assert q.readb(common + STATUS) == 0


def check_legacy(q, card):
    """The ports of 4.1.4.10."""
    assert card.get(0x10) & 3 == 1
    card.put(0x10, PORTS)
    card.put(4, 7)
    assert q.inb(PORTS + 18) == 0
    q.outb(PORTS + 18, 3)
    assert q.inb(PORTS + 18) == 3
    q.outw(PORTS + 14, 0)
    assert q.inw(PORTS + 12) > 0
    q.outl(PORTS + 8, 0x1234)
    assert q.inl(PORTS + 8) == 0x1234
    q.outb(PORTS + 18, 0)
    assert q.inb(PORTS + 18) == 0 and q.inl(PORTS + 8) == 0


@pytest.mark.parametrize('name,suffix', [(name, suffix) for name, row in DEVICES.items()
                                         for suffix in ('', '-transitional', '-non-transitional')
                                         if row[1] is not None or not suffix])
def test_device(name, suffix):
    number, legacy, words, properties = DEVICES[name]
    with Qtest(['-M', 'pc', '-nodefaults', *words, '-device', f'{name}-pci{suffix},addr={SLOT}{properties}']) as q:
        card = Card(q)
        transitional = legacy is not None and suffix != '-non-transitional'
        assert card.get(0) == 0x1af4 | (legacy if transitional else 0x1040 + number) << 16
        assert card.get(8, 1) == (0 if transitional else 1)
        if transitional:
            assert card.get(0x2e, 2) == number
            check_legacy(q, card)
        else:
            assert card.get(0x10) & 1 == 0
        check_modern(q, card)
