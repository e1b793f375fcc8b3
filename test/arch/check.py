#!/usr/bin/env python3
"""check.py [--objects DIR]: is the tree built the way README says it is?

Each check is a function of the tree's root that yields one line per offence.
All of them run on the tree; then each runs on a copy that is spoilt on purpose,
and must object, so that a check that has gone blind is seen.
"""
import argparse
import ast
import atexit
import contextlib
import fnmatch
import functools
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import documented
import documented_api
import logs
import manuals
import pages
import roles
import rooms
from tree import PARTS, TOP, objects_of, sources, symbols, text

CLOCKS = {'time', 'gettimeofday', 'clock_gettime', 'timespec_get', 'ftime',
          'clock', 'times', 'clock_gettime64'}


def only_tls_sees_openssl_ssl(root, objects):
    for part in PARTS:
        for path in sources(root, part):
            if part != 'tls' and re.search(
                    r'^\s*#\s*include\s+<openssl/ssl\.h>', text(path), re.M):
                yield f'{path}: includes <openssl/ssl.h>'


def proto_has_no_clock(root, objects):
    have, want = objects_of(root, objects, ['proto'])
    if len(have) < want or not have:
        yield f'{objects}: {len(have)} objects of {want} files'
    for obj, _, name in symbols(have, '-u'):
        if name in CLOCKS or name.removesuffix('_r') in CLOCKS:
            yield f'{obj}: refers to {name}()'


def rows(path, macro):
    """First string of each row."""
    return re.findall(rf'^\s*{macro}\(\s*(?:\w+\s*,\s*)?"([^"]+)"', text(path), re.M)


def items(path):
    """The words of a manual page's list items, in small letters."""
    return set(re.findall(r'[A-Za-z0-9_]+', ' '.join(
        re.findall(r'^\.It (.*)', text(path), re.M)).lower()))


def missing_rows(root, table, macro, page):
    table, page = os.path.join(root, table), os.path.join(root, page)
    names = rows(table, macro)
    if not names:
        yield f'{table}: no {macro} rows found'
    there = items(page)
    for n in names:
        if n.lower() not in there:
            yield f'{page}: no item for {n}, a row of {table}'


SIZES = ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)
TIMES = ('d', 86400), ('h', 3600), ('m', 60), ('s', 1)


def with_unit(n, units):
    return next((f'{n // factor}{letter}' for letter, factor in units
                 if n and n % factor == 0), str(n))


def manual_says(kind, default, low, high):
    """How the manual begins what it says of such a row, and ends that line."""
    if kind in ('INT', 'SIZE', 'TIME'):
        word, units = {'INT': ('Number', ()), 'SIZE': ('Size', SIZES),
                       'TIME': ('Time', TIMES)}[kind]
        start = (f'{word} from {with_unit(int(low), units)} to '
                 f'{with_unit(int(high), units)}')
    else:
        start = {'BOOL': 'True or false', 'LIST': 'List of texts',
                 'MODE': f'Rights in octal from {low:0>4} to {high}',
                 'DOMAINS': 'List of texts',
                 'CHOICE': 'One of ' if '|' in default else 'Only ',
                 'NETWORKS': 'List of networks'}.get(
                     kind, f'Text of at most {high} octets')
        if kind == 'CHOICE':
            # a second name of one is told further down
            start += re.sub(r'=\w+', '', default).replace('|', ', ')
    return start, f'; default: {default.split("|")[0] or "empty"}.'


def settings_are_in_the_manual(root, objects):
    """Each row, with its type, range and default."""
    page = f'{root}/man/mailmill.conf.5'
    said = dict(re.findall(r'^\.It Ic (\S+)\n([^.].*)$', text(page), re.M))
    for table in 'proto/options/esmtp_option.def', 'cmd/settings/setting.def':
        found = re.findall(
            r'^\w+\((?:\w+, )?"(\w+)",\s*\w+,\s*(\w+),\s*"(.*?)"'
            r'(?:, (\d+), (\d+))?', text(f'{root}/{table}'), re.M)
        if len(found) < 30:
            yield f'{table}: {len(found)} rows found'
        for name, *row in found:
            start, end = manual_says(*row)
            line = said.get(name, '')
            if not line.startswith(start) or not line.endswith(end):
                yield f'{page}: {name}: expected "{start}{end}", found "{line}"'


