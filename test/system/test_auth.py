"""Logins end to end: clients that others wrote, the replies, the log, a back
end or authd that does not answer, file permissions, and fail2ban."""
import contextlib
import grp
import os
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import threading

from harness import (ROOT, SLOW, TOP, Client, Server, Skip,
                     text_message, wait_for)
from test_auth_mechs import Tls, b64, connect, ours, passwd, run

USER, PASSWORD = 'alice', 'pencil'
PLAIN = f'AUTH PLAIN {b64(chr(0) + USER + chr(0) + PASSWORD)}'
WRONG = f'AUTH PLAIN {b64(chr(0) + USER + chr(0) + "pen")}'


def server(d, tls=None, listener='', conf='', mechanisms=(), **more):
    """A server with a passwd file of one user.  Without tls it takes logins in
    the clear."""
    users = f'{d}/passwd'
    passwd(users, USER, PASSWORD, '-m', 'plain')
    listener += f'\nAuth_Backend = "passwd:{users}"\n' + (
        tls.conf if tls else 'Auth_Without_TLS = true\n')
    if mechanisms:
        listener += 'Auth_Mechanisms = { %s }\n' % ', '.join(
            f'"{m}"' for m in mechanisms)
    s = Server(d, listener=listener, conf=conf, **more)
    s.give_to_authd(users)
    ours(s, *(tls.files if tls else ()))
    return s


def lines(s, event, role=''):
    """The log lines with that event, as dicts; of processes of that role."""
    return [dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', x))
            for x in s.log().split('\n') if re.match(
                rf'\S+ mailmilld/?{role}\S* level=\w+ event={event} ', x)]


def wait_lines(s, event, n, role=''):
    return wait_for(f'{n} lines {event}', lambda: (
        v := lines(s, event, role)) and len(v) >= n and v)


def fail2ban(d, log, local=''):
    """The addresses that the filter finds in it, also with the changes of an
    administrator."""
    if not shutil.which('fail2ban-regex'):
        raise Skip('no fail2ban-regex')
    shutil.copy(f'{TOP}/cmd/mailmilld/init/fail2ban.conf', f'{d}/f.conf')
    with open(f'{d}/f.local', 'w') as f:
        f.write(local)
    with open(f'{d}/f.log', 'w') as f:
        f.write(log)
    return run('fail2ban-regex', '-o', 'ip', f'{d}/f.log',
               f'{d}/f.conf').stdout.decode().split()


def as_syslog(log):
    return re.sub(
        r'^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\.\d+Z (\S+\])',
        r'Nov 23 \1 mx \2:', log, flags=re.M)


# ------------------------------------------------------------------ clients
def message(d):
    path = f'{d}/message'
    with open(path, 'wb') as f:
        f.write(text_message())
    return path


def test_swaks_with_each_of_its_mechanisms(d):
    tls = Tls(d)
    mechs = 'PLAIN', 'LOGIN', 'CRAM-MD5'
    with server(d, tls, 'Require_Auth = true', mechanisms=mechs) as s:
        def swaks(mech, password):
            return run('swaks', '--server', f'127.0.0.1:{s.port}', '--tls',
                       '--auth', mech, '--auth-user', USER, '--auth-password',
                       password, '--from', 'a@client.test', '--to',
                       'user@example.test', want=None)
        n = 0
        for mech in mechs:
            p = swaks(mech, PASSWORD)
            if b'requires Net::SSLeay' in p.stderr:
                raise Skip('no Net::SSLeay, so swaks has no TLS')
            assert p.returncode == 0, (mech, p.stdout[-900:], p.stderr)
            n += 1
            assert swaks(mech, 'wrong').returncode == 28, mech
        s.wait_mail(n)
        users = {x['user'] for x in lines(s, 'accepted')}
        assert users == {USER}, users


