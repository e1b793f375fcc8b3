"""Somebody runs code in a worker: what he cannot do."""
import contextlib
import glob
import itertools
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time
import tty

from harness import (Client, body_of, lasts, mount_tmpfs, unshare_mounts,
                     wait_for)
from hostile import Hostile, Traffic, id_of, killed, need_sandbox, number_of
from messages import big
from test_auth import as_syslog, fail2ban, lines, wait_lines
from test_auth_mechs import b64, passwd


def greeted(port, n, want, seconds):
    """How many of so many clients, all at once, get a banner in time; it does
    not wait for more than are wanted."""
    clients = [socket.create_connection(('127.0.0.1', port)) for _ in range(n)]
    end, waiting = time.monotonic() + seconds, set(clients)
    while n - len(waiting) < want and time.monotonic() < end:
        for c in select.select(list(waiting), [], [], 0.1)[0]:
            if c.recv(4) == b'220 ':
                waiting.discard(c)
            else:
                waiting.discard(c)
                n -= 1
    for c in clients:
        c.close()
    return n - len(waiting)


def test_a_worker_that_takes_connections_and_is_silent(d):
    with Hostile(d, workers=3) as s:
        s.play('worker 1', 'silent')
        # the two others have their share
        assert greeted(s.port, 90, 60, 20) >= 60
        s.serves()


def test_a_worker_that_reports_its_sessions_as_ended(d):
    with Hostile(d, workers=3) as s:
        held = [Client(s.port) for _ in range(6)]
        s.play('worker 1', 'liar')
        assert greeted(s.port, 90, 60, 20) >= 60
        for c in held:
            c.close()
        s.serves()


def hoarded(d, listener, limit, source, **kw):
    """Worker 1 keeps what it has had of a limit, and a quarter is left for the
    other one, for as many sessions as one likes after each other."""
    with Hostile(d, listener, workers=2, **kw) as s:
        def held():
            return [p['sessions'] for p in s.ctl_json('status')['processes']
                    if p['role'] == 'worker']

        def visit(i):
            """The client leaves at once."""
            with contextlib.suppress(OSError, AssertionError):
                Client(s.port, banner=False, source=source(i)).close()
            return max(held()) >= limit - limit // 4
        s.play('worker 1', 'hoarder')
        n = itertools.count()
        wait_for('the hoard', lambda: visit(next(n)), 60)
        wait_for('the ends of the others', lambda: min(held()) == 0)
        for i in range(2 * limit):
            with Client(s.port, source=source(next(n))) as c:
                c.hello()
                c.cmd('QUIT', '221')
                assert c.line() == b''
        assert sorted(held())[1] == limit - limit // 4, held()
        assert 'event=hostile ' not in s.log()


def test_a_worker_that_never_reports_an_end_to_a_client(d):
    hoarded(d, '', 20, lambda i: '127.0.0.1', client_sessions=20)


def test_a_worker_that_never_reports_an_end_to_all(d):
    hoarded(d, 'Listener_Sessions = 20\n', 20,
            lambda i: f'127.0.1.{1 + i % 250}')


def test_a_worker_that_reports_sessions_of_others(d):
    with Hostile(d, workers=2) as s:
        held = [Client(s.port) for _ in range(10)]
        s.play('worker 1', 'unknown', 100)
        wait_for('the log', lambda: re.search(
            r'event=hostile role=worker slot=1 .*message=M_CLOSED', s.log()))
        assert s.stats()['hostile_kills'] == 1
        # those of the other worker go on
        alive = 0
        for c in held:
            try:
                c.hello()
                alive += 1
            except (OSError, AssertionError):
                pass
            c.close()
        assert alive >= 5, alive
        s.all_run()
        s.serves()


def test_a_worker_that_seals_segments_of_others(d):
    with Hostile(d, conf='segment_size = 1M\n') as s:
        with Traffic(s, size=8000) as t:
            t.wait(5)
            for _ in range(5):
                for path in glob.glob(f'{s.spool}/incoming/seg.*'):
                    s.play('worker 1', 'seal',
                           int(os.path.basename(path)[4:], 16))
                t.wait(20)
        t.has_arrived(but=1)


