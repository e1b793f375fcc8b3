"""Addresses: their equivalent forms, the files that list them; the header of a
message as it is delivered."""
import os
import socket
import subprocess

from harness import Client, Server, stuffed, text_message
from test_senders import login, set_up


def send(c, rcpts, message, sender='a@client.test'):
    c.cmd(f'MAIL FROM:<{sender}>')
    for r in rcpts:
        c.cmd(f'RCPT TO:<{r}>')
    c.cmd('DATA', '354')
    c.send(message + b'.\r\n')
    c.expect('250 2.0.0')


def test_equivalent_quoted_local_parts_are_one_mailbox(d):
    with Server(d) as s, Client(s.port) as c:
        c.hello()
        send(c, ['"odd user"@example.test', '"odd\\ user"@example.test',
                 '"\\o\\dd user"@EXAMPLE.test', 'alice@example.test',
                 '"al\\ice"@example.test', '"alice"@example.test'],
             text_message())
        s.wait_mail(1, user='"odd user"')
        s.wait_mail(1, user='alice')
        assert sorted(os.listdir(f'{s.mail}/example.test')) == [
            '"odd user"', 'alice']


def test_a_quoted_local_part_can_be_listed(d):
    with open(f'{d}/users', 'w') as f:
        f.write('"odd\\ user"@example.test # one\n"al\\ice"\n')
    with Server(d, domain=f'Recipients = "file:{d}/users"') as s, \
            Client(s.port) as c:
        c.hello()
        c.cmd('MAIL FROM:<a@client.test>')
        c.cmd('RCPT TO:<"odd user"@example.test>')
        c.cmd('RCPT TO:<"odd\\ user"@example.test>')
        c.cmd('RCPT TO:<alice@example.test>')
        c.cmd('RCPT TO:<"alice"@example.test>')
        c.cmd('RCPT TO:<"odd  user"@example.test>', '550 5.1.1')


def test_postmaster_is_one_mailbox(d):
    with Server(d) as s, Client(s.port) as c:
        c.hello()
        send(c, ['postmaster', 'postmaster@example.test',
                 'POSTMASTER@Example.Test', 'postmaster@[127.0.0.1]',
                 'PostMaster@[IPv6:::ffff:127.0.0.1]',
                 '"postmaster"@[127.0.0.1]'], text_message())
        s.wait_mail(1, user='postmaster')
        assert os.listdir(f'{s.mail}/example.test') == ['postmaster']
        c.cmd('MAIL FROM:<a@client.test>')
        c.cmd('RCPT TO:<postmaster@[192.0.2.1]>', '550 5.7.1')
        c.cmd('RCPT TO:<alice@[127.0.0.1]>', '550 5.7.1')


def test_postmaster_at_an_ipv6_address_of_the_server(d):
    s = Server(d)
    s.write_conf(listener=f'Listen "[::1]:{s.port}" {{ }}')
    with s, Client(s.port) as c:
        c.s.close()
        c.s = socket.create_connection(('::1', s.port), 20)
        c.expect('220')
        c.hello()
        send(c, ['postmaster@[IPv6:0:0::1]'], text_message())
        s.wait_mail(1, user='postmaster')
        c.cmd('MAIL FROM:<a@client.test>')
        c.cmd('RCPT TO:<postmaster@[127.0.0.1]>', '550 5.7.1')


def test_quotes_do_not_evade_sender_login(d):
    senders = ('* *\njoe@client.test joe\n"odd\\ one"@client.test joe\n'
               '@own.test joe\n')
    with Server(d, listener=set_up(d, senders)) as s, Client(s.port) as c:
        login(c, 'alice', 'secret')
        for form in ('joe@client.test', 'JOE@Client.TEST', '"joe"@client.test',
                     '"j\\oe"@client.test', '@a.test:joe@client.test',
                     '"odd one"@client.test', '"odd\\ one"@client.test',
                     '"x y"@OWN.test', '"x@own.test"@own.test'):
            c.cmd(f'MAIL FROM:<{form}>', '553 5.7.1')
        c.cmd('MAIL FROM:<"joe "@client.test>', '250')


BAD = [                                 # line, in both files, what is told
    (b'\xef\xbb\xbfjoe@example.test', 'byte order mark'),
    (b'<joe@example.test>', 'without < and >'),
    (b'joe@example.test.', 'without a dot'),
    (b'joe@example.test\xc2\xa0', 'no client can use'),
    (b'jo\xe2\x80\x8be@example.test', 'no client can use'),
    (b'j\xf6@example.test', 'no client can use'),
    (b'joe@exam\x01ple.test', 'control character'),
    (b'joe@example..test', 'not an address'),
]
FOREIGN = [                             # in the file of recipients
    (b'joe@other.test', 'no Domain section for this address'),
    (b'joe@sub.example.test', 'no Domain section for this address'),
    (b'joe@[127.0.0.1]', 'no Domain section for this address'),
]


