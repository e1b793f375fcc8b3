#!/usr/bin/env python3
"""abidiff.py IGNORE OLD_INCLUDE NEW_INCLUDE OLD NEW: how the interface of NEW
differs from that of OLD, with the headers that are installed with each.

OLD is one of our libraries, or a folder with all of them; NEW likewise.  The
status is 0 without a difference, else that of abidiff(1).

abidiff tells what has changed, but for members at the end of the structs that
IGNORE names, which may get some.  Of such a struct, abidiff 2.2 is silent about
other members, too, whose type or place alone has changed.  So their members are
compared here: those of OLD are the first ones of NEW.
"""
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

LIBRARIES = ['libmailmill.so.0', 'libmailmill-tls.so.0']
CHANGED, INCOMPATIBLE = 4, 8            # of abidiff's status


class Types:
    """The types of a library, as words."""

    def __init__(self, library):
        p = subprocess.run(['abidw', '--no-show-locs', library],
                           stdout=subprocess.PIPE, check=True)
        root = ET.fromstring(p.stdout)
        self.by_id = {}
        self.structs = {}
        for e in root.iter():
            if 'id' in e.attrib:
                self.by_id[e.get('id')] = e
            if e.tag == 'class-decl' and e.get('is-declaration-only') != 'yes':
                self.structs[e.get('name')] = e

    def words(self, type_id):
        e = self.by_id.get(type_id)
        if e is None:
            return 'void'
        of = e.get('type-id')
        if e.tag == 'pointer-type-def':
            return self.words(of) + '*'
        if e.tag == 'qualified-type-def':
            said = [q for q in ('const', 'volatile', 'restrict') if e.get(q)]
            return ' '.join([self.words(of)] + said)
        if e.tag == 'typedef-decl':
            return f'{e.get("name")} = {self.words(of)}'
        if e.tag == 'array-type-def':
            return f'{self.words(of)}[{e.get("size-in-bits")} bits]'
        if e.tag == 'function-type':
            args = [self.words(a.get('type-id')) if a.get('type-id') else '...'
                    for a in e.iter('parameter')]
            result = e.find('return')
            return f'{self.words(result.get("type-id"))}({", ".join(args)})'
        if e.get('is-anonymous') == 'yes' and e.tag in ('class-decl',
                                                         'union-decl'):
            return '{ ' + '; '.join(self.members(e)) + ' }'
        if e.get('is-anonymous') == 'yes':
            return f'{e.tag} of {e.get("size-in-bits", "some")} bits'
        return e.get('name')

    def members(self, struct):
        return [f'{v.get("name")}: {self.words(v.get("type-id"))} at bit '
                f'{m.get("layout-offset-in-bits", "0")}'
                for m in struct.findall('data-member')
                for v in m.findall('var-decl')]


def names(ignore):
    with open(ignore, encoding='ascii') as f:
        found = re.findall(r'^name_regexp = \^\((.*)\)\$$', f.read(), re.M)
    return [n for line in found for n in line.split('|')]


def differences(ignore, old, new):
    """In the structs that may get members at their end."""
    before, after = Types(old), Types(new)
    for name in names(ignore):
        if name not in before.structs:
            continue
        if name not in after.structs:
            yield f'{name}: there is no such struct any more'
            continue
        were = before.members(before.structs[name])
        are = after.members(after.structs[name])
        for i, was in enumerate(were):
            now = are[i] if i < len(are) else 'nothing'
            if now != was:
                yield f'struct {name}: "{was}" is now "{now}"'


def compare(ignore, include, old, new):
    status = subprocess.run([
        'abidiff', '--drop-private-types', '--suppressions', ignore,
        '--headers-dir1', include[0], '--headers-dir2', include[1], old,
        new]).returncode
    for line in differences(ignore, old, new):
        print(f'{os.path.basename(old)}: {line}')
        status |= CHANGED | INCOMPATIBLE
    return status


def main():
    if len(sys.argv) != 6:
        sys.exit('usage: abidiff.py IGNORE OLD_INCLUDE NEW_INCLUDE OLD NEW')
    ignore, *include, old, new = sys.argv[1:]
    which = LIBRARIES if os.path.isdir(old) else [os.path.basename(old)]
    status = 0
    for library in which:
        pair = [f'{at}/{library}' if os.path.isdir(at) else at
                for at in (old, new)]
        for path in pair:
            if not os.path.isfile(path):
                sys.exit(f'abidiff.py: {path}: there is no such library')
        status |= compare(ignore, include, *pair)
    return status


if __name__ == '__main__':
    sys.exit(main())
