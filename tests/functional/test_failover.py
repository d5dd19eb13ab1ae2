# SPDX-License-Identifier: Apache-2.0
"""Failover pairs: a card that comes when the guest's virtio driver knows how to do with both."""

import pytest

from machine import Machine, linux
from test_hotplug import Shell, no_acpi_errors

MAC = '52:54:00:66:77:88'
PLACES = {
    'q35': ('e1000e', '0', ['-device', 'pcie-root-port,id=p,chassis=1']),
    'q35-native': ('e1000e', '0', ['-device', 'pcie-root-port,id=p,chassis=1', '-global',
                                   'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off']),
    'pc': ('e1000', '3', ['-device', 'pci-bridge,id=p,chassis_nr=1']),
}


def primary(model, addr):
    return {'driver': model, 'netdev': 'n1', 'id': 'primary', 'bus': 'p', 'addr': addr, 'failover_pair_id': 'standby',
            'mac': MAC}


def pair(model, addr):
    return ['-netdev', 'user,id=n0', '-netdev', 'user,id=n1', '-device',
            f'virtio-net-pci,netdev=n0,id=standby,failover=on,mac={MAC}', '-device',
            ','.join(f'{k}={v}' for k, v in primary(model, addr).items()).removeprefix('driver=')]


def add(m, options):
    """device_add with its underscores; the answer."""
    return m.qmp.request({'execute': 'device_add', 'arguments': options})


def has_primary(m):
    return any(d['name'] == 'primary' for d in m.qmp('qom-list', path='/machine/peripheral'))


# One card above two others: the first two are seen as its parts.
BOTH = ('n=0; until [ "$(ls -d /sys/class/net/*/lower_* | wc -l)" = 2 ] || [ $n = 300 ]; do usleep 50000; n=$((n+1)); done;'
        ' ls -d /sys/class/net/*/lower_*; [ $n -lt 300 ]')


@pytest.mark.parametrize('place', ['q35', 'pc', pytest.param('q35-native', marks=pytest.mark.long)])
def test_linux(place):
    """Linux makes one card of the two, goes on without the primary, and takes it back."""
    model, addr, args = PLACES[place]
    with linux('standard', 'shell', *args, *pair(model, addr), board=place.split('-')[0], qmp=True) as m:
        assert not has_primary(m)       # the monitor listens before Linux is there
        sh = Shell(m)
        sh(f'load virtio_pci virtio_net {model} af_packet')
        assert m.qmp.event('FAILOVER_NEGOTIATED', 30)['data'] == {'device-id': 'standby'}
        sh(BOTH)
        assert has_primary(m)
        sh('set -- /sys/class/net/*/lower_*; one=${1%/*}; ip link set ${one##*/} up; ip addr add 10.0.2.15/24 dev'
           ' ${one##*/} 2>/dev/null; ping -c 3 10.0.2.2')
        m.qmp('device_del', id='primary')
        while m.qmp.event('DEVICE_DELETED', 60)['data'].get('device') != 'primary':
            pass
        sh('[ "$(ls -d /sys/class/net/*/lower_* | wc -l)" = 1 ] && ping -c 3 10.0.2.2')
        assert 'return' in add(m, primary(model, addr))
        # Until the primary's driver finds its link, 2 s after it is up, Linux passes nothing on from either card.
        sh(f'{BOTH} && ping -c 6 10.0.2.2')
        no_acpi_errors(m)


def test_not_accepted():
    """Without the driver the primary stays away; what cannot be a pair is refused."""
    with Machine('x86_64', '-M', 'q35', '-S', *PLACES['q35'][2], *pair('e1000e', '0'), qmp=True, serial=False) as m:
        assert not has_primary(m)
        for options, message in [
                ({'id': 'x', 'failover_pair_id': 'nobody'}, 'no virtio-net with that id and failover=on'),
                ({'failover_pair_id': 'standby'}, 'needs to have id'),
                ({'id': 'x', 'failover_pair_id': 'standby'}, "more than one primary device to 'standby': 'primary' and 'x'"),
        ]:
            assert message in add(m, {'driver': 'e1000e', 'bus': 'p', **options})['error']['desc']
