"""Programs of one version with the library of another: its structs have got more
members, and programs are not compiled anew."""
import glob
import os
import re
import xml.etree.ElementTree as ET

from exports import same
from tree import (BUILD, SANITIZE, TOP, Skip, install, make_status, run)

# the structs and unions of the installed headers, by their tags.
# what programs make, and what the library makes: both may get members at the
# end, which libmailmill.abignore tells abidiff
SIZED = {'esmtp_host_ops', 'spool_ops', 'esmtp_tls', 'esmtp_moved',
         'scheduler_backend', 'validate_module', 'mailmill_client_tls_ops',
         'mailmill_client_login_ops'}
MADE = {'_accept_construct', 'esmtp_report', 'spool_envelope',
        'mailmill_client_result', 'mailmill_client_login_offer',
        '_netlistener_def', '_netlistener_instance', '_ec_config_value',
        '_io_job', '_ec_ssl_ctx', 'ec_async_module'}
# what programs do not see, with a member in front
HIDDEN = [('proto/server/esmtp_host_struct.h', 'struct esmtp_host {'),
          ('proto/server/esmtp_state.h', 'struct _message_construct {'),
          ('proto/options/options.h', 'struct esmtp_options {')]
# those that never change: their octets, where longs and pointers have eight
FROZEN = {'Event': 120, 'struct event_link': 16, 'struct event_loop': 16,
          'event_io_opset': 56, 'event_io_state': 32,
          'minimal_tryread_construct': 112, 'grow_buf': 32, 'string': 32,
          'message_id': 8, 'struct mailaddr': 40, 'ec_sockaddr': 112,
          'struct esmtp_auth_can': 8, 'ec_async_job': 168,
          'ec_config_option_def': 88, 'struct ec_config_value_mapping': 16,
          'ec_config_value_storage': 8, 'ec_ssl_ctx_params': 40,
          'ec_scheduler_impl': 160, 'struct mailmill_module': 56,
          'struct mailmill_module_worker': 32}
# no function of a library has them: they change with MAILMILL_MODULE_ABI, which
# a server compares
OF_MODULES = {'mailmill_module', 'mailmill_module_worker'}
HEADERS = ('core/*.h', 'proto/*.h', 'tls/library/*.h', 'tls/ec_ssl.h')
IGNORE = TOP + '/proto/library/libmailmill.abignore'
# the library has it, and no page
INNER = {'ec_async_module'}


def texts(tree, *parts):
    """{path: octets} of the files of these folders."""
    found = {}
    for part in parts:
        for at, _, names in os.walk(f'{tree}/{part}'):
            for name in names:
                path = f'{at}/{name}'
                with open(path, 'rb') as f:
                    found[os.path.relpath(path, tree)] = f.read()
    return found


def read(path):
    with open(path, encoding='ascii') as f:
        return f.read()


def defined():
    """{tag: (header, the first line of its definition)}"""
    found = {}
    for path in (p for h in HEADERS for p in glob.glob(f'{TOP}/{h}')):
        for line, tag in re.findall(
                r'^((?:typedef )?(?:struct|union) (\w+) \{)$', read(path), re.M):
            found[tag] = os.path.relpath(path, TOP), line
    return found


def named():
    """{tag: what programs call it}, of those that are defined"""
    text = '\n'.join(read(p) for h in HEADERS for p in glob.glob(f'{TOP}/{h}'))
    names = dict(re.findall(
        r'^typedef (?:struct|union) (\w+)(?: \{.*?^\})? (\w+);', text,
        re.M | re.S))
    return {tag: names.get(tag, f'struct {tag}') for tag in defined()}


def built_with(changes):
    """The libraries of a copy of the tree in which (path, old, new) is changed.
    The copy stays, so that no more of it is compiled than has changed since."""
    tree, parts = BUILD + '-grown', ('core', 'proto', 'tls')
    want = texts(TOP, *parts)
    for name in 'Makefile', 'test/deps.sh':
        with open(f'{TOP}/{name}', 'rb') as f:
            want[name] = f.read()
    for path, old, new in changes:
        assert want[path].count(old.encode()) == 1, (path, old)
        want[path] = want[path].replace(old.encode(), new.encode())
    have = texts(tree, *parts, 'test')
    for path in set(have) - set(want):
        os.unlink(f'{tree}/{path}')
    for path, octets in want.items():
        if have.get(path) != octets:
            os.makedirs(os.path.dirname(f'{tree}/{path}'), exist_ok=True)
            with open(f'{tree}/{path}', 'wb') as f:
                f.write(octets)
    run('make', '-s', '-j2', '-C', tree, 'B=build', 'CFLAGS=-g',
        'build/libmailmill.so.0', 'build/libmailmill-tls.so.0')
    return tree + '/build'


def body(path, head):
    """The definition of that struct, up to the brace that ends it."""
    return re.search(re.escape(head) + r'\n.*?^(?=})', read(f'{TOP}/{path}'),
                     re.M | re.S)[0]


