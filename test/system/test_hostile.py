"""Hostile clients: the server survives, and they leave nothing behind."""
import os
import random
import socket
import time

from harness import SLOW, Client, Server, stuffed, text_message, wait_for


def nothing_left(s, mail=0):
    """No session, no descriptor, no spool file more than at the start."""
    def quiet():
        v = s.stats()
        return int(v['sessions']) == int(v['sessions_ended'])
    wait_for('all sessions to end', quiet, 20)
    assert len(s.delivered()) == mail, len(s.delivered())
    assert not [f for f in os.listdir(f'{s.spool}/incoming')
                if f.startswith('body.')]
    assert s.first_pids == sorted(s.pids()), 'a process has died: ' + s.log()[-3000:]


def fds(s):
    return {p: len(os.listdir(f'/proc/{p}/fd')) for p in s.pids('worker')}


def begin(d, **kw):
    s = Server(d, conf='spool_large_message = 20000', **kw).start()
    s.first_pids = sorted(s.pids())
    return s


GREETING = b'EHLO client.test\r\n'      # ends a group (RFC 2920 3.1)
DIALOGUE = (b'MAIL FROM:<a@client.test>\r\n'
            b'RCPT TO:<user@example.test>\r\nDATA\r\n')


def test_reset_and_close_at_every_stage(d):
    s = begin(d, workers=1)
    body = stuffed(text_message(size=40000)) + b'.\r'
    before = None
    for how in ('reset', 'close'):
        for cut in range(0, len(GREETING), 3):
            c = Client(s.port)
            c.send(GREETING[:cut])
            getattr(c, how)()
        for cut in range(0, len(DIALOGUE) + 1, 3):
            c = Client(s.port)
            c.hello()
            c.send(DIALOGUE[:cut])
            getattr(c, how)()
        for cut in (0, 1, 50, 20001, 39000, len(body) - 1, len(body)):
            c = Client(s.port)
            c.hello()
            c.send(DIALOGUE)
            for want in ('250', '250', '354'):
                c.expect(want)
            c.send(body[:cut])
            getattr(c, how)()
        wait_for('all sessions to end', lambda: int(s.stats()['sessions'])
                 == int(s.stats()['sessions_ended']))
        if before is None:
            before = fds(s)
    # a file may be given back a moment after its session has ended
    wait_for('the descriptors to be no more than after the first round', lambda:
             fds(s).keys() == before.keys() and
             all(n <= before[p] for p, n in fds(s).items()))
    nothing_left(s)
    s.stop()


def test_reset_after_the_final_dot_gives_one_message_or_none(d):
    s = begin(d)
    for i in range(30):
        c = Client(s.port)
        c.hello()
        c.send(DIALOGUE)
        for want in ('250', '250', '354'):
            c.expect(want)
        c.send(text_message(i) + b'.\r\n')
        c.reset()
    with Client(s.port) as c:
        c.hello()
        c.mail(text_message(99))
    wait_for('the last', lambda: [m for m in s.delivered() if b'number 99' in m])
    wait_for('all to be read', lambda: int(s.stats()['queue_taken'])
             == int(s.stats()['commit_records']) == len(s.delivered()))
    got = s.delivered()
    assert len(got) == len({m[-600:] for m in got}) <= 31
    s.stop()


def test_random_octets(d):
    s = begin(d)
    r = random.Random(5)
    words = [b'EHLO x\r\n', b'MAIL FROM:<>', b'RCPT TO:<user@example.test>\r\n',
             b'DATA\r\n', b'.\r\n', b'\r\n', b'\n', b'\0', b'QUIT', b'RSET\r\n',
             b' ', b'\xff' * 50, b'x' * 5000, b'MAIL FROM:<a@b>\r\n']
    for i in range(150):
        c = Client(s.port, banner=False)
        try:
            for _ in range(r.randrange(1, 12)):
                c.send(r.choice(words) if i % 2 else r.randbytes(r.randrange(1, 3000)))
            c.s.settimeout(0.01)
            c.s.recv(10000)
        except OSError:
            pass
        (c.reset if r.random() < .5 else c.close)()
    with Client(s.port) as c:
        c.hello()
    wait_for('all sessions to end', lambda: int(s.stats()['sessions'])
             == int(s.stats()['sessions_ended']))
    assert s.first_pids == sorted(s.pids()), s.log()[-3000:]
    s.stop()


