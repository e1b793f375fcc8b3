"""Programs of one version with the library of another: its structs have got more
members, and programs are not compiled anew."""
import os
import re

from tree import (BUILD, SANITIZE, TOP, Skip, install, make_status, run)

# what programs make, and what the library makes, with a member at the end
GROWN = [('proto/esmtp_host.h', 'struct esmtp_host_ops {'),
         ('proto/esmtp_host.h', 'struct esmtp_moved {'),
         ('proto/esmtp_host.h', 'struct esmtp_report {'),
         ('proto/esmtp_factory.h', 'struct esmtp_tls {'),
         ('proto/validate.h', 'struct validate_module {'),
         ('core/spool.h', 'struct spool_ops {'),
         ('core/spool.h', 'struct spool_envelope {'),
         ('core/scheduler.h', 'struct scheduler_backend {'),
         ('proto/netlistener.h', 'struct _netlistener_def {'),
         ('proto/netlistener.h', 'struct _netlistener_instance {')]
# what programs do not see, with a member in front
HIDDEN = [('proto/server/esmtp_host_struct.h', 'struct esmtp_host {'),
          ('proto/server/esmtp_int.h', 'struct _message_construct {'),
          ('proto/options/options.h', 'struct esmtp_options {')]
# octets of those that never change, where longs and pointers have eight
FROZEN = {'Event': 120, 'string': 32, 'event_io_opset': 56, 'event_io_state': 32,
          'message_id': 8, 'struct mailaddr': 40,
          'struct esmtp_auth_can': 8, 'ec_async_job': 168,
          'ec_config_option_def': 88}


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


def built_with(changes):
    """The library of a copy of the tree in which (path, old, new) is changed.  The
    copy stays, so that no more of it is compiled than has changed since."""
    tree, parts = BUILD + '-grown', ('core', 'proto')
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
        'build/libmailmill.so.0')
    return tree + '/build/libmailmill.so.0'


def body(path, head):
    """The definition of that struct, up to the brace that ends it."""
    with open(f'{TOP}/{path}', encoding='ascii') as f:
        return re.search(re.escape(head) + r'\n.*?^(?=})', f.read(),
                         re.M | re.S)[0]


def grown():
    for path, head in GROWN:
        text = body(path, head)
        yield path, text, text + '\tvoid *grown;\n'
    for path, head in HIDDEN:
        yield path, head + '\n', head + '\n\tlong hidden;\n'
    # an option in front of all others
    table = 'proto/options/esmtp_option.def'
    with open(f'{TOP}/{table}', encoding='ascii') as f:
        first = re.search(r'^ESMTP_OPTION.*\n', f.read(), re.M)[0]
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
    theirs = os.path.dirname(newer) + '/include'
    older = install()
    ours = older.root + '/usr/local/include'
    runs_with(d, example(d, ours), newer)
    runs_with(d, example(d, theirs), older.libdirs[0] + '/libmailmill.so.0')
    status, said = make_status('abidiff', f'OLD={BUILD}/libmailmill.so.0',
                               f'NEW={newer}', f'NEW_INCLUDE={theirs}/mailmill')
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


TESTS = [test_programs_and_libraries_of_two_versions,
         test_what_never_changes_has_not]
