"""What is kept in the envelope, and spools that an earlier version has written."""
import os
import re
import signal
import sqlite3
import time

from harness import (TOP, Client, Server, descendants, text_message,
                     wait_for)
from test_auth import PLAIN, server
from test_auth_mechs import b64, passwd
from test_queue import block

HOLD = 6                                # seconds


def kill_all(s):
    """The power is cut, but for the kernel."""
    for pid in descendants(s.master) + [s.master]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    s.proc.wait()
    s.proc = None
    s.no_process_left()


def hold(c, seconds, user):
    """When it was sent."""
    sent = time.time()
    c.cmd(f'MAIL FROM:<a@client.test> HOLDFOR={seconds}')
    c.cmd(f'RCPT TO:<{user}@example.test>')
    c.cmd('DATA', '354')
    c.send(text_message() + b'.\r\n')
    c.expect('250')
    return sent


def held(s):
    """The messages that are held, by user."""
    return {r['recipient'].split('@')[0]: m
            for m in s.ctl_json('queue')['messages'] for r in m['recipients']
            if r['state'] == 'held'}


def states(s):
    return [r['state'] for m in s.ctl_json('queue')['messages']
            for r in m['recipients']]


def test_a_message_is_held_until_its_time_also_over_a_crash(d):
    s = server(d, listener='Future_Release_Max = 1h\nRequire_Auth = true',
               conf='log_level = "info"\n')
    s.start()
    with Client(s.port) as c:
        assert 'FUTURERELEASE 3600 ' in c.hello()
        c.cmd(PLAIN, '235')
        c.cmd('MAIL FROM:<a@client.test> HOLDFOR=3601', '501 5.5.4')
        # one that is held longer than the test takes, and one that is not
        hold(c, 3600, 'later')
        sent = hold(c, HOLD, 'user')
        # one behind them, which is not held, is not kept up
        c.mail(text_message(2), rcpt='other@example.test')
    s.wait_mail(1, user='other')
    wait_for('the others to be held', lambda: len(held(s)) >= 1)
    later = wait_for('the one for later', lambda: held(s).get('later'))
    assert abs(later['hold_until'] - sent - 3600) < 5, later
    shown = s.ctl('queue', 'show', later['id']).stdout
    assert 'held until' in shown, shown
    s.ctl('queue', 'retry', later['id'])
    s.ctl('queue', 'retry', 'all')
    kill_all(s)
    s.start()
    assert held(s)['later']['hold_until'] == later['hold_until']
    s.wait_mail(1)
    new = f'{s.maildir()}/new'
    arrived = os.stat(f'{new}/{os.listdir(new)[0]}').st_ctime
    assert arrived >= sent + HOLD - 1, (arrived, sent)
    s.ctl('queue', 'retry', 'all')
    wait_for('the queue to be done with it', lambda: list(held(s)) == ['later'])
    assert not s.delivered('later')
    s.ctl('queue', 'remove', later['id'])
    wait_for('the queue to be empty', lambda: states(s) == [])
    s.logged(r'event=held .*rcpt=user@example.test')
    s.stop()


def test_a_login_has_no_more_held_than_its_share(d):
    """And others have theirs.  The queue process, which knows, may end."""
    s = server(d, listener='Future_Release_Max = 1h\nRequire_Auth = true\n'
               'Max_Errors = 0',
               conf='held_quota = 24K\nretry_interval = 1h\n', workers=1)
    passwd(f'{d}/passwd', 'bob', 'pencil', '-m', 'plain')
    s.give_to_authd(f'{d}/passwd')
    s.start()

    def may_hold(c):
        c.send(b'MAIL FROM:<a@client.test> HOLDFOR=3600\r\n')
        answer = c.reply()
        if answer.startswith('250'):
            c.cmd('RSET')
            return True
        assert answer.startswith('552 5.7.16'), answer
        return False

    with Client(s.port) as alice, Client(s.port) as bob:
        for c, name in (alice, 'alice'), (bob, 'bob'):
            c.hello()
            c.cmd(f'AUTH PLAIN {b64(chr(0) + name + chr(0) + "pencil")}', '235')
        # what MAIL does not say is found out when the message is complete
        alice.cmd('MAIL FROM:<a@client.test> HOLDFOR=3600 SIZE=20000',
                  '552 5.7.16')
        alice.cmd('MAIL FROM:<a@client.test> HOLDFOR=3600')
        alice.cmd('RCPT TO:<later@example.test>')
        alice.cmd('DATA', '354')
        alice.send(text_message(0, 20000) + b'.\r\n')
        alice.expect('552 5.7.16')
        for _ in range(4):
            hold(alice, 3600, 'later')
        wait_for('her share to be full', lambda: not may_hold(alice))
        # the queue adds up what is held once a second: the next process would
        # not see it, if some is stored after its first look, and gone before the
        # second
        s.logged(r'event=held-full login=alice octets=24576 ')
        assert may_hold(bob)
        hold(bob, 3600, 'later')
        alice.mail(text_message())
        s.wait_mail(1)
        s.end_one('queue')
        wait_for('the queue', lambda: len(states(s)) == 5)
        assert not may_hold(alice) and may_hold(bob)
        for m in s.ctl_json('queue')['messages']:
            s.ctl('queue', 'remove', m['id'])
        wait_for('room', lambda: may_hold(alice))
    assert 'login=bob octets' not in s.log()
    s.stop()