def kinds_are_in_the_manual(root, objects):
    """Each default that a Kind changes."""
    page = f'{root}/man/mailmill.conf.5'
    names = dict(re.findall(r'^ESMTP_OPTION\("(\w+)",\s*(\w+)',
                            text(f'{root}/proto/options/esmtp_option.def'),
                            re.M))
    names = {field: name for name, field in names.items()}
    found = re.findall(
        r'^ESMTP_KIND_DEFAULT\((\w+),\s*(\w+),\s*"(\w+)"\)',
        text(f'{root}/proto/options/esmtp_kind.def'), re.M)
    if not found:
        yield 'proto/options/esmtp_kind.def: no rows found'
    for kind, field, value in found:
        item = re.search(rf'^\.It Ic {names.get(field)}\n(.*?)^\.(It|El)',
                         text(page), re.M | re.S)
        line = f'\nof {kind.lower()} the default is {value}.\n'
        if not item or line not in item[1]:
            yield f'{page}: {names.get(field)}: expected "{line.strip()}"'


def counters_are_in_the_manual(root, objects):
    for macro in 'STATS_COUNTER', 'STATS_PARENT':
        yield from missing_rows(root, 'core/process/stats.def', macro,
                                'man/mailmillctl.8')


def rows_of_proto_name_their_source(root, objects):
    """A verb or a reply is there for a section of an RFC, or for an option."""
    options = set(rows(root + '/proto/options/esmtp_option.def', 'ESMTP_OPTION'))
    for name, macro in (('server/esmtp_verb', 'ESMTP_VERB'),
                        ('esmtp_reply', 'ESMTP_REPLY')):
        path = f'{root}/proto/{name}.def'
        for line in re.findall(rf'^{macro}\(.*', text(path), re.M):
            source = re.search(r'\)\s*/\* (.*) \*/$', line)
            for s in source[1].split(', ') if source else ['']:
                if s not in options and not re.fullmatch(
                        r'RFC \d+ \d+(\.\d+)*', s):
                    yield f'{path}: no source: {line}'


def rows_of_states_name_who_enters_them(root, objects):
    enters = {}
    for path in sources(root, 'proto'):
        function = None
        for f, state in re.findall(
                r'^(\w+)\(|esmtp_(?:set_state|enter|phase_in)\([^,]+, (ES_\w+)',
                text(path), re.M):
            function = f or function
            enters.setdefault(state, set()).add(function)
    table = root + '/proto/server/esmtp_state.def'
    for state, note in re.findall(r'^ESMTP_STATE\((\w+),.*/\*(.*)\*/$',
                                  text(table), re.M):
        # esmtp_settle() looks which of those that await a command it is
        said = set(re.findall(r'(\w+)\(\)', note)) - {'esmtp_settle'}
        if said != enters.get(state, set()):
            yield f'{table}: {state} is entered by {enters.get(state)}'


def tricks_are_played(root, objects):
    """Each row of trick.def, by a system test."""
    names = re.findall(r'^TRICK\((\w+),', text(f'{root}/test/hostile/trick.def'),
                       re.M)
    if not names:
        yield 'test/hostile/trick.def: no rows'
    played = ''.join(text(p) for p in glob.glob(
        f'{root}/test/system/test_hostile_*.py'))
    for n in names:
        if f"'{n}'" not in played:
            yield f'test/hostile/trick.def: no system test plays {n}'


def is_log(node):
    """Is it the call s.log()?"""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == 's.log'


def lines_of_the_log_are_awaited(root, objects):
    """A system test that asserts what the log has waits for it, with s.logged():
    s.log() cannot know how long a line is under way on a busy machine."""
    for path in sorted(glob.glob(f'{root}/test/system/*.py')):
        for node in ast.walk(ast.parse(text(path))):
            if not isinstance(node, ast.Assert):
                continue
            for n in ast.walk(node.test):
                if isinstance(n, ast.Compare) and isinstance(
                        n.ops[0], ast.In) and is_log(n.comparators[0]) or \
                        isinstance(n, ast.Call) and ast.unparse(n.func) in (
                            're.search', 're.match') and is_log(n.args[-1]):
                    yield f'{path}:{n.lineno}: asserts a line that may come later'