def block(s, user):
    """A file where the Maildir would be."""
    folder = os.path.dirname(s.maildir(user))
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o1777)
    open(s.maildir(user), 'w').close()


def forged(d, trick, message):
    """Worker 1 forges a record with the id of a message that worker 2 has taken
    and that waits in the deferred store."""
    with Hostile(d, conf='retry_interval = 1h\n') as s:
        block(s, 'later')
        sent, slots = {}, {}
        while set(slots.values()) != {1, 2}:
            with Client(s.port) as one, Client(s.port) as two:
                for c in one, two:
                    c.hello()
                    m = message + b'%d\r\n' % len(sent)
                    id = id_of(c.mail(m, 'later@example.test'))
                    sent[id], slots[id] = m, s.slot_of(id)

        def waiting():
            return {r['id'] for r in s.ctl_json('queue')['messages']}
        wait_for('all to be deferred', lambda: set(sent) <= waiting())
        for victim in [i for i in sent if slots[i] == 2]:
            s.forge('worker 1', trick, number_of(victim))
        s.serves()
        assert set(sent) <= waiting()
        for id in sent:
            assert 'a@client.test' in s.ctl('queue', 'show', id).stdout
        os.unlink(s.maildir('later'))
        s.ctl('queue', 'retry', 'all')
        wait_for('the mail', lambda: len(s.delivered('later')) >= len(sent))
        got = s.delivered('later')
        for id, m in sent.items():
            own = [g for g in got if f'id {id}'.encode() in g]
            assert len(own) == 1 and body_of(own[0]) == m, (id, got)


def test_a_worker_that_writes_a_record_with_another_s_id(d):
    forged(d, 'record', b'Subject: mine\r\n\r\n')


def test_a_worker_that_writes_a_record_with_an_id_that_it_has_used(d):
    """It took the message when it was honest."""
    with Hostile(d, conf='retry_interval = 1h\n') as s:
        block(s, 'later')
        sent = {}
        while 1 not in [s.slot_of(id) for id in sent]:
            with Client(s.port) as c:
                c.hello()
                m = b'Subject: mine\r\n\r\n%d\r\n' % len(sent)
                sent[id_of(c.mail(m, 'later@example.test'))] = m
        wait_for('all to be deferred', lambda: set(sent) <= {
            r['id'] for r in s.ctl_json('queue')['messages']})
        os.unlink(s.maildir('later'))
        victim = [i for i in sent if s.slot_of(i) == 1][0]
        s.forge('worker 1', 'record', number_of(victim))

        def forged():
            return [g for g in s.delivered('later') if b'forger@' in g]
        wait_for('what is forged', forged)
        s.end_one('queue')
        s.ctl('queue', 'retry', 'all')
        wait_for('the mail', lambda: len(s.delivered('later')) > len(sent))
        s.serves()
        got = s.delivered('later')
        for id, m in sent.items():
            own = [g for g in got if f'id {id}'.encode() in g]
            assert len(own) == 1 and body_of(own[0]) == m, (id, got)
        assert len(forged()) == 1 and len(got) == len(sent) + 1, got
        named = [n for n in os.listdir(f'{s.maildir("later")}/new')
                 if victim in n]
        assert len(named) == 2, named
        assert len({n[n.index('R0S'):n.index('.', n.index('R0S'))]
                    for n in named}) == 2, named


def test_a_worker_that_has_mail_held_for_ever(d):
    """And urgent.  It waits a year at most, can be removed, and keeps nobody
    from being served."""
    with Hostile(d) as s:
        ids = {}            # of equally many sessions, workers take turns
        while 1 not in ids:
            with Client(s.port) as c:
                c.hello()
                id = id_of(c.mail(b'Subject: x\r\n\r\nx\r\n',
                                  'now@example.test'))
                ids[s.slot_of(id)] = id
        s.forge('worker 1', 'terms', number_of(ids[1]))

        def held():
            return [m for m in s.ctl_json('queue')['messages']
                    if m['sender'] == 'forger@client.test']
        m = wait_for('what is forged', held)[0]
        year = 365 * 86400
        assert abs(m['hold_until'] - time.time() - year) < 300, m
        [r] = m['recipients']
        assert r['state'] == 'held' and r['next_attempt'] == m['hold_until'], m
        # also over a restart
        s.end_one('queue')
        assert held()[0]['hold_until'] == m['hold_until'], held()
        s.serves()
        s.ctl('queue', 'remove', m['id'])
        assert not held()


