#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the schema in qapi/*.json into C: types, commands, events; and into a reference page.

usage: qapi-gen.py --out DIR FILE.json...

The language is described in qapi/README.md. Written to DIR: qapi-types-FILE.{h,c} for each file,
qapi-commands.{h,c}, qapi-events.{h,c}, qmp-reference.md.
"""
import argparse
import os
import re
import sys

KEYWORDS = set('''auto break case char const continue default do double else enum extern float for
goto if inline int long register restrict return short signed sizeof static struct switch typedef
union unsigned void volatile while asm typeof unix linux i386 errno stdin stdout stderr
bool true false'''.split())

# schema name -> (C type, prefix of its functions and descriptors, passed by value)
SCALARS = {'bool': 'bool', 'int': 'int64_t', 'number': 'double', 'size': 'uint64_t',
           'null': 'uint8_t'}
for bits in (8, 16, 32, 64):
    SCALARS[f'int{bits}'] = f'int{bits}_t'
    SCALARS[f'uint{bits}'] = f'uint{bits}_t'
BUILTINS = {**SCALARS, 'str': 'char *', 'any': 'Json *'}
BUILTIN_LISTS = {'str', 'any', 'bool', 'int', 'number', 'size',
                 'uint8', 'uint16', 'uint32', 'uint64'}


class SchemaError(Exception):
    pass


def snake(name):
    name = re.sub(r'([A-Z]+)([A-Z][a-z])', r'\1_\2', name)
    name = re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', name)
    return re.sub(r'[^a-z0-9]+', '_', name.lower())


def c_name(name):
    name = re.sub(r'[^A-Za-z0-9]', '_', name)
    return name + '_' if name in KEYWORDS else name


# ---------------------------------------------------------------------------- reading

TOKEN = re.compile(r"""\s+|\#[^\n]*|'(?P<str>[^'\\\n]*)'|(?P<punct>[][{}:,])|(?P<word>\w+)""")


class Parser:
    """Reads one schema file: comments, and literals of strings, words, lists and objects."""

    def __init__(self, path):
        self.path = path
        self.text = open(path, encoding='utf-8').read()
        self.pos = 0
        self.comment_end = 0

    def fail(self, message, pos=None):
        line = self.text.count('\n', 0, self.pos if pos is None else pos) + 1
        raise SchemaError(f'{self.path}:{line}: {message}')

    def token(self):
        while self.pos < len(self.text):
            m = TOKEN.match(self.text, self.pos)
            if not m:
                self.fail(f'unexpected character {self.text[self.pos]!r}')
            self.start, self.pos = self.pos, m.end()
            if m.lastgroup:
                return m.lastgroup, m.group(m.lastgroup)
        return None, None

    def value(self, kind, text):
        if kind == 'str':
            return text
        if kind == 'word' and text in ('true', 'false'):
            return text == 'true'
        if kind == 'word' and text.isdigit():
            return int(text)
        if text == '[':
            return self.items(']', lambda k, t: self.value(k, t))
        if text == '{':
            return dict(self.items('}', self.pair))
        return self.fail(f'unexpected {text!r}')

    def pair(self, kind, text):
        if kind != 'str' or self.token()[1] != ':':
            self.fail("expected 'name': value")
        return text, self.value(*self.token())

    def items(self, end, read):
        result = []
        kind, text = self.token()
        while text != end or kind != 'punct':
            result.append(read(kind, text))
            kind, text = self.token()
            if (kind, text) == ('punct', ','):
                kind, text = self.token()
            elif (kind, text) != ('punct', end):
                self.fail(f"expected ',' or {end!r}")
        return result

    def comment_before(self, pos):
        """The lines of the comment that ends right above `pos`."""
        lines = self.text[:pos].split('\n')[:-1]
        doc = []
        while lines and lines[-1].lstrip().startswith('#'):
            doc.insert(0, re.sub(r'^\s*#+ ?', '', lines.pop()))
        return doc

    def entries(self):
        while True:
            kind, text = self.token()
            if kind is None:
                return
            start = self.start
            if text != '{':
                self.fail('an entry begins with {')
            yield start, self.value(kind, text), self.comment_before(start)


