"""Aliases, mailing lists, and mail that is forwarded to other servers."""
import collections
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import time

from harness import TOP, Client, Server, free_port, text_message, wait_for
from nexthop import NextHop
from test_auth_clients import unpack
from test_relay import CONF, domain, events, received, send
from test_reports import EXTENSIONS, SHORT, parts
from test_reports import send as send_said

def put(path, text, mode=0o600):
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)


def server(d, table, conf=CONF, extra='', rows='', **kw):
    put(f'{d}/aliases', table, 0o644)
    return Server(d, conf=conf, extra=extra,
                  domain=f'Aliases = "file:{d}/aliases"\n{rows}', **kw)


def test_those_who_are_listed_get_it_once(d):
    table = '''# both forms
team:  ann, joe@example.test,
    self
self   self, Ann
chain: team
@other.test user@example.test
'''
    extra = f'''Domain "other.test" {{
    Aliases = "file:{d}/aliases"
}}
'''
    put(f'{d}/users', 'user\nann\njoe\nself\n', 0o644)
    with server(d, table, extra=extra,
                rows=f'Recipients = "file:{d}/users"') as s:
        send(s, 'team@example.test', 'ANN@example.test', 'self@example.test',
             'chain@example.test')
        for user in 'ann', 'joe', 'self':
            [m] = s.wait_mail(1, user=user)
            assert m.endswith(text_message()), m
            assert m.startswith(b'Return-Path: <a@client.test>'), m
        send(s, 'any.body@other.test')
        s.wait_mail(1)
        with Client(s.port) as c:
            c.hello()
            c.cmd('MAIL FROM:<a@client.test>')
            c.cmd('RCPT TO:<nobody@example.test>', '550 5.1.1')
            c.cmd('RCPT TO:<chain@example.test>', '250')
        s.wait_empty()
        assert sum(len(s.delivered(u)) for u in ('ann', 'joe', 'self')) == 3
        assert not s.delivered('team') and not s.delivered('chain')
        assert int(s.stats()['expanded']) == 2
        [e] = [e for e in events(s, 'expanded') if e['nrcpts'] == '2']
        assert e['from'] == 'a@client.test', e


def test_another_table_is_in_force_after_a_reload(d):
    with server(d, 'team: ann\n') as s:
        send(s, 'team@example.test')
        s.wait_mail(1, user='ann')
        put(f'{d}/aliases', 'team: ann\nteam: |/bin/false\n', 0o644)
        check = subprocess.run(s.command('-n'), capture_output=True, text=True)
        assert check.returncode == 78, check
        assert f"option 'Aliases': expected a file with an alias and its " \
            f"addresses in each line: {d}/aliases:2: |/bin/false: mail is " \
            "not given to a program here" in check.stderr, check.stderr
        s.ctl('reload', check=False)
        send(s, 'team@example.test')
        s.wait_mail(2, user='ann')
        put(f'{d}/aliases', 'team: joe\n', 0o644)
        s.ctl('reload')

        def there():
            send(s, 'team@example.test')
            time.sleep(0.2)
            return s.delivered('joe')
        wait_for('the new table', there)


def test_a_loop_is_told_to_the_sender(d):
    table = 'a: b\nb: c\nc: a\nx: a, joe\nuser: user\n'
    with server(d, table) as s:
        send(s, 'a@example.test', 'x@example.test',
             sender='user@example.test')
        s.wait_mail(1, user='joe')
        [got] = s.wait_mail(1)
        _, words, _, rcpts, _ = parts(got)
        [r] = rcpts
        assert r['Final-Recipient'] == 'rfc822; a@example.test'
        assert r['Action'] == 'failed' and r['Status'] == '5.4.6', r
        assert 'leads back to itself' in words, words
        way = ' -> '.join(f'{x}@example.test' for x in 'abca')
        wait_for('the log', lambda: way in s.log_now())
        s.wait_empty()