def test_curl(d):
    tls = Tls(d)
    mechs = 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'LOGIN', 'CRAM-MD5'
    with server(d, tls, 'Require_Auth = true', mechanisms=mechs) as s:
        def curl(mech, password):
            return run('curl', '-sS', f'smtp://localhost:{s.port}/client.test',
                       '--resolve', f'localhost:{s.port}:127.0.0.1',
                       '--ssl-reqd', '--cacert', tls.ca, '--login-options',
                       f'AUTH={mech}', '-u', f'{USER}:{password}',
                       '--mail-from', 'a@client.test', '--mail-rcpt',
                       'user@example.test', '-T', message(d), want=None)
        tried = mechs
        if b'gsasl' not in run('curl', '-V').stdout.lower():
            tried = mechs[2:]           # its SCRAM comes from gsasl
        for mech in tried:
            p = curl(mech, PASSWORD)
            assert p.returncode == 0, (mech, p.stderr)
            assert curl(mech, 'wrong').returncode == 67, mech
        s.wait_mail(len(tried))


def test_msmtp(d):
    tls = Tls(d)
    mechs = {'scram-sha-256': 'SCRAM-SHA-256', 'plain': 'PLAIN',
             'login': 'LOGIN', 'cram-md5': 'CRAM-MD5'}
    with server(d, tls, 'Require_Auth = true',
                mechanisms=mechs.values()) as s:
        n = 0
        for mech in mechs:
            for password, want in (PASSWORD, 0), ('wrong', 77):
                p = run('msmtp', '--file=/dev/null', '--host=localhost',
                        f'--port={s.port}', '--tls=on', '--tls-starttls=on',
                        f'--tls-trust-file={tls.ca}', f'--auth={mech}',
                        f'--user={USER}', f'--passwordeval=echo {password}',
                        '--from=a@client.test', 'user@example.test',
                        data=text_message().replace(b'\r\n', b'\n'),
                        want=None)
                if b'not support' in p.stderr:
                    break               # this msmtp lacks the mechanism
                assert p.returncode == want, (mech, password, p.stderr)
                n += want == 0
        assert n >= 2, 'msmtp can do nothing?'
        s.wait_mail(n)


def test_smtplib(d):
    tls = Tls(d)
    with server(d, tls, 'Require_Auth = true') as s:
        for password, ok in (PASSWORD, True), ('wrong', False):
            c = smtplib.SMTP('localhost', s.port, timeout=30 * SLOW)
            c.starttls(context=tls.context())
            try:
                c.login(USER, password)
                assert ok
                c.sendmail('a@client.test', 'user@example.test',
                           text_message())
            except smtplib.SMTPAuthenticationError as e:
                assert not ok and e.smtp_code == 535
            c.quit()
        s.wait_mail(1)


def nodemailer():
    """The folder where Debian installs Nodemailer."""
    path = '/usr/share/nodejs/nodemailer'
    if not shutil.which('node') or not os.path.exists(path):
        raise Skip('no node, or no node-nodemailer')
    return path


def test_nodemailer(d):
    path = nodemailer()
    tls = Tls(d)
    with open(f'{d}/send.js', 'w') as f:
        f.write('''const [path, port, ca, method, user, pass] =
    process.argv.slice(2);
const t = require(path).createTransport({ host: 'localhost', port: +port,
    requireTLS: true, authMethod: method, auth: { user, pass },
    tls: { ca: require('fs').readFileSync(ca) } });
t.sendMail({ from: 'a@client.test', to: 'user@example.test', subject: 'x',
    text: 'hello' }).then(() => process.exit(0),
    e => { console.log(e.responseCode, e.message);
        process.exit(e.responseCode === 535 ? 3 : 4); });
''')
    mechs = 'PLAIN', 'LOGIN', 'CRAM-MD5'
    with server(d, tls, 'Require_Auth = true', mechanisms=mechs) as s:
        for mech in mechs:
            for password, want in (PASSWORD, 0), ('wrong', 3):
                run('node', f'{d}/send.js', path, str(s.port), tls.ca, mech,
                    USER, password, want=want)
        s.wait_mail(len(mechs))


