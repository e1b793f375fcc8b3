"""Which names the libraries have for others: those of their maps, which are those
that the headers declare and the manual pages describe."""
import glob
import os
import re
import subprocess

from tree import (MAPS, SANITIZE, TOP, Skip, Tree, exported, install, run,
                  unpack)

# libraries that have much in common with us, or that everybody has
OTHERS = {'libevent-dev': 'libevent*', 'libev-dev': 'libev.*',
          'libuv1-dev': 'libuv*', 'libglib2.0-dev': 'lib*-2.0.*',
          'libapr1-dev': 'libapr-1.*', 'libssl-dev': 'lib[sc]*[lo].*',
          'libc6-dev': 'libc.*'}


def defined(path, *options):
    """The names that a library defines for others."""
    p = subprocess.run(['nm', '--defined-only', *options, path],
                       capture_output=True, text=True)
    return {line.split()[2].split('@')[0] for line in p.stdout.split('\n')
            if re.match(r'[0-9a-f]+ [B-TV-Z] \S+$', line)}


def same(what, have, want):
    assert have == want, (f'{what}: missing {sorted(want - have)}, '
                          f'too many {sorted(have - want)}')


def test_the_shared_library_exports_the_map(d):
    ours = install()
    for library in MAPS:
        so = f'lib{library}.so'
        same(so, defined(f'{ours.libdirs[0]}/{so}', '-D'), exported(library))


def test_the_archive_exports_the_map_and_prefixed_names(d):
    ours = install()
    for library in MAPS:
        a = f'lib{library}.a'
        have = defined(f'{ours.libdirs[0]}/{a}', '-g')
        prefix = library.replace('-', '_') + '_internal_'
        same(a, {n for n in have if not n.startswith((prefix, '__'))},
             exported(library))


def test_the_server_has_the_map_for_modules(d):
    """And no other name; but what it has got from libc, such as stderr, which
    names the library."""
    if SANITIZE:
        raise Skip('ASan adds symbols of its own')
    said = run('nm', '-D', '--defined-only', install().root +
               '/usr/local/sbin/mailmilld')
    same('mailmilld', {line.split()[2] for line in said.splitlines()
                       if '@' not in line}, exported('mailmill'))


def test_the_headers_declare_the_map(d):
    """Functions: what gcc says; objects: what stands there."""
    ours = install()
    include = ours.root + '/usr/local/include'
    found = set()
    for h in glob.glob(include + '/mailmill/*.h'):
        with open(f'{d}/a.c', 'w') as f:
            f.write(f'#include <mailmill/{os.path.basename(h)}>\n')
        run('gcc', '-std=c11', '-I' + include, '-c', '-o', f'{d}/a.o',
            '-aux-info', f'{d}/protos', f'{d}/a.c')
        with open(f'{d}/protos') as f:
            found |= set(re.findall(
                r'^/\* \S*/mailmill/\S+ \*/ extern .*?\b(\w+) \(', f.read(), re.M))
        with open(h) as f:
            found |= set(re.findall(r'^extern [^(\n]*?(\w+)(?:\[\w*\])?;',
                                    f.read(), re.M))
    same('the headers', found, exported())


def renamed():
    """{documented name: symbol} where they differ."""
    with open(TOP + '/core/names.h', encoding='ascii') as f:
        return dict(re.findall(r'^#define\s+(\w+)\s+(mailmill_\w+)$', f.read(),
                               re.M))


def test_the_manual_pages_describe_the_map(d):
    """In words: a name in NAME and a prototype are no description."""
    said = set()
    for page in glob.glob(TOP + '/man/*.3'):
        with open(page, encoding='ascii') as f:
            sections = re.split(r'^\.Sh ', f.read(), flags=re.M)
        for s in sections[1:]:
            if not s.startswith(('NAME\n', 'SYNOPSIS\n')):
                said |= {n for line in re.findall(r'^\..*', s, re.M)
                         for n in re.findall(r'\b(?:Nm|Fn|Va) (\w+)', line)}
    symbol = renamed()
    missing = exported() - {symbol.get(n, n) for n in said}
    assert not missing, f'in no text of man/*.3: {sorted(missing)}'


def test_man_finds_each_function(d):
    """By the names of NAME, which mandb(8) and makewhatis(8) read."""
    found = set()
    for page in glob.glob(TOP + '/man/*.3'):
        with open(page, encoding='ascii') as f:
            name = re.search(r'^\.Sh NAME\n(.*?)^\.Nd ', f.read(), re.M | re.S)
        found |= set(re.findall(r'^\.Nm (\w+)', name[1], re.M))
    symbol = renamed()
    missing = exported() - {symbol.get(n, n) for n in found}
    assert not missing, f'in no NAME of man/*.3: {sorted(missing)}'


def test_renamed_names_are_those_of_the_map(d):
    symbols = renamed()
    assert len(symbols) > 10, symbols
    for name, symbol in symbols.items():
        assert symbol == 'mailmill_' + name, symbol
    same('core/names.h', set(symbols.values()),
         {n for n in exported() if n.startswith((
             'mailmill_event_', 'mailmill_netlistener_',
             'mailmill_scheduler_'))})
    # libevent's, whichever there will be
    bare = {n for n in exported() if n.startswith(('event_', 'ev_', 'uv_', 'g_'))}
    assert not bare, bare


def names_of(tree, files):
    """What the libraries of a tree define for others."""
    paths = {p for at in tree.libdirs for p in glob.glob(f'{at}/{files}') +
             glob.glob(f'{at}/*-linux-*/{files}') if p.endswith('.a')
             or '.so' in p}
    return set().union(*(defined(p, '-g' if p.endswith('.a') else '-D')
                         for p in paths))


def has_no_name_of_ours(package):
    files = OTHERS[package]
    theirs = names_of(Tree('', '/usr/lib', '/lib'), files) or names_of(
        unpack(package), files)
    assert len(theirs) > 50, f'{package}: {len(theirs)} names'
    both = exported() & theirs
    assert not both, f'{package} has {sorted(both)}'


def loaded_by_others():
    """What libc, PAM and OpenSSL load by names that are in their configuration, into
    a process of the server as into any other, with what that needs."""
    found = {p for at in ('/lib', '/usr/lib') for files in (
        'libnss_*.so*', 'security/pam_*.so', 'ossl-modules/*.so',
        'engines-*/*.so') for where in (at, f'{at}/*-linux-*')
             for p in glob.glob(f'{where}/{files}')}
    p = subprocess.run(['ldd', *found], capture_output=True, text=True)
    return found | set(re.findall(r'=> (/\S+)', p.stdout))


def test_no_name_is_one_of_what_others_load(d):
    """Such an object would call our function in the place of its own."""
    files = loaded_by_others()
    for kind in 'libnss_', 'pam_', '/libc.':
        assert any(kind in f for f in files), f'no {kind}: {sorted(files)}'
    for f in files:
        both = exported() & defined(f, '-D')
        assert not both, f'{f} has {sorted(both)}'


def test_of(package):
    def test(d):
        has_no_name_of_ours(package)
    test.__name__ = f'test_no_name_is_one_of_{package}'
    return test


TESTS = [test_the_shared_library_exports_the_map,
         test_the_server_has_the_map_for_modules,
         test_the_archive_exports_the_map_and_prefixed_names,
         test_the_headers_declare_the_map,
         test_the_manual_pages_describe_the_map,
         test_man_finds_each_function,
         test_renamed_names_are_those_of_the_map,
         test_no_name_is_one_of_what_others_load,
         *map(test_of, OTHERS)]
