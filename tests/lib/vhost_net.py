# SPDX-License-Identifier: Apache-2.0
"""A small vhost-user network back end: a station at 10.0.2.2 that answers ARP and pings.

Spec: QEMU's docs/interop/vhost-user.rst; virtio 1.2, 2.7 and 5.1. Run by test_vhost_user.py:
    vhost_net.py SOCKET [PAIRS [LOG]]
With several pairs of queues it answers on the pair that a frame came by, and writes to LOG the pairs by which
echo requests came.
"""

import array
import mmap
import os
import select
import socket
import struct
import sys

GET_FEATURES, SET_MEM_TABLE, VRING_NUM, VRING_ADDR, VRING_BASE, GET_BASE, KICK, CALL = 1, 5, 8, 9, 10, 11, 12, 13
GET_PROTOCOL, QUEUE_NUM, ENABLE = 15, 17, 18
VERSION_1, PROTOCOL, MRG_RXBUF, NET_MQ = 1 << 32, 1 << 30, 1 << 15, 1 << 22
MQ, REPLY_ACK = 1, 8
HEADER = 12
MAC = bytes.fromhex('525400aabbcc')
ADDRESS = bytes([10, 0, 2, 2])


class Ring:
    def __init__(self):
        self.size = self.last = 0
        self.desc = self.avail = self.used = None
        self.kick = self.call = -1
        self.enabled = False