def test_a_priority_is_logged(d):
    s = server(d, listener='SMTP_Extensions = { "AUTH", "MT-PRIORITY" }')
    s.start()
    with Client(s.port) as c:
        c.hello()
        for login, said, granted in ((False, -4, -4), (False, 3, 0),
                                     (True, 7, 7), (True, None, 0)):
            if login:
                c.send(PLAIN.encode() + b'\r\n')
                assert c.reply()[:3] in ('235', '503')
            c.cmd('MAIL FROM:<a@client.test>' + (
                '' if said is None else f' MT-PRIORITY={said}'))
            c.cmd('RCPT TO:<user@example.test>')
            c.cmd('DATA', '354')
            c.send(text_message() + b'.\r\n')
            id = c.expect('250').split()[-1]
            for event in 'accepted', 'delivered':
                line = wait_for(event, lambda: re.findall(
                    rf'event={event} .*\bid={id} .*', s.log()))[0]
                got = re.search(r' priority=(\S+)', line)
                assert (got[1] if got else '0') == str(granted), line
                assert 'priority=0' not in line, line
    s.stop()


HELD_UNTIL = 1826841665              # of spool-2, in unix seconds
EARLIER = f'{TOP}/test/data/spool-'     # and the version of its records
SEGMENT = 1 << 20                       # octets, that version's segment_size


def put(path, data, folder):
    """A file that belongs to whom the folder belongs to."""
    with open(path, 'wb') as f:
        f.write(data)
    st = os.stat(folder)
    os.chown(path, st.st_uid, st.st_gid)
    os.chmod(path, 0o600)


def restore(s, version):
    """A spool of that version, in place of the one that s has made.  The files of
    test/data are as that version left them when it was killed; segments without
    the zeros at their end, the database as text."""
    earlier = f'{EARLIER}{version}'
    for name in ('incoming', 'queue', 'queue/deferred'):
        folder = f'{s.spool}/{name}'
        for old in os.listdir(folder):
            if re.match(r'(seg|free|body|new|ack|deferred\.db)\b', old):
                os.unlink(f'{folder}/{old}')
        for new in os.listdir(f'{earlier}/{name}'):
            path = f'{earlier}/{name}/{new}'
            if not os.path.isfile(path) or new.endswith('.sql'):
                continue
            with open(path, 'rb') as f:
                data = f.read()
            if re.match('(seg|free)', new):
                data = data.ljust(SEGMENT, b'\0')
            put(f'{folder}/{new}', data, folder)
    db = sqlite3.connect(f'{s.spool}/queue/deferred.db')
    with open(f'{earlier}/queue/deferred.sql') as f:
        db.executescript(f.read())
    db.close()
    with open(f'{s.spool}/queue/deferred.db', 'rb') as f:
        data = f.read()
    put(f'{s.spool}/queue/deferred.db', data, f'{s.spool}/queue')


