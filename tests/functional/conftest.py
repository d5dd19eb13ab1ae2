# SPDX-License-Identifier: Apache-2.0
"""Markers: `long` tests run with CI_LONG=1 (scripts/test --long); everything else is quick.
Tests of what only Myna does (`myna`) are left out when another program stands in for it."""

import functools
import shutil

import pytest

import machine


def pytest_configure(config):
    config.addinivalue_line('markers', 'long: takes minutes; selected by scripts/test --long')
    config.addinivalue_line('markers', 'myna: what Myna does beyond the QEMU command line')


@functools.lru_cache(maxsize=None)
def myna_is_tested():
    command = machine.program('x86_64')
    if not shutil.which(command[0]):
        raise pytest.UsageError(f'{command[0]} is not there; run scripts/build, or set MYNA')
    return machine.is_myna()


def pytest_collection_modifyitems(config, items):
    if any(item.get_closest_marker('myna') for item in items) and not myna_is_tested():
        left_out = [item for item in items if item.get_closest_marker('myna')]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope='session')
def guests():
    """The folder of kernels and firmware."""
    return machine.GUESTS
