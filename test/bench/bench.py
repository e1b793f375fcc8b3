#!/usr/bin/env python3
"""How fast mailmill is, beside smtp-sink in the same run ("make bench").

smtp-sink speaks the protocol and throws the mail away, in one process: what
the protocol costs without a disk.  Rates are given as parts of its rate.  The
two take turns, a figure is the median of the runs, with minimum and maximum.
Load: smtp-source, 4 KiB; mailmilld with two workers, durable commits, delivery
into one Maildir on an ext4 with a journal (disk.sh); it logs to a syslog that
discards.  All of them share this machine's cores.
"""
import argparse
import itertools
import json
import os
import resource
import socket
import statistics
import struct
import subprocess
import sys
import time

import against
import bdat
import dead
import disk
import due
import lmtp
import many_hops
import proc
import relay
import server
import tls

# name: (sessions, many messages per connection, options of mailmilld)
LOADS = {
    'accept10': (10, False, ()),
    'accept100': (100, False, ()),
    'many10': (10, True, ()),
    'many100': (100, True, ()),
    'nosync10': (10, False, ('spool_sync=none',)),
    'nosync100': (100, False, ('spool_sync=none',)),
}
OTHERS = ('latency', 'memory', 'parked', 'idle', 'due', 'dead', 'many_hops',
          *tls.RUNS, *bdat.RUNS, *relay.RUNS, *lmtp.RUNS)
# for --only: each takes a quarter of an hour, and gigabytes of the disk
LONG = ('dead_million', 'dead_messages')
# what the first release must reach, and what it aims at
GOALS = {
    ('accept10', 'accepted'): (.40, .60), ('accept100', 'accepted'): (.55, .75),
    ('accept10', 'delivered'): (.38, .55), ('accept100', 'delivered'): (.50, .65),
    ('many10', 'accepted'): (.33, .50), ('many100', 'accepted'): (.65, .85),
    ('many10', 'delivered'): (.30, .40), ('many100', 'delivered'): (.30, .40),
    ('nosync10', 'accepted'): (.80, .95), ('nosync100', 'accepted'): (.80, .95),
    ('accept10', 'cpu'): (250, 180), ('accept100', 'cpu'): (250, 180),
    ('many10', 'cpu'): (160, 110), ('many100', 'cpu'): (160, 110),
}


def median(v):
    return statistics.median(v) if v else float('nan')


def num(x):
    return f'{x:.0f}' if x >= 100 else f'{x:.1f}' if x >= 10 else f'{x:.2f}'


def spread(v):
    return f'{num(median(v))} ({num(min(v))}..{num(max(v))})' if v else '-'


def note(a, kind, **r):
    with open(a.out, 'a') as f:
        f.write(json.dumps({'kind': kind, 'time': int(time.time()), **r}) + '\n')


# ------------------------------------------------------------------ load
def one_load(a, c, n, sessions, keep):
    c.clean()
    k0, h0, c0, f0 = c.counters(), proc.host(), c.cpu(), proc.foreign(a.all_pids())
    wall, t0 = time.time(), time.monotonic()
    took, gen, err = server.source(a, c, n, sessions, keep)
    c1, h1 = c.cpu(), proc.host()
    r = {'who': c.name, 'n': n, 'accepted': n / took, 'gen_cores': gen / took,
         'cores': (c1 - c0) / took, 'error': err}
    ticks = max(1, h1[2] - h0[2])
    r['idle'] = 100 * (h1[0] - h0[0]) / ticks
    r['iowait'] = 100 * (h1[1] - h0[1]) / ticks
    if c.name == 'mailmill':
        got = c.wait_delivered(n)
        if got < n and not err:
            r['error'] = f'{got} of {n} delivered'
        r['delivered'] = n / max(1e-9, os.stat(c.new).st_mtime - wall)
        c.settle()
        k1 = c.counters()
        r['flushes'] = (int(k1['commits']) - int(k0['commits'])) / n
        r['syncfs'] = (int(k1['delivery_batches'])
                       - int(k0['delivery_batches'])) / n
    r['cpu'] = (c.cpu() - c0) * 1e6 / n
    r['foreign'] = ((proc.foreign(a.all_pids()) - f0)
                    / (time.monotonic() - t0))
    return r


