"""The SASL mechanisms against a live server, one by one: with clients that
others wrote, and with our own client for what those do not have."""
import base64
import hashlib
import hmac
import json
import os
import select
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading

from harness import BUILD, SLOW, Client, Server, Skip

USER, PASSWORD, TOKEN = 'user@example.test', 'p\u00e4ss word', 'abc.DEF-123=='
ALL = ('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256', 'SCRAM-SHA-1-PLUS',
       'SCRAM-SHA-1', 'PLAIN', 'LOGIN', 'CRAM-MD5', 'EXTERNAL', 'OAUTHBEARER',
       'XOAUTH2')


def run(*cmd, data=None, want=0, env=None):
    if not shutil.which(cmd[0]):
        raise Skip(f'no {cmd[0]}')
    p = subprocess.run(cmd, input=data, capture_output=True, timeout=60 * SLOW,
                       env=env)
    assert want is None or p.returncode == want, (
        cmd, p.returncode, p.stdout[-800:], p.stderr[-800:])
    return p


def b64(octets):
    if isinstance(octets, str):
        octets = octets.encode()
    return base64.b64encode(octets).decode()


# ------------------------------------------------------------------ the server
def passwd(path, name, secret, *args):
    run(f'{BUILD}/mailmillctl', 'passwd', '-f', path, *args, name,
        data=secret.encode() + b'\n')


def ours(server, *paths):
    """Give the files to the account that the server is started under."""
    for p in paths:
        if server.user:
            os.chown(p, server.user, server.user)


def auth_server(d, mechanisms=ALL, tls=None, clear=False, method='sha512',
                password=PASSWORD, **more):
    users = f'{d}/users'
    passwd(users, USER, password, '-m', method)
    passwd(users, USER, TOKEN, '-t', '-m', 'sha512')
    conf = f'Auth_Backend = "passwd:{users}"\n'
    if mechanisms:
        conf += 'Auth_Mechanisms = { %s }\n' % ', '.join(
            f'"{m}"' for m in mechanisms)
    if clear:
        conf += 'Auth_Without_TLS = true\n'
    s = Server(d, listener=conf + (tls.conf if tls else ''),
               conf='auth_login_failures = 0\nauth_client_failures = 0', **more)
    s.give_to_authd(users)
    ours(s, *(tls.files if tls else ()))
    return s


class Tls:
    """A CA, and certificates of the server and of clients that it signed."""

    def __init__(self, d):
        self.ca, self.dir = f'{d}/ca.pem', d
        self._openssl('ca', '-x509', '/CN=test CA')
        self.server = self._issue('server', '/CN=mx.example.test',
                                  'subjectAltName=DNS:localhost,'
                                  'DNS:mx.example.test,IP:127.0.0.1')
        self.client = self._issue('client', '/CN=a client',
                                  f'subjectAltName=email:{USER}')
        self.stranger = self._issue('stranger', '/CN=a stranger',
                                    'subjectAltName=email:x@example.test')
        self.files = [f'{d}/{n}.{e}' for n in ('ca', 'server')
                      for e in ('pem', 'key')]
        self.conf = (f'TLS_Certificate = "{self.server[0]}"\n'
                     f'TLS_Key = "{self.server[1]}"\n'
                     f'TLS_Client_CA = "{self.ca}"\n')

    def _openssl(self, name, *args):
        run('openssl', 'req', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-keyout',
            f'{self.dir}/{name}.key', '-out', f'{self.dir}/{name}.pem',
            '-days', '30', '-subj', args[-1], *args[:-1])

    def _issue(self, name, subject, extension):
        self._openssl(name, '-x509', '-CA', self.ca, '-CAkey',
                      f'{self.dir}/ca.key', '-addext', extension, subject)
        return f'{self.dir}/{name}.pem', f'{self.dir}/{name}.key'

    def context(self, cert=None):
        c = ssl.create_default_context(cafile=self.ca)
        if cert:
            c.load_cert_chain(*cert)
        return c


# ------------------------------------------------------------------ the client
def connect(s, tls=None, cert=None):
    c = Client(s.port)
    c.hello()
    if tls:
        c.cmd('STARTTLS', '220')
        c.s = tls.context(cert).wrap_socket(c.s, server_hostname='localhost')
        c.hello()
    return c


