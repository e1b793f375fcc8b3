"""mailmill-sendmail: mail of programs on this host, with the server and without it."""
import contextlib
import grp
import os
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
import time

from harness import (BUILD, NOBODY, NOT_AS_ROOT, ROOT, SLOW, TOP,
                     Server, Skip, cmdline, descendants, mount_tmpfs,
                     others_reach, reap, unshare_mounts, wait_for)
from nexthop import CLOSE, NextHop

OTHER = 4242
HEAD = b'mailmill-maildrop 1\n'
TO = 'user@example.test'
PROGRAMS = ('mailmill-sendmail', 'mailmill-maildrop')


class Host:
    """A server with a socket for programs, and the programs.  The maildrop is a
    folder for all, since the program here is not set-group-id."""

    def __init__(self, d, options='', mode='0666', **kw):
        self.d, self.drop = d, f'{d}/drop'
        self.socket = f'{d}/run/sendmail'
        self.server = Server(d, listener=f'''
Listen "unix:{self.socket}" {{
    Kind = submission Require_Auth = false Require_FQDN = false
    Peer "unix" {{ Open_Relay = true }} File_Mode = {mode} {options}
}}''', **kw)
        os.makedirs(self.drop, exist_ok=True)
        os.chmod(self.drop, 0o1777)
        self.bin = BUILD
        if not others_reach(f'{BUILD}/{PROGRAMS[0]}'):
            self.bin = d
            for p in PROGRAMS:
                shutil.copy(f'{BUILD}/{p}', d)

    def words(self, *args):
        return [f'{self.bin}/mailmill-sendmail', '-C', self.server.conf_file,
                '-O', f'SubmitSocket={self.socket}',
                '-O', f'Maildrop={self.drop}',
                '-O', f'DropProgram={self.bin}/mailmill-maildrop',
                '-O', f'ControlProgram={BUILD}/mailmillctl', *args]

    def run(self, *args, data=b'', uid=None, want=0, timeout=60, **kw):
        p = subprocess.run(self.words(*args), input=data, timeout=timeout * SLOW,
                           capture_output=True, preexec_fn=become(uid), **kw)
        assert p.returncode == want, (args, p)
        return p

    def waiting(self, uid=None):
        folder = f'{self.drop}/{os.getuid() if uid is None else uid}'
        try:
            return sorted(n for n in os.listdir(folder) if n != 'run')
        except FileNotFoundError:
            return []

    def pick_up(self, want=0):
        return self.run('-q', want=want)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, kind, *rest):
        if kind is None:
            self.server.stop()


def become(uid):
    if uid is None:
        return None
    if not ROOT:
        raise Skip('needs root')

    def f():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    return f


def text(n=0, body='text'):
    return f'Subject: message {n}\n\n{body} {n}\n'.encode()


def subjects(mails):
    return sorted(re.search(rb'^Subject: (.*?)\r?$', m, re.M)[1].decode()
                  for m in mails)


# ------------------------------------------------------------------ the server runs
def test_a_message_has_what_it_needs(d):
    with Host(d) as h:
        h.run('-f', 'a@client.test', '-F', 'A. "B"', TO,
              data=b'hello\n.\nnot sent\n')
        [mail] = h.server.wait_mail(1)
        mail = mail.replace(b'\r\n', b'\n')
        assert b'\nFrom: "A. \\"B\\"" <a@client.test>\n' in mail, mail
        assert re.search(rb'^Return-Path: <a@client.test>$', mail, re.M), mail
        assert re.search(rb'\nDate: \w+, \d+ \w+ \d+ [\d:]+ \+0000\n', mail), mail
        assert re.search(rb'\nMessage-ID: <\w+@[\w.-]+>\n', mail), mail
        assert re.search(rb'\(local uid %d\)' % os.getuid(), mail), mail
        assert mail.endswith(b'\n\nhello\n'), mail


def test_recipients_of_the_header_and_of_the_command_line(d):
    with Host(d) as h:
        h.run('-ti', '-f', '<>', 'four@example.test', data=(
            b'From: f@client.test\r\nTo: One <one@example.test>,\r\n'
            b' one@example.test\r\nCc: (no) two@example.test\r\n'
            b'Bcc: three@example.test\r\n\r\n.\r\nend\r\n'))
        for who in ('one', 'two', 'three', 'four'):
            [mail] = wait_for(who, lambda w=who: h.server.delivered(w))
            assert b'three' not in re.sub(rb'(?s)^.*?From: f@', b'', mail), mail
            mail = mail.replace(b'\r\n', b'\n')
            assert mail.endswith(b'\n\n.\nend\n'), mail
            assert b'Return-Path: <>\n' in mail, mail


