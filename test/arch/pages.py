"""What the tables and files of the tree have, and pages for people list: is
each there?"""
import glob
import os
import re

from tree import PARTS, sources, text

SETTINGS = 'man/mailmill.conf.5'


def item(page, name):
    """What the manual says of one setting."""
    m = re.search(rf'^\.It Ic {name}\n(.*?)^\.It Ic ', page, re.M | re.S)
    return m[1] if m else ''


def names_words(where, s, names):
    if len(names) < 5:
        yield f'{len(names)} names found for {where}'
    for n in names:
        if not re.search(rf'(?<![\w-]){n}(?![\w-])', s):
            yield f'{where}: does not name {n}'


def extensions_are_in_the_manuals(root, objects):
    """The keyword of each file of proto/ext."""
    names = [k for p in sources(root, 'proto/ext')
             for k in re.findall(r'^\t\.keyword = "([^"]+)"', text(p), re.M)]
    rows = re.findall(r'^ESMTP_EXT\(', text(
        f'{root}/proto/server/esmtp_ext.def'), re.M)
    if len(names) != len(rows):
        yield f'proto/ext: {len(names)} keywords, {len(rows)} rows'
    yield from names_words(f'{SETTINGS}: SMTP_Extensions', item(
        text(f'{root}/{SETTINGS}'), 'SMTP_Extensions'), names)
    page = 'man/esmtp_message_factory.3'
    m = re.search(r'^Extensions:(.*?)^the option$', text(f'{root}/{page}'),
                  re.M | re.S)
    yield from names_words(f'{page}: Extensions', m[1] if m else '', names)


def extensions_have_their_rfc_in_the_manual(root, objects):
    """The one that the comment of the file names first."""
    rows = dict(re.findall(r'^\.It Li (\S+) Ta (\d+) Ta', item(
        text(f'{root}/{SETTINGS}'), 'SMTP_Extensions'), re.M))
    for p in sources(root, 'proto/ext'):
        s = text(p)
        rfc = re.search(r'RFC (\d+)', s[:s.index('*/')])
        name = re.search(r'^\t\.keyword = "([^"]+)"', s, re.M)[1]
        if rows.get(name) != (rfc and rfc[1]):
            yield f'{SETTINGS}: SMTP_Extensions: {name} has RFC ' \
                f'{rows.get(name)}, {os.path.relpath(p, root)} ' \
                f'{rfc and rfc[1]}'


def mechanisms_are_in_the_manual(root, objects):
    names = re.findall(r'^ESMTP_AUTH_MECH\("([^"]+)"', text(
        f'{root}/proto/auth/esmtp_auth_mech.def'), re.M)
    s = item(text(f'{root}/{SETTINGS}'), 'Auth_Mechanisms')
    yield from names_words(f'{SETTINGS}: Auth_Mechanisms',
                           s.partition('Empty:')[0], names)


def roles_are_in_the_lists_of_processes(root, objects):
    """mailmilld(8) has them with their accounts, and so has the process of a check;
    README has them as a tree."""
    roles = re.findall(r'^ROLE\(\w+,\s*(\w+)\)', text(
        f'{root}/cmd/mailmilld/role/role.def'), re.M)
    checks = re.findall(r'setproctitle\("(\w+)"\)', text(
        f'{root}/cmd/mailmilld/role/probe.c'))
    for page, begin, want in (
            ('man/mailmilld.8', r'^\.It "', roles + checks),
            ('README', r'^ +(?:[|`]- )?', roles)):
        there = re.findall(begin + r'mailmilld: (\w+)', text(f'{root}/{page}'),
                           re.M)
        if sorted(there) != sorted(want):
            yield f'{page}: has the processes {there}, and there are {want}'


def recipes_name_what_is_there(root, objects):
    """README says where to add to each table, in files that exist."""
    s = text(f'{root}/README')
    s = s[s.index('Where to add'):s.index('EMBEDDING')]
    files = [os.path.relpath(p, root) for part in (*PARTS, 'test')
             for p in glob.glob(f'{root}/{part}/**', recursive=True)]
    named = re.findall(r'[\w/]+\.(?:def|h|c|py|map)\b', s)
    for n in named:
        if 'NAME' not in n and not any(
                f == n or f.endswith('/' + n) for f in files):
            yield f'README: the recipes name {n}, which is not there'
    for f in files:
        if f.endswith('.def') and not any(
                f == n or f.endswith('/' + n) for n in named):
            yield f'README: no recipe names {f}'


CHECKS = [extensions_are_in_the_manuals,
          extensions_have_their_rfc_in_the_manual,
          mechanisms_are_in_the_manual, roles_are_in_the_lists_of_processes,
          recipes_name_what_is_there]