def test_the_owner_hears_of_what_a_list_cannot_deliver(d):
    table = 'list: gone@next.test, joe\nowner-list: user\n'
    hop = NextHop(lmtp=True, replies={'RCPT': '550 5.1.1 no such user'})
    with hop, server(d, table, extra=domain('next.test', hop),
                     listener=EXTENSIONS) as s:
        with Client(s.port) as c:
            c.hello()
            send_said(c, '<ann@example.test> RET=FULL ENVID=x', [
                '<list@example.test> NOTIFY=SUCCESS,FAILURE'])
        [m] = s.wait_mail(1, user='joe')
        assert m.startswith(b'Return-Path: <owner-list@example.test>'), m
        [got] = s.wait_mail(1)
        _, _, message, [r], _ = parts(got)
        assert r['Final-Recipient'] == 'rfc822; gone@next.test'
        assert r['Action'] == 'failed' and r['Status'] == '5.1.1', r
        assert 'Original-Envelope-Id' not in message, message
        # the sender: what is sent to a list is delivered to it
        [got] = s.wait_mail(1, user='ann')
        _, _, message, [r], _ = parts(got)
        assert r['Final-Recipient'] == 'rfc822; list@example.test'
        assert r['Action'] == 'delivered', r
        assert message['Original-Envelope-Id'] == 'x', message
        s.wait_empty()


def test_the_sender_is_told_what_it_has_asked_for(d):
    table = 'one: joe\nmany: jim, jon\n'
    with server(d, table, listener=EXTENSIONS) as s:
        with Client(s.port) as c:
            c.hello()
            send_said(c, '<user@example.test>', [
                '<one@example.test> NOTIFY=SUCCESS',
                '<many@example.test> NOTIFY=SUCCESS ORCPT=rfc822;Many@X.Test'])
        actions = {}
        for got in s.wait_mail(2):
            for r in parts(got)[3]:
                actions[r['Final-Recipient']] = r['Action'], \
                    r['Original-Recipient']
        assert actions == {
            'rfc822; joe@example.test': ('delivered',
                                         'rfc822; one@example.test'),
            'rfc822; many@example.test': ('expanded', 'rfc822; Many@X.Test')
        }, actions
        s.wait_empty()
        assert len(s.delivered()) == 2


def test_ten_thousand_members(d):
    n = 10000
    table = 'list:\n' + ''.join(f' member{i}@next.test,\n' for i in range(n))
    hop = NextHop(lmtp=True)
    with hop, server(d, table, extra=domain('next.test', hop)) as s:
        send(s, 'list@example.test', 'user@example.test')
        s.wait_mail(1)
        wait_for('all of them', lambda: sum(
            len(m.rcpts) for m in hop.messages) >= n, 120)
        count = collections.Counter(
            re.search('<(.*)>', r)[1] for m in hop.messages for r in m.rcpts)
        assert len(count) == n and set(count.values()) == {1}, \
            count.most_common(3)
        s.wait_empty(60)
        [e] = events(s, 'expanded')
        assert e['nrcpts'] == str(n), e


def test_nothing_is_lost_or_doubled_when_the_queue_is_killed(d):
    """Each message is for an alias of an alias, with somebody who is on both."""
    rng = random.Random(os.getpid())
    table = 'all: team, joe, list\nteam: ann, joe\nlist: jim\n' \
        'owner-list: user\n'
    n = 120
    with server(d, table, conf=CONF + 'segment_size = 1048576\n') as s:
        def kill():
            for pid in s.pids('queue'):
                os.kill(pid, signal.SIGKILL)
        with Client(s.port, timeout=60) as c:
            c.hello()
            for i in range(n):
                c.mail(text_message(i, rng.choice((10, 500, 100000))),
                       'all@example.test')
                if rng.random() < 0.1:
                    kill()
        for _ in range(10):
            time.sleep(rng.random() / 2)
            kill()
        for user in 'ann', 'joe', 'jim':
            got = s.wait_mail(n, user=user, timeout=120)
            numbers = collections.Counter(
                re.search(rb'Subject: number (\d+)', m)[1] for m in got)
            assert len(numbers) == n and set(numbers.values()) == {1}, (
                user, numbers.most_common(3))
        s.wait_empty(60)
        assert sum(len(s.delivered(u)) for u in ('ann', 'joe', 'jim')) == 3 * n


