"""The back ends of logins: a passwd file that mailmillctl changes, PAM, and
Dovecot as Debian packages it."""
import contextlib
import grp
import os
import pwd
import pty
import re
import shutil
import signal
import statistics
import subprocess
import threading
import time

from dovecot import Dovecot
from harness import (BUILD, ROOT, SLOW, Client, Server, Skip, cmdline,
                     descendants, mount_tmpfs, text_message,
                     unshare_mounts, wait_for)
from test_auth_mechs import Scram, auth, connect, offered

# failures are forgotten after a second, and so are their delays
NO_LIMITS = ('auth_login_failures = 0\nauth_client_failures = 0\n'
             'auth_failure_window = 1\n')


def server(d, backend, mechanisms=None, conf='', **more):
    lines = f'Auth_Backend = "{backend}"\nAuth_Without_TLS = true\n'
    if mechanisms:
        lines += 'Auth_Mechanisms = { %s }\n' % ', '.join(
            f'"{m}"' for m in mechanisms)
    return Server(d, conf=NO_LIMITS + conf, listener=lines, **more)


def plain(s, name, password, start):
    with connect(s) as c:
        r = auth(c, 'PLAIN', f'\0{name}\0{password}')
        assert r.startswith(start), (name, password, r)


def plain_and_login(s, name, password, start):
    plain(s, name, password, start)
    with connect(s) as c:
        r = auth(c, 'LOGIN', None, name, password)
        assert r.startswith(start), (name, password, r)


def passwd(*args, secret=None, want=0):
    p = subprocess.run([f'{BUILD}/mailmillctl', 'passwd', *args],
                       input=None if secret is None else secret + '\n',
                       capture_output=True, text=True, timeout=60 * SLOW)
    assert p.returncode == want, (args, p.returncode, p.stderr)
    return p.stderr


def does_not_start(s, why):
    s.start(ready=False)
    status = s.wait_end()
    s.proc = None
    s.no_process_left()
    assert status != 0 and why in s.log_now(), (status, s.log_now())


# ------------------------------------------------------------------ passwd
def test_a_change_of_the_passwd_file_counts_at_once(d):
    users = f'{d}/users'
    passwd('-f', users, 'alice', secret='one')
    s = server(d, f'passwd:{users}')
    s.give_to_authd(users)
    with s:
        plain(s, 'alice', 'one', '235')
        plain(s, 'alice', 'two', '535 5.7.8')
        plain(s, 'bob', 'one', '535 5.7.8')
        passwd('-f', users, 'alice', secret='two')
        plain(s, 'alice', 'two', '235')
        plain(s, 'alice', 'one', '535')
        for method in 'bcrypt', 'sha512', 'plain', 'yescrypt':
            passwd('-f', users, '-m', method, 'bob', secret='zw\u00f6lf: 12')
            plain(s, 'bob', 'zw\u00f6lf: 12', '235')
            with connect(s) as c:
                assert Scram(name='bob', password='zw\u00f6lf: 12').play(
                    c, 'SCRAM-SHA-256').startswith('235'), method
        passwd('-f', users, '-d', 'bob')
        plain(s, 'bob', 'zw\u00f6lf: 12', '535')
        # a line that is wrong is logged, and the users of before stay
        os.chmod(users, 0o600)
        # not to be made: a kernel may refuse that for the file of another account
        with open(users, 'r+') as f:
            f.seek(0, os.SEEK_END)
            f.write('carol\n')
        plain(s, 'alice', 'two', '235')
        s.logged(r'event=passwd-bad .*users:\d+: expected NAME:HASH')
        assert 'expected NAME:HASH' in passwd('-f', users, 'alice',
                                              secret='x', want=1)
        with open(users) as f:
            good = f.read().replace('carol\n', '')
        with open(users, 'r+') as f:
            f.truncate()
            f.write(good)
        plain(s, 'alice', 'two', '235')


