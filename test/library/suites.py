"""The unit tests of what threads share, under TSan.  Criterion does not start
there, so they run without it: standin/."""
import glob
import os
import subprocess

from examples import TSAN, tsan_libraries
from tree import HERE, SANITIZE, TOP, Skip, kept_dir, once, run

# the folders of test/unit that are about threads, whole; and of others what
# begins one
WHOLE = 'core/jobs', 'proto/answers', 'proto/embed', 'proto/service'
OTHERS = ('core/loop',)
ARCHIVES = ('test', 'engine', 'core', 'tls')
# what these need besides
MORE = 'test/unit/proto/server/fake.c'


# a child of fork(2) starts threads while its parent had some, which TSan itself
# does not survive
NOT_UNDER_TSAN = ['thread_pool/is_that_of_the_process_after_fork']
FLAGS = ('-std=gnu2x', '-D_GNU_SOURCE', '-O1', '-g1', TSAN, '-pthread',
         f'-I{HERE}/standin', f'-I{TOP}', HERE + '/standin/standin.c')
# what each of these does not pass
BAD = {
    'a race': '''
        static int n;
        static void *count(void *p) { n++; return p; }
        Test(bad, race)
        {
            pthread_t t;
            pthread_create(&t, NULL, count, NULL);
            n++;
            pthread_join(t, NULL);
        }''',
    'an expectation': 'Test(bad, expectation) { cr_expect_eq(1, 2); }',
    'an assertion': 'Test(bad, assertion) { cr_assert_str_eq("a", "b"); }',
    'the end of a suite': '''
        static void fini(void) { cr_expect_null("x", "%d", 1); }
        TestSuite(bad, .fini = fini);
        Test(bad, end) { cr_assert(true); }''',
    'a crash': 'Test(bad, crash) { abort(); }',
}


def text(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


@once
def program():
    """All of them."""
    at, d = tsan_libraries(), kept_dir()
    sources = [p for folder in WHOLE + OTHERS
               for p in sorted(glob.glob(f'{TOP}/test/unit/{folder}/*.c'))
               if folder in WHOLE or 'pthread_create' in text(p)]
    assert len(sources) > 25, sources
    packages = 'libbsd-overlay', 'openssl', 'libgsasl', 'libidn2'
    flags = run('pkg-config', '--cflags', *packages).split()
    libs = run('pkg-config', '--libs', *packages).split() + ['-lunistring']
    run('gcc', *FLAGS, f'-I{at}/include', *flags, '-o', d + '/suites', *sources,
        f'{TOP}/{MORE}', '-Wl,--start-group',
        *(f'{at}/lib{name}.a' for name in ARCHIVES), '-Wl,--end-group', *libs)
    return d + '/suites'


def environment():
    # a child of fork(2) has threads of its own
    return dict(os.environ, TSAN_OPTIONS='halt_on_error=1 die_after_fork=0')


def test_suites_with_threads_under_tsan(d):
    if SANITIZE:
        raise Skip('ASan and TSan exclude each other')
    said = run(program(), *NOT_UNDER_TSAN, timeout=600, env=environment())
    assert said.endswith(', 0 failed\n'), said


def test_suites_that_are_bad_under_tsan(d):
    """Does the program without Criterion see what it should see?"""
    if SANITIZE:
        raise Skip('ASan and TSan exclude each other')
    for i, (what, code) in enumerate(BAD.items()):
        with open(f'{d}/{i}.c', 'w', encoding='ascii') as f:
            f.write('#include <pthread.h>\n#include <criterion/criterion.h>\n'
                    f'Test(good, one) {{ cr_expect(true); }}\n{code}\n')
        run('gcc', *FLAGS, '-o', f'{d}/{i}', f'{d}/{i}.c')
        p = subprocess.run([f'{d}/{i}'], capture_output=True, text=True,
                           env=environment(), timeout=60)
        assert p.returncode == 1 and \
            p.stdout.endswith('\n1 passed, 1 failed\n'), f'{what}: {p}'


TESTS = [test_suites_with_threads_under_tsan,
         test_suites_that_are_bad_under_tsan]
