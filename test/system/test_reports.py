"""Reports to senders: what a program reads in them, and that there is one."""
import base64
import email
import email.policy
import os
import re
import signal
import subprocess
import time

from harness import Client, Server, lasts, stuffed, text_message, wait_for
from nexthop import NextHop
from test_envelope import kill_all
from test_queue import block
from test_relay import domain

EXTENSIONS = ('SMTP_Extensions = { "8BITMIME", "PIPELINING", "SIZE", "DSN", '
              '"SMTPUTF8", "ENHANCEDSTATUSCODES" }')
SHORT = '''retry_interval = 1s
max_retry_interval = 1s
queue_lifetime = 2s
bounce_lifetime = 2s
'''


def send(c, mail, rcpts, message=None):
    """MAIL and RCPT with what they say."""
    c.send(f'MAIL FROM:{mail}\r\n'.encode())
    c.expect('250')
    for r in rcpts:
        c.send(f'RCPT TO:{r}\r\n'.encode())
        c.expect('250')
    c.cmd('DATA', '354')
    c.send(stuffed(message or text_message()) + b'.\r\n')
    return re.search(r'\w{13}', c.expect('250 2.0.0')[10:])[0]


def raw_parts(stored, boundary):
    """The types and the octets of the parts, decoded.  (The parser of Python takes
    message/global and its kin for messages that are not encoded.)"""
    for part in stored.split(f'\r\n--{boundary}\r\n'.encode())[1:]:
        head, _, body = part.partition(b'\r\n\r\n')
        body = body.partition(f'\r\n--{boundary}--\r\n'.encode())[0]
        if b'Encoding: base64' in head:
            body = base64.b64decode(body)
        yield re.search(rb'^Content-Type: ([\w/-]+)', head)[1].decode(), body


def parts(stored):
    """Of a report: its header, what it says, the fields of the message and of each
    recipient, the third part with its type."""
    m = email.message_from_bytes(stored, policy=email.policy.default)
    assert m['Return-Path'] == '<>', m['Return-Path']
    assert m['Auto-Submitted'] == 'auto-replied'
    assert m.get_content_type() == 'multipart/report'
    assert m.get_param('report-type') == 'delivery-status'
    assert not m.defects, m.defects
    assert m['Date'].datetime is not None and m['Message-ID']
    words, status, original = m.get_payload()
    assert words.get_content_type() == 'text/plain'
    assert not words.defects
    raw = list(raw_parts(stored, m.get_boundary()))
    assert [t for t, _ in raw] == [p.get_content_type() for p in m.get_payload()]
    if status.get_content_type() == 'message/delivery-status':
        fields = status.get_payload()
        assert not any(f.defects for f in fields)
    else:
        assert status.get_content_type() == 'message/global-delivery-status'
        fields = [email.message_from_string(x, policy=email.policy.default)
                  for x in raw[1][1].decode().split('\r\n\r\n') if x.strip()]
    return m, words.get_content(), fields[0], fields[1:], raw[2]


def left(s):
    return s.ctl_json('queue')['messages']


def test_what_expires_comes_back(d):
    with Server(d, conf=SHORT, listener=EXTENSIONS) as s:
        block(s, 'gone')
        with Client(s.port) as c:
            c.hello()
            id = send(c, '<user@example.test> ENVID=QQ+3D31',
                      ['<gone@example.test> ORCPT=rfc822;Gone@Other.Test',
                       '<other@example.test>'])
        [got] = s.wait_mail(1)
        m, words, message, rcpts, original = parts(got)
        assert b'\r\nTo: <user@example.test>\r\n' in got, got
        assert 'postmaster@mx.example.test' in m['From']
        assert 'could not be delivered' in m['Subject']
        assert '<gone@example.test>' in words and id in words, words
        assert 'other@example.test' not in words, words
        assert message['Original-Envelope-Id'] == 'QQ=31'
        assert message['Reporting-MTA'] == 'dns; mx.example.test'
        assert message['Arrival-Date']
        [r] = rcpts
        assert r['Original-Recipient'] == 'rfc822; Gone@Other.Test'
        assert r['Final-Recipient'] == 'rfc822; gone@example.test'
        assert r['Action'] == 'failed' and r['Status'] == '4.4.7', r
        assert r['Diagnostic-Code'].startswith('x-mailmill; '), r
        assert r['Last-Attempt-Date'] and 'Will-Retry-Until' not in r
        assert original[0] == 'text/rfc822-headers', original
        assert b'Subject: number 1' in original[1], original
        assert b'xxx' not in original[1], original
        s.wait_empty()
        stats = s.stats()
        assert [int(stats[x]) for x in ('bounced', 'expired', 'reports')] == \
            [1, 1, 1], stats
        s.logged(rf'event=bounced id={id} rcpt=gone@example.test '
                 r'from=user@example.test attempts=\d+ '
                 r'outcome=expired report=\w{13} ')
        assert len(s.delivered('other')) == 1


