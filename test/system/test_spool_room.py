"""A spool that its own mail has filled drains by itself."""
import os
import shutil
import signal
import subprocess

from harness import (Client, Server, Skip, lasts, mount_tmpfs, text_message,
                     unshare_mounts, wait_for)
from test_resources import SMALL, all_there, fill, send_until


def stop(s):
    pids = s.pids('queue') + s.pids('deliver')
    for p in pids:
        os.kill(p, signal.SIGSTOP)
    return pids


def go_on(pids):
    for p in pids:
        os.kill(p, signal.SIGCONT)


def accepted(s, i):
    """Does a message get 250?"""
    with Client(s.port, timeout=60) as c:
        c.hello()
        for command in 'MAIL FROM:<a@client.test>', 'RCPT TO:<user@example.test>', 'DATA':
            c.send(command.encode() + b'\r\n')
            r = c.reply()
            if r[:1] != '2' and r[:3] != '354':
                assert r.startswith('452 4.3.1'), r
                return False
        c.send(text_message(i, 30000) + b'.\r\n')
        r = c.reply()
        assert r.startswith(('250', '452 4.3.1')), r
        return r.startswith('250')


def drains(s, disk, fill_it):
    """Messages are deferred, more wait, nothing is free; then delivery works
    again."""
    # a file where the folder of the Maildirs should be
    user = os.path.dirname(s.maildir())
    with open(user, 'w'):
        pass
    acked = send_until(s.port, '250', 1)
    for i in range(1, 20):
        acked += send_until(s.port, '250', 1, start=i)
    wait_for('the first to be deferred',
             lambda: int(s.stats()['deferred']) >= len(acked), 60)
    waiting = stop(s)
    acked += send_until(s.port, '452', 3000, start=100)
    fill_it(disk)
    os.unlink(user)
    go_on(waiting)
    all_there(s, acked)
    s.wait_empty(60)
    # what does not belong to the spool is still there
    wait_for('new mail to be accepted', lambda: accepted(s, 5000), 60)
    # there is little room: some have to be tried again
    for i in range(5001, 5050):
        wait_for('new mail to be accepted', lambda: accepted(s, i), 60)


def test_filled_to_the_last_block(d):
    unshare_mounts()
    mount_tmpfs(f'{d}/disk', '24m')
    with Server(d, spool=f'{d}/disk/spool', conf=SMALL) as s:
        drains(s, f'{d}/disk', lambda disk: fill(f'{disk}/filler'))


def test_filled_to_the_last_block_of_ext4(d):
    unshare_mounts()
    os.makedirs(f'{d}/disk')
    with open(f'{d}/image', 'wb') as f:
        f.truncate(48 << 20)
    mkfs = shutil.which('mkfs.ext4', path='/sbin:/usr/sbin:/usr/bin')
    subprocess.run([mkfs, '-q', '-F', '-m', '0', f'{d}/image'], check=True)
    if subprocess.run(['mount', '-o', 'loop', f'{d}/image',
                       f'{d}/disk']).returncode:
        raise Skip('may not mount a file here')
    os.chmod(f'{d}/disk', 0o1777)
    with Server(d, spool=f'{d}/disk/spool', conf=SMALL) as s:
        drains(s, f'{d}/disk', lambda disk: fill(f'{disk}/filler'))


def no_inodes(disk):
    os.makedirs(f'{disk}/many')
    n = 0
    try:
        while True:
            os.close(os.open(f'{disk}/many/{n}', os.O_CREAT | os.O_WRONLY))
            n += 1
    except OSError:
        pass


def test_filled_to_the_last_inode(d):
    unshare_mounts()
    mount_tmpfs(f'{d}/disk', '24m,nr_inodes=200')
    with Server(d, spool=f'{d}/disk/spool', conf=SMALL) as s:
        drains(s, f'{d}/disk', no_inodes)


def test_restart_of_a_full_spool(d):
    """A queue process that starts without a free block, or an inode."""
    unshare_mounts()
    mount_tmpfs(f'{d}/disk', '24m,nr_inodes=200')
    with Server(d, spool=f'{d}/disk/spool', conf=SMALL) as s:
        acked = send_until(s.port, '250', 1)
        waiting = stop(s)
        acked += send_until(s.port, '452', 1000, start=100)
        fill(f'{d}/disk/filler')
        no_inodes(f'{d}/disk')
        for p in waiting:
            os.kill(p, signal.SIGKILL)
        all_there(s, acked)
        wait_for('new mail to be accepted', lambda: accepted(s, 5000), 60)


