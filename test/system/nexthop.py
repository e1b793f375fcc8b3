"""A server of SMTP or LMTP that does what a test tells it: answers as it should,
refuses, says nothing, closes, answers too often or too rarely."""
import os
import select
import socket
import ssl
import threading

from harness import free_port, wait_for

HANG, CLOSE = object(), object()
EHLO = 'PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 100000000', \
    'ENHANCEDSTATUSCODES', 'DSN'
DEFAULTS = {'BANNER': '220 next.test ready', 'MAIL': '250 2.1.0 OK',
            'RCPT': '250 2.1.5 OK', 'DATA': '354 Go ahead',
            'DOT': '250 2.0.0 Taken', 'RSET': '250 2.0.0 OK',
            'QUIT': '221 2.0.0 Bye'}


def is_left(s):
    """Has the client closed its end?  The kernel knows that before its next
    connection; the thread of this one may learn of it, or run, much later."""
    p = select.poll()
    p.register(s, select.POLLRDHUP)
    return bool(p.poll(0))


class Message:
    def __init__(self, hello):
        self.hello, self.mail, self.rcpts, self.body = hello, '', [], b''
        self.tls = None                 # the protocol


class NextHop:
    """replies: for a verb (or BANNER, EHLO, DOT) a line, HANG, CLOSE, or a function
    of the session and the line that returns one of them.  DOT is asked for each
    recipient in LMTP.  tls: certificate and key, for STARTTLS."""

    def __init__(self, address=None, lmtp=False, ehlo=EHLO, replies=None,
                 tls=None):
        self.address = address or ('127.0.0.1', free_port())
        self.lmtp, self.ehlo, self.context = lmtp, ehlo, None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.replies = dict(DEFAULTS, **(replies or {}))
        self.lock = threading.Lock()
        self.messages = []              # of which one reply to the end was 250
        self.lines, self.octets = [], []
        self.nsessions = self.most = 0
        self.peers = []                 # whom the sessions came from
        self.sockets, self.listener = set(), None
        self.go_on = threading.Event()  # of a reply that waits for the test

    @property
    def route(self):
        return f'unix:{self.address}' if isinstance(self.address, str) \
            else '%s:%d' % self.address

    @property
    def nopen(self):
        """Sessions that neither end has closed."""
        with self.lock:
            return self._count()

    def _count(self):
        return sum(not is_left(s) for s in self.sockets)

    def start(self):
        if isinstance(self.address, str):
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.address)
            os.chmod(self.address, 0o666)
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(self.address)
        self.listener.listen(128)
        threading.Thread(target=self._accept, args=(self.listener,),
                         daemon=True).start()
        return self

    def stop(self):
        """Also what is connected."""
        self.go_on.set()
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
            if isinstance(self.address, str):
                os.unlink(self.address)
        with self.lock:
            for s in self.sockets:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def _accept(self, listener):
        while True:
            try:
                s, peer = listener.accept()
            except OSError:
                return
            with self.lock:
                self.nsessions += 1
                self.peers.append(peer)
                self.sockets.add(s)
                self.most = max(self.most, self._count())
            threading.Thread(target=self._serve, args=(s,),
                             daemon=True).start()

    def _serve(self, s):
        session = Session(self, s)
        try:
            session.run()
        except (OSError, EOFError):
            pass
        finally:
            with self.lock:
                self.sockets.discard(session.s)
                session.s.close()

    def bodies(self):
        with self.lock:
            return [m.body for m in self.messages]

    def wait(self, n, timeout=20):
        wait_for(f'{n} messages', lambda: len(self.messages) >= n, timeout)
        return list(self.messages)


class Session:
    def __init__(self, hop, s):
        self.hop, self.s, self.buf = hop, s, b''
        self.hello, self.message = '', None

    def more(self):
        d = self.s.recv(65536)
        if not d:
            raise EOFError
        self.buf += d

    def line(self):
        while b'\r\n' not in self.buf:
            self.more()
        line, _, self.buf = self.buf.partition(b'\r\n')
        return line.decode('utf-8', 'replace')

    def reply(self, verb, line=''):
        """Say what the script has; return the code."""
        r = self.hop.replies.get(verb, '502 5.5.1 Not here')
        if callable(r):
            r = r(self, line)
        if r is HANG:
            self.hop.go_on.wait()
            raise EOFError
        if r is CLOSE:
            raise EOFError
        self.s.sendall(r.encode() + b'\r\n')
        return r[:3]

    def hello_reply(self):
        if 'EHLO' in self.hop.replies:
            self.reply('EHLO')
            return
        lines = ['next.test', *self.hop.ehlo]
        if self.hop.context and not isinstance(self.s, ssl.SSLSocket):
            lines.append('STARTTLS')
        self.s.sendall(b''.join(b'250%s%s\r\n' % (
            b'-' if i < len(lines) - 1 else b' ', x.encode())
            for i, x in enumerate(lines)))

    def body(self):
        while not (self.buf.startswith(b'.\r\n') or b'\r\n.\r\n' in self.buf):
            with self.hop.lock:
                self.hop.octets.append(len(self.buf))
            self.more()
        if self.buf.startswith(b'.\r\n'):
            text, self.buf = b'', self.buf[3:]
        else:
            at = self.buf.index(b'\r\n.\r\n')
            text, self.buf = self.buf[:at + 2], self.buf[at + 5:]
        if text.startswith(b'.'):
            text = text[1:]
        return text.replace(b'\r\n..', b'\r\n.')

    def data(self):
        m = self.message
        if self.reply('DATA') != '354':
            return
        m.body = self.body()
        m.taken = []
        for rcpt in m.rcpts if self.hop.lmtp else ['']:
            if self.reply('DOT', rcpt) == '250':
                m.taken.append(rcpt)
        if m.taken:
            with self.hop.lock:
                self.hop.messages.append(m)

    def start_tls(self):
        """The socket that is encrypted takes the other's descriptor."""
        with self.hop.lock:
            self.hop.sockets.discard(self.s)
            self.s = self.hop.context.wrap_socket(
                self.s, server_side=True, do_handshake_on_connect=False)
            self.hop.sockets.add(self.s)
        self.s.do_handshake()

    def run(self):
        self.reply('BANNER')
        while True:
            line = self.line()
            with self.hop.lock:
                self.hop.lines.append(line)
            verb = line.split(' ')[0].upper()
            if verb in ('EHLO', 'LHLO', 'HELO'):
                if (verb == 'LHLO') != self.hop.lmtp:
                    self.s.sendall(b'500 5.5.2 Not here\r\n')
                    continue
                self.hello = line
                self.hello_reply()
            elif verb == 'MAIL':
                self.message = Message(self.hello)
                self.message.mail = line
                self.message.tls = isinstance(self.s, ssl.SSLSocket) and \
                    self.s.version()
                self.reply('MAIL', line)
            elif verb == 'RCPT':
                if self.reply('RCPT', line) == '250':
                    self.message.rcpts.append(line)
            elif verb == 'STARTTLS' and self.hop.context:
                self.s.sendall(b'220 2.0.0 Go ahead\r\n')
                self.start_tls()
            elif verb == 'DATA':
                self.data()
            else:
                self.reply(verb, line)
                if verb == 'QUIT':
                    return