def test_hashes_of_other_programs(d):
    rows = []
    for flag in '-6', '-5':
        h = subprocess.run(['openssl', 'passwd', flag, 'secret'], text=True,
                           capture_output=True, check=True).stdout.strip()
        rows.append(('openssl' + flag, h))
    if shutil.which('doveadm'):
        for scheme in 'SHA512-CRYPT', 'BLF-CRYPT', 'SCRAM-SHA-256', \
                'SCRAM-SHA-1':
            p = subprocess.run(['doveadm', 'pw', '-s', scheme, '-p', 'secret'],
                               capture_output=True, text=True)
            if p.returncode == 0:
                rows.append((scheme, p.stdout.strip()))
    # SASLprep changes these; their hashes are made without it
    changed = ['Mu\u0308ller', 'm\u00b2-\u00bd', '\ufb01sh', '\uff41\uff42',
               'a\u00a0b', 'a\u00adb']
    with open(f'{d}/users', 'w') as f:
        f.writelines(f'{name}:{h}\n' for name, h in rows)
        for i, password in enumerate(changed):
            h = subprocess.run(['openssl', 'passwd', '-6', password], text=True,
                               capture_output=True, check=True).stdout.strip()
            f.write(f'changed{i}:{h}\n')
    s = server(d, f'passwd:{d}/users')
    s.give_to_authd(f'{d}/users')
    with s:
        for i, password in enumerate(changed):
            plain_and_login(s, f'changed{i}', password, '235')
            plain_and_login(s, f'changed{i}', password + 'x', '535')
        for name, _ in rows:
            plain_and_login(s, name, 'secret', '235')
            plain_and_login(s, name, 'Secret', '535')
        for hash, mech in ('sha1', 'SCRAM-SHA-1'), ('sha256', 'SCRAM-SHA-256'):
            if mech in dict(rows):
                with connect(s) as c:
                    assert Scram(hash, name=mech, password='secret').play(
                        c, mech).startswith('235'), mech


def test_passwd_asks_twice_at_a_terminal_without_echo(d):
    def at_terminal(*typed):
        pid, fd = pty.fork()
        if pid == 0:
            os.execv(f'{BUILD}/mailmillctl', [
                'mailmillctl', 'passwd', '-f', f'{d}/users', 'alice'])
        out, todo = b'', list(typed)
        with contextlib.suppress(OSError):      # EIO: it has ended
            while True:
                out += os.read(fd, 1000)
                if todo and out.rstrip(b' ').endswith(b':'):
                    time.sleep(0.1)     # it discards earlier input
                    os.write(fd, todo.pop(0) + b'\n')
                    out += b'<'
        os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out
    status, out = at_terminal(b'typed-1', b'typed-2')
    assert status == 1 and b'differ' in out, (status, out)
    assert not os.path.exists(f'{d}/users')
    status, out = at_terminal(b'typed-1', b'typed-1')
    assert status == 0 and b'alice' in out and b'typed' not in out, out
    assert os.stat(f'{d}/users').st_mode & 0o137 == 0
    with open(f'{d}/users') as f:
        text = f.read()
    assert re.search(r'^alice:\$y\$', text, re.M) and 'typed' not in text


def test_more_iterations_than_clients_take_are_said(d):
    f = f'{d}/users'
    assert 'Postfix' not in passwd('-f', f, 'alice', secret='x')
    with open(f) as text:
        assert text.read().count('}50000,') == 2
    assert not passwd('-f', f, '-i', '65536', 'bob', secret='x')
    s = server(d, f'passwd:{f}')
    s.give_to_authd(f)

    def check():
        p = subprocess.run(s.command('-n', '-f'), capture_output=True, text=True,
                           preexec_fn=s._before_exec)
        assert p.returncode == 0, p
        return p.stderr
    assert 'iterations' not in check()
    err = passwd('-f', f, '-i', '65537', 'carol', secret='x')
    assert 'warning' in err and '65536' in err, err
    with open(f) as text:
        line = 1 + [x.split(':')[0] for x in text].index('carol')
    want = f'file={f} line={line} iterations=65537 '
    assert want in check(), check()
    with s:
        plain(s, 'carol', 'x', '235')
        s.logged(re.escape(want))


