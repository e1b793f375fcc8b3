"""Logins at next hops: at a server that does what the test says, and at a second
mailmilld."""
import base64
import hmac
import json
import os
import signal
import subprocess
import time

from harness import NOBODY, NOT_AS_ROOT, Server, wait_for
from nexthop import EHLO, NextHop
from test_auth_backends import dovecot_auth
from test_auth_mechs import Tls, ours, passwd
from test_relay import (domain, events, send, server, tls_hop, wait_deferred)

PASSWORD = 'se:cret word'
SIMPLE = 'geheim'
PLAIN = base64.b64encode(f'\0alice\0{PASSWORD}'.encode()).decode()


def logins(d, *lines, mode=0o600):
    path = f'{d}/logins'
    with open(path, 'w', opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(''.join(f'{x}\n' for x in lines))
    os.chmod(path, mode)
    if NOT_AS_ROOT:
        os.chown(path, NOBODY, NOBODY)
    return path


def verified(d):
    return f'TLS = verify\nTLS_CA_File = "{d}/next.crt"\n' \
        f'TLS_Name = "next.test"\nLogin = "{d}/logins"\n'


def demanding(hop, mechanisms='PLAIN LOGIN'):
    """It takes mail of alice alone."""
    def auth(session, line):
        session.is_known = line == f'AUTH PLAIN {PLAIN}'
        return '235 2.7.0 Welcome' if session.is_known \
            else '535 5.7.8 Wrong'

    def mail(session, _):
        return '250 2.1.0 OK' if getattr(session, 'is_known', False) \
            else '530 5.7.0 Who are you?'
    hop.ehlo = *EHLO, f'AUTH {mechanisms}'
    hop.replies.update(AUTH=auth, MAIL=mail)
    return hop


def test_mail_goes_to_a_server_that_demands_a_login(d):
    hop = demanding(tls_hop(d))
    logins(d, f'{hop.route} alice:{PASSWORD}')
    with hop, server(d, domain('next.test', hop, verified(d))) as s:
        send(s, 'a@next.test')
        hop.wait(1)
        [e] = events(s, 'hop-login')
        assert (e['target'], e['mechanism'], e['verified']) == (
            hop.route, 'PLAIN', 'yes'), e
        assert 'cret word' not in s.log() and PLAIN not in s.log()


def test_a_wrong_password_defers_and_never_bounces(d):
    hop = demanding(tls_hop(d))
    logins(d, f'{hop.route} alice:wrong')
    with hop, server(d, domain('next.test', hop, verified(d))) as s:
        send(s, 'a@next.test')
        [why] = wait_deferred(s).values()
        assert '535 5.7.8 Wrong' in why, why
        wait_for('another attempt', lambda: len(
            [x for x in hop.lines if x.startswith('AUTH')]) > 2)
        [e] = events(s, 'hop-login-failed')
        assert 'Login' in e['advice'], e
        assert hop.messages == [] and not events(s, 'bounced')
        # the file is read again at a reload
        logins(d, f'{hop.route} alice:{PASSWORD}')
        s.ctl('reload')
        hop.wait(1)


def test_a_password_is_not_told_without_tls_or_to_anybody(d):
    clear, unsure = demanding(NextHop()), demanding(tls_hop(d))
    path = logins(d, f'{clear.route} alice:{PASSWORD}',
                  f'{unsure.route} alice:{PASSWORD}')
    with clear, unsure, server(
            d, domain('clear.test', clear, f'Login = "{path}"'),
            domain('unsure.test', unsure,
                   f'TLS = encrypt\nLogin = "{path}"')) as s:
        send(s, 'a@clear.test', 'b@unsure.test')
        wait_deferred(s, 2)
        for hop in clear, unsure:
            assert hop.lines and not [
                x for x in hop.lines if x.startswith(('AUTH', 'MAIL'))]
            assert hop.messages == []


def test_keyd_may_end_meanwhile(d):
    hop = demanding(tls_hop(d))
    logins(d, f'{hop.route} alice:{PASSWORD}')
    with hop, server(d, domain('next.test', hop, verified(d))) as s:
        os.kill(s.pids('mailmilld: keyd')[0], signal.SIGKILL)
        send(s, 'a@next.test')
        hop.wait(1)


def stop(server):
    """Before the first one is stopped, which looks for processes that are left."""
    server.signal(signal.SIGTERM)
    assert server.wait_end() == 0
    server.proc = None


def by_scram(d, protocols):
    """To a second mailmilld, which proves that it knows the password, too, and of
    which no certificate is asked; the login is bound to the connection."""
    os.mkdir(f'{d}/first')
    os.mkdir(f'{d}/second')
    tls = Tls(f'{d}/second')
    users = f'{d}/second/passwd'
    passwd(users, 'alice', PASSWORD)
    second = Server(f'{d}/second', listener=f'Auth_Backend = "passwd:{users}"'
                    f'\nRequire_Auth = true\nRequire_TLS = true\n{tls.conf}\n'
                    f'TLS_Protocols = "{protocols}"\n'
                    'Auth_Mechanisms = { "PLAIN", "SCRAM-SHA-256", '
                    '"SCRAM-SHA-256-PLUS" }\n')
    second.give_to_authd(users)
    ours(second, *tls.files)
    hop = NextHop(('127.0.0.1', second.port))
    path = logins(d, f'{hop.route} alice:{PASSWORD}')
    second.start()
    with server(f'{d}/first', domain='Delivery = smtp\nTLS = encrypt\n'
                f'Login = "{path}"\nRoute = "{hop.route}"') as s:
        send(s, 'user@example.test')
        second.wait_mail(1)
        [e] = events(s, 'hop-login')
        assert e['mechanism'] == 'SCRAM-SHA-256-PLUS', e
        assert e['verified'] == 'no', e
        stop(second)


def test_a_second_mailmilld_by_scram(d):
    by_scram(d, 'TLSv1.3')


def test_a_second_mailmilld_by_scram_over_tls_1_2(d):
    by_scram(d, 'TLSv1.2')


def test_a_server_that_knows_no_binding_of_ours(d):
    """It refuses each of them; without one a login is made at a server that is
    verified, and at no other: whoever is in its place could pass it on."""
    heard = {}

    def tried(hop):
        def auth(_, line):
            name, first = line.split()[1:]
            heard.setdefault(hop.route, []).append(
                (name, base64.b64decode(first).split(b',')[0].decode()))
            return '535 5.7.8 No'
        hop.ehlo = *EHLO, 'AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256'
        hop.replies['AUTH'] = auth
        return hop
    unsure, sure = tried(tls_hop(d)), tried(tls_hop(d))
    path = logins(d, f'{sure.route} alice:{PASSWORD}',
                  f'{unsure.route} alice:{PASSWORD}')
    with sure, unsure, server(
            d, domain('sure.test', sure, verified(d)),
            domain('unsure.test', unsure,
                   f'TLS = encrypt\nLogin = "{path}"'),
            conf='retry_interval = 3600\n') as s:
        send(s, 'a@sure.test', 'b@unsure.test')
        why = wait_deferred(s, 2)
        assert all('535 5.7.8 No' in x for x in why.values()), why
        bound = [('SCRAM-SHA-256-PLUS', 'p=tls-exporter'),
                 ('SCRAM-SHA-256-PLUS', 'p=tls-server-end-point')]
        assert heard == {sure.route: [*bound, ('SCRAM-SHA-256', 'n')],
                         unsure.route: bound}, heard
        assert not sure.messages and not unsure.messages


def base64url(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b'=')


def token_of(user, key):
    """A JSON Web Token that Dovecot checks with its key (RFC 7515, 7519)."""
    text = b'.'.join(base64url(json.dumps(x).encode()) for x in (
        {'alg': 'HS256', 'typ': 'JWT'},
        {'sub': user, 'email': user, 'exp': int(time.time()) + 3600}))
    return (text + b'.' + base64url(hmac.digest(key, text, 'sha256'))).decode()


def dovecot_with_tokens(d, key):
    """Its auth service, with passwords of one passdb and tokens of another."""
    folder = f'{d}/keys/default/HS256'
    os.makedirs(folder)
    with open(f'{folder}/default', 'wb') as f:
        f.write(base64.b64encode(key))
    with open(f'{d}/oauth2.conf', 'w') as f:
        f.write('introspection_mode = local\nlocal_validation_key_dict = '
                f'fs:posix:prefix={d}/keys/\n')
    return dovecot_auth(d, f'alice:{{PLAIN}}{SIMPLE}\n', f'''
auth_mechanisms = plain scram-sha-1 scram-sha-256 oauthbearer xoauth2
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {d}/oauth2.conf
}}
''')


def test_dovecot_checks_our_logins(d):
    """It does the mechanisms of the next hop, a second mailmilld: what we say is
    read, and what we have to check is said, by a server that is not ours."""
    for name in 'first', 'second', 'dove':
        os.mkdir(f'{d}/{name}')
        os.chmod(f'{d}/{name}', 0o755)
    tls, key = Tls(f'{d}/second'), os.urandom(32)

    def by(mechanism):
        return (f'Auth_Backend = "dovecot:{dovecot.socket}"\n'
                f'Require_Auth = true\nRequire_TLS = true\n{tls.conf}\n'
                f'Auth_Mechanisms = {{ "{mechanism}" }}\n')
    steps = 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'OAUTHBEARER', 'XOAUTH2'
    with dovecot_with_tokens(f'{d}/dove', key) as dovecot:
        second = Server(f'{d}/second', listener=by(steps[0]), extra=''.join(
            f'Domain "m{n}.test" {{ Maildir = "{d}/second/mail/%d/%u" }}\n'
            for n in range(4)))
        ours(second, *tls.files)
        hop, domains = NextHop(('127.0.0.1', second.port)), []
        private(f'{d}/token', token_of('alice', key) + '\n')
        for n, mechanism in enumerate(steps):
            # each has connections of its own
            os.mkdir(f'{d}/m{n}')
            path = logins(f'{d}/m{n}', f'{hop.route} alice' + (
                f':{SIMPLE}' if 'SCRAM' in mechanism else f' token:{d}/token'))
            domains.append(domain(
                f'm{n}.test', hop, f'TLS = verify\nTLS_CA_File = "{tls.ca}"\n'
                f'TLS_Name = "mx.example.test"\nLogin = "{path}"'))
        second.start()
        with server(f'{d}/first', *domains) as s:
            for n, mechanism in enumerate(steps):
                if n > 0:
                    second.write_conf(listener=by(mechanism))
                    second.ctl('reload')
                send(s, f'a@m{n}.test')
                e = wait_for('the login', lambda: events(
                    s, 'hop-login')[n:])[0]
                assert (e['mechanism'], e['verified']) == (
                    mechanism, 'yes'), e
                wait_for('its end', lambda: events(second, 'auth')[n:])
            assert not events(s, 'hop-login-failed')
            stop(second)


def private(path, text):
    """Write ${text} into the file, which keeps its place."""
    with open(path, 'w', opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(text)
    if NOT_AS_ROOT:
        os.chown(path, NOBODY, NOBODY)


def test_a_token_is_renewed_without_a_reload(d):
    hop = tls_hop(d)
    good = base64.b64encode(
        b'user=alice\1auth=Bearer renewed\1\1').decode()
    error = base64.b64encode(b'{"status":"401","schemes":"bearer"}').decode()

    def auth(session, line):
        session.is_known = line == f'AUTH XOAUTH2 {good}'
        return '235 2.7.0 Welcome' if session.is_known else f'334 {error}'
    demanding(hop, 'PLAIN XOAUTH2').replies.update({
        'AUTH': auth, '': '535 5.7.8 Not this token'})
    # each message has a connection, and a login, of its own
    hop.ehlo = *hop.ehlo, 'LIMITS MAILMAX=1'
    private(f'{d}/token', 'expired\n')
    logins(d, f'{hop.route} alice token:{d}/token')
    with hop, server(d, domain('next.test', hop, verified(d))) as s:
        send(s, 'a@next.test')
        [why] = wait_deferred(s).values()
        assert '535 5.7.8 Not this token' in why, why
        # its error, in JSON, is answered with nothing
        assert '' in hop.lines, hop.lines
        private(f'{d}/token', 'renewed\n')
        hop.wait(1)
        assert {e['mechanism'] for e in events(s, 'hop-login')} == {'XOAUTH2'}
        assert 'renewed' not in s.log() and 'expired' not in s.log()
        # another file in its place is not seen, and that is said
        private(f'{d}/new', 'renewed\n')
        os.rename(f'{d}/new', f'{d}/token')
        send(s, 'b@next.test')
        e = wait_for('the refusal', lambda: events(s, 'hop-login-refused'))[0]
        assert 'has been replaced' in e['reason'], e
        s.ctl('reload')
        hop.wait(2)


def test_files_that_cannot_be_used_are_refused(d):
    hop = NextHop()
    s = server(d, domain('next.test', hop, f'Login = "{d}/logins"'))
    private(f'{d}/empty', '')
    for lines, mode, want in (
            (['x alice:y'], 0o600, f'has no line for {hop.route}'),
            ([f'{hop.route} alice'], 0o600, 'logins:1: expected a next hop'),
            ([f'{hop.route} a:b'], 0o640, 'chmod 600'),
            ([f'{hop.route} a token:{d}/none'], 0o600, f'{d}/none: No such'),
            ([f'{hop.route} a token:{d}/empty'], 0o600, f'{d}/empty: the file '
             'of the token is not one line'),
            ([f'{hop.route} a:b'], 0o600, None)):
        logins(d, *lines, mode=mode)
        p = subprocess.run(s.command('-n'), capture_output=True, text=True,
                           user=NOBODY if NOT_AS_ROOT else None)
        if want is None:
            # what else a trial may lack is said there, too
            assert "'Login'" not in p.stderr, p
        else:
            assert p.returncode == 78 and want in p.stderr and \
                "option 'Login' of Domain \"next.test\"" in p.stderr, p