class Doc:
    """An entry's comment: paragraphs, and texts of members after '@name:'."""

    def __init__(self, lines):
        self.text, self.members = [], {}
        into = self.text
        for line in lines:
            m = re.match(r'@([^:\s]+):\s*(.*)', line)
            if m:
                into = self.members[m.group(1)] = [m.group(2)]
            else:
                into.append(line.strip())

    def brief(self, name):
        return ' '.join(x for x in self.members.get(name, []) if x)


class Type:
    """A named type. kind: enum struct union alternate. members: list of Member."""

    def __init__(self, name, kind, module, doc):
        self.name, self.kind, self.module, self.doc = name, kind, module, doc
        self.prefix = snake(name)
        self.members, self.branches, self.values = [], [], []
        self.features, self.base, self.tag = [], None, None
        self.implicit = False


class Member:
    def __init__(self, name, type_, optional, features):
        self.name, self.type, self.optional, self.features = name, type_, optional, features
        self.c = c_name(name)


class Schema:
    def __init__(self):
        self.types, self.commands, self.events, self.modules = {}, [], [], []

    # Types are written as 'name' or ['name'].
    def ref(self, type_):
        name = type_[0] if isinstance(type_, list) else type_
        if name not in BUILTINS and name not in self.types:
            raise SchemaError(f"unknown type '{name}'")
        if isinstance(type_, list) and name in BUILTINS and name not in BUILTIN_LISTS:
            raise SchemaError(f"no list type for '{name}'")
        return type_

    def by_value(self, type_):
        return isinstance(type_, str) and (type_ in SCALARS or
                                           type_ in self.types and
                                           self.types[type_].kind == 'enum')

    def c_type(self, type_):
        if isinstance(type_, list):
            return self.list_name(type_) + ' *'
        if type_ in BUILTINS:
            return BUILTINS[type_]
        return type_ if self.types[type_].kind == 'enum' else type_ + ' *'

    def list_name(self, type_):
        name = type_[0]
        return (name[0].upper() + name[1:] if name in BUILTINS else name) + 'List'

    def descriptor(self, type_):
        if type_ is None:
            return 'NULL'
        if isinstance(type_, list):
            name = type_[0]
            return f'&{name if name in BUILTINS else self.types[name].prefix}_list_type'
        if type_ in BUILTINS:
            return f'&qapi_{type_}_type'
        return f'&{self.types[type_].prefix}_type'

    def module_of(self, type_):
        name = type_[0] if isinstance(type_, list) else type_
        return None if name in BUILTINS else self.types[name].module


def read_members(data):
    members = []
    for name, type_ in (data or {}).items():
        features = []
        if isinstance(type_, dict):
            features, type_ = type_.get('features', []), type_['type']
        members.append(Member(name.lstrip('*'), type_, name.startswith('*'), features))
    return members


KEYS = {
    'enum': {'data', 'features'},
    'struct': {'data', 'base', 'features'},
    'union': {'data', 'base', 'discriminator', 'features'},
    'alternate': {'data', 'features'},
    'command': {'data', 'returns', 'boxed', 'gen', 'session', 'allow-oob', 'allow-preconfig',
                'features'},
    'event': {'data', 'boxed', 'rate', 'rate-key', 'features'},
}


class Callable:
    """A command or an event."""

    def __init__(self, name, entry, module, doc):
        self.name, self.module, self.doc, self.entry = name, module, doc, entry
        self.c = c_name(name.lower()) if name.isupper() else c_name(name)
        self.boxed, self.raw = entry.get('boxed', False), entry.get('gen', True) is False
        self.session = entry.get('session', False)
        self.returns = entry.get('returns')
        self.features = entry.get('features', [])
        self.args = None


