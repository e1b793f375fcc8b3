"""A server whose processes can be told to turn on it (test/hostile/hostile.h),
and mail that goes through it meanwhile."""
import contextlib
import ctypes
import os
import re
import resource
import signal
import threading
import time

from harness import (BUILD, RELAYED, SANITIZE, SLOW, TOP, Client, Server, Skip, body_of,
                     wait_for)
from keys import make_pair, tls_conf

FILE_MAX = 100 << 20
MESSAGE_EACH = 1.5 * SLOW    # seconds

with open(f'{TOP}/test/hostile/trick.def') as f:
    TRICKS = re.findall(r'^TRICK\((\w+),', f.read(), re.M)
with open(f'{TOP}/test/hostile/attempt.def') as f:
    # name, system call
    ATTEMPTS = re.findall(r'^ATTEMPT\((\w+),\s*(\w+),', f.read(), re.M)


def need_sandbox():
    if SANITIZE:
        raise Skip('sanitizers need more than a role may do')


def send_signal(pid, number, value):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sigqueue.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    if libc.sigqueue(pid, number, value) == -1:
        raise ProcessLookupError(os.strerror(ctypes.get_errno()))


class Hostile(Server):
    """With a process of each role."""

    def __init__(self, d, listener='', extra='', **kw):
        make_pair(d, 'ec')
        open(f'{d}/users', 'a').close()
        super().__init__(
            d, program=f'{BUILD}/hostile/mailmilld', listener=tls_conf(
                d, 'ec') + f'Auth_Backend = "passwd:{d}/users"\n' + listener,
            extra=RELAYED + extra, **kw)
        self.give_to_authd(f'{d}/users')
        self.played = set()             # processes that were told to

    def _before_exec(self):
        """Whatever a trick makes of it, no file fills the disk."""
        super()._before_exec()
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_MAX, FILE_MAX))

    def log_now(self):
        assert os.path.getsize(self.stderr) < FILE_MAX // 2, 'a log without end'
        return super().log_now()

    def pid(self, title):
        """Of the process with that title, such as "worker 1", once it runs."""
        def running():
            pids = {p['pid'] for p in self.ctl_json('status')['processes']
                    if p['state'] == 'running'}
            return [p for p in self.pids(f'mailmilld: {title}') if p in pids]
        return wait_for(title, running, 30)[0]

    def no_honest_process_punished(self):
        for pid in re.findall(r' event=(?:hostile|worker-stuck) .*?\bpid=(\d+)',
                              self.log()):
            assert int(pid) in self.played, pid

    def order(self, pid, trick, arg=0):
        self.played.add(pid)
        for value in TRICKS.index(trick), arg:
            send_signal(pid, signal.SIGRTMIN, value)

    def play(self, title, trick, arg=0, timeout=60, meanwhile=lambda: None):
        """Until it has done so; whether it has lived to see that."""
        pid, at = self.pid(title), len(self.log_now())
        self.order(pid, trick, arg)
        done = re.compile(rf'\[{pid}\] .*event=trick-done trick={trick} '
                          rf'arg={arg}\b')
        end = re.compile(rf'event=process-end .*pid={pid} ')

        def ended():
            log = self.log_now()
            if done.search(log, at):
                return [True]
            # what it has said before its end may come behind the master's word
            if end.search(log, at):
                return [bool(done.search(self.log(), at))]
            return meanwhile()
        return wait_for(f'{title}: {trick}', ended, timeout)[0]

    def said(self, what, at=0):
        """The last number that a trick which is done has found out, in the log
        from at."""
        found = re.findall(rf'event=trick-found what={what} n=(\d+)',
                           self.log_now()[at:])
        assert found, f'{what}: nothing found'
        return int(found[-1])

    def forge(self, title, trick, arg):
        """Into a segment of its own: it closes one a second after the first
        message.  Then the workers, which take turns while they have equally many
        sessions, get one message at a time:
        what the worker itself writes next lies where the forged record was, and
        the queue has to have read that by then."""
        next_at = time.monotonic() + MESSAGE_EACH

        def mail():
            nonlocal next_at
            if time.monotonic() < next_at:
                return
            with Client(self.port) as c:
                c.hello()
                c.mail(b'Subject: new\r\n\r\nx\r\n')
            next_at = time.monotonic() + MESSAGE_EACH
        at = len(self.log_now())
        assert self.play(title, trick, arg, meanwhile=mail), trick
        assert self.said('forged', at) > 0

    def all_run(self):
        wait_for('all processes', lambda: {p['state'] for p in self.ctl_json(
            'status')['processes']} == {'running'}, 40)

    def serves(self):
        """Until a client gets all the way to its message."""
        def once():
            with contextlib.suppress(OSError, AssertionError), \
                    Client(self.port, timeout=5) as c:
                c.hello()
                c.mail(b'Subject: served\r\n\r\n\r\n', 'served@example.test')
                return True
        wait_for('service', once, 30)

    def slot_of(self, id):
        """Of the worker that has acknowledged the message."""
        return int(wait_for(f'{id} in the log', lambda: re.search(
            rf'mailmilld/worker-(\d+)\[\d+\] .*event=accepted .* id={id} ',
            self.log_now()))[1])

    def number_slots(self):
        """{number in the ids of a worker's messages: its slot}, of those that
        the log knows."""
        return {number_of(id) & 0xfff: int(slot) for slot, id in re.findall(
            r'mailmilld/worker-(\d+)\[\d+\] .*event=accepted .* id=(\w+) ',
            self.log())}


ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'