def test_a_mailbox_has_what_its_settings_add(d):
    rows = '''Delivered_To = true
X_Original_To = true
Maildir_File_Mode = 0640
Maildir_Virtual_Size = true
Maildir_Newline = lf
'''
    with server(d, 'team: joe\n', rows=rows) as s:
        send(s, 'team@example.test')
        send(s, 'user@example.test')
        for user, original in ('joe', b'team'), ('user', b'user'):
            [m] = s.wait_mail(1, user=user)
            assert m.startswith(
                b'Return-Path: <a@client.test>\nX-Original-To: %s@example.test'
                b'\nDelivered-To: %s@example.test\nReceived: ' % (
                    original, user.encode())), m
            [name] = os.listdir(f'{s.maildir(user)}/new')
            path = f'{s.maildir(user)}/new/{name}'
            lines = m.count(b'\n')
            assert name.endswith(f',S={len(m)},W={len(m) + lines}'), name
            assert os.stat(path).st_mode & 0o777 == 0o640


# ------------------------------------------------------------------ forwarding
SRS = '''SRS_Domain = "srs.example.test"
SRS_Key_File = "%s/srs"
'''


def forwarder(d, table, *domains, conf=CONF, **kw):
    """with SRS; its address for reports is in a domain of its own"""
    put(f'{d}/srs', 'a key of this test\nanother key\n')
    return server(d, table, conf=conf + SRS % d, extra=''.join(
        domains) + 'Domain "srs.example.test" { }\n', **kw)


def own(s):
    """The files of the test belong to who starts the server."""
    if s.user:
        os.chown(f'{s.dir}/srs', s.user, -1)
    return s


def test_what_is_forwarded_has_a_sender_of_ours(d):
    hop = NextHop()
    with hop, own(forwarder(d, 'out: joe@far.test, ann\n',
                            domain('*', hop))) as s:
        send(s, 'out@example.test')
        [m] = hop.wait(1)
        assert re.match(r'MAIL FROM:<SRS0=.{4}=..=client\.test='
                        r'a@srs\.example\.test>', m.mail), m.mail
        assert [r.split()[1] for r in m.rcpts] == ['TO:<joe@far.test>']
        assert received(m.body) == text_message(), m.body
        [m] = s.wait_mail(1, user='ann')
        assert m.startswith(b'Return-Path: <a@client.test>'), m
        # of a domain of ours, and no sender
        for sender in 'user@example.test', '':
            send(s, 'out@example.test', sender=sender)
        # two workers take them: either may be the first
        assert {m.mail.split()[1] for m in hop.wait(3)[1:]} == {
            'FROM:<user@example.test>', 'FROM:<>'}, hop.messages


def test_only_reports_come_back_to_such_an_address(d):
    hop = NextHop()
    with hop, own(forwarder(d, 'out: joe@far.test\n', domain('*', hop))) as s:
        send(s, 'out@example.test')
        long_sender = 'x' * 60 + '@' + 'long' * 10 + '.client.test'
        send(s, 'out@example.test', sender=long_sender)
        srs, long_srs = sorted((re.search('<(.*)>', m.mail)[1]
                                for m in hop.wait(2)), key=len)
        local, at = srs.split('@')
        assert len(long_srs) > 100, long_srs
        with Client(s.port) as c:
            c.hello()
            c.cmd('MAIL FROM:<>')
            forged = local[:5] + ('AAAA' if local[5] != 'A' else 'BBBB') + \
                local[9:]
            c.cmd(f'RCPT TO:<{forged}@{at}>', '550 5.1.1')
            c.cmd(f'RCPT TO:<SRS0=x@{at}>', '550 5.1.1')
            c.cmd(f'RCPT TO:<{srs.lower()}>', '250')
            c.cmd('RSET')
            c.cmd('MAIL FROM:<b@client.test>')
            c.cmd(f'RCPT TO:<{srs}>', '550 5.1.1')
        for address in srs, long_srs:
            send(s, address, sender='')
        m, n = hop.wait(4)[2:]
        assert m.mail.startswith('MAIL FROM:<>'), m.mail
        assert {x.rcpts[0].split()[1] for x in (m, n)} == {
            'TO:<a@client.test>', f'TO:<{long_sender}>'}, (m.rcpts, n.rcpts)
        # another key signs, and the old one is good
        put(f'{d}/srs', 'a newer key\na key of this test\n')
        own(s).ctl('reload')

        def newer():
            send(s, 'out@example.test')
            return re.search('<(.*)>', hop.wait(
                len(hop.messages))[-1].mail)[1] != srs
        wait_for('the newer key', newer)
        send(s, srs, sender='')


