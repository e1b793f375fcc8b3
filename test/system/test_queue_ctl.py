"""mailmillctl queue: filters, hold and release, counts, the message itself; also when
no server runs."""
import fcntl
import json
import os
import signal
import socket
import subprocess

from harness import (BUILD, ROOT, Client, Server, Skip, body_of, lasts,
                     text_message, wait_for)
from test_envelope import kill_all
from test_queue import block as block_one
from test_reports import parts

CONF = 'retry_interval = 3600\nmax_retry_interval = 3600\n'


def send(s, sender, *rcpts, size=500, n=0):
    with Client(s.port) as c:
        c.hello()
        c.cmd(f'MAIL FROM:<{sender}>')
        for r in rcpts:
            c.cmd(f'RCPT TO:<{r}>')
        c.cmd('DATA', '354')
        c.send(text_message(n, size) + b'.\r\n')
        return c.expect('250').split()[-1]


def block(s):
    """No Maildir can be written."""
    os.rename(s.mail, s.mail + '.away')
    with open(s.mail, 'w'):
        pass


def unblock(s):
    os.unlink(s.mail)
    os.rename(s.mail + '.away', s.mail)


def rcpts(s, *args):
    """(id, recipient, state) of what "queue list" shows"""
    return sorted((m['id'], r['recipient'].split('@')[0], r['state'])
                  for m in s.ctl_json('queue', 'list', *args)['messages']
                  for r in m['recipients'])


def three(s):
    """Three deferred messages"""
    block(s)
    ids = [send(s, 'a@one.test', 'joe@example.test', 'ann@example.test'),
           send(s, 'b@two.test', 'joe@example.test', size=9000, n=1),
           send(s, '', 'bob@example.test', n=2)]
    wait_for('the queue', lambda: [x[2] for x in rcpts(s)] == ['deferred'] * 4)
    return ids


def check_filters(s, ids):
    a, b, c = ids
    assert [x[0] for x in rcpts(s, '--recipient', 'JOE@*')] == sorted([a, b])
    assert rcpts(s, '--sender', '*@one.test', '--recipient', 'ann*') == [
        (a, 'ann', 'deferred')]
    assert rcpts(s, '--sender', '<>') == [(c, 'bob', 'deferred')]
    assert [x[0] for x in rcpts(s, '--larger', '5k')] == [b]
    assert len(rcpts(s, '--domain', 'example.test', '--newer', '1h')) == 4
    assert rcpts(s, '--older', '1d') == []
    assert len(rcpts(s, '--error', os.path.basename(s.mail))) == 4
    assert rcpts(s, '--error', 'no such reason') == []
    assert rcpts(s, '--state', 'hold') == []
    assert 'finds no message' in s.ctl('queue', '--state', 'hold').stdout
    v = s.ctl_json('queue', 'list', '--limit', '1')
    assert len(v['messages']) == 1 and v['more'] is True, v
    top = s.ctl_json('queue', 'top')
    assert top['total']['recipients'] == 4, top
    assert [(r['name'], r['recipients']) for r in top['top']] == [
        ('example.test', 4)], top
    top = s.ctl_json('queue', 'top', '--senders', '--recipient', 'joe@*')
    assert sorted(r['name'] for r in top['top']) == ['one.test', 'two.test']
    # not s.mail: a word with four digits, as its random name may have, stands
    # for those of other messages and is not shown
    top = s.ctl_json('queue', 'top', '--errors')['top']
    assert [r['recipients'] for r in top] == [4], top
    assert 'Not a directory' in top[0]['name'], top
    raw = s.ctl('queue', 'show', '--raw', b).stdout
    assert raw.replace('\r\n', '\n').endswith(
        text_message(1, 9000).decode().replace('\r\n', '\n')), raw[:500]
    body = s.ctl('queue', 'show', '--body', b).stdout
    headers = s.ctl('queue', 'show', '--headers', b).stdout
    assert 'Received: ' in headers and '\n\n' not in headers, headers
    assert headers + '\n' + body == raw.replace('\r\n', '\n')