def id_of(reply):
    """The message id in a reply to DATA."""
    return re.search(r'\b[0-9A-Z]{13}\b', reply)[0]


def number_of(id):
    n = 0
    for c in id:
        n = n * 32 + ALPHABET.index(c)
    return n


class Traffic:
    """Clients that send messages until the end of the with block, each another
    one; those that have been acknowledged are known by their id."""

    def __init__(self, server, nclients=4, size=600):
        self.server, self.size = server, size
        self.acked = {}                 # id: message
        self.lost = 0                   # connections that have ended badly
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True)
                        for n in range(nclients)]

    def run(self, n):
        i = 0
        while not self.is_over.is_set():
            try:
                with Client(self.server.port, timeout=5) as c:
                    c.hello()
                    for _ in range(5):
                        i += 1
                        m = (b'Subject: %d.%d\r\n\r\n' % (n, i) +
                             b'%d.%d ' % (n, i) * (self.size // 8) + b'\r\n')
                        reply = c.mail(m, 'traffic@example.test')
                        self.acked[id_of(reply)] = m
                        # or it takes the processors from the tests beside this one
                        self.is_over.wait(0.01)
            except (OSError, AssertionError):
                self.lost += 1
                self.is_over.wait(0.1)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.is_over.set()
        for t in self.threads:
            t.join()

    def wait(self, n):
        """Until n more have been acknowledged."""
        want = len(self.acked) + n
        wait_for(f'{n} messages', lambda: len(self.acked) >= want, 60)

    def has_arrived(self, but=None):
        """All that was acknowledged, once and unchanged, but for what the
        worker of that slot has had."""
        slots = self.server.number_slots()
        want = {m for i, m in self.acked.items() if but is None or
                slots.get(number_of(i) & 0xfff, but) != but}
        assert want, 'nothing was acknowledged'
        end = time.monotonic() + 30 * SLOW
        while True:
            got = [body_of(m) for m in self.server.delivered('traffic')]
            lost = want - set(got)
            if not lost or time.monotonic() > end:
                break
            time.sleep(0.3)             # all of it is read each time
        assert len(got) == len(set(got)), 'delivered twice'
        assert not lost, (f'{len(lost)} of {len(want)} acknowledged messages '
                          f'are lost: {sorted(m[:40] for m in lost)[:5]}')


def killed(s, title, trick, arg, *calls):
    """It dies of that, and the log says of what."""
    pid = s.pid(title)
    assert not s.play(title, trick, arg), trick
    line = wait_for('the log', lambda: re.search(
        rf'event=sandbox \S+ slot=\d+ pid={pid} call=(\w+) ', s.log_now()))
    assert line[1] in calls, line[0]


def attempted(s, title, name):
    """It makes the call of attempt.def that has this name, and dies of it."""
    row, = [i for i, a in enumerate(ATTEMPTS) if a[0] == name]
    killed(s, title, 'attempt', row, ATTEMPTS[row][1])
