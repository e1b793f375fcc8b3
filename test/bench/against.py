"""What a change costs: two builds of mailmilld that run at once, in turn
("make bench BENCH='--against FOLDER'", the build folder of the other one).

The speed of a machine changes by more from one minute to the next than most
changes of the program make.  So runs of the two are paired, in random order,
and each pair is compared by itself: the figure is the median of the pairs'
parts, now by before.

One start of a program is up to a tenth faster than another of the same octets,
as long as it runs: where in memory it lies decides that.  So both are started
anew for each two pairs, each time from a copy of its own.
"""
import contextlib
import copy
import os
import random
import shutil
import subprocess
import time

import server
import tls


def load(a, c, bench, name, n):
    """One run: its figures."""
    sessions, keep, _ = bench.LOADS[name]
    r = bench.one_load(a, c, n, sessions, keep)
    if r['error']:
        raise RuntimeError(f'{c.label}: {name}: {r["error"]}')
    return {'accepted/s': r['accepted'], 'delivered/s': r['delivered'],
            'CPU us a message': r['cpu']}


def latency(a, c, bench):
    c.clean()
    return {'final dot to 250, ms': bench.dot_ms(c.port)}


def bulk(a, c, is_tls):
    c.clean()
    rate = tls.tlsbench(a, 'bulk', '-p', c.port, '-o', tls.BULK,
                        *([] if is_tls else ['-x']))[0]
    c.wait_delivered(1)
    return {'MB/s, over TLS' if is_tls else 'MB/s, in the clear': rate / 1e6}


ROWS = ('latency', 'tlsbulk')   # beside the loads


def kinds(a, bench):
    """Of each row asked for: name, options, listener, prepare, run."""
    for name in a.which:
        if name in bench.LOADS:
            sessions, keep, options = bench.LOADS[name]
            yield (name, options, '',
                   lambda x, c, s=sessions, k=keep:
                       bench.calibrate(x, c, s, k),
                   lambda x, c, n, name=name: load(x, c, bench, name, n))
        elif name == 'latency':
            yield (name, (), '', lambda x, c: 0,
                   lambda x, c, n: latency(x, c, bench))
        elif name == 'tlsbulk':
            for is_tls in (False, True):
                yield (name, (), tls.listener(a) if is_tls else '',
                       lambda x, c: 0,
                       lambda x, c, n, is_tls=is_tls: bulk(a, c, is_tls))


def side(a, label, build):
    """A build with folders and a syslog of its own."""
    x = copy.copy(a)
    x.build = x.built = os.path.abspath(build)
    x.fs, x.state = f'{a.fs}/{label}', f'{a.state}.{label}'
    x.label, x.current = label, None
    for d in (x.fs, x.state):
        os.makedirs(d, exist_ok=True)
    x.log = subprocess.Popen([f'{a.build}/logsink', f'{x.state}/log'])
    x.extra_pids = [x.log.pid]
    return x


PAIRS = 2       # of one start


def fresh(x):
    """A copy of the side's program, in pages of the cache of its own."""
    os.makedirs(f'{x.state}/bin', exist_ok=True)
    for name in ('mailmilld', 'mailmillctl', 'tlsbench'):
        path = f'{x.state}/bin/{name}'
        shutil.copy(f'{x.built}/{name}', f'{path}.new')
        os.rename(f'{path}.new', path)
    x.build = f'{x.state}/bin'


def pairs_of(cs, run, n, count):
    """That many pairs of figures, behind one that warms up."""
    for i in range(count + 1):
        pair = {}
        for x, c in random.sample(cs, len(cs)):
            pair[c.label] = run(x, c, n)
        if i:
            yield pair


def measure(a, both, bench, kind):
    name, options, listen, prepare, run = kind
    rows, n, left = {}, None, a.repeats
    while left > 0:
        with contextlib.ExitStack() as stack:
            cs = []
            for x in both:
                fresh(x)
                c = stack.enter_context(
                    x.mailmill(options=options, listen=listen))
                c.label = x.label
                cs.append((x, c))
            if n is None:
                n = min(prepare(x, c) for x, c in cs)
            for pair in pairs_of(cs, run, n, min(PAIRS, left)):
                for what, v in pair['before'].items():
                    rows.setdefault(what, []).append((v, pair['now'][what]))
        left -= PAIRS
    for what, pairs in rows.items():
        before, now = zip(*pairs)
        part = bench.median([q / p for p, q in pairs])
        print(f'{name:10s} {what:20s} before {bench.spread(before):28s} '
              f'now {bench.spread(now):28s} part {part:.3f}', flush=True)
        bench.note(a, 'against', row=name, what=what, before=before, now=now)


def run(a, bench):
    both = [side(a, 'before', a.against), side(a, 'now', a.build)]
    try:
        for x in both:                  # the syslog's socket
            end = time.monotonic() + 10
            while not os.path.exists(f'{x.state}/log'):
                if time.monotonic() > end:
                    raise RuntimeError(f'no syslog at {x.state}/log')
                time.sleep(0.02)
        for kind in kinds(a, bench):
            measure(a, both, bench, kind)
    finally:
        for x in both:
            if x.current:
                x.current.stop()
            x.log.kill()
            x.log.wait()