def test_bad_commands_get_the_right_replies(d):
    s = begin(d, listener='Max_Errors = 0')
    with Client(s.port) as c:
        c.cmd('MAIL FROM:<a@client.test>', '503 5.5.1')
        c.hello()
        for text, want in (
                ('XYZZY', '500 5.5.2'), ('', '500 5.5.2'),
                ('MAIL', '501 5.5.4'), ('MAIL FROM:a@b', '501'),
                ('MAIL FROM:<a@client.test> FOO=BAR', '555 5.5.4'),
                ('RCPT TO:<user@example.test>', '503 5.5.1'),
                ('DATA', '503 5.5.1'), ('RSET now', '501 5.5.4'),
                ('NO\0OP', '501'), ('NOOP \xff', '501'),
                ('NOOP ' + 'x' * 5000, '500 5.5.6'), ('NOOP', '250'),
                ('VRFY user', '252'), ('HELP', '214')):
            c.cmd(text, want)
        c.send(b'NOOP ' + b'x' * 300000 + b'\r\nNOOP\r\n')
        c.expect('500 5.5.6')
        c.expect('250')
    s.stop()


def test_bare_line_ends_do_not_end_a_message(d):
    s = begin(d)
    for i, fake in enumerate((b'\n.\n', b'\r\n.\n', b'\n.\r\n', b'\r.\r',
                              b'\r\n.\r', b'\n.\r')):
        m = (b'Subject: smuggled\r\n\r\nx' + fake + b'MAIL FROM:<evil@x.test>\r\n'
             b'RCPT TO:<user@example.test>\r\nDATA\r\nevil\r\n')
        with Client(s.port) as c:
            c.hello()
            c.envelope(rcpt=f'u{i}@example.test')
            c.cmd('DATA', '354')
            c.send(m + b'.\r\n')
            r = c.reply()
            assert r[:3] in ('250', '550'), r
            c.cmd('NOOP')
    time.sleep(0.3)
    assert s.delivered() == []
    s.stop()


def test_slow_clients_do_not_hold_others_up(d):
    s = begin(d, workers=1)
    slow = []
    for _ in range(100):
        c = Client(s.port)
        slow.append(c)
    for octet in GREETING + DIALOGUE[:20]:
        for c in slow:
            c.send(bytes([octet]))
    t = time.monotonic()
    with Client(s.port) as c:
        c.hello()
        c.mail(text_message())
    assert time.monotonic() - t < 3 * SLOW
    for c in slow:
        c.close()
    s.wait_mail(1)
    nothing_left(s, mail=1)
    s.stop()


def test_a_client_that_never_reads(d):
    """The client reads no replies: the worker neither stores them without bound
    nor runs in a loop."""
    s = begin(d, workers=1, listener='Max_Errors = 0')
    c = socket.socket()
    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    c.connect(('127.0.0.1', s.port))
    c.setblocking(False)
    sent, quiet = 0, 0
    while quiet < 20 and sent < 50_000_000:
        try:
            sent += c.send(b'HELP\r\n' * 1000)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.02)
    assert sent < 50_000_000, 'it took in commands without end'
    with Client(s.port) as other:
        other.hello()
        other.mail(text_message())
    s.wait_mail(1)
    c.close()
    nothing_left(s, mail=1)
    s.stop()


def test_half_closed_clients_still_get_their_replies(d):
    s = begin(d)
    with Client(s.port) as c:
        c.hello()
        c.envelope()
        c.cmd('DATA', '354')
        c.send(text_message() + b'.\r\nQUIT\r\n')
        c.s.shutdown(socket.SHUT_WR)
        c.expect('250')
        c.expect('221')
        c.ended()
    s.wait_mail(1)
    nothing_left(s, mail=1)
    s.stop()


def test_a_thousand_sessions_at_once(d):
    s = begin(d)
    cs = [Client(s.port) for _ in range(900)]
    for c in cs:
        c.send(GREETING)
    for c in cs:
        c.expect('250')
    for c in cs:
        c.send(DIALOGUE)
    for c in cs:
        for want in ('250', '250', '354'):
            c.expect(want)
    for i, c in enumerate(cs):
        c.send(text_message(i) + b'.\r\n')
    for c in cs:
        c.expect('250')
    for c in cs:
        c.close()
    s.wait_mail(900, timeout=40)
    nothing_left(s, mail=900)
    s.stop()


def test_hundreds_of_recipients_of_full_length(d):
    s = begin(d, listener='Max_Errors = 0')
    with Client(s.port) as c:
        c.hello()
        c.cmd('MAIL FROM:<>')
        n = 0
        for i in range(1100):
            c.send(b'RCPT TO:<%s%04d@example.test>\r\n' % (b'x' * 50, i))
            r = c.reply()
            if r.startswith('250'):
                n += 1
            else:
                assert r.startswith('452 4.5.3'), r
        assert n == 1000, n
        c.cmd('DATA', '354')
        c.send(b'x\r\n.\r\n')
        c.expect('250')
    wait_for('all of them', lambda: int(s.stats()['delivered']) == 1000, 60)
    s.stop()
