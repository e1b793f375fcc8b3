"""Listeners on Unix sockets: clients that others wrote, accounts as clients, and
the file in the file system."""
import contextlib
import os
import re
import signal
import smtplib
import socket
import stat
import subprocess

from harness import (NOBODY, NOT_AS_ROOT, ROOT, SLOW, Client, Server, Skip,
                     text_message, wait_for)
from keys import context, make_pair, tls_conf
from test_auth import PLAIN, WRONG, wait_lines
from test_auth import server as auth_server
from test_auth_clients import Postfix, run, text
from test_moves import old_workers_end
from test_xclient import events

SERVER = NOBODY if NOT_AS_ROOT else os.getuid()     # its uid
OTHER = 4242


def path_in(d):
    """In a folder that the server makes."""
    return f'{d}/run/s'


def listen(d, options='', path=None):
    return f'Listen "unix:{path or path_in(d)}" {{\n{options}\n}}\n'


def server(d, options='', listener='', **kw):
    return Server(d, listener=listen(d, f'File_Mode = 0666\n{options}') + listener,
                  **kw)


class Local(Client):
    """A client of a Unix socket, with the account uid."""

    def __init__(self, path, banner=True, uid=None, timeout=20):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(timeout * SLOW)
        self.buf = b''
        with account(uid):
            self.s.connect(path)
        if banner:
            self.expect('220')


@contextlib.contextmanager
def account(uid):
    if uid is not None:
        if not ROOT:
            raise Skip('needs root')
        os.seteuid(uid)
    try:
        yield
    finally:
        if uid is not None:
            os.seteuid(0)


def check(s):
    """What mailmilld -n says of listeners."""
    p = subprocess.run(s.command('-n'), capture_output=True, text=True,
                       preexec_fn=s._before_exec)
    return '\n'.join(re.findall('.* event=listen .*', p.stderr))


def start_fails(s):
    """What the server says when it does not start."""
    s.start(ready=False)
    assert s.wait_end() != 0
    s.proc = None
    return s.log()


# ------------------------------------------------------------------ clients
def received(mail, protocol):
    assert re.search(rb'^Received: from \S+ \(local uid %d\)\r?\n\tby '
                     rb'mx\.example\.test \(mailmill\) with %s id ' % (
                         os.getuid(), protocol), mail, re.M), mail


def test_smtplib_speaks_lmtp(d):
    with server(d, 'Kind = lmtp') as s:
        with smtplib.LMTP(path_in(d), local_hostname='client.test') as c:
            assert c.sendmail('a@client.test', ['user@example.test'],
                              text_message()) == {}
        [mail] = s.wait_mail(1)
        received(mail, b'LMTP')
        [a] = events(s, 'accepted')
        assert a['client'] == f'unix:{os.getuid()}' and a['port'] == '0', a
        assert a['listener'] == f'unix:{path_in(d)}', a
        addresses = [x['address'] for x in s.ctl_json('status')['listeners']]
        assert f'unix:{path_in(d)}' in addresses, addresses


def test_curl(d):
    with open(f'{d}/m', 'wb') as f:
        f.write(text_message())
    with server(d) as s:
        run('curl', '-sS', '--unix-socket', path_in(d),
            'smtp://localhost/client.test', '--mail-from', 'a@client.test',
            '--mail-rcpt', 'user@example.test', '-T', f'{d}/m')
        received(s.wait_mail(1)[0], b'ESMTP')


def test_swaks(d):
    with server(d) as s:
        run('swaks', '--socket', path_in(d), '-f', 'a@client.test',
            '-t', 'user@example.test')
        received(s.wait_mail(1)[0], b'ESMTP')


def test_postfix(d):
    """Its lmtp(8), with the socket in the folder of its account."""
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    path = f'{d}/postfix/spool/private/mailmill'
    with Postfix(f'{d}/postfix', 1, '', False,
                 main='relayhost =\n'
                 'default_transport = lmtp:unix:private/mailmill\n',
                 master='lmtp unix - - n - - lmtp\n') as p:
        with Server(d, listener=listen(
                d, 'Kind = lmtp\nFile_Owner = daemon\nFile_Mode = 0600', path)) as s:
            st = os.stat(path)
            assert stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid != 0, st
            run(f'{p.root}/usr/sbin/sendmail', '-f', 'a@example.test',
                'user@example.test', data=text(), env=p.env)
            wait_for('an attempt', lambda: 'status=' in p.log())
            assert 'status=sent' in p.log(), p.log() + s.log()
            [mail] = s.wait_mail(1)
            assert b'(local uid %d)' % st.st_uid in mail, mail
        assert not os.path.exists(path)