def test_filters_choose_and_top_counts(d):
    with Server(d, conf=CONF) as s:
        ids = three(s)
        check_filters(s, ids)
        for args in (('list', '--sendr', 'x'), ('list', '--older', 'x'),
                     ('list', '--larger', '1T'), ('remove',),
                     ('remove', ids[0], '--domain', 'x'),
                     ('show', '--raw', ids[0], '--json'), ('top', 'all'),
                     ('retry', '--limit', '3', 'all'), ('list', 'all')):
            p = s.ctl('queue', *args, check=False)
            assert p.returncode == 2 and p.stderr, (args, p)
        for args in (('list', '--state', 'asleep'), ('list', '--sender', 'a*b'),
                     ('show', '--raw', '06JP0ZDGQ9R47')):
            p = s.ctl('queue', *args, check=False)
            assert p.returncode == 1 and p.stderr, (args, p)
        assert len(rcpts(s)) == 4


def test_on_hold_until_it_is_released(d):
    with Server(d, conf=CONF) as s:
        a, b, c = three(s)
        args = 'hold', '--recipient', 'joe@example.test'
        assert s.ctl_json('queue', *args, '--dry-run') == {
            'held': 2, 'messages': 2, 'dry_run': True}
        assert 'would be put on hold' in s.ctl('queue', *args,
                                               '--dry-run').stdout
        assert not [x for x in rcpts(s) if x[2] == 'hold']
        assert '2 recipients of 2 messages put on hold' in s.ctl(
            'queue', *args).stdout
        assert rcpts(s, '--state', 'hold') == sorted(
            [(a, 'joe', 'hold'), (b, 'joe', 'hold')])
        unblock(s)
        assert s.ctl_json('queue', 'retry', 'all')['retried'] == 2
        s.wait_mail(1, user='ann')
        s.wait_mail(1, user='bob')
        s.stop()
        s.start()
        s.ctl('queue', 'retry', 'all')
        assert rcpts(s) == sorted([(a, 'joe', 'hold'), (b, 'joe', 'hold')])
        assert not s.delivered('joe')
        s.ctl('queue', 'remove', a)
        assert s.ctl_json('queue', 'release', 'all') == {
            'released': 1, 'messages': 1}
        s.wait_mail(1, user='joe')
        wait_for('an empty queue', lambda: not rcpts(s))
        for event in 'on-hold', 'released', 'removed':
            s.logged(rf'event={event} id=\S+ rcpt=joe@example.test '
                     'by=mailmillctl')


def given_up(s):
    """What ann is told: of each report the recipients, the status and the words"""
    return [([str(r['Final-Recipient']).split(';')[1].strip() for r in rcpts],
             {str(r['Status']) for r in rcpts}, words) for _, words, _, rcpts, _
            in (parts(body) for body in s.delivered('ann'))]


def test_what_is_given_up_comes_back_once(d):
    """Whether a server runs, is killed right after the answer, or does not run."""
    s = Server(d, conf=CONF)
    s.start()
    block_one(s, 'joe')
    block_one(s, 'bob')

    def await_reports(n):
        s.wait_mail(n, user='ann')
        wait_for('an empty queue', lambda: not rcpts(s))
        assert len(s.delivered('ann')) == n

    def one(n, sender='ann@example.test'):
        id = send(s, sender, 'joe@example.test', 'bob@example.test', n=n)
        wait_for('deferred', lambda: [x[2] for x in rcpts(s)] ==
                 ['deferred'] * 2)
        return id

    one(1)
    assert s.ctl_json('queue', 'bounce', '--dry-run', 'all') == {
        'bounced': 2, 'messages': 1, 'dry_run': True}
    assert 'would be given up' in s.ctl('queue', 'bounce', '--dry-run',
                                        'all').stdout
    assert len(rcpts(s)) == 2
    assert '2 recipients of 1 message given up' in s.ctl(
        'queue', 'bounce', '--recipient', '*@example.test', '--reason',
        'the host is gone for good').stdout
    await_reports(1)
    [(who, status, words)] = given_up(s)
    assert sorted(who) == ['bob@example.test', 'joe@example.test'], who
    assert status == {'5.0.0'} and 'the host is gone for good' in words, words
    s.logged(r'event=given-up id=\S+ rcpt=joe@example.test by=mailmillctl '
             'reason="the host is gone for good"')
    one(2, '')
    s.ctl('queue', 'bounce', 'all')
    await_reports(1)
    s.logged(r'event=bounced .*from="" .*report=none')
    id = one(3)
    assert s.ctl_json('queue', 'bounce', id)['bounced'] == 2
    kill_all(s)
    s.start()
    await_reports(2)
    one(4)
    s.stop()
    assert s.ctl_json('queue', 'bounce', '--domain', 'example.test') == {
        'bounced': 2, 'messages': 1}
    assert {x[2] for x in rcpts(s)} == {'failed'}
    s.start()
    await_reports(3)
    assert all(len(who) == 2 for who, _, _ in given_up(s))
    for args in (('bounce',), ('remove', '--reason', 'x', 'all')):
        assert s.ctl('queue', *args, check=False).returncode == 2, args
    s.stop()