def test_a_worker_that_has_mail_held_in_another_s_name(d):
    """It names alice, and would use up all that she may have held: she has a
    quarter of it left, through the other worker."""
    s = Hostile(d, conf='held_quota = 26K\nretry_interval = 1h\n',
                listener='Future_Release_Max = 1h\nAuth_Without_TLS = true\n')
    passwd(f'{d}/users', 'alice', 'pencil', '-m', 'plain')
    s.give_to_authd(f'{d}/users')
    with s:
        ids = {}            # of equally many sessions, workers take turns
        while set(ids) != {1, 2}:
            with Client(s.port) as c:
                c.hello()
                id = id_of(c.mail(b'Subject: x\r\n\r\nx\r\n',
                                  'now@example.test'))
                ids[s.slot_of(id)] = id

        def held():
            return [m for m in s.ctl_json('queue')['messages']
                    if m['sender'] == 'forger@client.test']
        for n in range(6):
            s.forge('worker 1', 'held', number_of(ids[1]) + n * 4096)
        wait_for('what is forged', lambda: len(held()) == 6)

        def answers():
            """Of both workers, to a message that is to be held."""
            with Client(s.port) as one, Client(s.port) as two:
                got = []
                for c in one, two:
                    c.hello()
                    c.cmd('AUTH PLAIN AGFsaWNlAHBlbmNpbA==', '235')
                    c.send(b'MAIL FROM:<a@client.test> HOLDFOR=3600\r\n')
                    got.append(c.reply()[:10])
                return sorted(got)
        wait_for('both', lambda: answers() == ['250 2.1.0 ', '552 5.7.16'])
        assert 'event=held-full' not in s.log()
        s.serves()


def test_a_worker_that_claims_a_body_of_another(d):
    forged(d, 'claim', big(500000))


def test_a_worker_that_asks_for_files_of_another(d):
    with Hostile(d, conf='retry_interval = 1h\nsegment_size = 1M\n'
                 'spool_large_message = 4K\n') as s:
        block(s, 'later')
        with Traffic(s, 1) as t:
            with Client(s.port) as c, Client(s.port) as c2:
                for client in c, c2:
                    client.hello()
                    for _ in range(3):
                        client.mail(big(9000), 'later@example.test')
            t.wait(20)
            pid = s.pid('worker 1')
            for path in glob.glob(f'{s.spool}/incoming/*.*'):
                kind, id = os.path.basename(path).split('.')
                s.order(pid, 'drop', number_of(id) if kind == 'body' else
                        int(id, 16))
            s.play('worker 1', 'drop')
            t.wait(20)
        t.has_arrived(but=1)
        os.unlink(s.maildir('later'))
        s.ctl('queue', 'retry', 'all')
        got = s.wait_mail(6, 'later')
        assert [body_of(m) for m in got] == [big(9000)] * 6


def message_of_each(s):
    """{slot: id of a message} of two workers."""
    ids = {}
    while set(ids) != {1, 2}:
        with Client(s.port) as one, Client(s.port) as two:
            for c in one, two:
                c.hello()
                id = id_of(c.mail(b'Subject: x\r\n\r\n'))
                ids[s.slot_of(id)] = id
    return ids


