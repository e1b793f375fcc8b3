#!/usr/bin/env python3
"""crash.py [--kills N] [--seed N]: kill -9 under load, and nothing is lost.

Senders note what they sent and which messages were answered 250.  The messages
are for Maildirs, for Dovecot by LMTP, by SMTP for a second mailmilld that wants a
login, for Postfix's smtp-sink and for a server of the test that is found by its MX
record, for a program, for an alias, and for recipients who are refused
(crash_hops.py).  Meanwhile random processes of the server are killed; when it was
the master, the server is started again.

In the end, every message that was answered 250 has come, octet for octet: once to
a Maildir; to other servers and programs once, too, or twice if a process was
killed that had its answer and had not written it down; and its sender has one
report of each recipient who was refused.  A message that was sent to its end and
not answered may have come.  Nothing else may have.

In the first half no process is killed that could have such an answer, so nothing
comes twice.
"""
import argparse
import collections
import contextlib
import datetime
import os
import random
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import harness
from crash_hops import (PIPED, RELAYED, SENDER, Alias, Dovecot, Maildir,
                        Program, Reports, Scripted, Second, Sink, digest)
from harness import SLOW, Client, Server, Skip, stuffed
from keys import context, make_pair, tls_conf

SETTLED = 0.3   # seconds after which what the log tells is surely written down
CALM = 1.2      # seconds without a kill, now and then, so that there is such
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
    """One of mail for the Maildirs alone."""
    sender = 'a@client.test'

    def __init__(self, name, port, stop, seed):
        super().__init__(daemon=True)
        self.who, self.port, self.stop = name, port, stop
        self.rng = random.Random(seed)
        self.sent, self.acked, self.whole = {}, set(), set()
        self.refused = collections.Counter()

    def hello(self, c):
        c.hello()

    def recipients(self):
        return self.rng.sample(USERS, self.rng.choice((1, 1, 1, 3)))

    def address(self, who):
        return f'{who}@example.test'

    def run(self):
        n = 0
        while not self.stop.is_set():
            try:
                with Client(self.port, timeout=15) as c:
                    self.hello(c)
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
        rcpts = self.recipients()
        c.cmd(f'MAIL FROM:<{self.sender}>')
        for u in rcpts:
            c.cmd(f'RCPT TO:<{self.address(u)}>')
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


class Mixed(Sender):
    """One of mail for all destinations: a third of it is for Maildirs alone, and
    little of it for a program, since each message starts one.  Some sessions are
    encrypted."""
    sender = SENDER

    def __init__(self, hops, *args):
        super().__init__(*args)
        self.rcpts = [a for h in hops for a in h.users + h.refused]
        self.weights = [1 if h.doubling is PIPED or a in h.refused else 4
                        for h in hops for a in h.users + h.refused]

    def hello(self, c):
        c.hello()
        if self.rng.random() < 0.3:
            c.cmd('STARTTLS', '220')
            c.s = context().wrap_socket(c.s)
            c.hello()

    def recipients(self):
        if self.rng.random() < 0.3:
            return [super(Mixed, self).address(u) for u in super().recipients()]
        n = self.rng.choice((1, 1, 1, 4))
        return sorted(set(self.rng.choices(self.rcpts, self.weights, k=n)))

    def address(self, who):
        return who


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


class Deliveries:
    """When the log says that a recipient was delivered: the line is written right
    before what it tells is, and to the log some milliseconds later, or later."""
    LINE = re.compile(r'^(\S+) .* event=delivered .*?\bid=(\w{13}) '
                      r'rcpt=(\S+) ', re.M)

    def __init__(self, log):
        self.of = collections.defaultdict(list)
        for at, id, rcpt in self.LINE.findall(log):
            when = datetime.datetime.fromisoformat(at.replace('Z', '+00:00'))
            self.of[id, rcpt.strip('"')].append(when.timestamp())


def excuse(first, second, delivered, kills):
    """The kill for which there may be a second copy; None.  kills: the times of
    those that can double a message.  It came after the first copy, or shortly
    before since a server may be slow to note what it has; before the second one;
    and not when the answer to the first one was surely written down."""
    for k in sorted(kills):
        if first - 5 * SLOW < k < second and k - first < 15 * SLOW and \
                not any(at + SETTLED * SLOW < k for at in delivered):
            return k
    return None


