"""The installed headers: each compiles alone, in every C and C++ that they are
made for, and beside the headers of other libraries."""
import glob
import itertools
import os
import re
import shutil
import subprocess

from tree import TOP, WARN, Skip, install, other

STANDARDS = [('c', s, ['-Wstrict-prototypes', '-Wold-style-definition'])
             for s in ('c99', 'c11', 'c17', 'c2x')] + \
    [('c++', s, []) for s in ('c++17', 'c++20')]
GCC = {'c': 'gcc', 'c++': 'g++'}
CLANG = {'c': 'clang', 'c++': 'clang++'}
CLASHING = [('libevent', '#include <event2/event.h>\n'),
            ('libevent', '#include <event.h>\n'),
            ('libuv', '#include <uv.h>\n'), ('glib-2.0', '#include <glib.h>\n')]


def compiles(compilers, language, standard, flags, text):
    cc = compilers[language]
    p = subprocess.run([cc, '-x', language, f'-std={standard}', *WARN, *flags,
                        '-fsyntax-only', '-'],
                       input=text, capture_output=True, text=True)
    assert p.returncode == 0, f'{cc} -std={standard}:\n{text}{p.stderr}'


def names(ours):
    found = sorted(os.path.basename(p) for p in glob.glob(
        ours.root + '/usr/local/include/mailmill/*.h'))
    assert len(found) > 10, found
    return found


def each_compiles_alone(compilers, standards):
    ours = install()
    flags = ours.pkg_config('--cflags', 'mailmill')
    for h, (language, standard, more) in itertools.product(names(ours),
                                                           standards):
        compiles(compilers, language, standard, flags + more,
                 f'#include <mailmill/{h}>\n' * 2 + 'extern int not_empty;\n')


def test_each_header_compiles_alone(d):
    each_compiles_alone(GCC, STANDARDS)


def test_headers_include_nothing_of_the_tree(d):
    ours = install()
    for h in names(ours):
        with open(f'{ours.root}/usr/local/include/mailmill/{h}') as f:
            assert '#include "' not in f.read(), h


def test_mailmill_3_names_each_header(d):
    """But the one that each of the others includes."""
    with open(TOP + '/man/mailmill.3', encoding='ascii') as f:
        said = set(re.findall(r'^\.In mailmill/(\S+)', f.read(), re.M))
    missing = set(names(install())) - said - {'api.h'}
    assert not missing, missing


def all_compile_beside_those_of_others(compilers):
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
            compiles(compilers, 'c', 'c11', flags + ['-D_DEFAULT_SOURCE'],
                     text)
            compiles(compilers, 'c++', 'c++17', flags, text)


def test_headers_compile_beside_those_of_others(d):
    all_compile_beside_those_of_others(GCC)


def test_clang_compiles_the_headers(d):
    """In the oldest standards, and beside others."""
    for cc in CLANG.values():
        if shutil.which(cc) is None:
            raise Skip(f'no {cc}')
    each_compiles_alone(CLANG, [s for s in STANDARDS if s[1] in (
        'c99', 'c++17')])
    all_compile_beside_those_of_others(CLANG)


TESTS = [test_each_header_compiles_alone,
         test_headers_include_nothing_of_the_tree,
         test_mailmill_3_names_each_header,
         test_headers_compile_beside_those_of_others,
         test_clang_compiles_the_headers]