def test_the_whole_message_is_returned_if_that_was_asked_for(d):
    with Server(d, conf=SHORT, listener=EXTENSIONS) as s:
        block(s, 'gone')
        with Client(s.port) as c:
            c.hello()
            send(c, '<user@example.test> RET=FULL', ['<gone@example.test>'])
            send(c, '<large@example.test> RET=FULL', ['<gone@example.test>'],
                 text_message(2, 60000))
        [got] = s.wait_mail(1)
        original = parts(got)[4]
        assert original[0] == 'message/rfc822', original
        assert original[1].endswith(text_message()), original
        [got] = s.wait_mail(1, user='large')
        assert parts(got)[4][0] == 'text/rfc822-headers'


def test_a_report_goes_to_a_server_that_takes_7_bits_alone(d):
    """Also of a message that cannot be converted: its header is not ASCII, or what is
    signed is not.  One that can be is returned as a whole."""
    hop = NextHop(ehlo=('PIPELINING',))
    plain = 'From: a@next.test\r\nMIME-Version: 1.0\r\n' \
        'Content-Type: text/plain; charset=utf-8\r\n' \
        'Content-Transfer-Encoding: 8bit\r\n'
    signed = 'Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n' \
        'grüße\r\n--b\r\n\r\nX\r\n--b--\r\n'
    messages = {'latin': b'Subject: gr\xfc\xdfe\r\n\r\nbody\r\n',
                'utf8': f'Subject: grüße\r\n{plain}\r\ngrüße\r\n'.encode(),
                'signed': f'MIME-Version: 1.0\r\n{signed}'.encode(),
                'plain': f'Subject: hello\r\n{plain}\r\ngrüße\r\n'.encode()}
    with hop, Server(d, conf=SHORT, listener=EXTENSIONS,
                     extra=domain('next.test', hop)) as s:
        block(s, 'gone')
        with Client(s.port) as c:
            c.hello()
            for name, text in messages.items():
                send(c, f'<{name}@next.test> BODY=8BITMIME RET=FULL',
                     ['<gone@example.test>'], text)
        got = {m.rcpts[0]: m.body for m in hop.wait(4)}
        s.wait_empty()
        assert 'event=report-none' not in s.log()
    for name, text in messages.items():
        [body] = [b for r, b in got.items() if f'<{name}@' in r]
        assert body.isascii(), body
        m = email.message_from_bytes(body, policy=email.policy.default)
        assert m.get_content_type() == 'multipart/report' and not m.defects
        _, status, original = m.get_payload()
        assert status.get_payload()[1]['Action'] == 'failed', status
        if name == 'plain':
            assert original.get_content_type() == 'message/rfc822'
            [inner] = original.get_payload()
            assert inner['Subject'] == 'hello', inner
            assert inner.get_content().strip() == 'grüße', inner
            continue
        assert original.get_content_type() == 'text/rfc822-headers', original
        head = text.partition(b'\r\n\r\n')[0] + b'\r\n'
        assert original.get_payload(decode=True).endswith(head), original


def test_a_delivery_is_reported_if_that_was_asked_for(d):
    with Server(d, listener=EXTENSIONS) as s:
        with Client(s.port) as c:
            c.hello()
            send(c, '<user@example.test> RET=FULL',
                 ['<a@example.test> NOTIFY=SUCCESS,FAILURE',
                  '<b@example.test> NOTIFY=FAILURE', '<c@example.test>',
                  '<d@example.test> NOTIFY=SUCCESS'])
        [got] = s.wait_mail(1)
        m, words, message, rcpts, original = parts(got)
        assert 'was delivered' in m['Subject'], m['Subject']
        assert [(r['Final-Recipient'], r['Action'], r['Status'])
                for r in rcpts] == [
            ('rfc822; a@example.test', 'delivered', '2.0.0'),
            ('rfc822; d@example.test', 'delivered', '2.0.0')], rcpts
        # RFC 3461 6.2: only a failure returns the message
        assert original[0] == 'text/rfc822-headers'
        s.wait_empty()
        for user in 'abcd':
            assert len(s.delivered(user)) == 1
        assert 'event=bounced' not in s.log()


