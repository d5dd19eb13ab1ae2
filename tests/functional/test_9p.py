# SPDX-License-Identifier: Apache-2.0
"""A folder of the host, mounted by a Linux guest over 9P."""

import hashlib
import os
import stat

import pytest

from machine import LINUX, Machine, guest_file, passed, script_image

SCRIPT = '''load virtio_pci virtio_mmio
for module in netfs fscache 9pnet 9p 9pnet_virtio; do insmod /modules/$module.ko; done
check() { "$@" || failed 9p "$@"; }
refuse() { "$@" 2>/dev/null && failed 9p "should fail: $@"; }
check mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 shared /mnt
cd /mnt
sha256sum tree/* >/tmp/sums; sed 's/^/MYNA-SUM /' /tmp/sums
refuse cat out                                  # leads to a file that only the host has
refuse ls outdir/
check [ "$(readlink out)" = /only-on-the-host ]
check mkdir -p a/b/c; refuse mkdir a; check rmdir a/b/c; refuse rmdir a
echo one >a/f; check chmod 640 a/f; check [ "$(stat -c %a a/f)" = 640 ]
check chown 12:34 a/f; check [ "$(stat -c %u:%g a/f)" = "$myna_owner" ]
check ln a/f a/g; check [ "$(stat -c %h a/f)" = 2 ]
check ln -s target a/l; check [ "$(readlink a/l)" = target ]
check mv a/f a/b/f; refuse cat a/f; check [ "$(cat a/b/f)" = one ]
check mkfifo a/p; check [ -p a/p ]; check mknod a/d c 1 3; check [ -c a/d ]
check [ "$(head -c 4 a/d | wc -c)" = 0 ]
echo two >>a/b/f; check [ "$(cat a/b/f | wc -l)" = 2 ]
check truncate_to_3 a/b/f; touch -d '2001-02-03 04:05:06' a/b/f
check [ "$(stat -c %Y a/b/f)" = "$(date -d '2001-02-03 04:05:06' +%s)" ]
i=0; while [ $i -lt 300 ]; do : >a/b/n$i; i=$((i + 1)); done; check [ "$(ls a/b | wc -l)" = 301 ]
exec 5<>a/b/f; rm a/b/f; echo three >&5; exec 5>&-; refuse ls a/b/f
check cp tree/0 copy; check cmp tree/0 copy
cp /bin/busybox busybox; chmod 755 busybox; check ./busybox true
check df /mnt >/dev/null
cd /; check umount /mnt
check mount -t 9p -o trans=virtio,version=9p2000.L,ro readonly /mnt
refuse touch /mnt/x; refuse rm -f /mnt/hello; check cat /mnt/hello
umount /mnt
passed 9p
'''.replace('check truncate_to_3 a/b/f', 'check dd if=/dev/null of=a/b/f bs=1 seek=3 2>/dev/null')


def has_xattrs(folder):
    try:
        os.setxattr(folder, 'user.test', b'1')
        return True
    except OSError:
        return False


@pytest.mark.skipif(os.getuid() != 0, reason='needs root')
@pytest.mark.parametrize('model,owner', [('passthrough', '12:34'), ('mapped-xattr', '12:34'), ('mapped-file', '12:34'),
                                         pytest.param('none', '12:34', marks=pytest.mark.long)])
def test_mount(tmp_path, model, owner):
    if model == 'mapped-xattr' and not has_xattrs(tmp_path):
        pytest.skip('no extended attributes here')
    shared, readonly = tmp_path / 'shared', tmp_path / 'readonly'
    (shared / 'tree').mkdir(parents=True)
    readonly.mkdir()
    (readonly / 'hello').write_text('hello\n')
    sums = {}
    for i in range(8):
        data = os.urandom(100_000 * (i + 1) + i)
        (shared / 'tree' / str(i)).write_bytes(data)
        sums[f'tree/{i}'] = hashlib.sha256(data).hexdigest()
    (tmp_path / 'secret').write_text('the host only\n')
    (shared / 'out').symlink_to('/only-on-the-host')
    (shared / 'outdir').symlink_to(tmp_path)
    script_image(tmp_path, 'standard', 'virtio_pci,virtio_mmio,9p,9pnet_virtio', '9p', SCRIPT)
    with Machine('x86_64', '-M', 'q35', '-m', 256, '-kernel', guest_file(LINUX['standard'].kernel),
                 '-initrd', tmp_path / 'image', '-append',
                 f'console=ttyS0 quiet myna.test=9p myna.owner={owner}', '-no-reboot',
                 '-fsdev', f'local,id=fs0,path={shared},security_model={model},multidevs=remap',
                 '-device', 'virtio-9p-pci,fsdev=fs0,mount_tag=shared',
                 '-virtfs', f'local,path={readonly},mount_tag=readonly,security_model=none,readonly=on') as m:
        passed(m, '9p', 90)
        assert m.status() == 0
        seen = dict(reversed(line.split()[1:]) for line in m.serial.text.splitlines()
                    if line.startswith('MYNA-SUM'))
        assert seen == sums
    mode = (shared / 'a' / 'd').lstat().st_mode
    assert stat.S_ISREG(mode) if model.startswith('mapped') else stat.S_ISCHR(mode)
    if model == 'mapped-file':
        assert 'virtfs.uid=12\n' in (shared / 'a' / '.virtfs_metadata' / 'g').read_text()
