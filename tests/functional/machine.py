# SPDX-License-Identifier: Apache-2.0
"""A machine under test: its process, its serial line, its QMP socket.

MYNA names the program: a myna binary, or a folder (or a file in one) that holds programs called
qemu-system-ARCH. Without it, build/myna is tested.
"""

import bisect
import collections
import json
import math
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
GUESTS = Path(os.environ.get('MYNA_GUESTS')
              or Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'myna-guests')
# Slow engines (the interpreter, a sanitizer build) stretch every wait.
PATIENCE = float(os.environ.get('MYNA_PATIENCE', '1'))
ACCEL = os.environ.get('MYNA_ACCEL', 'tcg')
# Further words for every guest kernel. QEMU 7.2 standing in for Myna needs tsc_early_khz=2000000:
# on a busy host the cloud kernel's calibration fails there, after which it hangs.
APPEND = os.environ.get('MYNA_APPEND', '')


def program(arch, where=None):
    """The words that start the emulator for an architecture (`where`: instead of MYNA)."""
    myna = Path(where or os.environ.get('MYNA') or SOURCE / 'build' / 'myna').absolute()
    if myna.name.startswith('qemu-system-'):
        myna = myna.parent
    if myna.is_dir():
        return [str(myna / f'qemu-system-{arch}')]
    return [str(myna), 'system', arch]