def test_tls(d):
    make_pair(d, 'mx')
    with server(d, f'Kind = lmtp\n{tls_conf(d, "mx")}') as s:
        with smtplib.LMTP(path_in(d), local_hostname='client.test') as c:
            c.starttls(context=context())
            c.sendmail('a@client.test', ['user@example.test'], text_message())
        received_tls = s.wait_mail(1)[0]
        assert b'with LMTPS id' in received_tls, received_tls
        # and from the first octet
        s.write_conf(listener=listen(d, f'Use_SSL = true\n{tls_conf(d, "mx")}'))
        s.ctl('reload')
        old_workers_end(s, 2)
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(20 * SLOW)
        plain.connect(path_in(d))
        with context().wrap_socket(plain) as tls:
            assert tls.recv(4) == b'220 '


# ------------------------------------------------------------------ accounts
def test_an_account_is_one_client(d):
    """In the limits on sessions, in Peer sections, and for Relay_Hosts."""
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    with server(d, f'''
Max_Message_Size = 1000
Peer "unix" {{ Max_Message_Size = 2000 }}
Peer "unix:{OTHER}" {{ Max_Message_Size = 3000 }}
Peer "0.0.0.0/0" {{ Max_Message_Size = 4000 }}
''', client_sessions=2) as s:
        clients = [Local(path_in(d)) for _ in range(2)]
        assert 'SIZE 2000' in clients[0].hello()
        with Local(path_in(d), banner=False) as c:
            c.expect('421 4.7.0')
            c.ended()
        # another one has its own
        with Local(path_in(d), uid=OTHER) as c:
            assert 'SIZE 3000' in c.hello()
        [refused] = wait_for('the line', lambda: events(s, 'refused'))
        assert refused['client'] == 'unix:0', refused
        assert refused['limit'] == 'Client_Sessions', refused
        clients.pop().close()
        wait_for('the end', lambda: s.ctl_json('status')['sessions'] == 1)
        Local(path_in(d)).close()
        p = subprocess.run(s.command(
            '-n', '-T', f'unix:{path_in(d)},unix:{OTHER}'),
            capture_output=True, text=True)
        assert f'# Peer "unix:{OTHER}" in Listen "unix:' in p.stdout, p
        assert 'Max_Message_Size = 3000\t' in p.stdout, p


def test_passwords_need_no_tls_and_failures_count_for_the_account(d):
    with auth_server(d, listener=listen(d, 'File_Mode = 0666\n'
                                        'Auth_Without_TLS = false'),
                     conf='auth_client_failures = 3\n'
                     'auth_login_failures = 0') as s:
        for _ in range(3):
            with Local(path_in(d)) as c:
                assert 'AUTH ' in c.hello()
                c.cmd(WRONG, '535')
        for line in wait_lines(s, 'auth-failed', 3, 'authd'):
            assert line['client'] == f'unix:{os.getuid()}', line
            assert line['port'] == '0', line
        with Local(path_in(d)) as c:
            c.hello()
            c.cmd(PLAIN, '454 4.7.0')
        if ROOT and not NOT_AS_ROOT:
            with Local(path_in(d), uid=OTHER) as c:
                c.hello()
                c.cmd(PLAIN, '235')
        # over the network nothing has changed
        with Client(s.port) as c:
            c.hello()
            c.cmd(PLAIN, '235')


def test_it_speaks_for_others_only_where_that_is_allowed(d):
    with server(d, 'Peer "0.0.0.0/0" { Allow_XCLIENT = true }') as s:
        with Local(path_in(d)) as c:
            assert 'XCLIENT' not in c.hello()
            c.cmd('XCLIENT ADDR=192.0.2.7', '550 5.7.0')
        s.write_conf(listener=listen(d, 'Peer "unix" { Allow_XCLIENT = true }'))
        s.ctl('reload')
        old_workers_end(s, 2)
        with Local(path_in(d)) as c:
            assert 'XCLIENT' in c.hello()
            c.cmd('XCLIENT ADDR=192.0.2.7', '220')
            c.hello()
            c.mail(text_message())
        assert b'([192.0.2.7])' in s.wait_mail(1)[0]
        s.write_conf(listener=listen(d, 'Peer "unix" { Proxy_Protocol = true }'))
        s.ctl('reload')
        old_workers_end(s, 3)
        for header, want in ((b'TCP4 192.0.2.8 127.0.0.1 4711 25',
                              b'([192.0.2.8])'),
                             (b'UNKNOWN', b'(local uid %d)' % os.getuid())):
            with Local(path_in(d), banner=False) as c:
                c.send(b'PROXY ' + header + b'\r\n')
                c.expect('220')
                c.hello()
                c.mail(text_message())
            wait_for('the mail', lambda: any(want in m for m in s.delivered()))