def add_entry(schema, parser, module, start, entry, comment):
    kind = next(iter(entry))
    if kind not in KEYS:
        parser.fail(f"an entry is one of {', '.join(KEYS)}", start)
    unknown = set(entry) - KEYS[kind] - {kind}
    if unknown:
        parser.fail(f'unknown key {sorted(unknown)[0]!r}', start)
    name = entry[kind]
    if not ''.join(comment).strip():
        parser.fail(f'{kind} {name} has no comment that documents it', start)
    doc = Doc(comment)
    if kind in ('command', 'event'):
        item = Callable(name, entry, module, doc)
        data = entry.get('data')
        if isinstance(data, dict):
            item.args = Type(f'q_obj_{name}_arg', 'struct', module, doc)
            item.args.implicit = True
            item.args.prefix = f'{item.c}_{kind}_arg'
            item.args.members = read_members(data)
            schema.types[item.args.name] = item.args
        elif data is not None:
            item.args = data        # resolved later
        (schema.commands if kind == 'command' else schema.events).append(item)
        return
    if name in schema.types:
        parser.fail(f"type '{name}' exists already", start)
    t = schema.types[name] = Type(name, kind, module, doc)
    t.features, t.base, t.tag = entry.get('features', []), entry.get('base'), \
        entry.get('discriminator')
    if kind == 'enum':
        for value in entry['data']:
            is_dict = isinstance(value, dict)
            t.values.append((value['name'], value.get('features', [])) if is_dict else (value, []))
    elif kind == 'struct':
        t.members = read_members(entry['data'])
    else:
        t.branches = [(m.name, m.type) for m in read_members(entry['data'])]


def resolve(schema):
    for t in list(schema.types.values()):
        base = t.base
        if base is not None:
            members = read_members(base) if isinstance(base, dict) else schema.types[base].members
            t.members = members + t.members
    for t in schema.types.values():
        for m in t.members:
            schema.ref(m.type)
        for _, type_ in t.branches:
            schema.ref(type_)
        names = [m.name for m in t.members]
        if len(set(names)) != len(names):
            raise SchemaError(f"{t.name} has a member twice")
        known = set(names) | {v for v, _ in t.values} | {b for b, _ in t.branches}
        for name in t.doc.members:
            if not t.implicit and name not in known:
                raise SchemaError(f"{t.name}: the comment explains '{name}', which does not exist")
        if t.kind == 'union':
            tag = next((m for m in t.members if m.name == t.tag), None)
            if tag is None or schema.types.get(tag.type) is None:
                raise SchemaError(f"{t.name}: the discriminator must be a member of enum type")
            values = [v for v, _ in schema.types[tag.type].values]
            for name, type_ in t.branches:
                if name not in values:
                    raise SchemaError(f"{t.name}: {name} is no value of {tag.type}")
                if schema.types[type_].kind not in ('struct', 'union'):
                    raise SchemaError(f"{t.name}: branch {name} must be a struct")
    for item in schema.commands + schema.events:
        if isinstance(item.args, str):
            if not item.boxed and not item.raw:
                raise SchemaError(f"{item.name}: named data needs 'boxed' or 'gen': false")
            schema.ref(item.args)
            item.args = schema.types[item.args]
        if item.returns is not None:
            schema.ref(item.returns)
    schema.commands.sort(key=lambda c: c.name)
    schema.events.sort(key=lambda e: e.name)


def read_schema(paths):
    schema = Schema()
    for path in paths:
        module = os.path.splitext(os.path.basename(path))[0]
        schema.modules.append(module)
        parser = Parser(path)
        for start, entry, comment in parser.entries():
            add_entry(schema, parser, module, start, entry, comment)
    resolve(schema)
    return schema


# ---------------------------------------------------------------------------- writing C

HEAD = '/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by qapi-gen.py from qapi/{}; do not edit. */\n'


def declare(c_type, name):
    return f'{c_type}{name}' if c_type.endswith('*') else f'{c_type} {name}'


def struct_fields(schema, members):
    for m in members:
        if m.optional and schema.by_value(m.type):
            yield f'    bool has_{m.c};'
        yield f'    {declare(schema.c_type(m.type), m.c)};'


def parameters(schema, members, const=True):
    """The C parameters for members, and the names they have."""
    result = []
    for m in members:
        if m.optional and schema.by_value(m.type):
            result.append(('bool', f'has_{m.c}'))
        c = schema.c_type(m.type)
        result.append(('const char *' if c == 'char *' else c, m.c))
    return result


