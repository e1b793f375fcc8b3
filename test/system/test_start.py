"""What a start needs: -n and the start find the same missing, before it detaches;
the lock, the folder, what a service manager is told."""
import ctypes
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess

from harness import NOBODY, ROOT, SLOW, Client, Server, Skip, wait_for


def run(s, *args, **kw):
    """mailmilld as a command that ends; (status, output)."""
    p = subprocess.run([s.program, *args], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=60 * SLOW, **kw)
    return p.returncode, p.stdout


def become():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def check(s, *args):
    return run(s, '-n', '-f', '-c', s.conf_file, *args,
               preexec_fn=become if s.user else None)


def ends(s, *args):
    """A start that fails; it must not leave a process behind."""
    got = run(s, '-f', '-c', s.conf_file, *args,
              preexec_fn=become if s.user else None)
    s.no_process_left()
    return got


def test_n_refuses_what_the_start_refuses(d):
    taken = socket.socket()
    taken.bind(('127.0.0.1', 0))
    taken.listen()
    port = taken.getsockname()[1]
    open(f'{d}/file', 'w').close()
    os.mkdir(f'{d}/folder')
    s = Server(d)
    status, text = check(s)
    assert status == 0, (status, text)
    listen = 'ESMTP_Listener { Listen "%s" { } }'
    for change, what, start_status in (
            ({'extra': listen % f'127.0.0.1:{port}'}, f'127.0.0.1:{port}', 1),
            ({'log': f'{d}/no/such/log'}, 'log', 78),
            ({'log': f'{d}/folder'}, 'log', 78),
            ({'conf': ''}, None, 0),
            ({'extra': listen % f'*:{s.port}'}, 'in common', 78),
            ({'extra': listen % f'0.0.0.0:{s.port}'}, 'in common', 78),
            ({'extra': listen % '[::ffff:127.0.0.1]:2525'}, 'IPv4', 78),
            ({'extra': (listen % f'[::1]:{port}') +
              (listen % f'[::]:{port}')}, 'in common', 78),
            # a link's address without the link, and sockets in bad places
            ({'extra': listen % f'[fe80::1]:{port}'}, 'Invalid argument', 78),
            ({'extra': listen % f'unix:{d}/no/such/sock'}, 'No such file', 78),
            ({'extra': listen % f'unix:{d}/file/sock'}, 'Not a directory', 78),
            ({'extra': listen % f'unix:{d}/file'}, 'file', 78),
            ({'extra': listen % 'unix:/tmp/sock'}, 'other accounts', 78),
            ({'extra': f'ESMTP_Listener {{ Listen "unix:{d}/sock" '
              '{ File_Owner = "no-such-account" } }'}, 'File_Owner', 78)):
        s.write_conf(**change)
        status, text = check(s)
        assert (status == 0) == (what is None), (change, status, text)
        if what is None:
            continue
        assert status == 78 and what in text, (change, status, text)
        assert f'{s.conf_file}:' in text, text
        status, text = ends(s)
        assert status == start_status and what in text, (change, status, text)
    taken.close()
    s.write_conf()
    for name, value in (('spool', f'{d}/file'), ('control', f'{d}/file'),
                        ('pidfile', f'{d}/folder'),
                        ('spool', f'{d}/file/x'),
                        ('control', f'{d}/no/such/socket'),
                        ('pidfile', f'{d}/no/such/pid')):
        for f in (check, ends):
            status, text = f(s, '-D', f'{name}={value}')
            assert status == 78, (f, name, value, status, text)
            assert value in text, (f, name, value, text)
    # nothing has been made, and it starts
    assert not os.path.exists(f'{d}/no')
    with s:
        with Client(s.port) as c:
            c.hello()


def test_a_role_folder_that_is_none_is_found_by_both(d):
    s = Server(d)
    os.makedirs(f'{s.spool}/empty', exist_ok=True)
    if s.user:
        os.chown(s.spool, s.user, s.user)
        os.chown(f'{s.spool}/empty', s.user, s.user)
    with open(f'{s.spool}/empty/x', 'w'):
        pass
    for f in (check, ends):
        status, text = f(s)
        assert status == 78 and 'empty' in text, (f, status, text)


