"""Where libraries are: ours in a temporary DESTDIR, others on the machine or
unpacked below build/."""
import atexit
import collections
import functools
import os
import re
import subprocess
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(HERE + '/../..')
BUILD = os.path.abspath(os.environ.get('MAILMILL_BUILD', TOP + '/build'))
SANITIZE = bool(os.environ.get('MAILMILL_SANITIZE'))
WARN = ['-Wall', '-Wextra', '-pedantic', '-Werror']
# where there is no root to install them: test/deps.sh
PACKAGES = {'libevent': 'libevent-dev', 'libuv': 'libuv1-dev',
            'glib-2.0': 'libglib2.0-dev'}


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


def run(*args, **more):
    p = subprocess.run(args, capture_output=True, text=True, **more)
    assert p.returncode == 0, \
        ' '.join(args) + '\n' + p.stdout[-3000:] + p.stderr[-3000:]
    return p.stdout


def make_status(*args, umask=-1):
    flags = ['SANITIZE=1'] if SANITIZE else []
    if BUILD.startswith(TOP + '/build/'):       # as check.sh built it
        flags.append('WERROR=-Werror')
    p = subprocess.run(['make', '-s', '-C', TOP, *flags, *args,
                        f'B={os.path.relpath(BUILD, TOP)}'],
                       capture_output=True, text=True, umask=umask)
    return p.returncode, p.stdout + p.stderr


def make(*args, umask=-1):
    status, said = make_status(*args, umask=umask)
    assert status == 0, ' '.join(args) + '\n' + said[-6000:]
    return said


class Tree:
    """A folder that packages are installed in; '' is the machine's own."""

    def __init__(self, root='', *libdirs):
        self.root = root
        self.libdirs = [root + d for d in libdirs]

    def pkg_config(self, *args):
        env = dict(os.environ)
        if self.root:
            env['PKG_CONFIG_SYSROOT_DIR'] = self.root
            env['PKG_CONFIG_LIBDIR'] = ':'.join(
                [d + '/pkgconfig' for d in self.libdirs] +
                [self.root + '/usr/share/pkgconfig'])
        return run('pkg-config', *args, env=env).split()

    def env(self):
        """An environment in which pkg-config finds this tree, and the
        machine's."""
        d = kept_dir()
        for at in self.libdirs:
            for name in os.listdir(at + '/pkgconfig'):
                with open(f'{at}/pkgconfig/{name}', encoding='ascii') as f:
                    text = f.read()
                with open(f'{d}/{name}', 'w', encoding='ascii') as f:
                    f.write(re.sub(r'^prefix=', f'prefix={self.root}', text,
                                   flags=re.M))
        return dict(os.environ, PKG_CONFIG_PATH=d)


def install_in(d, *settings, umask=-1):
    make('install', f'DESTDIR={d}/root', *settings, umask=umask)
    return Tree(f'{d}/root', '/usr/local/lib')


def once(f):
    """Call ${f} once for the same arguments, whichever test comes first; the
    others wait for it."""
    cached = functools.cache(f)
    all_locks, locks = threading.Lock(), collections.defaultdict(
        threading.Lock)

    @functools.wraps(f)
    def locked(*args):
        with all_locks:
            lock = locks[args]
        with lock:
            return cached(*args)
    return locked


def kept_dir():
    """A folder that is there until the end."""
    d = tempfile.TemporaryDirectory()
    atexit.register(d.cleanup)
    return d.name


@once
def install():
    """The one that all tests use."""
    return install_in(kept_dir())


def multiarch():
    return run('cc', '-print-multiarch').strip()


@once
def unpack(package):
    d = f'{TOP}/build/{package}'
    p = subprocess.run(['sh', TOP + '/test/unpack.sh', d, package],
                       capture_output=True, text=True)
    if p.returncode != 0:
        raise Skip(f'{package} is not installed, and apt-get does not fetch it: '
                   + ' '.join(p.stderr.split())[-200:])
    return Tree(d + '/root', f'/usr/lib/{multiarch()}', f'/lib/{multiarch()}')


def other(name):
    """The tree of another library, by its name in pkg-config."""
    there = subprocess.run(['pkg-config', '--exists', name]).returncode == 0
    return Tree() if there else unpack(PACKAGES[name])


# the libraries, and the lists of what they export
MAPS = {'mailmill': 'proto/library/libmailmill.map',
        'mailmill-tls': 'tls/library/libmailmill-tls.map'}


def exported(*libraries):
    """The names of the maps of these libraries, or of all."""
    names = []
    for library in libraries or MAPS:
        with open(f'{TOP}/{MAPS[library]}', encoding='ascii') as f:
            found = re.findall(r'^\s*([A-Za-z_]\w*);', f.read(), re.M)
        assert len(found) > 10, found
        names += found
    double = {n for n in names if names.count(n) > 1}
    assert not double, f'twice in the maps: {double}'
    return set(names)