def manuals_are_clean(root, objects):
    pages = sorted(glob.glob(root + '/man/*.[1-9]'))
    if not pages:
        yield 'man/: no pages'
        return
    lint = subprocess.run(['mandoc', '-Tlint'] + pages,
                          capture_output=True, text=True)
    for line in (lint.stdout + lint.stderr).split('\n'):
        # which other manuals are installed here is not the pages' fault
        if line.strip() and 'referenced manual not found' not in line \
                and 'outdated mandoc.db' not in line:
            yield line


def tour(root):
    """The part of README that names the files, by the folder it names."""
    s = text(root + '/README')
    s = s[s.index('A TOUR OF THE SOURCE'):s.index('Where to add')]
    parts = re.split(r'^(core|proto|tls|cmd)/', s, flags=re.M)
    return {d: set(re.findall(r'[a-z][\w*]*\.(?:c|h|def)\b', names))
            for d, names in zip(parts[1::2], parts[2::2])}


def readme_names_what_is_there(root, objects):
    there = {part: [os.path.basename(p) for p in sources(root, part)]
             for part in PARTS}
    for part, names in tour(root).items():
        for n in sorted(names):
            if not fnmatch.filter(there[part], n):
                yield f'README: {part}/ has no {n}'
    for p in re.findall(r'\b(?:core|proto|tls|cmd|test)/[\w/]+\.(?:c|h|def|py)\b',
                        text(root + '/README')):
        if 'NAME' not in p and not os.path.exists(f'{root}/{p}'):
            yield f'README: there is no {p}'


def readme_names_every_room(root, objects):
    """Each folder that rooms.py knows, in the tour, below its part."""
    s = text(root + '/README')
    s = s[s.index('A TOUR OF THE SOURCE'):s.index('Where to add')]
    parts = re.split(r'^(core|proto|tls|cmd)/', s, flags=re.M)
    named = {d: set(re.findall(r'\b(\w+)/', words))
             for d, words in zip(parts[1::2], parts[2::2])}
    for room in rooms.MAY:
        part, _, rest = room.partition('/')
        if part not in named or rest and \
                rest.split('/')[-1] not in named[part]:
            yield f'README: the tour does not name {room}/'


def append(extra):
    return lambda s: s + extra