def test_an_unknown_account_is_found_by_both(d):
    if not ROOT:
        raise Skip('needs root')
    s = Server(d, conf='user = "nobody" queue_user = "daemon" '
               'delivery_user = "no-such-account"', as_root=True,
               log=f'{d}/log')
    for args in (['-n', '-c', s.conf_file], ['-c', s.conf_file]):
        status, text = run(s, *args)
        assert status == 78 and 'no-such-account' in text, (status, text)
        assert f'{s.conf_file}:7:' in text, text
    s.no_process_left()


def test_a_spool_that_the_queue_cannot_reach_is_found_by_both(d):
    if not ROOT:
        raise Skip('needs root')
    os.makedirs(f'{d}/closed/spool')
    os.chmod(f'{d}/closed', 0o700)
    s = Server(d, as_root=True, spool=f'{d}/closed/spool')
    for f in (check, ends):
        status, text = f(s)
        assert status == 78 and f'{d}/closed' in text, (f, status, text)
        assert f'{s.conf_file}:' in text, text


def test_a_start_that_fails_leaves_a_pid_file_as_it_was(d):
    with Server(d) as s:
        with open(f'{d}/other', 'w') as f:
            f.write('123456\n')
        status, text = run(s, '-f', '-c', s.conf_file, '-D',
                           f'pidfile={d}/other', '-D', f'control={d}/c2',
                           preexec_fn=become if s.user else None)
        assert status == 1 and str(s.port) in text, (status, text)
        with open(f'{d}/other') as f:
            assert f.read() == '123456\n'


def test_what_may_come_later_is_refused_by_n_and_warned_of_at_the_start(d):
    s = Server(d, listener=f'Auth_Backend = "dovecot:{d}/auth" '
               'Auth_Without_TLS = true', extra='Domain "b.test" { Maildir = '
               f'"{d}/later/%u" }}', listen='')
    status, text = check(s)
    assert status == 78, (status, text)
    assert re.search(r":\d+:\d+: option 'Maildir'.*/later", text), text
    assert re.search(r":\d+:\d+: option 'Auth_Backend'.*/auth", text), text
    with s:
        with Client(s.port) as c:
            c.hello()
        s.logged('/later')
        s.logged('/auth')


def test_n_beside_the_running_server_of_the_same_configuration(d):
    with Server(d) as s:
        status, text = check(s)
        assert status == 0, (status, text)
        # the address is in use by another one: this one has another pid file
        status, text = check(s, '-D', f'pidfile={d}/other.pid')
        assert status == 78 and str(s.port) in text, (status, text)
        with Client(s.port) as c:
            c.hello()


def test_n_without_root_says_what_it_has_not_checked(d):
    if not ROOT:
        raise Skip('needs root')
    s = Server(d, as_root=True)
    os.chmod(d, 0o755)
    s.write_conf(extra='ESMTP_Listener { Listen "127.0.0.1:24" { } }')
    status, text = run(s, '-n', '-c', s.conf_file, preexec_fn=become)
    assert status == 0, (status, text)
    for what in ('accounts', 'spool', 'pidfile', 'control'):
        assert re.search(f'not checked.*{what}', text), (what, text)


def comes_up_later(d, address, add):
    """In a network of its own, whose only interface is lo."""
    if not ROOT:
        raise Skip('needs root')
    if ctypes.CDLL(None).unshare(0x40000000) != 0:      # CLONE_NEWNET
        raise Skip('no network namespace here')
    with socket.socket() as x:                          # lo is up
        fcntl.ioctl(x, 0x8914, struct.pack('16sH14x', b'lo', 0x49))
    text = f'[{address}]:2525' if ':' in address else f'{address}:2525'
    s = Server(d, extra=f'ESMTP_Listener {{ Listen "{text}" {{ }} }}')
    status, said = check(s)
    assert status == 78 and text in said, (status, said)
    with s:
        s.logged('event=listen-absent')
        add()
        with socket.create_connection((address, 2525), 10) as c:
            assert c.recv(3) == b'220'