def test_an_account_is_the_client_and_the_sender(d):
    with Host(d, f'Peer "unix:{OTHER}" {{ Open_Relay = false }}',
              extra='Domain "*" { Delivery = smtp Route = "127.0.0.1:1" }\n'
              ) as h:
        # an account without a name
        p = h.run(TO, uid=OTHER, data=text(), want=67)
        assert b'4242' in p.stderr and b'-f' in p.stderr, p
        p = h.run('-f', 'a@client.test', 'x@nowhere.test', uid=OTHER,
                  data=text(), want=77)
        assert b'<x@nowhere.test>: 550 5.7.1' in p.stderr, p
        h.run('-f', 'a@client.test', TO, uid=OTHER, data=text())
        [mail] = h.server.wait_mail(1)
        assert b'(local uid %d)' % OTHER in mail, mail
        # one with a name, which the password file has
        h.run('root@example.test', uid=NOBODY, data=text(1))
        [mail] = wait_for('it', lambda: h.server.delivered('root'))
        assert re.search(rb'\nFrom: .*nobody@', mail), mail


def test_if_one_is_refused_nobody_gets_it(d):
    with Host(d) as h:
        p = h.run('-f', 'a@client.test', TO, 'x@nowhere.test', data=text(),
                  want=68)
        assert b'<x@nowhere.test>: 550 5.4.4' in p.stderr, p
        assert b'sent to nobody' in p.stderr, p
        assert h.waiting() == []
        h.run('-f', 'a@client.test', TO, data=text(1))
        assert subjects(h.server.wait_mail(1)) == ['message 1']


def test_what_is_wrong_is_said_with_a_status(d):
    with Host(d, 'Max_Message_Size = 1000') as h:
        for args, data, want, words in (
                ((), b'', 64, b'no recipients'),
                (('-z', TO), b'', 64, b'-z'),
                (('a b',), b'', 65, b'a b: it is no address'),
                (('-f', 'a,b', TO), b'', 65, b'-f a,b'),
                (('-t',), b'Subject: x\n\n', 65, b'no recipients in To'),
                (('-t',), b'To: a@b@c\n\n', 65, b'a@b@c'),
                (('-f', 'a@client.test', TO), b'x' * 2000, 69, b'552'),
                (('-f', 'a@client.test', TO), b'A: ' + b'x\n ' * 600000, 65,
                 b'larger than 1 MiB')):
            p = h.run(*args, data=data, want=want)
            assert words in p.stderr, (args, p)
        # standard input that cannot be read
        folder = os.open(d, os.O_RDONLY)
        p = subprocess.run(h.words('-f', 'a@b', TO), stdin=folder,
                           capture_output=True)
        os.close(folder)
        assert p.returncode == 74, p
        assert h.waiting() == []


def test_more_recipients_than_fit_into_a_transaction(d):
    with Host(d, 'Max_Recipients_Per_Message = 3') as h:
        who = [f'u{i}' for i in range(8)]
        h.run('-f', 'a@client.test', *(f'{w}@example.test' for w in who),
              data=text())
        for w in who:
            assert len(wait_for(w, lambda w=w: h.server.delivered(w))) == 1
    # and from the maildrop, each once
    h.run('-f', 'a@client.test', *(f'{w}@example.test' for w in who), data=text(2))
    with h:
        h.pick_up(want=0)
        for w in who:
            wait_for(w, lambda w=w: len(h.server.delivered(w)) == 2)
        assert h.waiting() == []


def test_eight_bit_text_and_addresses(d):
    with Host(d) as h:
        h.run('-f', 'a@client.test', TO, data='Subject: ä\n\nö\n'.encode())
        [mail] = h.server.wait_mail(1)
        assert 'ö'.encode() in mail and 'Subject: ä'.encode() in mail, mail


def test_smtp_on_standard_input(d):
    with Host(d) as h:
        p = subprocess.Popen(h.words('-bs'), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)

        def say(line, want):
            if line:
                p.stdin.write(line)
                p.stdin.flush()
            while (got := p.stdout.readline())[3:4] == b'-':
                pass
            assert got.startswith(want), (line, got)
        say(b'', b'220 ')
        say(b'EHLO client.test\r\n', b'250 ')
        say(b'MAIL FROM:<a@client.test>\r\n', b'250 ')
        say(b'RCPT TO:<user@example.test>\r\n', b'250 ')
        say(b'DATA\r\n', b'354 ')
        say(text().replace(b'\n', b'\r\n') + b'.\r\n', b'250 2.0.0')
        say(b'QUIT\r\n', b'221 ')
        assert p.wait(30) == 0
        h.server.wait_mail(1)
        # a script, which waits for nothing
        script = b'EHLO x.test\nMAIL FROM:<a@client.test>\n' \
            b'RCPT TO:<user@example.test>\nDATA\n' + text(1) + b'.\nQUIT\n'
        p = h.run('-bs', data=script)
        assert [x for x in re.findall(rb'^\d{3} ', p.stdout, re.M)] == [
            b'220 ', b'250 ', b'250 ', b'250 ', b'354 ', b'250 ', b'221 '], p
        assert subjects(h.server.wait_mail(2)) == ['message 0', 'message 1']
        # the program ends without QUIT
        p = h.run('-bs', data=b'')
        assert p.stdout.startswith(b'220 '), p
    p = h.run('-bs', data=b'QUIT\r\n', want=75)
    assert p.stdout.startswith(b'421 4.3.2'), p


