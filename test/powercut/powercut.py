#!/usr/bin/env python3
"""powercut.py [--fs ext4|xfs|btrfs] [--cuts N] [--seed N]: cut the power.

A server with its spool and its Maildirs on a block device that writes down
each write and each flush (blocklog) takes mail from clients, which note at
each 250 how long that log was.  Mail for one of the users is deferred during
the first half.  Afterwards the power is cut at N places of the
log: a third exactly at a 250, a third right before or after a flush, a third
anywhere.  A cut makes the disk as it may be then:
all that came before the last flush is on it; of what came later nothing, all,
some of the writes, or some sectors of some of the writes.  On each such disk
a server is started.  It has to deliver every message whose 250 came before
the cut, once and octet for octet, and no message that was refused.

Two controls show that a loss would be seen: servers that leave out the flush
of the commit, or that of the delivery, must lose mail, and nothing else that
goes wrong counts as that.

Needs root, /dev/fuse and loop devices; a few hundred MB below TMPDIR.
"""
import argparse
import collections
import contextlib
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
sys.path.insert(0, TOP + '/test/system')
sys.dont_write_bytecode = True

import crash
import harness
from harness import BUILD, TRACE, Server, body_of, wait_for

PC = f'{BUILD}/test/powercut'
MIB = 1 << 20
LOG_MAX = 192 * MIB             # the load ends when the log has this length
MKFS = {                        # the command, and the size of the disk in MiB
    'ext4': (['mkfs.ext4', '-q', '-F', '-E',
              'nodiscard,lazy_itable_init=0,lazy_journal_init=0'], 400),
    'xfs': (['mkfs.xfs', '-q', '-f', '-K'], 400),
    'btrfs': (['mkfs.btrfs', '-q', '-f', '-K'], 500),
}
MODES = ('nothing', 'everything', 'some', 'torn')
SECTOR = 512                    # octets that a disk writes whole or not at all
RECORD = struct.Struct('=IIQ')  # blocklog.c: struct record
WRITE, FLUSH = 1, 2
SETTLE = 20                     # seconds that a server has after a cut
LOST = 'acknowledged, but not in the Maildir'


def run(*args):
    p = subprocess.run(args, capture_output=True, text=True)
    assert p.returncode == 0, f'{" ".join(args)}: {p.stderr.strip()}'
    return p.stdout.strip()


def end_servers():
    """Those that a failure has left running: they hold the file system."""
    def left():
        harness.reap()
        return [p for p in harness.descendants(os.getpid())
                if 'mailmilld' in harness.cmdline(p)]
    for p in left():
        with contextlib.suppress(ProcessLookupError):
            os.kill(p, signal.SIGKILL)
    wait_for('the end of the servers', lambda: not left(), 30)


class Mount:
    """The file system in a file, mounted through a loop device."""

    def __init__(self, file, at, fs):
        self.file, self.at, self.fs = file, at, fs

    def __enter__(self):
        dev = run('losetup', '-f', '--show', self.file)
        try:
            run('mount', '-t', self.fs, dev, self.at)
        finally:
            # detach now: the kernel does it at the unmount
            run('losetup', '-d', dev)
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            end_servers()
        wait_for('an unmount', lambda: subprocess.run(
            ['umount', self.at], capture_output=True).returncode == 0, 30)


class Logged:
    """IMAGE as a file; its writes and flushes are logged."""

    def __init__(self, image, log, at):
        self.args, self.at = [f'{PC}/blocklog', image, log, at], at

    def __enter__(self):
        self.proc = subprocess.Popen(self.args)
        wait_for('blocklog', lambda: os.path.exists(f'{self.at}/disk') or
                 self.proc.poll() is not None, 20)
        assert self.proc.poll() is None, 'blocklog did not start'
        return f'{self.at}/disk'

    def __exit__(self, *_):
        # a loop device keeps its file open for a moment after the unmount
        wait_for('the end of blocklog', lambda: subprocess.run(
            ['fusermount3', '-u', self.at], capture_output=True
        ).returncode == 0, 30)
        self.proc.wait(30)


class Sender(crash.Sender):
    """Notes the length of the log at each 250."""

    def __init__(self, log, *args):
        super().__init__(*args)
        self.log, self.acked_at = log, {}

    def acknowledged(self, key):
        super().acknowledged(key)
        self.acked_at[key] = os.stat(self.log).st_size


def arrived(s):
    """The bodies in the Maildirs, by (key, user).  A file that is no message, as
    a power cut can leave, has a key that no message has."""
    got = collections.defaultdict(list)
    for u in crash.USERS:
        for sub in ('new', 'cur'):
            for stored in s.delivered(u, sub=sub):
                if not TRACE.match(stored):
                    got[f'a file of {len(stored)} octets', u].append(stored)
                    continue
                body = body_of(stored)
                key = body.split(b'\r\n', 1)[0].removeprefix(b'Subject: ')
                got[key.decode(errors='replace'), u].append(body)
    return got


