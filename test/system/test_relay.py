"""Mail for other servers: LMTP and SMTP to a server that does what the test says,
to Dovecot, to Postfix's smtp-sink, and to a second mailmilld."""
import glob
import os
import random
import re
import signal
import ssl
import subprocess
import threading
import time
from email import message_from_bytes, policy
from email.message import EmailMessage

from dovecot import DovecotLmtp
from harness import (POSTFIX, ROOT, SLOW, Client, Server, Skip, lasts,
                     text_message, wait_for)
from keys import make_pair
from nexthop import CLOSE, EHLO, HANG, NextHop
from test_mailers import ALL

CONF = '''retry_interval = 1
max_retry_interval = 1
drain_time = 5
'''

# before the reason, as soon as there were three attempts at a target
PARKED = 'the destination does not answer, and is tried again at times: '


def events(s, name):
    """The keys of each line of that event."""
    return [{k: v.strip('"') for k, v in re.findall(
        r'(\S+?)=("[^"]*"|\S*)', line)} for line in s.log().split('\n')
        if f' event={name} ' in line]


def domain(name, hop, more=''):
    return f'''Domain "{name}" {{
    Delivery = {'lmtp' if hop.lmtp else 'smtp'}
    Route = "{hop.route}"
    {more}
}}
'''


def server(d, *domains, conf=CONF, listener='', **kw):
    return Server(d, conf=conf, listener=ALL + listener,
                  extra=''.join(domains), **kw)


def send(s, *rcpts, message=None, params='', sender='a@client.test'):
    with Client(s.port) as c:
        c.hello()
        c.cmd(f'MAIL FROM:<{sender}>{params}')
        for r in rcpts:
            c.cmd(f'RCPT TO:{r}' if r.startswith('<') else f'RCPT TO:<{r}>')
        c.cmd('DATA', '354')
        c.send((message or text_message()) + b'.\r\n')
        c.expect('250')


def waiting(s):
    """{recipient: why it waits}, whether it was tried itself or waits for its
    destination"""
    return {r['recipient']: r['last_error'].removeprefix(PARKED)
            for m in s.ctl_json('queue', 'list')['messages']
            for r in m['recipients'] if r['state'] == 'deferred'}


def wait_deferred(s, n=1):
    """What waits, as soon as that are ${n} recipients, whichever."""
    def some():
        w = waiting(s)
        return w if len(w) >= n else None
    return wait_for(f'{n} deferred', some)


def wait_why(s, rcpt):
    """Why that recipient waits.  Others may: a report to the sender, too."""
    return wait_for(f'{rcpt} deferred', lambda: waiting(s).get(rcpt))


def wait_bounced(s, n=1):
    """{recipient: why it was given up}"""
    wait_for(f'{n} bounced', lambda: len(events(s, 'bounced')) >= n)
    return {e['rcpt']: e['error'] for e in events(s, 'bounced')}


def received(body):
    """What is behind the one Received field that we have added."""
    m = re.match(rb'Received: [^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n', body)
    assert m, body[:200]
    return body[m.end():]


# ------------------------------------------------------------------ what is said
def test_lmtp_has_one_transaction_for_all_recipients(d):
    hop = NextHop(f'{d}/lmtp', lmtp=True)
    with hop, server(d, domain('next.test', hop), conf=CONF +
                     'log_level = "debug"\n') as s:
        message = text_message(7) + b'..dots\r\n'
        send(s, 'a@next.test', 'b@next.test', 'user@example.test',
             'c@next.test', message=message)
        [m] = hop.wait(1)
        assert m.hello == 'LHLO mx.example.test', m.hello
        assert m.mail.startswith('MAIL FROM:<a@client.test>'), m.mail
        assert [r.split(' ')[1] for r in m.rcpts] == [
            f'TO:<{x}@next.test>' for x in 'abc'], m.rcpts
        assert received(m.body) == message.replace(b'\r\n..', b'\r\n.'), m.body
        s.wait_mail(1)
        wait_for('the log', lambda: len(events(s, 'delivered')) == 4)
        mine = [e for e in events(s, 'delivered')
                if e['transport'] == 'relay']
        assert len(mine) == 3 and {(e['reply'], e['with']) for e in mine} == {
            (f'unix:{d}/lmtp said: 250 2.0.0 Taken', 'LMTP')}, mine
        assert s.ctl_json('queue', 'list')['messages'] == []
        assert int(s.stats()['delivered']) == 4


def test_smtp_says_what_the_envelope_has(d):
    hop = NextHop()
    with hop, server(d, domain('next.test', hop,
                               'Helo = "out.example.test"')) as s:
        send(s, '<a@next.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y.test',
             params=' BODY=8BITMIME RET=HDRS ENVID=env+2B1',
             message='Subject: ü\r\n\r\nä\r\n'.encode())
        [m] = hop.wait(1)
        assert m.hello == 'EHLO out.example.test', m.hello
        for word in 'BODY=8BITMIME', 'RET=HDRS', 'ENVID=env+2B1', 'SIZE=':
            assert f' {word}' in m.mail, m.mail
        assert m.rcpts == ['RCPT TO:<a@next.test> NOTIFY=SUCCESS,DELAY '
                           'ORCPT=rfc822;x@y.test'], m.rcpts
        send(s, '<grün@next.test>'.encode().decode('latin1'),
             params=' SMTPUTF8')
        m = hop.wait(2)[1]
        assert m.mail.endswith(' SMTPUTF8'), m.mail
        assert m.rcpts == ['RCPT TO:<grün@next.test>'], m.rcpts
        send(s, 'b@next.test', sender='')
        m = hop.wait(3)[2]
        assert m.mail.startswith('MAIL FROM:<>'), m.mail


