# SPDX-License-Identifier: Apache-2.0
"""Real vhost-user back ends: Debian's virtiofsd and qemu-storage-daemon; and for cards one of our own."""

import hashlib
import os
import shutil
import subprocess
import sys
import time

import pytest

from machine import GUESTS, LINUX, SOURCE, Machine, guest_file, make_initramfs, passed

VIRTIOFSD = '/usr/lib/qemu/virtiofsd'
FS = '''load virtio_pci virtiofs
mount -t virtiofs shared /mnt || failed fs mount
read -r text </mnt/hello
[ "$text" = "from the host" ] || failed fs "read $text"
cp /mnt/big /mnt/copy && mkdir -p /mnt/a/b && echo deep >/mnt/a/b/c && mv /mnt/a/b/c /mnt/a/d || failed fs write
cp /bin/busybox /mnt/busybox && /mnt/busybox true || failed fs "run a program"
umount /mnt && passed fs
'''
DISK = '''load virtio_pci virtio_mmio virtio_blk
wait_for /dev/vda || failed vhostdisk "no disk"
dd if=/dev/vda of=/dev/null bs=64k 2>/dev/null
for round in 1 2 3 4 5 6; do
    dd if=/bin/busybox of=/dev/vda bs=64k seek=$round conv=fsync 2>/dev/null || failed vhostdisk "write $round"
    echo "MYNA-ROUND $round"
    [ $round = 3 ] && sleep 3
done
set -- $(sha256sum /bin/busybox)
want=$1 size=$(stat -c %s /bin/busybox)
echo 3 >/proc/sys/vm/drop_caches
set -- $(dd if=/dev/vda bs=64k skip=6 2>/dev/null | head -c $size | sha256sum)
[ "$1" = "$want" ] && passed vhostdisk || failed vhostdisk "other bytes"
'''
NET = '''load virtio_pci virtio_mmio virtio_net
wait_for /sys/class/net/eth0
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
ping -c 3 -i 0.2 10.0.2.2 >/dev/null && ping -c 3 -i 0.2 -s 1400 10.0.2.2 >/dev/null || failed vhostnet "no answer"
echo "MYNA-CARRIER $(cat /sys/class/net/eth0/carrier)"
while [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do usleep 20000; done
echo MYNA-GONE
for i in 1 2 3 4 5 6 7 8 9 10; do
    ping -c 1 -W 1 10.0.2.2 >/dev/null && break
done
ping -c 3 -i 0.2 10.0.2.2 >/dev/null && passed vhostnet || failed vhostnet "no answer after it came back"
'''


def shared(size):
    return ['-m', size, '-object', f'memory-backend-memfd,id=m,size={size}M,share=on',
            '-machine', 'memory-backend=m']


def image(folder, script, text, modules):
    (folder / 'overlay' / 'tests').mkdir(parents=True)
    (folder / 'overlay' / 'tests' / script).write_text(text)
    initrd = make_initramfs(folder / 'image', 'cloud', '--modules', modules, '--overlay', folder / 'overlay')
    return ['-kernel', guest_file(LINUX['cloud'].kernel), '-initrd', initrd, '-append',
            f'console=ttyS0 quiet myna.test={script}', '-no-reboot']


def start(path, *argv):
    """A daemon that listens on a unix socket."""
    daemon = subprocess.Popen([str(a) for a in argv], stderr=subprocess.DEVNULL)
    for _ in range(200):
        if path.exists():
            return daemon
        assert daemon.poll() is None, f'{argv[0]} ended'
        time.sleep(0.05)
    daemon.kill()
    raise AssertionError(f'{path} does not appear')


@pytest.mark.skipif(not os.path.exists(VIRTIOFSD) or os.getuid(), reason=f'needs root and {VIRTIOFSD}')
@pytest.mark.parametrize('board,device', [('q35', 'vhost-user-fs-pci'),
                                          pytest.param('microvm', 'vhost-user-fs-device', marks=pytest.mark.long)])
def test_virtiofsd(tmp_path, board, device):
    folder = tmp_path / 'shared'
    folder.mkdir()
    (folder / 'hello').write_text('from the host\n')
    (folder / 'big').write_bytes(os.urandom(5_000_000))
    daemon = start(tmp_path / 's', VIRTIOFSD, f'--socket-path={tmp_path}/s', '-o', f'source={folder}',
                   '-o', 'sandbox=chroot', '--thread-pool-size=1')
    try:
        script = FS.replace('virtio_pci', 'virtio_pci virtio_mmio')
        with Machine('x86_64', '-M', board, *shared(512),
                     *image(tmp_path, 'fs', script, 'virtio_pci,virtio_mmio,virtiofs'),
                     '-global', 'virtio-mmio.force-legacy=off',
                     '-chardev', f'socket,id=c,path={tmp_path}/s', '-device', f'{device},chardev=c,tag=shared') as m:
            passed(m, 'fs', 60)
            assert m.status() == 0
        assert ((folder / 'copy').read_bytes() == (folder / 'big').read_bytes())
        assert (folder / 'a' / 'd').read_text() == 'deep\n'
    finally:
        daemon.kill()
        daemon.wait()


