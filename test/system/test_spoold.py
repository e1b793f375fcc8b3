"""The files of the spool: whose they are, and what a worker has of them."""
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import time

from harness import (ROOT, Client, Server, Skip, body_of, lasts, text_message,
                     wait_for)

SMALL = 'segment_size = 1048576\nspool_large_message = 20000'


def fds(pid):
    """Path, flags and mode of what a process has open."""
    for n in os.listdir(f'/proc/{pid}/fd'):
        try:
            path = os.readlink(f'/proc/{pid}/fd/{n}')
            with open(f'/proc/{pid}/fdinfo/{n}') as f:
                flags = int(f.read().split('flags:')[1].split()[0], 8)
            yield path, flags, os.stat(f'/proc/{pid}/fd/{n}')
        except FileNotFoundError:
            pass


def in_spool(s, pid):
    return [(p, flags, st) for p, flags, st in fds(pid) if p.startswith(s.spool)]


def test_a_worker_has_no_folder_and_no_file_that_it_could_read(d):
    with Server(d, as_root=ROOT, workers=2, conf=SMALL) as s:
        clients = [Client(s.port) for _ in range(4)]
        for i, c in enumerate(clients):
            c.hello()
            c.envelope()
            c.cmd('DATA', '354')
            c.send(text_message(i, 300000))       # a body of its own
        wait_for('bodies', lambda: len(
            [f for f in os.listdir(f'{s.spool}/incoming') if f.startswith('body.')]) == 4)
        paths = []
        for pid in s.pids('worker'):
            for path, flags, st in in_spool(s, pid):
                assert stat.S_ISREG(st.st_mode), path
                assert flags & os.O_ACCMODE == os.O_WRONLY, (path, oct(flags))
                assert st.st_mode & 0o777 == 0o600, (path, oct(st.st_mode))
                paths.append(path)
            for path, flags, st in fds(pid):
                assert not stat.S_ISDIR(st.st_mode), path
        # no two workers have the same one
        assert len(paths) == len(set(paths)) and len(paths) >= 6, paths
        if ROOT:
            owner = os.stat(f'/proc/{s.pids("queue")[0]}').st_uid
            for f in os.scandir(f'{s.spool}/incoming'):
                assert f.stat().st_uid == owner, f.name
            for pid in s.pids('worker'):
                assert os.readlink(f'/proc/{pid}/root') == f'{s.spool}/empty'
                assert os.stat(f'/proc/{pid}').st_uid != owner
        for c in clients:
            c.send(b'\r\n.\r\n')
            c.expect('250')
            c.close()
        s.wait_mail(4)


def test_a_worker_cannot_open_its_files_again(d):
    """Not through /proc either, and the folder is closed to it."""
    if not ROOT:
        raise Skip('needs root')
    with Server(d, as_root=True, workers=1, conf=SMALL) as s:
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail(1)
        pid = s.pids('worker')[0]
        uid, gid = os.stat(f'/proc/{pid}').st_uid, os.stat(f'/proc/{pid}').st_gid
        paths = [p for p, _, _ in in_spool(s, pid)]
        assert paths
        for path in paths + [f'{s.spool}/incoming/.', f'{s.spool}/queue/.',
                             f'{s.spool}/incoming/instances']:
            assert os.path.exists(path), path
            for mode in ('-r', '-w'):
                got = subprocess.run(
                    ['setpriv', f'--reuid={uid}', f'--regid={gid}', '--clear-groups',
                     'test', mode, path])
                assert got.returncode == 1, (mode, path)