def test_an_address_that_comes_up_later_is_served_then(d):
    def add():
        with socket.socket() as x:                      # SIOCSIFADDR
            fcntl.ioctl(x, 0x8916, struct.pack(
                '16sHH4s8x', b'lo:1', socket.AF_INET, 0,
                socket.inet_aton('192.0.2.1')))
    comes_up_later(d, '192.0.2.1', add)


def test_an_ipv6_address_that_comes_up_later_is_served_then(d):
    if not os.path.exists('/proc/net/if_inet6'):
        raise Skip('no IPv6 here')

    def add():                                          # struct in6_ifreq
        with socket.socket(socket.AF_INET6) as x:
            fcntl.ioctl(x, 0x8916, struct.pack(
                '=16sIi', socket.inet_pton(socket.AF_INET6, '2001:db8::25'),
                128, socket.if_nametoindex('lo')))
    comes_up_later(d, '2001:db8::25', add)


def hold(*names):
    """An ordinary user's process that locks those of the files that it can open;
    its process id, and how many those were."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setuid(NOBODY - 1)
        held = []
        for name in names:
            try:
                held.append(os.open(name, os.O_RDONLY))
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass
        os.write(w, bytes([len(held)]))
        signal.pause()
        os._exit(0)
    os.close(w)
    n = os.read(r, 1)[0]
    os.close(r)
    return pid, n


def test_who_can_read_the_pid_file_cannot_block_a_start(d):
    """flock(2) needs no more than an open descriptor."""
    s = Server(d, user=NOBODY if ROOT else None)
    pidfile, lock = s.pidfile, s.pidfile + '.lock'
    holder = None
    with s:
        assert os.stat(pidfile).st_mode & 0o777 == 0o644
        assert os.stat(lock).st_mode & 0o777 == 0o600
        if ROOT:
            holder, n = hold(pidfile, lock)
            # the pid file, whose lock is of no use to it
            assert n == 1, n
        os.kill(s.master, signal.SIGKILL)
        s.no_process_left()
        # a stale pid file and a stale lock
        assert os.path.exists(pidfile) and os.path.exists(lock)
        s.start()
        with Client(s.port) as c:
            c.hello()
    if holder:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


def test_links_and_open_modes_in_place_of_the_lock_are_refused(d):
    s = Server(d)
    precious = f'{d}/precious'
    with open(precious, 'w') as f:
        f.write('precious')
    lock = s.pidfile + '.lock'
    os.symlink(precious, lock)
    for f in (check, ends):
        status, text = f(s)
        assert status in (1, 78) and 'pidfile' in text, (f, status, text)
    os.unlink(lock)
    # one that others may open: they may hold its lock
    with open(lock, 'w'):
        pass
    os.chmod(lock, 0o644)
    if s.user:
        os.chown(lock, s.user, s.user)
    for f in (check, ends):
        status, text = f(s)
        assert status in (1, 78) and 'pidfile' in text, (f, status, text)
    os.unlink(lock)
    # a link in the pid file's place is replaced, not followed
    os.symlink(precious, s.pidfile)
    if s.user:
        os.lchown(s.pidfile, s.user, s.user)
    with s:
        assert not os.path.islink(s.pidfile)
    with open(precious) as f:
        assert f.read() == 'precious'


def test_the_daemon_leaves_the_folder_it_was_started_in(d):
    s = Server(d, user=NOBODY if ROOT else None, log=f'{d}/log')
    os.mkdir(f'{d}/stick')
    os.rename(s.conf_file, f'{d}/stick/m.conf')
    status, text = run(s, '-c', 'm.conf', cwd=f'{d}/stick',
                       preexec_fn=become if s.user else None)
    assert status == 0, (status, text)
    with open(s.pidfile) as f:
        s.master = int(f.read())
    for pid in [s.master]:
        assert os.readlink(f'/proc/{pid}/cwd') == '/'
    # and still finds its configuration
    os.kill(s.master, signal.SIGHUP)
    wait_for('the reload', lambda: 'event=reloaded' in open(f'{d}/log').read())
    os.kill(s.master, signal.SIGTERM)
    s.no_process_left()


def test_a_service_manager_is_told(d):
    for abstract in (False, True):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
            name = f'@mailmill-{os.getpid()}' if abstract else f'{d}/notify'
            n.bind(name.replace('@', '\0'))
            n.settimeout(20 * SLOW)
            if not abstract:
                os.chmod(name, 0o666)

            def told():
                text = n.recv(4096).decode()
                assert all('=' in x for x in text.split('\n')), text
                return dict(x.split('=', 1) for x in text.split('\n'))
            # where a service manager watches, root's needs its accounts
            s = Server(d, user=NOBODY if ROOT else None)
            os.environ['NOTIFY_SOCKET'] = name
            try:
                s.start()
            finally:
                del os.environ['NOTIFY_SOCKET']
            m = told()
            assert m['READY'] == '1' and m['MAINPID'] == str(s.master), m
            s.write_conf(conf='no_such_setting = 1')
            assert s.ctl('reload', check=False).returncode != 0
            m = told()
            assert m['RELOADING'] == '1' and int(m['MONOTONIC_USEC']) > 0, m
            m = told()
            assert m['READY'] == '1' and 'no_such_setting' in m['STATUS'], m
            s.write_conf()
            s.ctl('reload')
            assert told()['RELOADING'] == '1'
            m = told()
            assert m['READY'] == '1' and m['STATUS'] == 'ready', m
            # the children have nothing to say there; those of before the
            # reload are ending
            for kid in wait_for('the old workers to end', lambda: (
                    kids := s.pids('worker')) and len(kids) == 2 and kids):
                with open(f'/proc/{kid}/environ', 'rb') as f:
                    assert b'NOTIFY_SOCKET' not in f.read()
            s.stop()
            assert told()['STOPPING'] == '1'


def test_an_open_relay_is_warned_of_but_not_one_of_a_peer(d):
    for name, conf, is_open in (
            ('all', {'listener': 'Open_Relay = true'}, True),
            ('listen', {'listen': 'Open_Relay = true'}, True),
            ('peer', {'listen': 'Peer "192.0.2.0/24" { Open_Relay = true }'},
             False)):
        os.mkdir(f'{d}/{name}')
        with Server(f'{d}/{name}', **conf) as s:
            s.logged('event=open-relay', is_open)
            lines = re.findall('warning.* event=open-relay .*', s.log())
            assert len(lines) == is_open, s.log()
            for line in lines:
                assert f'listener=127.0.0.1:{s.port}' in line and \
                    'Open_Relay' in line and s.conf_file in line, line
            s.ctl('reload')
            s.logged('event=open-relay', 2 * is_open)
            assert s.log().count('event=open-relay') == 2 * is_open, s.log()


def test_trust_in_all_clients_is_warned_of_but_not_in_a_peer(d):
    for option in ('Allow_XCLIENT = true', 'Allow_XCONTEXT = true',
                   'VRFY_Policy = "lookup"', 'EXPN_Policy = "lookup"'):
        name = option.split()[0]
        os.mkdir(f'{d}/{name}')
        for conf, n in ((option, 1), (f'Peer "192.0.2.0/24" {{ {option} }}', 0)):
            os.mkdir(f'{d}/{name}/{n}')
            with Server(f'{d}/{name}/{n}', listen=conf) as s:
                s.logged('event=trusts-all', n)
                lines = re.findall('warning.* event=trusts-all .*', s.log())
                assert len(lines) == n, s.log()
                for line in lines:
                    assert name in line and s.conf_file in line, line
