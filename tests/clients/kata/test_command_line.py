# SPDX-License-Identifier: Apache-2.0
"""The command lines of Kata Containers' two runtimes, word by word, and what they say by QMP."""

import array
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

import machine
from machine import Output, Qmp
from test_kata import MODULES
from test_vsock import Host

READY = 'MYNA-KATA ready(.|\\n)*# '       # (what is typed before the prompt is there gets lost)
VIRTIOFSD = Path('/usr/lib/qemu/virtiofsd')
MYNA = Path(os.environ.get('MYNA') or machine.SOURCE / 'build' / 'myna').absolute()
GO_KERNEL = ('tsc=reliable no_timer_check rcupdate.rcu_expedited=1 i8042.direct=1 i8042.dumbkbd=1 i8042.nopnp=1 '
             'i8042.noaux=1 noreplace-smp reboot=k cryptomgr.notests net.ifnames=0 pci=lastbus=0 '
             'root=/dev/pmem0p1 rootflags=dax,data=ordered,errors=remount-ro ro rootfstype=ext4 console=hvc0 '
             'console=hvc1 debug systemd.show_status=true systemd.log_level=debug panic=1 nr_cpus=2 selinux=0 '
             'myna.test=kata myna.root=none')
RS_KERNEL = ('reboot=k panic=1 systemd.unit=kata-containers.target systemd.mask=systemd-networkd.service '
             'systemd.mask=systemd-networkd.socket agent.log_vport=1025 selinux=0 console=hvc0 myna.test=kata')


def why_no_kvm():
    said = subprocess.run([MYNA, 'system', 'x86_64', '-M', 'none', '-accel', 'kvm', '-display', 'none', '-S', '-qmp',
                           'stdio'], input='{"execute":"qmp_capabilities"}{"execute":"quit"}', capture_output=True,
                          text=True, timeout=60)
    return said.stderr.strip().splitlines()[-1] if said.returncode else ''


@pytest.fixture(params=['tcg', 'kvm'])
def accel(request):
    if request.param == 'kvm' and why_no_kvm():
        pytest.skip(why_no_kvm())
    return request.param


class Sandbox:
    """A folder of sockets and the emulator, which inherits the listening socket of its monitor."""

    def __init__(self, folder, accel):
        self.folder, self.accel, self.process = folder, accel, None
        self.cpu = {'tcg': 'max', 'kvm': 'host'}[accel]
        emulator = folder / 'qemu-system-x86_64'
        emulator.symlink_to(MYNA)
        self.argv = [str(emulator)]
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / 'qmp.sock'))
        self.listener.listen()
        self.fds = [self.listener.fileno()]
        subprocess.run(['gcc', '-static', '-O2', '-o', folder / 'vsock',
                        machine.SOURCE / 'tests' / 'guests' / 'linux' / 'vsock.c'], check=True)
        machine.make_initramfs(folder / 'initrd', 'cloud', '--modules', ','.join(MODULES), '--add', folder / 'vsock')
        self.kernel = machine.guest_file('cloud-amd64/vmlinuz')
        self.image = folder / 'kata.img'
        self.image.write_bytes(b'root file system'.ljust(16 << 20, b'\0'))

    def start(self, text, *tail):
        """`text`: the command line; what has spaces within comes as {0}, {1} … from `tail`."""
        self.argv += [word.format(*tail) if word.startswith('{') else word for word in text.split()]
        self.process = subprocess.Popen(self.argv, cwd=self.folder, pass_fds=self.fds, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.listener.close()
        self.errors = Output(self.process.stderr)

    def connect(self):
        try:
            return Qmp(self.folder / 'qmp.sock')
        except (OSError, EOFError) as error:
            raise AssertionError(f'{error}: {self.errors.text}') from error

    def console(self):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.folder / 'console.sock'))
        self.hvc = Output(client)
        self.socket = client

    def shell(self, line, pattern):
        self.socket.sendall(line.encode() + b'\n')
        return self.hvc.wait(pattern, 30)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()