def test_the_numbers_of_workers_are_in_the_names_of_their_files(d):
    with Server(d, workers=2, conf=SMALL) as s:
        def numbers():
            return {int(f[-3:], 16) for f in os.listdir(f'{s.spool}/incoming')
                    if f.startswith('seg.')}
        wait_for('two segments each', lambda: len(numbers()) == 2)
        before = numbers()
        assert not before & {0, 4095}, before
        # all end at once, and leave their segments to a queue that is not there
        for pid in s.pids('queue') + s.pids('worker'):
            os.kill(pid, signal.SIGSTOP)
        for pid in s.pids('worker'):
            os.kill(pid, signal.SIGKILL)
        wait_for('others', lambda: len(numbers() - before) == 2)
        for pid in s.pids('queue'):
            os.kill(pid, signal.SIGCONT)
        wait_for('the old ones to go', lambda: not numbers() & before)


def is_taken(s, i):
    """A client that is told 45x comes again."""
    with Client(s.port) as c:
        c.hello()
        try:
            c.mail(text_message(i, 30000))
        except AssertionError as e:
            if "'45" in str(e):
                return False
            raise
    return True


def test_mail_comes_in_while_spoold_is_killed_again_and_again(d):
    with Server(d, workers=2, conf=SMALL) as s:
        for i in range(12):
            pid = s.pids('spoold')[0]
            if i % 2 == 0:
                os.kill(pid, signal.SIGKILL)
            wait_for('it to be taken', lambda: is_taken(s, i))
            if i % 2 == 0:
                wait_for('another', lambda: [p for p in s.pids('spoold') if p != pid])
        got = {body_of(x) for x in s.wait_mail(12)}
        assert got == {text_message(i, 30000) for i in range(12)}


def test_a_reload_refuses_no_mail(d):
    with Server(d, workers=2, conf=SMALL) as s:
        with Client(s.port) as old:
            old.hello()
            for i in range(3):
                first = s.pids('spoold')
                s.ctl('reload')
                wait_for('the old spoold to end', lambda: not set(first) & set(s.pids('spoold')))
                with Client(s.port) as c:
                    c.hello()
                    c.mail(text_message(i, 30000))
        s.wait_mail(3)


def modes(folder):
    """Names and modes of its files; one may go while this looks."""
    for f in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            yield f.name, f.stat().st_mode


def as_of_an_earlier_version(s, uid, gid):
    """What the version before had: the workers' folder, no origins."""
    folder = f'{s.spool}/incoming'
    for f in os.scandir(folder):
        os.chmod(f.path, 0o660)
        os.chown(f.path, uid, gid)
    os.chown(folder, uid, gid)
    os.chmod(folder, 0o2770)
    db = sqlite3.connect(f'{s.spool}/queue/deferred.db')
    for trigger in 'insert', 'delete', 'update':
        db.execute(f'DROP TRIGGER held_{trigger}')
    db.execute('DROP TABLE held')
    for (index,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index'"
            " AND tbl_name = 'deferred' AND sql NOT NULL").fetchall():
        db.execute(f'DROP INDEX {index}')
    first = ('id', 'rcpt_index', 'sender', 'rcpt', 'transport', 'received_us',
             'octets', 'attempts', 'next_attempt', 'last_error')
    for row in db.execute('PRAGMA table_xinfo(deferred)').fetchall():
        if row[1] not in first:
            db.execute(f'ALTER TABLE deferred DROP COLUMN {row[1]}')
    db.execute('CREATE INDEX deferred_next ON deferred (next_attempt)')
    db.execute('PRAGMA user_version = 0')
    db.commit()
    n = db.execute('SELECT count(*) FROM deferred').fetchone()[0]
    db.close()
    return n


