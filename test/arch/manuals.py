"""The manual pages as people see them: man(1) of Debian uses groff, others use
mandoc."""
import glob
import os
import re
import subprocess

from tree import text

WIDTH = 78
# what man(1) has a page run through before groff, by the letters of its first
# line
PREPROCESSORS = {'t': '-t', 'e': '-e', 'p': '-p'}


def shown(words):
    """(text, complaints) of a page as a renderer shows it: its characters without
    the head, the foot, the breaks of lines and words, and quotes, for which each
    has its own."""
    p = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = [line for line in re.sub(r'.\x08', '', p.stdout).split('\n')
             if line.strip()]
    return re.sub(r'[\s`\'"-]+', '', ''.join(lines[1:-1])), p.stderr


def by_groff(path):
    letters = re.match(r"'\\\" (\w*)\n", text(path))
    return shown(['groff', '-Tascii', '-mdoc', f'-rLL={WIDTH}n', '-P-cbou'] + [
        PREPROCESSORS[c] for c in (letters[1] if letters else '')] + [path])


def by_mandoc(path):
    return shown(['mandoc', '-Tascii', '-O', f'width={WIDTH}', path])


def first_difference(a, b):
    n = len(os.path.commonprefix([a, b]))
    return f'"{a[max(n - 30, 0):n + 30]}" and "{b[max(n - 30, 0):n + 30]}"'


def both_renderers_show_the_same(root, objects):
    """Each word of each page, in that order; so no table or list is lost in one
    of the two, and groff has no line that it cannot break."""
    pages = sorted(glob.glob(root + '/man/*.[1-9]'))
    if not pages:
        yield 'man/: no pages'
    for path in pages:
        groff, complaints = by_groff(path)
        mandoc, _ = by_mandoc(path)
        for line in complaints.split('\n'):
            if line:
                yield line
        if len(mandoc) < 1000:
            yield f'{path}: mandoc shows {len(mandoc)} characters'
        if groff != mandoc:
            yield f'{path}: groff and mandoc show ' \
                f'{first_difference(groff, mandoc)}'


CHECKS = [both_renderers_show_the_same]