def test_a_server_without_what_a_message_needs_does_not_get_it(d):
    hop = NextHop(ehlo=('PIPELINING',))
    with hop, server(d, domain('next.test', hop,
                               'MIME_Conversion = false')) as s:
        send(s, 'eight@next.test', params=' BODY=8BITMIME')
        send(s, '<grün@next.test>'.encode().decode('latin1'),
             params=' SMTPUTF8')
        why = wait_bounced(s, 2)
        assert '8-bit' in why['eight@next.test'], why
        assert 'UTF-8' in why['grün@next.test'], why
        send(s, 'seven@next.test')
        hop.wait(1)
        assert len(hop.messages) == 1


def test_a_message_is_converted_for_a_server_without_8bitmime(d):
    m = EmailMessage()
    m['Subject'], m['From'] = 'Grüße', 'a@client.test'
    m.set_content('Grüße = 日本\n-- \nzwei \n' + 'ä' * 300 + '\n', cte='8bit')
    m.add_attachment('<p>ß</p>\n', subtype='html', cte='8bit')
    inner = EmailMessage()
    inner['Subject'] = 'inside'
    inner.set_content('ö\n', cte='8bit')
    m.add_attachment(inner, cte='8bit')
    text = m.as_bytes(policy=policy.SMTP)
    assert any(c > 127 for c in text)
    signed = text.replace(b'multipart/mixed', b'multipart/signed')
    hop = NextHop(ehlo=('PIPELINING', 'SIZE 100000000'))
    with hop, server(d, domain('next.test', hop)) as s:
        send(s, 'a@next.test', message=text, params=' BODY=8BITMIME')
        [got] = hop.wait(1)
        assert 'BODY' not in got.mail and 'SIZE' not in got.mail, got.mail
        assert max(got.body) < 128 and max(map(len, got.body.split(
            b'\r\n'))) <= 300
        was, now = (list(message_from_bytes(b, policy=policy.default).walk())
                    for b in (text, received(got.body)))
        assert [p.get_content_type() for p in was] == [
            p.get_content_type() for p in now]
        assert [p.get_content() for p in was if not p.is_multipart()] == [
            p.get_content() for p in now if not p.is_multipart()]
        [line] = wait_for('the log', lambda: events(s, 'delivered'))
        assert line['with'] == 'ESMTP (converted to 7-bit)', line
        # what is signed comes back
        send(s, 'b@next.test', message=signed, params=' BODY=8BITMIME')
        why = wait_bounced(s)
        assert 'cannot be converted' in why['b@next.test'], why
        # so does what is not what it says, if that shows late
        send(s, 'c@next.test', params=' BODY=8BITMIME', message=(
            b'Content-Transfer-Encoding: 7bit\r\n\r\n' + b'a\r\n' * 50000 +
            b'\xe4\r\n'))
        why = wait_for('the other reason', lambda: {
            k: v for k, v in wait_bounced(s).items() if k == 'c@next.test'})
        assert 'said to be 7bit has some behind its first' in \
            why['c@next.test'], why
        assert len(hop.messages) == 1


def test_a_connection_is_used_again_and_ends_when_nothing_comes(d):
    hop = NextHop()
    with hop, server(d, domain('next.test', hop)) as s:
        for i in range(20):
            send(s, 'a@next.test', message=text_message(i))
            hop.wait(i + 1)
        assert hop.nsessions == 1, hop.nsessions
        wait_for('its end', lambda: hop.nopen == 0)
        assert hop.lines[-1] == 'QUIT', hop.lines[-3:]
        # one that the server has closed is no loss
        send(s, 'a@next.test')
        hop.wait(21)


@lasts(15)
def test_a_mail_does_not_wait_for_a_connection_that_says_quit(d):
    """Neither when it was idle, nor behind the last message that it takes."""
    for name, ehlo in ('idle', EHLO), ('limit', EHLO + ('LIMITS MAILMAX=1',)):
        os.mkdir(f'{d}/{name}')
        hop = NextHop(ehlo=ehlo, replies={'QUIT': HANG})
        with hop, server(f'{d}/{name}', domain('next.test', hop),
                         conf='retry_interval = 3600\n') as s:
            for i in range(3):
                send(s, 'a@next.test', message=text_message(i))
                hop.wait(i + 1)
                wait_for('QUIT', lambda: hop.lines.count('QUIT') == i + 1)
            assert hop.nopen == hop.nsessions == 3, hop.nsessions


@lasts(10)
def test_a_connection_that_says_quit_keeps_its_place_for_seconds_alone(d):
    hop = NextHop(replies={'QUIT': HANG})
    with hop, server(d, domain('next.test', hop, 'Max_Connections = 1'),
                     conf='retry_interval = 3600\n') as s:
        send(s, 'a@next.test', message=text_message(1))
        wait_for('QUIT', lambda: 'QUIT' in hop.lines)
        began = time.monotonic()
        send(s, 'a@next.test', message=text_message(2))
        hop.wait(2)
        assert 3 < time.monotonic() - began < 15 * SLOW
        assert hop.most == 1, hop.most


def test_no_more_connections_than_the_option_says(d):
    gate = threading.Event()
    hop = NextHop(replies={'DOT': lambda *_: (gate.wait(),
                                              '250 2.0.0 Taken')[1]})
    with hop, server(d, domain('next.test', hop, 'Max_Connections = 3')) as s:
        for i in range(12):
            send(s, 'a@next.test', message=text_message(i))
        wait_for('all connections', lambda: hop.nopen == 3)
        gate.set()
        got = hop.wait(12)
        assert hop.most == 3, hop.most
        assert len({m.body for m in got}) == 12


def test_a_server_with_much_mail_leaves_room_for_others(d):
    """Where a process has as many connections as it can have, which are 16."""
    gate = threading.Semaphore(0)
    busy = NextHop(replies={'DOT': lambda *_: (gate.acquire(),
                                               '250 2.0.0 Taken')[1]})
    other = NextHop()
    with busy, other, server(
            d, domain('busy.test', busy, 'Max_Connections = 100\n'
                      'Initial_Concurrency = 100'),
            domain('other.test', other), workers=1, nofile=80,
            conf='retry_interval = 3600\n') as s:
        for i in range(16):
            send(s, 'a@busy.test', message=text_message(i))
        wait_for('all connections', lambda: busy.lines.count('DATA') == 16)
        for i in range(16, 40):
            send(s, 'a@busy.test', 'a@other.test', message=text_message(i))
        for i in range(12):
            gate.release()
            busy.wait(i + 1)
        other.wait(24)
        assert len(busy.messages) == 12 and busy.most == 16, busy.most
        for i in range(28):
            gate.release()
        busy.wait(40)
        assert len(set(busy.bodies())) == 40