def test_lines_that_never_match_are_refused_with_file_and_line(d):
    with open(f'{d}/users', 'wb') as f:
        f.write(b'joe\n')
    listener = set_up(d, 'joe@example.test joe\n')
    s = Server(d, listener=listener, domain=f'Recipients = "file:{d}/users"')

    def check():
        return subprocess.run(s.command('-n', '-f'), capture_output=True, text=True)
    assert check().returncode == 0, check()
    for name, option, tail, bad in (
            ('users', 'Recipients', b'', BAD + FOREIGN),
            ('senders', 'Sender_Login', b' joe', BAD)):
        with open(f'{d}/{name}', 'rb') as f:
            good = f.read()
        for line, why in bad:
            with open(f'{d}/{name}', 'wb') as f:
                f.write(b'# first\n\n' + line + tail + b'\n')
            p = check()
            assert p.returncode == 78, (line, p)
            for word in (f"option '{option}'", f'{d}/{name}:3: ', why):
                assert word in p.stderr, (line, word, p.stderr)
        with open(f'{d}/{name}', 'wb') as f:
            f.write(good)
    # a running server goes on with what it has
    with s, open(f'{d}/users', 'ab') as f:
        f.write(b'<new@example.test>\n')
        f.flush()
        p = s.ctl('reload', check=False)
        assert p.returncode != 0
        assert f'{d}/users:2: ' in p.stdout + p.stderr, p
        with Client(s.port) as c:
            login(c, 'alice', 'secret')
            c.cmd('MAIL FROM:<>')
            c.cmd('RCPT TO:<joe@example.test>')


def test_odd_senders(d):
    with Server(d) as s, Client(s.port) as c:
        c.hello()
        c.cmd('MAIL FROM:<a@_>', '501 5.1.7')
        c.cmd('MAIL FROM:<a@b_c.example>')
        c.cmd('RSET')
        c.cmd('MAIL FROM:<grün@client.test>', '553 5.6.7')
        c.cmd('MAIL FROM:<a@grün.test>', '553 5.6.7')
        c.cmd('MAIL FROM:<a@client.test>')
        c.cmd('RCPT TO:<grün@example.test>', '553 5.6.7')
        c.cmd('RCPT TO:<user@example.test>')


HEADERS = [                             # as sent, as delivered behind Received
    (b' (x); Mon, 01 Jan 1990 00:00:00 +0000\r\nSubject: x\r\n\r\nbody\r\n',
     b'\r\n (x); Mon, 01 Jan 1990 00:00:00 +0000\r\nSubject: x\r\n\r\n'
     b'body\r\n'),
    (b'\t\r\n', b'\r\n\t\r\n'),
    (b'.\r\n', b'\r\n.\r\n'),
    (b'hello\r\n', b'\r\nhello\r\n'),
    (b'From user Mon Jan  1 00:00:00 1990\r\nA: b\r\n',
     b'\r\nFrom user Mon Jan  1 00:00:00 1990\r\nA: b\r\n'),
    (b'\r\nbody\r\n', b'\r\nbody\r\n'),
    (b'A: b\r\n', b'A: b\r\n'),
    (b'', b''),
    (b'Return-Path: <x@y.test>\r\n\tfolded\r\nA: b\r\nRETURN-PATH:<z>\r\n\r\n'
     b'Return-Path: body\r\n',
     b'A: b\r\n\r\nReturn-Path: body\r\n'),
    (b'Return-Path: <x@y.test>\r\nFrom user\r\n', b'\r\nFrom user\r\n'),
]


def deliver(s, c, message, pieces):
    """Sent in so many octets at once; what is in the file, which is removed."""
    c.cmd('MAIL FROM:<a@client.test>')
    c.cmd('RCPT TO:<user@example.test>')
    c.cmd('DATA', '354')
    data = stuffed(message) + b'.\r\n'
    for i in range(0, len(data), pieces):
        c.send(data[i:i + pieces])
    c.expect('250 2.0.0')
    s.wait_mail(1)
    stored = s.delivered()[0]
    new = f'{s.maildir()}/new'
    for name in os.listdir(new):
        os.unlink(f'{new}/{name}')
    return stored


def split_trace(stored):
    """The field that the delivery writes, the one of the worker, the rest."""
    first, rest = stored.split(b'\r\n', 1)
    assert first == b'Return-Path: <a@client.test>', stored
    lines = rest.split(b'\r\n')
    assert lines[0].startswith(b'Received: from '), stored
    n = 1
    while n < len(lines) and lines[n][:1] in (b' ', b'\t'):
        n += 1
    assert lines[n - 1].endswith(b' +0000'), stored
    return b'\r\n'.join(lines[n:])


def check_headers(s, c):
    for message, want in HEADERS:
        for pieces in (10000, 7, 1):
            got = split_trace(deliver(s, c, message, pieces))
            assert got == want, (message, pieces, got)


def test_the_header_of_the_client_stays_behind_ours(d):
    with Server(d) as s, Client(s.port) as c:
        c.hello()
        check_headers(s, c)


def test_the_same_in_bodies_of_their_own_files(d):
    with Server(d, conf='spool_large_message = "4K"') as s, \
            Client(s.port) as c:
        c.hello()
        tail = b'x' * 70 + b'\r\n'
        big = tail * 3000
        for message, want in HEADERS[:1] + HEADERS[-2:-1]:
            got = split_trace(deliver(s, c, message + big, 8000))
            assert got == want + big, (message, len(got))


def test_without_our_received_field_too(d):
    with Server(d, listener='RFC2822_Trace_Headers = false') as s, \
            Client(s.port) as c:
        c.hello()
        for message, want in HEADERS:
            got = deliver(s, c, message, 10000)
            assert got == b'Return-Path: <a@client.test>\r\n' + want, got
