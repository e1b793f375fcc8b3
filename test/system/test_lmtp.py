"""LMTP (RFC 2033): other servers hand mail over, programs that speak it."""
import os
import re
import shutil
import smtplib
import subprocess

from harness import (ROOT, Client, Server, Skip, body_of, free_port,
                     text_message, unshare_mounts, wait_for)
from test_auth_clients import Postfix, exim_account, mailers, run, text
from test_xclient import events

KIND = 'Kind = lmtp'


def server(d, listen='', **kw):
    """With two mailboxes, user and other."""
    with open(f'{d}/users', 'w') as f:
        f.write('user\nother\n')
    return Server(d, listen=f'{KIND}\n{listen}',
                  domain=f'    Recipients = "file:{d}/users"', **kw)


def delivered_by_lmtp(s, *users):
    for u in users:
        [mail] = s.wait_mail(1, user=u)
        assert re.search(rb'\tby mx\.example\.test \(mailmill\) with LMTP id ',
                         mail), mail


def test_smtplib(d):
    with server(d) as s:
        with smtplib.LMTP('127.0.0.1', s.port, 'client.test') as c:
            assert c.sendmail('a@client.test', ['user@example.test'],
                              text_message()) == {}
            assert c.noop()[0] == 250       # nothing is left to be read
            # it takes one reply for the message, however many recipients
            refused = c.sendmail('a@client.test', [
                'user@example.test', 'nobody@example.test',
                'other@example.test'], text_message())
            assert list(refused) == ['nobody@example.test'], refused
            assert c.getreply()[0] == 250
            assert c.noop()[0] == 250
        s.wait_mail(2)
        delivered_by_lmtp(s, 'other')


def test_swaks(d):
    with server(d) as s:
        run('swaks', '--protocol', 'LMTP', '-s', f'127.0.0.1:{s.port}',
            '-f', 'a@client.test', '-t', 'user@example.test,other@example.test')
        delivered_by_lmtp(s, 'user', 'other')
        # which has no other greeting there
        p = subprocess.run(['swaks', '-s', f'127.0.0.1:{s.port}', '-f', 'a@b.test',
                            '-t', 'user@example.test'], capture_output=True)
        assert b'500 5.5.2' in p.stdout, p
        assert len(s.delivered()) == 1


def test_a_thousand_recipients_have_a_reply_each(d):
    """To a client that sends all in one go, and reads later."""
    n = 1000
    with Server(d, listen=KIND) as s, Client(s.port) as c:
        c.send(b'LHLO client.test\r\n')
        assert c.reply().startswith('250')
        c.send(b'MAIL FROM:<>\r\n' + b''.join(
            f'RCPT TO:<user{i}@example.test>\r\n'.encode()
            for i in range(n)) + b'DATA\r\n')
        for _ in range(n + 1):
            c.expect('250')
        c.expect('354')
        c.send(text_message() + b'.\r\nQUIT\r\n')
        ids = {c.expect('250 2.0.0 OK: queued as ').split()[-1]
               for _ in range(n)}
        assert len(ids) == 1, ids
        c.expect('221')
        for i in 0, n // 2, n - 1:
            s.wait_mail(1, user=f'user{i}')


def test_listeners_of_both_protocols(d):
    port = free_port()
    with Server(d, listener=f'Listen "127.0.0.1:{port}" {{ {KIND} }}') as s:
        with Client(s.port) as c:
            c.cmd('LHLO client.test', '500 5.5.2')
            c.hello()
        with Client(port) as c:
            c.cmd('EHLO client.test', '500 5.5.2')
            c.cmd('LHLO client.test', '250')
        p = subprocess.run(s.command('-n', '-T', f'127.0.0.1:{port},192.0.2.1'),
                           capture_output=True, text=True)
        assert re.search(r'^Kind = lmtp\t# .*:\d+, Listen "', p.stdout,
                         re.M), p
        p = subprocess.run(s.command('-n', '-v'), capture_output=True, text=True)
        assert len(re.findall(r'^\t+Kind = (smtp|lmtp)\t# ', p.stdout,
                              re.M)) == 2, p


def test_port_25_is_refused(d):
    s = Server(d, listen=KIND, port=25)
    p = subprocess.run(s.command('-n'), capture_output=True, text=True)
    assert p.returncode != 0 and 'RFC 2033' in p.stderr, p


def test_a_reload_that_changes_the_kind(d):
    """A session was greeted as one of the other protocol: it does not go on in a
    process that speaks this one."""
    with Server(d, workers=1) as s:
        with Client(s.port) as c:
            c.hello()
            s.write_conf(listen=KIND)
            s.ctl('reload')
            c.expect('421 4.3.2')
            c.ended()
        wait_for('the new worker', lambda: speaks_lmtp(s))


def speaks_lmtp(s):
    with Client(s.port) as c:
        c.send(b'LHLO client.test\r\n')
        return c.reply().startswith('250')


# ------------------------------------------------------------------ Postfix
def test_postfix(d):
    """Its lmtp(8)."""
    if not ROOT:
        raise Skip('needs root')
    with server(d, listen='Allow_XFORWARD = true') as s, Postfix(
            f'{d}/postfix', s.port, '', False,
            main=f'relayhost =\ndefault_transport = lmtp:inet:127.0.0.1:{s.port}'
            '\nlmtp_send_xforward_command = yes\n',
            master='lmtp unix - - n - - lmtp\n'
            'bounce unix - - n - 0 bounce\n') as p:
        run(f'{p.root}/usr/sbin/sendmail', '-f', 'a@example.test',
            'user@example.test', 'nobody@example.test', 'other@example.test',
            data=text(), env=p.env)
        wait_for('three attempts', lambda: len(re.findall(
            r' to=<.* status=', p.log())) >= 3)
        status = dict(re.findall(r' to=<(\w+)@.* status=(\w+) ', p.log()))
        assert status['user'] == status['other'] == 'sent', p.log() + s.log()
        assert status['nobody'] == 'bounced', p.log()
        delivered_by_lmtp(s, 'user', 'other')
        # both in one transaction, after LHLO
        [a] = events(s, 'accepted')
        assert a['nrcpts'] == '2', a
        assert '250 2.0.0 OK: queued as' in p.log(), p.log()


# ------------------------------------------------------------------ Exim
def test_exim(d):
    unshare_mounts()
    root, env = mailers()
    exim_account(d)
    with server(d) as s:
        os.makedirs(f'{d}/exim')
        shutil.chown(f'{d}/exim', 'Debian-exim')
        with open(f'{d}/exim.conf', 'w') as f:
            f.write(f'''exim_path = {root}/usr/sbin/exim4
primary_hostname = client.test
spool_directory = {d}/exim
log_file_path = {d}/exim/log.%slog
keep_environment = LD_LIBRARY_PATH
begin routers
all:
  driver = manualroute
  route_list = * localhost byname
  self = send
  transport = out
begin transports
out:
  driver = smtp
  protocol = lmtp
  port = {s.port}
  hosts_try_chunking = *
''')
        run(f'{root}/usr/sbin/exim4', '-C', f'{d}/exim.conf', '-odf',
            '-f', 'a@example.test', 'user@example.test', 'other@example.test',
            data=text(), env=env)
        with open(f'{d}/exim/log.mainlog') as f:
            log = f.read()
        for u in 'user', 'other':
            assert f' => {u}@example.test' in log or \
                f' -> {u}@example.test' in log, log + s.log()
        delivered_by_lmtp(s, 'user', 'other')
        assert s.delivered()[0].endswith(
            text_message().partition(b'\r\n\r\n')[2]), body_of(
                s.delivered()[0])
