"""Private keys: in keyd and nowhere else, and what happens without it."""
import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from harness import (NOT_AS_ROOT, ROOT, SANITIZE, SLOW, Client, Server, Skip,
                     cmdline, descendants, free_port, lasts, wait_for)
from keys import (context, der, found_in, handshake, make_pair, openssl,
                  served, tls_conf, traces)

V2, V3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def owner():
    """The account that owns keys: the one that starts the server."""
    return 65534 if NOT_AS_ROOT else None


def server(d, names=('ec',), conf='', listener='', **kw):
    for n in names:
        if not os.path.exists(f'{d}/{n}.crt'):
            make_pair(d, n, {'ec': 'p256', 'rsa': 'rsa'}.get(n, 'ed25519'),
                      owner=owner())
    s = Server(d, conf='tls_check_interval = 1\n' + conf,
               listener=tls_conf(d, *names) + listener, **kw)
    # the listener of the harness has no TLS
    s.tls_port = free_port()
    s.settings['listener'] += (f'\nListen "127.0.0.1:{s.tls_port}" '
                               f'{{ Use_SSL = true }}\n')
    s.write_conf()
    return s


def keyds(s):
    return s.pids('mailmilld: keyd')


def need_root():
    if not ROOT or SANITIZE:
        raise Skip('reads the memory of other processes: needs root, and '
                   'processes of usual size')