def test_mutt(d):
    with Host(d) as h:
        script = f'{d}/sendmail'
        with open(script, 'w') as f:
            words = ' '.join(f"'{w}'" for w in h.words())
            f.write(f'#!/bin/sh\nexec {words} "$@"\n')
        os.chmod(script, 0o755)
        with open(f'{d}/muttrc', 'w') as f:
            f.write(f'set sendmail="{script} -oem -oi"\nset from="a@client.test"\n'
                    'set use_envelope_from=yes\nset copy=no\n')
        subprocess.run(['mutt', '-F', f'{d}/muttrc', '-s', 'by mutt', '-b',
                        'hidden@example.test', TO], input=b'.\ntext\n',
                       check=True, timeout=60 * SLOW, env=dict(
                           os.environ, HOME=d, TERM='dumb'))
        [mail] = h.server.wait_mail(1)
        assert b'Subject: by mutt' in mail and b'.\r\ntext' in mail.replace(
            b'\r\n', b'\n').replace(b'\n', b'\r\n'), mail
        [mail] = wait_for('the other', lambda: h.server.delivered('hidden'))
        assert b'hidden' not in mail.split(b'\nFrom: ')[1], mail


# ------------------------------------------------------------------ it is stopped
def test_what_was_sent_while_it_was_stopped_arrives_when_it_runs(d):
    h = Host(d)
    accounts = [None, NOBODY, OTHER] if ROOT else [None]
    for n, uid in enumerate(accounts):
        p = h.run('-v', '-f', 'a@client.test', TO, uid=uid, data=text(n))
        assert b'waits in the maildrop' in p.stderr, p
        [name] = h.waiting(uid)
        st = os.stat(f'{h.drop}/{os.getuid() if uid is None else uid}/{name}')
        assert st.st_uid == (os.getuid() if uid is None else uid)
        assert stat.S_IMODE(st.st_mode) == 0o600
    # still
    p = h.pick_up(want=75 if not ROOT else 69)
    assert b'waits, since' in p.stderr, p
    with h:
        h.pick_up(want=0)
        mails = h.server.wait_mail(len(accounts))
        assert subjects(mails) == [f'message {n}' for n in range(len(accounts))]
        for n, uid in enumerate(accounts):
            assert h.waiting(uid) == []
            who = os.getuid() if uid is None else uid
            [mail] = [m for m in mails if b'message %d' % n in m]
            assert b'(local uid %d)' % who in mail, mail
        h.pick_up(want=0)
        assert len(h.server.delivered()) == len(accounts)


def runners(h):
    return [p for p in descendants(os.getpid())
            if f'{h.drop} ' in (line := cmdline(p)) and '-q1s' in line]


def of_account(pid, uid):
    """The processes below it that have become the account"""
    found = []
    for p in descendants(pid):
        with contextlib.suppress(OSError):
            with open(f'/proc/{p}/status') as f:
                if f'Uid:\t{uid}' in f.read():
                    found.append(p)
    return found


def test_what_it_does_not_take_now_it_gets_in_the_background(d):
    with Host(d, 'Client_Sessions = 1') as h:
        h.run('-q1s')
        h.run('-q1s')           # another one has nothing to do
        wait_for('one', lambda: len(runners(h)) == 1)
        with socket.socket(socket.AF_UNIX) as busy:
            busy.settimeout(20 * SLOW)
            busy.connect(h.socket)
            assert busy.recv(4) == b'220 '
            p = h.run('-v', '-f', 'a@client.test', TO, data=text())
            assert b'waits in the maildrop' in p.stderr, p
            assert len(h.waiting()) == 1
            busy.close()
        h.server.wait_mail(1)
        wait_for('the file to go', lambda: h.waiting() == [])
    reap()
    wait_for('it to end with the server', lambda: (reap(), runners(h))[1] == [])


def test_the_server_is_not_disturbed_while_no_message_waits(d):
    with Host(d) as h:
        h.run('-q1s')
        [runner] = wait_for('it', lambda: runners(h))
        since = sleeps(runner)
        wait_for('it to look', lambda: sleeps(runner) > since + 3)
        assert 'client=unix' not in h.server.log(), h.server.log()
        h.run('-f', 'a@client.test', TO, data=text())
        h.server.wait_mail(1)
    reap()
    wait_for('the end', lambda: (reap(), runners(h))[1] == [])


def test_a_server_that_takes_nothing_now_is_asked_once_for_an_account(d):
    h = Host(d)
    for n in range(3):
        h.run('-f', 'a@client.test', TO, data=text(n))
    os.makedirs(f'{d}/run')
    with NextHop(h.socket, replies={'BANNER': '421 4.3.2 Not now'}) as server:
        subprocess.run(h.words('-q'), capture_output=True)
        assert server.nsessions == 1, server.nsessions
        server.replies['BANNER'] = '220 next.test ready'
        # one that it never takes keeps no other from it
        server.replies['DOT'] = lambda s, line: '250 2.0.0 OK' \
            if server.nsessions > 2 else CLOSE
        subprocess.run(h.words('-q'), capture_output=True)
        assert server.nsessions == 4 and len(h.waiting()) == 1, server.nsessions


