"""HAProxy in front of the server: its headers of the PROXY protocol, version 1
and 2, its checks of whether the server is well, TLS through it."""
import contextlib
import csv
import os
import signal
import smtplib
import socket
import ssl
import subprocess

from harness import SLOW, TOP, Client, Server, free_port, text_message, wait_for
from test_auth_clients import unpack
from test_auth_mechs import Tls, ours
from test_xclient import events

PROXY = '127.0.0.9'                     # what it connects from
CLIENT = '127.0.0.3'                    # a client of it
# Version 2 has what it can say beside: a sum, a name of the connection, TLS.
WAYS = {'v1': 'send-proxy',
        'v2': 'send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl'}


def one_way(name, header, front, back):
    return f'''
listen {name}
    bind 127.0.0.1:{front}
    unique-id-format %ci:%cp
    source {PROXY}
    option smtpchk EHLO check.test
    server s 127.0.0.1:{back} {header} check check-send-proxy inter 200ms
'''


@contextlib.contextmanager
def haproxy(d, port):
    """Gives the port of each way to the server at port, and what HAProxy knows
    of it."""
    root, env = unpack('unpack.sh', f'{TOP}/build/haproxy', 'haproxy')
    ports = {way: free_port() for way in WAYS}
    with open(f'{d}/haproxy.cfg', 'w') as f:
        f.write(f'''global
    stats socket {d}/haproxy.sock
defaults
    mode tcp
    timeout connect 20s
    timeout client 60s
    timeout server 60s
''' + ''.join(one_way(way, header, ports[way], port)
              for way, header in WAYS.items()))
    log = open(f'{d}/haproxy.log', 'wb')
    p = subprocess.Popen([f'{root}/usr/sbin/haproxy', '-db', '-f',
                          f'{d}/haproxy.cfg'], env=env, stdin=subprocess.DEVNULL,
                         stdout=log, stderr=log)

    def known():
        """Of each way, the columns of its server."""
        assert p.poll() is None, open(f'{d}/haproxy.log').read()
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as c:
            c.settimeout(5 * SLOW)
            c.connect(f'{d}/haproxy.sock')
            c.sendall(b'show stat\n')
            text = b''.join(iter(lambda: c.recv(65536), b'')).decode()
            rows = csv.DictReader(text.lstrip('# ').splitlines())
            return {r['pxname']: r for r in rows if r['svname'] == 's'}
    try:
        wait_for('HAProxy', known)
        yield ports, known
    finally:
        p.send_signal(signal.SIGTERM)
        p.wait(30 * SLOW)
        log.close()


def server(d, **kw):
    """Its proxy is known by the address.  One client has options of its own."""
    return Server(d, listener=f'''
    Peer "{PROXY}" {{ Proxy_Protocol = true }}
    Peer "{CLIENT}" {{ Max_Message_Size = 20000 }}
''' + kw.pop('listener', ''), **kw)


def test_the_client_is_the_one_that_the_proxy_names(d):
    with server(d) as s, haproxy(d, s.port) as (ports, _):
        for n, way in enumerate(WAYS, 1):
            with Client(ports[way], source=CLIENT) as c:
                assert '250-SIZE 20000\n' in c.hello()
                c.mail(text_message(n), f'{way}@example.test')
                own = c.s.getsockname()[1]
                c.cmd('QUIT', '221')
                c.ended()
            [mail] = s.wait_mail(1, user=way)
            assert f'([{CLIENT}])'.encode() in mail, (way, mail)
            a = events(s, 'accepted')[-1]
            assert a['client'] == CLIENT and a['port'] == str(own), a
            with Client(ports[way], source='127.0.0.4') as c:
                assert '250-SIZE 104857600\n' in c.hello()


def test_its_checks_are_its_own_connections(d):
    """LOCAL of version 2, and what it sends for it in version 1."""
    with server(d) as s, haproxy(d, s.port) as (_, known):
        for way in WAYS:
            row = wait_for(f'a check of {way}', lambda: (
                lambda r: r if r['check_status'] == 'L7OK' else None)(
                    known()[way]), 30)
            assert row['status'] == 'UP', row
        # when the server has gone they say so, and when it has come again
        s.stop()
        wait_for('it to be down', lambda: all(
            r['status'] == 'DOWN' for r in known().values()), 30)
        s.start()
        wait_for('it to be up', lambda: all(
            r['status'] == 'UP' for r in known().values()), 30)


def test_tls_and_pipelining_through_it(d):
    tls = Tls(d)
    wrapped = free_port()
    s = server(d, listener=f'''{tls.conf}
    Listen "127.0.0.1:{wrapped}" {{ Use_SSL = true }}
''')
    ours(s, *tls.files)
    context = ssl.create_default_context(cafile=tls.ca)
    with s:
        for n, (port, kind) in enumerate(((s.port, smtplib.SMTP),
                                          (wrapped, smtplib.SMTP_SSL))):
            folder = f'{d}/{n}'
            os.mkdir(folder)
            with haproxy(folder, port) as (ports, _):
                for way in WAYS:
                    more = {} if n == 0 else {'context': context}
                    with kind('localhost', ports[way], 'client.test',
                              timeout=60, source_address=(CLIENT, 0),
                              **more) as c:
                        if n == 0:
                            c.starttls(context=context)
                        c.sendmail('a@client.test', [f'{way}{n}@example.test'],
                                   text_message())
                    [mail] = s.wait_mail(1, user=f'{way}{n}')
                    assert b' with ESMTPS ' in mail, mail
                    assert f'([{CLIENT}])'.encode() in mail, mail
        with haproxy(d, s.port) as (ports, _):
            for way in WAYS:
                with Client(ports[way], source=CLIENT) as c:
                    c.hello()
                    c.send(b'MAIL FROM:<a@client.test>\r\n'
                           b'RCPT TO:<user@example.test>\r\nDATA\r\n')
                    for want in '250', '250', '354':
                        c.expect(want)
                    c.send(text_message() + b'.\r\nQUIT\r\n')
                    c.expect('250')
                    c.expect('221')
                    c.ended()
        s.wait_mail(len(WAYS))


def test_who_is_behind_it_is_refused_for_itself(d):
    """A client that has too many sessions costs the others of the proxy none."""
    with server(d, client_sessions=4) as s, haproxy(d, s.port) as (ports, _):
        for way in WAYS:
            held = [Client(ports[way], source=CLIENT) for _ in range(4)]
            with Client(ports[way], source=CLIENT, banner=False) as c:
                c.expect('421 4.7.0')
                c.ended()
            with Client(ports[way], source='127.0.0.4') as c:
                c.hello()
            for c in held:
                c.close()

            def ended():
                return s.ctl_json('status')['sessions'] <= len(WAYS)
            wait_for('them to end', ended)