def test_an_upgrade_loses_nothing(d):
    s = Server(d, as_root=ROOT, workers=2, conf=SMALL + '\nretry_interval = 1')
    s.start()
    uid, gid = os.stat(f'/proc/{s.pids("worker")[0]}').st_uid, os.getgid()
    # some are deferred
    os.rename(s.mail, s.mail + '.away')
    with open(s.mail, 'w'):
        pass
    for i in range(4):
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message(i, 500 if i % 2 else 30000))
    # each of them; the counter has another attempt of one, too
    wait_for('deferred ones', lambda: [
        r['state'] for m in s.ctl_json('queue', 'list')['messages']
        for r in m['recipients']].count('deferred') == 4)
    # others have only come in
    for pid in s.pids('queue'):
        os.kill(pid, signal.SIGSTOP)
    for i in range(4, 20):
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message(i, 500 if i % 2 else 30000))
    for pid in [s.master] + s.pids():
        os.kill(pid, signal.SIGKILL)
    s.no_process_left()
    assert as_of_an_earlier_version(s, uid, gid) == 4
    os.unlink(s.mail)
    os.rename(s.mail + '.away', s.mail)
    with s:
        got = sorted(body_of(x) for x in s.wait_mail(20, timeout=60))
        assert got == sorted(text_message(i, 500 if i % 2 else 30000) for i in range(20))
        wait_for('all of it to be done', lambda: not [
            name for name, mode in modes(f'{s.spool}/incoming')
            if mode & 0o060 and not name.startswith(('reserve.', 'instances'))])
        assert os.stat(f'{s.spool}/incoming').st_mode & 0o7777 == 0o700
        assert not [f for f in os.listdir(f'{s.spool}/incoming') if f.startswith('damaged.')]
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message(99))
        s.wait_mail(21)


def answer(s, message):
    """The reply to a message, and how long it took."""
    start = time.monotonic()
    with Client(s.port, timeout=60) as c:
        c.hello()
        for line in 'MAIL FROM:<a@client.test>', 'RCPT TO:<user@example.test>', 'DATA':
            c.send(line.encode() + b'\r\n')
            r = c.reply()
            if r[:1] != '2' and r[:3] != '354':
                return r, time.monotonic() - start
        c.send(message + b'.\r\n')
        return c.reply(), time.monotonic() - start


@lasts(10)
def test_a_spoold_that_hangs_is_waited_for_once(d):
    """Large messages get 451, no word of a full disk; small ones are accepted."""
    with Server(d, workers=1, conf=SMALL) as s:
        assert answer(s, text_message(0))[0].startswith('250')
        pid = s.pids('spoold')[0]
        os.kill(pid, signal.SIGSTOP)
        r, seconds = answer(s, text_message(1, 30000))
        assert r.startswith('451 4.3.0'), r
        for i in range(2, 5):
            r, seconds = answer(s, text_message(i, 30000))
            assert r.startswith('451 4.3.0') and seconds < 5, (r, seconds)
        r, seconds = answer(s, text_message(5))
        assert r.startswith('250') and seconds < 5, (r, seconds)
        s.logged('event=spoold-silent ')
        assert s.log().count('event=spoold-silent ') == 1
        os.kill(pid, signal.SIGCONT)
        wait_for('it to be taken', lambda: answer(s, text_message(6, 30000))[0].startswith('250'))
        s.logged('event=spoold-answers ')
        s.wait_mail(3)


def test_a_worker_gives_up_what_it_has_acknowledged(d):
    """The queue does not read.  An attacker who takes over the worker now
    cannot change the mail."""
    with Server(d, workers=1, conf=SMALL) as s:
        queue = s.pids('queue')
        worker = s.pids('worker')[0]
        for p in queue:
            os.kill(p, signal.SIGSTOP)
        for i, size in enumerate((500, 30000)):
            assert answer(s, text_message(i, size))[0].startswith('250')

        def holding(text):
            found = []
            for f in os.scandir(f'{s.spool}/incoming'):
                with open(f.path, 'rb') as fp:
                    if f.name.startswith(('seg.', 'body.')) and text in fp.read():
                        found.append(f.path)
            return found
        files = holding(b'a@client.test')
        assert {os.path.basename(p)[:3] for p in files} == {'seg', 'bod'}, files
        wait_for('both to be closed', lambda: not set(files) & {
            p for p, _, _ in in_spool(s, worker)})
        for p in queue:
            os.kill(p, signal.SIGCONT)
        s.wait_mail(2)