class Judge:
    """What senders, destinations and kills say of each other in the end."""

    def __init__(self, senders, hops, reports, kills):
        self.sent, self.acked, self.whole = {}, set(), set()
        for x in senders:
            self.sent.update(x.sent)
            self.acked |= x.acked
            self.whole |= x.whole
        self.hops, self.reports, self.kills = hops, reports, kills
        self.twice = collections.Counter()
        gets = {a: h.takes(a) for h in hops for a in h.users}
        refused = {a for h in hops for a in h.refused}
        # who may get what, and of whom there may be reports
        self.may = {(k, g) for k, (_, rcpts) in self.sent.items()
                    for a in rcpts for g in gets.get(a, ())}
        self.may_report = {(k, a) for k, (_, rcpts) in self.sent.items()
                           for a in rcpts if a in refused}
        self.digests = {k: digest(m) for k, (m, _) in self.sent.items()}

    def of_acked(self, pairs):
        return {(k, a) for k, a in pairs if k in self.acked}

    def missing(self):
        have = set()
        for h in self.hops:
            have |= set(h.copies())
        return sorted(self.of_acked(self.may) - have)

    def unreported(self):
        return sorted(self.of_acked(self.may_report)
                      - set(self.reports.copies()))

    def wait(self):
        end = time.monotonic() + 90 * SLOW
        while (self.missing() or self.unreported()) and \
                time.monotonic() < end:
            time.sleep(0.5)

    def of_copies(self, hop, key, address, copies, deliveries):
        """What is wrong with what one has got of a message."""
        what = f'{hop.name}: {key} for {address}'
        if (key, address) not in self.may:
            yield f'{what}: never sent'
            return
        if key not in self.whole:
            yield f'{what}: refused or not sent to its end, but delivered'
        if any(c.digest != self.digests[key] for c in copies):
            yield f'{what}: not what was sent'
        copies.sort()
        times = {t for t, role in self.kills if role in hop.doubling}
        for a, b in zip(copies, copies[1:]):
            self.twice[hop.name] += 1
            k = excuse(a.when, b.when, deliveries.of[a.id, address], times)
            times.discard(k)            # it doubles a message once
            if k is None:
                yield f'{what}: {len(copies)} copies: {copies}; delivered: ' \
                    f'{deliveries.of[a.id, address]}'

    def offences(self, log):
        deliveries = Deliveries(log)
        for k, a in self.missing():
            yield f'{k} for {a}: acknowledged, but not delivered'
        for k, a in self.unreported():
            yield f'{k} for {a}: refused, but not reported'
        for h in self.hops:
            for (k, a), copies in sorted(h.copies().items()):
                yield from self.of_copies(h, k, a, copies, deliveries)
        for (k, a), copies in sorted(self.reports.copies().items()):
            if (k, a) not in self.may_report or k not in self.whole:
                yield f'{k} for {a}: reported, but not refused'
            elif len(copies) > 1:
                yield f'{k} for {a}: {len(copies)} reports'


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


def role_of(pid):
    return (harness.cmdline(pid) + ' ? ?').split()[1]


def kill_one(s, rng, spared):
    """kill -9 a process of the server, each role as often; return when and which."""
    by_role = collections.defaultdict(list)
    for pid in s.pids('mailmilld: '):
        by_role[role_of(pid)].append(pid)
    by_role['master'] = [s.master]
    for role in spared | {'?'}:
        by_role.pop(role, None)
    if not by_role:                     # each one waits for its successor
        return None
    role = rng.choice(sorted(by_role))
    pid = rng.choice(by_role[role])
    when = time.time()
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    if role == 'master':
        restart_master(s)
    return when, role


def destinations(d, s, rng):
    """Those that there can be on this machine."""
    second = Second(d)
    hops = [Maildir(s, tuple(f'{u}@example.test' for u in USERS)), second,
            Alias(d, s, second.users[1]), Scripted(rng), Program(d)]
    for kind in Dovecot, Sink:
        try:
            hops.append(kind(d))
        except Skip as e:
            print(f'skip {kind.name}: {e}')
    return hops