# ------------------------------------------------------------------ verdicts
def test_replies_log_and_counters(d):
    with server(d, mechanisms=('PLAIN', 'LOGIN'), workers=1) as s:
        with Client(s.port) as c:
            assert 'AUTH PLAIN LOGIN' in c.hello()
            c.cmd('AUTH NTLM', '504 5.5.4')
            c.cmd('AUTH SCRAM-SHA-256', '504 5.5.4')
            c.cmd('AUTH LOGIN =!', '501 5.5.2')
            c.cmd(WRONG, '535 5.7.8')
            c.cmd(f'AUTH PLAIN {b64(chr(0) + "a b" + chr(0) + "c")}',
                  '535 5.7.8')
            c.cmd(PLAIN, '235 2.7.0')
            c.cmd(PLAIN, '503')
            c.mail(text_message())
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail(2)
        # a wrong password is authd's to say
        ntlm, scram, login, again = wait_lines(s, 'auth-failed', 4, 'worker')
        first, second = wait_lines(s, 'auth-failed', 2, 'authd')
        assert first['client'] == '127.0.0.1' and first['user'] == USER
        assert first['mechanism'] == 'PLAIN' and first['code'] == '535'
        assert first['listener'] == f'127.0.0.1:{s.port}'
        assert second['user'] == '"a b"'
        assert [(x['mechanism'], x['code'], x['reason'].strip('"')) for x in (
            ntlm, scram, login, first, again)] == [
            ('NTLM', '504', 'Authentication mechanism not available'),
            ('SCRAM-SHA-256', '504', 'Authentication mechanism not available'),
            ('LOGIN', '501', 'Cannot decode the base64'),
            ('PLAIN', '535', 'wrong password or unknown user'),
            ('PLAIN', '503', 'Already authenticated')]
        login, = wait_lines(s, 'auth', 1)
        assert login['user'] == USER and login['tls'] == '-'
        assert login['session'] == first['session']
        got = wait_lines(s, 'accepted', 2)
        assert [x.get('user') for x in got] == [USER, None], got
        v = s.stats()
        assert (int(v['auth_ok']), int(v['auth_failed']), int(v['auth_later']),
                int(v['auth_blocked'])) == (1, 2, 0, 0), v
        assert 'pencil' not in s.log() and b64('pencil') not in s.log()


def test_the_log_says_why_a_login_failed(d):
    tls = Tls(d)
    first = 'n,,n=alice,r=abc'
    rows = (
        (('PLAIN', b64(f'bob\0{USER}\0{PASSWORD}')), '535',
         'may not act for another user'),
        (('PLAIN', b64('x')), '501', 'malformed message of the mechanism'),
        (('LOGIN', b64(USER), '*'), '501', 'cancelled by the client'),
        (('LOGIN', b64(USER), '!'), '501', 'Cannot decode the base64'),
        (('CRAM-MD5', None, b64('alice ' + 32 * '0')), '535',
         'wrong password or unknown user'),
        (('SCRAM-SHA-256', b64('p=tls-exporter' + first[1:])), '535',
         'channel binding is not that of the mechanism'),
        (('SCRAM-SHA-256', b64('y' + first[1:])), '535',
         'the client was not offered -PLUS, which was offered'),
        (('SCRAM-SHA-256-PLUS', b64('p=tls-unique' + first[1:])), '535',
         'channel binding does not match'),
        (('SCRAM-SHA-256', b64('n,,m=x,n=alice,r=abc')), '535',
         'the client wants an extension of SCRAM'),
        (('XOAUTH2', b64(f'user={USER}\1auth=Bearer x\1\1'), ''), '535',
         'token refused'),
        (('EXTERNAL', b64('')), '504', 'Authentication mechanism not available'),
        (('secret-b64=',), '504', 'Authentication mechanism not available'))
    with server(d, tls, mechanisms=(
            'PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-256', 'EXTERNAL',
            'SCRAM-SHA-256-PLUS', 'XOAUTH2'), workers=1,
            conf='auth_failure_window = 1') as s:
        for i, (said, code, why) in enumerate(rows):
            with connect(s, tls) as c:
                c.hello()
                mech, *lines_of = said
                line = f'AUTH {mech}'
                if lines_of and lines_of[0] is not None:
                    line += f' {lines_of[0] or "="}'
                c.send(line.encode() + b'\r\n')
                r = c.reply()
                for more in lines_of[1:]:
                    assert r.startswith('334'), (said, r)
                    c.send(more.encode() + b'\r\n')
                    r = c.reply()
                assert r.startswith(code), (said, r)
            got = wait_lines(s, 'auth-failed', i + 1)[-1]
            assert got['reason'].strip('"') == why, (said, got)
            assert got['code'] == code, (said, got)
            assert got['mechanism'] == ('-' if mech.islower() or '=' in mech
                                        else mech), (said, got)
        # a client that leaves before it is told
        with connect(s, tls) as c:
            c.hello()
            token = b64(f'user={USER}\1auth=Bearer x\1\1')
            c.cmd(f'AUTH XOAUTH2 {token}', '334')
        got = wait_lines(s, 'auth-failed', len(rows) + 1)[-1]
        assert got['reason'] == '"token refused"', got