# check: what each must object to: (file to spoil, what to do to its text), or
# the files of a little tree of its own, to be compiled
SPOIL = {
    rooms.rooms_use_what_they_may: [
        ('core/loop/event.c', append('\n#include "proto/validate.h"\n')),
        ('core/util/netmask.c', append('\n#include "core/loop/timers.h"\n')),
        ('proto/parse/mailaddr.c', append('\n#include "tls/tlsio.h"\n')),
        ('cmd/mailmilld/keyd/keyd.c',
         append('\n#include "cmd/mailmilld/master/state/state.h"\n')),
        ('core/event.h', append('\n#include <mailmill/validate.h>\n')),
        ('proto/mailaddr.h', append('\n#include "cmd/settings/paths.h"\n'))],
    rooms.rooms_have_no_circle: [
        ('proto/parse/mailaddr.c',
         append('\n#include "proto/server/esmtp_reply.h"\n'))],
    rooms.unit_tests_mirror_the_rooms: [
        {'test/unit/core/attic/a_test.c': 'int a;'}],
    rooms.inner_headers_stay_inside: [
        ('proto/ext/ext_size.c',
         append('\n#include "core/queue/queue_int.h"\n'))],
    rooms.public_headers_are_the_installed_ones: [
        ('Makefile', lambda s: re.sub(
            r'^(PUBLIC_H.*)', r'\1 core/util/base64.h', s, flags=re.M)),
        ('Makefile', lambda s: re.sub(
            r'^PUBLIC_H.*', r'PUBLIC_H = core/event.h', s,
            flags=re.M)),
        ('proto/mailaddr.h', append('\n#include "core/event.h"\n')),
        ('proto/mailaddr.h', append('\n#include <mailmill/proxyhdr.h>\n'))],
    rooms.no_files_call_each_other_in_a_circle: [{
        'core/a.c': 'int a(int), b(int); int a(int n) { return b(n) + 1; }',
        'core/b.c': 'int a(int), b(int); int b(int n) { return a(n) + 1; }'}],
    proto_has_no_clock: [{
        'proto/late.c': '#include <time.h>\nlong f(void); '
                        'long f(void) { return time(0); }'}],
    only_tls_sees_openssl_ssl: [
        ('proto/parse/mailaddr.c', append('\n#include <openssl/ssl.h>\n'))],
    settings_are_in_the_manual: [
        ('proto/options/esmtp_option.def', append('\nESMTP_OPTION("No_Such_Option", x, INT, "1", 0, 1)\n')),
        ('man/mailmill.conf.5', lambda s: re.sub(r'^\.It .*retry_interval.*', '.It x', s, flags=re.M | re.I)),
        ('cmd/settings/setting.def', lambda s: s.replace('"4h", 1', '"5h", 1')),
        ('proto/options/esmtp_option.def', lambda s: s.replace('1, 86400', '2, 86400')),
        ('man/mailmill.conf.5', lambda s: s.replace('One of crlf, lf', 'One of lf'))],
    kinds_are_in_the_manual: [
        ('proto/options/esmtp_kind.def', lambda s: s.replace('"ifneeded"', '"ignore"')),
        ('man/mailmill.conf.5', lambda s: s.replace(
            'of submission the default is true', 'of lmtp the default is true'))],
    documented.differences_are_in_the_manual: [
        ('man/mailmill.conf.5', lambda s: s.replace(', Always_Deny', '')),
        ('man/mailmill.conf.5', lambda s: s.replace(
            '.It Va Require_EHLO ', '.It Va Use_SSL ')),
        ('man/mailmill.conf.5', lambda s: s.replace(
            '.It Va Require_EHLO ', '.It Va Max_Errors ')),
        ('man/mailmill.conf.5', lambda s: s.replace(
            '.It Va MCMT_Reception ', '.It Va MCMT_Reception , Use_SSL ')),
        ('cmd/settings/setting.def', lambda s: s.replace('"500"', '"501"'))],
    documented_api.each_documented_name_is_here_or_in_the_manual: [
        ('core/scheduler.h', lambda s: s.replace('float_event(', 'float(')),
        ('core/event.h', lambda s: s.replace(' trace : 1', ' traced : 1')),
        ('core/event.h', lambda s: s.replace('EVENT_IO_EOF', 'EVENT_EOF')),
        ('proto/hooks.def', lambda s: s.replace('(validate_connect,', '(c,')),
        ('proto/validate.h', lambda s: s.replace('PHASE_EHLO', 'PHASE_E')),
        ('man/mailmill-momentum.3', lambda s: s.replace('.Fn dict_next ,\n',
                                                        '')),
        ('man/mailmill-momentum.3', lambda s: s.replace(
            '.Fn dict_next ,', '.Fn dict_next , trywrite ,')),
        ('man/mailmill-momentum.3', lambda s: s.replace(
            'ec_message._code', 'ec_message.code')),
        ('man/mailmill-momentum.3', lambda s: s.replace(
            '.Fn esmtp_session_close .', '.Fn esmtp_session_end .')),
        ('man/mailmill-momentum.3', lambda s: s.replace(
            'See C10:\n.Fn event_close .\n', ''))],
    counters_are_in_the_manual: [
        ('man/mailmillctl.8', lambda s: re.sub(r'^\.It .*commit_failures.*', '.It x', s, flags=re.M))],
    readme_names_what_is_there: [
        ('README', lambda s: s.replace('scheduler.h', 'schedular.h', 1)),
        ('README', lambda s: s.replace('esmtp_verb.def', 'esmtp_verbs.def'))],
    readme_names_every_room: [
        ('README', lambda s: s.replace('    maildir/', ''))],
    rows_of_proto_name_their_source: [
        ('proto/server/esmtp_verb.def', lambda s: s.replace('RFC 3207 4 ', 'RFC 3207 ')),
        ('proto/esmtp_reply.def', lambda s: s.replace('Max_Errors', 'Max_Error'))],
    rows_of_states_name_who_enters_them: [
        ('proto/server/esmtp_state.def', lambda s: s.replace('esmtp_body_end()', 'end()'))],
    roles.messages_have_a_function_where_they_go: [
        ('cmd/mailmilld/keyd/keyd_worker.c',
         lambda s: s.replace('[K_SIGN]', '[0]')),
        ('cmd/mailmilld/role/child.c',
         lambda s: s.replace('[M_DRAIN]', '[0]')),
        ('cmd/settings/transport.def',
         append('TRANSPORT(SIGN, "sign", KEYD, 1, maildir_prefix)\n'))],
    roles.messages_are_in_the_manual: [
        ('cmd/mailmilld/role/msg.def', lambda s: s.replace(
            'MSG(S_ROOM,', 'MSG(S_SPACE,')),
        ('cmd/mailmilld/role/msg.def', lambda s: re.sub(
            r'^(MSG\(K_SIGN,\s*)R\(WORKER\)', r'\1R(WORKER) | R(RELAY)', s,
            flags=re.M)),
        ('man/mailmilld.8', lambda s: s.replace(
            'M_CERTS Pq master to worker , keyd', 'M_CERTS Pq master to keyd')),
        ('cmd/settings/transport.def',
         append('TRANSPORT(SIGN, "sign", KEYD, 1, maildir_prefix)\n'))],
    roles.roles_are_described_in_their_folders: [
        ('cmd/mailmilld/master/procs/links.c',
         append('\nint a[] = { [ROLE_KEYD] = 1 };\n')),
        ('cmd/mailmilld/role/privs.c', append('\nint a = ROLE_AUTHD;\n'))],
    roles.the_server_queues_no_jobs: [{
        'core/jobs/j.c': 'int j(void); int j(void) { return 1; }',
        'cmd/c.c': 'int c(void), j(void); int c(void) { return j(); }'}],
    logs.log_events_are_in_the_manual: [
        ('cmd/mailmilld/master/step.c',
         lambda s: s.replace('"process-ready"', '"process-up"')),
        ('cmd/mailmilld/master/procs/outage.c',
         lambda s: s.replace('reason=%s', 'why=%s')),
        ('cmd/mailmilld/master/signals.c',
         lambda s: s.replace('LOG_LEVEL_NOTICE', 'LOG_LEVEL_INFO')),
        ('man/mailmilld.8', lambda s: s.replace('.It vanished', '.It left'))],
    pages.extensions_are_in_the_manuals: [
        ('man/mailmill.conf.5', lambda s: s.replace('.It Li XCLIENT Ta No', '.It Li X Ta No')),
        ('man/esmtp_message_factory.3',
         lambda s: s.replace('REQUIRETLS', 'TLS', 1)),
        ('proto/ext/ext_dsn.c', lambda s: s.replace('"DSN"', '"DSNX"')),
        ('proto/server/esmtp_ext.def',
         append('ESMTP_EXT(X, esmtp_ext_x)\n'))],
    pages.extensions_have_their_rfc_in_the_manual: [
        ('man/mailmill.conf.5',
         lambda s: s.replace('Li DSN Ta 3461', 'Li DSN Ta 3462')),
        ('man/mailmill.conf.5',
         lambda s: s.replace('XFORWARD Ta No', 'XFORWARD Ta 821 Ta No')),
        ('proto/ext/ext_limits.c', lambda s: s.replace('RFC 9422', '', 1))],
    pages.mechanisms_are_in_the_manual: [
        ('proto/auth/esmtp_auth_mech.def',
         append('ESMTP_AUTH_MECH("ANONYMOUS", NAME, 0, anonymous)\n')),
        ('man/mailmill.conf.5', lambda s: s.replace('Qq SCRAM-SHA-1 ,', ''))],
    pages.roles_are_in_the_lists_of_processes: [
        ('cmd/mailmilld/role/role.def', append('ROLE(METRICS, metrics)\n')),
        ('man/mailmilld.8', lambda s: re.sub(
            r'^\.It "mailmilld: keyd.*\n', '', s, flags=re.M))],
    pages.recipes_name_what_is_there: [
        ('README', lambda s: s.replace('settings/route.c', 'settings/way.c')),
        ('README', lambda s: s.replace('role/measure.def', 'that table'))],
    tricks_are_played: [
        ('test/hostile/trick.def', append('TRICK(dance, "")\n'))],
    lines_of_the_log_are_awaited: [
        ('test/system/test_etrn.py', append(
            "\ndef test_x(s):\n    assert 'event=x' in s.log()\n")),
        ('test/system/test_etrn.py', append(
            "\ndef test_x(s):\n    assert re.search('x', s.log())\n"))],
    manuals.both_renderers_show_the_same: [
        # tbl(1) is run if the first line says so
        ('man/event.3', append('.TS\nbox tab(|);\nl l.\na cell|another\n.TE\n')),
        ('man/event.3', append(
            '.Bl -column "' + 9 * 'wide ' + '" "' + 9 * 'wide ' + '" "x"\n'
            '.It a Ta b Ta some words that do not fit in what is left\n.El\n'))],
    manuals_are_clean: [
        ('man/event.3', append('\n.Xx no such macro\n.Bl\n'))],
}