def test_a_server_that_takes_one_domain_in_a_session(d):
    """Connections that have had mail for others are no obstacle, and stay."""
    gate = threading.Event()
    hop = NextHop(ehlo=EHLO + ('LIMITS RCPTDOMAINMAX=1',), replies={
        'DOT': lambda *_: (gate.wait(), '250 2.0.0 Taken')[1]})
    names = [f'd{i}.test' for i in range(40)]
    with hop, server(d, *(domain(x, hop, 'Max_Connections = 50\n'
                                 'Initial_Concurrency = 50')
                          for x in names + ['last.test']),
                     conf='retry_interval = 3600\n') as s:
        for i, x in enumerate(names):
            send(s, f'a@{x}', message=text_message(i))
        wait_for('all connections', lambda: hop.lines.count('DATA') == 40)
        gate.set()
        hop.wait(40)
        send(s, 'a@last.test')
        hop.wait(41)
        assert not waiting(s) and hop.nsessions == hop.most == 41, hop.nsessions


def test_one_connection_to_a_server_that_takes_one_domain_in_a_session(d):
    hop = NextHop(ehlo=EHLO + ('LIMITS RCPTDOMAINMAX=1',))
    names = [f'd{i}.test' for i in range(40)]
    with hop, server(d, *(domain(x, hop, 'Max_Connections = 1')
                          for x in names),
                     conf='retry_interval = 3600\n') as s:
        for i in range(0, 40, 20):
            send(s, *(f'a@{x}' for x in names[i:i + 20]))
        hop.wait(40)
        assert not waiting(s) and hop.most == 1, hop.most
        assert len({r for m in hop.messages for r in m.rcpts}) == 40


def test_a_large_message_is_sent_as_it_is(d):
    hop = NextHop()
    with hop, server(d, domain('next.test', hop)) as s:
        body = b'Subject: large\r\n\r\n' + b''.join(
            b'.%d %s\r\n' % (i, b'x' * (i % 70)) for i in range(120000))
        send(s, 'a@next.test', 'b@next.test',
             message=body.replace(b'\r\n.', b'\r\n..'))
        [m] = hop.wait(1, 60)
        assert received(m.body) == body
        assert len(m.rcpts) == 2


# ------------------------------------------------------------------ outcomes
def test_each_recipient_has_its_outcome(d):
    def rcpt(_, line):
        return '550 5.1.1 Nobody here' if 'nobody' in line else \
            '452 4.2.2 Full' if 'full' in line else '250 2.1.5 OK'

    def dot(_, line):
        return '451 4.3.0 Disk trouble' if 'disk' in line else \
            '250 2.0.0 Taken'
    hop = NextHop(f'{d}/lmtp', lmtp=True, replies={'RCPT': rcpt, 'DOT': dot})
    with hop, server(d, domain('next.test', hop), conf=CONF.replace(
            'interval = 1', 'interval = 3600')) as s:
        send(s, *[f'{x}@next.test'
                  for x in ('nobody', 'good', 'full', 'disk', 'fine')])
        at = f'unix:{d}/lmtp said: '
        assert wait_bounced(s) == {
            'nobody@next.test': at + '550 5.1.1 Nobody here'}
        assert wait_why(s, 'full@next.test') == at + '452 4.2.2 Full'
        assert wait_why(s, 'disk@next.test') == at + '451 4.3.0 Disk trouble'
        assert {e['rcpt'] for e in events(s, 'delivered')} == {
            'good@next.test', 'fine@next.test'}
        # and later only those that are left
        hop.replies['RCPT'] = hop.replies['DOT'] = '250 2.1.5 OK'
        for m in s.ctl_json('queue', 'list')['messages']:
            s.ctl('queue', 'retry', m['id'])
        wait_for('the rest', lambda: not s.ctl_json('queue', 'list')[
            'messages'])
        assert sum(len(m.taken) for m in hop.messages) == 4


def test_a_server_that_is_not_there_fails_all_that_wait_at_once(d):
    hop = NextHop()
    with server(d, domain('next.test', hop)) as s:
        for i in range(20):
            send(s, 'a@next.test', message=text_message(i))
        wait_for('them to be deferred', lambda: len([
            m for m in s.ctl_json('queue', 'list')['messages']
            if m['recipients'][0]['state'] == 'deferred']) == 20)
        # some were tried, the others wait until one of them is taken
        assert waiting(s)['a@next.test'] == (
            '[127.0.0.1]: Connection refused'), waiting(s)
        assert all(e['reason'] == 'Connection refused' and
                   e['target'] == hop.route for e in events(s, 'next-hop'))
        with hop:
            hop.wait(20)
            assert len(set(hop.bodies())) == 20
            s.wait_empty()
            assert len(hop.messages) == 20


def test_a_socket_that_is_not_there(d):
    hop = NextHop(f'{d}/lmtp', lmtp=True)
    with server(d, domain('next.test', hop)) as s:
        send(s, 'a@next.test')
        assert wait_deferred(s) == {
            'a@next.test': f'unix:{d}/lmtp: No such file or directory'}
        with hop:
            hop.wait(1)


def test_a_server_that_refuses_us_fails_all_that_wait(d):
    hop = NextHop(replies={'BANNER': '554 5.7.1 Go away'})
    with hop, server(d, domain('next.test', hop)) as s:
        send(s, 'a@next.test')
        send(s, 'b@next.test')
        why = wait_deferred(s, 2)
        assert set(why.values()) == {
            '[127.0.0.1] said: 554 5.7.1 Go away'}, why
        hop.replies['BANNER'] = '220 next.test'
        hop.wait(2)