def test_a_changed_file_is_seen_without_a_reload(d):
    with server(d) as s, Client(s.port) as c:
        c.hello()
        c.cmd(WRONG, '535')
        passwd(f'{d}/passwd', USER, 'pen', '-m', 'plain')
        s.give_to_authd(f'{d}/passwd')

        def now_right():
            c.send(WRONG.encode() + b'\r\n')
            return c.reply().startswith('235')
        wait_for('the new password', now_right)


# ------------------------------------------------------------------ authd away
@contextlib.contextmanager
def mute(path):
    """A back end that accepts connections and never answers."""
    got = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        os.chmod(path, 0o777)
        listening.listen(64)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    got.append(listening.accept()[0])
        t = threading.Thread(target=serve, daemon=True)
        t.start()
        try:
            yield got
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            t.join()
            for s in got:
                s.close()


def mute_server(d, timeout):
    """A server that asks the mute back end about clients at 127.0.0.2."""
    return server(d, listener=f'''
    Peer "127.0.0.2" {{
        Auth_Backend = "dovecot:{d}/mute"
        Auth_Mechanisms = {{ "PLAIN" }}
    }}''', conf=f'auth_timeout = {timeout}')


class From(Client):
    """A client that connects from the given address."""

    def __init__(self, port, address):
        self.s = socket.create_connection(('127.0.0.1', port), 20 * SLOW,
                                          (address, 0))
        self.buf = b''
        self.expect('220')


def test_a_back_end_that_does_not_answer_is_454(d):
    with mute(f'{d}/mute') as asked, mute_server(d, 2) as s:
        with From(s.port, '127.0.0.2') as slow, Client(s.port) as c:
            slow.hello()
            c.hello()
            slow.send(PLAIN.encode() + b'\r\n')
            wait_for('the question', lambda: asked)
            # meanwhile others log in
            c.cmd(PLAIN, '235')
            slow.expect('454 4.7.0')
            slow.cmd('NOOP')
        v = s.stats()
        assert int(v['auth_later']) == 1 and int(v['auth_failed']) == 0
        # it does not count as a failure of the client
        with From(s.port, '127.0.0.2') as again:
            again.hello()
            again.cmd(PLAIN, '454 4.7.0')


def test_authd_killed_in_the_middle(d):
    with mute(f'{d}/mute') as asked, mute_server(d, 60) as s:
        with From(s.port, '127.0.0.2') as waiting, Client(s.port) as thinking:
            waiting.hello()
            thinking.hello()
            waiting.send(PLAIN.encode() + b'\r\n')
            thinking.cmd('AUTH LOGIN', '334')
            wait_for('the question', lambda: asked)
            authd, = s.pids('authd')
            os.kill(authd, signal.SIGKILL)
            waiting.expect('454 4.7.0')
            thinking.cmd(b64(USER), '454 4.7.0')

            def works():
                thinking.send(PLAIN.encode() + b'\r\n')
                return thinking.reply().startswith('235')
            wait_for('another authd', works)
            assert s.pids('authd') not in ([], [authd])
            thinking.mail(text_message())
        s.wait_mail(1)
        assert int(s.stats()['respawns']) == 1


