"""Start, stop, reload, reopen, respawn; exit statuses."""
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from harness import (NOBODY, ROOT, SLOW, Client, Server, Skip, cmdline,
                     comm, descendants, leftovers, text_message, wait_for)


def start(s, *args, user=None):
    """mailmilld as a command that ends; (status, stderr)."""
    def become():
        if user:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
    p = subprocess.run([s.program, *args], capture_output=True,
                       text=True, timeout=60 * SLOW, preexec_fn=become,
                       stdin=subprocess.DEVNULL)
    return p.returncode, p.stderr + p.stdout


def test_second_start_says_so_and_ends(d):
    with Server(d) as s:
        status, text = start(s, '-f', '-c', s.conf_file)
        assert status == 1, (status, text)
        assert re.search('already|running', text), text
        assert str(s.master) in text, text
        with Client(s.port) as c:
            c.hello()


def test_a_port_in_use_is_an_error(d):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        s = daemon(d, port=taken.getsockname()[1])
        for mode in ('-f', None):
            args = ['-c', s.conf_file] + ([mode] if mode else [])
            status, text = start(s, *args, user=s.user)
            assert status == 1, (mode, status, text)
            assert str(s.port) in text, text


def daemon(d, **kw):
    """A server in the background, under an account that can run all roles."""
    return Server(d, user=NOBODY if ROOT else None, log=f'{d}/log', **kw)


def pid_of(s):
    with open(s.pidfile) as f:
        return int(f.read())


def test_in_the_background_the_parent_ends_when_the_listeners_are_bound(d):
    s = daemon(d)
    status, text = start(s, '-c', s.conf_file, user=s.user)
    assert status == 0, (status, text)
    # at once, without waiting
    with Client(s.port) as c:
        c.hello()
        s.master = pid_of(s)
        assert 'master' in cmdline(s.master)
        # setsid(2): a session of its own, without a terminal
        assert os.getsid(s.master) != os.getsid(0)
        for fd in (0, 1, 2):
            assert os.readlink(f'/proc/{s.master}/fd/{fd}') == '/dev/null'
        c.mail(text_message())
    s.wait_mail(1)
    assert s.ctl('stop').returncode == 0
    s.no_process_left()
    assert not os.path.exists(s.pidfile), 'the pidfile is still there'
    assert not os.path.exists(s.control), 'the control socket is still there'
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(('127.0.0.1', s.port))


def test_in_the_background_a_missing_account_is_an_error(d):
    if not ROOT:
        raise Skip('needs root')
    s = Server(d, as_root=True, conf='user = "no-such-account"', log=f'{d}/log')
    status, text = start(s, '-c', s.conf_file)
    assert status in (1, 78), (status, text)
    assert 'no-such-account' in text, text
    assert not descendants(os.getpid())


def test_in_the_foreground_it_is_a_warning_and_roles_are_kept_apart(d):
    if not ROOT:
        raise Skip('needs root')
    with Server(d, as_root=True, conf='user = "no-such-account"\n'
                'queue_user = "nor-this"\ndelivery_user = "nor-that"\n'
                'log_user = "nor-the-other"\n'
                'resolver_user = "nor-one"') as s:
        s.logged('no-such-account')
        uids = {}
        for p in s.pids():
            with open(f'/proc/{p}/status') as f:
                st = f.read()
            uid = re.search(r'^Uid:\s+(\d+)\s+(\d+)\s+(\d+)', st, re.M).groups()
            assert len(set(uid)) == 1 and uid[0] != '0', (cmdline(p), uid)
            assert re.search(r'^NoNewPrivs:\s+1', st, re.M), cmdline(p)
            role = re.search('worker|queue|deliver|spoold|resolver|logger',
                             cmdline(p)).group()
            uids.setdefault(role, set()).add(uid[0])
            if role == 'worker':
                assert os.readlink(f'/proc/{p}/root') != '/', 'no chroot'
        assert len(uids) == 6, uids
        # what spoold makes is the queue's
        assert uids['spoold'] == uids['queue'], uids
        # each of the two workers has one
        assert len(set.union(*uids.values())) == 6, uids