def test_passwd_says_what_is_wrong(d):
    f = f'{d}/users'
    for args, secret, want, text in (
            ((), None, 2, 'usage'), (('-f', f), None, 2, 'usage'),
            (('-f', f, 'a', 'b'), None, 2, 'usage'),
            (('-f', f, '-d', '-t', 'a'), None, 2, 'usage'),
            (('-f', f, '-i', '4095', 'a'), None, 2, 'from 4096 to 10000000'),
            (('-f', f, '-i', '1e4', 'a'), None, 2, 'from 4096 to 10000000'),
            (('-f', f, 'a'), '', 1, 'empty password'),
            (('-f', f, '-m', 'md5', 'a'), 'x', 1, 'unknown method'),
            (('-f', f, '-m', 'bcrypt', 'a'), 'x' * 73, 1, '72 octets'),
            (('-f', f, 'a:b'), 'x', 1, 'colon'),
            (('-f', f, '-d', 'a'), None, 1, 'No such file'),
            (('-f', f'{d}/no/users', 'a'), 'x', 1, 'No such file')):
        err = passwd(*args, secret=secret, want=want)
        assert text in err, (args, err)
    assert not os.path.exists(f)
    passwd('-f', f, 'a', secret='x')
    assert "no user 'b'" in passwd('-f', f, '-d', 'b', want=1)


def test_a_new_file_that_authd_cannot_read_is_said(d):
    if not ROOT:
        raise Skip('needs root')
    for account, group in ('no-such-account', 'root'), ('daemon', 'daemon'):
        f = f'{d}/{account}'
        with open(f'{d}/m.conf', 'w') as conf:
            conf.write(f'auth_user = "{account}"\n'
                       'ESMTP_Listener { Listen ":25" { } }\n')
        for is_new in True, False:
            p = subprocess.run(
                [f'{BUILD}/mailmillctl', '-c', f'{d}/m.conf', 'passwd', '-f', f,
                 'alice'], input='x\n', capture_output=True, text=True)
            assert p.returncode == 0, p
            is_said = is_new and group == 'root'
            assert (f'{f}: only root can read' in p.stderr) == is_said, p
            assert (account in p.stderr) == is_said, p
            assert grp.getgrgid(os.stat(f).st_gid)[0] == group, account


def test_a_bad_passwd_file_stops_the_start_with_its_line(d):
    with open(f'{d}/users', 'w') as f:
        f.write('alice:*\nbob:$1$abc$def\n')
    s = server(d, f'passwd:{d}/users')
    s.give_to_authd(f'{d}/users')
    does_not_start(s, f'{d}/users:2: a hash of this kind')


def checked(s):
    # the account of the server: under sanitizers it is not root
    account = {'user': s.user, 'group': s.user, 'extra_groups': []}
    p = subprocess.run([f'{BUILD}/mailmilld', '-n', '-f', '-c', s.conf_file],
                       capture_output=True, text=True, timeout=60 * SLOW,
                       **(account if s.user else {}))
    return p.returncode, p.stderr


def test_a_passwd_file_that_cannot_be_read_is_said_before_it_matters(d):
    users = f'{d}/users'
    s = server(d, f'passwd:{users}')
    s.write_conf()
    missing = f"option 'Auth_Backend': {users}: cannot be opened: No such file"
    status, err = checked(s)
    assert status == 78 and missing in err, (status, err)
    does_not_start(s, missing)
    passwd('-f', users, 'alice', secret='one')
    if ROOT:
        # root could read it, authd cannot
        os.chmod(users, 0o400)
        os.chown(users, 0, 0)
        status, err = checked(s)
        assert status == 78 and 'cannot be opened: Permission denied' in err
    s.give_to_authd(users)
    assert checked(s)[0] == 0
    with s:
        plain(s, 'alice', 'one', '235')
        s.write_conf(listener=s.settings['listener'].replace(
            users, f'{users}.gone'))
        p = s.ctl('reload', check=False)
        assert p.returncode == 1 and f'{users}.gone: cannot be' in p.stderr
        plain(s, 'alice', 'one', '235')


