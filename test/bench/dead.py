"""A destination that does not answer, with a hundred thousand deferred messages, or
a million recipients: what it costs mail for others, the queue process, a start; and
how fast it gets them when it is back.

What it costs others is measured with two servers, one of which has nothing deferred.
They have mail for a living destination in turn, in random order, and each pair is
compared by itself: the figure is the median of the pairs (see against.py, also for
why both are started anew for each two pairs).  The pairs of one start say little: a
figure needs "--repeats 4" or so."""
import contextlib
import glob
import os
import random
import sqlite3
import subprocess
import sys
import time

import against
import due
import server

# messages, recipients of each; at most --max-n
FILLS = {
    'dead': (100000, 1),            # sent to the server
    'dead_million': (1000, 1000),   # these are written to its store while it is stopped
    'dead_messages': (1000000, 1),
}
FILE = 8192                     # octets of the disk that one of a million takes
LIVE = 20000                    # messages of a run, --max-n at most
PAIRS = 2                       # of one start
LIMIT = 900                     # seconds that anything may take
OPTIONS = ('retry_interval=1h', 'max_retry_interval=4h')


def section(name, port):
    return (f'Domain "{name}" {{\n    Delivery = smtp\n'
            f'    Route = "127.0.0.1:{port}"\n}}\n')


def query(c, sql):
    """The first column of the first row; None: there is none."""
    db = sqlite3.connect(f'file:{c.fs}/spool/queue/deferred.db?mode=ro',
                         uri=True, timeout=30)
    try:
        row = db.execute(sql).fetchone()
        return row and row[0]
    finally:
        db.close()


def rows(c):
    return query(c, 'SELECT count(*) FROM deferred')


def wait_until(what, condition):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f'{what}: not in {LIMIT} s')
        time.sleep(0.05)


def send(a, c, n, rcpt):
    err = server.source(a, c, n, 100, True, rcpt=rcpt)[2]
    if err:
        raise RuntimeError(err)


def relay_rate(a, c, n):
    """Messages a second, from the first connection to the last that was sent."""
    # files of deferred messages are looked at for minutes after a start
    c.settle(0.25)
    before = int(c.counters()['delivered'])
    began = time.monotonic()
    send(a, c, n, 'user@live.test')
    wait_until('mail for the living one', lambda: int(
        c.counters()['delivered']) - before >= n)
    return n / (time.monotonic() - began)


def queue_memory(c):
    """MiB that the queue process has had at most."""
    for path in glob.glob('/proc/[0-9]*/cmdline'):
        pid = int(path.split('/')[2])
        try:
            with open(path) as f:
                if pid not in c.pids or 'mailmilld: queue' not in f.read():
                    continue
            with open(f'/proc/{pid}/status') as f:
                return int(f.read().split('VmHWM:')[1].split()[0]) / 1024
        except OSError:
            continue
    raise RuntimeError('there is no queue process')


def start_seconds(a, c, domains):
    """From the start of the server to the first delivery."""
    began = time.monotonic()
    c.start(a, options=OPTIONS, domains=domains, is_new=False)
    send(a, c, 1, 'user@live.test')
    wait_until('a first delivery', lambda: int(c.counters()['delivered']) > 0)
    return time.monotonic() - began


def fill_by_mail(a, c, n):
    send(a, c, n, 'user@dead.test')
    wait_until('mail for the dead one', lambda: rows(c) == n)


def fill_store(c, messages, recipients, port):
    """While it is stopped.  Its name for the destination is that of its rows."""
    v = os.statvfs(c.fs)
    if v.f_favail < messages or v.f_bavail * v.f_frsize < messages * FILE:
        sys.exit(f'bench: {c.fs} has no room for {messages} files: set BENCH_GIB=20 '
                 'and BENCH_DIR to another folder')
    subprocess.run([f'{c.build}/queuefill', f'{c.fs}/spool', str(messages),
                    str(recipients), f'relay 127.0.0.1:{port}'], check=True)


def fill(x, c, name, domains, port):
    messages, recipients = FILLS[name]
    messages = min(messages, x.max_n) if name == 'dead' else messages
    c.start(x, options=OPTIONS, domains=domains)
    if name == 'dead':
        fill_by_mail(x, c, messages)
    c.stop()
    if name != 'dead':
        fill_store(c, messages, recipients, port)
    return messages * recipients


def pairs_of(sides, n):
    """Rates of both: ('empty', 'full')."""
    for _ in range(PAIRS):
        rate = {}
        for x, c in random.sample(sides, len(sides)):
            rate[x.label] = relay_rate(x, c, n)
        yield rate['empty'], rate['full']


