"""mailmillctl, and mail that cannot be delivered yet."""
import json
import os
import socket
import subprocess
import threading
import time

from harness import (BUILD, ROOT, SLOW, Client, Server, Skip, body_of,
                     text_message, wait_for)


def send(s, n=1, rcpt='user@example.test', size=500):
    with Client(s.port) as c:
        c.hello()
        return [c.mail(text_message(i, size), rcpt).split()[-1]
                for i in range(n)]


def test_status(d):
    with Server(d, workers=2) as s:
        text = s.ctl('status').stdout
        for p in s.pids() + [s.master]:
            assert str(p) in text, (p, text)
        for role in ('master', 'worker', 'queue', 'deliver'):
            assert role in text, text
        v = json.dumps(s.ctl_json('status'))
        assert str(s.master) in v


def test_stats(d):
    with Server(d) as s:
        send(s, 3)
        s.wait_mail(3)
        wait_for('the counters', lambda: int(s.stats()['delivered']) == 3)
        v = s.stats()
        assert int(v['messages_accepted']) == 3
        assert 1 <= int(v['commits']) <= 3
        assert 'messages_accepted' in s.ctl('stats').stdout


def test_why_recipients_were_left_alone_is_said(d):
    """By a server that does only this."""
    s = Server(d)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(s.control)
        listener.listen()
        for key, why in (('held', 'the queue cannot store them now'),
                         ('removed', 'being delivered right now')):
            def answer(key=key):
                with listener.accept()[0] as c:
                    c.recv(65536)
                    c.sendall(b'{"%s":0,"messages":0,"busy":2}\n' %
                              key.encode())
            t = threading.Thread(target=answer, daemon=True)
            t.start()
            command = {'held': 'hold', 'removed': 'remove'}[key]
            out = s.ctl('queue', command, 'all').stdout
            assert f'2 recipients left alone: {why}' in out, out
            t.join()


def test_empty_queue(d):
    with Server(d) as s:
        s.ctl('queue')
        v = s.ctl_json('queue')
        assert entries(v) == [], v


def entries(v):
    """The list in the JSON of "queue"."""
    if isinstance(v, list):
        return v
    for k in ('queue', 'messages', 'entries'):
        if isinstance(v.get(k), list):
            return v[k]
    raise AssertionError(f'no list in {v}')


def queue(s):
    return entries(s.ctl_json('queue'))


def test_deferred_then_mended_then_retried(d):
    # a file in place of the folder: no account, not even root, can write
    mail = f'{d}/mail'
    with Server(d, mail=mail, conf='retry_interval = 3600') as s:
        os.rmdir(mail)
        with open(mail, 'w'):
            pass
        mid = send(s)[0]
        wait_for('the queue to say why',
                 lambda: mail in json.dumps(queue(s)))
        q = queue(s)
        assert len(q) == 1 and mid in json.dumps(q), q
        text = s.ctl('queue').stdout
        assert mid in text and 'user@example.test' in text, text
        show = s.ctl('queue', 'show', mid).stdout
        for w in (mid, 'user@example.test', 'a@client.test', mail):
            assert w in show, (w, show)
        json.loads(s.ctl('queue', 'show', mid, '--json').stdout)
        wait_for('a line in the log', lambda: mid in s.log() and mail in s.log())
        os.unlink(mail)
        os.mkdir(mail)
        os.chmod(mail, 0o1777)
        s.ctl('queue', 'retry', mid)
        got = s.wait_mail(1)
        assert body_of(got[0]) == text_message(0)
        wait_for('an empty queue', lambda: not queue(s))
        assert not os.path.exists(f'{s.spool}/queue/deferred/{mid}') \
            or os.listdir(f'{s.spool}/queue/deferred') == []


def test_a_folder_that_may_not_be_written(d):
    if not ROOT:
        raise Skip('needs root')
    with Server(d, as_root=True, conf='retry_interval = 1\nmax_retry_interval = 1') as s:
        os.chmod(s.mail, 0o755)             # root's
        mid = send(s)[0]
        wait_for('the queue to say so',
                 lambda: 'ermission denied' in json.dumps(queue(s)))
        os.chmod(s.mail, 0o1777)
        s.wait_mail(1)                      # by itself
        assert mid


def test_deferred_mail_survives_a_restart(d):
    with Server(d, conf='retry_interval = 2') as s:
        os.rename(s.mail, s.mail + '.away')
        with open(s.mail, 'w'):
            pass
        ids = set(send(s, 3))
        wait_for('the queue', lambda: json.dumps(queue(s)).count(s.mail) == 3)
        s.stop()
        s.start()
        wait_for('the queue again', lambda: {i for i in ids
                                             if i in json.dumps(queue(s))} == ids)
        os.unlink(s.mail)
        os.rename(s.mail + '.away', s.mail)
        for i in ids:
            s.ctl('queue', 'retry', i, check=False)
        s.wait_mail(3)