def calibrate(a, c, sessions, keep, secs=None):
    """How many messages make a run of a.secs."""
    secs = secs or a.secs
    n = 20 * sessions
    for _ in range(4):
        c.clean()
        took = server.source(a, c, n, sessions, keep)[0]
        if c.name == 'mailmill':
            c.wait_delivered(n)
        last, n = n, int(min(a.max_n, max(20 * sessions, min(
            12 * n, n * secs / took))))
        if took > 0.35 * secs or n == last:
            break
    return n


def limit(rows):
    """What slowed our runs down: other processes, the disk."""
    gen, idle, wait = (median([r[k] for r in rows])
                       for k in ('gen_cores', 'idle', 'iowait'))
    if gen > 0.93:
        what = 'the load generator'
    elif idle + wait < 12:
        what = 'the CPU'
    elif wait > idle:
        what = 'the disk'
    else:
        what = 'waits'
    return (f'{what} (ours {median([r["cores"] for r in rows]):.2f} cores, '
            f'smtp-source {gen:.2f}, idle {idle:.0f} %, waiting for the disk '
            f'{wait:.0f} %)')


def run_load(a, name):
    sessions, keep, options = LOADS[name]
    with a.mailmill(options=options) as ours:
        both = (a.sink, ours)
        ns = {c.name: calibrate(a, c, sessions, keep) for c in both}
        rows = {c.name: [] for c in both}
        for _ in range(a.repeats):
            for c in both:
                for attempt in range(3):
                    r = one_load(a, c, ns[c.name], sessions, keep)
                    if r['foreign'] < 0.1 or a.hasty or attempt == 2:
                        break
                    print(f'# others used {r["foreign"]:.2f} cores, again',
                          flush=True)
                note(a, name, **r)
                print(f'{name:10s} {c.name:9s} n={r["n"]:<6d} '
                      f'accepted {r["accepted"]:6.0f}/s '
                      f'delivered {r.get("delivered", 0):6.0f}/s '
                      f'cpu {r["cpu"]:5.0f} us  flushes {r.get("flushes", 0):.3f}'
                      f'+{r.get("syncfs", 0):.4f}  cores {r["cores"]:.2f} '
                      f'gen {r["gen_cores"]:.2f}  idle {r["idle"]:.0f}+'
                      f'{r["iowait"]:.0f} %  others {r["foreign"]:.2f} '
                      f'{r["error"]}', flush=True)
                if not r['error']:
                    rows[c.name].append(r)
    mine, sink = rows['mailmill'], rows['smtp-sink']
    if not mine or not sink:
        a.failed.append(name)
        return
    base = median([r['accepted'] for r in sink])
    many = 'many a connection' if keep else 'one a connection'
    label = f'{sessions} sessions, {many}'
    if options:
        label += ', no flush'
    for what in ('accepted', 'delivered'):
        v = [r[what] for r in mine]
        a.row(name, f'{what}/s, {label}', spread(v),
              spread([r['accepted'] for r in sink]), median(v) / base,
              GOALS.get((name, what)), up=True)
    a.row(name, f'CPU us a message, {label}', spread([r['cpu'] for r in mine]),
          spread([r['cpu'] for r in sink]), median([r['cpu'] for r in mine]),
          GOALS.get((name, 'cpu')), up=False)
    a.remarks.append(
        f'{label}: {median([r["flushes"] for r in mine]):.3f} flushes of the '
        f'spool and {median([r["syncfs"] for r in mine]):.4f} of the file '
        f'system a message; limit: {limit(mine)}')


# ------------------------------------------------------------------ sessions
class Smtp:
    def __init__(self, port):
        self.s = socket.create_connection(('127.0.0.1', port), 30)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.f = self.s.makefile('rb')
        self.reply(b'2')

    def reply(self, want):
        while True:
            line = self.f.readline()
            if line[3:4] != b'-':
                break
        if line[:1] != want:
            raise OSError(f'reply {line!r}')

    def cmd(self, text, want=b'2'):
        self.s.sendall(text + b'\r\n')
        self.reply(want)

    def close(self):
        self.f.close()
        self.s.close()