def once(what):
    """A reply that is ${what} the first time."""
    done = []

    def reply(session, _):
        if done:
            return normal
        done.append(1)
        return what
    normal = None

    def bind(text):
        nonlocal normal
        normal = text
        return reply
    return bind


def test_a_connection_that_breaks_anywhere_is_replaced_at_once(d):
    for verb, text in (('MAIL', '250 2.1.0 OK'), ('RCPT', '250 2.1.5 OK'),
                       ('DATA', '354 Go ahead')):
        os.mkdir(f'{d}/{verb}')
        hop = NextHop(replies={verb: once(CLOSE)(text)})
        # an hour: what is deferred would not come in time
        with hop, server(f'{d}/{verb}', domain('next.test', hop),
                         conf='retry_interval = 3600\n') as s:
            send(s, 'a@next.test')
            hop.wait(1)
            assert hop.nsessions == 2, (verb, hop.nsessions)
            s.wait_empty()


def test_a_session_that_the_server_ends_costs_no_message_its_time(d):
    def mail(session, _):
        session.n = getattr(session, 'n', 0) + 1
        return '250 2.1.0 OK' if session.n < 3 else '421 4.3.2 Enough'
    hop = NextHop(replies={'MAIL': mail})
    with hop, server(d, domain('next.test', hop, 'Max_Connections = 1'),
                     conf='retry_interval = 3600\n') as s:
        for i in range(10):
            send(s, 'a@next.test', message=text_message(i))
        hop.wait(10)
        s.wait_empty()
        assert len(set(hop.bodies())) == 10 and hop.nsessions == 5


def test_a_lost_answer_is_uncertain_and_comes_later(d):
    hop = NextHop(replies={'DOT': once(CLOSE)('250 2.0.0 Taken')})
    with hop, server(d, domain('next.test', hop), conf=CONF.replace(
            'interval = 1', 'interval = 3600')) as s:
        send(s, 'a@next.test')
        [why] = wait_deferred(s).values()
        assert why == '[127.0.0.1]: the server has closed the connection, ' \
            'at end of data', why
        assert hop.messages == [] and hop.nsessions == 1
        s.ctl('queue', 'retry', 'all')
        hop.wait(1)


def test_wrong_numbers_of_lmtp_replies(d):
    # one reply, then none
    replies = []

    def few(_, rcpt):
        replies.append(rcpt)
        return '250 2.0.0 Taken' if len(replies) != 2 else CLOSE
    hop = NextHop(f'{d}/lmtp', lmtp=True, replies={'DOT': few})
    with hop, server(d, domain('next.test', hop), conf=CONF.replace(
            'interval = 1', 'interval = 3600')) as s:
        send(s, 'a@next.test', 'b@next.test', 'c@next.test')
        why = wait_deferred(s, 2)
        assert set(why) == {'b@next.test', 'c@next.test'}, why
        # and more than there were recipients
        hop.replies['DOT'] = '250 2.0.0 Taken\r\n250 2.0.0 Taken'
        send(s, 'd@next.test')
        wait_for('d', lambda: 'd@next.test' in [
            e['rcpt'] for e in events(s, 'delivered')])
        hop.replies['DOT'] = '250 2.0.0 Taken'
        send(s, 'e@next.test')
        wait_for('e', lambda: 'e@next.test' in [
            e['rcpt'] for e in events(s, 'delivered')])
        assert set(waiting(s)) == {'b@next.test', 'c@next.test'}


def test_replies_that_are_none(d):
    for i, junk in enumerate(('250', 'x' * 100000, '\0' * 50, '999 9.9.9 x',
                              '250-a\r\n251 b', '\r\n'.join(['250-x'] * 9999),
                              '250 2.1.0 \x1b[31m\u202e' + 'ü' * 400)):
        os.mkdir(f'{d}/{i}')
        hop = NextHop(replies={'MAIL': junk})
        with hop, server(f'{d}/{i}', domain('next.test', hop),
                         conf=CONF) as s:
            send(s, 'a@next.test')
            wait_for('an outcome', lambda: waiting(s) or hop.messages)
            hop.replies['MAIL'] = '250 2.1.0 OK'
            hop.wait(1)
            assert '\x1b' not in s.log()


def test_one_that_hangs_holds_up_its_own_mail_alone(d):
    dead = NextHop(replies={'BANNER': HANG})
    slow = NextHop(replies={'MAIL': HANG})
    live = NextHop()
    with dead, slow, live, server(
            d, domain('dead.test', dead), domain('slow.test', slow),
            domain('live.test', live)) as s:
        for i in range(10):
            send(s, 'a@dead.test', 'a@slow.test', 'a@live.test',
                 message=text_message(i))
        live.wait(10)
        # one shows whether the server can be had
        assert dead.nsessions == 1, dead.nsessions
        dead.stop()
        slow.stop()


def test_the_next_of_several_is_tried(d):
    dead, live = NextHop(), NextHop()
    both = f'''Domain "next.test" {{
    Delivery = smtp
    Route = {{ "{dead.route}", "{live.route}" }}
}}
'''
    with live, server(d, both, conf='retry_interval = 3600\n') as s:
        send(s, 'a@next.test')
        live.wait(1)
        send(s, 'a@next.test')
        live.wait(2)
        assert not waiting(s)
        live.stop()
        # the connection that was kept has gone; all are tried then
        send(s, 'b@next.test')
        assert wait_deferred(s) == {
            'b@next.test': '[127.0.0.1]: Connection refused'}
        with dead:
            s.ctl('queue', 'retry', 'all')
            dead.wait(1)


def at_most(n):
    """The reply to a connection of a server that has room for ${n}."""
    return lambda session, _: '220 next.test ready' \
        if session.hop.nopen <= n else CLOSE


