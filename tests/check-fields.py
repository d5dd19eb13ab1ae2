#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every member of a device's struct has a row, and thereby a role.

Reads the C sources: for each struct that rows (IN, IN_ARRAY, PROP, SAVED, LINK, IRQ, TIMER, BUFFER, BYTES, HOST)
speak of, lists the members of its definition and reports those without a row. A member that is
forgotten would be lost in migration and reset, and no run-time test can be sure to see it.

Every property has a reader: one that only its row mentions would be accepted and do nothing.
"""

import re
import sys
from pathlib import Path

FOLDERS = ['core', 'hw', 'target', 'machines', 'net', 'chardev', 'block']
ROW = re.compile(r'(?:\b(?:IN|IN_ARRAY|PROP|SAVED|LINK|IRQ|TIMER|BUFFER|BYTES|HOST|\w+_PROPS)|\.offset = offsetof)\(\s*(\w+)\s*,\s*(\w+)')
STRUCT = re.compile(r'^(?:typedef\s+)?struct\s*(\w*)\s*\{', re.M)
PROPERTY = re.compile(r'\bPROP\(\s*(\w+)\s*,\s*([\w.]+)')
# Read by the property's name (core/device/boot.c); for the migration that is to come.
READ_ELSEWHERE = {'bootindex', 'master'}
# Bases, whose members are the framework's own; machines are not moved as structs either.
FRAMEWORK = {'Object', 'Device', 'Bus', 'Machine', 'Accel'}


def strip(text):
    text = re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)
    return re.sub(r'//[^\n]*', ' ', text)


def definitions(text):
    """Name and body of each struct at the outer level."""
    for start in STRUCT.finditer(text):
        depth, at = 1, start.end()
        while depth and at < len(text):
            depth += {'{': 1, '}': -1}.get(text[at], 0)
            at += 1
        after = re.match(r'\s*(\w*)', text[at:])
        yield after.group(1) or start.group(1), text[start.end():at - 1]


def members(body):
    """Names of the members of a struct's body, without those of nested structs."""
    while True:
        inner = re.sub(r'\b(struct|union|enum)\s*\w*\s*\{[^{}]*\}', 'int', body)
        if inner == body:
            break
        body = inner
    for line in body.split(';'):
        line = ' '.join(line.split())
        if not line or line.startswith('#') or line.startswith('_Static_assert'):
            continue
        pointer = re.search(r'\(\s*\*\s*(\w+)\s*(?:\[[^]]*\])?\)\s*\(', line)
        if pointer:
            yield pointer.group(1)
            continue
        for i, part in enumerate(re.sub(r'\([^()]*\)', '', line).split(',')):
            name = re.search(r'(\w+)\s*(?:\[[^]]*\]\s*)*(?::\s*\w+)?$', part.strip())
            if name and (i or len(part.split()) > 1 or '*' in part):
                yield name.group(1)


def unread(texts):
    """Properties whose member no code mentions: (struct, member, path)."""
    everything = '\n'.join(texts.values())
    for path, text in texts.items():
        for struct, member in PROPERTY.findall(text):
            last = member.split('.')[-1]
            if last not in READ_ELSEWHERE and not re.search(r'(?:->|\.)' + last + r'\b', everything):
                yield struct, member, path


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    sources = [p for f in FOLDERS + ['include'] for p in sorted((root / f).rglob('*.[ch]'))]
    rows, structs, texts, failed = {}, {}, {}, 0
    for path in sources:
        if path.name.endswith('-test.c'):
            continue
        text = texts[path] = strip(path.read_text(encoding='utf-8'))
        for struct, member in ROW.findall(text):
            rows.setdefault(struct, {}).setdefault(member, path)
        for name, body in definitions(text):
            structs[name] = (path, body)
    rows = {s: m for s, m in rows.items() if s in structs and s not in FRAMEWORK
            and not re.match(r'\s*Machine\b', structs[s][1])}
    for path in sorted((root / 'accel').rglob('*.[ch]')):       # properties, but no state to move
        texts[path] = strip(path.read_text(encoding='utf-8'))
    idle = list(unread(texts))
    print(f'1..{max(len(rows), 1) + 1}')
    for n, (struct, with_row) in enumerate(sorted(rows.items()), 1):
        path, body = structs[struct]
        names = list(members(body))
        # The first member is the base, which has a table of its own.
        missing = [m for m in names[1:] if m not in with_row]
        where = path.relative_to(root)
        if missing:
            failed += 1
            print(f'not ok {n} - {struct} ({where}): no row for {", ".join(missing)}')
        else:
            print(f'ok {n} - {struct}')
    for struct, member, path in idle:
        failed += 1
        print(f'# {struct}.{member} ({path.relative_to(root)}): a property that nothing reads')
    print(f'{"not ok" if idle else "ok"} {max(len(rows), 1) + 1} - properties are read')
    if not rows:
        print('ok 1 - no device yet')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
