# SPDX-License-Identifier: Apache-2.0
"""USB controllers and devices, virtio input: Linux finds them, types, points, reads sticks, replugs them."""

import hashlib
import os
import re
import socket
import struct
import sys

import pytest

from machine import SOURCE, GUESTS, Machine, QmpError, guest_file, make_initramfs, passed, wait_file

sys.path.insert(0, str(SOURCE / 'tests' / 'lib'))
from qtest import Qtest     # noqa: E402

MODULES = ('virtio_pci,virtio_blk,virtio_input,xhci_pci,ehci_pci,uhci_hcd,usbhid,hid_generic,evdev,usb_storage,uas,ftdi_sio,'
           'sd_mod,ext4')
EHCI = ['-device', 'ich9-usb-ehci1,id=usb,addr=1d.7,multifunction=on',
        '-device', 'ich9-usb-uhci1,masterbus=usb.0,firstport=0,addr=1d.0,multifunction=on',
        '-device', 'ich9-usb-uhci2,masterbus=usb.0,firstport=2,addr=1d.1',
        '-device', 'ich9-usb-uhci3,masterbus=usb.0,firstport=4,addr=1d.2']
CONTROLLERS = {
    'xhci': ('q35', ['-device', 'qemu-xhci,id=usb']),
    'nec': ('q35', ['-device', 'nec-usb-xhci,id=usb']),
    'ehci': ('q35', EHCI),
    'uhci': ('pc', ['-device', 'piix3-usb-uhci,id=usb']),
    'onboard': ('pc', ['-usb']),
}
KEY_A, BTN_LEFT = 30, 0x110


@pytest.fixture(scope='module')
def initrd(tmp_path_factory):
    return make_initramfs(tmp_path_factory.mktemp('usb') / 'initrd', 'standard', '--modules', MODULES)


def boot(board, initrd, *args, append=''):
    if not (GUESTS / 'amd64' / 'modules' / 'xhci_pci.ko').exists():
        pytest.skip('the kernel lacks USB modules: run scripts/fetch-guests standard')
    return Machine('x86_64', '-M', board, '-m', 512, '-no-reboot', '-kernel', guest_file('amd64/vmlinuz'),
                   '-initrd', initrd, '-append', f'console=ttyS0 quiet myna.test=usb {append}', *args, qmp=True)


def event(m, kind, code, value, name):
    """Waits for one event of a device of that name."""
    wanted = struct.pack('<HHi', kind, code, value).hex()
    m.wait(rf'MYNA-EVENT [0-9a-f]{{32}}{wanted} .*{name}', 20)


def send(m, *events):
    m.qmp('input-send-event', events=[{'type': kind, 'data': data} for kind, data in events])


def key(m, name):
    m.qmp('send-key', keys=[{'type': 'qcode', 'data': 'a'}])
    event(m, 1, KEY_A, 1, name)
    event(m, 1, KEY_A, 0, name)


def move(m, name):
    send(m, ('abs', {'axis': 'x', 'value': 16384}), ('abs', {'axis': 'y', 'value': 8192}))
    event(m, 3, 0, 16384, name)
    event(m, 3, 1, 8192, name)


def point(m, name):
    move(m, name)
    send(m, ('btn', {'button': 'left', 'down': True}))
    event(m, 1, BTN_LEFT, 1, name)
    send(m, ('btn', {'button': 'left', 'down': False}))
    event(m, 1, BTN_LEFT, 0, name)


