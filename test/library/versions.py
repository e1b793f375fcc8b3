"""The version, the soname, and where an install puts what."""
import itertools
import os
import re

from tree import (BUILD, MAPS, TOP, install, install_in, make, multiarch, run)


def test_versions_agree(d):
    ours = install()
    with open(TOP + '/core/version.h') as f:
        major, minor = re.findall(r'VERSION_M\w+\t(\d+)$', f.read(), re.M)
    for library in MAPS:
        version = ours.pkg_config('--modversion', library)
        assert version == [f'{major}.{minor}'], version
    said = run(BUILD + '/mailmilld', '-V')
    assert said.split()[1] == version[0], said


def test_the_soname_is_the_file(d):
    ours = install()
    at = ours.libdirs[0]
    for library, more in (('mailmill', {'libidn2', 'libunistring'}), ('mailmill-tls', {
            'libmailmill', 'libssl', 'libcrypto', 'libgsasl'})):
        so = f'lib{library}.so'
        assert os.readlink(f'{at}/{so}') == so + '.0'
        elf = run('readelf', '-d', f'{at}/{so}.0')
        assert f'soname: [{so}.0]' in elf, elf
        assert 'TEXTREL' not in elf, elf
        needed = set(re.findall(r'NEEDED.*\[(.*?)\.so', elf))
        assert more <= needed <= {'libc', 'libasan', 'libubsan'} | more | {
            n for n in needed if n.startswith('ld-linux')}, needed


def test_the_paths_of_debian(d):
    """Folders of the user's choice; pkg-config finds them; uninstall too."""
    arch = multiarch()
    # these are in the programs: with others they would be linked again in the
    # build folder, under the hands of the tests that run them
    settings = ['PREFIX=/usr', f'LIBDIR=/usr/lib/{arch}',
                'INCLUDEDIR=/usr/include/x', 'SYSCONFDIR=/usr/local/etc',
                'PROGDIR=/usr/local/lib/mailmill', 'SBINDIR=/usr/local/sbin']
    assert set(re.findall(r'\$\((\w+)\)', re.search(
        r'^\$\(B\)/\.conf: now = (.*)$', open(TOP + '/Makefile').read(),
        re.M)[1])) == {'CONF', 'MAILDROP', 'PROGDIR', 'SBINDIR'}
    ours = install_in(d, *settings)
    ours.libdirs = [f'{ours.root}/usr/lib/{arch}']
    for library, end in itertools.product(MAPS, ('.a', '.so', '.so.0')):
        f = f'{ours.libdirs[0]}/lib{library}{end}'
        assert os.path.isfile(f), f
    flags = ours.pkg_config('--cflags', 'mailmill')
    assert flags == [f'-I{ours.root}/usr/include/x'], flags
    assert os.path.isfile(flags[0][2:] + '/mailmill/event.h')
    make('uninstall', f'DESTDIR={ours.root}', *settings)
    # what an administrator may have edited stays
    left = [n for at, _, names in os.walk(ours.root + '/usr') for n in names
            if not at.startswith(ours.root + '/usr/local/etc')]
    assert not left, left


def test_an_install_over_an_older_one(d):
    """Nothing of the older one is left to be included, and everybody can read
    the new one, whatever root's umask is."""
    include = f'{d}/root/usr/local/include/mailmill'
    os.makedirs(f'{include}/core')
    for name in 'core/event.h', 'gone.h':
        open(f'{include}/{name}', 'w').close()
    install_in(d, umask=0o077)
    assert os.path.isfile(f'{include}/event.h')
    assert not os.path.exists(f'{include}/core')
    assert not os.path.exists(f'{include}/gone.h')
    for at, dirs, names in os.walk(f'{d}/root/usr/local'):
        for name in dirs + names:
            f = f'{at}/{name}'
            mode = os.stat(f).st_mode
            assert mode & 0o004, f'{f}: {mode:o}'


TESTS = [test_versions_agree, test_the_soname_is_the_file,
         test_the_paths_of_debian, test_an_install_over_an_older_one]