def test_what_the_first_does_not_take_goes_to_the_next(d):
    """Also while the first serves others; and one that has no room is not asked
    again and again."""
    gate = threading.Event()
    full = {'BANNER': at_most(2), 'DOT': lambda *_: (
        gate.wait(), '250 2.0.0 Taken')[1]}
    first, second = NextHop(replies=full), NextHop(replies=full)
    other = NextHop()
    both = f'''Domain "next.test" {{
    Delivery = smtp
    Route = {{ "{first.route}", "{second.route}" }}
}}
'''
    with first, second, other, server(d, both, domain('other.test', other),
                                      conf='retry_interval = 3600\n') as s:
        for i in range(2):
            send(s, 'a@next.test', message=text_message(i))
        wait_for('the first', lambda: first.nopen == 2)
        for i in range(2, 12):
            send(s, 'a@next.test', message=text_message(i))
        wait_for('the second', lambda: second.nopen == 2)
        for i in range(20):
            send(s, 'a@other.test', message=text_message(i))
            other.wait(i + 1)
        assert first.nsessions + second.nsessions <= 20, (
            first.nsessions, second.nsessions)
        gate.set()
        wait_for('all of them', lambda: len(set(
            first.bodies() + second.bodies())) == 12)
        assert not waiting(s)


def test_a_damaged_body_is_never_whole(d):
    hop = NextHop()
    with server(d, domain('next.test', hop)) as s:
        line = b'here is what will be changed\r\n'
        send(s, 'a@next.test', message=b'Subject: x\r\n\r\n' + line * 3000)
        wait_deferred(s)
        [path] = glob.glob(f'{s.spool}/queue/deferred/*.msg') or \
            [p for p in glob.glob(f'{s.spool}/queue/deferred/*')
             if os.path.getsize(p) > len(line) * 3000]
        with open(path, 'r+b') as f:
            data = f.read()
            f.seek(data.rindex(line))
            f.write(line.upper())
        with hop:
            wait_for('an attempt that fails', lambda: 'cannot be read' in
                     ''.join(waiting(s).values()))
            assert hop.messages == []
            s.ctl('queue', 'remove', s.ctl_json('queue', 'list')[
                'messages'][0]['id'])


# ------------------------------------------------------------------ TLS
def tls_hop(d, host='next.test', **kw):
    return NextHop(tls=make_pair(d, 'next', host=host, owner=os.getuid()), **kw)


@lasts(10)
def test_tls_is_used_where_it_is_offered(d):
    hop = tls_hop(d)
    with hop, server(d, domain('next.test', hop)) as s:
        for i in range(2):
            send(s, 'a@next.test')
            m = hop.wait(i + 1)[i]
            assert m.tls == 'TLSv1.3', m.tls
            wait_for('its end', lambda: hop.nopen == 0)
        [e, again] = events(s, 'next-hop-tls')
        assert (e['protocol'], e['verified']) == ('TLSv1.3', 'no'), e
        assert (e['level'], e['demand']) == ('info', 'may'), e
        # the second one goes on with the session of the first
        assert (e['resumed'], again['resumed']) == ('no', 'yes'), again
        [ready, _] = events(s, 'next-hop-ready')
        assert ready['offers'] == 'SIZE=100000000 8BITMIME SMTPUTF8 ' \
            'PIPELINING ENHANCEDSTATUSCODES DSN', ready
        assert (ready['helo'], ready['with']) == (
            'mx.example.test', 'ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)'), ready
        assert {x['with'] for x in events(s, 'delivered')} == {ready['with']}
        assert e['remote'] == '[127.0.0.1]' and e['reason'] != '-', e
        s.write_conf(extra=domain('next.test', hop, 'TLS = none'))
        s.ctl('reload')
        wait_for('a message without', lambda: (
            send(s, 'a@next.test'), hop.messages[-1].tls is False)[1])


def test_a_server_whose_handshake_fails_gets_mail_without_it(d):
    hop = tls_hop(d)
    # nothing that we have in common
    hop.context.maximum_version = hop.context.minimum_version = \
        ssl.TLSVersion.TLSv1
    hop.context.set_ciphers('DEFAULT:@SECLEVEL=0')
    with hop, server(d, domain('next.test', hop),
                     conf='retry_interval = 3600\n') as s:
        send(s, 'a@next.test')
        [m] = hop.wait(1)
        assert m.tls is False
        [e] = events(s, 'next-hop-clear')
        assert 'handshake has failed' in e['reason'], e
        s.write_conf(extra=domain('next.test', hop, 'TLS = encrypt'))
        s.ctl('reload')
        wait_for('one that is deferred', lambda: (
            send(s, 'b@next.test'), 'b@next.test' in waiting(s))[1])
        assert 'handshake has failed' in waiting(s)['b@next.test']


def test_a_server_that_has_to_be_verified(d):
    hop = tls_hop(d)
    more = f'TLS = verify\nTLS_CA_File = "{d}/next.crt"\n'
    with hop, server(d, domain('right.test', hop, more +
                               'TLS_Name = "next.test"'),
                     domain('wrong.test', hop, more +
                            'TLS_Name = "other.test"'),
                     domain('system.test', hop,
                            'TLS = verify\nTLS_Name = "next.test"'),
                     conf='retry_interval = 3600\n') as s:
        send(s, 'a@right.test', 'b@wrong.test', 'c@system.test')
        [m] = hop.wait(1)
        assert m.rcpts == ['RCPT TO:<a@right.test>'] and m.tls
        why = wait_deferred(s, 2)
        assert set(why) == {'b@wrong.test', 'c@system.test'}, why
        assert 'handshake has failed' in why['b@wrong.test'], why
        assert [e['verified'] for e in events(s, 'next-hop-tls')] == ['yes']


def test_a_server_without_tls_gets_nothing_where_it_is_demanded(d):
    hop = NextHop()
    with hop, server(d, domain('next.test', hop, 'TLS = encrypt')) as s:
        send(s, 'a@next.test')
        [why] = wait_deferred(s).values()
        assert 'does not offer STARTTLS' in why, why
        assert hop.messages == []


