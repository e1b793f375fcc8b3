"""Relaying to smtp-sink, beside a Postfix that relays to the same one."""
import os
import re
import subprocess
import time

import peer
import server

DOMAIN = 'relay.test'
RCPT = f'user@{DOMAIN}'
SESSIONS = {'relay10': 10, 'relay100': 100}
RATE, CPU = (5, 8), (.25, .125)         # parts of Postfix's: must, aim


def arrived(sink):
    """How many messages it has taken: the last count that it has written."""
    with open(sink.log, 'rb') as f:
        f.seek(max(0, os.path.getsize(sink.log) - 200))
        counts = re.findall(rb'mesg=(\d+)', f.read())
    return int(counts[-1]) if counts else 0


def one(a, c, sink, n, sessions):
    """n messages through c: its figures.  Time ends with the last at the sink."""
    c.settle()
    subprocess.run(['sync', '-f', a.fs], check=True)
    was, cpu = arrived(sink), c.cpu()
    t0 = time.monotonic()
    took, _, err = server.source(a, c, n, sessions, False, rcpt=RCPT)
    got, since = -1, time.monotonic()
    while not err:
        now, t = arrived(sink) - was, time.monotonic()
        if now != got:
            got, since = now, t
        if got >= n:
            break
        if t - since > 30:
            err = f'{got} of {n} arrived'
        time.sleep(0.005)
    whole = time.monotonic() - t0
    c.settle()
    return {'who': c.name, 'n': n, 'accepted': n / took, 'relayed': n / whole,
            'cpu': (c.cpu() - cpu) * 1e6 / n, 'error': err}


def calibrate(a, name, run, sessions, rate):
    """How many messages run(n) is to have, so that it takes about a.secs; its
    result has their rate under that key."""
    n = 10 * sessions
    for _ in range(3):
        r = run(n)
        if r['error']:
            raise RuntimeError(f'{name}: {r["error"]}')
        last, n = n, int(min(a.max_n, max(10 * sessions,
                                          min(10 * n, a.secs * r[rate]))))
        if n < 2 * last:
            break
    return n


def measure(a, name, both, sink, note):
    """The pairs of figures of one row, ours and Postfix's."""
    sessions, pairs = SESSIONS[name], []
    ns = [calibrate(a, c.name, lambda n, c=c: one(a, c, sink, n, sessions),
                    sessions, 'relayed') for c in both]
    for _ in range(a.repeats):
        pair = []
        for c, n in zip(both, ns):
            r = one(a, c, sink, n, sessions)
            note(a, name, **r)
            print(f'{name:10s} {c.name:9s} n={n:<6d} accepted '
                  f'{r["accepted"]:6.0f}/s relayed {r["relayed"]:6.0f}/s '
                  f'cpu {r["cpu"]:5.0f} us {r["error"]}', flush=True)
            pair.append(r)
        if not any(r['error'] for r in pair):
            pairs.append(pair)
    return pairs


def run(a, name, median, spread, note):
    sink = server.Sink().start(a, 'relay-sink.log')
    a.extra_pids += sink.pids
    postfix = peer.Postfix()
    try:
        postfix.start(a, DOMAIN, f'smtp:[127.0.0.1]:{sink.port}')
        with a.mailmill(domains=f'Domain "{DOMAIN}" {{\n\tDelivery = "smtp"\n'
                        f'\tRoute = "127.0.0.1:{sink.port}"\n}}') as ours:
            pairs = measure(a, name, (ours, postfix), sink, note)
    finally:
        for c in (postfix, sink):
            c.stop()
    if not pairs:
        a.failed.append(name)
        return
    for what, label, goal, up in (
            ('relayed', 'messages/s relayed', RATE, True),
            ('cpu', 'CPU us a message relayed', CPU, False)):
        mine, its = ([p[i][what] for p in pairs] for i in (0, 1))
        a.row(name, f'{label}, {SESSIONS[name]} sessions, as a part of '
              f'Postfix\'s {spread(its)}', spread(mine), '-',
              median([p / q for p, q in zip(mine, its)]), goal, up=up)


RUNS = {name: lambda *args, name=name: run(args[0], name, *args[1:])
        for name in SESSIONS}