def is_myna():
    """Whether Myna itself is tested, not another emulator standing in for it."""
    version = subprocess.run([*program('x86_64'), '-version'], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    return 'myna' in version.lower()


class Timeout(AssertionError):
    pass


class Output:
    """What a file descriptor has said so far; a thread of its own reads it."""

    def __init__(self, stream):
        self.text, self.seen, self.closed = '', 0, False
        self._stream, self._arrived = stream, []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            try:
                data = os.read(self._stream.fileno(), 65536)
            except (OSError, ValueError):
                data = b''
            with self._changed:
                self.text += data.decode('utf-8', 'replace')
                self._arrived.append((len(self.text), time.monotonic()))
                self.closed = not data
                self._changed.notify_all()
            if not data:
                return

    def wait(self, pattern, timeout=60):
        """Waits for a regular expression after the last match; returns the match."""
        regex, deadline = re.compile(pattern, re.M), time.monotonic() + timeout * PATIENCE
        with self._changed:
            while True:
                match = regex.search(self.text, self.seen)
                if match:
                    self.seen = match.end()
                    return match
                left = deadline - time.monotonic()
                if self.closed or left <= 0:
                    why = 'the output ended' if self.closed else f'nothing within {timeout} s'
                    raise Timeout(f'waiting for {pattern!r}: {why}; last lines:\n{self.tail()}')
                self._changed.wait(min(left, 1))

    def arrival(self, offset):
        """When the character at an offset of `text` was read (time.monotonic())."""
        return self._arrived[bisect.bisect_right(self._arrived, (offset, math.inf))][1]

    def tail(self, lines=25):
        return '\n'.join(self.text[-20000:].splitlines()[-lines:])

    def finish(self):
        self._thread.join(5)


class QmpError(Exception):
    def __init__(self, error):
        super().__init__(f'{error.get("class")}: {error.get("desc")}')
        self.kind, self.desc = error.get('class'), error.get('desc')


class Qmp:
    """A QMP client over a unix socket or over a socket that is already connected."""

    def __init__(self, where, timeout=20, negotiate=True):
        self.timeout = timeout * PATIENCE
        self.events = collections.deque()
        self._buffer, self._number = b'', 0
        self.socket = where if isinstance(where, socket.socket) else self._connect(where)
        self.greeting = self.receive()
        if negotiate:
            self('qmp_capabilities')

    def _connect(self, path):
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                client.connect(str(path))
                return client
            except OSError:
                client.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def line(self, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while b'\n' not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise Timeout('QMP: no answer in time')
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b''
            if not data:
                raise EOFError('QMP: the connection was closed')
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b'\n')
        return line.decode()

    def receive(self, timeout=None):
        while True:
            line = self.line(timeout).strip()
            if line:
                return json.loads(line)

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def request(self, message):
        """Sends a message (dict or text) and returns the answer; events are put aside."""
        self.send(message if isinstance(message, (str, bytes)) else json.dumps(message) + '\n')
        while True:
            answer = self.receive()
            if 'event' not in answer:
                return answer
            self.events.append(answer)

    def __call__(self, command, **arguments):
        self._number += 1
        message = {'execute': command, 'id': self._number}
        if arguments:
            message['arguments'] = {key.replace('_', '-'): value
                                    for key, value in arguments.items()}
        answer = self.request(message)
        if 'error' in answer:
            raise QmpError(answer['error'])
        assert answer.get('id') == self._number, answer
        return answer['return']

    def event(self, name, timeout=None):
        """The next event of that name, among those put aside or still to come."""
        for event in list(self.events):
            if event['event'] == name:
                self.events.remove(event)
                return event
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            answer = self.receive(max(deadline - time.monotonic(), 0.01))
            if answer.get('event') == name:
                return answer
            self.events.append(answer)

    def hmp(self, line):
        return self('human-monitor-command', command_line=line)

    def close(self):
        self.socket.close()


class Machine:
    """Starts the emulator; `with Machine(...) as m:` ends it however the test goes."""

    def __init__(self, arch, *args, qmp=False, serial=True, accel=True, where=None):
        self.folder = Path(tempfile.mkdtemp(prefix='myna-test-'))
        self.argv = [*program(arch, where), *map(str, args)]
        if accel and ACCEL:
            self.argv += ['-accel', ACCEL]
        self.argv += ['-display', 'none', '-nodefaults', '-no-user-config']
        if serial:
            self.argv += ['-serial', 'stdio']
        self.qmp_path = self.folder / 'qmp'
        if qmp:
            self.argv += ['-qmp', f'unix:{self.qmp_path},server=on,wait=off']
        self.started = time.monotonic()
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.serial = Output(self.process.stdout)
        self.errors = Output(self.process.stderr)
        self._qmp = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind:
            print('command line:', ' '.join(self.argv))
            print('serial line:\n' + self.serial.tail(60))
            print('stderr:\n' + self.errors.tail())
        self.stop()

    @property
    def qmp(self):
        if not self._qmp:
            try:
                self._qmp = Qmp(self.qmp_path)
            except OSError as error:
                raise AssertionError(f'no QMP: {error}; stderr: {self.errors.tail()}') from error
        return self._qmp

    def wait(self, pattern, timeout=60):
        """Waits for a regular expression on the serial line."""
        try:
            return self.serial.wait(pattern, timeout)
        except Timeout as error:
            if self.process.poll() is None:
                raise
            raise Timeout(f'{error}\nthe emulator ended with status {self.process.returncode}; '
                          f'stderr:\n{self.errors.tail()}') from None

    def line(self, pattern, timeout=60):
        """Waits for a whole line of the guest; returns the match."""
        return self.wait(rf'^{pattern}\r?\n', timeout)

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def status(self, timeout=30):
        """Waits for the emulator to end by itself and returns its exit status."""
        try:
            status = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Timeout(f'still running after {timeout} s; last lines:\n'
                          f'{self.serial.tail()}') from None
        self.serial.finish()
        self.errors.finish()
        return status

    def stop(self):
        if self._qmp:
            self._qmp.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except OSError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)


# --- Linux guests ------------------------------------------------------------------------------

Guest = collections.namedtuple('Guest', 'arch machine kernel initramfs console')
LINUX = {
    'cloud': Guest('x86_64', 'microvm', 'cloud-amd64/vmlinuz', 'cloud', 'ttyS0'),
    'standard': Guest('x86_64', 'microvm', 'amd64/vmlinuz', 'standard', 'ttyS0'),
    'i386': Guest('x86_64', 'microvm', '686-pae/vmlinuz', 'i386', 'ttyS0'),
    'riscv64': Guest('riscv64', 'virt', 'riscv64/Image', 'riscv64', 'ttyS0'),
}