def hold_check(s):
    """A reload, and the process of a check of it, stopped, so that it never
    answers.  A check may end before it is stopped: then another reload."""
    end = time.monotonic() + 30 * SLOW
    while time.monotonic() < end:
        known = set(descendants(s.master))
        ctl = subprocess.Popen([f'{BUILD}/mailmillctl', '-c', s.conf_file,
                                'reload'], stderr=subprocess.PIPE, text=True)
        while ctl.poll() is None:
            for p in set(descendants(s.master)) - known:
                with contextlib.suppress(ProcessLookupError):
                    # just forked off it is called as the master
                    while 'mailmilld: master' in cmdline(p):
                        pass
                    if 'mailmilld: check' in cmdline(p):
                        os.kill(p, signal.SIGSTOP)
                        return ctl, p
    raise AssertionError('no check was stopped')


def test_a_check_that_hangs_holds_nobody_up(d):
    users = f'{d}/users'
    passwd('-f', users, 'alice', secret='one')
    with open(users, 'a') as f:             # long: the check takes a moment
        f.writelines(f'user{i}:*\n' for i in range(100000))
    s = server(d, f'passwd:{users}')
    s.give_to_authd(users)

    with s:
        ctl, check = hold_check(s)
        generation = s.ctl_json('status')['generation']
        plain(s, 'alice', 'one', '235')
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail(1)
        worker = s.pids('worker')[0]
        os.kill(worker, signal.SIGKILL)
        wait_for('another worker', lambda: len(
            [p for p in s.ctl_json('status')['processes']
             if (p['role'], p['state']) == ('worker', 'running')]) == 2
            and worker not in s.pids('worker'))
        assert ctl.poll() is None and s.ctl_json('status')['generation'] \
            == generation
        # a second reload replaces the first, and both are answered
        s.ctl('reload')
        assert ctl.wait(20 * SLOW) == 0
        assert check not in descendants(s.master)
        assert s.ctl_json('status')['generation'] == generation + 1
        # a check whose process dies
        ctl, check = hold_check(s)
        generation = s.ctl_json('status')['generation']
        os.kill(check, signal.SIGKILL)
        assert ctl.wait(20 * SLOW) == 1
        assert 'its process has died' in ctl.stderr.read()
        plain(s, 'alice', 'one', '235')
        # a stop of the server ends the check
        ctl, check = hold_check(s)
        generation = s.ctl_json('status')['generation']
        s.stop()                            # reaps all children, also ctl
        assert 'the server is stopping' in ctl.stderr.read()


def test_an_unknown_user_takes_as_long_as_a_wrong_password(d):
    """The bounds are wide, because other programs use the processors too.  A
    failed assertion shows the measured times."""
    users = f'{d}/users'
    passwd('-f', users, 'alice', secret='right')
    s = server(d, f'passwd:{users}')
    s.give_to_authd(users)
    took = {'alice': [], 'nobody': []}
    with s:
        with connect(s) as c:
            offered(c)
        for _ in range(6):
            for name in took:
                with connect(s) as c:
                    t = time.monotonic()
                    r = auth(c, 'PLAIN', f'\0{name}\0wrong')
                    took[name].append(time.monotonic() - t)
                    assert r.startswith('535'), r
    known, unknown = [statistics.median(t) for t in took.values()]
    print(f'wrong password {known:.4f} s, unknown user {unknown:.4f} s')
    assert 1 / 3 < known / unknown < 3, took


