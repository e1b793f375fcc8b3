"""An HTTPS server that does what a test tells it, for policies of MTA-STS and
reports of TLS."""
import contextlib
import socket
import ssl
import threading
import time

from harness import free_port
from keys import openssl

POLICY = '/.well-known/mta-sts.txt'


def make_cert(d, name, hosts):
    """d/NAME.crt and d/NAME.key, its own authority, for all these hosts."""
    crt, key = f'{d}/{name}.crt', f'{d}/{name}.key'
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj',
            f'/CN={name}', '-addext', 'subjectAltName=' + ','.join(
                f'DNS:{h}' for h in hosts), '-keyout', key, '-out', crt)
    return crt, key


def answer(body, status='200 OK', type='text/plain', more=''):
    body = body.encode()
    return (f'HTTP/1.1 {status}\r\nContent-Type: {type}\r\nContent-Length: '
            f'{len(body)}\r\n{more}\r\n').encode() + body


def policy(*mx, mode='enforce', max_age=86400):
    return answer(f'version: STSv1\r\nmode: {mode}\r\n' + ''.join(
        f'mx: {m}\r\n' for m in mx) + f'max_age: {max_age}\r\n')


class HttpsServer:
    """answers: {host: octets, or a function of the connection}; asked: the hosts of
    all requests; posted: (host, path, header fields, octets) of what was posted."""

    def __init__(self, pair, answers):
        self.answers, self.asked, self.posted = answers, [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        self.port = free_port()

    def __enter__(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(('127.0.0.1', self.port))
        self.listener.listen(64)
        threading.Thread(target=self.accept, args=(self.listener,),
                         daemon=True).start()
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                c, _ = listener.accept()
                threading.Thread(target=self.serve, args=(c,),
                                 daemon=True).start()

    def serve(self, c):
        with contextlib.suppress(OSError), c, \
                self.context.wrap_socket(c, server_side=True) as s, \
                s.makefile('rb') as f:
            line = f.readline().decode()
            fields = {}
            while (h := f.readline().decode().strip()):
                k, v = h.split(':', 1)
                fields[k.lower()] = v.strip()
            host = fields['host'].split(':')[0]
            self.asked.append(host)
            what = self.answers.get(host)
            method, path = line.split(' ')[:2]
            if method == 'POST':
                body = f.read(int(fields['content-length']))
                self.posted.append((host, path, fields, body))
            elif (method, path) != ('GET', POLICY):
                what = None
            if what is None:
                what = answer('', status='404 Not Found')
            if callable(what):
                what(s)
            else:
                s.sendall(what)


def slowly(octets, seconds):
    """One of them a second, so long."""
    def send(s):
        for i in range(seconds):
            s.sendall(octets[i:i + 1])
            time.sleep(1)
    return send
