# SPDX-License-Identifier: Apache-2.0
"""Marks and helpers are those of the functional tests."""

import sys
from pathlib import Path

FUNCTIONAL = Path(__file__).resolve().parents[1] / 'functional'
sys.path.insert(0, str(FUNCTIONAL))


def pytest_configure(config):
    config.addinivalue_line('markers', 'long: takes minutes or downloads; selected by scripts/test --long')
    config.addinivalue_line('markers', 'myna: what Myna does beyond the QEMU command line')
