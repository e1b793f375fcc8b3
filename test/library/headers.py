"""The installed headers: each compiles alone, in every C and C++ that they are
made for, and beside the headers of other libraries."""
import glob
import itertools
import os
import shutil
import subprocess

from tree import WARN, install, other

STANDARDS = [('c', s, ['-Wstrict-prototypes', '-Wold-style-definition'])
             for s in ('c99', 'c11', 'c17', 'c2x')] + \
    [('c++', s, []) for s in ('c++17', 'c++20')]
# the second one only where it is there, for the oldest standards
COMPILERS = {'c': ['gcc', 'clang'], 'c++': ['g++', 'clang++']}
CLASHING = [('libevent', '#include <event2/event.h>\n'),
            ('libevent', '#include <event.h>\n'),
            ('libuv', '#include <uv.h>\n'), ('glib-2.0', '#include <glib.h>\n')]


def compiles(language, standard, flags, text):
    first, second = COMPILERS[language]
    for cc in [first] + [second] * (standard in ('c99', 'c++17') and
                                    shutil.which(second) is not None):
        p = subprocess.run([cc, '-x', language, f'-std={standard}', *WARN,
                            *flags, '-fsyntax-only', '-'],
                           input=text, capture_output=True, text=True)
        assert p.returncode == 0, f'{cc} -std={standard}:\n{text}{p.stderr}'


def names(ours):
    found = sorted(os.path.basename(p) for p in glob.glob(
        ours.root + '/usr/local/include/mailmill/*.h'))
    assert len(found) > 10, found
    return found


def test_each_header_compiles_alone(d):
    ours = install()
    flags = ours.pkg_config('--cflags', 'mailmill')
    for h, (language, standard, more) in itertools.product(names(ours),
                                                           STANDARDS):
        compiles(language, standard, flags + more,
                 f'#include <mailmill/{h}>\n' * 2 + 'extern int not_empty;\n')


def test_headers_include_nothing_of_the_tree(d):
    ours = install()
    for h in names(ours):
        with open(f'{ours.root}/usr/local/include/mailmill/{h}') as f:
            assert '#include "' not in f.read(), h


def test_headers_compile_beside_those_of_others(d):
    """Before them and after; with the switch, since names of functions are
    the others' own."""
    ours = install()
    all_ours = '#define MAILMILL_PREFIX_ONLY\n' + ''.join(
        f'#include <mailmill/{h}>\n' for h in names(ours))
    for name, theirs in CLASHING:
        flags = ours.pkg_config('--cflags', 'mailmill') + [
            f.replace('-I', '-isystem', 1) if f.startswith('-I') else f
            for f in other(name).pkg_config('--cflags', name)]
        for text in (all_ours + theirs, theirs + all_ours):
            compiles('c', 'c11', flags + ['-D_DEFAULT_SOURCE'], text)
            compiles('c++', 'c++17', flags, text)


TESTS = [test_each_header_compiles_alone,
         test_headers_include_nothing_of_the_tree,
         test_headers_compile_beside_those_of_others]
