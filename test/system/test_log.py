"""The log: one process writes it, and what the others can do with it."""
import array
import collections
import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import threading
import time

from harness import (BUILD, NOBODY, ROOT, SLOW, Client, Server, Skip, cmdline,
                     descendants, text_message, unshare_mounts, wait_for)

LINE = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z '
                  r'(mailmilld(?:/([a-z]+)-(\d+))?)\[(\d+)\] level=([a-z]+) '
                  r'event=([a-z_-]+)(?: ([ -~]*))?')


def server(d, conf='', **kw):
    return Server(d, log=f'{d}/log', conf=conf, **kw)


def lines(d, name='log'):
    """Of the log: (process, pid, event, rest), each of the one right form."""
    with open(f'{d}/{name}', errors='replace') as f:
        text = f.read()
    assert text == '' or text[-1] == '\n', text[-200:]
    out = []
    for line in text.split('\n')[:-1]:
        m = LINE.fullmatch(line)
        assert m, line
        out.append((m[1], int(m[4]), m[6], m[7] or ''))
    return out


def mails(s, n, source=''):
    with Client(s.port, source=source) as c:
        c.hello()
        for i in range(n):
            c.mail(text_message(i))


def accepted(d):
    """How often the line of each message is there."""
    return collections.Counter(
        re.search(r'\bid=(\w+)', rest)[1]
        for _, _, event, rest in lines(d) if event == 'accepted')


def wait_accepted(d, n):
    wait_for(f'{n} lines', lambda: len(accepted(d)) >= n)
    assert len(accepted(d)) == n