def test_authorities_that_cannot_be_read_are_refused(d):
    hop = NextHop()
    s = server(d, domain('next.test', hop, f'TLS_CA_File = "{d}/none.pem"'))
    p = subprocess.run(s.command('-n'), capture_output=True, text=True)
    assert p.returncode == 78 and re.search(
        r"option 'TLS_CA_File' of Domain \"next.test\": .*none.pem", p.stderr), p


# ------------------------------------------------------------------ who may
def test_the_rest_is_for_those_who_may_relay(d):
    hop = NextHop()
    with hop, server(d, domain('*', hop), listener='''
            Peer "127.0.0.2" { Open_Relay = true }
            Peer "127.0.0.3" { Relay_Domains = { "may.test" } }''') as s:
        for source, rcpt, want in (
                ('', 'a@elsewhere.test', '550 5.7.1'),
                ('', 'postmaster@elsewhere.test', '550 5.7.1'),
                ('', 'user@example.test', '250'),
                ('127.0.0.2', 'a@elsewhere.test', '250'),
                ('127.0.0.3', 'b@may.test', '250'),
                ('127.0.0.3', 'a@elsewhere.test', '550 5.7.1')):
            with Client(s.port, source=source) as c:
                c.hello()
                c.cmd('MAIL FROM:<a@client.test>')
                c.cmd(f'RCPT TO:<{rcpt}>', want)
                if want == '250':
                    c.cmd('DATA', '354')
                    c.send(text_message() + b'.\r\n')
                    c.expect('250')
        got = hop.wait(2)
        assert sorted(r for m in got for r in m.rcpts) == [
            'RCPT TO:<a@elsewhere.test>', 'RCPT TO:<b@may.test>']
        s.wait_mail(1)


def test_recipients_are_looked_up_for_other_servers_too(d):
    hop = NextHop(f'{d}/lmtp', lmtp=True)
    with open(f'{d}/users', 'w') as f:
        f.write('alice\n')
    with hop, server(d, domain('next.test', hop,
                               f'Recipients = "file:{d}/users"')) as s:
        with Client(s.port) as c:
            c.hello()
            c.cmd('MAIL FROM:<a@client.test>')
            c.cmd('RCPT TO:<bob@next.test>', '550 5.1.1')
        send(s, 'alice@next.test')
        hop.wait(1)


def test_the_check_looks_for_the_socket(d):
    hop = NextHop(f'{d}/lmtp', lmtp=True)
    s = server(d, domain('next.test', hop))
    p = subprocess.run(s.command('-n'), capture_output=True, text=True)
    assert p.returncode == 78 and re.search(
        rf"mailmill.conf:\d+:\d+: option 'Route': {d}/lmtp: No such file or "
        r'directory.*: mail for next.test is deferred', p.stderr), p
    with open(f'{d}/lmtp', 'w'):
        pass
    p = subprocess.run(s.command('-n'), capture_output=True, text=True)
    assert p.returncode == 78 and 'Socket operation on non-socket' in p.stderr
    os.unlink(f'{d}/lmtp')
    with hop:
        p = subprocess.run(s.command('-n'), capture_output=True, text=True)
        assert 'Route' not in p.stderr, p
        if ROOT:
            os.chmod(f'{d}/lmtp', 0o600)
            p = subprocess.run(s.command('-n'), capture_output=True, text=True)
            assert p.returncode == 78 and 'Permission denied as _mailmills' \
                in p.stderr, p


# ------------------------------------------------------------------ reload, death
def test_a_reload_gives_a_domain_another_server(d):
    one, two = NextHop(), NextHop()
    with one, two, server(d) as s:
        assert not s.pids('mailmilld: relay')
        s.write_conf(extra=domain('next.test', one))
        s.ctl('reload')
        wait_for('the process', lambda: s.pids('mailmilld: relay'))
        send(s, 'a@next.test')
        one.wait(1)
        s.write_conf(extra=domain('next.test', two))
        s.ctl('reload')
        for i in range(2, 50):
            send(s, 'a@next.test', message=text_message(i))
            if two.messages:
                break
            time.sleep(0.1)
        two.wait(1)
        s.wait_empty()
        assert len(set(one.bodies() + two.bodies())) == i


def test_tables_say_by_which_section_mail_goes(d):
    """By recipient, else by sender; a reload counts for what waits, too."""
    one, two, three = NextHop(), NextHop(), NextHop(f'{d}/lmtp', lmtp=True)

    def write(name, text):
        with open(f'{d}/{name}', 'w') as f:
            f.write(text)

    write('transport', 'x@far.test two.invalid\n@lmtp.test three.invalid\n'
          'away@example.test two.invalid\n')
    write('senders', '@client.test three.invalid\n')
    with one, two, three, server(d, domain('*', one), domain(
            'two.invalid', two), domain('three.invalid', three), conf=CONF +
            f'''Transport_Table = "file:{d}/transport"
Sender_Transport_Table = "file:{d}/senders"
''', listener='Peer "127.0.0.0/8" { Open_Relay = true }') as s:
        send(s, 'x@far.test', 'y@far.test', 'z@lmtp.test', 'user@example.test',
             'away@example.test', sender='b@other.test')
        assert sorted(r for m in two.wait(1) for r in m.rcpts) == [
            'RCPT TO:<away@example.test>', 'RCPT TO:<x@far.test>']
        assert one.wait(1)[0].rcpts == ['RCPT TO:<y@far.test>']
        assert [r.split(' ')[1] for r in three.wait(1)[0].rcpts] == [
            'TO:<z@lmtp.test>']
        s.wait_mail(1)
        send(s, 'x@far.test', 'y@far.test', 'user@example.test')
        two.wait(2)
        assert [r.split(' ')[1] for r in three.wait(2)[1].rcpts] == [
            'TO:<y@far.test>']
        s.wait_mail(2)
        # what waits goes another way after a reload
        three.stop()
        send(s, 'v@lmtp.test')
        wait_deferred(s)
        [m] = s.ctl_json('queue', 'list')['messages']
        m = s.ctl_json('queue', 'show', m['id'])['message']
        assert m['recipients'][0]['target']['name'] == (
            f'relay unix:{d}/lmtp'), m
        write('transport', '* one.invalid\n')
        p = subprocess.run(s.command('-n'), capture_output=True, text=True)
        assert p.returncode == 78 and re.search(
            rf"mailmill.conf:\d+:\d+: option 'Transport_Table': .*"
            rf'{d}/transport:1: there is no Domain section', p.stderr), p
        assert s.ctl('reload', check=False).returncode == 1
        write('transport', '@lmtp.test two.invalid\n')
        s.ctl('reload')
        assert two.wait(3)[2].rcpts == ['RCPT TO:<v@lmtp.test>']
        s.wait_empty()
        assert len(one.messages) == 1 and len(three.messages) == 2


