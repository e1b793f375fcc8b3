"""The wall clock is set while the server runs: test/stepped."""
import os
import re
import shutil
import struct
import time

from harness import BUILD, SLOW, Client, Server, lasts, text_message, wait_for
from test_queue import block, deferred

DAY = 86400
YEAR = 400 * DAY                        # so that the date shows it
LIMITS = '''    Command_Timeout = 4
    Idle_Time = 4
    Data_Block_Timeout = 4
    Data_Timeout = 4
'''


class Stepped(Server):
    """With one worker, whose clock one can ask for."""

    def __init__(self, d, **kw):
        self.ahead = 0
        self.clock = f'{d}/clock'
        self.n = 0
        with open(self.clock, 'wb') as f:
            f.write(struct.pack('q', 0))
        os.chmod(self.clock, 0o644)
        super().__init__(d, workers=1, program=shutil.copy(
            f'{BUILD}/stepped/mailmilld', d), **kw)

    def date(self):
        """As the worker sees it now: of a message that it receives."""
        self.n += 1
        user = f'date{self.n}'
        with Client(self.port) as c:
            c.hello()
            c.mail(text_message(), f'{user}@example.test')
        got = self.wait_mail(1, user=user)[0]
        return got.split(b';', 1)[1].split(b'\r\n', 1)[0].decode()

    def set_clock(self, ahead, is_noticed=True):
        """Until the worker has noticed."""
        with open(self.clock, 'r+b') as f:
            f.write(struct.pack('q', ahead))
        self.ahead = ahead
        if is_noticed:
            year = time.strftime(' %Y ', time.gmtime(time.time() + ahead))
            wait_for('the worker to see it', lambda: year in self.date())


def in_data(s):
    c = Client(s.port)
    c.hello()
    c.envelope()
    c.cmd('DATA', '354')
    c.send(b'Subject: x\r\n')
    return c


def times_are_true(s):
    """No session has lasted for the length of a step, or for less than nothing;
    nor has a message waited so, but for those that were under way when the
    clock was set: their delay counts from the time in their Received line."""
    s.stop()
    times = re.findall(r' (seconds|delay)=(-?[\d.]+)', s.log())
    assert times, s.log()
    for what, n in times:
        n = float(n)
        assert 0 <= n, (what, n)
        assert (n % YEAR if what == 'delay' else n) < 120 * SLOW, (what, n)


def test_a_step_forward_ends_no_message_under_way(d):
    with Stepped(d) as s, in_data(s) as c, Client(s.port) as idle:
        idle.hello()
        s.set_clock(YEAR)
        # seen by itself: another message is received after it
        c.send(b'rest\r\n')
        s.date()
        c.send(b'.\r\n')
        c.expect('250')
        idle.envelope()
        idle.cmd('QUIT', '221')
        assert 'event=timeout' not in s.log(), s.log()
        times_are_true(s)


def test_a_step_back_keeps_no_silent_client(d):
    with Stepped(d, listener=LIMITS) as s:
        began = time.monotonic()
        silent = [Client(s.port), Client(s.port), in_data(s)]
        silent[1].hello()
        s.set_clock(-YEAR)
        for c in silent:
            c.expect('421 4.4.2')
            c.ended()
        assert time.monotonic() - began < 15 * SLOW
        s.logged('event=timeout', 3)
        assert s.log().count('event=timeout') == 3
        times_are_true(s)


def test_a_session_over_a_step_back_has_lasted_as_long_as_it_did(d):
    with Stepped(d, conf='log_level = "debug"\n') as s:
        with in_data(s) as c:
            s.set_clock(-YEAR)
            c.send(b'.\r\n')
            c.expect('250')
            c.cmd('QUIT', '221')
        s.set_clock(0)
        times_are_true(s)


def next_attempts(s):
    return [r['next_attempt'] for m in s.ctl_json('queue')['messages']
            for r in m['recipients']]


@lasts(15)
def test_deferred_mail_does_not_wait_for_a_clock_that_was_ahead(d):
    with Stepped(d, conf='retry_interval = 2\nmax_retry_interval = 5\n') as s:
        s.set_clock(YEAR)
        for user in 'user', 'other':
            block(s, user)
            with Client(s.port) as c:
                c.hello()
                c.mail(text_message(), f'{user}@example.test')
        wait_for('both to be deferred', lambda: deferred(s) >= 2)
        # while it runs
        s.set_clock(0)
        wait_for('the queue to see it', lambda: all(
            t is None or t <= time.time() + 6 for t in next_attempts(s)))
        os.unlink(s.maildir('user'))
        s.wait_mail(1)
        # and while it does not
        s.set_clock(YEAR)
        n = deferred(s)
        wait_for('one more attempt', lambda: deferred(s) > n)
        s.stop()
        s.set_clock(0, is_noticed=False)
        s.start()
        os.unlink(s.maildir('other'))
        s.wait_mail(1, user='other')
        times_are_true(s)
