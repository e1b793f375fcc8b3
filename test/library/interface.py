"""What "make abidiff" tells of two versions: of both libraries, and of each kind
of change that would break programs which are not compiled anew."""
import os
import subprocess

from tree import BUILD, MAPS, SANITIZE, TOP, Skip, make_status, run

# a library of one header, whose struct may get members at its end: it has the
# name of one that libmailmill.abignore lists
HEADER = '''struct arg { int x; };
enum number { A, B };
struct esmtp_moved {
	unsigned long size;
	int a, b;
	const char *name;
	int (*f)(struct arg *, int);
	union { long l; char c[8]; } u;
	unsigned int bit : 1, bits : 3;
};
struct fixed { int a, b; };
struct hidden;
int use(struct esmtp_moved *m, struct fixed *f, enum number n);
int count(struct hidden *h);
'''
SOURCE = '''#include <tiny.h>
struct hidden { int n; };
int use(struct esmtp_moved *m, struct fixed *f, enum number n)
{ return (m != 0) + (f != 0) + (int)n; }
int count(struct hidden *h)
{ return h->n; }
'''
MORE = ('bits : 3;\n', 'bits : 3;\n\tvoid *more;\n')
# what is changed in both texts, and whether programs break
CHANGES = {
    'nothing': ((), False),
    'a member at the end': ((MORE,), False),
    'a struct that programs do not see': (
        (('hidden { int n; }', 'hidden { int n, more; }'),), False),
    'a member in front': ((('\tint a, b;\n\tc', '\tint z, a, b;\n\tc'),), True),
    'the type of a member': ((('int a, b;\n\tc', 'unsigned a, b;\n\tc'),), True),
    'the size of a member, into a gap': ((('int a, b;\n\tc',
                                           'short a; int b;\n\tc'),), True),
    'what a member points to': ((('const char *', 'const int *'),), True),
    'an argument of a function': ((('*, int)', '*, long)'),), True),
    'a member of a union': ((('long l', 'double l'),), True),
    'the width of a field': ((('bit : 1', 'bit : 2'),), True),
    'two members, the other way round': ((('a, b;\n\tc', 'b, a;\n\tc'),), True),
    'a type, and a member at the end': (
        (('int a, b;\n\tc', 'float a, b;\n\tc'), MORE), True),
    'a member less, and one at the end': (
        (('const char *name;\n', ''), MORE), True),
    'the last member': ((('\tunsigned int bit : 1, bits : 3;\n', ''),), True),
    'a struct of which programs have the size': (
        (('fixed { int a, b;', 'fixed { int a, b, c;'),), True),
    'the type of a member of that': (
        (('fixed { int a, b;', 'fixed { unsigned a, b;'),), True),
    'an argument': ((('struct fixed *f, ', ''), ('(f != 0) + ', '')), True),
    'a result': ((('int count(', 'long count('),), True),
    'a function less': ((('int count(', 'static int count('),), True),
    'a number': ((('{ A, B }', '{ Z, A, B }'),), True),
}


def tiny(d, name, changes):
    """A library of these texts, in which (old, new) are changed."""
    os.mkdir(f'{d}/{name}')
    for f, text in ('tiny.h', HEADER), ('tiny.c', SOURCE):
        for old, new in changes:
            assert old in HEADER + SOURCE, old
            text = text.replace(old, new)
        with open(f'{d}/{name}/{f}', 'w', encoding='ascii') as file:
            file.write(text)
    library = f'{d}/{name}/libmailmill-tls.so.0'
    run('gcc', '-g', '-w', '-shared', '-fPIC', f'-I{d}/{name}', '-o', library,
        f'{d}/{name}/tiny.c')
    return library


def test_abidiff_tells_each_kind_of_change(d):
    old = tiny(d, 'old', ())
    for i, (what, (changes, is_told)) in enumerate(CHANGES.items()):
        new = tiny(d, str(i), changes)
        p = subprocess.run(
            [f'{TOP}/proto/library/abidiff.py',
             f'{TOP}/proto/library/libmailmill.abignore', f'{d}/old',
             f'{d}/{i}', old, new], capture_output=True, text=True)
        assert (p.returncode != 0) == is_told and p.stderr == '', \
            f'{what}: status {p.returncode}\n{p.stdout}{p.stderr}'


def test_abidiff_finds_no_change_in_what_is_the_same(d):
    """Of a folder, which is both libraries."""
    if SANITIZE:
        raise Skip('ASan adds symbols of its own')
    status, said = make_status('abidiff', f'OLD={BUILD}')
    assert status == 0, said
    status, said = make_status('abidiff', f'OLD={d}')
    assert status != 0 and 'there is no such library' in said, said


def test_abidiff_tells_a_change(d):
    """Of the library itself, one of whose functions is not exported."""
    if SANITIZE:
        raise Skip('ASan adds symbols of its own')
    with open(f'{TOP}/{MAPS["mailmill"]}', encoding='ascii') as f:
        less = f.read().replace('\tmailmill_version;\n', '')
    with open(f'{d}/map', 'w', encoding='ascii') as f:
        f.write(less)
    new = f'{d}/libmailmill.so.0'
    run('gcc', '-shared', '-pthread', '-Wl,-soname,libmailmill.so.0',
        f'-Wl,--version-script={d}/map', '-o', new, '-Wl,--whole-archive',
        f'{BUILD}/libengine.a', '-Wl,--no-whole-archive')
    status, said = make_status('abidiff', f'OLD={BUILD}/libmailmill.so.0',
                               f'NEW={new}')
    assert status != 0 and 'mailmill_version(' in said, said


TESTS = [test_abidiff_tells_a_change, test_abidiff_tells_each_kind_of_change,
         test_abidiff_finds_no_change_in_what_is_the_same]
