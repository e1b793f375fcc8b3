"""The queue and its agents: who waits for whom, and what is left behind."""
import os
import shutil
import signal
import sqlite3
import time

from harness import Client, Server, body_of, text_message, wait_for

CONF = '''retry_interval = 1h
max_retry_interval = 1h
log_level = "warning"
'''


def send(s, first, n, user):
    with Client(s.port, timeout=60) as c:
        c.hello()
        for i in range(first, first + n):
            c.mail(text_message(i, 500), f'{user}@example.test')


def block(s, user):
    """A file in the place of the user's Maildir."""
    os.makedirs(os.path.dirname(s.maildir(user)), exist_ok=True)
    os.chmod(os.path.dirname(s.maildir(user)), 0o777)
    with open(s.maildir(user), 'w'):
        pass


def deferred(s):
    return int(s.stats()['deferred'])


def test_new_mail_does_not_wait_for_what_is_due(d):
    old = 1500
    with Server(d, conf=CONF) as s:
        block(s, 'old')
        send(s, 0, old, 'old')
        wait_for('all to be deferred', lambda: deferred(s) >= old, 60)
        os.unlink(s.maildir('old'))
        s.ctl('queue', 'retry', 'all', timeout=60)
        wait_for('the first of them', lambda: s.delivered('old'), 60)
        send(s, old, 1, 'user')
        sent = time.time_ns()
        s.wait_mail(1, timeout=60)
        s.wait_mail(old, user='old', timeout=120)

        def times(user):
            new = f'{s.maildir(user)}/new'
            return [os.stat(f'{new}/{n}').st_ctime_ns for n in os.listdir(new)]

        # a rename sets the time: how many passed the new one after its 250
        arrived = times('user')[0]
        passed = [t for t in times('old') if sent < t < arrived]
        assert len(passed) <= 800, len(passed)
        assert int(s.stats()['delivered']) == old + 1


def test_nothing_waits_longer_than_the_longest_interval(d):
    """The clock was a year ahead when they were deferred."""
    with Server(d, conf=CONF) as s:
        block(s, 'user')
        send(s, 0, 1, 'user')
        wait_for('it to be deferred', lambda: deferred(s) == 1)
        s.stop()
        db = sqlite3.connect(f'{s.spool}/queue/deferred.db')
        db.execute('UPDATE deferred SET next_attempt = next_attempt + 31536000')
        db.commit()
        db.close()
        os.unlink(s.maildir())
        s.write_conf(conf='retry_interval = 1\nmax_retry_interval = 2\n')
        s.start()
        s.wait_mail(1)


def test_folders_that_are_removed_from_an_open_maildir_are_made_again(d):
    with Server(d, conf=CONF) as s:
        for i, name in enumerate(('new', 'cur', 'tmp', '.')):
            send(s, 2 * i, 1, 'user')
            s.wait_mail(1)
            shutil.rmtree(os.path.normpath(f'{s.maildir()}/{name}'))
            send(s, 2 * i + 1, 1, 'user')
            want = 1 if name in ('new', '.') else 2
            got = s.wait_mail(want)
            assert text_message(2 * i + 1, 500) in map(body_of, got)
            shutil.rmtree(s.maildir())
        assert deferred(s) == 0


def test_a_link_in_the_place_of_new_leads_nowhere(d):
    with Server(d, conf=CONF.replace('1h', '1s')) as s:
        victim = f'{d}/victim'
        os.mkdir(victim)
        os.chmod(victim, 0o777)
        send(s, 0, 1, 'user')
        s.wait_mail(1)
        os.rename(f'{s.maildir()}/new', f'{s.maildir()}/kept')
        os.symlink(victim, f'{s.maildir()}/new')
        send(s, 1, 1, 'user')
        wait_for('it to be deferred', lambda: deferred(s) >= 1)
        assert 'symbolic link' in s.ctl('queue').stdout
        assert os.listdir(victim) == []
        os.unlink(f'{s.maildir()}/new')
        os.rename(f'{s.maildir()}/kept', f'{s.maildir()}/new')
        s.wait_mail(2)


def test_killed_agents_leave_nothing_in_tmp(d):
    with Server(d, conf=CONF) as s:
        def running():
            # not their titles: a process that begins has a child for a moment
            return {p['pid'] for p in s.ctl_json('status')['processes']
                    if (p['role'], p['state']) == ('deliver', 'running')}
        for i in range(4):
            agents = wait_for('the agents', running)
            send(s, i * 20, 20, 'user')
            for p in agents:
                os.kill(p, signal.SIGKILL)
            wait_for('other agents', lambda: len(running()) == len(agents)
                     and not agents & running())
        # every agent is new, so the one that takes this looks
        send(s, 80, 1, 'user')
        s.wait_mail(81, timeout=60)
        assert os.listdir(f'{s.maildir()}/tmp') == []
