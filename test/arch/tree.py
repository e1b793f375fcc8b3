"""Walking the tree and its objects, for the checks of this folder."""
import os
import subprocess

PARTS = ('core', 'proto', 'tls', 'cmd')
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))


def text(path):
    with open(path, encoding='utf-8', errors='replace') as f:
        return f.read()


def sources(root, part):
    for d, _, files in os.walk(os.path.join(root, part)):
        for f in sorted(files):
            if f.endswith(('.c', '.h', '.def')):
                yield os.path.join(d, f)


def objects_of(root, objects, parts=PARTS):
    """The objects of the tree's .c files: (found, how many there should be).
    An object whose file is gone does not count."""
    want = [f'{objects}/{os.path.relpath(p, root)[:-2]}.o' for part in parts
            for p in sources(root, part) if p.endswith('.c')]
    return [o for o in want if os.path.exists(o)], len(want)


def symbols(objs, *options):
    """(object, type, name) of each, by one nm(1) for all objects."""
    out = subprocess.run(['nm', '-A', *options, *objs], capture_output=True,
                         text=True, check=True).stdout if objs else ''
    for line in out.splitlines():
        path, _, rest = line.partition(':')
        kind, name = rest.split()[-2:]
        yield path, kind, name.split('@')[0]
