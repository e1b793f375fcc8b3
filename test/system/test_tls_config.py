"""Certificates and keys as an administrator meets them: bad ones, renewed ones,
those that end soon, and the tickets of all workers."""
import os
import re
import signal
import subprocess
import time

import keys
from harness import NOBODY, NOT_AS_ROOT, SLOW, Client, Server, wait_for

OWNER = NOBODY if NOT_AS_ROOT else None
QUICK = 'tls_check_interval = 1\n'


def pair(d, name, **kw):
    crt, key = keys.make_pair(d, name, owner=OWNER, **kw)
    # with an old time, so that it is not taken for a file still being written
    for f in crt, key:
        os.utime(f, (time.time() - 100,) * 2)
    return crt, key


def put(src, dst):
    """As ACME clients do: another file in its place."""
    os.rename(src, dst)


def server(d, *names, conf='', **kw):
    """STARTTLS on its port."""
    return Server(d, conf=QUICK + conf, listener=keys.tls_conf(d, *names),
                  log=f'{d}/log', **kw)


def logged(d, word):
    try:
        with open(f'{d}/log', errors='replace') as f:
            return [line for line in f if word in line]
    except FileNotFoundError:
        return []


def s_client(port, *args):
    """STARTTLS, QUIT; what s_client says."""
    p = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port}',
                        '-starttls', 'smtp', '-ign_eof', '-crlf', *args],
                       input='QUIT\n', capture_output=True, text=True,
                       timeout=30 * SLOW)
    assert p.returncode == 0, (p.stdout, p.stderr)
    return p.stdout


def serial_of(crt):
    return keys.openssl('x509', '-in', crt, '-noout', '-serial').decode()


def served(port):
    out = s_client(port)
    begin = out.index('-----BEGIN CERTIFICATE')
    end = '-----END CERTIFICATE-----\n'
    return keys.openssl('x509', '-noout', '-serial', input=out[
        begin:out.index(end) + len(end)].encode()).decode()


def bad_pairs(d):
    """(certificate, key, the file at fault, a word of the reason)"""
    a, ak = pair(d, 'a')
    b, bk = pair(d, 'b')
    with open(f'{d}/text', 'w') as f:
        f.write('hello\n')
    open(f'{d}/empty', 'w').close()
    os.mkfifo(f'{d}/fifo')
    return [(a, bk, bk, 'does not belong'),
            (f'{d}/none', ak, f'{d}/none', 'No such file'),
            (a, f'{d}/none', f'{d}/none', 'No such file'),
            (f'{d}/text', ak, f'{d}/text', ''),
            (a, f'{d}/text', f'{d}/text', ''),
            (f'{d}/empty', ak, f'{d}/empty', 'is empty'),
            (a, d, d, 'regular file'),
            (a, f'{d}/fifo', f'{d}/fifo', 'regular file'),
            (ak, ak, ak, 'private key')]


def listener(crt, key):
    return f'TLS_Certificate = "{crt}"\nTLS_Key = "{key}"\n'


def test_a_bad_pair_stops_the_start_and_the_check(d):
    s = Server(d)
    for crt, key, at_fault, why in bad_pairs(d):
        s.write_conf(listener=listener(crt, key))
        for flag in '-n', '-f':
            p = subprocess.run(s.command(flag), capture_output=True,
                               text=True, timeout=30 * SLOW,
                               preexec_fn=s._before_exec)
            assert p.returncode == 78, (crt, key, p)
            assert f'{at_fault}: ' in p.stderr and why in p.stderr, p
            assert re.search(f"{re.escape(s.conf_file)}:[0-9]+:[0-9]+: option "
                             "'TLS_(Certificate|Key)'", p.stderr), p


def test_a_bad_pair_stops_a_reload_and_the_old_one_stays(d):
    rows = bad_pairs(d)
    with server(d, 'a') as s:
        want = serial_of(f'{d}/a.crt')
        for crt, key, at_fault, why in rows:
            s.write_conf(listener=listener(crt, key))
            p = s.ctl('reload', check=False)
            assert p.returncode != 0, (crt, key)
            said = p.stdout + p.stderr
            assert f'{at_fault}: ' in said and why in said, said
        assert served(s.port) == want
        assert s.ctl_json('status')['generation'] == 1
        n = len(logged(d, 'event=reload-failed'))
        s.signal(signal.SIGHUP)
        wait_for('the refusal', lambda: len(
            logged(d, 'event=reload-failed')) > n)
        assert served(s.port) == want


def test_what_openssl_does_not_know_is_named_with_its_line(d):
    pair(d, 'a')
    s = Server(d)
    for line, name in (('TLS_Protocols = "TLSv1"', 'TLS_Protocols'),
                       ('TLS_Ciphers = "NOPE"', 'TLS_Ciphers'),
                       ('TLS_Groups = "NOPE"', 'TLS_Groups'),
                       ('TLS_Verify_Mode = "require"', 'TLS_Verify_Mode')):
        s.write_conf(listener=keys.tls_conf(d, 'a') + line)
        p = subprocess.run(s.command('-n'), capture_output=True, text=True,
                           timeout=30 * SLOW, preexec_fn=s._before_exec)
        assert p.returncode == 78, (line, p)
        assert f"option '{name}'" in p.stderr and \
            f'{s.conf_file}:' in p.stderr, p