def test_without_root_it_runs_under_the_callers_uid(d):
    with Server(d, user=NOBODY if ROOT else None) as s:
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail(1)
        for p in s.pids() + [s.master]:
            assert os.stat(f'/proc/{p}').st_uid == (NOBODY if ROOT else os.getuid())


def test_process_titles(d):
    with Server(d, workers=2) as s:
        titles = sorted(cmdline(p) for p in s.pids())
        for want in ('worker 1', 'worker 2', 'queue', 'deliver', 'spoold',
                     'resolver', 'logger'):
            assert any(f'mailmilld: {want}' in t for t in titles), titles
        assert 'mailmilld: master' in cmdline(s.master)
        # the name that ps -e, top and pgrep -x show
        for p in s.pids() + [s.master]:
            assert comm(p) == 'mailmilld', comm(p)


def test_every_process_comes_back(d):
    with Server(d, workers=2) as s:
        for role in ('worker 1', 'worker 2', 'queue', 'deliver', 'spoold',
                     'resolver', 'logger'):
            pid = s.pids(role)[0]
            os.kill(pid, signal.SIGKILL)
            wait_for(f'a new {role}', lambda: [
                p for p in s.pids(role) if p != pid and 'mailmilld:' in cmdline(p)])
        for i in range(4):
            with Client(s.port) as c:
                c.hello()
                c.mail(text_message(i))
        s.wait_mail(4)
        assert int(s.stats()['respawns']) == 7


def test_workers_accept_while_the_queue_is_down(d):
    with Server(d) as s:
        for p in s.pids('queue') + s.pids('deliver'):
            os.kill(p, signal.SIGSTOP)
        with Client(s.port) as c:
            c.hello()
            for i in range(20):
                c.mail(text_message(i))
        assert s.delivered() == []
        for p in s.pids('queue') + s.pids('deliver'):
            os.kill(p, signal.SIGCONT)
        s.wait_mail(20)


def banner(s):
    with Client(s.port, banner=False) as c:
        return c.reply()


def test_reload_takes_a_good_configuration_and_drains_the_old_workers(d):
    with Server(d) as s:
        idle, busy = Client(s.port), Client(s.port)
        idle.hello()
        busy.hello()
        busy.envelope()
        busy.cmd('DATA', '354')
        old = set(s.pids('worker'))
        s.write_conf(listener='Static_Banner = "mx.example.test ESMTP second"')
        s.signal(signal.SIGHUP)
        wait_for('the new banner', lambda: 'second' in banner(s))
        # a running transaction finishes; what comes after it is a new
        # worker's: test_moves.py
        busy.send(text_message() + b'.\r\n')
        busy.expect('250')
        busy.cmd('MAIL FROM:<a@client.test>')
        busy.cmd('RSET')                # or a stop waits for its message
        idle.cmd('NOOP')
        wait_for('the old workers to end', lambda: not old & set(s.pids('worker')))
        s.wait_mail(1)
        assert int(s.stats()['reloads']) == 1


def test_the_listener_never_closes_during_reloads(d):
    with Server(d) as s:
        for i in range(5):
            s.signal(signal.SIGHUP)
            for _ in range(20):
                assert banner(s).startswith('220')


def test_reload_of_a_bad_configuration_keeps_the_old_one(d):
    with Server(d) as s:
        old = s.pids('worker')
        s.write_conf(listener='    Static_Banner = "second"\n    No_Such_Option = 1')
        p = s.ctl('reload', check=False)
        assert p.returncode != 0
        assert 'No_Such_Option' in p.stderr + p.stdout, p
        s.signal(signal.SIGHUP)
        s.logged('No_Such_Option', 2)
        s.logged(r'mailmill\.conf:\d+')
        assert 'second' not in banner(s)
        assert s.pids('worker') == old