@pytest.fixture
def sandbox(tmp_path, accel):
    box = Sandbox(tmp_path, accel)
    yield box
    box.stop()


def alive(box, words):
    """A guest at work, where it is quick enough."""
    if box.accel == 'tcg':
        box.console()
        box.hvc.wait(READY, 60)
        for line, pattern in words:
            box.shell(line, pattern)


def no_errors(box):
    for line in box.errors.text.splitlines():
        assert ': warning: ' in line, f'an error in the log of Kata: {line}'


def test_go(sandbox, accel):
    """LaunchQemu's order: forward references, -machine once more, -smp last; then Go's conversation."""
    box, parts, where = sandbox, [], sandbox.folder
    shared = where / 'shared'
    shared.mkdir()
    (shared / 'hello').write_text('from the host')
    with_fs = VIRTIOFSD.exists() and os.getuid() == 0
    if with_fs:
        fs = subprocess.Popen([VIRTIOFSD, f'--socket-path={where}/vhost-fs.sock', '-o', f'source={shared}', '-o',
                               'sandbox=chroot', '-o', 'cache=auto', '--thread-pool-size=1'],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (where / 'vhost-fs.sock').exists():
            assert fs.poll() is None
            time.sleep(0.05)
        parts = [f'-chardev socket,id=char-0123456789abcdef,path={where}/vhost-fs.sock -device vhost-user-fs-pci,'
                 'chardev=char-0123456789abcdef,tag=kataShared,queue-size=1024,bus=pcie.0']
    host = Host(where / 'vsock.sock')
    greeting = socket.socket(socket.AF_UNIX)
    greeting.connect(str(where / 'qmp.sock'))               # in the backlog before there is a process
    box.start(f'''
        -name sandbox-0123,debug-threads=on -uuid f0e1d2c3-0000-4000-8000-000000000001
        -machine q35,accel={accel},nvdimm=on -cpu {box.cpu},pmu=off
        -qmp unix:fd={box.fds[0]},server=on,wait=off -m 512M,slots=10,maxmem=3072M
        -device pci-bridge,bus=pcie.0,id=pci-bridge-0,chassis_nr=1,shpc=off,addr=2,io-reserve=4k,mem-reserve=1m,pref64-reserve=1m
        -device virtio-serial-pci,disable-modern=false,id=serial0
        -device virtconsole,chardev=charconsole0,id=console0
        -chardev socket,id=charconsole0,path={where}/console.sock,server=on,wait=off
        -device nvdimm,id=nv0,memdev=mem0,unarmed=on
        -object memory-backend-file,id=mem0,mem-path={box.image},size={16 << 20},readonly=on
        -device virtio-scsi-pci,id=scsi0,disable-modern=false
        -object rng-random,id=rng0,filename=/dev/urandom -device virtio-rng-pci,rng=rng0
        -device virtio-balloon-pci,id=balloon0,deflate-on-oom=on,disable-modern=false,free-page-reporting=on
        -device pcie-root-port,id=rp0,bus=pcie.0,chassis=0,slot=0,multifunction=off
        -device virtio-vsock-pci,disable-modern=false,path=vsock.sock,id=vsock-3,guest-cid=3,bus=pcie.0
        {' '.join(parts)}
        -fsdev local,id=extra-9p-kataShared,path={shared},security_model=none,multidevs=remap
        -device virtio-9p-pci,disable-modern=false,fsdev=extra-9p-kataShared,mount_tag=kata9p
        -rtc base=utc,driftfix=slew,clock=host -global kvm-pit.lost_tick_policy=discard
        -vga none -no-user-config -nodefaults -nographic --no-reboot
        -object memory-backend-file,id=dimm1,size=512M,mem-path=/dev/shm,share=on -numa node,memdev=dimm1
        -kernel {box.kernel} -initrd {where}/initrd -append {{0}}
        -pidfile {where}/pid -smp 1,cores=1,threads=1,sockets=2,maxcpus=2''', GO_KERNEL)
    first = Qmp(greeting)
    assert first.greeting['QMP']['version']['qemu']['major'] >= 5
    first.close()
    for _ in range(3):
        qmp = box.connect()
        assert qmp('query-status')['status'] == 'running'
        qmp.close()
    assert int((where / 'pid').read_text()) == box.process.pid
    qmp = box.connect()
    cpu, = qmp('query-cpus-fast')
    assert Path(f'/proc/{box.process.pid}/task/{cpu["thread-id"]}').exists()
    assert qmp('qom-get', path='rp0', property='addr') == qmp('qom-get', path='/machine/peripheral/rp0', property='addr')
    assert qmp('qom-get', path='rp0', property='parent_bus').endswith('/pcie.0')
    words = [('mount -t virtiofs kataShared /mnt && cat /mnt/hello', 'from the host')] if with_fs else []
    alive(box, words)                   # (Debian's cloud kernel has no 9p)
    if accel == 'tcg':                  # the agent's port and one of ours; instead of vhost-vsock by a unix socket
        box.shell('(while :; do vsock listen 1024; done) &', 'listening')
        with host.connect(1024) as agent:
            agent.sendall(b'hello, agent')
            assert agent.recv(12) == b'hello, agent'
        box.shell('vsock connect 2 6000 && echo all has come $((1+1))', 'come 2')
    slots = qmp('query-hotpluggable-cpus')
    free, = [s for s in slots if 'qom-path' not in s]
    qmp('device_add', driver=free['type'], id='cpu-1',
        **{key: str(value) for key, value in free['props'].items() if key != 'die-id'})
    assert len(qmp('query-cpus-fast')) == 2
    qmp('object-add', qom_type='memory-backend-file', id='mem1', size=128 << 20, mem_path='/dev/shm', share=True)
    qmp('device_add', driver='pc-dimm', id='dimmmem1', memdev='mem1')
    assert [m['type'] for m in qmp('query-memory-devices')] == ['nvdimm', 'dimm']
    qmp('stop')
    assert qmp('query-status')['status'] == 'paused'
    qmp('cont')
    alive_again = box.accel == 'tcg'
    if alive_again:
        box.shell('n=0; while [ ! -d /sys/devices/system/cpu/cpu1 ] && [ $n -lt 100 ]; do usleep 50000; n=$((n+1)); '
                  'done; cat /sys/devices/system/cpu/present', '0-1')
    assert max(map(len, json.dumps(qmp('query-status')).splitlines())) < 65536
    box.process.kill()
    assert box.process.wait() == -9
    no_errors(box)


def with_descriptor(qmp, command, fd, **arguments):
    """As runtime-rs does it: one message with its descriptor, without a newline."""
    text = json.dumps({'execute': command, 'arguments': {k.replace('_', '-'): v for k, v in arguments.items()}})
    qmp.socket.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
    answer = qmp.receive()
    assert 'return' in answer, answer
    return answer['return']


def test_rs(sandbox, accel):
    """runtime-rs' order: descriptors of any number, images by descriptor sets, a monitor in the folder."""
    box, where = sandbox, sandbox.folder
    image = os.open(box.image, os.O_RDONLY)
    box.fds.append(image)
    box.start(f'''
        -name sandbox-0123 -kernel {box.kernel} -initrd {where}/initrd -append {{0}} -smp 1,maxcpus=2
        -machine q35,accel={accel},kernel_irqchip=on,memory-backend=entire-guest-memory-share
        -cpu {box.cpu}, -m 512M,slots=2,maxmem=2G
        -object memory-backend-file,id=entire-guest-memory-share,mem-path=/dev/shm,size=512M,share=on,prealloc=off,readonly=off
        -qmp unix:fd={box.fds[0]},server=on,wait=off
        -monitor unix:path=debug-monitor.sock,server=on,wait=off
        -rtc base=utc,clock=host,driftfix=slew
        -object rng-random,id=rng0,filename=/dev/urandom -device virtio-rng-pci,rng=rng0
        -device pci-bridge,bus=pcie.0,id=pci-bridge-0,chassis_nr=1,shpc=off,addr=2,io-reserve=4k,mem-reserve=1m,pref64-reserve=1m
        -object iothread,id=scsi-io-thread -device virtio-scsi-pci,id=scsi0,iothread=scsi-io-thread
        -object iothread,id=indep_iothread_0
        -device virtio-balloon,free-page-reporting=on
        -add-fd fd={image},set=1,opaque=kata-block:disk:block-source
        -blockdev driver=file,node-name=image-disk,filename=/dev/fdset/1,aio=threads,cache.direct=off,cache.no-flush=off,read-only=on
        -device virtio-blk-pci,drive=image-disk,config-wce=off,share-rw=on,serial=image-disk
        -device pcie-root-port,id=rp0,chassis=0,slot=0,bus=pcie.0,multifunction=off
        -device virtio-serial-pci,id=serial0 -device virtconsole,id=console0,chardev=charconsole0
        -chardev socket,id=charconsole0,server=on,wait=off,path={where}/console.sock
        -vga none -no-user-config -nodefaults -nographic -no-reboot''', RS_KERNEL)
    qmp = box.connect()
    assert qmp('query-version')['qemu']['major'] >= 5
    fdset, = qmp('query-fdsets')
    assert fdset['fdset-id'] == 1 and fdset['fds'][0]['opaque'] == 'kata-block:disk:block-source'
    assert (where / 'debug-monitor.sock').exists()
    alive(box, [('head -c 16 /dev/vda', 'root file system')])
    disk = where / 'disk.img'
    disk.write_bytes(b'hot-plugged disk'.ljust(1 << 20, b'\0'))
    fd = os.open(disk, os.O_RDONLY)
    added = with_descriptor(qmp, 'add-fd', fd, opaque='kata-block:hot:block-source')
    os.close(fd)
    qmp('blockdev-add', driver='raw', node_name='drive-1', read_only=True, force_share=True,
        file={'driver': 'file', 'filename': f'/dev/fdset/{added["fdset-id"]}', 'aio': 'threads',
              'cache': {'direct': False}, 'read-only': True})
    qmp('device_add', driver='scsi-hd', id='drive-1', drive='drive-1', bus='scsi0.0', **{'scsi-id': 0, 'lun': 1})
    buses = qmp('query-pci')
    assert any(d['qdev_id'] == 'pci-bridge-0' and 'pci_bridge' in d for d in buses[0]['devices'])
    if box.accel == 'tcg':
        box.shell('n=0; while [ ! -b /dev/sda ] && [ $n -lt 100 ]; do usleep 50000; n=$((n+1)); done; '
                  'head -c 16 /dev/sda', 'hot-plugged disk')
    qmp('device_del', id='drive-1')
    assert qmp.event('DEVICE_DELETED', 10)['data']['device'] == 'drive-1'
    qmp('blockdev-del', node_name='drive-1')
    qmp('remove-fd', fdset_id=added['fdset-id'])
    free = next(s for s in qmp('query-hotpluggable-cpus') if 'qom-path' not in s)
    qmp('device_add', driver=free['type'], id='cpu-1', **{k: v for k, v in free['props'].items() if k != 'die-id'})
    with pytest.raises(machine.QmpError, match='vfio'):
        qmp('device_add', driver='vfio-pci', id='v', bus='rp0', addr='0x0', host='0000:00:1f.7', multifunction='off')
    box.process.kill()
    box.process.wait()
    box.errors.finish()
    assert box.errors.closed
    no_errors(box)