def test_a_reload_does_not_wait_for_a_server_that_hangs(d):
    dead = NextHop(replies={'RCPT': HANG})
    slow = NextHop(replies={'DOT': lambda *_: (time.sleep(3 * SLOW),
                                               '250 2.0.0 Taken')[1]})
    with dead, slow, server(d, domain('dead.test', dead,
                                      'Initial_Concurrency = 40'),
                            domain('slow.test', slow),
                            conf='retry_interval = 3600\n') as s:
        for i in range(40):
            send(s, 'a@dead.test', message=text_message(i))
        send(s, 'a@slow.test')
        wait_for('it to hang', lambda: dead.nopen >= 20 and slow.octets)
        queue = s.pids('mailmilld: queue')
        s.ctl('reload')
        wait_for('another queue', lambda: s.pids('mailmilld: queue') not in
                 ([], queue))
        # which has the spool when the old one has ended: not after 30 seconds
        send(s, 'user@example.test')
        s.wait_mail(1, timeout=12)
        # what was sent to its end is not sent again
        slow.wait(1)
        wait_for('its line', lambda: 'a@slow.test' in [
            e['rcpt'] for e in events(s, 'delivered')])
        # nothing of all this is a failure of the message
        dead.replies['RCPT'] = '250 2.1.5 OK'
        dead.go_on.set()
        dead.wait(40, 30)
        assert len(set(dead.bodies())) == len(dead.bodies()) == 40
        assert len(slow.messages) == 1 and not waiting(s)


def test_a_reload_gives_back_what_is_left_of_a_message(d):
    """Which the server does not take at once."""
    gate = threading.Event()
    hop = NextHop(ehlo=EHLO + ('LIMITS RCPTMAX=1',), replies={
        'DOT': lambda *_: (gate.wait(), '250 2.0.0 Taken')[1]})
    with hop, server(d, domain('next.test', hop),
                     conf='retry_interval = 3600\n') as s:
        send(s, 'a@next.test', 'b@next.test')
        wait_for('its end', lambda: 'DATA' in hop.lines and hop.octets)
        queue = s.pids('mailmilld: queue')
        s.ctl('reload')
        wait_for('another queue', lambda: s.pids('mailmilld: queue') not in
                 ([], queue))
        gate.set()
        hop.wait(2, 12)
        s.wait_empty()
        assert sorted(r for m in hop.messages for r in m.rcpts) == [
            f'RCPT TO:<{x}@next.test>' for x in 'ab']


@lasts(25)
def test_a_queue_that_ends_hears_what_has_been_taken(d):
    """More of it than one pass of its loop reads: at the end of drain_time, for
    which it waits for a server, and in which it gets no processor."""
    gate = threading.Event()
    hop = NextHop(replies={'DOT': lambda *_: (gate.wait(),
                                              '250 2.0.0 Taken')[1]})
    with hop, server(d, domain('next.test', hop, 'Max_Connections = 50\n'
                               'Initial_Concurrency = 50'),
                     conf='retry_interval = 3600\ndrain_time = 20\n') as s:
        for i in range(45):
            send(s, 'a@next.test', message=text_message(i))
        wait_for('their ends', lambda: len(hop.octets) >= 45)
        [queue] = s.pids('mailmilld: queue')
        s.ctl('reload')
        told = time.monotonic()
        wait_for('another queue', lambda: [
            p for p in s.pids('mailmilld: queue') if p != queue])
        os.kill(queue, signal.SIGSTOP)
        gate.set()
        hop.wait(45)
        # it is killed five seconds after drain_time
        time.sleep(max(0, told + 22.5 - time.monotonic()))
        assert queue in s.pids('mailmilld: queue')
        os.kill(queue, signal.SIGCONT)
        wait_for('its end', lambda: queue not in s.pids('mailmilld: queue'))
        s.wait_empty()
        assert len(hop.messages) == len(set(hop.bodies())) == 45


def test_a_stop_waits_for_a_server_and_kills_nobody(d):
    """The queue process waits no longer than drain_time, and ends by itself."""
    sent, gate = threading.Event(), threading.Event()
    hop = NextHop(replies={'DOT': lambda *_: (sent.set(), gate.wait(),
                                              '250 2.0.0 Taken')[2]})
    s = server(d, domain('next.test', hop), conf='retry_interval = 3600\n'
               'drain_time = 3\n')
    with hop:
        s.start()
        send(s, 'a@next.test')
        assert sent.wait(20 * SLOW)
        began = time.monotonic()
        s.stop()
        took = time.monotonic() - began
        gate.set()
        assert 2 < took < 8 * SLOW, took
        ends = re.findall(r'event=(?:process-drain|stop) .*killed.*', s.log())
        assert not ends, ends


