"""Full disks and too few descriptors: 4xx, nothing lost, no restart needed."""
import json
import os
import signal
import socket
import time

from harness import (SLOW, Client, Server, body_of, mount_tmpfs, set_nofile,
                     text_message, unshare_mounts, wait_for)

SMALL = '''Max_Errors = 0
segment_size = 1048576
spool_large_message = 100000
retry_interval = 1
max_retry_interval = 1
'''


def fill(path):
    """Fill the file system that path is on."""
    with open(path, 'wb', buffering=0) as f:
        block = bytes(65536)
        while block:
            try:
                f.write(block)
            except OSError:
                block = block[:len(block) // 2]


def send_until(port, want, limit, size=30000, start=0):
    """Messages until a reply starts with want; the numbers acknowledged."""
    acked = []
    with Client(port, timeout=60) as c:
        c.hello()
        for i in range(start, start + limit):
            c.send(b'MAIL FROM:<a@client.test>\r\n')
            r = c.reply()
            if r.startswith('250'):
                c.cmd('RCPT TO:<user@example.test>')
                c.send(b'DATA\r\n')
                r = c.reply()
                if r.startswith('354'):
                    c.send(text_message(i, size) + b'.\r\n')
                    r = c.reply()
                else:
                    c.cmd('RSET')
            assert r[:4] in ('250 ', '451 ', '452 '), r
            assert r[4:7] in ('2.0', '4.3'), r
            if r.startswith('250'):
                acked.append(i)
            if r.startswith(want):
                return acked
            if not r.startswith('250'):
                time.sleep(0.02)
    raise AssertionError(f'no {want} in {limit} messages')


def all_there(s, numbers, size=30000):
    got = s.wait_mail(len(numbers), timeout=60)
    assert sorted(body_of(m) for m in got) == sorted(
        text_message(i, size) for i in numbers)


def test_a_full_spool_disk(d):
    unshare_mounts()
    mount_tmpfs(f'{d}/disk', '12m')
    with Server(d, spool=f'{d}/disk/spool', conf=SMALL) as s:
        pids = sorted(s.pids())
        acked = send_until(s.port, '250', 1)
        fill(f'{d}/disk/filler')
        acked += send_until(s.port, '45', 400, start=1)
        # and for large messages, and again
        acked += send_until(s.port, '45', 400, start=1000, size=300000)
        big = [i for i in acked if i >= 1000]
        s.ctl('status')
        os.unlink(f'{d}/disk/filler')
        acked += send_until(s.port, '250', 400, start=2000)
        assert sorted(s.pids()) == pids, 'a process has died'
        got = s.wait_mail(len(acked), timeout=60)
        want = [text_message(i, 300000 if i in big else 30000) for i in acked]
        assert sorted(body_of(m) for m in got) == sorted(want)


def test_a_full_spool_disk_before_the_first_message(d):
    unshare_mounts()
    mount_tmpfs(f'{d}/disk', '12m')
    with Server(d, spool=f'{d}/disk/spool', conf=SMALL) as s:
        fill(f'{d}/disk/filler')
        send_until(s.port, '45', 400)
        os.unlink(f'{d}/disk/filler')
        send_until(s.port, '250', 400, start=1000)


def test_a_full_mail_disk_defers(d):
    unshare_mounts()
    mount_tmpfs(f'{d}/disk', '4m')
    with Server(d, mail=f'{d}/disk/mail', conf=SMALL) as s:
        acked = send_until(s.port, '250', 1)
        s.wait_mail(1)
        fill(f'{d}/disk/filler')
        for i in range(1, 20):
            acked += send_until(s.port, '250', 1, start=i)
        q = wait_for('the queue to say so',
                     lambda: json.dumps(s.ctl_json('queue'))
                     if int(s.stats()['deferred']) else None)
        assert 'No space left' in q, q
        os.unlink(f'{d}/disk/filler')
        all_there(s, acked)
        assert os.listdir(s.maildir() + '/tmp') == []


def test_the_spool_quota(d):
    with Server(d, conf=SMALL + 'spool_quota = 8388608\n') as s:
        waiting = s.pids('queue') + s.pids('deliver')
        for p in waiting:
            os.kill(p, signal.SIGSTOP)
        acked = send_until(s.port, '452', 1000)
        assert acked
        for p in waiting:
            os.kill(p, signal.SIGCONT)
        all_there(s, acked)
        acked += send_until(s.port, '250', 200, start=5000)
        all_there(s, acked)


def send_from(c, first, end):
    """Messages of 30,000 octets.  Refused for want of room, one comes again."""
    deadline = time.monotonic() + 120 * SLOW
    while first < end:
        assert time.monotonic() < deadline, f'message {first} is not taken'
        c.envelope()
        c.send(b'DATA\r\n')
        r = c.reply()
        if r.startswith('354'):
            c.send(text_message(first, 30000) + b'.\r\n')
            r = c.reply()
        else:
            c.cmd('RSET')
        if r.startswith('45'):
            time.sleep(0.1)
            continue
        assert r.startswith('250'), r
        first += 1


def wait_for_files(s, n):
    """Looks at their names alone: to read 45 MB at each look takes long."""
    new = f'{s.maildir("user", "example.test")}/new'
    wait_for(f'{n} files', lambda: len(os.listdir(new)) >= n, 60)
    assert len(os.listdir(new)) == n


def test_spool_disk_of_a_whole_day_is_given_back(d):
    """Much more mail than the disk could hold.  Segments are used again, at the
    latest when there is room."""
    unshare_mounts()
    mount_tmpfs(f'{d}/disk', '24m')
    with Server(d, spool=f'{d}/disk/spool', conf=SMALL, workers=1) as s:
        with Client(s.port, timeout=60) as c:
            c.hello()
            send_from(c, 0, 1500)
            wait_for_files(s, 1500)
            rush = s.stats()
            used = (int(rush['segments_created']) +
                    int(rush['segments_recycled']))
            assert used >= 1500 * 30000 // 1048576, rush
            for n in range(1500, 3000, 30):
                send_from(c, n, n + 30)
                wait_for_files(s, n + 30)
                calm = s.stats()
                again = (int(calm['segments_recycled']) -
                         int(rush['segments_recycled']))
                if again > 10:
                    break
            assert again > 10, (rush, calm)


def serves_again(s, number):
    """A message comes in, and arrives."""
    def once_more():
        try:
            with Client(s.port, timeout=2) as c:
                c.hello()
                c.mail(text_message(number))
                return True
        except (OSError, AssertionError):
            return False
    wait_for('service', once_more)
    s.wait_mail(number)


def test_descriptor_limit_of_the_whole_server(d):
    with Server(d, nofile=80, workers=1) as s:
        pids = sorted(s.pids())
        with Client(s.port) as first:
            first.hello()
            many = []
            for _ in range(200):
                x = socket.socket()
                x.settimeout(0.3)
                try:
                    x.connect(('127.0.0.1', s.port))
                    many.append(x)
                except OSError:
                    x.close()
            said = {}
            for x in many:
                x.settimeout(0.05)
                try:
                    r = x.recv(100)[:3].decode()
                except socket.timeout:
                    r = 'nothing'
                except OSError:
                    r = 'closed'
                said[r] = said.get(r, 0) + 1
            assert set(said) <= {'220', '421', 'nothing', 'closed', ''}, said
            assert said.get('220', 0) > 10, said
            # sessions that exist are served
            first.mail(text_message(1))
            for x in many:
                x.close()

        serves_again(s, 2)
        assert sorted(s.pids()) == pids, 'a process has died: ' + s.log()[-2000:]


def test_descriptor_limit_of_a_worker(d):
    with Server(d, workers=1) as s:
        w = s.pids('worker')[0]
        have = len(os.listdir(f'/proc/{w}/fd'))
        set_nofile(w, have + 5)
        with Client(s.port) as first:
            first.hello()
            many = [Client(s.port, banner=False, timeout=2) for _ in range(30)]
            for c in many:
                try:
                    r = c.reply()
                except OSError:
                    r = ''
                assert r[:3] in ('220', '421', ''), r
            first.mail(text_message(1))
            for c in many:
                c.close()
        set_nofile(w, None)

        serves_again(s, 2)
        wait_for('all sessions to end', lambda: 'x' if int(
            s.stats()['sessions']) == int(s.stats()['sessions_ended']) else None)


def test_descriptor_limit_of_queue_and_deliver(d):
    with Server(d, workers=1, conf=SMALL) as s:
        send_until(s.port, '250', 1)
        s.wait_mail(1)
        limited = s.pids('queue') + s.pids('deliver')
        for p in limited:
            set_nofile(p, max(map(int, os.listdir(f'/proc/{p}/fd'))) + 1)
        acked = [0]
        for i in range(1, 150):
            acked += send_until(s.port, '250', 1, start=i)
        time.sleep(0.5)
        for p in limited:
            set_nofile(p, None)
        all_there(s, acked)
        assert sorted(limited) == sorted(s.pids('queue') + s.pids('deliver'))


def test_a_file_that_an_agent_could_not_take_is_told_of_again(d):
    """It had no descriptor for it when it was told."""
    with Server(d, workers=1, conf='retry_interval = 1h\n') as s:
        [p] = s.pids('mailmilld: deliver')
        have = set(map(int, os.listdir(f'/proc/{p}/fd')))
        set_nofile(p, min(set(range(max(have) + 2)) - have))
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message(1))
            s.logged('event=deliver-source ')
            set_nofile(p, None)
            # into the same file, which its worker closes after a second
            c.mail(text_message(2))
        wait_for('the second', lambda: any(
            b'Subject: number 2\r\n' in m for m in s.delivered()))
        assert s.pids('mailmilld: deliver') == [p]