def grown():
    # behind remote_addr, most accept_constructs have no memory
    for path, head in (defined()[t] for t in SIZED | MADE - {
            '_accept_construct'}):
        text = body(path, head)
        yield path, text, text + '\tvoid *grown;\n'
    for path, head in HIDDEN:
        yield path, head + '\n', head + '\n\tlong hidden;\n'
    # an option in front of all others
    table = 'proto/options/esmtp_option.def'
    first = re.search(r'^ESMTP_OPTION.*\n', read(f'{TOP}/{table}'), re.M)[0]
    yield (table, first,
           'ESMTP_OPTION("A_New_Option", new_one, BOOL, "true")\n' + first)


def example(d, include):
    """test/embed/embed.c, compiled with these headers."""
    run('cc', '-std=gnu11', '-D_GNU_SOURCE', f'-I{include}', '-c', '-o',
        f'{d}/embed.o', f'{TOP}/test/embed/embed.c')
    return f'{d}/embed.o'


def runs_with(d, program, library):
    run('cc', '-o', f'{d}/embed', program, library)
    said = run(f'{d}/embed', timeout=60, env=dict(
        os.environ, LD_LIBRARY_PATH=os.path.dirname(library)))
    assert ', 0 failed' in said, said


def test_programs_and_libraries_of_two_versions(d):
    """A program of each with the library of the other; abidiff tells nothing."""
    if SANITIZE:
        raise Skip('ASan adds symbols of its own')
    newer = built_with(grown())
    theirs = newer + '/include'
    older = install()
    ours = older.root + '/usr/local/include'
    runs_with(d, example(d, ours), newer + '/libmailmill.so.0')
    runs_with(d, example(d, theirs), older.libdirs[0] + '/libmailmill.so.0')
    status, said = make_status('abidiff', f'OLD={BUILD}', f'NEW={newer}',
                               f'NEW_INCLUDE={theirs}/mailmill')
    assert status == 0, said


def test_what_never_changes_has_not(d):
    if os.uname().machine not in ('x86_64', 'aarch64'):
        raise Skip('the sizes are those of other machines')
    include = install().root + '/usr/local/include'
    with open(f'{d}/a.c', 'w', encoding='ascii') as f:
        for h in sorted(os.listdir(include + '/mailmill')):
            if h.endswith('.h'):
                f.write(f'#include <mailmill/{h}>\n')
        for name, octets in FROZEN.items():
            f.write(f'_Static_assert(sizeof({name}) == {octets}, "{name}");\n')
    run('gcc', '-std=gnu11', '-I' + include, '-fsyntax-only', f'{d}/a.c')


def listed(heading):
    """The types that mailmill(3) has there."""
    part = re.search(rf'^\.It {heading}\n(.*?)^\.(?:It|El)',
                     read(TOP + '/man/mailmill.3'), re.M | re.S)
    return set(re.findall(r'^\.Vt ((?:struct )?\w+)', part[1], re.M))


def test_each_type_may_grow_or_may_not(d):
    """Each struct and union of the headers is in one of the lists; so it is in the
    manual, and in what abidiff is not to tell of."""
    names = named()
    tags = {name: tag for tag, name in names.items()}
    frozen = {tags.get(name, name) for name in FROZEN}
    assert not SIZED & MADE and not (SIZED | MADE) & frozen
    same('the lists', SIZED | MADE | frozen, set(names))
    for tags, heading in (
            (SIZED, 'Those that the program makes, which begin with their size'),
            (MADE - INNER, 'Those that the library makes'),
            (frozen, 'Those that never change')):
        same(f'mailmill(3): {heading}', listed(heading),
             {names[t] for t in tags})
    ignored = [set(n.split('|')) for n in re.findall(
        r'^name_regexp = \^\((.*)\)\$$', read(IGNORE), re.M)]
    assert len(ignored) == 2
    same('libmailmill.abignore', ignored[0], SIZED)
    same('libmailmill.abignore', ignored[1], MADE)
    for tag in SIZED:
        path, head = defined()[tag]
        assert re.search(r'\{\n\s*(?:size|uint32)_t\s+size;', body(path, head)), \
            f'{path}: {tag} does not begin with its size'


def test_abidiff_sees_each_type(d):
    """With the headers that are installed, some function of a library leads to
    each: a type that no function has is compared by nobody."""
    if SANITIZE:
        raise Skip('ASan adds symbols of its own')
    seen = set()
    for library in 'libmailmill.so.0', 'libmailmill-tls.so.0':
        root = ET.fromstring(run(
            'abidw', '--no-show-locs', '--drop-private-types', '--headers-dir',
            BUILD + '/include/mailmill', f'{BUILD}/{library}'))
        seen |= {e.get('name') for e in root.iter()
                 if e.tag in ('class-decl', 'union-decl') and
                 e.get('is-declaration-only') != 'yes'}
    missing = set(defined()) - seen - OF_MODULES
    assert not missing, f'abidiff does not see {sorted(missing)}'


TESTS = [test_programs_and_libraries_of_two_versions,
         test_what_never_changes_has_not, test_each_type_may_grow_or_may_not,
         test_abidiff_sees_each_type]