def enum_text(t):
    upper = t.prefix.upper()
    lines = [f'typedef enum {t.name} {{']
    for value, _ in t.values:
        lines.append(f'    {upper}_{re.sub("[^A-Za-z0-9]", "_", value).upper()},')
    lines += [f'    {upper}__COUNT', f'}} {t.name};', f'QAPI_ENUM_API({t.name}, {t.prefix})',
              f'QAPI_LIST_API({t.name}List, {t.prefix}_list, {t.name})', '']
    return lines


def new_function(schema, t):
    """x_new() with the required members as arguments, for small structs."""
    required = [m for m in t.members if not m.optional]
    if t.kind != 'struct' or not 1 <= len(required) <= 4:
        return []
    args = ', '.join(declare(c, n) for c, n in parameters(schema, required))
    lines = [f'/* Strings are copied, other pointers taken over. */',
             f'static inline {t.name} *{t.prefix}_new({args})', '{',
             f'    {t.name} *new_ = g_new0({t.name}, 1);']
    for m in required:
        copied = f'g_strdup({m.c})' if m.type == 'str' else m.c
        lines.append(f'    new_->{m.c} = {copied};')
    return lines + ['    return new_;', '}']


def object_text(schema, t):
    lines = [f'/* {t.doc.text[0]} */'] if t.doc.text and not t.implicit else []
    lines.append(f'struct {t.name} {{')
    if t.kind == 'alternate':
        lines.append('    enum {')
        for name, _ in t.branches:
            lines.append(f'        {t.prefix.upper()}_{c_name(name).upper()},')
        lines.append('    } kind;')
    lines += struct_fields(schema, t.members)
    if t.branches:
        lines.append('    union {')
        lines += [f'        {declare(schema.c_type(type_), c_name(n))};' for n, type_ in t.branches]
        lines.append('    } u;')
    if not t.members and not t.branches:
        lines.append('    char nothing;')
    lines.append('};')
    lines.append(f'QAPI_POINTER_API({t.name}, {t.prefix})')
    lines += new_function(schema, t)
    return lines + ['']


def types_header(schema, module):
    mine = [t for t in schema.types.values() if t.module == module and not t.implicit]
    used = set()
    for t in mine:
        for type_ in [m.type for m in t.members] + [b for _, b in t.branches]:
            used.add(schema.module_of(type_))
    guard = f'QAPI_TYPES_{snake(module).upper()}_H'
    lines = [HEAD.format(module + '.json') + f'#ifndef {guard}', f'#define {guard}', '',
             '#include "qapi/type.h"']
    lines += [f'#include "qapi/qapi-types-{m}.h"' for m in sorted(used - {None, module})]
    lines.append('')
    enums = [t for t in mine if t.kind == 'enum']
    objects = [t for t in mine if t.kind != 'enum']
    for t in enums:
        lines += enum_text(t)
    lines += [f'typedef struct {t.name} {t.name};' for t in objects]
    lines += [f'QAPI_LIST_API({t.name}List, {t.prefix}_list, {t.name} *)' for t in objects]
    lines.append('')
    for t in objects:
        lines += object_text(schema, t)
    return lines + ['#endif']


def features_text(features):
    if not features:
        return 'NULL'
    names = ', '.join(f'"{f}"' for f in features)
    return f'(const char *const[]){{ {names}, NULL }}'


def member_rows(schema, t, c_struct):
    for m in t.members:
        has = f'offsetof({c_struct}, has_{m.c})' \
            if m.optional and schema.by_value(m.type) else '-1'
        yield (f'    {{ "{m.name}", {schema.descriptor(m.type)}, offsetof({c_struct}, {m.c}), '
               f'{has}, {str(m.optional).lower()}, {features_text(m.features)} }},')


def branch_rows(schema, t):
    for i, (name, type_) in enumerate(t.branches):
        value = i
        if t.kind == 'union':
            tag = next(m for m in t.members if m.name == t.tag)
            value = [v for v, _ in schema.types[tag.type].values].index(name)
        yield f'    {{ "{name}", {value}, {schema.descriptor(type_)} }},'