# ------------------------------------------------------------------ a hostile
def log_socket(pid):
    """The socket on which a process logs, taken from it: what somebody who
    controls it could send there."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = libc.syscall(434, pid, 0)                   # pidfd_open
    found = []
    for fd in sorted(map(int, os.listdir(f'/proc/{pid}/fd'))):
        if not os.readlink(f'/proc/{pid}/fd/{fd}').startswith('socket:'):
            continue
        got = libc.syscall(438, pidfd, fd, 0)           # pidfd_getfd
        if got == -1:
            os.close(pidfd)
            raise Skip('may not take a descriptor of another process')
        sock = socket.socket(fileno=got)
        if sock.family == socket.AF_UNIX \
                and sock.type == socket.SOCK_SEQPACKET:
            found.append((sock.getsockopt(socket.SOL_SOCKET,
                                          socket.SO_SNDBUF), sock))
    os.close(pidfd)
    # the one with most room
    return max(found, key=lambda x: x[0])[1]


def test_only_the_master_and_the_logger_have_the_log(d):
    s = server(d)
    with s:
        mails(s, 1)
        have = {}
        for pid in [s.master] + descendants(s.master):
            fds, have[pid] = f'/proc/{pid}/fd', []
            for fd in os.listdir(fds):
                with contextlib.suppress(FileNotFoundError):    # closed since
                    if os.readlink(f'{fds}/{fd}') == f'{d}/log':
                        have[pid].append(fd)
        logger, = s.pids('logger')
        assert {x for x in have if have[x]} == {s.master, logger}, have
        for pid in s.master, logger:
            fd, = have[pid]
            with open(f'/proc/{pid}/fdinfo/{fd}') as f:
                flags = int(re.search(r'flags:\s+(\d+)', f.read())[1], 8)
            assert flags & os.O_APPEND
        assert 'logger' in {p['role'] for p in s.ctl_json('status')[
            'processes']}
        if ROOT and not s.user:
            uid = os.stat(f'/proc/{logger}').st_uid
            assert uid not in {os.stat(f'/proc/{p}').st_uid for p in
                               descendants(s.master) if p != logger}
            assert os.readlink(f'/proc/{logger}/root') == f'{s.spool}/empty'


def test_no_process_writes_in_the_name_of_another(d):
    with server(d) as s:
        worker = s.pids('worker')[0]
        with log_socket(worker) as log:
            before = os.path.getsize(f'{d}/log')
            for record in (
                    b'3accepted id=HOSTILE\n',
                    b'3x\n2026-01-01T00:00:00.000Z mailmilld/authd-1[1] '
                    b'level=info event=auth-failed client=192.0.2.9\n',
                    b'3x \r2026-01-01T00:00:00.000Z mailmilld/authd-1[1]\n',
                    b'<22>mailmilld/authd-1[1]: level=info event=x\n',
                    b'7x\n\n3\n', b'\xff' * 100, b'3x\0\x1b[2J\n',
                    b'3y ' + b'z' * 60000 + b'\n', os.urandom(16384)):
                log.send(record)
            # no descriptor that it sends stays anywhere
            r, w = os.pipe()
            log.sendmsg([b'3with-descriptor\n'], [(
                socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [w]))])
            os.close(w)
            wait_for('its lines', lambda: 'with-descriptor' in {
                event for _, _, event, _ in lines(d)})
            assert os.read(r, 1) == b''
            os.close(r)
            mails(s, 1)
            wait_accepted(d, 2)         # the hostile one, and that
        assert os.path.getsize(f'{d}/log') > before
        known = {pid: cmdline(pid) for pid in
                 [s.master] + descendants(s.master)}
        for process, pid, event, rest in lines(d):
            name = re.sub(r'^mailmilld/([a-z]+)-(\d+)$', r'\1 \2', process)
            assert known[pid] in (
                f'mailmilld: {name}', f'mailmilld: {name.split()[0]}') or (
                process == 'mailmilld' and pid == s.master), (process, pid)
            assert 'authd' not in process
            if 'HOSTILE' in rest or event in ('x', 'y'):
                assert pid == worker, (process, pid, event)
        bad = [rest for _, _, event, rest in lines(d)
               if event == 'log-protocol']
        assert bad and bad[0].startswith('process=mailmilld/worker-'), bad


def test_a_process_that_floods_the_log_has_its_share(d):
    rate, seconds, n = 1000, 2, 40
    with server(d, conf=f'log_rate = {rate}') as s:
        worker, other = s.pids('worker')
        sent, begin = 0, time.monotonic()
        # two sessions: each worker has one
        threads = [threading.Thread(target=mails, args=(s, n))
                   for _ in range(2)]
        for t in threads:
            t.start()
        with log_socket(worker) as log:
            log.settimeout(5)
            while time.monotonic() < begin + seconds \
                    or any(t.is_alive() for t in threads):
                log.send(b'3flood\n' * 100)
                sent += 100
        took = time.monotonic() - begin
        for t in threads:
            t.join()
        wait_for('the lines of the other worker', lambda: sum(
            event == 'accepted' and pid == other
            for _, pid, event, _ in lines(d)) == n)

        def count():
            told = [rest for _, _, event, rest in lines(d)
                    if event == 'log-throttled']
            assert all(x.startswith('process=mailmilld/worker-')
                       for x in told), told
            flood = [pid for _, pid, event, _ in lines(d) if event == 'flood']
            assert set(flood) <= {worker}
            return len(flood), sum(int(re.search(r'left_out=(\d+)', x)[1])
                                   for x in told), len(told)
        wait_for('all counts', lambda: sum(count()[:2]) >= sent)
        logged, left_out, told = count()
        # its own honest lines may be among those left out
        assert sent <= logged + left_out <= sent + 2 * n, count()
        assert sent > 2 * rate * (took + 1), (sent, took)
        assert logged <= rate * (took + 2), (logged, took)
        assert told <= took + 3, told


def test_records_without_octets_end_nothing(d):
    with server(d, workers=1) as s:
        worker, = s.pids('worker')
        with log_socket(worker) as log:
            log.settimeout(5)
            for i in range(3):
                for _ in range(40):
                    log.send(b'')
                log.send(b'3after n=%d\n' % i)
        wait_for('the lines behind them', lambda: sum(
            event == 'after' and pid == worker
            for _, pid, event, _ in lines(d)) == 3)
        mails(s, 1)
        wait_for('its own', lambda: sum(
            event == 'accepted' and pid == worker
            for _, pid, event, _ in lines(d)) == 1)
        # nor is the end of a process overlooked
        logger, = s.pids('logger')
        before = nsockets(logger)
        with log_socket(worker) as log:
            log.send(b'')
            log.send(b'3last\n')
            log.send(b'')
        os.kill(worker, signal.SIGKILL)
        wait_for('its last words', lambda: sum(
            event == 'last' and pid == worker
            for _, pid, event, _ in lines(d)) == 1)
        wait_for('another one', lambda: s.pids('worker') not in
                 ([], [worker]))
        wait_for('one socket for each process', lambda:
                 nsockets(logger) == before)


def cpu_s(pid):
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def test_a_process_that_shuts_its_socket_down_sends_nothing_more(d):
    """The logger would be told for ever that there is something to read."""
    with server(d, workers=2) as s:
        logger, = s.pids('logger')
        before = nsockets(logger)
        with log_socket(s.pids('worker')[0]) as log:
            log.send(b'3last\n')
            log.shutdown(socket.SHUT_WR)
        wait_for('its last words', lambda: 'last' in {
            event for _, _, event, _ in lines(d)})
        wait_for('the end of its socket', lambda:
                 nsockets(logger) == before - 1)
        # the others go on
        for _ in range(6):
            mails(s, 1)
        wait_for('lines of the other', lambda: len(accepted(d)) > 0)
        assert s.pids('logger') == [logger]
        assert cpu_s(logger) < 1
        s.ctl('reload')
        wait_for('new workers', lambda: nsockets(logger) >= before)


def nsockets(pid):
    n = 0
    for fd in os.listdir(f'/proc/{pid}/fd'):
        with contextlib.suppress(OSError):
            n += os.readlink(f'/proc/{pid}/fd/{fd}').startswith('socket:')
    return n


def test_a_logger_that_is_killed_loses_no_line(d):
    n, clients = 300 // SLOW, 4
    with server(d) as s:
        errors = []

        def load(i):
            try:
                mails(s, n)
            except BaseException as e:
                errors.append(e)
                raise
        threads = [threading.Thread(target=load, args=(i,))
                   for i in range(clients)]
        for t in threads:
            t.start()
        killed = 0
        while any(t.is_alive() for t in threads):
            old = s.pids('logger')
            if old:
                os.kill(old[0], signal.SIGKILL)
                killed += 1
                wait_for('another', lambda: s.pids('logger')
                         and s.pids('logger') != old)
            time.sleep(0.1)
        assert not errors and killed > 1, (errors, killed)
        wait_accepted(d, n * clients)
        events = {x[2] for x in lines(d)}
        assert not events & {'log_lost', 'log-throttled', 'log-protocol'}
        # what was just being written is there twice at most
        assert max(accepted(d).values()) <= 1 + killed
        s.wait_mail(n * clients)
        wait_for('lines of deliveries', lambda: sum(
            x[2] == 'delivered' for x in lines(d)) >= n * clients)


def test_the_last_lines_of_a_process_that_has_died_are_written(d):
    with server(d) as s:
        old, = s.pids('logger')
        worker = s.pids('worker')[0]
        with log_socket(worker) as log:
            os.kill(old, signal.SIGSTOP)
            log.send(b'3last-words\n')
        os.kill(worker, signal.SIGKILL)
        wait_for('its end', lambda: worker not in s.pids('worker'))
        os.kill(old, signal.SIGKILL)
        wait_for('its last words', lambda: [
            pid for _, pid, event, _ in lines(d) if event == 'last-words']
            == [worker])


def test_the_last_lines_are_written_whatever_is_before_them(d):
    """Many records without octets, and then the end of the process or of what
    it sends."""
    with server(d, workers=2) as s:
        logger, = s.pids('logger')
        before = nsockets(logger)
        first, second = s.pids('worker')
        with log_socket(first) as dying, log_socket(second) as shut:
            os.kill(logger, signal.SIGSTOP)
            for log in dying, shut:
                log.settimeout(5)
                for i in range(3):
                    for _ in range(50):
                        log.send(b'')
                    log.send(b'3last-words n=%d\n' % i)
                for _ in range(50):
                    log.send(b'')
            shut.shutdown(socket.SHUT_WR)
        os.kill(first, signal.SIGKILL)
        wait_for('its end', lambda: first not in s.pids('worker'))
        os.kill(logger, signal.SIGCONT)
        wait_for('the last words of both', lambda: sorted(
            (pid, rest) for _, pid, event, rest in lines(d)
            if event == 'last-words') == sorted(
            (pid, f'n={i}') for pid in (first, second) for i in range(3)))
        # one has a successor, the other sends no more
        wait_for('the end of both sockets', lambda:
                 nsockets(logger) == before - 1)


def test_a_killed_logger_and_logrotate(d):
    with server(d) as s:
        mails(s, 1)
        wait_accepted(d, 1)
        old, = s.pids('logger')
        os.kill(old, signal.SIGSTOP)
        mails(s, 1)
        os.rename(f'{d}/log', f'{d}/log.1')
        s.signal(signal.SIGUSR1)
        wait_for('a new log', lambda: os.path.exists(f'{d}/log'))
        os.kill(old, signal.SIGKILL)
        wait_accepted(d, 1)
        mails(s, 1)
        wait_accepted(d, 2)
        # a signal to all processes does not end the logger before the others
        logger, = s.pids('logger')
        os.kill(logger, signal.SIGTERM)
        mails(s, 1)
        wait_accepted(d, 3)
        assert s.pids('logger') == [logger]
        s.ctl('reload')
        wait_for('the old ones to end',
                 lambda: len(s.pids('worker')) == 2)
        assert s.pids('logger') == [logger]
    end = [(process, event) for process, _, event, _ in lines(d)][-1]
    assert end == ('mailmilld', 'stopped'), end


def test_a_log_that_is_full_stops_nothing(d):
    with Server(d, log='/dev/full') as s:
        mails(s, 400)
        s.wait_mail(400)


def test_syslog_has_lines_of_all(d):
    if not ROOT:
        raise Skip('needs root, for a /dev/log of its own')
    unshare_mounts()
    dev = f'{d}/dev'
    os.mkdir(dev)
    for name in os.listdir('/dev'):
        if name in ('null', 'zero', 'full', 'random', 'urandom'):
            st = os.stat(f'/dev/{name}')
            os.mknod(f'{dev}/{name}', st.st_mode, st.st_rdev)
            os.chmod(f'{dev}/{name}', 0o666)
    subprocess.run(['mount', '--bind', dev, '/dev'], check=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind('/dev/log')
        os.chmod('/dev/log', 0o666)
        syslog.setblocking(False)
        got = []

        def read():
            try:
                while True:
                    got.append(syslog.recv(65536).decode())
            except BlockingIOError:
                return got
        with Server(d, log='syslog', as_root=True,
                    user=NOBODY if os.environ.get('MAILMILL_SANITIZE')
                    else None) as s:
            mails(s, 3)
            wait_for('lines', lambda: sum(
                ' event=accepted ' in x for x in read()) == 3)
            worker = {x for x in map(str, s.pids('worker'))}
        for x in read():
            m = re.fullmatch(r'<2\d>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d '
                             r'mailmilld(/[a-z]+-\d+)?\[(\d+)\]: level=[a-z]+ '
                             r'event=[ -~]*', x)
            assert m, x
            assert ' event=accepted ' not in x or m[2] in worker, x


# ------------------------------------------------------------------ values
VALUE = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')
FORMS = {                               # where it is not "-"
    'session': '[0-9a-f]+', 'id': '[0-9A-Z]+', 'client': '127.0.0.1',
    'port': '[1-9][0-9]*', 'code': '[45][0-9]{2}',
    'status': r'[45](\.[0-9]{1,3}){2}', 'nrcpts': '[1-9]', 'size': '[0-9]+',
    'messages': '[0-9]', 'seconds': r'[0-9]+\.[0-9]{6}',
    'delay': r'[0-9]+\.[0-9]+', 'verb': '[A-Z]+', 'tls': 'TLSv1.3',
    'cipher': '[A-Z0-9_]+', 'bits': '256|128', 'rcpt': 'user@example.test',
    'resumed': 'no|yes', 'verified': 'no|yes'}


def dialogue(s):
    """Most lines that a session can cause, each value there or not."""
    with Client(s.port) as c:
        for line, code in (
                ('XYZZY', '500'), ('DATA', '503'), ('EHLO client.test', '250'),
                ('AUTH FOO', '504'), ('AUTH foo=', '504'),
                ('AUTH PLAIN AGFsaWNlAHdyb25n', '535'), ('AUTH PLAIN !', '501'),
                ('MAIL FROM:<a@@b>', '501'), ('RSET x', '501'),
                ('MAIL FROM:<>', '250'), ('RCPT TO:<user@other.test>', '550'),
                ('DATA', '503'), ('RCPT TO:<user@example.test>', '250'),
                ('DATA', '354'), ('Subject: x\r\n.', '250'),
                ('MAIL FROM:<a@client.test>', '250'),
                ('RCPT TO:<user@example.test>', '250'),
                ('RCPT TO:<x y>', '501'), ('DATA', '354'), ('.', '250'),
                ('AUTH PLAIN AGFsaWNlAHNlY3JldA==', '235'),
                ('MAIL FROM:<a@client.test>', '250')):
            c.cmd(line, code)
        c.send(b'DATA\r\nSubject: x\r\n')
        c.expect('503')
        c.expect('421')


def test_a_value_has_one_form_and_what_is_not_there_another(d):
    subprocess.run([f'{BUILD}/mailmillctl', 'passwd', '-f', f'{d}/logins',
                    'alice'], input='secret\n', text=True, check=True)
    os.chmod(f'{d}/logins', 0o644)
    with server(d, 'log_level = debug',
                listener=f'Auth_Backend = "passwd:{d}/logins" '
                'Auth_Without_TLS = true Auth_Mechanisms = "PLAIN"') as s:
        dialogue(s)
        s.wait_mail(2)
        wait_for('the end', lambda: any(
            x[2] == 'disconnect' and 'messages=2' in x[3] for x in lines(d)))
        wait_for('both deliveries', lambda: sum(
            x[2] == 'delivered' for x in lines(d)) == 2)
        seen = [(event, dict(VALUE.findall(rest)), rest)
                for process, _, event, rest in lines(d)
                if re.search('worker|authd|deliver', process)]
        session = next(v['session'] for event, v, _ in seen
                       if event == 'auth-failed')
        seen = [x for x in seen if x[1].get('session', session) == session]
        for event, values, rest in seen:
            assert VALUE.sub('', rest) == '', (event, rest)
            for key, v in values.items():
                assert v != '""' or key == 'from', (event, rest)
                assert v in ('', '-') or key not in FORMS or \
                    re.fullmatch(FORMS[key], v), (key, event, rest)
                assert v != '', (key, event, rest)
            if 'listener' in values:
                assert values['listener'] == f'127.0.0.1:{s.port}', rest

        def of(event, *keys):
            return [tuple(v[k] for k in keys) for e, v, _ in seen if e == event]
        # of two processes, in any order
        assert sorted(of('auth-failed', 'user', 'mechanism', 'code')) == [
            ('-', '-', '504'), ('-', 'FOO', '504'), ('-', 'PLAIN', '501'),
            ('alice', 'PLAIN', '535')]
        assert of('accepted', 'from', 'to', 'tls', 'cipher') == [
            ('""', 'user@example.test', '-', '-'),
            ('a@client.test', 'user@example.test', '-', '-')]
        assert of('auth', 'user', 'mechanism', 'tls') == [
            ('alice', 'PLAIN', '-')]
        assert of('rejected', 'verb', 'arg', 'code', 'from') == [
            ('-', 'XYZZY', '500', '-'), ('DATA', '-', '503', '-'),
            ('AUTH', '-', '504', '-'), ('AUTH', '-', '504', '-'),
            ('AUTH', '-', '535', '-'), ('AUTH', '-', '501', '-'),
            ('MAIL', 'FROM:<a@@b>', '501', '-'), ('RSET', 'x', '501', '-'),
            ('RCPT', 'TO:<user@other.test>', '550', '""'),
            ('DATA', '-', '503', '""'),
            ('RCPT', '"TO:<x y>"', '501', 'a@client.test'),
            ('DATA', '-', '503', 'a@client.test'),
            ('-', '-', '421', 'a@client.test')], of(
                'rejected', 'verb', 'arg', 'code', 'from')
        assert of('disconnect', 'messages') == [('2',)]
