#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Build Myna, run the unit tests and the functional tests, and count them in the last line."""

import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent


def heading(text):
    print(f'\n== {text}', flush=True)


def run(*argv, **kw):
    return subprocess.run([str(word) for word in argv], cwd=SOURCE, stdin=subprocess.DEVNULL, **kw)


def count(report):
    """(passed, [names of failed]) of a JUnit report; what was skipped counts as neither."""
    passed, failed = 0, []
    for case in ElementTree.parse(report).iter('testcase'):
        if case.find('failure') is not None or case.find('error') is not None:
            failed.append(f'{case.get("classname") or ""} {case.get("name")}'.strip())
        elif case.find('skipped') is None:
            passed += 1
    return passed, failed


class Total:
    def __init__(self):
        self.passed, self.failed = 0, []

    def step(self, name, ok):
        """A command that must succeed for the tests to run; it is no test and does not count."""
        if not ok:
            self.failed.append(name)
        return ok

    def report(self, name, path, status):
        """The tests of a JUnit report; a runner that failed without a failed test counts too."""
        passed, failed = count(path) if path.exists() else (0, [])
        if status != 0 and not failed:
            failed = [f'{name} (ended with status {status})']
        self.passed += passed
        self.failed += failed


def unit_tests(total, build, env=None, slower=1):
    """meson's unit suite of a build folder."""
    report = SOURCE / build / 'meson-logs' / 'testlog.junit.xml'
    report.unlink(missing_ok=True)
    status = run('meson', 'test', '-C', build, '--no-rebuild', '--suite', 'unit',
                 '--print-errorlogs', '--timeout-multiplier', slower,
                 '--num-processes', max(2, os.cpu_count() or 2),
                 env={**os.environ, **(env or {})}).returncode
    total.report(f'unit tests of {build}', report, status)


def functional_tests(total, build, args, name='functional', env=None, extra=(),
                     files='tests/functional'):
    report = SOURCE / build / f'{name}.junit.xml'
    report.unlink(missing_ok=True)
    argv = ['/usr/bin/python3', '-m', 'pytest', files, '-v', '--tb=short',
            '-p', 'no:cacheprovider', f'--junitxml={report}', *extra]
    if args.keyword:
        argv += ['-k', args.keyword]
    environment = {'MYNA': str(SOURCE / build / 'myna'), **os.environ, **(env or {})}
    status = run(*argv, env=environment).returncode
    total.report(f'{name} tests', report, 0 if status == 5 else status)


def build_in(total, build, *options):
    if options and not (SOURCE / build / 'build.ninja').exists():
        total.step(f'configure {build}', run('meson', 'setup', build, *options).returncode == 0)
    return total.step(f'build {build}', run('scripts/build', build).returncode == 0)


def fetch_guests(total):
    heading('guests')
    # One by one: a guest that cannot be had fails its own tests, not those of the others.
    for guest in ('cloud', 'standard', 'i386', 'riscv64'):
        total.step(f'fetch {guest}', run('scripts/fetch-guests', guest).returncode == 0)


def slim_build(total, args):
    """A microvm for x86-64 and nothing else builds and boots."""
    heading('a slim build: x86-64 microvm')
    build = 'build-slim'
    if build_in(total, build, '-Dtargets=x86_64', '-Dmachines=microvm',
                '-Ddevices=virtio-blk,virtio-net,virtio-rng', '--buildtype=debugoptimized'):
        functional_tests(total, build, args, 'slim',
                         extra=('-k', '(test_boot and cloud-2) or test_shell_is_interactive'))


def sanitizers(total, args):
    """Everything but the long tests with AddressSanitizer and UBSan; threads with ThreadSanitizer."""
    heading('AddressSanitizer, UBSan: unit tests and quick functional tests')
    build = 'build-sanitizers'
    slow = {'MYNA': str(SOURCE / build / 'myna'), 'MYNA_PATIENCE': '6',
            'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1'}
    if build_in(total, build, '-Db_sanitize=address,undefined', '--buildtype=debugoptimized'):
        unit_tests(total, build, slow, 4)
        functional_tests(total, build, args, 'sanitizers', slow, ['-m', 'not long'])
    heading('ThreadSanitizer: unit tests, a guest with all kinds of threads')
    build = 'build-threads'
    slow = {'MYNA': str(SOURCE / build / 'myna'), 'MYNA_PATIENCE': '20',
            'TSAN_OPTIONS': f'suppressions={SOURCE}/tests/tsan.supp:history_size=4'}
    if build_in(total, build, '-Db_sanitize=thread', '--buildtype=debugoptimized'):
        unit_tests(total, build, slow, 10)
        functional_tests(total, build, args, 'threads', slow,
                         files='tests/functional/test_threads.py')


def long_matrix(total, args):
    slim_build(total, args)
    heading('fuzzers')
    total.step('fuzzers', run('scripts/fuzz', '-s', '60').returncode == 0)
    sanitizers(total, args)


def summary(total, start):
    print()
    for name in total.failed:
        print(f'FAILED {name}')
    print(f'{time.monotonic() - start:.0f} s, logs in build/meson-logs and build/*.junit.xml')
    print(f'{total.passed} passed, {len(total.failed)} failed', flush=True)
    return 1 if total.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--long', action='store_true', help='the long matrix, too (hours)')
    parser.add_argument('--unit', action='store_true', help='only the unit tests')
    parser.add_argument('--sanitize', action='store_true',
                        help='instead: all but the long tests in builds with sanitizers')
    parser.add_argument('-k', dest='keyword', help='functional tests whose name matches')
    args = parser.parse_args()
    start, total = time.monotonic(), Total()

    if args.sanitize:
        fetch_guests(total)
        sanitizers(total, args)
        return summary(total, start)
    heading('build')
    if build_in(total, 'build'):
        heading('unit tests')
        unit_tests(total, 'build')
        if args.long:
            heading('packages for disk images')
            total.step('install packages', run('scripts/install-packages', 'disk').returncode == 0)
        if not args.unit and total.step('the program was built', (SOURCE / 'build/myna').exists()):
            fetch_guests(total)
            heading('functional tests')
            quick = () if args.long else ('-m', 'not long')
            functional_tests(total, 'build', args, extra=quick)
            heading('clients')
            functional_tests(total, 'build', args, 'clients', extra=quick, files='tests/clients')
        if args.long:
            long_matrix(total, args)
    return summary(total, start)


if __name__ == '__main__':
    sys.exit(main())
