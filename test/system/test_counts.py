"""What test/check.sh counts: a test that was skipped has not passed."""
import os
import subprocess

from harness import BUILD, NOBODY, ROOT, TOP, Skip

UNIT = ['sh', f'{TOP}/test/unit/unit_check.sh']


def last_lines(*args, **kw):
    p = subprocess.run([*UNIT, *args], capture_output=True, text=True, **kw)
    return p.returncode, p.stdout.split('\n')[:-1]


def test_unit_tests_that_are_skipped(d):
    if ROOT and subprocess.run(['test', '-x', f'{BUILD}/unit'],
                               user=NOBODY).returncode:
        raise Skip('another account may not run the unit tests')
    # both are of root alone, or of nobody
    status, out = last_lines(f'{BUILD}/unit', '--filter', '@(caps|bucket)/*',
                             user=NOBODY if ROOT else None)
    skips = [line for line in out if line.startswith('skip caps::')]
    assert status == 0 and skips, out
    assert all(line.endswith(': needs root') for line in skips), skips
    assert f'{len(skips)} skipped' in out, out
    passed, = (line for line in out if line.endswith(' passed, 0 failed'))
    assert int(passed.split()[0]) > 0 and out[-1] == passed, out


def test_unit_tests_that_fail_or_do_not_run(d):
    unit = f'{d}/unit'
    with open(unit, 'w') as f:
        f.write('#!/bin/sh\ncat >"${1#--tap=}" <<T\n'
                'ok - a::one  (0.00s)\nnot ok - a::two  (0.00s)\n'
                'ok - a::three  # SKIP no disk\nok - b::four  (0.10s)\n'
                'T\nexit 1\n')
    os.chmod(unit, 0o755)
    assert last_lines(unit) == (1, ['skip a::three: no disk', '1 skipped',
                                    '2 passed, 1 failed'])
    # Criterion only warns of a crash behind the test
    crash = '[----] Warning! The test `a::one` crashed during its setup or ' \
        'teardown.'
    with open(unit, 'w') as f:
        f.write(f"#!/bin/sh\necho '{crash}' >&2\n"
                "echo 'ok - a::one  (0.00s)' >\"${1#--tap=}\"\n")
    assert last_lines(unit) == (1, [
        crash, 'FAIL a::one: crashed during its setup or teardown',
        '0 passed, 1 failed'])
    status, out = last_lines('/nonexistent')
    assert status != 0 and out[-1] == '0 passed, 0 failed', out