def test_what_waits_is_led_elsewhere(d):
    """Whether a server runs or not; and again as configured, when the section that was
    chosen is there no more."""
    s = Server(d, conf=CONF)
    other = ('Domain "other.invalid" {\n\tDelivery = maildir\n'
             f'\tMaildir = "{s.mail}/other-%d/%u"\n}}\n')
    s.write_conf(extra=other)
    s.start()
    block_one(s, 'joe')
    block_one(s, 'bob')
    a = send(s, 'a@one.test', 'joe@example.test', 'ann@example.test')
    b = send(s, 'a@one.test', 'bob@example.test')
    wait_for('deferred', lambda: [x[2] for x in rcpts(s)] == ['deferred'] * 2)
    for args in (('all',), ('--to', 'x', '--default', 'all'), ('--to', 'x')):
        assert s.ctl('queue', 'route', *args, check=False).returncode == 2, args
    p = s.ctl('queue', 'route', '--to', 'none.invalid', 'all', check=False)
    assert p.returncode == 1 and 'no Domain section' in p.stderr, p
    to = 'route', '--to', 'Other.invalid'
    assert s.ctl_json('queue', *to, '--dry-run', 'all') == {
        'routed': 2, 'messages': 2, 'dry_run': True}
    assert '1 recipient of 1 message will go that way' in s.ctl(
        'queue', *to, '--recipient', 'joe@*').stdout
    s.wait_mail(1, user='joe', domain='other-example.test')
    s.logged(rf'event=routed id={a} rcpt=joe@example.test '
             'route=other.invalid by=mailmillctl')
    s.stop()
    assert s.ctl_json('queue', *to, b) == {'routed': 1, 'messages': 1}
    assert 'goes by the section other.invalid' in s.ctl('queue').stdout
    p = s.ctl('queue', 'route', '--to', 'none.invalid', 'all', check=False)
    assert p.returncode == 1 and 'no Domain section' in p.stderr, p
    s.write_conf()
    s.start()
    s.logged(rf'event=route-lost id={b} rcpt=bob@example.test '
             'route=other.invalid effect=')
    s.logged(f'event=deferred id={b} ', n=2)
    s.write_conf(extra=other)
    s.ctl('reload')
    s.ctl('queue', 'retry', 'all')
    s.wait_mail(1, user='bob', domain='other-example.test')
    wait_for('an empty queue', lambda: not rcpts(s))
    s.stop()


def owners(path):
    return {os.lstat(os.path.join(top, name)).st_uid
            for top, dirs, files in os.walk(path) for name in dirs + files}


def check_without_server(s, ids):
    a, b, c = ids
    owner = os.stat(f'{s.spool}/queue').st_uid
    check_filters(s, ids)
    assert s.ctl_json('queue', 'hold', a)['held'] == 2
    assert s.ctl_json('queue', 'remove', '--sender', '<>') == {
        'removed': 1, 'messages': 1}
    assert s.ctl_json('queue', 'show', b)['message']['sender'] == 'b@two.test'
    assert s.ctl_json('queue', 'retry', b)['retried'] == 1
    p = s.ctl('queue', 'remove', c, check=False)
    assert p.returncode == 1 and 'no such message' in p.stderr, p
    assert owners(f'{s.spool}/queue') == {owner}
    for command in ('status',), ('stats',), ('reload',), ('stop',):
        p = s.ctl(*command, check=False)
        assert p.returncode == 1 and s.control in p.stderr, p
    unblock(s)
    s.start()
    s.wait_mail(1, user='joe')
    wait_for('what is on hold, and nothing else', lambda: rcpts(s) == sorted(
        [(a, 'ann', 'hold'), (a, 'joe', 'hold')]))
    assert not s.delivered('bob')
    s.ctl('queue', 'release', a)
    s.wait_mail(2, user='joe')
    s.wait_mail(1, user='ann')