def open_idle(port, n):
    """n sessions after EHLO.  Plain sockets, to be quick; from another address
    than smtp-source's, and from ports that the system does not choose: its
    connect(2) would have to look for one among theirs."""
    with open('/proc/sys/net/ipv4/ip_local_port_range') as f:
        low, high = map(int, f.read().split())
    ports = [*range(1025, low), *range(high + 1, 65536)]
    own = itertools.product((f'127.0.0.{i}' for i in range(2, 10)),
                            ports or range(1025, 65536))
    out = []
    while len(out) < n:
        s = socket.socket()
        s.settimeout(30)
        # closed with a reset: nothing of them remains (TIME-WAIT)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     struct.pack('ii', 1, 0))
        try:
            s.bind(next(own))
        except OSError:
            s.close()
            continue
        except StopIteration:
            sys.exit('bench: no ports left for idle sessions')
        s.connect(('127.0.0.1', port))
        s.recv(4096)
        s.sendall(b'EHLO idle.test\r\n')
        out.append(s)
        s.recv(4096)
    return out


def flush_ms(a, n=300):
    """One fdatasync of 4 KiB appended to a written file, median in ms."""
    path = f'{a.fs}/flush'
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(4096 * n), 0)
    os.fsync(fd)
    v = []
    for i in range(n):
        t = time.perf_counter()
        os.pwrite(fd, b'x' * 4096, 4096 * i)
        os.fdatasync(fd)
        v.append((time.perf_counter() - t) * 1000)
    os.close(fd)
    os.unlink(path)
    return median(v)


def dot_ms(port, n=300):
    body = (b'Subject: bench\r\n\r\n' + (b'x' * 76 + b'\r\n') * 52)
    s, v = Smtp(port), []
    s.cmd(b'EHLO client.test')
    for _ in range(n):
        s.cmd(b'MAIL FROM:<a@client.test>')
        s.cmd(b'RCPT TO:<user@example.test>')
        s.cmd(b'DATA', b'3')
        s.s.sendall(body)
        t = time.perf_counter()
        s.cmd(b'.')
        v.append((time.perf_counter() - t) * 1000)
    s.cmd(b'QUIT')
    s.close()
    return median(v)


def run_latency(a):
    one, ours, sink, peer = [], [], [], []
    with a.mailmill() as c:
        for _ in range(a.repeats):
            one.append(flush_ms(a))
            sink.append(dot_ms(a.sink.port))
            c.clean()
            ours.append(dot_ms(c.port))
            c.clean()
            text = ''
            if a.peer:
                peer.append(dot_ms(a.peer[1]))
                text = f', {a.peer[0]} {peer[-1]:.3f} ms'
            note(a, 'latency', flush=one[-1], sink=sink[-1], ours=ours[-1],
                 peer=peer[-1:])
            print(f'latency    flush {one[-1]:.3f} ms  dot to 250: mailmill '
                  f'{ours[-1]:.3f} ms, smtp-sink {sink[-1]:.3f} ms{text}',
                  flush=True)
    if peer:
        a.row('latency', f'final dot to 250, ms, 1 session, as a part of '
              f'{a.peer[0]}\'s {num(median(peer))} ms', spread(ours),
              spread(sink), median(ours) / median(peer), (.5, .3), up=False)
    a.row('latency', 'final dot to 250, ms, 1 session, in single flushes '
          f'of {num(median(one))} ms', spread(ours), spread(sink),
          median(ours) / median(one), (3, 2), up=False)


def still_pss_kib(c):
    """What the processes take when they take no more: a process may allocate
    memory of its own some seconds after its start."""
    c.settle()
    now, end = proc.pss_kib(c.pids), time.monotonic() + 30
    while time.monotonic() < end:
        before = now
        time.sleep(2)
        now = proc.pss_kib(c.pids)
        if abs(now - before) < 64:
            break
    return now