@pytest.mark.skipif(not shutil.which('qemu-storage-daemon'), reason='qemu-storage-daemon is not installed')
def test_storage_daemon_comes_back(tmp_path):
    """The back end is killed and started again while the guest writes; nothing is lost."""
    disk, sock = tmp_path / 'disk', tmp_path / 's'
    disk.write_bytes(bytes(16 << 20))

    def serve():
        return start(sock, 'qemu-storage-daemon', '--blockdev', f'file,node-name=d,filename={disk}', '--export',
                     f'vhost-user-blk,id=e,node-name=d,writable=on,addr.type=unix,addr.path={sock}')
    daemon = serve()
    try:
        with Machine('x86_64', '-M', 'microvm', *shared(256),
                     *image(tmp_path, 'vhostdisk', DISK, 'virtio_mmio,virtio_pci,virtio_blk'),
                     '-chardev', f'socket,id=c,path={sock},reconnect=1',  # the legacy layout, too
                     '-device', 'vhost-user-blk-device,chardev=c', qmp=True) as m:
            m.line('MYNA-ROUND 3', 60)
            daemon.kill()
            daemon.wait()
            if sock.exists():
                sock.unlink()
            daemon = serve()
            m.line('MYNA-ROUND 4', 60)
            m.qmp('stop')
            m.qmp('cont')
            passed(m, 'vhostdisk', 60)
            assert m.status() == 0
        digest = hashlib.sha256((GUESTS / 'busybox-amd64').read_bytes()).digest()
        size = (GUESTS / 'busybox-amd64').stat().st_size
        assert hashlib.sha256(disk.read_bytes()[6 << 16:][:size]).digest() == digest
    finally:
        daemon.kill()
        daemon.wait()


@pytest.mark.parametrize('board,device', [('q35', 'virtio-net-pci'), ('microvm', 'virtio-net-device')])
def test_network_back_end_comes_back(tmp_path, board, device):
    """The guest pings a back end, sees that it is gone, and pings the next one."""
    sock = tmp_path / 's'

    def serve():
        return start(sock, sys.executable, SOURCE / 'tests' / 'lib' / 'vhost_net.py', sock)
    daemon = serve()
    try:
        with Machine('x86_64', '-M', board, *shared(256),
                     *image(tmp_path, 'vhostnet', NET, 'virtio_mmio,virtio_pci,virtio_net'),
                     '-chardev', f'socket,id=c,path={sock},reconnect=1', '-netdev', 'vhost-user,id=n,chardev=c',
                     '-device', f'{device},netdev=n', qmp=True) as m:
            m.line('MYNA-CARRIER 1', 60)
            m.qmp('stop')
            m.qmp('cont')
            daemon.kill()
            daemon.wait()
            sock.unlink()
            m.line('MYNA-GONE', 30)
            assert m.qmp.event('NETDEV_VHOST_USER_DISCONNECTED')['data'] == {'netdev-id': 'n'}
            daemon = serve()
            passed(m, 'vhostnet', 60)
            assert m.qmp.event('NETDEV_VHOST_USER_CONNECTED')['data'] == {'netdev-id': 'n', 'chardev-id': 'c'}
            assert m.status() == 0
    finally:
        daemon.kill()
        daemon.wait()


QUEUES = '''load virtio_pci virtio_mmio virtio_net
wait_for /sys/class/net/eth0
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
for round in 1 2; do
    for cpu in 0 1 2 3; do
        taskset $((1 << cpu)) ping -c 2 -i 0.1 -W 2 10.0.2.2 >/dev/null || failed vhostqueues "no answer to CPU $cpu"
    done
    [ $round = 1 ] && echo MYNA-ROUND && sleep 1
done
echo "MYNA-QUEUES $(ls -d /sys/class/net/eth0/queues/tx-* | wc -l) $(grep -c 'virtio.*input' /proc/interrupts)"
passed vhostqueues
'''


