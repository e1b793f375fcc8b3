"""Clients that break off, delay or abuse the TLS handshake: the server ends
their session and serves the others."""
import contextlib
import os
import socket
import ssl
import time

from harness import SLOW, Client, text_message, wait_for
from keys import context, handshake
from test_keys import server
from test_tls_clients import PAIRS


def test_what_is_no_handshake_costs_its_session_only(d):
    with server(d, PAIRS, workers=1) as s:
        worker = s.pids('mailmilld: worker')
        hello = client_hello()
        garbage = [b'EHLO client.test\r\n', b'\0' * 500, b'\x16\x03\x01\xff\xff'
                   + b'A' * 600, os.urandom(700), b'GET / HTTP/1.0\r\n\r\n',
                   hello[:9] + b'\xff' * (len(hello) - 9)]
        with handshake(s.tls_port) as before:
            for port in s.tls_port, s.port:
                for g in garbage:
                    with Client(port, banner=port == s.port) as c:
                        if port == s.port:
                            c.hello()
                            c.cmd('STARTTLS', '220')
                        c.send(g)
                        left = ended(c)
                        assert b'220' not in left and b'500' not in left, left
            n = 2 * len(garbage)
            wait_for('the counters', lambda: s.stats()[
                'tls_failed_protocol'] == n)
            # the client closes after any octet of the handshake
            for i in range(0, len(hello), 16):
                with Client(s.tls_port, banner=False) as c:
                    c.send(hello[:i])
            n += len(range(0, len(hello), 16))
            wait_for('the counters', lambda: s.stats()[
                'tls_handshakes_failed'] == n)
            before.sendall(b'QUIT\r\n')
        assert s.pids('mailmilld: worker') == worker
        handshake(s.tls_port).close()


def ended(c):
    """What the server sends until it closes."""
    got = b''
    try:
        while d := c.s.recv(4096):
            got += d
    except ConnectionResetError:
        pass
    return got


def client_hello():
    """A ClientHello."""
    to, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    o = context().wrap_bio(to, out, server_hostname='mx.example.test')
    try:
        o.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def drip(c, octets, end):
    """An octet each time that the server has said nothing for a while, until
    it closes."""
    for i in range(len(octets)):
        with contextlib.suppress(socket.timeout):
            if not c.s.recv(100):
                return
        c.send(octets[i:i + 1])
        assert time.monotonic() < end
    raise AssertionError('the server took all of it')


def test_a_stalled_handshake_ends_at_its_timeout(d):
    with server(d, listener='TLS_Handshake_Timeout = 2\n') as s:
        hello = client_hello()
        clients = [Client(s.tls_port, banner=False) for _ in range(4)]
        for c, part in zip(clients, (b'', hello[:1], hello[:100], hello)):
            c.send(part)
        late = Client(s.port)
        late.hello()
        late.cmd('STARTTLS', '220')
        begin = time.monotonic()
        for c in clients + [late]:
            ended(c)
            c.close()
        took = time.monotonic() - begin
        assert 1 < took < 10 * SLOW, took
        wait_for('the counter', lambda: s.stats()['tls_failed_timeout'] == 5)
        # one octet now and then does not prolong it
        with Client(s.tls_port, banner=False) as c:
            begin = time.monotonic()
            c.s.settimeout(0.2)
            # closed, or reset with the last octet on its way
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                drip(c, hello, begin + 20 * SLOW)
            assert 1 < time.monotonic() - begin


def test_commands_behind_starttls_are_none(d):
    for policy in 'reject', 'ignore':
        sub = f'{d}/{policy}'
        os.mkdir(sub)
        with server(sub, listener=f'Starttls_Injection_Policy = "{policy}"\n'
                    ) as s, Client(s.port) as c:
            c.hello()
            c.send(b'STARTTLS\r\nMAIL FROM:<evil@client.test>\r\n')
            if policy == 'reject':
                assert c.reply().startswith('503 5.5.1')
                assert c.line() == b''
                continue
            c.expect('220')
            c.s = context().wrap_socket(c.s, server_hostname='mx')
            c.cmd('RCPT TO:<user@example.test>', '503')
            assert 'STARTTLS' not in c.hello()
            c.mail(text_message())
            got, = s.wait_mail(1)
            assert b'evil' not in got
