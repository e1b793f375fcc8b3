"""A destination that does not answer, with a hundred thousand deferred messages:
what it costs mail for others, the queue process, a start; and how fast it gets
them when it is back."""
import glob
import sqlite3
import subprocess
import time

import server

DEAD, LIVE = 100000, 20000      # messages, --max-n at most
LIMIT = 900                     # seconds that anything may take
OPTIONS = ('retry_interval=1h', 'max_retry_interval=4h')


def section(name, port):
    return (f'Domain "{name}" {{\n    Delivery = smtp\n'
            f'    Route = "127.0.0.1:{port}"\n}}\n')


def rows(c, what='*'):
    """Of the deferred store."""
    db = sqlite3.connect(f'file:{c.fs}/spool/queue/deferred.db?mode=ro',
                         uri=True, timeout=30)
    try:
        return db.execute(f'SELECT {what} FROM deferred').fetchone()[0]
    finally:
        db.close()


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
    c.settle()
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
    c.stop()
    began = time.monotonic()
    c.start(a, options=OPTIONS, domains=domains, is_new=False)
    send(a, c, 1, 'user@live.test')
    wait_until('a first delivery', lambda: int(c.counters()['delivered']) > 0)
    return time.monotonic() - began


def drain_rate(a, c, back):
    """Messages a second that wait for the destination, from the probe that is
    wanted to the last.  Those that were tried have times of their own."""
    waiting = "count(nullif(waits_for, ''))"
    n = rows(c, waiting)
    back.start(a, 'back-sink.log')
    a.extra_pids += back.pids
    began = time.monotonic()
    subprocess.run([f'{c.build}/mailmillctl', '-c', c.conf, 'queue', 'retry',
                    rows(c, 'id')], check=True, stdout=subprocess.DEVNULL)
    wait_until('the backlog', lambda: rows(c, waiting) == 0)
    return n / (time.monotonic() - began)


def one_dead(a, live, back):
    domains = section('live.test', live.port) + section('dead.test', back.port)
    n = {'dead': min(DEAD, a.max_n), 'live': min(LIVE, a.max_n)}
    with a.mailmill(options=OPTIONS, domains=domains) as c:
        r = {'alone': relay_rate(a, c, n['live'])}
        send(a, c, n['dead'], 'user@dead.test')
        wait_until('mail for the dead one', lambda: rows(
            c, 'count(*)') == n['dead'])
        r['beside'] = relay_rate(a, c, n['live'])
        r['memory'] = queue_memory(c)
        r['start'] = start_seconds(a, c, domains)
        r['drain'] = drain_rate(a, c, back)
        r['memory'] = max(r['memory'], queue_memory(c))
    print(f'dead       {r["alone"]:.0f}/s to the living one, {r["beside"]:.0f}/s '
          f'beside {n["dead"]} deferred, queue process {r["memory"]:.0f} MiB, '
          f'first delivery after {r["start"]:.2f} s, {r["drain"]:.0f}/s when '
          'it is back', flush=True)
    return r


def run_dead(a, median, spread, note):
    all_of = []
    for _ in range(min(a.repeats, 3)):
        live, back = server.Sink(), server.Sink()
        live.start(a, 'live-sink.log')
        a.extra_pids = list(live.pids)
        try:
            all_of.append(one_dead(a, live, back))
        finally:
            live.stop()
            back.stop()
            a.extra_pids = []
        note(a, 'dead', **all_of[-1])
    v = {k: [r[k] for r in all_of] for k in all_of[0]}
    n = min(DEAD, a.max_n)
    a.row('dead', f'relayed/s beside {n} deferred for a dead one, against none: '
          f'{spread(v["alone"])}', spread(v['beside']), '-',
          median(v['beside']) / median(v['alone']), (.9, .97), up=True)
    a.row('dead', 'MiB of the queue process, at most', spread(v['memory']), '-',
          median(v['memory']), (64, 48), up=False)
    a.row('dead', 'seconds from a start to the first delivery',
          spread(v['start']), '-', median(v['start']), (2, 1), up=False)
    a.row('dead', 'delivered/s to the one that is back, against the rate to the '
          'living one', spread(v['drain']), '-',
          median(v['drain']) / median(v['alone']), (.5, .8), up=True)