class Station:
    def __init__(self, line, pairs=1, log=None):
        self.line, self.regions, self.log = line, [], log
        self.rings = [Ring() for _ in range(2 * pairs)]

    # --- memory ---------------------------------------------------------------------------

    def at(self, address, host=False):
        """(mapping, offset) of an address as rings or messages name it."""
        for guest, size, user, offset, mapping in self.regions:
            start = user if host else guest
            if start <= address < start + size:
                return mapping, address - start + offset
        raise ValueError(hex(address))

    def map(self, body, fds):
        count, = struct.unpack_from('<I', body)
        self.regions = []
        for i in range(count):
            guest, size, user, offset = struct.unpack_from('<QQQQ', body, 8 + 32 * i)
            self.regions.append((guest, size, user, offset, mmap.mmap(fds[i], size + offset)))

    # --- rings ----------------------------------------------------------------------------

    def take(self, ring):
        """(head, [(mapping, offset, length, writable)]) of the next buffer, or None."""
        memory, at = ring.avail
        if struct.unpack_from('<H', memory, at + 2)[0] == ring.last:
            return None
        head, = struct.unpack_from('<H', memory, at + 4 + 2 * (ring.last % ring.size))
        ring.last = (ring.last + 1) & 0xffff
        parts, index = [], head
        while True:
            memory, at = ring.desc
            address, length, flags, following = struct.unpack_from('<QIHH', memory, at + 16 * index)
            parts.append((*self.at(address), length, bool(flags & 2)))
            if not flags & 1:
                return head, parts
            index = following

    def give(self, ring, head, length):
        memory, at = ring.used
        index, = struct.unpack_from('<H', memory, at + 2)
        struct.pack_into('<II', memory, at + 4 + 8 * (index % ring.size), head, length)
        struct.pack_into('<H', memory, at + 2, (index + 1) & 0xffff)
        os.write(ring.call, struct.pack('<Q', 1))

    def receive(self, rx, tx):
        while buffer := self.take(tx):
            head, parts = buffer
            frame = b''.join(memory[at:at + length] for memory, at, length, _ in parts)[HEADER:]
            self.give(tx, head, 0)
            reply = answer(frame)
            if reply:
                self.send(rx, reply)
            if reply and self.log and frame[12:14] == b'\x08\0':
                self.log.write(f'{self.rings.index(rx) // 2}\n')
                self.log.flush()

    def send(self, rx, frame):
        buffer = self.take(rx)
        if not buffer:
            return
        data = struct.pack('<BBHHHHH', 0, 0, 0, 0, 0, 0, 1) + frame
        head, parts = buffer
        done = 0
        for memory, at, length, _ in parts:
            piece = data[done:done + length]
            memory[at:at + len(piece)] = piece
            done += len(piece)
        self.give(rx, head, done)

    # --- messages -------------------------------------------------------------------------

    def message(self):
        head, control, _, _ = self.line.recvmsg(12, socket.CMSG_SPACE(8 * 4))
        if len(head) < 12:
            return False
        fds = array.array('i')
        for _, _, data in control:
            fds.frombytes(data)
        request, flags, size = struct.unpack('<III', head)
        body = self.line.recv(size, socket.MSG_WAITALL) if size else b''
        reply = self.handle(request, body, list(fds))
        if reply is None and flags & 8:
            reply = struct.pack('<Q', 0)
        if reply is not None:
            self.line.sendall(struct.pack('<III', request, 5, len(reply)) + reply)
        return True

    def handle(self, request, body, fds):
        if request == GET_FEATURES:
            return struct.pack('<Q', VERSION_1 | PROTOCOL | MRG_RXBUF | NET_MQ)
        if request == GET_PROTOCOL:
            return struct.pack('<Q', MQ | REPLY_ACK)
        if request == QUEUE_NUM:
            return struct.pack('<Q', len(self.rings) // 2)
        if request == SET_MEM_TABLE:
            self.map(body, fds)
        elif request in (KICK, CALL):
            setattr(self.rings[body[0]], 'kick' if request == KICK else 'call', fds[0])
        elif request in (VRING_NUM, VRING_BASE, ENABLE, GET_BASE):
            index, number = struct.unpack('<II', body)
            ring = self.rings[index]
            if request == VRING_NUM:
                ring.size = number
            elif request == VRING_BASE:
                ring.last = number
            elif request == ENABLE:
                ring.enabled = bool(number)
            else:
                ring.kick = -1
                return struct.pack('<II', index, ring.last)
        elif request == VRING_ADDR:
            index, _, desc, used, avail, _ = struct.unpack('<IIQQQQ', body)
            ring = self.rings[index]
            ring.desc, ring.used, ring.avail = (self.at(a, True) for a in (desc, used, avail))
        return None

    def run(self):
        while True:
            kicks = [r.kick for r in self.rings if r.kick >= 0]
            ready, _, _ = select.select([self.line, *kicks], [], [])
            if self.line in ready and not self.message():
                return
            for fd in ready:
                if fd is not self.line and fd in [r.kick for r in self.rings]:
                    os.read(fd, 8)
            for rx, tx in zip(self.rings[::2], self.rings[1::2]):
                if tx.kick >= 0 and tx.enabled and rx.enabled:
                    self.receive(rx, tx)


def answer(frame):
    """The frame that answers one, or None."""
    kind = frame[12:14]
    if kind == b'\x08\x06' and frame[20:22] == b'\0\1' and frame[38:42] == ADDRESS:
        return frame[6:12] + MAC + frame[12:20] + b'\0\2' + MAC + ADDRESS + frame[22:32]
    if kind == b'\x08\0' and frame[23] == 1 and frame[30:34] == ADDRESS and frame[34] == 8:
        data = bytearray(frame[6:12] + MAC + frame[12:26] + ADDRESS + frame[26:30] + frame[34:])
        data[34] = 0
        total, = struct.unpack_from('>H', data, 36)
        total += 0x800
        struct.pack_into('>H', data, 36, (total & 0xffff) + (total >> 16))
        return bytes(data)
    return None


def main():
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    log = open(sys.argv[3], 'w', encoding='ascii') if len(sys.argv) > 3 else None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(sys.argv[1])
        server.listen()
        while True:
            line, _ = server.accept()
            with line:
                Station(line, pairs, log).run()


if __name__ == '__main__':
    main()