def test_the_queue_is_there_without_a_server(d):
    s = Server(d, conf=CONF)
    s.start()
    ids = three(s)
    s.stop()
    check_without_server(s, ids)
    s.stop()


def test_without_a_server_the_times_of_sections_count_too(d):
    s = Server(d, conf='retry_interval = 1\nmax_retry_interval = 1\n',
               domain='retry_interval = 10h\nmax_retry_interval = 10h\n')
    s.start()
    block_one(s, 'joe')
    send(s, 'a@one.test', 'joe@example.test')

    def waits_until():
        return [r['next_attempt'] for m in s.ctl_json('queue')['messages']
                for r in m['recipients'] if r['state'] == 'deferred']
    wait_for('deferred', waits_until)
    until = waits_until()
    s.stop()
    assert waits_until() == until


def test_so_it_is_for_root_with_accounts(d):
    if not ROOT:
        raise Skip('needs root')
    s = Server(d, as_root=True, conf=CONF)
    s.start()
    ids = three(s)
    s.stop()
    assert os.stat(f'{s.spool}/queue').st_uid != 0
    p = subprocess.run(['setpriv', '--reuid=65534', '--clear-groups',
                        f'{BUILD}/mailmillctl', '-c', s.conf_file, 'queue'],
                       capture_output=True, text=True)
    assert p.returncode == 1 and 'queue' in p.stderr, p
    check_without_server(s, ids)
    s.stop()


def test_new_messages_are_there_without_a_server_too(d):
    """They are in segments: no agent was there to take them."""
    s = Server(d, conf=CONF)
    s.start()
    for pid in s.pids('deliver'):
        os.kill(pid, signal.SIGSTOP)
    ids = [send(s, f'n{i}@x.test', 'joe@example.test', n=i) for i in range(3)]
    for pid in [s.master] + s.pids():
        os.kill(pid, signal.SIGKILL)
    s.proc.wait()
    got = rcpts(s)
    assert [x[0] for x in got] == ids, got
    assert s.ctl_json('queue', 'hold', ids[0])['held'] == 1
    assert s.ctl_json('queue', 'remove', '--sender', 'n1@*')['removed'] == 1
    s.start()
    s.wait_mail(1, user='joe')
    wait_for('one on hold', lambda: rcpts(s) == [(ids[0], 'joe', 'hold')])
    assert len(s.delivered('joe')) == 1
    s.stop()


def test_import_reads_only_files_of_its_folder(d):
    """A link or a FIFO there is refused at once, by name, and nothing is taken."""
    s = Server(f'{d}/s', conf=CONF)
    s.start()
    three(s)
    s.ctl('queue', 'hold', 'all')
    secret = f'{d}/secret'
    for suffix in 'json', 'eml':
        for kind in 'link', 'fifo':
            folder = f'{d}/{suffix}-{kind}'
            os.mkdir(folder)
            s.ctl('queue', 'export', folder)
            name = sorted(n for n in os.listdir(folder)
                          if n.endswith(suffix))[-1]
            os.rename(f'{folder}/{name}', secret)
            if kind == 'link':
                os.symlink(secret, f'{folder}/{name}')
            else:
                os.mkfifo(f'{folder}/{name}')
            p = s.ctl('queue', 'import', folder, check=False)
            assert p.returncode == 1 and p.stderr.startswith(
                f'mailmillctl: {name}: it is '), p
    assert len(s.ctl_json('queue', 'list')['messages']) == 3
    s.stop()


def is_free(lock):
    with open(lock) as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@lasts(30)