def test_authd_stopped_costs_logins_only(d):
    with server(d, conf='auth_timeout = 1') as s, Client(s.port) as c:
        authd, = s.pids('authd')
        os.kill(authd, signal.SIGSTOP)
        try:
            with Client(s.port) as other:
                c.hello()
                c.send(PLAIN.encode() + b'\r\n')
                other.hello()
                other.mail(text_message())
                # the worker waits for auth_timeout and five seconds
                c.expect('454 4.7.0')
        finally:
            os.kill(authd, signal.SIGCONT)

        # it has the first password to check still, within the same second
        def works():
            c.send(PLAIN.encode() + b'\r\n')
            return c.reply().startswith('235')
        wait_for('a login', works)


def test_sessions_of_an_older_configuration_keep_their_authd(d):
    with server(d) as s, Client(s.port) as c:
        c.hello()
        c.envelope()                    # so that a reload does not end it
        c.cmd('RSET')
        before = s.pids('authd')
        c.cmd('AUTH LOGIN', '334')
        s.ctl('reload')
        wait_for('another authd', lambda: set(s.pids('authd')) - set(before))
        c.send(b64(USER).encode() + b'\r\n')
        r = c.reply()
        assert r[:3] in ('334', '421'), r
        c.close()
        wait_for('the old one to end', lambda: (
            not set(before) & set(s.pids('authd'))))
        with Client(s.port) as other:
            other.hello()
            other.cmd(PLAIN, '235')


# ------------------------------------------------------------------ files
def test_workers_cannot_read_the_file_of_users(d):
    if not ROOT:
        raise Skip('needs root')
    with server(d, as_root=True) as s, Client(s.port) as c:
        c.hello()
        c.cmd(PLAIN, '235')
        path = f'{d}/passwd'

        def ids(pid):
            with open(f'/proc/{pid}/status') as f:
                return dict(re.findall(r'^(\w+):\t(.*)$', f.read(), re.M))
        authd, = s.pids('authd')
        accounts = {ids(authd)['Uid']}
        for pid in s.pids('worker') + s.pids('queue') + s.pids('deliver'):
            v = ids(pid)
            uid, gid = v['Uid'].split()[0], v['Gid'].split()[0]
            assert uid != '0' and v['Uid'] not in accounts
            p = run('setpriv', f'--reuid={uid}', f'--regid={gid}',
                    '--clear-groups', 'cat', path, want=None)
            assert p.returncode and b'Permission denied' in p.stderr, p
        for pid in s.pids('worker'):
            assert os.readlink(f'/proc/{pid}/root') == f'{s.spool}/empty'
            for fd in os.listdir(f'/proc/{pid}/fd'):
                assert 'passwd' not in os.readlink(f'/proc/{pid}/fd/{fd}')
        # another process with the account of authd cannot read its memory
        assert ids(authd)['NoNewPrivs'] == '1'
        assert ids(authd)['CapEff'].strip('0') == ''
        assert os.stat(f'/proc/{authd}/mem').st_uid == 0


def test_authd_keeps_the_groups_of_its_account(d):
    if not ROOT:
        raise Skip('needs root')
    for g in grp.getgrall():
        for name in g.gr_mem:
            with contextlib.suppress(KeyError):
                account = pwd.getpwnam(name)
                if account.pw_uid and account.pw_gid != g.gr_gid:
                    check_groups(d, name, g.gr_gid)
                    return
    raise Skip('no account here is in another group')


def check_groups(d, name, gid):
    s = server(d, as_root=True, args=['-D', f'auth_user={name}'])
    os.chown(f'{d}/passwd', 0, gid)
    os.chmod(f'{d}/passwd', 0o640)
    with s, Client(s.port) as c:
        c.hello()
        c.cmd(PLAIN, '235')