def offered(c):
    """The mechanisms that the reply to EHLO lists."""
    for line in c.hello().split('\n'):
        if line[4:].upper().startswith('AUTH '):
            return line[9:].split()
    return []


def auth(c, mech, initial, *answers):
    """Return the last reply.  Each answer is octets, or a function that makes
    them from the challenge."""
    text = f'AUTH {mech}'
    if initial is not None:
        text += ' ' + (b64(initial) or '=')
    c.send(text.encode() + b'\r\n')
    r = c.reply()
    for a in answers:
        if not r.startswith('334'):
            break
        if callable(a):
            a = a(base64.b64decode(r[4:]))
        c.send(b64(a).encode() + b'\r\n')
        r = c.reply()
    return r


class Scram:
    """The client's side of SCRAM (RFC 5802 3)."""

    def __init__(self, hash='sha256', gs2='n,,', binding=b'', name=USER,
                 password=PASSWORD):
        self.hash, self.gs2, self.binding = hash, gs2, binding
        self.password = password.encode()
        self.bare = f'n={name},r={b64(os.urandom(18))}'
        self.is_content = False

    def first(self):
        return self.gs2 + self.bare

    def mac(self, key, text):
        return hmac.new(key, text, self.hash).digest()

    def final(self, server_first):
        nonce, salt, iterations = [
            f.partition('=')[2] for f in server_first.decode().split(',')]
        salted = hashlib.pbkdf2_hmac(self.hash, self.password,
                                     base64.b64decode(salt), int(iterations))
        key = self.mac(salted, b'Client Key')
        without = f'c={b64(self.gs2.encode() + self.binding)},r={nonce}'
        message = f'{self.bare},{server_first.decode()},{without}'.encode()
        proof = bytes(a ^ b for a, b in zip(key, self.mac(
            hashlib.new(self.hash, key).digest(), message)))
        self.signature = self.mac(self.mac(salted, b'Server Key'), message)
        return f'{without},p={b64(proof)}'

    def end(self, server_final):
        self.is_content = server_final == f'v={b64(self.signature)}'.encode()
        return b''

    def play(self, c, mech):
        r = auth(c, mech, self.first(), self.final, self.end)
        assert r[:3] != '235' or self.is_content, 'who is the server?'
        return r


def gsasl(port, mech, password=PASSWORD, *more, host='127.0.0.1'):
    """Log in with gsasl(1) of GNU SASL; whether it succeeded."""
    p = run('gsasl', '--smtp', *(more or ('--no-starttls',)), '-m', mech, '-a',
            USER, '-p', password, '--connect', f'{host}:{port}', data=b'',
            want=None, env=dict(os.environ, LC_ALL='C.UTF-8'))
    text = p.stdout.decode(errors='replace')
    if '\n235 ' not in text and '\n535 ' not in text:
        raise AssertionError((p.returncode, text, p.stderr.decode()))
    return '\n235 ' in text


class EhloFirst(threading.Thread):
    """A proxy between gsasl and the server: gsasl sends STARTTLS without EHLO,
    which mailmilld refuses."""

    def __init__(self, server_port):
        super().__init__(daemon=True)
        self.server_port = server_port
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        inner = self.listener.accept()[0]
        outer = Client(self.server_port, banner=False)
        with inner, outer.s:
            inner.sendall(outer.reply().encode() + b'\r\n')
            line = b''
            while not line.endswith(b'\n'):
                line += inner.recv(1) or b'?\n'
            if line != b'STARTTLS\r\n':
                return
            outer.hello()
            inner.sendall(outer.cmd('STARTTLS', '220').encode() + b'\r\n')
            other = {inner: outer.s, outer.s: inner}
            while True:
                for a in select.select(list(other), [], [])[0]:
                    octets = a.recv(65536)
                    if not octets:
                        return
                    other[a].sendall(octets)


def gsasl_tls(s, tls, mech, password=PASSWORD):
    between = EhloFirst(s.port)
    try:
        return gsasl(between.port, mech, password, '--starttls',
                     f'--x509-ca-file={tls.ca}', host='localhost')
    finally:
        between.listener.close()