# ------------------------------------------------------------------ the file
def test_a_reload_keeps_the_socket_and_its_sessions(d):
    with server(d) as s:
        before = os.stat(path_in(d))
        assert stat.S_IMODE(before.st_mode) == 0o666
        assert before.st_uid == SERVER
        with Local(path_in(d)) as c:
            c.hello()
            s.write_conf(listener=listen(d, 'File_Mode = 0600'))
            s.ctl('reload')
            old_workers_end(s, 2)
            after = os.stat(path_in(d))
            assert after.st_ino == before.st_ino
            assert stat.S_IMODE(after.st_mode) == 0o600
            # the session was idle, and goes on in a new worker
            c.mail(text_message())
        s.wait_mail(1)
        # somebody cleans up
        os.unlink(path_in(d))
        s.ctl('reload')
        old_workers_end(s, 3)
        Local(path_in(d)).close()
        # a bad one changes nothing
        s.write_conf(listener=listen(d, 'File_Group = "no such"'))
        assert 'File_Group' in s.ctl('reload', check=False).stderr
        Local(path_in(d)).close()
        # and without it there is no file
        s.write_conf(listener='')
        s.ctl('reload')
        old_workers_end(s, 4)
        assert not os.path.exists(path_in(d))


def test_a_start_replaces_what_a_server_that_died_has_left(d):
    with server(d) as s:
        Local(path_in(d)).close()
        os.kill(s.master, signal.SIGKILL)
        s.proc.wait()
        wait_for('its children to end', lambda: not s.pids())
        assert stat.S_ISSOCK(os.stat(path_in(d)).st_mode)
        assert check(s) == ''
        s.start()
        with Local(path_in(d)) as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail(1)
    assert not os.path.exists(path_in(d))
    assert os.listdir(f'{d}/run') == []


def test_a_socket_in_use_is_left_alone(d):
    with server(d) as s:
        os.makedirs(f'{d}/two')
        if NOT_AS_ROOT:
            os.chown(f'{d}/two', NOBODY, NOBODY)
        two = Server(f'{d}/two', listener=listen(d))
        # the check of the server itself finds that it is its own
        assert check(s) == ''
        assert 'another process listens there' in check(two)
        assert 'another process listens there' in start_fails(two)
        Local(path_in(d)).close()
    # nor one of a program that is no mailmilld
    with socket.socket(socket.AF_UNIX) as x:
        x.bind(path_in(d))
        x.listen()
        os.chmod(path_in(d), 0o777)
        three = server(d)
        assert 'another process listens there' in start_fails(three)
        client = socket.socket(socket.AF_UNIX)
        client.connect(path_in(d))
        client.close()


def hostile(d, prepare, want):
    os.makedirs(f'{d}/run', exist_ok=True)
    if NOT_AS_ROOT:
        os.chown(f'{d}/run', NOBODY, NOBODY)
    before = prepare(path_in(d))
    s = server(d)
    assert want in check(s)
    assert want in start_fails(s)
    if before:
        assert os.lstat(path_in(d)).st_ino == before.st_ino


def test_a_folder_for_all_is_refused(d):
    hostile(d, lambda path: os.chmod(os.path.dirname(path), 0o1777),
            'other accounts can write to the folder')


def test_a_folder_of_another_account_is_refused(d):
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    hostile(d, lambda path: os.chown(os.path.dirname(path), OTHER, OTHER),
            'the folder must belong to')


def test_a_file_is_not_removed(d):
    def prepare(path):
        with open(path, 'w') as f:
            f.write('x')
        return os.lstat(path)
    hostile(d, prepare, 'something else than a socket')


def test_a_link_is_not_followed(d):
    def prepare(path):
        os.symlink('/etc/passwd', path)
        return os.lstat(path)
    before = os.stat('/etc/passwd')
    hostile(d, prepare, 'something else than a socket')
    after = os.stat('/etc/passwd')
    assert (before.st_mode, before.st_uid, before.st_gid) == (
        after.st_mode, after.st_uid, after.st_gid)