def ctl_seconds(c, *words):
    """Of mailmillctl queue."""
    began = time.monotonic()
    subprocess.run([f'{c.build}/mailmillctl', '-c', c.conf, 'queue', *words],
                   check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def drain(x, c, back, smtp):
    """Recipients a second that wait for the destination, from the probe that is
    wanted to the last; and how long a new message has waited meanwhile.  Those that
    were tried have times of their own."""
    n = query(c, "SELECT count(*) FROM deferred WHERE waits_for <> ''")
    one = query(c, "SELECT id FROM deferred WHERE waits_for <> '' LIMIT 1")
    newcomer = due.Newcomer(c.port, c.new, smtp)
    back.start(x, 'back-sink.log')
    newcomer.start()
    began = time.monotonic()
    ctl_seconds(c, 'retry', one)
    wait_until('the backlog', lambda: query(
        c, "SELECT 1 FROM deferred WHERE waits_for <> '' LIMIT 1") is None)
    rate = n / (time.monotonic() - began)
    newcomer.is_over = True
    newcomer.join()
    return rate, max(newcomer.waits)


@contextlib.contextmanager
def two_sides(a):
    """Folders and a syslog of its own for each."""
    both = [against.side(a, label, a.build) for label in ('empty', 'full')]
    try:
        yield both
    finally:
        for x in both:
            x.log.kill()
            x.log.wait()


def measure(a, name, sides, domains, n):
    """The pairs, the starts; the full one is left running."""
    r = {'alone': [], 'beside': [], 'start': [], 'memory': 0}
    (x, empty), (y, full) = sides
    for _ in range(a.repeats):
        empty.stop()
        full.stop()
        empty.start(x, options=OPTIONS, domains=domains, is_new=False)
        r['start'].append(start_seconds(y, full, domains))
        for alone, beside in pairs_of(sides, n):
            r['alone'].append(alone)
            r['beside'].append(beside)
            print(f'{name:10s} {alone:.0f}/s to the living one, {beside:.0f}/s '
                  'beside deferred ones', flush=True)
        r['memory'] = max(r['memory'], queue_memory(full))
    empty.stop()
    return r


def one_dead(a, name, smtp):
    live, back = server.Sink(), server.Sink()
    empty, full = server.Mailmill(), server.Mailmill()
    with contextlib.ExitStack() as stack:
        for c in (live, back, empty, full):
            stack.callback(c.stop)
        x, y = stack.enter_context(two_sides(a))
        live.start(a, 'live-sink.log')
        domains = (section('live.test', live.port)
                   + section('dead.test', back.port))
        empty.start(x, options=OPTIONS, domains=domains)
        count = fill(y, full, name, domains, back.port)
        r = measure(a, name, [(x, empty), (y, full)], domains,
                    min(LIVE, a.max_n))
        r['list'] = ctl_seconds(full, 'list', '--limit', '10000000')
        r['top'] = ctl_seconds(full, 'top')
        r['drain'], r['wait'] = drain(y, full, back, smtp)
        r['memory'] = max(r['memory'], queue_memory(full))
        r['count'] = count
    print(f'{name:10s} {count} deferred: queue process {r["memory"]:.0f} MiB, '
          f'{r["drain"]:.0f}/s when it is back, beside which a new message waits '
          f'{r["wait"]:.2f} s at most', flush=True)
    return r


def run_dead(a, name, median, spread, note, smtp):
    r = one_dead(a, name, smtp)
    note(a, name, **r)
    alone, n = median(r['alone']), r['count']
    a.row(name, f'relayed/s beside {n} deferred for a dead one, against none: '
          f'{spread(r["alone"])}', spread(r['beside']), '-',
          median([q / p for p, q in zip(r['alone'], r['beside'])]), (.9, .97),
          up=True)
    a.row(name, f'MiB of the queue process beside {n}, at most',
          spread([r['memory']]), '-', r['memory'], (64, 48), up=False)
    a.row(name, f'seconds from a start with {n} to the first delivery',
          spread(r['start']), '-', median(r['start']), (2, 1), up=False)
    a.row(name, f'delivered/s of {n} to the one that is back, against the rate to '
          'the living one', spread([r['drain']]), '-', r['drain'] / alone, (.5, .8),
          up=True)
    a.row(name, 'seconds that a new message waits meanwhile, at most',
          spread([r['wait']]), '-', r['wait'], (2, 1), up=False)
    a.remarks.append(f'{n} deferred: {r["list"]:.1f} s for "mailmillctl queue list" '
                     f'of all, {r["top"]:.1f} s for "queue top"')