# ------------------------------------------------------------------ Dovecot
def dovecot_auth(d, users, more=''):
    """The auth service alone, on the socket d/auth."""
    user = pwd.getpwuid(os.getuid()).pw_name
    group = grp.getgrgid(os.getgid()).gr_name
    me = '' if ROOT else f'''
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
'''
    return Dovecot(d, 'auth', 'auth', users, more=f'''{me}
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 external
auth_failure_delay = 0
auth_verbose = yes
auth_ssl_username_from_cert = yes
{more}''')


USERS = 'alice:{PLAIN}geheim\noff:{PLAIN}geheim::::::nologin\n'


def test_dovecot_does_the_mechanisms(d):
    with dovecot_auth(d, USERS) as dovecot, server(
            d, f'dovecot:{dovecot.socket}',
            ('SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'LOGIN')) as s:
        plain(s, 'alice', 'geheim', '235')
        for name, password in (('alice', 'x'), ('nobody', 'geheim'),
                               ('off', 'geheim'), ('alice', '')):
            plain(s, name, password, '5')
        for secret, code in ('geheim', '235'), ('x', '535 5.7.8'):
            for hash, mech in (('sha256', 'SCRAM-SHA-256'),
                               ('sha1', 'SCRAM-SHA-1')):
                with connect(s) as c:
                    r = Scram(hash, name='alice', password=secret).play(
                        c, mech)
                    assert r.startswith(code), (mech, secret, r)
            with connect(s) as c:
                r = auth(c, 'LOGIN', None, b'alice', secret.encode())
                assert r.startswith(code), (secret, r)
        # Dovecot was told the client's address
        with connect(s) as c:
            r = Scram(name='nobody', password='x').play(c, 'SCRAM-SHA-256')
            assert r.startswith('535'), r
        with open(f'{d}/dovecot.log') as f:
            log = f.read()
        assert '127.0.0.1' in log and 'geheim' not in log, log
        assert 'geheim' not in s.log()


def test_many_at_once_by_dovecot(d):
    with dovecot_auth(d, USERS) as dovecot, server(
            d, f'dovecot:{dovecot.socket}') as s:
        bad = []

        def work():
            for _ in range(10):
                try:
                    plain(s, 'alice', 'geheim', '235')
                except BaseException as e:
                    bad.append(e)
        threads = [threading.Thread(target=work) for _ in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not bad, bad[:3]


def test_dovecot_comes_and_goes(d):
    dovecot = dovecot_auth(d, USERS)
    with server(d, f'dovecot:{dovecot.socket}',
                conf='auth_timeout = 2\n') as s:
        plain(s, 'alice', 'geheim', '454 4.7.0')
        s.logged('is Dovecot running')
        with dovecot:
            plain(s, 'alice', 'geheim', '235')
        plain(s, 'alice', 'geheim', '454 4.7.0')
        with dovecot:
            plain(s, 'alice', 'geheim', '235')
            # a Dovecot that hangs
            pids = descendants(dovecot.proc.pid) + [dovecot.proc.pid]
            for p in pids:
                os.kill(p, signal.SIGSTOP)
            plain(s, 'alice', 'geheim', '454 4.7.0')
            for p in pids:
                os.kill(p, signal.SIGCONT)
            plain(s, 'alice', 'geheim', '235')


# ------------------------------------------------------------------ PAM
@contextlib.contextmanager
def pam(d, text, name='mailmill-test'):
    """A service in an /etc/pam.d of this process and its children alone."""
    unshare_mounts()
    mount_tmpfs('/etc/pam.d', '1m')
    with open(f'/etc/pam.d/{name}', 'w') as f:
        f.write(text)
    with open('/etc/pam.d/other', 'w') as f:
        f.write('auth required pam_deny.so\naccount required pam_deny.so\n')
    yield f'pam:{name}'


def check_script(d):
    """A script for pam_exec that writes what it is told to a file: in a folder
    without the sticky bit, in which Linux protects files of other accounts."""
    path = f'{d}/check'
    os.mkdir(f'{d}/told')
    os.chmod(f'{d}/told', 0o777)
    with open(path, 'w') as f:
        f.write(f'''#!/bin/sh
[ "$PAM_TYPE" = auth ] || exit 0
read -r password
echo "$PAM_USER $PAM_RHOST $PAM_TTY $PAM_SERVICE" >> {d}/told/asked
[ "$PAM_USER" = alice ] && [ "$password" = geheim ]
''')
    os.chmod(path, 0o755)
    with open(f'{d}/told/asked', 'w'):
        os.chmod(f'{d}/told/asked', 0o666)
    return path


def script_rules(check):
    """pam_exec returns a system error when the script fails: turn that into a
    refusal."""
    return ('auth [success=done default=ignore] pam_exec.so expose_authtok '
            f'quiet {check}\n'
            'auth required pam_deny.so\naccount required pam_permit.so\n')


def test_pam_checks_the_password(d):
    check = check_script(d)
    with pam(d, script_rules(check)) as backend:
        with server(d, backend) as s:
            with connect(s) as c:
                assert sorted(offered(c)) == ['LOGIN', 'PLAIN'], offered(c)
            plain(s, 'alice', 'geheim', '235')
            plain(s, 'alice', 'x', '535 5.7.8')
            plain(s, 'nobody', 'geheim', '535 5.7.8')
            with connect(s) as c:
                assert auth(c, 'LOGIN', None, b'alice',
                            b'geheim').startswith('235')
    with open(f'{d}/told/asked') as f:
        asked = f.read().split('\n')
    assert asked[0] == 'alice 127.0.0.1 smtp mailmill-test', asked


def test_pam_account_may_be_closed_and_a_failing_module_is_no_verdict(d):
    with pam(d, 'auth required pam_permit.so\naccount required pam_deny.so\n'
             ) as backend:
        with server(d, backend) as s:
            plain(s, 'alice', 'x', '535 5.7.8')
            with open('/etc/pam.d/mailmill-test', 'w') as f:
                f.write('auth required pam_permit.so\n'
                        'account required pam_permit.so\n')
            plain(s, 'alice', 'x', '235')
            with open('/etc/pam.d/mailmill-test', 'w') as f:
                f.write('auth required pam_no_such_module.so\n')
            plain(s, 'alice', 'x', '454 4.7.0')
            s.logged('event=pam-failed')


def test_pam_failures_take_as_long_as_the_slowest_check(d):
    check = check_script(d)
    with open(check, 'a') as f:
        f.write('status=$?\n[ "$PAM_USER" = alice ] && sleep 0.4\n'
                'exit $status\n')
    with pam(d, script_rules(check)) as backend:
        with server(d, backend) as s:
            plain(s, 'alice', 'geheim', '235')
            for name in 'nobody', 'alice', 'other':
                with connect(s) as c:
                    t = time.monotonic()
                    assert auth(c, 'PLAIN', f'\0{name}\0x').startswith('535')
                    t = time.monotonic() - t
                assert t >= 0.35, (name, t)


def test_pam_with_several_logins_at_once(d):
    check = check_script(d)
    with pam(d, script_rules(check)) as backend:
        with server(d, backend) as s:
            bad = []

            def work(n):
                for i in range(5):
                    try:
                        ok = (n + i) % 2
                        plain(s, 'alice', 'geheim' if ok else 'x',
                              '235' if ok else '535')
                    except BaseException as e:
                        bad.append(e)
            threads = [threading.Thread(target=work, args=(n,))
                       for n in range(6)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert not bad, bad[:3]


def test_a_pam_service_without_a_file_is_said(d):
    with pam(d, 'auth required pam_deny.so\n'):
        s = server(d, 'pam:no-such-service')
        does_not_start(s, '/etc/pam.d/no-such-service: there is no such file')
        assert re.search(f"{re.escape(s.conf_file)}:[0-9]+:[0-9]+: option "
                         "'Auth_Backend'", s.log_now()), s.log_now()