# ------------------------------------------------------------------ bad input
def refused(d, text, what, **more):
    """The server does not start, and its log says why."""
    s = server(d, **more)
    # not to be made: a kernel may refuse that for the file of another account
    with open(f'{d}/passwd', 'r+') as f:
        f.truncate()
        f.write(text)
    s.start(ready=False)
    assert s.wait_end() == 78
    s.proc = None
    s.no_process_left()
    assert re.search(what, s.log_now()), s.log_now()


def test_a_malformed_file_stops_the_start(d):
    refused(d, 'alice:{PLAIN}x\nbob\n', r"option 'Auth_Backend': .*passwd:2: ")


def test_a_missing_file_stops_the_start(d):
    s = server(d)
    os.unlink(f'{d}/passwd')
    s.start(ready=False)
    assert s.wait_end() == 78
    s.proc = None
    s.no_process_left()
    assert re.search(r"option 'Auth_Backend': .*/passwd: .*No such file",
                     s.log_now()), s.log_now()


def test_a_reload_with_a_bad_file_leaves_the_old_one_in_force(d):
    with server(d) as s:
        listener = s.settings['listener']
        s.write_conf(listener=listener.replace('/passwd"', '/other"'))
        p = s.ctl('reload', check=False)
        assert p.returncode != 0, p
        s.logged('No such file')
        with Client(s.port) as c:
            c.hello()
            c.cmd(PLAIN, '235')
        s.write_conf()
        s.ctl('reload')


def test_an_unknown_kind_of_back_end_stops_the_start(d):
    s = server(d)
    s.write_conf(listener='Auth_Backend = "magic:x"\nAuth_Without_TLS = true')
    p = subprocess.run(s.command('-n'), capture_output=True, text=True)
    assert p.returncode == 78, p
    assert 'Auth_Backend' in p.stderr and 'mailmill.conf:' in p.stderr, p


# ------------------------------------------------------------------ fail2ban
def test_fail2ban_reads_the_log(d):
    names = [USER, 'a b', 'x" client=192.0.2.9 code=535', 'q\\', 'm\u00fcller',
             "o'brien", 'client=192.0.2.9']
    want = []
    with server(d, listener='Peer "127.0.0.9" { Allow_XCLIENT = true }',
                mechanisms=('PLAIN',)) as s:
        # each from its own address: a second failure is answered later
        for i, name in enumerate(names):
            want.append(f'127.0.1.{i + 1}')
            with From(s.port, want[-1]) as c:
                c.hello()
                c.cmd(f'AUTH PLAIN {b64(chr(0) + name + chr(0) + "no")}', '535')
        # neither a client that was named, nor the filter that has named it
        with From(s.port, '127.0.0.9') as c:
            c.cmd('XCLIENT ADDR=192.0.2.20', '220')
            c.hello()
            c.cmd(f'AUTH PLAIN {b64(chr(0) + "other" + chr(0) + "no")}', '535')
        with Client(s.port) as c:
            c.hello()
            c.cmd('AUTH PLAIN AAAA', '501')
            c.cmd(PLAIN, '235')
            c.cmd('MAIL FROM:<a@client.test>')
            c.send(b'RCPT TO:<x event=auth-failed client=192.0.2.9 code=535>'
                   b'\r\n')
            c.reply()
        named, = [x for x in wait_lines(s, 'auth-failed', len(want) + 1,
                                        'authd') if 'via' in x]
        assert named['client'] == '192.0.2.20', named
        assert named['via'] == '127.0.0.9', named
    log = s.log()
    syslog = as_syslog(log)
    assert syslog.count('mx mailmilld/authd-1[') > len(want)
    for text in log, syslog:
        assert sorted(fail2ban(d, text)) == want, text
        assert sorted(fail2ban(d, text, '[Definition]\n'
                               'failregex = %(_direct)s\n'
                               '            %(_named)s\n')) == \
            want + ['192.0.2.20'], text
