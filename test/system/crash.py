#!/usr/bin/env python3
"""crash.py [--kills N] [--seed N]: kill -9 under load, and nothing is lost.

Senders note what they sent and which messages were answered 250.  Meanwhile
random processes of the server are killed; when it was the master, the server
is started again.  In the end, every message that was answered 250 is in the
Maildir exactly once, octet for octet.  A message that was sent to its end and
not answered may be there, once.  Nothing else may be there.
"""
import argparse
import collections
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import harness
from harness import SLOW, TRACE, Client, Server, body_of, stuffed, wait_for

USERS = ('user', 'other', 'third')
CONF = '''segment_size = 1048576
spool_large_message = 50000
retry_interval = 1
max_retry_interval = 1
drain_time = 5
log_level = "warning"
'''


def make(who, n, rng):
    """Message number n of a sender; its size, recipients and octets vary."""
    size = rng.choice((0, 10, 1000, 4000, 4000, 4000, 20000, 60000, 200000))
    body = b'\r\n'.join(
        bytes(rng.choices(b'abcdefgh .', k=rng.randrange(0, 90)))
        for _ in range(size // 40))
    return b'Subject: %s-%d\r\n\r\n' % (who.encode(), n) + body + b'\r\n'


class Sender(threading.Thread):
    def __init__(self, name, port, stop, seed):
        super().__init__(daemon=True)
        self.who, self.port, self.stop = name, port, stop
        self.rng = random.Random(seed)
        self.sent, self.acked, self.whole = {}, set(), set()
        self.refused = collections.Counter()

    def run(self):
        n = 0
        while not self.stop.is_set():
            try:
                with Client(self.port, timeout=15) as c:
                    c.hello()
                    for _ in range(self.rng.choice((1, 1, 5, 20))):
                        if self.stop.is_set():
                            break
                        n += 1
                        self.one(c, f'{self.who}-{n}', n)
            except (OSError, AssertionError) as e:
                self.refused[type(e).__name__ + ' ' + str(e)[:20]] += 1
                time.sleep(0.01)

    def one(self, c, key, n):
        m = make(self.who, n, self.rng)
        rcpts = self.rng.sample(USERS, self.rng.choice((1, 1, 1, 3)))
        c.cmd('MAIL FROM:<a@client.test>')
        for u in rcpts:
            c.cmd(f'RCPT TO:<{u}@example.test>')
        c.cmd('DATA', '354')
        self.sent[key] = (m, rcpts)
        wire = stuffed(m)
        if self.rng.random() < 0.02:            # the client resets
            c.send(wire[:self.rng.randrange(len(wire))])
            c.reset()
            raise OSError('vanished')
        c.send(wire)
        self.whole.add(key)                     # from here on it may arrive
        c.send(b'.\r\n')
        r = c.reply()
        if r.startswith('250'):
            self.acknowledged(key)
        else:
            self.refused[r[:9]] += 1
            if r and r[0] in '45':
                self.whole.discard(key)

    def acknowledged(self, key):
        self.acked.add(key)


class Reader(threading.Thread):
    """A reader of mail: moves it from new/ to cur/ and sets flags."""

    def __init__(self, s, stop, seed):
        super().__init__(daemon=True)
        self.s, self.stop, self.rng = s, stop, random.Random(seed)
        self.seen = 0

    def run(self):
        while not self.stop.wait(0.05):
            for u in USERS:
                at = self.s.maildir(u)
                try:
                    names = os.listdir(at + '/new')
                except (FileNotFoundError, NotADirectoryError):
                    continue
                for n in self.rng.sample(names, min(3, len(names))):
                    os.rename(f'{at}/new/{n}', f'{at}/cur/{n}:2,S')
                    self.seen += 1


def arrived(s):
    """The bodies in the Maildirs, by (key, user).  A file that is no message, as
    a power cut can leave, has a key that no message has."""
    got = collections.defaultdict(list)
    for u in USERS:
        for sub in ('new', 'cur'):
            for stored in s.delivered(u, sub=sub):
                if not TRACE.match(stored):
                    got[f'a file of {len(stored)} octets', u].append(stored)
                    continue
                body = body_of(stored)
                key = body.split(b'\r\n', 1)[0].removeprefix(b'Subject: ')
                got[key.decode(errors='replace'), u].append(body)
    return got


def judge(s, senders):
    """What is wrong in the end, one text each."""
    sent, acked, whole = {}, set(), set()
    for x in senders:
        sent.update(x.sent)
        acked |= x.acked
        whole |= x.whole
    want = {(k, u) for k in acked for u in sent[k][1]}

    def missing():
        return want - {k for k, v in arrived(s).items() if v}
    end = time.monotonic() + 60 * SLOW
    while missing() and time.monotonic() < end:
        time.sleep(0.5)
    # a message that is still queued, or read again, would be a second copy
    s.stop()
    s.start()
    time.sleep(1.5 * SLOW)
    got = arrived(s)
    for k in sorted(missing()):
        yield f'{k}: acknowledged, but not in the Maildir'
    for (k, u), bodies in sorted(got.items()):
        if len(bodies) > 1:
            yield f'{k} for {u}: {len(bodies)} copies'
        if k not in sent or u not in sent[k][1]:
            yield f'{k} for {u}: never sent'
            continue
        if any(b != sent[k][0] for b in bodies):
            yield f'{k} for {u}: not what was sent'
        if k not in whole:
            yield f'{k} for {u}: refused or not sent to its end, but delivered'


def restart_master(s):
    """Start the server again.  A child that the master had forked, but that has
    not reached its exec, has the master's locks and ports for a moment: so try
    several times, as init does."""
    s.proc.wait()
    harness.reap()
    for _ in range(5):
        s.start(ready=False)
        try:
            s.wait_ready()
            return
        except AssertionError as e:
            last = e
            if s.proc.poll() is None:
                raise
            print('start failed:', str(e)[-300:])
            time.sleep(0.2)
    raise last


def kill_one(s, rng):
    """kill -9 a random process of the server; return its role."""
    pids = s.pids('mailmilld: ') + [s.master] * 2
    pid = rng.choice(pids)
    role = (harness.cmdline(pid) + ' ? ?').split()[1]
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    if pid == s.master:
        restart_master(s)
        role = 'master'
    return role


def crash(d, kills, seed, limit):
    rng = random.Random(seed)
    with Server(d, conf=CONF, workers=2) as s:
        stop = threading.Event()
        senders = [Sender(f's{i}', s.port, stop, seed * 100 + i)
                   for i in range(6)]
        reader = Reader(s, stop, seed)
        for x in senders + [reader]:
            x.start()
        roles = collections.Counter()
        began = time.monotonic()
        while sum(roles.values()) < kills and time.monotonic() - began < limit:
            time.sleep(rng.choice((0, 0.01, 0.05, 0.1, 0.3)) * SLOW)
            role = kill_one(s, rng)
            if role:
                roles[role] += 1
        took = time.monotonic() - began
        time.sleep(0.5)
        stop.set()
        for x in senders + [reader]:
            x.join(60 * SLOW)
        offences = list(judge(s, senders))
        sent = sum(len(x.sent) for x in senders)
        acked = sum(len(x.acked) for x in senders)
        refused = sum((x.refused for x in senders), collections.Counter())
        print(f'{sum(roles.values())} kills in {took:.0f} s: {dict(roles)}; '
              f'{sent} sent, {acked} acknowledged, {reader.seen} read; '
              f'damage reported: {s.stats()["spool_damage"]}')
        print('what clients saw:', dict(refused.most_common(12)))
        if acked < kills:
            offences.append(f'only {acked} messages acknowledged in all: '
                            'this was no load')
        if sum(roles.values()) < kills:
            offences.append('too few kills')
        try:
            s.no_sanitizer_report()
        except AssertionError as e:
            offences.append(str(e))
        print('\n'.join(offences[:40]))
        if offences:
            print(s.log()[-4000:])
            for name in ('incoming', 'queue', 'queue/deferred'):
                print(name, os.listdir(f'{s.spool}/{name}')[:50])
            print(s.ctl('queue', check=False).stdout[:3000])
        return not offences


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--kills', type=int, default=100)
    p.add_argument('--limit', type=float, default=240, help='seconds')
    p.add_argument('--seed', type=int, default=int.from_bytes(os.urandom(2), 'big'))
    p.add_argument('--keep', help='a folder for the state, which stays')
    a = p.parse_args()
    print(f'seed {a.seed}')
    harness.adopt_orphans()
    ok = False
    try:
        if a.keep:
            os.makedirs(a.keep)
            os.chmod(a.keep, 0o755)
            ok = crash(a.keep, a.kills, a.seed, a.limit)
        else:
            with harness.temp_dir() as d:
                ok = crash(d, a.kills, a.seed, a.limit)
    finally:
        left = harness.leftovers()
        if left:
            print('processes left behind:', left)
            ok = False
    print(f'{int(ok)} passed, {int(not ok)} failed')
    return not ok


if __name__ == '__main__':
    sys.exit(main())