def test_renewed_files_are_used_and_no_session_ends(d):
    pair(d, 'a')
    with server(d, 'a') as s:
        old = serial_of(f'{d}/a.crt')
        with Client(s.port) as c:
            c.hello()
            c.envelope()
            c.cmd('DATA', '354')
            pids = sorted(s.pids())
            pair(d, 'new')
            put(f'{d}/new.key', f'{d}/a.key')
            put(f'{d}/new.crt', f'{d}/a.crt')
            wait_for('the change', lambda: logged(d, 'event=tls-change '))
            want = serial_of(f'{d}/a.crt')
            assert want != old
            wait_for('the new one', lambda: served(s.port) == want)
            assert sorted(s.pids()) == pids
            c.send(b'Subject: x\r\n\r\nx\r\n.\r\n')
            c.expect('250')
        s.wait_mail(1)


def test_half_of_a_renewal_changes_nothing_and_is_said_once(d):
    pair(d, 'a')
    with server(d, 'a') as s:
        old = serial_of(f'{d}/a.crt')
        pair(d, 'new')
        put(f'{d}/new.crt', f'{d}/a.crt')
        wait_for('the refusal', lambda: logged(d, 'tls-change-failed'))
        assert f'{d}/a.key: ' in logged(d, 'tls-change-failed')[0]
        assert served(s.port) == old
        # the other half
        put(f'{d}/new.key', f'{d}/a.key')
        want = serial_of(f'{d}/a.crt')
        wait_for('the new one', lambda: served(s.port) == want)
        assert len(logged(d, 'tls-change-failed')) == 1


def test_tickets_work_with_all_workers_and_after_a_reload(d):
    pair(d, 'a')
    with server(d, 'a', workers=4) as s:
        for version in '-tls1_2', '-tls1_3':
            assert 'New, ' in s_client(s.port, version, '-sess_out',
                                       f'{d}/session')
            for _ in range(8):
                assert 'Reused, ' in s_client(
                    s.port, version, '-sess_in', f'{d}/session')
            s.ctl('reload')
            assert 'Reused, ' in s_client(s.port, version, '-sess_in',
                                          f'{d}/session')


def test_a_tls_1_2_session_is_for_the_name_that_it_began_with(d):
    one, two = 'mx.example.test', 'mail.other.test'
    pair(d, 'one', host=one)
    pair(d, 'two', host=two)

    def visit(name, *args):
        sni = ('-servername', name) if name else ('-noservername',)
        return s_client(s.port, '-tls1_2', *sni, *args)

    with server(d, 'one', 'two', workers=2) as s:
        for first, second, certified in (
                (one, two, two), (two, one, one), (None, two, two),
                (two, None, one), ('unknown.test', 'other.unknown.test', one),
                ('unknown.test', None, one)):
            assert 'New, ' in visit(first, '-sess_out', f'{d}/session')
            out = visit(second, '-sess_in', f'{d}/session',
                        '-sess_out', f'{d}/session2')
            assert 'New, TLSv1.2' in out, (first, second, out)
            assert f'subject=CN = {certified}\n' in out, (first, second, out)
            for name in (second and second.upper(), second):
                assert 'Reused, TLSv1.2' in visit(
                    name, '-sess_in', f'{d}/session2'), (first, second)


def test_without_a_lifetime_there_are_no_tickets(d):
    pair(d, 'a')
    with server(d, 'a', conf='tls_ticket_lifetime = 0\n') as s:
        # nothing that could be resumed: s_client has nothing to write
        for version in '-tls1_2', '-tls1_3':
            assert 'New, ' in s_client(s.port, version, '-sess_out',
                                       f'{d}/session')
            assert not os.path.exists(f'{d}/session')


def test_the_end_of_a_certificate_is_said_ahead(d):
    crt, key = pair(d, 'a')
    keys.openssl('req', '-x509', '-key', key, '-days', '5', '-subj',
                 '/CN=soon.example.test', '-out', crt)
    pair(d, 'b')
    with server(d, 'a', 'b') as s:
        said = logged(d, 'event=tls-expiry')
        assert len(said) == 1 and f'{d}/a.crt' in said[0], said
        rows = s.ctl_json('status')['certificates']
        assert [r['certificate'] for r in rows] == [f'{d}/a.crt',
                                                    f'{d}/b.crt']
        assert rows[0]['name'] == 'soon.example.test'
        assert 4 * 86400 < rows[0]['seconds'] <= 5 * 86400
        assert abs(rows[0]['expires'] - time.time() -
                   rows[0]['seconds']) < 60
        assert 'soon.example.test' in s.ctl('status').stdout
        left = s.stats()['tls_certificate_seconds']
        assert 4 * 86400 < left <= 5 * 86400


def test_tls_comes_and_goes_with_reloads(d):
    pair(d, 'a')
    with Server(d) as s:
        assert 'tls_certificate_seconds' not in s.stats()
        assert not s.pids('keyd')
        s.write_conf(listener=keys.tls_conf(d, 'a'))
        s.ctl('reload')
        assert served(s.port) == serial_of(f'{d}/a.crt')
        assert s.pids('keyd')
        s.write_conf(listener='')
        s.ctl('reload')
        wait_for('the end of keyd', lambda: not s.pids('keyd'))
        with Client(s.port) as c:
            c.cmd('EHLO client.test', '250')
            c.cmd('STARTTLS', '5')