@pytest.mark.parametrize('pairs', [4, pytest.param(2, marks=pytest.mark.long)])
def test_network_pairs(tmp_path, pairs):
    """Each CPU's packets go by a pair of queues of its own, also when the machine has stood."""
    sock, log = tmp_path / 's', tmp_path / 'log'
    daemon = start(sock, sys.executable, SOURCE / 'tests' / 'lib' / 'vhost_net.py', sock, pairs, log)
    try:
        with Machine('x86_64', '-M', 'q35', '-smp', '4', *shared(256),
                     *image(tmp_path, 'vhostqueues', QUEUES, 'virtio_mmio,virtio_pci,virtio_net'),
                     '-chardev', f'socket,id=c,path={sock}', '-netdev', f'vhost-user,id=n,chardev=c,queues={pairs}',
                     '-device', f'virtio-net-pci,netdev=n,mq=on,vectors={2 * pairs + 2}', qmp=True) as m:
            m.line('MYNA-ROUND', 60)
            m.qmp('stop')
            seen = log.read_text().split()
            m.qmp('cont')
            assert m.line(r'MYNA-QUEUES (\d+) (\d+)', 60).groups() == (str(pairs), str(pairs))
            passed(m, 'vhostqueues')
        later = log.read_text().split()[len(seen):]
        # With fewer pairs than CPUs Linux begins with as many as there are pairs and shares them.
        assert set(seen) == set(later) == {str(i) for i in range(pairs)}, (seen, later)
    finally:
        daemon.kill()
        daemon.wait()


SCSI = '''load virtio_pci virtio_scsi sd_mod
wait_for /dev/sda && wait_for /dev/sdb || failed vhostscsi "no disks"
echo "MYNA-ROTATES $(cat /sys/block/sda/queue/rotational)"
for disk in sda sdb; do
    set -- $(sha256sum /dev/$disk)
    echo "MYNA-SHA $disk $1"
    sleep 1
done
passed vhostscsi
'''


@pytest.mark.skipif(not shutil.which('vhost-device-scsi'), reason='vhost-device-scsi is not installed (a crate)')
def test_scsi_daemon(tmp_path):
    """Two disks behind a daemon, one of them read after the machine has stood."""
    disks = [tmp_path / 'a', tmp_path / 'b']
    for i, disk in enumerate(disks):
        disk.write_bytes(os.urandom((8 + i) << 20))
    daemon = start(tmp_path / 's', 'vhost-device-scsi', '--read-only', '--solid-state', '-s', tmp_path / 's', *disks)
    try:
        with Machine('x86_64', '-M', 'q35', *shared(256),
                     *image(tmp_path, 'vhostscsi', SCSI, 'virtio_pci,virtio_scsi,sd_mod'),
                     '-chardev', f'socket,id=c,path={tmp_path}/s', '-device', 'vhost-user-scsi-pci,chardev=c', qmp=True) as m:
            m.line('MYNA-ROTATES 0', 60)
            for name, disk in zip(('sda', 'sdb'), disks):
                digest = hashlib.sha256(disk.read_bytes()).hexdigest()
                assert m.line(rf'MYNA-SHA {name} (\w+)', 60).group(1) == digest
                m.qmp('stop')
                m.qmp('cont')
            passed(m, 'vhostscsi')
            assert m.status() == 0
    finally:
        daemon.kill()
        daemon.wait()


def test_network_refusals(tmp_path):
    sock = tmp_path / 's'
    daemon = start(sock, sys.executable, SOURCE / 'tests' / 'lib' / 'vhost_net.py', sock)
    line = ['-chardev', f'socket,id=c,path={sock}', '-netdev', 'vhost-user,id=n,chardev=c']
    try:
        for words, message in [
                ([*line, '-device', 'virtio-net-pci,netdev=n'], 'memory is not shared'),
                ([*shared(64), *line, '-device', 'e1000,netdev=n'], 'only virtio-net'),
                ([*shared(64), *line[:3], 'vhost-user,id=n,chardev=c,queues=2', '-device',
                  'virtio-net-pci,netdev=n,mq=on'], 'more queues than supported: 1'),
                (['-netdev', 'vhost-user,id=n,chardev=x'], 'chardev "x" not found')]:
            with Machine('x86_64', '-M', 'q35', '-m', 64, *words) as m:
                assert m.status() == 1
                assert message in m.errors.text
    finally:
        daemon.kill()
        daemon.wait()


def test_refusals(tmp_path):
    with Machine('x86_64', '-M', 'microvm', '-m', 64, '-chardev', 'ringbuf,id=c', '-device',
                 'vhost-user-fs-device,chardev=c,tag=a') as m:
        assert m.status() == 1
        assert 'memory is not shared' in m.errors.text
    with Machine('x86_64', '-M', 'microvm', *shared(64), '-chardev', 'ringbuf,id=c', '-device',
                 'vhost-user-fs-device,chardev=c,tag=a') as m:
        assert m.status() == 1
        assert 'there is no back end' in m.errors.text