def test_remove(d):
    with Server(d, conf='retry_interval = 3600') as s:
        os.rename(s.mail, s.mail + '.away')
        with open(s.mail, 'w'):
            pass
        a, b = send(s, 2)
        wait_for('the queue', lambda: json.dumps(queue(s)).count(s.mail) == 2)
        s.ctl('queue', 'remove', a)
        wait_for('one less', lambda: len(queue(s)) == 1)
        os.unlink(s.mail)
        os.rename(s.mail + '.away', s.mail)
        s.ctl('queue', 'retry', b)
        got = s.wait_mail(1)
        assert body_of(got[0]) == text_message(1)
        assert int(s.stats()['removed']) == 1
        time.sleep(0.3)
        assert len(s.delivered()) == 1


def test_one_recipient_waits_while_the_others_have_theirs(d):
    with Server(d, conf='retry_interval = 3600') as s:
        os.mkdir(f'{s.mail}/example.test')
        os.chmod(f'{s.mail}/example.test', 0o1777)
        with open(f'{s.mail}/example.test/bad', 'w'):
            pass
        with Client(s.port) as c:
            c.hello()
            c.cmd('MAIL FROM:<a@client.test>')
            for u in ('one', 'bad', 'two'):
                c.cmd(f'RCPT TO:<{u}@example.test>')
            c.cmd('DATA', '354')
            c.send(text_message() + b'.\r\n')
            mid = c.expect('250').split()[-1]
        s.wait_mail(1, user='one')
        s.wait_mail(1, user='two')
        wait_for('the queue to hold only that one', lambda: (
            lambda t: 'bad@example.test' in t and 'one@' not in t)(
                json.dumps(queue(s))))
        os.unlink(f'{s.mail}/example.test/bad')
        s.ctl('queue', 'retry', mid)
        s.wait_mail(1, user='bad')
        time.sleep(0.3)
        assert len(s.delivered('one')) == 1


def test_a_large_message_can_be_deferred_too(d):
    with Server(d, conf='retry_interval = 3600\nspool_large_message = 65536') as s:
        os.rename(s.mail, s.mail + '.away')
        with open(s.mail, 'w'):
            pass
        mid = send(s, size=3000000)[0]
        wait_for('the queue', lambda: queue(s))
        s.stop()
        s.start()
        os.unlink(s.mail)
        os.rename(s.mail + '.away', s.mail)
        s.ctl('queue', 'retry', mid)
        got = s.wait_mail(1)
        assert body_of(got[0]) == text_message(0, 3000000)
        wait_for('no body to be left', lambda: not [
            f for f in os.listdir(f'{s.spool}/incoming') if f.startswith('body.')])


def test_errors_of_the_command_say_what_to_do(d):
    s = Server(d)
    p = s.ctl('status', check=False)
    assert p.returncode != 0 and s.control in p.stderr, p
    with Server(d) as s:
        for args in (('queue', 'show', 'NOSUCHID'), ('queue', 'retry', '../x'),
                     ('queue', 'remove', 'NOSUCHID')):
            p = s.ctl(*args, check=False)
            assert p.returncode != 0 and p.stderr.strip(), (args, p)
        for args in (('nonsense',), (), ('queue', 'show'), ('queue', 'dance', 'X')):
            p = s.ctl(*args, check=False)
            assert p.returncode == 2 and p.stderr.strip(), (args, p)


def test_the_queue_answers_right_after_a_reload(d):
    with Server(d) as s:
        for _ in range(5):
            s.ctl('reload')
            assert 'empty' in s.ctl('queue').stdout
            assert s.ctl_json('queue')['messages'] == []


def test_stop(d):
    s = Server(d).start()
    s.ctl('stop')
    assert s.wait_end() == 0
    s.proc = None
    s.no_process_left()


def test_the_control_socket_survives_nonsense(d):
    with Server(d) as s:
        for data in (b'', b'{', b'\0' * 100, b'[1]\n', b'{"command":7}\n',
                     b'{"command":"status"', b'x' * 200000 + b'\n',
                     b'{"command":"queue","id":{}}\n', b'\xff\xfe\n'):
            with socket.socket(socket.AF_UNIX) as c:
                c.settimeout(5)
                c.connect(s.control)
                try:
                    c.sendall(data)
                    c.shutdown(socket.SHUT_WR)
                    c.recv(4096)
                except OSError:
                    pass
        s.ctl('status')
        s.ctl('queue')


def test_only_the_owner_may_use_it(d):
    if not ROOT:
        raise Skip('needs root')
    with Server(d, as_root=True) as s:
        p = subprocess.run(['setpriv', '--reuid=65534', '--clear-groups',
                            f'{BUILD}/mailmillctl', '-c', s.conf_file, 'stop'],
                           capture_output=True, timeout=20 * SLOW)
        assert p.returncode != 0
        s.ctl('status')
