# SPDX-License-Identifier: Apache-2.0
"""Drives a machine without running its CPUs: the qtest protocol.

    with Qtest(['-M', 'microvm']) as q:
        q.outb(0x70, 0x0d)
        assert q.inb(0x71) & 0x80

Works with every emulator that has -qtest; $MYNA says which, as in tests/functional/machine.py.
"""

import base64
import os
import socket
import subprocess
import tempfile
import time
from collections import deque


class QtestError(Exception):
    """The other side said FAIL, or went away."""


class Qtest:
    def __init__(self, args, arch='x86_64', accel='qtest', timeout=20):
        binary = os.environ.get('MYNA', 'build/myna')
        start = ([os.path.join(binary, f'qemu-system-{arch}')] if os.path.isdir(binary)
                 else [binary, 'system', arch])
        self.folder = tempfile.TemporaryDirectory(prefix='qtest-')
        path = os.path.join(self.folder.name, 'socket')
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(0.2)
            self.process = subprocess.Popen(
                start + ['-qtest', f'unix:{path}', '-qtest-log', 'none' if not os.path.isdir(binary) else '/dev/null',
                         '-accel', accel, '-display', 'none', '-nodefaults', *args],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.socket = self._accept(listener, time.monotonic() + timeout)
        self.socket.settimeout(timeout)
        self.stream = self.socket.makefile('r', encoding='ascii')
        self.irqs = set()           # intercepted lines that are high
        self.edges = deque()        # ('raise' or 'lower', line) as they came

    def _accept(self, listener, end):
        while self.process.poll() is None and time.monotonic() < end:
            try:
                return listener.accept()[0]
            except socket.timeout:
                pass
        self.process.kill()
        raise QtestError('nobody connected: ' + self.process.communicate()[0])

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stream.close()
        self.socket.close()
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()

    def command(self, *words):
        """Sends one command; the words after OK."""
        self.socket.sendall((' '.join(str(w) for w in words) + '\n').encode('ascii'))
        while True:
            line = self.stream.readline()
            if not line:
                raise QtestError('the connection ended')
            answer = line.split()
            if answer[0] == 'IRQ':
                self.edges.append((answer[1], int(answer[2])))
                (self.irqs.add if answer[1] == 'raise' else self.irqs.discard)(int(answer[2]))
            elif answer[0] == 'OK':
                return answer[1:]
            else:
                raise QtestError(line.strip())

    def _number(self, *words):
        return int(self.command(*words)[0], 0)

    def inb(self, port): return self._number('inb', hex(port))
    def inw(self, port): return self._number('inw', hex(port))
    def inl(self, port): return self._number('inl', hex(port))
    def outb(self, port, value): self.command('outb', hex(port), hex(value))
    def outw(self, port, value): self.command('outw', hex(port), hex(value))
    def outl(self, port, value): self.command('outl', hex(port), hex(value))
    def readb(self, at): return self._number('readb', hex(at))
    def readw(self, at): return self._number('readw', hex(at))
    def readl(self, at): return self._number('readl', hex(at))
    def readq(self, at): return self._number('readq', hex(at))
    def writeb(self, at, value): self.command('writeb', hex(at), hex(value))
    def writew(self, at, value): self.command('writew', hex(at), hex(value))
    def writel(self, at, value): self.command('writel', hex(at), hex(value))
    def writeq(self, at, value): self.command('writeq', hex(at), hex(value))

    def read(self, at, count):
        return bytes.fromhex(self.command('read', hex(at), hex(count))[0][2:])

    def write(self, at, data):
        self.command('write', hex(at), hex(len(data)), '0x' + data.hex())

    def b64read(self, at, count):
        return base64.b64decode(self.command('b64read', hex(at), hex(count))[0])

    def b64write(self, at, data):
        self.command('b64write', hex(at), hex(len(data)), base64.b64encode(data).decode('ascii'))

    def memset(self, at, count, value): self.command('memset', hex(at), hex(count), hex(value))
    def endianness(self): return self.command('endianness')[0]
    def irq_intercept_in(self, device): self.command('irq_intercept_in', device)
    def irq_intercept_out(self, device): self.command('irq_intercept_out', device)

    def clock_step(self, ns=None):
        """On by ns, or to the next timer; the time now."""
        return self._number('clock_step', *([] if ns is None else [ns]))

    def clock_set(self, ns): return self._number('clock_set', ns)

    def fw_cfg(self, key, count):
        """Bytes of a blob of a PC's firmware configuration."""
        self.outw(0x510, key)
        return bytes(self.inb(0x511) for _ in range(count))

    def fw_cfg_files(self):
        """Name to (key, size)."""
        count = int.from_bytes(self.fw_cfg(0x19, 4), 'big')
        entries = [bytes(self.inb(0x511) for _ in range(64)) for _ in range(count)]
        return {e[8:].split(b'\0')[0].decode(): (int.from_bytes(e[4:6], 'big'), int.from_bytes(e[:4], 'big'))
                for e in entries}