# ------------------------------------------------------------------ in the clear
def test_passwords_by_gsasl(d):
    with auth_server(d, clear=True) as s:
        for mech in 'PLAIN', 'LOGIN', 'SCRAM-SHA-1', 'SCRAM-SHA-256':
            assert gsasl(s.port, mech), mech
            assert not gsasl(s.port, mech, 'wrong'), mech


def test_cram_md5_is_off_by_default_and_works_when_on(d):
    with auth_server(d, mechanisms=(), clear=True, method='plain') as s:
        with connect(s) as c:
            names = offered(c)
            assert 'CRAM-MD5' not in names and 'PLAIN' in names, names
            assert auth(c, 'CRAM-MD5', None).startswith('504 5.5.4')
    os.mkdir(f'{d}/on')
    os.chmod(f'{d}/on', 0o755)
    with auth_server(f'{d}/on', mechanisms=('CRAM-MD5',), clear=True,
                     method='plain') as s:
        for secret, code in (PASSWORD, 235), ('wrong', 535):
            with connect(s) as c:
                r = auth(c, 'CRAM-MD5', None, lambda challenge: (
                    USER + ' ' + hmac.new(secret.encode(), challenge,
                                          'md5').hexdigest()))
                assert r.startswith(str(code)), r
        # RFC 4954 4: no initial response where the server sends first
        with connect(s) as c:
            assert auth(c, 'CRAM-MD5', 'x').startswith('501'), 'initial'


def test_smtplib_with_each_of_its_mechanisms(d):
    """smtplib takes only ASCII, so this test has another password."""
    with auth_server(d, mechanisms=('PLAIN', 'LOGIN', 'CRAM-MD5'), clear=True,
                     method='plain', password='tanstaaftanstaaf') as s:
        for mech in 'PLAIN', 'LOGIN', 'CRAM-MD5':
            for initial in True, False:
                c = smtplib.SMTP('127.0.0.1', s.port, timeout=30 * SLOW)
                c.ehlo('client.test')
                c.user, c.password = USER, 'tanstaaftanstaaf'
                fn = getattr(c, 'auth_' + mech.lower().replace('-', '_'))
                code, text = c.auth(mech, fn, initial_response_ok=initial)
                assert code == 235, (mech, initial, code, text)
                c.quit()


def test_bearer_tokens(d):
    with auth_server(d, clear=True) as s:
        for mech, form, ok in (
                ('OAUTHBEARER', 'n,a={},\1host=localhost\1auth=Bearer {}\1\1',
                 b'\1'),
                ('XOAUTH2', 'user={}\1auth=Bearer {}\1\1', b'')):
            with connect(s) as c:
                assert auth(c, mech, form.format(USER, TOKEN)
                            ).startswith('235'), mech
            for name, token in ((USER, 'wrong'), ('nobody', TOKEN)):
                with connect(s) as c:
                    heard = []
                    r = auth(c, mech, form.format(name, token),
                             lambda ch: (heard.append(ch), ok)[1])
                    assert r.startswith('535 5.7.8'), r
                    assert json.loads(heard[0])['status'] in (
                        'invalid_token', '401')
            with connect(s) as c:
                assert auth(c, mech, 'nonsense').startswith('501 5.5.2')
                # the session goes on
                assert auth(c, mech, form.format(USER, TOKEN)
                            ).startswith('235'), mech


def test_an_unknown_user_and_a_wrong_password_look_alike(d):
    with auth_server(d, clear=True) as s:
        replies, salts = [], []
        for name in USER, 'nobody@example.test', 'nobody@example.test':
            with connect(s) as c:
                heard = []
                m = Scram(name=name, password='wrong')
                replies.append(auth(c, 'SCRAM-SHA-256', m.first(), lambda f: (
                    heard.append(f), m.final(f))[1]))
                salts.append(heard[0].split(b',')[1:])
        assert len(set(replies)) == 1 and replies[0].startswith('535')
        # the iterations and the length of the salt do not differ, and a name
        # always gets the same salt
        assert salts[1] == salts[2] and salts[0][1] == salts[1][1]
        assert len(salts[0][0]) == len(salts[1][0])
        assert salts[0][0] != salts[1][0]