def plant(root, files):
    """A little tree, compiled; where its objects are."""
    for path, s in files.items():
        obj = f'{root}/objects/{path[:-2]}.o'
        for p in (f'{root}/{path}', obj):
            os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(f'{root}/{path}', 'w', encoding='utf-8') as f:
            f.write(s + '\n')
        subprocess.run(['cc', '-O2', '-fPIE', '-c', '-o', obj,
                        f'{root}/{path}'], check=True)
    return root + '/objects'


@functools.cache
def copy_of_the_tree():
    d = tempfile.TemporaryDirectory()
    atexit.register(d.cleanup)
    for f in ('README', 'Makefile'):
        shutil.copy(f'{TOP}/{f}', d.name)
    for part in PARTS + ('man', 'test/arch', 'test/fuzz', 'test/hostile',
                         'test/system'):
        shutil.copytree(f'{TOP}/{part}', f'{d.name}/{part}', symlinks=True)
    return d.name


@contextlib.contextmanager
def spoilt(path, spoil):
    """A copy of the tree, in which one text is changed meanwhile."""
    root = copy_of_the_tree()
    with open(f'{root}/{path}', encoding='utf-8') as f:
        good = f.read()
    bad = spoil(good)
    if bad == good:
        raise OSError(f'{path}: nothing of it was changed')
    try:
        with open(f'{root}/{path}', 'w', encoding='utf-8') as f:
            f.write(bad)
        yield root
    finally:
        with open(f'{root}/{path}', 'w', encoding='utf-8') as f:
            f.write(good)


