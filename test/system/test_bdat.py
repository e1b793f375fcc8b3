"""Messages by BDAT (RFC 3030), against a real server."""
import os
import random

import messages
from harness import Client, Server, body_of, text_message, wait_for
from keys import context
from test_clients import same
from test_keys import V3, server
from test_queue import CONF, block, deferred

PNG = b'\x89PNG\r\n\x1a\n' + bytes(range(256)) * 40 + b'\r\r\n\n\r'
BINARY = (b'Subject: binary\r\nMIME-Version: 1.0\r\nContent-Type: image/png\r\n'
          b'Content-Transfer-Encoding: binary\r\n\r\n' + PNG)


def chunks(message, sizes):
    """The commands and the octets; how many replies they get."""
    out, at, n = b'', 0, 0
    while True:
        size = next(sizes)
        piece, at, n = message[at:at + size], at + size, n + 1
        last = b' LAST' if at >= len(message) else b''
        out += b'BDAT %d%s\r\n' % (len(piece), last) + piece
        if last:
            return out, n


def chance(seed, most):
    r = random.Random(seed)
    while True:
        yield r.randrange(1, most)


def whole():
    while True:
        yield 1 << 40


def send(c, message, sizes, rcpt='user@example.test', body=''):
    """Envelope and message in one group."""
    data, n = chunks(message, sizes)
    c.send(f'MAIL FROM:<a@client.test>{body}\r\nRCPT TO:<{rcpt}>\r\n'.encode()
           + data)
    for _ in range(2 + n):
        c.expect('250')


def test_every_kind_of_message_arrives_byte_for_byte(d):
    kinds = dict(messages.all_small(), unended=b'Subject: x\r\n\r\nno end',
                 cr=b'Subject: x\r\n\r\n\r')
    with Server(d) as s, Client(s.port) as c:
        assert '250-CHUNKING\n' in c.hello()
        for i, (name, m) in enumerate(kinds.items()):
            send(c, m, whole(), f'{name}@example.test')
            send(c, m, chance(i, 2000 if len(m) > 1000 else 4),
                 f'{name}@example.test')
        c.cmd('QUIT', '221')
        c.ended()
        for name, m in kinds.items():
            for got in s.wait_mail(2, user=name):
                same(body_of(got), m)


def test_50_mb_arrive_byte_for_byte_in_the_clear_and_over_tls(d):
    m = messages.big(50 * 1000 * 1000)
    with server(d, ('ec',)) as s:
        for n, sizes in enumerate((whole(), chance(1, 3000000)), 1):
            with Client(s.port, timeout=120) as c:
                c.hello()
                send(c, m, sizes)
            same(body_of(s.wait_mail(n, timeout=60)[-1]), m)
        with Client(s.tls_port, banner=False, timeout=120) as c:
            c.s = context(V3).wrap_socket(c.s)
            c.expect('220')
            c.hello()
            send(c, m, chance(2, 3000000), 'tls@example.test')
        same(body_of(s.wait_mail(1, user='tls', timeout=60)[0]), m)


def test_binarymime_keeps_each_octet_and_text_has_its_line_ends(d):
    with Server(d, domain='Maildir_Newline = "lf"') as s, \
            Client(s.port) as c:
        assert '250-BINARYMIME\n' in c.hello()
        for i in range(3):
            send(c, BINARY, chance(i, 900), body=' BODY=BINARYMIME')
        send(c, messages.dots(), whole(), 'text@example.test')
        for got in s.wait_mail(3):
            assert got.endswith(b'\r\n' + BINARY), got[:500]
        got = s.wait_mail(1, user='text')[0]
        assert got.endswith(messages.dots().replace(b'\r\n', b'\n'))
        # by DATA it would not arrive as it is
        c.cmd('MAIL FROM:<a@client.test> BODY=BINARYMIME')
        c.cmd('RCPT TO:<user@example.test>')
        c.cmd('DATA', '503 5.5.1')


def test_binarymime_is_remembered_while_a_message_is_deferred(d):
    with Server(d, conf=CONF, domain='Maildir_Newline = "lf"') as s:
        block(s, 'user')
        with Client(s.port) as c:
            c.hello()
            send(c, BINARY, chance(7, 900), body=' BODY=BINARYMIME')
        wait_for('it to be deferred', lambda: deferred(s) == 1)
        s.stop()
        os.unlink(s.maildir())
        s.start()
        s.ctl('queue', 'retry', 'all')
        got = s.wait_mail()[0]
        assert got.endswith(b'\r\n' + BINARY), got[:500]


def test_a_message_without_last_is_no_message(d):
    with Server(d) as s:
        for end in range(3):
            c = Client(s.port)
            c.hello()
            c.envelope()
            c.send(b'BDAT 12\r\nSubject: x\r\n')
            c.expect('250')
            if end == 1:
                c.send(b'BDAT 100 LAST\r\nless')
            elif end == 2:
                c.cmd('RSET')
            c.reset()
        with Client(s.port) as c:
            c.hello()
            send(c, text_message(), whole())
            same(body_of(s.wait_mail(1)[0]), text_message())
        assert int(s.stats()['messages_accepted']) == 1
        assert len(s.delivered()) == 1


def test_50_mb_that_nobody_wants_are_no_commands(d):
    evil = b'RSET\r\nMAIL FROM:<evil@client.test>\r\nQUIT\r\n' * 1200
    with Server(d) as s, Client(s.port, timeout=120) as c:
        c.hello()
        c.send(b'BDAT %d LAST\r\n' % (1000 * len(evil)))
        for _ in range(1000):
            c.send(evil)
        c.expect('503 5.5.1')
        c.cmd('NOOP')
        c.send(b'BDAT 18446744073709551621 LAST\r\nRSET\r\nRSET\r\n')
        c.expect('503 5.5.1')
        c.expect('421 4.5.4')
        c.ended()