def descriptor_text(schema, t, c_struct, static=''):
    p = t.prefix
    lines, fields = [], [f'.name = "{t.name}"', '.tag = -1']
    if t.kind == 'enum':
        lines += [f'static const char *const {p}_values[] = {{']
        lines += [f'    "{v}",' for v, _ in t.values] + ['    NULL', '};']
        fields += ['.kind = QAPI_ENUM', f'.size = sizeof({t.name})', f'.values = {p}_values']
    else:
        kind = 'QAPI_ALTERNATE' if t.kind == 'alternate' else 'QAPI_STRUCT'
        fields += [f'.kind = {kind}', f'.size = sizeof({c_struct})']
        if t.kind != 'alternate':
            lines += [f'static const QapiMember {p}_members[] = {{']
            lines += list(member_rows(schema, t, c_struct)) + ['    { NULL }', '};']
            fields.append(f'.members = {p}_members')
        if t.branches:
            lines += [f'static const QapiBranch {p}_branches[] = {{']
            lines += list(branch_rows(schema, t)) + ['    { NULL }', '};']
            fields += [f'.branches = {p}_branches', f'.u = offsetof({c_struct}, u)']
        if t.tag:
            index = [m.name for m in t.members].index(t.tag)
            fields[1] = f'.tag = {index}'
    if t.features:
        fields.append(f'.features = {features_text(t.features)}')
    lines.append(f'{static}const QapiType {p}_type = {{')
    lines += [f'    {f},' for f in fields] + ['};']
    return lines


def types_source(schema, module):
    lines = [HEAD.format(module + '.json') + f'#include "qapi/qapi-types-{module}.h"', '']
    for t in schema.types.values():
        if t.module != module or t.implicit:
            continue
        lines += descriptor_text(schema, t, t.name)
        lines += [f'const QapiType {t.prefix}_list_type = {{',
                  f'    .name = "{t.name}List", .tag = -1, .kind = QAPI_LIST,',
                  f'    .size = sizeof(QapiList), .element = &{t.prefix}_type,', '};', '']
    return lines


def args_of(schema, item):
    """C parameters that carry an item's arguments."""
    if item.args is None and not item.raw:
        return []
    if item.raw:
        return [('Json *', 'arguments')]
    if item.boxed:
        return [(item.args.name + ' *', 'arguments')]
    return parameters(schema, item.args.members)


def prototype(schema, c):
    params = ['Vm *vm'] + (['QapiSession *session'] if c.session else [])
    params += [declare(t, n) for t, n in args_of(schema, c)]
    result = 'bool '
    if c.raw and c.returns is not None:
        result = 'Json *'
    elif c.returns is not None:
        if schema.by_value(c.returns):
            params.append(f'{schema.c_type(c.returns)} *result')
        else:
            result = schema.c_type(c.returns)
    return f'{result}qmp_{c.c}({", ".join(params + ["GError **error"])})'


def used_modules(schema, items):
    result = set()
    for item in items:
        types = [m.type for m in item.args.members] if item.args and item.args.implicit else []
        if item.args and not item.args.implicit:
            types.append(item.args.name)
        if getattr(item, 'returns', None) is not None:
            types.append(item.returns)
        result |= {schema.module_of(t) for t in types}
    return sorted(result - {None})


def c_comment(doc, members):
    lines = [x for x in ' '.join(doc.text).split(' ') if x]
    text, line = [], '/*'
    for word in lines:
        if len(line) + 1 + len(word) > 96:
            text.append(line)
            line = ' *'
        line += ' ' + word
    return text + [line + ' */']


def commands_header(schema):
    lines = [HEAD.format('') + '#ifndef QAPI_COMMANDS_H', '#define QAPI_COMMANDS_H', '',
             '/* One function per command of the schema, to be defined where the work is done.',
             ' * Arguments are borrowed; results belong to the caller; on failure false or NULL and an',
             ' * error. A NULL list without an error is an empty list. All run on the control thread,',
             ' * except where the comment says out of band. */',
             '#include "qapi/command.h"']
    lines += [f'#include "qapi/qapi-types-{m}.h"' for m in used_modules(schema, schema.commands)]
    lines.append('')
    for c in schema.commands:
        lines += c_comment(c.doc, None)
        if c.entry.get('allow-oob'):
            lines.append('/* May run out of band, on the monitor\'s own thread. */')
        lines += [prototype(schema, c) + ' G_GNUC_WARN_UNUSED_RESULT;', '']
    return lines + ['#endif']