def run_memory(a):
    n, v = 5000, []
    for _ in range(min(a.repeats, 3)):
        with a.mailmill() as c:
            before = still_pss_kib(c)
            s = open_idle(c.port, n)
            v.append((still_pss_kib(c) - before) / n)
            for x in s:
                x.close()
        note(a, 'memory', kib=v[-1])
        print(f'memory     {v[-1]:.3f} KiB a session', flush=True)
    a.row('memory', f'KiB of memory a session after EHLO, {n} sessions',
          spread(v), '-', median(v), (2, 1), up=False)


def run_parked(a):
    """Many short pairs: the difference is smaller than what the machine
    itself changes from one minute to the next."""
    n = 10000
    for keep in (False, True):
        pairs = []
        with a.mailmill(workers=1) as c:
            m = calibrate(a, c, 10, keep, min(a.secs, 1.5))
            for _ in range(3 * a.repeats):
                rates = []
                for idle in (0, n):
                    c.clean()
                    s = open_idle(c.port, idle)
                    c.settle()
                    err = server.source(a, c, m // 4, 10, keep)[2]
                    if not err:                 # it is warm
                        took, _, err = server.source(a, c, m, 10, keep)
                    if not err:
                        c.wait_delivered(m + m // 4)
                    for x in s:
                        x.close()
                    if err:
                        print(f'parked     {idle} idle: {err}', flush=True)
                    else:
                        rates.append(m / took)
                if len(rates) == 2:
                    pairs.append(rates)
                    print(f'parked     without {rates[0]:.0f}/s, with {n} '
                          f'idle sessions {rates[1]:.0f}/s', flush=True)
        note(a, 'parked', keep=keep, pairs=pairs)
        if pairs:
            a.row('parked', f'accepted/s with {n} idle sessions, 10 active, '
                  f'{"many" if keep else "one"} a connection, 1 worker, '
                  f'against none: {num(median([p[0] for p in pairs]))}',
                  spread([p[1] for p in pairs]), '-',
                  median([p[1] / p[0] for p in pairs]), (.90, .97), up=True)
        else:
            a.failed.append('parked')


def run_idle(a):
    v = []
    with a.mailmill() as c:
        c.settle()
        for _ in range(a.repeats):
            c0 = c.cpu()
            time.sleep(3)
            v.append((c.cpu() - c0) / 3 * 1000)
            print(f'idle       {v[-1]:.2f} ms of CPU a second', flush=True)
    note(a, 'idle', ms=v)
    a.row('idle', 'CPU ms a second of an idle server', spread(v), '-',
          median(v), (2, 1), up=False)


def run_due(a):
    due.run_due(a, median, spread, note, Smtp)


def run_dead(a, name='dead'):
    dead.run_dead(a, name, median, spread, note, Smtp)


def run_dead_million(a):
    run_dead(a, 'dead_million')


def run_dead_messages(a):
    run_dead(a, 'dead_messages')


def run_many_hops(a):
    many_hops.run(a, median, spread, note, Smtp)


# ------------------------------------------------------------------ all of it
class Bench(argparse.Namespace):
    def all_pids(self):
        out = list(self.extra_pids)
        for c in (self.sink, self.current):
            if c and c.proc:
                out += c.pids
        return out

    def mailmill(self, **kw):
        return Running(self, kw)

    def row(self, name, label, ours, sink, value, goal, up):
        verdict = ''
        if goal:
            better = (lambda g: value >= g) if up else (lambda g: value <= g)
            verdict = ('aim reached' if better(goal[1]) else
                       'ok' if better(goal[0]) else 'TOO SLOW')
            if verdict == 'TOO SLOW':
                self.missed.append(label)
        self.table.append((label, ours, sink, num(value),
                           num(goal[0]) if goal else '', num(goal[1]) if goal else '',
                           verdict))


class Running:
    def __init__(self, a, kw):
        self.a, self.kw = a, kw

    def __enter__(self):
        self.a.current = server.Mailmill()
        return self.a.current.start(self.a, **self.kw)

    def __exit__(self, *exc):
        c, self.a.current = self.a.current, None
        c.stop()


def print_table(a):
    head = ('', 'mailmill', 'smtp-sink', 'figure', 'must', 'aim', '')
    rows = [head] + a.table
    width = [max(len(r[i]) for r in rows) for i in range(len(head))]
    print()
    for r in rows:
        print('  '.join(x.ljust(w) for x, w in zip(r, width)).rstrip())
    print('\nfigure: for rates the part of smtp-sink\'s rate; else the median.')
    for r in a.remarks:
        print(r)


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--build', default='build')
    p.add_argument('--fs', required=True)
    p.add_argument('--postfix', default='build/postfix')
    p.add_argument('--out', default='/dev/null')
    p.add_argument('--only', default='', help='comma separated: '
                   + ' '.join([*LOADS, *OTHERS]) + '; and, as they take long: '
                   + ' '.join(LONG))
    p.add_argument('--repeats', type=int, default=5)
    p.add_argument('--secs', type=float, default=4, help='length of a run')
    p.add_argument('--max-n', type=int, default=100000)
    p.add_argument('--hasty', action='store_true',
                   help='do not measure again when others used the machine')
    p.add_argument('--peer', metavar='NAME:PORT', help='latency: another '
                   'server on this machine that delivers to '
                   'user@example.test, measured in turn')
    p.add_argument('--against', metavar='BUILD', help='another build folder: '
                   'compare its mailmilld, not smtp-sink, with ours; rows: '
                   + ' '.join([*LOADS, *against.ROWS]))
    p.add_argument('-D', dest='define', action='append', default=[],
                   help='passed on to mailmilld')
    a = p.parse_args(namespace=Bench())
    for k in ('build', 'fs', 'postfix'):
        setattr(a, k, os.path.abspath(getattr(a, k)))
    if a.peer:
        name, _, port = a.peer.rpartition(':')
        if not name or not port.isdigit():
            p.error(f'--peer {a.peer}: expected NAME:PORT')
        a.peer = (name, int(port))
    rows = [*LOADS, *(against.ROWS if a.against else OTHERS)]
    a.which = a.only.split(',') if a.only else rows
    choice = rows if a.against else [*rows, *LONG]
    bad = [w for w in a.which if w not in choice]
    if bad:
        p.error(f'--only {",".join(bad)}: choose from ' + ' '.join(choice))
    if a.against and not os.access(f'{a.against}/mailmilld', os.X_OK):
        p.error(f'--against {a.against}: no mailmilld there: name the folder '
                'of another build')
    a.state = os.path.dirname(a.fs) + '/state'
    os.makedirs(a.state, exist_ok=True)
    a.table, a.remarks, a.failed, a.missed = [], [], [], []
    a.extra_pids, a.sink, a.current = [], None, None
    return a


def reachable(path):
    """The folder must be open to other accounts than root."""
    while path != '/':
        if not os.stat(path).st_mode & 0o001:
            sys.exit(f'bench: other accounts cannot enter {path}; '
                     'set BENCH_DIR to a folder they can reach')
        path = os.path.dirname(path)


def main():
    a = arguments()
    if os.getuid() == 0:
        reachable(a.fs)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if a.against:
        against.run(a, sys.modules[__name__])
        return
    a.remarks += disk.warnings(a.fs)
    log = subprocess.Popen([f'{a.build}/logsink', f'{a.state}/log'])
    a.extra_pids.append(log.pid)
    try:
        a.sink = server.Sink().start(a)
        for name in a.which:
            if name in LOADS:
                run_load(a, name)
            elif name in tls.RUNS:
                tls.RUNS[name](a, median, spread, note)
            elif name in bdat.RUNS:
                bdat.RUNS[name](a, median, spread, note)
            elif name in relay.RUNS:
                relay.RUNS[name](a, median, spread, note)
            elif name in lmtp.RUNS:
                lmtp.RUNS[name](a, median, spread, note)
            else:
                globals()['run_' + name](a)
    finally:
        for c in (a.current, a.sink):
            if c:
                c.stop()
        log.kill()
        log.wait()
    print_table(a)
    if a.failed:
        sys.exit('bench: failed: ' + ', '.join(a.failed))
    print('All must-reach figures are reached.' if not a.missed else
          'Not reached: ' + '; '.join(a.missed))


if __name__ == '__main__':
    main()