def test_included_files_are_checked_started_with_and_reloaded(d):
    os.mkdir(f'{d}/conf.d')
    part = f'{d}/conf.d/10.conf'

    def put(text):
        with open(part, 'w') as f:
            f.write(text)

    put('Static_Banner = "first"\n')
    with Server(d, conf='include "conf.d/*.conf"') as s:
        assert 'first' in banner(s)
        put('Static_Banner = "second"\n')
        # a new worker in place of a crashed one gets the master's configuration,
        # not the file of now
        old = s.pids('worker')
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_for('new workers', lambda: len(set(s.pids('worker')) - set(old))
                 == len(old))
        assert 'first' in banner(s)
        s.ctl('reload')
        assert 'second' in banner(s)
        put('Static_Banner = "third"\nMax_Errors = many\n')
        p = s.ctl('reload', check=False)
        assert p.returncode != 0
        assert f'{part}:2:14: ' in p.stderr + p.stdout, p
        assert 'second' in banner(s)
        status, text = start(s, '-n', '-c', s.conf_file)
        assert status == 78 and f'{part}:2:14: ' in text, (status, text)
        # mailmillctl finds the socket even if the rest of the file is bad
        for name, text in (('control.inc', f'control = "{s.control}"\n'),
                           ('bad.conf', 'include "control.inc"\n!\n'),
                           ('good.conf', 'include "control.inc"\nESMTP_Listener '
                                         '{ Listen ":25" { } }\n')):
            with open(f'{d}/{name}', 'w') as f:
                f.write(text)
        for name in ('good.conf', 'bad.conf'):
            p = s.ctl('-c', f'{d}/{name}', 'status')
            assert str(s.master) in p.stdout, p
        # and if files include each other: the search ends
        os.mkdir(f'{d}/ring')
        for i in range(9):
            with open(f'{d}/ring/{i}.conf', 'w') as f:
                f.write(f'control = "{s.control}"\ninclude "*.conf"\n')
        p = s.ctl('-c', f'{d}/ring/0.conf', 'status')
        assert str(s.master) in p.stdout, p


def test_bad_configurations_end_with_78_and_name_the_place(d):
    for change, words in (
            (dict(conf='no_such_setting = 1'), ('no_such_setting', ':7')),
            (dict(listener='Max_Message_Size = "many"'), ('max_message_size', ':9')),
            (dict(listener='Max_Message_Size = -1'), ('max_message_size',)),
            (dict(listen='Enable = perhaps'), ('enable', ':11')),
            (dict(extra='Domain "x" {'), (':1',)),
            (dict(workers=100000), ('workers', ':2')),
            (dict(extra='ESMTP_Listener { Listen "nonsense" { } }'), ('nonsense',)),
            (dict(extra='ESMTP_Listener { Peer "1.2.3.4/99" { } }'), ('1.2.3.4/99',)),
    ):
        s = Server(d)
        s.write_conf(**change)
        for mode in ('-n', '-f'):
            status, text = start(s, mode, '-c', s.conf_file)
            assert status == 78, (change, mode, status, text)
            for w in words + ('mailmill.conf',):
                assert w.lower() in text.lower(), (change, w, text)


def test_missing_configuration_and_usage(d):
    s = Server(d)
    status, text = start(s, '-f', '-c', f'{d}/none')
    assert status == 78 and f'{d}/none' in text, (status, text)
    status, text = start(s, '-Z')
    assert status == 2 and 'usage' in text.lower(), (status, text)
    status, text = start(s, '-n', '-f', '-c', s.conf_file)
    assert status == 0, (status, text)
    status, text = start(s, '-V')
    assert status == 0 and 'mailmill' in text, (status, text)
    status, text = start(s, '-n', '-c', s.conf_file, '-D', 'no_such=1')
    assert status == 78 and 'no_such' in text, (status, text)


def test_sigterm_lets_a_running_transaction_finish(d):
    with Server(d) as s:
        busy, idle = Client(s.port), Client(s.port)
        busy.hello()
        idle.hello()
        busy.envelope()
        busy.cmd('DATA', '354')
        busy.send(b'Subject: last\r\n\r\n')
        s.signal(signal.SIGTERM)
        r = idle.reply()
        assert r.startswith('421'), r
        busy.send(b'body\r\n.\r\n')
        busy.expect('250')
        assert s.wait_end() == 0
        s.proc = None
        s.no_process_left()
        assert len(s.delivered()) <= 1
        s.start()
        s.wait_mail(1)