def test_an_answer_that_nobody_reads_does_not_keep_the_lock(d):
    """As with "queue list | less", without a server."""
    s = Server(d, conf=CONF)
    s.start()
    block(s)
    id = send(s, 'a@one.test', 'joe@example.test', size=3000000)
    wait_for('the queue', lambda: [x[2] for x in rcpts(s)] == ['deferred'])
    s.stop()
    p = subprocess.Popen([f'{BUILD}/mailmillctl', '-c', s.conf_file, 'queue',
                          'export', '-', id], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    assert p.stdout.read(1) == b'{'
    lock = f'{s.spool}/queue/lock'
    assert not is_free(lock)
    # it is another session: the terminal's signals are not for it
    [child] = [int(x) for x in open(f'/proc/{p.pid}/task/{p.pid}/children')
               .read().split()]
    assert os.getsid(child) == child and os.getsid(p.pid) != child
    wait_for('the lock', lambda: is_free(lock), timeout=60)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 1 and len(out) < 3000000, p
    assert b'nobody has read the answer for 30 seconds' in err, err


def answered(d, lines, *words):
    """What mailmillctl prints when a server answers so, and closes."""
    path = f'{d}/answers'
    with socket.socket(socket.AF_UNIX) as at:
        at.bind(path)
        at.listen()
        p = subprocess.Popen(
            [f'{BUILD}/mailmillctl', '-s', path, *words],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        with at.accept()[0] as c, c.makefile('rb') as f:
            f.readline()
            c.sendall(lines)
        err = p.communicate(timeout=30)[1]
    os.unlink(path)
    assert p.returncode == 1, p
    return err


def test_errors_of_a_server_do_not_reach_the_terminal_raw(d):
    error = b'{"error":"x\\u001b]0;y\\u0007z"}\n'
    for words in (('status',), ('queue', 'remove', 'all'),
                  ('queue', 'export', d)):
        assert answered(d, error, *words) == 'mailmillctl: x?]0;y?z\n', words
    head = b'{"id":"618J1G7R2P001","octets":1}\nx\n{"complete":true}\n'
    assert answered(d, head + error, 'queue', 'export', d) == (
        'mailmillctl: export: x?]0;y?z\n')


def test_an_import_cut_off_says_that_some_may_be_in_the_queue(d):
    err = answered(d, b'{"ready":true}\n', 'queue', 'import', '-')
    assert 'in the queue already' in err and 'try again' not in err, err


def test_export_and_import_move_messages(d):
    """From a server that runs to one that does not, and from that to a third."""
    a = Server(f'{d}/a', conf=CONF)
    b = Server(f'{d}/b', conf=CONF)
    c = Server(f'{d}/c', conf=CONF)
    folder = f'{d}/messages'
    os.mkdir(folder)
    a.start()
    ids = three(a)
    a.ctl('queue', 'hold', 'all')
    assert '3 messages exported' in a.ctl(
        'queue', 'export', folder, '--state', 'hold').stdout
    assert sorted(os.listdir(folder)) == sorted(
        f'{i}.{x}' for i in ids for x in ('eml', 'json'))
    assert os.stat(f'{folder}/{ids[0]}.eml').st_mode & 0o777 == 0o600
    with open(f'{folder}/{ids[1]}.json') as f:
        assert json.load(f)['sender'] == 'b@two.test'
    p = a.ctl('queue', 'export', folder, check=False)
    assert p.returncode == 1 and 'exists' in p.stderr, p
    for id in ids:
        a.ctl('queue', 'remove', id)
    assert not a.ctl_json('queue', 'list')['messages']
    a.stop()
    b.start()
    b.stop()
    assert b.ctl_json('queue', 'import', folder) == {
        'imported': 4, 'messages': 3}
    got = b.ctl_json('queue', 'list')['messages']
    assert len(got) == 3 and not {m['id'] for m in got} & set(ids), got
    assert {r['state'] for m in got for r in m['recipients']} == {'hold'}
    p = subprocess.run([f'{BUILD}/mailmillctl', '-c', b.conf_file, 'queue',
                        'export', '-'], capture_output=True)
    assert p.returncode == 0, p.stderr
    c.start()
    for stream, status in (p.stdout[:-30], 1), (p.stdout, 0):
        q = subprocess.run([f'{BUILD}/mailmillctl', '-c', c.conf_file, 'queue',
                            'import', '-'], input=stream, capture_output=True)
        assert q.returncode == status, q
        if status:
            assert b'message 4: the stream ends before' in q.stderr, q
            c.ctl('queue', 'remove', 'all')
    assert b'4 recipients of 3 messages imported' in q.stdout, q
    c.ctl('queue', 'release', 'all')
    c.wait_mail(2, user='joe')
    c.wait_mail(1, user='ann')
    [bob] = c.wait_mail(1, user='bob')
    assert body_of(bob) == text_message(2), bob
    c.stop()