@lasts(30)
def test_a_relay_that_is_killed_loses_nothing(d):
    """A message comes twice only if its end was sent when the process died."""
    hop = NextHop(f'{d}/lmtp', lmtp=True, replies={
        'DOT': lambda *_: (time.sleep(random.choice((0, 0.001, 0.02))),
                           '250 2.0.0 Taken')[1]})
    kills, sent = 12, []
    with hop, server(d, domain('next.test', hop, 'Max_Connections = 4'),
                     conf=CONF + 'relayers = 2\nspool_large_message = 20000\n'
                     ) as s:
        stop = threading.Event()

        def sender(name):
            n = 0
            while not stop.is_set():
                n += 1
                key = f'{name}-{n}'
                size = random.choice((10, 1000, 30000))
                send(s, 'a@next.test', 'b@next.test', message=(
                    f'Subject: {key}\r\n\r\n').encode() + b'x\r\n' * (size // 3))
                sent.append(key)
        threads = [threading.Thread(target=sender, args=(x,)) for x in 'pq']
        for t in threads:
            t.start()
        for i in range(kills):
            time.sleep(random.uniform(0.05, 0.4))
            pid = random.choice(wait_for('one', lambda: s.pids(
                'mailmilld: relay')))
            os.kill(pid, signal.SIGKILL)
        stop.set()
        for t in threads:
            t.join()

        def arrived():
            return [(re.search(rb'Subject: (\S+)', m.body)[1].decode(), r)
                    for m in list(hop.messages) for r in m.taken]
        wait_for('all of them', lambda: len(set(arrived())) == 2 * len(sent),
                 60)
        s.wait_empty(60)
        got = arrived()
        assert {k for k, _ in got} == set(sent)
        # each kill hits the connections of one process: 2, of 2 recipients each
        assert len(got) - len(set(got)) <= kills * 4, len(got) - len(set(got))
        assert int(s.stats()['delivered']) >= 2 * len(sent)


def test_a_queue_that_is_killed_loses_nothing(d):
    hop = NextHop()
    with hop, server(d, domain('next.test', hop)) as s:
        for i in range(60):
            if i in (20, 40):
                os.kill(s.pids('mailmilld: queue')[0], signal.SIGKILL)
            send(s, 'a@next.test', message=text_message(i))
        wait_for('all of them', lambda: len(set(hop.bodies())) == 60, 40)


def heap_kib(pid):
    with open(f'/proc/{pid}/smaps') as f:
        maps = re.findall(r'\[heap\]\n(?:[A-Z].*\n)*?Rss: *(\d+) kB', f.read())
    return sum(map(int, maps))


def test_a_connection_without_tls_holds_nothing_for_it(d):
    n = 60
    hop = NextHop(replies={'DOT': HANG})
    with hop, server(d, domain('next.test', hop, f'Max_Connections = {n}\n'
                               f'Initial_Concurrency = {n}')) as s:
        [pid] = s.pids('mailmilld: relay')

        def fill(first, last):
            # one after the other: what one needs for a moment, the next has again
            for i in range(first, last):
                send(s, 'a@next.test')
                wait_for('the end of the body', lambda: hop.lines.count(
                    'DATA') == i + 1)
            return heap_kib(pid)
        few = fill(0, 10)
        each = (fill(10, n) - few) / (n - 10)
        print(f'figure: {each:.1f} KiB of a connection in the clear')
        assert each < 10, each
        hop.go_on.set()


# ------------------------------------------------------------------ real servers
def test_a_second_mailmilld_by_lmtp(d):
    os.mkdir(f'{d}/second')
    os.mkdir(f'{d}/first')
    second = Server(f'{d}/second', listen='Kind = lmtp',
                    domain='').start()
    hop = NextHop(('127.0.0.1', second.port), lmtp=True)
    # the mailboxes of one domain are there, and here is only the way
    with server(f'{d}/first', domain='Delivery = lmtp\n'
                f'Route = "{hop.route}"') as s:
        for i in range(50):
            send(s, 'user@example.test', 'other@example.test',
                 message=text_message(i))
        got = second.wait_mail(50)
        second.wait_mail(50, user='other')
        assert all(m.count(b'Received: ') == 2 for m in got), got[0]
        assert all(b' with LMTP id ' in m for m in got)
        s.wait_empty()
        second.signal(signal.SIGTERM)
        assert second.wait_end() == 0
        second.proc = None


def test_postfix_smtp_sink(d):
    program = f'{POSTFIX}/smtp-sink'
    if not os.path.exists(program):
        raise Skip('no smtp-sink in build/postfix')
    for kind in 'smtp', 'lmtp':
        os.mkdir(f'{d}/{kind}')
        hop = NextHop(lmtp=kind == 'lmtp')
        sink = subprocess.Popen(
            [program, *(['-L'] if kind == 'lmtp' else []),
             *(['-u', 'nobody'] if ROOT else []), '-d',
             f'{d}/{kind}/%M.', '-c', hop.route, '100'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.chmod(f'{d}/{kind}', 0o777)
        try:
            with server(f'{d}/{kind}', domain('next.test', hop)) as s:
                for i in range(100):
                    send(s, 'a@next.test', message=text_message(i))
                wait_for('all of them', lambda: int(
                    s.stats()['delivered']) == 100)
                assert s.ctl_json('queue', 'list')['messages'] == []
        finally:
            sink.terminate()
            sink.wait()


def test_dovecot_by_lmtp(d):
    with DovecotLmtp(d) as dovecot:
        hop = NextHop(dovecot.socket, lmtp=True)
        with server(d, domain('dove.test', hop),
                    conf=CONF.replace('interval = 1',
                                      'interval = 3600')) as s:
            for i in range(60):
                send(s, 'alice@dove.test', 'bob@dove.test',
                     message=text_message(i))
            for user in 'alice', 'bob':
                wait_for(user, lambda: len(set(dovecot.subjects(user))) == 60,
                         40)
                assert len(dovecot.subjects(user)) == 60
            send(s, 'alice@dove.test', 'nobody@dove.test')
            [(rcpt, why)] = wait_bounced(s).items()
            assert rcpt == 'nobody@dove.test' and re.search(
                r'said: 550 5\.1\.1 .*nobody', why), why
            assert '250 2.0.0' in events(s, 'delivered')[-1]['reply']