def test_a_bounce_of_the_next_server_goes_back_to_the_sender(d):
    """Two servers: the second one takes the message, and cannot deliver it."""
    hop = NextHop()                     # of the sender's domain
    port = free_port()
    for name in 'one', 'two':
        os.mkdir(f'{d}/{name}')
        os.chmod(f'{d}/{name}', 0o777)
    with hop:
        one = own(forwarder(
            f'{d}/one', 'out: joe@far.test\n', domain('client.test', hop),
            'Domain "*" {\n Delivery = smtp\n '
            f'Route = "127.0.0.1:{port}"\n}}\n', listener=EXTENSIONS))
        two = Server(f'{d}/two', conf=SHORT, port=port, extra=f'''
Domain "far.test" {{ Maildir = "{d}/two/none/%u" }}
Domain "*" {{ Delivery = smtp Route = "127.0.0.1:{one.port}" }}
''')
        with one, two:
            # client.test has a section here: a sender from elsewhere
            send(one, 'out@example.test', sender='eve@else.where.test')
            wait_for('the second server', lambda: events(two, 'accepted'))
            [e] = events(two, 'accepted')
            assert e['from'].startswith('SRS0='), e
            assert e['from'].endswith('@srs.example.test'), e

            def back():
                return [e for e in events(one, 'expanded')
                        if e['from'] == '']
            wait_for('the report', back, 30)
            # it would go to the sender by way of "*", which is the other one
            wait_for('its way', lambda: [
                e for e in events(two, 'accepted')
                if e['to'] == 'eve@else.where.test' and e['from'] == ''] or [
                e for e in events(two, 'rejected')
                if 'eve@else.where.test' in e['arg']], 30)
            # each server looks whether processes of any are left
            two.signal(signal.SIGTERM)
            assert two.wait_end() == 0
            two.no_honest_process_punished()
            two.proc = None


class Postsrsd:
    """The server from Debian's package, with the keys of the test."""

    def __init__(self, d):
        root, env = unpack('unpack.sh', f'{TOP}/build/postsrsd', 'postsrsd')
        self.ports = free_port(), free_port()
        with open(f'{d}/postsrsd.log', 'wb') as log:
            self.process = subprocess.Popen(
                [f'{root}/usr/sbin/postsrsd', f'-s{d}/srs',
                 '-dsrs.example.test', '-f%d' % self.ports[0],
                 '-r%d' % self.ports[1]], env=env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)

    def __enter__(self):
        def up():
            assert self.process.poll() is None
            with contextlib.suppress(OSError):
                return self.ask(0, 'a@b.test')
        wait_for('postsrsd', up)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, way, address):
        """0: the sender for what is forwarded; 1: the way back."""
        with socket.create_connection(('127.0.0.1', self.ports[way]), 10) as c:
            c.sendall(b'get %s\n' % address.encode())
            code, text = c.makefile().readline().split(' ', 1)
        assert code == '200', (code, text)
        return text.strip()


def test_postsrsd_has_the_same_addresses(d):
    # and where a report goes: to the first server that has forwarded it
    first = 'SRS0=abcd=JQ=x.test=joe@first.test'
    senders = {
        'a@client.test': 'a@client.test',
        'A.b+c=d@Sub.Client.Test': 'A.b+c=d@Sub.Client.Test',
        first: first,
        'SRS1=wxyz=first.test==abcd=JQ=x.test=joe@second.test': first}
    hop = NextHop()
    with hop, own(forwarder(d, 'out: joe@far.test\n', domain('*', hop))) as s, \
            Postsrsd(d) as other:
        for sender, back in senders.items():
            n = len(hop.messages)
            before = other.ask(0, sender)
            send(s, 'out@example.test', sender=sender)
            srs = re.search('<(.*)>', hop.wait(n + 1)[-1].mail)[1]
            # at midnight another day begins
            assert srs.lower() in (before.lower(),
                                   other.ask(0, sender).lower()), (srs, before)
            assert other.ask(1, srs).lower() == back.lower()
            send(s, before, sender='')
            report = hop.wait(n + 2)[-1]
            assert report.rcpts[0].split()[1].lower() == \
                f'TO:<{back}>'.lower(), report.rcpts
