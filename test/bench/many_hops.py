"""A thousand destinations that say each of their replies after two seconds: how long
ten thousand messages for them take, against the least time in which as many
connections as there can be have them through."""
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import proc
import server

DOMAINS, MESSAGES, DELAY = 1000, 10000, 2
AT_ONCE = 2048                  # cmd/settings/transport.def: max_jobs of RELAY
FIRST, NEXT = 4, 2              # replies awaited for the first message of a connection
                                # (banner, EHLO, DATA, end), and for the next one
SENDERS, SIZE = 10, 4096
LIMIT = 600                     # seconds


def address(i):
    return f'127.7.{i // 250}.{i % 250 + 1}'


def sections(port):
    return ''.join(f'Domain "d{i}.test" {{ Delivery = smtp '
                   f'Route = "{address(i)}:{port}" }}\n' for i in range(DOMAINS))


class Hops:
    """slowhops.py in a process of its own."""

    def __init__(self):
        self.port = server.free_port()

    def __enter__(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.proc = subprocess.Popen(
            [sys.executable, os.path.dirname(__file__) + '/slowhops.py',
             str(self.port), str(DELAY)], stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                                  (hard, hard)))
        if self.proc.stdout.readline() != 'ready\n':
            raise RuntimeError('slowhops.py did not start')
        return self

    def figures(self):
        self.proc.send_signal(signal.SIGTERM)
        return json.loads(self.proc.stdout.readline())

    def __exit__(self, *exc):
        self.proc.kill()
        self.proc.wait()


def send(port, smtp, numbers, errors):
    """Messages for these domains over one connection."""
    body = b'Subject: bench\r\n\r\n' + (b'x' * 76 + b'\r\n') * (SIZE // 78)
    try:
        c = smtp(port)
        c.cmd(b'EHLO client.test')
        for i in numbers:
            c.s.sendall(b'MAIL FROM:<a@client.test>\r\n'
                        b'RCPT TO:<user@d%d.test>\r\nDATA\r\n' % i)
            for want in b'2', b'2', b'3':
                c.reply(want)
            c.cmd(body + b'.')
        c.cmd(b'QUIT')
        c.close()
    except OSError as e:
        errors.append(str(e))


def relays(c):
    return [p for p in proc.tree(c.proc.pid)
            if 'mailmilld: relay' in proc.read(f'/proc/{p}/cmdline')]


def one(a, c, n, smtp):
    """n messages: seconds until all were taken, MiB of relay at most, how many
    relays there were."""
    c.settle()
    was, errors = int(c.counters()['delivered']), []
    pids, cpu, peak = relays(c), c.cpu(), 0
    threads = [threading.Thread(target=send, args=(
        c.port, smtp, [i % DOMAINS for i in range(k, n, SENDERS)], errors))
        for k in range(SENDERS)]
    began = time.monotonic()
    for t in threads:
        t.start()
    accepted, got = 0, 0
    while got < n and not errors:
        time.sleep(0.1)
        got = int(c.counters()['delivered']) - was
        peak = max(peak, proc.pss_kib(pids) / 1024)
        if not accepted and not any(t.is_alive() for t in threads):
            accepted = time.monotonic() - began
        if time.monotonic() - began > LIMIT:
            errors.append(f'{got} of {n} delivered in {LIMIT} s')
    took = time.monotonic() - began
    for t in threads:
        t.join()
    return {'n': n, 'seconds': took, 'accepted': accepted, 'memory': peak,
            'relays': len(set(pids) | set(relays(c))),
            'cpu': (c.cpu() - cpu) * 1e6 / n, 'error': '; '.join(errors[:1])}


def least(n):
    """Seconds: the first messages of all connections, then the others."""
    return DELAY * (FIRST + NEXT * max(0, n / AT_ONCE - 1))


def run(a, median, spread, note, smtp):
    rows, n = [], min(MESSAGES, a.max_n)
    for _ in range(min(a.repeats, 3)):
        with Hops() as hops, a.mailmill(domains=sections(hops.port)) as c:
            a.extra_pids = [hops.proc.pid]
            r = one(a, c, n, smtp)
            r['hops'] = hops.figures()
        a.extra_pids = []
        note(a, 'many_hops', **r)
        print(f'many_hops  {n} messages for {DOMAINS} destinations in '
              f'{r["seconds"]:.1f} s (least {least(n):.1f}), all accepted after '
              f'{r["accepted"]:.1f} s; {r["hops"]["most"]} connections at most, '
              f'{r["hops"]["connections"]} in all, {r["relays"]} relay, '
              f'{r["memory"]:.1f} MiB, CPU {r["cpu"]:.0f} us a message '
              f'{r["error"]}', flush=True)
        if r['error'] or r['hops']['messages'] != n or r['relays'] != 1:
            a.remarks.append(f'many_hops: {r}')
        else:
            rows.append(r)
    if not rows:
        a.failed.append('many_hops')
        return
    v = {k: [r[k] for r in rows] for k in rows[0]}
    a.row('many_hops', f'seconds for {n} messages to {DOMAINS} destinations that '
          f'reply after {DELAY} s, against the least, {least(n):.1f}',
          spread(v['seconds']), '-', median(v['seconds']) / least(n), (2, 1.3),
          up=False)
    a.row('many_hops', 'MiB of the one relay process then, at most',
          spread(v['memory']), '-', median(v['memory']), (64, 32), up=False)