def test_what_another_server_says_is_in_the_report(d):
    """One is refused; of one a report is wanted, which a server without DSN does not
    send."""
    def rcpt(_, line):
        return '550 5.1.1 Nobody of that name' if 'nobody' in line else \
            '250 2.1.5 OK'
    hop = NextHop(ehlo=('PIPELINING', 'ENHANCEDSTATUSCODES'),
                  replies={'RCPT': rcpt})
    with hop, Server(d, conf=SHORT, listener=EXTENSIONS,
                     extra=domain('next.test', hop)) as s:
        with Client(s.port) as c:
            c.hello()
            send(c, '<user@example.test>',
                 ['<nobody@next.test>', '<a@next.test> NOTIFY=SUCCESS'])
        [got] = s.wait_mail(1)
        _, words, _, rcpts, _ = parts(got)
        by_rcpt = {r['Final-Recipient'].split('; ')[1]: r for r in rcpts}
        r = by_rcpt['nobody@next.test']
        assert r['Action'] == 'failed' and r['Status'] == '5.1.1', r
        assert r['Remote-MTA'] == 'dns; [127.0.0.1]', r
        assert r['Diagnostic-Code'] == \
            'smtp; 550 5.1.1 Nobody of that name', r
        assert '550 5.1.1 Nobody of that name' in words, words
        r = by_rcpt['a@next.test']
        assert r['Action'] == 'relayed' and r['Status'].startswith('2.'), r
        s.wait_empty()


def test_a_delay_is_reported_before_the_failure(d):
    conf = SHORT.replace('queue_lifetime = 2s',
                         'queue_lifetime = 6s\ndelay_warning = 2s')
    with Server(d, conf=conf, listener=EXTENSIONS) as s:
        block(s, 'gone')
        with Client(s.port) as c:
            c.hello()
            send(c, '<user@example.test>', ['<gone@example.test>'])
            send(c, '<quiet@example.test>',
                 ['<gone@example.test> NOTIFY=FAILURE'])
        got = s.wait_mail(2)
        rcpts = [parts(x)[3][0] for x in got]
        assert [r['Action'] for r in rcpts] == ['delayed', 'failed'], rcpts
        until = rcpts[0]['Will-Retry-Until']
        at = email.utils.parsedate_to_datetime(until).timestamp()
        assert 0 < at - time.time() + 10 < 12, until
        assert rcpts[0]['Status'].startswith('4.'), rcpts
        [got] = s.wait_mail(1, user='quiet')
        assert parts(got)[3][0]['Action'] == 'failed'
        s.wait_empty()


def test_addresses_in_utf_8_are_reported_as_such(d):
    message = 'Subject: grüße\r\n\r\nbody\r\n'.encode()
    with Server(d, conf=SHORT, listener=EXTENSIONS) as s:
        block(s, 'grün')
        with Client(s.port) as c:
            c.hello()
            send(c, '<ä@example.test> SMTPUTF8',
                 ['<grün@example.test> ORCPT=utf-8;grün@other.test'], message)
            send(c, '<user@example.test> SMTPUTF8 RET=FULL',
                 ['<grün@example.test>'], message)
        [got] = s.wait_mail(1, user='ä')
        assert 'To: <ä@example.test>'.encode() in got, got
        m, words, _, [r], original = parts(got)
        assert '<grün@example.test>' in words, words
        assert 'Final-Recipient: utf-8; grün@example.test'.encode() in got
        assert 'Original-Recipient: utf-8; grün@other.test'.encode() in got
        assert original[0] == 'message/global-headers'
        # to an address of ASCII it is ASCII, whatever the way takes
        [got] = s.wait_mail(1)
        m, words, _, [r], original = parts(got)
        assert got.isascii(), got
        assert '<grün@example.test>' in words, words
        assert r['Final-Recipient'] == 'utf-8; grün@example.test', r
        assert original[0] == 'message/global'
        assert 'grüße' in original[1].decode()