def call_function(schema, c):
    struct = f'struct {c.args.prefix}' if c.args and c.args.implicit else None
    lines = [f'static bool call_{c.c}(Vm *vm, QapiSession *session, void *args, Json **result,',
             '    GError **error)', '{']
    values = ['vm'] + (['session'] if c.session else [])
    if c.raw or (c.boxed and c.args):
        values.append('args')
    elif c.args is not None:
        lines.append(f'    {struct} *a = args;')
        values += [f'a->{n}' for _, n in args_of(schema, c)]
    if c.returns is None:
        return lines + [f'    return qmp_{c.c}({", ".join(values)}, error);', '}', '']
    if c.raw:
        return lines + [f'    *result = qmp_{c.c}({", ".join(values)}, error);',
                        '    return *result != NULL;', '}', '']
    if schema.by_value(c.returns):
        return lines + [f'    {schema.c_type(c.returns)} value;',
                        f'    if (!qmp_{c.c}({", ".join(values)}, &value, error)) {{',
                        '        return false;', '    }',
                        f'    *result = qapi_to_json({schema.descriptor(c.returns)}, &value);',
                        '    return true;', '}', '']
    auto = {'str': 'g_autofree char *', 'any': 'g_autoptr(Json) '}.get(
        c.returns if isinstance(c.returns, str) else '') or \
        f'g_autoptr({schema.c_type(c.returns)[:-2]}) '
    by_address = c.returns in ('str', 'any')
    return lines + ['    GError *failure = NULL;',
                    f'    {auto}value = qmp_{c.c}({", ".join(values)}, &failure);',
                    f'    return qapi_result({schema.descriptor(c.returns)}, '
                    f'{"&value" if by_address else "value"}, failure, result, error);', '}', '']


def args_struct(schema, item):
    """The private struct of an item's own arguments, with its descriptor."""
    t = item.args
    lines = [f'struct {t.prefix} {{'] + list(struct_fields(schema, t.members))
    if not t.members:
        lines.append('    char nothing;')
    return lines + ['};'] + descriptor_text(schema, t, f'struct {t.prefix}', 'static ') + ['']


def args_descriptor(item):
    if item.args is None:
        return 'NULL'
    return f'&{item.args.prefix}_type'


def commands_source(schema):
    lines = [HEAD.format('') + '#include "qapi/qapi-commands.h"', '']
    for c in schema.commands:
        if c.args is not None and c.args.implicit:
            lines += args_struct(schema, c)
        lines += call_function(schema, c)
    lines += ['/* Sorted by name. */', 'const QapiCommand qapi_commands[] = {']
    for c in schema.commands:
        flags = [f for f, on in (('QAPI_OOB', c.entry.get('allow-oob')),
                                 ('QAPI_PRECONFIG', c.entry.get('allow-preconfig')),
                                 ('QAPI_RAW', c.raw)) if on]
        lines.append(f'    {{ "{c.name}", {args_descriptor(c)}, {schema.descriptor(c.returns)}, '
                     f'{" | ".join(flags) or "0"}, {features_text(c.features)}, call_{c.c} }},')
    return lines + ['    { NULL }', '};', f'const size_t qapi_commands_count = '
                    f'{len(schema.commands)};']


def event_prototype(schema, e):
    params = ['Vm *vm'] + [declare(t, n) for t, n in args_of(schema, e)]
    return f'void qapi_event_{e.c}({", ".join(params)})'


def events_header(schema):
    lines = [HEAD.format('') + '#ifndef QAPI_EVENTS_H', '#define QAPI_EVENTS_H', '',
             '/* One function per event. Arguments are borrowed. Any thread. */',
             '#include "qapi/event.h"']
    lines += [f'#include "qapi/qapi-types-{m}.h"' for m in used_modules(schema, schema.events)]
    lines.append('')
    for e in schema.events:
        lines += c_comment(e.doc, None) + [event_prototype(schema, e) + ';', '']
    return lines + ['#endif']