class Load:
    """Run the load: what was sent, and the log of the disk."""

    def __init__(self, d, fs, seed, program, seconds):
        self.d, self.fs, self.seed, self.program = d, fs, seed, program
        self.base, self.image = f'{d}/base.img', f'{d}/disk.img'
        self.log, self.mnt = f'{d}/log', f'{d}/mnt'
        os.makedirs(self.mnt)
        os.makedirs(f'{d}/fuse')
        os.makedirs(f'{d}/server')
        os.chmod(f'{d}/server', 0o755)
        self.format()
        self.senders = self.record(seconds)
        self.sent, self.whole, self.acked_at = {}, set(), {}
        for x in self.senders:
            self.sent.update(x.sent)
            self.whole |= x.whole
            self.acked_at.update(x.acked_at)

    def server(self):
        s = Server(f'{self.d}/server', conf=crash.CONF, workers=2,
                   spool=f'{self.mnt}/spool', mail=f'{self.mnt}/mail',
                   port=getattr(self, 'port', None))
        self.port = s.port
        s.program = self.program
        return s

    def format(self):
        mkfs, mib = MKFS[self.fs]
        with open(self.image, 'wb') as f:
            f.truncate(mib * MIB)
        run(*mkfs, self.image)
        with Mount(self.image, self.mnt, self.fs), self.server() as s:
            # a file in place of the Maildir: its mail is deferred
            self.blocked = s.maildir(crash.USERS[-1])
            os.makedirs(os.path.dirname(self.blocked))
            os.chmod(os.path.dirname(self.blocked), 0o1777)
            with open(self.blocked, 'w'):
                pass
        run('cp', '--sparse=always', self.image, self.base)

    def unblock(self):
        if os.path.isfile(self.blocked):
            os.unlink(self.blocked)

    def record(self, seconds):
        with Logged(self.image, self.log, f'{self.d}/fuse') as disk, \
                Mount(disk, self.mnt, self.fs), self.server() as s:
            stop = threading.Event()
            senders = [Sender(self.log, f's{i}', s.port, stop,
                              self.seed * 100 + i) for i in range(6)]
            reader = crash.Reader(s, stop, self.seed)
            for x in senders + [reader]:
                x.start()
            half = time.monotonic() + seconds / 2
            end = half + seconds / 2

            def over():
                if time.monotonic() > half:
                    self.unblock()
                return (time.monotonic() > end or
                        os.stat(self.log).st_size > LOG_MAX)
            wait_for('the load', over, seconds + 10)
            self.unblock()
            stop.set()
            for x in senders + [reader]:
                x.join(60)
        return senders

    def flushes(self):
        """Where the log has one."""
        at = 0
        with open(self.log, 'rb') as log:
            while len(head := log.read(RECORD.size)) == RECORD.size:
                kind, n, _ = RECORD.unpack(head)
                if kind == FLUSH:
                    yield at
                at += RECORD.size + n
                log.seek(at)

    def cuts(self, n, rng):
        """(place in the log, mode), ascending."""
        acks = sorted(self.acked_at.values())
        flushes = list(self.flushes())
        last = os.stat(self.log).st_size
        places = [rng.choice(flushes) + rng.choice((0, RECORD.size))
                  for _ in range(n // 3)]
        places += [rng.randrange(last) for _ in range(n // 3)]
        places += [rng.choice(acks) for _ in range(n - len(places))]
        # at a 250 the hardest case is that all unflushed writes are lost
        return sorted((p, rng.choice(MODES + ('nothing',))) for p in places)


class Replay:
    """The disk, built from the log, whose records are read once, in order."""

    def __init__(self, load):
        self.log = open(load.log, 'rb')
        self.durable = load.base
        self.cut_image = f'{load.d}/cut.img'
        self.at = 0
        self.pending = []               # writes since the last flush

    def forward(self, place):
        """Read the records that end before place."""
        with open(self.durable, 'r+b') as disk:
            while self.at + RECORD.size <= place:
                self.log.seek(self.at)
                kind, n, offset = RECORD.unpack(self.log.read(RECORD.size))
                if self.at + RECORD.size + n > place:
                    break
                self.at += RECORD.size + n
                if kind == WRITE:
                    self.pending.append((offset, self.log.read(n)))
                    continue
                for o, data in self.pending:
                    os.pwrite(disk.fileno(), data, o)
                self.pending = []

    def cut(self, place, mode, rng):
        self.forward(place)
        run('cp', '--sparse=always', self.durable, self.cut_image)
        with open(self.cut_image, 'r+b') as disk:
            for offset, data in self.pending:
                if mode == 'nothing' or mode != 'everything' and \
                        rng.random() < 0.5:
                    continue
                step = SECTOR if mode == 'torn' else len(data)
                for i in range(0, len(data), step):
                    if mode != 'torn' or rng.random() < 0.5:
                        os.pwrite(disk.fileno(), data[i:i + step], offset + i)
        return self.cut_image


def missing(load, want, got):
    """Of the wanted, those of which there is no whole copy."""
    return sorted((k, u) for k, u in want
                  if load.sent[k][0] not in got.get((k, u), ()))


def settled(load, s, want):
    """Wait until all that is wanted is there and the server is idle."""
    seen = []

    def quiet():
        if missing(load, want, arrived(s)):
            return False
        v = s.stats()
        seen.append((v['queue_taken'], v['delivered'], v['commits']))
        return len(seen) >= 20 and len(set(seen[-20:])) == 1
    try:
        wait_for('the queue', quiet, SETTLE)
    except AssertionError:
        pass                            # the result shows in the Maildirs


def judge(load, place, image):
    """What is wrong after one cut, one text each."""
    want = {(k, u) for k, at in load.acked_at.items() if at <= place
            for u in load.sent[k][1]}
    with Mount(image, load.mnt, load.fs):
        load.unblock()
        with load.server() as s:
            settled(load, s, want)
        got = arrived(s)
        for k, u in missing(load, want, got):
            yield f'{k} for {u}: {LOST}'
        for (k, u), bodies in sorted(got.items()):
            if len(bodies) > 1:
                yield f'{k} for {u}: {len(bodies)} copies'
            if k not in load.sent or u not in load.sent[k][1]:
                yield f'{k!r} for {u}: never sent'
            elif any(b != load.sent[k][0] for b in bodies):
                yield f'{k} for {u}: not what was sent'
            elif k not in load.whole:
                yield f'{k} for {u}: refused or not sent to its end'


def cut_all(load, n, rng, until_lost=False):
    """What is wrong after all cuts, or up to the first that loses mail."""
    replay, offences = Replay(load), []
    modes = collections.Counter()
    for place, mode in load.cuts(n, rng):
        image = replay.cut(place, mode, rng)
        modes[mode] += 1
        try:
            found = list(judge(load, place, image))
        except AssertionError as e:
            found = [str(e)]
        offences += [f'cut at {place} ({mode}): {x}' for x in found]
        if until_lost and losses(offences):
            break
    return offences, dict(modes)


def losses(offences):
    return [x for x in offences if x.endswith(LOST)]


def trial(fs, cuts, seed, program, seconds, until_lost=False):
    rng = random.Random(seed)
    with harness.temp_dir() as d:
        load = Load(d, fs, seed, program, seconds)
        acks = sorted(load.acked_at.values())
        offences, modes = cut_all(load, cuts, rng, until_lost)
        print(f'{fs}: {len(load.sent)} messages sent, {len(acks)} '
              f'acknowledged, log of {os.stat(load.log).st_size // MIB} MiB; '
              f'{sum(modes.values())} cuts {modes}')
        if len(acks) < cuts:
            offences.append(f'only {len(acks)} messages acknowledged: '
                            'this was no load')
        return offences


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--fs', choices=sorted(MKFS), action='append')
    p.add_argument('--cuts', type=int, default=100)
    p.add_argument('--seconds', type=float, default=8, help='of load')
    p.add_argument('--seed', type=int,
                   default=int.from_bytes(os.urandom(2), 'big'))
    p.add_argument('--no-controls', action='store_true')
    a = p.parse_args()
    if not harness.ROOT or not os.path.exists('/dev/fuse'):
        sys.exit('powercut: needs root and /dev/fuse')
    harness.unshare_mounts()
    harness.adopt_orphans()
    print(f'seed {a.seed}')
    passed = failed = 0

    def result(name, ok, text):
        nonlocal passed, failed
        passed, failed = passed + ok, failed + (not ok)
        print(f'{"ok  " if ok else "FAIL"} {name}')
        print('\n'.join(f'    {x}' for x in text[:20]) if not ok else '',
              end='' if ok else '\n', flush=True)

    for fs in a.fs or ['ext4']:
        offences = trial(fs, a.cuts, a.seed, f'{BUILD}/mailmilld', a.seconds)
        result(f'{fs}: {a.cuts} power cuts, nothing lost, nothing twice',
               not offences, offences)
        for left_out in () if a.no_controls else ('commit', 'delivery'):
            offences = trial(fs, 60, a.seed,
                             f'{PC}/{left_out}-flush/mailmilld', 3,
                             until_lost=True)
            lost = losses(offences)
            result(f'{fs}: without the flush of the {left_out} mail is lost '
                   '(can it fail?)', bool(lost),
                   ['no loss in 60 cuts'] + offences)
            print('    found:', *lost[:1])
    left = harness.leftovers()
    if left:
        failed += 1
        print('processes left behind:', left)
    print(f'{passed} passed, {failed} failed')
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