def server(d):
    """It, configured for all destinations, and these."""
    make_pair(d, 'mx')
    s = Server(d, workers=2)
    hops = destinations(d, s, random.Random(1))
    [alias] = [h for h in hops if h.name == 'alias']
    s.settings.update(
        conf=CONF.replace('"warning"', '"info"') + 'Resolver_Timeout = 1\n',
        listener=tls_conf(d, 'mx') + 'Open_Relay = true\n',
        domain=f'Aliases = "file:{alias.file}"\n',
        extra=''.join(h.section() for h in hops))
    s.write_conf()
    return s, hops


def kill_some(s, rng, kills, limit):
    """[(when, role), ...]; half of them cannot make anything come twice."""
    done, began = [], time.monotonic()
    pauses = 0, 0.01, 0.05, 0.1, 0.3, 0.6
    while len(done) < kills and time.monotonic() - began < limit:
        is_second = len(done) >= kills // 2
        time.sleep(rng.choice(pauses + (CALM,) if is_second else pauses) * SLOW)
        one = kill_one(s, rng, frozenset() if is_second else RELAYED | PIPED)
        if one:
            done.append(one)
    print(f'{len(done)} kills in {time.monotonic() - began:.0f} s: '
          f'{dict(collections.Counter(role for _, role in done))}')
    return done


def load(s, hops, seed, kill):
    """Send and read mail while kill() goes on; the senders, what it returns, and
    how much was read."""
    stop = threading.Event()
    senders = [Mixed(hops, f's{i}', s.port, stop, seed * 100 + i)
               for i in range(6)]
    reader = Reader(s, stop, seed)
    for x in senders + [reader]:
        x.start()
    try:
        done = kill()
        time.sleep(0.5)
    finally:
        stop.set()
    for x in senders + [reader]:
        x.join(60 * SLOW)
    return senders, done, reader.seen


def restart(s):
    """What is queued still, or read again, would come twice."""
    s.wait_empty(60)
    s.signal(signal.SIGTERM)
    assert s.wait_end() == 0, s.log()[-3000:]
    s.start()
    time.sleep(1.5 * SLOW)
    s.wait_empty(60)


def show(s, judge, senders, nread):
    refused = sum((x.refused for x in senders), collections.Counter())
    print(f'{len(judge.sent)} sent, {len(judge.acked)} acknowledged, {nread} '
          f'read; damage reported: {s.stats()["spool_damage"]}')
    print('copies:', {h.name: sum(map(len, h.copies().values()))
                      for h in judge.hops + [judge.reports]},
          'twice:', dict(judge.twice))
    print('what clients saw:', dict(refused.most_common(12)))


def crash(d, kills, seed, limit):
    rng = random.Random(seed)
    s, hops = server(d)
    with contextlib.ExitStack() as stack:
        for h in hops:
            stack.enter_context(h)
        s.start()
        senders, done, nread = load(s, hops, seed, lambda: kill_some(
            s, rng, kills, limit))
        judge = Judge(senders, hops, Reports(s), done)
        judge.wait()
        offences = []
        try:
            restart(s)
        except AssertionError as e:
            offences.append(str(e))
        offences += judge.offences(s.log())
        show(s, judge, senders, nread)
        if len(judge.acked) < kills:
            offences.append(f'only {len(judge.acked)} messages acknowledged in '
                            'all: this was no load')
        if len(done) < kills:
            offences.append('too few kills')
        for x in s, *(h.server for h in hops if h.name == Second.name):
            try:
                x.no_sanitizer_report()
            except AssertionError as e:
                offences.append(str(e))
        print('\n'.join(offences[:40]))
        if offences:
            print(s.log()[-4000:])
            for name in ('incoming', 'queue', 'queue/deferred'):
                print(name, os.listdir(f'{s.spool}/{name}')[:50])
            print(s.ctl('queue', check=False).stdout[:3000])
        s.signal(signal.SIGTERM)
        assert s.wait_end() == 0, s.log()[-3000:]
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
