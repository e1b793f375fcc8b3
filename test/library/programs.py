"""Programs that use the installed library, with the loop of another library, and
in C++: shared and static, linked before the other library and after it."""
import os

from tree import HERE, SANITIZE, TOP, WARN, Skip, install, other, run

SAN = ['-fsanitize=address,undefined'] if SANITIZE else []


def compiled(d, flags, **sources):
    """The objects of these sources: name = standard."""
    objects = []
    for name, standard in sources.items():
        is_c = standard.startswith(('c9', 'c1'))
        objects.append(f'{d}/{name}.o')
        run('cc' if is_c else 'c++', f'-std={standard}', '-D_DEFAULT_SOURCE',
            '-g', *WARN, *SAN, *flags, '-c', '-o', objects[-1],
            f'{HERE}/{name}.{"c" if is_c else "cc"}')
    return objects


def link_and_run(d, trees, objects, flags, cc='cc'):
    run(cc, *SAN, '-o', f'{d}/program', *objects, *flags)
    paths = [p for t in trees if t.root for p in t.libdirs]
    out = run(f'{d}/program', timeout=60,
              env=dict(os.environ, LD_LIBRARY_PATH=':'.join(paths)))
    assert 'received' in out, out
    return run('readelf', '-d', f'{d}/program')


def archive(ours):
    """As pkg-config says, but with libmailmill.a, whatever else there is."""
    flags = ours.pkg_config('--static', '--libs', 'mailmill')
    assert '-lmailmill' in flags, flags
    return ['-l:libmailmill.a' if f == '-lmailmill' else f for f in flags]


def objects_for(d, package, name):
    ours, theirs = install(), other(package)
    return ours, theirs, compiled(
        d, ours.pkg_config('--cflags', 'mailmill') +
        [f.replace('-I', '-isystem', 1) if f.startswith('-I') else f
         for f in theirs.pkg_config('--cflags', package)],
        receiver='c99', **{name: 'c11'})


def with_library(d, package, name):
    ours, theirs, objects = objects_for(d, package, name)
    shared = ours.pkg_config('--libs', 'mailmill')
    libs = theirs.pkg_config('--libs', package)
    for flags in shared + libs, libs + shared:
        needs = link_and_run(d, [ours, theirs], objects, flags)
        assert 'libmailmill.so.0' in needs, needs
    for flags in archive(ours) + libs, libs + archive(ours):
        needs = link_and_run(d, [theirs], objects, flags)
        assert 'libmailmill' not in needs, needs


def static_with_library(d, package, name, static):
    if SANITIZE:
        raise Skip('a program with ASan cannot be static')
    ours, theirs, objects = objects_for(d, package, name)
    libs = theirs.pkg_config('--static', '--libs', static)
    for flags in archive(ours) + libs, libs + archive(ours):
        needs = link_and_run(d, [], objects, ['-static'] + flags)
        assert 'NEEDED' not in needs, needs


def test_libevent(d):
    with_library(d, 'libevent', 'libevent')


def test_libevent_in_a_static_program(d):
    static_with_library(d, 'libevent', 'libevent', 'libevent')


def test_libuv(d):
    with_library(d, 'libuv', 'libuv')


def test_libuv_in_a_static_program(d):
    static_with_library(d, 'libuv', 'libuv', 'libuv-static')


def test_glib(d):
    with_library(d, 'glib-2.0', 'glib')


def test_glib_in_a_static_program(d):
    static_with_library(d, 'glib-2.0', 'glib', 'glib-2.0')


def test_cxx(d):
    ours = install()
    for standard in 'c++17', 'c++20':
        objects = compiled(d, ours.pkg_config('--cflags', 'mailmill'),
                           receiver='c99', cxx=standard)
        link_and_run(d, [ours], objects, ours.pkg_config('--libs', 'mailmill'),
                     'c++')
        link_and_run(d, [], objects, archive(ours), 'c++')


def test_the_example_of_test_embed(d):
    """Its own loop and clock: it asks the library for nothing else."""
    ours = install()
    for flags in ours.pkg_config('--libs', 'mailmill'), archive(ours):
        run('cc', '-std=gnu11', '-D_GNU_SOURCE', *SAN,
            *ours.pkg_config('--cflags', 'mailmill'), '-o', f'{d}/embed',
            f'{TOP}/test/embed/embed.c', *flags)
        run(f'{d}/embed', timeout=60,
            env=dict(os.environ, LD_LIBRARY_PATH=ours.libdirs[0]))


TESTS = [test_libevent, test_libevent_in_a_static_program, test_libuv,
         test_libuv_in_a_static_program, test_glib,
         test_glib_in_a_static_program, test_cxx,
         test_the_example_of_test_embed]