def many_handshakes(port, n, ctxs):
    def some(k):
        for i in range(k, n, 4):
            handshake(port, ctxs[i % len(ctxs)]).close()
    errors = []

    def caught(k):
        try:
            some(k)
        except BaseException as e:
            errors.append(e)
    threads = [threading.Thread(target=caught, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors[:3]


@lasts(15)
def test_no_part_of_a_key_is_outside_of_keyd(d):
    need_root()
    with server(d, ('ec', 'rsa', 'ed'), as_root=True) as s:
        many_handshakes(s.tls_port, 1000, [
            context(V3), context(V2), context(V2, 'ECDHE-RSA-AES128-GCM-SHA256'),
            context(V2, 'ECDHE-ECDSA-AES128-GCM-SHA256')])
        for algorithm in ('ed25519', 'rsa_pss_rsae_sha256'):
            out = openssl('s_client', '-connect', f'127.0.0.1:{s.tls_port}',
                          '-sigalgs', algorithm, '-tls1_3', '-brief',
                          input=b'QUIT\r\n')
            assert out is not None
        c = s.stats()
        assert c['key_signatures'] >= 1002, c
        assert c['tls_handshakes_failed'] == 0, c
        wanted = {n: list(traces(f'{d}/{n}.key')) for n in ('ec', 'rsa', 'ed')}
        mine = keyds(s)
        assert len(mine) == 1
        roles = set()
        for pid in [s.master] + descendants(s.master):
            title = cmdline(pid)
            roles.add(title.split()[1])
            for name, w in wanted.items():
                found, octets = found_in(pid, w)
                assert octets > 1 << 20, (title, octets)
                if pid not in mine:
                    assert not found, f'{name} in {title}: {found}'
                    continue
                assert found, f'{name} is not even in keyd'
                assert 'text' not in found, f'{name}: its text is in keyd'
        assert {'keyd', 'worker', 'queue', 'deliver'} <= roles, roles


def test_a_key_beside_its_certificate_is_refused_and_forgotten(d):
    need_root()
    with server(d, as_root=True) as s:
        make_pair(d, 'both', owner=owner())
        with open(f'{d}/both.crt', 'a') as a, open(f'{d}/both.key') as b:
            a.write(b.read())
        s.settings['listener'] = s.settings['listener'].replace(
            f'{d}/ec.', f'{d}/both.')
        s.write_conf()
        s.signal(signal.SIGHUP)
        s.logged('reload-failed')
        s.logged('both.crt: contains a private key')
        wanted = list(traces(f'{d}/both.key'))
        for pid in [s.master] + descendants(s.master):
            found, _ = found_in(pid, wanted)
            assert not found, f'{cmdline(pid)}: {found}'


def status_of(pid):
    with open(f'/proc/{pid}/status') as f:
        return dict(re.findall(r'^(\w+):[ \t]*(.*)$', f.read(), re.M))


def test_keyd_reaches_nothing(d):
    need_root()
    with server(d, as_root=True) as s:
        pid, = keyds(s)
        root = os.readlink(f'/proc/{pid}/root')
        assert root == f'{s.spool}/empty', root
        assert os.listdir(root) == []
        st = os.stat(root)
        assert st.st_uid == 0 and st.st_mode & 0o022 == 0, oct(st.st_mode)
        status = status_of(pid)
        uid = set(status['Uid'].split())
        assert len(uid) == 1 and uid != {'0'}, uid
        for other in [s.master] + descendants(s.master):
            if other != pid:
                assert not uid & set(status_of(other)['Uid'].split())
        assert status['Groups'].strip() == '', status['Groups']
        assert status['NoNewPrivs'] == '1'
        assert int(status['CapEff'], 16) == 0
        assert int(status['CapPrm'], 16) == 0
        for fd in os.listdir(f'/proc/{pid}/fd'):
            what = os.readlink(f'/proc/{pid}/fd/{fd}')
            assert (re.match(r'socket:|anon_inode:\[?(signalfd|eventfd|'
                             r'eventpoll)', what)
                    or what in ('/dev/null', s.stderr)
                    # its messages, which the master copies
                    or (fd == '2' and what.startswith('pipe:'))), (fd, what)
        assert os.readlink(f'/proc/{pid}/fd/1') == '/dev/null'
        # another process of the same account could not read its memory
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(int(status['Gid'].split()[0]))
            os.setuid(int(uid.pop()))
            try:
                open(f'/proc/{pid}/mem', 'rb')
                os._exit(1)
            except PermissionError:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


def test_pages_with_keys_are_locked(d):
    """Also where the limit of locked memory is the usual one."""
    if SANITIZE:
        raise Skip('another malloc')
    with server(d) as s:
        handshake(s.tls_port).close()
        pid, = keyds(s)
        with open(f'/proc/{pid}/status') as f:
            locked = int(re.search(r'^VmLck:\s+(\d+)', f.read(), re.M)[1])
        assert locked >= 2048, locked
        assert 'step=lock-memory' not in s.log(), s.log()


def test_without_certificates_there_is_no_keyd(d):
    with Server(d) as s:
        assert keyds(s) == []
        assert os.listdir(f'{s.spool}/empty') == []


@contextlib.contextmanager
def stopped(pids):
    for p in pids:
        os.kill(p, signal.SIGSTOP)
    try:
        yield
    finally:
        for p in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(p, signal.SIGCONT)


def begin_handshakes(port, n):
    """Handshakes in progress; the result of each."""
    ends = []

    def one():
        try:
            handshake(port, timeout=30).close()
            ends.append('done')
        except (ssl.SSLError, ConnectionError, EOFError) as e:
            ends.append(type(e).__name__)
        except BaseException as e:
            ends.append(f'? {e!r}')
    threads = [threading.Thread(target=one) for _ in range(n)]
    for t in threads:
        t.start()
    return threads, ends


def test_keyd_that_pauses_delays_handshakes_and_nothing_else(d):
    with server(d) as s:
        with stopped(keyds(s)):
            threads, ends = begin_handshakes(s.tls_port, 10)
            with Client(s.port) as c:
                c.hello()
                c.mail(b'Subject: x\r\n\r\nx\r\n')
            time.sleep(0.3)
            assert ends == [], ends
        for t in threads:
            t.join()
        assert ends == ['done'] * 10, ends
        s.wait_mail(1)
        assert s.stats()['tls_handshakes_failed'] == 0


def test_keyd_killed_in_the_middle_costs_only_handshakes_under_way(d):
    with server(d) as s:
        workers = sorted(s.pids('mailmilld: worker'))
        pid, = keyds(s)
        with handshake(s.tls_port) as before, stopped([pid]):
            threads, ends = begin_handshakes(s.tls_port, 10)
            # the worker has asked for all signatures, or will find that keyd has gone
            time.sleep(0.5)
            os.kill(pid, signal.SIGKILL)
            for t in threads:
                t.join()
            assert len(ends) == 10
            assert all(e == 'done' or not e.startswith('?') for e in ends), ends
            # a session whose handshake is done needs no keyd
            before.sendall(b'NOOP\r\n')
        wait_for('another keyd', lambda: keyds(s) and keyds(s) != [pid])

        def works():
            with contextlib.suppress(OSError):
                handshake(s.tls_port).close()
                return True
        wait_for('handshakes', works)
        many_handshakes(s.tls_port, 20, [context()])
        assert sorted(s.pids('mailmilld: worker')) == workers
        c = s.stats()
        assert c['tls_failed_key'] >= 1, c
        assert c['tls_failed_key'] == c['tls_handshakes_failed'], c


def test_keyd_killed_again_and_again(d):
    with server(d, ('ec', 'rsa')) as s:
        end = time.monotonic() + 5 * SLOW
        kills = 0
        while time.monotonic() < end:
            threads, ends = begin_handshakes(s.tls_port, 4)
            for p in keyds(s):
                os.kill(p, signal.SIGKILL)
                kills += 1
            for t in threads:
                t.join()
            assert all(not e.startswith('?') for e in ends), ends
        assert kills > 2

        def works():
            with contextlib.suppress(OSError):
                handshake(s.tls_port).close()
                return True
        wait_for('handshakes', works, 60)


def test_a_damaged_key_in_place_leaves_the_old_one_in_use(d):
    with server(d) as s:
        old = served(s.tls_port)
        assert old == der(f'{d}/ec.crt')
        os.rename(f'{d}/ec.key', f'{d}/kept.key')
        with open(f'{d}/ec.key', 'w') as f:
            f.write('-----BEGIN PRIVATE KEY-----\nAAAA\n'
                    '-----END PRIVATE KEY-----\n')
        s.logged(f'{d}/ec.key')
        assert served(s.tls_port) == old
        many_handshakes(s.tls_port, 10, [context()])
        # and a good pair is used again
        make_pair(d, 'ec', owner=owner())
        wait_for('the new certificate',
                 lambda: served(s.tls_port) == der(f'{d}/ec.crt'))
        many_handshakes(s.tls_port, 10, [context()])
        assert s.stats()['tls_handshakes_failed'] == 0


def test_keys_changed_in_place_are_picked_up_though_keyd_dies_meanwhile(d):
    with server(d) as s:
        make_pair(d, 'new', owner=owner())
        with stopped(keyds(s)):
            for end in 'crt', 'key':
                os.chmod(f'{d}/ec.{end}', 0o644 if end == 'crt' else 0o600)
                with open(f'{d}/new.{end}') as a, \
                        open(f'{d}/ec.{end}', 'w') as b:
                    b.write(a.read())
            # from now on no file holds the key in use
            for p in keyds(s):
                os.kill(p, signal.SIGKILL)

        def is_new():
            with contextlib.suppress(OSError):
                return served(s.tls_port) == der(f'{d}/new.crt')
        wait_for('the new certificate', is_new, 30)


def test_more_signatures_than_key_rate_wait(d):
    with server(d, conf='key_rate = 20', workers=1) as s:
        begin = time.monotonic()
        many_handshakes(s.tls_port, 60, [context()])
        took = time.monotonic() - begin
        # two at once, then twenty a second
        assert took > 2.5, took
        assert s.stats()['tls_handshakes_failed'] == 0


def test_several_keyds_share_the_workers(d):
    with server(d, conf='keyds = 2', workers=3) as s:
        assert len(keyds(s)) == 2
        many_handshakes(s.tls_port, 50, [context()])
        s.signal(signal.SIGHUP)
        wait_for('the reload', lambda: s.stats()['reloads'] == 1)
        many_handshakes(s.tls_port, 50, [context()])
        wait_for('the old ones to end', lambda: len(keyds(s)) == 2)
        assert s.stats()['tls_handshakes_failed'] == 0


def test_a_session_s_handshake_outlives_a_reload(d):
    """STARTTLS in a session of the old configuration."""
    with server(d) as s:
        with Client(s.port) as c:
            c.hello()
            old = keyds(s)
            s.signal(signal.SIGHUP)
            wait_for('the reload', lambda: s.stats()['reloads'] == 1)
            c.send(b'STARTTLS\r\n')
            if c.reply().startswith('421'):
                return
            tls = context().wrap_socket(c.s, server_hostname='mx')
            tls.close()
            wait_for('its keyd to end', lambda: not set(old) & set(keyds(s)))