def test_malformed_messages_are_501_and_the_session_goes_on(d):
    with auth_server(d, clear=True) as s:
        with connect(s) as c:
            for mech, initial in (
                    ('PLAIN', 'x'), ('PLAIN', '\0a\0b\0c'), ('PLAIN', ''),
                    ('SCRAM-SHA-256', 'n,,'), ('OAUTHBEARER', 'n,,'),
                    ('SCRAM-SHA-1', 'n,,n=a=b,r=x')):
                assert auth(c, mech, initial).startswith('501'), mech
        with connect(s) as c:
            m = Scram()
            assert auth(c, 'SCRAM-SHA-256', m.first(), b'c=biws').startswith(
                '501 5.5.2')
            assert m.play(c, 'SCRAM-SHA-256').startswith('235')


def test_several_at_once(d):
    with auth_server(d, clear=True) as s:
        clients = [connect(s) for _ in range(20)]
        for i, c in enumerate(clients):
            secret = PASSWORD if i % 5 else 'wrong'
            c.send(b'AUTH PLAIN ' + b64(f'\0{USER}\0{secret}').encode()
                   + b'\r\n')
        for i, c in enumerate(clients):
            c.expect('235' if i % 5 else '535')
            c.close()


# ------------------------------------------------------------------ over TLS
def test_scram_plus_with_tls_exporter_by_gsasl(d):
    tls = Tls(d)
    with auth_server(d, tls=tls) as s:
        for mech in 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS':
            assert gsasl_tls(s, tls, mech), mech
            assert not gsasl_tls(s, tls, mech, 'wrong'), mech


def test_scram_plus_with_tls_server_end_point(d):
    tls = Tls(d)
    with auth_server(d, tls=tls) as s:
        for mech, h in (('SCRAM-SHA-256-PLUS', 'sha256'),
                        ('SCRAM-SHA-1-PLUS', 'sha1')):
            for damage, secret, code in ((0, PASSWORD, '235'),
                                         (1, PASSWORD, '535'),
                                         (0, 'wrong', '535')):
                with connect(s, tls) as c:
                    # RFC 5929 4.1: the hash function of its signature
                    cb = hashlib.sha256(c.s.getpeercert(True)).digest()
                    cb = bytes([cb[0] ^ damage]) + cb[1:]
                    m = Scram(h, 'p=tls-server-end-point,,', cb,
                              password=secret)
                    r = m.play(c, mech)
                    assert r.startswith(code), (mech, damage, r)


def test_a_downgrade_from_plus_is_refused(d):
    tls = Tls(d)
    with auth_server(d, tls=tls) as s:
        with connect(s, tls) as c:
            assert 'SCRAM-SHA-256-PLUS' in offered(c)
            r = Scram(gs2='y,,').play(c, 'SCRAM-SHA-256')
            assert r.startswith('535'), r
            r = Scram(gs2='n,,').play(c, 'SCRAM-SHA-256')
            assert r.startswith('235'), r


def test_plus_and_passwords_are_for_tls_only(d):
    tls = Tls(d)
    with auth_server(d, tls=tls) as s:
        with connect(s) as c:
            assert offered(c) == []
        with connect(s, tls) as c:
            names = offered(c)
            assert 'PLAIN' in names and 'SCRAM-SHA-256-PLUS' in names, names
            assert 'EXTERNAL' not in names, names


def test_external_is_the_client_of_the_certificate(d):
    tls = Tls(d)
    with auth_server(d, tls=tls) as s:
        for authzid, code in (('', '235'), (USER, '235'), ('boss', '535')):
            with connect(s, tls, tls.client) as c:
                assert 'EXTERNAL' in offered(c)
                r = auth(c, 'EXTERNAL', authzid)
                assert r.startswith(code), (authzid, r)
        with connect(s, tls, tls.client) as c:
            assert auth(c, 'EXTERNAL', None, '').startswith('235')
        # the certificate is verified, but its name is no user
        with connect(s, tls, tls.stranger) as c:
            assert auth(c, 'EXTERNAL', '').startswith('535')
        with connect(s, tls) as c:
            assert 'EXTERNAL' not in offered(c)
            assert not auth(c, 'EXTERNAL', '').startswith('235')