def events_source(schema):
    lines = [HEAD.format('') + '#include "qapi/qapi-events.h"', '']
    for e in schema.events:
        if e.args is not None and e.args.implicit:
            lines += args_struct(schema, e)
    lines += ['/* Sorted by name. */', 'const QapiEvent qapi_events[] = {']
    for e in schema.events:
        key = e.entry.get('rate-key')
        key = f'"{key}"' if key else 'NULL'
        lines.append(f'    {{ "{e.name}", {args_descriptor(e)}, {e.entry.get("rate", 0)}, {key}, '
                     f'{features_text(e.features)} }},')
    lines += ['    { NULL }', '};', f'const size_t qapi_events_count = {len(schema.events)};', '']
    for i, e in enumerate(schema.events):
        lines += [event_prototype(schema, e), '{']
        if e.args is None:
            data = 'NULL'
        elif not e.args.implicit:
            data = 'arguments'
        else:
            data = '&args'
            lines.append(f'    struct {e.args.prefix} args = {{')
            for c, n in args_of(schema, e):
                lines.append(f'        .{n} = {"(char *)" if c == "const char *" else ""}{n},')
            lines.append('    };')
        lines += [f'    qapi_event_emit(vm, &qapi_events[{i}], {data});', '}', '']
    return lines


# ---------------------------------------------------------------------------- writing the page

def type_doc(type_):
    return f'[{type_[0]}]' if isinstance(type_, list) else str(type_)


def members_doc(schema, t, doc):
    if not t.members:
        return []
    lines = ['', '| member | type | meaning |', '|---|---|---|']
    for m in t.members:
        optional = ' (optional)' if m.optional else ''
        features = ''.join(f' *{f}*' for f in m.features)
        lines.append(f'| `{m.name}`{optional} | {type_doc(m.type)} | {doc.brief(m.name)}{features} |')
    return lines


def reference(schema):
    lines = ['# QMP reference', '', 'Made from the schema in `qapi/`. Commands, events, then types.',
             '', '## Commands']
    for c in schema.commands:
        lines += ['', f'### {c.name}', ''] + c.doc.text
        if c.features:
            lines.append('Features: ' + ', '.join(c.features) + '.')
        if c.entry.get('allow-oob'):
            lines.append('May be executed out of band.')
        if c.args is not None and c.args.implicit:
            lines += members_doc(schema, c.args, c.doc)
        elif c.args is not None:
            lines += ['', f'Arguments: {c.args.name}.']
        lines += ['', f'Returns: {type_doc(c.returns) if c.returns else "nothing"}.']
    lines += ['', '## Events']
    for e in schema.events:
        lines += ['', f'### {e.name}', ''] + e.doc.text
        if e.args is not None:
            lines += members_doc(schema, e.args, e.doc)
        if e.entry.get('rate'):
            lines += ['', f'At most one in {e.entry["rate"]} ms; the last one of them counts.']
    lines += ['', '## Types']
    for t in sorted(schema.types.values(), key=lambda t: t.name):
        if t.implicit:
            continue
        lines += ['', f'### {t.name}', '', f'({t.kind})'] + t.doc.text
        lines += members_doc(schema, t, t.doc)
        if t.values:
            lines.append('')
            for v, features in t.values:
                text = t.doc.brief(v)
                lines.append(f'- `{v}`{": " + text if text else ""}')
        if t.branches:
            lines += ['', '| branch | type |', '|---|---|']
            lines += [f'| `{n}` | {type_doc(x)} |' for n, x in t.branches]
    return lines


def write(folder, name, lines):
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as out:
        out.write('\n'.join(lines) + '\n')


def main():
    args = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    args.add_argument('--out', required=True)
    args.add_argument('files', nargs='+')
    args = args.parse_args()
    try:
        schema = read_schema(args.files)
    except SchemaError as e:
        sys.exit(f'qapi-gen.py: {e}')
    for module in schema.modules:
        write(args.out, f'qapi-types-{module}.h', types_header(schema, module))
        write(args.out, f'qapi-types-{module}.c', types_source(schema, module))
    write(args.out, 'qapi-commands.h', commands_header(schema))
    write(args.out, 'qapi-commands.c', commands_source(schema))
    write(args.out, 'qapi-events.h', events_header(schema))
    write(args.out, 'qapi-events.c', events_source(schema))
    write(args.out, 'qmp-reference.md', reference(schema))


if __name__ == '__main__':
    main()
