# SPDX-License-Identifier: Apache-2.0
"""Unmodified libvirt drives Myna: domains on q35 and pc, and what people do with them."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3]
GUESTS = Path(os.environ.get('MYNA_GUESTS')
              or Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'myna-guests')
DOMAIN = '''<domain type='qemu'>
  <name>myna-test</name>
  <memory unit='MiB'>512</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='{machine}'>hvm</type>
    <kernel>{folder}/vmlinuz</kernel>
    <initrd>{folder}/initrd</initrd>
    <cmdline>console=ttyS0 myna.test=shell</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>{emulator}</emulator>
    <serial type='file'><source path='{folder}/serial'/><target type='isa-serial' port='0'/></serial>
    <controller type='usb' model='none'/>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{folder}/a.img'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='user'><model type='virtio'/></interface>
    <graphics type='vnc' port='-1' autoport='yes'/>
    <video><model type='vga'/></video>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>'''


class Libvirt:
    """virsh at the system's daemon; one domain, whose files are in `folder`."""

    def __init__(self, folder, emulator):
        self.folder, self.emulator = folder, emulator

    def __call__(self, *argv, fails=False):
        done = subprocess.run(['virsh', '-c', 'qemu:///system', *map(str, argv)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        assert (done.returncode != 0) == fails, f'{argv}: {done.stdout}{self.log()}'
        return done.stdout

    def log(self):
        path = Path('/var/log/libvirt/qemu/myna-test.log')
        return path.read_text()[-2000:] if path.exists() else ''

    def define(self, machine, change=str):
        shutil.copyfile(GUESTS / 'cloud-amd64' / 'vmlinuz', self.folder / 'vmlinuz')
        shutil.copyfile(GUESTS / 'initramfs-cloud.cpio', self.folder / 'initrd')
        (self.folder / 'a.img').write_bytes(bytes(1 << 20))
        (self.folder / 'b.img').write_bytes(bytes(1 << 20))
        (self.folder / 'domain.xml').write_text(change(DOMAIN.format(
            machine=machine, emulator=self.emulator, folder=self.folder)))
        self('define', self.folder / 'domain.xml')

    def wait_serial(self, text, timeout=120):
        end = time.monotonic() + timeout
        path = self.folder / 'serial'
        while not path.exists() or text not in path.read_text(errors='replace'):
            assert time.monotonic() < end, f'no {text!r}\n{self.log()}'
            time.sleep(0.2)


@pytest.fixture(scope='module')
def emulator():
    """One path for all tests: libvirt asks each new program for its capabilities at length."""
    with tempfile.TemporaryDirectory(prefix='myna-libvirt-', dir='/var/tmp') as folder:
        os.chmod(folder, 0o755)         # libvirt runs the emulator as another user
        program = Path(folder) / 'qemu-system-x86_64'
        program.symlink_to(os.environ.get('MYNA') or SOURCE / 'build' / 'myna')
        yield program


@pytest.fixture
def libvirt(emulator):
    if not shutil.which('virsh') or not shutil.which('libvirtd'):
        pytest.skip('libvirt (libvirt-daemon-system, libvirt-clients) is not there')
    if subprocess.run(['virsh', '-c', 'qemu:///system', 'list'], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip('libvirtd does not run (virtlogd -d; libvirtd -d)')
    with tempfile.TemporaryDirectory(prefix='myna-libvirt-', dir='/var/tmp') as folder:
        os.chmod(folder, 0o755)
        yield Libvirt(Path(folder), emulator)
    for verb in 'destroy', 'undefine':
        subprocess.run(['virsh', '-c', 'qemu:///system', verb, 'myna-test'],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_capabilities(libvirt):
    text = libvirt('domcapabilities', '--emulatorbin', libvirt.emulator, '--arch', 'x86_64',
                   '--virttype', 'qemu', '--machine', 'q35')
    assert "<mode name='maximum' supported='yes'>" in text
    assert '<value>vnc</value>' in text


@pytest.mark.parametrize('machine', ['q35', 'pc'])
def test_life(libvirt, machine):
    """Define, start, suspend, resume, look, press a key, plug and unplug a disk, end, forget."""
    libvirt.define(machine)
    libvirt('start', 'myna-test')
    libvirt.wait_serial('built-in shell')
    assert 'running' in libvirt('domstate', 'myna-test')
    libvirt('suspend', 'myna-test')
    assert 'paused' in libvirt('domstate', 'myna-test')
    libvirt('resume', 'myna-test')
    libvirt('screenshot', 'myna-test', libvirt.folder / 'shot')
    assert (libvirt.folder / 'shot').read_bytes()[:4] in (b'P6\n7', b'\x89PNG')
    libvirt('send-key', 'myna-test', 'KEY_A')
    assert 'block.count=1' in libvirt('domstats', 'myna-test')
    libvirt('setmem', 'myna-test', '400M')
    if machine == 'q35':
        libvirt('attach-disk', 'myna-test', libvirt.folder / 'b.img', 'vdb', '--driver', 'qemu',
                '--subdriver', 'raw')
        assert 'vdb' in libvirt('domblklist', 'myna-test')
        time.sleep(2)                   # the guest's driver binds before it is asked to let go
        libvirt('detach-disk', 'myna-test', 'vdb')
        end = time.monotonic() + 30
        while 'vdb' in libvirt('domblklist', 'myna-test'):
            assert time.monotonic() < end
            time.sleep(0.5)
    libvirt('save', 'myna-test', libvirt.folder / 'saved', fails=True)
    assert 'running' in libvirt('domstate', 'myna-test')
    libvirt('destroy', 'myna-test')
    libvirt('undefine', 'myna-test')


NUMA = '''<maxMemory slots='4' unit='MiB'>2048</maxMemory>
  <vcpu current='2'>4</vcpu>
  <cpu><numa><cell id='0' cpus='0-3' memory='512' unit='MiB'/></numa></cpu>'''
DIMM = '''<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>'''


def grown(xml):
    xml = xml.replace("<memory unit='MiB'>512</memory>", '').replace('<vcpu>2</vcpu>', NUMA)
    return xml.replace('myna.test=shell', 'myna.test=shell memhp_default_state=online_movable')


@pytest.mark.parametrize('machine', ['q35', 'pc'])
def test_grow(libvirt, machine):
    """CPUs and memory come and go."""
    libvirt.define(machine, grown)
    libvirt('start', 'myna-test')
    libvirt.wait_serial('built-in shell')
    libvirt('setvcpus', 'myna-test', 4, '--live')
    assert 'vcpu.current=4' in libvirt('domstats', 'myna-test', '--vcpu')
    libvirt('setvcpus', 'myna-test', 3, '--live')
    assert 'vcpu.current=3' in libvirt('domstats', 'myna-test', '--vcpu')
    dimm = libvirt.folder / 'dimm.xml'
    dimm.write_text(DIMM)
    libvirt('attach-device', 'myna-test', dimm, '--live')
    assert "<memory model='dimm'" in libvirt('dumpxml', 'myna-test')
    time.sleep(2)
    libvirt('detach-device', 'myna-test', dimm, '--live')
    end = time.monotonic() + 30
    while "<memory model='dimm'" in libvirt('dumpxml', 'myna-test'):
        assert time.monotonic() < end
        time.sleep(0.5)
    libvirt('destroy', 'myna-test')
    libvirt('undefine', 'myna-test')


USB = {
    'piix3-uhci': ('pc', "<controller type='usb' index='0' model='piix3-uhci'/>"),
    'qemu-xhci': ('q35', "<controller type='usb' index='0' model='qemu-xhci' ports='15'/>"),
    'ich9-ehci1': ('q35', """<controller type='usb' index='0' model='ich9-ehci1'/>
        <controller type='usb' index='0' model='ich9-uhci1'><master startport='0'/></controller>
        <controller type='usb' index='0' model='ich9-uhci2'><master startport='2'/></controller>
        <controller type='usb' index='0' model='ich9-uhci3'><master startport='4'/></controller>"""),
}
TABLET = "<input type='tablet' bus='usb'/>"


@pytest.mark.parametrize('model', list(USB))
def test_usb(libvirt, model):
    """The controllers that libvirt adds, its tablet, a stick that comes and goes."""
    machine, controllers = USB[model]
    libvirt.define(machine, lambda xml: xml.replace("<controller type='usb' model='none'/>", controllers + TABLET))
    libvirt('start', 'myna-test')

    def info_usb():
        return libvirt('qemu-monitor-command', 'myna-test', '--hmp', 'info usb')

    assert 'Product QEMU USB Tablet, ID: input0' in info_usb()
    for _ in range(2):
        libvirt('attach-disk', 'myna-test', libvirt.folder / 'b.img', 'sda', '--targetbus', 'usb', '--driver', 'qemu',
                '--subdriver', 'raw')
        assert 'QEMU USB HARDDRIVE' in info_usb()
        libvirt('detach-disk', 'myna-test', 'sda')
        assert 'sda' not in libvirt('domblklist', 'myna-test')
        assert 'QEMU USB HARDDRIVE' not in info_usb()
    libvirt('destroy', 'myna-test')
    libvirt('undefine', 'myna-test')


@pytest.mark.parametrize('machine', ['q35', 'pc'])
def test_virt_install(libvirt, machine):
    """What virt-install writes for a Debian guest, with VNC in place of SPICE; GRUB comes from the disk."""
    if not shutil.which('virt-install'):
        pytest.skip('virt-install (virtinst) is not there')
    image = libvirt.folder / 'disk.img'
    shutil.copyfile(GUESTS / 'grub' / 'grub-rescue-cdrom.iso', image)
    xml = subprocess.run(
        ['virt-install', '--connect', 'qemu:///system', '--virt-type', 'qemu', '--arch', 'x86_64', '--machine', machine,
         '--name', 'myna-test', '--memory', '256', '--vcpus', '2', '--osinfo', 'debian11', '--import', '--disk',
         f'path={image},format=raw', '--network', 'user', '--graphics', 'vnc', '--boot',
         f'emulator={libvirt.emulator}', '--print-xml'],
        check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
    (libvirt.folder / 'domain.xml').write_text(xml)
    libvirt('define', libvirt.folder / 'domain.xml')
    libvirt('start', 'myna-test')
    assert '/dev/pts/' in libvirt('ttyconsole', 'myna-test')
    end = time.monotonic() + 60
    while 'rd.bytes=0' in (text := libvirt('domstats', 'myna-test', '--block')) or 'rd.bytes' not in text:
        assert time.monotonic() < end
        time.sleep(0.5)
    libvirt('screenshot', 'myna-test', libvirt.folder / 'shot')
    assert 'org.qemu.guest_agent.0' in libvirt('dumpxml', 'myna-test')
    assert 'Product QEMU USB Tablet, ID: input' in libvirt('qemu-monitor-command', 'myna-test', '--hmp', 'info usb')
    libvirt('reset', 'myna-test')
    libvirt('suspend', 'myna-test')
    libvirt('resume', 'myna-test')
    libvirt('destroy', 'myna-test')
    libvirt('undefine', 'myna-test')