def guest_file(name):
    path = GUESTS / name
    assert path.exists(), f'{path} is missing; run scripts/fetch-guests'
    return path


_initramfs_made = set()


def make_initramfs(path, kernel, *words):
    """An initramfs with what the words of scripts/make-initramfs add; its path."""
    subprocess.run([SOURCE / 'scripts' / 'make-initramfs', kernel, '--cache', GUESTS, *words, '-o', path],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def script_image(folder, kernel, modules, name, script):
    """An initramfs whose myna.test=`name` runs that script; its path."""
    (folder / 'overlay' / 'tests').mkdir(parents=True)
    (folder / 'overlay' / 'tests' / name).write_text(script)
    return make_initramfs(folder / 'image', kernel, '--modules', modules, '--overlay', folder / 'overlay')


def initramfs(kernel):
    """The initramfs for a kernel, made afresh once per run from tests/guest."""
    path = GUESTS / f'initramfs-{kernel}.cpio'
    if kernel not in _initramfs_made:
        make_initramfs(path, kernel)
        _initramfs_made.add(kernel)
    return path


def linux_args(guest, append='', memory=512, smp=1, machine='', kernel=None, board=None):
    """The arguments that boot a Linux guest of LINUX with parameters on its command line."""
    row = LINUX[guest]
    return ['-M', (board or row.machine) + (',' + machine if machine else ''), '-m', memory, '-smp', smp,
            '-kernel', kernel or guest_file(row.kernel), '-initrd', initramfs(row.initramfs),
            '-append', f'console={row.console} {append} {APPEND}']


def linux(guest, test='boot', *args, append='', memory=512, smp=1, end='poweroff', reboot=False,
          machine='', kernel=None, board=None, **kw):
    """A Machine that runs the scripts `test` of tests/guest in a Linux guest."""
    line = f'myna.test={test} myna.end={end} {append}'
    extra = [] if reboot else ['-no-reboot']
    # Debian 12's OpenSBI loses a hart's entry now and then (docs/status.md); a newer one does not.
    if guest == 'riscv64' and smp > 1 and '-bios' not in args:
        extra += ['-bios', guest_file('opensbi/fw_dynamic.bin')]
    return Machine(LINUX[guest].arch, *linux_args(guest, line, memory, smp, machine, kernel, board),
                   *extra, *args, **kw)


def passed(machine, name, timeout=120):
    """Waits for the verdict of a guest script; fails with the guest's words."""
    verdict = machine.line(rf'MYNA-(PASS|FAIL) {name}\b ?(.*)', timeout)
    assert verdict.group(1) == 'PASS', f'{name}: {verdict.group(2)}\n{machine.serial.tail(10)}'


def wait_file(path, pattern, timeout=30):
    """Waits until a file that the emulator writes holds a regular expression; returns its text."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        text = Path(path).read_text(errors='replace') if Path(path).exists() else ''
        if re.search(pattern, text):
            return text
        if time.monotonic() > deadline:
            raise Timeout(f'{path} has no {pattern!r} after {timeout} s; it holds:\n{text[-2000:]}')
        time.sleep(0.05)


def wait_screen(machine, pattern, timeout=30):
    """Waits until the text screen of a PC (80 x 25 at 0xb8000) holds a regular expression; returns its text."""
    deadline, path = time.monotonic() + timeout * PATIENCE, machine.folder / 'screen'
    while True:
        machine.qmp('pmemsave', val=0xb8000, size=4000, filename=str(path))
        cells = path.read_bytes()[::2].decode('cp437')
        text = '\n'.join(cells[at:at + 80].rstrip('\0 ') for at in range(0, len(cells), 80))
        if re.search(pattern, text):
            return text
        if time.monotonic() > deadline:
            raise Timeout(f'no {pattern!r} on the screen after {timeout} s:\n{text}')
        time.sleep(0.1)
