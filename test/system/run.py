#!/usr/bin/env python3
"""run.py [WORD...]: the system tests (those whose name holds a WORD).

Lines of a test that begin with "figure: " are printed, also when it has passed.

-j N: so many at once; by default three times as many as there are processors (twice
as many with sanitizers, since they compute more), but from 3 to 8, since each waits
most of the time.  -l: only list them.
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
    return pid, (name, fn, path, time.monotonic())


def end_tree(pid):
    for p in harness.descendants(pid) + [pid]:
        try:
            os.kill(p, signal.SIGKILL)
        except ProcessLookupError:
            pass


def is_long(fn):
    return getattr(fn, 'is_long', False)


def by_default():
    n = len(os.sched_getaffinity(0))
    return max(3, min(8, 2 * n if harness.SANITIZE else 3 * n))


class Order:
    """Those that last long come first, the longest of them before the others, for
    none to be alone at the end.  Since they wait, they have half of the places, and
    those that compute have the others."""

    def __init__(self, tests, places):
        self.long = sorted((t for t in tests if harness.seconds_of(t[1])),
                           key=lambda t: -harness.seconds_of(t[1]))
        self.short = [t for t in tests if not harness.seconds_of(t[1])]
        self.most_long = max(1, places // 2)

    def all(self):
        return self.long + self.short

    def next(self, running):
        """The test to begin beside those that run, or None."""
        nlong = sum(bool(harness.seconds_of(fn)) for _, fn in running)
        if self.long and (nlong < self.most_long or not self.short):
            return self.long.pop(0)
        return self.short.pop(0) if self.short else None


def print_longest(times):
    """The ten tests that took longest, each with what its processes computed:
    what is left of its time it has waited."""
    if len(times) > 1:
        computed = sum(cpu for _, cpu, _ in times)
        print(f'longest of {len(times)}, which computed {computed:.0f} s:')
        for took, cpu, name in sorted(times, reverse=True)[:10]:
            print(f'     {took:.1f} s, computed {cpu:.1f} s: {name}')


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('words', nargs='*')
    p.add_argument('-j', type=int, default=by_default())
    p.add_argument('-l', action='store_true')
    a = p.parse_args()
    todo = Order(list(all_tests(a.words)), a.j)
    if a.l:
        print('\n'.join(n for n, _ in todo.all()))
        return 0
    harness.adopt_orphans()
    count = {0: 0, 1: 0, 2: 0}
    running = {}
    times = []
    with tempfile.TemporaryDirectory() as logs:
        while todo.all() or running:
            while len(running) < a.j and (test := todo.next(
                    [what[:2] for what in running.values()])):
                pid, what = begin(*test, logs)
                running[pid] = what
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                for q, (name, fn, path, t0) in running.items():
                    limit = LIMIT_LONG if is_long(fn) else LIMIT
                    if time.monotonic() - t0 > limit * harness.SLOW:
                        print(f'     {name}: no end, killed')
                        end_tree(q)
                time.sleep(0.02)
                continue
            if pid not in running:      # an orphan
                continue
            name, fn, path, t0 = running.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            code = code if code in count else 1
            count[code] += 1
            with open(path, errors='replace') as f:
                text = f.read()
            took = time.monotonic() - t0
            times.append((took, used.ru_utime + used.ru_stime, name))
            print(('ok  ', 'FAIL', 'skip')[code], name, f'({took:.1f} s)',
                  text.strip() if code == 2 else '', flush=True)
            if code == 0:
                print(''.join(f'     {x}\n' for x in text.split('\n')
                              if x.startswith('figure: ')), end='', flush=True)
            if code == 1:
                print(''.join(f'    {x}\n' for x in text.split('\n')), flush=True)
    print_longest(times)
    if count[2]:
        print(f'{count[2]} skipped')
    print(f'{count[0]} passed, {count[1]} failed')
    return count[1] != 0


if __name__ == '__main__':
    sys.exit(main())