def test_drain_has_a_bound(d):
    with Server(d, conf='drain_time = 1') as s:
        with Client(s.port) as c:
            c.hello()
            c.envelope()
            c.cmd('DATA', '354')
            t = time.monotonic()
            s.signal(signal.SIGTERM)
            assert s.wait_end(15) == 0
            assert time.monotonic() - t < 10 * SLOW
            s.proc = None
            s.no_process_left()


def test_sigint_stops_at_once(d):
    for sig in (signal.SIGINT, signal.SIGQUIT):
        s = Server(d).start()
        c = Client(s.port)
        c.hello()
        c.envelope()
        c.cmd('DATA', '354')
        t = time.monotonic()
        s.signal(sig)
        s.wait_end(10)
        assert time.monotonic() - t < 5 * SLOW
        s.no_process_left()
        c.close()


def test_sigusr1_opens_the_log_again(d):
    log = f'{d}/log'
    with Server(d, log=log) as s:
        with Client(s.port) as c:
            c.hello()
        os.rename(log, log + '.1')
        s.signal(signal.SIGUSR1)
        wait_for('a new log', lambda: os.path.exists(log))
        time.sleep(0.3)

        def written():
            with Client(s.port) as c:
                c.hello()
                c.mail(text_message())
            with open(log) as f:
                return 'a@client.test' in f.read()
        wait_for('lines in it', written)


def switches(pid):
    with open(f'/proc/{pid}/status') as f:
        return int(re.search(r'^voluntary_ctxt_switches:\s*(\d+)', f.read(),
                             re.M)[1])


def test_a_log_that_nobody_reads_costs_nothing_and_comes_back(d):
    log, n = f'{d}/fifo', 300
    os.mkfifo(log)
    os.chmod(log, 0o666)                # the server may be another user
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    with Server(d, log=log) as s:
        os.close(reader)
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message())
            before = switches(s.master)
            for _ in range(n):
                c.mail(text_message())
            # the master is not asked for a new log at each line
            assert switches(s.master) - before < n // 15
            reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)

            def written():
                c.mail(text_message())
                try:
                    return b'event=accepted' in os.read(reader, 65536)
                except BlockingIOError:
                    return False
            wait_for('lines in it', written)
        os.close(reader)


def test_log_lines_hold_session_and_message_ids(d):
    with Server(d) as s:
        with Client(s.port) as c:
            c.hello()
            r = c.mail(text_message())
            c.cmd('QUIT', '221')
        s.wait_mail(1)
        mid = r.split()[-1]
        assert re.fullmatch('[0-9A-Z]+', mid), r
        wait_for('lines about the message', lambda: s.log().count(mid) >= 2)
        for line in s.log().strip().split('\n'):
            assert re.search(r'\b[a-z_]+=', line), f'no key=value in {line!r}'


def test_children_of_a_dead_master_finish_and_end(d):
    s = Server(d).start()
    c = Client(s.port)
    c.hello()
    c.envelope()
    c.cmd('DATA', '354')
    children = s.pids()
    os.kill(s.master, signal.SIGKILL)
    s.proc.wait()
    c.send(text_message() + b'.\r\n')
    c.expect('250')
    c.close()

    def gone():
        return not [p for p in children if 'mailmilld' in cmdline(p)]
    wait_for('the children to end', gone, 40)
    s.start()
    s.wait_mail(1)
    s.stop()


def test_a_new_master_starts_while_old_workers_drain(d):
    s = Server(d).start()
    c = Client(s.port)
    c.hello()
    c.envelope()
    c.cmd('DATA', '354')
    os.kill(s.master, signal.SIGKILL)
    s.proc.wait()
    s.start()
    with Client(s.port) as other:
        other.hello()
        other.mail(text_message(2))
    c.send(text_message(1) + b'.\r\n')
    c.expect('250')
    c.close()
    s.wait_mail(2, timeout=40)
    s.stop()


def test_the_spool_is_nobody_elses(d):
    if not ROOT:
        raise Skip('needs root')
    with Server(d, as_root=True) as s:
        assert os.stat(s.spool).st_uid == 0
        for folder in ('incoming', 'queue'):
            st = os.stat(f'{s.spool}/{folder}')
            assert st.st_mode & 0o077 == 0, folder
            owners = {st.st_uid} | {e.stat().st_uid for e in os.scandir(f'{s.spool}/{folder}')}
            assert owners == {os.stat(f'/proc/{s.pids("queue")[0]}').st_uid}, (folder, owners)
            assert 0 not in owners and os.stat(f'/proc/{s.pids("worker")[0]}').st_uid not in owners


