#!/usr/bin/env python3
"""run.py [WORD...]: the system tests (those whose name holds a WORD).

Lines of a test that begin with "figure: " are printed, also when it has passed.

-j N: so many at once; by default twice as many as there are processors, but from
3 to 8, since each waits most of the time.  -l: only list them.
"""
import argparse
import glob
import importlib
import os
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import harness

LIMIT = 300                             # seconds a test may take,
LIMIT_LONG = 700                        # and one that is known to be long


def all_tests(words):
    for path in sorted(glob.glob(HERE + '/test_*.py')):
        module = importlib.import_module(os.path.basename(path)[:-3])
        for name, fn in vars(module).items():
            full = f'{module.__name__[5:]}.{name[5:]}'
            if name.startswith('test_') and callable(fn) and (
                    not words or any(w in full for w in words)):
                yield full, fn


def begin(name, fn, logs):
    path = f'{logs}/{name}'
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os._exit(harness.run_test(fn, path))
    return pid, (name, path, time.monotonic())


def end_tree(pid):
    for p in harness.descendants(pid) + [pid]:
        try:
            os.kill(p, signal.SIGKILL)
        except ProcessLookupError:
            pass


def is_long(fn):
    return getattr(fn, 'is_long', False)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('words', nargs='*')
    p.add_argument('-j', type=int,
                   default=max(3, min(8, 2 * len(os.sched_getaffinity(0)))))
    p.add_argument('-l', action='store_true')
    a = p.parse_args()
    # a test that takes minutes does not begin when the others are at their end
    todo = sorted(all_tests(a.words),
                  key=lambda test: not is_long(test[1]))
    long_ones = {name for name, fn in todo if is_long(fn)}
    if a.l:
        print('\n'.join(n for n, _ in todo))
        return 0
    harness.adopt_orphans()
    count = {0: 0, 1: 0, 2: 0}
    running = {}
    with tempfile.TemporaryDirectory() as logs:
        while todo or running:
            while todo and len(running) < a.j:
                pid, what = begin(*todo.pop(0), logs)
                running[pid] = what
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                for q, (name, path, t0) in running.items():
                    limit = LIMIT_LONG if name in long_ones else LIMIT
                    if time.monotonic() - t0 > limit * harness.SLOW:
                        print(f'     {name}: no end, killed')
                        end_tree(q)
                time.sleep(0.02)
                continue
            if pid not in running:      # an orphan
                continue
            name, path, t0 = running.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            code = code if code in count else 1
            count[code] += 1
            with open(path, errors='replace') as f:
                text = f.read()
            took = f'({time.monotonic() - t0:.1f} s)'
            print(('ok  ', 'FAIL', 'skip')[code], name, took,
                  text.strip() if code == 2 else '', flush=True)
            if code == 0:
                print(''.join(f'     {x}\n' for x in text.split('\n')
                              if x.startswith('figure: ')), end='', flush=True)
            if code == 1:
                print(''.join(f'    {x}\n' for x in text.split('\n')), flush=True)
    if count[2]:
        print(f'{count[2]} skipped')
    print(f'{count[0]} passed, {count[1]} failed')
    return count[1] != 0


if __name__ == '__main__':
    sys.exit(main())