@lasts(10)
def test_a_worker_that_takes_the_disk(d):
    """Closed files are its own, too: the last fifth is left to the others."""
    unshare_mounts()
    mount_tmpfs(f'{d}/disk', '64m')
    with Hostile(d, spool=f'{d}/disk/spool', workers=2,
                 conf='segment_size = 1M\nspool_large_message = 20000\n') as s:
        ids = message_of_each(s)
        s.play('worker 1', 'hoard', number_of(ids[1]))
        assert s.said('hoarded') > 200          # it could go on for a while
        disk = os.statvfs(f'{d}/disk')
        assert disk.f_bavail > disk.f_blocks / 8, (disk.f_bavail, disk.f_blocks)
        taken = 0
        for _ in range(50):                     # by the other worker
            with Client(s.port) as one, Client(s.port) as two:
                for c in one, two:
                    c.hello()
                    try:
                        id = id_of(c.mail(big(30000)))
                    except AssertionError as e:
                        assert "'45" in str(e), e
                        continue
                    taken += s.slot_of(id) == 2
            if taken >= 5:
                break
        assert taken >= 5, taken
        s.logged('event=spoold-share ')


def fills(d, trick, meanwhile=lambda s: None):
    """It takes no new ones.  It is ended in time, and what it has written goes."""
    unshare_mounts()
    mount_tmpfs(f'{d}/disk', '128m')
    with Hostile(d, spool=f'{d}/disk/spool', workers=2,
                 conf='segment_size = 1M\nspool_large_message = 20000\n') as s:
        ids = message_of_each(s)
        free = []

        def look():
            disk = os.statvfs(f'{d}/disk')
            free.append(disk.f_bavail / disk.f_blocks)
            meanwhile(s)
        look()
        assert not s.play('worker 1', trick, number_of(ids[1]),
                          meanwhile=look)
        s.logged(r'event=worker-beyond slot=1 ')
        s.logged(r'event=spoold-beyond slot=1 ')
        assert s.stats()['hostile_kills'] == 1
        # it had its share, which is four fifths, and not all
        assert 0.02 < min(free) < 0.25, free

        def is_free():
            look()
            return free[-1] > 0.8
        wait_for('room', is_free, 60)
        s.all_run()
        s.serves()


@lasts(25)
def test_a_worker_that_fills_the_disk_through_open_files(d):
    fills(d, 'fill')


@lasts(20)
def test_a_worker_that_fills_the_disk_through_dropped_files(d):
    fills(d, 'filldrop')


@lasts(20)
def test_a_worker_that_fills_the_disk_through_delivered_files(d):
    """The queue process has removed them: here the test does so, since spoold sees
    no difference."""
    def deliver(s):
        for path in glob.glob(f'{s.spool}/incoming/body.*'):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    fills(d, 'fill', deliver)


@lasts(10)
def test_a_worker_that_keeps_its_segments(d):
    """It would unlock them, and write over them when another worker has them."""
    need_sandbox()
    with Hostile(d, conf='segment_size = 1M\n') as s:
        with Traffic(s, size=30000) as t:
            t.wait(20)
            for _ in range(3):
                killed(s, 'worker 1', 'unlock', 0, 'flock')
                t.wait(50)
        t.has_arrived(but=1)


def test_a_worker_that_writes_into_the_log(d):
    with Hostile(d) as s:
        before = s.log()
        s.play('worker 1', 'logfile')
        s.serves()
        assert s.log().startswith(before)
        for line in s.log().splitlines():
            # neither to a reader nor to fail2ban it looks like authd's
            assert 'user=forged' not in line or line.startswith(
                'from a child: '), line


@lasts(10)
def test_a_worker_that_has_others_blocked_and_banned(d):
    """authd counts and logs for whoever has connected, as the master says."""
    def wrong(n):
        return f'AUTH PLAIN {b64(chr(0) + f"own{n}" + chr(0) + "x")}'
    with Hostile(d, 'Auth_Without_TLS = true\n', workers=2,
                 conf='auth_client_failures = 7\n') as s:
        with contextlib.ExitStack() as stack:
            for _ in range(4):                  # the workers take turns
                stack.enter_context(Client(s.port, source='127.0.0.7'))
            assert s.play('worker 1', 'guess', 20)
            assert s.said('guesses') >= 20 * 2 * 4
            failed = wait_for('the failures', lambda: len(
                v := lines(s, 'auth-failed', 'authd')) >= 7 and v)
            assert {x['client'] for x in failed} == {'127.0.0.7'}, failed
            assert len(failed) == 7, failed
            wait_for('a complaint', lambda: re.search(
                r'event=authd-worker slot=1 .*"a session that it does not have"',
                s.log_now()))
            with Client(s.port, source='127.0.0.7') as c:
                c.hello()
                c.cmd(wrong(1), '454')
            with Client(s.port, source='127.0.0.8') as c:
                c.hello()
                c.cmd(wrong(2), '535')
        # a worker's own words are not read
        wait_for('the line', lambda: re.search(
            r' mailmilld/worker-1\[\d+\] .*event=auth-failed .*192\.0\.2\.66',
            s.log_now()))
        wait_lines(s, 'auth-failed', 8, 'authd')
        s.serves()
    for text in s.log(), as_syslog(s.log()):
        assert '192.0.2.66' in text
        assert sorted(fail2ban(d, text)) == \
            ['127.0.0.7'] * 7 + ['127.0.0.8'], text