def test_an_idle_server_uses_next_to_no_cpu(d):
    def ticks(pids):
        n = 0
        for p in pids:
            with open(f'/proc/{p}/stat') as f:
                n += sum(map(int, f.read().rpartition(')')[2].split()[11:13]))
        return n
    with Server(d) as s:
        time.sleep(1)
        pids = s.pids() + [s.master]
        before = ticks(pids)
        time.sleep(2)
        used = ticks(pids) - before
        assert used <= 6 * SLOW, f'{used} ticks in 2 s'


def refused_start(s, *args):
    """What a start in the background says that fails."""
    p = subprocess.run(s.command(*args), capture_output=True, text=True,
                       preexec_fn=s._before_exec, timeout=90)
    assert p.returncode == 1, (p.returncode, p.stderr)
    return p.stderr


def test_a_start_without_its_spool_fails_and_says_why(d):
    s = Server(d, log=f'{d}/log', user=NOBODY if ROOT else None)
    with s:
        pass
    os.rename(f'{s.spool}/queue/lock', f'{d}/lock')
    os.mkdir(f'{s.spool}/queue/lock')
    said = refused_start(s)
    assert 'queue 1 does not start: ' in said and 'queue/lock' in said, said
    assert not os.path.exists(s.pidfile) or not open(s.pidfile).read()
    os.rmdir(f'{s.spool}/queue/lock')
    with s:
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail()


def test_a_second_server_is_refused_the_spool(d):
    user = NOBODY if ROOT else None
    with Server(d, user=user) as s:
        other = Server(tempfile.mkdtemp(dir=d), spool=s.spool, user=user)
        said = refused_start(other)
        assert 'another mailmilld' in said and f'pid={s.master}' in said, said
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail()


def test_without_a_queue_mail_is_refused_until_it_is_back(d):
    with Server(d, conf='max_queue_downtime = 1') as s:
        lock = f'{s.spool}/queue/lock'
        os.rename(lock, lock + '.away')
        os.mkdir(lock)
        os.kill(s.pids('queue')[0], signal.SIGKILL)
        c = Client(s.port)
        c.hello()

        def answer():
            c.send(b'MAIL FROM:<a@client.test>\r\n')
            return c.reply()[:9]

        def refused():
            c.cmd('RSET')
            return answer() == '451 4.3.0'
        wait_for('MAIL to be refused', refused)
        down = s.ctl_json('status')['queue']
        assert down['state'] == 'down' and down['mail_refused'], down
        assert 'queue/lock' in down['reason'] and down['seconds'] >= 1, down
        assert 'queue down for ' in s.ctl('status').stdout
        os.rmdir(lock)
        os.rename(lock + '.away', lock)

        def accepted():
            c.cmd('RSET')
            return answer() == '250 2.1.0'
        wait_for('MAIL to be accepted', accepted, 30)
        c.close()
        assert s.ctl_json('status')['queue'] == {'state': 'running'}


def test_a_reload_that_cannot_open_its_spool_keeps_the_old_server(d):
    with Server(d) as s:
        lock = f'{s.spool}/queue/lock'
        os.rename(lock, lock + '.away')
        os.mkdir(lock)
        p = s.ctl('reload', check=False, timeout=60)
        assert p.returncode == 1 and 'queue 1 does not start' in p.stderr, p
        assert 'queue/lock' in p.stderr, p
        os.rmdir(lock)
        os.rename(lock + '.away', lock)
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail()
        s.ctl('reload')


def test_a_reload_says_what_a_restart_is_needed_for(d):
    with Server(d) as s:
        p = s.ctl('reload')
        assert p.stdout == 'configuration 2 is in use\n', p
        right, s.pidfile = s.pidfile, f'{d}/other.pid'
        s.write_conf()
        s.pidfile = right
        p = s.ctl('reload')
        assert p.stdout == ('configuration 3 is in use\n'
                            'not changed before a restart: pidfile\n'), p
        assert not os.path.exists(f'{d}/other.pid')