def test_a_spool_of_version_1_is_read_and_delivered(d):
    """It has two recipients that were deferred, and in a segment three messages,
    one of them for three recipients, one with a body of its own."""
    conf = 'segment_size = 1M\nretry_interval = 1\nmax_retry_interval = 1\n'
    s = Server(d, conf=conf)
    s.start()
    s.stop()
    restore(s, 1)
    s.start()
    s.ctl('queue', 'retry', 'all')
    for user, n in (('old', 1), ('older', 1), ('user', 3), ('other', 1),
                    ('postmaster', 1)):
        s.wait_mail(n, user=user)
    subjects = sorted(re.search(rb'Subject: number (\d)', m).group(1)
                      for m in s.delivered())
    assert subjects == [b'2', b'3', b'4'], subjects
    # each once, also when it goes on
    wait_for('the queue to be empty', lambda: states(s) == [])
    with Client(s.port) as c:
        c.hello()
        c.mail(text_message(9))
    s.wait_mail(4)
    assert len(s.delivered('old')) == len(s.delivered('older')) == 1
    assert 'spool-damage' not in s.log() and 'spool-torn' not in s.log()
    # what is left of the segments has the version of this one
    s.stop()
    incoming = f'{s.spool}/incoming'
    versions = set()
    for name in os.listdir(incoming):
        if re.match('(seg|free)', name):
            with open(f'{incoming}/{name}', 'rb') as f:
                versions.add(f.read(12)[8])
    assert versions <= {2}, versions
    db = sqlite3.connect(f'{s.spool}/queue/deferred.db')
    assert db.execute('PRAGMA user_version').fetchone() == (9,)
    db.close()


def test_a_spool_of_version_2_is_read_and_delivered(d):
    """All that an envelope can say, of a message that was deferred and of three
    that are in a segment; one of these is held for most of a year from the day on
    which it was written."""
    conf = 'segment_size = 1M\nretry_interval = 1h\nmax_retry_interval = 1h\n'
    s = Server(d, conf=conf)
    s.start()
    s.stop()
    restore(s, 2)
    # what was deferred is due an hour later, and to be looked at first
    blocked = 'grün', 'old', 'user'
    for user in blocked:
        block(s, user)
    s.start()

    def all_of(n):
        m = s.ctl_json('queue', 'list')['messages']
        return [s.ctl_json('queue', 'show', x['id'])['message'] for x in m] \
            if len(m) == n else None
    by_rcpt = {r['recipient']: (m, r) for m in wait_for(
        'what is not delivered', lambda: all_of(
            3 if time.time() < HELD_UNTIL else 2), 30)
        for r in m['recipients']}
    m, r = by_rcpt['grün@example.test']
    assert m['sender'] == 'ä@client.test' and m['smtputf8'] is True, m
    assert m['envid'] == 'env+2' and m['ret'] == 'hdrs', m
    assert m['priority'] == 4 and m['tls_optional'] is True, m
    assert m['solicit'] == 'org.example:X', m
    assert m['deliver_by_mode'] == 'notify' and m['deliver_by'] > 1790000000, m
    assert sorted(r['notify']) == ['delay', 'success'], r
    assert r['orcpt'] == 'utf-8;grün@other.test', r
    assert by_rcpt['old@example.test'][1]['notify'] == ['never'], by_rcpt
    m, r = by_rcpt['user@example.test']
    assert m['envid'] == 'x' and m['priority'] == -3, m
    assert r['notify'] == ['failure'] and r['orcpt'] == 'rfc822;u@v', r
    if time.time() < HELD_UNTIL:
        m, r = by_rcpt['held@example.test']
        assert r['state'] == 'held' and m['hold_until'] == HELD_UNTIL, m
        assert not s.delivered('held')
    for user, number in ('other', 3), ('postmaster', 4):
        [got] = s.wait_mail(1, user=user)
        assert b'Subject: number %d\r\n' % number in got, got
    for user in blocked:
        os.unlink(s.maildir(user))
    s.ctl('queue', 'retry', 'all')
    for user in blocked:
        s.wait_mail(1, user=user)
    assert s.delivered('grün')[0].endswith(b'\r\n\r\none\r\n')
    wait_for('the queue to be done with them',
             lambda: states(s) in (['held'], []))
    if list(held(s)) == ['held']:
        s.ctl('queue', 'remove', held(s)['held']['id'])
    assert 'spool-damage' not in s.log() and 'spool-torn' not in s.log()
    s.stop()


def test_a_database_of_a_later_version_is_refused_and_left_alone(d):
    s = Server(d, conf='retry_interval = 1\n')
    s.start()
    s.stop()
    path = f'{s.spool}/queue/deferred.db'
    db = sqlite3.connect(path)
    db.execute('PRAGMA user_version = 99')
    db.commit()
    db.close()
    s.start(ready=False)
    wait_for('the reason in the log', lambda: re.search(
        r'event=deferred-version .*version=99', s.log()))
    db = sqlite3.connect(path)
    assert db.execute('PRAGMA user_version').fetchone() == (99,)
    db.execute('PRAGMA user_version = 9')
    db.commit()
    db.close()
    s.wait_ready()
    s.stop()