def sees(check, case, objects):
    if isinstance(case, dict):
        with tempfile.TemporaryDirectory() as root:
            return list(check(root, plant(root, case)))
    with spoilt(*case) as root:
        return list(check(root, objects))


def self_test(check, objects):
    """The offences that the check misses.  What it says of a copy in which
    nothing is spoilt shows none."""
    cases = SPOIL.get(check, [])
    if not all(isinstance(case, dict) for case in cases):
        for line in check(copy_of_the_tree(), objects):
            yield f'objects to a copy that is as the tree: {line}'
    for case in cases:
        if not sees(check, case, objects):
            what = ' '.join(case) if isinstance(case, dict) else case[0]
            yield f'does not see a spoilt {what}'


CHECKS = (rooms.CHECKS + roles.CHECKS + logs.CHECKS + documented.CHECKS +
          documented_api.CHECKS + manuals.CHECKS + pages.CHECKS + [
    only_tls_sees_openssl_ssl, proto_has_no_clock,
    settings_are_in_the_manual, kinds_are_in_the_manual,
    counters_are_in_the_manual,
    rows_of_proto_name_their_source,
    rows_of_states_name_who_enters_them, readme_names_what_is_there,
    readme_names_every_room, tricks_are_played, lines_of_the_log_are_awaited,
    manuals_are_clean])


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--objects', default=TOP + '/build')
    objects = os.path.abspath(p.parse_args().objects)
    passed = failed = 0
    for check in CHECKS:
        runs = [('', lambda: check(TOP, objects))]
        if check in SPOIL:
            runs.append((' (can it fail?)', lambda: self_test(check, objects)))
        for what, run in runs:
            try:
                bad = list(run())
            except OSError as e:
                bad = [str(e)]
            name = check.__name__.replace('_', ' ') + what
            for line in bad:
                print(f'    {line.replace(TOP + "/", "")}')
            print(('FAIL ' if bad else 'ok   ') + name)
            passed, failed = passed + (not bad), failed + bool(bad)
    print(f'{passed} passed, {failed} failed')
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