class OnTerminal(Hostile):
    """In the foreground of one; what it shows is in the file of standard error."""

    def start(self, ready=True):
        shown, term = pty.openpty()
        tty.setraw(term)                # no carriage returns
        self.proc = subprocess.Popen(
            self.command('-f'), stdin=term, stdout=term, stderr=term,
            start_new_session=True, preexec_fn=self._before_exec)
        os.close(term)
        self.master = self.proc.pid

        def copy():
            with open(self.stderr, 'ab', 0) as f, \
                    contextlib.suppress(OSError):       # EIO: all have ended
                while True:
                    f.write(os.read(shown, 65536))
            os.close(shown)
        threading.Thread(target=copy, daemon=True).start()
        if ready:
            self.wait_ready()
        return self


def test_a_worker_that_writes_on_the_terminal(d):
    """What it writes is marked, and what the logger writes is not."""
    with OnTerminal(d) as s:
        s.play('worker 1', 'logfile')
        s.serves()
        lines = wait_for('the line', lambda: (
            'event=accepted ' in s.log_now() and s.log())).splitlines()
        assert [x for x in lines if 'user=forged' in x], lines
        for line in lines:
            assert line.startswith('from a child: ') == (
                'user=forged' in line), line


def test_a_worker_that_floods_the_log(d):
    with Hostile(d, conf='log_rate = 1000\n') as s:
        with Traffic(s) as t:
            t.wait(5)
            # it cannot say that it is done: that is left out, too
            s.order(s.pid('worker 1'), 'logflood', 50000)
            t.wait(20)
        t.has_arrived()
        wait_for('the count', lambda: re.search(
            r'event=log-throttled .*process=mailmilld/worker-1', s.log()))
        assert s.log().count('event=flood') < 25000
        # the other one's lines are there
        slots = s.number_slots()
        assert 2 in slots.values()
        theirs = {id for id in t.acked
                  if slots.get(number_of(id) & 0xfff) == 2}
        wait_for('their lines', lambda: theirs <= set(re.findall(
            r' id=(\w+) ', s.log_now())))


def test_a_worker_that_sends_connections_to_the_log(d):
    """Whoever takes its records closes them, and must not wait for that."""
    with Hostile(d, workers=2) as s:
        # they read nothing, so what is written to them lingers
        held = [Client(s.port) for _ in range(4)]
        at = len(s.log())
        s.play('worker 1', 'loglinger', 600)
        assert int(s.logged(r'event=trick-found what=lingering n=(\d+)')[-1][1]) \
            > 0
        s.serves()
        wait_for('lines of others', lambda: re.search(
            r'mailmilld/worker-2\[\d+\] .*event=accepted ', s.log()[at:]) or
            s.serves())
        # the master takes what is left at the end
        s.play('worker 2', 'loglinger', 600)
        s.stop()
        for c in held:
            c.close()


