#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fail on an #include against the direction of the layers.

RULES is the plan of the house: what each folder may include beside itself. Conventions do not hold,
checks do. Two more rules follow from where a header lies: include/FOLDER/ is a promise to other
folders, while a header beside the sources belongs to its own directory, those below and those above
it, so that sibling directories (two guest CPUs, two kinds of chips) cannot grow together.
"""

import os
import re
import sys
from pathlib import Path

# folder: what its files may include. The longest matching prefix of a path decides.
RULES = {
    'util': [],
    'fp': ['util'],
    'qapi': ['util'],
    'ir': ['util'],
    'ir/interp': ['util', 'core', 'ir', 'fp'],
    'core': ['util', 'qapi', 'ir'],
    'crypto': ['util', 'core'],
    'block': ['util', 'qapi', 'core', 'crypto'],
    'net': ['util', 'qapi', 'core', 'chardev'],
    'chardev': ['util', 'qapi', 'core', 'crypto'],
    'audio': ['util', 'qapi', 'core'],
    'ui': ['util', 'qapi', 'core', 'crypto', 'chardev', 'audio'],
    'target': ['util', 'qapi', 'core', 'ir', 'fp'],
    'accel': ['util', 'qapi', 'core', 'ir', 'fp'],
    'accel/kvm': ['util', 'qapi', 'core', 'target'],
    'hw': ['util', 'qapi', 'core', 'block', 'net', 'chardev', 'ui', 'audio'],
    'machines': ['util', 'qapi', 'core', 'hw', 'target', 'block', 'net', 'chardev', 'ui', 'audio'],
    'migration': ['util', 'qapi', 'core'],
    'gdbstub': ['util', 'qapi', 'core', 'chardev'],
}
# control/ ties everything together, tests look everywhere.
FREE = ['control', 'tests']

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
SUFFIXES = ('.c', '.h', '.inc')


def folder_of(path):
    """The key of RULES that a source path (or an include/ path) falls under, or None."""
    parts = path.split('/')
    if parts[0] == 'include':
        parts = parts[1:]
    for length in range(len(parts) - 1, 0, -1):
        prefix = '/'.join(parts[:length])
        if prefix in RULES or prefix in FREE:
            return prefix
    return None


def related(one, other):
    """Whether one directory is the other, below it or above it."""
    return one == other or one.startswith(other + '/') or other.startswith(one + '/')


def fault(root, source, included):
    """Why the file `source` may not include `included`; None if it may."""
    own, directory = folder_of(source), str(Path(source).parent)
    if own in FREE or source.endswith('-test.c'):
        return None
    beside = Path(os.path.normpath(f'{directory}/{included}'))
    private = next((str(p) for p in (beside, Path(included))
                    if (root / p).is_file() and p.parts[0] != 'include'), None)
    if private and not (root / 'include' / included).is_file():
        home = str(Path(private).parent)
        if source.startswith('include/'):
            return f'{private} is private to {home}/; a public header cannot show it'
        if not related(home, directory):
            return f'{private} is private to {home}/; what others need goes to include/'
    theirs = folder_of(included) if '/' in included else own
    if theirs is None or theirs == own or theirs.split('/')[0] == own.split('/')[0]:
        return None
    if theirs not in RULES[own] and theirs.split('/')[0] not in RULES[own]:
        allowed = ', '.join(RULES[own]) or 'nothing of the project'
        return f'{own}/ may include {allowed}, not {theirs}/'
    return None


def check(root):
    """(faults as lines, number of files)"""
    faults, files = [], 0
    for top in sorted({key.split('/')[0] for key in RULES} | {'include'}):
        for path in sorted((root / top).rglob('*')):
            source = path.relative_to(root).as_posix()
            if path.suffix not in SUFFIXES or not path.is_file():
                continue
            if folder_of(source) is None:
                faults.append(f'{source}: no rule for its folder; add it to {Path(__file__).name}')
                continue
            files += 1
            for number, line in enumerate(path.read_text(errors='replace').splitlines(), 1):
                match = INCLUDE.match(line)
                why = match and fault(root, source, match.group(1))
                if why:
                    faults.append(f'{source}:{number}: {line.strip()}: {why}')
    return faults, files


def cycle():
    """A circle in RULES itself, as a list of folders; None if there is none."""
    done, trail = set(), []

    def visit(folder):
        if folder in trail:
            return trail[trail.index(folder):] + [folder]
        if folder in done:
            return None
        trail.append(folder)
        found = next(filter(None, map(visit, RULES.get(folder, []))), None)
        trail.pop()
        done.add(folder)
        return found

    return next(filter(None, map(visit, RULES)), None)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    circle = cycle()
    faults, files = check(root)
    print('1..2')
    print(f'{"not ok" if circle else "ok"} 1 - the rules have no circle')
    if circle:
        print('# ' + ' -> '.join(circle))
    print(f'{"not ok" if faults else "ok"} 2 - includes of {files} files follow the layers')
    for line in faults:
        print('# ' + line)
        print(line, file=sys.stderr)
    return 1 if faults or circle else 0


if __name__ == '__main__':
    sys.exit(main())