def stick(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(bytes(4 << 20))
    return ['-drive', f'if=none,id={name},format=raw,file={path}']


@pytest.mark.parametrize('controller', [
    'xhci', 'ehci', 'uhci', *(pytest.param(c, marks=pytest.mark.long) for c in ['nec', 'onboard'])])
def test_linux(tmp_path, initrd, controller):
    """Each device on each controller."""
    board, chips = CONTROLLERS[controller]
    uas = controller != 'uhci' and controller != 'onboard'
    more = [*stick(tmp_path, 'uasdisk'), '-device', 'usb-uas,id=uas', '-device',
            'scsi-hd,drive=uasdisk,bus=uas.0'] if uas else []
    with boot(board, initrd, *chips, *stick(tmp_path, 'disk'), '-device', 'usb-storage,drive=disk', *more,
              '-device', 'usb-hub,port=2' if not uas else 'usb-hub,port=4', '-device',
              'usb-kbd,port=2.1' if not uas else 'usb-kbd,port=4.1', '-device', 'usb-tablet,id=tablet',
              append=f'myna.disks={1 + uas} myna.hids=2') as m:
        m.wait('MYNA-READY', 60)
        text = m.serial.text
        assert not re.search('MYNA-FAIL', text), text[-2000:]
        assert text.count('MYNA-PASS stick') == 1 + uas
        for product in ['46f4:0001', '0409:55aa 12 QEMU USB Hub', '0627:0001 12 QEMU USB Keyboard']:
            assert re.search(rf'MYNA-USB \S+ {product}', text), product
        key(m, 'QEMU USB Keyboard')
        point(m, 'QEMU USB Tablet')
        assert re.search(r'Port \S+, Speed \S+ Mb/s, Product QEMU USB Tablet, ID: tablet', m.qmp.hmp('info usb'))
        m.send('end\n')
        passed(m, 'usb')


@pytest.mark.parametrize('rounds', [5, pytest.param(200, marks=pytest.mark.long)])
def test_replug(tmp_path, initrd, rounds):
    """A stick comes and goes while another disk is read."""
    (tmp_path / 'spare').write_bytes(os.urandom(1 << 20))
    (tmp_path / 'busy').write_bytes(os.urandom(4 << 20))
    with boot('q35', initrd, '-device', 'qemu-xhci,id=usb', '-blockdev',
              f'raw,node-name=spare,file.driver=file,file.filename={tmp_path}/spare', '-drive',
              f'if=none,id=busy,format=raw,file={tmp_path}/busy', '-device', 'usb-storage,drive=busy',
              append=f'myna.plugs={rounds} myna.disks=1 myna.keep=1 myna.traffic=sda') as m:
        m.wait('MYNA-READY', 60)
        for n in range(1, rounds + 1):
            m.qmp('device_add', driver='usb-storage', id='plug', drive='spare')
            m.line(f'MYNA-PLUGGED {n}', 30)
            m.qmp('device_del', id='plug')
            m.qmp.event('DEVICE_DELETED')
            m.line(f'MYNA-UNPLUGGED {n}', 30)
        assert int(m.line(r'MYNA-TRAFFIC (\d+)', 30).group(1)) > rounds // 10
        assert 'MYNA-FAIL' not in m.serial.text
        m.send('end\n')
        passed(m, 'usb')


def test_serial(tmp_path, initrd):
    """Linux's ftdi_sio, both ways."""
    data = os.urandom(50000)
    with boot('q35', initrd, '-device', 'qemu-xhci,id=usb', '-chardev',
              f'socket,id=line,path={tmp_path}/line,server=on,wait=off', '-device', 'usb-serial,chardev=line',
              append=f'myna.serial={len(data)}') as m:
        m.wait('MYNA-SERIAL', 60)
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(f'{tmp_path}/line')
            line.settimeout(30)
            line.sendall(data)
            m.wait(hashlib.sha256(data).hexdigest(), 30)
            back = b''
            while len(back) < len(data):
                part = line.recv(65536)
                assert part
                back += part
            assert back == data
        m.wait('MYNA-READY', 30)
        m.send('end\n')
        passed(m, 'usb')


def test_virtio_input(initrd):
    """The same by virtio."""
    with boot('q35', initrd, '-device', 'virtio-keyboard-pci', '-device', 'virtio-tablet-pci', '-device',
              'virtio-mouse-pci', '-device', 'virtio-multitouch-pci') as m:
        m.wait('MYNA-READY', 60)
        key(m, 'QEMU Virtio Keyboard')
        move(m, 'QEMU Virtio Tablet')
        send(m, ('rel', {'axis': 'x', 'value': -7}))
        event(m, 2, 0, -7, 'QEMU Virtio Mouse')
        finger = {'slot': 1, 'tracking-id': 7, 'axis': 'x', 'value': 0}
        send(m, ('mtt', {**finger, 'type': 'begin'}), ('mtt', {**finger, 'type': 'data', 'value': 4711}),
             ('mtt', {**finger, 'type': 'data', 'axis': 'y', 'value': 815}))
        for kind, code, value in [(3, 0x2f, 1), (3, 0x39, 7), (1, 0x14a, 1), (3, 0x35, 4711), (3, 0x36, 815)]:
            event(m, kind, code, value, 'QEMU Virtio MultiTouch')
        send(m, ('mtt', {**finger, 'type': 'end'}))
        event(m, 3, 0x39, -1, 'QEMU Virtio MultiTouch')
        event(m, 1, 0x14a, 0, 'QEMU Virtio MultiTouch')
        with pytest.raises(QmpError):
            send(m, ('mtt', {**finger, 'type': 'begin', 'slot': 10}))
        m.send('end\n')
        passed(m, 'usb')


@pytest.mark.parametrize('controller', ['xhci', *(pytest.param(c, marks=pytest.mark.long) for c in ['ehci', 'uhci'])])
def test_seabios(tmp_path, controller):
    """The BIOS starts the boot sector of a stick."""
    board, chips = CONTROLLERS[controller]
    log = tmp_path / 'log'
    # Says so on the debug port, a byte at a time.
    code = b''.join(b'\xb0' + bytes([c]) + b'\xee' for c in b'MYNA FROM STICK\n')
    sector = b'\xba\x02\x04' + code + b'\xf4\xeb\xfd'
    (tmp_path / 'disk').write_bytes(sector.ljust(510, b'\0') + b'\x55\xaa' + bytes((1 << 20) - 512))
    with Machine('x86_64', '-M', board, *chips, '-drive',
                 f'if=none,id=disk,format=raw,file={tmp_path}/disk', '-device', 'usb-storage,drive=disk,bootindex=0',
                 '-chardev', f'file,id=debug,path={log}', '-device', 'isa-debugcon,iobase=0x402,chardev=debug'):
        wait_file(log, 'MYNA FROM STICK')


def test_boot_order(tmp_path):
    """Firmware hears of the disk in a stick, once."""
    with Qtest(['-M', 'q35', '-device', 'qemu-xhci,addr=4', *stick(tmp_path, 'disk'), '-device',
                'usb-storage,drive=disk,bootindex=0']) as q:
        key, size = q.fw_cfg_files()['bootorder']
        assert q.fw_cfg(key, size) == b'/pci@i0cf8/usb@4/storage@1/channel@0/disk@0,0\0'