def octets_in(folder):
    return sum(os.lstat(f'{folder}/{name}').st_size
               for name in os.listdir(folder))


def try_all_again(s, acked):
    """Wait until each message has been tried twice more."""
    before = int(s.stats()['deferred'])
    wait_for('more attempts', lambda: int(
        s.stats()['deferred']) > before + 2 * len(acked), 60)


def fill_with_deferred_mail(s, quota):
    """Mail for a Maildir that cannot be written, until the deferred messages
    leave no room for another segment; the numbers acknowledged."""
    acked = []

    def send_more():
        # what is in segments takes room twice while it is being deferred
        wait_for('all to be deferred', lambda: len(os.listdir(
            f'{s.spool}/queue/deferred')) == len(acked), 60)
        start = acked[-1] + 1 if acked else 0
        new = send_until(s.port, '452', 3000, start=start)
        acked.extend(new)
        return new

    def is_full():
        if send_more() or octets_in(f'{s.spool}/queue/deferred') <= quota // 4:
            return False
        # their segment goes when all of it is deferred, a moment after the last
        # file is there: only then is it known what is left
        try_all_again(s, acked)
        return not send_more()
    wait_for('the quota to be used up', is_full, 120)
    return acked


def test_deferred_mail_counts_for_the_quota_and_drains_by_itself(d):
    quota = 8 << 20
    with Server(d, conf=SMALL + f'spool_quota = {quota}\n', workers=1) as s:
        # a file where the folder of the Maildirs should be
        user = os.path.dirname(s.maildir())
        with open(user, 'w'):
            pass
        acked = fill_with_deferred_mail(s, quota)
        # a copy takes a little more than the record in its segment
        octets = octets_in(f'{s.spool}/queue/deferred')
        assert octets < quota * 5 // 4, octets
        # it stays so, while all are tried again and again
        try_all_again(s, acked)
        assert not accepted(s, 5000)
        os.unlink(user)
        all_there(s, acked)
        s.wait_empty(60)
        more = []

        def again():
            # the number is not used twice: it may have been accepted
            more.append(5001 + len(more))
            return accepted(s, more[-1])
        wait_for('new mail to be accepted', again, 60)
        acked.append(more[-1])
        acked += send_until(s.port, '250', 1, start=7000)
        all_there(s, acked)


@lasts(30)
def test_the_database_of_deferred_mail_gives_its_room_back(d):
    """Rows of many recipients take more than all else."""
    quota = 10 << 20
    seldom = SMALL.replace('interval = 1\n', 'interval = 60\n')
    with Server(d, conf=seldom + f'spool_quota = {quota}\n', workers=1) as s:
        with open(os.path.dirname(s.maildir()), 'w'):
            pass
        sender = 'a' * 60 + '@' + '.'.join(['d' * 60] * 3)
        n = 0

        def is_full():
            nonlocal n
            with Client(s.port, timeout=60) as c:
                c.hello()
                c.send(f'MAIL FROM:<{sender}>\r\n'.encode())
                r = c.reply()
                if r.startswith('452 4.3.1'):
                    return True
                assert r.startswith('250'), r
                c.send(b''.join(f'RCPT TO:<{"u" * 50}{i}@example.test>\r\n'
                                .encode() for i in range(500)))
                for _ in range(500):
                    c.expect('250')
                c.send(b'DATA\r\n')
                r = c.reply()
                if r.startswith('354'):
                    c.send(text_message(n) + b'.\r\n')
                    r = c.reply()
                if r.startswith('452 4.3.1'):
                    return True
                assert r.startswith('250'), r
                n += 1
            wait_for('all to be deferred', lambda: int(
                s.stats()['deferred']) >= 500 * n, 60)
            return False
        wait_for('the quota to be used up', is_full, 120)
        db = f'{s.spool}/queue/deferred.db'
        assert os.path.getsize(db) > quota // 4, os.path.getsize(db)
        for m in {m['id'] for m in s.ctl_json('queue')['messages']}:
            s.ctl('queue', 'remove', m)
        wait_for('a small database', lambda: os.path.getsize(db) < 2 << 20)
        os.unlink(os.path.dirname(s.maildir()))
        wait_for('new mail to be accepted', lambda: accepted(s, 5000), 60)