def test_a_worker_that_changes_counters(d):
    """It has its own; those that tell of what it does are the master's."""
    with Hostile(d) as s:
        before = s.stats()
        s.play('worker 1', 'counters', 1 << 40)
        s.serves()
        after = s.stats()
        for name in ('connections_refused', 'respawns', 'sandbox_kills',
                     'hostile_kills', 'late_kills', 'reloads',
                     'counters_left_out'):
            assert after[name] == before[name], (name, before, after)
        assert 0 < after['connections'] - before['connections'] < 100
        # and it adds to them no more when it has ended
        os.kill(s.pid('worker 1'), signal.SIGKILL)
        s.all_run()
        assert s.stats()['messages_accepted'] - after['messages_accepted'] < 9


def test_a_worker_that_makes_its_counters_overflow(d):
    """What it says is left out from then on; what others count is there."""
    with Hostile(d) as s:
        s.serves()
        before = s.stats()
        for n in (1 << 63, (1 << 63) - 1):
            s.play('worker 1', 'counters', n)
            after = s.stats()
            assert all(0 <= v < 1 << 40 for v in after.values()), after
        assert after['counters_left_out'] == 1, after
        counted = {(p['role'], p['slot']): p['counted']
                   for p in s.ctl_json('status')['processes'] if 'counted' in p}
        assert [p for p in counted if not counted[p]] == [('worker', 1)], counted
        assert 'its counters are false' in s.ctl('status').stdout
        for _ in range(4):              # the workers take turns
            s.serves()
        after = s.stats()
        assert after['messages_accepted'] > before['messages_accepted']
        os.kill(s.pid('worker 1'), signal.SIGKILL)
        s.all_run()
        last = s.stats()
        assert all(0 <= last[k] < 1 << 40 for k in last), last
        assert last['messages_accepted'] >= after['messages_accepted']


def test_a_worker_that_reaches_for_other_processes(d):
    need_sandbox()
    with Hostile(d) as s:
        other = s.pid('worker 2')
        killed(s, 'worker 1', 'kill', other, 'kill')
        killed(s, 'worker 1', 'trace', other, 'ptrace')
        killed(s, 'worker 1', 'type', 0, 'ioctl')
        killed(s, 'worker 1', 'logshut', 0, 'shutdown')
        assert s.pid('worker 2') == other
        s.all_run()
        s.serves()


def asked(s, slot):
    """The domains that clients have asked the worker of that slot for."""
    return re.findall(rf'mailmilld/worker-{slot}\[\d+\].* event=etrn session=.*'
                      r' domain=(\S+)', s.log())


@lasts(30)
def test_a_worker_that_asks_for_domains_all_the_time(d):
    with Hostile(d, listener='ETRN_Domains = { "example.test", '
                 '"*.example.test" }\n', conf='retry_interval = 1h\n'
                 'max_retry_interval = 1h\n',
                 extra=f'Domain "*.example.test" {{ Maildir = "{d}/mail/%d/%u" '
                 '}\n') as s:
        block(s, 'user')
        with Client(s.port) as c:
            c.hello()
            for i in range(5):
                c.mail(b'Subject: %d\r\n\r\n' % i)

        def deferred():
            return s.stats()['deferred']
        wait_for('them to be deferred', lambda: deferred() == 5)
        began = time.monotonic()
        s.play('worker 1', 'etrn', 20000)
        s.serves()
        # each message once for example.test, once for @example.test, and so
        # again each 30 seconds
        most = 5 + 10 * (1 + int((time.monotonic() - began) / 30))
        assert 5 < deferred() <= most, (deferred(), most)
        s.logged('event=etrn-refused worker=1 ')
        # it lives, and what the other worker asks for is not refused
        os.unlink(s.maildir())
        s.all_run()
        names = (f'other{i}.example.test' for i in range(40))

        def etrn(domain):
            with Client(s.port) as c:
                c.hello()
                c.send(b'ETRN %s\r\n' % domain.encode())
                return c.reply()[:3]
        # it has used up its room, and says so to its own clients
        while not asked(s, 2):
            assert etrn(next(names)) in ('250', '458')
        wait_for('the other worker to be asked',
                 lambda: etrn('example.test') == '250')
        domain = re.escape(asked(s, 2)[0])
        wait_for('what it has asked for', lambda: re.search(
            rf'event=queue-started domain={domain} subdomains=no ',
            s.log_now()), 60)
        s.wait_mail(5, timeout=60)
