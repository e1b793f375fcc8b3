"""Workers as the master sees them: who gets connections, which account each has."""
import contextlib
import ctypes
import os
import signal
import subprocess

from harness import (ROOT, TOP, Client, Server, Skip, lasts, text_message,
                     unshare_mounts, wait_for)


def connect(port, n):
    """n clients: those that have a banner, and the others."""
    clients = [Client(port, banner=False, timeout=3) for _ in range(n)]
    greeted, waiting = [], []
    for c in clients:
        try:
            c.expect('220')
            greeted.append(c)
        except TimeoutError:
            waiting.append(c)
    return greeted, waiting


@lasts(15)
def test_a_worker_that_hangs_gets_no_more_connections(d):
    with Server(d, workers=2) as s:
        stopped = s.pids('worker 1')[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            greeted, waiting = connect(s.port, 6)
            assert len(greeted) == 3, len(greeted)
            s.logged(' event=worker-late slot=1 ', timeout=20)
            # all clients that come now are served
            more, none = connect(s.port, 6)
            assert len(more) == 6, len(more)
        finally:
            os.kill(stopped, signal.SIGCONT)
        # those that have waited, too
        for c in waiting:
            c.expect('220')
        s.logged(' event=worker-back slot=1 ')
        for c in greeted + waiting + more:
            c.cmd('NOOP')
            c.close()


# ------------------------------------------------------------------ accounts
def ids(pid):
    """Its user and group ids, and its groups."""
    with open(f'/proc/{pid}/status') as f:
        lines = dict(x.rstrip('\n').split(':', 1) for x in f if ':' in x)
    uids, gids = ({int(n) for n in lines[x].split()} for x in ('Uid', 'Gid'))
    assert len(uids) == len(gids) == 1, (uids, gids)
    return uids.pop(), gids.pop(), [int(n) for n in lines['Groups'].split()]


def check_ids(s):
    """No two workers, and no worker and another process, have an id in common.
    Return the workers' user ids."""
    # one that has just been started is still root
    s.ctl('status')
    workers = {p: ids(p) for p in s.pids('worker')}
    others = []
    for p in s.pids():
        # those that a reload has replaced may end meanwhile
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if p not in workers:
                others.append(ids(p))
    assert others
    for n in 0, 1:
        of_workers = [x[n] for x in workers.values()]
        assert len(set(of_workers)) == len(workers), workers
        assert not set(of_workers) & {x[n] for x in others}, (workers, others)
    for _, _, groups in workers.values():
        # the folder that all of them write to
        assert set(groups) <= {os.stat(f'{s.spool}/incoming').st_gid}, workers
    return {p: x[0] for p, x in workers.items()}


def may_signal(uid, pid):
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresuid(uid, uid, uid)
            os.kill(pid, 0)
            os._exit(0)
        except PermissionError:
            os._exit(1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def send_some(s, n):
    for i in range(n):
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message(i))
            c.cmd('QUIT', '221')


def test_each_worker_has_an_account_of_its_own(d):
    if not ROOT:
        raise Skip('needs root')
    with Server(d, workers=3, as_root=True) as s:
        first = check_ids(s)
        assert len(first) == 3
        a, b = list(first)[:2]
        assert may_signal(first[a], a) and not may_signal(first[a], b)
        # one of each stays
        held = [Client(s.port) for _ in range(3)]
        for c in held:
            c.hello()
            c.envelope()
            c.cmd('DATA', '354')
        s.ctl('reload')
        now = check_ids(s)
        assert len(now) == 6 and set(first) < set(now), (first, now)
        for c in held:
            c.send(text_message() + b'.\r\n')
            c.expect('250')
            c.close()
        # segments pass from one to the next
        send_some(s, 12)
        s.wait_mail(15)
        victim = s.pids('worker 2')[0]
        os.kill(victim, signal.SIGKILL)
        wait_for('another one', lambda: s.pids('worker 2') not in
                 ([], [victim]))
        wait_for('all', lambda: {p['state'] for p in s.ctl_json('status')[
            'processes']} == {'running'})
        check_ids(s)
        send_some(s, 6)
        s.wait_mail(21)


def give_ranges(d, text):
    """In this process's mount namespace, /etc is a copy that may be changed."""
    if not os.path.exists(f'{d}/etc'):
        unshare_mounts()
        subprocess.run(['cp', '-a', '/etc', f'{d}/etc'], check=True)
        subprocess.run(['mount', '--bind', f'{d}/etc', '/etc'], check=True)
    for name in 'subuid', 'subgid':
        with open(f'/etc/{name}', 'w') as f:
            f.write(text)


def test_their_ids_come_from_the_ranges_of_the_account(d):
    give_ranges(d, 'somebody:100000:65536\nnobody:300000:5\n')
    s = Server(d, workers=2, as_root=True, conf='user = "nobody"')
    with s:
        assert set(check_ids(s).values()) == {300000, 300001}
        assert 'event=account-range' not in s.log()
        s.ctl('reload')
        check_ids(s)
        # a range that is too small keeps the old configuration
        s.write_conf(workers=3)
        p = s.ctl('reload', check=False)
        assert p.returncode != 0, p
        s.logged('event=account-range .*needed=6')
        # and its ids
        victim = s.pids('worker 1')[0]
        os.kill(victim, signal.SIGKILL)
        wait_for('another one', lambda: s.pids('worker 1') not in
                 ([], [victim]))
        wait_for('all', lambda: {p['state'] for p in s.ctl_json('status')[
            'processes']} == {'running'})
        assert set(check_ids(s).values()) <= set(range(300000, 300005))
    s = Server(d, workers=3, as_root=True, conf='user = "nobody"')
    p = subprocess.run(s.command('-n', '-f'), capture_output=True, text=True)
    assert p.returncode == 78, p
    assert 'account-range' in p.stderr and 'needed=6' in p.stderr, p
    give_ranges(d, 'somebody:100000:65536\n')
    with s:
        s.logged('unused ids are taken')
        check_ids(s)


def unshare_users(*maps):
    """From here on this process is root where there are only those ids."""
    told, tells = os.pipe()
    done, does = os.pipe()
    me, child = os.getpid(), os.fork()
    if child == 0:
        os.close(tells)
        if os.read(told, 1):
            for name in 'uid_map', 'gid_map':
                with open(f'/proc/{me}/{name}', 'w') as f:
                    f.write(''.join(x + '\n' for x in maps))
            os.write(does, b'.')
        os._exit(0)
    os.close(does)
    has = ctypes.CDLL(None).unshare(0x10000000) == 0    # CLONE_NEWUSER
    if has:
        os.write(tells, b'.')
    os.close(tells)
    mapped = os.read(done, 1)
    os.waitpid(child, 0)
    if not has or not mapped:
        raise Skip('no user namespace here')


def may_start(s):
    p = subprocess.run(s.command('-n', '-f'), capture_output=True, text=True)
    return p.returncode == 0, p.stderr


def test_in_a_container_their_ids_are_among_those_it_has(d):
    give_ranges(d, 'nobody:300000:50\n')
    unshare_users('0 0 2000', '2000 102000 2000', '65534 65534 1')
    s = Server(d, workers=2, as_root=True, conf='user = "nobody"')
    good, err = may_start(s)
    assert good and 'unused ids are taken' in err, err
    with s:
        s.logged('unused ids are taken')
        uids = set(check_ids(s).values())
        assert uids <= set(range(4000)), uids
        send_some(s, 4)
        s.wait_mail(4)
        s.ctl('reload')
        check_ids(s)


def test_a_range_of_which_a_container_has_a_part(d):
    give_ranges(d, 'nobody:300000:50\n')
    unshare_users('0 0 65536', '300040 300040 100')
    s = Server(d, workers=2, as_root=True, conf='user = "nobody"')
    good, err = may_start(s)
    assert good and 'account-range' not in err, err
    with s:
        assert set(check_ids(s).values()) == {300040, 300041}


def test_a_container_with_too_few_ids(d):
    give_ranges(d, 'somebody:300000:50\n')
    unshare_users('0 0 103', '65534 65534 1')
    conf = 'queue_user = "daemon"\ndelivery_user = "mail"\nlog_user = "games"\n' \
        'resolver_user = "news"\n'
    s = Server(d, workers=2, as_root=True, conf=conf + 'user = "nobody"')
    good, err = may_start(s)
    assert not good and 'too few ids are unused' in err, err
    s = Server(d, workers=1, as_root=True, conf=conf + 'user = "no-such"')
    good, err = may_start(s)
    assert not good and 'event=account-missing role=worker' in err, err


def test_an_account_that_a_container_does_not_have(d):
    give_ranges(d, 'somebody:300000:50\n')
    unshare_users('0 0 4000')
    s = Server(d, workers=2, as_root=True, conf='user = "nobody"')
    good, err = may_start(s)
    assert not good and 'user namespace' in err, err


def test_make_install_gives_the_account_its_ranges(d):
    give_ranges(d, 'somebody:100000:65536\nother:400000:65536\n')
    # useradd would write there
    subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', '/var/log'], check=True)
    script = f'{TOP}/cmd/mailmilld/init/accounts.sh'
    for _ in range(2):
        subprocess.run(['sh', script], check=True, capture_output=True)
        for name in 'subuid', 'subgid':
            with open(f'/etc/{name}') as f:
                lines = f.read().split('\n')
            assert [x for x in lines if x.startswith('_mailmill')] == [
                '_mailmill:465536:1024'], lines