def test_a_sender_who_cannot_be_told_is_in_the_log(d):
    with Server(d, conf=SHORT, listener=EXTENSIONS) as s:
        block(s, 'gone')
        with Client(s.port) as c:
            c.hello()
            send(c, '<a@client.test>', ['<gone@example.test>'])
            send(c, '<>', ['<gone@example.test>'])
        s.logged('outcome=expired report=none', 2)
        s.wait_empty()
        s.logged(r'event=report-none id=\w{13} to=a@client.test '
                 r'reason="there is no Domain section')
        assert int(s.stats()['reports']) == 0


def test_the_postmaster_is_told_instead(d):
    conf = SHORT + 'double_bounce_recipient = "postmaster@example.test"\n'
    with Server(d, conf=conf, listener=EXTENSIONS) as s:
        block(s, 'gone')
        with Client(s.port) as c:
            c.hello()
            send(c, '<a@client.test>', ['<gone@example.test>'])
            send(c, '<>', ['<gone@example.test>'])
        got = s.wait_mail(2, user='postmaster')
        for x in got:
            m, words, _, [r], _ = parts(x)
            assert b'\r\nTo: <postmaster@example.test>\r\n' in x, x
            # the one has a sender, who is not told, since there is no way to it
            assert ('without a sender' in m['Subject']) == \
                ('a@client.test' not in words), (m['Subject'], words)
        assert sum(b'<a@client.test>' in x for x in got) == 1, got
        s.wait_empty()
        # and what it does not get is told to nobody
        os.rename(s.maildir('postmaster'), f'{d}/kept')
        block(s, 'postmaster')
        with Client(s.port) as c:
            c.hello()
            send(c, '<>', ['<postmaster@example.test>'])
        wait_for('it to be given up', lambda: 'rcpt=postmaster@example.test '
                 'from="" attempts=' in s.log() and not left(s))
        assert int(s.stats()['reports']) == 2


def test_a_recipient_for_reports_must_be_an_address(d):
    for value in 'postmaster', 'a@b@c', 'a b@example.test':
        s = Server(d, conf=f'double_bounce_recipient = "{value}"\n')
        out = subprocess.run(s.command('-n', '-f'), capture_output=True,
                             text=True)
        assert out.returncode == 78, out
        assert "option 'double_bounce_recipient': expected an address" in \
            out.stderr, out.stderr


def send_two(c, n):
    """For one who fails and for one of whom a report is wanted"""
    send(c, f'<user@example.test> ENVID=n{n}',
         ['<gone@example.test>', '<other@example.test> NOTIFY=SUCCESS'])


def told_once(s, n):
    """Of each of the n messages both recipients, and each has what it should."""
    wait_for('the queue to be back and empty', lambda: s.ctl(
        'queue', check=False).returncode == 0 and not left(s), 60)
    told = {}
    for x in s.delivered():
        _, _, message, rcpts, _ = parts(x)
        for r in rcpts:
            key = message['Original-Envelope-Id'], r['Action']
            told[key] = told.get(key, 0) + 1
    want = {(f'n{i}', a): 1 for i in range(n) for a in ('failed', 'delivered')}
    assert told == want, {k: (told.get(k), want.get(k))
                          for k in told.keys() | want
                          if told.get(k) != want.get(k)}
    assert len(s.delivered('other')) == n


def test_there_is_one_report_whenever_the_queue_is_killed(d):
    n = 60
    with Server(d, conf=SHORT, listener=EXTENSIONS) as s:
        block(s, 'gone')
        kills = sent = 0
        end = None
        with Client(s.port, timeout=60) as c:
            c.hello()
            while end is None or time.time() < end:
                for _ in range(min(6, n - sent)):
                    send_two(c, sent)
                    sent += 1
                if sent == n and end is None:
                    end = time.time() + 6
                # at another moment each time, within the life of one
                time.sleep(0.05 + kills * 37 % 100 / 250)
                for pid in s.pids('mailmilld: queue'):
                    try:
                        os.kill(pid, signal.SIGKILL)
                        kills += 1
                    except ProcessLookupError:
                        pass
        assert kills >= 5, kills
        told_once(s, n)


@lasts(15)
def test_there_is_one_report_whenever_the_server_is_killed(d):
    s = Server(d, conf=SHORT, listener=EXTENSIONS)
    block(s, 'gone')
    sent = 0
    for i in range(8):
        s.start()
        with Client(s.port) as c:
            c.hello()
            for _ in range(5):
                send_two(c, sent)
                sent += 1
        # while some are deferred, and some expire
        time.sleep(i * 0.4)
        kill_all(s)
    s.start()
    told_once(s, sent)
    s.stop()