def test_who_is_refused_then_is_told_to_the_sender(d):
    h = Host(d)
    h.run('-f', TO, 'x@nowhere.test', 'other@example.test', data=text(7))
    # without a sender nobody can be told
    h.run('-f', '<>', 'x@nowhere.test', 'third@example.test', data=text(8))
    # and one does not want to know
    h.run('-f', TO, '-N', 'never', 'x@nowhere.test', data=text(9))
    assert len(h.waiting()) == 3
    with h:
        p = h.pick_up(want=0)
        assert b'nobody can be told' in p.stderr, p
        [bounce] = h.server.wait_mail(1)
        assert b'multipart/report' in bounce and b'x@nowhere.test' in bounce, bounce
        assert b'5.4.4' in bounce and b'message 7' in bounce, bounce
        assert b'Return-Path: <>' in bounce, bounce
        for who in ('other', 'third'):
            wait_for(who, lambda w=who: h.server.delivered(w))
        [bad] = h.waiting()
        assert bad.startswith('bad.'), bad
        with open(f'{h.drop}/{os.getuid()}/{bad}', 'rb') as f:
            kept = f.read()
        assert b'\nRx@nowhere.test\n\n' in kept and b'third' not in kept, kept
        assert b'bad.' in h.run('-bp').stdout
        h.pick_up(want=0)
        assert len(h.server.delivered('third')) == 1


def test_mailq(d):
    with Host(d) as h:
        assert b'@' not in h.run('-bp').stdout
    h.run('-f', 'a@client.test', TO, data=text())
    [name] = h.waiting()
    # what a terminal takes for commands
    with open(f'{h.drop}/{os.getuid()}/0A', 'wb') as f:
        f.write(HEAD + b'Sa\x1b\x9b\xc2\x9bb@client.test\nRx\n\n')
    assert b'  a????b@client.test\n' in h.run('-bp').stdout
    os.unlink(f'{h.drop}/{os.getuid()}/0A')
    out = h.run('-bp').stdout.decode()
    assert name in out and '  a@client.test\n' in out and f'\t{TO}\n' in out, out
    if ROOT:
        h.run('-f', 'b@client.test', TO, uid=NOBODY, data=text())
        p = h.run('-bp', uid=NOBODY)
        assert b'b@client.test' in p.stdout, p
        assert b'a@client.test' not in p.stdout, p
        out = h.run('-bp').stdout
        assert b'a@client.test' in out and b'b@client.test' in out, out
    os.symlink(h.words()[0], f'{d}/mailq')
    p = subprocess.run([f'{d}/mailq'] + h.words()[1:], capture_output=True)
    assert name.encode() in p.stdout, p
    with h:
        p = h.run('-qI0000000000', want=69)
        h.run('-q')
        h.run('-qRexample.test')
        assert h.waiting() == []


def test_the_caller_ignores_its_children(d):
    """A signal that is ignored stays so for what is started"""
    h = Host(d)
    p = subprocess.run(
        h.words('-f', 'a@client.test', TO), input=text(), capture_output=True,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert p.returncode == 0, p
    assert len(h.waiting()) == 1


def test_more_recipients_than_a_file_may_have(d):
    h = Host(d)
    # by their number, and by their length
    for n, domain in ((25001, 'a.test'), (18000, f'{"x" * 60}.{"y" * 50}.test')):
        who = [f'{i:05}@{domain}' for i in range(n)]
        args = (', '.join(who[at:at + 900]) for at in range(7000, n, 900))
        to = ',\n '.join(who[:7000])
        p = subprocess.run(h.words('-t', '-f', 'a@client.test', *args),
                           input=f'To: {to}\n\ntext\n'.encode(),
                           capture_output=True)
        assert p.returncode == 75, (n, p.returncode)
        assert b'too many recipients' in p.stderr, p.stderr
        assert h.waiting() == []
    # as many as there may be
    args = (', '.join(f'{i:05}@a.test' for i in range(at, at + 1000))
            for at in range(0, 25000, 1000))
    subprocess.run(h.words('-f', 'a@client.test', *args), input=text(), check=True)
    [name] = h.waiting()
    # a file that was made by hand
    path = f'{h.drop}/{os.getuid()}/{name}'
    with open(path, 'rb') as f:
        whole = f.read()
    with open(path, 'wb') as f:
        f.write(whole.replace(b'\nR', b'\nRb@a.test\nR', 1))
    subprocess.run(h.words('-q'), capture_output=True)
    assert h.waiting() == [f'bad.{name}']


def test_who_is_refused_for_the_moment_for_days_is_told_to_the_sender(d):
    h = Host(d)

    def offer():
        # as root, the status is that of mailmillctl, too
        subprocess.run(h.words('-q'), capture_output=True)
    h.run('-f', TO, 'late@example.test', 'other@example.test', data=text(1))
    os.makedirs(f'{d}/run')
    with NextHop(h.socket, replies={
            'RCPT': lambda s, line: '451 4.2.0 Not now' if b'late' in line.encode()
            else '250 2.1.5 OK'}) as server:
        offer()
        offer()
        [taken] = [m for m in server.messages if m.rcpts]
        assert len(taken.rcpts) == 1 and 'other@' in taken.rcpts[0], taken.rcpts
        [name] = h.waiting()
        then = time.time() - 5 * 86400 - 60
        os.utime(f'{h.drop}/{os.getuid()}/{name}', (then, then))
        offer()
        [_, bounce] = [m for m in server.messages if m.rcpts]
        assert len(bounce.rcpts) == 1 and TO in bounce.rcpts[0], bounce.rcpts
        assert '<>' in bounce.mail, bounce.mail
        for words in (b'late@example.test', b'451 4.2.0 Not now',
                      b'Status: 4.2.0', b'Action: failed'):
            assert words in bounce.body, (words, bounce.body)
        assert h.waiting() == []
    # while no server answers, it waits on
    h.run('-f', TO, 'late@example.test', data=text(2))
    [name] = h.waiting()
    os.utime(f'{h.drop}/{os.getuid()}/{name}', (then, then))
    offer()
    assert h.waiting() == [name]


def test_the_groups_of_an_account_count(d):
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    unshare_mounts()
    with open('/etc/group') as f:
        groups = f.read()
    with open(f'{d}/group', 'w') as f:
        f.write(f'{groups}mailers:x:4343:nobody\n')
    os.chmod(f'{d}/group', 0o644)
    subprocess.run(['mount', '--bind', f'{d}/group', '/etc/group'], check=True)
    h = Host(d, 'File_Group = mailers', mode='0660')
    for uid in (NOBODY, OTHER):
        h.run('-f', 'a@client.test', TO, uid=uid, data=text(uid))
    with h:
        p = h.pick_up(want=75)
        assert b'uid=%d' % OTHER in p.stderr, p
        assert subjects(h.server.wait_mail(1)) == [f'message {NOBODY}']
        assert h.waiting(NOBODY) == [] and len(h.waiting(OTHER)) == 1


# ------------------------------------------------------------------ attackers
def test_what_others_have_put_into_the_maildrop(d):
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    h = Host(d)
    own = f'{h.drop}/{OTHER}'
    secret = f'{d}/secret'
    with open(secret, 'wb') as f:
        f.write(HEAD + b'Sroot@client.test\nRuser@example.test\n\nsecret\r\n')
    os.chmod(secret, 0o600)
    os.makedirs(own, 0o700)
    os.symlink(secret, f'{own}/0A')
    os.link(secret, f'{own}/0B')
    os.mkfifo(f'{own}/0C')
    os.mkdir(f'{own}/0D')
    envelopes = {
        '0E': b'', '0F': b'hello\n', '0G': HEAD + b'Sa@b\nRc@d\r\nRSET\n\nx',
        '0H': HEAD + b'Sa@b> SIZE=1\nRc@d\n\nx', '0I': HEAD * 100000,
        '0J': HEAD + b'Sa@client.test\nRuser@example.test\n\nSubject: '
        b'message 1\r\n\r\n.\r\nRSET\r\n', '0K': b'\0' * (5 << 20)}
    for name, octets in envelopes.items():
        with open(f'{own}/{name}', 'wb') as f:
            f.write(octets)
        os.chown(f'{own}/{name}', OTHER, OTHER)
    # one that everybody may read, and that is not of the account
    with open(f'{own}/0L', 'wb') as f:
        f.write(envelopes['0J'])
    os.chown(own, OTHER, OTHER)
    # a folder of root that belongs to another account
    os.makedirs(f'{h.drop}/0', 0o700)
    shutil.copy(f'{own}/0L', f'{h.drop}/0/0L')
    os.chown(f'{h.drop}/0', OTHER, OTHER)
    p = h.run('-f', 'a@client.test', TO, data=text(), want=77)
    assert b'maildrop of the account 0' in p.stderr, p
    # one that says that it is of another account
    os.makedirs(f'{h.drop}/5', 0o700)
    shutil.copy(f'{own}/0J', f'{h.drop}/5/0J')
    os.chown(f'{h.drop}/5', OTHER, OTHER)
    for name in ('x', '007', '-1', '99999999999', '4294967295'):
        os.makedirs(f'{h.drop}/{name}')
    os.symlink(own, f'{h.drop}/6')
    os.chmod(f'{h.drop}/{OTHER}', 0o700)
    h.run('-f', 'b@client.test', TO, uid=NOBODY, data=text(2))
    with h:
        p = h.pick_up(want=75)
        wait_for('mail', lambda: len(h.server.delivered()) >= 2)
        h.pick_up(want=75)
        mails = h.server.delivered()
        assert subjects(mails) == ['message 1', 'message 2'], mails
        [mail] = [m for m in mails if b'message 1' in m]
        assert b'(local uid 4242)' in mail, mail
        assert mail.replace(b'\r\n', b'\n').endswith(b'\n\n.\nRSET\n'), mail
        assert not any(b'secret' in m for m in mails)
        # none of them is tried again
        left = set(os.listdir(own)) - {'run'}
        assert '0J' not in left and all(
            n.startswith('bad.') for n in left), left
        assert os.path.exists(f'{h.drop}/5/0J')
        assert os.path.exists(secret)


def test_an_account_that_stops_its_process_stops_no_other(d):
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    h = Host(d)
    for uid in (OTHER, NOBODY):
        h.run('-f', 'a@client.test', TO, uid=uid, data=text(uid))
    # a server that never answers, for the one; both try it
    os.makedirs(f'{d}/run', exist_ok=True)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(h.socket)
        os.chmod(h.socket, 0o666)
        s.listen(8)
        p = subprocess.Popen(h.words('-q'), stderr=subprocess.DEVNULL)
        mine = wait_for('its process', lambda: of_account(p.pid, OTHER))
        os.kill(mine[0], signal.SIGSTOP)
        # it cannot be looked into
        probe = subprocess.run(['ls', f'/proc/{mine[0]}/fd'],
                               capture_output=True, preexec_fn=become(OTHER))
        assert probe.returncode != 0, probe
    os.unlink(h.socket)
    with h:
        wait_for('the other account', lambda: (h.run('-q', want=75),
                                               h.server.delivered())[1])
        assert subjects(h.server.delivered()) == [f'message {NOBODY}']
        os.kill(mine[0], signal.SIGKILL)
        p.wait(60)
        h.pick_up(want=0)
        h.server.wait_mail(2)


def test_an_account_that_takes_long_keeps_no_other_waiting(d):
    """With the process that empties the maildrop in the background"""
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    with Host(d) as h, socket.socket(socket.AF_UNIX) as front:
        # what answers one account never, and passes the others on
        path, real = f'{d}/front', h.socket
        h.socket = path
        front.bind(path)
        os.chmod(path, 0o666)
        h.run('-f', 'a@client.test', TO, uid=OTHER, data=text(1))
        front.listen(64)
        silent, stop = [], threading.Event()

        def serve():
            while not stop.is_set():
                c, _ = front.accept()
                uid = struct.unpack('3i', c.getsockopt(
                    socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
                if uid == OTHER:
                    silent.append(c)
                    continue
                s = socket.socket(socket.AF_UNIX)
                s.connect(real)
                for a, b in ((c, s), (s, c)):
                    threading.Thread(target=pass_on, args=(a, b),
                                     daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        h.run('-q1s')
        wait_for('the first account', lambda: silent)
        own = f'{h.drop}/{NOBODY}'
        os.makedirs(own, 0o700, exist_ok=True)
        for n in (2, 3):
            # as if it had been sent before
            with open(f'{own}/new', 'wb') as f:
                f.write(HEAD + b'Sb@client.test\nRuser@example.test\n\n' +
                        text(n).replace(b'\n', b'\r\n'))
            os.chown(own, NOBODY, NOBODY)
            os.chown(f'{own}/new', NOBODY, NOBODY)
            os.rename(f'{own}/new', f'{own}/0{n}')
            h.server.wait_mail(n - 1)
        assert len(silent) == 1, len(silent)
        stop.set()
        for p in runners(h):
            os.kill(p, signal.SIGKILL)
        for c in silent:
            c.close()


def silent_server(h):
    """One that takes connections and says nothing"""
    folder = os.path.dirname(h.socket)
    os.makedirs(folder, exist_ok=True)
    if NOT_AS_ROOT:             # for the server that comes later
        os.chown(folder, NOBODY, NOBODY)
    s = socket.socket(socket.AF_UNIX)
    s.bind(h.socket)
    os.chmod(h.socket, 0o666)
    s.listen(8)
    return s


def stopped_child(h):
    """The background process, and the account's one, which it has stopped"""
    both = wait_for('both', lambda: len(pids := runners(h)) == 2 and os.path.exists(
        f'{h.drop}/{os.getuid()}/run') and pids)
    [first] = [p for p in both if descendants(p)]
    [child] = set(both) - {first}
    os.kill(child, signal.SIGSTOP)
    return first, child


def sleeps(pid):
    """How often it has slept"""
    with open(f'/proc/{pid}/status') as f:
        return int(re.search(r'^voluntary_ctxt_switches:\s+(\d+)', f.read(),
                             re.M)[1])


def test_a_server_that_comes_while_a_process_is_left_gets_the_messages(d):
    h = Host(d)
    h.run('-f', 'a@client.test', TO, data=text())
    with silent_server(h):
        h.run('-q1s')
        first, child = stopped_child(h)
    os.unlink(h.socket)
    # it has seen that
    since = sleeps(first)
    wait_for('it to look', lambda: sleeps(first) > since + 3)
    with h:
        h.run('-q1s')
        os.kill(child, signal.SIGKILL)
        h.server.wait_mail(1)
        h.run('-q1s')
        assert runners(h) == [first], runners(h)
    reap()
    wait_for('the end', lambda: (reap(), runners(h))[1] == [])


def test_a_process_of_an_account_that_is_left_alone_keeps_no_other_from_it(d):
    h = Host(d)
    h.run('-f', 'a@client.test', TO, data=text())
    with silent_server(h):
        h.run('-q1s')
        first, child = stopped_child(h)
        os.kill(first, signal.SIGKILL)
    os.unlink(h.socket)
    wait_for('it to be gone', lambda: (reap(), runners(h))[1] == [child])
    with h:
        h.run('-q1s')
        wait_for('another one', lambda: set(runners(h)) - {child})
        os.kill(child, signal.SIGKILL)
        h.server.wait_mail(1)
    reap()
    wait_for('the end', lambda: (reap(), runners(h))[1] == [])


def pass_on(a, b):
    try:
        while octets := a.recv(65536):
            b.sendall(octets)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_the_installed_program_is_set_group_id(d):
    """With the folder and the modes that "make accounts" gives them"""
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    unshare_mounts()
    mount_tmpfs('/var/spool', '20m')
    # useradd would write there
    mount_tmpfs('/var/log', '20m')
    subprocess.run(['cp', '-a', '/etc', f'{d}/etc'], check=True)
    subprocess.run(['mount', '--bind', f'{d}/etc', '/etc'], check=True)
    # an address without a domain
    with open('/etc/mailname', 'w') as f:
        f.write('example.test\n')
    os.makedirs(f'{d}/suid')
    h = Host(d)
    program = f'{d}/suid/mailmill-maildrop'
    drop = '/var/spool/mailmill-maildrop'
    # before the programs are installed, as after that and again
    for is_installed in False, True, True:
        if is_installed:
            shutil.copy(f'{BUILD}/mailmill-maildrop', program)
        subprocess.run(['make', '-C', TOP, 'accounts', f'MAILDROP={drop}',
                        f'PROGDIR={d}/suid'], check=True, capture_output=True)
    for path, mode in ((drop, 0o1770), (program, 0o2755)):
        st = os.stat(path)
        assert stat.S_IMODE(st.st_mode) == mode and st.st_uid == 0, (path, st)
        assert grp.getgrgid(st.st_gid).gr_name == '_mailmillp', st
    words = [f'{h.bin}/mailmill-sendmail', '-O', f'SubmitSocket={h.socket}', '-O',
             f'DropProgram={program}', '-O', f'ControlProgram={BUILD}/mailmillctl']

    def run(*args, uid=OTHER, data=b'', program=words[0]):
        return subprocess.run([program] + (words[1:] if program == words[0] else
                                           []) + list(args), input=data,
                              capture_output=True, preexec_fn=become(uid))
    p = run('-f', 'a', 'user', data=text())
    assert p.returncode == 0, p
    [name] = [n for n in os.listdir(f'{drop}/{OTHER}') if n != 'run']
    # the account sees it only by the program, and others do not
    assert name.encode() in run('-bp').stdout
    assert name.encode() not in run('-bp', uid=NOBODY).stdout
    for command in (['ls', drop], ['cat', f'{drop}/{OTHER}/{name}'],
                    ['touch', f'{drop}/x'], ['rm', f'{drop}/{OTHER}/{name}']):
        p = subprocess.run(command, preexec_fn=become(OTHER),
                           capture_output=True)
        assert p.returncode != 0, (command, p)
    p = run('-q')
    assert p.returncode == 69 and b'only root may empty it' in p.stderr, p
    p = run('-d', h.drop, '-s', '3', data=b'abc', program=program)
    assert p.returncode == 77, p
    # closed descriptors do not become the file
    p = subprocess.run(['sh', '-c', f'exec {program} -s 3 <&- >&- 2>&-'],
                       preexec_fn=become(OTHER))
    assert p.returncode != 0, p
    assert [n for n in os.listdir(f'{drop}/{OTHER}') if n != 'run'] == [name]
    with h:
        p = subprocess.run(words + ['-C', h.server.conf_file, '-q'],
                           capture_output=True)
        assert p.returncode == 0, p
        [mail] = h.server.wait_mail(1)
        assert b'Return-Path: <a@example.test>' in mail, mail
        assert os.listdir(f'{drop}/{OTHER}') == ['run']


# ------------------------------------------------------------------ room
def test_an_account_has_a_bound_and_the_disk_has_room_for_others(d):
    h = Host(d)
    own = f'{h.drop}/{os.getuid()}'
    os.makedirs(own, 0o700)
    for n in range(1000):
        with open(f'{own}/0{n}', 'w'):
            pass
    p = h.run('-f', 'a@client.test', TO, data=text(), want=75)
    assert b'1000 messages' in p.stderr, p
    os.unlink(f'{own}/00')
    h.run('-f', 'a@client.test', TO, data=text())
    for n in range(1, 1000):
        os.unlink(f'{own}/0{n}')
    with open(f'{own}/0', 'w') as f:
        f.truncate(256 << 20)
    p = h.run('-f', 'a@client.test', TO, data=text(), want=75)
    assert b'256 MiB' in p.stderr, p
    os.unlink(f'{own}/0')
    left = h.waiting()
    # a write that fails
    p = subprocess.run([f'{h.bin}/mailmill-maildrop', '-d', h.drop, '-s', '9999'],
                       input=b'x' * 9999, capture_output=True,
                       preexec_fn=lambda: resource.setrlimit(
                           resource.RLIMIT_FSIZE, (5000, 5000)))
    assert p.returncode == 75 and b'File too large' in p.stderr, p
    assert h.waiting() == left
    if ROOT and not NOT_AS_ROOT:
        unshare_mounts()
        mount_tmpfs(h.drop, '1m')
        h.run('-f', 'a@client.test', TO, data=b'x\n' * 300000)
        p = h.run('-f', 'a@client.test', TO, data=b'x\n' * 300000, want=75)
        assert b'is full' in p.stderr, p
        assert len(h.waiting()) == 1


def test_a_full_disk_makes_no_message_come_twice(d):
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    h = Host(d, 'Max_Recipients_Per_Message = 1')
    unshare_mounts()
    mount_tmpfs(h.drop, '3m')
    who = ['one', 'two', 'three']
    h.run('-f', 'a@client.test', *(f'{w}@example.test' for w in who),
          data=b'Subject: x\n\n' + b'x\n' * 700000)
    assert len(h.waiting()) == 1
    with h:
        for _ in range(2):
            p = h.pick_up(want=75)
        assert h.server.delivered('one') == h.server.delivered('two') == []
        assert b'No space left' in p.stderr or not p.stderr, p
        subprocess.run(['mount', '-o', 'remount,size=9m', h.drop], check=True)
        h.pick_up(want=0)
        for w in who:
            assert len(wait_for(w, lambda w=w: h.server.delivered(w))) == 1
        assert h.waiting() == []


def test_a_message_that_ends_early_leaves_nothing(d):
    h = Host(d)
    helper = [f'{h.bin}/mailmill-maildrop', '-d', h.drop]
    p = subprocess.run(helper + ['-s', '1000'], input=b'x' * 999,
                       capture_output=True)
    assert p.returncode == 74, p
    assert h.waiting() == []
    # what a process that was killed has left is removed
    with open(f'{h.drop}/{os.getuid()}/tmp.0A', 'w') as f:
        f.write('x')
    subprocess.run(helper + ['-s', '5'], input=b'x' * 5, check=True)
    [name] = h.waiting()
    assert not name.startswith('tmp.')
    for args in ((), ('-s', '0'), ('-s', 'x'), ('-l', '-s', '1'), ('x',)):
        p = subprocess.run(helper + list(args), input=b'', capture_output=True)
        assert p.returncode == 64, (args, p)


# ------------------------------------------------------------------ kill -9
def killed(words, data, after):
    """Run it, and kill it and what it has started that soon; its status"""
    p = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        p.stdin.write(data)
        p.stdin.close()
    except BrokenPipeError:
        pass
    time.sleep(after)
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return p.wait()


BODY = 'line\n' * 3000


def killed_often(h):
    """Messages, killed from the start to twice the time that one takes; those
    whose status was 0"""
    start = time.monotonic()
    h.run('-f', 'a@client.test', TO, data=text('first', BODY))
    step = 2 * (time.monotonic() - start) / 60
    sent = {f'message {i}' for i in range(60) if killed(
        h.words('-f', 'a@client.test', TO), text(i, BODY), i * step) == 0}
    return sent | {'message first'}


def test_kill_at_any_moment_while_it_is_stopped(d):
    h = Host(d)
    sent = killed_often(h)
    with h:
        # kills of the process that empties the maildrop
        for i in range(20):
            killed(h.words('-q'), b'', i * 0.002 * SLOW)
        wait_for('the maildrop to be empty', lambda: (
            subprocess.run(h.words('-q'), capture_output=True),
            [x for x in h.waiting() if not x.startswith('tmp.')] == [])[1], 60)
        wait_for('mail', lambda: sent <= set(subjects(h.server.delivered())), 60)
        for mail in h.server.delivered():
            assert mail.count(b'line') == 3000, len(mail)


def test_kill_at_any_moment_while_it_runs(d):
    with Host(d) as h:
        sent = killed_often(h)
        wait_for('mail', lambda: sent <= set(subjects(h.server.delivered())), 60)
        got = subjects(h.server.delivered())
        assert len(got) == len(set(got)), got
        assert h.waiting() == []
